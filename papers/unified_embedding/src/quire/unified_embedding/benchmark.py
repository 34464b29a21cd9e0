"""What `quire bench unified_embedding` times: a training step of one table for all features, and of a table for each."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from quire.common.bench import Benchmark, Case
from quire.common.layers.ctr import lookup
from quire.unified_embedding.multiplexing import feature_salts, unified_index
from quire.unified_embedding.paper import paper

FEATURES, DIM, ROWS = 26, 16, 52_000


def one_gather(table: Float[Array, "rows d"], index: Int[Array, "batch features"]) -> Float[Array, "rows d"]:
    """Gradient of half the sum of squares of what is read: one gather, one scatter."""
    return jax.grad(lambda e: 0.5 * jnp.sum(jnp.square(lookup(e, index))))(table)


def gather_each(tables: list[Float[Array, "part d"]], index: Int[Array, "batch features"]) -> list[Float[Array, "part d"]]:
    """The same with a table for each feature: as many gathers and scatters."""

    def total(parts):
        read = [lookup(part, index[:, t]) for t, part in enumerate(parts)]
        return 0.5 * jnp.sum(jnp.square(jnp.stack(read, axis=1)))

    return jax.grad(total)(tables)


def cases(batch: int, key: jax.Array) -> dict[str, Case]:
    """Equal parameters and equal numbers of lookups."""
    draw = np.random.default_rng(0)
    tokens = draw.integers(0, 2**40, (batch, FEATURES))
    table = jnp.asarray(draw.standard_normal((ROWS, DIM)), jnp.float32)
    part = ROWS // FEATURES
    shared = jnp.asarray(unified_index(tokens, feature_salts([1] * FEATURES), ROWS))
    own = jnp.asarray(unified_index(tokens, feature_salts([1] * FEATURES), part))
    flops = 2.0 * batch * FEATURES * DIM
    parts = list(table.reshape(FEATURES, part, DIM))
    return {"one table": Case(one_gather, (table, shared), flops), "a table for each": Case(gather_each, (parts, own), flops)}


def step_bytes(rows: int, dim: int, lookups: int) -> dict[str, int]:
    """Bytes of float32 that one step moves in the table and the state of the optimiser, both read and written.

    Dense Adam touches three numbers for each parameter, whatever was looked up; row-wise AdaGrad one number for each row and the
    parameters, of the rows that were looked up alone.

    >>> step_bytes(rows=1000, dim=8, lookups=10)
    {'dense Adam': 192000, 'row-wise AdaGrad': 720}
    """
    return {"dense Adam": 2 * 4 * 3 * rows * dim, "row-wise AdaGrad": 2 * 4 * min(rows, lookups) * (dim + 1)}


paper.benchmark = Benchmark(
    f"Gather and gradient, {FEATURES} features, {ROWS} rows of {DIM}", size="batch B", sizes=(1024, 4096, 16_384), cases=cases
)
