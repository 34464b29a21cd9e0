"""Newmark's average acceleration and tensor meshes: exact steps, energy, driven nodes, fast diagonalisation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quire.common.pde.finite_elements import assemble, grid_elements, grid_matrices
from quire.common.pde.newmark import Boundary, newmark
from quire.common.pde.tensor_mesh import along_axes, fast_diagonalisation, grid_stiffness, line_matrices
from quire.common.testing import assert_close, assert_degenerate, assert_dtypes, assert_jit_consistent


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64():
        yield


def random_system(n, seed=0):
    """Symmetric mass and stiffness, displacement and velocity."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, n, n))
    return a @ a.T + n * np.eye(n), b @ b.T, rng.normal(size=n), rng.normal(size=n)


def by_definition(mass, stiffness, u, v, dt, steps, driven=(), g=None):
    """Step by step, with dense solves of all rows: those of driven nodes say what their acceleration is."""
    free = [i for i in range(len(u)) if i not in driven]
    a = np.zeros(len(u))
    a[free] = np.linalg.solve(mass[np.ix_(free, free)], -(stiffness @ u)[free])
    history = [(u, v)]
    for step in range(1, steps + 1):
        u, v = u + dt * v + dt**2 / 4 * a, v + dt / 2 * a
        system, right = mass + dt**2 / 4 * stiffness, -stiffness @ u
        for k, i in enumerate(driven):
            system[i], right[i] = np.eye(len(u))[i], (g[step, k] - u[i]) / (dt**2 / 4)
        a = np.linalg.solve(system, right)
        u, v = u + dt**2 / 4 * a, v + dt / 2 * a
        history.append((u, v))
    return tuple(np.stack(x) for x in zip(*history, strict=True))


@pytest.mark.parametrize("driven", [(), (0,), (3, 1)])
def test_steps_are_those_of_the_definition(driven):
    mass, stiffness, u, v = random_system(5)
    g = np.random.default_rng(1).normal(size=(8, len(driven)))
    boundary = Boundary(np.array(driven), g) if driven else None
    found = newmark(mass, stiffness, u, v, 0.3, 7, boundary)
    assert_close(tuple(found), by_definition(mass, stiffness, u, v, 0.3, 7, driven, g), 1e-12)
    assert_close(found.displacement[1:, list(driven)], g[1:], 1e-12)


def test_energy_is_kept_and_a_given_acceleration_counts():
    mass, stiffness, u, v = random_system(4)
    x, y = newmark(mass, stiffness, u, v, 2.0, 50)  # steps of any length are stable
    energy = jnp.sum(y * (y @ mass), axis=1) + jnp.sum(x * (x @ stiffness), axis=1)
    np.testing.assert_allclose(energy, np.full(51, energy[0]), rtol=1e-11)
    own = newmark(mass, stiffness, u, v, 0.1, 3, a0=-np.linalg.solve(mass, stiffness @ u))
    assert_close(own, newmark(mass, stiffness, u, v, 0.1, 3), 1e-12)
    other = newmark(mass, stiffness, u, v, 0.1, 3, a0=np.ones(4))
    assert_close(other.displacement[1] - own.displacement[1] == 0, np.zeros(4, bool), 1e-12)


def test_error_falls_with_the_square_of_the_step():
    """Of `cos t`."""
    one = np.eye(1)
    errors = [abs(float(newmark(one, one, np.ones(1), np.zeros(1), 2 / n, n).displacement[-1, 0]) - np.cos(2)) for n in (10, 20)]
    assert 3.8 < errors[0] / errors[1] < 4.2


@pytest.mark.parametrize("cells", [(4,), (3, 5), (2, 3, 2)])
def test_fast_diagonalisation_is_the_dense_solve(cells):
    spacing = tuple(0.2 + 0.1 * k for k in range(len(cells)))
    mass, stiffness = (assemble(grid_elements(cells), m, int(np.prod(np.add(cells, 1)))) for m in grid_matrices(spacing))
    lines = [line_matrices(n, h) for n, h in zip(cells, spacing, strict=True)]
    basis = fast_diagonalisation(lines)
    right = np.random.default_rng(0).normal(size=np.add(cells, 1))
    found = basis.solve(jnp.asarray(right), 1.5, 0.3)
    assert_close(found.reshape(-1), jnp.linalg.solve(1.5 * mass + 0.3 * stiffness, right.reshape(-1)), 1e-10)
    assert_close(along_axes([m for m, _ in lines], jnp.asarray(right)).reshape(-1), mass @ right.reshape(-1), 1e-12)
    assert_close(basis.values(basis.modes(along_axes([m for m, _ in lines], jnp.asarray(right)))), right, 1e-10)
    assert_close(grid_stiffness(cells, spacing, lambda x: jnp.ones(len(x))), stiffness, 1e-12)
    vectors = basis.vectors[0]
    np.testing.assert_allclose(vectors.T @ lines[0][0] @ vectors, np.eye(cells[0] + 1), atol=1e-12)


