"""Training every head of a sweep under one recipe, and scoring it."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float

from quire.common.claims import shared
from quire.common.data.images import digits
from quire.common.losses.classification import smoothed_cross_entropy
from quire.common.metrics.probe import ridge_probe
from quire.common.train.batches import HostBatches, epoch_indices
from quire.common.train.fit import fit
from quire.common.train.seeds import fit_seeds, fold_keys, stack
from quire.equiangular_basis.classifier import Classifier, Head, sweep_heads
from quire.equiangular_basis.config import Preset, Sweep
from quire.equiangular_basis.sources import Images, open_images

RETRIEVED = 1000
"""Test images that retrieval looks at."""


class Trained(NamedTuple):
    """All heads of a sweep; states and losses have leading axes `[heads x seeds]`, head by head."""

    graph: nnx.GraphDef
    state: Any
    heads: Head
    losses: Float[np.ndarray, "runs steps"]

    def outputs(self, images: np.ndarray, batch_size: int = 1000) -> tuple[np.ndarray, np.ndarray]:
        """Features that the heads use `[runs, n, dim]`, and predicted classes `[runs, n]`; one program for any n."""
        padded = np.pad(images, ((0, -len(images) % batch_size), *((0, 0),) * (images.ndim - 1)))
        batches = padded.reshape(-1, batch_size, *images.shape[1:])
        parts = [jax.tree.map(np.asarray, _outputs(self.graph, self.state, self.heads, x)) for x in batches]
        z, classes = (np.concatenate(part, axis=1)[:, : len(images)] for part in zip(*parts, strict=True))
        return z, classes


@jax.jit(static_argnums=0)
def _outputs(graph, state, heads, images):
    def one(state, head):
        model = nnx.merge(graph, state)
        model.eval()
        z = model.features(images)
        return z * head.mask[None], model.logits(z, head).argmax(-1)

    return jax.vmap(one)(state, heads)


def head_loss(smoothing: float):
    """`loss(model, (images, labels, head), key)`."""

    def loss(model, batch, key):
        images, labels, head = batch
        return smoothed_cross_entropy(model.logits(model.features(images), head), labels, smoothing)

    return loss


def train(images: Images, heads: Head, keys: jax.Array) -> Trained:
    """Train every head with every seed: from the same initial network and on the same batches within a seed.

    Args:
        images: data and recipe. In memory, all runs are one compiled loop; streamed, one run after the other.
        heads: `[heads, seeds, ...]`.
        keys: one per seed.
    """
    sweep, count = images.sweep, heads.fixed.size
    heads = Head(*(x.reshape(count, *x.shape[2:]) for x in heads))
    tiled, loss = jnp.tile(keys, count // len(keys)), head_loss(sweep.smoothing)

    def build(rngs: nnx.Rngs) -> Classifier:
        return Classifier(sweep, images.num_classes, images.mean, images.std, rngs=rngs)

    if images.train is None:
        runs = [_streamed(images, build, loss, Head(*(x[i] for x in heads)), key, i) for i, key in enumerate(tiled)]
        graph, states, losses = zip(*runs, strict=True)
        return Trained(graph[0], stack(states), heads, np.stack(losses))
    training = sweep.training
    sizes = len(images.train), training.batch_size, training.steps
    indices = np.stack([epoch_indices(key, *sizes) for key in fold_keys(tiled, 1)])
    pixels, labels = jnp.asarray(images.train.images), jnp.asarray(images.train.labels)

    def batch_at(data, step):
        chosen, head = data
        return pixels[chosen[step]], labels[chosen[step]], head

    tx = training.transformation(flat=not training.decay_kernels_only)
    graph, state, losses = fit_seeds(build, tx, loss, batch_at, (indices, heads), steps=training.steps, keys=tiled)
    return Trained(graph, state, heads, np.asarray(losses))


def _streamed(images, build, loss, head, key, number):
    model, batches, training = build(nnx.Rngs(key)), images.train_stream(number), images.sweep.training
    source = HostBatches(lambda _: (*next(batches), head))
    history = fit(model, training.transformation(), loss, source, steps=training.steps, key=key, chunk_steps=10)
    return *nnx.split(model), history.losses


def run_sweep(sweep: Sweep, keys: jax.Array) -> dict[str, Any]:
    """Train and score all heads of a sweep.

    Returns:
        `accuracy`, and `retrieval` (share of test images whose nearest other one has their class) `[seeds]` by head;
        `transfer` likewise, see `digits_probe`; `vectors` `[seeds, classes, dim]` and `losses` `[seeds, steps]` by head;
        `majority`; names of the data and of what they stand for.
    """
    source = open_images(sweep, keys[0])
    images = source.value
    names, heads = sweep_heads(images.sweep, images.num_classes, list(keys))
    trained = train(images, heads, keys)
    parts = [(*trained.outputs(x), y) for x, y in images.test_batches()]
    z, predicted, labels = (np.concatenate(part, axis=-1 if i == 2 else 1) for i, part in enumerate(zip(*parts, strict=True)))
    found = {
        "accuracy": (predicted == labels).mean(1),
        "retrieval": np.array([nearest_agrees(each, labels) for each in z[:, :RETRIEVED]]),
        "transfer": digits_probe(trained, images),
        "losses": trained.losses,
    }
    by_head = {name: dict(zip(names, x.reshape(len(names), len(keys), *x.shape[1:]), strict=True)) for name, x in found.items()}
    return by_head | {
        "vectors": dict(zip(names, heads.vectors, strict=True)),
        "majority": np.full(len(keys), images.majority),
        "data": source.name,
        "stand_in_for": source.stand_in_for,
    }


def nearest_agrees(z: np.ndarray, labels: np.ndarray) -> float:
    """Share of rows whose nearest other row by cosine has the same label: Recall@1.

    >>> nearest_agrees(np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]]), np.array([0, 0, 1])).__round__(3)
    0.667
    """
    unit = z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-12)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -np.inf)
    return float(np.mean(labels[: len(z)][cosines.argmax(1)] == labels[: len(z)]))


def digits_probe(trained: Trained, images: Images) -> np.ndarray:
    """Transfer: accuracy of a linear probe of the frozen features on scikit-learn's digits, enlarged.

    Those are other people's digits, scanned another way. NaN for networks of other than grey 28 x 28 images.
    """
    if images.train is None or images.train.images.shape[1:] != (28, 28, 1):
        return np.full(len(trained.losses), np.nan)
    data = digits()
    split, labels = len(data.train), np.concatenate([data.train.labels, data.test.labels])
    wide = np.kron(np.concatenate([data.train.images, data.test.images]), np.ones((1, 3, 3, 1), np.float32))
    z, _ = trained.outputs((255 * np.pad(wide, ((0, 0), (2, 2), (2, 2), (0, 0)))).astype(np.uint8))
    return np.array([np.mean(ridge_probe(x[:split], labels[:split], x[split:]) == labels[split:]) for x in z])


@shared
def sweep_runs(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """`run_sweep` of the preset's images."""
    return run_sweep(preset.sweep, keys)
