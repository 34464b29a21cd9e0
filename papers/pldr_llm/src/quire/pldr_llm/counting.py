"""The work of one decoding step, with and without the caches, and beside it that of a plain transformer."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from quire.common.layers.kv_cache import KVCache
from quire.common.metrics.cost import macs
from quire.pldr_llm.cache import Cache, decode_step, init_cache
from quire.pldr_llm.config import PLDRConfig
from quire.pldr_llm.model import PLDRModel
from quire.pldr_llm.sdpa import sdpa_decode

Steps = dict[str, tuple[Callable[..., Any], tuple[Any, ...]]]


def decoding_steps(model: PLDRModel, tokens: Any, last: Any, cache: Cache) -> Steps:
    """What has to be computed for the token after `tokens`, as functions and their arguments.

    Args:
        model: the language model; it, and all arguments, may be abstract.
        tokens: `[batch, n]`.
        last: the last of them, `[batch]`.
        cache: of the others.

    Returns:
        `KV + G`, `KV`, `G` and `none` by the caches that are kept, and `SDPA, KV`: a plain transformer of the same sizes.
    """
    graph, state = nnx.split(model)

    def step(use_g: bool) -> Callable[..., Any]:
        return lambda state, token, cache: decode_step(nnx.merge(graph, state), token, cache, use_g=use_g)

    def plain(state: Any, token: jax.Array, kv: KVCache) -> Any:
        return sdpa_decode(nnx.merge(graph, state), token[:, None], kv.length[:1], kv)

    def again(state: Any, tokens: jax.Array, g: jax.Array | None) -> jax.Array:
        return nnx.merge(graph, state)(tokens, g=g)[0][:, -1]

    return {
        "KV + G": (step(True), (state, last, cache)),
        "KV": (step(False), (state, last, cache)),
        "G": (again, (state, tokens, cache.G)),
        "none": (again, (state, tokens, None)),
        "SDPA, KV": (plain, (state, last, cache.kv)),
    }


def step_macs(cfg: PLDRConfig, length: int) -> dict[str, int]:
    """Multiply-accumulates of matrix products in one decoding step after `length` tokens, by what is cached; nothing is computed.

    >>> found = step_macs(PLDRConfig(16, 1, 2, 4, metric_dim=5, residual_units=1), 8)
    >>> found["SDPA, KV"] < found["KV + G"] < found["KV"] < found["G"] < found["none"]
    True
    """
    model = nnx.eval_shape(lambda: PLDRModel(cfg, rngs=nnx.Rngs(0)))
    tokens, last = (jax.ShapeDtypeStruct(shape, jnp.int32) for shape in ((1, length), (1,)))
    cache = jax.eval_shape(lambda: init_cache(cfg, 1, length))
    return {name: macs(function, *args) for name, (function, args) in decoding_steps(model, tokens, last, cache).items()}
