"""Linear maps on stored activations, with the matrix products of both passes in eight-bit floats."""

import math
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from quire.coat.activations import Activation, decode, derivative, encode
from quire.common.quant.fp8 import fp8_cast, fp8_max


def quantize_weight(kernel: Float[Array, "in out"]) -> tuple[Array, Float[Array, ""]]:
    """E4M3 codes and one float32 scale `max |kernel| / 448`; a kernel of zeros gets the scale 1.

    >>> codes, scale = quantize_weight(jnp.array([[1.0, -2.0]]))
    >>> codes.astype(jnp.float32).tolist()
    [[224.0, -448.0]]
    """
    kernel = kernel.astype(jnp.float32)
    scale = jnp.abs(kernel).max() / fp8_max("e4m3")
    scale = jnp.where(scale > 0, scale, 1)
    return fp8_cast(kernel / scale), scale


def linear(x: Activation, kernel: Float[Array, "in out"]) -> Float[Array, "*batch out"]:
    """`x kernel`, computed in what x is stored in and accumulated in float32.

    Forward, x and the kernel are E4M3. Backward, the incoming derivative is quantised to E5M2, whose range is wider; it meets
    the kernel, quantised again from its master copy, and the stored x. Nothing but x's codes is kept in between.

    Args:
        x: stored activations `[..., in]`; wide ones give the ordinary map in their precision.
        kernel: master copy of the weights.

    Returns:
        `[..., out]`, float32. Derivatives are rounded to bfloat16, unless x is float32.

    Raises:
        ValueError: if the kernel does not fit x, or 16 does not divide `in` and `out`.

    References:
        Section 5, figure 4.
    """
    if kernel.ndim != 2 or x.codes.shape[-1] != kernel.shape[0]:
        raise ValueError(f"kernel has shape {kernel.shape} and x {x.codes.shape}; it must be [{x.codes.shape[-1]}, out]")
    return _linear(x.storage, x, kernel)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _linear(storage, x, kernel):
    return _product(_operand(x.codes, x.scale), _weight(kernel, storage))


def _forward_rule(storage, x, kernel):
    return _linear(storage, x, kernel), (x.codes, x.scale, kernel, jnp.zeros(0, x.value.dtype))


def _backward_rule(storage, saved, dy):
    codes, scale, kernel, like = saved
    x, factor = _operand(codes, scale)
    dy, dy_factor = _operand(*encode(dy, storage, "e5m2"))
    weight, weight_factor = _weight(kernel, storage)
    dx = _product((dy, dy_factor), (weight.T, weight_factor))
    dw = _product((_rows(x).T, factor), (_rows(dy), dy_factor))
    if storage != "float32":
        dx, dw = dx.astype(jnp.bfloat16), dw.astype(jnp.bfloat16)
    return derivative(dx.astype(like.dtype)), dw.astype(kernel.dtype)


_linear.defvjp(_forward_rule, _backward_rule)


def _operand(codes, scale):
    """A matrix and a factor: the codes themselves where one scale serves them all, else the numbers that they stand for."""
    return (codes, scale) if scale is None or scale.ndim == 0 else (decode(codes, scale), None)


def _weight(kernel, storage):
    """The kernel as an operand for activations of this storage; its groups run along the inputs, which are summed over."""
    if storage == "tensor":
        return quantize_weight(kernel)
    numbers, factor = _operand(*encode(kernel.T, storage))
    return numbers.T, factor


def _product(a, b):
    """Product of two operands over the last axis of the first, accumulated in float32."""
    (a, first), (b, second) = a, b
    y = jax.lax.dot_general(a, b, (((a.ndim - 1,), (0,)), ((), ())), preferred_element_type=jnp.float32)
    factors = [factor for factor in (first, second) if factor is not None]
    return y * math.prod(factors) if factors else y


def _rows(x):
    return x.reshape(-1, x.shape[-1])
