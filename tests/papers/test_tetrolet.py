"""Tetrolet: golden parity, tilings, transform, shrinkage, rivals, codes, classifiers, studies in small, presets, errors."""

import re
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.sparse import csr_array

from quire.common.claims import run
from quire.common.errors import DatasetCorrupt
from quire.common.testing import (
    assert_close,
    assert_degenerate,
    assert_dtypes,
    assert_gradients,
    assert_jit_consistent,
    assert_matches_float64,
    assert_vmap_consistent,
)
from quire.tetrolet import (
    HAAR,
    MQDF,
    PRESETS,
    Recognition,
    SparseConceptCoding,
    SparseLDA,
    Sparsity,
    energy_share,
    entropy_report,
    features,
    flatten,
    frequent_tilings,
    haar2d,
    heat_kernel_graph,
    index_entropy,
    itetrolet,
    keep_largest,
    laplacian_eigenmap,
    lars_lasso,
    lasso,
    load_numerals,
    mqdf_scores,
    paper,
    ridge_basis,
    separable,
    set_labels,
    slantlet_matrix,
    squares,
    stockwell,
    stockwell_features,
    strokes_and_edges,
    symmetry_classes,
    tetrolet,
    tetrolet_shrink,
    tetromino_tilings,
    threshold,
    tiling_costs,
    tilings_of,
    wavelet_matrix,
)
from quire.tetrolet.coding_study import coding_study
from quire.tetrolet.filter_banks import FILTERS
from quire.tetrolet.numerals import open_numerals
from quire.tetrolet.sparsity_study import approximations, denoised, few_term_psnr
from quire.tetrolet.transform_study import transform_study

RNG = np.random.default_rng(0)
KEY = jax.random.key(0)
X = RNG.normal(size=(2, 8, 12)).astype(np.float32)

# --- Golden vectors ---

PRECISIONS = pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-10), ("float32", 1e-5)])


def levels_of(case):
    return sum(name.endswith("/index") for name in case)


def test_golden_tilings(golden):
    case = golden("tetrolet").case("tiling")
    np.testing.assert_array_equal(tetromino_tilings(), case["rgs"])
    np.testing.assert_array_equal(set_labels(tetromino_tilings()), case["label"])
    np.testing.assert_array_equal(HAAR, case["haar"])


@PRECISIONS
def test_golden_transform(golden, dtype, tolerance):
    case = golden("tetrolet").case("tet")
    with jax.enable_x64(dtype == "float64"):
        image = jnp.asarray(case["image"], dtype)
        c = tetrolet(image, levels_of(case))
        assert_close(itetrolet(c), case["image"], tolerance)
        assert_close(tiling_costs(image), case["level0/cost"], 1e-5)
        for level, (high, index) in enumerate(zip(c.high, c.index, strict=True)):
            costs = case[f"level{level}/cost"]
            chosen = np.take_along_axis(costs, np.asarray(index)[..., None], axis=-1)[..., 0]
            np.testing.assert_allclose(chosen, costs.min(axis=-1), rtol=1e-4)  # in float32 near ties may go either way
            if dtype == "float64" or (np.asarray(index) == case[f"level{level}/index"]).all():
                np.testing.assert_array_equal(index, case[f"level{level}/index"])
                assert_close(high, case[f"level{level}/high"], tolerance)
        if all((np.asarray(index) == case[f"level{level}/index"]).all() for level, index in enumerate(c.index)):
            assert_close(c.low, case["low"], tolerance)


@pytest.mark.parametrize("x64", [True, False])
def test_golden_ties_take_the_first_tiling(golden, x64):
    case = golden("tetrolet").case("bin")
    with jax.enable_x64(x64):
        c = tetrolet(case["image"], levels_of(case))
        np.testing.assert_array_equal(c.low, case["low"])
        for level, (high, index) in enumerate(zip(c.high, c.index, strict=True)):
            np.testing.assert_array_equal(index, case[f"level{level}/index"])
            np.testing.assert_array_equal(high, case[f"level{level}/high"])


