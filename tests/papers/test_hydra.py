"""Hydra: golden vectors, gates, pairs, losses, sub-spaces, relations, converters, presets."""

import math
from dataclasses import replace
from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from quire.common.data.images import ImageSplit
from quire.common.errors import DatasetUnavailable
from quire.common.layers.resnet import torch_names as resnet_names
from quire.common.losses.contrastive import nt_xent
from quire.common.metrics.spectrum import effective_rank, log_singular_values
from quire.common.testing import (
    assert_degenerate,
    assert_dtypes,
    assert_gradients,
    assert_jit_consistent,
    assert_matches_float64,
    assert_vmap_consistent,
)
from quire.hydra import (
    METHODS,
    PRESETS,
    Method,
    Network,
    Objective,
    OpenGate,
    PairGate,
    Projector,
    Views,
    agreement,
    all_pair_gates,
    build_model,
    class_means,
    class_relations,
    gate_activation,
    gate_entropy,
    gated_cosine,
    gumbel_gate,
    learn_gate,
    load_gate,
    load_model,
    nearest_classes,
    open_probability,
    pair_indices,
    pair_loss,
    pair_masks,
    pair_openness,
    planted_mixture,
    random_views,
    sample_pairs,
    separation,
    stochastic_gate,
)
from quire.hydra.brute_force import gated_cosine_written_out, supervised_contrast
from quire.hydra.convert import torch_names
from quire.hydra.discovery import drawn_pairs, samples
from quire.hydra.evaluation import Encoded
from quire.hydra.loss import contrast
from quire.hydra.minibatches import Batch, plan, streamed, switches
from quire.hydra.sources import Images, open_images
from quire.hydra.subspaces import auc
from quire.hydra.training import standardised, sweep_loss

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def vectors(golden):
    return golden("hydra")


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def uniform(*shape, seed=1):
    return np.random.default_rng(seed).uniform(size=shape)


def small_gate(classes=5, dim=3, **form):
    return PairGate(classes, dim, embed_dim=4, hidden=6, **form, rngs=nnx.Rngs(0))


# --- Golden vectors ---

PRECISIONS = pytest.mark.parametrize(("x64", "rtol", "atol"), [(True, 1e-9, 1e-12), (False, 1e-4, 1e-5)], ids=["f64", "f32"])


def golden_gate(vectors, dtype, **form):
    """The gate with the stored weights, under the authors' names."""
    state = {"label_embedding.weight": vectors["gate_label_embedding_weight"]}
    for name in vectors.arrays:
        if name.startswith("gate_mlp_"):
            layer, entry = name.removeprefix("gate_mlp_").split("_", 1)
            state[f"mlp.{layer}.{entry}"] = vectors[name]
    return load_gate(state, dtype=dtype, **form)


@PRECISIONS
def test_golden_gates(vectors, x64, rtol, atol):
    with jax.enable_x64(x64):
        dtype = jnp.float64 if x64 else jnp.float32
        y1, y2 = vectors["y1"], vectors["y2"]
        np.testing.assert_array_equal(y1[vectors["perm"]], y2)
        graph, state = nnx.split(golden_gate(vectors, dtype))
        other, _ = nnx.split(golden_gate(vectors, dtype, mode="product"))

        @jax.jit
        def gates(state):
            fused, product, training = (nnx.merge(g, state, copy=True) for g in (graph, other, graph))
            single = fused(np.arange(fused.num_classes), train=False)
            return {
                "gate_eval_fuse": fused(y1, y2, train=False),
                "gate_eval_product": product(y1, y2, train=False),
                "gate_eval_single": fused(y1, train=False),
                "gate_train_fuse": training(y1, y2, train=True),
                "activation_mean": gate_activation(single),
                "gate_entropy_mean": gate_entropy(single),
                "gate_all_pairs": all_pair_gates(fused, block=4),
            }

        i, j = pair_indices(len(vectors["gate_label_embedding_weight"]))
        found = gates(state) | {"all_pairs_i": i, "all_pairs_j": j}
        for name, value in found.items():
            np.testing.assert_allclose(value, vectors[name], rtol=rtol, atol=atol, err_msg=name)


@PRECISIONS
def test_golden_losses(vectors, x64, rtol, atol):
    with jax.enable_x64(x64):
        dtype = jnp.float64 if x64 else jnp.float32
        y1, y2, temperature = vectors["y1"], vectors["y2"], float(vectors["temperature"])
        z, view2 = (jnp.asarray(vectors[name], dtype) for name in ("z", "view2"))
        graph, params, rest = nnx.split(golden_gate(vectors, dtype), nnx.Param, ...)

        def loss(z, params):
            gate = nnx.merge(graph, params, rest, copy=True)(y1, y2, train=True)
            return pair_loss(z, gate, y1, y2, temperature=temperature), gate

        @jax.jit
        def losses(z, view2, params):
            (value, gate), (by_z, by_gate) = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)(z, params)
            ones = OpenGate(z.shape[1])(y1)
            squared = {"keys": view2, "y_keys": y1, "mode": "squared"}
            return {
                "cosine": gated_cosine(z, z, gate),
                "loss_arbitrary": value,
                "loss_arbitrary_rowmean": pair_loss(z, gate, y1, y2, temperature=temperature, reduction="rows"),
                "grad_z": by_z,
                "grad_label_embedding": by_gate["label_embedding"][...],
                "loss_identical_open": pair_loss(z, ones, y1, y1, temperature=temperature),
                "loss_gate_squared_variant": pair_loss(z, gate, y1, y2, temperature=temperature, **squared),
                "erank_z": effective_rank(z),
                "logsv_z": log_singular_values(z),
            }

        positive, negative = pair_masks(y1, y2, y1)
        np.testing.assert_array_equal(positive, vectors["pos_mask"])
        np.testing.assert_array_equal(negative, vectors["neg_mask"])
        found = losses(z, view2, params)
        for name, value in found.items():
            np.testing.assert_allclose(value, vectors[name], rtol=rtol, atol=atol, err_msg=name)


