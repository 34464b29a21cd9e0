"""An inviscid, incompressible fluid in a box, as three minimisations per time step: advect, pressure, project."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from quire.common.checks import floating
from quire.common.fields.operators import Field, divergence, gradient, jacobian, laplacian
from quire.common.fields.siren import Layers, siren
from quire.common.pde.advection import Network
from quire.common.pde.minimise import Draw, Info, LevenbergMarquardt, Solver, first_draw
from quire.common.pde.objective import Block, Objective, Params
from quire.common.pde.samplers import sides, stratified, uniform
from quire.common.pde.stepping import advance, warm_starts


class Points(NamedTuple):
    """Where a sub-problem is posed.

    Attributes:
        inside: `[n, 2]`.
        sides: points near x = -1 and 1, and points near y = -1 and 1, `[b, 2]` each.
    """

    inside: Float[Array, "n 2"]
    sides: tuple[Float[Array, "bx 2"], Float[Array, "by 2"]]

    def boundary(self, residual: Callable) -> Block:
        """Mean square of `residual(params, (point, normal))` over each pair of sides, added up."""
        normals = [jnp.broadcast_to(jnp.eye(2, dtype=p.dtype)[axis], p.shape) for axis, p in enumerate(self.sides)]
        weight = jnp.concatenate([jnp.full(len(p), 1 / len(p), p.dtype) for p in self.sides])
        return Block(residual, (jnp.concatenate(self.sides), jnp.concatenate(normals)), weight)


def _velocity_objective(velocity: Network, points: Points, target: Float[Array, "n 2"]) -> Objective:
    """`main = mean |u - target|^2` over points and components, `boundary`: mean squares of the normal velocity on the sides."""

    def miss(params, point):
        x, wanted = point
        return velocity(params, x) - wanted

    def through(params, point):
        x, normal = point
        return jnp.sum(velocity(params, x) * normal, keepdims=True)

    target = jax.lax.stop_gradient(target)
    main = Block(miss, (points.inside, target), 1 / target.size)
    return Objective({"main": main, "boundary": points.boundary(through)})


def semi_lagrangian(velocity: Field, dt: Float[Array, ""] | float) -> Field:
    """Semi-Lagrangian advection of a velocity by itself: `x -> u(clip(x - dt u(x), -1, 1))`."""
    return lambda x: velocity(jnp.clip(x - dt * velocity(x), -1, 1))


def advection_objective(velocity: Network, previous: Field, points: Points, *, dt: Float[Array, ""] | float) -> Objective:
    """`main = mean |u(x) - u_prev(clip(x - dt u_prev(x), -1, 1))|^2`, the target frozen; free slip on the boundary.

    Args:
        velocity: the network.
        previous: velocity before the step, frozen.
        points: of the box `[-1, 1]^2`.
        dt: time step.
    """
    return _velocity_objective(velocity, points, jax.vmap(semi_lagrangian(previous, dt))(points.inside))


def pressure_objective(pressure: Network, advected: Field, points: Points, *, curvature: Network | None = None) -> Objective:
    """`main = mean (div u - laplace p)^2` with u frozen, `boundary = mean p_x^2 + mean p_y^2` on the sides normal to x and y.

    The pressure contains the time step: density 1, no factor dt.

    Args:
        pressure: the network.
        advected: velocity u.
        points: of the box.
        curvature: `(params, x) -> laplace p`, where there is a cheaper way than nested derivatives of the network.
    """
    laplace = curvature or (lambda params, x: laplacian(partial(pressure, params), x))
    sources = jax.lax.stop_gradient(jax.vmap(lambda x: divergence(advected, x))(points.inside))

    def poisson(params, point):
        x, source = point
        return source - laplace(params, x)

    def through(params, point):
        x, normal = point
        return jacobian(lambda y: pressure(params, y), x) @ normal

    return Objective({"main": Block(poisson, (points.inside, sources)), "boundary": points.boundary(through)})


def projection_objective(velocity: Network, advected: Field, pressure: Field, points: Points) -> Objective:
    """`main = mean |u - (u_advected - grad p)|^2`, the target frozen; free slip on the boundary.

    Args:
        velocity: the network.
        advected: velocity before the projection.
        pressure: p.
        points: of the box.
    """

    def projected(x):
        return advected(x) - gradient(pressure, x)

    return _velocity_objective(velocity, points, jax.vmap(projected)(points.inside))


def pressure_features(velocity: Layers) -> Layers:
    """A pressure that is zero, on the hidden layers of a fitted velocity.

    The Laplacian of a new network is hundreds of times the divergence that it should match, from sines much too fast for the
    pressure, and Levenberg-Marquardt stalls among them. The hidden layers of the velocity have the right scale already.
    """
    weight, bias = velocity[-1]
    return [*velocity[:-1], (jnp.zeros_like(weight[:, :1]), jnp.zeros_like(bias[:1]))]


class FluidState(NamedTuple):
    """Weights of velocity and pressure, and how the three sub-problems of the last step changed theirs."""

    velocity: Params
    pressure: Params
    advect_change: Params
    pressure_change: Params
    project_change: Params


class FluidInfo(NamedTuple):
    """How a step went.

    Attributes:
        advect, pressure, project: the three minimisations.
        advect_ratio: `main` of the advection over that of the weights before it, the mean square of the wanted update.
        pressure_cost: `main` of the pressure.
        converged: whether both are below the bounds of `EulerFluid`.
    """

    advect: Info
    pressure: Info
    project: Info
    advect_ratio: Float[Array, ""]
    pressure_cost: Float[Array, ""]
    converged: Bool[Array, ""]


class _Solved(NamedTuple):
    """Weights of a sub-problem, how they differ from those before, and how the minimisation went."""

    params: Params
    change: Params
    info: Info


@dataclass(frozen=True)
class EulerFluid:
    """The Euler equations on `[-1, 1]^2` with free slip, by operator splitting.

    Attributes:
        advect, pressure, project: solvers of the sub-problems.
        dt: time step.
        resolution: collocation points along each side of the box.
        side_points: per pair of sides; max(resolution^2 // 100, 2) if None.
        stratify: one point in each cell of a regular partition instead of independent points.
        extrapolate: offer `2 theta_n - theta_(n-1)` as a warm start, sub-problem by sub-problem.
        advect_below, pressure_below: bounds of `FluidInfo.converged`.
        stop_early: end Levenberg-Marquardt in advection and pressure once the objective is below this fraction of the bounds; in
            the projection the tolerance of its solver holds.
        velocity_field, pressure_field: the networks.
        pressure_curvature: `curvature` of `pressure_objective`.
    """

    advect: tuple[Solver, ...] = ()
    pressure: tuple[Solver, ...] = ()
    project: tuple[Solver, ...] = ()
    dt: float = 0.05
    resolution: int = 128
    side_points: int | None = None
    stratify: bool = False
    extrapolate: bool = False
    advect_below: float = 1e-2
    pressure_below: float = 5e-5
    stop_early: float = 0.0
    velocity_field: Network = siren
    pressure_field: Network = siren
    pressure_curvature: Network | None = None

    def __post_init__(self):
        for name in ("dt", "resolution", "side_points"):
            if getattr(self, name) is not None and not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be positive")

    def points(self, key: jax.Array, dtype: jnp.dtype | None = None) -> Points:
        """A draw of points."""
        high, keys = jnp.ones(2, dtype), jax.random.split(key, 3)
        if self.stratify:
            inside = stratified(keys[0], (self.resolution,) * 2, -high, high)
        else:
            inside = uniform(keys[0], self.resolution**2, -high, high)
        count = max(self.resolution**2 // 100, 2) if self.side_points is None else self.side_points
        near_x, near_y = (sides(keys[1 + axis], count, axis, -high, high) for axis in range(2))
        return Points(inside, (near_x, near_y))

    def start(self, velocity: Params, pressure: Params) -> FluidState:
        """State at time 0; the pressure is where the first solve starts."""
        still, level = (jax.tree.map(jnp.zeros_like, params) for params in (velocity, pressure))
        return FluidState(velocity, pressure, still, level, still)

    def step(self, state: FluidState, n: Array | int, key: jax.Array) -> tuple[FluidState, FluidInfo]:
        """One time step, a `Step` of `march`.

        Called outside of `jit` it is a few calls of two programs, one for velocities and one for pressures: advection and
        projection with equal solvers share theirs, where a whole step that is compiled holds it twice.
        """
        advected, update = self._velocity(state.velocity, state.advect_change, state.pressure, 0, n, key, self.advect)
        pressure = self._pressure(state.pressure, state.pressure_change, advected.params, n, key)
        projected, _ = self._velocity(advected.params, state.project_change, pressure.params, 1, n, key, self.project)
        solved = advected, pressure, projected
        after = FluidState(projected.params, pressure.params, *[one.change for one in solved])
        return after, self._report(*[one.info for one in solved], update)

    @partial(jax.jit, static_argnums=(0, 7))
    def _velocity(
        self,
        params: Params,
        change: Params,
        pressure: Params,
        projects: Int[Array, ""] | int,
        n: Array | int,
        key: jax.Array,
        solvers: tuple[Solver, ...],
    ) -> tuple[_Solved, Float[Array, ""]]:
        """Advection, or with `projects` 1 the projection; and the mean square of the update that it wants."""
        dtype, key = jax.tree.leaves(params)[0].dtype, jax.random.fold_in(jax.random.fold_in(key, n), projects)
        previous = partial(self.velocity_field, params)
        advected = semi_lagrangian(previous, (1 - projects) * self.dt)

        def target(x):
            return advected(x) - projects * gradient(partial(self.pressure_field, pressure), x)

        def draw(key):
            points = self.points(key, dtype)
            return _velocity_objective(self.velocity_field, points, jax.vmap(target)(points.inside))

        update = draw(first_draw(key)).terms(params)["main"]
        own = min((solver.tolerance for solver in solvers if isinstance(solver, LevenbergMarquardt)), default=0.0)
        enough = jnp.where(projects == 1, own, self.stop_early * self.advect_below * update)
        return self._solve(draw, params, change, key, solvers, enough), update

    @partial(jax.jit, static_argnums=0)
    def _pressure(self, params: Params, change: Params, velocity: Params, n: Array | int, key: jax.Array) -> _Solved:
        dtype, key = jax.tree.leaves(params)[0].dtype, jax.random.fold_in(jax.random.fold_in(key, n), 2)

        def draw(key):
            advected, points = partial(self.velocity_field, velocity), self.points(key, dtype)
            return pressure_objective(self.pressure_field, advected, points, curvature=self.pressure_curvature)

        return self._solve(draw, params, change, key, self.pressure, self.stop_early * self.pressure_below)

    def _solve(
        self,
        draw: Draw,
        params: Params,
        change: Params,
        key: jax.Array,
        solvers: tuple[Solver, ...],
        enough: Float[Array, ""] | float,
    ) -> _Solved:
        starts = warm_starts(params, jax.tree.map(jnp.subtract, params, change), extrapolate=self.extrapolate)
        found, info = advance(draw, starts, key, solvers, tolerance=enough)
        return _Solved(found, jax.tree.map(jnp.subtract, found, params), info)

    @partial(jax.jit, static_argnums=0)
    def _report(self, advect: Info, pressure: Info, project: Info, update: Float[Array, ""]) -> FluidInfo:
        ratio, cost = advect.terms["main"] / update, pressure.terms["main"]
        converged = (ratio < self.advect_below) & (cost < self.pressure_below)
        return FluidInfo(advect, pressure, project, ratio, cost, converged)


# --- Initial fields ---


@partial(jax.jit, static_argnames="rescale")
def taylor_green(x: Float[Array, "*n 2"], *, rescale: bool = True) -> Float[Array, "*n 2"]:
    """Vortices `(sin X cos Y, -cos X sin Y)`, `X = pi (x + 1)`, divided by pi with `rescale`: a steady flow of the box.

    >>> print(taylor_green(jnp.array([-0.5, 0.0]), rescale=False).round(6))
    [-1. -0.]
    """
    X, Y = jnp.pi * (x[..., 0] + 1), jnp.pi * (x[..., 1] + 1)
    field = jnp.stack([jnp.sin(X) * jnp.cos(Y), -jnp.cos(X) * jnp.sin(Y)], axis=-1)
    return field / jnp.pi if rescale else field


@partial(jax.jit, static_argnames="scale")
def taylor_green_multi(x: Float[Array, "*n 2"], *, scale: float = 8.0) -> Float[Array, "*n 2"]:
    """Vortices of two sizes, one block in each of two corners, zero elsewhere.

    `sum_blocks w(x) TG(clip((x - c) / h, -1, 1))` with `w = clip(1 - d / f, 0, 1)`, d the distance from the block, TG
    `taylor_green` without the 1 / pi. The first block has c = (-1/2, -1/2), h = 1/2, f = 1/20; the second touches the
    opposite corner, has h = 1 / scale and f = h / 10.

    Args:
        x: points.
        scale: side of the box over that of the small block.

    Raises:
        ValueError: if the small block would reach into the large one.
    """
    if not scale >= 2:
        raise ValueError(f"scale is {scale}; it must be at least 2")
    (x,) = floating(x)
    total = jnp.zeros_like(x)
    for centre, half in ((-0.5, 0.5), (1 - 1 / scale, 1 / scale)):
        inner = jnp.clip((x - centre) / half, -1, 1)
        distance = optax.safe_norm(x - centre - half * inner, 0.0, axis=-1, keepdims=True)  # 0 inside, with a derivative
        total += jnp.clip(1 - distance / (half / 10), 0, 1) * taylor_green(inner, rescale=False)
    return total
