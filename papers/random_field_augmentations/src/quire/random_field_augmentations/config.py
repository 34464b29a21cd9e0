"""Presets: sizes of the experiments. A preset changes sizes, never the code path."""

import math
from dataclasses import dataclass, field, replace
from typing import Literal

import jax
from flax import nnx

from quire.common.checks import check_at_least, check_positive
from quire.common.layers.patch_net import PatchNet
from quire.common.layers.resnet import resnet18, resnet50
from quire.common.train.recipe import Recipe
from quire.random_field_augmentations.augment import RandomFieldConfig
from quire.random_field_augmentations.simclr import Setting, SimCLR, Views

LOCAL = RandomFieldConfig()
GLOBAL = replace(LOCAL, ell=math.inf)
NONE = replace(LOCAL, strength=0.0)
STRENGTHS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)


def of_strength(strength: float) -> str:
    """Name of a setting of the sweep."""
    return f"strength {strength:g}"


SETTINGS: dict[str, Setting] = {
    "baseline": Setting(NONE, GLOBAL),
    "global": Setting(GLOBAL, GLOBAL),
    "local geometry": Setting(LOCAL, GLOBAL),
    "local colour": Setting(NONE, LOCAL),
} | {of_strength(s): Setting(replace(LOCAL, strength=s), replace(LOCAL, strength=s)) for s in STRENGTHS}
"""Augmentations behind crop and mirror image. The baseline is SimCLR's jitter of colours, one value an image; `"global"` has one
value an image of every parameter; `"strength 1"` is the method."""
METHOD = of_strength(1.0)


@dataclass(frozen=True)
class Network:
    """Encoder and head.

    Attributes:
        encoder: patches and matrix products, or a residual network.
        channels: of the stages of the first kind.
        patch: side of its first patches.
        head: widths of the projection head.
    """

    encoder: Literal["patches", "resnet18", "resnet50"] = "patches"
    channels: tuple[int, ...] = (64, 128, 128)
    patch: int = 4
    head: tuple[int, ...] = (128, 64)

    def build(self, rngs: nnx.Rngs) -> SimCLR:
        """A model with weights drawn anew."""
        if self.encoder == "patches":
            dim = self.channels[-1]
            encoder = PatchNet(self.channels, dim, patch=self.patch, in_channels=3, act=jax.nn.relu, rngs=rngs)
        elif self.encoder == "resnet18":
            dim, encoder = 512, resnet18(stem="cifar", rngs=rngs)
        else:
            dim, encoder = 2048, resnet50(rngs=rngs)
        return SimCLR(encoder, dim, self.head, rngs=rngs)


@dataclass(frozen=True)
class Preset:
    """Sizes of all experiments.

    Attributes:
        image_set: what is learned from.
        side: of the images, to which they are averaged.
        num_train: images that are learned from, without labels, and that probes are fitted on.
        num_test: images that probes are judged by.
        network, recipe: of every model.
        temperature: of the loss.
        views: crops, greys and blur, the same for all settings.
        at_once: settings that are trained side by side.
        num_structure: images whose structure is measured at every strength.
        num_draws: C5, views of an image.
        num_fields: C2, fields that are drawn.
    """

    image_set: Literal["cifar10-subset", "cifar10", "imagenet"] = "cifar10-subset"
    side: int = 16
    num_train: int = 2000
    num_test: int = 2000
    network: Network = field(default_factory=Network)
    recipe: Recipe = field(default_factory=lambda: Recipe(200, 64, 3e-3, warmup=0.1, weight_decay=1e-4))
    temperature: float = 0.2
    views: Views = field(default_factory=lambda: Views(smallest_area=0.5))
    at_once: int = len(SETTINGS)
    num_structure: int = 100
    num_draws: int = 200
    num_fields: int = 4000

    def __post_init__(self):
        for name in ("side", "num_train", "num_test", "at_once", "num_structure", "num_draws", "num_fields"):
            check_at_least(name, getattr(self, name))
        check_positive("temperature", self.temperature)


QUICK = Preset()
"""A laptop, a minute: 2000 images of 16 x 16."""

STANDARD = Preset(
    "cifar10",
    side=32,
    num_train=50_000,
    num_test=10_000,
    network=Network("resnet18", head=(512, 128)),
    recipe=Recipe(40_000, 512, 1e-3, warmup=0.05, weight_decay=1e-4),
    views=Views(smallest_area=0.2),
    at_once=2,
    num_structure=1000,
    num_draws=1000,
    num_fields=20_000,
)
"""One GPU, hours: CIFAR-10 and ResNet-18."""

PAPER = replace(
    STANDARD,
    image_set="imagenet",
    side=224,
    num_train=100_000,
    num_test=50_000,
    network=Network("resnet50", head=(2048, 128)),
    recipe=Recipe(200_000, 512, 1e-3, warmup=0.05, weight_decay=1e-4),
    temperature=0.1,
    views=Views(smallest_area=0.08, blur=0.5, radius=11),
    at_once=1,
)
"""ResNet-50 on photographs of ImageNet; a part of them, as many as a device holds."""

PRESETS = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
