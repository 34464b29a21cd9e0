"""Logs of clicks: those that the experiments open, and one of which it is known what says something."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from quire.common.checks import check_at_least
from quire.common.data.click_logs import ClickLog
from quire.common.data.click_sets import open_clicks
from quire.common.data.source import Source

PAPERS = "Criteo, Avazu and KDD12"


def open_log(name: str) -> Source[ClickLog]:
    """The log of a preset; MovieLens 100K, and generated clicks after it, stand in for the sets of the paper.

    Raises:
        ValueError, DatasetUnavailable, DatasetCorrupt: as `open_clicks`.
    """
    return open_clicks(name, PAPERS)


def merge_rare(log: ClickLog, least: int = 2) -> ClickLog:
    """The log with one value, the first of its field, in place of all that occur less than `least` times.

    Counted over the whole log, as the authors do, so that all splits share a vocabulary.

    Raises:
        ValueError: for a count below 1.

    >>> log = ClickLog("three", ("city",), (3,), np.array([[0], [2], [2]], np.int32), np.zeros(3, np.float32))
    >>> merge_rare(log).tokens.ravel().tolist(), merge_rare(log).sizes
    ([0, 1, 1], (2,))
    """
    check_at_least("least", least)
    columns, sizes = [], []
    for column, size in zip(log.tokens.T, log.sizes, strict=True):
        often = np.bincount(column, minlength=size) >= least
        rest = not often.all()
        code = np.where(often, np.cumsum(often) - 1 + rest, 0)
        columns.append(code[column])
        sizes.append(int(often.sum()) + int(rest))
    tokens = np.stack(columns, axis=1).astype(np.int32)
    return ClickLog(log.name, log.features, tuple(sizes), tokens, log.label)


class PlantedClicks(NamedTuple):
    """Clicks, and which values say something about them, booleans `[values]`."""

    log: ClickLog
    signal: Bool[np.ndarray, " values"]


def planted_clicks(
    rng: np.random.Generator, fields: int = 8, values: int = 60, count: int = 25_000, useless: float = 0.5
) -> PlantedClicks:
    """Clicks of a logistic model to which only some values contribute, all values being equally frequent.

    A value that does shifts the log-odds by 0.3 to 0.9, up or down, and has a normal vector whose inner products with those of
    the other fields count too, 0.3 in standard deviation. The others do nothing.

    Args:
        rng: of all draws.
        fields, values: number of fields, and of values of each.
        count: of examples.
        useless: part of the values of every field that does nothing.

    Raises:
        ValueError: for a size below 1, or a part outside [0, 1].

    >>> clicks = planted_clicks(np.random.default_rng(0), 2, 10, 5)
    >>> clicks.log.values.shape, int(clicks.signal.sum())
    ((5, 2), 10)
    """
    if min(fields, values, count) < 1 or not 0 <= useless <= 1:
        raise ValueError(f"fields is {fields}, values {values}, count {count}, useless {useless}; at least 1, and within [0, 1]")
    tokens = rng.integers(0, values, (count, fields)).astype(np.int32)
    signal = np.stack([rng.permutation(values) >= round(useless * values) for _ in range(fields)])
    effect = signal * rng.choice((-1.0, 1.0), signal.shape) * rng.uniform(0.3, 0.9, signal.shape)
    vector = signal[..., None] * rng.standard_normal((fields, values, 2)) * (0.3 / 2**0.5) ** 0.5
    place = np.arange(fields)
    read = vector[place, tokens]
    pairs = (np.square(read.sum(1)) - np.square(read).sum(1)).sum(1) / 2
    logits = effect[place, tokens].sum(1) + pairs
    label = (rng.random(count) < 1 / (1 + np.exp(-logits))).astype(np.float32)
    names = tuple(f"field {i}" for i in range(fields))
    title = f"{count} generated clicks, {fields} fields of {values} values, of which {round(useless * values)} say nothing"
    return PlantedClicks(ClickLog(title, names, (values,) * fields, tokens, label), signal.reshape(-1))
