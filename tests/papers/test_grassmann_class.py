"""Class subspaces: golden vectors of head, descent and geodesics; properties, degenerate inputs, errors, presets."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from quire.common.claims import run
from quire.common.data.images import ImageData, ImageSplit
from quire.common.errors import DatasetUnavailable
from quire.common.layers.class_heads import subspace_logits
from quire.common.layers.resnet import resnet50, torch_names
from quire.common.losses.classification import smoothed_cross_entropy
from quire.common.manifolds import grassmann
from quire.common.testing import (
    assert_close,
    assert_degenerate,
    assert_dtypes,
    assert_gradients,
    assert_jit_consistent,
    assert_vmap_consistent,
)
from quire.common.train.rsgd import rsgd
from quire.grassmann_class import PRESETS, RECIPES, Classifier, GrassmannHead, VectorHead, brute_force, experiment, paper
from quire.grassmann_class.benchmark import cases
from quire.grassmann_class.config import DIGITS, QUICK, Training
from quire.grassmann_class.convert import load_checkpoint, load_head
from quire.grassmann_class.descent import head_loss, off_manifold, trajectory
from quire.grassmann_class.optimiser import from_recipe, grassmann_optimizer, plain_qr, subspace_labels
from quire.grassmann_class.sources import Images, open_images, rotations
from quire.grassmann_class.transfer import transfer_accuracy

PRECISIONS = pytest.mark.parametrize(
    ("dtype", "tolerance", "along"), [(jnp.float64, 1e-9, 1e-9), (jnp.float32, 1e-5, 1e-3)], ids=["f64", "f32"]
)
RNG = np.random.default_rng(0)
GAMMA = 25.0


@pytest.fixture(scope="module")
def vectors(golden):
    return golden("grassmann_class")


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def bases(classes=5, d=8, k=3, seed=0):
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((classes, d, k)))[0].astype(np.float32)


def t(x):
    return jnp.swapaxes(jnp.asarray(x), -1, -2)


# --- Golden vectors ---


@PRECISIONS
def test_golden_head(vectors, dtype, tolerance, along):
    with jax.enable_x64(dtype == jnp.float64):
        start, x, y = t(vectors["W0"]).astype(dtype), jnp.asarray(vectors["x"][0], dtype), jnp.asarray(vectors["y"][0])
        assert_close(subspace_logits(x, start, GAMMA), vectors["logits0"], tolerance)
        loss, gradient = jax.value_and_grad(head_loss)(start, x, y)
        assert_close(loss, vectors["loss0"], tolerance)
        assert_close(t(gradient), vectors["egrad0"], tolerance)
        assert_close(t(grassmann.project_tangent(start, gradient)), vectors["rgrad0"], tolerance)
        classes, k, dim = vectors["W0"].shape
        head = load_head({"head.fc.weight": vectors["W0"].reshape(classes * k, dim)}, k, dtype=dtype)
        assert head.dims == (k,) * classes
        assert_close(head(x), vectors["logits0"], tolerance)


@PRECISIONS
@pytest.mark.parametrize("move", [grassmann.exp, grassmann.exp_by_gram])
def test_golden_trajectory(vectors, move, dtype, tolerance, along):
    with jax.enable_x64(dtype == jnp.float64):
        # a weight decay, as in the file, is for the rest and never reaches the subspaces
        base = optax.chain(optax.add_decayed_weights(1e-4), optax.sgd(0.1, 0.9))
        tx = grassmann_optimizer(base, 0.1, retract=plain_qr, move=move)
        start, x, y = t(vectors["W0"]).astype(dtype), jnp.asarray(vectors["x"], dtype), jnp.asarray(vectors["y"])

        def loss(params, x, y):
            return head_loss(params["subspaces"], x, y)

        losses, points = jax.jit(lambda s, x, y: trajectory(loss, {"subspaces": s}, tx, (x, y)))(start, x, y)
        projectors = grassmann.projector(points["subspaces"])
        assert_close(losses, vectors["traj_loss"], along)
        assert_close(projectors[0], vectors["traj_projector_first"], along)
        assert_close(projectors[-1], vectors["traj_projector_last"], along)


@PRECISIONS
def test_golden_geodesic(vectors, dtype, tolerance, along):
    with jax.enable_x64(dtype == jnp.float64):
        start, tangent, end = (jnp.asarray(vectors[f"geo_{name}"], dtype) for name in ("start", "tangent", "end"))
        time = float(vectors["geo_t"])
        for move in (grassmann.exp, grassmann.exp_by_gram):
            assert_close(move(start, tangent, time), vectors["geo_end"], tolerance)
        assert_close(grassmann.principal_angles(start, end), vectors["geo_principal_angles"], tolerance)
        assert_close(grassmann.distance(start, end), vectors["geo_distance"], tolerance)
