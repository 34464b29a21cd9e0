"""What `quire bench equivariant_polynomials` times: K4 with two red nodes by slices, as one ordered einsum, and term by term."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from quire.common.bench import Benchmark, Case
from quire.common.graphs.evaluate import evaluate, evaluate_by_slices
from quire.common.graphs.multigraph import MultiGraph
from quire.equivariant_polynomials.paper import paper

K4 = MultiGraph.from_spec("ab,ac,ad,bc,bd,cd->ab")


def all_terms(X: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """The same polynomial in one product over all four indices, without an order."""
    return jnp.einsum("ab,ac,ad,bc,bd,cd->ab", *[X] * 6, optimize=False)


def cases(n: int, key: jax.Array) -> dict[str, Case]:
    """One random symmetric matrix; the definition only while its n^4 terms are few."""
    X = jax.random.uniform(key, (n, n))
    timed = {
        "by slices": Case(lambda X: evaluate_by_slices(K4, X), (X,)),
        "one ordered einsum": Case(lambda X: evaluate(K4, X), (X,)),
    }
    return timed | ({"without an order": Case(all_terms, (X,))} if n <= 64 else {})


paper.benchmark = Benchmark("K4 with two red nodes", size="nodes n", sizes=(16, 32, 64, 128), cases=cases)
