"""G-SimCLR: golden parity, order and collisions, clusters, autoencoder, views, training in small, presets, errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quire.common.losses.contrastive import nt_xent
from quire.common.testing import assert_close
from quire.g_simclr.autoencoder import from_arrays
from quire.g_simclr.clusters import lloyd
from quire.g_simclr.guided import as_batches, collisions, guided_order, occurrence_rank

# --- Golden vectors ---

PRECISIONS = pytest.mark.parametrize("dtype, tolerance, of_gradients", [("float64", 1e-10, 1e-10), ("float32", 1e-5, 1e-4)])


@PRECISIONS
def test_golden_loss(golden, dtype, tolerance, of_gradients):
    g = golden("g_simclr")
    with jax.enable_x64(dtype == "float64"):
        pair = tuple(jnp.asarray(g[name], dtype) for name in ("zi", "zj"))
        loss, gradients = jax.value_and_grad(lambda a, b: nt_xent(a, b, float(g["temperature"])), (0, 1))(*pair)
        assert_close(loss, g["ntxent"], tolerance)
        for found, name in zip(gradients, ("grad_zi", "grad_zj"), strict=True):
            assert_close(found, g[name], of_gradients)


def test_golden_order_and_collisions(golden):
    g = golden("g_simclr")
    labels, size = g["pseudo_labels"], int(g["batch_size"])
    np.testing.assert_array_equal(occurrence_rank(labels), g["rank"])
    order = guided_order(labels, size, allow_collisions=True)
    np.testing.assert_array_equal(order, g["guided_order"])
    np.testing.assert_array_equal(collisions(order, labels, size), g["collisions_per_guided_batch"])
    np.testing.assert_array_equal(collisions(g["random_perm"], labels, size), g["collisions_per_random_batch"])


@PRECISIONS
def test_golden_autoencoder(golden, dtype, tolerance, of_gradients):
    g = golden("g_simclr")
    with jax.enable_x64(dtype == "float64"):
        model = from_arrays({name: g[name].astype(dtype) for name in g.arrays if name.startswith("dae_")})
        x = jnp.asarray(g["dae_x"], dtype)
        out = model(x)
        assert_close(model.retrieval(x), g["dae_retrieval"], tolerance)
        assert_close(model.encode(x), g["dae_embedding"], tolerance)
        assert_close(out, g["dae_out"], tolerance)
        assert_close(jnp.mean((out - x) ** 2), g["dae_mse"], tolerance)


@PRECISIONS
def test_golden_lloyd(golden, dtype, tolerance, of_gradients):
    g = golden("g_simclr")
    with jax.enable_x64(dtype == "float64"):
        found, history = lloyd(g["km_x"].astype(dtype), g["km_init"].astype(dtype), len(g["km_inertia_history"]))
        np.testing.assert_array_equal(found.labels, g["km_labels"])
        assert_close(found.centers, g["km_centers"], tolerance)
        assert_close(found.inertia, g["km_inertia"], tolerance)
        assert_close(history, g["km_inertia_history"], tolerance)


def test_every_golden_array_is_an_input_or_compared(golden):
    names = set(golden("g_simclr").arrays)
    stages = {name for name in names if name.startswith("dae_") and name.split("_")[1].isdigit()}
    inputs = {"zi", "zj", "temperature", "pseudo_labels", "batch_size", "random_perm", "dae_x", "dae_out_w", "dae_out_b"}
    outputs = {"ntxent", "grad_zi", "grad_zj", "rank", "guided_order", "dae_retrieval", "dae_embedding", "dae_out", "dae_mse"}
    counts = {"collisions_per_guided_batch", "collisions_per_random_batch"}
    clusters = {f"km_{part}" for part in ("x", "init", "centers", "labels", "inertia_history", "inertia")}
    assert names == inputs | outputs | counts | clusters | stages
