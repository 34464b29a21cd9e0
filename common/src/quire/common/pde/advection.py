"""A profile carried along a line by a constant velocity, `u_t + a u_x = 0`, as one minimisation per time step."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from quire.common.fields.operators import Field, value_and_jacobian
from quire.common.fields.siren import siren
from quire.common.pde.minimise import Info, Solver
from quire.common.pde.objective import Block, Objective, Params
from quire.common.pde.samplers import sides, stratified, uniform
from quire.common.pde.stepping import advance, warm_starts

Network = Callable[[Params, Array], Array]
"""`(params, x[d]) -> [m]`."""


def midpoint_objective(
    field: Network,
    previous: Field,
    x: Float[Array, "n 1"],
    ends: Float[Array, "b 1"],
    *,
    velocity: Float[Array, ""] | float,
    dt: Float[Array, ""] | float,
) -> Objective:
    """The midpoint rule at points, and zero at both ends.

    `main = mean_x ((u - u_prev) / dt + a (u_x + u_prev,x) / 2)^2`, `boundary = mean_ends u^2`.

    Args:
        field: the network.
        previous: the field at the time before, frozen.
        x, ends: collocation points and points at the ends.
        velocity: a.
        dt: time step.
    """
    frozen = jax.lax.stop_gradient(jax.vmap(lambda point: value_and_jacobian(previous, point))(x))

    def residual(params, point):
        x, (u_prev, slope_prev) = point
        u, slope = value_and_jacobian(lambda y: field(params, y), x)
        return (u - u_prev) / dt + velocity * (slope + slope_prev)[:, 0] / 2

    return Objective({"main": Block(residual, (x, frozen)), "boundary": Block(field, ends)})


def fit_objective(field: Network, x: Float[Array, "n d"], values: Float[Array, "n m"]) -> Objective:
    """`main = mean over points and components of (f - values)^2`: how initial conditions enter the weights."""
    block = Block(lambda params, point: field(params, point[0]) - point[1], (x, values), 1 / values.size)
    return Objective({"main": block})


class AdvectionState(NamedTuple):
    """Weights now and one step before."""

    now: Params
    before: Params


class AdvectionInfo(NamedTuple):
    """How a step went: the minimisation, and whether the mean square residual ended below `Advection.converged_below`."""

    solve: Info
    converged: Bool[Array, ""]


@dataclass(frozen=True)
class Advection:
    """Advection on `[-length / 2, length / 2]` with the midpoint rule and `u = 0` at both ends.

    Attributes:
        solvers: of a time step.
        velocity, length, dt: a, width of the interval, time step.
        num_points: collocation points; max(num_points // 100, 10) more stand at the ends.
        stratify: one point in each cell of a regular partition instead of independent points.
        extrapolate: offer `2 theta_n - theta_(n-1)` as a warm start.
        converged_below: see `AdvectionInfo`.
        field: the network.
    """

    solvers: tuple[Solver, ...] = ()
    velocity: float = 0.25
    length: float = 4.0
    dt: float = 0.05
    num_points: int = 5000
    stratify: bool = False
    extrapolate: bool = False
    converged_below: float = 1e-5
    field: Network = siren

    def __post_init__(self):
        for name in ("length", "dt", "num_points"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be positive")

    def points(self, key: jax.Array, dtype: jnp.dtype | None = None) -> tuple[Float[Array, "n 1"], Float[Array, "b 1"]]:
        """Collocation points, and points at the ends."""
        inside, at_ends = jax.random.split(key)
        high = jnp.array([self.length / 2], dtype)
        if self.stratify:
            x = stratified(inside, (self.num_points,), -high, high)
        else:
            x = uniform(inside, self.num_points, -high, high)
        return x, sides(at_ends, max(self.num_points // 100, 10), 0, -high, high)

    def start(self, params: Params) -> AdvectionState:
        """State at time 0."""
        return AdvectionState(params, params)

    def step(self, state: AdvectionState, n: Array, key: jax.Array) -> tuple[AdvectionState, AdvectionInfo]:
        """One time step, a `Step` of `march`."""
        dtype = jax.tree.leaves(state.now)[0].dtype

        def previous(x):
            return self.field(state.now, x)

        def draw(key):
            x, ends = self.points(key, dtype)
            return midpoint_objective(self.field, previous, x, ends, velocity=self.velocity, dt=self.dt)

        params, solve = advance(draw, warm_starts(*state, extrapolate=self.extrapolate), key, self.solvers)
        return AdvectionState(params, state.now), AdvectionInfo(solve, solve.terms["main"] < self.converged_below)
