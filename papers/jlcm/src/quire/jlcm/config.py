"""Presets: what is compressed, how far, and how long it is learned. A preset changes sizes, never the code path."""

from dataclasses import dataclass, field
from typing import Literal

from quire.common.data.token_text import Corpus
from quire.common.train.recipe import Recipe
from quire.jlcm.layer_study import LayerSizes

ImageSet = Literal["digits", "cifar10"]


@dataclass(frozen=True)
class VisionSizes:
    """A classifier of images and its compression.

    Attributes:
        image_set: to train and test on.
        hidden: widths of the hidden layers.
        training: of the classifier.
        calibration: images to learn codebooks and mappings from.
        bits, groups: of a code, of a hidden layer.
        steps, batch_size, rates: of learning.

    Raises:
        ValueError: for sizes that are not positive, fewer images than a batch takes, or more groups than units.
    """

    image_set: ImageSet = "digits"
    hidden: tuple[int, ...] = (64, 64)
    training: Recipe = field(default_factory=lambda: Recipe(steps=400, batch_size=64, learning_rate=3e-3))
    calibration: int = 512
    bits: int = 2
    groups: int = 3
    steps: int = 300
    batch_size: int = 64
    rates: tuple[float, ...] = (1.0, 10.0, 100.0)

    def __post_init__(self):
        if not self.hidden or min(*self.hidden, self.bits, self.groups, self.steps, self.batch_size, len(self.rates)) < 1:
            raise ValueError(f"{self}: all sizes must be at least 1, and there must be a hidden layer and a rate")
        if self.calibration < self.batch_size or self.groups > min(self.hidden):
            limits = f"at least {self.batch_size} and at most {min(self.hidden)}"
            raise ValueError(f"calibration is {self.calibration} and groups {self.groups}; they need {limits}")


@dataclass(frozen=True)
class LanguageSizes:
    """A causal language model and its compression.

    Attributes:
        corpus: to train and test on.
        vocab_size, max_length, dim, depth, num_heads: of the model.
        training: of the model.
        calibration: sequences to learn from.
        windows: of the test text to score.
        bits, steps, batch_size, rates: of learning.
        letters: of generated text.

    Raises:
        ValueError: for sizes that are not positive, or fewer sequences than a batch takes.
    """

    corpus: Corpus
    vocab_size: int
    max_length: int
    dim: int
    depth: int
    num_heads: int
    training: Recipe
    calibration: int
    windows: int = 240
    bits: int = 2
    steps: int = 300
    batch_size: int = 8
    rates: tuple[float, ...] = (1.0, 10.0, 100.0)
    letters: int = 60_000

    def __post_init__(self):
        numbers = (self.vocab_size, self.max_length, self.dim, self.depth, self.num_heads, self.windows, self.bits, self.steps)
        if min(*numbers, self.batch_size, self.letters, len(self.rates)) < 1 or self.calibration < self.batch_size:
            raise ValueError(f"{self}: all sizes must be at least 1, and calibration at least batch_size")


@dataclass(frozen=True)
class Preset:
    """Everything the claims need to know.

    Attributes:
        layer: one layer, every rule of the mapping.
        vision: a classifier of images.
        language: a language model, or None where it is left out.
        widths: of the model whose size is counted, inputs first.
        codebooks_drawn: random codebooks on which the rules are compared.
    """

    layer: LayerSizes = field(default_factory=LayerSizes)
    vision: VisionSizes = field(default_factory=VisionSizes)
    language: LanguageSizes | None = None
    widths: tuple[int, ...] = (784, 1024, 256, 10)
    codebooks_drawn: int = 200

    def __post_init__(self):
        if len(self.widths) < 2 or min(*self.widths, self.codebooks_drawn) < 1:
            raise ValueError(f"widths is {self.widths}, codebooks_drawn {self.codebooks_drawn}; two widths, and all from 1")


QUICK = Preset()
"""A laptop, half a minute: a layer of 48 x 48, digits."""

STANDARD = Preset(
    layer=LayerSizes(dim=256, decay=32.0, calibration=2048, test=2048, steps=2000),
    vision=VisionSizes(
        image_set="cifar10",
        hidden=(512, 512),
        training=Recipe(steps=6000, batch_size=128, learning_rate=1e-3, warmup=0.05, weight_decay=0.02),
        calibration=1024,
        groups=8,
        steps=1000,
    ),
    language=LanguageSizes(
        corpus="wikitext-2",
        vocab_size=256,
        max_length=128,
        dim=192,
        depth=4,
        num_heads=6,
        training=Recipe(steps=4000, batch_size=32, learning_rate=1e-3, warmup=0.05, weight_decay=0.1),
        calibration=256,
        steps=1000,
    ),
)
"""One GPU, minutes: CIFAR-10, a GPT on bytes of WikiText-2."""

PAPER = Preset(
    layer=LayerSizes(dim=1024, decay=128.0, calibration=8192, test=4096, steps=5000),
    vision=VisionSizes(
        image_set="cifar10",
        hidden=(2048, 2048, 2048),
        training=Recipe(steps=20_000, batch_size=128, learning_rate=1e-3, warmup=0.05, weight_decay=0.05),
        calibration=1024,
        groups=8,
        steps=5000,
    ),
    language=LanguageSizes(
        corpus="openwebtext",
        vocab_size=256,
        max_length=1024,
        dim=768,
        depth=12,
        num_heads=12,
        training=Recipe(steps=100_000, batch_size=128, learning_rate=6e-4, warmup=0.02, weight_decay=0.1, b2=0.95),
        calibration=512,
        windows=1000,
        steps=5000,
        batch_size=2,
    ),
    widths=(784, 4096, 4096, 4096, 10),
)
"""A GPT of GPT-2's size, in place of Llama-7B; the image networks of the paper are not here."""

PRESETS = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
