"""Relative representations: golden vectors, invariances, anchors, models, stitching, graph networks, presets."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from quire.common.data.images import ImageData, ImageSplit
from quire.common.errors import DatasetUnavailable
from quire.common.fields.surfaces import farthest_points
from quire.common.layers.norms import BatchNorm
from quire.common.losses.classification import smoothed_cross_entropy
from quire.common.metrics.similarity import counterpart_mrr, linear_cka, neighbour_jaccard, rbf_cka
from quire.common.testing import (
    assert_close,
    assert_degenerate,
    assert_dtypes,
    assert_gradients,
    assert_jit_consistent,
    assert_matches_float64,
    assert_vmap_consistent,
)
from quire.common.train.fit import fit
from quire.common.train.recipe import Recipe
from quire.relative_representations import (
    GCN,
    PRESETS,
    LinearHead,
    RelativeLayer,
    RelativeModel,
    accuracy,
    align,
    class_mean,
    code_cosine,
    code_mse,
    compare_codes,
    fit_heads,
    gaussian_anchors,
    mixture,
    normalize_codes,
    optimal_sigma_loss,
    quantize,
    quantize_to_clusters,
    relative_projection,
    select_anchors,
    stitching_matrix,
    subspace_projection,
    summarise,
)
from quire.relative_representations.autoencoder import build_autoencoder, reconstruction_loss
from quire.relative_representations.citations import generated_citations, open_citations
from quire.relative_representations.comparison import derangement
from quire.relative_representations.graph_networks import all_latents, glorot_gcn, latents_of, receptive_field, train_gcns
from quire.relative_representations.image_encoders import Classifier, ImageEncoder, LatentProjection, classification_loss
from quire.relative_representations.sources import LabelledImages, open_images
from quire.relative_representations.stitched_graphs import similarities
from quire.relative_representations.stitched_images import paired_cosines

KEY = jax.random.key(0)
PRECISIONS = pytest.mark.parametrize(("x64", "tolerance"), [(True, 1e-9), (False, 1e-5)], ids=["float64", "float32"])


@pytest.fixture(scope="module")
def vectors(golden):
    return golden("relative_representations")


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def single(*shape, seed=0):
    return normal(*shape, seed=seed).astype(np.float32)


# --- Golden vectors ---


@PRECISIONS
def test_golden_codes(vectors, x64, tolerance):
    with jax.enable_x64(x64):
        x, anchors = (jnp.asarray(vectors[name], float) for name in ("x", "anchors"))
        codes = relative_projection(x, anchors)
        assert_close(codes, vectors["rel_cosine"], tolerance)
        assert_close(relative_projection(x, anchors, "inner"), vectors["rel_inner"], tolerance)
        assert_close(relative_projection(x, anchors, "basis"), vectors["rel_basis"], tolerance)
        assert_close(relative_projection(x, anchors, normalize="layer"), vectors["rel_layernorm"], tolerance)
        assert_close(RelativeLayer(len(anchors))(x, anchors), vectors["rel_layernorm"], tolerance)
        assert_close(class_mean(codes, vectors["anchor_labels"]), vectors["rel_class_mean"], tolerance)
        assert_close(quantize(codes, 0.1), vectors["rel_quantized_0.1"], tolerance)
        moved = relative_projection(vectors["scale"] * x @ vectors["Q"], vectors["scale"] * anchors @ vectors["Q"])
        assert_close(moved, vectors["rel_cosine_transformed"], tolerance)
        assert_close(moved, vectors["rel_cosine"], tolerance)


@PRECISIONS
def test_golden_measures(vectors, x64, tolerance):
    with jax.enable_x64(x64):
        x, w, z = (jnp.asarray(vectors[name], float) for name in ("x", "w", "z"))
        assert_close(linear_cka(x, z), vectors["linear_cka"], tolerance)
        assert_close(rbf_cka(x, z), vectors["rbf_cka"], tolerance)
        assert_close(neighbour_jaccard(w, x, 5), vectors["jaccard@5"], tolerance)
        assert_close(counterpart_mrr(w, x), vectors["mrr_full"], tolerance)
        assert_close(counterpart_mrr(w, x, 5), vectors["mrr@5"], tolerance)
        assert_close(code_cosine(w, x), vectors["cos_mean"], tolerance)
        np.testing.assert_array_equal(farthest_points(x, len(vectors["fps6"])), vectors["fps6"])


# --- Projection ---


def turned(seed=3, dim=6):
    return np.linalg.qr(normal(dim, dim, seed=seed))[0]


@pytest.mark.parametrize(
    ("similarity", "survives"),
    [
        ("cosine", {"rotation", "reflection", "scale"}),
        ("inner", {"rotation", "reflection"}),
        ("basis", {"rotation", "reflection", "scale"}),
        ("euclidean", {"rotation", "reflection", "translation"}),
    ],
)
def test_what_codes_are_invariant_to(similarity, survives):
    x, anchors, q = normal(5, 6), normal(4, 6, seed=1), turned()
    moves = {
        "rotation": lambda z: z @ (q * np.sign(np.linalg.det(q))),
        "reflection": lambda z: z @ np.diag([-1.0, 1, 1, 1, 1, 1]),
        "scale": lambda z: z * 3.7,
        "translation": lambda z: z + 0.5,
    }
    with jax.enable_x64():
        before = relative_projection(x, anchors, similarity)
        for name, move in moves.items():
            change = float(jnp.abs(relative_projection(move(x), move(anchors), similarity) - before).max())
            assert (change < 1e-12) == (name in survives), f"{similarity} changes by {change} under {name}"
            assert change < 1e-12 or change > 1e-2


def test_codes_by_their_definitions():
    x, anchors = normal(5, 6), normal(8, 6, seed=1)
    a, b = (z / np.linalg.norm(z, axis=1, keepdims=True) for z in (x, anchors))
    distances = [[np.linalg.norm(row - other) for other in anchors] for row in x]
    with jax.enable_x64():
        assert_close(relative_projection(x, anchors), a @ b.T, 1e-12)
        assert_close(relative_projection(x, anchors, "inner"), x @ anchors.T / 6**0.5, 1e-12)
        assert_close(relative_projection(x, anchors, "euclidean"), -np.array(distances), 1e-12)
        for m in (3, 6, 8):  # fewer than dimensions, as many, more
            expected = np.linalg.lstsq(b[:m].T, a.T, rcond=None)[0].T
            assert_close(relative_projection(x, anchors[:m], "basis"), expected, 1e-10)
        repeated = np.concatenate([anchors[:3], anchors[:3]])  # least norm shares the weight between copies
        assert_close(relative_projection(x, repeated, "basis")[:, :3], relative_projection(x, anchors[:3], "basis") / 2, 1e-10)


def test_normalizations_by_their_definitions():
    codes = normal(5, 4)
    with jax.enable_x64():
        assert_close(normalize_codes(codes, None), codes, 0)
        assert_close(normalize_codes(jnp.asarray(codes), "l2"), codes / np.linalg.norm(codes, axis=1, keepdims=True), 1e-12)
        for kind, axis in (("layer", 1), ("batch", 0)):
            expected = (codes - codes.mean(axis, keepdims=True)) / np.sqrt(codes.var(axis, keepdims=True) + 1e-5)
            assert_close(normalize_codes(jnp.asarray(codes), kind), expected, 1e-12)


@pytest.mark.parametrize("similarity", ["cosine", "inner", "basis", "euclidean"])
def test_projection_at_the_edges(similarity):
    x, anchors = single(4, 3), single(5, 3, seed=1)
    scales = (1e-15, 1e6)

    def project(x, anchors):
        return relative_projection(x, anchors, similarity)

    assert_degenerate(project, x, anchors, scales=scales)
    assert_dtypes(project, x, anchors, tolerance=1e-3 if similarity == "basis" else 1e-5, dtypes=("bool", "uint8", "bfloat16"))
    stacked = jnp.asarray(single(2, 4, 3)), jnp.asarray(single(2, 5, 3, seed=1))
    assert_jit_consistent(project, jnp.asarray(x), jnp.asarray(anchors))
    assert_vmap_consistent(project, *stacked, tolerance=1e-4)
    assert relative_projection(x[:0], anchors, similarity).shape == (0, 5)
    closed_over = jax.jit(lambda x: project(x, jnp.asarray(anchors)))  # anchors are a constant of the program
    assert_close(closed_over(x), project(x, anchors), 1e-5)


def test_near_samples_keep_their_digits():
    base = 100 + single(1, 3)
    near = base + 1e-3 * single(4, 3, seed=1)
    assert_matches_float64(lambda x, a: relative_projection(x, a, "euclidean"), near, base + 2e-3)
    tiny = relative_projection(1e-30 * single(3, 4), 1e-30 * single(2, 4, seed=1))
    assert_close(tiny, relative_projection(single(3, 4), single(2, 4, seed=1)), 1e-5)


def test_gradients_of_the_projection():
    x, anchors = normal(3, 4), normal(5, 4, seed=1)
    for similarity in ("cosine", "inner", "euclidean"):
        assert_gradients(lambda x, a, s=similarity: relative_projection(x, a, s, "layer"), x, anchors, tolerance=1e-5)
    assert_gradients(lambda x: relative_projection(x, jnp.asarray(anchors), "basis"), x, tolerance=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: relative_projection(np.ones((2, 3)), np.ones((2, 4))), r"x has shape \(2, 3\) and anchors \(2, 4\)"),
        (lambda: relative_projection(np.ones((2, 3)), np.ones((0, 3))), "anchors"),
        (lambda: relative_projection(np.ones(3), np.ones((2, 3))), "x has shape"),
        (lambda: relative_projection(np.full((2, 3), np.nan), np.ones((2, 3))), "x has numbers that are not finite"),
        (lambda: relative_projection(np.ones((2, 3)), np.full((2, 3), np.inf)), "anchors has numbers that are not finite"),
        (lambda: relative_projection(np.ones((2, 3)), np.ones((2, 3)), "dot"), "similarity is 'dot'"),
        (lambda: relative_projection(np.ones((2, 3)), np.ones((2, 3)), normalize="max"), "normalize is 'max'"),
        (lambda: relative_projection(np.ones((2, 3), complex), np.ones((2, 3))), "real numbers"),
        (lambda: quantize(np.ones(3), 0.0), "bin_size is 0.0"),
        (lambda: quantize(np.ones(3), 0.1, "up"), "rounding is 'up'"),
        (lambda: quantize_to_clusters(np.ones((2, 3)), np.ones((2, 2))), "centres"),
        (lambda: class_mean(np.ones((2, 3)), np.array([0, 1])), "anchor_labels has shape"),
        (lambda: subspace_projection(np.ones((2, 6)), np.ones((2, 6)), 4), "groups is 4"),
        (lambda: subspace_projection(np.ones((2, 6)), np.ones((2, 6)), 2, "min"), "pooling is 'min'"),
        (lambda: subspace_projection(np.ones((2, 6)), np.ones((2, 6)), 2, "linear"), "weights is None"),
        (lambda: subspace_projection(np.ones((2, 6)), np.ones((2, 6)), 2, "sum", weights=np.ones((4, 1))), "weights is"),
        (lambda: mixture(np.ones((2, 3)), np.ones((2, 3))), "values has shape"),
        (lambda: mixture(np.ones((2, 3)), np.ones((3, 1)), 0.0), "temperature is 0.0"),
        (lambda: select_anchors(KEY, np.ones((3, 2)), 4), "m is 4"),
        (lambda: select_anchors(KEY, np.ones((3, 2)), 0), "m is 0"),
        (lambda: select_anchors(KEY, np.full((3, 2), np.nan), 2), "not finite"),
        (lambda: select_anchors(KEY, np.ones((3, 2)), 2, "best"), "policy is 'best'"),
        (lambda: select_anchors(KEY, np.ones((3, 2)), 2, "balanced"), "labels has shape"),
        (lambda: select_anchors(KEY, np.ones((3, 2)), 2, "frequent", counts=np.ones(2)), "counts has shape"),
        (lambda: select_anchors(KEY, np.ones((2, 2)), 1, "frequent", counts=np.array([1, np.nan])), "counts has numbers"),
        (lambda: select_anchors(KEY, np.ones((4, 2)), 4, "balanced", labels=np.array([0, 0, 0, 1])), r"too few of 1 \(1\)"),
        (lambda: gaussian_anchors(KEY, np.ones((3, 2)), np.zeros(3, int), 0), "per_class is 0"),
        (lambda: gaussian_anchors(KEY, np.full((3, 2), np.inf), np.zeros(3, int), 1), "not finite"),
        (lambda: RelativeLayer(0), "num_anchors is 0"),
        (lambda: RelativeLayer(3, norm="group"), "norm is 'group'"),
        (lambda: RelativeLayer(3, values=2), "rngs is None"),
        (lambda: RelativeLayer(3)(jnp.ones((2, 4)), jnp.ones((2, 4))), "anchors has 2 rows"),
        (
            lambda: RelativeModel(nnx.Linear(2, 2, rngs=nnx.Rngs(0)), None, {"a": np.ones((2, 1)), "b": np.ones(3)}),
            "leading axes",
        ),
        (lambda: RelativeModel(nnx.Linear(2, 2, rngs=nnx.Rngs(0)), None, np.ones((2, 2)), RelativeLayer(3)), "made for 3"),
        (lambda: code_cosine(np.ones((2, 3)), np.ones((3, 3))), "a and b have shapes"),
        (lambda: code_mse(np.ones((0, 3)), np.ones((0, 3))), "at least 1"),
        (lambda: compare_codes(KEY, np.ones((1, 3)), np.ones((1, 3)), k=1), "n is 1"),
        (lambda: compare_codes(KEY, np.eye(3), np.eye(3), k=4), "k is 4"),
        (lambda: align(np.ones((3, 2)), np.ones((2, 2))), "the same anchors"),
        (lambda: align(np.ones((3, 2)), np.ones((3, 4))), "equal"),
        (lambda: align(np.ones((3, 2)), np.ones((3, 2)), "affine"), "kind is 'affine'"),
        (lambda: accuracy(np.ones((2, 3)), np.zeros(3, int)), "outputs and labels"),
        (lambda: stitching_matrix([np.ones((2, 3))], [], np.zeros(2, int)), "0 heads"),
        (lambda: summarise(np.ones((1, 1))), "n at least 2"),
        (lambda: optimal_sigma_loss(jnp.ones(3), jnp.ones(2)), "x has shape"),
        (lambda: replace(PRESETS["quick"].images, anchor_counts=(10, 10, 300)), "anchor_counts is"),
        (lambda: replace(PRESETS["quick"].graphs, rates=(1e-2, 1e-3, 1e-4)), "rates is"),
        (lambda: replace(PRESETS["quick"].graphs, snapshots=(5, 5)), "snapshots"),
        (lambda: generated_citations(PRESETS["quick"].graphs, papers=100), "papers is 100"),
    ],
)
def test_wrong_arguments(call, message, as_installed):
    with jax.debug_nans(False), pytest.raises(ValueError, match=message):
        call()


# --- Rounding, pooling ---


def test_roundings_and_their_derivatives():
    t = np.array([-0.26, -0.15, 0.0, 0.05, 0.15, 0.31])
    with jax.enable_x64():
        for kind, slope in (("straight-through", np.ones(6)), ("hard", np.zeros(6)), ("smooth", 1 - np.cos(20 * np.pi * t))):
            found, pull = jax.vjp(lambda x, k=kind: quantize(x, 0.1, k), jnp.asarray(t))
            smooth = t - 0.1 * np.sin(20 * np.pi * t) / (2 * np.pi)
            np.testing.assert_allclose(found, smooth if kind == "smooth" else np.round(t / 0.1) * 0.1, atol=1e-12)
            np.testing.assert_allclose(pull(jnp.ones(6))[0], slope, atol=1e-12)
        np.testing.assert_allclose(quantize(jnp.array([0.5, 1.5, 2.5]), 1.0), [0, 2, 2])  # ties to even
    assert_dtypes(lambda x: quantize(x, 0.5), single(4), dtypes=("uint8", "bool"))


def test_clusters_are_the_nearest_centres():
    x, centres = single(7, 3), single(4, 3, seed=1)
    nearest = np.linalg.norm(x[:, None] - centres, axis=-1).argmin(1)
    found, pull = jax.vjp(lambda x: quantize_to_clusters(x, jnp.asarray(centres)), jnp.asarray(x))
    np.testing.assert_array_equal(found, centres[nearest])  # exactly, so that equal codes are equal
    np.testing.assert_array_equal(pull(jnp.asarray(x))[0], x)


def test_class_means_by_loops():
    codes, labels = normal(3, 5), np.array([4, 2, 4, 9, 2])
    expected = np.stack([codes[:, labels == c].mean(1) for c in (2, 4, 9)], 1)
    assert_close(class_mean(codes.astype(np.float32), labels), expected, 1e-6)


def test_subspaces_by_loops():
    x, anchors = normal(3, 6), normal(4, 6, seed=1)
    weights = normal(12, 2)
    with jax.enable_x64():
        parts = np.stack([relative_projection(x[:, i : i + 2], anchors[:, i : i + 2]) for i in (0, 2, 4)])
        for pooling in ("sum", "mean", "max"):
            assert_close(subspace_projection(x, anchors, 3, pooling), getattr(parts, pooling)(0), 1e-12)
        flat = np.concatenate(list(parts), axis=1)
        assert_close(subspace_projection(x, anchors, 3, None), flat, 1e-12)
        assert_close(subspace_projection(x, anchors, 3, "linear", weights=weights), flat @ weights, 1e-12)
        assert_close(subspace_projection(x, anchors, 1), relative_projection(x, anchors), 1e-12)


def test_mixtures():
    codes, values = normal(3, 4), normal(4, 2, seed=1)
    weights = np.exp(codes / 0.5) / np.exp(codes / 0.5).sum(1, keepdims=True)
    with jax.enable_x64():
        assert_close(mixture(codes, values), codes @ values, 1e-12)
        assert_close(mixture(codes, values, 0.5), weights @ values, 1e-12)


# --- Anchors ---


def test_policies():
    latents, labels = single(40, 3), np.arange(40) % 4
    for policy in ("uniform", "farthest", "kmeans", "balanced"):
        ids, same = (select_anchors(KEY, latents, 10, policy, labels=labels) for _ in range(2))
        np.testing.assert_array_equal(ids, same)
        assert len(set(ids.tolist())) == 10 and ids.min() >= 0 and ids.max() < 40
        assert (ids != select_anchors(jax.random.key(1), latents, 10, policy, labels=labels)).any()
    assert np.bincount(labels[select_anchors(KEY, latents, 10, "balanced", labels=labels)]).tolist() == [3, 3, 2, 2]
    far = select_anchors(KEY, latents, 10, "farthest")
    np.testing.assert_array_equal(far, farthest_points(latents, 10, int(far[0])))
    centres = np.repeat(10 * np.eye(3), 4, axis=0)
    near = select_anchors(KEY, (centres + 0.1 * normal(12, 3)).astype(np.float32), 3, "kmeans")
    assert sorted(near // 4) == [0, 1, 2]
    assert len(set(select_anchors(KEY, np.zeros((5, 2)), 5, "kmeans").tolist())) == 5  # copies are still five samples
    np.testing.assert_array_equal(select_anchors(KEY, latents, 40), range(40))


def test_gaussian_anchors_have_the_moments_of_their_class():
    draw = np.random.default_rng(0)
    spread = np.array([[2.0, 0.0], [1.5, 0.3]])
    latents = np.concatenate([draw.normal(size=(400, 2)) @ spread + 5, draw.normal(size=(300, 2)) * 0.1])
    labels = np.repeat([7, 3], [400, 300])
    drawn = gaussian_anchors(KEY, latents, labels, 4000)
    assert drawn.shape == (8000, 2)
    for part, own in ((drawn[:4000], latents[400:]), (drawn[4000:], latents[:400])):
        np.testing.assert_allclose(part.mean(0), own.mean(0), atol=4 * own.std() / 4000**0.5)
        np.testing.assert_allclose(np.cov(part.T), np.cov(own.T), rtol=0.15, atol=1e-3)


# --- Layer and model ---


def test_layer_options():
    x, anchors = jnp.asarray(single(5, 6)), jnp.asarray(single(4, 6, seed=1))
    codes = relative_projection(x, anchors)

    @nnx.jit
    def call(layer):
        return layer(x, anchors)

    assert_close(call(RelativeLayer(4, norm=None)), codes, 1e-6)
    assert_close(call(RelativeLayer(4, norm=None, bin_size=0.2)), quantize(codes, 0.2), 1e-6)
    for norm, kind in (("l2", "l2"), ("layer", "layer"), ("instance", "layer"), ("batch", "batch")):
        layer = RelativeLayer(4, norm=norm)
        assert_close(call(layer), normalize_codes(codes, kind), 1e-5)
        trained = {path[-1] for path in nnx.to_flat_state(nnx.state(layer, nnx.Param)).paths}
        assert trained == ({"scale", "shift"} if norm in ("layer", "batch") else set())
    scaled = RelativeLayer(4)
    scaled.scale[...], scaled.shift[...] = jnp.arange(4.0), jnp.ones(4)
    assert_close(call(scaled), jnp.arange(4.0)[None] * normalize_codes(codes, "layer") + 1, 1e-5)
    pooled = RelativeLayer(4, groups=3, pooling="linear", norm=None, rngs=nnx.Rngs(0))
    expected = subspace_projection(x, anchors, 3, "linear", weights=pooled.pool[...])
    assert_close(call(pooled), expected, 1e-6)
    assert call(RelativeLayer(4, groups=3, pooling=None)).shape == (5, 12)
    mapped = RelativeLayer(4, dim=6, values=3, norm=None, rngs=nnx.Rngs(0))
    inside = relative_projection(x @ mapped.query[...], anchors @ mapped.key[...])
    assert_close(call(mapped), inside @ mapped.values[...], 1e-5)
    assert np.abs(mapped.query[...] - mapped.key[...]).max() > 0.1


class Encoder(nnx.Module):
    def __init__(self, rngs, norm=False):
        self.linear, self.norm = nnx.Linear(4, 3, rngs=rngs), BatchNorm(3) if norm else None

    def __call__(self, x):
        z = self.linear(x["a"])
        return z if self.norm is None else self.norm(z)


def relative_model(joint=False, norm=False):
    anchors = {"a": single(6, 4, seed=2), "unused": np.arange(6)}
    return RelativeModel(Encoder(nnx.Rngs(0), norm), nnx.Linear(6, 2, rngs=nnx.Rngs(1)), anchors, joint=joint)


def inputs(count=5):
    return {"a": jnp.asarray(single(count, 4)), "unused": jnp.zeros(count, int)}


def test_anchors_pass_without_a_derivative():
    """The gradient is that of a loss whose anchors' latents are constants; with a derivative it would be another one."""
    x = inputs()

    def through(model, constant=None):
        anchors = model.encoder(model.anchors.get_value()) if constant is None else constant
        return jnp.sum(model.head(model.layer(model.encoder(x), anchors)) ** 2)

    @nnx.jit
    def slopes(model, joint, constant):
        losses = (lambda m: through(m, constant), through, lambda m: jnp.sum(m(x) ** 2))
        parts = [nnx.grad(loss)(each) for loss, each in zip((*losses, losses[-1]), (model, model, model, joint), strict=True)]
        return [part["encoder"]["linear"]["kernel"][...] for part in parts]

    model = relative_model()
    expected, leaking, alone, joint = slopes(model, relative_model(True), model.encoder(model.anchors.get_value()))
    assert_close(alone, expected, 1e-5)
    assert_close(joint, expected, 1e-5)
    assert np.abs(expected - leaking).max() > 1e-2


