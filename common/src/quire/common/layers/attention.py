"""Scaled dot-product attention: dense, masked, streamed, and its multi-head module."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float

from quire.common.layers.intermediates import sow
from quire.common.layers.streaming import default_tiles, streaming_softmax_attention


def attention_weights(
    q: Float[Array, "*batch n d"],
    k: Float[Array, "*batch m d"],
    *,
    scale: float | None = None,
    mask: Bool[Array, "*#mask m"] | None = None,
    causal: bool = False,
) -> Float[Array, "*batch n m"]:
    """Attention weights, `softmax_j(scale * <q_i, k_j>)`.

    Args:
        q: queries `[..., n, d]`.
        k: keys `[..., m, d]`.
        scale: factor on the scores, `1 / sqrt(d)` by default.
        mask: booleans that broadcast to `[..., n, m]`, True where attention is allowed.
        causal: attend only to `j <= i`.

    Returns:
        `[..., n, m]`; rows sum to one, or to zero where a query has nothing to attend to.

    Raises:
        ValueError: if `q` and `k` differ in their last axis.
    """
    _check(q, k)
    scores = jnp.einsum("...nd,...md->...nm", q * _scale(q, scale), k)
    if causal:
        n, m = scores.shape[-2:]
        ahead = jnp.tri(n, m, dtype=bool)
        mask = ahead if mask is None else jnp.broadcast_to(mask, scores.shape) & jnp.broadcast_to(ahead, scores.shape)
    if mask is None:
        return jax.nn.softmax(scores, axis=-1)
    return masked_softmax(scores, jnp.broadcast_to(mask, scores.shape))


def masked_softmax(scores: Float[Array, "*tokens m"], mask: Bool[Array, "*tokens m"]) -> Float[Array, "*tokens m"]:
    """Softmax over the last axis among the entries that `mask` allows; zeros where it allows none."""
    scores = jnp.where(mask, scores, -jnp.inf)
    top = jnp.max(scores, axis=-1, keepdims=True)
    exp = jnp.exp(scores - jnp.where(jnp.isfinite(top), top, 0))
    total = jnp.sum(exp, axis=-1, keepdims=True)
    return exp / jnp.where(total > 0, total, 1)


def attention(
    q: Float[Array, "*batch n d"],
    k: Float[Array, "*batch m d"],
    v: Float[Array, "*batch m c"],
    *,
    scale: float | None = None,
    mask: Bool[Array, "*#mask m"] | None = None,
    causal: bool = False,
) -> Float[Array, "*batch n c"]:
    """Scaled dot-product attention (Vaswani et al. 2017, eq. 1), holding all `n m` scores.

    Args:
        q, k, v: queries `[..., n, d]`, keys `[..., m, d]`, values `[..., m, c]`.
        scale, mask, causal: as for `attention_weights`.

    Returns:
        `[..., n, c]`.

    Raises:
        ValueError: if the shapes do not fit together.
    """
    if v.shape[-2] != k.shape[-2]:
        raise ValueError(f"v holds {v.shape[-2]} tokens and k {k.shape[-2]}; every key needs one value")
    return attention_weights(q, k, scale=scale, mask=mask, causal=causal) @ v


def streaming_attention(
    q: Float[Array, "*batch n d"],
    k: Float[Array, "*batch m d"],
    v: Float[Array, "*batch m c"],
    *,
    scale: float | None = None,
    mask: Bool[Array, "*#mask m"] | None = None,
    causal: bool = False,
    block: int | None = None,
) -> Float[Array, "*batch n c"]:
    """`attention` in O(tile) memory, forward and backward, by an online softmax.

    Args:
        q, k, v, scale, mask, causal: as for `attention`.
        block: tile length along queries and keys; by default large tiles that still fit a CPU core's cache.

    Returns:
        `[..., n, c]`, equal to `attention` up to rounding. First-order reverse-mode derivatives only.

    Raises:
        ValueError: if the shapes do not fit together or `block` is not positive.
    """
    _check(q, k)
    if v.shape[-2] != k.shape[-2]:
        raise ValueError(f"v holds {v.shape[-2]} tokens and k {k.shape[-2]}; every key needs one value")
    if block is not None and block < 1:
        raise ValueError(f"block is {block}; it must be a positive tile length or None")
    tiles = default_tiles(q.shape[-2], k.shape[-2:-1], block)
    scale = _scale(q, scale)
    batch = q.shape[:-2]

    def one(q, k, v, mask=None):
        masks = None if mask is None else [mask]
        return streaming_softmax_attention(q, [k], [v], scale, masks, causal, tiles)

    args = [x.reshape((-1, *x.shape[-2:])) for x in (q, k, v)]
    if mask is not None:
        mask = jnp.broadcast_to(mask, (*batch, *jnp.atleast_2d(mask).shape[-2:]))
        args.append(mask.reshape((-1, *mask.shape[-2:])))
    out = jax.vmap(one)(*args)
    return out.reshape((*batch, *out.shape[1:]))


def split_heads(x: Float[Array, "*batch n f"], num_heads: int) -> Float[Array, "*batch {num_heads} n h"]:
    """`[..., n, num_heads * head_dim] -> [..., num_heads, n, head_dim]`; channels of one head are contiguous."""
    return jnp.moveaxis(x.reshape((*x.shape[:-1], num_heads, -1)), -2, -3)


def merge_heads(x: Float[Array, "*batch num_heads n h"]) -> Float[Array, "*batch n f"]:
    """Inverse of `split_heads`."""
    x = jnp.moveaxis(x, -3, -2)
    return x.reshape((*x.shape[:-2], -1))


class MultiHeadAttention(nnx.Module):
    """Multi-head self-attention (Vaswani et al. 2017, sec. 3.2.2) with separate query, key and value maps.

    Sows `attention`: weights `[batch, num_heads, n, n]`.

    Args:
        dim: channels of the input and of the output.
        num_heads: number of heads.
        head_dim: channels of a head, `dim // num_heads` by default.
        causal: attend only to the past.
        qkv_bias: whether the query, key and value maps have biases.
        rngs: for the initial weights.

    Raises:
        ValueError: if `num_heads` does not divide `dim` and no `head_dim` is given.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        *,
        head_dim: int | None = None,
        causal: bool = False,
        qkv_bias: bool = False,
        rngs: nnx.Rngs,
    ):
        if head_dim is None and dim % num_heads:
            raise ValueError(f"dim is {dim} and num_heads {num_heads}; num_heads must divide dim, or give head_dim")
        head_dim = head_dim or dim // num_heads
        self.num_heads = num_heads
        self.causal = causal
        self.qkv = nnx.Linear(dim, 3 * num_heads * head_dim, use_bias=qkv_bias, rngs=rngs)
        self.out = nnx.Linear(num_heads * head_dim, dim, rngs=rngs)

    def __call__(
        self, x: Float[Array, "*batch n dim"], mask: Bool[Array, "*#mask n"] | None = None
    ) -> Float[Array, "*batch n dim"]:
        q, k, v = (split_heads(part, self.num_heads) for part in jnp.split(self.qkv(x), 3, axis=-1))
        weights = attention_weights(q, k, mask=mask, causal=self.causal)
        sow(self, "attention", weights)
        return self.out(merge_heads(weights @ v))


def _scale(q: Array, scale: float | None) -> float:
    return q.shape[-1] ** -0.5 if scale is None else scale


def _check(q: Array, k: Array) -> None:
    if q.shape[-1] != k.shape[-1]:
        raise ValueError(f"q has {q.shape[-1]} channels and k {k.shape[-1]}; scores need the same number")
