"""The claims of the paper, in its order."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from quire.common.claims import (
    Measurement,
    all_of,
    at_least,
    beats,
    below,
    close_to,
    every_seed,
)
from quire.common.claims.identity import identity
from quire.common.claims.measurement import log_log_slope
from quire.common.random import generator
from quire.common.testing import max_relative_error
from quire.common.train.seeds import stack
from quire.dain import brute_force, figures
from quire.dain.cell_importance import cell_gradients, cell_importance, streamed_importance
from quire.dain.comparison import NO_AUGMENTATION, SAME_START, TWO_NETWORKS, comparison
from quire.dain.config import Preset
from quire.dain.entity_mlp import load_entity_mlp
from quire.dain.first_order import first_order_effect
from quire.dain.paper import paper
from quire.dain.scaling import epoch_costs
from quire.dain.wrong_cells import find_wrong_cells

# --- What is computed ---

DIMS, LAYERS, TRAIN, VALIDATION, EPOCHS = (7, 6, 5), (12, 8, 4), 30, 10, 3
SMALL = f"random networks {LAYERS} at {EPOCHS} epochs, {TRAIN} training and {VALIDATION} validation cells"


def _small(key: jax.Array) -> tuple[list[dict[str, np.ndarray]], np.ndarray, np.ndarray]:
    """Weights at every epoch by the authors' names, indices and values of cells."""
    draw = generator(key)
    shapes: dict[str, tuple[int, ...]] = {f"embeddings.{k}.weight": (size, LAYERS[0] // len(DIMS)) for k, size in enumerate(DIMS)}
    maps = [*(f"fc_layers.{k}" for k in range(len(LAYERS) - 1)), "output_layer"]
    for name, fan_in, fan_out in zip(maps, LAYERS, (*LAYERS[1:], 1), strict=True):
        shapes |= {f"{name}.weight": (fan_out, fan_in), f"{name}.bias": (fan_out,)}
    weights = [{name: draw.standard_normal(shape) / shape[-1] ** 0.5 for name, shape in shapes.items()} for _ in range(EPOCHS)]
    indices = np.stack([draw.integers(0, size, TRAIN + VALIDATION) for size in DIMS], axis=1)
    return weights, indices, draw.standard_normal(TRAIN + VALIDATION)


def _networks(weights: list[dict[str, np.ndarray]], dtype: Any) -> tuple[nnx.GraphDef, nnx.State]:
    """Graph, and states of all epochs `[epochs, ...]`."""
    models = [load_entity_mlp({name: x.astype(dtype) for name, x in each.items()}) for each in weights]
    return nnx.graphdef(models[0]), jax.device_put(stack([nnx.state(model) for model in models]))


@partial(jax.jit, static_argnums=0)
def _stored(graph: nnx.GraphDef, states: nnx.State, cells: tuple[Any, Any]) -> jax.Array:
    """Gradients of all cells at every epoch, by their formula."""
    return jax.vmap(lambda state: cell_gradients(nnx.merge(graph, state), cells))(states)


@partial(jax.jit, static_argnums=0)
def _by_autograd(graph: nnx.GraphDef, states: nnx.State, cells: tuple[Any, Any]) -> jax.Array:
    """Gradients of `(y - v)^2 / 2` of every cell by the output weights, through the whole network."""

    def half_square(state, cell, value):
        return (nnx.merge(graph, state)(cell[None])[0][0] - value) ** 2 / 2

    of_cells = jax.vmap(jax.grad(half_square), (None, 0, 0))
    return jax.vmap(of_cells, (0, None, None))(states, *cells)["output"]["kernel"][...][..., 0]


_streamed = jax.jit(streamed_importance, static_argnames=("graph", "block"))


@paper.claim(
    "C1",
    says="The product that is added up over the epochs is TracIn on the weights of the output layer",
    source="section 4.1",
    metric="largest error / largest reference, float64",
    holds=all_of(below(1e-9), below(1e-5, of="float32")),
    exact=True,
)
def is_tracin(preset: Preset, key: jax.Array) -> Measurement:
    """Gradients against automatic differentiation, importances against all pairs of cells."""
    weights, indices, values = _small(key)

    def error(dtype: Any) -> dict[str, float]:
        graph, states = _networks(weights, dtype)
        cells = indices, values.astype(dtype)
        found, expected = _stored(graph, states, cells), np.asarray(_by_autograd(graph, states, cells), float)
        importance = cell_importance(found[:, :TRAIN], found[:, TRAIN:])
        pairs = brute_force.cell_importance(expected[:, :TRAIN], expected[:, TRAIN:])
        return {"gradients": max_relative_error(found, expected), "importances": max_relative_error(importance, pairs)}

    return identity(error, SMALL)


@paper.claim(
    "C2",
    says="Influence needs one more pass over the cells in each epoch, and no stored gradients",
    source="section 4.1",
    metric="largest difference / largest importance, float64",
    holds=all_of(below(1e-9), below(1e-5, of="float32")),
    exact=True,
)
def needs_no_store(preset: Preset, key: jax.Array) -> Measurement:
    """Stored gradients against importances that are added up epoch by epoch, in blocks that do not divide the cells."""
    weights, indices, values = _small(key)

    def error(dtype: Any) -> float:
        graph, states = _networks(weights, dtype)
        cells = indices, values.astype(dtype)
        train, validation = (tuple(x[part] for x in cells) for part in (slice(TRAIN), slice(TRAIN, None)))
        stored = _stored(graph, states, cells)
        streamed = _streamed(graph, states, np.ones(EPOCHS), train, validation, block=7)
        return max_relative_error(streamed, cell_importance(stored[:, :TRAIN], stored[:, TRAIN:]))

    numbers = {"numbers held, stored": EPOCHS * (TRAIN + VALIDATION) * LAYERS[-1], "numbers held, streamed": TRAIN + LAYERS[-1]}
    return identity(error, SMALL, extras=numbers)


@paper.claim(
    "C3",
    says="Influence is the first-order effect of learning a training cell on the validation error",
    source="section 4.1, after TracIn",
    metric="correlation of influence and measured decrease",
    holds=all_of(every_seed(at_least(0.9999)), every_seed(close_to(1, atol=0.01, of="slope / (2 rate)"))),
    exact=True,
)
def is_the_first_order_effect(preset: Preset, key: jax.Array) -> Measurement:
    """A small step on the output weights over random features, one cell at a time, in float64."""
    found = first_order_effect(key)
    return Measurement(
        found.correlation,
        f"random ReLU features, {len(found.influence)} training cells",
        extras={"slope / (2 rate)": found.relative_slope},
        figure=figures.first_order(found.influence, found.decrease, found.rate),
    )


@paper.claim(
    "C3b",
    says="A cell with a wrong value is told by its negative influence",
    source="section 4.1, what the sign of influence promises",
    metric="AUC of -I for wrong cells",
    holds=beats("|residual|"),
    trivial="random",
    seeds=1,
    expect="not reproduced",
    because=(
        "Influence by the output layer says whether a cell pulls the common weights where the validation cells pull them, and "
        "right cells pull the other way as often as wrong ones. Wrong values show in the residual of a network that generalises. "
        "The absolute influence, by which DAIN draws entities, does not tell them apart either."
    ),
)
def finds_wrong_cells(preset: Preset, key: jax.Array) -> Measurement:
    """Part of the training cells have values of others; the paper does not claim that they are found."""
    found = find_wrong_cells(preset.corruption, jnp.stack([key]))
    auc = {name: float(x[0]) for name, x in found["auc"].items()}
    return Measurement(
        auc["-I"],
        found["data"],
        baselines={name: auc[name] for name in ("|residual|", "random")},
        extras={name: auc[name] for name in ("|I|", "-I, all epochs")}
        | {f"test RMSE, {name}": float(x[0]) for name, x in found["rmse"].items()},
        figure=figures.wrong_cells(found["scores"][0], found["wrong"][0], auc),
    )


# --- Completion ---


@paper.claim(
    "C4",
    says="DAIN lowers the test error of a neural tensor completion",
    source="section 5.2",
    metric="test RMSE",
    holds=all_of(every_seed(beats(NO_AUGMENTATION, lower_is_better=True)), every_seed(beats("duplicates", lower_is_better=True))),
    trivial="user + item biases",
)
def lowers_the_error(preset: Preset, key: jax.Array) -> Measurement:
    """The same network on the observed cells, with some of them twice (as many steps, nothing new), and with DAIN's cells."""
    run = comparison(preset, key)
    beside = (NO_AUGMENTATION, "duplicates", SAME_START, TWO_NETWORKS, "user + item biases", "mean value")
    return Measurement(
        float(run["rmse"]["DAIN"]),
        run["data"],
        baselines={name: float(run["rmse"][name]) for name in beside},
        extras={f"MAE, {name}": float(x) for name, x in run["mae"].items()}
        | {f"MSE, {name}": float(x) ** 2 for name, x in run["rmse"].items()}
        | {f"first seed, {name}": x for name, x in run["further"].items()},
        stand_in_for=run["stand_in_for"],
        figure=figures.learning_curves(run["curves"]),
    )


@paper.claim(
    "C4b",
    says="A network with DAIN's cells completes better than biases of users and items",
    source="section 5.2, a baseline that it lacks",
    metric="test RMSE",
    holds=every_seed(beats("user + item biases", lower_is_better=True)),
    trivial="user + item biases",
    expect="not reproduced",
    because=(
        "With a few ratings a user and item, one number for each of them, shrunk towards zero, leaves less error than any "
        "network here, with or without new cells."
    ),
)
def better_than_biases(preset: Preset, key: jax.Array) -> Measurement:
    """The same runs against the trivial model."""
    run = comparison(preset, key)
    return Measurement(
        float(run["rmse"]["DAIN"]),
        run["data"],
        baselines={name: float(run["rmse"][name]) for name in ("user + item biases", "mean value")},
        stand_in_for=run["stand_in_for"],
    )


@paper.claim(
    "C5",
    says="Every component counts: the entities by their importance, the values by the network",
    source="section 5.3",
    metric="test RMSE",
    holds=all_of(
        every_seed(beats("random values", lower_is_better=True)),
        beats("uniform cells", lower_is_better=True),
        beats("frequency", lower_is_better=True),
    ),
    trivial="duplicates",
    expect="partly",
    because=(
        "The predicted values count in every seed. Where the cells lie does not: entities drawn alike, or by their number of "
        "ratings, do as well within the noise, and importance follows that number closely anyway."
    ),
)
def components_count(preset: Preset, key: jax.Array) -> Measurement:
    """The same runs: uniform cells and entities by frequency, both with predicted values; DAIN's cells with random values."""
    run = comparison(preset, key)
    beside = ("random values", "uniform cells", "frequency", "duplicates")
    return Measurement(
        float(run["rmse"]["DAIN"]),
        run["data"],
        baselines={name: float(run["rmse"][name]) for name in beside},
        stand_in_for=run["stand_in_for"],
    )


# --- Cost ---


@paper.claim(
    "C6",
    says="The time of an epoch with influence grows in proportion to the cells",
    source="section 5.4",
    metric="slope of log time against log cells",
    holds=every_seed(close_to(1, atol=0.2)),
    trivial="bytes of stored gradients",
    timed=True,
)
def scales_linearly(preset: Preset, key: jax.Array) -> Measurement:
    """Training, direction of the validation cells and importances in one program; the least of some times for each size."""
    config = preset.scaling
    cost = epoch_costs(config, key)
    return Measurement(
        log_log_slope(config.cells, cost.seconds),
        f"generated cells of a tensor of {config.side} in each mode, up to {max(config.cells)}",
        baselines={"bytes of stored gradients": log_log_slope(config.cells, cost.stored_bytes)},
        extras={
            "milliseconds, least cells": 1e3 * cost.seconds[0],
            "milliseconds, most cells": 1e3 * cost.seconds[-1],
            "bytes stored / streamed, most cells": cost.stored_bytes[-1] / cost.streamed_bytes[-1],
        },
        series={"seconds": (config.cells, cost.seconds)},
        figure=figures.scaling(config.cells, cost.seconds, cost.streamed_bytes, cost.stored_bytes),
    )
