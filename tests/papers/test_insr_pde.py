"""Implicit neural spatial representations: golden vectors of advection and fluid, experiments, claims C0 to C3."""

import json
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from typer.testing import CliRunner

from quire.common.cli.app import app
from quire.common.fields.operators import divergence, gradient, jacobian, laplacian
from quire.common.fields.siren import siren
from quire.common.pde.advection import midpoint_objective
from quire.common.pde.fluid import (
    Points,
    advection_objective,
    pressure_objective,
    projection_objective,
    taylor_green,
    taylor_green_multi,
)
from quire.common.pde.minimise import Adam, LevenbergMarquardt, Plateau
from quire.common.pde.precision import working_precision
from quire.common.testing import assert_close, cast
from quire.insr_pde import brute_force, claims, experiments, solids
from quire.insr_pde.benchmark import by_batch, by_hessian, poisson
from quire.insr_pde.config import PRESETS, QUICK, Network
from quire.insr_pde.convert import flat_from_layers, layers_from_flat
from quire.insr_pde.experiments import (
    advect_by_grids,
    advect_by_networks,
    equal_grid,
    flow_by_grids,
    num_floats,
    two_scales_by_grids,
)
from quire.insr_pde.pinn import pinn_objective
from quire.insr_pde.solids_claims import free_fall

PRECISIONS = pytest.mark.parametrize(
    ("dtype", "on_losses", "on_gradients"), [(jnp.float64, 1e-9, 1e-9), (jnp.float32, 2e-3, 1e-2)], ids=["f64", "f32"]
)


@pytest.fixture(scope="module")
def vectors(golden):
    return golden("insr_pde")


def layers_of(vectors, name, in_dim, out_dim, dtype):
    hidden, depth = map(int, vectors["arch"])
    sizes = {"in_dim": in_dim, "out_dim": out_dim, "hidden": hidden, "num_hidden_layers": depth}
    return layers_from_flat(vectors[name], **sizes, dtype=dtype)


def on(layers):
    return lambda x: siren(layers, x)


def assert_loss_and_gradient(objective, layers, main, boundary, slope, on_losses, on_gradients):
    terms = jax.jit(objective.terms)(layers)
    assert_close(terms["main"], main, on_losses)
    assert_close(terms["boundary"], boundary, on_losses)
    assert_close(flat_from_layers(jax.jit(jax.grad(objective))(layers)), slope, on_gradients)


# --- Golden vectors ---


@PRECISIONS
def test_golden_fields_and_derivatives(vectors, dtype, on_losses, on_gradients):
    with jax.enable_x64(dtype == jnp.float64):
        x = jnp.asarray(vectors["siren_x"], dtype)
        dim, out = x.shape[-1], vectors["siren_y"].shape[-1]
        u, p = (on(layers_of(vectors, *which, dtype)) for which in (("siren_params", dim, out), ("siren_p_params", dim, 1)))
        assert_close(u(x), vectors["siren_y"], on_losses)
        assert_close(jax.vmap(lambda x: jacobian(u, x))(x), vectors["siren_jac"], on_losses)
        assert_close(jax.vmap(lambda x: divergence(u, x))(x)[:, None], vectors["siren_div"], on_gradients)
        assert_close(p(x), vectors["siren_p"], on_losses)
        assert_close(jax.vmap(lambda x: gradient(p, x))(x), vectors["siren_p_grad"], on_losses)
        assert_close(jax.vmap(lambda x: laplacian(p, x))(x), vectors["siren_p_lap"], on_gradients)


@PRECISIONS
def test_golden_midpoint_rule(vectors, dtype, on_losses, on_gradients):
    with jax.enable_x64(dtype == jnp.float64):
        layers, previous = (layers_of(vectors, name, 1, 1, dtype) for name in ("adv_params", "adv_params_prev"))
        x, ends = (jnp.asarray(vectors[name], dtype) for name in ("adv_x", "adv_xb"))
        how = {"velocity": float(vectors["adv_vel"]), "dt": float(vectors["adv_dt"])}
        objective = midpoint_objective(siren, on(previous), x, ends, **how)
        expected = (vectors[name] for name in ("adv_loss_main", "adv_loss_bc", "adv_grad"))
        assert_loss_and_gradient(objective, layers, *expected, on_losses, on_gradients)


@PRECISIONS
@pytest.mark.parametrize("problem", ["advect_velocity", "solve_pressure", "projection"])
def test_golden_fluid(vectors, problem, dtype, on_losses, on_gradients):
    with jax.enable_x64(dtype == jnp.float64):
        arrays = cast({name: vectors[f"fl_{name}"] for name in ("x", "bx", "by")}, dtype)
        points = Points(arrays["x"], (arrays["bx"], arrays["by"]))
        velocity, previous = (layers_of(vectors, name, 2, 2, dtype) for name in ("fl_vel", "fl_vel_prev"))
        pressure = layers_of(vectors, "fl_p", 2, 1, dtype)
        objective, trained = {
            "advect_velocity": (advection_objective(siren, on(previous), points, dt=float(vectors["fl_dt"])), velocity),
            "solve_pressure": (pressure_objective(siren, on(velocity), points), pressure),
            "projection": (projection_objective(siren, on(previous), on(pressure), points), velocity),
        }[problem]
        expected = (vectors[f"fl_{problem}_{part}"] for part in ("main", "bc", "grad"))
        assert_loss_and_gradient(objective, trained, *expected, on_losses, on_gradients)


