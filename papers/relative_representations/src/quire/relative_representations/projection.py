"""The relative projection (section 3): a sample as its similarities to anchors that the same encoder encoded."""

from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from quire.common.arrays import AnyArray
from quire.common.checks import floating, is_concrete
from quire.common.layers.nested import unit_rows
from quire.common.layers.norms import layer_norm
from quire.common.roots import length

Similarity = Literal["cosine", "inner", "basis", "euclidean"]
Normalization = Literal["l2", "layer", "batch"]


def relative_projection(
    x: Num[AnyArray, "n dim"],
    anchors: Num[AnyArray, "m dim"],
    similarity: Similarity = "cosine",
    normalize: Normalization | None = None,
) -> Float[Array, "n m"]:
    """Relative codes `r(x)_j = sim(x, a_j)`; by cosine, `<x, a_j> / (|x| |a_j|)`.

    | similarity | code | does not change under |
    |---|---|---|
    | `"cosine"` | `cos(x, a_j)` | rotations, reflections, a scale for every vector |
    | `"inner"` | `<x, a_j> / sqrt(dim)` | rotations, reflections |
    | `"basis"` | coefficients c of least norm with `sum_j c_j a_j` nearest to x, all of unit length | as the cosine |
    | `"euclidean"` | `-|x - a_j|` | rotations, reflections, translations |

    No cosine survives a translation: centre first if latent spaces may differ by one. Two codes can be compared only if
    anchors are the same samples (or such as correspond) in the same order. A vector of zeros has a cosine of 0 with everything.

    Args:
        x: latents, one a row. Rows are independent: they may be sharded, with the anchors on every device.
        anchors: latents of the anchors by the same encoder.
        similarity: see the table. `"basis"` passes no derivative to the anchors, which a pseudo-inverse does not have everywhere.
        normalize: see `normalize_codes`.

    Returns:
        Codes in the floating dtype that x and anchors promote to.

    Raises:
        ValueError: if there is no anchor, dimensions differ, latents that can be looked at are not finite, or a name is unknown.

    >>> anchors = jnp.array([[2.0, 0.0], [0.0, 1.0]])
    >>> print(relative_projection(jnp.array([[3.0, 4.0]]), anchors))
    [[0.6 0.8]]

    References:
        Moschella et al. 2023, section 3.

    Deviations from the authors' code: cosines of vectors shorter than 1e-12 are those of their directions, where theirs shrink to
    0. `"euclidean"` is not in it.
    """
    check_latents(x, anchors)
    x, anchors = floating(x, anchors)
    if similarity not in get_args(Similarity):
        raise ValueError(f"similarity is {similarity!r}; it must be one of {', '.join(get_args(Similarity))}")
    if similarity == "inner":
        codes = x @ anchors.T / x.shape[1] ** 0.5
    elif similarity == "euclidean":
        codes = -_distances(x, anchors)
    else:
        x, anchors = unit_rows(x), unit_rows(anchors)
        codes = x @ (anchors.T if similarity == "cosine" else _dual(anchors))
    return normalize_codes(codes, normalize)


def normalize_codes(codes: Num[AnyArray, "n m"], normalize: Normalization | None) -> Float[Array, "n m"]:
    """Codes as a head likes them: cosines of latents in one orthant are all near 1, and their differences are what counts.

    Args:
        codes: relative codes.
        normalize: `"l2"` to unit length, `"layer"` to mean 0 and variance 1 over the anchors, `"batch"` to the same for every
            anchor over the samples, None as they are. Layers with a learned scale, or running statistics, are in `RelativeLayer`.

    Raises:
        ValueError: for another name.

    >>> print(normalize_codes(jnp.array([[0.9, 0.8, 1.0]]), "layer").round(2) + 0.0)
    [[ 0.   -1.22  1.22]]
    """
    (codes,) = floating(codes)
    if normalize is None:
        return codes
    if normalize == "l2":
        return unit_rows(codes)
    if normalize not in get_args(Normalization):
        raise ValueError(f"normalize is {normalize!r}; it must be None or one of {', '.join(get_args(Normalization))}")
    return layer_norm(codes, -1 if normalize == "layer" else 0)


def check_latents(x: AnyArray, anchors: AnyArray) -> None:
    """Latents and anchors are matrices of one width, with at least one anchor and no NaN or infinity that can be seen.

    Raises:
        ValueError: otherwise.
    """
    if x.ndim != 2 or anchors.ndim != 2 or len(anchors) == 0 or x.shape[1] != anchors.shape[1] or x.shape[1] == 0:
        raise ValueError(f"x has shape {x.shape} and anchors {anchors.shape}; they need [n, dim] and [m, dim] with m and dim > 0")
    for name, z in (("x", x), ("anchors", anchors)):
        if is_concrete(z) and not np.isfinite(np.asarray(z)).all():  # in NumPy: a constant of a traced function is looked at too
            raise ValueError(f"{name} has numbers that are not finite; encode in evaluation mode and look for a diverged encoder")


def _distances(x: Array, anchors: Array) -> Array:
    """From differences, not from inner products: near samples keep their digits."""
    return length(x[:, None] - anchors[None])


def _dual(anchors: Array) -> Array:
    """`[dim, m]`: x times it are the coefficients of least norm. Singular values below `10 max(m, dim) eps` count as 0."""
    anchors = jax.lax.stop_gradient(anchors)
    wide = anchors.astype(jnp.promote_types(anchors.dtype, jnp.float32))
    cutoff = 10 * max(wide.shape) * float(jnp.finfo(wide.dtype).eps)
    return jnp.linalg.pinv(wide, rtol=cutoff).astype(anchors.dtype)
