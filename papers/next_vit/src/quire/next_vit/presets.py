"""Presets: what to train on, how large, how long. A preset changes sizes, never the code path."""

from dataclasses import dataclass, replace
from typing import Literal

from quire.common.train.recipe import Recipe
from quire.next_vit.config import SMALL, NextViTConfig, Stage, Style

ImageSet = Literal["digits", "cifar10", "imagenet-1k"]


@dataclass(frozen=True)
class Training(Recipe):
    """Recipe of a training run.

    Attributes:
        label_smoothing: share of every target that is spread over all classes.
        mixup, cutmix: parameters of the beta distributions that images are mixed by, one of the two in every step; 0 for none.
    """

    label_smoothing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0


@dataclass(frozen=True)
class ResNetSizes:
    """The residual network beside: sizes, see `quire.common.layers.resnet.ResNet`, and its learning rate."""

    depths: tuple[int, ...]
    width: int
    learning_rate: float
    expansion: int = 1
    stem: str = "cifar"


@dataclass(frozen=True)
class ViTSizes:
    """The vision transformer beside: sizes, see `quire.common.layers.transformer.TokenClassifier`, and its learning rate."""

    patch_size: int
    dim: int
    depth: int
    num_heads: int
    learning_rate: float


@dataclass(frozen=True)
class Preset:
    """Everything the claims need to know.

    Attributes:
        image_set, image_size: images to classify, and their height and width.
        network, training: the hybrid network and its recipe, which the others share but for the learning rates of the rivals.
        designs: names of the `ablations` that are trained beside.
        resnet, vit: rivals of other families.
        baseline_images: training images of the logistic regression, which sees them at 8 x 8 pixels.
        fused: a small network whose normalisers are folded, and `fused_size`, the side of its images.
        attention_side, attention_channels: map that attention is timed on.
    """

    image_set: ImageSet
    image_size: int
    network: NextViTConfig
    training: Training
    designs: tuple[str, ...]
    resnet: ResNetSizes
    vit: ViTSizes
    baseline_images: int
    fused: NextViTConfig
    fused_size: int
    attention_side: int = 56
    attention_channels: int = 96


_NARROW = Style(init_std=None)
_DIGITS = NextViTConfig(
    stages=(Stage(32, 1, stride=1), Stage(48, 1, 64)),
    stem=((32, 2),),
    head_dim=16,
    divisor=16,
    drop_path=0.0,
    in_channels=1,
    num_classes=10,
    style=_NARROW,
)

QUICK = Preset(
    image_set="digits",
    image_size=16,
    network=_DIGITS,
    training=Training(steps=120, batch_size=32, learning_rate=3e-3, weight_decay=1e-4),
    designs=("convolution only",),
    resnet=ResNetSizes((1, 1), 24, 1e-2),
    vit=ViTSizes(4, 48, 2, 3, 3e-3),
    baseline_images=1437,
    fused=replace(_DIGITS, stages=(Stage(32, 1, stride=1), Stage(48, 1, 64, sr_ratio=2)), in_channels=3),
    fused_size=16,
)
"""A laptop, less than a minute: digits, three blocks, 68 k parameters."""

_CIFAR = NextViTConfig(
    stages=(Stage(48, 2, stride=1), Stage(96, 2, 128, sr_ratio=2), Stage(192, 2, 256, repeats=2), Stage(256, 1, 384)),
    stem=((32, 1), (48, 2)),
    drop_path=0.1,
    num_classes=10,
    head_dim=16,
    divisor=16,
    style=_NARROW,
)

STANDARD = Preset(
    image_set="cifar10",
    image_size=32,
    network=_CIFAR,
    training=Training(
        steps=8000, batch_size=128, learning_rate=1e-3, warmup=0.05, weight_decay=0.05, label_smoothing=0.1, mixup=0.2, clip=5.0
    ),
    designs=(
        "convolution only",
        "attention in the last stage only",
        "NTB without MHCA",
        "attention without reduction",
        "LN and GELU",
        "MHSA in NCB",
        "pooling in NCB",
    ),
    resnet=ResNetSizes((2, 2, 2, 2), 32, 3e-3),
    vit=ViTSizes(4, 192, 8, 6, 1e-3),
    baseline_images=10_000,
    fused=_CIFAR,
    fused_size=32,
)
"""One GPU, minutes: CIFAR-10, all designs of the paper."""

_EPOCH = 1_281_167 / 2048

PAPER = Preset(
    image_set="imagenet-1k",
    image_size=224,
    network=SMALL,
    training=Training(
        steps=round(300 * _EPOCH),
        batch_size=2048,
        learning_rate=5e-4,
        warmup=20 / 300,
        weight_decay=0.1,
        label_smoothing=0.1,
        mixup=0.8,
        cutmix=1.0,
        clip=5.0,
    ),
    designs=STANDARD.designs,
    resnet=ResNetSizes((3, 4, 6, 3), 64, 5e-4, 4, "imagenet"),
    vit=ViTSizes(16, 384, 12, 6, 5e-4),
    baseline_images=20_000,
    fused=SMALL,
    fused_size=224,
)
"""The paper's network, data and length: Next-ViT-S on ImageNet-1K, beside ResNet-50 and ViT-S/16. Of the authors' augmentation,
RandAugment and random erasing are left out."""

PRESETS = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
