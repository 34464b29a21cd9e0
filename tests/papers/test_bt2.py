"""BT^2: golden vectors, changes of basis, losses, comparison, post-hoc maps, training, converters, presets."""

import warnings
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from quire.bt2 import (
    PRESETS,
    Backbone,
    BT2Head,
    BT2Model,
    BT2Out,
    Classifier,
    Embedded,
    Labels,
    OrthogonalLinear,
    basis_transformation,
    bct_loss,
    bt2_loss,
    bt2_losses,
    class_prototypes,
    compat_table,
    cross_metrics,
    influence_loss,
    least_squares_map,
    load_bt2,
    load_classifier,
    load_head,
    matching_loss,
    nearest_orthonormal,
    paper,
    procrustes_map,
    random_order,
)
from quire.bt2.experiment import metrics_of, old_vectors, update
from quire.bt2.identities import cast_head, identity_errors, random_state
from quire.bt2.models import embedding_resnet
from quire.bt2.sources import RetrievalImages, open_images
from quire.bt2.training import Objective, Weights, bt2_model_loss, classifier_loss, objectives
from quire.common.claims import run
from quire.common.data.images import ImageSplit
from quire.common.errors import DatasetUnavailable
from quire.common.layers.resnet import torch_names
from quire.common.manifolds.orthogonal import cayley_orthogonal, expm_orthogonal
from quire.common.retrieval.evaluate import retrieval_metrics
from quire.common.testing import (
    assert_close,
    assert_degenerate,
    assert_dtypes,
    assert_gradients,
    assert_jit_consistent,
    assert_matches_float64,
    assert_vmap_consistent,
)

KEY = jax.random.key(0)
PRECISIONS = pytest.mark.parametrize(("x64", "tolerance"), [(True, 1e-9), (False, 1e-5)], ids=["float64", "float32"])


@pytest.fixture(scope="module")
def vectors(golden):
    return golden("bt2")


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def single(*shape, seed=0):
    return jnp.asarray(normal(*shape, seed=seed), jnp.float32)


# --- Golden vectors ---


def authors_state(case):
    """The case's weights under the authors' names."""
    d_new, d_old = len(case["P_new"]), len(case["P_old"])
    state = {"fc3.weight": case["proj_w"], "fc3.bias": case["proj_b"], "fc_out.weight": case["head_w"]}
    for name, key, n in (("ortholinear_p", "P_new", d_new), ("ortholinear_old2", "P_old", d_old)):
        state[f"{name}.parametrizations.weight.original"] = np.zeros((n, n))
        state[f"{name}.parametrizations.weight.0.base"] = case[key]
    return state


def cases(vectors):
    """Every head in the file, by its prefix."""
    return [vectors.case(name[: -len("/cfg")]) for name in vectors.arrays if name.endswith("/cfg")]


def outputs(head, features):
    """Of a head, and of its folded form, by one program."""
    graph, state = nnx.split(head)

    def call(state, features):
        head = nnx.merge(graph, state)
        return head(features), head.folded()(features)

    return jax.jit(call)(state, features)


@PRECISIONS
def test_golden_heads(vectors, x64, tolerance):
    found = cases(vectors)
    assert found
    with jax.enable_x64(x64):
        for case in found:
            _, _, extra, scale, *_, normalize = case["cfg"].tolist()
            head = load_head(
                authors_state(case), extra=int(extra), scale=scale, normalize=bool(normalize), method="cayley", dtype=float
            )
            out, served = outputs(head, jnp.asarray(case["backbone_feature"], float))
            assert_close(out.logits, case["logits"], tolerance)
            assert_close(out.compat, case["bct_feature"], tolerance)
            assert_close(out.new_part, case["feature"], tolerance)
            assert_close(out.embedding, case["new_feature"], tolerance)
            assert_close(served, case["new_feature"], tolerance)


