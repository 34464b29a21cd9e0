"""From words to the events that word vectors are trained on: a context window, its centre word, and negative samples."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from quire.common.checks import check_at_least, check_ids


class Vocabulary(NamedTuple):
    """Words by frequency, their counts, and the text as indices into them."""

    words: tuple[str, ...]
    counts: np.ndarray
    tokens: np.ndarray


def vocabulary(words: Sequence[str], size: int) -> Vocabulary:
    """The `size` most frequent words; all others are dropped from the text before windows are cut.

    Args:
        words: the text, word by word.
        size: of the vocabulary.

    Raises:
        ValueError: if `size` is below 2 or the text has fewer different words.

    >>> vocabulary("a b a c a b".split(), 2)
    Vocabulary(words=('a', 'b'), counts=array([3, 2]), tokens=array([0, 1, 0, 0, 1], dtype=int32))
    """
    frequent = Counter(words).most_common(size)
    if size < 2 or len(frequent) < size:
        raise ValueError(f"size is {size}; it must be at least 2 and at most the {len(set(words))} different words of the text")
    index = {word: i for i, (word, _) in enumerate(frequent)}
    tokens = np.array([index[word] for word in words if word in index], np.int32)
    return Vocabulary(tuple(index), np.array([count for _, count in frequent]), tokens)


def subsampled(tokens: np.ndarray, counts: np.ndarray, threshold: float, *, seed: int = 0) -> np.ndarray:
    """The text with frequent words thinned out: one of frequency f stays with probability `sqrt(t / f) + t / f`, at most 1.

    Args:
        tokens: text as word indices.
        counts: of each word.
        threshold: t; 0 keeps every word.
        seed: of the draws.

    Raises:
        ValueError: if the threshold is negative or a token has no count.

    References:
        word2vec.c (Mikolov et al. 2013), which draws anew in every epoch; here the text is thinned once.
    """
    check_ids("tokens", tokens, len(counts))
    if not threshold >= 0:
        raise ValueError(f"threshold is {threshold}; it cannot be negative")
    if threshold == 0:
        return tokens
    rarity = threshold * np.sum(counts) / np.maximum(counts, 1)
    return tokens[np.random.default_rng(seed).random(len(tokens)) < (np.sqrt(rarity) + rarity)[tokens]]


class Events(NamedTuple):
    """CBOW events. Absent context words and negatives equal to the target hold the vocabulary size, an index out of range.

    Attributes:
        context: int32 `[..., 2 window]`.
        targets: int32 `[..., 1 + negatives]`, the centre word first.
    """

    context: Int[Array, "*events context"]
    targets: Int[Array, "*events targets"]


def negative_cumulative(counts: np.ndarray, power: float = 0.75) -> Float[np.ndarray, " v"]:
    """Cumulative distribution of negatives, `count^power` normalised.

    Raises:
        ValueError: if a count is negative or not finite, or none is positive.
    """
    counts = np.asarray(counts, float)
    if not (np.isfinite(counts).all() and (counts >= 0).all() and (counts > 0).any()):
        raise ValueError(f"counts is {counts}; it must hold numbers from 0, at least one of them positive")
    weights = np.where(counts > 0, np.where(counts > 0, counts, 1) ** power, 0)
    return np.cumsum(weights / weights.sum())


@partial(jax.jit, static_argnames=("shape", "window", "negatives"))
def draw_events(
    key: jax.Array,
    tokens: Int[Array, " n"],
    cumulative: Float[Array, " v"],
    *,
    shape: tuple[int, ...],
    window: int,
    negatives: int,
) -> Events:
    """Events at random positions, each with a window shrunk to a uniform 1..window.

    Args:
        key: for positions, windows and negatives.
        tokens: text as word indices; at least `2 window + 1`.
        cumulative: see `negative_cumulative`.
        shape: of the events, `(steps, batch)` for instance.
        window: largest distance to a context word.
        negatives: how many to draw; those equal to the target are marked absent.

    Raises:
        ValueError: if the text is shorter than a window, `window` is below 1, `negatives` is negative, or tokens are no integers.
    """
    check_at_least("window", window)
    check_at_least("negatives", negatives, 0)
    check_ids("tokens", tokens, len(cumulative))
    if len(tokens) < 2 * window + 1:
        raise ValueError(f"tokens has {len(tokens)} words; a window of {window} needs at least {2 * window + 1}")
    where, how_far, which = jax.random.split(key, 3)
    absent = len(cumulative)
    centre = jax.random.randint(where, (*shape, 1), window, len(tokens) - window)
    reach = jax.random.randint(how_far, (*shape, 1), 1, window + 1)
    offsets = np.array([o for o in range(-window, window + 1) if o])
    offsets = jnp.asarray(offsets, jnp.int32).reshape((1,) * len(shape) + (-1,))
    context = jnp.where(jnp.abs(offsets) <= reach, tokens[centre + offsets], absent)
    target = tokens[centre]
    drawn = jnp.searchsorted(cumulative, jax.random.uniform(which, (*shape, negatives))).astype(jnp.int32)
    drawn = jnp.minimum(drawn, absent - 1)  # the cumulative sum may end a rounding error below 1
    return Events(context.astype(jnp.int32), jnp.concatenate([target, jnp.where(drawn == target, absent, drawn)], -1))
