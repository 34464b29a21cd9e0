"""Presets: the loss, fields, training and scenes. A preset changes sizes, never the code path."""

from dataclasses import dataclass
from typing import Literal, get_args

from quire.common.checks import check_at_least, check_positive
from quire.s3im.virtual_patches import LAYOUTS, Layout, check_windows

Kind = Literal["vm", "hash", "voxel"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Sampler = Literal["uniform", "crops"]
SAMPLERS: tuple[Sampler, ...] = get_args(Sampler)


@dataclass(frozen=True)
class Similarity:
    """The loss beside the mean squared error; the defaults are the paper's.

    Attributes:
        weight: lambda; 0 leaves the mean squared error alone.
        kernel, stride: of the windows.
        repeats: orders M; with one, pixels stay as they come.
        patch: height and width; their product is the batch.
        layout: as for `s3im_loss`.

    Raises:
        ValueError: for a number out of range, or a kernel larger than the patch.
    """

    weight: float = 1.0
    kernel: int = 4
    stride: int = 4
    repeats: int = 10
    patch: tuple[int, int] = (64, 64)
    layout: Layout = "code"

    def __post_init__(self):
        check_windows(self.repeats, self.patch, self.kernel, self.stride)
        if not self.weight >= 0:
            raise ValueError(f"weight is {self.weight}; it must not be negative")
        if self.layout not in LAYOUTS:
            raise ValueError(f"layout is {self.layout!r}; it must be one of {', '.join(LAYOUTS)}")

    @property
    def batch(self) -> int:
        """Rays a step."""
        return self.patch[0] * self.patch[1]


@dataclass(frozen=True)
class Training:
    """Adam, its rate falling along a cosine; the defaults are those of the vector-matrix field in the paper.

    Attributes:
        steps: length.
        samples: along a ray.
        rate, network_rate: of what is particular to a place, and of the networks.
        floor: last rate over the first.
        penalty: weight of what the host adds by itself (see `hosts.own_penalty`).
        chunk: steps a compiled call; runs of one host share the program.
        clip: bounds of the log-density.

    Raises:
        ValueError: for a number out of range, or a chunk that does not divide the steps.
    """

    steps: int = 30_000
    samples: int = 512
    rate: float = 2e-2
    network_rate: float = 1e-3
    floor: float = 0.1
    penalty: float = 1e-4
    chunk: int = 50
    clip: tuple[float, float] = (-5.0, 7.0)

    def __post_init__(self):
        for name in ("steps", "samples", "chunk"):
            check_at_least(name, getattr(self, name))
        for name in ("rate", "network_rate"):
            check_positive(name, getattr(self, name))
        if self.steps % self.chunk:
            raise ValueError(f"chunk is {self.chunk}; it must divide the {self.steps} steps")
        if not 0 <= self.floor <= 1:
            raise ValueError(f"floor is {self.floor}; it must lie in [0, 1]")
        if not self.clip[0] < self.clip[1]:
            raise ValueError(f"clip is {self.clip}; the lower bound must be below the upper")


@dataclass(frozen=True)
class FieldConfig:
    """Sizes of the hosts; the defaults are the paper's.

    Attributes:
        vm_size, density_rank, colour_rank: of planes and lines.
        voxel_size, degree: of voxels with spherical harmonics.
        levels, base, finest, log2_size: of the hash grid.
        hidden: width of the networks.
        sdf_size: nodes an axis of the surface.
    """

    vm_size: int = 300
    density_rank: int = 16
    colour_rank: int = 48
    voxel_size: int = 160
    degree: int = 3
    levels: int = 16
    base: int = 16
    finest: int = 2048
    log2_size: int = 19
    hidden: int = 128
    sdf_size: int = 128


@dataclass(frozen=True)
class SceneConfig:
    """A scene.

    Attributes:
        name: `"lego"`, `"fox"`, or a folder of the prepared rooms of Replica.
        factor: side of the squares of pixels that are averaged.
        test_views: how many are judged.
    """

    name: str = "scan1"
    factor: int = 1
    test_views: int = 8


@dataclass(frozen=True)
class Preset:
    """Everything that the claims need to know; the defaults are the paper's sizes.

    Attributes:
        scene: of C2 to C5.
        photographs: another scene that `experiments.photographs` compares the losses on; None where there is no time for it.
        similarity, training, field: of the runs.
        low_rate: a smaller learning rate, shown beside that of the runs.
        sparse_views: training views of C4.
        noise: standard deviation of C5.
        draws: keys of C1.
        drawn_patch: virtual patch of C1.
        timed: virtual patch of C6.
        sweep: other settings of the loss, for `experiments.sweep`.
        hosts: other kinds of fields, and their learning rates.
    """

    scene: SceneConfig = SceneConfig()
    photographs: SceneConfig | None = SceneConfig("fox")
    similarity: Similarity = Similarity()
    training: Training = Training()
    field: FieldConfig = FieldConfig()
    low_rate: float = 1e-2
    sparse_views: int = 8
    noise: float = 0.2
    draws: int = 200
    drawn_patch: tuple[int, int] = (16, 16)
    timed: tuple[int, int] = (64, 64)
    sweep: tuple[Similarity, ...] = ()
    hosts: tuple[tuple[Kind, float], ...] = (("hash", 2e-2), ("voxel", 1e-1))


def changes(patch: tuple[int, int], *, repeats: tuple[int, ...], kernels: tuple[int, ...], weights: tuple[float, ...]):
    """Settings that differ from the usual ones in one number each."""
    return (
        *(Similarity(repeats=n, patch=patch) for n in repeats),
        *(Similarity(kernel=n, stride=n, patch=patch) for n in kernels),
        *(Similarity(weight=w, patch=patch) for w in weights),
    )


_SMALL = FieldConfig(48, 6, 12, 32, 2, 6, 8, 64, 13, 32, 32)
QUICK = Preset(
    SceneConfig("lego", 2),
    None,
    Similarity(patch=(16, 16)),
    Training(150, 20, 3e-2, 3e-2, 0.02, 0.0),
    _SMALL,
    sweep=changes((16, 16), repeats=(1,), kernels=(), weights=(3.0,)),
    hosts=(),
)
"""A laptop, a minute: views of 50 x 50 pixels, 256 rays a step."""

STANDARD = Preset(
    SceneConfig("lego", 1, 20),
    SceneConfig("fox", 1, 7),
    Similarity(patch=(32, 32)),
    Training(4000, 96, 2e-2, 1e-2, 0.02, 0.0),
    FieldConfig(96, 8, 24, 64, 2, 10, 8, 256, 15, 64, 64),
    sweep=(
        *changes((32, 32), repeats=(1, 3, 30), kernels=(2, 8), weights=(0.1, 0.3, 3.0)),
        Similarity(patch=(16, 16)),
        Similarity(patch=(64, 64)),
        Similarity(patch=(32, 32), layout="tiles"),
    ),
)
"""One GPU, minutes: views of 100 x 100 pixels, 1024 rays a step, photographs, the whole sweep."""

PAPER = Preset(
    sweep=(
        *changes((64, 64), repeats=(1, 3, 30), kernels=(2, 8, 16), weights=(0.1, 0.3, 3.0)),
        Similarity(patch=(32, 32)),
        Similarity(patch=(96, 96)),
    )
)
"""Rooms of Replica at 384 x 384, 4096 rays and 30000 steps."""

PRESETS = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
