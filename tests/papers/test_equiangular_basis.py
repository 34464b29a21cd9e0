"""Equiangular basis vectors: golden vectors, generators, exact frames, the head, sets on disk, presets."""

import io
import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from quire.common.errors import DatasetCorrupt, DatasetUnavailable
from quire.common.testing import assert_close, assert_degenerate, assert_dtypes, assert_gradients, assert_jit_consistent
from quire.common.train.fit import fit
from quire.equiangular_basis import (
    PRESETS,
    EBVHead,
    annealed_descent,
    coherence,
    complement,
    ebv_loss,
    ebv_predict,
    etf,
    extend_ebv,
    generate_ebv,
    hadamard,
    hinge,
    hinge_descent,
    load_ebv,
    orthonormal,
    random_unit_vectors,
    save_ebv,
    soft_coherence,
    welch_bound,
)
from quire.equiangular_basis.classifier import Classifier, Head, sweep_heads
from quire.equiangular_basis.head_cost import SGD, fixed_step, linear_step
from quire.equiangular_basis.sources import open_images
from quire.equiangular_basis.training import head_loss

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def vectors(golden):
    return golden("equiangular_basis")


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


# --- Golden vectors ---


@pytest.mark.parametrize(("x64", "tolerance"), [(True, 1e-9), (False, 1e-5)], ids=["float64", "float32"])
@pytest.mark.parametrize("slice_size", [None, 7])
def test_golden_gradient(vectors, x64, tolerance, slice_size):
    with jax.enable_x64(x64):
        found = hinge(jnp.asarray(vectors["V0"], float), float(vectors["threshold"]), slice_size=slice_size)
        assert_close(found.gradient, vectors["grad0"], tolerance)
        assert_close(found.loss, vectors["loss"][0], tolerance)


@pytest.mark.parametrize(("x64", "steps", "rtol"), [(True, 60, 1e-9), (False, 30, 1e-4)], ids=["float64", "float32"])
def test_golden_descent(vectors, x64, steps, rtol):
    """A prefix: later steps are chaotic. The authors' stop is left out, since the stored run takes all its steps."""
    steps = min(steps, len(vectors["loss"]))
    with jax.enable_x64(x64):
        start = jnp.asarray(vectors["V0"], float)
        found = hinge_descent(start, float(vectors["threshold"]), lr=float(vectors["lr"]), steps=steps, tolerance=-1)
        assert int(found.steps) == steps
        np.testing.assert_allclose(found.loss, vectors["loss"][:steps], rtol=rtol)
        np.testing.assert_allclose(found.coherence, vectors["coherence"][:steps], rtol=rtol)


def test_golden_end_of_the_descent(vectors):
    lr, threshold, steps = float(vectors["lr"]), float(vectors["threshold"]), int(vectors["steps"])
    found = hinge_descent(vectors["V0"].astype(np.float32), threshold, lr=lr, steps=steps)
    np.testing.assert_allclose(jnp.linalg.norm(found.vectors, axis=1), 1, rtol=1e-5)
    assert float(hinge(found.vectors, threshold).loss) < vectors["loss"][0] / 3
    assert float(coherence(found.vectors).max) >= vectors["welch"] - 1e-6


@pytest.mark.parametrize(("x64", "tolerance"), [(True, 1e-9), (False, 1e-5)], ids=["float64", "float32"])
def test_golden_head(vectors, x64, tolerance):
    with jax.enable_x64(x64):
        w, x, y = (jnp.asarray(vectors[name]) for name in ("V_final", "x", "y"))
        assert_close(coherence(w).max, vectors["coherence_final"], tolerance)
        assert_close(welch_bound(*w.shape), vectors["welch"], 1e-12)
        head = EBVHead(w)
        assert_close(head(x), vectors["logits"], tolerance)
        assert_close(ebv_loss(head(x), y), vectors["ce"], tolerance)
        smooth, gradient = jax.value_and_grad(lambda x: ebv_loss(head(x), y, 0.1))(x)
        assert_close(smooth, vectors["ce_smooth"], tolerance)
        assert_close(gradient, vectors["grad_x_smooth"], tolerance)
        np.testing.assert_array_equal(ebv_predict(x, w), vectors["pred"])


# --- Coherence, bound, frames ---


