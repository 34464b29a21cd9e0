"""Presets: sizes of the experiments. A preset changes sizes, never the code path."""

from dataclasses import dataclass, field

from quire.common.checks import check_at_least, check_positive


@dataclass(frozen=True)
class Perceptrons:
    """R2 to R8: perceptrons on binary inputs; the defaults are those of `quick`.

    Attributes:
        dim: bits of an input, at least 16.
        width, depth: of the hidden layers.
        wide, deep: width and depth of the larger networks of R5.
        steps, batch: gradient steps and examples of each.
        variant_steps, variant_batch: the same for R5 and R8, which compare more conditions.
        rate, adam_rate: learning rates of SGD with momentum 0.9, and of Adam.
        snapshots: states that curves are drawn through.
        num_eval: examples on which regressions are fitted, and as many on which they are tested.
        num_rsa: of these, those that RSA compares.
        num_classifier: confounded examples that R7 trains on.
    """

    dim: int = 16
    width: int = 64
    depth: int = 2
    wide: int = 128
    deep: int = 4
    steps: int = 3000
    batch: int = 256
    variant_steps: int = 2000
    variant_batch: int = 64
    rate: float = 0.05
    adam_rate: float = 2e-3
    snapshots: int = 10
    num_eval: int = 1024
    num_rsa: int = 200
    num_classifier: int = 200

    def __post_init__(self):
        least = {"dim": 16, "width": 2, "depth": 2, "deep": self.depth + 1, "wide": self.width + 1, "num_rsa": 3}
        for name in ("steps", "batch", "variant_steps", "variant_batch", "snapshots", "num_eval", "num_classifier"):
            least[name] = 1
        for name, value in least.items():
            check_at_least(name, getattr(self, name), value)
        check_positive("rate", self.rate)
        check_positive("adam_rate", self.adam_rate)


@dataclass(frozen=True)
class Transformers:
    """R9: transformers on bits as tokens.

    Attributes:
        num_features: features that the decoder emits, each the exclusive or of two bits.
        dim, depth, num_heads: of the blocks.
        steps, batch, rate: of Adam.
        num_eval: examples to fit on, and to test on.
    """

    num_features: int = 4
    dim: int = 16
    depth: int = 2
    num_heads: int = 2
    steps: int = 700
    batch: int = 32
    rate: float = 3e-3
    num_eval: int = 512


@dataclass(frozen=True)
class Images:
    """R9: convolutional networks on coloured shapes.

    Attributes:
        size: side of the images in pixels.
        channels: of the stages.
        blocks: a stage.
        num_train: images to train on.
        num_eval: images to fit regressions on, and to test on.
        steps, batch, rate: of Adam.
    """

    size: int = 16
    channels: tuple[int, ...] = (8, 16)
    blocks: int = 1
    num_train: int = 2048
    num_eval: int = 512
    steps: int = 600
    batch: int = 32
    rate: float = 1e-2


@dataclass(frozen=True)
class Preset:
    """Sizes of all experiments."""

    perceptrons: Perceptrons = field(default_factory=Perceptrons)
    transformers: Transformers = field(default_factory=Transformers)
    images: Images = field(default_factory=Images)


QUICK = Preset()
"""A laptop, seconds."""

STANDARD = Preset(
    Perceptrons(dim=32, width=256, wide=512, steps=10_000, variant_steps=10_000, variant_batch=256, num_eval=4096, num_rsa=500),
    Transformers(dim=64, depth=4, num_heads=4, steps=10_000, batch=128, rate=1e-3, num_eval=2048),
    Images(size=32, channels=(16, 32, 64), blocks=2, num_train=20_000, num_eval=2048, steps=5000, batch=128, rate=1e-3),
)
"""One GPU, minutes."""

PAPER = Preset(
    Perceptrons(
        dim=64,
        width=512,
        wide=1024,
        depth=4,
        deep=8,
        steps=50_000,
        variant_steps=50_000,
        variant_batch=256,
        num_eval=8192,
        num_rsa=1000,
    ),
    Transformers(num_features=8, dim=256, depth=6, num_heads=8, steps=50_000, batch=256, rate=3e-4, num_eval=8192),
    Images(size=64, channels=(32, 64, 128, 256), blocks=2, num_train=100_000, num_eval=8192, steps=50_000, batch=256, rate=3e-4),
)
"""Larger networks, longer training and images of 64 x 64, in place of the paper's own sizes, which were not at hand."""

PRESETS = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
