"""Presets: data, sizes and steps of the experiments. A preset changes sizes, never the code path."""

from dataclasses import dataclass, field

from quire.common.train.recipe import Recipe


def adam(steps: int, learning_rate: float, batch_size: int) -> Recipe:
    """Adam at a constant rate."""
    return Recipe(steps, batch_size, learning_rate, schedule="constant", optimiser="adam")


@dataclass(frozen=True)
class Identities:
    """C1, C2 and C6: random problems.

    Attributes:
        sizes, rows, dim, examples: of the linear model; `dim` at least the number of features.
        enumerated, buckets: length of vectors and buckets of which all hash functions are gone through.
        sampled, sampled_buckets, draws: the same for hash functions that are drawn.
        collision_draws: hash functions of which collisions are counted.
    """

    sizes: tuple[int, ...] = (12, 30, 7, 19)
    rows: int = 24
    dim: int = 6
    examples: int = 60
    enumerated: int = 4
    buckets: int = 3
    sampled: int = 40
    sampled_buckets: int = 64
    draws: int = 2000
    collision_draws: int = 200

    def __post_init__(self):
        if self.dim < len(self.sizes):
            raise ValueError(f"dim is {self.dim}; {len(self.sizes)} features need as much to be orthogonal")


@dataclass(frozen=True)
class Orthogonality:
    """C3: a linear model of clicks that another one drew.

    Attributes:
        features, values: number of features, and of values of each.
        dim: of an embedding.
        rows: of the shared table; the separate ones have `rows / features` each.
        examples: drawn.
        training: of each run.
        snapshots: at which the angles are looked at.
        aligned: theta starts at `aligned (1 + N(0, 1))`, beside the start at `N(0, 1 / dim)`.
    """

    features: int = 4
    values: int = 64
    dim: int = 8
    rows: int = 64
    examples: int = 20_000
    training: Recipe = field(default_factory=lambda: adam(800, 1e-2, 512))
    snapshots: int = 20
    aligned: float = 0.3

    def __post_init__(self):
        if self.rows % self.features:
            raise ValueError(f"rows is {self.rows}; it must be a multiple of the {self.features} features")


@dataclass(frozen=True)
class Clicks:
    """C4 and C5: models of clicks whose tables are smaller than their vocabularies.

    Attributes:
        data: name of the log.
        shares: rows of the table, as parts of the number of values.
        dim: of a row.
        hidden: widths of the perceptron.
        cross_layers: of the DCN-v2 beside it.
        epochs, batch_size, learning_rate: of Adam.
        test: part of the examples, drawn.
        twice: features that read two rows in C5.
        late: part of the users and items that come late in the experiment with a growing vocabulary.
    """

    data: str = "movielens-100k"
    shares: tuple[float, ...] = (1 / 20, 1 / 10, 1 / 4)
    dim: int = 8
    hidden: tuple[int, ...] = (32,)
    cross_layers: int = 1
    epochs: int = 2
    batch_size: int = 1024
    learning_rate: float = 5e-3
    test: float = 0.2
    twice: tuple[str, ...] = ("user", "item", "zip code")
    late: float = 0.2

    def __post_init__(self):
        if not self.shares or not all(0 < share < 1 for share in self.shares) or not 0 < self.test < 1:
            raise ValueError(f"shares is {self.shares} and test {self.test}; they must lie between 0 and 1")

    @property
    def middle(self) -> float:
        """The budget in the middle, of C5 and of what is compared at one budget."""
        return self.shares[len(self.shares) // 2]

    def recipe(self, examples: int) -> Recipe:
        """Adam for the epochs."""
        return adam(max(1, self.epochs * examples // self.batch_size), self.learning_rate, self.batch_size)


@dataclass(frozen=True)
class Preset:
    """Everything the claims need to know."""

    identities: Identities = Identities()
    orthogonality: Orthogonality = Orthogonality()
    clicks: Clicks = Clicks()
    census: Clicks = Clicks("adult", epochs=4, late=0.0, twice=())


QUICK = Preset()
"""A laptop, less than a minute."""

STANDARD = Preset(
    Identities((40, 90, 21, 60), 64, 12, 500, draws=20_000, collision_draws=2000),
    Orthogonality(8, 256, 16, 256, 100_000, adam(4000, 1e-2, 1024)),
    Clicks("movielens-1m", (1 / 50, 1 / 20, 1 / 10, 1 / 4, 1 / 2), 16, (64, 32), epochs=3, batch_size=2048),
    Clicks("adult", (1 / 20, 1 / 10, 1 / 4, 1 / 2), 16, (64, 32), epochs=20, batch_size=512, late=0.0, twice=()),
)
"""One GPU, minutes: MovieLens-1M, one of the paper's sets."""

PAPER = Preset(
    Identities((40, 90, 21, 60), 64, 12, 500, draws=20_000, collision_draws=2000),
    Orthogonality(8, 256, 16, 256, 100_000, adam(4000, 1e-2, 1024)),
    Clicks(
        "criteo",
        (1 / 1000, 1 / 300, 1 / 100, 1 / 30),
        16,
        (512, 256),
        epochs=1,
        batch_size=2048,
        learning_rate=1e-3,
        twice=("C3", "C4", "C12", "C16", "C21"),
    ),
    Clicks(
        "avazu", (1 / 1000, 1 / 100, 1 / 10), 16, (512, 256), epochs=1, batch_size=2048, learning_rate=1e-3, late=0.0, twice=()
    ),
)
"""Criteo and Avazu as the paper takes them, the first ten million rows; people prepare the files."""

PRESETS = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
