"""Elastic energies without an SVD, contact, implicit Euler of solids."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import special_ortho_group

from quire.common.fields.siren import init_siren, siren
from quire.common.pde.contact import LAYER, Plane, Sphere
from quire.common.pde.elastic_elements import mesh_samples, nodal_displacement
from quire.common.pde.elasticity import (
    arap_energy,
    arap_residual,
    cofactor,
    deformation_gradient,
    determinant,
    nearest_rotation,
    sum_of_stretches,
    volume_energy,
    volume_residual,
)
from quire.common.pde.elastodynamics import (
    Elastodynamics,
    Motion,
    Points,
    Samples,
    deformed,
    network_displacement,
    penetration,
)
from quire.common.pde.finite_elements import box_mesh, shape_gradients
from quire.common.pde.minimise import Adam, LevenbergMarquardt, minimise
from quire.common.pde.objective import Block, Objective
from quire.common.pde.solid_samples import body_samples, box_samples, points_in_tetrahedra
from quire.common.testing import assert_close, assert_degenerate, assert_dtypes, assert_jit_consistent, assert_vmap_consistent

DIMS = pytest.mark.parametrize("dim", [2, 3])
SIGNS = pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64():
        yield


def gradients(dim, count=200, seed=0):
    """Random deformation gradients, about half of them mirrored."""
    return np.random.default_rng(seed).standard_normal((count, dim, dim))


def each(*functions):
    """What each of several functions makes of many inputs, by one program."""
    return jax.jit(jax.vmap(lambda F: tuple(function(F) for function in functions)))


def by_svd(F, signed):
    """Singular values and nearest rotation."""
    U, s, Vt = np.linalg.svd(np.asarray(F))
    if signed:
        sign = np.sign(np.linalg.det(F))
        s[..., -1] *= sign
        U[..., -1] *= sign[..., None]
    return s, U @ Vt


def turn(dim):
    return special_ortho_group.rvs(dim, random_state=1)


# --- Energies of a deformation gradient ---


@DIMS
@SIGNS
def test_energies_are_those_of_the_singular_values(dim, signed):
    F = gradients(dim)
    s, R = by_svd(F, signed)
    assert (np.linalg.det(F) < 0).any() and (np.linalg.det(F) > 0).any()
    forms = (sum_of_stretches, nearest_rotation, arap_energy, arap_residual, volume_energy)
    total, rotation, arap, residual, volume = each(*(partial(form, signed=signed) for form in forms))(F)
    assert_close(total, s.sum(-1), 1e-13)
    assert_close(rotation, R, 1e-9)
    assert_close(arap, ((s - 1) ** 2).sum(-1), 1e-11)
    assert_close(residual, F - R, 1e-9)
    assert_close(volume, (s.prod(-1) - 1) ** 2, 1e-12)


@DIMS
def test_single_precision(dim):
    F = gradients(dim).astype(np.float32)
    s, R = by_svd(np.asarray(F, np.float64), False)
    rotation, energy = each(nearest_rotation, arap_energy)(F)
    assert rotation.dtype == energy.dtype == np.float32
    assert_close(rotation, R, 1e-4)
    assert_close(energy, ((s - 1) ** 2).sum(-1), 1e-5)


@DIMS
@SIGNS
def test_gradients_at_rest_and_elsewhere(dim, signed):
    """The derivative of an SVD is not defined where singular values coincide; at F = I they all do."""
    energies = [
        partial(arap_energy, signed=signed),
        lambda F: jnp.sum(arap_residual(F, signed=signed) ** 2),
        partial(volume_energy, signed=signed),
    ]
    run = each(*(jax.value_and_grad(energy) for energy in energies), jax.jacrev(jax.grad(energies[0])))
    F = np.stack([np.eye(dim), turn(dim), *gradients(dim, 2, seed=2)])
    step, way = 1e-5, gradients(dim, len(F), seed=3)
    found, up, down = (run(F + by * way) for by in (0, step, -step))
    for (_, slope), (above, _), (below, _) in zip(found[:-1], up[:-1], down[:-1], strict=True):
        np.testing.assert_allclose(np.sum(slope * way, axis=(1, 2)), (above - below) / (2 * step), rtol=1e-6, atol=1e-6)
    curvature = np.einsum("fijkl,fkl->fij", found[-1], way)
    np.testing.assert_allclose(curvature, (up[0][1] - down[0][1]) / (2 * step), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found[0][1][:2], 0, atol=1e-13)


@DIMS
def test_residual_gives_newtons_method(dim):
    """J^T J of the residual is half the Hessian of the energy, made positive: in 3D only where the stretches agree."""
    jacobian = jax.jit(jax.jacobian(lambda f: arap_residual(f.reshape(dim, dim)).reshape(-1)))
    hessian = jax.jit(jax.hessian(lambda f: arap_energy(f.reshape(dim, dim))))
    for F in [1.4 * turn(dim)] + ([np.diag([1.7, 0.9])] if dim == 2 else []):
        J, H = (np.asarray(derivative(F.reshape(-1))) for derivative in (jacobian, hessian))
        assert_close(J.T @ J, H / 2, 1e-12)
    J = np.asarray(jacobian(0.6 * np.eye(dim).reshape(-1)))
    spectrum = np.linalg.eigvalsh(J.T @ J)
    assert spectrum.min() > -1e-12  # compressed, where the Hessian is indefinite


@DIMS
@SIGNS
def test_energies_do_not_see_rotations(dim, signed):
    F, R = gradients(dim, 20), turn(dim)
    run = each(partial(arap_energy, signed=signed), partial(volume_energy, signed=signed))
    expected = run(F)
    assert_close(run(R[None] @ F), expected, 1e-10)
    assert_close(run(F @ R[None]), expected, 1e-10)
    assert np.abs(run(np.broadcast_to(R, F.shape))).max() < 1e-25


@DIMS
def test_mirrored_elements(dim):
    """The authors' energies do not see a mirror; the signed ones do."""
    mirrored = turn(dim) * np.append(-1.0, np.ones(dim - 1))[:, None]
    squeezed = mirrored @ np.diag(np.linspace(0.7, 0.9, dim))
    forms = (arap_energy, volume_energy, partial(arap_energy, signed=True), partial(volume_energy, signed=True))
    arap, volume, signed_arap, signed_volume = np.asarray(each(*forms)(np.stack([mirrored, squeezed])))
    assert arap[0] < 1e-25 and volume[0] < 1e-25
    s, _ = by_svd(squeezed, True)
    np.testing.assert_allclose(signed_arap[1], ((s - 1) ** 2).sum(), rtol=1e-9)
    assert signed_volume[0] == pytest.approx(4)


