"""FlexRound: golden parity, the mathematics as properties, degenerate inputs, errors, block-wise quantisation, presets."""

import re
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from quire.common.data.images import ImageSplit
from quire.common.layers.resnet import ResNet
from quire.common.quant.reconstruct import output_error, reconstruct_block
from quire.common.quant.uniform import Grid, affine_codes
from quire.common.testing import (
    assert_close,
    assert_degenerate,
    assert_dtypes,
    assert_jit_consistent,
    assert_vmap_consistent,
    max_relative_error,
)
from quire.flexround import (
    METHODS,
    PRESETS,
    Chain,
    FlexRoundParams,
    Scheme,
    adaquant,
    adaquant_init,
    adaround_hard,
    adaround_init,
    adaround_reg,
    adaround_soft,
    best_neighbour,
    best_rounding,
    decoder,
    drawn,
    encoder,
    export_int,
    flexround,
    fold,
    grid_shift,
    init_flexround,
    initial_grid,
    low_rank,
    low_rank_init,
    mlp,
    nearest_rounding,
    pack_model,
    paper,
    per_token,
    quantize_inputs,
    quantize_model,
    quantize_models,
    reciprocal_gradients,
    residual_network,
    rtn,
    sizes,
    up_share,
)
from quire.flexround import config as presets
from quire.flexround.activations import QuantizedInput
from quire.flexround.adaround import AdaRoundParams, adaround_codes, adaround_penalty
from quire.flexround.division import start_flexround
from quire.flexround.enumeration import rounding_error
from quire.flexround.layer_study import LayerSizes, layer_problem, variant_rates
from quire.flexround.layer_weights import input_steps, layer_weights, with_weights
from quire.flexround.methods import rates
from quire.flexround.peers import qwix_gptq, qwix_nearest
from quire.flexround.sources import open_images, open_text
from quire.flexround.vision import accuracy, build, load_published, published_names

quantize = jax.jit(flexround, static_argnames=("bits", "symmetric"))
nearest_to = jax.jit(rtn, static_argnames=("bits", "symmetric"))
start_of = jax.jit(partial(init_flexround, clip_search=False), static_argnames=("bits", "per_channel", "symmetric"))
closed_form = jax.jit(reciprocal_gradients, static_argnames=("bits", "symmetric"))
grid_of_any = jax.jit(partial(initial_grid, clip_search=False), static_argnames="symmetric")
quantize_any = jax.jit(flexround, static_argnames="symmetric")
"""Compiled whole, which takes less time than compiling their small operations one by one."""

PRECISIONS = [pytest.param(jnp.float64, 1e-10, id="float64"), pytest.param(jnp.float32, 1e-5, id="float32")]


@pytest.fixture(scope="module")
def vectors(golden):
    return golden("flexround")


@pytest.fixture
def double():
    with jax.enable_x64():
        yield


