"""Sentences whose words have parts of speech: Universal Dependencies, English and Chinese."""

from typing import Literal

from quire.common.data.archives import read_text
from quire.common.data.registry import fetch
from quire.common.errors import DatasetCorrupt

TaggedSentence = tuple[tuple[str, str], ...]
"""Words of a sentence with their universal parts of speech."""

SETS = {"english": "ud-english-ewt", "chinese": "ud-chinese-gsdsimp"}


def tagged_sentences(language: Literal["english", "chinese"], split: Literal["dev", "test"]) -> list[TaggedSentence]:
    """Sentences of a treebank; the training splits are not part of the sets.

    Args:
        language: English-EWT or Chinese-GSDSimp, whose words are the segmentation of the text.
        split: `"dev"` or `"test"`.

    Raises:
        ValueError: for another language or split.
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    if language not in SETS or split not in ("dev", "test"):
        raise ValueError(f"language is {language!r} and split {split!r}; they must be one of {list(SETS)}, and dev or test")
    return read_tagged_sentences(read_text(fetch(SETS[language], f"{split}.tsv.gz")), source=f"{split}.tsv.gz")


def read_tagged_sentences(text: str, *, source: str = "the file") -> list[TaggedSentence]:
    """A word and its part of speech a line, between them a tab; an empty line ends a sentence.

    Raises:
        DatasetCorrupt: if a line is something else, or there is no sentence.

    >>> read_tagged_sentences("Dogs\\tNOUN\\nbark\\tVERB\\n\\nStop\\tVERB\\n")
    [(('Dogs', 'NOUN'), ('bark', 'VERB')), (('Stop', 'VERB'),)]
    """
    sentences: list[list[tuple[str, str]]] = [[]]
    for number, line in enumerate(text.split("\n"), 1):
        word, tab, tag = line.rpartition("\t")
        if not line:
            sentences.append([])
        elif not (tab and word and tag) or "\t" in word:
            raise DatasetCorrupt(f"line {number} of {source} is {line[:40]!r}; it must be a word, a tab and a part of speech")
        else:
            sentences[-1].append((word, tag))
    found = [tuple(sentence) for sentence in sentences if sentence]
    if not found:
        raise DatasetCorrupt(f"{source} holds no sentence")
    return found
