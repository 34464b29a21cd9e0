"""One compiled chunk of steps that serves many runs: rates, batches and all that ablations change are its arguments."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from flax import nnx

from quire.common.train.finite import check_losses, check_state

Loss = Callable[[Any, Any, Any], jax.Array]
"""`loss(model, batch, constants) -> scalar`, traced."""
GroupOf = Callable[[tuple], int]
"""From the path of a parameter to the column of the rates that it follows."""

ADAM = optax.scale_by_adam(0.9, 0.99, 1e-15)


class Run(NamedTuple):
    """A model in training: its graph, its parameters, and the moments of the optimiser."""

    graph: nnx.GraphDef
    params: Any
    moments: Any

    @property
    def model(self) -> Any:
        """The model as it is now, of the class that it had at the start."""
        return nnx.merge(self.graph, self.params)


class Course(NamedTuple):
    """Losses and lengths of the gradients, `[steps]`."""

    losses: np.ndarray
    gradients: np.ndarray


def start(model: nnx.Module, optimiser: optax.GradientTransformation = ADAM) -> Run:
    """A run from the parameters that a model has; the model itself is not changed. The optimiser is that of its `train_chunk`.

    Raises:
        ValueError: if the model holds variables other than parameters.
    """
    _, params, rest = nnx.split(model, nnx.Param, ...)
    if jax.tree.leaves(rest):
        raise ValueError(f"model holds {len(jax.tree.leaves(rest))} variables that are not parameters; it needs parameters alone")
    return Run(nnx.graphdef(model), params, _initial_moments(params, optimiser))


_initial_moments = jax.jit(lambda params, optimiser: optimiser.init(params), static_argnums=1)


def one_group(path: tuple) -> int:
    """All parameters follow the first column of the rates."""
    return 0


def train_chunk(
    run: Run,
    loss: Loss,
    batches: Any,
    rates: Any,
    constants: Any = None,
    *,
    decay: float = 0.0,
    group_of: GroupOf = one_group,
    optimiser: optax.GradientTransformation = ADAM,
    first_step: int = 0,
) -> tuple[Run, Course]:
    """Some steps of an optimiser, as one program; by default of Adam (0.9, 0.99, eps 1e-15).

    Runs of the same graph, loss and shapes share it, so that ablations and seeds cost no compilation. The loss, `group_of`
    and the optimiser must be the same objects each time.

    Args:
        run: where to go on from.
        loss: of a model, a batch and the constants.
        batches: pytree of arrays `[steps, ...]`, the batch of every step; numbers that change from step to step are in it too.
        rates: `[steps, groups]`, learning rates.
        constants: pytree of arrays that all steps see.
        decay: decoupled weight decay.
        group_of: which column of the rates a parameter follows. A rate of zero freezes it.
        optimiser: scales gradients; the rates multiply what it gives.
        first_step: number of the first step, for the message of a failure.

    Returns:
        The run after these steps, and its course.

    Raises:
        ValueError: if `rates` is not `[steps, groups]`, or a batch has another number of steps.
        TrainingDiverged: naming the step, if a loss, or after the last step a parameter or a moment, is not finite.
    """
    rates = np.asarray(rates, np.float32)
    lengths = {np.shape(leaf)[:1] for leaf in jax.tree.leaves(batches)}
    if rates.ndim != 2 or lengths != {rates.shape[:1]}:
        raise ValueError(
            f"rates has shape {rates.shape} and batches lengths {sorted(lengths)}; both need the same number of steps"
        )
    params, moments, losses, gradients = _chunk(
        run.graph, loss, group_of, optimiser, run.params, run.moments, batches, rates, constants, np.float32(decay)
    )
    course = Course(np.asarray(losses), np.asarray(gradients))
    check_losses(course.losses, first_step)
    check_state({"params": params, "moments": moments}, first_step, first_step + len(rates))
    return Run(run.graph, params, moments), course


@partial(jax.jit, static_argnames=("graph", "loss", "group_of", "optimiser"))
def _chunk(graph, loss, group_of, optimiser, params, moments, batches, rates, constants, decay):
    def step(carry, inputs):
        params, moments = carry
        batch, rate = inputs
        value, slope = jax.value_and_grad(lambda p: loss(nnx.merge(graph, p), batch, constants))(params)
        update, moments = optimiser.update(slope, moments, params)

        def moved(path, p, u):
            step_size = rate[group_of(path)].astype(p.dtype)
            return p - step_size * (u + decay.astype(p.dtype) * p)

        params = jax.tree.map_with_path(moved, params, update)
        return (params, moments), (value, optax.global_norm(slope))

    (params, moments), (losses, gradients) = jax.lax.scan(step, (params, moments), (batches, rates))
    return params, moments, losses, gradients


def cosine_rates(peak: Any, steps: int, *, total: int | None = None, first: int = 0, floor: float = 0.02) -> np.ndarray:
    """Rates that fall along half a cosine from the peak to `floor` times the peak.

    Args:
        peak: of every group.
        steps: how many.
        total: length of the whole course; `steps` by default.
        first: number of the first step.
        floor: last rate over the first.

    Returns:
        float32 `[steps, groups]`.

    >>> cosine_rates([1.0], 3, floor=0.0).ravel().round(2).tolist()
    [1.0, 0.75, 0.25]
    """
    place = (first + np.arange(steps)) / (total or steps)
    fall = floor + (1 - floor) * (1 + np.cos(np.pi * np.minimum(place, 1))) / 2
    return (fall[:, None] * np.atleast_1d(np.asarray(peak, float))[None]).astype(np.float32)
