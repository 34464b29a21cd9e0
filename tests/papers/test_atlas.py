"""aTLAS: golden parity, algebra and composition, objectives, learning, rivals and adapters, studies in small, presets, errors."""

import math
import re
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from quire.atlas import (
    PRESETS,
    Preset,
    Search,
    TaskVector,
    ViT,
    blocks_of,
    combine,
    combine_partitioned,
    compose,
    compose_partitioned,
    cosine_matrix,
    disentanglement_error,
    entropy,
    learn,
    learn_coefficients,
    linearized_apply,
    lora_apply,
    lora_start,
    lp_penalty,
    lp_plus_plus,
    negation_score,
    paper,
    random_blocks,
    random_masks,
    random_subspace,
    random_task_vectors,
    select_blocks,
    select_task_vectors,
    stack_task_vectors,
    subspace_apply,
    tip_adapter,
    trusted_labels,
    ufm_loss,
)
from quire.atlas import library as lib
from quire.atlas.domains import DOMAINS, cropped, few_shots, load_family
from quire.atlas.few_shot import pools
from quire.atlas.networks import build
from quire.common.claims import run
from quire.common.losses.classification import smoothed_cross_entropy
from quire.common.testing import (
    assert_close,
    assert_degenerate,
    assert_dtypes,
    assert_gradients,
    assert_jit_consistent,
    assert_vmap_consistent,
)
from quire.common.train.recipe import Recipe

RNG = np.random.default_rng(0)
KEY = jax.random.key(0)


def normal(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


BASE = {"w": normal(3, 4), "b": normal(4), "step": np.array(7)}
TUNED = [{"w": normal(3, 4), "b": normal(4), "step": np.array(9)} for _ in range(2)]
VECTORS = [TaskVector.from_params(BASE, tuned) for tuned in TUNED]
TVS = stack_task_vectors(VECTORS)

# --- Golden vectors ---

PRECISIONS = pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-10), ("float32", 2e-5)])


class Net:
    """The golden network: linear maps and layer norms as named in the file, exact GELUs between; torch's layout of weights."""

    def __init__(self, g, dtype):
        self.g, self.dtype = g, dtype
        self.names = [str(name) for name in g["param_names"]]
        self.base = {name: jnp.asarray(g[f"base/{name}"], dtype) for name in self.names}
        self.tvs = {name: jnp.asarray(g[f"tv/{name}"], dtype) for name in self.names}
        self.x, self.y = jnp.asarray(g["x"], dtype), jnp.asarray(g["y"])
        self.layers = list(dict.fromkeys(name.rsplit(".", 1)[0] for name in self.names))

    def columns(self, coef):
        """Columns of the file, in the order of this package: names sorted."""
        return jnp.asarray(coef[:, [self.names.index(name) for name in sorted(self.names)]], self.dtype)

    def __call__(self, params, x):
        for layer in self.layers:
            weight, bias = params[f"{layer}.weight"], params[f"{layer}.bias"]
            if weight.ndim == 2:
                x = x @ weight.T + bias[None]
            else:
                centred = x - x.mean(-1, keepdims=True)
                scaled = centred / jnp.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
                x = jax.nn.gelu(scaled * weight[None] + bias[None], approximate=False)
        return x


@PRECISIONS
@pytest.mark.parametrize("form", ["block", "global"])
def test_golden_composition(golden, form, dtype, tolerance):
    g = golden("atlas")
    with jax.enable_x64(dtype == "float64"):
        net = Net(g, dtype)
        coef = net.columns(g["coef"]) if form == "block" else jnp.asarray(g["coef"][:, 0], dtype)
        loss = lambda c: smoothed_cross_entropy(net(compose(net.base, net.tvs, c), net.x), net.y)  # noqa: E731
        assert_close(net(compose(net.base, net.tvs, coef), net.x), g[f"{form}_out"], tolerance)
        value, gradient = jax.value_and_grad(loss)(coef)
        expected = net.columns(g["block_grad"]) if form == "block" else g["global_grad"]
        assert_close((value, gradient), (g[f"{form}_ce"], expected), tolerance)


