"""Solids: distances against what defines them, unions, points on surfaces."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quire.common.fields.solids import (
    capsule_sdf,
    cuboid_sdf,
    ellipsoid_sdf,
    project,
    ring_sdf,
    surface_points,
    union,
    value_and_gradient,
)
from quire.common.fields.surfaces import box_sdf, sphere_sdf, torus_sdf
from quire.common.testing import assert_dtypes, assert_gradients, assert_matches_float64

DRAW = np.random.default_rng(0)
X = jnp.asarray(DRAW.uniform(-1.5, 1.5, (200, 3)), jnp.float32)


def test_capsule():
    along = np.clip(X[:, 2], -0.5, 0.5)
    expected = np.linalg.norm(X - np.stack([0 * along, 0 * along, along], 1), axis=1) - 0.25
    np.testing.assert_allclose(capsule_sdf(X, 0.5, 0.25), expected, atol=1e-6)
    assert np.isfinite(jax.grad(lambda x: capsule_sdf(x))(jnp.zeros(3))).all()
    assert_dtypes(lambda x: capsule_sdf(x, 0.5, 0.25), X[:5], dtypes=["bfloat16", "float16"])


@pytest.mark.parametrize("semi_axes", [(1.0, 1.0, 1.0), (0.9, 0.5, 0.2), (0.05, 1.0, 0.3), (2.0, 0.7, 0.7)])
def test_ellipsoid(semi_axes):
    """The step of the distance along the gradient ends on the surface, where the normal is that gradient."""
    with jax.enable_x64():
        a = np.array(semi_axes)
        x = jnp.asarray(X, float)
        value, slope = jax.jit(lambda x: value_and_gradient(lambda x: ellipsoid_sdf(x, a), x))(x)
        foot = np.asarray(x - value[:, None] * slope)
        np.testing.assert_allclose(np.sum((foot / a) ** 2, 1), 1, rtol=1e-8)
        normal = foot / a**2
        np.testing.assert_allclose(slope, normal / np.linalg.norm(normal, axis=1, keepdims=True), atol=1e-6)
        np.testing.assert_array_equal(np.asarray(value) < 0, np.sum((np.asarray(X) / a) ** 2, 1) < 1)
        directions = DRAW.standard_normal((20_000, 3))
        surface = a * directions / np.linalg.norm(directions, axis=1, keepdims=True)
        nearest = np.sqrt(((np.asarray(x)[:40, None] - surface[None]) ** 2).sum(-1).min(1))
        assert (np.abs(value)[:40] <= nearest + 1e-9).all()


def test_ellipsoid_at_the_edge():
    a = jnp.array([0.9, 0.5, 0.2])
    np.testing.assert_allclose(ellipsoid_sdf(jnp.zeros(3), a), -0.2, rtol=1e-5)
    np.testing.assert_allclose(ellipsoid_sdf(jnp.diag(a), a), 0, atol=1e-6)
    np.testing.assert_allclose(ellipsoid_sdf(X, jnp.ones(3)), sphere_sdf(X), atol=2e-6)
    slopes = jax.vmap(jax.grad(lambda x: ellipsoid_sdf(x, a)))(jnp.concatenate([jnp.zeros((1, 3)), jnp.eye(3)]))
    assert np.isfinite(slopes).all()
    assert_matches_float64(lambda x: ellipsoid_sdf(x, jnp.asarray(a, x.dtype)), X[:20])
    assert_gradients(lambda x: ellipsoid_sdf(x, jnp.asarray(a, x.dtype)).sum(), X[:5], order=2, tolerance=1e-4)


def test_sizes_that_are_arrays():
    half = (0.3, 0.7, 0.5)
    np.testing.assert_allclose(cuboid_sdf(X, jnp.array(half)), box_sdf(X, half), atol=1e-6)
    np.testing.assert_allclose(ring_sdf(X, jnp.float32(0.7), jnp.float32(0.2)), torus_sdf(X, 0.7, 0.2), atol=1e-6)
    assert np.isfinite(jax.grad(lambda x: ring_sdf(x, 0.7, 0.2))(jnp.array([0.7, 0.0, 0.0]))).all()
    assert np.isfinite(jax.grad(lambda x: ring_sdf(x, 0.7, 0.2))(jnp.zeros(3))).all()
    assert np.isfinite(jax.grad(lambda x: cuboid_sdf(x, jnp.array(half)))(jnp.array(half))).all()


def test_union():
    x = X[:50]
    both = union(sphere_sdf(x, 0.5), box_sdf(x, (0.2, 0.9, 0.2)))
    np.testing.assert_array_equal(both, np.minimum(sphere_sdf(x, 0.5), box_sdf(x, (0.2, 0.9, 0.2))))
    np.testing.assert_array_equal(union(sphere_sdf(x, 0.5)), sphere_sdf(x, 0.5))


def test_points_are_on_the_surface_and_all_over_it():
    points = np.asarray(surface_points(lambda x: sphere_sdf(x, 0.7), 2000, jax.random.key(0)))
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 0.7, rtol=1e-5)
    octants = np.bincount((points > 0) @ [1, 2, 4], minlength=8)
    assert (np.abs(octants - 250) < 75).all()
    assert abs(np.mean(np.abs(points[:, 2])) - 0.35) < 0.02  # uniform in height (Archimedes)


def test_newton_steps():
    """A field that is no distance needs several."""
    field = lambda x: jnp.sum(x**2, -1) - 0.49  # noqa: E731
    x = X
    off = [float(np.abs(field(project(field, x, 50, steps=steps))).max()) for steps in (0, 1, 4)]
    assert off[0] > off[1] > 10 * off[2]
    still = project(lambda x: 0 * x[:, 0] + 1.0, x, 5, steps=3)
    np.testing.assert_array_equal(still, X[:5])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ellipsoid_sdf(jnp.zeros((2, 3)), jnp.array([1.0, 0.0, 1.0])), "semi_axes is"),
        (lambda: ellipsoid_sdf(jnp.zeros((2, 3)), jnp.ones(2)), "3 positive numbers"),
        (union, "at least one"),
        (lambda: union(jnp.zeros(2), jnp.zeros(3)), "one shape"),
        (lambda: surface_points(sphere_sdf, 0, jax.random.key(0)), "n is 0"),
        (lambda: surface_points(sphere_sdf, 5, jax.random.key(0), candidates=4), "candidates is 4"),
        (lambda: project(sphere_sdf, jnp.ones((3, 3)), 4, steps=1), "n is 4"),
    ],
)
def test_wrong_arguments(call, message, as_installed):
    with pytest.raises(ValueError, match=message):
        call()
