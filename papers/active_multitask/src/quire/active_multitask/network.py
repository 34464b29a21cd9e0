"""A non-linear representation: a small network for all tasks, trained in turns with heads by least squares."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from quire.active_multitask.active import Estimate, Learner
from quire.active_multitask.config import Network
from quire.active_multitask.image_tasks import Examples
from quire.active_multitask.multitask import target_head, task_heads
from quire.common.layers.patch_net import PatchNet
from quire.common.train.shared_program import Run, cosine_rates, start, train_chunk


def build(config: Network, key: jax.Array) -> PatchNet:
    """The network, its k features of an image; with one patch as large as the image it is a perceptron."""
    return PatchNet(config.channels, config.k, patch=config.patch, norm=None, act=jax.nn.relu, rngs=nnx.Rngs(key))


def head_loss(model: PatchNet, batch: tuple[Array, ...], constants: tuple[Array, Array]) -> Float[Array, ""]:
    """Mean squared error of `w_t^T phi(x)`, heads fixed; a batch is tasks, places in the pool, and targets."""
    (task, place, y), (pool, heads) = batch, constants
    return jnp.mean((jnp.sum(model(pool[place]) * heads[task], axis=1) - y) ** 2)


@nnx.jit
def features(model: PatchNet, images: Float[Array, "n h w c"]) -> Float[Array, "n k"]:
    """Features of images."""
    return model(images)


def network_learner(images: Float[np.ndarray, "pool h w c"], tasks: int, config: Network, key: jax.Array) -> Learner:
    """A learner for `run_amtrl` whose data are `Examples` and whose model is a trained `PatchNet`.

    In every round the heads of all tasks are the least-squares ones on the features as they are, and then the network takes
    some steps of Adam with these heads.

    Args:
        images: the pool that the examples point into.
        tasks: number of sources.
        config: sizes and steps.
        key: for initial weights and batches.
    """
    pool, eye = jnp.asarray(images), jnp.eye(config.k)

    def heads_of(run: Run, examples: Examples) -> tuple[np.ndarray, Array]:
        phi = np.asarray(features(run.model, pool))
        return phi, task_heads(examples.moments(phi, tasks), eye)

    def learn(data: Examples, target: Examples) -> Estimate:
        rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
        run, rates = start(build(config, key)), cosine_rates(config.rate, config.rounds * config.steps)
        for number in range(config.rounds):
            _, heads = heads_of(run, data)
            drawn = rng.integers(0, len(data.y), (config.steps, config.batch_size))
            batches = tuple(x[drawn] for x in (data.task, data.place, data.y))
            steps = slice(number * config.steps, (number + 1) * config.steps)
            run, _ = train_chunk(run, head_loss, batches, rates[steps].reshape(-1, 1), (pool, heads))
        phi, heads = heads_of(run, data)
        own = target.moments(phi, 1)[0]
        return Estimate(heads.T, target_head(own, eye), run.model)

    return learn
