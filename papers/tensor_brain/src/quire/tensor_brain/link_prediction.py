"""Does a tensor model predict triples that it was not shown? Training by a softmax over all objects, filtered ranking."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from quire.common.arrays import AnyArray
from quire.common.claims import shared
from quire.common.graphs.triples import TripleGraph, known_mask, with_inverses
from quire.common.losses.classification import smoothed_cross_entropy
from quire.common.metrics.ranking import filtered_ranks, hits, mrr
from quire.common.train.batches import epoch_indices
from quire.common.train.seeds import fit_seeds, fold_keys
from quire.tensor_brain.config import LinkPrediction, Preset
from quire.tensor_brain.sources import named_graph
from quire.tensor_brain.tensor_models import KINDS, KGModel

PAIR = ("distmult", "complex")


def compare(graph: TripleGraph, kinds: tuple[str, ...], r: int, config: LinkPrediction, keys: jax.Array) -> dict[str, Any]:
    """Train every kind with every seed, all side by side, and rank the test triples.

    Args:
        graph: of knowledge.
        kinds: of scores.
        r: rank.
        config: of training.
        keys: one per seed; all kinds of a seed start alike and see the same batches.

    Returns:
        `{kind: {"MRR", "Hits@1", "Hits@3", "Hits@10"}}`, numbers `[seeds]`, subject and object queries counted alike; and the
        same for `frequency`, the trivial baseline.
    """
    queries = with_inverses(graph.train, graph.num_relations)
    recipe = config.recipe(len(queries))
    sizes = len(queries), recipe.batch_size, recipe.steps
    indices = np.stack([epoch_indices(key, *sizes) for key in fold_keys(keys, 1)])
    numbers = np.repeat(np.arange(len(kinds)), len(keys))

    def build(rngs):
        return KGModel(kinds, graph.num_entities, 2 * graph.num_relations, r, scale=config.scale, rngs=rngs)

    def batch_at(data, step):
        return jnp.asarray(queries)[data[0][step]], data[1]

    runs = np.tile(indices, (len(kinds), 1, 1)), numbers
    run_keys = jnp.tile(keys, len(kinds))
    model, state, _ = fit_seeds(
        build, recipe.transformation(flat=True), one_of_all_objects, batch_at, runs, steps=recipe.steps, keys=run_keys
    )
    found = _judge(model, state, numbers, frequencies(graph), *_test(graph))
    rows = {name: np.asarray(x[:-1]).reshape(len(kinds), -1) for name, x in found.items()}
    models = {kind: {name: x[i] for name, x in rows.items()} for i, kind in enumerate(kinds)}
    return models | {"frequency": {name: np.full(len(keys), x[-1]) for name, x in found.items()}}


def one_of_all_objects(model: KGModel, batch: tuple[AnyArray, AnyArray | int], key: jax.Array) -> Float[Array, ""]:
    """Cross-entropy of the object among all, given subject and relation."""
    triples, kind = batch
    return smoothed_cross_entropy(model.object_scores(triples[:, 0], triples[:, 1], kind), jnp.asarray(triples[:, 2]))


def _test(graph: TripleGraph) -> tuple[Int[np.ndarray, "q 3"], Bool[np.ndarray, "q n_E"]]:
    """Queries in both directions, and what is known about each from all parts of the graph."""
    test, everything = (with_inverses(part, graph.num_relations) for part in (graph.test, graph.all))
    return test, known_mask(everything, test[:, :2], graph.num_entities)


@jax.jit(static_argnums=0)
def _judge(graphdef, state, numbers, counts, test, known):
    def scores(state, number):
        return nnx.merge(graphdef, state).object_scores(test[:, 0], test[:, 1], number)

    by_model = jax.vmap(scores)(state, numbers)
    return jax.vmap(lambda x: judge(x, test[:, 2], known))(jnp.concatenate([by_model, counts[test[:, 1]][None]]))


def judge(scores: Float[Array, "q n_E"], target: Int[Array, " q"], known: Bool[Array, "q n_E"]) -> dict[str, Array]:
    """Filtered MRR and Hits@1, 3 and 10."""
    ranks = filtered_ranks(scores, target, known)
    return {"MRR": mrr(ranks)} | {f"Hits@{k}": hits(ranks, k) for k in (1, 3, 10)}


def frequencies(graph: TripleGraph) -> Float[np.ndarray, "n_R n_E"]:
    """The trivial scores: how often a relation, inverses included, has an entity as its object in the training part."""
    _, p, o = with_inverses(graph.train, graph.num_relations).T
    counts = np.zeros((2 * graph.num_relations, graph.num_entities), np.float32)
    np.add.at(counts, (p, o), 1)
    return counts


@shared
def link_prediction_runs(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """DistMult, ComplEx and frequency on every graph of the preset, by graph and method; `name` of each graph."""
    found = {}
    for name in preset.links.graphs:
        known = named_graph(name)
        found[name] = compare(known.graph, PAIR, preset.links.r, preset.links, keys) | {"name": known.name}
    return found


def zoo(preset: Preset, key: jax.Array) -> dict[str, dict[str, float]]:
    """All five kinds on the preset's first graph, one seed; metrics by kind."""
    graph = named_graph(preset.links.graphs[0]).graph
    found = compare(graph, KINDS, preset.links.zoo_r, preset.links, jnp.stack([key]))
    return {kind: {name: float(x[0]) for name, x in metrics.items()} for kind, metrics in found.items()}