@DIMS
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_nearest_rotation_is_a_rotation(dim, data):
    numbers = st.floats(-10, 10, allow_subnormal=False)
    F = np.array(data.draw(st.lists(st.lists(numbers, min_size=dim, max_size=dim), min_size=dim, max_size=dim)))
    stretches = np.linalg.svd(F, compute_uv=False)
    R = np.asarray(jax.jit(nearest_rotation)(F))
    assert np.isfinite(R).all()
    if stretches[dim - 2] > 1e-2 * stretches[0] and stretches[0] > 1e-3:  # two singular values away from 0: R is unique
        assert_close(R.T @ R, np.eye(dim), 1e-8)
        S = R.T @ F
        assert_close(S, S.T, 1e-8) if np.abs(S).max() else None


@DIMS
def test_degenerate_gradients_are_finite(dim):
    none, one, flat = np.zeros((dim, dim)), np.zeros((dim, dim)), np.eye(dim)
    one[0, 0], flat[0, 0] = 2, 0
    energies, slopes = each(arap_energy, jax.grad(lambda F: jnp.sum(arap_residual(F) ** 2)))(np.stack([none, one, flat]))
    assert np.isfinite(energies).all() and np.isfinite(slopes[:2]).all()
    assert energies[2] == pytest.approx(1)  # no volume: the rotation is still unique


