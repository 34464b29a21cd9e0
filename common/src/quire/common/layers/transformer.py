"""Pre-norm transformer blocks, the vision transformer and the small language model that papers use as baselines."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from quire.common.layers.attention import MultiHeadAttention
from quire.common.layers.patches import ClassTokens, PatchEmbed, check_pool, pool_tokens


class MLP(nnx.Module):
    """Two linear maps with a GELU between them."""

    def __init__(self, dim: int, hidden_dim: int, *, rngs: nnx.Rngs):
        self.up = nnx.Linear(dim, hidden_dim, rngs=rngs)
        self.down = nnx.Linear(hidden_dim, dim, rngs=rngs)

    def __call__(self, x: Float[Array, "*batch dim"]) -> Float[Array, "*batch dim"]:
        return self.down(jax.nn.gelu(self.up(x), approximate=False))


class TransformerBlock(nnx.Module):
    """Pre-norm block: `h = x + MHSA(LN(x))`, `x' = h + MLP(LN(h))` (Dosovitskiy et al. 2020, eqs. 2 and 3).

    Args:
        dim: channels.
        num_heads: heads of the attention.
        mlp_dim: hidden width of the MLP, `4 * dim` by default.
        causal: attend only to the past.
        rngs: for the initial weights.
    """

    def __init__(self, dim: int, num_heads: int, *, mlp_dim: int | None = None, causal: bool = False, rngs: nnx.Rngs):
        self.attention_norm = nnx.LayerNorm(dim, epsilon=1e-5, rngs=rngs)
        self.attention = MultiHeadAttention(dim, num_heads, causal=causal, rngs=rngs)
        self.mlp_norm = nnx.LayerNorm(dim, epsilon=1e-5, rngs=rngs)
        self.mlp = MLP(dim, mlp_dim or 4 * dim, rngs=rngs)

    def __call__(self, x: Float[Array, "*batch n dim"]) -> Float[Array, "*batch n dim"]:
        x = x + self.attention(self.attention_norm(x))
        return x + self.mlp(self.mlp_norm(x))


BlockFactory = Callable[[nnx.Rngs], nnx.Module]
"""Makes one block of a stack: any module from `[..., n, dim]` to `[..., n, dim]`."""


class TokenClassifier(nnx.Module):
    """Image classifier around any stack of token blocks: patches, class token, positions, blocks, pooling, linear head.

    Args:
        image_size: `(height, width)` in pixels.
        patch_size: side of a square patch; must divide both.
        channels: image channels.
        num_classes: number of logits.
        dim: token channels.
        depth: number of blocks.
        block: makes one block.
        pool: `"cls"` reads the class token, `"mean"` averages all tokens, the class token included.
        rngs: for the initial weights.

    Raises:
        ValueError: if the patch size does not divide the image or `pool` is unknown.
    """

    def __init__(
        self,
        *,
        image_size: tuple[int, int],
        patch_size: int,
        channels: int,
        num_classes: int,
        dim: int,
        depth: int,
        block: BlockFactory,
        pool: str = "cls",
        rngs: nnx.Rngs,
    ):
        self.pool = check_pool(pool)
        self.embed = PatchEmbed(image_size, patch_size, channels, dim, rngs=rngs)
        self.tokens = ClassTokens(self.embed.num_patches, dim, rngs=rngs)
        self.blocks = nnx.List([block(rngs) for _ in range(depth)])
        self.head_norm = nnx.LayerNorm(dim, epsilon=1e-5, rngs=rngs)
        self.head = nnx.Linear(dim, num_classes, rngs=rngs)

    def features(self, images: Float[Array, "*batch h w c"]) -> Float[Array, "*batch n dim"]:
        """Tokens after the last block, class token first."""
        x = self.tokens(self.embed(images))
        for block in self.blocks:
            x = block(x)
        return x

    def __call__(self, images: Float[Array, "*batch h w c"]) -> Float[Array, "*batch classes"]:
        return self.head(self.head_norm(pool_tokens(self.features(images), self.pool)))


class TokenLM(nnx.Module):
    """Language model around any stack of token blocks: embeddings, learned positions, blocks, norm, untied linear head.

    Args:
        vocab_size: number of token ids.
        max_length: longest sequence.
        dim: token channels.
        depth: number of blocks.
        block: makes one block; a causal block gives a next-token model.
        rngs: for the initial weights; embeddings and positions are `N(0, 0.02^2)`.
    """

    def __init__(self, *, vocab_size: int, max_length: int, dim: int, depth: int, block: BlockFactory, rngs: nnx.Rngs):
        init = nnx.initializers.normal(0.02)
        self.embed = nnx.Embed(vocab_size, dim, embedding_init=init, rngs=rngs)
        self.positions = nnx.Param(init(rngs.params(), (max_length, dim)))
        self.blocks = nnx.List([block(rngs) for _ in range(depth)])
        self.norm = nnx.LayerNorm(dim, epsilon=1e-5, rngs=rngs)
        self.head = nnx.Linear(dim, vocab_size, use_bias=False, rngs=rngs)

    def __call__(self, tokens: Int[Array, "*batch t"]) -> Float[Array, "*batch t vocab"]:
        length, longest = tokens.shape[-1], self.positions.shape[0]
        if length > longest:
            raise ValueError(f"tokens have length {length}; this model reads at most {longest}")
        x = self.embed(tokens)
        x = x + jnp.broadcast_to(self.positions[:length], x.shape)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def vit_block(dim: int, num_heads: int, *, mlp_dim: int | None = None, causal: bool = False) -> BlockFactory:
    """Factory of `TransformerBlock`: `TokenClassifier` with it is ViT, `TokenLM` with the causal one is GPT."""
    return lambda rngs: TransformerBlock(dim, num_heads, mlp_dim=mlp_dim, causal=causal, rngs=rngs)


def next_token_loss(logits: Float[Array, "*batch t vocab"], targets: Int[Array, "*batch t"]) -> Float[Array, ""]:
    """Mean cross-entropy in nats per token."""
    log_probs = jax.nn.log_softmax(logits)
    return -jnp.mean(jnp.take_along_axis(log_probs, targets[..., None], axis=-1))
