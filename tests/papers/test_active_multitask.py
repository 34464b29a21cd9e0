"""Active multi-task learning: golden parity, relevance, LASSO, allocation, alternating least squares, loop, images, errors."""

from dataclasses import replace
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from quire.active_multitask import (
    PRESETS,
    Estimate,
    Examples,
    Head,
    Images,
    Linear,
    Moments,
    Network,
    allocate,
    best_bound,
    corrupt,
    draw_moments,
    estimate_relevance,
    first_moments,
    fit_mtrl,
    image_tasks,
    lasso,
    lasso_at_error,
    lasso_path,
    leading_subspace,
    linear_learner,
    moments,
    money,
    network_learner,
    one_strong_source,
    ordinary_least_squares,
    relevance_l1,
    relevance_l2,
    relevant_sources,
    representation_error,
    risk_bound,
    run_amtrl,
    shares,
    subspace_distance,
    target_head,
    task_heads,
)
from quire.active_multitask import linear_study as study
from quire.active_multitask.benchmark import by_kronecker
from quire.active_multitask.image_study import by_strategy
from quire.active_multitask.image_tasks import CORRUPTIONS
from quire.active_multitask.multitask import update_basis
from quire.active_multitask.network import build
from quire.common.manifolds.grassmann import projector
from quire.common.testing import assert_close, assert_degenerate, assert_dtypes, assert_jit_consistent, assert_vmap_consistent

RNG = np.random.default_rng(0)
W = RNG.normal(size=(3, 7)).astype(np.float32)
TARGET = (W[:, 0] - 0.5 * W[:, 4]).astype(np.float32)

# --- Golden vectors ---


def test_golden_relevance(golden):
    g = golden("active_multitask")
    with jax.enable_x64():
        assert_close(relevance_l2(g["W"], g["w_target"]), g["nu2"], 1e-7)
        nu1 = relevance_l1(g["W"], g["w_target"])
        np.testing.assert_allclose(np.abs(nu1).sum(), np.abs(g["nu1"]).sum(), rtol=1e-6)
        np.testing.assert_allclose(nu1, g["nu1"], atol=1e-6)
        assert (nu1 != 0).sum() <= len(g["W"])


def test_golden_nearly_parallel_sources(golden):
    g = golden("active_multitask")
    with jax.enable_x64():
        nu2 = relevance_l2(g["ex_W"], g["ex_w"])
        assert_close(nu2, g["ex_nu2"], 1e-7)
        np.testing.assert_allclose(jnp.abs(nu2).sum(), g["ex_nu2_l1norm"], rtol=1e-7)
        np.testing.assert_allclose(jnp.abs(relevance_l1(g["ex_W"], g["ex_w"])).sum(), g["ex_nu1_l1norm"], rtol=1e-6)


def test_golden_allocations_and_bounds(golden):
    g = golden("active_multitask")
    N, nu1, nu2 = float(g["N"]), g["nu1"], g["nu2"]
    with jax.enable_x64():
        counts = {"l1": N * shares(nu1, "l1"), "l2": N * shares(nu2, "l2"), "uniform": N * shares(nu2, "uniform")}
        for rule, n in counts.items():
            assert_close(n, g[f"n_{rule}"], 1e-7)
            assert_close(best_bound(g["W"], g["w_target"], n), g[f"best_given_n_{rule}"], 1e-7)
        for name, nu, n in (
            ("bound_l1", nu1, counts["l1"]),
            ("bound_l2", nu2, counts["l2"]),
            ("bound_uniform_nu2", nu2, counts["uniform"]),
            ("bound_nu2_sqrtopt", nu2, N * shares(nu2, "l1")),
        ):
            assert_close(risk_bound(nu, n), g[name], 1e-7)