def test_anchors_and_running_statistics():
    """Anchors on their own leave the batch its own statistics; both kinds agree in evaluation, and without a batch norm."""
    x = inputs()
    call = nnx.jit(lambda model: model(x))
    assert_close(call(relative_model(True)), call(relative_model()), 1e-5)
    alone, joint = relative_model(norm=True), relative_model(True, norm=True)
    assert np.abs(call(alone) - call(joint)).max() > 1e-3
    assert np.abs(alone.encoder.norm.mean[...]).max() > 0
    for model in (alone, joint):
        model.eval()
    joint.encoder.norm.mean[...], joint.encoder.norm.var[...] = alone.encoder.norm.mean[...], alone.encoder.norm.var[...]
    assert_close(call(joint), call(alone), 1e-5)


def test_a_relative_classifier_learns_and_its_anchors_do_not():
    draw = np.random.default_rng(0)
    labels = np.arange(60) % 3
    x = (2 * np.eye(3, 8)[labels] + 0.3 * draw.normal(size=(60, 8))).astype(np.float32)
    encoder = nnx.Sequential(LatentProjection(8, 4, rngs=nnx.Rngs(0)))
    model = RelativeModel(encoder, nnx.Linear(9, 3, rngs=nnx.Rngs(1)), x[:9])

    def loss(model, batch, key):
        return smoothed_cross_entropy(model(batch[0]), batch[1])

    history = fit(model, optax.adam(2e-2), loss, lambda data, step: data, (x, labels), steps=60, key=KEY)
    assert history.losses[-1] < 0.3 < history.losses[0]
    np.testing.assert_array_equal(model.anchors.get_value(), x[:9])
    model.eval()
    assert accuracy(np.asarray(model(jnp.asarray(x))), labels) > 0.9


