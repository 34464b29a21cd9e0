"""Coordinate checks: how far each activation moves in a few steps, width by width. Under muP no curve rises or falls."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array

from quire.common.checks import check_at_least
from quire.common.claims.measurement import Numbers
from quire.common.layers.intermediates import capture


def width_exponent(widths: Numbers, sizes: Numbers, level: float = 0.95) -> tuple[float, tuple[float, float]]:
    """Fitted `p` in `size ~ width^p`, with its confidence interval from the scatter about the line.

    Raises:
        ValueError: for fewer than three points, unequal lengths or numbers that are not positive.

    >>> p, (low, high) = width_exponent([64, 128, 256], [8.0, 4.0, 2.0])
    >>> round(p, 6)
    -1.0
    """
    x, y = np.asarray(widths, float), np.asarray(sizes, float)
    if x.shape != y.shape or x.size < 3:
        raise ValueError(f"widths has {x.size} points and sizes {y.size}; an exponent needs the same number, at least 3")
    if not (np.all(x > 0) and np.all(y > 0)):
        raise ValueError("widths and sizes must be positive to take logarithms")
    from scipy import stats  # a second to import

    fit = stats.linregress(np.log(x), np.log(y))
    half = float(stats.t.ppf(0.5 + level / 2, x.size - 2) * fit.stderr)
    return float(fit.slope), (float(fit.slope) - half, float(fit.slope) + half)


@dataclass(frozen=True)
class CoordinateCheck:
    """`movement[name][i]`: root mean square change of an activation at `widths[i]`."""

    widths: tuple[int, ...]
    movement: Mapping[str, np.ndarray]

    def exponents(self) -> dict[str, float]:
        """Fitted exponents of the movements in the width: 0 for features that are learned at any width."""
        return {name: width_exponent(self.widths, values)[0] for name, values in self.movement.items()}


def coord_check(
    build: Callable[[int], nnx.Module],
    widths: Sequence[int],
    x: Array,
    loss: Callable[[nnx.Module], Array],
    optimiser: Callable[[nnx.Module], optax.GradientTransformation],
    *,
    steps: int = 3,
) -> CoordinateCheck:
    """Trains a model at every width and measures how far what it sows moved at inputs x.

    Args:
        build: `width -> model`; the model sows the activations to look at (`quire.common.layers.intermediates.sow`).
        widths: at least three.
        x: input of the model.
        loss: `loss(model) -> scalar`, on the same data at every width.
        optimiser: `model -> optax transformation`, for instance `lambda m: mup_sgd(0.1, base)`.
        steps: optimiser steps.

    Raises:
        ValueError: if the model sows nothing, there are fewer than three widths, or `steps` is below 1.
    """
    check_at_least("steps", steps)
    check_at_least("number of widths", len(widths), 3)
    movements: dict[str, list[float]] = {}
    for width in widths:
        model = build(width)
        for name, value in _movement(model, x, loss, optimiser(model), steps).items():
            movements.setdefault(name, []).append(float(value))
    return CoordinateCheck(tuple(widths), {name: np.asarray(values) for name, values in movements.items()})


def _activations(model: nnx.Module, x: Array) -> dict[str, Any]:
    _, seen = capture(model, x)
    leaves = jax.tree_util.tree_leaves_with_path(nnx.to_pure_dict(seen))
    return {".".join(str(part.key) for part in path if hasattr(part, "key")): value for path, value in leaves}


def _movement(
    model: nnx.Module, x: Array, loss: Callable[[nnx.Module], Array], tx: optax.GradientTransformation, steps: int
) -> dict[str, Array]:
    """Root mean square change of every activation by training, as one program."""
    graph, params, rest = nnx.split(model, nnx.Param, ...)

    def step(carry, _):
        params, state = carry
        gradients = jax.grad(lambda p: loss(nnx.merge(graph, p, rest)))(params)
        updates, state = tx.update(gradients, state, params)
        return (optax.apply_updates(params, updates), state), None

    @jax.jit
    def moved(params):
        before = _activations(nnx.merge(graph, params, rest), x)
        if not before:
            raise ValueError("the model sows no activations; offer them with quire.common.layers.intermediates.sow")
        (trained, _), _ = jax.lax.scan(step, (params, tx.init(params)), length=steps)
        after = _activations(nnx.merge(graph, trained, rest), x)
        return {name: jnp.sqrt(jnp.mean((after[name] - value) ** 2)) for name, value in before.items()}

    return moved(params)
