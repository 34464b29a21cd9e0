"""Features of binary inputs: each is a table over how many bits of its group are set."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Num, UInt32

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, is_concrete
from quire.common.random import generator

KINDS: dict[str, Callable[[int, int], int]] = {
    "copy": lambda count, above: count,
    "xor2": lambda count, above: count % 2,
    "parity": lambda count, above: count % 2,
    "majority": lambda count, above: int(count > above),
    "threshold": lambda count, above: int(count > above),
    "sum_mod_4": lambda count, above: count % 4,
}
"""Class of a group of which `count` bits are set; `above` is the line of thresholds."""

GROUP_SIZES = {"copy": (1, 1), "xor2": (2, 2), "sum_mod_4": (3, math.inf)}
"""Least and largest number of bits of a group; 1 to any number otherwise."""


@dataclass(frozen=True)
class FeatureSpec:
    """A feature of a binary input; kinds differ in how hard they are to compute.

    Attributes:
        kind: `"copy"` of one bit and `"majority"` or `"threshold"` of several are linear; `"xor2"` and `"parity"` are not;
            `"sum_mod_4"` has four classes, all others two.
        inputs: the bits that it depends on, counted from 0.
        threshold: for `"threshold"`, the number of set bits that is not yet enough.

    Raises:
        ValueError: for an unknown kind, bits that are negative, repeated or of the wrong number, or a threshold that is missing,
            not asked for, or leaves the feature constant.

    >>> FeatureSpec("parity", (3, 4, 5)).table().tolist()
    [0, 1, 0, 1]
    """

    kind: str
    inputs: tuple[int, ...]
    threshold: int | None = None

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ValueError(f"kind is {self.kind!r}; it must be one of {', '.join(KINDS)}")
        least, most = GROUP_SIZES.get(self.kind, (1, math.inf))
        size = len(self.inputs)
        if not least <= size <= most or len(set(self.inputs)) < size or min(self.inputs) < 0:
            raise ValueError(
                f"inputs is {self.inputs}; {self.kind} needs different bits from 0 on, at least {least} and at most {most}"
            )
        if (self.kind == "threshold") != (self.threshold is not None):
            raise ValueError(
                f"threshold is {self.threshold} for kind {self.kind!r}; kind 'threshold' needs one, no other has one"
            )
        if self.threshold is not None and not 0 <= self.threshold < size:
            raise ValueError(f"threshold is {self.threshold}; of {size} bits it must lie between 0 and {size - 1}")

    @property
    def num_classes(self) -> int:
        """Two, or four."""
        return 4 if self.kind == "sum_mod_4" else 2

    def table(self) -> Int[np.ndarray, " counts"]:
        """Class by the number of bits of the group that are set, 0 to all."""
        size = len(self.inputs)
        above = size // 2 if self.threshold is None else self.threshold
        return np.array([KINDS[self.kind](count, above) for count in range(size + 1)], np.int32)

    def probabilities(self) -> Float[np.ndarray, " classes"]:
        """Of the classes, for bits that are fair coins: a feature is balanced if they are equal.

        >>> FeatureSpec("sum_mod_4", (0, 1, 2, 3)).probabilities().tolist()
        [0.125, 0.25, 0.375, 0.25]
        """
        size = len(self.inputs)
        weights = [math.comb(size, count) / 2**size for count in range(size + 1)]
        return np.bincount(self.table(), weights, minlength=self.num_classes)


class Features(NamedTuple):
    """Several features as arrays, so that networks that compute different ones share a program.

    Attributes:
        mask: 1 for the bits of a feature's group.
        table: class by the number of bits that are set.
        classes: number of classes; 1 for a slot without a feature.
    """

    mask: Float[AnyArray, "*runs m dim"]
    table: Int[AnyArray, "*runs m counts"]
    classes: Int[AnyArray, "*runs m"]


def stack_features(specs: Sequence[FeatureSpec], dim: int, *, slots: int | None = None, allow_overlap: bool = False) -> Features:
    """Features as arrays.

    Args:
        specs: the features.
        dim: number of bits of an input.
        slots: room for so many features; the last ones are constant.
        allow_overlap: whether groups may share bits. Features that do are not independent in general, and their shares of the
            variance cannot be told apart.

    Raises:
        ValueError: for no feature, more than there are slots, a bit beyond the input, or groups that overlap.
    """
    slots = len(specs) if slots is None else slots
    if not 1 <= len(specs) <= slots:
        raise ValueError(f"specs holds {len(specs)} features; it needs at least 1 and at most {slots}")
    mask, table = np.zeros((slots, dim), np.float32), np.zeros((slots, dim + 1), np.int32)
    classes = np.ones(slots, np.int32)
    for row, spec in enumerate(specs):
        if max(spec.inputs) >= dim:
            raise ValueError(f"inputs of feature {row} is {spec.inputs}; inputs have only {dim} bits, 0 to {dim - 1}")
        mask[row, list(spec.inputs)] = 1
        table[row, : len(spec.inputs) + 1] = spec.table()
        classes[row] = spec.num_classes
    shared = np.flatnonzero(mask.sum(0) > 1)
    if len(shared) and not allow_overlap:
        raise ValueError(f"inputs of the features share bit {shared[0]}; take other bits, or allow_overlap=True")
    return Features(mask, table, classes)


def feature_values(features: Features, x: Num[AnyArray, "n dim"]) -> Int[Array, "n m"]:
    """Classes of the features of inputs.

    Args:
        features: from `stack_features`.
        x: bits, 0 or 1.

    Raises:
        ValueError: for inputs of another length, or numbers other than 0 and 1 (of arrays that hold numbers).

    >>> features = stack_features([FeatureSpec("copy", (0,)), FeatureSpec("xor2", (1, 2))], dim=3)
    >>> feature_values(features, np.array([[1, 0, 1], [0, 1, 1]])).tolist()
    [[1, 1], [0, 0]]
    """
    mask, table = jnp.asarray(features.mask), jnp.asarray(features.table)
    if x.ndim != 2 or x.shape[1] != mask.shape[1]:
        raise ValueError(f"x has shape {x.shape}; these features need [n, {mask.shape[1]}]")
    if is_concrete(x) and not np.isin(np.asarray(x), (0, 1)).all():
        raise ValueError("x holds numbers other than 0 and 1; it must hold bits")
    counts = (jnp.asarray(x).astype(mask.dtype) @ mask.T).astype(jnp.int32)
    return jnp.take_along_axis(table.T, counts, axis=0)


def random_bits(key: jax.Array, n: int, dim: int) -> Float[Array, "n dim"]:
    """Fair coins, 32 to a random word: words are what a generator's time goes into."""
    return unpacked(jax.random.bits(key, (n * words_for(dim),), jnp.uint32), n, dim)


