"""EvoNorm: rejection and search, the networks it searches in, the study of workers, other tasks, presets."""

import re
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from quire.common.testing import (
    assert_close,
)
from quire.common.train.recipe import Recipe
from quire.evonorm import (
    BN_RELU,
    EVONORM_B0,
    EVONORM_S0,
    GN_SILU,
    LAYERS,
    PRESETS,
    PRIMITIVES,
    BatchNormAct,
    EvoNorm,
    Graph,
    GroupNormAct,
    History,
    NetworkConfig,
    Proxy,
    ProxyConfig,
    ProxyTask,
    SearchConfig,
    StudyConfig,
    Trial,
    WorkerNorm,
    build_network,
    evolve,
    finalists,
    gradient_norm_ascent,
    is_sound,
    norm_factory,
    passes_quality,
    passes_stability,
    random_search,
    rerank,
    study,
    transfer,
)
from quire.evonorm.sources import Images, open_images
from quire.evonorm.worker_batches import Choice, Variant


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def maps(*shape, seed=0):
    return np.random.default_rng(seed).normal(0.3, 1.0, shape).astype(np.float32)


# --- Rejection ---


def test_structure():
    exp, log = PRIMITIVES.index("exp"), PRIMITIVES.index("log")
    assert all(is_sound(graph) for graph in (BN_RELU, GN_SILU, EVONORM_B0, EVONORM_S0))
    assert not is_sound(Graph([(exp, 3, 3)]))  # does not depend on x
    assert not is_sound(Graph([(exp, 0, 0)]))  # overflows at large x
    assert not is_sound(Graph([(log, 1, 1), (0, 0, 4)]))  # log 0
    assert is_sound(Graph([(log, 1, 1), (0, 0, 3)]))  # the same, dead


def test_quality():
    assert passes_quality([0.19, 0.2]) and not passes_quality([0.19, np.nan]) and passes_quality([0.5], threshold=0.5)


class Scaled(nnx.Module):
    """Logits `a x`, or `exp(a x)`-like ones whose gradients grow without bound."""

    def __init__(self, explosive):
        self.a, self.explosive = nnx.Param(jnp.asarray(0.5)), explosive

    def __call__(self, x):
        a = jnp.broadcast_to(self.a[...], x.shape)
        return jnp.exp(a * a * a) * x if self.explosive else jnp.tanh(a) * x


def test_stability():
    images, labels = np.array([[1.0, -1.0], [0.5, 2.0]], np.float32), np.array([1, 1])
    with jax.debug_nans(False):
        assert passes_stability(Scaled(False), images, labels, steps=30, limit=1e3)
        assert not passes_stability(Scaled(True), images, labels, steps=60, rate=0.2, limit=1e3)
        definition, params, rest = nnx.split(Scaled(True), nnx.Param, ...)
        largest, norms = gradient_norm_ascent(definition, params, rest, (images, labels), steps=10, limit=1e3)
    assert np.all(np.diff(norms) > 0) and largest == norms.max()


# --- Search ---


def toy_judge(graph):
    """Few nodes are good in one column, additions in the other; only graphs that keep samples apart are accepted."""
    if graph.mixes_samples:
        return "quality", None
    return "accepted", [-float(len(graph.simplify())), float(str(graph).count("+"))]


def test_evolution_counts_its_tests_and_founds_enough(rng):
    config = SearchConfig(tests=60, founders=10, tournament=0.3)
    history = evolve(config, toy_judge, rng)
    assert history.tested("mutant") == 50 and history.tested("random") >= 10
    founders = [trial for trial in history.accepted() if trial.origin == "random"]
    assert len(founders) >= config.least_drawn
    assert history.best().scores.mean() >= max(trial.scores.mean() for trial in founders)
    assert 0 < history.rejected_share("mutant") < history.rejected_share("random") < 1
    assert history.stage_share("random", "structure") > 0.5
    again = evolve(config, toy_judge, np.random.default_rng(0))
    assert [trial.graph for trial in again.trials] == [trial.graph for trial in history.trials]


def test_random_search_can_found_a_population(rng):
    config = SearchConfig(tests=14, founders=8, batch_moments=False)
    found = random_search(config, toy_judge, rng, tests=8)
    assert found.tested("random") == 8 and len(found.accepted()) == 8
    history = evolve(config, toy_judge, rng, founders=found)
    assert history.trials[: len(found.trials)] == found.trials and history.tested("mutant") == 6
    assert not any(trial.graph.mixes_samples for trial in history.trials)


