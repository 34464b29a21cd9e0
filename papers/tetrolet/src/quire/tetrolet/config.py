"""Presets: sizes of the experiments. A preset changes sizes, never the code path."""

from dataclasses import dataclass, field

from quire.common.checks import check_at_least

CMATERDB = ("bangla", "devanagari", "telugu")


@dataclass(frozen=True)
class Sparsity:
    """C2 and C3: how few coefficients hold an image.

    Attributes:
        scripts, num_images: numerals, and how many of each set.
        levels: of the transform of numerals.
        num_drawings, size: strokes and edges, and their side.
        drawing_levels: of their transform.
        kept: parts of the coefficients that approximations keep.
        noise: standard deviation, for the shrinkage; grey values run from 0 to 1.
        thresholds: in units of the noise, of which other drawings choose for each transform.
    """

    scripts: tuple[str, ...] = CMATERDB
    num_images: int = 250
    levels: int = 2
    num_drawings: int = 16
    size: int = 64
    drawing_levels: int = 3
    kept: tuple[float, ...] = (0.02, 0.05, 0.1)
    noise: float = 0.1
    thresholds: tuple[float, ...] = (1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5)

    def __post_init__(self):
        for name in ("num_images", "levels", "num_drawings", "drawing_levels"):
            check_at_least(name, getattr(self, name))
        if self.size % 2 ** (self.drawing_levels + 1):
            raise ValueError(f"size is {self.size}; with {self.drawing_levels} levels it needs {2 ** (self.drawing_levels + 1)}s")


@dataclass(frozen=True)
class Recognition:
    """C4 and C5: numerals told apart.

    Attributes:
        scripts: sets of numerals.
        pool, num_train: images of which every seed draws its training images, and how many.
        num_validation, num_test: images; those for validation are among those for training.
        levels: of the transforms, of which validation chooses.
        widths: of the Gaussian kernel, as parts of scikit-learn's own choice, of which validation chooses.
        penalty: C of the support vector machine.
        coding_level, coding_train: of the tetrolet transform whose low-pass is coded; images to train on.
        neighbours, n_basis, cards, alphas: of the graph; concepts; entries of a code and ridges, of which validation chooses.
        components: of PCA, of which validation chooses.
        sparse_components, sparse_penalties, sparse_passes: of sparse PCA; penalties of which validation chooses; passes.
        sparse_ratios: of sparse LDA, of which validation chooses.
        trees: of the forest.
        mqdf_axes: k of the MQDF, of which validation chooses.
    """

    scripts: tuple[str, ...] = (*CMATERDB, "mnist-t10k")
    pool: int = 2500
    num_train: int = 1500
    num_validation: int = 300
    num_test: int = 500
    levels: tuple[int, ...] = (1, 2)
    widths: tuple[float, ...] = (1.0,)
    penalty: float = 10.0
    coding_level: int = 1
    coding_train: int = 1000
    neighbours: int = 5
    n_basis: int = 60
    cards: tuple[int, ...] = (20, 40)
    alphas: tuple[float, ...] = (0.1, 1e3, 1e5)
    components: tuple[int, ...] = (20, 40, 60)
    sparse_components: int = 40
    sparse_passes: int = 5
    sparse_penalties: tuple[float, ...] = (1.0, 3.0)
    sparse_ratios: tuple[float, ...] = (0.1, 0.3)
    trees: int = 50
    mqdf_axes: tuple[int, ...] = (10, 20, 30)

    def __post_init__(self):
        fewest = min(self.num_train, self.coding_train)
        if not 0 < self.num_validation < fewest:
            raise ValueError(f"num_validation is {self.num_validation}; {fewest} images to train on allow 1 to {fewest - 1}")
        if max(self.cards) > self.n_basis:
            raise ValueError(f"cards is {self.cards}; codes over {self.n_basis} concepts have at most as many entries")


@dataclass(frozen=True)
class Preset:
    """Sizes of all experiments."""

    sparsity: Sparsity = field(default_factory=Sparsity)
    recognition: Recognition = field(default_factory=Recognition)


QUICK = Preset()
"""A laptop, a minute."""

STANDARD = Preset(
    Sparsity(num_images=2000, num_drawings=200, size=128, drawing_levels=4),
    Recognition(
        pool=5000,
        num_train=2500,
        num_validation=500,
        num_test=1000,
        widths=(0.5, 1.0, 2.0),
        coding_train=2500,
        cards=(10, 20, 30, 40, 50),
        sparse_passes=20,
        trees=500,
        mqdf_axes=(10, 20, 30, 40),
    ),
)
"""All training images of the smaller scripts."""

PAPER = Preset(
    Sparsity((*CMATERDB, "mnist"), num_images=10_000, num_drawings=1000, size=256, drawing_levels=5),
    Recognition(
        (*CMATERDB, "mnist"),
        pool=60_000,
        num_train=60_000,
        num_validation=500,
        num_test=10_000,
        widths=(0.5, 1.0, 2.0),
        coding_train=60_000,
        sparse_passes=20,
        n_basis=128,
        cards=(10, 20, 30, 40, 50),
        alphas=(0.01, 0.1, 1.0, 10.0, 100.0, 1000.0),
        components=(20, 40, 60, 100),
        trees=500,
        mqdf_axes=(10, 20, 30, 40),
    ),
)
"""All of MNIST and of CMATERdb, in place of the databases that are not public."""

PRESETS = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
