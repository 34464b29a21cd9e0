"""Rivals that count words: TF-IDF cosine and BM25."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from quire.common.checks import check_at_least

WORD = r"(?u)\b\w+\b"


def tf_idf_scores(queries: Sequence[str], documents: Sequence[str]) -> Float[np.ndarray, "q d"]:
    """Cosines of TF-IDF vectors.

    Args:
        queries, documents: texts; the documents make the vocabulary and the frequencies.

    Raises:
        ValueError: without a document or any word.

    >>> tf_idf_scores(["a b"], ["a b", "c"]).round(3)
    array([[1., 0.]])
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    check_at_least("number of documents", len(documents))
    vectorizer = TfidfVectorizer(token_pattern=WORD)
    vectors = vectorizer.fit_transform(documents)
    return (vectorizer.transform(queries) @ vectors.T).toarray()


def bm25_scores(
    queries: Sequence[str], documents: Sequence[str], *, k1: float = 1.2, b: float = 0.75
) -> Float[np.ndarray, "q d"]:
    """`sum over the words w of the query of idf(w) f (k1 + 1) / (f + k1 (1 - b + b |d| / mean |d|))`, f the count of w in d.

    Args:
        queries, documents: texts; `idf = log(1 + (N - n + 1/2) / (n + 1/2))` of n among N documents.
        k1: how fast repetitions saturate.
        b: how much long documents are discounted.

    Raises:
        ValueError: without a document or any word.

    References:
        Robertson and Zaragoza, *The Probabilistic Relevance Framework: BM25 and Beyond*, 2009.

    >>> bm25_scores(["a"], ["a b", "c d"]).round(4)
    array([[0.6931, 0.    ]])
    """
    from sklearn.feature_extraction.text import CountVectorizer

    check_at_least("number of documents", len(documents))
    vectorizer = CountVectorizer(token_pattern=WORD)
    counts = vectorizer.fit_transform(documents).astype(float).tocoo()
    lengths = np.asarray(counts.sum(axis=1)).ravel()
    holding = np.bincount(counts.col, minlength=counts.shape[1])
    idf = np.log1p((len(documents) - holding + 0.5) / (holding + 0.5))
    damped = counts.data + k1 * (1 - b + b * lengths[counts.row] / max(lengths.mean(), 1e-12))
    counts.data = idf[counts.col] * counts.data * (k1 + 1) / damped
    return (vectorizer.transform(queries) @ counts.tocsr().T).toarray()
