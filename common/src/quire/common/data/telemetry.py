"""Series with labelled anomalies: spacecraft telemetry, the benchmark sets, and a generated stand-in."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from quire.common.data.archives import read_npy, read_npz
from quire.common.data.registry import fetch, provided
from quire.common.errors import DatasetCorrupt

AnomalySet = Literal["SMD", "MSL", "SMAP", "SWaT", "PSM"]


@dataclass(frozen=True)
class Telemetry:
    """One channel, or one set.

    Attributes:
        name: as tables show it.
        train: without known anomalies, float32 `[t, d]`; column 0 is the telemetry of a channel.
        test: float32 `[s, d]`.
        truth: whether a test step is anomalous, bool `[s]`.
    """

    name: str
    train: np.ndarray
    test: np.ndarray
    truth: np.ndarray

    def standardised(self) -> tuple[np.ndarray, np.ndarray]:
        """Training and test columns by mean and standard deviation of training; a constant column keeps its scale."""
        mean, std = self.train.mean(axis=0), self.train.std(axis=0)
        std = np.where(std < 1e-6, 1, std)
        return (self.train - mean) / std, (self.test - mean) / std


def spacecraft(channels: tuple[str, ...]) -> list[Telemetry]:
    """Channels of the spacecraft Mars Science Laboratory and Soil Moisture Active Passive.

    Args:
        channels: such as `"MSL/C-1"` or `"SMAP/A-6"`.

    Raises:
        ValueError: for no channel, or one that is not among the thirteen.
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    arrays = read_npz(fetch("msl-smap", "msl_smap_subset.npz"))
    known = sorted(name.removesuffix("/train") for name in arrays if name.endswith("/train"))
    if not channels:
        raise ValueError(f"channels is empty; choose from {', '.join(known)}")
    if unknown := [name for name in channels if name not in known]:
        raise ValueError(f"channels holds {unknown[0]!r}; choose from {', '.join(known)}")
    return [
        Telemetry(name, arrays[f"{name}/train"], arrays[f"{name}/test"], arrays[f"{name}/test_label"] > 0) for name in channels
    ]


def anomaly_set(name: AnomalySet) -> Telemetry:
    """A whole benchmark set, all its channels or machines one after the other.

    Raises:
        ValueError: for another name.
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    if name not in AnomalySet.__args__:
        raise ValueError(f"name is {name!r}; choose from {', '.join(AnomalySet.__args__)}")
    train, test, label = (read_npy(provided("anomaly-sets", f"{name}_{part}.npy")) for part in ("train", "test", "test_label"))
    if train.ndim != 2 or test.ndim != 2 or train.shape[1] != test.shape[1] or len(test) != label.size or not train.size:
        raise DatasetCorrupt(f"{name}: train is {train.shape}, test {test.shape}, labels {label.shape}; need [t, d], [s, d], [s]")
    if not all(np.isfinite(part).all() for part in (train, test, label)):
        raise DatasetCorrupt(f"{name} holds numbers that are not finite; fill the gaps before the arrays are written")
    return Telemetry(name, train.astype(np.float32), test.astype(np.float32), label.reshape(-1) > 0)


def generated_telemetry(count: int = 4, *, length: int = 2000, num_columns: int = 12, seed: int = 0) -> list[Telemetry]:
    """Channels whose first column repeats a pattern that commands in the others switch on and off.

    In the test part, three segments lose the pattern: it is flattened, runs at half its period, or gets noise.

    Raises:
        ValueError: for a length below 600, which has no room for three segments, or fewer than two columns.
    """
    if length < 600 or num_columns < 2:
        raise ValueError(f"length is {length} and num_columns {num_columns}; they must be at least 600 and 2")
    rng = np.random.default_rng(seed)

    def channel(number):
        period = int(rng.integers(16, 40))
        wave = rng.normal(0, 1, 3) @ np.sin(2 * np.pi * np.arange(1, 4)[:, None] * np.arange(2 * length) / period)
        commands = np.repeat(rng.random((2 * length // 100, num_columns - 1)) < 0.3, 100, axis=0)
        value = wave / np.abs(wave).max() + 0.5 * commands[:, 0] + 0.05 * rng.standard_normal(2 * length)
        truth = np.zeros(2 * length, bool)
        for kind, start in enumerate(length + np.sort(rng.choice(length // 200, 3, replace=False)) * 200 + 50):
            span = slice(start, start + int(rng.integers(50, 120)))
            truth[span] = True
            steps = np.arange(span.start, span.stop)
            changed = (
                np.full(len(steps), value[span].mean()),
                np.sin(4 * np.pi * steps / period),
                rng.normal(0, 0.6, len(steps)),
            )
            value[span] = changed[kind] + 0.05 * rng.standard_normal(len(steps))
        columns = np.concatenate([value[:, None], commands], axis=1).astype(np.float32)
        return Telemetry(f"generated channel {number + 1}", columns[:length], columns[length:], truth[length:])

    return [channel(number) for number in range(count)]
