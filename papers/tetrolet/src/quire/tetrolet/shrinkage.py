"""Shrinkage: thresholds that take noise away, and approximations by few coefficients. Krommweh's uses of the transform."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from quire.common.checks import is_concrete
from quire.tetrolet.tilings import Tilings
from quire.tetrolet.transform import Coeffs, Image, flatten, itetrolet, tetrolet, unflatten


def threshold(c: Coeffs, thr: float | Sequence[float] | Array | np.ndarray) -> Coeffs:
    """Details of no more than `thr` in size become zero, the others stay (hard shrinkage); the low-pass stays.

    Args:
        c: coefficients.
        thr: one threshold, or one for every level, the finest first; in the units of the coefficients, which for an orthonormal
            transform are those of the noise.

    Raises:
        ValueError: for a negative threshold, or a wrong number of them.

    >>> c = tetrolet(np.arange(16.0).reshape(4, 4))
    >>> [float(jnp.abs(threshold(c, t).high[0]).max()) for t in (1.0, 100.0)]
    [2.0, 0.0]
    """
    thresholds = jnp.asarray(thr, c.low.dtype)
    if thresholds.shape not in ((), (len(c.high),)):
        raise ValueError(f"thr has shape {thresholds.shape}; it needs one number, or one for each of the {len(c.high)} levels")
    if is_concrete(thresholds) and not (np.asarray(thresholds) >= 0).all():
        raise ValueError(f"thr is {thr}; it must be at least 0")
    levels = jnp.broadcast_to(thresholds, (len(c.high),))
    return c._replace(high=tuple(jnp.where(jnp.abs(high) > t, high, 0) for high, t in zip(c.high, levels, strict=True)))


def tetrolet_shrink(
    x: Image,
    thr: float | Sequence[float] | Array | np.ndarray,
    levels: int | None = None,
    *,
    tilings: Tilings | None = None,
) -> Float[Array, "*batch height width"]:
    """Images without their small details: transform, `threshold`, inverse with the tilings of the noisy image.

    Args:
        x: images `[..., height, width]`.
        thr: usually a multiple of the standard deviation of the noise.
        levels: as for `tetrolet`.
        tilings: as for `tetrolet`; those of `squares()` make it shrinkage of Haar wavelets.

    Raises:
        ValueError: as for `tetrolet` and `threshold`.

    >>> noisy = np.ones((4, 4)) + 0.1 * np.eye(4)
    >>> bool(np.ptp(tetrolet_shrink(noisy, 0.5)) < np.ptp(noisy))
    True
    """
    return itetrolet(threshold(tetrolet(x, levels, tilings=tilings), thr), tilings)


def keep_largest(c: Coeffs, count: int) -> Coeffs:
    """The `count` largest coefficients of every image over all levels, the low-pass among them; the others become zero.

    The squared error of the image is the sum of squares of what became zero (Parseval).

    Raises:
        ValueError: for a count outside 0 to the number of pixels.

    >>> kept = keep_largest(tetrolet(np.arange(16.0).reshape(4, 4)), 3)
    >>> int((flatten(kept) != 0).sum())
    3
    """
    flat = flatten(c)
    if not 0 <= count <= flat.shape[-1]:
        raise ValueError(f"count is {count}; images of {flat.shape[-1]} pixels have 0 to {flat.shape[-1]} coefficients to keep")
    place = jax.lax.top_k(jnp.abs(flat), count)[1]
    kept = jnp.put_along_axis(jnp.zeros_like(flat), place, jnp.take_along_axis(flat, place, axis=-1), axis=-1, inplace=False)
    return unflatten(kept, c)


def energy_share(c: Coeffs, fraction: float = 0.1) -> Float[Array, "*batch"]:
    """What the largest coefficients, a fraction of all, hold of the sum of squares; 0 of a blank image.

    >>> energy_share(tetrolet(np.eye(4)), 0.25).item()
    1.0
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction is {fraction}; it must be above 0 and at most 1")
    energy = jnp.square(flatten(c))
    count = max(1, round(fraction * energy.shape[-1]))
    total = energy.sum(axis=-1)
    return jax.lax.top_k(energy, count)[0].sum(axis=-1) / jnp.where(total == 0, 1, total)
