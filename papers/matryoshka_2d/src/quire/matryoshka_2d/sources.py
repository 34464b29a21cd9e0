"""Sentences of a preset as ids: pairs or triplets to train on, pairs with scores to evaluate on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from quire.common.data.registry import provided
from quire.common.data.sentence_pairs import ScoredPairs, nli_triplets, sts_benchmark, sts_suite, template_pairs
from quire.common.data.source import Source, open_or
from quire.common.metrics.rank_correlation import spearman
from quire.common.text.tokenizers import Tokenizer, WordPieces, WordTokenizer
from quire.matryoshka_2d.config import Preset
from quire.matryoshka_2d.evaluation import TokenPairs, bag_of_words_cosines


@dataclass(frozen=True, eq=False)
class Sentences:
    """Sentences of a preset.

    Attributes:
        name: as tables show it.
        preset: the sizes that go with these sentences.
        train: ids of the training pairs `[n, 2, t]` or triplets `[n, 3, t]`.
        labels: similarity of the training pairs; zeros for triplets.
        test: pairs with scores by the name of their set.
        bag_of_words: Spearman's rho of the bag-of-words cosine, mean over the test sets.
        tokenizer: what made the ids.
    """

    name: str
    preset: Preset
    train: Int[np.ndarray, "n texts t"]
    labels: Float[np.ndarray, " n"]
    test: dict[str, TokenPairs]
    bag_of_words: float
    tokenizer: Tokenizer


def open_sentences(preset: Preset) -> Source[Sentences]:
    """The sentences of a preset, or those of its fallback where they are not on this machine.

    Raises:
        DatasetUnavailable: if they are missing, cannot be downloaded, and nothing stands in.
        ValueError: for a set that there is not.
    """
    loaders = {
        "templates": lambda p: _scored(p, template_pairs()),
        "sts-benchmark": lambda p: _scored(p, sts_benchmark()),
        "nli": _inferences,
    }
    if preset.sentences not in loaders:
        raise ValueError(f"sentences is {preset.sentences!r}; it must be one of {', '.join(loaders)}")
    fallback = preset.fallback
    return open_or(
        lambda: loaders[preset.sentences](preset),
        None if fallback is None else lambda: loaders[fallback.sentences](fallback),
        stand_in_for="" if preset.sentences == "nli" else "SNLI and MultiNLI, seven STS sets",
    )


def _scored(preset, data) -> Sentences:
    return _sentences(preset, data.name, data.train[:2], data.train.scores, {"test": data.test})


def _inferences(preset: Preset) -> Sentences:
    test, triplets = sts_suite(), nli_triplets()
    name = f"SNLI and MultiNLI, {len(triplets.premises)} triplets; {', '.join(test)}"
    return _sentences(preset, name, triplets, np.zeros(len(triplets.premises), np.float32), test)


def _sentences(
    preset: Preset, name: str, texts: Sequence[Sequence[str]], labels: np.ndarray, test: dict[str, ScoredPairs]
) -> Sentences:
    size = preset.encoder.vocab_size
    if preset.checkpoint:
        tokenizer = WordPieces.read(provided(preset.checkpoint, "vocab.txt"))
    else:
        tokenizer = WordTokenizer([text for pair in zip(*texts, strict=True) for text in pair], size)
    if tokenizer.vocab_size > size:
        raise ValueError(f"encoder.vocab_size is {size}; the tokenizer has {tokenizer.vocab_size} ids")

    def ids(sides: Sequence[Sequence[str]]) -> np.ndarray:
        return np.stack([tokenizer(side, preset.length) for side in sides], axis=1)

    scored = {name: TokenPairs(ids(pairs[:2]), pairs.scores) for name, pairs in test.items()}
    words = [spearman(bag_of_words_cosines(*pairs[:2]), pairs.scores) for pairs in test.values()]
    return Sentences(name, preset, ids(texts), labels, scored, float(np.mean(words)), tokenizer)
