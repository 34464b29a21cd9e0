"""Adapters that complement a learned composition: a cache of few-shot features, and a linear probe beside the class vectors."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, check_ids, floating
from quire.common.losses.classification import smoothed_cross_entropy


class TipAdapter(NamedTuple):
    """Few-shot images as a cache beside a classifier (Zhang et al. 2022, Tip-Adapter-F: the keys are trained).

    Attributes:
        keys: features of length 1 of the cached images `[m, d]`.
        values: their labels, one-hot `[m, c]`.
        beta, alpha: sharpness and weight of the cache.
    """

    keys: Float[Array, "m d"]
    values: Float[Array, "m c"]
    beta: Float[Array, ""]
    alpha: Float[Array, ""]

    def __call__(self, features: Float[AnyArray, "n d"], logits: Float[AnyArray, "n c"]) -> Float[Array, "n c"]:
        """`alpha exp(-beta (1 - features keys^T)) values + logits`, features of length 1."""
        affinity = unit(features) @ self.keys.T
        return self.alpha * jnp.exp(-(self.beta - self.beta * affinity)) @ self.values + logits


def tip_adapter(
    features: Float[AnyArray, "m d"],
    logits: Float[AnyArray, "m c"],
    labels: Int[AnyArray, " m"],
    *,
    steps: int = 100,
    lr: float = 1e-3,
) -> TipAdapter:
    """Cache the features of labelled images and train keys, sharpness and weight on them; beta and alpha start at 1 and 2.

    Args:
        features: of the few-shot images, from the composed model.
        logits: of the same images.
        labels: their classes.
        steps, lr: of AdamW with a rate that falls as a cosine.

    Raises:
        ValueError: if the shapes do not fit, a label is no class, or there is no image.
    """
    features, logits = _checked(features, logits, labels)
    start = TipAdapter(unit(features), jax.nn.one_hot(labels, logits.shape[1]), jnp.array(1.0), jnp.array(2.0))
    return _trained_cache(start, features, logits, jnp.asarray(labels), lr, steps=check_at_least("steps", steps))


@partial(jax.jit, static_argnames="steps")
def _trained_cache(start, features, logits, labels, lr, *, steps):
    tx = optax.adamw(optax.cosine_decay_schedule(1.0, steps))

    def step(carry, _):
        moving, state = carry
        slope = jax.grad(lambda m: smoothed_cross_entropy(start._replace(**m)(features, logits), labels))(moving)
        update, state = tx.update(slope, state, moving)
        return (jax.tree.map(lambda p, u: p + lr * u, moving, update), state), None

    moving = {"keys": start.keys, "beta": start.beta, "alpha": start.alpha}
    (moving, _), _ = jax.lax.scan(step, (moving, tx.init(moving)), None, length=steps)
    return start._replace(**moving)


class LinearProbe(NamedTuple):
    """LP++ (Huang et al. 2024): a linear classifier beside the given class vectors, mixed class by class.

    Attributes:
        weights: of the classifier `[d, c]`.
        class_vectors: given ones of length 1 `[d, c]`.
        alpha: how much they count for every class.
    """

    weights: Float[Array, "d c"]
    class_vectors: Float[Array, "d c"]
    alpha: Float[Array, " c"]

    def __call__(self, features: Float[AnyArray, "n d"]) -> Float[Array, "n c"]:
        """`f W + alpha_c f t_c`, features of length 1."""
        f = unit(features)
        return f @ self.weights + self.alpha[None] * (f @ self.class_vectors)


def lp_plus_plus(
    features: Float[AnyArray, "m d"], class_vectors: Float[AnyArray, "d c"], labels: Int[AnyArray, " m"], *, steps: int = 300
) -> LinearProbe:
    """Train a linear probe without a rate to choose: its steps come from the features.

    The classifier starts from the sums of the features of every class, alpha from 250 times the mean similarity of the
    images to their own class vector, and the steps are `4 m` over the largest eigenvalue of the features' second moments; alpha
    moves every tenth step, by the inverse of its own curvature bound.

    Args:
        features: of the few-shot images.
        class_vectors: of the zero-shot head, a column for every class.
        labels: classes of the images, each at least once.
        steps: of gradient descent.

    Raises:
        ValueError: if the shapes do not fit, a label is no class, or a class has no image.
    """
    features, class_vectors = floating(features, class_vectors)
    features, text = _checked(unit(features), unit(features) @ unit(class_vectors.T).T, labels)
    counts = np.bincount(np.asarray(labels), minlength=text.shape[1])
    if not counts.all():
        raise ValueError(f"labels lacks class {int(counts.argmin())}; every one of {text.shape[1]} classes needs an image")
    onehot = jax.nn.one_hot(labels, text.shape[1])
    own = jnp.sum(onehot * text, axis=0) / jnp.asarray(counts, text.dtype)
    start = LinearProbe(features.T @ onehot, unit(class_vectors.T).T, jnp.full(text.shape[1], 250 * jnp.mean(own)))
    largest = np.linalg.eigvalsh(np.asarray(features.T @ features, np.float64))[-1]
    rates = (4 * len(features) / largest, 4 * len(features) / float(jnp.max(jnp.sum(text**2, axis=0))))
    return _descended(start, features, jnp.asarray(labels), *map(jnp.float32, rates), steps=check_at_least("steps", steps))


@partial(jax.jit, static_argnames="steps")
def _descended(start: LinearProbe, features, labels, rate, alpha_rate, *, steps: int) -> LinearProbe:
    def step(probe, number):
        slope = jax.grad(lambda p: smoothed_cross_entropy(probe._replace(weights=p[0], alpha=p[1])(features), labels))(
            (probe.weights, probe.alpha)
        )
        alpha = jnp.where(number % 10 == 9, probe.alpha - alpha_rate * slope[1], probe.alpha)
        return probe._replace(weights=probe.weights - rate * slope[0], alpha=alpha), None

    return jax.lax.scan(step, start, jnp.arange(steps))[0]


def unit(x: Float[AnyArray, "n d"]) -> Float[Array, "n d"]:
    """Rows of length 1; a row of zeros stays one.

    >>> print(np.asarray(unit(jnp.array([[3.0, 4.0], [0.0, 0.0]]))).round(2))
    [[0.6 0.8]
     [0.  0. ]]
    """
    (x,) = floating(x)
    square = jnp.sum(x**2, axis=1, keepdims=True)
    return x / jnp.sqrt(jnp.where(square == 0, 1, square))


def _checked(features: Any, logits: Any, labels: Any) -> tuple[Array, Array]:
    features, logits = floating(features, logits)
    if not len(features) or not len(features) == len(logits) == len(labels):
        raise ValueError(
            f"features has {len(features)} rows, logits {len(logits)}, labels {len(labels)}; they need equally many, at least 1"
        )
    check_ids("labels", labels, logits.shape[1])
    return features, logits
