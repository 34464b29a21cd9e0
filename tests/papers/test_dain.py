"""DAIN: golden vectors, influence, entities, new cells, training, sources, presets."""

import gzip
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from quire.common.claims import run
from quire.common.errors import DatasetCorrupt, DatasetUnavailable
from quire.common.tensors.sparse import SparseTensor
from quire.common.testing import assert_close, assert_degenerate, assert_dtypes, assert_jit_consistent, assert_vmap_consistent
from quire.common.train.step import split_model
from quire.dain import (
    DAIN,
    DRAWS,
    PRESETS,
    EntityMLP,
    ModeConvolution,
    Scaling,
    Setting,
    Training,
    benchmark,
    bias_predictions,
    cell_gradients,
    cell_importance,
    cp_predictions,
    draw_cells,
    entity_importance,
    epoch_influence,
    fit_completion,
    generated_tensor,
    load_entity_mlp,
    mae,
    movielens_1m,
    movielens_100k,
    mse,
    open_tensor,
    paper,
    parts,
    predict,
    read_tensor,
    relative_importance,
    rmse,
    streamed_importance,
    unseen,
)
from quire.dain import brute_force as brute
from quire.dain.completion import squared_error
from quire.dain.entity_importance import unsigned
from quire.dain.first_order import first_order_effect
from quire.dain.scaling import epoch
from quire.dain.side_by_side import importances, train_side_by_side
from quire.dain.sources import FRACTIONS
from quire.dain.wrong_cells import auc, corrupted

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def arrays(golden):
    return golden("dain")


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def small_tensor(count=60, dims=(7, 6, 5), seed=0, mean=0):
    draw = np.random.default_rng(seed)
    indices = np.stack([draw.integers(0, size, count) for size in dims], axis=1)
    return SparseTensor(indices, mean + draw.normal(size=count), dims)


def cells(tensor, dtype=np.float32):
    return tensor.indices, tensor.values.astype(dtype)


# --- Golden vectors ---


def weights_at(arrays, number):
    return {k: x for k, x in arrays.case(f"ep{number}").items() if k not in ("pred", "last_hidden")}


def epochs_of(arrays):
    return sum(name.endswith("/pred") for name in arrays.arrays)


@pytest.mark.parametrize(("x64", "tolerance"), [(True, 1e-9), (False, 1e-5)], ids=["float64", "float32"])
def test_golden(arrays, x64, tolerance):
    """Forward passes, gradients, importances of cells and entities, stored and streamed."""
    n, m = int(arrays["n_train"]), int(arrays["n_val"])
    dims = arrays["dims"].tolist()
    with jax.enable_x64(x64):
        indices, values = arrays["indices"], jnp.asarray(arrays["values"])
        stored, states = [], []
        for number in range(epochs_of(arrays)):
            model = load_entity_mlp(weights_at(arrays, number))
            assert_close(model(indices), (arrays[f"ep{number}/pred"], arrays[f"ep{number}/last_hidden"]), tolerance)
            stored.append(cell_gradients(model, (indices, values)))
            states.append(nnx.state(model))
        assert_close(jnp.stack(stored), arrays["allgrad"], tolerance)
        raw = cell_importance(jnp.stack(stored)[:, :n], jnp.stack(stored)[:, n : n + m])
        assert_close(raw, arrays["importance_raw"], tolerance)
        train, validation = ((indices[part], values[part]) for part in (slice(n), slice(n, n + m)))
        states = jax.tree.map(lambda *x: jnp.stack(x), *states)
        for block in (7, 8192):
            streamed = streamed_importance(nnx.graphdef(model), states, np.ones(len(stored)), train, validation, block)
            assert_close(streamed, arrays["importance_raw"], tolerance)
        assert_close(relative_importance(raw, "max"), arrays["importance_authors"], tolerance)
        for scores in (raw, relative_importance(raw)):
            for mode, found in enumerate(entity_importance(indices[:n], scores, dims)):
                assert_close(found, arrays[f"entity_importance{mode}"], tolerance)
        layers = arrays["layers"].tolist()
        built = nnx.eval_shape(lambda: EntityMLP(dims, layers, rngs=nnx.Rngs(0)))
        assert jax.tree.map(jnp.shape, nnx.state(built)) == jax.tree.map(jnp.shape, nnx.state(model))


