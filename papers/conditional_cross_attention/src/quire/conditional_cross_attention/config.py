"""Presets: images with attributes, networks, training. A preset changes sizes, never the code path."""

from dataclasses import dataclass, field
from typing import Literal, get_args

from quire.common.checks import check_at_least, check_positive
from quire.common.train.recipe import Recipe

ImageSet = Literal["shapes", "cifar10-subset", "fashionai"]
Positions = Literal["sincos", "learned"]
TripletSource = Literal["in-batch", "fixed"]
TripletLoss = Literal["cosine", "sqeuclidean"]
Rival = Literal["unconditioned", "separate", "CSN", "ASEN"]


@dataclass(frozen=True)
class ViT:
    """Sizes of a vision transformer; the defaults are those of ViT-B/16, of whose 12 blocks the last is the conditional one.

    Attributes:
        image_size: side of the square images in pixels.
        patch: side of a patch; must divide it.
        dim: channels of a token.
        num_heads: heads of every attention; must divide `dim`.
        depth: blocks before the last one.
        mlp_ratio: hidden width of the MLPs over `dim`.
        channels: of the images.
        positions: `"learned"`, or fixed sines and cosines.

    Raises:
        ValueError: for sizes that do not fit together.
    """

    image_size: int = 224
    patch: int = 16
    dim: int = 768
    num_heads: int = 12
    depth: int = 11
    mlp_ratio: int = 4
    channels: int = 3
    positions: Positions = "learned"

    def __post_init__(self):
        for name in ("image_size", "patch", "dim", "num_heads", "mlp_ratio", "channels"):
            check_at_least(name, getattr(self, name))
        check_at_least("depth", self.depth, 0)
        if self.image_size % self.patch or self.dim % self.num_heads:
            raise ValueError(
                f"image_size is {self.image_size}, patch {self.patch}, dim {self.dim}, num_heads {self.num_heads}; "
                "patch must divide image_size, and num_heads dim"
            )
        if self.positions not in get_args(Positions):
            raise ValueError(f"positions is {self.positions!r}; it must be one of {', '.join(get_args(Positions))}")


@dataclass(frozen=True)
class Training(Recipe):
    """How networks are trained.

    Attributes:
        margin: m of the loss.
        loss: by cosines or by squared distances.
        triplets: drawn out of the images of a batch, for every attribute at once, or `num_triplets` fixed ones beforehand, whose
            three images are encoded each; the batch size counts images or triplets.
        num_triplets: see there.

    Raises:
        ValueError: for an unknown loss or source, or a number out of its range.
    """

    margin: float = 0.2
    loss: TripletLoss = "cosine"
    triplets: TripletSource = "in-batch"
    num_triplets: int = 100_000

    def __post_init__(self):
        super().__post_init__()
        check_positive("margin", self.margin)
        check_at_least("num_triplets", self.num_triplets)
        for name, known in (("loss", get_args(TripletLoss)), ("triplets", get_args(TripletSource))):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} is {getattr(self, name)!r}; it must be one of {', '.join(known)}")


@dataclass(frozen=True)
class Preset:
    """Everything the claims need to know.

    Attributes:
        image_set: data.
        num_train, num_queries, num_candidates: images of each part, where the set leaves a choice.
        correlation: share of the drawn shapes whose colour is told by their shape.
        vit, embed_dim: networks.
        cond: embedding of the conditions.
        training: recipe of all networks.
        rivals: what is trained beside: one space for all attributes, a network for each attribute (first seed only), CSN, ASEN.
        asen_dim: common dimension of the attentions of ASEN.
        neighbours: k of the probe of entanglement.
        held_out_triplets: drawn from the queries.

    Raises:
        ValueError: for a size below 1, or an unknown rival.
    """

    image_set: ImageSet
    vit: ViT
    embed_dim: int
    training: Training
    num_train: int = 2000
    num_queries: int = 600
    num_candidates: int = 1000
    correlation: float = 0.0
    cond: Literal["table", "mask"] = "table"
    rivals: tuple[Rival, ...] = field(default=get_args(Rival))
    asen_dim: int = 512
    neighbours: int = 10
    held_out_triplets: int = 1000

    def __post_init__(self):
        for name in ("embed_dim", "num_train", "num_queries", "num_candidates", "asen_dim", "neighbours", "held_out_triplets"):
            check_at_least(name, getattr(self, name))
        if unknown := [name for name in self.rivals if name not in get_args(Rival)]:
            raise ValueError(f"rivals names {unknown[0]!r}; there are {', '.join(get_args(Rival))}")
        if self.neighbours > self.num_candidates:
            raise ValueError(f"neighbours is {self.neighbours}; there are only {self.num_candidates} candidates")


QUICK = Preset(
    image_set="shapes",
    vit=ViT(image_size=24, patch=6, dim=32, num_heads=4, depth=1, mlp_ratio=2, positions="sincos"),
    embed_dim=16,
    training=Training(steps=200, batch_size=64, learning_rate=3e-3, optimiser="adam"),
    rivals=("unconditioned", "separate", "CSN"),
    asen_dim=64,
)
"""A laptop, less than a minute: drawn shapes, one shared block and the conditional one."""

STANDARD = Preset(
    image_set="cifar10-subset",
    vit=ViT(image_size=32, patch=4, dim=64, num_heads=4, depth=4, positions="sincos"),
    embed_dim=32,
    training=Training(steps=4000, batch_size=128, learning_rate=1e-3, optimiser="adamw", warmup=0.05, weight_decay=0.05),
    num_queries=800,
    num_candidates=1200,
    asen_dim=128,
)
"""One GPU, minutes: photographs of CIFAR-10 with derived attributes, and ASEN beside."""

PAPER = Preset(
    image_set="fashionai",
    vit=ViT(),
    embed_dim=128,
    training=Training(
        steps=20 * (100_000 // 16),
        batch_size=16,
        learning_rate=1e-4,
        schedule="halve",
        optimiser="adam",
        epochs=20,
        triplets="fixed",
    ),
)
"""ViT-B/16 on FashionAI at 224 pixels, a hundred thousand fixed triplets, as the protocol of ASEN has them.

The weights start at random, not from ImageNet; rate and length are choices.
"""

PRESETS = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