# --- Gates ---


def test_gates_of_a_pair_are_symmetric_and_reduce_to_single_ones():
    y1, y2 = np.array([0, 1, 4]), np.array([3, 1, 2])
    for mode in ("fused", "product"):
        gate = small_gate(mode=mode)
        np.testing.assert_allclose(gate(y1, y2, train=False), gate(y2, y1, train=False), rtol=1e-6)
        found = gate(y1, y2, train=False)
        assert found.shape == (3, 3) and found.min() > 0 and found.max() < 1
    fused, product = small_gate(), small_gate(mode="product")
    single = fused(y1, train=False)
    np.testing.assert_allclose(fused(y1, y1, train=False), single, rtol=1e-6)
    np.testing.assert_allclose(product(y1, y2, train=False), single * product(y2, train=False), rtol=1e-6)


def test_training_uses_the_statistics_of_the_batch_and_evaluation_the_running_ones():
    gate, y = small_gate(), np.array([0, 1, 2])
    before = np.array(gate.input_norm.mean[...])
    with_three, with_two = gate(y, train=True), gate(y[:2], train=True)
    assert np.abs(np.asarray(with_three)[:2] - np.asarray(with_two)).max() > 1e-3
    assert np.abs(gate.input_norm.mean[...] - before).max() > 1e-3
    np.testing.assert_array_equal(gate(y, train=False)[:2], gate(y[:2], train=False))
    gate.eval()
    np.testing.assert_array_equal(gate(y), gate(y, train=False))


def test_all_pairs_in_blocks():
    gate = small_gate()
    i, j = pair_indices(5)
    assert len(i) == 15 and (i <= j).all()
    expected = gate(i, j, train=False)
    for block in (4, 15, 100):
        np.testing.assert_allclose(all_pair_gates(gate, block=block), expected, rtol=1e-5)
    openness = pair_openness(expected, 5)
    np.testing.assert_array_equal(openness, openness.T)
    np.testing.assert_allclose(openness[1, 3], gate(np.array([1]), np.array([3]), train=False).mean(), rtol=1e-5)


def test_relaxations():
    logits = jnp.asarray(normal(2000), jnp.float32)
    for relaxed in (gumbel_gate, stochastic_gate):
        noisy = relaxed(logits, KEY)
        assert noisy.min() >= 0 and noisy.max() <= 1 and np.abs(noisy - relaxed(logits, None)).max() > 0.1
    np.testing.assert_allclose(gumbel_gate(logits, None, tau=2.0), jax.nn.sigmoid(logits / 2), rtol=1e-6)
    hard = gumbel_gate(logits, KEY, hard=True)
    assert set(np.unique(hard)) == {0.0, 1.0}
    np.testing.assert_allclose(hard, np.round(gumbel_gate(logits, KEY)), atol=1e-6)
    slope = jax.grad(lambda x: gumbel_gate(x, KEY, hard=True).sum())(logits)
    np.testing.assert_allclose(slope, jax.grad(lambda x: gumbel_gate(x, KEY).sum())(logits), rtol=1e-5)
    np.testing.assert_allclose(stochastic_gate(logits, None), np.clip(logits + 0.5, 0, 1), rtol=1e-6)
    same = jnp.full(4000, 0.3)
    np.testing.assert_allclose(np.mean(stochastic_gate(same, KEY) > 0), open_probability(same)[0], atol=0.02)
    np.testing.assert_allclose(open_probability(same)[0], 0.5 * (1 + math.erf(0.8 / 0.5 / 2**0.5)), rtol=1e-5)
    # the mean of Gumbel's distribution is Euler's constant, that of the logistic one 0
    shift = np.mean(jax.scipy.special.logit(gumbel_gate(same, KEY)) - 0.3)
    np.testing.assert_allclose(shift, np.euler_gamma, atol=0.1)


def test_noise_and_penalty_of_a_gate():
    y = np.array([0, 1, 2])
    for relaxation in ("gumbel", "straight-through", "stochastic"):
        gate = small_gate(relaxation=relaxation)
        noisy, penalty = gate.with_penalty(y, y, train=False, key=KEY)
        assert np.abs(noisy - gate(y, y, train=False)).max() > 0.01
        (mean,) = gate.logits(y, y, train=False)
        count = float(open_probability(mean).sum(1).mean()) if relaxation == "stochastic" else 0
        np.testing.assert_allclose(penalty, 1e-6 * count, rtol=1e-5)
    two = small_gate(mode="product", relaxation="stochastic")
    noisy = two(np.array([1]), np.array([1]), train=False, key=KEY)
    mean, _ = two.logits(np.array([1]), np.array([1]), train=False)
    one, other = (stochastic_gate(mean, key) for key in jax.random.split(KEY))
    np.testing.assert_allclose(noisy, one * other, rtol=1e-6)


