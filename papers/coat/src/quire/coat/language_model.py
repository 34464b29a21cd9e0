"""Language models of COAT blocks."""

import jax
from flax import nnx
from jaxtyping import Array, Float, Int

from quire.coat.block import CoatBlock
from quire.coat.config import LanguageModelConfig
from quire.coat.precision import COAT, Precision
from quire.common.layers.transformer import TokenLM, next_token_loss


def CoatLM(cfg: LanguageModelConfig, precision: Precision = COAT, *, rngs: nnx.Rngs) -> TokenLM:
    """A causal language model; embeddings, final norm and head stay wide, as in the paper.

    Args:
        cfg: sizes and style of its blocks.
        precision: how the blocks store activations.
        rngs: for the initial weights.

    Returns:
        A module from token ids `[..., t]` to logits `[..., t, vocab_size]`.

    Raises:
        ValueError: as `CoatBlock` and `TokenLM`.
    """

    def block(rngs: nnx.Rngs) -> CoatBlock:
        return CoatBlock(cfg.dim, cfg.num_heads, cfg.hidden_dim, precision, style=cfg.style, rngs=rngs)

    return TokenLM(vocab_size=cfg.vocab_size, max_length=cfg.max_length, dim=cfg.dim, depth=cfg.depth, block=block, rngs=rngs)


def language_loss(model: nnx.Module, tokens: Int[Array, "*batch t"], key: jax.Array) -> Float[Array, ""]:
    """Cross-entropy of every token but the first, given those before it, in nats."""
    return next_token_loss(model(tokens[..., :-1]), tokens[..., 1:])
