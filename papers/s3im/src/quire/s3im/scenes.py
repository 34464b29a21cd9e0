"""The scene of a preset, and versions of it with fewer or damaged training views."""

from dataclasses import replace

import numpy as np

from quire.common.checks import check_at_least
from quire.common.data.blob_scene import blob_scene
from quire.common.data.fox_scene import nerf_fox
from quire.common.data.idr_scenes import replica_scan
from quire.common.data.scene_sizes import coarser
from quire.common.data.scenes import Scene, Views, nerf_lego
from quire.common.data.source import Source, open_or
from quire.s3im.config import SceneConfig

ROOMS = "Replica, Tanks and Temples"
LEGO_DISTANCE = 0.8
"""Factor on the lengths of the Lego scene, so that it fits `[-1, 1]^3`."""


def open_scene(config: SceneConfig) -> Source[Scene]:
    """The scene that a preset names, in `[-1, 1]^3`, with as many test views as it says.

    Gaussian blobs are shown where the Lego views are missing; the others must be there.

    Raises:
        DatasetUnavailable: if the photographs or the rooms are asked for and not here.
        ValueError: if the factor does not divide the size of the views, or there are fewer test views.
    """
    if config.name == "lego":
        source = open_or(
            lambda: coarser(nerf_lego(), config.factor, distance=LEGO_DISTANCE),
            lambda: coarser(blob_scene(size=100, views=40, tests=20), config.factor),
            stand_in_for=ROOMS,
        )
    elif config.name == "fox":
        source = open_or(lambda: coarser(nerf_fox(), config.factor), stand_in_for=ROOMS)
    else:
        source = open_or(lambda: coarser(replica_scan(config.name), config.factor))
    return replace(source, value=_judged_on(source.value, config.test_views))


def sparse(scene: Scene, views: int) -> Scene:
    """The scene with some training views, evenly spaced among those that there are.

    Raises:
        ValueError: for no view, or more than there are.

    >>> found = sparse(blob_scene(views=5, tests=1, size=2), 3)
    >>> len(found.train.images), found.name
    (3, '6 Gaussian blobs, 2 x 2, 3 views')
    """
    there = len(scene.train.images)
    if not 1 <= views <= there:
        raise ValueError(f"views is {views}; there are {there}, and at least 1 is needed")
    kept = np.linspace(0, there - 1, views).round().astype(int)
    train = Views(scene.train.images[kept], scene.train.poses[kept])
    return replace(scene, name=f"{scene.name}, {views} views", train=train)


def _judged_on(scene: Scene, views: int) -> Scene:
    there = len(scene.test.images)
    if check_at_least("test_views", views) > there:
        raise ValueError(f"test_views is {views}; {scene.name} has {there}")
    kept = np.linspace(0, there - 1, views).round().astype(int)
    return replace(scene, test=Views(scene.test.images[kept], scene.test.poses[kept]))
