"""What models of time series share: windows normalised one by one, fixed positions, circular convolution, moving averages."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from quire.common.checks import check_at_least, floating
from quire.common.layers.dropout import dropout
from quire.common.layers.initialisers import linear

VARIANCE_FLOOR = 1e-5


class WindowScale(NamedTuple):
    """Mean and standard deviation of every window and channel, `[b, 1, c]`."""

    mean: Float[Array, "b 1 c"]
    std: Float[Array, "b 1 c"]

    def undo(self, y: Float[Array, "b p c"]) -> Float[Array, "b p c"]:
        """Back to the units of the data, `y * std + mean`, for any number of steps."""
        return y * self.std + self.mean


def normalise_windows(
    x: Float[Array, "b t c"], observed: Float[Array, "b t c"] | None = None
) -> tuple[Float[Array, "b t c"], WindowScale]:
    """`(x - mean) / sqrt(var + 1e-5)` of every window and channel, and what undoes it.

    With a mask, mean and variance are those of the observed entries, and the others are 0 afterwards, whatever they were.

    Args:
        x: windows.
        observed: 1 where a value was observed, 0 where it is missing.

    Returns:
        Normalised windows, and mean and standard deviation. No gradient flows through the mean.

    Raises:
        ValueError: if windows have no step, or `observed` has another shape.

    A channel without any observation has no mean; it is taken as 0 with unit variance, where the authors' code divides 0 by 0.

    References:
        Liu et al., *Non-stationary Transformers*, 2022, arXiv 2205.14415, section 3.1.
    """
    check_at_least("number of steps", x.shape[1])
    if observed is not None and observed.shape != x.shape:
        raise ValueError(f"observed has shape {observed.shape} and x {x.shape}; they must be the same")
    (x,) = floating(x)
    seen = jnp.ones(x.shape, bool) if observed is None else observed > 0
    count = seen.sum(axis=1, keepdims=True).astype(x.dtype)

    def average(y):
        return jnp.sum(jnp.where(seen, y, 0), axis=1, keepdims=True) / jnp.maximum(count, 1)

    highest = jnp.max(jnp.where(seen, x, -jnp.inf), axis=1, keepdims=True)
    level = jax.lax.stop_gradient(jnp.where(count > 0, highest, 0))  # taken off first, lest a mean far from 0 costs digits
    near = jnp.where(seen, x, level) - level
    rest = jax.lax.stop_gradient(average(near))
    centred = jnp.where(seen, near - rest, 0)
    variance = average(centred**2)
    std = jnp.sqrt(jnp.where(count > 0, variance, 1) + VARIANCE_FLOOR)
    return centred / std, WindowScale(level + rest, std)


def sinusoidal_positions(length: int, dim: int) -> Float[np.ndarray, "length dim"]:
    """`sin(t w_i)` in the even and `cos(t w_i)` in the odd channels, with `w_i = 10000^(-2 i / dim)` (Vaswani et al. 2017, 3.5).

    Raises:
        ValueError: if `dim` is odd or not positive, or `length` negative.

    >>> print(sinusoidal_positions(2, 4).round(3))
    [[0.    1.    0.    1.   ]
     [0.841 0.54  0.01  1.   ]]
    """
    check_at_least("length", length, 0)
    if dim < 1 or dim % 2:
        raise ValueError(f"dim is {dim}; sine and cosine positions need a positive even number")
    angles = np.arange(length)[:, None] * 10000.0 ** (-np.arange(0, dim, 2) / dim)
    return np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(length, dim)


def circular_conv(x: Float[Array, "b t c"], kernel: Float[Array, "k c d"]) -> Float[Array, "b t d"]:
    """Convolution over time whose ends meet: `y_t = sum_j x_(t + j - k // 2) W_j`, one product with shifted copies side by side.

    Raises:
        ValueError: if the kernel's width is even, its channels are not those of x, or there is no step.
    """
    x, kernel = floating(x, kernel)
    width, channels, dim = kernel.shape
    check_at_least("number of steps", x.shape[1])
    if channels != x.shape[-1]:
        raise ValueError(f"kernel reads {channels} channels and x has {x.shape[-1]}; they must be the same")
    if width % 2 == 0:
        raise ValueError(f"kernel has width {width}; a centred kernel needs an odd one")
    shifted = jnp.concatenate([jnp.roll(x, width // 2 - j, axis=1) for j in range(width)], axis=-1)
    return shifted @ kernel.reshape(width * channels, dim)


def moving_average(x: Float[Array, "b t c"], width: int) -> Float[Array, "b t c"]:
    """Mean of `width` steps around each one, the ends repeated; `t` numbers for `t` steps.

    Raises:
        ValueError: if `width` is even or below 1, or there is no step.

    >>> print(moving_average(jnp.array([[[0.0], [3.0], [6.0], [0.0]]]), 3)[0, :, 0])
    [1. 3. 3. 2.]
    """
    if width < 1 or width % 2 == 0:
        raise ValueError(f"width is {width}; a centred average needs an odd number")
    check_at_least("number of steps", x.shape[1])
    (x,) = floating(x)
    level = jax.lax.stop_gradient(x[:, :1])
    level = jnp.where(jnp.isfinite(level), level, 0)  # windows are summed relative to it, lest a large level costs digits
    padded = jnp.pad(x - level, ((0, 0), (width // 2, width // 2), (0, 0)), mode="edge")
    sums = jax.lax.reduce_window(padded, 0.0, jax.lax.add, (1, width, 1), (1, 1, 1), "VALID")
    return level + sums / width


class SeriesEmbedding(nnx.Module):
    """Values by a circular convolution of width 3, plus fixed positions, plus a linear map of calendar features.

    Args:
        channels: of the series.
        dim: of the embedding.
        mark_dim: calendar features of a step; 0 for none.
        dropout: probability to drop an entry in training.
        rngs: for the initial weights.

    Raises:
        ValueError: if a size is below 1 (`mark_dim`: below 0), or `dim` is odd.
    """

    def __init__(self, channels: int, dim: int, *, mark_dim: int = 0, dropout: float = 0.1, rngs: nnx.Rngs):
        check_at_least("channels", channels)
        check_at_least("mark_dim", mark_dim, 0)
        sinusoidal_positions(0, dim)  # which refuses an odd number
        self.dropout = dropout
        kaiming = nnx.initializers.variance_scaling(2.0, "fan_in", "normal")
        self.value = nnx.Param(kaiming(rngs.params(), (3, channels, dim)))
        self.mark = linear(mark_dim, dim, use_bias=False, rngs=rngs) if mark_dim else None

    def __call__(
        self, x: Float[Array, "b t c"], marks: Float[Array, "b t f"] | None = None, key: jax.Array | None = None
    ) -> Float[Array, "b t dim"]:
        """Args: series; calendar features or None, which leaves them out; a key turns dropout on.

        Raises:
            ValueError: if the channels are not those of the model, or there are marks that it cannot read.
        """
        kernel = self.value[...]
        if x.shape[-1] != kernel.shape[1]:
            raise ValueError(f"x has {x.shape[-1]} channels; this embedding reads {kernel.shape[1]}")
        x, kernel = floating(x, kernel)
        positions = jnp.asarray(sinusoidal_positions(x.shape[1], kernel.shape[2]), x.dtype)
        out = circular_conv(x, kernel) + positions[None]
        if marks is not None:
            wanted = self.mark.in_features if self.mark else 0
            if marks.shape != (*x.shape[:2], wanted):
                raise ValueError(f"marks have shape {marks.shape}; this embedding needs {(*x.shape[:2], wanted)}")
            out = out + self.mark(marks) if self.mark else out
        return dropout(out, self.dropout, key)
