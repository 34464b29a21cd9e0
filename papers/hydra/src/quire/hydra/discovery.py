"""Sub-spaces for many pairs at once: on frozen embeddings of images, and where they have been planted."""

from functools import partial
from typing import Any

import jax
import numpy as np

from quire.common.claims import shared
from quire.common.random import generator
from quire.hydra.config import Preset, Subspaces
from quire.hydra.evaluation import Encoded
from quire.hydra.subspaces import Planted, auc, learn_gate, planted_mixture, separation
from quire.hydra.training import sweep_runs


def drawn_pairs(num_classes: int, count: int, draw: np.random.Generator) -> list[tuple[int, int]]:
    """Random pairs of different classes, each once.

    Raises:
        ValueError: if there are not so many.

    >>> drawn_pairs(3, 2, np.random.default_rng(0))
    [(0, 2), (1, 2)]
    """
    first, second = np.triu_indices(num_classes, 1)
    if not 1 <= count <= len(first):
        raise ValueError(f"count is {count}; {num_classes} classes make {len(first)} pairs")
    return [(int(first[k]), int(second[k])) for k in draw.choice(len(first), count, replace=False)]


def samples(
    x: np.ndarray, labels: np.ndarray, pair: tuple[int, int], config: Subspaces, draw: np.random.Generator
) -> tuple[np.ndarray, ...]:
    """Samples of the first class, of the second, and of all others.

    Raises:
        ValueError: if there are too few.
    """
    groups = [labels == c for c in pair] + [~np.isin(labels, pair)]
    sizes = config.per_class, config.per_class, config.others
    for group, size in zip(groups, sizes, strict=True):
        if group.sum() < size:
            raise ValueError(f"there are {group.sum()} samples where {size} are wanted, for the pair {pair}")
    return tuple(x[draw.choice(np.flatnonzero(g), size, replace=False)] for g, size in zip(groups, sizes, strict=True))


def discover(embedded: tuple[Encoded, Encoded], config: Subspaces, key: jax.Array) -> dict[str, np.ndarray]:
    """Gates for random pairs on embeddings of training images, judged on those of test images.

    Returns:
        `pairs` `[pairs, 2]`, `gates` `[pairs, dim]`; AUCs `[pairs]` of `gated` cosines, of `ungated` ones, and of those behind
        the gate with its coordinates `permuted`.
    """
    train, test = embedded
    draw = generator(jax.random.fold_in(key, 5))
    pairs = drawn_pairs(int(train.labels.max()) + 1, config.pairs, draw)
    gates = _learned([samples(train.z, train.labels, pair, config, draw) for pair in pairs], config)
    kinds = {"gated": gates, "ungated": np.ones_like(gates), "permuted": draw.permuted(gates, axis=1)}
    scores = {
        kind: np.array([separation(test.z, test.labels, pair, gate) for pair, gate in zip(pairs, each, strict=True)])
        for kind, each in kinds.items()
    }
    return scores | {"pairs": np.array(pairs), "gates": gates}


def rediscover(config: Subspaces, key: jax.Array) -> dict[str, np.ndarray]:
    """The same on planted mixtures.

    Returns:
        `planted` `[pairs]`, AUC of the gate between coordinates that a pair shares and all others; `planted gates` and
        `planted shared` `[pairs, dim]`.
    """
    draw = generator(jax.random.fold_in(key, 6))
    rest = -(-config.others // (config.planted_classes - 2))
    data: Planted = planted_mixture(draw, config.planted_classes, config.planted_dim, max(config.per_class, rest))
    pairs = drawn_pairs(config.planted_classes, config.planted_pairs, draw)
    gates = _learned([samples(data.x, data.labels, pair, config, draw) for pair in pairs], config)
    both = np.stack([data.attributes[a] & data.attributes[b] for a, b in pairs])
    found = np.array([auc(gate[shared], gate[~shared]) for gate, shared in zip(gates, both, strict=True)])
    return {"planted": found, "planted gates": gates, "planted shared": both}


def _learned(groups: list[tuple[np.ndarray, ...]], config: Subspaces) -> np.ndarray:
    stacked = (np.stack(part) for part in zip(*groups, strict=True))
    return np.asarray(_gates(*stacked, config.steps, config.learning_rate, config.temperature))


@partial(jax.jit, static_argnums=(3, 4, 5))
def _gates(first, second, others, steps, learning_rate, temperature):
    options = {"steps": steps, "learning_rate": learning_rate, "temperature": temperature}
    return jax.vmap(lambda *groups: learn_gate(*groups, **options)[0])(first, second, others)


@shared
def discoveries(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """`discover` on embeddings of the plain supervised contrastive network, and `rediscover`, for every seed."""
    found = []
    for key in keys:
        run = sweep_runs(preset, key)
        config = run["subspaces"]
        found.append(discover(run["embedded"], config, key) | rediscover(config, key))
    return {name: np.stack([one[name] for one in found]) for name in found[0]}
