"""Pairs of sentences with a similarity: STS Benchmark, the STS sets of SentEval, generated ones; triplets of inferences."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from quire.common.data.archives import read_text
from quire.common.data.registry import fetch, provided
from quire.common.errors import DatasetCorrupt


class ScoredPairs(NamedTuple):
    """Pairs of sentences, and how similar people find the two, float32 `[n]` from 0 (nothing in common) to 5 (the same)."""

    first: tuple[str, ...]
    second: tuple[str, ...]
    scores: Float[np.ndarray, " n"]


@dataclass(frozen=True, eq=False)
class SentencePairs:
    """Pairs for training, for choices, and for the test.

    Attributes:
        name: as tables show it.
        train, dev, test: sentences and scores.
    """

    name: str
    train: ScoredPairs
    dev: ScoredPairs
    test: ScoredPairs


def sts_benchmark() -> SentencePairs:
    """STS Benchmark (Cer et al. 2017): captions, headlines and posts of forums, 5749 / 1500 / 1379 pairs.

    Raises:
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    parts = [f"sts-{part}.csv" for part in ("train", "dev", "test")]
    train, dev, test = (read_sts(read_text(fetch("stsbenchmark", name)), source=name) for name in parts)
    return SentencePairs(f"STS Benchmark, {len(train.scores)} train / {len(test.scores)} test pairs", train, dev, test)


def read_sts(text: str, *, source: str = "the file") -> ScoredPairs:
    """Lines of genre, file, year, number, score and two sentences between tabs; what stands behind them is left out.

    Quotation marks mean nothing: many sentences hold a single one.

    Raises:
        DatasetCorrupt: if there is no line, or one has fewer fields or another score than a number from 0 to 5.

    >>> read_sts('news\\tMSRpar\\t2012\\t7\\t2.5\\tA "man runs.\\tA man.\\n').first
    ('A "man runs.',)
    """
    return _pairs(
        [(f"line {number} of {source}", fields[4:7]) for number, fields in _fields(text)],
    )


def _fields(text: str) -> Iterable[tuple[int, list[str]]]:
    """Numbered lines that are not empty, cut at tabs. Only a newline ends a line: sentences may hold other separators."""
    lines = text.replace("\r\n", "\n").split("\n")
    return [(number, line.split("\t")) for number, line in enumerate(lines, 1) if line]


def _pairs(rows: Iterable[tuple[str, list[str]]]) -> ScoredPairs:
    """From `(place, [score, first, second])`."""
    found = []
    for place, row in rows:
        try:
            score, first, second = row
            found.append((float(score), first.strip(), second.strip()))
        except ValueError:
            raise DatasetCorrupt(f"{place} is {str(row)[:60]}; it must be a score and two sentences") from None
        if not 0 <= found[-1][0] <= 5:
            raise DatasetCorrupt(f"{place} has the score {row[0]}; scores go from 0 to 5")
    if not found:
        raise DatasetCorrupt("a file of sentence pairs holds none")
    scores, first, second = zip(*found, strict=True)
    return ScoredPairs(first, second, np.array(scores, np.float32))


# --- The sets of SentEval ---

STS_YEARS = ("STS12", "STS13", "STS14", "STS15", "STS16")


def sts_suite() -> dict[str, ScoredPairs]:
    """The seven sets on which sentence embeddings are compared: STS12 to STS16, STS Benchmark, SICK-R; test parts, by name.

    Raises:
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    years = {year: _year(provided("senteval-sts", f"{year}-en-test")) for year in STS_YEARS}
    sick = provided("senteval-sts", "SICK_test_annotated.txt")
    return years | {"STS-B": sts_benchmark().test, "SICK-R": read_sick(read_text(sick), source=sick.name)}


def _year(folder: Path) -> ScoredPairs:
    """All parts of a year as one set; a pair without a score was not judged."""
    rows = []
    for path in sorted(folder.glob("STS.input.*.txt")):
        sentences = read_text(path).rstrip("\n").split("\n")
        scores = read_text(path.with_name(path.name.replace("input", "gs"))).rstrip("\n").split("\n")
        if len(scores) > len(sentences):
            raise DatasetCorrupt(f"{path.name} has {len(sentences)} lines of sentences and {len(scores)} of scores")
        scores += [""] * (len(sentences) - len(scores))  # trailing empty scores
        for number, (line, score) in enumerate(zip(sentences, scores, strict=True), 1):
            if score.strip():
                rows.append((f"line {number} of {path.name}", [score, *line.split("\t")[:2]]))
    return _pairs(rows)


def read_sick(text: str, *, source: str = "the file") -> ScoredPairs:
    """SICK (Marelli et al. 2014): number, two sentences, relatedness from 1 to 5, and more, between tabs, below a heading.

    Raises:
        DatasetCorrupt: as for `read_sts`.

    >>> read_sick("pair_ID\\tsentence_A\\tsentence_B\\trelatedness_score\\n6\\tA dog.\\tA cat.\\t3.5\\n").scores.tolist()
    [3.5]
    """
    rows = [(f"line {number} of {source}", [*fields[3:4], *fields[1:3]]) for number, fields in _fields(text)]
    return _pairs(rows[1:])


# --- Triplets ---


class Triplets(NamedTuple):
    """Sentences, each with one that follows from it and one that contradicts it."""

    premises: tuple[str, ...]
    entailed: tuple[str, ...]
    contradicted: tuple[str, ...]


def nli_triplets() -> Triplets:
    """SNLI (Bowman et al. 2015) and MultiNLI (Williams et al. 2018): premises that have inferences of both kinds.

    Raises:
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    paths = [provided("all-nli", f"{name}_1.0_train.jsonl") for name in ("snli", "multinli")]
    return read_nli("\n".join(read_text(path) for path in paths), source="all-nli")


