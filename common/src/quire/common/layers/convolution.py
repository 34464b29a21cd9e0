"""Convolutions in one to three dimensions, channels last, computed the way that suits the machine and the shape."""

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Num

from quire.common.layers import lowerings
from quire.common.layers.initialisers import he_normal
from quire.common.layers.norms import BatchNorm

Padding = str | Sequence[tuple[int, int]]
Implementation = Literal["auto", "xla", "canonical", "im2col", "shifted", "patches"]
Layer = Callable[[Array], Array]


def conv_nd(
    x: Num[Array, "batch *space channels"],
    kernel: Num[Array, "*size group_channels out"],
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    groups: int = 1,
    dilation: int | Sequence[int] = 1,
    impl: Implementation = "auto",
) -> Num[Array, "batch *space_out out"]:
    """`y[n, p, o] = sum_(t, i) x[n, stride p + dilation t - before, i] kernel[t, i, o]`: the kernel is not flipped.

    `auto` takes XLA's own convolution (`xla`) on GPU and TPU. On CPU it takes `patches` where no two outputs share an input,
    `shifted` products where every channel is a group of its own, and else `canonical`: XLA's convolution with derivatives that
    stay fast inside `lax.scan`. None of this depends on whether a loop is around, which a traced function cannot know. `im2col`
    is never chosen: it needs more memory and is seldom faster. `quire.common.layers.convolution_bench` measures all of them.

    Args:
        x: `[batch, *space, in]` with one to three dimensions of space; the batch may be empty.
        kernel: `[*size, in / groups, out]`.
        stride, dilation: one number for all dimensions of space, or one for each.
        padding: `"SAME"` (`ceil(space / stride)` outputs, an odd zero goes behind), `"VALID"` (none), or `(before, after)` for
            each dimension; negative numbers cut off.
        groups: parts of the channels that do not mix; must divide `in` and `out`.
        impl: one of `quire.common.layers.lowerings`, or `auto`.

    Returns:
        `[batch, *space', out]` in the dtype that both promote to.

    Raises:
        ValueError: if ranks, channels or groups do not fit each other, a stride or dilation is not positive, the padding or the
            implementation is unknown, the kernel is larger than the padded input, neither array is floating, or `patches` is
            asked for where outputs share inputs.

    >>> x = jnp.arange(1.0, 6.0).reshape(1, 5, 1)
    >>> print(conv_nd(x, jnp.ones((3, 1, 1)))[0, :, 0])
    [ 3.  6.  9. 12.  9.]
    >>> conv_nd(jnp.ones((2, 28, 28, 4)), jnp.ones((3, 3, 2, 6)), stride=2, groups=2).shape
    (2, 14, 14, 6)
    """
    window = _window(x.shape, kernel.shape, stride, padding, groups, dilation)
    dtype = jnp.result_type(x, kernel)
    if not jnp.issubdtype(dtype, jnp.floating):
        raise ValueError(f"x is {x.dtype} and kernel {kernel.dtype}; one of them must be floating")
    impl = _choose(impl, kernel.shape, window)
    # Sums of products of 16-bit numbers lose digits; XLA's convolution adds in 32 bits by itself.
    work = dtype if impl in ("xla", "canonical") else jnp.promote_types(dtype, jnp.float32)
    return getattr(lowerings, impl)(x.astype(work), kernel.astype(work), window).astype(dtype)


def _choose(impl, kernel_shape, window):
    tiles = lowerings.tiles(kernel_shape[:-2], window)
    if impl not in get_args(Implementation):
        raise ValueError(f"impl is {impl!r}; it must be one of {', '.join(get_args(Implementation))}")
    if impl == "patches" and not tiles:
        raise ValueError(
            f"impl is 'patches' for a kernel of {kernel_shape[:-2]}, stride {window.strides} and dilation {window.dilation}; "
            "along every axis it needs one tap, or as many as the stride"
        )
    if impl != "auto":
        return impl
    if jax.default_backend() != "cpu":
        return "xla"
    if tiles:
        return "patches"
    return "shifted" if kernel_shape[-2] == 1 and window.groups > 1 else "canonical"