@DIMS
def test_energy_where_stretches_vanish(dim):
    """`|F - R|^2` with an R that is not orthogonal falls short by one for every stretch of 0 too many."""
    stretches = np.array([[0, 0, 0], [0, 0, 1], [0, 0, 2], [1e-5, 1e-5, 1], [1e-3, -1e-3, 1], [0.3, 0.3, 0.7], [1, 1, 1.001]])[
        :, -dim:
    ]
    F = np.asarray(turn(dim)) @ (stretches[:, :, None] * np.eye(dim))
    run = jax.jit(jax.vmap(jax.value_and_grad(arap_energy)))
    for dtype in (np.float32, np.float64):
        energies, slopes = run(F.astype(dtype))
        np.testing.assert_allclose(energies, np.sum((np.abs(stretches) - 1) ** 2, axis=1), rtol=2e-3)
        assert np.isfinite(slopes).all() and np.abs(slopes).max() <= 2 * (2 + dim)


@DIMS
def test_energies_at_the_edge(dim):
    def everything(F):
        return arap_energy(F), nearest_rotation(F), volume_energy(F), jnp.sum(arap_residual(F) ** 2)

    F = np.asarray(gradients(dim, 1)[0], np.float32)
    assert_degenerate(everything, F, scales=(1e-30, 1e3))
    with jax.enable_x64(False):
        assert_dtypes(jax.jit(everything), F, tolerance=1e-4, dtypes=("uint8", "bfloat16"))
    rotation = jax.jit(nearest_rotation)
    assert_close(rotation(np.float32(1e-30) * F), rotation(F), 1e-4)


@DIMS
def test_cofactors(dim):
    F = gradients(dim, 1)
    cofactors, slopes = each(cofactor, jax.grad(determinant))(F)
    assert_close(cofactors[0], np.linalg.det(F[0]) * np.linalg.inv(F[0]).T, 1e-12)
    assert_close(slopes, cofactors, 1e-12)


@DIMS
def test_jit_and_vmap(dim):
    def everything(F):
        return nearest_rotation(F), arap_energy(F), arap_residual(F), volume_residual(F)

    F = jnp.asarray(gradients(dim, 3))
    assert_jit_consistent(everything, F[0], tolerance=1e-12)
    assert_vmap_consistent(jax.jit(everything), F, tolerance=1e-12)


def test_deformation_gradient():
    A = gradients(3, 1)[0]
    assert_close(jax.jit(partial(deformation_gradient, lambda x: A @ x + 1))(np.ones(3)), np.eye(3) + A, 1e-14)


def test_wrong_shapes(as_installed):
    with pytest.raises(ValueError, match=r"F has shape \(4, 4\); elasticity needs \[2, 2\] or \[3, 3\]"):
        arap_energy(jnp.eye(4))
    with pytest.raises(ValueError, match="displacement has 3 components in dimension 2"):
        deformation_gradient(lambda x: jnp.ones(3) * x[0], jnp.ones(2))


# --- Contact ---


@pytest.mark.parametrize("obstacle", [Plane(-0.4, 7.0), Sphere((0.1, -0.5), 0.8, 7.0)], ids=["plane", "sphere"])
def test_contact_energy_is_minus_the_work_of_its_force(obstacle):
    count, dt = 500, 0.1
    q, earlier = np.random.default_rng(3).standard_normal((2, count, 2))
    if isinstance(obstacle, Plane):
        push = np.stack([np.zeros(count), obstacle.height - q[:, 1]], 1)
    else:
        push = q - np.array(obstacle.centre)

    @jax.jit
    @jax.vmap
    def measure(q, earlier):
        return (
            obstacle.depth(q),
            obstacle.energy(q, earlier),
            jax.jacobian(obstacle.curvature)(q),
            jax.hessian(obstacle.energy)(q, earlier) / 2,
        )

    depth, energy, curvature, half = map(np.asarray, measure(q, earlier))
    inside = depth > 0
    assert 10 < inside.sum() < count - 10
    assert_close(energy, -dt * np.sum((q - earlier) / dt * obstacle.stiffness * push, axis=1) * inside, 1e-13)
    assert float(penetration(obstacle, jnp.asarray(q))) == depth.max() > 0
    model = np.einsum("nij,nik->njk", curvature, curvature)
    if isinstance(obstacle, Sphere):  # away from the layer where the jump is smoothed
        away = np.abs(np.linalg.norm(push, axis=1) / obstacle.radius - 1) > LAYER
        assert 0 < away.sum() < count and np.linalg.eigvalsh(model[~away])[:, 1].min() >= obstacle.stiffness / LAYER * 0.99
        model, half = model[away], half[away]
    assert_close(model, np.abs(half), 1e-12)


