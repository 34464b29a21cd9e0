"""Presets: sizes of fields, training and distillation. A preset changes sizes, never the code path."""

import math
from dataclasses import dataclass, field, fields, replace
from typing import Literal, get_args

from quire.common.checks import check_at_least, check_positive

Kind = Literal["hash", "mlp", "vm", "voxel"]
KINDS: tuple[Kind, ...] = get_args(Kind)
LossType = Literal["normL2", "normL1", "L2", "smoothL1"]


def check_kind(kind: str) -> None:
    """Raises a `ValueError` for a kind of field that does not exist."""
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}; it must be one of {', '.join(KINDS)}")


def check_loss_type(name: str, value: str) -> None:
    """Raises a `ValueError` for a norm of differences that does not exist."""
    if value not in get_args(LossType):
        raise ValueError(f"{name} is {value!r}; it must be one of {', '.join(get_args(LossType))}")


def check_weight(name: str, value: float) -> float:
    """The value, or a `ValueError` unless it is finite and not negative."""
    if not 0 <= value < math.inf:
        raise ValueError(f"{name} is {value}; it must be finite and not negative")
    return value


def check_clip(clip: tuple[float, float]) -> None:
    """Raises a `ValueError` for bounds of the log-density that do not ascend."""
    if len(clip) != 2 or not clip[0] < clip[1]:
        raise ValueError(f"clip is {clip}; the lower bound must be below the upper")


def check_stages(stages: tuple[int, int]) -> None:
    """Raises a `ValueError` for steps of the second and the third stage that are negative or do not ascend."""
    if len(stages) != 2 or not 0 <= stages[0] <= stages[1]:
        raise ValueError(f"stages is {stages}; they must not be negative, and the second not before the first")


@dataclass(frozen=True)
class FieldConfig:
    """Sizes of the four fields; the defaults are the paper's.

    Attributes:
        levels, base, finest, log2_size: of the hash grid, two features a level.
        octaves, depth, width, skip: of the perceptron; it hands as many numbers on as the hash grid does.
        vm_size, density_rank, colour_rank: of planes and lines.
        voxel_size, degree: of the voxels.
        hidden: width of the networks of density and colour.
    """

    levels: int = 14
    base: int = 16
    finest: int = 2048
    log2_size: int = 19
    octaves: int = 10
    depth: int = 8
    width: int = 256
    skip: int = 3
    vm_size: int = 300
    density_rank: int = 16
    colour_rank: int = 48
    voxel_size: int = 128
    degree: int = 3
    hidden: int = 64


@dataclass(frozen=True)
class Rates:
    """Learning rates of a kind of field: of what is particular to a place, and of the networks of density and colour."""

    place: float
    networks: float

    def __post_init__(self):
        check_positive("place", self.place)
        if not self.networks >= 0:
            raise ValueError(f"networks is {self.networks}; it must not be negative")


PAPER_RATES = {"hash": Rates(1e-2, 1e-2), "mlp": Rates(1e-3, 1e-3), "vm": Rates(1e-2, 1e-3), "voxel": Rates(1e-2, 1e-2)}
QUICK_RATES = {"hash": Rates(2e-2, 2e-2), "mlp": Rates(5e-3, 5e-3), "vm": Rates(3e-2, 3e-2), "voxel": Rates(1e-1, 1e-1)}


@dataclass(frozen=True)
class Training:
    """Adam, its rate falling along a cosine; the defaults are those of distillation in the paper.

    Attributes:
        steps, batch: length, and rays a step.
        samples: along a ray.
        rates: by kind of field.
        floor: last rate over the first.
        decay: decoupled weight decay.
        chunk: steps a compiled call; all runs of a kind share one program.
        random_background: a colour a ray behind what is transparent; white otherwise.

    Raises:
        ValueError: for a number out of range, or a chunk that does not divide the steps.
    """

    steps: int = 30_000
    batch: int = 4096
    samples: int = 512
    rates: dict[str, Rates] = field(default_factory=lambda: dict(PAPER_RATES), hash=False)
    floor: float = 0.005
    decay: float = 0.01
    chunk: int = 1
    random_background: bool = True

    def __post_init__(self):
        for name in ("steps", "batch", "samples", "chunk"):
            check_at_least(name, getattr(self, name))
        if self.steps % self.chunk:
            raise ValueError(f"chunk is {self.chunk}; it must divide the {self.steps} steps")
        if not 0 <= self.floor <= 1:
            raise ValueError(f"floor is {self.floor}; it must lie in [0, 1]")
        check_weight("decay", self.decay)

    def rates_of(self, kind: str) -> Rates:
        """Rates of a kind of field.

        Raises:
            ValueError: for a kind that has none.
        """
        if kind not in self.rates:
            raise ValueError(f"kind is {kind!r}; there are rates for {', '.join(self.rates)}")
        return self.rates[kind]


