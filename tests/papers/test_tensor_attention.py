"""Tensor attention: golden vectors, the mathematics as properties, the claims' ingredients."""

import math
from dataclasses import replace
from functools import partial
from itertools import pairwise, product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from quire.common.bench import run_benchmark
from quire.common.claims import log_log_slope
from quire.common.testing import (
    assert_close,
    assert_equivariant,
    max_relative_error,
)
from quire.tensor_attention import (
    Match3Model,
    TensorAttention,
    approximate_tensor_attention,
    balanced_length,
    entry_error,
    enumerate_gradients,
    enumerate_tensor_attention,
    error_bound,
    exp_polynomial,
    khatri_rao,
    learning_curves,
    low_rank_tensor_attention,
    low_rank_weights,
    match3,
    match3_labels,
    match3_unit,
    max_entry,
    max_score,
    monomial_exponents,
    monomial_features,
    needed_degree,
    output_bound,
    paper,
    required_degree,
    rounding_error,
    scaling,
    score_radius,
    sign_problem,
    tensor_attention,
    threshold,
    truncation_errors,
    unit_projections,
)
from quire.tensor_attention import config as presets
from quire.tensor_attention.learning import MODELS
from quire.tensor_attention.match3 import angle_features, unit_sharpness

exact = jax.jit(tensor_attention, static_argnames=("scale", "causal", "block"))
rows_of_tuples = jax.jit(khatri_rao)
low_rank = jax.jit(low_rank_tensor_attention, static_argnames=("degree", "radius", "kind", "scale", "block"))
"""Compiled whole, which takes less time than compiling their small operations one by one."""

PRECISIONS = [pytest.param(jnp.float64, 1e-10, id="float64"), pytest.param(jnp.float32, 2e-6, id="float32")]


@pytest.fixture(scope="module")
def vectors(golden):
    return golden("tensor_attention")


@pytest.fixture
def double():
    with jax.enable_x64():
        yield


def arrays_of(case, dtype):
    """Queries, keys and values of a golden case; as many memories as it has keys."""
    memories = range(1, 1 + sum(name[0] == "K" and name[1:].isdigit() for name in case))
    q, *kv = (jnp.asarray(case[name], dtype) for name in ["Q", *(f"{x}{i}" for x in "KV" for i in memories)])
    return q, kv[: len(memories)], kv[len(memories) :]


def exact_cases(vectors):
    names = sorted({name.rsplit("/", 1)[0] for name in vectors.arrays if name.startswith("exact/")})
    return {name: vectors.case(name) for name in names}


def problem(seed, lengths, dim=3, channels=2, bound=1.0, dtype=None):
    """Uniform entries; `lengths` of the queries, then of each memory."""
    rng = np.random.default_rng(seed)
    q, *ks = (jnp.asarray(rng.uniform(-bound, bound, (n, dim)), dtype) for n in lengths)
    return q, ks, [jnp.asarray(rng.uniform(-1, 1, (n, channels)), dtype) for n in lengths[1:]]


def in_numpy(*tree):
    return jax.tree.map(np.asarray, tree)


