"""Training of fields whose points are prepared: one compiled loop for all variants, pictures and seeds."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float

from quire.common.train.fit import fit
from quire.common.train.seeds import Build, fit_seeds, stack
from quire.common.train.step import Model
from quire.neurbf.config import FieldConfig, Training
from quire.neurbf.field import HybridField, Points, Switches


class Task(NamedTuple):
    """One fit: points with their targets `[n, c]`, what is switched on, and the points of every step `[steps, batch]`."""

    points: Points
    target: Array | np.ndarray
    order: Array | np.ndarray
    switches: Switches


def switches(config: FieldConfig, *, channels: bool = True, decoder: bool = True) -> Switches:
    """Sines on or off; the plain channels of the configuration never have one."""
    return Switches(channels & (np.arange(config.channels) >= config.plain_channels), np.array(decoder))


def pick(task: Task, step: Array | int) -> Task:
    """The points and targets of a step."""
    rows = task.order[step]
    return Task(*jax.tree.map(lambda a: a[rows], tuple(task[:2])), rows, task.switches)


def squared_error(model: Callable[..., Array], batch: Task, key: jax.Array) -> Float[Array, ""]:
    """`mean (f - y)^2`, for images."""
    return jnp.mean((model(batch.points, batch.switches) - batch.target) ** 2)


def mape(prediction: Float[Array, "n c"], target: Float[Array | np.ndarray, "n c"]) -> Float[Array, ""]:
    """`mean |f - y| / (|y| + 0.01)`: relative where the target is large, absolute at the surface.

    >>> print(mape(jnp.array([[0.1]]), jnp.array([[0.09]])).round(3))
    0.1
    """
    return jnp.mean(jnp.abs(prediction - target) / (jnp.abs(target) + 0.01))


def relative_error(model: Callable[..., Array], batch: Task, key: jax.Array) -> Float[Array, ""]:
    """`mape` of a field, for signed distances."""
    return mape(model(batch.points, batch.switches), batch.target)


def optimiser(training: Training, *, grid_rate: float | None = None) -> optax.GradientTransformation:
    """Adam as the authors set it, one rate for the decoder and one for all else.

    Args:
        training: rates and length.
        grid_rate: another rate for the table of the grid.
    """
    rates = {"decoder": training.decoder_rate, "grid": training.rate if grid_rate is None else grid_rate}

    def scale(path, update):
        names = jax.tree_util.keystr(path)
        return -next((rate for name, rate in rates.items() if f"'{name}'" in names), training.rate) * update

    return optax.chain(
        optax.flatten(optax.scale_by_adam(0.9, 0.99, 1e-15)),
        optax.stateless(lambda updates, params: jax.tree.map_with_path(scale, updates)),
        optax.scale_by_schedule(optax.cosine_decay_schedule(1.0, training.steps, training.floor)),
    )


Objective = Callable[[Model, Task, jax.Array], Array]


def train_all(
    build: Build[Model],
    tasks: Sequence[Task],
    keys: Sequence[jax.Array],
    training: Training,
    objective: Objective[Model],
    *,
    grid_rate: float | None = None,
) -> list[np.ndarray]:
    """Train a model for every task, one after the other by one program, and evaluate it at all points of its task.

    Args:
        build: makes a model from its random keys; large enough for every task.
        tasks: of equal shapes.
        keys: one a task; each seeds the first weights.
        training: length and rates.
        objective: `objective(model, batch, key)`.
        grid_rate: as for `optimiser`.

    Returns:
        Values `[n, c]` of every task.
    """
    tx = optimiser(training, grid_rate=grid_rate)
    data = stack(tasks)
    graph, states, _ = fit_seeds(
        build, tx, objective, pick, data, steps=training.steps, keys=jnp.stack(list(keys)), one_by_one=True
    )
    evaluate = jax.jit(lambda state, points, on: nnx.merge(graph, state)(points, on))
    return [
        np.asarray(evaluate(jax.tree.map(lambda x, i=i: x[i], states), task.points, task.switches))
        for i, task in enumerate(tasks)
    ]


def train_field(
    model: HybridField, task: Task, training: Training, objective: Objective[HybridField], key: jax.Array, **options: Any
) -> np.ndarray:
    """Train one field in place; the losses of every step. Options are those of `train.fit`."""
    return fit(model, optimiser(training), objective, pick, task, steps=training.steps, key=key, **options).losses
