"""Reconstruction: parameters of a quantised layer or block, fitted so that its output becomes that of the block before.

What is learned (scales, roundings, codebooks, mappings) is the caller's: the block is a function of it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Num

from quire.common.checks import check_at_least, check_ids, floating

Block = Callable[[Any, Any], Array]
"""`block(params, inputs) -> outputs [batch, ...]`."""

Penalty = Callable[[Any, Array], Array]
"""`penalty(params, progress) -> scalar`, added to the error; progress runs from 0 to 1."""


Maps = Num[Array | np.ndarray, "batch out *rest"]
"""Outputs of a block, features or tokens on axis 1."""


class Reconstruction(NamedTuple):
    """The fitted parameters, and the loss before each step."""

    params: Any
    losses: Float[Array, " steps"]


def output_error(output: Maps, target: Maps) -> Float[Array, ""]:
    """`(output - target)^2`, summed over axis 1 and averaged over the others.

    Axis 1 is that of the features for `[batch, features]` and that of the tokens for `[batch, tokens, features]`: so do BRECQ
    and what followed it, and rates that were found with it go with it.

    Raises:
        ValueError: if the shapes differ, there is no axis 1, or nothing to compare.

    >>> print(output_error(jnp.array([[1.0, 2.0], [0.0, 0.0]]), jnp.zeros((2, 2))))
    2.5
    """
    if output.shape != target.shape or output.ndim < 2 or output.size == 0:
        raise ValueError(f"output is {output.shape} and target {target.shape}; they need one shape [batch, features, ...]")
    output, target = floating(output, target)
    return jnp.mean(jnp.sum((output - target) ** 2, axis=1))


def reconstruct_block(
    block: Block,
    params: Any,
    x: Any,
    target: Num[Array | np.ndarray, "n *out"],
    *,
    steps: int,
    rate: Any = 1e-3,
    batches: Int[Array | np.ndarray, "steps batch"] | None = None,
    x_full: Any = None,
    input_prob: float | Array = 0.5,
    key: jax.Array | None = None,
    penalty: Penalty | None = None,
    tx: optax.GradientTransformation | None = None,
) -> Reconstruction:
    """Minimise `output_error(block(params, x), target) + penalty(params, progress)` by Adam; the rate falls as a cosine to zero.

    Traceable; one compiled loop. Compile and `vmap` it as a whole to run seeds, widths or variants side by side.

    Args:
        block: function of what is learned and of the inputs.
        params: pytree to start from. What no gradient reaches stays as it is.
        x: inputs, an array or a pytree of them `[n, ...]`: what the blocks before give once they are quantised.
        target: outputs `[n, ...]` to reach: those of the block in full precision, for inputs in full precision.
        steps: of Adam.
        rate: of the first step; one number, or a tree like the top of `params` with a number for each of its parts. A rate of 0
            leaves a part as it is. May be traced, so one program serves all ablations.
        batches: rows for every step; all rows in every step by default.
        x_full: inputs in full precision. With them each number of the input is taken from these rather than from `x` with
            probability `input_prob`, anew in every step (QDrop, Wei et al. 2022).
        key: for that choice.
        penalty: see `Penalty`.
        tx: what makes an update of a gradient, before the rate; `optax.scale_by_adam()` by default.

    Returns:
        The parameters after the last step, and the loss before every step.

    Raises:
        ValueError: for fewer than one step, inputs and targets of different or no rows, batches that do not fit, `x_full`
            without a key or unlike `x`.

    >>> x = jnp.array([[1.0], [2.0]])
    >>> found = reconstruct_block(lambda w, x: x * w, jnp.array(0.5), x, 3 * x, steps=200, rate=0.1)
    >>> print(found.params.round(2), found.losses[0])
    3.0 15.625
    """
    _check(x, target, steps, batches)
    if x_full is not None and (key is None or jax.tree.map(jnp.shape, x_full) != jax.tree.map(jnp.shape, x)):
        raise ValueError("x_full needs a key, and the shapes of x")
    tx = optax.scale_by_adam() if tx is None else tx
    x, x_full, target, batches = jax.tree.map(jnp.asarray, (x, x_full, target, batches))
    progress = np.arange(steps) / steps
    decay = (1 + np.cos(np.pi * progress)) / 2

    def loss(params, number, inputs, target):
        error = output_error(block(params, inputs), target)
        return error if penalty is None else error + penalty(params, number)

    def step(carry, now):
        params, state = carry
        index, done, factor = now
        inputs, full, wanted = jax.tree.map(lambda a: a if batches is None else a[batches[index]], (x, x_full, target))
        if full is not None and key is not None:
            inputs = _mixed(inputs, full, input_prob, jax.random.fold_in(key, index))
        value, gradient = jax.value_and_grad(loss)(params, done, inputs, wanted)
        updates, state = tx.update(gradient, state, params)
        scaled = jax.tree.map(lambda r, part: jax.tree.map(lambda u: -factor * r * u, part), rate, updates)
        return (optax.apply_updates(params, scaled), state), value

    params = jax.tree.map(jnp.asarray, params)
    schedule = (jnp.arange(steps), jnp.asarray(progress), jnp.asarray(decay))
    (params, _), losses = jax.lax.scan(step, (params, tx.init(params)), schedule, length=steps)
    return Reconstruction(params, losses)


def _check(x: Any, target: Array | np.ndarray, steps: int, batches: Any) -> None:
    check_at_least("steps", steps)
    rows = {len(leaf) for leaf in jax.tree.leaves((x, target))}
    if len(rows) != 1 or rows == {0}:
        raise ValueError(f"x and target have {sorted(rows)} rows; they need the same number, at least 1")
    if batches is not None:
        if batches.ndim != 2 or batches.shape[0] != steps or batches.shape[1] == 0:
            raise ValueError(f"batches has shape {batches.shape}; it must be [steps, batch] = [{steps}, at least 1]")
        check_ids("batches", batches, *rows)


def _mixed(x: Any, x_full: Any, probability: float | Array, key: jax.Array) -> Any:
    """Each number from `x_full` with this probability."""
    leaves, tree = jax.tree.flatten(x)
    keys = jax.random.split(key, len(leaves))
    full = jax.tree.leaves(x_full)
    return tree.unflatten(
        [jnp.where(jax.random.bernoulli(k, probability, a.shape), b, a) for k, a, b in zip(keys, leaves, full, strict=True)]
    )