def test_a_killed_search_resumes_from_its_log(tmp_path):
    config, path = SearchConfig(tests=30, founders=10), tmp_path / "log.jsonl"
    whole = evolve(config, toy_judge, np.random.default_rng(3))
    functions = len({trial.graph.digest for trial in whole.trials if trial.stage != "structure"})
    calls = []

    def judge(graph, last):
        if len(calls) == last:
            raise KeyboardInterrupt
        calls.append(graph)
        return toy_judge(graph)

    with pytest.raises(KeyboardInterrupt):
        evolve(config, partial(judge, last=functions - 2), np.random.default_rng(3), log=path)
    resumed = evolve(config, partial(judge, last=functions), np.random.default_rng(3), log=path)
    assert len(calls) == functions == len(path.read_text().splitlines())
    assert [(t.graph, t.stage) for t in resumed.trials] == [(t.graph, t.stage) for t in whole.trials]


def test_finalists_are_the_best_and_the_front_and_are_ranked_anew():
    graphs = [Graph([(0, 0, 3)]), Graph([(1, 0, 3)]), Graph([(1, 3, 0)]), Graph([(4, 0, 0)]), Graph([(5, 0, 0)])]
    scores = [(0.5, 0.5), (0.9, 0.4), (0.9, 0.4), (0.0, 0.6), (0.1, 0.1)]
    history = History([Trial(g, "random", "accepted", np.array(s)) for g, s in zip(graphs, scores, strict=True)])
    chosen = finalists(history, top=2)
    assert [trial.graph.digest for trial in chosen] == [graphs[1].digest, graphs[0].digest, graphs[3].digest]
    again = rerank(chosen, lambda graph: [float("nan")] if graph.digest == graphs[1].digest else [float(len(str(graph)))])
    assert [trial.graph.digest for trial in again] == [graphs[0].digest, graphs[3].digest, graphs[1].digest]
    for empty in (History().best, lambda: finalists(History())):
        with pytest.raises(ValueError, match="accepted"):
            empty()


# --- Networks, the proxy task, the study of workers, other tasks ---

SMALL = NetworkConfig("switched", width=4, depths=(1,), groups=2)


def small_images(count=24):
    draw = np.random.default_rng(0)
    labels = np.arange(count, dtype=np.int32) % 2
    images = (draw.standard_normal((count, 4, 4, 1)) + labels[:, None, None, None]).astype(np.float32)
    return Images("toys", (images, labels), (images, labels), (images, labels), 2)


def test_switches_take_residual_sums_and_wide_kernels_away():
    images = jnp.asarray(small_images().train[0][:2])
    net = build_network(SMALL, norm_factory("EvoNorm-S0", groups=2), in_channels=1, classes=2, rngs=nnx.Rngs(0))
    kernel, out = net.convs[0].kernel, {}
    for switches in ((1.0, 1.0), (0.0, 1.0), (1.0, 0.0)):
        net.switches[...] = jnp.array(switches)
        out[switches] = net(images)
    net.switches[...] = jnp.ones(2)
    kernel[...] = kernel[...] * jnp.zeros((3, 3, 1, 1)).at[1, 1].set(1.0)
    np.testing.assert_allclose(net(images), out[1.0, 0.0], rtol=1e-4, atol=1e-5)
    kernel[...] = 0 * kernel[...]
    net.switches[...] = jnp.array([0.0, 1.0])
    net.convs[0].bias[...] = jnp.ones(4)
    assert not np.allclose(out[0.0, 1.0], out[1.0, 1.0])
    np.testing.assert_allclose(net(images)[0], net(2 * images)[0], rtol=1e-5)  # nothing of the image is left


