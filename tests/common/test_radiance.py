"""Radiance fields: one list of tests for every architecture, then rays, cameras, and the program that many runs share."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from quire.common.data.blob_scene import Blobs, blob_scene, look_through
from quire.common.data.scene_sizes import coarser
from quire.common.fields.hash_grid import hash_levels
from quire.common.fields.orbits import look_at, orbit_poses
from quire.common.fields.radiance import NETWORKS, HashField, MlpField, RadianceField, VMField, VoxelSHField
from quire.common.fields.ray_batches import NEAREST, PhotoBatch, mean_depth, photo_loss, render_rays, sample_rays, view_rays
from quire.common.testing import assert_degenerate, assert_dtypes
from quire.common.train.finite import TrainingDiverged
from quire.common.train.shared_program import cosine_rates, start, train_chunk

RNG = np.random.default_rng(0)
LEVELS = hash_levels(2, 3, 6, 6, 3)
FIELDS = {
    "hash": lambda rngs: HashField(LEVELS, hidden=8, rngs=rngs),
    "mlp": lambda rngs: MlpField(2, 3, 8, skip=1, encoded=5, hidden=8, rngs=rngs),
    "vm": lambda rngs: VMField((4, 5, 6), 2, 3, hidden=8, rngs=rngs),
    "voxel": lambda rngs: VoxelSHField((4, 5, 6), 2, rngs=rngs),
}


def larger(field):
    """The field with weights of about 1, so that every part counts."""
    graph, params = nnx.split(field)
    draw = np.random.default_rng(1)
    return nnx.merge(graph, jax.tree.map(lambda p: jnp.asarray(draw.uniform(-1, 1, p.shape), jnp.float32), params))


@pytest.fixture(scope="module")
def fields():
    return {name: larger(build(nnx.Rngs(0))) for name, build in FIELDS.items()}


CLIP = jnp.array([-2.0, 7.0])


def unit(n, seed=0):
    d = np.random.default_rng(seed).normal(size=(n, 3))
    return jnp.asarray(d / np.linalg.norm(d, axis=1, keepdims=True), jnp.float32)


POINTS, DIRECTIONS = jnp.asarray(RNG.uniform(-0.9, 0.9, (6, 3)), jnp.float32), unit(6)


@pytest.mark.parametrize("name", FIELDS)
def test_every_field(fields, name):
    """Shapes and ranges, one point at a time, and bounds of the density that may be traced."""
    field = fields[name]
    assert isinstance(field, RadianceField)
    ask = jax.jit(lambda x, d, clip: field(x, d, clip=clip))
    out = ask(POINTS, DIRECTIONS, CLIP)
    assert out.log_sigma.shape == out.sigma.shape == (6,)
    assert out.rgb.shape == (6, 3)
    assert 0 < float(out.rgb.min()) < float(out.rgb.max()) < 1
    np.testing.assert_allclose(out.sigma, np.exp(out.log_sigma), rtol=1e-5)
    if field.has_features:
        assert out.feat.shape == (6, 16)
        np.testing.assert_array_equal(out.feat[:, 0], out.log_sigma)
    else:
        assert out.feat is None
    order = np.array([3, 0, 5, 4, 1, 2])
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a[order], b, rtol=1e-4, atol=1e-6),
        out,
        ask(POINTS[order], DIRECTIONS[order], CLIP),
    )
    raw = field.features(POINTS)
    narrow = ask(POINTS, DIRECTIONS, jnp.array([-0.01, 0.01]))
    np.testing.assert_allclose(narrow.log_sigma, np.clip(raw[:, 0], -0.01, 0.01), rtol=1e-5)
    if field.has_features:
        others = np.clip(raw[:, 1:], -0.01, 0.01) if field.clips_features else raw[:, 1:]
        np.testing.assert_allclose(narrow.feat[:, 1:], others, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_depends_on_the_direction_and_learns(fields, name):
    field = fields[name]
    graph, params = nnx.split(field)

    @jax.jit
    def slopes(params, directions):
        def total(params, directions):
            out = nnx.merge(graph, params)(POINTS, directions)
            return jnp.sum(out.log_sigma) + jnp.sum(out.rgb * jnp.arange(1.0, 4)[None]), out

        return jax.grad(total, argnums=(0, 1), has_aux=True)(params, directions)

    (by_params, by_direction), out = slopes(params, DIRECTIONS)
    assert all(np.any(leaf) and np.isfinite(leaf).all() for leaf in jax.tree.leaves(by_params))
    assert np.any(by_direction)
    other = slopes(params, unit(6, 7))[1]
    np.testing.assert_array_equal(out.log_sigma, other.log_sigma)
    assert not np.allclose(out.rgb, other.rgb)


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_at_the_edges(fields, name):
    field = fields[name]

    def ask(x):
        out = field(x, jnp.broadcast_to(jnp.array([0.0, 0.6, 0.8]), (len(x), 3)))
        return out.log_sigma, out.rgb

    assert_dtypes(ask, POINTS[:3], tolerance=1e-4, dtypes=("int32", "bfloat16"))
    assert_degenerate(ask, POINTS[:3], scales=(1e-30, 1e4))


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_refuses(fields, name, as_installed):
    field = fields[name]
    for x, d, message in [
        (POINTS[:, :2], DIRECTIONS, r"x has shape \(6, 2\)"),
        (POINTS[0], DIRECTIONS[0], r"x has shape \(3,\)"),
        (POINTS, DIRECTIONS[:5], r"directions has shape \(5, 3\)"),
        (POINTS, 1.01 * DIRECTIONS, "unit vectors"),
        (1j * POINTS, DIRECTIONS, "real numbers"),
    ]:
        with pytest.raises(ValueError, match=message):
            field(x, d)
    field(POINTS, 1.0005 * DIRECTIONS)


def test_known_directions_are_looked_at_inside_of_a_program(fields, as_installed):
    """Directions that a traced function closes over are numbers, whatever the points are."""
    field, known, longer = fields["voxel"], DIRECTIONS, 1.5 * DIRECTIONS
    found = jax.jit(lambda x: field(x, known).rgb)(POINTS)
    np.testing.assert_allclose(found, field(POINTS, DIRECTIONS).rgb, rtol=1e-6)
    with pytest.raises(ValueError, match=r"differ from 1 by 0\.5"):
        jax.jit(lambda x: field(x, longer).rgb)(POINTS)


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_starts_as_it_should(name):
    """Grids by a normal law or close to zero, linear maps uniform within one over the root of their inputs."""
    field = FIELDS[name](nnx.Rngs(3))
    again = FIELDS[name](nnx.Rngs(3))
    jax.tree.map(np.testing.assert_array_equal, nnx.state(field), nnx.state(again))
    for net in NETWORKS:
        for matrix in getattr(field, net, ()):
            bound = len(matrix[...]) ** -0.5
            assert 0.7 * bound < np.abs(matrix[...]).max() <= bound
    if name == "hash":
        assert 9e-5 < np.abs(field.table[...]).max() <= 1e-4
    if name == "vm":
        np.testing.assert_allclose(np.std(np.concatenate([np.ravel(p[...]) for p in field.planes])), 0.1, rtol=0.15)
        np.testing.assert_allclose(np.std(np.concatenate([np.ravel(v[...]) for v in field.lines])), 0.1, rtol=0.3)
    if name == "voxel":
        np.testing.assert_allclose(np.std(field.grid[...]), 0.02, rtol=0.05)


def test_penalty_of_the_density_alone(fields):
    field = fields["vm"]
    expected = sum(np.abs(np.asarray(p[...])[..., :2]).mean() for p in [*field.planes, *field.lines])
    np.testing.assert_allclose(field.density_l1(), expected, rtol=1e-5)


def test_sizes_of_fields(as_installed):
    for build, message in [
        (partial(HashField, LEVELS, hidden=0), "hidden is 0"),
        (partial(HashField, LEVELS, table_features=0), "table_features is 0"),
        (partial(MlpField, depth=0), "depth is 0"),
        (partial(MlpField, depth=4, skip=3), "skip is 3"),
        (partial(VMField, (4, 1, 4)), "sizes is 1"),
        (partial(VMField, (4, 4, 4), 0), "density_rank is 0"),
        (partial(VoxelSHField, (4, 4, 0)), "sizes is 0"),
        (partial(VoxelSHField, (4, 4, 4), 5), "degree is 5"),
    ]:
        with pytest.raises(ValueError, match=message):
            build(rngs=nnx.Rngs(0))


# --- Rays ---


class Fog(RadianceField):
    """One density and one colour everywhere."""

    has_features = False

    def features(self, x):
        return jnp.tile(jnp.array([[np.log(0.7), 0.2, 0.5, 0.9]], x.dtype), (len(x), 1))

    def colour(self, features, directions):
        return features


AHEAD = jnp.array([[-3.0, 0, 0], [-3, 0, 0], [0, 0, 0]]), jnp.array([[1.0, 0, 0], [0, 1, 0], [1, 0, 0]])


def test_rays_through_fog():
    """Beer's law, whatever the number of samples; a ray that misses sees the background."""
    seen = jax.jit(lambda o, d: render_rays(Fog(), o, d, samples=5, offset=jnp.array([0.1, 0.5, 0.9]), background=0.25))(*AHEAD)
    length = np.array([2.0, 0.0, 1 - NEAREST])
    opacity = 1 - np.exp(-0.7 * length)
    np.testing.assert_allclose(seen.opacity, opacity, atol=1e-6)
    expected = opacity[:, None] * np.array([[0.2, 0.5, 0.9]]) + (1 - opacity)[:, None] * 0.25
    np.testing.assert_allclose(seen.rgb, expected, atol=1e-6)
    assert float(seen.depth[1]) == 0


