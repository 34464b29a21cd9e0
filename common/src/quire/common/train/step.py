"""One optimiser step on split state: everything that changes is a pytree, everything that does not is closed over."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from quire.common.train.batches import Batch
from quire.common.train.finite import leaf_name

Model = TypeVar("Model", bound=nnx.Module)
Loss = Callable[[Model, Batch, jax.Array], jax.Array]
"""`loss(model, batch, key) -> scalar`; the key is for masking and the like. What the forward pass changes in the model (running
statistics, counts of random draws) is kept."""


class Weights(NamedTuple):
    """What training changes in a model.

    Attributes:
        params: every `nnx.Param` of a real or complex type.
        other: every other variable: running statistics, random keys and counts, parameters of integers.
        average: moving average of `params`, at least in float32, or None.
    """

    params: optax.Params
    other: nnx.State
    average: nnx.State | None

    def shown(self) -> tuple[optax.Params, nnx.State]:
        """What a model of these weights holds: the average where there is one, and the other variables."""
        if self.average is None:
            return self.params, self.other
        return jax.tree.map(lambda a, p: a.astype(p.dtype), self.average, self.params), self.other


def split_model(model: Model, ema: float = 0.0) -> tuple[nnx.GraphDef[Model], nnx.State, Weights]:
    """Graph, what never changes (NumPy arrays, sown intermediates) and weights of a model; an average starts at the parameters.

    Raises:
        ValueError: if `ema` lies outside `[0, 1)`.
    """
    if not 0 <= ema < 1:
        raise ValueError(f"ema is {ema}; a decay lies in [0, 1)")
    graph, params, fixed, other = nnx.split(model, _is_trained, _is_fixed, ...)
    params, other = jax.tree.map(_strong, (params, other))
    return graph, fixed, Weights(params, other, jax.tree.map(_at_least_float32, params) if ema else None)


def make_step(
    graph: nnx.GraphDef[Model], fixed: nnx.State, tx: optax.GradientTransformation, loss: Loss[Model], ema: float = 0.0
):
    """One optimiser step: `weights, opt_state, batch, key, number -> weights, opt_state, loss`."""

    def step(weights, opt_state, batch, key, number):
        def objective(params):
            model = nnx.merge(graph, params, fixed, weights.other, copy=True)  # variables of this trace, which it may change
            value = loss(model, batch, key)
            return value, _carried(weights.other, nnx.split(model, _is_trained, _is_fixed, ...)[3])

        (value, other), grads = jax.value_and_grad(objective, has_aux=True)(weights.params)
        grads = jax.tree.map(jnp.conj, grads)  # JAX's derivative by a complex number is the conjugate of the direction of ascent
        updates, opt_state = tx.update(grads, opt_state, weights.params)
        params = optax.apply_updates(weights.params, updates)
        average = move_average(weights.average, params, number, ema) if ema else None
        return Weights(params, other, average), opt_state, value

    return step


def move_average(average: Any, params: Any, step: jax.Array | int, decay: float | jax.Array) -> Any:
    """One step of an exponential moving average of parameters, the decay limited to `(1 + step) / (10 + step)` at the start.

    >>> print(move_average(jnp.array(0.0), jnp.array(1.0), 0, 0.99))
    0.9
    """
    decay = jnp.minimum(decay, (1 + step) / (10 + step))
    return jax.tree.map(lambda a, p: (decay * a + (1 - decay) * p).astype(a.dtype), average, params)


def _is_trained(path: tuple, variable: Any) -> bool:
    return isinstance(variable, nnx.Param) and all(
        jnp.issubdtype(jnp.result_type(x), jnp.inexact) for x in jax.tree.leaves(variable.get_value())
    )


def _is_fixed(path: tuple, variable: Any) -> bool:
    return isinstance(variable, np.ndarray | nnx.Intermediate)


def _strong(x: Any) -> jax.Array:
    """An array whose type is its own, also of a Python number."""
    return x if isinstance(x, jax.Array) else jax.device_put(np.asarray(x))  # jnp.asarray compiles a program for every shape


def _at_least_float32(x: jax.Array) -> jax.Array:
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _carried(before: nnx.State, after: nnx.State) -> nnx.State:
    """The variables after a forward pass, in the structure and the types of those before it.

    Raises:
        ValueError: if the pass made, dropped, reshaped or retyped a variable.
    """
    found, wanted = ({leaf_name(path): x for path, x in jax.tree.leaves_with_path(state)} for state in (after, before))
    if changed := sorted(found.keys() ^ wanted.keys()):
        raise ValueError(f"the forward pass makes or drops the variables {', '.join(changed)}; make all of them in __init__")
    return jax.tree.unflatten(jax.tree.structure(before), [_same_type(name, x, found[name]) for name, x in wanted.items()])


def _same_type(name: str, before: jax.Array, after: Any) -> jax.Array:
    after = jnp.asarray(after)
    if (before.shape, before.dtype) == (after.shape, after.dtype):
        return after
    kinds = (jnp.floating, jnp.complexfloating, jnp.integer)
    if before.shape != after.shape or not any(all(jnp.issubdtype(x.dtype, kind) for x in (before, after)) for kind in kinds):
        raise ValueError(f"the forward pass turns {name} from {before.shape} {before.dtype} into {after.shape} {after.dtype}")
    return after.astype(before.dtype)
