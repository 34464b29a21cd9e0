"""A network of non-overlapping patches: what a small convolutional network costs in matrix products alone."""

from collections.abc import Callable, Sequence
from functools import partial

import jax
from flax import nnx
from jaxtyping import Array, Float, Num

from quire.common.layers.convolution import Conv
from quire.common.layers.initialisers import he_normal
from quire.common.layers.norms import layer_norm

Layer = Callable[[Array], Array]

gelu = partial(jax.nn.gelu, approximate=False)


class PatchNet(nnx.Module):
    """Images to features: `h <- gelu(LN(W patches(h) + b))` stage by stage, the mean over space, a linear map.

    A stage merges squares of `patch` pixels in the first and 2 x 2 in every other, as a reshape and a matrix product, so that
    models side by side under `vmap`, and their gradients inside a loop, run at the speed of matrix products. Where a side is not
    a multiple of the patch, zeros go behind it. As a backbone at small scale it reaches about what 3 x 3 convolutions do.

    Args:
        channels: of every stage.
        dim: of the features.
        patch: side of the squares of the first stage.
        in_channels: of the images.
        norm: of the channels; None for none. With one patch, no norm and ReLUs this is a perceptron.
        act: the activation; gelu by default.
        kernel_init: of all kernels; He's normal weights by default.
        rngs: for the initial weights.

    Raises:
        ValueError: if there are no stages, or a size is not positive; when called, if the images have other channels.

    >>> PatchNet((16, 32, 32), 10, rngs=nnx.Rngs(0))(jax.numpy.ones((2, 28, 28, 1))).shape
    (2, 10)
    """

    def __init__(
        self,
        channels: Sequence[int],
        dim: int,
        *,
        patch: int = 4,
        in_channels: int = 1,
        norm: Layer | None = layer_norm,
        act: Layer = gelu,
        kernel_init: nnx.Initializer = he_normal,
        rngs: nnx.Rngs,
    ):
        if not channels or min(*channels, dim, patch, in_channels) < 1:
            raise ValueError(
                f"channels is {tuple(channels)}, dim {dim}, patch {patch}, in_channels {in_channels}; all must be at least 1"
            )
        widths, sides = [in_channels, *channels], [patch] + [2] * (len(channels) - 1)
        self.stages = nnx.List(
            [
                Conv(before, after, side, stride=side, kernel_init=kernel_init, impl="patches", rngs=rngs)
                for before, after, side in zip(widths[:-1], channels, sides, strict=True)
            ]
        )
        self.norm, self.act = norm, act
        self.head = Conv(channels[-1], dim, (1,), kernel_init=kernel_init, impl="patches", rngs=rngs)

    def __call__(self, images: Num[Array, "batch h w c"]) -> Float[Array, "batch dim"]:
        """Features `[batch, dim]` of images `[batch, height, width, in_channels]`."""
        h = images
        for stage in self.stages:
            h = stage(h)
            h = self.act(h if self.norm is None else self.norm(h))
        return self.head(h.mean((1, 2))[:, None])[:, 0]
