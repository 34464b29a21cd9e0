"""First-order MAML for the linear one-hidden-layer network, at any width and in the infinite-width limit.

`f(x) = V (U x + alpha b)`. Trained vectors stay in the span of the initial ones, so the muP limit is a network of width d + out
with a deterministic start. Adapting to a task changes hidden activations through Gram matrices of inputs only: no weights
are copied.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from quire.common.checks import check_at_least, check_ids, check_positive, floating
from quire.common.mup.mlp import check_rate
from quire.common.random import generator

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
        ValueError: if a size is below 1, or a deviation negative.
    """
    if min(dim, out) < 1:
        raise ValueError(f"dim is {dim} and out {out}; both must be at least 1")
    if not (sigma_u >= 0 and sigma_v >= 0):
        raise ValueError(f"sigma_u is {sigma_u} and sigma_v {sigma_v}; both must be at least 0")
    width = dim + out
    weights = sigma_u * np.eye(width, dim), sigma_v * np.eye(out, width, k=dim), np.zeros(width)
    return LinearNet(*(jnp.asarray(w, float) for w in weights))


def finite_net(limit: LinearNet, width: int, key: jax.Array) -> LinearNet:
    """A random network of finite width that converges to the limit: `Omega / sqrt(n)` applied to the limit's neurons.

    Drawn on the host.

    Raises:
        ValueError: if the width is below 1.
    """
    check_at_least("width", width)
    U, V, b = map(np.asarray, limit)
    omega = (generator(key).standard_normal((width, len(b))) / width**0.5).astype(U.dtype)
    return LinearNet(*map(jnp.asarray, (omega @ U, V @ omega.T, omega @ b)))


def with_silent_neurons(net: LinearNet, width: int) -> LinearNet:
    """The same function at another width: new neurons have weights of zero, and no gradient ever reaches them.

    Raises:
        ValueError: if the net is wider than that already.
    """
    U, V, b = map(np.asarray, net)
    extra = check_at_least("width", width, len(b)) - len(b)
    padded = np.pad(U, [(0, extra), (0, 0)]), np.pad(V, [(0, 0), (0, extra)]), np.pad(b, (0, extra))
    return LinearNet(*map(jnp.asarray, padded))


def net_output(net: LinearNet, x: Float[Array, "*batch d"], bias_alpha: float = 1.0) -> Float[Array, "*batch out"]:
    """`V (U x + alpha b)`."""
    return (x @ net.U.T + (bias_alpha * net.b).reshape((1,) * (x.ndim - 1) + (-1,))) @ net.V.T


def cross_entropy(logits: Float[Array, "m out"], labels: Int[Array, " m"]) -> tuple[Array, Array]:
    """Mean cross-entropy and its derivative by the logits.

    Raises:
        ValueError: if there is no row, not one label for each, or a label is no class.
    """
    check_at_least("number of logits", len(logits))
    _check_labels(logits, labels)
    log_p = jax.nn.log_softmax(logits)
    onehot = jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
    return -jnp.mean(jnp.sum(onehot * log_p, -1)), (jnp.exp(log_p) - onehot) / len(labels)


def _check_labels(logits: Array, labels: Array) -> None:
    if labels.shape != logits.shape[:-1]:
        raise ValueError(f"labels has shape {labels.shape}; logits of shape {logits.shape} need {logits.shape[:-1]}")
    check_ids("labels", labels, logits.shape[-1])


class Adapted(NamedTuple):
    """After adaptation to one task: query activations, readout, query logits, and the loss before each inner step."""

    hidden: Float[Array, "q n"]
    V: Float[Array, "out n"]
    logits: Float[Array, "q out"]
    losses: Float[Array, " steps"]


class _Span(NamedTuple):
    """An adapted net in the span of `B = [H; V]`, the support activations and the readout before adaptation.

    The query activations are `Hq + query B`, the readout is `readout B`.
    """

    H: Float[Array, "m n"]
    Hq: Float[Array, "q n"]
    query: Float[Array, "q b"]
    readout: Float[Array, "out b"]
    logits: Float[Array, "q out"]
    losses: Float[Array, " steps"]


def _adapt(net: LinearNet, task: TaskBatch, *, bias_alpha: float | Array, step_size: float, steps: int) -> _Span:
    """`adapt`, without a product of the size of the net in any inner step: logits come from coefficients and `B B^T`."""
    support = len(task.support)
    (inputs,) = floating(jnp.concatenate([task.support, task.query]))  # products of bytes would overflow
    gram = inputs @ inputs[:support].T + bias_alpha**2
    rows = inputs @ net.U.T + (bias_alpha * net.b)[None, :]
    on_readout = rows @ net.V.T
    products = jnp.concatenate([rows @ rows[:support].T, on_readout], 1)
    basis = jnp.concatenate([products[:support], jnp.concatenate([on_readout[:support].T, net.V @ net.V.T], 1)])
    identity = jnp.eye(len(basis), dtype=basis.dtype)

    def inner(state, _):
        of_rows, readout = state
        loss, delta = cross_entropy(of_rows[:support] @ basis @ readout.T, task.support_labels)
        new = of_rows - step_size * gram @ (delta @ readout), readout - step_size * delta.T @ of_rows[:support]
        return new, loss

    start = jnp.concatenate([identity[:support], jnp.zeros_like(products[support:])]), identity[support:]
    (of_rows, readout), losses = jax.lax.scan(inner, start, length=steps)
    query = of_rows[support:]
    logits = (products[support:] + query @ basis) @ readout.T
    return _Span(rows[:support], rows[support:], query, readout, logits, losses)


