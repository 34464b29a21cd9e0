"""Lie decompositions: golden parity, properties, degenerate inputs, errors, presets."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from quire.common.equivariant.matrix_groups import haar_density_log, planar_rotation, polar
from quire.common.testing import assert_close
from quire.lie_decompositions.bases import rotation_basis
from quire.lie_decompositions.convert import load_gresnet, load_layer
from quire.lie_decompositions.groups import SL, GLPlus, Samples
from quire.lie_decompositions.kernels import KernelConfig, kernel_grid, relative_coordinates
from quire.lie_decompositions.layers import GroupConv, LiftConv
from quire.lie_decompositions.resnet import NetworkConfig, PathSamples

GROUPS = {"sl2": SL(2), "gl2": GLPlus(2)}
PRECISIONS = [pytest.param(jnp.float64, 1e-9, id="float64"), pytest.param(jnp.float32, 1e-4, id="float32")]


@pytest.fixture(scope="module")
def vectors(golden):
    return golden("lie_decompositions")


@pytest.fixture
def draw():
    return np.random.default_rng(0)


# --- Golden vectors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("name", GROUPS)
def test_golden_group(vectors, name, dtype, tolerance):
    with jax.enable_x64(dtype == jnp.float64):
        group, v = GROUPS[name], under(vectors, name, dtype)
        bases = {"basis": group.basis, "spd_basis": group.symmetric.basis, "so2_basis": rotation_basis(2)}
        for key, basis in bases.items():
            np.testing.assert_allclose(basis, np.reshape(v[key], basis.shape), atol=tolerance)
        x = group.symmetric.hat(v["spd_coords"])
        assert_close(group.symmetric.exp(x), v["S"], tolerance)
        assert_close(group.symmetric.vee(x), v["spd_coords"], tolerance)
        samples = group.pair(v["spd_coords"], planar_rotation(v["angle"].ravel()))
        assert_close(samples.g, v["g"], tolerance)
        assert_close(samples.g_inv, v["g_inv"], tolerance)
        log_p, rotation = polar(v["g"])
        assert_close((log_p, rotation), (v["log_p"], v["rot"]), tolerance)
        assert_close(group.xi_inv(v["g"]), v["xi_inv"], tolerance)
        assert_close(group.inverse(v["h"]), v["h_inv"], tolerance)
        assert_close(relative_coordinates(group, v["g_inv"], v["h"]), v["xi_inv_ginv_h"], tolerance)
        assert_close(polar(jnp.diag(jnp.array([-2, -0.5], dtype))[None]), (v["noexp_logp"], v["noexp_rot"]), tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("name", GROUPS)
def test_golden_layers(vectors, name, dtype, tolerance):
    with jax.enable_x64(dtype == jnp.float64):
        group, v = GROUPS[name], under(vectors, name, dtype)
        lift = golden_layer(LiftConv, group, v, "lift", v["x"].shape[1], "VALID", v["lift_kernel"])
        kernel = lift.kernel(v["g_inv"])  # the authors': out, j, in, h, w
        assert_close(kernel.transpose(3, 4, 2, 0, 1), v["lift_kernel"], tolerance)
        lifted = lift(channels_last(v["x"]), v["g_inv"])
        assert_close(lifted.transpose(0, 3, 4, 1, 2), v["lift_out"], tolerance)

        conv = golden_layer(GroupConv, group, v, "conv", v["lift_out"].shape[1], ((1, 1), (1, 1)), v["conv_kernel"])
        kernel = conv.kernel(v["g"], v["h_inv"])  # the authors': out, j, in, i, h, w
        assert_close(kernel.transpose(4, 5, 2, 3, 0, 1), v["conv_kernel"], tolerance)
        out = conv(channels_last(v["lift_out"]), v["g"], v["h_inv"])
        assert_close(out.transpose(0, 3, 4, 1, 2), v["conv_out"], tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_golden_network(vectors, dtype, tolerance):
    with jax.enable_x64(dtype == jnp.float64):
        model, samples = golden_network(vectors, dtype)
        x = channels_last(jnp.asarray(vectors["net_x"], dtype))
        features, out = jax.jit(lambda model, x, samples: (model.features(x, samples), model(x, samples)))(model, x, samples)
        assert_close(features.transpose(0, 3, 4, 1, 2), vectors["net_features"], tolerance)
        assert_close(out, vectors["net_out"], tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_golden_grid_and_density(vectors, dtype, tolerance):
    grid = vectors["grid5_affine"]
    assert_close(kernel_grid(grid.shape[1]).transpose(2, 1, 0), grid, tolerance)  # the authors keep columns before rows
    with jax.enable_x64(dtype == jnp.float64):
        assert_close(haar_density_log(jnp.asarray(vectors["haar_X"], dtype)), vectors["haar_density_logcoords"], tolerance)


def under(vectors, prefix, dtype):
    return {n[len(prefix) + 1 :]: jnp.asarray(x, dtype) for n, x in vectors.arrays.items() if n.startswith(prefix + ".")}


def channels_last(x):
    return jnp.moveaxis(x, 1, 3) if x.ndim == 4 else x.transpose(0, 3, 4, 1, 2)


def sizes(state):
    """Width and depth of the network of a kernel, from its weights."""
    count = sum("kernel_net" in name and name.endswith("weight") for name in state)
    return KernelConfig(hidden=next(x.shape[0] for n, x in state.items() if n.endswith("net.0.linear.weight")), depth=count - 1)


def golden_layer(kind, group, v, name, in_channels, padding, kernel):
    state = {n.removeprefix(name + "."): x for n, x in v.items() if n.startswith(name + ".")}
    options = {"padding": padding, "config": sizes(state)}
    out, size = kernel.shape[0], kernel.shape[-1]
    layer = nnx.eval_shape(lambda: kind(group, in_channels, out, size, **options, rngs=nnx.Rngs(0)))
    return load_layer(layer, state, dtype=kernel.dtype)


def golden_network(vectors, dtype):
    state = under(vectors, "net", dtype)
    stem = {n: x for n, x in state.items() if n.startswith("stem.")}
    kernel = sizes(stem)
    channels = vectors["net_x"].shape[1]
    width = stem["stem.0.inr.final_linear.bias"].size // channels
    dims = [width]
    while (name := f"blocks.{4 * (len(dims) - 1)}.conv1.inr.final_linear.bias") in state:
        dims.append(state[name].size // dims[-1])
    config = NetworkConfig(
        SL(2),
        num_samples=len(vectors["net_g0"]),
        dims=tuple(dims),
        in_channels=channels,
        num_classes=state["fc.4.bias"].size,
        hidden=state["fc.4.weight"].shape[1],
        kernel=kernel,
    )
    pairs = [Samples(*(jnp.asarray(vectors[f"net_{g}{end}"], dtype) for end in ("", "_inv"))) for g in ("g0", "g1")]
    return load_gresnet(config, state, dtype=dtype), PathSamples(*pairs)
