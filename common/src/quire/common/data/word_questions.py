"""What word vectors are asked: analogies, and similarities as people rate them."""

from typing import Literal, get_args

from quire.common.data.archives import read_text
from quire.common.data.registry import fetch
from quire.common.errors import DatasetCorrupt

SimilarityList = Literal[
    "MC-30", "MEN-TR-3k", "MTurk-287", "MTurk-771", "RG-65", "RW-STANFORD", "SIMLEX-999", "SimVerb-3500", "VERB-143",
    "WS-353-ALL", "WS-353-REL", "WS-353-SIM", "YP-130",
]  # fmt: skip


def word_analogies() -> dict[str, list[tuple[str, str, str, str]]]:
    """Questions `a : b = c : d` by section, in lower case; grammatical sections have names that begin with `gram`.

    Raises:
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    return read_analogies(read_text(fetch("word-analogies", "questions-words.txt.gz")), source="questions-words.txt")


def read_analogies(text: str, *, source: str = "the file") -> dict[str, list[tuple[str, str, str, str]]]:
    """Questions by section: a line `: section`, then four words a line.

    Raises:
        DatasetCorrupt: if there is no question, one stands before the first section, or does not have four words.

    >>> read_analogies(": capitals\\nAthens Greece Oslo Norway\\n")
    {'capitals': [('athens', 'greece', 'oslo', 'norway')]}
    """
    sections: dict[str, list[tuple[str, str, str, str]]] = {}
    section = None
    for number, line in enumerate(text.splitlines(), 1):
        words = tuple(line.lower().split())
        if line.startswith(":"):
            section = sections.setdefault(line[1:].strip(), [])
        elif words:
            if section is None or len(words) != 4:
                raise DatasetCorrupt(f"line {number} of {source} is {line[:40]!r}; it must be four words below a `: section`")
            section.append(words)
    if not any(sections.values()):
        raise DatasetCorrupt(f"{source} holds no question")
    return sections


def word_similarity(name: SimilarityList = "WS-353-ALL") -> list[tuple[str, str, float]]:
    """Word pairs, in lower case, with their mean human rating; the scale depends on the list.

    Raises:
        ValueError: for an unknown list.
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    if name not in get_args(SimilarityList):
        raise ValueError(f"name is {name!r}; it must be one of {list(get_args(SimilarityList))}")
    return read_similarities(read_text(fetch("word-similarity", f"EN-{name}.txt")), source=f"EN-{name}.txt")


def read_similarities(text: str, *, source: str = "the file") -> list[tuple[str, str, float]]:
    """Two words and a rating a line.

    Raises:
        DatasetCorrupt: if there is no pair, or a line is something else.

    >>> read_similarities("Tiger cat 7.35\\n")
    [('tiger', 'cat', 7.35)]
    """
    pairs = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            first, second, rating = line.lower().split()
            pairs.append((first, second, float(rating)))
        except ValueError:
            raise DatasetCorrupt(f"line {number} of {source} is {line[:40]!r}; it must be two words and a rating") from None
    if not pairs:
        raise DatasetCorrupt(f"{source} holds no pair of words")
    return pairs
