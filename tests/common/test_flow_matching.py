"""Flow matching: paths, the loss and its minimiser, guidance, the order of every solver."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quire.common.testing import assert_degenerate, assert_dtypes, assert_gradients, assert_jit_consistent
from quire.common.train.flow_matching import (
    METHODS,
    flow_loss,
    guided,
    integrate,
    integrate_adaptive,
    linear_path,
    noise_and_times,
)

DRAW = np.random.default_rng(0)
X0, X1, T = (DRAW.standard_normal(shape).astype(np.float32) for shape in ((3, 4, 2), (3, 4, 2), (3,)))


def swing(x, t):
    """Its solution from x at 0 is `x exp(sin t)`."""
    return x * jnp.cos(t)


def test_a_path_runs_from_noise_to_data():
    for t, end in ((0.0, X0), (1.0, X1)):
        np.testing.assert_allclose(linear_path(X0, X1, jnp.full(3, t)).x, end, rtol=1e-6)
    path = linear_path(X0, X1, T)
    for i, t in enumerate(T):
        np.testing.assert_allclose(path.x[i], (1 - t) * X0[i] + t * X1[i], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(path.velocity, X1 - X0)
    moved = jax.jvp(lambda t: linear_path(X0, X1, t).x, (jnp.asarray(T),), (jnp.ones(3),))[1]
    np.testing.assert_allclose(moved, path.velocity, rtol=1e-5, atol=1e-6)


def test_one_time_serves_all():
    np.testing.assert_allclose(linear_path(X0, X1, 0.25).x, 0.75 * X0 + 0.25 * X1, rtol=1e-5, atol=1e-6)


def test_loss():
    loss = flow_loss(lambda x, t: 2 * x + t[:, None, None], X0, X1, T)
    path = linear_path(X0, X1, T)
    expected = np.mean((2 * np.asarray(path.x) + T[:, None, None] - np.asarray(path.velocity)) ** 2)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    assert flow_loss(lambda x, t: jnp.asarray(X1 - X0), X0, X1, T) == 0


def test_noise_and_times():
    x1 = np.zeros((4000, 2), np.float32)
    x0, t = jax.jit(noise_and_times)(jax.random.key(0), x1)
    assert (x0.shape, t.shape, x0.dtype) == ((4000, 2), (4000,), np.float32)
    assert abs(float(x0.mean())) < 0.05
    assert abs(float(x0.std()) - 1) < 0.05
    assert 0 <= float(t.min()) < 0.01
    assert 0.99 < float(t.max()) < 1
    assert abs(np.corrcoef(x0[:, 0], t)[0, 1]) < 0.05


@pytest.mark.parametrize("method", METHODS)
def test_order(method):
    """Errors fall with the first power of the step, or the second."""
    with jax.enable_x64():
        solve = jax.jit(lambda x, steps: integrate(swing, x, steps, method), static_argnums=1)
        x = jnp.array([1.0, -2.0])
        errors = [float(np.abs(solve(x, steps) - x * np.exp(np.sin(1.0))).max()) for steps in (20, 40)]
    assert errors[0] / errors[1] == pytest.approx({"euler": 2, "midpoint": 4, "heun": 4}[method], rel=0.1)


@pytest.mark.parametrize("method", METHODS)
def test_one_step(method):
    x, h = np.array([1.0, -2.0]), 0.5
    with jax.enable_x64():
        found = integrate(lambda x, t: x * x + t, jnp.asarray(x), 1, method, start=1.0, stop=1.5)

    def v(x, t):
        return x * x + t

    expected = {
        "euler": x + h * v(x, 1.0),
        "midpoint": x + h * v(x + h / 2 * v(x, 1.0), 1.25),
        "heun": x + h / 2 * (v(x, 1.0) + v(x + h * v(x, 1.0), 1.5)),
    }[method]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_trajectory_and_the_way_back():
    states = integrate(swing, jnp.ones(2), 50, trajectory=True)
    assert states.shape == (51, 2)
    np.testing.assert_allclose(states[0], 1)
    np.testing.assert_allclose(states[-1], integrate(swing, jnp.ones(2), 50), rtol=1e-6)
    np.testing.assert_allclose(integrate(swing, states[-1], 50, start=1.0, stop=0.0), 1, rtol=1e-3)


def test_adaptive():
    found = integrate_adaptive(jax.jit(swing), jnp.array([[1.0, -2.0]]), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found.x, np.array([[1.0, -2.0]]) * np.exp(np.sin(1.0)), rtol=1e-5)
    assert found.x.dtype == np.float32
    assert 10 < found.evaluations < 200


def test_guidance():
    def v(x, t, c):
        return x if c is None else c * t

    for w in (0.0, 1.0, 2.5):
        np.testing.assert_allclose(
            guided(v, w)(jnp.asarray(X0), 0.5, jnp.asarray(X1)), (1 - w) * X0 + w * X1 * 0.5, rtol=1e-5, atol=1e-6
        )


def test_gradients_and_compilation():
    assert_gradients(lambda x: flow_loss(lambda y, t: jnp.sin(y) * t[:, None, None], x, X1, T), X0)
    assert_gradients(lambda x: integrate(swing, x, 4).sum(), np.ones(2))
    assert_jit_consistent(lambda x: integrate(swing, x, 4), jnp.ones(2))


def test_inputs_at_the_edge():
    assert_dtypes(lambda a, b: linear_path(a, b, 0.25), X0, X1)
    assert_dtypes(lambda a: integrate(lambda x, t: -x, a, 3), X0)
    assert_degenerate(lambda a, b, t: flow_loss(lambda x, t: x, a, b, t), X0, X1, T, scales=(1e-30,))
    assert_degenerate(lambda a: integrate(lambda x, t: -x, a, 3), X0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: linear_path(X0, X1[:2], T), "have shapes"),
        (lambda: linear_path(X0, X1, T[:2]), "t needs leading axes"),
        (lambda: flow_loss(lambda x, t: x[:, 0], X0, X1, T), "velocity gives shape"),
        (lambda: integrate(swing, jnp.ones(2), 0), "steps is 0"),
        (lambda: integrate(swing, jnp.ones(2), 3, "rk4"), "method is 'rk4'"),
        (lambda: integrate_adaptive(swing, jnp.ones(2), method="rk4"), "method"),
        (
            lambda: integrate_adaptive(lambda x, t: np.where(t > 0.3, np.inf, 1) * x, jnp.ones(2)),
            "velocity is not finite",
        ),
    ],
)
def test_wrong_arguments(call, message, as_installed):
    with pytest.raises(ValueError, match=message):
        call()
