"""Feature multiplexing: every feature hashes into one table, by functions of its own, as often as it needs to be wide."""

from collections.abc import Sequence
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int, Shaped

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, is_concrete
from quire.common.layers.ctr import FeatureTable
from quire.common.layers.hashing import hash_bucket, splitmix64

Salts = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class FeatureSpec:
    """A categorical feature.

    Attributes:
        name: of the feature.
        lookups: k, how many rows its value reads; they lie side by side, so that it is k times as wide as the table.
    """

    name: str
    lookups: int = 1

    def __post_init__(self):
        check_at_least("lookups", self.lookups)


def feature_salts(lookups: Sequence[int], seed: int = 0) -> Salts:
    """A salt for every feature and lookup, all of them different.

    Args:
        lookups: k of each feature.
        seed: of the family of hash functions.

    Raises:
        ValueError: without a feature, or for a number of lookups below 1.

    >>> [len(salts) for salts in feature_salts([1, 3])]
    [1, 3]
    """
    if not lookups or min(lookups) < 1:
        raise ValueError(f"lookups is {tuple(lookups)}; it needs one number a feature, each at least 1")
    start = int(splitmix64(seed))
    salts = [[int(splitmix64((start + (t << 20) + c) % 2**64)) for c in range(k)] for t, k in enumerate(lookups)]
    return check_salts(tuple(map(tuple, salts)))


def check_salts(salts: Salts) -> Salts:
    """The salts, all different: with one for two features equal ids would always meet, with one for two lookups a half repeats.

    Raises:
        ValueError: naming a salt that occurs twice.

    >>> check_salts(((1,), (2, 1)))
    Traceback (most recent call last):
    ValueError: salt 1 serves feature 0, lookup 0 and feature 1, lookup 1; each needs its own
    """
    seen: dict[int, str] = {}
    for t, of_feature in enumerate(salts):
        for c, salt in enumerate(of_feature):
            place = f"feature {t}, lookup {c}"
            if salt in seen:
                raise ValueError(f"salt {salt} serves {seen[salt]} and {place}; each needs its own")
            seen[salt] = place
    return salts


def unified_index(tokens: Shaped[AnyArray, "batch features"], salts: Salts, rows: int) -> Int[np.ndarray, "batch lookups"]:
    """Rows that the features of every example read: `h_tc(v) = splitmix64(v XOR splitmix64(salt_tc)) mod rows`.

    Args:
        tokens: integers of up to 64 bits, not negative; on the host.
        salts: of every feature and lookup.
        rows: of the table.

    Returns:
        One column for each lookup, those of a feature side by side.

    Raises:
        ValueError: if there is not one column of tokens for each feature, for tokens that are no ids, or traced ones.
    """
    if not is_concrete(tokens):
        raise ValueError("tokens is traced; hash on the host by index(tokens), and pass lookup(index) to the compiled function")
    tokens = np.asarray(tokens)
    if tokens.ndim != 2 or tokens.shape[1] != len(salts):
        raise ValueError(f"tokens has shape {tokens.shape}; {len(salts)} features need [batch, {len(salts)}]")
    columns = [hash_bucket(tokens[:, t], salt, rows) for t, of_feature in enumerate(salts) for salt in of_feature]
    return np.stack(columns, axis=1)


class UnifiedEmbedding(nnx.Module):
    """One table for all features: `e_t(v) = [E[h_t1(v)]; ...; E[h_tk(v)]]`.

    The table has `rows * dim` parameters, however many features there are, and whichever values are yet to come.

    Args:
        specs: the features.
        rows, dim: of the table.
        seed: of the hash functions.
        salts: those of every feature and lookup, instead of the seed.
        rngs: random keys.

    Raises:
        ValueError: without a feature, for a size below 1, or salts that repeat or do not fit the lookups.

    >>> embedding = UnifiedEmbedding([FeatureSpec("user", 2), FeatureSpec("hour")], rows=100, dim=4, rngs=nnx.Rngs(0))
    >>> embedding(np.array([[2**63, 7], [12, 7]], np.uint64)).shape
    (2, 12)
    """

    def __init__(
        self,
        specs: Sequence[FeatureSpec],
        rows: int,
        dim: int,
        *,
        seed: int = 0,
        salts: Sequence[Sequence[int]] | None = None,
        rngs: nnx.Rngs,
    ):
        self.specs = tuple(specs)
        lookups = [spec.lookups for spec in self.specs]
        self.salts = feature_salts(lookups, seed) if salts is None else check_salts(tuple(map(tuple, salts)))
        if [len(of_feature) for of_feature in self.salts] != lookups:
            raise ValueError(f"salts has {[len(s) for s in self.salts]} numbers by feature; the lookups are {lookups}")
        self.table = FeatureTable(rows, dim, rngs=rngs)
        self.rows, self.dim = rows, dim

    @property
    def width(self) -> int:
        """Numbers that all features have together, `dim` times the sum of lookups."""
        return self.dim * sum(spec.lookups for spec in self.specs)

    def index(self, tokens: Shaped[AnyArray, "batch features"]) -> Int[np.ndarray, "batch lookups"]:
        """`unified_index`, on the host."""
        return unified_index(tokens, self.salts, self.rows)

    def lookup(self, index: Int[AnyArray, "batch lookups"]) -> Float[Array, "batch width"]:
        """One gather for all features."""
        found = self.table(jnp.asarray(index))
        return found.reshape(len(index), found.shape[1] * self.dim)

    def __call__(self, tokens: Shaped[AnyArray, "batch features"]) -> Float[Array, "batch width"]:
        """Embeddings of tokens `[batch, features]`, features in order, the lookups of each side by side."""
        return self.lookup(self.index(tokens))
