"""The representation: small grids of signed distances around points near the surface, blended. Section 3.1."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from quire.common.checks import check_at_least, floating, is_concrete
from quire.common.fields.solids import value_and_gradient
from quire.common.roots import length

OUTSIDE = 0.1
"""Value of the field where no cube covers a point."""

Flag = bool | np.ndarray | Array
"""A yes or no; traced, one program serves both."""

CORNERS = np.stack(np.meshgrid(*[(0, 1)] * 3, indexing="ij"), -1).reshape(8, 3)


class MosaicSDF(NamedTuple):
    """n grids of k nodes an axis; the grid of row i fills the cube `centers[i] + scales[i] [-1, 1]^3`. The rows are a set.

    Attributes:
        centers: `[n, 3]`.
        scales: half edges of the cubes, positive, `[n]`.
        values: signed distances at the nodes, axes in the order of the coordinates, the outermost nodes on the faces,
            `[n, k, k, k]`.
    """

    centers: Array
    scales: Array
    values: Array

    def sdf(
        self, x: Float[Array | np.ndarray, "m 3"], outside: float = OUTSIDE, *, neighbours: int | None = None
    ) -> tuple[Float[Array, " m"], Bool[Array, " m"]]:
        """The field, and where it is defined; see `evaluate`."""
        return evaluate(self, x, outside=outside, neighbours=neighbours)

    @property
    def floats(self) -> int:
        """Numbers of the matrix `n (3 + 1 + k^3)`."""
        return self.centers.size + self.scales.size + self.values.size


def mosaic(centers: Array, scales: Array, values: Array) -> MosaicSDF:
    """A checked `MosaicSDF`, its arrays in one floating dtype.

    Raises:
        ValueError: for shapes that do not belong together, no grid, fewer than two nodes an axis, a scale that is not positive,
            or a centre or value that is not finite.
    """
    found = MosaicSDF(*floating(centers, scales, values))
    _check(found)
    if is_concrete(*found) and not all(np.isfinite(np.asarray(x, np.float64)).all() for x in found):
        raise ValueError("centers, scales or values has numbers that are not finite")
    return found


def _check(m: MosaicSDF) -> None:
    n, k = len(m.centers), m.values.shape[-1] if m.values.ndim else 0
    if m.centers.shape != (n, 3) or m.scales.shape != (n,) or m.values.shape != (n, k, k, k):
        shapes = f"{m.centers.shape}, {m.scales.shape} and {m.values.shape}"
        raise ValueError(f"centers, scales and values have shapes {shapes}; they need [n, 3], [n] and [n, k, k, k]")
    check_at_least("number of grids", n)
    check_at_least("k", k, 2)
    if is_concrete(m.scales) and not (np.asarray(m.scales, np.float64) > 0).all():
        raise ValueError(f"scales has {np.asarray(m.scales).min()}; all must be positive")


def grid_nodes(
    centers: Float[Array | np.ndarray, "n 3"], scales: Float[Array | np.ndarray, " n"], k: int
) -> Float[Array | np.ndarray, "n k k k 3"]:
    """Where the nodes are: `p_i + s_i (g_a, g_b, g_c)` with g of k equal steps from -1 to 1.

    Raises:
        ValueError: for fewer than two nodes an axis.

    >>> grid_nodes(jnp.array([[1.0, 0.0, 0.0]]), jnp.array([0.5]), 2)[0, 1, 0, 1].tolist()
    [1.5, -0.5, 0.5]
    """
    line = np.linspace(-1, 1, check_at_least("k", k, 2))
    cube = jnp.asarray(np.stack(np.meshgrid(line, line, line, indexing="ij"), -1), centers.dtype)
    centers, scales = jnp.asarray(centers), jnp.asarray(scales)
    return centers[:, None, None, None] + scales[:, None, None, None, None] * cube[None]


def raw_weights(m: MosaicSDF, x: Float[Array | np.ndarray, "m 3"], *, ball: Flag = False) -> Float[Array, "m n"]:
    """`ReLU(1 - |(x - p_i) / s_i|_inf)` of every grid, before they are divided by their sum; zero on the border of a cube.

    With `ball`, which may be traced, the length is Euclidean, an ablation: a grid then counts in the ball inside its cube only.
    """
    return hat((x[:, None] - m.centers[None]) / m.scales[None, :, None], ball)


def hat(u: Float[Array | np.ndarray, "*batch 3"], ball: Flag) -> Float[Array, "*batch"]:
    """1 at 0, falling to 0 at the border of the unit cube or ball."""
    return jnp.maximum(1 - size(u, ball), 0)


def size(u: Float[Array | np.ndarray, "*batch 3"], ball: Flag) -> Float[Array, "*batch"]:
    """Half the edge of the smallest cube about 0 that holds u, or the radius of the smallest ball."""
    if isinstance(ball, bool):
        return length(u) if ball else jnp.abs(u).max(-1)
    return jnp.where(ball, length(u), jnp.abs(u).max(-1))


def trilinear(
    values: Float[Array | np.ndarray, "n k k k"],
    index: Int[Array | np.ndarray, "*batch"],
    u: Float[Array | np.ndarray, "*batch 3"],
) -> Float[Array, "*batch"]:
    """Trilinear interpolation of the grids `index` at places u of `[-1, 1]^3`; beyond it, at the nearest place of its surface."""
    k = values.shape[-1]
    position = (jnp.clip(u, -1, 1) + 1) / 2 * (k - 1)
    cell = jnp.clip(jnp.floor(position), 0, k - 2)
    fraction = (position - cell)[..., None, :]
    corners = jnp.asarray(CORNERS, u.dtype).reshape((1,) * index.ndim + (8, 3))
    weight = jnp.prod(jnp.where(corners > 0, fraction, 1 - fraction), -1)
    node = cell.astype(jnp.int32)[..., None, :] + corners.astype(jnp.int32)
    flat = ((index[..., None] * k + node[..., 0]) * k + node[..., 1]) * k + node[..., 2]
    return jnp.sum(weight * values.reshape(-1)[flat], -1)


def interpolate(m: MosaicSDF, x: Float[Array | np.ndarray, "m 3"]) -> Float[Array, "m n"]:
    """What every grid says of every point, zero where its weight is zero."""
    u = (x[:, None] - m.centers[None]) / m.scales[None, :, None]
    index = jnp.broadcast_to(jnp.arange(len(m.centers))[None], u.shape[:2])
    return jnp.where(hat(u, False) > 0, trilinear(m.values, index, u), 0)


def blend(
    m: MosaicSDF,
    x: Float[Array | np.ndarray, "m 3"],
    index: Int[Array | np.ndarray, "m c"],
    outside: float | Array,
    *,
    ball: Flag = False,
) -> tuple[Float[Array, " m"], Bool[Array, " m"]]:
    """`sum_i w_i I_i / sum_i w_i` over the grids `index` of every point; no check, for compiled loops."""
    u = (x[:, None] - m.centers[index]) / m.scales[index][..., None]
    weight = hat(u, ball)
    total = jnp.sum(weight, -1)
    nowhere = total <= 0  # false for a NaN, which then stays one
    blended = jnp.sum(weight * trilinear(m.values, index, u), -1) / jnp.where(nowhere, 1, total)
    return jnp.where(nowhere, outside, blended), total > 0


def heaviest(m: MosaicSDF, x: Float[Array | np.ndarray, "m 3"], count: int, *, ball: Flag = False) -> Int[Array, "m c"]:
    """The grids with the largest weights at every point; all in their order where there are no more than `count`."""
    n = len(m.centers)
    if count >= n:
        return jnp.broadcast_to(jnp.arange(n, dtype=jnp.int32)[None], (len(x), n))
    return jax.lax.top_k(raw_weights(m, x, ball=ball), count)[1]


def evaluate(
    m: MosaicSDF, x: Float[Array | np.ndarray, "m 3"], *, outside: float = OUTSIDE, neighbours: int | None = None
) -> tuple[Float[Array, " m"], Bool[Array, " m"]]:
    """The field of a mosaic: `F(x) = sum_i w_i(x) I_i((x - p_i) / s_i)`, `w_i = h_i / sum_j h_j`, `h_i = ReLU(1 - |.|_inf)`.

    Args:
        m: the mosaic.
        x: points.
        outside: the answer where no cube covers a point.
        neighbours: how many grids of largest weight are looked at, which is exact where no more cubes than these cover a point;
            all of them by default.

    Returns:
        Values, and whether some cube covers the point (its border does not).

    Raises:
        ValueError: for points that are not `[m, 3]`, a mosaic that is none, neighbours below 1, or (unless x is traced) more
            cubes at a point than these.

    >>> one = MosaicSDF(jnp.zeros((1, 3)), jnp.ones(1), jnp.arange(8.0).reshape(1, 2, 2, 2))
    >>> value, covered = evaluate(one, jnp.array([[0.0, 0.0, 0.5], [0.0, 0.0, 1.0]]))
    >>> [f"{v:.2f}" for v in value], covered.tolist()
    (['3.75', '0.10'], [True, False])

    References:
        Equations 2 to 4. The blend is a partition of unity: it reproduces affine functions where it is defined.
    """
    _check(m)
    if x.ndim != 2 or x.shape[1] != 3:
        raise ValueError(f"x has shape {x.shape}; points are [m, 3]")
    x, *arrays = floating(x, *m)
    m = MosaicSDF(*arrays)
    if neighbours is None:
        neighbours = len(m.centers)
    check_at_least("neighbours", neighbours)
    if neighbours < len(m.centers) and is_concrete(x, *m) and len(x):
        most = int(_covering(m, x).max())
        if most > neighbours:
            raise ValueError(f"neighbours is {neighbours}; {most} cubes cover one of the points")
    return _evaluate(m, x, outside, neighbours)


_covering = jax.jit(lambda m, x: jnp.sum(raw_weights(m, x) > 0, -1))


@partial(jax.jit, static_argnames="neighbours")
def _evaluate(m, x, outside, neighbours):
    return blend(m, x, heaviest(m, x, neighbours), outside)


@partial(jax.jit, static_argnames="neighbours")
def gradient(m: MosaicSDF, x: Float[Array | np.ndarray, "m 3"], *, neighbours: int | None = None) -> Float[Array, "m 3"]:
    """Gradient of the field in space; zero where no cube covers a point. It jumps at the faces of the cells."""
    index = heaviest(m, x, len(m.centers) if neighbours is None else neighbours)
    return value_and_gradient(lambda x: blend(m, x, index, OUTSIDE)[0], x)[1]


def extended(
    m: MosaicSDF, x: Float[Array | np.ndarray, "m 3"], *, neighbours: int | None = None, outside: float = OUTSIDE
) -> Float[Array, " m"]:
    """The field, and where no cube covers a point, `outside` with the sign that the nearest cube has on its surface there.

    So the inside of a solid is inside, and marching cubes find no second surface at the ends of the cubes.
    """
    index = heaviest(m, x, len(m.centers) if neighbours is None else neighbours)
    value, covered = blend(m, x, index, outside)
    u = (x[:, None] - m.centers[None]) / m.scales[None, :, None]
    near = jnp.argmin((jnp.abs(u).max(-1) - 1) * m.scales[None], -1)
    there = trilinear(m.values, near, jnp.take_along_axis(u, near[:, None, None], 1)[:, 0])
    return jnp.where(covered, value, jnp.where(there < 0, -outside, outside))


@partial(jax.jit, static_argnames=("size", "neighbours"))
def on_grid(m: MosaicSDF, size: int, *, neighbours: int | None = None, half_width: float = 1.0) -> Float[Array, "s s s"]:
    """The extended field at the nodes of a grid over a cube about 0, slice by slice, for `surfaces.marching_cubes`."""
    line = jnp.linspace(-half_width, half_width, size, dtype=m.values.dtype)
    plane = jnp.stack(jnp.meshgrid(line, line, indexing="ij"), -1).reshape(-1, 2)

    def of_slice(first):
        x = jnp.concatenate([jnp.full((len(plane), 1), first), plane], 1)
        return extended(m, x, neighbours=neighbours).reshape(size, size)

    return jax.lax.map(of_slice, line)
