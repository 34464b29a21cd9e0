"""Scenes at a smaller size: fewer pixels, and cameras brought closer so that a scene fits its box."""

from dataclasses import replace

import numpy as np

from quire.common.checks import check_at_least, check_positive
from quire.common.data.scenes import Scene, Views


def coarser(scene: Scene, factor: int = 1, *, distance: float = 1.0) -> Scene:
    """A scene whose pixels are means over squares of the given ones.

    Colours are weighted by their opacity, so that the views over any background are the means of those before.

    Args:
        scene: views with their cameras.
        factor: side of a square in pixels; divides height and width.
        distance: all lengths of the scene are multiplied by it.

    Raises:
        ValueError: if the factor does not divide the sides, or the distance is not positive.
    """
    check_at_least("factor", factor)
    check_positive("distance", distance)
    size = scene.train.images.shape[1:3]
    if size[0] % factor or size[1] % factor:
        raise ValueError(f"factor is {factor}; it must divide the height and width {size[0]} and {size[1]}")
    train, test = (_coarser_views(views, factor, distance) for views in (scene.train, scene.test))
    height, width = size[0] // factor, size[1] // factor
    name = scene.name if factor == 1 else f"{scene.name.rsplit(',', 1)[0]}, {height} x {width}"
    return replace(scene, name=name, train=train, test=test, focal=scene.focal / factor)


def _coarser_views(views: Views, factor: int, distance: float) -> Views:
    n, height, width, _ = views.images.shape
    squares = views.images.reshape(n, height // factor, factor, width // factor, factor, 4)
    opacity = squares[..., 3:].mean((2, 4))
    colour = (squares[..., :3] * squares[..., 3:]).mean((2, 4)) / np.maximum(opacity, 1e-12)
    poses = np.array(views.poses)
    poses[:, :3, 3] *= distance
    return Views(np.concatenate([colour, opacity], axis=-1).astype(np.float32), poses)
