"""What trained senses are used for: priors, pruning, the sense of an occurrence, and how well these agree with annotators."""

from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from quire.common.arrays import AnyArray
from quire.common.checks import check_ids
from quire.text_vectors.disambiguated_skipgram import DSGWeights, sense_logits


def sense_probabilities(weights: DSGWeights, center: Int[AnyArray, " n"], context: Int[AnyArray, "n C"]) -> Float[Array, "n S"]:
    """`softmax(l)`, without noise, at temperature 1."""
    return jax.nn.softmax(sense_logits(weights, center, context), axis=-1)


def sense_priors(probs: Float[AnyArray, "n S"], center: Int[AnyArray, " n"], vocab: int) -> Float[np.ndarray, "V S"]:
    """Mean probabilities over the occurrences of each word; uniform for a word that does not occur.

    Args:
        probs: of occurrences, without noise.
        center: their words.
        vocab: V.

    Raises:
        ValueError: for ids out of range or shapes that do not fit.

    >>> sense_priors(np.array([[1.0, 0.0], [0.5, 0.5]]), np.array([0, 0]), 2).tolist()
    [[0.75, 0.25], [0.5, 0.5]]
    """
    check_ids("center", center, vocab)
    if len(probs) != len(center):
        raise ValueError(f"probs has {len(probs)} rows; it needs one for each of {len(center)} occurrences")
    total, senses = np.zeros((vocab, probs.shape[1])), probs.shape[1]
    np.add.at(total, np.asarray(center), np.asarray(probs, float))
    mass = total.sum(1, keepdims=True)
    return np.where(mass > 0, total / np.where(mass > 0, mass, 1), 1 / senses)


def prune(prior: Float[AnyArray, "V S"], threshold: float = 0.05) -> Bool[AnyArray, "V S"]:
    """Which senses are kept: those of a prior of at least the threshold.

    Raises:
        ValueError: for a threshold outside `[0, 1]`.

    >>> prune(np.array([[0.96, 0.04]])).tolist()
    [[True, False]]
    """
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold is {threshold}; it must lie between 0 and 1")
    return np.asarray(prior) >= threshold


def induce_senses(
    weights: DSGWeights,
    word: int,
    left: Sequence[Int[AnyArray, "_"]],
    right: Sequence[Int[AnyArray, "_"]],
    kept: Bool[AnyArray, "V S"] | None = None,
) -> tuple[Int[AnyArray, " n"], Float[AnyArray, "n S"]]:
    """Senses of occurrences of one word, from contexts of any length: all words to the left, the word itself, all to the right.

    Args:
        weights: tables with classifiers of the words' own.
        word: which.
        left, right: context words of each occurrence.
        kept: from `prune`; the probabilities of other senses become 0, the rest are not renormalised.

    Returns:
        The likeliest senses, and the probabilities.

    Raises:
        ValueError: for ids out of range, or lists of different lengths.
    """
    if len(left) != len(right):
        raise ValueError(f"left has {len(left)} contexts and right {len(right)}; they need as many")
    check_ids("word", np.array([word]), len(weights.sense))
    if weights.ctx_w.ndim != 3:
        raise ValueError(f"ctx_w has shape {weights.ctx_w.shape}; words need classifiers of their own, [V, d, S]")
    out_w = np.asarray(weights.out_w)
    contexts = [np.concatenate([a, [word], b]).astype(np.int64) for a, b in zip(left, right, strict=True)]
    for ids in contexts:
        check_ids("left and right", ids, len(out_w))
    means = np.array([out_w[ids].mean(0) for ids in contexts]).reshape(-1, out_w.shape[1])
    logits = means @ np.asarray(weights.ctx_w[word]) + np.asarray(weights.ctx_b[word])
    weighed = np.exp(logits - logits.max(1, keepdims=True))  # in NumPy: every number of occurrences would be a program
    probs = weighed / weighed.sum(1, keepdims=True)
    probs = probs if kept is None else np.where(kept[word], probs, 0)
    return probs.argmax(1), probs
