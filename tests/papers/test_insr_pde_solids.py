"""Elastic solids of implicit neural spatial representations: golden vectors, experiments, claims C4 and C5."""

import itertools
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from matplotlib.figure import Figure

from quire.common.data.meshes import ball_surface
from quire.common.fields.winding_number import points_inside
from quire.common.pde.contact import Plane, Sphere
from quire.common.pde.elastodynamics import Elastodynamics, Motion, Points, Samples, network_displacement
from quire.common.pde.finite_elements import box_mesh
from quire.common.pde.minimise import Adam, LevenbergMarquardt
from quire.common.testing import assert_close
from quire.insr_pde import solids_figures
from quire.insr_pde.config import PRESETS
from quire.insr_pde.convert import flat_from_layers, layers_from_flat
from quire.insr_pde.solids import (
    at_rest,
    box_of,
    grid_points,
    measure,
    move,
    move_elements,
    positions,
    squeezed,
)
from quire.insr_pde.solids_claims import free_fall

PRECISIONS = pytest.mark.parametrize(
    ("dtype", "on_energies", "on_gradients"), [(jnp.float64, 1e-9, 1e-9), (jnp.float32, 2e-3, 1e-2)], ids=["f64", "f32"]
)
TINY = PRESETS["quick"].solids


@pytest.fixture(scope="module")
def vectors(golden):
    return golden("insr_pde")


def golden_problem(vectors, dim, dtype):
    """The problem, its objective and the network of a golden case; sizes from the arrays."""
    name, (hidden, depth) = f"el{dim}_", map(int, vectors["arch"])
    consts = [float(x) for x in vectors[f"{name}consts"]]
    dt, arap, volume, kinematic, collision, constraint, height, cx, cy, radius = consts[:10]
    force, offset = tuple(consts[10 : 10 + dim]), tuple(consts[10 + dim : 10 + 2 * dim])
    obstacle = Sphere((cx, cy), radius, collision) if dim == 2 else Plane(height, collision)
    problem = Elastodynamics(dim, arap, volume, kinematic, constraint, dt, force, 2, offset, obstacle)

    def layers(which):
        sizes = {"in_dim": dim, "out_dim": dim, "hidden": hidden, "num_hidden_layers": depth}
        return layers_from_flat(vectors[name + which], **sizes, dtype=dtype)

    def points(which):
        return Points({"x": jnp.asarray(vectors[name + which], dtype)})

    samples = Samples(points("x"), points("x"), points("fixed_left"), points("fixed_right"))
    motion = Motion(layers("prev"), layers("prevprev"))
    return problem.objective(network_displacement, samples, motion, 0), layers("params")


@pytest.mark.parametrize("dim", [2, 3])
@PRECISIONS
def test_golden_energies_and_gradients(vectors, dim, dtype, on_energies, on_gradients):
    collision = "collision_sphere" if dim == 2 else "collision"
    names = {
        "arap": "arap",
        "volume": "volume",
        "kinematics": "kinematics",
        "external": "external",
        "constraint_left": "constraint",
        "constraint_right": "constraint_right",
        "collision": collision,
    }
    with jax.enable_x64(dtype == jnp.float64):
        objective, layers = golden_problem(vectors, dim, dtype)
        terms = objective.terms(layers)
        assert set(terms) == set(names)
        slopes = jax.jit(jax.jacrev(objective.terms))(layers)
        for term, authors in names.items():
            assert terms[term].dtype == dtype
            assert_close(terms[term], vectors[f"el{dim}_E_{authors}"], on_energies)
            if f"el{dim}_g_{authors}" in vectors:
                assert_close(flat_from_layers(slopes[term]), vectors[f"el{dim}_g_{authors}"], on_gradients)


