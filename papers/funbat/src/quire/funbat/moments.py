"""Conditional moments: what an entry says about one mode's functions, the others given (section 4.1).

The q's of the modes are independent, so that moments of products are products of moments: elementwise ones for CP, Kronecker
products for Tucker.
"""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from quire.common.arrays import AnyArray
from quire.common.tensors.multilinear import hadamard_moments, kron_moments, unfold
from quire.funbat.model import Gaussian

Functions = Sequence[Gaussian]


def at_entries(functions: Functions, indices: Int[AnyArray, "entries modes"]) -> list[Gaussian]:
    """q of each mode's functions where the entries lie."""
    return [Gaussian(f.mean[indices[:, mode]], f.covariance[indices[:, mode]]) for mode, f in enumerate(functions)]


def product_moments(rows: Functions, core: Gaussian | None) -> tuple[Float[Array, "entries p"], Float[Array, "entries p p"]]:
    """E[z] and E[z z^T] of the product of some modes' functions: Kronecker with a core, elementwise without."""
    moments = hadamard_moments if core is None else kron_moments
    return moments([row.mean for row in rows], [row.covariance for row in rows])


def core_tensor(core: Gaussian, rank: int, modes: int) -> Float[Array, "*ranks"]:
    """E[G], with one axis for each mode in order."""
    return jnp.asarray(core.mean).reshape((rank,) * modes)


def conditional_moments(
    rows: Functions, core: Gaussian | None, mode: int
) -> tuple[Float[Array, "entries rank"], Float[Array, "entries rank rank"]]:
    """First and second moments of the weights c with which an entry depends on `u_mode`: `E[y] = E[c]^T u_mode`.

    Tucker: `c = G_(mode) z` with z the Kronecker product of the other modes' functions; the variance of the core is left out,
    as in the authors' code. CP: `c = z`, their elementwise product.

    Args:
        rows: q of every mode's functions at the entries, from `at_entries`.
        core: q(vec G), or None for CP.
        mode: whose weights.
    """
    first, second = product_moments([row for m, row in enumerate(rows) if m != mode], core)
    if core is None:
        return first, second
    unfolded = unfold(core_tensor(core, rows[0].mean.shape[-1], len(rows)), mode)
    return first @ unfolded.T, unfolded @ second @ unfolded.T


def value_moments(rows: Functions, core: Gaussian | None) -> tuple[Float[Array, " entries"], Float[Array, " entries"]]:
    """Mean and variance of the noise-free value of each entry, the core taken as its mean."""
    c, cc = conditional_moments(rows, core, 0)
    u, covariance = rows[0]
    mean = jnp.sum(c * u, axis=-1)
    second = jnp.sum(cc * (covariance + u[:, :, None] * u[:, None]), axis=(-2, -1))
    return mean, jnp.maximum(second - mean**2, 0)


def core_variance(rows: Functions, core: Gaussian) -> Float[Array, " entries"]:
    """What the core's own uncertainty adds to the variance of each entry: `tr(V_G E[z z^T])`."""
    size = rows[-1].mean.shape[-1]
    _, second = product_moments(rows[:-1], core)
    _, last = product_moments(rows[-1:], core)
    split = jnp.reshape(core.covariance, (second.shape[-1], size, second.shape[-1], size))
    return jnp.einsum("nab,acbd,ncd->n", second, split, last)
