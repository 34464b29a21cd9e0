"""Monomials and polynomials for the exponential."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quire.common.layers.polynomials import (
    _recurrence,
    exp_polynomial,
    monomial_exponents,
    monomial_features,
    multinomial_coefficients,
    num_monomials,
)
from quire.common.testing import assert_degenerate, assert_dtypes


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 4), st.integers(0, 6), st.integers(0, 99))
def test_features_are_powers_and_expand_the_dot_product(dim, degree, seed):
    with jax.enable_x64():
        x, y = np.random.default_rng(seed).normal(size=(2, 3, dim))
        exponents = monomial_exponents(dim, degree)
        assert exponents.shape == (num_monomials(dim, degree), dim)
        assert len({tuple(e) for e in exponents}) == len(exponents)
        assert (np.diff(exponents.sum(1)) >= 0).all()
        features = monomial_features(jnp.asarray(x), degree)
        np.testing.assert_allclose(features, np.prod(x[:, None] ** exponents, axis=2), rtol=1e-12)
        top = exponents.sum(1) == degree  # multinomial theorem: <x, y>^g
        expansion = (np.asarray(features * monomial_features(jnp.asarray(y), degree)) * multinomial_coefficients(dim, degree))[
            :, top
        ].sum(1)
        # terms may cancel: rounding is in proportion to their sizes
        size = np.sum(np.abs(x * y), 1) ** degree
        assert (np.abs(expansion - np.sum(x * y, 1) ** degree) <= 1e-13 * size).all()


def test_taylor_and_chebyshev_approach_the_exponential():
    x = np.linspace(-4, 4, 201)
    taylor = np.polynomial.Polynomial(exp_polynomial(12))
    chebyshev = np.polynomial.Polynomial(exp_polynomial(12, 4.0, "chebyshev"))
    assert np.allclose(taylor.coef, [1 / math.factorial(t) for t in range(13)])
    assert np.abs(chebyshev(x) - np.exp(x)).max() < 1e-5 < np.abs(taylor(x) - np.exp(x)).max()


@pytest.mark.parametrize(("degree", "radius"), [(30, 10.0), (60, 10.0), (200, 3.0), (45, 12.0)])
def test_high_degrees_add_no_noise(degree, radius):
    coefficients = exp_polynomial(degree, radius, "chebyshev")
    x = np.linspace(-radius, radius, 201)
    assert coefficients.shape == (degree + 1,)
    assert np.abs(np.polynomial.Polynomial(coefficients)(x) / np.exp(x) - 1).max() < 1e-4


def test_what_is_kept_between_calls_cannot_be_changed():
    for kept in (multinomial_coefficients(2, 3), monomial_exponents(2, 3), *_recurrence(2, 3)[0]):
        with pytest.raises(ValueError, match="read-only"):
            kept[0] = 5
    assert multinomial_coefficients(1, 200)[-1] == 1, "factorials beyond float64 cancel exactly"


def test_features_of_whole_numbers_do_not_wrap(as_installed):
    assert monomial_features(jnp.array([[20, 3]], jnp.uint8), 3)[0, 6] == 20**3
    assert_dtypes(lambda x: monomial_features(x, 3), np.array([[0.5, -1.5], [1.1, 0.3]]))
    assert_degenerate(lambda x: monomial_features(x, 3), np.array([[0.5, -1.5], [1.1, 0.3]], np.float32))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: monomial_exponents(16, 8), "735471 monomials"),
        (lambda: monomial_exponents(0, 2), "dim is 0"),
        (lambda: exp_polynomial(-1), "degree is -1"),
        (lambda: exp_polynomial(3, kind="chebyshev"), "radius is None"),
        (lambda: exp_polynomial(3, 800.0, kind="chebyshev"), "radius is 800"),
        (lambda: exp_polynomial(80, 14.0, kind="chebyshev"), "adds but rounding"),
    ],
)
def test_wrong_arguments(as_installed, call, message):
    with pytest.raises(ValueError, match=message):
        call()
