"""PLDR-LLM: golden vectors of the authors' code, tensors, caches, generation, initial weights, presets."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quire.common.layers.intermediates import capture
from quire.common.losses.classification import masked_cross_entropy
from quire.common.testing import cast
from quire.pldr_llm import (
    PLDRRecipe,
    dag_loss,
    decode_step,
    iswiglu,
    load_pldr,
    plga,
    prefill,
)

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
