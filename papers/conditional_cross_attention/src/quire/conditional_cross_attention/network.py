"""The network: a shared trunk, and a last block whose query is the condition (section 3)."""

from typing import NamedTuple

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from quire.common.checks import check_at_least
from quire.common.layers.nested import unit_rows
from quire.common.layers.transformer import MLP
from quire.conditional_cross_attention.conditions import ConditionKind, build_conditions
from quire.conditional_cross_attention.config import ViT
from quire.conditional_cross_attention.cross_attention import ConditionalCrossAttention, KeysValues
from quire.conditional_cross_attention.trunk import Images, Trunk


class Cache(NamedTuple):
    """What a conditional head needs to know of images, whatever the condition.

    Attributes:
        keys_values: of every head.
        cls: token of the class `[*batch, dim]`, for the residual of the ablation.
    """

    keys_values: KeysValues
    cls: Float[Array, "*batch dim"]


class ConditionalHead(nnx.Module):
    """The last block and the projection: `h = CCA(LN(x), q)`, `h' = h + MLP(LN(h))`, `e = L2(W h' + b)`.

    Around the attention there is no residual: it would carry what is not conditioned into every embedding.

    Args:
        dim: channels of tokens and conditions.
        num_heads: heads of the attention.
        embed_dim: numbers of an embedding.
        mlp_dim: hidden width of the MLP, `4 * dim` by default.
        norm_tokens: whether tokens are normalised before keys and values.
        residual: the ablation: add the token of the class to what the attention finds.
        rngs: for the initial weights.

    Raises:
        ValueError: if a size is below 1, or `num_heads` does not divide `dim`; when called, for other shapes.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        embed_dim: int,
        *,
        mlp_dim: int | None = None,
        norm_tokens: bool = True,
        residual: bool = False,
        rngs: nnx.Rngs,
    ):
        check_at_least("embed_dim", embed_dim)
        self.residual = residual
        self.token_norm = nnx.LayerNorm(dim, epsilon=1e-6, rngs=rngs) if norm_tokens else None
        self.attention = ConditionalCrossAttention(dim, num_heads, rngs=rngs)
        self.mlp_norm = nnx.LayerNorm(dim, epsilon=1e-6, rngs=rngs)
        self.mlp = MLP(dim, 4 * dim if mlp_dim is None else mlp_dim, rngs=rngs)
        self.projection = nnx.Linear(dim, embed_dim, rngs=rngs)

    def cache(self, tokens: Float[Array, "*batch n dim"]) -> Cache:
        """Everything that does not depend on the condition."""
        normed = tokens if self.token_norm is None else self.token_norm(tokens)
        return Cache(self.attention.keys_values(normed), tokens[..., 0, :])

    def switch(self, cache: Cache, conditions: Float[Array, "*batch m dim"]) -> Float[Array, "*batch m embed"]:
        """Embeddings under m conditions, from a cache: one query each."""
        found = self.attention.attend(conditions, cache.keys_values)
        return self.embed(found + cache.cls[..., None, :] if self.residual else found)

    def embed(self, found: Float[Array, "*batch dim"]) -> Float[Array, "*batch embed"]:
        """Embeddings of unit length, from what the attention found; a zero vector stays zero."""
        return unit_rows(self.projection(found + self.mlp(self.mlp_norm(found))))

    def __call__(
        self, tokens: Float[Array, "*batch n dim"], conditions: Float[Array, "*batch m dim"]
    ) -> Float[Array, "*batch m embed"]:
        return self.switch(self.cache(tokens), conditions)


class CCANet(nnx.Module):
    """One network, an embedding of its own for every attribute.

    Args:
        vit: trunk; its `depth` blocks of self-attention are shared by all attributes, the conditional block comes last.
        num_attributes: A.
        embed_dim: d.
        cond: `"table"` or `"mask"`; see `quire.conditional_cross_attention.conditions`.
        residual: the ablation of `ConditionalHead`.
        rngs: for the initial weights.

    Raises:
        ValueError: for sizes that do not fit together; when called, for images of another size, or attributes out of range.
            Traced ones give NaN.

    >>> net = CCANet(ViT(image_size=8, patch=4, dim=8, num_heads=2, depth=1), 3, 6, rngs=nnx.Rngs(0))
    >>> images = jnp.ones((2, 8, 8, 3))
    >>> net(images, jnp.array([0, 2])).shape, net.embed_all(images).shape
    ((2, 6), (2, 3, 6))
    """

    def __init__(
        self,
        vit: ViT,
        num_attributes: int,
        embed_dim: int,
        *,
        cond: ConditionKind = "table",
        residual: bool = False,
        rngs: nnx.Rngs,
    ):
        self.num_attributes = num_attributes
        self.trunk = Trunk(vit, vit.depth, rngs=rngs)
        self.conditions = build_conditions(cond, num_attributes, vit.dim, rngs=rngs)
        mlp_dim = vit.mlp_ratio * vit.dim
        self.head = ConditionalHead(vit.dim, vit.num_heads, embed_dim, mlp_dim=mlp_dim, residual=residual, rngs=rngs)

    def encode_tokens(self, images: Images) -> Float[Array, "batch n dim"]:
        """Tokens that all attributes share."""
        return self.trunk(images)

    def embed_from_tokens(self, tokens: Float[Array, "batch n dim"], attr: Int[Array, " batch"]) -> Float[Array, "batch embed"]:
        """Embeddings under one attribute for each image."""
        if attr.shape != tokens.shape[:1]:
            raise ValueError(f"attr has shape {attr.shape}; it needs one attribute for each of {len(tokens)} images")
        return self.head(tokens, self.conditions(attr)[:, None])[:, 0]

    def __call__(self, images: Images, attr: Int[Array, " batch"]) -> Float[Array, "batch embed"]:
        return self.embed_from_tokens(self.encode_tokens(images), attr)

    def embed_all(self, images: Images) -> Float[Array, "batch attributes embed"]:
        """Embeddings under every attribute, from one pass through the trunk."""
        tokens = self.encode_tokens(images)
        return self.head(tokens, self.all_conditions(len(tokens)))

    def all_conditions(self, batch: int) -> Float[Array, "batch attributes dim"]:
        """The conditions of all attributes, for each image of a batch."""
        conditions = self.conditions(jnp.arange(self.num_attributes))
        return jnp.broadcast_to(conditions[None], (batch, *conditions.shape))
