"""Kronecker tensor attention of any order (Alman & Song 2023, arXiv 2310.04064): exact, streamed and low-rank.

Order `k = m + 1` counts the query and `m` memories; order 2 is ordinary attention, order 3 the paper's tensor attention.
"""

import math
from collections.abc import Sequence
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax
from jaxtyping import Array, Bool, Float, ScalarLike

from quire.common.checks import check_at_least, check_positive, floating, is_concrete
from quire.common.layers.attention import merge_heads, split_heads
from quire.common.layers.polynomials import (
    exp_polynomial,
    monomial_exponents,
    monomial_features,
    multinomial_coefficients,
)
from quire.common.layers.streaming import (
    Block,
    chosen_tiles,
    dense_softmax_attention,
    stream_batch,
    streaming_softmax_attention,
)

MAX_CANCELLATION = 0.1
"""Share of a denominator that rounding may make up: `eps sum |terms|` over the denominator."""


def tensor_attention(
    q: Float[Array, "*batch n d"],
    ks: Sequence[Float[Array, "*batch _ d"]],
    vs: Sequence[Float[Array, "*batch _ c"]],
    *,
    scale: ScalarLike | None = None,
    masks: Sequence[Bool[Array, "..."]] | None = None,
    causal: bool = False,
    block: Block = "auto",
) -> Float[Array, "*batch n c"]:
    """Exact tensor attention, `D^{-1} A (V1 (o) ... (o) Vm)` with `A = exp(scale * Q (K1 (o) ... (o) Km)^T)`, `D = diag(A 1)`.

    The softmax runs over all tuples jointly; values multiply elementwise.

    Args:
        q: queries `[..., n, d]`.
        ks: keys of each memory `[..., n_l, d]`; lengths may differ.
        vs: values of each memory `[..., n_l, c]`.
        scale: factor on the scores, `1 / d` by default (not `1 / sqrt(d)`); may be traced.
        masks: per memory, booleans `[n_l]` or `[n, n_l]`, True where attention is allowed.
        causal: attend only to tuples with every `j_l <= i`.
        block: None holds all `n n_1 ... n_m` scores; "tiles" or a tile length streams them in O(tile) memory; "auto" streams
            where that is faster (`quire.common.layers.streaming.dense_loses`).

    Returns:
        `[..., n, c]`; zeros for a query with nothing to attend to. Dense, all derivatives; streamed, first-order reverse-mode
        ones only.

    Raises:
        ValueError: if the shapes do not fit together, a memory is empty, or for another `block`.

    >>> q = k = jnp.array([[0.], [1.]]); v = jnp.array([[1.], [3.]])
    >>> tensor_attention(q, [k, k], [v, v]).round(2)
    Array([[4. ],
           [5.5]], dtype=float32)

    References:
        Alman and Song, *How to Capture Higher-order Correlations?*, ICLR 2024, definition 1.1 and the section on higher orders.
    """
    q, ks, vs = _memories(q, ks, vs)
    masks = _check_masks(q, ks, masks)
    scale = jnp.asarray(_default_scale(q, scale), q.dtype)
    *batch, n = q.shape[:-1]
    sizes = [k.shape[-2] for k in ks]
    tiles = chosen_tiles(block, n, sizes, math.prod(batch))
    if 0 in (*batch, n):
        return jnp.zeros((*batch, n, vs[0].shape[-1]), q.dtype)

    def one(q, ks, vs):
        if tiles is None:
            return dense_softmax_attention(q, ks, vs, scale, masks, causal)
        return streaming_softmax_attention(q, ks, vs, scale, masks, causal, tiles)

    return _over_batch(one, len(batch))(q, ks, vs) if tiles is None else stream_batch(one, (q, ks, vs), batch, tiles)


def low_rank_weights(dim: int, coefficients: Float[np.ndarray, " coefficients"], scale: float) -> Float[np.ndarray, " r"]:
    """Weight of each monomial in `p(scale * <q, k1, ..., km>)`: `c_t t!/alpha! scale^t`, `t = |alpha|`, float64.

    With it `A ~= U1 (U2 (o) U3)^T`, where `U1 = Q^alpha * weight`, `U2 = K1^alpha`, `U3 = K2^alpha`.
    """
    degree = len(coefficients) - 1
    total = monomial_exponents(dim, degree).sum(1)
    return coefficients[total] * multinomial_coefficients(dim, degree) * float(scale) ** total


