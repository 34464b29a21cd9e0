"""What `quire bench tetrolet` times: costs of all tilings from the details of each different set, and tiling by tiling."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from quire.common.bench import Benchmark, Case
from quire.tetrolet.paper import paper
from quire.tetrolet.tilings import tetrominoes
from quire.tetrolet.transform import tetrolet, tiling_costs


def every_tiling_anew(x: Float[Array, "height width"]) -> Float[Array, "rows columns tilings"]:
    """One matrix for the twelve details of all 117 tilings, though they share their sets."""
    tilings = tetrominoes()
    sets = np.nonzero(tilings.has)[1].reshape(-1, 4)
    details = np.moveaxis(np.asarray(tilings.details)[:, sets], 0, 2).reshape(-1, 16)  # [tilings * sets * 3, 16]
    height, width = x.shape
    blocks = jnp.swapaxes(x.reshape(height // 4, 4, width // 4, 4), 1, 2).reshape(-1, 16)
    sizes = jnp.abs(blocks @ jnp.asarray(details.T, x.dtype))
    return sizes.reshape(height // 4, width // 4, len(sets), 12).sum(axis=-1)


def cases(n: int, key: jax.Array) -> dict[str, Case]:
    """An image of n pixels; both ways grow in proportion to them: slopes of 1."""
    x = jax.random.uniform(key, (256, n // 256))
    return {
        "each set once": Case(tiling_costs, (x,)),
        "every tiling anew": Case(every_tiling_anew, (x,)),
        "transform, 2 levels": Case(lambda x: tetrolet(x, 2), (x,)),
    }


paper.benchmark = Benchmark("Costs of the 117 tilings", size="pixels n", sizes=(16_384, 65_536, 262_144), cases=cases)
