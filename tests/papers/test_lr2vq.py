"""LR2VQ: golden parity, mathematics of the factors, layers, sizes, the studies in small, presets, errors."""

from dataclasses import replace
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from quire.common.quant.codebooks import kmeans
from quire.common.quant.soft_kmeans import dkm, soft_assign
from quire.common.quant.subvectors import from_subvectors, to_subvectors
from quire.common.testing import assert_close, assert_degenerate, assert_dtypes, assert_jit_consistent, assert_vmap_consistent
from quire.common.train.recipe import Recipe
from quire.lr2vq import (
    PRESETS,
    Linear,
    LowRank,
    LowRankWeight,
    Network,
    Residual,
    ResidualNet,
    channel_order,
    cluster_layers,
    compressed_bits,
    compression_ratio,
    error_decomposition,
    estimate_dim,
    expected_clustering_error,
    factored,
    log_determinant,
    low_rank_conv,
    low_rank_layers,
    low_rank_linear,
    low_rank_normal,
    low_rank_svd,
    orthonormal,
    post_hoc_errors,
    quantize,
    recalibrate,
    restored,
    soften,
    vq_bits,
)
from quire.lr2vq import digits_study as study
from quire.lr2vq.residual import load_images

RNG = np.random.default_rng(0)
S = RNG.normal(size=(12, 6)).astype(np.float32)
KEY = jax.random.key(0)

# --- Golden vectors ---

PRECISIONS = pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-9), ("float32", 1e-4)])


def in_precision(dtype):
    return jax.enable_x64(dtype == "float64")


@PRECISIONS
def test_golden_lloyd_and_weights(golden, dtype, tolerance):
    g = golden("lr2vq")
    m, k = map(int, g["m_k"])
    with in_precision(dtype):
        s = to_subvectors(g["W"].astype(dtype), m)
        assert_close(np.linalg.svd(np.asarray(s))[1], g["svals"], tolerance)
        for name in sorted(n[2:] for n in g.arrays if n.startswith("D_")):
            basis, first = (jnp.asarray(g[f"{part}_{name}"], dtype) for part in ("D", "C0"))
            found = kmeans(s @ basis.T, k, start=first, iters=int(g["lloyd_iters"]))
            same = np.asarray(found.labels) == g[f"assign_{name}"]
            assert same.all() if dtype == "float64" else same.mean() >= 0.99
            assert_close(found.centres, g[f"C_{name}"], tolerance)
            weights = from_subvectors(restored(found.centres, found.labels, basis), g["W"].shape)
            assert_close(weights, g[f"W_hat_{name}"], tolerance)
            rank = low_rank_svd(s, len(basis))
            assert_close(np.abs(rank.basis @ basis.T), np.eye(len(basis)), 1e-3)  # signs are free


@PRECISIONS
def test_golden_errors_by_rank(golden, dtype, tolerance):
    g = golden("lr2vq")
    m, k = map(int, g["m_k"])
    with in_precision(dtype):
        s = to_subvectors(g["W"].astype(dtype), m)
        found = []
        for d in range(1, m + 1):
            factors = low_rank_svd(s, d)
            clusters = kmeans(factors.rows, k, start=factors.rows[:k], iters=int(g["lloyd_iters"]))
            found.append(error_decomposition(s, factors.basis, clusters.centres, clusters.labels))
        for values, name in zip(zip(*found, strict=True), ("err_lowrank", "err_cluster", "err_total"), strict=True):
            np.testing.assert_allclose(np.array(values), g[name], rtol=tolerance, atol=tolerance * g["err_total"].max())


def test_golden_sizes(golden):
    g = golden("lr2vq")
    m, k = map(int, g["m_k"])
    n = g["W"].size // m
    assert [compressed_bits(n, m, k, d) for d in range(1, m + 1)] == g["bits"].tolist()
    np.testing.assert_allclose([compression_ratio(n, m, k, d) for d in range(1, m + 1)], g["ratio"], rtol=1e-12)
    assert vq_bits(n, m, k) == g["bits_vq"]


@PRECISIONS
def test_golden_soft_kmeans(golden, dtype, tolerance):
    g = golden("lr2vq")
    with in_precision(dtype):
        x, first = (jnp.asarray(g[name], dtype) for name in ("dkm_X", "dkm_C0"))
        tau = float(g["dkm_tau"])
        assert_close(soft_assign(x, first, tau), g["dkm_A1"], tolerance)
        assert_close(dkm(x, first, tau, 1).centres, g["dkm_C1"], tolerance)
        third = dkm(x, first, tau, 3)
        assert_close(third.centres, g["dkm_C3"], tolerance)
        assert_close(third.rows, g["dkm_out"], tolerance)


