"""Presets: data, network, objective, training, and the search for sub-spaces. A preset changes sizes, never the code path."""

from dataclasses import dataclass, field
from typing import Literal, get_args

from quire.common.checks import check_at_least, check_positive
from quire.common.train.recipe import Recipe
from quire.hydra.gates import PairInput, Relaxation
from quire.hydra.similarity import GateMode

ImageSet = Literal["digits", "cifar10-subset", "cifar10", "imagenet-1k"]
Backbone = Literal["patch", "resnet18", "resnet50"]


@dataclass(frozen=True)
class Network:
    """Backbone, projector and gate; the defaults are the paper's.

    Attributes:
        backbone: `"resnet50"` with the stem for photographs, `"resnet18"` with that for small images, or a patch network.
        channels, patch, features: of a patch network: its stages, the side of its first squares, the length of h.
        in_channels: of the images.
        projector_hidden, dim: widths of the projector; dim is D.
        embed_dim, gate_hidden: widths of the gate.
    """

    backbone: Backbone = "resnet50"
    channels: tuple[int, ...] = ()
    patch: int = 4
    features: int = 2048
    in_channels: int = 3
    projector_hidden: int = 2048
    dim: int = 256
    embed_dim: int = 512
    gate_hidden: int = 1024

    def __post_init__(self):
        if self.backbone not in get_args(Backbone):
            raise ValueError(f"backbone is {self.backbone!r}; it must be one of {', '.join(get_args(Backbone))}")
        if (self.backbone == "patch") != bool(self.channels):
            raise ValueError(f"backbone is {self.backbone!r} and channels {self.channels}; only patch networks have stages")


@dataclass(frozen=True)
class Objective:
    """The loss and the form of the gate.

    Attributes:
        temperature: T, of `gate_mode` `"cosine"`.
        gate_mode: `"cosine"`; or `"squared"`, whose scale is learned, from 10.
        reduction: `"pairs"` or `"rows"`, as for `multi_positive_nce`.
        alpha: with `"squared"`, share of the ungated similarity that is taken off, at first; 0 for none. It is learned.
        pair_input, relaxation: of `PairGate`.
        entropy_weight: of the mean entropy of the gates, which makes them binary.
    """

    temperature: float = 0.1
    gate_mode: GateMode = "cosine"
    reduction: str = "pairs"
    alpha: float = 0.0
    pair_input: PairInput = "fused"
    relaxation: Relaxation = "sigmoid"
    entropy_weight: float = 0.0

    def __post_init__(self):
        check_positive("temperature", self.temperature)
        if self.gate_mode not in get_args(GateMode) or (self.alpha and self.gate_mode != "squared"):
            raise ValueError(
                f"gate_mode is {self.gate_mode!r} and alpha {self.alpha}; it must be one of {', '.join(get_args(GateMode))}, "
                "and only 'squared' has an alpha"
            )
        if self.reduction not in ("pairs", "rows"):
            raise ValueError(f"reduction is {self.reduction!r}; it must be 'pairs' or 'rows'")


@dataclass(frozen=True)
class Subspaces:
    """Gates for single pairs of classes on frozen features (C2).

    Attributes:
        pairs: how many random pairs of different classes.
        per_class, others: samples of each class of the pair and of all other classes.
        steps, learning_rate: of Adam on the logits of the gate.
        temperature: T.
        planted_pairs, planted_classes, planted_dim: the same of the planted mixtures.
    """

    pairs: int = 10
    per_class: int = 100
    others: int = 400
    steps: int = 100
    learning_rate: float = 0.1
    temperature: float = 0.1
    planted_pairs: int = 4
    planted_classes: int = 8
    planted_dim: int = 32


@dataclass(frozen=True)
class Preset:
    """Everything the claims need to know.

    Attributes:
        image_set, image_size: data; side of crops of photographs, in pixels.
        network, objective, training, subspaces: see there.
        num_train, num_test: the first images of a set in memory; all that there are for 0.
        views: randomly changed copies of every training image that are kept in memory, at least two: SimCLR's pairs.
        augmented: whether the methods with labels see these copies too, or the images alone.
        beside: methods that are trained for the first seed only.
        neighbours: k of the nearest-neighbour vote.
        fallback: what runs where the data are not on this machine, or None.
    """

    image_set: ImageSet
    network: Network
    training: Recipe
    objective: Objective = field(default_factory=Objective)
    subspaces: Subspaces = field(default_factory=Subspaces)
    image_size: int = 32
    num_train: int = 0
    num_test: int = 0
    views: int = 2
    augmented: bool = False
    beside: tuple[str, ...] = ("distinct + gate", "SimCLR", "cross-entropy")
    neighbours: int = 10
    fallback: "Preset | None" = None

    def __post_init__(self):
        check_at_least("views", self.views, 2)
        if self.training.batch_size % 2:
            raise ValueError(f"batch_size is {self.training.batch_size}; two views of each image need an even number")


_SMALL = Network("patch", (16, 32, 64), features=64, projector_hidden=64, dim=32, embed_dim=32, gate_hidden=64)
_ADAM = Recipe(steps=200, batch_size=128, learning_rate=5e-3, schedule="constant", optimiser="adam")

DIGITS = Preset(
    "digits",
    Network("patch", (16, 32), 2, 64, 1, projector_hidden=64, dim=32, embed_dim=32, gate_hidden=64),
    _ADAM,
    image_size=8,
    num_train=1400,
    subspaces=Subspaces(per_class=60, others=300),
)
"""Needs no file: what runs at `quick` without the CIFAR images."""

QUICK = Preset("cifar10-subset", _SMALL, _ADAM, num_train=4000, num_test=1000, fallback=DIGITS)
"""A laptop, less than a minute: twelve small patch networks on 4000 images at once."""

STANDARD = Preset(
    "cifar10",
    Network("resnet18", in_channels=3),
    Recipe(10 * 195, 256, 1e-3, optimiser="adam", warmup=0.04, weight_decay=5e-4),
    views=3,
    augmented=True,
)
"""One GPU, minutes: ResNet-18 on CIFAR-10, ten epochs for each of twelve runs."""

PAPER = Preset(
    "imagenet-1k",
    Network(),
    Recipe(100 * (1_281_167 // 512), 512, 1e-3, optimiser="adam", warmup=0.04, weight_decay=5e-4),
    image_size=224,
    augmented=True,
)
"""The paper's: ResNet-50 on ImageNet-1K, 500,500 pairs of classes."""

PRESETS = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
