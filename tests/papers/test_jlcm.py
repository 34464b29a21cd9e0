"""Codebooks and mappings: golden parity, grouping, the rules of the mapping, sizes, learning, presets."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from quire.common.claims import run
from quire.common.data.token_text import TokenText
from quire.common.layers.permute import permute_units
from quire.common.quant.scalar_codebooks import kmeans_1d, kmeans_1d_exact
from quire.common.testing import assert_close, assert_degenerate, assert_dtypes, assert_jit_consistent, assert_vmap_consistent
from quire.common.train.recipe import Recipe
from quire.jlcm import (
    PRESETS,
    CodebookTensor,
    Compression,
    Learning,
    Preset,
    benchmark,
    best_of_codebooks,
    compress_model,
    compress_models,
    conv_net,
    drawn,
    exponential,
    group_neurons,
    grouped,
    hard_map,
    hidden_units,
    inverse,
    learn,
    learned_tensors,
    learned_weights,
    load_tensors,
    map_codes,
    mapping_bits,
    mapping_logits,
    mlp,
    nearest_assignment,
    nearest_only,
    neuron_stats,
    one_hot_penalty,
    pack_tensor,
    paper,
    random_groups,
    relative_error,
    save_tensors,
    sizes,
    soft_map,
    start_params,
    unpack_tensor,
)
from quire.jlcm.codebook_tensor import sorted_codebooks
from quire.jlcm.config import LanguageSizes, VisionSizes
from quire.jlcm.language import build, study
from quire.jlcm.layer_study import LayerSizes, layer_problem
from quire.jlcm.networks import kernels
from quire.jlcm.vision import open_images

KEY = jax.random.key(0)
PRECISIONS = pytest.mark.parametrize(
    ("dtype", "tolerance"), [(jnp.float64, 1e-10), (jnp.float32, 1e-5)], ids=["float64", "float32"]
)


# --- Golden vectors ---


@PRECISIONS
def test_golden_kmeans(golden, dtype, tolerance):
    vectors = golden("jlcm")
    x = np.asarray(vectors["km_x"], dtype)
    sizes = [int(name.rsplit("_", 1)[1]) for name in vectors.arrays if name.startswith("km_centers_")]
    assert sizes
    for k in sizes:
        exact = kmeans_1d_exact(x, k)
        assert_close(exact.centres, vectors[f"km_centers_{k}"], tolerance)
        assert_close(exact.cost, vectors[f"km_cost_{k}"], tolerance)
        assert kmeans_1d(x, k).cost <= 1.02 * vectors[f"km_cost_{k}"]


@PRECISIONS
def test_golden_groups(golden, dtype, tolerance):
    with jax.enable_x64():
        vectors = golden("jlcm")
        w = np.asarray(vectors["grp_W"], dtype)
        stats = neuron_stats(w)
        groups = group_neurons(stats, len(vectors["grp_centers"]))
        assert_close(stats, vectors["grp_log_absmax"], tolerance)
        assert_close(groups.centres, vectors["grp_centers"], tolerance)
        assert groups.labels.tolist() == vectors["grp_labels"].tolist()
        assert groups.perm.tolist() == vectors["grp_perm"].tolist()
        ordered, bits = w[groups.perm], int(np.log2(len(vectors["codebook_single"])))
        found = {v: nearest_assignment(ordered, bits, v, groups.sizes) for v in ("single", "scales", "codebooks")}
        assert_close(found["single"].codebooks[0], vectors["codebook_single"], tolerance)
        assert_close(found["scales"].scales, vectors["group_scales"], tolerance)
        assert_close(found["scales"].codebooks[0], vectors["codebook_scaled"], tolerance)
        assert_close(found["codebooks"].codebooks, vectors["codebooks_group"], tolerance)
        names = {"single": "single_codebook", "scales": "group_scales", "codebooks": "group_codebooks"}
        for variant, name in names.items():
            error = np.mean((ordered - np.asarray(found[variant].dequantize())) ** 2, dtype=float)
            assert_close(error, vectors[f"err_{name}"], tolerance)


@PRECISIONS
def test_golden_mapping(golden, dtype, tolerance):
    with jax.enable_x64():
        vectors = golden("jlcm")
        logits, codebook, g = (jnp.asarray(vectors[f"map_{name}"], dtype) for name in ("logits", "codebook", "upstream"))
        assert_close(soft_map(logits, codebook), vectors["map_soft"], tolerance)
        assert_close(hard_map(logits, codebook), vectors["map_hard"], tolerance)

        def gradients(**options):
            return jax.grad(lambda i, c: jnp.sum(g * map_codes(i, c, **options)), (0, 1))(logits, codebook)

        by_logits, by_codebook = gradients(grad="default", forward="soft")
        assert_close(by_logits, vectors["map_grad_logits_default"], tolerance)
        assert_close(by_codebook, vectors["map_grad_codebook_soft"], tolerance)
        by_logits, by_codebook = gradients(grad="proximal", forward="hard")
        assert_close(by_logits, vectors["map_grad_logits_prox"], tolerance)
        assert_close(by_codebook, vectors["map_grad_codebook_hard"], tolerance)
        assert_close(1e-3 * (codebook.max() - codebook.min()), vectors["map_prox_eps"], tolerance)
        found = jnp.stack([one_hot_penalty(logits, beta) for beta in jnp.asarray(vectors["map_reg_beta"], dtype)])
        assert_close(found, vectors["map_onehot_reg"], tolerance)


def test_golden_sizes(golden):
    found = np.array([[mapping_bits(6.74e9, bits) for bits in (2, 3, 4)]])
    assert_close(found, golden("jlcm")["size_bits"], 1e-10)


@PRECISIONS
def test_golden_permutation(golden, dtype, tolerance):
    with jax.enable_x64():
        v = {name: np.asarray(golden("jlcm")[f"perm_{name}"]) for name in ("W1", "b1", "W2", "X", "pi", "out")}
        model = mlp((v["W1"].shape[1], *v["W1"].shape[:1], len(v["W2"])), rngs=nnx.Rngs(0))
        for layer, w, b in zip(model.layers, (v["W1"], v["W2"]), (v["b1"], np.zeros(len(v["W2"]))), strict=True):
            layer.linear.kernel, layer.linear.bias = nnx.Param(jnp.asarray(w.T, dtype)), nnx.Param(jnp.asarray(b, dtype))
        (units,) = hidden_units(model)
        permuted = permute_units(model, [(v["pi"], units.axes)])
        assert_close(permuted(jnp.asarray(v["X"], dtype)), v["out"], tolerance)
        assert np.array_equal(permuted.layers[0].linear.kernel[...].T, np.asarray(v["W1"][v["pi"]], dtype))
        assert np.array_equal(permuted.layers[1].linear.kernel[...].T, np.asarray(v["W2"][:, v["pi"]], dtype))


# --- Groups ---


def weights(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("kind", ["log_absmax", "log_std", "percentiles", "sorted"])
def test_every_statistic_separates_rows_of_other_scales(kind):
    scale = np.array([1, 30, 1, 900, 30, 900, 1, 30, 900], np.float32)
    groups = group_neurons(neuron_stats(scale[:, None] * weights(9, 40), kind), 3)
    assert sorted(groups.sizes) == [3, 3, 3]
    assert all(len(set(scale[groups.perm][i : i + 3])) == 1 for i in (0, 3, 6))
    assert np.array_equal(groups.perm, np.argsort(groups.labels, kind="stable"))


def test_statistics_by_hand():
    w = np.array([[1.0, -2.0, 0.5, 0.0], [0.0, 0.0, 0.0, 0.0]])
    assert neuron_stats(w)[0] == np.log(2)
    assert neuron_stats(w, "log_std")[0] == np.log(w[0].std())
    np.testing.assert_allclose(neuron_stats(w, "percentiles")[0], np.percentile(w[0], [5, 95]))
    assert np.isfinite(neuron_stats(w)).all()
    assert np.isfinite(neuron_stats(0 * w)).all()


def test_alike_neurons_make_fewer_groups_and_drawn_ones_have_the_same_sizes():
    assert group_neurons(np.zeros(4), 3).sizes == (4,)
    drawn_groups = random_groups((2, 5, 1), np.random.default_rng(0))
    assert drawn_groups.sizes == (2, 5, 1)
    assert sorted(drawn_groups.perm.tolist()) == list(range(8))
    assert drawn_groups.perm.tolist() != list(range(8))


def test_groups_of_a_model_leave_its_function():
    for model, x in (
        (drawn(lambda r: mlp((4, 9, 8, 3), rngs=r), KEY), weights(5, 4)),
        (drawn(lambda r: conv_net((2, 6, 5), 3, 4, rngs=r), KEY), weights(2, 3, 3, 2)),
    ):
        model.eval()
        permuted, found_sizes, groups = grouped(model, 3)
        np.testing.assert_allclose(permuted(x), model(x), atol=1e-4)
        for name, sizes_here in found_sizes.items():
            before, after = kernels(nnx.state(model))[name], kernels(nnx.state(permuted))[name]
            assert sum(sizes_here) == len(before)
            assert_close(np.sort(neuron_stats(after)), np.sort(neuron_stats(before)), 1e-6)
            stats, labels = neuron_stats(after), np.repeat(np.arange(len(sizes_here)), sizes_here)
            assert all(stats[labels == i].max() <= stats[labels == i + 1].min() for i in range(len(sizes_here) - 1))
            assert groups[name].sizes == sizes_here


# --- Nearest codewords ---


@pytest.mark.parametrize("variant", ["single", "scales", "codebooks", "uniform"])
def test_every_weight_has_the_nearest_codeword(variant):
    w = weights(6, 20) * np.array([1, 1, 5, 5, 5, 20], np.float32)[:, None]
    found = nearest_assignment(w, 2, variant, (2, 3, 1))
    books = np.asarray(found.row_codebooks())
    best = np.abs(w[..., None] - books[:, None]).min(-1)
    np.testing.assert_allclose(np.abs(w - found.dequantize()), best, atol=1e-5)
    if variant == "scales":
        np.testing.assert_allclose(found.scales, [np.abs(w[:2]).max(), np.abs(w[2:5]).max(), np.abs(w[5:]).max()])
    if variant == "uniform":
        np.testing.assert_allclose(np.diff(found.codebooks[0]), np.diff(found.codebooks[0])[0], rtol=1e-4)
    assert relative_error(w, found) <= relative_error(w, nearest_assignment(w, 2, "uniform")) + 1e-6


def test_a_choice_of_codebooks_is_better_and_larger():
    w = weights(8, 30)
    found = nearest_assignment(w, 2, "codebooks", (4, 4))
    best, bits = best_of_codebooks(w, found)
    assert ((best - w) ** 2).sum() < ((w - np.asarray(found.dequantize())) ** 2).sum()
    assert bits == w.size * (2 + 1) + 32 * 8 > found.nbits()


def test_convolution_kernels_are_taken_as_they_are():
    w = weights(4, 3, 2, 2)
    found = nearest_assignment(w, 3)
    assert found.dequantize().shape == w.shape
    assert_close(found.dequantize().reshape(4, -1), nearest_assignment(w.reshape(4, -1), 3).dequantize(), 1e-7)


# --- The mapping ---


def test_the_default_rule_is_the_derivative_of_the_soft_value():
    logits, book = weights(3, 4, 5), np.sort(weights(5, seed=1))
    expected = jax.grad(lambda i, c: jnp.sum(jnp.sin(soft_map(i, c))), (0, 1))(logits, book)
    found = jax.grad(lambda i, c: jnp.sum(jnp.sin(map_codes(i, c, grad="default", forward="soft"))), (0, 1))(logits, book)
    assert_close(found, expected, 1e-5)


@pytest.mark.parametrize("own", [False, True], ids=["one codebook", "one a row"])
@pytest.mark.parametrize("phi", [inverse, exponential, nearest_only])
def test_rules_term_by_term(phi, own):
    logits, g = weights(3, 4, 5), weights(3, 4, seed=2)
    books = np.sort(weights(*((3, 5) if own else (5,)), seed=1), axis=-1)
    rows = books if own else np.broadcast_to(books, (3, 5))
    proximal, distance, by_book = np.zeros(logits.shape), np.zeros(logits.shape), np.zeros((3, 5))
    for i, j in np.ndindex(3, 4):
        h, span = logits[i, j].argmax(), np.ptp(rows[i])
        by_book[i, h] += g[i, j]
        for c in range(5):
            d = rows[i, c] - rows[i, h]
            weight = {
                inverse: 1 / (abs(d) + 1e-3 * span),
                exponential: np.exp(-abs(d) / (span / 4)),
                nearest_only: float(abs(c - h) == 1),
            }[phi]
            proximal[i, j, c], distance[i, j, c] = g[i, j] * np.sign(d) * weight, g[i, j] * d

    def of(rule):
        return jax.grad(lambda i, c: jnp.sum(g * map_codes(i, c, grad=rule, phi=phi)), (0, 1))(logits, books)

    assert_close(of("proximal"), (proximal, by_book if own else by_book.sum(0)), 1e-5)
    assert_close(of("distance")[0], distance, 1e-5)


def test_logits_start_at_the_nearest_codeword_in_units_of_the_gap():
    w, book = weights(6, 7), np.array([-1.0, -0.5, 0.2, 2.0], np.float32)
    logits = mapping_logits(w, book)
    assert_close(logits, -((w[..., None] - book) ** 2), 1e-5)  # the mean gap is 1
    assert np.array_equal(logits.argmax(-1), np.abs(w[..., None] - book).argmin(-1))
    assert_close(mapping_logits(w, np.tile(book, (6, 1))), logits, 1e-7)
    assert_close(mapping_logits(3 * w, 3 * book), logits, 1e-5)


def test_the_penalty_vanishes_for_decided_mappings_only():
    decided = 100 * np.eye(4, dtype=np.float32)[None]
    assert one_hot_penalty(decided, 2.0) < 1e-6
    assert one_hot_penalty(jnp.zeros((1, 2)), 20.0) == 2
    assert one_hot_penalty(weights(3, 4), 2.0) < one_hot_penalty(weights(3, 4), 20.0)


@pytest.mark.parametrize("rule", ["default", "distance", "proximal"])
@pytest.mark.parametrize("forward", ["hard", "soft"])
def test_the_mapping_at_the_edges(rule, forward):
    logits, book = weights(3, 4), np.array([-1.0, 0.5, 0.6, 2.0], np.float32)

    def mapped(i):
        return map_codes(i, book, grad=rule, forward=forward)

    assert_degenerate(mapped, logits)
    assert_degenerate(lambda c: map_codes(logits, c, grad=rule, forward=forward), book, axes=())
    assert_dtypes(mapped, logits)
    assert_jit_consistent(mapped, logits)
    assert_vmap_consistent(mapped, logits[:, None])


# --- What is stored ---


def some_tensor(scales=True):
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 8, (7, 5)).astype(np.int32)
    books = np.sort(weights(1 if scales else 3, 8))
    return CodebookTensor(codes, books, np.array([1.0, 2.0, 0.5], np.float32) if scales else None, (2, 4, 1))


@pytest.mark.parametrize("scales", [True, False])
def test_packed_tensors_come_back(tmp_path, scales):
    tensor = some_tensor(scales)
    back = unpack_tensor(pack_tensor(tensor))
    assert np.array_equal(back.codes, tensor.codes)
    assert np.array_equal(back.dequantize(), tensor.dequantize())
    assert back.group_sizes == tensor.group_sizes
    save_tensors(tmp_path / "w.npz", {"a/b": tensor, "c": tensor})
    loaded = load_tensors(tmp_path / "w.npz")
    assert set(loaded) == {"a/b", "c"}
    assert np.array_equal(loaded["a/b"].dequantize(), tensor.dequantize())


def test_weights_of_rows_and_bits_by_hand():
    tensor = some_tensor()
    row = np.repeat([1.0, 2.0, 0.5], (2, 4, 1)).astype(np.float32)
    assert_close(tensor.dequantize(), row[:, None] * np.asarray(tensor.codebooks[0])[tensor.codes], 1e-7)
    assert tensor.nbits() == 35 * 3 + 32 * 8 + 32 * 3 + 3 * 2
    assert some_tensor(False).nbits() == 35 * 3 + 32 * 8 * 3 + 3 * 2
    assert sizes({"a": tensor, "b": tensor})["total"] == 2 * tensor.nbits()
    assert mapping_bits(10, 3) == 30


def test_codebooks_in_another_order_are_sorted_and_codes_follow():
    tensor = some_tensor(False)
    shuffled = tensor._replace(codebooks=np.asarray(tensor.codebooks)[:, ::-1], codes=7 - np.asarray(tensor.codes))
    assert np.array_equal(sorted_codebooks(shuffled).codes, tensor.codes)
    assert np.array_equal(sorted_codebooks(shuffled).codebooks, tensor.codebooks)


# --- Learning ---


@pytest.mark.parametrize(("variant", "forward"), [("single", "hard"), ("scales", "hard"), ("codebooks", "soft")])
def test_learning_lowers_the_error_of_the_output(variant, forward):
    w, x = weights(6, 8), weights(96, 3, seed=1) @ weights(3, 8, seed=2)
    tensors = {"w": nearest_assignment(w, 2, variant, (2, 3, 1))}
    params, rows = start_params({"w": w}, tensors)
    learning = Learning("proximal", forward, steps=60, batch_size=32, one_hot=1.0 if forward == "soft" else 0.0)
    batches = np.random.default_rng(0).integers(0, 96, (60, 32)).astype(np.int32)

    def block(weights, x):
        return x @ weights["w"].T

    def error(params):
        return float(((x @ (np.asarray(learned_weights(params, rows)["w"]) - w).T) ** 2).sum())

    fit = jax.jit(lambda rate, book_rate: learn(block, params, rows, x, x @ w.T, batches, rate, book_rate, learning))
    np.testing.assert_allclose(error(params), ((x @ (np.asarray(tensors["w"].dequantize()) - w).T) ** 2).sum(), rtol=1e-4)
    assert min(error(fit(rate, 1e-3).params) for rate in (0.1, 10.0)) < 0.8 * error(params)
    kept = fit(0.0, 1e-3).params
    assert np.array_equal(kept["logits"]["w"], params["logits"]["w"])
    assert np.abs(np.asarray(kept["codebooks"]["w"]) - params["codebooks"]["w"]).max() > 1e-3
    if variant == "scales":
        assert np.abs(np.asarray(kept["scales"]["w"]) - params["scales"]["w"]).max() > 1e-3
    if forward == "hard":
        first = ((x @ (np.asarray(tensors["w"].dequantize()) - w).T) ** 2)[batches[0]].sum() / ((x @ w.T) ** 2).sum() * 3
        np.testing.assert_allclose(fit(0.0, 0.0).losses[0], first, rtol=1e-3)
    stored = learned_tensors(kept, tensors)["w"]
    assert_close(stored.dequantize(), learned_weights(kept, rows)["w"], 1e-6)


def test_models_are_compressed_layer_by_layer():
    model, x = drawn(lambda r: mlp((8, 12, 5), rngs=r), KEY), weights(64, 3) @ weights(3, 8, seed=4)
    learning = Learning(steps=80, batch_size=32, rates=(1.0, 10.0))
    target, errors = np.asarray(model(x)), {}
    for fit in ("none", "learn", "descend"):
        found = compress_model(model, x, Compression(2, fit=fit, learning=learning), key=KEY)
        errors[fit] = float(((np.asarray(found.model(x)) - target) ** 2).sum())
        for name, w in kernels(nnx.state(found.model)).items():
            assert_close(w, found.tensors[name].dequantize(), 1e-6)
            assert len(np.unique(w)) <= 4
    assert errors["learn"] < 0.8 * errors["none"]
    assert errors["descend"] < 0.8 * errors["none"]


def test_groups_go_with_the_model_and_controls_draw_them():
    models = [drawn(lambda r: mlp((8, 12, 5), rngs=r), jax.random.key(seed)) for seed in (0, 1)]
    x = weights(2, 64, 8)
    how = Compression(8, "codebooks", groups=3, fit="none")
    for random in (False, True):
        found = compress_models(models, x, replace(how, random=random), keys=[KEY, jax.random.key(3)])
        for model, each, inputs in zip(models, found, x, strict=True):
            np.testing.assert_allclose(each.model(inputs), model(inputs), atol=0.1)  # eight bits
            assert len(each.tensors["layers.0.linear"].group_sizes) == 3
            assert len(each.tensors["layers.1.linear"].group_sizes) == 1


TINY_TEXT = LanguageSizes(
    "markov", 6, 8, dim=8, depth=1, num_heads=2, training=Recipe(steps=4, batch_size=4, learning_rate=1e-3), calibration=8,
    windows=4, steps=3, rates=(1.0,), letters=600,
)  # fmt: skip


def test_a_language_model_is_compressed():
    ids = np.random.default_rng(0).integers(0, 6, 600)
    found = study(TINY_TEXT, TokenText("random", ids[:500], ids[500:]), KEY)
    assert set(found) == {"float32", "JLCM", "k-means", "RTN", "pairs of tokens"}
    assert np.isfinite(list(found.values())).all()
    assert found["float32"] != found["RTN"]


# --- Claims, presets, errors ---


def test_identities_hold():
    assert run(paper, claims=["J1", "J3"]).as_expected


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_presets_fit_together(preset):
    c = preset.vision
    shape = {"digits": 64, "cifar10": 3072}[c.image_set]
    model = nnx.eval_shape(lambda: mlp((shape, *c.hidden, 10), rngs=nnx.Rngs(0)))
    out = nnx.eval_shape(lambda m, x: m(x), model, jax.ShapeDtypeStruct((c.batch_size, shape), jnp.float32))
    assert out.shape == (c.batch_size, 10)
    if preset.language is not None:
        t = preset.language
        model = nnx.eval_shape(lambda: build(t, nnx.Rngs(0)))
        out = nnx.eval_shape(lambda m, x: m(x), model, jax.ShapeDtypeStruct((2, t.max_length), jnp.int32))
        assert out.shape == (2, t.max_length, t.vocab_size)


def test_problems_have_the_spectrum_that_they_say():
    problem = layer_problem(KEY, LayerSizes(dim=16, decay=4.0, calibration=4000, steps=2))
    found = np.linalg.eigvalsh(np.cov(problem.x.T))[::-1]
    np.testing.assert_allclose(found, np.exp(-np.arange(16) / 4), rtol=0.2)
    assert len(problem.held) == 1000
    assert problem.batches.max() < len(problem.x) == 3000


def test_ways_from_codes_agree():
    codes, books, x = benchmark.cases(16, KEY)["selections"].args
    assert_close(benchmark.by_selections(codes, books, x), benchmark.by_gather(codes, books, x), 1e-6)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: neuron_stats(weights(2, 3), "mean"), "kind is 'mean'"),
        (lambda: neuron_stats(np.array([[np.nan]])), "finite"),
        (lambda: group_neurons(np.zeros(3), 4), "g is 4"),
        (lambda: nearest_assignment(weights(2, 3), 9), "bits is 9"),
        (lambda: nearest_assignment(weights(2, 3), 2, "rows"), "variant is 'rows'"),
        (lambda: nearest_assignment(weights(2, 3), 2, "codebooks", (1, 2)), "group_sizes is"),
        (lambda: nearest_assignment(np.full((2, 3), np.inf), 2), "finite"),
        (lambda: nearest_assignment(np.ones((2, 3), int), 2), "floating point"),
        (lambda: map_codes(weights(3, 4), weights(5)), "codebook has shape"),
        (lambda: map_codes(weights(3, 4), weights(4), grad="steep"), "grad is 'steep'"),
        (lambda: pack_tensor(CodebookTensor(np.zeros((1, 2), int), np.zeros((1, 3)), None, (1,))), "power of two"),
        (lambda: pack_tensor(CodebookTensor(np.full((1, 2), 4), np.zeros((1, 4)), None, (1,))), "codes runs"),
        (lambda: unpack_tensor({"words": np.zeros(1)}), "arrays are"),
        (lambda: unpack_tensor(pack_tensor(some_tensor()) | {"group_sizes": np.array([2, 2])}), "fit together"),
        (lambda: Learning(rates=()), "rates"),
        (lambda: Learning(momentum=1.0), "momentum"),
        (lambda: Learning(rule="steep"), "rule is 'steep'"),
        (lambda: Compression(variant="codebooks", fit="descend"), "variant is 'codebooks'"),
        (lambda: Compression(groups=0), "groups 0"),
        (lambda: compress_model(mlp((2, 3), rngs=nnx.Rngs(0)), np.zeros((0, 2)), key=KEY), "at least 1 input"),
        (lambda: compress_model(mlp((2, 3), rngs=nnx.Rngs(0)), np.full((64, 2), np.nan), key=KEY), "finite"),
        (lambda: compress_model(mlp((2, 3), rngs=nnx.Rngs(0)), np.zeros((9, 2)), key=KEY), "a batch takes 64"),
        (lambda: compress_model(mlp((2, 3), rngs=nnx.Rngs(0)), np.zeros((64, 5)), key=KEY), "inputs of shape .5,., which"),
        (lambda: compress_model(nnx.Linear(2, 3, rngs=nnx.Rngs(0)), np.zeros((64, 2)), key=KEY), "models are Linear"),
        (lambda: hidden_units(nnx.Linear(2, 2, rngs=nnx.Rngs(0))), "model is a Linear"),
        (lambda: sizes({}), "tensors is empty"),
        (lambda: VisionSizes(groups=65), "groups 65"),
        (lambda: LayerSizes(calibration=64), "calibration is 64"),
        (lambda: replace(TINY_TEXT, calibration=2), "calibration"),
        (lambda: Preset(widths=(3,)), "widths is"),
        (lambda: open_images(replace(VisionSizes(), image_set="faces")), "image_set is 'faces'"),
    ],
)
def test_errors(as_installed, call, words):
    with pytest.raises(ValueError, match=words):
        call()
