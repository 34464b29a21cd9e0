"""Criteo and Avazu, the logs of displayed advertisements that papers on embeddings train on. People prepare the files."""

import gzip
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from quire.common.checks import check_at_least
from quire.common.data.click_logs import ClickLog, click_log
from quire.common.data.registry import provided
from quire.common.errors import DatasetCorrupt

CRITEO_NUMBERS, CRITEO_CATEGORIES = 13, 26


def criteo(rows: int, path: str | Path | None = None) -> ClickLog:
    """The first rows of Criteo's challenge: 13 numbers, above 2 as the floor of their squared logarithm, and 26 categories.

    Args:
        rows: how many to read; fewer where there are no more.
        path: a `train.txt`, plain or compressed with gzip; by default `criteo/train.txt.gz` of the registry.

    Raises:
        ValueError: for no row.
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    path = Path(path or provided("criteo", "train.txt.gz"))
    count = 1 + CRITEO_NUMBERS + CRITEO_CATEGORIES
    label, *columns = _columns(_lines(path), "\t", count, rows, path.name)
    try:
        numbers = [[_log_bucket(cell) for cell in column] for column in columns[:CRITEO_NUMBERS]]
    except ValueError as error:
        raise DatasetCorrupt(f"{path.name} has a number that is none ({error})") from None
    names = [f"I{i + 1}" for i in range(CRITEO_NUMBERS)] + [f"C{i + 1}" for i in range(CRITEO_CATEGORIES)]
    return _log("Criteo", dict(zip(names, [*numbers, *columns[CRITEO_NUMBERS:]], strict=True)), label, path.name)


def avazu(rows: int, path: str | Path | None = None) -> ClickLog:
    """The first rows of Avazu's challenge of mobile advertisements: 21 categories, and the hour of the day.

    Args:
        rows: how many to read; fewer where there are no more.
        path: a `train.csv`, plain or compressed with gzip; by default `avazu/train.gz` of the registry.

    Raises:
        ValueError: for no row.
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    path = Path(path or provided("avazu", "train.gz"))
    lines = _lines(path)
    names = next(lines, "").rstrip("\n").split(",")
    if names[:3] != ["id", "click", "hour"]:
        raise DatasetCorrupt(f"{path.name} begins with {','.join(names)[:40]!r}; its columns must be id, click, hour, ...")
    _, label, *columns = _columns(lines, ",", len(names), rows, path.name)
    features = dict(zip(names[2:], columns, strict=True))
    return _log("Avazu", features | {"hour": [cell[-2:] for cell in features["hour"]]}, label, path.name)


def _lines(path: Path) -> Iterator[str]:
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as stream:
            yield from stream
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise DatasetCorrupt(f"{path} cannot be read as text ({error})") from None


def _columns(lines: Iterator[str], separator: str, count: int, rows: int, source: str) -> list[tuple[str, ...]]:
    table = [line.rstrip("\n").split(separator) for line in islice(lines, check_at_least("rows", rows))]
    if not table or {len(row) for row in table} != {count}:
        raise DatasetCorrupt(f"{source} has no row, or one without {count} columns")
    return list(zip(*table, strict=True))


def _log_bucket(cell: str) -> str:
    """The customary bucket of Criteo's counts; a missing one stays empty."""
    if not cell or (number := int(cell)) <= 2:
        return cell
    return f"log {int(np.log(number) ** 2)}"


def _log(name: str, columns: dict, label: tuple[str, ...], source: str) -> ClickLog:
    if not set(label) <= {"0", "1"}:
        raise DatasetCorrupt(f"{source} has labels {', '.join(sorted(set(label))[:4])}; they must be 0 or 1")
    log = click_log(name, columns, np.array(label) == "1")
    title = f"{name}, first {len(log.label)} rows, {len(columns)} features with {sum(log.sizes)} values"
    return ClickLog(title, log.features, log.sizes, log.tokens, log.label)