def test_coherence_is_that_of_all_pairs():
    v = normal(9, 4)
    unit = v / np.linalg.norm(v, axis=1, keepdims=True)
    pairs = np.abs(unit @ unit.T)[~np.eye(9, dtype=bool)]
    for slice_size in (None, 4, 9, 20):
        found = coherence(jnp.asarray(v, jnp.float32), slice_size)
        np.testing.assert_allclose(found, (pairs.max(), pairs.mean()), rtol=1e-5)
    assert coherence(jnp.array([[1.0, 0.0], [-2.0, 0.0]])).max == 1  # magnitudes: opposite is parallel
    with jax.debug_nans(False):
        assert np.isnan(coherence(jnp.array([[1.0, np.nan], [0.0, 1.0]])).max)


def test_coherence_at_the_edges():
    v = normal(4, 3).astype(np.float32)
    assert_degenerate(coherence, v, differentiable=False)
    assert_dtypes(lambda x: coherence(x).mean, v, tolerance=1e-4)


FRAMES = [(6, 3), (10, 5), (26, 13), (50, 25), (16, 6), (16, 10), (64, 28), (28, 7), (28, 21), (120, 35), (5, 4), (7, 1), (3, 5)]


@pytest.mark.parametrize(("n", "d"), FRAMES)
def test_frames_meet_the_bound(n, d):
    frame = etf(n, d)
    assert frame.shape == (n, d)
    gram = frame @ frame.T
    np.testing.assert_allclose(np.abs(gram), np.eye(n) * (1 - welch_bound(n, d)) + welch_bound(n, d), atol=1e-9)
    if n > d:
        np.testing.assert_allclose(frame.T @ frame, np.eye(d) * n / d, atol=1e-9)


def test_no_set_is_below_the_bound():
    for n, d in ((5, 2), (9, 4), (20, 19)):
        assert coherence(random_unit_vectors(KEY, n, d)).max > welch_bound(n, d)
    assert welch_bound(3, 3) == welch_bound(2, 5) == 0
    assert complement(etf(28, 7)).shape == (28, 21)


def test_orthonormal_sets():
    for frame in (orthonormal(5, 8), hadamard(5, 8)):
        np.testing.assert_allclose(frame @ frame.T, np.eye(5), atol=1e-12)
    np.testing.assert_allclose(np.abs(hadamard(8, 8)), 8**-0.5)


# --- Generators ---


def test_hinge_gradient_is_that_of_its_loss():
    with jax.enable_x64():
        v = random_unit_vectors(KEY, 7, 3)
        fixed = random_unit_vectors(jax.random.key(1), 2, 3)

        def loss(v):
            both = jnp.concatenate([fixed, v])
            excess = jax.nn.relu(jnp.abs(both @ both.T) - jnp.eye(9) - 0.3)
            return jnp.sum(excess) - jnp.sum(excess[:2, :2])  # pairs of fixed ones do not count

        for slice_size in (None, 3):
            found = hinge(v, 0.3, slice_size=slice_size, fixed=fixed)
            assert_close((found.loss, found.gradient), jax.value_and_grad(loss)(v), 1e-12)
            assert hinge(v, 1.0).loss == 0


def test_soft_coherence_bounds_the_coherence():
    with jax.enable_x64():
        v = random_unit_vectors(KEY, 6, 3)
        cosines = np.abs(v @ v.T)[~np.eye(6, dtype=bool)]
        for slice_size in (None, 4):
            soft, hard = soft_coherence(v, 16.0, slice_size=slice_size)
            np.testing.assert_allclose(soft, np.log(np.exp(16 * cosines).sum()) / 16, rtol=1e-12)
            np.testing.assert_allclose(hard, cosines.max(), rtol=1e-12)
        assert_gradients(lambda v: soft_coherence(v, 16.0, slice_size=4)[0], v, tolerance=1e-5)


def test_descent_stops_early_and_repeats_its_last_value():
    start = normal(24, 12).astype(np.float32)
    found = hinge_descent(start, 0.3, lr=0.005, steps=500)
    stop = int(found.steps)
    assert 1 < stop < 500
    assert found.coherence[stop - 1] <= 0.3 + 1e-4 < found.coherence[stop - 2]
    np.testing.assert_array_equal(found.coherence[stop - 1 :], found.coherence[stop - 1])
    np.testing.assert_allclose(coherence(found.vectors).max, found.coherence[-1], rtol=1e-5)
    two = jax.vmap(lambda s: hinge_descent(s, 0.3, lr=0.005, steps=500).vectors)(jnp.stack([jnp.asarray(start), start[::-1]]))
    assert_close(two[0], found.vectors, 1e-4)


