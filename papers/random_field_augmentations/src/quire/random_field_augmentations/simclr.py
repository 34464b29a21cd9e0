"""SimCLR (Chen et al. 2020) with switchable augmentations: views inside the compiled loop, many settings side by side."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Num

from quire.common.arrays import AnyArray
from quire.common.data.augment import draw_crops, gaussian_blur, greyed, mirror, resized_crop
from quire.common.data.images import pixels
from quire.common.layers.projection import ProjectionHead
from quire.common.losses.contrastive import nt_xent
from quire.common.random import generator
from quire.common.train.batches import epoch_indices
from quire.common.train.recipe import Recipe
from quire.common.train.seeds import fit_seeds, stack
from quire.random_field_augmentations.augment import RandomFieldConfig, chosen_sigmas, transform
from quire.random_field_augmentations.random_fields import fields_from_modes, widened
from quire.random_field_augmentations.warp import FIELDS, NUM_GEOMETRIC, Mode

POOL = 4096
"""Views whose random numbers are drawn, on the host; a run reads them again and again, beside other images each time."""


class Setting(NamedTuple):
    """One augmentation: fields of the geometry and fields of the colours may have different lengths.

    Attributes:
        geometry, color: which fields; only the strengths of their own kind count, and the probabilities of `geometry`.
    """

    geometry: RandomFieldConfig
    color: RandomFieldConfig


class Fields(NamedTuple):
    """A setting as arrays, so that settings share one program.

    Attributes:
        sigmas: `[10]`.
        modes: rows and columns of the geometry, then of the colours, `[side, k]` each.
        chances: of a change of the geometry, and of the colours.
    """

    sigmas: AnyArray
    modes: tuple[AnyArray, ...]
    chances: AnyArray


class Draws(NamedTuple):
    """Random numbers of views, one row each.

    Attributes:
        noise: standard normal, `[rows, 10, k, k]`.
        crops: windows `[rows, 4]`.
        uniform: `[rows, 5]`: mirror, geometry, colours, grey, blur.
        blur: width of the blur in pixels, `[rows]`.
    """

    noise: AnyArray
    crops: AnyArray
    uniform: AnyArray
    blur: AnyArray


def as_fields(setting: Setting, shape: tuple[int, int], waves: int) -> Fields:
    """The arrays of a setting for images of a shape; empty waves fill up to `waves`."""
    sigmas = setting.geometry.scaled_sigmas()
    sigmas[NUM_GEOMETRIC:] = setting.color.scaled_sigmas()[NUM_GEOMETRIC:]
    modes = [widened(line, waves).astype(np.float32) for config in setting for line in config.modes(shape)]
    return Fields(sigmas, tuple(modes), np.array([setting.geometry.p_geometry, setting.color.p_color], np.float32))


def num_waves(settings: Mapping[str, Setting], shape: tuple[int, int]) -> int:
    """The largest number of waves that any field of these settings needs."""
    return max(line.shape[1] for setting in settings.values() for config in setting for line in config.modes(shape))


def draw_views(key: jax.Array, rows: int, waves: int, side: int, smallest_area: float) -> Draws:
    """Random numbers for so many views, on the host: JAX's generators take longer to compile than the rest of a view."""
    draw = generator(key)
    return Draws(
        draw.standard_normal((rows, len(FIELDS), waves, waves), dtype=np.float32),
        draw_crops(draw, (rows,), area=(smallest_area, 1.0)),
        draw.random((rows, 5), dtype=np.float32),
        draw.uniform(0.1, 2.0, rows).astype(np.float32) * side / 224,
    )


class Views(NamedTuple):
    """How views are made beside the fields; the same for all settings.

    Attributes:
        smallest_area: of a crop.
        grey, blur: how often.
        radius: of the blur's window in pixels; 0 for none.
        mode: what is read outside of an image.
    """

    smallest_area: float = 0.2
    grey: float = 0.2
    blur: float = 0.0
    radius: int = 0
    mode: Mode = "edge"


