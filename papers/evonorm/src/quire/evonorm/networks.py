"""The networks that a layer is tried in: pre-activation ResNet, MobileNetV2, EfficientNet, for any layer."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Num

from quire.common.checks import check_at_least
from quire.common.layers.convolution import Conv, conv_nd
from quire.common.layers.mobile import InvertedResidual, NormAct
from quire.evonorm.graph import Graph
from quire.evonorm.interpreter import GraphLayer
from quire.evonorm.layers import BatchNormAct, EvoNorm, GroupNormAct

Architecture = Literal["switched", "preact", "mobilenet_v2", "efficientnet"]
LAYERS: dict[str, Callable[..., nnx.Module]] = {
    "BN-ReLU": BatchNormAct,
    "GN-ReLU": GroupNormAct,
    "GN-SiLU": partial(GroupNormAct, act=jax.nn.silu),
    **{f"EvoNorm-{kind}": partial(EvoNorm, kind=kind) for kind in ("B0", "B1", "B2", "S0", "S1", "S2")},
}
"""Baselines and discovered layers by name."""


def norm_factory(layer: str | Graph, *, groups: int = 32, rows: int | None = None) -> NormAct:
    """A builder of layers, as networks take it: `(features, active) -> module`.

    Args:
        layer: a name of `LAYERS`, or a graph.
        groups: of layers with groups; reduced until they divide the channels.
        rows: not None for graphs that are interpreted, see `GraphLayer`.

    Raises:
        ValueError: for another name, or groups below 1.

    >>> norm_factory("EvoNorm-S0", groups=32)(24, True).groups
    24
    """
    check_at_least("groups", groups)
    if isinstance(layer, Graph):
        build = partial(GraphLayer, layer, rows=rows)
    elif layer in LAYERS:
        build = LAYERS[layer]
    else:
        raise ValueError(f"layer is {layer!r}; it must be a graph or one of {', '.join(LAYERS)}")
    if layer == "BN-ReLU":
        return lambda features, active: build(features, apply_act=active)
    return lambda features, active: build(features, apply_act=active, groups=fitting_groups(features, groups))


def fitting_groups(features: int, groups: int) -> int:
    """The largest number up to `groups` that divides the channels.

    >>> fitting_groups(24, 32), fitting_groups(20, 8)
    (24, 5)
    """
    return next(g for g in range(min(groups, features), 0, -1) if features % g == 0)


@dataclass(frozen=True)
class NetworkConfig:
    """A network.

    Attributes:
        architecture: `"preact"`, `"mobilenet_v2"` or `"efficientnet"`; `"switched"` is a small one whose residual sums and whose
            3 x 3 kernels can be switched off while it runs.
        width: channels of the stem of `switched` and `preact`, or the multiple of 8 channels that stands for 32 of the others.
        depths: blocks of each stage of `switched` and `preact`.
        bottleneck: whether the blocks of `preact` are of three convolutions.
        groups: of layers with groups.

    Raises:
        ValueError: for another architecture, or sizes below 1.
    """

    architecture: Architecture = "preact"
    width: int = 16
    depths: tuple[int, ...] = (2, 2, 2)
    bottleneck: bool = False
    groups: int = 8

    def __post_init__(self):
        if self.architecture not in get_args(Architecture):
            raise ValueError(f"architecture is {self.architecture!r}; it must be one of {', '.join(get_args(Architecture))}")
        if not self.depths or min(*self.depths, self.width, self.groups) < 1:
            raise ValueError(
                f"width is {self.width}, depths {self.depths}, groups {self.groups}; there must be a stage, and all at least 1"
            )


def build_network(config: NetworkConfig, norm: NormAct, *, in_channels: int, classes: int, rngs: nnx.Rngs) -> nnx.Module:
    """The network of a configuration: images `[batch, h, w, in_channels]` to logits `[batch, classes]`."""
    options = {"norm": norm, "in_channels": in_channels, "classes": classes, "rngs": rngs}
    if config.architecture == "switched":
        return SwitchedNet(config.width, sum(config.depths), **options)
    if config.architecture == "preact":
        return PreActResNet(config.depths, config.width, 4 if config.bottleneck else 1, **options)
    plan, squeeze = (MOBILENET_V2, 0.0) if config.architecture == "mobilenet_v2" else (EFFICIENTNET_B0, 0.25)
    return MobileNet(plan, config.width, squeeze, **options)


class Classifier(nnx.Module):
    """The end of every network here: layer, mean over space, linear map."""

    def __init__(self, features: int, classes: int, *, norm: NormAct, rngs: nnx.Rngs):
        self.norm = norm(features, True)
        self.head = Conv(features, classes, (1,), rngs=rngs)

    def __call__(self, h: Num[Array, "batch h w c"]) -> Float[Array, "batch classes"]:
        """Logits."""
        return self.head(self.norm(h).mean((1, 2))[:, None])[:, 0]


# --- Pre-activation ResNet (He et al. 2016b) ---


class PreActBlock(nnx.Module):
    """`x + f(x)`, f being a layer and a convolution, twice, or three times for a bottleneck.

    Where the shape changes, the shortcut is a convolution that starts behind the first layer.
    """

    def __init__(self, before: int, width: int, expansion: int, stride: int, *, norm: NormAct, rngs: nnx.Rngs):
        after = width * expansion
        plan = [(before, width, 3, stride), (width, after, 3, 1)]
        if expansion > 1:
            plan = [(before, width, 1, 1), (width, width, 3, stride), (width, after, 1, 1)]
        self.norms = nnx.List([norm(sizes[0], True) for sizes in plan])
        self.convs = nnx.List([Conv(a, b, side, stride=s, use_bias=False, rngs=rngs) for a, b, side, s in plan])
        moves = stride > 1 or before != after
        self.shortcut = Conv(before, after, 1, stride=stride, use_bias=False, rngs=rngs) if moves else None

    def __call__(self, x: Num[Array, "batch h w c"]) -> Float[Array, "batch h_out w_out c_out"]:
        """Channels `expansion * width`."""
        h = x
        for place, (norm, conv) in enumerate(zip(self.norms, self.convs, strict=True)):
            h = norm(h)
            if place == 0 and self.shortcut is not None:
                x = self.shortcut(h)
            h = conv(h)
        return x + h


class PreActResNet(nnx.Module):
    """A 3 x 3 stem, stages that halve the image and double the width, a classifier.

    Args:
        depths: blocks of each stage.
        width: of the first stage.
        expansion: 1 for basic blocks, 4 for the bottlenecks of ResNet-50.
        norm: builds layers.
        in_channels, classes: of images and logits.
        rngs: for the initial weights.
    """

    def __init__(self, depths, width: int, expansion: int, *, norm: NormAct, in_channels: int, classes: int, rngs: nnx.Rngs):
        self.stem = Conv(in_channels, width, 3, use_bias=False, rngs=rngs)
        blocks, before = [], width
        for stage, depth in enumerate(depths):
            for place in range(depth):
                stride = 2 if stage and not place else 1
                blocks.append(PreActBlock(before, width * 2**stage, expansion, stride, norm=norm, rngs=rngs))
                before = width * 2**stage * expansion
        self.blocks = nnx.List(blocks)
        self.end = Classifier(before, classes, norm=norm, rngs=rngs)

    def __call__(self, images: Num[Array, "batch h w c"]) -> Float[Array, "batch classes"]:
        """Logits."""
        h = self.stem(images)
        for block in self.blocks:
            h = block(h)
        return self.end(h)


# --- MobileNetV2 and EfficientNet-B0, without the strides that small images cannot take ---

MOBILENET_V2 = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 1, 3),
    (6, 32, 3, 2, 3),
    (6, 64, 4, 2, 3),
    (6, 96, 3, 1, 3),
    (6, 160, 3, 2, 3),
    (6, 320, 1, 1, 3),
)
"""Expansion, channels, blocks, stride and kernel of every stage."""
EFFICIENTNET_B0 = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 1, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)


class MobileNet(nnx.Module):
    """Inverted residuals behind a stem, in the stages of MobileNetV2 or, with squeeze-and-excitation, of EfficientNet.

    Args:
        plan: stages.
        width: channels of the stem; all others shrink with it, 32 being the published width.
        squeeze: see `InvertedResidual`.
        norm, in_channels, classes, rngs: as for `PreActResNet`.
    """

    def __init__(self, plan, width: int, squeeze: float, *, norm: NormAct, in_channels: int, classes: int, rngs: nnx.Rngs):
        self.stem = Conv(in_channels, width, 3, use_bias=False, rngs=rngs)
        self.stem_norm = norm(width, True)
        blocks, before = [], width
        for expansion, channels, count, stride, side in plan:
            after = max(1, round(channels * width / 32))
            for place in range(count):
                options = {"kernel_size": side, "stride": 1 if place else stride, "squeeze": squeeze}
                blocks.append(InvertedResidual(before, after, expansion, norm=norm, rngs=rngs, **options))
                before = after
        self.blocks = nnx.List(blocks)
        self.widen = Conv(before, 40 * width, 1, use_bias=False, rngs=rngs)
        self.end = Classifier(40 * width, classes, norm=norm, rngs=rngs)

    def __call__(self, images: Num[Array, "batch h w c"]) -> Float[Array, "batch classes"]:
        """Logits."""
        h = self.stem_norm(self.stem(images))
        for block in self.blocks:
            h = block(h)
        return self.end(self.widen(h))


# --- Several architectures in one program ---


class Switches(nnx.Variable):
    """What a `SwitchedNet` has: `[residual sums, 3 x 3 kernels]`, 1 for yes, 0 for no."""


class SwitchedNet(nnx.Module):
    """A stem and blocks of a layer and a convolution; with numbers for switches one program serves several architectures.

    Args:
        width: channels.
        depth: blocks.
        norm, in_channels, classes, rngs: as for `PreActResNet`.
    """

    def __init__(self, width: int, depth: int, *, norm: NormAct, in_channels: int, classes: int, rngs: nnx.Rngs):
        self.stem = Conv(in_channels, width, 3, rngs=rngs)
        self.norms = nnx.List([norm(width, True) for _ in range(depth)])
        self.convs = nnx.List([Conv(width, width, 3, rngs=rngs) for _ in range(depth)])
        self.end = Classifier(width, classes, norm=norm, rngs=rngs)
        self.switches = Switches(jnp.ones(2))

    def __call__(self, images: Num[Array, "batch h w c"]) -> Float[Array, "batch classes"]:
        """Logits."""
        skips, wide = self.switches[...]
        centre = jnp.zeros((3, 3, 1, 1)).at[1, 1].set(1.0)
        h = self.stem(images)
        for norm, conv in zip(self.norms, self.convs, strict=True):
            assert conv.bias is not None  # every convolution here has one
            kernel = conv.kernel[...] * jnp.broadcast_to(wide + (1 - wide) * centre, conv.kernel.shape)
            h = skips * h + conv_nd(norm(h), kernel) + conv.bias[...].reshape(1, 1, 1, -1)
        return self.end(h)