def test_golden_against_the_definition(arrays):
    n, m = int(arrays["n_train"]), int(arrays["n_val"])
    for number in range(epochs_of(arrays)):
        value, hidden = brute.forward(weights_at(arrays, number), arrays["indices"][0])
        np.testing.assert_allclose(value, arrays[f"ep{number}/pred"][0], rtol=1e-9)
        np.testing.assert_allclose(hidden, arrays[f"ep{number}/last_hidden"][0], rtol=1e-9, atol=1e-12)
    pairs = brute.cell_importance(arrays["allgrad"][:, :n], arrays["allgrad"][:, n : n + m])
    np.testing.assert_allclose(pairs, arrays["importance_raw"], rtol=1e-9)
    found = brute.entity_importance(arrays["indices"][:n], pairs, arrays["dims"].tolist())
    for mode, each in enumerate(found):
        np.testing.assert_allclose(each, arrays[f"entity_importance{mode}"], rtol=1e-9)


def test_converter_is_strict(arrays, as_installed):
    weights = weights_at(arrays, 0)
    bad = {
        "lack": {k: x for k, x in weights.items() if k != "output_layer.bias"},
        "unknown": weights | {"extra": np.ones(1)},
        "finite": weights | {"output_layer.bias": np.array([np.nan])},
        "rank": weights | {"output_layer.bias": np.ones((1, 1))},
        "output_layer.bias has shape": weights | {"output_layer.bias": np.ones(2)},
        "fc_layers.0.weight has shape": weights | {"fc_layers.0.weight": weights["fc_layers.0.weight"][:, :-1]},
        "embeddings": {},
    }
    for message, case in bad.items():
        with pytest.raises(ValueError, match=message):
            load_entity_mlp(case)


# --- Networks ---


def test_initial_weights_are_pytorch_s():
    model = EntityMLP((300, 200), (20, 100, 50), rngs=nnx.Rngs(0))
    rows = np.concatenate([table[...] for table in model.embeddings])
    assert rows.shape == (500, 10) and abs(rows.std() - 1) < 0.05 and abs(rows.mean()) < 0.05
    for layer, fan_in in zip([*model.hidden, model.output], (20, 100, 50), strict=True):
        for x in (layer.kernel[...], layer.bias[...]):
            assert np.abs(x).max() <= fan_in**-0.5
        assert np.abs(layer.kernel[...]).max() > 0.9 * fan_in**-0.5
    again, other = (EntityMLP((300, 200), (20, 100, 50), rngs=nnx.Rngs(seed)) for seed in (0, 1))
    np.testing.assert_array_equal(again.output.kernel[...], model.output.kernel[...])
    assert np.abs(other.output.kernel[...] - model.output.kernel[...]).max() > 0.01


