"""Conformance of every normaliser, and what is particular to each; dropout of whole branches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from quire.common.layers.dropout import drop_path
from quire.common.layers.norms import BatchNorm, fold_batchnorm, group_norm, layer_norm, rms_norm
from quire.common.testing import (
    assert_degenerate,
    assert_dtypes,
    assert_gradients,
    assert_jit_consistent,
    assert_matches_float64,
    assert_vmap_consistent,
)

# --- Normalisers: `[batch, ..., 6 channels]` to the same shape, and the axes normalised together. A new one adds one line. ---

NORMS = {
    "layer norm": (layer_norm, (-1,)),
    "layer norm over space": (lambda x: layer_norm(x, (1, 2, -1)), (1, 2, -1)),
    "RMS norm": (rms_norm, None),
    "group norm": (lambda x: group_norm(x, 1), (1, 2, -1)),
    "instance norm": (lambda x: group_norm(x, 6), (1, 2)),
    "batch norm": (lambda x: BatchNorm(6)(x, train=True), (0, 1, 2)),
    "batch norm, evaluated": (lambda x: BatchNorm(6)(x, train=False), None),
}


def inputs(*shape, mean=0.0, seed=0):
    return (mean + np.random.default_rng(seed).normal(size=shape)).astype(np.float32)


@pytest.mark.parametrize("name", NORMS)
class TestNorm:
    def test_moments(self, name):
        norm, axes = NORMS[name]
        if axes is None:
            pytest.skip("takes no mean off")
        out = np.asarray(norm(jnp.asarray(3 + 2 * inputs(2, 3, 5, 6))))
        np.testing.assert_allclose(out.mean(axes), 0, atol=1e-6)
        np.testing.assert_allclose(out.var(axes), 1, rtol=1e-4)

    def test_shapes_and_dtypes(self, name):
        norm = NORMS[name][0]
        x = inputs(2, 2, 3, 6)
        assert_dtypes(norm, x)
        out = norm(jnp.asarray(x, jnp.bfloat16))
        assert out.shape == x.shape and out.dtype == jnp.bfloat16

    def test_jit_vmap_and_derivatives(self, name):
        norm = NORMS[name][0]
        x = jnp.asarray(inputs(2, 2, 3, 2, 6))
        assert_jit_consistent(norm, x[0])
        assert_vmap_consistent(norm, x)
        assert_gradients(norm, x[0], tolerance=1e-5)

    def test_degenerate_inputs_have_finite_values_and_gradients(self, name):
        assert_degenerate(NORMS[name][0], inputs(2, 2, 3, 6), axes=(0, 1))
        assert_degenerate(NORMS[name][0], inputs(1, 1, 1, 6), axes=())

    def test_an_empty_batch_is_empty_or_an_error(self, name):
        x = jnp.zeros((0, 2, 3, 6))
        if name == "batch norm":
            with pytest.raises(ValueError, match="at least one value for each channel"):
                NORMS[name][0](x)
        else:
            assert NORMS[name][0](x).shape == x.shape

    def test_a_large_mean_costs_no_precision(self, name):
        assert_matches_float64(NORMS[name][0], inputs(2, 16, 16, 6, mean=1e4))


# --- Particular to each ---


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


def test_a_batch_over_an_axis_is_one_batch():
    x = jnp.asarray(inputs(3, 4, 2))
    split, whole = BatchNorm(2, axis_name="workers"), BatchNorm(2)
    graph, state = nnx.split(split)

    def work(x, state):
        norm = nnx.merge(graph, state)
        return norm(x), nnx.state(norm, nnx.BatchStat)

    out, after = jax.vmap(work, (0, None), axis_name="workers")(x, state)
    np.testing.assert_allclose(out.reshape(12, 2), whole(x.reshape(12, 2)), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(after["var"][...], np.tile(whole.var[...], (3, 1)), rtol=1e-5)


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
