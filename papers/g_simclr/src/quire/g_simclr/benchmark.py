"""What `quire bench g_simclr` times: ranks inside clusters by one sort, and by comparing every row with all others."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from quire.common.bench import Benchmark, Case
from quire.common.random import generator
from quire.g_simclr.guided import occurrence_rank
from quire.g_simclr.paper import paper

CLUSTERS = 64


def rank_by_pairs(labels: Int[Array, " n"]) -> Int[Array, " n"]:
    """The definition: every row is compared with all rows before it."""
    place = jnp.arange(len(labels))
    earlier = place[None] <= place[:, None]
    return ((labels[None] == labels[:, None]) & earlier).sum(1)


def cases(n: int, key: jax.Array) -> dict[str, Case]:
    """Random labels of 64 clusters. The sort has a slope near 1, all pairs one of 2."""
    labels = jnp.asarray(generator(key).integers(CLUSTERS, size=n), jnp.int32)
    found = {"one sort": Case(occurrence_rank, (labels,))}
    return found | ({"all pairs": Case(rank_by_pairs, (labels,))} if n <= 32_768 else {})


paper.benchmark = Benchmark("Ranks of rows inside 64 clusters", size="rows", sizes=(2048, 8192, 32_768, 131_072), cases=cases)
