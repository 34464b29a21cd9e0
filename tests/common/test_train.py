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

from quire.common.train import (
    CheckpointError,
    Checkpoints,
    HostBatches,
    TrainingDiverged,
    epoch_indices,
    fit,
    fit_seeds,
    take_batch,
    warmup_cosine,
)

PROGRAM = Path(__file__).parent / "train_program.py"


def regression(seed=0):
    """A linear map to learn, its data, and the loss."""
    x = jax.random.normal(jax.random.key(seed), (64, 4))
    y = x @ jnp.arange(1.0, 5.0)[:, None]
    indices = epoch_indices(jax.random.key(1), 64, 8, 40)
    model = nnx.Linear(4, 1, rngs=nnx.Rngs(seed))

    def loss(model, batch, key):
        return jnp.mean((model(batch[0]) - batch[1]) ** 2)

    return model, loss, ((x, y), indices)


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
        evaluate=lambda m: seen.append(m.kernel[...].copy()) or {"w": float(m.kernel[0, 0])},
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


def test_epochs_visit_every_example_once():
    indices = np.asarray(epoch_indices(jax.random.key(0), 12, 5, 12))
    assert indices.shape == (12, 5)
    for epoch in indices.reshape(5, 12):
        assert sorted(epoch) == list(range(12))
    with pytest.raises(ValueError, match="at least 1"):
        epoch_indices(jax.random.key(0), 0, 5, 12)


def test_schedule_warms_up_and_ends_at_zero():
    schedule = warmup_cosine(1.0, 100, warmup=0.1)
    assert schedule(0) == 0
    assert schedule(10) == pytest.approx(1.0)
    assert schedule(100) == pytest.approx(0.0, abs=1e-6)


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
        fit(model, optax.sgd(0.1), loss, take_batch, data, steps=0, key=jax.random.key(0))
    with pytest.raises(ValueError, match="snapshots must divide"):
        keys = jax.random.split(jax.random.key(0), 2)
        fit_seeds(lambda r: model, optax.sgd(0.1), loss, take_batch, data, steps=10, keys=keys, snapshots=3)


@pytest.mark.parametrize("one_by_one", [False, True])
def test_seeds_train_apart_and_like_fit(one_by_one):
    _, loss, data = regression()
    keys = jax.random.split(jax.random.key(3), 2)
    stacked = jax.tree.map(lambda a: jnp.stack([a, a]), data)
    graph, state, losses = fit_seeds(
        lambda rngs: nnx.Linear(4, 1, rngs=rngs),
        optax.adam(0.1),
        loss,
        take_batch,
        stacked,
        steps=40,
        keys=keys,
        snapshots=4,
        one_by_one=one_by_one,
    )
    assert losses.shape == (2, 40)
    assert not np.array_equal(losses[0], losses[1])
    assert jax.tree.leaves(state)[0].shape[:2] == (2, 4)
    model = nnx.Linear(4, 1, rngs=nnx.Rngs(keys[1]))
    alone = fit(model, optax.adam(0.1), loss, take_batch, data, steps=40, key=keys[1])
    np.testing.assert_allclose(losses[1], alone.losses, rtol=1e-4)
    trained = nnx.merge(graph, jax.tree.map(lambda x: x[1, -1], state))
    np.testing.assert_allclose(trained.kernel[...], model.kernel[...], rtol=1e-4)


class Noisy(nnx.Module):
    """A model with random state of its own, besides its parameters."""

    def __init__(self, *, rngs: nnx.Rngs):
        self.linear, self.dropout = nnx.Linear(4, 1, rngs=rngs), nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x):
        return self.linear(x)


@pytest.mark.parametrize("one_by_one", [False, True])
def test_seeds_keep_random_state(one_by_one):
    _, loss, data = regression()
    keys = jax.random.split(jax.random.key(3), 2)
    stacked = jax.tree.map(lambda a: np.stack([a, a]), data)
    graph, state, _ = fit_seeds(
        lambda rngs: Noisy(rngs=rngs), optax.adam(0.1), loss, take_batch, stacked, steps=4, keys=keys, one_by_one=one_by_one
    )
    model = nnx.merge(graph, jax.tree.map(lambda x: x[1], state))
    assert model.dropout.rngs.key[...] == Noisy(rngs=nnx.Rngs(keys[1])).dropout.rngs.key[...]
    assert model.linear.kernel.shape == (4, 1)


# --- Checkpoints ---


def saved(tmp_path, steps=(1, 2)):
    checkpoints = Checkpoints(tmp_path / "run")
    for step in steps:
        checkpoints.save(step, {"w": jnp.arange(4096.0).reshape(64, 64) * step, "b": jnp.full((3,), step)})
    return checkpoints, {"w": jnp.zeros((64, 64)), "b": jnp.zeros((3,), jnp.int32)}


def data_files(folder: Path, step: int) -> list[Path]:
    return [f for f in (folder / str(step)).rglob("*") if f.is_file()]


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
