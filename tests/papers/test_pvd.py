"""PVD: the authors' vectors, the mathematics as properties, distillation, editing, errors, presets."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from quire.common.fields.encodings import sh_encoding
from quire.common.fields.hash_grid import hash_encode
from quire.common.fields.ray_batches import mean_depth
from quire.common.fields.rendering import composite, ray_box, trunc_exp
from quire.pvd.convert import authors_levels, load_hash, load_mlp, load_vm, load_voxels

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
