"""2D Matryoshka sentence embeddings: golden vectors, losses, draws, pooling, early exits, converters, presets."""

import json
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import save_file
from scipy.stats import spearmanr

from quire.common.errors import DatasetUnavailable
from quire.common.layers.bert import BertConfig
from quire.common.losses.pair_ranking import angle_loss, cosent_loss, in_batch_negative_loss
from quire.common.metrics.cost import count_params, macs
from quire.common.metrics.rank_correlation import spearman
from quire.common.testing import (
    assert_close,
    assert_degenerate,
    assert_dtypes,
    assert_gradients,
    assert_jit_consistent,
    assert_vmap_consistent,
    max_relative_error,
)
from quire.matryoshka_2d import (
    PRESETS,
    AnglE,
    SentenceEncoder,
    TripletAnglE,
    adaptive_layer_loss,
    bag_of_words_cosines,
    brute_force,
    compressed,
    encode_all_layers,
    espresso_loss,
    geometric_sizes,
    layer_kl,
    load_encoder,
    matryoshka_base,
    padded_prefix,
    pair_cosines,
    paper,
    pool,
    sample_layer_dim,
    sts_grid,
    tdmse_loss,
    triplet_contrastive_loss,
    truncated,
)
from quire.matryoshka_2d.efficiency import unrolled
from quire.matryoshka_2d.espresso import feature_attention, layer_share
from quire.matryoshka_2d.evaluation import TokenPairs
from quire.matryoshka_2d.sources import open_sentences
from quire.matryoshka_2d.training import METHODS, build, methods_of, train, training_loss

KEY = jax.random.key(0)
SIMILAR = jnp.array([1, 0, 0])
BASE = AnglE(in_batch=0.0)  # CoSENT at scale 20 and angle at scale 1
CONFIG = BertConfig(vocab_size=11, dim=8, depth=3, num_heads=2, mlp_dim=12, max_length=6)


@pytest.fixture(scope="module")
def vectors(golden):
    return golden("matryoshka_2d")


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


# --- Golden vectors ---


def computed(vectors):
    """Everything that the file holds besides inputs, by its names."""
    layers, labels, binary = (jnp.asarray(vectors[name], float) for name in ("layers", "labels_pair", "labels_bin"))
    last, dim = layers[-1], int(vectors["tdmse/dim"])
    dims = tuple(vectors["st/dims"].tolist())
    target, cosines = compressed(last, dim), pair_cosines(np.asarray(last))
    found = {
        "loss/cosine_tau20": cosent_loss(last, labels, 20.0),
        "loss/angle_tau1": angle_loss(last, labels, 1.0),
        "loss/angle_tau20": angle_loss(last, labels, 20.0),
        "loss/in_batch_negative_tau20_binlabels": AnglE(0.0, 1.0, 0.0)(last, binary),
        "st/cosent_last_full": cosent_loss(last, labels),
        "st/matryoshka_last": matryoshka_base(cosent_loss, dims)(last, labels),
        "ese/pca_basis_spectrum": jnp.linalg.svd(feature_attention(last), compute_uv=False),
        "ese/compressed_gram": target @ target.T,
        "eval/cos": cosines,
        "eval/spearman": spearman(cosines, np.asarray(labels)),
        "geom_sizes_8_768": geometric_sizes(8, 768),
    }
    step = jax.jit(
        partial(tdmse_loss, base=BASE), static_argnames=("dim", "tau", "first_release")
    )  # the layer is traced, so that one program serves all
    for name in vectors.arrays:
        if name.startswith("tdmse/T") and name.endswith("/total"):
            tau, layer = name.split("/")[1:3]
            total, parts = step(layers, labels, layer=int(layer.removeprefix("layer")), dim=dim, tau=float(tau[1:]))
            folder = name.removesuffix("total")
            found |= {folder + "total": total} | {folder + key: x for key, x in parts._asdict().items()}
        elif name.startswith("tdmse_v1/"):
            _, tau, layer, _ = name.split("/")
            layer, tau = int(layer.removeprefix("layer")), float(tau[1:])
            found[name] = step(layers, labels, layer=layer, dim=dim, tau=tau, first_release=True)[0]
    return found


