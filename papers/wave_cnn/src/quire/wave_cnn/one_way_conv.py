"""Convolutions whose kernels never were full: one-way filters, learned as such."""

import math
from collections.abc import Callable, Sequence
from typing import Literal, get_args

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Num, Real

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least
from quire.common.layers.convolution import Implementation, Padding, conv_nd
from quire.common.layers.initialisers import normal
from quire.wave_cnn.one_way_kernels import check_per_kernel, check_shared, cp_kernel, factor_std, he_variance, shared_kernel

Mode = Literal["per_kernel", "shared"]
Evaluation = Literal["auto", "dense", "sequential"]
ELEMENTWISE = 16
"""Multiplications inside a matrix product that take as long as one on its own, which has to move its numbers."""
Signal = Num[AnyArray, "_batch *_space _channels"]


def per_kernel_conv(
    x: Signal,
    factors: Sequence[Real[AnyArray, "out in rank _"]],
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    evaluate: Evaluation = "auto",
    impl: Implementation = "auto",
) -> Signal:
    """Cross-correlation with `cp_kernel(factors)`, zeros around.

    Args:
        x: `[batch, *space, in]`.
        factors: `[out, in, rank, taps]` for each axis of space.
        stride, padding, impl: as of `conv_nd`; a stride acts on its axis, in the pass of that axis.
        evaluate: by the dense kernel, made on the fly at a cost that the image does not change; by one depthwise pass for each
            axis (`sequential`); or `auto`, the one with fewer multiplications.

    Raises:
        ValueError: if shapes do not fit, or `evaluate` is unknown.
    """
    x = jnp.asarray(x)
    check_per_kernel(factors)
    out, channels, rank, _ = np.shape(factors[0])
    kernel_shape = (*(np.shape(f)[-1] for f in factors), channels, out)
    if x.ndim != len(kernel_shape) or x.shape[-1] != channels:
        raise ValueError(f"x has shape {x.shape} and factors {[np.shape(f) for f in factors]}; each axis of space needs one")
    if evaluate not in get_args(Evaluation):
        raise ValueError(f"evaluate is {evaluate!r}; it must be one of {', '.join(get_args(Evaluation))}")
    if evaluate == "auto":
        evaluate = cheaper(math.prod(x.shape[:-1]), kernel_shape, rank)
    if evaluate == "dense":
        return conv_nd(x, cp_kernel(factors), stride=stride, padding=padding, impl=impl)
    x = jnp.broadcast_to(x[..., None], (*x.shape, out * rank)).reshape(*x.shape[:-1], channels * out * rank)
    for axis, factor in enumerate(factors):  # one channel for each i, o, r
        taps = jnp.transpose(jnp.asarray(factor), (3, 1, 0, 2)).reshape(-1, 1, channels * out * rank)
        x = _along(x, taps, axis, stride, padding, groups=channels * out * rank, impl=impl)
    return x.reshape(*x.shape[:-1], channels, out, rank).sum(axis=(-3, -1))


def cheaper(sites: int, kernel_shape: tuple[int, ...], rank: int) -> Evaluation:
    """Which way of a per-kernel form takes fewer multiplications at so many places.

    The dense kernel costs `Co Ci R prod(k)` to make and `Co Ci prod(k)` at each place, in a matrix product; the passes
    `Co Ci R sum(k)` at each place, number by number, which weighs `ELEMENTWISE` times as much.

    >>> cheaper(4096, (3, 3, 3, 8, 8), 1), cheaper(4096, (9, 9, 9, 8, 8), 1)
    ('dense', 'sequential')
    """
    *size, _, _ = kernel_shape
    dense = math.prod(size) * (ELEMENTWISE * rank + sites)
    return "dense" if dense <= ELEMENTWISE * rank * sum(size) * sites else "sequential"


def shared_conv(
    x: Signal,
    factors: Sequence[Real[AnyArray, "*_"]],
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    between: Callable[[Array], Array] | None = None,
    impl: Implementation = "auto",
) -> Signal:
    """A chain of thin convolutions: `in` to `rank` channels along the first axis, depthwise along a second, then to `out`.

    Without anything between, it is the cross-correlation with `shared_kernel(factors)`.

    Args:
        x: `[batch, *space, in]`, two or three axes of space.
        factors: `u [rank, in, taps]`, `v [rank, taps]` for three axes, `w [out, rank, taps]`.
        stride, padding, impl: as of `conv_nd`.
        between: a nonlinearity between the stages: a sequence of one-way layers, no CP kernel any more.

    Raises:
        ValueError: if shapes do not fit.
    """
    check_shared(factors)
    x = jnp.asarray(x)
    rank, channels, _ = np.shape(factors[0])
    if x.ndim != len(factors) + 2 or x.shape[-1] != channels:
        raise ValueError(f"x has shape {x.shape} and factors {[np.shape(f) for f in factors]}; each axis of space needs one")
    for axis, factor in enumerate(factors):
        factor = jnp.asarray(factor)
        is_depthwise = factor.ndim == 2
        taps = factor.T[:, None] if is_depthwise else factor.transpose(2, 1, 0)
        x = _along(x, taps, axis, stride, padding, groups=rank if is_depthwise else 1, impl=impl)
        x = between(x) if between is not None and axis < len(factors) - 1 else x
    return x


