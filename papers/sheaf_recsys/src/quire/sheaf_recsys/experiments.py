"""Recommenders and link predictors, trained and scored on the data of a preset."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import numpy as np
from flax import nnx
from jaxtyping import Array

from quire.common.data.link_sets import LinkGraph, LinkSplit, block_graph, cora_graph, ogbl_ddi_graph, umls_graph
from quire.common.data.recsys import (
    Feedback,
    FeedbackSplit,
    facebook_books,
    generated_feedback,
    movielens_1m,
    movielens_100k,
    split_feedback,
)
from quire.common.data.source import Source, open_or
from quire.common.graphs.edges import Graph
from quire.common.metrics.ranking import hits_at_k
from quire.sheaf_recsys.config import FeedbackSet, LinkSet
from quire.sheaf_recsys.models import BPRMF, GCN, NGCF, LightGCN, SheafRec
from quire.sheaf_recsys.protocol import Held, evaluate, held, popularity
from quire.sheaf_recsys.training import Build, Objective, Setting, Task, encode, link_task, recommendation_task, train

KS = (10, 20)


def builders(num_nodes: int, dim: int, num_layers: int) -> dict[str, Build]:
    """The sheaf recommender and its baselines, all with the mean of their layers read out."""
    return {
        "sheaf": lambda rngs: SheafRec(num_nodes, dim, num_layers, rngs=rngs),
        "LightGCN": lambda rngs: LightGCN(num_nodes, dim, num_layers, rngs=rngs),
        "NGCF": lambda rngs: NGCF(num_nodes, dim, num_layers, rngs=rngs),
        "MF": lambda rngs: BPRMF(num_nodes, dim, rngs=rngs),
    }


def link_builders(num_nodes: int, dim: int, num_layers: int) -> dict[str, Build]:
    """The encoders of the recommenders, and GCN."""
    return {
        **builders(num_nodes, dim, num_layers),
        "GCN": lambda rngs: GCN(num_nodes, dim, num_layers, rngs=rngs),
    }


# --- Recommendation ---


class Recommendation:
    """A set of interactions, split, with what training and evaluation need of it.

    Args:
        split: the interactions.
    """

    def __init__(self, split: FeedbackSplit):
        self.split, self.name = split, split.name
        sizes = split.num_users, split.num_items
        self.num_nodes = sum(sizes)
        self.task: Task = recommendation_task(*split.train, *sizes)
        self.validation: Held = held(split.train, split.validation, *sizes)
        self.test: Held = held(split.train, split.test, *sizes)

    def popularity(self) -> dict[str, float]:
        """Test metrics of the ranking by popularity."""
        out = popularity(self.split.train, self.split.num_users, self.split.num_items)
        return {name: float(value[0]) for name, value in evaluate(out, self.test, KS).items()}


def open_feedback(name: FeedbackSet, *, fallback: bool = False) -> Source[Recommendation]:
    """The set called `name`, split 80/10/10.

    Args:
        name: `"generated"`, `"movielens-100k"`, `"movielens-1m"` or `"facebook-books"`.
        fallback: take generated interactions, under their own name, where the set is not on this machine.

    Raises:
        DatasetUnavailable: if it is missing, cannot be downloaded, and there is no fallback.
        ValueError: for another name.
    """
    openers = {
        "generated": generated_feedback,
        "movielens-100k": movielens_100k,
        "movielens-1m": movielens_1m,
        "facebook-books": facebook_books,
    }
    _check(name, openers)

    def split(load: Callable[[], Feedback]) -> Recommendation:
        return Recommendation(split_feedback(load()))

    return open_or(
        lambda: split(openers[name]),
        (lambda: split(generated_feedback)) if fallback else None,
        stand_in_for="MovieLens 100K" if name == "generated" else "",
        instead_of="MovieLens 100K",
    )


def choose_settings(
    builds: Mapping[str, Build],
    grid: Mapping[str, tuple[Setting, ...]],
    train_one: Callable[[Build, list[Setting]], np.ndarray],
) -> dict[str, Setting]:
    """The setting of every model with the best validation score; a single candidate is taken without training.

    Args:
        builds: models.
        grid: candidates of each.
        train_one: validation scores of a model under each of several settings; one that is not a number loses to all others.

    Raises:
        ValueError: if a model has no candidate.
    """
    if missing := [name for name in builds if not grid.get(name)]:
        raise ValueError(f"grid has no setting for {', '.join(missing)}")
    chosen = {}
    for name, build in builds.items():
        candidates = grid[name]
        scores = train_one(build, list(candidates)) if len(candidates) > 1 else np.zeros(1)
        chosen[name] = candidates[int(np.argmax(np.nan_to_num(scores, nan=-np.inf)))]
    return chosen


def recommend(
    data: Recommendation, build: Build, settings: list[Setting], keys: list[jax.Array], steps: list[int], *, batch_size: int
) -> dict[str, Any]:
    """Train a recommender once per entry of the lists: `test` metrics, `losses` and `params` by run, and the `skeleton`."""
    skeleton, params, losses = train(build, data.task, settings, keys, steps, batch_size=batch_size)
    out = encode(skeleton, params, data.task.graph)
    test = {name: np.asarray(values) for name, values in evaluate(out, data.test, KS).items()}
    return {"test": test, "losses": losses, "skeleton": skeleton, "params": params}


def validation_f1(data: Recommendation, run: Mapping[str, Any]) -> np.ndarray:
    """F1@10 on validation interactions of what `recommend` returned, `[runs]`."""
    out = encode(run["skeleton"], run["params"], data.task.graph)
    return np.asarray(evaluate(out, data.validation, KS)["f1@10"])


# --- Link prediction ---


def open_links(name: LinkSet, *, fallback: bool = False) -> Source[LinkGraph]:
    """The graph called `name`; all but ogbl-ddi stand in for it.

    Args:
        name: `"generated"`, `"umls"`, `"cora"` or `"ogbl-ddi"`.
        fallback: take a generated graph, under its own name, where the set is not on this machine.

    Raises:
        DatasetUnavailable: if it is missing and there is no fallback.
        ValueError: for another name.
    """
    openers = {"generated": block_graph, "umls": umls_graph, "cora": cora_graph, "ogbl-ddi": ogbl_ddi_graph}
    _check(name, openers)
    stand_in_for = "" if name == "ogbl-ddi" else "ogbl-ddi"
    return open_or(openers[name], block_graph if fallback else None, stand_in_for=stand_in_for, instead_of="ogbl-ddi")


def _check(name: str, openers: Mapping[str, Any]) -> None:
    if name not in openers:
        raise ValueError(f"name is {name!r}; it must be one of {list(openers)}")


def predict_links(
    split: LinkSplit,
    num_nodes: int,
    build: Build,
    settings: list[Setting],
    keys: list[jax.Array],
    *,
    steps: int,
    batch_size: int,
    hits_k: int = 20,
    objective: Objective = "bpr",
) -> dict[str, np.ndarray]:
    """Hits@K on validation and test edges against pairs that are no edges, for every run."""
    task = link_task(split.train, num_nodes)
    skeleton, params, losses = train(build, task, settings, keys, [steps] * len(keys), batch_size=batch_size, objective=objective)
    parts = {"validation": split.validation, "test": split.test}
    pairs = np.concatenate([*parts.values(), split.non_edges], axis=1)
    scores = np.asarray(_scores(skeleton, params, task.graph, pairs))
    *shares, negative = np.split(scores, np.cumsum([part.shape[1] for part in parts.values()]), axis=1)
    hits = {}
    for name, positive in zip(parts, shares, strict=True):
        hits[name] = np.stack([_hits(*run, hits_k) for run in zip(positive, negative, strict=True)])
    return {**hits, "losses": losses}


@partial(jax.jit, static_argnums=0)
def _scores(skeleton: nnx.GraphDef, params: Any, graph: Graph, pairs: Array) -> Array:
    """Of pairs of nodes, for every run, `[runs, pairs]`."""

    def one(params):
        model = nnx.merge(skeleton, params)
        out = model(graph)
        return model.score(out[pairs[0]], out[pairs[1]])

    return jax.lax.map(one, params)


_hits = jax.jit(hits_at_k, static_argnums=2)


def degree_product_hits(split: LinkSplit, num_nodes: int, k: int) -> float:
    """Hits@K of the score `deg_i deg_j`, which knows nothing of who is linked to whom."""
    degree = np.bincount(split.train.ravel(), minlength=num_nodes).astype(np.float32)
    positive, negative = (degree[i] * degree[j] for i, j in (split.test, split.non_edges))
    return float(_hits(positive, negative, k))
