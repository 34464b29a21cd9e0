"""Texts of a preset as ids: what is trained on, and passages with queries whose answer is known."""

import re
from dataclasses import dataclass
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Int

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least
from quire.common.data.archives import read_npy
from quire.common.data.registry import provided
from quire.common.data.retrieval_sets import cranfield
from quire.common.data.source import Source, open_or
from quire.common.data.text import wikitext2
from quire.common.errors import DatasetCorrupt
from quire.common.random import generator
from quire.common.text.windows import vocabulary
from quire.dupmae.config import Preset
from quire.dupmae.objective import CLS, PAD, SEP

SPECIALS = 4
"""Ids before the first word."""


class Texts(NamedTuple):
    """`[CLS] words [SEP] padding`.

    Attributes:
        tokens: ids.
        word_ids: to which word of its text each token belongs, -1 for specials and padding.
        lengths: tokens of every text, specials included.
    """

    tokens: Int[AnyArray, "n t"]
    word_ids: Int[AnyArray, "n t"]
    lengths: Int[AnyArray, " n"]

    @property
    def mask(self) -> Bool[np.ndarray, "n t"]:
        """Which tokens there are."""
        return np.arange(self.tokens.shape[1]) < self.lengths[:, None]


@dataclass(frozen=True, eq=False)
class Corpus:
    """Texts of a preset.

    Attributes:
        name: as tables show it.
        preset: the sizes that go with these texts.
        words: by id, specials left out; empty for prepared tokens.
        train, queries, passages: their ids.
        pairs: queries to fine-tune on, and a group of passages for each, the right one first; None where there are none.
        owner: document of every passage.
        relevant: which documents answer which query, `[queries, documents]`.
        full: texts of documents and queries with all their words, where the ids hold only some; else None.
    """

    name: str
    preset: Preset
    words: tuple[str, ...]
    train: Texts
    queries: Texts
    passages: Texts
    owner: Int[np.ndarray, " p"]
    relevant: Bool[np.ndarray, "q d"]
    full: tuple[tuple[str, ...], tuple[str, ...]] | None = None
    pairs: tuple[Texts, Texts] | None = None

    def written(self, texts: Texts) -> list[str]:
        """Texts as strings of their words, numbers where there are no words."""
        name = (lambda i: self.words[i - SPECIALS]) if self.words else str
        rows = zip(texts.tokens, texts.word_ids, strict=True)
        return [" ".join(name(i) for i in row[places >= 0]) for row, places in rows]


def framed(rows: list[np.ndarray], length: int) -> Texts:
    """Texts of whole words, ids counted from the first word, with specials and padding; longer ones are cut.

    Args:
        rows: word ids of every text, at least one each.
        length: tokens of a row, at least 3.

    Raises:
        ValueError: for a text without words, no texts, or a shorter length.

    >>> framed([np.array([0, 2])], 5).tokens
    array([[1, 4, 6, 2, 0]], dtype=int32)
    """
    check_at_least("length", length, 3)
    check_at_least("number of texts", len(rows))
    check_at_least("words of the shortest text", min(map(len, rows)))
    tokens, word_ids = np.full((len(rows), length), PAD, np.int32), np.full((len(rows), length), -1, np.int32)
    lengths = np.array([min(len(row), length - 2) + 2 for row in rows], np.int32)
    for i, (row, end) in enumerate(zip(rows, lengths, strict=True)):
        tokens[i, 0], tokens[i, end - 1] = CLS, SEP
        tokens[i, 1 : end - 1] = np.asarray(row[: end - 2]) + SPECIALS
        word_ids[i, 1 : end - 1] = np.arange(end - 2)
    return Texts(tokens, word_ids, lengths)


def open_corpus(preset: Preset) -> Source[Corpus]:
    """The texts of a preset, or those of its fallback where they are not on this machine.

    Raises:
        DatasetUnavailable: if they are missing, cannot be downloaded, and nothing stands in.
        ValueError: for a set that there is not, or a vocabulary that the texts cannot fill.
    """
    loaders = {
        "topics": topics,
        "wikitext-2": wikitext,
        "cranfield": cranfield_windows,
        "prepared": prepared,
    }
    if preset.texts not in loaders:
        raise ValueError(f"texts is {preset.texts!r}; it must be one of {', '.join(loaders)}")
    fallback = preset.fallback
    return open_or(
        lambda: loaders[preset.texts](preset),
        None if fallback is None else lambda: loaders[fallback.texts](fallback),
        stand_in_for="" if preset.texts == "prepared" else "Wikipedia, BookCorpus, MS MARCO",
    )


