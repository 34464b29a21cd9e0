"""How much a deformation stretches, turns and fills: as-rigid-as-possible and volume energies at one point, without an SVD.

The singular values `s_k` of the deformation gradient F enter through the invariants `|F|^2`, `det F`, `|cof F|^2` only. Their sum
is the largest root of the characteristic polynomial of polar decomposition, and its gradient is the nearest rotation R: smooth
where singular values coincide, at rest for one, where the derivative of an SVD is not defined.

Everything is *unsigned* by default, as in the authors' code: `s_k >= 0`, so that a mirrored element costs nothing. With
`signed=True` the smallest singular value takes the sign of the determinant and R is a proper rotation.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from quire.common.checks import floating
from quire.common.fields.operators import Field, jacobian


def deformation_gradient(displacement: Field, x: Float[Array, " d"]) -> Float[Array, "d d"]:
    """`F = I + grad d` of the deformation `q = x + d(x)`.

    Raises:
        ValueError: if the displacement has another number of components than space has dimensions.

    >>> deformation_gradient(lambda x: 2 * x[::-1], jnp.zeros(2)).tolist()
    [[1.0, 2.0], [2.0, 1.0]]
    """
    slopes = jacobian(displacement, x)
    if slopes.shape[0] != slopes.shape[1]:
        raise ValueError(f"displacement has {slopes.shape[0]} components in dimension {slopes.shape[1]}; it needs as many")
    return jnp.eye(x.size, dtype=slopes.dtype) + slopes


def cofactor(F: Float[Array, "d d"]) -> Float[Array, "d d"]:
    """`cof F = det(F) F^(-T)`, the gradient of the determinant, without a division.

    Raises:
        ValueError: for another dimension than 2 or 3.
    """
    F = _check(F)
    if F.shape[0] == 2:
        return jnp.array([[F[1, 1], -F[1, 0]], [-F[0, 1], F[0, 0]]])
    return jnp.stack([jnp.cross(F[1], F[2]), jnp.cross(F[2], F[0]), jnp.cross(F[0], F[1])])


def determinant(F: Float[Array, "d d"]) -> Float[Array, ""]:
    """`det F`, by cofactors.

    Raises:
        ValueError: for another dimension than 2 or 3.
    """
    F = _check(F)
    return jnp.vdot(F[0], cofactor(F)[0])


def sum_of_stretches(F: Float[Array, "d d"], *, signed: bool = False) -> Float[Array, ""]:
    """`lambda = sum_k s_k`: in two dimensions `sqrt(|F|^2 + 2 |det F|)`, in three the largest root of
    `(lambda^2 - |F|^2)^2 - 8 |det F| lambda - 4 |cof F|^2`.

    Its derivative is the nearest rotation, `d lambda = R : dF`, and is differentiable itself.

    Args:
        F: deformation gradient.
        signed: let the smallest singular value have the sign of the determinant.

    Raises:
        ValueError: for another dimension than 2 or 3.

    >>> F = jnp.diag(jnp.array([3.0, -2.0, 1.0]))
    >>> print(sum_of_stretches(F).round(4), sum_of_stretches(F, signed=True).round(4))
    6.0 4.0
    """
    return _sum_of_stretches(_check(F), signed)


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _sum_of_stretches(F, signed):
    F, size = _rescaled(F)
    square = jnp.sum(F * F)
    scale = jnp.sqrt(jnp.where(square == 0, 1, square))
    F = F / scale
    det = determinant(F) if signed else jnp.abs(determinant(F))
    if F.shape[0] == 2:
        return size * scale * jnp.sqrt(jnp.maximum(jnp.sum(F * F) + 2 * det, 0))
    areas = jnp.sum(cofactor(F) ** 2)

    def newton(_, root):  # from above: falls monotonically to the largest root
        gap = root * root - 1
        slope = 4 * root * gap - 8 * det
        step = (gap * gap - 8 * det * root - 4 * areas) / jnp.where(slope > 0, slope, 1)
        return root - jnp.where(slope > 0, jnp.maximum(step, 0), 0)

    return jnp.where(square == 0, 0, size * scale) * jax.lax.fori_loop(0, 30, newton, jnp.full_like(square, 3.0**0.5))


@_sum_of_stretches.defjvp
def _sum_of_stretches_jvp(signed, primals, tangents):
    (F,), (dF,) = primals, tangents
    total = _sum_of_stretches(F, signed)
    return total, jnp.sum(nearest_rotation(F, signed=signed) * dF)


def nearest_rotation(F: Float[Array, "d d"], *, signed: bool = False) -> Float[Array, "d d"]:
    """The orthogonal matrix nearest to F, the factor R of the polar decomposition `F = R S`.

    With `lambda` of `sum_of_stretches` and `sigma = sign det F`:
    `R = (F + sigma cof F) / lambda` in two dimensions, and in three
    `R = ((lambda^2 + |F|^2) F + 2 sigma lambda cof F - 2 F F^T F) / (lambda (lambda^2 - |F|^2) - 2 |det F|)`.

    Args:
        F: deformation gradient.
        signed: the nearest *proper* rotation, `det R = 1`, also where F is mirrored.

    Returns:
        R, differentiable wherever it is unique: everywhere but where two singular values vanish (or, if signed, add up to 0);
        there it is finite, no longer than a rotation, but not orthogonal.

    Raises:
        ValueError: for another dimension than 2 or 3.

    >>> print(nearest_rotation(jnp.array([[0.0, -2.0], [1.0, 0.0]])).round(5))
    [[ 0. -1.]
     [ 1.  0.]]

    References:
        Hoger and Carlson, *Determination of the stretch and rotation in the polar decomposition of the deformation gradient*,
        1984.
    """
    return _polar(_check(F), signed)[0]


def _polar(F, signed):
    """The nearest rotation, and the sum of stretches that it is made of."""
    F, size = _rescaled(F)
    det = determinant(F)
    sign = 1.0 if signed else jnp.where(det < 0, -1.0, 1.0).astype(F.dtype)
    total, square = _sum_of_stretches(F, signed), jnp.sum(F * F)
    if F.shape[0] == 2:
        above, below = F + sign * cofactor(F), total
    else:
        above = (total**2 + square) * F + 2 * sign * total * cofactor(F) - 2 * F @ F.T @ F
        below = total * (total**2 - square) - 2 * sign * det
    safe = below > jnp.finfo(F.dtype).tiny
    R = jnp.where(safe, above / jnp.where(safe, below, 1), 0)
    longest = 1.001 * F.shape[0] ** 0.5  # beyond it there is rounding only
    R = R * jax.lax.stop_gradient(longest / jnp.maximum(jnp.sqrt(jnp.sum(R * R)), longest))
    return R, size * total


def arap_energy(F: Float[Array, "d d"], *, signed: bool = False) -> Float[Array, ""]:
    """`sum_k (s_k - 1)^2`, the as-rigid-as-possible energy; derivatives of all orders are exact.

    It is `|F - R|^2`, in which nothing cancels close to rest, and `|F|^2 - 2 sum_k s_k + d`, which needs no R: where R is not
    unique, the energy is at least 2. The gradient there is finite, but no derivative.

    Args:
        F: deformation gradient.
        signed: see the module.

    Raises:
        ValueError: for another dimension than 2 or 3.

    >>> print(arap_energy(jnp.diag(jnp.array([2.0, -0.5]))))
    1.25
    """
    return _arap_energy(_check(F), signed)


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _arap_energy(F, signed):
    R, total = _polar(F, signed)
    far = jnp.sum(F * F) - 2 * total + F.shape[0]
    return jnp.where(far < 0.5, jnp.sum((F - R) ** 2), far)


@_arap_energy.defjvp
def _arap_energy_jvp(signed, primals, tangents):
    (F,), (dF,) = primals, tangents
    return _arap_energy(F, signed), 2 * jnp.sum((F - _polar(F, signed)[0]) * dF)


def arap_residual(F: Float[Array, "d d"], *, signed: bool = False) -> Float[Array, "d d"]:
    """`F - R`, whose squares are the as-rigid-as-possible energy, with a derivative that makes Gauss-Newton Newton's method.

    R is held fixed, which leaves the gradient of the energy as it is: R minimises. What that loses is the second derivative,
    `(1 - 2 / (s_i + s_j))` along the turns `R W`, W skew, along which `F - R` is zero and its derivative may be scaled at will:

        `d r = dF - c R skew(R^T dF)`,   `c = 1 - sqrt(max(0, 1 - d / lambda))`.

    `J^T J` is then half the Hessian of the energy, made positive semi-definite: exactly in two dimensions, with the mean of the
    `s_i + s_j` in three.

    Args:
        F: deformation gradient.
        signed: see the module.

    Returns:
        `[d, d]`. First derivatives of its sum of squares are exact, higher ones are not; for those take `arap_energy`.
        Where R is not unique, the squares fall short of the energy.

    Raises:
        ValueError: for another dimension than 2 or 3.
    """
    F = _check(F)
    R, total = jax.lax.stop_gradient(_polar(F, signed))
    share = F.shape[0] / jnp.maximum(total, jnp.finfo(F.dtype).tiny)
    turns = 1 - jnp.sqrt(jnp.maximum(1 - share, 0))
    stretch = R.T @ F
    return F - R - turns * R @ (stretch - stretch.T) / 2


def volume_residual(F: Float[Array, "d d"], *, signed: bool = False) -> Float[Array, ""]:
    """`prod_k s_k - 1`, that is `|det F| - 1`, or `det F - 1` if signed.

    Raises:
        ValueError: for another dimension than 2 or 3.
    """
    det = determinant(F)
    return (det if signed else jnp.abs(det)) - 1


def volume_energy(F: Float[Array, "d d"], *, signed: bool = False) -> Float[Array, ""]:
    """`(prod_k s_k - 1)^2`.

    Raises:
        ValueError: for another dimension than 2 or 3.

    >>> print(volume_energy(2 * jnp.eye(3)))
    49.0
    """
    return volume_residual(F, signed=signed) ** 2


def _check(F):
    if F.shape not in {(2, 2), (3, 3)}:
        raise ValueError(f"F has shape {F.shape}; elasticity needs [2, 2] or [3, 3]")
    return floating(F)[0]


def _rescaled(F):
    """F over its largest entry, whose cubes are numbers of the dtype, and that entry, which derivatives need not see."""
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(F)))
    size = jnp.where(largest == 0, 1, largest)
    return F / size, size
