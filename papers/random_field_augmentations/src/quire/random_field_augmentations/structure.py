"""What an augmentation leaves of an image, and how many directions it takes the image in."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from quire.common.checks import at_least_float32
from quire.common.metrics.image import ssim
from quire.random_field_augmentations.augment import RandomFieldAugment, RandomFieldConfig, transform
from quire.random_field_augmentations.warp import Mode, jacobian_det, local_affine_grid, params_from


class Preserved(NamedTuple):
    """What an augmentation leaves of every image.

    Attributes:
        similarity: structural similarity to the original.
        folded: part of the pixels where the warp turns the picture over.
        least: smallest determinant of the warp.
    """

    similarity: Array
    folded: Array
    least: Array


@partial(jax.jit, static_argnames=("mode", "window"))
def preserved(
    images: Float[Array | np.ndarray, "n h w 3"], fields: Float[Array, "n 10 h w"], *, mode: Mode = "edge", window: int = 7
) -> Preserved:
    """Structure under given fields.

    Args:
        images: values in `[0, 1]`.
        fields: of every image; see `RandomFieldAugment.fields`.
        mode: what is read outside of an image.
        window: of the similarity, in pixels.
    """
    found = transform(images, fields, mode=mode)
    areas = jacobian_det(local_affine_grid(params_from(fields)))
    return Preserved(ssim(jnp.asarray(images), found, window=window), (areas < 0).mean((1, 2)), areas.min((1, 2)))


def difference_rank(differences: Float[Array, "draws ..."]) -> Float[Array, ""]:
    """`exp` of the entropy of the eigenvalues of the covariance, as shares of their sum: directions that are used alike.

    They are those of the products of the draws with each other, of which there are fewer than pixels; 0 if all draws are equal.

    Raises:
        ValueError: for fewer than two draws.
    """
    if len(differences) < 2:
        raise ValueError(f"differences has {len(differences)} rows; a covariance needs two")
    (rows,) = at_least_float32(differences.reshape(len(differences), -1))
    rows = rows - rows[:1]  # exact where all are equal
    rows = rows - rows.mean(0, keepdims=True)
    values = jnp.maximum(jnp.linalg.eigvalsh(jnp.matmul(rows, rows.T, precision="highest")), 0)
    total = values.sum()
    share = values / jnp.where(total == 0, 1, total)
    entropy = -jnp.sum(share * jnp.log(jnp.where(share > 0, share, 1)))
    return jnp.where(total == 0, total, jnp.exp(entropy))


@partial(jax.jit, static_argnames=("config", "draws"))
def view_rank(
    config: RandomFieldConfig, key: jax.Array, image: Float[Array | np.ndarray, "h w 3"], draws: int
) -> Float[Array, ""]:
    """`difference_rank` of what many views of one image differ from it in."""
    images = jnp.broadcast_to(image, (draws, *image.shape))
    return difference_rank(RandomFieldAugment(config)(key, images) - images)