def test_golden_rows_of_convolutions(golden):
    g = golden("lr2vq")
    names = [name for name in g.arrays if name.startswith("conv_sub_m")]
    assert names
    for name in names:
        rows = g[name]
        np.testing.assert_allclose(to_subvectors(g["conv_K"], rows.shape[1]), rows, rtol=1e-6)


# --- Factors ---


def test_the_rank_leaves_out_the_smallest_singular_values():
    values = np.linalg.svd(S)[1]
    for d in (1, 3, 6):
        rows, basis = low_rank_svd(S, d)
        np.testing.assert_allclose(np.sum((S - rows @ basis) ** 2), np.sum(values[d:] ** 2), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(basis @ basis.T, np.eye(d), atol=1e-5)


def test_more_numbers_than_rows():
    rows, basis = low_rank_svd(S[:2], 4)
    np.testing.assert_allclose(rows @ basis, S[:2], atol=1e-5)
    np.testing.assert_allclose(basis @ basis.T, np.eye(4), atol=1e-5)


def test_orthonormal_keeps_the_weights():
    factors = LowRank(jnp.asarray(S[:, :3]), jnp.asarray(RNG.normal(size=(3, 5)), jnp.float32))
    found = orthonormal(factors)
    np.testing.assert_allclose(found.rows @ found.basis, factors.rows @ factors.basis, atol=1e-5)
    np.testing.assert_allclose(found.basis @ found.basis.T, np.eye(3), atol=1e-5)


def test_weights_from_scratch_have_he_variance():
    factors = low_rank_normal(KEY, 2000, 16, 4, fan_in=32)
    np.testing.assert_allclose(np.var(factors.rows @ factors.basis), 2 / 32, rtol=0.2)


def test_the_gradient_of_a_codeword_is_the_sum_over_its_rows():
    codebook, basis = jnp.asarray(S[:3, :2]), jnp.asarray(RNG.normal(size=(2, 5)), jnp.float32)
    codes, up = np.array([0, 2, 2, 0, 2]), RNG.normal(size=(5, 5)).astype(np.float32)
    gradient = jax.grad(lambda c: jnp.sum(up * restored(c, codes, basis)))(codebook)
    expected = np.stack([(up[codes == j] @ basis.T).sum(0) for j in range(3)])
    np.testing.assert_allclose(gradient, expected, atol=1e-5)
    assert not gradient[1].any()


def test_degenerate_inputs_dtypes_jit_and_vmap():
    codes = np.array([0, 1, 1], np.int32)
    codebook, basis = S[:2, :3], S[:3]
    function = lambda c, b: restored(c, codes, b)  # noqa: E731
    assert_degenerate(function, codebook, basis, axes=())
    assert_dtypes(function, codebook, basis)
    assert_jit_consistent(function, jnp.asarray(codebook), jnp.asarray(basis))
    assert_vmap_consistent(function, np.stack([codebook, 2 * codebook]), np.stack([basis, basis]))
    assert_degenerate(lambda s: low_rank_svd(s, 2).rows, S, differentiable=False)
    assert_dtypes(lambda s: low_rank_svd(s, 2).rows @ low_rank_svd(s, 2).basis, S)


# --- Choice of the rank, sizes, permutations ---


def test_given_weights_are_best_served_by_full_rank():
    found = post_hoc_errors(S, 6, 4, (1, 3, 6), KEY)
    total = found["low rank"] + found["clustering"]
    assert total[-1] == total.min() and (np.diff(found["low rank"]) < 0).all() and found["low rank"][-1] < 1e-6


def test_the_estimate_takes_the_smallest_of_equals():
    assert estimate_dim({2: 0.9, 8: 0.95}, {2: 0.1, 8: 0.15}) == 2
    assert estimate_dim({2: 0.9, 8: 0.95}, {2: 0.1, 8: 0.1}) == 8
    assert estimate_dim({2: 0.9, 8: 0.95}, {2: 0.1, 8: 0.1}, tolerance=0.1) == 2


def test_the_law_of_quantisation_for_a_line():
    x = RNG.uniform(size=(4000, 1))
    errors = [float(kmeans(jnp.asarray(x, jnp.float32), k, start=jnp.linspace(0, 1, k)[:, None]).inertia) / 4000 for k in (4, 16)]
    assert abs(errors[0] / errors[1] - 16) < 1  # k^-2
    np.testing.assert_allclose(expected_clustering_error(x, 4), x.var() / 16)


def test_longer_rows_halve_the_size_and_the_rank_hardly_matters():
    n = 512 * 512 * 9
    ratios = [compression_ratio(n // 16, 16, 256, d) for d in (2, 8)]
    assert ratios[0] / ratios[1] < 1.05 and 1.8 < ratios[0] / compression_ratio(n // 8, 8, 256, 2) < 2.2
    assert compressed_bits(100, 8, 16, 2, bits=16) == 100 * 4 + 16 * (16 * 2 + 2 * 8)
    assert compressed_bits(100, 8, 1, 2) == 32 * (2 + 16)  # one codeword needs no code


def test_swaps_lower_the_determinant_and_keep_every_channel():
    w = RNG.normal(size=(30, 8))
    w[:, 4:] = w[:, :4] + 0.1 * RNG.normal(size=(30, 4))  # twins, four apart
    order = channel_order(w, 2, KEY, swaps=100)
    assert sorted(order.tolist()) == list(range(8))
    assert log_determinant(w[:, order].reshape(-1, 2)) < log_determinant(w.reshape(-1, 2)) - 0.5


# --- Layers ---


def test_a_layer_of_full_rank_with_a_codeword_for_every_row_is_itself():
    w = RNG.normal(size=(4, 6)).astype(np.float32)
    layer = Linear(LowRankWeight((4, 6), low_rank_svd(to_subvectors(w, 3), 3)), jnp.arange(4.0))
    x = jnp.asarray(RNG.normal(size=(5, 6)), jnp.float32)
    expected = np.asarray(x) @ w.T + np.arange(4)
    np.testing.assert_allclose(layer(x), expected, atol=1e-5)
    np.testing.assert_allclose(quantize(layer, 8, KEY)(x), expected, atol=1e-4)
    np.testing.assert_allclose(factored(layer, m=3, d=3)(x), expected, atol=1e-4)


def test_convolutions_are_those_of_their_weight():
    layer = low_rank_conv(2, 3, (3, 3), m=9, d=2, stride=2, rngs=nnx.Rngs(0))
    x = jnp.asarray(RNG.normal(size=(1, 6, 6, 2)), jnp.float32)
    kernel = jnp.transpose(layer.weight(), (2, 3, 1, 0))
    expected = jax.lax.conv_general_dilated(x, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    np.testing.assert_allclose(layer(x), expected, atol=1e-5)
    assert layer.weight.rows.shape == (6, 2)


def test_codes_are_no_parameters():
    layer = quantize(low_rank_linear(8, 4, m=4, d=2, rngs=nnx.Rngs(0)), 3, KEY)
    names = {path[-1] for path, _ in nnx.to_flat_state(nnx.state(layer, nnx.Param))}
    assert names == {"bias", "codebook", "basis"}


def test_a_cold_soft_weight_is_its_hardened_form():
    layer = low_rank_linear(16, 8, m=4, d=2, rngs=nnx.Rngs(0))
    soft = soften(layer, 4, KEY, tau=1e-3)
    np.testing.assert_allclose(soft.weight(), soft.weight.hardened()(), atol=1e-4)
    gradient = jax.grad(lambda rows: jnp.sum(dkm(rows, soft.weight.centres[...], 0.5).rows ** 2))(soft.weight.rows[...])
    assert jnp.isfinite(gradient).all() and gradient.any()


def test_batch_norm_is_taken_anew():
    net = ResidualNet(Residual(channels=(4, 8)), 1, 10, rngs=nnx.Rngs(0))
    x = jnp.asarray(RNG.uniform(size=(20, 8, 8, 1)), jnp.float32)
    count = len(low_rank_layers(net))
    bits = cluster_layers(net, 4, KEY)
    assert count == 5 and bits > 0 and not low_rank_layers(net)
    recalibrate(net, x)
    stem = net.stem(x)
    np.testing.assert_allclose(net.norm.mean[...], stem.mean((0, 1, 2)), atol=1e-5)
    assert net.norm.momentum == 0.1 and net.norm.use_running_average
    with pytest.raises(ValueError, match="no low-rank layer"):
        cluster_layers(net, 4, KEY)


# --- Studies ---

SMALL = Network(
    hidden=(16,),
    m=4,
    dims=(1, 2, 4),
    codewords=(4,),
    small=2,
    pretraining=Recipe(30, 32, 1e-2, optimiser="adam"),
    finetuning_steps=20,
)


def test_zero_columns_stay_zero_and_ranks_train_side_by_side():
    split = study.load_split("digits")
    widths = study.widths_of(SMALL, split.train[0].shape[1])
    params = jax.tree.map(lambda *x: jnp.stack(x), *[study.start(KEY, widths, 4, d) for d in (1, 4)])
    batches = RNG.integers(0, 100, (2, 10, 8)).astype(np.int32)
    trained, losses = study.train(params, None, split.train, batches, np.array([1e-2, 1e-2], np.float32), steps=10)
    assert losses.shape == (2, 10) and not trained["layers"][0].rows[0, :, 1:].any()
    assert trained["layers"][0].rows[1, :, 1:].any()
    clustered, codes = study.cluster(trained, [1, 4], 4, [KEY, KEY])
    weights = restored(clustered["layers"][0].rows[0], codes[0][0], clustered["layers"][0].basis[0])
    assert len(np.unique(np.asarray(weights), axis=0)) <= 4
    assert np.linalg.matrix_rank(np.asarray(weights)) == 1


def test_the_study_learns_and_tuning_helps():
    preset = replace(PRESETS["quick"], network=SMALL)
    found = study.digits_study.__wrapped__(preset, jnp.stack([KEY]))
    assert found["before"].shape == (1, 3) and found["tuned"].shape == found["clustered"].shape == (1, 1, 3)
    assert found["before"].max() > 0.4 > found["majority"] and (found["tuned"] >= found["clustered"] - 0.02).all()


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_traced(name):
    config, residual = PRESETS[name].network, PRESETS[name].residual
    features = 64 if config.image_set == "digits" else 784
    widths = study.widths_of(config, features)
    shapes = [(a * b // config.m, config.m) for a, b in pairwise(widths)]

    def zeros():
        layers = [LowRank(jnp.zeros(shape), jnp.zeros((config.m, config.m))) for shape in shapes]
        return {"layers": layers, "biases": [jnp.zeros(width) for width in widths[1:]]}

    params = jax.eval_shape(zeros)
    assert jax.eval_shape(lambda p: study.logits(p, None, jnp.zeros((3, features))), params).shape == (3, 10)
    channels, side = (1, 8) if residual.image_set == "digits" else (3, 32)
    net = nnx.eval_shape(lambda: ResidualNet(residual, channels, 10, rngs=nnx.Rngs(0)))
    graph, state = nnx.split(net)
    shape = jax.eval_shape(lambda s: nnx.merge(graph, s)(jnp.zeros((2, side, side, channels))), state)
    assert shape.shape == (2, 10)


# --- Errors ---


def test_errors(as_installed):
    layer = low_rank_linear(8, 4, m=4, d=2, rngs=nnx.Rngs(0))
    for match, call in (
        ("d is 0", lambda: low_rank_svd(S, 0)),
        ("d is 7", lambda: low_rank_svd(S, 7)),
        ("must divide the 35 weights", lambda: low_rank_linear(7, 5, m=4, d=2, rngs=nnx.Rngs(0))),
        ("not orthonormal", lambda: error_decomposition(S, 2 * np.eye(6)[:2], S[:2, :2], np.zeros(12, int))),
        ("codes runs from", lambda: restored(S[:2, :2], np.array([0, 2]), S[:2])),
        ("needs a LowRankWeight|need.* LowRankWeight", lambda: quantize(quantize(layer, 3, KEY), 3, KEY)),
        ("k is 9", lambda: quantize(layer, 9, KEY)),
        ("tau is 0", lambda: soften(layer, 3, KEY, tau=0.0)),
        ("k is 0", lambda: vq_bits(4, 4, 0)),
        ("they need the same", lambda: estimate_dim({1: 0.5}, {2: 0.1})),
        ("m must divide in", lambda: channel_order(S, 4, KEY)),
        ("dims is", lambda: Network(small=3)),
        ("image_set is 'cats'", lambda: study.load_split("cats")),
        ("image_set is 'cats'", lambda: load_images("cats")),
    ):
        with pytest.raises((ValueError, TypeError), match=match):
            call()
