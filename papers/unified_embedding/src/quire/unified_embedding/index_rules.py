"""Hashing schemes as index rules: a scheme is a map from values to elements of one flat array, and a way to put them together.

Two rows are read, `a` and `b`, each of `dim` elements from wherever a rule says. The embedding is `c_1 a + c_2 b`, or the
elementwise product `c_1 a b`. With all features let into the whole array a scheme is multiplexed, with a region for each it is
not: one compiled program serves all of them.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, check_ids
from quire.common.layers.ctr import lookup
from quire.common.layers.hashing import hash_bucket
from quire.common.layers.initialisers import normal
from quire.unified_embedding.allocation import Region, multiplexed, split, value_rows, water_filled
from quire.unified_embedding.multiplexing import feature_salts

SALTS = 8
"""Hash functions that a feature has at its disposal."""


class Slots(NamedTuple):
    """What every value reads.

    Attributes:
        elements: int32 `[values, 2, dim]`, of the flat array.
        constants: float32 `[values, 2]`, the fixed parts of c.
        learned: int32 `[values, 2]`, elements that are added to them; -1 for none.
        product: float32 `[values]`, 1 for a product, 0 for a sum.
    """

    elements: AnyArray
    constants: AnyArray
    learned: AnyArray
    product: AnyArray


Rule = Callable[[int, Region, int, Sequence[int]], Slots]
"""`(number of values, region, dim, salts of the feature) -> slots`."""


def compose(flat: Float[Array, " parameters"], slots: Slots) -> Float[Array, "*batch dim"]:
    """Embeddings of values from their slots, each with leading axes `*batch`."""
    a, b = jnp.moveaxis(lookup(flat[:, None], slots.elements)[..., 0], -2, 0)
    learned = slots.learned >= 0
    c = slots.constants + jnp.where(learned, lookup(flat[:, None], jnp.where(learned, slots.learned, 0))[..., 0], 0)
    total = c[..., :1] * a + c[..., 1:] * b
    product = slots.product[..., None]
    return product * (c[..., :1] * a * b) + (1 - product) * total


def hashed(size: int, region: Region, dim: int, salts: Sequence[int]) -> Slots:
    """The hashing trick: one row. Multiplexed, this is the unified embedding."""
    rows = value_rows(size, region, salts[:1])
    return _slots(_of_rows(np.repeat(rows, 2, axis=1), dim), (1, 0))


def multi_hash(size: int, region: Region, dim: int, salts: Sequence[int]) -> Slots:
    """The sum of two rows, by two hash functions."""
    return _slots(_of_rows(value_rows(size, region, salts[:2]), dim), (1, 1))


def quotient_remainder(size: int, region: Region, dim: int, salts: Sequence[int]) -> Slots:
    """`E_1[v mod q] * E_2[v div q]`, the two tables half of the region each.

    Values are hashed below the number of pairs of rows first: they are more than the pairs where the region is small, and other
    features have to be told apart where it is shared. The product is scaled by `sqrt(dim)`, to start at the size of a row.

    References:
        Shi et al., *Compositional embeddings using complementary partitions*, 2020, section 3.
    """
    if region.rows < 2:
        return hashed(size, region, dim, salts)
    q = (region.rows + 1) // 2
    pair = hash_bucket(np.arange(size), salts[0], q * (region.rows - q))
    rows = region.offset + np.stack([pair % q, q + pair // q], axis=1)
    return _slots(_of_rows(rows, dim), (dim**0.5, 0), product=1)


def robe(size: int, region: Region, dim: int, salts: Sequence[int], block: int = 0) -> Slots:
    """ROBE-Z: blocks of Z elements that lie together, beginning anywhere in the region, round its end.

    Args:
        size, region, dim, salts: as for every rule.
        block: Z, a divisor of dim; half of it by default.

    Raises:
        ValueError: if the block does not divide `dim`, or there are more blocks than hash functions.

    References:
        Desai et al., *Random offset block embedding*, 2022.
    """
    block = block or max(1, dim // 2)
    if dim % block or dim // block > len(salts):
        raise ValueError(f"block is {block} for dim {dim}; it must divide it into at most {len(salts)} parts")
    length = region.rows * dim
    starts = np.stack([hash_bucket(np.arange(size), salt, length) for salt in salts[: dim // block]], axis=1)
    inside = (starts[:, :, None] + np.arange(block)) % length
    elements = region.offset * dim + inside.reshape(size, 1, dim)
    return _slots(np.repeat(elements, 2, axis=1), (1, 0))


def hash_embedding(size: int, region: Region, dim: int, salts: Sequence[int]) -> Slots:
    """Hash embeddings: a sum of two rows with learned weights, `p_1(v) E[h_1(v)] + p_2(v) E[h_2(v)]`.

    An eighth of the region holds the weights, pairs of which are hashed to values; they are learned as differences from 1.

    References:
        Tito Svenstrup et al., *Hash embeddings for efficient word representations*, 2017, section 2.
    """
    spared = region.rows // 8
    plain = multi_hash(size, region._replace(rows=region.rows - spared), dim, salts)
    if not spared or dim < 2:
        return plain
    pair = hash_bucket(np.arange(size), salts[2], spared * dim // 2)
    first = (region.offset + region.rows - spared) * dim + 2 * pair
    return plain._replace(learned=np.stack([first, first + 1], axis=1).astype(np.int32))


def product_codes(
    size: int, region: Region, dim: int, salts: Sequence[int], codes: Int[np.ndarray, "size books"] | None = None, books: int = 4
) -> Slots:
    """Product quantisation: an embedding is one codeword of `dim / books` numbers from each of several codebooks.

    Args:
        size, region, dim, salts: as for every rule; the columns of the region's rows are its codebooks.
        codes: which codeword of each book a value has, below `region.rows`, from a trained table for instance; hashed by default.
        books: number of codebooks, where codes are hashed.

    Raises:
        ValueError: if the books do not divide `dim`, or a code is out of range.
    """
    if codes is None:
        codes = np.stack([hash_bucket(np.arange(size), salt, region.rows) for salt in salts[:books]], axis=1)
    check_ids("codes", codes, region.rows)
    if dim % codes.shape[1] or len(codes) != size:
        raise ValueError(f"codes has shape {codes.shape}; {size} values of dim {dim} need one row each, and books that divide it")
    elements = (region.offset + np.repeat(codes, dim // codes.shape[1], axis=1)) * dim + np.arange(dim)
    return _slots(np.repeat(elements[:, None], 2, axis=1), (1, 0))


RULES: dict[str, Rule] = {
    "hashing": hashed,
    "multi-hash": multi_hash,
    "quotient-remainder": quotient_remainder,
    "ROBE-Z": robe,
    "hash embedding": hash_embedding,
    "product codes": product_codes,
}


def slots(rule: Rule, sizes: Sequence[int], regions: Sequence[Region], dim: int, seed: int = 0) -> Slots:
    """Slots of all values of all features, counted through.

    A feature whose own region holds all its values has a row for each, whatever the rule.

    Args:
        rule: the scheme.
        sizes: of the vocabularies.
        regions: of the features.
        dim: of an embedding.
        seed: of the hash functions.

    Raises:
        ValueError: if there is not one region for each feature, or a size is below 1.
    """
    check_at_least("dim", dim)
    if len(regions) != len(sizes):
        raise ValueError(f"there are {len(regions)} regions; {len(sizes)} features need one each")
    salts = feature_salts([SALTS] * len(sizes), seed)
    fits = [region.rows >= size and not region.shared for size, region in zip(sizes, regions, strict=True)]
    found = [
        (hashed if whole else rule)(size, region, dim, salt)
        for size, region, salt, whole in zip(sizes, regions, salts, fits, strict=True)
    ]
    return Slots(*map(np.concatenate, zip(*found, strict=True)))


def _of_rows(rows: Int[np.ndarray, "size 2"], dim: int) -> Int[np.ndarray, "size 2 dim"]:
    return rows[..., None] * dim + np.arange(dim)


def _slots(elements, constants: tuple[float, float], product: float = 0) -> Slots:
    size = len(elements)
    return Slots(
        elements.astype(np.int32),
        np.tile(np.array(constants, np.float32), (size, 1)),
        np.full((size, 2), -1, np.int32),
        np.full(size, product, np.float32),
    )


class FlatTable(nnx.Module):
    """The flat array that all schemes share; called with the slots of all values, and the values of a batch.

    Args:
        rows, dim: their product is the number of parameters.
        rngs: random keys.
    """

    def __init__(self, rows: int, dim: int, *, rngs: nnx.Rngs):
        check_at_least("rows", rows)
        self.weights = nnx.Param(normal(check_at_least("dim", dim) ** -0.5)(rngs.params(), (rows * dim,)))

    def __call__(self, slots: Slots, values: Int[AnyArray, "*batch"]) -> Float[Array, "*batch dim"]:
        """Embeddings of values, by their slots, or of all values first where these are fewer."""
        if values.size < len(slots.elements):
            return compose(self.weights[...], Slots(*(part[values] for part in slots)))
        return lookup(compose(self.weights[...], slots), values)


class HashedEmbedding(nnx.Module):
    """A scheme with its parameters, for features of known vocabularies.

    Args:
        rule: name in `RULES`.
        sizes: of the vocabularies.
        rows, dim: the budget, `rows * dim` parameters, whatever the scheme.
        shared: multiplexed; otherwise a region for each feature, small vocabularies whole and the rest in proportion.
        seed: of the hash functions.
        rngs: random keys.

    Raises:
        ValueError: for another rule, or sizes that do not fit; when called, for a token that is not in the vocabulary.

    >>> embedding = HashedEmbedding("ROBE-Z", (100, 7), rows=20, dim=4, rngs=nnx.Rngs(0))
    >>> embedding(np.array([[99, 0], [3, 6], [3, 5]])).shape
    (3, 8)
    """

    def __init__(
        self, rule: str, sizes: Sequence[int], rows: int, dim: int, *, shared: bool = True, seed: int = 0, rngs: nnx.Rngs
    ):
        if rule not in RULES:
            raise ValueError(f"rule is {rule!r}; it must be one of {', '.join(RULES)}")
        regions = multiplexed(sizes, rows) if shared else split(water_filled(sizes, rows))
        self.sizes = tuple(sizes)
        self.table = FlatTable(rows, dim, rngs=rngs)
        self.slots = nnx.data(slots(RULES[rule], sizes, regions, dim, seed))

    def __call__(self, tokens: Int[AnyArray, "batch features"]) -> Float[Array, "batch width"]:
        """Embeddings of tokens, features side by side."""
        if tokens.ndim != 2 or tokens.shape[1] != len(self.sizes):
            raise ValueError(f"tokens has shape {tokens.shape}; {len(self.sizes)} features need [batch, {len(self.sizes)}]")
        for t, size in enumerate(self.sizes):
            check_ids(f"tokens[:, {t}]", tokens[:, t], size)
        values = tokens + np.cumsum([0, *self.sizes[:-1]], dtype=np.int32)[None]
        found = self.table(Slots(*map(jnp.asarray, self.slots)), jnp.asarray(values))
        return found.reshape(len(tokens), -1) if len(tokens) else jnp.zeros((0, len(self.sizes) * found.shape[-1]))
