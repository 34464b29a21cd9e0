"""Metrics of forecasts: squared and absolute errors, sMAPE, MAPE, MASE, and OWA against Naive2, the benchmark of M4."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float

from quire.common.checks import check_at_least


def mse(forecast: Float[np.ndarray, "*shape"], target: Float[np.ndarray, "*shape"]) -> float:
    """`mean (f - y)^2`."""
    return float(np.mean((_float(forecast) - _like(forecast, target)) ** 2))


def mae(forecast: Float[np.ndarray, "*shape"], target: Float[np.ndarray, "*shape"]) -> float:
    """`mean |f - y|`."""
    return float(np.mean(np.abs(_float(forecast) - _like(forecast, target))))


def smape(forecast: Float[np.ndarray, "*shape"], target: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """`200 |f - y| / (|f| + |y|)` entry by entry, in per cent; a denominator of zero is replaced by 1.

    >>> smape(np.array([1.0, 0.0]), np.array([3.0, 0.0])).tolist()
    [100.0, 0.0]
    """
    f, y = _float(forecast), _like(forecast, target)
    return 200 * np.abs(f - y) / _not_zero(np.abs(f) + np.abs(y))


def mape(forecast: Float[np.ndarray, "*shape"], target: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """`100 |f - y| / |y|` entry by entry, in per cent; a denominator of zero is replaced by 1."""
    f, y = _float(forecast), _like(forecast, target)
    return 100 * np.abs(f - y) / _not_zero(np.abs(y))


def mase(
    insample: Float[np.ndarray, " t"], forecast: Float[np.ndarray, " h"], target: Float[np.ndarray, " h"], frequency: int
) -> float:
    """`mean |f - y| / mean_t |x_t - x_(t - frequency)|` of one series.

    Raises:
        ValueError: if the series is not longer than `frequency`, or repeats itself exactly, so that it has no scale.
    """
    x = _float(insample)
    if not 1 <= frequency < len(x):
        raise ValueError(f"frequency is {frequency}; it must lie between 1 and {len(x) - 1}")
    scale = np.abs(x[frequency:] - x[:-frequency]).mean()
    if scale == 0:
        raise ValueError(f"insample repeats every {frequency} steps exactly; its MASE has no scale")
    return float(np.abs(_float(forecast) - _like(forecast, target)).mean() / scale)


def owa(
    insamples: Sequence[np.ndarray], forecasts: Float[np.ndarray, "n h"], targets: Float[np.ndarray, "n h"], frequency: int
) -> dict[str, float]:
    """sMAPE and MASE, averaged over series, and the overall weighted average `(sMAPE / sMAPE_2 + MASE / MASE_2) / 2` whose
    denominators are those of Naive2.

    Args:
        insamples: the series before the forecasts, of any lengths.
        forecasts, targets: `[n, h]`.
        frequency: steps in a season.

    Returns:
        `{"smape": ..., "mase": ..., "owa": ...}`; Naive2 itself has an OWA of 1.

    Raises:
        ValueError: as for `mase` and `naive2`, if the numbers of series differ or are 0, or if Naive2 is perfect and the
            forecasts are not.
    """
    if not len(insamples) == len(forecasts) == len(targets) > 0:
        raise ValueError(
            f"insamples, forecasts, targets have {len(insamples)}, {len(forecasts)}, {len(targets)} series; "
            "they must be the same number, at least 1"
        )
    forecasts, targets = _float(forecasts), _like(forecasts, targets)
    benchmark = np.stack([naive2(x, targets.shape[1], frequency) for x in insamples])

    def scores(values):
        scaled = [mase(x, f, y, frequency) for x, f, y in zip(insamples, values, targets, strict=True)]
        return float(smape(values, targets).mean()), float(np.mean(scaled))

    (ours_smape, ours_mase), (ref_smape, ref_mase) = scores(forecasts), scores(benchmark)
    relative = (_relative(ours_smape, ref_smape) + _relative(ours_mase, ref_mase)) / 2
    return {"smape": ours_smape, "mase": ours_mase, "owa": relative}


def _relative(ours: float, reference: float) -> float:
    """`ours / reference`; 1 for two perfect forecasts."""
    if reference == 0 and ours != 0:
        raise ValueError(f"Naive2 is perfect on targets; an error of {ours:.3g} relative to its own, 0, has no value")
    return ours / reference if reference else 1.0


# --- Naive forecasts ---


def repeat_last(x: Float[np.ndarray, "*batch t"], horizon: int, season: int = 1) -> Float[np.ndarray, "*batch h"]:
    """The last `season` values, again and again: for 1 the last value.

    Raises:
        ValueError: if the series is shorter than a season.

    >>> repeat_last(np.array([1.0, 2.0, 3.0]), 5, season=2).tolist()
    [2.0, 3.0, 2.0, 3.0, 2.0]
    """
    check_at_least("horizon", horizon, 0)
    if not 1 <= season <= x.shape[-1]:
        raise ValueError(f"season is {season}; it must lie between 1 and the {x.shape[-1]} steps of the series")
    return x[..., x.shape[-1] - season + np.arange(horizon) % season]


def is_seasonal(x: Float[np.ndarray, " t"], frequency: int) -> bool:
    """Whether the autocorrelation at lag m differs from zero at 90 %: `|r_m| > 1.645 sqrt((1 + 2 sum_(i < m) r_i^2) / t)`.

    Series shorter than three seasons are not, and neither are constant ones.

    Raises:
        ValueError: if `frequency` is below 1, or the series is empty or not finite.

    References:
        Makridakis, Spiliotis and Assimakopoulos, *The M4 Competition*, 2020, section 3 (benchmarks).
    """
    x = _series(x)
    check_at_least("frequency", frequency)
    if frequency < 2 or len(x) < 3 * frequency or np.ptp(x) == 0:
        return False
    centred = x - x.mean()
    r = np.array([centred[lag:] @ centred[: len(x) - lag] for lag in range(1, frequency + 1)]) / (centred @ centred)
    return bool(abs(r[-1]) > 1.645 * np.sqrt((1 + 2 * np.sum(r[:-1] ** 2)) / len(x)))


def seasonal_indices(
    x: Float[np.ndarray, " t"], frequency: int, kind: Literal["multiplicative", "additive"] = "multiplicative"
) -> Float[np.ndarray, " frequency"]:
    """Indices of the classical decomposition; entry i belongs to steps `i, i + frequency, ...`.

    The trend is the centred moving average over one season (with half weights at the ends when the season is even); an index is
    the mean ratio of value and trend, scaled to mean 1, or additively their mean difference, shifted to mean 0.

    Raises:
        ValueError: for fewer than two seasons, another kind, or ratios of a series that is not positive.
    """
    x = _series(x)
    check_at_least("frequency", frequency)
    if kind not in ("multiplicative", "additive"):
        raise ValueError(f"kind is {kind!r}; it must be 'multiplicative' or 'additive'")
    if kind == "multiplicative" and x.min() <= 0:
        raise ValueError(f"x falls to {x.min():g}; a multiplicative decomposition needs positive numbers")
    if len(x) < 2 * frequency:
        raise ValueError(f"x has {len(x)} steps; a decomposition with frequency {frequency} needs at least {2 * frequency}")
    even = frequency % 2 == 0
    weights = np.ones(frequency + even)
    if even:
        weights[[0, -1]] = 0.5
    trend = np.convolve(x, weights / frequency, "valid")
    first = len(weights) // 2
    values = x[first : first + len(trend)]
    rest = values / trend if kind == "multiplicative" else values - trend
    season = (first + np.arange(len(rest))) % frequency
    means = np.bincount(season, rest, frequency) / np.bincount(season, minlength=frequency)
    return means / means.mean() if kind == "multiplicative" else means - means.mean()


def naive2(x: Float[np.ndarray, " t"], horizon: int, frequency: int) -> Float[np.ndarray, " horizon"]:
    """The last value of the seasonally adjusted series times the factors of the coming steps; the last value where the series
    is not seasonal.

    Factors have no meaning for a series that is not positive, as those of M4 are; it is decomposed additively.

    Raises:
        ValueError: as for `is_seasonal`, or for a negative horizon.

    >>> season = np.array([1.0, 2.0, 3.0, 2.0])
    >>> naive2(np.tile(season, 8), 5, 4).round(6).tolist()
    [1.0, 2.0, 3.0, 2.0, 1.0]
    """
    x = _series(x)
    check_at_least("horizon", horizon, 0)
    if not is_seasonal(x, frequency):
        return np.full(horizon, x[-1])
    last, coming = (len(x) - 1) % frequency, (len(x) + np.arange(horizon)) % frequency
    if x.min() <= 0:
        index = seasonal_indices(x, frequency, "additive")
        return x[-1] - index[last] + index[coming]
    index = seasonal_indices(x, frequency)
    return x[-1] / index[last] * index[coming]


def _float(x) -> np.ndarray:
    if np.iscomplexobj(x):
        raise ValueError(f"an array has dtype {np.asarray(x).dtype}; it must hold real numbers")
    return np.asarray(x, np.float64)


def _series(x) -> np.ndarray:
    x = _float(x)
    if x.ndim != 1 or not x.size or not np.isfinite(x).all():
        raise ValueError(
            f"x has shape {x.shape} and {(~np.isfinite(x)).sum()} entries that are not finite; it must be one series"
        )
    return x


def _like(forecast, target) -> np.ndarray:
    if np.shape(forecast) != np.shape(target):
        raise ValueError(f"forecast has shape {np.shape(forecast)} and target {np.shape(target)}; they must be the same")
    if np.size(target) == 0:
        raise ValueError(f"forecast and target have shape {np.shape(target)}; a mean needs at least one step")
    return _float(target)


def _not_zero(x: np.ndarray | np.floating) -> np.ndarray:
    return np.where(x == 0, 1.0, x)