@pytest.mark.parametrize("dim", [2, 3])
def test_golden_normal_equations(vectors, dim):
    """The right-hand side of Levenberg-Marquardt is half the gradient of everything; its matrix is symmetric and positive."""
    with jax.enable_x64():
        objective, layers = golden_problem(vectors, dim, jnp.float64)
        gram, slope = jax.jit(objective.normal_equations)(layers)
        assert_close(slope, ravel_pytree(jax.jit(jax.grad(objective))(layers))[0] / 2, 1e-10)
        assert_close(gram, gram.T, 1e-12)
        spectrum = jnp.linalg.eigvalsh(gram)
        assert spectrum.min() > -1e-10 * spectrum.max()


# --- Experiments ---


def small(name, **changes):
    """An experiment of the quick preset, smaller still."""
    return replace(getattr(TINY, name), **{"hidden": 6, "fit": (Adam(150, 3e-3, None),), "stand_for": 8, **changes})


def test_stretch_lowers_the_energy_and_reaches_the_offset():
    with jax.enable_x64():
        soft = replace(TINY.stretch.problem, volume=1.0, constraint=1e2, offset=(0.5, 0.0))
        solve = small("stretch", problem=soft, resolution=8, steps=2, inner=(LevenbergMarquardt(10, 1e-3, accelerate=True),))
        path = jax.jit(partial(move, solve))(jax.random.key(0))
        assert path.infos.loss.shape == (2,) and np.isfinite(path.infos.loss).all()
        trivial = squeezed(solve, grid_points(2, 5))
        np.testing.assert_allclose(trivial[-5:], [[0.5, 0.2], [0.5, 0.1], [0.5, 0], [0.5, -0.1], [0.5, -0.2]], atol=1e-12)
        right = positions(solve, path.params, np.array([[1.0, -0.5], [1.0, 0.5]]))
        assert right.shape == (3, 2, 2)
        np.testing.assert_allclose(right[-1, :, 0], 1.5, atol=0.1)
        measured = measure(solve, grid_points(2, 5))
        layers = at_rest(solve, jax.random.key(0))
        (energy, _), (before, rest) = measured(jax.tree.map(lambda leaf: leaf[-1], path.params)), measured(layers)
        np.testing.assert_allclose(rest, grid_points(2, 5), atol=0.1)
        assert energy < 0.5 * before


def test_networks_and_meshes_are_measured_alike():
    """An affine displacement, which a mesh holds exactly: the energy is that of its gradient, times what the sums stand for."""
    with jax.enable_x64():
        solve = small("stretch")
        mesh, problem = box_of(solve, (3, 3)), solve.problem
        energy, moved = measure(solve, grid_points(2, 4), mesh)(squeezed(solve, np.asarray(mesh.nodes)))
        F = np.diag([1 + problem.offset[0] / 2, 1 / (1 + problem.offset[0] / 2)])
        inside = np.sum((np.diag(F) - 1) ** 2)  # the volume stays
        side = 2 * 8 * problem.constraint * (F[1, 1] - 1) ** 2 / 3  # mean square of the second coordinate on a side: 1/3
        assert float(energy) == pytest.approx(2 * 8**2 * problem.arap * inside + 2 * side)
        np.testing.assert_allclose(moved, (grid_points(2, 4) + np.array([1, 0])) @ F - [1, 0], atol=1e-12)


def test_stretch_of_a_mesh_from_either_start():
    with jax.enable_x64():
        solve = small("stretch", steps=3, elements=LevenbergMarquardt(25, 1e-3, floor=1e-12))
        mesh = box_of(solve, (4, 4))
        affine = squeezed(solve, np.asarray(mesh.nodes))
        raised, direct = move_elements(solve, mesh), move_elements(solve, mesh, [affine])
        assert raised.params.shape == (4, 25, 2) and direct.params.shape == (2, 25, 2)
        assert raised.infos.loss[-1] == pytest.approx(float(direct.infos.loss[-1]), rel=0.2)
        q = positions(solve, direct.params, grid_points(2, 5), mesh)
        np.testing.assert_allclose(q, mesh.nodes[None] + direct.params, atol=1e-9)  # the grid is that of the nodes


