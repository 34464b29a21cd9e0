"""Radiance fields of four architectures behind one interface: density and colour of points, seen along directions.

Every field answers for points of `[-1, 1]^3` with a `FieldOut`. Three of them hold a vector of 16 numbers a point, the
log-density and 15 features that a small perceptron turns into a colour; the voxel grid holds spherical harmonics instead.

References:
    Mildenhall et al., *NeRF*, 2020; Müller et al., *Instant Neural Graphics Primitives*, 2022; Chen et al., *TensoRF*, 2022;
    Fridovich-Keil et al., *Plenoxels*, 2022.
"""

from collections.abc import Sequence
from functools import partial, reduce
from itertools import pairwise
from operator import add
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from quire.common.checks import check_at_least, floating, is_concrete
from quire.common.fields.encodings import frequency_encoding, sh_encoding
from quire.common.fields.grids import sample_grid, vm_features
from quire.common.fields.hash_grid import HashLevels, hash_encode
from quire.common.fields.rendering import trunc_exp
from quire.common.random import draw_together

CLIP = (-2.0, 7.0)
"""Bounds of the log-density."""
FEATURES = 15
"""Numbers that a colour is made of, beside the direction."""
DIRECTIONS = 16
"""Spherical harmonics of the direction: all below degree 4."""
NETWORKS = ("sigma_net", "color_net")
"""Attributes that hold perceptrons shared by all points; the others hold what is particular to a place."""


class FieldOut(NamedTuple):
    """What a field says of n points.

    Attributes:
        feat: `[n, 16]`, the clipped log-density and the features of the colour; None where a field has no such vector.
        log_sigma: `[n]`, clipped.
        sigma: `[n]`, density in units of 1 / length of the cube.
        rgb: `[n, 3]` in 0..1.
    """

    feat: Array | None
    log_sigma: Array
    sigma: Array
    rgb: Array


class RadianceField(nnx.Module):
    """What the four have in common: `sigma = exp(clip(f_0))`, and a colour made of the other numbers and the direction.

    A field defines `features` and `colour`. `clips_features` says whether all numbers are clipped or the first alone,
    `has_features` whether they are a vector that fields of other kinds share.
    """

    clips_features = False
    has_features = True

    def features(self, x: Float[Array, "n 3"]) -> Float[Array, "n m"]:
        """The log-density and the numbers that the colour is made of, before they are clipped."""
        raise TypeError(f"{type(self).__name__} does not say what it is made of")

    def colour(self, features: Float[Array, "n m"], directions: Float[Array, "n 3"]) -> Float[Array, "n 3"]:
        """Red, green and blue in 0..1."""
        raise TypeError(f"{type(self).__name__} does not say what it is made of")

    def __call__(
        self, x: Float[Array, "n 3"], directions: Float[Array, "n 3"], *, clip: tuple[float, float] | Array = CLIP
    ) -> FieldOut:
        """Density and colour.

        Args:
            x: points; outside of `[-1, 1]^3` grids are zero.
            directions: unit vectors, from the camera to the point.
            clip: bounds of the log-density; numbers or a pair that may be traced.

        Raises:
            ValueError: for other shapes, directions that are not of unit length to 1e-3, or numbers that are not real.
        """
        x, directions = check_points(x, directions)
        low, high = clip[0], clip[1]
        raw = _at_least_single(self.features(x))
        clipped = jnp.clip(raw, low, high)
        if not self.clips_features:
            clipped = jnp.concatenate([clipped[:, :1], raw[:, 1:]], axis=1)
        log_sigma = clipped[:, 0]
        rgb = self.colour(clipped[:, 1:], directions)
        return FieldOut(clipped if self.has_features else None, log_sigma, trunc_exp(log_sigma), rgb)


