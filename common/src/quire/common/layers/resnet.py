"""Residual networks (He et al. 2016): basic and bottleneck blocks, stems for small and for large images, PyTorch's names."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Num

from quire.common.checkpoints import Source, same
from quire.common.layers.convolution import Conv
from quire.common.layers.norms import BatchNorm

Maps = Num[Array, "batch h w c"]
Outputs = Float[Array, "batch h_out w_out c_out"]


class ConvNorm(nnx.Module):
    """A convolution without bias, padded by half its side at both ends as in PyTorch, and batch normalisation."""

    def __init__(self, before: int, after: int, side: int, stride: int = 1, *, rngs: nnx.Rngs):
        padding = ((side // 2, side // 2),) * 2
        self.conv = Conv(before, after, side, stride=stride, padding=padding, use_bias=False, rngs=rngs)
        self.norm = BatchNorm(after)

    def __call__(self, x: Maps) -> Outputs:
        """Channels `after`."""
        return self.norm(self.conv(x))


class ResidualBlock(nnx.Module):
    """`relu(f(x) + shortcut(x))`, f being convolutions with norms and ReLUs between them.

    Args:
        before: channels of x.
        width: of the 3 x 3 convolution.
        expansion: 1 for a basic block of two 3 x 3 convolutions; else a bottleneck 1-3-1 with `expansion * width` channels.
        stride: of the (first) 3 x 3 convolution; where it or the channels differ the shortcut is a 1 x 1 convolution with a norm.
        rngs: for the initial weights.
    """

    def __init__(self, before: int, width: int, expansion: int, stride: int, *, rngs: nnx.Rngs):
        after = width * expansion
        plan = [(before, width, 3, stride), (width, width, 3, 1)]
        if expansion > 1:
            plan = [(before, width, 1, 1), (width, width, 3, stride), (width, after, 1, 1)]
        self.layers = nnx.List([ConvNorm(*sizes, rngs=rngs) for sizes in plan])
        self.shortcut = ConvNorm(before, after, 1, stride, rngs=rngs) if stride > 1 or before != after else None

    def __call__(self, x: Maps) -> Outputs:
        """Channels `expansion * width`."""
        h = x
        for layer in self.layers[:-1]:
            h = jax.nn.relu(layer(h))
        return jax.nn.relu(self.layers[-1](h) + (x if self.shortcut is None else self.shortcut(x)))


class ResNet(nnx.Module):
    """Images to pooled features, by stages that halve the image and double the width.

    Args:
        depths: blocks of each stage.
        width: of the first stage.
        expansion: of the blocks, see `ResidualBlock`.
        stem: `"imagenet"`, a 7 x 7 convolution and pooling with stride 2 each, or `"cifar"`, a 3 x 3 convolution.
        in_channels: of the images.
        rngs: for the initial weights.

    Raises:
        ValueError: without stages, for a size below 1, or another stem.

    >>> ResNet((1, 1), width=4, stem="cifar", rngs=nnx.Rngs(0))(jnp.ones((2, 8, 8, 3))).shape
    (2, 8)
    """

    def __init__(
        self,
        depths: Sequence[int],
        *,
        width: int = 64,
        expansion: int = 1,
        stem: str = "imagenet",
        in_channels: int = 3,
        rngs: nnx.Rngs,
    ):
        if not depths or min(*depths, width, expansion, in_channels) < 1:
            raise ValueError(
                f"depths is {tuple(depths)}, width {width}, expansion {expansion}, in_channels {in_channels}; "
                "there must be a stage, and all must be at least 1"
            )
        if stem not in ("imagenet", "cifar"):
            raise ValueError(f"stem is {stem!r}; it must be 'imagenet' or 'cifar'")
        self.pools = stem == "imagenet"
        self.stem = ConvNorm(in_channels, width, *((7, 2) if self.pools else (3, 1)), rngs=rngs)
        stages, before = [], width
        for i, depth in enumerate(depths):
            strides = [1 if i == 0 else 2] + [1] * (depth - 1)
            blocks = []
            for stride in strides:
                blocks.append(ResidualBlock(before, width * 2**i, expansion, stride, rngs=rngs))
                before = width * 2**i * expansion
            stages.append(nnx.List(blocks))
        self.stages = nnx.List(stages)

    def entry(self, images: Num[Array, "batch h w c"]) -> Float[Array, "batch h_out w_out c_out"]:
        """What the stem makes of the images, before the first stage."""
        h = jax.nn.relu(self.stem(images))
        if self.pools:
            padding = ((0, 0), (1, 1), (1, 1), (0, 0))
            h = jax.lax.reduce_window(h, -jnp.inf, jax.lax.max, (1, 3, 3, 1), (1, 2, 2, 1), padding)
        return h

    def maps(self, images: Num[Array, "batch h w c"]) -> list[Array]:
        """What every stage makes of the images, `[batch, h, w, c]` each."""
        h, found = self.entry(images), []
        for stage in self.stages:
            for block in stage:
                h = block(h)
            found.append(h)
        return found

    def __call__(self, images: Num[Array, "batch h w c"]) -> Float[Array, "batch dim"]:
        """Features of the last stage, their mean over space."""
        return self.maps(images)[-1].mean((1, 2))


def resnet18(*, stem: str = "imagenet", in_channels: int = 3, rngs: nnx.Rngs) -> ResNet:
    """ResNet-18: features of 512 numbers."""
    return ResNet((2, 2, 2, 2), stem=stem, in_channels=in_channels, rngs=rngs)


def resnet50(*, stem: str = "imagenet", in_channels: int = 3, rngs: nnx.Rngs) -> ResNet:
    """ResNet-50: features of 2048 numbers.

    >>> from quire.common.metrics.cost import count_params
    >>> count_params(nnx.eval_shape(lambda: resnet50(rngs=nnx.Rngs(0))))  # with the classifier of 1000 classes 25557032
    23508032
    """
    return ResNet((3, 4, 6, 3), expansion=4, stem=stem, in_channels=in_channels, rngs=rngs)


def torch_names(model: ResNet) -> dict[tuple, Source]:
    """Names of PyTorch's `torchvision.models.resnet*` for every parameter and running statistic, for `checkpoints.load`.

    Leave the classifier `fc` and the counters `num_batches_tracked` out of the state dictionary.
    """
    names = _names(("stem",), "conv1", "bn1")
    for i, stage in enumerate(model.stages):
        for j, block in enumerate(stage):
            path, name = ("stages", i, j), f"layer{i + 1}.{j}."
            for k in range(len(block.layers)):
                names |= _names((*path, "layers", k), f"{name}conv{k + 1}", f"{name}bn{k + 1}")
            if block.shortcut is not None:
                names |= _names((*path, "shortcut"), f"{name}downsample.0", f"{name}downsample.1")
    return names


def _names(path: tuple, conv: str, norm: str) -> dict[tuple, Source]:
    def to_torch(shape):
        return shape[3], shape[2], shape[0], shape[1]

    kernel = Source((f"{conv}.weight",), lambda x: x.transpose(2, 3, 1, 0), to_torch)
    theirs = {"scale": "weight", "shift": "bias", "mean": "running_mean", "var": "running_var"}
    return {(*path, "conv", "kernel"): kernel} | {(*path, "norm", ours): same(f"{norm}.{name}") for ours, name in theirs.items()}
