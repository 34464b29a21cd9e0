"""Arc-cosine kernels: the Gaussian process and the tangent kernel of infinitely wide ReLU networks, in closed form."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


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


def step_correlation(c: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """`F11(c) = P(u > 0, v > 0) = acos(-c) / 2 pi` for unit Gaussians of correlation c; 1/2 at c = 1."""
    return jnp.arccos(-jnp.clip(c, -1, 1)) / (2 * jnp.pi)


def _correlation(K: Array) -> tuple[Array, Array]:
    scale = jnp.sqrt(jnp.diagonal(K))
    return K / scale[:, None] / scale[None, :], scale


def relu_covariance(K: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """`E[relu(u_i) relu(u_j)]` for `u ~ N(0, K)`."""
    c, scale = _correlation(K)
    return scale[:, None] * scale[None, :] * relu_correlation(c)


def step_covariance(K: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """`P(u_i > 0, u_j > 0)` for `u ~ N(0, K)`."""
    return step_correlation(_correlation(K)[0])


def _inputs(x: Array, y: Array, varw: float, varb: float):
    if x.shape[-1] != y.shape[-1]:
        raise ValueError(f"x has {x.shape[-1]} features and y {y.shape[-1]}; a kernel compares inputs of one dimension")
    scale_x, scale_y = (jnp.sqrt(varw * jnp.sum(z**2, -1) + varb) for z in (x, y))
    product = x @ y.T
    scale = scale_x[:, None] * scale_y[None, :]
    return product, scale, (varw * product + varb) / scale


def relu_gp(x: Float[Array, "n d"], y: Float[Array, "m d"], *, varw: float = 1.0, varb: float = 0.0) -> Float[Array, "n m"]:
    """Kernel of training only the readout of one hidden ReLU layer: `s(x) s(y) F00(q)`.

    `s(x)^2 = varw |x|^2 + varb` and `q = (varw x.y + varb) / s(x) s(y)`.

    Raises:
        ValueError: if the inputs differ in dimension.
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

    Raises:
        ValueError: if the inputs differ in dimension.
    """
    product, scale, q = _inputs(x, y, varw, varb)
    return scale * relu_correlation(q) + varw2 * step_correlation(q) * product