# --- Golden vectors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_golden_exact(vectors, dtype, tolerance):
    cases = exact_cases(vectors)
    assert cases
    with jax.enable_x64(dtype == jnp.float64):
        for case in cases.values():
            q, ks, vs = arrays_of(case, dtype)
            for block in (None, 4):
                out = exact(q, ks, vs, block=block)
                assert out.dtype == dtype
                assert_close(out, case["out"], tolerance)
            if "normalizer" in case:
                scores = np.asarray(q) @ np.asarray(rows_of_tuples(ks)).T / q.shape[1]
                assert_close(np.exp(scores).sum(1), case["normalizer"], tolerance)
            for name in (name for name in case if name.startswith("khatri_rao_")):
                mats = [jnp.asarray(case[part], dtype) for part in name.removeprefix("khatri_rao_").split("_")]
                assert_close(rows_of_tuples(mats), case[name], tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("block", [None, 4])
def test_golden_gradients(vectors, dtype, tolerance, block):
    cases = [case for case in exact_cases(vectors).values() if "grad_weight" in case]
    assert cases
    with jax.enable_x64(dtype == jnp.float64):
        for case in cases:
            args = arrays_of(case, dtype)
            weight = jnp.asarray(case["grad_weight"], dtype)
            grad = jax.jit(jax.grad(lambda a, w=weight: jnp.sum(tensor_attention(*a, block=block) * w)))
            assert_close(grad(args), expected_gradients(case), tolerance)


def expected_gradients(case):
    memories = range(1, 1 + sum(name.startswith("grad_K") for name in case))
    return case["grad_Q"], [case[f"grad_K{i}"] for i in memories], [case[f"grad_V{i}"] for i in memories]


def test_golden_enumeration(vectors):
    for case in exact_cases(vectors).values():
        q, ks, vs = in_numpy(*arrays_of(case, jnp.float32))
        out, total = enumerate_tensor_attention(q, ks, vs)
        assert_close(out, case["out"], 1e-13)
        if "normalizer" in case:
            assert_close(total, case["normalizer"], 1e-13)
        if "grad_weight" in case:
            assert_close(enumerate_gradients(q, ks, vs, case["grad_weight"]), expected_gradients(case), 1e-13)


def factored(q, ks, vs, coefficients):
    """Factors `U1` and `U2`, numerator and normaliser of the low-rank form."""
    weights = low_rank_weights(q.shape[1], coefficients, 1 / q.shape[1])
    return multiplied(q, ks, vs, jnp.asarray(weights, q.dtype), len(coefficients) - 1)


@partial(jax.jit, static_argnums=4)
def multiplied(q, ks, vs, weights, degree):
    u1 = monomial_features(q, degree) * weights[None]
    us = [monomial_features(k, degree) for k in ks]
    sums = math.prod(u.T @ v for u, v in zip(us, vs, strict=True))
    return u1, us[0], u1 @ sums, u1 @ math.prod(u.sum(0) for u in us)


def low_rank_cases(vectors):
    names = sorted({name.split("/")[0] for name in vectors.arrays if name.startswith("lowrank")})
    assert names
    return {name: vectors.case(name) for name in names}


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_golden_low_rank(vectors, dtype, tolerance):
    with jax.enable_x64(dtype == jnp.float64):
        for case in low_rank_cases(vectors).values():
            q, ks, vs = arrays_of(case, dtype)
            degree = int(case["degree"])
            assert_close(exact(q, ks, vs), case["exact"], tolerance)
            u1, u2, numerator, normalizer = factored(q, ks, vs, exp_polynomial(degree))
            assert_close(numerator / normalizer[:, None], case["out"], tolerance)
            if "normalizer" in case:
                assert_close(normalizer, case["normalizer"], tolerance)
            for block in (None, 4):
                assert_low_rank(q, ks, vs, degree, max_score(q, ks, exact=True), "taylor", block, case["out"], tolerance)
            if "alphas" in case:
                np.testing.assert_array_equal(monomial_exponents(q.shape[1], degree), case["alphas"])
            if "U1" in case:
                assert_close(u1, case["U1"], tolerance)
            if "U2" in case:
                assert_close(u2, case["U2"], tolerance)
            if "cheb_out" in case:
                radius = float(case["B"]) ** (1 + len(ks))
                coefficients = exp_polynomial(degree, radius, "chebyshev")
                assert_close(coefficients, case["cheb_coef"], 1e-10)
                _, _, numerator, normalizer = factored(q, ks, vs, coefficients)
                assert_close(numerator / normalizer[:, None], case["cheb_out"], tolerance)
                assert_low_rank(q, ks, vs, degree, radius, "chebyshev", None, case["cheb_out"], tolerance)


def assert_low_rank(q, ks, vs, degree, radius, kind, block, expected, tolerance):
    """The operation gives the golden output, or refuses where its polynomial is not positive on the interval."""
    x = np.linspace(-radius, radius, 1001)
    positive = np.polynomial.polynomial.polyval(x, exp_polynomial(degree, radius, kind)).min() > 0
    if positive:
        out = low_rank(q, ks, vs, degree=degree, radius=radius, kind=kind, block=block)
        assert_close(out, expected, tolerance)
    else:
        with pytest.raises(ValueError, match="denominators may vanish"):
            low_rank_tensor_attention(q, ks, vs, degree=degree, radius=radius, kind=kind, block=block)


def test_golden_errors_by_degree(vectors, double):
    found = 0
    for case in low_rank_cases(vectors).values():
        q, ks, vs = arrays_of(case, jnp.float64)
        reference = np.asarray(exact(q, ks, vs))
        if "cheb_maxerr" in case:
            assert_close(np.abs(case["cheb_out"] - reference).max(), case["cheb_maxerr"], 1e-10)
        if "degree_rank_maxerr_relZerr" not in case:
            continue
        found += 1
        total = np.exp(np.asarray(q @ khatri_rao(ks).T) / q.shape[1]).sum(1)
        rows = []
        degrees = case["degree_rank_maxerr_relZerr"][:, 0].astype(int)
        for degree in degrees.tolist():
            numerator, normalizer = map(np.asarray, factored(q, ks, vs, exp_polynomial(degree))[2:])
            error = np.abs(numerator / normalizer[:, None] - reference).max()
            rank = monomial_exponents(q.shape[1], degree).shape[0]
            rows.append([degree, rank, error, np.abs(normalizer / total - 1).max()])
        for ours, theirs in zip(np.array(rows).T, case["degree_rank_maxerr_relZerr"].T, strict=True):
            assert_close(ours, theirs, 1e-10)
        dense = jax.jit(truncation_errors, static_argnums=3)(q, ks, vs, degrees.max().item())
        assert_close(dense[degrees], case["degree_rank_maxerr_relZerr"][:, 2], 1e-10)
    assert found


@pytest.mark.parametrize(("dtype", "tolerance"), [(jnp.float64, 1e-10), (jnp.float32, 1e-6)])
def test_golden_match3(vectors, dtype, tolerance):
    x, modulus = vectors["match3/x"], int(vectors["match3/M"])
    np.testing.assert_array_equal(match3_labels(x, modulus), vectors["match3/label"].astype(bool))
    assert unit_sharpness(x.shape[-1], modulus) == pytest.approx(float(vectors["match3/C"]), rel=1e-12)
    with jax.enable_x64(dtype == jnp.float64):
        out = jax.lax.map(lambda one: match3_unit(one, modulus), jnp.asarray(x))
    assert out.dtype == dtype
    np.testing.assert_allclose(out, vectors["match3/unit_output"], rtol=0, atol=tolerance)


# --- The exact operation -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("lengths", "scale"), [((4, 5), 0.7), ((3, 4, 2), None), ((2, 1, 3, 2), 0.7)])
def test_exact_is_its_definition(double, lengths, scale):
    q, ks, vs = problem(0, lengths, bound=2.0)
    grad_out = np.random.default_rng(1).standard_normal((lengths[0], 2))
    expected, _ = enumerate_tensor_attention(*in_numpy(q, ks, vs), scale)
    grads = enumerate_gradients(*in_numpy(q, ks, vs), grad_out, scale)
    for block in (None, 2):

        def value_and_gradients(q, ks, vs, g, block=block):
            out, pullback = jax.vjp(lambda *a: tensor_attention(*a, scale=scale, block=block), q, ks, vs)
            return out, *pullback(g)

        out, *ours = jax.jit(value_and_gradients)(q, ks, vs, jnp.asarray(grad_out))
        assert_close(out, expected, 1e-13)
        assert_close(tuple(ours), grads, 1e-12)


def test_enumerated_gradients_are_derivatives(double):
    q, ks, vs = in_numpy(*problem(2, (3, 2, 4)))
    grad_out = np.random.default_rng(3).standard_normal((3, 2))
    grads = enumerate_gradients(q, ks, vs, grad_out)

    def loss(shift, direction):
        moved = jax.tree.map(lambda x, d: x + shift * d, (q, ks, vs), direction)
        return np.sum(enumerate_tensor_attention(*moved)[0] * grad_out)

    direction = jax.tree.map(lambda x: np.random.default_rng(x.size).standard_normal(x.shape), (q, ks, vs))
    slope = sum(np.sum(g * d) for g, d in zip(jax.tree.leaves(grads), jax.tree.leaves(direction), strict=True))
    assert (loss(1e-5, direction) - loss(-1e-5, direction)) / 2e-5 == pytest.approx(slope, rel=1e-7)


def test_softmax_is_joint_over_pairs(double):
    """A score that only the pair decides: no product of two single softmaxes gives the weights."""
    q, k1, k2 = jnp.array([[1.0, -1.0]]), jnp.array([[3.0, 0.0], [0.0, 3.0]]), jnp.array([[3.0, 0.0], [0.0, 3.0]])
    vs = [jnp.eye(2), jnp.eye(2)]  # values e_j1 * e_j2: the weights of the pairs (0, 0) and (1, 1)
    weights = np.exp(np.array([[9, 0], [0, -9]]) / 2)
    assert_close(tensor_attention(q, [k1, k2], vs)[0], np.diag(weights / weights.sum()), 1e-13)


def test_permutations(double):
    q, ks, vs = problem(5, (4, 5, 3))
    orders = [np.random.default_rng(i).permutation(4) for i in range(2)]
    assert_equivariant(
        lambda q: exact(q, ks, vs),
        q,
        elements=orders,
        act_in=lambda p, x: x[p],
        act_out=lambda p, y: y[p],
        tolerance=1e-13,
    )
    for axis in (0, 1):  # tokens of one memory, keys with values
        assert_equivariant(
            lambda k, v, axis=axis: exact(q, replaced(ks, axis, k), replaced(vs, axis, v)),
            ks[axis],
            vs[axis],
            elements=[np.random.default_rng(axis).permutation(ks[axis].shape[0])],
            act_in=lambda p, x: x[p],
            tolerance=1e-13,
        )
    assert_close(exact(q, ks[::-1], vs[::-1]), exact(q, ks, vs), 1e-13)
    moved = exact(q, replaced(ks, 0, ks[0][::-1]), vs)  # keys without their values: another answer
    assert max_relative_error(moved, exact(q, ks, vs)) > 1e-3


def replaced(items, axis, new):
    return [new if i == axis else item for i, item in enumerate(items)]


def test_streaming_survives_large_scores():
    """The running maximum keeps scores of 10^4 finite in float32."""
    q, ks, vs = problem(6, (5, 6, 7), bound=30.0)
    assert_close(exact(q, ks, vs, block=2), exact(q, ks, vs), 1e-4)


def test_streaming_derivatives(double):
    q, ks, vs = problem(7, (3, 4, 5))
    masks = [jnp.array([True, True, False, True]), jnp.ones(5, bool)]
    weight = jnp.cos(jnp.arange(6.0)).reshape(3, 2)

    def gradient(block):
        return jax.jit(jax.grad(lambda a: jnp.sum(weight * tensor_attention(*a, block=block, causal=True, masks=masks))))

    assert_close(gradient(2)((q, ks, vs)), gradient(None)((q, ks, vs)), 1e-12)


def test_khatri_rao_is_row_major():
    a, b, c = (jnp.arange(1.0, 1 + 2 * n).reshape(n, 2) ** p for n, p in ((2, 1), (3, 2), (2, 3)))
    rows = khatri_rao([a, b, c])
    for row, (i, j, k) in enumerate(product(range(2), range(3), range(2))):
        np.testing.assert_allclose(rows[row], a[i] * b[j] * c[k], rtol=1e-6)
    np.testing.assert_allclose(khatri_rao([a]), a)


# --- The polynomial method ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lengths", "kind", "degree", "scale"),
    [
        ((5, 6), "taylor", 4, 0.5),
        ((5, 6), "chebyshev", 3, None),
        ((4, 5, 3), "taylor", 5, None),
        ((4, 5, 3), "chebyshev", 4, 0.5),
        ((3, 4, 2, 3), "taylor", 4, None),
    ],
)
def test_low_rank_is_attention_with_a_polynomial(double, lengths, kind, degree, scale):
    q, ks, vs = problem(9, lengths, bound=1.1)
    radius = max_score(q, ks, scale, exact=True)
    p = np.polynomial.Polynomial(exp_polynomial(degree, radius, kind))
    expected, _ = enumerate_tensor_attention(*in_numpy(q, ks, vs), scale, entry=p)
    for block in (None, 2):
        out = low_rank(q, ks, vs, degree=degree, radius=radius, kind=kind, scale=scale, block=block)
        assert_close(out, expected, 1e-12)


