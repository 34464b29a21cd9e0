"""Do weights of features become orthogonal where features share rows? Angles, and a linear model in which little else happens."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int, Num

from quire.common.arrays import AnyArray
from quire.common.checks import floating
from quire.common.claims import shared
from quire.common.layers.ctr import FeatureTable, log_loss
from quire.common.random import generator
from quire.common.train.batches import epoch_indices
from quire.common.train.seeds import fit_seeds, fold_keys
from quire.unified_embedding.config import Orthogonality, Preset
from quire.unified_embedding.gradients import Components, value_components

TABLES = ("shared", "separate", "a row for each")
STARTS = ("random", "aligned")


def pair_cosines(theta: Num[AnyArray, "features d *units"]) -> Float[Array, "pairs *units"]:
    """Cosine of the weights of every pair of features, for each unit of a first layer; 0 where a weight is zero.

    Args:
        theta: weights by feature. Those of a linear model are `[features, d]`, a first layer has an axis more.

    Raises:
        ValueError: for fewer than two features, or weights that are no vectors.

    >>> pair_cosines(jnp.array([[1.0, 0.0], [1.0, 1.0], [0.0, 2.0]])).round(3).tolist()
    [0.7070000171661377, 0.0, 0.7070000171661377]
    """
    if theta.ndim < 2 or len(theta) < 2:
        raise ValueError(f"theta has shape {theta.shape}; it must be [features, d, ...] with two features at least")
    (theta,) = floating(theta)
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(theta), axis=1, keepdims=True, initial=0))
    scaled = theta / jnp.where(largest > 0, largest, 1)
    squares = jnp.sum(jnp.square(scaled), axis=1, keepdims=True)
    unit = scaled / jnp.sqrt(jnp.where(squares > 0, squares, 1))
    left, right = np.triu_indices(len(theta), 1)
    return jnp.sum(unit[left] * unit[right], axis=1)


def mean_abs_cosine(theta: Num[AnyArray, "features d *units"]) -> Float[Array, ""]:
    """Mean of `|pair_cosines|`: 0 for orthogonal weights, about `sqrt(2 / (pi d))` for random ones, 1 for parallel ones."""
    return jnp.mean(jnp.abs(pair_cosines(theta)))


class LinearClicks(nnx.Module):
    """`logit = b + sum_t <theta_t, E[row_t]>`.

    Args:
        rows, dim, features: sizes.
        rngs: random keys.
    """

    def __init__(self, rows: int, dim: int, features: int, *, rngs: nnx.Rngs):
        self.table = FeatureTable(rows, dim, rngs=rngs)
        draw = generator(rngs.params())
        self.theta = nnx.Param(jnp.asarray(dim**-0.5 * draw.standard_normal((features, dim)), jnp.float32))
        self.bias = nnx.Param(jnp.zeros(()))

    def __call__(self, rows: Int[AnyArray, "batch features"], offset: Float[AnyArray, "features d"]) -> Float[Array, " batch"]:
        """Log-odds; `offset` is added to theta."""
        return self.bias[...] + jnp.einsum("btd,td->b", self.table(rows), self.theta[...] + offset)


class World(NamedTuple):
    """Examples `[n, features]`, their labels `[n]`, and the row of every value in three tables `[3, features, values]`."""

    tokens: np.ndarray
    labels: np.ndarray
    rows: np.ndarray


def draw_world(config: Orthogonality, key: jax.Array) -> World:
    """Uniform tokens, labels of a logistic model with normal effects, and random hash functions."""
    draw, (t, v) = generator(key), (config.features, config.values)
    tokens = draw.integers(0, v, (config.examples, t)).astype(np.int32)
    logits = np.take_along_axis(draw.standard_normal((t, v)).T, tokens, axis=0).sum(1)
    labels = (draw.random(config.examples) < 1 / (1 + np.exp(-logits))).astype(np.float32)
    part = config.rows // t
    together = draw.integers(0, config.rows, (t, v))
    apart = draw.integers(0, part, (t, v)) + part * np.arange(t)[:, None]
    return World(tokens, labels, np.stack([together, apart, np.arange(t * v).reshape(t, v)]).astype(np.int32))


def offset_of(start: str, config: Orthogonality) -> float:
    """What is added to theta: all weights that start aligned lean to one side."""
    return config.aligned if start == "aligned" else 0.0


def linear_loss(model: LinearClicks, batch: tuple[Array, Array, Array], key: jax.Array) -> Float[Array, ""]:
    """Cross-entropy of a batch."""
    rows, labels, offset = batch
    return log_loss(model(rows, jnp.full(model.theta[...].shape, offset)), labels)


@shared
def angle_runs(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """Three kinds of tables, two starts, all seeds as one program.

    Returns:
        `cosine`: `[seeds, snapshots + 1]` by start and table. `components`: mean norms `[seeds, 2, 3]` of the true part, of other
        values and of other features in the gradient of a row, at the start and at the end, by table; `felt`: the same after
        projection on the feature's weights. `loss`: the last tenth's mean, by start and table.
    """
    config, names = preset.orthogonality, [(start, table) for start in STARTS for table in TABLES]
    worlds = [draw_world(config, key) for key in fold_keys(keys, 1)]
    first = [build(config, nnx.Rngs(key)) for key in keys]
    offsets = np.array([offset_of(start, config) for start, _ in names], np.float32)
    state, losses = _trained(config, worlds, names, offsets, keys)
    theta = np.stack([np.asarray(model.theta[...]) for model in first])
    theta = np.concatenate([np.tile(theta, (len(names), 1, 1))[:, None], np.asarray(state["theta"][...])], axis=1)
    theta = theta.reshape(len(names), len(keys), *theta.shape[1:]) + offsets[:, None, None, None, None]
    cosine = np.asarray(jax.jit(jax.vmap(jax.vmap(jax.vmap(mean_abs_cosine))))(theta))
    tail = np.asarray(losses)[:, -config.training.steps // 10 :].mean(1).reshape(len(names), -1)
    tables = np.stack([np.asarray(model.table.weights[...]) for model in first])
    parts = {
        table: _component_norms(worlds, theta[i], state, tables, i, len(keys))
        for i, (start, table) in enumerate(names)
        if start == "random"
    }
    return {
        "cosine": {name: cosine[i] for i, name in enumerate(names)},
        "loss": {name: tail[i] for i, name in enumerate(names)},
        "components": {table: x[0] for table, x in parts.items()},
        "felt": {table: x[1] for table, x in parts.items()},
    }


def build(config: Orthogonality, rngs: nnx.Rngs) -> LinearClicks:
    """A linear model with as many rows as there are values, of which a table may use fewer."""
    return LinearClicks(config.features * config.values, config.dim, config.features, rngs=rngs)


def _trained(config: Orthogonality, worlds: list[World], names: list[tuple[str, str]], offsets: np.ndarray, keys: jax.Array):
    """States and losses of all runs, ordered by name, then by seed."""
    recipe = config.training
    orders = [epoch_indices(key, config.examples, recipe.batch_size, recipe.steps) for key in fold_keys(keys, 2)]
    tokens, labels, rows = (np.stack(x) for x in zip(*worlds, strict=True))
    tables = np.concatenate([rows[:, TABLES.index(table)] for _, table in names])
    seeds = np.tile(np.arange(len(keys)), len(names))
    tokens, labels, order = jnp.asarray(tokens), jnp.asarray(labels), jnp.asarray(np.stack(orders))

    def batch_at(data, step):
        seed, rows, offset = data
        chosen = order[seed, step]
        return rows[jnp.arange(config.features)[None], tokens[seed, chosen]], labels[seed, chosen], offset

    _, state, losses = fit_seeds(
        partial(build, config),
        recipe.transformation(flat=True),
        linear_loss,
        batch_at,
        (seeds, tables, np.repeat(offsets, len(keys))),
        steps=recipe.steps,
        keys=jnp.tile(keys, len(names)),
        snapshots=config.snapshots,
    )
    return state, losses


def _component_norms(worlds, theta, state, start_table, run, seeds):
    """Norms `[seeds, 2, 3]` of the components at the start and the end, and of what each feature's own weights feel of them."""
    tables, biases = np.asarray(state["table"]["weights"][...]), np.asarray(state["bias"][...])
    found = np.zeros((2, seeds, 2, 3))
    for s, world in enumerate(worlds):
        ends = [(start_table[s], 0.0, theta[s, 0]), (tables[run * seeds + s, -1], biases[run * seeds + s, -1], theta[s, -1])]
        for moment, (table, bias, weights) in enumerate(ends):
            found[:, s, moment] = component_norms(world, world.rows[run], table, weights, float(bias))
    return found


def component_norms(
    world: World, rows: Int[np.ndarray, "features values"], table: np.ndarray, theta: np.ndarray, bias: float
) -> Float[np.ndarray, "2 3"]:
    """Means over all values of the norms of true, intra and inter part, and of `|<theta_t, part>| / |theta_t|`."""
    embedded = table[rows[np.arange(len(rows)), world.tokens]]
    residual = 1 / (1 + np.exp(-(bias + np.einsum("ntd,td->n", embedded, theta)))) - world.labels
    with jax.enable_x64():  # in NumPy's precision, and a program for each shape only once
        by_feature = value_components(np.asarray(theta, float), list(rows), world.tokens, residual)
    parts = np.stack([np.stack(Components(*map(np.asarray, each))) for each in by_feature])  # [features, 3, values, d]
    unit = theta / np.linalg.norm(theta, axis=1, keepdims=True)
    felt = np.abs(np.einsum("tpvd,td->tpv", parts, unit))
    return np.stack([np.linalg.norm(parts, axis=-1).mean((0, 2)), felt.mean((0, 2))])