def test_golden_lasso(golden):
    g = golden("active_multitask")
    names = [name for name in g.arrays if name.startswith("lasso_") and "obj" not in name]
    assert names
    with jax.enable_x64():
        for name in names:
            lam = float(name.removeprefix("lasso_"))
            nu = np.asarray(lasso(g["W"], g["w_target"], lam))
            objective = 0.5 * np.sum((g["W"] @ nu - g["w_target"]) ** 2) + lam * np.abs(nu).sum()
            np.testing.assert_allclose(objective, g[f"lasso_obj_{lam}"], rtol=1e-6)
            assert_close(nu, g[name], 1e-6)


def test_golden_start(golden):
    g = golden("active_multitask")
    with jax.enable_x64():
        data = moments(list(g["X"]), list(g["Y"]))
        theta = ordinary_least_squares(data)
        assert_close(theta.T, g["Theta_ols"], 1e-7)
        basis = leading_subspace(theta, g["B"].shape[1], data.count)
        assert_close(projector(basis), g["proj_B_hat"], 1e-7)
        assert_close(subspace_distance(g["B"], basis), g["subspace_dist"], 1e-7)
        better = fit_mtrl(data, g["B"].shape[1]).basis
        assert float(subspace_distance(g["B"], better)) < 1.2 * float(g["subspace_dist"])


# --- Relevance ---


def test_a_change_of_basis_leaves_relevance_alone():
    R = RNG.normal(size=(3, 3)) + 2 * np.eye(3)
    with jax.enable_x64():
        for relevance in (relevance_l1, relevance_l2):
            assert_close(relevance(np.linalg.solve(R, W), np.linalg.solve(R, TARGET)), relevance(W, TARGET), 1e-5)


def test_norms_are_ordered_and_prices_move_the_choice():
    nu1, nu2 = relevance_l1(W, TARGET), relevance_l2(W, TARGET)
    assert jnp.abs(nu1).sum() <= jnp.abs(nu2).sum() and (nu2**2).sum() <= (nu1**2).sum() + 1e-6
    np.testing.assert_allclose(W @ np.asarray(nu1), TARGET, atol=1e-5)
    costs = np.where(np.asarray(nu1) != 0, 100.0, 1.0)
    weighted = relevance_l1(W, TARGET, costs)
    assert np.sqrt(costs) @ np.abs(weighted) < np.sqrt(costs) @ np.abs(nu1)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_units_do_not_matter_to_the_linear_program(scale):
    assert_close(relevance_l1(scale * W, TARGET), relevance_l1(W, TARGET) / scale, 1e-5)


def test_degenerate_heads_and_dtypes():
    for relevance in (relevance_l1, relevance_l2):
        assert_degenerate(lambda w, r=relevance: r(W, w), TARGET, axes=(), differentiable=False, jit=False)
        assert_degenerate(relevance, W, TARGET, axes=(1,), differentiable=False, jit=False)
    assert_degenerate(lambda W, w: lasso(W, w, 0.1), W, TARGET, axes=(1,), differentiable=False)
    assert_dtypes(lambda W, w: lasso(W, w, 0.5), W, TARGET, tolerance=1e-4)
    assert_dtypes(lambda W: relevance_l2(W, W[:, 0]), W, tolerance=1e-4, jit=False)


# --- LASSO ---


def test_lasso_is_stationary():
    lam = 0.3
    nu = np.asarray(lasso(W, TARGET, lam), np.float64)
    slope = W.T @ (W @ nu - TARGET)
    np.testing.assert_allclose(slope[nu != 0], -lam * np.sign(nu[nu != 0]), atol=1e-5)
    assert (np.abs(slope[nu == 0]) <= lam + 1e-5).all()


def test_lasso_is_that_of_scikit_learn():
    from sklearn.linear_model import Lasso

    peer = Lasso(alpha=0.2 / len(W), fit_intercept=False, tol=1e-8).fit(W.astype(float), TARGET.astype(float))
    np.testing.assert_allclose(lasso(W, TARGET, 0.2), peer.coef_, atol=1e-4)


