"""Blocks of TimesNet: a series is folded by its dominant periods and convolved in two dimensions.

Wu et al., *TimesNet: Temporal 2D-Variation Modeling for General Time Series Analysis*, 2023, arXiv 2210.02186.

The periods are found in the data, and a compiler wants shapes that it knows beforehand. `folded_conv` therefore never folds:
in the map of cycles and phases that a period p makes of a series, the neighbour `(di, dj)` of step t is step `t + di p + dj`,
so the convolution is one matrix product of copies of the series shifted by multiples of p, followed by fixed shifts that stop
at the ends of a cycle. p is a number in the computation and not a shape, and the result is that of folding, to rounding.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from quire.common.checks import check_at_least, floating, is_concrete
from quire.common.layers.intermediates import sow
from quire.common.random import draw_together

InceptionForm = Literal["square", "factorised"]

# --- Periods (section 3.1, eqs. 1 and 2) ---


def fft_periods(x: Float[Array, "b t c"], k: int) -> tuple[Int[Array, " k"], Int[Array, " k"], Float[Array, "b k"]]:
    """The k frequencies with the largest amplitudes, their periods, and the amplitudes that weigh them.

    `A = mean_(b, c) |rfft(x)|`, `f_1, ..., f_k = argtop_k A` without the constant, `p_i = floor(T / f_i)`,
    `w_(b, i) = mean_c |rfft(x_b)|_(f_i)`.

    The choice is one for the whole batch: what a model makes of a series depends on the series beside it. Frequencies of equal
    amplitude, as all those of a constant series, are taken in rising order.

    Args:
        x: series `[b, t, c]`, at least 2 steps.
        k: number of periods, at most `t // 2`.

    Returns:
        Frequencies (cycles in t steps), periods (steps), weights. Indices carry no gradient, weights do.

    Raises:
        ValueError: if the series are too short or k does not lie in `1, ..., t // 2`.

    >>> t = jnp.arange(24.0)[None, :, None]
    >>> frequency, period, weight = fft_periods(jnp.sin(2 * jnp.pi * t / 8) + 0.1 * jnp.sin(2 * jnp.pi * t / 4), 2)
    >>> frequency.tolist(), period.tolist()
    ([3, 6], [8, 4])
    """
    length = x.shape[1]
    if length < 2 or not 1 <= k <= length // 2:
        raise ValueError(f"k is {k} for series of {length} steps; it must lie between 1 and {length // 2}")
    (x,) = floating(x)
    amplitude = jnp.abs(_spectrum(x, length)).mean(axis=2).astype(x.dtype)
    total = jax.lax.stop_gradient(amplitude.sum(axis=0))
    frequency = jax.lax.top_k(total[1:], k)[1] + 1  # the constant is no frequency, however weak the others are
    return frequency, length // frequency, amplitude[:, frequency]


def _spectrum(x: Float[Array, "b t c"], n: int) -> Array:
    """`rfft` along time, which no half precision has."""
    return jnp.fft.rfft(x.astype(jnp.promote_types(x.dtype, jnp.float32)), n, axis=1)


def canvas_length(length: int) -> int:
    """Steps that every folding of `length` steps fits in: the largest multiple `ceil(T / p) p` of a period `p = floor(T / f)`.

    Raises:
        ValueError: for fewer than 2 steps, which have no period.

    >>> [canvas_length(t) for t in (36, 96, 192)]
    [42, 114, 228]
    """
    check_at_least("length", length, 2)
    periods = (length // f for f in range(1, length // 2 + 1))
    return max(-(-length // p) * p for p in periods)


# --- Folding (eq. 3): what the convolution below replaces, kept for pictures, tests and benchmarks ---


def fold(x: Float[Array, "b t c"], period: int) -> Float[Array, "b rows period c"]:
    """Cut a series into rows of one period each, zeros at the end of the last one.

    Raises:
        ValueError: if `period` is below 1.
    """
    if period < 1:
        raise ValueError(f"period is {period}; it must be at least 1")
    b, t, c = x.shape
    rows = -(-t // period)
    return jnp.pad(x, ((0, 0), (0, rows * period - t), (0, 0))).reshape(b, rows, period, c)


def unfold(folded: Float[Array, "b rows period c"], length: int) -> Float[Array, "b t c"]:
    """Inverse of `fold`: the first `length` steps.

    Raises:
        ValueError: if the map holds fewer, or `length` is negative.
    """
    b, rows, period, c = folded.shape
    check_at_least("length", length, 0)
    if length > rows * period:
        raise ValueError(f"length is {length}; a map of {rows} x {period} holds {rows * period} steps")
    return folded.reshape(b, rows * period, c)[:, :length]


# --- Inception (eq. 5) ---


def merge_kernels(kernels: Sequence[Float[Array, "_ _ i o"]]) -> Float[Array, "rows cols i o"]:
    """The mean of several centred kernels, as one: convolution is linear, so their mean needs one pass instead of many.

    Raises:
        ValueError: if there is no kernel or a side is even, for such a kernel has no centre.
    """
    check_at_least("number of kernels", len(kernels))
    if bad := [k.shape[:2] for k in kernels if not (k.shape[0] % 2 and k.shape[1] % 2)]:
        raise ValueError(f"kernels has one of {bad[0]}; sides must be odd")
    rows, cols = (max(k.shape[axis] for k in kernels) for axis in (0, 1))

    def padded(kernel):
        up, left = (rows - kernel.shape[0]) // 2, (cols - kernel.shape[1]) // 2
        return jnp.pad(kernel, ((up, up), (left, left), (0, 0), (0, 0)))

    return jnp.stack([padded(kernel) for kernel in kernels]).mean(0)


def conv2d(
    x: Float[Array, "b rows cols i"], kernel: Float[Array, "_ _ i o"], bias: Float[Array, " o"]
) -> Float[Array, "b rows cols o"]:
    """Convolution of a map with zeros around it."""
    out = jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    return out + bias.reshape(1, 1, 1, -1)


def inception(
    x: Float[Array, "b rows cols i"], kernels: Sequence[Array], biases: Sequence[Array]
) -> Float[Array, "b rows cols o"]:
    """`mean_i (x * W_i + b_i)`, one convolution after the other, as the authors compute it."""
    return jnp.stack([conv2d(x, kernel, bias) for kernel, bias in zip(kernels, biases, strict=True)]).mean(0)


@jax.custom_vjp
def shift(x: Float[Array, "b l c"], steps: Int[Array, ""] | int) -> Float[Array, "b l c"]:
    """`y_t = x_(t + steps)`, zero where there is no such step; `steps` may be traced.

    The derivative is the shift back. Left to automatic differentiation it would be added to a canvas three times as long, once
    for every shift.
    """
    length = x.shape[1]
    beyond = jnp.pad(x, ((0, 0), (length, length), (0, 0)))
    return jax.lax.dynamic_slice_in_dim(beyond, jnp.clip(length + steps, 0, 2 * length), length, axis=1)


shift.defvjp(lambda x, steps: (shift(x, steps), steps), lambda steps, dy: (shift(dy, -steps), None))


def folded_conv(
    x: Float[Array, "b l i"],
    kernel: Float[Array, "rows cols i o"],
    bias: Float[Array, " o"],
    period: Int[Array, ""] | int,
    *,
    steps: int | None = None,
) -> Float[Array, "b steps o"]:
    """The convolution of the map that `fold` makes of x, computed on the series itself; `period` may be traced.

    `y_t = b + sum_dj [0 <= (t mod p) + dj < p] Z_(t + dj, dj)` with `Z_(t, dj) = sum_di x_(t + di p) W_(di, dj)`.

    The copies of x that the product reads are made again for the derivative rather than kept: for all periods of a block they
    are tens of megabytes, which are mapped afresh at every call.

    Args:
        x: series on a canvas of l steps, zero from step `ceil(t / p) p` on.
        kernel: `[rows, cols, in, out]`, both sides odd.
        bias: `[out]`.
        period: steps in a row of the map.
        steps: how many steps of the result to compute; all l by default.

    Returns:
        The first `steps` of the map, unfolded. From step `ceil(t / p) p` on, which is beyond the map, the numbers mean nothing.

    Raises:
        ValueError: if a side of the kernel is even, its channels are not those of x, the period is below 1 (unless traced), or x
            does not have so many steps.
    """
    x, kernel, bias = floating(x, kernel, bias)
    if is_concrete(period):
        check_at_least("period", int(period))
    if not (kernel.shape[0] % 2 and kernel.shape[1] % 2) or kernel.shape[2] != x.shape[-1]:
        raise ValueError(f"kernel has shape {kernel.shape}; it needs two odd sides, then the {x.shape[-1]} channels of x")
    length = x.shape[1]
    steps = length if steps is None else steps
    if not 0 <= steps <= length:
        raise ValueError(f"steps is {steps}; it must lie between 0 and the {length} steps of x")
    return _folded_product(steps, x, kernel, period) + bias.reshape(1, 1, -1)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _folded_product(steps: int, x: Array, kernel: Array, period: Array | int) -> Array:
    rows, cols, channels, out = kernel.shape
    z = _cycles(x, kernel, steps, period) @ jnp.swapaxes(kernel, 1, 2).reshape(rows * channels, cols * out)
    y = jnp.zeros((), z.dtype)
    for dj, part in zip(_offsets(cols), jnp.split(z, cols, axis=2), strict=True):
        y = y + jnp.where(_inside(dj, steps, period), _moved(part, dj, steps), 0)
    return y


def _folded_forward(steps, x, kernel, period):
    return _folded_product(steps, x, kernel, period), (x, kernel, period)


def _folded_backward(steps, saved, dy):
    x, kernel, period = saved
    rows, cols, channels, out = kernel.shape
    cycles = _cycles(x, kernel, steps, period)
    batch, reach, _ = cycles.shape
    dz = _side_by_side([jnp.where(_inside(-dj, reach, period), _moved(dy, -dj, reach), 0) for dj in _offsets(cols)])
    # In two dimensions: of three XLA would transpose one factor first.
    flat, d_flat = cycles.reshape(batch * reach, rows * channels), dz.reshape(batch * reach, cols * out)
    d_kernel = (flat.T @ d_flat).reshape(rows, channels, cols, out)
    d_cycles = dz @ jnp.swapaxes(kernel, 1, 2).reshape(rows * channels, cols * out).T
    d_cycles = jnp.pad(d_cycles, ((0, 0), (0, x.shape[1] - reach), (0, 0)))
    dx = sum(shift(part, -di * period) for di, part in zip(_offsets(rows), jnp.split(d_cycles, rows, axis=2), strict=True))
    return dx, jnp.swapaxes(d_kernel, 1, 2), None


_folded_product.defvjp(_folded_forward, _folded_backward)


def _offsets(size: int) -> range:
    """Of the entries of a centred kernel."""
    return range(-(size // 2), size // 2 + 1)


def _cycles(x: Array, kernel: Array, steps: int, period: Array | int) -> Array:
    """For every step that the first `steps` of the result depend on, what lies whole periods before and after, side by side."""
    rows, cols = kernel.shape[:2]
    reach = min(x.shape[1], steps + cols // 2)
    return _side_by_side([shift(x, di * period)[:, :reach] for di in _offsets(rows)])


def _side_by_side(parts: Sequence[Array]) -> Array:
    """Concatenated along channels; as a stack XLA copies rows without asking for each number which part it is of."""
    b, l, c = parts[0].shape
    return jnp.stack(parts, axis=2).reshape(b, l, len(parts) * c)


def _inside(dj: int, steps: int, period: Array | int) -> Array:
    """The steps whose neighbour dj columns away lies in the same row of the map, `[1, steps, 1]`."""
    column = jnp.arange(steps)[None, :, None] % period + dj
    return (column >= 0) & (column < period)


def _moved(x: Array, by: int, length: int) -> Array:
    """`y_t = x_(t + by)` for `length` steps, zero where there is no such step."""
    return jax.lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), (-by, length - x.shape[1] + by, 0), (0, 0, 0)))


def inception_sizes(num_kernels: int, form: InceptionForm = "square") -> list[tuple[int, int]]:
    """Rows and columns of the kernels, in the authors' order.

    `square`: 1 x 1, 3 x 3, ..., (2 n - 1) x (2 n - 1). `factorised`: 1 x (2 i + 3) and (2 i + 3) x 1 for i < n // 2, then 1 x 1.

    Raises:
        ValueError: for fewer than one kernel or another form.

    >>> inception_sizes(3), inception_sizes(2, "factorised")
    ([(1, 1), (3, 3), (5, 5)], [(1, 3), (3, 1), (1, 1)])
    """
    if num_kernels < 1:
        raise ValueError(f"num_kernels is {num_kernels}; it must be at least 1")
    if form == "square":
        return [(2 * i + 1, 2 * i + 1) for i in range(num_kernels)]
    if form != "factorised":
        raise ValueError(f"form is {form!r}; it must be 'square' or 'factorised'")
    return [size for i in range(num_kernels // 2) for size in ((1, 2 * i + 3), (2 * i + 3, 1))] + [(1, 1)]


class Inception(nnx.Module):
    """Several centred kernels, whose mean is the layer's kernel; they stay apart as parameters.

    Args:
        in_features, out_features: channels.
        sizes: rows and columns of each, odd.
        rngs: for the initial weights.

    Raises:
        ValueError: if a size is below 1 or there is no kernel.
    """

    def __init__(self, in_features: int, out_features: int, sizes: Sequence[tuple[int, int]], *, rngs: nnx.Rngs):
        for name, size in (("in_features", in_features), ("out_features", out_features), ("number of sizes", len(sizes))):
            check_at_least(name, size)
        drawn = draw_together(rngs.params.normal, [(*size, in_features, out_features) for size in sizes])
        self.kernels = nnx.List(  # Kaiming's normal weights by fan-out
            [nnx.Param(part * (2 / (math.prod(size) * out_features)) ** 0.5) for part, size in zip(drawn, sizes, strict=True)]
        )
        self.biases = nnx.List([nnx.Param(jnp.zeros(out_features)) for _ in sizes])

    def merged(self) -> tuple[Float[Array, "rows cols i o"], Float[Array, " o"]]:
        """The one kernel and bias that do what all of them do."""
        return merge_kernels([k[...] for k in self.kernels]), jnp.stack([b[...] for b in self.biases]).mean(0)

    def __call__(self, x: Float[Array, "b rows cols i"]) -> Float[Array, "b rows cols o"]:
        """The convolution of a map."""
        return conv2d(x, *self.merged())


# --- The block (eqs. 4 to 7) ---


class TimesBlock(nnx.Module):
    """`x + sum_i softmax_i(w) unfold(Inception(GELU(Inception(fold(x, p_i)))))` over the k dominant periods of x.

    Both inceptions are shared by all periods. Sows `period` and `weight`.

    Args:
        dim, hidden_dim: channels outside and between the convolutions.
        top_k: number of periods.
        num_kernels, form: of the inceptions.
        rngs: for the initial weights.

    Raises:
        ValueError: if a size is below 1 or the form unknown; when called, as for `fft_periods`.
    """

    def __init__(
        self,
        dim: int,
        hidden_dim: int,
        *,
        top_k: int = 5,
        num_kernels: int = 6,
        form: InceptionForm = "square",
        rngs: nnx.Rngs,
    ):
        self.top_k = check_at_least("top_k", top_k)
        sizes = inception_sizes(num_kernels, form)
        self.up = Inception(dim, hidden_dim, sizes, rngs=rngs)
        self.down = Inception(hidden_dim, dim, sizes, rngs=rngs)

    def __call__(self, x: Float[Array, "b t dim"]) -> Float[Array, "b t dim"]:
        length = x.shape[1]
        x, _ = floating(x, self.up.kernels[0][...])
        _, periods, weights = fft_periods(x, self.top_k)
        sow(self, "period", periods)
        sow(self, "weight", weights)
        canvas = canvas_length(length)
        padded = jnp.pad(x, ((0, 0), (0, canvas - length), (0, 0)))
        up, down = self.up.merged(), self.down.merged()

        @jax.checkpoint  # kept for the derivative: this argument, and not five arrays of its size
        def second(hidden, period):
            inside = jnp.arange(canvas) < -(-length // period) * period
            hidden = jnp.where(inside[None, :, None], jax.nn.gelu(hidden, approximate=False), 0)
            return folded_conv(hidden, *down, period, steps=length)

        def add(total, branch):
            period, share = branch
            return total + share[:, None, None] * second(folded_conv(padded, *up, period), period), None

        return jax.lax.scan(add, x, (periods, jax.nn.softmax(weights, axis=1).T))[0]


def times_block_by_folding(block: TimesBlock, x: Float[Array, "b t dim"], periods: Sequence[int]) -> Float[Array, "b t dim"]:
    """What a `TimesBlock` computes, by folding: needs the periods as Python numbers, and a new program for each tuple of them."""
    weights = jax.nn.softmax(fft_periods(x, block.top_k)[2], axis=1)
    branches = [unfold(block.down(jax.nn.gelu(block.up(fold(x, int(p))), approximate=False)), x.shape[1]) for p in periods]
    return x + jnp.einsum("kbtd,bk->btd", jnp.stack(branches), weights)


# --- The ablation: no folding ---


def series_conv(x: Float[Array, "b t i"], kernel: Float[Array, "width i o"], bias: Float[Array, " o"]) -> Float[Array, "b t o"]:
    """Convolution along time with zeros beyond the ends, `y_t = b + sum_j x_(t + j - width // 2) W_j`, as a product of spectra.

    Wide kernels cost no more than narrow ones.

    Raises:
        ValueError: if the kernel's width is even, its channels are not those of x, or there is no step.

    >>> x, kernel = jnp.arange(1.0, 5.0).reshape(1, 4, 1), jnp.array([1.0, 10.0, 100.0]).reshape(3, 1, 1)
    >>> print(series_conv(x, kernel, jnp.zeros(1))[0, :, 0].round(2))
    [210. 321. 432.  43.]
    """
    x, kernel, bias = floating(x, kernel, bias)
    length, width = check_at_least("number of steps", x.shape[1]), kernel.shape[0]
    if width % 2 == 0 or kernel.shape[1] != x.shape[-1]:
        raise ValueError(f"kernel has width {width} and reads {kernel.shape[1]} channels; it needs an odd one and {x.shape[-1]}")
    n = 1 << (length + width - 2).bit_length()
    spectra = jnp.einsum("bfi,fio->bfo", _spectrum(x, n), _spectrum(jnp.swapaxes(kernel[::-1], 0, 1), n).swapaxes(0, 1))
    out = jnp.fft.irfft(spectra, n, axis=1)[:, width // 2 : width // 2 + length].astype(x.dtype)
    return out + bias.reshape(1, 1, -1)


class SeriesBlock(nnx.Module):
    """As many weights as a `TimesBlock` of square kernels, but along time: 1, 9, 25, ... steps, one branch, no periods.

    Args:
        dim, hidden_dim, num_kernels: as for `TimesBlock`.
        rngs: for the initial weights.
    """

    def __init__(self, dim: int, hidden_dim: int, *, num_kernels: int = 6, rngs: nnx.Rngs):
        sizes = [(1, rows * cols) for rows, cols in inception_sizes(num_kernels)]
        self.up = Inception(dim, hidden_dim, sizes, rngs=rngs)
        self.down = Inception(hidden_dim, dim, sizes, rngs=rngs)

    def __call__(self, x: Float[Array, "b t dim"]) -> Float[Array, "b t dim"]:
        (up, up_bias), (down, down_bias) = self.up.merged(), self.down.merged()
        hidden = jax.nn.gelu(series_conv(x, up[0], up_bias), approximate=False)
        return x + series_conv(hidden, down[0], down_bias)