def test_entropy_and_activation():
    g = uniform(4, 3)
    expected = -(g * np.log(g) + (1 - g) * np.log(1 - g)).mean()
    np.testing.assert_allclose(gate_entropy(jnp.asarray(g, jnp.float32)), expected, rtol=1e-5)
    np.testing.assert_allclose(gate_activation(g.astype(np.float32)), g.sum(1).mean(), rtol=1e-5)
    edges = jnp.array([[0.0, 1.0, 0.5]])
    np.testing.assert_allclose(gate_entropy(edges), np.log(2) / 3, rtol=1e-4)
    assert np.isfinite(jax.grad(gate_entropy)(edges)).all()
    assert_dtypes(gate_entropy, g.astype(np.float32), dtypes=("float16", "bfloat16"), tolerance=1e-4)


# --- Pairs ---


def test_pairings():
    y = np.array([0, 1, 1, 2, 3, 3, 3], np.int32)
    arbitrary = sample_pairs(KEY, y, 4)
    np.testing.assert_array_equal(np.sort(arbitrary), np.sort(y))
    assert (arbitrary != y).any()
    np.testing.assert_array_equal(sample_pairs(KEY, y, 4, "identical"), y)
    drawn = np.stack([sample_pairs(jax.random.key(i), y, 4, "distinct") for i in range(30)])
    assert (drawn != y).all() and set(drawn[:, 0].tolist()) == {1, 2, 3} and set(drawn[:, -1].tolist()) == {0, 1, 2}
    assert_jit_consistent(lambda y: sample_pairs(KEY, y, 4), jnp.asarray(y))


def test_masks():
    y1, y2, keys = np.array([0, 1, 2]), np.array([1, 1, 0]), np.array([0, 1, 2, 1, 3])
    positive, negative = pair_masks(y1, y2, keys)
    for i, j in np.ndindex(3, 5):
        assert positive[i, j] == (keys[j] == y2[i])
        assert negative[i, j] == (keys[j] not in (y1[i], y2[i]))


# --- Similarity and loss ---


