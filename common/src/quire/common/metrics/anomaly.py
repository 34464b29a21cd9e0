"""Detection of anomalies in a score: threshold, precision, recall and F1, with and without the adjustment of whole segments."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int


class Detection(NamedTuple):
    """Precision, recall and F1; each 0 where its denominator is."""

    precision: float
    recall: float
    f1: float


def anomaly_threshold(train_score: Float[np.ndarray, " n"], test_score: Float[np.ndarray, " m"], ratio: float) -> float:
    """The `100 - ratio` percentile of the scores of training and test data together, in float64.

    It looks at the test scores: the protocol is transductive.

    Args:
        train_score, test_score: any number of scores.
        ratio: per cent of steps to flag.

    Raises:
        ValueError: if `ratio` does not lie between 0 and 100, or the scores are none or not all numbers.
    """
    if not 0 <= ratio <= 100:
        raise ValueError(f"ratio is {ratio}; it is a percentage")
    scores = np.concatenate([np.asarray(train_score, np.float64), np.asarray(test_score, np.float64)])
    if not scores.size or np.isnan(scores).any():
        raise ValueError(f"{np.isnan(scores).sum()} of {scores.size} scores are NaN; a threshold needs numbers, at least one")
    return float(np.percentile(scores, 100 - ratio))


def point_adjust(flagged: Bool[np.ndarray, " t"], truth: Bool[np.ndarray, " t"]) -> Bool[np.ndarray, " t"]:
    """Flag the whole of every true segment that has at least one flag.

    It flatters every detector: a random score looks good where segments are long. Report unadjusted numbers beside it.

    Raises:
        ValueError: as for `detection`.

    >>> point_adjust(np.array([0, 1, 0, 0, 1], bool), np.array([1, 1, 1, 0, 0], bool)).astype(int).tolist()
    [1, 1, 1, 0, 1]
    """
    flagged, truth = _same_steps(flagged, truth)
    starts = truth & ~np.concatenate([[False], truth[:-1]])
    segment = np.where(truth, np.cumsum(starts), 0)
    found = np.bincount(segment, flagged, segment.max(initial=0) + 1) > 0
    return flagged | (truth & found[segment])


def detection(
    flagged: Bool[np.ndarray, " t"] | Int[np.ndarray, " t"], truth: Bool[np.ndarray, " t"] | Int[np.ndarray, " t"]
) -> Detection:
    """Precision, recall and F1 of flags.

    Raises:
        ValueError: if the two differ in length, or hold anything but 0 and 1.

    >>> detection(np.array([1, 1, 0, 0]), np.array([1, 0, 1, 0]))
    Detection(precision=0.5, recall=0.5, f1=0.5)
    """
    flagged, truth = _same_steps(flagged, truth)
    hits, flags, events = int((flagged & truth).sum()), int(flagged.sum()), int(truth.sum())
    return Detection(hits / max(flags, 1), hits / max(events, 1), 2 * hits / max(flags + events, 1))


def _same_steps(flagged: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    flagged, truth = np.asarray(flagged), np.asarray(truth)
    if flagged.shape != truth.shape or truth.ndim != 1:
        raise ValueError(f"flagged has shape {flagged.shape} and truth {truth.shape}; they must be the same, one entry a step")
    for name, x in (("flagged", flagged), ("truth", truth)):
        if not np.isin(x, (0, 1)).all():
            raise ValueError(f"{name} holds {x[~np.isin(x, (0, 1))][0]}; it must hold 0 and 1 only")
    return flagged.astype(bool), truth.astype(bool)
