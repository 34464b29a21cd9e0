"""Rich representations: golden parity, identities, episodes, probes, fine-tuning, distillation, few-shot, group shift, errors."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from quire.common.testing import (
    assert_close,
    assert_degenerate,
    assert_dtypes,
    assert_gradients,
    assert_jit_consistent,
    assert_vmap_consistent,
)
from quire.rich_representations import (
    PRESETS,
    Classifier,
    Concatenation,
    Descent,
    LinearProbe,
    Models,
    Parts,
    Perceptron,
    Pool,
    Student,
    accuracy,
    backbone,
    cat_features,
    cat_groups,
    cat_head,
    cka_matrix,
    classifier,
    coloured,
    cosine_logits,
    disagreement,
    distill_loss,
    distillation,
    episode_batches,
    features_of,
    few_shot_accuracy,
    few_shot_episodes,
    fine_tune,
    fit_heads,
    fit_probe,
    incremental_gradient,
    joined,
    load_tasks,
    logits_of,
    population_cross_entropy,
    ridge_objective,
    split_new,
    split_source,
    stack_models,
    stack_trunks,
    train_episodes,
    trunks_of,
    two_stage,
    vrex,
    with_fresh_heads,
)
from quire.rich_representations import transfer_study as study
from quire.rich_representations.shift_study import environments, standardised

RNG = np.random.default_rng(0)
KEY = jax.random.key(0)
X = RNG.normal(size=(40, 6)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int32)

# --- Golden vectors ---

PRECISIONS = pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-10), ("float32", 1e-4)])


def in_precision(dtype):
    return jax.enable_x64(dtype == "float64")


@PRECISIONS
def test_golden_concatenation_and_its_head(golden, dtype, tolerance):
    g = golden("rich_representations")
    with in_precision(dtype):
        x, w, b, head, bias = (jnp.asarray(g[f"cat_{name}"], dtype) for name in ("x", "trunk_w", "trunk_b", "head_w", "head_b"))
        trunks = [lambda z, w=w[i], b=b[i]: jax.nn.relu(z @ w.T + b[None]) for i in range(len(w))]
        features = cat_features(trunks, x)
        assert_close(features, g["cat_features"], tolerance)
        weights, offset = cat_head(head, bias)
        assert_close(features @ weights.T + offset[None], g["cat_logits"], tolerance)
        assert_close(features @ weights.T + offset[None], g["cat_mean_logits"], tolerance)
        assert_close(cka_matrix(g["cat_features"].astype(dtype).reshape(len(x), len(w), -1).swapaxes(0, 1)), g["cka"], tolerance)
        assert_close(cosine_logits(features, jnp.asarray(g["cos_w"], dtype), float(g["cos_scale"])), g["cos_logits"], tolerance)


@PRECISIONS
def test_golden_probe_with_batch_norm(golden, dtype, tolerance):
    g = golden("rich_representations")
    classes, features = g["bn_head_w"].shape
    with in_precision(dtype):
        probe = LinearProbe(features, classes, rngs=nnx.Rngs(0))
        probe.norm.scale[...], probe.norm.shift[...] = (jnp.asarray(g[name], dtype) for name in ("bn_scale", "bn_bias"))
        probe.head.kernel = nnx.Param(jnp.asarray(g["bn_head_w"].T, dtype))
        probe.head.bias = nnx.Param(jnp.asarray(g["bn_head_b"], dtype))
        x = jnp.asarray(g["cat_features"], dtype)
        assert_close(probe(x), g["bn_train_logits"], tolerance)
        assert_close(probe.norm.mean[...], g["bn_running_mean"], tolerance)
        assert_close(probe.norm.var[...], g["bn_running_var"], tolerance)
        probe.eval()
        assert_close(probe(x), g["bn_eval_logits"], tolerance)


@PRECISIONS
def test_golden_distillation(golden, dtype, tolerance):
    g = golden("rich_representations")
    with in_precision(dtype):
        args = [jnp.asarray(g[f"distill_{name}"], dtype) for name in ("student", "w", "b", "teacher_logits")]
        loss = lambda s, w, b: distill_loss(s, w, b, args[3], float(g["distill_tau"]))  # noqa: E731
        value, slopes = jax.value_and_grad(loss, argnums=(0, 1, 2))(*args[:3])
        assert_close(value, g["distill_loss"], tolerance)
        for slope, name in zip(slopes, ("student", "w", "b"), strict=True):
            assert_close(slope, g[f"distill_grad_{name}"], tolerance)


@PRECISIONS
def test_golden_theory_and_risks(golden, dtype, tolerance):
    g = golden("rich_representations")
    with in_precision(dtype):
        arrays = {name: jnp.asarray(g[name], dtype) for name in g.arrays if name.startswith(("pop_", "ridge_", "vrex"))}
        logits = arrays["pop_phi1"] @ arrays["pop_w1"]
        for population, suffix in (("p", ""), ("q", "_q")):
            x, y = arrays[f"pop_{population}x"], arrays[f"pop_{population}y"]
            assert_close(population_cross_entropy(x, y, logits), g[f"pop_ce{suffix}"], tolerance)
            slope = incremental_gradient(x, y, logits, arrays["pop_phi2"])
            np.testing.assert_allclose(slope, g[f"pop_grad_phi2_head{suffix}"], atol=tolerance)
        a, b = arrays["ridge_a"], arrays["ridge_b"]
        found = [ridge_objective(x, arrays["ridge_t"], arrays["ridge_lambda"]) for x in (a, b, jnp.concatenate([a, b], axis=1))]
        assert_close(jnp.stack(found), g["ridge_obj"], tolerance)
        assert_close(vrex(arrays["vrex_losses"], arrays["vrex_lambda"]), g["vrex"], tolerance)


# --- Functions ---


def test_slopes_are_those_of_the_cross_entropy():
    px, py = RNG.dirichlet(np.ones(7)), RNG.dirichlet(np.ones(3), 7)
    logits, phi = RNG.normal(size=(7, 3)), RNG.normal(size=(7, 4))
    with jax.enable_x64():
        slope = jax.grad(lambda w: population_cross_entropy(px, py, logits + phi @ w))(jnp.zeros((4, 3)))
        np.testing.assert_allclose(incremental_gradient(px, py, logits, phi), slope, atol=1e-12)
        assert abs(np.asarray(incremental_gradient(px, py, np.log(py), phi))).max() < 1e-15


def test_the_ridge_objective_is_that_of_the_normal_equations():
    t = RNG.normal(size=(40, 2))
    x = X.astype(float)
    w = np.linalg.solve(x.T @ x + 0.3 * np.eye(6), x.T @ t)
    with jax.enable_x64():
        np.testing.assert_allclose(ridge_objective(x, t, 0.3), ((x @ w - t) ** 2).sum() + 0.3 * (w**2).sum(), rtol=1e-12)
        np.testing.assert_allclose(ridge_objective(np.zeros((40, 2)), t, 0.3), (t**2).sum(), rtol=1e-12)


def test_a_perfect_student_has_no_loss_and_tau_keeps_slopes():
    w, b = RNG.normal(size=(2, 3, 6)).astype(np.float32), RNG.normal(size=(2, 3)).astype(np.float32)
    logits = jnp.einsum("bd,ncd->nbc", X, w) + b[:, None]
    assert abs(distill_loss(jnp.asarray(X), jnp.asarray(w), jnp.asarray(b), logits, 2.0)) < 1e-5
    slopes = [
        jnp.linalg.norm(jax.grad(lambda s, tau=tau: distill_loss(s, 1e-3 * w, b, 1e-2 * logits, tau))(jnp.asarray(X)))
        for tau in (10.0, 100.0)
    ]
    np.testing.assert_allclose(slopes[0], slopes[1], rtol=0.05)


def test_vrex_is_the_mean_and_the_variance():
    losses = jnp.array([0.5, 1.0, 3.0])
    np.testing.assert_allclose(vrex(losses, 2.0), np.mean(losses) + 2 * np.var(losses), rtol=1e-6)
    assert vrex(losses, 0.0) == losses.mean()


def test_degenerate_inputs_dtypes_gradients_jit_and_vmap():
    w, b, t = (RNG.normal(size=shape).astype(np.float32) for shape in ((2, 3, 4), (2, 3), (2, 5, 3)))
    features = RNG.normal(size=(5, 4)).astype(np.float32)
    distil = lambda s, t: distill_loss(s, w, b, t, 2.0)  # noqa: E731
    assert_degenerate(distil, features, t, axes=())
    assert_dtypes(distil, features, t)
    assert_gradients(lambda s, t: distill_loss(s, w.astype(float), b.astype(float), t, 2.0), features, t)
    assert_jit_consistent(cat_head, w, b)
    assert_vmap_consistent(cat_head, np.stack([w, 2 * w]), np.stack([b, b]))
    assert_degenerate(cat_head, w, b)
    assert_dtypes(cat_head, w, b)
    assert_dtypes(lambda x: ridge_objective(x, x[:, :1], 0.1), features, tolerance=1e-4)
    assert_degenerate(lambda x: cka_matrix(jnp.stack([x, x + 1])), features, jit=False, differentiable=False)
    assert_degenerate(cosine_logits, features, w[0], axes=(), scales=(1e-15, 1e6))
    assert_dtypes(cosine_logits, features, w[0])
    assert_degenerate(lambda losses: vrex(losses, 1.0), np.array([0.5, 1.0], np.float32), scales=(1e-30, 1e6))


def test_disagreement_and_cka():
    x = RNG.normal(size=(30, 4)).astype(np.float32)
    turned = x @ np.linalg.qr(RNG.normal(size=(4, 4)))[0].astype(np.float32)
    found = np.asarray(cka_matrix(np.stack([x, turned, RNG.normal(size=(30, 4)).astype(np.float32)])))
    np.testing.assert_allclose(found[0, 1], 1, atol=1e-5)
    assert found[0, 2] < 0.5
    answers = np.eye(3)[np.array([[0, 1, 2], [0, 1, 1], [1, 1, 1]])]
    np.testing.assert_allclose(disagreement(answers), (1 / 3 + 2 / 3 + 1 / 3) / 3)


# --- Networks and training ---


def networks(count, width=5, features=6):
    return stack_models([classifier(backbone("perceptron", (features,)), width, 2, jax.random.key(i)) for i in range(count)])


def test_a_concatenation_is_its_parts_side_by_side():
    trunks = [Perceptron((6, 5, 4), rngs=nnx.Rngs(i)) for i in range(3)]
    x = jnp.asarray(X)
    cat = stack_trunks(trunks)
    assert isinstance(cat, Concatenation)
    np.testing.assert_allclose(cat(x), cat_features(trunks, x), atol=1e-6)
    cached = cat_groups(np.stack([np.asarray(t(x)) for t in trunks]), 3)
    np.testing.assert_allclose(cached[0], cat(x), atol=1e-6)
    assert cat_features([*trunks, Perceptron((6, 2), rngs=nnx.Rngs(9))], x).shape == (40, 14)  # sizes may differ here


def test_running_statistics_of_joined_parts_move_and_stay_in_evaluation():
    class Normed(nnx.Module):
        def __init__(self, rngs):
            self.probe = LinearProbe(6, 3, rngs=rngs)

        def __call__(self, x):
            return self.probe(x)

    cat = stack_trunks([Normed(nnx.Rngs(i)) for i in range(2)])
    mean = lambda: np.asarray(cat.trunks.probe.norm.mean[...])  # noqa: E731
    cat.eval()
    cat(jnp.asarray(X))
    assert not mean().any()
    cat.train()
    cat(jnp.asarray(X))
    np.testing.assert_allclose(mean(), np.repeat(0.1 * X.mean(0)[None], 2, axis=0), atol=1e-6)


def test_side_by_side_is_one_after_the_other_and_matches_sgd_by_hand():
    models, descent = networks(2), Descent(3, 8, (0.1, 0.05), (1e-2,))
    batches = episode_batches([KEY, jax.random.key(1)], np.tile(np.arange(40), (2, 1)), 8, 3)
    assert (batches[0] != batches[1]).any()
    together = train_episodes(models, (X, Y), batches, descent)
    second = train_episodes(models.take(slice(1, 2)), (X, Y), batches[1:], replace(descent, rates=(0.05,)))
    for a, b in zip(jax.tree.leaves(together.state), jax.tree.leaves(second.state), strict=True):
        np.testing.assert_allclose(a[1, 1, 0], b[0, 0, 0], rtol=1e-5, atol=1e-6)
    graph, params = nnx.split(models.one(0))
    loss = lambda p, i: -jax.nn.log_softmax(nnx.merge(graph, p)(X[i]))[np.arange(8), Y[i]].mean()  # noqa: E731
    moments = jax.tree.map(jnp.zeros_like, params)
    for index in batches[0]:
        slope = jax.tree.map(lambda g, p: g + 1e-2 * p, jax.grad(loss)(params, index), params)
        moments = jax.tree.map(lambda m, g: 0.9 * m + g, moments, slope)
        params = jax.tree.map(lambda p, m: p - 0.1 * m, params, moments)
    for a, b in zip(jax.tree.leaves(together.take((0, 0, 0)).state), jax.tree.leaves(params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_snapshots_lie_along_one_run():
    models, batches = networks(1), episode_batches([KEY], np.arange(40)[None], 8, 6)
    snaps = train_episodes(models, (X, Y), batches, Descent(6, 8), snapshots=3)
    half = train_episodes(models, (X, Y), batches[:, :4], Descent(4, 8))
    assert_close(jax.tree.leaves(snaps.take((0, 0, 1)).state), jax.tree.leaves(half.take((0, 0, 0)).state), 1e-5)


def test_scales_and_shifts_are_spared_the_decay():
    probe = stack_models([LinearProbe(6, 2, rngs=nnx.Rngs(0))])
    zeros = np.zeros_like(X)
    still = Descent(5, 8, (0.1,), (10.0,), momentum=0.0)  # without features only the decay moves kernel and norm
    trained = (
        train_episodes(probe, (zeros, Y), episode_batches([KEY], np.arange(40)[None], 8, 5), still).take((0, 0, 0)).stacked()
    )
    np.testing.assert_allclose(trained.norm.scale[...], 1)
    np.testing.assert_allclose(trained.head.kernel[...], 0, atol=1e-4)


def test_schedules():
    steps = Descent(28, 4, schedule="steps").factors()
    np.testing.assert_allclose(steps[[0, 7, 8, 15, 16, 24]], [1, 1, 0.1, 0.1, 0.01, 0.001], rtol=1e-5)
    cosine = Descent(100, 4, schedule="cosine").factors()
    assert cosine[0] == 1 and abs(cosine[50] - 0.5) < 1e-6 and cosine[-1] < 1e-3


def parts_of(models):
    train, held, test = np.arange(20), np.arange(20, 30), np.arange(30, 40)
    return Parts(*(np.repeat(index[None], models, axis=0) for index in (train, held, test)))


PROBE = Descent(60, 20, (1e-9, 0.1), (1e-3,), nesterov=True)


def test_a_probe_finds_what_features_hold_at_the_rate_that_validation_chooses():
    features = np.stack([X, RNG.normal(size=X.shape).astype(np.float32)])
    found = fit_probe(features, Y, parts_of(2), PROBE, [KEY, KEY], classes=2)
    assert found.test[0] >= 0.8 and found.decay[0] == 1e-3 and found.test.shape == (2,)
    probe = found.probes.one(0)
    probe.eval()
    np.testing.assert_allclose(np.mean(np.asarray(probe(X)).argmax(1)[30:] == Y[30:]), found.test[0])


def test_padding_features_with_zeros_changes_no_probe():
    start = lambda x: stack_models([LinearProbe(x.shape[2], 2, rngs=nnx.Rngs(0))])  # noqa: E731
    wide = np.concatenate([X, np.zeros((40, 3), np.float32)], axis=1)[None]
    narrow, padded = start(X[None]), start(wide)
    kernel = np.zeros((1, 9, 2), np.float32)
    kernel[:, :6] = narrow.stacked().head.kernel[...]
    module = padded.stacked()
    module.head.kernel[...] = kernel
    padded = Models(*nnx.split(module))
    args = Y, parts_of(1), replace(PROBE, rates=(0.1,)), [KEY]
    a, b = (fit_probe(x, *args, classes=2, start=s).probes for x, s in ((X[None], narrow), (wide, padded)))
    np.testing.assert_allclose(
        a.stacked().head.kernel[...], np.asarray(b.stacked().head.kernel[...])[:, :6], rtol=1e-3, atol=1e-5
    )


def test_fine_tuning_in_two_stages_starts_from_the_ensemble():
    models, pool = networks(4), Pool(X.reshape(40, 6, 1, 1), Y)
    trunks = trunks_of(models)
    tuned = fine_tune(models, pool, parts_of(4), Descent(100, 10, (0.2, 0.4), (0.0,), "cosine"), [KEY] * 4)
    assert tuned.probes.size == 4 and tuned.test.mean() > 0.7
    still = Descent(1, 20, (1e-9,), (0.0,))
    final = two_stage(tuned.probes, pool, parts_of(2), 2, still, [KEY, KEY], 2)
    mean = logits_of(tuned.probes, pool.images).reshape(2, 2, 40, 2).mean(1)
    np.testing.assert_allclose(final.test, accuracy(mean, Y, parts_of(2).test))
    cats = joined(trunks, 2)
    whole = with_fresh_heads(cats, 10, 2, [KEY, KEY])
    np.testing.assert_allclose(features_of(whole, X), cat_groups(features_of(models, X), 2), atol=1e-6)


def test_a_student_learns_from_its_teachers_at_several_temperatures():
    teachers = logits_of(networks(2), X)
    students = [Student(Perceptron((6, 8), rngs=nnx.Rngs(0)), 8, 2, 2, temperature=tau, rngs=nnx.Rngs(0)) for tau in (1.0, 4.0)]
    models, own = stack_models(students), (np.repeat(teachers.transpose(1, 0, 2)[None], 2, axis=0),)
    batches = episode_batches([KEY, KEY], np.tile(np.arange(40), (2, 1)), 20, 100)
    trained = train_episodes(models, (X, Y), batches, Descent(100, 20, (0.05,), (0.0,)), own=own, objective=distillation)
    batch = jnp.asarray(X), jnp.asarray(Y), jnp.asarray(own[0][0])
    on_device = lambda models: Models(models.graph, jax.tree.map(jnp.asarray, models.state))  # noqa: E731
    for i in range(2):
        before, after = (distillation(on_device(m).one(i), batch) for m in (models, trained.take((slice(None), 0, 0))))
        assert after < 0.5 * before
    assert trained.stacked().temperature[...].ravel().tolist() == [1.0, 4.0]


# --- Tasks ---


def test_tasks_split_by_class_without_overlap():
    tasks = load_tasks("digits")
    assert tasks.classes == 5 and tasks.new.labels.max() == 4 and len(tasks.source.labels) + len(tasks.new.labels) == 1797
    train, held, test = split_new(tasks.new, KEY, 25, 20)
    assert np.bincount(tasks.new.labels[train]).tolist() == [25] * 5 and np.bincount(tasks.new.labels[held]).tolist() == [20] * 5
    assert sorted([*train, *held, *test]) == list(range(len(tasks.new.labels)))
    kept, left = split_source(tasks.source, KEY)
    assert not set(kept) & set(left) and len(kept) + len(left) == len(tasks.source.labels)


def test_few_shot_tasks_are_disjoint_and_solved_where_classes_lie_apart():
    labels = np.repeat(np.arange(4), 10)
    drawn = few_shot_episodes(KEY, labels, tasks=5, ways=3, shots=2, queries=4)
    for support, query in zip(drawn.support, drawn.query, strict=True):
        assert not set(support.ravel()) & set(query.ravel())
        assert len({labels[row[0]] for row in support}) == 3 and (labels[support] == labels[query][:, :1]).all()
    features = 5 * np.eye(4, dtype=np.float32)[labels] + 0.1 * RNG.normal(size=(40, 4)).astype(np.float32)
    for head in ("linear", "cosine"):
        assert few_shot_accuracy(features, drawn, KEY, head=head).mean() > 0.95
    assert np.isfinite(few_shot_accuracy(np.zeros((40, 4), np.float32), drawn, KEY, head="cosine")).all()


def test_colours_agree_as_often_as_asked_and_heads_escape_them():
    images, classes = np.ones((4000, 2, 2, 1)), RNG.integers(0, 10, 4000)
    env = coloured(images, classes, KEY, agreement=0.8, noise=0.1)
    colour = env.images[:, 0, 0].argmax(-1)
    assert abs(np.mean(colour == env.labels) - 0.8) < 0.03 and abs(np.mean(classes % 2 == env.labels) - 0.9) < 0.03
    assert (env.images.sum(-1) == 1).all()
    # an invariant feature that is right three times of four, and a colour whose agreement changes
    labels = RNG.integers(0, 2, (2, 4000))
    sign = lambda share: np.where(RNG.random(4000) < share, 1, -1)  # noqa: E731
    signs = 2 * labels - 1
    features = np.stack([signs * np.stack([sign(0.75)] * 2), signs * np.stack([sign(0.95), sign(0.75)])], axis=-1)
    heads = fit_heads(features[None].astype(np.float32), labels[None], np.array([0.0, 1000.0]), np.array([1e-3, 1e-3]), steps=400)
    weights = np.asarray(heads.weights)[0, :, :, 1] - np.asarray(heads.weights)[0, :, :, 0]
    assert weights[0, 1] > weights[0, 0] > 0 and weights[1, 1] < 0.7 * weights[1, 0]  # ERM reads the colour, VREx less


def test_environments_hold_every_image_once():
    data = environments(PRESETS["quick"].shift, KEY)
    assert sorted(np.concatenate(data.parts)) == list(range(1797)) and len(data.parts[0]) == 1000
    x = standardised(np.concatenate([X, np.ones((40, 1))], axis=1)[None], np.arange(20))
    np.testing.assert_allclose(x[0, :20, :6].std(0), 1, rtol=1e-3)
    assert not x[0, :, 6].any()


# --- Presets ---


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_traced(name):
    config = PRESETS[name].transfer
    shape, classes = {
        "digits": ((8, 8, 1), 5),
        "mnist-t10k": ((28, 28, 1), 5),
        "cifar100": ((32, 32, 3), 50),
    }[config.image_set]
    made = {}

    def build():
        trunk, made["dim"] = backbone(config.backbone, shape)(config.width, nnx.Rngs(0))
        return Classifier(trunk, made["dim"], classes, rngs=nnx.Rngs(0))

    graph, state = nnx.split(nnx.eval_shape(build))
    stacked = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((config.parts, *leaf.shape), leaf.dtype), state)

    def joint(states, x):
        trunk = nnx.merge(graph, states).trunk
        return Concatenation(trunk)(x)

    x = jax.ShapeDtypeStruct((2, *shape), jnp.float32)
    found = jax.eval_shape(joint, stacked, x)
    assert found.shape == (2, config.parts * made["dim"])
    logits = jax.eval_shape(lambda s, x: nnx.merge(graph, s)(x), state, x)
    assert logits.shape == (2, classes)
    for descent in (config.source, config.probe, config.plain_probe, config.fine_tuning, config.short_probe):
        assert len(descent.factors()) == descent.steps


def test_the_study_pairs_what_it_compares():
    config = replace(
        PRESETS["quick"].transfer, width=4, parts=2, episodes=2, source=Descent(4, 16), distillation=Descent(4, 16, (0.005,))
    )
    setting = study.prepare(config, jnp.stack([KEY]))
    start = study.fresh(setting, config.width, 1, config.episodes)
    deep = study.side_by_side(setting, start)
    images = setting.tasks.new.images
    np.testing.assert_allclose(features_of(deep, images), cat_groups(features_of(start, images), 2), atol=1e-6)
    features = study.student_features(setting, start)
    assert {x.shape for x in features.values()} == {(1, len(images), 4)} and len(features) == len(config.temperatures)
    test, held = study.probe_all(setting, {"single": features_of(start, images)}, Descent(3, 32))
    assert test["single"].shape == held["single"].shape == (1, 2)


# --- Errors ---


def test_errors(as_installed):
    w, b = np.zeros((2, 3, 4)), np.zeros((2, 3))
    models, batches = networks(2), np.zeros((2, 3, 4), np.int32)
    labels = np.repeat(np.arange(3), 4)
    drawn = few_shot_episodes(KEY, labels, tasks=1, ways=2, shots=1, queries=1)
    for match, call in (
        ("number of trunks is 0", lambda: cat_features([], jnp.ones((2, 3)))),
        ("trunks gave shapes", lambda: cat_features([lambda x: x[0]], jnp.ones((2, 3)))),
        ("number of trunks is 0", lambda: stack_trunks([])),
        ("one architecture", lambda: stack_trunks([Perceptron((3, 2 + i), rngs=nnx.Rngs(0)) for i in range(2)])),
        ("number of heads is 0", lambda: cat_head(w[:0], b[:0])),
        ("weights has shape", lambda: cat_head(w, b[:1])),
        ("temperature is 0", lambda: distill_loss(jnp.ones((5, 4)), w, b, jnp.ones((2, 5, 3)), 0.0)),
        ("teacher_logits has shape", lambda: distill_loss(jnp.ones((5, 4)), w, b, jnp.ones((2, 4, 3)), 1.0)),
        ("temperature is -1", lambda: Student(Perceptron((3, 2), rngs=nnx.Rngs(0)), 2, 2, 2, temperature=-1.0, rngs=nnx.Rngs(0))),
        ("batches has shape", lambda: train_episodes(models, (X, Y), batches, Descent(4, 4))),
        ("batches runs from", lambda: train_episodes(models, (X, Y), batches + 40, Descent(3, 4))),
        ("snapshots is 2", lambda: train_episodes(models, (X, Y), batches, Descent(3, 4), snapshots=2)),
        ("number of models is 0", lambda: stack_models([])),
        ("labels runs from", lambda: fit_probe(X[None], Y + 1, parts_of(1), PROBE, [KEY], classes=2)),
        (
            "features has 1 numbers",
            lambda: fit_probe(np.where(X[0, 0] == X, np.nan, X)[None], Y, parts_of(1), PROBE, [KEY], classes=2),
        ),
        ("features has shape", lambda: fit_probe(X[None], Y[:-1], parts_of(1), PROBE, [KEY], classes=2)),
        (
            "logits has numbers that are not finite",
            lambda: accuracy(np.full((1, 2, 2), np.nan), np.zeros(2, int), np.array([[0]])),
        ),
        ("pools has shape", lambda: episode_batches([KEY], np.zeros((2, 3), int), 2, 2)),
        ("n is 3", lambda: cat_groups(np.zeros((4, 2, 2)), 3)),
        ("name is 'vgg'", lambda: backbone("vgg", (8, 8, 1))),
        ("widths is", lambda: Perceptron((3,), rngs=nnx.Rngs(0))),
        ("gain is 0", lambda: Perceptron((3, 2), gain=0.0, rngs=nnx.Rngs(0))),
        ("schedule is 'late'", lambda: Descent(1, 1, schedule="late")),
        ("rates is", lambda: Descent(1, 1, ())),
        ("decays is", lambda: Descent(1, 1, (0.1,), (-1.0,))),
        ("steps is 0", lambda: Descent(0, 1)),
        ("episodes is 7", lambda: replace(PRESETS["quick"].transfer, episodes=7)),
        ("temperatures is", lambda: replace(PRESETS["quick"].transfer, temperatures=(0.0,))),
        ("image_set is 'cats'", lambda: load_tasks("cats")),
        ("image_set is 'cats'", lambda: environments(replace(PRESETS["quick"].shift, image_set="cats"), KEY)),
        ("some for the test", lambda: environments(replace(PRESETS["quick"].shift, examples=900), KEY)),
        ("labels . validation is", lambda: split_new(Pool(np.zeros((12, 1, 1, 1)), labels), KEY, 3, 1)),
        ("ways is 4", lambda: few_shot_episodes(KEY, labels, tasks=1, ways=4, shots=1, queries=1)),
        ("shots is 0", lambda: few_shot_episodes(KEY, labels, tasks=1, ways=2, shots=0, queries=1)),
        ("head is 'tree'", lambda: few_shot_accuracy(np.zeros((12, 2)), drawn, KEY, head="tree")),
        ("agreement is 2", lambda: coloured(np.zeros((3, 2, 2, 1)), np.zeros(3, int), KEY, agreement=2.0, noise=0.0)),
        ("images has shape", lambda: coloured(np.zeros((3, 2, 2, 3)), np.zeros(3, int), KEY, agreement=0.5, noise=0.0)),
        ("number of environments is 0", lambda: vrex(jnp.zeros(0), 1.0)),
        ("lam is -1", lambda: vrex(jnp.zeros(2), -1.0)),
        ("ridge is 0", lambda: ridge_objective(X, X, 0.0)),
        ("px, py and logits", lambda: population_cross_entropy(np.ones(2), np.ones((2, 3)), np.ones((3, 3)))),
        ("features has shape", lambda: incremental_gradient(np.ones(2), np.ones((2, 3)), np.ones((2, 3)), np.ones((3, 1)))),
        ("features has shape", lambda: cosine_logits(jnp.zeros((2, 3)), jnp.zeros((2, 4)))),
        ("number of models is 1", lambda: disagreement(np.zeros((1, 2, 2)))),
        ("features has shape", lambda: cka_matrix(np.zeros((0, 3, 2)))),
    ):
        with pytest.raises(ValueError, match=match):
            call()
