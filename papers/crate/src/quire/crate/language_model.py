"""CRATE on text: a causal model (CRATE-GPT), a bidirectional one (CRATE-BERT), bytes as tokens (paper, section 4.3)."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, Integer, UInt8

from quire.common.checks import check_at_least, check_ids, floating
from quire.common.layers.crate import CRATEBlock
from quire.common.layers.transformer import TokenLM, vit_block
from quire.common.random import generator

NUM_BYTES = 256
MASK = NUM_BYTES
"""Id of the mask token of a text of bytes: the first that no byte has."""


@dataclass(frozen=True)
class CRATELMConfig:
    """Sizes of a language model.

    Attributes:
        dim, depth, num_heads: channels d, layers L, subspaces K.
        max_length: longest sequence.
        vocab_size: token ids; 256 for bytes. The mask token of a bidirectional model comes on top.
        eta, lam: step size and sparsity weight of ISTA.
    """

    dim: int
    depth: int
    num_heads: int
    max_length: int
    vocab_size: int = NUM_BYTES
    eta: float = 0.1
    lam: float = 0.1


def CRATELM(cfg: CRATELMConfig, *, causal: bool = True, rngs: nnx.Rngs) -> TokenLM:
    """Language model of CRATE layers.

    Args:
        cfg: sizes.
        causal: MSSA attends to the past only (CRATE-GPT); False for masked language modelling (CRATE-BERT), where the model also
            reads the mask token, whose id is `vocab_size`.
        rngs: for the initial weights.

    Returns:
        A module from token ids `[..., t]` to logits `[..., t, vocab_size]`, NaN for traced ids that are out of range.

    Raises:
        ValueError: if the heads do not divide `dim`; on a call, for sequences longer than `max_length` or ids out of range.
    """

    def block(r: nnx.Rngs) -> CRATEBlock:
        return CRATEBlock(cfg.dim, cfg.num_heads, eta=cfg.eta, lam=cfg.lam, causal=causal, rngs=r)

    return _language_model(cfg, block, causal, rngs)


def GPT(cfg: CRATELMConfig, *, causal: bool = True, rngs: nnx.Rngs) -> TokenLM:
    """The baseline: pre-norm transformer blocks of the same width, depth and heads; with `causal=False` a small BERT."""
    return _language_model(cfg, vit_block(cfg.dim, cfg.num_heads, causal=causal), causal, rngs)


def _language_model(cfg: CRATELMConfig, block: Callable[[nnx.Rngs], nnx.Module], causal: bool, rngs: nnx.Rngs) -> TokenLM:
    sizes = {"vocab_size": cfg.vocab_size, "max_length": cfg.max_length, "dim": cfg.dim, "depth": cfg.depth}
    model = TokenLM(**sizes, block=block, rngs=rngs)
    if not causal:  # the mask token is read and never predicted: a row of the embedding more than there are logits
        model.embed = nnx.Embed(cfg.vocab_size + 1, cfg.dim, embedding_init=nnx.initializers.normal(0.02), rngs=rngs)
    return model


# --- Masked language modelling ---


def mask_tokens(
    key: jax.Array,
    tokens: Integer[Array | np.ndarray, "*batch t"],
    *,
    rate: float = 0.15,
    mask_id: int | None = None,
    vocab_size: int = NUM_BYTES,
) -> tuple[Int[Array, "*batch t"], Bool[Array, "*batch t"]]:
    """BERT's corruption: of the chosen positions 80 % become the mask token, 10 % a random token, 10 % stay.

    Args:
        key: random key.
        tokens: ids `[..., t]` of any integer dtype.
        rate: probability of a position to be chosen.
        mask_id: id of the mask token; `vocab_size` by default, as the bidirectional models have it.
        vocab_size: tokens and random tokens are below it.

    Returns:
        Corrupted tokens in int32 and the chosen positions, both `[..., t]`.

    Raises:
        ValueError: if `rate` is not in (0, 1], `mask_id` is negative, `vocab_size` is below 1, or a token is out of range.
    """
    if not 0 < rate <= 1:
        raise ValueError(f"rate is {rate}; it must be in (0, 1]")
    check_at_least("vocab_size", vocab_size)
    mask_id = vocab_size if mask_id is None else check_at_least("mask_id", mask_id, 0)
    check_ids("tokens", tokens, vocab_size)
    tokens = jnp.asarray(tokens, jnp.int32)
    choose, fate, draw = jax.random.split(key, 3)
    chosen = jax.random.uniform(choose, tokens.shape) < rate
    u = jax.random.uniform(fate, tokens.shape)
    other = jax.random.randint(draw, tokens.shape, 0, vocab_size, tokens.dtype)
    corrupted = jnp.where(u < 0.8, jnp.asarray(mask_id, tokens.dtype), jnp.where(u < 0.9, other, tokens))
    return jnp.where(chosen, corrupted, tokens), chosen


def masked_lm_loss(
    logits: Float[Array, "*batch t vocab"], tokens: Integer[Array | np.ndarray, "*batch t"], chosen: Bool[Array, "*batch t"]
) -> Float[Array, ""]:
    """Mean cross-entropy in nats over the chosen positions; zero if none is chosen, NaN if a traced token there is out of range.

    Raises:
        ValueError: if a token is outside the vocabulary of the logits, `chosen` not boolean, or the shapes do not fit together.
    """
    if not tokens.shape == chosen.shape == logits.shape[:-1] or chosen.dtype != bool:
        raise ValueError(
            f"logits have shape {logits.shape}, tokens {tokens.shape} and chosen {chosen.shape} {chosen.dtype}; "
            "each token needs its logits and one boolean"
        )
    vocab_size = logits.shape[-1]
    check_ids("tokens", tokens, vocab_size)
    (logits,) = floating(logits)
    tokens = jnp.asarray(tokens, jnp.int32)
    tokens = jnp.where(tokens < 0, vocab_size, tokens)  # a negative id would count from the end
    log_probs = jnp.take_along_axis(jax.nn.log_softmax(logits), tokens[..., None], axis=-1, mode="fill")[..., 0]
    return -jnp.sum(jnp.where(chosen, log_probs, 0)) / jnp.maximum(chosen.sum(), 1)


# --- Bytes ---


def encode(text: str) -> UInt8[np.ndarray, " n"]:
    """UTF-8 bytes of a text.

    >>> encode("né").tolist()
    [110, 195, 169]
    """
    return np.frombuffer(text.encode(), np.uint8)


def decode(tokens: Integer[np.ndarray, " n"]) -> str:
    """Text of UTF-8 bytes; what is not UTF-8 becomes the replacement character.

    >>> decode(encode("né"))
    'né'

    Raises:
        ValueError: if a token is no byte.
    """
    check_ids("tokens", tokens, NUM_BYTES)
    return np.asarray(tokens).astype(np.uint8).tobytes().decode(errors="replace")


def spaced_windows(length: int, size: int, count: int) -> Int[np.ndarray, "count size"]:
    """Positions of `count` evenly spaced windows of `size` tokens in a text of `length`.

    Raises:
        ValueError: if no window fits or `count` is below 1.
    """
    check_at_least("size", size)
    if count < 1 or size > length:
        raise ValueError(f"count is {count} and size {size}; a text of {length} tokens holds windows of at most {length}")
    starts = np.linspace(0, length - size, count).astype(np.int32)
    return starts[:, None] + np.arange(size, dtype=np.int32)


def random_windows(key: jax.Array, length: int, size: int, shape: tuple[int, ...]) -> Int[np.ndarray, "*shape size"]:
    """Positions of uniformly random windows of `size` tokens in a text of `length`, drawn on the host.

    Raises:
        ValueError: if no window fits.
    """
    check_at_least("size", size)
    if size > length:
        raise ValueError(f"size is {size}; a text of {length} tokens holds windows of at most {length}")
    starts = generator(key).integers(0, length - size + 1, (*shape, 1), np.int32)
    return starts + np.arange(size, dtype=np.int32)


def count_bits(train: UInt8[np.ndarray, " n"], windows: UInt8[np.ndarray, "count size"], order: int) -> float:
    """Bits per byte of add-one smoothed counts: unigrams (`order` 1) or bigrams (`order` 2).

    Args:
        train: bytes to count.
        windows: bytes to predict, `[count, size]`, all but the first of each.
        order: 1 or 2.

    Raises:
        ValueError: for another order, for what is no byte, or if there is nothing to predict.
    """
    if order not in (1, 2):
        raise ValueError(f"order is {order}; counts are of unigrams (1) or bigrams (2)")
    if windows[:, 1:].size == 0:
        raise ValueError(f"windows have shape {windows.shape}; they need a byte to predict after the first")
    for name, tokens in (("train", train), ("windows", windows)):
        check_ids(name, tokens, NUM_BYTES)
    counts = np.ones((NUM_BYTES,) * order)
    pairs = (train,) if order == 1 else (train[:-1], train[1:])
    np.add.at(counts, pairs, 1)
    probabilities = counts / counts.sum(-1, keepdims=True)
    context = (windows[:, :-1],) if order == 2 else ()
    return float(-np.mean(np.log2(probabilities[(*context, windows[:, 1:])])))