def test_golden_concept_coding(golden):
    case = golden("tetrolet").case("scc")
    x, m = case["X"], case["responses"].shape[1]
    graph = heat_kernel_graph(x, 5)
    assert_close(graph.weights.toarray(), case["W"], 1e-8)
    assert_close(graph.t, case["heat_t"], 1e-8)
    found = laplacian_eigenmap(graph.weights, m)
    assert_close(found.eigenvalues, case["eigvals"], 1e-8)
    q = np.linalg.qr(found.responses)[0]
    signs = np.sign((found.responses * case["responses"]).sum(axis=0))
    assert_close(found.responses * signs, case["responses"], 1e-8)
    if np.allclose(case["subspace_projector"] @ case["subspace_projector"], case["subspace_projector"]):
        assert (
            min(
                max_error(q @ q.T, case["subspace_projector"]),
                max_error(weighted_projector(graph.weights, found.responses), case["subspace_projector"]),
            )
            < 1e-8
        )
    with jax.enable_x64():
        name = next(name for name in case if name.startswith("codes_card"))
        coding = SparseConceptCoding(m, int(name.removeprefix("codes_card"))).fit(x)
        assert_close(coding.basis_ * signs, case["basis"], 1e-8)
        assert_close(coding.transform(x) * signs, case[name], 1e-8)


def test_golden_lars(golden):
    case = golden("tetrolet").case("lars")
    name = next(name for name in case if name.startswith("codes_card"))
    cards = [int(card) for card in re.findall(r"\d+", name)]
    with jax.enable_x64():
        assert_close(lars_lasso(case["basis"], case["x"], cards), case[name], 1e-8)
    assert_close(lars_lasso(case["basis"].astype(np.float32), case["x"].astype(np.float32), cards), case[name], 1e-4)


def test_golden_mqdf(golden):
    case = golden("tetrolet").case("mqdf")
    k, delta = case["k_delta"]
    model = MQDF(int(k), float(delta)).fit(case["Xtrain"], case["ytrain"])
    with jax.enable_x64():
        assert_close(model.scores(case["Xtest"]), case["g"], 1e-8)
    assert_close(model.scores(case["Xtest"].astype(np.float32)), case["g"], 1e-4)


def test_golden_slantlet_and_stockwell(golden):
    g = golden("tetrolet")
    for name in g.arrays:
        if found := re.fullmatch(r"slantlet/matrix_N(\d+)_l(\d+)", name):
            assert_close(slantlet_matrix(*map(int, found.groups())), g[name], 1e-12)
    case = g.case("stockwell")
    for x64, tolerance in ((True, 1e-12), (False, 1e-5)):
        with jax.enable_x64(x64):
            s = np.asarray(stockwell(case["x"]))
            assert s.shape == case["S"].shape
            assert np.abs(s - case["S"]).max() <= tolerance * np.abs(case["S"]).max()


# --- Tilings ---


def test_every_tiling_once():
    tilings = tetromino_tilings()
    assert len({tuple(t) for t in tilings.tolist()}) == len(tilings) == 117
    for tiling in tilings:
        assert sorted(tiling.tolist()) == sorted([0, 1, 2, 3] * 4)
        first = [tiling.tolist().index(label) for label in range(4)]
        assert first == sorted(first)
    classes = symmetry_classes(tilings)
    assert len(set(classes.tolist())) == 22
    assert (classes == classes[0]).sum() == 1  # the squares are alone
    assert max(np.bincount(classes)) == 8


def test_labels_follow_the_squares_and_so_does_the_low_pass_of_a_ramp():
    labels = set_labels(tetromino_tilings())
    agreement = (labels == np.array([0, 0, 1, 1, 0, 0, 1, 1, 2, 2, 3, 3, 2, 2, 3, 3])).sum(axis=1)
    assert agreement[0] == 16 and agreement.min() >= 6
    y, x = np.mgrid[:32, :32].astype(np.float32)
    noise = 4 * RNG.normal(size=(32, 32)).astype(np.float32)  # so that all kinds of tilings are chosen
    low = np.asarray(tetrolet(8 * x + 16 * y + noise, 1).low)
    assert len(np.unique(tetrolet(8 * x + 16 * y + noise, 1).index[0])) > 5
    assert (np.diff(low, axis=0) > 0).mean() > 0.95
    assert np.corrcoef(low.ravel(), np.asarray(haar2d(8 * x + 16 * y, 1).low).ravel())[0, 1] > 0.98


