"""Codebooks of scalars, and codes without gradients."""

from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quire.common.quant.coordinate_descent import coordinate_descent
from quire.common.quant.scalar_codebooks import FEW, MOST_EXACT, assign_1d, kmeans_1d, kmeans_1d_exact


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def cost_of_partitions(x, k, weights):
    """Every way to cut the sorted numbers."""
    order = np.argsort(x)
    x, weights = x[order], weights[order]
    costs = []
    for cuts in combinations(range(1, len(x)), k - 1):
        parts = np.split(x, cuts), np.split(weights, cuts)
        costs.append(sum((w * (p - np.average(p, weights=w)) ** 2).sum() for p, w in zip(*parts, strict=True)))
    return min(costs)


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_the_exact_program_finds_the_best_of_all_partitions(k):
    x, weights = numbers(9), np.random.default_rng(1).uniform(0.1, 2, 9)
    np.testing.assert_allclose(kmeans_1d_exact(x, k, weights=weights).cost, cost_of_partitions(x, k, weights), rtol=1e-12)
    np.testing.assert_allclose(kmeans_1d_exact(x, k).cost, cost_of_partitions(x, k, np.ones(9)), rtol=1e-12)


def test_whole_weights_count_as_repetitions():
    x, counts = numbers(7), np.array([1, 2, 3, 1, 1, 4, 2])
    repeated, weighted = kmeans_1d_exact(np.repeat(x, counts), 3), kmeans_1d_exact(x, 3, weights=counts)
    np.testing.assert_allclose(repeated.centres, weighted.centres, rtol=1e-12)


@pytest.mark.parametrize("k", [2, 5, 16])
def test_many_numbers_are_clustered_nearly_as_well_as_can_be(k):
    x = numbers(3 * FEW) ** 3
    found, best = kmeans_1d(x, k), kmeans_1d_exact(x, k)
    assert best.cost <= found.cost * (1 + 1e-12)
    assert found.cost <= 1.02 * best.cost
    assert (np.diff(found.centres) > 0).all()


def test_an_offset_moves_the_centres_and_nothing_else():
    x = numbers(64)
    near, far = kmeans_1d_exact(x, 4), kmeans_1d_exact(x + 1e6, 4)
    np.testing.assert_allclose(far.centres - 1e6, near.centres, atol=1e-8)
    np.testing.assert_allclose(far.cost, near.cost, rtol=1e-6)


@pytest.mark.parametrize("cluster", [kmeans_1d, kmeans_1d_exact])
def test_fewer_numbers_than_centres_repeat_the_largest(cluster):
    found = cluster(np.array([2.0, 1.0, 2.0]), 4)
    assert found.centres.tolist() == [1.0, 2.0, 2.0, 2.0]
    assert found.cost == 0


def test_dtypes_of_centres():
    assert kmeans_1d(numbers(9).astype(np.float32), 2).centres.dtype == np.float32
    assert kmeans_1d(jnp.asarray(numbers(9), jnp.bfloat16), 2).centres.dtype == jnp.bfloat16
    assert kmeans_1d(np.array([1, 2, 200], np.uint8), 2).centres.tolist() == [1.5, 200.0]