def test_mode_convolution_is_its_formula():
    model = ModeConvolution((7, 6, 5), 4, 3, rngs=nnx.Rngs(0))
    indices = small_tensor(9).indices
    relu = lambda x: np.maximum(x, 0)  # noqa: E731
    layers = (model.modes, model.components, model.hidden, model.output)
    (u, a), (v, b), (w, c), (o, d) = [(np.asarray(x.kernel[...]), np.asarray(x.bias[...])) for x in layers]
    for cell, y, h in zip(indices, *model(indices), strict=True):
        e = np.stack([np.asarray(table[...])[i] for table, i in zip(model.embeddings, cell, strict=True)])
        filtered = relu(np.einsum("kr,kc->rc", e, u) + a)
        expected = relu(relu(filtered.reshape(-1) @ v + b) @ w + c)
        np.testing.assert_allclose(h, expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(y, expected @ o[:, 0] + d[0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "make", [lambda r: EntityMLP((7, 6, 5), (6, 4), rngs=r), lambda r: ModeConvolution((7, 6, 5), 4, 3, rngs=r)]
)
def test_networks_at_the_edges(make, as_installed):
    model = make(nnx.Rngs(0))
    y, h = model(np.zeros((0, 3), np.int32))
    assert y.shape == (0,) and h.shape[0] == 0
    for bad, message in (
        (np.zeros((2, 2), int), "indices have shape"),
        (np.array([[0, 6, 0]]), "indices of mode 1"),
        (np.array([[-1, 0, 0]]), "indices of mode 0"),
        (np.zeros((1, 3)), "indices of mode 0 has dtype"),
    ):
        with pytest.raises(ValueError, match=message):
            model(bad)
    with jax.debug_nans(False):  # a traced index cannot be looked at
        assert np.isnan(jax.jit(lambda i: model(i)[0])(jnp.array([[0, 9, 0]]))).all()


# --- Influence ---


def test_gradients_are_those_of_half_the_squared_error():
    tensor = small_tensor(8)
    model = EntityMLP(tensor.dims, (6, 5, 4), rngs=nnx.Rngs(0))
    y, h = model(tensor.indices)
    found = cell_gradients(model, cells(tensor))
    kernel, bias = model.output.kernel[...][:, 0], model.output.bias[...]
    for g, hidden, v in zip(found, h, tensor.values.astype(np.float32), strict=True):
        assert_close(g, jax.grad(lambda w, hidden=hidden, v=v: (hidden @ w + bias[0] - v) ** 2 / 2)(kernel), 1e-5)
    assert float(jnp.abs(y).max()) > 0


def test_importance_is_the_sum_over_pairs_and_epochs():
    train, validation = (normal(3, n, 4, seed=n).astype(np.float32) for n in (6, 5))
    found = cell_importance(jnp.asarray(train), jnp.asarray(validation))
    np.testing.assert_allclose(found, brute.cell_importance(train, validation), rtol=1e-4, atol=1e-5)
    assert_jit_consistent(cell_importance, jnp.asarray(train), jnp.asarray(validation))
    each = sum(cell_importance(jnp.asarray(train[e : e + 1]), jnp.asarray(validation[e : e + 1])) for e in range(3))
    assert_close(found, each, 1e-5)
    assert_vmap_consistent(cell_importance, jnp.asarray(normal(2, 3, 4, 2)), jnp.asarray(normal(2, 3, 5, 2, seed=1)))


def test_importance_at_the_edges():
    train, validation = normal(2, 4, 3).astype(np.float32), normal(2, 5, 3, seed=1).astype(np.float32)
    assert_degenerate(cell_importance, train, validation, axes=(1,), scales=(1e-15, 1e6))
    assert_dtypes(cell_importance, train, validation, tolerance=1e-4)
    assert_degenerate(relative_importance, normal(5).astype(np.float32), differentiable=False)
    assert_dtypes(unsigned, normal(5), tolerance=1e-4)


def test_streaming_weighs_epochs_and_needs_no_whole_blocks():
    train, validation = small_tensor(11), small_tensor(6, seed=1)
    models = [EntityMLP(train.dims, (6, 4), rngs=nnx.Rngs(seed)) for seed in range(3)]
    states = jax.tree.map(lambda *x: jnp.stack(x), *[nnx.state(model) for model in models])
    each = [np.asarray(epoch_influence(model, cells(train), cells(validation))) for model in models]
    g, z = (np.asarray(cell_gradients(models[0], cells(part))) for part in (train, validation))
    np.testing.assert_allclose(each[0], (g @ z.T).sum(1), rtol=1e-4, atol=1e-5)
    for block in (1, 4, 100):
        found = streamed_importance(
            nnx.graphdef(models[0]), states, np.array([1.0, 0.0, 0.5]), cells(train), cells(validation), block
        )
        np.testing.assert_allclose(found, each[0] + each[2] / 2, rtol=1e-4, atol=1e-4)


def test_relative_importance_keeps_signs():
    with pytest.raises(ValueError, match="no positive number"):
        relative_importance(jnp.array([-1.0, -2.0]), "max")
    np.testing.assert_allclose(relative_importance(jnp.array([-1.0, -2.0])), [-0.5, -1])
    with jax.debug_nans(False):
        assert np.isnan(relative_importance(jnp.array([1.0, np.nan]))).all()


def test_first_order_effect():
    found = first_order_effect(jax.random.key(7), train=20, validation=30)
    assert found.correlation > 0.999 and abs(found.relative_slope - 1) < 0.01 and (found.influence < 0).any()


# --- Entities and new cells ---


@pytest.mark.parametrize("mode", ["abs", "positive", "signed_shift"])
def test_entity_importance_is_a_distribution(mode):
    tensor, scores = small_tensor(20, (4, 9, 3)), normal(20).astype(np.float32)
    found = entity_importance(tensor.indices, scores, tensor.dims, mode)
    weights = {"abs": np.abs(scores), "positive": np.maximum(scores, 0), "signed_shift": scores - scores.min()}[mode]
    for k, (each, expected) in enumerate(zip(found, brute.entity_importance(tensor.indices, weights, tensor.dims), strict=True)):
        np.testing.assert_allclose(each, expected, rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(each.sum(), 1, rtol=1e-5)
        assert not each[np.bincount(tensor.indices[:, k], minlength=tensor.dims[k]) == 0].any()


def test_new_cells_follow_the_importance_of_entities():
    """Chi-square of the draws against the product of the distributions; the observed indices are correlated here."""
    from scipy.stats import chi2

    train = SparseTensor(np.array([[0, 0], [1, 1], [2, 2], [1, 2]]), np.ones(4), (4, 3))
    scores, n = np.array([1.0, -2.0, 3.0, 0.5]), 4000
    found = draw_cells("DAIN", train, scores, n / 4, KEY).indices
    a, b = (np.asarray(x, float) for x in entity_importance(train.indices, scores, train.dims))
    expected = n * np.outer(a, b)
    counts = np.zeros((4, 3))
    np.add.at(counts, tuple(found.T), 1)
    assert not counts[3].any()  # it has no training cell
    statistic = np.sum((counts[:3] - expected[:3]) ** 2 / expected[:3])
    assert statistic < chi2.ppf(0.999, 8)


def test_kinds_of_new_cells():
    train, scores = small_tensor(40), normal(40, seed=3)
    observed = {tuple(cell): value for cell, value in zip(train.indices.tolist(), train.values, strict=True)}
    new = {kind: draw_cells(kind, train, scores, 2.0, KEY) for kind in DRAWS}
    for kind, (indices, values) in new.items():
        assert indices.shape == (80, 3) and (indices >= 0).all() and (indices < train.dims).all(), kind
        assert (values is None) == (kind not in ("duplicates", "weighted duplicates", "random values")), kind
    for kind in ("duplicates", "weighted duplicates"):
        assert all(tuple(cell) in observed for cell in new[kind].indices.tolist())
        assert np.isin(new[kind].values, train.values).all()
    assert np.isin(new["random values"].values, train.values).all()
    np.testing.assert_array_equal(new["random values"].indices, new["DAIN"].indices)
    distance = (new["entity replacement"].indices[:, None] != train.indices[None]).sum(2).min(1)
    assert distance.max() == 1
    one = np.zeros(40)
    one[5], one[6] = -3.0, 1.0
    assert (draw_cells("weighted duplicates", train, one, 1, KEY).values != train.values[6]).any()
    np.testing.assert_array_equal(draw_cells("positive influence", train, one, 1, KEY).indices, train.indices[[6] * 40])
    counts = np.bincount(draw_cells("frequency", train, one, 100, KEY).indices[:, 2], minlength=5) / 4000
    np.testing.assert_allclose(counts, np.bincount(train.indices[:, 2], minlength=5) / 40, atol=0.04)
    counts = np.bincount(draw_cells("uniform cells", train, one, 100, KEY).indices[:, 2], minlength=5) / 4000
    np.testing.assert_allclose(counts, 0.2, atol=0.04)
    np.testing.assert_array_equal(new["DAIN"].indices, draw_cells("DAIN", train, scores, 2.0, KEY).indices)


def test_unseen():
    tensor = small_tensor(50, (3, 3, 3))
    observed, new = tensor.indices[:20], tensor.indices[20:]
    before, expected = {tuple(cell) for cell in observed.tolist()}, []
    for cell in map(tuple, new.tolist()):
        expected.append(cell not in before)
        before.add(cell)
    assert unseen(new, observed, tensor.dims).tolist() == expected and 0 < sum(expected) < 30


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: EntityMLP((3, 2), (5, 4), rngs=nnx.Rngs(0)), "layers\\[0\\] is 5"),
        (lambda: EntityMLP((3, 0), (4, 4), rngs=nnx.Rngs(0)), "dims\\[1\\] is 0"),
        (lambda: EntityMLP((), (4, 4), rngs=nnx.Rngs(0)), "number of modes is 0"),
        (lambda: EntityMLP((3, 2), (4, 0), rngs=nnx.Rngs(0)), "layers\\[1\\] is 0"),
        (lambda: EntityMLP((3, 2), (), rngs=nnx.Rngs(0)), "number of layers is 0"),
        (lambda: ModeConvolution((3, 2), 0, 2, rngs=nnx.Rngs(0)), "rank is 0"),
        (lambda: ModeConvolution((3, 2), 2, 0, rngs=nnx.Rngs(0)), "channels is 0"),
        (lambda: cell_importance(jnp.ones((2, 3)), jnp.ones((2, 3))), "train has shape"),
        (lambda: cell_importance(jnp.ones((2, 3, 4)), jnp.ones((1, 3, 4))), "train has shape"),
        (lambda: relative_importance(jnp.ones(2), "sum"), "by is 'sum'"),
        (lambda: entity_importance(np.zeros((2, 2), int), np.ones(2), (3, 3), "square"), "mode is 'square'"),
        (lambda: entity_importance(np.zeros((2, 2), int), np.ones(3), (3, 3)), "scores \\(3,\\)"),
        (lambda: entity_importance(np.zeros((2, 2), int), np.ones(2), (3,)), "indices have shape"),
        (lambda: entity_importance(np.full((2, 2), 3), np.ones(2), (3, 3)), "indices of mode 0"),
        (lambda: entity_importance(np.zeros((2, 2), int), np.zeros(2), (3, 3)), "add up to 0.0"),
        (lambda: entity_importance(np.zeros((2, 2), int), -np.ones(2), (3, 3), "positive"), "add up to 0.0"),
        (lambda: entity_importance(np.zeros((2, 2), int), np.array([1.0, np.nan]), (3, 3)), "not all finite"),
        (lambda: draw_cells("all", small_tensor(), np.ones(60), 0.5, KEY), "kind is 'all'"),
        (lambda: draw_cells("DAIN", small_tensor(), np.ones(60), -0.5, KEY), "ratio is -0.5"),
        (lambda: draw_cells("DAIN", small_tensor(), np.ones(60), float("nan"), KEY), "ratio is nan"),
        (lambda: draw_cells("DAIN", small_tensor(), np.ones(59), 0.5, KEY), "scores have shape"),
        (lambda: draw_cells("DAIN", small_tensor(0), np.ones(0), 0.5, KEY), "number of training cells is 0"),
        (lambda: DAIN(ratio=-1.0), "ratio is -1.0"),
        (lambda: DAIN(mode="square"), "mode is 'square'"),
        (lambda: DAIN(record="never"), "record is 'never'"),
        (lambda: Training(epochs=0), "epochs is 0"),
        (lambda: Training(learning_rate=0.0), "learning_rate is 0.0"),
        (lambda: Setting("generated", 0.0), "share is 0.0"),
        (lambda: Scaling(cells=(1000,)), "four batches"),
        (lambda: rmse(np.ones(3), np.ones(1)), "predicted has shape"),
        (lambda: mae(np.ones(0), np.ones(0)), "at least one"),
        (lambda: bias_predictions(small_tensor(), np.zeros((1, 3), int), -1.0), "shrinkage is -1.0"),
        (lambda: generated_tensor(KEY, (2, 2), 5), "cells is 5"),
        (lambda: generated_tensor(KEY, (2, 2), 4, rank=0), "rank is 0"),
        (lambda: open_tensor(Setting("netflix"), KEY), "tensor is 'netflix'"),
        (lambda: corrupted(small_tensor(), 0.0, KEY), "share is 0.0"),
        (lambda: auc(np.array([0.0, np.nan]), np.array([True, False])), "1 scores are NaN"),
        (lambda: auc(np.zeros(2), np.array([True, True])), "2 of 2"),
        (
            lambda: epoch_influence(lambda i: (i[:, 0] * 1.0, i * 1.0), cells(small_tensor(3)), cells(small_tensor(0))),
            "validation",
        ),
        (lambda: epoch_influence(lambda i: None, cells(small_tensor(3)), cells(small_tensor(3)), 0), "block is 0"),
        (lambda: fit_completion(None, small_tensor(), small_tensor(), Training(), key=KEY, record="daily"), "record is 'daily'"),
    ],
)
def test_wrong_arguments(call, message, as_installed):
    with pytest.raises(ValueError, match=message):
        call()