@pytest.mark.parametrize(("x64", "tolerance"), [(True, 1e-9), (False, 1e-4)], ids=["float64", "float32"])
def test_golden(vectors, x64, tolerance):
    with jax.enable_x64(x64):
        found = computed(vectors)
    inputs = {"layers", "labels_pair", "labels_bin", "tdmse/dim", "st/dims"}
    assert set(found) == set(vectors.arrays) - inputs, "every array is compared"
    for name, value in found.items():
        assert max_relative_error(value, vectors[name]) <= tolerance, name


def test_golden_for_any_depth_by_all_paths(vectors):
    """Layer and prefix as numbers and traced, in every combination."""
    with jax.enable_x64():
        layers, labels = jnp.asarray(vectors["layers"], float), jnp.asarray(vectors["labels_pair"], float)
        layer, dim, tau = len(layers) - 2, int(vectors["tdmse/dim"]), 1.0
        given = vectors.case(f"tdmse/T{tau}/layer{layer}")["total"]
        for static in ((), ("layer",), ("dim",), ("layer", "dim")):
            step = jax.jit(partial(tdmse_loss, base=BASE, tau=tau), static_argnames=static)
            assert_close(step(layers, labels, layer=layer, dim=dim)[0], given, 1e-9)


# --- The objective ---

LAYERS, LABELS = normal(4, 6, 8), jnp.array([3.0, 1.0, 1.0])


def loss(layers=LAYERS, labels=LABELS, layer=2, dim=4, **options):
    return tdmse_loss(jnp.asarray(layers), labels, layer=layer, dim=dim, base=BASE, **options)


def test_exact_claim():
    """Every form of the loss against pair by pair in NumPy."""
    measured = paper.claims["M1"](PRESETS["quick"], KEY)
    assert measured.value < 1e-9 and measured.extras["float32"] < 1e-4


def test_weights_switch_terms():
    last, drawn = jnp.asarray(LAYERS[-1]), jnp.asarray(LAYERS[2])
    full, inner = BASE(last, LABELS), BASE(drawn, LABELS) / 2
    cut, inner_cut = BASE(last[:, :4], LABELS), BASE(drawn[:, :4], LABELS) / 2
    pull = 0.5 * layer_kl(last, drawn, 0.5)
    expected = {
        "plain": full,
        "MRL": full + cut,
        "2DMSE": full + inner + pull + cut + inner_cut,
        "2DMSE without KL": full + inner + cut + inner_cut,
    }
    step = jax.jit(lambda weights: loss(tau=0.5, weights=weights)[0])
    for name, value in expected.items():
        assert_close(step(jax.tree.map(jnp.float32, METHODS[name])), value, 1e-5)
    assert_close(loss(tau=0.5, kl=False)[0], expected["2DMSE without KL"], 1e-5)
    first = loss(tau=0.5, first_release=True)[0]
    assert_close(first, full + 2 * inner + pull / 2 + cut + 2 * inner_cut, 1e-5)


def test_kl_looks_from_the_teacher_over_coordinates():
    t, s = jnp.asarray(LAYERS[-1]), jnp.asarray(LAYERS[1])
    p, q = (np.exp(x) / np.exp(x).sum(1, keepdims=True) for x in (LAYERS[-1] / 0.7, LAYERS[1] / 0.7))
    assert_close(layer_kl(t, s, 0.7), (p * np.log(p / q)).sum(1).mean(), 1e-5)
    assert float(layer_kl(t, s, 0.7)) > 0 and abs(float(layer_kl(t, t + 3, 0.7))) < 1e-6, "a constant changes no distribution"
    by_teacher, by_student = jax.grad(layer_kl, argnums=(0, 1))(t, s, 0.7)
    assert bool(jnp.any(by_teacher)) and bool(jnp.any(by_student)), "no gradient is stopped"


def test_gradients_and_transformations():
    assert_gradients(lambda x: loss(x)[0], LAYERS, tolerance=1e-4)
    assert_jit_consistent(lambda x: loss(x), LAYERS)
    assert_vmap_consistent(lambda x: loss(x)[0], np.stack([LAYERS, LAYERS[:, ::-1]]))


