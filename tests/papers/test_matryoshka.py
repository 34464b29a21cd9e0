"""Matryoshka representations: golden vectors of heads, losses, cascade and retrieval; properties, errors, presets."""

import re
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.special import softmax

from quire.common.claims import run
from quire.common.data.images import ImageSplit
from quire.common.errors import DatasetUnavailable
from quire.common.layers.nested import truncate
from quire.common.layers.patch_net import PatchNet
from quire.common.metrics.cost import macs
from quire.common.retrieval.evaluate import list_metrics
from quire.common.testing import (
    assert_close,
    assert_degenerate,
    assert_dtypes,
    assert_gradients,
    assert_jit_consistent,
    assert_matches_float64,
    assert_vmap_consistent,
    max_relative_error,
)
from quire.matryoshka import PRESETS, brute_force, evaluation, experiment, paper, post_hoc
from quire.matryoshka.adaptive_retrieval import (
    adaptive_retrieval,
    flops_per_query,
    funnel,
    nearest,
    nearest_at_sizes,
    rank_again,
)
from quire.matryoshka.benchmark import cases
from quire.matryoshka.cascade import GRID, apply_cascade, fit_cascade, margin_score, max_probability, oracle_cascade
from quire.matryoshka.classifier import NestedClassifier, SlimmableClassifier, build_encoder, slim_features
from quire.matryoshka.config import DIGITS, QUICK, Encoder, Search
from quire.matryoshka.contrastive import TwoTowers, contrastive_accuracy
from quire.matryoshka.convert import load_fixed_feature_head, load_head
from quire.matryoshka.head import MatryoshkaHead, cumulative_logits, prefix_logits
from quire.matryoshka.loss import matryoshka_ce, matryoshka_info_nce
from quire.matryoshka.sources import Images, open_images
from quire.matryoshka.training import fixed_feature_weights, nested_loss, predict, predictor, train

PRECISIONS = pytest.mark.parametrize(("dtype", "tolerance"), [(jnp.float64, 1e-10), (jnp.float32, 1e-5)], ids=["f64", "f32"])
HEADS = ("mrl_bias", "mrl_nobias", "mrle_bias", "mrle_nobias")
SMALL = replace(
    DIGITS,
    encoder=Encoder((8,), patch=8, in_channels=1, plain=True),
    nesting=(2, 4, 8, 16),
    training=replace(DIGITS.training, steps=20, batch_size=30),
    search=Search(4, 16, 20, 2, (4, 16), (20, 10), superclasses=3),
)


@pytest.fixture(scope="module")
def vectors(golden):
    return golden("matryoshka")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def nesting_of(vectors):
    return tuple(vectors["nesting"].tolist())


def case_of(vectors, name):
    """The head, and the names of its parameters."""
    state = {n: x for n, x in vectors.case(name).items() if n.startswith("nesting_classifier_")}
    return state, load_head(state, nesting_of(vectors) if name.startswith("mrle") else None, dtype=jnp.result_type(float))


def as_torch(head):
    """Parameters, or their gradients, under the authors' names."""
    lists = {"weight": head.get("kernels", {}), "bias": head.get("biases", {})}
    return {f"nesting_classifier_{i}.{name}": np.asarray(x[...]).T for name, xs in lists.items() for i, x in xs.items()}


# --- Golden vectors ---


@PRECISIONS
@pytest.mark.parametrize("name", HEADS)
def test_golden_heads_and_losses(vectors, name, dtype, tolerance):
    with jax.enable_x64(dtype == jnp.float64):
        state, head = case_of(vectors, name)
        assert head.efficient == name.startswith("mrle") and bool(head.biases) == name.endswith("_bias")
        case, x, labels = vectors.case(name), jnp.asarray(vectors["x"], dtype), jnp.asarray(vectors["y"])
        assert_close(head(x), case["logits"], tolerance)
        graph, params = nnx.split(head)

        @jax.jit
        def loss_and_gradients(params, x, weights, smoothing_is_on):
            def loss(params, x, s):
                return matryoshka_ce(nnx.merge(graph, params)(x), labels, weights, s)

            branches = [jax.value_and_grad(lambda p, x, s=s: loss(p, x, s), argnums=(0, 1)) for s in smoothings]
            return [branch(params, x) for branch in branches]

        losses = {key.rsplit("/", 1)[0] for key in case if key.endswith("/loss")}
        smoothings = sorted({float(key.split("_ls")[1]) for key in losses})
        kinds = sorted({key.split("_ls")[0] for key in losses})
        for kind in kinds:
            given = [case[f"{key}/weights"] for key in losses if key.startswith(kind) and f"{key}/weights" in case]
            weights = jnp.asarray(given[0] if given else np.ones(len(head.nesting)), dtype)
            for s, (value, (by_params, by_x)) in zip(smoothings, loss_and_gradients(params, x, weights, True), strict=True):
                key = f"{kind}_ls{s}"
                assert_close(value, case[f"{key}/loss"], tolerance)
                assert_close(by_x, case[f"{key}/grad_x"], tolerance)
                for parameter, gradient in as_torch(by_params).items():
                    if f"{key}/grad_{parameter}" in case:
                        assert_close(gradient, case[f"{key}/grad_{parameter}"], tolerance)
        gradients = [key for key in case if "/grad_nesting" in key]
        assert len(losses) == len(kinds) * len(smoothings) and len(gradients) == len(kinds) * len(state)


@PRECISIONS
def test_golden_fixed_features(vectors, dtype, tolerance):
    with jax.enable_x64(dtype == jnp.float64):
        state = {n: x for n, x in vectors.case("ff").items() if n != "logits"}
        head = load_fixed_feature_head(state, dtype=dtype)
        assert_close(head(jnp.asarray(vectors["x"], dtype))[0], vectors["ff/logits"], tolerance)


