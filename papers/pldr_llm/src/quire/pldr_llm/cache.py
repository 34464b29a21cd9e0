"""The caches: keys and values of the tokens so far (KV-cache), tensors of the prompt in place of the network (G-cache)."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from quire.common.checks import check_at_least, is_concrete
from quire.common.layers.kv_cache import KVCache
from quire.pldr_llm.config import PLDRConfig
from quire.pldr_llm.model import PADDING, PLDRModel


class Cache(NamedTuple):
    """What a step needs of the tokens before it; the layers lie along the first axis of every array.

    Attributes:
        kv: keys, turned by their positions, and values.
        A: output of the metric learner for the prompt `[depth, batch, heads, d, d]`; part of the KV-cache.
        A_LM, G: metric and energy-curvature tensors of the prompt; the G-cache.
    """

    kv: KVCache
    A: Float[Array, "depth batch heads d d"]
    A_LM: Float[Array, "depth batch heads d d"]
    G: Float[Array, "depth batch heads d d"]

    @property
    def length(self) -> Int[Array, ""]:
        """Tokens so far."""
        return self.kv.length[0]


def init_cache(cfg: PLDRConfig, batch: int, capacity: int, dtype: Any = jnp.float32) -> Cache:
    """An empty cache for `capacity` tokens.

    Raises:
        ValueError: if a size is below 1.
    """
    one = KVCache.empty(batch, cfg.num_heads, capacity, cfg.head_dim, dtype)
    kv = KVCache(*(jnp.broadcast_to(x, (cfg.depth, *x.shape)) for x in one))
    tensors = jnp.zeros((cfg.depth, batch, cfg.num_heads, cfg.head_dim, cfg.head_dim), dtype)
    return Cache(kv, tensors, tensors, tensors)


def prefill(model: PLDRModel, tokens: Int[Array, "batch n"], capacity: int) -> tuple[Float[Array, "batch n vocab"], Cache]:
    """Read a prompt: the whole network runs once.

    Args:
        model: the language model.
        tokens: prompts of one length, without padding: a step would see it.
        capacity: tokens that the cache has room for, the prompt included.

    Returns:
        Logits of the prompt, and the cache.

    Raises:
        ValueError: for tokens out of range, padding, or a prompt beyond the capacity.
    """
    batch, n = tokens.shape
    check_at_least("capacity", capacity, n)
    if is_concrete(tokens) and np.any(np.asarray(tokens) == PADDING):
        raise ValueError(f"tokens hold {PADDING}, the padding; prompts of a batch must have one length and none of it")
    x = model.embed(tokens)
    empty = init_cache(model.config, batch, capacity, x.dtype)
    logits, kv, found = model.decode(x, jnp.arange(n), kv=empty.kv)
    assert kv is not None and found.A is not None and found.A_LM is not None  # the whole network ran, with a cache
    return logits, Cache(kv, found.A, found.A_LM, found.G)


def decode_step(
    model: PLDRModel, token: Int[Array, " batch"], cache: Cache, *, use_g: bool = True
) -> tuple[Float[Array, "batch vocab"], Cache]:
    """One more token: it sees the cached ones and itself, at the position that their number gives.

    The metric learner does not run: its output stays that of the prompt. Of the query of this step alone it would be another.

    Args:
        model: the language model.
        token: of every row.
        cache: of the tokens before. Inside of `jit` donate it, and it is updated in place.
        use_g: take G as it is cached; otherwise it is made of the cached A again, and is the same.

    Returns:
        Logits of the next token, and the cache with this one.

    Raises:
        ValueError: for a token out of range, or a full cache. Where the length is traced, a full cache makes the logits NaN.
    """
    capacity = cache.kv.keys.shape[-2]
    if is_concrete(cache.length) and int(cache.length) >= capacity:
        raise ValueError(f"cache holds {int(cache.length)} tokens and has room for {capacity}; make it with a larger capacity")
    x = model.embed(token[:, None])
    given = {"G": cache.G} if use_g else {"A": cache.A}
    logits, kv, _ = model.decode(x, cache.length[None], kv=cache.kv, **given)
    assert kv is not None  # one was given
    return logits[:, 0], cache._replace(kv=kv)
