"""Does the best learning rate stay where it is as the network widens? (F8)"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from quire.common.mup.optimisers import sgd_factor
from quire.common.random import generator
from quire.common.train.batches import epoch_indices
from quire.common.train.seeds import fold_keys, stack
from quire.infinite_width.config import Transfer
from quire.infinite_width.sources import Patterns

SHARED = 128
"""Networks up to this width share one compiled program; wider ones would pay more for silent neurons than they save."""

Weights = dict[str, Array]


def initial_weights(rng: np.random.Generator, dim: int, width: int, out: int, size: int) -> dict[str, np.ndarray]:
    """Input weights N(0, 1), hidden ones N(0, 2/n), readout 0; with silent neurons up to `size`."""
    extra = size - width
    hidden = rng.standard_normal((width, width), np.float32) * np.float32((2 / width) ** 0.5)
    return {
        "input": np.pad(rng.standard_normal((dim, width), np.float32), [(0, 0), (0, extra)]),
        "hidden": np.pad(hidden, [(0, extra), (0, extra)]),
        "readout": np.zeros((size, out), np.float32),
    }


def logits(weights: Weights, x: Float[Array, "b d"], multiplier: float | Array) -> Float[Array, "b out"]:
    """Two hidden ReLU layers without biases; under muP the multiplier is base width / width."""
    h = jax.nn.relu(jax.nn.relu(x @ weights["input"]) @ weights["hidden"])
    return multiplier * (h @ weights["readout"])


def rate_factors(growth: float) -> dict[str, float]:
    """What muP multiplies the learning rate of each weight by, as `mup_sgd` does; with growth 1 the standard parametrisation."""
    return {"input": sgd_factor((growth,)), "hidden": sgd_factor((growth, growth)), "readout": sgd_factor((growth,))}


@partial(jax.jit, static_argnames="judged")
def _final_losses(
    weights: Weights, factors: Weights, multiplier: Array, rates: Array, x: Array, y: Array, indices: Array, judged: int
) -> Float[Array, " rates"]:
    """Mean loss of the last steps at every learning rate."""

    def loss(weights, batch):
        return optax.softmax_cross_entropy_with_integer_labels(logits(weights, x[batch], multiplier), y[batch]).mean()

    def run(rate):
        def step(weights, batch):
            value, gradients = jax.value_and_grad(loss)(weights, batch)
            return jax.tree.map(lambda w, g, f: w - rate * f * g, weights, gradients, factors), value

        return jax.lax.scan(step, weights, indices)[1][-judged:].mean()

    # One run after another: matrix products of single networks are faster on a CPU than batched small ones.
    return jax.lax.map(run, rates)


def sweep(data: Patterns, cfg: Transfer, keys: Array) -> dict[str, np.ndarray]:
    """Loss after training under muP and SP, `[seeds, widths, rates]`; infinite where training diverged."""
    x, y, rates = jnp.asarray(data.inputs), jnp.asarray(data.labels), jnp.asarray(cfg.rates)
    indices = stack([epoch_indices(key, len(x), cfg.batch, cfg.steps) for key in fold_keys(keys, 1)])
    found = {name: np.zeros((len(keys), len(cfg.widths), len(cfg.rates))) for name in ("muP", "SP")}
    for seed, key in enumerate(keys):
        rng = generator(key)
        for i, width in enumerate(cfg.widths):
            drawn = initial_weights(rng, x.shape[1], width, data.num_classes, max(width, SHARED))
            weights = jax.device_put(drawn)
            for name, growth in (("muP", width / cfg.widths[0]), ("SP", 1.0)):
                if name == "SP" and not i:  # the base width: one and the same
                    found["SP"][seed, i] = found["muP"][seed, i]
                    continue
                factors = jax.tree.map(np.float32, rate_factors(growth))
                losses = _final_losses(weights, factors, np.float32(1 / growth), rates, x, y, indices[seed], cfg.judged)
                found[name][seed, i] = np.nan_to_num(np.asarray(losses), nan=np.inf)
    return found