def by_definition(block, labels, scan):
    """Tiling and coefficients `[s, l]` of one block, tiling by tiling."""
    cells = range(16) if scan == "rows" else [4 * row + column for column in range(4) for row in range(4)]
    found = []
    for tiling in labels:
        pixels = np.array([[block.ravel()[cell] for cell in cells if tiling[cell] == s] for s in range(4)])
        found.append(pixels @ HAAR.T)
    costs = [np.abs(c[:, 1:]).sum() for c in found]
    return int(np.argmin(costs)), found[int(np.argmin(costs))]


@pytest.mark.parametrize("scan", ["rows", "columns"])
def test_a_level_is_the_definition(scan):
    labels = set_labels(tetromino_tilings())
    tilings = tilings_of(labels, scan=scan)
    c = tetrolet(X[0], 1, tilings=tilings)
    for row in range(2):
        for column in range(3):
            index, expected = by_definition(X[0, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4], labels, scan)
            assert c.index[0][row, column] == index
            np.testing.assert_allclose(c.high[0][row, column], expected[:, 1:].T, atol=1e-5)
            np.testing.assert_allclose(
                c.low[2 * row : 2 * row + 2, 2 * column : 2 * column + 2].ravel(), expected[:, 0], atol=1e-5
            )


# --- The transform ---


@pytest.mark.parametrize("shape, levels", [((3, 16, 24), 2), ((12, 4), 1), ((2, 1, 8, 8), 2)])
def test_reconstruction_and_parseval(shape, levels):
    x = RNG.normal(size=shape)
    with jax.enable_x64():
        for options in ({}, {"theta": 0.2}, {"tilings": tilings_of(frequent_tilings(x, 16))}):
            c = tetrolet(x, levels, **options)
            np.testing.assert_allclose(itetrolet(c, options.get("tilings")), x, atol=1e-12)
            np.testing.assert_allclose((flatten(c) ** 2).sum(), (x**2).sum(), rtol=1e-12)


def test_squares_make_it_haar():
    a = wavelet_matrix(16, 2, "haar")
    x = RNG.normal(size=(16, 16)).astype(np.float32)
    np.testing.assert_allclose(haar2d(x, 2).low, separable(a, x)[:4, :4], atol=1e-5)
    np.testing.assert_allclose(tetrolet(np.kron(x[:4, :4], np.ones((4, 4))), 2).high[0], 0, atol=1e-6)


def test_the_least_cost_is_never_above_that_of_squares():
    c, h = tetrolet(X, 1), haar2d(X, 1)
    l1 = lambda c: np.abs(np.asarray(c.high[0])).sum(axis=(-2, -1))  # noqa: E731
    assert (l1(c) <= l1(h) + 1e-5).all() and l1(c).sum() < 0.95 * l1(h).sum()
    costs = np.asarray(tiling_costs(X))
    np.testing.assert_allclose(costs.min(axis=-1), l1(c), rtol=1e-4)


def test_relaxed_choice_lowers_entropy_within_its_tolerance():
    x = strokes_and_edges(KEY, 3, 32).astype(np.float32)
    strict, relaxed = tetrolet(x, 1), tetrolet(x, 1, theta=0.25)
    entropy = [index_entropy(np.asarray(c.index[0]).reshape(3, -1), 117) for c in (strict, relaxed)]
    assert (entropy[1] < entropy[0] - 0.3).all()
    least = np.asarray(tiling_costs(x)).min(axis=-1)
    assert (np.abs(np.asarray(relaxed.high[0])).sum(axis=(-2, -1)) <= 1.25 * least + 1e-4).all()
    report = entropy_report(relaxed)
    assert report["level 1"] == report["all levels"] < report["at a fixed length"]


