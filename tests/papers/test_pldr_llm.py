"""PLDR-LLM: golden vectors of the authors' code, tensors, caches, generation, initial weights, presets."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from quire.common.errors import DatasetUnavailable
from quire.common.layers.attention import attention
from quire.common.layers.intermediates import capture
from quire.common.losses.classification import masked_cross_entropy
from quire.common.metrics.cost import count_params
from quire.common.testing import assert_close, assert_degenerate, assert_dtypes, assert_gradients, cast
from quire.pldr_llm import (
    PRESETS,
    Deductive,
    PLDRConfig,
    PLDRModel,
    PLDRRecipe,
    claims,
    config_of,
    dag_loss,
    dag_penalty,
    decode_step,
    deductive_report,
    density_matrix,
    generate,
    iswiglu,
    language_loss,
    load_pldr,
    open_corpus,
    paper,
    plga,
    plga_attention,
    plga_scores,
    power_law_tensor,
    prefill,
    sdpa_logits,
    statistics,
    step_macs,
    substitutes,
    symbols,
)
from quire.pldr_llm.sources import windows
from quire.pldr_llm.training import train_with

PRECISIONS = pytest.mark.parametrize(("x64", "rtol"), [(True, 1e-9), (False, 2e-3)], ids=["float64", "float32"])


@pytest.fixture(scope="module")
def vectors(golden):
    return golden("pldr_llm")


def float_type(x64):
    return jnp.float64 if x64 else jnp.float32


def golden_model(vectors, x64):
    return load_pldr(vectors.case("model/param"), float_type(x64))


def close(actual, expected, rtol):
    """Entry by entry in float64; in float32 small entries beside large ones keep fewer digits."""
    expected = np.asarray(expected)
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=rtol * 1e-2 * np.abs(expected).max())


# --- Golden vectors ---


def test_golden_sizes(vectors):
    cfg = golden_model(vectors, False).config
    sizes = cfg.depth, cfg.num_heads, cfg.head_dim, cfg.ffn_dim, cfg.vocab_size, cfg.metric_dim, cfg.residual_units, cfg.glus
    assert sizes == tuple(vectors["config"])


@PRECISIONS
def test_golden_model(vectors, x64, rtol):
    with jax.enable_x64(x64):
        model = golden_model(vectors, x64)
        logits, found = jax.jit(lambda t: model(t))(vectors["tokens"])
        close(logits, vectors["full/logits"], rtol)
        for name, T in found._asdict().items():
            close(T, vectors[f"full/{'G_LM' if name == 'G' else name}"], rtol)
        y = jnp.asarray(vectors["loss/y_true"])
        close(
            masked_cross_entropy(jnp.asarray(vectors["full/logits"]), y, y != 0), vectors["loss/masked_ce"], 1e-9 if x64 else 1e-5
        )


@PRECISIONS
def test_golden_inside_of_the_layers(vectors, x64, rtol):
    with jax.enable_x64(x64):
        model, tokens = golden_model(vectors, x64), jnp.asarray(vectors["tokens"])
        x, n = model.embed(tokens), tokens.shape[1]
        run = jax.jit(lambda layer, x: capture(layer, x, jnp.arange(n), jnp.tri(n, dtype=bool)[None, None]))
        for i in range(model.config.depth):
            (x, _, _), seen = run(model.layer(i), x)
            close(seen["attention"]["scores"][0], vectors["full/scores_premask"][i], rtol)
            close(seen["attention"]["keys"][0].swapaxes(1, 2), vectors["full/k_rope_bshd"][i], rtol)
        close(x, vectors["full/dec_out"], rtol)


@PRECISIONS
def test_golden_attention(vectors, x64, rtol):
    names = {"W": "Wlst", "b": "blst", "pw": "pwlst", "a": "alst", "ba": "balst"}
    with jax.enable_x64(x64):
        case = cast(vectors.case("plga"), float_type(x64))
        params = {ours: case[f"param/{name}"] for ours, name in names.items()}
        n = case["q"].shape[2]
        run = jax.jit(lambda *args: plga(*args, jnp.tri(n, dtype=bool)[None, None]))
        out, found = run(case["q"], case["k"], case["v"], case["A"], params)
        close(found.A_LM, vectors["plga/A_LM"], rtol)
        close(found.G, vectors["plga/G_LM"], rtol)
        close(out, vectors["plga/out"], rtol)
        close(iswiglu(jnp.asarray(vectors["iswiglu/x"])), vectors["iswiglu/y"], rtol)


@PRECISIONS
def test_golden_caches(vectors, x64, rtol):
    with jax.enable_x64(x64):
        model, length = golden_model(vectors, x64), int(vectors["cache/prefill_len"])
        row = jnp.asarray(vectors["tokens"][:1])
        logits, cache = prefill(model, row[:, :length], length + 2)
        close(logits, vectors["cache/prefill_logits"], rtol)
        close(cache.G, vectors["cache/G_LM_prefill"], rtol)
        for name, use_g in (("kv", False), ("kvg", True)):
            after = cache
            step = jax.jit(lambda token, cache, use_g=use_g: decode_step(model, token, cache, use_g=use_g))
            for number in (1, 2):
                logits, after = step(row[:, length + number - 1], after)
                close(logits[:, None], vectors[f"cache/{name}/logits_step{number}"], rtol)
        for name, g in (("none", None), ("g_only", cache.G)):
            close(model(row[:, : length + 1], g=g)[0], vectors[f"cache/{name}/logits"], rtol)


@PRECISIONS
def test_golden_given_tensors(vectors, x64, rtol):
    with jax.enable_x64(x64):
        model, random = golden_model(vectors, x64), jnp.asarray(vectors["v510G/random/G"], float_type(x64))
        identity = jnp.broadcast_to(jnp.eye(random.shape[-1], dtype=random.dtype), random.shape)
        run = jax.jit(lambda g: model(jnp.asarray(vectors["tokens"]), g=g)[0])
        for name, g in (("identity", identity), ("random", random)):
            close(run(g), vectors[f"v510G/{name}/logits"], rtol)


@PRECISIONS
def test_golden_regulariser(vectors, x64, rtol):
    with jax.enable_x64(x64):
        losses = [dag_loss(jnp.asarray(vectors[f"dag/{name}"], float_type(x64))) for name in ("A", "A_P", "G")]
        close(jnp.stack(losses), vectors["dag/loss_A_Ap_G"], rtol)


def test_golden_rate(vectors):
    total, warm, floor = vectors["lr/total_warmup_alpha"]
    with jax.enable_x64():
        recipe = PLDRRecipe(steps=int(total), batch_size=1, learning_rate=1.0, warmup=warm / total, floor=floor)
        close([recipe.rate()(step) for step in vectors["lr/steps"]], vectors["lr/factor"], 1e-9)


# --- The tensors ---

SMALL = PLDRConfig(vocab_size=11, depth=2, num_heads=2, head_dim=4, metric_dim=5, residual_units=2)
KEY = jax.random.key(0)


def normal(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def power_law_parameters(heads=2, d=4):
    return {name: normal(heads, d, d, seed=i) for i, name in enumerate(("W", "b", "pw", "a", "ba"))}


@pytest.fixture(scope="module")
def model():
    return PLDRModel(SMALL, rngs=nnx.Rngs(0))


@pytest.fixture(scope="module")
def tokens():
    return np.random.default_rng(1).integers(1, SMALL.vocab_size, (2, 7)).astype(np.int32)


def test_power_laws_are_their_formulas():
    A, params = normal(3, 2, 4, 4, seed=9), power_law_parameters()
    metric, potential, curvature = power_law_tensor(A, **params)
    A, params = np.asarray(A), {name: np.asarray(x) for name, x in params.items()}
    x = np.einsum("hij,bhjk->bhik", params["W"], A) + params["b"]
    expected = x**2 / (1 + np.exp(-x)) + 1e-9
    np.testing.assert_allclose(metric, expected, rtol=2e-5)
    np.testing.assert_allclose(potential, expected ** params["pw"], rtol=1e-4)
    np.testing.assert_allclose(curvature, params["a"] @ (expected ** params["pw"]) + params["ba"], rtol=1e-3, atol=1e-3)
    assert np.all(metric > 0)


def test_derivatives_of_the_power_laws():
    params = power_law_parameters(1, 2)
    assert_gradients(lambda A, p: sum(jnp.sum(jnp.tanh(T)) for T in power_law_tensor(A, **p)), normal(1, 1, 2, 2), params)


def test_power_laws_at_their_edges():
    params = power_law_parameters()
    assert_degenerate(lambda A: power_law_tensor(A, **params)[2], normal(2, 2, 4, 4), scales=(1e-30, 1e2))
    assert_dtypes(lambda A: power_law_tensor(A, **params)[0], normal(2, 2, 4, 4), dtypes=["uint8", "bfloat16"])
    half = {name: jnp.asarray(x, jnp.bfloat16) for name, x in params.items()}
    zero = power_law_tensor(jnp.zeros((1, 2, 4, 4), jnp.bfloat16), **half | {"b": 0 * half["b"]})
    assert zero[1].dtype == jnp.bfloat16
    np.testing.assert_allclose(np.float32(zero[1]), 1e-9 ** np.float32(half["pw"])[None], rtol=2e-2)


def test_density_matrix_is_a_gram_matrix_that_leaves_room_out():
    q = normal(1, 2, 5, 4)
    np.testing.assert_allclose(density_matrix(q), np.einsum("bhsi,bhsj->bhij", q, q), rtol=1e-5, atol=1e-6)
    counted = density_matrix(q, jnp.arange(5) < 3)
    np.testing.assert_allclose(counted, density_matrix(q[:, :, :3]), rtol=1e-5, atol=1e-6)


def test_metric_learner_is_its_residual_units(model):
    """One unit after the other, in NumPy."""
    learner = model.layer(0).attention.metric_learner
    A = np.asarray(normal(1, 2, 4, 4))

    def norm(x):
        return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)

    expected = norm(A)
    for i in range(SMALL.residual_units):
        inner = expected
        for j in range(SMALL.glus):
            gate, up, down = (np.asarray(getattr(learner.units.glus, n).kernel[...][i, j]) for n in ("gate", "up", "down"))
            inner = (inner @ gate / (1 + np.exp(-inner @ gate)) * (inner @ up)) @ down
        expected = norm(inner + expected)
    np.testing.assert_allclose(learner(jnp.asarray(A)), expected, rtol=1e-4, atol=1e-5)


def test_attention_through_the_identity_is_scaled_dot_product_attention(model, tokens):
    eye = jnp.broadcast_to(jnp.eye(4), (2, 1, 2, 4, 4))
    given = model(jnp.asarray(tokens), g=eye)
    assert_close(given[0], sdpa_logits(model, jnp.asarray(tokens)), 1e-5)
    assert given[1].A is None and given[1].G.shape == eye.shape
    q, k, v = (jnp.asarray(normal(2, 2, 5, 4, seed=i)) for i in range(3))
    causal = jnp.tri(5, dtype=bool)[None, None]
    assert_close(
        plga_attention(q, k, v, jnp.broadcast_to(jnp.eye(4), (1, 2, 4, 4)), causal), attention(q, k, v, causal=True), 1e-5
    )
    nothing = plga_attention(q, k, v, jnp.ones((1, 2, 4, 4)), jnp.zeros((1, 1, 5, 5), bool))
    np.testing.assert_array_equal(nothing, 0)


# --- The model ---


def test_a_later_token_reaches_earlier_ones_only_through_the_tensor(model, tokens):
    other = tokens.copy()
    other[:, -1] = tokens[:, -1] % 10 + 1
    run = jax.jit(lambda t, g: model(t, g=g))
    free = jax.jit(lambda t: model(t))
    (before, found), (after, _) = free(tokens), free(other)
    assert float(jnp.abs(before - after)[:, :-1].max()) > 1e-4
    assert_close(run(other, found.G)[0][:, :-1], run(tokens, found.G)[0][:, :-1], 1e-6)


def test_padding_is_not_attended_to_and_room_does_not_count(model, tokens):
    padded = np.pad(tokens, ((0, 0), (0, 3)))
    run = jax.jit(lambda t, g, mask: model(t, g=g, mask=mask)[0])
    g = model(jnp.asarray(tokens))[1].G
    left = np.pad(tokens, ((0, 0), (3, 0)))
    seen = run(left, g, left != 0)
    assert np.isfinite(seen).all()
    changed = left.copy()
    changed[:, 0] = 5  # masked all the same
    assert_close(run(changed, g, left != 0)[:, 3:], seen[:, 3:], 1e-6)
    default = model(jnp.asarray(left), g=g)[0]
    assert_close(default, seen, 1e-6)
    roomy = jax.jit(lambda t, n: model(t, mask=jnp.ones(t.shape, bool), length=n)[0])(padded, tokens.shape[1])
    assert_close(roomy[:, : tokens.shape[1]], model(jnp.asarray(tokens))[0], 1e-4)


def test_wrong_arguments_say_what_they_need(as_installed, model, tokens):
    full = prefill(model, jnp.asarray(tokens), 7)[1]
    calls = {
        "head_dim is 3": lambda: PLDRConfig(head_dim=3),
        "depth is 0": lambda: PLDRConfig(depth=0),
        "value_init is 'x'": lambda: PLDRConfig(value_init="x"),
        "floor is 2": lambda: PLDRRecipe(steps=1, batch_size=1, learning_rate=1.0, floor=2),
        "tokens runs from 11 to 11": lambda: model(jnp.full((1, 2), 11)),
        "tokens have shape": lambda: model(jnp.zeros((1, 0), int)),
        "g has shape": lambda: model(jnp.asarray(tokens), g=jnp.zeros((2, 3, 2, 4, 4))),
        "mask has shape": lambda: model(jnp.asarray(tokens), mask=jnp.ones((2, 3), bool)),
        "capacity is 3": lambda: prefill(model, jnp.asarray(tokens), 3),
        "the padding": lambda: prefill(model, jnp.zeros((1, 3), int), 3),
        "cache holds 7 tokens": lambda: decode_step(model, jnp.asarray(tokens[:, 0]), full),
        "steps is 0": lambda: generate(model, tokens, 0, key=KEY),
        "temperature is 2": lambda: generate(model, tokens, 1, temperature=2, key=KEY),
        "none of them padding": lambda: generate(model, 0 * tokens, 1, key=KEY),
        "W has shape": lambda: power_law_tensor(jnp.zeros((1, 2, 4, 4)), **power_law_parameters(3)),
        "G has shape": lambda: plga_scores(*(jnp.zeros((2, 2, 3, 4)),) * 2, jnp.zeros((2, 2, 4, 3))),
        "T has shape": lambda: dag_loss(jnp.zeros((2, 3))),
        "is not finite": lambda: dag_loss(jnp.full((3, 3), 30.0)),
        "weights are": lambda: dag_penalty(Deductive(*(jnp.zeros((1, 1)),) * 4), (0.0, -1.0, 0.0)),
        "at least two prompts": lambda: statistics(np.zeros((1, 1, 2, 3, 3))),
        "noise has shape": lambda: substitutes(jnp.zeros((1, 2, 2, 3, 3)), jnp.zeros((1, 2, 2, 3, 3))),
    }
    for message, call in calls.items():
        with jax.debug_nans(False), pytest.raises(ValueError, match=message):
            call()


# --- Initial weights ---


def test_initial_weights_are_xavier_with_the_values_as_asked():
    cfg = PLDRConfig(vocab_size=50, depth=3, num_heads=4, head_dim=16, metric_dim=20, residual_units=2)
    layers = PLDRModel(cfg, rngs=nnx.Rngs(0)).decoder.layers
    bound = np.sqrt(6 / 128)
    for part in (layers.attention.query, layers.attention.value):
        kernel = np.asarray(part.kernel[...])
        assert 0.97 * bound < np.abs(kernel).max() <= bound
        assert not np.any(part.bias[...])
    gate = np.abs(layers.attention.metric_learner.units.glus.gate.kernel[...])
    assert 0.9 * np.sqrt(6 / 36) < gate.max() <= np.sqrt(6 / 36)
    law = layers.attention.power_law
    for x in (law.W, law.a, law.pw):
        np.testing.assert_allclose(np.std(x[...]), np.sqrt(2 / (256 + 64)), rtol=0.1)
    assert not np.any(law.b[...]) and not np.any(law.ba[...]) and np.all(layers.ffn_norm.scale[...] == 1)
    torch = PLDRModel(replace(cfg, value_init="torch"), rngs=nnx.Rngs(0)).decoder.layers.attention.value
    for x in (torch.kernel, torch.bias):
        assert 0.9 / 8 < np.abs(x[...]).max() <= 1 / 8


# --- Caches and generation ---


def test_caches_agree_with_each_other_and_not_with_none(model, tokens):
    """Greedy texts and sampled ones: three ways are one model, the fourth follows the longer sequence."""
    prompt = tokens[:, :4]
    modes = [(True, True), (True, False), (False, True)]
    for options in ({"top_k": 1}, {"temperature": 0.7, "top_p": 0.9, "top_k": 5}):
        texts = [generate(model, prompt, 4, kv_cache=kv, g_cache=g, key=KEY, **options) for kv, g in modes]
        assert texts[0].shape == (2, 8)
        np.testing.assert_array_equal(texts[0][:, :4], prompt)
        for text in texts[1:]:
            np.testing.assert_array_equal(text, texts[0])


def test_generation_without_caches_reads_the_sequence_again(model, tokens):
    text = np.asarray(generate(model, tokens[:, :4], 3, kv_cache=False, g_cache=False, top_k=1, key=KEY))
    for n in (4, 5, 6):
        logits = model(jnp.asarray(text[:, :n]), mask=jnp.ones((2, n), bool))[0][:, -1]
        np.testing.assert_array_equal(text[:, n], np.asarray(logits.argmax(-1)))


def test_a_full_cache_and_bad_tokens_are_nan_where_they_are_traced(model, tokens):
    _, cache = prefill(model, jnp.asarray(tokens), 7)
    with jax.debug_nans(False):
        assert np.isnan(jax.jit(lambda t, c: decode_step(model, t, c)[0])(tokens[:, 0], cache)).all()
        assert np.isnan(jax.jit(lambda t: model(t)[0])(np.full((1, 2), 99))[0, -1]).all()


# --- Regulariser, statistics, counting ---


def test_regulariser_is_zero_for_acyclic_graphs_only():
    upper = jnp.triu(normal(2, 3, 4, 4), 1)
    order = [2, 0, 3, 1]
    assert float(dag_loss(upper)) < 1e-6
    assert float(dag_loss(upper[..., order, :][..., order])) < 1e-6
    cyclic = upper + jnp.broadcast_to(jnp.eye(4, k=-3), upper.shape)
    squares = np.asarray(cyclic, float) ** 2
    traces = [np.exp(np.linalg.eigvals(s)).sum().real for s in squares.reshape(-1, 4, 4)]
    np.testing.assert_allclose(dag_loss(cyclic), np.mean(np.abs(np.log(np.array(traces) / 4))), rtol=1e-4)


def test_regularised_loss_has_its_coefficients(model, tokens):
    found = model(jnp.asarray(tokens[:, :-1]))[1]
    tensors = found._replace(A_P=jnp.full((2, 1, 2, 4, 4), 0.5), G=jnp.ones((2, 1, 2, 4, 4)))
    parts = [float(dag_penalty(tensors, tuple(np.eye(3)[i].tolist()))) for i in (1, 2)]
    np.testing.assert_allclose(dag_penalty(tensors, (0.0, 0.5, 2.0)), 0.5 * parts[0] + 2 * parts[1], rtol=1e-5)
    plain = float(language_loss(model, jnp.asarray(tokens)))
    added = float(language_loss(model, jnp.asarray(tokens), dag=(0.1, 0.0, 0.0)))
    np.testing.assert_allclose(added - plain, 0.1 * float(dag_loss(found.A_LM)), rtol=1e-3)


def test_loss_leaves_padding_out(model, tokens):
    padded = tokens.copy()
    padded[0, -3:] = 0
    logits = model(jnp.asarray(padded[:, :-1]))[0]
    expected = -np.take_along_axis(np.asarray(jax.nn.log_softmax(logits)), padded[:, 1:, None], -1)[..., 0]
    np.testing.assert_allclose(language_loss(model, jnp.asarray(padded)), expected[padded[:, 1:] != 0].mean(), rtol=1e-5)


def test_statistics_over_prompts():
    T = np.asarray(normal(2, 5, 3, 4, 4)) + 3
    found = statistics(T)
    centre = T.mean(1, keepdims=True)
    np.testing.assert_allclose(found["rmse"], np.sqrt(((T - centre) ** 2).mean((1, 2, 3, 4))), rtol=1e-5)
    np.testing.assert_allclose(found["relative_rmse"], found["rmse"] / np.sqrt((centre**2).mean((1, 2, 3, 4))), rtol=1e-5)
    np.testing.assert_allclose(found["det"], np.linalg.det(T.astype(float)), rtol=1e-6)
    same = statistics(np.repeat(T[:, :1], 3, 1))
    assert same["rmse"].max() == 0 and same["det_spread"].max() < 1e-12
    assert statistics(np.zeros((1, 2, 1, 3, 3)))["relative_rmse"] == 0


def test_report_and_substitutes(model, tokens):
    report = deductive_report(model, jnp.asarray(tokens))
    assert set(report) == {"A", "A_LM", "A_P", "G"}
    G = jnp.asarray(normal(2, 3, 2, 4, 4)) * 2 + 1
    found = substitutes(G, jnp.asarray(normal(2, 1, 2, 4, 4)))
    np.testing.assert_array_equal(found["cached"], G[:, :1])
    np.testing.assert_array_equal(found["heads reversed"][:, 0, 0], G[:, 0, 1])
    np.testing.assert_array_equal(found["identity"][1, 0, 1], np.eye(4))
    wide = substitutes(G, jnp.asarray(normal(2, 1, 2, 4, 4)) * 0)["random"]
    np.testing.assert_allclose(wide[:, 0, 0, 0, 0], G[:, 0].mean((1, 2, 3)), rtol=1e-5)


def test_counted_work_is_that_of_the_formulas():
    """One layer: linear maps, attention over n places, the head; the tensor and the metric learner on top."""
    cfg, n = PLDRConfig(vocab_size=16, depth=1, num_heads=2, head_dim=4, metric_dim=5, residual_units=3), 10
    found = step_macs(cfg, n)
    dim, d, heads = cfg.dim, cfg.head_dim, cfg.num_heads
    plain = 4 * dim**2 + 3 * dim * cfg.hidden_dim + 2 * n * dim + dim * cfg.vocab_size
    learner = heads * d * cfg.residual_units * cfg.glus * 3 * d * cfg.metric_dim
    assert found["SDPA, KV"] == plain
    assert found["KV + G"] == plain + heads * d * d
    assert found["KV"] == found["KV + G"] + 2 * heads * d**3
    assert found["none"] == found["G"] + 2 * heads * d**3 + learner + n * heads * d * d


# --- Text and presets ---


def test_symbols_by_frequency():
    train, held_out, alphabet = symbols(b"aabbbc", b"abz", 4)
    np.testing.assert_array_equal(train, [3, 3, 2, 2, 2, 1])
    np.testing.assert_array_equal(held_out, [3, 2, 1])
    assert alphabet == "_?ba"
    assert symbols(b"aa", b"b", 5)[1].tolist() == [1]
    with pytest.raises(ValueError, match="vocab_size is 2"):
        symbols(b"a", b"a", 2)


def test_windows_lie_in_the_text():
    found = windows(np.arange(9), (4, 2), 5, KEY)
    assert found.shape == (4, 2, 6)
    np.testing.assert_array_equal(np.diff(found, axis=-1), 1)
    with pytest.raises(ValueError, match="a window needs 10"):
        windows(np.arange(9), (1,), 9, KEY)


def test_texts_of_the_presets(as_installed, monkeypatch, tmp_path):
    monkeypatch.setenv("QUIRE_DATA", str(tmp_path))
    monkeypatch.setattr("quire.pldr_llm.sources.MARKOV_LETTERS", 500)
    monkeypatch.setattr("quire.pldr_llm.sources.MARKOV_HELD_OUT", 100)
    source = open_corpus(PRESETS["quick"], KEY)
    assert source.stand_in_for == "RefinedWeb"
    assert len(source.value.read(source.value.held_out)) == len(source.value.held_out)
    with pytest.raises(DatasetUnavailable, match="refinedweb"):
        open_corpus(PRESETS["paper"], KEY)
    (tmp_path / "refinedweb").mkdir()
    for part in ("train", "test"):
        np.arange(9, dtype="<u2").tofile(tmp_path / "refinedweb" / f"{part}.u16")
    assert open_corpus(PRESETS["paper"], KEY).value.read(np.arange(3)) == "0 1 2"


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_traced(name):
    preset = PRESETS[name]
    model = nnx.eval_shape(lambda: PLDRModel(preset.lm, rngs=nnx.Rngs(0)))
    graph, state = nnx.split(model)
    text = jax.ShapeDtypeStruct((preset.training.batch_size, preset.length + 1), jnp.int32)
    tx = preset.training.transformation()

    def step(state, text):
        loss, grads = jax.value_and_grad(lambda s: language_loss(nnx.merge(graph, s), text))(state)
        return loss, tx.update(grads, tx.init(state), state)[0]

    loss, updates = jax.eval_shape(step, state, text)
    assert loss.shape == () and jax.tree.structure(updates) == jax.tree.structure(state)
    if name == "paper":
        assert 100e6 < count_params(model) < 120e6


def test_the_optimiser_clips_by_value_and_decays_everything():
    recipe = PLDRRecipe(steps=10, batch_size=1, learning_rate=1.0, schedule="cosine", floor=0.5)
    params = {"a": jnp.array([1.0, 2.0])}
    for flat in (True, False):
        tx = recipe.transformation(flat=flat)
        updates, _ = tx.update({"a": jnp.array([100.0, 1e-5])}, tx.init(params), params)
        expected = -np.array([1 / (1 + 1e-5), 0.5]) - 0.1 * np.array([1.0, 2.0])
        np.testing.assert_allclose(updates["a"], expected, rtol=1e-4)


# --- Converter ---


def test_converter_is_strict(vectors):
    state = vectors.case("model/param")
    with pytest.raises(ValueError, match="unexpected: extra"):
        load_pldr(state | {"extra": np.zeros(1)})
    with pytest.raises(ValueError, match="no checkpoint"):
        config_of({})
    short = {name: x for name, x in state.items() if name != "decoder.layernorm1.bias"}
    with pytest.raises(ValueError, match=r"missing: decoder\.layernorm1\.bias"):
        load_pldr(short)
    bent = state | {"decoder.dec_layers.0.mha1.wq.weight": np.zeros((3, 4), np.float32)}
    with pytest.raises(ValueError, match="wq"):
        load_pldr(bent)


@pytest.mark.parametrize("claim", ["P2", "P5"])
def test_claims_that_need_no_training(claim, monkeypatch):
    monkeypatch.setattr(claims, "GENERATED", 2)
    preset = replace(PRESETS["quick"], step_config=SMALL, step_length=6)
    sample = paper.claims[claim](preset, KEY)
    assert np.isfinite(sample.value)


def test_training_around_a_given_tensor(as_installed):
    """Identity, random numbers and a tensor made elsewhere: side by side as one by one, and each another model."""
    recipe = replace(PRESETS["quick"].training, steps=4, batch_size=2)
    preset = replace(PRESETS["quick"], lm=replace(SMALL, vocab_size=64), training=recipe, length=8, prompts=2)
    elsewhere = PLDRModel(preset.lm, rngs=nnx.Rngs(3))(jnp.ones((1, 6), jnp.int32))[1].G
    tensors = {"identity": jnp.broadcast_to(jnp.eye(4), elsewhere.shape), "random": normal(*elsewhere.shape)}
    found = train_with(preset, KEY, tensors | {"transferred": elsewhere})
    alone = train_with(preset, KEY, {"random": tensors["random"]})
    np.testing.assert_allclose(found["random"]["losses"], alone["random"]["losses"], rtol=1e-5)
    assert all(np.isfinite(x["losses"]).all() and x["losses"].shape == (4,) for x in found.values())
    assert len({round(x["loss"], 4) for x in found.values()}) == 3
