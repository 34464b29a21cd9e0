"""The hashing trick: tokens of any vocabulary to the rows of a table, exactly alike on every machine, and how many collide.

Hashes are computed on the host, in NumPy's unsigned 64-bit integers: JAX has none unless it is told to, and a hash that overflows
in 32 bits is another hash.
"""

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Int, Shaped, UInt64

from quire.common.checks import check_at_least, check_ids, check_positive

_GOLDEN, _FIRST, _SECOND = (np.uint64(x) for x in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def splitmix64(x: Shaped[np.ndarray, "*shape"] | int | np.integer) -> UInt64[np.ndarray, "*shape"]:
    """The finaliser of SplitMix64: a bijection of 64-bit numbers in which every bit of the input flips half of the output's.

    `z = x + 0x9E3779B97F4A7C15; z = (z ^ z >> 30) 0xBF58476D1CE4E5B9; z = (z ^ z >> 27) 0x94D049BB133111EB; z ^ z >> 31`,
    modulo 2^64.

    Args:
        x: integers of any type, not negative.

    Returns:
        uint64, in the shape of `x`.

    Raises:
        ValueError: for numbers that are no integers, or negative, or do not fit 64 bits.

    >>> print(hex(splitmix64(0)), hex(splitmix64(1)))
    0xe220a8397b1dcdaf 0x910a2dec89025cc1

    References:
        Steele, Lea and Flood, *Fast splittable pseudorandom number generators*, 2014.
    """
    with np.errstate(over="ignore"):  # NumPy warns where a single number wraps around, as it should
        z = _unsigned("x", x) + _GOLDEN
        z = (z ^ (z >> np.uint64(30))) * _FIRST
        z = (z ^ (z >> np.uint64(27))) * _SECOND
        return np.asarray(z ^ (z >> np.uint64(31)))


def _unsigned(name: str, values) -> np.ndarray:
    """The integers as uint64."""
    try:
        array = np.asarray(values)
    except OverflowError:
        array = np.asarray(values, object)
    if array.size == 0 and array.dtype == float:  # an empty list
        array = array.astype(np.uint64)
    if array.dtype.kind not in "iu":
        raise ValueError(f"{name} has dtype {array.dtype}; it must hold integers of at most 64 bits")
    if array.size and array.dtype.kind == "i" and array.min() < 0:
        raise ValueError(f"{name} has a minimum of {array.min()}; hashed numbers cannot be negative")
    return array.astype(np.uint64)


def hash_bucket(
    tokens: Shaped[np.ndarray, "*shape"] | int | np.integer | list, salt: int | np.integer, rows: int
) -> Int[np.ndarray, "*shape"]:
    """The row of every token: `splitmix64(token XOR splitmix64(salt)) mod rows`.

    Args:
        tokens: integers of any type, not negative; for words, `token_ids` of them.
        salt: which of the hash functions. Two features with one salt would send equal tokens to equal rows.
        rows: of the table.

    Returns:
        int32 in the shape of `tokens`, int64 for more than 2^31 rows.

    Raises:
        ValueError: for tokens or a salt that `splitmix64` refuses, or a table without a row.

    >>> hash_bucket(np.arange(6), salt=1, rows=4).tolist()
    [2, 2, 3, 3, 3, 3]
    """
    check_at_least("rows", rows)
    salted = splitmix64(_unsigned("tokens", tokens) ^ splitmix64(_unsigned("salt", salt)))
    return np.asarray(salted % np.uint64(rows)).astype(np.int32 if rows <= 2**31 else np.int64)


def token_ids(words: Iterable[str]) -> UInt64[np.ndarray, " n"]:
    """64-bit ids of words: the first eight bytes of BLAKE2b, little-endian. Python's own `hash` differs from run to run.

    >>> print(token_ids(["Paris", "Rome"]) % 1000)
    [203 324]
    """
    digests = (hashlib.blake2b(word.encode(), digest_size=8).digest() for word in words)
    return np.array([int.from_bytes(digest, "little") for digest in digests], np.uint64)


def expected_collisions(sizes: int | Sequence[int] | np.ndarray, rows: float) -> float:
    """Expected number of pairs of values that share a row: `C(V, 2) / M`, by uniform hash functions.

    Args:
        sizes: number of values; or those of several sets that do not meet, whose pairs are then counted within each.
        rows: M, of the table of each; a mean may be a fraction.

    Raises:
        ValueError: for negative sizes, or rows that are not positive.

    >>> expected_collisions(5, 4), expected_collisions([3, 2], 4)
    (2.5, 1.0)
    """
    check_positive("rows", rows)
    sizes = np.atleast_1d(np.asarray(sizes, float))
    if not sizes.min(initial=0) >= 0:
        raise ValueError(f"sizes is {sizes}; it cannot be negative")
    return float((sizes * (sizes - 1)).sum() / 2 / rows)


def count_collisions(buckets: Int[np.ndarray, " n"]) -> int:
    """Pairs of values that share a row.

    Raises:
        ValueError: for rows that are no integers, or negative.

    >>> count_collisions(np.array([1, 4, 1, 1]))
    3
    """
    check_ids("buckets", buckets, np.iinfo(np.int64).max)
    counts = np.unique(buckets, return_counts=True)[1].astype(np.int64)
    return int((counts * (counts - 1)).sum() // 2)
