"""Discrete choices that let a gradient pass: rounded bits, and one of several by a relaxed draw."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Real

from quire.common.arrays import AnyArray
from quire.common.checks import check_positive, floating


def binarise(s: Real[AnyArray, "*shape"]) -> Float[Array, "*shape"]:
    """`1[s >= 1/2]` of numbers in `[0, 1]`, with derivative 1 (straight through); 1/2 itself is a one, NaN stays NaN.

    >>> print(binarise(jnp.array([0.2, 0.5, 0.9])), jax.grad(binarise)(0.2))
    [0. 1. 1.] 1.0

    References:
        Krizhevsky and Hinton, *Using very deep autoencoders for content-based image retrieval*, 2011.
    """
    (s,) = floating(s)
    return s + jax.lax.stop_gradient((s >= 0.5).astype(s.dtype) - s)


def relaxed_one_hot(
    logits: Real[AnyArray, "*batch S"], uniform: Real[AnyArray, "*batch S"], temperature: float | Array
) -> Float[Array, "*batch S"]:
    """`softmax((l + G) / T)` with Gumbel noise `G = -log(-log U)`: a draw from `softmax(l)` that becomes sharper as T falls.

    Args:
        logits: l.
        uniform: U in `[0, 1]`; its ends are moved inside by what the dtype resolves.
        temperature: T.

    Raises:
        ValueError: for a temperature that is not positive, or shapes that differ.

    >>> print(relaxed_one_hot(jnp.array([0.0, 0.0]), jnp.array([0.5, 0.5]), 0.7))
    [0.5 0.5]

    References:
        Maddison et al. 2017; Jang et al. 2017.
    """
    check_positive("temperature", temperature)
    if logits.shape != uniform.shape:
        raise ValueError(f"logits has shape {logits.shape} and uniform {uniform.shape}; every logit needs a number of its own")
    logits, uniform = floating(logits, uniform)
    limits = jnp.finfo(uniform.dtype)
    noise = -jnp.log(-jnp.log(jnp.clip(uniform, limits.tiny, 1 - limits.epsneg)))
    noisy = logits + noise
    # the largest is taken away before the division, which compilers round differently from place to place
    noisy -= jax.lax.stop_gradient(noisy.max(axis=-1, keepdims=True))
    return jax.nn.softmax(noisy / jnp.asarray(temperature, logits.dtype), axis=-1)


def gumbel_softmax(key: jax.Array, logits: Real[AnyArray, "*batch S"], temperature: float | Array) -> Float[Array, "*batch S"]:
    """`relaxed_one_hot` with uniform numbers of a key.

    Raises:
        ValueError: for a temperature that is not positive.

    >>> print(f"{gumbel_softmax(jax.random.key(0), jnp.zeros(3), 0.5).sum():.4f}")
    1.0000
    """
    (logits,) = floating(logits)
    return relaxed_one_hot(logits, jax.random.uniform(key, logits.shape, logits.dtype), temperature)