def wikitext(preset: Preset) -> Corpus:
    """WikiText-2: runs of its most frequent words, line by line; the last runs are held out."""
    text = "\n".join(wikitext2(part) for part in ("valid", "test")).lower().replace("<unk>", " ")
    lines = [re.findall(r"[^\W\d_]+", line) for line in text.split("\n")]
    frequent = vocabulary([word for line in lines for word in line], preset.encoder.vocab_size - SPECIALS).words
    index = {word: i for i, word in enumerate(frequent)}
    runs = []
    for line in lines:
        kept = np.array([index[word] for word in line if word in index], np.int32)
        runs += list(kept[: len(kept) // preset.passages.run * preset.passages.run].reshape(-1, preset.passages.run))
    order = generator(jax.random.key(0)).permutation(len(runs))
    return _cut(f"WikiText-2, {len(frequent)} most frequent words", preset, frequent, np.stack(runs)[order])


def topics(preset: Preset) -> Corpus:
    """Generated texts: every run mixes words of two topics with words that all topics share."""
    draw, count, size = generator(jax.random.key(0)), preset.encoder.vocab_size - SPECIALS, preset.passages.run
    shared, per_topic = count // 5, 12
    of_topic = shared + np.arange((count - shared) // per_topic * per_topic).reshape(-1, per_topic)
    zipf = lambda n: (1 / np.arange(1, n + 1)) / (1 / np.arange(1, n + 1)).sum()  # noqa: E731
    runs = []
    for _ in range(6 * preset.passages.held_out):
        own = of_topic[draw.choice(len(of_topic), 2, replace=False)].ravel()
        common = draw.choice(shared, size, p=zipf(shared))
        runs.append(np.where(draw.random(size) < 0.5, draw.choice(own, size), common))
    words = tuple(f"w{i}" for i in range(count))
    return _cut(f"generated texts of {len(of_topic)} topics", preset, words, np.stack(runs))


def _cut(name: str, preset: Preset, words: tuple[str, ...], runs: Int[np.ndarray, "n run"]) -> Corpus:
    """Training texts from all runs but the last; a passage and a query from each of these."""
    c = preset.passages
    if len(runs) <= c.held_out:
        raise ValueError(f"held_out is {c.held_out}; there are {len(runs)} runs, and some must be left to train on")
    train, test = runs[: -c.held_out], runs[-c.held_out :]
    windows = [run[start : start + c.words] for run in train for start in c.starts]
    number = np.arange(c.held_out)

    def pairs(runs):
        return tuple(framed([run[slice(*words)] for run in runs], preset.length) for words in (c.query, (0, c.words)))

    queries, passages = pairs(test)
    return Corpus(
        f"{name}, {len(train)} runs of {c.run} to train on, {c.held_out} held out",
        preset,
        words,
        framed(windows, preset.length),
        queries,
        passages,
        owner=number,
        relevant=np.eye(c.held_out, dtype=bool),
        pairs=pairs(train),
    )


def cranfield_windows(preset: Preset) -> Corpus:
    """Cranfield: windows of the most frequent words that are no stop words; a document is as good as its best window."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    collection, width = cranfield(), preset.passages.words
    split = [[w for w in re.findall(r"[a-z]+", text.lower()) if w not in ENGLISH_STOP_WORDS] for text in collection.documents]
    frequent = vocabulary([word for text in split for word in text], preset.encoder.vocab_size - SPECIALS).words
    index = {word: i for i, word in enumerate(frequent)}
    kept = [np.array([index[word] for word in text if word in index], np.int32) for text in split]
    windows = [
        (number, ids[max(0, min(start, len(ids) - width)) :][:width])
        for number, ids in enumerate(kept)
        for start in range(0, len(ids), width)
    ]
    asked = [[index[w] for w in re.findall(r"[a-z]+", text.lower()) if w in index] for text in collection.queries]
    relevant = np.zeros((len(asked), len(kept)), bool)
    relevant[collection.judgements[:, 0], collection.judgements[:, 1]] = True
    answerable = [i for i, ids in enumerate(asked) if ids]
    owner, rows = zip(*windows, strict=True)
    passages = framed(list(rows), preset.length)
    return Corpus(
        f"{collection.name}; {len(frequent)} most frequent words, {len(answerable)} queries with any of them",
        preset,
        frequent,
        passages,
        framed([np.array(asked[i]) for i in answerable], preset.length),
        passages,
        owner=np.array(owner),
        relevant=relevant[answerable],
        full=(tuple(collection.documents), tuple(collection.queries[i] for i in answerable)),
    )


def prepared(preset: Preset) -> Corpus:
    """Tokens that people made by the hint of the set: texts to train on, queries, passages, judgements.

    Raises:
        DatasetUnavailable: if a file is missing.
        DatasetCorrupt: if arrays do not belong together.
    """
    train, queries, passages, *pairs = (
        _prepared_texts(name, preset) for name in ("train", "queries", "passages", "train-queries", "train-passages")
    )
    judged = read_npy(provided("dupmae-tokens", "judgements.npy"))
    relevant = np.zeros((len(queries.tokens), len(passages.tokens)), bool)
    inside = judged.ndim == 2 and judged.shape[1] == 2 and judged.dtype.kind in "iu" and judged.min(initial=0) >= 0
    if not inside or not (judged < relevant.shape).all():
        raise DatasetCorrupt(f"dupmae-tokens/judgements.npy has shape {judged.shape}; it needs pairs inside of {relevant.shape}")
    relevant[tuple(judged.T)] = True
    name = f"prepared tokens, {len(train.tokens)} texts, {len(passages.tokens)} passages"
    return Corpus(
        name, preset, (), train, queries, passages, np.arange(len(passages.tokens)), relevant, pairs=(pairs[0], pairs[1])
    )


def _prepared_texts(name: str, preset: Preset) -> Texts:
    tokens, word_ids = (read_npy(provided("dupmae-tokens", f"{name}.{part}.npy")) for part in ("tokens", "word_ids"))
    fits = tokens.ndim == 2 and tokens.shape == word_ids.shape and {tokens.dtype.kind, word_ids.dtype.kind} <= {"i", "u"}
    if (
        not fits
        or tokens.shape[1] > preset.encoder.max_length
        or not 0 <= tokens.min() <= tokens.max() < preset.encoder.vocab_size
    ):
        raise DatasetCorrupt(
            f"dupmae-tokens/{name} holds tokens {tokens.shape} and word_ids {word_ids.shape}; they need whole numbers of one "
            f"shape [n, t], t up to {preset.encoder.max_length}, ids below {preset.encoder.vocab_size}"
        )
    return Texts(tokens, word_ids, (tokens != PAD).sum(1).astype(np.int32))