def test_transform_under_jit_vmap_dtypes_and_degenerate_inputs():
    transform = lambda x: tetrolet(x, 1)[:2]  # noqa: E731
    assert_jit_consistent(transform, jnp.asarray(X))
    assert_vmap_consistent(transform, X)
    assert_vmap_consistent(lambda x: tetrolet(x, 1, theta=0.1)[:2], X)
    assert_dtypes(lambda x: itetrolet(tetrolet(x, 1)), X)
    assert_degenerate(lambda x: flatten(tetrolet(x, 1)), X, axes=(0, 1))
    assert_degenerate(lambda x: tetrolet_shrink(x, 0.5, 1), X, axes=(0,))
    fixed = lambda x: flatten(tetrolet(x, 1, tilings=squares()))  # noqa: E731
    assert_gradients(fixed, X[0])
    with jax.debug_nans(False):
        assert np.isnan(flatten(jax.jit(lambda x: tetrolet(x, 1))(np.full((4, 4), np.nan, np.float32)))).all()


# --- Shrinkage ---


def test_the_error_of_few_terms_is_what_they_leave_out():
    c = tetrolet(X[:, :8, :8])
    kept = keep_largest(c, 10)
    assert ((flatten(kept) != 0).sum(axis=-1) == 10).all()
    left_out = ((flatten(c) - flatten(kept)) ** 2).sum(axis=-1)
    np.testing.assert_allclose(((itetrolet(kept) - X[:, :8, :8]) ** 2).sum(axis=(1, 2)), left_out, rtol=1e-4)
    np.testing.assert_allclose(left_out, np.sort(np.asarray(flatten(c)) ** 2, axis=1)[:, :-10].sum(axis=1), rtol=1e-5)


def test_thresholds_by_level():
    c = tetrolet(X[:, :8, :8])
    found = threshold(c, [0.5, 100.0])
    assert not found.high[1].any() and found.high[0].any()
    assert (np.abs(found.high[0])[np.asarray(found.high[0]) != 0] > 0.5).all()
    np.testing.assert_array_equal(found.low, c.low)
    np.testing.assert_allclose(tetrolet_shrink(X, 0.0, 1), X, atol=1e-5)


def test_shrinkage_takes_noise_away():
    clean = strokes_and_edges(KEY, 4, 32)
    noisy = (clean + 0.1 * RNG.normal(size=clean.shape)).astype(np.float32)
    error = lambda x: float(((np.asarray(x) - clean) ** 2).mean())  # noqa: E731
    assert error(tetrolet_shrink(noisy, 0.35, 2)) < 0.8 * error(noisy)


# --- Rivals ---


@pytest.mark.parametrize(
    "matrix",
    [
        slantlet_matrix(16, 2),
        slantlet_matrix(24, 3),
        slantlet_matrix(8, 3),
        wavelet_matrix(16, 2, "daubechies"),
        wavelet_matrix(12, 2),
    ],
)
def test_filter_banks_are_orthonormal(matrix):
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(len(matrix)), atol=1e-12)


def test_details_of_slantlets_and_daubechies_vanish_on_lines():
    line = np.arange(32.0)
    inside = np.abs(slantlet_matrix(32, 3)[8:] @ line)
    np.testing.assert_allclose(inside, 0, atol=1e-10)  # g stays inside of its cells
    np.testing.assert_allclose((wavelet_matrix(32, 1, "daubechies")[16:] @ line)[:-1], 0, atol=1e-10)
    assert sum(FILTERS["daubechies"]) == pytest.approx(np.sqrt(2))


def test_stockwell_is_a_spectrum_at_every_place():
    x = RNG.normal(size=(3, 12))
    with jax.enable_x64():
        s = stockwell(x)
        np.testing.assert_allclose(s.mean(axis=-1), np.fft.fft(x)[:, :7] / 12, atol=1e-12)
        np.testing.assert_allclose(s, jnp.stack([stockwell(row) for row in x]), atol=1e-12)
        n, f = np.arange(12), 3
        m = np.rint(np.fft.fftfreq(12) * 12)
        terms = np.fft.fft(x[0])[((m + f) % 12).astype(int)] * np.exp(-2 * np.pi**2 * m**2 / f**2)
        expected = (terms[None] * np.exp(2j * np.pi * np.outer(n, m) / 12)).sum(axis=1) / 12
        np.testing.assert_allclose(s[0, f], expected, atol=1e-12)
    moved = stockwell_features(np.eye(8)[None], 4, 2)
    assert moved.shape == (1, 64) and np.isfinite(moved).all()
    assert_degenerate(lambda x: jnp.abs(stockwell(x)) ** 2, x.astype(np.float32))


