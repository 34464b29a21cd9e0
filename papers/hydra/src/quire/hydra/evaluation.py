"""What trained encoders are worth: neighbours, linear probes here and on other images, directions in use, gates."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float, Int

from quire.common.data.images import ImageSplit, digits
from quire.common.layers.nested import unit_rows
from quire.common.metrics.probe import knn_predict, ridge_probe
from quire.common.metrics.spectrum import effective_rank, log_singular_values
from quire.hydra.gates import all_pair_gates
from quire.hydra.sources import Images

BATCH = 1000
"""Images that a model sees at once; smaller batches are filled up, so that there is one program."""


class Encoded(NamedTuple):
    """Latents and embeddings of images, and their classes."""

    h: Float[np.ndarray, "n features"]
    z: Float[np.ndarray, "n dim"]
    labels: Int[np.ndarray, " n"]


class Evaluator:
    """Measures models of one graph on the images of a preset.

    Args:
        graph: of the models.
        images: to train and to test on.
    """

    def __init__(self, graph: nnx.GraphDef, images: Images):
        self.images = images
        self._outputs = jax.jit(lambda state, x: _evaluated(graph, state)(x))
        self._gates = jax.jit(lambda state: _gates_of(graph, state, images.num_classes))
        self._digits = _large_digits(images)

    def encode(self, state: Any, batches: Iterable[tuple[np.ndarray, np.ndarray]]) -> Encoded:
        """Latents and embeddings by a model in evaluation."""
        parts = []
        for x, labels in batches:
            padded = np.pad(x, ((0, BATCH - len(x)), *((0, 0),) * (x.ndim - 1)))
            h, z = (np.asarray(y)[: len(x)] for y in self._outputs(state, padded))
            parts.append((h, z, labels))
        return Encoded(*(np.concatenate(part) for part in zip(*parts, strict=True)))

    def both(self, state: Any) -> tuple[Encoded, Encoded]:
        """Training and test images encoded."""
        train, test = self.images.ordered("train", BATCH), self.images.ordered("test", BATCH)
        return self.encode(state, train), self.encode(state, test)

    def scores(self, state: Any, train: Encoded, test: Encoded) -> dict[str, Any]:
        """`accuracy` of neighbours, `probe`, `transfer`; `rank z`, `rank h` and `spectrum`, the log singular values of z."""
        rank_z, spectrum = _directions(test.z)
        return {
            "accuracy": self.neighbours(train.h, train.labels, test.h, test.labels),
            "probe": float(np.mean(ridge_probe(train.h, train.labels, test.h) == test.labels)),
            "transfer": self.transfer(state),
            "rank z": float(rank_z),
            "rank h": float(_directions(test.h)[0]),
            "spectrum": np.asarray(spectrum),
        }

    def neighbours(self, train: Any, labels: Any, test: Any, expected: Any) -> float:
        """Accuracy of the vote of the nearest training images by cosine."""
        votes = {"k": self.images.preset.neighbours, "num_classes": self.images.num_classes}
        block = None if len(train) <= 10_000 else 8192
        found = knn_predict(_unit(test), _unit(train), labels, block=block, **votes)
        return float(np.mean(np.asarray(found) == expected))

    def pixels(self) -> float:
        """The same vote on raw pixels; NaN for images that are streamed."""
        train, test = self.images.train, self.images.test
        if train is None or test is None:
            return float("nan")
        x, y = (split.images.reshape(len(split), -1) for split in (train, test))
        return self.neighbours(x, train.labels, y, test.labels)

    def transfer(self, state: Any) -> float:
        """Linear probe of frozen latents on scikit-learn's digits, enlarged to colour images; NaN for images of another size."""
        if self._digits is None:
            return float("nan")
        train, test = (self.encode(state, split.batches(BATCH)) for split in self._digits)
        return float(np.mean(ridge_probe(train.h, train.labels, test.h) == test.labels))

    def gates(self, state: Any) -> tuple[np.ndarray, np.ndarray]:
        """Gates of single classes, with statistics over all of them, and of all pairs, with running ones."""
        return tuple(map(np.asarray, self._gates(state)))


def _evaluated(graph, state):
    model = nnx.merge(graph, state)
    model.eval()
    return model


def _gates_of(graph, state, num_classes):
    single, pairs = (_evaluated(graph, state).gate for _ in range(2))  # the first moves its running statistics
    return single(jnp.arange(num_classes), train=True), all_pair_gates(pairs)


@jax.jit
def _directions(z):
    return effective_rank(z), log_singular_values(z)


_unit = jax.jit(unit_rows)


def _large_digits(images: Images):
    if images.train is None or images.train.images.shape[1:] != (32, 32, 3):
        return None
    data = digits()
    return [
        ImageSplit(images.standardised(255 * np.kron(split.images, np.ones((1, 4, 4, 3), np.float32))), split.labels)
        for split in (data.train, data.test)
    ]
