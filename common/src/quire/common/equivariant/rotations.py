"""Rotations and their Wigner matrices on fields over the sphere."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from quire.common.checks import floating
from quire.common.equivariant.irreps import degrees, lmax_of, orders
from quire.common.equivariant.sphere_grid import PRECISION, from_grid_matrix, sphere_grid
from quire.common.equivariant.spherical_harmonics import harmonics_table, normalize, spherical_harmonics
from quire.common.tables import cached_table


@partial(jax.jit, static_argnums=1)
def random_rotation(key: jax.Array, shape: tuple[int, ...] = ()) -> Float[Array, "*shape 3 3"]:
    """Uniformly distributed rotation matrices, from normalised quaternions.

    >>> R = random_rotation(jax.random.key(0))
    >>> bool(jnp.allclose(R @ R.T, jnp.eye(3), atol=1e-6)), round(float(jnp.linalg.det(R)), 4)
    (True, 1.0)
    """
    q = jax.random.normal(key, (*shape, 4))
    w, x, y, z = jnp.moveaxis(q / jnp.linalg.norm(q, axis=-1, keepdims=True), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=-2)


@cached_table()
def _same_degree(lmax: int) -> np.ndarray:
    return degrees(lmax)[:, None] == degrees(lmax)


@partial(jax.jit, static_argnums=0)
def wigner_d(lmax: int, rotation: Float[Array, "*batch 3 3"]) -> Float[Array, "*batch n n"]:
    """Wigner matrices `D` with `Y(R r) = D(R) Y(r)`, so that `x -> D x` rotates a field with R.

    `D_ab = int Y_a(R r) Y_b(r) dr` by an exact quadrature: no angles, hence no singular directions, stable at any degree and
    differentiable in R.

    Args:
        lmax: highest degree.
        rotation: orthogonal matrices `[..., 3, 3]`; reflections work as well.

    Returns:
        `[..., (lmax + 1)^2, (lmax + 1)^2]`, block-diagonal.

    Raises:
        ValueError: if the matrices are not 3 x 3.

    >>> wigner_d(1, jnp.eye(3)).round(4).diagonal().tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    if rotation.shape[-2:] != (3, 3):
        raise ValueError(f"rotation has shape {rotation.shape}; rotations are 3 x 3 matrices")
    (rotation,) = floating(rotation)
    points = sphere_grid(2 * lmax).points.astype(rotation.dtype)
    rotated = jnp.einsum("...ij,qj->...qi", rotation, points, precision=PRECISION)
    weighted = from_grid_matrix(lmax, 2 * lmax).astype(rotation.dtype)
    D = jnp.einsum("...qa,qb->...ab", spherical_harmonics(lmax, rotated), weighted, precision=PRECISION)
    mask = _same_degree(lmax).reshape((1,) * (D.ndim - 2) + (len(weighted[0]), -1))
    return jnp.where(mask, D, 0)


# --- To the pole and back, O(L^3) a vector ---


@cached_table()
def _pole_to_y(lmax: int) -> tuple[np.ndarray, ...]:
    """Wigner blocks of the quarter turn about x that takes the z axis to the y axis."""
    turn = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
    D = harmonics_table(lmax, sphere_grid(2 * lmax).points @ turn.T).T @ from_grid_matrix(lmax, 2 * lmax)
    return tuple(D[l * l : (l + 1) ** 2, l * l : (l + 1) ** 2] for l in range(lmax + 1))


def _turn_to_y(x: Float[Array, "*batch n"], *, back: bool) -> Float[Array, "*batch n"]:
    blocks = _pole_to_y(lmax_of(x))
    parts = [
        jnp.matmul(x[..., l * l : (l + 1) ** 2], (block if back else block.T).astype(x.dtype), precision=PRECISION)
        for l, block in enumerate(blocks)
    ]
    return jnp.concatenate(parts, axis=-1)


def rotate_azimuth(
    x: Float[Array, "*batch n"], cos: Float[Array, "*batch"], sin: Float[Array, "*batch"]
) -> Float[Array, "*batch n"]:
    """Rotate fields about z by the angle with the given cosine and sine.

    Args:
        x: coefficients `[..., (lmax + 1)^2]`.
        cos, sin: of the angle, `[...]`.
    """
    lmax = lmax_of(x)
    l, m = degrees(lmax), orders(lmax)
    powers = [(jnp.ones_like(cos), jnp.zeros_like(sin))]
    for _ in range(lmax):
        c, s = powers[-1]
        powers.append((c * cos - s * sin, s * cos + c * sin))
    c = jnp.stack([powers[abs(k)][0] for k in m], axis=-1)
    s = jnp.stack([powers[abs(k)][1] * (-1 if k > 0 else 1) for k in m], axis=-1)
    return c * x + s * x[..., (l * l + l - m).astype(np.int32)]


def _angles(r: Float[Array, "*batch 3"]):
    """Cosine and sine of azimuth and polar angle, and whether they are those of `r` after a quarter turn about x.

    That is so closer than 45 degrees to the z axis: away from it the angles are smooth, and so is what is computed with them. Of
    a zero vector they are those of the pole.
    """
    unit, length = normalize(r)
    x, y, z = unit[..., 0], unit[..., 1], jnp.where(length[..., 0] == 0, 1, unit[..., 2])
    turned = unit[..., 2] ** 2 > 0.5
    y, z = jnp.where(turned, z, y), jnp.where(turned, -y, z)
    square = x * x + y * y
    zero = square == 0
    rho = jnp.sqrt(jnp.where(zero, 1, square))
    return (jnp.where(zero, 1, x / rho), jnp.where(zero, 0, y / rho)), (z, jnp.where(zero, 0, rho)), turned[..., None]


@jax.jit
def align_to_pole(x: Float[Array, "*batch n"], r: Float[Array, "*batch 3"]) -> Float[Array, "*batch n"]:
    """Rotate fields so that the direction of `r` becomes the z axis: `R_y(-theta) R_z(-phi)`.

    Two rotations about z and two constant quarter turns, instead of a full Wigner matrix. No choice of such a
    rotation is continuous on the whole sphere. This one jumps at 45 degrees from the z axis, where a quarter turn about x comes
    first or not; in between, derivatives are right and bounded.

    Args:
        x: coefficients `[..., (lmax + 1)^2]`.
        r: vectors `[..., 3]` of any length; a zero vector turns nothing.
    """
    (cos_phi, sin_phi), (cos_theta, sin_theta), turned = _angles(r)
    x = rotate_azimuth(jnp.where(turned, _turn_to_y(x, back=False), x), cos_phi, -sin_phi)
    return _turn_to_y(rotate_azimuth(_turn_to_y(x, back=True), cos_theta, -sin_theta), back=False)


@jax.jit
def align_from_pole(x: Float[Array, "*batch n"], r: Float[Array, "*batch 3"]) -> Float[Array, "*batch n"]:
    """Undo `align_to_pole`: the z axis becomes the direction of `r`."""
    (cos_phi, sin_phi), (cos_theta, sin_theta), turned = _angles(r)
    x = _turn_to_y(rotate_azimuth(_turn_to_y(x, back=True), cos_theta, sin_theta), back=False)
    x = rotate_azimuth(x, cos_phi, sin_phi)
    return jnp.where(turned, _turn_to_y(x, back=True), x)
