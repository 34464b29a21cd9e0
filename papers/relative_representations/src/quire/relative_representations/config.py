"""Presets: encoders of images, autoencoders, graph networks. A preset changes sizes, never the code path."""

from dataclasses import dataclass, replace
from typing import Literal

from quire.common.train.recipe import Recipe

ImageSet = Literal["digits", "mnist-t10k", "cifar10"]
CitationSet = Literal["generated", "cora"]


@dataclass(frozen=True)
class Autoencoding:
    """Autoencoders of the same images (section 5.1).

    Attributes:
        latent: dimension of the latents.
        hidden: numbers behind the first map of the decoder ("numel").
        channels: of the encoder, a patch network.
        training: recipe.
        relative_anchors: anchors of the autoencoders that are trained on relative codes.
    """

    latent: int
    hidden: int
    channels: tuple[int, ...]
    training: Recipe
    relative_anchors: int


@dataclass(frozen=True)
class Images:
    """Encoders of images, each trained as a classifier for itself, and heads on their relative codes.

    Attributes:
        image_set, num_train: data; training images where the set leaves a choice.
        architectures: channels of the patch network of every architecture; none for a ResNet-18 with the projection of the paper.
        per_architecture: encoders of each, from different initial weights and batches.
        patch, in_channels: of the patch networks, and of the images.
        dim: of the latents.
        training: recipe of the encoders.
        anchor_counts: few, some and all anchors. The first of those that are drawn are the fewer.
        head_training: recipe of the heads on relative codes.
        autoencoding: see there.
        fallback: what runs where the data are not on this machine, or None.
    """

    image_set: ImageSet
    architectures: tuple[tuple[int, ...], ...]
    dim: int
    training: Recipe
    anchor_counts: tuple[int, int, int]
    head_training: Recipe
    autoencoding: Autoencoding
    per_architecture: int = 2
    patch: int = 4
    in_channels: int = 1
    num_train: int = 6000
    fallback: "Images | None" = None

    def __post_init__(self):
        few, some, most = self.anchor_counts
        if not 0 < few < some < most or self.per_architecture * len(self.architectures) < 2:
            raise ValueError(
                f"anchor_counts is {self.anchor_counts} with {len(self.architectures)} x {self.per_architecture} encoders; "
                "it must rise, and stitching needs two encoders"
            )

    @property
    def num_encoders(self) -> int:
        """Encoders of one seed of a claim."""
        return self.per_architecture * len(self.architectures)


@dataclass(frozen=True)
class Graphs:
    """Graph networks on citations (section 4.2).

    Attributes:
        citation_set: data.
        hidden, latent: widths of the two layers.
        rates: learning rate of every network. Those of the first rate are stitched.
        snapshots: steps at which networks are looked at; training ends with the last one.
        weight_decay: of AdamW.
        anchors: nodes that are anchors.
        head_steps, head_rate: Adam, for heads on relative codes.
        fallback: what runs where the data are not on this machine, or None.
    """

    citation_set: CitationSet = "cora"
    hidden: int = 32
    latent: int = 32
    rates: tuple[float, ...] = (1e-2, 1e-2, 1e-2, 1e-2, 3e-3, 3e-3, 1e-3, 3e-2)
    snapshots: tuple[int, ...] = (5, 15, 60)
    weight_decay: float = 5e-4
    anchors: int = 300
    head_steps: int = 200
    head_rate: float = 5e-3
    fallback: "Graphs | None" = None

    def __post_init__(self):
        rising = all(a < b for a, b in zip((0, *self.snapshots), self.snapshots, strict=False))
        if self.stitched < 2 or len(self.rates) < 3 or not self.snapshots or not rising:
            raise ValueError(
                f"rates is {self.rates} and snapshots {self.snapshots}; at least two of three or more networks need the first "
                "rate, and snapshots must rise"
            )

    @property
    def stitched(self) -> int:
        """How many networks have the first rate."""
        return sum(rate == self.rates[0] for rate in self.rates)


@dataclass(frozen=True)
class Preset:
    """Everything the claims need to know."""

    images: Images
    graphs: Graphs


_ENCODERS = Recipe(steps=200, batch_size=64, learning_rate=2e-3, schedule="constant", optimiser="adam")
_HEADS = Recipe(steps=300, batch_size=256, learning_rate=5e-3, schedule="constant", optimiser="adam")

_MNIST = Images(
    image_set="mnist-t10k",
    architectures=((16, 32, 32), (24, 48, 48)),
    dim=64,
    training=_ENCODERS,
    anchor_counts=(10, 50, 300),
    head_training=_HEADS,
    autoencoding=Autoencoding(32, 128, (16, 32, 32), _ENCODERS, relative_anchors=100),
)

DIGITS = replace(_MNIST, image_set="digits", patch=2, num_train=1437)
"""Needs no file: what runs at `quick` without the MNIST images."""

GENERATED = Graphs("generated")
"""Needs no file: what runs at `quick` without Cora."""

QUICK = Preset(replace(_MNIST, fallback=DIGITS), Graphs(fallback=GENERATED))
"""A laptop, less than a minute: patch networks on MNIST, graph networks on Cora."""

_LONGER = Recipe(steps=4000, batch_size=256, learning_rate=2e-3, optimiser="adamw", warmup=0.05, weight_decay=0.05)

STANDARD = Preset(
    Images(
        image_set="cifar10",
        architectures=((64, 128, 256), (96, 192, 384)),
        dim=128,
        training=_LONGER,
        anchor_counts=(10, 100, 500),
        head_training=replace(_HEADS, steps=2000),
        autoencoding=Autoencoding(128, 1024, (64, 128, 256), _LONGER, relative_anchors=500),
        in_channels=3,
    ),
    Graphs(rates=(1e-2,) * 10 + (3e-3,) * 20 + (1e-3,) * 20 + (3e-2,) * 10, snapshots=(5, 15, 60, 200)),
)
"""One GPU, minutes: CIFAR-10, and sixty networks on Cora."""

_EPOCHS = Recipe(
    steps=100 * 50_000 // 256, batch_size=256, learning_rate=1e-3, optimiser="adamw", warmup=0.05, weight_decay=1e-2, clip=1.0
)

PAPER = Preset(
    Images(
        image_set="cifar10",
        architectures=((), ()),
        dim=500,
        training=_EPOCHS,
        anchor_counts=(10, 300, 768),
        head_training=replace(_HEADS, steps=10_000),
        autoencoding=Autoencoding(500, 2048, (64, 128, 256), _EPOCHS, relative_anchors=500),
        per_architecture=5,
        in_channels=3,
    ),
    Graphs(hidden=64, latent=64, rates=(1e-2,) * 500 + (3e-3,) * 500 + (1e-3,) * 500 + (3e-2,) * 500, snapshots=(50, 200, 500)),
)
"""The paper's: ResNets on CIFAR-10 with 768 anchors, about 2000 networks on Cora.

The paper's other sets (CIFAR-100, ImageNet with published encoders, texts in several languages) differ in the loader alone.
"""

PRESETS = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
