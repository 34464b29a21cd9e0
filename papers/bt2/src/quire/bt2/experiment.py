"""An upgrade from beginning to end: an old model, new ones of every kind, and what each finds in which gallery."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from quire.bt2.comparison import Embedded, Labels, Row, compat_table, cross_metrics, random_order
from quire.bt2.config import Backbone, Preset
from quire.bt2.models import BT2Model
from quire.bt2.post_hoc import least_squares_map, procrustes_map
from quire.bt2.sources import RetrievalImages, open_images
from quire.bt2.training import (
    Objective,
    Trained,
    Weights,
    classifier_vectors,
    objectives,
    targets,
    train_bt2,
    train_classifiers,
    train_old,
)
from quire.common.claims import shared
from quire.common.train.seeds import stack

Vectors = dict[str, np.ndarray]
"""Vectors `[seeds, n, dim]` of the images of every split: `train`, `gallery`, `queries`."""

SPLITS = ("train", "gallery", "queries")
BT2 = "BT²"


class Update(NamedTuple):
    """One update of a model.

    Attributes:
        classifiers: vectors of every kind of classifier.
        bt2: vectors of BT^2 for every scale.
        trained: BT^2 itself, `[scales x seeds]`.
    """

    classifiers: dict[str, Vectors]
    bt2: list[Vectors]
    trained: Trained


def bt2_embedding(model: BT2Model, images: jax.Array, weights: Weights) -> jax.Array:
    """phi_new of images."""
    return model(images, jnp.asarray(weights.scale)).embedding


def embed(trained: Trained, function: Any, images: RetrievalImages, seeds: int, one_by_one: bool) -> list[Vectors]:
    """Vectors of all images, by kind."""
    found = {split: trained.outputs(function, getattr(images, split).images, one_by_one) for split in SPLITS}
    by_kind = {split: x.reshape(-1, seeds, *x.shape[1:]) for split, x in found.items()}
    return [{split: x[i] for split, x in by_kind.items()} for i in range(len(by_kind["train"]))]


def old_vectors(preset: Preset, images: RetrievalImages, keys: jax.Array) -> Vectors:
    """Vectors of all images by the old model."""
    trained = train_old(preset, images.train, keys)
    return embed(trained, classifier_vectors, images, len(keys), preset.one_by_one)[0]


def update(
    preset: Preset,
    images: RetrievalImages,
    config: Backbone,
    old: Vectors,
    keys: jax.Array,
    kinds: Mapping[str, Objective],
    scales: Sequence[float] = (),
) -> Update:
    """Train the classifiers, then BT^2 against the old model and the independent classifier.

    Args:
        preset: sizes and recipe.
        images: data.
        config: of the new backbone.
        old: of the model that is updated; of any dimension that `check_sizes` accepts, so that updates can follow each other.
        keys: one per seed.
        kinds: classifiers, `independent` among them.
        scales: values of C; that of the preset for none.
    """
    train, seeds = images.train, len(keys)
    told = targets(old["train"], train.labels, images.num_classes)
    classifiers = train_classifiers(preset, train, config, stack(list(kinds.values())), told, keys)
    embedded = embed(classifiers, classifier_vectors, images, seeds, preset.one_by_one)
    by_name = {
        name: {split: x[..., : int(kind.mask.sum())] for split, x in vectors.items()}
        for (name, kind), vectors in zip(kinds.items(), embedded, strict=True)
    }
    trained = train_bt2(preset, train, config, told, by_name["independent"]["train"], keys, scales)
    return Update(by_name, embed(trained, bt2_embedding, images, seeds, preset.one_by_one), trained)


def run_upgrade(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """Train and compare everything.

    Returns:
        `table`: metrics `[seeds]` by model and column, `cross mAP` and `own top1`, say; `cross mAP, old classes` and `..., new
        classes` are for the queries of those classes. `vectors`: of the splits by model; `graph` and `state` of BT^2;
        `losses` of BT^2; `random`, see `random_order`; names of the data and of what they stand for.
    """
    source = open_images(preset)
    images, seeds = source.value, len(keys)
    old = old_vectors(preset, images, keys)
    scales = preset.scale, *preset.other_scales
    found = update(preset, images, preset.new_backbone, old, keys, objectives(preset), scales)
    names = BT2, *(f"C = {scale:g}" for scale in preset.other_scales)
    vectors = {"old": old, **found.classifiers, **dict(zip(names, found.bt2, strict=True))}
    rows = [
        metrics_of({name: {s: x[i] for s, x in v.items()} for name, v in vectors.items()}, images, preset) for i in range(seeds)
    ]
    return {
        "table": stack(rows),
        "vectors": vectors,
        "graph": found.trained.graph,
        "state": jax.tree.map(lambda x: x[:seeds], found.trained.state),
        "losses": found.trained.losses[:seeds],
        "random": np.full(seeds, random_order(images.labels)),
        "data": source.name,
        "stand_in_for": source.stand_in_for,
    }


def metrics_of(vectors: Mapping[str, Vectors], images: RetrievalImages, preset: Preset) -> dict[str, dict[str, float]]:
    """Metrics by model and column for one seed, post-hoc maps and raw pixels included."""
    models = {name: Embedded(x["queries"], x["gallery"]) for name, x in vectors.items()}
    old = vectors["old"]
    for name, (fit, new) in post_hoc_maps(vectors).items():
        mapped = fit(unit(new["train"]), unit(old["train"]))
        models[name] = Embedded(mapped(unit(new["queries"])), mapped(unit(new["gallery"])))
    labels = images.labels
    table = {name: _flat(row) for name, row in compat_table(models, labels).items()}
    known = labels.queries < preset.old_classes
    for name, model in models.items():
        for group, chosen in (("old classes", known), ("new classes", ~known)):
            part = cross_metrics(model.queries[chosen], labels.queries[chosen], old["gallery"], labels.gallery)
            table[name][f"cross mAP, {group}"] = part["mAP"]
    raw = [x.images.reshape(len(x), -1).astype(np.float32) for x in (images.queries, images.gallery)]
    own = cross_metrics(raw[0], labels.queries, raw[1], labels.gallery)
    return table | {"raw pixels": {f"own {metric}": x for metric, x in own.items()}}


def post_hoc_maps(vectors: Mapping[str, Vectors]) -> dict[str, tuple[Any, Vectors]]:
    """Maps to fit, and the independent vectors that they start from, by name. Only equal dimensions can be rotated."""
    starts = {"": "independent", ", unit": "independent, unit"}
    maps = {"least squares": least_squares_map, "Procrustes": procrustes_map}
    size = vectors["old"]["train"].shape[-1]
    return {
        map_name + suffix: (fit, vectors[start])
        for suffix, start in starts.items()
        for map_name, fit in maps.items()
        if start in vectors and (fit is least_squares_map or vectors[start]["train"].shape[-1] == size)
    }


def unit(x: np.ndarray) -> np.ndarray:
    """Rows of length 1, by which vectors are compared; zeros stay."""
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)


def _flat(row: Row) -> dict[str, float]:
    return {f"{column} {metric}": x for column in row._fields for metric, x in getattr(row, column).items()}


@shared
def upgrade_runs(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """`run_upgrade` of a preset, shared by the claims."""
    return run_upgrade(preset, keys)


def run_chain(preset: Preset, key: jax.Array) -> tuple[list[str], np.ndarray]:
    """Updates in a row: the old model, BT^2 against it, and BT^2 with the next backbone against that.

    Nothing is embedded anew: every gallery stays as it was made.

    Returns:
        Names, and mAP `[model of the queries, model of the gallery]`.
    """
    images = open_images(preset).value
    keys = jax.numpy.stack([key])
    first = {name: {s: x[None] for s, x in v.items()} for name, v in upgrade_runs(preset, key)["vectors"].items()}
    alone = {"independent": objectives(preset)["independent"]}
    second = update(preset, images, preset.next_backbone, first[BT2], keys, alone)
    chain = {"old": first["old"], "update 1": first[BT2], "update 2": second.bt2[0]}
    labels: Labels = images.labels
    scores = [
        [cross_metrics(q["queries"][0], labels.queries, g["gallery"][0], labels.gallery)["mAP"] for g in chain.values()]
        for q in chain.values()
    ]
    return list(chain), np.array(scores)
