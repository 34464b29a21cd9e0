"""Training of click models, many at once: one program serves all ways of filling a table, since only the index differs."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from quire.common.data.click_logs import ClickLog
from quire.common.layers.ctr import CtrNet, FeatureTable, log_loss
from quire.common.random import generator
from quire.common.train.batches import epoch_indices
from quire.common.train.seeds import fit_seeds
from quire.unified_embedding.config import Clicks

Columns = Sequence[tuple[int, int]]
"""Feature and lookup of every column of the index."""


class Part(NamedTuple):
    """Rows of a log to train on and to test on."""

    train: np.ndarray
    test: np.ndarray


def random_split(log: ClickLog, test: float, key: jax.Array) -> Part:
    """A random part of the examples is for the test.

    Raises:
        ValueError: if a part would be empty.
    """
    order, count = generator(key).permutation(len(log.label)), round(test * len(log.label))
    if not 0 < count < len(order):
        raise ValueError(f"test is {test} of {len(order)} examples; both parts need one")
    return Part(order[count:], order[:count])


def batches(part: Part, config: Clicks, key: jax.Array) -> Int[np.ndarray, "steps batch"]:
    """Rows of the log that every step sees."""
    recipe = config.recipe(len(part.train))
    return part.train[epoch_indices(key, len(part.train), recipe.batch_size, recipe.steps)].astype(np.int32)


def columns_of(lookups: Sequence[int]) -> list[tuple[int, int]]:
    """Features in order, the lookups of each side by side.

    >>> columns_of([1, 2])
    [(0, 0), (1, 0), (1, 1)]
    """
    return [(t, c) for t, k in enumerate(lookups) for c in range(k)]


class Trained(NamedTuple):
    """Runs of one program.

    Attributes:
        logits: of the rows that each run is tested on, `[runs, n]`.
        first_layer: weights that read the embeddings, `[runs, columns, dim, hidden]`.
        table_size: parameters of the embedding.
    """

    logits: np.ndarray
    first_layer: np.ndarray
    table_size: int


def click_loss(model: CtrNet, batch: tuple[tuple, Array], key: jax.Array) -> Float[Array, ""]:
    """Cross-entropy of a batch: what the model is called with, and labels."""
    inputs, labels = batch
    return log_loss(model(*inputs), labels)


def train(
    log: ClickLog,
    config: Clicks,
    keys: jax.Array,
    order: Int[np.ndarray, "runs steps batch"],
    tested: Int[np.ndarray, "runs n"],
    maps: Any,
    pick: Callable[[Any, Array], tuple],
    build: Callable[[nnx.Rngs], CtrNet],
) -> Trained:
    """Train and test many models side by side.

    Args:
        log: of clicks.
        config: of the training.
        keys: of the runs; equal ones start alike.
        order: rows of the log by run and step.
        tested: rows of the log that each run is tested on.
        maps: what the values read, a pytree with leading axes `[runs, values]`.
        pick: `(maps of a run, values [batch, features]) -> what the model is called with`.
        build: the model.

    Returns:
        Logits and first layers.
    """
    values, labels = jnp.asarray(log.values), jnp.asarray(log.label)

    def batch_at(data, step):
        rows = data[0][step]
        return pick(data[1], values[rows]), labels[rows]

    tx = config.recipe(len(log.label)).transformation(flat=True)
    graph, state, _ = fit_seeds(build, tx, click_loss, batch_at, (order, maps), steps=order.shape[1], keys=keys)

    @jax.jit
    def answers(states, maps, tested):
        return jax.lax.map(lambda run: nnx.merge(graph, run[0])(*pick(run[1], values[run[2]])), (states, maps, tested))

    logits = np.asarray(answers(state, maps, tested))
    kernel = np.asarray(state["mlp"]["kernels"][0][...])
    table_size = sum(x[0].size for x in jax.tree.leaves(state["embedding"]))
    return Trained(logits, kernel.reshape(len(keys), -1, config.dim, kernel.shape[-1]), table_size)


def train_tables(
    log: ClickLog,
    config: Clicks,
    keys: jax.Array,
    order: Int[np.ndarray, "runs steps batch"],
    tested: Int[np.ndarray, "runs n"],
    maps: Int[np.ndarray, "runs values lookups"],
    lookups: Sequence[int],
    *,
    cross_layers: int = 0,
) -> Trained:
    """`train` for tables of rows: `maps` names the rows of every value, `lookups` how many of them each feature reads."""
    features, places = np.array(columns_of(lookups)).T
    rows = int(maps.max()) + 1

    def pick(rows_of, values):
        return (rows_of[values[:, features], places[None]],)

    def build(rngs):
        table = FeatureTable(rows, config.dim, rngs=rngs)
        return CtrNet(table, len(features) * config.dim, config.hidden, cross_layers=cross_layers, rngs=rngs)

    return train(log, config, keys, order, tested, maps, pick, build)


def auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Area under the receiver's curve, by scikit-learn; NaN if a score is, or if all labels are alike."""
    from sklearn.metrics import roc_auc_score

    if np.isnan(scores).any() or len(np.unique(labels)) < 2:
        return float("nan")
    return float(roc_auc_score(labels, scores))
