"""GloVe: word vectors whose inner products, with a bias for each word, are logarithms of co-occurrence counts."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Real
from scipy import sparse

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, check_ids, check_positive
from quire.common.random import generator
from quire.common.train.adagrad import delayed_adagrad
from quire.common.train.batches import epoch_indices

X_MAX, POWER, RATE = 100.0, 0.75, 0.05


class GloveReplayed(NamedTuple):
    """Rows `[2V, d + 1]`, words and then contexts, biases last; accumulated squares of steps; cost of the last epoch."""

    table: Float[AnyArray, "rows k"]
    squares: Float[AnyArray, "rows k"]
    cost: Float[AnyArray, ""]


def glove_weight(x: Float[AnyArray, "*n"], x_max: float = X_MAX, power: float = POWER) -> Float[Array, "*n"]:
    """f(x) = min(1, (x / x_max)^power).

    >>> print(glove_weight(jnp.array([100.0, 6.25, 200.0])))
    [1.    0.125 1.   ]
    """
    return jnp.minimum(1, (x / x_max) ** power)


def subsampled_keep(counts: Int[np.ndarray, " v"], rate: float = 1e-4) -> Float[np.ndarray, " v"]:
    """Factor of the authors' variant on the counts of a *first* word: `min(1, sqrt(r) + r)`, `r = rate * N / count`.

    Args:
        counts: of every word, N together; a word without occurrences keeps all.
        rate: frequency above which a word is thinned.

    Raises:
        ValueError: for a negative rate or count.
    """
    counts = np.asarray(counts)
    if not rate >= 0 or (counts < 0).any():
        raise ValueError(f"rate is {rate} and counts {counts}; neither can be negative")
    r = rate * counts.sum() / np.maximum(counts, 1)
    return np.minimum(1, np.sqrt(r) + r)


def _check_pairs(pairs, x, size: int) -> None:
    check_ids("pairs", pairs, size)
    if pairs.ndim != 2 or pairs.shape != (len(x), 2):
        raise ValueError(f"pairs has shape {pairs.shape} and x {x.shape}; they need [n, 2] and [n]")
    if not np.all(np.asarray(x) > 0) or not np.isfinite(x).all():
        raise ValueError(f"x runs from {np.min(x)} to {np.max(x)}; its logarithm needs positive counts")


def _gradients(first, second, x, x_max, power):
    """Gradients by both rows of a pair, and its cost: `f (w.u + b + c - log x)² / 2`."""
    difference = jnp.sum(first[..., :-1] * second[..., :-1], axis=-1) + first[..., -1] + second[..., -1] - jnp.log(x)
    weighted = glove_weight(x, x_max, power) * difference
    ones = jnp.ones_like(x)[..., None]
    sides = [weighted[..., None] * jnp.concatenate([row[..., :-1], ones], axis=-1) for row in (second, first)]
    return *sides, 0.5 * weighted * difference


def replay_glove(
    table: Float[AnyArray, "rows k"],
    pairs: Int[AnyArray, "n 2"],
    x: Float[AnyArray, " n"],
    epochs: int,
    *,
    lr: float = RATE,
    x_max: float = X_MAX,
    power: float = POWER,
) -> GloveReplayed:
    """Pair after pair in the given order, as glove.c goes: both gradients by the old rows, `w -= lr g / sqrt(a)`, `a += (lr g)²`.

    Args:
        table: at the start; V words and then V contexts.
        pairs: word and context.
        x: their counts, positive; multiply by `subsampled_keep` of the first word for the authors' variant.
        epochs: how often.
        lr: eta.
        x_max, power: of the weight f.

    Returns:
        The cost is the sum over the last epoch, each pair's before its update.

    Raises:
        ValueError: for ids out of range, counts that are not positive, or fewer than one epoch.
    """
    if len(table) % 2:
        raise ValueError(f"table has {len(table)} rows; it needs one of a word and one of a context for each word")
    _check_pairs(pairs, x, len(table) // 2)
    check_at_least("epochs", epochs)
    check_positive("lr", lr)
    return _replay_glove(jax.device_put(table), jax.device_put(pairs), jax.device_put(x), epochs, lr, x_max, power)


@partial(jax.jit, static_argnames=("epochs", "lr", "x_max", "power"))
def _replay_glove(table, pairs, x, epochs, lr, x_max, power):
    rows = pairs + jnp.array([[0, len(table) // 2]])

    def pair(state, inputs):
        table, squares = state
        where, value = inputs
        *gradients, cost = _gradients(table[where[0]], table[where[1]], value, x_max, power)
        steps = lr * jnp.stack(gradients)
        table = table.at[where].add(-steps * jax.lax.rsqrt(squares[where]))
        return (table, squares.at[where].add(jnp.square(steps))), cost

    def epoch(state, _):
        state, costs = jax.lax.scan(pair, state, (rows, x))
        return state, costs.sum()

    (table, squares), costs = jax.lax.scan(epoch, (table, jnp.ones_like(table)), None, length=epochs)
    return GloveReplayed(table, squares, costs[-1])


def init_glove(key: jax.Array, vocab_size: int, dim: int) -> Float[np.ndarray, "rows k"]:
    """Rows uniform in ±1/(2(d + 1)), float32."""
    draw = generator(key)
    return (draw.uniform(-0.5, 0.5, (2 * vocab_size, dim + 1)) / (dim + 1)).astype(np.float32)


def fit_glove(
    key: jax.Array,
    counts: sparse.sparray | Real[np.ndarray, "v v"],
    dim: int,
    *,
    steps: int,
    batch: int = 4096,
    lr: float = RATE,
    x_max: float = X_MAX,
    power: float = POWER,
) -> tuple[Float[np.ndarray, "v d"], Float[np.ndarray, " steps"]]:
    """Train on the counts that are not zero, shuffled, gradients summed over a batch.

    Args:
        key: for the start and the shuffles.
        counts: co-occurrences `[V, V]`.
        dim: d.
        steps, batch: of the training.
        lr, x_max, power: see `replay_glove`.

    Returns:
        Vectors w + u, float32, and the mean cost of every batch.

    Raises:
        ValueError: for counts without a positive entry, or sizes below 1.
    """
    check_at_least("dim", dim)
    entries = sparse.csr_array(counts).tocoo()
    pairs, x = np.stack(entries.coords, axis=1), entries.data.astype(np.float32)
    if not len(x):
        raise ValueError("counts holds no positive entry; at least one pair of words must occur")
    _check_pairs(pairs, x, entries.shape[0])
    order = epoch_indices(key, len(x), batch, steps)
    table, costs = _fit_glove(init_glove(key, entries.shape[0], dim), pairs[order].astype(np.int32), x[order], lr, x_max, power)
    words, contexts = np.split(np.asarray(table), 2)
    return (words + contexts)[:, :-1], np.asarray(costs)


@partial(jax.jit, static_argnames=("lr", "x_max", "power"))
def _fit_glove(table, pairs, x, lr, x_max, power):
    tx = delayed_adagrad(lr)
    half = len(table) // 2

    def step(carry, inputs):
        table, state = carry
        pairs, values = inputs
        first, second = pairs[:, 0], pairs[:, 1] + half
        along_first, along_second, cost = _gradients(table[first], table[second], values, x_max, power)
        gradient = jnp.zeros_like(table).at[first].add(along_first).at[second].add(along_second)
        move, state = tx.update(gradient, state)
        return (optax.apply_updates(table, move), state), cost.mean()

    (table, _), costs = jax.lax.scan(step, (table, tx.init(table)), (pairs, x))
    return table, costs
