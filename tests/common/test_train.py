"""Training: the loop, checkpoints, resuming after SIGKILL, several devices, several processes."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from quire.common.train.batches import HostBatches, epoch_indices, take_batch
from quire.common.train.checkpoint import CheckpointError, Checkpoints
from quire.common.train.finite import TrainingDiverged
from quire.common.train.fit import fit
from quire.common.train.recipe import OPTIMISERS, Recipe
from quire.common.train.seeds import fit_seeds, fold_keys, initial_states, over_seeds, stack
from quire.common.train.step import move_average

PROGRAM = Path(__file__).parent / "train_program.py"


KEY = jax.random.key(0)


def regression(seed=0):
    """A linear map to learn, its data, and the loss."""
    x = np.random.default_rng(seed).standard_normal((64, 4)).astype(np.float32)
    y = x @ np.arange(1, 5, dtype=np.float32)[:, None]
    indices = epoch_indices(jax.random.key(1), 64, 8, 40)
    model = nnx.Linear(4, 1, rngs=nnx.Rngs(seed))

    def loss(model, batch, key):
        return jnp.mean((model(batch[0]) - batch[1]) ** 2)

    return model, loss, ((x, y), indices)


class Restless(nnx.Module):
    """Statistics, dropout and a variable of its own, all changed by the forward pass; a NumPy array that must stay one."""

    def __init__(self, rngs: nnx.Rngs):
        self.norm, self.dropout = nnx.BatchNorm(4, momentum=0.9, rngs=rngs), nnx.Dropout(0.25, rngs=rngs)
        self.linear, self.calls = nnx.Linear(4, 1, rngs=rngs), nnx.Variable(jnp.zeros((), jnp.int32))
        self.mask = nnx.Variable(jnp.array([0.0, -jnp.inf]))
        self.order = np.arange(4)

    def __call__(self, x):
        self.calls[...] += 1
        return self.linear(self.dropout(self.norm(x[:, np.arange(4)[self.order]])))


def numbers_of(model):
    """Every variable of a model as an array."""
    keys, rest = nnx.state(model, nnx.RngKey, ...)
    return [np.asarray(jax.random.key_data(x)) for x in jax.tree.leaves(keys)] + [np.asarray(x) for x in jax.tree.leaves(rest)]


def test_fit_learns_and_reports_every_loss():
    model, loss, data = regression()
    seen = []
    history = fit(
        model,
        optax.adam(0.3),
        loss,
        take_batch,
        data,
        steps=40,
        key=jax.random.key(0),
        chunk_steps=15,
        evaluate=lambda m: seen.append(m.kernel[...]) or {"w": float(m.kernel[0, 0])},
    )
    assert history.losses.shape == (40,)
    assert history.losses[-1] < 0.05 * history.losses[0]
    assert [step for step, _ in history.evaluations] == [15, 30, 40]
    np.testing.assert_array_equal(seen[-1], model.kernel[...])


def test_chunks_and_host_batches_do_not_change_the_numbers():
    results = []
    for chunk, host in ((40, False), (7, False), (10, True)):
        model, loss, data = regression()
        batches = HostBatches(lambda s, data=data: jax.tree.map(np.asarray, take_batch(data, s))) if host else take_batch
        args = () if host else (data,)
        results.append(
            fit(model, optax.adam(0.1), loss, batches, *args, steps=40, key=jax.random.key(0), chunk_steps=chunk).losses
        )
    np.testing.assert_allclose(results[1], results[0], rtol=1e-5)
    np.testing.assert_allclose(results[2], results[0], rtol=1e-5)


def test_chunks_of_one_length_are_one_program():
    """What a chunk returns is bound to its device; a start that is not would be another program."""
    model, loss, data = regression()
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(lambda event, _, **of: compiled.append((event, of.get("fun_name"))))
    fit(model, optax.adam(0.1), loss, take_batch, data, steps=30, key=KEY, chunk_steps=10)
    assert compiled.count(("/jax/core/compile/backend_compile_duration", "jit(run_chunk)")) == 1


def test_epochs_visit_every_example_once():
    indices = epoch_indices(jax.random.key(0), 12, 5, 12)
    assert indices.shape == (12, 5)
    for epoch in indices.reshape(5, 12):
        assert sorted(epoch) == list(range(12))
    np.testing.assert_array_equal(indices, epoch_indices(jax.random.key(0), 12, 5, 12))
    assert not np.array_equal(indices, epoch_indices(jax.random.key(1), 12, 5, 12))
    with pytest.raises(ValueError, match="at least 1"):
        epoch_indices(jax.random.key(0), 0, 5, 12)


def test_divergence_names_the_step_and_saves_nothing_of_it(tmp_path):
    model, loss, data = regression()

    def poisoned(model, batch, key):
        return loss(model, batch[0], key) + jnp.where(batch[1] == 23, jnp.inf, 0.0)

    def batch_at(data, step):
        return take_batch(data, step), step

    checkpoints = Checkpoints(tmp_path)
    with pytest.raises(TrainingDiverged, match="at step 23") as caught, jax.debug_nans(False):
        fit(
            model,
            optax.sgd(0.01),
            poisoned,
            batch_at,
            data,
            steps=40,
            key=jax.random.key(0),
            chunk_steps=10,
            checkpoints=checkpoints,
        )
    assert caught.value.step == 23
    assert checkpoints.steps() == [10, 20]


def test_wrong_arguments():
    model, loss, data = regression()
    with pytest.raises(ValueError, match="steps is 0"):
        fit(model, optax.sgd(0.1), loss, take_batch, data, steps=0, key=KEY)
    with pytest.raises(ValueError, match="ema is 1"):
        fit(model, optax.sgd(0.1), loss, take_batch, data, steps=1, key=KEY, ema=1.0)
    with pytest.raises(ValueError, match="snapshots must divide"):
        keys = jax.random.split(KEY, 2)
        fit_seeds(lambda r: model, optax.sgd(0.1), loss, take_batch, data, steps=10, keys=keys, snapshots=3)


# --- State that is not trained ---


def test_statistics_follow_the_batches():
    _, loss, data = regression()
    model = Restless(nnx.Rngs(0))
    fit(model, optax.sgd(0.0), loss, take_batch, data, steps=5, key=KEY, chunk_steps=3)
    mean = np.zeros(4)
    for step in range(5):
        mean = 0.9 * mean + 0.1 * take_batch(data, step)[0].mean(0)
    np.testing.assert_allclose(model.norm.mean[...], mean, rtol=1e-4)
    assert (int(model.calls[...]), int(model.dropout.rngs.count[...])) == (5, 5)


def test_a_dropout_draws_anew_every_step():
    model, loss, data = Restless(nnx.Rngs(0)), regression()[1], regression()[2]
    first = take_batch(data, 0)
    history = fit(model, optax.sgd(0.0), loss, lambda data, step: data, first, steps=4, key=KEY)
    assert len(set(history.losses.tolist())) == 4


def test_variables_may_not_come_and_go():
    class Lazy(nnx.Module):
        def __init__(self):
            self.w, self.seen = nnx.Param(jnp.ones(())), nnx.Variable(jnp.zeros(()))

    def run(change):
        def loss(model, batch, key):
            change(model)
            return model.w[...] ** 2

        fit(Lazy(), optax.sgd(0.1), loss, lambda data, step: data, jnp.zeros(()), steps=1, key=KEY)

    with pytest.raises(ValueError, match="makes or drops the variables late"):
        run(lambda model: setattr(model, "late", nnx.Variable(jnp.zeros(()))))
    with pytest.raises(ValueError, match=r"turns seen from \(\) float32 into \(3,\)"):
        run(lambda model: model.seen.set_value(jnp.zeros(3)))


@pytest.mark.parametrize("one_by_one", [False, True])
def test_seeds_train_apart_and_like_fit(one_by_one):
    _, loss, data = regression()
    keys = jax.random.split(jax.random.key(3), 2)
    options = {"steps": 40, "keys": keys, "snapshots": 4, "ema": 0.9, "one_by_one": one_by_one}
    graph, state, losses = fit_seeds(Restless, optax.adam(0.1), loss, take_batch, stack([data, data]), **options)
    assert losses.shape == (2, 40)
    assert not np.array_equal(losses[0], losses[1])
    assert jax.tree.leaves(state)[0].shape[:2] == (2, 4)
    model = Restless(nnx.Rngs(keys[1]))
    alone = fit(model, optax.adam(0.1), loss, take_batch, data, steps=40, key=keys[1], ema=0.9)
    np.testing.assert_allclose(losses[1], alone.losses, rtol=1e-4)
    trained = nnx.merge(graph, jax.tree.map(lambda x: x[1, -1], state))
    for ours, theirs in zip(numbers_of(trained), numbers_of(model), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_arrays_that_differ_between_seeds_are_variables():
    class Ordered(Restless):
        def __init__(self, rngs):
            super().__init__(rngs)
            self.order = np.asarray(jax.random.key_data(rngs.params()))

    _, loss, data = regression()
    with pytest.raises(ValueError, match=r"keep it as an nnx\.Variable"):
        keys = jax.random.split(KEY, 2)
        fit_seeds(Ordered, optax.sgd(0.1), loss, take_batch, stack([data, data]), steps=1, keys=keys)


def test_states_of_seeds():
    keys = jax.random.split(KEY, 2)
    x = np.ones((3, 4), np.float32)

    def build(rngs):
        return nnx.Sequential(nnx.Linear(4, 1, rngs=rngs), nnx.Dropout(0.5, rngs=rngs))

    def evaluate(model, x):
        model.eval()
        return model(x)

    graph, states = initial_states(build, keys)
    one = evaluate(build(nnx.Rngs(keys[1])), x)
    for one_by_one in (False, True):
        out = over_seeds(graph, evaluate, one_by_one=one_by_one)(states, x)
        np.testing.assert_allclose(out[1], one, rtol=1e-6)
    assert [x.shape for x in jax.tree.leaves(nnx.filter_state(states, nnx.RngKey))] == [(2,)]
    with pytest.raises(ValueError, match="trees is empty"):
        stack([])
    assert [bool(key == jax.random.fold_in(own, 7)) for key, own in zip(fold_keys(keys, 7), keys, strict=True)] == [True, True]


# --- What the caller holds, and what may not be finite ---


def test_the_arrays_of_the_caller_survive():
    model, loss, data = regression()
    twin, kernel = nnx.clone(model), model.kernel[...]
    before, kept = np.array(kernel), []
    fit(
        model,
        optax.contrib.schedule_free_sgd(0.1),  # its state begins as the parameters themselves
        loss,
        take_batch,
        data,
        steps=4,
        key=KEY,
        chunk_steps=2,
        evaluate=lambda m: kept.append(m.kernel[...]) or {},
    )
    np.testing.assert_array_equal(kernel, before)
    np.testing.assert_array_equal(twin.kernel[...], before)
    assert not np.array_equal(kept[0], kept[1])
    np.testing.assert_array_equal(kept[1], model.kernel[...])


class Idle(nnx.Module):
    """A parameter, an `idle` one that no loss sees, and a statistic."""

    def __init__(self, rngs=None):
        self.w, self.idle, self.seen = nnx.Param(jnp.ones(3)), nnx.Param(jnp.ones(2)), nnx.BatchStat(jnp.zeros(()))


def spoil(where, at):
    """Loss and optimiser by which something that the loss does not see becomes infinite at step `at`; seed 0 is spared."""

    def loss(model, batch, key):
        seed, step = batch
        late = jnp.where((step >= at) & (seed > 0), jnp.inf, 1.0)
        model.seen[...] = late if where == "seen" else jnp.ones(())
        return jnp.sum(model.w[...] ** 2) + late * 1e-3 if where == "loss" else jnp.sum(model.w[...] ** 2 + 0 * seed)

    def update(updates, state, params=None):
        count = state["count"] + 1
        late = jnp.where((count > at) & (state["moment"] >= 0), jnp.inf, 0.0)
        updates = jax.tree.map(lambda u: -0.01 * u, updates)
        if where == "idle":
            updates["idle"] = jax.tree.map(lambda u: u + late, updates["idle"])
        return updates, {"count": count, "moment": late if where == "moment" else state["moment"]}

    tx = optax.GradientTransformation(lambda params: {"count": jnp.zeros((), jnp.int32), "moment": jnp.zeros(())}, update)
    return loss, tx


@pytest.mark.parametrize(
    ("where", "named"),
    [("loss", "the loss"), ("idle", "params.idle is"), ("seen", "other.seen is"), ("moment", "optimiser.moment")],
)
def test_nothing_may_become_infinite(where, named, tmp_path):
    loss, tx = spoil(where, at=5)
    model, checkpoints = Idle(), Checkpoints(tmp_path)
    options = {"steps": 8, "key": KEY, "chunk_steps": 2, "checkpoints": checkpoints}
    seen = []
    options["evaluate"] = lambda m: seen.append(m.w[...]) or {}
    with pytest.raises(TrainingDiverged, match=named) as caught:
        fit(model, tx, loss, lambda data, step: (data, step), jnp.ones(()), **options)
    assert caught.value.step == (5 if where == "loss" else 4)
    assert "steps 4 to 5" in str(caught.value) or where == "loss"
    assert checkpoints.steps() == [2, 4]
    np.testing.assert_array_equal(model.w[...], seen[-1])
    np.testing.assert_allclose(model.w[...], np.full(3, 0.98**4), rtol=1e-5)
    assert all(np.isfinite(x).all() for x in numbers_of(model))


@pytest.mark.parametrize("where", ["loss", "seen"])
def test_the_seed_that_fails_is_named(where):
    loss, tx = spoil(where, at=1)
    with pytest.raises(TrainingDiverged, match="of seed 1"):
        keys = jax.random.split(KEY, 2)
        fit_seeds(Idle, tx, loss, lambda data, step: (data, step), np.arange(2.0), steps=2, keys=keys)


# --- The average of the parameters ---


def test_the_model_holds_the_average():
    model, loss, data = regression()
    plain, _, _ = regression()
    kernels = []
    options = {"steps": 6, "key": KEY, "chunk_steps": 1}
    fit(plain, optax.sgd(0.05), loss, take_batch, data, evaluate=lambda m: kernels.append(m.kernel[...]) or {}, **options)
    average = regression()[0].kernel[...]
    for step, kernel in enumerate(kernels):
        average = move_average(average, kernel, step, 0.5)
    fit(model, optax.sgd(0.05), loss, take_batch, data, ema=0.5, **options)
    np.testing.assert_allclose(model.kernel[...], average, rtol=1e-5)
    assert not np.allclose(model.kernel[...], plain.kernel[...])


def test_a_resumed_run_is_bit_equal(tmp_path):
    """Statistics, keys, counts and average come back; the model that resumes differs in all of them."""
    _, loss, data = regression()
    unbroken, broken, resumed = (Restless(nnx.Rngs(seed)) for seed in (0, 0, 1))
    options = {"key": KEY, "chunk_steps": 5, "ema": 0.9}
    whole = fit(unbroken, optax.adam(0.1), loss, take_batch, data, steps=20, **options)
    fit(broken, optax.adam(0.1), loss, take_batch, data, steps=10, checkpoints=tmp_path, **options)
    rest = fit(resumed, optax.adam(0.1), loss, take_batch, data, steps=20, checkpoints=tmp_path, **options)
    assert rest.first_step == 10
    np.testing.assert_array_equal(rest.losses, whole.losses[10:])
    for ours, theirs in zip(numbers_of(resumed), numbers_of(unbroken), strict=True):
        np.testing.assert_array_equal(ours, theirs)


# --- Types ---


class Mixed(nnx.Module):
    """Parameters of several types; integers are not trained."""

    def __init__(self, rngs: nnx.Rngs):
        self.norm = nnx.BatchNorm(4, rngs=rngs)
        self.linear = nnx.Linear(4, 1, rngs=rngs, param_dtype=jnp.bfloat16)
        self.order = nnx.Param(jnp.arange(4, dtype=jnp.int32))
        self.z = nnx.Param(jnp.ones((), jnp.complex64))

    def __call__(self, x):
        return self.linear(self.norm(x)[:, self.order[...]]) + jnp.abs(self.z[...] - 3j) ** 2


@pytest.mark.parametrize("x64", [False, True])
def test_every_parameter_keeps_its_type(x64):
    with jax.enable_x64(x64):
        _, loss, data = regression()
        model = Mixed(nnx.Rngs(0))
        types = [x.dtype for x in jax.tree.leaves(nnx.state(model))]
        recipe = Recipe(40, 8, 0.05, warmup=0.1, weight_decay=1e-3, clip=100.0, ema=0.9)
        fit(model, recipe.transformation(), loss, take_batch, data, steps=40, key=KEY, ema=recipe.ema)
        assert [x.dtype for x in jax.tree.leaves(nnx.state(model))] == types
        assert model.order[...].tolist() == [0, 1, 2, 3]
        assert abs(model.z[...] - 3j) < abs(1 - 3j)  # downhill, the imaginary part too
        keys = jax.random.split(KEY, 2)
        state = fit_seeds(Mixed, recipe.transformation(), loss, take_batch, stack([data, data]), steps=2, keys=keys)[1]
        assert [x.dtype for x in jax.tree.leaves(state)] == types


# --- Recipes ---


@pytest.mark.parametrize("name", OPTIMISERS)
def test_optimisers_step_downhill(name):
    params = {"kernel": np.ones(2, np.float32), "bias": np.ones(2, np.float32)}
    tx = Recipe(10, 2, 0.1, "constant", name, clip=1.0).transformation(flat=True)
    updates, _ = tx.update(params, tx.init(params), params)
    assert all((np.asarray(u) < 0).all() for u in jax.tree.leaves(updates)) or name == "radam"
    assert all(np.isfinite(u).all() for u in jax.tree.leaves(updates))


def test_decay_may_spare_all_but_kernels():
    params = {"kernel": np.ones(2, np.float32), "bias": np.ones(2, np.float32)}
    for name in ("sgd", "adamw"):
        tx = Recipe(10, 2, 0.1, "constant", name, weight_decay=0.5, decay_kernels_only=True).transformation()
        updates, _ = tx.update(jax.tree.map(np.zeros_like, params), tx.init(params), params)
        np.testing.assert_allclose(updates["kernel"], -0.05, rtol=1e-6)
        np.testing.assert_array_equal(updates["bias"], 0)


def test_schedules():
    halved = Recipe(10, 2, 0.8, "halve", epochs=2).rate()
    assert [round(float(halved(step)), 6) for step in (0, 4, 5, 9)] == [0.8, 0.8, 0.4, 0.4]
    assert float(Recipe(10, 2, 0.8).rate()(10)) == pytest.approx(0, abs=1e-6)
    for warmup, expected in ((0.0, (0.8, 0.64, 0.4, 0)), (0.2, (0, 0.8, 0.5, 0))):
        linear = Recipe(10, 2, 0.8, "linear", warmup=warmup).rate()
        assert [round(float(linear(step)), 6) for step in (0, 2, 5, 10)] == list(expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "all must be at least 1"),
        ({"epochs": 3}, "epochs divide steps"),
        ({"schedule": "square"}, "schedule is 'square'"),
        ({"optimiser": "lamb"}, "optimiser is 'lamb'"),
        ({"learning_rate": -1.0}, "learning_rate is -1.0"),
        ({"schedule": "constant", "warmup": 0.1}, "only 'cosine' and 'linear' have a warm-up"),
        ({"optimiser": "sgd", "b2": 0.9}, "SGD has no second moment"),
        ({"clip": -1.0}, "clip is -1.0"),
        ({"clip": 0.0}, "clip is 0.0"),
        ({"b1": 1.0}, "b1 is 1.0"),
        ({"warmup": 0.96}, "none of the 10 steps"),
        ({"steps": 1, "warmup": 0.5, "schedule": "linear"}, "none of the 1 steps"),
        ({"b2": -0.1}, "b2 is -0.1"),
        ({"ema": float("nan")}, "ema is nan"),
    ],
)
def test_recipe_errors(as_installed, change, message):
    with pytest.raises(ValueError, match=message):
        Recipe(**{"steps": 10, "batch_size": 2, "learning_rate": 0.1} | change)


def test_every_step_has_a_batch_of_rows_that_exist():
    model, loss, (arrays, indices) = regression()
    for steps, order, message in (
        (41, indices, "batches for 40 steps; steps is 41"),
        (40, indices + 1, "indices runs from 1 to 64"),
    ):
        with pytest.raises(ValueError, match=message):
            fit(model, optax.sgd(0.1), loss, take_batch, (arrays, order), steps=steps, key=KEY)
        data = jax.tree.map(lambda a: np.stack([a, a]), (arrays, order))
        with pytest.raises(ValueError, match=message):
            fit_seeds(lambda rngs: model, optax.sgd(0.1), loss, take_batch, data, steps=steps, keys=jax.random.split(KEY))


@pytest.mark.parametrize("one_by_one", [False, True])
def test_every_seed_has_data_of_its_own(one_by_one):
    model, loss, data = regression()
    for count in (1, 3):
        stacked = jax.tree.map(lambda a, n=count: np.stack([a] * n), data)
        with pytest.raises(ValueError, match="a row for each of 2 seeds"):
            fit_seeds(
                lambda rngs: model,
                optax.sgd(0.1),
                loss,
                take_batch,
                stacked,
                steps=2,
                keys=jax.random.split(KEY),
                one_by_one=one_by_one,
            )
    for keys in (KEY, jax.random.split(KEY)[:0]):
        with pytest.raises(ValueError, match="one key a seed"):
            fit_seeds(lambda rngs: model, optax.sgd(0.1), loss, take_batch, data, steps=2, keys=keys)


# --- Checkpoints ---


def saved(tmp_path, steps=(1, 2)):
    checkpoints = Checkpoints(tmp_path / "run")
    for step in steps:
        checkpoints.save(step, {"w": jnp.arange(4096.0).reshape(64, 64) * step, "b": jnp.full((3,), step)})
    return checkpoints, {"w": jnp.zeros((64, 64)), "b": jnp.zeros((3,), jnp.int32)}


def data_files(folder: Path, step: int) -> list[Path]:
    return [f for f in (folder / str(step)).rglob("*") if f.is_file()]


def test_random_keys_come_back(tmp_path):
    state = {"key": jax.random.split(KEY, 3), "count": jnp.ones((), jnp.uint32)}
    Checkpoints(tmp_path).save(1, state)
    _, found = Checkpoints(tmp_path).restore_latest(state)
    assert bool((found["key"] == state["key"]).all())


def test_newest_checkpoint_comes_back(tmp_path):
    checkpoints, like = saved(tmp_path)
    step, state = Checkpoints(checkpoints.folder).restore_latest(like)
    assert step == 2
    np.testing.assert_array_equal(state["w"], np.arange(4096.0).reshape(64, 64) * 2)


def test_empty_folder_starts_anew(tmp_path):
    assert Checkpoints(tmp_path).restore_latest({"w": jnp.zeros(3)}) is None


@pytest.mark.parametrize("damage", ["truncate", "flip", "remove"])
def test_every_damaged_file_falls_back_or_changes_nothing(tmp_path, damage):
    """Damage each file of the newest checkpoint in turn: either the state is whole, or the one before comes back."""
    checkpoints, like = saved(tmp_path)
    whole = {1: np.arange(4096.0).reshape(64, 64), 2: np.arange(4096.0).reshape(64, 64) * 2}
    fell_back = 0
    for file in data_files(checkpoints.folder, 2):
        content = file.read_bytes()
        if damage == "truncate":
            file.write_bytes(content[: len(content) // 2])
        elif damage == "flip":
            middle = len(content) // 2
            file.write_bytes(content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :] if content else b"x")
        else:
            file.unlink()
        found = Checkpoints(checkpoints.folder).restore_latest(like)
        assert found is not None
        step, state = found
        np.testing.assert_array_equal(state["w"], whole[step])
        np.testing.assert_array_equal(state["b"], np.full(3, step))
        fell_back += step == 1
        file.write_bytes(content)
    assert fell_back >= 2


def test_swapped_content_is_caught_by_the_digests(tmp_path):
    """Files that are well formed and belong to another state never pass."""
    checkpoints, like = saved(tmp_path)
    for source, target in zip(sorted(data_files(checkpoints.folder, 1)), sorted(data_files(checkpoints.folder, 2)), strict=False):
        if "digests" in str(target):
            target.write_bytes(source.read_bytes())
    step, _ = Checkpoints(checkpoints.folder).restore_latest(like)
    assert step == 1


def test_nothing_readable_is_one_clear_error(tmp_path):
    checkpoints, like = saved(tmp_path)
    for step in (1, 2):
        for file in data_files(checkpoints.folder, step):
            file.write_bytes(b"")
    with pytest.raises(CheckpointError, match="delete the folder"):
        Checkpoints(checkpoints.folder).restore_latest(like)


def test_another_model_is_refused(tmp_path):
    checkpoints, _ = saved(tmp_path)
    with pytest.raises(CheckpointError, match="no checkpoint"):
        checkpoints.restore_latest({"w": jnp.zeros((5, 5)), "b": jnp.zeros((3,), jnp.int32)})


# --- Whole processes ---


def start(*args, devices=1, **env):
    environment = {**os.environ, "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}", **env}
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), *map(str, args)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def result(process) -> dict:
    stdout, stderr = process.communicate(timeout=240)
    assert process.returncode == 0, stderr[-3000:]
    return json.loads(stdout.splitlines()[-1])


def test_killed_and_resumed_run_is_bit_equal(tmp_path):
    unbroken = result(start(tmp_path / "unbroken"))
    rng = np.random.default_rng()
    folder, kills = tmp_path / "broken", 0
    while True:
        before = {p.name for p in folder.glob("[0-9]*")} if folder.exists() else set()
        process = start(folder, QUIRE_TEST_SLOW="0.05")
        # wait for a new checkpoint, then strike at a random moment of the steps that follow
        while process.poll() is None and not ({p.name for p in folder.glob("[0-9]*")} - before):
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.2))
        if kills < 2 and process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            kills += 1
            continue
        broken = result(process)
        break
    assert kills == 2
    assert broken["first_step"] > 0
    assert broken["digest"] == unbroken["digest"]
    assert broken["losses"] == unbroken["losses"][broken["first_step"] :]


def test_eight_devices_give_the_losses_of_one(tmp_path):
    one = result(start(tmp_path / "one"))
    for mode in ("replicated", "sharded"):
        eight = result(start(tmp_path / mode, mode, devices=8))
        assert eight["devices"] == 8
        np.testing.assert_allclose(eight["losses"], one["losses"], rtol=2e-5)


def test_two_processes_train_one_model(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    one = result(start(tmp_path / "one"))
    pair = [start(tmp_path / "pair", "replicated", f"127.0.0.1:{port}", rank, devices=2) for rank in (0, 1)]
    results = [result(process) for process in pair]
    assert [r["devices"] for r in results] == [4, 4]
    assert results[0]["losses"] == results[1]["losses"]
    assert results[0]["digest"] == results[1]["digest"]
    np.testing.assert_allclose(results[0]["losses"], one["losses"], rtol=2e-5)


def test_a_run_does_not_go_back(tmp_path):
    model, loss, data = regression()
    fit(model, optax.sgd(0.1), loss, take_batch, data, steps=4, key=KEY, checkpoints=tmp_path / "run")
    with pytest.raises(ValueError, match="steps is 3; the newest checkpoint is that of step 4"):
        fit(model, optax.sgd(0.1), loss, take_batch, data, steps=3, key=KEY, checkpoints=tmp_path / "run")


def test_checkpoints_need_a_folder_and_one_to_keep(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="that is a file"):
        Checkpoints(tmp_path / "file")
    with pytest.raises(ValueError, match="keep is 0"):
        Checkpoints(tmp_path, keep=0)
