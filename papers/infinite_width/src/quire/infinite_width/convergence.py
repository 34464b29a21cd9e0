"""Finite muP networks on their way to the limit (F3, F4)."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from quire.common.mup.abc import ABC
from quire.common.mup.mlp import Nonlinearity, Scales, mlp, scales, standard_normals, train_abc


class Problem(NamedTuple):
    """Single-example regression: an example for every step, and test inputs."""

    X: Float[Array, "steps d"]
    y: Float[Array, " steps"]
    X_test: Float[Array, "tests d"]
    eta: Float[Array, ""]


def gaussian_problem(key: Array, *, dim: int = 2, steps: int, tests: int, eta: float) -> Problem:
    """N(0, 1) inputs and targets."""
    first, second, third = jax.random.split(key, 3)
    X, y = jax.random.normal(first, (steps, dim)), jax.random.normal(second, (steps,))
    return Problem(X, y, jax.random.normal(third, (tests, dim)), jnp.asarray(eta, X.dtype))


@partial(jax.jit, static_argnames=("width", "depth", "phi", "readout"))
def _outputs(keys: Array, problem: Problem, scale: Scales, *, width: int, depth: int, phi: Nonlinearity, readout: bool) -> Array:
    initial = scale.initial if readout else scale.initial.at[-1].set(0)

    def of_draw(key):
        normals = standard_normals(key, problem.X.shape[1], width, depth)
        start = scale._replace(initial=initial)
        _, trained, _ = train_abc(normals, start, problem.X, problem.y[:, None], problem.eta, phi)
        return mlp(trained, scale.multipliers, problem.X_test, phi)[0][:, 0]

    return jax.lax.map(of_draw, keys)


def finite_outputs(
    key: Array, problem: Problem, width: int, draws: int, *, depth: int, phi: Nonlinearity, readout: bool
) -> Float[Array, "draws tests"]:
    """Test outputs of muP networks after training.

    Args:
        key: for the networks.
        problem: to train on.
        width, depth, phi: of the networks.
        draws: how many.
        readout: whether the readout starts at random or at zero.
    """
    scale = scales(ABC.maximal_update(depth), width)
    return _outputs(jax.random.split(key, draws), problem, scale, width=width, depth=depth, phi=phi, readout=readout)


def mean_errors(
    key: Array,
    problem: Problem,
    limit: Float[Array, " tests"],
    widths: tuple[int, ...],
    draws: int,
    *,
    depth: int,
    phi: Nonlinearity,
    readout: bool,
) -> np.ndarray:
    """Mean distance of finite networks from the limit's test outputs, at each width."""
    return np.array(
        [
            float(jnp.abs(finite_outputs(key, problem, n, draws, depth=depth, phi=phi, readout=readout) - limit[None, :]).mean())
            for n in widths
        ]
    )
