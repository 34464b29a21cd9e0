"""What `quire bench flexround` times: steps of reconstruction, and the same with every scale kept as a matrix of its own."""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from quire.common.bench import Benchmark, Case
from quire.common.quant.reconstruct import output_error, reconstruct_block
from quire.common.quant.uniform import Grid
from quire.flexround.division import flexround, start_flexround
from quire.flexround.paper import paper

BITS, BATCH, STEPS, RATE = 4, 32, 10, 1e-3


def loop(w: Array, grid: Grid, x: Array) -> Array:
    """Ten steps of reconstruction of a linear layer, as one compiled loop; `log S2` after them."""

    def layer(p, x):
        return x @ flexround(w, p, BITS).T

    return reconstruct_block(layer, start_flexround(w, grid), x, x @ w.T, steps=STEPS, rate=RATE).params.log_S2


def unrolled(w: Array, grid: Grid, x: Array) -> Array:
    """The naive form: all scales as matrices, their gradients summed afterwards, no loop."""
    rows, start = w.shape[:1], (jnp.log(grid.scale), jnp.zeros_like(w), jnp.zeros((len(w), 1), w.dtype))
    tx, target = optax.adam(optax.cosine_decay_schedule(RATE, STEPS)), x @ w.T

    def loss(dense):
        s1, s2, s3 = dense
        u = w / (jnp.exp(s1) * jnp.exp(s2) * jnp.exp(s3))
        rounded = u + jax.lax.stop_gradient(jnp.round(u) - u)
        low, high = -grid.zero, 2**BITS - 1 - grid.zero
        inside = jnp.where((rounded >= low) & (rounded <= high), rounded, jax.lax.stop_gradient(jnp.clip(rounded, low, high)))
        return output_error(x @ (jnp.exp(s1) * inside).T, target)

    params, state = start, tx.init(start)
    for _ in range(STEPS):
        g1, g2, g3 = jax.grad(loss)(tuple(jnp.broadcast_to(p, w.shape) for p in params))
        updates, state = tx.update((g1.sum(), g2, g3.sum(1).reshape(*rows, 1)), state)
        params = optax.apply_updates(params, updates)
    return params[1]


def cases(n: int, key: jax.Array) -> dict[str, Case]:
    """A layer of n x n weights, `BATCH` inputs."""
    w, x = jax.random.normal(key, (n, n)), jax.random.normal(jax.random.fold_in(key, 1), (BATCH, n))
    args = w, Grid(jnp.float32(0.4), jnp.float32(2 ** (BITS - 1))), x
    return {"one loop": Case(loop, args), "unrolled, scales as matrices": Case(unrolled, args)}


paper.benchmark = Benchmark(
    f"{STEPS} steps of reconstruction of a linear layer", size="inputs and outputs n", sizes=(64, 128, 256, 512), cases=cases
)
