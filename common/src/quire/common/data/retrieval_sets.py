"""Collections for retrieval: documents, queries and judgements of relevance; token vectors that people computed from them."""

import re
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from quire.common.data.archives import read_npy, read_text
from quire.common.data.registry import fetch, provided
from quire.common.errors import DatasetCorrupt


@dataclass(frozen=True)
class RetrievalSet:
    """Texts to search, and who judged what relevant.

    Attributes:
        name: as tables show it.
        documents, queries: their texts; a document may be empty.
        judgements: int32 `[j, 3]`: index of the query, index of the document, grade.
    """

    name: str
    documents: tuple[str, ...]
    queries: tuple[str, ...]
    judgements: Int[np.ndarray, "j 3"]

    def relevant(self) -> list[Int[np.ndarray, " r"]]:
        """Judged documents of every query, whatever their grade."""
        query, document, _ = self.judgements.T
        return [document[query == i] for i in range(len(self.queries))]


def cranfield() -> RetrievalSet:
    """Cranfield 1400 (Cleverdon 1967): abstracts on aerodynamics, questions of researchers, grades 1 (complete answer) to 4.

    The text of a document is its abstract, which begins with the title; two are empty. The file of judgements numbers queries
    by their place in the file of queries. Its one line with code -1 a query, which nothing explains, is left out.

    Returns:
        1400 documents, 225 queries, 1612 judgements.

    Raises:
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    texts = {name: read_text(fetch("cranfield", name)) for name in ("cran.all.1400.gz", "cran.qry", "cranqrel")}
    documents, queries = (read_tagged(texts[name], source=name) for name in ("cran.all.1400.gz", "cran.qry"))
    judgements = read_judgements(texts["cranqrel"], len(queries), len(documents), source="cranqrel")
    return RetrievalSet("Cranfield, 1400 abstracts, 225 queries", documents, queries, judgements[judgements[:, 2] > 0])


def read_tagged(text: str, *, field: str = "W", source: str = "the file") -> tuple[str, ...]:
    """One field of every record of a file in the format of SMART: `.I number`, then fields that a line `.X` begins.

    Args:
        text: the whole file.
        field: letter of the field; the first of a record counts.
        source: name of the file, for messages.

    Raises:
        DatasetCorrupt: if there is no record, or one lacks the field.

    >>> read_tagged(".I 1\\n.T\\ntitle\\n.W\\nsome\\ntext\\n.I 2\\n.W\\n")
    ('some\\ntext', '')
    """
    contents = []
    lines = "\n".join(text.splitlines())  # whatever ends a line in the file
    for record in re.split(r"^\.I\b", lines, flags=re.MULTILINE)[1:]:
        parts = re.split(r"^\.([A-Z])[ \t]*$", record, flags=re.MULTILINE)
        fields = dict(zip(reversed(parts[1::2]), reversed(parts[2::2]), strict=True))  # the first of equal names stays
        if field not in fields:
            raise DatasetCorrupt(f"record {parts[0].strip()[:20]} of {source} has no field .{field}")
        contents.append(fields[field].strip())
    if not contents:
        raise DatasetCorrupt(f"{source} holds no record; each begins with a line `.I number`")
    return tuple(contents)


def read_judgements(text: str, queries: int, documents: int, *, source: str = "the file") -> Int[np.ndarray, "j 3"]:
    """Lines `query document grade`, both counted from 1, as indices from 0.

    Args:
        text: the whole file.
        queries, documents: how many there are.
        source: name of the file, for messages.

    Raises:
        DatasetCorrupt: if a line is something else, or names what does not exist.

    >>> read_judgements("1 2 3\\n", 1, 2).tolist()
    [[0, 1, 3]]
    """
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            query, document, grade = map(int, line.split())
        except ValueError:
            raise DatasetCorrupt(f"line {number} of {source} is {line[:40]!r}; it must be three whole numbers") from None
        if not (1 <= query <= queries and 1 <= document <= documents):
            raise DatasetCorrupt(
                f"line {number} of {source} is {line[:40]!r}; there are {queries} queries, {documents} documents"
            )
        rows.append((query - 1, document - 1, grade))
    return np.array(rows, np.int32).reshape(-1, 3)


class TokenVectors(NamedTuple):
    """Token vectors of one side of a collection: `[t, d]`, text after text, and how many tokens each text has `[n]`."""

    tokens: Float[np.ndarray, "t d"]
    lengths: Int[np.ndarray, " n"]


BEIRSet = Literal["msmarco", "hotpotqa", "nq", "quora", "scidocs", "arguana"]


def colbert_tokens(name: BEIRSet, side: Literal["documents", "queries"]) -> TokenVectors:
    """Token vectors of ColBERTv2 for a collection of BEIR, as people prepared them by the hint of the set.

    Args:
        name: of the collection.
        side: documents or queries.

    Returns:
        Unit vectors of 128 dimensions.

    Raises:
        DatasetUnavailable: if there is no such file.
        DatasetCorrupt: if a file is damaged, or its arrays do not belong together.
    """
    tokens, lengths = (read_npy(provided("colbertv2-beir", f"{name}/{side}.{part}.npy")) for part in ("tokens", "lengths"))
    if tokens.ndim != 2 or lengths.ndim != 1 or lengths.dtype.kind not in "iu" or lengths.sum() != len(tokens):
        raise DatasetCorrupt(
            f"colbertv2-beir/{name}/{side} holds tokens {tokens.shape} and lengths {lengths.shape} of sum {lengths.sum()}; "
            "it needs [t, d], and whole numbers [n] that sum to t"
        )
    return TokenVectors(tokens, lengths)