@PRECISIONS
def test_golden_linearised_and_partitioned(golden, dtype, tolerance):
    g = golden("atlas")
    with jax.enable_x64(dtype == "float64"):
        net = Net(g, dtype)
        deltas = combine(net.tvs, net.columns(g["coef"]))
        assert_close(linearized_apply(net, net.base, deltas, net.x), g["lin_block_out"], tolerance)
        masks = {name: g[f"part_mask/{name}"] for name in net.names}
        params = compose_partitioned(net.base, net.tvs, net.columns(g["part_coef"]), masks)
        assert_close(params, {name: g[f"part_params/{name}"] for name in net.names}, tolerance)
        assert_close(net(params, net.x), g["part_out"], tolerance)


@PRECISIONS
def test_golden_objectives(golden, dtype, tolerance):
    g = golden("atlas")
    with jax.enable_x64(dtype == "float64"):
        coef = jnp.asarray(g["lpreg_coef"], dtype)
        powers = [name for name in g.arrays if re.fullmatch(r"lpreg_p[\d.]+", name)]
        thresholds = [name for name in g.arrays if name.startswith("ufm_loss_")]
        assert powers
        assert thresholds
        for name in powers:
            assert_close(lp_penalty(coef, float(name.removeprefix("lpreg_p"))), g[name], tolerance)
        weak, strong = (jnp.asarray(g[f"ufm_logits_{name}"], dtype) for name in ("weak", "strong"))
        for name in thresholds:
            loss = ufm_loss(weak, strong, g["ufm_targets"], g["ufm_trusted"], float(name.removeprefix("ufm_loss_")))
            assert_close(loss, g[name], tolerance)


# --- Algebra ---


def test_vectors_add_subtract_scale_and_apply():
    a, b = VECTORS
    moved = (2 * a - b + (-a)).apply(BASE)
    np.testing.assert_allclose(moved["w"], BASE["w"] + TUNED[0]["w"] - TUNED[1]["w"], atol=1e-5)
    np.testing.assert_allclose(a.apply(BASE)["b"], TUNED[0]["b"], atol=1e-6)
    np.testing.assert_allclose(a.apply(BASE, -1.0)["b"], 2 * BASE["b"] - TUNED[0]["b"], atol=1e-6)
    assert moved["step"] == 7  # buffers stay
    flat = [np.concatenate([v.deltas[name].ravel() for name in ("b", "w")]) for v in VECTORS]
    np.testing.assert_allclose(a.dot(b), flat[0] @ flat[1], rtol=1e-5)
    np.testing.assert_allclose(a.norm(), np.linalg.norm(flat[0]), rtol=1e-5)
    cosine = flat[0] @ flat[1] / np.linalg.norm(flat[0]) / np.linalg.norm(flat[1])
    np.testing.assert_allclose(cosine_matrix(TVS), [[1, cosine], [cosine, 1]], atol=1e-5)


def test_half_precision_is_summed_in_float32():
    small = {"w": np.full(4096, 1e-4, np.float32)}
    vector = TaskVector.from_params({"w": np.zeros(4096, np.float32)}, small, dtype=jnp.bfloat16)
    assert vector.deltas["w"].dtype == jnp.bfloat16
    assert abs(float(vector.dot(vector)) / (4096 * 1e-8) - 1) < 0.01
    moved = vector.apply({"w": np.ones(4096, np.float32)})["w"]
    assert abs(float(moved[0]) - 1.0001) < 1e-6  # lost if summed in bfloat16
    composed = compose({"w": np.ones(4096, np.float32)}, stack_task_vectors([vector]), np.ones(1, np.float32))["w"]
    assert composed.dtype == jnp.float32
    np.testing.assert_allclose(composed, moved)


