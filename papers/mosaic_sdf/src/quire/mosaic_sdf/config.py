"""Configurations and presets: which shapes, how many grids, how long. A preset changes sizes, never the code path."""

from dataclasses import dataclass, field

from quire.common.checks import check_at_least, check_positive
from quire.common.train.flow_matching import METHODS
from quire.common.train.recipe import Recipe


@dataclass(frozen=True)
class Fitting:
    """C2 to C4; the defaults are the paper's.

    Attributes:
        shapes: names for `open_shape`.
        n, k: grids, and nodes along an axis of one.
        surface: points of the dense sample.
        margin: of the first scale over the smallest that covers the sample.
        steps, batch, rate: of the refinement.
        lam: weight of the gradients.
        noise: standard deviation of samples about the surface.
        pool: samples that batches are drawn from.
        neighbours: grids that are looked at for every point.
        judged, width: errors are those of so many points, at most so far from the surface.
        hidden_layers, siren_rate: of the sine network of as many numbers.
        siren_steps: lengths that it is trained for; the first of those that C2 compares.
        fine: nodes along an axis for marching cubes.

    Raises:
        ValueError: for a number out of its range.
    """

    shapes: tuple[str, ...] = ("armadillo", "bunny", "torus", "chair")
    n: int = 1024
    k: int = 7
    surface: int = 100_000
    margin: float = 1.2
    steps: int = 1000
    batch: int = 4096
    rate: float = 1e-3
    lam: float = 0.1
    noise: float = 0.02
    pool: int = 200_000
    neighbours: int = 16
    judged: int = 20_000
    width: float = 0.05
    hidden_layers: int = 4
    siren_rate: float = 1e-3
    siren_steps: tuple[int, ...] = (1000, 10_000)
    fine: int = 128

    def __post_init__(self):
        for name in ("n", "surface", "steps", "batch", "pool", "neighbours", "judged", "hidden_layers"):
            check_at_least(name, getattr(self, name))
        check_at_least("k", self.k, 2)
        check_at_least("fine", self.fine, 2)
        for name in ("margin", "rate", "noise", "width", "siren_rate"):
            check_positive(name, getattr(self, name))
        if not self.lam >= 0:
            raise ValueError(f"lam is {self.lam}; it must be at least 0")

    @property
    def floats(self) -> int:
        """Numbers of a mosaic."""
        return self.n * (4 + self.k**3)


@dataclass(frozen=True)
class Generation:
    """C6; the sizes of the network are the paper's by default.

    Attributes:
        data: `"families"` of drawn solids, or `"shapenet"`.
        per_class, test_per_class: solids of every class for training, and to compare with.
        n, k: of every mosaic.
        margin: as for `Fitting`.
        surface, candidates: points on every solid, and those that they are chosen from.
        width, layers, heads: of the transformer.
        dropout: share of classes that training leaves out.
        training: length, batch and optimiser.
        steps, method, guidance: of the solver.
        samples_per_class: generated solids.
        cloud: points of every solid that metrics compare.
        voxels, patch: side of the grid that the rival generates, and of its patches.
        voxel_seeds: seeds that the rival is trained for.

    Raises:
        ValueError: for a number out of its range, another data set or method.
    """

    data: str = "shapenet"
    per_class: int = 10_000
    test_per_class: int = 500
    n: int = 1024
    k: int = 7
    margin: float = 1.2
    surface: int = 100_000
    candidates: int = 400_000
    width: int = 1024
    layers: int = 24
    heads: int = 16
    dropout: float = 0.1
    training: Recipe = field(
        default_factory=lambda: Recipe(steps=500_000, batch_size=1024, learning_rate=1e-4, schedule="constant", optimiser="adam")
    )
    steps: int = 50
    method: str = "midpoint"
    guidance: float = 2.0
    samples_per_class: int = 500
    cloud: int = 2048
    voxels: int = 70
    patch: int = 7
    voxel_seeds: int = 1

    def __post_init__(self):
        if self.data not in ("families", "shapenet"):
            raise ValueError(f"data is {self.data!r}; choose from families, shapenet")
        if self.method not in METHODS:
            raise ValueError(f"method is {self.method!r}; choose from {', '.join(METHODS)}")
        for name in ("per_class", "test_per_class", "n", "steps", "samples_per_class", "cloud", "width", "layers", "heads"):
            check_at_least(name, getattr(self, name))
        check_at_least("k", self.k, 2)
        if not 0 <= self.dropout <= 1:
            raise ValueError(f"dropout is {self.dropout}; it must lie in [0, 1]")
        if self.voxels % self.patch:
            raise ValueError(f"patch is {self.patch}; it must divide the {self.voxels} voxels of an axis")
        if self.n > self.surface or self.candidates < self.surface or 2 * self.cloud > self.surface:
            sizes = f"n {self.n}, 2 x cloud {2 * self.cloud}, surface {self.surface}, candidates {self.candidates}"
            raise ValueError(f"sizes are {sizes}; each must be at most the next, both of n and clouds at most surface")

    @property
    def d(self) -> int:
        """Numbers of a row."""
        return 4 + self.k**3


@dataclass(frozen=True)
class Preset:
    """Everything the claims need to know; points and networks of the identities are as small everywhere.

    Attributes:
        fitting, generation: of C2 to C4, and of C6.
        points: of C1.
        solver_steps: of C7.
    """

    fitting: Fitting
    generation: Generation
    points: int = 256
    solver_steps: tuple[int, ...] = (8, 16, 32, 64)


QUICK = Preset(
    fitting=Fitting(
        shapes=("torus", "chair"),
        n=64,
        k=5,
        surface=4096,
        steps=100,
        batch=512,
        pool=16_384,
        neighbours=10,
        judged=3000,
        hidden_layers=2,
        siren_steps=(300,),
        fine=40,
    ),
    generation=Generation(
        data="families",
        per_class=80,
        test_per_class=20,
        n=24,
        k=3,
        surface=512,
        candidates=2048,
        width=48,
        layers=2,
        heads=4,
        training=Recipe(steps=300, batch_size=24, learning_rate=3e-3, schedule="constant", optimiser="adam"),
        steps=25,
        guidance=2.0,
        samples_per_class=20,
        cloud=128,
        voxels=9,
        patch=3,
    ),
)
"""A laptop, a minute: analytic shapes, 64 grids; drawn solids of 24 grids."""

STANDARD = Preset(
    fitting=Fitting(
        shapes=("bunny", "torus", "chair"), n=256, surface=20_000, steps=500, batch=2048, pool=50_000, siren_steps=(500, 2000)
    ),
    generation=Generation(
        data="families",
        per_class=1000,
        test_per_class=100,
        n=64,
        k=5,
        surface=2048,
        candidates=16_384,
        width=256,
        layers=6,
        heads=8,
        training=Recipe(steps=10_000, batch_size=64, learning_rate=3e-4, schedule="cosine", warmup=0.05),
        guidance=1.5,
        samples_per_class=100,
        cloud=512,
        voxels=20,
        patch=5,
    ),
)
"""One GPU, minutes: the Stanford bunny with 256 grids, a thousand solids of every family."""

PAPER = Preset(fitting=Fitting(), generation=Generation())
"""The sizes of the paper: 1024 grids of 7 nodes an axis, ShapeNet."""

PRESETS = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