def test_annealing_reaches_known_optima():
    found = annealed_descent(normal(10, 5).astype(np.float32), steps=300)
    np.testing.assert_allclose(coherence(found.vectors).max, 1 / 3, rtol=5e-3)
    padded = np.pad(normal(10, 5), ((0, 0), (0, 3)))
    assert not np.any(annealed_descent(padded.astype(np.float32), steps=2).vectors[:, 5:])


@pytest.mark.parametrize("method", ["hinge", "anneal"])
def test_a_set_grows_without_moving(method):
    old = random_unit_vectors(KEY, 5, 6)
    for slice_size in (None, 1):
        grown = extend_ebv(jax.random.key(2), old, 2, steps=400, method=method, slice_size=slice_size, lr=0.01)
        assert grown.shape == (7, 6)
        np.testing.assert_array_equal(grown[:5], old)
        worst = float(jnp.abs(grown[5:] @ jnp.concatenate([old, grown[5:]]).T - jnp.eye(7)[5:]).max())
        assert worst < float(coherence(old).max)


def test_methods_and_seeds():
    exact = generate_ebv(KEY, 10, 5, method="exact")
    np.testing.assert_allclose(coherence(exact).max, 1 / 3, rtol=1e-5)
    one, same, other = (generate_ebv(jax.random.key(seed), 6, 4, threshold=0.4, steps=20, lr=0.01) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 0.1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: generate_ebv(KEY, 1, 3), "n is 1"),
        (lambda: generate_ebv(KEY, 3, 1), "d is 1"),
        (lambda: generate_ebv(KEY, 3, 2, 1.0), "threshold is 1.0"),
        (lambda: generate_ebv(KEY, 3, 2, -0.1), "threshold is -0.1"),
        (lambda: generate_ebv(KEY, 3, 2, steps=0), "steps is 0"),
        (lambda: generate_ebv(KEY, 3, 2, steps=6, method="anneal"), "steps is 6"),
        (lambda: generate_ebv(KEY, 3, 2, lr=0.0), "lr is 0.0"),
        (lambda: generate_ebv(KEY, 3, 2, slice_size=0), "slice_size is 0"),
        (lambda: generate_ebv(KEY, 3, 2, method="sgd"), "method is 'sgd'"),
        (lambda: generate_ebv(KEY, 12, 6, method="exact"), "n is 12 and d 6"),
        (lambda: hinge_descent(np.ones((2, 3))), "parallel rows"),
        (lambda: hinge_descent(np.array([[1.0, 2.0], [-1.0, -2.0]])), "parallel rows"),
        (lambda: hinge_descent(np.zeros((2, 3))), "need a direction"),
        (lambda: hinge_descent(np.ones(3)), "start has shape"),
        (lambda: hinge(np.eye(2), 0.1, fixed=np.eye(3)), "fixed has dimension 3"),
        (lambda: annealed_descent(np.eye(2), sharpness=()), "sharpness is"),
        (lambda: extend_ebv(KEY, 2 * np.eye(3), 1), "vectors has rows of length 2"),
        (lambda: extend_ebv(KEY, np.eye(3), 0), "n_new is 0"),
        (lambda: extend_ebv(KEY, np.eye(3), 1, method="exact"), "method is 'exact'"),
        (lambda: welch_bound(1, 2), "n is 1"),
        (lambda: coherence(np.ones((1, 2))), "vectors has shape"),
        (lambda: hadamard(2, 6), "d must be a power of two"),
        (lambda: orthonormal(4, 3), "n is 4"),
        (lambda: EBVHead(np.eye(2), tau=0.0), "tau is 0.0"),
        (lambda: EBVHead(np.zeros((2, 2))), "zero or not finite"),
        (lambda: EBVHead(np.ones((1, 2))), "n at least 2"),
        (lambda: ebv_predict(jnp.ones((2, 3)), np.eye(2)), "z has dimension 3"),
    ],
)
def test_wrong_arguments(call, message, as_installed):
    with pytest.raises(ValueError, match=message):
        call()


# --- The head ---


