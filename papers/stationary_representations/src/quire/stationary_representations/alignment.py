"""Losses that tie a new model to an old one: higher-order compatibility (section 4), and what it is compared with."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Integer, Num

from quire.common.checks import check_positive, floating, is_concrete
from quire.common.layers.nested import unit_rows
from quire.common.losses import contrastive
from quire.common.losses.classification import masked_cross_entropy, smoothed_cross_entropy

OUT_OF_REACH = -1e9
"""Logit of a class that does not take part: finite, since a weight of 0 times infinity is no number."""

Features = Num[Array, "batch dim"] | Num[np.ndarray, "batch dim"]
Labels = Integer[Array, " batch"] | Integer[np.ndarray, " batch"]


def hoc_loss(new: Features, old: Features, labels: Labels, mu: float = 10.0, *, exact: bool = False) -> Float[Array, ""]:
    """Higher-order compatibility: `mean_n( -S_nn + log sum_m exp(S_nm [y_n != y_m]) )`, `S_nm = mu <old_n, new_m>`.

    A row is an old feature, a column a new one, both scaled to length 1; the old model is frozen, so that no gradient goes to it.
    As in the authors' code, entries of the same class, the sample's own among them, are multiplied by 0 instead of left out:
    each adds `exp(0) = 1` to the sum, and the loss depends on how many there are in the batch.

    Args:
        new, old: features of the same samples by both models, of any length; a zero vector is similar to nothing.
        labels: class of every sample.
        mu: inverse temperature.
        exact: leave them out. The loss may be negative then; where a traced batch has one class only, it is minus infinity.

    Returns:
        The loss in nats.

    Raises:
        ValueError: without a sample, for shapes that do not fit, a mu that is not positive, or, if exact, labels of one class.

    References:
        Section 4, the contrastive term of the combined loss.

    >>> new, old, labels = jnp.eye(3), jnp.eye(3), jnp.array([0, 1, 1])
    >>> print(f"{hoc_loss(new, old, labels):.3f} {hoc_loss(new, old, labels, exact=True):.3f}")
    -8.901 -9.769
    """
    new, old = _pair(new, old)
    _check_labels(labels, len(new))
    check_positive("mu", mu)
    if exact and is_concrete(labels) and np.all(np.asarray(labels) == np.asarray(labels)[0]):
        raise ValueError(f"labels holds class {int(labels[0])} only; the exact loss needs a sample of another one")
    old = jax.lax.stop_gradient(old)
    return contrastive.hoc_loss(unit_rows(new), unit_rows(old), jnp.asarray(labels), mu, exact=exact)


def total_loss(
    logits: Num[Array, "batch classes"],
    targets: Labels,
    new: Features | None = None,
    old: Features | None = None,
    lam: float = 0.1,
    mu: float = 10.0,
) -> Float[Array, ""]:
    """`lambda CE(logits, targets) + (1 - lambda) HOC(new, old)`; cross-entropy alone where there is no old model yet.

    Args:
        logits: of the fixed classifier.
        targets: places of the classes in it, see `slot`.
        new, old: features of the batch by the model that learns and by the frozen one; both or none.
        lam: lambda, in `[0, 1]`.
        mu: of `hoc_loss`.

    Returns:
        The loss in nats.

    Raises:
        ValueError: for one of `new` and `old` without the other, a lambda out of range, or as `hoc_loss`.

    >>> logits, targets = jnp.zeros((2, 4)), jnp.array([3, 2])
    >>> print(f"{total_loss(logits, targets):.3f} {total_loss(logits, targets, jnp.eye(2), jnp.eye(2)):.3f}")
    1.386 -8.238
    """
    if not 0 <= lam <= 1:
        raise ValueError(f"lam is {lam}; it must lie in [0, 1]")
    if (new is None) != (old is None):
        raise ValueError(f"{'new' if new is None else 'old'} is None; features come from both models or from none")
    loss = smoothed_cross_entropy(logits, jnp.asarray(targets))
    return loss if new is None or old is None else lam * loss + (1 - lam) * hoc_loss(new, old, targets, mu)


def distillation_loss(new: Features, old: Features) -> Float[Array, ""]:
    """`mean_n (1 - <old_n, new_n>)` of features scaled to length 1: learning without forgetting (LwF), on features.

    Raises:
        ValueError: without a sample, or for shapes that do not fit.

    >>> float(distillation_loss(jnp.array([[2.0, 0.0], [0.0, 1.0]]), jnp.eye(2)[::-1]))
    1.0
    """
    new, old = _pair(new, old)
    return 1 - jnp.mean(jnp.sum(unit_rows(new) * unit_rows(jax.lax.stop_gradient(old)), axis=-1))


def old_classifier_loss(
    new: Float[Array, "batch dim"] | Float[np.ndarray, "batch dim"],
    classifier: Float[Array, "classes dim"] | Float[np.ndarray, "classes dim"],
    targets: Labels,
    known: Bool[Array, " classes"] | Bool[np.ndarray, " classes"],
) -> Float[Array, ""]:
    """Backward-compatible training (BCT): cross-entropy of new features by the frozen classifier of the old model.

    Args:
        new: features.
        classifier: rows of the old classifier.
        targets: row of every sample's class.
        known: rows that the old model has learned; samples of other classes do not count, nor do other rows.

    Returns:
        The loss in nats; 0 where no sample counts.

    Raises:
        ValueError: for dimensions that differ, or without a sample.

    References:
        Shen et al., *Towards Backward-Compatible Representation Learning*, 2020.

    >>> z, known = jnp.array([[0.0, 1.0], [9.0, 9.0]]), jnp.array([True, True, False])
    >>> print(f"{old_classifier_loss(z, jnp.zeros((3, 2)), jnp.array([1, 2]), known):.4f}")  # of the first sample
    0.6931
    """
    if new.shape[-1] != classifier.shape[-1]:
        raise ValueError(f"new has dimension {new.shape[-1]}; the classifier has {classifier.shape[-1]}")
    new, classifier, known, targets = (jnp.asarray(x) for x in (new, classifier, known, targets))
    return masked_cross_entropy(among(new @ jax.lax.stop_gradient(classifier).T, known), targets, known[targets])


def among(logits: Float[Array, "batch classes"], keep: Bool[Array, " classes"]) -> Float[Array, "batch classes"]:
    """Logits of the classes to choose among; those of the others are so low that neither they nor their gradients count."""
    return jnp.where(keep[None], logits, jnp.asarray(OUT_OF_REACH, logits.dtype))


def _pair(new: Features, old: Features) -> tuple[Array, Array]:
    if np.ndim(new) != 2 or np.shape(new) != np.shape(old) or not len(new):
        raise ValueError(f"new has shape {np.shape(new)} and old {np.shape(old)}; both must be [batch, dim], with a sample")
    new, old = floating(new, old)
    return new, old


def _check_labels(labels: Labels, count: int) -> None:
    if np.shape(labels) != (count,):
        raise ValueError(f"labels has shape {np.shape(labels)}; it needs one class for each of the {count} samples")
