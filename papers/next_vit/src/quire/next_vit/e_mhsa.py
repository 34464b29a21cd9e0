"""Efficient multi-head self-attention: every token asks, means of neighbouring tokens answer."""

from flax import nnx
from jaxtyping import Array, Float

from quire.common.layers.attention import attention_weights, merge_heads, split_heads
from quire.common.layers.intermediates import sow
from quire.next_vit.config import BN_RELU, Style
from quire.next_vit.patch_embed import Maps, normalise

Tokens = Float[Array, "batch n channels"]


def reduce_tokens(x: Tokens, sr_ratio: int) -> Float[Array, "batch m channels"]:
    """Means of `sr_ratio ** 2` consecutive tokens; those that do not fill a window are dropped.

    The tokens of a map stand row by row, so a window is a piece of a row, or several rows, and not a square.

    Args:
        x: `[batch, n, channels]`.
        sr_ratio: at least 1.

    Returns:
        `[batch, n // sr_ratio ** 2, channels]`.

    Raises:
        ValueError: if the ratio is below 1, or there are fewer tokens than a window has.

    >>> import jax.numpy as jnp
    >>> reduce_tokens(jnp.arange(10.0).reshape(1, 10, 1), 2).ravel().tolist()
    [1.5, 5.5]
    """
    window, (batch, n, channels) = sr_ratio**2, x.shape
    if sr_ratio < 1 or n < window:
        raise ValueError(f"sr_ratio is {sr_ratio} and x has {n} tokens; it must be at least 1, and a window has sr_ratio ** 2")
    return x[:, : n // window * window].reshape(batch, n // window, window, channels).mean(2)


class EMHSA(nnx.Module):
    """`softmax(q k^T / sqrt(head_dim)) v` with `q = Wq x`, and k and v from `norm(reduce_tokens(x))` (equations 5 and 6).

    Scores take `n^2 channels / sr_ratio^2` products. Sows `attention`: weights `[batch, heads, n, n // sr_ratio ** 2]`.

    Args:
        channels: in and out.
        head_dim: channels of a head.
        sr_ratio: 1 for plain attention, without a normaliser.
        style: normaliser.
        rngs: for the initial weights.

    Raises:
        ValueError: if `head_dim` does not divide the channels or `sr_ratio` is below 1; when called, as `reduce_tokens`.

    >>> import jax.numpy as jnp
    >>> EMHSA(64, sr_ratio=2, rngs=nnx.Rngs(0))(jnp.ones((1, 49, 64))).shape
    (1, 49, 64)
    """

    def __init__(self, channels: int, head_dim: int = 32, sr_ratio: int = 1, *, style: Style = BN_RELU, rngs: nnx.Rngs):
        if head_dim < 1 or channels < 1 or channels % head_dim:
            raise ValueError(f"head_dim is {head_dim} for {channels} channels; it must be positive and divide them")
        if sr_ratio < 1:
            raise ValueError(f"sr_ratio is {sr_ratio}; it must be at least 1")
        self.q, self.k, self.v, self.proj = (style.linear(channels, channels, rngs=rngs) for _ in range(4))
        self.norm: nnx.Module | None = style.make_norm(channels, rngs) if sr_ratio > 1 else None
        self.num_heads, self.sr_ratio = channels // head_dim, sr_ratio

    def __call__(self, x: Tokens, *, train: bool = False) -> Tokens:
        source = x if self.sr_ratio == 1 else normalise(self.norm, reduce_tokens(x, self.sr_ratio), train)
        q, k, v = (split_heads(part, self.num_heads) for part in (self.q(x), self.k(source), self.v(source)))
        weights = attention_weights(q, k)
        sow(self, "attention", weights)
        return self.proj(merge_heads(weights @ v))

    def on_maps(self, x: Maps, *, train: bool = False) -> Maps:
        """The same for `[batch, h, w, channels]`, row by row."""
        batch, h, w, channels = x.shape
        return self(x.reshape(batch, h * w, channels), train=train).reshape(x.shape)
