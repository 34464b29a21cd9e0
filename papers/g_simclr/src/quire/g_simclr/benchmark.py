"""What `quire bench g_simclr` times: the running sum, and the definition as one triangular matrix product."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from quire.common.bench import Benchmark, Case
from quire.g_simclr.paper import paper
from quire.g_simclr.running_mean import running_mean


def triangular_product(x: Float[Array, " n"]) -> Float[Array, " n"]:
    """Every prefix summed anew."""
    n = x.shape[0]
    return jnp.tril(jnp.ones((n, n), x.dtype)) @ x / jnp.arange(1, n + 1, dtype=x.dtype)


def cases(n: int, key: jax.Array) -> dict[str, Case]:
    """Both on the same n numbers."""
    x = jax.random.normal(key, (n,))
    return {"running sum": Case(running_mean, (x,)), "triangular product": Case(triangular_product, (x,))}


paper.benchmark = Benchmark("Running mean", size="numbers n", sizes=(256, 512, 1024, 2048), cases=cases)
