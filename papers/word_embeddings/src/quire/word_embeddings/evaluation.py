"""The eight tasks that word vectors are judged by, and the gain over random vectors that makes them comparable."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Real

from quire.common.checks import check_at_least, check_ids
from quire.common.metrics.rank_correlation import spearman
from quire.common.text.evaluation import normalised

EPS = 1e-8


def cosine(a: Real[np.ndarray, "*n d"], b: Real[np.ndarray, "*n d"], eps: float = EPS) -> Float[np.ndarray, "*n"]:
    """`a.b / sqrt((|a|² + eps) (|b|² + eps))`: zero vectors have cosine 0.

    >>> print(cosine(np.array([[3.0, 4.0], [0.0, 0.0]]), np.array([[4.0, 3.0], [1.0, 0.0]])).round(2))
    [0.96 0.  ]
    """
    a, b = np.asarray(a, float), np.asarray(b, float)
    return (a * b).sum(-1) / np.sqrt(((a * a).sum(-1) + eps) * ((b * b).sum(-1) + eps))


class Correlations(NamedTuple):
    """Of cosines with ratings; NaN where one side is constant."""

    pearson: float
    spearman: float


def word_similarity(
    vectors: Real[np.ndarray, "v d"], pairs: Int[np.ndarray, "n 2"], scores: Real[np.ndarray, " n"]
) -> Correlations:
    """`ws`: correlations of cosines with human ratings; a pair with a missing word has cosine 0.

    Args:
        vectors: of the words.
        pairs: rows of the words, -1 for a missing one.
        scores: ratings.

    Raises:
        ValueError: for fewer than two pairs, no pair with both words, ids out of range, or vectors that are not finite.
    """
    pairs, scores = np.asarray(pairs), np.asarray(scores, float)
    check_ids("pairs + 1", pairs + 1, len(vectors) + 1)
    if pairs.ndim != 2 or pairs.shape != (len(scores), 2) or len(scores) < 2:
        raise ValueError(f"pairs has shape {pairs.shape} and scores {scores.shape}; they need [n, 2] and [n], n at least 2")
    known = (pairs >= 0).all(axis=1)
    if not known.any() or not np.isfinite(vectors).all():
        raise ValueError(f"{known.sum()} pairs have both of their words, or vectors are not finite; at least 1 is needed")
    cosines = np.where(known, cosine(vectors[pairs[:, 0]], vectors[pairs[:, 1]]), 0.0)
    constant = np.ptp(cosines) == 0 or np.ptp(scores) == 0
    return Correlations(float("nan") if constant else float(np.corrcoef(cosines, scores)[0, 1]), spearman(cosines, scores))


def analogy(vectors: Real[np.ndarray, "v d"], questions: Int[np.ndarray, "n 3"]) -> Int[np.ndarray, " n"]:
    """3CosAdd: the word nearest to `b - a + c` among unit vectors, none of the three; `a : b = c : ?`.

    Args:
        vectors: of more than three words.
        questions: rows of a, b and c.

    Raises:
        ValueError: for ids out of range, fewer than four words, or vectors that are not finite.
    """
    questions = np.asarray(questions)
    check_at_least("number of words", len(vectors), 4)
    check_ids("questions", questions, len(vectors))
    unit = normalised(np.asarray(vectors))
    a, b, c = questions.T
    scores = (unit[b] - unit[a] + unit[c]) @ unit.T
    scores[np.arange(len(questions))[:, None], questions] = -np.inf
    return scores.argmax(axis=1)


def performance_gain_ratio(
    performance: Real[np.ndarray, "models tasks"], random: Real[np.ndarray, " tasks"]
) -> Float[np.ndarray, "models tasks"]:
    """`(p_a - p_random) / (p_best - p_random)`: 1 for the best model of a task, 0 for vectors that know nothing.

    Args:
        performance: of the models (rows) on the tasks (columns).
        random: of random vectors on the tasks.

    Returns:
        The ratios; NaN for a task on which no model differs from random vectors.

    Raises:
        ValueError: for shapes that do not fit.

    >>> performance_gain_ratio(np.array([[0.5], [0.9]]), np.array([0.1])).round(2).tolist()
    [[0.5], [1.0]]
    """
    performance, random = np.asarray(performance, float), np.asarray(random, float)
    if performance.ndim != 2 or random.shape != performance.shape[1:] or not len(performance):
        raise ValueError(
            f"performance has shape {performance.shape} and random {random.shape}; they need [models, tasks], [tasks]"
        )
    lead = performance.max(axis=0) - random
    return np.where(lead == 0, np.nan, (performance - random) / np.where(lead == 0, 1, lead))


Question = tuple[str, tuple[str, ...], int]


def read_synonym_questions(text: str, *, source: str = "the file") -> list[Question]:
    """Questions in the manner of TOEFL: a line for each, the asked word, the answer, then the other options.

    Raises:
        ValueError: if a line has fewer than three words, or there is none.

    >>> read_synonym_questions("enormously tremendously appropriately uniquely decidedly\\n")
    [('enormously', ('tremendously', 'appropriately', 'uniquely', 'decidedly'), 0)]
    """
    rows = [line.lower().split() for line in text.splitlines() if line.strip()]
    if short := [row for row in rows if len(row) < 3] or not rows:
        raise ValueError(
            f"{source} has {short if rows else 'no line'}; a question is an asked word, its answer and other options"
        )
    return [(row[0], tuple(row[1:]), 0) for row in rows]


def synonym_stand_in(
    pairs: Sequence[tuple[str, str, float]], words: Sequence[str], draw: np.random.Generator, count: int = 200
) -> list[Question]:
    """Questions out of rated pairs: the pairs with the highest ratings, the second word among three random ones.

    Args:
        pairs: word, word, rating; those with words that are not in `words` are left out.
        words: that may be drawn.
        draw: the source of randomness.
        count: most questions.

    Raises:
        ValueError: if no pair is known, or there are fewer than six words.
    """
    check_at_least("number of words", len(words), 6)
    known = set(words)
    best = sorted((p for p in pairs if p[0] in known and p[1] in known), key=lambda p: -p[2])[:count]
    if not best:
        raise ValueError(f"none of {len(pairs)} pairs has both of its words; at least 1 is needed")
    questions = []
    for asked, answer, _ in best:
        others = [words[i] for i in draw.choice(len(words), 5, replace=False) if words[i] not in (asked, answer)][:3]
        place = int(draw.integers(4))
        questions.append((asked, (*others[:place], answer, *others[place:]), place))
    return questions


def window_features(
    vectors: Real[np.ndarray, "v d"], sentences: Sequence[Int[np.ndarray, " _"]], reach: int = 1
) -> Float[np.ndarray, "n k"]:
    """`pos`: the vectors of every word and of its neighbours, joined; zeros beyond the ends and for -1, a missing word.

    Args:
        vectors: of the words.
        sentences: ids.
        reach: neighbours on each side.

    Raises:
        ValueError: for ids out of range or a negative reach.
    """
    check_at_least("reach", reach, 0)
    table = np.vstack([vectors, np.zeros((1, vectors.shape[1]), vectors.dtype)])
    rows = []
    for ids in sentences:
        check_ids("sentences + 1", np.asarray(ids) + 1, len(vectors) + 1)
        padded = np.pad(ids, reach, constant_values=-1)
        rows.append(np.concatenate([table[padded[o : o + len(ids)]] for o in range(2 * reach + 1)], axis=1))
    return np.concatenate(rows)
