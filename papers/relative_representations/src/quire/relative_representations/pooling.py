"""Fewer or other numbers from similarities: averages over classes of anchors, subspaces, mixtures of values."""

from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Num

from quire.common.arrays import AnyArray
from quire.common.checks import check_positive, floating
from quire.relative_representations.projection import Similarity, check_latents, relative_projection

Pooling = Literal["sum", "mean", "max", "linear"]


def class_mean(codes: Num[AnyArray, "n m"], anchor_labels: Int[np.ndarray, " m"]) -> Float[Array, "n classes"]:
    """The mean similarity to the anchors of every class.

    Args:
        codes: relative codes.
        anchor_labels: class of every anchor. Columns come in the order of the classes that are present.

    Raises:
        ValueError: unless there is one label for every anchor, and at least one.

    >>> print(class_mean(jnp.array([[1.0, 0.5, 0.0]]), np.array([7, 3, 7])))
    [[0.5 0.5]]
    """
    labels = np.asarray(anchor_labels)
    if labels.shape != (codes.shape[-1],) or labels.size == 0:
        raise ValueError(f"anchor_labels has shape {labels.shape}; codes of {codes.shape[-1]} anchors need as many, at least one")
    (codes,) = floating(codes)
    member = labels[:, None] == np.unique(labels)
    return codes @ jnp.asarray(member / member.sum(0), codes.dtype)


def subspace_projection(
    x: Num[AnyArray, "n dim"],
    anchors: Num[AnyArray, "m dim"],
    groups: int,
    pooling: Pooling | None = "sum",
    similarity: Similarity = "cosine",
    weights: Num[AnyArray, "rows out"] | None = None,
) -> Float[Array, "n out"]:
    """Latents split into groups of consecutive dimensions, a relative code in each, and the codes pooled.

    Args:
        x, anchors, similarity: as for `relative_projection`.
        groups: must divide the dimension.
        pooling: over the groups. `"linear"` multiplies all codes, group by group, by `weights`; None leaves them side by side.
        weights: for `"linear"`.

    Raises:
        ValueError: as `relative_projection`; for groups that do not divide the dimension, an unknown pooling, or weights that are
            missing, useless or do not fit.

    >>> x, anchors = jnp.array([[1.0, 0.0, 0.0, 2.0]]), jnp.array([[1.0, 0.0, 0.0, 1.0], [0.0, 1.0, 0.0, 1.0]])
    >>> print(subspace_projection(x, anchors, 2), subspace_projection(x, anchors, 2, "max"))
    [[2. 1.]] [[1. 1.]]
    """
    check_latents(x, anchors)
    m = len(anchors)
    if groups < 1 or x.shape[1] % groups:
        raise ValueError(f"groups is {groups}; it must divide the dimension {x.shape[1]}")
    if pooling is not None and pooling not in get_args(Pooling):
        raise ValueError(f"pooling is {pooling!r}; it must be None or one of {', '.join(get_args(Pooling))}")
    if (pooling == "linear") != (weights is not None) or (weights is not None and weights.shape[:1] != (groups * m,)):
        shape = None if weights is None else weights.shape
        raise ValueError(f"weights is {shape} and pooling {pooling!r}; linear pooling, and no other, needs [{groups * m}, out]")
    x, anchors = floating(x, anchors)
    parts = [z.reshape(len(z), groups, -1).swapaxes(0, 1) for z in (x, anchors)]
    codes = jax.vmap(lambda x, anchors: relative_projection(x, anchors, similarity))(*parts)  # [groups, n, m]
    if pooling in ("sum", "mean", "max"):
        return getattr(codes, pooling)(axis=0)
    flat = codes.swapaxes(0, 1).reshape(len(x), groups * m)
    return flat if weights is None else flat @ jnp.asarray(weights, flat.dtype)


def mixture(
    codes: Num[AnyArray, "n m"], values: Num[AnyArray, "m out"], temperature: float | Array | None = None
) -> Float[Array, "n out"]:
    """Similarities as weights of values: `sum_j w_j v_j`, with `w = r`, or `w = softmax(r / temperature)`.

    Args:
        codes: relative codes r.
        values: one for every anchor: free parameters, or latents of the anchors (then the mixture lies in their space).
        temperature: of the softmax; None for the similarities themselves.

    Raises:
        ValueError: unless there is a value for every anchor, and for a temperature that is not positive.

    >>> print(mixture(jnp.array([[1.0, 0.5]]), jnp.array([[2.0], [4.0]])))
    [[4.]]
    """
    if values.ndim != 2 or len(values) != codes.shape[-1]:
        raise ValueError(f"values has shape {values.shape}; codes of {codes.shape[-1]} anchors need one row for each")
    codes, values = floating(codes, values)
    if temperature is not None:
        check_positive("temperature", temperature)
        codes = jax.nn.softmax(codes / temperature, axis=-1)
    return codes @ values
