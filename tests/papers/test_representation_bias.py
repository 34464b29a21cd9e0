"""Representation biases: golden parity, generators, measures, networks, training, studies in small, presets, errors."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from quire.common.claims import run
from quire.common.testing import (
    assert_close,
    assert_degenerate,
    assert_dtypes,
    assert_equivariant,
    assert_jit_consistent,
    assert_matches_float64,
    assert_vmap_consistent,
)
from quire.representation_bias import (
    CONDITIONS,
    MLP,
    PRESETS,
    Condition,
    ConvNet,
    FeatureDecoder,
    FeatureEncoder,
    FeatureSpec,
    Images,
    Perceptrons,
    Readout,
    Transformers,
    classifier_preference,
    components,
    dense_units,
    feature_loss,
    feature_values,
    flip_scale,
    flip_strength,
    joint_variance_explained,
    off_target_flips,
    orthogonal_code,
    paper,
    pca_decode,
    random_bits,
    rdm,
    rsa,
    rsa_matrix,
    sample_binary,
    sample_shape_color,
    stack_features,
    steering_direction,
    study,
    total_variance,
    train_convnets,
    train_decoder,
    train_encoder,
    unit_variance_explained,
    variance_explained,
)
from quire.representation_bias import images as image_module
from quire.representation_bias import perceptrons as perceptron_module
from quire.representation_bias import transformers as transformer_module
from quire.representation_bias.networks import class_logits, initial_state
from quire.representation_bias.perceptrons import mean_similarities, order_effects
from quire.representation_bias.training import train_multi_feature

RNG = np.random.default_rng(0)
KEY = jax.random.key(0)
PRECISIONS = pytest.mark.parametrize(("x64", "tolerance"), [(True, 1e-10), (False, 1e-4)], ids=["float64", "float32"])


def parts(g, dtype):
    """Representations and features to fit on, and to test on."""
    n = int(g["n_fit"])
    rep, features = g["rep"].astype(dtype), g["features"].astype(dtype)
    return rep[:n], features[:n], rep[n:], features[n:]


@pytest.fixture(scope="module")
def g(golden):
    return golden("representation_bias")


# --- Golden vectors ---

SPECS = {
    "copy": FeatureSpec("copy", (0,)),
    "xor2": FeatureSpec("xor2", (4, 5)),
    "parity4": FeatureSpec("parity", (4, 5, 6, 7)),
    "majority3": FeatureSpec("majority", (0, 1, 2)),
    "summod4": FeatureSpec("sum_mod_4", tuple(range(4, 10))),
    "threshold": FeatureSpec("threshold", tuple(range(8)), threshold=4),
}


def test_golden_features(g):
    bits = g["bits"]
    found = feature_values(stack_features(list(SPECS.values()), bits.shape[1], allow_overlap=True), bits)
    names = {name[2:] for name in g.arrays if name.startswith("f_")}
    assert names == set(SPECS)
    for column, name in zip(np.asarray(found).T, SPECS, strict=True):
        np.testing.assert_array_equal(column, g[f"f_{name}"])


@PRECISIONS
def test_golden_variance(g, x64, tolerance):
    with jax.enable_x64(x64):
        args = parts(g, np.float64 if x64 else np.float32)
        assert_close(variance_explained(*args), g["r2_pooled"], tolerance)
        assert_close(variance_explained(*args, reduction="ratio"), g["r2_mean_of_ratios"], tolerance)
        assert_close(unit_variance_explained(*args), g["r2_per_unit"], tolerance)
        assert_close(joint_variance_explained(*args), g["r2_joint"], tolerance)


@PRECISIONS
def test_golden_components(g, x64, tolerance):
    with jax.enable_x64(x64):
        args = parts(g, np.float64 if x64 else np.float32)
        axes, ratio = components(args[0])
        assert_close(ratio, g["pca_ratio"], tolerance)
        assert_close(np.abs(axes.axes), g["pca_abs_components"], tolerance if x64 else 1e-2)  # close variances turn the axes
        ks = range(1, len(g["pca_decode_r2"]) + 1)
        assert_close(pca_decode(*args, ks), g["pca_decode_r2"], tolerance)


@PRECISIONS
def test_golden_rsa(g, x64, tolerance):
    a, b = (g[name].astype(np.float64 if x64 else np.float32) for name in ("rsa_a", "rsa_b"))
    for metric, name in (("euclidean", "rsa_euclid"), ("correlation", "rsa_corr")):
        assert_close(rsa(a, b, metric), g[name], tolerance)


@PRECISIONS
def test_golden_steering(g, x64, tolerance):
    with jax.enable_x64(x64):
        dtype = np.float64 if x64 else np.float32
        rep = g["rep"].astype(dtype)
        delta = steering_direction(rep, g["features"][:, int(g["causal_feature"])] > 0)
        assert_close(delta, g["causal_delta"], tolerance)
        readout = Readout(g["causal_readout_w"].astype(dtype), g["causal_readout_b"].astype(dtype))
        scale = flip_scale(readout, rep, g["causal_delta"].astype(dtype))
        assert_close(scale, g["causal_flip_scale"], tolerance)


@PRECISIONS
def test_golden_exact_code(g, x64, tolerance):
    with jax.enable_x64(x64):
        rep, states = (g[name].astype(np.float64 if x64 else np.float32) for name in ("exact_rep", "exact_states"))
        assert_close(variance_explained(rep, states, rep, states), g["exact_r2"], tolerance)
        np.testing.assert_allclose(g["exact_amp"] ** 2 / np.sum(g["exact_amp"] ** 2), g["exact_r2"], rtol=1e-10)


def test_every_golden_array_is_compared(g):
    inputs = {"bits", "rep", "features", "n_fit", "rsa_a", "rsa_b", "causal_feature", "causal_readout_w", "causal_readout_b"}
    inputs |= {"exact_states", "exact_rep"}
    outputs = {"r2_pooled", "r2_mean_of_ratios", "r2_joint", "r2_per_unit", "pca_ratio", "pca_abs_components", "pca_decode_r2"}
    outputs |= {"rsa_euclid", "rsa_corr", "causal_delta", "causal_flip_scale", "exact_amp", "exact_r2"}
    assert set(g.arrays) == inputs | outputs | {f"f_{name}" for name in SPECS}


# --- Features ---

BALANCED = [
    FeatureSpec("copy", (0,)),
    FeatureSpec("xor2", (1, 2)),
    FeatureSpec("parity", (3, 4, 5)),
    FeatureSpec("majority", (6, 7, 8)),
]


def test_features_are_balanced_and_independent():
    for spec in BALANCED:
        np.testing.assert_allclose(spec.probabilities(), [0.5, 0.5])
    x, f = (np.asarray(a) for a in sample_binary(KEY, 20_000, BALANCED, 40))
    assert np.isin(x, (0, 1)).all() and abs(x.mean(0) - 0.5).max() < 0.02
    assert abs(f.mean(0) - 0.5).max() < 0.02 and np.abs(np.corrcoef(f.T) - np.eye(4)).max() < 0.03


@settings(max_examples=20, deadline=None)
@given(st.integers(3, 8), st.integers(0, 2**32 - 1))
def test_tables_are_the_definitions(size, seed):
    bits = np.random.default_rng(seed).integers(0, 2, (6, size)).astype(np.uint8)
    group = tuple(range(size))
    specs = [FeatureSpec(kind, group) for kind in ("parity", "majority", "sum_mod_4")] + [FeatureSpec("threshold", group, 1)]
    found = np.asarray(feature_values(stack_features(specs, size, allow_overlap=True), bits))
    total = bits.sum(1)
    np.testing.assert_array_equal(found, np.stack([total % 2, 2 * total > size, total % 4, total > 1], axis=1))
    for spec in specs:
        values = spec.table()[[bin(i).count("1") for i in range(2**size)]]
        np.testing.assert_allclose(spec.probabilities(), np.bincount(values, minlength=spec.num_classes) / 2**size)


def test_slots_without_a_feature_are_constant():
    features = stack_features(BALANCED[:2], 9, slots=3)
    assert features.classes.tolist() == [2, 2, 1]
    values = feature_values(features, random_bits(KEY, 5, 9))
    assert not values[:, 2].any() and values.shape == (5, 3)


def test_coloured_shapes_have_independent_labels():
    images, labels = sample_shape_color(KEY, 2000, 6)
    assert images.shape == (2000, 6, 6, 3) and images.dtype == np.float32
    joint = np.histogram2d(*labels.T, bins=4)[0] / 2000
    assert np.abs(joint - 1 / 16).max() < 0.03


# --- Variance explained ---

PHI, F = RNG.normal(size=(60, 5)).astype(np.float32), RNG.integers(0, 2, (60, 2)).astype(np.float32)
PHI += 2 * F[:, :1]


def halves(phi=PHI, f=F):
    return phi[:30], f[:30], phi[30:], f[30:]


def test_variance_is_that_of_regressions():
    phi, f, psi, g = (x.astype(np.float64) for x in halves())
    expected = []
    for i in range(2):
        weights, *_ = np.linalg.lstsq(np.stack([f[:, i], np.ones(30)], axis=1), phi)
        residual = psi - np.stack([g[:, i], np.ones(30)], axis=1) @ weights
        expected.append(1 - np.sum(residual**2) / np.sum((psi - phi.mean(0)) ** 2))
    np.testing.assert_allclose(variance_explained(*halves()), expected, atol=1e-5)


def test_classes_predict_their_means():
    as_classes = variance_explained(*halves(f=F.astype(np.int32)), num_classes=2)
    np.testing.assert_allclose(as_classes, variance_explained(*halves()), atol=1e-5)  # two classes are one number
    labels = RNG.integers(0, 3, (60, 1)).astype(np.int32)
    phi, f, psi, g = halves(f=labels)
    means = np.stack([phi[f[:, 0] == c].mean(0) for c in range(3)])
    expected = 1 - np.sum((psi - means[g[:, 0]]) ** 2) / np.sum((psi - phi.mean(0)) ** 2)
    np.testing.assert_allclose(variance_explained(phi, f, psi, g, num_classes=3), [expected], atol=1e-5)


def test_unit_shares_and_curves_fit_together():
    phi, f, psi, g = halves()
    shares = variance_explained(phi, f, psi, g)
    units, variances = np.asarray(unit_variance_explained(phi, f, psi, g)), np.mean((psi - phi.mean(0)) ** 2, axis=0)
    np.testing.assert_allclose(units @ variances / variances.sum(), shares, atol=1e-5)
    total = float(total_variance(phi, psi))
    np.testing.assert_allclose(total, variances.sum(), rtol=1e-5)
    np.testing.assert_allclose(variance_explained(phi, f, psi, g, denom=2 * total), shares / 2, rtol=1e-4)


def test_shares_do_not_depend_on_units_or_coding():
    turn = np.linalg.qr(RNG.normal(size=(5, 5)))[0].astype(np.float32)
    args = tuple(jnp.asarray(x) for x in halves())
    rotated = lambda g, x: (g * x @ turn + 3) if x.shape[1] == 5 else 2 * x - 1  # noqa: E731
    assert_equivariant(variance_explained, *args, elements=[1.0, 7.0], act_in=rotated, tolerance=1e-4)


def test_held_out_shares_may_be_negative_and_fitting_rows_flatter():
    noise, f = RNG.normal(size=(2000, 3)), RNG.integers(0, 2, (2000, 1)).astype(float)
    shares = [float(variance_explained(noise[i : i + 10], f[i : i + 10], noise[1000:], f[1000:])[0]) for i in range(0, 200, 10)]
    same = [
        float(variance_explained(noise[i : i + 10], f[i : i + 10], noise[i : i + 10], f[i : i + 10])[0])
        for i in range(0, 200, 10)
    ]
    assert np.mean(shares) < -0.02 and abs(np.mean(same) - 1 / 9) < 0.06  # m / n of rows that were fitted


def test_variance_of_degenerate_inputs_dtypes_jit_and_vmap():
    both = lambda *args: (variance_explained(*args), variance_explained(*args, reduction="ratio"), unit_variance_explained(*args))  # noqa: E731
    args = halves()
    assert_degenerate(both, *args, differentiable=False, jit=False)
    frozen = lambda a, b: variance_explained(a, F[:30], b, F[30:], reduction="ratio")  # noqa: E731
    assert_degenerate(frozen, PHI[:30], PHI[30:], axes=(), differentiable=False)
    assert_dtypes(lambda a, b: variance_explained(a, F[:30], b, F[30:]), PHI[:30], PHI[30:])
    assert_jit_consistent(variance_explained, *args)
    assert_vmap_consistent(variance_explained, *(np.stack([x, x[::-1]]) for x in args))
    assert_matches_float64(lambda a, b: variance_explained(a, F[:30], b, F[30:]), PHI[:30] + 1e3, PHI[30:] + 1e3)


# --- Components, similarity, steering, classifiers ---


def test_components_hold_what_varies_most():
    code = orthogonal_code([3.0, 1.0], 6, RNG)
    axes, ratio = components(code.rep)
    np.testing.assert_allclose(ratio[:2], code.shares, atol=1e-6)
    f = (code.states + 1) / 2
    np.testing.assert_allclose(pca_decode(code.rep, f, code.rep, f, [1, 2]), [[1, 0], [1, 1]], atol=1e-6)
    content = unit_variance_explained(axes.project(code.rep)[:, :2], f, axes.project(code.rep)[:, :2], f)
    np.testing.assert_allclose(content, np.eye(2), atol=1e-5)
    assert dense_units(np.array([[0.5, 0.05], [0.0, 0.2]])).tolist() == [0.5, 0.5]


def test_similarity_ignores_rotation_and_scale_and_matches_its_matrix():
    a, b = RNG.normal(size=(12, 4)), RNG.normal(size=(12, 4))
    turn = np.linalg.qr(RNG.normal(size=(4, 4)))[0]
    assert rsa(a, 3 * a @ turn) == pytest.approx(1) and abs(rsa(a, b)) < 0.5
    np.testing.assert_allclose(rsa_matrix(np.stack([a, b]))[0, 1], rsa(a, b), atol=1e-12)
    np.testing.assert_allclose(rdm(a), rdm(a).T)
    np.testing.assert_allclose(rdm(a, "correlation")[0, 1], 1 - np.corrcoef(a[0], a[1])[0, 1])


def test_similarities_leave_out_pairs_of_one_seed():
    reps = RNG.normal(size=(2, 10, 3))
    found = mean_similarities({"a": reps, "b": reps[::-1]})
    np.testing.assert_allclose(found["a, b"], [1, 1])  # network 0 of a with network 1 of b
    np.testing.assert_allclose(found["a, a"], np.full(2, rsa(reps[0], reps[1])), atol=1e-12)
    assert np.isnan(mean_similarities({"a": reps[:1]})["a, a"]).all()


def test_pushes_flip_what_they_should():
    rep, f = PHI, F[:, 0].astype(np.int32)
    delta = steering_direction(rep, f)
    np.testing.assert_allclose(delta, rep[f == 1].mean(0) - rep[f == 0].mean(0), atol=1e-5)
    readout, other = Readout(np.asarray(delta), -1.0), Readout(RNG.normal(size=5).astype(np.float32), 0.1)
    scale = np.asarray(flip_scale(readout, rep, delta))
    score = lambda r, x: x @ r.weights + r.bias  # noqa: E731
    over = rep + (1.01 * scale[:, None]) * np.asarray(delta)
    assert ((score(readout, over) > 0) != (score(readout, rep) > 0)).all()
    length = np.median(np.abs(scale)) * np.linalg.norm(delta)
    np.testing.assert_allclose(flip_strength(readout, rep, delta), length, rtol=1e-5)
    moved = rep + scale[:, None] * np.asarray(delta)
    expected = np.mean((score(other, moved) > 0) != (score(other, rep) > 0))
    np.testing.assert_allclose(off_target_flips(readout, other, rep, delta), expected, atol=1e-6)
    assert float(off_target_flips(readout, Readout(np.zeros(5, np.float32), 1.0), rep, delta)) == 0


def test_steering_of_degenerate_inputs_and_dtypes():
    f = F[:, 0].astype(np.int32)
    weights = RNG.normal(size=5).astype(np.float32)
    push = lambda rep, delta: flip_scale(Readout(weights, 0.5), rep, delta)  # noqa: E731
    assert_degenerate(push, PHI, PHI[0], axes=(), jit=False, scales=(1e-6, 1e6))
    assert_dtypes(lambda rep: steering_direction(rep, f), PHI)
    assert_jit_consistent(push, PHI, PHI[0])
    assert_vmap_consistent(push, np.stack([PHI, 2 * PHI]), np.stack([PHI[0], PHI[1]]))


def test_a_classifier_follows_the_stronger_feature():
    bits = RNG.integers(0, 2, (300, 2))
    assert classifier_preference(bits * np.array([9.0, 1.0]), bits[:, 0], bits[:, 1], num_train=50) == 1
    assert classifier_preference(bits * np.array([1.0, 9.0]), bits[:, 0], bits[:, 1]) == 0


# --- Networks and training ---


def test_representations_are_what_the_outputs_are_linear_in():
    x = np.asarray(random_bits(KEY, 6, 8))
    for model in (MLP(8, (5, 7), 2, 4, rngs=nnx.Rngs(0)), FeatureEncoder(8, 2, 4, dim=8, depth=1, num_heads=2, rngs=nnx.Rngs(0))):
        out = model(jnp.asarray(x))
        assert out.logits.shape == (6, 2, 3)
        np.testing.assert_allclose(model.head(out.hidden[-1]).reshape(6, 2, 3), out.logits, atol=1e-5)


def test_dropout_scales_and_only_with_noise():
    model, x = MLP(4, (400,), 1, rngs=nnx.Rngs(0)), jnp.ones((3, 4))
    noise = jnp.asarray(RNG.uniform(size=(1, 3, 400)), jnp.float32)
    full, dropped = model(x).hidden[0], model(x, noise, 0.5).hidden[0]
    kept = np.asarray(noise[0] >= 0.5)
    np.testing.assert_allclose(dropped, np.where(kept, 2 * full, 0), rtol=1e-5)


def test_skips_are_what_makes_a_network_residual():
    model = ConvNet((4,), 1, 2, 4, rngs=nnx.Rngs(0))
    images = jnp.asarray(RNG.uniform(size=(2, 8, 8, 3)), jnp.float32)
    for convolution in model.blocks[0]:
        convolution.kernel[...] = jnp.zeros_like(convolution.kernel[...])
    assert not model(images, 0.0).hidden[0].any() and model(images, 1.0).hidden[0].any()


def test_a_decoder_sees_no_feature_before_it_is_emitted():
    model = FeatureDecoder(4, 3, dim=8, depth=1, num_heads=2, rngs=nnx.Rngs(0))
    x = random_bits(KEY, 5, 4)
    features = jnp.zeros((5, 3), jnp.int32)
    base, changed = model(x, features), model(x, features.at[:, 1].set(1))
    np.testing.assert_allclose(base.logits[:, :2], changed.logits[:, :2], atol=1e-6)
    assert np.abs(base.logits[:, 2] - changed.logits[:, 2]).max() > 1e-4
    np.testing.assert_allclose(base.hidden[0], changed.hidden[0], atol=1e-6)
    emitted = jax.jit(FeatureDecoder.decode)(model, x)
    np.testing.assert_array_equal(emitted, model(x, emitted).logits[:, :, 0] > 0)


def test_the_loss_is_a_sigmoid_for_two_classes_and_knows_no_missing_ones():
    logits = jnp.asarray(RNG.normal(size=(6, 2, 3)), jnp.float32)
    labels = np.stack([RNG.integers(0, 2, 6), RNG.integers(0, 4, 6)], axis=1).astype(np.int32)
    out = type(MLP(2, (2,), 1, rngs=nnx.Rngs(0))(jnp.ones((1, 2))))(logits, ())
    z = np.asarray(logits)
    binary = np.mean(np.logaddexp(0, z[:, 0, 0]) - labels[:, 0] * z[:, 0, 0])
    full = np.concatenate([np.zeros((6, 1)), z[:, 1]], axis=1)
    four = np.mean(np.log(np.exp(full).sum(1)) - full[np.arange(6), labels[:, 1]])
    classes = np.array([2, 4], np.int32)
    np.testing.assert_allclose(feature_loss(out, labels, classes, np.ones((1, 2), np.float32)), binary + four, rtol=1e-5)
    np.testing.assert_allclose(feature_loss(out, labels, classes, np.array([[1.0, 0.0]], np.float32)), binary, rtol=1e-5)
    assert (np.asarray(class_logits(logits, classes)).argmax(-1)[:, 0] < 2).all()


SMALL = Perceptrons(
    width=8, wide=9, deep=3, steps=60, batch=32, snapshots=2, num_eval=64, num_rsa=20, num_classifier=10, rate=0.2
)
PLAN = {
    name: (
        CONDITIONS
        | {"short": Condition(CONDITIONS["joint"].specs, depth=1), "thin": Condition(CONDITIONS["joint"].specs, width=0.5)}
    )[name]
    for name in ("joint", "easy alone", "rare", "short", "thin")
}


@pytest.fixture(scope="module")
def small():
    return study(SMALL, PLAN, [jax.random.key(1), jax.random.key(2)], depth=2, width=8)


def test_conditions_train_side_by_side(small):
    assert small.trained.losses.shape == (2, 5, 60) and small.scores.shares().shape == (2, 5, 2, 2)
    assert small.scores.curves().shape == (2, 5, 3, 2)
    assert small.trained.losses[:, :, -5:].mean() < small.trained.losses[:, :, :5].mean()
    accuracy = small.scores.accuracy[:, small.names.index("easy alone"), -1]
    assert accuracy[:, 0].min() > 0.9 and accuracy[:, 1].max() < 0.8  # what has no weight is not learned


def test_a_seed_gives_the_same_numbers_alone(small):
    alone = study(SMALL, {"joint": PLAN["joint"]}, [jax.random.key(2)], depth=2, width=8)
    np.testing.assert_allclose(alone.trained.losses[0, 0], small.trained.losses[1, 0], rtol=2e-3, atol=2e-3)


def test_smaller_networks_are_parts_of_larger_ones(small):
    short, thin = (small.trained.at(0, small.names.index(name)) for name in ("short", "thin"))
    np.testing.assert_array_equal(short.hidden[1].kernel[...], np.eye(8))
    out = short(jnp.asarray(small.test))
    np.testing.assert_allclose(out.hidden[0], out.hidden[1], atol=1e-5)
    first = small.trained.at(0, small.names.index("thin"), 0)
    for model in (first, thin):
        assert not np.asarray(model(jnp.asarray(small.test)).hidden[1])[:, 4:].any()
    assert np.abs(np.asarray(thin.hidden[0].kernel[...] - first.hidden[0].kernel[...]))[:, :4].max() > 1e-3


def test_absent_features_are_masked_or_constant():
    draws = partial(perceptron_module.draw, SMALL, 2, None)
    batch = draws(KEY, None, jnp.asarray(0))
    assert batch.x.shape == (32, 16) and batch.noise is None
    model = MLP(16, (8,), 2, rngs=nnx.Rngs(0))
    values = {}
    for absent in ("masked", "constant"):
        task = jax.tree.map(jnp.asarray, perceptron_module.binary_task(replace(CONDITIONS["rare"], absent=absent), SMALL, 2))
        values[absent] = float(perceptron_module.loss(model, batch, task, jnp.asarray(0)))
    keep, features = np.asarray(batch.present)[:, 1] < 0.3, stack_features(CONDITIONS["rare"].specs, 16)
    losses = lambda x, w: float(feature_loss(model(x), feature_values(features, x), features.classes, w))  # noqa: E731
    masked = losses(batch.x, np.stack([np.ones(32), keep], axis=1).astype(np.float32))
    x = np.array(batch.x)
    x[np.ix_(~keep, CONDITIONS["rare"].specs[1].inputs)] = 0
    np.testing.assert_allclose(values["masked"], masked, rtol=1e-5)
    np.testing.assert_allclose(values["constant"], losses(jnp.asarray(x), np.ones((1, 2), np.float32)), rtol=1e-5)


def test_phases_are_equal_parts_of_the_steps():
    task = perceptron_module.binary_task(CONDITIONS["easy first"], replace(SMALL, steps=7), 3)
    assert task.weights.tolist() == [[1, 0, 0]] * 4 + [[1, 1, 0]] * 3


def test_initial_weights_have_the_variance_of_their_fan_in():
    _, state = initial_state(lambda rngs: MLP(16, (300, 200), 2, rngs=rngs), KEY)
    kernels = [state["hidden"][i]["kernel"][...] for i in (0, 1)]
    np.testing.assert_allclose([k.std() * len(k) ** 0.5 for k in kernels], 1, rtol=0.05)
    assert not np.asarray(state["head"]["bias"][...]).any()


def test_order_effects_in_standard_errors():
    gaps = {"joint": np.array([1.0, 2.0]), "easy first": np.array([2.0, 5.0]), "hard first": np.array([1.0, 1.0])}
    found = order_effects(gaps)
    np.testing.assert_allclose(found["(easy first - joint) / s.e."], [2, 2])  # mean 2, s.e. 1
    assert np.isnan(order_effects({k: v[:1] for k, v in gaps.items()})["(hard first) / s.e."]).all()


def test_the_other_families_train():
    decoder = train_decoder(Transformers(2, dim=8, depth=1, steps=20, batch=16, num_eval=40), [KEY])
    assert decoder.shares().shape == (1, 2, 2, 2) and np.isfinite(decoder.shares()).all()
    encoder = train_encoder(Transformers(2, dim=8, depth=1, steps=20, batch=16, num_eval=40), [KEY])
    assert encoder.shares().shape == (1, 1, 2, 2)
    nets = train_convnets(Images(6, (4,), 1, num_train=50, num_eval=40, steps=5, batch=8), [KEY])
    assert nets.shares().shape == (1, 2, 1, 2) and np.isfinite(nets.shares()).all()


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_traced(name):
    preset = PRESETS[name]
    p, t, i = preset.perceptrons, preset.transformers, preset.images
    assert max(max(s.inputs) for c in CONDITIONS.values() for s in c.specs) < p.dim
    shapes = jax.eval_shape(lambda x: MLP(p.dim, (p.width,) * p.deep, 2, rngs=nnx.Rngs(0))(x), jnp.zeros((3, p.dim)))
    assert shapes.logits.shape == (3, 2, 1) and len(shapes.hidden) == p.deep
    bits, features = jnp.zeros((3, 2 * t.num_features)), jnp.zeros((3, t.num_features), jnp.int32)
    shapes = jax.eval_shape(lambda x, f: transformer_module.build_decoder(t, nnx.Rngs(0))(x, f), bits, features)
    assert shapes.logits.shape == (3, t.num_features, 1)
    assert jax.eval_shape(lambda x: transformer_module.build_encoder(t, nnx.Rngs(0))(x), bits).logits.shape == (3, 2, 1)
    images = jnp.zeros((2, i.size, i.size, 3))
    assert jax.eval_shape(lambda x: image_module.build_convnet(i, nnx.Rngs(0))(x, 1.0), images).logits.shape == (2, 2, 3)


def test_the_identities_hold():
    assert run(paper, claims=["R1"], seeds=1).as_expected


# --- Errors ---


def test_errors(as_installed):
    phi, f, psi, g = halves()
    bits = RNG.integers(0, 2, (20, 2))
    for match, call in (
        ("kind is 'and'", lambda: FeatureSpec("and", (0, 1))),
        ("needs different bits", lambda: FeatureSpec("xor2", (0, 0))),
        ("needs different bits", lambda: FeatureSpec("copy", ())),
        ("needs one, no other", lambda: FeatureSpec("threshold", (0, 1))),
        ("threshold is 2", lambda: FeatureSpec("threshold", (0, 1), threshold=2)),
        ("share bit 1", lambda: stack_features([FeatureSpec("copy", (1,)), FeatureSpec("xor2", (1, 2))], 4)),
        ("only 4 bits", lambda: stack_features([FeatureSpec("copy", (4,))], 4)),
        ("specs holds 0", lambda: stack_features([], 4)),
        ("other than 0 and 1", lambda: feature_values(stack_features([FeatureSpec("copy", (0,))], 2), 3 * bits)),
        (r"need \[n, 3\]", lambda: feature_values(stack_features([FeatureSpec("copy", (0,))], 3), bits)),
        ("n is -1", lambda: sample_binary(KEY, -1, [FeatureSpec("copy", (0,))], 3)),
        ("have shapes", lambda: variance_explained(phi, f[:-1], psi, g)),
        ("more rows than features", lambda: variance_explained(phi[:2], f[:2], psi, g)),
        ("feature 1 is constant", lambda: variance_explained(phi, f * np.array([1, 0]), psi, g)),
        ("reduction is 'mean'", lambda: variance_explained(phi, f, psi, g, reduction="mean")),
        ("without denom", lambda: variance_explained(phi, f, psi, g, reduction="ratio", denom=1.0)),
        ("denom is 0", lambda: variance_explained(phi, f, psi, g, denom=0.0)),
        ("feat_fit runs from", lambda: variance_explained(phi, 3 * f.astype(int), psi, g.astype(int), num_classes=3)),
        ("test examples is 0", lambda: unit_variance_explained(phi, f, psi[:0], g[:0])),
        ("rep is constant", lambda: components(np.ones((4, 2)))),
        ("k is 9", lambda: pca_decode(phi, f, psi, g, [9])),
        ("constant on the test rows", lambda: pca_decode(phi, f, psi, g * 0, [1])),
        ("metric is 'cosine'", lambda: rsa(phi, phi, "cosine")),
        ("the same inputs", lambda: rsa(phi, psi[:-1])),
        ("row 0 of rep is constant", lambda: rdm(np.ones((3, 2)), "correlation")),
        ("not finite", lambda: rdm(np.full((3, 2), np.nan))),
        ("both 0 and 1", lambda: steering_direction(phi, np.zeros(30, int))),
        ("orthogonal to the weights", lambda: flip_scale(Readout(np.eye(5)[0], 0.0), phi, np.eye(5)[1])),
        ("rep has no rows", lambda: flip_strength(Readout(np.eye(5)[0], 0.0), phi[:0], np.eye(5)[0])),
        ("they need", lambda: flip_scale(Readout(np.eye(5)[0], 0.0), phi, np.ones(4))),
        ("at least 1 are needed", lambda: classifier_preference(bits, bits[:, 0], bits[:, 0])),
        ("at least 1 are needed", lambda: classifier_preference(bits, bits[:, 0], bits[:, 1], num_train=100)),
        ("other labels", lambda: classifier_preference(bits, 2 * bits[:, 0], bits[:, 1])),
        ("threshold is 0", lambda: dense_units(np.ones((1, 2)), 0.0)),
        ("dim is 1", lambda: orthogonal_code([1.0, 2.0], 1, RNG)),
        ("phases is", lambda: Condition(CONDITIONS["joint"].specs, phases=((1.0,),))),
        ("prevalence is", lambda: Condition(CONDITIONS["joint"].specs, prevalence=(1.0, 0.0))),
        ("absent is", lambda: Condition(CONDITIONS["joint"].specs, absent="gone")),
        ("dropout is 1", lambda: Condition(CONDITIONS["joint"].specs, dropout=1.0)),
        (
            "depth of condition",
            lambda: study(SMALL, {"x": Condition(CONDITIONS["joint"].specs, depth=3)}, [KEY], depth=2, width=8),
        ),
        ("must divide steps", lambda: study(replace(SMALL, snapshots=7), PLAN, [KEY], depth=2, width=8)),
        ("number of seeds is 0", lambda: train_multi_feature([], None, None, [None], steps=1)),
        ("dim is 8", lambda: Perceptrons(dim=8)),
        ("hidden layers is 0", lambda: MLP(2, (), 1, rngs=nnx.Rngs(0))),
        ("num_classes is 1", lambda: MLP(2, (2,), 1, 1, rngs=nnx.Rngs(0))),
    ):
        with pytest.raises(ValueError, match=match):
            call()
