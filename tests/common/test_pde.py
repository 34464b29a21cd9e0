"""Solvers of partial differential equations: points, minimisers, time steps, advection, fluid, grids."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from quire.common.fields.siren import init_siren, siren
from quire.common.pde.advection import Advection, fit_objective, midpoint_objective
from quire.common.pde.diagnostics import kinetic_energy, mass, root_mean_square_divergence
from quire.common.pde.fluid import (
    EulerFluid,
    pressure_features,
    pressure_objective,
    semi_lagrangian,
    taylor_green,
    taylor_green_multi,
)
from quire.common.pde.grid_advection import midpoint_grid, midpoint_in_time, semi_lagrangian_line, upwind_grid
from quire.common.pde.grid_fluid import advect, cell_grid, divergence, grid_fluid, project, sample
from quire.common.pde.minimise import Adam, LevenbergMarquardt, Plateau, lower_of, minimise, minimise_best
from quire.common.pde.objective import Block, Objective
from quire.common.pde.precision import working_precision
from quire.common.pde.samplers import cell_centres, sides, stratified, uniform
from quire.common.pde.stepping import advance, march, warm_starts
from quire.common.testing import assert_close, assert_jit_consistent, assert_vmap_consistent

KEY = jax.random.key(0)
LOW, HIGH = jnp.array([-1.0, 0.0]), jnp.array([1.0, 4.0])

# --- Points ---


def test_points_are_where_they_should_be():
    points = uniform(KEY, 200, LOW, HIGH)
    assert bool(jnp.all((points >= LOW[None]) & (points <= HIGH[None])))
    one_each = stratified(KEY, (5, 4), LOW, HIGH)
    cells = jnp.floor((one_each - LOW[None]) / jnp.array([[0.4, 1.0]])).astype(int)
    assert len({tuple(c) for c in cells.tolist()}) == 20
    assert_close(cell_centres((2, 1), LOW, HIGH), np.array([[-0.5, 2.0], [0.5, 2.0]]), 1e-6)
    near = sides(KEY, 40, 0, LOW, HIGH)
    assert float(jnp.abs(jnp.abs(near[:, 0]) - 1).max()) <= 1.1e-4
    assert int((near[:, 0] > 0).sum()) == 20 and float(jnp.ptp(near[:, 1])) > 2


# --- Minimisers ---


def linear(A, b):
    return Objective({"main": Block(lambda theta, row: (row[0] @ theta - row[1])[None], (A, b), 1.0)})


def test_levenberg_marquardt_solves_linear_least_squares_in_one_step():
    with jax.enable_x64():
        A, b = jax.random.normal(KEY, (9, 4)), jax.random.normal(jax.random.key(1), (9,))
        exact = np.linalg.lstsq(A, b, rcond=None)[0]
        for accelerate in (False, True):
            solver = LevenbergMarquardt(1, 1e-14, accelerate=accelerate)
            theta, info = jax.jit(lambda theta, solver=solver: minimise(lambda key: linear(A, b), theta, KEY, solver))(
                jnp.zeros(4)
            )
            assert_close(theta, exact, 1e-10)
            assert int(info.steps) == 1 and bool(info.accepted[0])
            assert_close(info.loss, np.sum((A @ exact - b) ** 2), 1e-10)


def rosenbrock():
    """Two residuals along a bent valley; minimum 0 at (1, 1)."""
    return Objective(
        {"main": Block(lambda theta, c: jnp.stack([c * (theta[1] - theta[0] ** 2), 1 - theta[0]]), jnp.ones(1) * 10.0)}
    )


def test_acceleration_follows_a_bent_valley_in_fewer_steps():
    with jax.enable_x64():

        def steps(accelerate):
            solver = LevenbergMarquardt(200, 1e-3, tolerance=1e-20, accelerate=accelerate)
            theta, info = minimise(lambda key: rosenbrock(), jnp.array([-1.2, 1.0]), KEY, solver)
            assert_close(theta, np.ones(2), 1e-8)
            return int(info.steps)

        assert steps(True) < steps(False) < 200


def test_curvature_slope_is_the_second_derivative_of_the_residuals():
    with jax.enable_x64():
        theta, direction = jnp.array([0.3, -0.7]), jnp.array([1.1, 0.4])
        block = rosenbrock().blocks["main"]
        second = jax.jvp(lambda t: jax.jvp(block.residuals, (t,), (direction,))[1], (theta,), (direction,))[1]
        expected = block.linearised(theta)[1].reshape(-1, 2).T @ second.reshape(-1)
        assert_close(rosenbrock().curvature_slope(theta, direction), expected, 1e-12)


def test_normal_equations_are_those_of_the_batch():
    with jax.enable_x64():
        layers, x = init_siren(KEY, 1, 1, 5, 1), jnp.linspace(-1, 1, 7)[:, None]
        objective = midpoint_objective(siren, lambda x: x**2, x, x[:2], velocity=0.3, dt=0.1)
        theta, unravel = ravel_pytree(layers)

        def residuals(theta):
            return jnp.concatenate([b.residuals(unravel(theta)).reshape(-1) for b in objective.blocks.values()])

        @jax.jit
        def everything(layers, theta):
            whole = jax.jacrev(residuals)(theta), residuals(theta)
            return whole, objective.normal_equations(layers), jax.value_and_grad(objective)(layers)

        (J, r), (gram, slope), (value, grads) = everything(layers, theta)
        assert_close(gram, J.T @ J, 1e-10)
        assert_close(slope, J.T @ r, 1e-10)
        assert_close(2 * slope, ravel_pytree(grads)[0], 1e-10)
        assert_close(value, r @ r, 1e-12)


def quadratic(key):
    return Objective({"main": Block(lambda theta, x: theta - x, jnp.array([[1.0, 2.0]]))})


def test_adam_stops_on_the_plateau_and_reports():
    solver = Adam(4000, 1e-1, Plateau(patience=50, min_learning_rate=1e-4, stop=1.1e-4))
    theta, info = jax.jit(lambda theta: minimise(quadratic, theta, KEY, solver))(jnp.zeros(2))
    assert_close(theta, np.array([1.0, 2.0]), 1e-2)
    assert int(info.steps) < 4000 and float(info.learning_rate) <= 1.1e-4
    assert int(info.accepted.sum()) == int(info.steps)
    assert float(info.losses[-1]) == float(info.loss)


def test_solvers_one_after_the_other_share_a_report():
    solvers = (Adam(20, 1e-1, None), LevenbergMarquardt(3, 1e-6, tolerance=1e-12))
    theta, info = minimise(quadratic, jnp.zeros(2), KEY, solvers)
    assert_close(theta, np.array([1.0, 2.0]), 1e-5)
    assert info.losses.shape == (23,) and float(info.start) == 5.0 and float(info.damping) > 0
    _, early = minimise(quadratic, jnp.zeros(2), KEY, LevenbergMarquardt(3, 1e-6), tolerance=10.0)
    assert int(early.steps) == 0 and float(early.loss) == 5.0


def test_the_best_start_goes_on():
    starts = jnp.array([[9.0, 9.0], [1.0, 1.5], [-4.0, 0.0]])
    theta, _ = minimise_best(quadratic, starts, KEY, (Adam(1, 1e-6, None),))
    assert_close(theta, starts[1], 1e-4)
    theta, info = minimise_best(quadratic, starts, KEY, (Adam(1, 1e-6, None), LevenbergMarquardt(2, 1e-8)))
    assert_close(theta, np.array([1.0, 2.0]), 1e-5)
    assert (
        info.losses.shape == (3,) and float(info.start) == 0.25 and int(info.steps) == 2
    )  # one step of each, from the best start
    chosen = lower_of(quadratic(KEY), [jnp.array([9.0, 9.0]), jnp.array([1.0, 2.1])])
    assert_close(chosen, np.array([1.0, 2.1]), 1e-6)


def test_minimisers_end_where_the_objective_is_not_finite():
    """A logarithm that Adam walks out of: the last parameters with a finite objective, and the NaN reported."""

    def logarithm(key):
        return Objective({"main": Block(lambda theta, x: jnp.log(theta + 1 + x), jnp.zeros((1, 1)))})

    def run(start, solver):
        return jax.jit(lambda theta: minimise(logarithm, theta, KEY, solver))(jnp.array([start]))

    with jax.debug_nans(False):
        theta, info = run(0.5, Adam(50, 3.0, None))
        assert bool(jnp.isfinite(theta).all()) and float(theta[0]) > -1
        assert bool(jnp.isnan(info.loss)) and 1 < int(info.steps) < 50
        for solver in (LevenbergMarquardt(5), Adam(50), (Adam(5), LevenbergMarquardt(5))):
            theta, info = run(-3.0, solver)
            assert float(theta[0]) == -3 and int(info.steps) <= 1 and bool(jnp.isnan(info.loss))
        _, info = run(0.5, Adam(5, 1e-3, None))
        assert bool(jnp.isfinite(info.loss)) and int(info.steps) == 5


# --- Time steps ---


def test_extrapolation_is_offered_and_the_better_start_taken():
    older, newest = jnp.array([0.0, 0.0]), jnp.array([0.5, 1.0])
    assert_close(jnp.stack(warm_starts(newest, older)), np.array([[0.5, 1.0], [1.0, 2.0]]), 1e-7)
    assert len(warm_starts(newest, older, extrapolate=False)) == 1
    _, info = advance(quadratic, warm_starts(newest, older), KEY, LevenbergMarquardt(1, 1e-3))
    assert float(info.start) == 0.0


def test_march_keeps_every_state():
    last, kept, infos = jax.jit(lambda x: march(lambda x, n, key: (x + n, n), x, KEY, 4))(jnp.array(1.0))
    assert kept.tolist() == [1.0, 1.0, 2.0, 4.0, 7.0] and float(last) == 7.0 and infos.tolist() == [0, 1, 2, 3]


def test_march_ends_after_a_state_that_is_not_finite():
    def step(state, n, key):
        draw = lambda key: Objective({"main": Block(lambda x, shift: jnp.log(2 - n + x) + shift, jnp.zeros((1, 1)))})  # noqa: E731
        state, info = advance(draw, [state], key, LevenbergMarquardt(1, 1e3))
        return state, (info.loss, n, info.steps)

    with jax.debug_nans(False):
        last, kept, (losses, numbers, steps) = jax.jit(lambda x: march(step, x, KEY, 6))(jnp.array([0.5]))
        last, kept, losses, numbers, steps = map(np.asarray, (last, kept, losses, numbers, steps))
    finite = np.isfinite(kept[:, 0])
    count = int(finite.sum())
    assert 1 < count < 6 and finite[:count].all() and np.isnan(last).all() and np.isnan(losses[count:]).all()
    assert numbers.tolist() == [*range(count), *[0] * (6 - count)] and not steps[count:].any()


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_working_precision(precision):
    with working_precision(precision):
        assert jnp.zeros(1).dtype == precision


# --- Advection ---

BUMP = {"velocity": 0.25, "dt": 0.05}


def bump(x):
    return np.exp(-0.5 * (x + 1) ** 2 / 0.04)


def profile(n):
    x = np.linspace(-3, 3, n)
    return x, bump(x), x[1] - x[0]


def test_a_network_advects():
    """Adam path and Levenberg-Marquardt path of the same problem, briefly."""
    with working_precision():
        problem = Advection(
            (LevenbergMarquardt(8, 1e-5, floor=1e-8),), num_points=330, stratify=True, extrapolate=True, length=4.0
        )

        def draw(key):
            x, _ = problem.points(key)
            return fit_objective(siren, x, jnp.exp(-0.5 * (x + 0.5) ** 2 / 0.16))

        @jax.jit
        def solve(layers):
            layers, fit = minimise(draw, layers, KEY, (Adam(500, 3e-3, None), LevenbergMarquardt(60, 1e-3, accelerate=True)))
            state, kept, infos = march(problem.step, problem.start(layers), KEY, 3, keep=lambda s: s.now)
            slow = replace(problem, solvers=(Adam(5, 1e-4, None),), stratify=False, extrapolate=False)
            return fit, state, kept, infos, march(slow.step, slow.start(layers), KEY, 1)[2]

        fit, state, kept, infos, adam = solve(init_siren(KEY, 1, 1, 12, 1))
        assert float(fit.loss) < 1e-6 and infos.converged.tolist() == (infos.solve.terms["main"] < 1e-5).tolist()
        x = jnp.linspace(-1.5, 1.5, 50)[:, None]
        assert_close(siren(state.now, x), jnp.exp(-0.5 * (x + 0.5 - 0.0375) ** 2 / 0.16), 1e-3)
        assert jax.tree.leaves(kept)[0].shape[0] == 4
        assert infos.solve.boundary.shape == (3,) and infos.solve.steps.tolist() == [8, 8, 8]
        assert float(adam.solve.learning_rate[0]) < 1e-4 and int(adam.solve.steps[0]) == 5


@pytest.mark.parametrize(
    ("solver", "options", "order"),
    [
        (midpoint_grid, {"scheme": "central"}, 2.0),
        (midpoint_grid, {"scheme": "upwind"}, 1.0),
        (upwind_grid, {}, 1.0),
        (semi_lagrangian_line, {"interpolation": "linear"}, 2.0),
        (semi_lagrangian_line, {"interpolation": "cubic"}, 4.0),
    ],
)
def test_grids_converge_at_their_order(solver, options, order):
    """With a fixed small time step; where there is interpolation, with steps of half a cell."""
    errors = []
    for n in (241, 481):
        x, u, h = profile(n)
        dt = 2 * h if "interpolation" in options else 0.004
        found = solver(u, h, velocity=0.25, dt=dt, steps=10, **options)[-1]
        errors.append(np.abs(found - bump(x - 2.5 * dt)).max())
    assert abs(np.log2(errors[0] / errors[1]) - order) < 0.45


def test_grids_follow_the_wind_either_way():
    _, u, h = profile(201)
    for solver, options in ((midpoint_grid, {"scheme": "upwind"}), (upwind_grid, {}), (semi_lagrangian_line, {})):
        right = solver(u, h, velocity=0.25, dt=0.05, steps=5, **options)
        left = solver(u[::-1], h, velocity=-0.25, dt=0.05, steps=5, **options)
        assert_close(left[-1][::-1], right[-1], 1e-12)


def test_central_midpoint_keeps_mass_and_square():
    _, u, h = profile(301)
    series = midpoint_grid(u, h, **BUMP, steps=20)
    assert_close(mass(series[..., None]), np.full(21, u.mean()), 1e-6)
    assert_close(np.sum(series**2, axis=1), np.full(21, np.sum(u**2)), 1e-10)


def test_midpoint_in_time_is_the_limit_of_fine_grids():
    x = np.linspace(-3, 3, 600, endpoint=False)
    exact = midpoint_in_time(bump(x), x[1] - x[0], **BUMP, steps=20)
    nodes, u, h = profile(3001)
    fine = midpoint_grid(u, h, **BUMP, steps=20)[-1]
    assert_close(np.interp(x, nodes, fine), exact, 1e-4)
    assert_close(midpoint_in_time(bump(x), x[1] - x[0], velocity=0.25, dt=1e-3, steps=100), bump(x - 0.025), 1e-6)


# --- Fluid ---


def test_taylor_green_is_steady():
    """`(u grad) u` is a gradient: its curl vanishes; so do the divergence and the normal velocity on the walls."""
    with jax.enable_x64():
        x = jax.random.uniform(KEY, (6, 2), minval=-1, maxval=1)

        def acceleration(x):
            return jax.jacfwd(taylor_green)(x) @ taylor_green(x)

        slopes = jax.vmap(jax.jacfwd(acceleration))(x)
        assert float(jnp.abs(slopes[:, 0, 1] - slopes[:, 1, 0]).max()) < 1e-12
        assert float(root_mean_square_divergence(taylor_green, x)) < 1e-14
        walls = jnp.stack([jnp.ones(4), jnp.linspace(-1, 1, 4)], axis=-1)
        assert float(jnp.abs(taylor_green(walls)[:, 0]).max()) < 1e-15
        assert float(jnp.abs(taylor_green_multi(walls)[:, 0]).max()) < 1e-14


def test_the_pressure_of_a_known_source():
    """Manufactured: with `u = grad q`, q satisfying the wall conditions, the pressure q has no residual at all."""
    with jax.enable_x64():

        def potential(_, x):
            return jnp.cos(jnp.pi * (x[:1] + 1)) * jnp.cos(jnp.pi * (x[1:] + 1))

        problem = EulerFluid(resolution=5, side_points=4)
        points = problem.points(KEY)
        walls = tuple(jnp.round(p.at[:, axis].get()[:, None] * 0 + p) for axis, p in enumerate(points.sides))
        objective = pressure_objective(potential, jax.grad(lambda x: potential({}, x)[0]), points._replace(sides=walls))
        assert float(objective({})) < 1e-24


def test_semi_lagrangian_velocity_is_clipped_to_the_box():
    with jax.enable_x64():
        seen = semi_lagrangian(lambda x: jnp.where(jnp.abs(x) <= 1, x, jnp.nan) * 5 + 3, 1.0)(jnp.array([0.9, -0.9]))
        assert bool(jnp.isfinite(seen).all())


def test_a_network_flows_and_reports():
    with working_precision():
        lm = (LevenbergMarquardt(6, 1e-3, accelerate=True),)
        problem = EulerFluid(lm, lm, lm, resolution=10, side_points=6, stratify=True, extrapolate=True, stop_early=0.1)

        def draw(key):
            x = problem.points(key).inside
            return fit_objective(siren, x, taylor_green(x))

        @jax.jit
        def solve(layers):
            layers, _ = minimise(draw, layers, KEY, (Adam(200, 3e-3, None), LevenbergMarquardt(30, 1e-3, accelerate=True)))
            return march(problem.step, problem.start(layers, pressure_features(layers)), KEY, 2, keep=lambda s: s.velocity)

        state, kept, infos = solve(init_siren(KEY, 2, 2, 8, 1))
        assert jax.tree.leaves(kept)[0].shape[0] == 3 and infos.advect_ratio.shape == (2,)
        assert bool((infos.advect_ratio < 1).all()) and infos.converged.dtype == bool
        x = jnp.asarray(cell_grid(8).reshape(-1, 2))
        assert bool(jnp.isfinite(kinetic_energy(jax.vmap(lambda layers: siren(layers, x))(kept))).all())
        bounds = (infos.advect_ratio < problem.advect_below) & (infos.pressure_cost < problem.pressure_below)
        assert infos.converged.tolist() == bounds.tolist()
        assert bool((state.pressure[-1][0] != 0).any())


def test_jit_and_vmap_of_a_minimisation():
    with jax.enable_x64():

        def solve(theta):
            return minimise(lambda key: rosenbrock(), theta, KEY, LevenbergMarquardt(4, 1e-3, accelerate=True))[0]

        assert_jit_consistent(solve, jnp.array([-1.2, 1.0]), tolerance=1e-10)
        assert_vmap_consistent(solve, jnp.array([[-1.2, 1.0], [0.3, 0.2]]), tolerance=1e-10)


def random_velocity(n, seed=0):
    return np.random.default_rng(seed).standard_normal((n, n, 2))


@pytest.mark.parametrize("n", [7, 8])
def test_the_projection_is_one(n):
    u = random_velocity(n)
    once = project(u)
    assert np.abs(divergence(once)).max() < 1e-12 < np.abs(divergence(u)).max()
    assert_close(project(once), once, 1e-12)
    assert np.sum(once**2) <= np.sum(u**2)
    assert abs(np.sum(once * (u - once))) < 1e-10


def test_grid_keeps_a_steady_flow_to_its_order():
    errors = {order: [] for order in (1, 3)}
    for order in errors:
        for n in (16, 32):
            start = np.asarray(taylor_green(jnp.asarray(cell_grid(n), jnp.float32)), float)
            errors[order].append(np.mean((grid_fluid(start, 0.02, 3, order=order)[-1] - start) ** 2) ** 0.5)
    assert 1.8 < errors[1][0] / errors[1][1] < 2.2  # first order where steps are much shorter than cells
    assert errors[3][0] < 0.2 * errors[1][0]


def test_sampling_a_grid():
    grid = cell_grid(12)
    u = np.asarray(taylor_green(jnp.asarray(grid)), float)
    for order in (1, 3):
        assert_close(sample(u, grid, order=order), u, 1e-6)
    walls = np.array([[1.0, 0.3], [-1.0, -0.2]])
    assert np.abs(sample(u, walls, order=3)[:, 0]).max() < 1e-12
    assert_close(advect(u, 1e-9), u, 1e-6)


# --- Errors ---


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: uniform(KEY, 0, LOW, HIGH), "num_points is 0"),
        (lambda: cell_centres((3,), LOW, HIGH), r"resolution is \(3,\); it needs 2 positive numbers"),
        (lambda: sides(KEY, 4, 2, LOW, HIGH), "axis is 2"),
        (lambda: Adam(0), "steps is 0"),
        (lambda: LevenbergMarquardt(damping=0.0), "damping 0.0"),
        (lambda: LevenbergMarquardt(increase=0.5), "decrease is 3.0 and increase 0.5"),
        (lambda: LevenbergMarquardt(floor=-1.0), "floor is -1.0; it must be at least 0"),
        (lambda: LevenbergMarquardt(settled=float("nan")), "settled is nan; it must be at least 0"),
        (lambda: Plateau(factor=1.5), "factor is 1.5 and patience 500"),
        (lambda: minimise(quadratic, jnp.zeros(2), KEY, ()), "solvers is empty"),
        (lambda: minimise_best(quadratic, jnp.zeros((1, 2)), KEY, ()), "solvers is empty"),
        (lambda: march(lambda x, n, key: (x, n), jnp.zeros(1), KEY, 0), "steps is 0"),
        (lambda: Advection(dt=0.0), "dt is 0.0; it must be positive"),
        (lambda: Advection(num_points=0), "num_points is 0"),
        (lambda: EulerFluid(dt=-1.0), "dt is -1.0"),
        (lambda: EulerFluid(resolution=0), "resolution is 0"),
        (lambda: taylor_green_multi(jnp.zeros(2), scale=1.0), "scale is 1.0; it must be at least 2"),
        (lambda: midpoint_grid(np.ones(4), 1.0, **BUMP, steps=1, scheme="best"), "scheme is 'best'; choose from central, upwind"),
        (lambda: midpoint_grid(np.ones(4), 1.0, velocity=1.0, dt=0.0, steps=1), "dt is 0.0"),
        (lambda: semi_lagrangian_line(np.ones(4), 1.0, **BUMP, steps=1, interpolation="best"), "interpolation is 'best'"),
        (lambda: cell_grid(1), "n is 1"),
        (lambda: project(np.ones((3, 4, 2))), r"u has shape \(3, 4, 2\)"),
        (lambda: sample(np.ones((3, 3, 2)), np.ones((1, 2)), order=2), "order is 2; choose from 1"),
        (lambda: advect(np.ones((3, 3, 2)), 0.0), "dt is 0.0"),
        (lambda: grid_fluid(np.ones((3, 3, 2)), 0.1, 0), "steps is 0"),
        (lambda: working_precision("float16").__enter__(), "precision is 'float16'"),
    ],
)
def test_errors(as_installed, call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_grids_refuse_what_is_not_finite():
    """Interpolation would read numbers from elsewhere."""
    u = random_velocity(4)
    u[1, 2, 0] = np.nan
    for call in (lambda: grid_fluid(u, 0.1, 1), lambda: project(u), lambda: advect(u, 0.1)):
        with pytest.raises(ValueError, match="u holds numbers that are not finite"):
            call()
    with pytest.raises(ValueError, match="points holds numbers that are not finite"):
        sample(random_velocity(4), np.full((1, 2), np.nan))


def test_vortices_have_derivatives_inside_their_block():
    with jax.enable_x64():
        x = jnp.array([-0.4, -0.3])
        inner = jax.jacobian(lambda x: taylor_green((x + 0.5) / 0.5, rescale=False))(x)
        assert_close(jax.jacobian(taylor_green_multi)(x), inner, 1e-12)


def test_points_of_integer_boxes(as_installed):
    low, high = jnp.array([0, 0]), jnp.array([2, 4])
    for points in (uniform(KEY, 9, low, high), stratified(KEY, (3, 3), low, high), sides(KEY, 8, 1, low, high)):
        assert points.dtype == jnp.float32 and len(np.unique(np.asarray(points)[:, 0])) > 4


def test_a_block_has_points():
    with pytest.raises(ValueError, match="num_points is 0; it must be at least 1"):
        Block(lambda theta, x: theta - x, jnp.zeros((0, 2))).residuals(jnp.zeros(2))
