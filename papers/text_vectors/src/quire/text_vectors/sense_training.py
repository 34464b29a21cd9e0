"""Both stages of disambiguated skip-gram and its rivals, on one text a seed, all seeds at once."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from quire.common.train.batches import epoch_indices
from quire.common.train.seeds import fit_seeds, fold_keys, stack
from quire.text_vectors.adagram import AdaGram
from quire.text_vectors.config import Senses
from quire.text_vectors.context_clustering import MSSG
from quire.text_vectors.disambiguated_skipgram import DisambiguatedSkipgram, DSGWeights, initial_weights, own_classifiers
from quire.text_vectors.sense_text import UNKNOWN, SenseText, offsets
from quire.text_vectors.senses import sense_probabilities


def window_data(texts: Sequence[SenseText], config: Senses, keys: Sequence[jax.Array], steps: int) -> Any:
    """What the loops read: tokens, places of every step, and temperatures that fall over the first third of the steps.

    Texts of different lengths are padded to the longest; no place lies in the padding.
    """
    length = max(len(text.tokens) for text in texts)
    temperature = np.linspace(1, config.last_temperature, max(2, steps // 3), dtype=np.float32)
    temperature = np.concatenate([temperature, np.full(steps, config.last_temperature, np.float32)])[:steps]
    of_seeds = []
    for text, key in zip(texts, keys, strict=True):
        rows = epoch_indices(key, len(text.places), config.batch_size, steps)
        tokens = np.pad(text.tokens, (0, length - len(text.tokens)))
        of_seeds.append((tokens, text.places[rows].astype(np.int32), temperature))
    return stack(of_seeds)


def fit_senses(texts: Sequence[SenseText], config: Senses, keys: jax.Array) -> DSGWeights:
    """Tables `[seeds, ...]`: the shared classifier without noise, then one a word with relaxed draws.

    Args:
        texts: one a seed, of one vocabulary size.
        config: sizes, steps, rates.
        keys: of the seeds.
    """
    batch_at = windows_at(config.window)

    def stage(weights, loss, rate, steps, number):
        models = iter(weights)  # built in the order of the keys
        graph, state, _ = fit_seeds(
            lambda rngs: DisambiguatedSkipgram(next(models), UNKNOWN),
            optax.adam(rate),
            loss,
            batch_at,
            window_data(texts, config, fold_keys(keys, number), steps),
            steps=steps,
            keys=keys,
        )
        return nnx.merge(graph, state).weights

    def pretraining(model, batch, key):
        return model.pretraining_loss(batch[0], batch[1], config.entropy_reward)

    def fine(model, batch, key):
        return model.loss(batch[0], batch[1], key, batch[2])

    first = [initial_weights(texts[0].vocab, config.dim, config.senses, key) for key in fold_keys(keys, 3)]
    shared = stage(first, pretraining, config.shared_rate, config.shared_steps, 4)
    own = [own_classifiers(jax.tree.map(lambda x, i=i: x[i], shared)) for i in range(len(keys))]
    return stage(own, fine, config.own_rate, config.own_steps, 5)


def windows_at(window: int):
    """`BatchAt`: words, contexts and the temperature of a step."""
    around = offsets(window)

    def batch_at(data, step):
        tokens, places, temperature = data
        return tokens[places[step]], tokens[places[step][:, None] + around[None]], temperature[step]

    return batch_at


def fit_clusters(texts: Sequence[SenseText], config: Senses, keys: jax.Array) -> list[np.ndarray]:
    """Senses of all occurrences by MSSG, with as many senses and steps as the second stage: one array a seed."""

    def build(text, rngs):
        return MSSG(text.vocab, config.dim, config.senses, UNKNOWN, rngs=rngs)

    return _rival_senses(texts, config, keys, build, lambda model, center, context: model.choose(center, context)[0])


def fit_adagram(texts: Sequence[SenseText], config: Senses, keys: jax.Array) -> list[np.ndarray]:
    """Senses of all occurrences by AdaGram, with as many senses at most and as many steps: one array a seed."""

    def build(text, rngs):
        word_counts = np.bincount(text.tokens[text.places], minlength=text.vocab)
        return AdaGram(word_counts, config.dim, config.senses, unknown=UNKNOWN, rngs=rngs)

    return _rival_senses(texts, config, keys, build, lambda model, *windows: model.posterior(*windows).argmax(1))


def _rival_senses(
    texts: Sequence[SenseText], config: Senses, keys: jax.Array, build: Callable, choose: Callable
) -> list[np.ndarray]:
    of_seeds = iter(texts)  # built in the order of the keys
    graph, state, _ = fit_seeds(
        lambda rngs: build(next(of_seeds), rngs),
        optax.adam(config.own_rate),
        lambda model, batch, key: model.loss(batch[0], batch[1]),
        windows_at(config.window),
        window_data(texts, config, fold_keys(keys, 6), config.own_steps),
        steps=config.own_steps,
        keys=keys,
    )
    chosen = jax.jit(lambda state, *windows: choose(nnx.merge(graph, state), *windows))
    return [
        np.asarray(chosen(jax.tree.map(lambda x, i=i: x[i], state), *map(jnp.asarray, text.windows(config.window))))
        for i, text in enumerate(texts)
    ]


def occurrence_probabilities(weights: DSGWeights, texts: Sequence[SenseText], config: Senses) -> list[np.ndarray]:
    """Noise-free sense probabilities of all occurrences, one array `[n, S]` a seed."""
    of_text = jax.jit(sense_probabilities)
    found = []
    for i, text in enumerate(texts):
        center, context = text.windows(config.window)
        found.append(np.asarray(of_text(jax.tree.map(lambda x, i=i: x[i], weights), jnp.asarray(center), jnp.asarray(context))))
    return found
