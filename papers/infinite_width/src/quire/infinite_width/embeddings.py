"""Word vectors of every width trained on the same events, and the kernel limit beside them (F5, F5b)."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from quire.common.text.windows import draw_events, negative_cumulative, subsampled
from quire.infinite_width.config import Word2Vec
from quire.infinite_width.sources import Words
from quire.infinite_width.word2vec import (
    Embeddings,
    frequency_loss,
    gram,
    held_out_loss,
    initial_embeddings,
    train_cbow,
    train_kernel,
)

_held_out_loss = jax.jit(held_out_loss)


def _events_at(key: Array, tokens: Array, cumulative: Array, cfg: Word2Vec):
    draw = partial(draw_events, shape=(cfg.batch,), window=cfg.window, negatives=cfg.negatives)
    return lambda step: draw(jax.random.fold_in(key, step), tokens, cumulative)


@partial(jax.jit, static_argnames=("cfg", "width"))
def _train_width(keys: Array, tokens: Array, cumulative: Array, cfg: Word2Vec, width: int | None) -> Embeddings:
    start = initial_embeddings(cfg.vocabulary, width, keys[1])
    events_at = _events_at(keys[0], tokens, cumulative, cfg)
    return train_cbow(start, events_at, cfg.learning_rate, steps=cfg.steps, weight_decay=cfg.weight_decay)[0]


@partial(jax.jit, static_argnames="cfg")
def _train_kernel(key: Array, tokens: Array, cumulative: Array, rate: Array, cfg: Word2Vec) -> Embeddings:
    return train_kernel(cfg.vocabulary, _events_at(key, tokens, cumulative, cfg), rate, steps=cfg.steps)[0]


def train_all(words: Words, cfg: Word2Vec, key: Array) -> dict[str, Any]:
    """Held-out losses by width, of the kernel limit by rate, of word frequencies; changes of Gram matrices; word vectors."""
    events, weights, test = jax.random.split(key, 3)
    train = subsampled(words.train, words.vocabulary.counts, cfg.subsample)
    tokens, held_out = jnp.asarray(train), jnp.asarray(words.held_out)
    counts = jnp.asarray(words.vocabulary.counts, jnp.float32)
    cumulative = jnp.asarray(negative_cumulative(words.vocabulary.counts), jnp.float32)
    scored = draw_events(test, held_out, cumulative, shape=(cfg.held_out,), window=cfg.window, negatives=cfg.negatives)
    keys = jnp.stack([events, weights])
    models = {str(w or "∞"): _train_width(keys, tokens, cumulative, cfg, w) for w in (*cfg.widths, None)}
    kernel, gram_changes = {}, {}
    for rate in cfg.kernel_rates:
        model = _train_kernel(events, tokens, cumulative, jnp.asarray(rate), cfg)
        kernel[rate] = float(_held_out_loss(model, scored))
    start = jnp.eye(cfg.vocabulary)
    for name, syn0 in {"muP": models["∞"].syn0, "kernel": model.syn0}.items():
        gram_changes[name] = float(jnp.linalg.norm(gram(syn0) - start))
    return {
        "losses": {name: float(_held_out_loss(model, scored)) for name, model in models.items()},
        "kernel": kernel,
        "gram changes": gram_changes,
        "frequency": float(frequency_loss(counts, scored)),
        "vectors": {name: model.syn0 for name, model in models.items()},
    }