def test_the_path_begins_at_zero_and_tends_to_basis_pursuit():
    penalties, path = lasso_path(W, TARGET, np.array([1.0, 0.1, 1e-3]))
    assert not path[0].any() and (np.diff(penalties) < 0).all()
    nu1 = np.asarray(relevance_l1(W, TARGET))
    np.testing.assert_allclose(np.abs(path[-1]).sum(), np.abs(nu1).sum(), rtol=0.02)
    assert_jit_consistent(lambda W, w: lasso(W, w, 0.2), jnp.asarray(W), jnp.asarray(TARGET), tolerance=1e-4)
    assert_vmap_consistent(lambda w: lasso(W, w, 0.2), jnp.stack([TARGET, 2 * TARGET]), tolerance=1e-4)


def test_the_penalty_follows_the_error_of_the_target():
    near, far = (np.asarray(lasso_at_error(W, TARGET, error)) for error in (1e-2, 0.5))
    for nu, error in ((near, 1e-2), (far, 0.5)):
        assert np.linalg.norm(W @ nu - TARGET) <= error
    assert np.abs(far).sum() < np.abs(near).sum()
    assert not lasso_at_error(W, TARGET, 10.0).any()


# --- Allocation ---


def test_the_split_by_size_is_the_best():
    nu = np.array([0.5, -2.0, 1.0])
    best = float(risk_bound(nu, 100 * shares(nu, "l1")))
    np.testing.assert_allclose(best, np.abs(nu).sum() ** 2 / 100, rtol=1e-5)
    for _ in range(20):
        assert risk_bound(nu, 100 * RNG.dirichlet(np.ones(3))) > best * (1 - 1e-5)


def test_the_best_split_of_money():
    nu, costs = np.array([0.5, -2.0, 1.0]), np.array([1.0, 9.0, 4.0])
    n = 100 * np.asarray(shares(nu, "l1", costs)) / costs
    np.testing.assert_allclose(money(n, costs), 100, rtol=1e-5)
    best = float(risk_bound(nu, n))
    np.testing.assert_allclose(best, (np.sqrt(costs) @ np.abs(nu)) ** 2 / 100, rtol=1e-5)
    for _ in range(20):
        assert risk_bound(nu, 100 * RNG.dirichlet(np.ones(3)) / costs) > best * (1 - 1e-5)
    assert money(np.array([1, 0]), np.ones(2), fixed=3.0) == 4.0


def test_the_learner_s_choice_of_nu_is_the_best():
    n = RNG.integers(5, 50, 7)
    best = float(best_bound(W, TARGET, n))
    null = np.linalg.svd(W)[2][3:]
    for _ in range(20):
        nu = np.asarray(relevance_l2(W, TARGET)) + RNG.normal(size=4) @ null
        assert risk_bound(nu, n) >= best * (1 - 1e-4)
    assert_jit_consistent(best_bound, W, TARGET, n.astype(np.float32))


def test_counts_are_rounded_up_and_have_a_floor():
    nu = np.array([1.0, 3.0, 0.0, 0.0])
    assert allocate(nu, 1000, "l1").tolist() == [250, 750, 0, 0]
    assert allocate(nu, 10, "l2", n_min=2).tolist() == [2, 9, 2, 2]
    assert allocate(nu, 3, "uniform").tolist() == [1, 1, 1, 1]  # fewer samples than tasks
    assert allocate(np.zeros(4), 8, "l1").tolist() == [2, 2, 2, 2]
    assert allocate(nu, 0, "l1").tolist() == [0, 0, 0, 0]
    costs = np.array([1.0, 9.0, 1.0, 1.0])
    assert allocate(nu, 100, "l1", costs=costs).tolist() == [10, 10, 0, 0]


def test_sources_without_samples():
    assert risk_bound(np.array([1.0, 0.0]), np.array([4, 0])) == 0.25
    assert risk_bound(np.array([1.0, 0.1]), np.array([4, 0])) == np.inf
    assert best_bound(np.eye(2), np.array([1.0, 0.0]), np.array([4, 0])) == 0.25
    assert best_bound(np.eye(2), np.array([1.0, 1.0]), np.array([4, 0])) == np.inf


def test_degenerate_shares_and_dtypes():
    assert_degenerate(lambda nu: shares(nu, "l2"), TARGET, differentiable=False)
    assert_dtypes(lambda nu: shares(nu, "l1"), TARGET)
    assert_dtypes(lambda nu: risk_bound(nu, np.array([1, 2, 3])), TARGET)


