"""Perplexity of causal language models on windows of a text, and that of counted pairs of tokens."""

from collections.abc import Sequence

import jax
import numpy as np
from flax import nnx
from jaxtyping import Float, Int

from quire.common.checks import check_at_least, check_ids
from quire.common.layers.transformer import next_token_loss
from quire.common.train.seeds import over_seeds, stack


def window_loss(model: nnx.Module, windows: jax.Array, key: jax.Array | None = None) -> jax.Array:
    """Cross-entropy of every token of `windows [n, t + 1]` but the first, in nats; the loss that `fit` takes."""
    return next_token_loss(model(windows[:, :-1]), windows[:, 1:])


def perplexity(
    models: Sequence[nnx.Module], windows: Int[np.ndarray, "n size"], *, batch_size: int = 250
) -> Float[np.ndarray, " models"]:
    """`exp` of the mean cross-entropy of windows, for every model.

    Args:
        models: of one architecture, each `tokens [n, t] -> logits [n, t, vocab]`.
        windows: of a text, one token more than a model reads.
        batch_size: windows scored at a time.

    Raises:
        ValueError: without a model, a window, or a token to predict.
    """
    if not len(models) or windows.ndim != 2 or len(windows) < 1 or windows.shape[1] < 2:
        raise ValueError(f"models are {len(models)} and windows {windows.shape}; at least 1, and [n, t + 1] with n and t from 1")
    check_at_least("batch_size", batch_size)
    graphs, states = zip(*map(nnx.split, models), strict=True)
    loss, state, total = over_seeds(graphs[0], window_loss), stack(states), np.zeros(len(models))
    for start in range(0, len(windows), batch_size):
        part = windows[start : start + batch_size]
        total += len(part) * np.asarray(loss(state, part), float)
    return np.exp(total / len(windows))


def pair_perplexity(train: Int[np.ndarray, " m"], windows: Int[np.ndarray, "n size"], vocab_size: int) -> float:
    """That of counts of pairs of tokens, each begun at one: the trivial model.

    Args:
        train: the text that is counted.
        windows: of the text that is scored.
        vocab_size: number of tokens.

    Raises:
        ValueError: for token ids out of range, or without a pair to score.

    >>> f"{pair_perplexity(np.array([0, 1, 0, 1]), np.array([[0, 1, 0]]), 2):.3f}"
    '1.414'
    """
    check_ids("train", train, vocab_size)
    check_ids("windows", windows, vocab_size)
    if windows.ndim != 2 or len(windows) < 1 or windows.shape[1] < 2:
        raise ValueError(f"windows has shape {windows.shape}; it needs [n, t + 1] with n and t from 1")
    counts = np.ones((vocab_size, vocab_size))
    np.add.at(counts, (train[:-1], train[1:]), 1)
    probabilities = counts / counts.sum(1, keepdims=True)
    return float(np.exp(-np.log(probabilities[windows[:, :-1], windows[:, 1:]]).mean()))
