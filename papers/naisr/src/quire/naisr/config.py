"""Presets: shapes, networks and steps of the experiments. A preset changes sizes, never the code path."""

from dataclasses import dataclass, field

from quire.common.train.recipe import Recipe


@dataclass(frozen=True)
class Networks:
    """Sizes of a model; the defaults are the released ones.

    Attributes:
        dim: of space.
        hidden, layers, latent: as for `NAISR`.
        omega: frequency of the sines.
        noise: what stands in for covariates of zero in training.

    Raises:
        ValueError: if a size is not positive, or the noise negative.
    """

    dim: int = 3
    hidden: int = 256
    layers: int = 6
    latent: int = 256
    omega: float = 30.0
    noise: float = 1e-3

    def __post_init__(self):
        sizes = {name: getattr(self, name) for name in ("dim", "hidden", "layers", "latent", "omega")}
        if not min(sizes.values()) > 0 or self.noise < 0:
            raise ValueError(f"{sizes} and noise {self.noise}; sizes must be positive, the noise not negative")


@dataclass(frozen=True)
class Shapes:
    """Starmen to learn from, and others to be reconstructed and transferred.

    Attributes:
        subjects, visits: to learn from; every visit has a code.
        test_subjects: each with two visits.
        sd: of a subject's waves.
        pool: points of a shape that batches are drawn from.
        fitted: points of a shape that its code is fitted to.
    """

    subjects: int = 32
    visits: int = 2
    test_subjects: int = 8
    sd: float = 0.03
    pool: int = 512
    fitted: int = 128


@dataclass(frozen=True)
class Training(Recipe):
    """Length and rates; `batch_size` counts shapes.

    Attributes:
        points: of each shape, half of them on its outline.
        code_rate: the rate of codes where that of networks is `learning_rate`.
    """

    points: int = 48
    code_rate: float = 1e-2


@dataclass(frozen=True)
class Fitting:
    """How codes of new shapes are found.

    Attributes:
        steps, rate: of Adam.
    """

    steps: int = 60
    rate: float = 2e-2


def adam(steps: int, batch_size: int, points: int, learning_rate: float, code_rate: float) -> Training:
    """Adam with a cosine schedule."""
    return Training(steps, batch_size, learning_rate, optimiser="adam", points=points, code_rate=code_rate)


@dataclass(frozen=True)
class Preset:
    """Everything the claims need to know.

    Attributes:
        networks, shapes, training, fitting: sizes.
        grid: nodes along each axis on which contours are found.
        outline: points at which contours are compared.
        identity_points: of C1.
    """

    networks: Networks = Networks()
    shapes: Shapes = Shapes()
    training: Training = field(default_factory=lambda: adam(240, 8, 48, 2e-3, 1e-2))
    fitting: Fitting = Fitting()
    grid: int = 40
    outline: int = 200
    identity_points: int = 64


QUICK = Preset(Networks(2, 32, 2, 8, omega=10.0))
"""A laptop, less than a minute."""

STANDARD = Preset(
    Networks(2, 64, 3, 16, omega=10.0),
    Shapes(200, 2, 40, pool=2048, fitted=1024),
    adam(3000, 24, 256, 1e-3, 1e-2),
    Fitting(400, 1e-2),
    grid=128,
    outline=400,
)
"""One GPU, minutes."""

PAPER = Preset(
    Networks(2),
    Shapes(1000, 4, 100, pool=8192, fitted=4096),
    Training(3100 * 63, 64, 5e-5, schedule="halve", epochs=3, optimiser="adam", points=750, code_rate=1e-3),
    Fitting(800, 5e-4),
    grid=256,
    outline=1000,
)
"""Released sizes and rates, a thousand starmen."""

PRESETS = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
