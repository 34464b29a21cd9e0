"""Ways to compute a convolution, channels last: what `quire.common.layers.convolution.conv_nd` chooses among.

All take x `[batch, *space, in]`, kernel `[*size, in / groups, out]` and a `Window`, and give `[batch, *space', out]`.
"""

import itertools
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array, Float

Signal = Float[Array, "_batch *_space _channels"]
Kernel = Float[Array, "*_size _channels _out"]


class Window(NamedTuple):
    """How a kernel moves over space, one entry for each dimension of space; hashable.

    Attributes:
        strides: steps between outputs.
        padding: zeros before and after.
        dilation: steps between the taps of the kernel.
        groups: parts of the channels that do not mix.
        spread: steps between the entries of x, zeros among them; 1 but in the derivatives of strided convolutions.
    """

    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    groups: int
    spread: tuple[int, ...]


# --- XLA's own ---


def xla(x: Signal, kernel: Kernel, window: Window) -> Signal:
    """`lax.conv_general_dilated`, with XLA's own derivatives."""
    space = "DHW"[3 - len(window.strides) :]
    return lax.conv_general_dilated(
        x,
        kernel,
        window.strides,
        window.padding,
        lhs_dilation=window.spread,
        rhs_dilation=window.dilation,
        dimension_numbers=(f"N{space}C", f"{space}IO", f"N{space}C"),
        feature_group_count=window.groups,
    )


def canonical(x: Signal, kernel: Kernel, window: Window) -> Signal:
    """`lax.conv_general_dilated`, its derivatives written as convolutions with the channels last.

    On CPU, XLA has a fast routine for that layout and a loop over single numbers for every other. The derivatives that JAX
    derives are in other layouts; a pass of the compiler puts them right, but not inside `lax.scan`. There these here are 40
    times faster, and elsewhere they are the same. Groups, and models side by side under `vmap`, are computed one after the other,
    since XLA's grouped convolution is slow on CPU too.

    It is a primitive of its own, bilinear, so that derivatives of every mode and order stay in the family.
    """
    if window.groups == 1:
        return convolution_p.bind(x, kernel, window=window)
    grouped = [a.reshape(*a.shape[:-1], window.groups, a.shape[-1] // window.groups) for a in (x, kernel)]
    out = jax.vmap(partial(canonical, window=window._replace(groups=1)), (-2, -2), -2)(*grouped)
    return out.reshape(*out.shape[:-2], kernel.shape[-1])


convolution_p = Primitive("channels_last_convolution")
convolution_p.def_impl(xla)
mlir.register_lowering(convolution_p, mlir.lower_fun(xla, multiple_results=False))


@convolution_p.def_abstract_eval
def _(x, kernel, *, window):
    out = jax.eval_shape(partial(xla, window=window), *(jax.ShapeDtypeStruct(a.shape, a.dtype) for a in (x, kernel)))
    return x.update(shape=out.shape, dtype=out.dtype)


def _one_after_the_other(arrays, axes, *, window):
    x, kernel = (a if axis is None else jnp.moveaxis(a, axis, 0) for a, axis in zip(arrays, axes, strict=True))
    if axes[1] is None:
        merged = canonical(lax.collapse(x, 0, 2), kernel, window)
        return merged.reshape(*x.shape[:2], *merged.shape[1:]), 0
    if axes[0] is None:
        return lax.map(lambda kernel: canonical(x, kernel, window), kernel), 0
    return lax.map(lambda pair: canonical(*pair, window), (x, kernel)), 0


batching.primitive_batchers[convolution_p] = _one_after_the_other


def _windows(x, kernel, window):
    """Windows of the convolutions that lead from the gradient of the output to those of x and of the kernel."""
    towards_input, towards_kernel = [], []
    for axis, (stride, (before, _), dilation, spread) in enumerate(
        zip(window.strides, window.padding, window.dilation, window.spread, strict=True)
    ):
        length = (x.shape[axis + 1] - 1) * spread + 1
        reach = (kernel.shape[axis] - 1) * dilation
        count = (length + sum(window.padding[axis]) - reach - 1) // stride
        towards_input.append((reach - before, length - 1 - count * stride + before))
        towards_kernel.append((before, reach + count * stride + 1 - length - before))
    return (
        Window(window.spread, tuple(towards_input), window.dilation, 1, window.strides),
        Window(window.dilation, tuple(towards_kernel), window.strides, 1, window.spread),
    )


def _towards_input(dy, x, kernel, *, window):
    """Gradient of x, whose shape alone is known."""
    turned = jnp.swapaxes(jnp.flip(kernel, tuple(range(kernel.ndim - 2))), -1, -2)
    return canonical(dy, turned, _windows(x.aval, kernel, window)[0])


def _towards_kernel(dy, x, kernel, *, window):
    """Gradient of the kernel: the channels of x take the place of the batch, and the batch that of the channels."""
    out = canonical(jnp.swapaxes(x, 0, -1), jnp.moveaxis(dy, 0, -2), _windows(x, kernel.aval, window)[1])
    return jnp.moveaxis(out, 0, -2)


ad.defbilinear(convolution_p, _towards_input, _towards_kernel)

# --- By matrix products ---


def pad(x: Signal, window: Window) -> Signal:
    """Zeros around x, or its borders cut off where the padding is negative."""
    return lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), *((*pair, 0) for pair in window.padding), (0, 0, 0)))