# --- Comparison, alignment, stitching ---


def test_measures_and_their_controls():
    a = single(30, 5)
    order = derangement(KEY, 30)
    assert sorted(order) == list(range(30)) and (order != np.arange(30)).all()
    found = compare_codes(KEY, a, a, k=3)
    for name, (same, shuffled) in found.items():
        assert np.isclose(same, 0 if name == "MSE" else 1, atol=1e-5), name
        assert (shuffled > 0.5) if name == "MSE" else (shuffled < 0.7), name
    b = single(30, 5, seed=1)
    unit = [z / np.linalg.norm(z, axis=1, keepdims=True) for z in (a, b)]
    middle = [(z - z.mean(0)) / np.linalg.norm(z - z.mean(0), axis=1, keepdims=True) for z in (a, b)]
    found = compare_codes(KEY, a, b, k=3)
    np.testing.assert_allclose(found["cosine"], [np.mean(np.sum(unit[0] * u, 1)) for u in (unit[1], unit[1][order])], atol=1e-6)
    np.testing.assert_allclose(found["cosine, centred"][0], np.mean(np.sum(middle[0] * middle[1], 1)), atol=1e-6)
    np.testing.assert_allclose(found["MSE"][1], np.mean((a - b[order]) ** 2), rtol=1e-5)
    assert_degenerate(code_cosine, a[:4], b[:4])