def test_equal_labels_and_equal_scales():
    same = jnp.ones(3)
    value, gradient = jax.value_and_grad(lambda z: BASE(z, same))(jnp.asarray(LAYERS[0]))
    assert value == 0 and not np.any(gradient), "nothing ranks above anything"
    lengths = np.arange(1, 7, dtype=np.float32)[:, None]
    both = AnglE()
    assert_close(both(jnp.asarray(LAYERS[0] * lengths), SIMILAR), both(jnp.asarray(LAYERS[0]), SIMILAR), 1e-5)


def test_the_loss_at_the_edges():
    step = jax.jit(lambda x: loss(x))
    assert_degenerate(step, LAYERS, axes=(0, 1))
    assert_dtypes(lambda x: loss(x)[0], LAYERS)
    assert_degenerate(lambda x: loss(x, layer=jnp.array(1), dim=jnp.array(4))[0], LAYERS, axes=(1,))
    nested = matryoshka_base(BASE, (4, 8))
    assert_degenerate(lambda x: adaptive_layer_loss(x, LABELS, chosen=(1, 2), base=nested), LAYERS, axes=(0, 1))
    assert_dtypes(lambda x: adaptive_layer_loss(x, LABELS, chosen=(1,), base=nested), LAYERS)
    assert_degenerate(lambda x: espresso_loss(x, LABELS, dim=4, base=BASE), LAYERS, axes=(0, 1), scales=(1e-30, 10.0))
    assert_degenerate(TripletAnglE(), LAYERS[0], differentiable=True)


def test_in_batch_negatives_and_triplets():
    z, wide = jnp.asarray(LAYERS[0]), LAYERS[0].astype(float)
    labels = np.array([1, 0, 1])
    assert_close(AnglE(0.0, 2.0, 0.0)(z, jnp.asarray(labels)), 2 * brute_force.in_batch(wide, labels, 20.0), 1e-5)
    assert_close(in_batch_negative_loss(z, jnp.asarray(labels == 1), 5.0), brute_force.in_batch(wide, labels, 5.0), 1e-5)
    assert_close(triplet_contrastive_loss(z, 5.0), brute_force.triplet_contrastive(wide, 5.0), 1e-5)
    a, p, n = wide[0::3], wide[1::3], wide[2::3]
    pairs = np.stack([np.concatenate([a, a]), np.concatenate([p, n])], 1).reshape(-1, 8)
    ranked = np.repeat([1, 0], 2)
    expected = (
        0.5 * brute_force.cosent(pairs, ranked, 3.0)
        + 2 * brute_force.triplet_contrastive(wide, 5.0)
        + brute_force.angle(pairs, ranked, 2.0)
    )
    assert_close(TripletAnglE(0.5, 2.0, 1.0, 3.0, 5.0, 2.0)(z), expected, 1e-5)


def test_espresso():
    x = jnp.asarray(LAYERS[0])
    a = np.asarray(feature_attention(x))
    np.testing.assert_allclose(a.sum(1), 1, rtol=1e-5)
    whole = np.asarray(compressed(x, 8))
    assert_close(whole @ whole.T, LAYERS[0] @ a @ a.T @ LAYERS[0].T, 1e-4)  # U S S U^T = A A^T
    assert_close(jnp.abs(compressed(x, 3)), np.abs(whole[:, :3]), 1e-3)

    def cut(v):
        return BASE(v[:, :4], LABELS) + 0.7 * layer_kl(compressed(v, 4), v[:, :4], 0.7)

    states = jnp.asarray(LAYERS)
    shallow = (cut(states[0]) / layer_share(0) + cut(states[1]) / (1 + np.log(2))) / 2
    expected = BASE(states[-1], LABELS) + cut(states[-1]) + shallow
    assert_close(espresso_loss(states, LABELS, dim=4, base=BASE, tau=0.7), expected, 1e-5)


