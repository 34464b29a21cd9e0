"""The images of a preset: drawn faces and birds, or CelebA."""

from typing import NamedTuple

import jax
import numpy as np

from quire.attribute_cvae.attribute_images import AttributeImages, attribute_birds, attribute_faces
from quire.attribute_cvae.celeba import celeba
from quire.attribute_cvae.config import Preset
from quire.common.random import generator

DRAWN = {"faces": attribute_faces, "birds": attribute_birds}


class Split(NamedTuple):
    """Images for training and test."""

    train: AttributeImages
    test: AttributeImages


def open_images(preset: Preset, key: jax.Array) -> Split:
    """The images of a preset; drawn ones are fresh for every key.

    Raises:
        ValueError: for an image set that there is not.
        DatasetUnavailable: if files are missing.
    """
    if preset.image_set == "celeba":
        return Split(celeba("train", preset.side, preset.n_train), celeba("test", preset.side, preset.n_test))
    if preset.image_set not in DRAWN:
        raise ValueError(f"image_set is {preset.image_set!r}; it must be one of {', '.join(DRAWN)}, celeba")
    images, attributes, names = DRAWN[preset.image_set](key, preset.n_train + preset.n_test)
    parts = slice(preset.n_train), slice(preset.n_train, None)
    return Split(*(AttributeImages(images[part], attributes[part], names) for part in parts))


def unseen_combinations(attributes: np.ndarray, share: float, key: jax.Array) -> np.ndarray:
    """Which rows have a combination of attributes that is held out: a random share of the combinations that occur, at least one.

    Args:
        attributes: `[n, a]`.
        share: of the combinations, between 0 and 1.
        key: of the choice.

    Returns:
        bool `[n]`.

    Raises:
        ValueError: for a share outside `(0, 1)`, or fewer than two combinations.
    """
    combinations, which = np.unique(attributes, axis=0, return_inverse=True)
    if not 0 < share < 1 or len(combinations) < 2:
        raise ValueError(f"share is {share} of {len(combinations)} combinations; it must lie between 0 and 1, of at least 2")
    held = generator(key).permutation(len(combinations))[: max(1, round(share * len(combinations)))]
    return np.isin(which.reshape(-1), held)
