"""Rays of photographs, and their way through a radiance field: points along them, field, compositing."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from quire.common.checks import check_at_least, check_positive
from quire.common.fields.cameras import rays
from quire.common.fields.radiance import CLIP, FieldOut, RadianceField
from quire.common.fields.rendering import composite, ray_box, stratified

NEAREST = 0.2
"""No sample lies closer to a camera."""


class Samples(NamedTuple):
    """Samples along n rays.

    Attributes:
        x: points `[n, samples, 3]`.
        t: their distances from the origins `[n, samples]`.
        delta: lengths that they stand for `[n, samples]`; zero on rays that miss the box.
        near, far: where the rays enter and leave the box `[n]`.
    """

    x: Array
    t: Array
    delta: Array
    near: Array
    far: Array


class Rendered(NamedTuple):
    """What rays see.

    Attributes:
        rgb: colour over the background `[n, 3]`.
        depth: mean place of what is seen, from 0 at the entry to 1 at the exit; without the background `[n]`.
        opacity: `[n]`.
        out: the field at every sample, `[n * samples, ...]`.
    """

    rgb: Array
    depth: Array
    opacity: Array
    out: FieldOut


class PhotoBatch(NamedTuple):
    """Rays with the colour of the pixel that each belongs to, `[n, 3]`; `offset` `[n]` as for `sample_rays`."""

    origins: Array
    directions: Array
    offset: Array
    rgb: Array


def sample_rays(
    origins: Float[Array | np.ndarray, "n 3"],
    directions: Float[Array | np.ndarray, "n 3"],
    samples: int,
    offset: Float[Array | np.ndarray, " n"] | float = 0.5,
    *,
    half_width: float = 1.0,
) -> Samples:
    """Equally spaced points between the entry of every ray into a box and its exit.

    Args:
        origins, directions: of the rays; unit directions.
        samples: a ray.
        offset: of the points within their equal parts, in 0..1: one number for all, or one a ray.
        half_width: of the box.

    Returns:
        The samples; their points are those of the box scaled to `[-1, 1]^3`, lengths are scaled alike.

    Raises:
        ValueError: if there is no sample, or the box has no width.

    >>> found = sample_rays(jnp.array([[-3.0, 0.0, 0.0]]), jnp.array([[1.0, 0.0, 0.0]]), 2)
    >>> found.x[0, :, 0].tolist(), found.delta.tolist()
    ([-0.5, 0.5], [[1.0, 1.0]])
    """
    check_at_least("samples", samples)
    check_positive("half_width", half_width)
    origins = origins / half_width
    near, far, hit = ray_box(origins, directions)
    near = jnp.where(hit, jnp.maximum(near, NEAREST), NEAREST)
    far = jnp.where(hit, jnp.maximum(far, near), near)
    shift = (offset - 0.5) * (far - near) / samples
    t, delta = stratified(None, near + shift, far + shift, samples)
    return Samples(origins[:, None] + t[..., None] * directions[:, None], t, delta, near, far)


def mean_depth(
    weights: Float[Array, "n s"], t: Float[Array, "n s"], near: Float[Array, " n"], far: Float[Array, " n"]
) -> Float[Array, " n"]:
    """`sum_i w_i (t_i - near) / (far - near)`, each place cut to 0..1; zero where a ray has no length."""
    length = (far - near)[:, None]
    place = jnp.where(length > 0, (t - near[:, None]) / jnp.where(length > 0, length, 1), 0)
    return jnp.sum(weights * jnp.clip(place, 0, 1), axis=1)


def query(
    field: RadianceField, samples: Samples, directions: Float[Array | np.ndarray, "n 3"], clip: tuple[float, float] | Array = CLIP
):
    """The field at all samples of the rays, `[n * samples, ...]`."""
    n, count = samples.t.shape
    seen = jnp.broadcast_to(directions[:, None], (n, count, 3))
    return field(samples.x.reshape(n * count, 3), seen.reshape(n * count, 3), clip=clip)


def render_rays(
    field: RadianceField,
    origins: Float[Array | np.ndarray, "n 3"],
    directions: Float[Array | np.ndarray, "n 3"],
    *,
    samples: int,
    offset: Float[Array | np.ndarray, " n"] | float = 0.5,
    background: Float[Array | np.ndarray, "n 3"] | float = 1.0,
    clip: tuple[float, float] | Array = CLIP,
    half_width: float = 1.0,
) -> Rendered:
    """What rays see of a field: equally spaced points, field, compositing.

    Args:
        field: in `[-1, 1]^3`.
        origins, directions: of the rays; unit directions.
        samples, offset, half_width: as for `sample_rays`.
        background: one grey for all, or one colour a ray.
        clip: bounds of the log-density.

    Raises:
        ValueError: as `sample_rays` and the field do.
    """
    along = sample_rays(origins, directions, samples, offset, half_width=half_width)
    out = query(field, along, directions, clip)
    n, count = along.t.shape
    pixels = composite(out.sigma.reshape(n, count), out.rgb.reshape(n, count, 3), along.delta, background)
    depth = mean_depth(pixels.weights, along.t, along.near, along.far)
    return Rendered(pixels.rgb, depth, pixels.opacity, out)


def photo_loss(
    field: RadianceField, batch: PhotoBatch, *, samples: int, background: float = 1.0, clip: tuple[float, float] | Array = CLIP
) -> Float[Array, ""]:
    """Mean squared error of the colours of rays: what a field is trained by on photographs."""
    seen = render_rays(
        field, batch.origins, batch.directions, samples=samples, offset=batch.offset, background=background, clip=clip
    )
    return jnp.mean((seen.rgb - batch.rgb) ** 2)


def view_rays(
    poses: Float[np.ndarray, "views 4 4"], size: tuple[int, int], focal: float
) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "n 3"]]:
    """Origins and unit directions of all pixels of all views, view by view and row by row; arrays of the host.

    Args:
        poses: camera to world.
        size: height and width of each view.
        focal: focal length in pixels.

    Raises:
        ValueError: as `rays` does, or without a view.
    """
    check_at_least("number of poses", len(poses))
    found = jax.device_get(_rays_of_views(np.asarray(poses, np.float32), tuple(size), float(focal)))
    origins, directions = (np.asarray(a).reshape(-1, 3) for a in found)
    return origins, directions


@partial(jax.jit, static_argnames=("size", "focal"))
def _rays_of_views(poses, size, focal):
    return jax.vmap(lambda pose: rays(pose, size, focal))(poses)
