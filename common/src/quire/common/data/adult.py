"""Adult, the census of 1994: 14 columns of a person, and whether the income exceeds 50000 dollars."""

from pathlib import Path

import numpy as np

from quire.common.checks import check_at_least
from quire.common.data.archives import read_text
from quire.common.data.click_logs import ClickLog, click_log, generated_clicks
from quire.common.data.registry import fetch
from quire.common.data.source import Source, open_or
from quire.common.errors import DatasetCorrupt

COLUMNS = (
    "age",
    "workclass",
    "fnlwgt",
    "education",
    "education-num",
    "marital-status",
    "occupation",
    "relationship",
    "race",
    "sex",
    "capital-gain",
    "capital-loss",
    "hours-per-week",
    "native-country",
)
NUMBERS = ("age", "fnlwgt", "education-num", "capital-gain", "capital-loss", "hours-per-week")
"""Columns of numbers, of which buckets are made."""


def adult(path: str | Path | None = None, *, buckets: int = 50) -> ClickLog:
    """Adult (Becker and Kohavi 1996) as 14 categorical features.

    A column of numbers with more than `buckets` values is cut at its quantiles. `?`, a missing value, is a token like others.

    Args:
        path: an `adult.data`, plain or compressed with gzip; by default that of the registry.
        buckets: of a column of numbers, at most.

    Raises:
        ValueError: for fewer than two buckets.
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    check_at_least("buckets", buckets, 2)
    path = Path(path or fetch("adult", "adult.data.gz"))
    rows = [[cell.strip() for cell in line.split(",")] for line in read_text(path).splitlines() if line.strip()]
    if not rows or {len(row) for row in rows} != {len(COLUMNS) + 1}:
        raise DatasetCorrupt(f"{path.name} has no row, or one without {len(COLUMNS) + 1} columns")
    *cells, income = zip(*rows, strict=True)
    income = [cell.rstrip(".") for cell in income]  # the test part of the publisher ends them by a full stop
    if not set(income) <= {"<=50K", ">50K"}:
        raise DatasetCorrupt(f"{path.name} has incomes {', '.join(sorted(set(income))[:4])}; they must be <=50K or >50K")
    columns = dict(zip(COLUMNS, map(np.array, cells), strict=True))
    try:
        columns |= {name: bucketed(columns[name].astype(float), buckets) for name in NUMBERS}
    except ValueError as error:
        raise DatasetCorrupt(f"{path.name} has a number that is none ({error})") from None
    log = click_log("Adult", columns, np.array(income) == ">50K")
    title = f"Adult, {len(log.label)} people, {len(COLUMNS)} features with {sum(log.sizes)} values"
    return ClickLog(title, log.features, log.sizes, log.tokens, log.label)


def open_adult() -> Source[ClickLog]:
    """Adult, or generated clicks of about its vocabularies where it is not on this machine."""
    sizes = (50, 9, 50, 16, 16, 7, 15, 6, 5, 2, 50, 50, 50, 42)
    return open_or(adult, lambda: generated_clicks(sizes, 32_561), instead_of="Adult")


def bucketed(numbers: np.ndarray, buckets: int) -> np.ndarray:
    """Which bucket a number lies in, int `[n]`: its own for each value where there are few, between quantiles else.

    Raises:
        ValueError: for numbers that are not finite, or no bucket.

    >>> bucketed(np.array([0.0, 0.0, 1.0, 5.0, 9.0, 9.5]), 3).tolist()
    [0, 0, 1, 1, 2, 2]
    """
    check_at_least("buckets", buckets)
    if not np.isfinite(numbers).all():
        raise ValueError("numbers has some that are not finite; buckets need an order")
    values, inverse = np.unique(numbers, return_inverse=True)
    if len(values) <= buckets:
        return inverse.reshape(-1)
    edges = np.unique(np.quantile(numbers, np.arange(1, buckets) / buckets))
    return np.searchsorted(edges, numbers, side="right")
