"""The experiments behind the claims: the same problem by networks and by grids with as many floats."""

import math
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.interpolate import CubicSpline

from quire.common.checks import check_at_least
from quire.common.fields.siren import Layers, init_siren, siren
from quire.common.fields.siren_laplacian import siren_laplacian
from quire.common.pde.advection import Advection, fit_objective
from quire.common.pde.diagnostics import kinetic_energy
from quire.common.pde.fluid import EulerFluid, FluidState, pressure_features, taylor_green, taylor_green_multi
from quire.common.pde.grid_advection import midpoint_grid, midpoint_in_time, semi_lagrangian_line, upwind_grid
from quire.common.pde.grid_fluid import cell_grid, grid_fluid, sample
from quire.common.pde.minimise import Draw, Info, minimise_best
from quire.common.pde.precision import working_precision
from quire.common.pde.samplers import sides, stratified, uniform
from quire.common.pde.stepping import march
from quire.common.train.seeds import stack
from quire.insr_pde.config import AdvectionRun, FluidRun, Network, Solvers, TwoScales
from quire.insr_pde.pinn import pinn_objective


@jax.jit
def bump(x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """Initial profile of the advection: `exp(-(x + 3/2)^2 / (2 * 0.1^2))`."""
    return jnp.exp(-0.5 * (x + 1.5) ** 2 / 0.1**2)


def num_floats(network: Network, in_dim: int, out_dim: int) -> int:
    """Weights of one network."""
    layers = jax.eval_shape(lambda: init_siren(jax.random.key(0), in_dim, out_dim, network.hidden, network.num_hidden_layers))
    return sum(math.prod(part.shape) for layer in layers for part in layer)


def equal_grid(floats: int, fields: int) -> int:
    """Points along each side of the smallest square grid with at least as many floats.

    Raises:
        ValueError: for fewer than one float or field.
    """
    check_at_least("floats", floats)
    check_at_least("fields", fields)
    return math.ceil((floats / fields) ** 0.5)


def fit_network(
    draw: Draw, network: Network, in_dim: int, out_dim: int, key: jax.Array, solvers: Solvers, *, dtype: Any = None
) -> tuple[Layers, Info]:
    """A new network that minimises an objective; the best of `network.restarts` new ones goes on after the first solver."""
    init_key, solve_key = jax.random.split(key)
    sizes = in_dim, out_dim, network.hidden, network.num_hidden_layers
    starts = jax.vmap(lambda key: init_siren(key, *sizes, dtype=dtype))(jax.random.split(init_key, network.restarts))
    return minimise_best(draw, starts, solve_key, solvers)


def _over_seeds(program: Callable[[jax.Array], Any], keys: jax.Array) -> Any:
    """Results of one compiled program for each key, as NumPy arrays with a leading axis."""
    return stack([program(key) for key in keys])


def _on_host(field: Callable[[Array], Array], x: np.ndarray) -> np.ndarray:
    """A field at points, float64."""
    with jax.enable_x64():
        return np.asarray(field(jnp.asarray(x)))


# --- Advection ---

DOMAIN = 4.0
FINE = 4
"""Test points per node of the grid."""


def advection_problem(run: AdvectionRun) -> Advection:
    """The time steps of a run."""
    return Advection(run.inner, num_points=run.num_points, stratify=run.stratify, extrapolate=run.extrapolate, length=DOMAIN)


def line(run: AdvectionRun) -> tuple[np.ndarray, np.ndarray]:
    """Nodes of the grid with as many floats as the network, and test points: the nodes and points between them."""
    n = num_floats(run.network, 1, 1)
    return np.linspace(-DOMAIN / 2, DOMAIN / 2, n), np.linspace(-DOMAIN / 2, DOMAIN / 2, FINE * (n - 1) + 1)


@cache
def _advection_program(run: AdvectionRun) -> Callable[[jax.Array], dict[str, Any]]:
    problem, (_, test) = advection_problem(run), line(run)
    dtype = jnp.dtype(run.precision)

    def draw(key):
        x, _ = problem.points(key, dtype)
        return fit_objective(siren, x, bump(x))

    @jax.jit
    def program(key):
        fit_key, march_key = jax.random.split(key)
        layers, fit = fit_network(draw, run.network, 1, 1, fit_key, run.fit, dtype=dtype)
        _, weights, infos = march(problem.step, problem.start(layers), march_key, run.steps, keep=lambda state: state.now)
        values = jax.vmap(lambda layers: siren(layers, jnp.asarray(test, dtype)[:, None])[:, 0])(weights)
        return {"fit": fit, "steps": infos, "values": values}

    return program


@cache
def _pinn_program(run: AdvectionRun) -> Callable[[jax.Array], dict[str, Any]]:
    problem, (_, test) = advection_problem(run), line(run)
    dtype, end = jnp.dtype(run.precision), run.steps * problem.dt

    def draw(key):
        low, high = jnp.array([-DOMAIN / 2, 0.0], dtype), jnp.array([DOMAIN / 2, end], dtype)
        keys = jax.random.split(key, 3)
        count = run.pinn_points[0] * 4
        if run.stratify:
            inside, start = stratified(keys[0], run.pinn_points, low, high), stratified(keys[1], (count,), low[:1], high[:1])
        else:
            inside = uniform(keys[0], run.pinn_points[0] * run.pinn_points[1], low, high)
            start = uniform(keys[1], count, low[:1], high[:1])
        ends = sides(keys[2], count // 4, 0, low, high)
        return pinn_objective(siren, inside, start, ends, bump, velocity=problem.velocity)

    @jax.jit
    def program(key):
        layers, fit = fit_network(draw, run.network, 2, 1, key, run.pinn, dtype=dtype)
        x = jnp.asarray(test, dtype)
        return {"fit": fit, "values": siren(layers, jnp.stack([x, jnp.full_like(x, end)], axis=-1))[:, 0]}

    return program


def advect_by_networks(run: AdvectionRun, keys: jax.Array) -> dict[str, Any]:
    """A network per time step, and one network over space and time, for every key.

    Returns:
        `fit`, `steps` (how the fit and the time steps went), `values [seeds, steps + 1, test points]`, and, unless the run
        leaves it out, `pinn` with its `fit` and `values [seeds, test points]` at the end.
    """
    with working_precision(run.precision):
        results = _over_seeds(_advection_program(run), keys)
        return results | {"pinn": _over_seeds(_pinn_program(run), keys)} if run.pinn else results


@cache
def advect_by_grids(run: AdvectionRun) -> dict[str, np.ndarray]:
    """Every grid at its nodes, `[steps + 1, n]`.

    Beside them at the test points: `initial`, the profile at the start; `discrete` and `exact`, the midpoint rule without an
    error in space and the solution at the end.
    """
    problem, (nodes, test) = advection_problem(run), line(run)
    initial, spacing = _on_host(bump, nodes), nodes[1] - nodes[0]
    how: dict[str, Any] = {"velocity": problem.velocity, "dt": problem.dt, "steps": run.steps}
    around = np.arange(2 * FINE * (len(nodes) - 1)) * spacing / FINE - DOMAIN  # periodic, twice as wide
    whole = midpoint_in_time(_on_host(bump, around), spacing / FINE, **how)
    first = FINE * (len(nodes) - 1) // 2
    return {
        "central midpoint": midpoint_grid(initial, spacing, **how),
        "upwind midpoint": midpoint_grid(initial, spacing, scheme="upwind", **how),
        "upwind, CFL sub-steps": upwind_grid(initial, spacing, **how),
        "semi-Lagrangian linear": semi_lagrangian_line(initial, spacing, **how),
        "semi-Lagrangian cubic": semi_lagrangian_line(initial, spacing, interpolation="cubic", **how),
        "discrete": whole[first : first + len(test)],
        "initial": _on_host(bump, test),
        "exact": _on_host(bump, test - problem.velocity * problem.dt * run.steps),
    }


def grid_peak(nodes: np.ndarray, values: np.ndarray, test: np.ndarray) -> float:
    """Largest value of a grid, read by a cubic spline, the best that can be made of its nodes."""
    return float(max(CubicSpline(nodes, values)(test).max(), values.max()))


# --- Fluid ---


def fluid_problem(run: FluidRun) -> EulerFluid:
    """The time steps of a run."""
    return EulerFluid(
        run.advect,
        run.pressure,
        run.project,
        resolution=run.resolution,
        side_points=run.side_points,
        stratify=run.stratify,
        extrapolate=run.extrapolate,
        stop_early=run.stop_early,
        pressure_curvature=siren_laplacian,
    )


TEST_CELLS = 64


@cache
def _fluid_programs(
    run: FluidRun,
) -> tuple[Callable[[jax.Array], tuple[FluidState, Info, Array]], Callable[[list[Layers]], Array]]:
    """`key -> (state, fit, key of the steps)`, the initial velocity fitted; and velocities of all times at the test points."""
    problem, dtype = fluid_problem(run), jnp.dtype(run.precision)
    test = cell_grid(TEST_CELLS).reshape(-1, 2)

    def draw(key):
        x = problem.points(key, dtype).inside
        return fit_objective(siren, x, taylor_green(x))

    @jax.jit
    def begin(key):
        fit_key, pressure_key, march_key = jax.random.split(key, 3)
        velocity, fit = fit_network(draw, run.network, 2, 2, fit_key, run.fit, dtype=dtype)
        if run.share_features:
            pressure = pressure_features(velocity)
        else:
            pressure = init_siren(pressure_key, 2, 1, run.network.hidden, run.network.num_hidden_layers, dtype=dtype)
        return problem.start(velocity, pressure), fit, march_key

    return begin, jax.jit(lambda weights: jnp.stack([siren(layers, jnp.asarray(test, dtype)) for layers in weights]))


def _flow(run: FluidRun, key: jax.Array) -> dict[str, Any]:
    """A flow step by step on the host: a compiled loop over the steps would hold the solver of the velocity twice."""
    begin, read = _fluid_programs(run)
    state, fit, march_key = begin(key)
    velocities, infos = [state.velocity], []
    for n in range(run.steps):
        state, info = fluid_problem(run).step(state, n, march_key)
        velocities.append(state.velocity)
        infos.append(info)
    return {"fit": fit, "steps": stack(infos), "values": read(velocities)}


def flow_by_networks(run: FluidRun, keys: jax.Array) -> dict[str, Any]:
    """The Taylor-Green vortex by networks, for every key.

    Returns:
        `fit`, `steps` (how the fit and the time steps went) and `values [seeds, steps + 1, 64^2, 2]`, velocities in the
        centres of 64 x 64 cells.
    """
    with working_precision(run.precision):
        return _over_seeds(partial(_flow, run), keys)


@cache
def flow_by_grids(run: FluidRun) -> dict[str, np.ndarray]:
    """The same by grids of as many floats, `[steps + 1, 64^2, 2]`; `exact [64^2, 2]`, the initial and final velocity.

    All grids are read by cubic splines: the bilinear one would lose 5 % of its energy to bilinear reading alone.
    """
    floats = num_floats(run.network, 2, 2) + num_floats(run.network, 2, 1)
    test, dt = cell_grid(TEST_CELLS), fluid_problem(run).dt
    start = _on_host(taylor_green, cell_grid(equal_grid(floats, 3)))
    grids = {
        f"semi-Lagrangian {name}": np.stack(
            [sample(u, test, order=3).reshape(-1, 2) for u in grid_fluid(start, dt, run.steps, order=order)]
        )
        for name, order in (("bilinear", 1), ("cubic", 3))
    }
    return grids | {"exact": _on_host(taylor_green, test).reshape(-1, 2)}


def energy_change(values: Float[np.ndarray, "steps n 2"], exact: Float[np.ndarray, "n 2"]) -> np.ndarray:
    """Kinetic energy over that of the exact velocity, less one."""
    with jax.enable_x64():
        return np.asarray(kinetic_energy(values) / kinetic_energy(exact) - 1)


def mean_square(difference: Float[np.ndarray, "steps n 2"]) -> Float[np.ndarray, " steps"]:
    """Mean over points and components, step by step."""
    return np.mean(difference**2, axis=(-2, -1))


# --- Two scales ---


@cache
def _two_scales_program(run: TwoScales) -> Callable[[jax.Array], dict[str, Any]]:
    dtype = jnp.dtype(run.precision)
    regions = {name: jnp.asarray(points.reshape(-1, 2), dtype) for name, points in two_scale_tests().items()}

    def draw(key):
        one, count = jnp.ones(2, dtype), run.resolution
        x = stratified(key, (count, count), -one, one) if run.stratify else uniform(key, count**2, -one, one)
        return fit_objective(siren, x, taylor_green_multi(x))

    @jax.jit
    def program(key):
        layers, fit = fit_network(draw, run.network, 2, 2, key, run.fit, dtype=dtype)
        return {"fit": fit, "values": {name: siren(layers, points) for name, points in regions.items()}}

    return program


def two_scale_tests() -> dict[str, np.ndarray]:
    """Test points `[64, 64, 2]`: of the box, and of the small block alone."""
    box = cell_grid(TEST_CELLS)
    return {"box": box, "small block": 0.875 + 0.125 * box}


def two_scales_by_networks(run: TwoScales, keys: jax.Array) -> dict[str, Any]:
    """A network fitted to vortices of two sizes, for every key: `fit`, and `values` at the test points, `[seeds, 64^2, 2]`."""
    with working_precision(run.precision):
        return _over_seeds(_two_scales_program(run), keys)


@cache
def two_scales_by_grids(run: TwoScales) -> dict[str, dict[str, np.ndarray]]:
    """Bilinear grids of as many floats at the test points: nodal values exact, and by least squares; `exact` too."""
    n = equal_grid(num_floats(run.network, 2, 2), 2)
    axis = np.linspace(-1, 1, n)
    nodal = _on_host(taylor_green_multi, np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1))
    dense = cell_grid(4 * TEST_CELLS)
    inverse = np.linalg.pinv(_hats(dense[:, 0, 0], n))
    fitted = _on_both_axes(inverse, inverse, _on_host(taylor_green_multi, dense))

    def read(values):
        tests = two_scale_tests().items()
        along = {name: (_hats(points[:, 0, 0], n), _hats(points[0, :, 1], n)) for name, points in tests}
        return {name: _on_both_axes(*hats, values).reshape(-1, 2) for name, hats in along.items()}

    return {
        "bilinear grid, nodal values": read(nodal),
        "bilinear grid, least squares": read(fitted),
        "exact": {name: _on_host(taylor_green_multi, points).reshape(-1, 2) for name, points in two_scale_tests().items()},
    }


def _hats(points: Float[np.ndarray, " m"], n: int) -> Float[np.ndarray, "m n"]:
    """Linear hat functions of n nodes from -1 to 1."""
    return np.maximum(1 - np.abs((points[:, None] + 1) * (n - 1) / 2 - np.arange(n)), 0)


def _on_both_axes(left: np.ndarray, right: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.einsum("ai,bj,ijk->abk", left, right, values)
