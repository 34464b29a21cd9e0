"""Contrastive losses with masks: any number of positives and negatives for every anchor.

References:
    van den Oord et al., *Representation Learning with Contrastive Predictive Coding*, 2018; Chen et al., *A Simple Framework for
    Contrastive Learning*, 2020; Khosla et al., *Supervised Contrastive Learning*, 2020.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from quire.common.checks import check_positive
from quire.common.layers.nested import unit_rows


def multi_positive_nce(
    logits: Float[Array, "n m"], positive: Bool[Array, "n m"], negative: Bool[Array, "n m"], reduction: str = "pairs"
) -> Float[Array, ""]:
    """`-log(exp(s_ij) / (exp(s_ij) + sum_k exp(s_ik)))` for every positive j of every anchor i, against the negatives k alone.

    Other positives are not in the denominator of a pair.

    Args:
        logits: similarities over the temperature.
        positive, negative: which keys are what for each anchor; a key may be neither.
        reduction: `"pairs"` (the mean over all positive pairs) or `"rows"` (the mean over anchors of each anchor's sum
            over its number of positives + 1e-6; an anchor without positives counts as 0).

    Returns:
        The loss in nats; 0 if there is no positive pair.

    Raises:
        ValueError: for another reduction, masks of another shape, or no anchors.

    >>> logits = jnp.array([[0.0, 0.0, 5.0]])
    >>> masks = jnp.array([[True, False, False]]), jnp.array([[False, True, False]])
    >>> print(f"{multi_positive_nce(logits, *masks):.4f}")
    0.6931
    """
    if reduction not in ("pairs", "rows"):
        raise ValueError(f"reduction is {reduction!r}; choose from 'pairs', 'rows'")
    if positive.shape != logits.shape or negative.shape != logits.shape or logits.size == 0:
        shapes = logits.shape, positive.shape, negative.shape
        raise ValueError(f"logits, positive and negative have shapes {shapes}; they need the same one, with anchors and keys")
    rest = masked_logsumexp(logits, negative)
    # log(1 + exp(rest - s)), which is 0 without negatives
    losses = jnp.where(positive, jnp.logaddexp(0.0, rest[:, None] - jnp.where(positive, logits, 0)), 0)
    counts = positive.sum(axis=1)
    if reduction == "rows":
        return jnp.mean(losses.sum(axis=1) / (counts + 1e-6))
    return losses.sum() / jnp.maximum(counts.sum(), 1)


def masked_logsumexp(logits: Float[Array, "n m"], keep: Bool[Array, "n m"]) -> Float[Array, " n"]:
    """`log sum exp` over the entries that `keep` marks, NaN if one is; minus infinity where it marks none.

    Others have the derivative 0.
    """
    top = jax.lax.stop_gradient(jnp.where(keep, logits, -jnp.inf).max(axis=1))
    top = jnp.where(jnp.isfinite(top), top, 0)
    total = jnp.where(keep, jnp.exp(jnp.where(keep, logits, 0) - top[:, None]), 0).sum(axis=1)
    none = total == 0
    return jnp.where(none, -jnp.inf, jnp.log(jnp.where(none, 1, total)) + top)


def nt_xent(a: Float[Array, "n dim"], b: Float[Array, "n dim"], temperature: float = 0.5) -> Float[Array, ""]:
    """SimCLR's loss of two views: each of the 2 n rows is to find its partner among all others, by cosine over the temperature.

    Args:
        a, b: views in corresponding rows, of any length but 0.
        temperature: positive.

    Raises:
        ValueError: for fewer than one pair, views of different shapes, or a temperature that is not positive.

    >>> print(f"{nt_xent(jnp.eye(2), jnp.eye(2), 0.1):.5f}")
    0.00009
    """
    check_positive("temperature", temperature)
    if a.ndim != 2 or a.shape != b.shape or len(a) == 0:
        raise ValueError(f"a has shape {a.shape} and b {b.shape}; they need one shape [n, dim], n at least 1")
    z = unit_rows(jnp.concatenate([a, b]))
    row = jnp.arange(2 * len(a))
    partner = (row + len(a)) % (2 * len(a))
    positive = partner[:, None] == row[None]
    return multi_positive_nce(z @ z.T / temperature, positive, ~positive & (row[:, None] != row[None]))


def hoc_loss(
    new: Float[Array, "n dim"], old: Float[Array, "n dim"], labels: Int[Array, " n"], mu: float = 10.0, *, exact: bool = False
) -> Float[Array, ""]:
    """Alignment of new features with old ones at higher order: mean of `-S_nn + log sum_m exp(S_nm)`, `S = mu <old_n, new_m>`.

    The sum runs over samples of other classes. The authors multiply the others by 0 instead of leaving them out, so that each
    adds `exp(0) = 1` to the sum; so does this, unless `exact`.

    Args:
        new, old: features of unit length.
        labels: class of every row.
        mu: inverse temperature.
        exact: sum over other classes only; then a batch of one class has no loss (minus infinity).

    Raises:
        ValueError: unless there is a label and an old row for every new one, at least one.

    References:
        Biondi et al., *Stationary Representations: Optimally Approximating Compatibility and Implications for Improved Model
        Replacements*, 2024.
    """
    if new.ndim != 2 or new.shape != old.shape or labels.shape != new.shape[:1] or len(new) == 0:
        shapes = new.shape, old.shape, labels.shape
        raise ValueError(f"new, old and labels have shapes {shapes}; they need [n, dim] twice and [n], n at least 1")
    scores = mu * old @ new.T
    others = labels[:, None] != labels[None]
    rest = masked_logsumexp(scores, others) if exact else jax.nn.logsumexp(jnp.where(others, scores, 0), axis=1)
    return jnp.mean(rest - jnp.diagonal(scores))
