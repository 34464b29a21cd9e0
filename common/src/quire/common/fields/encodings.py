"""Encodings of coordinates and directions: sines of many frequencies, and the real spherical harmonics of radiance fields."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from quire.common.checks import check_at_least


def frequency_encoding(
    x: Float[Array | np.ndarray, "*batch d"], octaves: int, *, include_input: bool = True
) -> Float[Array, "*batch m"]:
    """`x, sin(x), cos(x), sin(2 x), cos(2 x), ..., sin(2^(octaves-1) x), cos(2^(octaves-1) x)`, without a factor pi.

    Args:
        x: coordinates.
        octaves: how many frequencies; 0 leaves only `x`.
        include_input: whether `x` itself comes first.

    Returns:
        `d (2 octaves + include_input)` numbers.

    Raises:
        ValueError: if octaves is negative, or nothing would be left.

    References:
        Mildenhall et al., *NeRF*, 2020, equation 4.

    >>> frequency_encoding(jnp.zeros(2), 1).tolist()
    [0.0, 0.0, 0.0, 0.0, 1.0, 1.0]
    """
    check_at_least("octaves", octaves, 0 if include_input else 1)
    angles = [x * 2.0**octave for octave in range(octaves)]
    waves = [wave(angle) for angle in angles for wave in (jnp.sin, jnp.cos)]
    return jnp.concatenate([x, *waves] if include_input else waves, axis=-1)


def sh_encoding(directions: Float[Array, "*batch 3"], degree: int) -> Float[Array, "*batch m"]:
    """Real spherical harmonics of all orders below `degree`, as polynomials of the direction, orthonormal on the sphere.

    The signs are those that radiance fields use: `-y, z, -x` at the first order.

    Args:
        directions: unit vectors.
        degree: 1 to 4; there are `degree^2` numbers.

    Raises:
        ValueError: for another degree.

    >>> [f"{value:.3f}" for value in sh_encoding(jnp.array([0.0, 0.0, 1.0]), 2)]
    ['0.282', '-0.000', '0.489', '-0.000']
    """
    if not 1 <= degree <= 4:
        raise ValueError(f"degree is {degree}; it must be between 1 and 4")
    x, y, z = jnp.moveaxis(directions, -1, 0)
    pi = float(np.pi)
    orders = [
        [0.5 * (1 / pi) ** 0.5 * jnp.ones_like(x)],
        [(3 / (4 * pi)) ** 0.5 * u for u in (-y, z, -x)],
        [
            (15 / (4 * pi)) ** 0.5 * x * y,
            -((15 / (4 * pi)) ** 0.5) * y * z,
            (5 / (16 * pi)) ** 0.5 * (3 * z**2 - 1),
            -((15 / (4 * pi)) ** 0.5) * x * z,
            (15 / (16 * pi)) ** 0.5 * (x**2 - y**2),
        ],
        [
            (35 / (32 * pi)) ** 0.5 * y * (y**2 - 3 * x**2),
            (105 / (4 * pi)) ** 0.5 * x * y * z,
            (21 / (32 * pi)) ** 0.5 * y * (1 - 5 * z**2),
            (7 / (16 * pi)) ** 0.5 * z * (5 * z**2 - 3),
            (21 / (32 * pi)) ** 0.5 * x * (1 - 5 * z**2),
            (105 / (16 * pi)) ** 0.5 * z * (x**2 - y**2),
            (35 / (32 * pi)) ** 0.5 * x * (3 * y**2 - x**2),
        ],
    ]
    return jnp.stack([value for order in orders[:degree] for value in order], axis=-1)
