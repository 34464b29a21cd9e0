"""Fast training: blocks of consecutive words, windows as shifted copies of one gather, negatives shared by a whole step."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, check_positive
from quire.common.losses.sampled import negative_sampling_loss
from quire.common.random import generator
from quire.common.text.windows import Blocks, keep_probability, token_blocks
from quire.common.train.adagrad import adagrad
from quire.common.train.batches import epoch_indices
from quire.common.train.seeds import fit_seeds, stack
from quire.word_embeddings.models import SATURATION, NSConfig, NSParams, context_vector, init_ns, middle_columns
from quire.word_embeddings.vocabulary import draw_negatives, thinned


class Text(NamedTuple):
    """Word ids, words of every sentence, and the count of every word of the vocabulary."""

    ids: Int[np.ndarray, " tokens"]
    lengths: Int[np.ndarray, " sentences"]
    counts: Int[np.ndarray, " v"]


@dataclass(frozen=True)
class Schedule:
    """How a text is gone through.

    Attributes:
        steps: of AdaGrad, gradients summed over each.
        block: words of a block.
        blocks: in a step.
        shared: negatives of a step; each counts K / shared for every word.
        snapshots: equally spaced states that are kept.
        held_out: share of the blocks, the last ones, that is not trained on.

    Raises:
        ValueError: for a size that is not positive, a share outside `[0, 1)`, or snapshots that do not divide the steps.
    """

    steps: int
    block: int = 128
    blocks: int = 8
    shared: int = 256
    snapshots: int = 1
    held_out: float = 0.05

    def __post_init__(self):
        for name in ("steps", "block", "blocks", "shared", "snapshots"):
            check_at_least(name, getattr(self, name))
        if not 0 <= self.held_out < 1 or self.steps % self.snapshots:
            raise ValueError(
                f"held_out is {self.held_out} and snapshots {self.snapshots}; they need [0, 1), and to divide {self.steps} steps"
            )


class Batch(NamedTuple):
    """Blocks of a step, see `quire.common.text.windows.Blocks`, and the negatives that they share."""

    tokens: Int[AnyArray, "b width"]
    centres: Bool[AnyArray, "b size"]
    inside: Bool[AnyArray, "b width"]
    negatives: Int[AnyArray, " s"]


def offsets(window: int) -> tuple[int, ...]:
    """Places of the context relative to the word, from left to right."""
    return tuple(o for o in range(-window, window + 1) if o)


def shifted(x: AnyArray, window: int, offset: int) -> Array:
    """What stands `offset` places to the right of every centre, `[b, width, ...] -> [b, size, ...]`."""
    size = x.shape[1] - 2 * window
    return jax.lax.slice_in_dim(x, window + offset, window + offset + size, axis=1)


def window_sum(x: Float[AnyArray, "b width k"], window: int) -> Float[Array, "b size k"]:
    """Sum over the 2w neighbours of every centre, as a difference of cumulative sums."""
    size = x.shape[1] - 2 * window
    sums = jnp.pad(jnp.cumsum(x, axis=1), ((0, 0), (1, 0), (0, 0)))
    return sums[:, 2 * window + 1 :] - sums[:, :size] - shifted(x, window, 0)


def _context(params: NSParams, cfg: NSConfig, rows: AnyArray) -> AnyArray:
    """x of every centre; CBOW's sum passes the whole gradient to each word."""
    if cfg.model == "cbow":
        total = window_sum(rows, cfg.window)
        return jax.lax.stop_gradient(total / cfg.contexts) + (total - jax.lax.stop_gradient(total))
    copies = jnp.stack([shifted(rows, cfg.window, o) for o in offsets(cfg.window)], axis=2)
    return context_vector(cfg, copies, params.hidden)


def _scores(params: NSParams, cfg: NSConfig, batch: Batch) -> tuple[AnyArray, AnyArray]:
    """Scores `[b, size]` of the words and `[b, size, s]` of the negatives."""
    rows, targets = params.embed[batch.tokens], shifted(batch.tokens, cfg.window, 0)
    x = _context(params, cfg, rows)
    if cfg.model == "cw":
        middle, weights = middle_columns(cfg, params.hidden).T, params.out[0]
        right = jnp.tanh(x + shifted(rows, cfg.window, 0) @ middle) @ weights
        return right, jnp.tanh(x[:, :, None] + (params.embed[batch.negatives] @ middle)[None, None]) @ weights
    return jnp.sum(x * params.out[targets], axis=-1), x @ params.out[batch.negatives].T


