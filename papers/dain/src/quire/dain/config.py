"""Presets: how long models are trained, on which tensors. A preset changes sizes, never the code path."""

from dataclasses import dataclass, field, replace
from typing import Literal

import optax

TensorSet = Literal["movielens-100k", "movielens-1m", "dain-synthetic", "generated"]


@dataclass(frozen=True)
class Training:
    """Adam on the mean squared error; the defaults are the authors'.

    Attributes:
        epochs: at most.
        batch_size: cells; all of them where there are fewer.
        learning_rate: constant.
        patience: epochs without a better validation loss that end a run.

    Raises:
        ValueError: if a number is not positive.

    >>> Training(batch_size=4).batches(10)
    (4, 3)
    """

    epochs: int = 50
    batch_size: int = 1024
    learning_rate: float = 1e-3
    patience: int = 10

    def __post_init__(self):
        for name in ("epochs", "batch_size", "patience"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if not 0 < self.learning_rate < float("inf"):
            raise ValueError(f"learning_rate is {self.learning_rate}; it must be positive and finite")

    def batches(self, cells: int) -> tuple[int, int]:
        """Cells in a batch, and batches in an epoch."""
        size = min(self.batch_size, cells)
        return size, -(-cells // size)

    def transformation(self) -> optax.GradientTransformation:
        """Adam, its moments as one vector: an update is then one kernel to compile."""
        return optax.flatten(optax.adam(self.learning_rate))


@dataclass(frozen=True)
class Setting:
    """A tensor and a network: C4 and C5.

    Attributes:
        tensor: which.
        share: of its cells that take part.
        layers: of the entity-embedding network.
        training: of every network.
        ratio: new cells for each training cell.
        cp_rank: of the CP decomposition beside; its ridge is chosen on the validation cells.
        fallback: what runs where the data are not on this machine, or None.
    """

    tensor: TensorSet
    share: float = 1.0
    layers: tuple[int, ...] = (150, 1024, 1024, 128)
    training: Training = field(default_factory=Training)
    ratio: float = 0.5
    cp_rank: int = 2
    fallback: "Setting | None" = None

    def __post_init__(self):
        if not 0 < self.share <= 1:
            raise ValueError(f"share is {self.share}; it must lie in (0, 1]")


@dataclass(frozen=True)
class Corruption:
    """C3b: a generated tensor of which some values are wrong.

    Attributes:
        side: of its three modes.
        cells: observed.
        wrong: share of the training cells whose value is another one's.
        layers, training: of the network.
    """

    side: int = 60
    cells: int = 10_000
    wrong: float = 0.15
    layers: tuple[int, ...] = (48, 64, 32)
    training: Training = field(default_factory=lambda: Training(20, 256, 4e-3))


@dataclass(frozen=True)
class Scaling:
    """C6: an epoch of training and influence on so many cells.

    Attributes:
        cells: sizes; a multiple of four batches each.
        side: of the three modes.
        layers: of the network.
        batch_size: cells.
        repeats: of which the fastest counts.
    """

    cells: tuple[int, ...] = (10_240, 20_480, 40_960, 81_920)
    side: int = 1000
    layers: tuple[int, ...] = (48, 64, 32)
    batch_size: int = 512
    repeats: int = 5

    def __post_init__(self):
        if any(n % (4 * self.batch_size) for n in self.cells):
            raise ValueError(f"cells is {self.cells} and batch_size {self.batch_size}; four batches must divide each size")


@dataclass(frozen=True)
class Preset:
    """Everything the claims need to know."""

    setting: Setting
    corruption: Corruption = field(default_factory=Corruption)
    scaling: Scaling = field(default_factory=Scaling)


_SMALL = Setting("movielens-100k", 0.2, (48, 64, 32), Training(20, 512, 4e-3))

GENERATED = replace(_SMALL, tensor="generated", share=1.0)
"""Needs no file: what runs at `quick` without MovieLens."""

QUICK = Preset(replace(_SMALL, fallback=GENERATED))
"""A laptop, less than a minute: a fifth of MovieLens 100K, 28 small networks."""

STANDARD = Preset(
    Setting("movielens-100k", 1.0, (150, 256, 256, 64), Training(50, 1024, 1e-3)),
    Corruption(cells=40_000, layers=(150, 256, 64), training=Training(50, 512, 1e-3)),
    Scaling((81_920, 163_840, 327_680, 655_360), batch_size=1024),
)
"""One GPU, minutes: all of MovieLens 100K."""

PAPER = Preset(
    Setting("movielens-1m", 1.0),
    Corruption(cells=40_000, layers=(150, 1024, 1024, 128), training=Training()),
    Scaling((131_072, 262_144, 524_288, 1_048_576), layers=(150, 1024, 1024, 128), batch_size=1024),
)
"""The paper's network and recipe, on MovieLens 1M."""

PRESETS = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
