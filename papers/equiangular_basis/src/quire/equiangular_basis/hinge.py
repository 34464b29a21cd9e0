"""The authors' generator: gradient descent on a hinge of absolute cosines, slice by slice (algorithm 1 and their code)."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Num

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, check_positive, is_concrete
from quire.common.layers.nested import unit_rows
from quire.equiangular_basis.coherence import as_vectors, check_unit, coherence, cosines_of, each_row


class Hinge(NamedTuple):
    """The hinge loss of a set.

    Attributes:
        loss: over all ordered pairs.
        coherence: largest absolute cosine of a pair.
        gradient: of the loss by the vectors.
    """

    loss: Float[Array, ""]
    coherence: Float[Array, ""]
    gradient: Float[Array, "n d"]


class Descent(NamedTuple):
    """How a set was generated.

    Attributes:
        vectors: the set, unit rows.
        loss, coherence: before every step; after an early stop the last value is repeated.
        steps: steps that were looked at.
    """

    vectors: Float[Array, "n d"]
    loss: Float[Array, " steps"]
    coherence: Float[Array, " steps"]
    steps: Int[Array, ""]


def hinge(
    vectors: Num[AnyArray, "n d"],
    threshold: float | Array,
    *,
    slice_size: int | None = None,
    fixed: Num[AnyArray, "f d"] | None = None,
) -> Hinge:
    """`L = sum_(i != j) relu(|<v_i, v_j>| - t)` and `dL/dv_i = 2 sum_j sign(<v_i, v_j>) [|<v_i, v_j>| > t] v_j`.

    Each pair counts in both orders, whence the 2, so that the rows of a slice are enough for their gradient.

    Args:
        vectors: unit rows.
        threshold: t.
        slice_size: rows whose cosines are held at once; all by default.
        fixed: further unit rows that make pairs with `vectors` and get no gradient.

    Raises:
        ValueError: for shapes that do not fit, or a slice below 1.

    >>> found = hinge(jnp.array([[1.0, 0.0], [0.5, 0.75**0.5]]), 0.25)
    >>> print(f"{found.loss:.2f} {found.gradient[1].tolist()}")
    0.50 [2.0, 0.0]
    """
    vectors = as_vectors("vectors", vectors, least=1)
    everything = vectors if fixed is None else jnp.concatenate([_beside(fixed, vectors), vectors])
    before = len(everything) - len(vectors)
    orders = jnp.where(jnp.arange(len(everything)) < before, 2, 1).astype(vectors.dtype)  # no slice holds the row of a fixed one

    def of_row(row, index):
        cosines = cosines_of(row, index, everything)
        excess = jnp.abs(cosines) - threshold
        active = excess > 0  # not at the threshold itself, nor for the row with itself
        push = jnp.matmul(jnp.where(active, jnp.sign(cosines), 0), everything, precision="highest")
        return jnp.sum(jnp.where(active, orders * excess, 0)), jnp.abs(cosines).max(), 2 * push

    losses, largest, gradient = each_row(of_row, vectors, before + jnp.arange(len(vectors)), slice_size)
    return Hinge(losses.sum(), largest.max(), gradient)


def hinge_descent(
    start: Num[AnyArray, "n d"],
    threshold: float = 0.002,
    *,
    lr: float = 1e-3,
    steps: int = 100_000,
    slice_size: int | None = None,
    tolerance: float = 1e-4,
    fixed: Num[AnyArray, "f d"] | None = None,
) -> Descent:
    """Normalise the rows, stop if the coherence is at most `threshold + tolerance`, else step against the gradient; repeat.

    The gradient is that at the normalised rows, not projected onto the sphere: the next normalisation does that. A threshold
    below `welch_bound` cannot be reached, and all steps are taken; one just above it can drive two rows into one line, which
    a hinge does not part again. Large rates oscillate, and then rounding decides the set.

    Args:
        start: `[n, d]`, normal numbers in the paper.
        threshold: t, in `[0, 1)`; the default is that of the authors for n = d = 1000.
        lr: rate of plain gradient descent.
        steps: at most so many.
        slice_size: rows whose cosines are held at once, 130 in the authors' code; all by default.
        tolerance: of the early stop.
        fixed: unit rows that the new ones must keep away from, and that do not move.

    Raises:
        ValueError: for a threshold, rate or number out of range, or rows that are zero or parallel: those never separate.

    >>> from quire.equiangular_basis.coherence import welch_bound
    >>> found = hinge_descent(np.random.default_rng(0).normal(size=(24, 12)), 0.25, lr=0.005, steps=1000)
    >>> print(f"{found.coherence[0]:.2f} {found.coherence[-1]:.2f}, {welch_bound(24, 12):.2f}")
    0.76 0.25, 0.21
    """
    start, fixed = check_start(start, fixed)
    if is_concrete(threshold) and not 0 <= threshold < 1:
        raise ValueError(f"threshold is {threshold}; it must lie in [0, 1)")
    check_at_least("steps", steps)
    check_positive("lr", lr)
    return _descend(start, fixed, threshold, lr, tolerance, steps, slice_size)


def check_start(start: AnyArray, fixed: AnyArray | None) -> tuple[Array, Array | None]:
    """Rows to start from, at least two with the fixed ones, none of them zero and no two parallel; fixed ones of length 1.

    Raises:
        ValueError: otherwise; the numbers of traced rows pass.
    """
    start = as_vectors("start", start, least=2 if fixed is None else 1)
    fixed = None if fixed is None else check_unit("fixed", _beside(fixed, start))
    if is_concrete(start, fixed):
        lengths = np.linalg.norm(np.asarray(start, np.float64), axis=1)
        if not (np.isfinite(lengths).all() and lengths.min() > 0):
            raise ValueError(f"start has rows of length {lengths.min():.4g} to {lengths.max():.4g}; they need a direction")
        everything = start if fixed is None else np.concatenate([fixed, start])
        if (found := float(coherence(everything, slice_size=1024).max)) > 1 - 1e-6:
            raise ValueError(f"start has two rows with an absolute cosine of {found:.7f}; parallel rows never separate")
    return start, fixed


def _beside(fixed, vectors):
    fixed = as_vectors("fixed", fixed, least=1).astype(vectors.dtype)
    if fixed.shape[1] != vectors.shape[1]:
        raise ValueError(f"fixed has dimension {fixed.shape[1]}; the vectors have {vectors.shape[1]}")
    return fixed


@partial(jax.jit, static_argnames=("steps", "slice_size"))
def _descend(start, fixed, threshold, lr, tolerance, steps, slice_size):
    def body(carry):
        step, vectors, losses, coherences, _ = carry
        vectors = unit_rows(vectors)
        found = hinge(vectors, threshold, slice_size=slice_size, fixed=fixed)
        reached = found.coherence <= threshold + tolerance
        moved = jnp.where(reached, vectors, vectors - lr * found.gradient)
        return step + 1, moved, losses.at[step].set(found.loss), coherences.at[step].set(found.coherence), reached

    def goes_on(carry):
        return (carry[0] < steps) & ~carry[-1]

    trace = jnp.zeros(steps, start.dtype)
    step, vectors, losses, coherences, _ = jax.lax.while_loop(goes_on, body, (0, start, trace, trace, False))
    shown = jnp.minimum(jnp.arange(steps), step - 1)
    return Descent(unit_rows(vectors), losses[shown], coherences[shown], jnp.asarray(step))
