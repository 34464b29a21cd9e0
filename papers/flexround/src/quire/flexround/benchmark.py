"""What `quire bench flexround` times: a step of reconstruction, and the same with all scales kept as whole matrices."""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from quire.common.bench import Benchmark, Case
from quire.common.quant.reconstruct import output_error, reconstruct_block
from quire.common.quant.uniform import Grid
from quire.flexround.division import FlexRoundParams, flexround, start_flexround
from quire.flexround.paper import paper

BITS, BATCH, STEPS = 4, 32, 10


def ten_steps(w: Array, grid: Grid, x: Array) -> FlexRoundParams:
    """Ten steps of reconstruction of a linear layer, one compiled loop."""
    found = reconstruct_block(
        lambda p, x: x @ flexround(w, p, BITS).T, start_flexround(w, grid), x, x @ w.T, steps=STEPS, rate=1e-3
    )
    return found.params


def ten_steps_by_differences(w: Array, grid: Grid, x: Array) -> Array:
    """The naive form: every scale as a matrix of its own, straight-through rounding by a difference, plain descent, unrolled."""
    target = x @ w.T
    log_scales = [jnp.log(jnp.broadcast_to(grid.scale, w.shape)), jnp.zeros_like(w), jnp.zeros_like(w)]

    def loss(log_scales):
        s1, s2, s3 = map(jnp.exp, log_scales)
        u = w / (s1 * s2 * s3)
        rounded = u + jax.lax.stop_gradient(jnp.round(u) - u)
        quantized = s1 * jnp.clip(rounded, -grid.zero, 2**BITS - 1 - grid.zero)
        return output_error(x @ quantized.T, target)

    for _ in range(STEPS):
        log_scales = [p - 1e-3 * g for p, g in zip(log_scales, jax.grad(loss)(log_scales), strict=True)]
    return log_scales[1]


def cases(n: int, key: jax.Array) -> dict[str, Case]:
    """A layer of n x n weights, `BATCH` inputs."""
    w, x = jax.random.normal(key, (n, n)), jax.random.normal(jax.random.fold_in(key, 1), (BATCH, n))
    args = w, Grid(jnp.float32(0.4), jnp.float32(2 ** (BITS - 1))), x
    return {"reconstruction, 10 steps": Case(ten_steps, args), "scales as whole matrices, unrolled": Case(ten_steps_by_differences, args)}


paper.benchmark = Benchmark(
    "Reconstruction of a linear layer", size="inputs and outputs n", sizes=(64, 128, 256, 512, 1024), cases=cases
)
