"""What the stages maximise: total coding rate (5), MLC (4), and the rivals with k clusters, MCR2 and NMCE."""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Real

from quire.common.arrays import AnyArray
from quire.common.checks import at_least_float32
from quire.common.roots import length
from quire.manifold_clustering.rates import Scalar, coding_rate, coding_rate_classes, coding_rate_ds
from quire.manifold_clustering.sinkhorn import Gradient, sinkhorn

Kernel = Literal["inner", "abs"]


def unit(x: Real[AnyArray, "*batch d"]) -> Float[Array, "*batch d"]:
    """Rows of length 1, however small they were; zero rows stay zero, with gradient 0.

    >>> unit(jnp.array([[3.0, 0.0], [0.0, 0.0]])).tolist()
    [[1.0, 0.0], [0.0, 0.0]]
    """
    (x,) = at_least_float32(x)
    largest = jax.lax.stop_gradient(jnp.abs(x).max(axis=-1, keepdims=True, initial=0))  # so that no square underflows
    x = x / jnp.where(largest == 0, 1, largest)
    size = length(x)[..., None]
    return x / jnp.where(size == 0, 1, size)


def affinity(C: Real[AnyArray, "n d"], kernel: Kernel = "inner") -> Float[Array, "n n"]:
    """`C C^T` of the paper, or its absolute value, which the related code takes.

    Raises:
        ValueError: for another kernel.

    >>> affinity(jnp.array([[1.0], [-1.0]]), "abs").tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """
    (C,) = at_least_float32(C)
    products = jnp.matmul(C, C.T, precision="highest")
    if kernel not in ("inner", "abs"):
        raise ValueError(f"kernel is {kernel!r}; it must be inner or abs")
    return jnp.abs(products) if kernel == "abs" else products


def tcr_objective(
    Z1: Real[AnyArray, "n d"], Z2: Real[AnyArray, "n d"], eps_squared: Scalar, lam: Scalar, *, absolute: bool = True
) -> Float[Array, ""]:
    """`R((Z + Z') / 2) + lam sum_i |z_i . z_i'|` (5): features that spread out and do not see the augmentation.

    Args:
        Z1, Z2: features of two augmentations of the same points, unit rows.
        eps_squared: square of the distortion.
        lam: weight of the *sum*. The related code weighs the *mean* by 30, without absolute values: lam = 30 / n, absolute=False.
        absolute: take cosines by their absolute value.

    Raises:
        ValueError: if both have not the same shape, and as `coding_rate`.

    >>> print(f"{tcr_objective(jnp.eye(2), jnp.eye(2), 1.0, 0.5):.4f}")  # 2 log 2 + 1
    2.3863
    """
    Z1, Z2 = at_least_float32(Z1, Z2)
    if Z1.shape != Z2.shape:
        raise ValueError(f"Z1 has shape {Z1.shape} and Z2 {Z2.shape}; they need features of the same points")
    cosines = jnp.sum(Z1 * Z2, axis=-1)
    return coding_rate((Z1 + Z2) / 2, eps_squared) + lam * jnp.sum(jnp.abs(cosines) if absolute else cosines)


class Rates(NamedTuple):
    """What an objective is made of: the rate of all points, that of the clusters, and the memberships."""

    all: Float[Array, ""]
    clusters: Float[Array, ""]
    memberships: Float[Array, "n k"]