# --- Alternating least squares ---


def small_problem(counts=80, sigma=1.0, d=6):
    problem = relevant_sources(np.random.default_rng(1), d=d, k=2, tasks=5, relevant=1)
    return problem, draw_moments(np.random.default_rng(2), problem.theta, np.full(5, counts), sigma)


def test_without_noise_the_representation_is_found():
    problem, data = small_problem(sigma=0.0)
    fit = fit_mtrl(data, 2, rounds=20)
    assert subspace_distance(problem.basis, fit.basis) < 1e-3
    np.testing.assert_allclose(fit.basis.T @ fit.basis, np.eye(2), atol=1e-5)
    np.testing.assert_allclose(np.asarray(fit.basis @ fit.heads), problem.theta.T, atol=1e-2)


def loss(data, basis, heads):
    theta = np.asarray(basis, np.float64) @ np.asarray(heads, np.float64)
    return sum(
        s - 2 * t @ c + t @ g @ t
        for s, t, c, g in zip(data.square.tolist(), theta.T, np.asarray(data.cross), np.asarray(data.gram), strict=True)
    )


def test_every_round_lowers_the_loss_to_a_stationary_point():
    with jax.enable_x64():
        data = jax.tree.map(lambda x: jnp.asarray(np.asarray(x, np.float64)), small_problem(counts=10)[1])
        losses = [loss(data, *fit_mtrl(data, 2, rounds=r)) for r in (0, 1, 2, 200)]
        assert all(a > b for a, b in pairwise(losses))
        basis, heads = fit_mtrl(data, 2, rounds=200)
        gradient = jnp.einsum("tij,jt->it", data.gram, basis @ heads) - data.cross.T
        assert jnp.abs(gradient @ heads.T).max() < 1e-5 * jnp.abs(data.cross.T @ heads.T).max()


def test_conjugate_gradients_solve_the_system():
    with jax.enable_x64():
        data = jax.tree.map(lambda x: jnp.asarray(np.asarray(x, np.float64)), small_problem(counts=12)[1])
        basis = leading_subspace(first_moments(data), 2, data.count)
        heads = task_heads(data, basis)
        assert_close(projector(update_basis(data, basis, heads)), projector(by_kronecker(data, basis, heads)), 1e-6)


def test_tasks_without_samples_change_nothing():
    _, data = small_problem()
    padded = study.pad_tasks(data, 8)
    fit, wide = fit_mtrl(data, 2), fit_mtrl(padded, 2)
    np.testing.assert_allclose(projector(wide.basis), projector(fit.basis), atol=1e-4)
    assert not wide.heads[:, 5:].any()


def test_sums_add_up():
    X, y = RNG.normal(size=(9, 4)), RNG.normal(size=9)
    whole, parts = moments([X], [y]), moments([X[:5]], [y[:5]]) + moments([X[5:]], [y[5:]])
    assert_close(parts, whole, 1e-6)
    assert moments([X[:0], X], [y[:0], y]).count.tolist() == [0, 9]
    assert moments([X.astype(np.float16)], [(y > 0).astype(np.uint8)]).gram.dtype == jnp.float32
    assert whole[0].cross.shape == (4,)


def test_the_head_of_the_target_and_its_error():
    rng, basis = np.random.default_rng(3), np.linalg.qr(RNG.normal(size=(6, 2)))[0]
    w, errors, heads = np.array([1.0, -2.0]), [], []
    for _ in range(200):
        head = target_head(draw_moments(rng, basis @ w, 30, 0.5), basis)
        errors.append(float(head.error) ** 2)
        heads.append(np.asarray(head.w))
    np.testing.assert_allclose(np.mean(heads, 0), w, atol=0.05)
    np.testing.assert_allclose(np.mean(errors), np.sum((np.array(heads) - w) ** 2, 1).mean(), rtol=0.2)