# --- LARS ---


def path_of_sklearn(basis, x, card):
    from sklearn.linear_model import lars_path

    codes = lars_path(basis, x, method="lasso")[2].T
    return codes[np.flatnonzero((codes != 0).sum(axis=1) == card)[-1]]


def test_lars_is_that_of_scikit_learn():
    basis = RNG.normal(size=(20, 12)) @ np.linalg.cholesky(0.6 + 0.4 * np.eye(12)).T  # columns enter and leave
    x = RNG.normal(size=(9, 20))
    with jax.enable_x64():
        found = np.asarray(lars_lasso(basis, x, [1, 3, 6, 11]))
    for sample, codes in zip(x, found, strict=True):
        for card, code in zip((1, 3, 6, 11), codes, strict=True):
            np.testing.assert_allclose(code, path_of_sklearn(basis, sample, card), atol=1e-9)


@pytest.mark.parametrize("ratio", [0.05, 0.5])
def test_codes_at_a_penalty_satisfy_the_conditions_of_the_lasso(ratio):
    basis, x = RNG.normal(size=(10, 15)), RNG.normal(size=(4, 10))
    with jax.enable_x64():
        codes = np.asarray(lasso(basis, x, ratio))
    left = (x - codes @ basis.T) @ basis
    penalty = ratio * np.abs(x @ basis).max(axis=1, keepdims=True)
    assert (np.abs(left) <= penalty * (1 + 1e-9)).all()
    active = codes != 0
    np.testing.assert_allclose(left[active], (penalty * np.sign(codes))[active], rtol=1e-9)


def test_paths_do_not_depend_on_what_runs_beside_them():
    basis, x = RNG.normal(size=(8, 6)).astype(np.float32), RNG.normal(size=(150, 8)).astype(np.float32)
    together = lars_lasso(basis, x, [3])
    np.testing.assert_allclose(lars_lasso(basis, x[140:143], [3]), together[140:143], atol=1e-5)
    assert_jit_consistent(lambda x: lars_lasso(basis, x, [3]), jnp.asarray(x[:5]))
    assert_matches_float64(lambda x: lars_lasso(basis, x, [2]), x[:5], differentiable=False)
    assert_dtypes(lambda x: lasso(basis, x, 0.3), x[:3], dtypes=["float16", "int32"])
    assert_degenerate(lambda x: lasso(basis, x, 0.3), x[:3], differentiable=False)


# --- Concepts ---


def max_error(a, b):
    return np.abs(a - b).max()


def weighted_projector(weights, y):
    root = np.sqrt(np.asarray(weights.sum(axis=1)).ravel())[:, None]
    return (root * y) @ (root * y).T


def test_the_graph_by_definition():
    x = RNG.normal(size=(9, 2))
    distance = np.linalg.norm(x[:, None] - x[None], axis=-1)
    weights = np.zeros((9, 9))
    for i, row in enumerate(distance):
        for j in np.argsort(row)[1:4]:
            weights[i, j] = weights[j, i] = np.exp(-(row[j] ** 2) / (2 * distance.mean() ** 2))
    np.testing.assert_allclose(heat_kernel_graph(x, 3).weights.toarray(), weights, atol=1e-12)


def test_lanczos_and_lapack_agree(monkeypatch):
    weights = heat_kernel_graph(RNG.normal(size=(60, 3)), 5).weights
    dense = laplacian_eigenmap(weights, 4)
    monkeypatch.setattr("quire.tetrolet.neighbour_graph.DENSE", 10)
    np.testing.assert_allclose(laplacian_eigenmap(weights, 4).responses, dense.responses, atol=1e-8)


def test_a_graph_in_parts_warns():
    x = np.concatenate([RNG.normal(size=(6, 2)), 100 + RNG.normal(size=(6, 2))])
    with pytest.warns(UserWarning, match="falls into 2 parts"):
        laplacian_eigenmap(heat_kernel_graph(x, 2).weights, 3)


