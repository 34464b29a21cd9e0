"""Pre-norm transformer blocks, the vision transformer and the small language model that papers use as baselines."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from quire.common.checks import check_at_least, check_ids, floating
from quire.common.layers.attention import MultiHeadAttention
from quire.common.layers.patches import ClassTokens, PatchEmbed, check_pool, pool_tokens


class MLP(nnx.Module):
    """Two linear maps with a GELU between them.

    Raises:
        ValueError: if a size is below 1.
    """

    def __init__(self, dim: int, hidden_dim: int, *, rngs: nnx.Rngs):
        check_at_least("dim", dim)
        check_at_least("hidden_dim", hidden_dim)
        self.up = nnx.Linear(dim, hidden_dim, rngs=rngs)
        self.down = nnx.Linear(hidden_dim, dim, rngs=rngs)

    def __call__(self, x: Float[Array, "*batch dim"]) -> Float[Array, "*batch dim"]:
        return self.down(jax.nn.gelu(self.up(x), approximate=False))


class SwiGLU(nnx.Module):
    """`down(silu(gate x) * up x)` (Shazeer 2020, arXiv 2002.05202).

    Args:
        dim: channels.
        hidden_dim: width between the maps.
        use_bias: whether the three linear maps have biases.
        rngs: for the initial weights.

    Raises:
        ValueError: if a size is below 1.
    """

    def __init__(self, dim: int, hidden_dim: int, *, use_bias: bool = False, rngs: nnx.Rngs):
        check_at_least("dim", dim)
        check_at_least("hidden_dim", hidden_dim)
        self.gate, self.up = (nnx.Linear(dim, hidden_dim, use_bias=use_bias, rngs=rngs) for _ in range(2))
        self.down = nnx.Linear(hidden_dim, dim, use_bias=use_bias, rngs=rngs)

    def __call__(self, x: Float[Array, "*batch dim"]) -> Float[Array, "*batch dim"]:
        return self.down(jax.nn.silu(self.gate(x)) * self.up(x))


class TransformerBlock(nnx.Module):
    """Pre-norm block: `h = x + MHSA(LN(x))`, `x' = h + MLP(LN(h))` (Dosovitskiy et al. 2020, eqs. 2 and 3).

    Args:
        dim: channels.
        num_heads: heads of the attention.
        head_dim: channels of a head, `dim // num_heads` by default.
        mlp_dim: hidden width of the MLP, `4 * dim` by default.
        causal: attend only to the past.
        rngs: for the initial weights.

    Raises:
        ValueError: if a size is below 1, or `num_heads` does not divide `dim`.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        *,
        head_dim: int | None = None,
        mlp_dim: int | None = None,
        causal: bool = False,
        rngs: nnx.Rngs,
    ):
        self.attention_norm = nnx.LayerNorm(dim, epsilon=1e-5, rngs=rngs)
        self.attention = MultiHeadAttention(dim, num_heads, head_dim=head_dim, causal=causal, rngs=rngs)
        self.mlp_norm = nnx.LayerNorm(dim, epsilon=1e-5, rngs=rngs)
        self.mlp = MLP(dim, 4 * dim if mlp_dim is None else mlp_dim, rngs=rngs)

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
        ValueError: if the patch size does not divide the image, `pool` is unknown, or a size is below 1 (`depth`: below 0).
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
        _check_sizes(depth, channels=channels, num_classes=num_classes, dim=dim)
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

    Raises:
        ValueError: if a size is below 1 (`depth`: below 0); when called, if tokens are out of range or too many. The logits of
            traced tokens that are out of range are NaN.
    """

    def __init__(self, *, vocab_size: int, max_length: int, dim: int, depth: int, block: BlockFactory, rngs: nnx.Rngs):
        _check_sizes(depth, vocab_size=vocab_size, max_length=max_length, dim=dim)
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
        vocab_size = self.embed.num_embeddings
        check_ids("tokens", tokens, vocab_size)
        tokens = tokens.astype(jnp.int32)
        x = self.embed(jnp.where(tokens < 0, vocab_size, tokens))  # a negative id would count from the end
        x = x + jnp.broadcast_to(self.positions[:length], x.shape)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def vit_block(
    dim: int, num_heads: int, *, head_dim: int | None = None, mlp_dim: int | None = None, causal: bool = False
) -> BlockFactory:
    """Factory of `TransformerBlock`: `TokenClassifier` with it is ViT, `TokenLM` with the causal one is GPT."""
    return lambda rngs: TransformerBlock(dim, num_heads, head_dim=head_dim, mlp_dim=mlp_dim, causal=causal, rngs=rngs)


def next_token_loss(logits: Float[Array, "*batch t vocab"], targets: Int[Array, "*batch t"]) -> Float[Array, ""]:
    """Mean cross-entropy in nats per token; NaN if a traced target is out of range.

    Raises:
        ValueError: if a target is out of range, the shapes do not fit together, or there is no token.
    """
    if targets.shape != logits.shape[:-1] or 0 in logits.shape:
        raise ValueError(f"logits have shape {logits.shape} and targets {targets.shape}; each token needs one target")
    vocab_size = logits.shape[-1]
    check_ids("targets", targets, vocab_size)
    (logits,) = floating(logits)
    targets = targets.astype(jnp.int32)
    targets = jnp.where(targets < 0, vocab_size, targets)
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), targets[..., None], axis=-1, mode="fill"))


def _check_sizes(depth: int, **sizes: int) -> None:
    check_at_least("depth", depth, 0)
    for name, size in sizes.items():
        check_at_least(name, size)
