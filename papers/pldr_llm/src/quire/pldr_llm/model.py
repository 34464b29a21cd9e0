"""The language model: embeddings, post-norm decoder layers, a linear head."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from quire.common.checks import check_ids
from quire.common.layers.kv_cache import KVCache
from quire.common.layers.transformer import SwiGLU
from quire.pldr_llm.attention import PLGAttention
from quire.pldr_llm.config import PLDRConfig
from quire.pldr_llm.initial import initial_weights
from quire.pldr_llm.metric_learner import layer_norm
from quire.pldr_llm.power_law import Deductive
from quire.pldr_llm.stack import stacked, taken

PADDING = 0


class DecoderLayer(nnx.Module):
    """`h = LN(PLGA(x) + x)`, `LN(SwiGLU(h) + h)`."""

    def __init__(self, cfg: PLDRConfig, *, rngs: nnx.Rngs):
        self.attention = PLGAttention(cfg, rngs=rngs)
        self.ffn = SwiGLU(cfg.dim, cfg.hidden_dim, use_bias=True, rngs=rngs)
        self.attention_norm, self.ffn_norm = (layer_norm(cfg.dim, rngs) for _ in range(2))

    def __call__(
        self, x: Float[Array, "batch n dim"], positions: Int[Array, " n"], mask: Array | None = None, **given: Any
    ) -> tuple[Float[Array, "batch n dim"], KVCache | None, Deductive]:
        """As `PLGAttention`, the rest of the layer included."""
        attended, kv, found = self.attention(x, positions, mask, **given)
        h = self.attention_norm(attended + x)
        return self.ffn_norm(self.ffn(h) + h), kv, found


class Decoder(nnx.Module):
    """The parameters: embedding and its norm, layers along a leading axis, head."""

    def __init__(self, cfg: PLDRConfig, *, rngs: nnx.Rngs):
        self.embedding = nnx.Param(jnp.zeros((cfg.vocab_size, cfg.dim)))
        self.norm = layer_norm(cfg.dim, rngs)
        self.layers = stacked(lambda rngs: DecoderLayer(cfg, rngs=rngs), cfg.depth, rngs)
        self.head = nnx.Linear(cfg.dim, cfg.vocab_size, rngs=rngs)


class PLDRModel(nnx.Module):
    """Language model from power-law decoder representations (PLDR-LLM).

    Args:
        cfg: sizes.
        rngs: for the initial weights.

    >>> model = PLDRModel(PLDRConfig(19, 2, 2, 6, metric_dim=7, residual_units=2), rngs=nnx.Rngs(0))
    >>> logits, tensors = model(jnp.array([[3, 1, 4, 1, 5]]))
    >>> logits.shape, tensors.G.shape
    ((1, 5, 19), (2, 1, 2, 6, 6))

    References:
        Gokden, arXiv 2502.13502, section 2; arXiv 2410.16703 for the architecture.
    """

    def __init__(self, cfg: PLDRConfig, *, rngs: nnx.Rngs):
        graph, shapes = nnx.split(nnx.eval_shape(lambda: Decoder(cfg, rngs=nnx.Rngs(0))))
        self.config = cfg
        self.decoder = nnx.merge(graph, initial_weights(shapes, cfg, rngs.params()))

    def layer(self, index: int) -> DecoderLayer:
        """One layer by itself, for a look inside by `capture`."""
        return taken(self.decoder.layers, index)

    def embed(self, tokens: Int[Array, "batch n"]) -> Float[Array, "batch n dim"]:
        """`LN(sqrt(dim) E[token])`; NaN for traced tokens out of range.

        Raises:
            ValueError: for tokens out of range, or none at all.
        """
        table = self.decoder.embedding[...]
        if tokens.ndim != 2 or 0 in tokens.shape:
            raise ValueError(f"tokens have shape {tokens.shape}; they need a batch of at least one token each")
        check_ids("tokens", tokens, len(table))
        tokens = tokens.astype(jnp.int32)
        rows = jnp.take(table, jnp.where(tokens < 0, len(table), tokens), axis=0, mode="fill", fill_value=np.nan)
        return self.decoder.norm(rows * math.sqrt(self.config.dim))

    def __call__(
        self,
        tokens: Int[Array, "batch n"],
        *,
        mask: Bool[Array, "batch n"] | None = None,
        g: Float[Array, "depth #batch heads d d"] | None = None,
        length: Int[Array, ""] | int | None = None,
    ) -> tuple[Float[Array, "batch n vocab"], Deductive]:
        """Logits of the next token at every position, and the deductive outputs of all layers.

        Args:
            tokens: ids.
            mask: which tokens are no padding; those other than 0 by default. Padding is not attended to, yet enters `A`.
            g: energy-curvature tensors to use in place of the network's: the ablations, and inference from the cache.
            length: where the later tokens are only room for what is to come, how many are real; the others then do not enter `A`.

        Raises:
            ValueError: for tokens out of range, or shapes that do not fit.
        """
        n = tokens.shape[-1]
        self.check_tensors("g", g, tokens.shape[0])
        x = self.embed(tokens)
        visible = tokens != PADDING if mask is None else mask
        if visible.shape != tokens.shape:
            raise ValueError(f"mask has shape {visible.shape}; tokens need {tokens.shape}")
        positions = jnp.arange(n)
        seen = jnp.tri(n, dtype=bool)[None, None] & visible[:, None, None, :]
        counted = None if length is None else positions < length
        logits, _, found = self.decode(x, positions, seen, G=g, counted=counted)
        return logits, found

    def decode(
        self,
        x: Float[Array, "batch n dim"],
        positions: Int[Array, " n"],
        mask: Array | None = None,
        *,
        kv: KVCache | None = None,
        A: Array | None = None,
        G: Array | None = None,
        counted: Array | None = None,
    ) -> tuple[Float[Array, "batch n vocab"], KVCache | None, Deductive]:
        """All layers and the head; `kv`, `A` and `G` have the layers along their first axis."""
        graph, states = nnx.split(self.decoder.layers)

        def layer(x, each):
            state, kv, A, G = each
            x, kv, found = nnx.merge(graph, state)(x, positions, mask, kv=kv, A=A, G=G, counted=counted)
            return x, (kv, found)

        x, (kv, found) = jax.lax.scan(layer, x, (states, kv, A, G))
        return self.decoder.head(x), kv, found

    def check_tensors(self, name: str, g: Array | None, batch: int) -> None:
        """Raises:
        ValueError: unless g is None or holds a matrix for every layer and head, for one or all rows of a batch.
        """
        cfg = self.config
        needs = [(cfg.depth, rows, cfg.num_heads, cfg.head_dim, cfg.head_dim) for rows in (batch, 1)]
        if g is not None and g.shape not in needs:
            raise ValueError(f"{name} has shape {g.shape}; it needs {needs[0]}, or {needs[1]}")
