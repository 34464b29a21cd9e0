"""PVD: the authors' vectors, the mathematics as properties, distillation, editing, errors, presets."""

import json
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from quire.common.claims import run
from quire.common.data.blob_scene import blob_scene
from quire.common.errors import DatasetCorrupt, DatasetUnavailable
from quire.common.fields.encodings import sh_encoding
from quire.common.fields.hash_grid import hash_encode
from quire.common.fields.ray_batches import mean_depth, sample_rays
from quire.common.fields.rendering import composite, ray_box, trunc_exp
from quire.common.testing import assert_degenerate
from quire.pvd import (
    KINDS as OURS,
)
from quire.pvd import (
    PRESETS,
    TERMS,
    Distillation,
    FieldConfig,
    History,
    Rates,
    RayTargets,
    Recorded,
    SceneConfig,
    Training,
    authors_levels,
    box_of_nodes,
    brute_force,
    build_field,
    colours,
    decibels,
    distance,
    distill,
    distillation_loss,
    erase_box,
    interpolated_poses,
    judged_rays,
    load_hash,
    load_mlp,
    load_vm,
    load_voxels,
    mean_opacity,
    nerf_synthetic,
    occupied_box,
    opacity_at,
    open_scene,
    paper,
    photograph_weights,
    poses_in_box,
    random_orbit_poses,
    random_rays,
    record,
    render_view,
    share_networks,
    shrink,
    sizes_of,
    stage_weights,
    train_teacher,
    upsample,
    upsampling_sizes,
    volume_terms,
)
from quire.pvd.config import QUICK_RATES
from quire.pvd.distillation import check_record
from quire.pvd.experiments import steps_to

PRECISIONS = [pytest.param(jnp.float64, 1e-9, id="float64"), pytest.param(jnp.float32, 1e-4, id="float32")]
KINDS = ("hash", "mlp", "vm", "tensors")


@pytest.fixture(scope="module")
def vectors(golden):
    return golden("pvd")


def close(found, expected, tolerance):
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max(initial=0))


def golden_field(vectors, kind, dtype):
    """A field with the weights of the vectors."""
    prefix = f"{kind}_w."
    state = {name[len(prefix) :]: x.astype(dtype) for name, x in vectors.arrays.items() if name.startswith(prefix)}
    if kind == "hash":
        levels, _, base, log2_size, finest = (int(n) for n in vectors["hash_cfg"])
        state["encoder.embeddings"] = state.pop("emb")
        return cast(load_hash(state, authors_levels(levels, base, finest, log2_size)), dtype, state)
    return cast({"mlp": load_mlp, "vm": load_vm, "tensors": load_voxels}[kind](state), dtype, state)


