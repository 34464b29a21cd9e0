"""The recurrent convolutional network: every word with all of its left and right context, then the maximum over words."""

from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, check_ids, is_concrete
from quire.common.layers.recurrent import scan_rnn
from quire.common.random import generator

Start = Literal["uniform", "orthogonal"]


class RCNNWeights(NamedTuple):
    """Matrices act as `w @ column`; e, c, h, n are the sizes of words, contexts, the hidden layer and the classes."""

    emb: Float[AnyArray, "v e"]
    wl: Float[AnyArray, "c c"]
    wsl: Float[AnyArray, "c e"]
    wr: Float[AnyArray, "c c"]
    wsr: Float[AnyArray, "c e"]
    cl0: Float[AnyArray, " c"]
    cr0: Float[AnyArray, " c"]
    w2: Float[AnyArray, "h k"]
    b2: Float[AnyArray, " h"]
    w4: Float[AnyArray, "n h"]
    b4: Float[AnyArray, " n"]


class Pooled(NamedTuple):
    """Logits `[b, n]`, and the word `[b, h]` that the maximum of every hidden unit took."""

    logits: Float[AnyArray, "b n"]
    chosen: Int[AnyArray, "b h"]


def word_mask(ids: Int[AnyArray, "b t"], lengths: Int[AnyArray, " b"], vocab_size: int) -> Bool[Array, "b t"]:
    """Which places hold words.

    Raises:
        ValueError: for ids out of range, or a text that is empty or longer than the ids.
    """
    if ids.ndim != 2 or lengths.shape != ids.shape[:1]:
        raise ValueError(f"ids has shape {ids.shape} and lengths {lengths.shape}; they need [b, t] and [b]")
    check_ids("ids", ids, vocab_size)
    if is_concrete(lengths) and len(lengths) and not 1 <= np.min(lengths) <= np.max(lengths) <= ids.shape[1]:
        raise ValueError(f"lengths run from {np.min(lengths)} to {np.max(lengths)}; they must lie between 1 and {ids.shape[1]}")
    return jnp.arange(ids.shape[1])[None] < lengths[:, None]


def contexts(
    weights: RCNNWeights, words: Float[AnyArray, "b t e"], mask: Bool[AnyArray, "b t"]
) -> tuple[Float[Array, "b t c"], Float[Array, "b t c"]]:
    """`c_l(w_i) = tanh(W_l c_l(w_{i-1}) + W_sl e(w_{i-1}))` from the left, and the same from the right.

    They start with learned vectors, at the first and at the last word; padding takes no part. Both directions are one recursion:
    the text read backwards begins with its padding, which leaves the state as it is.
    """
    size = len(words)
    recurrent = jnp.stack([weights.wl, weights.wr])
    inputs = jnp.concatenate([words @ weights.wsl.T, (words @ weights.wsr.T)[:, ::-1]])
    initial = jnp.repeat(jnp.stack([weights.cl0, weights.cr0]), size, axis=0)

    def step(state, x):
        moved = jnp.einsum("dbc,dkc->dbk", state.reshape(2, size, -1), recurrent)
        return jnp.tanh(moved.reshape(state.shape) + x), state  # beside a word stands what came before it

    _, states = scan_rnn(step, initial, inputs, jnp.concatenate([mask, mask[:, ::-1]]))
    return states[:size], states[size:, ::-1]


def masked_max(x: Float[AnyArray, "b t h"], mask: Bool[AnyArray, "b t"]) -> tuple[Float[Array, "b h"], Int[Array, "b h"]]:
    """Largest entry over the words, and where; 0 where there is no word."""
    covered = jnp.where(mask[..., None], x, -jnp.inf)
    chosen = covered.argmax(axis=1)
    largest = jnp.take_along_axis(x, chosen[:, None], axis=1)[:, 0]
    return jnp.where(jnp.any(mask, axis=1)[:, None], largest, 0), chosen


def rcnn_forward(weights: RCNNWeights, ids: Int[AnyArray, "b t"], lengths: Int[AnyArray, " b"]) -> Pooled:
    """`x_i = [c_l(w_i); e(w_i); c_r(w_i)]`, `y_i = tanh(W_2 x_i + b_2)`, `max_i y_i`, `W_4 y + b_4`.

    Args:
        weights: of the network.
        ids: words.
        lengths: words of every text, at least 1; what stands behind them is padding.

    Raises:
        ValueError: see `word_mask`.

    References:
        Lai et al. 2015, equations 1 to 7.
    """
    mask = word_mask(ids, lengths, len(weights.emb))
    words = weights.emb[ids]
    left, right = contexts(weights, words, mask)
    hidden = jnp.tanh(affine(jnp.concatenate([left, words, right], axis=-1), weights.w2, weights.b2))
    pooled, chosen = masked_max(hidden, mask)
    return Pooled(affine(pooled, weights.w4, weights.b4), chosen)


