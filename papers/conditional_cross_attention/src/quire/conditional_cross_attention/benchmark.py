"""What `quire bench conditional_cross_attention` times: all spaces from one cache, and a full pass for each."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from quire.common.bench import Benchmark, Case
from quire.common.random import generator
from quire.conditional_cross_attention.config import ViT
from quire.conditional_cross_attention.network import CCANet
from quire.conditional_cross_attention.paper import paper

VIT = ViT(image_size=64, patch=8, dim=128, num_heads=4, depth=4)
IMAGES, EMBED = 32, 64


def cases(n: int, key: jax.Array) -> dict[str, Case]:
    """The same network of n attributes and the same images; a switch adds one query to what n full passes do n times."""
    graph, state = nnx.split(CCANet(VIT, n, EMBED, rngs=nnx.Rngs(key)))
    images = jnp.asarray(generator(key).uniform(size=(IMAGES, 64, 64, 3)), jnp.float32)

    def cached(state, images):
        return nnx.merge(graph, state).embed_all(images)

    def full(state, images):
        net = nnx.merge(graph, state)
        return jax.lax.map(lambda attr: net(images, attr), jnp.asarray(np.repeat(np.arange(n)[:, None], IMAGES, axis=1)))

    return {"one pass, n queries": Case(cached, (state, images)), "n passes": Case(full, (state, images), n * _flops())}


def _flops() -> float:
    """Of a pass, about: products with the weights of the blocks, and of the attention."""
    tokens = (VIT.image_size // VIT.patch) ** 2 + 1
    return 2.0 * IMAGES * VIT.depth * tokens * (12 * VIT.dim**2 + 2 * tokens * VIT.dim)


paper.benchmark = Benchmark(
    f"Embeddings of {IMAGES} images under n attributes", size="attributes n", sizes=(2, 4, 8, 16), cases=cases
)
