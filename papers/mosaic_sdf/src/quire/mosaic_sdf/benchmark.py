"""What `quire bench mosaic_sdf` times: the field from the heaviest grids of every point, and from all grids."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from quire.common.bench import Benchmark, Case
from quire.common.random import generator
from quire.mosaic_sdf.mosaic import OUTSIDE, MosaicSDF, blend, heaviest
from quire.mosaic_sdf.paper import paper

NODES, NEIGHBOURS, POINTS = 5, 16, 4096


def culled(m: MosaicSDF, x: Float[Array, "m 3"]) -> Float[Array, " m"]:
    """Weights of all grids, values of the heaviest."""
    return blend(m, x, heaviest(m, x, NEIGHBOURS), OUTSIDE)[0]


def dense(m: MosaicSDF, x: Float[Array, "m 3"]) -> Float[Array, " m"]:
    """Every grid at every point."""
    return blend(m, x, heaviest(m, x, len(m.centers)), OUTSIDE)[0]


def problem(n: int, key: jax.Array) -> tuple[MosaicSDF, Array]:
    """n grids on a sphere, which about as many cover everywhere, and points near it."""
    draw = generator(key)
    direction = draw.standard_normal((2, max(n, POINTS), 3))
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    centers, x = 0.8 * direction[0, :n], direction[1, :POINTS] * draw.uniform(0.78, 0.82, (POINTS, 1))
    arrays = centers, np.full(n, 1.5 / np.sqrt(n)), draw.standard_normal((n, NODES, NODES, NODES))
    return MosaicSDF(*(jnp.asarray(a, jnp.float32) for a in arrays)), jnp.asarray(x, jnp.float32)


def cases(n: int, key: jax.Array) -> dict[str, Case]:
    """Culled, only the test of the weights grows with the grids; dense, all 8 corners of each."""
    args = problem(n, key)
    of_weights, of_grid = 8.0 * n * POINTS, 60.0 * POINTS
    return {
        f"{NEIGHBOURS} heaviest grids": Case(culled, args, of_weights + NEIGHBOURS * of_grid),
        "all grids": Case(dense, args, n * of_grid),
    }


paper.benchmark = Benchmark(
    f"Field of n grids of {NODES} nodes an axis at {POINTS} points", size="grids n", sizes=(64, 128, 256, 512, 1024), cases=cases
)
