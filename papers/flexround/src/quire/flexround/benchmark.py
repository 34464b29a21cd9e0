"""What `quire bench flexround` times: steps of reconstruction, the same with every scale kept as a matrix, and a peer."""

from functools import partial

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from quire.common.bench import Benchmark, Case
from quire.common.quant.reconstruct import output_error, reconstruct_block
from quire.common.quant.uniform import Grid
from quire.flexround.division import flexround, start_flexround
from quire.flexround.paper import paper
from quire.flexround.peers import has_qwix, qwix_gptq

BITS, BATCH, STEPS, RATE = 4, 32, 10, 1e-3
WHOLE, LARGEST_PEER = 1000, 128
"""Steps of a whole reconstruction, for layers that qwix compiles in less than a minute."""


def loop(w: Array, grid: Grid, x: Array, steps: int = STEPS) -> Array:
    """Steps of reconstruction of a linear layer, as one compiled loop; the weights after them."""

    def layer(p, x):
        return x @ flexround(w, p, BITS).T

    found = reconstruct_block(layer, start_flexround(w, grid), x, x @ w.T, steps=steps, rate=RATE)
    return flexround(w, found.params, BITS)


def unrolled(w: Array, grid: Grid, x: Array) -> Array:
    """The naive form: all scales as matrices, their gradients summed afterwards, no loop."""
    start = (jnp.log(grid.scale), jnp.zeros_like(w), jnp.zeros((len(w), 1), w.dtype))
    tx, target = optax.adam(optax.cosine_decay_schedule(RATE, STEPS)), x @ w.T

    def quantized(dense):
        s1, s2, s3 = map(jnp.exp, dense)
        u = w / (s1 * s2 * s3)
        rounded = u + jax.lax.stop_gradient(jnp.round(u) - u)
        low, high = -grid.zero, 2**BITS - 1 - grid.zero
        inside = (rounded >= low) & (rounded <= high)
        return s1 * jnp.where(inside, rounded, jax.lax.stop_gradient(jnp.clip(rounded, low, high)))

    def whole(params):
        return tuple(jnp.broadcast_to(p, w.shape) for p in params)

    params, state = start, tx.init(start)
    for _ in range(STEPS):
        g1, g2, g3 = jax.grad(lambda dense: output_error(x @ quantized(dense).T, target))(whole(params))
        updates, state = tx.update((g1.sum(), g2, g3.sum(1, keepdims=True)), state)
        params = optax.apply_updates(params, updates)
    return quantized(whole(params))


def cases(n: int, key: jax.Array) -> dict[str, Case]:
    """A layer of n x n weights, `BATCH` inputs."""
    w, x = jax.random.normal(key, (n, n)), jax.random.normal(jax.random.fold_in(key, 1), (BATCH, n))
    args = w, Grid(jnp.float32(0.4), jnp.float32(2 ** (BITS - 1))), x
    found = {f"{STEPS} steps, one loop": Case(loop, args), f"{STEPS} steps, unrolled, scales as matrices": Case(unrolled, args)}
    if has_qwix() and n <= LARGEST_PEER:
        found[f"{WHOLE} steps, one loop"] = Case(partial(loop, steps=WHOLE), args)
        found["GPTQ by qwix"] = Case(partial(qwix_gptq, bits=BITS), (w, x))
    return found


paper.benchmark = Benchmark(
    "Reconstruction of a linear layer", size="inputs and outputs n", sizes=(64, 128, 256, 512), cases=cases
)
