"""CelebA: aligned photographs of faces with 40 attributes (Liu et al. 2015). People fetch the files."""

from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from quire.attribute_cvae.attribute_images import AttributeImages
from quire.common.checks import check_at_least
from quire.common.data.registry import provided
from quire.common.errors import DatasetCorrupt

SPLITS = {"train": "0", "valid": "1", "test": "2"}


def celeba(split: Literal["train", "valid", "test"], side: int, n: int | None = None) -> AttributeImages:
    """The first n images of a part, the central square of 178 x 178 pixels resized.

    Args:
        split: part.
        side: of the images in pixels.
        n: how many; all by default.

    Returns:
        Images uint8 `[n, side, side, 3]`, attributes uint8 `[n, 40]`.

    Raises:
        ValueError: for another part, or a side or number below 1.
        DatasetUnavailable: if `celeba` is neither below `QUIRE_DATA` nor in the cache.
        DatasetCorrupt: if its lists cannot be read, or there are fewer images.
    """
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}; it must be one of {', '.join(SPLITS)}")
    check_at_least("side", side)
    names, attributes = read_attributes(provided("celeba", "list_attr_celeba.txt"))
    parts = dict(line.split() for line in provided("celeba", "list_eval_partition.txt").read_text().splitlines() if line.strip())
    chosen = [name for name in attributes if parts.get(name) == SPLITS[split]]
    if n is not None and check_at_least("n", n) > len(chosen):
        raise DatasetCorrupt(f"celeba has {len(chosen)} images in its part {split}; {n} are asked for")
    chosen = chosen[:n]
    folder = provided("celeba", "img_align_celeba")
    images = np.stack([_square(folder / name, side) for name in chosen])
    return AttributeImages(images, np.stack([attributes[name] for name in chosen]), names)


def read_attributes(path: Path) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """Names of the attributes, and uint8 zeros and ones by file name, of a list whose numbers are -1 and 1.

    Raises:
        DatasetCorrupt: if the list has no images, or a row with another number of attributes or other numbers.
    """
    lines = [line.split() for line in path.read_text().splitlines() if line.strip()]
    if len(lines) < 3:
        raise DatasetCorrupt(f"{path} has {len(lines)} lines; it needs a count, names and images")
    names, rows = tuple(lines[1]), {}
    for name, *numbers in lines[2:]:
        if len(numbers) != len(names) or not set(numbers) <= {"-1", "1"}:
            raise DatasetCorrupt(f"{path}: {name} has {len(numbers)} attributes; it needs {len(names)}, each -1 or 1")
        rows[name] = np.array([number == "1" for number in numbers], np.uint8)
    return names, rows


def _square(file: Path, side: int) -> np.ndarray:
    image = Image.open(file).convert("RGB")
    edge = min(image.size)
    left, top = ((length - edge) // 2 for length in image.size)
    return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR, (left, top, left + edge, top + edge)))
