"""What `quire bench optembed` times: masked embeddings of a batch by norms of the rows that it reads, and of all rows."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from quire.common.bench import Benchmark, Case
from quire.common.layers.ctr import lookup
from quire.optembed.masks import prefix_mask, prefix_masks, row_mask
from quire.optembed.paper import paper

BATCH, FIELDS, DIM = 2048, 16, 16


def gather_then_mask(
    table: Float[Array, "values dim"],
    threshold: Float[Array, " fields"],
    ids: Int[Array, "batch fields"],
    dim_index: Int[Array, "batch fields"],
) -> Float[Array, "batch fields dim"]:
    """Norms of the rows of the batch, dimensions by comparison: the size of the table does not matter."""
    rows = lookup(table, ids)
    keep = row_mask(rows, jnp.broadcast_to(threshold, ids.shape))
    return keep[..., None] * prefix_mask(dim_index, DIM) * rows


def mask_then_gather(
    table: Float[Array, "values dim"],
    threshold: Float[Array, " fields"],
    ids: Int[Array, "batch fields"],
    dim_index: Int[Array, "batch fields"],
) -> Float[Array, "batch fields dim"]:
    """The whole table masked first, dimensions from a table of masks: linear in the number of values."""
    keep = row_mask(table, jnp.repeat(threshold, len(table) // FIELDS))
    return lookup(keep[:, None] * table, ids) * lookup(prefix_masks(DIM), dim_index)


def cases(values: int, key) -> dict[str, Case]:
    """Both on one table; fields of equal size."""
    draw = np.random.default_rng(0)
    table = jnp.asarray(draw.standard_normal((values, DIM)), jnp.float32)
    threshold = jnp.asarray(draw.uniform(10, 14, FIELDS), jnp.float32)
    size = values // FIELDS
    ids = jnp.asarray(draw.integers(0, size, (BATCH, FIELDS)) + size * np.arange(FIELDS), jnp.int32)
    args = table, threshold, ids, jnp.asarray(draw.integers(0, DIM, ids.shape), jnp.int32)
    return {"gather, then mask": Case(gather_then_mask, args), "mask, then gather": Case(mask_then_gather, args)}


paper.benchmark = Benchmark(
    f"Masked embeddings, batch {BATCH}, {FIELDS} fields, D = {DIM}",
    size="values",
    sizes=(16_384, 65_536, 262_144, 1_048_576),
    cases=cases,
)