@PRECISIONS
def test_golden_losses(vectors, x64, tolerance):
    with jax.enable_x64(x64):
        for case in cases(vectors):
            y, old, new = jnp.asarray(case["y"]), jnp.asarray(case["phi_old"], float), jnp.asarray(case["phi_new_prime"], float)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of classes without an image
                prototypes = class_prototypes(old, y, len(case["prototypes"]))
            assert_close(prototypes, case["prototypes"], tolerance)
            outputs = (jnp.asarray(case[name], float) for name in ("logits", "bct_feature", "feature", "new_feature"))
            out = BT2Out(*outputs)
            losses = jax.jit(bt2_losses)(out, y, old, new, prototypes)
            total = losses[0] + losses[1] + 10 * losses[2] + 5 * losses[3]
            names = ("loss_ce", "loss_match_new", "loss_bct_influence", "loss_match_old")
            for name, loss in zip(names, losses, strict=True):
                assert_close(loss, case[name], tolerance)
            assert_close(jax.jit(bt2_loss)(out, y, old, new, prototypes), case["loss_total_l1_1_l2_10_l3_5"], tolerance)
            assert_close(total, case["loss_total_l1_1_l2_10_l3_5"], tolerance)


@PRECISIONS
def test_golden_parametrisations(vectors, x64, tolerance):
    with jax.enable_x64(x64):
        a = jnp.asarray(vectors["expm/A"], float)
        for method, function in (("expm", expm_orthogonal), ("cayley", cayley_orthogonal)):
            expected = vectors[f"{method}/Q"]
            assert_close(jax.jit(function)(a), expected, tolerance)
            layer = OrthogonalLinear(len(a), method, rngs=nnx.Rngs(0))
            layer.free, layer.base = nnx.Param(a), nnx.Variable(jnp.eye(len(a)))
            assert_close(nnx.jit(lambda layer, x: layer(x))(layer, jnp.eye(len(a))), expected.T, tolerance)


def test_golden_metrics(vectors):
    found = retrieval_metrics(vectors["metric/q"], vectors["metric/yq"], vectors["metric/g"], vectors["metric/yg"])
    for name in ("top1", "top5", "mAP"):
        np.testing.assert_allclose(found[name], vectors[f"metric/{name}"], rtol=1e-6)
    with jax.enable_x64():
        found = cross_metrics(vectors["metric/q"], vectors["metric/yq"], vectors["metric/g"], vectors["metric/yg"])
        np.testing.assert_allclose(found["mAP"], vectors["metric/mAP"], rtol=1e-9)


# --- The head ---


def trained_like(head, seed=0):
    """A copy whose bases have moved."""
    for i, layer in enumerate((head.first, head.second)):
        layer.free[...] = single(*layer.free.shape, seed=seed + i)
    return head


@pytest.mark.parametrize(
    ("method", "d_new", "d_old", "extra"),
    [("expm", 5, 5, 2), ("cayley", 5, 3, 3), ("cayley", 4, 6, 2)],
    ids=["same size", "smaller old", "nothing left"],
)
def test_identities_of_the_head(method, d_new, d_old, extra):
    head = trained_like(BT2Head(d_new, d_old, 3, extra=extra, scale=1.7, method=method, rngs=nnx.Rngs(0)))
    features = normal(6, d_new + d_old)
    single_features = jnp.asarray(features, jnp.float32)
    assert max(identity_errors(head, single_features).values()) < 1e-5
    with jax.enable_x64():
        assert max(identity_errors(cast_head(head, jnp.float64), jnp.asarray(features)).values()) < 1e-10
    out, _ = outputs(head, single_features)
    assert out.embedding.shape == (6, d_new + extra)  # also where d_old = extra + d_new
    np.testing.assert_array_equal(out.compat, out.embedding[:, :d_old])
    louder = nnx.jit(lambda head, x: head(x, 3.0).embedding)(head, single_features)
    np.testing.assert_allclose(jnp.sum(louder**2, axis=1), 10, rtol=1e-5)


def test_the_second_basis_mixes_the_extra_part_with_the_first_of_the_new():
    h, o = single(4), single(2, seed=1)
    first, second = (np.linalg.qr(normal(n, n, seed=n))[0].astype(np.float32) for n in (4, 3))
    found = basis_transformation(h, o, jnp.asarray(first), jnp.asarray(second), 2.0)
    n = np.concatenate([o / np.linalg.norm(o), 2 * first @ np.asarray(h)])
    assert_close(found, np.concatenate([second @ n[:3], n[3:]]), 1e-6)