def _window(x_shape, kernel_shape, stride, padding, groups, dilation) -> lowerings.Window:
    """The arguments of a convolution, checked."""
    if len(x_shape) != len(kernel_shape) or not 3 <= len(x_shape) <= 5:
        raise ValueError(f"x is {x_shape} and kernel {kernel_shape}; both need one to three dimensions of space, and as many")
    space, size, dims = x_shape[1:-1], kernel_shape[:-2], len(x_shape) - 2
    strides, dilation = _for_each(stride, dims, "stride"), _for_each(dilation, dims, "dilation")
    if groups < 1 or x_shape[-1] % groups or kernel_shape[-1] % groups:
        raise ValueError(
            f"groups is {groups} for {x_shape[-1]} channels in and {kernel_shape[-1]} out; it must be positive and divide both"
        )
    if kernel_shape[-2] * groups != x_shape[-1]:
        raise ValueError(f"kernel has {kernel_shape[-2]} channels in each of {groups} groups; x has {x_shape[-1]} channels")
    if min(kernel_shape) < 1:
        raise ValueError(f"kernel is {kernel_shape}; every size must be at least 1")
    extent = [(k - 1) * d + 1 for k, d in zip(size, dilation, strict=True)]
    pairs = _pairs(padding, space, extent, strides)
    padded = [n + before + after for n, (before, after) in zip(space, pairs, strict=True)]
    if any(k > n for k, n in zip(extent, padded, strict=True)):
        raise ValueError(f"kernel covers {tuple(extent)} places with its dilation; the padded input has only {tuple(padded)}")
    return lowerings.Window(strides, pairs, dilation, groups, (1,) * dims)


def _for_each(value, dims, name):
    values = tuple(value) if isinstance(value, Sequence) else (value,) * dims
    if len(values) != dims or not all(isinstance(v, int) and v >= 1 for v in values):
        raise ValueError(f"{name} is {value}; it must be a positive integer, or {dims} of them")
    return values


def _pairs(padding, space, extent, strides):
    if isinstance(padding, str):
        if padding not in ("SAME", "VALID"):
            raise ValueError(f"padding is {padding!r}; it must be 'SAME', 'VALID' or pairs (before, after)")
        return tuple(lax.padtype_to_pads(space, extent, strides, padding))
    pairs = tuple(tuple(pair) for pair in padding)
    if len(pairs) != len(space) or not all(len(p) == 2 and all(isinstance(n, int) for n in p) for p in pairs):
        raise ValueError(f"padding is {padding}; {len(space)} dimensions of space need as many pairs (before, after)")
    return pairs


def separable_conv(
    x: Num[Array, "batch *space channels"],
    depthwise: Num[Array, "*size 1 inner"],
    pointwise: Num[Array, "inner out"],
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    dilation: int | Sequence[int] = 1,
) -> Num[Array, "batch *space_out out"]:
    """A convolution of every channel by itself, then a linear map: `prod(size) + out` products instead of `prod(size) out`.

    Args:
        x: `[batch, *space, in]`.
        depthwise: `[*size, 1, m in]`, m kernels for each channel.
        pointwise: `[m in, out]`.
        stride, padding, dilation: of the first, as for `conv_nd`.

    Raises:
        ValueError: if the channels do not fit each other, and as `conv_nd`.

    >>> separable_conv(jnp.ones((1, 8, 8, 3)), jnp.ones((3, 3, 1, 6)), jnp.ones((6, 5)), stride=2).shape
    (1, 4, 4, 5)
    """
    if pointwise.shape[0] != depthwise.shape[-1]:
        raise ValueError(f"pointwise reads {pointwise.shape[0]} channels; depthwise makes {depthwise.shape[-1]}")
    inner = conv_nd(x, depthwise, stride=stride, padding=padding, groups=x.shape[-1], dilation=dilation)
    return inner @ pointwise


