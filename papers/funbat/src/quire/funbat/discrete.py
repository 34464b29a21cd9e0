"""Decompositions of a grid, which know nothing of distances between coordinates: Tucker by alternating least squares.

CP is `quire.common.tensors.cp.cp_als`; the Bayesian forms are this package's own inference with `Model(smooth=False)`.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Real

from quire.common.arrays import AnyArray
from quire.common.tensors.cp import checked_cells, ridge_rows
from quire.common.tensors.multilinear import unfold


def tucker_als(
    indices: Int[AnyArray, "entries modes"],
    values: Real[AnyArray, " entries"],
    dims: tuple[int, ...],
    rank: int,
    ridge: float,
    *,
    key: jax.Array,
    sweeps: int = 20,
) -> tuple[Float[Array, "*ranks"], tuple[Float[Array, "_ rank"], ...]]:
    """Core and factors for the observed entries: ridge regressions of every row of every factor, then of the core.

    Args:
        indices, values: of the entries.
        dims: sizes of the modes.
        rank: R of all modes.
        ridge: weight of the squared norms of factors and core, positive.
        key: of the start, standard normal over the square root of the rank.
        sweeps: over all modes and the core.

    Returns:
        `[R, ..., R]` and one factor `[dim, R]` for each mode; `tucker_score` of the core and rows gives entries.

    Raises:
        ValueError: for sizes below 1, a ridge that is not positive, indices out of range, or values that do not fit.

    >>> x = np.einsum("i,j,k->ijk", [1.0, 2.0], [3.0, 1.0], [1.0, 4.0])
    >>> core, (a, b, c) = tucker_als(np.argwhere(x > 1), x[x > 1], x.shape, 1, 1e-4, key=jax.random.key(0))
    >>> print(f"{float(core[0, 0, 0] * a[0, 0] * b[1, 0] * c[0, 0]):.2f}")  # an entry that was not observed
    1.00
    """
    indices, values = checked_cells(indices, values, dims, rank, ridge, sweeps)
    draw = jax.random.normal(key, (sum(dims) + rank ** len(dims) // rank, rank), values.dtype) / np.sqrt(rank)
    *factors, core = jnp.split(draw, np.cumsum(dims))
    return _sweeps(indices, values, core.reshape((rank,) * len(dims)), tuple(factors), jnp.asarray(ridge, values.dtype), sweeps)


@partial(jax.jit, static_argnames="sweeps")
def _sweeps(indices, values, core, factors, ridge, sweeps):
    def product(factors):
        rows = [factor[indices[:, m]] for m, factor in factors]
        out = rows[0]
        for row in rows[1:]:
            out = (out[:, :, None] * row[:, None]).reshape(len(values), -1)
        return out

    def sweep(_, state):
        core, factors = state
        for mode, factor in enumerate(factors):
            z = product([(m, f) for m, f in enumerate(factors) if m != mode]) @ unfold(core, mode).T
            factors = (*factors[:mode], ridge_rows(z, values, indices[:, mode], len(factor), ridge), *factors[mode + 1 :])
        core = ridge_rows(product(list(enumerate(factors))), values, jnp.zeros(len(values), int), 1, ridge)
        return core.reshape((factors[0].shape[1],) * len(factors)), factors

    return jax.lax.fori_loop(0, sweeps, sweep, (core, factors))