def test_both_forms_of_the_ridge_agree_and_too_little_of_it_warns():
    x, y = RNG.normal(size=(6, 9)), RNG.normal(size=(6, 2))
    centred = x - x.mean(axis=0)
    expected = np.linalg.solve(centred.T @ centred + 0.5 * np.eye(9), centred.T @ y)
    np.testing.assert_allclose(ridge_basis(x, y, 0.5), expected / np.linalg.norm(expected, axis=0), atol=1e-10)
    with pytest.warns(UserWarning, match="does not generalise"):
        ridge_basis(x, y, 1e-6)
    relative = ridge_basis(100 * x, y, 0.1, relative=True)
    np.testing.assert_allclose(relative, ridge_basis(x, y, 0.1, relative=True), atol=1e-10)


def test_codes_at_a_penalty_instead_of_a_number():
    x = RNG.normal(size=(30, 6)).astype(np.float32)
    coding = SparseConceptCoding(5, ratio=0.05).fit(x)
    np.testing.assert_allclose(coding.transform(x), lasso(coding.basis_, x, 0.05), atol=1e-5)


# --- Classifiers ---


def test_mqdf_with_all_axes_but_one_is_the_gaussian():
    from scipy.stats import multivariate_normal

    x = RNG.normal(size=(50, 4)) @ RNG.normal(size=(4, 4))
    y = np.repeat([2, 5], 25)
    scores = MQDF(3).fit(x, y).scores(x)
    for column, label in enumerate((2, 5)):
        law = multivariate_normal(x[y == label].mean(axis=0), np.cov(x[y == label].T, bias=True))
        np.testing.assert_allclose(scores[:, column], -2 * law.logpdf(x) - 4 * np.log(2 * np.pi), rtol=1e-3)
    model = MQDF(2).fit(x, y)
    parts = (model.mean_, model.axes_, model.variance_, model.delta_)
    score = lambda x: mqdf_scores(x, *parts)  # noqa: E731
    assert_gradients(score, x[:2])
    assert_degenerate(score, x[:3].astype(np.float32))
    assert_vmap_consistent(lambda x: score(x[None]), x[:3].astype(np.float32))


def test_sparse_lda_without_sparsity_is_lda():
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    y = np.repeat(range(4), 30)
    x = RNG.normal(size=(120, 6)) + 2 * RNG.normal(size=(4, 6))[y]
    dense = LinearDiscriminantAnalysis().fit(x, y).transform(x)
    with jax.enable_x64():
        found = SparseLDA(3, ratio=0.0, ridge=1e-9).fit(x, y).transform(x)
        sparse = SparseLDA(3, ratio=0.4).fit(x, y).directions_
    a, b = (np.linalg.qr(z - z.mean(axis=0))[0] for z in (dense, found))
    np.testing.assert_allclose(np.linalg.svd(a.T @ b)[1], 1, atol=1e-5)
    assert 0 < (sparse == 0).mean() < 1 and sparse.any(axis=0).all()


# --- Studies and data ---

SMALL = Recognition(
    ("digits",),
    pool=200,
    num_train=150,
    coding_train=150,
    num_validation=40,
    num_test=60,
    levels=(2,),
    widths=(1.0,),
    n_basis=12,
    cards=(4, 8),
    alphas=(10.0,),
    components=(8,),
    sparse_components=5,
    sparse_passes=2,
    sparse_penalties=(0.1,),
    sparse_ratios=(0.1,),
    trees=10,
    mqdf_axes=(2, 3),
)


def test_studies_in_small():
    preset, keys = replace(PRESETS["quick"], recognition=SMALL), jnp.stack([KEY, jax.random.key(1)])
    found = transform_study.__wrapped__(preset, keys)
    assert found["scripts"] == ("digits",) and found["accuracy"].shape == (2, 1, 7)
    assert found["accuracy"].min() > 0.6 > 0.3 > found["majority"].max()
    assert len(np.unique(found["accuracy"])) > 2
    codes = coding_study.__wrapped__(preset, keys)
    assert codes["accuracy"].shape == (2, 1, 5) and codes["accuracy"].min() > 0.4
    assert codes["classifiers"].shape == (2, 1, 2, 4) and codes["classifiers"].min() > 0.3
    np.testing.assert_array_equal(codes["classifiers"][:, :, 1, 0], codes["accuracy"][:, :, 4])


