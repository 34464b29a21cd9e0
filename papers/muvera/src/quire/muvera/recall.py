"""How many candidates a method needs until those that exact Chamfer similarity would return are among them."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int


def target_ranks(candidates: Sequence[Int[np.ndarray, " _"]], targets: Int[np.ndarray, " q"]) -> Float[np.ndarray, " q"]:
    """Place of every query's target in its list of candidates, counted from 1; infinity where it is missing.

    Args:
        candidates: one list a query, best first.
        targets: the one document that counts, usually the best by Chamfer similarity.

    Raises:
        ValueError: unless there is one target a list.

    >>> target_ranks([np.array([4, 2]), np.array([1])], np.array([2, 3])).tolist()
    [2.0, inf]
    """
    if len(candidates) != len(targets):
        raise ValueError(f"there are {len(candidates)} lists and {len(targets)} targets; each list needs one")
    places = (np.flatnonzero(np.asarray(listed) == target) for listed, target in zip(candidates, targets, strict=True))
    return np.array([place[0] + 1 if len(place) else math.inf for place in places])


def one_recall(ranks: Float[np.ndarray, " q"], n: int) -> float:
    """1Recall@N: share of queries whose target is among the first n candidates.

    Raises:
        ValueError: without queries.

    >>> one_recall(np.array([1.0, 5.0, np.inf]), 5)
    0.6666666666666666
    """
    if not len(ranks):
        raise ValueError("ranks is empty; a share needs at least 1 query")
    return float(np.mean(ranks <= n))


def candidates_needed(ranks: Float[np.ndarray, " q"], recall: float = 0.9) -> float:
    """Smallest N with 1Recall@N at least `recall`; infinity if the lists never get there.

    Raises:
        ValueError: for a recall outside (0, 1], or without queries.

    >>> candidates_needed(np.array([3.0, 1.0, 9.0, np.inf]), 0.5)
    3.0
    """
    if not 0 < recall <= 1 or not len(ranks):
        raise ValueError(f"recall is {recall} and there are {len(ranks)} queries; they need (0, 1] and at least 1")
    return float(np.sort(ranks)[math.ceil(recall * len(ranks) - 1e-9) - 1])


def recall_at(candidates: Sequence[Int[np.ndarray, " _"]], relevant: Sequence[Int[np.ndarray, " _"]], n: int) -> float:
    """Recall@N: share of a query's relevant documents among its first n candidates, mean over the queries that have any.

    Raises:
        ValueError: unless there is one set a list, and one of them has a document.

    >>> recall_at([np.array([4, 2, 7]), np.array([1])], [np.array([2, 7]), np.array([], int)], 2)
    0.5
    """
    if len(candidates) != len(relevant):
        raise ValueError(f"there are {len(candidates)} lists and {len(relevant)} sets; each list needs one")
    pairs = [(listed[:n], right) for listed, right in zip(candidates, relevant, strict=True) if len(right)]
    if not pairs:
        raise ValueError("no query has a relevant document; recall is not defined")
    return float(np.mean([np.isin(right, listed).mean() for listed, right in pairs]))
