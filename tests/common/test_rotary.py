"""Rotary positions."""

import jax.numpy as jnp
import numpy as np
import pytest

from quire.common.layers.rotary import rotary


@pytest.mark.parametrize("layout", ["half", "interleaved"])
def test_turns_pairs_as_complex_numbers(layout):
    rng = np.random.default_rng(0)
    x, positions = rng.normal(size=(2, 3, 6)).astype(np.float32), np.array([0.0, 1.0, 7.0], np.float32)
    pairs = (x[..., :3], x[..., 3:]) if layout == "half" else (x[..., ::2], x[..., 1::2])
    turned = (pairs[0] + 1j * pairs[1]) * np.exp(1j * positions[:, None] * 100.0 ** (-np.arange(3) / 3))
    found = np.asarray(rotary(jnp.asarray(x), jnp.asarray(positions), base=100.0, layout=layout))
    first, second = (found[..., :3], found[..., 3:]) if layout == "half" else (found[..., ::2], found[..., 1::2])
    np.testing.assert_allclose(first + 1j * second, turned, rtol=1e-5, atol=1e-6)


def test_scores_depend_on_distance_only():
    rng = np.random.default_rng(1)
    q, k = (jnp.asarray(rng.normal(size=(1, 4)), jnp.float32) for _ in range(2))
    scores = [rotary(q, jnp.array([p + 3])) @ rotary(k, jnp.array([p])).T for p in (0, 50)]
    np.testing.assert_allclose(*scores, rtol=1e-4)


def test_half_precision_keeps_far_positions_apart():
    x = jnp.ones((2, 2), jnp.bfloat16)
    near, far = rotary(x, jnp.array([1000, 1001]))
    assert near.dtype == jnp.bfloat16 and float(jnp.abs(near - far).max()) > 0.3


def test_refuses(as_installed):
    with pytest.raises(ValueError, match="dimension 3"):
        rotary(jnp.ones((1, 3)), jnp.zeros(1))
    with pytest.raises(ValueError, match="positions has shape"):
        rotary(jnp.ones((2, 4)), jnp.zeros(1))
    with pytest.raises(ValueError, match="layout is 'pairs'"):
        rotary(jnp.ones((2, 4)), jnp.zeros(2), layout="pairs")


def test_whole_numbers_are_turned_and_not_cut_off(as_installed):
    x = np.array([[1, 0], [2, 3]])
    np.testing.assert_array_equal(rotary(x, np.arange(2)), rotary(x.astype(np.float32), np.arange(2)))
