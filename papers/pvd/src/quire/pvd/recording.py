"""Asking a teacher once: what it says along rays, kept for students to learn from."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float

from quire.common.checks import check_at_least
from quire.common.fields.radiance import CLIP, FEATURES, RadianceField
from quire.common.fields.ray_batches import render_rays
from quire.pvd.config import check_clip

BLOCK = 1024
"""Rays a compiled call."""


class Recorded(NamedTuple):
    """What a field says along n rays.

    Attributes:
        origins, directions, offset: of the rays and their samples.
        light: colour over black `[n, 3]`; over a background b it is `light + (1 - opacity) b`.
        opacity, depth: `[n]`.
        feat, log_sigma, rgb: `[n, samples, ...]`; zeros for `feat` where the field has none.
    """

    origins: np.ndarray
    directions: np.ndarray
    offset: np.ndarray
    light: np.ndarray
    opacity: np.ndarray
    depth: np.ndarray
    feat: np.ndarray
    log_sigma: np.ndarray
    rgb: np.ndarray

    def over(self, background: float = 1.0) -> np.ndarray:
        """Colours over one grey."""
        return self.light + (1 - self.opacity)[:, None] * background


def record(
    field: RadianceField,
    origins: Float[np.ndarray, "n 3"],
    directions: Float[np.ndarray, "n 3"],
    offset: Float[np.ndarray, " n"] | None = None,
    *,
    samples: int,
    clip: tuple[float, float] = CLIP,
) -> Recorded:
    """Ask a field about rays; fields of one kind share the program.

    Args:
        field: the teacher, or a student to be judged.
        origins, directions: of the rays; unit directions.
        offset: of the samples within their parts; the middle by default.
        samples: a ray.
        clip: bounds of the log-density.

    Raises:
        ValueError: if there is no ray or no sample, numbers of rays differ, or the clip is empty.
    """
    n = check_at_least("number of rays", len(origins))
    check_at_least("samples", samples)
    check_clip(clip)
    offset = np.full(n, 0.5, np.float32) if offset is None else offset
    shapes = [np.shape(a) for a in (origins, directions, offset)]
    if shapes != [(n, 3), (n, 3), (n,)]:
        raise ValueError(f"origins, directions and offset have shapes {shapes}; they need [n, 3], [n, 3] and [n]")
    graph, params = nnx.split(field)
    pad = -n % BLOCK
    rays = [np.concatenate([a, np.repeat(a[-1:], pad, 0)]).astype(np.float32) for a in (origins, directions, offset)]
    bounds = np.asarray(clip, np.float32)
    parts = [
        jax.device_get(_ask(graph, samples, params, *(a[i : i + BLOCK] for a in rays), bounds)) for i in range(0, n + pad, BLOCK)
    ]
    found = [np.concatenate(arrays)[:n] for arrays in zip(*parts, strict=True)]
    return Recorded(*(a[:n] for a in rays), *found)


@partial(jax.jit, static_argnames=("graph", "samples"))
def _ask(graph, samples, params, origins, directions, offset, clip):
    field = nnx.merge(graph, params)
    seen = render_rays(field, origins, directions, samples=samples, offset=offset, background=0.0, clip=clip)
    shape = (len(origins), samples)
    feat = jnp.zeros((*shape, 1 + FEATURES)) if seen.out.feat is None else seen.out.feat.reshape(*shape, -1)
    return seen.rgb, seen.opacity, seen.depth, feat, seen.out.log_sigma.reshape(shape), seen.out.rgb.reshape(*shape, 3)