def test_prediction_keeps_the_sign():
    """A feature at the opposite of a vector does not belong to it."""
    w = np.asarray(random_unit_vectors(KEY, 6, 3))
    rows = jnp.concatenate([w, -w])
    expected = (np.asarray(rows) @ w.T).argmax(1)
    found = ebv_predict(rows, w)
    np.testing.assert_array_equal(found[:6], range(6))
    np.testing.assert_array_equal(found, expected)
    assert (found[6:] != np.arange(6)).all()
    np.testing.assert_array_equal(ebv_predict(rows, w, block=2), expected)
    np.testing.assert_array_equal(ebv_predict(rows.reshape(3, 4, 3), w), expected.reshape(3, 4))
    with jax.debug_nans(False):
        assert ebv_predict(jnp.array([[np.nan, 0.0, 0.0]]), w).tolist() == [-1]


def test_head_at_the_edges():
    w, z = etf(6, 3), normal(4, 3).astype(np.float32)
    head = EBVHead(w)
    loss = jax.jit(lambda z: ebv_loss(head(z), jnp.zeros(len(z), int), 0.1))
    assert_degenerate(loss, z)
    assert_dtypes(head, z, tolerance=1e-4)
    assert head(jnp.asarray(z, jnp.bfloat16)).dtype == jnp.float32
    assert_jit_consistent(head, jnp.asarray(z))
    np.testing.assert_allclose(head(jnp.asarray(z)[None])[0], head(jnp.asarray(z)), rtol=1e-5)  # of pixels, say
    np.testing.assert_allclose(EBVHead(5 * w)(jnp.asarray(z)), head(jnp.asarray(z)), rtol=1e-5)


def test_gap_of_the_logits():
    """At its vector, a class is ahead by at most (1 + alpha) / tau and at least (1 - alpha) / tau."""
    w, tau = etf(10, 5), 0.07
    logits = np.asarray(EBVHead(w, tau)(jnp.asarray(w, jnp.float32)))
    gaps = (logits.diagonal()[:, None] - logits)[~np.eye(10, dtype=bool)]
    np.testing.assert_allclose([gaps.min(), gaps.max()], [2 / 3 / tau, 4 / 3 / tau], rtol=1e-4)


def test_vectors_never_learn():
    """No parameter, no weight decay, after steps of AdamW."""

    class Model(nnx.Module):
        def __init__(self, rngs):
            self.last, self.head = nnx.Linear(4, 3, rngs=rngs), EBVHead(etf(6, 3))

    model = Model(nnx.Rngs(0))
    before, kernel = np.array(model.head.weights[...]), np.array(model.last.kernel[...])
    assert {path[0] for path in nnx.to_flat_state(nnx.state(model, nnx.Param)).paths} == {"last"}
    x, y = jnp.asarray(normal(8, 4), jnp.float32), jnp.arange(8) % 6

    def loss(model, batch, key):
        return ebv_loss(model.head(model.last(batch[0])), batch[1], 0.1)

    history = fit(model, optax.adamw(0.1, weight_decay=0.5), loss, lambda data, step: data, (x, y), steps=5, key=KEY)
    np.testing.assert_array_equal(model.head.weights[...], before)
    assert np.abs(model.last.kernel[...] - kernel).max() > 0.1
    assert history.losses[-1] < history.losses[0]


def test_steps_of_both_heads():
    """What is timed is right: gradients by the features, and the weights after a step."""
    w, z = random_unit_vectors(KEY, 5, 3), jnp.asarray(normal(4, 3), jnp.float32)
    labels = jnp.array([0, 1, 4, 2])
    value, by_z = fixed_step(w, z, labels)
    assert_close((value, by_z), jax.value_and_grad(lambda z: ebv_loss(EBVHead(w)(z), labels, 0.1))(z), 1e-5)
    value, by_z, moved, momentum = linear_step(w, SGD.init(w), z, labels)
    slope = jax.grad(lambda w: ebv_loss(z @ w.T, labels, 0.1))(w)
    assert_close(moved, w - 0.1 * slope, 1e-5)
    assert_close(momentum[0].trace, slope, 1e-5)


# --- Sets on disk ---


