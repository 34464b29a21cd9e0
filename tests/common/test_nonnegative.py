"""Nonnegative CP decomposition: one conformance suite for all sweeps; products without unfolding, matching, errors."""

import jax
import numpy as np
import pytest

from quire.common.tensors.multilinear import khatri_rao, unfold
from quire.common.tensors.nonnegative import (
    SWEEPS,
    cp_tensor,
    hals_sweep,
    match_factors,
    mttkrp,
    mu_sweep,
    nonnegative_cp,
    unit_columns,
)
from quire.common.testing import assert_degenerate, assert_dtypes, assert_vmap_consistent

DIMS, RANK = (6, 4, 5), 2
METHODS = tuple(SWEEPS)


@pytest.fixture
def problem():
    """A tensor that is not of low rank, and a start."""
    rng = np.random.default_rng(0)
    return rng.uniform(size=DIMS).astype(np.float32), tuple(rng.uniform(size=(size, RANK)).astype(np.float32) for size in DIMS)


@pytest.mark.parametrize("mode", [0, 1, 2])
def test_mttkrp_is_unfolding_times_khatri_rao(problem, mode):
    x, factors = problem
    others = [f for m, f in enumerate(factors) if m != mode]
    np.testing.assert_allclose(mttkrp(x, factors, mode), unfold(x, mode) @ khatri_rao(others), rtol=1e-5)


# --- Conformance: what every sweep must do ---


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_error_of_what_was_observed_never_rises(problem, method, masked):
    x, start = problem
    mask = np.random.default_rng(1).uniform(size=DIMS) < 0.7 if masked else None
    with jax.enable_x64():
        x, start = x.astype(float), [f.astype(float) for f in start]
        factors, errors = jax.tree.map(np.asarray, nonnegative_cp(x, start, 12, method=method, mask=mask))
        observed = np.ones(DIMS, bool) if mask is None else mask
        rest = np.where(observed, x - np.asarray(cp_tensor(factors)), 0)
        np.testing.assert_allclose(errors[-1], np.linalg.norm(rest) / np.linalg.norm(x[observed]), rtol=1e-9)
        before = np.linalg.norm(np.where(observed, x - np.asarray(cp_tensor(start)), 0)) / np.linalg.norm(x[observed])
    assert (np.diff([before, *errors]) <= 1e-12).all() and errors[-1] < 0.9 * before
    assert all((np.asarray(f) >= 0).all() for f in factors)


@pytest.mark.parametrize("method", METHODS)
def test_mask_of_ones_changes_nothing(problem, method):
    x, start = problem
    plain, masked = (SWEEPS[method](x, start, mask) for mask in (None, np.ones(DIMS, bool)))
    for a, b in zip(plain, masked, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5)


@pytest.mark.parametrize("method", METHODS)
def test_what_is_masked_does_not_matter(problem, method):
    x, start = problem
    mask = np.random.default_rng(1).uniform(size=DIMS) < 0.7
    found = [nonnegative_cp(np.where(mask, x, hidden), start, 2, method=method, mask=mask)[0] for hidden in (np.nan, 9.0)]
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("method", "sweeps"), [("hals", 200), ("mu", 1500)])
def test_exact_recovery(method, sweeps):
    """Of a tensor of low rank with zeros in its factors, also of what was hidden."""
    rng = np.random.default_rng(3)
    truth = [rng.uniform(size=(size, RANK)) * (rng.uniform(size=(size, RANK)) < 0.7) + 0.05 for size in DIMS]
    x = np.asarray(cp_tensor(truth))
    mask = rng.uniform(size=DIMS) < 0.85
    start = [rng.uniform(size=(size, RANK)) for size in DIMS]
    factors, errors = nonnegative_cp(np.where(mask, x, np.nan), start, sweeps, method=method, mask=mask)
    assert errors[-1] < 2e-2
    columns, similarity = match_factors(truth, factors)
    assert sorted(columns) == [0, 1] and similarity.min() > 0.98
    np.testing.assert_allclose(cp_tensor(factors), x, atol=0.06 * x.max())