def test_adaptive_layers():
    """Shares 1 / (n |N|) of chosen layers, a KL for each, prefixes scaled to unit length."""
    seen = []

    def base(z, labels):
        seen.append(z)
        return jnp.sum(z**3)

    states = jnp.asarray(LAYERS)
    found = adaptive_layer_loss(
        states,
        None,
        chosen=(1, 2),
        base=matryoshka_base(base, (2, 8), (1.0, 3.0)),
        last_weight=5.0,
        prior_weight=7.0,
        kl_weight=2.0,
    )
    np.testing.assert_allclose(jnp.linalg.norm(seen[0], axis=1), 1, rtol=1e-5)
    unit = [[np.asarray(x[:, :k] / jnp.linalg.norm(x[:, :k], axis=1, keepdims=True)) for k in (2, 8)] for x in states]
    nested = [(a**3).sum() + 3 * (b**3).sum() for a, b in unit]
    pull = sum(0.3 * layer_kl(states[3], states[n], 0.3) for n in (1, 2))
    assert_close(found, 5 * nested[3] + 7 * (nested[1] / 2 + nested[2] / 4) + 2 * pull, 1e-4)
    without = adaptive_layer_loss(states, None, chosen=(2,), base=base, tau=0.0)
    assert_close(without, base(states[3], None) + base(states[2], None) / 2, 1e-5)


# --- Draws and prefixes ---


def test_draws_are_uniform_and_below_the_last_layer():
    layers, dims = jax.jit(jax.vmap(lambda key: sample_layer_dim(key, 4, (8, 16))))(jax.random.split(KEY, 3000))
    counts = np.histogram2d(np.asarray(layers), np.asarray(dims), bins=[(1, 2, 3, 4), (8, 16, 17)])[0]
    assert counts.sum() == 3000 and set(np.unique(layers)) == {1, 2, 3}
    np.testing.assert_allclose(counts, 500, atol=100)


def test_sizes_double_below_the_dimension():
    assert geometric_sizes(8, 32) == (8, 16)
    assert geometric_sizes(8, 33) == (8, 16, 32)
    assert geometric_sizes(3, 4) == (3,)


@pytest.mark.parametrize("dim", [8, 7])
def test_a_padded_prefix_has_the_losses_of_the_prefix(dim):
    z = jnp.asarray(LAYERS[0][:, :dim])
    cut = jax.jit(padded_prefix)
    for size in range(2, dim + 1, 2):
        assert_close(AnglE()(cut(z, size), SIMILAR), AnglE()(z[:, :size], SIMILAR), 1e-5)
        np.testing.assert_array_equal(padded_prefix(z, size), cut(z, size))
    with jax.debug_nans(False):
        for size in (0, 3, dim + 1, -2):
            assert np.isnan(cut(z, size)).all()
        traced = jax.jit(lambda layer: loss(layer=layer)[0])
        assert np.isnan(traced(0)) and np.isnan(traced(4)) and np.isnan(traced(-1)) and np.isfinite(traced(3))


# --- Pooling and encoder ---


def test_pooling_looks_at_tokens_only():
    hidden = normal(2, 3, 5, 4)
    mask = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [0, 0, 1, 1, 0]], bool)
    for how in ("cls", "avg", "cls_avg", "max", "last"):
        found = pool(jnp.asarray(hidden), jnp.asarray(mask), how)
        assert found.shape == (2, 3, 4)
        for i, row in enumerate(mask):
            tokens = hidden[:, i, row]
            by_hand = {"avg": tokens.mean(1), "max": tokens.max(1), "last": tokens[:, -1], "cls": hidden[:, i, 0]}
            by_hand["cls_avg"] = (by_hand["cls"] + by_hand["avg"]) / 2
            assert_close(found[:, i], by_hand[how], 1e-5)
        assert_close(pool(jnp.asarray(hidden), None, how), pool(jnp.asarray(hidden), jnp.ones((3, 5), bool), how), 1e-6)
        empty = jnp.zeros((3, 5), bool)
        assert how.startswith("cls") or not np.any(pool(jnp.asarray(hidden), empty, how))
        assert_degenerate(lambda x, m, how=how: pool(x, m, how), hidden[0], mask, axes=(0, 1))
    assert_dtypes(lambda x: pool(x, mask, "cls_avg"), hidden[0])


def small_encoder(**changes):
    return SentenceEncoder(replace(CONFIG, **changes), "avg", rngs=nnx.Rngs(0))


TOKENS = jnp.asarray(np.random.default_rng(1).integers(1, 11, (4, 5)))
MASK = jnp.asarray(np.arange(5) < np.array([[5], [3], [1], [4]]))


