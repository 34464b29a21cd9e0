"""The definitions, one token at a time in NumPy: what the encodings are compared with, and what large k still allows."""

import numpy as np
from jaxtyping import Bool, Float, Int


def bits_of(tokens: Float[np.ndarray, "m d"], directions: Float[np.ndarray, "d k"]) -> Bool[np.ndarray, "m k"]:
    """Signs of the projections, strict."""
    return tokens @ directions > 0


def rank_of(bits: Bool[np.ndarray, " k"]) -> int:
    """Rank in the reflected Gray code, digit by digit."""
    rank = 0
    for bit in bits:
        rank = 2 * rank + (int(bit) ^ (rank % 2))
    return rank


def bits_of_rank(rank: int, k: int) -> Bool[np.ndarray, " k"]:
    """Digits of `rank XOR (rank >> 1)`, most significant first."""
    code = rank ^ (rank >> 1)
    return np.array([code >> (k - 1 - j) & 1 for j in range(k)], bool)


def encode(
    tokens: Float[np.ndarray, "m d"],
    simhash: Float[np.ndarray, "r d k"],
    inner: np.ndarray | None,
    *,
    document: bool,
    fill_empty: bool = True,
) -> Float[np.ndarray, " dim"]:
    """Encoding of one set, block by block, before the final projection."""
    blocks = []
    for r, directions in enumerate(simhash):
        k = directions.shape[1]
        projected = tokens if inner is None else tokens @ inner[r]
        bits = bits_of(tokens, directions)
        ranks = np.array([rank_of(row) for row in bits])
        for c in range(2**k):
            members = projected[ranks == c]
            if len(members):
                blocks.append(members.mean(0) if document else members.sum(0))
            elif document and fill_empty:
                blocks.append(projected[np.argmin((bits != bits_of_rank(c, k)).sum(1))])
            else:
                blocks.append(np.zeros(projected.shape[1]))
    return np.concatenate(blocks)


def estimate(query: Float[np.ndarray, "m d"], document: Float[np.ndarray, "n d"], simhash: Float[np.ndarray, "r d k"]) -> float:
    """`<F_q, F_doc> / (R |Q|)` without projection, filled, without the blocks: each query token meets the mean of the
    document's tokens with its own bits, or the first of those whose bits differ least. No memory grows with 2^k.
    """
    total = 0.0
    for directions in simhash:
        distance = (bits_of(query, directions)[:, None] != bits_of(document, directions)[None]).sum(-1)
        same = distance == 0
        mean = same @ document / np.maximum(same.sum(1), 1)[:, None]
        partner = np.where(same.any(1)[:, None], mean, document[distance.argmin(1)])
        total += float((query * partner).sum())
    return total / (len(simhash) * len(query))


def chamfer(query: Float[np.ndarray, "m d"], document: Float[np.ndarray, "n d"]) -> float:
    """Sum over query tokens of the largest inner product."""
    return float(sum(max(float(q @ p) for p in document) for q in query))


def carve(query: Float[np.ndarray, "m d"], tau: float) -> Int[np.ndarray, " m"]:
    """Labels of ball carving."""
    labels = np.full(len(query), -1)
    for i in range(len(query)):
        if labels[i] < 0:
            members = (labels < 0) & (query @ query[i] >= tau)
            members[i] = True
            labels[members] = labels.max() + 1
    return labels


def sketch(
    x: Float[np.ndarray, " dim"], index: Int[np.ndarray, " dim"], sign: np.ndarray, out_dim: int
) -> Float[np.ndarray, " out"]:
    """Final projection, coordinate by coordinate."""
    out = np.zeros(out_dim)
    for value, i, s in zip(x, index, sign, strict=True):
        out[i] += s * value
    return out
