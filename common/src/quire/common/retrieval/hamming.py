"""Binary codes: packed rows, Hamming distances by exclusive or and population count, and codes from real vectors."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int, Real, UInt32

from quire.common.checks import at_least_float32, check_at_least, check_finite
from quire.common.manifolds.orthogonal import procrustes

WORD = 32


def pack_rows(bits: Array | np.ndarray) -> UInt32[Array, "n words"]:
    """Rows of zeros and ones in words of 32 bits, the first bit lowest; what is left of the last word is 0.

    Args:
        bits: 0 or 1, or booleans.

    Raises:
        ValueError: if there is no bit, or they are neither integers nor booleans.

    >>> pack_rows(jnp.array([[1, 0, 1], [0, 1, 0]])).tolist()
    [[5], [2]]
    """
    bits = jnp.asarray(bits)
    if bits.ndim != 2 or not bits.shape[1] or not (bits.dtype == bool or jnp.issubdtype(bits.dtype, jnp.integer)):
        raise ValueError(
            f"bits have dtype {bits.dtype} and shape {bits.shape}; they need integers or booleans [n, bits], at least one"
        )
    n, width = bits.shape
    padded = jnp.pad((bits != 0).astype(jnp.uint32), ((0, 0), (0, -width % WORD))).reshape(n, -1, WORD)
    return jnp.sum(padded << jnp.arange(WORD, dtype=jnp.uint32)[None, None], axis=-1, dtype=jnp.uint32)


@partial(jax.jit, static_argnames="block")
def hamming(queries: Array, database: Array, *, block: int = 4096) -> Int[Array, "q n"]:
    """In how many bits every query differs from every row of the database.

    Args:
        queries, database: from `pack_rows`, of one width.
        block: rows of the database compared at once, which bounds memory at `q * block * words`.

    Raises:
        ValueError: if the widths differ, codes are not packed, or block is below 1.

    >>> hamming(pack_rows(jnp.array([[1, 0, 1]])), pack_rows(jnp.array([[1, 0, 1], [0, 1, 1]]))).tolist()
    [[0, 2]]
    """
    check_at_least("block", block)
    if queries.dtype != jnp.uint32 or database.dtype != jnp.uint32 or queries.shape[1:] != database.shape[1:]:
        raise ValueError(
            f"queries have dtype {queries.dtype} and shape {queries.shape}, the database {database.dtype} and {database.shape}; "
            "both need uint32 words, as many a row"
        )
    n = len(database)
    block = max(1, min(block, n))
    if not n or not len(queries):
        return jnp.zeros((len(queries), n), jnp.int32)
    tiles = jnp.pad(database, ((0, -n % block), (0, 0))).reshape(-1, block, database.shape[1])

    def distances(tile: Array) -> Array:
        return jnp.sum(lax.population_count(queries[:, None] ^ tile[None]), axis=-1, dtype=jnp.int32)

    return jnp.moveaxis(lax.map(distances, tiles), 0, 1).reshape(len(queries), -1)[:, :n]


def itq(
    x: Real[Array, "n dim"], bits: int, key: jax.Array, *, iters: int = 50
) -> tuple[Float[Array, " dim"], Float[Array, "dim bits"]]:
    """Iterative quantisation: principal components, turned so that their signs lose as little as possible.

    The bits of a vector are `(x - mean) @ map > 0`.

    Args:
        x: training vectors.
        bits: at most the dimension.
        key: of the rotation that it starts from.
        iters: alternations between signs and the best rotation for them.

    Returns:
        The mean and the map.

    Raises:
        ValueError: if bits is not between 1 and the smaller of dimension and number of rows, iters is below 0, or x
            has numbers that are not finite.

    References:
        Gong and Lazebnik, *Iterative quantization: a Procrustean approach to learning binary codes*, 2011.
    """
    check_at_least("iters", iters, 0)
    if x.ndim != 2 or not 1 <= bits <= min(x.shape):
        raise ValueError(f"bits is {bits} and x has shape {x.shape}; bits lies between 1 and the smaller size of x")
    check_finite("x", x)
    (x,) = at_least_float32(x)
    mean = x.mean(0)
    centred = x - mean[None]
    components = jnp.linalg.svd(centred, full_matrices=False)[2][:bits].T
    projected = centred @ components

    def turn(_, rotation):
        return procrustes(projected, jnp.where(projected @ rotation > 0, 1.0, -1.0).astype(x.dtype))

    start = jnp.linalg.qr(jax.random.normal(key, (bits, bits), x.dtype))[0]
    return mean, components @ lax.fori_loop(0, iters, turn, start)
