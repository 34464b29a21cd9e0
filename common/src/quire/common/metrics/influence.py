"""Influence of training examples on what a model does elsewhere, from gradients of its last layer."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Real

from quire.common.checks import floating


def last_layer_gradients(residual: Real[Array, " _"], hidden: Real[Array, "n dim"]) -> Float[Array, "n dim"]:
    """Gradients of `(prediction - target)^2 / 2` of every example by the weights of a linear output, `residual * hidden`.

    Args:
        residual: prediction minus target.
        hidden: what the output layer sees.

    Raises:
        ValueError: if there is not one residual for each row.
    """
    if residual.shape != hidden.shape[:1]:
        raise ValueError(f"residual has shape {residual.shape}; hidden needs {hidden.shape[:1]}")
    residual, hidden = floating(residual, hidden)
    return residual[:, None] * hidden


def tracin(
    train: Real[Array, "*_ n dim"], others: Real[Array, "*_"], rates: Real[Array, "*_"] | float = 1.0
) -> Float[Array, " n"]:
    """Influence of every training example, `sum over checkpoints of rate <its gradient, sum of the others' gradients>`.

    A positive number: a step on the example lowers the loss of the others, to first order. Influences of checkpoints add up, so
    that gradients need not be kept: add the result of one checkpoint to a running sum.

    Args:
        train: gradients of the training examples, at every checkpoint.
        others: sum of the gradients of those whose loss is watched.
        rates: learning rates.

    Raises:
        ValueError: if shapes do not fit.

    References:
        Pruthi et al., *Estimating training data influence by tracing gradient descent*, 2020, arXiv 2002.08484, section 3.3.

    >>> tracin(jnp.array([[1.0, 0.0], [0.0, -2.0]]), jnp.array([3.0, 1.0])).tolist()
    [3.0, -2.0]
    """
    if train.ndim < 2 or others.shape != (*train.shape[:-2], train.shape[-1]):
        raise ValueError(
            f"train has shape {train.shape}, others {others.shape}; others needs {(*train.shape[:-2], train.shape[-1])}"
        )
    train, others, rates = floating(train, others, rates)
    scores = jnp.einsum("...nd,...d->...n", train, others) * jnp.broadcast_to(rates, others.shape[:-1])[..., None]
    return scores.sum(tuple(range(scores.ndim - 1)))
