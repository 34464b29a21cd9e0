"""What `quire bench hydra` times: gated cosines by two matrix products, and with all gated keys written out."""

import jax
import jax.numpy as jnp

from quire.common.bench import Benchmark, Case
from quire.common.random import generator
from quire.hydra.brute_force import gated_cosine_written_out
from quire.hydra.paper import paper
from quire.hydra.similarity import gated_cosine

DIM = 256


def cases(n: int, key: jax.Array) -> dict[str, Case]:
    """n anchors against n keys of the same random numbers; two products take 4 n^2 D operations."""
    draw = generator(key)
    z, keys = (jnp.asarray(draw.standard_normal((n, DIM)), jnp.float32) for _ in range(2))
    gate = jnp.asarray(draw.uniform(size=(n, DIM)), jnp.float32)
    flops = 4.0 * n * n * DIM
    return {
        "two products": Case(gated_cosine, (z, keys, gate), flops),
        "written out": Case(gated_cosine_written_out, (z, keys, gate), flops),
    }


paper.benchmark = Benchmark(f"Gated cosines, D = {DIM}", size="anchors and keys n", sizes=(128, 256, 512, 1024), cases=cases)