@pytest.mark.parametrize("method", METHODS)
def test_columns_of_zeros_stay_zero(problem, method):
    """And the others go on as if they were alone: ranks can be compared in one program."""
    x, start = problem
    padded = [np.pad(f, ((0, 0), (0, 1))) for f in start]
    found, errors = nonnegative_cp(x, padded, 3, method=method)
    alone, expected = nonnegative_cp(x, start, 3, method=method)
    np.testing.assert_allclose(errors, expected, rtol=1e-5)
    for a, b in zip(found, alone, strict=True):
        np.testing.assert_allclose(a, np.pad(b, ((0, 0), (0, 1))), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_degenerate_tensors(problem, method):
    x, start = problem
    assert_degenerate(lambda x: SWEEPS[method](x, start), x, axes=(), scales=(1e-12, 1e6), differentiable=False)


@pytest.mark.parametrize("method", METHODS)
def test_dtypes(problem, method):
    x, start = problem
    assert_dtypes(lambda x: SWEEPS[method](x, start), x, tolerance=1e-4, dtypes=("uint8", "bfloat16"))


@pytest.mark.parametrize("method", METHODS)
def test_starts_under_vmap(problem, method):
    x, start = problem
    starts = tuple(np.stack([f, f[::-1]]) for f in start)
    assert_vmap_consistent(lambda *each: nonnegative_cp(x, each, 2, method=method), *starts, tolerance=1e-4)


def test_one_column_is_minimised_exactly(problem):
    """HALS on a matrix and one term: the first factor is the projection on the second."""
    x, start = problem
    a, b = hals_sweep(x[:, :, 0], (start[0][:, :1], start[1][:, :1]))
    first = x[:, :, 0] @ start[1][:, 0] / np.sum(start[1][:, 0] ** 2)
    np.testing.assert_allclose(a[:, 0], first, rtol=1e-5)
    np.testing.assert_allclose(b[:, 0], x[:, :, 0].T @ first / np.sum(first**2), rtol=1e-5)


def test_multiplicative_update_by_its_formula(problem):
    x, (a, b, _) = problem
    x, h = x[:, :, 0], b.T @ b
    first, _ = mu_sweep(x, (a, b))
    np.testing.assert_allclose(first, a * (x @ b) / (a @ h), rtol=1e-5)


# --- Columns and matching ---


def test_unit_columns_keep_the_tensor(problem):
    _, factors = problem
    weights, units = unit_columns(factors)
    assert (np.diff(weights) <= 0).all()
    for unit in units:
        np.testing.assert_allclose(np.linalg.norm(unit, axis=0), 1, rtol=1e-5)
    np.testing.assert_allclose(cp_tensor((units[0] * weights, *units[1:])), cp_tensor(factors), rtol=1e-5)


def test_matching_undoes_permutation_and_scale(problem):
    _, factors = problem
    columns, similarity = match_factors(factors, [3 * f[:, ::-1] for f in factors])
    assert columns.tolist() == [1, 0]
    np.testing.assert_allclose(similarity, 1, rtol=1e-5)
    assert match_factors([np.zeros((3, 1))], [np.ones((3, 2))])[1].tolist() == [0]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x, f: mttkrp(x, f, 3), "mode is 3"),
        (lambda x, f: mttkrp(x, f[:2], 0), "factors have shapes"),
        (lambda x, f: mttkrp(x, [f[0], f[1], f[2][:, :1]], 0), "factors have shapes"),
        (lambda x, f: hals_sweep(x, f, np.ones(DIMS[1:], bool)), "mask has shape"),
        (lambda x, f: nonnegative_cp(-x, f, 1), "x holds a negative number"),
        (lambda x, f: nonnegative_cp(x * np.nan, f, 1), "x holds a negative number or NaN"),
        (lambda x, f: nonnegative_cp(x, [-g for g in f], 1), "start 0 holds a negative"),
        (lambda x, f: nonnegative_cp(x, f, 0), "sweeps is 0"),
        (lambda x, f: nonnegative_cp(x, f, 1, method="als"), "method is 'als'"),
        (lambda x, f: match_factors(f, [g[:, :1] for g in f]), "no fewer columns"),
        (lambda x, f: match_factors([f[0] * np.nan], [f[0]]), "not finite"),
    ],
)
def test_errors(problem, call, words):
    with pytest.raises(ValueError, match=words):
        call(*problem)
