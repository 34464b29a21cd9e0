"""Finite muP networks on their way to the limit (F3, F4)."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from quire.common.mup.abc import ABC
from quire.common.mup.mlp import Nonlinearity, Scales, mlp, padded_normals, scales, train_abc
from quire.common.random import generator

SHARED = 256
"""Deep networks up to this width share one compiled program; wider ones would pay more for silent neurons than they save."""


class Problem(NamedTuple):
    """Single-example regression: an example for every step, and test inputs."""

    X: Float[Array, "steps d"]
    y: Float[Array, " steps"]
    X_test: Float[Array, "tests d"]
    eta: Float[Array, ""]


def gaussian_problem(key: Array, *, dim: int = 2, steps: int, tests: int, eta: float) -> Problem:
    """N(0, 1) inputs and targets."""
    rng = generator(key)
    shapes = (steps, dim), (steps,), (tests, dim)
    return Problem(*(jnp.asarray(rng.standard_normal(shape, np.float32)) for shape in shapes), jnp.float32(eta))


@partial(jax.jit, static_argnames="phi")
def _outputs(normals: tuple[Array, ...], scale: Scales, problem: Problem, phi: Nonlinearity) -> Float[Array, " tests"]:
    _, trained, _ = train_abc(normals, scale, problem.X, problem.y[:, None], problem.eta, phi)
    return mlp(trained, scale.multipliers, problem.X_test, phi)[0][:, 0]


def finite_outputs(
    key: Array,
    problem: Problem,
    width: int,
    draws: int,
    *,
    depth: int,
    phi: Nonlinearity,
    readout: bool,
    size: int | None = None,
) -> Float[np.ndarray, "draws tests"]:
    """Test outputs of muP networks after training.

    Args:
        key: for the networks.
        problem: to train on.
        width, depth, phi: of the networks.
        draws: how many.
        readout: whether the readout starts at random or at zero.
        size: width with silent neurons, for which the program is compiled; needs `phi(0) = 0`.
    """
    scale = scales(ABC.maximal_update(depth), width)
    rng, dim = generator(key), problem.X.shape[1]
    outputs = []
    for _ in range(draws):
        *hidden, last = padded_normals(rng, dim, width, depth, size or width)
        outputs.append(_outputs((*hidden, last if readout else np.zeros_like(last)), scale, problem, phi))
    return np.stack(outputs)


def outputs_by_width(
    key: Array, problem: Problem, widths: Sequence[int], draws: int, *, depth: int, phi: Nonlinearity, readout: bool
) -> Float[np.ndarray, "widths draws tests"]:
    """`finite_outputs` at every width; `phi(0)` must be 0."""
    found = []
    for i, width in enumerate(widths):
        size = max(widths) if depth == 1 else max(width, SHARED)  # one hidden layer costs in proportion to its width
        own = jax.random.fold_in(key, i)
        found.append(finite_outputs(own, problem, width, draws, depth=depth, phi=phi, readout=readout, size=size))
    return np.stack(found)


def distances(
    outputs: Float[np.ndarray, "widths draws tests"], limit: Float[np.ndarray, " tests"]
) -> dict[str, Float[np.ndarray, " widths"]]:
    """Mean distance of finite networks, at each width, from the limit and from what may stand in for it without a calculation.

    The mean of the narrowest networks is an estimate of the limit too, by simulation.
    """
    references = {"limit": limit, "predicting zero": np.zeros_like(limit), "mean of the narrowest": outputs[0].mean(0)}
    return {name: np.abs(outputs - reference).mean((1, 2)) for name, reference in references.items()}