def test_contact_errors():
    with pytest.raises(ValueError, match="stiffness is 0; it must be positive"):
        Plane(-1.0, 0)
    with pytest.raises(ValueError, match=r"radius is -1.0; it must be positive"):
        Sphere((0.0, 0.0), -1.0, 1.0)


def test_contact_has_derivatives_at_the_centre():
    ball = Sphere((0.5, -2.0), 1.0, 4.0)
    slopes, slope = jax.jit(lambda x: (jax.jacobian(ball.curvature)(x), jax.grad(ball.depth)(x)))(np.array(ball.centre))
    np.testing.assert_allclose(slopes, np.append(2 * np.eye(2), [[0, 0]], axis=0), atol=1e-12)
    np.testing.assert_allclose(slope, 0)


# --- Implicit Euler ---


SOLID = Elastodynamics(2, 20.0, 1e3, 10.0, None, force=(0.0, -200.0), force_steps=2, obstacle=Plane(-1.4, 1e4))


def affine(params, point):
    """Displacement `A x + b`."""
    A, b = params
    return A @ point["x"] + b, A


@DIMS
def test_no_energy_at_rest_and_in_a_turn(dim):
    problem = Elastodynamics(dim, kinematic=1.0, obstacle=Plane(-9.0, 1.0))
    samples = box_samples(jax.random.key(0), dim, 3)
    measure = jax.jit(lambda params: problem.objective(affine, samples, Motion(params, params)).terms(params))
    for A in (np.zeros((dim, dim)), turn(dim) - np.eye(dim)):
        terms = measure((A, np.zeros(dim)))
        assert set(terms) == {"arap", "volume", "kinematics", "collision"}
        assert max(map(abs, map(float, terms.values()))) < 1e-20


def test_free_fall_is_exact():
    """Without obstacle, v grows by `dt f / (2 r_kinematic)` in each step with force, and stays after it."""
    problem = Elastodynamics(2, 20.0, 1e3, 10.0, force=(0.0, -200.0), force_steps=2)
    rest = jnp.zeros((2, 2)), jnp.zeros(2)
    motion, heights = Motion(rest, rest), []
    draw = partial(box_samples, dim=2, resolution=4, sides=False)
    step = jax.jit(partial(problem.step, affine, draw, solvers=LevenbergMarquardt(8, 1e-6)))
    for n in range(3):
        motion, info = step(motion, n, jax.random.key(n))
        heights.append(float(motion.now[1][1]))
        assert int(info.steps) == 8 and np.isfinite(info.losses).all()
    np.testing.assert_allclose(heights, [-0.1, -0.3, -0.5], atol=1e-6)


def test_plane_holds_a_block_back():
    rest = jnp.zeros((2, 2)), jnp.zeros(2)
    motion = Motion(rest, rest)
    draw = partial(box_samples, dim=2, resolution=6, sides=False)
    step = jax.jit(partial(SOLID.step, affine, draw, solvers=LevenbergMarquardt(15)))
    for n in range(5):
        motion, info = step(motion, n, jax.random.key(0))
        assert (jnp.diff(info.losses) <= 0).all()  # the energy never rises
    bottom = deformed(affine, motion.now, {"x": jnp.array([[-1.0, -1.0], [0.0, -1.0], [1.0, -1.0]])})
    assert penetration(SOLID.obstacle, bottom) < 0.3  # free fall would be 0.5 below