# --- Training ---


def fitted(record, *, epochs=2, batch_size=60, patience=5, rate=1e-2):
    train, validation = small_tensor(mean=3), small_tensor(20, seed=1, mean=3)
    model = EntityMLP(train.dims, (6, 8, 5), rngs=nnx.Rngs(0))
    start = nnx.clone(model)
    run = fit_completion(model, train, validation, Training(epochs, batch_size, rate, patience), key=KEY, record=record)
    return model, start, run, train, validation


def test_training_ends_with_the_best_epoch():
    model, _, run, _, validation = fitted("epoch", epochs=6, batch_size=16, rate=3e-2)
    assert run.best == run.losses.argmin() and run.losses[0] > run.losses[run.best]
    found = np.mean((predict(model, validation.indices, block=7) - validation.values) ** 2)
    np.testing.assert_allclose(found, run.losses[run.best], rtol=1e-5)


def test_patience_ends_a_run():
    _, _, run, _, _ = fitted(None, epochs=12, batch_size=8, rate=0.3, patience=1)
    assert len(run.losses) < 12 and run.best == len(run.losses) - 2 and run.importance is None


def test_importance_of_one_epoch_is_that_of_the_start():
    _, start, run, train, validation = fitted("epoch", epochs=1)
    np.testing.assert_allclose(run.importance, epoch_influence(start, cells(train), cells(validation)), rtol=1e-4, atol=1e-4)


