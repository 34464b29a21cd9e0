"""The encoder against one written out in NumPy, its early exits, and published names."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from quire.common.checkpoints import load
from quire.common.layers.bert import BertConfig, BertEncoder, BertLayer, MLMHead, layer_names, load_bert, load_mlm_head
from quire.common.metrics.cost import count_params

CONFIG = BertConfig(vocab_size=11, dim=8, depth=3, num_heads=2, mlp_dim=12, max_length=6)
RNG = np.random.default_rng(0)
TOKENS = RNG.integers(0, 11, (2, 5)).astype(np.int32)
MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], bool)


def published(config=CONFIG):
    """Random weights under the names of the published files, linear maps `[out, in]`."""
    d, h = config.dim, config.mlp_dim
    shapes = {
        "embeddings.word_embeddings.weight": (config.vocab_size, d),
        "embeddings.position_embeddings.weight": (config.max_length, d),
        "embeddings.token_type_embeddings.weight": (2, d),
        "embeddings.LayerNorm": None,
    }
    for i in range(config.depth):
        p = f"encoder.layer.{i}."
        shapes |= {p + f"attention.self.{part}": (d, d) for part in ("query", "key", "value")}
        shapes |= {p + "attention.output.dense": (d, d), p + "intermediate.dense": (h, d), p + "output.dense": (d, h)}
        shapes |= {p + "attention.output.LayerNorm": None, p + "output.LayerNorm": None}
    state = {}
    for name, shape in shapes.items():
        if name.endswith(".weight"):
            state[name] = RNG.normal(size=shape)
        else:
            state[name + ".weight"] = RNG.normal(size=shape) if shape else 1 + 0.1 * RNG.normal(size=d)
            state[name + ".bias"] = RNG.normal(size=shape[0] if shape else d)
    return state


STATE = published()


def norm(x, name):
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12)
    return scaled * STATE[f"{name}.LayerNorm.weight"] + STATE[f"{name}.LayerNorm.bias"]


def dense(x, name):
    return x @ STATE[f"{name}.weight"].T + STATE[f"{name}.bias"]


def encode(tokens, mask, types):
    """One sentence, one head and one query at a time."""
    tables = [STATE[f"embeddings.{kind}_embeddings.weight"] for kind in ("word", "position", "token_type")]
    x = norm(tables[0][tokens] + tables[1][: len(tokens)] + tables[2][types], "embeddings")
    states = [x]
    for i in range(CONFIG.depth):
        p = f"encoder.layer.{i}."
        q, k, v = (dense(x, f"{p}attention.self.{part}") for part in ("query", "key", "value"))
        attended = np.zeros_like(x)
        for head in (slice(0, 4), slice(4, 8)):
            for t in range(len(x)):
                weights = np.exp(k[mask][:, head] @ q[t, head] / 2)
                attended[t, head] = weights @ v[mask][:, head] / weights.sum()
        x = norm(x + dense(attended, p + "attention.output.dense"), p + "attention.output")
        up = dense(x, p + "intermediate.dense")
        gelu = up * 0.5 * (1 + np.vectorize(math.erf)(up / 2**0.5))
        x = norm(x + dense(gelu, p + "output.dense"), p + "output")
        states.append(x)
    return np.array(states)


def loaded(state=STATE, config=CONFIG):
    return load_bert(nnx.eval_shape(lambda: BertEncoder(config, rngs=nnx.Rngs(0))), state)


def test_every_layer_is_the_definition():
    types = RNG.integers(0, 2, TOKENS.shape).astype(np.int32)
    expected = [encode(*row) for row in zip(TOKENS, MASK, types, strict=True)]
    with jax.enable_x64():
        model = nnx.eval_shape(lambda: BertEncoder(CONFIG, rngs=nnx.Rngs(0)))
        wide = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, jnp.float64), nnx.state(model))
        nnx.update(model, wide)
        found = load_bert(model, STATE).hidden_states(jnp.asarray(TOKENS), jnp.asarray(MASK), jnp.asarray(types))
    np.testing.assert_allclose(found, np.stack(expected, axis=1), rtol=1e-9, atol=1e-12)


def test_early_exits_and_cut_models():
    model, tokens, mask = loaded(), jnp.asarray(TOKENS), jnp.asarray(MASK)
    states = model.hidden_states(tokens, mask)
    for n in range(4):
        np.testing.assert_allclose(model(tokens, mask, num_layers=n), states[n], rtol=1e-5, atol=1e-6)
    assert model.hidden_states(tokens, num_layers=2).shape == (3, 2, 5, 8)
    cut = model.truncated(2)
    np.testing.assert_allclose(cut(tokens, mask), states[2], rtol=1e-5, atol=1e-6)
    layer = count_params(BertLayer(CONFIG, rngs=nnx.Rngs(0)))
    assert count_params(model) - count_params(cut) == layer
    steps = [
        eqn.params["length"] for eqn in jax.make_jaxpr(lambda t: model(t, num_layers=1))(tokens).eqns if "length" in eqn.params
    ]
    assert steps == [1]  # what is behind the exit is not computed


def test_padding_is_not_seen_and_a_blind_query_sees_all_alike():
    model, changed = loaded(), np.where(MASK, TOKENS, 0)
    before, after = (model(jnp.asarray(t), jnp.asarray(MASK)) for t in (TOKENS, changed))
    np.testing.assert_allclose(np.asarray(after)[MASK], np.asarray(before)[MASK], rtol=1e-4, atol=1e-5)
    layer, x = BertLayer(CONFIG, rngs=nnx.Rngs(0)), jnp.asarray(RNG.normal(size=(1, 4, 8)), jnp.float32)
    blind = layer(x, x, jnp.zeros((1, 4, 4), bool))
    layer.query.kernel[...] = jnp.zeros((8, 8))  # equal scores
    np.testing.assert_allclose(blind, layer(x, x), rtol=1e-5, atol=1e-6)


def test_embeddings_of_vectors():
    model, tokens = loaded(), jnp.asarray(TOKENS)
    words = model.embeddings.words[...][tokens]
    np.testing.assert_array_equal(model.embeddings.of_vectors(words), model.embeddings(tokens))


def test_head_is_tied_to_the_words():
    model, head = loaded(), MLMHead(CONFIG, rngs=nnx.Rngs(0))
    names = {"transform.dense.weight": (8, 8), "transform.dense.bias": (8,), "transform.LayerNorm.gamma": (8,)}
    names |= {"transform.LayerNorm.beta": (8,), "bias": (11,), "decoder.weight": (11, 8)}
    state = {f"cls.predictions.{name}": RNG.normal(size=shape) for name, shape in names.items()}
    load_mlm_head(head, state | {"cls.seq_relationship.weight": np.ones((2, 8))})
    hidden, words = RNG.normal(size=(2, 8)).astype(np.float32), model.embeddings.words[...]
    p = {name.removeprefix("cls.predictions."): value for name, value in state.items()}
    x = hidden @ p["transform.dense.weight"].T + p["transform.dense.bias"]
    x = x * 0.5 * (1 + np.vectorize(math.erf)(x / 2**0.5))
    x = (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True)
    x = x * p["transform.LayerNorm.gamma"] + p["transform.LayerNorm.beta"]
    np.testing.assert_allclose(head(jnp.asarray(hidden), words), x @ np.asarray(words).T + p["bias"], rtol=1e-3, atol=1e-4)


def test_published_names_are_strict():
    extra = {"pooler.dense.weight": np.ones((8, 8)), "embeddings.position_ids": np.arange(6)}
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): x
        for name, x in STATE.items()
    }
    prefixed = {f"bert.{name}": x for name, x in (old | extra).items()}
    model = load_bert(nnx.eval_shape(lambda: BertEncoder(CONFIG, rngs=nnx.Rngs(0))), prefixed | {"cls.bias": np.ones(1)}, "bert.")
    np.testing.assert_allclose(model(jnp.asarray(TOKENS)), loaded()(jnp.asarray(TOKENS)), rtol=1e-5)
    for change, message in (
        ({"encoder.layer.3.output.dense.bias": np.ones(8)}, "unexpected: encoder.layer.3.output.dense.bias"),
        ({"encoder.layer.1.output.dense.bias": np.ones(7)}, "encoder.layer.1.output.dense.bias"),
    ):
        with pytest.raises(ValueError, match=message):
            loaded(STATE | change)
    with pytest.raises(ValueError, match=r"missing: encoder\.layer\.0\.attention\.self\.query\.weight"):
        loaded({name: x for name, x in STATE.items() if name != "encoder.layer.0.attention.self.query.weight"})
    layer = BertLayer(CONFIG, rngs=nnx.Rngs(1))
    load(layer, {n.removeprefix("encoder.layer.1."): x for n, x in STATE.items() if ".layer.1." in n}, layer_names(""))
    x = jnp.asarray(RNG.normal(size=(1, 3, 8)), jnp.float32)
    graph, stack = nnx.split(loaded().layers)
    np.testing.assert_allclose(layer(x, x), nnx.merge(graph, jax.tree.map(lambda p: p[1], stack))(x, x), rtol=1e-5)


def test_wrong_arguments(as_installed):
    model = loaded()
    for call, message in (
        (lambda: BertEncoder(BertConfig(dim=8, num_heads=3), rngs=nnx.Rngs(0)), "num_heads 3"),
        (lambda: BertEncoder(BertConfig(depth=0), rngs=nnx.Rngs(0)), "depth is 0"),
        (lambda: model(jnp.zeros((1, 7), int)), "length 7"),
        (lambda: model(jnp.full((1, 2), 11)), "tokens runs from 11"),
        (lambda: model(jnp.zeros((1, 2), int), types=jnp.full((1, 2), 2)), "types runs from 2"),
        (lambda: model(jnp.zeros((1, 2), int), num_layers=4), "num_layers is 4"),
        (lambda: model.truncated(0), "num_layers is 0"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    with jax.debug_nans(False):
        traced = np.asarray(jax.jit(lambda t: model(t))(jnp.array([[0, -1]])))
    assert np.isnan(traced[0, 1]).all()