def test_order_2_polynomial_method(double):
    """Matrix attention of bounded entries: `A = U1 U2^T` with the monomials written out for d = 2, degree 2."""
    q, ks, vs = problem(10, (4, 5), dim=2)
    (a, b), (c, d) = (np.asarray(q).T / 2, np.asarray(ks[0]).T)
    u1 = np.stack([np.ones(4), a, b, a * a / 2, a * b, b * b / 2], axis=1)
    u2 = np.stack([np.ones(5), c, d, c * c, c * d, d * d], axis=1)
    matrix = u1 @ u2.T
    out = low_rank(q, ks, vs, degree=2)
    assert_close(out, matrix @ np.asarray(vs[0]) / matrix.sum(1, keepdims=True), 1e-13)


def test_low_rank_converges(double):
    q, ks, vs = problem(11, (6, 7, 5), dim=2, bound=1.2)
    reference = exact(q, ks, vs)
    radius = max_score(q, ks)
    for kind in ("taylor", "chebyshev"):
        outs = [low_rank(q, ks, vs, degree=g, radius=radius, kind=kind, block=None) for g in (2, 5, 8)]
        errors = [max_relative_error(out, reference) for out in outs]
        assert all(b < a / 20 for a, b in pairwise(errors))
        assert errors[-1] < 1e-6


