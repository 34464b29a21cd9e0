"""The kernel regime: SGD in function space with a fixed kernel (GP or NTK), its function held as dual coefficients."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from quire.common.checks import check_positive
from quire.common.mup.mlp import check_rate
from quire.infinite_width.maml import CLIP_OFFSET, TaskBatch, adapt_fixed, cross_entropy

Kernel = Callable[[Array, Array], Array]
"""`(x [n, d], y [m, d]) -> [n, m]`, such as a `partial` of `relu_gp` or `relu_ntk`."""


class KernelMachine(NamedTuple):
    """`f(x) = sum_j k(x, x_j) c_j` in a buffer of fixed size; once it is full the oldest rows are overwritten."""

    points: Float[Array, "rows d"]
    coefficients: Float[Array, "rows out"]
    used: Array


def kernel_machine(dim: int, out: int, rows: int) -> KernelMachine:
    """The zero function with room for `rows` dual coefficients.

    Raises:
        ValueError: if a size is below 1.
    """
    if min(dim, out, rows) < 1:
        raise ValueError(f"dim is {dim}, out {out} and rows {rows}; all must be at least 1")
    return KernelMachine(jnp.zeros((rows, dim)), jnp.zeros((rows, out)), jnp.zeros((), jnp.int32))


def predict(machine: KernelMachine, kernel: Kernel, x: Float[Array, "n d"]) -> Float[Array, "n out"]:
    """`sum_j k(x, x_j) c_j`. Rows not yet used hold zero coefficients; a unit vector stands in for their points."""
    filled = (jnp.arange(len(machine.points)) < machine.used)[:, None]
    points = jnp.where(filled, machine.points, jnp.eye(1, machine.points.shape[1]))
    return kernel(x, points) @ machine.coefficients


def append(machine: KernelMachine, x: Float[Array, "n d"], change: Float[Array, "n out"]) -> KernelMachine:
    """Adds `sum_i k(., x_i) change_i` to the function: a gradient step with `change = -rate dloss/df`.

    Raises:
        ValueError: if there are more rows than the buffer holds, or not one change for each.
    """
    rows = len(machine.points)
    if len(change) != len(x):
        raise ValueError(f"change has {len(change)} rows; x has {len(x)}, and needs one for each")
    if len(x) > rows:
        raise ValueError(f"x has {len(x)} rows; the buffer holds {rows}")
    place = (machine.used + jnp.arange(len(x))) % rows
    return KernelMachine(
        machine.points.at[place].set(x), machine.coefficients.at[place].set(change), machine.used + jnp.asarray(len(x), jnp.int32)
    )


def sgd_step(
    machine: KernelMachine, kernel: Kernel, x: Float[Array, "n d"], labels: Array, learning_rate: float
) -> tuple[KernelMachine, Float[Array, ""]]:
    """One SGD step on the mean cross-entropy; returns the loss before it as well.

    Raises:
        ValueError: if the learning rate is negative, a label is no class, or there are more rows than the buffer holds.
    """
    check_rate("learning_rate", learning_rate)
    loss, delta = cross_entropy(predict(machine, kernel, x), labels)
    return append(machine, x, -learning_rate * delta), loss


def kernel_logits(
    machine: KernelMachine, kernel: Kernel, tasks: TaskBatch, *, step_size: float, steps: int
) -> Float[Array, "tasks q out"]:
    """Query logits after adaptation to each task."""
    dim = tasks.support.shape[-1]

    def before(x):
        return predict(machine, kernel, x.reshape(-1, dim)).reshape(*x.shape[:-1], -1)

    def of_task(fs, fq, X, Q, labels):
        return adapt_fixed(fs, fq, kernel(X, X), kernel(Q, X), labels, step_size=step_size, steps=steps)

    return jax.vmap(of_task)(before(tasks.support), before(tasks.query), tasks.support, tasks.query, tasks.support_labels)


def kernel_meta_train(
    machine: KernelMachine,
    kernel: Kernel,
    batches,
    tasks_of: Callable,
    *,
    step_size: float,
    meta_lr: float,
    clip: float = 0.5,
) -> tuple[KernelMachine, Float[Array, " steps"]]:
    """First-order MAML in function space: each step appends the query points of its tasks.

    The gradient is clipped in the norm of the kernel's function space, the one that weights have in parameter space.

    Raises:
        ValueError: if `meta_lr` is negative, `clip` not positive, or a batch has more rows than the buffer holds.
    """
    check_rate("meta_lr", meta_lr)
    check_positive("clip", clip)

    def step(machine, batch):
        tasks = tasks_of(batch)
        logits = kernel_logits(machine, kernel, tasks, step_size=step_size, steps=1)
        losses, delta = jax.vmap(cross_entropy)(logits, tasks.query_labels)
        x, delta = tasks.query.reshape(-1, tasks.query.shape[-1]), delta.reshape(-1, delta.shape[-1])
        norm = jnp.sqrt(jnp.sum(delta * (kernel(x, x) @ delta)))
        rate = meta_lr * jnp.minimum(1, clip / (norm + CLIP_OFFSET))
        return append(machine, x, -rate * delta), losses.mean()

    return jax.lax.scan(step, machine, batches)