def weights(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def moved(p: FlexRoundParams, seed=1, size=0.2) -> FlexRoundParams:
    """Parameters as if something had been learned."""
    rng = np.random.default_rng(seed)
    noisy = jax.tree.map(lambda x: np.asarray(x + size * rng.standard_normal(x.shape), x.dtype), jax.device_get(p))
    return jax.tree.map(jnp.asarray, noisy)._replace(zero=p.zero)


def params_of(s1, zero, S2, s3, s4=None, dtype=None):
    logs = [None if x is None else jnp.asarray(np.log(x), dtype) for x in (s1, S2, s3, s4)]
    return FlexRoundParams(*logs, jnp.asarray(zero, dtype))


# --- Golden vectors ----------------------------------------------------------------------------------------------------------


def grid_cases(vectors):
    names = [re.fullmatch(r"(b(\d)_(ch|pt)_(asym|sym)_(clip|minmax))_s1", name) for name in vectors.arrays]
    cases = [(m[1], int(m[2]), m[3] == "ch", m[4] == "sym", m[5] == "clip") for m in names if m]
    assert cases
    return cases


def test_golden_grids(vectors, double):
    w, compared = jnp.asarray(vectors["W"]), 0
    for name, bits, per_channel, symmetric, clip_search in grid_cases(vectors):
        grid = initial_grid(w, bits, per_channel=per_channel, symmetric=symmetric, clip_search=clip_search)
        assert_close(grid.scale, vectors[f"{name}_s1"], 1e-7)
        np.testing.assert_array_equal(grid.zero, vectors[f"{name}_zp"])
        if f"{name}_rtn" in vectors:
            exact = Grid(*(jnp.asarray(vectors[f"{name}_{part}"]) for part in ("s1", "zp")))
            assert_close(rtn(w, exact, bits, symmetric), vectors[f"{name}_rtn"], 1e-10)
            compared += 1
    assert compared


def test_golden_grids_in_float32_are_as_good(vectors):
    """A search may end elsewhere where two ranges are equally good; the error it ends with may not differ."""
    w = np.asarray(vectors["W"])
    for name, bits, per_channel, symmetric, clip_search in grid_cases(vectors):
        if not clip_search:  # nothing is chosen
            continue
        grid = initial_grid(jnp.asarray(w, jnp.float32), bits, per_channel=per_channel, symmetric=symmetric)
        theirs = Grid(*(jnp.asarray(vectors[f"{name}_{part}"], jnp.float32) for part in ("s1", "zp")))
        found, expected = (
            np.mean(np.abs(w - nearest_to(jnp.asarray(w, jnp.float32), g, bits, symmetric)) ** 2.4) for g in (grid, theirs)
        )
        assert found <= expected * (1 + 1e-4)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_golden_forward_and_gradients(vectors, dtype, tolerance):
    bits = 3
    with jax.enable_x64(dtype == jnp.float64):
        w, x = (jnp.asarray(vectors[name], dtype) for name in ("W", "fw_X"))
        p = params_of(vectors["fw_s1"], vectors["fw_zp"], vectors["fw_S2"], vectors["fw_s3"], dtype=dtype)

        def loss(p, offset):
            return output_error(x @ (flexround(w, p, bits) + offset).T, x @ w.T)

        assert_close(quantize(w, p, bits), vectors["fw_Wq"], tolerance)
        value, (gradient, by_weight) = jax.jit(jax.value_and_grad(loss, (0, 1)))(p, jnp.zeros_like(w))
        assert_close(value, vectors["fw_loss"], tolerance)
        assert_close(by_weight, vectors["fw_grad_Wq"], tolerance)
        closed = closed_form(w, p, by_weight, bits)
        for name in ("log_s1", "log_S2", "log_s3"):
            assert_close(getattr(gradient, name), vectors[f"fw_grad_{name}"], tolerance)
            assert_close(getattr(closed, name), vectors[f"fw_grad_{name}"], tolerance)
        assert not np.any(gradient.zero)


def test_golden_reconstruction(vectors, double):
    bits, steps = 3, int(vectors["rec_steps"])
    w, x = (jnp.asarray(vectors[name]) for name in ("W", "fw_X"))
    ones = np.ones(w.shape), np.ones((len(w), 1))
    start = params_of(vectors["b3_pt_asym_clip_s1"], vectors["b3_pt_asym_clip_zp"], *ones)

    @jax.jit
    def fit(p, x, target, rate):
        return reconstruct_block(lambda p, x: x @ flexround(w, p, bits).T, p, x, target, steps=steps, rate=rate)

    found = fit(start, x, x @ w.T, float(vectors["rec_lr"]))
    np.testing.assert_allclose(found.losses, vectors["rec_losses"], rtol=1e-9)
    for name in ("s1", "S2", "s3"):
        assert_close(jnp.exp(getattr(found.params, f"log_{name}")), vectors[f"rec_final_{name}"], 1e-9)
    assert_close(flexround(w, found.params, bits), vectors["rec_final_Wq"], 1e-9)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_golden_adaround(vectors, dtype, tolerance):
    bits = 3
    with jax.enable_x64(dtype == jnp.float64):
        w = jnp.asarray(vectors["W"], dtype)
        start = adaround_init(w, Grid(*(jnp.asarray(vectors[f"b3_pt_asym_clip_{part}"], dtype) for part in ("s1", "zp"))))
        # logits are steep where a weight lies on the grid, so float32 has fewer digits of them
        assert_close(start.logits, vectors["ada_V0"], 10 * tolerance)
        assert_close(adaround_soft(w, start, bits), vectors["ada_soft_W0"], tolerance)
        p = AdaRoundParams(jnp.asarray(vectors["ada_V"], dtype), start.grid)
        assert_close(up_share(p.logits), vectors["ada_h"], tolerance)
        assert_close(adaround_soft(w, p, bits), vectors["ada_soft_W"], tolerance)
        assert_close(adaround_hard(w, p, bits), vectors["ada_hard_W"], tolerance)
        found = [adaround_reg(p.logits, float(beta)) for beta in vectors["ada_reg_beta"]]
        assert_close(jnp.stack(found), vectors["ada_reg"], tolerance)


def test_golden_enumeration(vectors):
    scale, zero, bits = vectors["bf_s1_zp_bits"].tolist()
    args = vectors["bf_w"], vectors["bf_cov"], scale, zero, int(bits)
    for find, name in ((best_rounding, "best"), (best_neighbour, "adaround"), (nearest_rounding, "rtn")):
        found = find(*args)
        np.testing.assert_array_equal(found.codes, vectors[f"bf_{name}_codes"])
        assert_close(found.error, vectors[f"bf_{name}_err"], 1e-10)
        assert found.error >= vectors["bf_best_err"] * (1 - 1e-12)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_golden_convolution(vectors, dtype, tolerance):
    scale, zero, bits = vectors["conv_s1_zp_bits"].tolist()
    with jax.enable_x64(dtype == jnp.float64):
        p = params_of(scale, zero, vectors["conv_S2"], vectors["conv_s3"], vectors["conv_s4"], dtype=dtype)
        assert_close(flexround(jnp.asarray(vectors["conv_W"], dtype), p, int(bits)), vectors["conv_Wq"], tolerance)


# --- The mathematics as properties -------------------------------------------------------------------------------------------

SHAPES = [(5, 4), (3, 2, 3, 3)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("options", [{}, {"per_channel": True}, {"symmetric": True}, {"per_channel": True, "symmetric": True}])
def test_starts_at_rounding_to_nearest_bit_by_bit(shape, options):
    w, symmetric = weights(*shape), options.get("symmetric", False)
    p = start_of(w, 3, **options)
    assert p.log_s1.shape == ((shape[0],) + (1,) * (len(shape) - 1) if options.get("per_channel") else ())
    assert p.log_s3.shape == (shape[0],) + (1,) * (len(shape) - 1)
    assert (p.log_s4 is None) == (len(shape) == 2)
    np.testing.assert_array_equal(quantize(w, p, 3, symmetric), nearest_to(w, p.grid, 3, symmetric))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), bits=st.integers(2, 8), symmetric=st.booleans())
