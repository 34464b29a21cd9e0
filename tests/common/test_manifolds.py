"""Orthogonal matrices and subspaces: every map lands on its manifold, and the tools of a subspace agree with each other."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.linalg import subspace_angles

from quire.common.manifolds import grassmann
from quire.common.manifolds.orthogonal import cayley_orthogonal, expm_orthogonal, procrustes, skew
from quire.common.train.rsgd import retracted, rsgd

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64():
        yield


def bases(*batch, d=6, k=2):
    return jnp.asarray(np.linalg.qr(RNG.normal(size=(*batch, d, k)))[0])


def tangents(basis, size=1.0):
    return size * grassmann.project_tangent(basis, jnp.asarray(RNG.normal(size=basis.shape)))


def t(x):
    return jnp.swapaxes(x, -1, -2)


def identity_like(basis):
    return np.broadcast_to(np.eye(basis.shape[-1]), (*basis.shape[:-2], basis.shape[-1], basis.shape[-1]))


# --- Orthogonal matrices ---


@pytest.mark.parametrize("form", [expm_orthogonal, cayley_orthogonal])
def test_free_parameters_give_rotations(form):
    a = jnp.asarray(RNG.normal(size=(3, 4, 4)))
    q = form(a)
    np.testing.assert_allclose(q @ t(q), identity_like(q), atol=1e-12)
    np.testing.assert_allclose(jnp.linalg.det(q), 1, atol=1e-12)
    np.testing.assert_array_equal(form(jnp.zeros((4, 4))), np.eye(4))
    np.testing.assert_array_equal(form(a + 5 * jnp.triu(jnp.ones((4, 4)))[None]), q)  # only the lower triangle counts
    small = form(jnp.asarray([[0.0, 0.0], [1e-4, 0.0]]))
    np.testing.assert_allclose(small[0, 1], -1e-4 if form is expm_orthogonal else 2e-4, rtol=1e-6)


def test_rotations_are_reached_by_their_generator(as_installed):
    s = np.asarray(skew(jnp.asarray(RNG.normal(size=(3, 3)))))
    np.testing.assert_array_equal(s, -s.T)
    values, vectors = np.linalg.eig(s)
    expected = (vectors * np.exp(values) @ np.linalg.inv(vectors)).real
    np.testing.assert_allclose(expm_orthogonal(jnp.asarray(s)), expected, atol=1e-12)
    with pytest.raises(ValueError, match="square"):
        skew(jnp.ones((2, 3)))


def test_procrustes_finds_the_map_and_nothing_is_better():
    a, q = jnp.asarray(RNG.normal(size=(9, 4))), expm_orthogonal(jnp.asarray(RNG.normal(size=(4, 4))))
    np.testing.assert_allclose(procrustes(a, a @ q), q, atol=1e-12)
    b = a @ q + 0.3 * jnp.asarray(RNG.normal(size=(9, 4)))
    best = procrustes(a, b)
    np.testing.assert_allclose(best @ best.T, np.eye(4), atol=1e-12)
    for seed in range(5):
        other = best @ expm_orthogonal(0.1 * jax.random.normal(jax.random.key(seed), (4, 4)))
        assert jnp.linalg.norm(a @ best - b) < jnp.linalg.norm(a @ other - b)
    with pytest.raises(ValueError, match="m at least 1"):
        procrustes(a[:0], a[:0])


# --- Subspaces ---

RETRACTIONS = {
    "exp": lambda s, g: grassmann.exp(s, g),
    "exp by the Gram matrix": lambda s, g: grassmann.exp_by_gram(s, g),
    "QR": lambda s, g: grassmann.qr_retract(s + g),
    "polar": lambda s, g: grassmann.polar_retract(s + g),
    "Cholesky": lambda s, g: grassmann.cholesky_retract(s + g),
}


@pytest.mark.parametrize("name", RETRACTIONS)
@pytest.mark.parametrize(("d", "k"), [(6, 2), (5, 1), (3, 3)])
def test_retractions_stay_on_the_manifold_and_leave_with_the_tangent(name, d, k):
    move, s = RETRACTIONS[name], bases(2, d=d, k=k)
    g = tangents(s)
    end = move(s, g)
    np.testing.assert_allclose(t(end) @ end, identity_like(end), atol=1e-12)
    np.testing.assert_allclose(move(s, 0 * g), s, atol=1e-12)
    velocity = (move(s, 1e-5 * g) - move(s, -1e-5 * g)) / 2e-5
    np.testing.assert_allclose(velocity, g, atol=1e-8)


def test_geodesics():
    s = bases(2)
    g = tangents(s, 0.4)
    end = grassmann.exp(s, g, 0.7)
    np.testing.assert_allclose(grassmann.exp_by_gram(s, g, 0.7), end, atol=1e-12)
    np.testing.assert_allclose(grassmann.distance(s, end), 0.7 * jnp.linalg.norm(g, axis=(-2, -1)), atol=1e-10)
    np.testing.assert_allclose(grassmann.log(s, end), 0.7 * g, atol=1e-10)
    back = grassmann.exp(end, -grassmann.transport(s, g, g, 0.7), 0.7)
    np.testing.assert_allclose(back, s, atol=1e-10)


def test_nothing_depends_on_the_basis():
    a, b = bases(), bases()
    turn = expm_orthogonal(jnp.asarray(RNG.normal(size=(2, 2))))
    np.testing.assert_allclose(grassmann.principal_angles(a @ turn, b), grassmann.principal_angles(a, b), atol=1e-12)
    np.testing.assert_allclose(grassmann.log(a @ turn, b), grassmann.log(a, b) @ turn, atol=1e-10)
    g = tangents(a)
    np.testing.assert_allclose(grassmann.exp(a @ turn, g @ turn), grassmann.exp(a, g) @ turn, atol=1e-12)


@pytest.mark.parametrize("size", [1.0, 1e-9])
def test_angles_are_those_of_scipy_also_when_small(size):
    a = bases(d=7, k=3)
    b = grassmann.exp(a, tangents(a, size))
    np.testing.assert_allclose(grassmann.principal_angles(a, b), subspace_angles(np.asarray(a), np.asarray(b))[::-1], rtol=1e-6)


def test_transport_keeps_lengths_and_stays_tangent():
    s = bases(2)
    g, m = tangents(s), tangents(s)
    moved = grassmann.transport(s, g, m, 0.8)
    np.testing.assert_allclose(t(grassmann.exp(s, g, 0.8)) @ moved, 0, atol=1e-12)
    np.testing.assert_allclose(jnp.linalg.norm(moved), jnp.linalg.norm(m), rtol=1e-12)


def test_retraction_keeps_the_way_columns_point():
    basis = bases()
    np.testing.assert_allclose(grassmann.qr_retract(-3 * basis), -basis, atol=1e-12)


def test_every_retraction_keeps_the_subspace():
    columns = jnp.asarray(RNG.normal(size=(2, 6, 3)))
    expected = grassmann.projector(bases(2, k=3) * 0 + jnp.linalg.qr(columns)[0])
    for retract in (grassmann.qr_retract, grassmann.polar_retract, grassmann.cholesky_retract):
        np.testing.assert_allclose(grassmann.projector(retract(columns)), expected, atol=1e-12)
    np.testing.assert_allclose(grassmann.cholesky_retract(columns), grassmann.qr_retract(columns), atol=1e-12)
    gram = jnp.linalg.inv(t(columns) @ columns)
    np.testing.assert_allclose(expected, columns @ gram @ t(columns), atol=1e-12)


def test_random_subspaces_favour_no_direction(as_installed):
    s = grassmann.random_subspaces(jax.random.key(0), (4000, 5, 2))
    np.testing.assert_allclose(t(s) @ s, identity_like(s), atol=1e-12)
    np.testing.assert_allclose(grassmann.projector(s).mean(0), 2 / 5 * np.eye(5), atol=0.02)
    for shape in ((3, 4), (4, 0), (4,)):
        with pytest.raises(ValueError, match="shape is"):
            grassmann.random_subspaces(jax.random.key(0), shape)


# --- Descent ---


@pytest.mark.parametrize("transport_momentum", [False, True])
def test_descent_finds_the_leading_subspace(transport_momentum):
    """The trace of `S^T A S` is largest on the eigenvectors of the largest eigenvalues."""
    vectors = np.linalg.qr(RNG.normal(size=(6, 6)))[0]
    matrix = jnp.asarray(vectors * np.array([9.0, 8.0, 1.0, 0.5, 0.2, 0.1]) @ vectors.T)
    optimiser = rsgd(0.02, 0.8, reorth_every=7, transport_momentum=transport_momentum)
    bases_ = {"w": bases()}

    def step(carry, _):
        params, state = carry
        gradient = jax.grad(lambda p: -jnp.trace(p["w"].T @ matrix @ p["w"]))(params)
        updates, state = optimiser.update(gradient, state, params)
        return (optax.apply_updates(params, updates), state), None

    (params, state), _ = jax.lax.scan(step, (bases_, optimiser.init(bases_)), None, length=120)
    found = params["w"]
    np.testing.assert_allclose(found.T @ found, np.eye(2), atol=1e-12)
    assert grassmann.distance(found, jnp.asarray(vectors[:, :2])) < 1e-3
    assert state.count == 120


def test_first_step_is_the_geodesic_of_the_gradient():
    s = bases()
    direction = jnp.asarray(RNG.normal(size=s.shape))
    optimiser = rsgd(optax.constant_schedule(0.3), 0.9, dampening=0.5, reorth_every=100)
    updates, state = optimiser.update(direction, optimiser.init(s), s)
    expected = grassmann.qr_retract(grassmann.exp(s, -grassmann.project_tangent(s, direction), 0.3))
    np.testing.assert_allclose(s + updates, expected, atol=1e-12)
    np.testing.assert_array_equal(state.momentum, direction)  # not dampened
    moved = s + updates
    second, state = optimiser.update(direction, state, moved)
    np.testing.assert_allclose(state.momentum, 1.4 * direction)
    expected = grassmann.exp(moved, -grassmann.project_tangent(moved, 1.4 * direction), 0.3)
    np.testing.assert_allclose(moved + second, expected, atol=1e-12)


def test_descent_refuses():
    for name, value in (("momentum", 1.0), ("dampening", 2.0), ("reorth_every", 0)):
        with pytest.raises(ValueError, match=name):
            rsgd(0.1, **{name: value})
    with pytest.raises(ValueError, match="parameters"):
        rsgd(0.1).update(jnp.ones((3, 1)), rsgd(0.1).init(jnp.ones((3, 1))))
    with pytest.raises(ValueError, match="parameters"):
        retracted(optax.sgd(0.1)).update(jnp.ones((3, 1)), optax.EmptyState())


def test_steps_of_another_kind():
    s, direction = bases(), jnp.asarray(RNG.normal(size=(6, 2)))
    step = grassmann.project_tangent(s, direction)
    by_qr = rsgd(0.3, 0.0, move=lambda s, g, t: grassmann.qr_retract(s + t * g))
    np.testing.assert_allclose(s + by_qr.update(direction, by_qr.init(s), s)[0], grassmann.qr_retract(s - 0.3 * step), atol=1e-12)
    by_gram = rsgd(0.3, 0.0, move=grassmann.exp_by_gram)
    expected = grassmann.exp(s, -step, 0.3)
    np.testing.assert_allclose(s + by_gram.update(direction, by_gram.init(s), s)[0], expected, atol=1e-12)
    blind = retracted(optax.sgd(0.3))
    updates, _ = blind.update(direction, blind.init(s), s)
    np.testing.assert_allclose(s + updates, grassmann.qr_retract(s - 0.3 * direction), atol=1e-12)


def test_padded_subspaces_move_as_they_do_alone():
    """A basis of two columns, padded by zeros to four, takes the steps that it takes by itself."""
    s, directions = bases(), jnp.asarray(RNG.normal(size=(3, 6, 2)))

    def wide(x):
        return jnp.pad(x, ((0, 0), (0, 2)))

    tx, narrow, padded = rsgd(0.2, 0.9, reorth_every=2), s, wide(s)
    state, wide_state = tx.init(narrow), tx.init(padded)
    for direction in directions:
        updates, state = tx.update(direction, state, narrow)
        wide_updates, wide_state = tx.update(wide(direction), wide_state, padded)
        narrow, padded = narrow + updates, padded + wide_updates
        np.testing.assert_allclose(padded[:, :2], narrow, atol=1e-12)
        np.testing.assert_array_equal(padded[:, 2:], 0)


def test_angles_have_slopes_where_subspaces_meet_or_are_orthogonal():
    here, across = jnp.eye(4, dtype=jnp.float32)[:, :2], jnp.eye(4, dtype=jnp.float32)[:, 2:]
    for other in (here, across):
        for function in (grassmann.distance, lambda a, b: grassmann.principal_angles(a, b).sum()):
            assert np.isfinite(jax.grad(function, 1)(here, other)).all()
    np.testing.assert_allclose(grassmann.principal_angles(here, across), [np.pi / 2] * 2, rtol=1e-6)
    assert grassmann.distance(here, here) == 0


def test_procrustes_of_half_precision_and_of_other_rows(as_installed):
    a = jnp.asarray(np.random.default_rng(0).normal(size=(5, 2)), jnp.bfloat16)
    found = procrustes(a, a[:, ::-1])
    np.testing.assert_allclose(found, [[0, 1], [1, 0]], atol=1e-6)
    with pytest.raises(ValueError, match="row by row"):
        procrustes(a, a[:1])
