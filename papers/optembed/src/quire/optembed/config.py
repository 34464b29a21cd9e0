"""Presets: data, sizes and steps of the experiments. A preset changes sizes, never the code path."""

from dataclasses import dataclass, field

from quire.common.checks import check_at_least
from quire.optembed.base_models import KINDS, Kind


@dataclass(frozen=True)
class Training:
    """A base model, and how supernets and tables are trained with it.

    Attributes:
        kind: of the base model.
        dim: D, of the full table.
        hidden: widths of the perceptron.
        cross_layers: of `dcn`.
        epochs: at most; the one of the best validation AUC before the first that is not better is kept.
        batch_size: examples a step.
        learning_rate: of Adam.
        decay: L2, added to the gradient of the embeddings.
        threshold_rate: of the thresholds' own Adam.
        alpha: weight of `sum exp(-t)`.

    Raises:
        ValueError: for another kind, a size below 1, or a negative number.
    """

    kind: Kind = "deepfm"
    dim: int = 64
    hidden: tuple[int, ...] = (1024, 512, 256)
    cross_layers: int = 6
    epochs: int = 30
    batch_size: int = 2048
    learning_rate: float = 3e-5
    decay: float = 1e-3
    threshold_rate: float = 1e-4
    alpha: float = 1e-4

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ValueError(f"kind is {self.kind!r}; it must be one of {', '.join(KINDS)}")
        for name in ("dim", "epochs", "batch_size", "cross_layers"):
            check_at_least(name, getattr(self, name))
        for name in ("learning_rate", "decay", "threshold_rate", "alpha"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it cannot be negative")

    def epoch_steps(self, examples: int) -> int:
        """Steps of an epoch; one at least."""
        return max(1, examples // self.batch_size)


@dataclass(frozen=True)
class Search:
    """The evolution, and what it is compared with.

    Attributes:
        generations, keep, mutation, crossover, probability: as for `evolve`.
        examples: of the validation part, by which candidates are judged; all of it where it is smaller.
        rivals: candidates of no more parameters, not searched for, that are trained beside the best one.
    """

    generations: int = 30
    keep: int = 0
    mutation: int = 10
    crossover: int = 10
    probability: float = 0.1
    examples: int = 200_000
    rivals: int = 2

    @property
    def population(self) -> int:
        """Candidates of a generation."""
        return self.keep + self.mutation + self.crossover


@dataclass(frozen=True)
class Planted:
    """C3: clicks that half of the values say nothing about.

    Attributes:
        fields, values: number of fields, and of values of each.
        examples: of each seed.
        useless: part of the values without a signal.
        training: of supernets and tables.
    """

    training: Training
    fields: int = 8
    values: int = 60
    examples: int = 25_000
    useless: float = 0.5


@dataclass(frozen=True)
class Clicks:
    """C4 and C5: a log of clicks.

    Attributes:
        data: name of the log.
        training: of supernets and tables.
        search: of the dimensions.
        least: values that occur less often become one, that stands for all of them.
    """

    training: Training
    data: str = "movielens-100k"
    search: Search = field(default_factory=Search)
    least: int = 2


@dataclass(frozen=True)
class Identities:
    """C1 and C2: random problems.

    Attributes:
        field_dims, dim, examples: of the table and the batch.
        hidden, cross_layers: of the base models.
    """

    field_dims: tuple[int, ...] = (5, 9, 4, 7)
    dim: int = 5
    examples: int = 12
    hidden: tuple[int, ...] = (6, 4)
    cross_layers: int = 2


@dataclass(frozen=True)
class Preset:
    """Everything the claims need to know."""

    planted: Planted
    clicks: Clicks
    identities: Identities = Identities()


QUICK = Preset(
    Planted(Training("fnn", 8, (16,), epochs=3, batch_size=512, learning_rate=5e-3, decay=3e-3, threshold_rate=1e-2, alpha=1e-3)),
    Clicks(
        Training("deepfm", 16, (16,), epochs=2, batch_size=1024, learning_rate=1e-2, decay=1e-4, threshold_rate=1e-2, alpha=1e-3),
        search=Search(8, 0, 6, 6, examples=5000, rivals=10),
    ),
)
"""A laptop, less than a minute."""

STANDARD = Preset(
    Planted(
        Training("fnn", 16, (64, 32), epochs=5, batch_size=1024, learning_rate=2e-3, decay=1e-4, threshold_rate=5e-3, alpha=1e-3),
        fields=16,
        values=500,
        examples=400_000,
    ),
    Clicks(
        Training(
            "deepfm", 32, (256, 128), epochs=4, batch_size=2048, learning_rate=1e-3, decay=1e-5, threshold_rate=3e-3, alpha=1e-3
        ),
        "movielens-1m",
        Search(20, examples=50_000, rivals=5),
    ),
)
"""One GPU, minutes: MovieLens-1M."""

PAPER = Preset(
    Planted(
        Training("fnn", 64, (1024, 512, 256), epochs=5, learning_rate=1e-3, decay=1e-4, threshold_rate=1e-3, alpha=1e-3),
        fields=26,
        values=5000,
        examples=5_000_000,
    ),
    Clicks(Training(epochs=5), "criteo"),
)
"""Criteo, the first ten million rows, and the authors' settings for DeepFM on it; people prepare the file."""

PRESETS = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
