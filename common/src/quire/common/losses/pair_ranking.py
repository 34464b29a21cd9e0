"""Losses of sentence pairs: the similarity of pairs is to rank as their grades do, or partners are to find each other.

Pairs lie side by side: rows 2 i and 2 i + 1 of `embeddings` are pair i.

References:
    Su, *CoSENT*, 2022; Li and Li, *AnglE-optimized Text Embeddings*, 2023.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Real

from quire.common.checks import floating
from quire.common.layers.nested import unit_rows
from quire.common.losses.contrastive import masked_logsumexp


def cosent_loss(embeddings: Float[Array, "m dim"], grades: Real[Array, " n"], scale: float = 20.0) -> Float[Array, ""]:
    """`log(1 + sum exp(scale (c_i - c_j)))` over all i, j where pair i has the lower grade; c is the cosine of a pair.

    Args:
        embeddings: `m = 2 n` rows, not zero.
        grades: how similar pairs are, the larger the more.
        scale: inverse temperature.

    Raises:
        ValueError: unless there are twice as many rows as grades, at least two.

    >>> e = jnp.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> print(f"{cosent_loss(e, jnp.array([0.0, 1.0]), 1.0):.4f}")
    1.3133
    """
    _check_pairs(embeddings, grades)
    z = unit_rows(embeddings)
    return _ranking(jnp.sum(z[0::2] * z[1::2], axis=-1) * scale, grades)


def angle_loss(embeddings: Float[Array, "m dim"], grades: Real[Array, " n"], scale: float = 20.0) -> Float[Array, ""]:
    """The same ranking of the angle between pairs as complex vectors: halves of a row are real and imaginary parts.

    With z and w the two, `z / w` is taken coordinate by coordinate, but over the sum of `|w|^2` and times `|w| / |z|`; what ranks
    is the absolute sum of all its real and imaginary parts.

    Raises:
        ValueError: as for `cosent_loss`; if the dimension is odd.
    """
    _check_pairs(embeddings, grades)
    if embeddings.shape[1] % 2:
        raise ValueError(f"embeddings has dimension {embeddings.shape[1]}; halves need an even one")
    z = unit_rows(embeddings)
    (a, b), (c, d) = (jnp.split(z[start::2], 2, axis=1) for start in (0, 1))
    parts = jnp.sum(a * c + b * d + b * c - a * d, axis=1)
    return _ranking(jnp.abs(parts) * scale, grades)


def in_batch_negative_loss(
    embeddings: Float[Array, "m dim"], similar: Bool[Array, " n"], scale: float = 20.0
) -> Float[Array, ""]:
    """Each row of a similar pair is to find its partner among all other rows, by cosine times scale; others count as 0.

    Raises:
        ValueError: as for `cosent_loss`.
    """
    _check_pairs(embeddings, similar)
    z = unit_rows(embeddings)
    row = jnp.arange(len(z))
    scores = scale * z @ z.T
    log_total = masked_logsumexp(scores, row[:, None] != row[None])
    partner = jnp.take_along_axis(scores, (row ^ 1)[:, None], axis=1)[:, 0]
    return jnp.mean(jnp.where(jnp.repeat(similar, 2), log_total - partner, 0))


def _ranking(values: Float[Array, " n"], grades: Real[Array, " n"]) -> Float[Array, ""]:
    """`log(1 + sum exp(v_i - v_j))` over all i, j where the grade of i is lower; NaN if a grade is."""
    lower = (grades[:, None] < grades[None]).reshape(1, -1)
    gaps = (values[:, None] - values[None]).reshape(1, -1)
    unordered = jnp.isnan(floating(grades)[0]).any()
    return jnp.where(unordered, jnp.nan, jnp.logaddexp(0.0, masked_logsumexp(gaps, lower)[0]))


def _check_pairs(embeddings: Array, grades: Array) -> None:
    if len(embeddings) != 2 * len(grades) or len(grades) < 1:
        raise ValueError(f"embeddings has {len(embeddings)} rows and {len(grades)} grades; it needs two rows for every pair")