def test_npy_round_trip(tmp_path, as_installed):
    w = etf(6, 3)
    np.testing.assert_array_equal(load_ebv(save_ebv(tmp_path / "eq_3_6.npy", w)), w)
    for bad, message in ((np.ones(3), "one array"), (np.eye(2, dtype=int), "int64"), (np.full((2, 2), np.nan), "finite")):
        with pytest.raises(ValueError, match=message):
            save_ebv(tmp_path / "bad.npy", bad)
    with pytest.raises(ValueError, match=r"end in \.npy"):
        save_ebv(tmp_path / "set.pkl", w)
    with pytest.raises(FileNotFoundError, match="no such file"):
        load_ebv(tmp_path / "missing.npy")
    np.save(tmp_path / "objects.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(DatasetCorrupt):
        load_ebv(tmp_path / "objects.npy")


class Call:
    """Pickles as a call of a function that PyTorch defines."""

    def __init__(self, function, *arguments):
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced


class Storage:
    """Pickles as a reference to a storage."""

    def __init__(self, dtype, count):
        self.reference = ("storage", dtype, "0", "cuda:0", count)


@pytest.fixture
def torch(monkeypatch):
    """Modules by the names that a pickle of a tensor refers to, with nothing behind them."""
    names = {"torch": ["FloatStorage"], "torch._utils": ["_rebuild_tensor_v2", "_rebuild_parameter"]}
    for module, members in (names | {"torch.storage": ["_load_from_bytes"]}).items():
        stand_in = types.ModuleType(module)
        for name in members:
            made = type(name, (), {}) if name.endswith("Storage") else types.FunctionType((lambda: None).__code__, {}, name)
            made.__module__, made.__qualname__ = module, name
            setattr(stand_in, name, made)
        monkeypatch.setitem(sys.modules, module, stand_in)
    return sys.modules


def pickled(content, protocol=2):
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer, protocol)
    pickler.persistent_id = lambda x: getattr(x, "reference", None)
    pickler.dump(content)
    return buffer.getvalue()


def tensor(torch, storage, size, stride, offset=0):
    return Call(torch["torch._utils"]._rebuild_tensor_v2, storage, offset, size, stride, False, OrderedDict())


def legacy(torch, content, numbers, count=None):
    """The older format of `torch.save`."""
    head = b"".join(pickled(x) for x in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}))
    return (
        head + pickled(content) + pickled(["0"]) + struct.pack("<q", len(numbers) if count is None else count) + numbers.tobytes()
    )