def test_a_basis_learns_and_stays_orthonormal():
    layer = OrthogonalLinear(4, "expm", rngs=nnx.Rngs(0))
    np.testing.assert_allclose(layer.matrix, layer.base[...], atol=1e-7)
    assert nnx.state(layer, nnx.Param).flat_state().paths == [("free",)] or len(jax.tree.leaves(nnx.state(layer, nnx.Param))) == 1
    gradient = nnx.grad(lambda layer: layer(jnp.arange(4.0))[0])(layer)["free"][...]
    assert np.abs(np.tril(gradient, -1)).max() > 0.1
    assert not np.triu(gradient).any()
    layer.free[...] = 3 * single(4, 4)
    x = single(5, 4)
    np.testing.assert_allclose(layer(x) @ layer(x).T, x @ x.T, atol=1e-4)
    off = layer.matrix + 1e-3
    assert_close(nearest_orthonormal(off) @ nearest_orthonormal(off).T, np.eye(4), 1e-5)
    assert np.abs(nearest_orthonormal(off) - layer.matrix).max() < 5e-3


def test_the_head_at_the_edges():
    head = trained_like(BT2Head(4, 3, 3, extra=2, method="cayley", rngs=nnx.Rngs(0)))
    features = normal(3, 7)
    graph, state = nnx.split(head)

    def call(features):
        return nnx.merge(graph, state)(features)

    assert_degenerate(call, features.astype(np.float32), scales=(1e-30,))
    assert_dtypes(lambda x: call(x).embedding, features, tolerance=1e-4)
    assert_jit_consistent(call, jnp.asarray(features, jnp.float32))
    assert_vmap_consistent(jax.jit(call), jnp.asarray(features, jnp.float32))
    raw = BT2Head(4, 3, 3, extra=2, normalize=False, method="cayley", rngs=nnx.Rngs(0))
    out, served = outputs(raw, jnp.asarray(features, jnp.float32))
    assert_close(out.new_part, features[:, :4], 1e-6)
    assert_close(served, out.embedding, 1e-5)


# --- Losses ---


def a_batch():
    out = BT2Out(single(4, 3), single(4, 2, seed=1), single(4, 5, seed=2), single(4, 6, seed=3))
    return out, jnp.array([0, 2, 1, 2]), single(4, 2, seed=4), single(4, 5, seed=5), single(3, 2, seed=6)


def test_losses_by_their_definition():
    out, y, old, new, prototypes = a_batch()
    losses = bt2_losses(out, y, old, new, prototypes)
    unit = [np.asarray(x) / np.linalg.norm(x, axis=1, keepdims=True) for x in (out.new_part, new, out.compat, old)]
    assert_close(losses.match_new, 1 - np.mean(np.sum(unit[0] * unit[1], 1)), 1e-5)
    assert_close(losses.match_old, 1 - np.mean(np.sum(unit[2] * unit[3], 1)), 1e-5)
    logits = unit[2] @ np.asarray(prototypes).T
    expected = np.mean(np.log(np.exp(logits).sum(1)) - logits[range(4), y])
    assert_close(losses.influence, expected, 1e-5)
    assert_close(
        bt2_loss(out, y, old, new, prototypes, (0.5, 2, 3)), losses[0] + 0.5 * losses[1] + 2 * losses[2] + 3 * losses[3], 1e-5
    )
    default = losses[0] + losses[1] + 10 * losses[2] + 5 * losses[3]
    assert_close(bt2_loss(out, y, old, new, prototypes), default, 1e-5)
    wide = jnp.concatenate([out.compat, 9 * single(4, 2, seed=7)], axis=1)  # numbers behind the first d_o do not count
    assert_close(bct_loss(out.logits, wide, y, prototypes, 3.0), losses[0] + 3 * influence_loss(out.compat, y, prototypes), 1e-5)


def test_losses_at_the_edges():
    out, _, old, new, prototypes = a_batch()
    arrays = *out[:3], old, new, prototypes

    def total(logits, compat, h, old, new, prototypes):
        labels = jnp.arange(len(logits)) % 3
        return bt2_loss(BT2Out(logits, compat, h, h), labels, old, new, prototypes)

    assert_degenerate(total, *(np.asarray(x) for x in arrays), scales=(1e-30,))
    assert_dtypes(lambda x, t: matching_loss(x, t), normal(4, 3), normal(4, 3, seed=1))
    assert_matches_float64(matching_loss, 100 + 30 * normal(4, 3), np.ones((4, 3)))
    assert_gradients(lambda h: matching_loss(h, jnp.asarray(normal(4, 5))), normal(4, 5, seed=1))


