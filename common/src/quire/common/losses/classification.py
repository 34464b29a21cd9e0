"""Cross-entropy of class scores: with smoothed labels, over the positions that a mask keeps; images mixed with their targets."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from quire.common.checks import floating


def smoothed_cross_entropy(
    logits: Float[Array, "*batch classes"],
    labels: Int[Array, "*batch"] | Float[Array, "*batch classes"],
    smoothing: float = 0.0,
) -> Float[Array, ""]:
    """Mean of `-sum_c t_c log p_c` with targets `t = (1 - s) onehot(y) + s / C` (Szegedy et al. 2016, section 7).

    Args:
        logits: scores of `classes` classes; at least one row. Without smoothing, minus infinity leaves a class out.
        labels: class of every row; one outside `0..classes - 1` makes the loss NaN, where it cannot raise. Or floating
            targets in place of `onehot(y)`, a distribution over classes for every row, as mixtures of images have.
        smoothing: s, in `[0, 1)`.

    Returns:
        The loss in nats, at least in float32.

    Raises:
        ValueError: for a smoothing outside `[0, 1)`, shapes that do not fit, or no rows.

    >>> print(smoothed_cross_entropy(jnp.zeros((2, 4)), jnp.array([0, 3])).round(4))
    1.3863
    """
    if not 0 <= smoothing < 1:
        raise ValueError(f"smoothing is {smoothing}; it must lie in [0, 1)")
    if jnp.issubdtype(labels.dtype, jnp.floating):
        log_probs = _log_probabilities(logits, jnp.asarray(labels)[..., 0])
        if labels.shape != logits.shape:
            raise ValueError(f"labels has shape {labels.shape}; targets need that of logits, {logits.shape}")
        picked = jnp.sum(labels * jnp.where(labels == 0, 0, log_probs), axis=-1)  # a class left out may score minus infinity
    else:
        log_probs = _log_probabilities(logits, labels)
        picked = _picked(log_probs, labels)
    return -jnp.mean(picked if smoothing == 0 else (1 - smoothing) * picked + smoothing * log_probs.mean(-1))


def masked_cross_entropy(
    logits: Float[Array, "*batch classes"], labels: Int[Array, "*batch"], keep: Bool[Array, "*batch"]
) -> Float[Array, ""]:
    """Mean cross-entropy over the rows that `keep` marks; 0 when it marks none.

    Args:
        logits: scores of `classes` classes.
        labels: class of every row; those that are not kept may hold anything.
        keep: which rows count.

    Returns:
        The loss in nats, at least in float32.

    Raises:
        ValueError: if shapes do not fit, or there are no rows.

    >>> print(masked_cross_entropy(jnp.zeros((2, 4)), jnp.array([0, -1]), jnp.array([True, False])).round(4))
    1.3863
    """
    if keep.shape != labels.shape:
        raise ValueError(f"keep has shape {keep.shape}; it needs that of labels, {labels.shape}")
    log_probs = _log_probabilities(logits, labels)
    # masked rows get a class that exists, so that neither they nor their gradients are NaN
    picked = _picked(log_probs, jnp.where(keep, labels, 0))
    return -jnp.sum(jnp.where(keep, picked, 0.0)) / jnp.maximum(keep.sum(), 1)


def mixup(
    images: Float[Array, "batch *shape"], targets: Float[Array, "batch classes"], key: jax.Array, alpha: float
) -> tuple[Float[Array, "batch *shape"], Float[Array, "batch classes"]]:
    """`l x + (1 - l) x'` of every image with the one in its place counted from the end, and of their targets (Zhang et al. 2018).

    Args:
        images: the batch; whole numbers become floating.
        targets: probabilities of the classes.
        key: draws `l`, one for the batch.
        alpha: `l` is of `Beta(alpha, alpha)`.

    Raises:
        ValueError: if alpha is not positive, or the lengths differ.

    >>> x, t = mixup(jnp.array([[0.0], [1.0]]), jnp.eye(2), jax.random.key(0), 1.0)
    >>> bool(jnp.allclose(x.sum(), 1)), bool(jnp.allclose(x[:, 0], t[:, 1]))
    (True, True)
    """
    _check_mixed(images, targets, alpha)
    (images,), (targets,) = floating(images), floating(targets)
    share = jax.random.beta(key, alpha, alpha, dtype=targets.dtype)

    def mixed(x):
        return share.astype(x.dtype) * x + (1 - share).astype(x.dtype) * x[::-1]

    return mixed(images), mixed(targets)


def cutmix(
    images: Float[Array, "batch h w c"], targets: Float[Array, "batch classes"], key: jax.Array, alpha: float
) -> tuple[Float[Array, "batch h w c"], Float[Array, "batch classes"]]:
    """A rectangle of every image from the one in its place counted from the end, targets by area (Yun et al. 2019).

    The rectangle has the proportions of the image and `1 - l` of its area, its centre is uniform, and what sticks out is cut off;
    targets go by what is left of it.

    Args:
        images: the batch.
        targets, alpha: as for `mixup`.
        key: draws `l` and the centre, for the whole batch.

    Raises:
        ValueError: as `mixup`.

    >>> x, t = cutmix(jnp.stack([jnp.zeros((4, 4, 1)), jnp.ones((4, 4, 1))]), jnp.eye(2), jax.random.key(0), 1.0)
    >>> bool(jnp.allclose(x[0].mean(), t[0, 1]))
    True
    """
    _check_mixed(images, targets, alpha)
    (targets,) = floating(targets)
    share_key, centre_key = jax.random.split(key)
    side = jnp.sqrt(1 - jax.random.beta(share_key, alpha, alpha, dtype=targets.dtype))
    centre = jax.random.uniform(centre_key, (2,))
    inside = []
    for size, middle in zip(images.shape[1:3], centre, strict=True):
        low, high = (jnp.floor(middle * size + half * side * size) for half in (-0.5, 0.5))
        inside.append((jnp.arange(size) >= low) & (jnp.arange(size) < high))
    cut = inside[0][:, None] & inside[1][None, :]
    area = cut.mean(dtype=targets.dtype)
    return jnp.where(cut[None, :, :, None], images[::-1], images), (1 - area) * targets + area * targets[::-1]


def _check_mixed(images: Array, targets: Array, alpha: float) -> None:
    if not alpha > 0 or len(images) != len(targets):
        raise ValueError(
            f"alpha is {alpha} for {len(images)} images and {len(targets)} targets; it must be positive, they as many"
        )


def _log_probabilities(logits: Array, labels: Array) -> Array:
    if logits.ndim < 1 or logits.shape[:-1] != labels.shape:
        raise ValueError(f"labels has shape {labels.shape}; it needs that of logits without the classes, {logits.shape[:-1]}")
    if labels.size == 0 or logits.shape[-1] == 0:
        raise ValueError(f"logits has shape {logits.shape}; it needs at least one row and one class")
    return jax.nn.log_softmax(logits.astype(jnp.promote_types(logits.dtype, jnp.float32)))


def _picked(log_probs: Array, labels: Array) -> Array:
    """Log probability of each row's class; NaN for a class that does not exist, which indexing would clamp or wrap."""
    known = (labels >= 0) & (labels < log_probs.shape[-1])
    picked = jnp.take_along_axis(log_probs, jnp.where(known, labels, 0)[..., None], axis=-1)[..., 0]
    return jnp.where(known, picked, jnp.nan)