def test_results_are_points_of_the_grid(seed, bits, symmetric):
    w = weights(4, 3, seed=seed)
    p = moved(start_flexround(w, grid_of_any(w, np.int32(bits), symmetric=symmetric)), seed)
    codes = np.asarray(quantize_any(w, p, np.int32(bits), symmetric)) / float(p.grid.scale) + float(p.zero)
    np.testing.assert_allclose(codes, np.round(codes), atol=1e-3)
    low = -(2 ** (bits - 1)) if symmetric else 0
    assert codes.min() >= low - 1e-3
    assert codes.max() <= low + 2**bits - 1 + 1e-3


def test_is_the_equation_term_by_term():
    w = weights(3, 2, 2, 2)
    p = moved(start_of(w, 3))
    s1, S2, s3, s4 = (np.exp(np.asarray(x, np.float64)) for x in p[:4])
    expected = s1 * np.clip(np.round(np.asarray(w, np.float64) / (s1 * S2 * s3 * s4)), -p.zero, 7 - p.zero)
    assert_close(quantize(w, p, 3), expected, 1e-5)


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("symmetric", [False, True])
def test_derivatives_are_the_closed_form(double, per_channel, symmetric):
    w = jnp.asarray(np.random.default_rng(0).standard_normal((6, 5)))
    p = moved(start_of(w, 2, per_channel=per_channel, symmetric=symmetric))
    grad = jnp.asarray(np.random.default_rng(1).standard_normal(w.shape))
    found = jax.jit(jax.grad(lambda p: jnp.sum(grad * flexround(w, p, 2, symmetric))))(p)
    expected = closed_form(w, p, grad, 2, symmetric)
    assert_close(found[:3], tuple(expected), 1e-12)
    assert not found.zero.any()


def test_derivative_by_a_scale_grows_with_its_weight():
    w = jnp.array([[0.4, 0.2, 0.1]])
    p = start_of(w, 8)
    size = np.abs(jax.jit(jax.grad(lambda p: flexround(w, p, 8).sum()))(p).log_S2)
    np.testing.assert_allclose(size[0] / size[0, 2], [4, 2, 1], rtol=1e-5)


def test_codes_on_the_bounds_have_a_derivative():
    """After rounding they lie exactly there; a clip that is cut open would halve or lose it."""
    w = jnp.array([[0.0, 3.0]])
    p = FlexRoundParams(jnp.zeros(()), jnp.zeros((1, 2)), jnp.zeros((1, 1)), None, jnp.zeros(()))
    gradient = jax.jit(jax.grad(lambda p: flexround(w, p, 2).sum()))(p)
    np.testing.assert_allclose(gradient.log_S2, [[0, -3]])


def test_export_needs_none_of_the_learned_scales():
    for symmetric in (False, True):
        w = weights(4, 6)
        p = moved(start_of(w, 3, symmetric=symmetric))
        codes, scale, zero = export_int(w, p, 3, symmetric)
        assert codes.dtype == jnp.uint8
        assert codes.max() <= 7
        np.testing.assert_allclose(scale * (codes.astype(jnp.float32) - zero), quantize(w, p, 3, symmetric), rtol=1e-6, atol=1e-7)
        assert {scale.size, zero.size} == {1}