def test_places_of_samples():
    along = sample_rays(*AHEAD, 4, jnp.array([0.0, 0.5, 1.0]))
    np.testing.assert_allclose(along.x[0, :, 0], [-1, -0.5, 0, 0.5], atol=1e-6)
    np.testing.assert_allclose(along.t[2], NEAREST + 0.2 * np.arange(1, 5), atol=1e-6)
    np.testing.assert_allclose(along.delta, np.tile(np.array([[0.5], [0], [0.2]]), (1, 4)), atol=1e-6)
    wide = sample_rays(2 * AHEAD[0], AHEAD[1], 4, jnp.array([0.0, 0.5, 1.0]), half_width=2.0)
    np.testing.assert_allclose(wide.x[0], along.x[0], atol=1e-6)
    weights = jnp.array([[0.1, 0.2, 0.3, 0.4]])
    np.testing.assert_allclose(
        mean_depth(weights, along.t[:1], along.near[:1], along.far[:1]), 0.25 * (0.2 + 0.6 + 1.2), rtol=1e-5
    )
    with pytest.raises(ValueError, match="samples is 0"):
        sample_rays(*AHEAD, 0)
    with pytest.raises(ValueError, match="half_width is 0"):
        sample_rays(*AHEAD, 2, half_width=0.0)