def test_alignments_recover_a_map():
    x, q = normal(20, 6), turned()
    with jax.enable_x64():
        there = align(x, 2 + x @ q)
        assert_close(there(x), 2 + x @ q, 1e-10)
        assert_close(there.matrix, q, 1e-10)
        stretched = x @ normal(6, 4, seed=5) - 1
        assert_close(align(x, stretched, "least squares")(x), stretched, 1e-10)
        few = align(x[:3], stretched[:3], "least squares")  # of all maps that fit, that of least norm
        expected = np.linalg.pinv(x[:3] - x[:3].mean(0)) @ (stretched[:3] - stretched[:3].mean(0))
        assert_close(few.matrix, expected, 1e-9)


def spaces():
    """Two encoders that differ by a rotation, and labels."""
    draw = np.random.default_rng(0)
    labels = np.arange(90) % 3
    z = 3 * np.eye(3, 6)[labels] + 0.5 * draw.normal(size=(90, 6))
    return [z.astype(np.float32), (5 * z @ turned(8)).astype(np.float32)], labels


def test_stitching_needs_relative_codes_in_the_same_order():
    latents, labels = spaces()
    recipe = Recipe(100, 30, 0.05, schedule="constant", optimiser="adam")

    def stitched(codes):
        heads = fit_heads(KEY, np.stack(codes), labels, 3, recipe)
        return summarise(stitching_matrix(codes, [heads.at(i) for i in range(2)], labels))

    relative = [np.asarray(relative_projection(z, z[:9], normalize="layer")) for z in latents]
    shuffled = [relative[0], np.asarray(relative_projection(latents[1], latents[1][:9][::-1], normalize="layer"))]
    assert min(stitched(relative)) > 0.9
    assert stitched(shuffled).other < 0.6 < 0.9 < stitched(shuffled).own
    assert stitched([z / z.std() for z in latents]).other < 0.6
    cosines = paired_cosines(KEY, np.stack([z[:9] for z in latents]), np.stack(latents))
    np.testing.assert_allclose(cosines["relative"], 1, atol=1e-5)
    assert cosines["absolute"] < 0.9 and cosines["centred, shuffled"] < 0.3