def test_sparsity_in_small():
    config = Sparsity(num_drawings=3, size=32, drawing_levels=2, kept=(0.1,), thresholds=(2.0, 3.0))
    psnr = approximations(config, KEY)
    assert psnr["tetrolets"] > psnr["Haar"] > psnr["one grey"] and psnr["Haar at equal bits"] > psnr["Haar"]
    x = strokes_and_edges(KEY, 3, 32).astype(np.float32)
    c = tetrolet(x, 2)
    kept = itetrolet(keep_largest(c, 102))
    direct = -10 * np.log10(((np.asarray(kept) - x) ** 2).mean(axis=(1, 2)))
    np.testing.assert_allclose(few_term_psnr(c, np.full(3, 102.0)), direct, rtol=1e-3)
    denoising = denoised(config, KEY)
    assert denoising["tetrolets"] > denoising["noisy"] and denoising["threshold, Haar"] in config.thresholds


@pytest.mark.parametrize("script, count", [("bangla", 5000), ("devanagari", 2500), ("telugu", 2500), ("mnist-t10k", 8000)])
def test_scripts(quire_data, script, count):
    data = load_numerals(script)
    assert data.train.images.shape == (count, 32, 32, 1) and data.train.images.dtype == np.float32
    assert set(np.unique(data.train.images)) == {0, 1} and 0.03 < data.train.images.mean() < 0.4
    assert set(data.test.labels) == set(range(10))


