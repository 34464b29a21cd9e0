"""The Grassmann manifold: k-dimensional subspaces of R^d, each written as an orthonormal basis `[d, k]`, in batches.

The basis of a subspace is one of many; what is returned does not depend on that choice, or turns with it.

References:
    Edelman, Arias and Smith, *The Geometry of Algorithms with Orthogonality Constraints*, 1998.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from quire.common.roots import length

Basis = Float[Array, "*batch d k"]


def random_subspaces(key: Array, shape: Sequence[int]) -> Basis:
    """Orthonormal bases of subspaces that are uniform on the manifold: `qr_retract` of normal numbers.

    Args:
        key: of the draw.
        shape: `[..., d, k]`.

    Raises:
        ValueError: for a shape without d and k, or unless `1 <= k <= d`.

    >>> random_subspaces(jax.random.key(0), (5, 4, 2)).shape
    (5, 4, 2)
    """
    if len(shape) < 2 or not 1 <= shape[-1] <= shape[-2]:
        raise ValueError(f"shape is {tuple(shape)}; it must be [..., d, k] with 1 <= k <= d")
    return qr_retract(jax.random.normal(key, tuple(shape)))


def projector(basis: Basis) -> Float[Array, "*batch d d"]:
    """`S S^T`, the orthogonal projection onto a subspace: the same for all of its bases."""
    return basis @ _t(basis)


def project_tangent(basis: Basis, direction: Basis) -> Basis:
    """`D - S (S^T D)`: the part of a direction that moves the subspace; the rest only turns its basis."""
    return direction - basis @ (_t(basis) @ direction)


def exp(basis: Basis, tangent: Basis, t: float | Array = 1.0) -> Basis:
    """The subspace at time t along the geodesic that leaves with velocity G: `(S V cos(t s) + U sin(t s)) V^T`, `G = U s V^T`.

    Args:
        basis: orthonormal columns S, k <= d.
        tangent: G with `S^T G = 0`; see `project_tangent`.
        t: time.

    Returns:
        An orthonormal basis, carried along without turning (hence the last `V^T`).

    >>> start, up = jnp.array([[1.0], [0.0]]), jnp.array([[0.0], [jnp.pi / 2]])
    >>> print(exp(start, up).round(3).ravel() + 0.0)
    [0. 1.]
    """
    left, angles, right = jnp.linalg.svd(tangent, full_matrices=False)
    angles = t * angles[..., None, :]
    turned = basis @ _t(right) * jnp.cos(angles) + left * jnp.sin(angles)
    return turned @ right


def exp_by_gram(basis: Basis, tangent: Basis, t: float | Array = 1.0) -> Basis:
    """`exp` from the eigenvalues of the k x k matrix `G^T G`: cheaper where k is much smaller than d.

    `U sin(t s) = G V sin(t s) / s`, so that the left singular vectors are not needed.
    """
    squared, right = jnp.linalg.eigh(_t(tangent) @ tangent)
    angles = t * jnp.sqrt(jnp.maximum(squared, 0))[..., None, :]
    # t sin(a) / a with a = t s; jnp.sinc has the factor pi
    slope = t * jnp.sinc(angles / jnp.pi)
    return (basis @ right * jnp.cos(angles) + tangent @ right * slope) @ _t(right)


def log(start: Basis, end: Basis) -> Basis:
    """The tangent at `start` whose geodesic reaches the subspace of `end` at time 1, as short as there is.

    Defined where no principal angle is pi/2.
    """
    across = _t(start) @ end
    apart = end - start @ across
    left, tangents, right = jnp.linalg.svd(_t(jnp.linalg.solve(_t(across), _t(apart))), full_matrices=False)
    return left * jnp.arctan(tangents)[..., None, :] @ right


def principal_angles(a: Basis, b: Basis) -> Float[Array, "*batch k"]:
    """Angles between two subspaces in `[0, pi/2]`, ascending.

    The arc cosine of the singular values of `A^T B` loses half the digits of small angles, so those come from the arc sine of
    the singular values of `B - A A^T B`.

    >>> print(principal_angles(jnp.eye(3)[:, :2], jnp.eye(3)[:, 1:]).round(4))
    [0.     1.5708]
    """
    across = _t(a) @ b
    cosines = jnp.clip(jnp.linalg.svd(across, compute_uv=False), 0, 1)
    sines = jnp.clip(jnp.linalg.svd(b - a @ across, compute_uv=False), 0, 1)[..., ::-1]
    wide = cosines**2 < 0.5
    # each function is kept from its end, where its slope is infinite
    return jnp.where(wide, jnp.arccos(jnp.where(wide, cosines, 0)), jnp.arcsin(jnp.where(wide, 0, sines)))


def distance(a: Basis, b: Basis) -> Float[Array, "*batch"]:
    """Length of the shortest geodesic: the 2-norm of the principal angles, with the derivative 0 where they are all 0."""
    return length(principal_angles(a, b))


def qr_retract(basis: Basis) -> Basis:
    """An orthonormal basis of the same subspace by the QR decomposition, columns pointing as they did.

    >>> print(qr_retract(jnp.array([[2.0, 1.0], [0.0, 3.0]])) + 0.0)
    [[1. 0.]
     [0. 1.]]
    """
    q, r = jnp.linalg.qr(basis)
    signs = jnp.where(jnp.diagonal(r, axis1=-2, axis2=-1) < 0, -1, 1).astype(q.dtype)
    return q * signs[..., None, :]


def polar_retract(basis: Basis) -> Basis:
    """The orthonormal basis next to the given columns: `U V^T` of their singular value decomposition."""
    left, _, right = jnp.linalg.svd(basis, full_matrices=False)
    return left @ right


def cholesky_retract(basis: Basis) -> Basis:
    """`qr_retract` by matrix products: `S L^-T` with the Cholesky factor `S^T S = L L^T`.

    For columns that are nearly orthonormal already, as between two steps; it squares their condition number, and columns that
    depend on each other give NaN.
    """
    factor = jnp.linalg.cholesky(_t(basis) @ basis)
    return _t(jax.lax.linalg.triangular_solve(factor, _t(basis), left_side=True, lower=True))


def transport(basis: Basis, tangent: Basis, moved: Basis, t: float | Array = 1.0) -> Basis:
    """Parallel transport of a tangent `moved` along the geodesic of `tangent` to time t (Edelman et al., theorem 2.4).

    `((-S V sin(t s) + U cos(t s)) U^T + I - U U^T) D`.
    """
    left, angles, right = jnp.linalg.svd(tangent, full_matrices=False)
    angles = t * angles[..., None, :]
    along = _t(left) @ moved
    carried = (left * jnp.cos(angles) - basis @ _t(right) * jnp.sin(angles)) @ along
    return carried + moved - left @ along


def _t(x: Array) -> Array:
    return jnp.swapaxes(x, -1, -2)
