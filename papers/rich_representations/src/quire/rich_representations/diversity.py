"""How much episodes differ: by what their features span, and by what their classifiers answer."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Real

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, check_finite
from quire.common.metrics.similarity import linear_cka


def cka_matrix(features: Real[AnyArray, "n examples dim"]) -> Float[Array, "n n"]:
    """Linear CKA of every pair of representations of the same examples.

    Raises:
        ValueError: without a representation or an example.

    >>> x = np.array([[[1.0], [2.0], [4.0]], [[2.0], [4.0], [8.0]]])
    >>> cka_matrix(x).round(3).tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """
    if features.ndim != 3 or not len(features):
        raise ValueError(f"features has shape {features.shape}; it must be [n, examples, dim], n at least 1")
    features = jnp.asarray(features)
    return _pairs(features)


@jax.jit
def _pairs(features):
    return jax.vmap(lambda x: jax.vmap(lambda y: linear_cka(x, y))(features))(features)


def disagreement(logits: Real[np.ndarray, "n examples classes"]) -> float:
    """Share of examples that two models answer differently, the mean over pairs.

    Raises:
        ValueError: for fewer than two models, no example, or logits that are not finite.

    >>> disagreement(np.array([[[1.0, 0.0], [1.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]]]))
    0.5
    """
    if logits.ndim != 3 or not logits.size:
        raise ValueError(f"logits has shape {logits.shape}; it must be [n, examples, classes], not empty")
    check_at_least("number of models", len(logits), 2)
    check_finite("logits", logits)
    answers = logits.argmax(-1)
    first, second = np.triu_indices(len(answers), 1)
    return float((answers[first] != answers[second]).mean())