@PRECISIONS
def test_golden_vortices(vectors, dtype, on_losses, on_gradients):
    with jax.enable_x64(dtype == jnp.float64):
        assert_close(taylor_green(jnp.asarray(vectors["tg_x"], dtype)), vectors["tg_single"], on_losses)
        x = vectors["tg_multi_x"]
        assert_close(taylor_green_multi(jnp.asarray(x, dtype)), vectors["tg_multi"], on_losses)
        corner = np.array([[1.0, 1.0], [0.0, 0.0], [-1.0, 0.0], [0.9, -0.9]])
        assert float(jnp.abs(taylor_green_multi(jnp.asarray(corner, dtype))).max()) < 1e-5


def test_golden_plateau(vectors):
    """The learning rate after every loss of the sequence, from the transformation alone."""
    with jax.enable_x64():
        patience, start = int(vectors["plateau_patience"]), 1e-4
        tx = Plateau(patience=patience).transform(start)
        params = {"w": jnp.zeros(1)}
        state, rates = tx.init(params), []
        update = jax.jit(lambda state, loss: tx.update(params, state, params, value=loss)[1])
        for loss in vectors["plateau_loss"]:
            state = update(state, jnp.asarray(loss))
            rates.append(start * float(state.scale))
        assert_close(np.array(rates), vectors["plateau_lr"], 1e-9)


def test_flat_parameters_round_trip(vectors):
    flat = vectors["siren_params"]
    with jax.enable_x64():
        assert np.array_equal(flat_from_layers(layers_of(vectors, "siren_params", 2, 2, None)), flat)
    with pytest.raises(ValueError, match=r"flat has shape \(3,\)"):
        layers_from_flat(np.zeros(3), in_dim=1, out_dim=1, hidden=4, num_hidden_layers=0)


def test_brute_force_is_the_network(vectors):
    hidden, depth = map(int, vectors["arch"])
    value, slope, bend = brute_force.network(vectors["siren_p_params"], (2, *[hidden] * (depth + 1), 1), vectors["siren_x"])
    assert_close(value, vectors["siren_p"], 1e-9)
    assert_close(slope[:, 0], vectors["siren_p_grad"], 1e-9)
    assert_close(bend.sum(axis=-1), vectors["siren_p_lap"], 1e-9)


# --- Experiments ---


def test_grids_have_as_many_floats():
    network = Network(12, 2)
    assert [num_floats(network, *dims) for dims in ((1, 1), (2, 2), (2, 1))] == [349, 374, 361]
    assert equal_grid(735, 3) == 16 and equal_grid(374, 2) == 14
    fields = two_scales_by_grids(QUICK.two_scales)
    wrong = {k: np.mean((v["box"] - fields["exact"]["box"]) ** 2) for k, v in fields.items()}
    assert wrong["bilinear grid, least squares"] < wrong["bilinear grid, nodal values"]


def test_grids_lose_what_is_known():
    """Numbers of the grids alone, which need no network: measured once by an independent prototype."""
    fields = flow_by_grids(replace(QUICK.fluid, steps=5))
    error = {name: np.mean((u[-1] - fields["exact"]) ** 2) for name, u in fields.items() if name != "exact"}
    assert abs(error["semi-Lagrangian cubic"] / 2.9e-7 - 1) < 0.05
    lines = advect_by_grids(QUICK.advection)
    peaks = {name: 1 - lines[name][-1].max() for name in ("central midpoint", "upwind midpoint", "semi-Lagrangian linear")}
    assert_close(np.array(list(peaks.values())), np.array([2.2e-3, 0.20, 2.0e-2]), 0.02)


def test_a_network_of_space_and_time():
    network = Network(8, 1)
    options = {"steps": 2, "num_points": 64, "fit": (Adam(3, 3e-3, None),), "inner": (LevenbergMarquardt(2, 1e-5),)}
    small = replace(QUICK.advection, network=network, **options, pinn=(Adam(3, 3e-3, None),), pinn_points=(8, 4))
    results = advect_by_networks(small, jax.random.split(jax.random.key(0), 2))
    assert results["pinn"]["values"].shape == results["values"][:, -1].shape
    with working_precision():
        x, t = jnp.linspace(-1.0, 1.0, 5)[:, None], jnp.linspace(0.0, 1.0, 5)[:, None]
        inside = jnp.concatenate([x, t], axis=1)

        def wave(_, point):
            return jnp.sin(point[:1] - 0.25 * point[1:])

        terms = pinn_objective(wave, inside, x, inside, jnp.sin, velocity=0.25).terms({})
        assert float(terms["main"] + terms["initial"]) < 1e-25 < float(terms["boundary"])


