"""Unsupervised pretraining: golden parity, models, heads, distances, sweeps against the definitions, presets, errors."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import erf
from scipy.stats import multivariate_normal
from sklearn.linear_model import RidgeCV

from quire.common.manifolds.orthogonal import procrustes
from quire.common.testing import (
    assert_close,
    assert_degenerate,
    assert_dtypes,
    assert_gradients,
    assert_jit_consistent,
    assert_matches_float64,
    assert_vmap_consistent,
    cast,
)
from quire.unsupervised_pretraining import (
    PRESETS,
    ContrastiveModel,
    Encoder,
    FactorModel,
    Gap,
    GaussianMixture,
    Pairs,
    TwoPhase,
    contrastive_gap,
    contrastive_nll,
    draw_pairs,
    em,
    em_step,
    end_to_end,
    erm_linear,
    erm_table,
    excess_risk_linear,
    factor_gap,
    factor_problem,
    kappa_hat,
    kl_gaussian,
    mixture_gap,
    random_encoder,
    ridge_loo,
    ridge_path,
    silent_coordinate,
    squared_hellinger,
    squared_hellinger_gaussian,
    sweep,
    total_variation,
    two_phase,
    uniform_mixture,
)
from quire.unsupervised_pretraining.config import Factors, Mixture
from quire.unsupervised_pretraining.contrast_study import draw_contrast
from quire.unsupervised_pretraining.mixture_study import MixtureData, centroids, draw_mixture, pretrain, two_phase_errors
from quire.unsupervised_pretraining.sweeps import Sample, draw_sample, excess_risks

RNG = np.random.default_rng(0)
X = RNG.normal(size=(9, 5)).astype(np.float32)
B = RNG.normal(size=(5, 2)).astype(np.float32)
KEY = jax.random.key(0)

# --- Golden vectors ---

PRECISIONS = pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-9), ("float32", 1e-4)])


def in_precision(dtype):
    return jax.enable_x64(dtype == "float64")


@PRECISIONS
def test_golden_factor_model(golden, dtype, tolerance):
    with in_precision(dtype):
        g = cast(golden("unsupervised_pretraining").arrays, dtype)
        truth, s = FactorModel(g["B"]), g["S"]
        r, count = g["B"].shape[1], len(g["post_mean_true"])
        fitted = FactorModel.fit(g["X"], r)
        assert_close(g["X"].T @ g["X"] / len(g["X"]), s, tolerance)
        assert_close(fitted.loadings @ fitted.loadings.T, g["BBt_hat"], tolerance)
        for model, name in ((fitted, "nll_hat"), (truth, "nll_true")):
            assert_close(model.nll(s), g[name], tolerance)
            assert_close(-model.logpdf(g["X"]).mean(), g[name], tolerance)
        assert_close(truth.features(g["X"][:count]), g["post_mean_true"], tolerance)
        assert_close(truth.coefficients(g["beta"]), g["bayes_coef"], tolerance)
        left = g["beta"] @ (g["beta"] - g["B"].T @ g["bayes_coef"])  # beta^T (I - B^T (B B^T + I)^-1 B) beta
        assert_close(left, g["bayes_risk_noiseless"], tolerance)
        assert_close(squared_hellinger_gaussian(truth.covariance, fitted.covariance), g["hellinger2"], tolerance)
        assert_close(kl_gaussian(truth.covariance, fitted.covariance), g["kl_true_hat"], tolerance)


@PRECISIONS
def test_golden_two_phases(golden, dtype, tolerance):
    with in_precision(dtype):
        g = cast(golden("unsupervised_pretraining").arrays, dtype)
        found = two_phase(partial(FactorModel.fit, r=g["B"].shape[1]), g["X"], g["Xl"], g["yl"])
        coefficients = found.model.coefficients(found.head)
        assert_close(coefficients, g["two_phase_coef"], tolerance)
        assert_close(found.predict(g["Xl"]), g["Xl"] @ g["two_phase_coef"], tolerance)
        squares = erm_linear(g["Xl"], g["yl"])
        assert_close(squares, g["ols_coef"], tolerance)
        sigma = FactorModel(g["B"]).covariance
        for c, name in ((coefficients, "excess_two_phase"), (squares, "excess_ols")):
            assert_close(excess_risk_linear(c, g["bayes_coef"], sigma), g[name], tolerance)


@PRECISIONS
def test_golden_mixture(golden, dtype, tolerance):
    with in_precision(dtype):
        g = cast(golden("unsupervised_pretraining").arrays, dtype)
        start, steps = uniform_mixture(g["gmm_M0"]), len(g["gmm_ll"])
        last, likelihoods = em(start, g["gmm_X"], steps)
        (means,) = (g[name] for name in g if name.startswith("gmm_M") and name != "gmm_M0")
        assert_close(last.means, means, tolerance)
        assert_close(likelihoods, g["gmm_ll"], tolerance)
        before, _ = em(start, g["gmm_X"], steps - 1)
        assert_close(em_step(before, g["gmm_X"]).responsibilities, g["gmm_resp_last"], tolerance)


@PRECISIONS
def test_golden_contrastive(golden, dtype, tolerance):
    with in_precision(dtype):
        g = cast(golden("unsupervised_pretraining").arrays, dtype)
        pairs = Pairs(g["con_x"], g["con_xp"], g["con_t"])
        nll, slope = jax.value_and_grad(lambda theta: contrastive_nll(Encoder((theta,)), pairs))(g["con_theta"])
        assert_close(nll, g["con_nll"], tolerance)
        assert_close(slope, g["con_grad"], tolerance)


# --- Factor model ---


def test_density_and_posterior_mean_are_those_of_the_gaussian():
    sigma = B @ B.T + np.eye(5)
    np.testing.assert_allclose(FactorModel(B).logpdf(X), multivariate_normal(np.zeros(5), sigma).logpdf(X), rtol=1e-5)
    np.testing.assert_allclose(FactorModel(B).features(X), X @ np.linalg.solve(sigma, B), atol=1e-5)
    weights = np.array([0.5, -1.0], np.float32)
    np.testing.assert_allclose(X @ FactorModel(B).coefficients(weights), FactorModel(B).features(X) @ weights, atol=1e-5)


def test_a_head_absorbs_scores_of_any_scale_but_not_the_ridge():
    """Plain principal components are the same features up to scales: the fitted predictor is the same without a penalty only."""
    model, y = FactorModel(B), X @ np.arange(5, dtype=np.float32)
    scores = X @ np.linalg.svd(B, full_matrices=False)[0]
    predictions = [f @ np.asarray(erm_linear(f, y)) for f in (np.asarray(model.features(X)), scores)]
    np.testing.assert_allclose(*predictions, rtol=1e-3, atol=1e-4)
    ridged = [f @ np.asarray(erm_linear(f, y, ridge=3.0)) for f in (np.asarray(model.features(X)), scores)]
    assert np.abs(ridged[0] - ridged[1]).max() > 0.1


def test_eigenvalues_below_one_are_no_factors():
    s = np.diag([4.0, 0.5, 0.2])
    b = np.asarray(FactorModel.from_second_moments(s, 3).loadings)
    np.testing.assert_allclose(b @ b.T, np.diag([3.0, 0.0, 0.0]), atol=1e-6)
    np.testing.assert_allclose(FactorModel(b).features(X[:, :3])[:, 1:], 0, atol=1e-6)


def test_likelihood_is_stationary_and_better_than_the_truth():
    with jax.enable_x64():
        problem = factor_problem(6, 2, 0.1, RNG)
        x, _ = problem.draw(300, RNG)
        s = jnp.asarray(x.T @ x / 300)
        fitted = FactorModel.from_second_moments(s, 2)
        slope = jax.grad(lambda b: FactorModel(b).nll(s))(fitted.loadings)
        assert np.abs(slope).max() < 1e-10
        assert fitted.nll(s) < FactorModel(problem.loadings).nll(s)
        assert_gradients(lambda b: FactorModel(b).nll(s), problem.loadings)


# --- Heads ---


def test_heads_are_least_squares_and_ridge():
    y = X @ np.arange(5) + RNG.normal(size=9)
    np.testing.assert_allclose(erm_linear(X, y), np.linalg.lstsq(X, y, rcond=None)[0], rtol=1e-3, atol=1e-4)
    ridge = np.linalg.solve(X.T @ X + 2 * np.eye(5), X.T @ y)
    np.testing.assert_allclose(erm_linear(X, y, ridge=2.0), ridge, rtol=1e-4)
    both = erm_linear(X, np.stack([y, 2 * y], axis=1))
    np.testing.assert_allclose(both[:, 1], 2 * both[:, 0], rtol=1e-4)
    few = erm_linear(X[:2], y[:2])  # fewer examples than features: the shortest that fits
    np.testing.assert_allclose(few, np.linalg.pinv(X[:2]) @ y[:2], rtol=1e-3, atol=1e-5)


def test_rows_of_zeros_change_nothing():
    y = X @ np.arange(5, dtype=np.float32) + 1
    more, zeros = np.concatenate([X, np.zeros((4, 5), np.float32)]), np.concatenate([y, np.zeros(4, np.float32)])
    np.testing.assert_allclose(erm_linear(more, zeros), erm_linear(X, y), rtol=1e-4, atol=1e-5)
    for padded, plain in zip(ridge_path(more, zeros, np.ones(1)), ridge_path(X, y, np.ones(1)), strict=True):
        np.testing.assert_allclose(padded, plain, rtol=1e-4, atol=1e-5)


def test_leave_one_out_is_what_it_says():
    with jax.enable_x64():
        x, y = X.astype(float), X @ np.arange(5) + RNG.normal(size=9)
        _, errors = ridge_path(x, y, np.array([0.0, 1.0]))
        for penalty, found in zip((0.0, 1.0), errors, strict=True):
            left = [y[i] - x[i] @ np.asarray(erm_linear(np.delete(x, i, 0), np.delete(y, i), ridge=penalty)) for i in range(9)]
            np.testing.assert_allclose(found, np.sum(np.square(left)), rtol=1e-8)
        penalties = [0.01, 0.1, 1.0, 10.0]
        coefficients, errors = ridge_path(x, y, np.array(penalties))
        chosen = RidgeCV(alphas=penalties, fit_intercept=False).fit(x, y)
        assert penalties[int(errors.argmin())] == chosen.alpha_
        np.testing.assert_allclose(coefficients[errors.argmin()], chosen.coef_, rtol=1e-8)


def test_interpolation_is_never_chosen():
    _, errors = ridge_path(X[:4], np.arange(4.0), np.array([0.0, 1.0]))
    assert np.isinf(errors[0]) and np.isfinite(errors[1])
    assert np.isfinite(ridge_loo(X[:4], np.arange(4.0))).all()


def test_a_table_is_the_weighted_mean_and_stays_in_range():
    r = np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0]], np.float32)
    table = erm_table(r, np.array([1.0, 3.0]))
    np.testing.assert_allclose(table, [(0.9 + 0.6) / 1.1, (0.1 + 2.4) / 0.9, 2.0], rtol=1e-6)


def test_end_to_end_on_the_factor_model_is_least_squares():
    """The composition of model and head is every linear function."""
    with jax.enable_x64():
        x = RNG.normal(size=(30, 4))
        y = x @ np.arange(4) + 0.1 * RNG.normal(size=30)
        found = end_to_end(TwoPhase(FactorModel(RNG.normal(size=(4, 2))), RNG.normal(size=2)), x, y, steps=1500, rate=0.05)
        np.testing.assert_allclose(found.model.coefficients(found.head), erm_linear(x, y), atol=1e-3)


# --- Mixtures ---


def test_responsibilities_and_density_are_those_of_bayes():
    mixture = GaussianMixture(X[:3], np.log(np.array([0.5, 0.3, 0.2], np.float32)) + 7)
    joint = np.stack([w * multivariate_normal(u, np.eye(5)).pdf(X) for u, w in zip(X[:3], (0.5, 0.3, 0.2), strict=True)], 1)
    np.testing.assert_allclose(mixture.logpdf(X), np.log(joint.sum(1)), rtol=1e-4)
    np.testing.assert_allclose(mixture.features(X), joint / joint.sum(1, keepdims=True), rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(mixture.weights, [0.5, 0.3, 0.2], rtol=1e-5)


def test_the_likelihood_never_falls():
    _, likelihoods = em(uniform_mixture(X[:3]), X, 30)
    assert (np.diff(likelihoods) > -1e-5).all() and likelihoods[-1] > likelihoods[0]


def test_a_lost_component_takes_what_is_explained_worst():
    x = np.array([[0.0], [0.1], [50.0]], np.float32)
    found = em_step(uniform_mixture(np.array([[0.0], [1e4]], np.float32)), x)
    np.testing.assert_allclose(found.mixture.means[1], [50.0])
    assert np.isfinite(em(uniform_mixture(np.array([[0.0], [1e4]], np.float32)), x, 5)[0].means).all()


def test_means_and_weights_are_found_up_to_order():
    means = np.array([[0.0, 0.0], [8.0, 0.0], [0.0, 8.0]])
    z = RNG.choice(3, 600, p=[0.6, 0.3, 0.1])
    x = (means[z] + RNG.normal(size=(600, 2))).astype(np.float32)
    found = GaussianMixture.fit(x, 3, KEY, restarts=3, steps=30, learn_weights=True)
    order = np.argsort(found.weights)[::-1]
    np.testing.assert_allclose(np.asarray(found.means)[order], means, atol=0.4)
    np.testing.assert_allclose(np.sort(found.weights)[::-1], [0.6, 0.3, 0.1], atol=0.06)


# --- Contrastive ---


def test_turning_the_features_leaves_the_likelihood():
    theta = RNG.normal(size=(2, 5))
    pairs = draw_pairs(Encoder((theta,)), 40, RNG)
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    assert_close(contrastive_nll(Encoder((turn @ theta,)), pairs), contrastive_nll(Encoder((theta,)), pairs), 1e-5)


def test_pairs_teach_the_encoder():
    truth = random_encoder((4, 2), KEY, scale=2.0)
    pairs = draw_pairs(truth, 3000, RNG)
    assert 0.2 < pairs.linked.mean() < 0.8
    found = ContrastiveModel.fit(pairs, 2, KEY, steps=200)
    theta, other = (np.asarray(e.weights[0]) for e in (truth, found.encoder))
    aligned = np.asarray(procrustes(jnp.asarray(other.T), jnp.asarray(theta.T)))
    assert np.linalg.norm(other.T @ aligned - theta.T) < 0.15 * np.linalg.norm(theta)
    assert contrastive_nll(found.encoder, pairs) <= contrastive_nll(truth, pairs)
    slope = jax.grad(contrastive_nll)(found.encoder, pairs).weights[0]
    assert np.abs(slope).max() < 1e-3


def test_encoders_with_hidden_layers():
    encoder = random_encoder((5, 7, 3), KEY)
    x = np.tanh(X @ np.asarray(encoder.weights[0]).T) @ np.asarray(encoder.weights[1]).T
    np.testing.assert_allclose(encoder(X), x, atol=1e-5)
    found = ContrastiveModel.fit(draw_pairs(encoder, 30, RNG), 3, KEY, hidden=(7,), steps=3)
    assert found.features(X).shape == (9, 3) and found.encoder.biases[0].any()


# --- Distances and the informative condition ---


def test_distances_of_close_gaussians_keep_their_digits():
    s = (B @ B.T + np.eye(5)).astype(np.float32)
    assert_matches_float64(lambda s: squared_hellinger_gaussian(s, 1.001 * s), s, differentiable=False)
    h = float(squared_hellinger_gaussian(s, np.float32(1.001) * s))
    np.testing.assert_allclose(h, 5 * 1e-6 / 16, rtol=1e-2)
    assert squared_hellinger_gaussian(s, s) == 0 and kl_gaussian(s, s) == 0


def test_estimates_of_distances():
    x = RNG.normal(size=40_000)
    log_p, log_q = -0.5 * x**2, -0.5 * (x - 1) ** 2
    np.testing.assert_allclose(total_variation(log_p, log_q), erf(0.5 / 2**0.5), atol=0.01)  # 2 Phi(1/2) - 1
    np.testing.assert_allclose(squared_hellinger(log_p, log_q), 1 - np.exp(-1 / 8), atol=0.005)
    assert total_variation(log_p, log_p) == 0


def test_gaps_do_not_see_what_a_head_absorbs():
    turn = np.array([[0.6, -0.8], [0.8, 0.6]], np.float32)
    means, theta = X[:3], B.T
    gaps = (
        factor_gap(FactorModel(B @ turn), FactorModel(B), RNG, 200),
        mixture_gap(uniform_mixture(means[[2, 0, 1]]), uniform_mixture(means), RNG, 200),
        contrastive_gap(Encoder((turn @ theta,)), Encoder((theta,)), RNG, 200),
    )
    for gap in gaps:
        assert gap.latent < 1e-4 and gap.observed < 1e-4


def test_a_silent_factor_is_not_informative():
    """Near it, what is seen changes by the square of what the representation changes by."""
    quotients = {}
    for name, truth in (("loud", B), ("silent", np.concatenate([B[:, :1], np.zeros((5, 1))], axis=1))):
        shift = np.outer([1.0, -1.0, 0.5, 0.3, 1.0], [0.0, 1.0])
        with jax.enable_x64():
            gaps = [
                factor_gap(FactorModel(truth + e * shift), FactorModel(truth.astype(float)), np.random.default_rng(1))
                for e in (0.1, 0.01)
            ]
            quotients[name] = [float(gap.ratio) for gap in gaps]
            kappa = kappa_hat(gaps)
    assert quotients["silent"][1] > 5 * quotients["silent"][0]
    assert quotients["loud"][1] < 1.5 * quotients["loud"][0] and kappa == max(quotients["silent"])


# --- Sweeps ---


def test_a_sweep_is_the_definition_size_by_size():
    draw = np.random.default_rng(3)
    problem = factor_problem(6, 2, 0.3, draw)
    sample = draw_sample(problem, (40, 200), 30, np.random.default_rng(4), d=8, r=3)
    again = np.random.default_rng(4)
    unlabelled, _ = problem.draw(200, again)
    x, y = problem.draw(30, again)
    with jax.enable_x64():
        found = excess_risks(Sample(*(np.asarray(leaf)[None] for leaf in sample)), (15, 30), 3)
        excess = partial(excess_risk_linear, c_star=problem.best, sigma=problem.covariance)
        for i, m in enumerate((40, 200)):
            for j, n in enumerate((15, 30)):
                fitted = two_phase(partial(FactorModel.fit, r=2), unlabelled[:m], x[:n], y[:n])
                expected = excess(fitted.model.coefficients(fitted.head))
                np.testing.assert_allclose(found["two-phase"][0, i, j], expected, rtol=1e-8)
        for j, n in enumerate((15, 30)):
            np.testing.assert_allclose(found["least squares"][0, j], excess(erm_linear(x[:n], y[:n])), rtol=1e-8)
            np.testing.assert_allclose(found["ridge"][0, j], excess(ridge_loo(x[:n], y[:n])), rtol=1e-8)
            head = erm_linear(FactorModel(problem.loadings).features(x[:n]), y[:n])
            known = excess(FactorModel(problem.loadings).coefficients(head))
            np.testing.assert_allclose(found["true model"][0, j], known, rtol=1e-8)
        np.testing.assert_allclose(found["nothing learned"][0], problem.best @ problem.covariance @ problem.best)


def test_problems_say_what_they_promise():
    problem = silent_coordinate(5, 2, 0.1, np.random.default_rng(0))
    x, y = problem.draw(50_000, np.random.default_rng(1))
    np.testing.assert_allclose(x.T @ x / len(x), problem.covariance, atol=0.15)
    np.testing.assert_allclose(np.linalg.lstsq(x, y, rcond=None)[0], problem.best, atol=0.01)
    assert not problem.loadings[-1].any()


def test_sweeps_fit_as_many_factors_as_they_are_told():
    kind = partial(factor_problem, 5, 2, 0.3)
    found = sweep([kind, kind], np.random.default_rng(0), ms=(300,), ns=(40,), draws=3, ranks=[1, 3])
    assert found["two-phase"].shape == (2, 3, 1, 1)
    assert found["two-phase"][0].mean() > 3 * found["two-phase"][1].mean()  # one factor of two is missing


SMALL = Mixture(k=3, d=4, m=300, ns=(6, 12), few=6, restarts=2, steps=20, tests=300)


def test_few_labels_name_the_components():
    data = draw_mixture(SMALL, 6.0, np.random.default_rng(0))
    distance = np.linalg.norm(data.means[:, None] - data.means[None], axis=-1)
    np.testing.assert_allclose(distance[~np.eye(3, dtype=bool)], 6.0, rtol=1e-5)
    stacked = MixtureData(*(leaf[None] for leaf in data))
    models = pretrain(stacked, SMALL, [KEY])
    errors = np.asarray(two_phase_errors(models, stacked, np.arange(12)[None] < np.array([[12]])))
    model = jax.tree.map(lambda leaf: leaf[0], models)
    table = erm_table(model.features(data.x), np.eye(3)[data.y])
    expected = np.argmax(model.features(data.test_x) @ table, axis=1) != data.test_y
    np.testing.assert_allclose(errors[0, 0], expected.mean(), atol=1e-6)
    assert errors.max() < 0.05
    means, met = centroids(data.x[:2], np.array([2, 2]), 3)
    np.testing.assert_allclose(means[2], data.x[:2].mean(0), rtol=1e-5)
    assert met.tolist() == [False, False, True]


# --- Presets, degenerate inputs, errors ---


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_traced(name):
    preset = PRESETS[name]
    for config, d, ms in (
        (preset.factors, preset.factors.dims[1], (preset.factors.m,)),
        (preset.crossover, preset.crossover.d, preset.crossover.ms),
    ):
        shapes = Sample((len(ms), d, d), (max(config.ns), d), (max(config.ns),), (d, config.r), (d,), (d, d), ())
        structs = Sample(*(jax.ShapeDtypeStruct((2, *shape), jnp.float32) for shape in shapes))
        found = jax.eval_shape(lambda s, c=config: excess_risks(s, c.ns, c.r), structs)
        assert found["two-phase"].shape == (2, len(ms), len(config.ns)) and found["ridge"].shape == (2, len(config.ns))
    mixture = preset.mixture
    x = jax.ShapeDtypeStruct((mixture.m, mixture.d), jnp.float32)
    start = jax.ShapeDtypeStruct((mixture.k, mixture.d), jnp.float32)
    fitted, likelihoods = jax.eval_shape(lambda u, x: em(uniform_mixture(u), x, mixture.steps), start, x)
    assert fitted.means.shape == start.shape and likelihoods.shape == (mixture.steps,)
    contrast = replace(preset.contrast, ms=(30,), draws=2)
    drawn = draw_contrast(contrast, KEY)
    assert drawn["theta"].shape == (contrast.r, contrast.d) and drawn["x"].shape == (2, contrast.n, contrast.d)


def test_degenerate_inputs():
    assert_degenerate(lambda b, x: FactorModel(b).logpdf(x), B, X)
    assert_degenerate(lambda b, x: FactorModel(b).features(x), B, X)
    assert_degenerate(lambda x: FactorModel.fit(x, 1).loadings, X, differentiable=False, jit=False)
    assert_degenerate(lambda u, x: em_step(uniform_mixture(u), x).mixture.means, X[:2], X)
    assert_degenerate(lambda u, x: uniform_mixture(u).logpdf(x), X[:2], X, scales=(1e-30, 1e3))
    assert_degenerate(lambda f, y: erm_linear(f, y), X, X[:, 0].copy(), differentiable=False, jit=False, scales=(1e-15, 1e6))
    assert_degenerate(lambda r, y: erm_table(jax.nn.softmax(r), y), X, X[:, 0].copy())
    assert_degenerate(lambda x, y: ridge_path(x, y, np.ones(1))[0], X, X[:, 0].copy(), differentiable=False, jit=False)
    assert_degenerate(lambda w, x: Encoder((w,))(x), B.T.copy(), X)


def test_dtypes_jit_and_vmap():
    functions = (
        (lambda b, x: FactorModel(b).logpdf(x), (B, X)),
        (lambda u, x: em_step(uniform_mixture(u), x).mixture.means, (X[:2], X)),
        (lambda f, y: erm_linear(f, y, ridge=1.0), (X, X[:, 0].copy())),
        (lambda w, x: Encoder((w,))(x), (B.T.copy(), X)),
    )
    for function, inputs in functions:
        assert_dtypes(function, *inputs, tolerance=1e-4, dtypes=("bool", "uint8", "float16"))
        assert_jit_consistent(function, *map(jnp.asarray, inputs))
    function, inputs = functions[0]
    assert_vmap_consistent(function, *(np.stack([x, 2 * x]) for x in inputs))
    u = np.array([[1e4, 0.0], [1e4 + 2, 0.0]])
    assert_matches_float64(lambda x: uniform_mixture(u.astype(x.dtype)).features(x), u[:1] + 1.2, rtol=2e-3)


def test_nothing_good_comes_of_nan():
    with jax.debug_nans(False):
        gaps = [Gap(jnp.asarray(v), jnp.asarray(1.0)) for v in (0.5, jnp.nan, 0.7)]
        assert np.isnan(kappa_hat(gaps))


def test_errors(as_installed):
    pairs = Pairs(X, X, np.ones(9))
    nan = np.full((9, 5), np.nan)
    for match, call in (
        ("r is 6", lambda: FactorModel.fit(X, 6)),
        ("at least one row", lambda: FactorModel.fit(X[:0], 1)),
        ("not finite", lambda: FactorModel.fit(nan, 1)),
        (r"needs \[n, 5\]", lambda: FactorModel(B).features(X[:, :4])),
        ("as many rows", lambda: erm_linear(X, X[:4, 0])),
        ("ridge is -1", lambda: erm_linear(X, X[:, 0], ridge=-1.0)),
        ("y has 9 numbers that are not finite", lambda: erm_linear(X, nan[:, 0])),
        ("must not be negative", lambda: erm_table(-np.ones((9, 2)), X[:, 0])),
        ("at least one", lambda: erm_table(np.ones((0, 2)), X[:0, 0])),
        ("d, d and d x d", lambda: excess_risk_linear(X[0], X[0], X)),
        ("k is 10", lambda: GaussianMixture.fit(X, 10, KEY)),
        ("restarts is 0", lambda: GaussianMixture.fit(X, 2, KEY, restarts=0)),
        ("not finite", lambda: GaussianMixture.fit(nan, 2, KEY)),
        ("at least one component", lambda: uniform_mixture(X[:0])),
        (r"needs \[n, 5\]", lambda: uniform_mixture(X).logpdf(X[:, :2])),
        ("number of rows of x is 0", lambda: em_step(uniform_mixture(X), X[:0])),
        ("other than 0 and 1", lambda: contrastive_nll(Encoder((B.T,)), pairs._replace(linked=2 * np.ones(9)))),
        (r"they need \[m, d\], \[m, d\], \[m\]", lambda: contrastive_nll(Encoder((B.T,)), pairs._replace(partner=X[:3]))),
        ("partner has 45 numbers", lambda: ContrastiveModel.fit(pairs._replace(partner=nan), 2, KEY)),
        ("steps is 0", lambda: ContrastiveModel.fit(pairs, 2, KEY, steps=0)),
        ("sizes is", lambda: random_encoder((3,), KEY)),
        ("m is 0", lambda: draw_pairs(Encoder((B.T,)), 0, RNG)),
        (r"needs \[n, 5\]", lambda: Encoder((B.T,))(X[:, :3])),
        ("two square ones", lambda: kl_gaussian(np.eye(2), np.eye(3))),
        ("number of samples is 0", lambda: total_variation(np.zeros(0), np.zeros(0))),
        ("one number for every sample", lambda: squared_hellinger(np.zeros(2), np.zeros(3))),
        ("number of gaps is 0", lambda: kappa_hat([])),
        ("need the same", lambda: factor_gap(FactorModel(B), FactorModel(B[:, :1]), RNG)),
        ("need the same", lambda: mixture_gap(uniform_mixture(X), uniform_mixture(X[:2]), RNG)),
        (r"\[n, d\], \[n\] and \[p\]", lambda: ridge_path(X, X[:2, 0], np.ones(1))),
        ("as many rows", lambda: end_to_end(TwoPhase(FactorModel(B), np.ones(2)), X, X[:2, 0])),
        ("ns must rise", lambda: Factors(ns=(40, 80))),
        ("few is 7", lambda: Mixture(few=7)),
    ):
        with pytest.raises(ValueError, match=match), jax.debug_nans(False):
            call()
