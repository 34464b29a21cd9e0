"""Models without a network: biases of users and items, and CP decomposition with a ridge chosen on the validation cells."""

import jax
import numpy as np

from quire.common.checks import check_at_least
from quire.common.tensors.cp import cp_als, predict
from quire.common.tensors.sparse import SparseTensor

RIDGES = (3.0, 5.0, 7.0)
"""What the CP decomposition may choose from."""


def bias_predictions(train: SparseTensor, indices: np.ndarray, shrinkage: float = 5.0, modes: int = 2) -> np.ndarray:
    """`mean + b_1[i_1] + b_2[i_2]`, where `b_k(j) = sum of what is left over / (cells of j + shrinkage)`, items before users.

    Args:
        train: observed cells.
        indices: of the cells to predict, `[n, K]`.
        shrinkage: cells of value 0 that every bias is averaged with.
        modes: how many of the first modes have biases.

    Raises:
        ValueError: without a training cell, or for a negative shrinkage.

    >>> train = SparseTensor(np.array([[0, 0], [1, 0]]), np.array([4.0, 2.0]), (3, 1))
    >>> bias_predictions(train, np.array([[0, 0], [2, 0]]), shrinkage=1.0).tolist()
    [3.5, 3.0]
    """
    check_at_least("number of training cells", len(train))
    if not shrinkage >= 0:
        raise ValueError(f"shrinkage is {shrinkage}; it must be at least 0")
    mean = train.values.mean()
    left, found = train.values - mean, np.full(len(indices), mean)
    for mode in reversed(range(min(modes, len(train.dims)))):
        of, size = train.indices[:, mode], train.dims[mode]
        weight = np.bincount(of, minlength=size) + shrinkage
        bias = np.bincount(of, left, minlength=size) / np.maximum(weight, 1e-12)
        left, found = left - bias[of], found + bias[indices[:, mode]]
    return found


def cp_predictions(
    train: SparseTensor, validation: SparseTensor, indices: np.ndarray, rank: int, key: jax.Array, sweeps: int = 10
) -> np.ndarray:
    """A CP decomposition of what the biases leave over; of three ridges the one with the least validation error.

    Args:
        train, validation: observed cells.
        indices: of the cells to predict.
        rank: of the decomposition.
        key: of the start.
        sweeps: over the modes.

    Raises:
        ValueError: as `cp_als`.
    """
    left = (train.values - bias_predictions(train, train.indices)).astype(np.float32)
    wanted = np.concatenate([validation.indices, indices])
    biases, fits = bias_predictions(train, wanted), []
    for ridge in RIDGES:
        factors = cp_als(train.indices, left, train.dims, rank, ridge, key=key, sweeps=sweeps)
        found = biases + np.asarray(predict(factors, wanted))
        error = np.mean((found[: len(validation)] - validation.values) ** 2)
        fits.append((error, found[len(validation) :]))
    return min(fits, key=lambda fit: fit[0])[1]
