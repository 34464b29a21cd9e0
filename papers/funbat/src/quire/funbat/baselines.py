"""What functional factors are compared with: additive effects, and one Gaussian process over all coordinates at once."""

from functools import reduce

import jax
import numpy as np
from jaxtyping import Array, Float, Int

from quire.common.random import generator
from quire.funbat.gaussian_process import matern_kernel


def additive_effects(
    indices: Int[np.ndarray | Array, "entries modes"],
    values: Float[np.ndarray | Array, " entries"],
    test: Int[np.ndarray, "new modes"],
    ridge: float = 0.1,
) -> Float[np.ndarray, " new"]:
    """Mean, an effect of the cell (all modes but the last) and one of the last mode's index, by ridge regression.

    A cell or an index without an entry has no effect.

    Args:
        indices, values: entries to learn from.
        test: entries to predict.
        ridge: weight of the squared effects.

    >>> train = np.array([[0, 0], [0, 1], [1, 0]])
    >>> additive_effects(train, np.array([1.0, 2.0, 5.0]), np.array([[1, 1]]), 1e-9).round(3).tolist()
    [6.0]
    """
    from scipy.sparse import csr_array, hstack
    from scipy.sparse.linalg import lsqr

    both = np.concatenate([indices, test])
    cells = np.unique(both[:, :-1], axis=0, return_inverse=True)[1].reshape(-1)
    rows, ones = np.arange(len(both)), np.ones(len(both))
    design = hstack([csr_array((ones, (rows, places))) for places in (cells, both[:, -1])], format="csr")
    mean, n = values.mean(), len(values)
    effects = lsqr(design[:n], values - mean, damp=np.sqrt(ridge), atol=1e-10, btol=1e-10)[0]
    return mean + design[n:] @ effects


LENGTHSCALES = (1.0, 3.0, 10.0)
NOISES = (0.01, 0.03, 0.1)
"""What the Gaussian process chooses from by marginal likelihood: multiples of the given lengthscale, variances of the noise."""


def process_over_coordinates(
    coordinates: tuple[Float[np.ndarray | Array, " _"], ...],
    indices: Int[np.ndarray | Array, "entries modes"],
    values: Float[np.ndarray | Array, " entries"],
    test: Int[np.ndarray, "new modes"],
    *,
    nu: float,
    lengthscale: float,
    most: int,
    key: jax.Array,
) -> Float[np.ndarray, " new"]:
    """Regression of the values on all coordinates at once, by a product of Matern kernels and independent noise.

    Args:
        coordinates: of each mode.
        indices, values: entries to learn from; the values have a variance of about 1.
        test: entries to predict.
        nu, lengthscale: of the kernels; the multiple of the lengthscale and the noise are those of the largest marginal
            likelihood.
        most: entries that are looked at, a random part of them; time is cubic in it.
        key: of the draw.
    """
    from scipy.linalg import cho_factor, cho_solve

    chosen = generator(key).permutation(len(values))[:most]
    indices, y = indices[chosen], np.asarray(values[chosen], np.float32)
    best = (-np.inf, [], np.zeros(0))
    for multiple in LENGTHSCALES:
        tables = [np.asarray(matern_kernel(nu, 1.0, multiple * lengthscale, t[:, None] - t[None])) for t in coordinates]
        gram = _product_kernel(tables, indices, indices)
        for noise in NOISES:
            factor = cho_factor(gram + noise * np.eye(len(y), dtype=np.float32), lower=True)
            weights = cho_solve(factor, y)
            log_marginal = -0.5 * y @ weights - np.log(np.diagonal(factor[0])).sum()  # up to a constant
            best = max(best, (log_marginal, tables, weights), key=lambda each: each[0])
    _, tables, weights = best
    return _product_kernel(tables, test, indices) @ weights


def _product_kernel(tables, a, b) -> Float[np.ndarray, "rows columns"]:
    """Products over the modes of the kernels of their coordinates, from tables of them."""
    parts = (table[:, b[:, mode]][a[:, mode]] for mode, table in enumerate(tables))  # whole rows, which copy fast
    return reduce(np.multiply, parts).astype(np.float32)
