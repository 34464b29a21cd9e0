"""COAT: golden vectors, formats, expansion, the optimiser, stored operations and their derivatives, memory, presets."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from quire.coat import (
    BF16,
    COAT,
    FLOAT32,
    PER_GROUP,
    PER_TENSOR,
    PRECISIONS,
    PRESETS,
    TE_LIKE,
    CoatBlock,
    CoatLM,
    Fp8SwiGLU,
    Precision,
    coat_adamw,
    code_histogram,
    direction_error,
    dynamic_range,
    expand_dequantize,
    expand_quantize,
    gelu,
    language_loss,
    layer_norm,
    linear,
    plain_dequantize,
    plain_quantize,
    product,
    quantize_group,
    quantize_tensor,
    quantize_weight,
    residual_add,
    rms_norm,
    saved_arrays,
    saved_bytes,
    silu,
    state_bytes,
    store,
    utilisation,
)
from quire.coat.activations import decode, encode
from quire.coat.claims import adamw_float64
from quire.coat.expansion import MomentCodes
from quire.coat.sources import Letters, open_corpus, windows
from quire.common.layers.transformer import SwiGLU
from quire.common.quant.fp8 import fp8_cast
from quire.common.testing import assert_degenerate, assert_dtypes, assert_jit_consistent, assert_vmap_consistent

expand = jax.jit(expand_quantize, static_argnames=("group", "granularity", "format"))
"""Compiled whole, which takes less time than compiling its small operations one by one."""


@pytest.fixture(scope="module")
def vectors(golden):
    return golden("coat")


def bits(codes):
    return np.asarray(codes).view(np.uint8)


def assert_codes(codes, expected):
    """At least 99 % of the codes are the same, the others neighbours."""
    difference = np.abs(bits(codes).astype(int) - expected.astype(int))
    assert difference.max(initial=0) <= 1
    assert (difference == 0).mean() >= 0.99
    return difference == 0


def wide(x):
    return np.asarray(x, np.float32)


def log_uniform(seed, n, decades=4.0):
    draw = np.random.default_rng(seed)
    return (10 ** draw.uniform(-decades, 0, n) * draw.choice([-1, 1], n)).astype(np.float32)


def as_wide_as_its_input(function):
    """What is decoded is float32 whatever came in; the shared check of dtypes asks for float64 where float64 came in."""
    return lambda x: function(x).astype(jnp.promote_types(x.dtype, jnp.float32))


# --- Golden vectors ---


def test_golden_formats(vectors):
    every = np.arange(256, dtype=np.uint8)
    for name, dtype in (("e4m3", jnp.float8_e4m3fn), ("e5m2", jnp.float8_e5m2)):
        np.testing.assert_array_equal(every.view(dtype).astype(np.float32), vectors[f"{name}_decode"])
        np.testing.assert_array_equal(bits(fp8_cast(jnp.asarray(vectors["cast_x"]), name)), vectors[f"cast_{name}"])
    np.testing.assert_array_equal(vectors["cast_e4m3"].view(jnp.float8_e4m3fn).astype(float), vectors["fake_e4m3_authors"])


@pytest.mark.parametrize("moment", ["m", "v"])
@pytest.mark.parametrize("x64", [False, True], ids=["float32", "float64"])
def test_golden_expansion(vectors, moment, x64):
    with jax.enable_x64(x64):
        x = jnp.asarray(vectors[f"dre_{moment}_x"], float)
        group = -(-x.size // len(vectors[f"dre_{moment}_k"]))
        q = expand(x, group=group)
        np.testing.assert_array_equal(q.k, vectors[f"dre_{moment}_k"])
        np.testing.assert_allclose(q.scale, vectors[f"dre_{moment}_scale"], rtol=1e-5)
        np.testing.assert_allclose(q.center, vectors[f"dre_{moment}_sqrtminmax"], rtol=1e-5)
        same = assert_codes(q.codes, vectors[f"dre_{moment}_codes"])
        np.testing.assert_allclose(expand_dequantize(q, group)[same], vectors[f"dre_{moment}_deq"][same], rtol=1e-4)
        np.testing.assert_allclose(plain_dequantize(plain_quantize(x, group), group), vectors[f"plain_{moment}_deq"], rtol=1e-4)


def test_golden_group_of_zeros(vectors):
    q = expand(jnp.zeros(len(vectors["dre_zero_codes"])))
    np.testing.assert_array_equal(bits(q.codes), vectors["dre_zero_codes"])
    scale, _, center = vectors["dre_zero_meta"]
    np.testing.assert_allclose([q.scale[0], q.center[0]], [scale, center], rtol=1e-5)
    np.testing.assert_array_equal(q.k, [64])  # infinite there


@pytest.mark.parametrize("kind", ["expand", "plain"])
def test_golden_optimiser(vectors, kind):
    rate, b1, b2, eps, decay, group, _ = map(float, vectors["opt_hparams"])
    tx = coat_adamw(rate, b1, b2, eps, decay, expand=kind == "expand", group=int(group))
    update = jax.jit(tx.update)
    p = jnp.asarray(vectors["opt_p0"])
    state = tx.init(p)
    for t, g in enumerate(vectors["opt_grads"]):
        updates, state = update(jnp.asarray(g), state, p)
        p = optax.apply_updates(p, updates)
        np.testing.assert_allclose(p, vectors[f"opt_{kind}_p"][t], rtol=2e-3, atol=1e-6)
        assert_codes(state.m.codes, vectors[f"opt_{kind}_m_codes"][t])
        assert_codes(state.v.codes, vectors[f"opt_{kind}_v_codes"][t])
        if kind == "plain":
            np.testing.assert_allclose([state.m.scale, state.v.scale], vectors["opt_plain_scale"][t], rtol=1e-5)
        else:
            numbers = np.stack([x for q in (state.m, state.v) for x in (q.scale, q.k, q.center)])
            np.testing.assert_array_equal(numbers[[1, 4]], vectors["opt_expand_state"][t][[1, 4]])
            # The smallest moment of a group may be a difference of near numbers, whose rounding depends on how XLA fuses.
            np.testing.assert_allclose(numbers, vectors["opt_expand_state"][t], rtol=1e-3)
            np.testing.assert_allclose(np.median(numbers / vectors["opt_expand_state"][t]), 1, rtol=1e-5)
    assert int(state.count) == len(vectors["opt_grads"])


def test_golden_exact_adamw(vectors):
    rate, b1, b2, eps, decay, *_ = map(float, vectors["opt_hparams"])
    grads = vectors["opt_grads"].astype(float)
    path = adamw_float64(vectors["opt_p0"].astype(float), grads, rate, b1, b2, eps, decay)
    np.testing.assert_allclose(path, vectors["opt_fp64_p"], rtol=1e-9)
    one = np.float32(1)
    np.testing.assert_allclose((one - np.float32(b1)) * vectors["opt_grads"][0], vectors["opt_m_step1"], rtol=1e-5)
    np.testing.assert_allclose((one - np.float32(b2)) * vectors["opt_grads"][0] ** 2, vectors["opt_v_step1"], rtol=1e-5)


def test_golden_activations(vectors):
    x = jnp.asarray(vectors["act_x"])
    q = quantize_group(x)
    assert_codes(q.codes, vectors["act_group_codes"])
    np.testing.assert_allclose(wide(q.scale), vectors["act_group_scale"], rtol=1e-5)
    np.testing.assert_allclose(decode(*q), vectors["act_group_deq"], rtol=1e-4)
    for format in ("e4m3", "e5m2"):
        codes, scale = quantize_tensor(x, format)
        assert_codes(codes, vectors[f"act_pt_{format}_codes"])
        np.testing.assert_allclose(scale, vectors[f"act_pt_{format}_scale"], rtol=1e-5)
        name = f"act_pt_{format}_deq"
        if name in vectors:
            np.testing.assert_allclose(decode(codes, scale), vectors[name], rtol=1e-4)


def test_golden_half_block(vectors):
    """RMSNorm, linear map, SiLU and product, each on what the one before stored."""
    stored = store(jnp.asarray(vectors["act_x"]), "group")
    y = rms_norm(stored, jnp.asarray(vectors["rms_w"]))
    np.testing.assert_allclose(wide(y.astype(jnp.bfloat16)), vectors["rms_y_bf16"], rtol=2**-7)
    x = decode(stored.codes, stored.scale)
    np.testing.assert_allclose(1 / np.sqrt(np.mean(x**2, 1) + 1e-5), vectors["rms_rstd"], rtol=1e-5)
    normed = store(y, "tensor", group=y.shape[1], rounded=True)
    assert_codes(normed.codes, vectors["rms_codes"])
    np.testing.assert_allclose(normed.scale, vectors["rms_scale"], rtol=1e-5)
    kernel = jnp.asarray(vectors["lin_w"]).T
    codes, scale = quantize_weight(kernel)
    assert_codes(codes.T, vectors["lin_w_codes"])
    np.testing.assert_allclose(scale, vectors["lin_w_scale"], rtol=1e-5)
    out = linear(normed, kernel)
    np.testing.assert_allclose(out, vectors["lin_y_f32"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(wide(out.astype(jnp.bfloat16)), vectors["lin_y_bf16"], rtol=2**-7, atol=1e-6)
    gate = store(out, "group")
    activated = store(silu(gate), "group")
    multiplied = store(product(gate, activated), "tensor")
    for name, each in (("lin_q", gate), ("silu", activated), ("mul", multiplied)):
        assert_codes(each.codes, vectors[f"{name}_codes"])
        np.testing.assert_allclose(wide(each.scale), vectors[f"{name}_scale"], rtol=1e-5)


# --- Expansion ---


@pytest.mark.parametrize(("decades", "grows"), [(2.0, True), (9.0, False)])
def test_power_fills_the_format(decades, grows):
    """The power grows for narrow groups and shrinks for wide ones; the codes then fill the format."""
    q = expand(jnp.asarray(log_uniform(0, 512, decades)))
    assert ((np.asarray(q.k) > 1) == grows).all()
    np.testing.assert_array_equal(np.asarray(q.k) * 16 % 1, 0)
    assert (np.log2(dynamic_range(q)) > 13).all()
    largest = np.abs(wide(q.codes)).reshape(-1, 128).max(1)
    np.testing.assert_array_equal(largest, 448)


def test_expansion_keeps_small_numbers():
    x = jnp.asarray(log_uniform(1, 256, 7.0))
    expanded, plain = expand_dequantize(expand(x)), plain_dequantize(plain_quantize(x))
    assert np.abs(expanded / x - 1).max() < 0.4  # half a step of the smallest codes, to the power 1 / k
    assert (np.asarray(plain) == 0).any()


def test_groups_run_over_the_flattened_tensor():
    x = log_uniform(2, 300)
    tensor, flat = expand(jnp.asarray(x.reshape(3, 100))), expand(jnp.asarray(x))
    assert tensor.codes.shape == (3, 100)
    np.testing.assert_array_equal(bits(tensor.codes).ravel(), bits(flat.codes))
    last = expand(jnp.asarray(x[256:]))  # what fills the last group does not count
    np.testing.assert_array_equal([x[2] for x in flat[1:]], [x[0] for x in last[1:]])


def test_second_format_and_granularity():
    x = jnp.asarray(log_uniform(3, 128))
    wider, coarse = expand(x, format="e5m2"), expand(x, granularity=1)
    assert wider.codes.dtype == jnp.float8_e5m2
    assert float(wider.k[0]) > float(expand(x).k[0])
    assert float(coarse.k[0]) == np.floor(float(expand(x).k[0]))


def test_expansion_at_the_edges():
    def round_trip(x):
        return expand_dequantize(expand_quantize(x))

    assert_degenerate(round_trip, log_uniform(4, 130), differentiable=False)
    np.testing.assert_allclose(jax.jit(round_trip)(jnp.full(8, -3.0)), -3, rtol=0.01)
    with jax.debug_nans(False):
        assert np.isnan(expand_dequantize(expand(jnp.array([1.0, np.nan])))).any()
    assert_dtypes(as_wide_as_its_input(round_trip), np.array([0.2, 1.5, -0.9]), tolerance=0.1)


def test_diagnostics():
    x = jnp.asarray(log_uniform(5, 1024, 2.0))
    plain, expanded = plain_quantize(x), expand(x)
    assert code_histogram(expanded.codes).sum() == 1024
    assert utilisation(expanded.codes) > utilisation(plain.codes)
    assert float(direction_error(x, x**2, x, x**2)) == 0
    np.testing.assert_allclose(direction_error(x, x**2, 1.1 * x, x**2), 0.01, rtol=1e-3)
    np.testing.assert_array_equal(dynamic_range(MomentCodes(jnp.zeros(3, jnp.float8_e4m3fn), jnp.ones(1))), [1])


# --- The optimiser ---


def test_exact_moments_give_adamw():
    """The first step meets no quantised moment: it is optax's."""
    params, grads = (
        {"a": jnp.asarray(log_uniform(6, 40)), "b": jnp.ones((2, 3))},
        {"a": jnp.ones(40), "b": jnp.full((2, 3), -2.0)},
    )
    ours, theirs = coat_adamw(optax.constant_schedule(0.1)), optax.adamw(0.1, weight_decay=1e-2)
    found, _ = ours.update(grads, ours.init(params), params)
    wanted, _ = theirs.update(grads, theirs.init(params), params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5), found, wanted)


