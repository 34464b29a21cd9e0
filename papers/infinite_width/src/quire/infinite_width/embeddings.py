"""Word vectors of every width trained on the same events, and the kernel limit beside them (F5, F5b)."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
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
    kernel_held_out_loss,
    train_cbow,
    train_kernel,
)

_frequency_loss, _held_out_loss, _kernel_held_out_loss = (
    jax.jit(loss) for loss in (frequency_loss, held_out_loss, kernel_held_out_loss)
)


def _events_at(key: Array, tokens: Array, cumulative: Array, cfg: Word2Vec):
    draw = partial(draw_events, shape=(cfg.batch,), window=cfg.window, negatives=cfg.negatives)
    return lambda step: draw(jax.random.fold_in(key, step), tokens, cumulative)


@partial(jax.jit, static_argnames="cfg")
def _train(start: Embeddings, key: Array, tokens: Array, cumulative: Array, cfg: Word2Vec) -> Embeddings:
    events_at = _events_at(key, tokens, cumulative, cfg)
    return train_cbow(start, events_at, cfg.learning_rate, steps=cfg.steps, weight_decay=cfg.weight_decay)[0]


@partial(jax.jit, static_argnames="cfg")
def _train_kernel(key: Array, tokens: Array, cumulative: Array, rate: Array, cfg: Word2Vec) -> Embeddings:
    return train_kernel(cfg.vocabulary, _events_at(key, tokens, cumulative, cfg), rate, steps=cfg.steps)[0]


def _widened(model: Embeddings, width: int) -> Embeddings:
    """With columns of zeros, which stay zero: all finite widths share one program."""
    return Embeddings(*(jnp.asarray(np.pad(np.asarray(x), [(0, 0), (0, width - x.shape[1])])) for x in model))


def _gram_change(syn0: np.ndarray) -> float:
    """Norm of the change of the inner products of word vectors, which are those of the identity at the start."""
    return float(np.linalg.norm(gram(syn0) - np.eye(len(syn0), dtype=syn0.dtype)))


def train_all(words: Words, cfg: Word2Vec, key: Array) -> dict[str, Any]:
    """Held-out losses by width, of the kernel limit by rate, of word frequencies; changes of Gram matrices; word vectors."""
    events, weights, test = jax.random.split(key, 3)
    train = subsampled(words.train, words.vocabulary.counts, cfg.subsample)
    tokens, held_out = jnp.asarray(train), jnp.asarray(words.held_out)
    counts = jnp.asarray(words.vocabulary.counts, jnp.float32)
    cumulative = jnp.asarray(negative_cumulative(words.vocabulary.counts), jnp.float32)
    scored = draw_events(test, held_out, cumulative, shape=(cfg.held_out,), window=cfg.window, negatives=cfg.negatives)
    losses, vectors, kernel = {}, {}, {}
    for width in (*cfg.widths, None):
        start = initial_embeddings(cfg.vocabulary, width, weights)
        model = _train(start if width is None else _widened(start, max(cfg.widths)), events, tokens, cumulative, cfg)
        name = str(width or "∞")
        losses[name] = float(_held_out_loss(model, scored))
        vectors[name] = np.asarray(model.syn0)[:, : width or cfg.vocabulary]
    for rate in cfg.kernel_rates:
        fixed = _train_kernel(events, tokens, cumulative, jnp.float32(rate), cfg)
        kernel[rate] = float(_kernel_held_out_loss(fixed.syn1, scored))
    return {
        "losses": losses,
        "kernel": kernel,
        "gram changes": {"muP": _gram_change(vectors["∞"]), "kernel": _gram_change(np.asarray(fixed.syn0))},
        "frequency": float(_frequency_loss(counts, scored)),
        "vectors": vectors,
    }