def test_shifts_are_counted_from_either_grid():
    w = jnp.array([[0.1, 1.0, 2.0]])
    p = FlexRoundParams(jnp.zeros(()), jnp.log(jnp.array([[0.1, 1.0, 1.0]])), jnp.zeros((1, 1)), None, jnp.zeros(()))
    assert grid_shift(w, p, 2).tolist() == [[1, 0, 0]]
    assert grid_shift(w, p, 2, Grid(jnp.float32(0.5), jnp.float32(0))).tolist() == [[1, -1, -1]]


def test_adaround_starts_soft_at_the_weights_and_moves_one_step_at_most():
    w, grid = weights(6, 5), Grid(jnp.float32(0.05), jnp.float32(128))
    p = adaround_init(w, grid)
    soft, hard = jax.jit(lambda w, p: (adaround_soft(w, p, 8), adaround_hard(w, p, 8)))(w, p)
    assert_close(soft, w, 1e-5)
    np.testing.assert_array_equal(hard, nearest_to(w, grid, 8))
    extreme = p._replace(logits=jnp.where(w > 0, 9.0, -9.0))
    shift = jax.jit(lambda w, p: adaround_codes(w, p, 8) - affine_codes(w, p.grid, 8))(w, extreme)
    assert np.abs(shift).max() == 1
    assert float(adaround_reg(extreme.logits, 2.0)) == 0
    np.testing.assert_allclose(adaround_reg(jnp.zeros(3), 4.0), 3)


def test_adaround_penalty_has_a_warm_up_and_sharpens():
    p = AdaRoundParams(jnp.array([0.5, -0.3]), Grid(jnp.ones(()), jnp.zeros(())))
    penalty, sum_of = jax.jit(adaround_penalty), jax.jit(adaround_reg)
    values = [float(penalty(p, jnp.float32(t))) for t in (0.0, 0.19, 0.2, 1.0)]
    assert values[:2] == [0, 0]
    np.testing.assert_allclose(values[2], 0.01 * sum_of(p.logits, 20.0), rtol=1e-5)
    np.testing.assert_allclose(values[3], 0.01 * sum_of(p.logits, 2.0), rtol=1e-5)


def test_addition_and_the_low_rank_form_start_at_rounding_to_nearest():
    w = weights(5, 4)
    grid = start_of(w, 3).grid
    added, low = adaquant_init(w, grid), low_rank_init(w, grid, jax.random.key(0), rank=2)
    np.testing.assert_allclose(adaquant(w, added, 3), nearest_to(w, grid, 3), rtol=1e-6)
    np.testing.assert_allclose(low_rank(w, low, 3), nearest_to(w, grid, 3), rtol=1e-6)
    assert jnp.abs(low.right).max() <= 1 / 2
    by_offset = jax.grad(lambda p: adaquant(w, p, 8).sum())(adaquant_init(w, initial_grid(w, 8, clip_search=False))).offset
    np.testing.assert_allclose(by_offset, 1, rtol=1e-5)  # whatever the weight


def test_low_rank_is_flexround_with_its_product():
    w = weights(5, 4)
    p = moved(low_rank_init(w, initial_grid(w, 3, clip_search=False), jax.random.key(0), rank=2))
    whole = FlexRoundParams(p.log_s1, p.left @ p.right + p.columns, p.rows, None, p.zero)
    np.testing.assert_allclose(low_rank(w, p, 3), quantize(w, whole, 3), rtol=1e-5)


def test_rates_keep_what_is_fixed():
    p = start_of(weights(3, 2), 3)
    kept = rates(p, 0.1, fixed=("log_s1",))
    assert (kept.log_s1, kept.log_S2, kept.log_s4) == (0, 0.1, None)
    with pytest.raises(ValueError, match="log_s9"):
        rates(p, 0.1, fixed=("log_s9",))


def test_no_rounding_beats_enumeration():
    rng = np.random.default_rng(0)
    for _ in range(5):
        w, root = rng.standard_normal(4), rng.standard_normal((4, 4))
        args = w, root.T @ root, 0.8, 2.0, 2
        best, neighbour, nearest = best_rounding(*args), best_neighbour(*args), nearest_rounding(*args)
        assert best.error <= neighbour.error <= nearest.error + 1e-12
        random = [rounding_error(w, rng.integers(0, 4, 4), *args[1:4]) for _ in range(30)]
        assert best.error <= min(random)


def test_jit_and_vmap():
    w = weights(3, 4, 5)
    p = moved(jax.vmap(lambda w: start_of(w, 3))(w))
    assert_jit_consistent(lambda w, p: quantize(w, p, 3), w[0], jax.tree.map(lambda x: x[0], p))
    assert_vmap_consistent(lambda w, p: quantize(w, p, 3), w, p)


# --- Inputs at the edge ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_degenerate_weights_have_an_answer_and_a_gradient(method):
    each = METHODS[method]

    def quantized(w):
        # axis 1 of some variants has length 1, which the rank of the low-rank form must not exceed
        start = low_rank_init(w, initial_grid(w, 3, clip_search=False), jax.random.key(0), 1) if method == "low_rank" else None
        p = start or each.start(w, initial_grid(w, 3, clip_search=False), jax.random.key(0))
        return each.weights(w, p, 3), each.codes(w, p, 3)

    assert_degenerate(quantized, weights(3, 4), axes=(0, 1))


