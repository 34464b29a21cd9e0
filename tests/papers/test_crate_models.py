"""CRATE: masked autoencoder, language models, converters, training, claims."""

from dataclasses import replace

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from PIL import Image

from quire.common.bench import measure
from quire.common.claims import Scorecard, run, shared
from quire.common.errors import DatasetUnavailable
from quire.common.layers.crate import (
    ISTA,
    MSSA,
)
from quire.common.layers.patches import patchify, sincos_positions_2d, unpatchify
from quire.common.testing import (
    assert_close,
)
from quire.crate import brute_force
from quire.crate.benchmark import cases
from quire.crate.classifier import CRATE, TINY, CRATEConfig
from quire.crate.config import PRESETS, Training
from quire.crate.convert import (
    classifier_config,
    load_classifier,
    load_decoder,
    load_encoder,
    load_ista,
    load_masked_autoencoder,
    load_mssa,
    read_state_dict,
    torch_names,
)
from quire.crate.language_model import (
    CRATELM,
    GPT,
    MASK,
    CRATELMConfig,
    count_bits,
    decode,
    encode,
    mask_tokens,
    masked_lm_loss,
    random_windows,
    spaced_windows,
)
from quire.crate.masked_autoencoder import CRATEMAE, CRATEMAEConfig, masked_error, normalised_patches, num_removed, random_mask
from quire.crate.paper import paper
from quire.crate.sources import open_images, open_text
from quire.crate.stacks import CRATEDecoder, CRATEEncoder
from quire.crate.training import accuracy, bits_per_byte, classification_loss, train_on_images

SMALL_IMAGES = CRATEConfig(16, 2, 4, image_size=(8, 8), patch_size=4, channels=1, num_classes=3)
SMALL_MAE = CRATEMAEConfig(16, 1, 2, image_size=(8, 8), patch_size=2, channels=3, mask_ratio=0.5)
SMALL_LM = CRATELMConfig(16, 2, 2, max_length=12, vocab_size=257)


def normal(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


# --- Masked autoencoder ---


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**31 - 1), ratio=st.sampled_from([0.25, 0.5, 0.75, 0.9]))
def test_masks_remove_exactly_their_share(seed, ratio):
    removed = num_removed(16, ratio)
    assert removed == 16 - int(16 * (1 - ratio))
    mask = random_mask(jax.random.key(seed), 5, 16, removed)
    assert mask.sum(1).tolist() == [removed] * 5


def test_autoencoder_sees_visible_patches_only_and_is_judged_on_removed_ones():
    model = CRATEMAE(SMALL_MAE, rngs=nnx.Rngs(0))
    images, key = normal(0, 2, 8, 8, 3), jax.random.key(1)
    loss, prediction, mask = model(images, key)
    assert prediction.shape == (2, 16, 12) and mask.sum() == 16
    hidden = jnp.where(mask[..., None], patchify(images, 2) + 5, patchify(images, 2))
    other_loss, other_prediction, _ = model(unpatchify(hidden, (8, 8), 2), key)
    np.testing.assert_array_equal(prediction, other_prediction)
    assert not np.isclose(loss, other_loss)
    error = (np.asarray(prediction) - np.asarray(patchify(images, 2))) ** 2
    assert_close(loss, error[np.asarray(mask)].mean(), 1e-5)
    assert_close(masked_error(prediction, patchify(images, 2).at[0, int(jnp.argmin(mask[0]))].set(99.0), mask), loss, 1e-6)
    assert_close(jax.jit(lambda n: model(images, key, n)[0])(8), loss, 1e-5)
    assert model(images, key, 12)[2].sum() == 24
    assert model.images(prediction).shape == images.shape


def test_autoencoder_forward_is_the_described_one():
    model = CRATEMAE(SMALL_MAE, rngs=nnx.Rngs(0))
    images, mask = normal(0, 1, 8, 8, 3), random_mask(jax.random.key(1), 1, 16, 8)
    tokens = np.array(model.embed(patchify(images, 2)))[0]
    tokens[np.asarray(mask)[0]] = np.asarray(model.mask_token[...])
    tokens = np.concatenate([np.asarray(model.cls[...]), tokens]) + sincos_positions_2d(4, 4, 16, cls=True)
    codes = np.asarray(model.encoder(jnp.asarray(tokens, jnp.float32)), float)
    assert_close(model.encode(images, mask)[0], brute_force.layer_norm(codes, 1e-6), 1e-5)
    decoded = np.asarray(model.decoder(model.encode(images, mask)), float)
    pixels = brute_force.layer_norm(decoded, 1e-6) @ np.asarray(model.to_pixels.kernel[...], float)
    assert_close(model.decode(model.encode(images, mask)), pixels[:, 1:], 1e-4)
    assert abs(float(model.mask_token[...].std()) - 0.02) < 0.01
    bound = (6 / (12 + 16)) ** 0.5
    assert 0.9 * bound < float(jnp.abs(model.embed.kernel[...]).max()) <= bound