def test_formats_of_the_moments_and_of_the_parameters():
    tx = coat_adamw(0.1, v_format="e5m2")
    params = jnp.ones(5, jnp.bfloat16)
    updates, state = jax.jit(tx.update)(jnp.ones(5, jnp.bfloat16), tx.init(params), params)
    assert (state.m.codes.dtype, state.v.codes.dtype, updates.dtype) == (jnp.float8_e4m3fn, jnp.float8_e5m2, jnp.bfloat16)


def test_state_survives_a_checkpoint(tmp_path):
    import orbax.checkpoint as ocp

    tx = coat_adamw(0.1)
    params = jnp.asarray(log_uniform(7, 200))
    _, state = jax.jit(tx.update)(params, tx.init(params), params)
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "state", state)
        checkpointer.wait_until_finished()
        back = checkpointer.restore(tmp_path / "state", state)
    assert back.m.codes.dtype == jnp.float8_e4m3fn
    np.testing.assert_array_equal(bits(back.v.codes), bits(state.v.codes))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"b1": 1.0}, "b1 is 1.0"),
        ({"b2": -0.1}, "b2 is -0.1"),
        ({"eps": 0.0}, "eps is 0.0"),
        ({"weight_decay": -1.0}, "weight_decay -1.0"),
        ({"group": 0}, "group is 0"),
        ({"v_format": "e3m4"}, "format is 'e3m4'"),
    ],
)
def test_optimiser_refuses(arguments, message, as_installed):
    with pytest.raises(ValueError, match=message):
        coat_adamw(0.1, **arguments)


