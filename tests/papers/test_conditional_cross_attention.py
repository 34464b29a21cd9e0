"""Conditional cross-attention: golden vectors, the switch, rivals, triplets, retrieval, entanglement, data, presets."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from PIL import Image

from quire.common.data.images import ImageData, ImageSplit
from quire.common.errors import DatasetCorrupt, DatasetUnavailable
from quire.common.losses.triplet import triplet_cosine, triplet_sqeuclidean
from quire.common.metrics.cost import count_params
from quire.common.retrieval.evaluate import average_precision
from quire.common.testing import assert_close, assert_degenerate, assert_dtypes, assert_gradients, assert_jit_consistent
from quire.conditional_cross_attention import (
    CSN,
    PRESETS,
    ASENv2,
    CCANet,
    ConditionalCrossAttention,
    ConditionalHead,
    ConditionMask,
    ConditionTable,
    Preset,
    SingleSpace,
    Training,
    ViT,
    attention_maps,
    condition_cosine,
    disentanglement,
    in_batch_triplets,
    load_cross_attention,
    masked_embedding,
    open_attributes,
    parameter_report,
    patch_maps,
    retrieval_map,
    sample_triplets,
    space_probe,
    triplet_accuracy,
    triplet_loss,
)
from quire.conditional_cross_attention import sources as sources_module
from quire.conditional_cross_attention.conditions import rows_of
from quire.conditional_cross_attention.evaluation import spaces_triplet_accuracy
from quire.conditional_cross_attention.experiment import raw_pixels
from quire.conditional_cross_attention.rivals import block_masks
from quire.conditional_cross_attention.sources import derived_attributes, read_table
from quire.conditional_cross_attention.training import builders, only, train
from quire.conditional_cross_attention.triplets import in_batch_loss, plan_batches

KEY = jax.random.key(0)
VIT = ViT(image_size=8, patch=4, dim=8, num_heads=2, depth=1, mlp_ratio=2)
PRECISIONS = pytest.mark.parametrize(("x64", "tolerance"), [(True, 1e-9), (False, 1e-5)], ids=["float64", "float32"])


@pytest.fixture(scope="module")
def vectors(golden):
    return golden("conditional_cross_attention")


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def unit(*shape, seed=0):
    x = normal(*shape, seed=seed)
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


# --- Golden vectors ---


def small_layer():
    return ConditionalCrossAttention(4, 2, rngs=nnx.Rngs(0))


def golden_layer(vectors, dtype):
    state = {
        "in_proj_weight": vectors["in_proj_w"],
        "in_proj_bias": vectors["in_proj_b"],
        "out_proj.weight": vectors["out_w"],
        "out_proj.bias": vectors["out_b"],
    }
    return load_cross_attention(state, int(vectors["n_heads"]), dtype=dtype)


@PRECISIONS
def test_golden_attention(vectors, x64, tolerance):
    with jax.enable_x64(x64):
        dtype = jnp.float64 if x64 else jnp.float32
        layer = golden_layer(vectors, dtype)
        tokens, table = jnp.asarray(vectors["tokens"], dtype), jnp.asarray(vectors["cond_table"], dtype)
        q = rows_of(table, jnp.asarray(vectors["cond"]))
        out, seen = nnx.capture(layer, nnx.Intermediate)(tokens, q)
        assert_close(out, vectors["xattn_out"], tolerance)
        assert_close(seen["attention"][0][:, :, 0], vectors["xattn_weights"], tolerance)
        assert_close(layer.repeated(tokens, q), vectors["xattn_out_repeated_query"], tolerance)
        cache = layer.keys_values(tokens[:1])
        assert_close(layer.attend(table[None], cache)[0], vectors["switch_image0_all_conditions"], tolerance)


@PRECISIONS
def test_golden_embedding(vectors, x64, tolerance):
    """The whole head; in these vectors tokens are not normalised before keys and values."""
    with jax.enable_x64(x64):
        dtype = jnp.float64 if x64 else jnp.float32
        (hidden, dim), embed_dim = vectors["mlp_w1"].shape, len(vectors["proj_b"])
        heads = int(vectors["n_heads"])
        head = ConditionalHead(dim, heads, embed_dim, mlp_dim=hidden, norm_tokens=False, rngs=nnx.Rngs(0))
        head.attention = golden_layer(vectors, dtype)
        values = (
            (head.mlp_norm.scale, vectors["ln_g"]),
            (head.mlp_norm.bias, vectors["ln_b"]),
            (head.mlp.up.kernel, vectors["mlp_w1"].T),
            (head.mlp.up.bias, vectors["mlp_b1"]),
            (head.mlp.down.kernel, vectors["mlp_w2"].T),
            (head.mlp.down.bias, vectors["mlp_b2"]),
            (head.projection.kernel, vectors["proj_w"].T),
            (head.projection.bias, vectors["proj_b"]),
        )
        for parameter, value in values:
            assert parameter.shape == value.shape
            parameter.set_value(jnp.asarray(value, dtype))
        q = jnp.asarray(vectors["cond_table"][vectors["cond"]], dtype)
        found = head(jnp.asarray(vectors["tokens"], dtype), q[:, None])[:, 0]
        assert_close(found, vectors["embedding"], tolerance)


@PRECISIONS
def test_golden_losses_masks_and_precision(vectors, x64, tolerance):
    with jax.enable_x64(x64):
        dtype = jnp.float64 if x64 else jnp.float32
        rows = [jnp.asarray(vectors[f"tri_{name}"], dtype) for name in "apn"]
        margin = float(vectors["margin"])
        loss, gradient = jax.value_and_grad(triplet_cosine)(*rows, margin)
        assert_close(loss, vectors["triplet_cosine"], tolerance)
        assert_close(gradient, vectors["grad_triplet_cosine_a"], tolerance)
        assert_close(triplet_sqeuclidean(*rows, margin), vectors["triplet_sqeuclid"], tolerance)
        masks = rows_of(jnp.asarray(vectors["csn_masks"], dtype), jnp.asarray(vectors["cond"]))
        assert_close(masked_embedding(jnp.asarray(vectors["csn_x"], dtype), masks), vectors["csn_out"], tolerance)
        scores, relevant = jnp.asarray(vectors["ret_scores"], dtype), jnp.asarray(vectors["ret_rel"]) > 0
        found = average_precision(scores, relevant)
        assert_close(found, vectors["ap"], tolerance)
        assert_close(found.mean(), vectors["mAP"], tolerance)
        assert_close(average_precision(scores, relevant, 10), vectors["ap_at10"], tolerance)


# --- The layer and the network ---


@pytest.fixture(scope="module")
def layer():
    return ConditionalCrossAttention(8, 2, rngs=nnx.Rngs(0))


@pytest.fixture(scope="module")
def net():
    return CCANet(VIT, 3, 6, rngs=nnx.Rngs(0))


def test_one_query_is_enough_and_order_of_tokens_is_none(layer):
    tokens, q = jnp.asarray(normal(2, 5, 8)), jnp.asarray(normal(2, 8, seed=1))
    out = layer(tokens, q)
    assert_close(layer.repeated(tokens, q), jnp.broadcast_to(out[:, None], tokens.shape), 1e-5)
    assert_close(layer(tokens[:, np.array([3, 1, 4, 0, 2])], q), out, 1e-5)
    many = layer.attend(jnp.stack([q, 2 * q], axis=1), layer.keys_values(tokens))
    assert_close(many[:, 0], out, 1e-5)
    assert np.abs(many[:, 1] - out).max() > 1e-2
    assert_close(layer(tokens[0], q[0]), out[0], 1e-5)  # without a batch


def test_layer_at_the_edges(layer):
    tokens, q = normal(2, 3, 8), normal(2, 8, seed=1)
    assert_degenerate(layer, tokens, q)
    assert_degenerate(lambda x: layer(x, jnp.ones((2, 8))), tokens, axes=(1,))
    assert_dtypes(layer, tokens, q, tolerance=1e-4, dtypes=["uint8", "bfloat16"])
    assert_jit_consistent(layer, jnp.asarray(tokens), jnp.asarray(q))


def test_embeddings_are_unit_and_switch(net):
    images = jnp.asarray(normal(4, 8, 8, 3))
    everything = net.embed_all(images)
    np.testing.assert_allclose(np.linalg.norm(everything, axis=-1), 1, rtol=1e-5)
    attr = jnp.array([2, 0, 1, 2])
    found = net(images, attr)
    assert_close(found, everything[np.arange(4), np.asarray(attr)], 1e-5)
    assert_close(net.embed_from_tokens(net.encode_tokens(images), attr), found, 1e-6)
    assert np.abs(everything[:, 0] - everything[:, 1]).max() > 0.05
    grey = np.full((1, 8, 8, 3), 51, np.uint8)
    assert_close(net.embed_all(grey), net.embed_all(jnp.asarray(grey / np.float32(255))), 1e-5)


def test_only_the_ablation_lets_the_image_pass_the_query(net):
    """The values map to nothing: without the residual, embeddings know nothing of the image."""
    images = jnp.asarray(normal(4, 8, 8, 3))
    for residual in (False, True):
        blind = CCANet(VIT, 3, 6, residual=residual, rngs=nnx.Rngs(0))
        blind.head.attention.out.kernel[...] = jnp.zeros((8, 8))
        spread = float(np.ptp(np.asarray(blind.embed_all(images)), axis=0).max())
        assert (spread > 1e-2) == residual


def test_attention_maps_are_distributions(net):
    images = jnp.asarray(normal(2, 8, 8, 3))
    weights = attention_maps(net, images)
    assert weights.shape == (2, 3, 2, 5)
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-5)
    attention = net.head.attention
    keys, _ = attention.keys_values(net.head.token_norm(net.encode_tokens(images)))
    q = attention.query(net.conditions(jnp.array([1])))[0].reshape(2, 4)
    scores = np.einsum("hd,bhnd->bhn", q, keys) / 2
    np.testing.assert_allclose(weights[:, 1], np.exp(scores) / np.exp(scores).sum(-1, keepdims=True), rtol=1e-4)
    maps = patch_maps(weights, (2, 2))
    np.testing.assert_allclose(maps[1, 2, 1, 0], weights[1, 2, :, 3].mean(), rtol=1e-5)


def test_conditions():
    table, mask = (kind(3, 4, rngs=nnx.Rngs(0)) for kind in (ConditionTable, ConditionMask))
    np.testing.assert_array_equal(table(jnp.array([2])), table.table[2:])
    expected = np.maximum(mask.masks[...], 0) @ mask.linear.kernel[...] + mask.linear.bias[...][None]
    assert_close(mask(jnp.arange(3)), expected, 1e-5)
    masks = ConditionMask(50, 80, rngs=nnx.Rngs(1)).masks[...]
    np.testing.assert_allclose([masks.mean(), masks.std()], [0.9, 0.7], atol=0.05)
    np.testing.assert_allclose(ConditionTable(50, 80, rngs=nnx.Rngs(1)).table[...].std(), 6, rtol=0.05)
    with jax.debug_nans(False):
        assert np.isnan(jax.jit(table)(jnp.array([3, -1]))).all()


def test_networks_count_as_they_should():
    quick = PRESETS["quick"]
    report = parameter_report(quick, 4)
    assert report["ASEN"] == count_params(nnx.eval_shape(lambda: builders(quick, 4)["ASEN"](nnx.Rngs(0))))
    assert report["A networks"] == 4 * report["one network"]
    assert report["CSN"] - report["one network"] == 4 * quick.embed_dim
    dim = quick.vit.dim  # conditions, and biases of queries, keys and values, for a last norm
    assert report["CCA"] - report["one network"] == 4 * dim + 3 * dim - 2 * dim


# --- Rivals ---


def test_one_space_for_all():
    net, images = SingleSpace(VIT, 3, 6, rngs=nnx.Rngs(0)), jnp.asarray(normal(2, 8, 8, 3))
    z = net.embed_all(images)
    assert_close(z, jnp.broadcast_to(net(images, jnp.array([1, 2]))[:, None], (2, 3, 6)), 1e-6)
    np.testing.assert_allclose(np.linalg.norm(z, axis=-1), 1, rtol=1e-5)


@pytest.mark.parametrize("masks", ["learned", "blocks", "disjoint"])
def test_masked_spaces(masks):
    net, images = CSN(VIT, 3, 6, masks=masks, rngs=nnx.Rngs(0)), jnp.asarray(normal(2, 8, 8, 3))
    z = net.embed_all(images)
    assert_close(net(images, jnp.array([1, 2])), z[np.array([0, 1]), np.array([1, 2])], 1e-5)
    product = np.asarray(net.features(images))[:, None] * np.maximum(net.masks[...], 0)[None]
    assert_close(z, product / np.linalg.norm(product, axis=-1, keepdims=True), 1e-5)
    assert isinstance(net.masks, nnx.Param) == (masks != "disjoint")
    if masks == "disjoint":
        assert abs(condition_cosine(z) - np.eye(3)).max() < 1e-6


def test_dead_masks_are_no_nan():
    x, mask = normal(3, 6), normal(3, 6, seed=1)
    assert_degenerate(masked_embedding, x, mask)
    assert_dtypes(masked_embedding, x, mask, tolerance=1e-4)
    assert not masked_embedding(jnp.asarray(x), -jnp.ones((3, 6))).any()
    assert block_masks(4, 16).sum(1).tolist() == [4] * 4


def test_asen_by_its_formula():
    net, images = ASENv2(VIT, 3, attention_dim=5, rngs=nnx.Rngs(0)), jnp.asarray(normal(2, 8, 8, 3))
    net.eval()
    net.place_norm.mean[...], net.place_norm.var[...] = jnp.asarray(normal(5)), jnp.asarray(normal(5, seed=1) ** 2)
    (z, seen), f = nnx.capture(net, nnx.Intermediate)(images, jnp.array([1, 2])), np.asarray(net.trunk(images)[:, 1:])
    assert_close(z, net.embed_all(images)[np.array([0, 1]), np.array([1, 2])], 1e-5)

    def linear(module, x):
        return x @ np.asarray(module.kernel[...]) + np.asarray(module.bias[...])

    e = np.asarray(net.attributes[...])[2]
    keys = np.tanh((linear(net.place, f[1]) - net.place_norm.mean[...][None]) / np.sqrt(net.place_norm.var[...] + 1e-5)[None])
    scores = keys @ np.tanh(linear(net.place_query, e)) / np.sqrt(5)
    weights = np.exp(scores) / np.exp(scores).sum()
    np.testing.assert_allclose(seen["attention"][0][1, 0], weights, rtol=1e-4)
    x = weights @ f[1]
    told = np.maximum(linear(net.channel_query, e), 0)
    gate = 1 / (1 + np.exp(-linear(net.excite, np.maximum(linear(net.squeeze, np.concatenate([x, told])), 0))))
    np.testing.assert_allclose(z[1], x * gate / np.linalg.norm(x * gate), rtol=1e-4, atol=1e-5)


# --- Triplets ---


def labels_with_gaps():
    labels = np.random.default_rng(0).integers(0, 3, (40, 3)).astype(np.int32)
    labels[::3, 1] = -1
    labels[:, 2] = 7  # nothing to tell apart
    return labels


def test_fixed_triplets_are_triplets():
    labels = labels_with_gaps()
    found = sample_triplets(KEY, labels, 4000)
    a, p, n = (labels[index, found.attribute] for index in found[:3])
    assert (a == p).all() and (a != n).all() and min(a.min(), n.min()) >= 0
    assert (found.anchor != found.positive).all()
    np.testing.assert_allclose(np.bincount(found.attribute) / 4000, [0.5, 0.5], atol=0.03)
    own = found.attribute == 1
    known = np.flatnonzero(labels[:, 1] >= 0)
    for index in found[:3]:
        assert set(index[own]) == set(known)  # all that may take part do
    assert sample_triplets(KEY, labels, 5).anchor.tolist() == sample_triplets(KEY, labels, 5).anchor.tolist()
    pairs = np.array([[0], [0], [0], [1]])  # uniform over the other members of a value, and over other values
    few = sample_triplets(KEY, pairs, 3000)
    counts = np.bincount(3 * few.anchor + few.positive, minlength=9).reshape(3, 3)
    np.testing.assert_allclose(counts / 3000, (1 - np.eye(3)) / 6, atol=0.03)


def test_triplets_of_a_batch_are_triplets():
    labels = labels_with_gaps()[:12]
    draw = jax.jit(in_batch_triplets)
    seen = [draw(jax.random.key(seed), labels) for seed in range(60)]
    for a in range(3):
        y = labels[:, a]
        for i in range(12):
            valid = {bool(found.valid[a, i]) for found in seen}
            same, other = np.flatnonzero((y == y[i]) & (y >= 0)), np.flatnonzero((y != y[i]) & (y >= 0))
            expected = y[i] >= 0 and len(same) > 1 and len(other) > 0
            assert valid == {expected}
            if expected:
                assert {int(found.positive[a, i]) for found in seen} == set(same) - {i}
                assert {int(found.negative[a, i]) for found in seen} <= set(other)


def test_loss_of_a_batch_by_loops():
    labels, z, training = labels_with_gaps()[:8], unit(8, 3, 4), Training(steps=1, batch_size=8, learning_rate=1.0, margin=0.3)
    found = jax.tree.map(np.asarray, jax.jit(in_batch_triplets)(KEY, labels))
    for loss in ("cosine", "sqeuclidean"):
        terms = []
        for a, i in np.argwhere(found.valid):
            anchor, p, n = z[i, a], z[found.positive[a, i], a], z[found.negative[a, i], a]
            gap = anchor @ n - anchor @ p if loss == "cosine" else ((anchor - p) ** 2).sum() - ((anchor - n) ** 2).sum()
            terms.append(max(0.0, gap + 0.3))
        value = jax.jit(lambda z, loss=loss: in_batch_loss(z, jnp.asarray(labels), KEY, replace(training, loss=loss)))(z)
        np.testing.assert_allclose(value, np.mean(terms), rtol=1e-5)
    nothing = in_batch_loss(jnp.asarray(z), jnp.full((8, 3), -1), KEY, training)
    assert nothing == 0
    assert_gradients(lambda z: in_batch_loss(z, jnp.asarray(labels), KEY, training), z, tolerance=1e-4)


def test_plans_of_batches():
    labels = labels_with_gaps()
    training = Training(steps=9, batch_size=4, learning_rate=1.0, num_triplets=30)
    plan = plan_batches(KEY, labels, training)
    assert plan.images.shape == (9, 4)
    np.testing.assert_array_equal(plan.told, labels[plan.images])
    plan = plan_batches(KEY, labels, replace(training, triplets="fixed"))
    assert plan.images.shape == (9, 12) and plan.told.shape == (9, 4)
    a, p, n = (labels[rows, plan.told] for rows in np.split(plan.images, 3, axis=1))
    assert (a == p).all() and (a != n).all()
    seen = {tuple(row) for row in np.stack([*np.split(plan.images, 3, axis=1), plan.told], -1).reshape(-1, 4).tolist()}
    assert len(seen) <= 30
    part = only(sources_module.Part(np.zeros((40, 1, 1, 3)), labels), 1)
    np.testing.assert_array_equal(part.labels[:, 1], labels[:, 1])
    assert (part.labels[:, [0, 2]] == -1).all()


@pytest.mark.parametrize("triplets", ["in-batch", "fixed"])
def test_training_lowers_the_loss(triplets):
    """On images whose values are plain to see; the loss of fixed triplets is that of their three rows."""
    labels = np.random.default_rng(1).integers(0, 2, (60, 2)).astype(np.int32)
    images = np.zeros((60, 8, 8, 3), np.float32)
    images[..., 0], images[..., 1] = labels[:, 0, None, None], labels[:, 1, None, None]
    training = Training(steps=80, batch_size=16, learning_rate=1e-2, optimiser="adam", triplets=triplets, num_triplets=50)
    part = sources_module.Part(images, labels)
    keys = jax.random.split(KEY, 2)
    parts = [part, only(part, 0)] if triplets == "in-batch" else [part] * 2
    trained = train(lambda rngs: CCANet(VIT, 2, 4, rngs=rngs), parts, training, keys)
    found = trained._replace(state=jax.tree.map(np.asarray, trained.state))  # slices on the host
    assert (found.losses[:, -10:].mean(1) < 0.8 * found.losses[:, :2].mean(1)).all()
    z = found.of(0).embed(images, batch_size=25)
    assert min(retrieval_map(z[:, a], labels[:, a], z[:, a], labels[:, a]) for a in range(2)) > 0.85
    if triplets == "fixed":
        model, attr = trained.of(0).model(), jnp.array([0, 1])
        rows = [z[6 + 2 * i : 8 + 2 * i][np.arange(2), np.asarray(attr)] for i in range(3)]
        assert_close(triplet_loss(training)(model, (images[6:12], attr), KEY), triplet_cosine(*map(jnp.asarray, rows), 0.2), 1e-4)


# --- Evaluation ---


def average_precision_by_loops(scores, relevant):
    order = np.argsort(-scores, kind="stable")
    hits = relevant[order]
    return sum(hits[: j + 1].sum() / (j + 1) for j in np.flatnonzero(hits)) / hits.sum()


def test_retrieval_by_loops():
    q, c = normal(7, 5), normal(9, 5, seed=1)
    yq, yc = np.array([0, 1, 2, -1, 1, 5, 0]), np.array([0, 1, 2, 2, -1, 0, 1, 1, -1])
    cosines = (q / np.linalg.norm(q, axis=1, keepdims=True)) @ (c / np.linalg.norm(c, axis=1, keepdims=True)).T
    kept = yc >= 0
    expected = [average_precision_by_loops(cosines[i, kept], yc[kept] == yq[i]) for i in (0, 1, 2, 4, 6)]
    for block in (3, 256):
        assert retrieval_map(q, yq, c, yc, block=block) == pytest.approx(np.mean(expected), rel=1e-5)
    assert retrieval_map(3 * q, yq, 0.1 * c, yc) == pytest.approx(np.mean(expected), rel=1e-5)
    own = np.array([2, 0, 5, 1, 3, 4, -1])
    expected = []
    for i in (0, 1, 2, 4, 6):
        rest = kept & (np.arange(9) != own[i])
        expected.append(average_precision_by_loops(cosines[i, rest], yc[rest] == yq[i]))
    assert retrieval_map(q, yq, c, yc, own=own) == pytest.approx(np.mean(expected), rel=1e-5)
    assert np.isnan(retrieval_map(q, np.full(7, 5), c, yc)) and np.isnan(retrieval_map(q, np.full(7, -1), c, yc))
    with jax.debug_nans(False):
        assert np.isnan(retrieval_map(np.full_like(q, np.nan), yq, c, yc))


def test_triplet_accuracy_is_strict():
    a = unit(3, 4)
    assert triplet_accuracy(a, a, a) == 0
    assert triplet_accuracy(a, 5 * a, -a) == 1
    with jax.debug_nans(False):
        assert np.isnan(triplet_accuracy(a, a, np.full_like(a, np.nan)))
    spaces, labels = unit(30, 2, 3), np.random.default_rng(0).integers(0, 2, (30, 2))
    found = sample_triplets(KEY, labels, 50)
    dots = [[spaces[i, t] @ spaces[j, t] for j in (p, n)] for i, p, n, t in zip(*found, strict=True)]
    assert spaces_triplet_accuracy(spaces, found) == np.mean([near > far for near, far in dots])


def test_probe_tells_spaces_apart():
    labels = np.random.default_rng(0).integers(0, 3, (90, 2))
    clear = np.stack([np.eye(3)[labels[:, a]] for a in range(2)], axis=1).astype(np.float32)
    clear += 0.05 * normal(*clear.shape)
    matrix = space_probe(clear[:40], labels[:40], clear[40:], labels[40:], k=5)
    np.testing.assert_allclose(np.diag(matrix), 1)
    assert np.abs(matrix[[0, 1], [1, 0]]).max() < 0.35 and disentanglement(matrix) > 0.6
    one = np.broadcast_to(clear[:, :1], clear.shape)
    assert abs(disentanglement(space_probe(one[:40], labels[:40], one[40:], labels[40:], k=5))) < 1e-12
    gaps = labels.copy()
    gaps[5:15, 1] = -1
    kept = np.r_[0:5, 15:40]
    partial = space_probe(clear[:40], gaps[:40], clear[40:], labels[40:], k=5)
    expected = space_probe(clear[kept], labels[kept], clear[40:], labels[40:], k=5)
    np.testing.assert_allclose(partial[:, 1], expected[:, 1])
    chance = np.mean(labels[:40, 1] == np.bincount(labels[40:, 1]).argmax())
    flat = space_probe(np.ones((40, 1, 2), np.float32), labels[:40], np.ones((50, 1, 2), np.float32), labels[40:], k=50)
    assert flat[0, 1] == pytest.approx(0) and 0 < chance < 1


# --- Data ---


def test_drawn_data_are_three_parts():
    preset = replace(PRESETS["quick"], num_train=30, num_queries=5, num_candidates=12, correlation=1.0)
    source = open_attributes(preset, KEY)
    data = source.value
    assert [len(part) for part in (data.train, data.queries, data.candidates)] == [30, 5, 12]
    assert data.train.images.shape == (30, 24, 24, 3) and data.num_attributes == 4
    assert (data.train.labels[:, 0] == data.train.labels[:, 1]).all()
    assert not (data.candidates.labels[:, 0] == data.candidates.labels[:, 1]).all()
    assert "FashionAI" in source.stand_in_for
    assert not np.array_equal(data.train.images[:5], data.queries.images)


def test_derived_attributes():
    images = np.zeros((4, 2, 2, 3), np.uint8)
    images[0] = (200, 20, 20)
    images[1] = (20, 20, 200)
    images[2] = 250
    found = derived_attributes(images, np.array([0, 2, 9, 3]), np.array([50.0, 100.0]))
    assert found.tolist() == [[1, 0, 1], [0, 2, 1], [1, 3, 2], [0, 3, 0]]


def test_photographs_of_cifar(monkeypatch):
    rng = np.random.default_rng(0)
    train, test = (ImageSplit(rng.integers(0, 256, (n, 32, 32, 3), np.uint8), rng.integers(0, 10, n)) for n in (20, 15))
    monkeypatch.setattr(sources_module, "cifar10_subset", lambda: ImageData("photographs", train, test, 10))
    preset = replace(PRESETS["standard"], num_queries=5, num_candidates=10)
    data = open_attributes(preset, KEY).value
    assert (len(data.queries), len(data.candidates), data.num_attributes) == (5, 10, 3)
    both = np.concatenate([data.queries.images, data.candidates.images])
    assert sorted(x.tobytes() for x in both) == sorted(x.tobytes() for x in test.images)
    with pytest.raises(ValueError, match="num_queries and num_candidates are 16"):
        open_attributes(replace(preset, num_queries=6), KEY)


def test_photographs_in_tables(monkeypatch, tmp_path):
    """Streamed training, missing values, and tables that are refused."""
    monkeypatch.setenv("QUIRE_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    preset = replace(PRESETS["paper"], vit=VIT, embed_dim=4)
    with pytest.raises(DatasetUnavailable, match=r"fashionai.*register"):
        open_attributes(preset, KEY)
    folder = tmp_path / "fashionai"
    folder.mkdir()
    for i in range(4):
        Image.fromarray(np.full((10, 14, 3), 60 * i, np.uint8)).save(folder / f"{i}.png")
    rows = "image,collar,sleeve\n0.png,0,\n1.png,1,0\n2.png,0,1\n3.png,1,0\n"
    for part in ("train", "query", "candidate"):
        (folder / f"{part}.csv").write_text(rows)
    source = open_attributes(preset, KEY)
    data = source.value
    assert (data.attributes, source.stand_in_for) == (("collar", "sleeve"), "")
    np.testing.assert_array_equal(data.train.labels, [[0, -1], [1, 0], [0, 1], [1, 0]])
    images = data.train.images[np.array([3, 1])]
    assert images.shape == (2, 8, 8, 3) and images.dtype == np.uint8 and images[0, 0, 0, 0] == 180
    training = replace(preset.training, steps=2, epochs=1, batch_size=2, num_triplets=6)
    found = train(lambda rngs: CCANet(VIT, 2, 4, rngs=rngs), [data.train], training, jax.random.split(KEY, 1))
    assert found.losses.shape == (1, 2) and found.of(0).embed(data.queries.images).shape == (4, 2, 4)
    flat = raw_pixels(data.queries.images, 2)
    assert flat.shape == (4, 2, 192) and flat[3, 1, 0] == 180
    bad = {
        "image\n0.png\n": "columns image",
        "image,a\n": "and rows",
        "": "columns image",
        "image,a\n0.png,1,2\n": "another length",
        "image,a\n0.png,-1\n": "no number",
        "image,a\n../0.png,1\n": "lies outside",
    }
    for text, message in bad.items():
        (folder / "bad.csv").write_text(text)
        with pytest.raises(DatasetCorrupt, match=message):
            read_table(folder / "bad.csv")
    (folder / "query.csv").write_text("image,collar,hem\n0.png,0,1\n")
    with pytest.raises(DatasetCorrupt, match="hem"):
        open_attributes(preset, KEY)
    (folder / "0.png").write_bytes(b"no image")
    with pytest.raises(DatasetCorrupt, match="no image"):
        data.train.images[:1]


# --- Errors and presets ---


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ConditionalCrossAttention(8, 3, rngs=nnx.Rngs(0)), "dim is 8 and num_heads 3"),
        (lambda: ConditionalCrossAttention(0, 1, rngs=nnx.Rngs(0)), "dim is 0"),
        (lambda: small_layer()(jnp.ones((2, 0, 4)), jnp.ones((2, 4))), "at least one token"),
        (
            lambda: ConditionalCrossAttention(4, 2, rngs=nnx.Rngs(0))(jnp.ones((2, 3, 4)), jnp.ones((1, 4))),
            "conditions have shape",
        ),
        (lambda: CCANet(VIT, 3, 6, cond="onehot", rngs=nnx.Rngs(0)), "cond is 'onehot'"),
        (lambda: CCANet(VIT, 0, 6, rngs=nnx.Rngs(0)), "num_attributes is 0"),
        (lambda: CCANet(VIT, 3, 0, rngs=nnx.Rngs(0)), "embed_dim is 0"),
        (lambda: CCANet(VIT, 3, 6, rngs=nnx.Rngs(0))(jnp.ones((2, 8, 8, 3)), jnp.array([0, 3])), "attr runs from 0 to 3"),
        (lambda: CCANet(VIT, 3, 6, rngs=nnx.Rngs(0))(jnp.ones((2, 8, 8, 3)), jnp.array([0])), "attr has shape"),
        (lambda: CCANet(VIT, 3, 6, rngs=nnx.Rngs(0)).embed_all(jnp.ones((2, 9, 8, 3))), r"images are \(9, 8, 3\)"),
        (lambda: CSN(VIT, 3, 6, masks="random", rngs=nnx.Rngs(0)), "masks is 'random'"),
        (lambda: CSN(VIT, 3, 2, masks="disjoint", rngs=nnx.Rngs(0)), "embed_dim is 2"),
        (lambda: ASENv2(VIT, 3, attention_dim=0, rngs=nnx.Rngs(0)), "attention_dim is 0"),
        (lambda: ViT(image_size=10, patch=4), "patch must divide"),
        (lambda: ViT(positions="rotary"), "positions is 'rotary'"),
        (lambda: Training(steps=1, batch_size=1, learning_rate=1.0, margin=0.0), "margin is 0.0"),
        (lambda: Training(steps=1, batch_size=1, learning_rate=1.0, loss="l1"), "loss is 'l1'"),
        (lambda: Training(steps=1, batch_size=1, learning_rate=1.0, triplets="hard"), "triplets is 'hard'"),
        (lambda: replace(PRESETS["quick"], rivals=("SVM",)), "rivals names 'SVM'"),
        (lambda: replace(PRESETS["quick"], neighbours=2000), "neighbours is 2000"),
        (lambda: replace(PRESETS["quick"], embed_dim=0), "embed_dim is 0"),
        (lambda: open_attributes(replace(PRESETS["quick"], image_set="zappos"), KEY), "image_set is 'zappos'"),
        (lambda: sample_triplets(KEY, np.array([[0], [1]]), 2), "no attribute with two images"),
        (lambda: sample_triplets(KEY, np.array([[0], [0], [1]]), 0), "count is 0"),
        (lambda: sample_triplets(KEY, np.zeros((3, 1)), 2), "labels is float64"),
        (lambda: retrieval_map(normal(2, 3), np.zeros(1, int), normal(4, 3), np.zeros(4, int)), "query_labels has shape"),
        (lambda: retrieval_map(normal(2, 3), np.zeros(2, int), normal(4, 2), np.zeros(4, int)), "candidates have shape"),
        (lambda: retrieval_map(normal(2, 3), np.zeros(2, int), normal(4, 3), np.zeros(4, int), 5), "k is 5"),
        (lambda: triplet_accuracy(normal(0, 3), normal(0, 3), normal(0, 3)), "with rows"),
        (lambda: condition_cosine(normal(0, 2, 3)), "number of images is 0"),
        (lambda: disentanglement(np.ones((1, 1))), "number of attributes is 1"),
        (lambda: space_probe(normal(2, 1, 3), -np.ones((2, 1), int), normal(2, 1, 3), np.ones((2, 1), int), 1), "0 queries"),
        (lambda: patch_maps(jnp.ones((2, 5)), (2, 3)), "weights are of 5 tokens"),
        (lambda: parameter_report(PRESETS["quick"], 1), "num_attributes is 1"),
        (lambda: load_cross_attention({}, 2), "out_proj.bias is missing"),
    ],
)
def test_wrong_arguments(call, message, as_installed):
    with pytest.raises(ValueError, match=message):
        call()


def test_converter_is_strict():
    state = {
        "in_proj_weight": normal(12, 4),
        "in_proj_bias": normal(12),
        "out_proj.weight": normal(4, 4),
        "out_proj.bias": normal(4),
    }
    for change, message in (
        ({"bias_k": normal(4)}, "unexpected: bias_k"),
        ({"in_proj_weight": normal(8, 4)}, "mis-shaped: in_proj_weight"),
        ({"in_proj_bias": None}, "missing: in_proj_bias"),
    ):
        changed = {name: x for name, x in (state | change).items() if x is not None}
        with pytest.raises(ValueError, match=message):
            load_cross_attention(changed, 2)
    with pytest.raises(ValueError, match="num_heads"):
        load_cross_attention(state, 3)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_trace(name):
    """Loss and embeddings of every network of every preset, by shapes alone."""
    preset: Preset = PRESETS[name]
    training, side = preset.training, preset.vit.image_size
    assert training.transformation() is not None
    rows = training.batch_size * (3 if training.triplets == "fixed" else 1)
    images = jax.ShapeDtypeStruct((rows, side, side, 3), jnp.uint8)
    told = jax.ShapeDtypeStruct((training.batch_size, 4)[: 2 if training.triplets == "in-batch" else 1], jnp.int32)
    for kind, make in builders(preset, 4).items():
        graph, state = nnx.split(nnx.eval_shape(lambda make=make: make(nnx.Rngs(0))))

        def both(state, images, told, graph=graph):
            net = nnx.merge(graph, state)
            return triplet_loss(training)(net, (images, told), KEY), net.embed_all(images)

        loss, z = jax.eval_shape(both, state, images, told)
        assert loss.shape == () and z.shape == (rows, 4, preset.vit.dim if kind == "ASEN" else preset.embed_dim)