def test_normalised_targets():
    patches = np.asarray(normal(0, 2, 3, 12), float)
    expected = (patches - patches.mean(-1, keepdims=True)) / np.sqrt(patches.var(-1, ddof=1, keepdims=True) + 1e-6)
    assert_close(normalised_patches(jnp.asarray(patches, jnp.float32)), expected, 1e-5)
    model, images = CRATEMAE(replace(SMALL_MAE, normalise_targets=True), rngs=nnx.Rngs(0)), normal(0, 2, 8, 8, 3)
    loss, prediction, mask = model(images, jax.random.key(1))
    assert_close(masked_error(prediction, normalised_patches(patchify(images, 2)), mask), loss, 1e-6)
    with pytest.raises(ValueError, match="numbers of a patch is 1"):
        normalised_patches(jnp.ones((2, 3, 1)))


def test_patches_round_trip():
    images = normal(0, 2, 6, 9, 3)
    np.testing.assert_array_equal(unpatchify(patchify(images, 3), (6, 9), 3), images)
    np.testing.assert_array_equal(patchify(images, 3)[0, 1], images[0, :3, 3:6].reshape(-1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mask_ratio": 0.0}, "mask_ratio is 0.0"),
        ({"mask_ratio": 0.99}, "mask_ratio is 0.99"),
        ({"patch_size": 3}, "patch_size is 3"),
        ({"num_heads": 5}, "dim is 16 and num_heads 5"),
        ({"dim": 18}, "dim is 18; two-dimensional sine-cosine positions need a multiple of 4"),
        ({"depth": -1}, "depth is -1"),
        ({"channels": 0}, "channels is 0"),
        ({"mask_ratio": float("nan")}, "mask_ratio is nan"),
    ],
)
def test_autoencoder_errors(change, message):
    with pytest.raises(ValueError, match=message):
        CRATEMAE(replace(SMALL_MAE, **change), rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="images are \\(4, 4, 3\\); this model reads \\(8, 8, 3\\)"):
        CRATEMAE(SMALL_MAE, rngs=nnx.Rngs(0))(normal(0, 2, 4, 4, 3), jax.random.key(0))


# --- Language model ---


def test_causal_model_does_not_see_the_future():
    tokens = jax.random.randint(jax.random.key(0), (2, 12), 0, 256)
    later = tokens.at[:, 6:].set((tokens[:, 6:] + 7) % 256)
    model = CRATELM(SMALL_LM, rngs=nnx.Rngs(0))
    np.testing.assert_array_equal(model(tokens)[:, :6], model(later)[:, :6])
    assert not np.array_equal(model(tokens)[:, 6:], model(later)[:, 6:])
    both = CRATELM(SMALL_LM, causal=False, rngs=nnx.Rngs(0))
    assert not np.array_equal(both(tokens)[:, :6], both(later)[:, :6])
    assert GPT(SMALL_LM, rngs=nnx.Rngs(0))(tokens).shape == (2, 12, 257)
    with pytest.raises(ValueError, match="tokens have length 13; this model reads at most 12"):
        model(jnp.zeros((1, 13), jnp.int32))


