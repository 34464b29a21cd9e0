"""Patch embedding of a block: pooling where it strides, a linear map where the channels change."""

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from quire.common.checks import check_at_least
from quire.next_vit.config import BN_RELU, Style

Maps = Float[Array, "batch h w channels"]


def normalise(norm: nnx.Module | None, x: Float[Array, "*batch c"], train: bool) -> Float[Array, "*batch c"]:
    """What a normaliser makes of x; where it has been folded away, x."""
    if norm is None:
        return x
    return norm(x) if isinstance(norm, nnx.LayerNorm) else norm(x, train=train)


def average_pool(x: Maps) -> Float[Array, "batch h_out w_out channels"]:
    """Means of 2 x 2 pixels; at an odd edge, of those that are there.

    Args:
        x: `[batch, h, w, channels]`.

    Returns:
        `[batch, ceil(h / 2), ceil(w / 2), channels]`.

    >>> average_pool(jnp.arange(6.0).reshape(1, 2, 3, 1))[0, :, :, 0].tolist()
    [[2.0, 3.5]]
    """
    batch, h, w, channels = x.shape
    x = jnp.pad(x, ((0, 0), (0, h % 2), (0, w % 2), (0, 0)))
    sums = x.reshape(batch, x.shape[1] // 2, 2, x.shape[2] // 2, 2, channels).sum((2, 4))
    there = [np.minimum(2, size - 2 * np.arange((size + 1) // 2)) for size in (h, w)]
    counts = np.outer(*there)[None, :, :, None]
    return sums / jnp.asarray(counts, sums.dtype)


class PatchEmbed(nnx.Module):
    """`norm(conv(pool(x)))`: pooling for stride 2; without a stride and a change of channels, x itself.

    Args:
        before, after: channels.
        stride: 1 or 2.
        style: normaliser.
        rngs: for the initial weights.

    Raises:
        ValueError: if channels are not positive or the stride is neither 1 nor 2.

    >>> PatchEmbed(8, 16, 2, rngs=nnx.Rngs(0))(jnp.ones((1, 5, 7, 8))).shape
    (1, 3, 4, 16)
    """

    def __init__(self, before: int, after: int, stride: int = 1, *, style: Style = BN_RELU, rngs: nnx.Rngs):
        check_at_least("before", before)
        check_at_least("after", after)
        if stride not in (1, 2):
            raise ValueError(f"stride is {stride}; it must be 1 or 2")
        self.stride = stride
        maps = stride == 2 or before != after
        self.conv = style.linear(before, after, use_bias=False, rngs=rngs) if maps else None
        self.norm: nnx.Module | None = style.make_norm(after, rngs) if maps else None

    def __call__(self, x: Maps, *, train: bool = False) -> Float[Array, "batch h_out w_out after"]:
        """Half the height and width, rounded up, for stride 2."""
        x = average_pool(x) if self.stride == 2 else x
        return x if self.conv is None else normalise(self.norm, self.conv(x), train)
