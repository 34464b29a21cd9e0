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
    """A box of unequal edges, from 0."""
    high = jnp.array([2.0, 1.0, 3.0])[: len(cells)]
    return box_mesh(cells, jnp.zeros(len(cells)), high, pattern=pattern), float(jnp.prod(high))


# --- Meshes ---


@MESHES
def test_elements_fill_the_box(cells, pattern):
    mesh, volume = box(cells, pattern)
    _, volumes = shape_gradients(mesh)
    edges = mesh.nodes[mesh.elements][:, 1:] - mesh.nodes[mesh.elements][:, :1]
    assert (jnp.linalg.det(edges) > 0).all()  # none is mirrored
    assert volumes.sum() == pytest.approx(volume)
    assert set(np.unique(mesh.elements)) == set(range(len(mesh.nodes)))
    assert lumped_mass(mesh).sum() == pytest.approx(volume)
    faces = np.sort(
        np.concatenate([np.delete(np.asarray(mesh.elements), k, axis=1) for k in range(mesh.elements.shape[1])]), axis=1
    )
    _, counts = np.unique(faces, axis=0, return_counts=True)
    assert counts.max() == 2  # conforming: a face belongs to two elements, or to one at the boundary


@MESHES
def test_shape_functions_are_a_partition_of_unity(cells, pattern):
    mesh, _ = box(cells, pattern)
    slopes, _ = shape_gradients(mesh)
    np.testing.assert_allclose(slopes.sum(axis=1), 0, atol=1e-12)
    dim = mesh.nodes.shape[1]
    gradient = jnp.einsum("ekd,ekc->ecd", slopes, mesh.nodes[mesh.elements])
    np.testing.assert_allclose(gradient, np.broadcast_to(np.eye(dim), gradient.shape), atol=1e-12)  # of x itself


@MESHES
def test_points_are_found(cells, pattern):
    mesh, _ = box(cells, pattern)
    x = mesh.nodes.max(axis=0)[None] * jax.random.uniform(jax.random.key(0), (50, mesh.nodes.shape[1]))
    elements, shape = locate(mesh, x)
    assert shape.min() > -1e-12
    np.testing.assert_allclose(shape.sum(axis=1), 1)
    np.testing.assert_allclose(jnp.einsum("nk,nkd->nd", shape, mesh.nodes[mesh.elements[elements]]), x, atol=1e-12)
    _, outside = locate(mesh, x - 10)
    assert (outside.min(axis=1) < 0).all()


@MESHES
def test_weights_of_a_mesh(cells, pattern):
    """Sums of weights, and squares of linear functions on the sides integrated exactly."""
    mesh, _ = box(cells, pattern)
    dim = len(cells)
    samples = mesh_samples(mesh, total=100, side_total=7)
    assert samples.elastic.weight.sum() == pytest.approx(100) == samples.mass.weight.sum()
    np.testing.assert_allclose(samples.mass.at["x"], mesh.nodes, atol=1e-12)
    for side, position in ((samples.left, 0), (samples.right, 2)):
        assert side.weight.sum() == pytest.approx(7)
        np.testing.assert_allclose(side.at["x"][:, 0], position, atol=1e-12)
        np.testing.assert_allclose(jnp.sum(side.weight * side.at["x"][:, 1] ** 2), 7 / 3)
        if dim == 3:
            np.testing.assert_allclose(jnp.sum(side.weight * side.at["x"][:, 1] * side.at["x"][:, 2]), 7 * 1 / 2 * 3 / 2)
    assert mesh_samples(mesh, total=1).left is None


def test_mesh_errors(as_installed):
    low, high = jnp.zeros(2), jnp.ones(2)
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


def mass_matrices(volumes, dim):
    """`M_ij = int N_i N_j = |T| (1 + delta_ij) / ((d + 1) (d + 2))` of every simplex."""
    return volumes[:, None, None] * ((1 + jnp.eye(dim + 1)) / ((dim + 1) * (dim + 2)))[None]


