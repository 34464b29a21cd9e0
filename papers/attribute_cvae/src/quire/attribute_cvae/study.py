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
from quire.attribute_cvae.cvae import CVAE, AttributeDecoder, beta_schedule, elbo, hybrid_loss
from quire.attribute_cvae.images import Split, open_images, unseen_combinations
from quire.attribute_cvae.probe import bytes_batch
from quire.common.random import generator
from quire.common.train.batches import epoch_indices
from quire.common.train.seeds import fit_seeds, stack

UNSEEN = 0.2
"""Share of the combinations of attributes that C6 holds out."""


class Run(NamedTuple):
    """One training run.

    Attributes:
        seed: its number.
        images: name of its images.
        beta, alpha: weights of the objective.
        unseen: whether images with held-out combinations are left out.
    """

    seed: int
    images: str
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
        sets: images of every seed, by name.
        held: of every seed, which training images of the first set have a held-out combination.
    """

    keys: jax.Array
    sets: list[dict[str, Split]]
    held: list[np.ndarray]

    @property
    def names(self) -> list[str]:
        """Names of the sets of images; the claims are about the first."""
        return list(self.sets[0])


def open_seeds(preset: Preset, keys: jax.Array) -> Seeds:
    """Images of every seed and what is held out of them."""
    sets = [open_images(preset, jax.random.fold_in(key, 1)) for key in keys]
    first = next(iter(sets[0]))
    held = [
        unseen_combinations(
            np.concatenate([each[first].train.attributes, each[first].test.attributes]), UNSEEN, jax.random.fold_in(key, 2)
        )
        for key, each in zip(keys, sets, strict=True)
    ]
    return Seeds(keys, sets, held)


# --- Training ---


def image_batch(data: tuple, step: jax.Array | int) -> tuple[Array, Array, Array]:
    """`BatchAt`: images, attributes, and the weights `(beta, alpha)` of the step."""
    return (*bytes_batch(data, step), data[3][step])


def cvae_loss(model: CVAE, batch: tuple, key: jax.Array) -> Array:
    """The bound with the weight of the step."""
    y, x, weights = batch
    return elbo(model, y, x, key, weights[0])[0]


def mixed_loss(model: CVAE, batch: tuple, key: jax.Array) -> Array:
    """The hybrid objective; the GSNN is its end at alpha = 0."""
    y, x, weights = batch
    return hybrid_loss(model, y, x, key, weights[1], weights[0])


def blind_loss(model: CVAE, batch: tuple, key: jax.Array) -> Array:
    """The bound of an unconditional model, which is shown no attributes."""
    y, _, weights = batch
    return elbo(model, y, jnp.zeros((len(y), 0)), key, weights[0])[0]


def deterministic_loss(model: AttributeDecoder, batch: tuple, key: jax.Array) -> Array:
    """`-log p(y | x)` of the one image that the model has for x."""
    y, x, _ = batch
    return -model.likelihood.log_prob(y, model(x)).mean()


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
    data = stack([_data_of(run, seeds, recipe.batch_size, recipe.steps) for run in runs])
    keys = jnp.stack([seeds.keys[run.seed] for run in runs])
    graph, state, _ = fit_seeds(
        build, recipe.transformation(), loss, image_batch, data, steps=recipe.steps, keys=keys, ema=recipe.ema
    )
    ends = np.cumsum([0, *map(len, groups.values())])
    cut = lambda a, b: jax.tree.map(lambda leaf: np.asarray(leaf)[a:b], state)  # noqa: E731
    return Trained(graph, {name: cut(a, b) for name, a, b in zip(groups, ends[:-1], ends[1:], strict=True)})


def _data_of(run: Run, seeds: Seeds, batch_size: int, steps: int) -> tuple[np.ndarray, ...]:
    train = seeds.sets[run.seed][run.images].train
    rows = np.arange(len(train.images))
    if run.unseen:
        rows = rows[~seeds.held[run.seed][: len(rows)]]
    order = epoch_indices(jax.random.fold_in(seeds.keys[run.seed], 3), len(rows), batch_size, steps)
    weights = np.stack([beta_schedule(run.beta, steps), np.full(steps, run.alpha, np.float32)], axis=1)
    return train.images, train.attributes, rows[order].astype(np.int32), weights


def builders(preset: Preset, image_shape: tuple[int, ...], n_attr: int) -> dict[str, Callable[[nnx.Rngs], Any]]:
    """How the four kinds of models are made."""
    t = preset.training
    options = {"likelihood": t.likelihood, "architecture": t.architecture}
    return {
        "learned": lambda rngs: CVAE(image_shape, n_attr, t.z_dim, **options, rngs=rngs),
        "normal": lambda rngs: CVAE(image_shape, n_attr, t.z_dim, prior="normal", **options, rngs=rngs),
        "blind": lambda rngs: CVAE(image_shape, 0, t.z_dim, prior="normal", **options, rngs=rngs),
        "deterministic": lambda rngs: AttributeDecoder(image_shape, n_attr, **options, rngs=rngs),
    }


def of_beta(beta: float) -> str:
    """Name of the group of runs with this weight."""
    return f"beta {beta:g}"


def train_all(preset: Preset, seeds: Seeds) -> dict[str, Trained]:
    """All models, by kind; those of the hybrid objective have a learned prior as well."""
    t, numbers, names = preset.training, range(len(seeds.keys)), seeds.names
    first = seeds.sets[0][names[0]].train
    build = builders(preset, first.images.shape[1:], first.attributes.shape[1])
    each = lambda images, *weights, **options: [Run(s, images, *weights, **options) for s in numbers]  # noqa: E731
    learned = {of_beta(beta): each(names[0], beta) for beta in t.betas}
    learned |= {"unseen": each(names[0], t.reference, unseen=True)}
    learned |= {name: each(name, t.reference) for name in names[1:]}
    mixed = {"GSNN": each(names[0], 1.0, 0.0), "hybrid": each(names[0], 1.0, t.alpha)}
    plain = each(names[0])
    return {
        "learned": train_groups(build["learned"], cvae_loss, learned, seeds, t),
        "mixed": train_groups(build["learned"], mixed_loss, mixed, seeds, t),
        "normal": train_groups(build["normal"], cvae_loss, {"normal prior": plain}, seeds, t),
        "blind": train_groups(build["blind"], blind_loss, {"VAE": plain}, seeds, t),
        "deterministic": train_groups(build["deterministic"], deterministic_loss, {"deterministic": plain}, seeds, t),
    }


# --- Judging ---


class Test(NamedTuple):
    """Test images in `[0, 1]`, their attributes, and other attributes for them, of every seed `[seeds, n, ...]`."""

    y: np.ndarray
    x: np.ndarray
    x_new: np.ndarray


def open_test(seeds: Seeds, name: str) -> Test:
    """The test part of one set of images; new attributes are those of another image."""
    rows = []
    for key, sets in zip(seeds.keys, seeds.sets, strict=True):
        test = sets[name].test
        x = test.attributes.astype(np.float32)
        other = generator(jax.random.fold_in(key, 4)).permutation(len(x))
        rows.append(Test((test.images / 255).astype(np.float32), x, x[other]))
    return Test(*map(np.stack, zip(*rows, strict=True)))


@partial(jax.jit, static_argnames=("graph", "function"))
def over_models(graph: nnx.GraphDef, function: Callable, states: Any, *args: Any) -> Any:
    """`function(model, *args)` for models and arguments with a leading axis, in one compiled call."""
    return jax.vmap(lambda state, *args: function(nnx.merge(graph, state), *args))(states, *args)
