"""Presets: sizes of the experiments. A preset changes sizes, never the code path."""

from dataclasses import dataclass, field

from quire.common.checks import check_at_least
from quire.common.train.recipe import Recipe


@dataclass(frozen=True)
class Network:
    """L2 to L4: perceptrons for one kind of images.

    Attributes:
        image_set: `"digits"` or `"mnist-t10k"`.
        hidden: widths of the hidden layers.
        m: numbers a row of weights.
        dims: ranks that are tried; the last is m, plain vector quantisation.
        codewords: numbers of codewords that are tried; the first is the one of L2 and L3.
        small: the rank that L3 speaks of.
        pretraining: of the low-rank networks.
        finetuning_steps: of codebooks, maps and biases.
        rates: learning rates of the fine-tuning, of which validation chooses.
        lloyd: iterations of k-means.
    """

    image_set: str = "digits"
    hidden: tuple[int, ...] = (64, 64)
    m: int = 16
    dims: tuple[int, ...] = (1, 2, 4, 8, 16)
    codewords: tuple[int, ...] = (8, 32)
    small: int = 4
    pretraining: Recipe = field(default_factory=lambda: Recipe(500, 64, 3e-3, optimiser="adam"))
    finetuning_steps: int = 600
    rates: tuple[float, ...] = (1e-2, 3e-2)
    lloyd: int = 25

    def __post_init__(self):
        if self.small not in self.dims or self.dims[-1] != self.m or sorted(self.dims) != list(self.dims):
            raise ValueError(f"dims is {self.dims}; they must rise to m = {self.m} and hold {self.small}")
        for name in ("finetuning_steps", "lloyd"):
            check_at_least(name, getattr(self, name))


@dataclass(frozen=True)
class Residual:
    """A residual network of low-rank convolutions, compressed step by step.

    Attributes:
        image_set: `"digits"`, `"cifar10-subset"` or `"cifar10"`.
        channels: of the stages.
        blocks: a stage.
        m, d, k: rows, rank and codewords.
        pretraining, finetuning: recipes.
    """

    image_set: str = "digits"
    channels: tuple[int, ...] = (16, 32)
    blocks: int = 1
    m: int = 9
    d: int = 3
    k: int = 16
    pretraining: Recipe = field(default_factory=lambda: Recipe(150, 64, 1e-2, optimiser="adam"))
    finetuning: Recipe = field(default_factory=lambda: Recipe(100, 64, 5e-3, optimiser="adam"))


@dataclass(frozen=True)
class Preset:
    """Sizes of all experiments.

    Attributes:
        network: L2 to L4.
        residual: the convolutional example.
        law_rows, law_codewords, law_dims: L6: normal rows, codewords, dimensions.
    """

    network: Network = field(default_factory=Network)
    residual: Residual = field(default_factory=Residual)
    law_rows: int = 4096
    law_codewords: tuple[int, ...] = (8, 16, 32, 64, 128, 256)
    law_dims: tuple[int, ...] = (2, 4, 8)


QUICK = Preset()
"""A laptop, seconds: scikit-learn's digits."""

STANDARD = Preset(
    Network(
        "mnist-t10k",
        hidden=(256, 256),
        codewords=(16, 64),
        pretraining=Recipe(3000, 128, 3e-3, optimiser="adam"),
        finetuning_steps=3000,
    ),
    Residual(
        "cifar10-subset",
        channels=(32, 64, 128),
        blocks=2,
        k=256,
        pretraining=Recipe(3000, 128, 1e-2, optimiser="adam"),
        finetuning=Recipe(2000, 128, 3e-3, optimiser="adam"),
    ),
    law_rows=65_536,
)
"""One GPU, minutes."""

PAPER = Preset(
    Network("mnist-t10k", hidden=(1024, 1024), codewords=(16, 256), pretraining=Recipe(20_000, 128, 1e-3, optimiser="adam")),
    Residual(
        "cifar10",
        channels=(64, 128, 256, 512),
        blocks=2,
        k=256,
        pretraining=Recipe(40_000, 128, 5e-3, optimiser="adam"),
        finetuning=Recipe(20_000, 128, 1e-3, optimiser="adam"),
    ),
    law_rows=262_144,
)
"""A residual network of the depth and width of ResNet-18, on CIFAR-10 in place of ImageNet."""

PRESETS = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