def test_two_products_are_the_written_out_cosines():
    z, keys, gate = (x.astype(np.float32) for x in (normal(5, 6), normal(4, 6, seed=2), uniform(5, 6)))
    expected = gated_cosine_written_out(*map(jnp.asarray, (z, keys, gate)))
    np.testing.assert_allclose(gated_cosine(z, keys, gate), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(gated_cosine(3 * z, 1e-4 * keys, 0.1 * gate), expected, rtol=1e-5, atol=1e-6)
    for i, j in ((0, 1), (4, 2)):  # keys go behind the gate of the anchor
        a, b = gate[i] * z[i], gate[i] * keys[j]
        np.testing.assert_allclose(expected[i, j], a @ b / np.linalg.norm(a) / np.linalg.norm(b), rtol=1e-5)
        plain = z[i] / np.linalg.norm(z[i]), keys[j] / np.linalg.norm(keys[j])
        squared = gated_cosine(z, keys, gate, "squared")[i, j]
        np.testing.assert_allclose(squared, (gate[i] ** 2 * plain[0]) @ plain[1], rtol=1e-5)


def test_a_closed_gate():
    """Nothing left is similar to nothing; a gate that is nearly closed throughout is as good as an open one."""
    z = np.array([[1.0, 0.0], [1.0, 1.0]], np.float32)
    gate = np.array([[0.0, 1.0], [0.0, 0.0]], np.float32)
    np.testing.assert_array_equal(gated_cosine(z, z, gate), np.zeros((2, 2)))
    assert np.isfinite(jax.grad(lambda g: gated_cosine(z, z, g).sum())(jnp.asarray(gate))).all()
    tiny = gated_cosine(z, z, np.full((2, 2), 1e-30, np.float32))
    np.testing.assert_allclose(tiny, gated_cosine(z, z, np.ones((2, 2), np.float32)), rtol=1e-6)
    with jax.debug_nans(False):
        assert np.isnan(gated_cosine(jnp.array([[np.nan, 1.0]]), z, np.ones((1, 2)))).all()


def test_similarity_at_the_edges():
    z, gate = normal(4, 3).astype(np.float32), uniform(4, 3).astype(np.float32)
    for mode in ("cosine", "squared"):
        assert_degenerate(lambda z, gate, mode=mode: gated_cosine(z, z, jnp.abs(gate), mode), z, gate)
        compiled_form = jax.jit(lambda z, k, g, mode=mode: gated_cosine(z, k, jnp.abs(g), mode))
        assert_dtypes(compiled_form, z, z[:3], gate + 0.5, tolerance=1e-4)
    assert_gradients(gated_cosine, z, z[:2], gate, tolerance=1e-5)
    assert_matches_float64(gated_cosine, z, z + 1e-3, 1e-3 * gate)
    assert_vmap_consistent(gated_cosine, *(np.stack([x, x[::-1]]) for x in (z, z[:2], gate)))


def test_loss_at_the_edges():
    y1, y2 = np.array([0, 1, 2, 1]), np.array([1, 0, 2, 2])
    z, gate = normal(4, 3).astype(np.float32), uniform(4, 3).astype(np.float32)

    def loss(z, gate):
        return pair_loss(z, jnp.abs(gate), y1[: len(z)], y2[: len(z)])

    assert_degenerate(loss, z, gate)
    assert_gradients(loss, z, gate + 0.1, tolerance=1e-5)
    assert float(pair_loss(z, gate, np.zeros(4, int), np.full(4, 7))) == 0  # nobody has a positive
    one_class = pair_loss(z, gate, np.zeros(4, int), np.zeros(4, int))  # nobody has a negative
    assert float(one_class) == 0
    huge = pair_loss(z, gate, y1, y2, temperature=1e-4)
    assert np.isfinite(huge) and huge > 100


def test_supervised_contrast_by_loops():
    y = np.array([0, 0, 1, 1, 1, 2])
    z = normal(6, 4)
    ones = np.ones((6, 4))
    with jax.enable_x64():
        for exclude_self in (False, True):
            found = pair_loss(jnp.asarray(z), ones, y, y, temperature=0.3, exclude_self=exclude_self)
            np.testing.assert_allclose(found, supervised_contrast(z, y, 0.3, exclude_self=exclude_self), rtol=1e-12)


def test_simclr_is_identical_pairs_of_images():
    """Views as samples of a class each, without self-similarity: NT-Xent."""
    a, b = normal(3, 4).astype(np.float32), normal(3, 4, seed=5).astype(np.float32)
    number = np.tile(np.arange(3), 2)
    z = np.concatenate([a, b])
    found = pair_loss(z, np.ones_like(z), number, number, temperature=0.5, exclude_self=True)
    np.testing.assert_allclose(found, nt_xent(jnp.asarray(a), jnp.asarray(b), 0.5), rtol=1e-5)


@pytest.mark.parametrize("reduction", ["pairs", "rows"])
def test_a_batch_split_over_devices(reduction):
    """Value and gradient are those of the whole batch, whatever the number of positives of each part."""
    y1, y2 = np.array([0, 1, 2, 1, 0, 0]), np.array([1, 0, 2, 2, 0, 0])
    z, gate = normal(6, 3).astype(np.float32), uniform(6, 3).astype(np.float32)

    def whole(z, exclude_self):
        return pair_loss(z, gate, y1, y2, reduction=reduction, exclude_self=exclude_self)

    def split(z, exclude_self):
        parts = [x.reshape(2, 3, *x.shape[1:]) for x in (z, gate, y1, y2)]
        options = {"reduction": reduction, "exclude_self": exclude_self, "axis_name": "data"}
        return jax.vmap(lambda *part: pair_loss(*part, **options), axis_name="data")(*parts)

    for exclude_self in (False, True):
        value, slope = jax.jit(jax.value_and_grad(lambda z, e=exclude_self: whole(z, e)))(z)
        losses, pull = jax.vjp(jax.jit(lambda z, e=exclude_self: split(z, e)), z)
        np.testing.assert_allclose(losses, [value, value], rtol=1e-5)
        np.testing.assert_allclose(pull(jnp.full(2, 0.5))[0], slope, rtol=1e-4, atol=1e-6)


# --- The model ---

SMALL = Network("patch", (4,), 4, 6, 1, projector_hidden=5, dim=3, embed_dim=4, gate_hidden=6)


def small_model(objective=None, network=SMALL):
    return build_model(network, Objective() if objective is None else objective, 4, rngs=nnx.Rngs(0))


def small_images(n=6):
    return jnp.asarray(normal(n, 8, 8, 1), jnp.float32)


def test_projector():
    projector, h = Projector(4, 5, 3, rngs=nnx.Rngs(0)), jnp.asarray(normal(6, 4), jnp.float32)
    assert projector.reduce.bias is None
    z = projector(h)
    np.testing.assert_allclose(z.mean(1), 0, atol=1e-5)  # of layer norm
    np.testing.assert_allclose(z.std(1), 1, rtol=1e-2)
    middle = h @ projector.expand.kernel[...] + projector.expand.bias[...][None]
    middle = jax.nn.relu((middle - middle.mean(0, keepdims=True)) / jnp.sqrt(middle.var(0, keepdims=True) + 1e-5))
    out = middle @ projector.reduce.kernel[...]
    centred = out - out.mean(1, keepdims=True)
    np.testing.assert_allclose(z, centred / jnp.sqrt(out.var(1, keepdims=True) + 1e-5), rtol=1e-3, atol=1e-4)


def compiled(function, model, *args):
    """`function(model, *args)` as one program, the model left as it is."""
    graph, state = nnx.split(model)
    return jax.jit(lambda state, *args: function(nnx.merge(graph, state, copy=True), *args))(state, *args)


Y1, Y2 = np.array([0, 1, 2, 3, 1, 0], np.int32), np.array([1, 0, 2, 1, 3, 0], np.int32)


def test_terms_of_the_loss():
    def parts(model, x):
        h, z = model(x)
        gate = model.gate(Y1, Y2)
        ones = jnp.ones_like(z)
        plain = model.terms(x, Y1 + 70, Y2 + 70, labels=Y1, method=METHODS["SimCLR"][1])  # no classes of the gate
        return (
            (model.terms(x, Y1, Y2), plain.contrast),
            (
                pair_loss(z, gate, Y1, Y2, reduction="rows"),
                -jnp.mean(jax.nn.log_softmax(model.classifier(h))[jnp.arange(6), Y1]),
                0.3 * gate_entropy(gate),
                pair_loss(z, ones, Y1, Y2, reduction="rows", exclude_self=True),
            ),
        )

    model = small_model(Objective(entropy_weight=0.3, reduction="rows"))
    (terms, plain), expected = compiled(parts, model, small_images())
    np.testing.assert_allclose([*terms, plain], expected, rtol=1e-5)


def test_the_classifier_only_reads():
    graph, state = nnx.split(small_model())
    x = small_images()

    @jax.jit
    def slopes(state, method):
        gradient = nnx.grad(lambda m: sum(m.terms(x, Y1, Y1, method=method)))(nnx.merge(graph, state, copy=True))
        return [jnp.abs(part["kernel"][...]).max() for part in (gradient["backbone"]["head"], gradient["classifier"])]

    backbone, classifier = slopes(state, switches("cross-entropy")._replace(supervised=np.float32(0)))
    assert backbone == 0 and classifier > 0
    assert min(slopes(state, switches("cross-entropy"))) > 0
    assert min(slopes(state, switches("arbitrary + gate"))) > 0


def test_two_views_and_learned_scale():
    def parts(model, x, second):
        (_, z), (_, keys), gate = model(x), model(second), model.gate(Y1, Y2)
        similar = gated_cosine(z, keys, gate, "squared") - 0.25 * gated_cosine(z, keys, jnp.ones_like(z))
        return model.terms(x, Y1, Y2, second=second).contrast, contrast(10 * similar, Y1, Y2, Y1)

    model = small_model(Objective(gate_mode="squared", alpha=0.25))
    found, expected = compiled(parts, model, small_images(6), small_images(12)[6:])
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert small_model(Objective(gate_mode="squared")).alpha is None and small_model().scale_logit is None


def test_the_value_of_the_sweep_is_the_contrastive_loss():
    batch = Batch(small_images(), Y1, Y2, Y1, switches("arbitrary + gate"))

    def both(model):
        value, slope = nnx.value_and_grad(lambda m: sweep_loss(m, batch, KEY))(model)
        expected = nnx.grad(lambda m: sum(m.terms(batch.images, Y1, Y2)))(model)
        kernels = [gradient["classifier"]["kernel"][...] for gradient in (slope, expected)]
        return value, model.terms(batch.images, Y1, Y2).contrast, kernels

    value, contrastive, kernels = compiled(both, small_model())
    np.testing.assert_allclose(value, contrastive, rtol=1e-5)
    np.testing.assert_allclose(*kernels, rtol=1e-5, atol=1e-7)


# --- Sub-spaces and relations ---


def test_a_planted_subspace_is_found():
    draw = np.random.default_rng(0)
    data = planted_mixture(draw, 5, 18, 30)
    x, y = data.x, data.labels
    for c in range(5):
        own = data.attributes[c]
        assert own.sum() == 6
        assert np.abs(x[y == c].mean(0))[own].min() > 1.1 > 0.8 > np.abs(x[y == c].mean(0))[~own].max()
    first, second = max(combinations(range(5), 2), key=lambda pair: data.attributes[list(pair)].all(0).sum())
    gate, losses = learn_gate(x[y == first], x[y == second], x[~np.isin(y, (first, second))], steps=60)
    both = data.attributes[first] & data.attributes[second]
    assert auc(gate[both], gate[~both]) > 0.85
    assert losses[-1] < losses[0] - 0.1
    open_space = np.ones(18, np.float32)
    assert separation(x, y, (first, second), gate) > separation(x, y, (first, second), open_space) + 0.05


def test_auc():
    positive, negative = np.array([0.3, 0.5, 0.5, 1.0]), np.array([0.5, 0.1, 0.7])
    pairs = [(p > n) + 0.5 * (p == n) for p in positive for n in negative]
    np.testing.assert_allclose(auc(positive, negative), np.mean(pairs))
    assert np.isnan(auc(positive, np.array([]))) and np.isnan(auc(np.array([np.nan]), negative))


def test_separation_by_its_definition():
    z, labels, gate = normal(7, 3).astype(np.float32), np.array([0, 0, 1, 1, 2, 2, 3]), np.array([1.0, 0.5, 0.2], np.float32)
    gated = gate * z
    unit = gated / np.linalg.norm(gated, axis=1, keepdims=True)
    scores = unit[labels == 0] @ unit.T
    expected = auc(scores[:, labels == 1], scores[:, labels > 1])
    np.testing.assert_allclose(separation(z, labels, (0, 1), gate), expected, rtol=1e-6)


def test_samples_of_a_pair(as_installed):
    config = replace(PRESETS["quick"].subspaces, per_class=3, others=4)
    x, labels = np.arange(20)[:, None], np.repeat(np.arange(4), 5)
    first, second, others = samples(x, labels, (1, 3), config, np.random.default_rng(0))
    assert set(labels[first[:, 0]]) == {1} and set(labels[second[:, 0]]) == {3} and set(labels[others[:, 0]]) == {0, 2}
    assert [len(np.unique(part)) for part in (first, second, others)] == [3, 3, 4]
    pairs = drawn_pairs(4, 6, np.random.default_rng(0))
    assert sorted(pairs) == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]


