"""How word vectors are judged: analogies by 3CosAdd, choice of synonyms, and rank correlation with human similarity ratings."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Array

from quire.common.checks import check_at_least, check_ids
from quire.common.metrics.rank_correlation import spearman


class Score(NamedTuple):
    """A score and the number of questions whose words are all known."""

    value: float
    questions: int


def normalised(vectors: np.ndarray | Array) -> np.ndarray:
    """Rows of unit length, however short or long they were; zero rows stay zero.

    Raises:
        ValueError: if a number is not finite.

    >>> normalised(np.array([[3, 4], [0, 0]])).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """
    vectors = np.asarray(vectors)
    vectors = vectors.astype(np.result_type(vectors, np.float32)) if vectors.dtype.kind == "f" else vectors.astype(float)
    if not np.isfinite(vectors).all():
        raise ValueError(f"vectors holds {(~np.isfinite(vectors)).sum()} numbers that are not finite; none can be compared")
    largest = np.abs(vectors).max(axis=1, keepdims=True, initial=0)
    scaled = vectors / np.where(largest == 0, 1, largest)  # whose squares neither vanish nor overflow
    return scaled / np.maximum(np.linalg.norm(scaled, axis=1, keepdims=True), np.finfo(scaled.dtype).tiny)


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
        Accuracy (0 without questions) and the number of questions. Of several nearest words none is the answer.

    Raises:
        ValueError: if a question has not four words, a vector is not finite or missing, or `batch` is below 1.
    """
    check_at_least("batch", batch)
    if wrong := [q for q in questions if len(q) != 4]:
        raise ValueError(f"questions holds {wrong[0]}; a question has four words")
    known = np.array([[index[w] for w in q] for q in questions if all(w in index for w in q)], int).reshape(-1, 4)
    unit = normalised(vectors)
    check_ids("index", known, len(unit))
    right = 0
    for start in range(0, len(known), batch):
        a, b, c, answer = known[start : start + batch].T
        scores = (unit[b] - unit[a] + unit[c]) @ unit.T
        rows = np.arange(len(a))
        for word in (a, b, c):
            scores[rows, word] = -np.inf
        right += int(((scores >= scores[rows, answer][:, None]).sum(1) == 1).sum())
    return Score(right / len(known) if len(known) else 0.0, len(known))


def similarity_correlation(vectors: np.ndarray, index: Mapping[str, int], pairs: Sequence[tuple[str, str, float]]) -> Score:
    """Spearman correlation of cosines with human ratings; pairs with an unknown word are left out.

    Raises:
        ValueError: if fewer than three pairs are known, all cosines or ratings are equal, or a vector is missing or not finite.
    """
    known = [(index[a], index[b], rating) for a, b, rating in pairs if a in index and b in index]
    if len(known) < 3:
        raise ValueError(f"{len(known)} of {len(pairs)} pairs are in the vocabulary; a correlation needs at least 3")
    first, second, ratings = (np.array(column) for column in zip(*known, strict=True))
    unit = normalised(vectors)
    check_ids("index", np.concatenate([first, second]), len(unit))
    cosines = (unit[first] * unit[second]).sum(1)
    if np.ptp(cosines) == 0 or np.ptp(ratings) == 0 or not np.isfinite(ratings).all():
        raise ValueError("pairs have cosines or ratings that are all equal or not finite; ranks need finite ones that differ")
    return Score(spearman(cosines, ratings), len(known))


def synonym_choice(vectors: np.ndarray, index: Mapping[str, int], questions: Sequence[tuple[str, Sequence[str], int]]) -> Score:
    """Fraction of questions, in the manner of TOEFL, whose option nearest to the asked word (cosine) is the answer.

    Args:
        vectors: `[V, n]`.
        index: row of each word.
        questions: asked word, options, number of the right one. Questions with an unknown word are left out.

    Returns:
        Accuracy and the number of questions. Of several nearest options none is the answer.

    Raises:
        ValueError: if no question is known, one has fewer than two options or no such answer, a vector is missing or not finite.

    >>> index = {"big": 0, "large": 1, "red": 2}
    >>> synonym_choice(np.array([[1, 0], [1, 0.1], [0, 1]]), index, [("big", ["red", "large"], 1)])
    Score(value=1.0, questions=1)
    """
    if wrong := [q for q in questions if len(q[1]) < 2 or not 0 <= q[2] < len(q[1])]:
        raise ValueError(f"questions holds {wrong[0]}; a question needs two options at least and the number of the right one")
    known = [q for q in questions if all(word in index for word in (q[0], *q[1]))]
    if not known:
        raise ValueError(f"none of {len(questions)} questions has all of its words in the vocabulary; at least 1 is needed")
    unit = normalised(vectors)
    right = 0
    for asked, options, answer in known:
        rows = np.array([index[asked], *(index[word] for word in options)])
        check_ids("index", rows, len(unit))
        cosines = unit[rows[1:]] @ unit[rows[0]]
        right += int((cosines >= cosines[answer]).sum() == 1)
    return Score(right / len(known), len(known))
