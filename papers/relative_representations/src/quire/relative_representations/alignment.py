"""What relative codes are compared with: a map from one latent space to the other, fitted on the same anchors."""

from typing import Literal, NamedTuple, get_args

import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from quire.common.arrays import AnyArray
from quire.common.checks import floating
from quire.common.manifolds.orthogonal import procrustes

Kind = Literal["orthogonal", "least squares"]


class Alignment(NamedTuple):
    """`x -> (x - source_mean) matrix + target_mean`."""

    matrix: Array
    source_mean: Array
    target_mean: Array

    def __call__(self, x: Num[AnyArray, "n source"]) -> Float[Array, "n target"]:
        """Latents of the source in the space of the target."""
        return (jnp.asarray(x) - self.source_mean[None]) @ self.matrix + self.target_mean[None]


def align(source: Num[AnyArray, "m source"], target: Num[AnyArray, "m target"], kind: Kind = "orthogonal") -> Alignment:
    """The map that brings the anchors of one space closest to those of another.

    Unlike relative codes it is fitted for every pair of spaces, and the orthogonal one needs equal dimensions.

    Args:
        source, target: latents of the same anchors, in corresponding rows.
        kind: `"orthogonal"`: rotation or reflection, by Procrustes. `"least squares"`: any linear map, of least norm where the
            anchors leave a choice.

    Raises:
        ValueError: for different numbers of anchors or none, dimensions that differ under `"orthogonal"`, or an unknown kind.

    >>> source = jnp.array([[1.0, 0.0], [0.0, 1.0], [2.0, 2.0]])
    >>> there = align(source, source[:, ::-1] + 5)
    >>> print(", ".join(f"{x:.3f}" for x in there(jnp.array([[1.0, 3.0]]))[0]))
    8.000, 6.000
    """
    if source.ndim != 2 or target.ndim != 2 or len(source) != len(target) or len(source) == 0:
        raise ValueError(
            f"source and target have shapes {source.shape} and {target.shape}; they need the same anchors, at least 1"
        )
    if kind not in get_args(Kind):
        raise ValueError(f"kind is {kind!r}; it must be one of {', '.join(get_args(Kind))}")
    if kind == "orthogonal" and source.shape[1] != target.shape[1]:
        raise ValueError(f"source has dimension {source.shape[1]} and target {target.shape[1]}; a rotation needs them equal")
    source, target = floating(source, target)
    means = source.mean(0), target.mean(0)
    a, b = (z - mean[None] for z, mean in zip((source, target), means, strict=True))
    if kind == "orthogonal":
        return Alignment(procrustes(a, b), *means)
    cutoff = 10 * max(a.shape) * float(jnp.finfo(a.dtype).eps)
    return Alignment(jnp.linalg.lstsq(a, b, rcond=cutoff)[0], *means)