def test_zeros_are_quantised_to_zeros():
    w = jnp.zeros((2, 3))
    for clip_search in (False, True):
        p = init_flexround(w, 3, clip_search=clip_search)
        assert p.grid.scale > 0
        assert not flexround(w, p, 3).any()


def test_dtypes():
    assert_dtypes(lambda w: flexround(w, start_of(w, 8), 8), weights(3, 4), tolerance=1e-4)


def test_refuses(as_installed):
    w = weights(3, 4)
    for bits in (1, 9):
        with pytest.raises(ValueError, match=f"bits is {bits}"):
            init_flexround(w, bits)
        with pytest.raises(ValueError, match=f"bits is {bits}"):
            export_int(w, start_of(w, 3), bits)
    for bad in (w[0], w[None], w[:0], jnp.zeros((2, 2, 0, 3))):
        with pytest.raises(ValueError, match="w has shape"):
            init_flexround(bad, 3)
    with jax.debug_nans(False), pytest.raises(ValueError, match="not finite"):
        init_flexround(w.at[0, 0].set(jnp.nan), 3)
    with pytest.raises(ValueError, match=r"p has scales for weights of shape \(3, 4\)"):
        flexround(w.T, start_of(w, 3), 3)
    for rank in (0, 4):
        with pytest.raises(ValueError, match=f"rank is {rank}"):
            low_rank_init(w, initial_grid(w, 3, clip_search=False), jax.random.key(0), rank)
    with pytest.raises(ValueError, match="can be tried"):
        best_rounding(np.zeros(20), np.eye(20), 1.0, 0.0, 2)
    with pytest.raises(ValueError, match="a token needs"):
        per_token(jnp.zeros((2, 0)), 8)
    with pytest.raises(ValueError, match="steps 'row'"):
        QuantizedInput(nnx.Linear(2, 2, rngs=nnx.Rngs(0)), 8, "row")


# --- Models, block by block --------------------------------------------------------------------------------------------------


def small_scheme(method="flexround", **options):
    return Scheme(method, **{"bits": 3, "steps": 30, "batch_size": 8, "clip_search": False, "rate": 1e-2} | options)


@pytest.fixture(scope="module")
def small():
    model = drawn(lambda rngs: mlp((6, 5, 4), rngs=rngs), jax.random.key(0))
    return model, np.random.default_rng(0).standard_normal((32, 6)).astype(np.float32)


@nnx.jit
def outputs(model, x):
    """Of a whole model, in one program."""
    return model(x)


def error_of(quantized, model, x):
    return float(np.mean((outputs(quantized.model, x) - outputs(model, x)) ** 2))


@pytest.mark.parametrize("method", [name for name in METHODS if name != "rtn"])
def test_learning_improves_on_rounding_to_nearest_and_packs(small, method):
    model, x = small
    scheme = small_scheme(method, rate=0.3 if method == "adaround" else 1e-2)
    learned = quantize_model(model, x, scheme, key=jax.random.key(0))
    nearest = quantize_model(model, x, small_scheme("rtn"), key=jax.random.key(0))
    assert error_of(learned, model, x) < error_of(nearest, model, x)
    packed = pack_model(model, learned, scheme)
    np.testing.assert_allclose(packed(x), learned.model(x), rtol=1e-5, atol=1e-6)
    assert not [path for path, _ in nnx.to_flat_state(nnx.state(packed)) if "log_S2" in path]


def test_inputs_are_those_of_the_quantised_blocks_and_targets_those_in_full_precision(small):
    model, x = small
    scheme = small_scheme(batch_size=32)
    both = quantize_model(model, x, scheme, key=jax.random.key(0))
    first, second = model.stages
    quantized = both.model.stages[0]
    target = second(first(x))
    start = quantize_model(Chain([second]), np.asarray(first(x)), small_scheme("rtn"), key=jax.random.key(0)).model
    expected = output_error(start(quantized(x)), target)
    np.testing.assert_allclose(both.blocks[1].losses[0], expected, rtol=1e-5)


def test_sizes_are_counted_in_bits(small):
    model, x = small
    for per_channel, scales in ((False, 2), (True, 9)):
        scheme = small_scheme("rtn", per_channel=per_channel)
        report = sizes(pack_model(model, quantize_model(model, x, scheme, key=jax.random.key(0)), scheme))
        assert report["codes"] == 3 * (6 * 5 + 5 * 4)
        assert report["scales"] == 32 * scales
        assert report["zero points"] == 3 * scales
        assert report["ratio"] == 32 * 50 / (150 + 35 * scales)
    with pytest.raises(ValueError, match="no packed block"):
        sizes(model)


