"""Is there a sub-space in which two arbitrary classes agree? Frozen features, and one gate for one pair of classes."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least
from quire.hydra.loss import pair_loss
from quire.hydra.similarity import gated_cosine


def learn_gate(
    first: Float[AnyArray, "m dim"],
    second: Float[AnyArray, "k dim"],
    others: Float[AnyArray, "n dim"],
    *,
    steps: int = 100,
    learning_rate: float = 0.1,
    temperature: float = 0.1,
) -> tuple[Float[Array, " dim"], Float[Array, " steps"]]:
    """The gate that brings two classes together and keeps the others away: Adam on its logits, from halves, with `pair_loss`.

    Every sample of either class is an anchor, those of the other class are its positives, `others` the negatives.

    Args:
        first, second: features of the two classes.
        others: of samples of other classes.
        steps, learning_rate: of Adam.
        temperature: T.

    Returns:
        The gate, and the loss before every step.

    Raises:
        ValueError: for fewer than one step, or features that do not fit.

    >>> a, b, c = jnp.array([[1.0, 1.0]]), jnp.array([[1.0, -1.0]]), jnp.array([[-1.0, 1.0]])
    >>> print(learn_gate(a, b, c)[0] > 0.5)  # they agree in the first coordinate
    [ True False]
    """
    check_at_least("steps", steps)
    anchors = jnp.concatenate([first, second])
    keys = jnp.concatenate([anchors, others])
    sizes = len(first), len(second), len(others)
    labels = np.repeat(np.arange(3, dtype=np.int32), sizes)
    own = labels[: len(anchors)]
    tx = optax.adam(learning_rate)

    def objective(logits):
        gate = jnp.broadcast_to(jax.nn.sigmoid(logits), anchors.shape)
        return pair_loss(anchors, gate, own, 1 - own, keys=keys, y_keys=labels, temperature=temperature)

    def step(carry, _):
        logits, state = carry
        value, slope = jax.value_and_grad(objective)(logits)
        updates, state = tx.update(slope, state)
        return (optax.apply_updates(logits, updates), state), value

    start = jnp.zeros(anchors.shape[1], anchors.dtype)
    (logits, _), losses = jax.lax.scan(step, (start, tx.init(start)), length=steps)
    return jax.nn.sigmoid(logits), losses


def auc(positive: Float[AnyArray, "..."], negative: Float[AnyArray, "..."]) -> float:
    """How often a positive score is above a negative one, ties counting half; NaN for none of either, or scores that are NaN.

    >>> auc(np.array([2.0, 1.0]), np.array([1.0, 0.0]))
    0.875
    """
    from sklearn.metrics import roc_auc_score

    positive, negative = np.ravel(positive).astype(float), np.ravel(negative).astype(float)
    scores = np.concatenate([positive, negative])
    if not (positive.size and negative.size) or np.isnan(scores).any():
        return float("nan")
    return float(roc_auc_score(np.arange(scores.size) < positive.size, scores))


def separation(
    z: Float[np.ndarray, "n dim"], labels: Int[np.ndarray, " n"], pair: tuple[int, int], gate: Float[AnyArray, " dim"]
) -> float:
    """AUC of gated cosines: samples of the first class against those of the second, and against those of all other classes.

    Args:
        z: features.
        labels: their classes.
        pair: the two classes.
        gate: ones for the whole space.
    """
    anchors = z[labels == pair[0]]
    scores = np.asarray(_scores(anchors, z, np.broadcast_to(gate, anchors.shape)))
    return auc(scores[:, labels == pair[1]], scores[:, ~np.isin(labels, pair)])


_scores = jax.jit(gated_cosine)


class Planted(NamedTuple):
    """Data whose sub-spaces are known.

    Attributes:
        x: `[n, dim]`.
        labels: int32 `[n]`.
        attributes: coordinates that a class has, `[classes, dim]`; two classes share those that both have.
    """

    x: Float[np.ndarray, "n dim"]
    labels: Int[np.ndarray, " n"]
    attributes: Bool[np.ndarray, "classes dim"]


def planted_mixture(
    draw: np.random.Generator, classes: int, dim: int, per_class: int, *, shift: float = 1.5, spread: float = 0.5
) -> Planted:
    """Gaussian classes with attributes in a random third of the coordinates each: `± shift + spread N(0, 1)`, elsewhere N(0, 1).

    The sign belongs to the coordinate, so that classes with its attribute agree in it. A third, so that most of the other
    classes lack what a pair shares.

    Args:
        draw: of everything.
        classes, dim, per_class: sizes.
        shift, spread: of the attributes.

    Raises:
        ValueError: for a size below 1.

    >>> planted = planted_mixture(np.random.default_rng(0), 3, 8, 5)
    >>> planted.x.shape, planted.attributes.sum(1).tolist()
    ((15, 8), [3, 3, 3])
    """
    for name, size in (("classes", classes), ("dim", dim), ("per_class", per_class)):
        check_at_least(name, size)
    attributes = draw.permuted(np.broadcast_to(np.arange(dim) < -(-dim // 3), (classes, dim)), axis=1)
    sign = draw.choice([-1.0, 1.0], dim)
    labels = np.repeat(np.arange(classes, dtype=np.int32), per_class)
    noise = draw.standard_normal((len(labels), dim))
    x = np.where(attributes[labels], shift * sign + spread * noise, noise)
    return Planted(x.astype(np.float32), labels, attributes)
