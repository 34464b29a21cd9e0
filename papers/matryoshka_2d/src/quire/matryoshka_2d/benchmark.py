"""What `quire bench matryoshka_2d` times: an exit behind the first layer, and the whole encoder whose layer 1 is then taken."""

from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx

from quire.common.bench import Benchmark, Case
from quire.common.layers.bert import BertConfig
from quire.common.random import generator
from quire.matryoshka_2d.encoder import SentenceEncoder, encode_all_layers
from quire.matryoshka_2d.paper import paper

CONFIG = BertConfig(vocab_size=4000, dim=64, depth=6, num_heads=4, mlp_dim=256, max_length=32)


def exited(graph, state, tokens):
    """Sentence embeddings of layer 1; the others do not run."""
    return nnx.merge(graph, state).encode(tokens, layers=1)


def selected(graph, state, tokens):
    """The same from embeddings of every layer."""
    return encode_all_layers(nnx.merge(graph, state), tokens)[1]


def cases(n: int, key: jax.Array) -> dict[str, Case]:
    """Both on the same n sentences; the time grows in proportion to n."""
    graph, state = nnx.split(SentenceEncoder(CONFIG, rngs=nnx.Rngs(key)))
    tokens = jnp.asarray(generator(key).integers(3, CONFIG.vocab_size, (n, CONFIG.max_length)))
    d, hidden, length = CONFIG.dim, CONFIG.mlp_dim, CONFIG.max_length
    layer = 2.0 * n * length * (4 * d * d + 2 * d * hidden + 2 * length * d)  # the compiler counts a loop's body once
    return {
        "early exit": Case(partial(exited, graph), (state, tokens), layer),
        "all layers": Case(partial(selected, graph), (state, tokens), CONFIG.depth * layer),
    }


paper.benchmark = Benchmark(
    f"Embeddings of layer 1 of {CONFIG.depth}, {CONFIG.max_length} tokens",
    size="sentences n",
    sizes=(32, 64, 128, 256),
    cases=cases,
)