def test_accuracy_of_nan_is_nan():
    assert np.isnan(accuracy(np.array([[np.nan, 0.0]]), np.array([0])))
    head = LinearHead(np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([0.5, 0.0]))
    np.testing.assert_array_equal(head(np.array([[1.0, 1.0]])), [[1.5, 2.0]])


# --- Autoencoders ---


def test_optimal_sigma_loss():
    x, x_hat = normal(4, 5), normal(4, 5, seed=1)
    mse = np.mean((x - x_hat) ** 2)
    with jax.enable_x64():
        sigma = np.exp(0.5 * np.log(mse))
        expected = np.mean(0.5 * ((x - x_hat) / sigma) ** 2) + np.log(sigma)
        assert_close(optimal_sigma_loss(jnp.asarray(x), jnp.asarray(x_hat)), expected, 1e-12)
        gradient = jax.grad(lambda y: optimal_sigma_loss(jnp.asarray(x), y))(jnp.asarray(x_hat))
        assert_close(gradient, (x_hat - x) / x.size / mse, 1e-12)  # as with the variance held constant
    assert_degenerate(optimal_sigma_loss, x.astype(np.float32), x_hat.astype(np.float32))


# --- Graph networks ---


def small_citations():
    config = replace(PRESETS["quick"].graphs, hidden=5, latent=4, snapshots=(2, 30), rates=(1e-2, 1e-2, 1e-3))
    return generated_citations(config, papers=180, topics=3, words=40)


