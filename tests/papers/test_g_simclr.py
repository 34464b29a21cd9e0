"""G-SimCLR: golden parity, order and collisions, clusters, autoencoder, views, training in small, presets, errors."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from quire.common.claims import run
from quire.common.data.images import ImageData, ImageSplit
from quire.common.losses.contrastive import nt_xent
from quire.common.metrics.cost import count_params
from quire.common.testing import assert_close, assert_degenerate, assert_jit_consistent, assert_vmap_consistent
from quire.common.train.finite import TrainingDiverged
from quire.g_simclr import (
    AUTHORS,
    DEEP_KERNEL,
    DEEP_WIDTHS,
    PRESETS,
    Augmentation,
    Coder,
    DenoisingAutoencoder,
    GuidedBatches,
    Network,
    Training,
    accuracies,
    augment,
    codes_of,
    collision_rate,
    collisions,
    cosine_restarts,
    draw_views,
    fine_tune,
    from_arrays,
    guided_order,
    kmeans,
    linear_probe,
    lloyd,
    occurrence_rank,
    paper,
    sources,
    study,
    train,
    train_autoencoder,
    train_supervised,
)
from quire.g_simclr.augment import from_hsv, jittered, to_hsv
from quire.g_simclr.autoencoder import glorot_uniform, max_pool, upsample
from quire.g_simclr.early_stopping import train_until_worse
from quire.g_simclr.guided import as_batches
from quire.g_simclr.simclr import two_views

RNG = np.random.default_rng(0)
KEY = jax.random.key(0)

# --- Golden vectors ---

PRECISIONS = pytest.mark.parametrize("dtype, tolerance, of_gradients", [("float64", 1e-10, 1e-10), ("float32", 1e-5, 1e-4)])


@PRECISIONS
def test_golden_loss(golden, dtype, tolerance, of_gradients):
    g = golden("g_simclr")
    with jax.enable_x64(dtype == "float64"):
        pair = tuple(jnp.asarray(g[name], dtype) for name in ("zi", "zj"))
        loss, gradients = jax.value_and_grad(lambda a, b: nt_xent(a, b, float(g["temperature"])), (0, 1))(*pair)
        assert_close(loss, g["ntxent"], tolerance)
        for found, name in zip(gradients, ("grad_zi", "grad_zj"), strict=True):
            assert_close(found, g[name], of_gradients)


def test_golden_order_and_collisions(golden):
    g = golden("g_simclr")
    labels, size = g["pseudo_labels"], int(g["batch_size"])
    np.testing.assert_array_equal(occurrence_rank(labels), g["rank"])
    order = guided_order(labels, size, allow_collisions=True)
    np.testing.assert_array_equal(order, g["guided_order"])
    np.testing.assert_array_equal(collisions(order, labels, size), g["collisions_per_guided_batch"])
    np.testing.assert_array_equal(collisions(g["random_perm"], labels, size), g["collisions_per_random_batch"])


@PRECISIONS
def test_golden_autoencoder(golden, dtype, tolerance, of_gradients):
    g = golden("g_simclr")
    with jax.enable_x64(dtype == "float64"):
        model = from_arrays({name: g[name].astype(dtype) for name in g.arrays if name.startswith("dae_")})
        x = jnp.asarray(g["dae_x"], dtype)
        out = model(x)
        assert_close(model.retrieval(x), g["dae_retrieval"], tolerance)
        assert_close(model.encode(x), g["dae_embedding"], tolerance)
        assert_close(out, g["dae_out"], tolerance)
        assert_close(jnp.mean((out - x) ** 2), g["dae_mse"], tolerance)


@PRECISIONS
def test_golden_lloyd(golden, dtype, tolerance, of_gradients):
    g = golden("g_simclr")
    with jax.enable_x64(dtype == "float64"):
        found, history = lloyd(g["km_x"].astype(dtype), g["km_init"].astype(dtype), len(g["km_inertia_history"]))
        np.testing.assert_array_equal(found.labels, g["km_labels"])
        assert_close(found.centers, g["km_centers"], tolerance)
        assert_close(found.inertia, g["km_inertia"], tolerance)
        assert_close(history, g["km_inertia_history"], tolerance)


def test_every_golden_array_is_an_input_or_compared(golden):
    names = set(golden("g_simclr").arrays)
    stages = {name for name in names if name.startswith("dae_") and name.split("_")[1].isdigit()}
    inputs = {"zi", "zj", "temperature", "pseudo_labels", "batch_size", "random_perm", "dae_x", "dae_out_w", "dae_out_b"}
    outputs = {"ntxent", "grad_zi", "grad_zj", "rank", "guided_order", "dae_retrieval", "dae_embedding", "dae_out", "dae_mse"}
    counts = {"collisions_per_guided_batch", "collisions_per_random_batch"}
    clusters = {f"km_{part}" for part in ("x", "init", "centers", "labels", "inertia_history", "inertia")}
    assert names == inputs | outputs | counts | clusters | stages


# --- Order and collisions ---


def brute_force_rank(labels):
    return [1 + sum(labels[j] == labels[i] for j in range(i)) for i in range(len(labels))]


@pytest.mark.parametrize("clusters, rows", [(1, 5), (4, 60), (9, 40)])
def test_ranks_and_order_are_those_of_the_definition(clusters, rows):
    labels = RNG.integers(clusters, size=rows)
    rank = brute_force_rank(labels.tolist())
    assert occurrence_rank(labels).tolist() == rank
    expected = sorted(range(rows), key=lambda i: (rank[i], labels[i]))
    assert guided_order(labels, 1).tolist() == expected
    assert sorted(guided_order(3 * labels - 7, 1)) == list(range(rows))  # labels of any value


@pytest.mark.parametrize("clusters, size", [(6, 6), (8, 6)])
def test_batches_are_clean_as_long_as_the_smallest_cluster_lasts(clusters, size):
    labels = RNG.permutation(np.concatenate([np.arange(clusters).repeat(5), RNG.integers(clusters, size=90)]))
    least = np.bincount(labels).min()
    order = guided_order(labels, size)
    assert not collisions(order[: least * clusters], labels, size).any()
    if clusters == size:
        assert all(len(set(labels[batch])) == size for batch in as_batches(order, size)[:least])
    np.testing.assert_array_equal(guided_order(labels, size, "drop"), order[: least * clusters])
    drawn = guided_order(labels, size, "resample", key=KEY)
    assert not collisions(drawn, labels, size).any()
    assert len(drawn) == -(-len(labels) // clusters) * clusters


def test_resampling_uses_all_rows_of_small_clusters_before_it_repeats_one():
    labels = np.array([0] * 2 + [1] * 10)
    drawn = guided_order(labels, 2, "resample", key=KEY).reshape(-1, 2)
    assert {tuple(sorted(pair)) for pair in drawn[:, 0].reshape(-1, 2).tolist()} == {(0, 1)}
    assert len(set(drawn[:, 1].tolist())) == len(drawn)


def test_epochs_repeat_but_for_the_resampled_ones():
    labels = RNG.integers(4, size=50)
    kept, drawn = GuidedBatches(labels, 4), GuidedBatches(labels, 4, "resample", KEY)
    count = len(kept.epoch())
    assert kept.indices(count + 3).dtype == np.int32
    np.testing.assert_array_equal(kept.indices(count + 3)[count:], kept.epoch()[:3])
    assert (drawn.epoch(0) != drawn.epoch(1)).any()
    np.testing.assert_array_equal(drawn.epoch(1), drawn.epoch(1))


def test_collisions_are_counted():
    labels, order = np.array([0, 0, 0, 1, 2, 3]), np.arange(6)
    assert collisions(order, labels, 3).tolist() == [2, 0]
    np.testing.assert_allclose(collision_rate(order, labels, 3), [1, 0])
    many = RNG.integers(10, size=6000)
    np.testing.assert_allclose(collision_rate(RNG.permutation(6000), many, 60).mean(), 0.1, atol=0.005)


# --- Clusters ---


def test_lloyd_is_that_of_scikit_learn():
    from sklearn.cluster import KMeans

    x = RNG.normal(size=(80, 3))
    with jax.enable_x64():
        found, history = lloyd(x, x[:4], 60)
    peer = KMeans(4, init=x[:4], n_init=1, tol=0, max_iter=60).fit(x)
    np.testing.assert_allclose(found.centers, peer.cluster_centers_, atol=1e-8)
    np.testing.assert_array_equal(found.labels, peer.labels_)
    assert (np.diff(history) <= 1e-9).all() and abs(float(found.inertia) - peer.inertia_) < 1e-8


def test_an_empty_cluster_keeps_its_centre():
    found, _ = lloyd(np.array([[0.0], [1.0]]), np.array([[0.5], [90.0]]), 3)
    assert found.centers.ravel().tolist() == [0.5, 90.0] and found.labels.tolist() == [0, 0]


def test_more_starts_are_not_worse_and_far_groups_are_found():
    x = np.concatenate([RNG.normal(10 * i, 0.1, (20, 2)) for i in range(5)])
    found = kmeans(KEY, x, 5)
    assert np.bincount(found.labels).tolist() == [20] * 5
    blob = RNG.normal(size=(200, 2))
    one, ten = (float(kmeans(KEY, blob, 9, n_iter=5, n_init=n).inertia) for n in (1, 10))
    assert ten <= one
    assert float(kmeans(KEY, blob[:7], 7).inertia) < 1e-9


# --- The autoencoder ---


def test_the_autoencoders_have_the_authors_numbers_of_parameters():
    small = nnx.eval_shape(lambda: DenoisingAutoencoder(rngs=nnx.Rngs(0)))
    deep = nnx.eval_shape(lambda: DenoisingAutoencoder(DEEP_WIDTHS, kernel=DEEP_KERNEL, rngs=nnx.Rngs(0)))
    every = lambda model: sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model)))  # noqa: E731
    assert (count_params(small), every(small), every(small.encoder)) == (334_851, 335_747, 94_144)
    assert every(deep) == 61_059_843
    shape = jax.ShapeDtypeStruct((2, 224, 224, 3), jnp.float32)
    assert jax.eval_shape(lambda m, x: m.retrieval(x), deep, shape).shape == (2, 7, 7, 1024)


def test_pooling_and_upsampling():
    x = jnp.arange(16.0).reshape(1, 4, 4, 1)
    assert max_pool(x)[0, :, :, 0].tolist() == [[5, 7], [13, 15]]
    np.testing.assert_array_equal(max_pool(upsample(x)), x)
    assert upsample(x)[0, :2, :2, 0].tolist() == [[0, 0], [0, 0]]


def test_kernels_start_as_in_keras():
    weights = np.asarray(glorot_uniform(KEY, (3, 3, 40, 20)))
    bound = (6 / (9 * 60)) ** 0.5
    assert np.abs(weights).max() <= bound and np.abs(weights).max() > 0.99 * bound


def test_training_the_autoencoder_lowers_the_error_and_codes_ignore_the_noise():
    images = np.repeat(RNG.integers(0, 256, (120, 1, 1, 3), np.uint8), 8, 1).repeat(8, 2)
    model = DenoisingAutoencoder((4, 4), momentum=0.2, rngs=nnx.Rngs(0))
    losses = train_autoencoder(model, images, key=KEY, epochs=4, batch_size=12, learning_rate=1e-2)
    assert 1 < len(losses) <= 4 and min(losses) < 0.8 * losses[0]
    x = jnp.asarray(images, jnp.float32) / 255
    np.testing.assert_allclose(jnp.mean((model(x[-12:]) - x[-12:]) ** 2), min(losses), rtol=1e-4)  # the best weights
    codes = codes_of(model, images)
    np.testing.assert_allclose(codes, model.encode(x), rtol=1e-4, atol=1e-5)
    assert codes.shape == (120, 4)


def test_noise_is_added_to_the_input_alone():
    model = DenoisingAutoencoder((4,), noise=0.5, rngs=nnx.Rngs(0))
    model.eval()
    x, draws = (jnp.asarray(RNG.random((2, 4, 4, 3)), jnp.float32) for _ in range(2))
    np.testing.assert_allclose(model(x, draws), model(x + 0.5 * draws), rtol=1e-6)


# --- Views ---

IMAGES = RNG.integers(0, 256, (6, 8, 8, 3), np.uint8)


def test_hsv_is_that_of_matplotlib_and_comes_back():
    from matplotlib.colors import rgb_to_hsv

    x = np.concatenate([RNG.random((50, 3)), np.zeros((1, 3)), np.full((1, 3), 0.4), np.eye(3)]).astype(np.float32)
    found = to_hsv(jnp.asarray(x))
    np.testing.assert_allclose(np.stack(found, -1), rgb_to_hsv(x), atol=1e-5)
    np.testing.assert_allclose(from_hsv(*found), x, atol=1e-5)
    np.testing.assert_allclose(from_hsv(found[0] - 2, *found[1:]), x, atol=1e-4)


def test_no_jitter_is_the_identity_and_each_part_does_its_own():
    x = IMAGES / np.float32(255)
    np.testing.assert_allclose(jittered(x, np.zeros((6, 4), np.float32), 1.0), x, atol=1e-5)
    half = np.float32([[1, 0, 0, 0]] * 6)
    np.testing.assert_allclose(jittered(0.5 * x, half, 0.5), np.clip(0.5 * x + 0.4, 0, 1), atol=1e-5)
    flat = jittered(x, np.float32([[0, -1, 0, 0]] * 6), 1.25)
    np.testing.assert_allclose(flat, np.broadcast_to(x.mean((1, 2), keepdims=True), x.shape), atol=1e-5)
    grey = np.asarray(jittered(x, np.float32([[0, 0, -1, 0]] * 6), 1.25))
    np.testing.assert_allclose(grey, np.broadcast_to(x.max(-1, keepdims=True), x.shape), atol=1e-5)


def test_views_follow_their_chances_and_a_batch_may_share_them():
    draws = draw_views(KEY, 6)
    never = draws._replace(chances=np.ones((6, 3), np.float32))
    np.testing.assert_allclose(augment(IMAGES, never, Augmentation()), IMAGES / 255, atol=1e-6)
    flipped = draws._replace(chances=np.tile(np.float32([0, 1, 1]), (6, 1)))
    np.testing.assert_allclose(augment(IMAGES, flipped, Augmentation()), IMAGES[:, :, ::-1] / 255, atol=1e-6)
    grey = np.asarray(augment(IMAGES, draws._replace(chances=np.tile(np.float32([1, 1, 0]), (6, 1))), Augmentation()))
    np.testing.assert_allclose(grey[..., 0], grey[..., 2], atol=1e-6)
    data = (np.repeat(IMAGES[:1], 6, 0), np.arange(6)[None], draw_views(KEY, 12))
    alike, apart = (np.asarray(two_views(data, 0, how=how)) for how in (AUTHORS, Augmentation()))
    assert np.ptp(alike[:6], 0).max() < 1e-5 and np.ptp(alike[6:], 0).max() < 1e-5
    assert np.ptp(apart[:6], 0).max() > 0.05
    cropped = augment(IMAGES, draw_views(KEY, 6, 0.3), Augmentation(smallest_area=0.3))
    assert cropped.shape == IMAGES.shape and float(cropped.min()) >= 0 and float(cropped.max()) <= 1


# --- Training ---

SMALL = Network(channels=(8, 8), patch=4, head=(8, 6, 4))


def test_the_rate_restarts_and_every_period_is_twice_as_long():
    rate = cosine_restarts(0.1, 8)
    found = np.array([float(rate(step)) for step in range(56)])
    expected = [0.05 * (1 + np.cos(np.pi * i / n)) for n in (8, 16, 32) for i in range(n)]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_layouts_share_everything_but_their_batches():
    keys = jax.random.split(KEY, 2)
    order = RNG.integers(0, 6, (2, 3, 4))
    other = (order + 1) % 6
    tx = Training(3, 4).transformation()
    found = train(SMALL.build, IMAGES, {"a": order, "b": order, "c": other}, tx, keys, how=Augmentation())
    assert found.losses["a"].shape == (2, 3)
    np.testing.assert_allclose(found.losses["a"], found.losses["b"], rtol=1e-5)
    assert np.abs(found.losses["a"] - found.losses["c"]).max() > 1e-5
    single = train(SMALL.build, IMAGES, {"c": other}, tx, keys, how=Augmentation(), one_by_one=True)
    np.testing.assert_allclose(single.losses["c"], found.losses["c"], rtol=1e-3)
    model = nnx.merge(found.graph, jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), found.states["a"]))
    probed = model.probed(jnp.asarray(IMAGES / np.float32(255)))
    assert {name: value.shape for name, value in probed.items()} == {"P1": (6, 6), "P2": (6, 8), "P3": (6, 8)}
    np.testing.assert_array_equal(probed["P3"], model.features(jnp.asarray(IMAGES / np.float32(255))))


def test_early_stopping_ends_behind_the_best_and_a_nan_ends_all():
    seen = []
    best, losses = train_until_worse(lambda s, n: n, lambda s: [3, 1, 2, 1, 0][s], None, epochs=5)
    assert best == 1 and losses == [3, 1, 2, 1]
    with pytest.raises(TrainingDiverged, match="nan"):
        train_until_worse(lambda s, n: seen.append(n), lambda s: np.nan, None, epochs=3)
    assert seen == [0]


def test_probes_are_those_of_scikit_learn():
    from sklearn.linear_model import LogisticRegression

    x = RNG.normal(size=(600, 3)) * [1, 10, 0.1] + [0, 50, 0]
    labels = (x / [1, 10, 0.1] + RNG.normal(size=x.shape)).argmax(1)
    probe = linear_probe(np.pad(x, ((0, 0), (0, 1))), labels, num_classes=3, key=KEY, learning_rate=0.05)
    peer = LogisticRegression(max_iter=1000).fit((x - x.mean(0)) / x.std(0), labels)
    found = probe.predict(np.pad(x, ((0, 0), (0, 1))))
    assert (found == peer.predict((x - x.mean(0)) / x.std(0))).mean() > 0.95


def test_supervised_and_fine_tuned_classifiers_learn_what_colour_tells():
    labels = np.arange(60) % 2
    images = (200 * np.eye(3)[labels][:, None, None] + RNG.integers(0, 40, (60, 8, 8, 3))).astype(np.uint8)  # red and green
    keys = jax.random.split(KEY, 1)
    orders = np.stack([np.arange(20).reshape(1, 20) % 60] * 20, 1).reshape(1, 20, 20)
    build = lambda rngs: SMALL.classifier(2, rngs)  # noqa: E731
    tx = Training(20, 20, 1e-2, 20, "adam").transformation()
    found = train_supervised(build, images, labels, orders, tx, keys, how=Augmentation(jitter=0.0, grey=0.0))
    assert accuracies(*found, images, labels)[0] == 1
    model = SMALL.build(nnx.Rngs(0))
    before = np.asarray(model.encoder.head.kernel[...])
    tuned = fine_tune([model], images, labels, keys, num_classes=2, epochs=20, batch_size=20, head_rate=0.05, rate=1e-3)
    assert accuracies(*tuned, images, labels)[0] == 1
    np.testing.assert_array_equal(model.encoder.head.kernel[...], before)  # the given model stays as it is
    merged = nnx.merge(tuned[0], jax.tree.map(lambda leaf: leaf[0], tuned[1]))
    assert np.abs(np.asarray(merged.encoder.head.kernel[...]) - before).max() > 0


def test_claims_in_small(monkeypatch):
    part = ImageSplit(RNG.integers(0, 256, (80, 16, 16, 3), np.uint8), np.arange(80, dtype=np.int32) % 10)
    monkeypatch.setattr(sources, "small_set", lambda: ImageData("photographs, 80", part, part, 10))
    preset = replace(
        PRESETS["quick"],
        num_coded=80,
        num_train=80,
        num_oracle=80,
        num_test=40,
        coder=Coder((2, 2), epochs=1, batch_size=8, starts=1, iterations=3),
        network=SMALL,
        training=Training(3, 8, 1e-3, 3, "adam"),
        oracle=Training(3, 10, 1e-3, 3, "adam"),
        probe_epochs=1,
        tuning_epochs=1,
    )
    monkeypatch.setattr(study, "LABELLED", 0.8)
    monkeypatch.setitem(paper.presets, "small", preset)
    record = run(paper, "small", seeds=2)
    verdicts = {result.claim.id: result.verdict for result in record.results}
    assert set(verdicts) == {"C1", "C2", "C2b", "C3", "C4", "C5"}
    assert all(sample.value == 0 for result in record.results if result.claim.id in ("C1", "C2b") for sample in result.samples)


@pytest.mark.parametrize("name", ["standard", "paper"])
def test_presets_have_the_shapes_that_they_say(name):
    preset = PRESETS[name]
    images = jax.ShapeDtypeStruct((4, preset.side, preset.side, 3), jnp.float32)
    model = nnx.eval_shape(lambda: preset.network.build(nnx.Rngs(0)))
    found = jax.eval_shape(lambda m, x: m.probed(x) | {"out": m(x)}, model, images)
    assert {key: value.shape for key, value in found.items()} == {"P1": (4, 128), "P2": (4, 256), "P3": (4, 256), "out": (4, 50)}
    coder = nnx.eval_shape(lambda: preset.coder.build(nnx.Rngs(0)))
    assert jax.eval_shape(lambda m, x: m.encode(x), coder, images).shape == (4, 128)
    classifier = nnx.eval_shape(lambda: preset.network.classifier(10, nnx.Rngs(0)))
    assert jax.eval_shape(lambda m, x: m(x), classifier, images).shape == (4, 10)


# --- Conformance ---


def test_jit_vmap_degenerate_inputs_and_dtypes():
    labels = RNG.integers(3, size=(2, 20))
    assert_jit_consistent(occurrence_rank, labels[0])
    assert_vmap_consistent(occurrence_rank, jnp.asarray(labels))
    assert occurrence_rank(np.zeros(0, int)).shape == (0,)
    x = RNG.random((3, 4, 4, 3)).astype(np.float32)
    amounts = RNG.uniform(-1, 1, (3, 4)).astype(np.float32)
    assert_jit_consistent(lambda a, b: jittered(a, b, 0.5), x, amounts)
    assert_degenerate(lambda a: jittered(a, amounts, 0.5), x, axes=(), scales=(0.0, 1.0))
    model = from_arrays(tiny_arrays())
    assert_degenerate(model.encode, x, axes=())
    assert_degenerate(lambda a: lloyd(a, x[:2, 0, 0], 2)[0].centers, x[:, 0, 0], axes=(), differentiable=False)
    for dtype in (np.uint8, np.float16, np.int32):
        found = lloyd(np.arange(6, dtype=dtype)[:, None], np.array([[0], [5]], dtype), 3)[0]
        np.testing.assert_allclose(found.centers.ravel(), [1, 4])
    bytes_far = kmeans(KEY, np.array([[0], [1], [254], [255]], np.uint8), 2)
    assert sorted(bytes_far.centers.ravel().tolist()) == [0.5, 254.5]


def tiny_arrays():
    shapes = {0: (3, 2), 1: (2, 2)}
    arrays = {f"dae_{i}_w": RNG.normal(size=(3, 3, *pair)).astype(np.float32) for i, pair in shapes.items()}
    for i in shapes:
        arrays |= {f"dae_{i}_{part}": np.ones(2, np.float32) for part in ("b", "gamma", "beta", "mean", "var")}
    return arrays | {"dae_out_w": np.ones((3, 3, 2, 3), np.float32), "dae_out_b": np.zeros(3, np.float32)}


# --- Errors ---

LABELS = np.arange(8) % 4


@pytest.mark.parametrize(
    "call, says",
    [
        (lambda: guided_order(LABELS, 5), "labels has 4 clusters and batch_size is 5"),
        (lambda: guided_order(LABELS, 0), "batch_size is 0"),
        (lambda: guided_order(LABELS, 9), "at least the batch_size, 9"),
        (lambda: guided_order(LABELS[:0], 1), r"labels has shape \(0,\)"),
        (lambda: guided_order(LABELS / 2, 2), "labels has dtype float64"),
        (lambda: guided_order(LABELS, 2, "shuffle"), "tail is 'shuffle'"),
        (lambda: guided_order(LABELS, 2, "resample"), "key is None"),
        (lambda: GuidedBatches(LABELS, 2).indices(0), "steps is 0"),
        (lambda: collisions(np.array([0, 9]), LABELS, 2), "order runs from 0 to 9"),
        (lambda: collision_rate(np.arange(8), LABELS, 1), "batch_size is 1"),
        (lambda: kmeans(KEY, np.ones((3, 2)), 4), "k is 4"),
        (lambda: kmeans(KEY, np.full((3, 2), np.nan), 2), "x has 6 numbers"),
        (lambda: kmeans(KEY, np.ones((3, 2)), 2, n_init=0), "n_init is 0"),
        (lambda: lloyd(np.ones((3, 2)), np.ones((2, 3)), 1), r"centers \(2, 3\)"),
        (lambda: lloyd(np.ones((3, 2)), np.ones((2, 2)), -1), "n_iter is -1"),
        (lambda: DenoisingAutoencoder((), rngs=nnx.Rngs(0)), r"widths is \(\)"),
        (lambda: DenoisingAutoencoder((4,), noise=-1.0, rngs=nnx.Rngs(0)), "noise -1.0"),
        (lambda: from_arrays(tiny_arrays())(jnp.ones((1, 5, 4, 3))), "sides that 2 divides"),
        (lambda: from_arrays({}), r"arrays has the stages \[\]"),
        (lambda: from_arrays(tiny_arrays() | {"dae_1_b": np.ones(3)}), r"dae_1_b of shape \(3,\)"),
        (lambda: train_autoencoder(None, IMAGES, key=KEY), "images has 6 rows"),
        (lambda: Augmentation(flip=1.5), "flip is 1.5"),
        (lambda: Augmentation(strength=-1.0), "strength is -1.0"),
        (lambda: Augmentation(smallest_area=0.0), "smallest_area is 0.0"),
        (lambda: augment(IMAGES[..., :2], draw_views(KEY, 6), AUTHORS), "images has shape"),
        (lambda: augment(IMAGES, draw_views(KEY, 5), AUTHORS), r"draws \(5, 3\)"),
        (lambda: cosine_restarts(0.0, 5), "peak is 0.0"),
        (lambda: cosine_restarts(1.0, 0), "first_period is 0"),
        (
            lambda: train(SMALL.build, IMAGES, {"a": np.zeros((1, 2, 3), int)}, None, jax.random.split(KEY, 2), how=AUTHORS),
            "orders",
        ),
        (lambda: linear_probe(np.ones((70, 2)), np.full(70, 3), num_classes=3, key=KEY), "labels runs from 3"),
        (lambda: linear_probe(np.ones((9, 2)), np.zeros(9, int), num_classes=3, key=KEY), "features has 9 rows"),
        (lambda: fine_tune([], IMAGES, np.zeros(6, int), jax.random.split(KEY, 1), num_classes=2), "models has 0"),
        (lambda: train_until_worse(None, None, None, epochs=0), "epochs is 0"),
        (lambda: replace(PRESETS["quick"], num_train=0), "num_train is 0"),
        (lambda: sources.open_images(replace(PRESETS["quick"], image_set="birds")), "image_set is 'birds'"),
    ],
)
def test_bad_input_is_named(call, says, as_installed):
    with jax.debug_nans(False), pytest.raises(ValueError, match=says):
        call()
