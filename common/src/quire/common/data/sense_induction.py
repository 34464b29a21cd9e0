"""Occurrences of words in sentences, with the senses that people gave them."""

from typing import NamedTuple

from quire.common.data.archives import read_text
from quire.common.data.registry import fetch
from quire.common.errors import DatasetCorrupt


class SenseInstance(NamedTuple):
    """One occurrence.

    Attributes:
        lemma: word and part of speech, `trace.v`.
        left, right: the sentence around the word, which itself is left out; either may be empty.
        sense: as people judged.
    """

    lemma: str
    left: str
    right: str
    sense: str


def semeval2013() -> list[SenseInstance]:
    """SemEval-2013 task 13 (Jurgens and Klapaftis): 4122 judged occurrences of 50 lemmas, one sense each.

    Raises:
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    contexts, key = (read_text(fetch("semeval2013-wsi", f"{name}.txt.gz")) for name in ("dataset", "key"))
    return read_senses(contexts, key)


def read_senses(contexts: str, key: str) -> list[SenseInstance]:
    """Occurrences that the key judges, in the order of the contexts.

    Args:
        contexts: blocks of a line `lemma number`, then so many lines of left and right context with a tab between.
        key: lines `lemma instance sense`, the instance being the lemma, a dot, and its number in the block from 1.

    Raises:
        DatasetCorrupt: if a line is something else, a block is short, or the key judges what is not there.

    >>> read_senses("trace.v 2\\nthey\\tthe call\\n\\ta line\\n", "trace.v trace.v.2 trace.v.1\\n")
    [SenseInstance(lemma='trace.v', left='', right='a line', sense='trace.v.1')]
    """
    sense = {}
    for number, line in enumerate(key.splitlines(), 1):
        fields = line.split()
        if len(fields) != 3:
            raise DatasetCorrupt(f"line {number} of the key is {line[:40]!r}; it must be a lemma, an instance and a sense")
        sense[fields[1]] = fields[2]
    instances = [
        SenseInstance(lemma, left, right, sense.pop(name)) for lemma, name, left, right in _instances(contexts) if name in sense
    ]
    if sense or not instances:
        raise DatasetCorrupt(f"the key judges {len(sense)} instances that have no context, such as {next(iter(sense), None)!r}")
    return instances


def _instances(contexts: str):
    """Lemma, name of the instance, left and right context."""
    lines = iter(contexts.removesuffix("\n").split("\n"))
    for header in lines:
        lemma, _, size = header.partition(" ")
        if not size.isdecimal():
            raise DatasetCorrupt(f"a block of contexts begins with {header[:40]!r}; it must be a lemma and a number")
        for number in range(1, int(size) + 1):
            left, tab, right = next(lines, "").partition("\t")
            if not tab:
                raise DatasetCorrupt(f"instance {number} of {lemma} is {left[:40]!r}; it needs two contexts with a tab between")
            yield lemma, f"{lemma}.{number}", left, right