def test_low_rank_masks_and_batches(double):
    q, ks, vs = problem(12, (4, 5, 3), dim=2)
    masks = [jnp.array([True, False, True, True, False]), jnp.array([True, True, False])]
    kept_ks, kept_vs = ([x[m] for x, m in zip(xs, masks, strict=True)] for xs in (ks, vs))
    kept = low_rank(q, kept_ks, kept_vs, degree=4)
    for block in (None, 2):
        assert_close(low_rank(q, ks, vs, degree=4, masks=masks, block=block), kept, 1e-13)
    batch = jax.tree.map(lambda x: jnp.stack([x, -x]), (q, ks, vs))
    tiled = partial(low_rank, degree=4, block=2)
    assert_close(tiled(*batch), jnp.stack([tiled(*jax.tree.map(lambda x, i=i: x[i], batch)) for i in range(2)]), 1e-12)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 9), st.floats(0.05, 4.0), st.sampled_from(["taylor", "chebyshev"]))
def test_entry_error_is_the_largest(degree, radius, kind):
    coefficients = exp_polynomial(degree, radius, kind)
    x = np.linspace(-radius, radius, 20_011)
    sampled = np.abs(np.polynomial.polynomial.polyval(x, coefficients) / np.exp(x) - 1).max()
    error = entry_error(coefficients, radius)
    assert sampled - 1e-12 <= error <= sampled * (1 + 1e-4) + 1e-12


def test_entry_error_of_taylor_is_at_an_end():
    assert entry_error([1.0, 1.0], 0.5) == pytest.approx(1 - 0.5 * math.e**0.5)
    assert entry_error([1.0], 2.0) == pytest.approx(math.e**2 - 1)
    assert entry_error([1.0, 1.0, 0.5], 0.0) == 0
    assert entry_error([1.0, 1.0, 0.0, 0.0], 0.5) == entry_error([1.0, 1.0], 0.5)  # as exp_polynomial ends at high degree


@settings(max_examples=15, deadline=None)
@given(st.floats(0.2, 1.6), st.integers(2, 4), st.floats(1e-6, 0.9), st.sampled_from(["taylor", "chebyshev"]))
def test_required_degree_is_sufficient_and_minimal(bound, order, eps, kind):
    degree = required_degree(bound, order, eps, kind=kind)
    radius = bound**order

    def error(g):
        x = np.linspace(-radius, radius, 4001)
        return np.abs(np.polynomial.polynomial.polyval(x, exp_polynomial(g, radius, kind)) / np.exp(x) - 1).max()

    assert error(degree) <= eps * (1 + 1e-9)
    assert all(error(g) > eps * (1 - 1e-3) for g in range(degree))


def test_required_degree_grows_with_bound_order_and_precision():
    assert required_degree(0.0, 3, 1e-3) == 0
    by_bound = [required_degree(b, 3, 1e-3) for b in (0.5, 1.0, 1.5, 2.0)]
    by_order = [required_degree(1.5, k, 1e-3) for k in (2, 3, 4)]
    by_eps = [required_degree(1.0, 3, e) for e in (1e-1, 1e-3, 1e-6)]
    for degrees in (by_bound, by_order, by_eps):
        assert all(a < b for a, b in pairwise(degrees))
    assert required_degree(1.5, 3, 1e-3, dim=6, scale=0.5) == required_degree(3 ** (1 / 3) * 1.5, 3, 1e-3)


def test_measured_bounds(double):
    q, ks, _ = problem(13, (6, 5, 4), dim=3, bound=1.3)
    bound = max_entry(q, *ks)
    assert bound == max(float(np.abs(np.asarray(x)).max()) for x in (q, *ks))
    largest = max_score(q, ks, exact=True)
    assert largest == pytest.approx(np.abs(np.asarray(q @ khatri_rao(ks).T)).max() / 3)
    tallest = [np.abs(np.asarray(x)).max(0) for x in (q, *ks)]
    assert max_score(q, ks) == pytest.approx(math.prod(tallest).sum() / 3)
    assert largest <= max_score(q, ks) <= score_radius(bound, 3) == pytest.approx(bound**3)
    assert max_score(q, ks, -2.0, exact=True) == pytest.approx(6 * largest)
    assert max_score(q, ks, -2.0) == pytest.approx(6 * max_score(q, ks))
    assert score_radius(bound, 3, dim=3, scale=-2.0) == pytest.approx(6 * bound**3)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 999), st.integers(1, 3), st.floats(0.3, 1.2), st.integers(1, 8), st.sampled_from(["taylor", "chebyshev"]))
def test_error_bound_bounds(seed, memories, bound, degree, kind):
    with jax.enable_x64():
        q, ks, vs = problem(seed, (4,) * (memories + 1), bound=bound)
        radius = max_score(q, ks)
        guarantee = error_bound(q, ks, vs, degree=degree, kind=kind)
        p = np.polynomial.Polynomial(exp_polynomial(degree, radius, kind))
        approximate = enumerate_tensor_attention(*in_numpy(q, ks, vs), entry=p)[0]
        error = np.abs(approximate - enumerate_tensor_attention(*in_numpy(q, ks, vs))[0]).max()
    assert error <= guarantee + 1e-14
    if math.isfinite(guarantee):
        eps = entry_error(p.coef, radius)
        largest = max(
            abs(math.prod(v[j, c] for v, j in zip(in_numpy(*vs), index, strict=True)))
            for index in product(range(4), repeat=memories)
            for c in range(2)
        )
        assert guarantee == pytest.approx(2 * eps / (1 - eps) * largest)


