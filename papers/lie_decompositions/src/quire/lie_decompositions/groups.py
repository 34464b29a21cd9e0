"""The groups of the paper and the spaces that they fall into: rotations, positive definite matrices, GL+(n), SL(n)."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Real

from quire.common.checks import check_at_least, check_positive, is_concrete
from quire.common.equivariant.matrix_groups import (
    from_polar,
    haar_density_log,
    haar_rotations,
    planar_rotation,
    polar,
    rotation_exp,
    rotation_log,
    sym_exp,
    sym_log,
)
from quire.lie_decompositions.bases import hat, rotation_basis, symmetric_basis, traceless_basis, vee

Matrices = Float[Array | np.ndarray, "*batch n n"]
Angles = Literal["equidistant", "subgroup", "uniform", "haar"]
Weights = Literal["none", "haar"]

SNAP = 1e-6
"""Sines below it are taken for 0, so that the identity has the angle 0 and not one below a full turn."""


class Samples(NamedTuple):
    """Group elements `[count, n, n]` and their inverses.

    Attributes:
        g, g_inv: elements and inverses, made of the same factors; nothing is inverted.
        weights: `[count]`, the density of the Haar measure over that of the draws, or None: then all count as much.
    """

    g: Array | np.ndarray
    g_inv: Array | np.ndarray
    weights: Array | np.ndarray | None = None


@dataclass(frozen=True)
class SPD:
    """Positive definite matrices, `exp` of the symmetric ones.

    Attributes:
        n: size of the matrices.
        alpha: scale of the metric `alpha tr(X^T Y)`, in which the basis is orthonormal.
    """

    n: int = 2
    alpha: float = 1.0

    def __post_init__(self):
        check_at_least("n", self.n, 1)
        check_positive("alpha", self.alpha)

    @property
    def basis(self) -> np.ndarray:
        """Of the symmetric matrices `[m, n, n]`."""
        return symmetric_basis(self.n, self.alpha)

    @property
    def dim(self) -> int:
        """Coordinates of an element."""
        return len(self.basis)

    def hat(self, coordinates: Real[Array | np.ndarray, "*batch m"]) -> Matrices:
        """Symmetric matrices of coordinates."""
        return hat(coordinates, self.basis)

    def vee(self, x: Real[Array | np.ndarray, "*batch n n"]) -> Float[Array, "*batch m"]:
        """Coordinates of symmetric matrices."""
        return vee(x, self.basis, self.alpha)

    def exp(self, x: Real[Array | np.ndarray, "*batch n n"]) -> Matrices:
        """`quire.common.equivariant.matrix_groups.sym_exp`."""
        return sym_exp(x)

    def log(self, s: Real[Array | np.ndarray, "*batch n n"]) -> Matrices:
        """`quire.common.equivariant.matrix_groups.sym_log`."""
        return sym_log(s)

    def density(self, coordinates: Real[Array | np.ndarray, "*batch m"]) -> Float[Array, "*batch"]:
        """Density of the invariant measure, in the coordinates of `log S` and up to a constant."""
        return haar_density_log(self.hat(coordinates))


@dataclass(frozen=True)
class SSPD(SPD):
    """Positive definite matrices of determinant 1."""

    @property
    def basis(self) -> np.ndarray:
        """Of the symmetric matrices of trace 0 `[m, n, n]`."""
        return traceless_basis(self.n, self.alpha)


@dataclass(frozen=True)
class MatrixGroup:
    """A group of matrices `exp(X) R`, with X symmetric and R a rotation: its global coordinates.

    Attributes:
        n: size of the matrices.
        alpha: scale of the metric.

    Raises:
        ValueError: for sizes or scales that are not positive.
    """

    n: int = 2
    alpha: float = 1.0
    soft_mask: ClassVar[bool] = False
    """Whether kernels fade out, rather than ending at the unit disc."""
    unimodular: ClassVar[bool] = True
    """Whether all determinants are 1."""

    def __post_init__(self):
        check_at_least("n", self.n, 2)
        check_positive("alpha", self.alpha)

    @property
    def symmetric(self) -> SPD | None:
        """The space of the factors `exp(X)`, or None."""
        return None

    @cached_property
    def basis(self) -> np.ndarray:
        """Of the Lie algebra `[dim, n, n]`, in the order of the coordinates."""
        parts = [] if self.symmetric is None else [self.symmetric.basis]
        return np.concatenate([*parts, rotation_basis(self.n, self.alpha)])[self._order]

    @property
    def _order(self) -> np.ndarray:
        """Places of the coordinates among those of X and of R."""
        size = 0 if self.symmetric is None else self.symmetric.dim
        return np.arange(size + self.n * (self.n - 1) // 2)

    @property
    def dim(self) -> int:
        """Coordinates of an element."""
        return len(self._order)

    @property
    def angle_place(self) -> int:
        """Where the first angle stands among the coordinates."""
        return int(np.flatnonzero(self._order == self.dim - self.n * (self.n - 1) // 2)[0])

    def hat(self, coordinates: Real[Array | np.ndarray, "*batch dim"]) -> Matrices:
        """Matrices of the Lie algebra of coordinates."""
        return hat(coordinates, self.basis)

    def vee(self, v: Real[Array | np.ndarray, "*batch n n"]) -> Float[Array, "*batch dim"]:
        """Coordinates of matrices of the Lie algebra."""
        return vee(v, self.basis, self.alpha)

    def compose(self, a: Matrices, b: Matrices) -> Matrices:
        """`a b`."""
        return jnp.matmul(a, b, precision="highest")

    def inverse(self, a: Matrices) -> Matrices:
        """`R^T exp(-X)`, by the polar decomposition."""
        x, r = polar(a)
        return jnp.matmul(jnp.swapaxes(r, -1, -2), sym_exp(-x), precision="highest")

    def xi(self, coordinates: Real[Array | np.ndarray, "*batch dim"]) -> Matrices:
        """The element `exp(X) R` of global coordinates; any numbers will do."""
        x, angles = self._factors(coordinates)
        turn = rotation_exp(angles)
        return turn if x is None else from_polar(x, turn)

    def xi_inv(self, a: Real[Array | np.ndarray, "*batch n n"]) -> Float[Array, "*batch dim"]:
        """Global coordinates `vee(log P + log R)` of elements `A = P R`; unlike `vee(log A)` they exist everywhere.

        Those of R are the angles themselves and not divided by s; for n = 2 the one angle runs over `[0, 2 pi)`, and is 0 where
        its sine is below 1e-6. Both as in the authors' code.

        Args:
            a: `[..., n, n]`.

        Returns:
            `[..., dim]`.

        Raises:
            ValueError: if a determinant is not positive, or is not 1 where the group says so; for n > 2, if a is traced.

        >>> [f"{abs(x):.4f}" for x in SL(2).xi_inv(jnp.diag(jnp.array([-2.0, -0.5])))]
        ['0.0000', '3.1416', '0.9803']
        """
        a = jnp.asarray(a)
        if self.unimodular:
            _check_unimodular(a)
        x, r = polar(a)
        if self.n == 2:
            angle = _wrapped_angle(r)[..., None]
        else:
            angle = vee(rotation_log(r), rotation_basis(self.n, self.alpha), self.alpha) / math.sqrt(2 * self.alpha)
        parts = [angle] if self.symmetric is None else [self.symmetric.vee(x), angle]
        return jnp.concatenate(parts, -1)[..., self._order]

    def _factors(self, coordinates):
        """X and the antisymmetric logarithm of R, of global coordinates."""
        coordinates = jnp.asarray(coordinates)[..., np.argsort(self._order)]
        size = 0 if self.symmetric is None else self.symmetric.dim
        turn = hat(coordinates[..., size:], rotation_basis(self.n, self.alpha) * math.sqrt(2 * self.alpha))
        return (None if self.symmetric is None else self.symmetric.hat(coordinates[..., :size])), turn

    def pair(
        self, spd_coordinates: Real[Array | np.ndarray, "count m"], rotations: Real[Array | np.ndarray, "count n n"]
    ) -> Samples:
        """`(S^(1/2) R, R^T S^(-1/2))` of `S = exp(X)`: the inverse comes of -X and R^T.

        Args:
            spd_coordinates: of `X = log S`, `[count, m]` in the basis of `symmetric`.
            rotations: `[count, n, n]`.
        """
        backward = jnp.swapaxes(rotations, -1, -2)
        if self.symmetric is None:
            return Samples(rotations, backward)
        x = self.symmetric.hat(spd_coordinates) / 2
        return Samples(from_polar(x, rotations), jnp.matmul(backward, sym_exp(-x), precision="highest"))

    def sample_pair(
        self, key: jax.Array, count: int, *, variance: float = 0.1, angles: Angles = "equidistant", weights: Weights = "none"
    ) -> Samples:
        """Random elements and their inverses: X normal in its coordinates, R equidistant or random.

        Args:
            key: for the draws.
            count: elements.
            variance: of the coordinates of `log S`.
            angles: `"equidistant"` from -pi to pi, both included, as in the authors' code, so that the half turn comes twice;
                `"subgroup"`, the multiples of `2 pi / count`; `"uniform"`; `"haar"`, the only choice for n > 2.
            weights: `"haar"` for density over proposal, with which means over samples estimate integrals over the group.

        Returns:
            Elements, inverses, weights.

        Raises:
            ValueError: for numbers out of range, unknown names, angles of rotations in more than two dimensions, or weights of
                draws whose variance is 0.

        >>> g, g_inv, _ = SL(2).sample_pair(jax.random.key(0), 5)
        >>> bool(jnp.allclose(g @ g_inv, jnp.eye(2)[None], atol=1e-5))
        True
        """
        self._check_sampling(count, variance, angles, weights)
        spd_key, turn_key = jax.random.split(key)
        turns = self._rotations(turn_key, count, angles)
        size = 0 if self.symmetric is None else self.symmetric.dim
        coordinates = math.sqrt(variance) * jax.random.normal(spd_key, (count, size))
        samples = self.pair(coordinates, turns)
        if weights == "none":
            return samples
        if self.symmetric is None:
            return samples._replace(weights=jnp.ones(count))
        proposal = jnp.exp(-jnp.sum(coordinates**2, -1) / (2 * variance)) / (2 * math.pi * variance) ** (size / 2)
        return samples._replace(weights=self.symmetric.density(coordinates) / proposal)

    def _check_sampling(self, count, variance, angles, weights):
        check_at_least("count", count)
        for name, value, known in (("angles", angles, Angles), ("weights", weights, Weights)):
            if value not in get_args(known):
                raise ValueError(f"{name} is {value!r}; it must be one of {', '.join(get_args(known))}")
        if self.n > 2 and angles != "haar":
            raise ValueError(f"angles is {angles!r} for n = {self.n}; beyond the plane it must be 'haar'")
        if not variance >= 0 or (weights == "haar" and variance == 0 and self.symmetric is not None):
            raise ValueError(f"variance is {variance}; it must be at least 0, and positive where weights are asked for")

    def _rotations(self, key, count, angles):
        if angles == "haar":
            return haar_rotations(key, self.n, count)
        if angles == "uniform":
            return planar_rotation(jax.random.uniform(key, (count,), float, -math.pi, math.pi))
        if angles == "equidistant":
            return planar_rotation(np.linspace(-np.pi, np.pi, count))
        return planar_rotation(2 * np.pi * np.arange(count) / count)


@dataclass(frozen=True)
class SO(MatrixGroup):
    """Rotations."""

    def exp(self, x: Real[Array | np.ndarray, "*batch n n"]) -> Matrices:
        """Rotations of antisymmetric matrices."""
        return rotation_exp(x)

    def log(self, r: Real[Array | np.ndarray, "*batch n n"]) -> Matrices:
        """`quire.common.equivariant.matrix_groups.rotation_log`."""
        return rotation_log(r)


@dataclass(frozen=True)
class GLPlus(MatrixGroup):
    """Matrices of positive determinant. Coordinates: X row by row of its upper triangle, then angles."""

    soft_mask: ClassVar[bool] = True
    unimodular: ClassVar[bool] = False

    @property
    def symmetric(self) -> SPD:
        """All positive definite matrices."""
        return SPD(self.n, self.alpha)


@dataclass(frozen=True)
class SL(MatrixGroup):
    """Matrices of determinant 1. Coordinates: X off its diagonal, then angles, then the diagonal of X."""

    @property
    def symmetric(self) -> SSPD:
        """Positive definite matrices of determinant 1."""
        return SSPD(self.n, self.alpha)

    @property
    def _order(self) -> np.ndarray:
        return np.roll(super()._order, 1 - self.n)


def left_exp_riemannian(v: Real[Array | np.ndarray, "*batch n n"]) -> Matrices:
    """Riemannian exponential at the identity of the left-invariant metric `tr(X^T Y)`: `exp(v^T) exp(v - v^T)`.

    >>> v = jnp.array([[0.0, -1.0], [1.0, 0.0]])  # geodesics through rotations are those of the group
    >>> bool(jnp.allclose(left_exp_riemannian(v), planar_rotation(1.0), atol=1e-6))
    True

    Raises:
        ValueError: if the matrices are not square.
    """
    v = jnp.asarray(v)
    if v.ndim < 2 or v.shape[-1] != v.shape[-2]:
        raise ValueError(f"v has shape {v.shape}; it must hold square matrices [..., n, n]")
    v = v.astype(jnp.promote_types(v.dtype, jnp.float32))
    turned = jnp.swapaxes(v, -1, -2)
    return jnp.matmul(jax.scipy.linalg.expm(turned), rotation_exp(2 * v), precision="highest")


def _wrapped_angle(r):
    """Angle of a rotation of the plane in `[0, 2 pi)`."""
    sin, cos = r[..., 1, 0], r[..., 0, 0]
    angle = jnp.arctan2(jnp.where(jnp.abs(sin) < SNAP, 0, sin), cos)
    return jnp.where(angle < 0, angle + 2 * math.pi, angle)


def _check_unimodular(a):
    if a.ndim < 2 or not a.size or not is_concrete(a):
        return
    numbers = np.asarray(a, np.float64)
    off = np.abs(np.linalg.det(numbers) - 1) / np.maximum(1, np.square(numbers).sum((-2, -1)))
    if not off.max() < 1e-3:
        raise ValueError(f"a has a determinant that is {off.max():.3g} of its squared norm from 1; this group needs 1")
