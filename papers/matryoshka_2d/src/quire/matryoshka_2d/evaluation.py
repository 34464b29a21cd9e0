"""How well embeddings rank pairs of sentences: by layer and dimension, and beside them bags of words."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import numpy as np
from flax import nnx
from jaxtyping import Float, Int

from quire.common.layers.nested import check_sizes
from quire.common.metrics.rank_correlation import spearman
from quire.common.text.tokenizers import PADDING, words_of
from quire.matryoshka_2d.encoder import SentenceEncoder, encode_all_layers


class TokenPairs(NamedTuple):
    """Pairs as ids, and how similar people find them."""

    tokens: Int[np.ndarray, "pairs two t"]
    scores: Float[np.ndarray, " pairs"]


def pair_cosines(embeddings: Float[np.ndarray, "*layers rows dim"], dim: int | None = None) -> Float[np.ndarray, "*layers pairs"]:
    """Cosines of rows 2 i and 2 i + 1, of their first numbers; 0 for a row of zeros.

    Args:
        embeddings: of any length.
        dim: k, all by default.

    Raises:
        ValueError: for an odd number of rows, or a dimension that there is not.

    >>> pair_cosines(np.array([[1.0, 1.0], [1.0, 0.0]]), 1).tolist()
    [1.0]
    """
    z = np.asarray(embeddings)
    if z.shape[-2] % 2:
        raise ValueError(f"embeddings has {z.shape[-2]} rows; pairs need an even number")
    (k,) = check_sizes((z.shape[-1] if dim is None else dim,), z.shape[-1])
    z = z[..., :k]
    length = np.linalg.norm(z, axis=-1, keepdims=True)
    unit = z / np.where(length == 0, 1, length)
    return np.sum(unit[..., 0::2, :] * unit[..., 1::2, :], axis=-1)


def sts_grid(
    model: SentenceEncoder, data: TokenPairs, layers: Sequence[int], dims: Sequence[int], batch_size: int = 512
) -> Float[np.ndarray, "layers dims"]:
    """Spearman's rho of cosine and score at every layer and dimension, from one pass through the pairs.

    Args:
        model: the encoder.
        data: pairs.
        layers: n, 0 for the token embeddings.
        dims: k.
        batch_size: pairs at once.

    Raises:
        ValueError: for a layer or a dimension that there is not, or fewer than two pairs.
    """
    return correlations(all_embeddings(*nnx.split(model), data.tokens, batch_size), data.scores, layers, dims)


def correlations(
    embeddings: Float[np.ndarray, "depth rows dim"],
    scores: Float[np.ndarray, " pairs"],
    layers: Sequence[int],
    dims: Sequence[int],
) -> Float[np.ndarray, "layers dims"]:
    """The same from embeddings of all layers `[L + 1, 2 pairs, D]`.

    Raises:
        ValueError: as for `sts_grid`.
    """
    depth = len(embeddings) - 1
    if not layers or not 0 <= min(layers) <= max(layers) <= depth:
        raise ValueError(f"layers is {tuple(layers)}; it needs numbers between 0 and {depth}")
    cosines = [pair_cosines(embeddings[np.asarray(layers)], dim) for dim in dims]
    return np.array([[spearman(row, scores) for row in column] for column in cosines]).T


def all_embeddings(
    graph: nnx.GraphDef, state: nnx.State, tokens: Int[np.ndarray, "pairs two t"], batch_size: int = 512
) -> Float[np.ndarray, "depth rows dim"]:
    """Embeddings of every layer, pair after pair `[L + 1, 2 pairs, D]`; the last batch is padded, so that one program serves."""
    size = min(batch_size, len(tokens))
    filled = np.pad(tokens, ((0, -len(tokens) % size), (0, 0), (0, 0)), mode="edge")
    rows = filled.reshape(-1, 2 * size, tokens.shape[2])
    parts = [np.asarray(_layers_of(graph, state, batch)) for batch in rows]
    return np.concatenate(parts, axis=1)[:, : 2 * len(tokens)]


@partial(jax.jit, static_argnums=0)
def _layers_of(graph, state, tokens):
    return encode_all_layers(nnx.merge(graph, state), tokens, tokens != PADDING)


def bag_of_words_cosines(first: Sequence[str], second: Sequence[str]) -> Float[np.ndarray, " pairs"]:
    """Cosines of the words' counts: what needs no training; 0 for a text without words.

    Raises:
        ValueError: if the lengths differ.

    >>> bag_of_words_cosines(["a dog runs"], ["A dog sleeps!"]).round(3).tolist()
    [0.667]
    """
    if len(first) != len(second):
        raise ValueError(f"first has {len(first)} texts and second {len(second)}; they need the same number")
    return np.array([_cosine(Counter(words_of(a)), Counter(words_of(b))) for a, b in zip(first, second, strict=True)])


def _cosine(a: Counter, b: Counter) -> float:
    squares = sum(x * x for x in a.values()) * sum(x * x for x in b.values())
    return sum(x * b[word] for word, x in a.items()) / max(squares, 1) ** 0.5
