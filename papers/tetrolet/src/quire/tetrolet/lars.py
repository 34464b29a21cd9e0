"""Sparse codes by LARS (Efron et al. 2004): the path of the lasso, variable by variable, for many samples at once.

A step goes along the direction in which the correlations of all active columns fall alike, up to where another column catches
up and enters, or a coefficient reaches zero and leaves. Both are one *sweep* of the Gram matrix on that column: swept on the
active columns A it holds `-G_AA^-1`, `G_AA^-1 G_AB`, and for the others B what A does not explain of them.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Real

from quire.common.checks import at_least_float32, check_finite, is_concrete

LANES = 128
"""Samples whose paths advance together: their tables stay in the cache."""
MEND = "or compute in float64, under jax.enable_x64()"
LOST = 0.01
"""A path ends where its correlations are so far from what they must be, as a part of the largest: rounding has taken over."""


class _Path(NamedTuple):
    table: Float[Array, "m m"]
    code: Float[Array, " m"]
    sign: Float[Array, " m"]  # of the correlation of active columns, 0 of the others
    turn: Int[Array, ""]  # the column that enters or leaves next
    done: Bool[Array, ""]
    highest: Float[Array, ""]  # what the correlations of active columns must be, up to rounding
    codes: Float[Array, "cards m"]
    found: Bool[Array, " cards"]


def lars_lasso(
    basis: Real[Array | np.ndarray, "d m"], x: Real[Array | np.ndarray, "n d"], cards: Sequence[int]
) -> Float[Array, "n cards m"]:
    """Codes with given numbers of entries that are not zero: the last points of the lasso's path that have so many.

    The path is that of `min_c 1/2 |x - U c|^2 + lambda |c|_1` as lambda falls to 0, its points those where the active columns
    change. No intercept, and columns as they are.

    Args:
        basis: U, a column for every concept.
        x: samples in rows.
        cards: numbers of entries, 1 to m.

    Returns:
        A code for every sample and number.

    Raises:
        ValueError: for shapes that do not fit, cards out of range, numbers that are not finite, or a sample whose path has no
            point with so many entries. Of traced samples such codes are NaN.

    >>> lars_lasso(np.eye(3), np.array([[3.0, 1.0, -2.0]]), [1, 2]).tolist()
    [[[1.0, 0.0, 0.0], [2.0, 0.0, -1.0]]]
    """
    _check(basis, x)
    if not len(cards) or min(cards) < 1 or max(cards) > basis.shape[1]:
        raise ValueError(
            f"cards is {list(cards)}; a basis of {basis.shape[1]} columns allows 1 to {basis.shape[1]}, at least one"
        )
    codes, found, _ = _lars(basis, x, jnp.asarray(cards, jnp.int32), 0.0)
    if is_concrete(found) and not np.asarray(found).all():
        short = [f"{(~np.asarray(found)[:, i]).sum()} with {card}" for i, card in enumerate(cards) if not found[:, i].all()]
        raise ValueError(
            f"cards is {list(cards)}; of {len(x)} samples some have no such point on their path: {', '.join(short)} "
            f"(columns that are combinations of others cannot enter, a sample of zeros has no path); take fewer, {MEND}"
        )
    return jnp.where(found[..., None], codes, jnp.nan)


def lasso(
    basis: Real[Array | np.ndarray, "d m"], x: Real[Array | np.ndarray, "n d"], ratio: float | Array
) -> Float[Array, "n m"]:
    """Codes at one penalty: the lasso with lambda as a part of the least one that makes every entry zero, `|U^T x|_inf`.

    Args:
        basis: U, a column for every concept.
        x: samples in rows.
        ratio: 0 to 1; at 0 least squares.

    Raises:
        ValueError: for shapes that do not fit, a ratio out of range, or numbers that are not finite.

    >>> lasso(np.eye(3), np.array([[3.0, 1.0, -2.0]]), 0.5).tolist()
    [[1.5, 0.0, -0.5]]
    """
    _check(basis, x)
    if is_concrete(ratio) and not 0 <= float(ratio) <= 1:
        raise ValueError(f"ratio is {ratio}; it must be between 0 and 1")
    codes = _lars(basis, x, jnp.zeros(0, jnp.int32), ratio)[2]
    if is_concrete(codes) and (count := int(np.isnan(np.asarray(codes)).any(axis=1).sum())):
        raise ValueError(f"basis has columns near combinations of others, and rounding spoils {count} paths; drop some, {MEND}")
    return codes


def _check(basis: Array | np.ndarray, x: Array | np.ndarray) -> None:
    if basis.ndim != 2 or x.ndim != 2 or x.shape[1] != basis.shape[0] or not basis.size:
        raise ValueError(f"basis has shape {basis.shape} and x {x.shape}; they need [d, m] and [n, d], d and m at least 1")
    check_finite("basis", basis)
    check_finite("x", x)


def _lars(basis, x, cards, ratio) -> tuple[Array, Array, Array]:
    """Codes by number of entries, whether they were found, and the codes at the end of the path."""
    basis, x = at_least_float32(basis, x)
    return lars_of_products(
        jnp.matmul(basis.T, basis, precision="highest"), jnp.matmul(x, basis, precision="highest"), cards, ratio
    )


def lars_of_products(
    gram: Float[Array, "m m"], products: Float[Array, "n m"], cards: Int[Array, " cards"], ratio: float | Array
) -> tuple[Float[Array, "n cards m"], Bool[Array, "n cards"], Float[Array, "n m"]]:
    """The path from `G = U^T U` and `U^T x`: all that it needs to know. A ridge is added to G.

    Args:
        gram: G, symmetric, no negative eigenvalues.
        products: a row for every sample.
        cards: numbers of entries to look for.
        ratio: where the path ends, as a part of the largest product.

    Returns:
        The last codes with so many entries; whether there are any; the codes at the end.
    """
    n, m = products.shape
    size = 2 ** math.ceil(math.log2(max(1, n)))  # few programs serve all sizes
    lanes = min(size, LANES)
    padded = jnp.pad(products, ((0, size - n), (0, 0))).reshape(-1, lanes, m)
    wanted = jnp.pad(cards, (0, -len(cards) % 4 or 4 * (not len(cards))))  # no code has 0 entries
    found = _in_chunks(gram, padded, wanted, jnp.asarray(ratio, gram.dtype))
    codes, exist, last = (part.reshape(size, *part.shape[2:])[:n] for part in found)
    return codes[:, : len(cards)], exist[:, : len(cards)], last


@jax.jit
def _in_chunks(gram: Array, products: Array, cards: Array, ratio: Array) -> tuple[Array, Array, Array]:
    return jax.lax.map(lambda part: _chunk(gram, part, cards, ratio), products)


def _chunk(gram: Array, products: Array, cards: Array, ratio: Array) -> tuple[Array, Array, Array]:
    m, dtype = len(gram), gram.dtype
    largest = jnp.abs(products).max(axis=1)
    end = largest * jnp.maximum(ratio, 32 * jnp.finfo(dtype).eps)  # what is below is rounding

    def start(product: Array, largest: Array) -> _Path:
        zeros = jnp.zeros(m, dtype)
        missing = jnp.zeros((len(cards), m), dtype), jnp.zeros(len(cards), bool)
        return _Path(gram, zeros, zeros, jnp.argmax(jnp.abs(product)), largest == 0, largest, *missing)

    def unfinished(state: tuple[_Path, Array]) -> Array:
        return ~state[0].done.all() & (state[1] < 8 * m)

    def body(state: tuple[_Path, Array]) -> tuple[_Path, Array]:
        return advance(state[0], products, end), state[1] + 1

    advance = jax.vmap(partial(_advance, gram, cards))
    paths, _ = jax.lax.while_loop(unfinished, body, (jax.vmap(start)(products, largest), jnp.asarray(0)))
    return paths.codes, paths.found, paths.code


def _advance(gram: Array, cards: Array, path: _Path, product: Array, end: Array) -> _Path:
    """One column enters or leaves, and the code moves to where the next one will. Nothing happens on a path that is done."""
    going = ~path.done
    this = jnp.arange(len(gram)) == path.turn
    enters = path.sign[path.turn] == 0
    table = jnp.where(going, _sweep(path.table, path.turn, jnp.where(enters, 1, -1).astype(gram.dtype)), path.table)
    left = product - jnp.matmul(gram, path.code, precision="highest")
    sign = jnp.where(this & going, jnp.where(enters, jnp.sign(left), 0), path.sign)
    active, highest = sign != 0, path.highest
    lost = going & (jnp.abs(left).max() > highest + LOST * jnp.abs(product).max())

    swept = jnp.matmul(table, sign, precision="highest")  # minus the direction on A, how fast correlations fall on B
    tiny = jnp.asarray(16 * jnp.finfo(gram.dtype).eps, gram.dtype)
    free = ~active & (jnp.diagonal(table) > jnp.sqrt(tiny) * jnp.diagonal(gram))

    def meets(way: int) -> Array:  # only what falls more slowly than the active ones: so one that has just left stays out
        slower = 1 - way * swept
        return jnp.where(free & (slower > tiny), (highest - way * left) / jnp.where(slower > tiny, slower, 1), jnp.inf)

    shrinks = active & (path.code * swept > 0)
    joins = jnp.maximum(jnp.minimum(meets(1), meets(-1)), 0)
    leaves = jnp.where(shrinks, path.code / jnp.where(shrinks, swept, 1), jnp.inf)
    step = jnp.minimum(joins.min(), leaves.min())
    stops, step = step >= highest - end, jnp.minimum(step, highest - end)
    turn = jnp.where(leaves.min() <= joins.min(), jnp.argmin(leaves), jnp.argmin(joins))
    moved = jnp.where(active, path.code - step * swept, 0)
    moved = jnp.where((leaves <= step), 0, moved)
    code = jnp.where(lost, jnp.nan, jnp.where(going, moved, path.code))
    has = going & ~lost & (cards == jnp.sum(code != 0))
    codes = jnp.where(has[:, None], code[None], path.codes)
    return _Path(table, code, sign, turn, path.done | stops | lost, highest - step, codes, path.found | has)


def _sweep(table: Float[Array, "m m"], k: Int[Array, ""], way: Float[Array, ""]) -> Float[Array, "m m"]:
    """Sweep on column k (way 1), or undo it (way -1): one rank-one update and one number of the diagonal."""
    row, this = table[k], (jnp.arange(len(table)) == k).astype(table.dtype)
    u = row - way * this
    pivot = jnp.where(row[k] == 0, 1, row[k])
    return table - u[:, None] * (u / pivot)[None] - 2 * way * this[:, None] * this[None]
