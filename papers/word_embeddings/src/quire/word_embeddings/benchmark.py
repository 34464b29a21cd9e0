"""What `quire bench word_embeddings` times: CBOW on blocks of the text, and by gathering every window of its own.

`python -m quire.word_embeddings.benchmark` compares words a second with gensim's, in one run, where that is installed.
"""

import time
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from quire.common.bench import Benchmark, Case
from quire.common.random import generator
from quire.word_embeddings.blocks import Batch, Schedule, Text, block_loss, fit_ns, offsets
from quire.word_embeddings.models import NSConfig, NSParams, init_ns, ns_loss

CONFIG = NSConfig("cbow", dim=50, window=5, negatives=5)
WORDS, BLOCK, SHARED = 10_000, 128, 64


class Events(NamedTuple):
    """The same words, each with a window and negatives of its own."""

    target: jax.Array
    context: jax.Array
    negative: jax.Array


def gradient_of_blocks(params: NSParams, batch: Batch) -> NSParams:
    """Shifted copies of one gather; negatives are shared, so that their scores are one matrix product."""
    return jax.grad(partial(block_loss, cfg=CONFIG, batch=batch))(params)


def gradient_of_events(params: NSParams, events: Events) -> NSParams:
    """2w + 1 + K rows gathered for every word."""
    return jax.grad(lambda p: ns_loss(p, CONFIG, *events))(params)


def cases(n: int, key: jax.Array) -> dict[str, Case]:
    """A step over n blocks of Zipf's words."""
    draw = generator(key)
    share = 1 / np.arange(1, WORDS + 1)
    tokens = draw.choice(WORDS, (n, BLOCK + 2 * CONFIG.window), p=share / share.sum()).astype(np.int32)
    params = jax.tree.map(jnp.asarray, init_ns(key, CONFIG, WORDS))
    params = params._replace(out=params.embed[::-1])  # zeros would leave the vectors without a gradient
    centres = np.ones((n, BLOCK), bool)
    batch = Batch(*map(jnp.asarray, (tokens, centres, tokens >= 0, draw.integers(1, WORDS, SHARED).astype(np.int32))))
    places = CONFIG.window + np.arange(BLOCK)
    context = tokens[:, places[:, None] + np.array(offsets(CONFIG.window))].reshape(-1, CONFIG.contexts)
    negative = draw.integers(1, WORDS, (n * BLOCK, CONFIG.negatives)).astype(np.int32)
    events = Events(*map(jnp.asarray, (tokens[:, places].reshape(-1), context, negative)))
    return {
        "blocks": Case(gradient_of_blocks, (params, batch)),
        "windows one by one": Case(gradient_of_events, (params, events)),
    }


benchmark = Benchmark(
    f"Gradient of CBOW, {BLOCK} words a block, d = {CONFIG.dim}, w = {CONFIG.window}",
    size="blocks n",
    sizes=(8, 16, 32, 64, 128, 256),
    cases=cases,
)


def words_per_second(tokens: int = 1_000_000, *, window: int = 5, dim: int = 50) -> dict[str, float]:
    """Words a second of CBOW with five negatives, one thread, over the same random text: ours, and gensim's where installed.

    Ours goes 4096 words a step, which share 64 negatives; the time of compiling counts.

    Args:
        tokens: of the text.
        window, dim: of both.
    """
    draw = np.random.default_rng(0)
    share = 1 / np.arange(1, WORDS)
    ids = draw.choice(np.arange(1, WORDS), tokens, p=share / share.sum()).astype(np.int32)
    lengths = np.full(tokens // 1000, 1000)
    text = Text(ids[: lengths.sum()], lengths, np.bincount(ids, minlength=WORDS) + 1)
    schedule = Schedule(tokens // (32 * BLOCK), BLOCK, blocks=32, shared=SHARED, held_out=0.0)
    cfg = NSConfig("cbow", dim, window, lr=0.1, subsample=0)
    rates = {
        "blocks, with compilation": tokens / _seconds(lambda: fit_ns([jax.random.key(0)], cfg, text, schedule, one_by_one=True))
    }
    try:
        from gensim.models import Word2Vec
    except ImportError:
        return rates
    sentences = [list(map(str, ids[i : i + 1000])) for i in range(0, len(text.ids), 1000)]
    model = Word2Vec(vector_size=dim, window=window, min_count=1, sample=0, workers=1, negative=5, sg=0, shrink_windows=False)
    model.build_vocab(sentences)
    rates["gensim, one thread"] = tokens / _seconds(lambda: model.train(sentences, total_examples=len(sentences), epochs=1))
    return rates


def _seconds(function) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


if __name__ == "__main__":
    for name, rate in words_per_second().items():
        print(f"{name:26} {rate / 1e6:.2f} M words/s")
