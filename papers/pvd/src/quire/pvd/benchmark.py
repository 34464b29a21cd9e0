"""What `quire bench pvd` times: the levels of a hash grid read at once, and level by level and corner by corner."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from quire.common.bench import Benchmark, Case
from quire.common.fields.hash_grid import PRIMES, HashLevels, hash_encode, hash_levels
from quire.common.random import generator
from quire.pvd.paper import paper

LEVELS = hash_levels(14, 16, 512, 15, 3)


def at_once(table: Float[Array, "rows 2"], x: Float[Array, "n 3"]) -> Float[Array, "n 28"]:
    """One table with offsets, one gather."""
    return hash_encode(table, x, LEVELS)


def corner_by_corner(table: Float[Array, "rows 2"], x: Float[Array, "n 3"]) -> Float[Array, "n 28"]:
    """A gather for each corner of each level, as the definition is written."""
    return jnp.concatenate([_level(table, x, LEVELS, level) for level in range(len(LEVELS.scales))], axis=1)


def _level(table: Array, x: Array, levels: HashLevels, level: int) -> Array:
    side, entries = levels.sides[level], levels.entries[level]
    position = x * levels.scales[level] + 0.5
    cell = jnp.floor(position)
    total = jnp.zeros((len(x), table.shape[1]), x.dtype)
    for corner in product((0, 1), repeat=3):
        node = (cell + jnp.asarray(corner, x.dtype)[None]).astype(jnp.uint32)
        if side**3 <= entries:
            row = node[:, 0] + node[:, 1] * np.uint32(side) + node[:, 2] * np.uint32(side**2)
        else:
            mixed = [node[:, axis] * np.uint32(prime) for axis, prime in enumerate(PRIMES)]
            row = mixed[0] ^ mixed[1] ^ mixed[2]
        share = jnp.where(jnp.asarray(corner, bool)[None], position - cell, 1 - (position - cell)).prod(1)
        total += share[:, None] * table[(row % np.uint32(entries)).astype(jnp.int32) + levels.offsets[level]]
    return total


def cases(n: int, key: jax.Array) -> dict[str, Case]:
    """Both on the same n points."""
    draw = generator(key)
    table = jnp.asarray(draw.uniform(-1, 1, (LEVELS.size, 2)), jnp.float32)
    x = jnp.asarray(draw.uniform(0, 1, (n, 3)), jnp.float32)
    flops = 14 * 8 * 2 * 2.0 * n
    return {"all levels at once": Case(at_once, (table, x), flops), "corner by corner": Case(corner_by_corner, (table, x), flops)}


benchmark = Benchmark("Hash grid of 14 levels, 2 features", size="points n", sizes=(4096, 16_384, 65_536), cases=cases)
paper.benchmark = benchmark