def affine(x: Float[AnyArray, "*n k"], weight: Float[AnyArray, "m k"], bias: Float[AnyArray, " m"]) -> Float[AnyArray, "*n m"]:
    """`W x + b` for every row."""
    return x @ weight.T + bias.reshape((1,) * (x.ndim - 1) + (-1,))


def uniform_rows(draw: np.random.Generator, *shape: int) -> Float[np.ndarray, "..."]:
    """Uniform in ±1/sqrt(fan_in), the last axis being the inputs; float32."""
    bound = shape[-1] ** -0.5
    return draw.uniform(-bound, bound, shape).astype(np.float32)


def orthogonal(draw: np.random.Generator, size: int) -> Float[np.ndarray, "size size"]:
    """A random orthogonal matrix, float32: it keeps the length of what it is applied to over and over."""
    q, r = np.linalg.qr(draw.standard_normal((size, size)))
    return (q * np.sign(np.diag(r))).astype(np.float32)


def init_rcnn(
    key: jax.Array,
    vocab_size: int,
    num_classes: int,
    *,
    embed_dim: int = 50,
    context_dim: int = 50,
    hidden: int = 100,
    start: Start = "orthogonal",
    vectors: Float[np.ndarray, "v e"] | None = None,
) -> RCNNWeights:
    """Uniform weights in ±1/sqrt(fan_in); NumPy arrays in float32.

    Args:
        key: for the draws.
        vocab_size, num_classes: sizes.
        embed_dim, context_dim, hidden: the paper's by default.
        start: of W_l and W_r. `uniform`, as in the paper, forgets what is far away.
        vectors: word vectors to start from.

    Raises:
        ValueError: for sizes below 1, an unknown start, or vectors of another shape.
    """
    sizes = {"vocab_size": vocab_size, "num_classes": num_classes, "embed_dim": embed_dim}
    for name, size in (sizes | {"context_dim": context_dim, "hidden": hidden}).items():
        check_at_least(name, size)
    if start not in get_args(Start):
        raise ValueError(f"start is {start!r}; it must be one of {list(get_args(Start))}")
    if vectors is not None and vectors.shape != (vocab_size, embed_dim):
        raise ValueError(f"vectors has shape {vectors.shape}; it needs {(vocab_size, embed_dim)}")
    draw, e, c = generator(key), embed_dim, context_dim
    square = orthogonal if start == "orthogonal" else lambda draw, size: uniform_rows(draw, size, size)
    return RCNNWeights(
        emb=uniform_rows(draw, vocab_size, e) if vectors is None else np.asarray(vectors, np.float32),
        wl=square(draw, c),
        wsl=uniform_rows(draw, c, e),
        wr=square(draw, c),
        wsr=uniform_rows(draw, c, e),
        cl0=uniform_rows(draw, c),
        cr0=uniform_rows(draw, c),
        w2=uniform_rows(draw, hidden, 2 * c + e),
        b2=np.zeros(hidden, np.float32),
        w4=uniform_rows(draw, num_classes, hidden),
        b4=np.zeros(num_classes, np.float32),
    )


class RCNN(nnx.Module):
    """Holds the weights of the network.

    Args:
        weights: see `init_rcnn`; arrays under the names of the equations.

    >>> model = RCNN(init_rcnn(jax.random.key(0), 10, 3, embed_dim=4, context_dim=4, hidden=5))
    >>> model(jnp.array([[1, 2, 0]]), jnp.array([2])).shape
    (1, 3)
    """

    def __init__(self, weights: RCNNWeights):
        for name, value in weights._asdict().items():
            setattr(self, name, nnx.Param(jax.device_put(value)))

    @property
    def weights(self) -> RCNNWeights:
        return RCNNWeights(*(getattr(self, name)[...] for name in RCNNWeights._fields))

    def __call__(self, ids: Int[AnyArray, "b t"], lengths: Int[AnyArray, " b"]) -> Float[AnyArray, "b n"]:
        return rcnn_forward(self.weights, ids, lengths).logits


def key_phrases(chosen: Int[np.ndarray, " h"], length: int) -> Int[np.ndarray, " t"]:
    """How many hidden units took their maximum at each word: which words, with their contexts, the pooling selects.

    >>> key_phrases(np.array([1, 1, 0]), 3).tolist()
    [1, 2, 0]
    """
    check_ids("chosen", chosen, length)
    return np.bincount(np.asarray(chosen), minlength=length)
