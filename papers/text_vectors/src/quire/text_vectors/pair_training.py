"""Paragraph vectors by pairs of a document and a word of it: PV-DBOW, and PV-DM, which sees the words around as well."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Bool, Int

from quire.common.checks import check_at_least
from quire.common.train.adagrad import adagrad
from quire.common.train.batches import epoch_indices, take_batch
from quire.common.train.fit import fit
from quire.text_vectors.paragraph_vectors import BinaryPV
from quire.text_vectors.sense_text import SenseText


def fit_pairs(
    text: SenseText,
    chosen: Bool[np.ndarray, " n"],
    bits: int,
    key: jax.Array,
    *,
    context_dim: int = 0,
    window: int = 5,
    steps: int = 600,
    batch_size: int = 512,
    learning_rate: float = 0.3,
) -> BinaryPV:
    """A model of the documents of a text, trained on every place alike by the exact softmax.

    Args:
        text: tokens and their documents.
        chosen: places to learn from; the rows of documents without any stay as drawn.
        bits: k.
        key: of the start and the batches.
        context_dim: d of PV-DM; 0 for PV-DBOW.
        window: words of context on either side, for PV-DM.
        steps, batch_size: of AdaGrad.
        learning_rate: of AdaGrad.

    Raises:
        ValueError: for sizes below 1, or no place to learn from.
    """
    for name, value in (("window", window), ("steps", steps), ("batch_size", batch_size)):
        check_at_least(name, value)
    check_at_least("number of chosen places", int(np.sum(chosen)))
    center, context = (x[chosen] for x in text.windows(window))
    document = text.document[chosen].astype(np.int32)
    rows = epoch_indices(key, len(center), min(batch_size, len(center)), steps)
    counts = np.bincount(center, minlength=text.vocab)
    model = BinaryPV(
        int(text.document.max()) + 1, text.vocab, bits, context_dim=context_dim, word_counts=counts, rngs=nnx.Rngs(key)
    )

    def loss(model, batch, key):
        return 10 * model.loss(*batch)  # the accumulator of AdaGrad then starts small beside the gradients

    examples = (document, center, context) if context_dim else (document, center)
    data = jax.tree.map(jnp.asarray, (examples, rows))
    fit(model, adagrad(learning_rate, start=1e-3), loss, take_batch, data, steps=steps, key=key, chunk_steps=steps)
    return model


def topics_of_documents(text: SenseText, topic: Int[np.ndarray, " n"]) -> Int[np.ndarray, " docs"]:
    """The commonest topic of the words of every document.

    Args:
        text: documents.
        topic: of the word at every place.
    """
    counts = np.zeros((int(text.document.max()) + 1, int(topic.max()) + 1), int)
    np.add.at(counts, (text.document, topic), 1)
    return counts.argmax(1)


def word_counts_of(text: SenseText) -> Int[np.ndarray, "docs V"]:
    """How often every document has every word."""
    counts = np.zeros((int(text.document.max()) + 1, text.vocab), int)
    np.add.at(counts, (text.document, text.tokens[text.places]), 1)
    return counts
