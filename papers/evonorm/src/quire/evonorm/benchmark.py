"""What `quire bench evonorm` times: EvoNorm-S0 against moments over groups taken at every place, as the definition reads."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from quire.common.bench import Benchmark, Case
from quire.common.random import generator
from quire.evonorm.layers import evonorm_s

FEATURES, GROUPS, SIDE = 64, 8, 16


def at_every_place(x: Float[Array, "n h w c"]) -> Float[Array, "n h w c"]:
    """The layer with its moments as products with the matrix of channels that share a group: c times the work of a reduction."""
    member = jnp.repeat(jnp.repeat(jnp.eye(GROUPS, dtype=x.dtype), FEATURES // GROUPS, 0), FEATURES // GROUPS, 1)
    count = SIDE * SIDE * FEATURES // GROUPS
    mean = (x @ member).sum((1, 2), keepdims=True) / count
    variance = ((x - mean) ** 2 @ member).sum((1, 2), keepdims=True) / count
    return x * jax.nn.sigmoid(x) / jnp.sqrt(variance + 1e-5)


def layer(x: Float[Array, "n h w c"]) -> Float[Array, "n h w c"]:
    """EvoNorm-S0 with its initial parameters."""
    ones = jnp.ones(FEATURES, x.dtype)
    return evonorm_s(x, ones, 0 * ones, ones, groups=GROUPS)


def cases(n: int, key: jax.Array) -> dict[str, Case]:
    """n random maps."""
    x = jnp.asarray(generator(key).standard_normal((n, SIDE, SIDE, FEATURES)), jnp.float32)
    return {"EvoNorm-S0": Case(layer, (x,)), "moments at every place": Case(at_every_place, (x,))}


benchmark = Benchmark(
    f"EvoNorm-S0, {SIDE} x {SIDE} maps of {FEATURES} channels, {GROUPS} groups",
    size="samples n",
    sizes=(16, 32, 64, 128, 256, 512),
    cases=cases,
)
