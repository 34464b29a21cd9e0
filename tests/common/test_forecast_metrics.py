"""Metrics and losses of forecasts, detection of anomalies, similarity of representations, early stopping."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quire.common.losses.forecast import mape_loss, mase_loss, smape_loss
from quire.common.metrics.anomaly import anomaly_threshold, detection, point_adjust
from quire.common.metrics.forecast import (
    is_seasonal,
    mae,
    mape,
    mase,
    mse,
    naive2,
    owa,
    repeat_last,
    seasonal_indices,
    smape,
)
from quire.common.metrics.similarity import linear_cka, rbf_cka
from quire.common.testing import (
    assert_close,
    assert_degenerate,
    assert_dtypes,
    assert_gradients,
    assert_jit_consistent,
    assert_matches_float64,
)
from quire.common.train.selection import early_stopping

# --- Conformance: every metric and loss of a forecast and its target, and similarity. A new one adds one line. ---

FORECAST = np.array([[0.2, 1.5, -0.9], [2.1, 0.4, 0.9]], np.float32)
TARGET = np.array([[0.7, 1.1, -1.2], [1.6, -0.5, 0.4]], np.float32)
SERIES = np.array([[1.0, 3.0, 2.0, 5.0], [2.0, 1.0, 2.0, -1.0]], np.float32)
NUMPY = {
    "mse": (mse, (FORECAST, TARGET)),
    "mae": (mae, (FORECAST, TARGET)),
    "smape": (lambda f, y: smape(f, y).mean(), (FORECAST, TARGET)),
    "mape": (lambda f, y: mape(f, y).mean(), (FORECAST, TARGET)),
    "mase": (lambda x, f, y: mase(x, f, y, 1), (SERIES[0], FORECAST[0], TARGET[0])),
    "owa": (lambda x, f, y: owa(list(x), f, y, 2)["owa"], (np.tile(SERIES, 2), FORECAST, TARGET)),
    "repeat_last": (lambda x: repeat_last(np.asarray(x), 3, 2), (SERIES,)),
    "naive2": (lambda x: naive2(x, 3, 2), (np.tile(SERIES[0], 3),)),
}
ARRAYS = {
    "smape_loss": (smape_loss, (FORECAST, TARGET)),
    "mape_loss": (mape_loss, (FORECAST, TARGET)),
    "mase_loss": (lambda x, f, y: mase_loss(x, f, y, 1), (SERIES, FORECAST, TARGET)),
    "linear_cka": (linear_cka, (SERIES.T, np.append(FORECAST, TARGET).reshape(4, 3))),
}


@pytest.mark.parametrize("name", NUMPY)
def test_metrics_at_the_edge(name):
    metric, inputs = NUMPY[name]
    assert_degenerate(metric, *inputs, differentiable=False, jit=False)
    assert_dtypes(metric, *inputs, jit=False)


@pytest.mark.parametrize("name", ARRAYS)
def test_losses_at_the_edge(name):
    loss, inputs = ARRAYS[name]
    assert_degenerate(loss, *inputs, axes=(0, 1), scales=(1e-12, 1e6))  # the derivative of 1 / s is 1 / s^2
    assert_dtypes(loss, *inputs)
    assert_matches_float64(loss, *inputs)


RNG = np.random.default_rng(0)
WAVE = 10 + 3 * np.sin(2 * np.pi * np.arange(96) / 12)


def test_errors_by_hand(as_installed):
    f, y = np.array([1.0, 3.0]), np.array([2.0, 1.0])
    assert (mse(f, y), mae(f, y)) == (2.5, 1.5)
    assert mape(f, y).tolist() == [50.0, 200.0]
    assert_close(smape(f, y), [200 / 3, 100.0], 1e-12)
    assert mase(np.array([1.0, 2.0, 4.0, 4.0]), f, y, 2) == pytest.approx(1.5 / 2.5)
    with pytest.raises(ValueError, match="must be the same"):
        mse(f, y[:1])


@settings(max_examples=30, deadline=None)
@given(st.floats(0.1, 1000))
def test_scaled_errors_forget_the_unit(unit):
    f, y, x = RNG.random(6) + 1, RNG.random(6) + 1, RNG.random(30)
    assert_close(smape(unit * f, unit * y), smape(f, y), 1e-9)
    assert mase(unit * x, unit * f, unit * y, 4) == pytest.approx(mase(x, f, y, 4))
    assert (smape(f, y) <= 200).all()


def test_seasonality():
    noise = np.random.default_rng(1).standard_normal(96)
    assert is_seasonal(WAVE, 12) and not is_seasonal(noise, 12) and not is_seasonal(np.ones(96), 12)
    assert not is_seasonal(WAVE[:35], 12), "shorter than three seasons"
    factors = np.array([0.5, 1.5, 1.2, 0.8])
    trend = np.linspace(10, 20, 40)
    assert_close(seasonal_indices(trend * np.tile(factors, 10), 4), factors, 2e-2)
    assert_close(seasonal_indices(5 * np.tile(factors[:3] / factors[:3].mean(), 9), 3), factors[:3] / factors[:3].mean(), 1e-9)
    with pytest.raises(ValueError, match="at least 24"):
        seasonal_indices(WAVE[:20], 12)


def test_seasons_of_series_that_are_not_positive(as_installed):
    season = np.tile([2.0, -1.0, 0.0, -1.0], 8)
    assert_close(naive2(season, 5, 4), season[:5], 1e-9)
    drifting = season + 0.01 * np.arange(32)
    assert np.abs(naive2(drifting, 4, 4) - drifting[28:]).max() < 0.1
    assert_close(seasonal_indices(season, 4, "additive"), season[:4], 1e-9)
    with pytest.raises(ValueError, match="x falls to -1"):
        seasonal_indices(season, 4)
    with pytest.raises(ValueError, match="kind is 'log'"):
        seasonal_indices(WAVE, 12, "log")
    for broken in (np.array([1.0, np.nan, 2.0]), np.array([]), np.ones((2, 3))):
        with pytest.raises(ValueError, match="it must be one series"):
            naive2(broken, 1, 1)


def test_naive_forecasts(as_installed):
    assert_close(naive2(WAVE, 12, 12), WAVE[:12], 1e-2)
    walk = np.cumsum(np.random.default_rng(0).standard_normal(50))
    assert (naive2(walk, 3, 1) == walk[-1]).all()
    assert repeat_last(np.arange(6.0).reshape(2, 3), 2).tolist() == [[2.0, 2.0], [5.0, 5.0]]
    with pytest.raises(ValueError, match="season is 4"):
        repeat_last(np.zeros(3), 2, season=4)


def test_the_benchmark_has_owa_one(as_installed):
    series = [s * (WAVE + RNG.random(96)) for s in (1, 10, 100)]
    targets = np.stack([s * WAVE[:12] for s in (1, 10, 100)])
    benchmark = np.stack([naive2(x, 12, 12) for x in series])
    assert owa(series, benchmark, targets, 12)["owa"] == pytest.approx(1)
    assert owa(series, targets, targets, 12) == {"smape": 0, "mase": 0, "owa": 0}
    perfect = [np.tile(np.arange(1.0, 5.0), 6)] * 2
    follows = np.array([[1.0, 2.0, 3.0]] * 2)
    with pytest.raises(ValueError, match="no scale"):
        owa(perfect, follows, follows, 4)
    level = [np.array([1.0, 3.0, 1.0, 2.0])]
    assert owa(level, np.array([[2.0]]), np.array([[2.0]]), 1)["owa"] == 1, "two perfect forecasts"
    with pytest.raises(ValueError, match="Naive2 is perfect on targets"):
        owa(level, np.array([[1.0]]), np.array([[2.0]]), 1)
    with pytest.raises(ValueError, match="2, 3, 3 series"):
        owa(series[:2], benchmark, targets, 12)


@pytest.mark.parametrize("frequency", [0, 96])
def test_mase_needs_a_season(frequency):
    with pytest.raises(ValueError, match=f"frequency is {frequency}"):
        mase(WAVE, WAVE[:3], WAVE[:3], frequency)
    with pytest.raises(ValueError, match="no scale"):
        mase(np.ones(9), WAVE[:3], WAVE[:3], 2)


# --- Losses ---


def test_losses_by_hand():
    f, y, mask = (jnp.array([row]) for row in ([1.0, 3.0, 0.0], [3.0, -3.0, 0.0], [1.0, 1.0, 0.0]))
    assert float(smape_loss(f, y)) == pytest.approx(200 * (0.5 + 1 + 0) / 3)
    assert float(mape_loss(f, y, mask)) == pytest.approx((2 / 3 - 2) / 3), "the sign of y counts"
    insample = jnp.array([[0.0, 1.0, 2.0, 4.0]])
    assert float(mase_loss(insample, f, y, 2, mask)) == pytest.approx((2 + 6) / 2.5 / 3)
    assert float(mase_loss(0 * insample, f, y, 2)) == 0, "a series that does not move has no scale"
    with pytest.raises(ValueError, match="frequency is 4"):
        mase_loss(insample, f, y, 4)


def test_losses_refuse_what_would_broadcast_and_do_not_see_what_is_masked(as_installed):
    f, y = jnp.ones((2, 3)), jnp.full((2, 3), 2.0)
    for call in (lambda: smape_loss(f, y[:1]), lambda: mape_loss(f, y, jnp.ones((2, 1))), lambda: smape_loss(f[:0], y[:0])):
        with pytest.raises(ValueError, match="they must be the same"):
            call()
    with pytest.raises(ValueError, match="insample has 1 series and target 2"):
        mase_loss(jnp.ones((1, 4)), f, y, 1)
    mask = jnp.asarray(np.array([[0.0, 1, 1], [1, 1, 1]], np.float32))
    with jax.debug_nans(False):
        missing = jnp.where(mask == 0, jnp.nan, y)
        value, gradient = jax.value_and_grad(smape_loss)(f, missing, mask)
    assert_close(value, 200 * (5 / 3) / 6, 1e-6)
    assert np.isfinite(gradient).all()


def test_gradients_of_losses():
    f, y = jnp.array([[1.0, 2.5]]), jnp.array([[2.0, -1.0]])
    assert_gradients(lambda f: mape_loss(f, y), f)
    grad = jax.grad(smape_loss)(f, y)
    assert_close(grad, 200 / 2 * np.sign(f - y) / (np.abs(f) + np.abs(y)), 1e-6)  # the denominator counts as fixed
    for loss in (smape_loss, mape_loss):
        assert_jit_consistent(loss, f, y)
        assert np.isfinite(jax.grad(loss)(jnp.zeros((1, 2)), jnp.zeros((1, 2)))).all()


# --- Anomalies ---


def adjust_by_loop(flagged, truth):
    """Walk along each segment."""
    out, t = flagged.copy(), 0
    while t < len(truth):
        end = t
        while end < len(truth) and truth[end] == truth[t]:
            end += 1
        if truth[t] and flagged[t:end].any():
            out[t:end] = True
        t = end
    return out


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30))
def test_point_adjustment_is_the_walk(steps):
    flagged, truth = np.array(steps, bool).T
    adjusted = point_adjust(flagged, truth)
    assert (adjusted == adjust_by_loop(flagged, truth)).all()
    assert detection(adjusted, truth).f1 >= detection(flagged, truth).f1
    assert (point_adjust(adjusted, truth) == adjusted).all()


def test_detection_and_threshold(as_installed):
    truth = np.array([1, 1, 0, 0], bool)
    assert detection(truth, truth) == (1, 1, 1) and detection(~truth, truth) == (0, 0, 0)
    assert detection(np.zeros(4, bool), np.zeros(4, bool)).f1 == 0
    scores = np.arange(100, dtype=np.float32)
    assert anomaly_threshold(scores[:50], scores[50:], 10) == pytest.approx(np.percentile(np.arange(100.0), 90))
    with pytest.raises(ValueError, match="ratio is 101"):
        anomaly_threshold(scores, scores, 101)
    with pytest.raises(ValueError, match="must be the same"):
        point_adjust(truth, truth[:2])
    with pytest.raises(ValueError, match=r"flagged has shape \(3,\) and truth \(1,\)"):
        detection(np.ones(3), np.ones(1))
    with pytest.raises(ValueError, match="flagged holds nan"):
        detection(np.full(4, np.nan), truth)
    with pytest.raises(ValueError, match="1 of 2 scores are NaN"):
        anomaly_threshold(np.array([1.0]), np.array([np.nan]), 1)


# --- Similarity, early stopping ---


def test_cka_forgets_rotations(as_installed):
    with jax.enable_x64():
        x, y = (jax.random.normal(jax.random.key(i), (20, 5 + i), jnp.float64) for i in range(2))
        turn = jnp.linalg.qr(jax.random.normal(jax.random.key(9), (5, 5), jnp.float64))[0]
        assert_close(linear_cka(x @ turn * 3 + 1, y), linear_cka(x, y), 1e-12)
        assert float(linear_cka(x, x)) == pytest.approx(1) and 0 < float(linear_cka(x, y)) < 1
        assert_jit_consistent(linear_cka, x, y)
    with pytest.raises(ValueError, match="they need"):
        linear_cka(x, y[:19])
    with pytest.raises(ValueError, match=r"x has shape \(4,\)"):
        linear_cka(jnp.ones(4), jnp.ones((4, 1)))


def test_cka_leaves_no_range_of_its_floats(as_installed):
    x, y = np.random.default_rng(0).standard_normal((2, 1000, 3)).astype(np.float16)
    for cka in (linear_cka, rbf_cka):
        wide = cka(jnp.asarray(x, jnp.float32), jnp.asarray(x + y, jnp.float32))
        np.testing.assert_allclose(cka(jnp.asarray(x), jnp.asarray(x + y)), wide, rtol=1e-3)
    big = jnp.asarray(x, jnp.float32) * 1e4  # Gram matrices of 1e11, squares of 1e22, whose product is no float32
    np.testing.assert_allclose(linear_cka(big, big), 1, rtol=1e-5)


def test_constant_features_are_similar_to_nothing():
    x = np.random.default_rng(0).standard_normal((6, 3)).astype(np.float32)
    assert float(linear_cka(jnp.full((6, 2), 0.1), jnp.asarray(x))) == 0
    assert_matches_float64(linear_cka, 1e3 + x, (x**2)[:, :2] * 1e-20)


def test_early_stopping():
    assert early_stopping(np.array([3.0, 2.0, 1.0]), 1) == 2
    assert early_stopping(np.array([1.0, 2.0, 0.5]), 1) == 0
    assert early_stopping(np.array([1.0, 2.0, 0.5]), 2) == 2
    for losses in (np.array([]), np.array([np.nan])):
        with pytest.raises(ValueError, match="one number per epoch"):
            early_stopping(losses, 1)
    with pytest.raises(ValueError, match="patience is 0"):
        early_stopping(np.ones(2), 0)
