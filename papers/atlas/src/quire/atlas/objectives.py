"""What the coefficients are learned by: supervised terms, their penalty, and objectives without labels (section 5)."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Integer

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, check_positive, floating


def lp_penalty(coef: Float[AnyArray, "t j"], p: float = 2.0, gamma: float = 0.5) -> Float[Array, ""]:
    """`gamma mean_j |Lambda[:, j]|_p`: few vectors for every block (p = 1), or small coefficients (p = 2).

    Args:
        coef: Lambda.
        p: positive; at zero the derivative is 0, whatever p is.
        gamma: its weight.

    Raises:
        ValueError: for p that is not positive, or coefficients that are not `[T, J]` with J at least 1.

    >>> float(lp_penalty(jnp.array([[3.0, 0.0], [4.0, 0.0]])))
    1.25
    """
    check_positive("p", p)
    (coef,) = floating(coef)
    if coef.ndim != 2 or not coef.shape[1]:
        raise ValueError(f"coef has shape {coef.shape}; it must be [T, J], with a block at least")
    largest = jnp.max(jnp.abs(coef), axis=0, initial=0)  # of each block; powers of tiny numbers would vanish
    scale = jax.lax.stop_gradient(jnp.where(largest == 0, 1, largest))
    powers = _power(jnp.abs(coef) / scale[None], p).sum(axis=0)
    return gamma * jnp.mean(scale * _power(powers, 1 / p))


def _power(x: Array, p: float) -> Array:
    """`x^p` of numbers that are not negative, with the derivative 0 at 0."""
    zero = x == 0
    return jnp.where(zero, 0, jnp.where(zero, 1, x) ** p)


def ufm_loss(
    logits_weak: Float[AnyArray, "n c"],
    logits_strong: Float[AnyArray, "n c"],
    targets: Integer[AnyArray, "n c"] | Float[AnyArray, "n c"],
    trusted: Bool[AnyArray, " n"],
    thr: float,
) -> Float[Array, ""]:
    """Unsupervised FixMatch: `sum_i w_i CE(strong_i, p_i) / sum_i w_i`, with `w_i = 1[max p_i > thr]`.

    p is the softmax of the weakly augmented image, taken as given; trusted images have their one-hot pseudo-label in its place.
    The authors' "sharpening" multiplies p by 0.5 and normalises again, which changes nothing, and is not here.

    Args:
        logits_weak, logits_strong: of weakly and strongly augmented images.
        targets: one-hot pseudo-labels; rows that are not trusted may hold anything.
        trusted: which rows have one.
        thr: confidence from which an image counts.

    Returns:
        The loss in nats; 0 where no image is confident, for which the authors' code gives NaN.

    Raises:
        ValueError: if the shapes do not fit.

    >>> weak = jnp.array([[4.0, 0.0], [0.1, 0.0]])
    >>> print(ufm_loss(weak, jnp.zeros((2, 2)), jnp.zeros((2, 2)), jnp.array([False, False]), 0.9).round(4))
    0.6931
    """
    weak, strong = floating(logits_weak, logits_strong)
    if weak.ndim != 2 or not weak.shape == strong.shape == targets.shape or trusted.shape != weak.shape[:1]:
        raise ValueError(
            f"logits_weak {weak.shape}, logits_strong {strong.shape} and targets {targets.shape} must be [n, c], "
            f"trusted {trusted.shape} must be [n]"
        )
    weak, strong = (x.astype(jnp.promote_types(x.dtype, jnp.float32)) for x in (weak, strong))
    p = jax.lax.stop_gradient(jax.nn.softmax(weak))
    p = jnp.where(jnp.asarray(trusted)[:, None], jnp.asarray(targets, p.dtype), p)
    weight = (p.max(axis=1) > thr).astype(p.dtype)
    total = jnp.sum(weight * -jnp.sum(p * jax.nn.log_softmax(strong), axis=1))
    return total / jnp.maximum(weight.sum(), 1)


def trusted_labels(
    logits: Float[AnyArray, "n c"], per_class: int | None = None
) -> tuple[Integer[Array, "n c"], Bool[Array, " n"]]:
    """Pseudo-labels that are trusted: of every class, the images that the model is surest of among those it puts there.

    Args:
        logits: of all images before training.
        per_class: how many; `min(n / c / 10, 100)` and at least 1 by default, as the authors.

    Returns:
        One-hot pseudo-labels of all images, and which of them are trusted. The ids of all classes count; the authors' mask holds
        those of the last class alone.

    Raises:
        ValueError: without an image or a class, or for `per_class` below 1.

    >>> labels, trusted = trusted_labels(jnp.array([[3.0, 0.0], [1.0, 0.0], [0.0, 2.0]]), 1)
    >>> trusted.tolist()
    [True, False, True]
    """
    (logits,) = floating(logits)
    if logits.ndim != 2 or 0 in logits.shape:
        raise ValueError(f"logits has shape {logits.shape}; it must be [n, c], both at least 1")
    n, c = logits.shape
    count = max(1, min(n // c // 10, 100)) if per_class is None else check_at_least("per_class", per_class)
    labels = jax.nn.one_hot(logits.argmax(axis=1), c, dtype=jnp.int32)
    sureness = jnp.where(labels == 1, jax.nn.softmax(logits.astype(jnp.promote_types(logits.dtype, jnp.float32))), -1.0)
    place = jnp.argsort(jnp.argsort(-sureness, axis=0), axis=0)  # 0 for the surest image of each class
    return labels, jnp.any((place < count) & (labels == 1), axis=1)


def entropy(logits: Float[AnyArray, "n c"]) -> Float[Array, ""]:
    """Mean entropy of the predictions in nats, another objective without labels.

    Raises:
        ValueError: without a row or a class.

    >>> print(entropy(jnp.zeros((3, 4))).round(4))
    1.3863
    """
    (logits,) = floating(logits)
    if logits.ndim != 2 or 0 in logits.shape:
        raise ValueError(f"logits has shape {logits.shape}; it must be [n, c], both at least 1")
    log_p = jax.nn.log_softmax(logits.astype(jnp.promote_types(logits.dtype, jnp.float32)))
    return -jnp.mean(jnp.sum(jnp.exp(log_p) * log_p, axis=1))
