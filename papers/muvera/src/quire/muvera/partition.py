"""Space partitions phi: which tokens share a block of the encoding, and which token stands in where a block is empty."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from quire.common.quant.codebooks import assign, kmeans

MAX_BITS = 30


def gray_rank(bits: Bool[Array, "*batch k"]) -> Int[Array, "*batch"]:
    """Number of a cluster: the rank of its bits in the reflected Gray code, `c <- 2c + (b_j XOR (c mod 2))` for j = 1..k.

    Bit j of the rank is the XOR of `b_1 .. b_j`, so clusters that follow each other differ in one bit.

    Args:
        bits: most significant first; none give rank 0.

    >>> gray_rank(jnp.array([[0, 0], [0, 1], [1, 1], [1, 0]], bool)).tolist()
    [0, 1, 2, 3]
    """
    k = bits.shape[-1]
    prefix = jnp.cumsum(bits.astype(jnp.int32), axis=-1) % 2
    return prefix @ jnp.asarray(2 ** np.arange(k)[::-1], jnp.int32)


def gray_bits(rank: Int[Array, "*batch"], k: int) -> Bool[Array, "*batch k"]:
    """Inverse of `gray_rank`: the binary digits of `c XOR (c >> 1)`.

    Args:
        rank: 0 .. 2^k - 1.
        k: how many bits.

    >>> gray_bits(jnp.array([2, 3]), 2).astype(int).tolist()
    [[1, 1], [1, 0]]
    """
    rank = jnp.asarray(rank)
    shifts = jnp.asarray(np.arange(k)[::-1].copy(), rank.dtype)
    code = rank ^ (rank >> 1)
    return jnp.asarray((code[..., None] >> jnp.broadcast_to(shifts, (*rank.shape, k))) & 1, bool)


def simhash_bits(tokens: Float[Array, "*batch d"], directions: Float[Array, "d k"]) -> Bool[Array, "*batch k"]:
    """On which side of every hyperplane a token lies, `b_j = 1[<g_j, x> > 0]`; on the plane counts as 0.

    Two tokens at angle theta differ in a bit with probability `theta / pi`.

    Args:
        tokens: vectors.
        directions: one normal a column.

    >>> simhash_bits(jnp.array([1.0, -1.0]), jnp.array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])).astype(int).tolist()
    [1, 0, 0]
    """
    return jnp.matmul(tokens, directions, precision="highest") > 0


class SimHash(NamedTuple):
    """Partition by the signs of Gaussian projections; 2^k clusters.

    Attributes:
        directions: `[R, d, k]`, or `[d, k]` for one repetition.
    """

    directions: Float[Array, "*r d k"]

    @property
    def dim(self) -> int:
        return self.directions.shape[-2]

    @property
    def num_clusters(self) -> int:
        return 2 ** self.directions.shape[-1]

    def clusters(self, tokens: Float[Array, "t d"]) -> Int[Array, " t"]:
        """Cluster of every token, for one repetition."""
        return gray_rank(simhash_bits(tokens, self.directions))

    def nearest(self, tokens: Float[Array, "t d"], owners: Int[Array, " t"], first: Int[Array, "n b"]) -> Int[Array, "n b"]:
        """For every set and cluster the set's token whose bits differ least from the cluster's, the first of equals.

        Only the first token of a cluster can win, and Hamming distances add up bit by bit: k rounds of minima between clusters
        that differ in one bit find it, `n B k` operations where comparing every token with every cluster takes `t B`.

        Args:
            tokens, owners: not needed here; other partitions do.
            first: position of the first token of a set in a cluster, t where there is none.
        """
        k, t = self.directions.shape[-1], len(tokens)
        key = jnp.where(first < t, first, (k + 1) * t)  # distance * t + position
        for flipped in neighbours(k):
            key = jnp.minimum(key, key[:, flipped] + t)
        return key % t


def neighbours(k: int) -> Int[np.ndarray, "k clusters"]:
    """Ranks of the clusters that differ from each cluster in bit 1, 2, .., k.

    >>> neighbours(2).tolist()
    [[3, 2, 1, 0], [1, 0, 3, 2]]
    """
    rank = np.arange(2**k)
    code = rank ^ (rank >> 1)
    table = np.empty_like(rank)
    table[code] = rank
    return np.array([table[code ^ (1 << j)] for j in reversed(range(k))], int).reshape(k, 2**k)


class Centres(NamedTuple):
    """Partition by the nearest of given centres, those of k-means for instance.

    Attributes:
        centres: `[R, B, d]`, or `[B, d]` for one repetition.
    """

    centres: Float[Array, "*r b d"]

    @property
    def dim(self) -> int:
        return self.centres.shape[-1]

    @property
    def num_clusters(self) -> int:
        return self.centres.shape[-2]

    def clusters(self, tokens: Float[Array, "t d"]) -> Int[Array, " t"]:
        """Nearest centre of every token, for one repetition."""
        return assign(tokens, self.centres)

    def nearest(self, tokens: Float[Array, "t d"], owners: Int[Array, " t"], first: Int[Array, "n b"]) -> Int[Array, "n b"]:
        """For every set and centre the set's token nearest to the centre, the first of equals.

        Args:
            tokens: vectors.
            owners: set of every token; n for none.
            first: only its shape counts.
        """
        n, t = len(first), len(tokens)
        distance = jnp.sum(self.centres**2, axis=1)[None] - 2 * tokens @ self.centres.T
        least = jax.ops.segment_min(distance, owners, n)
        reaches = ~(distance > least[jnp.minimum(owners, n - 1)])  # of NaN distances the first, so that it shows
        position = jnp.where(reaches, jnp.arange(t, dtype=jnp.int32)[:, None], t)
        return jnp.minimum(jax.ops.segment_min(position, owners, n), t - 1)


Partition = SimHash | Centres


def kmeans_partition(key: jax.Array, tokens: Float[Array, "t d"], clusters: int, repetitions: int, iters: int = 10) -> Centres:
    """The paper's other partition: centres of k-means on tokens, started anew for every repetition.

    Args:
        key: for the starts.
        tokens: a sample of the documents' tokens.
        clusters: B.
        repetitions: R.
        iters: of Lloyd's.

    Raises:
        ValueError: as `kmeans` does.
    """
    keys = jax.random.split(key, repetitions)
    return Centres(jnp.stack([kmeans(tokens, clusters, key=one, iters=iters).centres for one in keys]))
