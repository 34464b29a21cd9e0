"""A better generator: a soft maximum of the absolute cosines, sharpened stage by stage. Not in the paper."""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.scipy.special import logsumexp
from jaxtyping import Array, Float, Num

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, check_positive
from quire.common.layers.nested import unit_rows
from quire.equiangular_basis.coherence import cosines_of, each_row
from quire.equiangular_basis.hinge import Descent, check_start

SHARPNESS = (4.0, 16.0, 64.0, 256.0)


def soft_coherence(
    vectors: Float[Array, "n d"],
    sharpness: float | Array,
    *,
    slice_size: int | None = None,
    fixed: Float[Array, "f d"] | None = None,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """`(1/p) log sum_(i != j) exp(p |<v_i, v_j>|)`, and the coherence, which lies below it by at most `log(n (n - 1)) / p`.

    Args:
        vectors: unit rows.
        sharpness: p.
        slice_size: rows whose cosines are held at once, in the derivative too.
        fixed: further unit rows that make pairs with `vectors`.

    >>> soft, hard = soft_coherence(jnp.array([[1.0, 0.0], [0.6, 0.8]]), 256.0)
    >>> print(f"{soft:.4f} {hard:.4f}")
    0.6027 0.6000
    """
    everything = vectors if fixed is None else jnp.concatenate([fixed, vectors])
    before = len(everything) - len(vectors)

    @jax.checkpoint  # the derivative computes cosines again instead of holding those of all slices
    def of_row(row, index):
        cosines = jnp.abs(cosines_of(row, index, everything))
        others = jnp.arange(len(everything)) != index
        return logsumexp(sharpness * cosines, where=others), cosines.max()

    soft, largest = each_row(of_row, vectors, before + jnp.arange(len(vectors)), slice_size)
    return logsumexp(soft) / sharpness, largest.max()


def annealed_descent(
    start: Num[AnyArray, "n d"],
    *,
    sharpness: Sequence[float] = SHARPNESS,
    lr: float = 0.01,
    steps: int = 600,
    slice_size: int | None = None,
    fixed: Num[AnyArray, "f d"] | None = None,
) -> Descent:
    """Adam on `soft_coherence` of the normalised rows, `steps` steps for every sharpness.

    Args:
        start: `[n, d]`; coordinates that are zero in all rows stay zero.
        sharpness: p of every stage, rising.
        lr: rate of Adam.
        steps: of a stage.
        slice_size, fixed: as for `hinge_descent`.

    Raises:
        ValueError: as `hinge_descent`, and for stages that are not positive or none.

    >>> found = annealed_descent(np.random.default_rng(0).normal(size=(6, 3)), steps=300)
    >>> print(f"{found.coherence[-1]:.2f}")  # six diagonals of the icosahedron
    0.45
    """
    start, fixed = check_start(start, fixed)
    check_at_least("steps", steps)
    check_positive("lr", lr)
    if not len(sharpness) or min(sharpness) <= 0:
        raise ValueError(f"sharpness is {tuple(sharpness)}; it needs at least one stage, all positive")
    return _anneal(start, fixed, np.repeat(np.asarray(sharpness, start.dtype), steps), lr, slice_size)


@partial(jax.jit, static_argnames="slice_size")
def _anneal(start, fixed, sharpness, lr, slice_size):
    tx = optax.adam(lr)

    def objective(vectors, p):
        return soft_coherence(unit_rows(vectors), p, slice_size=slice_size, fixed=fixed)

    def step(carry, p):
        vectors, state = carry
        found, gradient = jax.value_and_grad(objective, has_aux=True)(vectors, p)
        updates, state = tx.update(gradient, state)
        return (optax.apply_updates(vectors, updates), state), found

    (vectors, _), (losses, coherences) = jax.lax.scan(step, (start, tx.init(start)), sharpness)
    return Descent(unit_rows(vectors), losses, coherences, jnp.asarray(len(sharpness)))
