"""Starmen: outlines with a head, arms and legs that two covariates move and a subject's own waves vary; Section 4.1.

The paper's set is not public. Here a starman is the curve `r(phi) = r0 + sum_l h_l exp(-(phi - phi_l)^2 / w_l^2) + waves(phi)`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from quire.common.checks import check_at_least
from quire.common.fields.polygons import points_on_polygon, polygon_sdf
from quire.common.random import generator

COVARIATES = ("arms", "legs")
"""The first raises the arms by half a radian, the second spreads the legs by 0.3, each way."""
RADIUS, MODES = 0.33, 3
LEGS_BELOW = -0.15
"""Height below which a starman is legs."""


class Starmen(NamedTuple):
    """Visits of subjects.

    Attributes:
        outlines: counter-clockwise polygons `[subjects, visits, vertices, 2]`, within -1..1.
        covariates: arms and legs `[subjects, visits, 2]`, in -1..1.
        waves: coefficients of cosines and sines `[subjects, 2, 3]`, the same at every visit.
    """

    outlines: np.ndarray
    covariates: np.ndarray
    waves: np.ndarray


def lobes(c: Float[np.ndarray, "*batch 2"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Angles `[..., 5]`, heights and widths of head, arms and legs."""
    arms, legs = np.moveaxis(np.asarray(c, float), -1, 0)
    up, raised, spread = np.pi / 2, 1.25 - 0.5 * arms, 0.5 + 0.3 * legs
    angles = np.stack([np.full_like(arms, up), up + raised, up - raised, -up + spread, -up - spread], axis=-1)
    return angles, np.array([0.25, 0.4, 0.4, 0.45, 0.45]), np.array([0.35, 0.25, 0.25, 0.25, 0.25])


def outline(
    c: Float[np.ndarray, "*#batch 2"], waves: Float[np.ndarray, "*#batch 2 3"], vertices: int = 400
) -> Float[np.ndarray, "... v 2"]:
    """Polygons of starmen.

    Args:
        c: covariates.
        waves: coefficients of `cos k phi` and `sin k phi`, k from 1.
        vertices: at equal angles.

    Raises:
        ValueError: for fewer than three vertices, or waves so large that a radius is not positive.

    >>> outline(np.zeros(2), np.zeros((2, 3)), 4).round(2).tolist()
    [[0.41, 0.0], [0.0, 0.58], [-0.41, 0.0], [-0.0, -0.35]]
    """
    check_at_least("vertices", vertices, 3)
    phi = 2 * np.pi * np.arange(vertices) / vertices
    angles, heights, widths = lobes(c)
    apart = (phi - angles[..., None] + np.pi) % (2 * np.pi) - np.pi
    turns = np.arange(1, MODES + 1)[:, None] * phi
    varied = np.einsum("...sk,skv->...v", waves, np.stack([np.cos(turns), np.sin(turns)]))
    radius = RADIUS + np.sum(heights[:, None] * np.exp(-((apart / widths[:, None]) ** 2)), axis=-2) + varied
    if not (radius > 0).all():
        raise ValueError(f"waves are so large that a radius is {radius.min():.3g}; it must be positive")
    return radius[..., None] * np.stack([np.cos(phi), np.sin(phi)], axis=-1)


def starman(key: jax.Array, n_subjects: int, n_visits: int, *, sd: float = 0.03, vertices: int = 400) -> Starmen:
    """Subjects with waves of their own, each seen at several visits with other covariates.

    Args:
        key: the same key gives the same starmen.
        n_subjects, n_visits: how many.
        sd: standard deviation of every coefficient of the waves.
        vertices: of a polygon.

    Raises:
        ValueError: for sizes below 1, a negative `sd`, or one so large that an outline is not a curve around 0.

    >>> men = starman(jax.random.key(0), 3, 2, vertices=50)
    >>> men.outlines.shape, men.covariates.shape
    ((3, 2, 50, 2), (3, 2, 2))
    """
    check_at_least("n_subjects", n_subjects)
    check_at_least("n_visits", n_visits)
    if not sd >= 0:
        raise ValueError(f"sd is {sd}; it must not be negative")
    draw = generator(key)
    covariates = draw.uniform(-1, 1, (n_subjects, n_visits, 2))
    waves = sd * draw.standard_normal((n_subjects, 2, MODES))
    return Starmen(outline(covariates, waves[:, None], vertices), covariates, waves)


class Samples(NamedTuple):
    """Points of n shapes: first those on the outline, then as many uniform ones as ones near the outline.

    Attributes:
        points: `[n, Q, 2]`, float32.
        sdf: `[n, Q]`, exactly 0 on the outline.
        normals: `[n, Q, 2]`, 0 off the outline.
    """

    points: np.ndarray
    sdf: np.ndarray
    normals: np.ndarray


def sample_shapes(key: jax.Array, outlines: Float[np.ndarray, "n v 2"], each: int, near: float = 0.05) -> Samples:
    """Points with signed distances, half of them on the outline, a quarter uniform in the square, a quarter near the outline.

    Args:
        key: for the draws.
        outlines: polygons.
        each: points of a shape, a multiple of 4.
        near: largest distance, along each axis, from the outline.

    Raises:
        ValueError: if `each` is not a positive multiple of 4.
    """
    if each < 4 or each % 4:
        raise ValueError(f"each is {each}; it must be a positive multiple of 4")
    draw, quarter = generator(key), each // 4
    found = [points_on_polygon(jax.random.fold_in(key, i), polygon, 3 * quarter) for i, polygon in enumerate(outlines)]
    drawn, normals = (np.stack(x) for x in zip(*found, strict=True))
    uniform = draw.uniform(-1, 1, (len(outlines), quarter, 2))
    close = drawn[:, 2 * quarter :] + draw.uniform(-near, near, uniform.shape)
    off = np.concatenate([uniform, close], axis=1).astype(np.float32)
    distance = np.asarray(signed_distances(jnp.asarray(outlines, jnp.float32), jnp.asarray(off)))
    return Samples(
        np.concatenate([drawn[:, : 2 * quarter].astype(np.float32), off], axis=1),
        np.concatenate([np.zeros_like(distance), distance], axis=1),
        np.concatenate([normals[:, : 2 * quarter], np.zeros_like(off)], axis=1).astype(np.float32),
    )


@jax.jit
def signed_distances(outlines: Float[Array, "n v 2"], x: Float[Array, "n P 2"]) -> Float[Array, "n P"]:
    """Of every point to the polygon of its shape."""
    return jax.lax.map(lambda pair: polygon_sdf(*pair), (outlines, x))
