"""Stationary representations: golden vectors, classifier, losses, tasks, compatibility, training, checkpoints, presets."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from quire.common.claims import run
from quire.common.data.images import ImageSplit
from quire.common.errors import DatasetUnavailable
from quire.common.layers.class_heads import FixedHead, simplex_vectors
from quire.common.layers.resnet import ResNet, torch_names
from quire.common.testing import (
    assert_close,
    assert_degenerate,
    assert_dtypes,
    assert_gradients,
    assert_jit_consistent,
    assert_matches_float64,
    assert_vmap_consistent,
)
from quire.common.train.step import split_model
from quire.stationary_representations import (
    METHODS,
    PRESETS,
    Architecture,
    ExpandingHead,
    Memory,
    Network,
    Replacement,
    Scenario,
    SimplexHead,
    TaskStream,
    Training,
    average_accuracy,
    average_compatibility,
    balanced_batches,
    brute_force,
    compatibility_matrix,
    curves,
    distillation_loss,
    hoc_loss,
    inequalities,
    load_checkpoint,
    old_classifier_loss,
    open_scenario,
    paper,
    run_lifelong,
    search_accuracy,
    simplex,
    slot,
    structured_simplex_logits,
    total_loss,
    violations,
    within_segments,
)
from quire.stationary_representations.alignment import among
from quire.stationary_representations.lifelong import Run
from quire.stationary_representations.network import switchable_network
from quire.stationary_representations.sources import ScenarioImages, first_of_each, imagenet32, open_images, turned
from quire.stationary_representations.stationarity import class_directions, pairs_apart
from quire.stationary_representations.training import Networks, Pool, Role

KEY = jax.random.key(0)
PRECISION = pytest.mark.parametrize(("x64", "tolerance"), [(True, 1e-9), (False, 1e-5)], ids=["float64", "float32"])


@pytest.fixture(scope="module")
def vectors(golden):
    return golden("stationary_representations")


compiled_hoc = jax.jit(hoc_loss, static_argnames=("mu", "exact"))
"""One program instead of one for every operation."""


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


# --- Golden vectors ---


def test_golden_simplex(vectors):
    names = [name for name in vectors.arrays if name.startswith("dsimplex")]
    assert names
    for name in names:
        rows = simplex(len(vectors[name]))
        assert_close(rows, vectors[name], 1e-12)
        assert_close(rows.astype(np.float32), vectors[name], 1e-6)


@PRECISION
def test_golden_hoc(vectors, x64, tolerance):
    with jax.enable_x64(x64):
        new, old, labels = (jnp.asarray(vectors[name]) for name in ("feat_new", "feat_old", "labels"))
        assert_close(compiled_hoc(new, old, labels), vectors["hoc_loss"], tolerance)
        assert_close(compiled_hoc(new, old, labels, exact=True), vectors["hoc_loss_true_mask"], tolerance)


@PRECISION
def test_golden_training(vectors, x64, tolerance):
    with jax.enable_x64(x64):
        new, old, projection, labels = (jnp.asarray(vectors[n]) for n in ("feat_new", "feat_old", "proj", "labels"))
        count = len(vectors["dsimplex_main"])
        head, targets = SimplexHead(count), slot(labels, count)
        np.testing.assert_array_equal(targets, vectors["targets_reversed"])
        for logits in (head(new @ projection), FixedHead(simplex(count))(new @ projection)):
            assert_close(logits, vectors["logits"], tolerance)
            assert_close(total_loss(logits, targets), vectors["ce"], tolerance)

        def loss(new):
            z = new @ projection
            return total_loss(head(z), targets, z, old @ projection, lam=0.1)

        value, gradient = jax.jit(jax.value_and_grad(loss))(new)
        assert_close(value, vectors["total_lambda0.1"], tolerance)
        assert_close(gradient, vectors["grad_feat_new"], tolerance)


def test_golden_averages(vectors):
    matrix = vectors["compat_matrix"]
    assert_close(average_compatibility(matrix), vectors["ac"], 1e-9)
    assert_close(average_accuracy(matrix), vectors["aa"], 1e-9)
    assert_close(average_accuracy(100 * matrix), vectors["aa"], 1e-9)
    np.testing.assert_array_equal(violations(matrix), vectors["ac_violations"])


@pytest.mark.parametrize("x64", [True, False], ids=["float64", "float32"])
def test_golden_search(vectors, x64):
    with jax.enable_x64(x64):
        found = search_accuracy(*(vectors[name] for name in ("gallery", "gallery_y", "query", "query_y")))
        assert found == pytest.approx(float(vectors["search_acc"]), abs=1e-12)
        moved = vectors["gallery_y"] * 10 - 7, vectors["query_y"] * 10 - 7  # labels are names, not places
        assert search_accuracy(vectors["gallery"], moved[0], vectors["query"], moved[1]) == found


# --- The classifier ---


@pytest.mark.parametrize("count", [2, 3, 10, 129])
def test_simplex(count):
    rows = simplex(count)
    assert rows.shape == (count, count - 1)
    np.testing.assert_allclose(rows @ rows.T, np.eye(count) * (1 + 1 / (count - 1)) - 1 / (count - 1), atol=5e-8)
    assert ((1 - np.linalg.norm(rows, axis=1)) > 0.9e-8).all()  # the authors' division by norm + 1e-8 shows
    assert_close(rows, simplex_vectors(count), 2e-8)
    with jax.enable_x64():
        z = normal(4, 2, count - 1)
        assert_close(structured_simplex_logits(jnp.asarray(z), count), z @ rows.T, 1e-12)
        assert_close(SimplexHead(count)(jnp.asarray(z)), z @ rows.T, 1e-12)


def test_structured_logits_at_the_edges():
    z = normal(4, 5).astype(np.float32)
    assert_degenerate(lambda z: structured_simplex_logits(z, 6), z)
    assert_dtypes(lambda z: structured_simplex_logits(z, 6), z)
    assert_jit_consistent(lambda z: structured_simplex_logits(z, 6), jnp.asarray(z))
    assert_vmap_consistent(lambda z: structured_simplex_logits(z, 6), jnp.asarray(z))
    assert_matches_float64(lambda z: structured_simplex_logits(z, 6), 1e4 + z)
    assert nnx.to_flat_state(nnx.state(SimplexHead(4), nnx.Param)).paths == ()  # nothing learns


def test_slots():
    labels = np.array([0, 3, 1], np.uint8)
    np.testing.assert_array_equal(slot(labels, 1024), [1023, 1020, 1022])
    np.testing.assert_array_equal(slot(labels, 1024, reverse=False), labels)
    assert slot(labels, 1024).dtype == slot(jnp.asarray(labels), 1024).dtype == np.int32
    assert not np.intersect1d(slot(np.arange(4), 9), slot(np.arange(5), 9, reverse=False)).size


def test_slots_of_the_end_and_of_the_beginning_share_the_classifier():
    """A permutation of the classes is a rigid motion of the simplex: no slot is better than another."""
    rows = simplex(7)
    motion, *_ = np.linalg.lstsq(rows, rows[::-1], rcond=None)
    np.testing.assert_allclose(rows @ motion, rows[::-1], atol=1e-7)
    np.testing.assert_allclose(motion @ motion.T, np.eye(6), atol=1e-7)


def test_a_classifier_that_learns_is_free_up_to_an_orthogonal_map():
    """The loss of turned features with turned rows is the same, and nothing ties two models; the simplex does not turn."""
    z, rows, turn = normal(5, 4), normal(3, 4, seed=1), np.linalg.qr(normal(4, 4, seed=2))[0]
    np.testing.assert_allclose((z @ turn) @ (rows @ turn).T, z @ rows.T, atol=1e-12)
    assert np.abs((z @ turn) @ simplex(5).T - z @ simplex(5).T).max() > 0.1


def test_expanding_head():
    head = ExpandingHead(3, 2, rngs=nnx.Rngs(0))
    before, z = np.asarray(head.kernel[...]), jnp.asarray(normal(4, 3), jnp.float32)
    head.expand(3, rngs=nnx.Rngs(1))
    np.testing.assert_array_equal(head.kernel[:2], before)
    assert head(z).shape == (4, 5)
    # preallocated rows behind a mask are the head before it grew: the same loss, and no gradient on the others
    targets, keep = jnp.array([0, 1, 1, 0]), jnp.arange(5) < 2

    def masked(kernel):
        return total_loss(among(z @ kernel.T, keep), targets)

    value, gradient = jax.jit(jax.value_and_grad(masked))(head.kernel[...])
    assert_close(value, total_loss(z @ before.T, targets), 1e-6)
    assert np.abs(gradient[:2]).min() > 0
    assert not gradient[2:].any()


# --- Losses ---


def batch(n=9, dim=5, classes=3):
    new, old = normal(n, dim), normal(n, dim, seed=1)
    return new, old, np.random.default_rng(2).integers(0, classes, n)


@pytest.mark.parametrize(("exact", "mask"), [(False, "zero"), (True, "out")])
def test_hoc_is_its_definition(exact, mask):
    new, old, labels = batch()
    with jax.enable_x64():
        for mu in (1.0, 10.0):
            found = compiled_hoc(new, old, labels, mu, exact=exact)
            assert_close(found, brute_force.hoc_loss(new, old, labels, mu, mask), 1e-12)
        # rows are old samples: exchanging the models is another loss
        assert abs(float(compiled_hoc(old, new, labels, mu, exact=exact) - found)) > 0.01
        assert_close(compiled_hoc(3 * new, 0.2 * old, labels, mu, exact=exact), found, 1e-12)
        assert_gradients(lambda new: hoc_loss(new, old, labels, exact=exact), new)


@pytest.mark.parametrize(("a", "b"), [(1, 1), (3, 1), (2, 5)])
def test_hoc_counts_samples_of_the_same_class(a, b):
    """With orthogonal classes sums are counts: of the batch in the authors' form, of the other class in the exact one."""
    labels = np.repeat([0, 1], [a, b])
    features = np.eye(2)[labels]
    with jax.enable_x64():
        assert_close(compiled_hoc(features, features, labels), np.log(a + b) - 10, 1e-12)
        expected = (a * np.log(b) + b * np.log(a)) / (a + b) - 10
        assert_close(compiled_hoc(features, features, labels, exact=True), expected, 1e-12)


