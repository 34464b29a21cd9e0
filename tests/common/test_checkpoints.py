"""Weights of other code: safetensors files and the strict loader."""

import json
import struct

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import save_file

from quire.common.checkpoints import Source, load, read_safetensors, stacked, transposed


class Model(nnx.Module):
    """A linear map with running statistics."""

    def __init__(self, rngs: nnx.Rngs):
        self.linear, self.norm = nnx.Linear(2, 3, rngs=rngs), nnx.BatchNorm(3, use_bias=False, use_scale=False, rngs=rngs)


NAMES = {
    ("linear", "kernel"): transposed("fc.weight"),
    ("linear", "bias"): "fc.bias",
    ("norm", "mean"): "bn.running_mean",
    ("norm", "var"): "bn.running_var",
}
STATE = {
    "fc.weight": np.arange(6.0).reshape(3, 2),
    "fc.bias": np.ones((1, 1, 3)),
    "bn.running_mean": np.zeros(3),
    "bn.running_var": np.ones(3),
}


@pytest.mark.parametrize("abstract", [False, True])
def test_every_array_finds_its_place(abstract):
    model = nnx.eval_shape(lambda: Model(nnx.Rngs(0))) if abstract else Model(nnx.Rngs(0))
    assert load(model, STATE, NAMES) is model
    np.testing.assert_array_equal(model.linear.kernel[...], STATE["fc.weight"].T)
    np.testing.assert_array_equal(model.linear.bias[...], np.ones(3))
    np.testing.assert_array_equal(model.norm.var[...], np.ones(3))
    assert load(model, STATE, NAMES, dtype=jnp.bfloat16).linear.kernel.dtype == jnp.bfloat16


def test_all_that_does_not_fit_is_listed():
    model = nnx.eval_shape(lambda: Model(nnx.Rngs(0)))
    state = {**STATE, "fc.weight": np.ones((2, 3)), "extra": np.ones(1)}
    del state["bn.running_var"]
    expected = r"missing: bn\.running_var; unexpected: extra; mis-shaped: fc\.weight is \(2, 3\), not \(3, 2\)$"
    with pytest.raises(ValueError, match=expected):
        load(model, state, NAMES)


def test_nothing_is_left_without_a_value():
    names = {path: source for path, source in NAMES.items() if path[-1] != "bias" and path[-1] != "mean"}
    state = {name: STATE[name] for name in ("fc.weight", "bn.running_var")}
    with pytest.raises(ValueError, match=r"without a name: linear\.bias$"):
        load(Model(nnx.Rngs(0)), state, names)  # statistics of a real model have values of their own
    with pytest.raises(ValueError, match=r"without a name: linear\.bias, norm\.mean"):
        load(nnx.eval_shape(lambda: Model(nnx.Rngs(0))), state, names)
    with pytest.raises(ValueError, match=r"not in the model: linear\.weight"):
        load(Model(nnx.Rngs(0)), {**STATE, "w": np.ones(1)}, {**NAMES, ("linear", "weight"): "w"})


def test_a_failed_load_changes_nothing():
    model = Model(nnx.Rngs(0))
    before = np.array(model.linear.kernel[...])
    with pytest.raises(ValueError, match="mis-shaped"):
        load(model, {**STATE, "fc.bias": np.ones(4)}, NAMES)
    np.testing.assert_array_equal(model.linear.kernel[...], before)


def test_layers_are_stacked():
    class Stack(nnx.Module):
        def __init__(self):
            self.kernel = nnx.Param(jnp.zeros((2, 3, 4)))

    state = {f"layers.{i}.weight": np.full((4, 3), i) for i in range(2)}
    names = {("kernel",): stacked(list(state), np.transpose)}
    np.testing.assert_array_equal(load(Stack(), state, names).kernel[...], np.arange(2)[:, None, None] * np.ones((2, 3, 4)))
    with pytest.raises(ValueError, match=r"layers\.1\.weight is \(4, 3\), \(4, 2\), which cannot become \(2, 3, 4\)"):
        load(Stack(), {**state, "layers.1.weight": np.ones((4, 2))}, names)
    with pytest.raises(ValueError, match=r"is \(4, 3\) and becomes \(12,\), not \(2, 3, 4\)"):
        load(Stack(), {"layers.0.weight": np.ones((4, 3))}, {("kernel",): Source(("layers.0.weight",), np.ravel)})


def test_safetensors_come_back(tmp_path):
    save_file(STATE, tmp_path / "w.safetensors")
    found = read_safetensors(tmp_path / "w.safetensors")
    assert found.keys() == STATE.keys()
    np.testing.assert_array_equal(found["fc.weight"], STATE["fc.weight"])


def header(entries: dict) -> bytes:
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text


DAMAGED = {
    "empty": b"",
    "short": b"abc",
    "endless header": struct.pack("<Q", 2**60) + b"{}",
    "cut header": struct.pack("<Q", 80) + b"{",
    "array beyond the end": header({"a": {"dtype": "F32", "shape": [9], "data_offsets": [0, 36]}}) + bytes(4),
    "overlapping arrays": header({n: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for n in "ab"}) + bytes(4),
    "a type that NumPy lacks": header({"a": {"dtype": "F8_E4M3", "shape": [1], "data_offsets": [0, 1]}}) + bytes(1),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_damaged_safetensors_are_refused(tmp_path, kind):
    file = tmp_path / "w.safetensors"
    file.write_bytes(DAMAGED[kind])
    with pytest.raises(ValueError, match=r"path is .*w\.safetensors; it cannot be read"):
        read_safetensors(file)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"path is .*; there is no such file"):
        read_safetensors(tmp_path / "none.safetensors")
