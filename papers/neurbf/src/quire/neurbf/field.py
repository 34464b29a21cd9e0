"""The field: features of a small grid and of radial bases, side by side, and a decoder. Section 3.4, equation 9."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from quire.common.fields.hash_grid import Corners, HashLevels, hash_corners, interpolate
from quire.common.fields.neighbours import nearest
from quire.neurbf.composition import log_frequencies, normalise, rbf_features
from quire.neurbf.config import FieldConfig
from quire.neurbf.decoder import Layer, as_layers, decode, scaled_as_torch
from quire.neurbf.initial import draw_uniform, layer_shapes
from quire.neurbf.kernels import Kernels, rbf_eval

SPREAD = 1e-4
"""Grid, weights of the bases and bias start uniform within this."""


class Points(NamedTuple):
    """All that depends on the points alone, and stays as it is while kernels do not move.

    Attributes:
        rows, weight: of the table, at the corners of every point's cells, `[n, levels, 2^d]`.
        index, phi: bases that every point sees and their responses, `[n, k]`; None without bases.
    """

    rows: Array | np.ndarray
    weight: Array | np.ndarray
    index: Array | np.ndarray | None = None
    phi: Array | np.ndarray | None = None


class Switches(NamedTuple):
    """Whether channels `[f]` and decoder `[]` take their sines. Arrays, so that one program serves all ablations."""

    channels: Array | np.ndarray
    decoder: Array | np.ndarray


class HybridField(nnx.Module):
    """Weights of the field, for points whose neighbours are known.

    Args:
        config: sizes.
        levels: of the grid.
        n_kernels: rows of weights; 0 for a plain hash grid.
        rngs: for the first weights.
    """

    def __init__(self, config: FieldConfig, levels: HashLevels, n_kernels: int, *, rngs: nnx.Rngs):
        channels = config.channels if n_kernels else 0
        width = len(levels.sides) * config.features + channels
        layers = layer_shapes([width, config.hidden, config.hidden, config.outputs])
        shapes = ((levels.size, config.features), (n_kernels, channels), (width,), *layers)
        grid, rbf, bias, *layers = draw_uniform(rngs.params(), shapes)
        self.grid, self.bias = nnx.Param(SPREAD * grid), nnx.Param(SPREAD * bias)
        self.rbf = nnx.Param(SPREAD * rbf) if n_kernels else None
        self.decoder = nnx.List([nnx.Param(x) for x in scaled_as_torch(layers)])
        self.channel_frequencies = log_frequencies(*config.channel_range, config.channels).astype(np.float32)
        self.hidden_frequencies = log_frequencies(*config.hidden_range, config.hidden).astype(np.float32)

    @property
    def layers(self) -> list[Layer]:
        """Of the decoder."""
        return as_layers([p[...] for p in self.decoder])

    def __call__(self, points: Points, switches: Switches | None = None) -> Float[Array, "n out"]:
        corners = Corners(*(jnp.moveaxis(x, 0, 1) for x in points[:2]))
        parts = [interpolate(self.grid[...], corners)]
        if self.rbf is not None:
            assert points.index is not None and points.phi is not None  # bases see their neighbours
            sine = None if switches is None else switches.channels
            parts.append(rbf_features(self.rbf[...], points.index, points.phi, self.channel_frequencies, sine))
        features = jnp.concatenate(parts, axis=-1) + self.bias[...][None]
        return decode(self.layers, features, self.hidden_frequencies, True if switches is None else switches.decoder)


def to_unit(x: Float[Array, "n d"], cmax: Float[np.ndarray, " d"] | Float[Array, " d"]) -> Float[Array, "n d"]:
    """`(x / cmax + 1) / 2`: the domain as the unit cube."""
    return (x / jnp.asarray(cmax, x.dtype)[None] + 1) / 2


def responses(kernels: Kernels, x: Float[Array, "n d"], index: Array, *, normalised: bool = True) -> Float[Array, "n k"]:
    """Responses of the given bases at every point, divided by their (detached) sum if asked to."""
    phi = rbf_eval(kernels.kind, x, kernels.centers[index], kernels.shapes[index])
    return normalise(phi) if normalised else phi


class NeuRBF(nnx.Module):
    """A field over scattered bases: `f(x) = MLP([grid(x), rbf(x)] + bias)`.

    Centres and shapes are no parameters: they are fitted before training and stay.

    Args:
        config: sizes, kernel and frequencies.
        kernels: from `fit_kernels`.
        cmax: half the extent of the domain an axis.
        rngs: for the first weights.

    Raises:
        ValueError: if there are fewer kernels than a point should see, of another kind, or cmax has another dimension.

    Example:
        >>> from quire.neurbf import FieldConfig, fit_kernels
        >>> draw = np.random.default_rng(0)
        >>> kernels = fit_kernels(
        ...     draw.uniform(-1, 1, (99, 2)), np.ones(99), 7, jax.random.key(0), cmax=np.ones(2), dims=np.full(2, 64)
        ... )
        >>> config = FieldConfig(channels=4, hidden=8, finest=32, log2_size=8)
        >>> NeuRBF(config, kernels, np.ones(2), rngs=nnx.Rngs(0))(jnp.zeros((5, 2))).shape
        (5, 3)

    References:
        Sections 3.1 to 3.4.
    """

    def __init__(self, config: FieldConfig, kernels: Kernels, cmax: Float[np.ndarray, " d"], *, rngs: nnx.Rngs):
        n_kernels, dim = kernels.centers.shape
        if kernels.kind != config.kind or len(cmax) != dim:
            raise ValueError(
                f"kernels are {kernels.kind} in {dim} dimensions; the field takes {config.kind}, and cmax has {len(cmax)} numbers"
            )
        if config.neighbours > n_kernels:
            raise ValueError(f"neighbours is {config.neighbours}; it must be at most the {n_kernels} kernels")
        self.config, self.cmax, self.levels = config, tuple(float(c) for c in cmax), config.grid(dim)
        self.centers, self.shapes = nnx.Variable(kernels.centers), nnx.Variable(kernels.shapes)
        self.field = HybridField(config, self.levels, n_kernels, rngs=rngs)

    @property
    def kernels(self) -> Kernels:
        """The bases."""
        return Kernels(self.config.kind, self.centers[...], self.shapes[...])

    def points(self, x: Float[Array, "n d"], *, block: int | None = None) -> Points:
        """What training keeps of fixed points: corners, neighbours, responses.

        Args:
            x: in `[-cmax, cmax]`; the grid is zero outside.
            block: points whose neighbours are sought at once, which bounds memory.
        """
        corners = hash_corners(to_unit(x, np.array(self.cmax)), self.levels)
        index = nearest(x, self.kernels.centers, self.config.neighbours, block)[1]
        phi = responses(self.kernels, x, index, normalised=self.config.normalised)
        return Points(*(jnp.moveaxis(a, 1, 0) for a in corners), index, phi)

    def __call__(self, x: Float[Array, "n d"], *, block: int | None = None) -> Float[Array, "n out"]:
        keep = jnp.arange(self.config.channels) >= self.config.plain_channels
        return self.field(self.points(x, block=block), Switches(keep, jnp.asarray(True)))


def prepare(model: NeuRBF, x: Float[Array, "n d"], *, block: int | None = None) -> Points:
    """`model.points(x)` as one compiled program."""
    return _points(*nnx.split(model), x, block)


def evaluate(model: NeuRBF, x: Float[Array, "n d"], *, block: int | None = None) -> Float[Array, "n out"]:
    """`model(x)` as one compiled program."""
    return _values(*nnx.split(model), x, block)


_compiled = partial(jax.jit, static_argnames=("graph", "block"))


@_compiled
def _points(graph: nnx.GraphDef, state: nnx.State, x: Array, block: int | None) -> Points:
    return nnx.merge(graph, state).points(x, block=block)


@_compiled
def _values(graph: nnx.GraphDef, state: nnx.State, x: Array, block: int | None) -> Array:
    return nnx.merge(graph, state)(x, block=block)
