"""The one run that the empirical claims share: every network trained on the same images, and what its spaces are worth."""

from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from quire.common.claims import shared
from quire.conditional_cross_attention.config import Preset
from quire.conditional_cross_attention.evaluation import (
    condition_cosine,
    disentanglement,
    retrieval_map,
    space_probe,
    spaces_map,
    spaces_triplet_accuracy,
)
from quire.conditional_cross_attention.sources import AttributeData, open_attributes
from quire.conditional_cross_attention.training import Trained, builders, only, train
from quire.conditional_cross_attention.triplets import sample_triplets


class Scores(NamedTuple):
    """What the spaces of a network are worth on queries and candidates; arrays may have a leading axis of seeds.

    Attributes:
        average: mean average precision of every attribute.
        triplets: share of held-out triplets that are in order.
        probe: see `space_probe`.
        separation: see `disentanglement`.
        cosine: see `condition_cosine`.
    """

    average: Float[np.ndarray, "*seeds attributes"]
    triplets: Float[np.ndarray, "*seeds"]
    probe: Float[np.ndarray, "*seeds attributes attributes"]
    separation: Float[np.ndarray, "*seeds"]
    cosine: Float[np.ndarray, "*seeds attributes attributes"]


class Run(NamedTuple):
    """Results; arrays have a leading axis of seeds.

    Attributes:
        data, stand_in_for, attributes: names.
        scores: by network, and of raw pixels.
        separate: mean average precision of a network for each attribute, of the first seed; empty where none was trained.
        trained: networks by name.
    """

    data: str
    stand_in_for: str
    attributes: tuple[str, ...]
    scores: dict[str, Scores]
    separate: tuple[float, ...]
    trained: dict[str, Trained]


@shared
def run_all(preset: Preset, keys: jax.Array) -> Run:
    """Train and score everything, all seeds at once."""
    sources = [open_attributes(preset, jax.random.fold_in(key, 2)) for key in keys]
    sets = [source.value for source in sources]
    data, separate = sets[0], ()
    build = builders(preset, data.num_attributes)
    trained, scores = {}, {}
    for name in ("CCA", *(name for name in preset.rivals if name != "separate")):
        parts, runs = [each.train for each in sets], keys
        alone = name == "unconditioned" and "separate" in preset.rivals
        if alone:  # further runs of the same program, each told one attribute of the first seed's images
            parts += [only(data.train, a) for a in range(data.num_attributes)]
            runs = jax.numpy.concatenate([keys, jax.numpy.repeat(keys[:1], data.num_attributes)])
        found = train(build[name], parts, preset.training, runs)
        trained[name] = found.of(slice(len(keys)))
        embeddings = [_embed(each, found.of(i)) for i, each in enumerate(sets)]
        scores[name] = _scores(preset, sets, embeddings, keys, one_space=name == "unconditioned")
        if alone:
            separate = tuple(_own_map(data, found.of(len(keys) + a), a) for a in range(data.num_attributes))
    pixels = [_raw_pixels(each) for each in sets]
    scores["raw pixels"] = _scores(preset, sets, pixels, keys, one_space=True)
    return Run(data.name, sources[0].stand_in_for, data.attributes, scores, separate, trained)


Embeddings = tuple[Float[np.ndarray, "q attributes dim"], Float[np.ndarray, "c attributes dim"]]
"""Of queries and candidates."""


def _embed(data: AttributeData, trained: Trained) -> Embeddings:
    return trained.embed(data.queries.images), trained.embed(data.candidates.images)


def _raw_pixels(data: AttributeData) -> Embeddings:
    return raw_pixels(data.queries.images, data.num_attributes), raw_pixels(data.candidates.images, data.num_attributes)


def _scores(
    preset: Preset, sets: list[AttributeData], embeddings: list[Embeddings], keys: jax.Array, *, one_space: bool
) -> Scores:
    """Scores of every seed, stacked."""
    found = [
        _score(preset, data, *z, jax.random.fold_in(key, 3), one_space)
        for data, z, key in zip(sets, embeddings, keys, strict=True)
    ]
    return Scores(*(np.stack(part) for part in zip(*found, strict=True)))


def _score(preset, data, queries, candidates, key, one_space: bool) -> Scores:
    labels = data.queries.labels, data.candidates.labels
    triplets = sample_triplets(key, labels[0], preset.held_out_triplets)
    spaces = slice(1) if one_space else slice(None)
    probe = space_probe(queries[:, spaces], labels[0], candidates[:, spaces], labels[1], preset.neighbours)
    probe = np.repeat(probe, data.num_attributes // len(probe), axis=0)
    return Scores(
        spaces_map(queries, labels[0], candidates, labels[1]),
        np.array(spaces_triplet_accuracy(queries, triplets), float),
        probe,
        np.array(disentanglement(probe), float),
        condition_cosine(queries),
    )


def _own_map(data: AttributeData, trained: Trained, attribute: int) -> float:
    """Mean average precision of a network of an attribute of its own."""
    queries, candidates = _embed(data, trained)
    return retrieval_map(
        queries[:, attribute],
        data.queries.labels[:, attribute],
        candidates[:, attribute],
        data.candidates.labels[:, attribute],
    )


RAW_SIDE = 32
"""Larger images are averaged over squares until their side is at most about this, before their pixels are compared."""


def raw_pixels(images: Any, num_attributes: int, batch_size: int = 1000) -> Float[np.ndarray, "n attributes dim"]:
    """Pixels as the one embedding of all attributes: a baseline that learns nothing.

    >>> raw_pixels(np.ones((2, 4, 4, 3)), 5).shape
    (2, 5, 48)
    """
    parts = []
    for start in range(0, len(images), batch_size):
        part = np.asarray(images[np.arange(start, min(start + batch_size, len(images)))], np.float32)
        n, side, _, channels = part.shape
        square = next(s for s in range(max(1, side // RAW_SIDE), 0, -1) if side % s == 0)
        means = part.reshape(n, side // square, square, side // square, square, channels).mean((2, 4))
        parts.append(means.reshape(n, -1))
    flat = np.concatenate(parts)
    return np.broadcast_to(flat[:, None], (len(flat), num_attributes, flat.shape[-1]))