def test_optimiser_refuses_parameters(as_installed):
    tx = coat_adamw(0.1)
    for wrong in (jnp.arange(3), jnp.zeros(0)):
        with pytest.raises(ValueError, match="floating-point"):
            tx.init(wrong)
    with pytest.raises(ValueError, match="params is None"):
        tx.update(jnp.ones(3), tx.init(jnp.ones(3)))
    with pytest.raises(ValueError, match="granularity is 0"):
        expand_quantize(jnp.ones(3), granularity=0)


# --- Stored operations ---

STORED = ["float32", "bfloat16", "tensor", "group"]


@pytest.mark.parametrize("storage", STORED)
def test_store_is_close_and_straight_through(storage):
    x = jnp.asarray(np.random.default_rng(8).normal(size=(4, 32)), jnp.float32)
    a = store(x, storage)
    assert a.storage == storage
    np.testing.assert_allclose(decode(a.codes, a.scale), x, rtol=0.07, atol=0.01)
    gradient = jax.grad(lambda x: jnp.sum(silu(store(x, storage))))(x)
    at = decode(a.codes, a.scale)
    np.testing.assert_allclose(gradient, jax.vmap(jax.vmap(jax.grad(jax.nn.silu)))(at), rtol=1e-5, atol=1e-6)


def test_derivatives_are_those_at_the_stored_inputs():
    draw = np.random.default_rng(9)
    x, y = (store(jnp.asarray(draw.normal(size=(3, 16)), jnp.float32), "group") for _ in range(2))
    w, b = (jnp.asarray(draw.normal(size=16), jnp.float32) for _ in range(2))
    a, c = decode(x.codes, x.scale), decode(y.codes, y.scale)
    operations = {
        "rms": (
            lambda x, y, w, b: rms_norm(x, w),
            lambda a, c, w, b: a / jnp.sqrt(jnp.mean(a**2, 1, keepdims=True) + 1e-5) * w[None],
        ),
        "layer": (
            lambda x, y, w, b: layer_norm(x, w, b),
            lambda a, c, w, b: (a - a.mean(1, keepdims=True)) / jnp.sqrt(a.var(1, keepdims=True) + 1e-5) * w[None] + b[None],
        ),
        "gelu": (lambda x, y, w, b: gelu(x), lambda a, c, w, b: a * jax.scipy.stats.norm.cdf(a)),
    }
    weights = jnp.cos(jnp.arange(48.0)).reshape(3, 16)
    for ours, plain in operations.values():
        np.testing.assert_allclose(ours(x, y, w, b), plain(a, c, w, b), rtol=1e-5, atol=1e-6)

        def through(value, w, b, ours=ours):
            return jnp.sum(weights * ours(x._replace(value=value), y, w, b))

        found = jax.jit(jax.grad(through, (0, 1, 2)))(x.value, w, b)
        wanted = jax.jit(jax.grad(lambda a, w, b, plain=plain: jnp.sum(weights * plain(a, c, w, b)), (0, 1, 2)))(a, w, b)
        for f, g in zip(found, wanted, strict=True):
            np.testing.assert_allclose(f, g, rtol=1e-4, atol=1e-5)
    pullback = jax.vjp(lambda u, v: product(x._replace(value=u), y._replace(value=v)), x.value, y.value)[1]
    for found, other in zip(pullback(jnp.ones((3, 16))), (c, a), strict=True):
        np.testing.assert_allclose(found, other, rtol=1e-6)


