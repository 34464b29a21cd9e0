"""A brain in a world of scenes: perception of any triple, semantic memory of a graph, episodes and their replay."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from quire.common.arrays import AnyArray
from quire.common.claims import shared
from quire.common.random import generator
from quire.common.train.batches import epoch_indices
from quire.common.train.seeds import fit_seeds, fold_keys, stack
from quire.tensor_brain.bayesian_brain import log_posterior, lookup_table, predicate_marginal
from quire.tensor_brain.config import Preset, Scenes
from quire.tensor_brain.consolidation import divergence, mixture, product_of_marginals, replay, replay_counts
from quire.tensor_brain.decoder import log_joint, log_probs
from quire.tensor_brain.memories import TensorBrain, cue
from quire.tensor_brain.sources import PerceptualWorld, open_graph, perceptual_world

PRIORS = ("perception alone", "semantic memory", "predicate marginal", "lookup table")


class Brains(NamedTuple):
    """Trained brains: their graph, states `[seeds, ...]`, and losses `[seeds, steps]`."""

    model: nnx.GraphDef
    state: Any
    losses: Float[np.ndarray, "seeds steps"]


def build_brain(config: Scenes, num_entities: int, num_predicates: int, rngs: nnx.Rngs) -> TensorBrain:
    """An untrained brain of these sizes."""
    return TensorBrain(num_entities, num_predicates, 3 * config.features, config.r, config.r_h, rngs=rngs)


def perception_and_memory(noise: tuple[float, float]):
    """`loss(brain, (known triples [b, 3], world), key)`: two modes, one decoder.

    Perception is trained on b triples at random, whether they are true or not, so that it knows nothing of the graph; semantic
    memory on true ones, so that it knows nothing of appearance.

    Args:
        noise: range of the standard deviation of the input.
    """

    def loss(brain: TensorBrain, batch: Any, key: jax.Array) -> Float[Array, ""]:
        known, world = batch
        weights, (low, high) = brain.decoder.weights, noise
        sizes = jnp.array([weights.entities.size, weights.predicates.size, weights.entities.size, 1])
        uniform, normal = jax.random.split(key)
        drawn = jax.random.uniform(uniform, (len(known), 4), jnp.float32) * sizes[None]
        seen, sigma = drawn[:, :3].astype(jnp.int32), low + (high - low) * drawn[:, 3:]
        u = jnp.concatenate([world.entities[seen[:, 0]], world.entities[seen[:, 2]], world.predicates[seen[:, 1]]], axis=1)
        q0 = jax.vmap(brain.perception)(u + sigma * jax.random.normal(normal, u.shape, jnp.float32))
        abar = jnp.broadcast_to(brain.semantic.q0(), q0.shape)
        # As many of both kinds: twice the mean over all is the sum of the two means.
        return -2 * log_probs(weights, jnp.concatenate([q0, abar]), jnp.concatenate([seen, known])).mean()

    return loss


def train_brains(config: Scenes, triples: np.ndarray, sizes: tuple[int, int], worlds: PerceptualWorld, keys: jax.Array) -> Brains:
    """One brain per seed.

    Args:
        config: widths and recipe.
        triples: that are known, `[n, 3]`.
        sizes: numbers of entities and predicates.
        worlds: features with a leading axis of seeds.
        keys: one per seed.
    """
    recipe = config.training
    indices = [epoch_indices(key, len(triples), recipe.batch_size, recipe.steps) for key in fold_keys(keys, 1)]
    known = jnp.asarray(triples)

    def batch_at(data, step):
        return known[data[0][step]], data[1]

    loss = perception_and_memory(config.training_noise)
    model, state, losses = fit_seeds(
        lambda rngs: build_brain(config, *sizes, rngs),
        recipe.transformation(flat=True),
        loss,
        batch_at,
        (np.stack(indices), worlds),
        steps=recipe.steps,
        keys=keys,
        ema=recipe.ema,
    )
    return Brains(model, state, np.asarray(losses))


# --- Seeing with expectations ---


@jax.jit(static_argnums=0)
def see(model: nnx.GraphDef, states: Any, seen: Array, truth: Array, priors: Array) -> tuple[Array, Array]:
    """Negative log-probability of what is there, and whether it is the most probable triple.

    Args:
        model: graph of the brains.
        states: `[seeds, ...]`.
        seen: inputs `[seeds, k, n, r_u]`, of k conditions.
        truth: triples `[seeds, k, n, 3]`.
        priors: logarithms `[m, n_E, n_E, n_P]`; the semantic memory of each brain is added in front.

    Returns:
        Both `[seeds, m + 1, k]`, means over n.
    """

    def one(state, seen, truth):
        brain = nnx.merge(model, state)
        weights = brain.decoder.weights
        everything = jnp.concatenate([log_joint(weights, brain.semantic.q0())[None], priors])

        def condition(inputs):
            u, (s, p, o) = inputs[0], inputs[1].T
            perception = jax.vmap(lambda u: log_joint(weights, brain.perception(u)))(u)

            def under(prior):
                found = jax.vmap(lambda x: log_posterior(x, prior))(perception)
                right = found[jnp.arange(len(s)), s, o, p]
                return -right.mean(), jnp.mean(right >= found.max((1, 2, 3)), dtype=right.dtype)

            return jax.lax.map(under, everything)

        nll, accuracy = jax.lax.map(condition, (seen, truth))
        return nll.T, accuracy.T

    return jax.vmap(one)(states, seen, truth)


def draw_facts(config: Scenes, world: PerceptualWorld, known: np.ndarray, held_out: np.ndarray, key: jax.Array):
    """Inputs `[k, n, r_u]` and triples `[k, n, 3]`: known facts at every noise, then held-out ones at the middle noise."""
    draw, middle = generator(key), config.noises[len(config.noises) // 2]
    facts = known[draw.choice(len(known), config.facts, replace=len(known) < config.facts)]
    unknown = held_out[draw.choice(len(held_out), config.facts, replace=len(held_out) < config.facts)]
    triples = [*[facts] * len(config.noises), unknown]
    noises = [*config.noises, middle]
    seen = [_noisy(world, t, noise, draw) for t, noise in zip(triples, noises, strict=True)]
    return np.stack(seen), np.stack(triples)


def _noisy(world: PerceptualWorld, triples: np.ndarray, noise: float, draw: np.random.Generator) -> np.ndarray:
    clean = world.appearance(triples)
    return clean + np.float32(noise) * draw.standard_normal(clean.shape, dtype=np.float32)


# --- Remembering, and dreaming ---


class Episodes(NamedTuple):
    """What a brain has lived through: embeddings of its times, what was there, the mixture of all, and what replay decoded.

    Attributes:
        times: `[episodes, r]`.
        mixture: `[n_E, n_E, n_P]`.
        shares: of the replayed triples, likewise.
        cued: which episode a second, noisy look at each scene reminds of, `[episodes]`.
    """

    times: Array
    mixture: Array
    shares: Array
    cued: Array


@jax.jit(static_argnums=(0, 4))
def live(model: nnx.GraphDef, states: Any, views: Array, keys: jax.Array, replayed: int) -> Episodes:
    """Episodes of every seed from two views `[seeds, 2, episodes, r_u]` of each scene; the first is stored."""

    def one(state, views, key):
        brain = nnx.merge(model, state)
        weights = brain.decoder.weights
        times, again = (jax.vmap(brain.perception)(u) for u in views)
        triples = replay(weights, key, times, replayed)
        shares = replay_counts(triples, weights.entities.size, weights.predicates.size)
        return Episodes(times, mixture(weights, times), shares, jax.vmap(lambda q: cue(times, q).argmax())(again))

    return jax.vmap(one)(states, views, keys)


def consolidate(config: Scenes, brains: Brains, episodes: Episodes) -> Array:
    """Semantic memory after replay: joint distributions `[2, seeds, n_E, n_E, n_P]`, all of the brain trained, or abar alone.

    Cross-entropy of the replayed triples; as all are decoded from one abar, their shares say everything about them.
    """
    seeds, alone = len(brains.losses), np.repeat([False, True], len(brains.losses))
    models = []
    for i in np.tile(np.arange(seeds), 2):
        brain = nnx.merge(brains.model, jax.tree.map(lambda x, i=i: jnp.asarray(x[i]), brains.state))
        brain.semantic.abar = nnx.Param(episodes.times[i].mean(0))
        models.append(brain)
    waiting = iter(models)
    shares = np.tile(episodes.shares, (2, 1, 1, 1))
    model, state, _ = fit_seeds(
        lambda _: next(waiting),  # every run goes on from the brain of its seed
        config.replay.transformation(flat=True),
        dream,
        lambda data, step: data,
        (shares, alone),
        steps=config.replay.steps,
        keys=jax.random.split(jax.random.key(0), 2 * seeds),
    )
    joints = _semantic_joints(model, state)
    return joints.reshape(2, seeds, *joints.shape[1:])


def dream(brain: TensorBrain, batch: tuple[AnyArray, AnyArray | bool], key: jax.Array) -> Float[Array, ""]:
    """Cross-entropy of replayed triples under semantic memory; with `alone`, only abar feels it."""
    shares, alone = batch
    weights = jax.tree.map(lambda x: jnp.where(alone, jax.lax.stop_gradient(x), x), brain.decoder.weights)
    return -jnp.sum(shares * log_joint(weights, brain.semantic.q0()))


@jax.jit(static_argnums=0)
def _semantic_joints(model, states):
    def one(state):
        brain = nnx.merge(model, state)
        return jnp.exp(log_joint(brain.decoder.weights, brain.semantic.q0()))

    return jax.vmap(one)(states)


@jax.jit
def divergences(mixtures: Array, joints: Array) -> dict[str, Array]:
    """KL of the mixture from both semantic memories and from the product of its marginals, `[seeds]` each."""
    kl = jax.vmap(divergence)
    whole, alone = joints
    product = jax.vmap(product_of_marginals)(mixtures)
    return {"semantic": kl(mixtures, whole), "abar alone": kl(mixtures, alone), "marginals": kl(mixtures, product)}


# --- The experiments of the claims ---


@shared
def scene_runs(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """Trained brains, and how they see: `nll` and `accuracy` `[seeds, priors, conditions]`; the conditions are `draw_facts`'."""
    config, source = preset.scenes, open_graph(preset.scenes.graph)
    graph = source.value.graph
    sizes = graph.num_entities, graph.num_relations
    worlds = [perceptual_world(key, *sizes, config.features, config.classes) for key in fold_keys(keys, 2)]
    brains = train_brains(config, graph.train, sizes, stack(worlds), keys)
    facts = [
        draw_facts(config, world, graph.train, graph.test, key) for world, key in zip(worlds, fold_keys(keys, 3), strict=True)
    ]
    uniform = np.zeros((sizes[0], sizes[0], sizes[1]))
    priors = np.stack([uniform, *(np.log(prior(graph.train, *sizes)) for prior in (predicate_marginal, lookup_table))])
    nll, accuracy = see(brains.model, brains.state, *map(np.stack, zip(*facts, strict=True)), priors.astype(np.float32))
    order = jnp.array([1, 0, 2, 3])  # the semantic memory stands in front
    return {
        "nll": nll[:, order],
        "accuracy": accuracy[:, order],
        "losses": brains.losses,
        "state": brains.state,
        "model": brains.model,
        "world": stack(worlds),
        "graph": graph,
        "data": source.name,
        "stand_in_for": source.stand_in_for,
    }


@shared
def replay_runs(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """Episodes of the same brains and what becomes of them in semantic memory: `kl` by method and `cued`, `[seeds]`."""
    config = preset.scenes
    runs = [scene_runs(preset, key) for key in keys]
    brains = Brains(runs[0]["model"], stack([run["state"] for run in runs]), np.stack([run["losses"] for run in runs]))
    views = []
    for run, key in zip(runs, fold_keys(keys, 4), strict=True):
        draw = generator(key)
        triples = run["graph"].train[draw.choice(len(run["graph"].train), config.episodes, replace=False)]
        views.append([_noisy(run["world"], triples, config.episode_noise, draw) for _ in range(2)])
    episodes = live(brains.model, brains.state, np.stack(views), jnp.stack(fold_keys(keys, 5)), config.replayed)
    kl = divergences(episodes.mixture, consolidate(config, brains, episodes))
    cued = np.mean(np.asarray(episodes.cued) == np.arange(config.episodes), axis=1)
    return {"kl": kl, "cued": cued, "data": runs[0]["data"], "stand_in_for": runs[0]["stand_in_for"]}
