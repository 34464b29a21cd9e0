"""What `quire bench infinite_width` times: a MAML batch by Gram matrices, and with a copy of the weights for each task."""

from functools import partial

import jax
import jax.numpy as jnp

from quire.common.bench import Benchmark, Case
from quire.infinite_width.maml import LinearNet, TaskBatch, cross_entropy, linear_limit, meta_gradient, net_output
from quire.infinite_width.paper import paper

WAYS, TASKS, STEP = 5, 32, 0.4


def copied_weights_gradient(net: LinearNet, tasks: TaskBatch) -> LinearNet:
    """The definition: every task gets its own adapted weights, and the query gradient at them."""

    def loss(net, x, labels):
        return cross_entropy(net_output(net, x), labels)[0]

    def of_task(task):
        inner = jax.grad(loss)(net, task.support, task.support_labels)
        adapted = jax.tree.map(lambda w, g: w - STEP * g, net, inner)
        return jax.grad(loss)(adapted, task.query, task.query_labels)

    return jax.tree.map(lambda g: g.sum(0), jax.vmap(of_task)(tasks))


def gram_gradient(net: LinearNet, tasks: TaskBatch) -> LinearNet:
    """`meta_gradient` with one inner step."""
    return meta_gradient(net, tasks, bias_alpha=1.0, step_size=STEP)[1]


def cases(dim: int, key: jax.Array) -> dict[str, Case]:
    """A batch of 32 tasks, 5-way 1-shot, of inputs with `dim` features, for the limit's network of width `dim + 5`."""
    draw = partial(jax.random.normal, shape=(TASKS, WAYS, dim))
    labels = jnp.broadcast_to(jnp.arange(WAYS), (TASKS, WAYS))
    first, second = jax.random.split(key)
    tasks = TaskBatch(draw(first) / dim**0.5, labels, draw(second) / dim**0.5, labels)
    net = linear_limit(dim, WAYS, sigma_v=0.03125)
    return {
        "Gram matrices": Case(gram_gradient, (net, tasks)),
        "weights copied for each task": Case(copied_weights_gradient, (net, tasks)),
    }


paper.benchmark = Benchmark(
    "MAML gradient of 32 tasks in the infinite-width limit",
    size="inputs d",
    sizes=(49, 98, 196, 392, 784),
    cases=cases,
)
