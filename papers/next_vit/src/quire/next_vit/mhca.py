"""Multi-head convolutional attention: the token mixer of the convolution blocks, and what can stand in its place."""

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax

from quire.next_vit.config import BN_RELU, Style
from quire.next_vit.patch_embed import Maps, normalise


class MHCA(nnx.Module):
    """Every head convolves its own channels, then one linear map mixes the heads (equations 3 and 4).

    `projection(act(norm(group_conv3x3(x))))`: groups of `head_dim` channels, no biases.

    Args:
        channels: in and out.
        head_dim: channels of a head.
        dilation: of the convolution.
        style: normaliser and activation.
        rngs: for the initial weights.

    Raises:
        ValueError: if `head_dim` is not positive or does not divide the channels.

    >>> MHCA(64, 32, rngs=nnx.Rngs(0))(jnp.ones((2, 7, 7, 64))).shape
    (2, 7, 7, 64)

    References:
        Section 3.2. The paper counts the 3 x 3 convolution as one head of inner products between neighbouring tokens and weights.
    """

    def __init__(self, channels: int, head_dim: int = 32, *, dilation: int = 1, style: Style = BN_RELU, rngs: nnx.Rngs):
        if head_dim < 1 or channels < 1 or channels % head_dim:
            raise ValueError(f"head_dim is {head_dim} for {channels} channels; it must be positive and divide them")
        self.group_conv3x3 = style.conv3x3(channels, channels, groups=channels // head_dim, dilation=dilation, rngs=rngs)
        self.norm: nnx.Module | None = style.make_norm(channels, rngs)
        self.projection = style.linear(channels, channels, use_bias=False, rngs=rngs)
        self.style = style

    def __call__(self, x: Maps, *, train: bool = False) -> Maps:
        return self.projection(self.style.activate(normalise(self.norm, self.group_conv3x3(x), train)))


class PoolMixer(nnx.Module):
    """The mean of the 3 x 3 neighbours that are there, minus x: the mixer of PoolFormer (Yu et al. 2022), without parameters.

    >>> PoolMixer()(jnp.array([1.0, 2.0, 6.0]).reshape(1, 1, 3, 1)).ravel().tolist()
    [0.5, 1.0, -2.0]
    """

    def __call__(self, x: Maps, *, train: bool = False) -> Maps:
        nothing = np.zeros((), x.dtype)  # a constant: with a traced one the sum would have no derivative
        sums = lax.reduce_window(x, nothing, lax.add, (1, 3, 3, 1), (1, 1, 1, 1), "SAME")
        there = [np.convolve(np.ones(size), np.ones(3))[1 : size + 1] for size in x.shape[1:3]]
        return sums / jnp.asarray(np.outer(*there)[None, :, :, None], x.dtype) - x
