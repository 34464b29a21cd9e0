"""Sines by polynomial, sine networks whose input comes in parts and enters again, stacks of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from quire.common.fields.sine import cosine, sine
from quire.common.fields.siren_stack import SirenStack, init_siren_stack, sine_features
from quire.common.testing import assert_close, assert_degenerate, assert_dtypes, assert_gradients, assert_vmap_consistent


@pytest.mark.parametrize(("reach", "error"), [(3, 3e-7), (100, 3e-7), (1000, 1e-6)])
def test_sine_and_cosine_in_float32(reach, error):
    x = np.random.default_rng(0).uniform(-reach, reach, 20_000).astype(np.float32)
    assert np.abs(np.asarray(sine(x)) - np.sin(x.astype(float))).max() < error
    assert np.abs(np.asarray(cosine(x)) - np.cos(x.astype(float))).max() < error


def test_derivatives_of_every_order():
    x = jnp.asarray(np.linspace(-20, 20, 101), jnp.float32)
    first, second, third = (jax.vmap(f) for f in (jax.grad(sine), jax.grad(jax.grad(sine)), jax.jacfwd(jax.grad(jax.grad(sine)))))
    assert_close(first(x), np.cos(np.asarray(x, float)), 1e-6)
    assert_close(second(x), -np.sin(np.asarray(x, float)), 1e-6)
    assert_close(third(x), -np.cos(np.asarray(x, float)), 1e-6)
    assert_gradients(lambda x: sine(x) + 2 * cosine(x), np.linspace(-3, 3, 7))


@pytest.mark.parametrize("function", [sine, cosine])
def test_edges_and_dtypes(function, as_installed):
    x = np.array([-0.9, 0.2, 1.5, 30.0], np.float32)
    assert_degenerate(function, x, scales=(1e-30, 1e6, 1e30))
    assert_dtypes(function, x)
    assert np.abs(function(jnp.float32([1e5, 1e20, 3e38]))).max() < 10


def draw_layers(key=0, **options):
    return init_siren_stack(jax.random.key(key), 5, 2, 8, 3, **options)


def by_definition(layers, parts, omega, skip):
    x = np.concatenate([np.asarray(part, float) for part in parts], axis=-1)
    for place, (weight, bias) in enumerate(layers[:-1]):
        x = np.sin(omega * (x @ np.asarray(weight, float) + np.asarray(bias, float)))
        if place == skip:
            x = np.concatenate([np.asarray(parts[0], float), x], axis=-1)
    return x


@pytest.mark.parametrize("skip", [None, 0, 1, 2])
def test_features_by_definition(skip):
    layers = draw_layers(skip=skip, skip_dim=0 if skip is None else 2)
    draw = np.random.default_rng(0)
    x, code = (jnp.asarray(draw.uniform(-1, 1, shape), jnp.float32) for shape in ((4, 6, 2), (4, 1, 3)))
    expected = by_definition(layers, (x, np.broadcast_to(code, (4, 6, 3))), 3.0, skip)
    np.testing.assert_allclose(sine_features(layers, (x, code), omega=3.0, skip=skip), expected, atol=2e-5)
    assert_vmap_consistent(lambda x, code: sine_features(layers, (x, code), omega=3.0, skip=skip), x, code)


def test_a_stack_is_its_networks():
    layers = draw_layers(count=3, skip=1, skip_dim=2)
    x, code = jnp.ones((4, 2)), jnp.ones((1, 3))
    found = jax.vmap(lambda one: sine_features(one, (x, code), skip=1))(layers)
    for i in range(3):
        assert_close(found[i], sine_features([(w[i], b[i]) for w, b in layers], (x, code), skip=1), 1e-5)
    assert not np.allclose(found[0], found[1])
    held = SirenStack(layers)
    jax.tree.map(np.testing.assert_array_equal, held.layers, layers)
    assert len(jax.tree.leaves(nnx.state(held, nnx.Param))) == 10


def test_first_weights_have_their_bounds():
    layers = init_siren_stack(jax.random.key(0), 50, 40, 200, 1, omega=10.0)
    bounds = [1 / 50, (6 / 200) ** 0.5 / 10, 200**-0.5]
    for (weight, bias), bound, fan_in in zip(layers, bounds, (50, 200, 200), strict=True):
        assert 0.98 * bound < np.abs(weight).max() <= bound * (1 + 1e-6)
        assert 0.9 * fan_in**-0.5 < np.abs(bias).max() <= fan_in**-0.5 * (1 + 1e-6)
    other = init_siren_stack(jax.random.key(0), 50, 40, 200, 1, omega=10.0, input_layer=False)
    assert 0.98 < np.abs(other[0][0]).max() / ((6 / 50) ** 0.5 / 10) <= 1 + 1e-6
    with jax.enable_x64():
        assert init_siren_stack(jax.random.key(0), 2, 1, 4, 1, dtype=jnp.float64)[0][0].dtype == jnp.float64


def test_what_does_not_fit_is_refused(as_installed):
    layers, x = draw_layers(), jnp.ones((4, 2))
    for arguments, message in (
        ((layers[:1], (x,)), "layers has 1 entries"),
        ((layers, (x, x)), "4 together"),
    ):
        with pytest.raises(ValueError, match=message):
            sine_features(*arguments)
    with pytest.raises(ValueError, match="skip is 3"):
        sine_features(layers, (x, jnp.ones((1, 3))), skip=3)
    for options, message in (
        ({"skip": 3, "skip_dim": 2}, "skip is 3"),
        ({"skip": 1}, "skip_dim 0"),
        ({"count": 0}, "count is 0"),
    ):
        with pytest.raises(ValueError, match=message):
            draw_layers(**options)
    with pytest.raises(ValueError, match="omega is 0"):
        draw_layers(omega=0.0)
