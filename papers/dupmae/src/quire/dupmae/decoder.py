"""Enhanced decoding: one layer rebuilds the whole sentence from its vector, each place with a context of its own.

References:
    Liu and Shao, *RetroMAE*, 2022, section 2.3; Xiao et al., *RetroMAE v2*, 2022, section 3.1.
"""

from typing import Literal, get_args

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from quire.common.layers.bert import BertConfig, BertEmbeddings, BertLayer

Queries = Literal["dupmae", "retromae"]


def query_stream(
    embeddings: BertEmbeddings, cls: Float[Array, "batch dim"], length: int, queries: Queries = "dupmae"
) -> Float[Array, "batch t dim"]:
    """The sentence vector at every place: `LN(h + p_i + s_0)`; in RetroMAE `h + p_i`.

    Args:
        embeddings: those of the encoder: positions p, segments s, and their layer norm.
        cls: h.
        length: places.
        queries: whose form.

    Raises:
        ValueError: for another form, or more places than there are positions.
    """
    if queries not in get_args(Queries):
        raise ValueError(f"queries is {queries!r}; it must be one of {', '.join(get_args(Queries))}")
    if not 1 <= length <= len(embeddings.positions):
        raise ValueError(f"length is {length}; it must lie between 1 and {len(embeddings.positions)}")
    if queries == "retromae":
        return cls[:, None] + embeddings.positions[:length][None]
    return embeddings.of_vectors(jnp.broadcast_to(cls[:, None], (len(cls), length, cls.shape[-1])))


def key_value_stream(
    embeddings: BertEmbeddings, cls: Float[Array, "batch dim"], tokens: Int[Array | np.ndarray, "batch t"]
) -> Float[Array, "batch t dim"]:
    """`[h, e_1, ..., e_{T-1}]`: embeddings of the uncorrupted tokens, the first replaced by the sentence vector.

    Raises:
        ValueError: for ids out of range, or too many tokens.
    """
    return jnp.concatenate([cls[:, None], embeddings(tokens)[:, 1:]], axis=1)


class EnhancedDecoder(nnx.Module):
    """One layer of BERT whose queries are the sentence vector at every place, and whose keys the tokens that the place sees.

    Args:
        config: sizes of the encoder; its depth does not matter.
        rngs: for the initial weights.
    """

    def __init__(self, config: BertConfig, *, rngs: nnx.Rngs):
        self.layer = BertLayer(config, rngs=rngs)

    def __call__(
        self,
        embeddings: BertEmbeddings,
        cls: Float[Array, "batch dim"],
        tokens: Int[Array | np.ndarray, "batch t"],
        visible: Bool[Array | np.ndarray, "batch t t"],
        *,
        queries: Queries = "dupmae",
    ) -> Float[Array, "batch t dim"]:
        """States from which the words are told; a place that sees nothing attends to all alike.

        Args:
            embeddings: of the encoder, shared with it.
            cls: sentence vectors.
            tokens: the uncorrupted text.
            visible: from `sample_decoder_visibility`.
            queries: form of the query stream.

        Raises:
            ValueError: for another form, ids out of range, too many tokens, or a `visible` of another shape.
        """
        batch, places = tokens.shape
        if visible.shape != (batch, places, places):
            raise ValueError(f"visible has shape {visible.shape}; tokens of shape {tokens.shape} need {(batch, places, places)}")
        stream = query_stream(embeddings, cls, places, queries)
        return self.layer(stream, key_value_stream(embeddings, cls, tokens), visible)