def test_the_old_model_is_frozen():
    new, old, labels = (jnp.asarray(x) for x in batch())
    for loss in (lambda old: hoc_loss(new, old, labels), lambda old: distillation_loss(new, old)):
        assert not jax.jit(jax.grad(loss))(old).any()
    rows, known = jnp.ones((3, 5)), jnp.ones(3, bool)
    assert not jax.jit(jax.grad(lambda rows: old_classifier_loss(new, rows, labels, known)))(rows).any()


def test_aligning_features_lowers_the_losses():
    new, old, labels = batch()
    for loss in map(jax.jit, (lambda x: hoc_loss(x, old, labels), lambda x: distillation_loss(x, old))):
        assert float(loss(old)) < float(loss(0.5 * (new + old))) < float(loss(new))
    assert float(distillation_loss(2 * old, old)) == pytest.approx(0, abs=1e-6)
    assert float(distillation_loss(-old, old)) == pytest.approx(2, abs=1e-6)


def test_losses_at_the_edges():
    new, old, labels = batch(4, 3, 2)
    new, old = new.astype(np.float32), old.astype(np.float32)
    for loss in (hoc_loss, lambda new, old, labels: distillation_loss(new, old)):
        assert_degenerate(loss, new, old, labels)
        assert_dtypes(loss, new, old, labels, tolerance=1e-4)
        assert_jit_consistent(loss, new, old, labels)
    with jax.debug_nans(False):
        assert np.isnan(hoc_loss(np.full_like(new, np.nan), old, labels))
        one_class = jax.jit(lambda labels: hoc_loss(new, old, labels, exact=True))(np.zeros(4, int))
        assert one_class == -np.inf
    stacked = [np.stack([x, x[::-1]]) for x in (new, old, labels)]
    assert_vmap_consistent(hoc_loss, *map(jnp.asarray, stacked))