def test_golden_cascade(vectors):
    case, labels, nesting = vectors.case("cascade"), vectors["y"], nesting_of(vectors)
    probs, fit = case["softmax"], case["fit_index"]
    rest = np.setdiff1d(np.arange(len(labels)), fit)
    thresholds = fit_cascade(probs[:, fit], labels[fit])
    np.testing.assert_allclose(thresholds, case["thresholds"], rtol=1e-12)
    stages = [int(n.removeprefix("max").removesuffix("_used")) for n in case if n.endswith("_used")]
    assert sorted(stages) == list(range(1, len(nesting)))
    for stage in stages:
        routed = apply_cascade(probs[:, rest], thresholds, nesting, stage)
        np.testing.assert_array_equal(routed.used, case[f"max{stage}_used"])
        assert np.mean(routed.predictions == labels[rest]) == pytest.approx(float(case[f"max{stage}_acc"]), rel=1e-12)
        assert routed.expected_dim == pytest.approx(float(case[f"max{stage}_expected_dim"]), rel=1e-12)


def test_golden_retrieval(vectors):
    case, nesting, rows = vectors.case("retr"), nesting_of(vectors), int(vectors["retr/db_rows"])
    with jax.enable_x64():
        database, queries = jnp.asarray(vectors["x"][:rows]), jnp.asarray(vectors["x"][rows:])
        labels, truth = vectors["y"][:rows], vectors["y"][rows:]
        k = case[f"nn{nesting[0]}"].shape[1]
        for m in nesting:
            for block in (None, 7) if m == nesting[1] else (None,):
                distances, index = nearest(queries, database, m, k, block)
                np.testing.assert_array_equal(index, case[f"nn{m}"])
                np.testing.assert_allclose(distances, case[f"dist{m}"], rtol=1e-10, atol=1e-12)
        together = nearest_at_sizes(queries, database, nesting, k)
        for m, index in zip(nesting, together, strict=True):
            np.testing.assert_array_equal(index, case[f"nn{m}"])
            at = next(n for n in case if re.fullmatch(rf"mAP_P_hit_top1_at\d+_{m}", n))
            places = int(re.search(r"at(\d+)_", at)[1])
            metrics = list_metrics(jnp.asarray(labels[np.asarray(index)[:, :places]] == truth[:, None]))
            found = [metrics[name] for name in ("mAP", "precision", "hit_rate", "top1")]
            np.testing.assert_allclose(found, case[at], rtol=1e-10)
        adaptive = next(n for n in case if n.startswith("adaptive_"))
        d_s, d_r = map(int, re.fullmatch(r"adaptive_Ds(\d+)_Dr(\d+)", adaptive).groups())
        np.testing.assert_array_equal(adaptive_retrieval(queries, database, d_s, d_r, k)[1], case[adaptive])
        stages = (case[f"funnel_{name}"].tolist() for name in ("dims", "shortlists"))
        np.testing.assert_array_equal(funnel(queries, database, *stages, case[f"nn{nesting[0]}"])[1], case["funnel"])


def test_every_golden_case_is_tested(vectors):
    assert {name.split("/")[0] for name in vectors.arrays} == {"nesting", "x", "y", *HEADS, "ff", "cascade", "retr"}


# --- Heads ---


@pytest.fixture(scope="module")
def heads():
    return {e: MatryoshkaHead((1, 3, 8), 4, efficient=e, rngs=nnx.Rngs(0)) for e in (False, True)}


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("efficient", [False, True])
def test_a_size_depends_on_its_prefix_only(heads, efficient):
    head, z = heads[efficient], jnp.asarray(numbers(5, 8))
    for place, m in enumerate(head.nesting):
        changed = z.at[:, m:].add(7.0)
        assert_close(head(changed)[place], head(z)[place], 1e-6)
        assert_close(head.at(z[:, :m], m), head(z)[place], 1e-6)
        if m < 8:
            assert not np.allclose(head(changed)[place + 1], head(z)[place + 1])


def test_efficient_heads_slice_at_any_size(heads):
    z, head = jnp.asarray(numbers(5, 8)), heads[True]
    expected = z[:, :5] @ head.kernels[0][:5] + head.biases[0][...][None]
    assert_close(head.at(z, 5), expected, 1e-6)
    with pytest.raises(ValueError, match="size is 5; there are classifiers for"):
        heads[False].at(z, 5)


def test_batches_of_any_rank(heads):
    z = jnp.asarray(numbers(2, 3, 8))
    for head in heads.values():
        assert head(z).shape == (3, 2, 3, 4)
        assert_close(head(z)[:, 1], head(z[1]), 1e-6)
        assert_close(head(z)[:, 1, 2], head(z[1, 2]), 1e-6)
        assert_jit_consistent(head, z)
        assert_vmap_consistent(head, z)
        assert head.at(z, 3).shape == (2, 3, 4)


def test_initial_weights_are_those_of_pytorch():
    for efficient, sizes in ((False, (4, 400)), (True, (400, 400))):
        head = MatryoshkaHead((4, 400), 50, efficient=efficient, rngs=nnx.Rngs(1))
        for m, kernel, bias in zip(sizes, head.kernels, head.biases, strict=False):
            for parameter in (kernel, bias):
                assert 0.8 * m**-0.5 < float(jnp.abs(parameter[...]).max()) <= m**-0.5
    assert not MatryoshkaHead((2,), 3, use_bias=False, rngs=nnx.Rngs(0)).biases


def test_costs_of_heads(heads):
    z = jax.ShapeDtypeStruct((5, 8), jnp.float32)
    assert macs(heads[False], z) == 5 * 4 * (1 + 3 + 8)
    assert macs(heads[True], z) == 5 * 4 * 8
    assert macs(lambda z: heads[False].at(z, 3), z) == 5 * 4 * 3


