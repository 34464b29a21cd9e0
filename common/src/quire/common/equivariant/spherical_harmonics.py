"""Real spherical harmonics, without the Condon-Shortley sign, by recurrences that are stable to high degree.

`Y_lm = N_l|m| P_l^|m|(cos th) {sqrt2 sin(|m| ph), 1, sqrt2 cos(m ph)}` for `m < 0, = 0, > 0`, `th` from the z
axis, `ph` the azimuth.
"""

from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from quire.common.checks import floating
from quire.common.equivariant.irreps import degrees, num_coefficients

Normalization = Literal["integral", "component", "norm"]


def normalize(xyz: Float[Array, "*batch 3"]) -> tuple[Float[Array, "*batch 3"], Float[Array, "*batch 1"]]:
    """Unit vectors and lengths; a zero vector stays zero, and so do the derivatives there.

    Squares are taken of numbers of about 1, so that vectors of any length that the dtype holds will do. Numbers that are not
    finite give NaN.

    Args:
        xyz: vectors `[..., 3]`.

    Returns:
        `xyz / |xyz|` and `|xyz|`.

    >>> unit, length = normalize(jnp.array([[0.0, 3.0, 4.0], [0.0, 0.0, 0.0]]))
    >>> unit.tolist()[1], length[:, 0].tolist()
    ([0.0, 0.0, 0.0], [5.0, 0.0])
    """
    (xyz,) = floating(xyz)
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(xyz), axis=-1, keepdims=True))
    size = jnp.where(largest == 0, 1, largest)
    xyz = xyz / size
    square = jnp.sum(xyz * xyz, axis=-1, keepdims=True)
    zero = square == 0
    length = jnp.sqrt(jnp.where(zero, 1, square))  # double where: no derivative of sqrt at zero
    return jnp.where(zero, 0, xyz / length), jnp.where(zero, 0, size * length)


@partial(jax.jit, static_argnums=(0, 2))
def spherical_harmonics(
    lmax: int, xyz: Float[Array, "*batch 3"], normalization: Normalization = "integral"
) -> Float[Array, "*batch n"]:
    """Real spherical harmonics of the directions of vectors.

    They are evaluated as polynomials of the unit vector, so values and derivatives are smooth at the poles; for a zero vector,
    which has no direction, all degrees above 0 vanish.

    Args:
        lmax: highest degree.
        xyz: vectors `[..., 3]` of any length.
        normalization: `"integral"` (the integral of Y^2 is 1), `"component"` (the mean square of each is 1) or `"norm"` (the
            squares of a degree sum to 1).

    Returns:
        `[..., (lmax + 1)^2]`.

    Raises:
        ValueError: for a negative `lmax`, vectors that are not 3-dimensional or not real, or an unknown normalization.

    >>> spherical_harmonics(1, jnp.array([0.0, 0.0, 2.0]), "norm").round(4).tolist()
    [1.0, 0.0, 1.0, 0.0]
    """
    if xyz.ndim == 0 or xyz.shape[-1] != 3:
        raise ValueError(f"xyz has shape {xyz.shape}; vectors have 3 coordinates in the last axis")
    if not jnp.issubdtype(xyz.dtype, jnp.floating):
        raise ValueError(f"xyz has dtype {xyz.dtype}; coordinates are real floating-point numbers")
    unit, length = normalize(xyz)
    Y = _solid(lmax, unit, jnp.where(length == 0, 0, 1).astype(unit.dtype), jnp)
    scale = normalization_factors(lmax, normalization).astype(xyz.dtype)
    return Y * scale.reshape((1,) * (Y.ndim - 1) + (-1,))


@partial(jax.jit, static_argnums=0)
def spherical_harmonics_angles(lmax: int, theta: Float[Array, "*batch"], phi: Float[Array, "*batch"]) -> Float[Array, "*batch n"]:
    """Real spherical harmonics of polar angle and azimuth, `"integral"` normalization.

    `theta` may run over the whole circle: a trigonometric formula goes on where the polar angle ends at pi.

    Args:
        theta: polar angles `[...]`.
        phi: azimuths, of the same shape.

    Returns:
        `[..., (lmax + 1)^2]`.

    Raises:
        ValueError: if the shapes differ.
    """
    if theta.shape != phi.shape:
        raise ValueError(f"theta has shape {theta.shape} and phi {phi.shape}; they must be equal")
    theta, phi = floating(theta, phi)
    unit = jnp.stack([jnp.sin(theta) * jnp.cos(phi), jnp.sin(theta) * jnp.sin(phi), jnp.cos(theta)], axis=-1)
    return _solid(lmax, unit, jnp.ones_like(unit[..., :1]), jnp)


