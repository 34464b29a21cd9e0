"""Statistics over the samples of one worker: how layers bear small ones, all in one compiled program."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax
from jaxtyping import Array, Float, Num

from quire.common.layers.norms import at_least_float32, group_norm, moments, result_dtype
from quire.common.train.batches import epoch_indices
from quire.common.train.finite import check_losses
from quire.common.train.recipe import Recipe
from quire.common.train.seeds import stack
from quire.common.train.step import make_step, split_model
from quire.evonorm.layers import batch_variance, check_maps, evonorm_b, evonorm_s, moved
from quire.evonorm.networks import NetworkConfig, build_network, fitting_groups
from quire.evonorm.proxy import chosen, classification_loss
from quire.evonorm.sources import Images, ImageSet

StudyLayer = Literal["BN-ReLU", "EvoNorm-B0", "EvoNorm-S0", "GN-ReLU"]


class Variant(NamedTuple):
    """A layer, and over how many samples its statistics are taken while training, for layers that take any over samples."""

    layer: StudyLayer
    worker: int

    @property
    def name(self) -> str:
        """As tables show it."""
        return f"{self.layer}, {self.worker} a worker" if self.layer in OVER_SAMPLES else self.layer


OVER_SAMPLES: tuple[StudyLayer, ...] = ("BN-ReLU", "EvoNorm-B0")


@dataclass(frozen=True)
class StudyConfig:
    """Training with statistics of workers.

    Attributes:
        data: images.
        network: where the layers stand.
        recipe: of the training; its batch is that of all workers together.
        workers: samples a worker, large and small; both divide the batch.
        test: test images, at most.

    Raises:
        ValueError: if a worker does not divide the batch.
    """

    data: ImageSet
    network: NetworkConfig
    recipe: Recipe
    workers: tuple[int, int]
    test: int = 10_000

    def __post_init__(self):
        if any(worker < 1 or self.recipe.batch_size % worker for worker in self.workers):
            raise ValueError(f"workers is {self.workers}; both must divide the batch of {self.recipe.batch_size}")

    @property
    def variants(self) -> tuple[Variant, ...]:
        """What is compared: the layers with statistics over samples at both sizes, the others once."""
        large, small = self.workers
        over_samples = (Variant(layer, size) for layer in OVER_SAMPLES for size in (large, small))
        return *over_samples, Variant("EvoNorm-S0", large), Variant("GN-ReLU", large)


class Choice(nnx.Variable):
    """Which of its variants a `WorkerNorm` is: the same number in every layer of a network."""


class WorkerNorm(nnx.Module):
    """Several layers in one, chosen by a number while it runs: one program trains all of them, each at its own cost.

    Statistics over samples are those of each worker, `worker` consecutive samples of the batch, as if every one had a device
    of its own. Running statistics, which evaluation uses, move towards the mean over workers of the mean and of the unbiased
    variance. Do not `vmap` over the choice: all variants would be computed.

    Args:
        features: channels.
        variants: to choose from.
        groups: of layers with groups.
        momentum, eps: as for `EvoNorm`.

    Raises:
        ValueError: when called, if a worker of a variant does not divide the batch while training.

    >>> layer = WorkerNorm(4, [Variant("EvoNorm-B0", 2), Variant("GN-ReLU", 2)], groups=2)
    >>> layer(jnp.ones((4, 3, 3, 4))).shape
    (4, 3, 3, 4)
    """

    def __init__(self, features: int, variants: Sequence[Variant], *, groups: int, momentum: float = 0.1, eps: float = 1e-5):
        self.scale, self.shift = nnx.Param(jnp.ones(features)), nnx.Param(jnp.zeros(features))
        self.v = nnx.Param(jnp.ones(features))
        self.mean, self.var = nnx.BatchStat(jnp.zeros(features)), nnx.BatchStat(jnp.ones(features))
        self.choice = Choice(jnp.zeros((), jnp.int32))
        self.variants, self.groups, self.momentum, self.eps = tuple(variants), groups, momentum, eps
        self.use_running_average = False

    def __call__(self, x: Num[Array, "batch *space channels"]) -> Float[Array, "batch *space channels"]:
        """The same shape."""
        check_maps(x, self.scale.shape[0])
        sizes = {variant.worker for variant in self.variants if variant.layer in OVER_SAMPLES}
        if not self.use_running_average and any(x.shape[0] % size for size in sizes):
            raise ValueError(f"x is {x.shape}; its batch must be a multiple of the workers {sorted(sizes)}")
        given = [p[...] for p in (self.scale, self.shift, self.v, self.mean, self.var)]
        y, mean, var = lax.switch(self.choice[...], [partial(self._one, v) for v in self.variants], at_least_float32(x), *given)
        self.mean[...], self.var[...] = mean, var
        return y.astype(result_dtype(x))

    def _one(self, variant, x, scale, shift, v, mean, var):
        """Output and running statistics of one variant."""
        if variant.layer == "EvoNorm-S0":
            return evonorm_s(x, scale, shift, v, groups=self.groups, eps=self.eps), mean, var
        if variant.layer == "GN-ReLU":
            return jax.nn.relu(group_norm(x, self.groups, scale, shift, eps=self.eps)), mean, var
        layer = _batch_norm if variant.layer == "BN-ReLU" else _evonorm_b0
        if self.use_running_average:
            return layer(x, (mean, var), scale, shift, v, self.eps)[0], mean, var
        workers = x.reshape(-1, variant.worker, *x.shape[1:])
        y, means, variances = jax.vmap(lambda x: layer(x, None, scale, shift, v, self.eps))(workers)
        count = workers[0].size // x.shape[-1]
        mean = mean + self.momentum * (lax.stop_gradient(means.mean(0)) - mean)
        return y.reshape(x.shape), mean, moved(var, variances.mean(0), self.momentum, count)


def _batch_norm(x, running, scale, shift, v, eps):
    over = (1,) * (x.ndim - 1) + (-1,)
    if running is None:
        centred, mean, var = moments(x, tuple(range(x.ndim - 1)))
    else:
        mean, var = (s.reshape(over) for s in running)
        centred = x - mean
    y = jax.nn.relu(centred * lax.rsqrt(var + eps) * scale.reshape(over) + shift.reshape(over))
    return y, mean.ravel(), var.ravel()


def _evonorm_b0(x, running, scale, shift, v, eps):
    variance = batch_variance(x) if running is None else running[1]
    return evonorm_b(x, variance, scale, shift, v, eps=eps), jnp.zeros_like(variance), variance


# --- The study ---


def study(config: StudyConfig, images: Images, keys: jax.Array) -> tuple[np.ndarray, np.ndarray]:
    """Train every variant from every key, one after the other, in one program.

    Args:
        config: sizes.
        images: nothing is chosen by the validation part, so it is trained on too.
        keys: one for each seed: weights and batches. All variants of a seed start alike.

    Returns:
        Test accuracies `[seeds, variants]` and losses `[seeds, variants, steps]`.

    Raises:
        TrainingDiverged: if a loss is not finite.
    """
    recipe, variants = config.recipe, config.variants

    def norm(features, active):
        return WorkerNorm(features, variants, groups=fitting_groups(features, config.network.groups))

    sizes = {"in_channels": images.train[0].shape[-1], "classes": images.classes}
    built = [split_model(build_network(config.network, norm, **sizes, rngs=nnx.Rngs(key))) for key in keys]
    train = tuple(np.concatenate(parts) for parts in zip(images.train, images.validation, strict=True))
    indices = np.stack([epoch_indices(key, len(train[1]), recipe.batch_size, recipe.steps) for key in keys])
    test = tuple(part[: config.test] for part in images.test)
    data = jax.device_put((train, test))
    run = jax.jit(partial(_train_all, built[0][0], recipe))
    accuracy, losses = run(np.arange(len(variants)), keys, stack([weights for *_, weights in built]), indices, data)
    check_losses(np.asarray(losses).reshape(-1, recipe.steps))
    return np.swapaxes(np.asarray(accuracy), 0, 1), np.swapaxes(np.asarray(losses), 0, 1)


def _train_all(definition, recipe: Recipe, choices, keys, weights, indices, data):
    """Accuracies `[variants, seeds]` and losses `[variants, seeds, steps]`."""
    tx = recipe.transformation()
    step = make_step(definition, nnx.State({}), tx, classification_loss)
    (images, labels), (test_images, test_labels) = data

    def train(choice, key, weights, indices):
        weights = weights._replace(other=chosen(weights.other, Choice, choice))

        def body(carry, number_and_rows):
            number, rows = number_and_rows
            weights, opt_state, loss = step(*carry, (images[rows], labels[rows]), key, number)
            return (weights, opt_state), loss

        (weights, _), losses = lax.scan(body, (weights, tx.init(weights.params)), (jnp.arange(len(indices)), indices))
        model = nnx.merge(definition, weights.params, weights.other)
        model.eval()
        return jnp.mean(jnp.argmax(model(test_images), -1) == test_labels), losses

    # Seeds one after the other: side by side, their kernels would make grouped convolutions, which CPUs are slow at.
    return lax.map(lambda choice: lax.map(lambda seed: train(choice, *seed), (keys, weights, indices)), choices)


def majority_share(images: Images) -> float:
    """Share of the most frequent class among the test images."""
    return float(np.bincount(images.test[1]).max() / len(images.test[1]))


def by_name(config: StudyConfig, accuracies: Any) -> dict[str, float]:
    """Numbers `[variants]` of one seed, by the name of the variant."""
    return {variant.name: float(value) for variant, value in zip(config.variants, accuracies, strict=True)}
