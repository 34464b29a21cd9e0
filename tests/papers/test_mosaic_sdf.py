"""Mosaic-SDF: golden parity, the blend as mathematics, fitting, matrices, the network, generation, presets."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quire.common.fields.surfaces import box_sdf, farthest_points, sphere_sdf
from quire.common.metrics.point_clouds import chamfer, earth_mover, set_metrics
from quire.common.testing import (
    assert_close,
)
from quire.common.train.flow_matching import flow_loss, guided, integrate, linear_path
from quire.mosaic_sdf import (
    MosaicSDF,
    evaluate,
    grid_nodes,
    initial_mosaic,
    interpolate,
    min_cover_scale,
    mosaic,
    raw_weights,
)
from quire.mosaic_sdf.claims import gaussian_velocity

KEY = jax.random.key(0)
PRECISIONS = pytest.mark.parametrize(
    ("dtype", "tolerance"), [(jnp.float64, 1e-10), (jnp.float32, 1e-5)], ids=["float64", "float32"]
)


@pytest.fixture(scope="module")
def vectors(golden):
    return golden("mosaic_sdf")


@pytest.fixture
def draw():
    return np.random.default_rng(0)


def random_mosaic(draw, n=7, k=4, dtype=np.float32):
    arrays = draw.uniform(-0.5, 0.5, (n, 3)), draw.uniform(0.3, 0.7, n), draw.standard_normal((n, k, k, k))
    return MosaicSDF(*(jnp.asarray(x, dtype) for x in arrays))


# --- Golden vectors ---


@PRECISIONS
def test_golden_field(vectors, dtype, tolerance):
    with jax.enable_x64(dtype == jnp.float64):
        m = mosaic(*(jnp.asarray(vectors[f"ms_{name}"], dtype) for name in ("centers", "scales", "values")))
        x = jnp.asarray(vectors["ms_x"], dtype)
        weights = raw_weights(m, x)
        assert_close(weights, vectors["ms_raw_weights"], tolerance)
        assert_close(interpolate(m, x), vectors["ms_interp"], tolerance)
        for neighbours in (None, int((vectors["ms_raw_weights"] > 0).sum(1).max())):
            value, covered = evaluate(m, x, outside=0.0, neighbours=neighbours)
            assert value.dtype == dtype
            np.testing.assert_array_equal(covered, vectors["ms_covered"])
            assert_close(value, vectors["ms_sdf"], tolerance)
        nodes = grid_nodes(m.centers, m.scales, m.values.shape[-1])
        plane = nodes @ jnp.asarray(vectors["aff_a"], dtype) + jnp.asarray(vectors["aff_b"], dtype)
        assert_close(plane, vectors["aff_values"], tolerance)
        assert_close(m._replace(values=plane).sdf(x, 0.0)[0], vectors["aff_sdf"], tolerance)
        half = tuple(vectors["box_half"].tolist())
        assert_close(box_sdf(nodes, half), vectors["box_values"], tolerance)


@PRECISIONS
def test_golden_centres(vectors, dtype, tolerance):
    with jax.enable_x64(dtype == jnp.float64):
        points, n = jnp.asarray(vectors["fps_points"], dtype), len(vectors["fps_idx"])
        index = farthest_points(points, n, int(vectors["fps_first"]))
        np.testing.assert_array_equal(index, vectors["fps_idx"])
        assert_close(min_cover_scale(points, points[index]), vectors["fps_min_cover_scale"], tolerance)
        start = int(vectors["fps_first"])
        placed = initial_mosaic(sphere_sdf, points, n, 2, margin=1.5, start=start)
        np.testing.assert_array_equal(placed.centers, points[index])
        assert_close(placed.scales, np.full(n, 1.5 * vectors["fps_min_cover_scale"]), tolerance)


@PRECISIONS
def test_golden_flow(vectors, dtype, tolerance):
    with jax.enable_x64(dtype == jnp.float64):
        x0, x1, t, v = (jnp.asarray(vectors[f"fm_{name}"], dtype) for name in ("x0", "x1", "t", "v"))
        path = linear_path(x0, x1, t)
        assert_close(path.x, vectors["fm_xt"], tolerance)
        assert_close(path.velocity, vectors["fm_target"], tolerance)
        assert_close(flow_loss(lambda x, t: v, x0, x1, t), vectors["fm_loss"], tolerance)
        mu, sigma = (float(vectors[f"ode_{name}"]) for name in ("mu", "sigma"))
        z = jnp.asarray(vectors["ode_z0"], dtype)
        velocity = partial(gaussian_velocity, mu=mu, sigma=sigma)
        assert_close(integrate(velocity, z, int(vectors["ode_steps"]), "midpoint"), vectors["ode_midpoint"], tolerance)
        assert_close(mu + sigma * z, vectors["ode_exact"], tolerance)
        both = {None: vectors["cfg_uncond"], "class": vectors["cfg_cond"]}
        of = guided(lambda x, t, condition: jnp.asarray(both[condition], dtype), float(vectors["cfg_w"]))
        assert_close(of(None, None, "class"), vectors["cfg_out"], tolerance)


@PRECISIONS
def test_golden_metrics(vectors, dtype, tolerance):
    with jax.enable_x64(dtype == jnp.float64):
        clouds = {name: jnp.asarray(vectors[f"m_{name}"], dtype) for name in ("gen", "ref")}
        distances = {
            "cd_mean": jax.jit(chamfer),
            "cd_sum": jax.jit(partial(chamfer, reduce="sum")),
            "emd_mean": earth_mover,
        }
        for name, distance in distances.items():

            def pairs(a, b, distance=distance):
                return np.array([[distance(x, y) for y in clouds[b]] for x in clouds[a]], np.float64)

            across = pairs("gen", "ref")
            assert_close(across, vectors[f"m_{name}_gen_ref"], tolerance)
            found = set_metrics(pairs("gen", "gen"), across, pairs("ref", "ref"))
            expected = [vectors[f"m_{name}_{metric}"] for metric in ("mmd", "cov", "1nna")]
            np.testing.assert_allclose(list(found), expected, rtol=tolerance)


def test_every_golden_array_is_read(vectors, monkeypatch):
    """By the tests above, in float32."""
    read = set()
    take = type(vectors).__getitem__
    monkeypatch.setattr(type(vectors), "__getitem__", lambda self, name: (read.add(name), take(self, name))[1])
    for test in (test_golden_field, test_golden_centres, test_golden_flow, test_golden_metrics):
        test.__wrapped__(vectors, jnp.float32, 1e-5) if hasattr(test, "__wrapped__") else test(vectors, jnp.float32, 1e-5)
    assert read == set(vectors.arrays)
