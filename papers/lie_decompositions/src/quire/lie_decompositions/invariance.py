"""Is a measure invariant? Means of `f(B A) - f(A)` over samples, in standard errors."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from quire.lie_decompositions.groups import MatrixGroup

VARIANCE = 2.0
"""Of the proposal. It must have wider tails than the integrand: with a narrow one the weights have no variance at all."""


def bell(a: Float[Array | np.ndarray, "n 2 2"]) -> Float[Array, " n"]:
    """`exp(-|A|^2 / 2)`, times `det^2 exp(-1 / det^2)`, a constant on SL(2); without it GL+(2) has no finite integral."""
    square = jnp.sum(a**2, (-2, -1))
    determinant = a[:, 0, 0] * a[:, 1, 1] - a[:, 0, 1] * a[:, 1, 0]
    return jnp.exp(-square / 2) * determinant**2 * jnp.exp(-1 / determinant**2)


def moves(group: MatrixGroup) -> Float[np.ndarray, "3 2 2"]:
    """A shear, a stretch, and a stretch with a turn; all of determinant 1 where the group says so."""
    turn = np.array([[np.cos(1), -np.sin(1)], [np.sin(1), np.cos(1)]])
    found = np.array([[[1, 0.8], [0, 1]], [[1.5, 0], [0, 1 / 1.5]], turn @ np.diag([1.4, 1 / 1.4])])
    return found if group.unimodular else found * np.array([1.0, 1.25, 0.8])[:, None, None]


def drift(group: MatrixGroup, key: jax.Array, count: int, function: Callable = bell) -> dict[str, Float[np.ndarray, " moves"]]:
    """Means over samples of `f(B A) - f(A)` divided by their standard errors, for every B of `moves`.

    Args:
        group: sampled with uniform angles.
        key: for the draws.
        count: samples.
        function: f.

    Returns:
        With the weights of the Haar measure, and without weights.
    """
    values, weights = (np.asarray(x, float) for x in _differences(group, function, count, key, moves(group).astype(np.float32)))
    return {name: _in_errors(w * values) for name, w in (("weighted", weights), ("no weights", np.ones(count)))}


@partial(jax.jit, static_argnums=(0, 1, 2))
def _differences(group, function, count, key, elements):
    samples = group.sample_pair(key, count, variance=VARIANCE, angles="uniform", weights="haar")
    moved = jnp.matmul(elements[:, None], samples.g[None], precision="highest")
    return jax.vmap(function)(moved) - function(samples.g)[None], samples.weights


def _in_errors(values):
    return values.mean(-1) / (values.std(-1, ddof=1) / np.sqrt(values.shape[-1]))
