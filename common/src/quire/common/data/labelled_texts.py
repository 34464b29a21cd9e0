"""Texts with classes: news posts of 20 groups, sentences of film reviews."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from quire.common.data.archives import read_text
from quire.common.data.registry import fetch
from quire.common.errors import DatasetCorrupt


class LabelledTexts(NamedTuple):
    """Texts and their classes, int32."""

    texts: tuple[str, ...]
    labels: np.ndarray


@dataclass(frozen=True, eq=False)
class TextClasses:
    """Texts for training and for the test.

    Attributes:
        name: as tables show it.
        classes: names of the classes.
        train, test: texts and labels.
    """

    name: str
    classes: tuple[str, ...]
    train: LabelledTexts
    test: LabelledTexts


def newsgroups() -> TextClasses:
    """20 Newsgroups by date (Lang 1995), 250 posts a group to train and 150 for the test, sorted by group.

    Raises:
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    rows = [_rows(fetch("20newsgroups-sub", f"{part}.tsv.gz"), "\t", 3) for part in ("train", "test")]
    classes = tuple(sorted({row[0] for part in rows for row in part}))
    sides = [_labelled([(row[0], row[2]) for row in part], classes) for part in rows]
    return TextClasses(f"20 Newsgroups ({len(rows[0])} / {len(rows[1])} posts)", classes, *sides)


def film_sentences() -> TextClasses:
    """The Stanford sentiment treebank (Socher et al. 2013): 8544 sentences to train, 2210 for the test, five classes.

    Raises:
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    rows = [_rows(fetch("sst5-sentences", f"tree_{part}.txt.gz"), None, 2) for part in ("train", "test")]
    classes = ("0", "1", "2", "3", "4")
    if unknown := {row[0] for part in rows for row in part} - set(classes):
        raise DatasetCorrupt(f"the sentences have classes {sorted(unknown)}; they go from 0 to 4")
    sides = [_labelled(part, classes) for part in rows]
    return TextClasses(f"SST-5 ({len(rows[0])} / {len(rows[1])} sentences)", classes, *sides)


def _rows(path, separator: str | None, fields: int) -> list[list[str]]:
    rows = [line.split(separator, fields - 1) for line in read_text(path).split("\n") if line]
    if not rows or any(len(row) != fields for row in rows):
        raise DatasetCorrupt(f"{path.name} has a line of other than {fields} fields, or none")
    return rows


def _labelled(rows, classes: tuple[str, ...]) -> LabelledTexts:
    labels = np.array([classes.index(label) for label, _ in rows], np.int32)
    return LabelledTexts(tuple(text for _, text in rows), labels)
