"""Six ways to score a word in its context, all trained by negative sampling: only context and relation differ."""

from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, check_ids, check_positive
from quire.common.losses.sampled import negative_sampling_loss
from quire.common.random import generator

Model = Literal["skipgram", "cbow", "order", "lbl", "nnlm", "cw"]
MODELS: tuple[Model, ...] = get_args(Model)
SATURATION = 6.0
"""Score beyond which the sigmoid counts as 0 or 1 in gradients, where the authors' table of it ends."""


@dataclass(frozen=True)
class NSConfig:
    """A trainer; the defaults are those of the authors' program.

    Attributes:
        model: `skipgram`, `cbow`, `order`, `lbl`, `nnlm` or `cw`.
        dim: d of the word vectors.
        window: w, words on each side; never shrunk.
        negatives: K.
        hidden: h of LBL, NNLM and C&W; d by default.
        lr: alpha of AdaGrad; by default 0.025 for Skip-gram and 0.05 for the others.
        subsample: frequency t above which words are thinned out before windows are cut; 0 keeps all.
        loss: `ns`, or `hinge` for the ranking loss of the original C&W.

    Raises:
        ValueError: for an unknown model or loss, or a size that is not positive.
    """

    model: Model = "cbow"
    dim: int = 50
    window: int = 5
    negatives: int = 5
    hidden: int | None = None
    lr: float | None = None
    subsample: float = 1e-3
    loss: Literal["ns", "hinge"] = "ns"

    def __post_init__(self):
        if self.model not in MODELS or self.loss not in ("ns", "hinge"):
            raise ValueError(
                f"model is {self.model!r} and loss {self.loss!r}; they must be one of {list(MODELS)}, and ns or hinge"
            )
        for name in ("dim", "window", "negatives"):
            check_at_least(name, getattr(self, name))
        check_at_least("hidden", self.num_hidden)
        check_positive("lr", self.rate)
        if not self.subsample >= 0:
            raise ValueError(f"subsample is {self.subsample}; it cannot be negative")

    @property
    def num_hidden(self) -> int:
        """h."""
        return self.dim if self.hidden is None else self.hidden

    @property
    def rate(self) -> float:
        """alpha."""
        return (0.025 if self.model == "skipgram" else 0.05) if self.lr is None else self.lr

    @property
    def contexts(self) -> int:
        """C, words in the context of one example."""
        return 1 if self.model == "skipgram" else 2 * self.window

    @property
    def joined(self) -> int:
        """Numbers in the joined vectors of a context; of C&W with the word in the middle."""
        return (self.contexts + (self.model == "cw")) * self.dim

    def out_shape(self, vocab_size: int) -> tuple[int, int]:
        """Shape of `out`."""
        if self.model == "cw":
            return 1, self.num_hidden
        return vocab_size, {"order": self.joined, "lbl": self.num_hidden, "nnlm": self.num_hidden}.get(self.model, self.dim)

    @property
    def hidden_shape(self) -> tuple[int, int] | None:
        """Shape of H, or None."""
        return (self.num_hidden, self.joined) if self.model in ("lbl", "nnlm", "cw") else None


class NSParams(NamedTuple):
    """Word vectors `embed [V, d]`, output vectors `out`, and H or None; accumulators have the same structure."""

    embed: Float[AnyArray, "v d"]
    out: Float[AnyArray, "u k"]
    hidden: Float[AnyArray, "h joined"] | None = None


def init_ns(key: jax.Array, cfg: NSConfig, vocab_size: int) -> NSParams:
    """Vectors uniform in ±1/(2d), H in ±1/(2h), `out` zero: the first step moves `out` alone.

    Args:
        key: for the draws.
        cfg: the trainer.
        vocab_size: V, the padding included.

    Returns:
        NumPy arrays in float32: nothing is compiled.

    Raises:
        ValueError: for fewer than two words.

    >>> [x.shape for x in init_ns(jax.random.key(0), NSConfig("nnlm", dim=4, window=2, hidden=3), 10)]
    [(10, 4), (10, 3), (3, 16)]
    """
    check_at_least("vocab_size", vocab_size, 2)
    draw = generator(key)

    def uniform(shape, size):
        return (draw.uniform(-0.5, 0.5, shape) / size).astype(np.float32)

    hidden = cfg.hidden_shape
    return NSParams(
        uniform((vocab_size, cfg.dim), cfg.dim),
        np.zeros(cfg.out_shape(vocab_size), np.float32),
        None if hidden is None else uniform(hidden, cfg.num_hidden),
    )


@jax.custom_vjp
def mean_with_full_gradient(x: Float[AnyArray, "*batch c d"]) -> Float[Array, "*batch d"]:
    """Mean over the words of a context, each of which receives the gradient of the mean whole, not its C-th part.

    >>> print(jax.grad(lambda x: mean_with_full_gradient(x).sum())(jnp.ones((2, 1))))
    [[1.]
     [1.]]
    """
    return x.mean(axis=-2)


