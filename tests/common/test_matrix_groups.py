"""Matrix groups: exponentials, logarithms, polar decomposition, derivatives where eigenvalues are equal, invariant measure."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from quire.common.equivariant.matrix_groups import (
    from_polar,
    haar_density_log,
    haar_rotations,
    planar_rotation,
    polar,
    rotation_angle,
    rotation_exp,
    rotation_log,
    sym_exp,
    sym_log,
)
from quire.common.testing import assert_close, assert_degenerate, assert_dtypes, assert_gradients, assert_matches_float64


def rotation(n, seed=0):
    q = np.linalg.qr(np.random.default_rng(seed).standard_normal((n, n)))[0]
    return q * np.array([np.linalg.det(q)] + [1.0] * (n - 1))


def generic(n, seed=0):
    a = 1.5 * np.eye(n) + 0.3 * np.random.default_rng(seed).standard_normal((n, n))
    assert np.linalg.det(a) > 0
    return a


PLACES = {
    "identity": np.eye,
    "rotation": rotation,
    "multiple of a rotation": lambda n: 1.3 * rotation(n, 1),
    "two equal singular values": lambda n: rotation(n) @ np.diag([2.0, 2.0] + [1.0] * (n - 2)),
    "generic": generic,
}


@pytest.mark.parametrize("n", [2, 3, 4])
def test_functions_are_those_of_scipy(n):
    with jax.enable_x64():
        for seed in range(3):
            a = generic(n, seed)
            r, p = scipy.linalg.polar(a, side="left")
            x, found = polar(a)
            assert_close((x, found), (scipy.linalg.logm(p), r), 1e-12)
            assert_close(from_polar(x, found), a, 1e-13)
            assert_close(sym_exp(x), p, 1e-12)
            assert_close(sym_log(p), x, 1e-12)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("n", [2, 3])
def test_derivatives_also_where_eigenvalues_are_equal(n, place):
    a = PLACES[place](n)
    weights = np.random.default_rng(3).standard_normal((2, n, n))

    def value(a):
        s = a @ a.T
        x, r = polar(a)
        exponential, logarithm = sym_exp(s), sym_log(s)
        return jnp.stack([jnp.sum(w * m) for w, m in zip((*weights, *weights), (x, r, exponential, logarithm), strict=True)])

    assert_gradients(value, a, tolerance=1e-5)


def test_second_derivatives_of_2_x_2_at_the_identity():
    assert_gradients(lambda x: sym_exp(x)[0, 1] + sym_log(x @ x)[0, 0] + polar(x)[0][0, 1], np.eye(2), order=2, tolerance=1e-4)


def test_polar_of_ill_conditioned_matrices():
    with jax.enable_x64():
        for n in (2, 3):
            a = rotation(n, 1) @ np.diag([1e6] + [1.0] * (n - 2) + [1e-6]) @ rotation(n, 2)
            x, r = polar(a)
            np.testing.assert_allclose(r @ r.T, np.eye(n), atol=1e-14)
            assert_close(from_polar(x, r), a, 1e-13)
            # the smallest singular value is known to the rounding of the largest
            np.testing.assert_allclose(np.trace(x), 0, atol=1e-3)


def test_half_turns_are_no_exception():
    with jax.enable_x64():
        x, r = polar(np.diag([-2.0, -0.5]))
        np.testing.assert_allclose(x, np.diag(np.log([2, 0.5])), atol=1e-15)
        np.testing.assert_array_equal(r, -np.eye(2))


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_rotation_log_is_an_inverse(n):
    half_turns = np.diag([-1.0] * (2 * (n // 2)) + [1.0] * (n % 2))
    with jax.enable_x64():
        for r in (rotation(n), half_turns, rotation(n) @ half_turns @ rotation(n).T, np.eye(n)):
            log = rotation_log(r)
            np.testing.assert_allclose(log, -log.T, atol=1e-14)
            assert_close(rotation_exp(log), r, 1e-12)


def test_planar_rotations():
    angles = np.array([-3.0, 0.0, 0.1, 3.0], np.float32)
    r = planar_rotation(angles)
    np.testing.assert_allclose(rotation_angle(r), angles, atol=1e-6)
    np.testing.assert_allclose(r[3] @ jnp.array([1.0, 0.0]), [np.cos(3), np.sin(3)], atol=1e-6)


@pytest.mark.parametrize("n", [2, 3])
def test_haar_rotations_have_the_moments_of_uniform_ones(n):
    r = np.asarray(haar_rotations(jax.random.key(0), n, 4000))
    np.testing.assert_allclose(r @ r.transpose(0, 2, 1), np.broadcast_to(np.eye(n), r.shape), atol=1e-5)
    np.testing.assert_allclose(np.linalg.det(r), 1, atol=1e-5)
    np.testing.assert_allclose(r.mean(0), 0, atol=0.05)
    np.testing.assert_allclose((r**2).mean(0), 1 / n, atol=0.03)


@pytest.mark.parametrize("n", [2, 3])
def test_haar_density_is_the_jacobian_of_the_exponential(n):
    """`det(S)^(-(n+1)/2) dS`, by finite differences."""
    draw = np.random.default_rng(0)
    rows, columns = np.triu_indices(n)
    for x in (np.zeros((n, n)), draw.standard_normal((n, n))):
        x = x + x.T
        steps = []
        for i, j in zip(rows, columns, strict=True):
            e = np.zeros((n, n))
            e[i, j] = e[j, i] = 1e-5
            steps.append((scipy.linalg.expm(x + e) - scipy.linalg.expm(x - e))[rows, columns] / 2e-5)
        expected = np.linalg.det(steps) * np.exp(-(n + 1) / 2 * np.trace(x))
        with jax.enable_x64():
            np.testing.assert_allclose(haar_density_log(x), expected, rtol=1e-6)


def test_errors(as_installed):
    with pytest.raises(ValueError, match="determinant -1"):
        polar(np.diag([1.0, -1.0]))
    with pytest.raises(ValueError, match="must be positive"):
        polar(np.zeros((3, 3)))
    with pytest.raises(ValueError, match="eigenvalue -1"):
        sym_log(np.diag([1.0, -1.0]))
    with pytest.raises(ValueError, match=r"\(2, 3\); it must hold square"):
        sym_exp(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="differs from a rotation"):
        rotation_log(2 * np.eye(2))
    with pytest.raises(ValueError, match="is traced"):
        jax.jit(rotation_log)(np.eye(3))
    with pytest.raises(ValueError, match="only rotations of the plane"):
        rotation_angle(np.eye(3))
    with pytest.raises(ValueError, match="matrices of one size"):
        from_polar(np.eye(2), np.eye(3))
    with pytest.raises(ValueError, match="n is 0"):
        haar_rotations(jax.random.key(0), 0, 1)


@pytest.mark.parametrize("n", [2, 3])
def test_traced_matrices_without_a_decomposition_are_nan(n):
    with jax.debug_nans(False):
        x, r = jax.jit(polar)(np.diag([-1.0] + [1.0] * (n - 1)))
    assert np.isnan(x).all()
    assert np.isnan(r).all()


@pytest.mark.parametrize("n", [2, 3])
def test_degenerate_inputs_and_dtypes(n):
    x = np.stack([generic(n), rotation(n)])
    for function in (sym_exp, haar_density_log):
        assert_degenerate(function, x, scales=(1e-30, 10.0))
        assert_dtypes(function, x)
    assert_degenerate(polar, x, scales=(1e-18, 1e6), jit=False)
    assert_matches_float64(polar, np.eye(n) + 0.02 * generic(n))
