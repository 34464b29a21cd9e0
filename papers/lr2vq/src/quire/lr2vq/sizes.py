"""What a compressed layer takes: codes, codebook and map, in bits."""

import math

from quire.common.checks import check_at_least
from quire.lr2vq.low_rank import check_dim


def compressed_bits(n: int, m: int, k: int, d: int, *, bits: int = 32) -> int:
    """`n ceil(log2 k) + bits (k d + d m)`: codes, codebook, map.

    Args:
        n: rows of a layer.
        m: numbers a row.
        k: codewords.
        d: numbers a codeword.
        bits: of a number of the codebook and of the map.

    Raises:
        ValueError: for sizes below 1 or a d above m.

    >>> compressed_bits(48, 8, 12, 2)
    1472
    """
    check_sizes(n, m, k, bits)
    check_dim(d, m)
    return n * _code_bits(k) + bits * (k * d + d * m)


def vq_bits(n: int, m: int, k: int, *, bits: int = 32) -> int:
    """`n ceil(log2 k) + bits k m`: vector quantisation of the rows themselves needs no map.

    >>> vq_bits(48, 8, 12)
    3264
    """
    check_sizes(n, m, k, bits)
    return n * _code_bits(k) + bits * k * m


def compression_ratio(n: int, m: int, k: int, d: int | None = None, *, bits: int = 32) -> float:
    """`32 n m` over the bits of a compressed layer; without d, of plain vector quantisation.

    >>> print(f"{compression_ratio(512 * 512 * 9 // 16, 16, 256, 2):.1f} {compression_ratio(512 * 512 * 9 // 16, 16, 256):.1f}")
    63.1 57.6
    """
    return 32 * n * m / (vq_bits(n, m, k, bits=bits) if d is None else compressed_bits(n, m, k, d, bits=bits))


def check_sizes(n: int, m: int, k: int, bits: int) -> None:
    """All sizes are positive.

    Raises:
        ValueError: naming the one that is not.
    """
    for name, value in (("n", n), ("m", m), ("k", k), ("bits", bits)):
        check_at_least(name, value)


def _code_bits(k: int) -> int:
    return math.ceil(math.log2(k))