def test_adam_serves_the_same_step():
    layers = init_siren(jax.random.key(0), 2, 2, 8, 1)
    problem = Elastodynamics(2, 1.0, 10.0, 10.0, force=(0.0, -1.0), force_steps=1)
    draw = partial(box_samples, dim=2, resolution=6, sides=False)
    step = jax.jit(partial(problem.step, network_displacement, draw, solvers=Adam(100, 1e-3, None)))
    motion, info = step(Motion(layers, layers), 0, jax.random.key(1))
    assert info.loss < 0.5 * info.start
    assert set(info.terms) == {"arap", "volume", "kinematics", "external"}
    assert_close(motion.before, layers, 0.0)


def test_the_force_ends():
    rest = jnp.zeros((2, 2)), jnp.zeros(2)
    moved = rest[0], jnp.array([0.0, -0.1])
    samples = box_samples(jax.random.key(0), 2, 2, sides=False)
    measure = jax.jit(lambda n: SOLID.objective(affine, samples, Motion(rest, rest), n).terms(moved)["external"])
    work = [float(measure(n)) for n in (0, 1, 2)]
    np.testing.assert_allclose(work, [-160, -160, 0])  # 8 points, force -200, way -0.1


def test_network_and_elements_share_the_objective():
    """The same affine displacement in both: same energies, up to the lumping of the mass."""
    problem = Elastodynamics(2, 2.0, 3.0, None, 5.0, offset=(0.5, 0.0))
    A, b = jnp.array([[0.25, 0.1], [0.0, -0.2]]), jnp.array([0.25, 0.0])
    mesh = box_mesh((4, 4), -jnp.ones(2), jnp.ones(2))
    values = mesh.nodes @ A.T + b[None]
    on_mesh = problem.objective(nodal_displacement, mesh_samples(mesh, total=200, side_total=20))
    fine = problem.objective(affine, box_samples(jax.random.key(0), 2, 8, stand_for=10, rule="gauss"))
    assert_close(jax.jit(on_mesh.terms)(values), jax.jit(fine.terms)((A, b)), 1e-12)


def test_problem_errors():
    for options, message in (
        ({"dim": 4}, "dim is 4; it must be 2 or 3"),
        ({"dim": 2, "dt": 0}, "dt is 0; it must be positive"),
        ({"dim": 2, "arap": -1}, "arap is -1; it must be positive, or None"),
        ({"dim": 2, "force": (0.0, 0.0, 1.0)}, "force has 3 components; it needs dim = 2"),
        ({"dim": 3, "obstacle": Sphere((0.0, 0.0), 1.0, 1.0)}, "obstacle.centre has 2 components; it needs dim = 3"),
        ({"dim": 2, "force_steps": -1}, "force_steps is -1"),
    ):
        with pytest.raises(ValueError, match=message):
            Elastodynamics(**options)
    params = jnp.zeros((2, 2)), jnp.zeros(2)
    inside, sides = (box_samples(jax.random.key(0), 2, 2, sides=sides) for sides in (False, True))
    for problem, samples, message in (
        (Elastodynamics(2, kinematic=1.0), inside, "motion is None"),
        (Elastodynamics(2, constraint=1.0, offset=(1.0, 0.0)), inside, "samples have no points of a side"),
        (Elastodynamics(2, constraint=1.0), sides, "there is no offset"),
        (Elastodynamics(2, force=(0.0, 1.0)), inside, "force and obstacle act along a velocity"),
    ):
        with pytest.raises(ValueError, match=message):
            problem.objective(affine, samples).terms(params)


# --- Points ---


@DIMS
def test_points_of_the_box(dim):
    samples = box_samples(jax.random.key(0), dim, 4, stand_for=8)
    assert samples.elastic.at["x"].shape == (2 * 4**dim, dim)
    np.testing.assert_allclose(samples.elastic.weight, (8 / 4) ** dim)
    for side, position in ((samples.left, -1), (samples.right, 1)):
        assert side.at["x"].shape == (2 * 4 ** (dim - 1), dim)
        assert (side.at["x"][:, 0] == position).all()
    even = box_samples(jax.random.key(0), dim, 4, rule="stratified", sides=False)
    assert even.left is None and even.elastic.at["x"].shape == (4**dim, dim)
    np.testing.assert_allclose(even.elastic.weight, 2)
    gauss = box_samples(jax.random.key(0), dim, 4, rule="gauss")
    for points, total in ((gauss.elastic, 2 * 4**dim), (gauss.right, 2 * 4 ** (dim - 1))):
        means = jnp.sum(points.weight[:, None] * points.at["x"][:, 1:] ** 6, axis=0) / total
        np.testing.assert_allclose(means, 1 / 7)  # exact up to degree 7


