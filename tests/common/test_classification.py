"""Cross-entropy of class scores."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from quire.common.losses.classification import cutmix, masked_cross_entropy, mixup, smoothed_cross_entropy


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_smoothed_cross_entropy_is_that_of_optax(rng, smoothing):
    logits, labels = jnp.asarray(rng.normal(size=(4, 5)), jnp.float32), jnp.asarray(rng.integers(0, 5, 4))
    targets = optax.smooth_labels(jax.nn.one_hot(labels, 5), smoothing)
    expected = optax.softmax_cross_entropy(logits, targets).mean()
    np.testing.assert_allclose(smoothed_cross_entropy(logits, labels, smoothing), expected, rtol=1e-5)


def test_a_class_that_does_not_exist_shows(rng):
    with jax.debug_nans(False):
        for label in (-1, 5):
            assert jnp.isnan(smoothed_cross_entropy(jnp.zeros((1, 5)), jnp.array([label])))


def test_cross_entropy_of_extremes_has_finite_gradients():
    for logits in (jnp.full((2, 3), 1e30), jnp.array([[1e4, -1e4, 0.0]] * 2)):
        assert jnp.isfinite(jax.grad(lambda z: smoothed_cross_entropy(z, jnp.array([0, 1]), 0.1))(logits)).all()
    assert smoothed_cross_entropy(jnp.zeros((1, 3), jnp.bfloat16), jnp.array([0])).dtype == jnp.float32


def test_masked_rows_do_not_count(rng):
    logits, labels = jnp.asarray(rng.normal(size=(2, 3, 4)), jnp.float32), jnp.asarray(rng.integers(0, 4, (2, 3)))
    keep = jnp.array([[True, False, True], [False, False, True]])
    spoiled = jnp.where(keep, labels, 99)
    expected = smoothed_cross_entropy(logits[keep], labels[keep])
    np.testing.assert_allclose(masked_cross_entropy(logits, spoiled, keep), expected, rtol=1e-6)
    assert masked_cross_entropy(logits, labels, jnp.zeros((2, 3), bool)) == 0
    gradient = jax.grad(lambda z: masked_cross_entropy(z, spoiled, keep))(logits)
    assert jnp.isfinite(gradient).all() and not gradient[~keep].any()


def test_cross_entropy_refuses(as_installed):
    with pytest.raises(ValueError, match="smoothing is 1"):
        smoothed_cross_entropy(jnp.zeros((1, 2)), jnp.array([0]), 1)
    with pytest.raises(ValueError, match="labels has shape"):
        smoothed_cross_entropy(jnp.zeros((2, 2)), jnp.array([0]))
    with pytest.raises(ValueError, match="at least one row"):
        smoothed_cross_entropy(jnp.zeros((0, 2)), jnp.zeros(0, int))


@pytest.mark.parametrize("mix", [mixup, cutmix])
def test_mixed_images_carry_the_targets_of_their_pixels(mix, as_installed):
    """Images of one grey value, that of their class: what the targets say is the mean of the pixels."""
    grey = jnp.array([0.0, 1.0, 3.0], jnp.float32)
    images = jnp.broadcast_to(grey[:, None, None, None], (3, 6, 8, 1))
    mixed = jax.jit(mix, static_argnums=3)
    for seed in range(3):
        x, targets = mixed(images, jnp.eye(3), jax.random.key(seed), 1.0)
        np.testing.assert_allclose(x.mean((1, 2, 3)), targets @ grey, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(targets.sum(1), 1, rtol=1e-5)
        np.testing.assert_array_equal(targets[1], [0, 1, 0])  # the middle one meets itself
        values = np.unique(np.asarray(x[0]).round(5)).size
        assert values == 1 if mix is mixup else values <= 2
    with pytest.raises(ValueError, match=r"alpha is 0\.0"):
        mix(images, jnp.eye(3), jax.random.key(0), 0.0)
    with pytest.raises(ValueError, match="2 targets"):
        mix(images, jnp.eye(3)[:2], jax.random.key(0), 1.0)


def test_a_class_that_is_left_out_costs_nothing():
    logits = jnp.array([[0.0, -jnp.inf, 1.0]])
    for labels in (jnp.array([0]), jnp.array([[1.0, 0.0, 0.0]])):
        loss, slope = jax.value_and_grad(smoothed_cross_entropy)(logits, labels)
        np.testing.assert_allclose(loss, np.log1p(np.e), rtol=1e-6)
        np.testing.assert_allclose(slope, [[1 / (1 + np.e) - 1, 0, np.e / (1 + np.e)]], rtol=1e-5)


def test_bytes_are_mixed_as_numbers(as_installed):
    images, targets = np.array([[0], [200]], np.uint8), np.eye(2, dtype=int)
    for key in jax.random.split(jax.random.key(0), 3):
        x, t = mixup(images, targets, key, 1.0)
        np.testing.assert_allclose(x[:, 0], 200 * t[:, 1], rtol=1e-5)
        x, t = cutmix(np.stack([np.zeros((4, 4, 1), np.uint8), np.ones((4, 4, 1), np.uint8)]), targets, key, 1.0)
        np.testing.assert_allclose(x[0].mean(), t[0, 1], rtol=1e-5)
    with pytest.raises(ValueError, match="alpha is nan"):
        mixup(images, targets, jax.random.key(0), float("nan"))