def test_shared_weights_are_one_block_and_states_are_trees():
    class Tied(nnx.Module):
        def __init__(self):
            self.first = nnx.Linear(3, 3, rngs=nnx.Rngs(0))
            self.second = self.first

    state = nnx.state(Tied())
    assert len(blocks_of(state)) == 2
    moved = TaskVector(jax.tree.map(jnp.ones_like, blocks_of(state))).apply(state)
    np.testing.assert_allclose(moved["first"]["kernel"][...], state["first"]["kernel"][...] + 1)


def test_cosines_and_penalty_at_the_edges():
    assert_degenerate(lambda x: cosine_matrix({"w": x}), normal(3, 4), differentiable=False)
    assert_degenerate(lp_penalty, normal(3, 4), axes=(0, 1))
    assert_degenerate(lambda c: lp_penalty(c, 0.5), normal(3, 4))
    assert_dtypes(lp_penalty, normal(3, 4))
    assert_gradients(lambda c: lp_penalty(c, 3.0), normal(3, 4))
    expected = 0.5 * np.mean([np.linalg.norm(c) for c in np.arange(6.0).reshape(2, 3).T])
    np.testing.assert_allclose(lp_penalty(np.arange(6.0, dtype=np.float32).reshape(2, 3)), expected, rtol=1e-6)


# --- Composition ---


def test_composition_is_its_definition():
    coef = normal(2, 2)
    found = compose(BASE, TVS, coef)
    for column, name in enumerate(("b", "w")):
        expected = BASE[name] + sum(coef[t, column] * (TUNED[t][name] - BASE[name]) for t in range(2))
        np.testing.assert_allclose(found[name], expected, atol=1e-5)


def test_the_derivative_by_a_coefficient_is_an_inner_product():
    coef = normal(2, 2)
    loss = lambda params: jnp.sum(jnp.sin(params["w"])) + jnp.sum(params["b"] ** 2)  # noqa: E731
    slope = jax.grad(lambda c: loss(compose(BASE, TVS, c)))(coef)
    params = compose(BASE, TVS, coef)
    by_block = {"b": 2 * params["b"], "w": jnp.cos(params["w"])}
    expected = [[float(jnp.vdot(by_block[n], v.deltas[n])) for n in ("b", "w")] for v in VECTORS]
    np.testing.assert_allclose(slope, expected, rtol=1e-4)


def test_partitions_with_equal_parts_are_blocks():
    masks = random_masks(KEY, BASE, 3)
    coef = normal(2, 2)
    equal = np.tile(coef[..., None], 3)
    assert_close(combine_partitioned(TVS, equal, masks), combine(TVS, coef), 1e-6)
    flat = np.concatenate([m.ravel() for m in random_masks(KEY, {"w": np.zeros((60, 50))}, 3).values()])
    assert np.abs(np.bincount(flat) / flat.size - 1 / 3).max() < 0.05  # uniform
    only = combine_partitioned(TVS, equal, random_masks(KEY, BASE, 3, matrices_only=True))
    assert not only["b"].any()
    assert only["w"].all()


def test_linearised_models_are_first_order():
    fn = lambda params, x: jnp.tanh(x @ params["w"]) + params["b"][None]  # noqa: E731
    base, x = {name: jnp.asarray(BASE[name]) for name in ("w", "b")}, normal(5, 3)
    errors = []
    for size in (1e-1, 1e-2):
        deltas = {name: size * TVS[name][0] for name in base}
        moved = {name: base[name] + deltas[name] for name in base}
        errors.append(float(jnp.abs(fn(moved, x) - linearized_apply(fn, base, deltas, x)).max()))
    assert errors[0] / errors[1] > 50  # the rest is of second order
    both = combine(TVS, np.array([0.3, -0.2], np.float32))
    linear = lambda d: linearized_apply(fn, base, {n: d[n] for n in base}, x)  # noqa: E731
    zero = linear(jax.tree.map(jnp.zeros_like, both))
    parts = 0.3 * (linear(jax.tree.map(lambda v: v[0], TVS)) - zero) - 0.2 * (linear(jax.tree.map(lambda v: v[1], TVS)) - zero)
    np.testing.assert_allclose(linear(both) - zero, parts, atol=1e-4)


