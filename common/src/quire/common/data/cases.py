"""Labelled series of unequal lengths: the UEA archive, and a generated stand-in."""

import re
from dataclasses import dataclass

import numpy as np

from quire.common.data.registry import REGISTRY, Dataset, DatasetCorrupt, File, fetch, provided

_ADDRESS = "https://raw.githubusercontent.com/sktime/sktime/main/sktime/datasets/data/JapaneseVowels/"
JAPANESE_VOWELS = REGISTRY.add(
    Dataset(
        "uea-japanese-vowels",
        "270 + 370 recordings of nine speakers, 12 channels x 7 to 29 steps",
        "BSD-3-Clause in sktime; UCI, Kudo et al. 1999",
        "https://www.timeseriesclassification.com (JapaneseVowels)",
        (
            File(
                "JapaneseVowels_TRAIN.ts",
                ("68a430eabd919cc77f40b1f5f3bc0dcafacc1486bca9260785aeb7d262cc78cd",),
                487_971,
                _ADDRESS + "JapaneseVowels_TRAIN.ts",
            ),
            File(
                "JapaneseVowels_TEST.ts",
                ("b3d41d6a0ca3bcad3afb9ca7d4365382aa51341e2e58bae2a574babdda5b9462",),
                649_132,
                _ADDRESS + "JapaneseVowels_TEST.ts",
            ),
        ),
    )
)
UEA = REGISTRY.add(
    Dataset(
        "uea",
        "multivariate series to classify, <name>/<name>_TRAIN.ts and <name>/<name>_TEST.ts of every set",
        "each set its own",
        "https://www.timeseriesclassification.com",
        hint="unpack the archives of the sets into uea/<name>/",
    )
)


@dataclass(frozen=True)
class Cases:
    """Series with labels, a training and a test part.

    Attributes:
        name: as tables show it.
        classes: names of the classes.
        train, test: series `[t, c]`, float64, of any lengths.
        train_labels, test_labels: int32, index into `classes`.
        stand_in_for: the data of the paper, or "" where this is it.
    """

    name: str
    classes: tuple[str, ...]
    train: tuple[np.ndarray, ...]
    test: tuple[np.ndarray, ...]
    train_labels: np.ndarray
    test_labels: np.ndarray
    stand_in_for: str = ""

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
        paths = [fetch(JAPANESE_VOWELS, file) for file in files]
    else:
        paths = [provided(UEA, f"{name}/{file}") for file in files]
    (train, train_names), (test, test_names) = (read_ts(path.read_text(), source=path.name) for path in paths)
    classes = tuple(sorted({*train_names, *test_names}))
    labels = [np.array([classes.index(label) for label in names], np.int32) for names in (train_names, test_names)]
    return Cases(f"UEA {name}", classes, tuple(train), tuple(test), *labels)


def read_ts(text: str, *, source: str = "the file") -> tuple[list[np.ndarray], list[str]]:
    """Series `[t, c]` and labels of a `.ts` file: after `@data` a case a line, channels between colons, the label last.

    Raises:
        DatasetCorrupt: if there is no `@data`, a case has channels of different lengths, or something is no number.

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
            series.append(np.array([channel.split(",") for channel in channels], np.float64).T)
        except ValueError as error:
            raise DatasetCorrupt(f"case {number} of {source} has unequal channels or no numbers ({error})") from None
        labels.append(label)
    return series, labels


def generated_cases(count: int = 270, num_classes: int = 9, *, seed: int = 0) -> Cases:
    """Cases in the shape of Japanese Vowels: a class is a path of 12 channels, a speaker varies its speed, size and noise."""
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
    return Cases("generated cases", names, series[:count], series[count:], labels[:count], labels[count:], "UEA JapaneseVowels")
