"""What one run of a claim returns for one seed."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import jax
import numpy as np

from quire.common.plots import Figure

Numbers = Sequence[float] | np.ndarray | jax.Array
"""One-dimensional numbers, however they are held."""


@dataclass(frozen=True)
class Measurement:
    """One claim measured with one seed.

    Attributes:
        value: the paper's method, in the metric and unit of the claim.
        data: the data that was used, with its size, as a reader should see it named.
        baselines: the same metric for what the method is compared with, the trivial baseline included, by name.
        extras: further numbers worth a place beside the value (parameter counts, intervals, ablations), by name.
        series: curves `(x, y)` by name, for slopes and for the record.
        stand_in_for: the data of the paper, where `data` stands in for it.
        figure: a matplotlib figure, closed; notebooks and reports show the one of the first seed.
    """

    value: float
    data: str
    baselines: Mapping[str, float] = field(default_factory=dict)
    extras: Mapping[str, float] = field(default_factory=dict)
    series: Mapping[str, tuple[Numbers, Numbers]] = field(default_factory=dict)
    stand_in_for: str = ""
    figure: Figure | None = None

    def number(self, name: str | None = None) -> float:
        """The value, or the baseline or extra called `name`.

        Raises:
            ValueError: if the measurement has no number of that name.
        """
        if name is None:
            return float(self.value)
        numbers = {**self.extras, **self.baselines}
        if name not in numbers:
            raise ValueError(f"no baseline or extra is called {name!r}; this measurement has {sorted(numbers)}")
        return float(numbers[name])

    def slope(self, name: str) -> float:
        """Fitted slope of `log y` against `log x` of a series.

        Raises:
            ValueError: if the measurement has no series of that name.
        """
        if name not in self.series:
            raise ValueError(f"no series is called {name!r}; this measurement has {sorted(self.series)}")
        return log_log_slope(*self.series[name])


def log_log_slope(x: Numbers, y: Numbers) -> float:
    """Least-squares slope of `log y` against `log x`: the exponent of a power law.

    Args:
        x, y: at least two positive numbers each.

    Raises:
        ValueError: if the lengths differ, fewer than two points are given, one is not positive, or all x are equal.

    >>> round(log_log_slope([1, 2, 4], [3, 12, 48]), 6)
    2.0
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    if x.shape != y.shape or x.size < 2:
        raise ValueError(f"x has {x.size} points and y {y.size}; a slope needs the same number, at least 2")
    if not (np.all(x > 0) and np.all(y > 0)):
        raise ValueError("x and y must be positive to take logarithms")
    if np.ptp(x) == 0:
        raise ValueError(f"x is {x[0]:g} at all {x.size} points; a slope needs different ones")
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def finite_or_none(value: float) -> float | None:
    """JSON has no NaN: a number that is not finite becomes null."""
    return float(value) if math.isfinite(value) else None