def stiffness_matrices(slopes, volumes):
    """`K_ij = int grad N_i . grad N_j` of every simplex."""
    return volumes[:, None, None] * jnp.einsum("eid,ejd->eij", slopes, slopes)


@MESHES
def test_mass_and_stiffness(cells, pattern):
    mesh, volume = box(cells, pattern)
    slopes, volumes = shape_gradients(mesh)
    count, dim = mesh.nodes.shape
    M = assemble(mesh.elements, mass_matrices(volumes, dim), count)
    K = assemble(mesh.elements, stiffness_matrices(slopes, volumes), count)
    assert_close(M, M.T, 1e-14)
    assert_close(K, K.T, 1e-12)
    assert M.sum() == pytest.approx(volume)
    assert_close(M.sum(axis=1), lumped_mass(mesh), 1e-12)
    np.testing.assert_allclose(K.sum(axis=1), 0, atol=1e-11)
    linear = mesh.nodes @ jnp.arange(1.0, dim + 1)
    assert linear @ K @ linear == pytest.approx(volume * sum(k**2 for k in range(1, dim + 1)))
    assert jnp.linalg.eigvalsh(M).min() > 0


@pytest.mark.parametrize("cells", [(5,), (3, 2), (2, 3, 2)])
def test_bilinear_elements(cells):
    high = np.array([2.0, 1.0, 3.0])[: len(cells)]
    spacing = tuple(float(h / n) for h, n in zip(high, cells, strict=True))
    mass, stiffness = grid_matrices(spacing)
    elements = grid_elements(cells)
    count = int(np.prod(np.array(cells) + 1))
    M, K = (assemble(elements, matrix, count) for matrix in (mass, stiffness))
    axes = np.meshgrid(*[np.linspace(0, h, n + 1) for h, n in zip(high, cells, strict=True)], indexing="ij")
    linear = jnp.asarray(sum((k + 1) * axis for k, axis in enumerate(axes)).reshape(-1))
    volume = float(np.prod(high))
    assert M.sum() == pytest.approx(volume)
    np.testing.assert_allclose(K.sum(axis=1), 0, atol=1e-12)
    assert linear @ K @ linear == pytest.approx(volume * sum((k + 1) ** 2 for k in range(len(cells))))
    product = jnp.asarray(np.prod(axes, axis=0).reshape(-1))  # bilinear: its square is integrated exactly
    assert product @ M @ product == pytest.approx(np.prod(high**3 / 3))


def test_poisson_converges_at_second_order():
    """`-lap u = f` with u = 0 on the boundary: the error at the nodes falls by four when the mesh is halved."""

    def error(n):
        mesh = box_mesh((n, n), jnp.zeros(2), jnp.ones(2))
        slopes, volumes = shape_gradients(mesh)
        K = assemble(mesh.elements, stiffness_matrices(slopes, volumes), len(mesh.nodes))
        M = assemble(mesh.elements, mass_matrices(volumes, 2), len(mesh.nodes))
        exact = jnp.sin(jnp.pi * mesh.nodes).prod(axis=1)
        inner = np.flatnonzero((np.abs(np.asarray(mesh.nodes) - 0.5) < 0.499).all(axis=1))
        found = jnp.linalg.solve(K[inner][:, inner], (M @ (2 * jnp.pi**2 * exact))[inner])
        return float(jnp.abs(found - exact[inner]).max())

    assert 3.3 < error(8) / error(16) < 4.7


# --- Levels ---


