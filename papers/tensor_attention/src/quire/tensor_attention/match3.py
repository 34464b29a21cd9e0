"""Match3: which tokens of a sequence sum to zero with two others; one third-order unit decides it (Sanford et al. 2023)."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int, Key

from quire.common.checks import check_at_least, is_concrete
from quire.common.layers.tensor_attention import tensor_attention


def match3_labels(x: Int[Array, "*batch n"] | Int[np.ndarray, "*batch n"], modulus: int) -> Bool[Array, "*batch n"]:
    """`label_i = 1` iff some `j1, j2` have `x_i + x_j1 + x_j2 = 0 mod M`; `j1` and `j2` range over all tokens, `i` included.

    Args:
        x: integers `[..., n]` of any dtype, of which the residues count.
        modulus: `M`.

    Returns:
        `[..., n]`, by trying every triple.

    Raises:
        ValueError: if `modulus` is below 2 or beyond JAX's integers, or `x` holds no integers.

    >>> match3_labels(jnp.array([1, 2, 4]), 7).tolist(), match3_labels(jnp.array([1, 2, 3]), 31).tolist()
    ([True, True, True], [False, False, False])
    """
    x = _residues(x, modulus)
    over = x[..., :, None] - (modulus - x[..., None, :])  # a + b - M: no sum exceeds the integers, however large M is
    pairs = jnp.where(over < 0, over + modulus, over)
    missing = jnp.where(x == 0, 0, modulus - x)
    return jnp.any(pairs[..., None, :, :] == missing[..., :, None, None], axis=(-2, -1))


def balanced_length(modulus: int) -> int:
    """Length at which about half of the labels of uniform sequences are 1: `n ~ sqrt(2 M ln 2)`.

    A token has about `n (n + 1) / 2` unordered pairs, each a match with probability `1 / M`, so the chance of none is near
    `exp(-n (n + 1) / 2M)`. Much longer sequences match almost surely, and a constant answer passes.

    >>> [balanced_length(m) for m in (31, 101, 307, 701)]
    [6, 11, 20, 31]
    """
    _check_modulus(modulus)
    return max(1, round(math.sqrt(2 * modulus * math.log(2)) - 0.5))


def match3(
    key: Key[Array, ""], n: int | None, modulus: int, batch: tuple[int, ...] = ()
) -> tuple[Int[Array, "*batch n"], Bool[Array, "*batch n"]]:
    """Uniform sequences and their labels.

    Args:
        key: randomness.
        n: tokens of a sequence; None takes `balanced_length(modulus)`.
        modulus: `M`.
        batch: leading axes.

    Returns:
        Residues `[*batch, n]`, uniform in `0 .. M - 1`, and labels `[*batch, n]`.

    Raises:
        ValueError: if `n` is below 1, or `modulus` below 2 or beyond JAX's integers.
    """
    _check_modulus(modulus)
    _check_holds(modulus)
    n = check_at_least("n", balanced_length(modulus) if n is None else n)
    x = jax.random.randint(key, (*batch, n), 0, modulus)
    return x, match3_labels(x, modulus)


def angle_features(x: Int[Array, "*batch n"] | Int[np.ndarray, "*batch n"], modulus: int) -> Float[Array, "*batch n 3"]:
    """Token features `[cos a, sin a, 1]`, `a = 2 pi x / M`."""
    angle = 2 * jnp.pi * _residues(x, modulus) / modulus
    return jnp.stack([jnp.cos(angle), jnp.sin(angle), jnp.ones_like(angle)], axis=-1)


def unit_sharpness(n: int, modulus: int) -> float:
    """`C = 2 log(40 (n + 1)^2) / ((1 - cos(2 pi / M)) / 2)`: scores of a match lead the null token's by enough to outvote all."""
    return 2 * math.log(40 * (n + 1) ** 2) / math.sin(math.pi / modulus) ** 2  # (1 - cos 2a) / 2 = sin^2 a, without cancellation


