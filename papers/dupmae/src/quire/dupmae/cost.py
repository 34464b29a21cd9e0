"""What the two decoding tasks add to a step: multiplications by tracing, and time."""

import time
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from quire.common.checks import check_at_least
from quire.common.metrics.cost import macs
from quire.common.random import generator
from quire.dupmae.config import Preset
from quire.dupmae.model import DupMAE, initial
from quire.dupmae.objective import Masked, dupmae_loss, masked_batch, mlm_loss
from quire.dupmae.sources import SPECIALS, Texts, framed


def _step(graph: nnx.GraphDef, decoders: bool, state, batch: Masked):
    """Gradient of the loss with or without the decoding tasks."""

    def loss(state):
        model = nnx.merge(graph, state)
        return dupmae_loss(model, batch)[0] if decoders else mlm_loss(model, batch)

    return jax.grad(loss)(state)


def _abstract(preset: Preset, depth: int) -> DupMAE:
    config = replace(preset.encoder, depth=check_at_least("depth", depth))
    return nnx.eval_shape(lambda: DupMAE(config, rngs=nnx.Rngs(0)))


def _masked(preset: Preset, texts: Texts, key: jax.Array) -> Masked:
    return masked_batch(key, *texts, vocab=preset.encoder.vocab_size, pool=preset.mask_pool)


def step_macs(preset: Preset, depth: int, *, decoders: bool) -> int:
    """Multiply-accumulate operations of a step with its gradient, masks and optimiser left out.

    Args:
        preset: sizes; texts are as long as the encoder allows.
        depth: layers of the encoder.
        decoders: whether both decoding tasks are part of it, or masked words alone.

    Raises:
        ValueError: for a depth below 1.
    """
    size = preset.training.batch_size, preset.encoder.max_length
    whole = np.zeros(size, np.int32)
    texts = Texts(whole, whole, np.zeros(size[:1], np.int32))
    batch = jax.eval_shape(partial(_masked, preset), texts, jax.eval_shape(lambda: jax.random.key(0)))
    graph, state = nnx.split(_abstract(preset, depth))
    return macs(partial(_step, graph, decoders), state, batch)


def step_times(preset: Preset, depth: int, key: jax.Array) -> dict[str, float]:
    """Least milliseconds of both steps, called by turns, of a random model and random texts.

    Args:
        preset, depth: as for `step_macs`; `preset.timings` calls of each count.
        key: of the draws.
    """
    words = preset.encoder.max_length - 2
    rows = generator(key).integers(0, preset.encoder.vocab_size - SPECIALS, (preset.training.batch_size, words))
    texts = Texts(*map(jnp.asarray, framed(list(rows), preset.encoder.max_length)))
    batch = jax.jit(partial(_masked, preset))(texts, key)
    graph, state = nnx.split(initial(_abstract(preset, depth), key))
    steps = {name: jax.jit(partial(_step, graph, decoders)) for name, decoders in (("MLM", False), ("DupMAE", True))}
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(1 + preset.timings):  # the first call compiles
        for name, step in steps.items():
            start = time.perf_counter()
            jax.block_until_ready(step(state, batch))
            times[name].append(1e3 * (time.perf_counter() - start))
    return {name: float(np.min(values[1:])) for name, values in times.items()}