def block_loss(params: NSParams, cfg: NSConfig, batch: Batch) -> Float[Array, ""]:
    """`ns_loss` of all words of some blocks, with K / s for each of the s shared negatives in place of K drawn ones.

    Args:
        params: of the model.
        cfg: the trainer.
        batch: blocks with `halo=cfg.window`.

    Raises:
        ValueError: if the blocks have another halo.
    """
    if batch.tokens.shape[1] != batch.centres.shape[1] + 2 * cfg.window:
        sizes = batch.tokens.shape[1], batch.centres.shape[1]
        raise ValueError(
            f"blocks have {sizes[0]} tokens and {sizes[1]} centres; a window of {cfg.window} needs twice as many more"
        )
    if cfg.model == "skipgram":
        return _skipgram_loss(params, cfg, batch)
    right, wrong = _scores(params, cfg, batch)
    targets = shifted(batch.tokens, cfg.window, 0)
    counted = batch.negatives[None, None] != targets[..., None]
    share = cfg.negatives / len(batch.negatives)
    if cfg.loss == "hinge":
        losses = share * jnp.sum(jnp.where(counted, jax.nn.relu(1 - right[..., None] + wrong), 0), axis=-1)
    else:
        losses = negative_sampling_loss(right, wrong, jnp.where(counted, share, 0), saturation=SATURATION)
    return jnp.sum(jnp.where(batch.centres, losses, 0))


def _skipgram_loss(params: NSParams, cfg: NSConfig, batch: Batch) -> Array:
    """Scores of negatives depend on the given word alone: each counts as often as that word has centres around it."""
    rows, out = params.embed[batch.tokens], params.out[shifted(batch.tokens, cfg.window, 0)]
    share = cfg.negatives / len(batch.negatives)
    pairs = 0.0
    for offset in offsets(cfg.window):
        score = jnp.sum(shifted(rows, cfg.window, offset) * out, axis=-1)
        both = batch.centres & shifted(batch.inside, cfg.window, offset)
        pairs += jnp.sum(jnp.where(both, negative_sampling_loss(score, score[..., None], 0.0, saturation=SATURATION), 0))
    wide = jnp.pad(batch.centres, ((0, 0), (cfg.window, cfg.window)))  # centres around every word of the block
    counted = (batch.negatives[None, None] != batch.tokens[..., None]) & wide[..., None]
    around = jnp.pad(counted.astype(rows.dtype), ((0, 0), (cfg.window, cfg.window), (0, 0)))
    wrong = rows @ params.out[batch.negatives].T
    weight = jnp.where(batch.inside[..., None], share * window_sum(around, cfg.window), 0)
    zero = jnp.full(wrong.shape[:2], jnp.finfo(wrong.dtype).max)  # a right answer that costs nothing
    return pairs + jnp.sum(negative_sampling_loss(zero, wrong, weight, saturation=SATURATION))


# --- Training ---


class NSModel(nnx.Module):
    """Holds the parameters of a trainer.

    Args:
        params: see `init_ns`.
    """

    def __init__(self, params: NSParams):
        self.embed, self.out = nnx.Param(jax.device_put(params.embed)), nnx.Param(jax.device_put(params.out))
        self.hidden = None if params.hidden is None else nnx.Param(jax.device_put(params.hidden))

    @property
    def params(self) -> NSParams:
        return NSParams(self.embed[...], self.out[...], None if self.hidden is None else self.hidden[...])


class Fitted(NamedTuple):
    """What training found.

    Attributes:
        params: `[seeds, snapshots, ...]`.
        losses: a word, at every step `[seeds, steps]`.
        held: blocks of every seed that were not trained on, see `held_out_losses`.
        words: that a snapshot has seen `[snapshots]`.
    """

    params: NSParams
    losses: Float[np.ndarray, "seeds steps"]
    held: tuple[Batch, ...]
    words: Int[np.ndarray, " snapshots"]


class Plan(NamedTuple):
    """What the steps of a run see.

    Attributes:
        blocks: of the text.
        order: which of them each step takes `[steps, blocks]`.
        negatives: of each step `[steps, shared]`.
    """

    blocks: Blocks
    order: Int[np.ndarray, "steps blocks"]
    negatives: Int[np.ndarray, "steps shared"]

    def batch(self, step: Array | int) -> Batch:
        """The blocks and negatives of a step."""
        return Batch(*(x[self.order[step]] for x in self.blocks), self.negatives[step])


