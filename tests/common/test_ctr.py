"""Models of click-through rates: the table, cross layers, the perceptron."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from quire.common.layers.ctr import CrossLayer, CtrNet, FeatureTable, Mlp, cross, log_loss, lookup
from quire.common.testing import assert_degenerate, assert_dtypes, assert_gradients, assert_jit_consistent, assert_matches_float64


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def test_lookup_and_its_gradient():
    table, index = numbers(5, 3), np.array([[0, 4], [4, 4]])
    np.testing.assert_array_equal(lookup(jnp.asarray(table), index), table[index])
    weights = numbers(2, 2, 3, seed=1)
    gradient = jax.grad(lambda e: jnp.sum(lookup(e, jnp.asarray(index)) * weights))(jnp.asarray(table))
    expected = np.zeros_like(table)
    np.add.at(expected, index, weights)
    np.testing.assert_allclose(gradient, expected, rtol=1e-5)
    with jax.debug_nans(False):
        assert np.isnan(jax.jit(lookup)(jnp.asarray(table), jnp.array([7]))).all()
        assert np.isnan(jax.jit(lookup)(jnp.asarray(table), jnp.array([5]))).all()


def test_cross_is_the_formula():
    x0, x, kernel, bias = numbers(4, 3), numbers(4, 3, seed=1), numbers(3, 3, seed=2), numbers(3, seed=3)
    expected = [
        [x0[i, a] * (sum(x[i, b] * kernel[b, a] for b in range(3)) + bias[a]) + x[i, a] for a in range(3)] for i in range(4)
    ]
    np.testing.assert_allclose(cross(*map(jnp.asarray, (x0, x, kernel, bias))), expected, rtol=1e-5)
    assert_dtypes(cross, x0, x, kernel, bias, tolerance=1e-4)
    assert_degenerate(lambda a, b: cross(a, b, kernel, bias), x0, x, axes=(0,))
    assert_jit_consistent(cross, *map(jnp.asarray, (x0, x, kernel, bias)))
    with jax.enable_x64():
        assert_gradients(cross, *(np.asarray(a, float) for a in (x0, x, kernel, bias)))


def test_heads():
    table = FeatureTable(7, 2, rngs=nnx.Rngs(0))
    net = CtrNet(table, 7, (5, 4), cross_layers=2, rngs=nnx.Rngs(1))
    index, dense = np.array([[0, 6, 6], [3, 1, 0]]), numbers(2, 1)
    x0 = np.concatenate([np.asarray(table.weights[...])[index].reshape(2, 6), dense], axis=1)
    x = x0
    for layer in net.crosses:
        layer.bias[...] = jnp.asarray(numbers(7, seed=4))
        x = x0 * (x @ np.asarray(layer.kernel[...]) + np.asarray(layer.bias[...])) + x
    for i, kernel in enumerate(net.mlp.kernels):
        net.mlp.biases[i][...] = jnp.asarray(numbers(kernel.shape[1], seed=5))
        x = (np.maximum(x, 0) if i else x) @ np.asarray(kernel[...]) + np.asarray(net.mlp.biases[i][...])
    np.testing.assert_allclose(net(index, dense=dense), x[:, 0], rtol=1e-4)
    assert net(np.zeros((0, 3), int)).shape == (0,)
    assert CrossLayer(3, rngs=nnx.Rngs(0))(jnp.ones((2, 3)), jnp.ones((2, 3))).shape == (2, 3)


def test_initial_weights_have_the_size_that_is_said():
    assert abs(np.std(FeatureTable(500, 16, rngs=nnx.Rngs(0)).weights[...]) - 0.25) < 0.01
    assert abs(np.std(FeatureTable(500, 16, std=0.05, rngs=nnx.Rngs(0)).weights[...]) - 0.05) < 0.002
    assert abs(np.std(Mlp((200, 100, 1), rngs=nnx.Rngs(0)).kernels[0][...]) - 0.1) < 0.005


def test_log_loss_is_the_cross_entropy():
    logits, labels = numbers(9), np.arange(9) % 2
    p = 1 / (1 + np.exp(-logits))
    np.testing.assert_allclose(log_loss(logits, labels), -np.mean(np.log(np.where(labels == 1, p, 1 - p))), rtol=1e-5)
    np.testing.assert_allclose(log_loss(np.float32([1000, -1000]), np.float32([1, 1])), 500)
    assert_dtypes(log_loss, logits, labels.astype(np.float32), tolerance=1e-4)
    assert_matches_float64(log_loss, 30 * numbers(9), labels)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lookup(jnp.ones((3, 2)), np.array([3])), "index runs from 3"),
        (lambda: lookup(jnp.ones((3, 2)), np.array([-1])), "index runs from -1"),
        (lambda: FeatureTable(0, 2, rngs=nnx.Rngs(0)), "rows is 0"),
        (lambda: FeatureTable(2, 0, rngs=nnx.Rngs(0)), "dim is 0"),
        (lambda: FeatureTable(2, 2, std=-1.0, rngs=nnx.Rngs(0)), "std is -1.0"),
        (lambda: cross(np.ones((2, 3)), np.ones((2, 3)), np.ones((3, 2)), np.ones(3)), "kernel"),
        (lambda: CrossLayer(0, rngs=nnx.Rngs(0)), "width is 0"),
        (lambda: Mlp((3,), rngs=nnx.Rngs(0)), "widths is"),
        (lambda: Mlp((3, 0, 1), rngs=nnx.Rngs(0)), "widths is"),
        (lambda: CtrNet(FeatureTable(2, 2, rngs=nnx.Rngs(0)), 4, cross_layers=-1, rngs=nnx.Rngs(0)), "cross_layers is -1"),
        (lambda: CtrNet(FeatureTable(2, 2, rngs=nnx.Rngs(0)), 4, rngs=nnx.Rngs(0))(np.zeros((1, 3), int)), "width is 4"),
        (lambda: log_loss(np.ones(3), np.ones(2)), "logits has shape"),
        (lambda: log_loss(np.ones(0), np.ones(0)), "logits has shape"),
    ],
)
def test_wrong_arguments(call, message, as_installed):
    with pytest.raises(ValueError, match=message):
        call()


def test_dense_features_are_those_of_the_batch(as_installed):
    net = CtrNet(FeatureTable(10, 4, rngs=nnx.Rngs(0)), 9, (8,), rngs=nnx.Rngs(1))
    with pytest.raises(ValueError, match="dense has 1 rows; the batch has 2"):
        net(jnp.array([[0, 3], [9, 0]]), dense=jnp.ones((1, 1)))
