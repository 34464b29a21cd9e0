"""DISTILLn: several teachers into one trunk that keeps a head for each of them, so that it must keep the features of all."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from quire.common.arrays import AnyArray
from quire.common.checks import check_positive, floating
from quire.rich_representations.networks import Student


def distill_loss(
    features: Num[AnyArray, "batch dim"],
    weights: Num[AnyArray, "n classes dim"],
    biases: Num[AnyArray, "n classes"],
    teacher_logits: Num[AnyArray, "n batch classes"],
    temperature: float | Array,
) -> Float[Array, ""]:
    """`sum_i tau^2 mean_x KL(softmax(t_i / tau) || softmax((v_i phi + c_i) / tau))`, a sum over teachers.

    `tau^2` keeps the size of the gradients as the temperature rises.

    Args:
        features: of the student.
        weights, biases: its heads, one for each teacher.
        teacher_logits: t.
        temperature: tau.

    Raises:
        ValueError: for a temperature that is not positive, no rows, or shapes that do not fit.

    >>> x = jnp.array([[1.0, 2.0]])
    >>> print(distill_loss(x, jnp.eye(2)[None], jnp.zeros((1, 2)), x[None], 2.0))
    0.0
    """
    check_positive("temperature", temperature)
    if features.ndim != 2 or weights.ndim != 3 or weights.shape[2] != features.shape[1] or biases.shape != weights.shape[:2]:
        raise ValueError(f"features, weights and biases have shapes {features.shape}, {weights.shape}, {biases.shape}")
    n, classes, _ = weights.shape
    if teacher_logits.shape != (n, len(features), classes) or not teacher_logits.size:
        raise ValueError(f"teacher_logits has shape {teacher_logits.shape}; it needs {(n, len(features), classes)}, not empty")
    features, weights, biases, teacher_logits = floating(features, weights, biases, teacher_logits)
    student = jnp.einsum("bd,ncd->nbc", features, weights) + biases[:, None]
    log_p, log_q = (jax.nn.log_softmax(logits / temperature) for logits in (teacher_logits, student))
    divergence = jnp.sum(jnp.exp(log_p) * (log_p - log_q), axis=-1)
    return temperature**2 * divergence.mean(axis=1).sum()


def distillation(model: Student, batch: tuple[Array, Array, Array], unused: Any = None) -> Float[Array, ""]:
    """The loss as the objective of a training loop: batches are inputs, labels, which play no part, and the teachers' logits
    `[batch, n, classes]`; the temperature is the student's."""
    inputs, _, teachers = batch
    features, tau = model.trunk(inputs), model.temperature[...]
    return distill_loss(features, model.kernel[...], model.bias[...], teachers.transpose(1, 0, 2), tau)
