"""R6: representations learned where a colour is easy to read, and heads on them tested where the colour lies."""

from typing import NamedTuple

import jax
import numpy as np
from flax import nnx
from jaxtyping import Float, Int

from quire.common.claims import shared
from quire.common.data.images import pixels
from quire.common.random import generator
from quire.rich_representations.config import Preset, Shift
from quire.rich_representations.distillation import distillation
from quire.rich_representations.episodes import Models, episode_batches, features_of, logits_of, stack_models, train_episodes
from quire.rich_representations.fine_tuning import cat_groups
from quire.rich_representations.group_shift import Environment, coloured, fit_heads
from quire.rich_representations.networks import Student, backbone, classifier
from quire.rich_representations.tasks import LOADERS

LABELS = 2


class Coloured(NamedTuple):
    """All environments of a seed one after the other: training, IID validation, OOD validation, OOD test.

    Attributes:
        images, labels: `[n, h, w, 2]`, `[n]`.
        parts: indices of the four parts.
        name: of the data.
    """

    images: Float[np.ndarray, "n h w two"]
    labels: Int[np.ndarray, " n"]
    parts: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
    name: str


def environments(config: Shift, key: jax.Array) -> Coloured:
    """Draw the environments from the images of a set; every image is in one of them.

    Raises:
        ValueError: if no image is left for the test, or for a set that there is not.
    """
    if config.image_set not in LOADERS:
        raise ValueError(f"image_set is {config.image_set!r}; it must be one of {', '.join(LOADERS)}")
    data = LOADERS[config.image_set]()
    images = np.concatenate([np.asarray(pixels(part.images)) for part in (data.train, data.test)])
    classes = np.concatenate([data.train.labels, data.test.labels])
    count = len(config.agreements)
    sizes = [config.examples] * count + [config.held] * count + [config.outside_held]
    if sum(sizes) >= len(images):
        raise ValueError(f"the environments take {sum(sizes)} images; {config.image_set} has {len(images)}, some for the test")
    agreements = [*config.agreements, *config.agreements, config.outside, config.outside]
    pieces = np.split(generator(key).permutation(len(images)), np.cumsum(sizes))
    made = [
        coloured(images[piece], classes[piece], jax.random.fold_in(key, i), agreement=agreement, noise=config.noise)
        for i, (piece, agreement) in enumerate(zip(pieces, agreements, strict=True))
    ]
    whole = Environment(*(np.concatenate(part) for part in zip(*made, strict=True)))
    cuts = np.cumsum([count * config.examples, count * config.held, config.outside_held])
    train, iid, ood, test = np.split(np.arange(len(images)), cuts)
    return Coloured(*whole, (train, iid, ood, test), data.name.split(",")[0])


def train_on(data: Coloured, config: Shift, width: int, number: int, count: int, key: jax.Array) -> Models:
    """Networks trained by ERM on the training environments together."""
    keys = [jax.random.fold_in(key, 1000 * number + i) for i in range(count)]
    build = backbone("perceptron", data.images.shape[1:])
    models = stack_models([classifier(build, width, LABELS, k) for k in keys])
    batches = episode_batches(keys, np.tile(data.parts[0], (count, 1)), config.training.batch_size, config.training.steps)
    return train_episodes(models, (data.images, data.labels), batches, config.training).take((slice(None), 0, -1))


def student(data: Coloured, config: Shift, teachers: Models, key: jax.Array) -> Models:
    """One network into which the episodes are distilled."""
    rngs, descent = nnx.Rngs(key), config.distillation
    trunk, dim = backbone("perceptron", data.images.shape[1:])(config.width, rngs)
    models = stack_models([Student(trunk, dim, LABELS, config.parts, temperature=config.temperature, rngs=rngs)])
    targets = logits_of(teachers, data.images).transpose(1, 0, 2)[None]
    batches = episode_batches([key], data.parts[0][None], descent.batch_size, descent.steps)
    arrays = data.images, data.labels
    return train_episodes(models, arrays, batches, descent, own=(targets,), objective=distillation).take((slice(None), 0, -1))


def standardised(features: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Features of mean 0 and variance 1 over the training examples; constant ones become 0."""
    mean, std = (getattr(features[:, train], name)(axis=1, keepdims=True) for name in ("mean", "std"))
    return (features - mean) / np.where(std > 1e-6, std, np.inf)


def head_accuracies(features: np.ndarray, data: Coloured, config: Shift) -> dict[str, np.ndarray]:
    """Accuracies `[models]` on the OOD test by head (ERM, VREx) and by validation (IID, OOD)."""
    train, iid, ood, test = data.parts
    lams = np.repeat([0.0, *config.lams], len(config.decays))
    decays = np.tile(config.decays, 1 + len(config.lams))
    x = standardised(features, train).astype(np.float32)
    shape = len(x), len(config.agreements), config.examples
    labels = np.broadcast_to(data.labels[train].reshape(shape[1:]), shape)
    heads = fit_heads(x[:, train].reshape(*shape, -1), labels, lams, decays, classes=LABELS, steps=config.steps)
    right = heads.logits(x).argmax(-1) == data.labels
    found, models = {}, np.arange(len(x))
    for head, settings in (("ERM", np.flatnonzero(lams == 0)), ("VREx", np.flatnonzero(lams > 0))):
        for validation, index in (("IID", iid), ("OOD", ood)):
            best = settings[right[:, settings][:, :, index].mean(-1).argmax(1)]
            found[f"{head}, {validation}"] = right[models, best][:, test].mean(-1)
    return found


@shared
def shift_study(preset: Preset, keys: jax.Array) -> dict:
    """Representations of all seeds under group shift, and heads on them.

    Returns:
        `heads`: accuracies `[seeds, models]` on the OOD test by `"ERM, IID"` and the like, and by representation. `networks
        [seeds, 4]`: mean accuracies of the episodes' own heads on the four parts. `majority [seeds]`. The name of the data.
    """
    config, found = preset.shift, []
    for key in keys:
        data = environments(config, jax.random.fold_in(key, 1))
        found.append(_of_seed(data, config, jax.random.fold_in(key, 2)))
    return jax.tree.map(lambda *leaves: np.stack(leaves), *found) | {"name": data.name}


def _of_seed(data: Coloured, config: Shift, key: jax.Array) -> dict:
    n = config.parts
    episodes = train_on(data, config, config.width, 1, n, key)
    wide = train_on(data, config, n * config.width, 2, 1, key)
    single = features_of(episodes, data.images)
    features = {"ERM": single, f"CAT{n}": cat_groups(single, n), "wide": features_of(wide, data.images)}
    features[f"DISTILL{n}"] = features_of(student(data, config, episodes, key), data.images)
    by_init = {name: head_accuracies(x, data, config) for name, x in features.items()}
    right = logits_of(episodes, data.images).argmax(-1) == data.labels
    train, *_, test = data.parts
    return {
        "heads": {kind: {name: by_init[name][kind] for name in by_init} for kind in by_init["ERM"]},
        "networks": np.array([right[:, part].mean() for part in data.parts]),
        "majority": np.mean(data.labels[test] == np.bincount(data.labels[train]).argmax()),
    }
