"""Presets: simulations, networks and lengths. A preset changes sizes, never the code path."""

from dataclasses import dataclass, field

from quire.common.checks import check_at_least, check_positive
from quire.wave_cnn.waves import Waves


@dataclass(frozen=True)
class Surrogate:
    """Networks that forecast the field of a zone (C3 to C5).

    Attributes:
        waves: the simulations.
        samples: numbers of training fields, descending.
        held_out: fields that choose the rates, and the penalty of the ridge.
        test: fields of the errors.
        channels, kernel_size: of the network.
        rank, shared_rank: of the two one-way forms.
        with_shared: whether networks of the shared form are trained too, for the first seed.
        steps, batch_size: of training.
        rates: each kind of network takes the best of them.
        penalties: of the ridge regression.

    Raises:
        ValueError: for samples that do not descend, sizes that batches do not divide, or a number that is not positive.
    """

    waves: Waves = field(default_factory=Waves)
    samples: tuple[int, ...] = (4096, 1024, 256)
    held_out: int = 256
    test: int = 512
    channels: tuple[int, ...] = (16, 32, 64)
    kernel_size: tuple[int, int, int] = (3, 3, 3)
    rank: int = 1
    shared_rank: int = 32
    with_shared: bool = True
    steps: int = 20_000
    batch_size: int = 8
    rates: tuple[float, ...] = (5e-4, 1.5e-3, 5e-3, 1.5e-2)
    penalties: tuple[float, ...] = (1e-3, 1e-2, 1e-1, 1.0)

    def __post_init__(self):
        for name in ("rank", "shared_rank", "steps", "batch_size"):
            check_at_least(name, getattr(self, name))
        for name in ("rates", "penalties"):
            check_positive(f"least of {name}", min(getattr(self, name), default=0))
        if not self.samples or list(self.samples) != sorted(set(self.samples), reverse=True):
            raise ValueError(f"samples is {self.samples}; samples must descend, and there must be one")
        if any(n < 1 or n % self.batch_size for n in (*self.samples, self.held_out, self.test)):
            raise ValueError(f"samples, held_out and test must be multiples of batch_size, {self.batch_size}")
        sides = (self.waves.times, self.waves.zone[1])
        if any(n % 2 ** (len(self.channels) - 1) for n in sides):
            raise ValueError(f"channels is {self.channels} for {sides[0]} times and sides of {sides[1]}; each scale halves them")


@dataclass(frozen=True)
class Generator:
    """A network that gives the history of the zone's rim, and finite elements inside (C7).

    Attributes:
        waves: the simulations; all times are kept.
        train, test: numbers of simulations.
        components: of the proper orthogonal decomposition.
        width: of the two hidden layers, as its two factors: the counterpart in polyadic form folds it so.
        rank: of that counterpart.
        steps, rate: of Adam on all simulations at once; the rate falls to zero along a cosine.

    Raises:
        ValueError: for a number that is not positive, or more components than training simulations.
    """

    waves: Waves = field(default_factory=lambda: Waves(zone=(8, 17)))
    train: int = 1024
    test: int = 128
    components: int = 96
    width: tuple[int, int] = (16, 16)
    rank: int = 16
    steps: int = 10_000
    rate: float = 5e-3

    def __post_init__(self):
        for name in ("train", "test", "components", "rank", "steps"):
            check_at_least(name, getattr(self, name))
        check_at_least("train", self.train, self.components)
        check_positive("rate", self.rate)


@dataclass(frozen=True)
class OneLayer:
    """One layer by the clock (C6): `channels` to `channels`, `batch` times `side` cubed places.

    Raises:
        ValueError: for a number below 1.
    """

    channels: int = 64
    taps: int = 5
    side: int = 32
    batch: int = 8
    rank: int = 64
    repeats: int = 9

    def __post_init__(self):
        for name, value in vars(self).items():
            check_at_least(name, value)


@dataclass(frozen=True)
class Preset:
    """Everything the claims need to know."""

    surrogate: Surrogate = field(default_factory=Surrogate)
    generator: Generator = field(default_factory=Generator)
    layer: OneLayer = field(default_factory=OneLayer)
    meshes: tuple[int, ...] = (16, 32, 64)


QUICK = Preset(
    Surrogate(
        Waves(16, 64, 8, (4, 8), width=(0.06, 0.12), bc="dirichlet"),
        samples=(64, 16),
        held_out=32,
        test=32,
        channels=(8, 12),
        shared_rank=8,
        with_shared=False,
        steps=240,
        rates=(2.5e-3, 1.5e-2),  # at 5e-3 some seeds of the classical network hardly fit
    ),
    Generator(
        Waves(16, 48, 1, (4, 9), width=(0.06, 0.12), bc="dirichlet"),
        train=256,
        test=32,
        components=48,
        width=(8, 12),
        rank=8,
        steps=1500,
    ),
    OneLayer(channels=16, side=16, batch=2, rank=16, repeats=5),
    meshes=(8, 16, 32),
)
"""A laptop, less than a minute."""

STANDARD = Preset(
    Surrogate(
        samples=(512, 128, 32),
        held_out=64,
        test=128,
        channels=(8, 16, 16),
        shared_rank=16,
        steps=4000,
        rates=(1.5e-3, 5e-3, 1.5e-2),
    ),
    Generator(),
    OneLayer(channels=32, side=32, rank=32),
)
"""One GPU, minutes: 32 x 32 elements."""

PAPER = Preset(
    Surrogate(Waves(64, 128, 4, (8, 48), width=(0.03, 0.12), materials=2)),
    Generator(Waves(64, 128, 1, (16, 33), width=(0.03, 0.12)), train=4096, test=256, components=192, width=(16, 32)),
)
"""Thousands of simulations, for the networks of two materials. The sizes of the authors' networks and samples are not public."""

PRESETS = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
