"""Linear and bilinear elements: meshes, mass and stiffness, elastic solids, equations by levels; surfaces and their inside."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quire.common.data.meshes import ball_surface, centred, read_obj, stanford_surface
from quire.common.errors import DatasetCorrupt, DatasetUnavailable
from quire.common.fields.winding_number import points_inside, winding_number
from quire.common.pde.block_tridiagonal import factorise, levels, solve
from quire.common.pde.contact import Sphere
from quire.common.pde.elastic_elements import MeshEquations, located, mesh_samples, nodal_displacement
from quire.common.pde.elastodynamics import Elastodynamics, Motion, deformed
from quire.common.pde.finite_elements import (
    assemble,
    box_mesh,
    grid_elements,
    grid_matrices,
    locate,
    lumped_mass,
    shape_gradients,
    side_faces,
)
from quire.common.pde.minimise import LevenbergMarquardt, minimise
from quire.common.testing import assert_close, assert_vmap_consistent

MESHES = pytest.mark.parametrize(
    ("cells", "pattern"),
    [((3, 2), "diagonal"), ((3, 4), "alternating"), ((2, 3), "crossed"), ((2, 1, 3), "diagonal")],
    ids=["diagonal", "alternating", "crossed", "tetrahedra"],
)


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64():
        yield


def box(cells, pattern="alternating"):
    """A box of unequal edges, from 0; its nodes and elements in NumPy too."""
    high = np.array([2.0, 1.0, 3.0])[: len(cells)]
    mesh = box_mesh(cells, np.zeros(len(cells)), high, pattern=pattern)
    return mesh, np.asarray(mesh.nodes), np.asarray(mesh.elements), float(high.prod())


def square(cells, pattern="alternating"):
    """A square or cube from -1 to 1 of `cells` cells."""
    ones = np.ones(len(cells))
    return box_mesh(cells, -ones, ones, pattern=pattern)


def numpy(tree):
    return jax.tree.map(np.asarray, tree)


wind = jax.jit(winding_number)
assembled = jax.jit(assemble, static_argnums=2)

# --- Meshes ---


@MESHES
def test_elements_fill_the_box(cells, pattern):
    mesh, nodes, elements, volume = box(cells, pattern)
    _, volumes = numpy(shape_gradients(mesh))
    edges = nodes[elements][:, 1:] - nodes[elements][:, :1]
    assert (np.linalg.det(edges) > 0).all()  # none is mirrored
    assert volumes.sum() == pytest.approx(volume)
    assert set(np.unique(elements)) == set(range(len(nodes)))
    assert np.asarray(lumped_mass(mesh)).sum() == pytest.approx(volume)
    faces = np.sort(np.concatenate([np.delete(elements, k, axis=1) for k in range(elements.shape[1])]), axis=1)
    _, counts = np.unique(faces, axis=0, return_counts=True)
    assert counts.max() == 2  # conforming: a face belongs to two elements, or to one at the boundary


@MESHES
def test_shape_functions_are_a_partition_of_unity(cells, pattern):
    mesh, nodes, elements, _ = box(cells, pattern)
    slopes, _ = numpy(shape_gradients(mesh))
    np.testing.assert_allclose(slopes.sum(axis=1), 0, atol=1e-12)
    gradient = np.einsum("ekd,ekc->ecd", slopes, nodes[elements])
    np.testing.assert_allclose(gradient, np.broadcast_to(np.eye(len(cells)), gradient.shape), atol=1e-12)  # of x itself


@MESHES
def test_points_are_found(cells, pattern):
    mesh, nodes, elements, _ = box(cells, pattern)
    x = nodes.max(axis=0) * np.random.default_rng(0).random((50, len(cells)))
    found, shape = numpy(locate(mesh, jnp.asarray(x)))
    assert shape.min() > -1e-12
    np.testing.assert_allclose(shape.sum(axis=1), 1)
    np.testing.assert_allclose(np.einsum("nk,nkd->nd", shape, nodes[elements[found]]), x, atol=1e-12)
    _, outside = numpy(locate(mesh, jnp.asarray(x - 10)))
    assert (outside.min(axis=1) < 0).all()


@MESHES
def test_weights_of_a_mesh(cells, pattern):
    """Sums of weights, and squares of linear functions on the sides integrated exactly."""
    mesh, nodes, _, _ = box(cells, pattern)
    samples = numpy(mesh_samples(mesh, total=100, side_total=7))
    assert samples.elastic.weight.sum() == pytest.approx(100) == samples.mass.weight.sum()
    np.testing.assert_allclose(samples.mass.at["x"], nodes, atol=1e-12)
    for side, position in ((samples.left, 0), (samples.right, 2)):
        x = side.at["x"].T
        assert side.weight.sum() == pytest.approx(7)
        np.testing.assert_allclose(x[0], position, atol=1e-12)
        np.testing.assert_allclose(np.sum(side.weight * x[1] ** 2), 7 / 3)
        if len(cells) == 3:
            np.testing.assert_allclose(np.sum(side.weight * x[1] * x[2]), 7 * 1 / 2 * 3 / 2)
    assert mesh_samples(mesh, total=1).left is None


def test_mesh_errors(as_installed):
    low, high = np.zeros(2), np.ones(2)
    with pytest.raises(ValueError, match=r"cells is \(2,\); a box of dimension 2 needs one positive number per dimension"):
        box_mesh((2,), low, high)
    with pytest.raises(ValueError, match="pattern is 'zigzag'; choose from diagonal, alternating, crossed"):
        box_mesh((2, 2), low, high, pattern="zigzag")
    with pytest.raises(ValueError, match=r"low is \[0.0, 0.0\] and high \[0.0, 0.0\]"):
        box_mesh((2, 2), low, low)
    mesh = box_mesh((2, 2), low, high)
    with pytest.raises(ValueError, match="axis is 2; the mesh has axes 0 to 1"):
        side_faces(mesh, 2, 0.0)
    with pytest.raises(ValueError, match=r"no face of the mesh lies at x\[0\] = 0.3"):
        side_faces(mesh, 0, 0.3)
    with pytest.raises(ValueError, match="total is 0 and side_total 0"):
        mesh_samples(mesh, total=0)


# --- Mass and stiffness ---


@partial(jax.jit, static_argnums=1)
def matrices(mesh, count):
    """Mass `int N_i N_j = |T| (1 + delta_ij) / ((d + 1) (d + 2))` and stiffness `int grad N_i . grad N_j`, of all elements."""
    slopes, volumes = shape_gradients(mesh)
    dim = mesh.nodes.shape[1]
    masses = volumes[:, None, None] * ((1 + np.eye(dim + 1)) / ((dim + 1) * (dim + 2)))[None]
    stiffnesses = volumes[:, None, None] * jnp.einsum("eid,ejd->eij", slopes, slopes)
    return tuple(assemble(mesh.elements, each, count) for each in (masses, stiffnesses))


@MESHES
def test_mass_and_stiffness(cells, pattern):
    mesh, nodes, _, volume = box(cells, pattern)
    dim = len(cells)
    M, K = numpy(matrices(mesh, len(nodes)))
    assert_close(M, M.T, 1e-14)
    assert_close(K, K.T, 1e-12)
    assert M.sum() == pytest.approx(volume)
    assert_close(M.sum(axis=1), lumped_mass(mesh), 1e-12)
    np.testing.assert_allclose(K.sum(axis=1), 0, atol=1e-11)
    linear = nodes @ np.arange(1.0, dim + 1)
    assert linear @ K @ linear == pytest.approx(volume * sum(k**2 for k in range(1, dim + 1)))
    assert np.linalg.eigvalsh(M).min() > 0


@pytest.mark.parametrize("cells", [(5,), (3, 2), (2, 3, 2)])
def test_bilinear_elements(cells):
    high = np.array([2.0, 1.0, 3.0])[: len(cells)]
    spacing = tuple(float(h / n) for h, n in zip(high, cells, strict=True))
    count = int(np.prod(np.array(cells) + 1))
    M, K = (np.asarray(assembled(grid_elements(cells), matrix, count)) for matrix in jax.jit(lambda: grid_matrices(spacing))())
    axes = np.meshgrid(*[np.linspace(0, h, n + 1) for h, n in zip(high, cells, strict=True)], indexing="ij")
    linear = sum((k + 1) * axis for k, axis in enumerate(axes)).reshape(-1)
    volume = float(np.prod(high))
    assert M.sum() == pytest.approx(volume)
    np.testing.assert_allclose(K.sum(axis=1), 0, atol=1e-12)
    assert linear @ K @ linear == pytest.approx(volume * sum((k + 1) ** 2 for k in range(len(cells))))
    product = np.prod(axes, axis=0).reshape(-1)  # bilinear: its square is integrated exactly
    assert product @ M @ product == pytest.approx(np.prod(high**3 / 3))


def test_poisson_converges_at_second_order():
    """`-lap u = f` with u = 0 on the boundary: the error at the nodes falls by four when the mesh is halved."""

    def error(n):
        mesh = box_mesh((n, n), np.zeros(2), np.ones(2))
        nodes = np.asarray(mesh.nodes)
        M, K = numpy(matrices(mesh, len(nodes)))
        exact = np.sin(np.pi * nodes).prod(axis=1)
        inner = np.flatnonzero((np.abs(nodes - 0.5) < 0.499).all(axis=1))
        found = np.linalg.solve(K[inner][:, inner], (M @ (2 * np.pi**2 * exact))[inner])
        return np.abs(found - exact[inner]).max()

    assert 3.3 < error(8) / error(16) < 4.7


# --- Levels ---


@MESHES
def test_levels_couple_with_their_neighbours_only(cells, pattern):
    _, nodes, elements, _ = box(cells, pattern)
    for case in (elements, np.random.default_rng(0).permutation(len(nodes))[elements]):
        place, width, count = levels(case, len(nodes))
        assert len(set(place.tolist())) == len(place) and place.min() >= 0 and place.max() < width * count
        level = place[case] // width
        assert (np.ptp(level, axis=1) <= 1).all()
    assert width < len(nodes)  # whatever the numbers of the nodes are


def test_block_factors_solve():
    rng = np.random.default_rng(0)
    count, m = 4, 3
    matrix = np.zeros((count * m, count * m))
    diagonal, lower = rng.standard_normal((2, count, m, m))
    diagonal, lower[0] = diagonal @ diagonal.transpose(0, 2, 1) + 6 * np.eye(m), 0
    for b in range(count):
        own = slice(b * m, b * m + m)
        matrix[own, own] = diagonal[b]
        if b:
            matrix[own, own.start - m : own.start] = lower[b]
            matrix[own.start - m : own.start, own] = lower[b].T
    right = rng.standard_normal((count, m))
    solved = jax.jit(lambda d, low, r: solve(factorise(d, low), r))
    assert_close(solved(diagonal, lower, right).reshape(-1), np.linalg.solve(matrix, right.reshape(-1)), 1e-12)
    with jax.debug_nans(False):
        assert np.isnan(solved(diagonal - 20 * np.eye(m), lower, right)).all()


# --- Elastic solids ---


def twisted(mesh, size=0.1):
    nodes = np.asarray(mesh.nodes)
    return size * np.sin(3 * nodes[:, ::-1] + np.arange(1, nodes.shape[1] + 1))


@MESHES
def test_patch(cells, pattern):
    """Every element sees an affine displacement exactly."""
    mesh, nodes, _, _ = box(cells, pattern)
    dim, rng = len(cells), np.random.default_rng(0)
    A = 0.3 * rng.standard_normal((dim, dim))
    x = nodes.max(axis=0) * rng.random((9, dim))

    @jax.jit
    def run(values, at, mesh, x):
        return jax.vmap(partial(nodal_displacement, values))(at), deformed(nodal_displacement, values, located(mesh, x))

    at = mesh_samples(mesh, total=1).elastic.at
    (d, slopes), moved = run(nodes @ A.T, at, mesh, x)
    assert_close(slopes, np.broadcast_to(A, slopes.shape), 1e-12)
    assert_close(d, np.asarray(at["x"]) @ A.T, 1e-12)
    assert_close(moved, x + x @ A.T, 1e-12)


def relaxed(mesh, make, solver):
    """`values, *args -> values, info`, the objective being `make(*args)`."""
    equations = MeshEquations(mesh)

    def run(values, *args):
        return minimise(lambda key: make(*args), values, jax.random.key(0), solver, equations=equations)

    return jax.jit(run)


@pytest.mark.parametrize("dim", [2, 3])
def test_at_rest_nothing_moves(dim):
    mesh = square((2,) * dim)
    samples = mesh_samples(mesh, total=10)
    objective = Elastodynamics(dim, 1.0, 10.0).objective(nodal_displacement, samples)
    loss, slope = jax.jit(jax.value_and_grad(objective))(np.zeros(mesh.nodes.shape))
    assert loss < 1e-25 and np.abs(slope).max() < 1e-12
    found, info = relaxed(mesh, lambda: objective, LevenbergMarquardt(40, 1e-3))(twisted(mesh))
    assert float(info.loss) < 1e-12 * float(info.start)
    nodes = np.asarray(mesh.nodes)  # a turn of the mesh: distances are those at rest
    distances = [np.linalg.norm(x[:, None] - x[None], axis=-1) for x in (nodes + np.asarray(found), nodes)]
    assert_close(distances[0], distances[1], 1e-5)


def test_a_mesh_and_a_matrix_take_the_same_steps():
    mesh = square((3, 3), "crossed")  # whose levels are not those of its rows
    samples = mesh_samples(mesh, total=32)
    problem = Elastodynamics(2, 20.0, 1e3, 10.0, force=(0.0, -200.0), force_steps=2, obstacle=Sphere((0.0, -2.0), 1.05, 1e4))
    motion = Motion(twisted(mesh, 0.02), np.zeros(mesh.nodes.shape))
    solver = LevenbergMarquardt(12, 1e-3)

    def make(motion):
        return problem.objective(nodal_displacement, samples, motion, 0)

    by_levels, info = relaxed(mesh, make, solver)(motion.now, motion)
    dense, expected = jax.jit(lambda m: minimise(lambda key: make(m), m.now, jax.random.key(0), solver))(motion)
    assert_close(info.losses, expected.losses, 1e-9)
    assert_close(by_levels, dense, 1e-8)
    assert_close(info.terms, expected.terms, 1e-7)
    assert (np.asarray(info.accepted) == np.asarray(expected.accepted)).all() and info.steps == 12
    assert info.terms["kinematics"] > 0 and "collision" in info.terms


def test_a_settled_solid_ends_the_solve():
    """At the first step that changes the objective by less than the fraction."""
    mesh, settled = square((2, 2)), 1e-6
    objective = Elastodynamics(2, 1.0, 10.0, None, 1e3, offset=(0.5, 0.0)).objective(
        nodal_displacement, mesh_samples(mesh, total=20, side_total=4)
    )

    def walked(fraction):
        solver = LevenbergMarquardt(60, 1e-3, settled=fraction)
        info = numpy(relaxed(mesh, lambda: objective, solver)(np.zeros(mesh.nodes.shape))[1])
        losses = info.losses[: int(info.steps)]
        return np.abs(np.diff(losses) / losses[:-1])

    changes = walked(settled)
    assert 1 < len(changes) < 59 and changes[-1] < settled and (changes[:-1] >= settled).all()
    assert len(walked(0.9 * changes[-2])) == len(changes)  # the step before the last changes more than this, if not by much


def test_stretch_converges_with_the_mesh():
    """The minimum falls as meshes are refined, and the sides end where they are held."""
    problem = Elastodynamics(2, 1.0, 10.0, None, 1e3, offset=(0.5, 0.0))
    energies = []
    for n in (2, 4, 8):
        mesh = square((n, n))
        samples = mesh_samples(mesh, total=200, side_total=20)
        objective = problem.objective(nodal_displacement, samples)
        solve = relaxed(mesh, lambda objective=objective: objective, LevenbergMarquardt(25, 1e-3, floor=1e-12))
        nodes = np.asarray(mesh.nodes)
        values, info = numpy(solve(0.25 * (nodes + 1) * np.array([1.0, 0.0])))
        energies.append(float(info.loss))
        assert (np.diff(info.losses) <= 0).all()
    assert energies[0] > energies[1] > energies[2] and energies[1] - energies[2] < energies[0] - energies[1]
    right = values[nodes[:, 0] == 1]
    np.testing.assert_allclose(right, np.broadcast_to([0.5, 0.0], right.shape), atol=0.05)


def test_displacement_is_batched_consistently():
    mesh = square((2, 2))
    at = numpy(mesh_samples(mesh, total=1).elastic.at)
    assert_vmap_consistent(jax.jit(partial(nodal_displacement, jnp.asarray(twisted(mesh)))), at, tolerance=1e-14)


# --- Surfaces ---


def test_ball():
    ball = ball_surface(2)
    assert ball.vertices.shape == (162, 3) and ball.faces.shape == (320, 3)
    np.testing.assert_allclose(np.linalg.norm(ball.vertices, axis=1), 1)
    a, b, c = ball.vertices[ball.faces].transpose(1, 0, 2)
    assert (np.linalg.det(np.stack([a, b, c], axis=1)) > 0).all()  # counter-clockwise from outside
    moved = centred(ball._replace(vertices=3 * ball.vertices + 1), 0.5)
    np.testing.assert_allclose(moved.vertices, ball.vertices / 2, atol=1e-12)


def test_winding_number_tells_inside_from_outside():
    """Of a whole ball, and of one without its lower half, the corners of whose faces are one point."""
    ball, rng = ball_surface(1), np.random.default_rng(0)
    vertices, faces = jnp.asarray(ball.vertices), np.asarray(ball.faces)
    radius = np.concatenate([rng.uniform(0, 0.8, 50), rng.uniform(1, 3, 50)])
    x = rng.standard_normal((100, 3))
    x *= (radius / np.linalg.norm(x, axis=1))[:, None]
    np.testing.assert_allclose(wind(x, vertices, faces), radius < 0.9, atol=1e-9)
    upper = ball.vertices[faces].mean(axis=1)[:, 2] > 0
    half = np.where(upper[:, None], faces, faces[:, :1])
    np.testing.assert_allclose(wind(0 * x, vertices, half), 0.5, atol=0.1)


def test_points_inside_a_ball():
    points = np.asarray(points_inside(jax.random.key(0), ball_surface(2), 500))
    radius = np.linalg.norm(points, axis=1)
    assert points.shape == (500, 3) and radius.max() < 1
    assert (radius < 0.5).mean() == pytest.approx(1 / 8, abs=0.05)
    flat = read_obj("v 0 0 0\nv 1 0 0\nv 0 1 1\nf 1 2 3\n")
    with pytest.raises(ValueError, match="surface encloses 0 of"):
        points_inside(jax.random.key(0), flat, 10, tries=2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("v 1 2\nf 1 1 1\n", "line 1 of the file is 'v 1 2', not a vertex or a face"),
        ("v 1 2 x\n", "line 1 of the file"),
        ("v 0 0 0\nf 1 2\n", "line 2 of the file is 'f 1 2'"),
        ("v 0 0 0\nf 1 2 3\n", "names vertex 3; there are 1"),
        ("v 0 0 0\nf 0 1 1\n", "line 2"),
        ("v 0 0 0\nf -2 1 1\n", "line 2"),
        ("v 0 0 0\n", "has no face"),
        ("v nan 0 0\nf 1 1 1\n", "not finite"),
    ],
)
def test_damaged_surfaces(text, message):
    with pytest.raises(DatasetCorrupt, match=message):
        read_obj(text)


def test_surfaces_have_limits(monkeypatch):
    monkeypatch.setattr("quire.common.data.meshes.MAX_ELEMENTS", 2)
    with pytest.raises(DatasetCorrupt, match="more than 2 vertices or faces"):
        read_obj("v 0 0 0\n" * 3)


def test_bunny(quire_data):
    if not (quire_data / "sdf-meshes" / "bunny.obj.gz").exists():
        pytest.skip(f"{quire_data} has no sdf-meshes/bunny.obj.gz")
    bunny = centred(stanford_surface())
    assert bunny.vertices.shape == (2503, 3) and bunny.faces.shape == (4968, 3)
    assert np.abs(bunny.vertices).max() == pytest.approx(1)
    points = points_inside(jax.random.key(0), bunny, 100)
    assert points.shape == (100, 3)
    outside = np.tile([0.0, 0.95, 0.9], (200, 1))  # as many as were drawn for the points: the same program
    assert (np.asarray(wind(outside, jnp.asarray(bunny.vertices, float), jnp.asarray(bunny.faces))) < 0.5).all()


def test_surface_missing_or_unknown(monkeypatch, tmp_path):
    monkeypatch.delenv("QUIRE_DATA", raising=False)
    monkeypatch.setattr("quire.common.data.registry.cache_dir", lambda: tmp_path)
    with pytest.raises(DatasetUnavailable, match=r"sdf-meshes \(1.4 MB\) is not here"):
        stanford_surface()
    with pytest.raises(ValueError, match="name is 'teapot'; choose from bunny, armadillo"):
        stanford_surface("teapot")
