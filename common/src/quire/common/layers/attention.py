"""Scaled dot-product attention: dense, masked, streamed, and its multi-head module."""

import math

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, ScalarLike

from quire.common.checks import check_at_least, floating
from quire.common.layers.intermediates import captured, sow
from quire.common.layers.softmax import masked_softmax
from quire.common.layers.streaming import Block, chosen_tiles, default_tiles, stream_batch, streaming_softmax_attention


def attention_weights(
    q: Float[Array, "*batch n d"],
    k: Float[Array, "*batch m d"],
    *,
    scale: ScalarLike | None = None,
    mask: Bool[Array, "*#mask m"] | None = None,
    causal: bool = False,
) -> Float[Array, "*batch n m"]:
    """Attention weights, `softmax_j(scale * <q_i, k_j>)`.

    Args:
        q: queries `[..., n, d]`.
        k: keys `[..., m, d]`.
        scale: factor on the scores, `1 / sqrt(d)` by default; may be traced.
        mask: booleans that broadcast to `[..., n, m]`, True where attention is allowed.
        causal: attend only to `j <= i`.

    Returns:
        `[..., n, m]`; rows sum to one, or to zero where a query has nothing to attend to.

    Raises:
        ValueError: if `q` and `k` differ in their last axis, or `mask` is not boolean.
    """
    q, k = floating(q, k)
    _check(q, k, mask)
    scores = jnp.einsum("...nd,...md->...nm", q * _scale(q, scale), k)
    n, m = scores.shape[-2:]
    if m == 0:
        return scores
    if causal:
        ahead = jnp.tri(n, m, dtype=bool)
        mask = ahead if mask is None else jnp.broadcast_to(mask, scores.shape) & jnp.broadcast_to(ahead, scores.shape)
    if mask is None:
        return jax.nn.softmax(scores, axis=-1)
    return masked_softmax(scores, jnp.broadcast_to(mask, scores.shape))


def attention(
    q: Float[Array, "*batch n d"],
    k: Float[Array, "*batch m d"],
    v: Float[Array, "*batch m c"],
    *,
    scale: ScalarLike | None = None,
    mask: Bool[Array, "*#mask m"] | None = None,
    causal: bool = False,
    block: Block = "auto",
) -> Float[Array, "*batch n c"]:
    """Scaled dot-product attention (Vaswani et al. 2017, eq. 1), dense or streamed.

    Args:
        q, k, v: queries `[..., n, d]`, keys `[..., m, d]`, values `[..., m, c]`.
        scale, mask, causal: as for `attention_weights`.
        block: None holds all `n m` scores; "tiles" or a tile length streams them as `streaming_attention` does; "auto" streams
            where that is faster (`quire.common.layers.streaming.dense_loses`).

    Returns:
        `[..., n, c]`. Dense, all derivatives; streamed, first-order reverse-mode ones only.

    Raises:
        ValueError: if the shapes do not fit together, or for another `block`.
    """
    q, k, v = floating(q, k, v)
    _check(q, k, mask, v)
    if block == "auto" and not q.shape[:-2] == k.shape[:-2] == v.shape[:-2]:
        block = None  # batches that broadcast stay dense
    tiles = chosen_tiles(block, q.shape[-2], [k.shape[-2]], math.prod(q.shape[:-2]))
    if tiles is None:
        return attention_weights(q, k, scale=scale, mask=mask, causal=causal) @ v
    return streaming_attention(q, k, v, scale=scale, mask=mask, causal=causal, block=None if isinstance(block, str) else block)


