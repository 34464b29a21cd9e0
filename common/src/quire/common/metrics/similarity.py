"""Similarity of representations."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from quire.common.checks import at_least_float32, check_at_least, check_finite
from quire.common.layers.nested import unit_rows
from quire.common.retrieval.search import top_k_inner
from quire.common.roots import root


def linear_cka(x: Float[Array, "n p"], y: Float[Array, "n q"]) -> Float[Array, ""]:
    """Linear centred kernel alignment, `|Y^T X|_F^2 / (|X^T X|_F |Y^T Y|_F)` of centred columns, between 0 and 1.

    It does not change under rotation or scaling of either side. Constant features are similar to nothing: 0.

    Args:
        x, y: one example a row.

    Raises:
        ValueError: if the numbers of examples differ or are 0.

    References:
        Kornblith et al., *Similarity of Neural Network Representations Revisited*, 2019, arXiv 1905.00414, section 3.

    >>> x = jnp.array([[1.0, 0.0], [0.0, 2.0], [3.0, 1.0]])
    >>> print(linear_cka(x, 5 * x[:, ::-1]).round(5))
    1.0
    """
    x, y = (_centred(z) for z in _same_examples(x, y))
    return _aligned(jnp.sum((y.T @ x) ** 2), jnp.sum((x.T @ x) ** 2), jnp.sum((y.T @ y) ** 2))


def _same_examples(x: Array, y: Array) -> tuple[Array, ...]:
    """Both sides at least in float32: squares of Gram matrices leave the range of half precision."""
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y):
        raise ValueError(f"x has shape {x.shape} and y {y.shape}; they need [n, p] and [n, q], one n")
    check_at_least("number of examples", len(x))
    return at_least_float32(x, y)


def _aligned(both: Array, x: Array, y: Array) -> Float[Array, ""]:
    """`both / sqrt(x y)`, 0 where a side is; the roots are taken apart, since the product may be beyond all numbers."""
    roots = root(x) * root(y)
    return both / jnp.where(roots == 0, 1, roots)


def _centred(x: Float[Array, "n p"]) -> Float[Array, "n p"]:
    """Columns of mean 0, the largest entry 1. A constant column is exactly 0, not what rounding leaves of it."""
    x = x - x[:1]  # exact where all are equal, and the mean that is left costs no digits
    centred = x - x.mean(axis=0, keepdims=True)
    size = jax.lax.stop_gradient(jnp.abs(centred).max(initial=0))  # no scale matters, so none needs a derivative
    return centred / jnp.where(size == 0, 1, size)


def rbf_cka(x: Float[Array, "n p"], y: Float[Array, "n q"]) -> Float[Array, ""]:
    """Centred kernel alignment with Gaussian kernels, whose width is each side's median distance between different rows.

    `k(a, b) = exp(-|a - b|^2 / (2 s^2))`, `s^2` the median of the squared distances that are not zero.

    Args:
        x, y: one example a row.

    Raises:
        ValueError: if the numbers of examples differ or are 0.
    """
    a, b = (_gram(z) for z in _same_examples(x, y))
    return _aligned(jnp.sum(a * b), jnp.sum(a * a), jnp.sum(b * b))


def _gram(x: Float[Array, "n p"]) -> Float[Array, "n n"]:
    """The Gaussian kernel matrix, rows and columns of mean 0."""
    squared = jnp.sum((x[:, None] - x[None]) ** 2, axis=-1)
    ordered, zeros = jnp.sort(squared.ravel()), jnp.sum(squared == 0)
    middle = jnp.stack([(zeros + squared.size - 1) // 2, (zeros + squared.size) // 2])  # of those that are not zero
    width = jnp.take(ordered, middle, mode="clip").mean()
    kernel = jnp.exp(-squared / (2 * jnp.where(width > 0, width, 1)))
    kernel = kernel - kernel.mean(axis=0, keepdims=True)
    return kernel - kernel.mean(axis=1, keepdims=True)


def neighbour_jaccard(queries: Float[Array, "n dim"], database: Float[Array, "n dim"], k: int) -> Float[Array, ""]:
    """How much the k nearest rows of the database (by cosine) to a row and to its counterpart agree: mean of `|A & B| / |A | B|`.

    Args:
        queries: another view of the rows of the database, in the same order.
        database: the rows among which both look, themselves included.
        k: how many.

    Raises:
        ValueError: see `top_k_inner`; for other shapes, or numbers that are not finite (of arrays that hold numbers).

    >>> print(neighbour_jaccard(jnp.eye(3), jnp.eye(3), 1))
    1.0
    """
    _check_counterparts(queries, database)
    rows = unit_rows(database)
    found, expected = (top_k_inner(unit_rows(z), rows, k)[1] for z in (queries, database))
    common = (found[:, :, None] == expected[:, None]).sum((1, 2))
    return jnp.mean(common / (2 * k - common))


def counterpart_mrr(queries: Float[Array, "n dim"], database: Float[Array, "n dim"], k: int | None = None) -> Float[Array, ""]:
    """Mean reciprocal rank of row i of the database, by cosine with row i of the queries; 0 beyond rank k.

    A row that is exactly as near counts as ranked before it.

    Args:
        queries: another view of the rows of the database, in the same order.
        database: the rows among which each is sought.
        k: lowest rank that counts; all by default.

    Raises:
        ValueError: if there are no rows, or k is below 1; for other shapes, or numbers that are not finite (of arrays that hold
            numbers).

    >>> print(counterpart_mrr(jnp.eye(2)[::-1], jnp.eye(2)))
    0.5
    """
    check_at_least("number of rows", len(database))
    if k is not None:
        check_at_least("k", k)
    _check_counterparts(queries, database)
    scores = unit_rows(queries) @ unit_rows(database).T
    rank = jnp.sum(scores >= jnp.diagonal(scores)[:, None], axis=1)
    return jnp.mean(jnp.where(rank <= (len(scores) if k is None else k), 1 / rank, 0))


def _check_counterparts(queries: Array, database: Array) -> None:
    if queries.ndim != 2 or queries.shape != database.shape:
        raise ValueError(f"queries has shape {queries.shape} and database {database.shape}; they need [n, dim], row by row")
    check_finite("queries", queries)
    check_finite("database", database)