def test_output_bound_is_reached_in_the_limit():
    """Weights off by 1 + eps on values 1 and by 1 - eps on values -1: the bound is tight to first order over two."""
    eps = 1e-3
    up, down = 0.5 * (1 + eps), 0.5 * (1 - eps)
    error = (up - down) / (up + down)
    assert error <= output_bound(eps, [jnp.array([[1.0], [-1.0]])]) == pytest.approx(2 * eps / (1 - eps))
    assert output_bound(1.0, [jnp.ones((1, 1))]) == math.inf


@pytest.mark.parametrize("kind", ["taylor", "chebyshev"])
def test_approximation_keeps_its_promise(double, kind):
    q, ks, vs = problem(14, (20, 21, 19), dim=2, bound=1.1)
    reference = exact(q, ks, vs)
    degrees = []
    for error in (1e-1, 1e-3, 1e-5):
        result = approximate_tensor_attention(q, ks, vs, error=error, kind=kind)
        assert float(abs(result.out - reference).max()) <= result.bound <= error
        assert result.radius == max_score(q, ks) and result.rank == math.comb(2 + result.degree, 2)
        assert error_bound(q, ks, vs, degree=result.degree - 1, kind=kind) > error
        degrees.append(result.degree)
    assert degrees[0] < degrees[1] < degrees[2]
    zero = approximate_tensor_attention(q, ks, [0 * v for v in vs], error=1e-3, kind=kind)
    assert float(abs(zero.out).max()) == zero.bound == 0


def test_approximation_refuses_to_cancel():
    """Scores near -10.6 with every tuple: in float32 the polynomial cancels by more than the error asked for."""
    _, ks, vs = problem(15, (1, 30, 30))
    q = jnp.full((4, 3), -2.2)
    ks = [2.2 * (0.9 + 0.1 * k) for k in ks]
    with pytest.raises(ValueError, match="rounding in float32"):
        approximate_tensor_attention(q, ks, vs, error=1e-2)
    positive = approximate_tensor_attention(-q, ks, vs, error=1e-2)  # no cancellation
    assert float(abs(positive.out - exact(-q, ks, vs)).max()) < 1e-4
    with jax.enable_x64():
        q, ks, vs = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), (q, ks, vs))
        result = approximate_tensor_attention(q, ks, vs, error=1e-2)
        assert float(abs(result.out - exact(q, ks, vs)).max()) < 1e-6
        assert rounding_error(q, ks) == pytest.approx(
            2.0**-52 * math.exp(max_score(q, ks) - float(jnp.mean(q @ khatri_rao(ks).T) / 3)), rel=1e-6
        )


# --- Phase transition and scaling --------------------------------------------------------------------------------------------


def test_needed_degree_against_the_operation(double):
    problem_ = sign_problem(jax.random.key(0), 3, 5, 2)
    assert set(np.unique(problem_.q)) | set(np.unique(problem_.ks[0])) == {-1.0, 1.0}
    bounds = np.array([0.9, 1.2])
    degrees = needed_degree(problem_, bounds, error=1e-3, max_degree=20)
    for bound, degree in zip(bounds.tolist(), degrees.tolist(), strict=True):
        q, ks = bound * problem_.q, [bound * k for k in problem_.ks]
        reference = exact(q, ks, problem_.vs)

        def error(g, q=q, ks=ks, reference=reference):
            return float(abs(low_rank(q, ks, problem_.vs, degree=g) - reference).max())

        assert degree % 2 == 0 and error(degree) < 1e-3 <= error(degree - 2)
    assert needed_degree(problem_, np.array([3.0]), error=1e-3, max_degree=4).tolist() == [6]