def low_rank_tensor_attention(
    q: Float[Array, "*batch n d"],
    ks: Sequence[Float[Array, "*batch _ d"]],
    vs: Sequence[Float[Array, "*batch _ c"]],
    *,
    degree: int,
    radius: float | None = None,
    kind: Literal["taylor", "chebyshev"] = "taylor",
    scale: ScalarLike | None = None,
    masks: Sequence[Bool[Array, "..."]] | None = None,
    block: int | None = 1024,
) -> Float[Array, "*batch n c"]:
    """Tensor attention in `O(n r (d + c))` time by the polynomial method: `exp` becomes a polynomial of degree `degree`.

    With monomial features `phi(x) = (x^alpha)`, `|alpha| <= degree`, and `S_l = phi(K_l)^T [V_l, 1]` (`r x (c + 1)`),

        [numerator, denominator] = phi(Q) (w * S_1 * ... * S_m),     `*` elementwise,

    because `(U2 (o) U3)^T (V1 (o) V2) = (U2^T V1) * (U3^T V2)`. Nothing of size `n^2` or `n^m` is formed. The weights `w` of
    `low_rank_weights` sit on the small sums, so queries and memories share one unweighted feature map.

    Args:
        q, ks, vs, scale: as for `tensor_attention`.
        degree: degree of the polynomial; `r = C(d + degree, degree)`.
        radius: bound on `|scale * score|`, positive; needed for `chebyshev` and for odd degrees.
        kind: Taylor series or Chebyshev interpolant of `exp`.
        masks: per memory, booleans `[n_l]`, True where attention is allowed.
        block: rows per tile of the feature maps, positive; None forms them whole.

    Returns:
        `[..., n, c]`.

    Raises:
        ValueError: if the shapes do not fit together, `r` is too large, or the denominator may lose its sign: even Taylor
            polynomials are positive everywhere, any other must be positive on `[-radius, radius]`. With concrete arrays the
            computed denominators are checked too; under `jit` rows whose denominator is not positive, or lost to rounding
            (`MAX_CANCELLATION`), are NaN.

    References:
        Alman and Song, ICLR 2024, section on the polynomial method; Aggarwal and Alman 2022 for the degree.
    """
    q, ks, vs = _memories(q, ks, vs)
    masks = _check_masks(q, ks, masks)
    if block is not None:
        check_at_least("block", block)
    _check_one_mask_per_memory(masks)
    factor = 1.0
    if is_concrete(scale):
        factor = float(np.asarray(_default_scale(q, scale)))
    else:
        q = q * jnp.asarray(scale, q.dtype)
    coefficients = _positive_polynomial(degree, radius, kind)
    weights = jnp.asarray(low_rank_weights(q.shape[-1], coefficients, factor), q.dtype)[:, None]

    def one(q, ks, vs):
        signed, absolute = weights, jnp.abs(weights)
        for axis, (k, v) in enumerate(zip(ks, vs, strict=True)):
            values = jnp.concatenate([v, jnp.ones((v.shape[0], 1), v.dtype)], axis=1)
            if masks is not None:
                values = jnp.where(masks[axis][0][:, None], values, 0)
            sums = _feature_sums(k, values, degree, block)
            signed, absolute = signed * sums[:, :-1], absolute * sums[:, -1:]
        return _feature_product(q, signed, absolute, degree, block)

    return _quotient(_over_batch(one, q.ndim - 2)(q, ks, vs))


def _quotient(out: Array) -> Array:
    """Numerators over denominators, `[..., n, c + 2]` with the sizes of the terms of the denominators in the last channel."""
    numerator, denominator, size = out[..., :-2], out[..., -2:-1], out[..., -1:]
    sound = denominator > jnp.finfo(size.dtype).eps * size / MAX_CANCELLATION
    if is_concrete(sound) and not bool(sound.all()):
        raise ValueError(
            f"the denominator falls to {float(denominator.min()):.3g}: the scores leave the interval on which the polynomial "
            "is positive, or terms of opposite sign cancel to rounding; use an even Taylor degree or a radius that covers the "
            "scores, smaller scores, or float64"
        )
    return numerator / jnp.where(sound, denominator, jnp.nan)


