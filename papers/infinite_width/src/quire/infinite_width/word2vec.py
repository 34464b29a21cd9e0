"""Word2Vec (CBOW with negative sampling), of any width and in the infinite-width limit.

`syn0` embeds words, `syn1` reads out. A finite network of width n starts with `syn0` uniform of variance 1/n and `syn1 = 0`. Only
inner products of rows matter, so the limit is the same algorithm started from `syn0 = I`, `syn1 = 0`, with the vocabulary as
width. The kernel limit keeps `syn0` at that start: no embedding is learned.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, floating, is_concrete
from quire.common.mup.mlp import check_rate
from quire.common.random import generator
from quire.common.text.windows import Events

OFFSET = 1e-10
"""Added to probabilities before the logarithm, as the authors do."""


class Embeddings(NamedTuple):
    """Word vectors `syn0` and readout `syn1`, both `[V, n]`."""

    syn0: Float[Array, "v n"]
    syn1: Float[Array, "v n"]


def initial_embeddings(vocabulary: int, width: int | None, key: jax.Array | None = None) -> Embeddings:
    """Start of a network of the given width; `width=None` is the infinite-width limit, which is deterministic.

    Finite ones are drawn on the host.

    Raises:
        ValueError: if the vocabulary or the width is below 1, or the width finite without a key.
    """
    check_at_least("vocabulary", vocabulary)
    if width is None:
        return Embeddings(jnp.asarray(np.eye(vocabulary), float), jnp.asarray(np.zeros((vocabulary, vocabulary)), float))
    if width < 1 or key is None:
        raise ValueError(f"width is {width} and key {key}; a finite network needs a width of at least 1 and a key")
    bound = (3 / width) ** 0.5
    syn0 = generator(key).uniform(-bound, bound, (vocabulary, width))
    return Embeddings(jnp.asarray(syn0, float), jnp.asarray(np.zeros((vocabulary, width)), float))


def _present(ids: Int[Array, "*ids"], size: int, name: str) -> Array:
    """Which ids are words; V and, where JAX traces them, all others that are none are absent.

    Raises:
        ValueError: if an id is negative or above V.
    """
    if is_concrete(ids) and ids.size:
        numbers = np.asarray(ids)  # by NumPy: inside `jit`, JAX traces known arrays too
        lowest, highest = int(numbers.min()), int(numbers.max())
        if lowest < 0 or highest > size:
            raise ValueError(f"{name} runs from {lowest} to {highest}; words are 0 to {size - 1}, an absent one is {size}")
    return (ids >= 0) & (ids < size)


def cbow_event(
    model: Embeddings,
    context: Int[Array, " c"],
    targets: Int[Array, " t"],
    learning_rate: float | Float[Array, ""],
    weight_decay: float = 0.0,
) -> tuple[Embeddings, Float[Array, ""]]:
    """One event exactly as word2vec.c treats it: pair after pair, each seeing the updates of those before.

    Args:
        model: embeddings.
        context: word indices, V for an absent one; a repeated word is updated repeatedly.
        targets: the centre word, then negatives, V for an absent one.
        learning_rate: of the event.
        weight_decay: of the visited rows.

    Returns:
        New embeddings and the loss, each term taken just before its update. An event without context has a hidden vector of 0.

    Raises:
        ValueError: if an id is no word and not V, or the learning rate is negative.
    """
    check_rate("learning_rate", learning_rate)
    size = len(model.syn0)
    inside, presence = _present(context, size, "context"), _present(targets, size, "targets")
    context = jnp.where(inside, context, size)
    rows = model.syn0.at[context].get(mode="fill", fill_value=0)
    words = jnp.maximum(jnp.sum(inside), 1)
    hidden = rows.sum(0) / words
    decay = 1 - learning_rate * weight_decay

    def pair(carry, of_target):
        syn1, error = carry
        target, label, present = of_target
        row = syn1.at[target].get(mode="fill", fill_value=0)
        p = jax.nn.sigmoid(row @ hidden)
        g = jnp.where(present, learning_rate * (label - p), 0)
        term = jnp.where(present, -jnp.log(jnp.where(label > 0, p, 1 - p) + OFFSET), 0)
        return (syn1.at[target].set(row * decay + g * hidden, mode="drop"), error + g * row), term

    labels = (jnp.arange(len(targets)) == 0).astype(hidden.dtype)
    (syn1, error), terms = jax.lax.scan(
        pair, (model.syn1, jnp.zeros_like(hidden)), (jnp.where(presence, targets, size), labels, presence)
    )

    def visit(syn0, word):
        row = syn0.at[word].get(mode="fill", fill_value=0)
        return syn0.at[word].set(row * decay + error / words, mode="drop"), None

    syn0, _ = jax.lax.scan(visit, model.syn0, context)
    return Embeddings(syn0, syn1), terms.sum()


def _checked(events: Events, size: int) -> tuple[Events, Float[Array, "b c"]]:
    """Events whose absent words are all V, and the weight of each context word in the mean; 0 where there is no context."""
    if events.context.shape[:-1] != events.targets.shape[:-1] or not events.targets.shape[-1]:
        shapes = f"{events.context.shape} and targets {events.targets.shape}"
        raise ValueError(f"context has shape {shapes}; they need as many events, and at least one target each")
    inside, present = _present(events.context, size, "context"), _present(events.targets, size, "targets")
    share = inside / jnp.maximum(jnp.sum(inside, -1, keepdims=True), 1)
    return Events(jnp.where(inside, events.context, size), jnp.where(present, events.targets, size)), share


def _forward(model: Embeddings, events: Events, share: Float[Array, "b c"]):
    """Rows of context words, mean context, target rows and logits, for a batch of events."""
    rows = model.syn0.at[events.context].get(mode="fill", fill_value=0)
    hidden = jnp.einsum("bc,bcn->bn", share.astype(rows.dtype), rows)
    readout = model.syn1.at[events.targets].get(mode="fill", fill_value=0)
    return rows, hidden, readout, jnp.einsum("btn,bn->bt", readout, hidden)


def _losses(logits: Float[Array, "b t"], targets: Int[Array, "b t"], size: int) -> tuple[Array, Array]:
    """Loss of every event, and `(label - p)` of every pair, 0 for absent ones."""
    labels = (jnp.arange(logits.shape[1]) == 0)[None, :]
    present = targets < size
    terms = jnp.where(present, jax.nn.softplus(jnp.where(labels, -logits, logits)), 0)
    return terms.sum(-1), jnp.where(present, labels - jax.nn.sigmoid(logits), 0)


def cbow_step(
    model: Embeddings, events: Events, learning_rate: float | Float[Array, ""], weight_decay: float = 0.0
) -> tuple[Embeddings, Float[Array, ""]]:
    """A batch of events at once: the updates of all, computed from the same embeddings, summed.

    Returns:
        New embeddings and the mean loss before the update.

    Raises:
        ValueError: as for `cbow_event`.
    """
    check_rate("learning_rate", learning_rate)
    events, share = _checked(events, len(model.syn0))
    rows, hidden, readout, logits = _forward(model, events, share)
    losses, residual = _losses(logits, events.targets, len(model.syn0))
    error = jnp.einsum("bt,btn->bn", residual, readout)
    change1, change0 = residual[..., None] * hidden[:, None], share.astype(error.dtype)[..., None] * error[:, None]
    if weight_decay:  # wide rows are not read again for a decay of zero
        change1, change0 = change1 - weight_decay * readout, change0 - weight_decay * rows
    return Embeddings(
        model.syn0.at[events.context].add(learning_rate * change0, mode="drop"),
        model.syn1.at[events.targets].add(learning_rate * change1, mode="drop"),
    ), losses.mean()


EventsAt = Callable[[Array], Events]
"""`step -> events [batch, ...]`, traced."""


def _rate(start: float | Array, step: Array, steps: int) -> Array:
    """Learning rate of a step: linear from `start`, never below 1e-4 of it."""
    return start * jnp.maximum(1 - step / steps, 1e-4)


def train_cbow(
    model: Embeddings,
    events_at: EventsAt,
    learning_rate: float | Float[Array, ""],
    *,
    steps: int,
    weight_decay: float = 0.0,
) -> tuple[Embeddings, Float[Array, " steps"]]:
    """`cbow_step` after `cbow_step`, the learning rate decaying linearly; returns the loss of every batch as well.

    Raises:
        ValueError: if there is no step, or the learning rate is negative.
    """
    check_at_least("steps", steps)
    check_rate("learning_rate", learning_rate)

    def step(model, number):
        return cbow_step(model, events_at(number), _rate(learning_rate, number, steps), weight_decay)

    return jax.lax.scan(step, model, jnp.arange(steps))


def _kernel_logits(syn1: Float[Array, "v v"], events: Events, share: Float[Array, "b c"]) -> tuple[Float[Array, "b t"], tuple]:
    """With one-hot word vectors `syn1[t] . h` is a mean of entries `syn1[t, context]`; those entries' places as well."""
    place = events.targets[:, :, None], events.context[:, None, :]
    return jnp.sum(syn1.at[place].get(mode="fill", fill_value=0) * share[:, None, :], -1), place


