"""Whole views of what has been learned, one compiled call a view."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from quire.common.checks import check_at_least
from quire.common.fields.cameras import rays

Look = Callable[[Any, Array, Array], Any]
"""`look(model, origins, directions) -> pytree of [n, ...]`: what rays see of a model."""


def render_views(
    look: Look, model: nnx.Module, poses: Float[np.ndarray, "views 4 4"], size: tuple[int, int], focal: float
) -> Any:
    """What a model shows to cameras; models of one kind share the program.

    Args:
        look: the same function object each time, or every call compiles anew.
        model: with parameters alone.
        poses: camera to world.
        size: height and width in pixels.
        focal: focal length in pixels.

    Returns:
        The pytree that `look` returns, its leaves arrays of the host `[views, height, width, ...]`.

    Raises:
        ValueError: if there is no view, and as `rays` does.

    >>> look = lambda model, origins, directions: directions
    >>> render_views(look, nnx.Module(), np.eye(4)[None], (2, 3), 4.0).shape
    (1, 2, 3, 3)
    """
    check_at_least("number of poses", len(poses))
    graph, params = nnx.split(model)
    seen = [jax.device_get(_view(look, graph, params, jnp.asarray(pose, jnp.float32), size, focal)) for pose in poses]
    return jax.tree.map(lambda *views: np.stack(views).reshape(len(poses), *size, *views[0].shape[1:]), *seen)


@partial(jax.jit, static_argnames=("look", "graph", "size", "focal"))
def _view(look, graph, params, pose, size, focal):
    return look(nnx.merge(graph, params), *rays(pose, size, focal))
