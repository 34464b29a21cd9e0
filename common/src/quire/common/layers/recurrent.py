"""Recurrent layers: one scan over the time axis that leaves padding out, in either direction."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

Step = Callable[[Any, Any], tuple[Any, Any]]
"""`step(state, input) -> state, output`, one time step of a whole batch."""


def scan_rnn(
    step: Step, initial: Any, x: Any, mask: Bool[Array, "batch time"] | None = None, *, reverse: bool = False
) -> tuple[Any, Any]:
    """Run a recurrent cell over time; a masked step leaves the state as it is.

    In reverse, padding at the end is passed over with the state still at `initial`, so that the recursion begins at the true last
    step of every sequence.

    Args:
        step: the cell.
        initial: state, arrays `[batch, ...]`; in a narrower type than the cell gives, it is widened.
        x: inputs, arrays `[batch, time, ...]`.
        mask: steps that count; all by default.
        reverse: from the last step to the first.

    Returns:
        The last state, and the outputs of all steps in the order of the inputs, arrays `[batch, time, ...]`; those of
        masked steps mean nothing.

    Raises:
        ValueError: if the mask and the inputs differ in batch or time, there is no input, or the state has another batch.

    >>> add = lambda state, x: (state + x, state + x)
    >>> mask = jnp.array([[True, True, False]])
    >>> total, sums = scan_rnn(add, jnp.zeros(1), jnp.array([[1.0, 2.0, 4.0]]), mask)
    >>> print(total, sums[0, :2])
    [3.] [1. 3.]
    """
    shapes = {leaf.shape[:2] for leaf in jax.tree.leaves(x)}
    if len(shapes) != 1 or len(*shapes) != 2:
        raise ValueError(f"x has leading axes {sorted(shapes)}; it needs one pair [batch, time]")
    (shape,) = shapes
    if mask is None:
        mask = jnp.ones(shape, bool)
    if mask.shape != shape:
        raise ValueError(f"mask has shape {mask.shape}; it needs that of x, {shape}")
    if wrong := [leaf.shape for leaf in jax.tree.leaves(initial) if leaf.shape[:1] != shape[:1]]:
        raise ValueError(f"initial has a state of shape {wrong[0]}; it needs {shape[0]} rows, one for each sequence")
    initial = _widened(step, initial, x)

    def masked_step(state, inputs):
        x, keep = inputs
        moved, out = step(state, x)
        return jax.tree.map(lambda new, old: jnp.where(_like(keep, new), new, old), moved, state), out

    by_time = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 1, 0), (x, mask))
    last, outputs = jax.lax.scan(masked_step, initial, by_time, reverse=reverse)
    return last, jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, 1), outputs)


def _widened(step: Step, initial: Any, x: Any) -> Any:
    """The state in the types that the cell promotes it to, which a loop has to begin with."""
    first = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((leaf.shape[0], *leaf.shape[2:]), leaf.dtype), x)
    moved, _ = jax.eval_shape(step, initial, first)
    return jax.tree.map(lambda old, new: jnp.asarray(old, jnp.promote_types(old.dtype, new.dtype)), initial, moved)


def _like(keep: Array, state: Array) -> Array:
    return keep.reshape(keep.shape + (1,) * (state.ndim - 1))