def test_relations_between_classes():
    vectors = normal(5, 4).astype(np.float32)
    centred = vectors - vectors.mean(0)
    expected = np.corrcoef(vectors) * 0
    for i, j in np.ndindex(5, 5):
        expected[i, j] = centred[i] @ centred[j] / np.linalg.norm(centred[i]) / np.linalg.norm(centred[j])
    np.testing.assert_allclose(class_relations(vectors), expected, rtol=1e-4, atol=1e-5)
    assert_degenerate(class_relations, vectors, differentiable=False)
    x, y = normal(6, 2, 2), np.array([0, 1, 2, 0, 1, 1])
    np.testing.assert_allclose(class_means(x, y, 3)[1], x[y == 1].mean(0).ravel())


def test_agreement_is_that_of_the_classes_not_of_the_pairs():
    draw = np.random.default_rng(0)
    first = normal(8, 8)
    first = first + first.T
    rho, p = agreement(first, first**3, draw)
    np.testing.assert_allclose((rho, p), (1, 1 / 1000))
    other = normal(8, 8, seed=3)
    rho, p = agreement(first, other + other.T, draw, permutations=99)
    assert abs(rho) < 0.6 and p > 0.02
    rho, p = agreement(first, -first, draw, permutations=99)
    np.testing.assert_allclose((rho, p), (-1, 1))
    rho, p = agreement(first, np.ones((8, 8)), draw)
    assert np.isnan(rho) and p == 1.0
    assert nearest_classes(np.array([[1.0, -2.0, 0.0], [-2.0, 1.0, 3.0], [0.0, 3.0, 1.0]]), 2) == [(1, 2), (0, 2)]


