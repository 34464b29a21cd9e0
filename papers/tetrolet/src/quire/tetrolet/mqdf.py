"""MQDF: the modified quadratic discriminant function of handwriting recognition (Kimura et al. 1987)."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Real

from quire.common.checks import at_least_float32, check_at_least, check_positive


def mqdf_scores(
    x: Real[Array | np.ndarray, "n dim"],
    mean: Float[Array | np.ndarray, "classes dim"],
    axes: Float[Array | np.ndarray, "classes k dim"],
    variance: Float[Array | np.ndarray, "classes k"],
    delta: Float[Array | np.ndarray, " classes"],
) -> Float[Array, "n classes"]:
    """`sum_i (a_i^2 / v_i + ln v_i) + r / delta + (dim - k) ln delta`, with a the coordinates along k axes and r what they leave.

    Args:
        x: feature vectors.
        mean: of the classes.
        axes: orthonormal, the k directions of largest variance of each class.
        variance: along them.
        delta: what stands for the variance along all other directions.

    Returns:
        A distance to every class; the smallest one wins.

    >>> float(mqdf_scores(np.array([[3.0, 4.0]]), np.zeros((1, 2)), np.array([[[1.0, 0.0]]]), np.ones((1, 1)), np.ones(1))[0, 0])
    25.0
    """
    return _scores(*at_least_float32(x, mean, axes, variance, delta))


@jax.jit
def _scores(x: Array, mean: Array, axes: Array, variance: Array, delta: Array) -> Array:
    dim, k = x.shape[1], axes.shape[1]

    def one_class(mean: Array, axes: Array, variance: Array, delta: Array) -> Array:
        centred = x - mean[None]
        along = jnp.matmul(centred, axes.T, precision="highest")
        rest = centred - jnp.matmul(along, axes, precision="highest")
        inside = jnp.sum(along**2 / variance[None], axis=1)
        return inside + jnp.sum(rest**2, axis=1) / delta + jnp.log(variance).sum() + (dim - k) * jnp.log(delta)

    return jax.vmap(one_class, out_axes=1)(mean, axes, variance, delta)


class MQDF:
    """A Gaussian for each class, of which k variances are estimated and the others are one number.

    Args:
        k: axes of a class; fewer than the rank of the covariance of every class.
        delta: variance along the other directions; by default the mean of the estimates along them, class by class.

    >>> x = np.array([[0.0, 0.0], [0.0, 2.0], [0.2, 1.0], [5.0, 0.0], [5.0, 2.0], [5.2, 1.0]])
    >>> MQDF(1).fit(x, np.array([3, 3, 3, 7, 7, 7])).predict(np.array([[0.5, 9.0]])).tolist()
    [3]
    """

    def __init__(self, k: int = 20, delta: float | None = None):
        self.k, self.delta = check_at_least("k", k), None if delta is None else check_positive("delta", delta)

    def fit(self, x: Real[Array | np.ndarray, "n dim"], y: Int[Array | np.ndarray, " n"]) -> "MQDF":
        """Means, and eigenvectors of the covariances (divided by n).

        Raises:
            ValueError: for rows without labels, numbers that are not finite, or a k no smaller than the rank of a class.
        """
        x, y = np.asarray(x, float), np.asarray(y)
        if x.ndim != 2 or not len(x) or y.shape != x.shape[:1] or not np.isfinite(x).all():
            raise ValueError(f"x has shape {x.shape} and y {y.shape}; they need finite numbers [n, dim] and labels [n]")
        self.classes_ = np.unique(y)
        parts = [self._of_class(x[y == label], label) for label in self.classes_.tolist()]
        self.mean_, self.axes_, self.variance_, self.delta_ = (np.stack(part) for part in zip(*parts, strict=True))
        return self

    def _of_class(self, x: np.ndarray, label: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        _, singular, axes = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
        values = singular**2 / len(x)
        rank = int((values > 1e-10 * max(values[0], np.finfo(float).tiny)).sum())
        if self.k >= rank:
            raise ValueError(
                f"k is {self.k}; class {label} has {len(x)} rows and a covariance of rank {rank}, and k must be below it"
            )
        delta = values[self.k :].sum() / (x.shape[1] - self.k) if self.delta is None else self.delta
        return x.mean(axis=0), axes[: self.k], values[: self.k], np.asarray(delta)

    def scores(self, x: Real[Array | np.ndarray, "n dim"]) -> Float[Array, "n classes"]:
        """`mqdf_scores` of the classes that were fitted.

        Raises:
            ValueError: before `fit`, or for another number of features.
        """
        if not hasattr(self, "mean_"):
            raise ValueError("MQDF is not fitted; call fit first")
        if x.ndim != 2 or x.shape[1] != self.mean_.shape[1]:
            raise ValueError(f"x has shape {x.shape}; it needs [n, {self.mean_.shape[1]}]")
        return mqdf_scores(x, self.mean_, self.axes_, self.variance_, self.delta_)

    def predict(self, x: Real[Array | np.ndarray, "n dim"]) -> Int[np.ndarray, " n"]:
        """The nearest class of every row.

        Raises:
            ValueError: as for `scores`.
        """
        nearest = np.asarray(self.scores(x)).argmin(axis=1)
        return self.classes_[nearest]
