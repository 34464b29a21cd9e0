"""Families of solids with drawn sizes: the data set that a small generative model learns. Their distances are exact."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from quire.common.checks import check_at_least
from quire.common.fields.solids import cuboid_sdf, ellipsoid_sdf, ring_sdf
from quire.common.random import generator

FAMILIES = ("ellipsoid", "box", "torus")
RANGES = np.array(
    [
        [[0.3, 0.85], [0.3, 0.85], [0.3, 0.85]],  # semi-axes
        [[0.2, 0.7], [0.2, 0.7], [0.2, 0.7]],  # half sizes
        [[0.45, 0.65], [0.2, 0.3], [0.0, 1.0]],  # radius, tube, nothing
    ]
)


class Drawn(NamedTuple):
    """Solids: their families `[m]`, and three sizes each `[m, 3]`."""

    labels: np.ndarray
    sizes: np.ndarray


def draw_family(count: int, key: jax.Array) -> Drawn:
    """So many solids of every family, sizes uniform in `RANGES`, family by family.

    Raises:
        ValueError: for a count below 1.
    """
    check_at_least("count", count)
    labels = np.repeat(np.arange(len(FAMILIES), dtype=np.int32), count)
    low, high = np.moveaxis(RANGES[labels], -1, 0)
    return Drawn(labels, generator(key).uniform(low, high).astype(np.float32))


def family_sdf(
    label: Int[Array | np.ndarray, ""], sizes: Float[Array | np.ndarray, "3"], x: Float[Array | np.ndarray, "m 3"]
) -> Float[Array, " m"]:
    """Signed distance to one solid; label and sizes may be traced."""
    found = jnp.stack([ellipsoid_sdf(x, sizes), cuboid_sdf(x, sizes), ring_sdf(x, sizes[0], sizes[1])])
    return found[label]