def test_symmetric_codes_pack(small):
    model, x = small
    scheme = small_scheme("rtn", symmetric=True, per_channel=True)
    quantized = quantize_model(model, x, scheme, key=jax.random.key(0))
    np.testing.assert_allclose(pack_model(model, quantized, scheme)(x), quantized.model(x), rtol=1e-5, atol=1e-6)


def test_several_models_and_widths_side_by_side_are_each_alone(small):
    model, x = small
    keys = list(jax.random.split(jax.random.key(1), 2))
    together = quantize_models([model] * 2, np.stack([x, x[::-1]]), small_scheme(), keys=keys, bits=[2, 4])
    for bits, inputs, key, found in zip((2, 4), (x, x[::-1]), keys, together, strict=True):
        (alone,) = quantize_models([model], inputs[None], small_scheme(), keys=[key], bits=[bits])
        np.testing.assert_allclose(found.model(x), alone.model(x), rtol=1e-4, atol=1e-5)


def test_ablation_keeps_its_parameter_and_mixing_changes_the_inputs(small):
    model, x = small
    fixed = quantize_model(model, x, small_scheme(fixed=("log_s1",)), key=jax.random.key(0)).blocks[0].params["dense"]
    start = init_flexround(layer_weights(nnx.state(model.stages[0]))["dense"], 3, clip_search=False)
    np.testing.assert_allclose(fixed.log_s1, start.log_s1, rtol=1e-6)
    assert jnp.abs(fixed.log_S2).max() > 0
    plain, mixed = (quantize_model(model, x, small_scheme(input_prob=p), key=jax.random.key(0)) for p in (0.0, 0.5))
    np.testing.assert_allclose(plain.blocks[0].losses, mixed.blocks[0].losses, rtol=1e-5)  # no block before it
    assert not np.allclose(plain.blocks[1].losses, mixed.blocks[1].losses, rtol=1e-3)


def test_weights_of_modules_have_output_channels_first():
    state = nnx.state(ResNet((1,), width=2, stem="cifar", rngs=nnx.Rngs(0)))
    found = layer_weights(state)
    assert found["stem.conv"].shape == (2, 3, 3, 3)
    again = layer_weights(with_weights(state, {"stem.conv": 2 * found["stem.conv"]}))
    np.testing.assert_array_equal(again["stem.conv"], 2 * found["stem.conv"])


def trained_norms(state):
    """Statistics and scales that are not zero and one."""
    rng = np.random.default_rng(0)
    for path, variable in nnx.to_flat_state(state):
        if path[-1] in ("mean", "var", "scale", "shift"):
            variable.set_value(jnp.asarray(rng.uniform(0.5, 2, variable.shape), jnp.float32))


@pytest.fixture(scope="module")
def residual():
    def make(rngs):
        return residual_network(ResNet((1, 1), width=2, stem="cifar", in_channels=1, rngs=rngs), 3, rngs=rngs)

    model = drawn(make, jax.random.key(0))
    state = nnx.state(model)
    trained_norms(state)
    nnx.update(model, state)
    model.eval()
    return model, weights(16, 6, 6, 1)


def test_folded_batch_norms_change_nothing(residual):
    model, x = residual
    folded = fold(model)
    np.testing.assert_allclose(outputs(folded, x), outputs(model, x), rtol=1e-4, atol=1e-5)
    assert not [v for _, v in nnx.to_flat_state(nnx.state(folded)) if isinstance(v, nnx.BatchStat)]
    with pytest.raises(ValueError, match="batch norm"):
        quantize_model(model, x, small_scheme(), key=jax.random.key(0))


def test_residual_network_with_quantised_inputs(residual):
    model, x = residual
    folded = fold(model)
    block, inputs = folded.stages[2], folded.stages[1](folded.stages[0](x))
    both = {steps: quantize_inputs(block, inputs, 8, steps) for steps in ("tensor", "token")}
    for quantized in both.values():
        assert 0 < max_relative_error(quantized(inputs), block(inputs)) < 0.05
    assert len(input_steps(nnx.state(both["tensor"]))) == 3
    assert not input_steps(nnx.state(both["token"]))
    coarse = Chain([quantize_inputs(block, inputs, 3)])
    scheme = small_scheme(rate=3e-3, bits=4, batch_size=16)
    learned, nearest = (
        quantize_model(coarse, np.asarray(inputs), how, key=jax.random.key(0)) for how in (scheme, replace(scheme, method="rtn"))
    )
    # the target is in full precision, inputs of layers too, and the error is summed over channels
    first_error = jnp.mean(jnp.sum((nearest.model(inputs) - block(inputs)) ** 2, axis=-1))
    np.testing.assert_allclose(learned.blocks[0].losses[0], first_error, rtol=1e-5)
    before, after = (input_steps(nnx.state(each)) for each in (coarse.stages[0], learned.model.stages[0]))
    assert all(abs(float(before[name] - after[name])) > 1e-3 for name in before)
    assert learned.blocks[0].losses[-5:].mean() < learned.blocks[0].losses[:5].mean()


