"""Small representations made of one that was not trained to be cut: its prefix, a random selection, principal axes.

Each is a map of the whole embedding after which the first m numbers are the small representation, so that one search serves all.
"""

from collections.abc import Callable

import jax
import numpy as np
from jaxtyping import Float

from quire.common.metrics.pca import principal_axes
from quire.common.random import generator

Features = Float[np.ndarray, "n dim"]
Change = Callable[[Features], Features]


def prefix(database: Features) -> Change:
    """The first numbers, as they stand."""
    return lambda z: z


def random_selection(database: Features, key: jax.Array) -> Change:
    """Numbers in random order: the first m are a random selection, each inside the next."""
    order = generator(key).permutation(database.shape[1])
    return lambda z: z[:, order]


def principal_components(database: Features, *, centre: bool = True) -> Change:
    """Coordinates along the axes of largest variance of the database; without `centre`, its singular vectors (SVD)."""
    return principal_axes(database, min(database.shape), centre=centre).project
