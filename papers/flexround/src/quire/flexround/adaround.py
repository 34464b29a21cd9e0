"""AdaRound: every weight is rounded down or up, which of the two is learned (Nagel et al. 2020), on a fixed grid.

`What = s (clip(floor(W / s) + h(V) + z, 0, 2^b - 1) - z)` with the rectified sigmoid `h(V) = clip(1.2 sigmoid(V) - 0.1, 0, 1)`; a
regulariser drives h to 0 or 1, and the rounding that is kept is `h = 1[V >= 0]`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from quire.common.quant.uniform import Grid, clip_ste, code_range, quotient
from quire.flexround.division import AnyWeight, Weight

STRETCH, SHIFT = 1.2, 0.1
"""The sigmoid reaches from `-SHIFT` to `STRETCH - SHIFT` before it is cut off, so that 0 and 1 are reached."""

REGULARISER = 0.01
"""Weight of the regulariser."""

WARM_UP, SHARPEST, SOFTEST = 0.2, 20.0, 2.0
"""Share of the steps without regulariser; its exponent beta, which then falls from the sharpest to the softest."""


class AdaRoundParams(NamedTuple):
    """Logits `V` of rounding up, in the shape of the weights, and the fixed grid."""

    logits: Array
    grid: Grid


def up_share(logits: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """`h(V)` in [0, 1]: how far up a weight goes.

    >>> print(up_share(jnp.array([-9.0, 0.0, 9.0])))
    [0.  0.5 1. ]
    """
    return clip_ste(jax.nn.sigmoid(logits) * STRETCH - SHIFT, 0.0, 1.0)


def adaround_init(w: AnyWeight, grid: Grid) -> AdaRoundParams:
    """Logits at which `h(V)` is the fraction `W / s - floor(W / s)`: the soft rounding starts at W itself."""
    steps = quotient(w, grid.scale)
    fraction = steps - jnp.floor(steps)
    return AdaRoundParams(-jnp.log(STRETCH / (fraction + SHIFT) - 1), grid)


def adaround_soft(w: AnyWeight, p: AdaRoundParams, bits: int | Array, symmetric: bool = False) -> Weight:
    """What is trained: between the two neighbours on the grid.

    >>> grid = Grid(jnp.float32(0.5), jnp.float32(0.0))
    >>> w = jnp.array([[0.2, 1.2]])
    >>> print(adaround_soft(w, adaround_init(w, grid), 2), adaround_hard(w, adaround_init(w, grid), 2))
    [[0.2 1.2]] [[0. 1.]]
    """
    grid = jax.lax.stop_gradient(p.grid)
    return grid.scale * (_codes(w, up_share(p.logits), grid, bits, symmetric) - grid.zero)


def adaround_codes(w: AnyWeight, p: AdaRoundParams, bits: int | Array, symmetric: bool = False) -> Weight:
    """The codes that are kept, whole numbers as floats: up where `V >= 0`, down elsewhere."""
    return _codes(w, (p.logits >= 0).astype(w.dtype), p.grid, bits, symmetric)


def adaround_hard(w: AnyWeight, p: AdaRoundParams, bits: int | Array, symmetric: bool = False) -> Weight:
    """The rounding that is kept."""
    return p.grid.scale * (adaround_codes(w, p, bits, symmetric) - p.grid.zero)


def _codes(w: AnyWeight, up: Array, grid: Grid, bits: int | Array, symmetric: bool) -> Array:
    low, high = code_range(bits, symmetric)
    return clip_ste(jnp.floor(quotient(w, grid.scale)) + up + grid.zero, low, high)


def adaround_reg(logits: Float[Array, "*shape"], beta: float | Array) -> Float[Array, ""]:
    """`sum 1 - |2 h - 1|^beta`: zero where every weight has decided.

    >>> print(adaround_reg(jnp.array([-9.0, 0.0]), 2.0))
    1.0
    """
    decided = jnp.abs(2 * up_share(logits) - 1)
    # as exponential and logarithm, which are computed several numbers at a time, as powers are not
    return jnp.sum(1 - jnp.exp(beta * jnp.log(jnp.maximum(decided, jnp.finfo(decided.dtype).tiny))))


def adaround_penalty(p: AdaRoundParams, progress: Array, weight: float | Array = REGULARISER) -> Float[Array, ""]:
    """Nothing for the first fifth of the steps, then `weight` times the regulariser; beta falls from 20 to 2 as half a cosine."""
    done = jnp.clip((progress - WARM_UP) / (1 - WARM_UP), 0, 1)
    beta = SOFTEST + (SHARPEST - SOFTEST) * (1 + jnp.cos(jnp.pi * done)) / 2
    return jnp.where(progress < WARM_UP, 0.0, weight) * adaround_reg(p.logits, beta)
