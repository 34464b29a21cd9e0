"""Which class every sample is paired with, and which keys are then its positives and negatives."""

from typing import Literal, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, check_ids

Pairing = Literal["arbitrary", "identical", "distinct"]


def sample_pairs(
    key: jax.Array, y: Int[AnyArray, " batch"], num_classes: int, kind: Pairing = "arbitrary"
) -> Int[Array, " batch"]:
    """The class that every sample of a batch is to agree with.

    Args:
        key: of the draw.
        y: classes of the samples.
        num_classes: K.
        kind: `"arbitrary"`, the classes of the batch permuted, so that each has samples in it; `"identical"`, its own;
            `"distinct"`, any other class, of which the batch may have no sample.

    Raises:
        ValueError: for another kind, labels that are no integers of `0 .. K - 1`, or distinct pairs of a single class.

    >>> sorted(sample_pairs(jax.random.key(0), jnp.array([0, 1, 2, 2]), 3).tolist())
    [0, 1, 2, 2]
    """
    check_at_least("num_classes", num_classes)
    check_ids("y", y, num_classes)
    y = jnp.asarray(y)
    if kind == "identical":
        return y
    if kind == "arbitrary":
        return jax.random.permutation(key, y)
    if kind != "distinct":
        raise ValueError(f"kind is {kind!r}; it must be one of {', '.join(get_args(Pairing))}")
    check_at_least("num_classes", num_classes, 2)
    return (y + jax.random.randint(key, y.shape, 1, num_classes, y.dtype)) % num_classes


def pair_masks(
    y1: Int[AnyArray, " batch"], y2: Int[AnyArray, " batch"], y_keys: Int[AnyArray, " keys"]
) -> tuple[Bool[Array, "batch keys"], Bool[Array, "batch keys"]]:
    """Positives: keys of the partner's class. Negatives: keys of neither class of the pair.

    Args:
        y1, y2: class of every anchor and of its partner.
        y_keys: class of every key.

    Returns:
        Positives and negatives `[batch, keys]`; keys of the anchor's own class are neither, unless it is its own partner.

    Raises:
        ValueError: if y1 and y2 differ in length.

    >>> positive, negative = pair_masks(jnp.array([0]), jnp.array([1]), jnp.array([0, 1, 2]))
    >>> positive.tolist(), negative.tolist()
    ([[False, True, False]], [[False, False, True]])
    """
    y1, y2, y_keys = (jnp.asarray(y) for y in (y1, y2, y_keys))
    if y1.ndim != 1 or y1.shape != y2.shape or y_keys.ndim != 1:
        raise ValueError(f"y1, y2 and y_keys have shapes {y1.shape}, {y2.shape}, {y_keys.shape}; they need [b], [b], [n]")
    positive = y_keys[None] == y2[:, None]
    return positive, ~positive & (y_keys[None] != y1[:, None])