def test_total_loss_mixes():
    new, old, labels = batch()
    logits = jnp.asarray(normal(9, 4), jnp.float32)
    parts = float(total_loss(logits, labels)), float(hoc_loss(new, old, labels))
    for lam in (0.0, 0.3, 1.0):
        assert float(total_loss(logits, labels, new, old, lam)) == pytest.approx(lam * parts[0] + (1 - lam) * parts[1], rel=1e-5)


def test_old_classifier_counts_known_classes_only():
    z, rows = jnp.asarray(normal(4, 3), jnp.float32), jnp.asarray(normal(5, 3, seed=1), jnp.float32)
    targets, known = jnp.array([0, 4, 1, 2]), jnp.array([True, True, True, False, False])
    loss = jax.jit(old_classifier_loss)
    found = loss(z, rows, targets, known)
    kept = jnp.array([0, 2, 3])
    assert_close(found, total_loss(z[kept] @ rows[:3].T, targets[kept]), 1e-6)
    assert loss(z, rows, targets, jnp.zeros(5, bool)) == 0


# --- Tasks ---


def test_tasks_are_a_partition():
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(10) * 3, 4))
    stream = TaskStream(labels, 4, 3)
    assert len(stream) == 3
    assert [stream.classes(task).tolist() for task in range(3)] == [[0, 3, 6, 9], [12, 15, 18], [21, 24, 27]]
    examples = [stream.examples(task) for task in range(3)]
    np.testing.assert_array_equal(np.sort(np.concatenate(examples)), np.arange(40))
    assert all(set(labels[found]) == set(stream.classes(task)) for task, found in enumerate(examples))
    assert len(TaskStream(np.arange(100), 10, 15)) == 7
    assert len(TaskStream(np.arange(100), 10, 3)) == 31


def test_memory_keeps_every_class():
    labels, draw = np.repeat(np.arange(4), [9, 9, 2, 9]), np.random.default_rng(0)
    first = Memory(3).remember(draw, np.flatnonzero(labels < 2), labels)
    memory = first.remember(draw, np.flatnonzero(labels >= 2), labels)
    assert np.bincount(labels[memory.examples]).tolist() == [3, 3, 2, 3]
    assert len(set(memory.examples)) == 11
    np.testing.assert_array_equal(memory.examples[:6], first.examples)
    assert Memory(0).remember(draw, np.arange(9), labels).examples.size == 0


def test_batches_are_balanced():
    new, memory = np.arange(100, 130), np.arange(7)
    found = balanced_batches(KEY, new, memory, 8, 20)
    assert found.shape == (20, 8)
    assert found.dtype == np.int32
    assert (found[:, :4] < 7).all()
    assert (found[:, 4:] >= 100).all()
    assert set(found.ravel()) == set(memory) | set(new)
    assert (balanced_batches(KEY, new, memory[:0], 8, 3, rehearsal=0.0) >= 100).all()
    assert (balanced_batches(KEY, new[:0], memory, 8, 3, rehearsal=1.0) < 7).all()
    np.testing.assert_array_equal(found, balanced_batches(KEY, new, memory, 8, 20))


# --- Compatibility ---


