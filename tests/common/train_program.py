"""Trains one small model and prints losses and a digest: `train_program.py FOLDER [MODE [COORDINATOR RANK]]`."""

import hashlib
import json
import os
import sys
import time

import jax

folder, mode, *distributed = [*sys.argv[1:], "single"][:4] if len(sys.argv) < 3 else sys.argv[1:]
if distributed:
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(distributed[0], num_processes=2, process_id=int(distributed[1]))

import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import Mesh, PartitionSpec

from quire.common.layers.transformer import MLP
from quire.common.train.batches import epoch_indices, take_batch
from quire.common.train.fit import fit

STEPS, CHUNK = 120, 10
x = jax.random.normal(jax.random.key(0), (256, 16))
y = jnp.sin(x @ jax.random.normal(jax.random.key(1), (16, 16)))
data = ((x, y), epoch_indices(jax.random.key(2), 256, 32, STEPS))


class Network(nnx.Module):
    """Everything that a run has to carry: parameters, running statistics, the key and the count of dropout."""

    def __init__(self, rngs: nnx.Rngs):
        self.norm, self.dropout = nnx.BatchNorm(16, rngs=rngs), nnx.Dropout(0.1, rngs=rngs)
        self.mlp = MLP(16, 64, rngs=rngs)

    def __call__(self, x):
        return self.mlp(self.dropout(self.norm(x)))


model = Network(nnx.Rngs(3))


def loss(model, batch, key):
    noisy = batch[0] + 0.1 * jax.random.normal(key, batch[0].shape)
    return jnp.mean((model(noisy) - batch[1]) ** 2)


def by_rows(path, leaf):
    """Shard the larger kernels over the devices."""
    return PartitionSpec("data") if leaf.ndim == 2 and leaf.shape[0] % jax.device_count() == 0 else PartitionSpec()


mesh = None if mode == "single" else Mesh(np.array(jax.devices()), ("data",))
slow = float(os.environ.get("QUIRE_TEST_SLOW", 0))
history = fit(
    model,
    optax.adamw(3e-3),
    loss,
    take_batch,
    data,
    steps=STEPS,
    key=jax.random.key(4),
    ema=0.99,
    chunk_steps=CHUNK,
    checkpoints=folder,
    mesh=mesh,
    partition=by_rows if mode == "sharded" else None,
    evaluate=(lambda m: time.sleep(slow) or {}) if slow else None,
)
state = jax.tree.leaves(nnx.state(model, nnx.Not(nnx.RngKey)))
leaves = [np.asarray(s.data) for leaf in state for s in leaf.addressable_shards[:1]]
digest = hashlib.sha256(b"".join(leaf.tobytes() for leaf in leaves)).hexdigest()
result = {"losses": history.losses.tolist(), "first_step": history.first_step, "digest": digest, "devices": jax.device_count()}
print(json.dumps(result))
