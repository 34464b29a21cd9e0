"""What Skip-gram and GloVe have in common: both factorise pointwise mutual information."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Real

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, check_positive
from quire.common.random import generator
from quire.common.train.adagrad import adagrad


def shifted_pmi(counts: Real[AnyArray, "v v"], k: float = 1.0) -> Float[Array, "v v"]:
    """`log(X_ij D / (X_i X_j)) - log k`, minus infinity for a pair that never occurs.

    Args:
        counts: X, not negative; X_i and X_j are sums of rows and columns, D of all.
        k: negatives of each positive pair.

    Raises:
        ValueError: for a k that is not positive.

    >>> print(shifted_pmi(jnp.eye(2)).round(3))
    [[0.693  -inf]
     [ -inf 0.693]]
    """
    check_positive("k", k)
    counts = counts.astype(jnp.result_type(counts, float))
    logs = jnp.log(counts) + jnp.log(counts.sum())
    return logs - jnp.log(counts.sum(1, keepdims=True)) - jnp.log(counts.sum(0, keepdims=True)) - jnp.log(k)


def sgns_loss(scores: Float[AnyArray, "v v"], counts: Float[AnyArray, "v v"], k: float) -> Float[Array, ""]:
    """Skip-gram's loss over the whole text, `-sum X_ij log sig(s_ij) - k sum X_i X_j / D log sig(-s_ij)`.

    Args:
        scores: s_ij, one free number a pair.
        counts: X.
        k: negatives of each positive pair.
    """
    expected = k * jnp.outer(counts.sum(1), counts.sum(0)) / counts.sum()
    return -jnp.sum(counts * jax.nn.log_sigmoid(scores) + expected * jax.nn.log_sigmoid(-scores))


@partial(jax.jit, static_argnames=("k", "steps", "lr"))
def optimise_sgns(counts: Float[AnyArray, "v v"], k: float, steps: int, lr: float = 1.0) -> Float[Array, "v v"]:
    """Free scores that minimise `sgns_loss`, from zero, by AdaGrad."""
    tx = adagrad(lr)

    def step(carry, _):
        scores, state = carry
        move, state = tx.update(jax.grad(sgns_loss)(scores, counts, k), state)
        return (optax.apply_updates(scores, move), state), None

    scores = jnp.zeros_like(counts)
    return jax.lax.scan(step, (scores, tx.init(scores)), None, length=steps)[0][0]


def softmax_skipgram_loss(scores: Float[AnyArray, "v v"], counts: Float[AnyArray, "v v"]) -> Float[Array, ""]:
    """Skip-gram with a full softmax, `-sum X_ij log Q_ij`, row i of Q the softmax of the scores of word i."""
    return -jnp.sum(counts * jax.nn.log_softmax(scores, axis=1))


def weighted_cross_entropy(counts: Float[AnyArray, "v v"], scores: Float[AnyArray, "v v"]) -> Float[Array, ""]:
    """`sum_i X_i H(P_i, Q_i)`: cross entropy between what follows a word and what is predicted, weighted by its count.

    A word without occurrences weighs nothing.
    """
    total = counts.sum(1, keepdims=True)
    p = counts / jnp.where(total > 0, total, 1)
    return -jnp.sum(total[:, 0] * jnp.sum(p * jax.nn.log_softmax(scores, axis=1), axis=1))


def glove_target(counts: Float[AnyArray, "v v"]) -> Float[Array, "v v"]:
    """What GloVe's inner products fit where its biases are `log X_i` and `log X_j - log D`: PMI, by subtraction of logarithms."""
    rows, columns = jnp.log(counts.sum(1)), jnp.log(counts.sum(0)) - jnp.log(counts.sum())
    return jnp.log(counts) - rows[:, None] - columns[None]


def fit_softmax_skipgram(
    key: jax.Array, counts: Float[AnyArray, "v v"], dim: int, *, steps: int, lr: float = 0.5
) -> tuple[Float[np.ndarray, "v d"], Float[np.ndarray, " steps"]]:
    """Word vectors of Skip-gram with a full softmax over a small vocabulary, by full-batch AdaGrad.

    Args:
        key: for the start.
        counts: co-occurrences.
        dim: d.
        steps, lr: of the training.

    Returns:
        Vectors, and the loss per pair at every step.

    Raises:
        ValueError: for sizes below 1 or counts without a pair.
    """
    check_at_least("dim", dim)
    check_at_least("steps", steps)
    counts = jnp.asarray(counts)
    if not counts.sum() > 0:
        raise ValueError("counts sum to 0; at least one pair of words must occur")
    draw = generator(key)
    start = [(draw.uniform(-0.5, 0.5, (len(counts), dim)) / dim).astype(counts.dtype) for _ in range(2)]
    (embed, _), losses = _fit_softmax(start, counts / counts.sum(), steps, lr)
    return np.asarray(embed), np.asarray(losses)


@partial(jax.jit, static_argnames=("steps", "lr"))
def _fit_softmax(tables, shares, steps, lr):
    tx = adagrad(lr)

    def step(carry, _):
        tables, state = carry
        loss, gradient = jax.value_and_grad(lambda t: softmax_skipgram_loss(t[0] @ t[1].T, shares))(tables)
        move, state = tx.update(gradient, state)
        return (optax.apply_updates(tables, move), state), loss

    (tables, _), losses = jax.lax.scan(step, (tables, tx.init(tables)), None, length=steps)
    return tables, losses
