"""Fixed dimensional encodings: one vector for a set of tokens, whose inner products approximate Chamfer similarity."""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from quire.common.checks import is_concrete
from quire.common.random import generator
from quire.muvera.partition import MAX_BITS, Partition, SimHash
from quire.muvera.projection import (
    CountSketch,
    Projection,
    count_sketch,
    sample_count_sketch,
    sample_inner_projections,
)


@dataclass(frozen=True)
class FDEConfig:
    """Shape of an encoding.

    Attributes:
        dim: d of the tokens.
        repetitions: R.
        simhash_bits: k; B = 2^k clusters.
        proj_dim: p of the inner projection; None leaves the tokens as they are (p = d).
        projection: kind of the inner projection.
        fill_empty: whether an empty block of a document takes its nearest token.
        final_dim: of the projection over the whole encoding; None for none.
        seed: of the draws that `MuveraIndex` makes.

    Raises:
        ValueError: for a size below 1, or bits outside 0..30.

    >>> FDEConfig(128, repetitions=20, simhash_bits=5, proj_dim=16).fde_dim
    10240
    """

    dim: int
    repetitions: int = 20
    simhash_bits: int = 4
    proj_dim: int | None = None
    projection: Projection = "count_sketch"
    fill_empty: bool = True
    final_dim: int | None = None
    seed: int = 1

    def __post_init__(self):
        for name in ("dim", "repetitions", "proj_dim", "final_dim"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}; it must be at least 1")
        if not 0 <= self.simhash_bits <= MAX_BITS:
            raise ValueError(f"simhash_bits is {self.simhash_bits}; it must be between 0 and {MAX_BITS}")
        if self.projection not in ("dense_sign", "count_sketch", "identity"):
            raise ValueError(f"projection is {self.projection!r}; it must be dense_sign, count_sketch or identity")
        if self.projection == "identity" and self.proj_dim not in (None, self.dim):
            raise ValueError(f"proj_dim is {self.proj_dim}; the identity keeps the {self.dim} dimensions of the tokens")

    @property
    def block_dims(self) -> int:
        """R * B * p, before the final projection."""
        return self.repetitions * 2**self.simhash_bits * (self.proj_dim or self.dim)

    @property
    def fde_dim(self) -> int:
        """Dimension of the encoding."""
        return self.final_dim or self.block_dims

    @property
    def label(self) -> str:
        """`(R, k, p)`, as the paper names its settings."""
        final = f" → {self.final_dim}" if self.final_dim else ""
        return f"({self.repetitions}, {self.simhash_bits}, {self.proj_dim or self.dim}){final}"


class Final(NamedTuple):
    """The final projection and, as the length of an array, the dimension it leads to."""

    sketch: CountSketch
    out: Bool[Array, " out"]


class FDEParams(NamedTuple):
    """All draws that queries and documents share.

    Attributes:
        partition: which cluster a token belongs to, R times.
        inner: psi `[R, d, p]`, or None for the identity.
        final: the final projection, or None.
    """

    partition: Partition
    inner: Float[Array, "r d p"] | None = None
    final: Final | None = None

    @property
    def directions(self) -> Float[Array, "r d k"]:
        """Hyperplanes of the partition.

        Raises:
            ValueError: for one that is made of centres.
        """
        if not isinstance(self.partition, SimHash):
            raise ValueError(f"partition is {type(self.partition).__name__}; only SimHash has hyperplanes")
        return self.partition.directions


def sample_fde_params(key: jax.Array, config: FDEConfig) -> FDEParams:
    """Draw hyperplanes and projections, float32.

    The authors seed repetition r with `seed + r`; here one key draws all of them, independent as well.

    Args:
        key: for the draws.
        config: what to draw.
    """
    simhash_key, inner_key, final_key = jax.random.split(key, 3)
    c = config
    directions = generator(simhash_key).standard_normal((c.repetitions, c.dim, c.simhash_bits), np.float32)
    inner = None
    if c.proj_dim is not None:
        inner = sample_inner_projections(inner_key, c.dim, c.proj_dim, c.repetitions, c.projection)
    final = None
    if c.final_dim is not None:
        final = final_projection(sample_count_sketch(final_key, c.block_dims, c.final_dim), c.final_dim)
    return FDEParams(SimHash(jnp.asarray(directions)), inner, final)


