"""Fields: sine networks and derivatives in space."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from quire.common.fields.operators import divergence, gradient, jacobian, laplacian, value_and_jacobian
from quire.common.fields.siren import Siren, init_siren, siren
from quire.common.fields.siren_laplacian import siren_laplacian
from quire.common.testing import (
    assert_close,
    assert_degenerate,
    assert_dtypes,
    assert_gradients,
    assert_jit_consistent,
    assert_vmap_consistent,
)


def swirl(x):
    """A field with closed derivatives."""
    return jnp.stack([jnp.sin(x[0]) * x[1] ** 2, jnp.exp(x[0]) * x[1]])


def test_operators_against_closed_forms():
    with jax.enable_x64():
        x = jnp.array([0.3, -1.2])
        s, c, e = (float(f(0.3)) for f in (np.sin, np.cos, np.exp))
        assert_close(jacobian(swirl, x), np.array([[c * 1.44, -2.4 * s], [-1.2 * e, e]]), 1e-14)
        assert_close(divergence(swirl, x), np.array(1.44 * c + e), 1e-14)
        assert_close(laplacian(swirl, x), np.array([-1.44 * s + 2 * s, -1.2 * e]), 1e-14)
        assert_close(gradient(lambda x: swirl(x)[:1], x), jacobian(swirl, x)[0], 1e-15)
        assert_close(value_and_jacobian(swirl, x)[0], swirl(x), 1e-15)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_operators_on_a_network_against_reverse_mode_and_differences(dim):
    with jax.enable_x64():
        layers = init_siren(jax.random.key(dim), dim, dim, 7, 1, omega=3.0)
        x = jax.random.normal(jax.random.key(0), (dim,))

        def field(x):
            return siren(layers, x, omega=3.0)

        @jax.jit
        def both(x):
            reverse = jax.jacrev(field)(x), jnp.trace(jax.hessian(field)(x), axis1=1, axis2=2)
            return (jacobian(field, x), laplacian(field, x), divergence(field, x)), (*reverse, jnp.trace(reverse[0]))

        assert_close(*both(x), 1e-12)
        step, eye = 1e-4, np.eye(dim)
        values = jax.jit(field)
        second = sum(values(x + step * e) - 2 * values(x) + values(x - step * e) for e in eye) / step**2
        assert_close(both(x)[0][1], second, 1e-5)


def test_operators_under_jit_vmap_and_reverse_mode():
    with jax.enable_x64():
        layers = init_siren(jax.random.key(0), 2, 2, 5, 1, omega=3.0)

        @jax.jit
        def bend(x):
            return laplacian(lambda y: siren(layers, y, omega=3.0), x)

        batch = jax.random.normal(jax.random.key(1), (3, 2))
        assert_vmap_consistent(bend, batch, tolerance=1e-12)
        assert_jit_consistent(lambda x: divergence(swirl, x), batch[0], tolerance=1e-12)
        assert_gradients(lambda layers: laplacian(lambda y: siren(layers, y, omega=3.0), batch[0]), layers, tolerance=1e-4)


def test_siren_is_its_definition_and_starts_within_bounds():
    layers = init_siren(jax.random.key(0), 2, 3, 16, 2)
    assert [w.shape for w, _ in layers] == [(2, 16), (16, 16), (16, 16), (16, 3)]
    for place, (weight, bias) in enumerate(layers):
        fan_in = weight.shape[0]
        bound = (6 / fan_in) ** 0.5 / 30 if place else 1 / fan_in
        assert 0.8 * bound < float(jnp.abs(weight).max()) <= bound
        assert float(jnp.abs(bias).max()) <= fan_in**-0.5
    x = jax.random.normal(jax.random.key(1), (4, 2))
    h = np.asarray(x)
    for weight, bias in layers[:-1]:
        h = np.sin(30 * (h @ np.asarray(weight) + np.asarray(bias)))
    assert_close(siren(layers, x), h @ np.asarray(layers[-1][0]) + np.asarray(layers[-1][1]), 1e-4)


def test_the_module_holds_the_same_function():
    model = Siren(2, 1, hidden=8, num_hidden_layers=1, rngs=nnx.Rngs(0))
    x = jnp.ones((3, 2))
    assert_close(model(x), siren(model.layers, x), 1e-7)
    assert siren(model.layers, jnp.ones((2, 3, 2))).shape == (2, 3, 1)


@pytest.mark.parametrize(("dim", "out", "depth"), [(2, 1, 2), (3, 2, 0)])
def test_laplacian_in_one_pass(dim, out, depth):
    with jax.enable_x64():
        layers, x = init_siren(jax.random.key(0), dim, out, 5, depth, omega=7.0), jnp.linspace(-0.4, 0.7, dim)

        def nested(layers):
            return laplacian(lambda y: siren(layers, y, omega=7.0), x)

        def once(layers):
            return siren_laplacian(layers, x, omega=7.0)

        assert_close(*[jax.jit(lambda p, f=f: (f(p), jax.jacrev(f)(p)))(layers) for f in (once, nested)], 1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: siren_laplacian([], jnp.ones(2)), "layers is empty"),
        (lambda: siren_laplacian(init_siren(jax.random.key(0), 2, 1, 4, 0), jnp.ones((1, 2))), r"x has shape \(1, 2\)"),
        (lambda: siren(init_siren(jax.random.key(0), 2, 1, 4, 0), jnp.ones(3)), r"x has shape \(3,\); this field lives in dim"),
        (lambda: init_siren(jax.random.key(0), 2, 1, 0, 1), "hidden is 0; it must be positive"),
        (lambda: init_siren(jax.random.key(0), 2, 1, 4, -1), "num_hidden_layers is -1; it must be at least 0"),
        (lambda: gradient(swirl, jnp.ones(2)), "field has 2 components; a gradient needs 1"),
        (lambda: divergence(lambda x: x[:1], jnp.ones(2)), "field has 1 components in dimension 2"),
    ],
)
def test_errors(as_installed, call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_fields_at_the_edge():
    layers = init_siren(jax.random.key(0), 2, 2, 5, 0, omega=1.0)
    x = np.array([[0.4, -1.2], [0.9, 0.1]])
    operators = (value_and_jacobian, divergence, laplacian)
    for function in (lambda x: siren(layers, x), *(lambda x, f=f: jax.vmap(lambda y: f(swirl, y))(x) for f in operators)):
        assert_degenerate(function, x, scales=(1e-30, 10.0))
        assert_dtypes(jax.jit(function), x, tolerance=1e-4)
    with pytest.raises(ValueError, match="layers is empty"):
        siren([], jnp.zeros((3, 2)))
