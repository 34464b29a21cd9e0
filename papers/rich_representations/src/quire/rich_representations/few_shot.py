"""Few-shot tasks on frozen features: a linear head ("Baseline") or a cosine head ("Baseline++") trained on the support.

References:
    Chen et al., *A Closer Look at Few-shot Classification*, 2019, arXiv 1904.04232.
"""

from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Num

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, check_finite, floating
from quire.common.layers.initialisers import normal
from quire.common.layers.nested import unit_rows
from quire.common.losses.classification import smoothed_cross_entropy
from quire.common.random import generator
from quire.common.roots import length, root

Head = Literal["linear", "cosine"]


class FewShot(NamedTuple):
    """Tasks as indices of examples; the label of a row is its class within the task.

    Attributes:
        support: `[tasks, ways, shots]`.
        query: `[tasks, ways, queries]`, disjoint from the support.
    """

    support: Int[np.ndarray, "tasks ways shots"]
    query: Int[np.ndarray, "tasks ways queries"]


def cosine_logits(
    features: Num[AnyArray, "*batch dim"], weights: Num[AnyArray, "classes dim"], scale: float | Array = 2.0
) -> Float[Array, "*batch classes"]:
    """`scale <phi / (|phi| + 1e-5), w / |w|>`, the head of Chen et al.: the features' length is never quite divided out.

    Raises:
        ValueError: if the dimensions differ, or weights is no `[classes, dim]`.

    >>> print(cosine_logits(jnp.array([[3.0, 0.0]]), jnp.array([[2.0, 0.0], [0.0, -1.0]])).round(3) + 0.0)
    [[2. 0.]]
    """
    if weights.ndim != 2 or features.shape[-1:] != weights.shape[1:]:
        raise ValueError(f"features has shape {features.shape}; weights {weights.shape} need [classes, dim], one dim")
    features, weights = floating(features, weights)
    return scale * (features / (length(features)[..., None] + 1e-5)) @ unit_rows(weights).T


def few_shot_episodes(
    key: jax.Array, labels: Int[np.ndarray, " n"], *, tasks: int, ways: int, shots: int, queries: int
) -> FewShot:
    """Random tasks: some classes, some examples of each to learn from and others to be asked.

    Representations are compared on the same tasks, since a task may be hard for all.

    Raises:
        ValueError: if a size is not positive, there are too few classes, or a class has too few examples.

    >>> drawn = few_shot_episodes(jax.random.key(0), np.array([0, 0, 1, 1]), tasks=3, ways=2, shots=1, queries=1)
    >>> drawn.support.shape, drawn.query.shape
    ((3, 2, 1), (3, 2, 1))
    """
    for name, size in (("tasks", tasks), ("ways", ways), ("shots", shots), ("queries", queries)):
        check_at_least(name, size)
    classes = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    least = min(map(len, classes), default=0)
    if len(classes) < ways or least < shots + queries:
        raise ValueError(
            f"ways is {ways} and shots + queries {shots + queries}; there are {len(classes)} classes, the smallest of {least}"
        )
    draw = generator(key)
    rows = [
        [draw.choice(classes[c], shots + queries, replace=False) for c in draw.choice(len(classes), ways, replace=False)]
        for _ in range(tasks)
    ]
    drawn = np.array(rows, np.int32)
    return FewShot(drawn[..., :shots], drawn[..., shots:])


def few_shot_accuracy(
    features: Num[AnyArray, "n dim"], episodes: FewShot, key: jax.Array, *, head: Head, scale: float = 2.0, steps: int = 100
) -> Float[np.ndarray, " tasks"]:
    """Accuracy on the queries of every task, after training a head on its support by momentum.

    Args:
        features: of all examples; extracted once.
        episodes: the tasks.
        key: for the initial heads.
        head: `"linear"`, or `"cosine"`, `scale <phi / |phi|, w / |w|>`.
        scale: of the cosines.
        steps: of gradient descent on the whole support, with momentum 0.9 and a rate of 0.1; 2 for cosines, whose slopes are
            flat.

    Raises:
        ValueError: for another head, features that are not finite, or no step.
    """
    if head not in ("linear", "cosine"):
        raise ValueError(f"head is {head!r}; it must be 'linear' or 'cosine'")
    check_at_least("steps", steps)
    check_finite("features", features)
    _, ways, _ = episodes.support.shape
    start = normal(0.01 if head == "linear" else 1.0)(key, (len(episodes.support), ways, features.shape[1]))
    return np.asarray(_learn(jnp.asarray(features), *episodes, start, scale, head, steps))


@partial(jax.jit, static_argnames=("head", "steps"))
def _learn(features, support, query, start, scale, head, steps):
    size = root(jnp.mean(features**2))
    features = features / jnp.where(size == 0, 1, size)  # one scale for all sets, so that one rate suits them

    def logits(params, z):
        return z @ params["w"].T + params["b"][None] if head == "linear" else cosine_logits(z, params["w"], scale)

    def task(support, query, w):
        ways, shots = support.shape
        labels = jnp.arange(ways)
        tx = optax.sgd(0.1 if head == "linear" else 2.0, momentum=0.9)
        params = {"w": w, "b": jnp.zeros(ways)}
        z, y = features[support.reshape(-1)], jnp.repeat(labels, shots)

        def step(carry, _):
            params, moments = carry
            slope = jax.grad(lambda p: smoothed_cross_entropy(logits(p, z), y))(params)
            updates, moments = tx.update(slope, moments)
            return (optax.apply_updates(params, updates), moments), None

        (params, _), _ = jax.lax.scan(step, (params, tx.init(params)), length=steps)
        found = logits(params, features[query.reshape(-1)]).argmax(-1)
        return jnp.mean(found == jnp.repeat(labels, query.shape[1]))

    return jax.vmap(task)(support, query, start)