def test_pickles_of_the_authors(torch, tmp_path):
    """A pickled tensor with bytes inside, both formats of files, a parameter, a transposed window."""
    w = normal(6, 3).astype(np.float32)
    storage = Storage(torch["torch"].FloatStorage, w.size)
    inner = Call(torch["torch.storage"]._load_from_bytes, legacy(torch, storage, w.ravel()))
    files = {
        "eq_3_6.pkl": pickled(tensor(torch, inner, (6, 3), (3, 1)), protocol=4),
        "parameter.pkl": pickled(
            Call(torch["torch._utils"]._rebuild_parameter, tensor(torch, inner, (6, 3), (3, 1)), True, {}), protocol=4
        ),
        "old.pth": legacy(torch, tensor(torch, storage, (6, 3), (3, 1)), w.ravel()),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        np.testing.assert_array_equal(load_ebv(tmp_path / name), w)
    with zipfile.ZipFile(tmp_path / "new.pth", "w") as archive:
        archive.writestr("new/data.pkl", pickled(tensor(torch, storage, (2, 6), (1, 3), offset=1)))
        archive.writestr("new/data/0", w.tobytes())
    np.testing.assert_array_equal(load_ebv(tmp_path / "new.pth"), w.T[1:])


def test_pickles_that_are_refused(torch, tmp_path):
    """Nothing is called that no tensor needs, and no window reaches beyond its storage."""
    w = np.zeros((6, 3), np.float32)
    storage, huge = (Storage(torch["torch"].FloatStorage, count) for count in (w.size, 2**40))
    witness = tmp_path / "witness"
    bad = {
        "calls": (pickled(Call(exec, f"open({str(witness)!r}, 'w')"), protocol=4), "builtins.exec"),
        "system": (b"cposix\nsystem\n(S'true'\ntR.", "posix.system"),
        "wide": (legacy(torch, tensor(torch, storage, (6, 4), (4, 1)), w.ravel()), "beyond its storage"),
        "negative": (legacy(torch, tensor(torch, storage, (6, 3), (3, -1)), w.ravel()), "beyond its storage"),
        "huge": (
            legacy(torch, tensor(torch, huge, (6, 3), (3, 1)), w.ravel()),
            "promises",
        ),
        "short": (legacy(torch, tensor(torch, storage, (6, 3), (3, 1)), w.ravel(), count=17), "promises"),
        "cut": (legacy(torch, tensor(torch, storage, (6, 3), (3, 1)), w.ravel())[:-4], "no pickled tensor"),
        "number": (pickled(7), "one array"),
        "text": (b"not a pickle", "no pickled tensor"),
        "flat": (legacy(torch, tensor(torch, storage, (18,), (1,)), w.ravel()), "one array"),
    }
    for name, (content, message) in bad.items():
        (tmp_path / f"{name}.pkl").write_bytes(content)
        with pytest.raises(DatasetCorrupt, match=message):
            load_ebv(tmp_path / f"{name}.pkl")
    assert not witness.exists()


# --- Sweep and presets ---


def small_sweep():
    sweep = PRESETS["quick"].many
    return replace(
        sweep, dim=6, ebv_dims=(3, 6), random_dims=(4,), channels=(8,), patch=4, num_classes=5, simplex=True, ebv_steps=20
    )


def test_heads_of_a_sweep_are_one_program():
    """Each row of the padded heads scores as the head that it stands for, and only learned vectors have a gradient."""
    sweep = small_sweep()
    names, heads = sweep_heads(sweep, 5, [KEY, jax.random.key(1)])
    assert names == ["FC", "cosine FC", "EBV, d = 3", "EBV, d = 6", "random, d = 4", "simplex, d = 4"]
    assert heads.vectors.shape == (6, 2, 5, 6)
    model = Classifier(sweep, 5, 0.0, 1.0, rngs=nnx.Rngs(0))
    z = jnp.asarray(normal(4, 6), jnp.float32)
    unit = z / jnp.linalg.norm(z, axis=1, keepdims=True)
    kernel = model.linear.kernel[...]
    row = {name: Head(*(x[i, 0] for x in heads)) for i, name in enumerate(names)}
    assert_close(model.logits(z, row["FC"]), model.linear(z), 1e-6)
    assert_close(model.logits(z, row["cosine FC"]), unit @ kernel / jnp.linalg.norm(kernel, axis=0)[None] / 0.07, 1e-5)
    narrow = row["EBV, d = 3"].vectors
    assert not narrow[:, 3:].any()
    np.testing.assert_allclose(np.linalg.norm(narrow, axis=1), 1, rtol=1e-5)
    assert_close(model.logits(z, row["EBV, d = 3"]), EBVHead(narrow[:, :3])(z[:, :3]), 1e-5)
    for name, head in row.items():
        gradient = nnx.grad(lambda m, head=head: m.logits(z, head)[0, 0])(model)
        assert bool(jnp.any(gradient["linear"]["kernel"][...])) == name.endswith("FC")


def test_images_and_their_errors(as_installed, monkeypatch, tmp_path):
    images = open_images(small_sweep(), KEY).value
    assert (images.num_classes, images.train.images.shape[1:]) == (5, (4, 4, 1))
    assert sum(len(y) for _, y in images.test_batches(7)) == len(images.test)
    with pytest.raises(ValueError, match="image_set is 'svhn'"):
        open_images(replace(small_sweep(), image_set="svhn"), KEY)
    with pytest.raises(ValueError, match="dim is 6"):
        replace(small_sweep(), ebv_dims=(7,))
    monkeypatch.setenv("QUIRE_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(DatasetUnavailable, match="imagenet-1k"):
        open_images(PRESETS["paper"].sweep, KEY)
    found = open_images(PRESETS["quick"].sweep, KEY)
    assert "digits" in found.name and found.stand_in_for == "ImageNet-1K"


@pytest.mark.parametrize("name", PRESETS)
def test_presets_trace(name):
    """Loss and features of every preset's sweeps, by shapes alone."""
    preset = PRESETS[name]
    for sweep, classes in ((preset.sweep, 1000), (preset.many, preset.many.num_classes)):
        graph, state = nnx.split(nnx.eval_shape(lambda s=sweep, c=classes: Classifier(s, c, 0.0, 1.0, rngs=nnx.Rngs(0))))
        side = sweep.patch if sweep.image_set == "prototypes" else sweep.image_size
        images = jax.ShapeDtypeStruct((2, side, side, sweep.in_channels), jnp.uint8)
        head = Head(*(jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((classes, sweep.dim), (sweep.dim,), (), ())))

        def loss(state, images, labels, head, graph=graph, sweep=sweep):
            return head_loss(sweep.smoothing)(nnx.merge(graph, state), (images, labels, head), None)

        assert jax.eval_shape(loss, state, images, jax.ShapeDtypeStruct((2,), jnp.int32), head).shape == ()
        assert sweep.training.transformation() is not None