def test_a_proxy_task_trains_judges_and_counts_what_breaks_as_broken():
    config = ProxyConfig(
        (Proxy(SMALL), Proxy(SMALL, (0.0, 1.0))),
        Recipe(8, 8, 0.03, schedule="constant", optimiser="adam"),
        rows=10,
        quality_steps=4,
        quality_proxies=1,
        quality_threshold=0.3,
        stability_steps=0,
        validation=24,
    )
    with jax.debug_nans(False):
        task = ProxyTask(config, small_images(), jax.random.key(0))
        stage, scores = task.judge(EVONORM_S0)
        assert stage == "accepted" and len(scores) == 2 and all(0 <= score <= 1 for score in scores)
        assert task.train(EVONORM_S0, 0, 8) == scores[0]
        exp = PRIMITIVES.index("exp")
        assert np.isnan(task.train(Graph([(exp, 0, 0)] + [(exp, 4 + i, 4 + i) for i in range(4)]), 0, 4))
        assert task.judge(Graph([(exp, 3, 3)])) == ("structure", None)
        strict = replace(config, quality_threshold=1.1)
        assert ProxyTask(strict, small_images(), jax.random.key(0)).judge(EVONORM_S0) == ("quality", None)
        with pytest.raises(ValueError, match="rows is 10; the graph has 11"):
            task.train(Graph([(exp, 0, 0)] + [(exp, 4 + i, 4 + i) for i in range(10)]), 0, 4)


@pytest.mark.parametrize("limit", [1e8, 1e-30])
def test_the_stability_test_comes_before_the_score(limit, monkeypatch):
    """Graphs compiled for themselves stand for interpreted ones, whose second derivatives take long to compile."""
    compiled = ProxyTask.network
    monkeypatch.setattr(ProxyTask, "network", lambda self, config, graph, rows=None: compiled(self, config, graph))
    monkeypatch.setattr(ProxyTask, "train", lambda self, graph, place, steps: 0.5)
    config = ProxyConfig((Proxy(SMALL),), Recipe(8, 8, 0.03), quality_proxies=1, stability_steps=2, stability_limit=limit)
    judged = ProxyTask(config, small_images(), jax.random.key(0)).judge(EVONORM_S0)
    assert judged == (("accepted", [0.5]) if limit > 1 else ("stability", None))


def test_a_layer_of_variants_is_each_of_them_worker_by_worker():
    x = jnp.asarray(maps(4, 3, 2, 4))
    variants = [Variant("BN-ReLU", 4), Variant("EvoNorm-B0", 4), Variant("EvoNorm-S0", 4), Variant("GN-ReLU", 4)]
    singles = [BatchNormAct(4), EvoNorm(4, "B0"), EvoNorm(4, "S0", groups=2), GroupNormAct(4, groups=2)]
    for choice, single in enumerate(singles):
        layer = WorkerNorm(4, variants, groups=2)
        layer.choice[...] = jnp.asarray(choice)
        assert_close(layer(x), single(x, train=True), 1e-5)
        layer.eval()
        assert_close(layer(x), single(x, train=False), 1e-5)
    for layer_name, single in (("BN-ReLU", BatchNormAct(4)), ("EvoNorm-B0", EvoNorm(4, "B0"))):
        layer = WorkerNorm(4, [Variant(layer_name, 2)], groups=2)
        assert_close(layer(x), jnp.concatenate([single(x[:2], train=True), single(x[2:], train=True)]), 1e-5)
        unbiased = np.mean([x[i : i + 2].reshape(-1, 4).var(0, ddof=1) for i in (0, 2)], axis=0)
        np.testing.assert_allclose(layer.var[...], 0.9 + 0.1 * unbiased, rtol=1e-5)
    assert isinstance(layer.choice, Choice)


def test_the_study_trains_every_variant_from_every_seed():
    config = StudyConfig("digits", NetworkConfig("preact", 4, (1,), groups=2), Recipe(6, 8, 0.1, optimiser="sgd"), (8, 2))
    accuracy, losses = study(config, small_images(), jnp.stack([jax.random.key(i) for i in range(2)]))
    assert accuracy.shape == (2, 6) and losses.shape == (2, 6, 6)
    assert len({tuple(row) for row in losses[0].round(5)}) == 6, "two variants are one"
    assert not np.allclose(losses[0], losses[1])


def test_the_layers_work_in_other_tasks():
    config = transfer.TransferConfig(4, 2, Recipe(2, 8, 1e-3, optimiser="adam"), scenes=16, latent=3, samples=8)
    found = transfer.segmentation(config, ("EvoNorm-S0",), jax.random.key(0))
    assert set(found) == {"background", "EvoNorm-S0"} and all(0 <= value <= 1 for value in found.values())
    found = transfer.generation(config, ("EvoNorm-B0",), jax.random.key(0))
    assert set(found) == {"independent pixels", "EvoNorm-B0"} and all(np.isfinite(value) for value in found.values())