@pytest.mark.parametrize("storage", STORED)
def test_linear_and_its_derivatives(storage):
    """Both passes against the same products of decoded numbers; the derivative is E5M2 where the storage has eight bits."""
    draw = np.random.default_rng(10)
    x, kernel, dy = (jnp.asarray(draw.normal(size=shape), jnp.float32) for shape in ((2, 3, 32), (32, 16), (2, 3, 16)))
    a = store(x, storage)
    y, pullback = jax.vjp(lambda value, kernel: linear(a._replace(value=value), kernel), x, kernel)
    dx, dw = pullback(dy)
    w = decode(*quantize_weight(kernel)) if storage == "tensor" else decode(*encode(kernel.T, storage)).T
    stored, g = decode(a.codes, a.scale), decode(*encode(dy, storage, "e5m2"))
    np.testing.assert_allclose(y, stored @ w, rtol=1e-4, atol=1e-4)
    tolerance = {"rtol": 1e-5, "atol": 1e-5} if storage == "float32" else {"rtol": 2**-7, "atol": 1e-3}
    np.testing.assert_allclose(dx, g @ w.T, **tolerance)
    np.testing.assert_allclose(dw, stored.reshape(-1, 32).T @ g.reshape(-1, 16), **tolerance)
    assert (dx.dtype, dw.dtype) == (jnp.float32, jnp.float32)
    rounded = np.array_equal(dx, dx.astype(jnp.bfloat16).astype(jnp.float32))
    assert rounded == (storage != "float32")


