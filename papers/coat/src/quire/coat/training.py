"""Training in float32 and in eight bits, several seeds at once, with the optimiser's state at the end."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float

from quire.coat.adamw import coat_adamw
from quire.coat.config import Preset
from quire.coat.language_model import CoatLM, language_loss
from quire.coat.precision import COAT, FLOAT32
from quire.coat.sources import bigram_loss, open_corpus, windows
from quire.common.claims import shared
from quire.common.data.images import digits
from quire.common.train.batches import epoch_indices
from quire.common.train.recipe import Recipe
from quire.common.train.seeds import stack
from quire.common.train.step import make_step, split_model


class Run(NamedTuple):
    """Losses `[seeds, steps]`, and the state of the optimiser with a leading seed axis."""

    losses: Float[Array, "seeds steps"]
    opt_state: Any


def train(
    build: Callable[[nnx.Rngs], nnx.Module],
    tx: optax.GradientTransformation,
    loss: Callable[..., Array],
    batches: Any,
    keys: Sequence[jax.Array] | jax.Array,
) -> Run:
    """Train one model per key by one compiled loop, whatever comes of it: a run that diverges is a result here.

    Args:
        build: makes a model.
        tx: the optimiser.
        loss: `(model, batch, key) -> scalar`.
        batches: arrays `[seeds, steps, ...]`.
        keys: one per seed.
    """
    graphs, fixed, weights = zip(*[split_model(build(nnx.Rngs(key))) for key in keys], strict=True)
    step = make_step(graphs[0], fixed[0], tx, loss)

    def one(weights, batches):
        def body(carry, batch):
            weights, opt_state, value = step(*carry, batch, jax.random.key(0), 0)
            return (weights, opt_state), value

        (_, opt_state), losses = jax.lax.scan(body, (weights, tx.init(weights.params)), batches)
        return Run(losses, opt_state)

    return jax.jit(jax.vmap(one))(stack(weights), batches)


def float32_adamw(recipe: Recipe) -> optax.GradientTransformation:
    """AdamW with wide moments, and the numbers of `eight_bit_adamw`."""
    return optax.adamw(recipe.rate(), recipe.b1 or 0.9, recipe.b2 or 0.999, weight_decay=recipe.weight_decay)


def eight_bit_adamw(recipe: Recipe, *, expand: bool) -> optax.GradientTransformation:
    """`coat_adamw` of a recipe."""
    return coat_adamw(recipe.rate(), recipe.b1 or 0.9, recipe.b2 or 0.999, weight_decay=recipe.weight_decay, expand=expand)


@shared
def language_runs(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """The language model from the same weights on the same batches: float32, COAT, and COAT without expansion.

    Returns:
        Losses `[seeds, steps]` by method; `m` and `v`, the float32 moments `[seeds, n]`, see `moments`; the
        loss of bigram counts `[seeds]`; the name of the data and what they stand for.
    """
    sources = [open_corpus(preset, key) for key in keys]
    batches = np.stack([windows(preset, source.value, key) for source, key in zip(sources, keys, strict=True)])
    runs = {
        name: train(lambda rngs, p=precision: CoatLM(preset.lm, p, rngs=rngs), tx, language_loss, batches, keys)
        for name, (precision, tx) in _methods(preset.training).items()
    }
    return {
        "losses": {name: np.asarray(run.losses) for name, run in runs.items()},
        **moments(runs["float32"].opt_state),
        "bigram": np.array([bigram_loss(each, preset.last, preset.lm.vocab_size) for each in batches]),
        "data": sources[0].name,
        "stand_in_for": sources[0].stand_in_for,
    }


def _methods(recipe: Recipe) -> dict[str, Any]:
    return {
        "float32": (FLOAT32, float32_adamw(recipe)),
        "COAT": (COAT, eight_bit_adamw(recipe, expand=True)),
        "without expansion": (COAT, eight_bit_adamw(recipe, expand=False)),
    }


@shared
def classifier_runs(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """A ReLU network on scikit-learn's digits, in float32 with the three optimisers: losses and moments, as `language_runs`."""
    data, recipe = digits().train, preset.mlp_training
    if recipe is None:
        raise ValueError("mlp_training is None; this preset trains no ReLU network")
    pixels = np.asarray(data.images, np.float32).reshape(len(data), -1)
    pixels /= pixels.max()
    order = np.stack([epoch_indices(key, len(data), recipe.batch_size, recipe.steps) for key in keys])
    batches = (pixels[order], data.labels[order])
    optimisers = {name: tx for name, (_, tx) in _methods(recipe).items()}

    def build(rngs: nnx.Rngs) -> ReLUNet:
        return ReLUNet(preset.mlp_widths, rngs)

    runs = {name: train(build, tx, _class_loss, batches, keys) for name, tx in optimisers.items()}
    return {
        "losses": {name: np.asarray(run.losses) for name, run in runs.items()},
        **moments(runs["float32"].opt_state),
        "data": digits().name,
    }


class ReLUNet(nnx.Module):
    """Linear maps of the given widths, with ReLUs between them."""

    def __init__(self, widths: Sequence[int], rngs: nnx.Rngs):
        self.layers = nnx.List([nnx.Linear(a, b, rngs=rngs) for a, b in pairwise(widths)])

    def __call__(self, x: Float[Array, "*batch dim"]) -> Float[Array, "*batch classes"]:
        for layer in self.layers[:-1]:
            x = jax.nn.relu(layer(x))
        return self.layers[-1](x)


def _class_loss(model, batch, key):
    images, labels = batch
    return optax.softmax_cross_entropy_with_integer_labels(model(images), labels).mean()


def moments(opt_state: Any, group: int = 128) -> dict[str, np.ndarray]:
    """Moments `m` and `v` of `optax.adamw`, `[seeds, n]` on the host: one parameter after the other.

    Each is filled up with zeros to whole groups, so that no group holds numbers of two parameters.
    """
    adam = opt_state[0]
    return {name: _in_groups(tree, group) for name, tree in (("m", adam.mu), ("v", adam.nu))}


def _in_groups(tree, group):
    flat = [np.asarray(x).reshape(len(x), -1) for x in jax.tree.leaves(tree)]
    return np.concatenate([np.pad(x, ((0, 0), (0, -x.shape[1] % group))) for x in flat], axis=1)