def test_edges_of_heads():
    z, kernels, biases = numbers(3, 4), [numbers(2, 5), numbers(4, 5)], [numbers(5), numbers(5)]
    for form in (
        lambda z, a, b, c, d: prefix_logits(z, [a, b], [c, d]),
        lambda z, a, b, c, d: cumulative_logits(z, b, (2, 4), c),
    ):
        assert_degenerate(lambda z, form=form: form(z, *kernels, *biases), z)
        assert_dtypes(form, z, *kernels, *biases)


# --- Losses ---


def test_loss_is_the_weighted_sum_of_its_sizes(rng):
    logits, labels, weights = jnp.asarray(numbers(3, 6, 4)), rng.integers(0, 4, 6), np.array([0.5, 0.0, 2.0], np.float32)
    one_hot, classes = np.eye(3, dtype=np.float32), jnp.asarray(labels)
    parts = [float(matryoshka_ce(logits, classes, jnp.asarray(row), 0.2)) for row in one_hot]
    assert float(matryoshka_ce(logits, classes, jnp.asarray(weights), 0.2)) == pytest.approx(float(weights @ parts), rel=1e-6)
    assert float(matryoshka_ce(logits, classes, None, 0.2)) == pytest.approx(sum(parts), rel=1e-6)
    assert fixed_feature_weights(3).tolist() == [[1, 1, 1], *one_hot.tolist()]
    log_probs = np.log(softmax(np.asarray(logits[1]), axis=-1))
    targets = 0.8 * np.eye(4)[labels] + 0.2 / 4
    assert parts[1] == pytest.approx(-(targets * log_probs).sum(1).mean(), rel=1e-6)


def test_gradients_of_losses(rng):
    labels = jnp.asarray(rng.integers(0, 4, 6))
    assert_gradients(lambda x: matryoshka_ce(x, labels, None, 0.1), jnp.asarray(numbers(2, 6, 4)))
    assert_gradients(
        lambda a, b: matryoshka_info_nce(a, b, (2, 4), 0.5), *map(jnp.asarray, (numbers(5, 4), numbers(5, 4, seed=1)))
    )


def test_contrastive_loss_by_hand():
    za, zb, t = numbers(4, 6).astype(float), numbers(4, 6, seed=1).astype(float), 0.3
    total = 0.0
    for c, m in ((1.0, 2), (0.5, 6)):
        a, b = (z[:, :m] / np.linalg.norm(z[:, :m], axis=1, keepdims=True) for z in (za, zb))
        scores = a @ b.T / t
        rows, columns = (-np.log(np.diag(softmax(s, axis=-1))).mean() for s in (scores, scores.T))
        total += c * (rows + columns) / 2
    found = matryoshka_info_nce(jnp.asarray(za, jnp.float32), jnp.asarray(zb, jnp.float32), (2, 6), t, [1.0, 0.5])
    assert float(found) == pytest.approx(total, rel=1e-5)


def test_edges_of_losses(rng):
    labels, za, zb = jnp.asarray(rng.integers(0, 4, 5)), jnp.asarray(numbers(5, 4)), jnp.asarray(numbers(5, 4, seed=1))
    assert_degenerate(lambda x: matryoshka_ce(x, labels[: x.shape[1]]), jnp.asarray(numbers(2, 5, 4)), axes=(0, 1))
    assert_dtypes(lambda x: matryoshka_ce(x, labels), jnp.asarray(numbers(2, 5, 4)))
    assert_degenerate(lambda a, b: matryoshka_info_nce(a, b, (1, 4)), za, zb)
    assert_dtypes(lambda a, b: matryoshka_info_nce(a, b, (1, 4), 0.5), za, zb)
    assert_matches_float64(lambda a, b: matryoshka_info_nce(a, b, (1, 4)), 1e4 + za, zb)


# --- Cascade ---


def probabilities(rng, sizes=3, n=40, classes=4):
    return softmax(2 * rng.standard_normal((sizes, n, classes)), axis=-1)


def test_thresholds_by_loops(rng):
    probs, labels = probabilities(rng), rng.integers(0, 4, 40)
    for stage, threshold in enumerate(fit_cascade(probs, labels)):
        scores = []
        for t in GRID:
            right = [
                (probs[stage, i] if probs[stage, i].max() > t else probs[stage + 1, i]).argmax() == y
                for i, y in enumerate(labels)
            ]
            scores.append(np.mean(right))
        assert threshold == GRID[int(np.argmax(scores))]


def test_confidence_must_exceed_the_threshold():
    probs = np.array([[[0.5, 0.5]], [[0.2, 0.8]]])
    assert apply_cascade(probs, [0.5], (2, 4)).used.tolist() == [1]
    assert apply_cascade(probs, [0.49], (2, 4)).used.tolist() == [0]


def test_caps_and_expected_dimension(rng):
    probs, sizes = probabilities(rng), (2, 4, 16)
    for thresholds, last, used in (([0, 0], None, 0), ([1, 1], None, 2), ([1, 1], 1, 1), ([1, 1], 0, 0)):
        routed = apply_cascade(probs, thresholds, sizes, last)
        assert set(routed.used) == {used} and routed.expected_dim == sizes[used]
        np.testing.assert_array_equal(routed.predictions, probs[used].argmax(-1))


def test_no_cascade_beats_the_oracle(rng):
    probs, labels, sizes = probabilities(rng), rng.integers(0, 4, 40), (2, 4, 16)
    oracle = oracle_cascade(probs, labels, sizes)
    right = probs.argmax(-1) == labels
    assert (oracle.predictions == labels).mean() == right.any(0).mean()
    assert oracle.used.tolist() == [list(column).index(True) if column.any() else 0 for column in right.T]
    best = apply_cascade(probs, fit_cascade(probs, labels), sizes)
    assert (best.predictions == labels).mean() <= right.any(0).mean()