def test_gradients_need_the_wider_format():
    """Derivatives that span six decades: E5M2 keeps what E4M3 would lose."""
    dy = np.ones((2, 16), np.float32)
    dy[0] *= 1e-6
    a = store(jnp.ones((2, 16)), "tensor")
    (dx,) = jax.vjp(lambda value: linear(a._replace(value=value), jnp.eye(16)), a.value)[1](jnp.asarray(dy))
    assert (np.asarray(dx[0]) > 0).all()


def test_residual_add():
    stream = jnp.ones((2, 16), jnp.bfloat16)
    total, stored = residual_add(stream, jnp.full((2, 16), 0.5), "group")
    assert total.dtype == jnp.bfloat16
    assert stored.storage == "group"
    np.testing.assert_allclose(decode(stored.codes, stored.scale), 1.5, rtol=2**-8)


def test_stored_operations_at_the_edges():
    kernel = jnp.asarray(np.random.default_rng(11).normal(size=(16, 16)), jnp.float32)

    def through(x):
        return linear(store(silu(store(x, "group")), "tensor"), kernel)

    x = np.random.default_rng(12).normal(size=(3, 16)).astype(np.float32)
    assert_degenerate(through, x)
    assert_dtypes(as_wide_as_its_input(through), x, tolerance=0.3, dtypes=["bfloat16", "int32"])
    assert_jit_consistent(through, jnp.asarray(x), tolerance=1e-2)
    assert_vmap_consistent(lambda x: silu(store(x, "group")), jnp.asarray(x)[:, None])
    with jax.debug_nans(False):
        assert np.isnan(through(jnp.full((1, 16), jnp.nan))).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: quantize_group(jnp.ones((2, 17))), "group is 16"),
        (lambda: quantize_tensor(jnp.ones(())), "group is 16"),
        (lambda: quantize_group(jnp.ones(16), format="e3m4"), "format is 'e3m4'"),
        (lambda: store(jnp.ones(16), "fp8"), "storage is 'fp8'"),
        (lambda: Precision("group", "int8"), "linear is 'int8'"),
        (lambda: linear(store(jnp.ones((1, 16)), "group"), jnp.ones((32, 16))), "kernel has shape"),
        (lambda: product(store(jnp.ones((1, 16)), "group"), store(jnp.ones((2, 16)), "group")), "they must be the same"),
        (lambda: CoatBlock(24, 2, 32, rngs=nnx.Rngs(0)), "dim is 24"),
        (lambda: CoatBlock(32, 3, 32, rngs=nnx.Rngs(0)), "num_heads 3"),
        (lambda: CoatBlock(32, 2, 32, style="bert", rngs=nnx.Rngs(0)), "style is 'bert'"),
    ],
)
def test_activations_refuse(call, message, as_installed):
    with pytest.raises(ValueError, match=message), jax.debug_nans(False):
        call()


