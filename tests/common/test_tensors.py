"""Multilinear algebra, sparse tensors, CP by alternating least squares, influence."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quire.common.metrics.influence import last_layer_gradients, tracin
from quire.common.tensors.cp import cp_als, predict
from quire.common.tensors.multilinear import (
    cp_score,
    fold,
    hadamard_moments,
    khatri_rao,
    kron_moments,
    tucker_score,
    unfold,
)
from quire.common.tensors.sparse import SparseTensor, sample_cells, split
from quire.common.testing import assert_degenerate

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def factors():
    return [RNG.normal(size=(size, 3)) for size in (4, 2, 5)]


@pytest.mark.parametrize("mode", [0, 1, 2])
def test_unfolding_of_a_cp_tensor_is_a_factor_times_khatri_rao(factors, mode):
    x = np.einsum("ir,jr,kr->ijk", *factors)
    others = [f for i, f in enumerate(factors) if i != mode]
    np.testing.assert_allclose(
        unfold(jnp.asarray(x), mode), factors[mode] @ np.asarray(khatri_rao(others)).T, rtol=1e-4, atol=1e-5
    )
    np.testing.assert_array_equal(fold(unfold(jnp.asarray(x), mode), mode, x.shape), jnp.asarray(x))


def test_scores_are_entries(factors):
    core = RNG.normal(size=(3, 3, 3))
    index = np.array([[0, 1, 4], [3, 0, 2]])
    rows = [f[index[:, i]] for i, f in enumerate(factors)]
    x = np.einsum("ir,jr,kr->ijk", *factors)
    y = np.einsum("abc,ia,jb,kc->ijk", core, *factors)
    np.testing.assert_allclose(cp_score(*map(jnp.asarray, rows)), x[tuple(index.T)], rtol=1e-5)
    np.testing.assert_allclose(tucker_score(jnp.asarray(core), *map(jnp.asarray, rows)), y[tuple(index.T)], rtol=1e-4)
    everywhere = tucker_score(jnp.asarray(core), factors[0][:, None, None], factors[1][:, None], factors[2])
    np.testing.assert_allclose(everywhere, y, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(tucker_score(jnp.eye(3), rows[0], rows[1]), cp_score(rows[0], rows[1]), rtol=1e-5)


def test_moments_of_products_are_those_of_samples():
    means = [np.array([1.0, -0.5]), np.array([0.3, 2.0])]
    roots = [RNG.normal(size=(2, 2)) * 0.5 for _ in means]
    samples = [m + RNG.normal(size=(200_000, 2)) @ r.T for m, r in zip(means, roots, strict=True)]
    covariances = [jnp.asarray(r @ r.T) for r in roots]
    kron = (samples[0][:, :, None] * samples[1][:, None]).reshape(-1, 4)
    for moments, z in ((kron_moments, kron), (hadamard_moments, samples[0] * samples[1])):
        first, second = moments([jnp.asarray(m) for m in means], covariances)
        np.testing.assert_allclose(first, z.mean(0), atol=0.02)
        np.testing.assert_allclose(second, z.T @ z / len(z), atol=0.1)


def test_multilinear_algebra_refuses_what_does_not_fit():
    x = jnp.ones((2, 3))
    for call in (
        lambda: unfold(x, 2),
        lambda: fold(x, 0, (3, 2)),
        lambda: khatri_rao([]),
        lambda: khatri_rao([x, jnp.ones((2, 2))]),
        lambda: cp_score(x, jnp.ones((2, 2))),
        lambda: tucker_score(jnp.ones((3, 2)), x[0], x[0]),
        lambda: kron_moments([x[0]], [jnp.eye(2)]),
        lambda: hadamard_moments([], []),
    ):
        with pytest.raises(ValueError, match=r"mode|matrix|ranks|core|covariance|means"):
            call()
    assert_degenerate(lambda a, b: cp_score(a, b), x, x)


def test_products_of_bytes_are_no_bytes(as_installed):
    x = np.full((1, 1), 200, np.uint8)
    assert khatri_rao([x, x]).tolist() == [[40000]]
    assert cp_score(x, x).tolist() == [40000] and tucker_score(np.array([[2]], np.int8), x, x).tolist() == [80000]
    with pytest.raises(ValueError, match="matrices"):
        khatri_rao([x[0], x[0]])


def test_sparse_tensors_hold_cells_in_range_and_split_into_disjoint_parts():
    indices = np.stack([np.arange(50) % 7, np.arange(50) % 3, np.arange(50) % 5], axis=1)
    x = SparseTensor.of(indices, np.arange(50.0))
    assert x.dims == (7, 3, 5) and len(x) == 50
    parts = split(x, (0.72, 0.18, 0.1), jax.random.key(1))
    assert [len(p) for p in parts] == [36, 9, 5] and all(p.dims == x.dims for p in parts)
    assert sorted(np.concatenate([p.values for p in parts])) == list(range(50))
    np.testing.assert_array_equal(parts[1].indices, indices[parts[1].values.astype(int)])  # cells stay with their values
    for bad in (indices - 1, indices.astype(float), indices[:, :2]):
        with pytest.raises(ValueError, match="indices"):
            SparseTensor(bad, np.ones(50), (7, 3, 5))
    for values in (np.ones(49), np.full(50, np.nan)):
        with pytest.raises(ValueError, match="values"):
            SparseTensor(indices, values, (7, 3, 5))
    for fractions in ((0.5, 0.6), (1.0, 0.0), (0.999, 0.001)):
        with pytest.raises(ValueError, match=r"fractions|parts"):
            split(x, fractions, jax.random.key(0))


def test_cells_are_drawn_by_each_modes_probabilities():
    p = [np.array([1.0, 3.0]), np.array([0.0, 1.0, 1.0])]
    cells = np.asarray(sample_cells(p, 4000, jax.random.key(0)))
    assert abs(cells[:, 0].mean() - 0.75) < 0.03 and set(cells[:, 1]) == {1, 2}
    assert abs(np.corrcoef(cells.T)[0, 1]) < 0.05  # independent modes
    assert sample_cells(p, 0, jax.random.key(0)).shape == (0, 2)
    for bad in ([np.zeros(2)], [np.array([-1.0, 2.0])], [np.array([np.nan, 1.0])], []):
        with pytest.raises(ValueError, match=r"probabilities|modes"):
            sample_cells(bad, 1, jax.random.key(0))


def test_cp_als_finds_a_tensor_of_low_rank_from_half_of_its_cells(factors):
    x = np.einsum("ir,jr,kr->ijk", *[f[:, :2] for f in factors])
    cells = np.argwhere(np.ones_like(x))
    seen = RNG.permutation(len(cells))[:32]
    objective = []
    for sweeps in (1, 5, 200):
        found = cp_als(cells[seen], x[tuple(cells[seen].T)], x.shape, 2, 1e-3, key=jax.random.key(3), sweeps=sweeps)
        error = predict(found, cells[seen]) - x[tuple(cells[seen].T)]
        objective.append(float(jnp.sum(error**2) + 1e-3 * sum(jnp.sum(f**2) for f in found)))
    assert objective[0] > objective[1] > objective[2] and objective[2] < 0.05 * (x[tuple(cells[seen].T)] ** 2).sum()


def test_one_mode_of_cp_als_is_ridge_regression():
    values = np.array([1.0, 3.0, 5.0])
    (factor,) = cp_als(np.array([[0], [0], [1]]), values, (3,), 1, 0.5, key=jax.random.key(0), sweeps=1)
    np.testing.assert_allclose(factor[:, 0], [4 / 2.5, 5 / 1.5, 0], rtol=1e-6)  # a row without a cell is 0
    for call in (
        lambda: cp_als(np.array([[3]]), values[:1], (3,), 1, 0.5, key=jax.random.key(0)),
        lambda: cp_als(np.array([[0]]), values, (3,), 1, 0.5, key=jax.random.key(0)),
        lambda: cp_als(np.array([[0]]), values[:1], (3,), 1, 0.0, key=jax.random.key(0)),
        lambda: predict((factor,), np.array([[7]])),
    ):
        with pytest.raises(ValueError, match=r"indices|ridge"):
            call()


def test_influence_is_the_first_order_effect_of_a_step():
    hidden, weights, targets = RNG.normal(size=(6, 4)), RNG.normal(size=4), RNG.normal(size=6)
    with jax.enable_x64():
        gradients = last_layer_gradients(jnp.asarray(hidden @ weights - targets), jnp.asarray(hidden))
        loss = lambda w, rows: jnp.sum((jnp.asarray(hidden)[rows] @ w - targets[rows]) ** 2) / 2  # noqa: E731
        np.testing.assert_allclose(gradients[1], jax.grad(loss)(jnp.asarray(weights), np.array([1])), rtol=1e-12)
        others = np.array([3, 4, 5])
        scores = tracin(gradients[:3], gradients[others].sum(0), 1e-6)
        gains = [loss(weights, others) - loss(weights - 1e-6 * gradients[i], others) for i in range(3)]
        np.testing.assert_allclose(scores, gains, rtol=1e-3)
        stacked = tracin(jnp.stack([gradients, 2 * gradients]), jnp.stack([gradients[0], gradients[1]]), jnp.array([0.1, 0.2]))
        np.testing.assert_allclose(stacked, 0.1 * gradients @ gradients[0] + 0.4 * gradients @ gradients[1], rtol=1e-12)
    assert tracin(jnp.ones((0, 4)), jnp.ones(4)).shape == (0,)
    with pytest.raises(ValueError, match="others"):
        tracin(gradients, gradients)
    with pytest.raises(ValueError, match="residual"):
        last_layer_gradients(jnp.ones(2), jnp.ones((3, 1)))


def test_cells_are_drawn_inside_jit():
    cells = jax.jit(lambda p: sample_cells([p], 3, jax.random.key(0)))(jnp.array([0.0, 1.0]))
    assert cells.tolist() == [[1], [1], [1]]
