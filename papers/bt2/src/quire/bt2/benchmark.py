"""What `quire bench bt2` times: the bases by the Cayley map and by the matrix exponential, and a head folded into one matrix."""

import jax
import jax.numpy as jnp
from flax import nnx

from quire.bt2.head import BT2Head
from quire.bt2.paper import paper
from quire.common.bench import Benchmark, Case

BATCH = 256


def cases(dim: int, key: jax.Array) -> dict[str, Case]:
    """Heads of `d = d_o = dim` and `a = dim / 4` on one batch of features, away from the start of training."""
    features = jax.random.normal(key, (BATCH, 2 * dim))
    heads = {m: BT2Head(dim, dim, 100, extra=dim // 4, method=m, rngs=nnx.Rngs(0)) for m in ("cayley", "expm")}

    def embedding(graph, state, features):
        return nnx.merge(graph, state)(features).embedding

    found = {"folded": Case(heads["expm"].folded().__call__, (features,))}
    for method, head in heads.items():
        graph, state = nnx.split(head)
        state = jax.tree.map(lambda x: x + 0.01 * jnp.sin(jnp.arange(x.size, dtype=x.dtype)).reshape(x.shape), state)
        found[method] = Case(lambda state, x, graph=graph: embedding(graph, state, x), (state, features))
    return found


paper.benchmark = Benchmark(
    f"Embeddings of {BATCH} features, d = d_o, a = d / 4", size="dimension d", sizes=(32, 64, 128, 256), cases=cases
)