def mlc_objective(
    Z: Real[AnyArray, "*views n d"],
    C: Real[AnyArray, "*views n d"],
    eps_squared: Scalar,
    eta: Scalar,
    gamma_reg: Scalar = 0.0,
    *,
    kernel: Kernel = "inner",
    n_half_iters: int | None = None,
    grad: Gradient = "implicit",
    block: int | None = None,
) -> tuple[Float[Array, ""], Rates]:
    """`R(Z) - R_c(Z, Gamma)` with `Gamma = P(C C^T)`: objective (4).

    With a leading axis of augmentations, `Z = unit(mean_a Z^a)` and `Gamma = mean_a Gamma^a` (6): a mean of doubly stochastic
    matrices is doubly stochastic.

    Args:
        Z: features, unit rows.
        C: outputs of the cluster head, unit rows.
        eps_squared: square of the distortion.
        eta: weight of the entropy, see `sinkhorn`.
        gamma_reg: weight of `-|Gamma|_F^2 / 2`, 0.05 in the related code.
        kernel: see `affinity`.
        n_half_iters, grad: see `sinkhorn`.
        block: see `coding_rate_ds`.

    Raises:
        ValueError: if Z and C are not of the same points and views, and as `sinkhorn` and `coding_rate_ds`.

    >>> value, rates = mlc_objective(jnp.eye(2), jnp.eye(2), 1.0, 0.1)
    >>> print(f"{value:.3f} {rates.memberships[0, 0]:.3f}")
    0.288 1.000
    """
    Z, C = at_least_float32(Z, C)
    if Z.ndim not in (2, 3) or Z.shape[:-1] != C.shape[:-1]:
        raise ValueError(f"Z has shape {Z.shape} and C {C.shape}; they need [n, d] or [views, n, d] of the same points")
    gammas = [sinkhorn(affinity(c, kernel), eta, n_half_iters, grad=grad) for c in (C[None] if C.ndim == 2 else C)]
    Gamma = sum(gammas[1:], gammas[0]) / len(gammas)
    Z = Z if Z.ndim == 2 else unit(Z.mean(0))
    rates = Rates(coding_rate(Z, eps_squared), coding_rate_ds(Z, Gamma, eps_squared, block=block), Gamma)
    return rates.all - rates.clusters - gamma_reg * jnp.sum(Gamma**2) / 2, rates


def mcr2_objective(Z: Real[AnyArray, "n d"], Pi: Real[AnyArray, "n k"], eps_squared: Scalar) -> tuple[Float[Array, ""], Rates]:
    """`R(Z) - R_c(Z, Pi)`: maximal coding rate reduction, supervised where Pi are the labels, one hot.

    >>> value, _ = mcr2_objective(jnp.eye(2), jnp.eye(2), 1.0)
    >>> print(f"{value:.4f}")  # log 4 - log 3
    0.2877
    """
    rates = Rates(coding_rate(Z, eps_squared), coding_rate_classes(Z, Pi, eps_squared), at_least_float32(Pi)[0])
    return rates.all - rates.clusters, rates


def nmce_objective(
    Z: Real[AnyArray, "views n d"],
    logits: Real[AnyArray, "views n k"],
    noise: Real[AnyArray, "views n k"],
    eps_squared: Scalar,
    lam: Scalar,
    temperature: Scalar = 1.0,
) -> tuple[Float[Array, ""], Rates]:
    """`R(Z) - R_c(Z, Pi) + lam sum_i cos` with Gumbel-softmax memberships in k clusters: neural manifold clustering (NMCE).

    Args:
        Z: features of two augmentations, unit rows.
        logits: scores of the k clusters.
        noise: Gumbel noise; zeros for the plain softmax.
        eps_squared: square of the distortion.
        lam: weight of the sum of cosines between the views, as in `tcr_objective`.
        temperature: of the softmax.

    Raises:
        ValueError: as `coding_rate_classes`.

    >>> z, logits = jnp.eye(2)[None].repeat(2, 0), 50 * jnp.eye(2)[None].repeat(2, 0)
    >>> print(f"{nmce_objective(z, logits, 0 * logits, 1.0, 0.0)[0]:.4f}")
    0.2877
    """
    Z, logits, noise = at_least_float32(Z, logits, noise)
    Pi = jax.nn.softmax((logits + noise) / temperature, axis=-1).mean(0)
    value, rates = mcr2_objective(unit(Z.mean(0)), Pi, eps_squared)
    return value + lam * jnp.sum(Z[0] * Z[1]), rates
