"""Encoders of images, heads on their relative codes, and everything that is compared with them."""

from functools import partial
from itertools import combinations
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float

from quire.common.arrays import AnyArray
from quire.common.claims import shared
from quire.relative_representations.alignment import Alignment, align
from quire.relative_representations.anchors import select_anchors
from quire.relative_representations.comparison import code_cosine, derangement
from quire.relative_representations.config import Preset
from quire.relative_representations.image_encoders import trained_encoders
from quire.relative_representations.projection import relative_projection
from quire.relative_representations.sources import LabelledImages, open_images
from quire.relative_representations.stitching import LinearHead, accuracy, fit_heads, stitching_matrix

POLICIES = ("uniform", "farthest", "kmeans", "balanced")
ALIGNMENTS = ("orthogonal", "least squares")


@shared
def image_runs(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """Encoders, heads and stitching of every seed.

    Returns:
        `anchors` and `test`, latents `[seeds, encoders, n, dim]` of all anchors and of the test images; stitching matrices
        `[seeds, encoders, encoders]` by name: `"relative, 300"` and so on for every number of anchors, `"relative, kmeans"` and
        so on for every policy at the second number, `"absolute"` for latents and the heads that they were trained with,
        `"orthogonal"` and `"least squares"` for latents that were aligned on all anchors; `source`; `majority` `[seeds]`.
    """
    source = open_images(preset.images)
    images = source.value
    latents, heads = trained_encoders(images, keys)
    ids = [_anchor_ids(images, z, key) for z, key in zip(latents["train"][:, 0], keys, strict=True)]
    matrices = _relative(images, latents, ids, keys)
    anchors = np.stack([z[:, each["all"]] for z, each in zip(latents["train"], ids, strict=True)])
    labels = images.data.test.labels
    swapped = [(z, [head.at(i) for i in range(len(z))]) for z, head in _by_seed(latents["test"], heads)]
    matrices["absolute"] = np.stack([stitching_matrix(z, own, labels) for z, own in swapped])
    for kind in ALIGNMENTS:
        maps = jax.tree.map(np.asarray, _alignments(anchors, kind))
        matrices[kind] = np.stack([_aligned(*each, maps, seed, labels) for seed, each in enumerate(swapped)])
    found = {"anchors": anchors, "test": latents["test"], "source": source, "majority": np.full(len(keys), images.data.majority)}
    return found | matrices


def _by_seed(latents: np.ndarray, heads: LinearHead):
    return [(z, heads.at(seed)) for seed, z in enumerate(latents)]


def _anchor_ids(images: LabelledImages, latents: np.ndarray, key: jax.Array) -> dict[str, np.ndarray]:
    """By the first encoder's latents of the training images, the same ids for every encoder; uniform ones in drawn order."""
    _, some, most = images.config.anchor_counts
    key = jax.random.fold_in(key, 1)
    drawn = select_anchors(key, latents, most)
    labels = images.data.train.labels
    chosen = {policy: select_anchors(key, latents, some, policy, labels=labels) for policy in POLICIES[1:]}
    return chosen | {"all": np.random.default_rng(0).permutation(drawn)}


def _relative(images, latents, ids, keys) -> dict[str, np.ndarray]:
    """Stitching matrices by number of anchors, and by policy."""
    few, some, most = images.config.anchor_counts
    sets = {few: {f"relative, {few}": [each["all"][:few] for each in ids]}}
    sets[some] = {f"relative, {some}": [each["all"][:some] for each in ids]}
    sets[some] |= {f"relative, {policy}": [each[policy] for each in ids] for policy in POLICIES[1:]}
    sets[most] = {f"relative, {most}": [each["all"] for each in ids]}
    found = {}
    for of_one_size in sets.values():  # heads of one width train together
        found |= _stitched(images, latents, of_one_size, keys[0])
    return found


def _stitched(images: LabelledImages, latents, sets: dict[str, list[np.ndarray]], key) -> dict[str, np.ndarray]:
    anchors = np.stack([np.stack([z[:, i] for z, i in zip(latents["train"], ids, strict=True)]) for ids in sets.values()])
    lead = anchors.shape[:3]  # sets, seeds, encoders
    train, test = (
        np.asarray(codes_of(np.broadcast_to(latents[split], (*lead, *latents[split].shape[2:])), anchors))
        for split in ("train", "test")
    )
    data, training = images.data, images.config.head_training
    heads = fit_heads(key, train.reshape(-1, *train.shape[3:]), data.train.labels, data.num_classes, training)
    heads = LinearHead(*(x.reshape(*lead, *x.shape[1:]) for x in heads))
    return {
        name: np.stack(
            [
                stitching_matrix(test[s, t], [heads.at((s, t, i)) for i in range(lead[2])], data.test.labels)
                for t in range(lead[1])
            ]
        )
        for s, name in enumerate(sets)
    }


@jax.jit
def codes_of(latents: Float[AnyArray, "*models n dim"], anchors: Float[AnyArray, "*models m dim"]) -> Float[Array, "*models n m"]:
    """Relative codes as heads on frozen encoders read them: cosines, layer norm."""
    project = partial(relative_projection, normalize="layer")
    for _ in latents.shape[:-2]:
        project = jax.vmap(project)
    return project(latents, anchors)


@partial(jax.jit, static_argnames="kind")
def _alignments(anchors, kind):
    """Maps `[seeds, to, from]` between all encoders."""
    between = jax.vmap(lambda target, sources: jax.vmap(lambda z: align(z, target, kind))(sources), (0, None))
    return jax.vmap(lambda z: between(z, z))(anchors)


def _aligned(latents, heads, maps: Alignment, seed: int, labels) -> np.ndarray:
    """Stitching matrix of latents that are brought to the space of each head."""
    rows = []
    for i, head in enumerate(heads):
        moved = [Alignment(*(x[seed, i, j] for x in maps))(z) for j, z in enumerate(latents)]
        rows.append([accuracy(head(z), labels) for z in moved])
    return np.array(rows)


def paired_cosines(key: jax.Array, anchors: np.ndarray, latents: np.ndarray) -> dict[str, float]:
    """Mean cosines over all pairs of encoders, of the same sample and, `shuffled`, of different ones.

    Args:
        key: of the shuffle.
        anchors, latents: `[encoders, n, dim]`.

    Returns:
        `relative`, `centred` (the mean code of each encoder taken off) and `absolute` (latents), each also with `shuffled` in its
        name.
    """
    codes, shuffle, found = np.asarray(_cosines(latents, anchors)), derangement(key, latents.shape[1]), {}
    for name, spaces in (("relative", codes), ("centred", codes), ("absolute", latents)):
        for suffix, order in (("", slice(None)), (", shuffled", shuffle)):
            pairs = [_mean_cosine(a, b[order], centred=name == "centred") for a, b in combinations(spaces, 2)]
            found[name + suffix] = float(np.mean(pairs))
    return found


_cosines = jax.jit(jax.vmap(relative_projection))
_mean_cosine = jax.jit(code_cosine, static_argnames="centred")