# --- Images and batches ---


def test_views():
    images = normal(40, 8, 6, 3).astype(np.float32)
    still = Views(area=1.0, mirror=0.0, brightness=0.0, contrast=0.0, erase=0.0)
    np.testing.assert_allclose(random_views(images, np.random.default_rng(0), still), images, atol=1e-5)
    mirrored = random_views(images, np.random.default_rng(0), replace(still, mirror=1.0))
    np.testing.assert_allclose(mirrored, images[:, :, ::-1], atol=1e-5)
    found = random_views(images, np.random.default_rng(0))
    assert found.shape == images.shape and found.dtype == np.float32 and np.isfinite(found).all()
    ramp = np.broadcast_to(np.arange(16.0)[None, :, None, None], (50, 16, 16, 1))
    cropped = random_views(ramp, np.random.default_rng(0), replace(still, area=0.49))
    steps = np.diff(cropped[:, 3:-3, 0, 0], axis=1)  # a crop of side s enlarges s times
    np.testing.assert_allclose(steps, np.repeat(steps[:, :1], steps.shape[1], axis=1), atol=1e-3)
    assert 0.69 < steps.min() < 0.8 and 0.9 < steps.max() <= 1.001
    changed = random_views(images, np.random.default_rng(0), replace(still, erase=1.0)) != images
    assert 0.01 < (np.abs(changed) > 1e-5).mean() < 0.25
    bright = random_views(np.ones((50, 4, 4, 1)), np.random.default_rng(0), replace(still, brightness=0.2))[:, 0, 0, 0]
    assert 0.8 <= bright.min() < 0.85 and 1.15 < bright.max() <= 1.2


def fake_images(name="arbitrary + gate", **changes):
    preset = replace(PRESETS["quick"], network=SMALL, image_size=8, **changes)
    preset = replace(preset, training=replace(preset.training, steps=4, batch_size=6))
    train = ImageSplit(np.asarray(small_images(12)), np.arange(12, dtype=np.int32) % 4)
    return Images("noise", preset, 4, tuple("abcd"), train, train, 0.0, 1.0)


def test_batches_of_the_methods():
    images = fake_images()
    pool = images.with_views(np.random.default_rng(0))
    assert pool.shape == (36, 8, 8, 1)
    arbitrary, identical = (plan(images, name, KEY) for name in ("arbitrary + gate", "identical + open"))
    np.testing.assert_array_equal(arbitrary.places, identical.places)
    np.testing.assert_array_equal(arbitrary.y1, images.train.labels[arbitrary.places])
    np.testing.assert_array_equal(np.sort(arbitrary.y2, axis=1), np.sort(arbitrary.y1, axis=1))
    np.testing.assert_array_equal(identical.y2, identical.y1)
    assert (plan(images, "distinct + gate", KEY).y2 != identical.y1).all()
    views = plan(images, "SimCLR", KEY)
    copy, number = np.divmod(views.places, 12)
    np.testing.assert_array_equal(number[:, :3], number[:, 3:])
    np.testing.assert_array_equal(number, views.y1)
    assert (copy >= 1).all() and (copy[:, :3] != copy[:, 3:]).all()
    changed = plan(fake_images(augmented=True), "arbitrary + gate", KEY).places
    assert (changed >= 12).all()
    np.testing.assert_array_equal(changed % 12, arbitrary.places)


