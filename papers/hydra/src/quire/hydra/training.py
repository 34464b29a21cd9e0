"""Training every method from the same start on the same images, and what comes out of it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from quire.common.claims import shared
from quire.common.random import generator
from quire.common.train.batches import HostBatches
from quire.common.train.fit import fit
from quire.common.train.seeds import fit_seeds, fold_keys, initial_states, stack
from quire.hydra.config import Preset
from quire.hydra.evaluation import Encoded, Evaluator
from quire.hydra.methods import COMPARED
from quire.hydra.minibatches import Batch, Plan, plan, streamed
from quire.hydra.model import HydraModel, build_model
from quire.hydra.relations import class_means
from quire.hydra.sources import Images, open_images

LAST = 20
"""Steps over which the final loss is averaged."""


class Trained(NamedTuple):
    """Runs by method and seed; NumPy states and losses `[runs, ...]`."""

    graph: nnx.GraphDef
    state: Any
    runs: list[tuple[str, int]]
    losses: Float[np.ndarray, "runs steps"]


def sweep_loss(model: HydraModel, batch: Batch, key: jax.Array) -> Array:
    """The gradient of all terms of the loss, and the value of the contrastive one, which is what curves compare."""
    terms = model.terms(batch.images, batch.y1, batch.y2, labels=batch.labels, method=batch.method, key=key)
    others = terms.classifier + terms.gates
    return terms.contrast + others - jax.lax.stop_gradient(others)


def builder(images: Images) -> Callable[[nnx.Rngs], HydraModel]:
    """Makes the model of the preset of some images."""
    preset = images.preset
    return lambda rngs: build_model(preset.network, preset.objective, images.num_classes, rngs=rngs)


def train(images: Images, keys: jax.Array) -> Trained:
    """Every method of `COMPARED` for every seed, those of `preset.beside` for the first.

    Args:
        images: data and recipe. In memory, all runs are one compiled loop; streamed, one run after the other.
        keys: one per seed.
    """
    preset = images.preset
    runs = [(name, seed) for name in COMPARED for seed in range(len(keys))] + [(name, 0) for name in preset.beside]
    build, own = builder(images), keys[np.array([seed for _, seed in runs])]
    if images.train is None:
        found = [_one_streamed(images, build, name, key, seed) for (name, seed), key in zip(runs, own, strict=True)]
        graphs, states, losses = zip(*found, strict=True)
        return Trained(graphs[0], stack(states), runs, np.stack(losses))
    pool, labels = jnp.asarray(images.with_views(generator(fold_keys(keys, 2)[0]))), jnp.asarray(images.train.labels)

    def batch_at(data: Plan, step: Array) -> Batch:
        places = data.places[step]
        return Batch(pool[places], data.y1[step], data.y2[step], labels[places % len(labels)], data.method)

    data = stack([plan(images, name, key) for (name, _), key in zip(runs, own, strict=True)])
    tx, steps = preset.training.transformation(flat=True), preset.training.steps
    one_by_one = preset.network.backbone != "patch"
    graph, state, losses = fit_seeds(build, tx, sweep_loss, batch_at, data, steps=steps, keys=own, one_by_one=one_by_one)
    return Trained(graph, jax.tree.map(np.asarray, state), runs, np.asarray(losses))


def _one_streamed(images, build, name, key, seed):
    model, training = build(nnx.Rngs(key)), images.preset.training
    batches = HostBatches(streamed(images, name, key, seed))
    history = fit(model, training.transformation(), sweep_loss, batches, steps=training.steps, key=key, chunk_steps=10)
    return *nnx.split(model), history.losses


def run_sweep(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """Train all methods and score them.

    Returns:
        By method, `[seeds]` each: `accuracy`, `probe`, `transfer`, `loss` (final), `rank z`, `rank h`; `spectrum`
        `[seeds, dim]` and `curve` `[seeds, steps]`; the network before training is `"untrained"`. `beside`: numbers of the
        other methods. `gates` `[seeds, classes, dim]` and `pair gates` of the gated method; of the plain one (identical pairs,
        open gates) the `means` of latents by class, and its embeddings, `embedded`. Of the pixels `pixels` and
        `pixel means`. Names of the classes and of the data; `subspaces` of the preset that ran.
    """
    source = open_images(preset)
    images, seeds = source.value, range(len(keys))
    trained = train(images, keys)
    graph, start = initial_states(builder(images), keys)
    judge = Evaluator(graph, images)
    states = {run: jax.tree.map(lambda x, i=i: x[i], trained.state) for i, run in enumerate(trained.runs)}
    states |= {("untrained", seed): jax.tree.map(lambda x, i=seed: np.asarray(x)[i], start) for seed in seeds}
    encoded = {run: judge.both(state) for run, state in states.items()}
    scores = {run: judge.scores(state, *encoded[run]) for run, state in states.items()}
    for run, curve in zip(trained.runs, trained.losses, strict=True):
        scores[run] |= {"loss": float(curve[-LAST:].mean()), "curve": curve}
    names = [*COMPARED, "untrained"]
    kinds = scores["untrained", 0].keys() | {"loss", "curve"}
    by_kind = {
        kind: {n: np.stack([scores[n, seed][kind] for seed in seeds]) for n in names if kind in scores[n, 0]} for kind in kinds
    }
    gates, pair_gates = zip(*(judge.gates(states["arbitrary + gate", seed]) for seed in seeds), strict=True)
    plain = [encoded["identical + open", seed] for seed in seeds]
    return by_kind | {
        "beside": {n: {k: v for k, v in scores[n, 0].items() if isinstance(v, float)} for n in images.preset.beside},
        "gates": np.stack(gates),
        "pair gates": np.stack(pair_gates),
        "means": np.stack([class_means(train.h, train.labels, images.num_classes) for train, _ in plain]),
        "embedded": stack([standardised(*both) for both in plain]),
        "pixels": np.full(len(keys), judge.pixels()),
        "pixel means": np.stack([_pixel_means(images)] * len(keys)),
        "classes": images.classes,
        "subspaces": images.preset.subspaces,
        "data": source.name,
        "stand_in_for": source.stand_in_for,
    }


def standardised(train: Encoded, test: Encoded) -> tuple[Encoded, Encoded]:
    """Embeddings with mean 0 and deviation 1 over the training images; latents are dropped."""
    mean, std = train.z.mean(0), np.maximum(train.z.std(0), 1e-6)

    def scaled(part):
        return Encoded(part.h[:, :0], ((part.z - mean) / std).astype(np.float32), part.labels)

    return scaled(train), scaled(test)


def _pixel_means(images: Images) -> np.ndarray:
    if images.train is None:
        return np.full((images.num_classes, 1), np.nan)
    return class_means(images.train.images, images.train.labels, images.num_classes)


@shared
def sweep_runs(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """`run_sweep`, once for all claims."""
    return run_sweep(preset, keys)