@pytest.mark.parametrize("n", [2, 50])
def test_drawn_sums_are_those_of_drawn_samples(n):
    theta, rng = np.array([1.0, -1.0, 0.5]), np.random.default_rng(0)
    found = draw_moments(rng, np.tile(theta, (4000, 1)), np.full(4000, n), 0.7)
    X = rng.standard_normal((4000, n, 3))
    y = X @ theta + 0.7 * rng.standard_normal((4000, n))
    expected = np.einsum("tni,tnj->tij", X, X), np.einsum("tni,tn->ti", X, y), (y**2).sum(1)
    for a, b in zip((found.gram, found.cross, found.square), expected, strict=True):
        np.testing.assert_allclose(a.mean(0), b.mean(0), atol=0.08 * n**0.5 + 0.02 * n)
        np.testing.assert_allclose(a.std(0), b.std(0), rtol=0.12)
    ranks = np.linalg.matrix_rank(found.gram[:20].astype(np.float64), rtol=1e-5)
    assert (ranks == min(n, 3)).all()


def test_subspaces_and_errors():
    problem, _ = small_problem()
    assert subspace_distance(problem.basis, problem.basis) < 1e-6
    assert representation_error(problem.target_theta, problem.basis) < 1e-10
    np.testing.assert_allclose(representation_error(np.array([1.0, 2.0]), np.array([[1.0], [0.0]])), 4.0)


# --- Families ---


def test_relevant_sources_make_the_target_and_overlap_is_as_asked():
    problem = relevant_sources(np.random.default_rng(0), d=10, k=4, tasks=9, overlap=0.0)
    np.testing.assert_allclose(relevance_l1(problem.heads, problem.target)[:2], 0.5, atol=1e-5)
    np.testing.assert_allclose(problem.target @ problem.heads[:, 2:], 0, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(problem.heads, axis=0), [2.5, 2.5] + [1.0] * 7)


@pytest.mark.parametrize("k", [1, 2])
def test_the_lower_bound_family(k):
    W, w = one_strong_source(16 * k, 0.5, k)
    short = 15 * 0.25
    with jax.enable_x64():
        nu1, nu2 = relevance_l1(W, w), relevance_l2(W, w)
        assert (nu1 != 0).sum() == k
        np.testing.assert_allclose(16 * k * (nu2**2).sum() / jnp.abs(nu1).sum() ** 2, 16 / (1 + short), rtol=1e-9)
        ratio = best_bound(W, w, shares(nu2, "l2")) / best_bound(W, w, shares(nu1, "l1"))
        np.testing.assert_allclose(ratio, (1 + short) / (1 + short / 4), rtol=1e-9)


# --- The loop ---


@pytest.mark.parametrize("strategy", ["uniform", "l2", "l1"])
def test_every_strategy_spends_the_budget(strategy):
    problem, _ = small_problem()
    rng = np.random.default_rng(0)
    target = draw_moments(rng, problem.target_theta, 100)
    sampler = lambda n: draw_moments(rng, problem.theta, n)  # noqa: E731
    run = run_amtrl(sampler, target, linear_learner(2), 1500, strategy, tasks=5, n_min=20, epochs=3)
    assert run.counts.min() >= 20 and 1500 <= run.counts.sum() <= 1500 + 3 * 5
    assert representation_error(problem.target_theta, run.estimate.model) < 0.05
    assert (run.counts.argmax() == 0) or strategy == "uniform"


def test_relevance_from_estimates():
    estimate = Estimate(jnp.asarray(W), Head(jnp.asarray(TARGET), jnp.asarray(0.1), jnp.asarray(0.1)), None)
    np.testing.assert_allclose(estimate_relevance(estimate, "l2"), relevance_l2(W, TARGET), atol=1e-5)
    assert (estimate_relevance(estimate, "l1") != 0).sum() < 7
    assert (estimate_relevance(estimate, "uniform") == 1).all()


