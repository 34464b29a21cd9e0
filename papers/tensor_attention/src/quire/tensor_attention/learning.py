"""Learning Match3 by gradient descent: third-order attention against matrix attention at equal steps."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, Key

from quire.common.layers.tensor_attention import TensorAttention
from quire.common.random import generator
from quire.common.train.batches import stacked_batch
from quire.common.train.seeds import fit_seeds, stack
from quire.tensor_attention.config import LearningConfig
from quire.tensor_attention.match3 import angle_features, match3_labels


class Match3Model(nnx.Module):
    """One attention layer beside the token's own features, then a ReLU network on each token.

        h = [Attention(x), x],     logit = w2 ReLU(W1 h + b1) + b2

    Args:
        order: 3 attends to pairs, 2 is matrix attention.
        num_heads, head_dim: heads and their channels; scores have the scale `1 / head_dim`.
        hidden: width of the network.
        rngs: for the initial weights, `N(0, 1 / fan_in)`.
    """

    def __init__(self, order: int, num_heads: int, *, head_dim: int = 8, hidden: int = 64, rngs: nnx.Rngs):
        init = nnx.initializers.variance_scaling(1.0, "fan_in", "normal")
        self.attention = TensorAttention(
            3, num_heads=num_heads, head_dim=head_dim, out_features=head_dim, order=order, out_bias=False, rngs=rngs
        )
        self.hidden = nnx.Linear(head_dim + 3, hidden, kernel_init=init, rngs=rngs)
        self.logit = nnx.Linear(hidden, 1, kernel_init=init, rngs=rngs)

    def __call__(self, x: Float[Array, "*batch n 3"]) -> Float[Array, "*batch n"]:
        h = jnp.concatenate([self.attention(x), x], axis=-1)
        return self.logit(jax.nn.relu(self.hidden(h)))[..., 0]


class Curves(NamedTuple):
    """Test accuracy `[seeds, snapshots]` by model, steps `[snapshots]`, accuracy of the majority class `[seeds]`, parameters."""

    accuracy: dict[str, Array]
    steps: list[int]
    majority: Array
    parameters: dict[str, int]


MODELS: dict[str, tuple[int, int]] = {"tensor": (3, 2), "matrix": (2, 4), "wide matrix": (2, 8)}
"""Order and number of heads of each model."""


def learning_curves(config: LearningConfig, keys: Key[Array, " seeds"]) -> Curves:
    """Train every model of `MODELS` on the same streams of fresh sequences and follow its test accuracy.

    Args:
        config: sizes of the task and of the training.
        keys: one per seed: its data, its test sequences and its initial weights.

    Returns:
        Curves of every model.

    Raises:
        ValueError: for fewer than two snapshots, or a number that does not divide the steps.
    """
    if config.snapshots < 2 or config.steps % config.snapshots:
        raise ValueError(f"snapshots is {config.snapshots} of {config.steps} steps; a curve needs at least 2, dividing the steps")
    train_keys, test_keys, model_keys = jnp.moveaxis(jax.vmap(lambda k: jax.random.split(k, 3))(keys), 1, 0)
    data = _sequences(train_keys, config, (config.steps, config.batch_size))
    test = _sequences(test_keys, config, (config.test_sequences,))
    share = test[1].mean((1, 2))
    results = {name: _train(config, order, heads, data, test, model_keys) for name, (order, heads) in MODELS.items()}
    period = config.steps // config.snapshots
    return Curves(
        {name: accuracy for name, (accuracy, _) in results.items()},
        [period * (i + 1) for i in range(config.snapshots)],
        jnp.maximum(share, 1 - share),
        {name: parameters for name, (_, parameters) in results.items()},
    )


def bce(model: nnx.Module, batch: Any, key: Array) -> Array:
    """Binary cross-entropy per position."""
    features, labels = batch
    return optax.sigmoid_binary_cross_entropy(model(features), labels).mean()


def _sequences(keys, config: LearningConfig, batch: tuple[int, ...]) -> tuple[Array, Array]:
    """Features `[seeds, *batch, n, 3]` and labels `[seeds, *batch, n]`."""

    x = stack([generator(key).integers(0, config.modulus, (*batch, config.tokens), np.int32) for key in keys])
    return _examples(x, config.modulus)


@jax.jit(static_argnums=1)
def _examples(x, modulus: int) -> tuple[Array, Array]:
    return angle_features(x, modulus), match3_labels(x, modulus).astype(jnp.float32)


def _train(config: LearningConfig, order: int, heads: int, data, test, keys) -> tuple[Array, int]:
    """Test accuracy `[seeds, snapshots]` and number of parameters."""

    def build(rngs):
        return Match3Model(order, heads, head_dim=config.head_dim, hidden=config.hidden, rngs=rngs)

    tx = optax.adam(optax.cosine_decay_schedule(config.learning_rate, config.steps))
    graph, state, _ = fit_seeds(
        build,
        tx,
        bce,
        stacked_batch,
        data,
        steps=config.steps,
        keys=keys,
        snapshots=config.snapshots,
    )

    parameters = sum(x[0, 0].size for x in jax.tree.leaves(nnx.filter_state(state, nnx.Param)))
    return _accuracies(graph, state, *test), parameters


@jax.jit(static_argnums=0)
def _accuracies(graph: nnx.GraphDef, state: nnx.State, features: Array, labels: Array) -> Array:
    """Accuracy of every snapshot of every seed `[seeds, snapshots]`, one at a time to stay within the cache."""

    def of_seed(args):
        states, x, y = args
        return jax.lax.map(lambda state: jnp.mean((nnx.merge(graph, state)(x) > 0) == (y > 0.5)), states)

    return jax.lax.map(of_seed, (state, features, labels))
