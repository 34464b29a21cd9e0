"""Radiance fields: planes and lines, beside which radial bases add channels to the appearance. Section 4.3."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float

from quire.common.data.scenes import Scene, Views
from quire.common.fields.cameras import rays
from quire.common.fields.encodings import sh_encoding
from quire.common.fields.grids import vm_features
from quire.common.fields.neighbours import nearest
from quire.common.fields.rendering import composite, ray_box, stratified
from quire.common.metrics.cost import count_params
from quire.common.random import generator
from quire.common.train.batches import epoch_indices
from quire.common.train.fit import fit
from quire.neurbf.adaptive import fit_kernels
from quire.neurbf.budget import kernel_params
from quire.neurbf.config import RadianceConfig
from quire.neurbf.decoder import as_layers, scaled_as_torch
from quire.neurbf.field import SPREAD, responses
from quire.neurbf.initial import draw_uniform, layer_shapes
from quire.neurbf.kernels import Kernels

DIRECTIONS = 16
"""Spherical harmonics of the viewing direction: all below degree 4."""

DENSITY_SHIFT, DENSITY_SCALE = -5.0, 25.0
"""Density is `scale softplus(sum of features + shift)`, so that space is empty at first."""


class RadianceField(nnx.Module):
    """Density and colour in `[-1, 1]^3`: products of planes and lines, and for colour the channels of radial bases.

    Args:
        config: sizes.
        kernels: bases in `[-1, 1]^3`; None for planes and lines alone.
        appearance_rank: in place of that of the configuration.
        rngs: for the first weights.

    References:
        Chen et al., *TensoRF*, 2022; section 4.3.
    """

    def __init__(
        self, config: RadianceConfig, kernels: Kernels | None = None, *, appearance_rank: int | None = None, rngs: nnx.Rngs
    ):
        side, ranks = config.resolution, (config.density_rank, appearance_rank or config.appearance_rank)
        channels = config.channels if kernels is not None else 0
        grids = [shape for rank in ranks for shape in [(side, side, rank)] * 3 + [(side, rank)] * 3]
        inputs = config.features + channels + DIRECTIONS
        layers = layer_shapes([inputs, config.hidden, config.hidden, 3])
        n_kernels = 0 if kernels is None else len(kernels.centers)
        shapes = (*grids, (3 * ranks[1], config.features), (n_kernels, channels), *layers)
        drawn = draw_uniform(rngs.params(), shapes)
        self.config = config
        self.grids = nnx.List([nnx.Param(0.1 * 3**0.5 * x) for x in drawn[:12]])  # a standard deviation of 0.1
        self.decoder_basis = nnx.Param(drawn[12] / (3 * ranks[1]) ** 0.5)
        self.rbf = nnx.Param(SPREAD * drawn[13]) if channels else None
        self.centers = nnx.Variable(kernels.centers) if kernels is not None and channels else None
        self.shapes = nnx.Variable(kernels.shapes) if kernels is not None and channels else None
        self.decoder = nnx.List([nnx.Param(x) for x in scaled_as_torch(drawn[14:])])

    def density(self, x: Float[Array, "n 3"]) -> Float[Array, " n"]:
        """In units of 1 / length of the box; not negative."""
        planes, lines = self._grids(0)
        return DENSITY_SCALE * jax.nn.softplus(vm_features(planes, lines, x).sum(-1) + DENSITY_SHIFT)

    def appearance(self, x: Float[Array, "n 3"]) -> Float[Array, "n features"]:
        """Features of planes and lines, without those of the bases."""
        planes, lines = self._grids(6)
        return vm_features(planes, lines, x) @ self.decoder_basis[...]

    def colour(self, x: Float[Array, "n 3"], directions: Float[Array, "n 3"]) -> Float[Array, "n 3"]:
        """Red, green and blue in 0..1, seen along unit directions."""
        parts = [self.appearance(x), sh_encoding(directions, 4)]
        if self.rbf is not None:
            parts.append(self.channels(x))
        h = jnp.concatenate(parts, axis=-1)
        first, second, last = as_layers([p[...] for p in self.decoder])
        for weight, bias in (first, second):
            h = jax.nn.relu(h @ weight + bias[None])
        return jax.nn.sigmoid(h @ last.weight + last.bias[None])

    def channels(self, x: Float[Array, "n 3"], block: int | None = None) -> Float[Array, "n channels"]:
        """`sum_i w_i phi_i` over the nearest bases: neither sines nor a normaliser, as the authors have it for radiance."""
        assert self.rbf is not None and self.centers is not None and self.shapes is not None  # there are bases
        kernels = Kernels(self.config.kind, self.centers[...], self.shapes[...])
        index = nearest(jax.lax.stop_gradient(x), kernels.centers, self.config.neighbours, block)[1]
        return jnp.einsum("nkf,nk->nf", self.rbf[...][index], responses(kernels, x, index, normalised=False))

    def _grids(self, start: int) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        values = tuple(p[...] for p in self.grids[start : start + 6])
        return values[:3], values[3:]


def render(
    field: RadianceField,
    origins: Float[Array | np.ndarray, "n 3"],
    directions: Float[Array | np.ndarray, "n 3"],
    key: jax.Array | None,
    background: float = 1.0,
) -> Float[Array, "n 3"]:
    """Colours of rays through the scene's box, over a grey background.

    Args:
        field: in `[-1, 1]^3`, which stands for the box of the configuration's half width.
        origins, directions: in the units of the scene; unit directions.
        key: for where samples lie within their parts; the middles without.
        background: its grey.
    """
    half_width, samples = field.config.half_width, field.config.samples
    near, far, hit = ray_box(origins, directions, half_width=half_width)
    near, far = (jnp.where(hit, jnp.maximum(t, 0), 0) for t in (near, far))
    t, delta = stratified(key, near, far, samples)
    x = ((origins[:, None] + t[..., None] * directions[:, None]) / half_width).reshape(-1, 3)
    seen = jnp.repeat(directions, samples, axis=0)
    sigma = field.density(x).reshape(t.shape)
    rgb = field.colour(x, seen).reshape(*t.shape, 3)
    return composite(sigma, rgb, delta / half_width, background).rgb


class Rays(NamedTuple):
    """Origins, unit directions and colours `[n, 3]`."""

    origins: Array | np.ndarray
    directions: Array | np.ndarray
    rgb: Array | np.ndarray


def all_rays(views: Views, focal: float, background: float = 1.0) -> Rays:
    """The rays of every pixel of all views."""
    size = views.images.shape[1:3]
    found = [rays(jnp.asarray(pose), size, focal) for pose in views.poses]
    origins, directions = (np.concatenate([np.asarray(pair[i]) for pair in found]) for i in range(2))
    return Rays(origins, directions, views.over(background).reshape(-1, 3).astype(np.float32))


def _pick(data: tuple[Rays, Array], step: Array) -> Rays:
    pool, order = data
    return Rays(*(a[order[step]] for a in pool))


def _loss(field: RadianceField, batch: Rays, key: jax.Array) -> Array:
    return jnp.mean((render(field, batch.origins, batch.directions, key) - batch.rgb) ** 2)


def train_radiance(field: RadianceField, pool: Rays, steps: int, key: jax.Array) -> Float[np.ndarray, " steps"]:
    """Train in place by Adam, rates falling to a tenth; the losses of every step."""
    config = field.config

    def scale(path, update):
        rate = config.decoder_rate if "decoder" in jax.tree_util.keystr(path) else config.rate
        return -rate * update

    tx = optax.chain(
        optax.flatten(optax.scale_by_adam(0.9, 0.99)),
        optax.stateless(lambda updates, params: jax.tree.map_with_path(scale, updates)),
        optax.scale_by_schedule(optax.exponential_decay(1.0, steps, 0.1)),
    )
    order = epoch_indices(key, len(pool.rgb), config.rays, steps)
    return fit(field, tx, _loss, _pick, (pool, order), steps=steps, key=key).losses


def radiance_weights(field: RadianceField, x: Float[Array, "n 3"]) -> Float[np.ndarray, " n"]:
    """`(1 - exp(-density)) |gradient of the features|`, the features scaled to 0..1 channel by channel."""

    @partial(jax.vmap, in_axes=(None, 0))
    def slopes(state, point):
        model = nnx.merge(graph, state)
        one = lambda x: model.appearance(x[None])[0]  # noqa: E731
        return one(point), jax.jacfwd(one)(point), model.density(point[None])[0]

    graph, state = nnx.split(field)
    features, jacobian, density = jax.jit(slopes)(state, x)
    span = np.ptp(np.asarray(features, float), axis=0)
    scaled = np.asarray(jacobian, float) / np.where(span > 0, span, 1)[None, :, None]
    return -np.expm1(-np.asarray(density, float)) * np.sqrt((scaled**2).sum((1, 2)))


def radiance_kernels(pool: Rays, config: RadianceConfig, key: jax.Array) -> Kernels:
    """Kernels where a briefly trained grid is opaque and changes.

    Raises:
        ValueError: if that grid is empty.
    """
    field = RadianceField(config, rngs=nnx.Rngs(key))
    train_radiance(field, pool, config.pretraining, key)
    x = generator(key).uniform(-1, 1, (config.fitted, 3)).astype(np.float32)
    weights = radiance_weights(field, jnp.asarray(x))
    dims = np.full(3, config.resolution)
    return fit_kernels(x, weights, config.n_kernels, key, kind=config.kind, alpha=config.alpha, cmax=np.ones(3), dims=dims)


def matched_rank(config: RadianceConfig) -> int:
    """Appearance components that cost at least what the bases do: those of planes and lines alone.

    >>> matched_rank(RadianceConfig(resolution=32, appearance_rank=12, n_kernels=600, hidden=64))
    21
    """
    bases = config.n_kernels * kernel_params(config.kind, 3, config.channels) + config.channels * config.hidden
    side = config.resolution
    return config.appearance_rank + -(-bases // (3 * (side**2 + side + config.features)))


def fit_nerf(
    scene: Scene, config: RadianceConfig, key: jax.Array, *, hybrid: bool = True
) -> tuple[RadianceField, Float[np.ndarray, " steps"]]:
    """A radiance field of a scene, and the losses of its training.

    Args:
        scene: views with their cameras.
        config: sizes.
        key: for kernels, weights, batches and samples.
        hybrid: with radial bases; otherwise planes and lines of at least as many numbers.
    """
    pool = all_rays(scene.train, scene.focal)
    if hybrid:
        field = RadianceField(config, radiance_kernels(pool, config, key), rngs=nnx.Rngs(key))
    else:
        field = RadianceField(config, appearance_rank=matched_rank(config), rngs=nnx.Rngs(key))
    return field, train_radiance(field, pool, config.steps, key)


def render_views(field: RadianceField, views: Views, focal: float, *, chunk: int = 4096) -> Float[np.ndarray, "n h w 3"]:
    """Images of a field from the cameras of some views."""
    pool = all_rays(views, focal)
    graph, state = nnx.split(field)
    show = jax.jit(lambda state, o, d: render(nnx.merge(graph, state), o, d, None))
    pad = -len(pool.rgb) % chunk
    origins, directions = (np.pad(a, ((0, pad), (0, 0)), mode="edge") for a in pool[:2])
    parts = [np.asarray(show(state, origins[i : i + chunk], directions[i : i + chunk])) for i in range(0, len(origins), chunk)]
    return np.concatenate(parts)[: len(pool.rgb)].reshape(*views.images.shape[:3], 3)


def size_of(field: RadianceField) -> int:
    """Numbers that a field holds, centres and shapes of its bases included."""
    count = count_params(field)
    if field.centers is None:
        return count
    n_kernels, dim = field.centers.get_value().shape
    return count + n_kernels * kernel_params(field.config.kind, dim, 0)


def view_quality(field: RadianceField, views: Views, focal: float) -> Float[np.ndarray, " n"]:
    """Peak signal-to-noise ratio of every view, in decibels."""
    error = np.mean((render_views(field, views, focal) - views.over(1.0)) ** 2, axis=(1, 2, 3))
    return -10 * np.log10(error)