def test_prototypes():
    features, labels = normal(7, 3), np.array([0, 2, 2, 0, 1, 2, 0])
    expected = np.stack([features[labels == c].mean(0) for c in range(3)])
    assert_close(class_prototypes(features.astype(np.float32), labels, 3), expected, 1e-6)
    with pytest.warns(UserWarning, match=r"classes \[3\]"):
        assert not class_prototypes(features.astype(np.float32), labels, 4)[3].any()
    assert_dtypes(lambda x: class_prototypes(x, jnp.asarray(labels), 3), features)
    many = class_prototypes(jnp.ones((1000, 1), jnp.bfloat16), jnp.zeros(1000, int), 1)
    np.testing.assert_allclose(many, 1)


# --- Comparison and post-hoc maps ---


def test_only_shared_coordinates_are_compared():
    old, labels = normal(6, 3), np.array([0, 1, 2, 0, 1, 2])
    wide = np.concatenate([old, 50 * normal(6, 2, seed=1)], axis=1)
    short = cross_metrics(old, labels, old, labels, topk=(1,))
    assert cross_metrics(wide, labels, old, labels, topk=(1,)) == short
    assert cross_metrics(old, labels, wide, labels, topk=(1,)) == short
    assert cross_metrics(old[:, :2], labels, old, labels, topk=(1,)) == cross_metrics(
        old[:, :2], labels, old[:, :2], labels, topk=(1,)
    )


def test_a_rotated_model_is_incompatible_until_it_is_rotated_back():
    labels = np.arange(40) % 5
    centres = normal(5, 8)
    old = centres[labels] + 0.3 * normal(40, 8, seed=1)
    q = np.linalg.qr(normal(8, 8, seed=2))[0]
    new = (centres[labels] + 0.1 * normal(40, 8, seed=3)) @ q
    back, affine = procrustes_map(new, old), least_squares_map(new, old)
    np.testing.assert_allclose(back.matrix @ back.matrix.T, np.eye(8), atol=1e-5)
    models = {"old": old, "new": new, "rotated": back(new), "fitted": affine(new)}
    table = compat_table({name: Embedded(x, x) for name, x in models.items()}, Labels(labels, labels), topk=(1,))
    assert not table["new"].is_compatible(table["old"])
    assert table["rotated"].is_compatible(table["old"])
    assert table["fitted"].cross["mAP"] > table["new"].cross["mAP"]
    assert table["rotated"].own["mAP"] == pytest.approx(table["new"].own["mAP"], abs=1e-4)
    assert table["old"].cross == table["old"].own


def test_least_squares_is_the_best_affine_map():
    new, old = normal(20, 3), normal(20, 4, seed=1)
    found = least_squares_map(new, old)
    residual = old - found(new)
    np.testing.assert_allclose(new.T @ residual, 0, atol=1e-10)
    np.testing.assert_allclose(residual.sum(0), 0, atol=1e-10)
    shifted = least_squares_map(new, new[:, :2] + 5)
    np.testing.assert_allclose(shifted.offset, 5, atol=1e-10)


def test_random_order():
    assert random_order(Labels(np.array([0, 5]), np.array([0, 1, 1, 0]))) == 0.25


# --- Training ---


def tiny_preset():
    backbone = Backbone((6,), patch=2, plain=True, rectified=False, in_channels=1)
    recipe = replace(PRESETS["quick"].training, steps=60, batch_size=16, learning_rate=2e-2)
    small = replace(PRESETS["quick"], old_classes=2, old_dim=3, new_dim=4, extra=2, other_scales=(), training=recipe)
    return replace(small, old_backbone=backbone, new_backbone=backbone, next_backbone=backbone)


def tiny_images():
    labels = (np.arange(60) % 3).astype(np.int32)
    images = (normal(3, 2, 2, 1)[labels] + 0.2 * normal(60, 2, 2, 1, seed=1)).astype(np.float32)
    parts = [ImageSplit(images[rows], labels[rows]) for rows in (slice(30), slice(30, 45), slice(45, 60))]
    return RetrievalImages("prototypes", 3, *parts)


