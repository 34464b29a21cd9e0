"""Coarser codes (the authors' quantised similarities): rounding with three kinds of derivative, and rounding to clusters."""

from typing import Literal, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from quire.common.checks import check_positive, floating
from quire.common.quant.codebooks import assign
from quire.common.quant.uniform import round_ste

Rounding = Literal["straight-through", "hard", "smooth"]


def quantize(
    values: Num[Array, "*shape"], bin_size: float | Array, rounding: Rounding = "straight-through"
) -> Float[Array, "*shape"]:
    """Similarities, or latents, rounded to multiples of `bin_size`.

    With `t = values / bin_size`: `"straight-through"` is `bin_size round(t)`, ties to even, with the derivative 1; `"hard"` is
    the same with the derivative 0, for codes that nothing is trained through; `"smooth"` is
    `bin_size (t - sin(2 pi t) / (2 pi))`, steps that leave multiples where they are; its derivative is `1 - cos(2 pi t)`.

    Args:
        values: any shape.
        bin_size: positive.
        rounding: see above.

    Raises:
        ValueError: for a bin size that is not positive, or another name.

    >>> print(quantize(jnp.array([0.1, 0.3]), 0.25))
    [0.   0.25]
    >>> print(jax.grad(lambda t: quantize(t, 1.0, "smooth"))(0.5))
    2.0
    """
    check_positive("bin_size", bin_size)
    if rounding not in get_args(Rounding):
        raise ValueError(f"rounding is {rounding!r}; it must be one of {', '.join(get_args(Rounding))}")
    (values,) = floating(values)
    t = values / bin_size
    if rounding == "smooth":
        return bin_size * (t - jnp.sin(2 * jnp.pi * t) / (2 * jnp.pi))
    return bin_size * (round_ste(t) if rounding == "straight-through" else jax.lax.stop_gradient(jnp.round(t)))


def quantize_to_clusters(x: Num[Array, "n dim"], centres: Num[Array, "k dim"]) -> Float[Array, "n dim"]:
    """Latents moved to the nearest of k centres (of k-means, say), with the derivative 1.

    Args:
        x: latents.
        centres: such as `quire.common.quant.codebooks.kmeans` finds.

    Raises:
        ValueError: if dimensions differ or there is no centre.

    >>> quantize_to_clusters(jnp.array([[0.1], [0.9]]), jnp.array([[0.0], [1.0]])).tolist()
    [[0.0], [1.0]]
    """
    x, centres = floating(x, centres)
    nearest = jax.lax.stop_gradient(centres[assign(x, centres)])
    return nearest + (x - jax.lax.stop_gradient(x))  # exactly the centre: what is added is 0, with the derivative 1
