"""From words to the events that word vectors are trained on: a context window, its centre word, and negative samples."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

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
    return tokens[np.random.default_rng(seed).random(len(tokens)) < keep_probability(counts, threshold)[tokens]]


def keep_probability(counts: np.ndarray, threshold: float) -> Float[np.ndarray, " v"]:
    """Chance of a word of frequency f to stay when frequent ones are thinned out, `min(1, sqrt(t / f) + t / f)`.

    Args:
        counts: of each word, not negative; a word without occurrences stays.
        threshold: t.

    Raises:
        ValueError: if the threshold or a count is negative.

    >>> keep_probability(np.array([99, 1]), 0.01).round(3).tolist()
    [0.111, 1.0]
    """
    counts = np.asarray(counts)
    if not threshold >= 0 or (counts < 0).any():
        raise ValueError(f"threshold is {threshold} and counts {counts}; neither can be negative")
    rarity = threshold * np.sum(counts) / np.maximum(counts, 1)
    return np.minimum(1, np.sqrt(rarity) + rarity)


class Blocks(NamedTuple):
    """A text cut for shifted copies: each word is a centre once, with all of its window in the same block.

    Attributes:
        tokens: int32 `[blocks, halo + size + halo]`, the padding id outside of sentences.
        centres: `[blocks, size]`, which of the middle tokens are words.
        inside: `[blocks, halo + size + halo]`, which tokens are words.
    """

    tokens: Int[np.ndarray, "blocks width"]
    centres: Bool[np.ndarray, "blocks size"]
    inside: Bool[np.ndarray, "blocks width"]


def token_blocks(
    ids: Int[np.ndarray, " tokens"], lengths: Int[np.ndarray, " sentences"] | None, size: int, *, halo: int = 0, padding: int = 0
) -> Blocks:
    """The text as blocks of consecutive tokens, so that windows are shifted copies of one gather.

    Sentences stand one after the other with `halo` paddings between them: no window of that size reaches another sentence.

    Args:
        ids: the text as word indices, sentence after sentence.
        lengths: words of every sentence, which sum to the tokens; one sentence by default.
        size: centres of a block.
        halo: tokens that a block has more on either side, the largest distance in a window.
        padding: id outside of sentences.

    Raises:
        ValueError: for no token, a size below 1, a negative halo, or lengths that do not sum to the tokens.

    >>> blocks = token_blocks(np.array([5, 6, 7]), np.array([2, 1]), 2, halo=1)
    >>> blocks.tokens.tolist(), blocks.centres.tolist()
    ([[0, 5, 6, 0], [6, 0, 7, 0]], [[True, True], [False, True]])
    """
    ids = np.asarray(ids)
    lengths = np.array([len(ids)]) if lengths is None else np.asarray(lengths)
    check_at_least("size", size)
    check_at_least("halo", halo, 0)
    if not len(ids) or (lengths < 0).any() or lengths.sum() != len(ids):
        raise ValueError(f"lengths sum to {lengths.sum()} and the text has {len(ids)} words; they must agree and be at least 1")
    lengths = lengths[lengths > 0]
    place = np.arange(len(ids)) + halo * np.repeat(np.arange(1, len(lengths) + 1), lengths)
    blocks = -(-(int(place[-1]) + 1 - halo) // size)
    tokens = np.full(blocks * size + 2 * halo, padding, np.int32)
    inside = np.zeros(len(tokens), bool)
    tokens[place], inside[place] = ids, True
    where = size * np.arange(blocks)[:, None] + np.arange(size + 2 * halo)
    return Blocks(tokens[where], inside[where[:, halo : halo + size]], inside[where])


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
