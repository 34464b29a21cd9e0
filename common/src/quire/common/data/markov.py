"""Generated text with a known source: a Markov chain over letters."""

from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

from quire.common.random import generator


class MarkovText(NamedTuple):
    """Letters int32 `[n]`, and the chain's `transitions [vocab] * order + [vocab]` that drew them."""

    letters: Int[np.ndarray, " n"]
    transitions: Float[np.ndarray, "*context vocab"]


def markov_text(key: jax.Array, n: int, vocab: int, order: int = 2, *, concentration: float = 0.1) -> MarkovText:
    """n letters of a random chain whose next letter depends on the `order` letters before.

    Args:
        key: for the chain and the text.
        n: letters.
        vocab: different letters.
        order: letters that the next one depends on.
        concentration: of the Dirichlet distributions that the transitions are drawn from; small ones are easy to predict.

    Raises:
        ValueError: for sizes below 1 (`vocab` below 2), `n` not above `order`, or a concentration that is not positive.

    >>> markov_text(jax.random.key(0), 8, 3).letters.shape
    (8,)
    """
    if order < 1 or vocab < 2 or n <= order or not concentration > 0:
        raise ValueError(
            f"n, vocab, order and concentration are {n}, {vocab}, {order}, {concentration}; "
            "they need n > order >= 1, vocab >= 2 and a positive concentration"
        )
    rng = generator(key)
    # gamma draws, normalised: a Dirichlet, for any number of contexts at once; the floor keeps a row of underflows a distribution
    weights = np.maximum(rng.gamma(concentration, size=(vocab**order, vocab)), 1e-30)
    transitions = weights / weights.sum(1, keepdims=True)
    cumulative = np.cumsum(transitions, axis=1)
    letters = np.empty(n, np.int32)
    letters[:order] = rng.integers(0, vocab, order)
    context = int(sum(int(letter) * vocab ** (order - 1 - i) for i, letter in enumerate(letters[:order])))
    for place, draw in enumerate(rng.random(n - order), start=order):
        letter = min(int(np.searchsorted(cumulative[context], draw, side="right")), vocab - 1)
        letters[place] = letter
        context = (context * vocab + letter) % vocab**order
    return MarkovText(letters, transitions.reshape((vocab,) * order + (vocab,)))