def test_confidence_by_margin(rng):
    probs = probabilities(rng)
    first, second = np.sort(probs, axis=-1)[..., ::-1][..., :2].transpose(2, 0, 1)
    np.testing.assert_allclose(margin_score(probs), 1 - first + second)
    np.testing.assert_array_equal(max_probability(probs), first)
    sure = fit_cascade(probs, rng.integers(0, 4, 40), confidence=lambda p: 1 - margin_score(p))
    used = apply_cascade(probs, sure, (1, 2, 3), confidence=lambda p: 1 - margin_score(p)).used
    assert (used == 0).tolist() == ((first - second)[0] > sure[0]).tolist()


# --- Retrieval ---


def test_search_is_by_normalised_prefixes(rng):
    queries, database = numbers(6, 5), numbers(30, 5, seed=1)
    for m in (1, 3, 5):
        a, b = (
            x[:, :m] / np.linalg.norm(x[:, :m], axis=1, keepdims=True) for x in (queries.astype(float), database.astype(float))
        )
        distances = ((a[:, None] - b[None]) ** 2).sum(-1)
        order = np.argsort(distances, axis=1, kind="stable")[:, :4]
        found, index = nearest(queries, database, m, 4)
        np.testing.assert_allclose(found, np.take_along_axis(distances, order, 1), atol=1e-5)
        if m > 1:  # one number is a sign: all distances are ties
            np.testing.assert_array_equal(index, order)
            np.testing.assert_array_equal(nearest_at_sizes(queries, database, (1, m), 4)[1], order)


def test_scaling_an_embedding_changes_no_search(rng):
    queries, database, factors = numbers(4, 6), numbers(12, 6, seed=1), rng.uniform(0.1, 9, (12, 1)).astype(np.float32)
    np.testing.assert_array_equal(nearest(queries, database, 4, 5)[1], nearest(3 * queries, factors * database, 4, 5)[1])


def test_stages_that_keep_everything_are_the_exact_search():
    queries, database = numbers(4, 8), numbers(20, 8, seed=1)
    exact = nearest(queries, database, 8, 20)
    for found in (
        adaptive_retrieval(queries, database, 2, 8, 20),
        funnel(queries, database, (4, 8), (20, 20), nearest(queries, database, 2, 20)[1]),
    ):
        np.testing.assert_array_equal(found[1], exact[1])
        np.testing.assert_allclose(found[0], exact[0], atol=1e-6)
    short = adaptive_retrieval(queries, database, 2, 8, 5)[1]
    assert [set(row) for row in np.asarray(short).tolist()] == [set(row) for row in nearest(queries, database, 2, 5)[1].tolist()]


def test_funnel_stage_by_stage():
    queries, database = numbers(3, 8), numbers(20, 8, seed=1)
    start = nearest(queries, database, 2, 12)[1]
    middle = rank_again(queries, database, start[:, :9], 4)[1]
    expected = rank_again(queries, database, middle[:, :3], 8)
    np.testing.assert_array_equal(funnel(queries, database, (4, 8), (9, 3), start)[1], expected[1])