def final_projection(sketch: CountSketch, out_dim: int) -> Final:
    """A count sketch as the final projection of an encoding."""
    return Final(sketch, jnp.zeros(out_dim, bool))


def query_fde(
    params: FDEParams,
    tokens: Float[Array, "*batch m d"],
    mask: Bool[Array, "*batch m"] | None = None,
    *,
    fill_empty: bool = False,
) -> Float[Array, "*batch dim"]:
    """Encoding of a query: in every block the *sum* of its projected tokens, nothing where the query has none there.

        F_q[r, c] = sum over q in Q with phi_r(q) = c of psi_r(q)

    Args:
        params: shared draws.
        tokens: one set, or a batch of padded sets.
        mask: which tokens are real; all by default.
        fill_empty: refused: a filled block would count a token several times.

    Raises:
        ValueError: for `fill_empty`, or tokens of another dimension.

    >>> params = sample_fde_params(jax.random.key(0), FDEConfig(2, repetitions=1, simhash_bits=1))
    >>> float(query_fde(params, jnp.array([[1.0, 2.0], [3.0, 4.0]])).sum())
    10.0
    """
    if fill_empty:
        raise ValueError("fill_empty is True; only documents are filled, a filled query would count tokens several times")
    return _of_sets(encode_queries, params, tokens, mask)


def document_fde(
    params: FDEParams,
    tokens: Float[Array, "*batch m d"],
    mask: Bool[Array, "*batch m"] | None = None,
    *,
    fill_empty: bool = True,
) -> Float[Array, "*batch dim"]:
    """Encoding of a document: in every block the *mean* of its projected tokens, or its nearest token where it has none.

        F_doc[r, c] = mean over p in P with phi_r(p) = c of psi_r(p)
                      psi_r(p*), p* = argmin over p in P of |bits(p) - bits(c)|, the first of equals, if there is none

    With unit tokens, no projection and filling, `<F_q, F_doc> / (R |Q|)` never exceeds the normalised Chamfer similarity.

    Args:
        params: shared draws.
        tokens: one set, or a batch of padded sets.
        mask: which tokens are real; all by default.
        fill_empty: whether empty blocks are filled.

    Raises:
        ValueError: for tokens of another dimension, or a document without tokens.

    >>> params = sample_fde_params(jax.random.key(0), FDEConfig(2, repetitions=1, simhash_bits=0))
    >>> document_fde(params, jnp.array([[1.0, 2.0], [3.0, 4.0]])).tolist()
    [2.0, 3.0]
    """
    return _of_sets(partial(encode_documents, fill_empty=fill_empty), params, tokens, mask)


def _of_sets(encode, params: FDEParams, tokens: Array, mask: Array | None) -> Array:
    """One set or a batch of padded ones, as the flat encoders want them: padding belongs to no set."""
    *batch, m, d = tokens.shape
    count = int(np.prod(batch, dtype=int))
    owners = jnp.repeat(jnp.arange(count, dtype=jnp.int32), m)
    if mask is not None:
        if mask.shape != (*batch, m):
            raise ValueError(f"mask has shape {mask.shape}; tokens need {(*batch, m)}")
        owners = jnp.where(jnp.reshape(mask, -1), owners, count)
    return encode(params, jnp.reshape(tokens, (-1, d)), owners, count).reshape(*batch, -1)


def encode_queries(params: FDEParams, tokens: Float[Array, "t d"], owners: Int[Array, " t"], count: int) -> Float[Array, "n dim"]:
    """`query_fde` of many sets, their tokens one after the other.

    Args:
        params: shared draws.
        tokens: of all sets.
        owners: to which set, 0 .. count - 1, a token belongs; `count` for padding.
        count: how many sets, n.

    Raises:
        ValueError: for tokens of another dimension, or owners out of range.
    """
    _check(params, tokens, owners, count)
    return _encode(params, tokens, owners, count, document=False, fill_empty=False)


