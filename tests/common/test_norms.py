"""Conformance of every normaliser, and what is particular to each; dropout of whole branches."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from quire.common.layers.dropout import drop_path
from quire.common.layers.norm_conformance import CHECKS, FEATURES, Normaliser
from quire.common.layers.norms import BatchNorm, fold_batchnorm, group_norm, layer_norm, moments, rms_norm
from quire.common.testing import assert_gradients, assert_matches_float64

# --- Normalisers: each is a line here, or a test of its paper, and passes the same checks ---


def function(norm):
    """A function of x alone as a layer."""
    return lambda axis_name=None: lambda x, train: norm(x)


NORMS = {
    "layer norm": Normaliser(function(layer_norm), centres=(-1,)),
    "layer norm over space": Normaliser(function(lambda x: layer_norm(x, tuple(range(1, x.ndim)))), centres=(1, 2, 3)),
    "RMS norm": Normaliser(function(rms_norm)),
    "group norm": Normaliser(function(lambda x: group_norm(x, 1)), centres=(1, 2, 3)),
    "instance norm": Normaliser(function(lambda x: group_norm(x, 6)), centres=(1, 2)),
    "batch norm": Normaliser(partial(BatchNorm, FEATURES), mixes=True, centres=(0, 1, 2)),
}


def inputs(*shape, mean=0.0, seed=0):
    return (mean + np.random.default_rng(seed).normal(size=shape)).astype(np.float32)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", NORMS)
def test_conformance(name, check):
    check(NORMS[name])


def test_evaluation_of_batch_norm_is_precise_and_differentiable():
    assert_gradients(lambda x: BatchNorm(6)(x, train=False), inputs(2, 2, 3, 6), tolerance=1e-5)
    assert_matches_float64(lambda x: BatchNorm(6)(x, train=False), inputs(2, 4, 4, 6, mean=1e4))


@pytest.mark.parametrize(
    ("broken", "check"),
    [
        (Normaliser(function(layer_norm), mixes=True), "keeps_samples_apart_or_not"),
        (Normaliser(partial(BatchNorm, FEATURES)), "keeps_samples_apart_or_not"),
        (Normaliser(function(lambda x: x), centres=(0,)), "standardises"),
        (Normaliser(function(lambda x: x / jnp.sqrt(jnp.var(x, -1, keepdims=True)))), "has_finite_gradients_at_zero"),
        (Normaliser(function(lambda x: x / jnp.sqrt(jnp.var(x, -1, keepdims=True)))), "survives_degenerate_inputs"),
        (Normaliser(function(lambda x: x - jnp.sqrt(jnp.mean(x**2) - jnp.mean(x) ** 2))), "is_precise_beside_a_large_mean"),
        (Normaliser(function(lambda x: x.astype(jnp.float32))), "keeps_shapes_and_dtypes"),
        (Normaliser(lambda axis_name=None: BatchNorm(FEATURES), mixes=True), "is_one_batch_over_an_axis"),
        (Normaliser(partial(BatchNorm, FEATURES, momentum=0.0), mixes=True), "moves_its_statistics_in_training_alone"),
    ],
)
def test_the_checks_find_what_they_are_about(broken, check):
    with jax.debug_nans(False), pytest.raises(AssertionError):
        {one.__name__: one for one in CHECKS}[check](broken)


# --- Particular to each ---


def test_moments_are_those_of_numpy_and_take_an_axis_in():
    x = inputs(3, 4, 5, mean=2.0)
    centred, mean, var = jax.vmap(lambda x: moments(x, 0, axis_name="all"), axis_name="all")(jnp.asarray(x))
    np.testing.assert_allclose(mean, np.tile(x.mean((0, 1)), (3, 1, 1)), rtol=1e-5)
    np.testing.assert_allclose(var, np.tile(x.var((0, 1)), (3, 1, 1)), rtol=1e-5)
    np.testing.assert_allclose(centred, x - x.mean((0, 1)), atol=1e-5)


def test_scale_and_shift_go_to_their_axes():
    x, scale, shift = (jnp.asarray(inputs(*shape, seed=i)) for i, shape in enumerate([(2, 3, 4), (4, 3), (4, 1)]))
    bare = np.asarray(layer_norm(x, (2, 1)))
    np.testing.assert_allclose(layer_norm(x, (2, 1), scale, shift), bare * np.asarray(scale).T + np.asarray(shift).T, rtol=1e-5)
    np.testing.assert_allclose(group_norm(x, 2, scale[:, 0]), np.asarray(group_norm(x, 2)) * np.asarray(scale)[:, 0], rtol=1e-5)
    np.testing.assert_allclose(rms_norm(x, -1, scale[:, 0]), np.asarray(rms_norm(x)) * np.asarray(scale)[:, 0], rtol=1e-5)


def test_layer_and_group_norm_are_those_of_flax():
    x = jnp.asarray(inputs(2, 3, 4, 6))
    np.testing.assert_allclose(layer_norm(x), nnx.LayerNorm(6, epsilon=1e-5, rngs=nnx.Rngs(0))(x), atol=1e-5)
    np.testing.assert_allclose(rms_norm(x), nnx.RMSNorm(6, epsilon=1e-6, rngs=nnx.Rngs(0))(x), atol=1e-5)
    np.testing.assert_allclose(group_norm(x, 3), nnx.GroupNorm(6, 3, epsilon=1e-5, rngs=nnx.Rngs(0))(x), atol=1e-5)


def test_running_statistics_follow_the_rule_of_pytorch():
    norm, mean, var = BatchNorm(3, momentum=0.3), np.zeros(3), np.ones(3)
    for step in range(3):
        x = inputs(4, 2, 3, mean=step, seed=step)
        norm(jnp.asarray(x))
        mean += 0.3 * (x.mean((0, 1), dtype=np.float64) - mean)
        var += 0.3 * (x.var((0, 1), ddof=1, dtype=np.float64) - var)
    np.testing.assert_allclose(norm.mean[...], mean, rtol=1e-5)
    np.testing.assert_allclose(norm.var[...], var, rtol=1e-5)
    norm.eval()
    before = np.asarray(norm.mean[...])
    np.testing.assert_allclose(norm(jnp.asarray(x)), (x - mean) / np.sqrt(var + 1e-5), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(norm.mean[...], before)
    norm.train()
    norm(jnp.asarray(x))
    assert not np.array_equal(norm.mean[...], before)


@pytest.mark.parametrize(("before", "affine"), [(False, True), (True, True), (False, False)])
def test_a_folded_norm_is_the_norm(before, affine):
    norm = BatchNorm(3, affine=affine)
    for i, variable in enumerate(v for v in (norm.mean, norm.var, norm.scale, norm.shift) if v is not None):
        variable[...] = jnp.asarray(np.abs(inputs(3, seed=i)) + 0.5)
    norm.eval()
    x, kernel, bias = (jnp.asarray(inputs(*shape, seed=i)) for i, shape in enumerate([(5, 3), (3, 3), (3,)]))
    folded, offset = fold_batchnorm(kernel, bias, norm, before=before)
    expected = norm(x) @ kernel + bias[None] if before else norm(x @ kernel + bias[None])
    np.testing.assert_allclose(x @ folded + offset[None], expected, rtol=1e-4, atol=1e-5)


def test_paths_are_dropped_whole_and_kept_in_the_mean():
    x = jnp.ones((4000, 2, 3), jnp.float32)
    out = np.asarray(drop_path(x, 0.25, jax.random.key(0)))
    assert {0.0, np.float32(1 / 0.75)} == set(np.unique(out))
    assert np.all(out == out[:, :1, :1])
    assert abs(out.mean() - 1) < 0.03
    assert drop_path(x, 0.25, None) is x and drop_path(x, 0.0, jax.random.key(0)) is x


@pytest.mark.usefixtures("as_installed")
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: layer_norm(x, 2), "axes is \\(2,\\) for x of shape \\(2, 6\\)"),
        (lambda x: layer_norm(x, (1, -1)), "different axes"),
        (lambda x: layer_norm(x, ()), "at least one"),
        (lambda x: layer_norm(x, eps=0.0), "eps is 0.0; it must be positive"),
        (lambda x: layer_norm(x, -1, jnp.ones(5)), "scale is \\(5,\\); it must broadcast to \\(6,\\)"),
        (lambda x: group_norm(x, 4), "groups is 4"),
        (lambda x: group_norm(x, 3, None, jnp.ones(3)), "shift is \\(3,\\)"),
        (lambda x: BatchNorm(0), "features is 0"),
        (lambda x: BatchNorm(6, momentum=1.5), "momentum 1.5"),
        (lambda x: BatchNorm(5)(x), "x is \\(2, 6\\); it must be \\[batch, ..., 5\\]"),
        (lambda x: BatchNorm(6)(x[0]), "x is \\(6,\\)"),
        (lambda x: fold_batchnorm(x, None, BatchNorm(5)), "norm has 5 channels; the kernel makes 6"),
        (lambda x: fold_batchnorm(jnp.ones((3, 3, 2, 2)), None, BatchNorm(2), before=True), "one tap only"),
        (lambda x: drop_path(x, 1.0, None), "rate is 1.0"),
        (lambda x: drop_path(x[0, 0], 0.5, None), "single number"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.ones((2, 6), np.float32))
