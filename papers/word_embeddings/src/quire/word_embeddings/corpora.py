"""Texts to learn from: one with known word classes, one whose class is an order of two words, and real ones."""

import re
from dataclasses import dataclass
from functools import cache

import jax
import numpy as np
from jaxtyping import Float, Int

from quire.common.checks import check_at_least
from quire.common.data.archives import read_text
from quire.common.data.labelled_texts import newsgroups
from quire.common.data.registry import provided
from quire.common.data.source import Source, open_or
from quire.common.data.text import wikitext2
from quire.common.data.word_questions import word_similarity
from quire.common.random import generator
from quire.word_embeddings.blocks import Text
from quire.word_embeddings.vocabulary import Vocab


@dataclass(frozen=True, eq=False)
class Grammar:
    """A text of word classes that follow one another as a Markov chain.

    Attributes:
        text: ids from 1, one sentence.
        classes: class of every id; of 0, the padding, -1.
        transitions: probability of the next class.
    """

    text: Text
    classes: Int[np.ndarray, " v"]
    transitions: Float[np.ndarray, "c c"]


def class_grammar(key: jax.Array, tokens: int, *, classes: int = 20, words: int = 10, concentration: float = 0.1) -> Grammar:
    """Classes of words that stand in for one another: rows of the chain from a Dirichlet distribution, Zipf's law in a class.

    Args:
        key: for the draws.
        tokens: of the text.
        classes, words: how many, and words in each.
        concentration: of the Dirichlet distribution; small for few successors of a class.

    Raises:
        ValueError: for a size below 1 or a concentration that is not positive.

    >>> grammar = class_grammar(jax.random.key(0), 1000, classes=3, words=2)
    >>> grammar.classes.tolist(), int(grammar.text.counts.sum())
    ([-1, 0, 0, 1, 1, 2, 2], 1001)
    """
    for name, size in (("tokens", tokens), ("classes", classes), ("words", words)):
        check_at_least(name, size)
    if not concentration > 0:
        raise ValueError(f"concentration is {concentration}; it must be positive")
    draw = generator(key)
    transitions = draw.dirichlet(np.full(classes, concentration), classes)
    ends = np.cumsum(transitions, axis=1)
    path = np.zeros(tokens, int)
    for i, number in enumerate(draw.random(tokens - 1), 1):
        path[i] = min(int(np.searchsorted(ends[path[i - 1]], number)), classes - 1)
    ranks = 1 / np.arange(1, words + 1)
    ids = (1 + words * path + draw.choice(words, tokens, p=ranks / ranks.sum())).astype(np.int32)
    counts = np.bincount(ids, minlength=1 + classes * words)
    counts[0] = 1
    named = np.concatenate([[-1], np.repeat(np.arange(classes), words)])
    return Grammar(Text(ids, np.array([tokens]), counts), named, transitions)


def class_neighbours(vectors: Float[np.ndarray, "v d"], classes: Int[np.ndarray, " v"]) -> float:
    """Share of words whose nearest other word by cosine is of their class; the padding, of class -1, does not count."""
    known = classes >= 0
    unit = vectors[known] / np.maximum(np.linalg.norm(vectors[known], axis=1, keepdims=True), np.finfo(np.float32).tiny)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -np.inf)
    if np.isnan(unit).any():
        return float("nan")
    return float(np.mean(classes[known][cosines.argmax(1)] == classes[known]))


@dataclass(frozen=True, eq=False)
class Documents:
    """Word ids `[n, t]`, 0 after the end, their lengths and labels; `name` as tables show it."""

    name: str
    ids: Int[np.ndarray, "n t"]
    lengths: Int[np.ndarray, " n"]
    labels: Int[np.ndarray, " n"]


def marker_order(key: jax.Array, count: int, *, length: int = 32, gap: tuple[int, int] = (4, 20), fillers: int = 40) -> Documents:
    """Filler words with two markers among them; the class says which of the two comes first.

    Args:
        key: for the draws.
        count: of documents.
        length: words of each.
        gap: least and largest distance between the markers.
        fillers: different filler words; the markers are words 1 and 2.

    Raises:
        ValueError: for sizes below 1 or a gap that does not fit.
    """
    check_at_least("count", count)
    check_at_least("fillers", fillers)
    if not 1 <= gap[0] <= gap[1] < length:
        raise ValueError(f"gap is {gap}; it must lie between 1 and the length, {length}, less one")
    draw = generator(key)
    ids = draw.integers(3, 3 + fillers, (count, length))
    labels = draw.integers(0, 2, count)
    apart = draw.integers(gap[0], gap[1] + 1, count)
    first = draw.integers(0, length - apart)
    rows = np.arange(count)
    ids[rows, first], ids[rows, first + apart] = 1 + labels, 2 - labels
    name = f"order of two words {gap[0]} to {gap[1]} apart in {length}"
    return Documents(name, ids.astype(np.int32), np.full(count, length), labels.astype(np.int32))


