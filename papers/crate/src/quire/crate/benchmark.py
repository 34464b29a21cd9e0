"""What `quire bench crate` times: a CRATE layer, its authors' form of ISTA, and a ViT layer."""

import jax
from flax import nnx
from jaxtyping import Array, Float

from quire.common.bench import Benchmark, Case
from quire.common.layers.crate import CRATEBlock
from quire.common.layers.transformer import TransformerBlock
from quire.crate.paper import paper

DIM, HEADS, BATCH = 384, 6, 4


def three_product_layer(block: CRATEBlock, x: Float[Array, "*batch n d"]) -> Float[Array, "*batch n d"]:
    """The layer with ISTA as the authors write it, `u + eta (u W - (u W^T) W) - eta lam`: three matrix products for two."""
    u = block.ista_norm(x + block.attention(block.attention_norm(x)))
    W, eta, lam = block.ista.weight[...], block.ista.eta, block.ista.lam
    return jax.nn.relu(u + eta * (u @ W - u @ W.T @ W) - eta * lam)


def _case(module: nnx.Module, x: Array, call=lambda module, x: module(x)) -> Case:
    graph, state = nnx.split(module)
    return Case(lambda state, x: call(nnx.merge(graph, state), x), (state, x))


def cases(n: int, key: jax.Array) -> dict[str, Case]:
    """Layers of CRATE-T's width on `BATCH` sequences of n tokens."""
    x = jax.random.normal(key, (BATCH, n, DIM))
    crate, vit = CRATEBlock(DIM, HEADS, rngs=nnx.Rngs(key)), TransformerBlock(DIM, HEADS, rngs=nnx.Rngs(key))
    return {
        "CRATE layer": _case(crate, x),
        "CRATE layer, three-product ISTA": _case(crate, x, three_product_layer),
        "ViT layer": _case(vit, x),
    }


paper.benchmark = Benchmark(
    "CRATE layer against a ViT layer of the same width", size="tokens n", sizes=(64, 128, 256, 512, 1024), cases=cases
)