def test_composition_degenerate_dtypes_jit_vmap():
    tvs = {name: np.asarray(x) for name, x in TVS.items()}
    function = lambda c, w: combine({"w": w}, c)["w"]  # noqa: E731
    assert_degenerate(function, normal(2, 1), tvs["w"], axes=())
    assert_dtypes(function, normal(2, 1), tvs["w"])
    assert_jit_consistent(lambda c: compose(BASE, TVS, c)["w"], jnp.asarray(normal(2, 2)))
    assert_vmap_consistent(lambda c: combine(TVS, c)["w"], normal(3, 2, 2))
    masks = random_masks(KEY, BASE, 2)
    assert_vmap_consistent(lambda c: combine_partitioned(TVS, c, masks)["w"], normal(3, 2, 2, 2))


# --- Objectives ---


def test_ufm_of_no_confident_image_is_zero():
    zeros = jnp.zeros((3, 4))
    none = jnp.zeros(3, bool)
    value, slope = jax.value_and_grad(lambda s: ufm_loss(zeros, s, zeros, none, 0.9))(zeros)
    assert value == 0
    assert not slope.any()
    slope = jax.grad(lambda w: ufm_loss(w, zeros, zeros, none, 0.1))(jnp.asarray(normal(3, 4)))
    assert not slope.any()  # targets are taken as given
    assert_degenerate(
        lambda w, s: ufm_loss(w, s, w, jnp.zeros(len(w), bool), 0.5), normal(3, 4), normal(3, 4), scales=(1e-30, 1e3)
    )


def test_trusted_labels_are_the_surest_of_every_class():
    logits = np.zeros((40, 2), np.float32)
    logits[:25, 0], logits[25:, 1] = np.arange(1, 26) / 5, np.arange(1, 16) / 5
    labels, trusted = trusted_labels(logits)
    assert np.flatnonzero(trusted).tolist() == [23, 24, 38, 39]  # 40 / 2 / 10 of both classes
    assert np.asarray(labels).sum(0).tolist() == [25, 15]


def test_entropy_is_that_of_scipy():
    from scipy.stats import entropy as reference

    x = normal(4, 3)
    np.testing.assert_allclose(entropy(x), reference(np.asarray(jax.nn.softmax(x)), axis=1).mean(), rtol=1e-5)


# --- Learning ---


def test_zero_shot_is_kept_if_nothing_beats_it():
    tvs = {"w": np.eye(2, dtype=np.float32)}
    base, data = {"w": jnp.zeros(2)}, jnp.tile(jnp.array([3.0, 1.0]), (40, 1))
    loss = lambda params, target: jnp.sum((params["w"] - target) ** 2)  # noqa: E731
    worse = learn_coefficients(loss, base, tvs, data, epochs=4, select=lambda p: -jnp.sum(p["w"] ** 2))
    assert not worse.value.any()
    assert worse.scores.shape == (5,)
    best = learn_coefficients(loss, base, tvs, data, epochs=4, select=lambda p: -jnp.abs(p["w"][0] - 0.5))
    assert 0 < best.value[0, 0] < 2.9
    np.testing.assert_allclose(best.scores.max(), -abs(best.value[0, 0] - 0.5), atol=1e-6)
    last = learn_coefficients(loss, base, tvs, data, coef=jnp.zeros(2), epochs=4)
    assert last.value.shape == (2,)
    assert last.losses[-1] < last.losses[0]