def test_both_ways_to_record_agree_where_a_batch_is_an_epoch():
    by_epoch, by_batch = (fitted(record, epochs=3) for record in ("epoch", "batch"))
    np.testing.assert_allclose(by_epoch[2].losses, by_batch[2].losses, rtol=1e-5)
    assert by_epoch[2].best == 2
    np.testing.assert_allclose(by_epoch[2].importance, by_batch[2].importance, rtol=1e-3, atol=1e-3)
    mid = fitted("batch", epochs=2, batch_size=16)[2].importance
    whole = fitted("epoch", epochs=2, batch_size=16)[2].importance
    assert 0.5 < np.corrcoef(mid, whole)[0, 1] < 0.999999


def test_side_by_side_is_one_by_one():
    """Importances of the kept epochs from weights after every epoch, against gradients stored at the starts."""
    splits = [(small_tensor(30, seed=s), small_tensor(9, seed=s + 5), small_tensor(8, seed=s + 9)) for s in range(2)]
    trains, keys = [train for train, _, _ in splits], jax.random.split(KEY, 2)
    training = Training(3, 16, 2e-2)

    def build(rngs):
        return EntityMLP(trains[0].dims, (6, 4), rngs=rngs)

    runs = train_side_by_side(build, trains, splits, training, keys)
    assert runs.validation.shape == (2, 3) and runs.test.shape == (2, 8)
    for seed, (train, validation, test) in enumerate(splits):
        states = [jax.tree.map(lambda x, e=e, s=seed: x[s, e], runs.states) for e in range(3)]
        models = [build(nnx.Rngs(keys[seed])), *(nnx.merge(runs.graph, state) for state in states)]
        losses = [np.mean((predict(model, validation.indices) - validation.values) ** 2) for model in models[1:]]
        np.testing.assert_allclose(runs.validation[seed], losses, rtol=1e-4)
        best = int(np.argmin(losses))
        np.testing.assert_allclose(runs.test[seed], predict(models[1 + best], test.indices), rtol=1e-4, atol=1e-5)
        for whole, last in ((False, best), (True, 2)):
            found = importances(build, runs, splits, keys, all_epochs=whole)[seed]
            expected = sum(np.asarray(epoch_influence(model, cells(train), cells(validation))) for model in models[: last + 1])
            np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_dain_from_a_tensor():
    tensor = generated_tensor(KEY, (6, 5, 4), 100).tensor
    config = DAIN(layers=(6, 5), training=Training(2, 72, 1e-2))
    found, again = (config.fit(tensor, jax.random.key(1)) for _ in range(2))
    assert (len(found.train), len(found.validation), len(found.test), len(found.new)) == (72, 18, 10, 36)
    np.testing.assert_array_equal(found.new.values, again.new.values)
    np.testing.assert_allclose(found.new.values, predict(found.first, found.new.indices), rtol=1e-5)
    errors = found.test_errors()
    guess = found.predict(found.test.indices)
    np.testing.assert_allclose(errors["after"]["mse"], mse(guess, found.test.values), rtol=1e-6)
    np.testing.assert_allclose(errors["before"]["rmse"] ** 2, errors["before"]["mse"])
    start = [m.embeddings[0][...] for m in (found.first, found.model)]
    assert np.abs(start[0] - start[1]).mean() > 0.3  # the second network starts afresh
    strict = replace(config, dedup=True, clip=True, mode="positive", record="batch", ratio=1.0)
    found = strict.fit((found.train, found.validation, found.test), jax.random.key(1))
    assert 0 < len(found.new) < 72 and unseen(found.new.indices, found.train.indices, tensor.dims).all()
    assert found.train.values.min() <= found.new.values.min() and found.new.values.max() <= found.train.values.max()
    none = replace(config, ratio=0.0, build=lambda dims, rngs: ModeConvolution(dims, 3, 4, rngs=rngs)).fit(tensor, KEY)
    assert len(none.new) == 0 and np.isfinite(none.test_errors()["after"]["mae"])


