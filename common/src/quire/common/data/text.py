"""Text that is always at hand, and the questions that word vectors are asked."""

from pydoc_data.topics import topics
from typing import Literal, NamedTuple, get_args

from quire.common.data.registry import REGISTRY, Dataset, File, fetch, gunzip

_WORD_SIM = "https://raw.githubusercontent.com/mfaruqui/eval-word-vectors/94b3dd9fdbac7ed08dbee7179cd5ee464acf0594/data/word-sim/"

LANGUAGE_REFERENCE = REGISTRY.add(
    Dataset(
        "language-reference",
        "the Python language reference, as `pydoc` holds it, about 0.5 MB of English with code",
        "PSF License, ships with Python",
        "the standard library (pydoc_data.topics)",
        embedded=True,
    )
)
WORD_ANALOGIES = REGISTRY.add(
    Dataset(
        "word-analogies",
        "19544 analogy questions in 14 sections (Mikolov et al. 2013)",
        "Apache-2.0",
        "https://github.com/licstar/compare (evaluation/syn_sem)",
        (File("questions-words.txt.gz", ("24876e771faf8b97ca33cc0e3157285fe471bd2d72dd944b21a82dc50b95065f",), 68_846),),
        hint="put the word2vec file questions-words.txt, compressed with gzip, into word-analogies/",
    )
)
SimilarityList = Literal[
    "MC-30", "MEN-TR-3k", "MTurk-287", "MTurk-771", "RG-65", "RW-STANFORD", "SIMLEX-999", "SimVerb-3500", "VERB-143",
    "WS-353-ALL", "WS-353-REL", "WS-353-SIM", "YP-130",
]  # fmt: skip
_SIMILARITY = {
    "MC-30": ("33ee05911496ff83d95cac351d0746c6f63b9181b605cb7d307f4daa8864511b", 543),
    "MEN-TR-3k": ("888b13580faa362c7b11da0a670258cf1b1eb4bf0ecbcd418918729a3bd3f43a", 53_593),
    "MTurk-287": ("a9ae3a9decb75a9700fe0cf18b048c1344774d9f40e0196baf8e34d4cd9d1ce5", 7_218),
    "MTurk-771": ("04dc297c9e86b6fa7cf8ef0e4ba2e2c8d3399ec68d92fb7a53c0b4aae27198b5", 19_628),
    "RG-65": ("c243f3a91c3f5d8cf67f21a67f6fb80bde8b6bb060851a6a48e6f2d68ec98c9f", 1_210),
    "RW-STANFORD": ("5108d54dfc746f44f9c3d7e31d2857c37cf71430bc1594175a61a3b89bb0ae1f", 49_851),
    "SIMLEX-999": ("405394ffb7d25f6d0e3c041f87c9f27d29dc6b047506769953e85c4523b11685", 18_024),
    "SimVerb-3500": ("9d84274e7ad029fd3cf69dd0516e9ade624bbef9bd4e2050f6cc1fa01471e0f5", 65_315),
    "VERB-143": ("7259e19961c81912aa4c72de0102e480b2ad2bb9f4ce97d036fbde8e1a403001", 3_320),
    "WS-353-ALL": ("ce12919b240af45bdf46d243601eaca2b6212b159b5e7e9b435ee7ee40c5619c", 7_405),
    "WS-353-REL": ("66a7c88100624d0a391605ff61ce84e11d11ee620d51ec0298da49592838f8fa", 5_134),
    "WS-353-SIM": ("f1da938998863c94e53f72f984a5c6e215f0b46c323aae8f0f4930703a339107", 4_002),
    "YP-130": ("7643fdbc6158c3424061e2cba450c71285767266ff9f3db947bfc1f1f5ce67ab", 2_614),
}
WORD_SIMILARITY = REGISTRY.add(
    Dataset(
        "word-similarity",
        "human similarity ratings of word pairs, 13 lists (WordSim-353, SimLex-999, MEN and others)",
        "each list keeps its authors' terms, free for research; not redistributed here",
        "https://github.com/mfaruqui/eval-word-vectors (data/word-sim)",
        tuple(File(f"EN-{n}.txt", (digest,), size, f"{_WORD_SIM}EN-{n}.txt") for n, (digest, size) in _SIMILARITY.items()),
    )
)


class Passages(NamedTuple):
    """Text for training and for the test."""

    train: str
    test: str


def language_reference() -> Passages:
    """The language reference in the standard library's `pydoc`: every fifth paragraph for the test, the others to train."""
    pages = (topics[name] for name in sorted(topics))
    paragraphs = list(dict.fromkeys(p for page in pages for p in page.split("\n\n") if p.strip()))
    test = "\n\n".join(paragraphs[4::5])
    return Passages("\n\n".join(p for i, p in enumerate(paragraphs) if i % 5 != 4), test)


def word_analogies() -> dict[str, list[tuple[str, str, str, str]]]:
    """Questions `a : b = c : d` by section, in lower case; grammatical sections have names that begin with `gram`.

    Raises:
        DatasetUnavailable, DatasetCorrupt: see `quire.common.data.fetch`.
    """
    sections: dict[str, list[tuple[str, str, str, str]]] = {}
    for line in gunzip(fetch(WORD_ANALOGIES, "questions-words.txt.gz")).decode().splitlines():
        if line.startswith(":"):
            questions = sections.setdefault(line[1:].strip(), [])
        elif line.strip():
            a, b, c, d = line.lower().split()
            questions.append((a, b, c, d))
    return sections


def word_similarity(name: SimilarityList = "WS-353-ALL") -> list[tuple[str, str, float]]:
    """Word pairs, in lower case, with their mean human rating; the scale depends on the list.

    Raises:
        ValueError: for an unknown list.
        DatasetUnavailable, DatasetCorrupt: see `quire.common.data.fetch`.
    """
    if name not in _SIMILARITY:
        raise ValueError(f"name is {name!r}; it must be one of {list(get_args(SimilarityList))}")
    lines = fetch(WORD_SIMILARITY, f"EN-{name}.txt").read_text(encoding="utf-8").splitlines()
    rows = [line.lower().split() for line in lines if line.strip()]
    return [(first, second, float(rating)) for first, second, rating in rows]