# --- Cameras and scenes ---


def test_cameras_on_a_sphere():
    poses = orbit_poses(jax.random.key(0), 600, 3.0)
    np.testing.assert_allclose(np.linalg.det(poses[:, :3, :3]), 1, rtol=1e-5)
    np.testing.assert_allclose(-3 * poses[:, :3, 2], -poses[:, :3, 3], atol=1e-5)  # the view leads to the origin
    assert (poses[:, 2, 1] > 0).all() and np.abs(poses[:, 2, 0]).max() < 1e-6  # upright
    degrees = np.degrees(np.arcsin(poses[:, 2, 3] / 3))
    np.testing.assert_allclose(degrees, np.round(degrees), atol=1e-3)
    assert degrees.min() > -1e-3 and degrees.max() < 79.5
    shares = np.array([(90 - a) // 15 + 1 for a in range(80)], float)
    np.testing.assert_allclose(degrees.mean(), (shares * np.arange(80)).sum() / shares.sum(), atol=3.5)
    for call, message in (
        (lambda: orbit_poses(jax.random.key(0), 0), "n is 0"),
        (lambda: orbit_poses(jax.random.key(0), 1, -1.0), "radius is -1"),
        (lambda: look_at(np.array([[0.0, 0, 2]])), "vertical"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_rays_of_views_meet_the_middle():
    origins, directions = view_rays(orbit_poses(jax.random.key(1), 2, 3.0), (3, 5), 4.0)
    assert origins.shape == directions.shape == (30, 3)
    middle = [7, 22]
    np.testing.assert_allclose(origins[middle] + 3 * directions[middle], 0, atol=1e-5)


def test_blobs_are_rendered_exactly():
    """Against compositing with very many samples."""
    blobs = Blobs(
        np.array([[0.1, 0, 0], [-0.3, 0.2, 0.1]]),
        np.array([0.2, 0.3]),
        np.array([9.0, 4.0]),
        np.array([[1.0, 0, 0], [0, 0.5, 1]]),
    )
    origins, directions = (np.asarray(a, float) for a in view_rays(orbit_poses(jax.random.key(1), 1, 2.0), (2, 2), 4.0))
    found = look_through(blobs, origins, directions)
    t = np.linspace(0, 5, 20_001)
    for i in range(4):
        x = origins[i] + t[:, None] * directions[i]
        each = blobs.density[None] * np.exp(-((x[:, None] - blobs.centers[None]) ** 2).sum(-1) / (2 * blobs.widths[None] ** 2))
        sigma = each.sum(1)
        behind = np.concatenate([[0], np.cumsum((sigma[1:] + sigma[:-1]) / 2 * np.diff(t))])
        colour = np.trapezoid(np.exp(-behind)[:, None] * (each @ blobs.colours), t, axis=0)
        np.testing.assert_allclose(found[i, 3], 1 - np.exp(-behind[-1]), atol=1e-4)
        np.testing.assert_allclose(found[i, :3] * found[i, 3], colour, atol=1e-4)
    scene = blob_scene(views=3, tests=2, size=8)
    assert scene.train.images.shape == (3, 8, 8, 4) and scene.test.poses.shape == (2, 4, 4)
    assert 0.02 < scene.train.images[..., 3].mean() < 0.9
    with pytest.raises(ValueError, match="views is 0"):
        blob_scene(views=0)


def test_coarser_views_keep_what_they_show():
    scene = blob_scene(views=2, tests=1, size=8)
    small = coarser(scene, 2, distance=0.8)
    for before, after in ((scene.train, small.train), (scene.test, small.test)):
        n = len(before.images)
        np.testing.assert_allclose(after.over(0.3), before.over(0.3).reshape(n, 4, 2, 4, 2, 3).mean((2, 4)), atol=1e-6)
        np.testing.assert_allclose(after.poses[:, :3, 3], 0.8 * before.poses[:, :3, 3], rtol=1e-6)
    assert small.focal == scene.focal / 2
    with pytest.raises(ValueError, match="factor is 3"):
        coarser(scene, 3)


# --- The shared program ---


def photo_error(field, batch, clip):
    return photo_loss(field, batch, samples=4, clip=clip)


def photographs(steps, seed=0):
    origins, directions = view_rays(orbit_poses(jax.random.key(seed), 1, 3.0), (2, 2), 4.0)
    tile = lambda a: np.broadcast_to(a, (steps, *a.shape))  # noqa: E731
    colours = np.linspace(0.1, 0.9, 12, dtype=np.float32).reshape(4, 3)
    return PhotoBatch(tile(origins), tile(directions), np.full((steps, 4), 0.5, np.float32), tile(colours))


def test_one_program_serves_many_runs():
    """Rates decide by group; a rate of zero freezes; photographs are learned; a second run compiles nothing."""
    run = start(FIELDS["voxel"](nnx.Rngs(0)))
    clip = np.array([-2.0, 7.0], np.float32)
    rates = cosine_rates([0.1], 30)
    after, course = train_chunk(run, photo_error, photographs(30), rates, clip)
    assert course.losses.shape == course.gradients.shape == (30,)
    assert course.losses[-1] < 0.5 * course.losses[0] and course.gradients[0] > 0
    still, _ = train_chunk(run, photo_error, photographs(30), 0 * rates, clip)
    jax.tree.map(np.testing.assert_array_equal, still.params, run.params)
    first, _ = train_chunk(run, photo_error, jax.tree.map(lambda a: a[:15], photographs(30)), rates[:15], clip)
    second, _ = train_chunk(first, photo_error, jax.tree.map(lambda a: a[15:], photographs(30)), rates[15:], clip)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), second.params, after.params)
    out = after.model(POINTS, DIRECTIONS)
    assert np.isfinite(out.rgb).all()


def test_step_is_that_of_adam():
    run = start(nnx.Linear(1, 1, use_bias=False, rngs=nnx.Rngs(0)))
    weight = run.model.kernel[...].item()
    slope = lambda model, batch, _: jnp.sum(model.kernel[...]) * batch  # noqa: E731
    after, course = train_chunk(run, slope, np.array([3.0, 1.0], np.float32), [[0.1], [0.2]], decay=0.5)
    expected = weight - 0.1 * (1 + 0.5 * weight)
    m, v = (0.09 * 3 + 0.1) / (1 - 0.81), (0.99 * 0.01 * 9 + 0.01) / (1 - 0.99**2)
    m = (0.9 * 0.1 * 3 + 0.1 * 1) / (1 - 0.9**2)
    expected -= 0.2 * (m / v**0.5 + 0.5 * expected)
    np.testing.assert_allclose(after.model.kernel[...].item(), expected, rtol=1e-5)
    np.testing.assert_allclose(course.gradients, [3, 1])


def test_program_refuses():
    run = start(nnx.Linear(1, 1, use_bias=False, rngs=nnx.Rngs(0)))
    loss = lambda model, batch, _: jnp.log(batch) * jnp.sum(model.kernel[...])  # noqa: E731
    with pytest.raises(ValueError, match="same number of steps"):
        train_chunk(run, loss, np.ones(3, np.float32), np.ones((2, 1)))
    with pytest.raises(ValueError, match="not parameters"):
        start(nnx.BatchNorm(2, rngs=nnx.Rngs(0)))
    with jax.debug_nans(False), pytest.raises(TrainingDiverged, match="step 11"):
        train_chunk(run, loss, np.array([1.0, -1.0], np.float32), np.zeros((2, 1)), first_step=10)


def test_rates_fall():
    rates = cosine_rates([2.0, 1.0], 10, floor=0.1)
    assert rates.shape == (10, 2) and rates[0].tolist() == [2, 1]
    np.testing.assert_array_equal(
        np.concatenate([cosine_rates([2.0, 1.0], 5, total=10, first=f, floor=0.1) for f in (0, 5)]), rates
    )
    assert (np.diff(rates, axis=0) < 0).all() and rates[-1, 0] > 0.2


def test_a_run_that_ends_in_infinity_is_refused():
    run = start(nnx.Linear(1, 1, use_bias=False, rngs=nnx.Rngs(0)))
    loss = lambda model, batch, _: batch * jnp.sum(model.kernel[...])  # noqa: E731
    with jax.debug_nans(False), pytest.raises(TrainingDiverged, match=r"params\.kernel is not finite after steps 4 to 4"):
        train_chunk(run, loss, np.ones(1, np.float32), np.full((1, 1), 3e38), decay=1e5, first_step=4)
