"""Infinite width: golden vectors of the authors' classes and of definitions, limits, Word2Vec, MAML, kernels, claims."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quire.common.bench import measure
from quire.common.data.few_shot import digits_few_shot
from quire.common.errors import DatasetUnavailable
from quire.common.mup import (
    ABC,
    TensorProgram,
    gauss_hermite,
    gaussian_particles,
    mup_adam,
    mup_sgd,
    padded_normals,
    relu_covariance,
    relu_gp,
    relu_ntk,
    scales,
    step_covariance,
    train_abc,
    width_shapes,
)
from quire.common.mup.arc_cosine import relu_correlation, step_correlation
from quire.common.testing import assert_close, assert_jit_consistent, assert_vmap_consistent, max_relative_error
from quire.common.text.windows import Events, draw_events
from quire.infinite_width import brute_force, few_shot, transfer
from quire.infinite_width.benchmark import cases
from quire.infinite_width.config import MAML, PRESETS, FiniteNet
from quire.infinite_width.convergence import Problem, distances, finite_outputs
from quire.infinite_width.deep import chain_limit, deep_limit, deep_linear_limit
from quire.infinite_width.kernel_regime import (
    append,
    kernel_logits,
    kernel_machine,
    kernel_meta_train,
    predict,
    sgd_step,
)
from quire.infinite_width.maml import (
    LinearClassifier,
    TaskBatch,
    accuracy,
    adapt,
    cross_entropy,
    finite_net,
    linear_limit,
    linear_logits,
    linear_meta_gradient,
    meta_gradient,
    meta_train,
    net_output,
    with_silent_neurons,
)
from quire.infinite_width.one_hidden_layer import feature_kernel, mup_limit, neuron_law, output
from quire.infinite_width.sources import open_few_shot, open_patterns, open_words
from quire.infinite_width.word2vec import (
    Embeddings,
    cbow_event,
    cbow_step,
    frequency_loss,
    gram,
    held_out_loss,
    initial_embeddings,
    kernel_held_out_loss,
    train_cbow,
    train_kernel,
)


@pytest.fixture(scope="module")
def vectors(golden):
    return golden("infinite_width")


def normal(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


def doubles(case, *names):
    return [jnp.asarray(case[name], float) for name in names]


# --- Golden vectors ---


def test_golden_classification(vectors):
    names = [name.removesuffix("/a_b_c") for name in vectors.arrays if name.endswith("/a_b_c")]
    assert names
    for name in names:
        r, *kinds = vectors[f"{name}/r_stable_nontrivial_feature_kernel"]
        abc = ABC.from_exponents(vectors[f"{name}/a_b_c"].tolist())
        assert abs(float(abc.r) - r) <= 1e-9, name
        assert tuple(abc.classify()) == tuple(map(bool, kinds)), name


def test_golden_one_hidden_layer(vectors):
    case = vectors.case("mup1")
    with jax.enable_x64():
        X, y, X_test, eta = doubles(case, "x", "y", "x_test", "lr")
        law = neuron_law(*gauss_hermite(120, X.shape[1]), X.shape[1])
        trained, trajectory = jax.jit(mup_limit, static_argnums=4)(law, X, y, eta, jnp.tanh)
        assert_close(trajectory, case["f_traj"], 1e-9)
        assert_close(output(trained, X_test, jnp.tanh), case["f_test_final"], 1e-9)
        assert_close(feature_kernel(law, X_test, jnp.tanh), case["feature_kernel_init"], 1e-9)
        assert_close(feature_kernel(trained, X_test, jnp.tanh), case["feature_kernel_final"], 1e-9)
    problem = Problem(*(jnp.asarray(case[name], jnp.float32) for name in ("x", "y", "x_test", "lr")))
    width, expected = case["finite_width_mean_abs_err"][1]
    found = finite_outputs(jax.random.key(0), problem, int(width), 16, depth=1, phi=jnp.tanh, readout=False)
    assert 0.2 < np.abs(found - case["f_test_final"][None]).mean() / expected < 5


def test_golden_two_hidden_linear_layers(vectors):
    case = vectors.case("mup2lin")
    with jax.enable_x64():
        X, y, X_test, eta = doubles(case, "x", "y", "x_test", "lr")
        for limit in (chain_limit(X, y, X_test, eta), deep_linear_limit(X, y, X_test, depth=2, eta=float(eta))):
            assert_close(limit.trajectory, case["f_traj"], 1e-9)
            assert_close(limit.test, case["f_test_final"], 1e-9)
    problem = Problem(*(jnp.asarray(case[name], jnp.float32) for name in ("x", "y", "x_test", "lr")))
    width, expected = case["finite_width_mean_abs_err"][1]
    found = finite_outputs(jax.random.key(0), problem, int(width), 8, depth=2, phi=lambda h: h, readout=True)
    assert 0.2 < np.abs(found - case["f_test_final"][None]).mean() / expected < 5


def golden_events(case):
    """Context and targets with absent words as the vocabulary size, whatever the numbers of context words and negatives."""
    (name,) = (name for name in case if name.startswith("events_"))
    context = int(name.split("ctx")[1].split("_")[0])
    rows, size = case[name], len(case["syn0"])
    targets = rows[:, 1 + context :].copy()
    targets[:, 1:][targets[:, 1:] == targets[:, :1]] = size
    return Events(jnp.asarray(np.where(rows[:, 1 : 1 + context] < 0, size, rows[:, 1 : 1 + context])), jnp.asarray(targets))


def test_golden_word2vec(vectors):
    case = vectors.case("w2v")
    size = len(case["syn0"])
    with jax.enable_x64():
        events = golden_events(case)
        rate, decay = map(float, case["lr_wd"])

        def run(model):
            return jax.lax.scan(lambda m, e: cbow_event(m, *e, rate, decay), model, events)

        model, losses = run(initial_embeddings(size, None))
        assert_close(losses, case["loss_per_event"], 1e-9)
        assert_close(model.syn0, case["syn0"], 1e-9)
        assert_close(model.syn1, case["syn1neg"], 1e-9)
        assert_close(gram(model.syn0), case["gram_syn0"], 1e-9)
        deviations = []
        for width in (64, 1024):
            finite = run(initial_embeddings(size, width, jax.random.key(width)))[1]
            deviations.append(float(jnp.abs(finite - case["loss_per_event"]).max()))
            assert 0.2 < deviations[-1] / float(case[f"finite_width_{width}_loss_abs_err_max"]) < 5
        assert deviations[1] < deviations[0]


def golden_tasks(case):
    labels = jnp.asarray(case["labels"])
    support, query = doubles(case, "support", "query")
    return TaskBatch(support, labels, query, labels)


def test_golden_maml(vectors):
    case = vectors.case("maml_lin")
    with jax.enable_x64():
        sigma_u, sigma_v, alpha, meta_lr, step, clip = map(float, case["sigma_u_sigma_v_biasalpha_metalr_step_clip"])
        tasks = golden_tasks(case)
        net = linear_limit(tasks.support.shape[-1], len(case["V_final"]), sigma_u=sigma_u, sigma_v=sigma_v)
        gradient = partial(meta_gradient, bias_alpha=alpha, step_size=step)
        net, curve = meta_train(net, tasks, gradient, meta_lr=meta_lr, clip=clip)
        assert_close(curve, case["outer_loss_and_gradnorm_per_batch"], 1e-9)
        assert_close(net.U, case["U_final"], 1e-9)
        assert_close(net.V, case["V_final"], 1e-9)
        assert_close(net.b, case["b_final"], 1e-9)
        first = jax.tree.map(lambda x: x[0, 0], tasks)
        adapted = adapt(net, first, bias_alpha=alpha, step_size=step, steps=len(case["adapt20_inner_losses"]))
        assert float(jnp.abs(adapted.losses - case["adapt20_inner_losses"]).max()) <= 1e-7
        assert_close(adapted.logits, case["adapt20_query_logits"], 1e-9)


@pytest.mark.parametrize("name", ["gp", "ntk"])
def test_golden_kernel_training(vectors, name):
    case = vectors.case(name)
    varw, varb, varw2, rate = map(float, case["hyper_varw_varb_varw2_lr"])
    kernel = partial(relu_gp, varw=varw, varb=varb)
    if name == "ntk":
        kernel = partial(relu_ntk, varw=varw, varb=varb, varw2=varw2)
    with jax.enable_x64():
        tasks = golden_tasks(vectors.case("maml_lin"))
        steps, shots, out = len(case["losses_3steps_task0"]), tasks.support.shape[2], case["query_logits"].shape[1]
        machine, losses = kernel_machine(tasks.support.shape[-1], out, steps * shots), []
        for i in range(steps):
            machine, loss = sgd_step(machine, kernel, tasks.support[i, 0], tasks.support_labels[i, 0], rate)
            losses.append(loss)
        assert_close(jnp.stack(losses), case["losses_3steps_task0"], 1e-9)
        assert_close(predict(machine, kernel, tasks.query[0, 0]), case["query_logits"], 1e-9)


def test_golden_kernels(vectors):
    case = vectors.case("kernel")
    with jax.enable_x64():
        corr, cov = doubles(case, "corr", "cov")
        assert_close(relu_correlation(corr), case["F00_unit"], 1e-9)
        assert_close(step_correlation(corr), case["F11"], 1e-9)
        assert_close(relu_covariance(cov), case["E_relu_relu"], 1e-9)
        assert float(jnp.abs(step_covariance(cov) - case["E_step_step"]).max()) <= 1e-8


def test_every_golden_case_is_tested(vectors):
    assert {name.split("/")[0] for name in vectors.arrays} == {"abc", "mup1", "mup2lin", "w2v", "maml_lin", "gp", "ntk", "kernel"}


# --- Limits ---


def test_particles_agree_with_quadrature():
    X, y, X_test = normal(0, 3, 2), normal(1, 3), normal(2, 4, 2)
    laws = [neuron_law(*gauss_hermite(20, 3), 2), neuron_law(*gaussian_particles(jax.random.key(3), 40_000, 3), 2)]
    outputs = [output(mup_limit(law, X, y, 0.3, jnp.tanh)[0], X_test, jnp.tanh) for law in laws]
    np.testing.assert_allclose(*outputs, atol=0.02)


def test_interpreter_agrees_with_the_recursion():
    X, y, X_test = normal(0, 3, 2), normal(1, 3), normal(2, 4, 2)
    trained, trajectory = mup_limit(neuron_law(*gauss_hermite(40, 2), 2), X, y, 0.5, jnp.tanh)
    found = deep_limit(TensorProgram(jax.random.key(0), 20_000), X, y, X_test, depth=1, eta=0.5, phi=jnp.tanh, readout=False)
    np.testing.assert_allclose(found.trajectory, trajectory, atol=0.01)
    np.testing.assert_allclose(found.test, output(trained, X_test, jnp.tanh), atol=0.01)


def test_deeper_linear_networks_converge():
    X, y, X_test = normal(0, 2, 2), normal(1, 2), normal(2, 3, 2)
    with jax.enable_x64():
        limit = deep_linear_limit(*(x.astype(float) for x in (X, y, X_test)), depth=3, eta=0.1).test
    problem = Problem(X, y, X_test, jnp.float32(0.1))
    finite = finite_outputs(jax.random.key(0), problem, 512, 8, depth=3, phi=lambda h: h, readout=True)
    np.testing.assert_allclose(finite.mean(0), limit, atol=4 * float(finite.std(0).max()) / 8**0.5)


def test_definition_in_a_loop():
    nodes, weights = gauss_hermite(5, 2)
    X, y, X_test = (np.asarray(x, float) for x in (normal(0, 3, 2), normal(1, 3), normal(2, 4, 2)))
    with jax.enable_x64():
        trained, _ = mup_limit(neuron_law(nodes, weights, 2), jnp.asarray(X), jnp.asarray(y), 0.5, jnp.tanh)
        slow = brute_force.one_hidden_layer(nodes, np.zeros(len(nodes)), weights, X, y, 0.5, X_test)
        assert_close(output(trained, jnp.asarray(X_test), jnp.tanh), slow, 1e-12)


def test_limit_errors(as_installed):
    X, y = normal(0, 3, 2), normal(1, 2)
    for call, message in (
        (lambda: neuron_law(*gauss_hermite(3, 1), 2), "nodes has 1 columns; 2 inputs need 2, or 3"),
        (lambda: mup_limit(neuron_law(*gauss_hermite(3, 2), 2), X, y, 0.1, jnp.tanh), r"X has shape \(3, 2\) and y \(2,\)"),
        (lambda: chain_limit(X, y, X, 0.1), r"X has shape \(3, 2\) and y \(2,\)"),
        (lambda: deep_linear_limit(X, y, X, depth=0, eta=0.1), "depth is 0"),
        (lambda: deep_linear_limit(X, y, X, depth=2, eta=0.1), r"X has shape \(3, 2\) and y \(2,\)"),
        (lambda: mup_limit(neuron_law(*gauss_hermite(3, 2), 2), X, X[:, 0], -0.1, jnp.tanh), "eta is -0.1"),
        (lambda: chain_limit(X, X[:, 0], X, -0.1), "eta is -0.1"),
        (lambda: deep_linear_limit(X, X[:, 0], X, depth=2, eta=float("nan")), "eta is nan"),
        (lambda: chain_limit(X[:0], X[:0, 0], X, 0.1), "at least one step"),
        (lambda: linear_limit(0, 2), "dim is 0 and out 2"),
        (lambda: finite_net(linear_limit(2, 2), 0, jax.random.key(0)), "width is 0"),
        (lambda: initial_embeddings(5, 3), "width is 3 and key None"),
        (lambda: kernel_machine(2, 2, 0), "rows 0"),
        (lambda: append(kernel_machine(2, 1, 2), normal(0, 3, 2), normal(0, 3, 1)), "x has 3 rows; the buffer holds 2"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


# --- Word2Vec ---

EVENTS = Events(jnp.array([[0, 1, 5, 5], [2, 5, 5, 3]], jnp.int32), jnp.array([[4, 1, 5], [0, 2, 2]], jnp.int32))


def random_embeddings(size=5, width=3):
    return Embeddings(normal(0, size, width), normal(1, size, width))


def test_a_batch_of_one_distinct_event_is_the_sequential_rule():
    model = random_embeddings()
    one = jax.tree.map(lambda x: x[0], EVENTS)
    found, loss = cbow_step(model, jax.tree.map(lambda x: x[:1], EVENTS), 0.3, 0.1)
    expected, expected_loss = cbow_event(model, *one, 0.3, 0.1)
    assert_close(found, expected, 1e-5)
    assert_close(loss, expected_loss, 1e-5)


def test_summed_updates_are_the_gradient():
    model = random_embeddings()
    new, loss = cbow_step(model, EVENTS, 0.3)
    gradients = jax.grad(lambda m: 2 * cbow_step(m, EVENTS, 0.0)[1])(model)
    assert_close(new, jax.tree.map(lambda w, g: w - 0.3 * g, model, gradients), 1e-5)
    assert_close(held_out_loss(model, EVENTS), loss, 1e-6)


def test_only_inner_products_matter():
    model = random_embeddings(5, 5)
    turn = jnp.asarray(np.linalg.qr(np.asarray(normal(3, 5, 5)))[0])
    turned = Embeddings(*(x @ turn for x in model))
    found, expected = (cbow_step(m, EVENTS, 0.3)[0] for m in (turned, model))
    assert_close(gram(found.syn0), gram(expected.syn0), 1e-5)
    assert_jit_consistent(lambda m: cbow_step(m, EVENTS, 0.3)[0], model)
    batch = jax.tree.map(lambda x: jnp.stack([x, 2 * x]), model)
    assert_vmap_consistent(lambda m: cbow_step(m, EVENTS, 0.3)[0], batch)


def test_words_that_are_none():
    model = random_embeddings()
    nowhere = Events(jnp.full((1, 4), 5, jnp.int32), jnp.array([[4, 1, 5]], jnp.int32))
    found, loss = cbow_step(model, nowhere, 0.3)
    assert_close(loss, 2 * np.log(2), 1e-6)  # without a context every word is as likely as not, and nothing is learned
    assert_close(found, model, 1e-6)
    assert_close(cbow_event(model, nowhere.context[0], nowhere.targets[0], 0.3)[0], model, 1e-6)
    wrong = Events(jnp.array([[0, 1, -1, 5]], jnp.int32), nowhere.targets)
    for call in (
        lambda: cbow_step(model, wrong, 0.3),
        lambda: held_out_loss(model, wrong),
        lambda: cbow_event(model, wrong.context[0], wrong.targets[0], 0.3),
        lambda: kernel_held_out_loss(jnp.zeros((5, 5)), wrong),
    ):
        with pytest.raises(ValueError, match="context runs from -1 to 5; words are 0 to 4, an absent one is 5"):
            call()
    absent = Events(jnp.array([[0, 1, 5, 5]], jnp.int32), nowhere.targets)
    traced = jax.jit(lambda events: cbow_step(model, events, 0.3)[0])
    assert_close(traced(wrong), traced(absent), 1e-6)  # where it cannot be looked at, -1 is no word either, and not the last
    with pytest.raises(ValueError, match="learning_rate is -1"):
        cbow_step(model, absent, -1.0)


def test_the_kernel_limit_is_scored_by_its_entries():
    syn1 = normal(0, 5, 5)
    assert_close(kernel_held_out_loss(syn1, EVENTS), held_out_loss(Embeddings(jnp.eye(5), syn1), EVENTS), 1e-6)


def test_kernel_limit_is_training_the_readout_alone():
    vocabulary, rate, steps = 5, 0.4, 3
    found, losses = train_kernel(vocabulary, lambda step: EVENTS, rate, steps=steps)
    model = initial_embeddings(vocabulary, None)
    for step in range(steps):
        new, loss = cbow_step(model, EVENTS, rate * (1 - step / steps))
        assert_close(losses[step], loss, 1e-5)
        model = Embeddings(model.syn0, new.syn1)
    assert_close(found.syn1, model.syn1, 1e-5)
    np.testing.assert_array_equal(found.syn0, np.eye(vocabulary))


def test_training_learns_and_frequencies_are_a_baseline():
    tokens = jnp.asarray(np.random.default_rng(0).integers(0, 4, 60).repeat(3), jnp.int32)
    cumulative = jnp.linspace(0.25, 1, 4)

    def events_at(step):
        return draw_events(jax.random.fold_in(jax.random.key(0), step), tokens, cumulative, shape=(32,), window=1, negatives=2)

    _, losses = train_cbow(initial_embeddings(4, 8, jax.random.key(1)), events_at, 0.05, steps=200)
    frequency = float(frequency_loss(jnp.bincount(tokens, length=4).astype(float), events_at(0)))
    assert losses[-20:].mean() < frequency < losses[0] + 0.3


# --- MAML and kernels ---


def random_tasks(tasks=3, ways=3, dim=4, seed=0):
    labels = jnp.broadcast_to(jnp.arange(ways), (tasks, ways))
    return TaskBatch(normal(seed, tasks, ways, dim), labels, normal(seed + 1, tasks, ways, dim), labels)


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 1000), alpha=st.floats(0.5, 2), steps=st.integers(1, 3))
def test_gram_matrices_give_the_first_order_gradient(seed, alpha, steps):
    tasks = random_tasks(seed=seed)
    net = finite_net(linear_limit(4, 3, sigma_v=0.5), 6, jax.random.key(seed))._replace(b=normal(seed, 6))

    def loss(net, x, labels):
        return cross_entropy(net_output(net, x, alpha), labels)[0]

    def of_task(task):
        adapted = net
        for _ in range(steps):
            inner = jax.grad(loss)(adapted, task.support, task.support_labels)
            adapted = jax.tree.map(lambda w, g: w - 0.4 * g, adapted, inner)
        return jax.value_and_grad(loss)(adapted, task.query, task.query_labels)

    losses, gradients = jax.vmap(of_task)(tasks)
    value, found = meta_gradient(net, tasks, bias_alpha=alpha, step_size=0.4, steps=steps)
    assert_close(value, losses.mean(), 1e-4)
    assert_close(found, jax.tree.map(lambda g: g.sum(0), gradients), 1e-3)


def test_silent_neurons_change_nothing():
    tasks, net = random_tasks(), finite_net(linear_limit(4, 3, sigma_v=0.5), 6, jax.random.key(0))
    wide = with_silent_neurons(net, 9)
    (value, found), (expected_value, expected) = (meta_gradient(one, tasks, bias_alpha=1.0, step_size=0.4) for one in (wide, net))
    assert_close(value, expected_value, 1e-6)
    assert_close(found, with_silent_neurons(expected, 9), 1e-5)
    rng = [np.random.default_rng(0) for _ in range(2)]
    scale, X, y = scales(ABC.maximal_update(2), 6), normal(0, 3, 4), normal(1, 3, 1)
    outputs = [
        train_abc(padded_normals(one, 4, 6, 2, size), scale, X, y, 0.5, jnp.tanh)[2]
        for one, size in zip(rng, (6, 9), strict=True)
    ]
    assert_close(*outputs, 1e-5)
    with pytest.raises(ValueError, match="width is 5; it must be at least 6"):
        with_silent_neurons(net, 5)


def test_what_is_no_class_and_what_is_no_number():
    logits = jnp.zeros((2, 3))
    for labels in ([0, 3], [-1, 0]):
        with pytest.raises(ValueError, match="labels runs from"):
            cross_entropy(logits, jnp.array(labels))
        with pytest.raises(ValueError, match="labels runs from"):
            accuracy(logits, jnp.array(labels))
    with pytest.raises(ValueError, match="number of logits is 0"):
        cross_entropy(logits[:0], jnp.zeros(0, int))
    with jax.debug_nans(False):
        assert np.isnan(accuracy(jnp.full((2, 3), jnp.nan), jnp.array([0, 1])))


def test_clipping_sums_tasks_and_keeps_the_offset():
    tasks = jax.tree.map(lambda x: x[None], random_tasks())
    net = linear_limit(4, 3)
    gradient = partial(meta_gradient, bias_alpha=1.0, step_size=0.4)
    new, curve = meta_train(net, tasks, gradient, meta_lr=0.1, clip=0.01)
    step = jnp.sqrt(sum(jnp.sum((a - b) ** 2) for a, b in zip(new, net, strict=True)))
    assert_close(step, 0.1 * 0.01 * curve[0, 1] / (curve[0, 1] + 1e-6), 1e-4)


def test_kernel_maml_with_a_linear_kernel_is_the_linear_classifier():
    batches = jax.tree.map(lambda *x: jnp.stack(x), *[random_tasks(seed=10 * i) for i in range(3)])

    def kernel(x, y):
        return x @ y.T + 1

    machine, _ = kernel_meta_train(kernel_machine(4, 3, 27), kernel, batches, lambda t: t, step_size=0.4, meta_lr=0.1)
    gradient = partial(linear_meta_gradient, step_size=0.4)
    linear, _ = meta_train(LinearClassifier(jnp.zeros((3, 4)), jnp.zeros(3)), batches, gradient, meta_lr=0.1)
    x = normal(5, 6, 4)
    assert_close(predict(machine, kernel, x), x @ linear.W.T + linear.b[None], 1e-4)
    tasks = random_tasks(seed=50)
    assert kernel_logits(machine, kernel, tasks, step_size=0.4, steps=2).shape == (3, 3, 3)


def test_a_full_buffer_forgets_the_oldest():
    machine = kernel_machine(2, 1, 3)
    for i in range(4):
        machine = append(machine, jnp.full((1, 2), float(i)), jnp.full((1, 1), float(i)))
    np.testing.assert_array_equal(machine.points[:, 0], [3, 1, 2])
    assert accuracy(jnp.eye(3)[None], jnp.array([[0, 1, 0]])) == pytest.approx(2 / 3)


def test_few_shot_runs_of_every_model():
    cfg = MAML(batches=3, tasks=2, nets=(FiniteNet(8, 0.5, 0.25, 1.0, 0.1),), test_tasks=100, test_steps=2, kernel_rows=30)
    scores, curve = few_shot.accuracies(digits_few_shot(), cfg, jax.random.key(0))
    assert set(scores) == {"∞", "∞, untrained", "8", "linear", "ReLU GP", "ReLU NTK"}
    assert all(0.2 < score <= 1 for score in scores.values()) and curve.shape == (3, 2)


# --- Data, presets, claims ---


def test_rates_of_the_sweep_are_those_of_the_optimiser():
    narrow, wide = (transfer.initial_weights(np.random.default_rng(0), 3, n, 2, n) for n in (4, 12))
    tx = mup_sgd(1.0, width_shapes(narrow))
    updates = tx.update(jax.tree.map(np.ones_like, wide), tx.init(wide))[0]
    assert {name: -float(u[0, 0]) for name, u in updates.items()} == transfer.rate_factors(3.0)
    assert set(transfer.rate_factors(1.0).values()) == {1.0}


def test_distances_are_measured():
    outputs = np.array([[[1.0], [3.0]], [[1.5], [1.7]]])
    found = distances(outputs, np.array([1.5]))
    assert {name: values.round(6).tolist() for name, values in found.items()} == {
        "limit": [1.0, 0.1],
        "predicting zero": [2.0, 1.6],
        "mean of the narrowest": [1.0, 0.4],
    }


@pytest.fixture
def no_data(monkeypatch, tmp_path):
    monkeypatch.delenv("QUIRE_DATA", raising=False)
    monkeypatch.setenv("QUIRE_OFFLINE", "1")
    monkeypatch.setattr("quire.common.data.registry.cache_dir", lambda: tmp_path / "cache")


def test_tasks_of_bytes_adapt_as_tasks_of_floats(as_installed):
    """Products of bytes would overflow."""
    images = np.random.default_rng(0).integers(0, 256, (2, 4, 3)).astype(np.uint8)
    labels = np.array([0, 1, 0, 1])
    net, linear = linear_limit(3, 2), LinearClassifier(jnp.ones((2, 3)), jnp.zeros(2))
    found = []
    for dtype in (np.uint8, np.float32):
        support, query = images.astype(dtype)
        task = TaskBatch(support, labels, query, labels)
        adapted = adapt(net, task, bias_alpha=1.0, step_size=1e-6, steps=2)
        found.append((adapted.logits, linear_logits(linear, task, step_size=1e-6, steps=2)))
    for bytes_, floats in zip(*found, strict=True):
        assert_close(bytes_, floats, 1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cross_entropy(jnp.zeros((4, 3)), jnp.zeros(1, int)), r"labels has shape \(1,\); logits of shape \(4, 3\)"),
        (lambda: accuracy(jnp.zeros((2, 4, 3)), jnp.zeros(4, int)), r"labels has shape \(4,\)"),
        (lambda: append(kernel_machine(2, 1, 4), jnp.zeros((3, 2)), jnp.zeros((1, 1))), "change has 1 rows; x has 3"),
        (lambda: linear_limit(2, 2, sigma_v=-1.0), "sigma_v -1"),
        (lambda: neuron_law(np.zeros((4, 2)), np.ones(1), 2), r"weights \(1,\); they need \[nodes, k\]"),
        (lambda: chain_limit(np.ones((2, 2)), np.ones(2), np.ones(2), 0.1), r"X_test has shape \(2,\); it needs \[tests, 2\]"),
        (lambda: deep_linear_limit(np.ones((2, 2)), np.ones(2), np.ones((1, 3)), depth=2, eta=0.1), "X_test has shape"),
        (lambda: frequency_loss(np.array([3, 0]), _one_event()), "counts run down to 0"),
        (lambda: frequency_loss(np.array([3, 1]), _one_event(target=-1)), "targets runs from -1"),
        (lambda: held_out_loss(initial_embeddings(2, None), _one_event(), batch=0), "batch is 0"),
        (lambda: held_out_loss(initial_embeddings(2, None), _one_event(events=3)), "they need as many events"),
        (lambda: mup_sgd(-0.1, {}), "learning_rate is -0.1"),
        (lambda: mup_adam(float("nan"), {}), "learning_rate is nan"),
    ],
)
def test_what_does_not_fit_is_refused(call, message, as_installed):
    with pytest.raises(ValueError, match=message):
        call()


def _one_event(target: int = 1, events: int = 1) -> Events:
    return Events(np.zeros((events, 2), np.int32), np.array([[target, 0]], np.int32))


def test_patterns_of_omniglot(quire_data):
    patterns = open_patterns(7).value
    assert patterns.inputs.shape == (len(patterns.labels), 16) and abs(patterns.inputs.mean()) < 1e-5
    with pytest.raises(ValueError, match="pool is 5; it must divide the 28 pixels"):
        open_patterns(5)


def test_missing_and_unknown_data(no_data):
    with pytest.raises(DatasetUnavailable, match="text8"):
        open_words("text8", 100)
    with pytest.raises(DatasetUnavailable, match="omniglot"):
        open_few_shot("omniglot")
    with pytest.raises(DatasetUnavailable, match="omniglot-full"):
        open_few_shot("omniglot-full")
    with pytest.raises(ValueError, match="corpus is 'bible'"):
        open_words("bible", 100)
    with pytest.raises(ValueError, match="name is 'mnist'"):
        open_few_shot("mnist")


def test_presets_name_what_the_paper_used():
    words, maml = PRESETS["paper"].word2vec, PRESETS["paper"].maml
    assert (words.window, words.negatives, words.learning_rate, words.weight_decay) == (8, 25, 0.05, 0.001)
    assert (maml.batches, maml.step_size, maml.clip, maml.sigma_v, maml.test_steps) == (10_000, 0.4, 0.5, 0.03125, 20)


def test_benchmark_cases():
    timed = cases(60, jax.random.key(0))
    first, second = (case.function(*case.args) for case in timed.values())
    assert max_relative_error(first.U, second.U) < 1e-4
    assert_close(first, second, 1e-3)
    flops = [measure(case, repeats=1).flops for case in timed.values()]
    assert flops[0] < flops[1]
