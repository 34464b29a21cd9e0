"""Conditional cross-attention: the condition asks, the tokens of the image answer (section 3)."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from quire.common.layers.attention import attention_weights, head_size, merge_heads, split_heads
from quire.common.layers.intermediates import sow

KeysValues = tuple[Float[Array, "*batch heads n c"], Float[Array, "*batch heads n c"]]


class ConditionalCrossAttention(nnx.Module):
    """`softmax(W_q q (W_k x)^T / sqrt(dim / heads)) W_v x` for every head, concatenated, then a linear map.

    The query q is the embedding of a condition and knows nothing of the image x; keys and values know nothing of the condition.
    So they are computed once for an image (`keys_values`), and a switch of the condition costs a single query (`attend`).

    The paper repeats the query for each of the tokens; all rows of the output are then the same, and one is enough.

    Sows `attention`: weights `[*batch, heads, queries, tokens]`.

    Args:
        dim: channels of tokens, conditions and output.
        num_heads: heads; they are contiguous blocks of channels.
        use_bias: whether the maps have biases.
        rngs: for the initial weights.

    Raises:
        ValueError: if a size is below 1, or `num_heads` does not divide `dim`; when called, for other shapes, or without tokens.

    >>> layer = ConditionalCrossAttention(8, 2, rngs=nnx.Rngs(0))
    >>> layer(jnp.ones((3, 10, 8)), jnp.ones((3, 8))).shape
    (3, 8)
    """

    def __init__(self, dim: int, num_heads: int, *, use_bias: bool = True, rngs: nnx.Rngs):
        head_size(dim, num_heads)
        self.dim, self.num_heads = dim, num_heads
        self.query = nnx.Linear(dim, dim, use_bias=use_bias, rngs=rngs)
        self.key_value = nnx.Linear(dim, 2 * dim, use_bias=use_bias, rngs=rngs)
        self.out = nnx.Linear(dim, dim, use_bias=use_bias, rngs=rngs)

    def keys_values(self, tokens: Float[Array, "*batch n dim"]) -> KeysValues:
        """Keys and values of every head, whatever the condition."""
        if tokens.ndim < 2 or tokens.shape[-1] != self.dim or not tokens.shape[-2]:
            raise ValueError(f"tokens have shape {tokens.shape}; they need to be [..., n, {self.dim}] with at least one token")
        keys, values = jnp.split(self.key_value(tokens), 2, axis=-1)
        return split_heads(keys, self.num_heads), split_heads(values, self.num_heads)

    def attend(self, conditions: Float[Array, "*batch m dim"], keys_values: KeysValues) -> Float[Array, "*batch m dim"]:
        """What each of m conditions finds in an image whose keys and values are at hand."""
        keys, values = keys_values
        batch = keys.shape[:-3]
        if conditions.shape[-1] != self.dim or conditions.shape[:-2] != batch:
            raise ValueError(f"conditions have shape {conditions.shape}; they need to be {[*batch, 'm', self.dim]}")
        weights = attention_weights(split_heads(self.query(conditions), self.num_heads), keys)
        sow(self, "attention", weights)
        return self.out(merge_heads(weights @ values))

    def __call__(self, tokens: Float[Array, "*batch n dim"], condition: Float[Array, "*batch dim"]) -> Float[Array, "*batch dim"]:
        """One condition for each image."""
        return self.attend(condition[..., None, :], self.keys_values(tokens))[..., 0, :]

    def repeated(
        self, tokens: Float[Array, "*batch n dim"], condition: Float[Array, "*batch dim"]
    ) -> Float[Array, "*batch n dim"]:
        """As the paper writes it: the query once for each token, n equal rows at n times the cost."""
        rows = jnp.broadcast_to(condition[..., None, :], tokens.shape)
        return self.attend(rows, self.keys_values(tokens))