def test_one_step_is_adamw():
    learned = learn(lambda x, b: jnp.sum(b * x), jnp.array([1.0, -2.0]), jnp.array([[3.0, -4.0]]), lr=0.1, weight_decay=0.5)
    # Adam's first step is the sign; the decay is a multiple of the rate
    np.testing.assert_allclose(learned.value, [1 - 0.1 * (1 + 0.5), -2 - 0.1 * (-1 - 1)], atol=1e-5)


def test_negation_keeps_the_control():
    scores = [float(negation_score(jnp.array(t), jnp.array(c), jnp.array(0.8))) for t, c in ((0.1, 0.77), (0.0, 0.7), (0.3, 0.8))]
    assert int(np.argmax(scores)) == 0


# --- Budget, rivals, adapters ---


def test_a_budget_keeps_as_many_of_every_block():
    grads = normal(5, 7)
    for kept in (select_blocks(grads, 2), random_blocks(KEY, (5, 7), 2), select_task_vectors(grads, 2)):
        assert (kept.sum(0) == 2).all()
    chosen = np.abs(grads) * select_blocks(grads, 2)
    np.testing.assert_allclose(np.sort(chosen, 0)[-2:], np.sort(np.abs(grads), 0)[-2:])
    whole = select_task_vectors(grads, 2)
    assert set(np.flatnonzero(whole[:, 0])) == set(np.argsort(np.linalg.norm(grads, axis=1))[-2:])


def test_a_random_subspace_has_orthogonal_directions():
    base = {"w": jnp.zeros((4, 5)), "b": jnp.zeros(4)}
    subspace = random_subspace(KEY, base, 5)
    columns = [subspace_apply(base, subspace, e) for e in np.eye(5, dtype=np.float32)]
    p = np.stack([np.concatenate([x.ravel() for x in blocks_of(c).values()]) for c in columns])
    gram = p @ p.T
    np.testing.assert_allclose(gram, np.diag(np.diag(gram)))
    assert set(np.diag(gram)) <= {4.0, 5.0}  # 24 parameters on 5 directions


def test_lora_starts_at_the_base_and_has_its_rank():
    factors = lora_start(KEY, BASE, 1)
    assert_close(lora_apply(BASE, factors)["w"], BASE["w"], 1e-7)
    moved = lora_apply(BASE, {"w": (factors["w"][0], jnp.ones((1, 4)))})["w"] - BASE["w"]
    assert np.linalg.matrix_rank(np.asarray(moved), tol=1e-4) == 1


def test_random_vectors_are_as_long_as_those_they_replace():
    drawn = random_task_vectors(KEY, TVS)
    for name, x in TVS.items():
        np.testing.assert_allclose(*(np.linalg.norm(v.reshape(2, -1), axis=1) for v in (drawn[name], np.asarray(x))), rtol=1e-5)


def test_disentanglement_of_vectors_in_different_places():
    tvs = {"w": jnp.array([[2.0, 0.0], [0.0, 2.0]])}
    predict = lambda deltas, x: (x @ deltas["w"] > 1).astype(int)  # noqa: E731
    data = jnp.array([[1.0, 0.0]]), jnp.array([[0.0, 1.0]])
    alphas = np.array([[1.0, 1.0], [1.0, 0.5]], np.float32)
    assert disentanglement_error(predict, tvs, data, alphas).tolist() == [0, 0]
    shared = {"w": jnp.array([[2.0, -2.0], [-2.0, 2.0]])}
    assert disentanglement_error(predict, shared, data, alphas).tolist() == [2, 1]


def test_adapters_learn_what_the_base_does_not_know():
    centres = normal(3, 8)
    labels = np.repeat(np.arange(3), 6)
    features = centres[labels] + 0.1 * normal(18, 8)
    test = centres[labels] + 0.1 * normal(18, 8)
    wrong = normal(8, 3)
    tip = tip_adapter(features, features @ wrong * 0, labels)
    assert (np.asarray(tip(test, test @ wrong * 0)).argmax(1) == labels).all()
    probe = lp_plus_plus(features, wrong, labels, steps=100)
    assert (np.asarray(probe(test)).argmax(1) == labels).all()
    keys = tip.keys / jnp.linalg.norm(tip.keys, axis=1, keepdims=True)
    affinity = np.exp(-(1 - keys @ tip.keys.T) * tip.beta)
    np.testing.assert_allclose(tip(tip.keys, np.zeros((18, 3))), tip.alpha * affinity @ np.eye(3)[labels], rtol=1e-4)