def test_the_timed_epoch_is_an_epoch():
    """Importances are those of an epoch of stored gradients, batch by batch, and as many steps are taken as there are batches."""
    training = Training(batch_size=4, learning_rate=0.1)
    draw = np.random.default_rng(0)
    train, validation = (
        (draw.integers(0, 5, (count, 4, 3), np.int32), draw.normal(size=(count, 4)).astype(np.float32)) for count in (12, 3)
    )
    model = EntityMLP((5, 5, 5), (6, 4), rngs=nnx.Rngs(0))
    graph, _, weights = split_model(model)
    tx = training.transformation()
    after, _, scores = epoch(graph, training, weights, tx.init(weights.params), train, validation, np.int32(8))
    counted = tuple(x[:8].reshape(-1, *x.shape[2:]) for x in train), tuple(x[:2].reshape(-1, *x.shape[2:]) for x in validation)
    np.testing.assert_allclose(scores[:8].reshape(-1), epoch_influence(model, *counted), rtol=1e-4, atol=1e-4)
    assert not scores[8:].any()
    loss = jax.jit(jax.grad(lambda p, *batch: squared_error(nnx.merge(graph, p, weights.other), batch, KEY)))
    params, opt_state = weights.params, tx.init(weights.params)
    for indices, values in zip(train[0][:8], train[1][:8], strict=True):
        updates, opt_state = tx.update(loss(params, indices, values), opt_state, params)
        params = jax.tree.map(lambda p, u: p + u, params, updates)
    assert_close(after.params, params, 1e-3)


