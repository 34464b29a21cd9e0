"""What `quire bench coat` times: a step of AdamW with eight-bit moments, with and without expansion, against optax's."""

import jax
import optax

from quire.coat.adamw import coat_adamw
from quire.coat.paper import paper
from quire.common.bench import Benchmark, Case


def cases(n: int, key: jax.Array) -> dict[str, Case]:
    """One step on n parameters each; all are linear in n."""
    params, grads = jax.random.normal(key, (2, n))
    optimisers = {
        "COAT": coat_adamw(1e-3),
        "COAT without expansion": coat_adamw(1e-3, expand=False),
        "optax.adamw": optax.adamw(1e-3),
    }
    return {name: Case(tx.update, (grads, tx.init(params), params)) for name, tx in optimisers.items()}


paper.benchmark = Benchmark("A step of AdamW", size="parameters n", sizes=(2**16, 2**18, 2**20, 2**22), cases=cases)
