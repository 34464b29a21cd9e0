"""Families of linear tasks with known relevance, and draws of their sums over samples, whatever the number of samples."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from quire.active_multitask.multitask import Moments
from quire.common.checks import check_at_least


class Problem(NamedTuple):
    """Sources `theta_t = B w_t` and a target, inputs of covariance I.

    Attributes:
        basis: B, `[d, k]`, orthonormal columns.
        heads: W, `[k, tasks]`.
        target: w, `[k]`.
    """

    basis: np.ndarray
    heads: np.ndarray
    target: np.ndarray

    @property
    def theta(self) -> np.ndarray:
        """Coefficients of the sources, `[tasks, d]`."""
        return (self.basis @ self.heads).T

    @property
    def target_theta(self) -> np.ndarray:
        """Coefficients of the target, `[d]`."""
        return self.basis @ self.target


def relevant_sources(
    rng: np.random.Generator,
    *,
    d: int,
    k: int,
    tasks: int,
    relevant: int = 2,
    scale: float = 2.5,
    overlap: float = 1.0,
) -> Problem:
    """Unit heads in random directions, of which the first few are longer and alone make up the target.

    Args:
        rng: of the draw.
        d, k: dimensions of inputs and representation.
        tasks: how many sources.
        relevant: how many make the target, with a weight of `1 / relevant` each.
        scale: their length.
        overlap: how much the others say about the directions of the relevant ones: 1 as much as any random direction, 0 nothing.

    Raises:
        ValueError: for sizes that do not fit, or an overlap outside of `[0, 1]`.
    """
    check_at_least("relevant", relevant)
    if not relevant < k <= d or tasks < k or not 0 <= overlap <= 1 or not scale > 0:
        raise ValueError(
            f"d, k, tasks, relevant are {d}, {k}, {tasks}, {relevant}, overlap {overlap}, scale {scale}; it takes "
            "relevant < k <= d, tasks >= k, an overlap in [0, 1] and a positive scale"
        )
    heads = rng.standard_normal((k, tasks))
    first, _ = np.linalg.qr(heads[:, :relevant])
    others = heads[:, relevant:]
    heads[:, relevant:] = others - (1 - overlap) * first @ (first.T @ others)
    heads /= np.linalg.norm(heads, axis=0)
    heads[:, :relevant] *= scale
    return Problem(random_basis(rng, d, k), heads, heads[:, :relevant].mean(1))


def one_strong_source(tasks: int, c: float, k: int = 1) -> tuple[Float[np.ndarray, "k tasks"], Float[np.ndarray, " k"]]:
    """The family on which the shortest relevance is worst: in every direction one source of length 1 and the rest of length c.

    `W = I_k (x) [1, c, ..., c]`, and a target of length 1 along all of the directions alike. The sparse nu takes the k long
    sources alone. The short ones are each of little worth, yet together the shortest nu gives them most of the samples.

    Args:
        tasks: a multiple of k.
        c: length of the short sources, at most 1.
        k: directions.

    Returns:
        W and w.

    Raises:
        ValueError: unless k divides `tasks` and `0 < c <= 1`.

    >>> one_strong_source(3, 0.5)[0].tolist()
    [[1.0, 0.5, 0.5]]
    """
    check_at_least("k", k)
    if tasks < k or tasks % k or not 0 < c <= 1:
        raise ValueError(f"tasks is {tasks}, k {k}, c {c}; k must divide tasks, and 0 < c <= 1")
    row = np.full(tasks // k, c)
    row[0] = 1.0
    return np.kron(np.eye(k), row), np.full(k, k**-0.5)


def random_basis(rng: np.random.Generator, d: int, k: int) -> Float[np.ndarray, "d k"]:
    """Orthonormal columns in random directions."""
    return np.linalg.qr(rng.standard_normal((d, k)))[0]


def draw_moments(
    rng: np.random.Generator, theta: Float[np.ndarray, "*tasks d"], counts: np.ndarray | int, sigma: float = 1.0
) -> Moments:
    """Sums over `n_t` normal samples of each task, without drawing the samples: the cost does not depend on `n_t`.

    The triangular factor of `X = Q R` has chi-distributed numbers on its diagonal and normal ones above (Bartlett), and given X
    the noise enters `X^T y` as `R^T z` with z normal; the rest of it enters `y^T y` as a chi-square number.

    Args:
        rng: of the draw.
        theta: coefficients.
        counts: samples n of each task, `[*tasks]`.
        sigma: standard deviation of the noise.

    Returns:
        Float32 arrays.

    Raises:
        ValueError: for a negative count or sigma, or counts of another shape.

    >>> data = draw_moments(np.random.default_rng(0), np.array([[1.0, 0.0]]), np.array([1_000_000]))
    >>> np.abs(data.cross / 1e6).round(2).tolist()
    [[1.0, 0.0]]
    """
    theta = np.asarray(theta, np.float64)
    counts = np.asarray(counts)
    d = theta.shape[-1]
    if counts.shape != theta.shape[:-1] or counts.min(initial=0) < 0 or not sigma >= 0:
        raise ValueError(f"counts has shape {counts.shape}, sigma is {sigma}; it takes {theta.shape[:-1]} counts, none negative")
    rows = np.minimum(counts, d)[..., None]
    freedom = np.maximum(counts[..., None] - np.arange(d), 0)
    factor = np.triu(rng.standard_normal((*theta.shape, d)), 1)
    factor[..., np.arange(d), np.arange(d)] = np.sqrt(rng.chisquare(np.maximum(freedom, 1)))
    exists = np.arange(d) < rows
    factor *= exists[..., None]
    noise = sigma * rng.standard_normal(theta.shape) * exists
    values = np.einsum("...ij,...j->...i", factor, theta) + noise
    beyond = counts - rows[..., 0]
    square = (values**2).sum(-1) + sigma**2 * np.where(beyond > 0, rng.chisquare(np.maximum(beyond, 1)), 0)
    gram = np.einsum("...ij,...ik->...jk", factor, factor)
    cross = np.einsum("...ij,...i->...j", factor, values)
    return Moments(*(np.asarray(x, np.float32) for x in (gram, cross, square, counts)))
