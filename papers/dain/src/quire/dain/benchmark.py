"""What `quire bench dain` times: influence of n cells on n validation cells, their gradients summed first, or pair by pair."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from quire.common.bench import Benchmark, Case
from quire.common.random import generator
from quire.dain.cell_importance import cell_importance
from quire.dain.paper import paper

WIDTH, EPOCHS = 128, 4

Gradients = Float[Array, "epochs n width"]


def pair_by_pair(train: Gradients, validation: Gradients) -> Float[Array, " n"]:
    """As influence is defined: every training with every validation cell."""
    return jnp.einsum("end,emd->enm", train, validation).sum((0, 2))


def cases(n: int, key: jax.Array) -> dict[str, Case]:
    """Both on the same gradients."""
    draw = generator(key)
    gradients = tuple(jnp.asarray(draw.standard_normal((EPOCHS, n, WIDTH)), jnp.float32) for _ in range(2))
    return {
        "summed first": Case(cell_importance, gradients, 4.0 * EPOCHS * n * WIDTH),
        "pair by pair": Case(pair_by_pair, gradients, 2.0 * EPOCHS * n * n * WIDTH),
    }


paper.benchmark = Benchmark(
    f"Influence of n cells on n others, {EPOCHS} epochs, width {WIDTH}",
    size="cells n",
    sizes=(512, 1024, 2048, 4096),
    cases=cases,
)
