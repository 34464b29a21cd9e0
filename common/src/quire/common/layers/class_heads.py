"""Heads of classifiers by cosine, by projection on subspaces, or with fixed vectors, one for each class.

References:
    Pernici et al., *Regular Polytope Networks*, 2021; Shen et al., *Equiangular Basis Vectors*, 2023;
    Wang, Li and Zhang, *Get the Best of Both Worlds*, 2023.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Num

from quire.common.checks import check_at_least, floating
from quire.common.layers.nested import unit_rows
from quire.common.roots import root


def simplex_vectors(n: int) -> Float[np.ndarray, "n n-1"]:
    """n unit vectors of `R^(n-1)` with the same angle between any two: all cosines are `-1 / (n - 1)`; float64.

    Raises:
        ValueError: for n below 2.

    >>> vectors = simplex_vectors(3)
    >>> print((vectors @ vectors.T).round(6))
    [[ 1.  -0.5 -0.5]
     [-0.5  1.  -0.5]
     [-0.5 -0.5  1. ]]
    """
    check_at_least("n", n, 2)
    corners = np.concatenate([np.eye(n - 1), np.full((1, n - 1), (1 - np.sqrt(n)) / (n - 1))])
    centred = corners - corners.mean(0)
    return centred / np.linalg.norm(centred, axis=1, keepdims=True)


def cosine_logits(
    z: Float[Array, "*batch dim"], weights: Float[Array, "classes dim"], scale: float | Array = 1.0
) -> Float[Array, "*batch classes"]:
    """`scale <z / |z|, w / |w|>`; a vector of zeros is similar to nothing.

    Raises:
        ValueError: if the dimensions differ, or weights is no `[classes, dim]`.

    >>> cosine_logits(jnp.array([[3.0, 0.0]]), jnp.array([[2.0, 0.0], [0.0, -1.0]]), 10.0).tolist()
    [[10.0, 0.0]]
    """
    if weights.ndim != 2 or z.shape[-1:] != weights.shape[1:]:
        raise ValueError(f"z has shape {z.shape}; weights {weights.shape} need [classes, dim] of the same dimension")
    return scale * unit_rows(z) @ unit_rows(weights).T


def subspace_logits(
    z: Num[Array, "*batch dim"], bases: Num[Array, "classes dim k"], scale: float | Array = 1.0
) -> Float[Array, "*batch classes"]:
    """`scale |S_c^T z / |z||`: the length of the projection of a direction on the subspace of every class, in `[0, scale]`.

    A vector of zeros lies in no subspace; there, and where a direction is orthogonal to a subspace, the derivative is 0.

    Args:
        z: features.
        bases: S_c, orthonormal columns; columns of zeros pad a subspace of fewer dimensions.
        scale: the largest logit.

    Raises:
        ValueError: if the dimensions differ, or the bases are no `[classes, dim, k]`.

    >>> bases = jnp.array([[[1.0], [0.0]], [[0.6], [0.8]]])
    >>> print(subspace_logits(jnp.array([[0.0, 2.0]]), bases, 10.0).round(4))
    [[0. 8.]]
    """
    if bases.ndim != 3 or z.shape[-1] != bases.shape[1]:
        raise ValueError(f"z has dimension {z.shape[-1]} and bases have shape {bases.shape}; it must be [classes, dim, k]")
    z, bases = floating(z, bases)
    classes, dim, k = bases.shape
    onto = unit_rows(z) @ bases.transpose(1, 0, 2).reshape(dim, classes * k)
    squared = jnp.sum(onto.reshape(*z.shape[:-1], classes, k) ** 2, axis=-1)
    return scale * root(squared)


class FixedHead(nnx.Module):
    """Scores by class vectors that never learn: `z W^T`, or `scale` times the cosine.

    Args:
        weights: one row a class; kept in the state, but no parameter.
        scale: None for plain inner products.

    Raises:
        ValueError: if weights is not `[classes, dim]` with at least one class.
    """

    def __init__(self, weights: np.ndarray | Array, scale: float | None = None):
        weights = jnp.asarray(weights)
        if weights.ndim != 2 or weights.size == 0:
            raise ValueError(f"weights has shape {weights.shape}; it must be [classes, dim], with at least one of each")
        self.weights = nnx.Variable(weights)
        self.scale = scale

    def __call__(self, z: Num[Array, "*batch dim"]) -> Float[Array, "*batch classes"]:
        """Scores of all classes, in the dtype of z where it is floating."""
        if z.shape[-1:] != self.weights.shape[1:]:
            raise ValueError(f"z has shape {z.shape}; the class vectors have {self.weights.shape[1]} numbers")
        (z,) = floating(z)
        weights = jax.lax.stop_gradient(self.weights[...]).astype(z.dtype)
        return z @ weights.T if self.scale is None else cosine_logits(z, weights, self.scale)