# --- Domains and studies in small ---


def test_domains_change_images_and_keep_their_places():
    family = load_family("digits", ("plain", "rot90", "invert", "shift", "30 degrees"), 300)
    plain, rot90, invert, shift, turned = family.test.images
    np.testing.assert_array_equal(rot90, np.rot90(plain, 1, (1, 2)))
    np.testing.assert_allclose(invert + plain, 1)
    np.testing.assert_array_equal(np.roll(shift, -2, 2), plain)
    assert np.abs(turned - plain).max() > 0.1
    assert len(family.validation.labels) == 300
    images = normal(3, 6, 6, 1)
    twice = {"rot180": DOMAINS["rot90"], "plain": DOMAINS["flip"]}
    for name, once in twice.items():
        np.testing.assert_array_equal(DOMAINS[name](images), once(once(images)))


def test_crops_are_of_the_image():
    images = np.ones((4, 8, 8, 1), np.float32)
    np.testing.assert_allclose(cropped(images, KEY, smallest=0.5, flip=False)[:, 2:-2, 2:-2], 1, atol=1e-5)
    ramp = np.tile(np.linspace(0, 1, 8, dtype=np.float32)[None, None, :, None], (50, 8, 1, 1))
    whole = cropped(ramp, KEY, smallest=1.0, flip=False)
    np.testing.assert_allclose(whole, ramp, atol=1e-5)
    middle = cropped(ramp, KEY, smallest=0.6, flip=False)[:, 4, 2:6, 0]
    assert (np.diff(middle) > 0).all()
    np.testing.assert_array_less(np.diff(middle), 1 / 7 + 1e-4)  # enlarged
    mirrored = cropped(ramp, KEY, smallest=1.0, flip=True)[:, 4, :, 0]
    assert 10 < (np.diff(mirrored)[:, 3] < 0).sum() < 40


def test_few_shots_are_of_every_class():
    labels = np.repeat(np.arange(4), 5)
    chosen = few_shots(labels, 2, KEY)
    assert np.bincount(labels[chosen]).tolist() == [2, 2, 2, 2]


SMALL = replace(
    PRESETS["quick"],
    backbone=replace(PRESETS["quick"].backbone, hidden=(16,)),
    domains=("rot90", "flip"),
    angles=(20,),
    distractors=("flip",),
    pretraining=Recipe(60, 32, 1e-2),
    mixed_steps=4,
    finetuning=Recipe(40, 32, 1e-2),
)


def test_the_library_learns_and_its_vectors_restore_the_tuned_models():
    found = lib.library.__wrapped__(SMALL, jnp.stack([KEY]))
    assert found["zero_shot"][0, 0] > 0.7
    assert (found["tuned"] > found["zero_shot"][:, 1:]).all()
    family, network = lib.family_of(SMALL), found["network"]
    base, head = (jax.tree.map(lambda x: x[0], found[name]) for name in ("base", "head"))
    tvs = {name: x[0] for name, x in found["tvs"].items()}
    one = np.zeros((len(SMALL.tasks), len(tvs)), np.float32)
    one[1] = 1
    images, labels = map(jnp.asarray, (family.test.images[family.places("flip")[0]], family.test.labels))
    assert network.accuracy(compose(base, tvs, one), head, images, labels) == pytest.approx(found["tuned"][0, 1])