@MESHES
def test_levels_couple_with_their_neighbours_only(cells, pattern):
    mesh, _ = box(cells, pattern)
    elements = np.random.default_rng(0).permutation(len(mesh.nodes))[np.asarray(mesh.elements)]
    for case in (np.asarray(mesh.elements), elements):
        place, width, count = levels(case, len(mesh.nodes))
        assert len(set(place.tolist())) == len(place) and place.min() >= 0 and place.max() < width * count
        level = place[case] // width
        assert (np.ptp(level, axis=1) <= 1).all()
    assert width < len(mesh.nodes)  # whatever the numbers of the nodes are


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
    return size * jnp.sin(3 * mesh.nodes[:, ::-1] + jnp.arange(1.0, mesh.nodes.shape[1] + 1)[None])


@MESHES
def test_patch(cells, pattern):
    """Every element sees an affine displacement exactly."""
    mesh, _ = box(cells, pattern)
    dim = len(cells)
    A = 0.3 * jax.random.normal(jax.random.key(0), (dim, dim))
    values = mesh.nodes @ A.T
    at = mesh_samples(mesh, total=1).elastic.at
    d, slopes = jax.vmap(partial(nodal_displacement, values))(at)
    assert_close(slopes, jnp.broadcast_to(A, slopes.shape), 1e-12)
    assert_close(d, at["x"] @ A.T, 1e-12)
    x = mesh.nodes.max(axis=0)[None] * jax.random.uniform(jax.random.key(1), (9, dim))
    assert_close(deformed(nodal_displacement, values, located(mesh, x)), x + x @ A.T, 1e-12)


def relaxed(mesh, make, solver):
    """`values, *args -> values, info`, the objective being `make(*args)`."""
    equations = MeshEquations(mesh)

    def run(values, *args):
        return minimise(lambda key: make(*args), values, jax.random.key(0), solver, equations=equations)

    return jax.jit(run)


@pytest.mark.parametrize("dim", [2, 3])
def test_at_rest_nothing_moves(dim):
    mesh = box_mesh((2,) * dim, -jnp.ones(dim), jnp.ones(dim))
    samples = mesh_samples(mesh, total=10)
    problem = Elastodynamics(dim, 1.0, 10.0)
    rest = jnp.zeros_like(mesh.nodes)
    objective = problem.objective(nodal_displacement, samples)
    assert objective(rest) < 1e-25 and jnp.abs(jax.grad(objective)(rest)).max() < 1e-12
    found, info = relaxed(mesh, lambda: objective, LevenbergMarquardt(40, 1e-3))(twisted(mesh))
    assert info.loss < 1e-12 * info.start
    q = mesh.nodes + found  # a turn of the mesh: distances are those at rest
    distances = [jnp.linalg.norm(x[:, None] - x[None] + jnp.eye(len(x))[..., None], axis=-1) for x in (q, mesh.nodes)]
    assert_close(distances[0], distances[1], 1e-5)


def test_a_mesh_and_a_matrix_take_the_same_steps():
    mesh = box_mesh((3, 3), -jnp.ones(2), jnp.ones(2), pattern="crossed")  # whose levels are not those of its rows
    samples = mesh_samples(mesh, total=32)
    problem = Elastodynamics(2, 20.0, 1e3, 10.0, force=(0.0, -200.0), force_steps=2, obstacle=Sphere((0.0, -2.0), 1.05, 1e4))
    motion = Motion(twisted(mesh, 0.02), jnp.zeros_like(mesh.nodes))
    solver = LevenbergMarquardt(12, 1e-3)

    def make(motion):
        return problem.objective(nodal_displacement, samples, motion, 0)

    by_levels, info = relaxed(mesh, make, solver)(motion.now, motion)
    dense, expected = jax.jit(lambda u: minimise(lambda key: make(motion), u, jax.random.key(0), solver))(motion.now)
    assert_close(info.losses, expected.losses, 1e-9)
    assert_close(by_levels, dense, 1e-8)
    assert_close(info.terms, expected.terms, 1e-7)
    assert (info.accepted == expected.accepted).all() and info.steps == 12
    assert info.terms["kinematics"] > 0 and "collision" in info.terms