def test_an_exit_gives_the_layer_and_skips_the_rest():
    model = small_encoder()
    every = np.asarray(encode_all_layers(model, TOKENS, MASK))
    every = every / np.linalg.norm(every, axis=-1, keepdims=True)
    whole = macs(model.encode, TOKENS, MASK)
    for n in (1, 2, 3):
        found = model.encode(TOKENS, MASK, layers=n)
        np.testing.assert_allclose(found, every[n], atol=1e-6)
        np.testing.assert_allclose(unrolled(model, TOKENS, MASK, layers=n), every[n], atol=1e-6)
        assert macs(partial(model.encode, layers=n), TOKENS, MASK) * 3 == pytest.approx(whole * n, rel=0.02)
        short = truncated(model, layers=n)
        np.testing.assert_allclose(short.encode(TOKENS, MASK), every[n], atol=1e-6)
        layer = count_params(model.bert.layers) // 3
        assert count_params(short) == count_params(model) - (3 - n) * layer
        assert (short.depth, short.pooling) == (n, "avg")
    cut = model.encode(TOKENS, MASK, layers=2, dim=4)
    np.testing.assert_allclose(jnp.linalg.norm(cut, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(cut, every[2][:, :4] / np.linalg.norm(every[2][:, :4], axis=1, keepdims=True), atol=1e-6)


def published(config):
    """Random weights under the names of the published files."""
    d, h = config.dim, config.mlp_dim
    matrices = {
        "embeddings.word_embeddings.weight": (config.vocab_size, d),
        "embeddings.position_embeddings.weight": (config.max_length, d),
        "embeddings.token_type_embeddings.weight": (2, d),
    }
    norms, layer = ["embeddings.LayerNorm"], "encoder.layer.{}."
    for prefix in map(layer.format, range(config.depth)):
        for part in ("query", "key", "value"):
            matrices[f"{prefix}attention.self.{part}.weight"] = (d, d)
        matrices |= {f"{prefix}attention.output.dense.weight": (d, d), f"{prefix}intermediate.dense.weight": (h, d)}
        matrices[f"{prefix}output.dense.weight"] = (d, h)
        norms += [f"{prefix}attention.output.LayerNorm", f"{prefix}output.LayerNorm"]
    draw = np.random.default_rng(2)
    state = {name: draw.normal(size=shape).astype(np.float32) for name, shape in matrices.items()}
    state |= {name.replace("weight", "bias"): x[:, 0].copy() for name, x in state.items() if name.startswith("encoder")}
    for name in norms:
        state |= {f"{name}.{kind}": draw.normal(size=d).astype(np.float32) for kind in ("weight", "bias")}
    return state


def test_published_weights(tmp_path):
    state = published(CONFIG)
    save_file(state, tmp_path / "model.safetensors")
    sizes = {
        "vocab_size": 11,
        "hidden_size": 8,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "intermediate_size": 12,
        "max_position_embeddings": 6,
        "type_vocab_size": 2,
        "layer_norm_eps": 1e-12,
    }
    (tmp_path / "config.json").write_text(json.dumps(sizes | {"hidden_act": "gelu"}))
    model, same = load_encoder(tmp_path, pooling="max"), load_encoder(state, CONFIG, pooling="max")
    np.testing.assert_array_equal(model.encode(TOKENS, MASK), same.encode(TOKENS, MASK))
    kernel = model.bert.layers.up.kernel[...]
    np.testing.assert_array_equal(kernel[1], state["encoder.layer.1.intermediate.dense.weight"].T)
    with pytest.raises(ValueError, match=r"encoder\.layer\.2\.output\.dense\.weight"):
        load_encoder({name: x for name, x in state.items() if "layer.2.output.dense" not in name}, CONFIG)
    with pytest.raises(ValueError, match="unexpected"):
        load_encoder(state, replace(CONFIG, depth=2))
    with pytest.raises(ValueError, match="config is None"):
        load_encoder(state)
    (tmp_path / "config.json").write_text(json.dumps(sizes | {"hidden_act": "relu"}))
    with pytest.raises(ValueError, match="hidden_act 'relu'"):
        load_encoder(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="lacks hidden_size"):
        load_encoder(tmp_path)
    with pytest.raises(FileNotFoundError):
        load_encoder(tmp_path / "elsewhere")


# --- Evaluation ---


def test_grid_is_rank_correlation_of_cosines():
    model = small_encoder()
    tokens = np.random.default_rng(3).integers(1, 11, (9, 2, 5))
    tokens[:, 1, 3:] = 0
    scores = np.round(np.random.default_rng(4).uniform(0, 3, 9))  # with ties
    grid = sts_grid(model, TokenPairs(tokens, scores), (0, 1, 3), (2, 8), batch_size=4)
    assert grid.shape == (3, 2)
    rows = tokens.reshape(18, 5)
    every = np.asarray(encode_all_layers(model, jnp.asarray(rows), jnp.asarray(rows != 0)))
    for i, n in enumerate((0, 1, 3)):
        for j, k in enumerate((2, 8)):
            cosines = [brute_force.cosine(every[n, 2 * p, :k], every[n, 2 * p + 1, :k]) for p in range(9)]
            assert grid[i, j] == pytest.approx(spearmanr(cosines, scores).statistic, abs=1e-6)
    assert np.isnan(spearman(pair_cosines(np.zeros((4, 2))), scores[:2]))


def test_bags_of_words():
    found = bag_of_words_cosines(["a a b", "x", "!"], ["A c", "x x", "a"])
    np.testing.assert_allclose(found, [2 / np.sqrt(5 * 2), 1, 0])


# --- Training and presets ---


def tiny(name="quick"):
    encoder = BertConfig(vocab_size=50, dim=8, depth=3, num_heads=2, mlp_dim=8, max_length=9)
    preset = replace(PRESETS[name].fallback, encoder=encoder, length=9, smallest=4, alone=(1,))
    return replace(preset, training=replace(preset.training, steps=2, batch_size=3))


def test_methods_share_weights_batches_and_draws():
    """Columns of one program: those whose terms agree in a step leave the same parameters behind."""
    sentences = open_sentences(tiny()).value
    methods = methods_of(sentences.preset)
    _, states, losses = train(sentences, methods, jax.random.split(KEY, 2))
    assert list(methods) == ["plain", "MRL", "2DMSE", "2DMSE without KL", "1 layer alone"]
    assert losses.shape == (5, 2, 2) and (losses[2, :, 0] > losses[3, :, 0]).all(), "the KL comes on top"
    assert (losses[1, :, 0] > losses[0, :, 0]).all()
    start = nnx.state(build(sentences.preset, nnx.Rngs(jax.random.split(KEY, 2)[0])), nnx.Param)
    moved = np.abs(np.asarray(states.bert.layers.up.kernel[...])[:, 0] - np.asarray(start.bert.layers.up.kernel[...])).max((2, 3))
    assert (moved[:4] > 0).all(), "every layer learns"
    assert moved[4, 0] > 0 and not moved[4, 1:].any(), "what lies behind an encoder of one layer does not"


def test_sentences(as_installed, monkeypatch, tmp_path):
    monkeypatch.setenv("QUIRE_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = open_sentences(PRESETS["quick"])
    assert "generated" in found.name and found.stand_in_for.startswith("SNLI")
    assert found.value.train.shape == (4000, 2, 12) and found.value.train.max() < 60
    assert 0.5 < found.value.bag_of_words < 1
    for name, missing in (("standard", "stsbenchmark"), ("paper", "senteval-sts")):
        with pytest.raises(DatasetUnavailable, match=missing):
            open_sentences(PRESETS[name])
    with pytest.raises(DatasetUnavailable, match="bert-base-uncased"):
        build(PRESETS["paper"], nnx.Rngs(0))
    with pytest.raises(ValueError, match="sentences is 'novels'"):
        open_sentences(replace(PRESETS["quick"], sentences="novels"))
    with pytest.raises(ValueError, match="vocab_size is 3"):
        open_sentences(replace(tiny(), checkpoint="", encoder=replace(CONFIG, vocab_size=3), length=6))


@pytest.mark.parametrize("name", PRESETS)
def test_presets_trace(name):
    """The loss of every preset by shapes alone."""
    preset = PRESETS[name]
    graph, state = nnx.split(nnx.eval_shape(lambda: SentenceEncoder(preset.encoder, preset.pooling, rngs=nnx.Rngs(0))))
    texts = 3 if preset.sentences == "nli" else 2
    batch = preset.training.batch_size
    tokens = jax.ShapeDtypeStruct((batch, texts, preset.length), jnp.int32)
    method = next(iter(methods_of(preset).values()))
    labels = jax.ShapeDtypeStruct((batch,), jnp.float32)

    def step(state, tokens, labels, key):
        return training_loss(preset)(nnx.merge(graph, state), (tokens, labels, method), key)

    assert jax.eval_shape(step, state, tokens, labels, KEY).shape == ()
    assert preset.training.transformation() is not None
    assert preset.dims[-1] == preset.encoder.dim


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: loss(layer=0), "layer is 0"),
        (lambda: loss(layer=4), "layer is 4"),
        (lambda: loss(dim=9), "9"),
        (lambda: loss(dim=0), "0"),
        (lambda: loss(dim=3), "halves need an even one"),
        (lambda: loss(tau=0.0), "tau is 0.0"),
        (lambda: loss(labels=LABELS[:2]), "6 rows and 2 grades"),
        (lambda: loss(LAYERS[:1], layer=1), "layers with shape"),
        (lambda: padded_prefix(jnp.ones((2, 4)), 3), "size is 3"),
        (lambda: padded_prefix(jnp.ones((2, 4)), 6), "size is 6"),
        (lambda: sample_layer_dim(KEY, 1, (8,)), "num_layers is 1"),
        (lambda: sample_layer_dim(KEY, 3, ()), "sizes is"),
        (lambda: geometric_sizes(8, 8), "smallest is 8"),
        (lambda: geometric_sizes(0, 8), "smallest is 0"),
        (lambda: AnglE(0.0, 0.0, 0.0), "one must be positive"),
        (lambda: AnglE(-1.0), "none may be negative"),
        (lambda: AnglE(angle_scale=0.0), "angle_scale is 0.0"),
        (lambda: AnglE()(jnp.asarray(LAYERS[0]), LABELS), "others than 0 and 1"),
        (lambda: TripletAnglE()(jnp.ones((4, 2))), "embeddings has 4 rows"),
        (lambda: matryoshka_base(BASE, (4, 4)), "sizes is"),
        (lambda: matryoshka_base(BASE, (2, 4), (1.0,)), "weights has 1"),
        (lambda: adaptive_layer_loss(jnp.asarray(LAYERS), LABELS, chosen=(3,), base=BASE), "chosen is"),
        (lambda: adaptive_layer_loss(jnp.asarray(LAYERS), LABELS, chosen=(), base=BASE), "chosen is"),
        (lambda: adaptive_layer_loss(jnp.asarray(LAYERS), LABELS, chosen=(1, 1), base=BASE), "chosen is"),
        (lambda: adaptive_layer_loss(jnp.asarray(LAYERS), LABELS, chosen=(1,), base=BASE, tau=-1.0), "tau is -1.0"),
        (lambda: espresso_loss(jnp.asarray(LAYERS[:2]), LABELS, dim=4, base=BASE), "at least 2"),
        (lambda: compressed(jnp.ones((3, 4)), 5), "sizes is"),
        (lambda: pool(jnp.ones((1, 2, 3)), None, "mean"), "how is 'mean'"),
        (lambda: pool(jnp.ones((1, 2, 3)), np.ones((1, 3), bool)), "mask"),
        (lambda: small_encoder().encode(TOKENS, layers=0), "layers is 0"),
        (lambda: small_encoder().encode(TOKENS, layers=4), "layers is 4"),
        (lambda: small_encoder().encode(TOKENS, dim=9), "9"),
        (lambda: small_encoder().encode(TOKENS + 20), "tokens runs from"),
        (lambda: truncated(small_encoder(), layers=0), "num_layers is 0"),
        (lambda: SentenceEncoder(CONFIG, "sum", rngs=nnx.Rngs(0)), "how is 'sum'"),
        (lambda: pair_cosines(np.ones((3, 2))), "3 rows"),
        (lambda: bag_of_words_cosines(["a"], []), "first has 1"),
        (lambda: sts_grid(small_encoder(), TokenPairs(np.ones((2, 2, 3), int), np.arange(2.0)), (4,), (8,)), "layers is"),
        (lambda: replace(tiny(), alone=(3,)), "alone is"),
        (lambda: replace(tiny(), smallest=3), "smallest is 3"),
        (lambda: replace(tiny(), length=10), "length is 10"),
        (lambda: replace(tiny(), pooling="sum"), "how is 'sum'"),
    ],
)
def test_wrong_arguments(call, message, as_installed):
    with pytest.raises(ValueError, match=message):
        call()