def test_per_token_rounds_each_token_on_its_own_grid():
    x = jnp.array([[0.0, 1.0, 2.0], [-300.0, 0.0, 100.0]])
    assert jnp.abs(per_token(x, 8)[0] - x[0]).max() <= 2 / 255 / 2 + 1e-6
    assert_degenerate(lambda x: per_token(x, 4), x, axes=(0, 1))


@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_token_models(kind):
    tokens = np.random.default_rng(0).integers(0, 5, (16, 6)).astype(np.int32)
    make = (
        (lambda rngs: encoder(5, 6, 8, 1, 2, 3, rngs=rngs))
        if kind == "encoder"
        else (lambda rngs: decoder(5, 6, 8, 1, 2, rngs=rngs))
    )
    model = drawn(make, jax.random.key(0))
    logits = outputs(model, tokens)
    assert logits.shape == ((16, 3) if kind == "encoder" else (16, 6, 5))
    changed = tokens.copy()
    changed[:, -1] = (changed[:, -1] + 1) % 5
    difference = np.abs(outputs(model, changed) - logits)
    seen = difference.max() if kind == "encoder" else difference[:, :-1].max()
    assert (seen > 1e-6) == (kind == "encoder")  # a decoder does not look ahead
    quantized = quantize_model(model, tokens, small_scheme("rtn", bits=8), key=jax.random.key(0), full_precision=(-1,))
    assert [block is None for block in quantized.blocks] == [True, False, True]
    assert 0 < max_relative_error(outputs(quantized.model, tokens), logits) < 0.1


def test_quantisation_refuses(small, as_installed):
    model, x = small
    key = jax.random.key(0)
    with pytest.raises(ValueError, match="inputs has 4 rows; a batch of calibration takes 8"):
        quantize_model(model, x[:4], small_scheme(), key=key)
    with pytest.raises(ValueError, match="inputs has numbers that are not finite"):
        quantize_model(model, np.where(x > 2, np.nan, x), small_scheme(), key=key)
    state = nnx.state(model.stages[0])
    spoiled = with_weights(state, {"dense": jnp.full((5, 6), jnp.inf)})
    with pytest.raises(ValueError, match="layer dense of block 0 has weights that are not finite"):
        quantize_model(Chain([nnx.merge(nnx.graphdef(model.stages[0]), spoiled)]), x, small_scheme(), key=key)
    with jax.debug_nans(False), pytest.raises(ValueError, match="the loss of block 0 is not finite"):
        quantize_model(model, x, small_scheme(rate=1e6), key=key)
    with pytest.raises(ValueError, match="clip_search True"):
        quantize_models([model], x[None], small_scheme(clip_search=True), keys=[key], bits=[3])
    with pytest.raises(ValueError, match="as many of each"):
        quantize_models([model], x[None], small_scheme(), keys=[key, key])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "mean"}, "method is 'mean'"),
        ({"bits": 9}, "bits is 9"),
        ({"steps": 0}, "steps"),
        ({"input_prob": 1.0}, "input_prob"),
    ],
)
def test_schemes_are_checked(as_installed, options, message):
    with pytest.raises(ValueError, match=message):
        Scheme(**options)


# --- Presets, data, published weights, claims --------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_programs_of_every_preset_fit_together(preset):
    shape, classes = {"digits": ((8, 8, 1), 10), "cifar10": ((32, 32, 3), 10), "imagenet-1k": ((224, 224, 3), 1000)}[
        preset.vision.image_set
    ]
    model = nnx.eval_shape(lambda: build(preset.vision, shape, classes, nnx.Rngs(0)))
    graph, state = nnx.split(model)
    images = jax.ShapeDtypeStruct((2, *shape), jnp.float32)
    assert jax.eval_shape(lambda state, x: nnx.merge(graph, state)(x), state, images).shape == (2, classes)
    c = preset.language
    text = nnx.eval_shape(lambda: decoder(c.vocab_size, c.max_length, c.dim, c.depth, c.num_heads, rngs=nnx.Rngs(0)))
    graph, state = nnx.split(text)
    tokens = jax.ShapeDtypeStruct((2, c.max_length), jnp.int32)
    assert jax.eval_shape(lambda state, x: nnx.merge(graph, state)(x), state, tokens).shape == (2, c.max_length, c.vocab_size)
    assert preset.layer.bits == (3, 4)


