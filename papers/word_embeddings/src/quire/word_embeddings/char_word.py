"""Chinese: vectors of characters and of words, each in the context of the other."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least
from quire.common.losses.sampled import negative_sampling_loss
from quire.common.random import generator
from quire.common.train.adagrad import adagrad
from quire.common.train.batches import epoch_indices
from quire.common.train.seeds import fit_seeds, stack
from quire.word_embeddings.models import SATURATION
from quire.word_embeddings.vocabulary import Vocab, draw_negatives

ABSENT = -1
Sentences = Sequence[Sequence[str]]


@dataclass(frozen=True)
class CharWordConfig:
    """Joint training.

    Attributes:
        dim: of all vectors.
        char_window, word_window: characters and words on each side.
        negatives: K, drawn anew for each step and shared by it.
        lr: of AdaGrad, gradients summed over a batch.
        steps, batch: of each objective.
        with_words: False for characters alone, the baseline.

    Raises:
        ValueError: for a size below 1.
    """

    dim: int = 50
    char_window: int = 3
    word_window: int = 2
    negatives: int = 5
    shared: int = 64
    lr: float = 0.05
    steps: int = 2000
    batch: int = 256
    with_words: bool = True

    def __post_init__(self):
        for name in ("dim", "char_window", "word_window", "negatives", "shared", "steps", "batch"):
            check_at_least(name, getattr(self, name))


class CharWordText(NamedTuple):
    """Examples of both objectives, ids with -1 for what is absent.

    Attributes:
        char_target: `[n]`, and its context: characters `[n, 2 w_c]`, other words over the window `[n, 2 w_c]`.
        word_target: `[m]`, and its context: words `[m, 2 w]`.
        spelling: characters of every word `[V, longest]`.
        char_counts, word_counts: for the negatives.
    """

    char_target: Int[np.ndarray, " n"]
    char_context: Int[np.ndarray, "n c"]
    char_words: Int[np.ndarray, "n c"]
    word_target: Int[np.ndarray, " m"]
    word_context: Int[np.ndarray, "m w"]
    spelling: Int[np.ndarray, "v l"]
    char_counts: Int[np.ndarray, " a"]
    word_counts: Int[np.ndarray, " v"]


def neighbours(ids: Int[np.ndarray, " n"], window: int) -> Int[np.ndarray, "n c"]:
    """The ids on both sides of each, -1 beyond the ends.

    >>> neighbours(np.array([5, 6, 7]), 1).tolist()
    [[-1, 6], [5, 7], [6, -1]]
    """
    padded = np.pad(ids, window, constant_values=ABSENT)
    return np.stack([padded[window + o : window + o + len(ids)] for o in range(-window, window + 1) if o], axis=1)


def char_word_text(sentences: Sentences, chars: Vocab, words: Vocab, cfg: CharWordConfig) -> CharWordText:
    """Examples of segmented sentences; words that the vocabulary lacks are absent.

    Raises:
        ValueError: without a sentence of known characters.
    """
    char_parts, word_parts = [], []
    for sentence in sentences:
        word_ids = np.array([words.index.get(word, ABSENT) for word in sentence])
        char_ids = np.array([chars.index.get(char, ABSENT) for word in sentence for char in word])
        owner = np.repeat(np.arange(len(sentence)), [len(word) for word in sentence])
        around = neighbours(owner, cfg.char_window)
        first = np.array([[o not in row[:i] for i, o in enumerate(row)] for row in around.tolist()]).reshape(around.shape)
        other = (around != ABSENT) & (around != owner[:, None]) & first  # each word once, the target's own not at all
        char_parts.append((char_ids, neighbours(char_ids, cfg.char_window), np.where(other, word_ids[around], ABSENT)))
        word_parts.append((word_ids, neighbours(word_ids, cfg.word_window)))
    char_columns, word_columns = ([np.concatenate(c) for c in zip(*parts, strict=True)] for parts in (char_parts, word_parts))
    known = [[column[columns[0] >= 0].astype(np.int32) for column in columns] for columns in (char_columns, word_columns)]
    if not len(known[0][0]) or not len(known[1][0]):
        raise ValueError("sentences holds no known character or word; nothing can be learned")
    longest = max(map(len, words.words[1:]))
    spelling = np.full((len(words), longest), ABSENT, np.int32)
    for i, word in enumerate(words.words[1:], 1):
        spelling[i, : len(word)] = [chars.index.get(char, ABSENT) for char in word]
    return CharWordText(*known[0], *known[1], spelling, chars.counts, words.counts)


def masked_mean(rows: Float[AnyArray, "*batch c d"], ids: Int[AnyArray, "*batch c"]) -> Float[Array, "*batch d"]:
    """Mean of the rows whose id is not absent; zero without any."""
    weight = (ids >= 0).astype(rows.dtype)[..., None]
    return jnp.sum(rows * weight, axis=-2) / jnp.maximum(weight.sum(-2), 1)


class CharWordCBOW(nnx.Module):
    """Input and output vectors of characters and of words.

    Args:
        key: for the start, uniform in ±1/(2 dim); outputs are zero.
        num_chars, num_words, dim: sizes.
    """

    in_c: nnx.Param
    in_w: nnx.Param
    out_c: nnx.Param
    out_w: nnx.Param

    def __init__(self, key: jax.Array, num_chars: int, num_words: int, dim: int):
        draw = generator(key)
        for name, size in (("c", num_chars), ("w", num_words)):
            setattr(self, f"in_{name}", nnx.Param(jnp.asarray(draw.uniform(-0.5, 0.5, (size, dim)) / dim, jnp.float32)))
            setattr(self, f"out_{name}", nnx.Param(jnp.zeros((size, dim))))

    def char_context(self, chars: Int[AnyArray, "b c"], words: Int[AnyArray, "b c"]) -> Float[Array, "b d"]:
        """Mean over the characters of the window and the other words in it."""
        rows = jnp.concatenate([self.in_c[...][chars], self.in_w[...][words]], axis=-2)
        return masked_mean(rows, jnp.concatenate([chars, words], axis=-1))

    def word_context(self, words: Int[AnyArray, "b w"], spelling: Int[AnyArray, "b w l"]) -> Float[Array, "b d"]:
        """Mean over the words of the window, each `(in_w + mean of its in_c) / 2`."""
        return masked_mean((self.in_w[...][words] + masked_mean(self.in_c[...][spelling], spelling)) / 2, words)


def _shared_loss(x: Array, out: Array, target: Array, negatives: Array, share: float) -> Array:
    right = jnp.sum(x * out[target], axis=-1)
    weight = jnp.where(negatives[None] == target[:, None], 0, share)
    return jnp.sum(negative_sampling_loss(right, x @ out[negatives].T, weight, saturation=SATURATION))


def char_word_loss(model: CharWordCBOW, batch: dict[str, Array], share: float, with_words: bool) -> Float[Array, ""]:
    """`L_char + L_word`, negative sampling, summed over a batch; without words, that of characters from characters."""
    words = batch["char_words"] if with_words else jnp.full_like(batch["char_words"], ABSENT)
    x = model.char_context(batch["char_context"], words)
    loss = _shared_loss(x, model.out_c[...], batch["char_target"], batch["char_negatives"], share)
    if with_words:
        x = model.word_context(batch["word_context"], batch["spelling"])
        loss += _shared_loss(x, model.out_w[...], batch["word_target"], batch["word_negatives"], share)
    return loss


def _batch_at(data: tuple, step: Array) -> dict[str, Array]:
    text, (chars, words), (char_negatives, word_negatives) = data
    context = text.word_context[words[step]]
    return {
        **{name: getattr(text, name)[chars[step]] for name in ("char_target", "char_context", "char_words")},
        "word_target": text.word_target[words[step]],
        "word_context": context,
        "spelling": text.spelling[context],
        "char_negatives": char_negatives[step],
        "word_negatives": word_negatives[step],
    }


def fit_char_word(keys: Sequence[jax.Array], cfg: CharWordConfig, text: CharWordText) -> CharWordCBOW:
    """Train one model per key.

    Returns:
        A model whose arrays have a leading seed axis; `in_c` are the vectors of characters.

    Raises:
        TrainingDiverged: if a loss or a parameter is not finite.
    """

    def data(key):
        draw = generator(jax.random.fold_in(key, 1))
        order = [
            epoch_indices(jax.random.fold_in(key, i), len(target), cfg.batch, cfg.steps)
            for i, target in enumerate((text.char_target, text.word_target))
        ]
        counts = (text.char_counts, text.word_counts)
        return text, tuple(order), tuple(draw_negatives(draw, c, (cfg.steps, cfg.shared)) for c in counts)

    graph, state, _ = fit_seeds(
        lambda rngs: CharWordCBOW(rngs.params(), len(text.char_counts), len(text.word_counts), cfg.dim),
        adagrad(cfg.lr),
        lambda model, batch, key: char_word_loss(model, batch, cfg.negatives / cfg.shared, cfg.with_words),
        _batch_at,
        stack([data(key) for key in keys]),
        steps=cfg.steps,
        keys=jnp.stack(list(keys)),
    )
    return nnx.merge(graph, state)
