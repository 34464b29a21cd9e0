"""Criteria: what must be true of a measured number, in words, judged over seeds.

A criterion turns the measurement of one seed into a *margin*: how far, in the units of the claim, it is on the right side of
the line. How the margins of several seeds decide is the criterion's quantifier:

- by default the mean margin decides, with its 95 % confidence interval (Student t): wholly positive is *reproduced*, a
  positive mean whose interval reaches zero is *partly*, anything else is *not reproduced*;
- `every_seed(...)`: all margins positive is reproduced, some of them is partly;
- `on_average(...)`: the sign of the mean alone decides, for papers that compare means; the interval is still reported.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np

from quire.common.claims.measurement import Measurement, Numbers

Verdict = Literal["reproduced", "partly", "not reproduced", "not tested"]
Quantifier = Literal["interval", "every seed", "mean"]


class Judgement(NamedTuple):
    """A verdict, the mean margin and its 95 % confidence interval over seeds."""

    verdict: Verdict
    margin: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Criterion:
    """A line that a measurement must be on the right side of; see the module's docstring.

    Attributes:
        words: the criterion in words.
        margin: signed distance to the line for one measurement, positive on the right side.
        over: how seeds are combined.
    """

    words: str
    margin: Callable[[Measurement], float]
    over: Quantifier = "interval"

    def __str__(self) -> str:
        return self.words + {"interval": "", "every seed": " in every seed", "mean": " on average"}[self.over]

    def judge(self, samples: Sequence[Measurement]) -> Judgement:
        """Judge the measurements of all seeds. A NaN is never on the right side.

        Raises:
            ValueError: without a measurement.
        """
        if not len(samples):
            raise ValueError("samples is empty; a verdict needs at least one measurement")
        margins = np.array([self.margin(m) for m in samples], float)
        mean, interval = confidence_interval(margins)
        good = margins > 0
        if self.over == "every seed":
            verdict = "reproduced" if good.all() else "partly" if good.any() else "not reproduced"
        elif not mean > 0:
            verdict = "not reproduced"
        else:
            verdict = "reproduced" if self.over == "mean" or interval[0] > 0 else "partly"
        return Judgement(verdict, mean, interval)


@dataclass(frozen=True)
class AllOf:
    """Several criteria at once: all reproduced, none, or *partly*."""

    parts: tuple[Criterion, ...]

    def __str__(self) -> str:
        return "; ".join(str(part) for part in self.parts)

    def judge(self, samples: Sequence[Measurement]) -> Judgement:
        judged = [part.judge(samples) for part in self.parts]
        verdicts = {j.verdict for j in judged}
        worst = min(judged, key=lambda j: -math.inf if math.isnan(j.margin) else j.margin)
        verdict = verdicts.pop() if len(verdicts) == 1 else "partly"
        return Judgement(verdict, worst.margin, worst.interval)


def confidence_interval(values: Numbers, level: float = 0.95) -> tuple[float, tuple[float, float]]:
    """Mean and its Student-t confidence interval. One value, or equal values, give an interval of no width.

    >>> mean, (low, high) = confidence_interval([1.0, 2.0, 3.0])
    >>> round(mean, 3), round(low, 3), round(high, 3)
    (2.0, -0.484, 4.484)
    """
    values = np.asarray(values, float)
    mean = float(values.mean())
    if len(values) < 2 or np.ptp(values) == 0:
        return mean, (mean, mean)
    from scipy.special import stdtrit  # the quantile of Student's t; scipy.stats would take a second to import

    error = values.std(ddof=1) / math.sqrt(len(values))
    half = float(stdtrit(len(values) - 1, 0.5 + level / 2) * error)
    return mean, (mean - half, mean + half)


def _name(of: str | None) -> str:
    return of or "value"


def below(limit: float, *, of: str | None = None) -> Criterion:
    """The value (or the named extra or baseline `of`) is below `limit`."""
    return Criterion(f"{_name(of)} < {limit:g}", lambda m: limit - m.number(of))


def above(limit: float, *, of: str | None = None) -> Criterion:
    """The value (or the named extra or baseline `of`) is above `limit`."""
    return Criterion(f"{_name(of)} > {limit:g}", lambda m: m.number(of) - limit)


def at_most(limit: float, *, of: str | None = None) -> Criterion:
    """As `below`, the limit itself included."""
    return Criterion(f"{_name(of)} ≤ {limit:g}", lambda m: _closed(limit - m.number(of)))


def at_least(limit: float, *, of: str | None = None) -> Criterion:
    """As `above`, the limit itself included."""
    return Criterion(f"{_name(of)} ≥ {limit:g}", lambda m: _closed(m.number(of) - limit))


def beats(baseline: str, *, by: float = 0.0, lower_is_better: bool = False, of: str | None = None) -> Criterion:
    """The value is better than the named baseline by at least `by`; a negative `by` allows it to trail by so much.

    Args:
        baseline: name of a baseline (or extra) of the measurement.
        by: required lead, in the units of the metric.
        lower_is_better: for errors and losses.
        of: compare this extra instead of the value.
    """
    sign = -1 if lower_is_better else 1
    relation = "≤" if lower_is_better else "≥"
    shift = f" {'+' if sign * by > 0 else '-'} {abs(by):g}" if by else ""
    words = f"{_name(of)} {relation} {baseline}{shift}"
    return Criterion(words, lambda m: _closed(sign * (m.number(of) - m.number(baseline)) - by))


def close_to(target: float, *, rtol: float = 0.0, atol: float = 0.0, of: str | None = None) -> Criterion:
    """The value is within `atol + rtol |target|` of `target`.

    Raises:
        ValueError: if no tolerance is given.
    """
    tolerance = atol + rtol * abs(target)
    if not tolerance > 0:
        raise ValueError(f"close_to({target:g}) has rtol {rtol} and atol {atol}; give a positive tolerance")
    words = f"{_name(of)} within {tolerance:.3g} of {target:g}"
    return Criterion(words, lambda m: _closed(tolerance - abs(m.number(of) - target)))


def slope_below(limit: float, *, of: str) -> Criterion:
    """The fitted log-log slope of the series `of` (cost against size) is at most `limit`."""
    return Criterion(f"log-log slope of {of} ≤ {limit:g}", lambda m: _closed(limit - m.slope(of)))


def slope_above(limit: float, *, of: str) -> Criterion:
    """The fitted log-log slope of the series `of` is at least `limit`."""
    return Criterion(f"log-log slope of {of} ≥ {limit:g}", lambda m: _closed(m.slope(of) - limit))


def slope_close_to(target: float, *, atol: float, of: str) -> Criterion:
    """The fitted log-log slope of the series `of` is within `atol` of `target`."""
    return Criterion(f"log-log slope of {of} = {target:g} ± {atol:g}", lambda m: _closed(atol - abs(m.slope(of) - target)))


def all_of(*criteria: Criterion) -> AllOf:
    """All of several criteria; some of them holding makes the claim *partly* reproduced."""
    return AllOf(tuple(criteria))


def every_seed(criterion: Criterion) -> Criterion:
    """The criterion holds in every seed."""
    return replace(criterion, over="every seed")


def on_average(criterion: Criterion) -> Criterion:
    """The criterion holds for the mean over seeds, whatever the interval."""
    return replace(criterion, over="mean")


def _closed(margin: float) -> float:
    """Margins must be positive; a closed bound lets equality pass."""
    return margin if margin != 0 else math.ulp(0.0)
