"""The M4 competition: many short series of one frequency, and the horizon to forecast."""

import csv
from dataclasses import dataclass
from typing import Literal

import numpy as np

from quire.common.data.archives import read_text
from quire.common.data.registry import fetch, provided
from quire.common.errors import DatasetCorrupt

Group = Literal["Yearly", "Quarterly", "Monthly", "Weekly", "Daily", "Hourly"]

# horizon, season, and how many horizons back training windows may end
GROUPS: dict[str, tuple[int, int, float]] = {
    "Yearly": (6, 1, 1.5),
    "Quarterly": (8, 4, 1.5),
    "Monthly": (18, 12, 1.5),
    "Weekly": (13, 1, 10),
    "Daily": (14, 1, 10),
    "Hourly": (48, 24, 10),
}


@dataclass(frozen=True)
class ShortSeries:
    """Many series of one frequency.

    Attributes:
        name: as tables show it.
        insamples: the known part of each, float64, of any lengths.
        targets: what follows, float64 `[n, horizon]`.
        frequency: steps in a season.
        history: training windows end within the last `history * horizon` steps.
    """

    name: str
    insamples: tuple[np.ndarray, ...]
    targets: np.ndarray
    frequency: int
    history: float

    @property
    def horizon(self) -> int:
        """Steps to forecast."""
        return self.targets.shape[1]

    def padded(self) -> np.ndarray:
        """Known parts as `[n, longest]`, aligned at their ends, zeros in front."""
        longest = max(map(len, self.insamples))
        return np.stack([np.pad(x, (longest - len(x), 0)) for x in self.insamples])


def m4(group: Group = "Hourly") -> ShortSeries:
    """One group of the competition.

    Raises:
        ValueError: for another group.
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    if group not in GROUPS:
        raise ValueError(f"group is {group!r}; choose from {', '.join(GROUPS)}")
    horizon, frequency, history = GROUPS[group]
    names = f"{group}-train.csv", f"{group}-test.csv"
    train, test = (fetch("m4-hourly", n) if group == "Hourly" else provided("m4", n) for n in names)
    known, coming = read_m4(read_text(train), source=names[0]), read_m4(read_text(test), source=names[1])
    if known.keys() != coming.keys() or any(len(x) != horizon for x in coming.values()):
        raise DatasetCorrupt(f"{names[0]} and {names[1]} must hold the same series, the second {horizon} values of each")
    return ShortSeries(
        f"M4 {group.lower()}", tuple(known.values()), np.stack([coming[name] for name in known]), frequency, history
    )


def read_m4(text: str, *, source: str = "the file") -> dict[str, np.ndarray]:
    """Series by name: a header, then a row for each, the name first, empty fields at the end.

    Raises:
        DatasetCorrupt: if there is no series, two have one name, one is empty, or a field is no finite number.

    >>> read_m4("V1,V2,V3\\nH1,1.5,\\nH2,2,3\\n")
    {'H1': array([1.5]), 'H2': array([2., 3.])}
    """
    series: dict[str, np.ndarray] = {}
    try:
        rows = [row for row in csv.reader(text.splitlines()) if row]
    except csv.Error as error:
        raise DatasetCorrupt(f"{source} is no CSV file ({error})") from None
    for name, *fields in rows[1:]:
        while fields and not fields[-1].strip():
            fields.pop()
        try:
            values = np.array(fields, np.float64)
        except ValueError as error:
            raise DatasetCorrupt(f"{source} holds something that is no number ({error})") from None
        if name in series or not len(values) or not np.isfinite(values).all():
            raise DatasetCorrupt(f"series {name} of {source} is there twice, empty, or not finite")
        series[name] = values
    if not series:
        raise DatasetCorrupt(f"{source} has no series below a header")
    return series


def generated_short_series(count: int = 400, *, seed: int = 0) -> ShortSeries:
    """Hourly series in the shape of M4's: a level, a daily pattern of 3 harmonics, stronger on some weekdays, a trend and noise.

    The noise tells on Naive2, which hangs a whole forecast on the last value, as in M4.

    Raises:
        ValueError: for no series.
    """
    if count < 1:
        raise ValueError(f"count is {count}; it must be at least 1")
    rng = np.random.default_rng(seed)
    length, horizon = 700, 48
    hours = np.arange(length + horizon)
    phases = 2 * np.pi * hours[:, None] / 24 * np.arange(1, 4)
    size = 0.3 / np.arange(1, 4)
    pattern = rng.normal(0, size, (count, 3)) @ np.sin(phases).T + rng.normal(0, size, (count, 3)) @ np.cos(phases).T
    week = 1 + 0.2 * rng.standard_normal((count, 7))[:, hours // 24 % 7]
    trend = rng.normal(0, 0.1, (count, 1)) * hours / len(hours)
    level = np.exp(rng.normal(6, 2, (count, 1)))
    values = level * np.exp(pattern * week + trend + 0.12 * rng.standard_normal((count, len(hours))))
    return ShortSeries("generated seasonal series", tuple(values[:, :length]), values[:, length:], 24, 10)
