"""What `quire bench dupmae` times: logits of every word pooled over places, chunk by chunk and with all of them at once."""

from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from quire.common.bench import Benchmark, Case
from quire.common.layers.bert import BertConfig, MLMHead
from quire.common.random import generator
from quire.dupmae.bag_of_words import ot_max_pool
from quire.dupmae.model import initial
from quire.dupmae.objective import UNASKED, read_out
from quire.dupmae.paper import paper

CONFIG = BertConfig(vocab_size=8192, dim=64, depth=1, num_heads=4, mlp_dim=128, max_length=64)
CHUNK = 8


def in_chunks(graph: nnx.GraphDef, state, words: Array, hidden: Array) -> Float[Array, "n vocab"]:
    """A running maximum over chunks of places."""
    batch = hidden.shape[:2]
    pooled = jnp.ones(batch, bool).at[:, 0].set(False)
    return read_out(nnx.merge(graph, state), words, hidden, jnp.full(batch, UNASKED), pooled, chunk=CHUNK)[1]


def at_once(graph: nnx.GraphDef, state, words: Array, hidden: Array) -> Float[Array, "n vocab"]:
    """Logits `[n, t, vocab]`, then the maximum."""
    return ot_max_pool(nnx.merge(graph, state)(hidden, words), jnp.ones(hidden.shape[:2], bool))


def cases(n: int, key: jax.Array) -> dict[str, Case]:
    """Both on the states of the same n texts; the time grows in proportion to n, memory in chunks hardly at all."""
    head = initial(nnx.eval_shape(lambda: MLMHead(CONFIG, rngs=nnx.Rngs(0))), key)
    graph, state = nnx.split(head)
    draw, places, dim, vocab = generator(key), CONFIG.max_length, CONFIG.dim, CONFIG.vocab_size
    words = jnp.asarray(draw.standard_normal((vocab, dim)), jnp.float32)
    hidden = jnp.asarray(draw.standard_normal((n, places, dim)), jnp.float32)
    flops = 2.0 * n * places * dim * (vocab + dim)
    return {
        "in chunks": Case(partial(in_chunks, graph), (state, words, hidden), flops),
        "all at once": Case(partial(at_once, graph), (state, words, hidden), flops),
    }


paper.benchmark = Benchmark(
    f"Pooled vocabulary logits, {CONFIG.max_length} tokens, {CONFIG.vocab_size} words",
    size="texts n",
    sizes=(8, 16, 32, 64),
    cases=cases,
)
