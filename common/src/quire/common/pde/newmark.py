"""Newmark's average acceleration for `M u'' + K u = 0`: unconditionally stable, of second order, and it keeps the energy.

With `beta = 1/4` and `gamma = 1/2`, a step is

    u~ = u + dt v + dt^2/4 a        v~ = v + dt/2 a
    (M + dt^2/4 K) a' = -K u~       u' = u~ + dt^2/4 a'       v' = v~ + dt/2 a'

Where a node is driven, `u'_b = g`, its acceleration is `a'_b = (g - u~_b) / (dt^2/4)` and moves to the right side of the others.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import cho_factor, cho_solve
from jaxtyping import Array, Float, Int, Real, ScalarLike

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, check_ids, check_positive, floating

Apply = Callable[[Array], Array]
Solve = Callable[[Array, ScalarLike, ScalarLike], Array]
"""`solve(right, m, k)`: the x of `(m M + k K) x = right`, as `quire.common.pde.tensor_mesh.Diagonalisation.solve`."""


class Boundary(NamedTuple):
    """Nodes whose displacement is given.

    Attributes:
        nodes: which, distinct.
        values: theirs at every time, `[steps + 1, b]`. The first row belongs to the start, which `u0` has: it is not used.
    """

    nodes: Int[np.ndarray, " b"]
    values: Real[AnyArray, "times b"]


class Motion(NamedTuple):
    """Displacement and velocity at every time, `[steps + 1, *nodes]`, the start included."""

    displacement: Float[Array, "times *nodes"]
    velocity: Float[Array, "times *nodes"]


def newmark(
    mass: Real[AnyArray, "n n"] | Apply,
    stiffness: Real[AnyArray, "n n"] | Apply,
    u0: Real[AnyArray, "*nodes"],
    v0: Real[AnyArray, "*nodes"],
    dt: ScalarLike,
    steps: int,
    boundary: Boundary | None = None,
    *,
    a0: Real[AnyArray, "*nodes"] | None = None,
    solve: Solve | None = None,
) -> Motion:
    """The motion from an initial displacement and velocity.

    Args:
        mass, stiffness: dense, symmetric, the mass positive definite; or functions that apply them, beside a `solve`.
        u0, v0: at the start; `[n]`, or of the shape that the functions take.
        dt: length of a step.
        steps: how many.
        boundary: nodes that are driven; for dense matrices.
        a0: acceleration at the start. By default that of the equation, where driven nodes are not accelerated.
        solve: of the two functions.

    Returns:
        Displacements and velocities, in the dtype that the arrays promote to.

    Raises:
        ValueError: if `dt` is not positive, there is no step, shapes do not fit, a driven node is named twice or does not exist,
            functions come without `solve`, or with a boundary.

    >>> motion = newmark(jnp.eye(1), jnp.eye(1), jnp.ones(1), jnp.zeros(1), 0.1, 63)
    >>> print(f"{motion.displacement[-1, 0]:.3f}")  # 6.3 of a period of 2 pi
    1.000
    """
    check_positive("dt", dt)
    check_at_least("steps", steps)
    a = u0 if a0 is None else a0
    if not np.shape(u0) == np.shape(v0) == np.shape(a):
        raise ValueError(f"u0 has shape {np.shape(u0)}, v0 {np.shape(v0)} and a0 {np.shape(a)}; they need the same")
    if callable(mass) or callable(stiffness):
        u0, v0 = floating(u0, v0)
        start, accelerate, given = *_by_functions(mass, stiffness, solve, boundary, dt), jnp.zeros((steps, 0), u0.dtype)
    else:
        mass, stiffness, u0, v0 = floating(mass, stiffness, u0, v0)
        driven, given = _driven(boundary, mass, stiffness, u0, steps)
        start, accelerate = _by_matrices(mass, stiffness, driven, dt)
    a0 = start(u0) if a0 is None else jnp.asarray(a0, u0.dtype)
    return _march(accelerate, (u0, v0, a0), given, jnp.asarray(dt, u0.dtype))


def _march(accelerate, start, given, dt):
    """`accelerate(u~, g)` gives the acceleration at the end of a step."""

    def step(state, g):
        u, v, a = state
        u, v = u + dt * v + dt**2 / 4 * a, v + dt / 2 * a
        a = accelerate(u, g)
        u, v = u + dt**2 / 4 * a, v + dt / 2 * a
        return (u, v, a), (u, v)

    _, (u, v) = jax.lax.scan(step, start, given)
    return Motion(jnp.concatenate([start[0][None], u]), jnp.concatenate([start[1][None], v]))


def _by_functions(mass, stiffness, solve, boundary, dt):
    """Acceleration at the start, and at the end of a step."""
    if not (callable(mass) and callable(stiffness)) or solve is None or boundary is not None:
        raise ValueError("mass or stiffness is a function; both must be, beside a solve, and nodes are driven only with matrices")
    return lambda u: solve(-stiffness(u), 1.0, 0.0), lambda predicted, _: solve(-stiffness(predicted), 1.0, dt**2 / 4)


def _by_matrices(mass, stiffness, driven, dt):
    """Acceleration at the start, and at the end of a step."""
    at_rest = _free_rows(mass, stiffness, driven, 0.0)
    stepping = _free_rows(mass, stiffness, driven, dt**2 / 4)
    return (
        lambda u: at_rest(u, jnp.zeros(len(driven), u.dtype)),
        lambda predicted, g: stepping(predicted, (g - predicted[driven]) / (dt**2 / 4)),
    )


def _free_rows(mass, stiffness, driven, weight):
    """`(u, a_b) -> a` of the equation's free rows, `(M + weight K) a = -K u`."""
    free = np.setdiff1d(np.arange(len(mass)), driven)
    system = mass + weight * stiffness
    factor, coupling = cho_factor(system[np.ix_(free, free)]), system[np.ix_(free, driven)]

    def accelerate(u, a_driven):
        inner = cho_solve(factor, -(stiffness @ u)[free] - coupling @ a_driven)
        return jnp.zeros_like(u).at[free].set(inner).at[driven].set(a_driven)

    return accelerate


def _driven(boundary, mass, stiffness, u0, steps):
    """Numbers of the driven nodes, and their displacements at the end of every step."""
    n = u0.size
    if mass.shape != (n, n) or stiffness.shape != (n, n) or u0.ndim != 1:
        raise ValueError(
            f"mass has shape {mass.shape} and stiffness {stiffness.shape}; u0 of shape {u0.shape} needs [n, n] and [n]"
        )
    if boundary is None:
        return np.zeros(0, int), jnp.zeros((steps, 0), u0.dtype)
    nodes = np.asarray(boundary.nodes)
    check_ids("boundary.nodes", nodes, n)
    values = jnp.asarray(boundary.values, u0.dtype)
    if values.shape != (steps + 1, nodes.size) or len(np.unique(nodes)) != nodes.size or nodes.size == n:
        raise ValueError(
            f"boundary has {nodes.size} nodes and values {values.shape}; it needs distinct nodes, fewer than {n}, "
            f"and [{steps + 1}, {nodes.size}]"
        )
    return nodes, values[1:]