def test_masked_language_modelling(as_installed):
    tokens = jax.random.randint(jax.random.key(0), (400, 100), 0, 256)
    corrupted, chosen = mask_tokens(jax.random.key(1), tokens)
    assert abs(float(chosen.mean()) - 0.15) < 0.01
    np.testing.assert_array_equal(corrupted[~chosen], tokens[~chosen])
    assert abs(float(jnp.mean(corrupted[chosen] == MASK)) - 0.8) < 0.02
    assert abs(float(jnp.mean(corrupted[chosen] == tokens[chosen])) - 0.1) < 0.02
    logits = normal(2, 2, 3, 5)
    targets, chosen = jnp.array([[0, 1, 2], [3, 4, 0]]), jnp.array([[True, False, True], [False, False, True]])
    probabilities = np.asarray(jax.nn.softmax(logits))
    expected = -np.mean([np.log(probabilities[i, j, targets[i, j]]) for i, j in np.argwhere(np.asarray(chosen))])
    assert_close(masked_lm_loss(logits, targets, chosen), expected, 1e-5)
    assert float(masked_lm_loss(logits, targets, jnp.zeros_like(chosen))) == 0
    with jax.debug_nans(False):  # a traced id that is no token gives no number that could pass for a loss
        assert all(bool(jnp.isnan(jax.jit(masked_lm_loss)(logits, targets.at[0, 0].set(bad), chosen))) for bad in (-1, 5))
    text = encode("bytes hold no id above 255")
    corrupted, everywhere = mask_tokens(jax.random.key(3), text, rate=1.0)
    assert corrupted.dtype == jnp.int32 and int(corrupted.max()) == MASK and bool(everywhere.all())
    for message, call in (
        ("rate is 0", lambda: mask_tokens(jax.random.key(0), tokens, rate=0.0)),
        ("mask_id is -1", lambda: mask_tokens(jax.random.key(0), tokens, mask_id=-1)),
        ("tokens runs from -1", lambda: mask_tokens(jax.random.key(0), tokens - 1 - tokens.min())),
        ("tokens runs from 0 to 4; it must lie between 0 and 3", lambda: masked_lm_loss(logits[..., :4], targets, chosen)),
        ("vocab_size is 0", lambda: mask_tokens(jax.random.key(0), tokens, vocab_size=0)),
        ("each token needs its logits", lambda: masked_lm_loss(logits, targets[:1], chosen)),
        ("chosen \\(2, 3\\) int32", lambda: masked_lm_loss(logits, targets, chosen.astype(jnp.int32))),
        ("tokens runs from 256", lambda: CRATELM(replace(SMALL_LM, vocab_size=256), rngs=nnx.Rngs(0))(np.full((1, 3), MASK))),
    ):
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.parametrize("make", [CRATELM, GPT])
def test_bidirectional_models_read_the_mask_and_do_not_predict_it(make):
    cfg = replace(SMALL_LM, depth=1, vocab_size=9)
    model = make(cfg, causal=False, rngs=nnx.Rngs(0))
    corrupted, _ = mask_tokens(jax.random.key(0), np.arange(12) % 9, rate=1.0, vocab_size=9)
    assert int(corrupted.max()) == 9
    logits = jax.jit(model)(corrupted)
    assert logits.shape == (12, 9) and bool(jnp.isfinite(logits).all())
    for bad in (10, -1):
        with pytest.raises(ValueError, match=f"tokens runs from .*{bad}"):
            model(jnp.array([0, bad]))
    with pytest.raises(ValueError, match="tokens runs from 9 to 9"):
        make(cfg, rngs=nnx.Rngs(0))(jnp.array([9]))


def test_bidirectional_model_learns_from_masks():
    cfg = replace(SMALL_LM, dim=16, depth=1, vocab_size=256)
    model = CRATELM(cfg, causal=False, rngs=nnx.Rngs(0))
    tokens = jnp.tile(jnp.array([5, 9, 5, 9]), (8, 3))

    def loss(model, key):
        corrupted, chosen = mask_tokens(key, tokens)
        return masked_lm_loss(model(corrupted), tokens, chosen)

    graph, state = nnx.split(model)

    @jax.jit
    def descend(state, key):
        value, grads = jax.value_and_grad(lambda s: loss(nnx.merge(graph, s), key))(state)
        return jax.tree.map(lambda p, g: p - 0.5 * g, state, grads), value

    values = []
    for step in range(40):
        state, value = descend(state, jax.random.key(step))
        values.append(float(value))
    assert np.mean(values[-5:]) < 0.3 * np.mean(values[:5])


