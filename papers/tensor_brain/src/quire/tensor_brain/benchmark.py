"""What `quire bench tensor_brain` times: scores of all objects as a product of matrices, and triple by triple."""

import jax
from jaxtyping import Array, Float, Int

from quire.common.bench import Benchmark, Case
from quire.tensor_brain.paper import paper
from quire.tensor_brain.tensor_models import complex_product, complex_score

QUERIES, RANK = 256, 64


def by_product(
    entities: Float[Array, "n r"], relations: Float[Array, "m r"], s: Int[Array, " q"], p: Int[Array, " q"]
) -> Float[Array, "q n"]:
    """Each query becomes a vector, and all objects are compared with it."""
    return complex_product(entities[s], relations[p]) @ entities.T


def by_triple(
    entities: Float[Array, "n r"], relations: Float[Array, "m r"], s: Int[Array, " q"], p: Int[Array, " q"]
) -> Float[Array, "q n"]:
    """The score as it is defined, for every triple."""
    return jax.lax.map(lambda i: complex_score(entities[i[0]][None], relations[i[1]][None], entities), (s, p))


def cases(n: int, key: jax.Array) -> dict[str, Case]:
    """ComplEx, both on the same n entities and queries."""
    keys = jax.random.split(key, 3)
    entities, relations = jax.random.normal(keys[0], (n, RANK)), jax.random.normal(keys[1], (16, RANK))
    s = jax.random.randint(keys[2], (QUERIES,), 0, n)
    arguments = (entities, relations, s, s % 16)
    flops = 2.0 * QUERIES * n * RANK
    return {"product of matrices": Case(by_product, arguments, flops), "triple by triple": Case(by_triple, arguments, flops)}


paper.benchmark = Benchmark(
    f"All objects of {QUERIES} ComplEx queries, r = {RANK}", size="entities n", sizes=(1024, 4096, 16_384), cases=cases
)
