"""Operations that work number by number, on stored activations: nothing is kept for the backward pass but the stored inputs.

Each returns float32, to be stored by whoever comes next. Derivatives are those of the smooth operation, evaluated where the
stored inputs are: straight through the rounding.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from quire.coat.activations import Activation, Storage, decode, derivative, store
from quire.common.layers import norms

EPS = 1e-5
"""Of the normalisers."""


def rms_norm(x: Activation, weight: Float[Array, " dim"]) -> Float[Array, "*shape dim"]:
    """`weight x / sqrt(mean(x^2) + 1e-5)`."""
    return _from_stored(_rms_norm, (weight,), x)


def layer_norm(x: Activation, weight: Float[Array, " dim"], bias: Float[Array, " dim"]) -> Float[Array, "*shape dim"]:
    """`weight (x - mean) / sqrt(var + 1e-5) + bias`."""
    return _from_stored(_layer_norm, (weight, bias), x)


def silu(x: Activation) -> Float[Array, "*shape"]:
    """`x sigmoid(x)`.

    >>> print(f"{silu(store(jnp.ones(16), 'group'))[0]:.2f}")
    0.73
    """
    return _from_stored(jax.nn.silu, (), x)


def gelu(x: Activation) -> Float[Array, "*shape"]:
    """`x Phi(x)`, Phi the normal distribution function."""
    return _from_stored(_gelu, (), x)


def product(x: Activation, y: Activation) -> Float[Array, "*shape"]:
    """`x y`, rounded to bfloat16 unless both are float32: the input of a linear map, whose scale is that of rounded numbers.

    Raises:
        ValueError: if the shapes differ.
    """
    if x.codes.shape != y.codes.shape:
        raise ValueError(f"x has shape {x.codes.shape} and y {y.codes.shape}; they must be the same")
    out = _from_stored(jnp.multiply, (), x, y)
    return out if x.storage == y.storage == "float32" else out.astype(jnp.bfloat16).astype(jnp.float32)


def residual_add(
    stream: Float[Array, "*shape dim"], y: Float[Array, "*shape dim"], storage: Storage
) -> tuple[Float[Array, "*shape dim"], Activation]:
    """`stream + y` in the precision of the stream, and its stored copy for the normaliser that comes next."""
    total = stream + y.astype(stream.dtype)
    return total, store(total, storage)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _from_stored(function: Callable, weights: tuple, *inputs: Activation):
    return function(*(decode(x.codes, x.scale) for x in inputs), *weights)


def _forward_rule(function, weights, *inputs):
    saved = [(x.codes, x.scale, jnp.zeros(0, x.value.dtype)) for x in inputs]
    return _from_stored(function, weights, *inputs), (weights, saved)


def _backward_rule(function, saved, dy):
    weights, inputs = saved
    _, pullback = jax.vjp(function, *(decode(codes, scale) for codes, scale, _ in inputs), *weights)
    derivatives = pullback(dy)
    by_inputs = [derivative(d.astype(like.dtype)) for d, (_, _, like) in zip(derivatives, inputs, strict=False)]
    return (tuple(derivatives[len(inputs) :]), *by_inputs)


_from_stored.defvjp(_forward_rule, _backward_rule)


def _rms_norm(x, weight):
    return norms.rms_norm(x, scale=weight, eps=EPS)


def _layer_norm(x, weight, bias):
    return norms.layer_norm(x, scale=weight, shift=bias, eps=EPS)


def _gelu(x):
    return jax.nn.gelu(x, approximate=False)