def test_bounds_of_integers_do_not_overflow(as_installed):
    q, k, v = (np.full((3, 2), 100, np.uint8) for _ in range(3))
    assert max_entry(np.array([-128], np.int8)) == 128
    assert max_score(q, [k, k]) == max_score(q, [k, k], exact=True) == 1e6
    assert output_bound(0.5, [v, v]) == 2e4
    assert rounding_error(q // 100, [k // 100]) < 1e-6
    with pytest.raises(ValueError, match="max_degree is -1"):
        truncation_errors(q, [k], [v], -1)
    problem = sign_problem(jax.random.key(0), 3, 4, 2)
    with jax.debug_nans(False):  # the scores of the larger bound leave float32
        assert needed_degree(problem, np.array([1, 2000]), error=0.1, max_degree=6)[1] == 8


def test_no_query_asks_for_nothing():
    found = approximate_tensor_attention(Q[:0], K, V, error=0.1)
    assert found.out.shape == (0, V[0].shape[1]) and found.degree == 0


def test_a_bound_that_is_nan_is_no_bound():
    with jax.debug_nans(False):
        assert math.isnan(max_entry(jnp.ones(2), jnp.array([jnp.nan])))


def test_threshold():
    bounds, degrees = [1.0, 1.1, 1.2, 1.3], np.array([6, 10, 20, 22])
    assert threshold(bounds, degrees, 20) == 1.2
    assert threshold(bounds, degrees, 21) == 1.2
    assert math.isnan(threshold(bounds, degrees, 4))


def test_flops_are_linear_and_cubic():
    small = replace(presets.quick.scaling, low_rank_tokens=(128, 512), dense_tokens=(32, 64))
    series = scaling.count_flops(scaling.flop_forms(small), small.dim)
    assert log_log_slope(*series["low rank"]) == pytest.approx(1, abs=0.02)
    assert log_log_slope(*series["dense exact"]) == pytest.approx(3, abs=0.05)
    n, counted = series["low rank"][0][-1], series["low rank"][1][-1]
    assert counted == pytest.approx(scaling.low_rank_flops(int(n), 4, 4, 4), rel=0.1)
    n, counted = series["dense exact"][0][-1], series["dense exact"][1][-1]
    assert counted == pytest.approx(scaling.exact_flops(int(n), 4, 4), rel=0.1)


def test_benchmark_has_the_hot_operation_first():
    cases = paper.benchmark.cases(64, jax.random.key(0))
    assert list(cases) == ["low rank", "streamed exact", "dense exact"]
    outs = [jax.jit(case.function)(*case.args) for case in cases.values()]
    assert_close(outs[1], outs[2], 1e-5)
    assert 0 < max_relative_error(outs[0], outs[2]) < 1e-3
    order_two = ["order 2 streamed, with gradients", "order 2 dense, with gradients"]
    assert list(paper.benchmark.cases(1024, jax.random.key(0))) == ["low rank", *order_two]
    assert list(paper.benchmark.cases(16384, jax.random.key(0))) == ["low rank"]
    small = scaling.uniform_problem(jax.random.key(0), 6, 3, order=2)
    found, expected = (jax.jit(scaling.with_gradients(form))(*small) for form in (scaling.streamed, scaling.dense))
    jax.tree.map(lambda one, other: assert_close(one, other, 1e-5), found, expected)
    report = run_benchmark(paper, sizes=(16,), repeats=1)
    assert {name: [row.size for row in rows] for name, rows in report.timings.items()} == {name: [16] for name in cases}


# --- Match3 ------------------------------------------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 40), st.sampled_from([1, 3, 6]).flatmap(lambda n: st.lists(st.integers(0, 200), min_size=n, max_size=n)))
def test_labels_are_brute_force(modulus, x):
    expected = [any((a + b + c) % modulus == 0 for b in x for c in x) for a in x]
    assert match3_labels(np.array(x), modulus).tolist() == expected


def test_labels_of_any_integers(as_installed):
    assert match3_labels(np.array([200, 56, 0], np.uint8), 7).tolist() == match3_labels(np.array([200, 56, 0]), 7).tolist()
    assert jax.jit(match3_labels, static_argnums=1)(np.array([200, 56, 0], np.uint8), 300).tolist() == [True, False, True]
    modulus = 2**30 + 7
    x = np.array([modulus - 3, 1, 2, modulus // 2 - 5], np.int32)
    expected = [any((int(a) + int(b) + int(c)) % modulus == 0 for b in x for c in x) for a in x]
    assert match3_labels(x, modulus).tolist() == expected == [True, True, True, False]
    assert match3_labels(np.array([2**40 + 1, -1, 0]), 2**20).tolist() == [True, True, True]
    with pytest.raises(ValueError, match="modulus is 4294967296; integers end at 2147483647"):
        match3_labels(x, 2**32)
    with pytest.raises(ValueError, match="x has dtype float32"):
        match3_labels(np.float32([1.0]), 7)


def test_unit_refuses_what_rounding_hides(as_installed):
    x = np.arange(60)
    with pytest.raises(ValueError, match="modulus is 9973; float32 rounds scores"):
        match3_unit(x, 9973)
    with jax.enable_x64():
        x, labels = match3(jax.random.key(0), 20, 9973, (4,))
        assert ((jax.lax.map(lambda one: match3_unit(one, 9973), x) > 0.5) == labels).all()


def test_generator():
    x, labels = match3(jax.random.key(0), None, 101, (400,))
    assert x.shape == labels.shape == (400, balanced_length(101))
    assert int(x.min()) >= 0 and int(x.max()) == 100
    assert 0.4 < float(labels.mean()) < 0.6
    np.testing.assert_array_equal(labels, match3_labels(x, 101))
    assert float(match3(jax.random.key(0), 32, 101, (50,))[1].mean()) > 0.95  # too long: nearly every label is 1
    assert match3(jax.random.key(0), 3, 7)[0].shape == (3,)
    assert not np.array_equal(match3(jax.random.key(1), None, 101, (400,))[0], x)


@pytest.mark.parametrize(("modulus", "n"), [(7, 3), (31, 6), (101, 11)])
def test_unit_is_exact(modulus, n):
    x, labels = match3(jax.random.key(n), n, modulus, (40,))
    assert 0 < labels.mean() < 1
    out = jax.lax.map(lambda one: match3_unit(one, modulus), x)
    np.testing.assert_array_equal(out > 0.5, labels)
    np.testing.assert_allclose(out, labels, atol=0.05)  # the margin that C is made for


def test_unit_scores_are_cosines(double):
    x, modulus = np.array([1, 5, 9, 17]), 19
    q, (k1, k2), (v1, v2) = unit_projections(x, modulus)
    c, angle = unit_sharpness(4, modulus), 2 * np.pi * x / modulus
    scores = np.asarray(q @ khatri_rao([k1, k2]).T).reshape(4, 5, 5)
    expected = c * np.cos(angle[:, None, None] + angle[:, None] + angle)
    np.testing.assert_allclose(scores[:, :4, :4], expected, atol=1e-10 * c)
    np.testing.assert_allclose(scores[:, 4, 4], c * (1 + np.cos(2 * np.pi / modulus)) / 2)
    assert not scores[:, 4, :4].any() and not scores[:, :4, 4].any()
    assert v1[:, 0].tolist() == v2[:, 0].tolist() == [1, 1, 1, 1, 0]


def test_layer_is_its_heads():
    layer = TensorAttention(3, num_heads=2, head_dim=4, out_features=5, order=3, out_bias=False, rngs=nnx.Rngs(0))
    assert layer.out.bias is None and layer.qkv.bias is None
    x = jnp.asarray(np.random.default_rng(0).standard_normal((6, 3)), jnp.float32)
    projected = np.split(np.asarray(x) @ np.asarray(layer.qkv.kernel[...]), 5, axis=-1)
    q, k1, k2, v1, v2 = (part.reshape(6, 2, 4) for part in projected)
    heads = [enumerate_tensor_attention(q[:, h], [k1[:, h], k2[:, h]], [v1[:, h], v2[:, h]])[0] for h in (0, 1)]
    run = jax.jit(layer)
    assert_close(run(x), np.concatenate(heads, axis=1) @ np.asarray(layer.out.kernel[...]), 2e-6)
    assert_close(run(jnp.stack([x, 2 * x]))[1], run(2 * x), 1e-6)


def test_model_is_attention_beside_features():
    model = Match3Model(3, 2, rngs=nnx.Rngs(1))
    x = angle_features(np.array([[0, 3, 5, 7]]), 11)
    np.testing.assert_allclose(x[0, 1], [math.cos(6 * math.pi / 11), math.sin(6 * math.pi / 11), 1], rtol=1e-6)
    attended, out = jax.jit(lambda x: (model.attention(x), model(x)))(x)
    hidden = np.concatenate([attended, x], -1) @ np.asarray(model.hidden.kernel[...])
    logits = np.maximum(hidden, 0) @ np.asarray(model.logit.kernel[...])  # biases start at zero
    assert_close(out, logits[..., 0], 1e-6)
    kernel = model.hidden.kernel[...]
    assert kernel.shape == (11, 64) and float(kernel.std()) == pytest.approx(11**-0.5, rel=0.1)


def test_learning_curves(monkeypatch):
    monkeypatch.setattr("quire.tensor_attention.learning.MODELS", {"tensor": (3, 2)})
    config = replace(presets.quick.learning, steps=100, snapshots=2, test_sequences=200)
    keys = jax.random.split(jax.random.key(0), 2)
    curves = learning_curves(config, keys)
    assert curves.steps == [50, 100]
    assert curves.parameters == {"tensor": 1201}
    assert curves.accuracy["tensor"].shape == (2, 2)
    assert curves.majority.shape == (2,) and 0.5 < float(curves.majority.min()) < 0.75
    assert float(curves.accuracy["tensor"][:, -1].mean()) > float(curves.majority.mean())  # beats a constant already
    with pytest.raises(ValueError, match="snapshots is 7 of 100 steps"):
        learning_curves(replace(config, snapshots=7), keys)


def test_models_of_the_card():
    for name, parameters in {"tensor": 1201, "matrix": 1377, "wide matrix": 1921}.items():
        order, heads = MODELS[name]
        model = nnx.eval_shape(lambda order=order, heads=heads: Match3Model(order, heads, rngs=nnx.Rngs(0)))
        assert sum(math.prod(x.shape) for x in jax.tree.leaves(nnx.state(model, nnx.Param))) == parameters


# --- Claims ------------------------------------------------------------------------------------------------------------------


def test_claims_are_those_of_the_card():
    assert list(paper.claims) == ["T1", "T2", "T3", "T4", "T4b", "T5", "T6", "T7"]
    assert [id for id, claim in paper.claims.items() if claim.exact] == ["T1", "T2", "T6"]
    assert all(claim.expect == "reproduced" for claim in paper.claims.values())
    criteria = {id: str(claim.holds) for id, claim in paper.claims.items()}
    assert criteria["T1"] == "value ≤ 1e-10; float32 ≤ 2e-06"
    assert criteria["T2"] == "value ≤ 1e-10"
    assert criteria["T3"] == (
        "value ≥ 0.5 in every seed; growth of e(g)/e(g+2) > 1 in every seed; error / guarantee ≤ 1 in every seed"
    )
    assert criteria["T4"] == "log-log slope of low rank FLOPs = 1 ± 0.02; log-log slope of dense exact FLOPs = 3 ± 0.05"
    assert criteria["T4b"] == "log-log slope of low rank time ≤ 1.25; log-log slope of dense exact time ≥ 2.5"
    assert criteria["T5"] == "value > 0 in every seed; decreases of g(B) ≤ 0 in every seed"
    assert criteria["T6"] == "value ≥ 1"
    assert criteria["T7"] == "value ≥ 0.95 in every seed; value ≥ matrix models, best of all seeds + 0.08 in every seed"


# --- Errors ------------------------------------------------------------------------------------------------------------------


def bad_attention_calls():
    q, k, v = jnp.ones((3, 2)), jnp.ones((4, 2)), jnp.ones((4, 5))
    ok = jnp.ones(4, bool)
    return {
        "at least one memory": (q, [], [], {}),
        "ks holds 2 memories and vs 1": (q, [k, k], [v], {}),
        "all need": (q, [k[0]], [v], {}),
        "batch shape": (q[None], [k[None], jnp.stack([k, k])], [v[None], jnp.stack([v, v])], {}),
        r"ks\[1\] has 3 channels and q 2": (q, [k, jnp.ones((4, 3))], [v, v], {}),
        r"ks\[0\] holds 4 tokens and vs\[0\] 3": (q, [k], [v[:3]], {}),
        "memory 1 is empty": (q, [k, k[:0]], [v, v[:0]], {}),
        r"vs\[1\] has 2 channels and vs\[0\] 5": (q, [k, k], [v, v[:, :2]], {}),
        "masks holds 1 masks for 2": (q, [k, k], [v, v], {"masks": [ok]}),
        r"masks\[0\] is bool\[1, 3\]": (q, [k], [v], {"masks": [ok[:3]]}),
    }


@pytest.mark.parametrize("message", bad_attention_calls())
@pytest.mark.parametrize("form", [tensor_attention, lambda *a, **k: low_rank_tensor_attention(*a, degree=2, **k)])
def test_shape_errors(as_installed, form, message):
    q, ks, vs, options = bad_attention_calls()[message]
    with pytest.raises(ValueError, match=message):
        form(q, ks, vs, **options)


Q, K, V = jnp.ones((3, 2)), [jnp.ones((4, 2))] * 2, [jnp.ones((4, 5))] * 2


@pytest.mark.parametrize(
    ("message", "call"),
    [
        ("block is 0", lambda: tensor_attention(Q, K, V, block=0)),
        ("at least one of them", lambda: khatri_rao([])),
        (r"factors have ranks \[2, 5\]", lambda: khatri_rao([Q, V[0]])),
        ("order is 1", lambda: TensorAttention(3, num_heads=1, head_dim=2, order=1, rngs=nnx.Rngs(0))),
        ("degree -1", lambda: monomial_exponents(2, -1)),
        ("dim is 0", lambda: monomial_exponents(0, 2)),
        ("735471 monomials, more than 20000", lambda: monomial_features(jnp.ones((2, 16)), 8)),
        ("735471 monomials", lambda: low_rank_tensor_attention(jnp.ones((2, 16)), [jnp.ones((2, 16))], [Q[:2]], degree=8)),
        ("degree is -1", lambda: exp_polynomial(-1)),
        ("kind is 'minimax'", lambda: exp_polynomial(2, 1.0, "minimax")),
        ("radius is None", lambda: exp_polynomial(2, None, "chebyshev")),
        ("radius is None; an odd degree", lambda: low_rank_tensor_attention(Q, K, V, degree=3)),
        ("denominators may vanish", lambda: low_rank_tensor_attention(Q, K, V, degree=3, radius=4.0)),
        ("denominator falls to", lambda: low_rank_tensor_attention(-9 * Q, K, V, degree=3, radius=1.0)),
        ("no masks per query", lambda: low_rank_tensor_attention(Q, K, V, degree=2, masks=[jnp.ones((3, 4), bool)] * 2)),
        ("without any token", lambda: low_rank_tensor_attention(Q, K, V, degree=2, masks=[jnp.zeros(4, bool)] * 2)),
        ("bound is -1.0", lambda: score_radius(-1.0, 3)),
        ("bound is inf", lambda: required_degree(math.inf, 3, 0.1)),
        ("order is 1", lambda: required_degree(1.0, 1, 0.1)),
        ("dim is 4 and scale None", lambda: score_radius(1.0, 3, dim=4)),
        ("eps is 1.0", lambda: required_degree(1.0, 3, 1.0)),
        ("eps is 0.0", lambda: required_degree(1.0, 3, 0.0)),
        ("no taylor polynomial of degree up to 5", lambda: required_degree(2.0, 3, 1e-3, max_degree=5)),
        ("radius is -1.0", lambda: entry_error([1.0], -1.0)),
        ("radius is inf", lambda: entry_error([1.0], math.inf)),
        ("eps is -0.1", lambda: output_bound(-0.1, V)),
        ("degree is -1", lambda: error_bound(Q, K, V, degree=-1)),
        ("error is 0.0", lambda: approximate_tensor_attention(Q, K, V, error=0.0)),
        ("q has 3 axes", lambda: approximate_tensor_attention(Q[None], K, V, error=0.1)),
        (r"ks\[1\] has 5 channels", lambda: approximate_tensor_attention(Q, [K[0], V[0]], V, error=0.1)),
        ("error is -1.0", lambda: needed_degree(sign_problem(jax.random.key(0), 2, 2, 2), np.ones(1), error=-1.0, max_degree=2)),
        ("order is 1", lambda: sign_problem(jax.random.key(0), 1, 2, 2)),
        ("n is 0", lambda: sign_problem(jax.random.key(0), 2, 0, 2)),
        ("both slopes are 2.0", lambda: scaling.crossover((2.0, 0.0), (2.0, 1.0))),
        ("modulus is 1", lambda: match3_labels(np.array([0]), 1)),
        ("modulus is 1", lambda: match3(jax.random.key(0), 2, 1)),
        ("modulus is 1", lambda: match3_unit(np.array([0]), 1)),
        ("modulus is 1", lambda: balanced_length(1)),
        ("n is 0", lambda: match3(jax.random.key(0), 0, 5)),
        ("modulus is 1099511627776", lambda: match3(jax.random.key(0), 3, 2**40)),
        (r"x has shape \(2, 3\)", lambda: match3_unit(np.zeros((2, 3), int), 5)),
        (r"ks\[0\] has 1 channels", lambda: max_score(Q, [K[0][:, :1]])),
        ("memory 0 is empty", lambda: max_score(Q, [K[0][:0]])),
        ("ks is empty", lambda: max_score(Q, [])),
        ("q has 0 channels", lambda: max_score(Q[:, :0], [K[0][:, :0]])),
        ("one number of channels", lambda: output_bound(0.1, [V[0], V[0][:, :1]])),
        ("ks holds 1 memories and vs 2", lambda: error_bound(Q, K[:1], V, degree=2)),
        (r"vs\[0\] 1;", lambda: truncation_errors(Q, K[:1], [V[0][:1]], 2)),
        ("number of queries is 0", lambda: truncation_errors(Q[:0], K, V, 2)),
        ("error is inf", lambda: approximate_tensor_attention(Q, K, V, error=math.inf)),
        ("as many values", lambda: enumerate_tensor_attention(np.asarray(Q), [np.asarray(K[0])], [np.asarray(V[0])[:2]])),
        (
            "bounds has shape",
            lambda: needed_degree(sign_problem(jax.random.key(0), 2, 2, 2), np.ones(()), error=1.0, max_degree=2),
        ),
        ("degrees", lambda: threshold([1.0, 2.0], np.array([1]), 4)),
    ],
)
def test_value_errors(as_installed, message, call):
    with pytest.raises(ValueError, match=message):
        call()