def test_zero_vectors_are_as_far_from_all():
    database = jnp.asarray([[0.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    distances, index = nearest(jnp.asarray([[2.0, 0.0]]), database, 2, 3)
    assert index.tolist() == nearest_at_sizes(jnp.asarray([[2.0, 0.0]]), database, (2,), 3)[0].tolist() == [[1, 0, 2]]
    assert distances.tolist() == [[0.0, 1.0, 4.0]]


def test_nan_shows_in_distances():
    with jax.debug_nans(False):
        distances, _ = nearest(jnp.full((1, 2), jnp.nan), jnp.ones((3, 2)), 2, 1)
    assert jnp.isnan(distances).all()


def test_operations_of_a_query():
    assert flops_per_query(1000, 64) == 128_000
    assert flops_per_query(1000, 8, [64], [100]) == 2 * (8000 + 6400)
    assert flops_per_query(1000, 4, [8, 64], [100, 10]) == 2 * (4000 + 800 + 640)


def test_edges_of_searches():
    queries, database = numbers(3, 4), numbers(6, 4, seed=1)
    for form in (
        lambda q, x: nearest(q, x, 2, 2)[0],
        lambda q, x: adaptive_retrieval(q, x, 2, 4, 2)[0],
    ):
        assert_degenerate(form, queries, database, differentiable=False)
    assert_dtypes(lambda q, x: nearest(q, x, 4, 2)[0], queries, database, dtypes=("int32", "bfloat16", "float16"))
    assert_jit_consistent(lambda q, x: adaptive_retrieval(q, x, 2, 4, 3)[0], queries, database)


# --- Rivals and evaluation ---


def test_what_is_made_of_a_whole_embedding(rng):
    z = numbers(50, 6) * np.array([1, 1, 9, 1, 4, 1], np.float32)
    np.testing.assert_array_equal(post_hoc.prefix(z)(z), z)
    chosen = post_hoc.random_selection(z, jax.random.key(0))(z)
    assert sorted(chosen[0].tolist()) == sorted(z[0].tolist()) and chosen[0].tolist() != z[0].tolist()
    axes = post_hoc.principal_components(z)(z)
    assert (np.diff(axes.var(0)) < 0).all()
    assert axes[:, :2].var(0).sum() > 0.8 * z.var(0).sum()
    shifted = z + 100
    assert abs(post_hoc.principal_components(shifted)(shifted).mean(0)).max() < 1e-3
    assert abs(post_hoc.principal_components(shifted, centre=False)(shifted).mean(0)).max() > 100


@pytest.fixture(scope="module")
def clusters():
    """Three classes that differ in the third number and, less, in the first."""
    draw = np.random.default_rng(0)
    labels = np.arange(90) % 3
    z = draw.standard_normal((90, 4)).astype(np.float32)
    z[:, 0] += 2 * labels
    z[:, 2] += 20 * (labels - 1)
    return (z[:60], labels[:60]), (z[60:], labels[60:])


def test_accuracy_of_every_size(clusters):
    for score in (
        evaluation.neighbour_accuracy(*clusters, (2, 3, 4)),
        evaluation.probe_accuracy(*clusters, (2, 3, 4)),
        evaluation.template_accuracy(*clusters, (2, 3, 4)),
        evaluation.template_accuracy(*clusters, (2, 3, 4), shots=5, key=jax.random.key(0)),
    ):
        assert score.shape == (3,) and 0.2 < score[0] < 0.95 and score[0] < score[1] and score[1] > 0.7
    (rows, classes), (points, truth) = clusters
    index = nearest(points, rows, 3, 1)[1][:, 0]
    assert evaluation.neighbour_accuracy(*clusters, (2, 3))[1] == np.mean(classes[index] == truth)


def test_a_search_in_parts_is_the_search(clusters, monkeypatch):
    whole = evaluation.neighbour_accuracy(*clusters, (2, 4))
    monkeypatch.setattr(evaluation, "MAX_SCORES", 60 * 7)
    np.testing.assert_array_equal(evaluation.neighbour_accuracy(*clusters, (2, 4)), whole)


def test_groups_of_classes():
    groups = evaluation.superclasses(np.array([[5.0], [0.0], [5.1], [0.2], [9.0]]), 3)
    assert groups.tolist() == [0, 1, 0, 1, 2]
    predictions, truth = np.array([[0, 1, 4], [2, 3, 0]]), np.array([2, 3, 4])
    np.testing.assert_allclose(evaluation.superclass_accuracy(predictions, truth, groups), [1, 2 / 3])


def test_slimmable_networks_slice():
    net = PatchNet((6, 10), 8, patch=4, rngs=nnx.Rngs(0))
    images = jnp.asarray(numbers(3, 8, 8, 1))
    slim = jax.jit(lambda images, size: slim_features(net, images, size, 8), static_argnums=1)
    assert_close(slim(images, 8), net(images), 1e-6)
    half = PatchNet((3, 5), 4, patch=4, rngs=nnx.Rngs(1))
    for theirs, ours in ((net.stages[0], half.stages[0]), (net.stages[1], half.stages[1]), (net.head, half.head)):
        ours.kernel[...] = theirs.kernel[..., : ours.kernel.shape[-2], : ours.kernel.shape[-1]]
        ours.bias[...] = theirs.bias[: ours.bias.shape[0]]
    assert_close(slim(images, 4), half(images), 1e-6)
    assert slim(images, 1).shape == (3, 1)


def test_slimmable_classifier_has_a_network_for_every_size():
    model = SlimmableClassifier(SMALL, 10, rngs=nnx.Rngs(0))
    images = jnp.asarray(numbers(2, 8, 8, 1))
    slim = jax.jit(lambda images: [slim_features(model.encoder, images, m, 16) for m in SMALL.nesting])
    logits = jax.jit(lambda images: model(images))(images)
    assert logits.shape == (4, 2, 10)
    for place, (m, z) in enumerate(zip(SMALL.nesting, slim(images), strict=True)):
        assert_close(logits[place], z @ model.head.kernels[0][:m] + model.head.biases[0][...][None], 1e-6)
    gradient = jax.jit(jax.grad(lambda w: _logits_with(model, w, images)[0].sum()))(model.encoder.stages[0].kernel[...])
    assert (gradient[..., 1:] == 0).all() and (gradient[..., :1] != 0).any()  # m = 2 of 16 has one of eight channels


def _logits_with(model, kernel, images):
    graph, state = nnx.split(model)
    copy = nnx.merge(graph, state, copy=True)
    copy.encoder.stages[0].kernel[...] = kernel
    return copy(images)


# --- Training and the shared run ---


def small_images(rng, n=60, preset=SMALL):
    labels = np.arange(n, dtype=np.int32) % 3
    images = rng.standard_normal((n, 8, 8, 1)).astype(np.float32) + labels[:, None, None, None]
    split = ImageSplit(images, labels)
    return Images("made up", preset, 3, {"train": split, "test": split})


@pytest.fixture(scope="module")
def trained():
    images = small_images(np.random.default_rng(0))
    keys = jax.random.split(jax.random.key(0), 2)
    weights = fixed_feature_weights(4)[[0, 2]]
    return images, train(lambda rngs: NestedClassifier(SMALL, 3, rngs=rngs), images, weights, keys)


def test_variants_share_a_program_and_differ_by_their_weights(trained):
    _, (_, state, losses) = trained
    assert losses.shape == (2, 2, 20)
    kernels = state.head.kernels
    assert kernels[0][...].shape[:2] == (2, 2)
    assert (losses[:, :, -1] < losses[:, :, 0]).all()
    start = MatryoshkaHead(SMALL.nesting, 3, rngs=nnx.Rngs(0))
    assert kernels[0][...].shape[2:] == start.kernels[0].shape
    moved = np.abs(kernels[0][...][0] - kernels[0][...][1]).max()  # FF-4 leaves the classifier of 2 numbers to its decay
    assert moved > 1e-3


def test_a_variant_is_its_own_training(trained):
    images, (_, _, losses) = trained
    graph, params = nnx.split(NestedClassifier(SMALL, 3, rngs=nnx.Rngs(jax.random.split(jax.random.key(0), 2)[0])))
    loss = nested_loss(0.0)
    first = losses[1, 0, 0]
    batches = [jnp.asarray(images.arrays["train"].images), jnp.asarray(images.arrays["train"].labels)]
    whole = loss(nnx.merge(graph, params), (*batches, jnp.asarray([0.0, 1.0, 0.0, 0.0])), None)
    assert first == pytest.approx(float(whole), rel=0.5) and losses[0, 0, 0] > 2 * first  # four sizes against one


def test_predictions_are_those_of_the_models(trained):
    images, (graph, state, _) = trained
    mrl = jax.tree.map(lambda x: x[0], state)
    z, logits, labels = predict(predictor(graph, flip=False), mrl, images, "test", batch_size=45)
    np.testing.assert_array_equal(labels, images.arrays["test"].labels)
    model = nnx.merge(graph, jax.tree.map(lambda x: jnp.asarray(x[1]), mrl))
    assert_close(z[1], model.embed(images.arrays["test"].images), 1e-5)
    assert_close(logits[1], model(images.arrays["test"].images), 1e-5)
    both = predict(predictor(graph, flip=True), mrl, images, "test", batch_size=60)[1]
    mirrored = model(images.arrays["test"].images[:, :, ::-1])
    assert_close(both[1], (logits[1] + np.asarray(mirrored)) / 2, 1e-5)


def test_images_of_presets(quire_data):
    if not (quire_data / "mnist-t10k").is_dir():
        pytest.skip("QUIRE_DATA has no mnist-t10k")
    source = open_images(QUICK)
    train_images = source.value.arrays["train"].images
    assert train_images.shape == (8000, 14, 14, 1) and source.value.preset is QUICK
    assert abs(train_images.mean()) < 1e-3 and abs(train_images.std() - 1) < 1e-3
    assert source.name.endswith("14 x 14") and source.stand_in_for == "ImageNet-1K"


def test_without_files_digits_stand_in(monkeypatch, tmp_path):
    monkeypatch.setenv("QUIRE_DATA", str(tmp_path))
    monkeypatch.setenv("QUIRE_OFFLINE", "1")
    monkeypatch.setattr("quire.common.data.registry.cache_dir", lambda: tmp_path / "cache")
    source = open_images(QUICK)
    assert source.value.preset is QUICK.fallback and len(source.value.arrays["train"]) == 1200
    for name in ("standard", "paper"):
        with pytest.raises(DatasetUnavailable):
            open_images(PRESETS[name])


@pytest.mark.parametrize("preset", [*PRESETS.values(), DIGITS], ids=[*PRESETS, "digits"])
def test_programs_of_every_preset_fit_together(preset):
    side, channels = preset.image_size, preset.encoder.in_channels
    images = jax.ShapeDtypeStruct((2, side, side, channels), jnp.uint8)
    labels = jax.ShapeDtypeStruct((2,), jnp.int32)
    makers = [lambda r, e=e: NestedClassifier(preset, 10, efficient=e, rngs=r) for e in (False, True)]
    makers += [lambda r: SlimmableClassifier(preset, 10, rngs=r)] * preset.slimmable
    for make in makers:
        graph, state = nnx.split(nnx.eval_shape(lambda make=make: make(nnx.Rngs(0))))

        def outputs(state, images, labels, graph=graph):
            model = nnx.merge(graph, state, copy=True)
            z, logits = model.outputs(images)
            return z, logits, matryoshka_ce(logits, labels, None, preset.training.label_smoothing)

        z, logits, loss = jax.eval_shape(outputs, state, images, labels)
        assert z.shape == (2, preset.dim) and logits.shape == (len(preset.nesting), 2, 10) and loss.shape == ()
    preset.training.transformation()
    search = preset.search
    rows, few = jax.ShapeDtypeStruct((2000, preset.dim), jnp.float32), jax.ShapeDtypeStruct((3, preset.dim), jnp.float32)

    def searched(queries, database):
        start = nearest(queries, database, search.funnel_start, search.funnel_shortlists[0])[1]
        last = funnel(queries, database, search.funnel_sizes, search.funnel_shortlists, start)
        return adaptive_retrieval(queries, database, search.d_s, search.d_r, search.shortlist), last

    adaptive, last = jax.eval_shape(searched, few, rows)
    assert adaptive[1].shape == (3, search.shortlist) and last[1].shape == (3, search.funnel_shortlists[-1])


def test_the_paper_s_settings():
    preset = PRESETS["paper"]
    assert preset.nesting == tuple(2**i for i in range(3, 12))
    assert (preset.training.steps, preset.training.batch_size, preset.training.label_smoothing) == (100091, 512, 0.1)
    assert preset.search.funnel_shortlists == (800, 400, 200, 50, 10)
    assert 120 < flops_per_query(1_281_167, 2048) / flops_per_query(1_281_167, 16, [2048], [200]) < 128


def test_brute_force_is_what_autodiff_says(rng):
    z, labels = numbers(6, 4).astype(float), rng.integers(0, 3, 6)
    kernels, biases = [numbers(4, 3).astype(float)], [numbers(3).astype(float)]
    value, by_z, by_kernels, by_biases = brute_force.loss_and_gradients(z, labels, kernels, biases, (1, 4), [1.0, 0.5], 0.1)
    for array, gradient in ((z, by_z), (kernels[0], by_kernels[0]), (biases[0], by_biases[0])):
        numeric = np.zeros_like(array)
        for place in np.ndindex(array.shape):
            array[place] += 1e-6
            above = brute_force.loss_and_gradients(z, labels, kernels, biases, (1, 4), [1.0, 0.5], 0.1)[0]
            array[place] -= 1e-6
            numeric[place] = (above - value) / 1e-6
        assert max_relative_error(gradient, numeric) < 1e-4


# --- Claims and benchmark ---


def test_claims_are_those_of_the_card():
    assert sorted(paper.claims) == ["C1", "C2", "C3", "C4", "C5", "C6", "C7"]
    assert [id for id, claim in sorted(paper.claims.items()) if claim.exact] == ["C1", "C2"]
    criteria = {id: str(claim.holds) for id, claim in paper.claims.items()}
    assert criteria["C1"] == "value ≤ 1e-09; float32 ≤ 1e-05"
    assert criteria["C2"].startswith("value ≤ 2; MRL-E, one cumulative product ≤ 1")
    assert criteria["C3"].endswith("worst m but the smallest ≥ -2.5 on average")
    assert criteria["C4"].startswith("value ≥ FF prefix + 10; value ≥ random features + 10; value ≥ PCA of FF + 2")
    assert "value ≥ largest MRL - 1.5" in criteria["C5"] and "expected dimension / budget ≤ 1" in criteria["C5"]
    assert criteria["C6"].startswith("value ≥ 0.99; operations / those of exact search ≤ 0.3")
    assert criteria["C7"] == "value ≤ 3"


def test_exact_claims_hold():
    assert run(paper, claims=["C1", "C2"], seeds=1).as_expected


def test_the_shared_run(monkeypatch):
    images = small_images(np.random.default_rng(0), n=90)
    monkeypatch.setattr(experiment, "open_images", lambda preset: _Source(images))
    keys = jax.random.split(jax.random.key(3), 2)
    found = experiment.run_all.__wrapped__(SMALL, keys)
    assert set(found.logits) == {"MRL", "FF", "MRL-E", "largest MRL classifier, sliced"}
    assert all(x.shape == (2, 4, 90, 3) for x in found.logits.values())
    whole, few = ("MRL", "FF", "random features"), ("FF prefix", "PCA of FF")
    shapes = dict.fromkeys(whole, (2, 4)) | dict.fromkeys(few, (2, 3))
    assert {name: x.shape for name, x in found.neighbours.items()} == shapes
    # All numbers, in whatever order, are the whole embedding.
    np.testing.assert_allclose(found.neighbours["random features"][:, -1], found.neighbours["FF"][:, -1])
    graph, state = found.models["MRL"]
    model = nnx.merge(graph, jax.tree.map(lambda x: jnp.asarray(x[1]), state))
    assert_close(found.logits["MRL"][1], model(images.arrays["test"].images), 1e-5)
    assert_close(found.queries[0][1], model.embed(images.arrays["test"].images), 1e-5)
    sliced = found.queries[0][1][:, :4] @ np.asarray(model.head.kernels[3][:4]) + np.asarray(model.head.biases[3][...])
    assert_close(found.logits["largest MRL classifier, sliced"][1, 1], sliced, 1e-5)


def test_slimmable_networks_are_trained(monkeypatch):
    images = small_images(np.random.default_rng(0), n=90)
    monkeypatch.setattr(experiment, "open_images", lambda preset: _Source(images))
    found = experiment.slimmable_accuracy(SMALL, jax.random.key(0))
    assert found.shape == (4,) and found[-1] > 50  # three classes
    sizes = replace(images, preset=replace(SMALL, slimmable=False))
    monkeypatch.setattr(experiment, "open_images", lambda preset: _Source(sizes))
    with pytest.raises(ValueError, match="slimmable is False"):
        experiment.slimmable_accuracy(SMALL, jax.random.key(0))


def test_towers_see_a_half_each():
    towers = TwoTowers(SMALL, rngs=nnx.Rngs(0))
    images = jnp.asarray(numbers(3, 8, 8, 1))
    upper, lower = towers(images)
    assert upper.shape == lower.shape == (3, 16)
    changed = towers(images.at[:, 4:].add(1.0))
    assert_close(changed[0], upper, 1e-6)
    assert not np.allclose(changed[1], lower)


def test_two_towers_learn_without_labels():
    images = small_images(np.random.default_rng(0), n=90)
    weights, recipe = fixed_feature_weights(4)[[0, 4]], replace(SMALL.training, steps=60)
    found = contrastive_accuracy(images, weights, recipe, 0.5, jax.random.key(0))
    assert found.shape == (2, 4) and found[0, -1] > 0.5  # three classes, brightness tells them
    assert not np.array_equal(found[0], found[1])
    with pytest.raises(ValueError, match="which are streamed"):
        contrastive_accuracy(replace(images, arrays=None), weights, recipe, 0.5, jax.random.key(0))


class _Source:
    stand_in_for, name = "", "made up"

    def __init__(self, value):
        self.value = value


def test_benchmark_variants_find_what_they_promise():
    found = {name: jax.jit(case.function)(*case.args)[1] for name, case in cases(1024, jax.random.key(0)).items()}
    assert {name: index.shape for name, index in found.items()} == {
        "adaptive, 16 then 512": (32, 200),
        "funnel, 16 to 512": (32, 50),
        "exact, 512": (32, 200),
    }


# --- Errors ---


X, LABELS = jnp.ones((3, 4)), np.zeros(3, int)
PROBS = np.full((2, 3, 2), 0.5)
WEIGHT = "nesting_classifier_{}.weight".format


@pytest.mark.parametrize(
    ("message", "call"),
    [
        (r"sizes is \(4, 2\)", lambda: MatryoshkaHead((4, 2), 3, rngs=nnx.Rngs(0))),
        (r"sizes is \(0, 2\)", lambda: MatryoshkaHead((0, 2), 3, rngs=nnx.Rngs(0))),
        (r"sizes is \(\)", lambda: MatryoshkaHead((), 3, rngs=nnx.Rngs(0))),
        ("num_classes is 0", lambda: MatryoshkaHead((2,), 0, rngs=nnx.Rngs(0))),
        (r"sizes is \(2, 8\)", lambda: MatryoshkaHead((2, 8), 3, rngs=nnx.Rngs(0))(X)),
        (r"sizes is \(2, 5\)", lambda: cumulative_logits(X, jnp.ones((4, 2)), (2, 5))),
        ("weights has shape", lambda: matryoshka_ce(jnp.ones((2, 3, 4)), LABELS, [1.0])),
        ("at least one is needed", lambda: matryoshka_ce(jnp.ones((0, 3, 4)), LABELS)),
        ("smoothing is 1", lambda: matryoshka_ce(jnp.ones((2, 3, 4)), LABELS, None, 1.0)),
        ("zb", lambda: matryoshka_info_nce(X, X[:2], (2, 4))),
        ("temperature is 0", lambda: matryoshka_info_nce(X, X, (2, 4), 0.0)),
        (r"sizes is \(2, 5\)", lambda: matryoshka_info_nce(X, X, (2, 5))),
        ("labels has shape", lambda: fit_cascade(PROBS, LABELS[:2])),
        ("labels runs from 5", lambda: fit_cascade(PROBS, LABELS + 5)),
        ("grid is", lambda: fit_cascade(PROBS, LABELS, [0.5, 0.5])),
        ("not finite", lambda: fit_cascade(PROBS * np.nan, LABELS)),
        ("number of examples is 0", lambda: fit_cascade(PROBS[:, :0], LABELS[:0])),
        ("number of examples is 0", lambda: apply_cascade(PROBS[:, :0], [0.5], (2, 4))),
        ("max_stage is 2", lambda: apply_cascade(PROBS, [0.5], (2, 4), 2)),
        ("thresholds has shape", lambda: apply_cascade(PROBS, [0.5, 0.5], (2, 4))),
        ("nesting is", lambda: apply_cascade(PROBS, [0.5], (2,))),
        ("labels has shape", lambda: oracle_cascade(PROBS, LABELS[:2], (2, 4))),
        ("probs has shape", lambda: oracle_cascade(PROBS[0], LABELS, (2, 4))),
        ("probs has 1 classes", lambda: margin_score(np.ones((3, 1)))),
        ("k is 9", lambda: nearest(X, X, 2, 9)),
        (r"sizes is \(5,\)", lambda: nearest(X, X, 5, 1)),
        ("number of rows is 0", lambda: evaluation.neighbour_accuracy((PROBS[0, :0], LABELS[:0]), (PROBS[0], LABELS), (2,))),
        (r"sizes is \(9,\)", lambda: evaluation.probe_accuracy((PROBS[0], LABELS), (PROBS[0], LABELS), (9,))),
        (r"sizes is \(9,\)", lambda: evaluation.template_accuracy((PROBS[0], LABELS), (PROBS[0], LABELS), (9,))),
        ("k is 0", lambda: nearest_at_sizes(X, X, (2, 4), 0)),
        ("d_s is 4 and d_r 2", lambda: adaptive_retrieval(X, X, 4, 2, 1)),
        ("shortlists is", lambda: funnel(X, X, (2, 4), (3,), jnp.zeros((3, 3), int))),
        ("shortlists is", lambda: funnel(X, X, (2, 4), (2, 3), jnp.zeros((3, 3), int))),
        ("shortlists is", lambda: funnel(X, X, (2,), (4,), jnp.zeros((3, 3), int))),
        ("rows is 0", lambda: flops_per_query(0, 2)),
        ("shots is 4; class 0 has 3", lambda: evaluation.template_accuracy((X, LABELS), (X, LABELS), (2,), 4, jax.random.key(0))),
        ("shots is 1 and key None", lambda: evaluation.template_accuracy((X, LABELS), (X, LABELS), (2,), 1)),
        ("count is 4", lambda: evaluation.superclasses(np.ones((3, 2)), 4)),
        ("predictions runs", lambda: evaluation.superclass_accuracy(np.array([3]), np.array([0]), np.array([0, 1]))),
        ("size is 9", lambda: slim_features(PatchNet((2,), 8, rngs=nnx.Rngs(0)), jnp.ones((1, 4, 4, 1)), 9, 8)),
        ("dim is 64; a ResNet-50", lambda: build_encoder(Encoder(), 64, rngs=nnx.Rngs(0))),
        ("image_set is 'mnist'", lambda: open_images(replace(SMALL, image_set="mnist"))),
        ("slimmable is True", lambda: replace(PRESETS["paper"], slimmable=True)),
        ("a budget of 3", lambda: replace(SMALL, budget=3)),
        ("image_size is 3", lambda: open_images(replace(SMALL, image_size=3))),
        ("nesting_classifier_0.weight is missing", lambda: load_head({})),
        ("of shape", lambda: load_head({WEIGHT(0): np.ones(3)})),
        ("nesting_classifier_1.weight is missing", lambda: load_head({WEIGHT(0): np.ones((3, 2)), WEIGHT(2): np.ones((3, 4))})),
        ("missing: nesting_classifier_1.bias", lambda: load_head(two_classifiers() | {"nesting_classifier_0.bias": np.ones(3)})),
        ("mis-shaped", lambda: load_head(two_classifiers() | {WEIGHT(1): np.ones((4, 4))})),
        ("unexpected: fc", lambda: load_head(two_classifiers() | {"fc": np.ones(1)})),
        ("nesting is", lambda: load_head(two_classifiers(), (2, 3))),
        ("nesting is", lambda: load_head({WEIGHT(0): np.ones((3, 8))}, (2, 4))),
        ("weight is missing", lambda: load_fixed_feature_head({"bias": np.ones(3)})),
    ],
)
def test_value_errors(as_installed, message, call):
    with pytest.raises(ValueError, match=message):
        call()


def two_classifiers():
    return {WEIGHT(0): np.ones((3, 2)), WEIGHT(1): np.ones((3, 4))}


def test_truncation_before_normalisation():
    z = jnp.asarray([[3.0, 4.0, 100.0]])
    assert truncate(z, 2).tolist() == [[pytest.approx(0.6), pytest.approx(0.8)]]
    assert nearest(z, jnp.asarray([[3.0, 4.0, -5.0]]), 2, 1)[0].tolist() == [[pytest.approx(0, abs=1e-6)]]
