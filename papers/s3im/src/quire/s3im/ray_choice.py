"""Which pixels a step sees: anywhere in all views, or one square of one view."""

import numpy as np
from jaxtyping import Int

from quire.common.checks import check_at_least


def uniform_pixels(draw: np.random.Generator, steps: int, batch: int, pixels: int) -> Int[np.ndarray, "steps batch"]:
    """Independent pixels of all views: what fields are trained on, and what S3IM keeps.

    Raises:
        ValueError: if a size is below 1.
    """
    for name, size in (("steps", steps), ("batch", batch), ("pixels", pixels)):
        check_at_least(name, size)
    return draw.integers(0, pixels, (steps, batch))


def crop_pixels(
    draw: np.random.Generator, steps: int, patch: tuple[int, int], views: int, size: tuple[int, int]
) -> Int[np.ndarray, "steps batch"]:
    """A contiguous patch of a random view every step, row by row: what structural similarity of real neighbours needs.

    Args:
        draw: for the places.
        steps: how many.
        patch: height and width in pixels.
        views: how many there are.
        size: height and width of each.

    Returns:
        Numbers of pixels, counted view by view and row by row.

    Raises:
        ValueError: if a number is below 1, or the patch does not fit into a view.

    >>> crop_pixels(np.random.default_rng(0), 1, (2, 2), 1, (2, 2)).tolist()
    [[0, 1, 2, 3]]
    """
    for name, number in (("steps", steps), ("views", views), ("patch", min(patch))):
        check_at_least(name, number)
    if patch[0] > size[0] or patch[1] > size[1]:
        raise ValueError(f"patch is {patch[0]} x {patch[1]}; it must fit into views of {size[0]} x {size[1]}")
    view = draw.integers(0, views, (steps, 1, 1))
    top = draw.integers(0, size[0] - patch[0] + 1, (steps, 1, 1))
    left = draw.integers(0, size[1] - patch[1] + 1, (steps, 1, 1))
    rows, columns = np.arange(patch[0])[None, :, None], np.arange(patch[1])[None, None]
    return (((view * size[0]) + top + rows) * size[1] + left + columns).reshape(steps, -1)