def test_batches_of_streams(monkeypatch):
    images = replace(fake_images(), train=None)
    crops = [(np.asarray(small_images(6)), np.array([0, 1, 2, 3, 0, 1], np.int32))] * 2
    monkeypatch.setattr(Images, "stream", lambda self, seed: iter(crops))
    batch = streamed(images, "arbitrary + gate", KEY, 0)(0)
    np.testing.assert_array_equal(np.sort(batch.y2), np.sort(batch.labels))
    views = streamed(images, "SimCLR", KEY, 0)(1)
    assert views.images.shape == (6, 8, 8, 1) and np.abs(views.images[:3] - views.images[3:]).max() > 0.1
    np.testing.assert_array_equal(views.y1, [0, 1, 2, 0, 1, 2])
    np.testing.assert_array_equal(views.labels, [0, 1, 2, 0, 1, 2])


def test_embeddings_are_standardised():
    train, test = (Encoded(normal(n, 2), 3 + 2 * normal(n, 4, seed=n), np.zeros(n, int)) for n in (50, 20))
    found, moved = standardised(train, test)
    np.testing.assert_allclose([found.z.mean(), found.z.std()], [0, 1], atol=1e-5)
    np.testing.assert_allclose(moved.z, (test.z - train.z.mean(0)) / train.z.std(0), rtol=1e-4)