def plan(key: jax.Array, cfg: NSConfig, text: Text, schedule: Schedule, *, share: float = 1.0) -> tuple[Plan, Batch]:
    """Which words the steps of a run see, and the part of the text that it does not see.

    Args:
        key: for thinning, order and negatives.
        cfg, text, schedule: what is trained how.
        share: of the blocks that are used, the first ones: how a small text is made out of a large one, with the same program.

    Returns:
        The plan, and at most 64 of the held-out blocks.

    Raises:
        ValueError: if no block is left to train on.
    """
    draw = generator(key)
    ids, lengths = text.ids, text.lengths
    if cfg.subsample:
        ids, lengths = thinned(draw, ids, lengths, keep_probability(text.counts, cfg.subsample))
    blocks = token_blocks(ids, lengths, schedule.block, halo=cfg.window)
    trained = round((1 - schedule.held_out) * len(blocks.tokens))
    used = check_at_least("blocks to train on", round(share * trained))
    order = epoch_indices(key, used, schedule.blocks, schedule.steps)
    negatives = draw_negatives(draw, text.counts, (schedule.steps, schedule.shared))
    return Plan(blocks, order, negatives), Batch(*(x[trained : trained + 64] for x in blocks), negatives[0])


def fit_ns(
    keys: Sequence[jax.Array] | jax.Array,
    cfg: NSConfig,
    text: Text | Sequence[Text],
    schedule: Schedule,
    *,
    shares: Sequence[float] | None = None,
    one_by_one: bool = False,
) -> Fitted:
    """Train one model per key by one compiled program.

    Args:
        keys: of the seeds.
        cfg: the trainer; `cfg.lr` is the rate of AdaGrad for gradients summed over a step.
        text: ids, lengths and counts; or a text for each key, all cut into as many blocks.
        schedule: steps and their sizes.
        shares: of the text, one per key; all of it by default.
        one_by_one: one seed after the other, for large vocabularies.

    Returns:
        Parameters and losses.

    Raises:
        ValueError: see `plan`.
        TrainingDiverged: if a loss or a parameter is not finite.
    """
    check_positive("lr", cfg.rate)
    shares = [1.0] * len(keys) if shares is None else shares
    texts = [text] * len(keys) if isinstance(text, Text) else text
    lanes = zip(keys, texts, shares, strict=True)
    plans, held = zip(*[plan(key, cfg, text, schedule, share=share) for key, text, share in lanes], strict=True)
    words = max(1, round(plans[0].blocks.centres.mean() * schedule.block * schedule.blocks))

    def build(rngs):
        return NSModel(init_ns(rngs.params(), cfg, len(texts[0].counts)))

    def loss(model, batch, key):
        return block_loss(model.params, cfg, batch)

    _, state, losses = fit_seeds(
        build,
        adagrad(cfg.rate),
        loss,
        Plan.batch,
        stack(plans),
        steps=schedule.steps,
        keys=jnp.stack(keys),
        snapshots=schedule.snapshots,
        one_by_one=one_by_one,
    )
    hidden = state["hidden"].get_value() if "hidden" in state else None
    params = NSParams(state["embed"].get_value(), state["out"].get_value(), hidden)
    if schedule.snapshots == 1:
        params = jax.tree.map(lambda x: x[:, None], params)
    seen = words * schedule.steps // schedule.snapshots * np.arange(1, schedule.snapshots + 1)
    return Fitted(params, np.asarray(losses) / words, held, seen)


def held_out_losses(fitted: Fitted, cfg: NSConfig, seed: int = 0) -> Float[np.ndarray, " snapshots"]:
    """Loss a word on the part of the text that was not trained on, at every snapshot of one seed.

    Args:
        fitted: by `fit_ns`.
        cfg: the trainer.
        seed: which.

    Raises:
        ValueError: if nothing was held out.
    """
    held = fitted.held[seed]
    if not held.centres.any():
        raise ValueError("held_out is 0; a part of the text must be held out to be scored")
    return np.asarray(_losses_of(jax.tree.map(lambda x: x[seed], fitted.params), cfg, held))


@partial(jax.jit, static_argnames="cfg")
def _losses_of(params: NSParams, cfg: NSConfig, held: Batch) -> Array:
    return jax.lax.map(lambda one: block_loss(one, cfg, held) / held.centres.sum(), params)