class Conv(nnx.Module):
    """`conv_nd` with its kernel and a bias as parameters.

    Args:
        in_features, out_features: channels.
        kernel_size: one for each dimension of space; a single number means two dimensions.
        stride, padding, groups, dilation, impl: as for `conv_nd`.
        use_bias: add a bias, zero at first.
        kernel_init: of the kernel; He's normal weights by default.
        rngs: for the initial weights.

    Raises:
        ValueError: if channels, sizes or groups are not positive, or groups do not divide the channels.

    >>> Conv(3, 8, 3, stride=2, rngs=nnx.Rngs(0))(jnp.ones((1, 32, 32, 3))).shape
    (1, 16, 16, 8)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: int | Sequence[int] = 3,
        *,
        stride: int | Sequence[int] = 1,
        padding: Padding = "SAME",
        groups: int = 1,
        dilation: int | Sequence[int] = 1,
        use_bias: bool = True,
        kernel_init: nnx.Initializer = he_normal,
        impl: Implementation = "auto",
        rngs: nnx.Rngs,
    ):
        size = (kernel_size,) * 2 if isinstance(kernel_size, int) else tuple(kernel_size)
        if min(in_features, out_features, *size) < 1:
            raise ValueError(f"channels are {in_features} and {out_features}, kernel_size is {size}; all must be at least 1")
        if groups < 1 or in_features % groups or out_features % groups:
            raise ValueError(f"groups is {groups}; it must be positive and divide {in_features} and {out_features} channels")
        self.kernel = nnx.Param(kernel_init(rngs.params(), (*size, in_features // groups, out_features), jnp.float32))
        self.bias = nnx.Param(jnp.zeros(out_features)) if use_bias else None
        self.stride = stride if isinstance(stride, int) else tuple(stride)
        self.dilation = dilation if isinstance(dilation, int) else tuple(dilation)
        self.padding = padding if isinstance(padding, str) else tuple(tuple(pair) for pair in padding)
        self.groups, self.impl = groups, impl

    def __call__(self, x: Num[Array, "batch *space channels"]) -> Num[Array, "batch *space_out out"]:
        """The convolution, its bias added."""
        options = {name: getattr(self, name) for name in ("stride", "padding", "groups", "dilation", "impl")}
        y = conv_nd(x, self.kernel[...], **options)
        return y if self.bias is None else y + self.bias[...].astype(y.dtype).reshape((1,) * (y.ndim - 1) + (-1,))


class ConvNormAct(nnx.Module):
    """Convolution, normalisation, activation: the brick of convolutional networks.

    Args:
        in_features, out_features, kernel_size, stride, groups: of the convolution, as for `Conv`; no bias where a norm follows.
        norm: makes the normaliser from its number of channels; None for none.
        act: the activation; None for none.
        rngs: for the initial weights.

    >>> block = ConvNormAct(3, 8, 3, stride=2, rngs=nnx.Rngs(0))
    >>> block(jnp.ones((4, 16, 16, 3))).shape
    (4, 8, 8, 8)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: int | Sequence[int] = 3,
        *,
        stride: int | Sequence[int] = 1,
        groups: int = 1,
        norm: Callable[[int], Layer] | None = BatchNorm,
        act: Layer | None = jax.nn.relu,
        rngs: nnx.Rngs,
    ):
        self.conv = Conv(in_features, out_features, kernel_size, stride=stride, groups=groups, use_bias=norm is None, rngs=rngs)
        self.norm = None if norm is None else norm(out_features)
        self.act = act

    def __call__(self, x: Num[Array, "batch *space channels"]) -> Num[Array, "batch *space_out out"]:
        """What the three make of x."""
        for layer in (self.conv, self.norm, self.act):
            x = x if layer is None else layer(x)
        return x