def unit_projections(x: Int[Array, " n"] | Int[np.ndarray, " n"], modulus: int) -> tuple[Array, list[Array], list[Array]]:
    """Queries, keys and values of the unit: `<q_i, k1_j1 * k2_j2> = C cos(a_i + a_j1 + a_j2)`, plus one null token per memory.

        q  = C [cos a, -cos a, -sin a, -sin a, 1]
        k1 =   [cos b,  sin b,  sin b,  cos b, 0],   null [0, 0, 0, 0, 1]
        k2 =   [cos c,  sin c,  cos c,  sin c, 0],   null [0, 0, 0, 0, theta],   theta = (1 + cos(2 pi / M)) / 2

    A match scores `C`, a miss at most `C cos(2 pi / M)`, the null pair `C theta` halfway between. Values are 1 for tokens and 0
    for null, so the output is the share of attention that real pairs get.

    Args:
        x: residues `[n]`.
        modulus: `M`.

    Returns:
        `q` `[n, 5]`, `[k1, k2]` and `[v1, v2]`, each memory with `n + 1` tokens, null last.

    Raises:
        ValueError: if `modulus` is below 2, or so large that rounding of the scores reaches what a match leads by; if `x` is
            not one sequence.
    """
    if x.ndim != 1:
        raise ValueError(f"x has shape {x.shape}; it needs one sequence [n]")
    cos, sin, one = angle_features(x, modulus).T
    _check_resolved(x.shape[-1], modulus, one.dtype)
    zero = jnp.zeros_like(one)
    theta = (1 + math.cos(2 * math.pi / modulus)) / 2
    q = unit_sharpness(x.shape[-1], modulus) * jnp.stack([cos, -cos, -sin, -sin, one], axis=-1)
    k1 = jnp.stack([cos, sin, sin, cos, zero], axis=-1)
    k2 = jnp.stack([cos, sin, cos, sin, zero], axis=-1)
    null = jnp.zeros((1, 5), q.dtype).at[0, 4].set(1)
    v = jnp.append(one, 0)[:, None]
    return q, [jnp.concatenate([k1, null]), jnp.concatenate([k2, theta * null])], [v, v]


def match3_unit(x: Int[Array, " n"] | Int[np.ndarray, " n"], modulus: int) -> Float[Array, " n"]:
    """One third-order attention unit that solves Match3: above 1/2 exactly where a match exists.

    Args:
        x: residues `[n]`.
        modulus: `M`.

    Returns:
        `[n]`, in `[0, 1]`.

    Raises:
        ValueError: as for `unit_projections`.

    >>> x = jnp.array([1, 2, 4, 9])
    >>> (match3_unit(x, 31) > 0.5).tolist(), match3_labels(x, 31).tolist()
    ([False, False, False, False], [False, False, False, False])
    >>> (match3_unit(jnp.array([1, 2, 28, 9]), 31) > 0.5).tolist()
    [True, True, True, False]
    """
    q, ks, vs = unit_projections(x, modulus)
    return tensor_attention(q, ks, vs, scale=1.0)[:, 0]


def _residues(x: Array | np.ndarray, modulus: int) -> Array:
    """`x mod M` in JAX's own integers, which must hold `M`; an array that is not traced is reduced on the host, in 64 bits."""
    _check_modulus(modulus)
    integers = _check_holds(modulus)
    x = x if isinstance(x, jax.Array) else np.asarray(x)
    if not jnp.issubdtype(x.dtype, jnp.integer):
        raise ValueError(f"x has dtype {x.dtype}; residues are integers")
    if is_concrete(x):
        numbers = np.asarray(x)
        return jnp.asarray(numbers.astype(np.uint64 if x.dtype == np.uint64 else np.int64) % modulus, integers.dtype)
    wide = jnp.promote_types(x.dtype, jnp.int32) if x.dtype.itemsize < 4 else x.dtype
    return jnp.asarray(jnp.asarray(x, wide) % jnp.asarray(modulus, wide), integers.dtype)


def _check_holds(modulus: int) -> jnp.iinfo:
    """JAX's own integers, if they hold the modulus."""
    integers = jnp.iinfo(jnp.result_type(int))
    if modulus > integers.max:
        raise ValueError(f"modulus is {modulus}; integers end at {integers.max} here, beyond that use jax.enable_x64")
    return integers


def _check_resolved(n: int, modulus: int, dtype: DTypeLike) -> None:
    """Four products of three rounded numbers make a score of up to `C`; a match leads the null token by `2 log(40 (n + 1)^2)`."""
    rounding = 4 * float(jnp.finfo(dtype).eps) * unit_sharpness(n, modulus)
    lead = 2 * math.log(40 * (n + 1) ** 2)
    if rounding > lead / 2:
        raise ValueError(
            f"modulus is {modulus}; {dtype} rounds scores by {rounding:.2g} where a match leads by {lead:.2g}: use float64"
        )


def _check_modulus(modulus: int) -> None:
    check_at_least("modulus", modulus, 2)