def test_collision_is_held_by_the_disc():
    with jax.enable_x64():
        solve = small("collision", steps=2, cells=(6, 6), elements=LevenbergMarquardt(25, 1e-3))
        mesh = box_of(solve, solve.cells)
        path = move_elements(solve, mesh)
        depth = jax.vmap(solve.problem.obstacle.depth)(mesh.nodes + path.params[-1]).max()
        assert depth < 0.1 and (jnp.diff(path.infos.losses, axis=1) <= 0).all()
        np.testing.assert_allclose(free_fall(replace(solve, steps=3)), [0, -0.1, -0.3, -0.5], atol=1e-12)


def test_a_ball_falls():
    """Three dimensions, a body given by points inside."""
    with jax.enable_x64():
        inside = points_inside(jax.random.key(0), ball_surface(1), 300)
        solve = small("fall", steps=2, resolution=4, inner=(LevenbergMarquardt(6, 1e-3),))
        path = jax.jit(partial(move, solve))(jax.random.key(0), inside)
        way = positions(solve, path.params, np.asarray(inside))[-1, :, 2].mean() - float(inside[:, 2].mean())
        assert way == pytest.approx(free_fall(solve)[-1], abs=0.1)


def test_presets_hold_the_authors_numbers():
    stretch, collision, fall = (getattr(PRESETS["paper"].solids, name) for name in ("stretch", "collision", "fall"))
    assert (stretch.hidden, stretch.num_hidden_layers, stretch.omega, stretch.inner[0].steps) == (68, 3, 30.0, 100_000)
    problem = stretch.problem
    assert (problem.offset, problem.volume, problem.constraint, problem.arap) == ((2.0, 0.0), 1e3, 1e4, 1.0)
    problem = collision.problem
    assert (problem.dt, problem.force, problem.force_steps, problem.kinematic) == (0.1, (0.0, -200.0), 2, 10.0)
    assert (problem.arap, problem.obstacle) == (20.0, Sphere((0.0, -2.0), 1.0, 1e4)) and collision.steps == 20
    assert collision.inner[0].learning_rate == 1e-5
    assert fall.problem.obstacle == Plane(-2.0, 1e6) and fall.hidden == 66


def test_meshes_store_as_many_floats_as_networks():
    for name in ("stretch", "collision"):
        chosen = getattr(TINY, name)
        sizes = [2, *[chosen.hidden] * (chosen.num_hidden_layers + 1), 2]
        floats = sum((a + 1) * b for a, b in itertools.pairwise(sizes))
        assert floats <= box_of(chosen, chosen.cells).nodes.size < 1.1 * floats


def test_figures():
    square = np.asarray(grid_points(2, 11))
    ball = ball_surface(0)
    for figure in (
        solids_figures.deformed_squares({"INSR": square, "FEM, t = 1": square}, Sphere((0.0, -2.0), 1.0, 1.0)),
        solids_figures.deformed_squares({"INSR": square}, Plane(-1.5, 1.0)),
        solids_figures.energies({"INSR": np.ones(3)}, {"FEM": 2.0}),
        solids_figures.penetrations({"INSR": [0.0, 0.1], "FEM": [0.0, 0.2]}, 0.1),
        solids_figures.falling_body({"t = 0": ball.vertices}, ball.faces, -2.0),
    ):
        assert isinstance(figure, Figure)


@pytest.mark.parametrize(
    ("message", "call"),
    [
        ("steps is 0", lambda: replace(PRESETS["quick"].solids.stretch, steps=0)),
        ("hold is -1", lambda: replace(PRESETS["quick"].solids.stretch, hold=-1)),
        ("number of starts is 0", lambda: move_elements(PRESETS["quick"].solids.stretch, box_of_elements(), [])),
        (r"offset of the problem is -2.0 along", lambda: squeezed(offset_by(-2.0), grid_points(2, 2))),
    ],
)
def test_what_solids_refuse(as_installed, message, call):
    with pytest.raises(ValueError, match=message):
        call()


def box_of_elements():
    return box_mesh((1, 1), -np.ones(2), np.ones(2))


def offset_by(along):
    run = PRESETS["quick"].solids.stretch
    return replace(run, problem=replace(run.problem, offset=(along, 0.0)))
