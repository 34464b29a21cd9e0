"""Token vectors without a neural encoder: what stands in for ColBERT's, good enough to have something to retrieve."""

import re
from collections import Counter
from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Float, Int
from scipy import sparse

from quire.common.text.cooccurrence import cooccurrence, ppmi_svd
from quire.muvera.token_sets import TokenSets


def words(text: str) -> list[str]:
    """Runs of letters and digits, in lower case.

    >>> words("Mach-2 flow.")
    ['mach', '2', 'flow']
    """
    return re.findall(r"[a-z0-9]+", text.lower())


class Encoder:
    """Static word vectors, mixed with those of the words around: PPMI and its singular vectors in place of a network.

    Each word has the unit vector of `ppmi_svd`, less the mean over the corpus, at unit length again. In a text it becomes
    `normalise(stay v_i + (1 - stay) mean of the vectors up to `reach` words away)`; stop words are dropped after that.

    Args:
        documents: the corpus, at least one text with words.
        dim: d.
        key: for the randomised singular vectors.
        window: of the co-occurrences, in words.
        stay: weight of the word itself.
        reach: how far its neighbours stand.
        least: texts in which a word must occur to have a vector.

    Raises:
        ValueError: if fewer words than `dim` occur that often.
    """

    def __init__(
        self,
        documents: Sequence[str],
        dim: int,
        key: jax.Array,
        *,
        window: int = 4,
        stay: float = 0.6,
        reach: int = 3,
        least: int = 2,
    ):
        self.stay, self.reach = stay, reach
        texts = [words(text) for text in documents]
        frequency = Counter(word for text in texts for word in set(text))
        # sorted: the singular vectors move with the order of the rows
        self.vocabulary = {word: i for i, word in enumerate(sorted(w for w, n in frequency.items() if n >= least))}
        ids = [self._ids(text) for text in texts]
        stream, lengths = np.concatenate(ids), np.array([len(text) for text in ids])
        counts = cooccurrence(stream, lengths, window, vocab_size=len(self.vocabulary))
        vectors = _unit(ppmi_svd(counts, dim, key))
        self.vectors = _unit(vectors - vectors[stream].mean(0))
        from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS  # a second to import

        self.stops = np.array([word in ENGLISH_STOP_WORDS for word in self.vocabulary])

    def _ids(self, text: list[str]) -> Int[np.ndarray, " words"]:
        return np.array([self.vocabulary[word] for word in text if word in self.vocabulary], int)

    def __call__(self, texts: Sequence[str]) -> TokenSets:
        """Unit vectors of the words of every text, float32; none for a text of stop words and unknown words only."""
        ids = [self._ids(words(text)) for text in texts]
        stream = np.concatenate([np.zeros(0, int), *ids])
        lengths = np.array([len(text) for text in ids], int)
        text = np.repeat(np.arange(len(ids)), lengths)
        static = self.vectors[stream]
        near = _neighbours(text, self.reach)
        around = (near @ static) / np.maximum(near.sum(1), 1)[:, None]
        mixed = _unit(self.stay * static + (1 - self.stay) * around).astype(np.float32)
        kept = ~self.stops[stream]
        return TokenSets(mixed[kept], np.bincount(text[kept], minlength=len(ids)))


def _neighbours(text: Int[np.ndarray, " words"], reach: int) -> sparse.csr_array:
    """1 where two words of the same text stand at most `reach` apart, 0 on the diagonal."""
    steps = range(1, min(reach, len(text) - 1) + 1)
    if not steps:
        return sparse.csr_array((len(text), len(text)), dtype=np.float32)
    bands = [(text[step:] == text[:-step]).astype(np.float32) for step in steps]
    above = sparse.diags_array(bands, offsets=list(steps), shape=(len(text), len(text)))
    return (above + above.T).tocsr()


def _unit(vectors: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """Rows of unit length; a zero row stays zero."""
    norm = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(norm > 0, norm, 1)