def test_assignment_is_to_the_nearest():
    x, centres = numbers(5, 6), np.sort(numbers(4, seed=2))
    nearest = np.abs(x[..., None] - centres).argmin(-1)
    assert np.array_equal(jax.jit(assign_1d)(x, centres), nearest)
    assert np.array_equal(assign_1d(x, centres[:1]), np.zeros_like(nearest))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: kmeans_1d(np.zeros(3), 0), "k is 0"),
        (lambda: kmeans_1d(np.zeros(0), 1), "x has 0 numbers"),
        (lambda: kmeans_1d(np.array([1.0, np.nan]), 1), "1 of them finite"),
        (lambda: kmeans_1d(np.ones(3), 1, weights=np.zeros(3)), "weights has 3"),
        (lambda: kmeans_1d(np.ones(3), 1, weights=np.array([1.0, -1.0, 1.0])), "none negative"),
        (lambda: kmeans_1d(np.ones(3), 5, bins=8), "bins is 8"),
        (lambda: kmeans_1d_exact(np.arange(MOST_EXACT + 1.0), 2), f"takes {MOST_EXACT}"),
        (lambda: assign_1d(np.ones(3), np.ones((2, 2))), "centres has shape"),
        (lambda: coordinate_descent(np.ones((2, 3)), np.eye(2), np.ones(2)), r"\(2, 3\), \(2, 2\)"),
        (lambda: coordinate_descent(np.ones((2, 3)), np.eye(3), np.ones(2), sweeps=0), "sweeps is 0"),
        (lambda: coordinate_descent(np.ones((2, 3)), np.eye(3), np.ones(2), codes=np.full((2, 3), 2)), "codes runs"),
        (lambda: coordinate_descent(np.ones((2, 3)), np.eye(3), np.ones(2), codes=np.zeros((3, 2), int)), "codes has shape"),
    ],
)
def test_errors(as_installed, call, words):
    with pytest.raises(ValueError, match=words):
        call()


# --- Coordinate descent ---


def layer(seed=0, rows=3, size=5):
    x = numbers(40, size, seed=seed) @ numbers(size, size, seed=seed + 1)
    return numbers(rows, size, seed=seed + 2), x.T @ x


def test_no_single_change_of_a_code_helps_in_the_end():
    with jax.enable_x64():
        w, gram = layer()
        found = coordinate_descent(w, gram, np.array([-1.2, -0.3, 0.4, 1.3]), sweeps=20, learn_codebook=False)
        codes, book = np.asarray(found.codes), np.asarray(found.codebook)

        def error(codes):
            left = w - book[codes]
            return float(((left @ gram) * left).sum())

        best = error(codes)
        np.testing.assert_allclose(found.errors[-1], best, rtol=1e-10)
        for place in np.ndindex(codes.shape):
            for code in range(len(book)):
                changed = codes.copy()
                changed[place] = code
                assert error(changed) >= best - 1e-9


def test_errors_never_rise_and_the_codebook_is_that_of_least_squares():
    with jax.enable_x64():
        w, gram = layer(4, rows=12)
        found = coordinate_descent(w, gram, np.array([-1.2, -0.3, 0.4, 1.3]), sweeps=12)
        assert (np.diff(found.errors) <= 1e-9).all()
        assert (np.diff(found.codebook) >= 0).all()
        root = np.linalg.cholesky(gram).T
        chosen = np.eye(4)[np.asarray(found.codes)]  # [out, in, k]
        design = np.einsum("ij,ojk->oik", root, chosen).reshape(-1, 4)
        solved = np.linalg.lstsq(design, (w @ root.T).ravel(), rcond=None)[0]
        np.testing.assert_allclose(found.codebook, solved, atol=1e-4)


def test_with_uncorrelated_inputs_it_is_the_nearest_codeword():
    w, book = numbers(4, 6).astype(np.float32), np.array([-1.0, 0.0, 1.0], np.float32)
    found = coordinate_descent(w, np.eye(6, dtype=np.float32), book, learn_codebook=False)
    assert np.array_equal(found.codes, assign_1d(w, book))


def test_unused_codewords_and_dead_inputs_stay():
    gram = np.diag([1.0, 0.0]).astype(np.float32)
    found = coordinate_descent(np.array([[0.1, 0.9]], np.float32), gram, np.array([0.0, 1.0, 50.0], np.float32))
    assert np.isfinite(found.codebook).all()
    assert found.codebook[2] == 50
    assert found.codes.tolist() == [[0, 1]]
    found = coordinate_descent(np.ones((1, 2), np.float32), np.zeros((2, 2), np.float32), np.array([0.0, 1.0], np.float32))
    assert np.isfinite(found.codebook).all()