def streaming_attention(
    q: Float[Array, "*batch n d"],
    k: Float[Array, "*batch m d"],
    v: Float[Array, "*batch m c"],
    *,
    scale: ScalarLike | None = None,
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
    q, k, v = floating(q, k, v)
    _check(q, k, mask, v)
    if block is not None and block < 1:
        raise ValueError(f"block is {block}; it must be a positive tile length or None")
    batch, n, m = q.shape[:-2], q.shape[-2], k.shape[-2]
    if not k.shape[:-2] == v.shape[:-2] == batch:
        raise ValueError(f"q, k and v have batch shapes {batch}, {k.shape[:-2]} and {v.shape[:-2]}; they must be the same")
    if not all((*batch, n, m)):
        return jnp.zeros((*batch, n, v.shape[-1]), v.dtype)
    tiles = default_tiles(n, [m], block)
    scale = _scale(q, scale)

    def one(q, k, v, mask=None):
        masks = None if mask is None else [mask]
        return streaming_softmax_attention(q, [k], [v], scale, masks, causal, tiles)

    args = (q, k, v)
    if mask is not None:
        args = (*args, jnp.broadcast_to(mask, (*batch, jnp.atleast_2d(mask).shape[-2], m)))
    return stream_batch(one, args, batch, tiles)


def split_heads(x: Float[Array, "*batch n f"], num_heads: int) -> Float[Array, "*batch {num_heads} n h"]:
    """`[..., n, num_heads * head_dim] -> [..., num_heads, n, head_dim]`; channels of one head are contiguous.

    Raises:
        ValueError: if `num_heads` does not divide the channels.
    """
    if num_heads < 1 or x.shape[-1] % num_heads:
        raise ValueError(f"num_heads is {num_heads}; it must divide the {x.shape[-1]} channels of x")
    return jnp.moveaxis(x.reshape((*x.shape[:-1], num_heads, x.shape[-1] // num_heads)), -2, -3)


def merge_heads(x: Float[Array, "*batch num_heads n h"]) -> Float[Array, "*batch n f"]:
    """Inverse of `split_heads`."""
    x = jnp.moveaxis(x, -3, -2)
    return x.reshape((*x.shape[:-2], x.shape[-2] * x.shape[-1]))


def head_size(dim: int, num_heads: int, head_dim: int | None = None) -> int:
    """Channels of a head, `dim // num_heads` where `head_dim` is None.

    Raises:
        ValueError: if a size is below 1, or `num_heads` does not divide `dim` and no `head_dim` is given.

    >>> head_size(12, 3), head_size(12, 5, 2)
    (4, 2)
    """
    check_at_least("dim", dim)
    check_at_least("num_heads", num_heads)
    if head_dim is not None:
        return check_at_least("head_dim", head_dim)
    if dim % num_heads:
        raise ValueError(f"dim is {dim} and num_heads {num_heads}; num_heads must divide dim, or give head_dim")
    return dim // num_heads


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
        ValueError: as for `head_size`.
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
        head_dim = head_size(dim, num_heads, head_dim)
        self.num_heads = num_heads
        self.causal = causal
        self.qkv = nnx.Linear(dim, 3 * num_heads * head_dim, use_bias=qkv_bias, rngs=rngs)
        self.out = nnx.Linear(num_heads * head_dim, dim, rngs=rngs)

    def __call__(
        self, x: Float[Array, "*batch n dim"], mask: Bool[Array, "*#mask n"] | None = None
    ) -> Float[Array, "*batch n dim"]:
        q, k, v = (split_heads(part, self.num_heads) for part in jnp.split(self.qkv(x), 3, axis=-1))
        if not captured(self):
            return self.out(merge_heads(attention(q, k, v, mask=mask, causal=self.causal)))
        weights = attention_weights(q, k, mask=mask, causal=self.causal)
        sow(self, "attention", weights)
        return self.out(merge_heads(weights @ v))


def _scale(q: Array, scale: ScalarLike | None) -> Array:
    return jnp.asarray(q.shape[-1] ** -0.5 if scale is None else scale, q.dtype)


def _check(q: Array, k: Array, mask: Array | None, v: Array | None = None) -> None:
    if q.shape[-1] == 0:
        raise ValueError("q has 0 channels; scores need at least one")
    if mask is not None and mask.dtype != bool:
        raise ValueError(f"mask has dtype {mask.dtype}; it must be boolean, True where attention is allowed")
    if v is not None and v.shape[-2] != k.shape[-2]:
        raise ValueError(f"v holds {v.shape[-2]} tokens and k {k.shape[-2]}; every key needs one value")
    if q.shape[-1] != k.shape[-1]:
        raise ValueError(f"q has {q.shape[-1]} channels and k {k.shape[-1]}; scores need the same number")