def test_functions_step_as_matrices_do():
    lines = [line_matrices(3, 0.3), line_matrices(2, 0.5)]
    (mx, kx), (my, ky) = lines
    u, v = np.random.default_rng(0).normal(size=(2, 4, 3))
    basis = fast_diagonalisation(lines)

    def stiffness(u):
        return along_axes((kx, my), u) + along_axes((mx, ky), u)

    found = newmark(lambda u: along_axes((mx, my), u), stiffness, u, v, 0.1, 9, solve=basis.solve)
    dense = newmark(np.kron(mx, my), np.kron(kx, my) + np.kron(mx, ky), u.reshape(-1), v.reshape(-1), 0.1, 9)
    assert_close(jax.tree.map(lambda x: x.reshape(10, -1), found), dense, 1e-10)


def test_a_coefficient_is_integrated():
    """`k = 1 + x y^2` is of degree 3 at most along each axis with the squares of the gradients: two Gauss points are too few."""
    k = grid_stiffness((3, 2), (0.5, 0.4), lambda x: 1 + x[:, 0] * x[:, 1] ** 2)
    exact = grid_stiffness((3, 2), (0.5, 0.4), lambda x: 1 + x[:, 0] * x[:, 1] ** 2, order=6)
    assert_close(k, exact, 1e-12)
    x = np.stack(np.meshgrid(np.arange(4) * 0.5, np.arange(3) * 0.4, indexing="ij"), -1).reshape(-1, 2)
    linear = x @ np.array([2.0, 3.0])  # int k |grad|^2 = 13 (area + int x y^2)
    assert float(linear @ k @ linear) == pytest.approx(13 * (1.5 * 0.8 + 1.5**2 / 2 * 0.8**3 / 3))
    np.testing.assert_allclose(k.sum(axis=1), 0, atol=1e-12)


EYE = np.eye(2)
BAD = [
    (lambda: newmark(EYE, EYE, np.ones(2), np.ones(2), 0.0, 1), "dt is 0.0"),
    (lambda: newmark(EYE, EYE, np.ones(2), np.ones(2), 0.1, 0), "steps is 0"),
    (lambda: newmark(EYE, EYE, np.ones(2), np.ones(3), 0.1, 1), r"v0 \(3,\)"),
    (lambda: newmark(EYE, np.eye(3), np.ones(2), np.ones(2), 0.1, 1), r"stiffness \(3, 3\)"),
    (lambda: newmark(EYE, EYE, np.ones(2), np.ones(2), 0.1, 1, Boundary(np.array([2]), np.ones((2, 1)))), "boundary.nodes runs"),
    (lambda: newmark(EYE, EYE, np.ones(2), np.ones(2), 0.1, 1, Boundary(np.array([0]), np.ones((1, 1)))), "boundary has 1 nodes"),
    (lambda: newmark(EYE, EYE, np.ones(2), np.ones(2), 0.1, 1, Boundary(np.array([0, 0]), np.ones((2, 2)))), "distinct"),
    (lambda: newmark(lambda u: u, lambda u: u, np.ones(2), np.ones(2), 0.1, 1), "beside a solve"),
    (lambda: newmark(EYE, lambda u: u, np.ones(2), np.ones(2), 0.1, 1), "both must be"),
    (lambda: line_matrices(0, 0.1), "n is 0"),
    (lambda: line_matrices(2, 0.0), "h is 0.0"),
    (lambda: fast_diagonalisation([]), "number of axes is 0"),
    (lambda: fast_diagonalisation([(np.eye(2), np.eye(3))]), r"stiffness \(3, 3\)"),
    (lambda: along_axes([np.eye(2)], jnp.ones((2, 2))), "each axis needs one"),
    (lambda: grid_stiffness((2, 2), (0.1,), lambda x: x[:, 0]), "each axis needs"),
    (lambda: grid_stiffness((0,), (0.1,), lambda x: x[:, 0]), "each axis needs"),
]


@pytest.mark.parametrize(("call", "message"), BAD, ids=[message for _, message in BAD])
def test_wrong_arguments(call, message, as_installed):
    with pytest.raises(ValueError, match=message):
        call()


def test_dtypes_and_edges():
    mass, stiffness, u, v = random_system(3)

    def displacement(u, v):
        return newmark(jnp.asarray(mass, u.dtype), jnp.asarray(stiffness, u.dtype), u, v, 0.1, 4).displacement

    with jax.enable_x64(False):
        single = [x.astype(np.float32) for x in (u, v)]
        assert_degenerate(displacement, *single, axes=())
        assert_dtypes(lambda u, v: newmark(mass.astype(np.float32), stiffness.astype(np.float32), u, v, 0.1, 4)[0], *single)
        assert_jit_consistent(displacement, *single)
