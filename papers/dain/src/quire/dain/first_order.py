"""What influence is: the first-order effect of a step on one training cell on the error of the validation cells."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from quire.common.metrics.influence import last_layer_gradients, tracin
from quire.common.random import generator


class FirstOrder(NamedTuple):
    """Influence `<g(x), sum_z g(z)>` of every cell, and what a step on it alone took off the squared validation error."""

    influence: np.ndarray
    decrease: np.ndarray
    rate: float

    @property
    def correlation(self) -> float:
        """Pearson's."""
        return float(np.corrcoef(self.influence, self.decrease)[0, 1])

    @property
    def relative_slope(self) -> float:
        """Slope of the decrease against influence over twice the rate: 1 to first order."""
        return float(np.polyfit(self.influence, self.decrease, 1)[0] / (2 * self.rate))


def first_order_effect(
    key: jax.Array, width: int = 32, train: int = 100, validation: int = 200, rate: float = 1e-4
) -> FirstOrder:
    """One step of gradient descent on `(y - v)^2 / 2` of one cell, by the output weights over random ReLU features; cell by cell.

    In float64: the effect of a step is far below the rounding of float32.

    Args:
        key: of features, weights and values.
        width: of the features.
        train, validation: numbers of cells.
        rate: of the step.

    Returns:
        Of every training cell.
    """
    draw = generator(key)
    hidden = np.maximum(draw.standard_normal((train + validation, width)), 0)
    values, weights = draw.standard_normal(train + validation), draw.standard_normal(width) / np.sqrt(width)
    with jax.enable_x64():
        gradients = np.asarray(last_layer_gradients(jnp.asarray(hidden @ weights - values), jnp.asarray(hidden)))
        influence = np.asarray(tracin(jnp.asarray(gradients[:train]), jnp.asarray(gradients[train:].sum(0))))
    moved = weights - rate * gradients[:train]
    before = np.sum((hidden[train:] @ weights - values[train:]) ** 2)
    after = np.sum((moved @ hidden[train:].T - values[None, train:]) ** 2, axis=1)
    return FirstOrder(influence, before - after, rate)
