"""Tf-idf: counts of words, weighted by how few documents have them."""

import numpy as np
from jaxtyping import Float, Real

from quire.common.checks import check_at_least


def tf_idf(counts: Real[np.ndarray, "n V"], train: int | None = None, *, sublinear: bool = False) -> Float[np.ndarray, "n V"]:
    """Rows of `tf (log((n + 1) / (df + 1)) + 1)`, of length one; zeros for a document without a word.

    Args:
        counts: how often each document has each word.
        train: document frequencies are those of so many first ones; of all by default.
        sublinear: tf is `1 + log count` rather than the count.

    Returns:
        float64.

    Raises:
        ValueError: for negative counts or numbers that are not finite, or a `train` outside of 1..n.

    >>> print(tf_idf(np.array([[1, 0], [1, 1]])).round(2))
    [[1.   0.  ]
     [0.58 0.81]]
    """
    from sklearn.feature_extraction.text import TfidfTransformer

    counts = np.asarray(counts)
    if counts.ndim != 2 or not np.isfinite(counts).all() or (counts < 0).any():
        raise ValueError(f"counts has shape {counts.shape} and numbers that are negative or not finite; it needs counts [n, V]")
    train = len(counts) if train is None else check_at_least("train", train)
    if train > len(counts) or not counts.size:
        raise ValueError(f"train is {train}; counts has shape {counts.shape}, it needs at least as many rows and one word")
    weights = TfidfTransformer(sublinear_tf=sublinear).fit(counts[:train].astype(float))
    return weights.transform(counts.astype(float)).toarray()
