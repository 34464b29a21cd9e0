"""Stitching: heads that were trained on one encoder's codes, used on another's (section 5)."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx
from jaxtyping import Float, Int

from quire.common.losses.classification import smoothed_cross_entropy
from quire.common.train.batches import epoch_indices
from quire.common.train.recipe import Recipe
from quire.common.train.seeds import fit_seeds

Score = Callable[[np.ndarray, np.ndarray], float]


class LinearHead(NamedTuple):
    """`codes -> codes kernel + bias`; arrays may have leading axes for many heads, of which `head[i]` is the i-th."""

    kernel: Float[np.ndarray, "*heads m classes"]
    bias: Float[np.ndarray, "*heads classes"]

    def __call__(self, codes: Float[np.ndarray, "n m"]) -> Float[np.ndarray, "n classes"]:
        """Logits of one head."""
        return codes @ self.kernel + self.bias

    def at(self, index: Any) -> "LinearHead":
        """Some of many heads."""
        return LinearHead(self.kernel[index], self.bias[index])


def fit_heads(
    key: jax.Array, codes: Float[np.ndarray, "heads n m"], labels: Int[np.ndarray, " n"], num_classes: int, training: Recipe
) -> LinearHead:
    """A linear classifier, zero at first, on each of several sets of codes of the same samples; all in one program.

    Args:
        key: of the batches, which all heads share.
        codes: of frozen encoders, normalised.
        labels: of the samples.
        num_classes: number of classes.
        training: recipe.

    Returns:
        The heads, with a leading axis.
    """
    count, size, width = codes.shape
    indices = epoch_indices(key, size, training.batch_size, training.steps)

    def build(rngs: nnx.Rngs) -> nnx.Linear:
        return nnx.Linear(width, num_classes, kernel_init=nnx.initializers.zeros, rngs=rngs)

    def loss(model, batch, key):
        return smoothed_cross_entropy(model(batch[0]), batch[1])

    def batch_at(data, step):
        codes, labels, indices = data
        return codes[indices[step]], labels[indices[step]]

    repeated = [np.broadcast_to(x, (count, *x.shape)) for x in (labels, indices)]
    keys = jax.random.split(key, count)
    _, state, _ = fit_seeds(build, training.transformation(), loss, batch_at, (codes, *repeated), steps=training.steps, keys=keys)
    return LinearHead(np.asarray(state["kernel"][...]), np.asarray(state["bias"][...]))


def accuracy(outputs: Float[np.ndarray, "n classes"], labels: Int[np.ndarray, " n"]) -> float:
    """Share of rows whose largest entry is at the label; NaN for outputs with a NaN.

    Raises:
        ValueError: unless there is one label for every row, at least one.

    >>> accuracy(np.array([[0.2, 0.8], [0.9, 0.1]]), np.array([1, 1]))
    0.5
    """
    outputs, labels = np.asarray(outputs), np.asarray(labels)
    if outputs.ndim != 2 or labels.shape != (len(outputs),) or len(labels) == 0:
        raise ValueError(f"outputs and labels have shapes {outputs.shape} and {labels.shape}; they need [n, classes] and [n]")
    return float("nan") if np.isnan(outputs).any() else float(np.mean(outputs.argmax(1) == labels))


def stitching_matrix(
    codes: Sequence[np.ndarray], heads: Sequence[Callable[[np.ndarray], np.ndarray]], targets: Any, score: Score = accuracy
) -> Float[np.ndarray, "heads encoders"]:
    """Score of every head on the codes of every encoder: `[i, j]` is head i, trained with encoder i, on encoder j.

    Args:
        codes: of the same test samples by each encoder: relative ones, or latents for the control.
        heads: `head(codes) -> outputs`, one for each encoder.
        targets: labels, or whatever the score compares outputs with.
        score: `score(outputs, targets)`, accuracy by default.

    Raises:
        ValueError: for no encoder, or another number of heads.

    >>> codes = [np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[0.0, 1.0], [1.0, 0.0]])]  # the second swaps its axes
    >>> stitching_matrix(codes, [lambda z: z, lambda z: z[:, ::-1]], np.array([0, 1])).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    if len(codes) == 0 or len(codes) != len(heads):
        raise ValueError(f"there are codes of {len(codes)} encoders and {len(heads)} heads; each encoder needs its head")
    return np.array([[score(head(each), targets) for each in codes] for head in heads])


class Stitching(NamedTuple):
    """A stitching matrix in three numbers: each head on its own encoder, on the others, and the worst of the latter."""

    own: float
    other: float
    worst: float


def summarise(matrix: Float[np.ndarray, "n n"]) -> Stitching:
    """Means over the diagonal and off it, and the smallest entry off it.

    Raises:
        ValueError: unless the matrix is square, for two encoders at least.

    >>> summarise(np.array([[0.9, 0.1], [0.3, 0.7]]))
    Stitching(own=0.8, other=0.2, worst=0.1)
    """
    matrix = np.asarray(matrix)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or len(matrix) < 2:
        raise ValueError(f"matrix has shape {matrix.shape}; it must be [n, n] with n at least 2")
    off = matrix[~np.eye(len(matrix), dtype=bool)]
    return Stitching(float(np.diagonal(matrix).mean()), float(off.mean()), float(off.min()))