def words_for(dim: int) -> int:
    """Words of 32 bits that so many bits take."""
    return -(-dim // 32)


def unpacked(words: UInt32[Array, " _"], n: int, dim: int) -> Float[Array, "n dim"]:
    """The bits of `n * words_for(dim)` words, the last ones of a row left out, as 0 and 1."""
    bits = (words.reshape(n, -1, 1) >> jnp.arange(32, dtype=jnp.uint32).reshape(1, 1, 32)) & 1
    return bits.reshape(n, -1)[:, :dim].astype(jnp.float32)


def held_out_bits(key: jax.Array, n: int, dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Two sets of inputs `[n, dim]`, to fit regressions on and to test them on; drawn on the host."""
    fit, test = generator(jax.random.fold_in(key, 1)).integers(0, 2, (2, n, dim)).astype(np.float32)
    return fit, test


def sample_binary(
    key: jax.Array, n: int, specs: Sequence[FeatureSpec], dim: int, *, allow_overlap: bool = False
) -> tuple[Float[Array, "n dim"], Int[Array, "n m"]]:
    """Random inputs and their features; bits that no feature depends on are distractors.

    Args:
        key: for the bits.
        n: number of inputs.
        specs: the features, on groups of bits that do not overlap: then they are independent of each other.
        dim: bits of an input.
        allow_overlap: see `stack_features`.

    Returns:
        Bits, float32, and the classes of the features.

    Raises:
        ValueError: for a negative n, and as `stack_features`.

    >>> x, f = sample_binary(jax.random.key(0), 4, [FeatureSpec("copy", (0,)), FeatureSpec("xor2", (4, 5))], dim=16)
    >>> x.shape, f.shape
    ((4, 16), (4, 2))
    """
    check_at_least("n", n, 0)
    features = stack_features(specs, dim, allow_overlap=allow_overlap)
    x = random_bits(key, n, dim)
    return x, feature_values(features, x)