def test_studies_in_small():
    preset = replace(
        PRESETS["quick"], linear=Linear(d=8, k=3, tasks=6, budget=600, trials=1, sizes=(6,), budgets=(600,), family=6)
    )
    keys = jax.random.key(0)[None]
    known = study.known_study.__wrapped__(preset, keys)
    assert known["budgets"].shape == known["sparse"].shape == (1, 1, 2, 3) and (known["budgets"] > 0).all()
    assert study.family_study.__wrapped__(preset, keys)["errors"].shape == (1, 5, 2, 3)
    found = study.estimated_study.__wrapped__(preset, keys)
    assert set(study.RUNS) < set(found) and found["l1"].shape == (1,)


# --- Images ---

SMALL = Images(k=3, budget=60 * 20, n_min=15, n_target=50, network=Network(channels=(8,), k=3, rounds=2, steps=5, batch_size=16))


@pytest.fixture(scope="module")
def digit_tasks():
    return image_tasks("digits")


def test_corruptions_keep_shape_and_range():
    images = RNG.uniform(size=(3, 8, 8, 1)).astype(np.float32)
    for name in CORRUPTIONS:
        out = corrupt(images, name, np.random.default_rng(0))
        assert out.shape == images.shape and out.min() >= -1e-6 and out.max() <= 1 + 1e-6 and not np.allclose(out, images)


