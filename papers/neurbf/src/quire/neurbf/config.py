"""Configurations and presets: what is fitted, how large, how long. A preset changes sizes, never the code path."""

from dataclasses import dataclass, replace

from quire.common.checks import check_at_least, check_positive
from quire.common.fields.hash_grid import HashLevels, hash_levels
from quire.neurbf.budget import auto_kernel_count, grid_params
from quire.neurbf.kernels import check_kind


@dataclass(frozen=True)
class FieldConfig:
    """A NeuRBF and the hash grid whose parameters it may spend; the defaults are the paper's for images.

    Attributes:
        kind: of the kernels.
        neighbours: bases that a point sees.
        channels: sines of each response.
        channel_range, hidden_range: lowest and highest frequency of the channels, and of the decoder's first layer.
        plain_channels: leading channels that keep the response itself.
        normalised: whether responses are divided by their sum.
        alpha: covariances are divided by it.
        hidden, outputs: widths of the decoder.
        levels, features, base, finest, log2_size: of the field's own grid; features are those of a level.
        reference_levels, reference_features, reference_log2_size: of the hash grid that sets the budget, of that base and finest.

    Raises:
        ValueError: for an unknown kind or a size out of range.
    """

    kind: str = "ivq_a"
    neighbours: int = 4
    channels: int = 32
    channel_range: tuple[float, float] = (2.0**-3, 2.0**12)
    hidden_range: tuple[float, float] = (10.0, 100.0)
    plain_channels: int = 0
    normalised: bool = True
    alpha: float = 0.5
    hidden: int = 64
    outputs: int = 3
    levels: int = 2
    features: int = 2
    base: int = 16
    finest: int = 1024
    log2_size: int = 24
    reference_levels: int = 16
    reference_features: int = 2
    reference_log2_size: int = 24

    def __post_init__(self):
        check_kind(self.kind)
        check_positive("alpha", self.alpha)
        sizes = ("neighbours", "channels", "hidden", "outputs", "levels", "features", "reference_levels", "reference_features")
        for name in sizes:
            check_at_least(name, getattr(self, name))
        if not 0 <= self.plain_channels <= self.channels:
            raise ValueError(f"plain_channels is {self.plain_channels}; it must be between 0 and the {self.channels} channels")

    def grid(self, dim: int) -> HashLevels:
        """Levels of its own grid."""
        return hash_levels(self.levels, self.base, self.finest, self.log2_size, dim, align_corners=True)

    def reference(self) -> "FieldConfig":
        """The hash grid that sets the budget, as a field without bases."""
        return replace(
            self,
            levels=self.reference_levels,
            features=self.reference_features,
            log2_size=self.reference_log2_size,
        )

    def budget(self, dim: int) -> int:
        """Parameters of the reference."""
        other = self.reference()
        return grid_params(other.grid(dim), other.features, other.hidden, other.outputs)

    def n_kernels(self, dim: int, *, with_grid: bool = True) -> int:
        """Kernels that the budget pays for, beside the grid or instead of it.

        Raises:
            ValueError: if not one.
        """
        levels = self.grid(dim) if with_grid else None
        return auto_kernel_count(
            self.budget(dim), self.kind, self.channels, levels, self.features, self.hidden, self.outputs, dim
        )

    def with_size(self, log2_size: int) -> "FieldConfig":
        """The same with tables of another size, the reference's included."""
        return replace(self, log2_size=log2_size, reference_log2_size=log2_size)


IMAGE = FieldConfig()
"""The paper's field for images; `finest` is half the longer side."""

SDF = FieldConfig(
    kind="nlin_s",
    neighbours=8,
    channels=16,
    channel_range=(1.0, 8.0),
    hidden_range=(30.0, 300.0),
    outputs=1,
    levels=16,
    features=1,
    finest=2048,
    log2_size=15,
    reference_log2_size=15,
)
"""The paper's field for signed distances."""


@dataclass(frozen=True)
class Training:
    """Adam with betas (0.9, 0.99) and eps 1e-15, the rate falling along a cosine.

    Attributes:
        steps, batch: length, and points a step.
        decoder_rate, rate: of the decoder, and of grid, bases and bias.
        floor: last rate over the first.

    Raises:
        ValueError: for a number out of range.
    """

    steps: int = 35_000
    batch: int = 2**18
    decoder_rate: float = 1e-2
    rate: float = 5e-3
    floor: float = 0.01

    def __post_init__(self):
        check_at_least("steps", self.steps)
        check_at_least("batch", self.batch)
        for name in ("decoder_rate", "rate"):
            check_positive(name, getattr(self, name))
        if not 0 <= self.floor <= 1:
            raise ValueError(f"floor is {self.floor}; it must lie in [0, 1]")


@dataclass(frozen=True)
class Picture:
    """A photograph, and the binary logarithm of the table of its reference grid."""

    name: str
    size: int
    log2_size: int
    crop: int | None = None


