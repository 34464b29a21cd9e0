"""How word vectors are judged: analogies by 3CosAdd, and rank correlation with human similarity ratings."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np


class Score(NamedTuple):
    """A score and the number of questions whose words are all known."""

    value: float
    questions: int


def normalised(vectors: np.ndarray) -> np.ndarray:
    """Rows of unit length; zero rows stay zero."""
    vectors = np.asarray(vectors)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(vectors.dtype).tiny)


def analogy_accuracy(
    vectors: np.ndarray, index: Mapping[str, int], questions: Sequence[tuple[str, str, str, str]], *, batch: int = 512
) -> Score:
    """Fraction of questions `a : b = c : ?` whose nearest word to `b - a + c` (cosine, a, b, c excluded) is the answer.

    Args:
        vectors: `[V, n]`.
        index: row of each word.
        questions: `(a, b, c, answer)`; those with an unknown word are left out.
        batch: questions scored at once.

    Returns:
        Accuracy (0 without questions) and the number of questions.
    """
    known = np.array([[index[w] for w in q] for q in questions if all(w in index for w in q)], int).reshape(-1, 4)
    unit = normalised(vectors)
    right = 0
    for start in range(0, len(known), batch):
        a, b, c, answer = known[start : start + batch].T
        scores = (unit[b] - unit[a] + unit[c]) @ unit.T
        rows = np.arange(len(a))
        for word in (a, b, c):
            scores[rows, word] = -np.inf
        right += int((scores.argmax(1) == answer).sum())
    return Score(right / len(known) if len(known) else 0.0, len(known))


def similarity_correlation(vectors: np.ndarray, index: Mapping[str, int], pairs: Sequence[tuple[str, str, float]]) -> Score:
    """Spearman correlation of cosines with human ratings; pairs with an unknown word are left out.

    Raises:
        ValueError: if fewer than three pairs are known.
    """
    known = [(index[a], index[b], rating) for a, b, rating in pairs if a in index and b in index]
    if len(known) < 3:
        raise ValueError(f"{len(known)} of {len(pairs)} pairs are in the vocabulary; a correlation needs at least 3")
    first, second, ratings = (np.array(column) for column in zip(*known, strict=True))
    unit = normalised(vectors)
    from scipy import stats  # a second to import

    return Score(float(stats.spearmanr((unit[first] * unit[second]).sum(1), ratings).statistic), len(known))