def cast(field, dtype, state):
    assert all(leaf.dtype == dtype for leaf in jax.tree.leaves(nnx.state(field)))
    return field


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_golden_fields(vectors, kind, dtype, tolerance):
    with jax.enable_x64(dtype == jnp.float64):
        field = golden_field(vectors, kind, dtype)
        x, d = (jnp.asarray(vectors[name], dtype) for name in "xd")
        out, raw = jax.jit(lambda x, d: (field(x, d), field.features(x)))(x, d)
        assert out.rgb.dtype == dtype
        close(out.log_sigma, vectors[f"{kind}_sigma_feat"], tolerance)
        close(out.sigma, vectors[f"{kind}_sigma"], tolerance)
        close(out.rgb, vectors[f"{kind}_rgb"], tolerance)
        if kind == "tensors":
            assert out.feat is None
            close(raw, vectors["tensors_raw"], tolerance)
        else:
            close(out.feat, vectors[f"{kind}_feat"], tolerance)
        if kind == "vm":
            close(raw[:, 0], vectors["vm_sigma_feat_raw"], tolerance)
            close(raw[:, 1:], vectors["vm_color_feat_raw"], tolerance)
            close(field.density_l1(), vectors["vm_l1"], tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_golden_encodings(vectors, dtype, tolerance):
    with jax.enable_x64(dtype == jnp.float64):
        x, d = (jnp.asarray(vectors[name], dtype) for name in "xd")
        close(sh_encoding(d, 3), vectors["sh3"], tolerance)
        close(sh_encoding(d, 4), vectors["sh4"], tolerance)
        levels, _, base, log2_size, finest = (int(n) for n in vectors["hash_cfg"])
        found = authors_levels(levels, base, finest, log2_size)
        np.testing.assert_array_equal(found.offsets, vectors["hash_offsets"])
        np.testing.assert_array_equal(np.array(found.sides) - 1, vectors["hash_res"])
        table = jnp.asarray(vectors["hash_w.emb"], dtype)
        close(hash_encode(table, (x + 1) / 2, found), vectors["hash_enc"], tolerance)
        t = jnp.asarray(vectors["trunc_x"], dtype)
        np.testing.assert_allclose(trunc_exp(t), vectors["trunc_y"], rtol=tolerance)
        np.testing.assert_allclose(jax.vmap(jax.grad(trunc_exp))(t), vectors["trunc_grad"], rtol=tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_golden_rendering(vectors, dtype, tolerance):
    with jax.enable_x64(dtype == jnp.float64):
        names = ("sigma", "rgb", "delta", "bg", "t", "near", "far")
        sigma, rgb, delta, background, t, near, far = (jnp.asarray(vectors[f"vr_{n}"], dtype) for n in names)
        pixels = composite(sigma, rgb, delta, background)
        close(pixels.weights, vectors["vr_weights"], tolerance)
        close(pixels.rgb, vectors["vr_image"], tolerance)
        close(mean_depth(pixels.weights, t, near, far), vectors["vr_depth"], tolerance)
        o, d = (jnp.asarray(vectors[f"aabb_{n}"], dtype) for n in "od")
        near, far, hit = ray_box(o, d)
        expected = vectors["aabb_nearfar_hit"]
        np.testing.assert_allclose(np.stack([near, far], 1), expected[:, :2], rtol=tolerance)
        np.testing.assert_array_equal(hit, expected[:, 2] > 0)


# --- Losses and stages ---


def draws(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_golden_losses(vectors, dtype, tolerance):
    with jax.enable_x64(dtype == jnp.float64):
        x, d = (jnp.asarray(vectors[name], dtype) for name in "xd")
        student, teacher = (jax.jit(golden_field(vectors, kind, dtype))(x, d) for kind in ("mlp", "hash"))
        terms = volume_terms(student, teacher)
        for ours, theirs in {"feat": "fea", "rgb": "color", "log_sigma": "sigma"}.items():
            close(terms[ours], vectors[f"loss_{theirs}_mlp_from_hash"], tolerance)


def test_distances_by_definition():
    a, b = draws(5, 3), 2 * draws(5, 3, seed=1)
    d = (a - b).astype(float).ravel()
    expected = {
        "normL2": np.sqrt((d**2).sum()),
        "normL1": np.abs(d).sum(),
        "L2": (d**2).mean(),
        "smoothL1": np.mean([x**2 / 2 if abs(x) < 1 else abs(x) - 0.5 for x in d]),
    }
    for kind, value in expected.items():
        np.testing.assert_allclose(distance(jnp.asarray(a), jnp.asarray(b), kind), value, rtol=1e-5)
    with jax.debug_nans(False):
        assert np.isnan(np.asarray(distance(jnp.array([jnp.nan]), jnp.zeros(1))))
    slope = jax.grad(lambda x: distance(x, jnp.asarray(b)))(jnp.asarray(b))
    np.testing.assert_array_equal(slope, 0)


def test_distances_at_the_edges(as_installed):
    for kind in ("normL2", "L2"):
        assert_degenerate(lambda a, b, k=kind: distance(a, b, k), draws(3, 2), draws(3, 2, seed=1), scales=(1e-15, 1e6))
    with pytest.raises(ValueError, match=r"a has shape \(2,\) and b \(1,\)"):
        distance(jnp.ones(2), jnp.ones(1))
    with pytest.raises(ValueError, match="kind is 'L3'"):
        distance(jnp.ones(2), jnp.ones(2), "L3")


def column(weights, name):
    return weights[:, TERMS.index(name)]


def test_stages():
    w = stage_weights(8, (2, 5))
    np.testing.assert_allclose(column(w, "feat"), 0.002 * 0.995 ** np.arange(1, 9), rtol=1e-6)
    for name in ("rgb", "log_sigma"):
        np.testing.assert_allclose(column(w, name), 0.002 * (np.arange(8) >= 2), rtol=1e-6)
    np.testing.assert_array_equal(column(w, "image"), np.arange(8) >= 5)
    np.testing.assert_allclose(column(w, "density_l1"), 1e-4 * (np.arange(8) >= 5), rtol=1e-6)
    assert not column(w, "sigma").any() and not column(w, "mse").any()
    assert column(stage_weights(2000, (2000, 5000)), "feat")[-1] < 1e-7


def test_courses_of_ablations():
    full = stage_weights(8, (2, 5))
    no_first = stage_weights(8, (2, 5), course="no stage 1")
    assert column(no_first, "rgb").all()
    np.testing.assert_array_equal(column(no_first, "image"), column(full, "image"))
    at_once = stage_weights(8, (2, 5), course="all at once")
    assert all(column(at_once, name).all() for name in ("feat", "rgb", "log_sigma", "image"))
    alone = stage_weights(8, (2, 5), course="image only")
    assert column(alone, "image").all() and not any(column(alone, name).any() for name in ("feat", "rgb", "log_sigma", "sigma"))
    raw = stage_weights(8, (2, 5), course="raw density")
    np.testing.assert_array_equal(column(raw, "sigma"), column(full, "log_sigma"))
    assert not column(raw, "log_sigma").any()
    voxels = stage_weights(8, (2, 5), has_features=False)
    assert column(voxels, "rgb").all() and not column(voxels, "feat").any()
    photos = photograph_weights(3, 0.5)
    assert column(photos, "mse").tolist() == [1, 1, 1] and column(photos, "density_l1").tolist() == [0.5] * 3
    assert photos.sum() == 4.5


# --- Small fields ---

SIZES = FieldConfig(2, 3, 6, 6, 2, 3, 8, 1, 5, 2, 3, 8, 3, 8)
SHORT = Training(6, 8, 4, QUICK_RATES, floor=0.02, decay=0.0, chunk=3, random_background=False)
CAMERA = ((8, 8), 11.0)
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def small():
    """Untrained fields with weights of about 1."""
    found = {}
    for kind in OURS:
        graph, params = nnx.split(build_field(kind, SIZES, rngs=nnx.Rngs(0)))
        draw = np.random.default_rng(1)
        found[kind] = nnx.merge(
            graph, jax.tree.map(lambda p, r=draw: jnp.asarray(r.uniform(-1, 1, p.shape), jnp.float32), params)
        )
    return found


def test_loss_is_the_weighted_sum(small):
    """Against the terms one by one, composited by loops."""
    student, teacher = small["vm"], small["hash"]
    rays = random_rays(KEY, random_orbit_poses(2.5), 8, *CAMERA)
    kept = record(teacher, *rays, samples=4)
    own = record(student, *rays, samples=4)
    background = np.random.default_rng(0).random((8, 3)).astype(np.float32)
    weights = np.array([0.3, 0.5, 0.7, 0.2, 1.1, 1.3, 0.9], np.float32)
    image = kept.light + (1 - kept.opacity)[:, None] * background
    points = [a.reshape(32, *a.shape[2:]) for a in (kept.feat, kept.log_sigma, kept.rgb)]
    targets = RayTargets(*rays, background, image, *points, weights)
    found = distillation_loss(4)(student, jax.tree.map(jnp.asarray, targets), jnp.array([-2.0, 7.0]))
    norm = lambda a, b: np.sqrt(((a - b).astype(float) ** 2).sum())  # noqa: E731
    seen = own.light + (1 - own.opacity)[:, None] * background
    terms = [
        norm(own.feat, kept.feat),
        norm(own.rgb, kept.rgb),
        norm(own.log_sigma, kept.log_sigma),
        norm(np.exp(own.log_sigma), np.exp(kept.log_sigma)),
        norm(seen, image),
        ((seen - image) ** 2).mean(),
        float(student.density_l1()),
    ]
    np.testing.assert_allclose(found, np.dot(weights, terms), rtol=1e-4)
    for i in range(8):
        samples = sample_rays(*(jnp.asarray(a[i : i + 1]) for a in rays[:2]), 4, jnp.asarray(rays[2][i : i + 1]))
        weight, colour = brute_force.ray(np.exp(own.log_sigma[i]), own.rgb[i], np.asarray(samples.delta[0]), np.zeros(3))
        np.testing.assert_allclose(own.light[i], colour, atol=1e-5)
        np.testing.assert_allclose(own.opacity[i], weight.sum(), atol=1e-5)


def test_distillation_teaches_and_shares_one_program(small):
    """Pool and live teacher, a frozen network, an ablation: all lower the loss, by the same compiled chunk."""
    teacher, start = small["hash"], build_field("hash", SIZES, rngs=nnx.Rngs(5))
    config = Distillation(replace(SHORT, steps=30), stages=(3, 6), pool=64)
    cameras = random_orbit_poses(2.5)
    rays = random_rays(jax.random.key(9), cameras, 50, *CAMERA)
    truth = record(teacher, *rays, samples=4).over()
    before = decibels(record(start, *rays, samples=4).over(), truth)
    run = partial(distill, teacher, start, "hash", cameras, CAMERA)
    for options in ({}, {"course": "image only"}, {"fix_networks": True}, {"live": True}):
        live = replace(config, pool=0) if options.pop("live", False) else config
        learned, history = run(live, KEY, **options)
        assert decibels(record(learned, *rays, samples=4).over(), truth) > before + 1
        assert history.losses.shape == history.gradients.shape == (30,)
    frozen, _ = run(config, KEY, fix_networks=True)
    for name in ("sigma_net", "color_net"):
        for own, given in zip(getattr(frozen, name), getattr(teacher, name), strict=True):
            np.testing.assert_array_equal(own[...], given[...])
    assert not np.allclose(frozen.table[...], start.table[...])
    same, _ = run(config, KEY)
    again, history = run(config, KEY, watch=lambda model: float(model.table[...].sum()))
    jax.tree.map(np.testing.assert_array_equal, nnx.state(same), nnx.state(again))
    assert [step for step, _ in history.watched] == list(range(3, 31, 3))


def test_a_length_and_a_loss_are_the_same_however_written():
    """Stages keep their shares; a loss is one object, or every run would compile anew."""
    longer = Distillation(SHORT, stages=(1, 3)).lasting(12)
    assert (longer.training.steps, longer.stages) == (12, (2, 6))
    assert distillation_loss(4) is distillation_loss(4, "normL2") is distillation_loss(4, kind="normL2")
    assert distillation_loss(4) is not distillation_loss(5)


def test_teacher_learns_photographs():
    scene = blob_scene(views=2, tests=1, size=8)
    start = build_field("hash", SIZES, rngs=nnx.Rngs(5))
    for random_background in (False, True):
        training = replace(SHORT, steps=150, random_background=random_background)
        field, history = train_teacher(start, "hash", scene, training, KEY)
        assert history.losses[-40:].mean() < 0.8 * history.losses[:40].mean()
    rays = judged_rays(scene, 4, 2)
    assert rays.truth.shape == (16, 3)
    np.testing.assert_allclose(rays.truth, scene.test.over(1.0)[:, ::2, ::2].reshape(-1, 3))
    assert np.isfinite(decibels(colours(field, rays), rays.truth))
    image, seen = render_view(field, scene.test.poses[0], (8, 8), scene.focal, samples=4)
    np.testing.assert_allclose(image[::2, ::2].reshape(-1, 3), colours(field, rays), atol=1e-6)
    assert seen.depth.shape == (64,)


def test_shared_networks(small):
    shared = share_networks(small["hash"], small["mlp"])
    np.testing.assert_array_equal(shared.sigma_net[0][...], small["hash"].sigma_net[0][...])
    np.testing.assert_array_equal(shared.kernels[0][...], small["mlp"].kernels[0][...])
    assert not np.allclose(small["mlp"].sigma_net[0][...], shared.sigma_net[0][...])
    with pytest.raises(ValueError, match="no network in common"):
        share_networks(small["voxel"], small["hash"])
    wide = build_field("hash", replace(SIZES, hidden=9), rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="sigma_net of the teacher has shapes"):
        share_networks(wide, small["hash"])


# --- Cameras ---


def test_cameras_between_and_around(as_installed):
    given = random_orbit_poses(3.0)(KEY, 4)
    found = interpolated_poses(given)(KEY, 20)
    np.testing.assert_allclose(np.linalg.det(found[:, :3, :3]), 1, rtol=1e-5)
    np.testing.assert_allclose(found[:, :3, :3] @ found[:, :3, :3].swapaxes(1, 2), np.tile(np.eye(3), (20, 1, 1)), atol=1e-5)
    assert (found[:, :3, 3] <= given[:, :3, 3].max(0) + 1e-5).all()
    turned = np.tile(np.eye(4), (2, 1, 1))
    turned[1, :3, :3] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    turned[1, :3, 3] = [0, 2, 0]
    between = interpolated_poses(turned)(KEY, 5)
    angle = np.arctan2(between[:, 1, 0], between[:, 0, 0])
    np.testing.assert_allclose(angle, between[:, 1, 3] / 2 * np.pi / 2, atol=1e-5)
    boxed = poses_in_box(given)(KEY, 20)[:, :3, 3]
    assert (boxed >= given[:, :3, 3].min(0)).all() and (boxed <= given[:, :3, 3].max(0)).all()
    o, d, offset = random_rays(KEY, random_orbit_poses(3.0), 400, (8, 8), 11.0)
    np.testing.assert_allclose(np.linalg.norm(d, axis=1), 1, rtol=1e-5)
    cosine = -(o * d).sum(1) / 3
    assert cosine.min() > 1 / np.sqrt(1 + 2 * (4 / 11) ** 2) - 1e-5 and cosine.max() > 0.99
    assert 0 <= offset.min() < 0.1 and 0.9 < offset.max() <= 1
    for call, message in (
        (lambda: interpolated_poses(given[:1]), "number of poses is 1"),
        (lambda: random_orbit_poses(0.0), "radius is 0"),
        (lambda: random_rays(KEY, random_orbit_poses(1.0), 0, *CAMERA), "n is 0"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


# --- Planes at another size, editing ---


def test_planes_at_another_size(small, as_installed):
    planes = small["vm"]
    x = jnp.asarray(np.random.default_rng(0).uniform(-0.45, 0.45, (20, 3)), jnp.float32)
    finer = upsample(planes, (9, 9, 9))
    assert sizes_of(planes) == (5, 5, 5) and sizes_of(finer) == (9, 9, 9)
    np.testing.assert_allclose(finer.features(x), planes.features(x), atol=1e-4)
    smaller, corners = shrink(planes, (-0.4, -0.5, -0.9), (0.5, 0.3, 0.5))
    np.testing.assert_allclose(corners, [[-0.5, -0.5, -1], [0.5, 0.5, 0.5]])
    assert sizes_of(smaller) == (3, 3, 4)
    inside = 2 * (x - corners[0].astype(np.float32)[None]) / (corners[1] - corners[0]).astype(np.float32)[None] - 1
    np.testing.assert_allclose(smaller.features(inside), planes.features(x), atol=1e-4)
    low, high = occupied_box(planes, float(np.exp(0.5)), nodes=5)
    assert (low < high).all() and (np.abs([low, high]) <= 1).all()
    for call, message in (
        (lambda: shrink(planes, (0, 0, 0), (0, 1, 1)), "must bound a box"),
        (lambda: occupied_box(planes, 1e9), "nowhere as dense"),
        (lambda: upsample(planes, (1, 4, 4)), "sizes is 1"),
        (lambda: upsampling_sizes(8, 4, 2), "last is 4"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_an_erased_box_is_empty(small, as_installed):
    voxels = small["voxel"]
    edited = erase_box(voxels, (1, 2, 3), (5, 6, 7))
    corners = box_of_nodes((8, 8, 8), (1, 2, 3), (5, 6, 7))
    np.testing.assert_allclose(corners, [[2 / 7 - 1, 4 / 7 - 1, 6 / 7 - 1], [8 / 7 - 1, 10 / 7 - 1, 12 / 7 - 1]])
    low = (-100.0, 7.0)
    x = np.array([[0.0, 0.0, 0.0], [0.5, -0.5, 0.3]], np.float32)
    expected = 1 - np.exp(-np.exp(np.clip(np.asarray(voxels.features(x)[:, 0]), -2, 7)) * 0.2)
    np.testing.assert_allclose(opacity_at(voxels, x, step=0.2), expected, rtol=1e-5)
    assert mean_opacity(edited, corners, KEY, clip=low) < 1e-30 < 0.05 < mean_opacity(voxels, corners, KEY)
    np.testing.assert_allclose(mean_opacity(edited, corners, KEY), 1 - np.exp(-np.exp(-2) * 0.1), rtol=1e-5)
    np.testing.assert_array_equal(edited.grid[...][..., 1:], voxels.grid[...][..., 1:])
    assert int((edited.grid[...] != voxels.grid[...]).sum()) == 64
    for call, message in (
        (lambda: erase_box(small["hash"], (0, 0, 0), (1, 1, 1)), "only voxels"),
        (lambda: erase_box(voxels, (0, 0, 0), (9, 1, 1)), "must bound a box"),
        (lambda: erase_box(voxels, (1, 0, 0), (1, 1, 1)), "must bound a box"),
        (lambda: mean_opacity(voxels, corners, KEY, step=0.0), "step is 0"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


# --- The authors' names ---


@pytest.mark.parametrize("kind", KINDS)
def test_converters_are_strict(vectors, kind, as_installed):
    prefix = f"{kind}_w."
    state = {name[len(prefix) :]: x.astype(np.float32) for name, x in vectors.arrays.items() if name.startswith(prefix)}
    levels, _, base, log2_size, finest = (int(n) for n in vectors["hash_cfg"])
    if kind == "hash":
        state["encoder.embeddings"] = state.pop("emb")
        state["encoder.offsets"] = vectors["hash_offsets"]
        load = partial(load_hash, levels=authors_levels(levels, base, finest, log2_size))
    else:
        load = {"mlp": load_mlp, "vm": load_vm, "tensors": load_voxels}[kind]
    load(state)
    for name in state:
        if name != "encoder.offsets":
            with pytest.raises(ValueError, match=r"does not fit|needs|has shape"):
                load({n: x for n, x in state.items() if n != name})
    with pytest.raises(ValueError, match="unexpected: extra"):
        load(state | {"extra": np.ones(1)})
    last = [name for name in state if np.ndim(state[name]) > 1][-1]
    with pytest.raises(ValueError, match=r"mis-shaped|channels"):
        load(state | {last: state[last][:, :-1]})


# --- Errors, presets, claims, benchmark ---


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: build_field("nerf", SIZES, rngs=nnx.Rngs(0)), "kind is 'nerf'"),
        (lambda: stage_weights(0, (1, 2)), "steps is 0"),
        (lambda: stage_weights(4, (1, 2), course="deep"), "course is 'deep'"),
        (lambda: Training(steps=0), "steps is 0"),
        (lambda: Training(steps=10, chunk=3), "chunk is 3"),
        (lambda: Training(floor=2.0), "floor is 2.0"),
        (lambda: Rates(0.0, 1.0), "place is 0"),
        (lambda: Rates(1.0, -1.0), "networks is -1"),
        (lambda: Distillation(stages=(5, 2)), r"stages is \(5, 2\)"),
        (lambda: Distillation(clip=(7.0, -2.0)), "clip is"),
        (lambda: Distillation(loss_type="L3"), "loss_type is 'L3'"),
        (lambda: Distillation(pool=-1), "pool is -1"),
        (lambda: open_scene(SceneConfig("fern", full=False)), "name is 'fern'"),
        (lambda: decibels(np.zeros((0, 3)), np.zeros((0, 3))), "no colour"),
        (lambda: check_record(Recorded(*[np.zeros((2, 4, 8))] * 9)), "teacher has 8 features; the student has 16"),
    ],
)
def test_wrong_arguments(call, message, as_installed):
    with pytest.raises(ValueError, match=message):
        call()


def test_scenes(monkeypatch, tmp_path):
    monkeypatch.setenv("QUIRE_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(DatasetUnavailable, match="nerf-synthetic"):
        open_scene(PRESETS["paper"].scene)
    folder = tmp_path / "nerf-synthetic" / "cube"
    folder.mkdir(parents=True)
    with pytest.raises(DatasetCorrupt, match="transforms_train"):
        nerf_synthetic("cube")
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 255, (4, 4, 4), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "r_0.png")
    frames = {"camera_angle_x": 0.7, "frames": [{"file_path": "./r_0", "transform_matrix": np.eye(4).tolist()}]}
    for split in ("train", "test"):
        (folder / f"transforms_{split}.json").write_text(json.dumps(frames))
    scene = open_scene(SceneConfig("cube", factor=2)).value
    assert scene.train.images.shape == (1, 2, 2, 4)
    np.testing.assert_allclose(scene.focal, 0.5 * 4 / np.tan(0.35) / 2)


def test_blobs_stand_in(monkeypatch, tmp_path):
    monkeypatch.setenv("QUIRE_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = {}
    monkeypatch.setattr(
        "quire.pvd.scenes.blob_scene", lambda size: made.setdefault("scene", blob_scene(views=1, tests=1, size=8))
    )
    source = open_scene(PRESETS["quick"].scene)
    assert source.name.startswith("6 Gaussian blobs") and source.stand_in_for


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_programs_of_every_preset_fit_together(preset):
    """The step of every field is traced, not run."""
    training = preset.distillation.training
    batch, points = training.batch, training.batch * training.samples
    shapes = [(batch, 3), (batch, 3), (batch,), (batch, 3), (batch, 3), (points, 16), (points,), (points, 3), (len(TERMS),)]
    targets = RayTargets(*(jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes))
    clip = jax.ShapeDtypeStruct((2,), jnp.float32)
    loss = distillation_loss(training.samples, preset.distillation.loss_type)
    for kind in OURS:
        field = nnx.eval_shape(lambda k=kind: build_field(k, preset.field, rngs=nnx.Rngs(0)))
        graph, params = nnx.split(field)
        slopes = jax.eval_shape(
            lambda p, t, c, g=graph: jax.grad(lambda p: loss(nnx.merge(g, p), t, c))(p), params, targets, clip
        )
        assert [a.shape for a in jax.tree.leaves(slopes)] == [a.shape for a in jax.tree.leaves(params)]
        assert training.rates[kind].place > 0
    weights = stage_weights(training.steps, preset.distillation.stages, preset.distillation.weights)
    assert weights.shape == (training.steps, len(TERMS))
    box = preset.editing
    assert all(0 <= a < b <= preset.field.voxel_size for a, b in zip(box.low, box.high, strict=True))


def test_steps_to_a_level():
    history = History(np.zeros(1), np.zeros(1), [(50, 10.0), (100, 12.0), (150, 13.0)])
    assert [steps_to(history, level) for level in (9, 12, 14)] == [50, 100, float("inf")]


def test_the_identity_holds():
    assert run(paper, claims=["C0"], seeds=1).as_expected


def test_benchmark_compares_the_same_numbers():
    both = paper.benchmark.cases(16, KEY)
    fast, naive = (case.function(*case.args) for case in both.values())
    np.testing.assert_allclose(fast, naive, rtol=1e-4, atol=1e-5)