def test_points_in_tetrahedra_follow_the_volume():
    mesh = box_mesh((2, 2, 2), jnp.zeros(3), jnp.array([1.0, 2.0, 3.0]))
    mesh = mesh._replace(nodes=mesh.nodes**1.5)  # elements of unequal volume, still filling a box
    _, volumes = shape_gradients(mesh)
    points = points_in_tetrahedra(jax.random.key(0), *mesh, volumes, 20_000)
    high = mesh.nodes.max(axis=0)
    counts, _ = np.histogramdd(np.asarray(points / high[None]), bins=2, range=[(0, 1)] * 3)
    np.testing.assert_allclose(counts / 20_000, 1 / 8, atol=0.01)
    samples = body_samples(jax.random.key(1), points, 50, total=10.0)
    assert samples.elastic.at["x"].shape == (50, 3) and samples.elastic.weight == 0.2
    assert np.isin(samples.mass.at["x"], points).all()


def test_point_errors(as_installed):
    key = jax.random.key(0)
    with pytest.raises(ValueError, match="dim is 1; it must be 2 or 3"):
        box_samples(key, 1, 4)
    with pytest.raises(ValueError, match="resolution is 0 and stand_for 0"):
        box_samples(key, 2, 0)
    with pytest.raises(ValueError, match="rule is 'lattice'; choose from random, stratified, gauss"):
        box_samples(key, 2, 4, rule="lattice")
    with pytest.raises(ValueError, match="count is 0"):
        body_samples(key, jnp.zeros((2, 3)), 0)


# --- Curvature of energies ---


def test_curvature_of_an_energy_makes_the_step_newtons():
    """A quadratic energy with its curvature is solved in one undamped step; with the gradient alone it is not."""
    points = jnp.array([[1.0], [2.0]])
    block = Block(lambda p, x: 0.1 * (p - x), points, 1.0)
    energy = {"pull": lambda p: 5 * jnp.sum((p - 3) ** 2)}
    curved = Objective({"main": block}, energy, {"pull": Block(lambda p, x: 5**0.5 * p, points[:1], 1.0)})
    flat = Objective({"main": block}, energy)
    solver = LevenbergMarquardt(1, 1e-12)
    start = jnp.zeros(1)
    exact, _ = minimise(lambda key: curved, start, jax.random.key(0), solver)
    np.testing.assert_allclose(exact, (0.03 + 15) / (0.02 + 5), rtol=1e-6)
    _, info = minimise(lambda key: flat, start, jax.random.key(0), solver)
    assert not info.accepted.any()  # without curvature the step overshoots


def test_weights_of_points():
    block = Block(lambda p, x: p * x, jnp.arange(3.0)[:, None], jnp.array([1.0, 2.0, 3.0]))
    objective = Objective({"main": block})
    np.testing.assert_allclose(objective(jnp.ones(1)), 2 * 1 + 3 * 4)
    gram, slope = objective.normal_equations(jnp.ones(1))
    np.testing.assert_allclose([gram[0, 0], slope[0], jax.grad(objective)(jnp.ones(1))[0] / 2], 14)


def test_network_displacement():
    layers = init_siren(jax.random.key(0), 3, 3, 6, 1)
    x = jnp.array([0.1, 0.2, -0.3])

    @jax.jit
    def measure(layers, x):
        moved = deformed(network_displacement, layers, {"x": x[None]})[0]
        return network_displacement(layers, {"x": x}), (siren(layers, x), jax.jacobian(partial(siren, layers))(x)), moved

    (d, slopes), expected, moved = measure(layers, x)
    assert_close(d, expected[0], 1e-15)
    assert_close(slopes, expected[1], 1e-12)
    assert_close(moved, x + d, 1e-15)
    assert Samples(Points({"x": x[None]}), Points({"x": x[None]})).left is None