# --- Presets, claims, README ---


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_traced(name):
    preset: Preset = PRESETS[name]
    side, channels = {"digits": (8, 1), "mnist-t10k": (28, 1), "cifar10": (32, 3)}[preset.image_set]
    made = {}

    def initial():
        made["network"], params, head = build(preset.backbone, (side, side, channels), 10, rngs=nnx.Rngs(0))
        return params, head

    params, head = jax.eval_shape(initial)
    network, blocks = made["network"], blocks_of(params)
    pool = max(pools(preset), key=lambda p: len(p.tasks))
    tvs = {n: jax.ShapeDtypeStruct((len(pool.tasks), *x.shape), jnp.bfloat16) for n, x in blocks.items()}
    coef = jax.ShapeDtypeStruct((len(pool.tasks), len(blocks)), jnp.float32)
    batches = jax.ShapeDtypeStruct((preset.few_shot.steps, preset.few_shot.batch_size, side, side, channels), jnp.float32)
    labels = jax.ShapeDtypeStruct(batches.shape[:2], jnp.int32)

    def adapt(params, head, tvs, coef, images, labels):
        loss = lambda p, b: smoothed_cross_entropy(network.logits(p, head, b[0]), b[1])  # noqa: E731
        return learn_coefficients(loss, params, tvs, (images, labels), coef=coef, epochs=preset.few_shot.epochs)

    learned = jax.eval_shape(adapt, params, head, tvs, coef, batches, labels)
    assert learned.value.shape == coef.shape
    assert learned.losses.shape == (preset.few_shot.steps,)
    size = sum(math.prod(x.shape) for x in blocks.values())
    assert size > 8e7 if name == "paper" else size < 1e6


def test_the_identity_holds():
    assert run(paper, claims=["A1"]).as_expected


def test_the_example_of_the_readme_runs(capsys):
    text = (Path(__file__).parents[2] / "papers/atlas/README.md").read_text(encoding="utf-8")
    code = re.search(r"```python\n(.*?)```", text, re.S)[1]
    exec(code, {})
    promised = re.findall(r"^print\(.*#\s(.*)$", code, re.M)
    assert capsys.readouterr().out.strip().splitlines() == [line.strip() for line in promised]


# --- Errors ---


