"""Terms of the loss of a distance field: by hand, exact for an exact field, and at the edge."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quire.common.losses.sdf import sdf_terms
from quire.common.roots import length
from quire.common.testing import assert_degenerate, assert_dtypes, assert_gradients

RNG = np.random.default_rng(0)
VALUE, TARGET = RNG.normal(size=(2, 6))
GRADIENT = RNG.normal(size=(6, 3))
NORMAL = GRADIENT[::-1] / np.linalg.norm(GRADIENT[::-1], axis=-1, keepdims=True)
ON = np.array([1, 0, 1, 1, 0, 0], bool)


def test_terms_by_hand():
    slope = np.linalg.norm(GRADIENT, axis=-1)
    cosine = (GRADIENT * NORMAL).sum(-1) / slope
    off = np.abs(VALUE - TARGET)
    expected = off[ON].mean(), (1 - cosine)[ON].mean(), off[~ON].mean(), np.abs(slope - 1).mean()
    with jax.enable_x64():
        found = sdf_terms(*map(jnp.asarray, (VALUE, GRADIENT, TARGET, NORMAL, ON)))
        np.testing.assert_allclose(found, expected, rtol=1e-12)
        folded = sdf_terms(*(jnp.asarray(x).reshape(2, 3, *x.shape[1:]) for x in (VALUE, GRADIENT, TARGET, NORMAL, ON)))
        np.testing.assert_allclose(folded, expected, rtol=1e-12)


def test_the_distance_to_a_sphere_has_no_loss():
    x = RNG.normal(size=(8, 3))
    x[:4] /= np.linalg.norm(x[:4], axis=-1, keepdims=True)
    distance = lambda p: jnp.linalg.norm(p) - 1  # noqa: E731
    with jax.enable_x64():
        value, gradient = jax.vmap(jax.value_and_grad(distance))(jnp.asarray(x))
        terms = sdf_terms(value, gradient, value, jnp.asarray(x), jnp.arange(8) < 4)
    np.testing.assert_allclose(terms, 0, atol=1e-12)


def test_no_point_on_the_surface_is_no_loss_there():
    terms = sdf_terms(*(jnp.asarray(x, jnp.float32) for x in (VALUE, GRADIENT, TARGET, NORMAL)), jnp.zeros(6, bool))
    assert terms.surface == 0 and terms.normal == 0 and terms.off_surface > 0


def test_a_vanishing_gradient_has_a_slope():
    assert jax.grad(length)(jnp.zeros(3)).tolist() == [0, 0, 0]
    zero = jnp.zeros((6, 3))
    loss = lambda g: sum(sdf_terms(jnp.zeros(6), g, jnp.zeros(6), jnp.asarray(NORMAL, jnp.float32), jnp.asarray(ON)))  # noqa: E731
    value, slope = jax.value_and_grad(loss)(zero)
    assert value == 2 and jnp.isfinite(slope).all()  # cosine 0 and length 0


def total(value, gradient, target, normal):
    return sum(sdf_terms(value, gradient, target, normal, jnp.asarray(ON)))


def test_gradients():
    with jax.enable_x64():
        assert_gradients(total, *map(jnp.asarray, (VALUE, GRADIENT, TARGET, NORMAL)))


def test_degenerate_inputs_and_dtypes():
    inputs = [np.asarray(x, np.float32) for x in (VALUE, GRADIENT, TARGET, NORMAL)]
    assert_degenerate(total, *inputs)
    assert_dtypes(total, *inputs)


def test_shapes_that_do_not_fit():
    for change in ({"target": jnp.zeros(5)}, {"normal": jnp.zeros((6, 2))}, {"on_surface": jnp.ones(2, bool)}):
        inputs = dict(value=jnp.zeros(6), gradient=jnp.zeros((6, 3)), target=jnp.zeros(6), normal=jnp.zeros((6, 3)))
        with pytest.raises(Exception, match=r"they need|typechecking"):
            sdf_terms(**(inputs | {"on_surface": jnp.ones(6, bool)} | change))
