"""Long series for forecasting and imputation: transformer temperatures and the other sets of the field, windows of them."""

import csv
import io
import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from quire.common.data.archives import read_text
from quire.common.data.registry import fetch, provided
from quire.common.errors import DatasetCorrupt, UsageError, did_you_mean

SeriesName = Literal["ETTh1", "ETTh2", "ETTm1", "ETTm2", "electricity", "traffic", "weather", "exchange_rate", "national_illness"]
Frequency = Literal["minute", "hour", "day", "week"]

_MONTH = 30 * 24
_FREQUENCY: dict[str, Frequency] = {
    "ETTm1": "minute",
    "ETTm2": "minute",
    "weather": "minute",
    "exchange_rate": "day",
    "national_illness": "week",
}


@dataclass(frozen=True)
class Series:
    """A multivariate series with its calendar and its split by time.

    Attributes:
        name: as tables show it.
        columns: names of the channels.
        values: float64 `[t, c]`.
        marks: calendar features, float64 `[t, f]` in `[-0.5, 0.5]`.
        ends: where training, validation and test data end, in steps.
    """

    name: str
    columns: tuple[str, ...]
    values: np.ndarray
    marks: np.ndarray
    ends: tuple[int, int, int]

    def standardised(self) -> Float[np.ndarray, "t c"]:
        """`(x - mean) / std` of every column, by the training part; a constant column keeps its scale."""
        train = self.values[: self.ends[0]]
        std = train.std(axis=0)
        return (self.values - train.mean(axis=0)) / np.where(std == 0, 1, std)


def calendar_features(dates: np.ndarray, frequency: Frequency) -> Float[np.ndarray, "t f"]:
    """Position of each date in the hour, day, week, month and year, each in `[-0.5, 0.5]`.

    Args:
        dates: datetime64.
        frequency: `"minute"`: minute, hour, weekday, day, day of the year; `"hour"`: without the first; `"day"`: without the
            first two; `"week"`: day of the month and ISO week of the year.

    Raises:
        ValueError: for another frequency, or something that is no date.

    >>> calendar_features(np.array(["2016-07-01T23"], "datetime64[h]"), "hour").round(3).tolist()
    [[0.5, 0.167, -0.5, -0.001]]
    """
    if dates.dtype.kind != "M" or np.isnat(dates).any():
        raise ValueError(f"dates is {dates.dtype} with {np.sum(dates != dates)} missing; every one must be a datetime64")
    dates = dates.astype("datetime64[m]")
    day, month, year = (dates.astype(f"datetime64[{unit}]") for unit in "DMY")
    minute_of_day = (dates - day).astype(int)
    weekday = (day.astype(int) + 3) % 7  # 1 January 1970 was a Thursday; Monday is 0
    day_of_year = (day - year).astype(int)
    thursday = day + (3 - weekday)
    week = (thursday - thursday.astype("datetime64[Y]")).astype(int) // 7
    minute, hour = minute_of_day % 60 / 59, minute_of_day // 60 / 23
    calendar = weekday / 6, (day - month).astype(int) / 30, day_of_year / 365
    features: dict[str, tuple[np.ndarray, ...]] = {
        "minute": (minute, hour, *calendar),
        "hour": (hour, *calendar),
        "day": calendar,
        "week": (calendar[1], week / 52),
    }
    if frequency not in features:
        raise ValueError(f"frequency is {frequency!r}; choose from {', '.join(features)}")
    return np.stack(features[frequency], axis=1) - 0.5


