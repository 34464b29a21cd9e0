"""Presets: sizes of the experiments. A preset changes sizes, never the code path."""

from dataclasses import dataclass, field

from quire.common.checks import check_at_least


@dataclass(frozen=True)
class Linear:
    """M2 to M5: generated linear tasks.

    Attributes:
        d, k: dimensions of inputs and representation.
        tasks: sources.
        budget: samples of all sources together.
        sigma: standard deviation of the noise.
        trials: problems that one seed averages over.
        sizes: numbers of sources of M5.
        budgets: samples of the slopes of M5.
        n_target: samples of the target, where the relevance is estimated.
        family: sources of the lower-bound family; `cs` are lengths of its short sources, as powers of `1 / family`.
        rounds: of alternating least squares.
    """

    d: int = 40
    k: int = 4
    tasks: int = 30
    budget: int = 6000
    sigma: float = 1.0
    trials: int = 4
    sizes: tuple[int, ...] = (10, 20, 40)
    budgets: tuple[int, ...] = (3000, 6000, 12_000)
    n_target: int = 200
    family: int = 64
    cs: tuple[float, ...] = (1.0, 0.5, 0.25, 0.125, 0.0)
    rounds: int = 8

    def __post_init__(self):
        for name in ("d", "k", "tasks", "budget", "trials", "n_target", "family", "rounds"):
            check_at_least(name, getattr(self, name))
        if max(self.sizes) < self.tasks:
            raise ValueError(f"sizes is {self.sizes}; one of them must be at least tasks = {self.tasks}")


@dataclass(frozen=True)
class Network:
    """The non-linear representation.

    Attributes:
        channels, patch: of the network.
        k: features.
        rounds: turns of heads and network.
        steps: of the network in each.
        batch_size: samples a step.
        rate: first learning rate.
    """

    channels: tuple[int, ...] = (64,)
    patch: int = 8
    k: int = 10
    rounds: int = 8
    steps: int = 50
    batch_size: int = 128
    rate: float = 3e-3

    def __post_init__(self):
        for name in ("patch", "k", "rounds", "steps", "batch_size"):
            check_at_least(name, getattr(self, name))


@dataclass(frozen=True)
class Images:
    """M7: corrupted digits.

    Attributes:
        image_set: `"digits"`, `"mnist-t10k"` or `"mnist"`.
        k: dimension of the linear representation.
        budget: samples of all sources together.
        n_min: samples of every source to begin with.
        n_target: samples of the target.
        targets: target tasks of a seed.
        network_targets: of those, how many the network is tried on.
        network: the non-linear representation.
    """

    image_set: str = "digits"
    k: int = 20
    budget: int = 9000
    n_min: int = 110
    n_target: int = 50
    targets: int = 6
    network_targets: int = 3
    network: Network = field(default_factory=Network)

    def __post_init__(self):
        for name in ("k", "budget", "n_min", "n_target", "targets", "network_targets"):
            check_at_least(name, getattr(self, name))


@dataclass(frozen=True)
class Preset:
    """Sizes of all experiments.

    Attributes:
        linear: generated tasks.
        images: image tasks.
        instances: random heads of M1, M2 and M6.
    """

    linear: Linear = field(default_factory=Linear)
    images: Images = field(default_factory=Images)
    instances: int = 200


QUICK = Preset()
"""A laptop, seconds: scikit-learn's digits."""

STANDARD = Preset(
    Linear(d=100, k=8, tasks=64, budget=50_000, trials=20, sizes=(16, 32, 64, 128), budgets=(12_500, 25_000, 50_000, 100_000)),
    Images(
        "mnist-t10k",
        k=20,
        budget=60_000,
        n_min=300,
        targets=30,
        network_targets=12,
        network=Network(channels=(32, 64, 128), patch=7, rounds=20, steps=200),
    ),
    instances=2000,
)
"""One GPU, minutes."""

PAPER = Preset(
    Linear(d=200, k=10, tasks=160, budget=400_000, trials=100, sizes=(40, 80, 160, 320), budgets=(100_000, 200_000, 400_000)),
    Images(
        "mnist",
        k=20,
        budget=300_000,
        n_min=1500,
        n_target=200,
        targets=60,
        network_targets=60,
        network=Network(channels=(64, 128, 256), patch=7, rounds=50, steps=500, batch_size=256),
    ),
    instances=10_000,
)
"""MNIST with the generated corruptions in place of MNIST-C, whose files are not bundled."""

PRESETS = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
