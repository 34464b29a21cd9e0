"""Recommenders and link predictors, trained and scored on the data of a preset."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
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
from quire.common.metrics.ranking import hits_at_k
from quire.sheaf_recsys.config import FeedbackSet, LinkSet
from quire.sheaf_recsys.models import BPRMF, GCN, NGCF, LightGCN, SheafRec, inner_product
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
        train_one: validation scores of a model under each of several settings.
    """
    chosen = {}
    for name, build in builds.items():
        candidates = grid[name]
        scores = train_one(build, list(candidates)) if len(candidates) > 1 else np.zeros(1)
        chosen[name] = candidates[int(np.argmax(scores))]
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
    out = encode(skeleton, params, task.graph)
    parts = {"validation": split.validation, "test": split.test}
    hits = {name: np.asarray(_hits(skeleton, hits_k, params, out, edges, split.non_edges)) for name, edges in parts.items()}
    return {**hits, "losses": losses}


@partial(jax.jit, static_argnums=(0, 1))
def _hits(skeleton: nnx.GraphDef, k: int, params: Any, out: Array, edges: Array, non_edges: Array) -> Array:
    def one(run):
        params, out = run
        score = nnx.merge(skeleton, params).score
        positive, negative = (score(out[i], out[j]) for i, j in (edges, non_edges))
        return hits_at_k(positive, negative, k)

    return jax.lax.map(one, (params, out))


def degree_product_hits(split: LinkSplit, num_nodes: int, k: int) -> float:
    """Hits@K of the score `deg_i deg_j`, which knows nothing of who is linked to whom."""
    degree = jnp.asarray(np.bincount(split.train.ravel(), minlength=num_nodes), jnp.float32)[:, None]
    positive, negative = (inner_product(degree[i], degree[j]) for i, j in (split.test, split.non_edges))
    return float(hits_at_k(positive, negative, k))
