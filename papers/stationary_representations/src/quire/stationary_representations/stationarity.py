"""Networks that were trained apart, on the fixed simplex or with classifiers of their own: do their features agree?"""

from collections.abc import Callable
from itertools import permutations
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Integer

from quire.common.claims import shared
from quire.common.data.images import ImageData
from quire.common.random import generator
from quire.common.train.batches import epoch_indices
from quire.common.train.seeds import fold_keys
from quire.stationary_representations.compatibility import Inequalities, inequalities, search_accuracy
from quire.stationary_representations.config import Preset, Stationarity
from quire.stationary_representations.network import switchable_network
from quire.stationary_representations.simplex import slot
from quire.stationary_representations.sources import open_images
from quire.stationary_representations.training import Networks, Pool, Role

KINDS = ("fixed", "learnable")


def train_apart(config: Stationarity, data: ImageData, keys: jax.Array) -> dict[str, Float[np.ndarray, "networks n dim"]]:
    """Features of the test images by networks of either kind, one per key.

    Networks of one key start alike and see the same batches; those of different keys share nothing but the classifier, and that
    only where it is fixed.

    Args:
        config: sizes.
        data: images.
        keys: one per network.

    Returns:
        By kind, `"fixed"` and `"learnable"`.
    """
    sizes, recipe, count = config.architecture, config.training, len(keys)
    pixels = data.train.images.astype(np.float32)
    mean, std = float(pixels.mean()), float(pixels.std())
    networks = Networks(
        lambda rngs: switchable_network(sizes, mean, std, rngs=rngs), recipe, tied=False, one_by_one=config.one_by_one
    )
    weights = networks.start(list(keys), copies=len(KINDS))
    indices = [epoch_indices(key, len(data.train), recipe.batch_size, recipe.steps) for key in fold_keys(keys, 1)]
    every_slot = np.ones((2 * count, sizes.num_slots), bool)
    fixed, terms = np.array([1, 0], np.float32), np.array([1, 0, 0, 0], np.float32)
    roles = Role(np.repeat(fixed, count), np.tile(terms, (2 * count, 1)), every_slot, ~every_slot)
    pool = Pool(jnp.asarray(data.train.images), jnp.asarray(slot(data.train.labels, sizes.num_slots)))
    weights, _ = networks.train(weights, weights, roles, pool, np.stack(indices * len(KINDS)))
    features = networks.features(weights, data.test.images)
    return dict(zip(KINDS, features.reshape(len(KINDS), count, *features.shape[1:]), strict=True))


def class_directions(features: Float[np.ndarray, "n dim"], labels: Integer[np.ndarray, " n"]) -> Float[np.ndarray, "classes dim"]:
    """Unit vectors to the mean of every class's normalised features, classes ascending.

    >>> class_directions(np.array([[2.0, 0.0], [0.0, 1.0], [0.0, 5.0]]), np.array([4, 1, 1])).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    means = np.stack([unit[labels == label].mean(0) for label in np.unique(labels)])
    return means / np.linalg.norm(means, axis=1, keepdims=True)


def pairs_apart(
    config: Stationarity,
    features: Float[np.ndarray, "networks n dim"],
    labels: Integer[np.ndarray, " n"],
    draw: np.random.Generator,
) -> dict[str, np.ndarray]:
    """What every network has in common with the others, a mean over them.

    The first half of the images are the gallery, the second the queries.

    Args:
        config: numbers of queries and of gallery images for the inequalities.
        features, labels: of the same images by all networks.
        draw: random numbers, for a rotation.

    Returns:
        `[networks]` each: `cosine` of the means of a class, `|cosine|` (its magnitude pair by pair), `other class` (the cosine of
        the means of two classes), `search` in the galleries of the others and `own` in its own, `same` and `different` and
        `smaller` shares of the inequalities, `rotated` the smaller share once the network's features are turned at random; and
        `table` `[networks, classes, classes]`, cosines with the next network's class means.
    """
    half, count = len(labels) // 2, len(features)
    directions = np.stack([class_directions(x, labels) for x in features])
    tables = np.einsum("acd,bed->abce", directions, directions)
    on, off = np.eye(tables.shape[-1], dtype=bool), ~np.eye(tables.shape[-1], dtype=bool)
    turn = np.linalg.qr(draw.standard_normal((features.shape[-1],) * 2))[0]

    def searched(a: int, b: int) -> float:
        return search_accuracy(features[b][:half], labels[:half], features[a][half:], labels[half:])

    queries, gallery = slice(half, half + config.queries), slice(0, config.gallery)

    def compared(new: np.ndarray, old: np.ndarray) -> Inequalities:
        return inequalities(new[queries], old[queries], old[gallery], labels[queries], labels[gallery])

    shares = {(a, b): compared(features[a], features[b]) for a, b in permutations(range(count), 2)}
    over = _mean_over_others(count)
    return {
        "cosine": over(lambda a, b: tables[a, b][on].mean()),
        "|cosine|": over(lambda a, b: abs(tables[a, b][on].mean())),
        "other class": over(lambda a, b: tables[a, b][off].mean()),
        "search": over(searched),
        "own": np.array([searched(a, a) for a in range(count)]),
        "same": over(lambda a, b: shares[a, b].same),
        "different": over(lambda a, b: shares[a, b].different),
        "smaller": over(lambda a, b: shares[a, b].smaller),
        "rotated": over(lambda a, b: compared(features[a] @ turn, features[b]).smaller),
        "table": np.stack([tables[a, (a + 1) % count] for a in range(count)]),
    }


def _mean_over_others(count: int) -> Callable[[Callable[[int, int], float]], np.ndarray]:
    def over(of_pair: Callable[[int, int], float]) -> np.ndarray:
        return np.array([np.mean([of_pair(a, b) for b in range(count) if b != a]) for a in range(count)])

    return over


@shared
def networks_apart(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """`pairs_apart` by kind, for one network per seed; with few seeds, further ones make up the number of the preset."""
    source = open_images(preset.stationarity)
    config, data = source.value.config, source.value.data
    extra = [jax.random.fold_in(keys[0], 1000 + i) for i in range(config.networks - len(keys))]
    features = train_apart(config, data, jnp.stack([*keys, *extra]))
    draw = generator(jax.random.fold_in(keys[0], 999))
    pairs = {kind: pairs_apart(config, x, data.test.labels, draw) for kind, x in features.items()}
    return {
        "pairs": {kind: {name: values[: len(keys)] for name, values in of.items()} for kind, of in pairs.items()},
        "chance": np.full(len(keys), 1 / data.num_classes),
        "data": f"{data.name}; {len(keys) + len(extra)} networks of each kind",
        "stand_in_for": source.stand_in_for,
    }
