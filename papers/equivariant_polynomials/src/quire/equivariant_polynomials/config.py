"""Presets. A preset changes sizes, never the code path."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Preset:
    """Sizes of the claims.

    Attributes:
        count_degree: basis counts up to this degree.
        plan_degree: plans executed up to this degree.
        table_degree: expressive power up to this degree.
        families: strongly regular families; the net has `sr_depth`, `sr_width`.
        graphs, test_graphs, nodes: of the K4 regression; the nets have `depth`, `width`, the node-based one `node_width`.
        steps, batch_size, learning_rate: of Adam; `ema` is the decay of the running mean of the parameters, which is tested.
        molecules: set of molecules for the paper's recipe, of at most `epochs`; empty for none.
    """

    count_degree: int = 3
    plan_degree: int = 4
    table_degree: int = 6
    families: tuple[str, ...] = ("sr16622", "sr251256", "sr261034", "sr281264")
    sr_depth: int = 4
    sr_width: int = 32
    graphs: int = 1200
    test_graphs: int = 300
    nodes: int = 10
    depth: int = 2
    width: int = 16
    node_width: int = 32
    steps: int = 300
    batch_size: int = 64
    learning_rate: float = 3e-3
    ema: float = 0.95
    molecules: str = ""
    epochs: int = 1000


_NINE = ("sr16622", "sr251256", "sr261034", "sr281264", "sr291467", "sr351668", "sr351899", "sr361446", "sr401224")
QUICK = Preset()
STANDARD = Preset(
    plan_degree=5, families=_NINE[:5], graphs=6000, test_graphs=1000, steps=3000, batch_size=128, ema=0.99, epochs=100
)
PAPER = Preset(
    plan_degree=6,
    families=tuple(f for f in _NINE if f != "sr351668"),
    sr_width=75,
    graphs=12000,
    test_graphs=1000,
    nodes=24,
    depth=8,
    width=95,
    node_width=95,
    steps=80_000,
    batch_size=128,
    learning_rate=2e-3,
    ema=0.999,
    molecules="zinc-12k",
)
PRESETS = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