def long_series(name: SeriesName = "ETTh1") -> Series:
    """A set of the field by its name: its calendar, and the split that published results use.

    The ETT sets have 12, 4 and 4 months of 30 days for training, validation and test, and what is later is unused; all others
    70, 10 and 20 per cent.

    Raises:
        UsageError: for another name.
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    if name not in SeriesName.__args__:
        raise UsageError(f"no series is called {name!r}; {did_you_mean(name, SeriesName.__args__)}")
    path = fetch("ett", "ETTh1.csv") if name == "ETTh1" else provided("long-series", f"{name}.csv")
    dates, columns, values = read_dated_csv(read_text(path), source=path.name)
    frequency = _FREQUENCY.get(name, "hour")
    if name.startswith("ETT"):
        month = _MONTH * (4 if frequency == "minute" else 1)
        ends = (12 * month, 16 * month, 20 * month)
    else:
        ends = (int(0.7 * len(values)), len(values) - int(0.2 * len(values)), len(values))
    if len(values) < ends[2]:
        raise DatasetCorrupt(f"{path} has {len(values)} rows; {name} has at least {ends[2]}")
    return Series(name, columns, values, calendar_features(dates, frequency), ends)


_DATE = re.compile(r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})(?:[ T](\d{1,2}):(\d{2})(?::(\d{2}))?)?")


def _iso_date(text: str) -> str:
    match = _DATE.fullmatch(text.strip())
    if not match:
        raise ValueError(f"{text[:40]!r} is no date")
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups())
    return f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"


def read_dated_csv(text: str, *, source: str = "the file") -> tuple[np.ndarray, tuple[str, ...], Float[np.ndarray, "t c"]]:
    """Dates, names of columns and numbers of a CSV file whose first column is a date, year first, padded with zeros or not.

    Returns:
        datetime64 `[t]`, the header without its first cell, and the numbers.

    Raises:
        DatasetCorrupt: if there is no header or no row, a row has another length than the header, or something is no date or no
            finite number.

    >>> dates, columns, values = read_dated_csv("date,a,b\\n2020-01-01 00:00:00,1,2\\n2020/1/1 1:00,3,4\\n")
    >>> columns, values.tolist(), str(dates[1])
    (('a', 'b'), [[1.0, 2.0], [3.0, 4.0]], '2020-01-01T01:00:00')
    """
    try:
        rows = [row for row in csv.reader(io.StringIO(text)) if row]
    except csv.Error as error:
        raise DatasetCorrupt(f"{source} is no CSV file ({error})") from None
    if len(rows) < 2 or len(rows[0]) < 2:
        raise DatasetCorrupt(f"{source} has {len(rows)} rows; it needs a header `date,...` with a column or more, and one row")
    header, *rows = rows
    if _DATE.fullmatch(header[0].strip()):
        raise DatasetCorrupt(f"the first row of {source} begins with {header[0]!r}; it must be a header `date,...`")
    if bad := [number for number, row in enumerate(rows, 2) if len(row) != len(header)]:
        raise DatasetCorrupt(f"row {bad[0]} of {source} does not have the {len(header)} columns of the header")
    try:
        dates = np.array([_iso_date(row[0]) for row in rows], "datetime64[s]")
        values = np.array([row[1:] for row in rows], np.float64)
    except ValueError as error:
        raise DatasetCorrupt(f"{source} holds something that is no date or number ({error})") from None
    if not np.isfinite(values).all():
        raise DatasetCorrupt(f"row {2 + np.argwhere(~np.isfinite(values))[0, 0]} of {source} holds a number that is not finite")
    return dates, tuple(header[1:]), values


def generated_series(length: int = 14_400, num_channels: int = 7, *, seed: int = 0) -> Series:
    """Hourly series with daily and weekly patterns, a slow drift and noise, in the shape of ETTh1 (12, 4 and 4 months).

    Every channel has a daily pattern of 4 harmonics whose strength changes with the weekday, and a drift that is a random walk
    pulled to zero.

    Raises:
        ValueError: for fewer than 20 hours, so that a part is empty, or no channel.
    """
    if length < 20 or num_channels < 1:
        raise ValueError(f"length is {length} and num_channels {num_channels}; they must be at least 20 and 1")
    rng = np.random.default_rng(seed)
    hours = np.arange(length)
    phases = 2 * np.pi * hours[:, None, None] / 24 * np.arange(1, 5)[None, :, None]
    size = 1 / np.arange(1, 5)[:, None]
    daily = np.sum(
        rng.normal(0, size, (4, num_channels)) * np.sin(phases) + rng.normal(0, size, (4, num_channels)) * np.cos(phases), axis=1
    )
    week = 1 + 0.5 * rng.standard_normal((7, num_channels))[hours // 24 % 7]
    steps = rng.normal(0, 0.08, (length, num_channels))
    drift = np.zeros((length, num_channels))
    for t in range(1, length):
        drift[t] = 0.995 * drift[t - 1] + steps[t]
    values = daily * week + drift + 0.3 * rng.standard_normal((length, num_channels))
    dates = np.datetime64("2016-07-01T00", "h") + hours
    ends = (length * 12 // 20, length * 16 // 20, length)
    columns = tuple(f"channel {i}" for i in range(num_channels))
    return Series("generated hourly series", columns, values, calendar_features(dates, "hour"), ends)


def windows(values: Float[np.ndarray, "t c"], starts: np.ndarray, length: int) -> Float[np.ndarray, "n length c"]:
    """`values[s : s + length]` for every start s.

    Raises:
        ValueError: if a window leaves the series, or is empty.
    """
    starts = np.asarray(starts)
    if length < 1:
        raise ValueError(f"length is {length}; a window has at least 1 step")
    if starts.size and not (starts.min() >= 0 and starts.max() + length <= len(values)):
        raise ValueError(f"starts reach {starts.min()} to {starts.max()}; windows of {length} need 0 to {len(values) - length}")
    return values[starts[:, None] + np.arange(length)]
