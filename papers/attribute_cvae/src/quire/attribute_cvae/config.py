"""Presets: sizes of the experiments. A preset changes sizes, never the code path."""

from dataclasses import dataclass, field
from typing import Literal

from quire.attribute_cvae.cvae import Likelihood
from quire.attribute_cvae.networks import PERCEPTRONS, Architecture
from quire.common.checks import check_at_least, check_positive
from quire.common.train.recipe import Recipe

COMPARED = (0.1, 1.0, 4.0, 16.0)
"""Weights that claims compare, from one to the next."""
NEARLY_EXACT = Likelihood("gaussian", 0.02)
"""Of drawn images: a standard deviation of 0.14 in colours between 0 and 1."""


@dataclass(frozen=True)
class Training:
    """How the networks of all claims are trained.

    Attributes:
        z_dim: latent numbers.
        architecture, likelihood: of every model.
        recipe: length and optimiser.
        betas: weights of the divergence that C2 and C3 compare, rising; those of `COMPARED` among them.
        reference: the beta of pictures, temperatures and unseen combinations, one of `betas`.
        alpha: weight of the CVAE in the hybrid objective.

    Raises:
        ValueError: unless the betas rise, are positive and hold those of `COMPARED` and the reference.
    """

    z_dim: int = 16
    architecture: Architecture = PERCEPTRONS
    likelihood: Likelihood = NEARLY_EXACT
    recipe: Recipe = field(default_factory=lambda: Recipe(800, 64, 1.5e-3, optimiser="adam"))
    betas: tuple[float, ...] = COMPARED
    reference: float = 4.0
    alpha: float = 0.5

    def __post_init__(self):
        check_at_least("z_dim", self.z_dim)
        check_positive("lowest beta", min(self.betas))
        if sorted(set(self.betas)) != list(self.betas) or not {*COMPARED, self.reference} <= set(self.betas):
            raise ValueError(f"betas is {self.betas}; they must rise and hold {COMPARED} and the reference, {self.reference}")
        if not 0 < self.alpha < 1:
            raise ValueError(f"alpha is {self.alpha}; it must lie between 0 and 1")


@dataclass(frozen=True)
class Preset:
    """Sizes of all experiments.

    Attributes:
        image_set: `"faces"` or `"birds"`, which are drawn, or `"celeba"`, for which people fetch the files.
        side: of the images; drawn ones have 16.
        n_train, n_test: images.
        training: of the models.
        probe: of the attribute classifier.
        probe_widths: its hidden layers.
        draws: of an estimate of the log-likelihood.
        n_scored: test images that it is estimated for.
        temperatures: C4b.
    """

    image_set: Literal["faces", "birds", "celeba"] = "faces"
    side: int = 16
    n_train: int = 4000
    n_test: int = 512
    training: Training = field(default_factory=Training)
    probe: Recipe = field(default_factory=lambda: Recipe(600, 64, 1e-3, optimiser="adam"))
    probe_widths: tuple[int, ...] = (128, 128)
    draws: int = 64
    n_scored: int = 100
    temperatures: tuple[float, ...] = (0.0, 0.5, 1.0, 1.5)


QUICK = Preset()
"""A laptop, a minute: drawn faces, perceptrons."""

STANDARD = Preset(
    n_train=20_000,
    n_test=2000,
    training=Training(architecture=Architecture("conv", (32, 64)), recipe=Recipe(10_000, 128, 1e-3, optimiser="adam")),
    probe=Recipe(4000, 128, 1e-3, optimiser="adam"),
    n_scored=500,
    draws=200,
)
"""One GPU, minutes: convolutions, five times the images."""

PAPER = Preset(
    "celeba",
    side=64,
    n_train=100_000,
    n_test=5000,
    training=Training(
        z_dim=64,
        architecture=Architecture("conv", (32, 64, 128, 256), (128, 128)),
        recipe=Recipe(100_000, 128, 1e-3, optimiser="adam"),
    ),
    probe=Recipe(10_000, 128, 1e-3, optimiser="adam"),
    probe_widths=(512, 512),
    n_scored=500,
    draws=200,
)
"""CelebA at 64 x 64, four convolutions; sizes are ours, the paper's were not readable."""

PRESETS = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
