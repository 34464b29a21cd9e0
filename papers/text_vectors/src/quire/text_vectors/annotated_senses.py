"""Senses that people gave to words in sentences, against those that a model finds: SemEval-2013."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from quire.common.data.sense_induction import SenseInstance
from quire.common.metrics.clustering import adjusted_rand_index
from quire.text_vectors.context_clustering import first_component_side
from quire.text_vectors.disambiguated_skipgram import DSGWeights
from quire.text_vectors.sense_text import UNKNOWN, word_list
from quire.text_vectors.senses import induce_senses


class Judged(NamedTuple):
    """Occurrences of one word: ids to the left and to the right of each, and its sense."""

    word: int
    left: list[Int[np.ndarray, "_"]]
    right: list[Int[np.ndarray, "_"]]
    gold: Int[np.ndarray, " n"]


def judged_words(instances: Sequence[SenseInstance], words: Mapping[str, int]) -> Iterator[Judged]:
    """Occurrences by lemma, as ids; lemmas that are not known, and occurrences without a known word around, are left out.

    >>> instances = [SenseInstance("call.v", "they", "home often", "call.v.1"), SenseInstance("see.v", "", "it", "see.v.1")]
    >>> [(judged.word, judged.right) for judged in judged_words(instances, {"call": 3, "home": 5})]
    [(3, [array([5])])]
    """
    of_lemma = defaultdict(list)
    for instance in instances:
        left, right = (np.array([words[w] for w in word_list(x) if w in words], int) for x in (instance.left, instance.right))
        if len(left) + len(right):
            of_lemma[instance.lemma].append((left, right, instance.sense))
    for lemma, rows in of_lemma.items():
        word = lemma.rsplit(".", 1)[0]
        if word in words:
            left, right, senses = zip(*rows, strict=True)
            yield Judged(words[word], list(left), list(right), np.unique(senses, return_inverse=True)[1])


def agreement(weights: DSGWeights, instances: Sequence[SenseInstance], words: Mapping[str, int]) -> dict[str, float]:
    """Mean over words of the adjusted Rand index with what people judged.

    Args:
        weights: tables with classifiers of the words' own.
        instances: occurrences.
        words: ids by word.

    Returns:
        That of the model; of the sides of a principal component of the contexts; and the number of words.

    Raises:
        ValueError: if no word is known.
    """
    judged = list(judged_words(instances, words))
    if not judged:
        raise ValueError(f"words has none of the lemmas of {len(instances)} instances; at least one is needed")
    model = [adjusted_rand_index(x.gold, induce_senses(weights, x.word, x.left, x.right)[0]) for x in judged]
    sides = [adjusted_rand_index(x.gold, first_component_side(_padded(x), len(weights.out_w), UNKNOWN)) for x in judged]
    return {"model": float(np.mean(model)), "principal component": float(np.mean(sides)), "words": float(len(judged))}


def _padded(judged: Judged) -> Int[np.ndarray, "n C"]:
    contexts = [np.concatenate(sides) for sides in zip(judged.left, judged.right, strict=True)]
    size = max(map(len, contexts))
    return np.stack([np.pad(ids, (0, size - len(ids)), constant_values=UNKNOWN) for ids in contexts])