class HashField(RadianceField):
    """A hashed grid of several resolutions, read by a perceptron.

    Args:
        levels: of the grid, over the unit cube.
        table_features: numbers a level.
        hidden: width of the perceptrons.
        rngs: for the first weights.

    >>> from quire.common.fields.hash_grid import hash_levels
    >>> field = HashField(hash_levels(2, 4, 8, 6, 3), hidden=8, rngs=nnx.Rngs(0))
    >>> out = field(jnp.zeros((5, 3)), jnp.tile(jnp.array([[0.0, 0.0, 1.0]]), (5, 1)))
    >>> out.feat.shape, out.rgb.shape
    ((5, 16), (5, 3))
    """

    def __init__(self, levels: HashLevels, *, table_features: int = 2, hidden: int = 64, rngs: nnx.Rngs):
        widths = _sigma_widths(len(levels.scales) * check_at_least("table_features", table_features), hidden)
        matrices = [*_matrices(widths), *_matrices(_colour_widths(hidden))]
        shapes = ((levels.size, table_features), *matrices)
        table, *nets = _uniform(rngs.params(), shapes, (1e-4, *_by_inputs(matrices)))
        self.levels = levels
        self.table = nnx.Param(table)
        self.sigma_net, self.color_net = _parameters(nets[:2]), _parameters(nets[2:])

    def features(self, x: Float[Array, "n 3"]) -> Float[Array, "n 16"]:
        """The encoding through the perceptron of the density."""
        return chain(self.sigma_net, hash_encode(self.table[...], (x + 1) / 2, self.levels))

    def colour(self, features: Float[Array, "n 15"], directions: Float[Array, "n 3"]) -> Float[Array, "n 3"]:
        """The perceptron of the colour."""
        return shade(self.color_net, features, directions)


class MlpField(RadianceField):
    """A deep perceptron of sines in place of the grid, then the same two shallow ones.

    Args:
        octaves: of the frequency encoding.
        depth, width: of the deep perceptron.
        skip: number of the layer in front of whose activation the encoding is put once more; None for nowhere.
        encoded: numbers that it hands to the shallow ones.
        hidden: their width.
        rngs: for the first weights.

    Raises:
        ValueError: for sizes below 1, or a skip that is not one of the layers but the last.
    """

    def __init__(
        self,
        octaves: int = 10,
        depth: int = 8,
        width: int = 256,
        *,
        skip: int | None = 3,
        encoded: int = 28,
        hidden: int = 64,
        rngs: nnx.Rngs,
    ):
        sizes = {"depth": depth, "width": width, "encoded": encoded}
        for name, value in sizes.items():
            check_at_least(name, value)
        if skip is not None and not 0 <= skip < depth - 1:
            raise ValueError(f"skip is {skip}; it must be one of the layers 0 to {depth - 2}, or None")
        waves = 3 * (2 * octaves + 1)
        inputs = [waves] + [width + (waves if layer == skip else 0) for layer in range(depth - 1)]
        layers = list(zip(inputs, [width] * (depth - 1) + [encoded], strict=True))
        nets = [*_matrices(_sigma_widths(encoded, hidden)), *_matrices(_colour_widths(hidden))]
        shapes = (*layers, *[(shape[1],) for shape in layers], *nets)
        drawn = _uniform(rngs.params(), shapes, _by_inputs([*layers, *layers, *nets]))
        self.octaves, self.skip = octaves, skip
        self.kernels, self.biases = _parameters(drawn[:depth]), _parameters(drawn[depth : 2 * depth])
        self.sigma_net, self.color_net = _parameters(drawn[2 * depth : 2 * depth + 2]), _parameters(drawn[2 * depth + 2 :])

    def features(self, x: Float[Array, "n 3"]) -> Float[Array, "n 16"]:
        """The deep perceptron, then that of the density."""
        waves = frequency_encoding(x, self.octaves)
        h = waves
        for layer, (kernel, bias) in enumerate(zip(self.kernels, self.biases, strict=True)):
            h = h @ kernel[...] + bias[...][None]
            if layer < len(self.kernels) - 1:
                h = jax.nn.relu(h)
            if layer == self.skip:
                h = jnp.concatenate([waves, h], axis=1)
        return chain(self.sigma_net, h)

    def colour(self, features: Float[Array, "n 15"], directions: Float[Array, "n 3"]) -> Float[Array, "n 3"]:
        """The perceptron of the colour."""
        return shade(self.color_net, features, directions)


