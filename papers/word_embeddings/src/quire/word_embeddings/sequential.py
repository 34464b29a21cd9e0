"""Training word by word, update after update, in the order of the authors' program: the reference for everything faster."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Int

from quire.common.arrays import AnyArray
from quire.common.checks import check_ids, check_positive
from quire.common.losses.sampled import saturated_slope
from quire.word_embeddings.models import SATURATION, NSConfig, NSParams, context_columns, context_vector, middle_columns

START = 1e-8
"""Of the accumulators."""


class Replayed(NamedTuple):
    """Parameters, and the accumulated squares of their gradients."""

    params: NSParams
    squares: NSParams


def replay(
    params: NSParams,
    cfg: NSConfig,
    target: Int[AnyArray, " n"],
    context: Int[AnyArray, "n c"],
    negative: Int[AnyArray, "n k"],
    lr: float | None = None,
) -> Replayed:
    """AdaGrad after every candidate of every example: `a += g²; p += lr g / sqrt(a)`, g the direction of ascent.

    For each candidate of an example its gradient joins that of the context vector by the *old* output row; then the row moves, so
    that a negative drawn twice sees its own update. After the candidates move H, by the context as it was, and the words of the
    context from left to right, a repeated one repeatedly. CBOW gives each of them the whole gradient of the mean.

    Args:
        params: at the start; accumulators start at 1e-8.
        cfg: the trainer.
        target: the right words.
        context: see `ns_scores`.
        negative: drawn words; -1 for one that was dropped.
        lr: alpha; that of `cfg` by default.

    Raises:
        ValueError: for ids out of range, shapes that do not fit, or a rate that is not positive.
    """
    size, count = len(params.embed), len(target)
    if context.shape != (count, cfg.contexts) or negative.ndim != 2 or len(negative) != count:
        shapes = f"{target.shape}, {context.shape}, {negative.shape}"
        raise ValueError(f"target, context and negative have shapes {shapes}; {cfg.model} needs [n], [n, {cfg.contexts}], [n, k]")
    for name, ids, most in (("target", target, size), ("context", context, size), ("negative + 1", negative + 1, size + 1)):
        check_ids(name, ids, most)
    rate = check_positive("lr", cfg.rate if lr is None else lr)
    params = jax.tree.map(jax.device_put, params)
    return _replay(params, cfg, jax.device_put(target), jax.device_put(context), jax.device_put(negative), rate)


@partial(jax.jit, static_argnames="cfg")
def _replay(params, cfg, target, context, negative, rate):
    state = Replayed(params, jax.tree.map(lambda p: jnp.full_like(p, START), params))
    candidates = jnp.concatenate([target[:, None], negative], axis=1)
    example = _score_the_window if cfg.model == "cw" else _predict_the_target

    def body(state, inputs):
        return example(cfg, rate, state, *inputs), None

    return jax.lax.scan(body, state, (candidates, context))[0]


def _ascend(rate, table, squares, where, gradient):
    """One AdaGrad step of a part of a table."""
    total = squares.at[where].add(jnp.square(gradient))
    return table.at[where].add(rate * gradient * jax.lax.rsqrt(total[where])), total


def _ascend_rows(rate, table, squares, rows, gradients):
    """One row after the other."""

    def body(carry, inputs):
        return _ascend(rate, *carry, *inputs), None

    return jax.lax.scan(body, (table, squares), (rows, gradients))[0]


def _slope(score, positive, counts):
    """label - sig(s), saturated; 0 for a candidate that was dropped."""
    slope = jnp.where(positive, saturated_slope(score, SATURATION), -saturated_slope(-score, SATURATION))
    return jnp.where(counts, slope, 0)


def _predict_the_target(cfg: NSConfig, rate, state: Replayed, candidates, context) -> Replayed:
    """An example of Skip-gram, CBOW, Order, LBL or NNLM."""
    (embed, out, hidden), (embed2, out2, hidden2) = state
    rows = embed[context]
    x = context_vector(cfg, rows, hidden)

    def candidate(carry, inputs):
        out, out2, along = carry
        word, positive = inputs
        slope = _slope(x @ out[word], positive, word >= 0)
        return (*_ascend(rate, out, out2, word, slope * x), along + slope * out[word]), None

    first = jnp.arange(len(candidates)) == 0
    (out, out2, along), _ = jax.lax.scan(candidate, (out, out2, jnp.zeros_like(x)), (candidates, first))
    if hidden is not None:
        into = along * (1 - x**2) if cfg.model == "nnlm" else along
        along = hidden.T @ into
        hidden, hidden2 = _ascend(rate, hidden, hidden2, ..., jnp.outer(into, rows.reshape(-1)))
    along = jnp.broadcast_to(along, rows.shape) if cfg.model in ("skipgram", "cbow") else along.reshape(rows.shape)
    embed, embed2 = _ascend_rows(rate, embed, embed2, context, along)
    return Replayed(NSParams(embed, out, hidden), NSParams(embed2, out2, hidden2))


def _score_the_window(cfg: NSConfig, rate, state: Replayed, candidates, context) -> Replayed:
    """An example of C&W. What the candidates do to H and to `out` is summed and applied at the end; to their vectors, at once."""
    (embed, out, hidden), (embed2, out2, hidden2) = state
    rows = embed[context]
    middle, weights = middle_columns(cfg, hidden), out[0]
    x = context_vector(cfg, rows, hidden)

    def candidate(carry, inputs):
        embed, embed2, *sums = carry
        word, positive = inputs
        h = jnp.tanh(x + middle @ embed[word])
        slope = _slope(h @ weights, positive, word >= 0)
        into = slope * weights * (1 - h**2)
        sums = [s + g for s, g in zip(sums, (into, jnp.outer(into, embed[word]), slope * h), strict=True)]
        return (*_ascend(rate, embed, embed2, word, middle.T @ into), *sums), None

    first = jnp.arange(len(candidates)) == 0
    zeros = jnp.zeros_like(x), jnp.zeros_like(middle), jnp.zeros_like(weights)
    (embed, embed2, into, middle_sum, out_sum), _ = jax.lax.scan(candidate, (embed, embed2, *zeros), (candidates, first))
    along = (context_columns(cfg, hidden).T @ into).reshape(rows.shape)
    left, right = jnp.split(jnp.outer(into, rows.reshape(-1)), 2, axis=1)
    hidden, hidden2 = _ascend(rate, hidden, hidden2, ..., jnp.concatenate([left, middle_sum, right], axis=1))
    out, out2 = _ascend(rate, out, out2, 0, out_sum)
    embed, embed2 = _ascend_rows(rate, embed, embed2, context, along)
    return Replayed(NSParams(embed, out, hidden), NSParams(embed2, out2, hidden2))
