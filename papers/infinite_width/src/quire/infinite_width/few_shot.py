"""MAML at every width, in the limit, and with fixed features, on the same tasks (F6)."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from quire.common.data.few_shot import FewShotData, Tasks, draw_tasks
from quire.common.mup.arc_cosine import relu_gp, relu_ntk
from quire.infinite_width.config import MAML
from quire.infinite_width.kernel_regime import kernel_logits, kernel_machine, kernel_meta_train
from quire.infinite_width.maml import (
    LinearClassifier,
    LinearNet,
    TaskBatch,
    accuracy,
    adapt,
    finite_net,
    linear_limit,
    linear_logits,
    linear_meta_gradient,
    meta_gradient,
    meta_train,
    with_silent_neurons,
)

WAYS = 5
SHARED = 128
"""Nets up to this width share one compiled program; wider ones would pay more for silent neurons than they save."""
KERNELS = {"ReLU GP": partial(relu_gp, varw=1.0, varb=1.0), "ReLU NTK": partial(relu_ntk, varw=1.0, varb=1.0, varw2=1.0)}


def gather(tasks: Tasks, support: Float[Array, "c n d"], query: Float[Array, "c n d"]) -> TaskBatch:
    """Inputs of tasks from images by class; label j is the j-th class of a task."""

    def pick(images, chosen):
        inputs = images[tasks.classes[..., None], chosen]
        labels = jnp.broadcast_to(jnp.arange(inputs.shape[-3])[:, None], inputs.shape[:-1])
        return inputs.reshape(*inputs.shape[:-3], -1, inputs.shape[-1]), labels.reshape(*labels.shape[:-2], -1)

    return TaskBatch(*pick(support, tasks.support), *pick(query, tasks.query))


@partial(jax.jit, static_argnames=("classes", "images", "cfg"))
def training_tasks(key: Array, classes: int, images: int, cfg: MAML) -> Tasks:
    """Tasks `[batches, tasks, ...]` to meta-train on."""
    groups = jnp.arange(classes, dtype=jnp.int32)[None]
    drawn = draw_tasks(key, groups, batch=cfg.batches * cfg.tasks, images=images, ways=WAYS)
    return jax.tree.map(lambda x: x.reshape(cfg.batches, cfg.tasks, *x.shape[1:]), drawn)


def test_tasks(key: Array, data: FewShotData, cfg: MAML) -> TaskBatch:
    """Tasks of held-out classes, support and query images from their own pools."""
    support, query = (jnp.asarray(flat(x)) for x in (data.test_support, data.test_query))
    return _test_tasks(key, support, query, jnp.asarray(data.test_groups), cfg)


@partial(jax.jit, static_argnames="cfg")
def _test_tasks(key: Array, support: Array, query: Array, groups: Array, cfg: MAML) -> TaskBatch:
    first, second = jax.random.split(key)
    drawn = draw_tasks(first, groups, batch=cfg.test_tasks, images=support.shape[1], ways=WAYS, queries=0)
    chosen = jax.random.randint(second, drawn.support.shape, 0, query.shape[1], jnp.int32)
    return gather(drawn._replace(query=chosen), support, query)


def flat(images: np.ndarray) -> np.ndarray:
    """Images `[classes, images, h, w]` as vectors."""
    return images.reshape(*images.shape[:2], -1)


@partial(jax.jit, static_argnames="cfg")
def _train_net(net: LinearNet, batches: Tasks, images: Array, meta_lr: Array, bias_alpha: Array, cfg: MAML):
    gradient = partial(meta_gradient, bias_alpha=bias_alpha, step_size=cfg.step_size)
    return meta_train(net, batches, gradient, meta_lr=meta_lr, clip=cfg.clip, tasks_of=lambda t: gather(t, images, images))


@partial(jax.jit, static_argnames="cfg")
def _train_linear(model: LinearClassifier, batches: Tasks, images: Array, cfg: MAML) -> LinearClassifier:
    gradient, tasks_of = partial(linear_meta_gradient, step_size=cfg.step_size), lambda t: gather(t, images, images)
    return meta_train(model, batches, gradient, meta_lr=cfg.meta_lr, clip=cfg.clip, tasks_of=tasks_of)[0]


@partial(jax.jit, static_argnames="cfg")
def _net_accuracy(net: LinearNet, tasks: TaskBatch, bias_alpha: Array, cfg: MAML) -> Array:
    adapted = partial(adapt, net, bias_alpha=bias_alpha, step_size=cfg.step_size, steps=cfg.test_steps)
    logits = jax.lax.map(lambda task: adapted(task).logits, tasks, batch_size=100)
    return accuracy(logits, tasks.query_labels)


@partial(jax.jit, static_argnames="cfg")
def _linear_accuracy(model: LinearClassifier, tasks: TaskBatch, cfg: MAML) -> Array:
    logits = partial(linear_logits, model, step_size=cfg.step_size, steps=cfg.test_steps)
    return accuracy(jax.vmap(logits)(tasks), tasks.query_labels)


@partial(jax.jit, static_argnames=("cfg", "name"))
def _kernel_accuracy(batches: Tasks, images: Array, tasks: TaskBatch, cfg: MAML, name: str) -> Array:
    kernel = KERNELS[name]
    machine, _ = kernel_meta_train(
        kernel_machine(images.shape[-1], WAYS, cfg.kernel_rows),
        kernel,
        batches,
        lambda t: gather(t, images, images),
        step_size=cfg.step_size,
        meta_lr=cfg.meta_lr,
        clip=cfg.clip,
    )
    adapted = partial(kernel_logits, machine, kernel, step_size=cfg.step_size, steps=cfg.test_steps)
    logits = jax.lax.map(lambda t: adapted(jax.tree.map(lambda x: x[None], t))[0], tasks, batch_size=100)
    return accuracy(logits, tasks.query_labels)


def accuracies(data: FewShotData, cfg: MAML, key: Array) -> tuple[dict[str, float], np.ndarray]:
    """Test accuracy of every model, on the same tasks, and loss and gradient norm of the limit's meta-training."""
    images = jnp.asarray(flat(data.train))
    draw, test, weights = jax.random.split(key, 3)
    batches, tasks = training_tasks(draw, *images.shape[:2], cfg), test_tasks(test, data, cfg)
    dim = images.shape[-1]
    start = linear_limit(dim, WAYS, sigma_u=cfg.sigma_u, sigma_v=cfg.sigma_v)
    alpha = jnp.float32(cfg.bias_alpha)
    trained, curve = _train_net(start, batches, images, jnp.float32(cfg.meta_lr), alpha, cfg)
    scores = {"∞": _net_accuracy(trained, tasks, alpha, cfg), "∞, untrained": _net_accuracy(start, tasks, alpha, cfg)}
    for i, net in enumerate(cfg.nets):
        limit = linear_limit(dim, WAYS, sigma_u=net.sigma_u, sigma_v=net.sigma_v)
        finite = finite_net(limit, net.width, jax.random.fold_in(weights, i))
        finite = with_silent_neurons(finite, max(net.width, SHARED))
        alpha = jnp.float32(net.bias_alpha)
        finite, _ = _train_net(finite, batches, images, jnp.float32(net.meta_lr), alpha, cfg)
        scores[str(net.width)] = _net_accuracy(finite, tasks, alpha, cfg)
    linear = LinearClassifier(jnp.zeros((WAYS, dim)), jnp.zeros(WAYS))
    scores["linear"] = _linear_accuracy(_train_linear(linear, batches, images, cfg), tasks, cfg)
    if cfg.kernel_rows:
        scores |= {name: _kernel_accuracy(batches, images, tasks, cfg, name) for name in KERNELS}
    return {name: float(score) for name, score in scores.items()}, np.asarray(curve)