def test_a_settled_solid_ends_the_solve():
    mesh = box_mesh((2, 2), -jnp.ones(2), jnp.ones(2))
    objective = Elastodynamics(2, 1.0, 10.0, None, 1e3, offset=(0.5, 0.0)).objective(
        nodal_displacement, mesh_samples(mesh, total=20, side_total=4)
    )
    steps = {}
    for settled in (1e-3, 1e-10):
        _, info = relaxed(mesh, lambda: objective, LevenbergMarquardt(60, 1e-3, settled=settled))(0 * mesh.nodes)
        steps[settled] = int(info.steps)
        last = abs(info.losses[info.steps - 1] / info.losses[info.steps - 2] - 1)
        assert last < settled
    assert steps[1e-3] < steps[1e-10] < 60


def test_stretch_converges_with_the_mesh():
    """The minimum falls as meshes are refined, and the sides end where they are held."""
    problem = Elastodynamics(2, 1.0, 10.0, None, 1e3, offset=(0.5, 0.0))
    energies = []
    for n in (3, 6, 12):
        mesh = box_mesh((n, n), -jnp.ones(2), jnp.ones(2))
        samples = mesh_samples(mesh, total=200, side_total=20)
        objective = problem.objective(nodal_displacement, samples)
        solve = relaxed(mesh, lambda objective=objective: objective, LevenbergMarquardt(25, 1e-3, floor=1e-12))
        values, info = solve(0.25 * (mesh.nodes + 1) * jnp.array([[1.0, 0.0]]))
        energies.append(float(info.loss))
        assert (jnp.diff(info.losses) <= 0).all()
    assert energies[0] > energies[1] > energies[2] and energies[1] - energies[2] < energies[0] - energies[1]
    right = values[np.asarray(mesh.nodes)[:, 0] == 1]
    np.testing.assert_allclose(right, np.broadcast_to([0.5, 0.0], right.shape), atol=0.05)


def test_displacement_is_batched_consistently():
    mesh = box_mesh((2, 2), -jnp.ones(2), jnp.ones(2))
    at = mesh_samples(mesh, total=1).elastic.at
    assert_vmap_consistent(partial(nodal_displacement, twisted(mesh)), at, tolerance=1e-14)


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
    ball = ball_surface(1)
    x = jax.random.normal(jax.random.key(0), (200, 3))
    radius = jnp.linalg.norm(x, axis=1)
    x = x[(radius < 0.8) | (radius > 1)]
    wind = winding_number(x, jnp.asarray(ball.vertices), jnp.asarray(ball.faces))
    np.testing.assert_allclose(wind, jnp.linalg.norm(x, axis=1) < 0.9, atol=1e-9)
    half = ball._replace(faces=ball.faces[ball.vertices[ball.faces].mean(axis=1)[:, 2] > 0])
    assert winding_number(jnp.zeros((1, 3)), jnp.asarray(half.vertices), jnp.asarray(half.faces))[0] == pytest.approx(
        0.5, abs=0.1
    )


def test_points_inside_a_ball():
    points = points_inside(jax.random.key(0), ball_surface(2), 500)
    radius = jnp.linalg.norm(points, axis=1)
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
    assert (
        winding_number(jnp.array([[0.0, -0.2, 0.0], [0.0, 0.95, 0.9]]), jnp.asarray(bunny.vertices), jnp.asarray(bunny.faces))[1]
        < 0.5
    )


def test_surface_missing_or_unknown(monkeypatch, tmp_path):
    monkeypatch.delenv("QUIRE_DATA", raising=False)
    monkeypatch.setattr("quire.common.data.registry.cache_dir", lambda: tmp_path)
    with pytest.raises(DatasetUnavailable, match=r"sdf-meshes \(1.4 MB\) is not here"):
        stanford_surface()
    with pytest.raises(ValueError, match="name is 'teapot'; choose from bunny, armadillo"):
        stanford_surface("teapot")