def dense(graph):
    a = np.eye(graph.num_nodes)
    i, j = np.asarray(graph.pairs)
    a[i, j] = a[j, i] = 1
    root = a.sum(1) ** -0.5
    return root[:, None] * a * root


def test_networks_on_the_field_of_their_nodes_are_those_on_the_whole_graph():
    citations = small_citations()
    start = glorot_gcn(KEY, (40, 5, 4, 3))
    shifted = start._replace(b1=single(5), b2=single(4), b=single(3))
    a = dense(citations.graph)
    z = a @ np.maximum(a @ citations.words @ shifted.w1 + shifted.b1, 0) @ shifted.w2 + shifted.b2
    assert_close(all_latents(GCN(*(x[None] for x in shifted)), citations)[0], z, 1e-5)
    field = receptive_field(citations.graph, citations.words, citations.train)
    assert field.adjacency.shape[1] < citations.graph.num_nodes
    assert_close(latents_of(shifted, field), z[citations.train], 1e-5)


def test_networks_of_different_rates_train_as_by_adamw():
    citations = small_citations()
    start = [glorot_gcn(key, (40, 5, 4, 3)) for key in jax.random.split(KEY, 3)]
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *start)
    trained, losses = train_gcns(stacked, np.float32(citations.config.rates), citations)
    assert trained.w1.shape == (3, 2, 40, 5) and losses.shape == (3, 2)
    assert (losses[:, 1] < losses[:, 0]).all()
    field = receptive_field(citations.graph, citations.words, citations.train)
    labels = jnp.asarray(citations.labels[citations.train])

    def loss(w):
        return smoothed_cross_entropy(jax.nn.relu(latents_of(w, field)) @ w.w + w.b[None], labels)

    slopes = jax.jit(jax.grad(loss))
    for model in (0, 2):
        tx = optax.adamw(citations.config.rates[model], weight_decay=citations.config.weight_decay)
        weights = jax.tree.map(jnp.asarray, start[model])
        state = tx.init(weights)
        for _ in range(2):
            updates, state = tx.update(slopes(weights), state, weights)
            weights = optax.apply_updates(weights, updates)
        assert_close(GCN(*(x[model, 0] for x in trained)), weights, 1e-4)


