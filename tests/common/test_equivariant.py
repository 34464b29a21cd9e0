"""Fields on the sphere: harmonics, couplings, rotations, grids, Fourier series, radial functions, neighbours."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import sph_harm_y

from quire.common.equivariant.clebsch_gordan import gaunt, gaunt_path_weights, is_path, real_clebsch_gordan
from quire.common.equivariant.irreps import degrees, invert, lmax_of, num_coefficients, of_degree, orders, per_degree
from quire.common.equivariant.neighbours import edge_vectors, most_neighbours, neighbour_list
from quire.common.equivariant.radial import bessel_basis, polynomial_cutoff, sinc
from quire.common.equivariant.rotations import align_from_pole, align_to_pole, random_rotation, wigner_d
from quire.common.equivariant.sphere_grid import (
    from_grid,
    from_grid_separable,
    sphere_grid,
    to_grid,
    to_grid_matrix,
    to_grid_separable,
)
from quire.common.equivariant.spherical_harmonics import (
    harmonics_table,
    legendre_table,
    normalize,
    spherical_harmonics,
    spherical_harmonics_angles,
)
from quire.common.equivariant.torus_fourier import (
    fourier_product,
    fourier_to_sh,
    fourier_to_sh_table,
    from_half_series,
    from_torus,
    half_series,
    polar_series,
    sh_to_fourier,
    sh_to_fourier_table,
    to_torus,
)
from quire.common.testing import (
    assert_close,
    assert_degenerate,
    assert_dtypes,
    assert_equivariant,
    assert_gradients,
    assert_jit_consistent,
    assert_matches_float64,
    assert_vmap_consistent,
)


def normal(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


def unit_vectors(seed, count):
    points = np.random.default_rng(seed).standard_normal((count, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


# --- Irreps ---


def test_bookkeeping():
    assert degrees(3).tolist() == [0] + [1] * 3 + [2] * 5 + [3] * 7
    assert orders(2).tolist() == [0, -1, 0, 1, -2, -1, 0, 1, 2]
    x = normal(0, 4, 16)
    assert lmax_of(x) == 3
    np.testing.assert_array_equal(of_degree(x, 2), x[:, 4:9])
    np.testing.assert_array_equal(per_degree(jnp.arange(4.0)), degrees(3))
    np.testing.assert_array_equal(invert(x)[:, :4], x[:, :4] * np.array([[1, -1, -1, -1]]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: num_coefficients(-1), "lmax is -1"),
        (lambda: lmax_of(jnp.zeros(5)), r"x has shape \(5,\); its last axis must hold \(lmax \+ 1\)\^2"),
        (lambda: lmax_of(jnp.zeros(4, complex), "y"), "y has dtype complex64"),
        (lambda: lmax_of(jnp.zeros(4, int)), "x has dtype int32"),
        (lambda: of_degree(jnp.zeros(4), 2), "l is 2; x has degrees 0 to 1"),
        (lambda: spherical_harmonics(2, jnp.zeros(4)), r"xyz has shape \(4,\)"),
        (lambda: spherical_harmonics(2, jnp.zeros(3, int)), "xyz has dtype int32"),
        (lambda: spherical_harmonics(-2, jnp.zeros(3)), "lmax is -2"),
        (lambda: spherical_harmonics(2, jnp.ones(3), "unit"), "normalization is 'unit'; choose from integral"),
        (lambda: spherical_harmonics_angles(2, jnp.ones(3), jnp.ones(4)), r"theta has shape \(3,\) and phi \(4,\)"),
        (lambda: real_clebsch_gordan(1, 1, 3), "degrees 1, 1, 3 do not couple"),
        (lambda: gaunt(1, -1, 2), "lmax is -1"),
        (lambda: wigner_d(1, jnp.ones((3, 2))), r"rotation has shape \(3, 2\)"),
        (lambda: sphere_grid(-1), "degree is -1"),
        (lambda: from_grid(jnp.ones(5), 1, 2), r"values has 5 points; sphere_grid\(2\) has 6"),
        (lambda: fourier_to_sh(jnp.ones((3, 3), complex), 2), r"lmax is 2; a series with \|u\|, \|v\| <= 1"),
        (lambda: fourier_to_sh(jnp.ones((3, 3)), 1), "F is float32 of shape"),
        (lambda: fourier_product(jnp.ones((2, 2), complex), jnp.ones((3, 3), complex)), "F1 is complex64 of shape"),
        (lambda: fourier_product(jnp.ones((4, 3, 3), complex), jnp.ones((3, 3), complex)), "leading axes"),
        (lambda: fourier_to_sh_table(3, 2), "u_max is 2, below lmax 3"),
        (lambda: to_torus(half_series(jnp.ones((1, 9))), 4), "size is 4"),
        (lambda: bessel_basis(jnp.ones(2), 0.0), "cutoff is 0.0 and count 8"),
        (lambda: polynomial_cutoff(jnp.ones(2), 1.0, 0), "cutoff is 1.0 and p 0"),
        (lambda: neighbour_list(jnp.zeros((3, 3)), 1.0, 3), "capacity 3; the cutoff must be positive and 3 atoms have 1 to 2"),
        (lambda: neighbour_list(jnp.zeros((3, 2)), 1.0, 1), r"positions has shape \(3, 2\) and present None"),
        (lambda: most_neighbours(np.full((1, 2, 3), np.nan), 1.0), "positions holds numbers that are not finite"),
        (lambda: most_neighbours(np.zeros((2, 3)), 1.0), r"positions has shape \(2, 3\)"),
        (lambda: edge_vectors(jnp.zeros((2, 3)), neighbour_list(jnp.zeros((3, 3)), 1.0, 1)), "positions has 2 rows"),
        (lambda: from_grid_separable(jnp.ones((5, 5, 1)), 1, 2), r"values has shape \(5, 5, 1\); sphere_grid\(2\) needs \(3, 2"),
    ],
)
def test_errors(as_installed, call, message):
    with pytest.raises(ValueError, match=message):
        call()


# --- Harmonics ---


def test_harmonics_match_scipy_to_high_degree():
    lmax, points = 40, unit_vectors(0, 20)
    theta, phi = np.arccos(points[:, 2]), np.arctan2(points[:, 1], points[:, 0])
    table = harmonics_table(lmax, points)
    for l, m in ((0, 0), (1, -1), (2, 2), (7, -3), (25, 0), (40, 40), (40, -17), (40, 1)):
        Y = sph_harm_y(l, abs(m), theta, phi) * (-1) ** m
        expected = Y.real if m == 0 else np.sqrt(2) * (Y.imag if m < 0 else Y.real)
        np.testing.assert_allclose(table[:, l * l + l + m], expected, atol=1e-12)
    assert_close(spherical_harmonics(lmax, jnp.asarray(points, jnp.float32)), table, 1e-4)
    with jax.enable_x64():
        assert_close(spherical_harmonics(lmax, jnp.asarray(3 * points)), table, 1e-13)


def test_harmonics_are_orthonormal_and_add_up():
    grid = sphere_grid(40)
    Y = harmonics_table(20, grid.points)
    assert_close(Y.T @ (Y * grid.point_weights[:, None]), np.eye(441), 1e-12)
    norms = spherical_harmonics(6, normal(0, 5, 3), "norm") ** 2
    for l in range(7):
        assert_close(of_degree(norms, l).sum(-1), np.ones(5), 1e-5)
    components = spherical_harmonics(6, normal(0, 5, 3), "component") ** 2
    assert_close(components.sum(-1), np.full(5, 49.0), 1e-5)


def test_angles_continue_beyond_pi():
    theta, phi = normal(0, 9) * 3, normal(1, 9) * 3
    direct = spherical_harmonics_angles(5, theta, phi)
    assert_close(spherical_harmonics_angles(5, -theta, phi + np.pi), direct, 1e-5)
    table = legendre_table(5, np.asarray(theta, float))
    for l, m in ((3, 1), (4, -2), (5, 5), (2, 0)):
        azimuth = 1 if m == 0 else np.sqrt(2) * (np.sin(-m * phi) if m < 0 else np.cos(m * phi))
        np.testing.assert_allclose(direct[:, l * l + l + m], table[abs(m), l] * azimuth, atol=1e-5)


def test_harmonics_are_smooth_at_poles_and_defined_at_zero():
    assert_gradients(lambda r: spherical_harmonics(4, r), normal(0, 3, 3))
    with jax.enable_x64():
        jacobian = jax.jit(jax.jacobian(lambda r: spherical_harmonics(4, r)))
        assert_close(jacobian(np.array([0.0, 0.0, 1.0])), jacobian(np.array([1e-7, -1e-7, 1.0])), 1e-5)

    def derivatives(r):
        harmonics = lambda r: spherical_harmonics(3, r)  # noqa: E731
        slopes = jax.jacobian(harmonics)(r), jax.jacobian(lambda r: normalize(r)[1])(r)
        return harmonics(r), slopes, jax.hessian(lambda r: harmonics(r).sum())(r)

    value, slopes, curvature = jax.jit(derivatives)(np.zeros(3, np.float32))
    for zero in (value[1:], *slopes):
        np.testing.assert_array_equal(zero, 0)
    assert np.isfinite(curvature).all()


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_harmonics_transform(dtype):
    with jax.enable_x64(dtype == jnp.float64):
        tolerance = 1e-5 if dtype == jnp.float32 else 1e-13
        r, rotations = normal(0, 6, 3).astype(dtype), random_rotation(jax.random.key(1), (4,)).astype(dtype)
        assert_equivariant(
            lambda r: spherical_harmonics(5, r),
            r,
            elements=[*rotations, -rotations[0]],
            act_in=lambda R, r: r @ R.T,
            act_out=lambda R, y: y @ wigner_d(5, R).T,
            tolerance=tolerance,
        )
        assert spherical_harmonics(5, r).dtype == dtype
        assert_jit_consistent(lambda r: spherical_harmonics(5, r), r)
        assert_vmap_consistent(lambda r: spherical_harmonics(5, r), r)


# --- Rotations ---


def test_wigner_matrices_are_a_representation():
    with jax.enable_x64():
        R = random_rotation(jax.random.key(0), (2,))
        D = wigner_d(12, R)
        assert_close(D[0] @ D[1], wigner_d(12, R[0] @ R[1]), 1e-12)
        assert_close(D[0] @ D[0].T, np.eye(169), 1e-12)
        assert_close(wigner_d(3, -R[0]), invert(wigner_d(3, R[0]).T).T, 1e-12)
        assert_gradients(lambda A: wigner_d(3, A), R[0])


def test_alignment_is_a_rotation_to_the_pole():
    with jax.enable_x64():
        r = jnp.asarray(np.concatenate([unit_vectors(0, 5), [[0, 0, 1.0], [0, 0, -1.0], [1, 0, 0]]]))
        aligned = align_to_pole(spherical_harmonics(6, r), r)
        expected = spherical_harmonics(6, jnp.array([0, 0, 1.0]))
        assert_close(aligned, jnp.broadcast_to(expected, aligned.shape), 1e-13)
        x = normal(0, len(r), 49)
        assert_close(align_from_pole(align_to_pole(x, r), r), x, 1e-13)
        assert_close(
            jnp.linalg.norm(of_degree(align_to_pole(x, r), 4), axis=-1), jnp.linalg.norm(of_degree(x, 4), axis=-1), 1e-13
        )
        assert_gradients(lambda x, r: align_to_pole(x, r), x[:5], r[:5])
        slopes = jax.vmap(jax.jacobian(align_to_pole, 1))(x, r)  # where the azimuth of r alone would have none
        step = 1e-6 * normal(1, 8, 3)
        difference = (align_to_pole(x, r + step) - align_to_pole(x, r - step)) / 2
        assert_close(jnp.einsum("bai,bi->ba", slopes, step), difference, 1e-6)


# --- Couplings ---


def test_clebsch_gordan_couple_equivariantly_and_orthonormally():
    with jax.enable_x64():
        D = np.asarray(wigner_d(6, random_rotation(jax.random.key(0))))
    for l1, l2, l3 in ((1, 1, 1), (2, 1, 2), (3, 2, 4), (2, 2, 3), (6, 5, 4), (4, 4, 1)):
        W = real_clebsch_gordan(l1, l2, l3)
        D1, D2, D3 = (D[l * l : (l + 1) ** 2, l * l : (l + 1) ** 2] for l in (l1, l2, l3))
        assert_close(np.einsum("ia,jb,kc,abc->ijk", D1, D2, D3, W), W, 1e-12)
        assert abs(np.sum(W**2) - 1) < 1e-13
        np.testing.assert_allclose(np.einsum("ijk,ijl->kl", W, W), np.eye(2 * l3 + 1) / (2 * l3 + 1), atol=1e-13)


def test_cross_product_path():
    levi_civita = np.zeros((3, 3, 3))
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        levi_civita[i, j, k], levi_civita[j, i, k] = 1, -1
    np.testing.assert_allclose(real_clebsch_gordan(1, 1, 1), levi_civita / np.sqrt(6), atol=1e-14)


def test_high_degrees_stay_accurate():
    W = real_clebsch_gordan(30, 28, 25)
    np.testing.assert_allclose(np.einsum("ijk,ijl->kl", W, W), np.eye(51) / 51, atol=1e-12)


def test_gaunt_is_a_multiple_of_clebsch_gordan():
    G, c = gaunt(4, 3, 5), gaunt_path_weights(4, 3, 5)
    for l1, l2, l3 in np.ndindex(c.shape):
        block = G[l1 * l1 : (l1 + 1) ** 2, l2 * l2 : (l2 + 1) ** 2, l3 * l3 : (l3 + 1) ** 2]
        expected = c[l1, l2, l3] * real_clebsch_gordan(l1, l2, l3) if is_path(l1, l2, l3) else 0 * block
        np.testing.assert_allclose(block, expected, atol=1e-13)
        assert (c[l1, l2, l3] > 0) == (is_path(l1, l2, l3) and (l1 + l2 + l3) % 2 == 0)
    np.testing.assert_allclose(G[:16, :16, :16], G[:16, :16, :16].transpose(2, 1, 0), atol=1e-14)


def test_couplings_agree_with_e3nn():
    e3nn = pytest.importorskip("e3nn_jax")
    points = unit_vectors(0, 8)
    theirs = e3nn.spherical_harmonics(
        e3nn.Irreps("0e+1o+2e+3o+4e"), jnp.asarray(points[:, [1, 2, 0]]), normalize=True, normalization="integral"
    ).array
    assert_close(spherical_harmonics(4, jnp.asarray(points, jnp.float32)), theirs, 1e-5)
    for degrees_ in ((1, 1, 1), (2, 2, 1), (3, 2, 2), (2, 2, 2), (3, 2, 4), (4, 3, 3)):
        assert_close(real_clebsch_gordan(*degrees_), e3nn.clebsch_gordan(*degrees_), 1e-6)


# --- Grids and Fourier series ---


@pytest.mark.parametrize("lmax", [0, 1, 4, 9])
def test_grid_transforms_invert_each_other(lmax):
    with jax.enable_x64():
        x = normal(lmax, 3, num_coefficients(lmax))
        degree = 2 * lmax
        values = to_grid(x, degree)
        assert_close(from_grid(values, lmax, degree), x, 1e-13)
        separable = to_grid_separable(x, degree)
        assert_close(separable.transpose(2, 1, 0).reshape(3, -1), values, 1e-13)
        assert_close(from_grid_separable(separable, lmax, degree), x, 1e-13)
        assert_gradients(lambda x: to_grid_separable(x, degree), x)


def test_series_reproduce_the_field():
    with jax.enable_x64():
        x = normal(0, 2, 25)
        F = np.asarray(sh_to_fourier(x))
        assert_close(F.view(float), np.einsum("ra,auv->ruv", x, sh_to_fourier_table(4)).copy().view(float), 1e-13)
        theta, phi = np.asarray(normal(1, 7)) * 3, np.asarray(normal(2, 7)) * 3
        u = np.arange(-4, 5)
        waves = np.exp(1j * (u[:, None, None] * theta + u[None, :, None] * phi))
        assert_close(
            np.einsum("ruv,uvp->rp", F, waves).real,
            x @ spherical_harmonics_angles(4, jnp.asarray(theta), jnp.asarray(phi)).T,
            1e-13,
        )
        assert_close(fourier_to_sh(jnp.asarray(F), 4), x, 1e-13)
        assert_close(fourier_to_sh(jnp.asarray(F), 2), x[:, :9], 1e-13)


def test_projection_of_any_series():
    with jax.enable_x64():
        F = jax.lax.complex(normal(0, 2, 9, 9), normal(1, 2, 9, 9))
        expected = np.einsum("ruv,auv->ra", F, fourier_to_sh_table(3, 4)).real
        assert_close(fourier_to_sh(F, 3), expected, 1e-13)


def test_products_of_series():
    with jax.enable_x64():
        F1, F2 = sh_to_fourier(normal(0, 2, 16)), sh_to_fourier(normal(1, 2, 9))
        direct, fast = fourier_product(F1, F2), fourier_product(F1, F2, fft=True)
        assert direct.shape == (2, 11, 11)
        assert_close(direct.real, fast.real, 1e-13)
        expected = np.zeros((11, 11), complex)
        for u, v in np.ndindex(5, 5):
            expected[u : u + 7, v : v + 7] += F2[1, u, v] * np.asarray(F1[1])
        assert_close(direct[1].imag, expected.imag, 1e-13)


@pytest.mark.parametrize("lmax", [0, 1, 3])
def test_torus_values(lmax):
    with jax.enable_x64():
        x = normal(0, 2, num_coefficients(lmax))
        size = 2 * lmax + 3
        values = jax.jit(lambda x: to_torus(half_series(x), size))(x)
        angles = 2 * np.pi * np.arange(size) / size
        theta, phi = np.meshgrid(angles, angles, indexing="ij")
        Y = jax.jit(lambda theta, phi: spherical_harmonics_angles(lmax, theta, phi))(theta, phi)
        assert_close(values, np.einsum("uva,ra->uvr", Y, x), 1e-13)
        assert_close(jax.jit(lambda values: from_half_series(from_torus(values, lmax, lmax), lmax))(values), x, 1e-13)
        assert_gradients(lambda x: from_half_series(from_torus(to_torus(half_series(x), size) ** 2, lmax, lmax), lmax), x)


# --- Radial functions and neighbours ---


def test_radial_functions_at_their_ends():
    with jax.enable_x64():
        r = np.array([0.0, 1e-9, 2.5, 5.0, 6.0])
        basis = np.asarray(jax.jit(lambda r: bessel_basis(r, 5.0))(r))
        assert_close(basis[0], basis[1], 1e-8)
        assert_close(basis[2], np.sqrt(2 / 5) * np.sin(np.arange(1, 9) * np.pi / 2) / 2.5, 1e-12)
        assert_gradients(lambda r: bessel_basis(r, 5.0), np.array([0.5, 2.0]))
        assert np.isfinite(jax.jit(jax.grad(lambda r: bessel_basis(r, 5.0).sum()))(0.0))
        envelope = jax.device_get(jax.jit(jax.vmap(jax.value_and_grad(lambda r: polynomial_cutoff(r, 5.0))))(r))
        assert_close(envelope[0][[0, 3, 4]], [1.0, 0.0, 0.0], 1e-12)
        np.testing.assert_allclose(envelope[1][[0, 3, 4]], 0, atol=1e-12)
        curvature = jax.jit(jax.grad(jax.grad(lambda r: polynomial_cutoff(r, 5.0))))(5.0 - 1e-6)
        assert abs(float(curvature)) < 1e-4


def test_neighbours_match_all_pairs():
    positions = np.asarray(normal(0, 9, 3)) * np.float32(1.5)
    capacity = most_neighbours(positions[None], 2.0)

    @partial(jax.jit, static_argnums=1)
    def neighbours(positions, capacity):
        near = neighbour_list(positions, 2.0, capacity)
        return near, edge_vectors(positions, near)

    near, vectors = jax.device_get(neighbours(positions, capacity))
    distance = np.linalg.norm(positions[:, None] - positions, axis=-1)
    for i in range(9):
        expected = {j for j in range(9) if j != i and distance[i, j] < 2}
        assert {int(j) for j in near.index[i][near.mask[i]]} == expected
    assert int(near.overflow) == 0
    lost, _ = neighbours(positions, max(1, capacity - 1))
    assert int(lost.overflow) == sum(max(0, int(row.sum()) - 1 - max(1, capacity - 1)) for row in distance < 2)
    assert_close(np.linalg.norm(vectors, axis=-1)[near.mask], distance[np.arange(9)[:, None], near.index][near.mask], 1e-5)
    np.testing.assert_array_equal(vectors[~near.mask], 0)


def test_neighbours_of_padded_frames():
    frames = normal(1, 2, 6, 3)
    present = jnp.array([[True] * 6, [True] * 4 + [False] * 2])
    near = jax.jit(jax.vmap(lambda x, p: neighbour_list(x, 9.0, 5, p)))(frames, present)
    assert near.index.dtype == jnp.int32
    assert near.mask[1].sum(1).tolist() == [3, 3, 3, 3, 0, 0]
    assert most_neighbours(np.asarray(frames), 9.0, np.asarray(present)) == 5
    assert not bool(jnp.isin(near.index[1][near.mask[1]], jnp.array([4, 5])).any())


def test_an_atom_that_is_nowhere_is_not_lost():
    """A position that is not finite reaches the vectors of all atoms, where an isolated atom would leave a plausible energy."""
    with jax.debug_nans(False):
        positions = np.array([[0.0, 0, 0], [1, 0, 0], [9, 0, 0], [0, np.nan, 0]], np.float32)
        neighbours = jax.jit(lambda positions, present: neighbour_list(positions, 2.0, 2, present))
        near = neighbours(positions, None)
        assert near.index[:3, 0].tolist() == [3, 3, 3] and near.mask[:3, 0].all()
        assert np.isnan(jax.jit(edge_vectors)(positions, near)).any((1, 2)).all()
        harmonics, length = jax.jit(lambda r: (spherical_harmonics(2, r), normalize(r)[1]))(positions[3])
        assert np.isnan(harmonics[1:]).all() and np.isnan(length)
        assert np.isnan(polynomial_cutoff(jnp.array(np.nan), 2.0))
        padded = neighbours(positions, np.array([True, True, True, False]))
    assert not bool((padded.mask & (padded.index == 3)).any())


# --- Inputs at the edge ---

POINTS = np.array([[0.3, -1.2, 0.7], [1.1, 0.4, -0.2]])
FUNCTIONS = pytest.mark.parametrize(
    ("function", "x"),
    [
        (lambda x: normalize(x), POINTS),
        (lambda x: spherical_harmonics(3, x), POINTS),
        (lambda x: align_to_pole(jnp.ones((*x.shape[:-1], 9), x.dtype) * 0.3, x), POINTS),
        (lambda x: align_from_pole(x, jnp.ones((*x.shape[:-1], 3), x.dtype)), np.ones((2, 4)) * [[0.3, -1.0, 0.5, 2.0]]),
        (lambda x: wigner_d(2, x), np.eye(3) + 0.1),
        (lambda x: bessel_basis(x, 2.0, 3), np.array([0.4, 1.1])),
        (lambda x: polynomial_cutoff(x, 2.0), np.array([0.4, 1.1])),
        (lambda x: to_grid(x, 2), np.ones((2, 4)) * [[0.3, -1.0, 0.5, 2.0]]),
        (lambda x: from_grid(x, 1, 1), np.array([[0.3, -1.0]])),
        (lambda x: from_grid_separable(to_grid_separable(x, 2), 1, 2), np.array([[0.3, -1.0, 0.5, 2.0]])),
        (lambda x: fourier_to_sh(sh_to_fourier(x), 1), np.array([[0.3, -1.0, 0.5, 2.0]])),
        (lambda x: edge_vectors(x, neighbour_list(x, 2.0, 1)), POINTS),
    ],
    ids=[
        *("normalize", "harmonics", "align", "align back", "wigner", "bessel", "cutoff", "grid", "from grid", "separable"),
        *("fourier", "edges"),
    ],
)


@FUNCTIONS
def test_degenerate_inputs_and_dtypes(function, x):
    assert_degenerate(function, x)
    assert_dtypes(jax.jit(function), x)


def test_directions_of_vectors_of_any_length():
    """Squares of lengths of 1e-25 and 1e25 are no float32 numbers."""
    r = np.asarray(POINTS, np.float32)

    @jax.jit
    def found(r):
        return spherical_harmonics(3, r), normalize(r)[1], jax.jacobian(lambda r: spherical_harmonics(2, r))(r[0])

    harmonics, length, slope = found(r)
    for size in np.float32([1e-25, 1e25]):
        others = found(size * r)
        assert_close(others[0], harmonics, 1e-5)
        assert_close(others[1] / size, length, 1e-6)
        assert_close(others[2] * size, slope, 1e-5)


def test_alignment_takes_vectors_of_any_length():
    x, r = normal(0, 2, 9), jnp.asarray(POINTS, jnp.float32)
    assert_close(align_to_pole(x, 5 * r), align_to_pole(x, normalize(r)[0]), 1e-6)
    assert_close(align_to_pole(x, 0 * r), x, 1e-6)


def test_radial_functions_close_to_zero_and_of_integers(as_installed):
    curvature = jax.jit(jax.grad(jax.grad(lambda r: bessel_basis(r, 5.0, 1)[0])))
    assert float(curvature(1e-6)) == pytest.approx(-((2 / 5) ** 0.5) * (np.pi / 5) ** 3 / 3, rel=1e-5)
    r = np.array([1e-6, 1e-3, 0.49, 0.51, 2.0, 9.0])
    assert_matches_float64(lambda r: jax.vmap(jax.grad(jax.grad(sinc)))(r), r)
    assert_close(bessel_basis(jnp.array([1, 2]), 5.0), bessel_basis(jnp.array([1.0, 2.0]), 5.0), 0)
    near = jnp.float32(5) * (1 - jnp.float32(2) ** -10)  # where terms of size 20 would cancel
    with jax.enable_x64():
        exact = polynomial_cutoff(jnp.asarray(near, jnp.float64), 5.0)
    assert_close(polynomial_cutoff(near, 5.0), exact, 1e-3)


def test_distances_that_are_closed_over():
    """Gradients mapped over parameters, with distances below the cutoff closed over.

    With `jnp.where(r < 1, r, 0)` for a cutoff, XLA's answer is off by 3.6 of 8.5 from the second set of parameters on (jaxlib
    0.10.2 on a CPU).
    """
    r, w = jnp.linspace(0.2, 0.9, 16384), jax.random.normal(jax.random.key(0), (3, 2))

    def force(w, r):
        def energy(r):
            return jnp.sum(jnp.sin((bessel_basis(r, 1.0, 2) * polynomial_cutoff(r, 1.0)[:, None]) @ w))

        return jax.grad(energy)(r)

    assert_close(jax.jit(jax.vmap(lambda w: force(w, r)))(w), jax.jit(jax.vmap(force, (0, None)))(w, r), 1e-5)


def test_tables_are_read_only():
    for table in (
        real_clebsch_gordan(1, 1, 2),
        gaunt(1, 1, 1),
        sphere_grid(2).weights,
        to_grid_matrix(1, 2),
        polar_series(2),
    ):
        with pytest.raises(ValueError, match="read-only"):
            table[...] = 0
