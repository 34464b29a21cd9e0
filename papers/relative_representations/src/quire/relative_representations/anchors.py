"""Which samples become anchors (section 3 and the appendix), and anchors drawn around classes."""

from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Num

from quire.common.arrays import AnyArray
from quire.common.fields.surfaces import farthest_points
from quire.common.quant.codebooks import kmeans
from quire.common.random import generator

Policy = Literal["uniform", "farthest", "kmeans", "balanced", "frequent"]


def select_anchors(
    key: jax.Array,
    latents: Num[AnyArray, "n dim"],
    m: int,
    policy: Policy = "uniform",
    *,
    labels: Int[np.ndarray, " n"] | None = None,
    counts: Num[np.ndarray, " n"] | None = None,
) -> Int[np.ndarray, " m"]:
    """Ids of m different samples to be anchors, and the same ids for every encoder.

    Args:
        key: of what is random.
        latents: candidates, by any one encoder; only `"farthest"` and `"kmeans"` look at the numbers.
        m: how many.
        policy: `"uniform"`: drawn, sorted. `"farthest"`: farthest point sampling from a drawn start, in that order. `"kmeans"`:
            the candidate nearest to each of m centres that no centre before it took. `"balanced"`: drawn within classes, as many
            of each as can be, sorted. `"frequent"`: those with the largest counts (of words, say), largest first.
        labels: classes, for `"balanced"`; draw again with another key to re-sample anchors while training.
        counts: for `"frequent"`.

    Raises:
        ValueError: for m outside 1..n, latents that are not finite, an unknown policy, or if what the policy needs is missing,
            is not one for each candidate, or has too few of a class.

    >>> select_anchors(jax.random.key(0), np.zeros((6, 1)), 4, "balanced", labels=np.array([0, 0, 0, 0, 1, 1])).tolist()
    [2, 3, 4, 5]
    >>> select_anchors(jax.random.key(0), np.zeros((4, 1)), 2, "frequent", counts=np.array([3, 1, 9, 3])).tolist()
    [2, 0]
    """
    latents = np.asarray(latents)
    if latents.ndim != 2 or not 1 <= m <= len(latents):
        raise ValueError(f"m is {m} for latents of shape {latents.shape}; it needs [n, dim] and between 1 and n anchors")
    if not np.isfinite(latents.astype(float)).all():
        raise ValueError("latents has numbers that are not finite")
    if policy not in get_args(Policy):
        raise ValueError(f"policy is {policy!r}; it must be one of {', '.join(get_args(Policy))}")
    for name, given, wanted in (("labels", labels, "balanced"), ("counts", counts, "frequent")):
        shape = () if given is None else np.shape(given)
        if policy == wanted and shape != (len(latents),):
            raise ValueError(f"{name} has shape {shape}; policy {policy!r} needs one for each of {len(latents)} rows")
    if policy == "frequent" and not np.isfinite(np.asarray(counts, float)).all():
        raise ValueError("counts has numbers that are not finite")
    draw = generator(key)
    if policy == "uniform":
        return np.sort(draw.choice(len(latents), m, replace=False))
    if policy == "frequent":
        return np.argsort(-np.asarray(counts, float), kind="stable")[:m]
    if policy == "balanced":
        return _balanced(draw, np.asarray(labels), m)
    if policy == "farthest":
        return np.asarray(farthest_points(latents, m, int(draw.integers(len(latents)))), int)
    return _nearest_to_centres(key, latents, m)


def _balanced(draw: np.random.Generator, labels: np.ndarray, m: int) -> np.ndarray:
    """The first `m % classes` classes give one more than the others."""
    classes = np.unique(labels)
    quota = m // len(classes) + (np.arange(len(classes)) < m % len(classes))
    members = [np.flatnonzero(labels == each) for each in classes]
    if short := [f"{each} ({len(ids)})" for each, ids, n in zip(classes, members, quota, strict=True) if len(ids) < n]:
        raise ValueError(f"m is {m}: {max(quota)} of each class, and there are too few of {', '.join(short)}")
    return np.sort(np.concatenate([draw.choice(ids, n, replace=False) for ids, n in zip(members, quota, strict=True)]))


def _nearest_to_centres(key: jax.Array, latents: np.ndarray, m: int) -> np.ndarray:
    centres = np.asarray(kmeans(jnp.asarray(latents, jnp.result_type(float)), m, key=key).centres)
    chosen, free = [], np.ones(len(latents), bool)
    for centre in centres:
        distance = np.where(free, ((latents - centre) ** 2).sum(1), np.inf)
        chosen.append(int(distance.argmin()))
        free[chosen[-1]] = False
    return np.array(chosen)


def gaussian_anchors(
    key: jax.Array, latents: Num[AnyArray, "n dim"], labels: Int[np.ndarray, " n"], per_class: int
) -> Float[np.ndarray, "m dim"]:
    """Anchors that are no samples: drawn from a Gaussian fitted to the latents of each class, class by class.

    They belong to one latent space: for another one, fit and draw there. With the same key the draws correspond only as far as
    the axes of the two spaces do, so use them to train in one space, not to compare two.

    Args:
        key: of the draws.
        latents: of one encoder.
        labels: class of every row.
        per_class: anchors of every class.

    Returns:
        `[classes * per_class, dim]`, in the order of the classes that are present, float64 or the dtype of the latents.

    Raises:
        ValueError: for fewer than one anchor a class, no rows, latents that are not finite, or labels that do not fit.

    >>> latents, labels = np.array([[0.0, 1.0], [0.0, 3.0], [5.0, 5.0]]), np.array([0, 0, 1])
    >>> anchors = gaussian_anchors(jax.random.key(0), latents, labels, 2)
    >>> anchors[:, 0].tolist()  # the spread of a class is that of its samples
    [0.0, 0.0, 5.0, 5.0]
    """
    latents, labels = np.asarray(latents), np.asarray(labels)
    latents = latents if np.issubdtype(latents.dtype, np.floating) else latents.astype(float)
    if per_class < 1 or latents.ndim != 2 or len(latents) == 0 or labels.shape != (len(latents),):
        raise ValueError(f"per_class is {per_class}, latents {latents.shape}, labels {labels.shape}; see the docstring")
    if not np.isfinite(latents).all():
        raise ValueError("latents has numbers that are not finite")
    draw, parts = generator(key), []
    for each in np.unique(labels):
        own = latents[labels == each]
        # noise times centred samples has their covariance, of whatever rank; no factorisation is needed
        noise = draw.standard_normal((per_class, len(own))) / np.sqrt(len(own))
        parts.append(own.mean(0) + noise @ (own - own.mean(0)))
    return np.concatenate(parts).astype(latents.dtype)