def test_images_and_their_errors(as_installed, monkeypatch, tmp_path):
    with pytest.raises(ValueError, match="image_set is 'svhn'"):
        open_images(replace(PRESETS["quick"], image_set="svhn"))
    monkeypatch.setenv("QUIRE_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(DatasetUnavailable, match="imagenet-1k"):
        open_images(PRESETS["paper"])
    found = open_images(PRESETS["quick"])
    assert "digits" in found.name and found.stand_in_for == "ImageNet-1K"
    images = found.value
    np.testing.assert_allclose([images.train.images.mean(), images.train.images.std()], [0, 1], atol=1e-4)
    assert sum(len(y) for _, y in images.ordered("test", 100)) == len(images.test)


# --- Converters, presets, errors ---


def torch_arrays(model):
    """A state dictionary of random numbers in PyTorch's layouts that fits a model."""
    variables = dict(nnx.to_flat_state(nnx.state(model)))
    found, draw = {}, np.random.default_rng(0)
    for path, source in torch_names(model).items():
        shape = tuple(variables[path].shape)
        found[source.names[0]] = draw.uniform(size=source.shape(shape)).astype(np.float32)
    return found


def test_checkpoints_of_the_authors():
    network = Network("resnet18", in_channels=1, projector_hidden=5, dim=3, embed_dim=4, gate_hidden=6)
    objective = Objective(gate_mode="squared")
    model = nnx.eval_shape(lambda: build_model(network, objective, 4, rngs=nnx.Rngs(0)))
    state = torch_arrays(model)
    wanted = {"filter.label_embedding.weight", "filter.mlp.1.running_var", "filter.mlp.2.weight", "filter.mlp.4.bias"}
    wanted |= {"filter.mlp.5.weight", "projector.0.bias", "projector.1.running_mean", "projector.3.weight", "projector.4.bias"}
    assert wanted | {"scale_logit", "backbone.conv1.weight", "backbone.layer4.1.bn2.weight"} <= set(state)
    assert len(resnet_names(model.backbone)) + 25 == len(state)
    state |= {"filter.mlp.1.num_batches_tracked": np.array(3), "scale_logit": np.array([2.0])}
    del state["classifier.weight"], state["classifier.bias"]
    loaded = load_model(network, state, objective)
    np.testing.assert_array_equal(loaded.projector.expand.kernel[...], state["projector.0.weight"].T)
    np.testing.assert_array_equal(loaded.gate.hidden_norm.var[...], state["filter.mlp.4.running_var"])
    assert loaded.scale_logit[...] == 2 and not loaded.classifier.kernel[...].any()
    with pytest.raises(ValueError, match=r"missing: projector\.3\.weight"):
        load_model(network, {name: x for name, x in state.items() if name != "projector.3.weight"}, objective)
    with pytest.raises(ValueError, match=r"unexpected: filter\.more"):
        load_model(network, state | {"filter.more": np.ones(1)}, objective)
    with pytest.raises(ValueError, match=r"filter\.mlp\.5\.bias is \(4,\), not \(3,\)"):
        load_model(network, state | {"filter.mlp.5.bias": np.ones(4)}, objective)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_trace(name):
    """The loss of every preset, by shapes alone."""
    preset = PRESETS[name]
    classes = 1000 if name == "paper" else 10
    graph, state = nnx.split(nnx.eval_shape(lambda: build_model(preset.network, preset.objective, classes, rngs=nnx.Rngs(0))))
    images = jax.ShapeDtypeStruct((2, preset.image_size, preset.image_size, preset.network.in_channels), jnp.float32)
    ids, flag = jax.ShapeDtypeStruct((2,), jnp.int32), jax.ShapeDtypeStruct((), jnp.float32)
    batch = Batch(images, ids, ids, ids, Method(flag, flag, flag, flag))
    assert jax.eval_shape(lambda s, b: sweep_loss(nnx.merge(graph, s), b, KEY), state, batch).shape == ()
    assert preset.training.transformation(flat=True) is not None
    assert set(preset.beside) <= set(METHODS)
    if name == "paper":
        assert graph is not None and len(pair_indices(classes)[0]) == 500_500


ONES = np.ones((2, 3), np.float32)
PAIR = np.array([0, 1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: small_gate(classes=0), "num_classes is 0"),
        (lambda: small_gate(dim=0), "dim is 0"),
        (lambda: small_gate(mode="sum"), "mode is 'sum'"),
        (lambda: small_gate(relaxation="tanh"), "relaxation is 'tanh'"),
        (lambda: small_gate()(np.array([5])), "y1 runs from 5 to 5"),
        (lambda: small_gate()(np.array([0]), np.array([-1])), "y2 runs from -1"),
        (lambda: small_gate()(np.array([0.5])), "ids are integers"),
        (lambda: small_gate()(np.array([0]), PAIR), r"shapes \(1,\) and \(2,\)"),
        (lambda: small_gate()(np.zeros(0, int)), "at least one label"),
        (lambda: OpenGate(0), "dim is 0"),
        (lambda: all_pair_gates(small_gate(), block=0), "block is 0"),
        (lambda: gumbel_gate(jnp.ones(2), None, tau=0.0), "tau is 0.0"),
        (lambda: stochastic_gate(jnp.ones(2), None, sigma=-1.0), "sigma is -1.0"),
        (lambda: sample_pairs(KEY, PAIR, 2, "any"), "kind is 'any'"),
        (lambda: sample_pairs(KEY, PAIR, 1), "y runs from 0 to 1"),
        (lambda: sample_pairs(KEY, np.array([0]), 1, "distinct"), "num_classes is 1"),
        (lambda: pair_masks(PAIR, PAIR[:1], PAIR), "need \\[b\\], \\[b\\], \\[n\\]"),
        (lambda: gated_cosine(ONES, ONES, ONES, "dot"), "mode is 'dot'"),
        (lambda: gated_cosine(ONES, ONES[:, :2], ONES), "need \\[b, d\\], \\[n, d\\], \\[b, d\\]"),
        (lambda: gated_cosine(ONES, ONES, ONES[:1]), "need \\[b, d\\], \\[n, d\\], \\[b, d\\]"),
        (lambda: pair_loss(ONES, ONES, PAIR, PAIR, temperature=0.0), "temperature is 0.0"),
        (lambda: pair_loss(ONES, ONES, PAIR, PAIR, keys=ONES), "keys and y_keys go together"),
        (lambda: pair_loss(ONES, ONES, PAIR, PAIR, keys=ONES, y_keys=PAIR, exclude_self=True), "without exclude_self"),
        (lambda: pair_loss(ONES, ONES, PAIR, PAIR, reduction="sum"), "reduction is 'sum'"),
        (lambda: learn_gate(ONES, ONES, ONES, steps=0), "steps is 0"),
        (lambda: planted_mixture(np.random.default_rng(0), 0, 3, 3), "classes is 0"),
        (lambda: class_relations(np.ones(3)), "vectors has shape"),
        (lambda: class_means(ONES, PAIR, 3), "each class needs a sample"),
        (lambda: class_means(ONES, np.array([0, 7]), 3), "labels runs from 0 to 7"),
        (lambda: pair_openness(ONES, 3), "3 classes make 6 pairs"),
        (lambda: nearest_classes(np.eye(3), 4), "count is 4"),
        (lambda: agreement(np.eye(2), np.eye(2), None), "k at least 3"),
        (lambda: drawn_pairs(3, 4, None), "count is 4"),
        (lambda: Views(area=0.0), "area must lie"),
        (lambda: random_views(np.ones((0, 2, 2, 1)), np.random.default_rng(0)), "number of images is 0"),
        (lambda: load_gate({}), "label_embedding.weight of shape None"),
        (lambda: load_model(SMALL, {}), "backbone is 'patch'"),
        (lambda: Network("vgg"), "backbone is 'vgg'"),
        (lambda: Network("patch"), "patch networks have stages"),
        (lambda: Objective(temperature=0.0), "temperature is 0.0"),
        (lambda: Objective(alpha=0.1), "only 'squared' has an alpha"),
        (lambda: Objective(reduction="sum"), "reduction is 'sum'"),
        (lambda: replace(PRESETS["quick"], views=1), "views is 1"),
        (lambda: replace(PRESETS["quick"], training=replace(PRESETS["quick"].training, batch_size=7)), "batch_size is 7"),
    ],
)
def test_wrong_arguments(call, message, as_installed):
    with pytest.raises(ValueError, match=message):
        call()


def test_traced_labels_out_of_range_show():
    gate = small_gate()
    with jax.debug_nans(False):
        found = jax.jit(lambda y: gate(y, train=False))(np.array([0, 9]))
    assert np.isfinite(found[0]).all() and np.isnan(found[1]).all()