mean_with_full_gradient.defvjp(
    lambda x: (x.mean(axis=-2), x), lambda x, gradient: (jnp.broadcast_to(gradient[..., None, :], x.shape),)
)


def context_vector(cfg: NSConfig, rows: Float[AnyArray, "*batch c d"], hidden: Float[AnyArray, "h joined"] | None) -> AnyArray:
    """x of the table of models, from the vectors of the context: what meets `out`. For C&W, the context's part of it."""
    joined = rows.reshape(*rows.shape[:-2], -1)
    match cfg.model:
        case "skipgram":
            return rows[..., 0, :]
        case "cbow":
            return mean_with_full_gradient(rows)
        case "order":
            return joined
    assert hidden is not None  # the models that are left have H
    match cfg.model:
        case "lbl":
            return joined @ hidden.T
        case "nnlm":
            return jnp.tanh(joined @ hidden.T)
        case _:
            return joined @ context_columns(cfg, hidden).T


def context_columns(cfg: NSConfig, hidden: Float[AnyArray, "h joined"] | None) -> Float[Array, "h c"]:
    """Columns of C&W's H that belong to the context."""
    assert hidden is not None  # C&W has H
    left = cfg.window * cfg.dim
    return jnp.concatenate([hidden[:, :left], hidden[:, left + cfg.dim :]], axis=1)


def middle_columns(cfg: NSConfig, hidden: Float[AnyArray, "h joined"] | None) -> Float[AnyArray, "h d"]:
    """Columns of C&W's H that belong to the word in the middle."""
    assert hidden is not None  # C&W has H
    left = cfg.window * cfg.dim
    return hidden[:, left : left + cfg.dim]


def ns_scores(
    params: NSParams, cfg: NSConfig, context: Int[AnyArray, "b c"], candidates: Int[AnyArray, "b n"]
) -> Float[Array, "b n"]:
    """s(t') of every candidate in its context.

    Args:
        params: of the model.
        cfg: the trainer.
        context: C words in the order of the text, 0 outside of the sentence; for Skip-gram the one word that is given.
        candidates: words to score.

    Raises:
        ValueError: for ids out of range, or a context of another size than the model's.
    """
    if context.ndim != 2 or candidates.ndim != 2 or context.shape != (len(candidates), cfg.contexts):
        raise ValueError(
            f"context has shape {context.shape} and candidates {candidates.shape}; {cfg.model} needs [b, {cfg.contexts}]"
        )
    check_ids("context", context, len(params.embed))
    check_ids("candidates", candidates, len(params.embed))
    x = context_vector(cfg, params.embed[context], params.hidden)
    if cfg.model == "cw":
        middle = params.embed[candidates] @ middle_columns(cfg, params.hidden).T
        return jnp.tanh(x[:, None] + middle) @ params.out[0]
    return jnp.einsum("bk,bnk->bn", x, params.out[candidates])


@partial(jax.jit, static_argnames="cfg")
def _ns_loss(params, cfg, target, context, negative):
    dropped = (negative < 0) | (negative == target[:, None])
    candidates = jnp.concatenate([target[:, None], jnp.where(dropped, 0, negative)], axis=1)
    scores = ns_scores(params, cfg, context, candidates)
    if cfg.loss == "hinge":
        return jnp.sum(jnp.where(dropped, 0, jax.nn.relu(1 - scores[:, :1] + scores[:, 1:])))
    weight = jnp.where(dropped, 0.0, 1.0).astype(scores.dtype)
    return jnp.sum(negative_sampling_loss(scores[:, 0], scores[:, 1:], weight, saturation=SATURATION))


def ns_loss(
    params: NSParams, cfg: NSConfig, target: Int[AnyArray, " b"], context: Int[AnyArray, "b c"], negative: Int[AnyArray, "b k"]
) -> Float[Array, ""]:
    """`L = -log sig(s(t)) - sum_k log sig(-s(n_k))`, summed over examples; derivatives saturate beyond scores of ±6.

    With `loss="hinge"`, `sum_k max(0, 1 - s(t) + s(n_k))`.

    Args:
        params, cfg, context: as for `ns_scores`.
        target: the right words.
        negative: drawn words; one that is -1 or the target does not count.

    Raises:
        ValueError: for shapes that do not fit or ids out of range.
    """
    if target.ndim != 1 or negative.ndim != 2 or len(target) != len(negative) or negative.shape[1] < 1:
        raise ValueError(f"target has shape {target.shape} and negative {negative.shape}; they need [b] and [b, k], k at least 1")
    check_ids("target", target, len(params.embed))
    check_ids("negative + 1", negative + 1, len(params.embed) + 1)
    check_ids("context", context, len(params.embed))
    return _ns_loss(params, cfg, target, context, negative)