def adapt(net: LinearNet, task: TaskBatch, *, bias_alpha: float | Array, step_size: float, steps: int) -> Adapted:
    """Gradient descent on the support set of one task, all weights from their old values.

    With `K = X X^T + alpha^2` and `delta` the derivative by the logits, a step is `V -= s delta^T H`, `H -= s K delta V`.

    Raises:
        ValueError: if the number of steps or the step size is negative, or a label is no class.
    """
    check_at_least("steps", steps, 0)
    check_rate("step_size", step_size)
    span = _adapt(net, task, bias_alpha=bias_alpha, step_size=step_size, steps=steps)
    basis = jnp.concatenate([span.H, net.V])
    return Adapted(span.Hq + span.query @ basis, span.readout @ basis, span.logits, span.losses)


def meta_gradient(
    net: LinearNet, tasks: TaskBatch, *, bias_alpha: float | Array, step_size: float, steps: int = 1
) -> tuple[Float[Array, ""], LinearNet]:
    """Mean query loss after adaptation, and the first-order gradients *summed* over tasks.

    Raises:
        ValueError: as for `adapt`.
    """
    check_at_least("steps", steps, 0)
    check_rate("step_size", step_size)
    span = jax.vmap(lambda task: _adapt(net, task, bias_alpha=bias_alpha, step_size=step_size, steps=steps))(tasks)
    losses, delta = jax.vmap(cross_entropy)(span.logits, tasks.query_labels)
    support = tasks.support.shape[1]
    # Coefficients first: products with whole activations are then one for all tasks, but for the first of dH.
    by_query, by_readout = jnp.einsum("tqo,tqb->tob", delta, span.query), delta @ span.readout
    dV = jnp.einsum("tqo,tqn->on", delta, span.Hq) + jnp.einsum("tom,tmn->on", by_query[..., :support], span.H)
    dV = dV + by_query[..., support:].sum(0) @ net.V
    dH = by_readout[..., :support] @ span.H + by_readout[..., support:] @ net.V
    return losses.mean(), LinearNet(jnp.einsum("tqn,tqd->nd", dH, tasks.query.astype(dH.dtype)), dV, bias_alpha * dH.sum((0, 1)))


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
    X, Q = floating(task.support, task.query)
    start = (Z @ model.W.T + model.b[None, :] for Z in (X, Q))
    return adapt_fixed(*start, X @ X.T + 1, Q @ X.T + 1, task.support_labels, step_size=step_size, steps=steps)


def linear_meta_gradient(
    model: LinearClassifier, tasks: TaskBatch, *, step_size: float, steps: int = 1
) -> tuple[Float[Array, ""], LinearClassifier]:
    """As `meta_gradient`, for the linear classifier."""

    def of_task(task):
        return cross_entropy(linear_logits(model, task, step_size=step_size, steps=steps), task.query_labels)

    losses, delta = jax.vmap(of_task)(tasks)
    return losses.mean(), LinearClassifier(jnp.einsum("tqo,tqd->od", delta, tasks.query.astype(delta.dtype)), delta.sum((0, 1)))


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

    Raises:
        ValueError: if `meta_lr` is negative or `clip` not positive.
    """
    check_rate("meta_lr", meta_lr)
    check_positive("clip", clip)

    def step(model, batch):
        loss, g = gradient(model, tasks_of(batch))
        norm = global_norm(g)
        rate = meta_lr * jnp.minimum(1, clip / (norm + CLIP_OFFSET))
        return jax.tree.map(lambda w, d: w - rate * d, model, g), jnp.stack([loss, norm])

    return jax.lax.scan(step, model, batches)


def accuracy(logits: Float[Array, "*tasks q out"], labels: Int[Array, "*tasks q"]) -> Float[Array, ""]:
    """Fraction of queries whose largest logit is their label; NaN if a logit is.

    Raises:
        ValueError: if there is no query, not one label for each, or a label is no class.
    """
    check_at_least("number of queries", labels.size)
    _check_labels(logits, labels)
    return jnp.where(jnp.isnan(logits).any(), jnp.nan, jnp.mean(jnp.argmax(logits, -1) == labels))
