"""Codes of documents that were not there in training: everything is frozen but their own rows."""

from functools import partial

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float, Real, UInt8

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, check_positive
from quire.common.random import generator
from quire.text_vectors.paragraph_vectors import PVWeights, count_loss, document_codes


@partial(jax.jit, static_argnames=("steps", "binary"))
def fit_documents(
    weights: PVWeights,
    counts: Real[AnyArray, "n V"],
    start: Float[AnyArray, "n r"],
    *,
    steps: int = 150,
    learning_rate: float = 0.05,
    binary: bool = True,
) -> Float[AnyArray, "n r"]:
    """Rows of D for new documents, by steps of Adam on their words alone.

    Args:
        weights: of a trained model; its documents are not looked at.
        counts: words of the new documents.
        start: rows to begin with.
        steps, learning_rate: of Adam.
        binary: bits or real numbers.

    Raises:
        ValueError: for steps below 1 or a rate that is not positive, or counts over another vocabulary.
    """
    check_at_least("steps", steps)
    check_positive("learning_rate", learning_rate)
    if counts.shape != (len(start), len(weights.out_b)):
        raise ValueError(f"counts has shape {counts.shape}; it needs {(len(start), len(weights.out_b))}, a row a document")
    tx, rows = optax.adam(learning_rate), jnp.arange(len(start))

    def step(carry, _):
        docs, state = carry
        # summed over documents: the step of one does not depend on how many there are
        slope = jax.grad(lambda docs: len(start) * count_loss(weights._replace(docs=docs), rows, counts, binary=binary))(docs)
        update, state = tx.update(slope, state)
        return (docs + update, state), None

    return jax.lax.scan(step, (start, tx.init(start)), None, length=steps)[0][0]


def infer_codes(weights: PVWeights, counts: Real[AnyArray, "n V"], key: jax.Array, steps: int = 150) -> UInt8[AnyArray, "n k"]:
    """Bits of new documents.

    Args:
        weights: of a trained model.
        counts: words of the new documents, over its vocabulary.
        key: of the rows to begin with.
        steps: of Adam.

    Raises:
        ValueError: as `fit_documents`.
    """
    draw = 0.1 * generator(key).standard_normal((len(counts), weights.docs.shape[1]))
    start = jnp.asarray(draw, jnp.result_type(weights.docs, jnp.float32))
    return document_codes(weights._replace(docs=fit_documents(weights, counts, start, steps=steps)))