def _feature_sums(k: Array, values: Array, degree: int, block: int | None) -> Array:
    """`phi(K)^T [V, 1]` and beside it `|phi(K)|^T 1`, over tiles of `block` tokens."""

    def sums(k, values):
        features = monomial_features(k, degree)
        return jnp.concatenate([features.T @ values, jnp.abs(features).T @ values[:, -1:]], axis=1)

    n = k.shape[0]
    if block is None or n <= block:
        return sums(k, values)
    padding = ((0, -n % block), (0, 0))  # padded values are zero, so padded tokens add nothing
    tiles = [jnp.pad(x, padding).reshape(-1, block, x.shape[1]) for x in (k, values)]
    rank = monomial_exponents(k.shape[1], degree).shape[0]
    start = jnp.zeros((rank, values.shape[1] + 1), k.dtype)
    return lax.scan(lambda total, tile: (total + sums(*tile), None), start, tiles)[0]


def _feature_product(q: Array, signed: Array, absolute: Array, degree: int, block: int | None) -> Array:
    """`phi(Q) S` and beside it `|phi(Q)| |S|`, over tiles of `block` queries."""

    def product(q):
        features = monomial_features(q, degree)
        return jnp.concatenate([features @ signed, jnp.abs(features) @ absolute], axis=1)

    n = q.shape[0]
    if block is None or n <= block:
        return product(q)
    tiles = jnp.pad(q, ((0, -n % block), (0, 0))).reshape(-1, block, q.shape[1])
    return lax.map(product, tiles).reshape(-1, signed.shape[1] + 1)[:n]


class TensorAttention(nnx.Module):
    """Multi-head self-attention of any order: linear maps to queries, keys and values, then the exact operation.

    Args:
        in_features: channels of the input.
        num_heads: number of heads.
        head_dim: channels of a head.
        out_features: channels of the output, `in_features` by default.
        order: 2 is ordinary attention (with `scale = 1 / head_dim`), 3 attends to pairs, and so on.
        out_bias: whether the output map has a bias.
        causal: attend only to tuples of past tokens.
        block: as for `tensor_attention`.
        rngs: for the initial weights, `N(0, 1 / fan_in)`.

    Raises:
        ValueError: if `order < 2` or another size is below 1.
    """

    def __init__(
        self,
        in_features: int,
        *,
        num_heads: int,
        head_dim: int,
        out_features: int | None = None,
        order: int = 3,
        out_bias: bool = True,
        causal: bool = False,
        block: Block = "auto",
        rngs: nnx.Rngs,
    ):
        for name, size in (("in_features", in_features), ("num_heads", num_heads), ("head_dim", head_dim)):
            check_at_least(name, size)
        if order < 2:
            raise ValueError(f"order is {order}; it must be at least 2 (ordinary attention)")
        self.num_heads, self.memories, self.causal, self.block = num_heads, order - 1, causal, block
        out_features = in_features if out_features is None else check_at_least("out_features", out_features)
        init = nnx.initializers.variance_scaling(1.0, "fan_in", "normal")
        maps = 1 + 2 * self.memories
        self.qkv = nnx.Linear(in_features, maps * num_heads * head_dim, use_bias=False, kernel_init=init, rngs=rngs)
        self.out = nnx.Linear(num_heads * head_dim, out_features, use_bias=out_bias, kernel_init=init, rngs=rngs)

    def __call__(self, x: Float[Array, "*batch n f"]) -> Float[Array, "*batch n o"]:
        maps = jnp.split(self.qkv(x), 1 + 2 * self.memories, axis=-1)
        q, *kv = (split_heads(part, self.num_heads) for part in maps)
        ks, vs = kv[: self.memories], kv[self.memories :]
        return self.out(merge_heads(tensor_attention(q, ks, vs, causal=self.causal, block=self.block)))


def _over_batch(function, batch_axes: int):
    for _ in range(batch_axes):
        function = jax.vmap(function)
    return function


def _default_scale(q: Array, scale: ScalarLike | None) -> ScalarLike:
    if q.shape[-1] == 0:
        raise ValueError("q has 0 channels; scores need at least one")
    return 1 / q.shape[-1] if scale is None else scale


def _check_one_mask_per_memory(masks: Sequence[Array] | None) -> None:
    if masks is not None and any(mask.shape[0] > 1 for mask in masks):
        raise ValueError("masks must be one boolean vector [n_l] per memory; the low-rank form has no masks per query")
    if masks is not None and is_concrete(*masks) and not all(np.asarray(m).any() for m in masks):
        raise ValueError("masks leave a memory without any token; each needs at least one")


