"""Errors of completed cells."""

import numpy as np
from jaxtyping import Array, Float, Real


def _difference(predicted, values):
    predicted, values = np.asarray(predicted, np.float64), np.asarray(values, np.float64)
    if predicted.shape[-1:] != values.shape[-1:] or not values.size:
        raise ValueError(f"predicted has shape {predicted.shape}, values {values.shape}; they need as many cells, at least one")
    return predicted - values


def rmse(predicted: Real[Array | np.ndarray, "*_"], values: Real[Array | np.ndarray, "*_"]) -> Float[np.ndarray, "*_"]:
    """Root of the mean squared error over the last axis. (The authors' code prints its square under this name.)

    Raises:
        ValueError: for different numbers of cells, or none.

    >>> float(rmse(np.array([1.0, 5.0]), np.array([1.0, 3.0]))).__round__(3)
    1.414
    """
    return np.asarray(np.sqrt(mse(predicted, values)))


def mse(predicted: Real[Array | np.ndarray, "*_"], values: Real[Array | np.ndarray, "*_"]) -> Float[np.ndarray, "*_"]:
    """Mean squared error over the last axis.

    Raises:
        ValueError: for different numbers of cells, or none.
    """
    return np.asarray(np.mean(_difference(predicted, values) ** 2, axis=-1))


def mae(predicted: Real[Array | np.ndarray, "*_"], values: Real[Array | np.ndarray, "*_"]) -> Float[np.ndarray, "*_"]:
    """Mean absolute error over the last axis.

    Raises:
        ValueError: for different numbers of cells, or none.
    """
    return np.asarray(np.mean(np.abs(_difference(predicted, values)), axis=-1))
