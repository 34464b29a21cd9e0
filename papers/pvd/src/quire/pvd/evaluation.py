"""Test views: images of a field, and how far they are from photographs or from those of its teacher."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from quire.common.checks import check_at_least
from quire.common.data.scenes import Scene, Views
from quire.common.fields.radiance import CLIP, RadianceField
from quire.common.fields.ray_batches import view_rays
from quire.common.metrics.image import ssim
from quire.pvd.recording import Recorded, record


@dataclass(frozen=True)
class JudgedRays:
    """Rays of test views, every so many rows and columns, and the colours of the photographs over white `[n, 3]`."""

    origins: np.ndarray
    directions: np.ndarray
    truth: np.ndarray
    samples: int

    @property
    def mean_colour(self) -> np.ndarray:
        """The best single colour `[1, 3]`."""
        return self.truth.mean(0, keepdims=True)


def judged_rays(scene: Scene, samples: int, stride: int = 1) -> JudgedRays:
    """The rays by which fields are judged.

    Raises:
        ValueError: for a stride or a number of samples below 1.
    """
    check_at_least("samples", samples)
    check_at_least("stride", stride)
    views, size = scene.test, scene.test.images.shape[1:3]
    rays = view_rays(views.poses, size, scene.focal)
    every = np.zeros((len(views.poses), *size), bool)
    every[:, ::stride, ::stride] = True
    picked = every.ravel()
    return JudgedRays(*(a[picked] for a in rays), views.over(1.0).reshape(-1, 3)[picked], samples)


def colours(field: RadianceField, rays: JudgedRays, clip: tuple[float, float] = CLIP) -> Float[np.ndarray, "n 3"]:
    """What a field shows along the rays, over white."""
    return record(field, rays.origins, rays.directions, samples=rays.samples, clip=clip).over(1.0)


def decibels(found: Float[np.ndarray, "..."], truth: Float[np.ndarray, "..."]) -> float:
    """Peak signal-to-noise ratio; infinite for equal colours.

    Raises:
        ValueError: if there is no colour, or shapes differ in more than the number of colours.
    """
    if np.size(found) == 0 or np.size(truth) == 0:
        raise ValueError(f"found has shape {np.shape(found)} and truth {np.shape(truth)}; one of them has no colour")
    if np.ndim(found) != np.ndim(truth) or any(a not in (1, b) for a, b in zip(np.shape(found), np.shape(truth), strict=True)):
        raise ValueError(f"found has shape {np.shape(found)} and truth {np.shape(truth)}; found may have single colours for many")
    with np.errstate(divide="ignore"):
        return float(-10 * np.log10(np.mean((np.asarray(found, float) - np.asarray(truth, float)) ** 2)))


def render_view(
    field: RadianceField,
    pose: Float[np.ndarray, "4 4"],
    size: tuple[int, int],
    focal: float,
    *,
    samples: int,
    clip: tuple[float, float] = CLIP,
) -> tuple[Float[np.ndarray, "h w 3"], Recorded]:
    """An image over white from one camera, and everything that was recorded for it."""
    seen = record(field, *view_rays(pose[None], size, focal), samples=samples, clip=clip)
    return seen.over(1.0).reshape(*size, 3), seen


def view_quality(field: RadianceField, views: Views, focal: float, *, samples: int) -> tuple[float, float]:
    """PSNR in decibels and SSIM against photographs over white, means over the views."""
    size = views.images.shape[1:3]
    images = [render_view(field, pose, size, focal, samples=samples)[0] for pose in views.poses]
    truth = views.over(1.0)
    structure = jax.jit(ssim)(jnp.asarray(np.stack(images)), jnp.asarray(truth))
    return float(np.mean([decibels(a, b) for a, b in zip(images, truth, strict=True)])), float(structure.mean())
