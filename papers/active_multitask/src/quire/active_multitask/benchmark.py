"""What `quire bench active_multitask` times: updating a representation by conjugate gradients, and by one system of size dk."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from quire.active_multitask.multitask import Moments, update_basis
from quire.active_multitask.paper import paper
from quire.common.bench import Benchmark, Case
from quire.common.manifolds.grassmann import qr_retract

TASKS, K = 30, 4


def by_kronecker(data: Moments, basis: Float[Array, "d k"], heads: Float[Array, "tasks k"]) -> Float[Array, "d k"]:
    """The same update from `sum_t (w_t w_t^T) (x) G_t` and a dense solve, `(dk)^3`."""
    d, k = basis.shape
    matrix = jnp.einsum("ta,tb,tij->iajb", heads, heads, data.gram).reshape(d * k, d * k)
    return qr_retract(jnp.linalg.solve(matrix, (data.cross.T @ heads).ravel()).reshape(d, k))


def cases(d: int, key: jax.Array) -> dict[str, Case]:
    """Both on the same sums over 4 d samples a task. Slopes in d: 2 by conjugate gradients, 3 by the dense system."""
    keys = jax.random.split(key, 4)
    basis = qr_retract(jax.random.normal(keys[0], (d, K)))
    heads = jax.random.normal(keys[1], (TASKS, K))
    X = jax.random.normal(keys[2], (TASKS, 4 * d, d))
    y = jnp.einsum("tnd,td->tn", X, heads @ basis.T) + jax.random.normal(keys[3], (TASKS, 4 * d))
    gram, cross = jnp.einsum("tni,tnj->tij", X, X), jnp.einsum("tni,tn->ti", X, y)
    data = Moments(gram, cross, jnp.sum(y**2, 1), jnp.full(TASKS, 4.0 * d))
    start = qr_retract(basis + 0.1)
    return {
        "conjugate gradients": Case(update_basis, (data, start, heads)),
        "dense system": Case(by_kronecker, (data, start, heads)),
    }


paper.benchmark = Benchmark("Update of the representation", size="dimension d", sizes=(32, 64, 128, 256), cases=cases)
