"""Does the best learning rate stay where it is as the network widens? (F8)"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from quire.common.mup.optimisers import mup_sgd, width_shapes
from quire.common.train.batches import epoch_indices
from quire.common.train.seeds import fold_keys, stack
from quire.infinite_width.config import Transfer
from quire.infinite_width.sources import Patterns


def initial_weights(key: Array, dim: int, width: int, out: int) -> dict[str, Array]:
    """Input weights N(0, 1), hidden ones N(0, 2/n), readout 0."""
    first, second = jax.random.split(key)
    return {
        "input": jax.random.normal(first, (dim, width)),
        "hidden": jax.random.normal(second, (width, width)) * (2 / width) ** 0.5,
        "readout": jnp.zeros((width, out)),
    }


def logits(weights: dict[str, Array], x: Float[Array, "b d"], multiplier: float) -> Float[Array, "b out"]:
    """Two hidden ReLU layers without biases; under muP the multiplier is base width / width."""
    h = jax.nn.relu(jax.nn.relu(x @ weights["input"]) @ weights["hidden"])
    return multiplier * (h @ weights["readout"])


@partial(jax.jit, static_argnames=("width", "base_width", "out", "cfg"))
def _final_losses(keys: Array, x: Array, y: Array, indices: Array, *, width: int, base_width: int, out: int, cfg: Transfer):
    """Mean loss of the last steps, `[seeds, rates]`. `base_width == width` is the standard parametrisation."""
    shapes = width_shapes(jax.eval_shape(lambda: initial_weights(keys[0], x.shape[1], base_width, out)))

    def run(key, indices, rate):
        weights = initial_weights(key, x.shape[1], width, out)
        tx = mup_sgd(rate, shapes)

        def step(state, batch):
            weights, opt = state

            def loss(weights):
                f = logits(weights, x[batch], base_width / width)
                return optax.softmax_cross_entropy_with_integer_labels(f, y[batch]).mean()

            value, gradients = jax.value_and_grad(loss)(weights)
            updates, opt = tx.update(gradients, opt, weights)
            return (optax.apply_updates(weights, updates), opt), value

        losses = jax.lax.scan(step, (weights, tx.init(weights)), indices)[1]
        return losses[-cfg.judged :].mean()

    # One run after another: matrix products of single networks are faster on a CPU than batched small ones.
    def over_rates(seed):
        return jax.lax.map(lambda rate: run(*seed, rate), jnp.asarray(cfg.rates))

    return jax.lax.map(over_rates, (keys, indices))


def sweep(data: Patterns, cfg: Transfer, keys: Array) -> dict[str, np.ndarray]:
    """Loss after training under muP and SP, `[seeds, widths, rates]`; infinite where training diverged."""
    x, y = jnp.asarray(data.inputs), jnp.asarray(data.labels)
    indices = stack([epoch_indices(key, len(x), cfg.batch, cfg.steps) for key in fold_keys(keys, 1)])
    base = cfg.widths[0]
    found: dict[str, list[np.ndarray]] = {"muP": [], "SP": []}
    for width in cfg.widths:
        for name, reference in (("muP", base), ("SP", width)):
            if name == "SP" and width == base:  # one and the same
                found["SP"].append(found["muP"][0])
                continue
            losses = _final_losses(keys, x, y, indices, width=width, base_width=reference, out=data.num_classes, cfg=cfg)
            found[name].append(np.nan_to_num(np.asarray(losses), nan=np.inf))
    return {name: np.stack(values, 1) for name, values in found.items()}