def test_presets_are_checked():
    with pytest.raises(ValueError, match="samples at least batch_size"):
        LayerSizes(samples=8)
    with pytest.raises(ValueError, match="calibration is 1; a batch takes 64"):
        replace(presets.QUICK.vision, calibration=1)
    with pytest.raises(ValueError, match="problems is 0"):
        replace(presets.QUICK, problems=0)
    with pytest.raises(ValueError, match="at least 1"):
        replace(presets.QUICK.language, depth=0)


def test_variants_learn_what_they_say():
    found = variant_rates(LayerSizes())
    np.testing.assert_array_equal(found.log_s1 > 0, [True, False, True, True, True, True, True])
    np.testing.assert_array_equal(found.offset > 0, [False, False, False, True, False, False, True])


def test_layer_problems_depend_on_their_key():
    first, again, other = (layer_problem(jax.random.key(seed), LayerSizes(dim=8)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.w, again.w)
    assert not np.allclose(first.w, other.w)
    assert first.w.dtype == first.x.dtype == np.float32


def test_data_of_the_presets(as_installed):
    source = open_images(presets.QUICK.vision)
    images = source.value
    assert source.stand_in_for == "ImageNet-1K"
    assert abs(images.train.images.mean()) < 0.05
    assert images.calibrate(5, 0).shape == (5, 8, 8, 1)
    assert sum(len(labels) for _, labels in images.test(100)) == 597
    text = open_text(replace(presets.QUICK.language, letters=600), jax.random.key(0)).value
    assert len(text.train) == 500
    with pytest.raises(ValueError, match="image_set is 'faces'"):
        open_images(replace(presets.QUICK.vision, image_set="faces"))
    with pytest.raises(ValueError, match="corpus is 'novels'"):
        open_text(replace(presets.QUICK.language, corpus="novels"), jax.random.key(0))


def test_accuracy_does_not_depend_on_the_batches():
    images = open_images(presets.QUICK.vision).value
    model = drawn(lambda rngs: mlp((64, 10), rngs=rngs), jax.random.key(0))
    x, labels = (a[:7] for a in next(images.test(100)))
    few = replace(images, test=ImageSplit(x, labels).batches)
    share = np.mean(np.asarray(model(x)).argmax(1) == labels)
    for size in (3, 7):  # the last batch of three holds one
        np.testing.assert_allclose(accuracy([model], few, batch_size=size), [share])


def test_published_weights_load_strictly():
    depths = (1, 1)

    def make():
        return residual_network(ResNet(depths, width=2, rngs=nnx.Rngs(0)), 3, rngs=nnx.Rngs(0))

    model = nnx.eval_shape(make)
    names = published_names(model, depths)
    rng, state = np.random.default_rng(0), {}
    for path, variable in nnx.to_flat_state(nnx.state(model)):
        source = names[path]
        shape = source.shape(variable.shape)
        state[source.names[0]] = rng.uniform(0.5, 1, shape).astype(np.float32)
    state["bn1.num_batches_tracked"] = np.int64(3)
    loaded = load_published(model, state, depths)
    np.testing.assert_allclose(loaded.stages[-1].head.kernel[...], state["fc.weight"].T)
    folded = state["conv1.weight"] * (state["bn1.weight"] / np.sqrt(state["bn1.running_var"] + 1e-5))[:, None, None, None]
    np.testing.assert_allclose(layer_weights(nnx.state(loaded.stages[0]))["stem.conv"], folded, rtol=1e-5)
    for change in ({"fc.bias": None}, {"extra": np.zeros(1)}, {"fc.bias": np.zeros(4)}):
        wrong = {name: x for name, x in (state | change).items() if x is not None}
        with pytest.raises(ValueError, match=next(iter(change))):
            load_published(nnx.eval_shape(make), wrong, depths)


def test_bench_compares_the_same_operation():
    args = paper.benchmark.cases(16, jax.random.key(0))
    loop, naive = list(args.values())[:2]
    np.testing.assert_allclose(jax.jit(loop.function)(*loop.args), jax.jit(naive.function)(*naive.args), rtol=1e-5, atol=1e-6)


def test_is_as_good_as_its_peer():
    """FlexRound against GPTQ by qwix, where that is installed: four bits, symmetric, a scale for each output channel."""
    pytest.importorskip("qwix")
    problem = layer_problem(jax.random.key(0), LayerSizes(dim=16, steps=300))
    w, x = map(jnp.asarray, (problem.w, problem.x))
    start = start_of(w, 4, per_channel=True, symmetric=True)
    fit = jax.jit(lambda p: reconstruct_block(lambda p, x: x @ flexround(w, p, 4, True).T, p, x, x @ w.T, steps=300, rate=3e-3))
    learned = quantize(w, fit(start).params, 4, True)
    ours, theirs, nearest = (
        output_error(x @ found.T, x @ w.T) for found in (learned, jax.jit(partial(qwix_gptq, bits=4))(w, x), qwix_nearest(w, 4))
    )
    assert ours < nearest
    assert ours < 1.2 * theirs
