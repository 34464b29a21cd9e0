"""Sparse discriminant analysis by optimal scoring (Clemmensen et al. 2011), a baseline of the paper."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Real

from quire.common.checks import check_at_least, check_positive
from quire.tetrolet.lars import lars_of_products


class SparseLDA:
    """Directions of few features that tell classes apart: `min |Y theta - X b|^2 + ridge |b|^2 + lambda |b|_1`, each in turn.

    Every theta, the scores of the classes, has unit variance and is orthogonal to the constant and to those before it. Float64.

    Args:
        n_components: directions, at most classes - 1.
        ratio: lambda as a part of the least one that makes b zero.
        ridge: in units of the mean eigenvalue of the scatter matrix.
        iters: turns for each direction.

    Attributes:
        directions_: `[d, n_components]`, after `fit`.

    >>> x = np.array([[0.0, 0.0], [0.2, 1.0], [3.0, 1.0], [3.2, 0.0]])
    >>> SparseLDA(1, ratio=0.3).fit(x, np.array([0, 0, 1, 1])).directions_[1].tolist()  # the second feature tells nothing
    [0.0]
    """

    def __init__(self, n_components: int = 9, *, ratio: float = 0.05, ridge: float = 1e-2, iters: int = 5):
        self.n_components, self.iters = check_at_least("n_components", n_components), check_at_least("iters", iters)
        self.ratio, self.ridge = ratio, check_positive("ridge", ridge)
        if not 0 <= ratio < 1:
            raise ValueError(f"ratio is {ratio}; it must be at least 0 and below 1")

    def fit(self, x: Real[Array | np.ndarray, "n d"], y: Int[Array | np.ndarray, " n"]) -> "SparseLDA":
        """Directions of labelled samples.

        Raises:
            ValueError: for rows without labels, numbers that are not finite, equal rows, or too few classes.
        """
        x, y = np.asarray(x, float), np.asarray(y)
        if x.ndim != 2 or not len(x) or y.shape != x.shape[:1] or not np.isfinite(x).all() or not np.ptp(x, axis=0).any():
            raise ValueError(f"x has shape {x.shape} and y {y.shape}; they need finite, different rows [n, dim] and labels [n]")
        classes, number = np.unique(y, return_inverse=True)
        if len(classes) <= self.n_components:
            raise ValueError(f"n_components is {self.n_components}; {len(classes)} classes have at most {len(classes) - 1}")
        self.mean_ = x.mean(axis=0)
        member = np.eye(len(classes))[number]
        centred, share = x - self.mean_, member.mean(axis=0)
        gram = centred.T @ centred
        gram += self.ridge * np.trace(gram) / len(gram) * np.eye(len(gram))
        cross = centred.T @ member
        scores, directions = [np.ones(len(classes))], []
        for theta in self._starts(gram, cross, share):
            found = []
            for _ in range(self.iters):
                theta = _normalised(theta, scores, share)
                found.append(self._direction(gram, cross @ theta))
                theta = (cross.T @ found[-1]) / (len(x) * share)
            directions.append(found[-1])
            scores.append(_normalised(theta, scores, share))
        self.directions_ = np.stack(directions, axis=1)
        return self

    def _starts(self, gram: np.ndarray, cross: np.ndarray, share: np.ndarray) -> np.ndarray:
        """Scores of the classes without the 1-norm, best first."""
        root = np.sqrt(share)
        _, vectors = np.linalg.eigh((cross / root).T @ np.linalg.solve(gram, cross / root))
        return (vectors[:, ::-1][:, : self.n_components] / root[:, None]).T

    def _direction(self, gram: np.ndarray, product: np.ndarray) -> np.ndarray:
        with jax.enable_x64():  # many features of images are nearly combinations of others
            found = lars_of_products(jnp.asarray(gram), jnp.asarray(product)[None], jnp.zeros(0, jnp.int32), self.ratio)
        return np.asarray(found[2][0])

    def transform(self, x: Real[Array | np.ndarray, "n d"]) -> Float[np.ndarray, "n components"]:
        """Coordinates along the directions.

        Raises:
            ValueError: before `fit`, or for another number of features.
        """
        if not hasattr(self, "directions_"):
            raise ValueError("SparseLDA is not fitted; call fit first")
        if x.ndim != 2 or x.shape[1] != len(self.mean_):
            raise ValueError(f"x has shape {x.shape}; it needs [n, {len(self.mean_)}]")
        return (np.asarray(x, float) - self.mean_) @ self.directions_


def _normalised(theta: np.ndarray, before: list[np.ndarray], share: np.ndarray) -> np.ndarray:
    """Orthogonal to those before it and of unit variance, each class by its share."""
    for other in before:
        theta = theta - other * np.sum(share * other * theta) / np.sum(share * other**2)
    return theta / max(float(np.sqrt(np.sum(share * theta**2))), np.finfo(float).tiny)
