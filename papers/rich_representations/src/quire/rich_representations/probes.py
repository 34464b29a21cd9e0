"""Linear probes: batch norm over frozen features and a linear head, at the weight decay that validation chooses."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int, Num

from quire.common.checks import check_at_least, check_finite, check_ids
from quire.common.layers.initialisers import normal
from quire.common.layers.norms import BatchNorm
from quire.rich_representations.config import Descent
from quire.rich_representations.episodes import Models, accuracy, episode_batches, stack_models, train_episodes


class LinearProbe(nnx.Module):
    """A linear classifier of features, with or without batch norm before it (the authors' `RegLog`).

    Args:
        features, classes: sizes.
        batch_norm: of the features, with scale and shift, momentum 0.1, eps 1e-5 and an unbiased running variance.
        rngs: for the head, normal with standard deviation 0.01.

    Raises:
        ValueError: if a size is not positive.

    >>> probe = LinearProbe(3, 2, rngs=nnx.Rngs(0))
    >>> probe(np.eye(3, dtype=np.float32)).shape
    (3, 2)
    """

    def __init__(self, features: int, classes: int, *, batch_norm: bool = True, rngs: nnx.Rngs):
        check_at_least("features", features)
        check_at_least("classes", classes)
        self.norm = BatchNorm(features) if batch_norm else None
        self.head = nnx.Linear(features, classes, kernel_init=normal(0.01), rngs=rngs)

    def __call__(self, features: Num[Array | np.ndarray, "batch features"]) -> Float[Array, "batch classes"]:
        """Logits; statistics of the batch in training, running ones in evaluation."""
        x = jnp.asarray(features)
        return self.head(x if self.norm is None else self.norm(x))


class Probed(NamedTuple):
    """Probes of several representations.

    Attributes:
        probes: the chosen ones, `[models, ...]`.
        validation, test: their accuracies, `[models]`.
        decay: the weight decays that validation chose, `[models]`.
    """

    probes: Models
    validation: Float[np.ndarray, " models"]
    test: Float[np.ndarray, " models"]
    decay: Float[np.ndarray, " models"]


class Parts(NamedTuple):
    """Examples to learn from, to choose by and to judge by, `[models, n]` each; disjoint."""

    train: Int[np.ndarray, "models train"]
    validation: Int[np.ndarray, "models validation"]
    test: Int[np.ndarray, "models test"]


def fit_probe(
    features: Float[np.ndarray, "models examples dim"],
    labels: Int[np.ndarray, " examples"],
    parts: Parts,
    descent: Descent,
    keys: list[jax.Array],
    *,
    classes: int,
    batch_norm: bool = True,
    start: Models | None = None,
) -> Probed:
    """Probe several representations of the same examples at once, each at every weight decay of the grid.

    The trunks are not here: their features were extracted in evaluation, so no statistics can drift.

    Args:
        features: of all examples, by every representation.
        labels: of the examples.
        parts: which examples train, choose and test, for every representation.
        descent: of the head and the norm; scale and shift are spared the decay.
        keys: one for every representation, for the order of the data.
        classes: number of classes.
        batch_norm: of the features, before the head.
        start: probes to start from; fresh ones by default.

    Returns:
        The probe of the best validation accuracy of every representation; the first of equals.

    Raises:
        ValueError: for labels out of range, features that are not finite, or shapes that do not fit.
    """
    check_ids("labels", labels, classes)
    check_finite("features", features)
    if features.ndim != 3 or labels.shape != features.shape[1:2] or len(parts.train) != len(features):
        raise ValueError(
            f"features has shape {features.shape}, labels {labels.shape}, parts are of {len(parts.train)} models; "
            "they need [models, examples, dim], [examples], models"
        )
    if start is None:
        start = stack_models([LinearProbe(features.shape[2], classes, batch_norm=batch_norm, rngs=nnx.Rngs(key)) for key in keys])
    batches = episode_batches(keys, parts.train, descent.batch_size, descent.steps)
    # the objective wants (inputs, labels); features are a model's own, so are labels by their side
    own = features, np.broadcast_to(labels, features.shape[:2])
    trained = train_episodes(start, (), batches, descent, own=own)
    return choose(trained, _probe_logits(trained, features), labels, parts, descent)


def choose(
    trained: Models, logits: Float[np.ndarray, "models grid examples classes"], labels: np.ndarray, parts: Parts, descent: Descent
) -> Probed:
    """Of every model the setting with the best validation accuracy; the first of equals."""
    settings, rows = len(descent.grid), np.arange(trained.size)
    held, test = (
        accuracy(logits, labels, np.repeat(index[:, None], settings, axis=1)) for index in (parts.validation, parts.test)
    )
    best = held.argmax(axis=1)
    decay = np.array([descent.grid[i][1] for i in best])
    return Probed(trained.take((rows, best, -1)), held[rows, best], test[rows, best], decay)


def _probe_logits(trained: Models, features: np.ndarray) -> np.ndarray:
    return np.asarray(_evaluate(trained.graph, trained.take((slice(None), slice(None), -1)).state, features))


@jax.jit(static_argnames="graph")
def _evaluate(graph, state, features):
    def one(state, x):
        probe = nnx.merge(graph, state)
        probe.eval()
        return probe(x)

    return jax.vmap(jax.vmap(one, in_axes=(0, None)))(state, features)
