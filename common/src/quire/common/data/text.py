"""Texts: the language reference that ships with Python, WikiText-2."""

from typing import Literal, NamedTuple

from quire.common.data.archives import read_text
from quire.common.data.registry import fetch


class Passages(NamedTuple):
    """Text for training and for the test."""

    train: str
    test: str


def language_reference() -> Passages:
    """The language reference in the standard library's `pydoc`: every fifth paragraph for the test, the others to train."""
    from pydoc_data.topics import topics  # a module of 700 kB

    pages = (topics[name] for name in sorted(topics))
    paragraphs = list(dict.fromkeys(p for page in pages for p in page.split("\n\n") if p.strip()))
    test = "\n\n".join(paragraphs[4::5])
    return Passages("\n\n".join(p for i, p in enumerate(paragraphs) if i % 5 != 4), test)


def wikitext2(split: Literal["valid", "test"]) -> str:
    """Text of WikiText-2 (Merity et al. 2016), tokenised; the training split is not part of it.

    Args:
        split: `"valid"` (1.1 MB) or `"test"` (1.3 MB).

    Returns:
        The text, one paragraph a line.

    Raises:
        ValueError: for another split.
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    if split not in ("valid", "test"):
        raise ValueError(f"split is {split!r}; it must be 'valid' or 'test'")
    return read_text(fetch("wikitext-2", f"{split}.txt.gz", f"{split}.txt"))