def make_views(images: Num[Array | np.ndarray, "n h w 3"], draws: Draws, fields: Fields, views: Views) -> Float[Array, "n h w 3"]:
    """Crop and mirror, random-field geometry, random-field colours, grey, blur: the pipeline of SimCLR."""
    flip, geometry, color, grey, blur = (draws.uniform < jnp.array([[0.5, *fields.chances, views.grey, views.blur]])).T
    images = mirror(resized_crop(pixels(images), draws.crops), flip)
    sigmas = chosen_sigmas(fields.sigmas, jnp.stack([geometry, color], 1))
    parts = (slice(None, NUM_GEOMETRIC), slice(NUM_GEOMETRIC, None))
    found = [
        fields_from_modes(draws.noise[:, part], *fields.modes[2 * i : 2 * i + 2], sigmas[:, part]) for i, part in enumerate(parts)
    ]
    images = transform(jnp.clip(images, 0, 1), jnp.concatenate(found, 1), mode=views.mode)
    images = greyed(images, grey)
    return gaussian_blur(images, draws.blur * blur, radius=views.radius) if views.radius else images


class SimCLR(nnx.Module):
    """An encoder and the head that the loss sees; probes see the encoder.

    Args:
        encoder: images to features `[n, dim]`.
        dim: of the features.
        widths: of the head.
        rngs: for the initial weights of the head.
    """

    def __init__(self, encoder: nnx.Module, dim: int, widths: tuple[int, ...], *, rngs: nnx.Rngs):
        self.encoder, self.head = encoder, ProjectionHead(dim, widths, rngs=rngs)

    def __call__(self, images: Float[Array, "n h w 3"]) -> Float[Array, "n out"]:
        """What the loss compares."""
        return self.head(jax.nn.relu(self.encoder(images)))

    def features(self, images: Float[Array, "n h w 3"]) -> Float[Array, "n dim"]:
        """What a probe looks at."""
        return jax.nn.relu(self.encoder(images))


class Trained(NamedTuple):
    """Models of all settings and seeds: their graph, states by setting with a leading axis of seeds, losses alike."""

    graph: nnx.GraphDef
    states: dict[str, Any]
    losses: dict[str, np.ndarray]


def train(
    build: Callable[[nnx.Rngs], SimCLR],
    images: np.ndarray,
    settings: Mapping[str, Setting],
    recipe: Recipe,
    keys: jax.Array,
    *,
    views: Views,
    temperature: float,
) -> Trained:
    """One model for every setting and seed, all in one program.

    Runs of one seed start from the same weights and see the same images, crops and random numbers in the same order: settings
    differ in nothing but the fields.

    Args:
        build: makes the model.
        images: bytes `[n, h, w, 3]`, or floats in `[0, 1]`.
        settings: augmentations by name.
        recipe: length and optimiser.
        keys: of the seeds.
        views: how views are made beside the fields.
        temperature: of the loss.
    """
    shape = images.shape[1:3]
    waves = num_waves(settings, shape)
    rows = min(POOL, 2 * recipe.batch_size * recipe.steps)
    shared = []
    for key in keys:
        of_order, of_draws = jax.random.split(jax.random.fold_in(key, 1))
        order = epoch_indices(of_order, len(images), recipe.batch_size, recipe.steps)
        shared.append((images, order, draw_views(of_draws, rows, waves, max(shape), views.smallest_area)))
    arrays = {name: as_fields(setting, shape, waves) for name, setting in settings.items()}
    data = stack([(*of_seed, fields) for fields in arrays.values() for of_seed in shared])
    graph, states, losses = fit_seeds(
        build,
        recipe.transformation(),
        partial(contrastive_loss, temperature=temperature),
        partial(two_views, views=views),
        data,
        steps=recipe.steps,
        keys=jnp.concatenate([keys] * len(settings)),
    )
    cut = lambda tree, i: jax.tree.map(lambda leaf: np.asarray(leaf)[i * len(keys) : (i + 1) * len(keys)], tree)  # noqa: E731
    by_name = lambda tree: {name: cut(tree, i) for i, name in enumerate(settings)}  # noqa: E731
    return Trained(graph, by_name(states), by_name(losses))


def two_views(data: tuple, step: jax.Array | int, *, views: Views) -> Float[Array, "two_n h w 3"]:
    """`BatchAt`: the first views of the images of a step, then the second ones."""
    images, order, draws, fields = data
    batch = order[step]
    rows = (2 * step * len(batch) + jnp.arange(2 * len(batch))) % len(draws.crops)
    chosen = jax.tree.map(lambda numbers: numbers[rows], draws)
    return make_views(images[jnp.concatenate([batch, batch])], chosen, fields, views)


def contrastive_loss(model: SimCLR, images: Array, key: jax.Array, *, temperature: float) -> Array:
    """NT-Xent of the two halves of a batch."""
    first, second = jnp.split(model(images), 2)
    return nt_xent(first, second, temperature)