def train_kernel(
    vocabulary: int, events_at: EventsAt, learning_rate: float | Float[Array, ""], *, steps: int
) -> tuple[Embeddings, Float[Array, " steps"]]:
    """The kernel limit: `syn0 = I` stays, only `syn1` is trained; a step touches one entry a pair of words.

    Raises:
        ValueError: as for `train_cbow`.
    """
    check_at_least("steps", steps)
    check_rate("learning_rate", learning_rate)

    def step(table, number):
        events, share = _checked(events_at(number), vocabulary)
        share = share.astype(table.dtype)
        logits, place = _kernel_logits(table, events, share)
        losses, residual = _losses(logits, events.targets, vocabulary)
        change = _rate(learning_rate, number, steps) * residual[..., None] * share[:, None, :]
        return table.at[place].add(change, mode="drop"), losses.mean()

    start = initial_embeddings(vocabulary, None)
    syn1, losses = jax.lax.scan(step, start.syn1, jnp.arange(steps))
    return Embeddings(start.syn0, syn1), losses


def held_out_loss(model: Embeddings, events: Events, batch: int = 512) -> Float[Array, ""]:
    """Mean loss of events `[events, ...]`, which are scored `batch` at a time.

    Raises:
        ValueError: if there is no event, an id is no word and not V, or the batch is below 1.
    """
    size = len(model.syn0)
    check_at_least("number of events", len(events.context))
    check_at_least("batch", batch)
    events, share = _checked(events, size)

    def loss(event: Events, share: Array):
        one = jax.tree.map(lambda x: x[None], (event, share))
        return _losses(_forward(model, *one)[-1], one[0].targets, size)[0][0]

    return jax.lax.map(lambda event: loss(*event), (events, share), batch_size=batch).mean()