@dataclass(frozen=True)
class DistillWeights:
    """Weights of the terms of the loss; the defaults are the paper's.

    Attributes:
        image: of the composited colours.
        feat, rgb, log_sigma: of the features, the colours and the clipped log-densities of the samples.
        sigma: of the densities themselves, which the paper advises against.
        feat_decay: factor on `feat` every step, the first one included.
        density_l1: of the penalty on the density of planes and lines.

    Raises:
        ValueError: for a weight that is negative or not finite.
    """

    image: float = 1.0
    feat: float = 0.002
    rgb: float = 0.002
    log_sigma: float = 0.002
    sigma: float = 0.0
    feat_decay: float = 0.995
    density_l1: float = 1e-4

    def __post_init__(self):
        for name in (each.name for each in fields(self)):
            check_weight(name, getattr(self, name))


@dataclass(frozen=True)
class Distillation:
    """How a student learns from a teacher; the defaults are the paper's.

    Attributes:
        training: length and optimiser.
        stages: steps at which the second stage (densities and colours) and the third (pixels) begin.
        weights: of the terms.
        clip: bounds of the log-density, of teacher and student.
        loss_type: norm of the differences.
        pool: rays that the teacher is asked about once, before training; 0 asks anew for every chunk of steps.

    Raises:
        ValueError: for stages out of order, an empty interval, a negative pool or an unknown loss.
    """

    training: Training = Training()
    stages: tuple[int, int] = (2000, 5000)
    weights: DistillWeights = DistillWeights()
    clip: tuple[float, float] = (-2.0, 7.0)
    loss_type: LossType = "normL2"
    pool: int = 0

    def __post_init__(self):
        check_stages(self.stages)
        check_clip(self.clip)
        check_loss_type("loss_type", self.loss_type)
        check_at_least("pool", self.pool, 0)

    def lasting(self, steps: int) -> "Distillation":
        """The same for another number of steps; its stages are the same shares of them."""
        first, second = (round(stage * steps / self.training.steps) for stage in self.stages)
        return replace(self, training=replace(self.training, steps=steps), stages=(first, second))


@dataclass(frozen=True)
class SceneConfig:
    """The scene, its size and the random cameras.

    Attributes:
        name: `"lego"` for the small views, another of NeRF-Synthetic for the full ones.
        full: whether the full views are meant.
        factor: side of the squares of pixels that are averaged.
        distance: factor on all lengths, so that the scene fits `[-1, 1]^3`.
        radius: of the random cameras, before that factor.
        test_stride: every how many rows and columns of the test views are judged.

    Raises:
        ValueError: for a number that is not positive.
    """

    name: str = "lego"
    full: bool = True
    factor: int = 1
    distance: float = 0.8
    radius: float = 4.0
    test_stride: int = 1

    def __post_init__(self):
        for name in ("factor", "test_stride"):
            check_at_least(name, getattr(self, name))
        for name in ("distance", "radius"):
            check_positive(name, getattr(self, name))


@dataclass(frozen=True)
class Editing:
    """C5: a box of voxels that is erased.

    Attributes:
        low, high: first node and the one after the last, by coordinate.
        erased: log-density inside.
        step: length over which opacity is told.
    """

    low: tuple[int, int, int] = (32, 32, 56)
    high: tuple[int, int, int] = (96, 96, 88)
    erased: float = -100.0
    step: float = 0.1


@dataclass(frozen=True)
class Preset:
    """Everything that the claims need to know; the defaults are the paper's sizes."""

    scene: SceneConfig = SceneConfig()
    field: FieldConfig = FieldConfig()
    teacher: Training = Training(steps=40_000)
    distillation: Distillation = Distillation()
    editing: Editing = Editing()
    points: int = 32


_SMALL = FieldConfig(6, 8, 64, 13, 6, 4, 64, 1, 48, 6, 12, 32, 3, 32)
_QUICK = Training(150, 96, 24, QUICK_RATES, floor=0.02, decay=0.0, chunk=50, random_background=False)

QUICK = Preset(
    SceneConfig(full=False, factor=2, test_stride=4),
    _SMALL,
    replace(_QUICK, steps=200),
    Distillation(_QUICK, stages=(10, 25), pool=4096),
    Editing((8, 8, 14), (24, 24, 22)),
)
"""A laptop, a minute: views of 50 x 50 pixels, fields of some ten thousand numbers."""

_MIDDLE = Training(3000, 1024, 96, QUICK_RATES, floor=0.02, decay=0.0, chunk=50, random_background=False)

STANDARD = Preset(
    SceneConfig(full=False),
    FieldConfig(10, 8, 256, 15, 8, 6, 128, 2, 96, 8, 24, 64, 3, 64),
    replace(_MIDDLE, steps=4000),
    Distillation(_MIDDLE, stages=(200, 500), pool=65_536),
    Editing((16, 16, 28), (48, 48, 44)),
)
"""One GPU, minutes: views of 100 x 100 pixels."""

PRESETS = {"quick": QUICK, "standard": STANDARD, "paper": Preset()}
