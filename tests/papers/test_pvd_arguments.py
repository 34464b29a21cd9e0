"""PVD: wrong arguments are refused by their names, numbers of any dtype are differences, and NaN stays NaN."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from quire import pvd
from quire.common.data.blob_scene import blob_scene

SMALL = pvd.FieldConfig(2, 4, 8, 6, 2, 3, 8, 1, 4, 2, 3, 4, 2, 8)
ORIGINS, AHEAD = np.zeros((2, 3), np.float32), np.tile(np.float32([[0, 0, 1]]), (2, 1))
KEY, ORBIT = jax.random.key(0), pvd.random_orbit_poses()
TRAINING = pvd.Training(1, 2, 2)
RECORD = pvd.Recorded(ORIGINS, AHEAD, *np.zeros((3, 2)), np.zeros(2), np.zeros((2, 3, 16)), np.zeros((2, 3)), np.zeros((2, 3, 3)))


@cache
def field(kind):
    return pvd.build_field(kind, SMALL, rngs=nnx.Rngs(0))


def ask(origins=ORIGINS, directions=AHEAD, offset=None, **options):
    return pvd.record(field("voxel"), origins, directions, offset, samples=2, **options)


def learn(kind="voxel", recorded=RECORD):
    config = pvd.Distillation(TRAINING, (0, 0), pool=4)
    return pvd.distill(field("voxel"), field("voxel"), kind, ORBIT, ((2, 2), 1.0), config, KEY, recorded=recorded)


CALLS = [
    (lambda: pvd.Training(decay=-1.0), "decay is -1.0"),
    (lambda: pvd.Training(decay=np.nan), "decay is nan"),
    (lambda: pvd.DistillWeights(rgb=np.nan), "rgb is nan"),
    (lambda: pvd.DistillWeights(image=-1.0), "image is -1.0"),
    (lambda: pvd.SceneConfig(factor=0), "factor is 0"),
    (lambda: pvd.SceneConfig(test_stride=0), "test_stride is 0"),
    (lambda: pvd.SceneConfig(distance=np.nan), "distance is nan"),
    (lambda: pvd.stage_weights(4, (3, 1)), r"stages is \(3, 1\)"),
    (lambda: pvd.stage_weights(4, (-3, 1)), r"stages is \(-3, 1\)"),
    (lambda: pvd.photograph_weights(0, 0.0), "steps is 0"),
    (lambda: pvd.photograph_weights(1, np.nan), "density_l1 is nan"),
    (lambda: pvd.erase_box(field("voxel"), (0, 0, 0), (1, 1, 1), np.nan), "log_density is nan"),
    (lambda: pvd.erase_box(field("voxel"), (0, 0), (1, 1)), r"low is \(0, 0\)"),
    (lambda: pvd.box_of_nodes((1, 1, 1), (0, 0, 0), (1, 1, 1)), "sizes is 1"),
    (lambda: pvd.box_of_nodes((5, 5, 5), (-1, 0, 0), (9, 1, 1)), r"low is \(-1, 0, 0\)"),
    (lambda: pvd.opacity_at(field("voxel"), ORIGINS, clip=(7, -2)), r"clip is \(7, -2\)"),
    (lambda: pvd.opacity_at(field("voxel"), ORIGINS[0]), r"x has shape \(3,\)"),
    (lambda: pvd.mean_opacity(field("voxel"), np.array([[-1.0] * 3, [1.0] * 3]), KEY, points=0), "points is 0"),
    (lambda: pvd.decibels(np.ones((4, 3)), np.zeros((2, 1, 3))), r"found has shape \(4, 3\)"),
    (lambda: pvd.decibels(np.ones((2, 3)), np.zeros((1, 3))), r"truth \(1, 3\)"),
    (lambda: pvd.decibels(np.ones((1, 3)), np.zeros((0, 3))), "no colour"),
    (lambda: ask(directions=np.tile(AHEAD, (2, 1))), r"\(4, 3\)"),
    (lambda: ask(directions=AHEAD[:1]), r"\(1, 3\)"),
    (lambda: ask(offset=np.zeros(5)), r"\(5,\)"),
    (lambda: ask(ORIGINS[:, :2]), r"\(2, 2\)"),
    (lambda: ask(clip=(7, -2)), r"clip is \(7, -2\)"),
    (lambda: pvd.random_rays(KEY, ORBIT, 2, (0, 2), 1.0), "size is 0"),
    (lambda: pvd.random_rays(KEY, ORBIT, 2, (2, 2), np.nan), "focal is nan"),
    (lambda: pvd.random_rays(KEY, ORBIT, 2, (2, 2), -1.0), "focal is -1.0"),
    (lambda: pvd.interpolated_poses(np.eye(4)), r"poses has shape \(4, 4\)"),
    (lambda: pvd.poses_in_box(np.eye(4)), r"poses has shape \(4, 4\)"),
    (lambda: pvd.poses_in_box(np.full((2, 4, 4), np.nan)), "poses has 32 numbers that are not finite"),
    (lambda: pvd.distillation_loss(0), "samples is 0"),
    (lambda: pvd.distillation_loss(2, "q"), "kind is 'q'"),
    (lambda: pvd.judged_rays(blob_scene(size=4), 2, -1), "stride is -1"),
    (lambda: pvd.judged_rays(blob_scene(size=4), 0), "samples is 0"),
    (lambda: learn("nope"), "kind is 'nope'"),
    (lambda: learn(), "recorded has 2 rays of 3 samples"),
    (lambda: learn(recorded=RECORD._make(a[:0] for a in RECORD)), "recorded has 0 rays"),
    (
        lambda: pvd.load_hash({"encoder.embeddings": np.zeros(4)}, pvd.authors_levels(2, 4, 8, 6)),
        r"encoder.embeddings has shape \(4,\)",
    ),
    (lambda: pvd.load_mlp({"nerf_mlp.0.weight": np.zeros(4)}), r"nerf_mlp.0.weight has shape \(4,\)"),
    (lambda: pvd.load_vm({"sigma_mat.0": np.zeros(3)}), r"sigma_mat.0 has shape \(3,\)"),
    (lambda: pvd.load_voxels({"tensor_volume.0": np.zeros((1, 0, 2, 2, 2))}), "tensor_volume.0 has 0 channels"),
]


@pytest.mark.parametrize(("call", "message"), CALLS, ids=[message for _, message in CALLS])
def test_wrong_arguments(call, message, as_installed):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_density_that_is_no_number_occupies_nothing_silently():
    broken = nnx.clone(field("vm"))
    with jax.debug_nans(False), pytest.raises(ValueError, match="not finite"):
        broken.planes[0].set_value(broken.planes[0][...].at[0].set(np.nan))
        pvd.occupied_box(broken, 0.1, nodes=3)


@pytest.mark.parametrize(("kind", "right"), [("normL2", 2.0), ("normL1", 2.0), ("L2", 4.0), ("smoothL1", 1.5)])
def test_distances_of_every_dtype(kind, right, as_installed):
    """uint8 must not wrap around: its 1 - 3 is 254."""
    for dtype in (np.uint8, np.int32, jnp.bfloat16, np.float16):
        a, b = (jnp.array([number], dtype) for number in (1, 3))
        assert float(pvd.distance(a, b, kind)) == right
    assert float(pvd.distance(np.array([True]), np.array([False]), "L2")) == 1


def test_a_distance_of_half_precision_does_not_overflow():
    assert float(pvd.distance(jnp.full(4, 300.0, jnp.float16), jnp.zeros(4, jnp.float16))) == 600
