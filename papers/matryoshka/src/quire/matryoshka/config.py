"""Presets: data, encoder, nesting list, training, search. A preset changes sizes, never the code path."""

from dataclasses import dataclass, replace
from typing import Literal

from quire.common.layers.nested import check_sizes
from quire.common.train.recipe import Recipe

ImageSet = Literal["digits", "mnist-t10k", "cifar10-subset", "imagenet-1k"]


@dataclass(frozen=True)
class Encoder:
    """The backbone F, from images to embeddings.

    Attributes:
        channels: of the stages of a patch network; none for a ResNet-50, as in the paper.
        patch: side of the squares of its first stage.
        in_channels: of the images.
        plain: ReLUs and no normalisation; with a patch as large as the image, a perceptron.
    """

    channels: tuple[int, ...] = ()
    patch: int = 4
    in_channels: int = 3
    plain: bool = False


@dataclass(frozen=True)
class Training(Recipe):
    """Recipe of a training run.

    Attributes:
        label_smoothing: s.
    """

    label_smoothing: float = 0.0


@dataclass(frozen=True)
class Search:
    """Adaptive retrieval and funnel (section 4.3).

    Attributes:
        d_s, d_r: dimensions of the shortlist and of its ranking.
        shortlist: K.
        funnel_start, funnel_sizes, funnel_shortlists: the funnel's stages, the first being the search by `funnel_start` numbers.
        places: k of mAP@k.
        superclasses: groups of classes, by how near their mean images are.
    """

    d_s: int = 16
    d_r: int = 2048
    shortlist: int = 200
    funnel_start: int = 8
    funnel_sizes: tuple[int, ...] = (16, 32, 64, 128, 2048)
    funnel_shortlists: tuple[int, ...] = (800, 400, 200, 50, 10)
    places: int = 10
    superclasses: int = 10


@dataclass(frozen=True)
class Preset:
    """Everything the claims need to know; the defaults are the paper's.

    Attributes:
        image_set, image_size, num_train: data, side in pixels, training images (all that there are for 0).
        encoder, nesting, training, search: see there.
        budget: the expected dimension of the cascade may not exceed it; its accuracy has to exceed that of the fixed prefix
            of this size.
        cascade_splits: divisions of the test set into a part for thresholds and a part for accuracy.
        flip: whether logits are averaged over an image and its mirror image at test time.
        slimmable: whether slimmable networks are trained; they slice patch networks only.
        fallback: what runs where the data are not on this machine, or None.

    Raises:
        ValueError: for sizes that do not fit together.
    """

    image_set: ImageSet
    image_size: int
    encoder: Encoder
    nesting: tuple[int, ...]
    training: Training
    search: Search
    num_train: int = 0
    budget: int = 8
    cascade_splits: int = 30
    flip: bool = False
    slimmable: bool = True
    fallback: "Preset | None" = None

    def __post_init__(self):
        check_sizes(self.nesting, self.dim)
        search = self.search
        used = (search.d_s, search.d_r, search.funnel_start, *search.funnel_sizes)
        if len(self.nesting) < 4 or max(used) > self.dim or self.budget not in self.nesting:
            raise ValueError(
                f"nesting is {self.nesting} for a search by {used} and a budget of {self.budget}; it needs at least four sizes, "
                "the budget among them, and no search beyond the largest"
            )
        if self.slimmable and not self.encoder.channels:
            raise ValueError("slimmable is True; only patch networks are sliced, and encoder.channels is empty")

    @property
    def dim(self) -> int:
        """d, the largest size."""
        return max(self.nesting, default=0)


DIGITS = Preset(
    image_set="digits",
    image_size=8,
    num_train=1200,
    encoder=Encoder((128,), patch=8, in_channels=1, plain=True),
    nesting=(2, 4, 8, 16, 32),
    training=Training(steps=240, batch_size=60, learning_rate=2e-3, weight_decay=1e-4),
    search=Search(8, 32, 100, 2, (4, 8, 16, 32), (200, 100, 50, 10), superclasses=3),
    cascade_splits=3,
)
"""Needs no file: what runs at `quick` without the MNIST images."""

QUICK = Preset(
    image_set="mnist-t10k",
    image_size=14,
    num_train=8000,
    encoder=Encoder((128,), patch=14, in_channels=1, plain=True),
    nesting=(2, 4, 8, 16, 32, 64),
    training=Training(steps=480, batch_size=100, learning_rate=2e-3, weight_decay=1e-4),
    search=Search(8, 64, 100, 2, (4, 8, 16, 64), (800, 400, 100, 10), superclasses=3),
    cascade_splits=3,
    fallback=DIGITS,
)
"""A laptop, less than a minute: MNIST at half its resolution, a perceptron of one hidden layer."""

STANDARD = Preset(
    image_set="cifar10-subset",
    image_size=32,
    encoder=Encoder((64, 128, 256), patch=4, in_channels=3),
    nesting=(2, 4, 8, 16, 32, 64, 128),
    training=Training(steps=3000, batch_size=100, learning_rate=1e-3, weight_decay=0.05, warmup=0.05),
    search=Search(8, 128, 100, 4, (8, 16, 32, 128), (800, 400, 100, 10), superclasses=3),
    flip=True,
)
"""One GPU, minutes: CIFAR-10, 24 trainings of a small network on patches."""

PAPER = Preset(
    image_set="imagenet-1k",
    image_size=224,
    encoder=Encoder(),
    nesting=(8, 16, 32, 64, 128, 256, 512, 1024, 2048),
    training=Training(
        steps=40 * 1_281_167 // 512,
        batch_size=512,
        learning_rate=0.2125,
        schedule="linear",
        optimiser="sgd",
        warmup=2 / 40,
        b1=0.9,
        weight_decay=1e-4,
        decay_kernels_only=True,
        label_smoothing=0.1,
    ),
    search=Search(),
    budget=64,
    flip=True,
    slimmable=False,
)
"""The paper's: ResNet-50 on ImageNet-1K, 40 epochs.

The authors pool with a blur, and train at 160 to 192 pixels; here pooling is plain and the resolution is one.
"""

PRESETS = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}


def with_fallback(preset: Preset) -> Preset:
    """The preset that runs without data files.

    Raises:
        ValueError: if there is none.
    """
    if preset.fallback is None:
        raise ValueError(f"image_set is {preset.image_set!r}; nothing stands in for it")
    return replace(preset.fallback)