class VMField(RadianceField):
    """Sums of products of planes and lines: the vector-matrix decomposition of a grid.

    Args:
        sizes: nodes along the three coordinates.
        density_rank, colour_rank: components an axis.
        hidden: width of the perceptron of the colour.
        rngs: for the first weights.

    Attributes:
        planes, lines: `[a, b, rank]` over the coordinates (0, 1), (0, 2), (1, 2) and `[c, rank]` over 2, 1, 0. The components of
            the density come first; both kinds are read at once.
        basis: `[3 colour_rank, 15]`.
    """

    clips_features = True

    def __init__(
        self,
        sizes: tuple[int, ...] = (300, 300, 300),
        density_rank: int = 16,
        colour_rank: int = 48,
        *,
        hidden: int = 64,
        rngs: nnx.Rngs,
    ):
        a, b, c = (check_at_least("sizes", size, 2) for size in sizes)
        rank = check_at_least("density_rank", density_rank) + check_at_least("colour_rank", colour_rank)
        grids = _normal(rngs.params(), ((a, b, rank), (a, c, rank), (b, c, rank), (c, rank), (b, rank), (a, rank)), 0.1)
        matrices = ((3 * colour_rank, FEATURES), *_matrices(_colour_widths(hidden)))
        basis, *nets = _uniform(rngs.params(), matrices, _by_inputs(matrices))
        self.density_rank = density_rank
        self.planes, self.lines = _parameters(grids[:3]), _parameters(grids[3:])
        self.basis = nnx.Param(basis)
        self.color_net = _parameters(nets)

    def features(self, x: Float[Array, "n 3"]) -> Float[Array, "n 16"]:
        """The sum over the components of the density, and a linear map of those of the colour."""
        products = vm_features(tuple(p[...] for p in self.planes), tuple(v[...] for v in self.lines), x)
        products = products.reshape(len(x), 3, products.shape[1] // 3)
        density = products[:, :, : self.density_rank].sum((1, 2))
        colour = products[:, :, self.density_rank :].reshape(len(x), self.basis.shape[0])
        return jnp.concatenate([density[:, None], colour @ self.basis[...]], axis=1)

    def colour(self, features: Float[Array, "n 15"], directions: Float[Array, "n 3"]) -> Float[Array, "n 3"]:
        """The perceptron of the colour."""
        return shade(self.color_net, features, directions)

    def density_l1(self) -> Float[Array, ""]:
        """Sum of the six means of the magnitudes of the planes and lines of the density, a penalty that empties space."""
        parts = [*self.planes, *self.lines]
        return reduce(add, [jnp.mean(jnp.abs(part[...][..., : self.density_rank])) for part in parts])


class VoxelSHField(RadianceField):
    """A dense grid of log-densities and of spherical harmonics for each colour; no perceptron at all.

    Args:
        sizes: nodes along the three coordinates.
        degree: the harmonics are those below it, 1 to 4.
        rngs: for the first weights.

    Attributes:
        grid: `[a, b, c, 1 + 3 degree^2]`: the log-density, then the coefficients of red, of green and of blue.
    """

    has_features = False

    def __init__(self, sizes: tuple[int, ...] = (128, 128, 128), degree: int = 3, *, rngs: nnx.Rngs):
        for size in sizes:
            check_at_least("sizes", size, 2)
        if not 1 <= degree <= 4:
            raise ValueError(f"degree is {degree}; it must be between 1 and 4")
        self.degree = degree
        (grid,) = _normal(rngs.params(), ((*sizes, 1 + 3 * degree**2),), 0.02)
        self.grid = nnx.Param(grid)

    def features(self, x: Float[Array, "n 3"]) -> Float[Array, "n m"]:
        """The grid, interpolated."""
        return sample_grid(self.grid[...], x)

    def colour(self, features: Float[Array, "n m"], directions: Float[Array, "n 3"]) -> Float[Array, "n 3"]:
        """`sigmoid(sum_k c_k Y_k(d))` for every colour."""
        coefficients = features.reshape(len(features), 3, self.degree**2)
        return jax.nn.sigmoid(jnp.einsum("nck,nk->nc", coefficients, sh_encoding(directions, self.degree)))


# --- Perceptrons without biases, and their first weights ---


def chain(matrices: Sequence[nnx.Param], h: Float[Array, "n _"]) -> Float[Array, "n _"]:
    """Products with matrices `[in, out]`, and between them `max(0, .)`."""
    for i, matrix in enumerate(matrices):
        h = (jax.nn.relu(h) if i else h) @ matrix[...]
    return h


def shade(net: Sequence[nnx.Param], features: Float[Array, "n 15"], directions: Float[Array, "n 3"]) -> Float[Array, "n 3"]:
    """Colours by a perceptron of the harmonics of the direction and of the features, in this order."""
    return jax.nn.sigmoid(chain(net, jnp.concatenate([sh_encoding(directions, 4), features], axis=1)))


def check_points(x: Array, directions: Array) -> tuple[Array, Array]:
    """Points and unit directions `[n, 3]` in one floating dtype, float32 at least.

    Raises:
        ValueError: for other shapes, or directions that are not of unit length to 1e-3 (traced ones are not looked at).
    """
    given = directions  # `floating` makes a traced array of a known one inside of a traced function
    x, directions = (_at_least_single(a) for a in floating(x, directions))
    if x.ndim != 2 or x.shape[1] != 3:
        raise ValueError(f"x has shape {x.shape}; points are [n, 3]")
    if directions.shape != x.shape:
        raise ValueError(f"directions has shape {directions.shape}; the {len(x)} points need one direction each, {x.shape}")
    if is_concrete(given) and len(given):
        worst = float(np.abs(np.linalg.norm(np.asarray(given, float), axis=1) - 1).max())
        if not worst <= 1e-3:
            raise ValueError(f"directions has lengths that differ from 1 by {worst:.3g}; they must be unit vectors")
    return x, directions


def _at_least_single(x: Array) -> Array:
    """Places on a fine grid and exponentials of densities need 24 bits."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _sigma_widths(encoded: int, hidden: int) -> tuple[int, ...]:
    return encoded, check_at_least("hidden", hidden), 1 + FEATURES


def _colour_widths(hidden: int) -> tuple[int, ...]:
    return DIRECTIONS + FEATURES, hidden, hidden, 3


def _matrices(widths: Sequence[int]) -> list[tuple[int, int]]:
    return list(pairwise(widths))


def _parameters(drawn: Sequence[Array]) -> nnx.List:
    return nnx.List([nnx.Param(x) for x in drawn])


def _by_inputs(matrices: Sequence[tuple[int, int]]) -> tuple[float, ...]:
    """The bound of the first weights of each matrix, and of its bias, as PyTorch has it for linear maps."""
    return tuple(matrix[0] ** -0.5 for matrix in matrices)


@partial(jax.jit, static_argnames=("shapes", "scales"))
def _uniform(key: jax.Array, shapes: tuple[tuple[int, ...], ...], scales: tuple[float, ...]) -> list[Array]:
    """Numbers in `-scale..scale`, all in one program: a product outside of it is a program for every shape."""
    drawn = draw_together(lambda size: jax.random.uniform(key, size, minval=-1, maxval=1), shapes)
    return [scale * x for scale, x in zip(scales, drawn, strict=True)]


@partial(jax.jit, static_argnames=("shapes", "scale"))
def _normal(key: jax.Array, shapes: tuple[tuple[int, ...], ...], scale: float) -> list[Array]:
    return [scale * x for x in draw_together(lambda size: jax.random.normal(key, size), shapes)]