def kernel_held_out_loss(syn1: Float[Array, "v v"], events: Events) -> Float[Array, ""]:
    """`held_out_loss` of the kernel limit, from the entries of its readout that the events touch.

    Raises:
        ValueError: as for `held_out_loss`.
    """
    check_at_least("number of events", len(events.context))
    events, share = _checked(events, len(syn1))
    return _losses(_kernel_logits(syn1, events, share.astype(syn1.dtype))[0], events.targets, len(syn1))[0].mean()


def frequency_loss(counts: Array, events: Events, power: float = 0.75) -> Float[Array, ""]:
    """Loss of the best predictor that ignores the context: the log odds of a word's frequency as target and as negative.

    Raises:
        ValueError: for a word without occurrences, no event, or an id that is no word and not V.
    """
    if is_concrete(counts) and not (np.asarray(counts) > 0).all():
        raise ValueError(f"counts run down to {np.asarray(counts).min()}; every word must occur")
    check_at_least("number of events", len(events.context))
    events, _ = _checked(events, len(counts))
    (counts,) = floating(counts)
    size, negatives = len(counts), events.targets.shape[-1] - 1
    target, negative = counts / counts.sum(), counts**power / (counts**power).sum()
    odds = jnp.log(target) - jnp.log(negatives * negative * (1 - target))
    return _losses(odds.at[events.targets].get(mode="fill", fill_value=0), events.targets, size)[0].mean()


def gram(syn0: Float[AnyArray, "v n"]) -> Float[AnyArray, "v v"]:
    """Inner products of word vectors: all that is left of them in the limit."""
    return syn0 @ syn0.T
