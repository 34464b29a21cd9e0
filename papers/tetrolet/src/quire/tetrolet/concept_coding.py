"""Sparse concept coding (Cai et al. 2011): a basis that follows the graph of the samples, and sparse codes over it."""

import warnings
from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Array, Float, Real

from quire.common.checks import check_at_least, check_positive
from quire.tetrolet.lars import lars_lasso, lasso
from quire.tetrolet.neighbour_graph import heat_kernel_graph, laplacian_eigenmap


def ridge_basis(
    x: Real[np.ndarray, "n d"], responses: Float[np.ndarray, "n m"], alpha: float, *, relative: bool = False
) -> Float[np.ndarray, "d m"]:
    """`U = (Xc^T Xc + alpha I)^-1 Xc^T Y` with centred samples, its columns scaled to length 1.

    Args:
        x: samples in rows.
        responses: Y, what each column of U is to answer to the samples.
        alpha: ridge.
        relative: alpha is in units of the mean eigenvalue of `Xc^T Xc` (without directions beyond n).

    Raises:
        ValueError: for an alpha that is not positive, shapes that do not fit, or samples that are all equal.

    Warns:
        If there are at least as many features as samples and the ridge is below a thousandth of the mean eigenvalue: every
        response can then be met exactly, and the basis says nothing about other samples.

    >>> ridge_basis(np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 0.1]]), np.array([[1.0], [-1.0], [0.0]]), 0.1).round(3).tolist()
    [[1.0], [0.0]]
    """
    x, responses = np.asarray(x, float), np.asarray(responses, float)
    if x.ndim != 2 or responses.ndim != 2 or len(x) != len(responses):
        raise ValueError(f"x has shape {x.shape} and responses {responses.shape}; they need [n, d] and [n, m]")
    check_positive("alpha", alpha)
    n, d = x.shape
    centred = x - x.mean(axis=0)
    mean = float((centred**2).sum()) / min(n, d)
    if not mean > 0:
        raise ValueError(f"x has {n} equal rows; a basis needs rows that differ")
    if relative:
        alpha = alpha * mean
    elif d >= n and alpha < 1e-3 * mean:
        warnings.warn(
            f"alpha is {alpha:g} for {n} samples of {d} features; below {1e-3 * mean:.3g} the basis meets every response exactly "
            "and does not generalise (relative_alpha=True scales it)",
            stacklevel=2,
        )
    if d > n:  # the smaller system
        basis = centred.T @ np.linalg.solve(centred @ centred.T + alpha * np.eye(n), responses)
    else:
        basis = np.linalg.solve(centred.T @ centred + alpha * np.eye(d), centred.T @ responses)
    return basis / np.maximum(np.linalg.norm(basis, axis=0), np.finfo(float).tiny)


def concept_codes(
    basis: Real[np.ndarray, "d m"], x: Real[Array | np.ndarray, "n d"], cards: Sequence[int]
) -> Float[np.ndarray, "n cards m"]:
    """`lars_lasso` in float64, as the basis is: of nearly equal columns, float32 does not tell which comes first.

    Raises:
        ValueError: as `lars_lasso`.
    """
    with jax.enable_x64():
        return np.asarray(lars_lasso(basis, np.asarray(x, float), cards))


class SparseConceptCoding:
    """Codes of few entries over concepts that vary smoothly on the graph of the training samples.

    Args:
        n_basis: m, concepts; fewer than samples.
        card: entries of a code that are not zero.
        ratio: instead of a number of entries, the penalty of the lasso as a part of the largest one; see `lasso`.
        k: neighbours in the graph.
        alpha: ridge of the basis.
        relative_alpha: alpha is in units of the mean eigenvalue of the scatter matrix.

    Attributes:
        basis_: `[d, m]`, of unit columns, after `fit`.
        eigenvalues_: of the graph, after `fit`.

    Raises:
        ValueError: for sizes out of range.

    >>> x = np.random.default_rng(0).normal(size=(40, 6))
    >>> codes = SparseConceptCoding(n_basis=5, card=2).fit(x).transform(x)
    >>> codes.shape, set((codes != 0).sum(1).tolist())
    ((40, 5), {2})
    """

    def __init__(
        self,
        n_basis: int = 64,
        card: int = 30,
        *,
        ratio: float | None = None,
        k: int = 5,
        alpha: float = 0.1,
        relative_alpha: bool = False,
    ):
        self.n_basis, self.card, self.ratio = check_at_least("n_basis", n_basis), check_at_least("card", card), ratio
        self.k, self.alpha, self.relative_alpha = check_at_least("k", k), check_positive("alpha", alpha), relative_alpha
        if ratio is None and card > n_basis:
            raise ValueError(f"card is {card}; codes over {n_basis} concepts have 1 to {n_basis} entries")

    def fit(self, x: Real[Array | np.ndarray, "n d"]) -> "SparseConceptCoding":
        """Graph, eigenmap and basis of the training samples.

        Raises:
            ValueError: for no more samples than concepts, or as `heat_kernel_graph` and `ridge_basis`.

        Warns:
            As `laplacian_eigenmap` and `ridge_basis`.
        """
        x = np.asarray(x, float)
        if x.ndim != 2 or len(x) < self.n_basis + 1:
            raise ValueError(
                f"x has shape {x.shape}; {self.n_basis} concepts need [n, d] with at least {self.n_basis + 1} samples"
            )
        found = laplacian_eigenmap(heat_kernel_graph(x, self.k).weights, self.n_basis)
        self.eigenvalues_ = found.eigenvalues
        self.basis_ = ridge_basis(x, found.responses, self.alpha, relative=self.relative_alpha)
        return self

    def transform(self, x: Real[Array | np.ndarray, "n d"]) -> Float[np.ndarray, "n m"]:
        """Codes of samples, which are not centred; in float64.

        Raises:
            ValueError: before `fit`, or as `lars_lasso` and `lasso`.
        """
        if not hasattr(self, "basis_"):
            raise ValueError("SparseConceptCoding is not fitted; call fit first")
        if self.ratio is None:
            return concept_codes(self.basis_, x, (self.card,))[:, 0]
        with jax.enable_x64():
            return np.asarray(lasso(self.basis_, np.asarray(x, float), self.ratio))
