"""Mosaic-SDF: matrices of mosaics, the network, flows and what they generate."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from quire.common.testing import (
    assert_close,
    assert_equivariant,
)
from quire.common.train.flow_matching import integrate
from quire.mosaic_sdf import (
    PRESETS,
    MosaicSDF,
    SetTransformer,
    Statistics,
    draw_family,
    evaluate,
    family_sdf,
    flow_matching_loss,
    from_matrix,
    from_patches,
    initial_mosaic,
    mosaic_clouds,
    open_shape,
    points_of,
    sample,
    statistics,
    to_matrix,
    to_patches,
)
from quire.mosaic_sdf.claims import gaussian_velocity
from quire.mosaic_sdf.experiments import network as network_of
from quire.mosaic_sdf.shapes import torus
from quire.mosaic_sdf.transformer import drawn

KEY = jax.random.key(0)
PRECISIONS = pytest.mark.parametrize(
    ("dtype", "tolerance"), [(jnp.float64, 1e-10), (jnp.float32, 1e-5)], ids=["float64", "float32"]
)


@pytest.fixture
def draw():
    return np.random.default_rng(0)


def random_mosaic(draw, n=7, k=4, dtype=np.float32):
    arrays = draw.uniform(-0.5, 0.5, (n, 3)), draw.uniform(0.3, 0.7, n), draw.standard_normal((n, k, k, k))
    return MosaicSDF(*(jnp.asarray(x, dtype) for x in arrays))


# --- Matrices ---


def test_matrices_and_back(draw):
    several = MosaicSDF(*(jnp.stack(a) for a in zip(*(random_mosaic(draw, k=3) for _ in range(4)), strict=True)))
    stats = statistics(several)
    x = to_matrix(several, stats)
    assert x.shape == (4, 7, 31)
    for block in (x[..., :3], x[..., 3], x[..., 4:]):
        np.testing.assert_allclose((np.mean(block), np.std(block)), (0, 1), atol=1e-5)
    for a, b in zip(from_matrix(x, stats), several, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    raw = to_matrix(several)
    np.testing.assert_array_equal(raw[1, 2, :4], [*np.asarray(several.centers)[1, 2], np.asarray(several.scales)[1, 2]])
    np.testing.assert_array_equal(raw[1, 2, 4:], np.asarray(several.values)[1, 2].ravel())
    assert float(from_matrix(x - 9, stats, smallest_scale=0.05).scales.min()) == pytest.approx(0.05)


def test_patches(draw):
    grid = draw.standard_normal((2, 6, 6, 6))
    rows = to_patches(grid, 2)
    np.testing.assert_array_equal(rows[1, 1], grid[1, :2, :2, 2:4].ravel())
    np.testing.assert_array_equal(rows[1, 9], grid[1, 2:4, :2, :2].ravel())
    np.testing.assert_array_equal(from_patches(rows), grid)


# --- The network and the flow ---


@pytest.fixture(scope="module")
def network():
    return SetTransformer(12, width=16, layers=2, heads=2, n_classes=3, rngs=nnx.Rngs(0))


def test_the_network_is_equivariant(network, draw):
    x, t, classes = jnp.asarray(draw.standard_normal((2, 5, 12)), jnp.float32), jnp.array([0.2, 0.7]), jnp.array([1, 2])
    orders = [draw.permutation(5) for _ in range(2)]
    act = lambda g, x: x[:, g]  # noqa: E731
    velocity = jax.jit(lambda x: network(x, t, classes))
    assert_equivariant(velocity, x, elements=orders, act_in=act, act_out=act, tolerance=1e-5)
    placed = SetTransformer(12, width=16, layers=1, heads=2, n_classes=3, positions=5, rngs=nnx.Rngs(0))
    with pytest.raises(AssertionError):
        assert_equivariant(lambda x: placed(x, t, classes), x, elements=orders, act_in=act, act_out=act, tolerance=1e-5)


def test_the_network_sees_time_and_class(network, draw):
    x = jnp.asarray(draw.standard_normal((1, 5, 12)), jnp.float32)
    velocity = jax.jit(lambda x, t, classes: network(x, t, classes))
    one = velocity(x, jnp.array([0.2]), jnp.array([1]))
    assert np.abs(velocity(x, jnp.array([0.3]), jnp.array([1])) - one).max() > 1e-3
    assert np.abs(velocity(x, jnp.array([0.2]), jnp.array([2])) - one).max() > 1e-3
    np.testing.assert_array_equal(network(x, jnp.array([0.2]), None), network(x, jnp.array([0.2]), jnp.array([3])))


def test_weights_are_drawn_on_the_host():
    model = drawn(partial(network_of, replace(PRESETS["quick"].generation, width=64, layers=1), 31, 3, 24), KEY)
    kernel = np.asarray(model.blocks[0].mlp.up.kernel[...])
    assert kernel.std() == pytest.approx(1 / 8, rel=0.05)
    assert np.abs(model.blocks[0].mlp.up.bias[...]).max() == 0
    assert np.asarray(model.norm.scale[...]).min() == 1
    assert np.asarray(model.positions[...]).std() == pytest.approx(0.02, rel=0.1)
    assert model(jnp.zeros((1, 24, 31)), jnp.zeros(1)).shape == (1, 24, 31)


def test_dropped_conditions(network, draw):
    """All dropped is unconditional; none dropped depends on the class."""
    x1 = jnp.asarray(draw.standard_normal((4, 5, 12)), jnp.float32)
    loss = jax.jit(lambda classes, dropout: flow_matching_loss(network, x1, KEY, classes, dropout), static_argnums=1)
    free = flow_matching_loss(network, x1, KEY)
    np.testing.assert_allclose(loss(jnp.zeros(4, int), 1.0), free, rtol=1e-5)
    kept = loss(jnp.zeros(4, int), 0.0)
    assert abs(float(kept - free)) > 1e-4
    assert abs(float(loss(jnp.ones(4, int), 0.0) - kept)) > 1e-5


def test_samples_of_a_model(network):
    classes = np.array([0, 2], np.int32)
    made = sample(network, KEY, 6, classes, steps=2, guidance=1.5)
    assert made.values.shape == (2, 6, 2, 2, 2)
    assert float(made.scales.min()) >= 0.05 - 1e-6
    x0 = np.random.default_rng(np.asarray(jax.random.key_data(KEY))).standard_normal((2, 6, 12)).astype(np.float32)

    def v(x, t):
        t = jnp.full(2, t)
        return -0.5 * network(x, t, None) + 1.5 * network(x, t, jnp.asarray(classes))

    x = jnp.asarray(x0)
    for t in (0.0, 0.5):
        x = x + 0.5 * v(x + 0.25 * v(x, t), t + 0.25)
    np.testing.assert_allclose(made.values.reshape(2, 6, 8), x[..., 4:], rtol=1e-3, atol=1e-4)
    stats = Statistics(np.array([1.0, 0.0, 0.0], np.float32), np.array([2.0, 1.0, 1.0], np.float32))
    again = sample(network, KEY, 6, classes, steps=2, guidance=1.5, statistics=stats)
    assert_close(again.centers, 1 + 2 * x[..., :3], 1e-4)


def test_clouds_lie_on_the_surface():
    points = points_of(open_shape("torus"), 500, KEY)
    m = initial_mosaic(torus, points, 30, 4)
    u = np.random.default_rng(0).uniform(-0.9, 0.9, (30, 6, 3)).astype(np.float32)
    found = mosaic_clouds(jax.tree.map(lambda a: a[None], m), u, 40)[0]
    assert found.shape == (40, 3)
    np.testing.assert_allclose(evaluate(m, found)[0], 0, atol=1e-3)
    apart = np.linalg.norm(found[:, None] - found[None], axis=-1) + 9 * np.eye(40)
    assert apart.min() > 0.05


@pytest.mark.parametrize(("mu", "sigma"), [(0.0, 0.2), (-1.0, 1.7)])
def test_the_midpoint_rule_is_of_third_order_on_gaussian_flows(mu, sigma):
    """About the mean they are `y' = D' / (2 D) y` with quadratic D: the errors of second order cancel."""
    with jax.enable_x64():
        velocity, z = partial(gaussian_velocity, mu=mu, sigma=sigma), jnp.linspace(-2, 2, 5)
        errors = [float(np.abs(integrate(velocity, z, steps) - (mu + sigma * z)).max()) for steps in (20, 40)]
    assert errors[0] / errors[1] == pytest.approx(8, rel=0.1)


def test_families():
    drawn = draw_family(2, KEY)
    assert drawn.labels.tolist() == [0, 0, 1, 1, 2, 2]
    for label, sizes in zip(drawn.labels, drawn.sizes, strict=True):
        first = {0: sizes[0], 1: sizes[0], 2: sizes[0] + sizes[1]}[int(label)]
        x = jnp.array([[first, 0.0, 0.0], [first + 0.25, 0.0, 0.0]])
        np.testing.assert_allclose(family_sdf(jnp.asarray(label), jnp.asarray(sizes), x), [0, 0.25], atol=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda v, x: v(x, jnp.zeros(1)), "x has shape"),
        (lambda v, x: v(x[..., :5], jnp.zeros(2)), "x has shape"),
        (lambda v, x: v(x, jnp.zeros(2), jnp.zeros(1, int)), "classes has shape"),
        (lambda v, x: v(x, jnp.zeros(2), jnp.array([0, 4])), "classes runs from 0 to 4"),
        (lambda v, x: sample(v, KEY, 0, np.zeros(1, int)), "n is 0"),
        (lambda v, x: sample(v, KEY, 2, np.array([3])), "classes runs from 3"),
        (lambda v, x: sample(v, KEY, 2, np.zeros(1, int), steps=0), "steps is 0"),
    ],
)
def test_wrong_calls_of_the_network(call, message, network, as_installed):
    with pytest.raises(ValueError, match=message):
        call(network, jnp.zeros((2, 4, 12)))
