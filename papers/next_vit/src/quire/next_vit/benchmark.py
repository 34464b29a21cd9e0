"""What `quire bench next_vit` times: the token mixers, whose costs grow with n, n² / 64 and n²."""

import jax
import jax.numpy as jnp
from flax import nnx

from quire.common.bench import Benchmark, Case
from quire.next_vit.e_mhsa import EMHSA
from quire.next_vit.mhca import MHCA
from quire.next_vit.paper import paper

CHANNELS = 96


def cases(tokens: int, key: jax.Array) -> dict[str, Case]:
    """Layers of 96 channels on a square map of so many tokens."""
    side = round(tokens**0.5)
    x = jax.random.normal(key, (1, side, side, CHANNELS))
    rngs = nnx.Rngs(0)
    layers: dict[str, MHCA | EMHSA] = {"MHCA": MHCA(CHANNELS, rngs=rngs)}
    layers |= {f"E-MHSA, R = {ratio}": EMHSA(CHANNELS, sr_ratio=ratio, rngs=rngs) for ratio in (8, 1)}

    def run(layer: nnx.Module, x: jax.Array) -> jax.Array:
        return layer.on_maps(x) if isinstance(layer, EMHSA) else layer(x)

    return {name: Case(run, (layer, jnp.asarray(x))) for name, layer in layers.items()}


paper.benchmark = Benchmark("Token mixers", size="tokens n", sizes=(256, 576, 1024, 2304, 4096), cases=cases)