def _memories(q: Array, ks: Sequence[Array], vs: Sequence[Array]) -> tuple[Array, list[Array], list[Array]]:
    """Everything in one dtype, when it fits together."""
    _check_memories(q, ks, vs)
    q, *kv = floating(q, *ks, *vs)
    return q, kv[: len(ks)], kv[len(ks) :]


def _check_memories(q: Array, ks: Sequence[Array], vs: Sequence[Array]) -> None:
    if len(ks) == 0:
        raise ValueError("ks is empty: tensor attention needs at least one memory (order 2)")
    if len(ks) != len(vs):
        raise ValueError(f"ks holds {len(ks)} memories and vs {len(vs)}; each memory needs keys and values")
    for axis, (k, v) in enumerate(zip(ks, vs, strict=True)):
        if q.ndim < 2 or k.ndim != q.ndim or v.ndim != q.ndim:
            raise ValueError(
                f"q, ks[{axis}] and vs[{axis}] have {q.ndim}, {k.ndim} and {v.ndim} axes; all need [..., tokens, channels]"
            )
        if k.shape[:-2] != q.shape[:-2] or v.shape[:-2] != q.shape[:-2]:
            raise ValueError(
                f"memory {axis} has batch shape {k.shape[:-2]} and {v.shape[:-2]}, q has {q.shape[:-2]}; they must be equal"
            )
        if k.shape[-1] != q.shape[-1]:
            raise ValueError(f"ks[{axis}] has {k.shape[-1]} channels and q {q.shape[-1]}; scores need the same number")
        if k.shape[-2] != v.shape[-2]:
            raise ValueError(f"ks[{axis}] holds {k.shape[-2]} tokens and vs[{axis}] {v.shape[-2]}; every key needs one value")
        if k.shape[-2] == 0:
            raise ValueError(f"memory {axis} is empty; each memory needs at least one token")
        if v.shape[-1] != vs[0].shape[-1]:
            raise ValueError(f"vs[{axis}] has {v.shape[-1]} channels and vs[0] {vs[0].shape[-1]}; values multiply elementwise")


def _check_masks(q: Array, ks: Sequence[Array], masks: Sequence[Array] | None) -> list[Array] | None:
    if masks is None:
        return None
    if len(masks) != len(ks):
        raise ValueError(f"masks holds {len(masks)} masks for {len(ks)} memories; give one per memory")
    out = []
    for axis, (mask, k) in enumerate(zip(masks, ks, strict=True)):
        mask = jnp.atleast_2d(jnp.asarray(mask))
        n, length = q.shape[-2], k.shape[-2]
        if mask.dtype != bool or mask.shape not in {(1, length), (n, length)}:
            raise ValueError(f"masks[{axis}] is {mask.dtype}{list(mask.shape)}; it must be boolean [{length}] or [{n}, {length}]")
        out.append(mask)
    return out


def _positive_polynomial(degree: int, radius: float | None, kind: Literal["taylor", "chebyshev"]) -> np.ndarray:
    """Coefficients of the polynomial in place of `exp`: an even Taylor degree is positive everywhere, others are checked."""
    coefficients = exp_polynomial(degree, radius, kind)
    if kind != "taylor" or degree % 2:
        _check_positive(coefficients, radius)
    return coefficients


def _check_positive(coefficients: np.ndarray, radius: float | None) -> None:
    if radius is None:
        raise ValueError(
            "radius is None; an odd degree or chebyshev needs a bound on |scale * score| to keep the denominator positive"
        )
    check_positive("radius", radius)
    polynomial = np.polynomial.Polynomial(coefficients)
    turning = polynomial.deriv().roots() if len(coefficients) > 2 else np.array([])
    turning = turning.real[(abs(turning.imag) < 1e-9) & (abs(turning.real) <= radius)]
    lowest = polynomial(np.array([-radius, radius, *turning])).min()
    if lowest <= 0:
        raise ValueError(
            f"the polynomial of degree {len(coefficients) - 1} falls to {lowest:.3g} on [-{radius:.3g}, {radius:.3g}], "
            f"so denominators may vanish; use degree {math.ceil(2 * radius)} or more, or an even Taylor degree"
        )