def encode_documents(
    params: FDEParams, tokens: Float[Array, "t d"], owners: Int[Array, " t"], count: int, *, fill_empty: bool = True
) -> Float[Array, "n dim"]:
    """`document_fde` of many sets, their tokens one after the other; `owners` and `count` as in `encode_queries`.

    Raises:
        ValueError: for tokens of another dimension, owners out of range, or a document without tokens; where the owners are
            traced, such a document gets zeros.
    """
    sizes = _check(params, tokens, owners, count)
    if sizes is not None and count and not sizes.all():
        raise ValueError(f"document {int(np.argmin(sizes))} has no tokens; a document needs at least 1")
    return _encode(params, tokens, owners, count, document=True, fill_empty=fill_empty)


def _check(params: FDEParams, tokens: Array, owners: Array, count: int) -> np.ndarray | None:
    """Shapes fit; tokens of every set, where the owners can be looked at."""
    if tokens.ndim != 2 or tokens.shape[1] != params.partition.dim:
        raise ValueError(f"tokens have shape {tokens.shape}; the parameters are for dimension {params.partition.dim}")
    if owners.shape != tokens.shape[:1]:
        raise ValueError(f"owners has shape {owners.shape}; {len(tokens)} tokens need one each")
    bits = params.partition.num_clusters.bit_length()
    if max(count * params.partition.num_clusters, (bits + 1) * len(tokens)) >= 2**31:
        raise ValueError(f"{count} sets of {len(tokens)} tokens are too many for 32-bit indices; encode them in parts")
    if not is_concrete(owners):
        return None
    sets = np.asarray(owners)
    if sets.size and not 0 <= sets.min() <= sets.max() <= count:
        raise ValueError(f"owners run from {sets.min()} to {sets.max()}; they must lie between 0 and {count} (padding)")
    return np.bincount(sets, minlength=count + 1)[:count]


@partial(jax.jit, static_argnames=("count", "document", "fill_empty"))
def _encode(
    params: FDEParams, tokens: Array, owners: Array, count: int, *, document: bool, fill_empty: bool
) -> Float[Array, "n dim"]:
    """Blocks of all repetitions, one repetition at a time, which bounds memory at one block a token."""
    dtype = jnp.result_type(tokens, *jax.tree.leaves(params.partition))
    tokens = jnp.asarray(tokens, dtype)

    def repetition(draws):
        partition, inner = draws
        projected = tokens if inner is None else tokens @ jnp.asarray(inner, dtype)
        return _blocks(partition, tokens, projected, owners, count, document, fill_empty)

    blocks = jax.lax.map(repetition, (params.partition, params.inner))
    encoding = jnp.moveaxis(blocks, 0, 1).reshape(count, -1)
    if params.final is None:
        return encoding
    return count_sketch(encoding, params.final.sketch, len(params.final.out))


def _blocks(
    partition: Partition, tokens: Array, projected: Array, owners: Array, count: int, document: bool, fill_empty: bool
) -> Float[Array, "n b p"]:
    """Sums, or filled means, of the tokens of every set in every cluster."""
    clusters = partition.num_clusters
    block = jnp.where(owners < count, owners * clusters + partition.clusters(tokens), count * clusters)

    def by_block(reduce, x):
        return reduce(x, block, count * clusters).reshape(count, clusters, *x.shape[1:])

    sums = by_block(jax.ops.segment_sum, projected)
    if not document:
        return sums
    sizes = by_block(jax.ops.segment_sum, jnp.ones(len(tokens), sums.dtype))
    means = sums / jnp.maximum(sizes, 1)[..., None]
    if not fill_empty or not len(tokens):
        return means
    positions = jnp.arange(len(tokens), dtype=jnp.int32)
    first = jnp.minimum(by_block(jax.ops.segment_min, positions), len(tokens))
    stand_in = projected[partition.nearest(tokens, owners, first)]
    fill = (sizes == 0) & (sizes.sum(1, keepdims=True) > 0)
    return jnp.where(fill[..., None], stand_in, means)