@dataclass(frozen=True)
class ImageConfig:
    """C1 to C4.

    Attributes:
        pictures: the first is the one that figures and further ablations take.
        field: sizes but for those of tables.
        training: its rates are NeuRBF's.
        reference_rate: of the tables of plain hash grids.
        siren_rate: of the sine network.
        full_resolution: levels, base and `log2_size` of one more hash grid with every pixel a node, or None.
    """

    pictures: tuple[Picture, ...]
    field: FieldConfig
    training: Training
    reference_rate: float = 1e-2
    siren_rate: float = 1e-3
    full_resolution: tuple[int, int, int] | None = None


@dataclass(frozen=True)
class SDFConfig:
    """C5.

    Attributes:
        shape: `"ring and box"`, or a scanned surface: `"bunny"`, `"armadillo"`.
        pool: points that batches are drawn from.
        fitted: points that the kernels are fitted to.
        near: half of the points lie at most this far from the surface.
        grid: nodes an axis of the test grid.
        judged: the error is that of nodes at most this far from the surface.
    """

    shape: str
    field: FieldConfig
    training: Training
    pool: int
    fitted: int
    near: float = 0.02
    grid: int = 32
    judged: float = 0.05


@dataclass(frozen=True)
class RadianceConfig:
    """C6: a field of planes and lines (TensoRF), and one that spends part of them on bases.

    Attributes:
        resolution: nodes an axis.
        density_rank, appearance_rank: components an axis, those of the hybrid.
        features: channels of the appearance, the shader's inputs beside those of the bases.
        n_kernels, channels, neighbours, kind, alpha: of the bases.
        hidden: width of the shader.
        samples: along a ray.
        rays: a step.
        pretraining, steps: of the grid alone, before kernels are fitted; of the whole.
        rate, decoder_rate: of planes, lines and bases; of the linear layers.
        fitted: points that the kernels are fitted to.
        half_width: of the scene's box.
    """

    resolution: int = 300
    density_rank: int = 16
    appearance_rank: int = 48
    features: int = 27
    n_kernels: int = 60_000
    channels: int = 32
    neighbours: int = 5
    kind: str = "ivq_a"
    alpha: float = 0.3
    hidden: int = 128
    samples: int = 512
    rays: int = 4096
    pretraining: int = 1000
    steps: int = 30_000
    rate: float = 2e-2
    decoder_rate: float = 1e-3
    fitted: int = 2**18
    half_width: float = 1.5


@dataclass(frozen=True)
class Preset:
    """Everything the claims need to know; `radiance` is None where no radiance field is trained."""

    images: ImageConfig
    sdf: SDFConfig
    radiance: RadianceConfig | None = None
    points: int = 64


_SMALL = replace(IMAGE, hidden=32, finest=32)
_SMALL_SDF = replace(SDF, hidden=32, levels=8, base=4, finest=64, log2_size=9, reference_levels=8, reference_log2_size=9)

QUICK = Preset(
    images=ImageConfig(
        pictures=(Picture("astronaut", 64, 8, crop=256), Picture("camera", 64, 7, crop=256)),
        field=_SMALL,
        training=Training(steps=200, batch=2048),
    ),
    sdf=SDFConfig(
        "ring and box",
        field=_SMALL_SDF,
        training=Training(steps=300, batch=1024, rate=3e-3, decoder_rate=3e-3, floor=0.1),
        pool=65_536,
        fitted=16_384,
    ),
)
"""A laptop, a minute: photographs of 64 x 64 pixels, an analytic surface."""

STANDARD = Preset(
    images=ImageConfig(
        pictures=tuple(Picture(name, 128, 9) for name in ("astronaut", "camera", "coffee", "chelsea")),
        field=replace(IMAGE, finest=64),
        training=Training(steps=2000, batch=16_384),
        full_resolution=(8, 8, 12),
    ),
    sdf=SDFConfig(
        "bunny",
        field=replace(SDF, finest=256, log2_size=12, reference_log2_size=12),
        training=Training(steps=5000, batch=16_384, rate=1e-3, decoder_rate=1e-3, floor=0.1),
        pool=2**19,
        fitted=2**17,
        grid=128,
    ),
    radiance=RadianceConfig(
        resolution=32,
        density_rank=8,
        appearance_rank=12,
        n_kernels=600,
        hidden=64,
        samples=96,
        rays=1024,
        steps=3000,
        fitted=32_768,
    ),
)
"""One GPU, minutes: photographs of 128 x 128 pixels, the Stanford bunny, the Lego digger at 100 x 100."""

PAPER = Preset(
    images=ImageConfig(
        pictures=tuple(Picture(f"div2k-{number:04d}", 1024, 24) for number in range(801, 901)),
        field=replace(IMAGE, finest=512),
        training=Training(),
    ),
    sdf=SDFConfig(
        "armadillo",
        field=SDF,
        training=Training(steps=20_000, rate=1e-4, decoder_rate=1e-4, floor=0.1),
        pool=2**25,
        fitted=26_214_400,
        grid=256,
    ),
    radiance=RadianceConfig(),
)
"""The sizes of the paper: DIV2K, scanned surfaces, and radiance fields of 300 nodes an axis."""

PRESETS = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