def test_bytes_and_windows(as_installed):
    text = "Größe 7\n"
    assert decode(encode(text)) == text
    windows = spaced_windows(100, 9, 4)
    assert windows[0, 0] == 0 and windows[-1, -1] == 99 and (np.diff(windows, axis=1) == 1).all()
    random = random_windows(jax.random.key(0), 20, 20, (3, 2))
    np.testing.assert_array_equal(random, np.broadcast_to(np.arange(20), (3, 2, 20)))
    train = np.array([1, 2, 1, 2, 1], np.uint8)
    test = np.array([[1, 2, 1]], np.uint8)
    assert_close(count_bits(train, test, 1), -np.mean(np.log2([3 / 261, 4 / 261])), 1e-9)
    assert_close(count_bits(train, test, 2), -np.mean(np.log2([3 / 258, 3 / 258])), 1e-9)
    for call, message in (
        (lambda: spaced_windows(5, 9, 1), "count is 1 and size 9; a text of 5"),
        (lambda: random_windows(jax.random.key(0), 5, 9, (1,)), "size is 9; a text of 5"),
        (lambda: count_bits(train, test, 3), "order is 3"),
        (lambda: count_bits(train, test[:, :1], 1), "need a byte to predict"),
        (lambda: count_bits(train - 300.0, test, 1), "train has dtype float"),
        (lambda: count_bits(train, test.astype(int) - 2, 1), "windows runs from -1 to 0"),
        (lambda: spaced_windows(5, 0, 1), "size is 0"),
        (lambda: random_windows(jax.random.key(0), 5, 0, (1,)), "size is 0"),
        (lambda: decode(np.array([300])), "tokens runs from 300"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


# --- Converter ---


def state_dict_of(module):
    """The authors' state dictionary of one of our modules."""
    leaves = dict(nnx.to_flat_state(nnx.state(module, nnx.Param)))
    values = {name: (path, np.asarray(leaves[path].get_value())) for path, name in torch_names(module).items()}
    return {name: x.T if path[-1] == "kernel" else x for name, (path, x) in values.items()}


def test_converter_round_trips(tmp_path):
    x = normal(0, 2, 5, 12)
    encoder, decoder = CRATEEncoder(12, 3, 2, rngs=nnx.Rngs(0)), CRATEDecoder(12, 2, 3, rngs=nnx.Rngs(1))
    assert_close(load_encoder(state_dict_of(encoder), 2)(x), encoder(x), 1e-6)
    assert_close(load_decoder(state_dict_of(decoder), 3)(x), decoder(x), 1e-6)
    wide = MSSA(12, 2, 5, rngs=nnx.Rngs(2))
    assert_close(load_mssa(state_dict_of(wide), 2)(x), wide(x), 1e-6)
    single = MSSA(12, 1, rngs=nnx.Rngs(2))
    assert_close(load_mssa(state_dict_of(single), 1)(x), single(x), 1e-6)
    ista = ISTA(12, rngs=nnx.Rngs(2))
    assert_close(load_ista(state_dict_of(ista))(x), ista(x), 1e-6)
    model = CRATE(SMALL_IMAGES, rngs=nnx.Rngs(0))
    state = state_dict_of(model)
    state = {n: v[None] if n in ("pos_embedding", "cls_token") else v for n, v in state.items()}
    np.savez(tmp_path / "crate.npz", **{f"module.{name}": value for name, value in state.items()})
    stored = read_state_dict(tmp_path / "crate.npz")
    assert classifier_config(stored, 4, channels=1) == replace(SMALL_IMAGES, head_dim=4)
    loaded = load_classifier(stored, 4, channels=1)
    assert_close(loaded(normal(1, 2, 8, 8, 1)), model(normal(1, 2, 8, 8, 1)), 1e-6)


def test_autoencoder_checkpoint():
    model = CRATEMAE(SMALL_MAE, rngs=nnx.Rngs(0))
    state = state_dict_of(model)
    kernel = state["patch_embed.proj.weight"].reshape(16, 2, 2, 3)
    state["patch_embed.proj.weight"] = np.moveaxis(kernel, 3, 1)  # the authors keep a convolution [d, c, p, q]
    state |= {"pos_embed": np.zeros((1, 17, 16)), "decoder_pos_embed": np.zeros((1, 17, 16)), "decoder_embed.weight": np.eye(16)}
    loaded = load_masked_autoencoder(state, 2, mask_ratio=0.5)
    images, key = normal(1, 2, 8, 8, 3), jax.random.key(0)
    assert_close(loaded(images, key)[:2], model(images, key)[:2], 1e-6)


def test_converter_errors():
    state = state_dict_of(CRATEEncoder(12, 2, 2, rngs=nnx.Rngs(0)))
    broken = dict(state)
    del broken["layers.1.1.fn.weight"]
    broken["layers.0.1.fn.bias"] = np.zeros(12)
    broken["layers.0.0.fn.to_out.0.weight"] = np.zeros((12, 13))
    message = (
        r"missing: layers\.1\.1\.fn\.weight; unexpected: layers\.0\.1\.fn\.bias; "
        r"mis-shaped: layers\.0\.0\.fn\.to_out\.0\.weight is \(12, 13\), not \(12, 12\)"
    )
    with pytest.raises(ValueError, match=message):
        load_encoder(broken, 2)
    with pytest.raises(ValueError, match="num_heads is 5; it must divide the 12 rows"):
        load_encoder(state, 5)
    with pytest.raises(ValueError, match=r"missing: layers\.0\.0\.fn\.qkv\.weight"):
        load_encoder({}, 2)
    with pytest.raises(ValueError, match=r"qkv\.weight has shape \(12,\), it needs 2 axes"):
        load_mssa({"qkv.weight": np.zeros(12)}, 2)
    classifier = state_dict_of(CRATE(SMALL_IMAGES, rngs=nnx.Rngs(0)))
    with pytest.raises(ValueError, match="that is no square"):
        load_classifier(classifier, 4, channels=3)
    with pytest.raises(TypeError, match="module is a Embed"):
        torch_names(nnx.Embed(3, 4, rngs=nnx.Rngs(0)))


# --- Data, presets, claims ---


@pytest.fixture
def no_data(monkeypatch, tmp_path):
    monkeypatch.delenv("QUIRE_DATA", raising=False)
    monkeypatch.setenv("QUIRE_OFFLINE", "1")
    monkeypatch.setattr("quire.common.data.registry.cache_dir", lambda: tmp_path / "cache")


def test_missing_data_leaves_claims_untested(no_data, capsys):
    record = run(paper, "paper", ["C5", "C6", "C7", "C8"], seeds=1)
    assert record.untested == ["C5", "C6", "C7", "C8"]
    Scorecard(record).check()
    assert "not tested: C5, C6, C7, C8" in capsys.readouterr().out
    with pytest.raises(DatasetUnavailable, match="wikitext-2"):
        open_text("wikitext-2")
    with pytest.raises(ValueError, match="corpus is 'bible'"):
        open_text("bible")
    with pytest.raises(ValueError, match="name is 'mnist'"):
        open_images("mnist", (8, 8))


def test_streamed_images_train_the_same_way(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for label, name in enumerate(("n01", "n02")):
            folder = tmp_path / "imagenet-1k" / split / name
            folder.mkdir(parents=True)
            for i in range(4):
                picture = rng.integers(0, 80, (12, 14, 3)) + 160 * label
                Image.fromarray(picture.astype(np.uint8)).save(folder / f"{i}.JPEG")
    monkeypatch.setenv("QUIRE_DATA", str(tmp_path))
    source = open_images("imagenet-1k", (8, 8), statistics_images=8)
    data = source.value
    assert source.stand_in_for == ""
    assert data.mean_image.shape == (8, 8, 3)
    cfg = replace(SMALL_IMAGES, channels=3, num_classes=2, depth=1)
    training = Training(steps=3, batch_size=4, learning_rate=1e-3, optimiser="lion", b2=0.99)
    keys = jnp.stack([jax.random.key(0), jax.random.key(1)])
    graph, state, losses = train_on_images(lambda r: CRATE(cfg, rngs=r), classification_loss(0.1, 2), training, data, keys)
    assert losses.shape == (2, 3)
    assert accuracy(graph, state, data).shape == (2,)


def test_bits_per_byte_of_a_uniform_model():
    cfg = replace(SMALL_LM, vocab_size=256, depth=1)
    model = CRATELM(cfg, rngs=nnx.Rngs(0))
    model.head.kernel.set_value(jnp.zeros_like(model.head.kernel[...]))
    graph, state = nnx.split(model)
    seeds = jax.tree.map(lambda x: x[None], state)
    windows = np.arange(30, dtype=np.uint8).reshape(3, 10)
    assert_close(bits_per_byte(graph, seeds, windows, batch_size=2), np.array([8.0]), 1e-5)


def test_presets_name_what_the_paper_used():
    training = PRESETS["paper"].classifier_training
    assert (training.optimiser, training.learning_rate, training.batch_size) == ("lion", 2e-4, 512)
    assert (training.weight_decay, training.label_smoothing) == (0.05, 0.1)
    assert training.steps == round(200 * 1_281_167 / 512)
    assert PRESETS["paper"].classifier == TINY


def test_shared_training_serves_its_seeds_after_a_run():
    calls = []

    @shared
    def train(preset, keys):
        calls.append(len(keys))
        return jax.vmap(lambda key: jax.random.uniform(key))(keys)

    first = train("quick", jax.random.key(0))
    assert train("quick", jax.random.key(0)) == first and calls == [1]
    train("standard", jax.random.key(0))
    assert calls == [1, 1]


def test_benchmark_cases():
    timed = cases(8, jax.random.key(0))
    assert list(timed) == ["CRATE layer", "CRATE layer, three-product ISTA", "ViT layer"]
    first, second = (case.function(*case.args) for case in list(timed.values())[:2])
    assert_close(first, second, 1e-5)
    flops = [measure(case, repeats=1).flops for case in timed.values()]
    assert flops[0] < flops[1] < flops[2]