@pytest.mark.parametrize(
    ("message", "call"),
    [
        ("fields is 0", lambda: equal_grid(10, 0)),
        ("floats is 0", lambda: equal_grid(0, 1)),
        (
            "number of points of start is 0",
            lambda: pinn_objective(siren, jnp.zeros((2, 2)), jnp.zeros((0, 1)), jnp.zeros((2, 2)), jnp.sin, velocity=1.0),
        ),
        ("restarts is 0", lambda: Network(restarts=0)),
        ("hidden is 0", lambda: Network(hidden=0)),
    ],
)
def test_what_experiments_refuse(as_installed, message, call):
    with pytest.raises(ValueError, match=message):
        call()


# --- Claims ---


def test_the_command_line(tmp_path):
    result = CliRunner().invoke(app, ["run", "insr-pde", "--claim", "C0", "--seeds", "1", "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "insr_pde.quick.json").read_text())["claims"][0]["verdict"] == "reproduced"


def test_presets_are_the_same_code_at_other_sizes():
    for preset in PRESETS.values():
        hash(preset)
    assert PRESETS["paper"].fluid.resolution == 128 and PRESETS["paper"].fluid.network == Network(32, 3)
    assert PRESETS["paper"].advection.inner == (Adam(20_000, 1e-4),)


@pytest.mark.parametrize("name", ["standard", "paper"])
def test_programs_of_larger_presets_fit_together(name):
    """Traced, not run: shapes and dtypes of every program at the sizes of the paper."""
    preset, key = PRESETS[name], jax.random.key(0)
    programs = {
        "advection": (experiments._advection_program, experiments._pinn_program),
        "two_scales": (experiments._two_scales_program,),
    }
    for field, makers in programs.items():
        size = getattr(preset, field)
        with working_precision(size.precision):
            found = [jax.eval_shape(make(size), key)["values"] for make in makers]
        assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {jnp.dtype(size.precision)}
    with working_precision(preset.fluid.precision):
        begin, read = experiments._fluid_programs(preset.fluid)
        state, _, march_key = jax.eval_shape(begin, key)
        after, _ = jax.eval_shape(experiments.fluid_problem(preset.fluid).step, state, 0, march_key)
        assert after == state and {leaf.dtype for leaf in jax.tree.leaves(state)} == {jnp.dtype(preset.fluid.precision)}
        assert jax.eval_shape(read, [state.velocity, after.velocity]).shape == (2, 64**2, 2)
    for field in ("stretch", "collision", "fall"):
        size = getattr(preset.solids, field)
        inside = jax.ShapeDtypeStruct((2000, 3), size.precision) if field == "fall" else None
        with working_precision(size.precision):
            path = jax.eval_shape(partial(solids.move, size), key, inside)
        assert {len(leaf) for leaf in jax.tree.leaves(path.params)} == {size.steps + size.hold + 1}


def test_benchmark_compares_equal_things():
    with working_precision():
        layers, objective = poisson(jax.random.key(0), 16)
        expected = jax.jit(objective.normal_equations)(layers)
        assert_close(jax.jit(by_hessian(objective).normal_equations)(layers), expected, 1e-9)
        assert_close(jax.jit(lambda layers: by_batch(objective, layers))(layers), expected, 1e-9)


def test_no_time_step_is_a_rival():
    """In a steady flow the velocity as fitted stands beside the methods, by its own misfit at every time."""
    rng = np.random.default_rng(0)
    exact = rng.standard_normal((16, 2))
    values = exact + 0.1 * np.arange(1, 4)[:, None, None]
    grids = {"exact": exact, "semi-Lagrangian bilinear": np.repeat(exact[None], 3, axis=0)}
    wrong, energies = claims._flow_errors({"values": values}, grids)
    assert_close(wrong["INSR"], np.array([0.01, 0.04, 0.09]), 1e-9)
    assert_close(wrong[claims.AS_FITTED], np.full(3, 0.01), 1e-9)
    assert_close(energies[claims.AS_FITTED], np.full(3, np.sum(values[0] ** 2) / np.sum(exact**2) - 1), 1e-9)
    assert not np.asarray(wrong["semi-Lagrangian bilinear"]).any()
    steps = claims.paper.find_claim("C2b")
    assert steps.trivial == claims.AS_FITTED and steps.expect == "not reproduced"


def test_a_stretch_and_a_fall_need_what_moves_them():
    collision, stretch = QUICK.solids.collision, QUICK.solids.stretch
    with pytest.raises(ValueError, match="offset of the problem is None"):
        solids.squeezed(collision, jnp.zeros((1, 2)))
    with pytest.raises(ValueError, match="force is None and kinematic None; a fall needs both"):
        free_fall(stretch)
