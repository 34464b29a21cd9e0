"""Fine-tuning of a concatenation: all at once, or each part on its own and a short probe after."""

from collections.abc import Sequence

import jax
import numpy as np
from flax import nnx
from jaxtyping import Float

from quire.rich_representations.concatenation import cat_head, concatenate
from quire.rich_representations.config import Descent
from quire.rich_representations.episodes import Models, episode_batches, features_of, logits_of, stack_models, train_episodes
from quire.rich_representations.networks import Classifier
from quire.rich_representations.probes import LinearProbe, Parts, Probed, choose, fit_probe
from quire.rich_representations.tasks import Pool


def trunks_of(models: Models) -> Models:
    """The trunks of classifiers, without their heads."""
    return Models(*nnx.split(models.stacked().trunk))


def with_fresh_heads(trunks: Models, dim: int, classes: int, keys: Sequence[jax.Array]) -> Models:
    """Classifiers of trained trunks, with heads for a new task."""
    made = [Classifier(trunks.one(i), dim, classes, rngs=nnx.Rngs(key)) for i, key in enumerate(keys)]
    return stack_models(made)


def joined(trunks: Models, n: int) -> Models:
    """CATn of every n consecutive trunks, as trunks."""
    cats = [concatenate(trunks.graph, trunks.take(slice(i, i + n)).state) for i in range(0, trunks.size, n)]
    return stack_models(cats)


def fine_tune(models: Models, pool: Pool, parts: Parts, descent: Descent, keys: Sequence[jax.Array]) -> Probed:
    """Train all weights on the new task, at the rate and decay that validation chooses for every model.

    Normal fine-tuning ("[init]") of CATn is this, of its concatenation with a fresh head.

    Args:
        models: classifiers.
        pool: images and labels of the new task.
        parts: which images train, choose and test, for every model.
        descent: with the grid to choose from.
        keys: one for every model, for the order of the data.

    Returns:
        The chosen networks, and their accuracies on the test images.
    """
    batches = episode_batches(keys, parts.train, descent.batch_size, descent.steps)
    trained = train_episodes(models, tuple(pool), batches, descent)
    logits = logits_of(trained.take((slice(None), slice(None), -1)).flat(2), pool.images)
    logits = logits.reshape(models.size, -1, *logits.shape[1:])
    return choose(trained, logits, pool.labels, parts, descent)


def two_stage(
    tuned: Models, pool: Pool, parts: Parts, n: int, descent: Descent, keys: Sequence[jax.Array], classes: int
) -> Probed:
    """The second stage of two ("[2ft]"): join parts that were fine-tuned one by one, start at `cat_head`, probe shortly.

    Args:
        tuned: fine-tuned classifiers; every n consecutive ones are joined.
        pool, parts, keys: as for `fine_tune`, one for every concatenation.
        n: parts of a concatenation.
        descent: of the head alone.
        classes: of the task.

    Returns:
        The probes on the concatenations with their accuracies.
    """
    joint = cat_groups(features_of(tuned, pool.images), n)
    head = tuned.stacked().head
    kernels, biases = (np.asarray(x[...]).reshape(-1, n, *x.shape[1:]) for x in (head.kernel, head.bias))
    starts = []
    for kernel, bias in zip(kernels, biases, strict=True):
        probe = LinearProbe(joint.shape[2], classes, batch_norm=False, rngs=nnx.Rngs(0))
        weights, offset = cat_head(kernel.transpose(0, 2, 1), bias)
        probe.head.kernel, probe.head.bias = nnx.Param(weights.T), nnx.Param(offset)
        starts.append(probe)
    return fit_probe(joint, pool.labels, parts, descent, list(keys), classes=classes, start=stack_models(starts))


def cat_groups(features: Float[np.ndarray, "models examples dim"], n: int) -> Float[np.ndarray, "groups examples joint"]:
    """Cached features of every n consecutive models side by side: CATn without running a network again.

    Raises:
        ValueError: if n does not divide the models.

    >>> cat_groups(np.arange(4.0).reshape(4, 1, 1), 2).tolist()
    [[[0.0, 1.0]], [[2.0, 3.0]]]
    """
    models, examples, dim = features.shape
    if n < 1 or models % n:
        raise ValueError(f"n is {n}; it must divide the {models} models")
    return features.reshape(-1, n, examples, dim).transpose(0, 2, 1, 3).reshape(-1, examples, n * dim)
