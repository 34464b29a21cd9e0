"""What `quire bench manifold_clustering` times: the rates of n clusters as one product of matrices, and one after the other."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from quire.common.bench import Benchmark, Case
from quire.manifold_clustering.objectives import unit
from quire.manifold_clustering.paper import paper
from quire.manifold_clustering.rates import coding_rate_ds

D, EPS_SQUARED = 32, 0.2


def one_by_one(Z: Float[Array, "n d"], Gamma: Float[Array, "n n"]) -> Float[Array, ""]:
    """R_c as it is written: a weighted Gram matrix and a determinant for every point."""

    def rate(weights):
        gram = (weights[:, None] * Z).T @ Z
        return jnp.linalg.slogdet(jnp.eye(Z.shape[1]) + Z.shape[1] / EPS_SQUARED * gram)[1]

    return jnp.mean(jax.lax.map(rate, Gamma.T))


def cases(n: int, key: jax.Array) -> dict[str, Case]:
    """Both without gradients; n clusters of n points each: slopes of 2."""
    Z = unit(jax.random.normal(key, (n, D)))
    args = Z, (jnp.eye(n) + 1 / n) / 2  # doubly stochastic
    batched = lambda Z, Gamma: coding_rate_ds(Z, Gamma, EPS_SQUARED)  # noqa: E731
    return {"one product": Case(batched, args), "one by one": Case(one_by_one, args)}


paper.benchmark = Benchmark("Rates of n clusters of n points", size="points n", sizes=(256, 512, 1024), cases=cases)
