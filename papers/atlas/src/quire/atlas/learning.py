"""How coefficients are learned: AdamW with clipped gradients, and the best epoch by a validation score (section 5)."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from quire.atlas.composition import compose
from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, check_positive

Loss = Callable[[Any, Any], Array]
"""`loss(trained, batch) -> scalar`, traced."""
Score = Callable[[Any], Array]
"""`score(trained) -> scalar`, traced: the higher, the better."""


class Learned(NamedTuple):
    """What a training run gives.

    Attributes:
        value: what was trained, from the best epoch; the start if none was better.
        scores: before the first epoch and after each, `[epochs + 1]`; zeros where nothing selects.
        losses: of every step.
    """

    value: Any
    scores: Float[Array, " epochs"]
    losses: Float[Array, " steps"]


def learn(
    loss: Loss,
    start: Any,
    batches: Any,
    *,
    lr: float | Array,
    epochs: int = 1,
    select: Score | None = None,
    clip: float = 1.0,
    weight_decay: float = 0.1,
) -> Learned:
    """Train any pytree by AdamW, the rate falling as a cosine, and keep the epoch with the best score.

    Args:
        loss: of what is trained and a batch.
        start: a pytree of arrays.
        batches: pytree of arrays `[steps, ...]`.
        lr: peak of the learning rate; may be traced, so that one program serves a grid.
        epochs: after how many equal parts of the steps it is scored.
        select: the score; without it, the last state is kept.
        clip: largest global norm of a gradient.
        weight_decay: decoupled, as a multiple of the rate.

    Raises:
        ValueError: if epochs do not divide the steps, there is no step, or lr or clip is not positive.
    """
    check_positive("lr", lr)
    check_positive("clip", clip)
    steps = {leaf.shape[0] for leaf in jax.tree.leaves(batches)}
    if len(steps) != 1 or not min(steps) or check_at_least("epochs", epochs) > min(steps) or min(steps) % epochs:
        raise ValueError(f"batches have {sorted(steps)} steps and epochs is {epochs}; epochs must divide one number of steps")
    count = steps.pop()
    tx = optax.chain(
        optax.clip_by_global_norm(clip), optax.adamw(optax.cosine_decay_schedule(1.0, count), weight_decay=weight_decay)
    )
    score = select or (lambda trained: jnp.zeros(()))

    def step(carry, batch):
        trained, moments = carry
        value, slope = jax.value_and_grad(loss)(trained, batch)
        update, moments = tx.update(slope, moments, trained)
        return (jax.tree.map(lambda p, u: p + (lr * u).astype(p.dtype), trained, update), moments), value

    def epoch(carry, batches):
        *state, best, best_score = carry
        (trained, moments), losses = jax.lax.scan(step, tuple(state), batches)
        now = score(trained)
        better = (now > best_score) | (select is None)
        best = jax.tree.map(lambda new, old: jnp.where(better, new, old), trained, best)
        return (trained, moments, best, jnp.where(better, now, best_score)), (now, losses)

    parts = jax.tree.map(lambda x: jnp.reshape(x, (epochs, count // epochs, *x.shape[1:])), batches)
    first = score(start)
    (_, _, best, _), (scores, losses) = jax.lax.scan(epoch, (start, tx.init(start), start, first), parts)
    return Learned(best, jnp.concatenate([first[None], scores]), losses.reshape(-1))


def learn_coefficients(
    loss_fn: Loss,
    base: Any,
    tvs: Mapping[str, Any],
    data: Any,
    *,
    coef: Float[AnyArray, "t j"] | Float[AnyArray, " t"] | None = None,
    lr: float | Array = 1e-1,
    epochs: int = 1,
    clip: float = 1.0,
    weight_decay: float = 0.1,
    select: Score | None = None,
) -> Learned:
    """Learn one coefficient for every task vector and block, from zero; the weights stay as they are.

    Args:
        loss_fn: `loss_fn(params, batch)`, of composed parameters.
        base: pre-trained parameters.
        tvs: task vectors `[T, ...]` by block.
        data: batches, pytree of arrays `[steps, ...]`.
        coef: where to start; `[T, J]` zeros by default, `[T]` zeros for one coefficient a vector.
        lr, epochs, clip, weight_decay: as for `learn`.
        select: a score of composed parameters, the higher the better.

    Returns:
        The coefficients, scores and losses. With `select`, zero-shot (all coefficients 0) is kept if no epoch beats it.

    Raises:
        ValueError: as `learn` and `compose`.

    >>> loss = lambda params, batch: jnp.sum((params["w"] - batch) ** 2)
    >>> tvs = {"w": jnp.array([[1.0, 0.0]])}
    >>> learned = learn_coefficients(loss, {"w": jnp.zeros(2)}, tvs, jnp.tile(jnp.array([2.0, 0.0]), (300, 1)), weight_decay=0.0)
    >>> print(learned.value.round(2))
    [[2.]]
    """
    if coef is None:
        coef = jnp.zeros((next(iter(tvs.values())).shape[0], len(tvs))) if tvs else jnp.zeros((0, 0))
    score = None if select is None else lambda c: select(compose(base, tvs, c))
    return learn(
        lambda c, batch: loss_fn(compose(base, tvs, c), batch),
        jnp.asarray(coef),
        data,
        lr=lr,
        epochs=epochs,
        select=score,
        clip=clip,
        weight_decay=weight_decay,
    )


def block_or_vector(count: int, columns: int) -> dict[str, Array]:
    """Zero coefficients of both forms, `[T, J]` and `[T]`, so that one program learns either: see `coefficients`."""
    return {"block": jnp.zeros((count, columns)), "vector": jnp.zeros(count)}


def coefficients(both: dict[str, Array], tied: Any) -> Float[Array, "t j"]:
    """Those a block, or those a vector in every block. The others have derivatives of zero, and stay where they are.

    >>> float(coefficients(block_or_vector(2, 3), True).sum())
    0.0
    """
    return jnp.where(tied, both["vector"][:, None], both["block"])


def negation_score(target: ArrayLike, control: ArrayLike, zero_shot: ArrayLike, floor: float = 0.95) -> Array:
    """Score of an edit that unlearns: the lower the accuracy on the target the better, as long as the control is kept.

    Args:
        target, control: accuracies after the edit.
        zero_shot: accuracy on the control before it.
        floor: share of it that must be left.

    Returns:
        `-target`; where too little of the control is left, `-2`, which is worse than any.

    >>> float(negation_score(0.1, 0.9, 0.9)), float(negation_score(0.0, 0.5, 0.9))
    (-0.10000000149011612, -2.0)
    """
    target, control, zero_shot = (jnp.asarray(x) for x in (target, control, zero_shot))
    return jnp.where(control >= floor * zero_shot, -target, -2.0)