# --- Models without a network, errors, data ---


def test_biases_by_hand():
    train = SparseTensor(np.array([[0, 0, 0], [0, 1, 0], [1, 1, 1]]), np.array([5.0, 3.0, 1.0]), (3, 3, 2))
    items = [2 / 3, -2 / 3, 0]  # what is left over by item, each averaged with 2 zeros (shrinkage 2): (2)/(3), (0 - 2)/(4)
    items = [2 / 3, -2 / 4, 0]
    users = [(2 - items[0] + 0 - items[1]) / 4, (-2 - items[1]) / 3, 0]
    expected = [3 + users[u] + items[i] for u in range(3) for i in range(3)]
    wanted = np.array([[u, i, 0] for u in range(3) for i in range(3)])
    np.testing.assert_allclose(bias_predictions(train, wanted, 2.0), expected)


def test_cp_finds_what_biases_leave():
    a, b = np.sign(normal(12)), np.sign(normal(9, seed=1))
    grid = np.argwhere(np.ones((12, 9, 1)))
    values = 2 * a[grid[:, 0]] * b[grid[:, 1]]
    tensor = SparseTensor(grid, values, (12, 9, 1))
    train, validation, test = parts(tensor, KEY)
    found = cp_predictions(train, validation, test.indices, 1, KEY)
    assert rmse(found, test.values) < 0.5 * rmse(bias_predictions(train, test.indices), test.values)


def test_errors_are_named_properly():
    found, values = np.array([1.0, 5.0, 3.0]), np.array([1.0, 3.0, 4.0])
    assert (float(mse(found, values)), float(mae(found, values))) == (5 / 3, 1.0)
    np.testing.assert_allclose(rmse(found, values) ** 2, 5 / 3)
    np.testing.assert_allclose(rmse(np.stack([found, values]), values), [np.sqrt(5 / 3), 0])
    assert np.isnan(mse(np.array([np.nan, 1.0]), values[:2]))


def test_tensors_from_files(tmp_path, as_installed):
    plain, packed = tmp_path / "a.tensor", tmp_path / "a.tensor.gz"
    text = "0\t2\t1\t1.5\n3\t0\t0\t-2\n"
    plain.write_text(text)
    packed.write_bytes(gzip.compress(text.encode()))
    for path in (plain, packed):
        tensor = read_tensor(path)
        assert tensor.dims == (4, 3, 2) and tensor.values.tolist() == [1.5, -2.0]
    for bad in ("", "0 1 2\n0 1\n", "1\n", "0 x 1.0\n", "0.5 1 1.0\n", "0 1 nan\n", "-1 0 1.0\n", "0 1 99e999\n"):
        plain.write_text(bad)
        with pytest.raises(DatasetCorrupt):
            read_tensor(plain)


