"""MLC: golden parity, coding rates, Sinkhorn layers and their derivatives, clustering, rivals, training, presets, errors."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from quire.common.layers.crate import coding_rate as half_coding_rate
from quire.common.testing import (
    assert_close,
    assert_degenerate,
    assert_dtypes,
    assert_gradients,
    assert_jit_consistent,
    assert_matches_float64,
    assert_vmap_consistent,
)
from quire.manifold_clustering import (
    PRESETS,
    MLCNet,
    Points,
    Stage,
    Study,
    affinity,
    augment,
    class_cosines,
    class_ranks,
    clustering_accuracy,
    coding_rate,
    coding_rate_classes,
    coding_rate_ds,
    copy_feature_head,
    curves,
    ensc,
    entropy,
    fit_mlc,
    fit_stage,
    imbalanced,
    kmeans_labels,
    laplacian_eigenvalues,
    load_points,
    log_det,
    marginal_errors,
    mcr2_objective,
    mlc_objective,
    nmce_objective,
    normalized_laplacian,
    num_components,
    numerical_rank,
    outputs,
    sinkhorn,
    spectral_cluster,
    ssc_omp,
    tcr_objective,
    unit,
)
from quire.manifold_clustering.evaluation import judge, parts
from quire.manifold_clustering.training import mlc, nmce, supervised, with_cluster_logits

RNG = np.random.default_rng(0)
KEY = jax.random.key(0)
Z = RNG.normal(size=(7, 4)).astype(np.float32)
Z /= np.linalg.norm(Z, axis=1, keepdims=True)
GAMMA = np.asarray(sinkhorn(jnp.asarray(Z @ Z.T), 0.2, tol=1e-6))

# --- Golden vectors ---

PRECISIONS = pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-8), ("float32", 1e-4)])


def in_precision(dtype):
    return jax.enable_x64(dtype == "float64")


@PRECISIONS
def test_golden_sinkhorn(golden, dtype, tolerance):
    g = golden("manifold_clustering")
    with in_precision(dtype):
        z, c, eta = jnp.asarray(g["Z"], dtype), jnp.asarray(g["C"], dtype), float(g["eta"])
        for grad in ("implicit", "unroll", "stopgrad"):
            assert_close(sinkhorn(affinity(c), eta, 5, grad=grad), g["gamma_5half_iters"], tolerance)
        assert_close(sinkhorn(affinity(c, "abs"), eta, 5), g["gamma_abs_5half_iters"], tolerance)
        assert_close(sinkhorn(affinity(c), eta), g["gamma_converged"], tolerance)
        assert_close(sinkhorn(affinity(z), eta), g["gamma_from_Z_converged"], tolerance)


@PRECISIONS
def test_golden_rates_and_objectives(golden, dtype, tolerance):
    g = golden("manifold_clustering")
    with in_precision(dtype):
        z, c, gamma = (jnp.asarray(g[name], dtype) for name in ("Z", "C", "gamma_converged"))
        eps, eta = float(g["eps_squared"]), float(g["eta"])
        classes = jax.nn.one_hot(g["labels"], int(g["labels"].max()) + 1, dtype=dtype)
        assert_close(coding_rate(z, eps), g["R"], tolerance)
        assert_close(coding_rate_ds(z, gamma, eps), g["Rc_ds"], tolerance)
        assert_close(coding_rate_classes(z, classes, eps), g["Rc_supervised"], tolerance)
        assert_close(mcr2_objective(z, classes, eps)[0], g["mcr2_supervised"], tolerance)
        value, rates = mlc_objective(z, c, eps, eta)
        assert_close(value, g["mlc_objective"], tolerance)
        assert_close(rates.memberships, g["gamma_converged"], tolerance)
        assert_close(
            tcr_objective(z, jnp.asarray(g["Z_view2"], dtype), eps, float(g["tcr_lambda"])), g["tcr_objective"], tolerance
        )


def test_golden_conventions_of_the_related_code(golden):
    g = golden("manifold_clustering")
    with jax.enable_x64():
        z, gamma, eps = jnp.asarray(g["Z"]), jnp.asarray(g["gamma_converged"]), float(g["eps_squared"])
        assert_close(coding_rate(z, eps) / 2, g["code_half_R"], 1e-6)
        assert_close(coding_rate_ds(z, gamma, eps) / 2, g["code_half_Rc"], 1e-6)
        loss = lambda z: (coding_rate_ds(z, gamma, eps) - coding_rate(z, eps)) / 2  # noqa: E731
        assert_close(jax.grad(loss)(z), g["grad_code_loss_wrt_Z"], 1e-6)


@pytest.mark.parametrize("options", [{}, {"n_half_iters": 400}, {"n_half_iters": 400, "grad": "unroll"}])
def test_golden_gradient_through_the_layer(golden, options):
    g = golden("manifold_clustering")
    with jax.enable_x64():
        value = lambda c: mlc_objective(g["Z"], c, float(g["eps_squared"]), float(g["eta"]), **options)[0]  # noqa: E731
        assert_close(jax.grad(value)(jnp.asarray(g["C"])), g["grad_objective_wrt_C"], 1e-6)


def test_golden_metrics(golden):
    g = golden("manifold_clustering")
    assert numerical_rank(g["Z"]) == g["num_rank_all"]
    assert class_ranks(g["Z"], g["labels"]).tolist() == g["num_rank_per_class"].tolist()
    assert clustering_accuracy(g["labels"], g["pred"]) == pytest.approx(float(g["acc"]), abs=1e-12)
    from quire.common.metrics.clustering import nmi

    assert nmi(g["labels"], g["pred"]) == pytest.approx(float(g["nmi"]), abs=1e-12)
    eigenvalues = g["laplacian_eigs"]
    np.testing.assert_allclose(laplacian_eigenvalues(g["gamma_converged"], len(eigenvalues)), eigenvalues, atol=1e-8)


# --- Rates ---


def test_rates_are_those_of_their_definition_and_agree_with_each_other():
    n, d = Z.shape
    direct = [np.linalg.slogdet(np.eye(d) + d / 0.3 * Z.T @ np.diag(GAMMA[:, j]) @ Z)[1] for j in range(n)]
    np.testing.assert_allclose(coding_rate_ds(Z, GAMMA, 0.3), np.mean(direct), rtol=1e-5)
    np.testing.assert_allclose(coding_rate_ds(Z, np.full((n, n), 1 / n), 0.3), coding_rate(Z, 0.3), rtol=1e-5)
    np.testing.assert_allclose(coding_rate_classes(Z, np.ones((n, 1)), 0.3), coding_rate(Z, 0.3), rtol=1e-5)
    np.testing.assert_allclose(coding_rate_classes(Z, GAMMA, 0.3), coding_rate_ds(Z, GAMMA, 0.3), rtol=1e-4)
    np.testing.assert_allclose(coding_rate(Z, 0.3), 2 * half_coding_rate(jnp.asarray(Z), 0.3**0.5), rtol=1e-5)
    np.testing.assert_allclose(coding_rate(Z[:2], 0.3), np.linalg.slogdet(np.eye(2) + 4 / 0.6 * Z[:2] @ Z[:2].T)[1], rtol=1e-5)


def test_blocks_change_nothing():
    z, gamma = jnp.asarray(Z[:6]), jnp.asarray(GAMMA[:6, :6])
    slopes = [jax.grad(lambda z, g, b=b: coding_rate_ds(z, g, 0.3, block=b), (0, 1))(z, gamma) for b in (2, None)]
    assert_close(*slopes, 1e-5)


def test_derivatives_of_the_rates():
    a = RNG.normal(size=(2, 3, 3))
    assert_gradients(lambda a: log_det(a @ jnp.swapaxes(a, 1, 2) + jnp.eye(3)[None]), a)
    assert_gradients(lambda z, g: coding_rate_ds(z, g, 0.3), Z[:5], GAMMA[:5, :5], tolerance=1e-4)
    assert_gradients(lambda z: coding_rate(z, 0.3), Z[:5])
    repeated = np.tile(Z[:1], (5, 1)) + 1e-4 * RNG.normal(size=(5, 4))
    assert_matches_float64(lambda z: coding_rate(z, 0.1), repeated)


def test_rates_at_their_edges_dtypes_jit_and_vmap():
    rate = lambda z: coding_rate(z, 0.3)  # noqa: E731
    assert_degenerate(rate, Z)
    assert_degenerate(lambda z: coding_rate_ds(z, sinkhorn(affinity(unit(z)), 0.2, 5), 0.3), Z)
    assert_dtypes(rate, Z)
    assert_jit_consistent(rate, jnp.asarray(Z))
    assert_vmap_consistent(lambda z, g: coding_rate_ds(z, g, 0.3), np.stack([Z, -Z[::-1]]), np.stack([GAMMA, GAMMA]))
    empty = np.stack([np.ones(7), np.zeros(7)], axis=1)
    slope = jax.grad(lambda pi: coding_rate_classes(Z, pi, 0.3))(jnp.asarray(empty, jnp.float32))
    assert jnp.isfinite(slope).all()
    assert_degenerate(unit, Z)


# --- The Sinkhorn layer ---


def test_convergence_symmetry_and_odd_half_iterations():
    rows, columns = marginal_errors(GAMMA)
    assert rows < 1e-5 and columns < 1e-5
    np.testing.assert_allclose(GAMMA, GAMMA.T, atol=1e-5)
    rows, columns = marginal_errors(sinkhorn(Z @ Z.T, 0.2, 3))
    assert rows < 1e-6 < 1e-4 < columns
    rows, columns = marginal_errors(sinkhorn(Z @ Z.T, 0.2, 4))
    assert columns < 1e-6 < 1e-4 < rows


def test_the_layer_is_the_entropic_projection():
    """No other doubly stochastic matrix is better, in the directions of cycles, which keep all sums."""
    with jax.enable_x64():
        A, eta = Z.astype(float) @ Z.T.astype(float), 0.2
        gamma = sinkhorn(A, eta)

        def value(g):
            return jnp.sum(A * g) + eta * jnp.sum(jax.scipy.special.entr(g))

        best = value(gamma)
        for _ in range(20):
            i, k = RNG.choice(7, 2, replace=False)
            j, m = RNG.choice(7, 2, replace=False)
            cycle = np.zeros((7, 7))
            cycle[i, j] = cycle[k, m] = 1e-3
            cycle[i, m] = cycle[k, j] = -1e-3
            assert value(gamma + cycle) < best


@pytest.mark.parametrize("n_half_iters", [4, 5])
def test_three_gradients(n_half_iters):
    weights = RNG.normal(size=(7, 7))
    total = lambda A, **options: jnp.sum(weights * sinkhorn(A, 0.2, **options))  # noqa: E731
    A = 0.3 * RNG.normal(size=(7, 7))
    assert_gradients(lambda A: total(A, n_half_iters=n_half_iters, grad="unroll"), A)
    with jax.enable_x64():
        converged = jax.grad(lambda A: total(A))(jnp.asarray(A))
        unrolled = jax.grad(lambda A: total(A, n_half_iters=600, grad="unroll"))(jnp.asarray(A))
        assert_close(converged, unrolled, 1e-6)

        def detached(B):  # as CPP writes it
            stop, g = jax.lax.stop_gradient, jnp.zeros(7)
            for step in range(n_half_iters):
                if step % 2:
                    g = stop(-jax.scipy.special.logsumexp(B + f[:, None], axis=0))
                else:
                    f = -jax.scipy.special.logsumexp(B + g[None], axis=1)
            return jnp.sum(weights * jnp.exp(B + f[:, None] + g[None]))

        expected = jax.grad(detached)(jnp.asarray(A / 0.2)) / 0.2
        assert_close(jax.grad(lambda A: total(A, n_half_iters=n_half_iters, grad="stopgrad"))(jnp.asarray(A)), expected, 1e-10)


def test_the_gradient_by_eta():
    with jax.enable_x64():
        A, weights = RNG.normal(size=(5, 5)), RNG.normal(size=(5, 5))
        value = jax.jit(lambda eta: jnp.sum(weights * sinkhorn(A, eta)))
        numeric = (value(0.3 + 1e-5) - value(0.3 - 1e-5)) / 2e-5
        np.testing.assert_allclose(jax.grad(value)(0.3), numeric, rtol=1e-5)


def test_eta_goes_from_permutations_to_the_uniform_matrix():
    entropies = [float(entropy(sinkhorn(Z @ Z.T, eta, 200))) for eta in (0.03, 0.1, 1.0, 100.0)]
    assert (np.diff(entropies) > 0).all()
    np.testing.assert_allclose(entropies[-1], np.log(7), atol=1e-3)
    np.testing.assert_allclose(sinkhorn(Z @ Z.T, 0.03, 200), np.eye(7), atol=0.05)


def test_the_layer_at_its_edges_dtypes_jit_and_vmap():
    for options in ({}, {"n_half_iters": 5, "grad": "unroll"}, {"n_half_iters": 5, "grad": "stopgrad"}):
        layer = lambda c, o=options: sinkhorn(affinity(c), 0.2, **o)  # noqa: E731  # ty: ignore[invalid-argument-type]  # of several types
        assert_degenerate(layer, Z[:4], scales=(1e-30, 10.0))
    assert_dtypes(lambda c: sinkhorn(affinity(c), 0.2, 5), Z)
    assert_jit_consistent(lambda a: sinkhorn(a, 0.2), jnp.asarray(Z @ Z.T))
    assert_vmap_consistent(lambda a: sinkhorn(a, 0.2), np.stack([Z @ Z.T, Z @ Z.T / 2]))


# --- Objectives and the network ---


def test_views_are_averaged():
    views = np.stack([Z, np.roll(Z, 1, axis=0)])
    value, rates = mlc_objective(views, views, 0.2, 0.175, 0.05, n_half_iters=5)
    gamma = np.mean([sinkhorn(affinity(jnp.asarray(v)), 0.175, 5) for v in views], axis=0)
    z = unit(views.mean(0))
    np.testing.assert_allclose(rates.memberships, gamma, rtol=1e-5)
    expected = coding_rate(z, 0.2) - coding_rate_ds(z, gamma, 0.2) - 0.05 * np.sum(gamma**2) / 2
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_hard_gumbel_memberships_are_those_of_mcr2():
    labels = np.eye(3, dtype=np.float32)[RNG.integers(0, 3, 7)]
    views = np.stack([Z, Z])
    found, _ = nmce_objective(views, np.stack([1e3 * labels] * 2), np.zeros((2, 7, 3)), 0.2, 0.0)
    np.testing.assert_allclose(found, mcr2_objective(Z, labels, 0.2)[0], rtol=1e-5)


def test_copied_heads_start_from_the_features():
    net = MLCNet("none", 6, 8, 5, rngs=nnx.Rngs(0))
    x = jnp.asarray(RNG.normal(size=(4, 6)), jnp.float32)
    before, _ = net(x)
    nnx.update(net, copy_feature_head(nnx.state(net)))
    features, clusters = net(x)
    np.testing.assert_allclose(features, before, atol=1e-6)
    np.testing.assert_allclose(features, clusters, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, rtol=1e-5)


# --- Clustering ---


def test_blocks_are_found_and_counted():
    order = RNG.permutation(12)
    gamma = np.kron(np.eye(3), np.full((4, 4), 0.25))[np.ix_(order, order)]
    truth = np.repeat(np.arange(3), 4)[order]
    assert clustering_accuracy(truth, spectral_cluster(gamma, 3, KEY)) == 1
    assert num_components(gamma) == 3 and np.isclose(laplacian_eigenvalues(gamma, 4), [0, 0, 0, 1], atol=1e-9).all()


def test_accuracy_of_too_few_and_too_many_clusters():
    truth = np.array([0, 0, 0, 1, 1, 2])
    assert clustering_accuracy(truth, np.zeros(6, int)) == 0.5
    assert clustering_accuracy(truth, np.arange(6)) == 0.5
    assert clustering_accuracy(np.arange(6), np.zeros(6, int)) == pytest.approx(1 / 6)


def test_degenerate_points():
    assert numerical_rank(np.zeros((3, 3))) == 0 and numerical_rank(np.ones((3, 3))) == 1
    assert len(set(kmeans_labels(np.ones((4, 2)), 3, KEY))) == 1
    assert np.isfinite(normalized_laplacian(np.zeros((3, 3)))).all()
    assert set(spectral_cluster(np.zeros((4, 4)), 2, KEY)) <= {0, 1}
    assert np.isfinite(class_cosines(np.zeros((3, 2)), np.array([0, 1, 1]))).all()
    for rival in (ssc_omp, ensc):
        assert np.isfinite(rival(np.ones((3, 2)))).all() and not rival(np.zeros((3, 2))).any()


def test_subspaces_explain_themselves_alone():
    x = np.zeros((16, 6))
    x[:8, :3], x[8:, 3:] = RNG.normal(size=(2, 8, 3))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    for weights in (ssc_omp(x, 3), ensc(x, 100.0, 0.9)):
        assert not weights[:8, 8:].any() and not np.diag(weights).any()
        assert clustering_accuracy(np.repeat([0, 1], 8), spectral_cluster(weights, 2, KEY)) == 1


def test_the_elastic_net_is_at_its_minimum():
    x, gamma, tau = Z.astype(float), 20.0, 0.8
    weights = ensc(x, gamma, tau)
    others = np.delete(x, 0, axis=0)
    from sklearn.linear_model import ElasticNet

    model = ElasticNet(alpha=1 / (gamma * 4), l1_ratio=tau, fit_intercept=False, max_iter=10_000, tol=1e-10)
    own = np.abs(model.fit(others.T, x[0]).coef_)
    assert (weights[0, 1:] >= own - 1e-3).all()

    def value(c):
        return tau * np.abs(c).sum() + (1 - tau) / 2 * np.sum(c**2) + gamma / 2 * np.sum((x[0] - others.T @ c) ** 2)

    for _ in range(20):
        assert value(model.coef_) <= value(model.coef_ + 1e-3 * RNG.normal(size=6)) + 1e-9


# --- Points and training ---


def test_odd_classes_are_halved():
    points = Points(np.arange(40.0)[:, None], np.repeat(np.arange(4), 10), "ten of each")
    few = imbalanced(points, KEY)
    assert np.bincount(few.labels).tolist() == [10, 5, 10, 5]
    assert (points.labels[few.x[:, 0].astype(int)] == few.labels).all()


def test_augmentations_are_near_and_differ():
    points = load_points("digits", 20, KEY)
    views = [augment("digits", points.x, 0.0, np.random.default_rng(seed)) for seed in (0, 1)]
    near = [np.corrcoef(points.x.ravel(), view.ravel())[0, 1] for view in views]
    assert min(near) > 0.7 and not np.allclose(views[0], views[1])
    photographs = RNG.normal(size=(3, 16, 16, 3)).astype(np.float32)
    crops = augment("cifar10", photographs, 0.0, np.random.default_rng(0))
    assert crops.shape == photographs.shape and np.isfinite(crops).all() and crops.dtype == np.float32


SMALL = Study(
    points="curves",
    n=24,
    k=3,
    hidden=16,
    dim=6,
    noise=0.05,
    norm=True,
    tcr=Stage(6, 24),
    mlc=Stage(6, 24, 1e-3, 1e-3),
    nmce=Stage(6, 24),
    supervised=Stage(6, 24),
    chunk=3,
)


def test_both_stages_and_the_rivals_train():
    keys = jax.random.split(KEY, 2)
    points = [curves(key, 24) for key in keys]
    fitted = fit_mlc(points, SMALL, keys)
    assert fitted.tcr_curves["R"].shape == fitted.mlc_curves["R_c"].shape == (2, 6)
    assert (fitted.tcr_curves["objective"][:, -1] > fitted.tcr_curves["objective"][:, 0]).all()
    features, heads = outputs(fitted.tcr, np.stack([p.x for p in points]))
    np.testing.assert_allclose(features, unit(heads), atol=1e-5)  # copied
    again = fit_mlc(points, SMALL, keys)
    np.testing.assert_array_equal(again.mlc_curves["objective"], fitted.mlc_curves["objective"])
    assert judge(fitted.mlc, points, SMALL, keys).gammas.shape == (2, 24, 24)
    split = judge(fitted.mlc, points, replace(SMALL, evaluated=12), keys)
    assert split.gammas.shape == (2, 12, 12) and ((split.acc > 0.3) & (split.acc <= 1)).all()
    trained, course = fit_stage(with_cluster_logits(fitted.tcr, 3, keys), nmce, points, SMALL, SMALL.nmce, keys)
    assert trained.one(0).cluster_head.out_features == 3 and np.isfinite(course["objective"]).all()
    _, course = fit_stage(fitted.tcr, supervised, points, SMALL, SMALL.supervised, keys)
    assert (course["objective"][:, -1] > course["objective"][:, 0]).all()
    with pytest.warns(UserWarning, match="mean diagonal"):
        fit_stage(fitted.tcr, mlc, points, SMALL, SMALL.mlc, keys, eta=1e-3)


def test_a_rate_of_the_cluster_head_is_its_own():
    points = [curves(KEY, 24)]
    keys = jnp.stack([KEY])
    start = fit_mlc(points, SMALL, keys).tcr
    trained, _ = fit_stage(start, mlc, points, SMALL, Stage(3, 24, 1e-3, 1e-12), keys)
    moved = [float(jnp.abs(getattr(trained.one(0), n).kernel[...] - getattr(start.one(0), n).kernel[...]).max()) for n in HEADS]
    assert moved[0] > 1e-4 > 1e-8 > moved[1]


HEADS = ("feature_head", "cluster_head")


def test_parts_cover_everything_once():
    found = [i for part in parts(11, 4) for i in range(11)[part]]
    assert found == list(range(11)) and max(p.stop - p.start for p in parts(11, 4)) <= 4


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_traced(name):
    for study in (PRESETS[name].curves, PRESETS[name].images):
        shape = {"curves": (10,), "digits": (8, 8, 1)}.get(study.points, (32, 32, 3))
        width = shape[-1] if study.backbone != "none" else int(np.prod(shape))
        net = nnx.eval_shape(lambda s=study, w=width: MLCNet(s.backbone, w, s.hidden, s.dim, norm=s.norm, rngs=nnx.Rngs(0)))
        graph, state = nnx.split(net)
        b = study.mlc.batch_size

        def value(state, x, study=study, graph=graph):
            batch = {"x": x, "labels": None, "noise": None}
            return mlc(nnx.merge(graph, state, copy=True), batch, study, jnp.float32(study.eta))

        total, rates = jax.eval_shape(value, state, jax.ShapeDtypeStruct((2, b, *shape), jnp.float32))
        assert total.shape == () and rates.memberships.shape == (b, b)


# --- Errors ---


def test_errors(as_installed):
    points = curves(KEY, 24)
    for match, call in (
        ("eps_squared is 0", lambda: coding_rate(Z, 0.0)),
        ("Z has shape", lambda: coding_rate(Z[:0], 0.1)),
        ("Z has 1 numbers that are not finite", lambda: coding_rate(np.array([[np.nan, 1.0]]), 0.1)),
        ("Gamma has shape", lambda: coding_rate_ds(Z, GAMMA[:, :3], 0.1)),
        ("Gamma has the entry -0.1", lambda: coding_rate_ds(Z, GAMMA - GAMMA.min() - 0.1, 0.1)),
        ("block is 2", lambda: coding_rate_ds(Z, GAMMA, 0.1, block=2)),
        ("Pi has shape", lambda: coding_rate_classes(Z, np.ones((3, 2)), 0.1)),
        ("A has shape", lambda: sinkhorn(Z, 0.1)),
        ("A has 1 numbers", lambda: sinkhorn(np.array([[np.nan]]), 0.1)),
        ("eta is 0", lambda: sinkhorn(GAMMA, 0.0)),
        ("grad is 'exact'", lambda: sinkhorn(GAMMA, 0.1, grad="exact")),  # ty: ignore[invalid-argument-type]  # it is what is refused
        ("grad='unroll' needs", lambda: sinkhorn(GAMMA, 0.1, grad="unroll")),
        ("give one of them", lambda: sinkhorn(GAMMA, 0.1, 5, 1e-3)),
        ("n_half_iters is 0", lambda: sinkhorn(GAMMA, 0.1, 0)),
        ("kernel is 'rbf'", lambda: affinity(Z, "rbf")),  # ty: ignore[invalid-argument-type]  # it is what is refused
        ("need features of the same points", lambda: tcr_objective(Z, Z[:3], 0.1, 1.0)),
        ("of the same points", lambda: mlc_objective(Z, Z[:3], 0.1, 0.1)),
        ("k is 8", lambda: spectral_cluster(GAMMA, 8, KEY)),
        ("must be square", lambda: spectral_cluster(Z, 2, KEY)),
        ("weights are not negative", lambda: normalized_laplacian(-np.eye(2))),
        ("k is 0", lambda: kmeans_labels(Z, 0, KEY)),
        ("one label a point", lambda: clustering_accuracy(np.zeros(3, int), np.zeros(2, int))),
        ("share is 1", lambda: numerical_rank(Z, 1.0)),
        ("which needs two", lambda: ssc_omp(Z[:1])),
        ("k_max is 0", lambda: ssc_omp(Z, 0)),
        ("tau is 0", lambda: ensc(Z, 1.0, 0.0)),
        ("gamma is -1", lambda: ensc(Z, -1.0)),
        ("backbone is 'vit'", lambda: MLCNet("vit", 4, 4, 4, rngs=nnx.Rngs(0))),  # ty: ignore[invalid-argument-type]  # it is what is refused
        ("dim is 0", lambda: MLCNet("none", 4, 4, 0, rngs=nnx.Rngs(0))),
        ("they must be the same", lambda: copy_feature_head(nnx.state(nnx.Linear(2, 2, rngs=nnx.Rngs(0))))),
        ("points is 'cats'", lambda: load_points("cats", 5, KEY)),
        ("n is 9999", lambda: load_points("digits", 9999, KEY)),
        ("n is 2", lambda: curves(KEY, 2)),
        ("optimiser is 'newton'", lambda: Stage(3, 4, optimiser="newton")),  # ty: ignore[invalid-argument-type]  # it is what is refused
        ("chunk = 50 must divide", lambda: Study(tcr=Stage(70, 200))),
        ("points has 1 sets for 2 keys", lambda: fit_mlc([points], SMALL, jax.random.split(KEY, 2))),
    ):
        with pytest.raises(ValueError, match=match):
            call()