def test_errors(as_installed):
    other = TaskVector({"w": jnp.zeros((3, 4))})
    nan = np.full((2, 2), np.nan, np.float32)
    part = random_masks(KEY, BASE, 2)
    features, labels = normal(4, 3), np.array([0, 1, 0, 1])
    for match, call in (
        ("tuned lacks b, step2", lambda: TaskVector.from_params(BASE | {"step2": np.ones(1)}, {"w": BASE["w"]})),
        ("different shapes: w", lambda: TaskVector.from_params(BASE, BASE | {"w": np.ones((4, 3))})),
        ("has no block", lambda: TaskVector.from_params({"n": np.array(1)}, {"n": np.array(1)})),
        ("other lacks b", lambda: VECTORS[0] + other),
        ("other lacks b", lambda: VECTORS[0].dot(other)),
        ("this vector lacks b", lambda: other.apply(BASE)),
        ("stacked holds", lambda: cosine_matrix({"w": np.ones((0, 3))})),
        ("vectors is empty", lambda: stack_task_vectors([])),
        ("tvs holds", lambda: compose(BASE, {}, np.zeros((0, 0), np.float32))),
        ("tvs holds", lambda: combine({"w": np.zeros((0, 3))}, np.zeros((0, 1), np.float32))),
        (r"coef has shape \(3, 2\)", lambda: compose(BASE, TVS, np.zeros((3, 2), np.float32))),
        ("coef has 4 numbers that are not finite", lambda: compose(BASE, TVS, nan)),
        ("base lacks", lambda: compose({"w": BASE["w"]}, TVS, np.zeros(2, np.float32))),
        ("with K at least 1", lambda: combine_partitioned(TVS, np.zeros((2, 2, 0), np.float32), part)),
        ("parts are -1 to 0", lambda: combine_partitioned(TVS, np.zeros((2, 2, 1), np.float32), part)),
        ("parts is 0", lambda: random_masks(KEY, BASE, 0)),
        ("deltas lacks b", lambda: linearized_apply(lambda p, x: x, BASE, {"w": BASE["w"]}, 1.0)),
        ("p is 0", lambda: lp_penalty(nan, 0.0)),
        ("coef has shape", lambda: lp_penalty(np.zeros(3, np.float32))),
        (r"must be \[n, c\]", lambda: ufm_loss(nan, nan, nan[:1], np.zeros(2, bool), 0.5)),
        ("logits has shape", lambda: trusted_labels(np.zeros((0, 3), np.float32))),
        ("per_class is 0", lambda: trusted_labels(features, 0)),
        ("logits has shape", lambda: entropy(np.zeros((0, 3), np.float32))),
        ("epochs must divide", lambda: learn(lambda x, b: x, jnp.zeros(()), jnp.zeros(5), lr=0.1, epochs=2)),
        ("lr is 0", lambda: learn(lambda x, b: x, jnp.zeros(()), jnp.zeros(5), lr=0.0)),
        ("tvs holds", lambda: learn_coefficients(lambda p, b: p["w"].sum(), BASE, {}, jnp.zeros(5))),
        ("budget is 6", lambda: select_blocks(features, 6)),
        ("not finite", lambda: select_blocks(nan, 1)),
        ("rank is 0", lambda: lora_start(KEY, BASE, 0)),
        ("no matrix", lambda: lora_start(KEY, {"b": np.ones(3)}, 1)),
        ("dim is 17", lambda: random_subspace(KEY, BASE, 17)),
        ("it needs two", lambda: disentanglement_error(lambda d, x: x, {"w": np.ones((3, 2))}, (0, 0), np.ones((1, 2)))),
        ("need equally many", lambda: tip_adapter(features, features, labels[:2])),
        ("labels runs from 0 to 1", lambda: tip_adapter(features, features[:, :1], labels)),
        ("lacks class 2", lambda: lp_plus_plus(features, np.ones((3, 3), np.float32), labels)),
        ("shots is 3", lambda: few_shots(labels, 3, KEY)),
        ("smallest is 0", lambda: cropped(np.ones((1, 4, 4, 1), np.float32), KEY, smallest=0, flip=False)),
        ("image_set is 'cats'", lambda: load_family("cats", ("plain",), 3)),
        ("domains holds upside", lambda: load_family("digits", ("upside",), 3)),
        ("num_validation is 0", lambda: load_family("digits", ("plain",), 0)),
        ("epochs must divide", lambda: Search(10, 5, 3)),
        ("distractors is", lambda: replace(SMALL, distractors=("invert",))),
        ("fractions is", lambda: replace(SMALL, fractions=(0.0,))),
        ("patch_size is 3", lambda: build(ViT(8, 1, 1, 3), (8, 8, 1), 10, rngs=nnx.Rngs(0))),
    ):
        with pytest.raises(ValueError, match=match):
            call()


def test_arrays_of_numpy_in_float64_are_taken():
    base, tuned = ({"w": RNG.normal(size=(3, 2)), "b": RNG.normal(size=2)} for _ in range(2))
    vector = TaskVector.from_params(base, tuned)
    tvs = {name: np.asarray(x, np.float64)[None] for name, x in vector.deltas.items()}
    for found in (vector.apply(base), compose(base, tvs, np.ones((1, 2)))):
        np.testing.assert_allclose(found["w"], tuned["w"], atol=1e-6)
    masks = random_masks(KEY, base, 2)
    np.testing.assert_allclose(compose_partitioned(base, tvs, np.ones((1, 2, 2)), masks)["b"], tuned["b"], atol=1e-6)
    lora_apply(base, lora_start(KEY, base, 1))
    subspace_apply(base, random_subspace(KEY, base, 2), np.zeros(2))
    float(cosine_matrix(tvs)[0, 0])