def read_nli(text: str, *, source: str = "the file") -> Triplets:
    """The first entailed and the first contradicted hypothesis of every premise that has both; a JSON object a line.

    Raises:
        DatasetCorrupt: if a line lacks `sentence1`, `sentence2` or `gold_label`, or no premise has both.

    >>> lines = ['{"sentence1": "A dog runs.", "sentence2": "%s", "gold_label": "%s"}' % pair for pair in
    ...          (("An animal runs.", "entailment"), ("It is red.", "neutral"), ("A dog sleeps.", "contradiction"))]
    >>> read_nli("\\n".join(lines))
    Triplets(premises=('A dog runs.',), entailed=('An animal runs.',), contradicted=('A dog sleeps.',))
    """
    hypotheses: dict[str, dict[str, str]] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line:
            continue
        try:
            row = json.loads(line)
            premise, hypothesis, label = (str(row[name]) for name in ("sentence1", "sentence2", "gold_label"))
        except (json.JSONDecodeError, KeyError, TypeError):
            raise DatasetCorrupt(f"line {number} of {source} is {line[:40]!r}; it must be an inference in JSON") from None
        hypotheses.setdefault(premise, {}).setdefault(label, hypothesis)
    kinds = "entailment", "contradiction"
    rows = [(premise, *(by[kind] for kind in kinds)) for premise, by in hypotheses.items() if set(kinds) <= set(by)]
    if not rows:
        raise DatasetCorrupt(f"{source} holds no premise with an entailed and a contradicted hypothesis")
    return Triplets(*zip(*rows, strict=True))


# --- Generated pairs ---

_SLOTS = (
    ("old", "aged", "small", "little", "happy", "glad", "quick", "fast"),
    ("child", "kid", "man", "guy", "lady", "woman", "doctor", "physician"),
    ("talks", "speaks", "sleeps", "slumbers", "shouts", "yells", "jumps", "leaps"),
    ("loudly", "noisily", "slowly", "sluggishly", "often", "frequently", "again", "anew"),
    ("street", "road", "forest", "wood", "shop", "store", "house", "home"),
)
"""Words for each place of a sentence; two neighbours mean the same."""


def template_pairs(seed: int = 0, sizes: tuple[int, int, int] = (4000, 500, 1000)) -> SentencePairs:
    """Generated: "the old man talks slowly in the forest", and the same with some of its five words drawn anew.

    The score is the number of meanings that both have: words have a synonym each, and sentences may begin with the place.

    Args:
        seed: of the draws.
        sizes: pairs of the three parts.

    >>> pairs = template_pairs().train
    >>> pairs.first[0], pairs.second[0], float(pairs.scores[0])
    ('the quick woman shouts slowly in the wood', 'in the wood the fast woman shouts slowly', 5.0)
    """
    draw = np.random.default_rng(seed)
    name = f"generated sentences, {sizes[0]} train / {sizes[2]} test pairs"
    return SentencePairs(name, *(_drawn(draw, size) for size in sizes))


def _drawn(draw: np.random.Generator, size: int) -> ScoredPairs:
    meanings = draw.integers(0, len(_SLOTS[0]) // 2, (2, size, len(_SLOTS)))
    renewed = draw.random((size, len(_SLOTS))) < draw.random((size, 1))
    meanings[1] = np.where(renewed, meanings[1], meanings[0])
    words = 2 * meanings + draw.integers(0, 2, meanings.shape)
    turned = (draw.random((2, size)) < 0.5).tolist()
    sides = [tuple(map(_sentence, rows, turns)) for rows, turns in zip(words, turned, strict=True)]
    return ScoredPairs(*sides, (meanings[0] == meanings[1]).sum(1).astype(np.float32))


def _sentence(row: np.ndarray, place_first: bool) -> str:
    adjective, noun, verb, how, place = (words[i] for words, i in zip(_SLOTS, row, strict=True))
    if place_first:
        return f"in the {place} the {adjective} {noun} {verb} {how}"
    return f"the {adjective} {noun} {verb} {how} in the {place}"