def taps(x: Signal, axis: int, size: int, window: Window) -> Iterator[Signal]:
    """What each of the `size` taps along one axis of space meets, output by output."""
    stride, dilation = window.strides[axis], window.dilation[axis]
    count = (x.shape[axis + 1] - dilation * (size - 1) - 1) // stride
    for start in range(0, size * dilation, dilation):
        yield lax.slice_in_dim(x, start, start + count * stride + 1, stride, axis + 1)


def contract(columns: Signal, kernel: Kernel, groups: int) -> Signal:
    """Product of `[..., taps * in]` with the kernel, group by group."""
    channels, out = kernel.shape[-2:]
    if groups == 1:
        return columns @ kernel.reshape(-1, out)
    if channels == 1 and kernel.size == out:  # one tap, depthwise
        weights = kernel.reshape((1,) * (columns.ndim - 1) + (groups, -1))
        return (columns[..., None] * weights).reshape(*columns.shape[:-1], out)
    columns = columns.reshape(*columns.shape[:-1], columns.shape[-1] // (groups * channels), groups, channels)
    product = jnp.einsum("...kgi,kigo->...go", columns, kernel.reshape(-1, channels, groups, out // groups))
    return product.reshape(*product.shape[:-2], out)


def im2col(x: Signal, kernel: Kernel, window: Window) -> Signal:
    """Everything that a kernel meets side by side, then one matrix product: `prod(size)` times the memory of x."""
    x = pad(x, window)
    for axis in reversed(range(kernel.ndim - 2)):  # axis by axis: fewer slices than tap by tap
        x = jnp.concatenate(list(taps(x, axis, kernel.shape[axis], window)), axis=-1)
    return contract(x, kernel, window.groups)


def shifted(x: Signal, kernel: Kernel, window: Window) -> Signal:
    """A sum of products of x shifted along all axes but the last, whose taps stand side by side: `size[-1]` times the memory.

    Where every channel is a group of its own, the taps of the last axis are summed too, as multiplications without any copy.
    """
    x, dims = pad(x, window), kernel.ndim - 2
    summed = dims if kernel.shape[-2] == 1 and window.groups > 1 else dims - 1
    if summed < dims:
        x = jnp.concatenate(list(taps(x, summed, kernel.shape[summed], window)), axis=-1)
    parts = [(x, kernel)]
    for axis in range(summed):
        parts = [pair for x, kernel in parts for pair in zip(taps(x, axis, kernel.shape[0], window), kernel, strict=True)]
    return sum(contract(x, kernel, window.groups) for x, kernel in parts)  # ty: ignore[invalid-explicit-return]  # never of none


def tiles(kernel_size: tuple[int, ...], window: Window) -> bool:
    """Whether no two outputs share an input: along every axis one tap, or as many as the stride, not dilated."""
    axes = zip(kernel_size, window.strides, window.dilation, strict=True)
    return all(size == 1 or (size == stride and dilation == 1) for size, stride, dilation in axes)


def patches(x: Signal, kernel: Kernel, window: Window) -> Signal:
    """Where `tiles`: cut x into patches by a reshape, then one matrix product. No memory beyond a copy of x."""
    x, dims, shape = pad(x, window), kernel.ndim - 2, []
    for axis, (size, stride) in enumerate(zip(kernel.shape[:dims], window.strides, strict=True)):
        count = (x.shape[axis + 1] - size) // stride + 1
        step = stride if size == 1 else 1
        x = lax.slice_in_dim(x, 0, (count - 1) * stride + size, step, axis + 1)
        shape += [count, size]
    x = x.reshape(x.shape[0], *shape, x.shape[-1])
    order = itertools.chain([0], range(1, 2 * dims, 2), range(2, 2 * dims + 1, 2), [2 * dims + 1])
    columns = x.transpose(*order)
    return contract(lax.collapse(columns, dims + 1), kernel, window.groups)
