"""Text from the model: with both caches, one, or none."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from quire.common.checks import check_at_least, check_ids
from quire.common.text.sampling import filter_logits
from quire.pldr_llm.cache import decode_step, prefill
from quire.pldr_llm.model import PADDING, PLDRModel

Sample = tuple[float, float, int]
"""Temperature, top-p, top-k."""


def generate(
    model: PLDRModel,
    tokens: Int[Array | np.ndarray, "batch n"],
    steps: int,
    *,
    kv_cache: bool = True,
    g_cache: bool = True,
    temperature: float = 1.0,
    top_p: float = 1.0,
    top_k: int = 0,
    key: jax.Array,
) -> Int[Array, "batch m"]:
    """Prompts and `steps` tokens more, as one compiled loop over arrays of a fixed length.

    Without the KV-cache the whole sequence is read again for every token; then without the G-cache the tensors are those of the
    longer sequence, and the text may be another one. With the G-cache, or the KV-cache, they stay those of the prompt.

    Args:
        model: the language model.
        tokens: prompts of one length, without padding.
        steps: how many tokens to add.
        kv_cache, g_cache: what is kept.
        temperature, top_p, top_k: as for `filter_logits`, in this order; `top_k=1` is greedy.
        key: for the draws.

    Raises:
        ValueError: for fewer than one step, tokens out of range, padding, or a setting out of range.
    """
    program, args = generation(model, tokens, steps, kv_cache=kv_cache, g_cache=g_cache, how=(temperature, top_p, top_k), key=key)
    return program(*args)


def generation(
    model: PLDRModel,
    tokens: Int[Array | np.ndarray, "batch n"],
    steps: int,
    *,
    kv_cache: bool,
    g_cache: bool,
    how: Sample,
    key: jax.Array,
) -> tuple[Any, tuple[Any, ...]]:
    """The loop of `generate`, a function under `jax.jit`, and its arguments: to compile it before it is timed.

    Args, Raises: as for `generate`; `how` is temperature, top-p and top-k.
    """
    check_at_least("steps", steps)
    check_ids("tokens", tokens, model.config.vocab_size)
    if tokens.ndim != 2 or 0 in tokens.shape or np.any(np.asarray(tokens) == PADDING):
        raise ValueError(
            f"tokens have shape {tokens.shape}; they need a batch of prompts with tokens, none of them padding, {PADDING}"
        )
    temperature, top_p, top_k = how
    filter_logits(jnp.zeros(1), temperature=temperature, top_p=top_p, top_k=top_k)  # what it refuses, it refuses here
    graph, state = nnx.split(model)
    loop = _with_kv if kv_cache else _without_kv
    return loop, (graph, state, jnp.asarray(tokens, jnp.int32), key, steps, g_cache, how)


def _sample(logits: Float[Array, "batch vocab"], key: jax.Array, how: Sample) -> Int[Array, " batch"]:
    temperature, top_p, top_k = how
    filtered = filter_logits(logits, temperature=temperature, top_p=top_p, top_k=top_k)
    return jax.random.categorical(key, filtered).astype(jnp.int32)


_compiled = partial(jax.jit, static_argnames=("graph", "steps", "g_cache", "how"))


@_compiled
def _with_kv(graph, state, tokens, key, steps, g_cache, how):
    model, keys = nnx.merge(graph, state), jax.random.split(key, steps)
    logits, cache = prefill(model, tokens, tokens.shape[1] + steps)

    def step(carry, key):
        token, cache = carry
        logits, cache = decode_step(model, token, cache, use_g=g_cache)
        token = _sample(logits, key, how)
        return (token, cache), token

    first = _sample(logits[:, -1], keys[0], how)
    _, later = jax.lax.scan(step, (first, cache), keys[1:])
    return jnp.concatenate([tokens, first[:, None], later.T], axis=1)


@_compiled
def _without_kv(graph, state, tokens, key, steps, g_cache, how):
    model, n = nnx.merge(graph, state), tokens.shape[1]
    # token 1 holds the places: the causal mask hides what is to come, and `length` keeps it out of A
    room = jnp.pad(tokens, ((0, 0), (0, steps)), constant_values=1)
    seen = jnp.ones(room.shape, bool)
    g = model(tokens)[1].G if g_cache else None

    def step(room, each):
        key, length = each
        logits, _ = model(room, mask=seen, g=g, length=length)
        last = jax.lax.dynamic_index_in_dim(logits, length - 1, 1, keepdims=False)
        return jax.lax.dynamic_update_slice(room, _sample(last, key, how)[:, None], (0, length)), None

    return jax.lax.scan(step, room, (jax.random.split(key, steps), n + jnp.arange(steps)))[0]
