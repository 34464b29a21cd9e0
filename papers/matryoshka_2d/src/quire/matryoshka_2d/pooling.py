"""From the states of the tokens to one embedding of the sentence; every layer is pooled alike."""

from typing import Literal, get_args

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Real

from quire.common.checks import floating

Pooling = Literal["cls", "avg", "cls_avg", "max", "last"]


def check_pooling(how: Pooling) -> Pooling:
    """The name, or a `ValueError` if there is no such pooling."""
    if how not in get_args(Pooling):
        raise ValueError(f"how is {how!r}; choose from {', '.join(get_args(Pooling))}")
    return how


def pool(
    hidden: Real[Array, "*layers batch t dim"], mask: Bool[Array, "batch t"] | None = None, how: Pooling = "cls"
) -> Float[Array, "*layers batch dim"]:
    """The first token's state, the mean or largest one, the mean of first and mean, or the last token's.

    A sentence without tokens gives zeros, except by `"cls"`, which takes the first place whatever the mask says.

    Args:
        hidden: states of the tokens.
        mask: which tokens there are; all by default.
        how: `"cls"`, `"avg"`, `"cls_avg"`, `"max"` or `"last"`.

    Raises:
        ValueError: for another name, no places, or a mask of another shape.

    >>> hidden = jnp.array([[[1.0], [4.0], [9.0]]])
    >>> mask = jnp.array([[True, True, False]])
    >>> [float(pool(hidden, mask, how)[0, 0]) for how in ("cls", "avg", "cls_avg", "max", "last")]
    [1.0, 2.5, 1.75, 4.0, 4.0]
    """
    check_pooling(how)
    (hidden,) = floating(hidden)
    places = hidden.shape[-3:-1]
    if places[1] < 1 or (mask is not None and mask.shape != places):
        shape = None if mask is None else mask.shape
        raise ValueError(f"hidden has shape {hidden.shape} and mask {shape}; they need the same batch and length, at least 1")
    mask = jnp.ones(places, bool) if mask is None else mask
    first = hidden[..., 0, :]
    if how == "cls":
        return first
    if how == "max":
        inside = jnp.broadcast_to(mask[..., None], hidden.shape)
        largest = jnp.max(hidden, axis=-2, where=inside, initial=-jnp.inf)
        return jnp.where(jnp.isneginf(largest), 0, largest)
    weights = _mean_weights(mask) if "avg" in how else _last_weights(mask)
    mixed = jnp.einsum("...btd,bt->...bd", hidden, weights.astype(hidden.dtype))
    return (first + mixed) / 2 if how == "cls_avg" else mixed


def _mean_weights(mask: Bool[Array, "batch t"]) -> Float[Array, "batch t"]:
    return mask / jnp.maximum(mask.sum(axis=1, keepdims=True), 1)


def _last_weights(mask: Bool[Array, "batch t"]) -> Bool[Array, "batch t"]:
    behind = jnp.cumsum(mask[:, ::-1], axis=1)[:, ::-1]  # tokens from here on
    return mask & (behind == 1)
