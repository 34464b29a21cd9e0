"""Presets: what the claims are measured on. A preset changes sizes, never the code path."""

from dataclasses import dataclass, field

from quire.common.checks import check_at_least
from quire.common.train.recipe import Recipe
from quire.lie_decompositions.baselines import CNNConfig
from quire.lie_decompositions.groups import SL, SO, GLPlus
from quire.lie_decompositions.kernels import KernelConfig
from quire.lie_decompositions.resnet import NetworkConfig
from quire.lie_decompositions.warped_digits import DigitsConfig


@dataclass(frozen=True)
class RobustnessConfig:
    """C5: networks that are trained on digits at rest.

    Attributes:
        digits: data.
        network: on SL(2).
        recipe: its training.
        fixed: draw the samples of a network once, rather than for every forward pass.
        cnn: the ordinary network of as many parameters.
        cnn_rate: its learning rate.
        others: further networks by name, trained as `network` is.
        decisive: whether training is long enough to compare networks by it.
    """

    digits: DigitsConfig
    network: NetworkConfig
    recipe: Recipe
    cnn: CNNConfig
    cnn_rate: float
    fixed: bool = False
    others: tuple[tuple[str, NetworkConfig], ...] = ()
    decisive: bool = True


@dataclass(frozen=True)
class Preset:
    """Sizes of the experiments.

    Attributes:
        robustness: C5.
        matrices: of each group and size in C1.
        products: matrices of SL(2) in C2.
        integrand: samples of C3.
        sides: of the images of C4, each about twice the one before.

    Raises:
        ValueError: if a size is not positive.
    """

    robustness: RobustnessConfig
    matrices: int = 10_000
    products: int = 20_000
    integrand: int = 100_000
    sides: tuple[int, ...] = field(default=(20, 40, 80))

    def __post_init__(self):
        for name in ("matrices", "products", "integrand"):
            check_at_least(name, getattr(self, name))
        if len(self.sides) < 2 or min(self.sides) < 8:
            raise ValueError(f"sides is {self.sides}; it must hold at least two sides of 8 pixels or more")


def _adam(steps: int, batch_size: int, learning_rate: float, weight_decay: float = 0.0) -> Recipe:
    return Recipe(steps, batch_size, learning_rate, optimiser="adam", weight_decay=weight_decay)


_SMALL = NetworkConfig(SL(2), num_samples=4, dims=(10, 10), hidden=256, dropout=0.0, kernel=KernelConfig(hidden=32))

QUICK = Preset(
    RobustnessConfig(
        DigitsConfig("mnist-t10k", num_train=6000, num_test=600, shrink=2),
        _SMALL,
        _adam(250, 32, 1e-3),
        CNNConfig(16, _SMALL),
        cnn_rate=2e-3,
        fixed=True,
        decisive=False,
    )
)
"""A laptop, a minute: digits of 20 x 20 pixels, four samples of the group."""

_MIDDLE = NetworkConfig(SL(2), num_samples=4, dims=(16, 16), dropout=0.0, kernel=KernelConfig(hidden=32))


def _like(group: SL | SO | GLPlus, network: NetworkConfig) -> NetworkConfig:
    return NetworkConfig(
        group, network.num_samples, network.dims, dropout=network.dropout, kernel=network.kernel, angles=network.angles
    )


STANDARD = Preset(
    RobustnessConfig(
        DigitsConfig("mnist-t10k", num_train=6000, num_test=3000, shrink=2),
        _MIDDLE,
        _adam(600, 64, 5e-4),
        CNNConfig(26, _MIDDLE),
        cnn_rate=2e-3,
        fixed=True,
        others=(("GL+(2)", _like(GLPlus(2), _MIDDLE)), ("SO(2)", _like(SO(2), _MIDDLE))),
    ),
    integrand=1_000_000,
    sides=(20, 40, 80, 160),
)
"""One GPU, minutes: more steps, and networks on GL+(2) and on rotations alone."""

_LARGE = NetworkConfig()

PAPER = Preset(
    RobustnessConfig(
        DigitsConfig(),
        _LARGE,
        _adam(50 * 60_000 // 128, 128, 2e-4, weight_decay=5e-3),
        CNNConfig(64, _LARGE),
        cnn_rate=2e-4,
        others=(("GL+(2)", _like(GLPlus(2), _LARGE)), ("SO(2)", _like(SO(2), _LARGE))),
    ),
    integrand=1_000_000,
    sides=(20, 40, 80, 160),
)
"""The sizes of the paper: MNIST in frames of 40 x 40 pixels, ten samples, 50 epochs, samples drawn for every forward pass."""

PRESETS = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
