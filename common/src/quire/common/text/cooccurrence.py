"""Which words stand near which: counts, pointwise mutual information, and word vectors from its singular values.

Levy and Goldberg 2014 show that skip-gram with negative sampling factorises the same matrix, so these vectors are the rival that
costs nothing to train.
"""

from typing import Literal

import jax
import numpy as np
from jaxtyping import Float, Int, Real
from scipy import sparse
from threadpoolctl import threadpool_limits

from quire.common.checks import check_ids
from quire.common.random import generator

Weighting = Literal["uniform", "harmonic"]


def cooccurrence(
    ids: Int[np.ndarray, " tokens"],
    lengths: Int[np.ndarray, " sentences"] | None,
    window: int,
    *,
    vocab_size: int,
    weighting: Weighting = "uniform",
) -> sparse.csr_array:
    """How often word j stands within `window` words of word i, in the same sentence, on either side.

    Args:
        ids: the text as word indices, sentence after sentence.
        lengths: words of every sentence, which sum to the tokens; one sentence by default.
        window: largest distance.
        vocab_size: V.
        weighting: a pair at distance d counts 1, or 1 / d (`"harmonic"`, as in GloVe).

    Returns:
        Symmetric counts, float64 `[V, V]`.

    Raises:
        ValueError: for a window below 1, an unknown weighting, ids out of range, or lengths that do not sum to the tokens.

    >>> cooccurrence(np.array([0, 1, 2]), None, 1, vocab_size=3).toarray().astype(int).tolist()
    [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
    """
    ids = np.asarray(ids)
    lengths = np.array([len(ids)]) if lengths is None else np.asarray(lengths)
    if window < 1 or weighting not in ("uniform", "harmonic"):
        raise ValueError(f"window is {window} and weighting {weighting!r}; they need at least 1, and uniform or harmonic")
    check_ids("ids", ids, vocab_size)
    if (lengths < 0).any() or lengths.sum() != len(ids):
        raise ValueError(f"lengths sum to {lengths.sum()}; the text has {len(ids)} words")
    sentence = np.repeat(np.arange(len(lengths)), lengths)
    total = sparse.csr_array((vocab_size, vocab_size))
    for distance in range(1, min(window, len(ids) - 1) + 1):
        together = sentence[distance:] == sentence[:-distance]
        first, second = ids[:-distance][together], ids[distance:][together]
        weight = np.full(len(first), 1.0 if weighting == "uniform" else 1 / distance)
        total = total + sparse.csr_array((weight, (first, second)), (vocab_size, vocab_size))
    return (total + total.T).tocsr()


def ppmi(counts: sparse.sparray | Real[np.ndarray, "V V"], shift: float = 1.0) -> sparse.csr_array:
    """Positive pointwise mutual information, `max(0, log(X_ij D / (X_i X_j)) - log shift)`.

    Args:
        counts: co-occurrences `[V, V]`; words that never occur give zero rows.
        shift: number of negative samples that the matrix corresponds to.

    Raises:
        ValueError: for a shift that is not positive, or counts that are negative or not finite.
    """
    counts = sparse.csr_array(counts, dtype=float)
    counts.eliminate_zeros()
    if not shift > 0:
        raise ValueError(f"shift is {shift}; it must be positive")
    if not np.isfinite(counts.data).all() or (counts.data < 0).any():
        raise ValueError("counts must be finite and not negative")
    rows, columns = counts.sum(1), counts.sum(0)
    entries = counts.tocoo()
    i, j = entries.coords
    information = np.log(entries.data) + np.log(counts.sum() or 1) - np.log(rows[i]) - np.log(columns[j]) - np.log(shift)
    positive = information > 0
    return sparse.csr_array((information[positive], (i[positive], j[positive])), counts.shape)


def ppmi_svd(
    counts: sparse.sparray | Real[np.ndarray, "V V"], dim: int, key: jax.Array, *, shift: float = 1.0, power_steps: int = 4
) -> Float[np.ndarray, "V dim"]:
    """Word vectors `U sqrt(S)` from the largest singular values of the PPMI matrix, by a randomised range finder.

    Args:
        counts: co-occurrences `[V, V]`.
        dim: of the vectors, at most V.
        key: for the random range.
        shift: see `ppmi`.
        power_steps: multiplications with the matrix and its transpose that sharpen the range (Halko et al. 2011).

    Returns:
        float32 vectors; words without a positive entry get zeros.

    Raises:
        ValueError: for a dim outside 1..V; see `ppmi`.
    """
    matrix = ppmi(counts, shift)
    size = matrix.shape[0]
    if not 1 <= dim <= size:
        raise ValueError(f"dim is {dim}; it must be between 1 and the {size} words")
    basis = generator(key).standard_normal((size, min(size, dim + 10)))
    with threadpool_limits(1):  # several threads spend five times the processor time on matrices this narrow
        for _ in range(power_steps):
            basis = np.linalg.qr(matrix @ basis)[0]
            basis = np.linalg.qr(matrix.T @ basis)[0]
        basis = np.linalg.qr(matrix @ basis)[0]
        left, singular, _ = np.linalg.svd((matrix.T @ basis).T, full_matrices=False)
    vectors = (basis @ left)[:, :dim] * np.sqrt(singular[:dim])
    return vectors.astype(np.float32)
