"""Matern processes as state spaces: equal to dense Gaussian process regression, by a scan and by an associative scan."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.gaussian_process.kernels import Matern

from quire.common.tensors.state_space import (
    discretise,
    kalman_filter,
    log_marginal,
    matern_sde,
    rts_smoother,
    smoothed_values,
)
from quire.common.testing import assert_degenerate, assert_gradients

NUS = (0.5, 1.5, 2.5)


def _series(size=2, n=9, seed=0):
    rng = np.random.default_rng(seed)
    roots = rng.normal(size=(n, size, size))
    return np.sort(rng.uniform(0, 2, n)), rng.normal(size=(n, size)), roots @ roots.transpose(0, 2, 1) + 0.1 * np.eye(size)


def _dense(t, y, noise, observed, nu, variance, lengthscale):
    """Posterior mean and covariances at all coordinates, and the log density, by linear algebra on all of them at once."""
    n, size = y.shape
    kernel = np.kron(variance * Matern(lengthscale, nu=nu)(t[:, None]), np.eye(size))
    seen = np.repeat(observed, size)
    spread = np.zeros((n, size, n, size))
    spread[np.arange(n), :, np.arange(n)] = noise
    total = (kernel + spread.reshape(n * size, -1))[np.ix_(seen, seen)]
    gain = kernel[:, seen] @ np.linalg.inv(total)
    covariance = (kernel - gain @ kernel[seen]).reshape(n, size, n, size)[np.arange(n), :, np.arange(n)]
    density = multivariate_normal(np.zeros(seen.sum()), total).logpdf(y.ravel()[seen])
    return (gain @ y.ravel()[seen]).reshape(n, size), covariance, density


@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize("nu", NUS)
def test_filter_and_smoother_give_the_gaussian_process_posterior(nu, parallel):
    t, y, noise = _series()
    observed = np.array([True, True, False, True, True, True, False, True, True])
    with jax.enable_x64():
        sde = matern_sde(nu, 1.7, 0.6, size=2)
        filtered = kalman_filter(t, y, noise, sde, observed, parallel=parallel)
        mean, covariance = smoothed_values(*rts_smoother(t, filtered, sde, parallel=parallel), sde)
    expected = _dense(t, y, noise, observed, nu, 1.7, 0.6)
    for actual, exact in zip((mean, covariance, filtered.log_marginal), expected, strict=True):
        np.testing.assert_allclose(actual, exact, rtol=1e-9, atol=1e-10)


def test_the_last_filtered_state_knows_only_what_came_before():
    t, y, noise = _series(size=1)
    with jax.enable_x64():
        sde = matern_sde(1.5, 1.0, 1.0)
        whole, part = kalman_filter(t, y, noise, sde), kalman_filter(t[:4], y[:4], noise[:4], sde)
    np.testing.assert_allclose(whole.mean[:4], part.mean, rtol=1e-12)


@pytest.mark.parametrize("nu", NUS)
def test_steps_compose_and_leave_the_stationary_covariance(nu):
    with jax.enable_x64():
        sde = matern_sde(nu, 2.0, 0.7, size=2)
        (a, q), (a2, _), (a3, _) = discretise(sde, 0.3), discretise(sde, 0.5), discretise(sde, 0.8)
        np.testing.assert_allclose(a @ a2, a3, atol=1e-12)
        np.testing.assert_allclose(a, jax.scipy.linalg.expm(sde.drift * 0.3), atol=1e-12)
        np.testing.assert_allclose(a @ sde.stationary @ a.T + q, sde.stationary, atol=1e-12)
        np.testing.assert_allclose(
            sde.observation @ a3 @ sde.stationary @ sde.observation.T,
            2 * Matern(0.7, nu=nu)([[0.0]], [[0.8]]) * np.eye(2),
            atol=1e-12,
        )


def test_log_marginal_has_gradients_in_variance_and_lengthscale():
    t, y, noise = _series(size=1, n=5)
    assert_gradients(lambda s, l: log_marginal(t, y, noise, matern_sde(1.5, s, l)), np.array(1.3), np.array(0.4))


def test_equal_coordinates_are_one_state_observed_twice():
    with jax.enable_x64():
        sde, y = matern_sde(0.5, 1.0, 1.0), np.array([[1.0], [3.0]])
        filtered = kalman_filter(np.zeros(2), y, np.ones((2, 1, 1)), sde)
    np.testing.assert_allclose(filtered.mean[-1], 4 / 3)  # prior and both observations weigh the same


def test_float32_stays_close_on_long_series():
    t = jnp.linspace(0, 10, 400)
    y = jnp.sin(t)[:, None]
    sde = matern_sde(1.5, 1.0, 1.0)
    mean, covariance = rts_smoother(t, kalman_filter(t, y, jnp.full((400, 1, 1), 1e-2), sde), sde)
    assert float(jnp.abs(mean[:, 0] - y[:, 0]).max()) < 0.1 and float(covariance[:, 0, 0].min()) > 0


def test_series_that_cannot_be_are_refused():
    t, y, noise = _series(size=1, n=3)
    sde = matern_sde(0.5, 1.0, 1.0)
    for bad in (t[::-1], np.array([0.0, np.nan, 1.0])):
        with pytest.raises(ValueError, match="ascending"):
            kalman_filter(bad, y, noise, sde)
    for call in (
        lambda: kalman_filter(t, y[:2], noise, sde),
        lambda: kalman_filter(t, y, noise, matern_sde(0.5, 1.0, 1.0, size=2)),
        lambda: kalman_filter(t[:0], y[:0], noise[:0], sde),
        lambda: rts_smoother(t[:2], kalman_filter(t, y, noise, sde), sde),
        lambda: matern_sde(1.0, 1.0, 1.0),
        lambda: matern_sde(0.5, 0.0, 1.0),
        lambda: matern_sde(0.5, 1.0, -1.0),
        lambda: discretise(sde, -0.1),
    ):
        with pytest.raises(ValueError, match=r"shape|coordinates|nu|variance|lengthscale|gap"):
            call()
    assert_degenerate(lambda y: kalman_filter(t, y, noise, sde).mean, jnp.asarray(y, jnp.float32), scales=(1e-30, 1e6))
