"""Representation biases: golden parity, generators, measures, networks, training, studies in small, presets, errors."""


import jax
import numpy as np
import pytest

from quire.common.testing import (
    assert_close,
)
from quire.representation_bias import (
    FeatureSpec,
    Readout,
    components,
    feature_values,
    flip_scale,
    joint_variance_explained,
    pca_decode,
    rsa,
    stack_features,
    steering_direction,
    unit_variance_explained,
    variance_explained,
)

RNG = np.random.default_rng(0)
KEY = jax.random.key(0)
PRECISIONS = pytest.mark.parametrize(("x64", "tolerance"), [(True, 1e-10), (False, 1e-4)], ids=["float64", "float32"])


def parts(g, dtype):
    """Representations and features to fit on, and to test on."""
    n = int(g["n_fit"])
    rep, features = g["rep"].astype(dtype), g["features"].astype(dtype)
    return rep[:n], features[:n], rep[n:], features[n:]


@pytest.fixture(scope="module")
def g(golden):
    return golden("representation_bias")


# --- Golden vectors ---

SPECS = {
    "copy": FeatureSpec("copy", (0,)),
    "xor2": FeatureSpec("xor2", (4, 5)),
    "parity4": FeatureSpec("parity", (4, 5, 6, 7)),
    "majority3": FeatureSpec("majority", (0, 1, 2)),
    "summod4": FeatureSpec("sum_mod_4", tuple(range(4, 10))),
    "threshold": FeatureSpec("threshold", tuple(range(8)), threshold=4),
}


def test_golden_features(g):
    bits = g["bits"]
    found = feature_values(stack_features(list(SPECS.values()), bits.shape[1], allow_overlap=True), bits)
    names = {name[2:] for name in g.arrays if name.startswith("f_")}
    assert names == set(SPECS)
    for column, name in zip(np.asarray(found).T, SPECS, strict=True):
        np.testing.assert_array_equal(column, g[f"f_{name}"])


@PRECISIONS
def test_golden_variance(g, x64, tolerance):
    with jax.enable_x64(x64):
        args = parts(g, np.float64 if x64 else np.float32)
        assert_close(variance_explained(*args), g["r2_pooled"], tolerance)
        assert_close(variance_explained(*args, reduction="ratio"), g["r2_mean_of_ratios"], tolerance)
        assert_close(unit_variance_explained(*args), g["r2_per_unit"], tolerance)
        assert_close(joint_variance_explained(*args), g["r2_joint"], tolerance)


@PRECISIONS
def test_golden_components(g, x64, tolerance):
    with jax.enable_x64(x64):
        args = parts(g, np.float64 if x64 else np.float32)
        axes, ratio = components(args[0])
        assert_close(ratio, g["pca_ratio"], tolerance)
        assert_close(np.abs(axes.axes), g["pca_abs_components"], tolerance if x64 else 1e-2)  # close variances turn the axes
        ks = range(1, len(g["pca_decode_r2"]) + 1)
        assert_close(pca_decode(*args, ks), g["pca_decode_r2"], tolerance)


@PRECISIONS
def test_golden_rsa(g, x64, tolerance):
    a, b = (g[name].astype(np.float64 if x64 else np.float32) for name in ("rsa_a", "rsa_b"))
    for metric, name in (("euclidean", "rsa_euclid"), ("correlation", "rsa_corr")):
        assert_close(rsa(a, b, metric), g[name], tolerance)


@PRECISIONS
def test_golden_steering(g, x64, tolerance):
    with jax.enable_x64(x64):
        dtype = np.float64 if x64 else np.float32
        rep = g["rep"].astype(dtype)
        delta = steering_direction(rep, g["features"][:, int(g["causal_feature"])] > 0)
        assert_close(delta, g["causal_delta"], tolerance)
        readout = Readout(g["causal_readout_w"].astype(dtype), g["causal_readout_b"].astype(dtype))
        scale = flip_scale(readout, rep, g["causal_delta"].astype(dtype))
        assert_close(scale, g["causal_flip_scale"], tolerance)


@PRECISIONS
def test_golden_exact_code(g, x64, tolerance):
    with jax.enable_x64(x64):
        rep, states = (g[name].astype(np.float64 if x64 else np.float32) for name in ("exact_rep", "exact_states"))
        assert_close(variance_explained(rep, states, rep, states), g["exact_r2"], tolerance)
        np.testing.assert_allclose(g["exact_amp"] ** 2 / np.sum(g["exact_amp"] ** 2), g["exact_r2"], rtol=1e-10)


def test_every_golden_array_is_compared(g):
    inputs = {"bits", "rep", "features", "n_fit", "rsa_a", "rsa_b", "causal_feature", "causal_readout_w", "causal_readout_b"}
    inputs |= {"exact_states", "exact_rep"}
    outputs = {"r2_pooled", "r2_mean_of_ratios", "r2_joint", "r2_per_unit", "pca_ratio", "pca_abs_components", "pca_decode_r2"}
    outputs |= {"rsa_euclid", "rsa_corr", "causal_delta", "causal_flip_scale", "exact_amp", "exact_r2"}
    assert set(g.arrays) == inputs | outputs | {f"f_{name}" for name in SPECS}
