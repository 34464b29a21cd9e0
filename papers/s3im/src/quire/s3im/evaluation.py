"""How like the truth views are."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from quire.common.metrics.image import psnr, ssim


class Quality(NamedTuple):
    """Means over views: peak signal-to-noise ratio in decibels, structural similarity, and the mean squared error."""

    psnr: float
    ssim: float
    mse: float


def view_quality(found: Float[np.ndarray, "n h w c"], truth: Float[np.ndarray, "n h w c"]) -> Quality:
    """Quality of views.

    Raises:
        ValueError: if the shapes differ or there is no view.

    >>> same = np.zeros((1, 16, 16, 3), np.float32)
    >>> view_quality(same, same + np.float32(0.1)).psnr.__round__(3)
    20.0
    """
    if np.shape(found) != np.shape(truth) or not len(found):
        raise ValueError(f"found has shape {np.shape(found)} and truth {np.shape(truth)}; both need the same views")
    return Quality(*(float(np.mean(x)) for x in _of_views(jnp.asarray(found), jnp.asarray(truth))))


@jax.jit
def _of_views(found, truth):
    return jax.vmap(psnr)(found, truth), ssim(found, truth), jnp.mean((found - truth) ** 2)
