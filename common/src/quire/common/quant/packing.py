"""Codes of a few bits packed into words, and what a quantised tensor takes in bits."""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Integer, UInt32


def pack_bits(codes: Integer[Array | np.ndarray, "*shape"], bits: int) -> UInt32[Array, " words"]:
    """Unsigned codes, one after the other, least significant bits first, in words of 32 bits; a code may straddle two words.

    Args:
        codes: integers `0 .. 2^bits - 1`, of any shape.
        bits: 1 to 16.

    Raises:
        ValueError: for bits out of range, or codes that are not integers or do not fit (of arrays that hold numbers).

    >>> pack_bits(np.array([1, 2, 3]), 2).tolist()
    [57]
    """
    codes = np.asarray(codes)
    if not 1 <= bits <= 16:
        raise ValueError(f"bits is {bits}; it must lie between 1 and 16")
    if not np.issubdtype(codes.dtype, np.integer):
        raise ValueError(f"codes have dtype {codes.dtype}; they need to be integers")
    if codes.size and not 0 <= codes.min() <= codes.max() < 2**bits:
        raise ValueError(f"codes run from {codes.min()} to {codes.max()}; {bits} bits hold 0 to {2**bits - 1}")
    digits = (codes.reshape(-1, 1).astype(np.uint32) >> np.arange(bits, dtype=np.uint32)) & 1
    flat = np.zeros(-(-digits.size // 32) * 32, np.uint8)
    flat[: digits.size] = digits.reshape(-1)
    return jnp.asarray(np.packbits(flat, bitorder="little").view("<u4"))


def unpack_bits(words: UInt32[Array, " words"], bits: int, count: int) -> Integer[Array, " count"]:
    """The first `count` codes of packed words, int32; traceable.

    Raises:
        ValueError: for bits out of range, or fewer words than the codes need.

    >>> unpack_bits(jnp.array([57], jnp.uint32), 2, 3).tolist()
    [1, 2, 3]
    """
    if not 1 <= bits <= 16 or count < 0 or len(words) * 32 < bits * count:
        raise ValueError(f"bits is {bits} and count {count}; {len(words)} words hold that many codes of 1 to 16 bits only")
    first = np.arange(count, dtype=np.uint32) * bits
    word, shift = first // 32, first % 32
    spill = np.minimum(word + 1, max(len(words) - 1, 0))
    low = words[word] >> shift
    # a shift by 32 is undefined, so the upper part moves in two steps
    high = jnp.where(shift + bits > 32, (words[spill] << (31 - np.minimum(shift, 31))) << 1, 0)
    return ((low | high.astype(jnp.uint32)) & jnp.uint32(2**bits - 1)).astype(jnp.int32)


def size_report(parts: Mapping[str, tuple[int, int]], original_bits: int) -> dict[str, float]:
    """Bits of a quantised tensor by part (codes, scales, codebooks, ...), their total, and the ratio to the original.

    Args:
        parts: `{name: (count, bits each)}`.
        original_bits: of the tensor before.

    Raises:
        ValueError: for a negative count or size, or an original without bits.

    >>> size_report({"codes": (64, 3), "scales": (2, 32)}, original_bits=64 * 32)
    {'codes': 192, 'scales': 64, 'total': 256, 'ratio': 8.0}
    """
    if original_bits < 1 or any(count < 0 or bits < 0 for count, bits in parts.values()):
        raise ValueError(
            f"parts is {dict(parts)} and original_bits {original_bits}; no number may be negative, nor the original 0"
        )
    bits = {name: count * size for name, (count, size) in parts.items()}
    total = sum(bits.values())
    return bits | {"total": total, "ratio": original_bits / total if total else float("inf")}