def harmonics_table(lmax: int, points: np.ndarray) -> np.ndarray:
    """`spherical_harmonics` of fixed unit vectors `[n, 3]`, in NumPy's float64, for tables: `[n, (lmax + 1)^2]`."""
    return _solid(lmax, np.asarray(points, np.float64), np.ones((len(points), 1)), np)


def legendre_table(lmax: int, theta: np.ndarray) -> np.ndarray:
    """`N_lm P_l^m(cos theta)`, on the whole circle with `sin^m(theta)` signed, in NumPy's float64.

    Args:
        theta: angles `[t]`.

    Returns:
        `[m, l, t]`, zero for `l < m`.
    """
    z, one = np.cos(theta)[:, None], np.ones((len(theta), 1))
    powers = np.sin(theta)[:, None] ** np.arange(lmax + 1)
    table = np.zeros((lmax + 1, lmax + 1, len(theta)))
    for l, row in enumerate(_reduced_legendre(lmax, z, one, np)):
        table[: l + 1, l] = (row * powers[:, : l + 1]).T
    return table


def normalization_factors(lmax: int, normalization: Normalization) -> np.ndarray:
    """What turns `"integral"` harmonics into another normalization, `[(lmax + 1)^2]`.

    Raises:
        ValueError: for an unknown normalization.
    """
    l = degrees(lmax)
    factors = {
        "integral": np.ones(len(l)),
        "component": np.full(len(l), np.sqrt(4 * np.pi)),
        "norm": np.sqrt(4 * np.pi / (2 * l + 1)),
    }
    if normalization not in factors:
        raise ValueError(f"normalization is {normalization!r}; choose from {', '.join(factors)}")
    return factors[normalization]


def _solid(lmax: int, unit: Any, square: Any, xp: Any) -> Any:
    """Harmonics of `unit [..., 3]`, whose squared length `square [..., 1]` is 1 or 0; `xp` is `numpy` or `jax.numpy`."""
    num_coefficients(lmax)
    x, y, z = unit[..., 0:1], unit[..., 1:2], unit[..., 2:3]
    cos, sin = [xp.ones_like(x)], [xp.zeros_like(x)]  # sin^m(theta) cos(m phi), sin^m(theta) sin(m phi)
    for _ in range(lmax):
        cos, sin = [*cos, cos[-1] * x - sin[-1] * y], [*sin, sin[-1] * x + cos[-1] * y]
    cos, sin = xp.concatenate(cos, axis=-1), xp.concatenate(sin, axis=-1)
    parts = []
    for l, P in enumerate(_reduced_legendre(lmax, z, square, xp)):
        positive = np.sqrt(2).astype(P.dtype) * P[..., 1:]
        parts += [(positive * sin[..., 1 : l + 1])[..., ::-1], P[..., :1], positive * cos[..., 1 : l + 1]]
    return xp.concatenate(parts, axis=-1)


def _reduced_legendre(lmax: int, z: Any, square: Any, xp: Any) -> list[Any]:
    """`N_lm P_l^m(z) / sin^m` for every l as an array over m = 0 .. l; polynomials of z and the squared length.

    Two-term recurrence upwards in l at fixed m, which is the stable direction.
    """

    def constant(values):
        return np.asarray(values, z.dtype).reshape((1,) * (z.ndim - 1) + (-1,))

    rows = [xp.ones_like(z) * constant([np.sqrt(0.25 / np.pi)])]
    diagonal = np.sqrt(0.25 / np.pi)
    for l in range(1, lmax + 1):
        m = np.arange(l - 1)
        a = np.sqrt((4 * l * l - 1) / (l * l - m * m))
        b = np.sqrt(((l - 1) ** 2 - m * m) / (4 * (l - 1) ** 2 - 1)) if l > 1 else m
        below = [constant(a) * (z * rows[-1][..., :-1] - constant(b) * square * rows[-2])] if l > 1 else []
        last_but_one = z * constant([np.sqrt(2 * l + 1) * diagonal])
        diagonal *= np.sqrt((2 * l + 1) / (2 * l))
        rows.append(xp.concatenate([*below, last_but_one, xp.ones_like(z) * constant([diagonal])], axis=-1))
    return rows
