"""Masks over whole words, and the corruption that masked language models learn to undo.

References:
    Devlin et al., *BERT*, 2019, arXiv 1810.04805, section 3.1; whole words as in the collator of Hugging Face's transformers.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Int

from quire.common.checks import check_at_least, check_ids


def whole_word_mask(
    key: jax.Array, word_ids: Int[Array | np.ndarray, "*batch t"], lengths: Int[Array | np.ndarray, "*_"], rate: float
) -> Bool[Array, "*batch t"]:
    """Random whole words of every text, with at most `max(1, round(rate * length))` tokens together.

    Words are visited in random order; one that would exceed the number is skipped, so that a long word never breaks.

    Args:
        key: of the order.
        word_ids: to which word of its text, from 0, each token belongs; -1 for what is never chosen (specials, padding).
        lengths: tokens of every text, specials included.
        rate: share of the tokens, between 0 and 1.

    Raises:
        ValueError: for a rate out of range, lengths that do not fit, or word ids beyond the tokens (of ids that hold numbers).

    >>> whole_word_mask(jax.random.key(0), jnp.array([-1, 0, 0, 0, -1]), jnp.array(5), 0.4).tolist()
    [False, False, False, False, False]
    >>> whole_word_mask(jax.random.key(0), jnp.array([-1, 0, 0, 0, -1]), jnp.array(5), 0.6).tolist()
    [False, True, True, True, False]
    """
    tokens = word_ids.shape[-1] if word_ids.ndim else 0
    check_at_least("number of tokens", tokens)
    if not 0 <= rate <= 1:
        raise ValueError(f"rate is {rate}; it must lie between 0 and 1")
    if lengths.shape != word_ids.shape[:-1]:
        raise ValueError(f"lengths has shape {lengths.shape}; word_ids needs {word_ids.shape[:-1]}")
    check_ids("word_ids", word_ids + 1, tokens + 1)
    most = jnp.maximum(1, jnp.round(rate * lengths)).astype(jnp.int32)
    belongs = jax.nn.one_hot(word_ids, tokens, dtype=bool)  # [*batch, token, word]; none for -1
    sizes = belongs.sum(-2)
    order = jnp.argsort(jax.random.uniform(key, word_ids.shape), axis=-1)

    def visit(total, size):
        taken = (size > 0) & (total + size <= most)
        return total + size * taken, taken

    visited = jnp.moveaxis(jnp.take_along_axis(sizes, order, axis=-1), -1, 0)
    taken = jnp.moveaxis(lax.scan(visit, jnp.zeros_like(most), visited)[1], 0, -1)
    chosen = jnp.take_along_axis(taken, jnp.argsort(order, axis=-1), axis=-1)
    return jnp.any(belongs & chosen[..., None, :], axis=-1)


def corrupt(
    key: jax.Array, ids: Int[Array | np.ndarray, "*batch t"], chosen: Bool[Array, "*_"], *, mask_id: int, vocab: int
) -> Int[Array, "*batch t"]:
    """Chosen tokens become the mask in 80 % of cases, a random token in 10 %, and stay in 10 %.

    Args:
        key: of the draws.
        ids: tokens.
        chosen: which ones the model has to tell.
        mask_id: token that stands for an unknown one.
        vocab: number of tokens.

    Raises:
        ValueError: if the mask or an id is out of range, or the shapes differ.
    """
    if not 0 <= mask_id < vocab or chosen.shape != ids.shape:
        raise ValueError(f"mask_id is {mask_id} of {vocab} tokens, chosen has shape {chosen.shape}; ids needs {ids.shape}")
    check_ids("ids", ids, vocab)
    kind_key, token_key = jax.random.split(key)
    kind = jax.random.uniform(kind_key, ids.shape)
    random = jax.random.randint(token_key, ids.shape, 0, vocab, ids.dtype)
    replaced = jnp.where(kind < 0.8, jnp.asarray(mask_id, ids.dtype), jnp.where(kind < 0.9, random, ids))
    return jnp.where(chosen, replaced, ids)
