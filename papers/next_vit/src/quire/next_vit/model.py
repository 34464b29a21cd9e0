"""Next-ViT: stem, stages of blocks by the Next Hybrid Strategy, classifier; or the maps of the stages for dense tasks."""

from dataclasses import replace
from typing import Any

import jax
from flax import nnx
from jaxtyping import Array, Float, Num

from quire.common.checks import floating
from quire.next_vit.blocks import NCB, NTB, Key
from quire.next_vit.config import BASE, BN_RELU, LARGE, SMALL, BlockPlan, NextViTConfig, Style
from quire.next_vit.patch_embed import normalise

Images = Num[Array, "batch h w c"]


class StemConv(nnx.Module):
    """A 3 x 3 convolution without bias, a normaliser and an activation."""

    def __init__(self, before: int, after: int, stride: int, *, style: Style = BN_RELU, rngs: nnx.Rngs):
        self.conv = style.conv3x3(before, after, stride=stride, rngs=rngs)
        self.norm: nnx.Module | None = style.make_norm(after, rngs)
        self.style = style

    def __call__(self, x: Images, *, train: bool = False) -> Float[Array, "batch h_out w_out after"]:
        return self.style.activate(normalise(self.norm, self.conv(x), train))


def make_block(plan: BlockPlan, config: NextViTConfig, rngs: nnx.Rngs) -> NCB | NTB:
    """The block that a plan describes."""
    shared: dict[str, Any] = {
        "stride": plan.stride,
        "head_dim": config.head_dim,
        "hidden_dim": plan.hidden_dim,
        "drop_path_rate": plan.drop_path,
        "dilation": plan.dilation,
        "style": config.style,
        "rngs": rngs,
    }
    if plan.kind == "NCB":
        return NCB(plan.before, plan.after, mixer=config.mixer, **shared)
    attention: dict[str, Any] = {"sr_ratio": plan.sr_ratio, "mix_ratio": config.mix_ratio, "attention_dim": plan.attention_dim}
    return NTB(plan.before, plan.after, **attention, **shared)


class NextViT(nnx.Module):
    """The network of a configuration.

    Args:
        config: sizes and design.
        rngs: for the initial weights.

    >>> import jax.numpy as jnp
    >>> from quire.next_vit.config import Stage
    >>> config = NextViTConfig((Stage(32, 1, stride=1), Stage(64, 1, 128)), stem=((16, 2),), num_classes=10)
    >>> model = NextViT(config, nnx.Rngs(0))
    >>> images = jnp.ones((2, 16, 16, 3))
    >>> model(images).shape, [maps.shape for maps in model.features(images)]
    ((2, 10), [(2, 8, 8, 32), (2, 4, 4, 128)])
    """

    def __init__(self, config: NextViTConfig, rngs: nnx.Rngs):
        style, plans = config.style, config.blocks
        before = [config.in_channels] + [channels for channels, _ in config.stem[:-1]]
        self.stem = nnx.List(
            [StemConv(b, after, s, style=style, rngs=rngs) for b, (after, s) in zip(before, config.stem, strict=True)]
        )
        self.blocks = nnx.List([make_block(plan, config, rngs) for plan in plans])
        self.norm: nnx.Module | None = style.make_norm(plans[-1].after, rngs)
        self.proj_head = style.linear(plans[-1].after, config.num_classes, rngs=rngs)
        inner = [plans[end].after for end in config.stage_ends[:-1]]
        self.extra_norms = nnx.List([style.make_norm(c, rngs) for c in inner]) if config.extra_norms else None
        self.config = config

    def features(self, images: Images, *, train: bool = False, key: Key = None) -> list[Array]:
        """What every stage makes of the images: `[batch, h / stride, w / stride, channels]`, strides 4, 8, 16 and 32 by default.

        With `extra_norms` each is normalised, the last one by the norm of the classifier, and the next stage reads it so.

        Args:
            images: numbers of any type.
            train: normalise by the batch, move the running statistics, drop branches.
            key: for the branches to drop; needed while training with `drop_path`.

        Raises:
            ValueError: if the images are too small for the attention of a stage, have other channels, or the key is missing.
        """
        (x,) = floating(images)
        for layer in self.stem:
            x = layer(x, train=train)
        keys = [None] * len(self.blocks) if key is None else list(jax.random.split(key, len(self.blocks)))
        ends, found = self.config.stage_ends, []
        norms = [None] * len(ends) if self.extra_norms is None else [*self.extra_norms, self.norm]
        for place, (block, block_key) in enumerate(zip(self.blocks, keys, strict=True)):
            x = block(x, train=train, key=block_key)
            if place in ends:
                x = normalise(norms[len(found)], x, train)
                found.append(x)
        return found

    def __call__(self, images: Images, *, train: bool = False, key: Key = None) -> Float[Array, "batch classes"]:
        """Class scores: the last map, normalised, averaged over space, through a linear map. Arguments as for `features`."""
        last = self.features(images, train=train, key=key)[-1]
        last = last if self.extra_norms is not None else normalise(self.norm, last, train)
        return self.proj_head(last.mean((1, 2)))


def next_vit_small(num_classes: int = 1000, *, rngs: nnx.Rngs) -> NextViT:
    """Next-ViT-S with random weights."""
    return _of(SMALL, num_classes, rngs)


def next_vit_base(num_classes: int = 1000, *, rngs: nnx.Rngs) -> NextViT:
    """Next-ViT-B with random weights."""
    return _of(BASE, num_classes, rngs)


def next_vit_large(num_classes: int = 1000, *, rngs: nnx.Rngs) -> NextViT:
    """Next-ViT-L with random weights."""
    return _of(LARGE, num_classes, rngs)


def _of(config: NextViTConfig, num_classes: int, rngs: nnx.Rngs) -> NextViT:
    return NextViT(replace(config, num_classes=num_classes), rngs)
