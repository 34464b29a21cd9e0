"""Presets: what is quantised, how far, and how long rounding is learned. A preset changes sizes, never the code path."""

from dataclasses import dataclass, replace
from typing import Literal

from quire.common.data.token_text import Corpus
from quire.common.train.recipe import Recipe
from quire.flexround.layer_study import LayerSizes
from quire.flexround.scheme import Scheme

ImageSet = Literal["digits", "cifar10", "imagenet-1k"]


@dataclass(frozen=True)
class VisionSizes:
    """A classifier of images and its quantisation.

    Attributes:
        image_set: to train and test on.
        network: widths of the hidden layers of an MLP, or blocks of every stage of a ResNet.
        training: how it is trained; None for the published weights of ResNet-18.
        calibration: images for the reconstruction.
        scheme: of FlexRound.
        adaround_rate: its rate with AdaRound, the best that was tried too.
        width: of the first stage of a ResNet; None for an MLP.
        train_images: of the digits, the others being for the test; images of a stream to take statistics from.

    Raises:
        ValueError: for sizes that are not positive, or fewer images than a batch of calibration takes.
    """

    image_set: ImageSet
    network: tuple[int, ...]
    training: Recipe | None
    calibration: int
    scheme: Scheme
    adaround_rate: float
    width: int | None = None
    train_images: int = 1200

    def __post_init__(self):
        if min(*self.network, self.train_images, self.width or 1) < 1:
            raise ValueError(f"network, width and train_images are {self.network}, {self.width}, {self.train_images}; all from 1")
        _check_calibration(self.calibration, self.scheme)


@dataclass(frozen=True)
class LanguageSizes:
    """A causal language model and its quantisation at several widths.

    Attributes:
        corpus: to train and test on.
        letters: of generated text, or None.
        vocab_size, max_length, dim, depth, num_heads: of the model.
        training: of the model.
        windows: of the test text to score.
        calibration: sequences for the reconstruction.
        scheme: of FlexRound.
        bits: widths to compare.

    Raises:
        ValueError: for sizes that are not positive, or fewer sequences than a batch of calibration takes.
    """

    corpus: Corpus
    vocab_size: int
    max_length: int
    dim: int
    depth: int
    num_heads: int
    training: Recipe
    calibration: int
    scheme: Scheme
    letters: int = 60_000
    windows: int = 240
    bits: tuple[int, ...] = (3, 4)

    def __post_init__(self):
        sizes = (self.vocab_size, self.max_length, self.dim, self.depth, self.num_heads, self.letters, self.windows)
        if min(sizes) < 1 or not self.bits:
            raise ValueError(f"{self}: all sizes must be at least 1, and there must be bits")
        _check_calibration(self.calibration, self.scheme)


def _check_calibration(calibration: int, scheme: Scheme) -> None:
    if calibration < scheme.batch_size:
        raise ValueError(f"calibration is {calibration}; a batch takes {scheme.batch_size}")


@dataclass(frozen=True)
class Preset:
    """Everything the claims need to know.

    Attributes:
        layer: one layer, all methods.
        vision, language: a classifier of images, a language model.
        problems, problem_steps: problems of six weights that are also solved by enumeration, and steps on each.
    """

    layer: LayerSizes
    vision: VisionSizes
    language: LanguageSizes
    problems: int = 20
    problem_steps: int = 200

    def __post_init__(self):
        if min(self.problems, self.problem_steps) < 1:
            raise ValueError(f"problems is {self.problems} and problem_steps {self.problem_steps}; both must be at least 1")


_WEIGHT_ONLY = Scheme(per_channel=True, clip_search=False, steps=300, batch_size=2, rate=2.5e-3)
"""As the authors' scripts for weights of 3 bits and full activations; they take 5000 steps."""

QUICK = Preset(
    layer=LayerSizes(),
    vision=VisionSizes(
        image_set="digits",
        network=(96, 96),
        training=Recipe(steps=600, batch_size=64, learning_rate=3e-3, weight_decay=1e-4),
        calibration=256,
        scheme=Scheme(bits=2, steps=800, batch_size=64, rate=2e-3),
        adaround_rate=0.3,
    ),
    language=LanguageSizes(
        corpus="markov",
        vocab_size=27,
        max_length=32,
        dim=64,
        depth=2,
        num_heads=4,
        training=Recipe(steps=500, batch_size=32, learning_rate=5e-3, warmup=0.05, weight_decay=1e-4),
        calibration=128,
        scheme=_WEIGHT_ONLY,
    ),
)
"""A laptop, about a minute: digits, an MLP of 16 k weights, a GPT of 100 k on generated text."""

STANDARD = Preset(
    layer=LayerSizes(dim=256, samples=1024, steps=5000),
    vision=VisionSizes(
        image_set="cifar10",
        network=(2, 2, 2),
        width=32,
        training=Recipe(steps=8000, batch_size=128, learning_rate=2e-3, warmup=0.05, weight_decay=0.02),
        calibration=1024,
        scheme=Scheme(bits=3, steps=5000, batch_size=64, rate=1e-3, input_prob=0.5),
        adaround_rate=1e-2,
    ),
    language=LanguageSizes(
        corpus="wikitext-2",
        vocab_size=256,
        max_length=256,
        dim=256,
        depth=6,
        num_heads=8,
        training=Recipe(steps=6000, batch_size=32, learning_rate=1e-3, warmup=0.05, weight_decay=0.1),
        calibration=256,
        scheme=replace(_WEIGHT_ONLY, steps=2000),
    ),
    problems=100,
)
"""One GPU, minutes: a ResNet of three stages on CIFAR-10, a GPT on bytes of WikiText-2."""

PAPER = Preset(
    layer=LayerSizes(dim=1024, samples=4096, steps=5000),
    vision=VisionSizes(
        image_set="imagenet-1k",
        network=(2, 2, 2, 2),
        width=64,
        training=None,
        calibration=1024,
        scheme=Scheme(bits=4, steps=20_000, batch_size=32, rate=1e-3, input_prob=0.5),
        adaround_rate=1e-3,
        train_images=10_000,
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
        scheme=replace(_WEIGHT_ONLY, steps=5000, batch_size=2),
        windows=1000,
    ),
    problems=1000,
)
"""The paper's sizes: the published ResNet-18 with weights of 4 bits on ImageNet, 1024 images and 20,000 steps; a GPT of GPT-2's
size with 512 sequences and 5000 steps."""

PRESETS = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