def test_ratings_as_tensors(tmp_path, as_installed):
    week = 7 * 24 * 3600
    rows = [(7, 5, 3, 1000), (9, 5, 5, 1000 + week - 1), (7, 8, 1, 1000 + week)]
    for load, separator, name in ((movielens_100k, "\t", "u.data"), (movielens_1m, "::", "ratings.dat")):
        path = tmp_path / name
        path.write_text("\n".join(separator.join(map(str, row)) for row in rows))
        data = load(path)
        assert data.tensor.indices.tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 1]] and data.tensor.values.tolist() == [3, 5, 1]
        for bad in ((7, 5, 9, 1000), (7, 5, 3, 10**12)):
            path.write_text("\n".join(separator.join(map(str, row)) for row in [*rows, bad]))
            with pytest.raises(DatasetCorrupt):
                load(path)


def test_movielens(quire_data):
    data = movielens_100k()
    assert data.tensor.dims == (943, 1682, 31) and len(data.tensor) == 100_000


def test_stand_in_and_missing_data(monkeypatch, tmp_path):
    monkeypatch.setenv("QUIRE_DATA", str(tmp_path))
    monkeypatch.setenv("QUIRE_CACHE", str(tmp_path))
    monkeypatch.setenv("QUIRE_OFFLINE", "1")
    source = open_tensor(PRESETS["quick"].setting, KEY)
    assert source.name.startswith("generated tensor") and "MovieLens" in source.stand_in_for and source.value.share == 1
    with pytest.raises(DatasetUnavailable):
        open_tensor(Setting("dain-synthetic"), KEY)


def test_parts_are_disjoint_shares():
    tensor = SparseTensor(np.arange(200)[:, None], np.arange(200.0), (200,))
    for share in (1.0, 0.5):
        found = parts(tensor, KEY, share)
        assert [len(part) for part in found] == [round(200 * share * f) for f in FRACTIONS]
        together = np.concatenate([part.values for part in found])
        assert len(np.unique(together)) == len(together)
    tensor, bad = corrupted(small_tensor(40), 0.25, KEY)
    assert bad.sum() == 10 and (tensor.values[~bad] == small_tensor(40).values[~bad]).all()


# --- Presets and claims ---


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_programs_of_every_preset_fit_together(preset):
    indices = jax.ShapeDtypeStruct((preset.setting.training.batch_size, 3), jnp.int32)
    values = jax.ShapeDtypeStruct(indices.shape[:1], jnp.float32)
    for layers in (preset.setting.layers, preset.corruption.layers, preset.scaling.layers):
        graph, state = nnx.split(nnx.eval_shape(lambda layers=layers: EntityMLP((9, 8, 7), layers, rngs=nnx.Rngs(0))))

        def outputs(state, indices, values, graph=graph):
            model = nnx.merge(graph, state, copy=True)
            cells = indices, values
            return squared_error(model, cells, KEY), epoch_influence(model, cells, cells), cell_gradients(model, cells)

        loss, scores, gradients = jax.eval_shape(outputs, state, indices, values)
        assert loss.shape == () and scores.shape == values.shape and gradients.shape == (*values.shape, layers[-1])
    setting = preset.setting
    assert setting.training.batches(100_000)[0] == setting.training.batch_size


def test_the_authors_settings():
    config = DAIN()
    assert (config.ratio, config.layers, config.mode) == (0.5, (150, 1024, 1024, 128), "abs")
    assert config.training == Training(50, 1024, 1e-3, 10) == PRESETS["paper"].setting.training
    assert PRESETS["paper"].setting.layers == config.layers
    np.testing.assert_allclose(FRACTIONS, (0.9 * 0.8, 0.9 * 0.2, 0.1))


def test_exact_claims_hold():
    assert run(paper, claims=["C1", "C2", "C3"]).as_expected


def test_benchmark_compares_equals():
    found = [case.function(*case.args) for case in benchmark.cases(8, KEY).values()]
    assert_close(found[0], found[1], 1e-4)
