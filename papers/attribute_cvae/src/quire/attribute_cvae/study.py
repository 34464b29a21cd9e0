"""Training of every model that the claims speak of: runs of one kind, seeds and weights side by side, in one program each."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array

from quire.attribute_cvae.config import Preset, Training
from quire.attribute_cvae.cvae import CVAE, AttributeDecoder, beta_schedule, negative_bound, stochastic_loss
from quire.attribute_cvae.images import Split, open_images, unseen_combinations
from quire.attribute_cvae.probe import bytes_batch
from quire.common.random import generator
from quire.common.train.batches import epoch_indices
from quire.common.train.seeds import fit_seeds, stack

UNSEEN = 0.2
"""Share of the combinations of attributes that C6 holds out."""


NOISE_ROWS = 1 << 16
"""Rows of standard normal numbers that a run reads again and again, beside other images each time.

They are drawn on the host: compiling JAX's generator into a program takes longer than all else in it.
"""


class Run(NamedTuple):
    """One training run.

    Attributes:
        seed: its number.
        beta, alpha: weights of the objective.
        unseen: whether images with held-out combinations are left out.
    """

    seed: int
    beta: float = 1.0
    alpha: float = 1.0
    unseen: bool = False


class Trained(NamedTuple):
    """Models of one kind: their graph, and a state with a leading axis of seeds for every group of runs."""

    graph: nnx.GraphDef
    states: dict[str, Any]


class Seeds(NamedTuple):
    """What the runs of all seeds have in common.

    Attributes:
        keys: of the seeds.
        images: of every seed.
        held: of every seed, which images, of training and then of test, have a held-out combination.
    """

    keys: jax.Array
    images: list[Split]
    held: list[np.ndarray]


def open_seeds(preset: Preset, keys: jax.Array) -> Seeds:
    """Images of every seed and what is held out of them."""
    images = [open_images(preset, jax.random.fold_in(key, 1)) for key in keys]
    held = [
        unseen_combinations(np.concatenate([part.attributes for part in split]), UNSEEN, jax.random.fold_in(key, 2))
        for key, split in zip(keys, images, strict=True)
    ]
    return Seeds(keys, images, held)


# --- Training ---


class Batch(NamedTuple):
    """Images, attributes, standard normal numbers for q and for p, and the weights `(beta, alpha)` of the step."""

    y: Array
    x: Array
    of_q: Array
    of_p: Array
    weights: Array


def image_batch(data: tuple, step: jax.Array | int) -> Batch:
    """`BatchAt` for `(images, attributes, indices, noise, weights)`."""
    noise, size = data[3], data[2].shape[1]
    rows = (step * size + jnp.arange(size)) % len(noise)
    return Batch(*bytes_batch(data, step), noise[rows], noise[(rows + len(noise) // 2) % len(noise)], data[4][step])


def cvae_loss(model: CVAE, batch: Batch, key: jax.Array) -> Array:
    """The bound with the weight of the step."""
    terms = negative_bound(model, batch.y, batch.x, batch.of_q)
    return jnp.mean(terms.reconstruction + batch.weights[0] * terms.kl)


def mixed_loss(model: CVAE, batch: Batch, key: jax.Array) -> Array:
    """The hybrid objective; the GSNN is its end at alpha = 0."""
    alpha = batch.weights[1]
    return alpha * cvae_loss(model, batch, key) + (1 - alpha) * stochastic_loss(model, batch.y, batch.x, batch.of_p).mean()


def blind_loss(model: CVAE, batch: Batch, key: jax.Array) -> Array:
    """The bound of an unconditional model, which is shown no attributes."""
    return cvae_loss(model, batch._replace(x=batch.x[:, :0]), key)


def deterministic_loss(model: AttributeDecoder, batch: Batch, key: jax.Array) -> Array:
    """`-log p(y | x)` of the one image that the model has for x."""
    return -model.likelihood.log_prob(batch.y, model(batch.x)).mean()


def train_groups(
    build: Callable[[nnx.Rngs], Any], loss: Callable, groups: Mapping[str, Sequence[Run]], seeds: Seeds, training: Training
) -> Trained:
    """All runs of one kind of model in one program; runs of one seed start alike and see the same order of images.

    Args:
        build: makes the model.
        loss: of the model, a batch of `image_batch`, and a key.
        groups: runs by name, one for every seed each.
        seeds: keys and images.
        training: recipe.
    """
    runs, recipe = list(chain.from_iterable(groups.values())), training.recipe
    data = stack([data_of(run, seeds, training) for run in runs])
    keys = jnp.stack([seeds.keys[run.seed] for run in runs])
    graph, state, _ = fit_seeds(
        build, recipe.transformation(), loss, image_batch, data, steps=recipe.steps, keys=keys, ema=recipe.ema
    )
    ends = np.cumsum([0, *map(len, groups.values())])
    cut = lambda a, b: jax.tree.map(lambda leaf: np.asarray(leaf)[a:b], state)  # noqa: E731
    return Trained(graph, {name: cut(a, b) for name, a, b in zip(groups, ends[:-1], ends[1:], strict=True)})


def data_of(run: Run, seeds: Seeds, training: Training) -> tuple[np.ndarray, ...]:
    """What `image_batch` reads."""
    train, key, recipe = seeds.images[run.seed].train, seeds.keys[run.seed], training.recipe
    rows = np.arange(len(train.images))
    if run.unseen:
        rows = rows[~seeds.held[run.seed][: len(rows)]]
    order = epoch_indices(jax.random.fold_in(key, 3), len(rows), recipe.batch_size, recipe.steps)
    noise = generator(jax.random.fold_in(key, 4)).standard_normal((NOISE_ROWS, training.z_dim), dtype=np.float32)
    weights = np.stack([beta_schedule(run.beta, recipe.steps), np.full(recipe.steps, run.alpha, np.float32)], axis=1)
    return train.images, train.attributes, rows[order].astype(np.int32), noise, weights


def builders(preset: Preset, image_shape: tuple[int, ...], n_attr: int) -> dict[str, Callable[[nnx.Rngs], Any]]:
    """How the four kinds of models are made."""
    t = preset.training
    how = partial(CVAE, likelihood=t.likelihood, architecture=t.architecture)
    alone = partial(AttributeDecoder, likelihood=t.likelihood, architecture=t.architecture)
    return {
        "learned": lambda rngs: how(image_shape, n_attr, t.z_dim, rngs=rngs),
        "normal": lambda rngs: how(image_shape, n_attr, t.z_dim, prior="normal", rngs=rngs),
        "blind": lambda rngs: how(image_shape, 0, t.z_dim, prior="normal", rngs=rngs),
        "deterministic": lambda rngs: alone(image_shape, n_attr, rngs=rngs),
    }


def of_beta(beta: float) -> str:
    """Name of the group of runs with this weight."""
    return f"beta {beta:g}"


def train_all(preset: Preset, seeds: Seeds) -> dict[str, Trained]:
    """All models, by kind; those of the hybrid objective have a learned prior as well."""
    t, first = preset.training, seeds.images[0].train
    build = builders(preset, first.images.shape[1:], first.attributes.shape[1])
    each = lambda *weights, **options: [Run(s, *weights, **options) for s in range(len(seeds.keys))]  # noqa: E731
    learned = {of_beta(beta): each(beta) for beta in t.betas} | {"unseen": each(t.reference, unseen=True)}
    mixed = {"GSNN": each(1.0, 0.0), "hybrid": each(1.0, t.alpha)}
    return {
        "learned": train_groups(build["learned"], cvae_loss, learned, seeds, t),
        "mixed": train_groups(build["learned"], mixed_loss, mixed, seeds, t),
        "normal": train_groups(build["normal"], cvae_loss, {"normal prior": each()}, seeds, t),
        "blind": train_groups(build["blind"], blind_loss, {"VAE": each()}, seeds, t),
        "deterministic": train_groups(build["deterministic"], deterministic_loss, {"deterministic": each()}, seeds, t),
    }


@partial(jax.jit, static_argnames=("graph", "function"))
def over_models(graph: nnx.GraphDef, function: Callable, states: Any, *args: Any) -> Any:
    """`function(model, *args)` for models and arguments with a leading axis, in one compiled call."""
    return jax.vmap(lambda state, *args: function(nnx.merge(graph, state), *args))(states, *args)
