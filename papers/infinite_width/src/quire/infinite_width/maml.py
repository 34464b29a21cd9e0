"""First-order MAML for the linear one-hidden-layer network, at any width and in the infinite-width limit.

`f(x) = V (U x + alpha b)`. Trained vectors stay in the span of the initial ones, so the muP limit is a network of width d + out
with a deterministic start. Adapting to a task changes hidden activations through Gram matrices of inputs only: no weights
are copied.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

CLIP_OFFSET = 1e-6
"""Added to the norm before dividing by it, as the authors do."""


class LinearNet(NamedTuple):
    """Weights of `f(x) = V (U x + alpha b)`."""

    U: Float[Array, "n d"]
    V: Float[Array, "out n"]
    b: Float[Array, " n"]


class TaskBatch(NamedTuple):
    """Tasks with inputs and labels; the leading axis counts tasks."""

    support: Float[Array, "*tasks m d"]
    support_labels: Int[Array, "*tasks m"]
    query: Float[Array, "*tasks q d"]
    query_labels: Int[Array, "*tasks q"]


def linear_limit(dim: int, out: int, *, sigma_u: float = 1.0, sigma_v: float = 1.0) -> LinearNet:
    """The infinitely wide network, of width `dim + out`: `U = [sigma_u I; 0]`, `V = [0, sigma_v I]`, `b = 0`.

    Raises:
        ValueError: if a size is below 1.
    """
    if min(dim, out) < 1:
        raise ValueError(f"dim is {dim} and out {out}; both must be at least 1")
    U = sigma_u * jnp.eye(dim + out, dim)
    return LinearNet(U, sigma_v * jnp.eye(out, dim + out, k=dim), jnp.zeros(dim + out))


def finite_net(limit: LinearNet, width: int, key: jax.Array) -> LinearNet:
    """A random network of finite width that converges to the limit: `Omega / sqrt(n)` applied to the limit's neurons.

    Raises:
        ValueError: if the width is below 1.
    """
    if width < 1:
        raise ValueError(f"width is {width}; it must be at least 1")
    omega = jax.random.normal(key, (width, len(limit.b))) / width**0.5
    return LinearNet(omega @ limit.U, limit.V @ omega.T, omega @ limit.b)


def net_output(net: LinearNet, x: Float[Array, "*batch d"], bias_alpha: float = 1.0) -> Float[Array, "*batch out"]:
    """`V (U x + alpha b)`."""
    return (x @ net.U.T + (bias_alpha * net.b).reshape((1,) * (x.ndim - 1) + (-1,))) @ net.V.T


def cross_entropy(logits: Float[Array, "m out"], labels: Int[Array, " m"]) -> tuple[Array, Array]:
    """Mean cross-entropy and its derivative by the logits."""
    log_p = jax.nn.log_softmax(logits)
    onehot = jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
    return -jnp.mean(jnp.sum(onehot * log_p, -1)), (jnp.exp(log_p) - onehot) / len(labels)


class Adapted(NamedTuple):
    """After adaptation to one task: query activations, readout, query logits, and the loss before each inner step."""

    hidden: Float[Array, "q n"]
    V: Float[Array, "out n"]
    logits: Float[Array, "q out"]
    losses: Float[Array, " steps"]


def adapt(net: LinearNet, task: TaskBatch, *, bias_alpha: float, step_size: float, steps: int) -> Adapted:
    """Gradient descent on the support set of one task, all weights from their old values.

    With `K = X X^T + alpha^2` and `delta` the derivative by the logits, a step is `V -= s delta^T H`, `H -= s K delta V`.
    """
    X, Q = task.support, task.query
    gram_support, gram_query = (Z @ X.T + bias_alpha**2 for Z in (X, Q))
    bias = (bias_alpha * net.b)[None, :]

    def inner(state, _):
        H, Hq, V = state
        loss, delta = cross_entropy(H @ V.T, task.support_labels)
        dH = delta @ V
        new = H - step_size * gram_support @ dH, Hq - step_size * gram_query @ dH, V - step_size * delta.T @ H
        return new, loss

    start = X @ net.U.T + bias, Q @ net.U.T + bias, net.V
    (_, Hq, V), losses = jax.lax.scan(inner, start, length=steps)
    return Adapted(Hq, V, Hq @ V.T, losses)


def meta_gradient(
    net: LinearNet, tasks: TaskBatch, *, bias_alpha: float, step_size: float, steps: int = 1
) -> tuple[Float[Array, ""], LinearNet]:
    """Mean query loss after adaptation, and the first-order gradients *summed* over tasks."""

    def of_task(task):
        adapted = adapt(net, task, bias_alpha=bias_alpha, step_size=step_size, steps=steps)
        loss, delta = cross_entropy(adapted.logits, task.query_labels)
        return loss, delta.T @ adapted.hidden, delta @ adapted.V

    losses, dV, dH = jax.vmap(of_task)(tasks)
    return losses.mean(), LinearNet(jnp.einsum("tqn,tqd->nd", dH, tasks.query), dV.sum(0), bias_alpha * dH.sum((0, 1)))


class LinearClassifier(NamedTuple):
    """`f(x) = W x + b`: features that are never learned, the direction of the linear GP and NTK."""

    W: Float[Array, "out d"]
    b: Float[Array, " out"]


def adapt_fixed(
    support_logits: Float[Array, "m out"],
    query_logits: Float[Array, "q out"],
    gram_support: Float[Array, "m m"],
    gram_query: Float[Array, "q m"],
    labels: Int[Array, " m"],
    *,
    step_size: float,
    steps: int,
) -> Float[Array, "q out"]:
    """Adaptation of a model with fixed features, in function space: `f <- f - s K delta`; the query logits afterwards."""

    def inner(state, _):
        fs, fq = state
        _, delta = cross_entropy(fs, labels)
        return (fs - step_size * gram_support @ delta, fq - step_size * gram_query @ delta), None

    return jax.lax.scan(inner, (support_logits, query_logits), length=steps)[0][1]


def linear_logits(model: LinearClassifier, task: TaskBatch, *, step_size: float, steps: int) -> Float[Array, "q out"]:
    """Query logits of the linear classifier after adaptation to one task."""
    X, Q = task.support, task.query
    start = (Z @ model.W.T + model.b[None, :] for Z in (X, Q))
    return adapt_fixed(*start, X @ X.T + 1, Q @ X.T + 1, task.support_labels, step_size=step_size, steps=steps)


def linear_meta_gradient(
    model: LinearClassifier, tasks: TaskBatch, *, step_size: float, steps: int = 1
) -> tuple[Float[Array, ""], LinearClassifier]:
    """As `meta_gradient`, for the linear classifier."""

    def of_task(task):
        return cross_entropy(linear_logits(model, task, step_size=step_size, steps=steps), task.query_labels)

    losses, delta = jax.vmap(of_task)(tasks)
    return losses.mean(), LinearClassifier(jnp.einsum("tqo,tqd->od", delta, tasks.query), delta.sum((0, 1)))


def global_norm(tree) -> Float[Array, ""]:
    """Euclidean norm of all leaves."""
    return jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(tree)))


def meta_train(
    model,
    batches,
    gradient: Callable,
    *,
    meta_lr: float | Float[Array, ""],
    clip: float = 0.5,
    tasks_of: Callable = lambda batch: batch,
):
    """Clipped SGD on summed task gradients: `w <- w - meta_lr g min(1, clip / (|g| + 1e-6))`.

    Args:
        model: pytree of weights.
        batches: pytree with a leading axis of steps.
        gradient: `(model, tasks) -> (loss, gradient)`, such as a `partial` of `meta_gradient`.
        meta_lr, clip: step size and largest norm.
        tasks_of: makes `TaskBatch` of one slice of `batches`: gathers images from indices, for instance.

    Returns:
        The trained model, and loss and gradient norm `[steps, 2]` of every step.
    """

    def step(model, batch):
        loss, g = gradient(model, tasks_of(batch))
        norm = global_norm(g)
        rate = meta_lr * jnp.minimum(1, clip / (norm + CLIP_OFFSET))
        return jax.tree.map(lambda w, d: w - rate * d, model, g), jnp.stack([loss, norm])

    return jax.lax.scan(step, model, batches)


def accuracy(logits: Float[Array, "*tasks q out"], labels: Int[Array, "*tasks q"]) -> Float[Array, ""]:
    """Fraction of queries whose largest logit is their label."""
    return jnp.mean(jnp.argmax(logits, -1) == labels)
