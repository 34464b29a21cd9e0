"""Word segmentation as tagging: does a character begin a word, stand in its middle, end it, or make one alone?"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, Int

from quire.common.checks import check_at_least
from quire.common.layers.initialisers import linear
from quire.common.losses.classification import smoothed_cross_entropy
from quire.common.train.batches import epoch_indices, take_batch
from quire.common.train.seeds import fit_seeds, over_seeds, stack
from quire.word_embeddings.char_word import neighbours

TAGS = "BMES"


def bmes(words: Sequence[str]) -> str:
    """The tag of every character.

    Raises:
        ValueError: for an empty word.

    >>> bmes(["ab", "c", "def"])
    'BESBME'
    """
    if not all(words):
        raise ValueError(f"words is {list(words)}; none may be empty")
    return "".join("S" if len(word) == 1 else "B" + "M" * (len(word) - 2) + "E" for word in words)


def boundaries(tags: str) -> set[int]:
    """Places before which a word begins, the first left out; tags that contradict each other are read as E and S end words.

    >>> sorted(boundaries("BESBME"))
    [2, 3]
    """
    return {i + 1 for i, tag in enumerate(tags[:-1]) if tag in "ES"}


def boundary_f1(predicted: Sequence[str], truth: Sequence[str]) -> float:
    """F1 of the word boundaries inside sentences; 0 where none is found rightly.

    Args:
        predicted, truth: tags of every sentence.

    Raises:
        ValueError: if sentences differ in number or length.

    >>> boundary_f1(["SSS"], ["BES"])
    0.6666666666666666
    """
    if [len(p) for p in predicted] != [len(t) for t in truth]:
        raise ValueError(f"predicted has {len(predicted)} sentences and truth {len(truth)}; they need the same, of equal lengths")
    pairs = [(boundaries(p), boundaries(t)) for p, t in zip(predicted, truth, strict=True)]
    right = sum(len(p & t) for p, t in pairs)
    found, there = (sum(len(pair[i]) for pair in pairs) for i in (0, 1))
    return 2 * right / (found + there) if right else 0.0


def char_windows(sentences: Sequence[Int[np.ndarray, " _"]], reach: int) -> Int[np.ndarray, "n w"]:
    """Every character with `reach` on each side, ids; 0 beyond the ends of a sentence."""
    check_at_least("reach", reach)
    return np.concatenate([np.insert(np.maximum(neighbours(s, reach), 0), reach, s, axis=1) for s in sentences]).astype(np.int32)


class WindowTagger(nnx.Module):
    """`softmax(W tanh(V [vectors of the window] + b) + c)` over fixed vectors.

    Args:
        key: for the start.
        size: numbers in a window.
        hidden: of the layer.
        num_tags: of the output.
    """

    def __init__(self, key: jax.Array, size: int, hidden: int, num_tags: int = len(TAGS)):
        rngs = nnx.Rngs(key)
        self.hidden, self.output = linear(size, hidden, rngs=rngs), linear(hidden, num_tags, rngs=rngs)

    def __call__(self, windows: Float[Array, "b n"]) -> Float[Array, "b tags"]:
        return self.output(jnp.tanh(self.hidden(windows)))


def _tag_loss(model, batch, key):
    (vectors, windows, tags) = batch
    return smoothed_cross_entropy(model(vectors[windows].reshape(len(windows), -1)), tags)


def train_taggers(
    keys: Sequence[jax.Array],
    vectors: Float[np.ndarray, "seeds v d"],
    train: tuple[Int[np.ndarray, "n w"], Int[np.ndarray, " n"]],
    test: Int[np.ndarray, "m w"],
    *,
    hidden: int = 100,
    steps: int = 1000,
    batch: int = 256,
    lr: float = 3e-3,
) -> Int[np.ndarray, "seeds m"]:
    """Tags of the test windows by one tagger per key, over vectors that stay as they are.

    Args:
        keys: of the seeds.
        vectors: of characters, scaled here to unit variance.
        train: windows of ids and their tags.
        test: windows of ids.
        hidden, steps, batch, lr: of the tagger and of Adam.

    Raises:
        TrainingDiverged: if a loss or a parameter is not finite.
    """
    vectors = vectors / np.maximum(vectors.std(axis=(1, 2), keepdims=True), np.finfo(np.float32).tiny)
    orders = np.stack([epoch_indices(key, len(train[1]), batch, steps) for key in keys])

    def batch_at(data, step):
        vectors, arrays, order = data
        return vectors, *take_batch((arrays, order), step)

    graph, state, _ = fit_seeds(
        lambda rngs: WindowTagger(rngs.params(), train[0].shape[1] * vectors.shape[2], hidden),
        optax.adam(lr),
        _tag_loss,
        batch_at,
        (vectors.astype(np.float32), stack([train] * len(keys)), orders),
        steps=steps,
        keys=jnp.stack(list(keys)),
    )
    windows = np.stack([v[test].reshape(len(test), -1) for v in vectors.astype(np.float32)])
    tag = over_seeds(graph, lambda model, x: model(x).argmax(-1))
    return np.stack([np.asarray(tag(state, x))[i] for i, x in enumerate(windows)])