# --- Blocks and models ---


def test_wide_swiglu_is_the_plain_one():
    x = jnp.asarray(np.random.default_rng(13).normal(size=(5, 16)), jnp.float32)
    ours, plain = Fp8SwiGLU(16, 32, FLOAT32, rngs=nnx.Rngs(0)), SwiGLU(16, 32, rngs=nnx.Rngs(0))
    np.testing.assert_allclose(ours(store(x, "float32")), plain(x), rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def block_outputs():
    """Outputs, gradients and saved bytes of one block under every precision."""
    x = jnp.asarray(np.random.default_rng(14).normal(size=(2, 8, 32)), jnp.bfloat16)
    found = {}
    for name in ("float32", "BF16", "TE-like", "COAT"):
        graph, params = nnx.split(CoatBlock(32, 2, 64, PRECISIONS[name], rngs=nnx.Rngs(0)))
        given = x.astype(jnp.float32) if name == "float32" else x

        def output(params, x, graph=graph):
            return nnx.merge(graph, params)(x)

        found[name] = wide(jax.jit(output)(params, given)), saved_arrays(output, params, given)
    return found


def test_precisions_agree_and_order(block_outputs):
    exact = block_outputs["float32"][0]
    errors = {name: np.linalg.norm(y - exact) / np.linalg.norm(exact) for name, (y, _) in block_outputs.items()}
    assert errors["float32"] == 0 < errors["BF16"] < errors["TE-like"] < errors["COAT"] < 0.1


def test_what_a_block_saves(block_outputs):
    """Nothing in sixteen bits but queries, keys, values; each tensor once."""
    tokens, dim, hidden = 16, 32, 64
    wide_numbers = [x for x in block_outputs["COAT"][1] if x.dtype == jnp.bfloat16 and x.shape[-1] == dim]
    assert len(wide_numbers) == 3
    in_groups, whole = 2 * dim + 3 * hidden, 3 * dim + hidden
    expected = tokens * (in_groups * (1 + 2 / 16) + whole + 2 * 3 * dim)
    found = {name: sum(x.nbytes for x in arrays) for name, (_, arrays) in block_outputs.items()}
    assert expected <= found["COAT"] <= expected + 64  # and the scales of whole tensors
    assert found["COAT"] < found["TE-like"] < found["BF16"] < found["float32"]


def test_saved_bytes_leave_arguments_out():
    assert saved_bytes(lambda w, x: jnp.sum(w * x), jnp.ones(3), jnp.ones(3)) == 0


def test_bytes_of_states():
    params = {"kernel": jnp.zeros((128, 2))}
    sizes = {
        "COAT": state_bytes(coat_adamw(0.1).init(params)),
        "plain": state_bytes(coat_adamw(0.1, expand=False).init(params)),
        "BF16": state_bytes(optax.adamw(0.1).init(jax.tree.map(lambda p: p.astype(jnp.bfloat16), params))),
    }
    assert sizes == {"COAT": 2 * (256 + 24) + 4, "plain": 2 * (256 + 8) + 4, "BF16": 4 * 256 + 4}


@pytest.mark.parametrize("style", ["llama", "gpt"])
def test_language_model_is_causal_and_learns(style):
    cfg = replace(PRESETS["quick"].lm, dim=16, num_heads=2, hidden_dim=32, vocab_size=5, max_length=8, style=style)
    graph, params = nnx.split(CoatLM(cfg, PER_GROUP, rngs=nnx.Rngs(0)))
    tokens = jnp.asarray(np.random.default_rng(15).integers(0, 5, (2, 9)))

    @jax.jit
    def run(params, tokens):
        return nnx.merge(graph, params)(tokens[:, :-1]), jax.value_and_grad(
            lambda params: language_loss(nnx.merge(graph, params), tokens, jax.random.key(0))
        )(params)

    logits, (loss, gradient) = run(params, tokens)
    changed, _ = run(params, tokens.at[:, 7].set((tokens[:, 7] + 1) % 5))
    np.testing.assert_allclose(changed[:, :7], logits[:, :7], atol=1e-6)
    _, (lower, _) = run(jax.tree.map(lambda p, g: p - 0.1 * g, params, gradient), tokens)
    assert lower < loss
    assert all(np.abs(wide(g)).max() > 0 for g in jax.tree.leaves(gradient))


# --- Presets and data ---


@pytest.mark.parametrize("name", ["standard", "paper"])
def test_presets_trace(name):
    preset = PRESETS[name]
    for precision in (FLOAT32, BF16, TE_LIKE, COAT, PER_TENSOR):
        for cfg in {replace(preset.lm, depth=1), replace(preset.memory_block, depth=1)}:
            model = nnx.eval_shape(lambda cfg=cfg, p=precision: CoatLM(cfg, p, rngs=nnx.Rngs(0)))
            graph, params = nnx.split(model)
            tokens = jax.ShapeDtypeStruct((2, cfg.max_length), jnp.int32)
            logits = jax.eval_shape(lambda p, t, graph=graph: nnx.merge(graph, p)(t), params, tokens)
            assert logits.shape == (2, cfg.max_length, cfg.vocab_size)


def test_windows_come_from_the_text(as_installed):
    preset = replace(PRESETS["quick"], training=replace(PRESETS["quick"].training, steps=2, batch_size=3))
    letters = Letters("counting", np.arange(200))
    drawn = windows(preset, letters, jax.random.key(0))
    assert drawn.shape == (2, 3, preset.lm.max_length + 1)
    assert (np.diff(drawn, axis=-1) == 1).all()
    with pytest.raises(ValueError, match="letters has 5 tokens"):
        windows(preset, Letters("short", np.arange(5)), jax.random.key(0))
    with pytest.raises(ValueError, match="corpus is 'novel'"):
        open_corpus(replace(preset, corpus="novel"), jax.random.key(0))
    assert open_corpus(preset, jax.random.key(0)).stand_in_for == "the OLMo corpus"
