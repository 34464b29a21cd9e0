"""Which task vectors are kept for every block, where memory has no room for all of them (abstract, point 3).

The paper ranks by how much a vector matters before training; by the size of the derivative of the loss at zero is our choice.
"""

import jax
import numpy as np
from jaxtyping import Bool, Float

from quire.common.arrays import AnyArray
from quire.common.checks import check_finite
from quire.common.random import generator


def select_blocks(grads: Float[AnyArray, "t j"], budget: int) -> Bool[np.ndarray, "t j"]:
    """Of every block, the task vectors with the largest `|dL / dLambda[t, j]|` at `Lambda = 0`.

    Args:
        grads: derivatives of the loss by the coefficients.
        budget: vectors that are kept of every block.

    Returns:
        What is kept. `jax.tree.map`ped over the blocks, `tvs[name][kept[:, j]]` is what has to stay in memory.

    Raises:
        ValueError: if the budget is not 1 to T, or a derivative is not finite.

    >>> select_blocks(np.array([[3.0, 0.1], [-1.0, 0.3], [0.0, -0.2]]), 1).tolist()
    [[True, False], [False, True], [False, False]]
    """
    check_finite("grads", grads)
    return _largest(np.abs(np.asarray(grads)), budget)


def random_blocks(key: jax.Array, shape: tuple[int, int], budget: int) -> Bool[np.ndarray, "t j"]:
    """As many of every block, at random.

    Raises:
        ValueError: as `select_blocks`.
    """
    return _largest(generator(key).random(shape), budget)


def select_task_vectors(grads: Float[AnyArray, "t j"], budget: int) -> Bool[np.ndarray, "t j"]:
    """Whole task vectors, those whose derivatives are largest over all blocks: as many of every block again.

    Raises:
        ValueError: as `select_blocks`.
    """
    check_finite("grads", grads)
    size = np.linalg.norm(np.asarray(grads), axis=1)
    return np.broadcast_to(_largest(size[:, None], budget), np.shape(grads)).copy()


def _largest(importance: np.ndarray, budget: int) -> np.ndarray:
    count = importance.shape[0]
    if not 1 <= budget <= count:
        raise ValueError(f"budget is {budget}; of {count} task vectors it must be 1 to {count}")
    place = np.argsort(np.argsort(-importance, axis=0, kind="stable"), axis=0)
    return place < budget
