"""Labelled series of unequal lengths: the UEA archive, and a generated stand-in."""

import re
from dataclasses import dataclass

import numpy as np

from quire.common.data.archives import read_text
from quire.common.data.registry import fetch, provided
from quire.common.errors import DatasetCorrupt


@dataclass(frozen=True)
class Cases:
    """Series with labels, a training and a test part.

    Attributes:
        name: as tables show it.
        classes: names of the classes.
        train, test: series `[t, c]`, float64, of any lengths.
        train_labels, test_labels: int32, index into `classes`.
    """

    name: str
    classes: tuple[str, ...]
    train: tuple[np.ndarray, ...]
    test: tuple[np.ndarray, ...]
    train_labels: np.ndarray
    test_labels: np.ndarray

    def padded(self) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
        """Standardised by all training steps, padded with zeros to the longest of all: `(series [n, t, c], mask [n, t])` of the
        training and of the test part."""
        steps = np.concatenate(self.train)
        mean, std = steps.mean(axis=0), steps.std(axis=0)
        std = np.where(std == 0, 1, std)
        longest = max(map(len, (*self.train, *self.test)))

        def pad(series):
            scaled = [np.pad((x - mean) / std, ((0, longest - len(x)), (0, 0))) for x in series]
            mask = np.arange(longest)[None] < np.array([len(x) for x in series])[:, None]
            return np.stack(scaled).astype(np.float32), mask.astype(np.float32)

        return pad(self.train), pad(self.test)


def uea(name: str = "JapaneseVowels") -> Cases:
    """A set of the archive.

    Raises:
        ValueError: if `name` is not the name of a set.
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    if not re.fullmatch(r"\w[\w-]*", name):
        raise ValueError(f"name is {name!r}; it must be the name of a set, such as 'JapaneseVowels'")
    files = f"{name}_TRAIN.ts", f"{name}_TEST.ts"
    if name == "JapaneseVowels":
        paths = [fetch("uea-japanese-vowels", file) for file in files]
    else:
        paths = [provided("uea", f"{name}/{file}") for file in files]
    (train, train_names), (test, test_names) = (read_ts(read_text(path), source=path.name) for path in paths)
    if train[0].shape[1] != test[0].shape[1]:
        raise DatasetCorrupt(f"{files[0]} has {train[0].shape[1]} channels and {files[1]} {test[0].shape[1]}; they must agree")
    classes = tuple(sorted({*train_names, *test_names}))
    labels = [np.array([classes.index(label) for label in names], np.int32) for names in (train_names, test_names)]
    return Cases(f"UEA {name}", classes, tuple(train), tuple(test), *labels)


def read_ts(text: str, *, source: str = "the file") -> tuple[list[np.ndarray], list[str]]:
    """Series `[t, c]` and labels of a `.ts` file: after `@data` a case a line, channels between colons, the label last.

    Raises:
        DatasetCorrupt: if there is no `@data` or no case, a case has channels of different lengths or another number of them than
            the first, or something is no number.

    >>> read_ts("# a comment\\n@classLabel true a b\\n@data\\n1,2:3,4:a\\n")
    ([array([[1., 3.],
           [2., 4.]])], ['a'])
    """
    _, found, body = text.partition("@data")
    if not found:
        raise DatasetCorrupt(f"{source} has no @data")
    series, labels = [], []
    for number, line in enumerate(filter(None, map(str.strip, body.splitlines())), 1):
        *channels, label = line.split(":")
        try:
            case = np.array([channel.split(",") for channel in channels], np.float64).T
        except ValueError as error:
            raise DatasetCorrupt(f"case {number} of {source} has unequal channels or no numbers ({error})") from None
        if not channels or case.shape[1] != (series or [case])[0].shape[1] or not np.isfinite(case).all():
            raise DatasetCorrupt(f"case {number} of {source} has {len(channels)} channels; all need the same, of finite numbers")
        series.append(case)
        labels.append(label)
    if not series:
        raise DatasetCorrupt(f"{source} has no case after @data")
    return series, labels


def generated_cases(count: int = 270, num_classes: int = 9, *, seed: int = 0) -> Cases:
    """Cases in the shape of Japanese Vowels: a class is a path of 12 channels, a speaker varies its speed, size and noise.

    Raises:
        ValueError: for sizes below 1.
    """
    if min(count, num_classes) < 1:
        raise ValueError(f"count is {count} and num_classes {num_classes}; both must be at least 1")
    rng = np.random.default_rng(seed)
    channels, harmonics = 12, 3
    levels = rng.normal(0, 0.7, (num_classes, channels))
    waves = rng.normal(0, 0.7, (num_classes, harmonics, channels))

    def draw(label):
        length = rng.integers(7, 30)
        phase = np.pi * np.arange(1, harmonics + 1) * (np.linspace(0, 1, length)[:, None] + rng.normal(0, 0.05))
        path = levels[label] + np.sin(phase) @ waves[label] * rng.uniform(0.7, 1.3)
        return path + rng.normal(0, 0.5, channels) + 0.4 * rng.standard_normal((length, channels))

    labels = rng.integers(0, num_classes, 2 * count).astype(np.int32)
    series = tuple(draw(label) for label in labels)
    names = tuple(str(i + 1) for i in range(num_classes))
    return Cases("generated cases", names, series[:count], series[count:], labels[:count], labels[count:])
