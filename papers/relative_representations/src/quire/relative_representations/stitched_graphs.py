"""Graph networks on citations: stitching over seeds, and similarity to the best network as a proxy of accuracy."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from quire.common.claims import shared
from quire.common.layers.nested import unit_rows
from quire.common.train.recipe import Recipe
from quire.relative_representations.anchors import select_anchors
from quire.relative_representations.citations import Citations, open_citations
from quire.relative_representations.comparison import derangement
from quire.relative_representations.config import Preset
from quire.relative_representations.graph_networks import GCN, all_latents, glorot_gcn, train_gcns
from quire.relative_representations.projection import relative_projection
from quire.relative_representations.stitched_images import codes_of
from quire.relative_representations.stitching import LinearHead, fit_heads, stitching_matrix


@shared
def graph_runs(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """Networks, heads and stitching of every seed.

    Returns:
        Stitching matrices `relative` and `absolute` `[seeds, n, n]` of the fully trained networks of the first rate; of all
        networks and snapshots `[seeds, models, snapshots]`: accuracy on `validation` and `test`, and similarity of the test nodes
        to the best network by name (see `similarities`); `best` `[seeds, 2]`, its model and snapshot; `source`; `majority`.
    """
    source = open_citations(preset.graphs)
    citations = source.value
    config, seeds = citations.config, len(keys)
    sizes = citations.words.shape[1], config.hidden, config.latent, citations.num_classes
    own = jax.vmap(lambda key: jax.random.split(jax.random.fold_in(key, 4), len(config.rates)))(keys).reshape(-1)
    start = jax.tree.map(lambda *leaves: np.stack(leaves), *[glorot_gcn(key, sizes) for key in own])
    trained, _ = train_gcns(start, np.tile(np.array(config.rates, np.float32), seeds), citations)
    flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), trained)
    lead = seeds, len(config.rates), len(config.snapshots)
    latents = all_latents(flat, citations).reshape(*lead, len(citations.labels), -1)
    weights = jax.tree.map(lambda x: x.reshape(*lead, *x.shape[2:]), trained)
    drawn = [select_anchors(jax.random.fold_in(key, 5), z[0, -1], config.anchors) for z, key in zip(latents, keys, strict=True)]
    found = _accuracies(latents, weights, citations) | _stitched(latents, weights, drawn, citations, keys[0])
    rows = [
        similarities(key, *each, citations.test) for key, *each in zip(keys, latents, drawn, found["validation"], strict=True)
    ]
    found |= {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    return found | {"source": source, "majority": np.full(seeds, citations.majority)}


def _accuracies(latents: np.ndarray, weights: GCN, citations: Citations) -> dict[str, np.ndarray]:
    logits = np.maximum(latents, 0) @ weights.w + weights.b[..., None, :]
    right = logits.argmax(-1) == citations.labels
    return {"validation": right[..., citations.validation].mean(-1), "test": right[..., citations.test].mean(-1)}


def _stitched(latents, weights: GCN, drawn: list[np.ndarray], citations: Citations, key) -> dict[str, np.ndarray]:
    """Stitching matrices of the fully trained networks of the first rate, by relative codes and by their own heads."""
    config, labels = citations.config, citations.labels
    same = np.flatnonzero(np.equal(config.rates, config.rates[0]))
    z, lead = latents[:, same, -1], (len(latents), len(same))
    anchors = np.stack([each[:, ids] for each, ids in zip(z, drawn, strict=True)])
    codes = np.asarray(codes_of(z, anchors))
    training = Recipe(config.head_steps, len(citations.train), config.head_rate, schedule="constant", optimiser="adam")
    train = codes[:, :, citations.train].reshape(-1, len(citations.train), codes.shape[-1])
    heads = fit_heads(key, train, labels[citations.train], citations.num_classes, training)
    relative = LinearHead(*(x.reshape(*lead, *x.shape[1:]) for x in heads))
    absolute = LinearHead(*(np.asarray(x)[:, same, -1] for x in (weights.w, weights.b)))
    test = {"relative": codes[:, :, citations.test], "absolute": np.maximum(z[:, :, citations.test], 0)}
    return {
        name: np.stack(
            [
                stitching_matrix(x, [head.at((s, i)) for i in range(lead[1])], labels[citations.test])
                for s, x in enumerate(test[name])
            ]
        )
        for name, head in (("relative", relative), ("absolute", absolute))
    }


def similarities(
    key: jax.Array,
    latents: Float[np.ndarray, "models snapshots n dim"],
    anchors: np.ndarray,
    validation: np.ndarray,
    nodes: np.ndarray,
) -> dict[str, np.ndarray]:
    """Mean cosine of every network's codes with those of the best one by validation accuracy.

    Args:
        key: of the shuffle.
        latents: of all nodes.
        anchors: ids.
        validation: accuracy `[models, snapshots]`.
        nodes: ids of the nodes that are compared.

    Returns:
        `[models, snapshots]`: `centred` (the mean code of each network taken off), `raw`, and `shuffled`, the centred one for
        codes of different nodes; `best`, its model and snapshot.
    """
    flat, best = latents.reshape(-1, *latents.shape[2:]), int(validation.argmax())
    found = _against(flat[:, nodes], flat[:, anchors], best, derangement(key, len(nodes)))
    shape = latents.shape[:2]
    by_name = {name: np.asarray(x).reshape(shape) for name, x in zip(("centred", "raw", "shuffled"), found, strict=True)}
    return by_name | {"best": np.array(np.unravel_index(best, shape))}


@jax.jit
def _against(latents, anchors, best, shuffle):
    """Mean cosines of all codes with those of one network, network by network: so many codes would fill the memory."""

    def unit_codes(z, a):
        codes = relative_projection(z, a)
        return unit_rows(codes - codes.mean(0, keepdims=True)), unit_rows(codes)

    reference, raw_reference = unit_codes(latents[best], anchors[best])

    def of_network(pair):
        centred, raw = unit_codes(*pair)
        pairs = ((centred, reference), (raw, raw_reference), (centred, reference[shuffle]))
        return [jnp.mean(jnp.sum(a * b, axis=1)) for a, b in pairs]

    return jax.lax.map(of_network, (latents, anchors))
