"""The study that C3 and C4 share: all settings are trained on the same images, then judged by linear probes."""

from typing import Any

import jax
import numpy as np
from flax import nnx

from quire.common.claims import shared
from quire.common.data.images import ImageData, pixels
from quire.common.metrics.probe import ridge_probe
from quire.random_field_augmentations.config import SETTINGS, STRENGTHS, Preset, of_strength
from quire.random_field_augmentations.simclr import SimCLR, Trained, train
from quire.random_field_augmentations.sources import open_images, open_other

FEATURE_BATCH = 1000


def features_of(graph: nnx.GraphDef, states: Any, images: np.ndarray) -> np.ndarray:
    """Features `[seeds, n, dim]` of bytes `[n, h, w, 3]`, in batches; statistics of norms are those of the training."""
    groups = -(-len(images) // FEATURE_BATCH)
    padded = np.concatenate([images, images[:1].repeat(groups * FEATURE_BATCH - len(images), 0)])
    parts = padded.reshape(groups, FEATURE_BATCH, *images.shape[1:])
    return np.concatenate([np.asarray(_features(graph, states, part)) for part in parts], 1)[:, : len(images)]


def _eval_features(model: SimCLR, images: jax.Array) -> jax.Array:
    model.eval()
    return model.features(pixels(images))


_features = jax.jit(
    lambda graph, states, images: jax.vmap(lambda state: _eval_features(nnx.merge(graph, state), images))(states),
    static_argnums=0,
)


def probe_accuracy(graph: nnx.GraphDef, states: Any, data: ImageData) -> np.ndarray:
    """Accuracy `[seeds]` of a linear probe on the features."""
    train_features, test_features = (features_of(graph, states, split.images) for split in (data.train, data.test))
    found = [ridge_probe(a, data.train.labels, b) for a, b in zip(train_features, test_features, strict=True)]
    return np.array([(predicted == data.test.labels).mean() for predicted in found])


def pixel_accuracy(data: ImageData) -> float:
    """The same probe on the pixels themselves, its penalty larger by as much as they are many; the best of three."""
    flat = [split.images.reshape(len(split), -1) / 255 for split in (data.train, data.test)]
    found = [ridge_probe(flat[0], data.train.labels, flat[1], ridge=ridge) for ridge in (0.01, 0.1, 1.0)]
    return max(float((predicted == data.test.labels).mean()) for predicted in found)


def train_settings(preset: Preset, images: np.ndarray, keys: jax.Array) -> Trained:
    """Every setting, some at a time."""
    found: list[Trained] = []
    names = list(SETTINGS)
    for start in range(0, len(names), preset.at_once):
        settings = {name: SETTINGS[name] for name in names[start : start + preset.at_once]}
        options = {"views": preset.views, "temperature": preset.temperature}
        found.append(train(preset.network.build, images, settings, preset.recipe, keys, **options))
    merged = ({name: value for part in found for name, value in part[i].items()} for i in (1, 2))
    return Trained(found[0].graph, *merged)


@shared
def contrastive_study(preset: Preset, keys: jax.Array) -> dict:
    """Accuracies by setting, `[seeds]`, on images like those that were learned from and on others; gains over the baseline."""
    images, other = open_images(preset), open_other(preset)
    trained = train_settings(preset, images.value.train.images, keys)
    scores = {
        kind: {name: probe_accuracy(trained.graph, state, source.value) for name, state in trained.states.items()}
        for kind, source in (("images", images), ("other", other))
    }
    return {
        "accuracy": scores["images"],
        "other": scores["other"],
        "gains": {kind: {name: gain(found, name) for name in found if name != "baseline"} for kind, found in scores.items()},
        "best strength": max(map(of_strength, STRENGTHS[:-1]), key=lambda name: scores["images"][name].mean()),
        "losses": {name: losses[:, -20:].mean(1) for name, losses in trained.losses.items()},
        "pixels": pixel_accuracy(images.value),
        "other pixels": pixel_accuracy(other.value),
        "fields": images.fields(),
        "other fields": other.fields(),
    }


def gain(accuracy: dict[str, np.ndarray], name: str, over: str = "baseline") -> tuple[float, float]:
    """Mean difference of two settings over seeds, which share weights and random numbers, and its standard error."""
    found = accuracy[name] - accuracy[over]
    return float(found.mean()), float(found.std(ddof=1) / np.sqrt(len(found))) if len(found) > 1 else 0.0
