"""The network: an encoder and a decoder over time and space with one skip connection, whatever its convolutions are."""

from collections.abc import Sequence
from typing import Literal, get_args

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from quire.common.layers.convolution import Conv, Implementation
from quire.wave_cnn.one_way_conv import OneWayConv

Kind = Literal["classical", "one_way", "shared"]


def make_conv(
    conv: Kind, before: int, after: int, size: Sequence[int], rank: int, stride: int, impl: Implementation, rngs: nnx.Rngs
) -> nnx.Module:
    """One layer of the network.

    Raises:
        ValueError: if `conv` is unknown.
    """
    if conv not in get_args(Kind):
        raise ValueError(f"conv is {conv!r}; it must be one of {', '.join(get_args(Kind))}")
    if conv == "classical":
        return Conv(before, after, size, stride=stride, impl=impl, rngs=rngs)
    mode = "shared" if conv == "shared" else "per_kernel"
    return OneWayConv(before, after, size, rank, mode, stride, impl=impl, rngs=rngs)


class WaveNet(nnx.Module):
    """`down` and `up` of a three-way tensor (time and space), ReLU between the layers.

    Each scale has one layer; the way down to the next has stride 2, the way up repeats neighbours, and what was left at a scale
    is put beside what comes up. The last layer has one channel, the field.

    Args:
        in_channels: of the input.
        channels: of the scales, finest first; the coarsest has one layer more.
        kernel_size: taps along time and both axes of space.
        conv: the kind of all layers; nothing else differs.
        rank: of one-way layers.
        impl: of the convolutions. By default, on CPU, columns of all taps where channels are few, and sums of shifted products
            where they are many and columns would fill the memory with copies.
        rngs: for the initial weights.

    Raises:
        ValueError: if `conv` is unknown, or there are not two scales at least.

    >>> net = WaveNet(3, (8, 12), conv="one_way", rngs=nnx.Rngs(0))
    >>> net(jnp.ones((2, 8, 8, 8, 3))).shape
    (2, 8, 8, 8)
    """

    def __init__(
        self,
        in_channels: int = 3,
        channels: Sequence[int] = (16, 32, 64),
        kernel_size: Sequence[int] = (3, 3, 3),
        *,
        conv: Kind = "classical",
        rank: int = 1,
        impl: Implementation | None = None,
        rngs: nnx.Rngs,
    ):
        if len(channels) < 2:
            raise ValueError(f"channels is {tuple(channels)}; the network needs at least two scales")

        def layer(before, after, stride=1):
            return make_conv(conv, before, after, kernel_size, rank, stride, impl or by_matrices(before), rngs)

        first, *deeper = channels
        last = channels[-1]
        self.first = layer(in_channels, first)
        self.down = nnx.List([layer(a, b, 2) for a, b in zip(channels, deeper, strict=False)])
        self.middle = layer(last, last)
        self.up = nnx.List([layer(a + b, a) for a, b in zip(channels, deeper, strict=False)][::-1])
        self.head = layer(first, 1)

    def __call__(self, x: Float[Array, "batch time height width channels"]) -> Float[Array, "batch time height width"]:
        """The field at every input place.

        Raises:
            ValueError: if a length of the input is not divisible by 2 at every scale.
        """
        scale = 2 ** len(self.down)
        if any(n % scale for n in x.shape[1:-1]):
            raise ValueError(f"x has shape {x.shape}; its times and sides must be multiples of {scale}")
        left = [jax.nn.relu(self.first(x))]
        for layer in self.down:
            left.append(jax.nn.relu(layer(left[-1])))
        h = jax.nn.relu(self.middle(left.pop()))
        for layer in self.up:
            h = jax.nn.relu(layer(jnp.concatenate([twice(h), left.pop()], axis=-1)))
        return self.head(h)[..., 0]


def by_matrices(channels: int) -> Implementation:
    """How a layer of so many input channels is computed: in training loops on CPU, XLA's own convolution is much slower."""
    if jax.default_backend() != "cpu":
        return "auto"
    return "im2col" if channels < 16 else "shifted"


def twice(x: Float[Array, "batch *space channels"]) -> Float[Array, "batch *space2 channels"]:
    """Every place repeated along each axis of space.

    >>> twice(jnp.array([[[1.0], [2.0]]]))[0, :, 0].tolist()
    [1.0, 1.0, 2.0, 2.0]
    """
    for axis in range(1, x.ndim - 1):
        x = jnp.repeat(x, 2, axis=axis, total_repeat_length=2 * x.shape[axis])
    return x
