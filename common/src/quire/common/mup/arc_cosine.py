"""Arc-cosine kernels: the Gaussian process and the tangent kernel of infinitely wide ReLU networks, in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from quire.common.checks import floating, is_concrete
from quire.common.roots import root

EDGE = 8
"""Units of rounding below which `1 - c^2` is 0."""


@jax.custom_jvp
def relu_correlation(c: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """`F00(c) = E[relu(u) relu(v)] = (sqrt(1 - c^2) + c acos(-c)) / 2 pi` for unit Gaussians of correlation c.

    Its derivative is `step_correlation`, which stays finite where those of the root and of acos do not.
    """
    c = jnp.clip(c, -1, 1)
    return (jnp.sqrt(1 - c**2) + c * jnp.arccos(-c)) / (2 * jnp.pi)


@relu_correlation.defjvp
def _relu_correlation_jvp(primals, tangents):
    return relu_correlation(*primals), step_correlation(*primals) * tangents[0]


@jax.custom_jvp
def step_correlation(c: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """`F11(c) = P(u > 0, v > 0) = acos(-c) / 2 pi` for unit Gaussians of correlation c; 1/2 at c = 1.

    Its derivative, `1 / (2 pi sqrt(1 - c^2))`, is unbounded; where `1 - c^2` is rounding (`EDGE`), the two are one variable up to
    a factor, which no small change of an input alters to first order: 0.
    """
    return jnp.arccos(-jnp.clip(c, -1, 1)) / (2 * jnp.pi)


@step_correlation.defjvp
def _step_correlation_jvp(primals, tangents):
    (c,) = primals
    squared_sine = (1 - c) * (1 + c)
    edge = squared_sine <= EDGE * jnp.finfo(c.dtype).eps
    slope = jnp.where(edge, 0, jax.lax.rsqrt(jnp.where(edge, 1, squared_sine)) / (2 * jnp.pi))
    return step_correlation(c), slope * tangents[0]


def _divided(product: Array, scale: Array) -> Array:
    return jnp.where(scale == 0, 0, product / jnp.where(scale == 0, 1, scale))


def _correlation(K: Array) -> tuple[Array, Array]:
    (K,) = floating(K)
    if K.ndim != 2 or K.shape[0] != K.shape[1]:
        raise ValueError(f"K has shape {K.shape}; a covariance is square")
    scale = root(jnp.diagonal(K))
    return _divided(_divided(K, scale[:, None]), scale[None, :]), scale


def relu_covariance(K: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """`E[relu(u_i) relu(u_j)]` for `u ~ N(0, K)`; 0 where a variance is.

    Raises:
        ValueError: if `K` is not square.
    """
    c, scale = _correlation(K)
    return scale[:, None] * scale[None, :] * relu_correlation(c)


def step_covariance(K: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """`P(u_i > 0, u_j > 0)` for `u ~ N(0, K)`; 0 where a variance is.

    Raises:
        ValueError: if `K` is not square.
    """
    c, scale = _correlation(K)
    return jnp.where((scale[:, None] == 0) | (scale[None, :] == 0), 0, step_correlation(c))


def _inputs(x: Array, y: Array, varw: float, varb: float):
    if x.ndim != 2 or y.ndim != 2 or x.shape[-1] != y.shape[-1]:
        raise ValueError(f"x has {x.shape[-1]} features and y {y.shape[-1]}; a kernel compares inputs of one dimension")
    for name, value in (("varw", varw), ("varb", varb)):
        if is_concrete(value) and not np.asarray(value) >= 0:
            raise ValueError(f"{name} is {value}; a variance is not negative")
    x, y = floating(x, y)
    scale_x, scale_y = (root(varw * jnp.sum(z**2, -1) + varb) for z in (x, y))
    product = x @ y.T
    scale = scale_x[:, None] * scale_y[None, :]
    return product, scale, _divided(varw * product + varb, scale)


def relu_gp(x: Float[Array, "n d"], y: Float[Array, "m d"], *, varw: float = 1.0, varb: float = 0.0) -> Float[Array, "n m"]:
    """Kernel of training only the readout of one hidden ReLU layer: `s(x) s(y) F00(q)`.

    `s(x)^2 = varw |x|^2 + varb` and `q = (varw x.y + varb) / s(x) s(y)`. 0 for an input without variance.

    Raises:
        ValueError: if the inputs differ in dimension or a variance is negative.
    """
    _, scale, q = _inputs(x, y, varw, varb)
    return scale * relu_correlation(q)


def relu_ntk(
    x: Float[Array, "n d"], y: Float[Array, "m d"], *, varw: float = 1.0, varb: float = 0.0, varw2: float = 1.0
) -> Float[Array, "n m"]:
    """Tangent kernel of one hidden ReLU layer, input weights and readout trained: `relu_gp + varw2 F11(q) x.y`.

    Args:
        x, y: inputs.
        varw, varb: variances of input weights and biases.
        varw2: variance of the readout.

    The kernel has a cusp where x and y are parallel; its gradient there is that of the smooth part.

    Raises:
        ValueError: if the inputs differ in dimension or a variance is negative.
    """
    product, scale, q = _inputs(x, y, varw, varb)
    return scale * relu_correlation(q) + varw2 * step_correlation(q) * product