def test_samples_are_of_their_task(digit_tasks):
    drawn = digit_tasks.draw(np.random.default_rng(0), np.array([3, 17]), np.array([200, 1500]))
    n = len(digit_tasks.labels)
    assert np.bincount(drawn.task).tolist() == [200, 1500]
    assert (drawn.place[drawn.task == 0] < n).all() and (drawn.place[drawn.task == 1] // n == 1).all()
    np.testing.assert_array_equal(drawn.y[:200] > 0, digit_tasks.labels[drawn.place[:200]] == 3)
    assert len(np.unique(drawn.place[drawn.task == 1])) == min(n, 1500)
    assert len(digit_tasks.sources(5)) == digit_tasks.num_tasks - 1 and 5 not in digit_tasks.sources(5)
    sums = drawn.moments(digit_tasks.inputs, 3)
    assert sums.count.tolist() == [200, 1500, 0]
    np.testing.assert_allclose(
        np.cov(digit_tasks.inputs[:, :-1], rowvar=False), np.eye(digit_tasks.inputs.shape[1] - 1), atol=0.01
    )


@pytest.mark.parametrize("network", [False, True])
def test_image_runs_in_small(digit_tasks, network):
    found = by_strategy(digit_tasks, 12, SMALL, jax.random.key(0), network)
    assert all(0 <= found[name] <= 1 for name in ("uniform", "l2", "l1", "target alone"))
    assert found["always no"] == digit_tasks.error(12, -np.ones(len(digit_tasks.test_labels)))


def test_the_network_learns(digit_tasks):
    sources = digit_tasks.sources(12)[:4]
    data = digit_tasks.draw(np.random.default_rng(0), sources, np.full(4, 300))
    config = Network(channels=(32,), k=3, rounds=6, steps=60, rate=1e-2)
    learner = network_learner(digit_tasks.images, 4, config, jax.random.key(0))
    estimate = learner(data, data)
    phi = np.asarray(estimate.model(jnp.asarray(digit_tasks.images[data.place])))
    scores = np.einsum("nk,kn->n", phi, np.asarray(estimate.heads)[:, data.task])
    assert np.mean((scores - data.y) ** 2) < 0.5 * np.var(data.y)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_traced(name):
    linear, images = PRESETS[name].linear, PRESETS[name].images
    shape = jax.ShapeDtypeStruct

    def sums(*tasks, d):
        return Moments(*(shape((*tasks, *rest), jnp.float32) for rest in ((d, d), (d,), (), ())))

    fit = jax.eval_shape(lambda data: fit_mtrl(data, linear.k), sums(linear.tasks, d=linear.d))
    assert fit.basis.shape == (linear.d, linear.k) and fit.heads.shape == (linear.k, linear.tasks)
    head = jax.eval_shape(target_head, sums(d=linear.d), fit.basis)
    assert jax.eval_shape(lasso_at_error, fit.heads, head.w, head.error).shape == (linear.tasks,)
    side = 8 if images.image_set == "digits" else 28
    net = nnx.eval_shape(lambda: build(images.network, jax.random.key(0)))
    graph, state = nnx.split(net)
    out = jax.eval_shape(lambda s, x: nnx.merge(graph, s)(x), state, shape((5, side, side, 1), jnp.float32))
    assert out.shape == (5, images.network.k)


# --- Errors ---


def test_errors(as_installed):
    _, data = small_problem()
    run = lambda **options: run_amtrl(  # noqa: E731
        lambda n: None, None, linear_learner(2), **{"budget": 100, "strategy": "l1", "tasks": 5, "n_min": 3} | options
    )
    for match, call in (
        ("rank is 1 of 3; use lasso", lambda: relevance_l2(W[:, :1], TARGET)),
        ("rank is 1 of 3; use lasso", lambda: relevance_l1(W[:, :1], TARGET)),
        (r"W has shape \(3, 7\) and w \(2,\)", lambda: relevance_l2(W, TARGET[:2])),
        ("costs has shape", lambda: relevance_l1(W, TARGET, np.zeros(7))),
        ("relevance_l1 solves a linear program on the host", lambda: jax.jit(relevance_l1)(W, TARGET)),
        ("W has 21 numbers that are not finite", lambda: lasso(np.nan * W, TARGET, 0.1)),
        ("lam is -1", lambda: lasso(W, TARGET, -1.0)),
        ("iters is 0", lambda: lasso(W, TARGET, 1.0, iters=0)),
        ("rule is 'l3'", lambda: shares(TARGET, "l3")),
        ("nu has shape", lambda: shares(W, "l1")),
        ("N is -1", lambda: allocate(TARGET, -1, "l1")),
        ("n_min is -1", lambda: allocate(TARGET, 1, "l1", n_min=-1)),
        ("nu has shape", lambda: risk_bound(TARGET, np.ones(2))),
        ("n has a count of -1", lambda: best_bound(W, TARGET, -np.ones(7))),
        ("n has shape", lambda: best_bound(W, TARGET, np.ones(3))),
        ("Xs has 1 tasks and ys 0", lambda: moments([W], [])),
        ("task 1 has inputs", lambda: moments([W, W], [TARGET, TARGET[:2]])),
        ("k is 7; it must be between 1 and the 6", lambda: fit_mtrl(data, 7)),
        ("rounds is -1", lambda: fit_mtrl(data, 2, rounds=-1)),
        ("start has shape", lambda: fit_mtrl(data, 2, start=np.eye(6))),
        ("data has gram", lambda: fit_mtrl(data[0], 2)),
        ("data has cross", lambda: target_head(data, np.eye(6))),
        ("have no sum", lambda: data + data[0]),
        ("B has shape", lambda: subspace_distance(W, TARGET)),
        ("relevant < k <= d", lambda: relevant_sources(RNG, d=3, k=4, tasks=5)),
        ("k must divide tasks", lambda: one_strong_source(5, 0.5, 2)),
        ("counts has shape", lambda: draw_moments(RNG, np.ones((2, 3)), np.array([1, -1]))),
        ("budget is 10; the warm start takes 3 samples of each of 5", lambda: run(budget=10)),
        ("strategy is 'best'", lambda: run(strategy="best")),
        ("epochs is 0", lambda: run(epochs=0)),
        ("image_set is 'cats'", lambda: image_tasks("cats")),
        ("name is 'fog'", lambda: corrupt(np.zeros((1, 8, 8, 1), np.float32), "fog", RNG)),
        ("trials is 0", lambda: Linear(trials=0)),
        ("sizes is", lambda: Linear(tasks=50)),
        ("steps is 0", lambda: Network(steps=0)),
        ("n_min is 0", lambda: Images(n_min=0)),
    ):
        with pytest.raises(ValueError, match=match):
            call()


def test_examples_add_up():
    a = Examples(np.array([0]), np.array([5]), np.array([1.0]))
    assert (a + a).place.tolist() == [5, 5]