def test_an_update_and_the_one_after_it():
    """Old dimension 3, then 4 + 2 = 6 = d + a, so that nothing is left behind the compatible part."""
    preset, images, keys = tiny_preset(), tiny_images(), jax.random.split(KEY, 2)
    old = old_vectors(preset, images, keys)
    assert old["gallery"].shape == (2, 15, 3)
    found = update(preset, images, preset.new_backbone, old, keys, objectives(preset), (2.0, 4.0))
    sizes = {"independent": 4, "BCT": 4, "matching": 4, "naive extra": 6, "independent, unit": 4}
    assert {name: x["queries"].shape for name, x in found.classifiers.items()} == {n: (2, 15, size) for n, size in sizes.items()}
    for name, vectors in found.classifiers.items():
        unit = np.allclose(np.sum(vectors["queries"] ** 2, -1), 1, atol=1e-5)
        assert unit == (name != "independent")
    for scale, vectors in zip((2.0, 4.0), found.bt2, strict=True):
        np.testing.assert_allclose(np.sum(vectors["queries"] ** 2, -1), 1 + scale**2, rtol=1e-4)
    assert (found.trained.losses[:, -10:].mean(1) < found.trained.losses[:, :10].mean(1)).all()
    vectors = {"old": old, **found.classifiers, "BT²": found.bt2[0]}
    table = metrics_of({name: {s: x[0] for s, x in v.items()} for name, v in vectors.items()}, images, preset)
    assert "Procrustes" not in table  # 4 numbers do not rotate into 3
    assert 0 <= table["BT²"]["cross mAP, new classes"] <= 1
    after = update(preset, images, preset.next_backbone, found.bt2[0], keys, {"independent": objectives(preset)["independent"]})
    assert after.bt2[0]["gallery"].shape == (2, 15, 6)


def test_objectives_are_the_losses_that_they_name():
    preset = tiny_preset()
    model = Classifier(preset.new_backbone, 6, 3, rngs=nnx.Rngs(0))
    images, labels, old, prototypes = single(5, 2, 2, 1) ** 2, jnp.array([0, 1, 2, 0, 1]), single(5, 3), single(3, 3, seed=1)
    kinds = objectives(preset)
    for name, width in (("independent", 4), ("BCT", 4), ("matching", 4), ("naive extra", 6), ("independent, unit", 4)):
        features = np.array(model.features(images))
        features[:, width:] = 0
        lengths = 1 if name == "independent" else np.linalg.norm(features, axis=1, keepdims=True)
        unit = jnp.asarray(features / lengths)
        expected = bct_loss(model.classifier(unit), unit, labels, prototypes, 10.0 * (name in ("BCT", "naive extra")))
        expected += 5.0 * (name == "matching") * matching_loss(unit[:, :3], old)
        assert_close(classifier_loss(model, (images, labels, (old,), prototypes, kinds[name])), expected, 1e-5)


def test_frozen_vectors_get_no_gradient_and_all_parts_of_the_head_do():
    preset = tiny_preset()
    model = BT2Model(preset, preset.new_backbone, 3, rngs=nnx.Rngs(0))
    weights = Weights(jnp.float32(2.0), jnp.asarray(preset.lambdas))
    batch = single(8, 2, 2, 1) ** 2, jnp.arange(8) % 3, (single(8, 3), single(8, 4)), single(3, 3), weights
    gradient = nnx.jit(nnx.grad(bt2_model_loss))(model, batch)
    sizes = {".".join(map(str, path)): float(jnp.abs(x.get_value()).max()) for path, x in nnx.to_flat_state(gradient)}
    assert {name for name, size in sizes.items() if size > 1e-6} >= {
        "head.first.free",
        "head.second.free",
        "head.projection.kernel",
        "head.classifier.kernel",
    }
    assert "head.first.base" not in sizes


# --- Data, checkpoints, presets ---