def test_digits_stand_in_once(monkeypatch, tmp_path):
    monkeypatch.setenv("QUIRE_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = open_numerals(("bangla", "telugu"))
    assert list(found) == ["digits"] and found["digits"].stand_in_for == "the paper's ten databases"


def test_files_of_another_shape_are_refused(monkeypatch, tmp_path):
    np.savez(tmp_path / "x.npz", images=np.zeros((2, 28, 28, 3), np.uint8), labels=np.zeros(2, int))
    monkeypatch.setattr("quire.tetrolet.numerals.fetch", lambda *_: tmp_path / "x.npz")
    with pytest.raises(DatasetCorrupt, match="needs uint8"):
        load_numerals("telugu")


def test_exact_claim_and_benchmark_variants():
    assert run(paper, claims=["C1"], seeds=1).as_expected
    case = paper.benchmark.cases(4096, KEY)
    values = [case[name].function(*case[name].args) for name in ("each set once", "every tiling anew")]
    assert_close(values[0], values[1], 1e-5)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_traced(name):
    sparsity, config = PRESETS[name].sparsity, PRESETS[name].recognition
    drawings = jax.ShapeDtypeStruct((sparsity.num_drawings, sparsity.size, sparsity.size), jnp.float32)
    c = jax.eval_shape(lambda x: tetrolet(x, sparsity.drawing_levels), drawings)
    assert c.low.shape[1] == sparsity.size >> sparsity.drawing_levels
    images = jax.ShapeDtypeStruct((config.num_train, 32, 32), jnp.float32)
    for level in config.levels:
        assert jax.eval_shape(lambda x, level=level: features(tetrolet(x, level)), images).shape[1] == (32 >> level) ** 2
    dim = (32 >> config.coding_level) ** 2
    basis = jax.ShapeDtypeStruct((dim, config.n_basis), jnp.float32)
    x = jax.ShapeDtypeStruct((config.num_train, dim), jnp.float32)
    codes = jax.eval_shape(lambda basis, x: lars_lasso(basis, x, config.cards), basis, x)
    assert codes.shape == (config.num_train, len(config.cards), config.n_basis)


# --- Errors ---


def test_errors(as_installed):
    c, basis, x = tetrolet(X, 1), np.eye(4), RNG.normal(size=(8, 4))
    line = csr_array(np.diag(np.ones(3), 1) + np.diag(np.ones(3), -1))
    for match, call in (
        ("multiples of 4", lambda: tetrolet(np.ones((6, 8)))),
        ("levels is 0", lambda: tetrolet(X, 0)),
        ("levels is 3; images of 8 x 12 have at most 1", lambda: tetrolet(X, 3)),
        ("not finite", lambda: tetrolet(np.full((4, 4), np.nan))),
        ("theta is -1", lambda: tetrolet(X, theta=-1.0)),
        ("labels has shape", lambda: tilings_of(np.zeros((1, 16), int))),
        ("scan is 'up'", lambda: tilings_of(set_labels(tetromino_tilings()), scan="up")),
        ("c has the shapes", lambda: itetrolet(c._replace(low=jnp.ones((2, 4, 4))))),
        ("index runs from", lambda: itetrolet(c._replace(index=(jnp.full((2, 2, 3), 117),)))),
        ("thr is -1", lambda: threshold(c, -1.0)),
        ("thr has shape", lambda: threshold(c, [1.0, 2.0])),
        ("count is 97", lambda: keep_largest(c, 97)),
        ("fraction is 0", lambda: energy_share(c, 0.0)),
        ("count is 0", lambda: frequent_tilings(X, 0)),
        ("one block at least", lambda: index_entropy(np.zeros((2, 0), int), 117)),
        ("n is 6", lambda: slantlet_matrix(6, 2)),
        ("name is 'cat'", lambda: wavelet_matrix(8, 1, "cat")),
        ("a matrix of", lambda: separable(np.eye(4), np.ones((3, 3)))),
        ("one number at least", lambda: stockwell(np.zeros(0))),
        ("multiple of size", lambda: stockwell_features(np.ones((1, 8, 8)), 3, 2)),
        ("frequencies is 9", lambda: stockwell_features(np.ones((1, 8, 8)), 4, 9)),
        ("count is -1", lambda: strokes_and_edges(KEY, -1)),
        ("basis has shape", lambda: lasso(basis, np.ones((1, 3)), 0.1)),
        ("cards is .5.; a basis of 4", lambda: lars_lasso(basis, x, [5])),
        ("1 with 2 ", lambda: lars_lasso(basis, np.array([[0.0] * 4, [1.0, 2.0, 3.0, 4.0]]), [2])),
        ("x has 1 numbers", lambda: lasso(basis, np.array([[np.inf, 0, 0, 0]]), 0.1)),
        ("ratio is 2", lambda: lasso(basis, x, 2.0)),
        ("k is 8", lambda: heat_kernel_graph(x, 8)),
        ("equal rows", lambda: heat_kernel_graph(np.ones((4, 2)), 2)),
        ("m is 4", lambda: laplacian_eigenmap(line, 4)),
        ("nodes without neighbours", lambda: laplacian_eigenmap(csr_array((4, 4)), 2)),
        ("alpha is 0", lambda: ridge_basis(x, x, 0.0)),
        ("responses", lambda: ridge_basis(x, x[:3], 1.0)),
        ("equal rows", lambda: ridge_basis(np.ones((4, 2)), x[:4], 1.0)),
        ("card is 9", lambda: SparseConceptCoding(5, 9)),
        ("at least 9 samples", lambda: SparseConceptCoding(8, 2).fit(x)),
        ("not fitted", lambda: SparseConceptCoding(5, 2).transform(x)),
        ("k is 3; class 0", lambda: MQDF(3).fit(x, np.repeat([0, 1], [3, 5]))),
        ("delta is 0", lambda: MQDF(3, 0.0)),
        ("labels .n.", lambda: MQDF(1).fit(x, np.zeros(3, int))),
        ("not fitted", lambda: MQDF(1).predict(x)),
        ("n_components is 2", lambda: SparseLDA(2).fit(x, np.repeat([0, 1], 4))),
        ("ratio is 1", lambda: SparseLDA(1, ratio=1.0)),
        ("not fitted", lambda: SparseLDA(1).transform(x)),
        ("script is 'latin'", lambda: load_numerals("latin")),
        ("num_validation is 0", lambda: Recognition(num_validation=0)),
        ("codes over 10", lambda: Recognition(n_basis=10)),
        ("size is 20", lambda: Sparsity(size=20)),
    ):
        with pytest.raises(ValueError, match=match):
            call()