def test_adversaries_pull_in_opposite_directions():
    model = transfer.Adversaries(3, 4, norm=norm_factory("EvoNorm-S0", groups=2), rngs=nnx.Rngs(0))
    batch = (jnp.asarray(maps(6, 8, 8, 1)),)
    gradients = nnx.jit(nnx.grad(lambda m: transfer.adversarial_loss(m, batch, jax.random.key(1))))(model)

    def alone(m, part):
        fake = m.generator(jax.random.normal(jax.random.key(1), (6, 3)))
        if part == "generator":
            return jax.nn.softplus(-transfer.judged(m.discriminator, fake)).mean()
        return sum(jax.nn.softplus(s * transfer.judged(m.discriminator, im)).mean() for s, im in ((-1, batch[0]), (1, fake)))

    for part in ("generator", "discriminator"):
        expected = nnx.jit(nnx.grad(partial(alone, part=part)))(model)[part]
        assert_close(jax.tree.leaves(gradients[part]), jax.tree.leaves(expected), 1e-4)


def test_scenes_show_what_their_masks_say():
    images = np.ones((3, 8, 8, 1), np.float32)
    scenes, masks = transfer.draw_scenes(jax.random.key(0), 5, images, np.array([4, 4, 4]))
    assert scenes.shape == (5, 16, 16, 1) and set(np.unique(masks)) == {0, 5}
    assert (masks == 5).sum((1, 2)).tolist() == [128] * 5
    assert (scenes[..., 0][masks == 5] == 1).all() and (scenes[..., 0][masks == 0] < 0.31).all()


@pytest.mark.parametrize("name", PRESETS)
def test_programs_of_every_preset_fit_together(name):
    config = PRESETS[name]
    networks = {config.workers.network, *(proxy.network for proxy in config.search.proxies.proxies)}
    side, channels = (8, 1) if config.search.data == "digits" else (32, 3)
    for network in networks:
        # Layers alone in networks of fifty, and graphs in small ones: the interpreter takes long to trace.
        small = len(network.depths) == 1 or max(network.depths) == 1
        graphs = [EVONORM_B0] if small and network.architecture in ("switched", "preact") else []
        for layer in ("EvoNorm-B0", *graphs):
            rows = config.search.proxies.rows if isinstance(layer, Graph) else None

            def logits(x, network=network, layer=layer, rows=rows):
                norm = norm_factory(layer, groups=network.groups, rows=rows)
                return build_network(network, norm, in_channels=channels, classes=10, rngs=nnx.Rngs(0))(x)

            x = jax.ShapeDtypeStruct((4, side, side, channels), jnp.float32)
            assert nnx.eval_shape(logits, x).shape == (4, 10)
    assert (config.generalisation is None) == (name == "quick")


def test_every_layer_builds_and_images_come_in_three_parts():
    for layer in LAYERS:
        assert norm_factory(layer, groups=32)(12, True)(jnp.ones((2, 2, 2, 12))).shape == (2, 2, 2, 12)
    images = open_images("digits").value
    assert images.train[0].min() == 0 and images.train[0].max() == 1
    standard = images.standardised()
    assert abs(standard.train[0].mean()) < 1e-5 and abs(standard.train[0].std() - 1) < 1e-4
    np.testing.assert_allclose(
        standard.test[0] - standard.test[0][:1], (images.test[0] - images.test[0][:1]) / images.train[0].std(), atol=1e-4
    )
    assert sum(len(part[1]) for part in (images.train, images.validation, images.test)) == 1797


@pytest.mark.usefixtures("as_installed")
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ProxyConfig((Proxy(SMALL),), Recipe(1, 1, 0.1), quality_proxies=1, rows=0), "rows is 0"),
        (lambda: ProxyTask(PRESETS["quick"].search.proxies, small_images(), jax.random.key(0), part="train"), "part is 'train'"),
        (lambda: StudyConfig("digits", SMALL, Recipe(1, 8, 0.1), (8, 3)), re.escape("workers is (8, 3)")),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