def test_images_and_their_errors(as_installed, monkeypatch, tmp_path):
    source = open_images(PRESETS["quick"])
    images = source.value
    assert (len(images.train), len(images.gallery), len(images.queries)) == (900, 450, 447)
    assert source.stand_in_for == "CIFAR-100"
    with pytest.raises(ValueError, match="image_set is 'svhn'"):
        open_images(replace(PRESETS["quick"], image_set="svhn"))
    for change, message in (({"old_classes": 10}, "old_classes is 10"), ({"num_gallery": 897}, "num_gallery is 897")):
        with pytest.raises(ValueError, match=message):
            open_images(replace(PRESETS["quick"], **change))
    monkeypatch.setenv("QUIRE_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("QUIRE_OFFLINE", "1")
    with pytest.raises(DatasetUnavailable, match="cifar100"):
        open_images(PRESETS["paper"])


def test_authors_heads_load_strictly(as_installed):
    state = random_state(5, 4, 3, np.random.default_rng(0))
    state["ortholinear_p.parametrizations.weight.original"] = normal(5, 5)
    head = load_head(state, extra=2)
    with jax.enable_x64():
        base = state["ortholinear_p.parametrizations.weight.0.base"]
        expected = base @ np.asarray(expm_orthogonal(jnp.asarray(state["ortholinear_p.parametrizations.weight.original"])))
    assert_close(head.first.matrix, expected, 1e-5)
    np.testing.assert_allclose(head.projection.kernel[...], state["fc3.weight"][:2, :, 0, 0].T, rtol=1e-6)
    for change, message in (
        ({"fc3.bias": None}, "missing: fc3.bias"),
        ({"fc3.bias": np.zeros(5)}, "fc3.bias is"),
        ({"fc3.weight": np.zeros((4, 9, 3, 3))}, "fc3.weight is"),
        ({"other": np.zeros(1)}, "unexpected: other"),
        ({"fc_out.weight": None}, "fc_out.weight is missing"),
        ({"ortholinear_old2.parametrizations.weight.original": np.zeros((5, 5))}, "ortholinear_old2"),
    ):
        changed = {name: x for name, x in (state | change).items() if x is not None}
        with pytest.raises(ValueError, match=message):
            load_head(changed, extra=2)
    with pytest.raises(ValueError, match="extra is 5"):
        load_head(state, extra=5)


def test_authors_networks_load(as_installed):
    config = Backbone(depths=(1, 2), width=2)
    draw = np.random.default_rng(0)

    def network(dim, prefix):
        """Arrays under PyTorch's names, with the shapes that they have there."""
        net = nnx.eval_shape(lambda: embedding_resnet(config, dim, rngs=nnx.Rngs(0)))
        variables = dict(nnx.to_flat_state(nnx.state(net)))
        names = torch_names(net).items()
        found = {prefix + s.names[0]: draw.random(s.shape(tuple(variables[path].shape))) for path, s in names}
        return found | {f"{prefix}bn1.num_batches_tracked": np.zeros(1)}

    state = random_state(5, 4, 3, draw) | network(9, "resnet.") | {"resnet.fc.weight": np.zeros((1000, 9, 1, 1))}
    assert state["resnet.layer2.1.conv3.weight"].shape == (9, 4, 1, 1)
    assert state["resnet.layer2.1.downsample.0.weight"].shape == (9, 16, 1, 1)
    model = load_bt2(state, config, extra=2)
    kernel = model.backbone.stages[1][1].layers[2].conv.kernel[...]
    np.testing.assert_allclose(kernel[0, 0].T, state["resnet.layer2.1.conv3.weight"][:, :, 0, 0], rtol=1e-6)
    old = load_classifier(network(6, "") | {"fc.weight": draw.random((3, 6, 1, 1))}, config)
    assert old.classifier.kernel.shape == (6, 3)
    with pytest.raises(ValueError, match="unexpected: extra"):
        load_bt2(state | {"extra": np.zeros(1)}, config, extra=2)
    with pytest.raises(ValueError, match="patch network"):
        load_bt2(state, Backbone((4,)), extra=2)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_trace(name):
    """The loss of every kind of model of every preset, by shapes alone."""
    preset = PRESETS[name]
    side, classes = (8, 10) if name == "quick" else (32, 100)
    images, labels = jax.ShapeDtypeStruct((2, side, side, preset.new_backbone.in_channels), jnp.uint8), jnp.zeros(2, int)

    def shape(*sizes):
        return jax.ShapeDtypeStruct(sizes, jnp.float32)

    wide, rows = preset.new_dim + preset.extra, (shape(2, preset.old_dim), shape(2, preset.new_dim))
    prototypes = shape(classes, preset.old_dim)
    for config in {preset.old_backbone, preset.new_backbone}:
        graph, state = nnx.split(nnx.eval_shape(lambda c=config: Classifier(c, wide, classes, rngs=nnx.Rngs(0))))
        batch = images, labels, rows[:1], prototypes, Objective(shape(wide), shape(), shape(), shape())
        assert jax.eval_shape(lambda s, b, g=graph: classifier_loss(nnx.merge(g, s), b), state, batch).shape == ()
    graph, state = nnx.split(nnx.eval_shape(lambda: BT2Model(preset, preset.new_backbone, classes, rngs=nnx.Rngs(0))))
    batch = images, labels, rows, prototypes, Weights(shape(), shape(3))
    assert jax.eval_shape(lambda s, b: bt2_model_loss(nnx.merge(graph, s), b), state, batch).shape == ()
    assert preset.training.transformation(flat=True) is not None


def test_the_definition_holds():
    assert run(paper, claims=["C2"], seeds=1).as_expected


HEAD = {"d_new": 4, "d_old": 3, "num_classes": 3, "extra": 2}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: OrthogonalLinear(0, rngs=nnx.Rngs(0)), "n is 0"),
        (lambda: OrthogonalLinear(2, "qr", rngs=nnx.Rngs(0)), "method is 'qr'"),
        (lambda: OrthogonalLinear(2, rngs=nnx.Rngs(0))(jnp.ones(3)), "x has shape"),
        (lambda: BT2Head(**HEAD | {"extra": 0}, rngs=nnx.Rngs(0)), "extra is 0"),
        (lambda: BT2Head(**HEAD | {"extra": 4}, rngs=nnx.Rngs(0)), "extra is 4"),
        (lambda: BT2Head(**HEAD | {"d_old": 7}, rngs=nnx.Rngs(0)), "d_old 7"),
        (lambda: BT2Head(**HEAD | {"num_classes": 1}, rngs=nnx.Rngs(0)), "num_classes is 1"),
        (lambda: BT2Head(**HEAD, scale=0.0, rngs=nnx.Rngs(0)), "scale is 0.0"),
        (lambda: BT2Head(**HEAD, rngs=nnx.Rngs(0))(jnp.ones((2, 6))), "features has shape"),
        (lambda: BT2Head(**HEAD, rngs=nnx.Rngs(0)).folded()(jnp.ones((2, 6))), "features has shape"),
        (lambda: basis_transformation(jnp.ones(4), jnp.ones(2), jnp.eye(3), jnp.eye(3), 1.0), "first has shape"),
        (lambda: basis_transformation(jnp.ones(4), jnp.ones(2), jnp.eye(4), jnp.eye(7), 1.0), "d_old 7"),
        (lambda: matching_loss(jnp.ones((2, 3)), jnp.ones((2, 1))), "targets has shape"),
        (lambda: matching_loss(jnp.ones((0, 3)), jnp.ones((0, 3))), "number of vectors is 0"),
        (lambda: influence_loss(jnp.ones((2, 3)), jnp.zeros(2, int), jnp.ones((2, 4))), "prototypes has dimension 4"),
        (lambda: bct_loss(jnp.ones((2, 2)), jnp.ones((2, 3)), jnp.zeros(2, int), jnp.ones((2, 4))), "prototypes has dimension"),
        (lambda: bt2_loss(*a_batch(), (1, 2)), "lambdas has 2"),
        (lambda: class_prototypes(np.ones((2, 3)), np.array([0, 3]), 3), "labels runs from 0 to 3"),
        (lambda: class_prototypes(np.ones((2, 3)), np.array([0]), 3), "labels has shape"),
        (lambda: compat_table({}, Labels(np.zeros(1), np.zeros(1))), "models has no 'old'"),
        (lambda: procrustes_map(np.ones((2, 3)), np.ones((2, 2))), "new has dimension 3"),
        (lambda: least_squares_map(np.ones((2, 3)), np.ones((3, 3))), "as many rows"),
        (lambda: replace(PRESETS["quick"], extra=17), "extra is 17"),
        (lambda: embedding_resnet(Backbone(depths=(1,)), 4, rngs=nnx.Rngs(0)), r"depths is \(1,\)"),
    ],
)
def test_wrong_arguments(call, message, as_installed):
    with pytest.raises(ValueError, match=message):
        call()
