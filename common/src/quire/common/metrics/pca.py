"""Principal component analysis by singular values."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Real


class PrincipalAxes(NamedTuple):
    """Mean `[dim]`, axes `[k, dim]` with unit rows by falling variance, and the variance `[k]` along each."""

    mean: np.ndarray
    axes: np.ndarray
    variance: np.ndarray

    def project(self, x: Float[np.ndarray, "n dim"]) -> Float[np.ndarray, "n k"]:
        """Coordinates of `x` along the axes."""
        return (x - self.mean) @ self.axes.T


def principal_axes(x: Real[np.ndarray, "n dim"], k: int, *, centre: bool = True) -> PrincipalAxes:
    """The k directions of largest variance; the entry of largest size of each axis is positive.

    Args:
        x: one example a row.
        k: at most `min(n, dim)`.
        centre: subtract the mean (PCA); without it this is the truncated singular value decomposition.

    Raises:
        ValueError: for a k out of range, fewer than two rows, or numbers that are not finite.

    >>> principal_axes(np.array([[0.0, 0.0], [2.0, 0.0], [4.0, 0.0]]), 1).axes.tolist()
    [[1.0, 0.0]]
    """
    x = np.asarray(x)
    x = x.astype(np.promote_types(x.dtype, np.float32), copy=False)  # LAPACK has no half precision
    if x.ndim != 2 or len(x) < 2 or not 1 <= k <= min(x.shape):
        raise ValueError(f"k is {k} for x of shape {x.shape}; it needs [n >= 2, dim] and 1 <= k <= {min(x.shape or (0,))}")
    if not np.isfinite(x).all():
        raise ValueError("x has numbers that are not finite")
    mean = x.mean(0) if centre else np.zeros(x.shape[1], x.dtype)
    _, singular, axes = np.linalg.svd(x - mean, full_matrices=False)
    axes = axes[:k]
    signs = np.sign(np.take_along_axis(axes, np.abs(axes).argmax(1)[:, None], axis=1))
    return PrincipalAxes(mean, axes * np.where(signs == 0, 1, signs), singular[:k] ** 2 / (len(x) - 1))
