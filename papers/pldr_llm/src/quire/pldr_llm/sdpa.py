"""The same weights in a plain transformer: what the model is where G is the identity."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from quire.common.layers.attention import attention, merge_heads
from quire.common.layers.kv_cache import KVCache
from quire.pldr_llm.attention import score_scale
from quire.pldr_llm.model import DecoderLayer, PLDRModel


def sdpa_layer(
    layer: DecoderLayer, x: Float[Array, "batch n dim"], positions: Int[Array, " n"], kv: KVCache | None = None
) -> tuple[Float[Array, "batch n dim"], KVCache | None]:
    """A decoder layer with scaled dot-product attention, metric learner and power laws left out.

    Args:
        layer: whose linear maps, norms and feed-forward part are used.
        x: tokens.
        positions: of them.
        kv: keys and values of the tokens before; those of `x` are added.
    """
    q, k, v = layer.attention.project(x, positions)
    scale = score_scale(q.shape[-1])
    if kv is None:
        out = attention(q, k, v, scale=scale, causal=True)
    else:
        kv = kv.append(k, v)
        out = attention(q, kv.keys, kv.values, scale=scale, mask=kv.mask(x.shape[1]))
    h = layer.attention_norm(layer.attention.out(merge_heads(out)) + x)
    return layer.ffn_norm(layer.ffn(h) + h), kv


def sdpa_decode(
    model: PLDRModel, tokens: Int[Array, "batch n"], positions: Int[Array, " n"], kv: Any = None
) -> tuple[Float[Array, "batch n vocab"], Any]:
    """Logits of the plain transformer with a model's weights, without padding.

    Args:
        model: whose weights are used.
        tokens: ids.
        positions: of them.
        kv: keys and values of the tokens before, with the layers along the first axis.
    """
    graph, states = nnx.split(model.decoder.layers)

    def layer(x, each):
        state, kv = each
        return sdpa_layer(nnx.merge(graph, state), x, positions, kv)

    x, kv = jax.lax.scan(layer, model.embed(tokens), (states, kv))
    return model.decoder.head(x), kv


def sdpa_logits(model: PLDRModel, tokens: Int[Array, "batch n"]) -> Float[Array, "batch n vocab"]:
    """Logits of whole sequences without padding."""
    return sdpa_decode(model, tokens, jnp.arange(tokens.shape[1]))[0]
