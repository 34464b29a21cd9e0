"""Adaptive classification: small prefixes answer where they are sure, larger ones where they are not (section 4.2.1)."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Integer, Real

from quire.common.checks import check_at_least, check_ids
from quire.common.layers.nested import check_sizes

GRID = np.linspace(0.1, 1, 100)
"""Thresholds that the authors try."""

Probabilities = Real[np.ndarray, "sizes n classes"]
Confidence = Callable[[Probabilities], Float[np.ndarray, "sizes n"]]


class Routed(NamedTuple):
    """What a cascade did: stage `[n]` at which each example stopped, its class `[n]`, and the mean of the dimensions used."""

    used: np.ndarray
    predictions: np.ndarray
    expected_dim: float


def max_probability(probs: Real[np.ndarray, "*batch classes"]) -> Float[np.ndarray, "*batch"]:
    """Confidence as the largest probability."""
    return np.asarray(probs).max(-1)


def margin_score(probs: Real[np.ndarray, "*batch classes"]) -> Float[np.ndarray, "*batch"]:
    """How close the two best classes are: `1 - (p_1 - p_2)`, 1 for a tie, 0 for certainty.

    Raises:
        ValueError: for fewer than two classes.

    >>> margin_score(np.array([[0.75, 0.25, 0.0]])).tolist()
    [0.5]
    """
    if probs.shape[-1] < 2:
        raise ValueError(f"probs has {probs.shape[-1]} classes; a margin needs at least 2")
    second, first = np.moveaxis(np.sort(probs, axis=-1)[..., -2:], -1, 0)
    return 1 - (first - second)


def fit_cascade(
    probs: Probabilities,
    labels: Integer[np.ndarray, " n"],
    grid: Sequence[float] | np.ndarray = GRID,
    *,
    confidence: Confidence = max_probability,
) -> Float[np.ndarray, " sizes-1"]:
    """A threshold between each size and the next, greedily.

    For every t of the grid, the smaller size answers where its confidence exceeds t and the next size elsewhere; the smallest t
    of the highest accuracy is taken.

    Args:
        probs: class probabilities of every size, on examples kept apart for this.
        labels: their classes.
        grid: thresholds to try, increasing.
        confidence: of every answer.

    Returns:
        One threshold fewer than there are sizes.

    Raises:
        ValueError: without an example, for probabilities that are not finite, shapes that do not fit, or a grid that does not
            increase.

    >>> probs = np.array([[[0.9, 0.1], [0.6, 0.4]], [[0.9, 0.1], [0.2, 0.8]]])
    >>> print(fit_cascade(probs, np.array([0, 1]), [0.5, 0.7, 0.8]))  # the unsure answer of the small size is wrong
    [0.7]
    """
    probs, labels, grid = _checked(probs), np.asarray(labels), np.asarray(grid, float)
    check_at_least("number of examples", probs.shape[1])
    if labels.shape != probs.shape[1:2]:
        raise ValueError(f"labels has shape {labels.shape}; it needs one class for each of {probs.shape[1]} examples")
    check_ids("labels", labels, probs.shape[2])
    if grid.ndim != 1 or grid.size == 0 or not (np.diff(grid) > 0).all():
        raise ValueError(f"grid is {grid}; it needs increasing thresholds")
    right, sure = probs.argmax(-1) == labels, confidence(probs)
    best = []
    for stage in range(len(probs) - 1):
        stops = sure[stage] > grid[:, None]
        best.append(np.where(stops, right[stage], right[stage + 1]).mean(1).argmax())
    return grid[np.array(best, int)]


def apply_cascade(
    probs: Probabilities,
    thresholds: Real[np.ndarray, " sizes-1"] | Sequence[float],
    nesting: Sequence[int],
    max_stage: int | None = None,
    *,
    confidence: Confidence = max_probability,
) -> Routed:
    """From the smallest size on, the first whose confidence exceeds its threshold answers; the last stage answers always.

    Args:
        probs: class probabilities of every size.
        thresholds: from `fit_cascade`.
        nesting: the sizes.
        max_stage: index of the last stage; that of the largest size by default.
        confidence: the one that the thresholds were fitted with.

    Returns:
        Stages, classes and the expected dimension, the mean of the size that answered.

    Raises:
        ValueError: for a stage that does not exist, probabilities that are not finite, or shapes that do not fit.
    """
    probs, thresholds = _checked(probs), np.asarray(thresholds, float)
    last = len(probs) - 1 if max_stage is None else max_stage
    if not 0 <= last < len(probs):
        raise ValueError(f"max_stage is {max_stage}; it must lie between 0 and {len(probs) - 1}")
    if thresholds.shape != (len(probs) - 1,):
        raise ValueError(f"thresholds has shape {thresholds.shape}; it needs one between each of {len(probs)} sizes and the next")
    stops = confidence(probs)[:last] > thresholds[:last, None]
    return _routed(np.concatenate([stops, np.ones((1, probs.shape[1]), bool)]).argmax(0), probs, nesting)


def oracle_cascade(probs: Probabilities, labels: Integer[np.ndarray, " n"], nesting: Sequence[int]) -> Routed:
    """The smallest size that is right answers: what no rule for stopping can exceed. Where none is right, the smallest does.

    Args:
        probs: class probabilities of every size.
        labels: true classes.
        nesting: the sizes.

    Raises:
        ValueError: for probabilities that are not finite, or shapes that do not fit.
    """
    probs, labels = _checked(probs), np.asarray(labels)
    if labels.shape != probs.shape[1:2]:
        raise ValueError(f"labels has shape {labels.shape}; it needs one class for each of {probs.shape[1]} examples")
    return _routed((probs.argmax(-1) == labels).argmax(0), probs, nesting)


def _routed(used: np.ndarray, probs: np.ndarray, nesting: Sequence[int]) -> Routed:
    sizes = np.array(check_sizes(nesting, max(nesting, default=0)))
    check_at_least("number of examples", len(used))
    if len(sizes) != len(probs):
        raise ValueError(f"nesting is {tuple(nesting)}; it needs a size for each of {len(probs)} stages")
    return Routed(used, probs.argmax(-1)[used, np.arange(len(used))], float(sizes[used].mean()))


def _checked(probs: Probabilities) -> np.ndarray:
    probs = np.asarray(probs)
    if probs.ndim != 3 or not len(probs) or not probs.shape[2]:
        raise ValueError(f"probs has shape {probs.shape}; it needs [sizes, examples, classes]")
    if not np.isfinite(probs).all():
        raise ValueError("probs has numbers that are not finite")
    return probs