# --- Real texts ---


def words_of(text: str) -> list[str]:
    """Words in lower case, letters and apostrophes only.

    >>> words_of("It's 4 o'clock, SIR.")
    ["it's", "o'clock", 'sir']
    """
    return re.findall(r"[a-z]+(?:'[a-z]+)*", text.lower())


@dataclass(frozen=True, eq=False)
class JudgedText:
    """A text, and pairs of its words with a rating of their similarity.

    Attributes:
        name: as tables show it.
        text: ids, lengths and counts.
        index: id of every word.
        pairs: word, word, rating.
    """

    name: str
    text: Text
    index: dict[str, int]
    pairs: tuple[tuple[str, str, float], ...]


@cache
def english(min_count: int) -> JudgedText:
    """20 Newsgroups and WikiText-2, a sentence for each post or paragraph, with the pairs of MEN.

    Raises:
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    posts, pairs = newsgroups(), word_similarity("MEN-TR-3k")
    texts = [*posts.train.texts, *posts.test.texts, *"\n".join(map(wikitext2, ("valid", "test"))).split("\n")]
    return _judged("20 Newsgroups and WikiText-2", [words_of(text) for text in texts], min_count, pairs)


@cache
def generated_english(tokens: int = 200_000) -> JudgedText:
    """The grammar of word classes; two words are similar if they are of one class."""
    grammar = class_grammar(jax.random.key(0), tokens, classes=50, words=20)
    draw = np.random.default_rng(0)
    first = draw.integers(1, len(grammar.classes), 1500)
    mates = 1 + 20 * grammar.classes[first] + draw.integers(0, 20, 1500)
    second = np.where(draw.random(1500) < 0.5, mates, draw.integers(1, len(grammar.classes), 1500))
    index = {f"w{i}": i for i in range(1, len(grammar.classes))}
    pairs = [(f"w{a}", f"w{b}", float(grammar.classes[a] == grammar.classes[b])) for a, b in zip(first, second, strict=True)]
    return JudgedText(f"generated word classes ({tokens / 1e6:.2f} M words)", grammar.text, index, tuple(pairs))


@cache
def wikipedia(min_count: int) -> JudgedText:
    """text8, 17 M words of Wikipedia, in sentences of 1000 words, with the pairs of MEN.

    Raises:
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    pairs = word_similarity("MEN-TR-3k")
    stream = read_text(provided("text8", "text8")).split()
    sentences = [stream[i : i + 1000] for i in range(0, len(stream), 1000)]
    return _judged("text8", sentences, min_count, pairs)


def _judged(name: str, sentences: list[list[str]], min_count: int, pairs) -> JudgedText:
    vocab = Vocab.build(filter(None, sentences), min_count)
    ids, lengths = vocab.encode(sentences)
    bare = [(a.split("-")[0], b.split("-")[0], rating) for a, b, rating in pairs]
    described = f"{name} ({len(ids) / 1e6:.2f} M words of {len(vocab)}), MEN"
    return JudgedText(described, Text(ids, lengths, vocab.counts), dict(vocab.index), tuple(bare))


PAPER_TEXT = "Wikipedia and New York Times, 1.2 G words"


def open_text(corpus: str, min_count: int) -> Source[JudgedText]:
    """Real text with people's ratings. For `english`, generated text with its classes stands in where that is not at hand.

    Args:
        corpus: `english` or `text8`.
        min_count: occurrences that a word needs.

    Raises:
        DatasetUnavailable: if text8 is missing.
        DatasetCorrupt: if a file is damaged.
    """
    if corpus == "text8":
        return open_or(lambda: wikipedia(min_count), stand_in_for=PAPER_TEXT)
    return open_or(lambda: english(min_count), generated_english, stand_in_for=PAPER_TEXT)


SUPER_CLASSES = ("comp", "rec", "politics", "religion")


@cache
def news(words: int, min_count: int) -> tuple[Documents, Documents, JudgedText]:
    """Posts on computers, recreation, politics and religion, cut after so many words: for training and for the test.

    Also the text that the words were taken from, to learn vectors.

    Raises:
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    posts, known = newsgroups(), english(min_count)
    labels = [next((i for i, name in enumerate(SUPER_CLASSES) if name in group), -1) for group in posts.classes]

    def documents(side):
        kept = [(words_of(text), labels[label]) for text, label in zip(*side, strict=True) if labels[label] >= 0]
        ids = np.zeros((len(kept), words), np.int32)
        lengths = np.ones(len(kept), int)  # an empty post is one end of sentence
        for row, (post, _) in enumerate(kept):
            found = [known.index[word] for word in post if word in known.index][:words]
            ids[row, : len(found)], lengths[row] = found, max(1, len(found))
        name = f"20 Newsgroups, four classes ({len(kept)} posts)"
        return Documents(name, ids, lengths, np.array([label for _, label in kept], np.int32))

    return documents(posts.train), documents(posts.test), known