def _along(x, taps, axis, stride, padding, *, groups, impl):
    """Convolution with filters `[taps, in / groups, out]` along one axis; stride and padding of that axis alone."""
    dims = x.ndim - 2
    for name, given in (("stride", stride), ("padding", padding)):
        if not isinstance(given, int | str) and len(given) != dims:
            raise ValueError(f"{name} is {given}; it needs one for each of the {dims} axes")
    strides = (stride,) * dims if isinstance(stride, int) else tuple(stride)
    pads = padding if isinstance(padding, str) else [tuple(p) if k == axis else (0, 0) for k, p in enumerate(padding)]
    size = [taps.shape[0] if k == axis else 1 for k in range(dims)]
    own = [s if k == axis else 1 for k, s in enumerate(strides)]
    return conv_nd(x, taps.reshape(*size, *taps.shape[1:]), stride=own, padding=pads, groups=groups, impl=impl)


class OneWayConv(nnx.Module):
    """A convolution of one-way filters, one to three axes of space, with a bias.

    Args:
        in_ch, out_ch: channels.
        kernel_size: taps along each axis of space.
        rank: terms of the form.
        mode: `per_kernel`, filters of each pair of channels, or `shared`, filters in common (two or three axes).
        stride, padding: as of `conv_nd`.
        between: of the shared form, see `shared_conv`.
        evaluate: of the per-kernel form, see `per_kernel_conv`.
        impl: of the convolutions.
        rngs: for the initial factors, whose dense kernel has He's variance.

    Raises:
        ValueError: if a size or the rank is below 1, the number of axes does not fit, or `mode` is unknown.

    >>> layer = OneWayConv(3, 8, (3, 3, 3), rank=1, rngs=nnx.Rngs(0))
    >>> layer(jnp.ones((2, 4, 6, 6, 3))).shape, layer.num_params(), layer.dense_kernel().shape
    ((2, 4, 6, 6, 8), 224, (3, 3, 3, 3, 8))
    """

    def __init__(
        self,
        in_ch: int,
        out_ch: int,
        kernel_size: Sequence[int],
        rank: int = 1,
        mode: Mode = "per_kernel",
        stride: int | Sequence[int] = 1,
        padding: Padding = "SAME",
        *,
        between: Callable[[Array], Array] | None = None,
        evaluate: Evaluation = "auto",
        impl: Implementation = "auto",
        rngs: nnx.Rngs,
    ):
        if mode not in get_args(Mode):
            raise ValueError(f"mode is {mode!r}; it must be one of {', '.join(get_args(Mode))}")
        shapes = factor_shapes(in_ch, out_ch, kernel_size, rank, mode)
        draw = normal(factor_std(he_variance(in_ch, kernel_size), rank, len(shapes)))
        self.factors = nnx.List([nnx.Param(draw(rngs.params(), shape)) for shape in shapes])
        self.bias = nnx.Param(jnp.zeros(out_ch))
        self.stride = stride if isinstance(stride, int) else tuple(stride)
        self.padding = padding if isinstance(padding, str) else tuple(tuple(pair) for pair in padding)
        self.mode, self.between, self.evaluate, self.impl = mode, between, evaluate, impl

    def __call__(self, x: Signal) -> Signal:
        """The convolution, its bias added."""
        factors = [factor[...] for factor in self.factors]
        options = {"stride": self.stride, "padding": self.padding, "impl": self.impl}
        if self.mode == "shared":
            y = shared_conv(x, factors, between=self.between, **options)
        else:
            y = per_kernel_conv(x, factors, evaluate=self.evaluate, **options)
        return y + self.bias[...].astype(y.dtype).reshape((1,) * (y.ndim - 1) + (-1,))

    def dense_kernel(self) -> Array:
        """The kernel `[*size, in, out]` that the factors stand for; of a shared form with nothing between its stages.

        Raises:
            ValueError: if there is something between them.
        """
        if self.between is not None:
            raise ValueError("between is a nonlinearity; such a sequence of layers is no convolution with one kernel")
        return (shared_kernel if self.mode == "shared" else cp_kernel)([factor[...] for factor in self.factors])

    def num_params(self) -> int:
        """Numbers that are trained: `Co Ci R sum(k) + Co` per kernel, `R (Ci k1 + k2 + Co k3) + Co` shared."""
        return sum(math.prod(factor.shape) for factor in self.factors) + math.prod(self.bias.shape)


def factor_shapes(in_ch: int, out_ch: int, kernel_size: Sequence[int], rank: int, mode: Mode) -> list[tuple[int, ...]]:
    """Shapes of the factors of a layer.

    Raises:
        ValueError: if a size is below 1, or the form does not exist for so many axes.

    >>> factor_shapes(3, 8, (3, 5, 3), 2, "shared")
    [(2, 3, 3), (2, 5), (8, 2, 3)]
    """
    for name, size in (("in_ch", in_ch), ("out_ch", out_ch), ("rank", rank)):
        check_at_least(name, size)
    least = 2 if mode == "shared" else 1
    if not least <= len(kernel_size) <= 3 or min(kernel_size) < 1:
        raise ValueError(f"kernel_size is {tuple(kernel_size)}; a {mode} form needs {least} to 3 axes, each of at least 1 tap")
    if mode == "shared":
        first, *middle, last = kernel_size
        return [(rank, in_ch, first), *[(rank, k) for k in middle], (out_ch, rank, last)]
    return [(out_ch, in_ch, rank, k) for k in kernel_size]