def test_matrix_is_search_model_by_model():
    labels = np.repeat([4, 8, 6], 5)
    models = [simplex(4)[labels // 2 - 2] @ np.diag([1, 1, 1 - i]) + 0.6 * normal(15, 3, seed=i) for i in range(3)]
    found = compatibility_matrix(models, models[::-1][::-1], labels, labels)
    assert not np.triu(found, 1).any()
    for t in range(3):
        for k in range(t + 1):
            assert found[t, k] == search_accuracy(models[k], labels, models[t], labels)
    assert found[1, 0] != found[0, 0]


def test_averages_by_hand():
    matrix = np.array([[0.5, 9, 9], [0.5, 0.6, 9], [0.7, 0.9, 0.0]])
    assert violations(matrix).tolist() == [[False] * 3, [True, False, False], [False] * 3]  # a tie fails
    assert average_compatibility(matrix) == pytest.approx(2 / 3)
    assert average_accuracy(matrix) == pytest.approx(100 * (0.5 + 0.5 + 0.6 + 0.7 + 0.9) / 5)  # the zero is missing
    assert average_accuracy(matrix, skip_zeros=False) == pytest.approx(100 * 3.2 / 6)
    assert average_accuracy(np.ones((2, 2))) == 100
    assert average_accuracy(np.zeros((2, 2))) == 0
    found = curves(matrix)
    assert found["AC"][1:].tolist() == pytest.approx([0.0, 2 / 3])
    assert found["AA"][0] == 50
    assert found["own"].tolist() == [0.5, 0.6, 0.0]


def test_segments_end_at_replacements():
    within = within_segments(5, (2, 4))
    assert sorted(zip(*np.nonzero(within), strict=True)) == [(1, 0), (3, 2)]
    assert within_segments(3, ()).sum() == 3


def test_inequalities_pair_by_pair():
    new, old, gallery = normal(4, 3), normal(4, 3, seed=1), normal(6, 3, seed=2)
    labels, others = np.array([0, 0, 1, 2]), np.array([0, 1, 1, 2, 2, 5])

    def distance(a, b):
        return 1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b)

    good, worst = {True: [], False: []}, 0.0
    for i in range(4):
        for j in range(6):
            shift = distance(new[i], gallery[j]) - distance(old[i], gallery[j])
            same = bool(labels[i] == others[j])
            excess = shift if same else -shift
            good[same].append(excess <= 0)
            worst = max(worst, excess)
    found = inequalities(new, old, gallery, labels, others)
    assert (found.same, found.different) == pytest.approx((np.mean(good[True]), np.mean(good[False])))
    assert found.violation == pytest.approx(worst)
    assert found.smaller == min(found.same, found.different)
    assert inequalities(old, old, gallery, labels, others) == (1.0, 1.0, 0.0)


def test_class_vectors_satisfy_the_definition_and_turned_ones_do_not():
    rows, labels, turn = simplex(12), np.arange(12), np.linalg.qr(normal(11, 11))[0]
    assert inequalities(7 * rows, rows, rows, labels, labels).violation < 1e-12
    assert inequalities(rows @ turn, rows, rows, labels, labels).violation > 0.1
    unrelated = inequalities(np.eye(24)[12:], np.eye(24)[:12], np.eye(24)[:12], labels, labels)
    assert (unrelated.same, unrelated.different, unrelated.smaller) == (0.0, 1.0, 0.0)  # why the smaller share is judged


def test_pairs_of_networks():
    """Copies agree in everything; a turned copy in nothing; the means are over the others."""
    config = replace(PRESETS["quick"].stationarity, queries=20, gallery=20)
    labels = np.tile(np.arange(5), 16)
    base = simplex(9)[labels] + 0.1 * normal(80, 8)
    copies = pairs_apart(config, np.stack([base, 2 * base, base]), labels, np.random.default_rng(0))
    np.testing.assert_allclose(copies["cosine"], 1)
    assert copies["search"].tolist() == copies["own"].tolist() == [1.0] * 3
    assert copies["smaller"].tolist() == [1.0] * 3
    assert (copies["rotated"] < 0.6).all()
    assert copies["table"].shape == (3, 5, 5)
    turn = np.linalg.qr(normal(8, 8, seed=3))[0]
    turned_pair = pairs_apart(config, np.stack([base, base @ turn, base]), labels, np.random.default_rng(0))
    expected = (class_directions(base, labels) * class_directions(base @ turn, labels)).sum(1).mean()
    np.testing.assert_allclose(turned_pair["cosine"], [(1 + expected) / 2, expected, (1 + expected) / 2])
    np.testing.assert_allclose(turned_pair["|cosine|"][1], abs(expected))


# --- Training ---

TINY = Architecture(6, (4,), patch=2, in_channels=1)
RECIPE = Training(3, 8, 0.05, schedule="constant", optimiser="adam")


def tiny_pool(n=24):
    return Pool(normal(n, 4, 4, 1).astype(np.float32), np.arange(n, dtype=np.int32) % 6)


def tiny_networks(**options):
    return Networks(lambda rngs: switchable_network(TINY, 0.0, 1.0, rngs=rngs), RECIPE, **{"tied": True} | options)


def roles(fixed, weights, keep=6, known=6):
    n = len(fixed)
    masks = [np.tile(np.arange(6) < count, (n, 1)) for count in (keep, known)]
    return Role(np.float32(fixed), np.float32(weights), *masks)


def test_a_stage():
    """Fixed classifiers do not learn, the terms of a role are what counts, and the order of execution changes nothing."""
    pool, indices = tiny_pool(), np.tile(np.arange(24, dtype=np.int32).reshape(1, 3, 8), (4, 1, 1))
    weights = [[1, 0, 0, 0], [1, 0, 0, 0], [0.1, 0.9, 0, 0], [0, 0, 0, 0]]
    networks = tiny_networks()
    start = networks.start([KEY], copies=4)
    who = roles([1, 0, 1, 0], weights)
    trained, losses = networks.train(start, start, who, pool, indices)
    before, after = (np.asarray(x.params["head"]["kernel"][...]) for x in (start, trained))
    moved = np.abs(after - before).max((1, 2))
    assert moved[0] == moved[2] == moved[3] == 0
    assert moved[1] > 0.01
    stems = [np.asarray(x.params["backbone"]["head"]["kernel"][...]) for x in (start, trained)]
    assert (np.abs(stems[1] - stems[0]).max(axis=tuple(range(1, stems[0].ndim)))[:3] > 0.01).all()
    network = switchable_network(TINY, 0.0, 1.0, rngs=nnx.Rngs(KEY))
    images, slots = jnp.asarray(pool.images[:8]), pool.slots[:8]

    @jax.jit
    def expected(images):
        z = network.features(images)
        fixed, learned = structured_simplex_logits(z, 6), network.head(z)
        return z, jnp.stack([total_loss(fixed, slots), total_loss(learned, slots), total_loss(fixed, slots, z, z), jnp.zeros(())])

    z, first = expected(images)
    np.testing.assert_allclose(losses[:, 0], first, rtol=1e-4)
    np.testing.assert_allclose(networks.features(start, pool.images[:8], batch_size=5)[1], z, rtol=1e-4, atol=1e-6)
    again, same = tiny_networks(one_by_one=True).train(start, start, who, pool, indices)
    np.testing.assert_allclose(same, losses, rtol=1e-4)
    assert_close(again.params, trained.params, 1e-4)


def test_ties_to_the_old_model():
    """Each tie keeps features nearer to those of the old model than cross-entropy alone."""
    pool, indices = tiny_pool(), np.tile(np.arange(24, dtype=np.int32).reshape(1, 3, 8), (4, 1, 1))
    networks = tiny_networks()
    old, start = networks.start([KEY], copies=4), networks.start([jax.random.key(1)], copies=4)
    ties = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    trained, _ = networks.train(start, old, roles([0, 0, 0, 0], ties), pool, indices)
    features, reference = networks.features(trained, pool.images), networks.features(old, pool.images)
    gap = jax.jit(jax.vmap(distillation_loss))(features, reference)
    assert gap[2] < gap[0]
    assert gap[1] < gap[0]
    old_rows = np.asarray(old.params["head"]["kernel"][3])
    by_old = jax.jit(jax.vmap(lambda z: old_classifier_loss(z, old_rows, pool.slots, np.ones(6, bool))))(features)
    assert by_old[3] < by_old[0]


def test_a_stage_in_a_process_with_x64():
    """Networks stay in float32."""
    pool, indices = tiny_pool(), np.tile(np.arange(24, dtype=np.int32).reshape(1, 3, 8), (1, 1, 1))
    with jax.enable_x64():
        networks = tiny_networks()
        start = networks.start([KEY])
        trained, losses = networks.train(start, start, roles([1], [[0.1, 0.5, 0.2, 0.2]]), pool, indices)
        assert losses.dtype == networks.features(trained, pool.images).dtype == np.float32


def tiny_scenario(**options):
    sizes = {"initial": 2, "increment": 1, "per_class": 6, "memory": 2, "gallery_per_class": 3, "queries_per_class": 2}
    return Scenario("digits", TINY, RECIPE, **{"replacements": (Replacement(2, 2, 1),)} | sizes | options)


def tiny_images(**options):
    def split(classes, count, seed):
        labels = np.repeat(np.arange(classes, dtype=np.int32), count)
        return ImageSplit((normal(len(labels), 4, 4, 1, seed=seed) + labels[:, None, None, None]).astype(np.float32), labels)

    return ScenarioImages("drawn", tiny_scenario(**options), split(4, 6, 0), split(2, 6, 1), split(3, 3, 2), split(3, 2, 3))


@pytest.fixture(scope="module")
def lifelong():
    return run_lifelong(tiny_images(), jax.random.split(KEY, 2))


def test_lifelong_run(lifelong):
    assert set(lifelong["matrix"]) == set(METHODS)
    for matrix in lifelong["matrix"].values():
        assert matrix.shape == (2, 3, 3)
        assert ((matrix >= 0) & (matrix <= 1)).all()
        assert not np.triu(matrix, 1).any()
    losses = lifelong["losses"]
    assert losses["HOC"].shape == (2, 3, 3)
    # without an old model, methods with one kind of classifier are one method
    np.testing.assert_allclose(losses["HOC"][:, 0], losses["simplex-only"][:, 0], rtol=1e-5)
    np.testing.assert_allclose(losses["ER"][:, 0], losses["BCT"][:, 0], rtol=1e-5)
    assert np.abs(losses["HOC"][:, 1] - losses["simplex-only"][:, 1]).max() > 0.01
    assert np.abs(losses["ER"][:, 0] - losses["simplex-only"][:, 0]).max() > 0.01
    # other seeds, other runs
    assert np.abs(losses["ER"][0] - losses["ER"][1]).max() > 0.01


def test_a_replacement_starts_from_elsewhere():
    """Its models have seen the other set only, on the slots of the beginning; the tie is to the replacing model itself."""
    images = tiny_images()
    under_way = Run(images, jax.random.split(KEY, 2), {"HOC": METHODS["HOC"], "ER": METHODS["ER"]})
    seen = []
    train = under_way.networks.train

    def spy(weights, old, who, pool, indices):
        seen.append((weights is old, who, indices))
        return train(weights, old, who, pool, indices)

    under_way.networks.train = spy
    replaced = under_way.replacing(images.scenario.replacements[0])
    (tied_to_itself, who, indices), fresh = seen[0], under_way.start(0)
    assert tied_to_itself
    assert indices.min() >= len(images.local)
    assert (np.asarray(under_way.pool.slots)[indices] < 2).all()
    assert who.weights.tolist() == [[1, 0, 0, 0]] * 4
    assert who.keep.sum(1).tolist() == [6, 6, 2, 2]
    kernels = [x.params["backbone"]["head"]["kernel"][...] for x in (replaced, fresh)]
    assert np.abs(np.asarray(kernels[0]) - np.asarray(kernels[1])).max() > 0.01


def test_weights_of_the_methods():
    expected = {
        "HOC": [0.1, 0.9, 0, 0],
        "simplex-only": [1, 0, 0, 0],
        "ER": [1, 0, 0, 0],
        "LwF": [0.1, 0, 0.9, 0],
        "BCT": [0.1, 0, 0, 0.9],
    }
    assert {name: list(method.weights(0.1)) for name, method in METHODS.items()} == expected
    assert [name for name, method in METHODS.items() if method.fixed] == ["HOC", "simplex-only"]


def test_final_rate():
    recipe = replace(PRESETS["paper"].scenario.training, steps=100)
    assert [float(recipe.rate()(step)) for step in (0, 100)] == pytest.approx([1e-3, 1e-5])
    assert float(replace(recipe, schedule="constant").rate()(100)) == pytest.approx(1e-3)


# --- Checkpoints ---


def released(depths=(1, 2), width=4, dim=11, rows=None):
    """Arrays under the authors' names, and the network that they were taken from."""
    rngs = nnx.Rngs(0)
    backbone = ResNet(depths, width=width, rngs=rngs)
    rows = simplex(dim + 1) if rows is None else rows
    network = Network(backbone, width * 2 ** (len(depths) - 1), dim, FixedHead(jnp.asarray(rows, jnp.float32)), rngs=rngs)
    state, values = {"fc2.weight": rows}, dict(nnx.to_flat_state(nnx.state(backbone)))
    for path, source in torch_names(backbone).items():
        x = np.asarray(values[path][...]) + 0.1 * np.abs(normal(*values[path].shape, seed=len(state)))
        values[path] = values[path].replace(jnp.asarray(x, jnp.float32))
        state[f"backbone.{source.names[0]}"] = x.transpose(3, 2, 0, 1) if x.ndim == 4 else x
    nnx.update(backbone, nnx.from_flat_state(values))
    if network.projection is not None:
        state["fc1.weight"] = np.asarray(network.projection.kernel[...]).T
    network.eval()
    return state | {"backbone.bn1.num_batches_tracked": np.array(7)}, network


@pytest.mark.parametrize(("depths", "dim"), [((1, 2), 11), ((1,), 4)])
def test_checkpoints_load(depths, dim):
    state, network = released(depths, dim=dim)
    assert ("fc1.weight" in state) == (dim == 11)
    images = jnp.asarray(normal(2, 16, 16, 3), jnp.float32)
    loaded = load_checkpoint(state)
    assert isinstance(loaded.head, SimplexHead)
    found, expected = (jax.jit(lambda x, net=net: (net.features(x), net(x)))(images) for net in (loaded, network))
    assert_close(found, expected, 1e-5)


def test_checkpoints_with_a_learned_classifier():
    state, network = released((1,), dim=4, rows=normal(3, 4))
    loaded, images = load_checkpoint(state), jnp.asarray(normal(2, 8, 8, 3), jnp.float32)
    assert isinstance(loaded.head, ExpandingHead)
    found, expected = (jax.jit(lambda x, net=net: net(x))(images) for net in (loaded, network))
    assert_close(found, expected, 1e-5)


def test_checkpoints_that_do_not_fit(as_installed):
    state, _ = released((1,))
    changes = {
        "missing: backbone.bn1.weight": {"backbone.bn1.weight": None},
        "unexpected: extra": {"extra": np.ones(2)},
        "fc1.weight": {"fc1.weight": np.ones((11, 7))},
        "missing: fc1.weight": {"fc1.weight": None},
        "lacks fc2.weight": {"fc2.weight": None},
        "fc2.weight is": {"fc2.weight": np.ones(3)},
        "backbone.conv1.weight is": {"backbone.conv1.weight": np.ones(3)},
    }
    for message, change in changes.items():
        with pytest.raises(ValueError, match=message):
            load_checkpoint({name: x for name, x in (state | change).items() if x is not None})


# --- Images, presets, errors ---


def test_turned_images():
    split = ImageSplit(normal(6, 3, 3, 1), np.array([1, 0, 1, 2, 1, 2]))
    found, mirrored = turned(split, [1, 2], 2), turned(split, [1, 2], 2, mirrored=True)
    assert found.labels.tolist() == np.repeat(np.arange(8), 2).tolist()
    np.testing.assert_array_equal(found.images[0], split.images[0])
    np.testing.assert_array_equal(found.images[3, :, :, 0], np.rot90(split.images[2, :, :, 0]))
    np.testing.assert_array_equal(found.images[-1, :, :, 0], np.rot90(split.images[5, :, :, 0], 3))
    np.testing.assert_array_equal(mirrored.images[0, :, ::-1], split.images[0])
    assert first_of_each(split, 1).labels.tolist() == [1, 0, 2]
    with pytest.raises(ValueError, match="per_class is 4; there are 3 images of the digit 1"):
        turned(split, [1], 4)


def test_imagenet32_counts_labels_from_one(monkeypatch, tmp_path):
    (tmp_path / "imagenet32").mkdir()
    for number in range(1, 11):
        data = np.full((3, 3072), number, np.uint8)
        np.savez(tmp_path / "imagenet32" / f"train_data_batch_{number}.npz", data=data, labels=np.array([1, 3, 2]))
    monkeypatch.setenv("QUIRE_DATA", str(tmp_path))
    split = imagenet32(2)
    assert split.labels.tolist() == [0, 1] * 10
    assert split.images.shape == (20, 32, 32, 3)


def test_missing_data(as_installed, monkeypatch, tmp_path):
    monkeypatch.setenv("QUIRE_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("QUIRE_OFFLINE", "1")
    for call in (lambda: open_scenario(PRESETS["paper"].scenario), lambda: open_images(PRESETS["paper"].stationarity)):
        with pytest.raises(DatasetUnavailable, match="cifar100"):
            call()
    with pytest.raises(DatasetUnavailable, match="imagenet32"):
        imagenet32(2)
    found, plain = open_scenario(PRESETS["quick"].scenario), open_images(PRESETS["quick"].stationarity)
    assert "digits" in found.name
    assert found.stand_in_for == "CIFAR-100, ImageNet32 and CIFAR-10"
    assert found.value.scenario.architecture.patch == 2
    assert [len(np.unique(x.labels)) for x in (found.value.local, found.value.other, found.value.gallery)] == [20] * 3
    assert "digits" in plain.name
    assert plain.value.config.architecture.patch == 2


@pytest.mark.parametrize("name", PRESETS)
def test_presets_trace(name):
    """A stage of every preset, with all ties and without, by shapes alone."""
    preset = PRESETS[name]
    for config, tied in ((preset.stationarity, False), (preset.scenario, True)):
        sizes, recipe = config.architecture, config.training
        side = 32 if sizes.in_channels == 3 else 28

        def build(rngs, sizes=sizes):
            return switchable_network(sizes, 0.0, 1.0, rngs=rngs)

        networks = Networks(build, recipe, tied=tied, one_by_one=config.one_by_one)
        weights = jax.eval_shape(lambda build=build: split_model(build(nnx.Rngs(0)))[2])
        weights = jax.tree.map(lambda x: jax.ShapeDtypeStruct((2, *x.shape), x.dtype), weights)
        slots = jax.ShapeDtypeStruct((2, sizes.num_slots), bool)
        role = Role(*(jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((2,), (2, 4))), slots, slots)
        pool = Pool(jax.ShapeDtypeStruct((50, side, side, sizes.in_channels), jnp.uint8), jax.ShapeDtypeStruct((50,), jnp.int32))
        indices = jax.ShapeDtypeStruct((2, recipe.steps, recipe.batch_size), jnp.int32)
        after, losses = jax.eval_shape(networks._train, weights, weights, role, pool, indices)
        assert losses.shape == (2, recipe.steps)
        assert jax.tree.map(lambda x: x.shape, after) == jax.tree.map(lambda x: x.shape, weights)
        assert jax.eval_shape(networks._features, weights, pool.images).shape == (2, 50, sizes.dim)


def one_of(**changes):
    """A batch of losses with something wrong."""
    arguments = {"new": np.ones((3, 2)), "old": np.ones((3, 2)), "labels": np.array([0, 1, 0])} | changes
    return arguments.pop("new"), arguments.pop("old"), arguments.pop("labels")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: simplex(1), "n is 1"),
        (lambda: structured_simplex_logits(jnp.ones((2, 4)), 4), r"z has shape \(2, 4\)"),
        (lambda: structured_simplex_logits(jnp.ones((2, 4)), 1), "num_classes is 1"),
        (lambda: SimplexHead(5)(jnp.ones((2, 5))), "must end in 4 features"),
        (lambda: slot(np.array([5]), 5), "labels runs from 5 to 5"),
        (lambda: slot(np.array([-1]), 5), "labels runs from -1"),
        (lambda: slot(np.array([0.5]), 5), "labels has dtype float64"),
        (lambda: slot(np.array([], int), 0), "num_slots is 0"),
        (lambda: hoc_loss(*one_of(old=np.ones((3, 4)))), "new has shape"),
        (lambda: hoc_loss(*one_of(labels=np.array([0, 1]))), "labels has shape"),
        (lambda: hoc_loss(*one_of(), mu=0.0), "mu is 0.0"),
        (lambda: hoc_loss(*one_of(labels=np.zeros(3, int)), exact=True), "labels holds class 0 only"),
        (lambda: hoc_loss(*(np.ones((0, 2)),) * 2, np.zeros(0, int)), "with a sample"),
        (lambda: total_loss(jnp.ones((3, 4)), np.zeros(3, int), lam=1.5), "lam is 1.5"),
        (lambda: total_loss(jnp.ones((3, 4)), np.zeros(3, int), np.ones((3, 2))), "old is None"),
        (lambda: distillation_loss(np.ones((3, 2)), np.ones((2, 2))), "new has shape"),
        (
            lambda: old_classifier_loss(jnp.ones((3, 2)), jnp.ones((4, 3)), jnp.zeros(3, int), np.ones(4, bool)),
            "new has dimension 2",
        ),
        (lambda: ExpandingHead(3, 0, rngs=nnx.Rngs(0)), "num_classes is 0"),
        (lambda: ExpandingHead(3, 1, rngs=nnx.Rngs(0)).expand(0, rngs=nnx.Rngs(0)), "count is 0"),
        (lambda: ExpandingHead(3, 1, rngs=nnx.Rngs(0))(jnp.ones((2, 4))), "z has dimension 4"),
        (lambda: TaskStream(np.arange(5), 2, 2), "initial is 2 and increment 2; 5 classes"),
        (lambda: TaskStream(np.arange(5), 0, 5), "initial is 0"),
        (lambda: TaskStream(np.arange(2), 5, 1), "initial is 5"),
        (lambda: TaskStream(np.ones(3), 1, 1), "labels is float64"),
        (lambda: TaskStream(np.arange(5), 2, 3).classes(2), "task is 2"),
        (lambda: Memory(-1), "per_class is -1"),
        (lambda: balanced_batches(KEY, np.arange(3), np.arange(0), 4, 2), "memory is empty"),
        (lambda: balanced_batches(KEY, np.arange(0), np.arange(3), 4, 2), "new is empty"),
        (lambda: balanced_batches(KEY, np.arange(3), np.arange(3), 0, 2), "batch_size is 0"),
        (lambda: balanced_batches(KEY, np.arange(3), np.arange(3), 4, 2, rehearsal=1.5), "rehearsal is 1.5"),
        (lambda: compatibility_matrix([], [], np.arange(0), np.arange(0)), "0 models"),
        (lambda: compatibility_matrix([np.eye(3)] * 2, [np.eye(2)] * 2, np.arange(3), np.arange(2)), "dimension"),
        (lambda: average_compatibility(np.ones((1, 1))), "at least 2 models"),
        (lambda: average_compatibility(np.ones((2, 3))), "matrix has shape"),
        (lambda: average_compatibility(np.array([[np.nan, 0], [1, 1]])), "not finite"),
        (lambda: average_accuracy(np.zeros((0, 0))), "at least 1 models"),
        (lambda: average_accuracy(np.array([[1, 0], [np.nan, 1]])), "not finite"),
        (lambda: inequalities(np.eye(2), np.eye(2), np.eye(2), np.zeros(2), np.zeros(2)), "needs both"),
        (lambda: inequalities(np.eye(2), np.eye(2), np.eye(2), np.arange(3), np.arange(2)), "labels"),
        (lambda: inequalities(np.eye(2) * np.nan, np.eye(2), np.eye(2), np.arange(2), np.arange(2)), "finite"),
        (lambda: inequalities(np.eye(3), np.eye(3), np.eye(2), np.arange(3), np.arange(2)), "features have shapes"),
        (lambda: Architecture(1), "num_slots is 1"),
        (lambda: replace(PRESETS["quick"].stationarity, networks=1), "networks is 1"),
        (lambda: tiny_scenario(replacements=(Replacement(0, 2, 1),)), "replacements come"),
        (lambda: tiny_scenario(replacements=(Replacement(2, 2, 1), Replacement(1, 2, 1))), "replacements come"),
        (lambda: replace(tiny_images(), scenario=replace(tiny_scenario(), architecture=Architecture(5, (4,)))), "num_slots is 5"),
        (lambda: open_scenario(replace(tiny_scenario(), image_set="svhn")), "image_set is 'svhn'"),
    ],
)
def test_wrong_arguments(call, message, as_installed):
    with pytest.raises(ValueError, match=message):
        call()


def test_identities_hold():
    assert run(paper, claims=["C1", "C5"], seeds=1).as_expected
