"""Terms of the loss of a signed distance field: distance and normal on the surface, distance off it, unit slope everywhere."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from quire.common.checks import floating
from quire.common.roots import length

SHORTEST = 1e-8
"""Smallest product of lengths that a cosine is divided by."""


class SdfTerms(NamedTuple):
    """Means, without weights.

    Attributes:
        surface: `|value - target|` over the points on the surface.
        normal: 1 minus the cosine between gradient and normal, over the same points.
        off_surface: `|value - target|` over all other points.
        eikonal: `| |gradient| - 1 |` over all points.
    """

    surface: Float[Array, ""]
    normal: Float[Array, ""]
    off_surface: Float[Array, ""]
    eikonal: Float[Array, ""]


def sdf_terms(
    value: Float[Array, "*n"],
    gradient: Float[Array, "*n d"],
    target: Float[Array, "*n"],
    normal: Float[Array, "*n d"],
    on_surface: Bool[Array, "*n"],
) -> SdfTerms:
    """The four terms by which a field `F` is fitted to a signed distance.

    The slope of a vanishing gradient is taken as zero, and so are means over no point.

    Args:
        value, gradient: `F` and its derivatives at the points.
        target: their signed distances.
        normal: unit normals; read on the surface only.
        on_surface: which points lie on it.

    Raises:
        ValueError: if shapes differ, or there are no points.

    >>> terms = sdf_terms(jnp.array([0.1, 0.5]), jnp.array([[0.0, 2.0], [1.0, 0.0]]), jnp.array([0.0, 0.8]),
    ...                   jnp.array([[0.0, 1.0], [0.0, 0.0]]), jnp.array([True, False]))
    >>> " ".join(f"{name} {float(x):.1f}" for name, x in terms._asdict().items())
    'surface 0.1 normal 0.0 off_surface 0.3 eikonal 0.5'

    References:
        Gropp et al., *Implicit Geometric Regularization for Learning Shapes*, 2020; Sitzmann et al., *Implicit Neural
        Representations with Periodic Activation Functions*, 2020, Section 4.2.
    """
    shapes = [x.shape for x in (value, gradient[..., 0], target, normal[..., 0], on_surface)]
    if len(set(shapes)) > 1 or gradient.shape != normal.shape or not value.size:
        raise ValueError(
            f"value, gradient, target, normal and on_surface have shapes {value.shape}, {gradient.shape}, {target.shape}, "
            f"{normal.shape} and {on_surface.shape}; they need [n], [n, d], [n], [n, d] and [n], n at least 1"
        )
    value, gradient, target, normal = floating(value, gradient, target, normal)
    slope = length(gradient)
    lengths = jnp.maximum(slope * length(normal), SHORTEST)
    distance, cosine = jnp.abs(value - target), jnp.sum(gradient * normal, -1) / lengths
    return SdfTerms(
        mean_where(distance, on_surface),
        mean_where(1 - cosine, on_surface),
        mean_where(distance, ~on_surface),
        jnp.mean(jnp.abs(slope - 1)),
    )


def mean_where(x: Float[Array, "*n"], chosen: Bool[Array, "*n"]) -> Float[Array, ""]:
    """Mean of the chosen entries, 0 if there are none; what is not chosen has no influence, whatever it is.

    >>> mean_where(jnp.array([2.0, jnp.inf]), jnp.array([True, False])).item()
    2.0
    """
    return jnp.sum(jnp.where(chosen, x, 0)) / jnp.maximum(jnp.sum(chosen), 1)
