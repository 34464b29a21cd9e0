"""What a step of pre-training minimises: masked words, the sentence from its vector, and its bag of words."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Real

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least
from quire.common.layers.bert import MLMHead
from quire.common.losses.classification import masked_cross_entropy
from quire.common.text.masking import corrupt, whole_word_mask
from quire.dupmae.bag_of_words import bow_loss, bow_targets, pooled_places
from quire.dupmae.decoder import Queries
from quire.dupmae.model import DupMAE
from quire.dupmae.visibility import sample_decoder_visibility

PAD, CLS, SEP, MASK = range(4)
"""Ids of the special tokens."""
UNASKED = -100
"""Label of a place that is not to be told."""


class Masked(NamedTuple):
    """A batch as the model sees it.

    Attributes:
        tokens: corrupted input of the encoder.
        mask: which tokens there are.
        labels: words that the encoder is to tell, negative elsewhere.
        decoder_tokens: the uncorrupted text.
        decoder_labels: words that the decoder is to tell, negative elsewhere.
        visible: what each place of the decoder sees.
        bow: targets of the bag of words.
    """

    tokens: Int[AnyArray, "batch t"]
    mask: Bool[AnyArray, "batch t"]
    labels: Int[AnyArray, "batch t"]
    decoder_tokens: Int[AnyArray, "batch t"]
    decoder_labels: Int[AnyArray, "batch t"]
    visible: Bool[AnyArray, "batch t t"]
    bow: Real[AnyArray, "batch vocab"]


def masked_batch(
    key: jax.Array,
    tokens: Int[AnyArray, "batch t"],
    word_ids: Int[AnyArray, "batch t"],
    lengths: Int[AnyArray, " batch"],
    *,
    vocab: int,
    mask_id: int = MASK,
    encoder_rate: float = 0.3,
    decoder_rate: float = 0.5,
    pool: int = 256,
) -> Masked:
    """Corrupt texts for both tasks.

    Args:
        key: of the draws.
        tokens: `[CLS] words [SEP] padding`.
        word_ids: to which word of its text each token belongs, -1 for specials and padding.
        lengths: tokens of every text, specials included.
        vocab: number of ids.
        mask_id: id of [MASK].
        encoder_rate, decoder_rate: shares of the tokens that are hidden.
        pool: as for `sample_decoder_visibility`.

    Raises:
        ValueError: for ids, rates or lengths out of range.
    """
    chosen_key, corrupt_key, visible_key = jax.random.split(key, 3)
    chosen = whole_word_mask(chosen_key, word_ids, lengths, encoder_rate)
    return Masked(
        tokens=corrupt(corrupt_key, tokens, chosen, mask_id=mask_id, vocab=vocab),
        mask=jnp.arange(tokens.shape[1])[None] < lengths[:, None],
        labels=jnp.where(chosen, tokens, UNASKED),
        decoder_tokens=tokens,
        decoder_labels=jnp.where(word_ids >= 0, tokens, UNASKED),
        visible=sample_decoder_visibility(visible_key, word_ids, lengths, decoder_rate, pool=pool),
        bow=bow_targets(tokens, lengths, vocab),
    )


def read_out(
    head: MLMHead,
    words: Float[Array, "vocab dim"],
    hidden: Float[Array, "batch t dim"],
    labels: Int[AnyArray, "batch t"],
    pooled: Bool[AnyArray, "batch t"],
    *,
    chunk: int | None = None,
) -> tuple[Float[Array, ""], Float[Array, "batch vocab"]]:
    """Mean cross-entropy of the labels, and the largest logit of every word, without logits of all places at once.

    Args:
        head: over the vocabulary.
        words: word embeddings.
        hidden: states.
        labels: words to tell, negative where nothing is asked.
        pooled: places that the maximum runs over; a text without one gets minus infinity.
        chunk: places whose logits exist at a time; all by default. The backward pass computes them again.

    Raises:
        ValueError: for a chunk below 1, or shapes that do not fit.
    """
    batch, places = labels.shape
    chunk = places if chunk is None else check_at_least("chunk", chunk)

    def of_places(hidden, labels, pooled):
        logits = head(hidden, words)
        asked = labels >= 0
        mean = masked_cross_entropy(logits, labels, asked)
        total = mean * asked.sum(dtype=mean.dtype)
        return total, jnp.max(logits, axis=1, where=pooled[..., None], initial=-jnp.inf)

    count = jnp.maximum(jnp.sum(labels >= 0, dtype=jnp.promote_types(hidden.dtype, jnp.float32)), 1)
    if chunk >= places:
        total, largest = of_places(hidden, labels, pooled)
        return total / count, largest

    def parts(x, fill):
        x = jnp.pad(x, ((0, 0), (0, -places % chunk), *((0, 0) for _ in x.shape[2:])), constant_values=fill)
        return jnp.moveaxis(x.reshape(batch, -1, chunk, *x.shape[2:]), 1, 0)

    @jax.checkpoint
    def add(carry, part):
        total, largest = of_places(*part)
        return (carry[0] + total, jnp.maximum(carry[1], largest)), None

    start = jnp.zeros((), jnp.promote_types(hidden.dtype, jnp.float32)), jnp.full((batch, len(words)), -jnp.inf, hidden.dtype)
    (total, largest), _ = jax.lax.scan(add, start, (parts(hidden, 0), parts(labels, UNASKED), parts(pooled, False)))
    return total / count, largest


def dupmae_loss(
    model: DupMAE,
    batch: Masked,
    *,
    bow_weight: Any = 0.1,
    decoding_weight: Any = 1.0,
    queries: Queries = "dupmae",
    chunk: int | None = None,
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """`L = L_mlm + L_dec + lambda L_bow`.

    Args:
        model: encoder, head and decoder.
        batch: from `masked_batch`.
        bow_weight: lambda; the released code has 0.1, the text adds the losses up. 0 with `queries="retromae"` is RetroMAE.
        decoding_weight: of `L_dec`; with both weights 0 the model is trained as BERT is. Weights may be traced.
        queries: form of the decoder's query stream.
        chunk: places whose logits exist at a time, as for `read_out`.

    Returns:
        The loss in nats, and its parts `mlm`, `decoding`, `bow`, unweighted.

    Raises:
        ValueError: for shapes that do not fit, ids out of range, or a text without a token behind the first.
    """
    hidden = model.encoder(batch.tokens, batch.mask)
    mlm, pooled = read_out(model.head, model.words, hidden, batch.labels, pooled_places(batch.mask), chunk=chunk)
    decoded = model.decoder(model.encoder.embeddings, hidden[:, 0], batch.decoder_tokens, batch.visible, queries=queries)
    nothing = jnp.zeros(batch.mask.shape, bool)
    decoding, _ = read_out(model.head, model.words, decoded, batch.decoder_labels, nothing, chunk=chunk)
    parts = {"mlm": mlm, "decoding": decoding, "bow": bow_loss(pooled, batch.bow)}
    return mlm + decoding_weight * decoding + bow_weight * parts["bow"], parts


def mlm_loss(model: DupMAE, batch: Masked, *, chunk: int | None = None) -> Float[Array, ""]:
    """The first part alone, without the decoder: what BERT's step costs.

    Args:
        model, batch, chunk: as for `dupmae_loss`.
    """
    hidden = model.encoder(batch.tokens, batch.mask)
    return read_out(model.head, model.words, hidden, batch.labels, jnp.zeros_like(batch.mask), chunk=chunk)[0]
