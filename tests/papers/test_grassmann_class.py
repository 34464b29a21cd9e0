"""Class subspaces: golden vectors of head, descent and geodesics; properties, degenerate inputs, errors, presets."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from PIL import Image

from quire.common.claims import run
from quire.common.data.images import ImageData, ImageSplit
from quire.common.errors import DatasetUnavailable
from quire.common.layers.class_heads import subspace_logits
from quire.common.layers.resnet import resnet50, torch_names
from quire.common.losses.classification import smoothed_cross_entropy
from quire.common.manifolds import grassmann
from quire.common.testing import (
    assert_close,
    assert_degenerate,
    assert_dtypes,
    assert_gradients,
    assert_jit_consistent,
    assert_vmap_consistent,
)
from quire.common.train.rsgd import rsgd
from quire.grassmann_class import PRESETS, RECIPES, Classifier, GrassmannHead, VectorHead, brute_force, experiment, paper
from quire.grassmann_class.benchmark import cases
from quire.grassmann_class.config import DIGITS, QUICK, Training
from quire.grassmann_class.convert import load_checkpoint, load_head
from quire.grassmann_class.descent import head_loss, off_manifold, trajectory
from quire.grassmann_class.optimiser import from_recipe, grassmann_optimizer, plain_qr, subspace_labels
from quire.grassmann_class.sources import Images, open_images, rotations
from quire.grassmann_class.transfer import transfer_accuracy

PRECISIONS = pytest.mark.parametrize(
    ("dtype", "tolerance", "along"), [(jnp.float64, 1e-9, 1e-9), (jnp.float32, 1e-5, 1e-3)], ids=["f64", "f32"]
)
RNG = np.random.default_rng(0)
GAMMA = 25.0


@pytest.fixture(scope="module")
def vectors(golden):
    return golden("grassmann_class")


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def bases(classes=5, d=8, k=3, seed=0):
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((classes, d, k)))[0].astype(np.float32)


def t(x):
    return jnp.swapaxes(jnp.asarray(x), -1, -2)


# --- Golden vectors ---


@PRECISIONS
def test_golden_head(vectors, dtype, tolerance, along):
    with jax.enable_x64(dtype == jnp.float64):
        start, x, y = t(vectors["W0"]).astype(dtype), jnp.asarray(vectors["x"][0], dtype), jnp.asarray(vectors["y"][0])
        assert_close(subspace_logits(x, start, GAMMA), vectors["logits0"], tolerance)
        loss, gradient = jax.value_and_grad(head_loss)(start, x, y)
        assert_close(loss, vectors["loss0"], tolerance)
        assert_close(t(gradient), vectors["egrad0"], tolerance)
        assert_close(t(grassmann.project_tangent(start, gradient)), vectors["rgrad0"], tolerance)
        classes, k, dim = vectors["W0"].shape
        head = load_head({"head.fc.weight": vectors["W0"].reshape(classes * k, dim)}, k, dtype=dtype)
        assert head.dims == (k,) * classes
        assert_close(head(x), vectors["logits0"], tolerance)


@PRECISIONS
@pytest.mark.parametrize("move", [grassmann.exp, grassmann.exp_by_gram])
def test_golden_trajectory(vectors, move, dtype, tolerance, along):
    with jax.enable_x64(dtype == jnp.float64):
        # a weight decay, as in the file, is for the rest and never reaches the subspaces
        base = optax.chain(optax.add_decayed_weights(1e-4), optax.sgd(0.1, 0.9))
        tx = grassmann_optimizer(base, 0.1, retract=plain_qr, move=move)
        start, x, y = t(vectors["W0"]).astype(dtype), jnp.asarray(vectors["x"], dtype), jnp.asarray(vectors["y"])

        def loss(params, x, y):
            return head_loss(params["subspaces"], x, y)

        losses, points = jax.jit(lambda s, x, y: trajectory(loss, {"subspaces": s}, tx, (x, y)))(start, x, y)
        projectors = grassmann.projector(points["subspaces"])
        assert_close(losses, vectors["traj_loss"], along)
        assert_close(projectors[0], vectors["traj_projector_first"], along)
        assert_close(projectors[-1], vectors["traj_projector_last"], along)


@PRECISIONS
def test_golden_geodesic(vectors, dtype, tolerance, along):
    with jax.enable_x64(dtype == jnp.float64):
        start, tangent, end = (jnp.asarray(vectors[f"geo_{name}"], dtype) for name in ("start", "tangent", "end"))
        time = float(vectors["geo_t"])
        for move in (grassmann.exp, grassmann.exp_by_gram):
            assert_close(move(start, tangent, time), vectors["geo_end"], tolerance)
        assert_close(grassmann.principal_angles(start, end), vectors["geo_principal_angles"], tolerance)
        assert_close(grassmann.distance(start, end), vectors["geo_distance"], tolerance)


def test_golden_file_is_whole(vectors):
    names = {"W0", "x", "y", "logits0", "loss0", "egrad0", "rgrad0", "traj_loss", "traj_projector_first", "traj_projector_last"}
    geodesic = {f"geo_{name}" for name in ("start", "tangent", "t", "end", "principal_angles", "distance")}
    assert set(vectors.arrays) == names | geodesic


# --- Heads ---


def test_head_is_a_length_and_knows_no_basis():
    head = GrassmannHead(8, 5, k=3, gamma=7.0, rngs=nnx.Rngs(0))
    x, s = jnp.asarray(numbers(4, 8)), head.subspaces[...]
    assert off_manifold(s).max() < 1e-6
    expected = brute_force.logits(np.asarray(x), np.asarray(s), 7.0)
    assert_close(head(x), expected, 1e-5)
    assert float(head(x).max()) < 7
    head.subspaces[...] = s @ jnp.linalg.qr(jnp.asarray(numbers(5, 3, 3)))[0]
    assert_close(head(x), expected, 1e-5)
    assert_close(head(3 * x), expected, 1e-5)
    assert_jit_consistent(head, x)
    assert_vmap_consistent(head, x[:, None])


def test_classes_may_have_subspaces_of_their_own_dimension():
    head = GrassmannHead(6, 3, k=(1, 3, 2), rngs=nnx.Rngs(0))
    x = jnp.asarray(numbers(4, 6))
    for c, k in enumerate(head.dims):
        alone = head.subspaces[...][c : c + 1, :, :k]
        assert off_manifold(alone).max() < 1e-6
        assert_close(head(x)[:, c], subspace_logits(x, alone, 25.0)[:, 0], 1e-5)
    start = head.subspaces[...]
    tx = rsgd(0.1, 0.9, reorth_every=2)
    _, after = jax.jit(lambda s: trajectory(head_loss, s, tx, (x[None].repeat(4, 0), jnp.zeros((4, 4), int))))(start)
    for c, k in enumerate(head.dims):
        assert off_manifold(after[-1][c, :, :k]) < 1e-5
        assert (after[-1][c, :, k:] == 0).all() and not np.allclose(after[-1][c, :, :k], start[c, :, :k], atol=1e-3)


def test_class_vectors_and_their_cosine():
    head = VectorHead(6, 4, gamma=9.0, rngs=nnx.Rngs(0))
    x, w = jnp.asarray(numbers(3, 6)), head.kernel[...]
    head.bias[...] = jnp.arange(4.0)
    assert_close(head(x), x @ w.T + jnp.arange(4.0)[None], 1e-6)
    cosines = (x @ w.T) / jnp.linalg.norm(x, axis=1, keepdims=True) / jnp.linalg.norm(w, axis=1)[None]
    assert_close(head(x, True), 9 * cosines, 1e-5)
    assert 0.8 * 6**-0.5 < jnp.abs(VectorHead(6, 100, rngs=nnx.Rngs(0)).kernel[...]).max() <= 6**-0.5


def test_edges_of_heads():
    head, labels = GrassmannHead(4, 5, k=2, rngs=nnx.Rngs(0)), jnp.asarray([0, 3, 1])
    assert_degenerate(lambda x: head_loss(head.subspaces[...], x, labels[: len(x)]), numbers(3, 4))
    assert_dtypes(head, numbers(3, 4))
    assert_gradients(lambda s, x: head_loss(s, x, labels), bases(d=4, k=2), numbers(3, 4))


# --- Optimisers ---


@pytest.fixture(scope="module")
def problem():
    """Parameters of a linear body and a head, and batches."""
    draw = np.random.default_rng(1)
    params = {"encoder": {"kernel": numbers(6, 8)}, "head": {"subspaces": bases(3)}}
    return params, (jnp.asarray(numbers(7, 16, 6)), jnp.asarray(draw.integers(0, 3, (7, 16))))


def body_loss(params, x, y):
    return head_loss(params["head"]["subspaces"], x @ params["encoder"]["kernel"], y)


BASES = {"SGD": optax.sgd(0.1, 0.9), "AdamW": optax.adamw(1e-2, weight_decay=0.5), "LAMB": optax.lamb(1e-2, weight_decay=0.5)}


@pytest.mark.parametrize("name", BASES)
def test_combinations_with_other_optimisers(problem, name):
    """The rest moves as its optimiser moves it; the subspaces move by RSGD, without decay."""
    params, batches = problem
    params = jax.tree.map(jnp.asarray, params)
    tx = grassmann_optimizer(BASES[name], lambda step: 0.02, lr_factor=5.0, reorth_every=1)

    @jax.jit
    def run(params):
        losses, points = trajectory(body_loss, params, tx, batches)
        gradient = jax.grad(body_loss)(params, *(b[0] for b in batches))
        alone, base = rsgd(0.1, 0.9, reorth_every=1), BASES[name]
        subspaces, kernel = params["head"]["subspaces"], params["encoder"]["kernel"]
        steps = (
            alone.update(gradient["head"]["subspaces"], alone.init(subspaces), subspaces)[0],
            base.update(gradient["encoder"]["kernel"], base.init(kernel), kernel)[0],
        )
        return losses, points, (subspaces + steps[0], kernel + steps[1])

    _, points, (subspaces, kernel) = run(params)
    assert off_manifold(points["head"]["subspaces"]).max() < 1e-5
    assert_close(points["head"]["subspaces"][0], subspaces, 1e-4)
    assert_close(points["encoder"]["kernel"][0], kernel, 1e-5)


def test_optimiser_through_nnx_keeps_the_manifold():
    model = Classifier(DIGITS, 10, 3, rngs=nnx.Rngs(0))
    assert set(jax.tree.leaves(subspace_labels(nnx.state(model, nnx.Param)))) == {"subspaces", "rest"}
    recipe = replace(DIGITS.training, clip=1.0, optimiser="adamw", layerwise=True)
    optimiser = nnx.Optimizer(model, from_recipe(recipe), wrt=nnx.Param)
    images, labels, before = jnp.asarray(numbers(8, 8, 8, 1)), jnp.arange(8), model.head.subspaces[...]

    @nnx.jit
    def step(model, optimiser):
        gradients = nnx.grad(lambda m: smoothed_cross_entropy(m(images)[1], labels))(model)
        optimiser.update(model, gradients)

    step(model, optimiser)
    after = model.head.subspaces[...]
    assert off_manifold(after).max() < 1e-5 and not np.allclose(after, before, atol=1e-4)


def test_subspaces_follow_the_schedule_of_the_rest():
    """A rate of zero moves nothing; half of it moves half as far along the geodesic."""
    s, direction = jnp.asarray(bases(1)), jnp.asarray(numbers(1, 8, 3, seed=1))

    def moved(rate, factor):
        tx = grassmann_optimizer(optax.sgd(0.1), rate, lr_factor=factor)
        params, gradient = {"subspaces": s}, {"subspaces": direction}
        return s + tx.update(gradient, tx.init(params), params)[0]["subspaces"]

    length = jnp.linalg.norm(grassmann.project_tangent(s, direction))
    for rate, factor, expected in ((0.1, 1.0, 0.1), (optax.constant_schedule(0.02), 2.5, 0.05)):
        np.testing.assert_allclose(grassmann.distance(s, moved(rate, factor))[0], expected * length, rtol=1e-3)
    np.testing.assert_allclose(moved(lambda step: 0.0, 9.0), s, atol=1e-6)


def test_column_signs_of_plain_qr():
    s = -jnp.asarray(bases(2))
    assert_close(grassmann.projector(plain_qr(s)), grassmann.projector(s), 1e-5)
    assert_close(jnp.abs(plain_qr(s)), jnp.abs(s), 1e-5)
    assert not np.allclose(plain_qr(s), s, atol=0.1)  # the reason for qr_retract


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_of_the_paper(name):
    recipe = RECIPES[name]
    peak = float(max(recipe.rate()(s) for s in (0, round(recipe.warmup * recipe.steps)))) * recipe.lr_factor
    assert peak == pytest.approx({"SGD": 0.1, "LAMB": 0.3, "AdamW": 0.1}[name.split(", ")[1].split(" ")[0]], rel=1e-5)
    params = {"encoder": {"kernel": jnp.ones((3, 2))}, "head": {"subspaces": jnp.asarray(bases(2, 4, 2))}}
    tx = from_recipe(recipe)
    updates, _ = jax.eval_shape(lambda p: tx.update(p, tx.init(p), p), params)
    assert jax.tree.map(jnp.shape, updates) == jax.tree.map(jnp.shape, params)


# --- Brute force, converters, errors ---


def test_brute_force_gradient_is_that_of_its_loss():
    x, y, s = numbers(4, 5).astype(float), np.array([0, 2, 1, 1]), bases(3, 5, 2).astype(float)
    loss, gradient = brute_force.loss_and_gradient(x, y, s, 4.0)
    for place in ((0, 1, 0), (2, 4, 1)):
        up, down = s.copy(), s.copy()
        up[place] += 1e-6
        down[place] -= 1e-6
        slope = (brute_force.loss_and_gradient(x, y, up, 4.0)[0] - brute_force.loss_and_gradient(x, y, down, 4.0)[0]) / 2e-6
        assert slope == pytest.approx(gradient[place], rel=1e-6)
    scores = brute_force.logits(x, s, 4.0)
    probs = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    assert loss == pytest.approx(-np.log(probs[np.arange(4), y]).mean())


def test_checkpoints_are_loaded_strictly(as_installed):
    rows = np.swapaxes(bases(4, 6, 2), 1, 2).reshape(8, 6)
    head = load_head({"head.fc.weight": rows}, k=2)
    np.testing.assert_array_equal(head.subspaces[...][1, :, 0], rows[2])
    faults = {
        "divides|rows for every class": ({"head.fc.weight": rows[:7]}, 2),
        "missing: head.fc.weight": ({}, 2),
        "unexpected: head.fc.bias": ({"head.fc.weight": rows, "head.fc.bias": rows[0]}, 2),
        "off the manifold": ({"head.fc.weight": rows}, 4),
        "k is 0": ({"head.fc.weight": rows}, 0),
    }
    for message, (state, k) in faults.items():
        with pytest.raises(ValueError, match=message):
            load_head(state, k)


def test_whole_checkpoints():
    encoder = nnx.eval_shape(lambda: resnet50(rngs=nnx.Rngs(0)))
    shapes = dict(nnx.to_flat_state(nnx.state(encoder)))
    state = {}
    for path, source in torch_names(encoder).items():
        state[f"backbone.{source.names[0]}"] = np.full(source.shape(tuple(shapes[path].shape)), 0.5, np.float32)
    state |= {"backbone.bn1.num_batches_tracked": np.array(1), "head.fc.weight": np.eye(6, 2048, dtype=np.float32)}
    loaded, head = load_checkpoint(state, k=3)
    assert loaded.stem.conv.kernel[0, 0, 0, 0] == 0.5 and head.subspaces.shape == (2, 2048, 3)
    with pytest.raises(ValueError, match=r"unexpected: stem\.0\.conv\.weight"):
        load_checkpoint(state | {"backbone.stem.0.conv.weight": np.ones(1)}, k=3)


def test_errors(as_installed):
    faults = {
        "k is 9": lambda: GrassmannHead(8, 3, k=9, rngs=nnx.Rngs(0)),
        r"k is \(1, 2\)": lambda: GrassmannHead(8, 3, k=(1, 2), rngs=nnx.Rngs(0)),
        "k is 0": lambda: GrassmannHead(8, 3, k=0, rngs=nnx.Rngs(0)),
        "gamma is 0": lambda: GrassmannHead(8, 3, gamma=0.0, rngs=nnx.Rngs(0)),
        "classes is 0": lambda: VectorHead(8, 0, rngs=nnx.Rngs(0)),
        "dimension 5": lambda: GrassmannHead(8, 3, rngs=nnx.Rngs(0))(jnp.ones((2, 5))),
        "ema is 0.9": lambda: replace(QUICK.training, ema=0.9),
        "optimiser is 'adam'": lambda: replace(QUICK.training, layerwise=True),
        "lr_factor is 0": lambda: replace(QUICK.training, lr_factor=0.0),
        "reorth_every is 0": lambda: replace(QUICK.training, reorth_every=0),
        r"ks is \(3, 1\)": lambda: replace(QUICK, ks=(3, 1)),
        r"ks is \(1, 64\)": lambda: replace(QUICK, ks=(1, 64)),
        "dim is 32": lambda: replace(QUICK, channels=()),
        "must be at least 1": lambda: replace(QUICK, shots=0),
        "image_set is 'faces'": lambda: open_images(replace(QUICK, image_set="faces", fallback=None)),
    }
    for message, call in faults.items():
        with pytest.raises(ValueError, match=message):
            call()


# --- Data, transfer, the shared run ---


def test_rotations_turn_by_quarters():
    images = numbers(3, 4, 4, 2)
    turned, quarters = rotations(images)
    assert turned.shape == (12, 4, 4, 2) and quarters.tolist() == [0, 1, 2, 3] * 3
    for i in range(12):
        np.testing.assert_array_equal(turned[i], np.rot90(images[i // 4], quarters[i]))


def test_transfer_of_features_that_know_and_that_do_not():
    draw, y = np.random.default_rng(0), np.arange(400) % 4
    good = np.eye(4)[y] * 5 + draw.standard_normal((400, 4))
    known = transfer_accuracy((good[:200], y[:200]), (good[200:], y[200:]), shots=5)
    blind = transfer_accuracy((good[:200], y[:200]), (draw.standard_normal((200, 4)), y[200:]), shots=5)
    assert set(known) == {"linear probe", "few shots", "neighbours"}
    assert min(known.values()) > 0.9 and max(blind.values()) < 0.4
    lengths = draw.uniform(0.1, 9, (400, 1))
    scaled = good * lengths
    assert transfer_accuracy((scaled[:200], y[:200]), (scaled[200:], y[200:]), shots=5) == pytest.approx(known)
    with pytest.raises(ValueError, match="NaN or infinite"):
        transfer_accuracy((good[:200], y[:200]), (np.where(y[200:, None] == 1, np.nan, good[200:]), y[200:]), shots=5)


@pytest.fixture(scope="module")
def shared_run():
    """Two seeds of a tiny network on four textures: which pixel of each 2 x 2 square is lit."""
    draw, labels = np.random.default_rng(0), np.arange(120, dtype=np.int32) % 4
    images = 0.3 * draw.standard_normal((120, 8, 8, 1)).astype(np.float32)
    for image, label in zip(images, labels, strict=True):
        image[label // 2 :: 2, label % 2 :: 2] += 1
    split = ImageSplit(images, labels)
    training = Training(steps=30, batch_size=20, learning_rate=1e-2, optimiser="adam", lr_factor=10.0)
    preset = replace(DIGITS, channels=(8,), dim=8, ks=(1, 2), training=training, probe_train=30, probe_test=20, eval_batch=60)
    source = Images(preset, "textures", 4, ImageData("textures", split, split, 4), 0.25)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiment, "open_images", lambda preset: experiment.Source(source, "ImageNet-1K"))
        return experiment.run_all.__wrapped__(preset, jax.random.split(jax.random.key(0), 2))


def test_shared_run_trains_every_head(shared_run):
    methods = ["softmax", "cosine softmax", "k = 1", "k = 2"]
    assert list(shared_run.accuracy) == list(shared_run.losses) == methods
    for name in methods:
        losses = shared_run.losses[name]
        assert losses.shape == (2, 30) and (losses[:, -5:].mean(1) < 0.8 * losses[:, 0]).all()
        assert (shared_run.accuracy[name] > 0.5).all() and shared_run.accuracy[name].shape == (2,)
    assert not np.allclose(shared_run.losses["softmax"][:, 0], shared_run.losses["cosine softmax"][:, 0], rtol=1e-2)
    assert set(shared_run.angle) == {*methods, "untrained"}
    assert set(shared_run.transfer["linear probe"]) == {*methods, "untrained", "raw pixels"}
    assert shared_run.subspaces["k = 2"].shape == (2, 4, 8, 2)
    assert off_manifold(jnp.asarray(shared_run.subspaces["k = 2"])).max() < 1e-5
    np.testing.assert_allclose(shared_run.majority, 0.25)


def test_photographs_are_streamed(monkeypatch, tmp_path):
    for split in ("train", "val"):
        for label, name in enumerate(("n01", "n02")):
            folder = tmp_path / "imagenet-1k" / split / name
            folder.mkdir(parents=True)
            for i in range(4):
                Image.new("RGB", (12, 10), (60 * i, 200 * label, 0)).save(folder / f"{i}.JPEG")
    monkeypatch.setenv("QUIRE_DATA", str(tmp_path))
    training = replace(DIGITS.training, steps=2, batch_size=4)
    sizes = {"in_channels": 3, "channels": (4,), "dim": 4, "ks": (1, 2), "image_size": 8, "eval_batch": 3}
    preset = replace(DIGITS, image_set="imagenet-1k", training=training, probe_train=4, probe_test=3, **sizes)
    images = open_images(preset).value
    assert (images.data, images.num_classes, images.majority) == (None, 2, 0.5)
    assert [len(labels) for _, labels in images.ordered("test")] == [3, 3, 2]
    assert images.first("train", 5).shape == (5, 8, 8, 3) and 0.5 < images.first("train", 8).max() <= 1
    graph, state, losses = experiment.train(images, 2, jax.random.split(jax.random.key(0), 1))
    assert losses.shape == (1, 2) and off_manifold(jnp.asarray(state.head.subspaces[...])).max() < 1e-5
    (scores,) = experiment.Scorer(images)(graph, state, np.zeros(1))
    assert set(scores) == {"accuracy", "angle", "transfer"}


def test_encoders_start_alike_whatever_the_head():
    vector, lines = (Classifier(DIGITS, 10, k, rngs=nnx.Rngs(3)) for k in (None, 1))
    for a, b in zip(jax.tree.leaves(nnx.state(vector.encoder)), jax.tree.leaves(nnx.state(lines.encoder)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_images_of_quick(quire_data):
    if not (quire_data / "mnist-t10k").is_dir():
        pytest.skip("QUIRE_DATA has no mnist-t10k")
    source = open_images(QUICK)
    pixels = source.value.data.train.images
    assert pixels.shape == (6000, 28, 28, 1) and abs(pixels.mean()) < 1e-3 and abs(pixels.std() - 1) < 1e-3
    assert source.stand_in_for == "ImageNet-1K" and source.value.first("test", 1500).shape[0] == 1500


def test_without_files_digits_stand_in(monkeypatch, tmp_path):
    monkeypatch.setenv("QUIRE_DATA", str(tmp_path))
    monkeypatch.setenv("QUIRE_OFFLINE", "1")
    monkeypatch.setattr("quire.common.data.registry.cache_dir", lambda: tmp_path / "cache")
    assert open_images(QUICK).value.preset is DIGITS
    for name in ("standard", "paper"):
        with pytest.raises(DatasetUnavailable):
            open_images(PRESETS[name])


@pytest.mark.parametrize("preset", [*PRESETS.values(), DIGITS], ids=[*PRESETS, "digits"])
def test_programs_of_every_preset_fit_together(preset):
    side = {"digits": 8, "mnist-t10k": 28, "cifar10-subset": 32, "imagenet-1k": preset.image_size}[preset.image_set]
    images = jax.ShapeDtypeStruct((2, side, side, preset.in_channels), jnp.float32)
    for k in (None, preset.ks[-1]):
        graph, params, rest = nnx.split(nnx.eval_shape(lambda k=k: Classifier(preset, 10, k, rngs=nnx.Rngs(0))), nnx.Param, ...)
        tx = from_recipe(preset.training)

        def step(params, rest, images, graph=graph, tx=tx):
            def loss(params):
                features, logits = nnx.merge(graph, params, rest, copy=True)(images, True)
                return smoothed_cross_entropy(logits, jnp.zeros(2, int), preset.training.label_smoothing), features

            gradient, features = jax.grad(loss, has_aux=True)(params)
            return tx.update(gradient, tx.init(params), params)[0], features

        updates, features = jax.eval_shape(step, params, rest, images)
        assert features.shape == (2, preset.dim)
        assert jax.tree.map(jnp.shape, updates) == jax.tree.map(jnp.shape, params)


def test_bench_cases_compute_the_same():
    both = [jax.jit(case.function)(*case.args) for case in cases(3, jax.random.key(0)).values()]
    assert_close(*both, 1e-4)


def test_the_identity_holds():
    assert run(paper, claims=["C1"], seeds=1).as_expected