def test_similarity_to_the_best_network():
    latents, q = single(2, 2, 12, 4), turned(1, 4).astype(np.float32)
    latents[1, 0] = latents[0, 1] @ q
    found = similarities(KEY, latents, np.arange(6), np.array([[0.1, 0.9], [0.3, 0.4]]), np.arange(4, 12))
    assert found["best"].tolist() == [0, 1]
    for name in ("raw", "centred"):
        np.testing.assert_allclose([found[name][0, 1], found[name][1, 0]], 1, atol=1e-5)
        assert found[name][1, 1] < 0.9
    assert np.abs(found["shuffled"][0, 1]) < 0.9


# --- Data and presets ---


def test_sources_and_their_stand_ins(monkeypatch, tmp_path, as_installed):
    preset = PRESETS["quick"]
    monkeypatch.setenv("QUIRE_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    images, citations = open_images(preset.images), open_citations(preset.graphs)
    assert "digits" in images.name and images.stand_in_for == "CIFAR-10"
    assert 0 < images.value.mean < 1 and images.value.config.patch == 2
    assert "generated" in citations.name and citations.stand_in_for == "Cora"
    value = citations.value
    parts = np.concatenate([value.train, value.validation, value.test])
    assert len(set(parts.tolist())) == len(parts) == len(value.labels)
    assert np.bincount(value.labels[value.train]).tolist() == [20] * value.num_classes
    with pytest.raises(DatasetUnavailable, match="cora"):
        open_citations(PRESETS["paper"].graphs)
    with pytest.raises(ValueError, match="image_set is 'svhn'"):
        open_images(replace(preset.images, image_set="svhn"))
    with pytest.raises(ValueError, match="citation_set is 'pubmed'"):
        open_citations(replace(preset.graphs, citation_set="pubmed"))
    with pytest.raises(ValueError, match="anchor_counts is"):
        open_images(replace(preset.images.fallback, anchor_counts=(1, 2, 5000)))


def test_cora_is_read_as_it_was_split(quire_data):
    citations = open_citations(PRESETS["quick"].graphs)
    value = citations.value
    assert (citations.stand_in_for, value.words.shape, value.graph.num_edges) == ("", (2708, 1433), 5278)
    assert (len(value.train), len(value.validation), len(value.test), value.num_classes) == (140, 500, 1000, 7)
    assert value.words.sum() == 49216


@pytest.mark.parametrize("name", PRESETS)
def test_presets_trace(name):
    """Losses of every preset's encoders and autoencoders, by shapes alone."""
    config = PRESETS[name].images
    side = 28 if config.in_channels == 1 else 32
    batch = jax.ShapeDtypeStruct((2, side, side, config.in_channels), jnp.uint8)
    labels = jax.ShapeDtypeStruct((2,), jnp.int32)

    def traced(build, loss, batch):
        graph, state = nnx.split(nnx.eval_shape(build))
        return jax.eval_shape(lambda state, batch: loss(nnx.merge(graph, state), batch, KEY), state, batch).shape

    def classifier(channels):
        encoder = ImageEncoder(channels, config, 0.0, 1.0, rngs=nnx.Rngs(0))
        return Classifier(encoder, config.dim, 10, rngs=nnx.Rngs(1))

    for channels in set(config.architectures):
        assert traced(lambda c=channels: classifier(c), classification_loss, (batch, labels)) == ()
    split = ImageSplit(np.zeros((1, *batch.shape[1:]), np.uint8), np.zeros(1, np.int32))
    images = LabelledImages(config, ImageData("nothing", split, split, 10), 0.0, 1.0)
    anchors = np.zeros((config.autoencoding.relative_anchors, *batch.shape[1:]), np.uint8)
    for chosen in (None, anchors):
        assert traced(lambda a=chosen: build_autoencoder(images, a, nnx.Rngs(0)), reconstruction_loss, batch) == ()
    assert config.training.transformation() is not None
