"""The derivatives of FlexRound in closed form (proposition 3.1): by S2 they grow with the weight itself."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array

from quire.common.quant.uniform import code_range
from quire.flexround.division import AnyWeight, FlexRoundParams, Weight


class Gradients(NamedTuple):
    """Derivatives of a loss by `log s1`, `log S2` and `log s3`, in the shapes of the parameters."""

    log_s1: Array
    log_S2: Array
    log_s3: Array


def reciprocal_gradients(w: AnyWeight, p: FlexRoundParams, grad: Weight, bits: int, symmetric: bool = False) -> Gradients:
    """The derivatives, given `G = dL/dWhat`; those by the scales themselves are these over the scales.

    With `u = W / (s1 S2 s3)`, `q` the clipped and rounded `u`, and in = 1 where round(u) is on the grid:

        dL/dlog S2 = -G in W / (S2 s3),   dL/dlog s3 = its sums over rows,   dL/dlog s1 = sum s1 G (q - in u)

    Args:
        w, p, bits, symmetric: as for `flexround`; of linear maps.
        grad: `dL/dWhat`, in the shape of w.

    >>> from quire.flexround.division import init_flexround
    >>> w = jnp.array([[0.1, -0.4], [0.9, 0.5]])
    >>> p = init_flexround(w, 2, clip_search=False)
    >>> print(reciprocal_gradients(w, p, jnp.ones((2, 2)), 2).log_S2)
    [[-0.1  0.4]
     [-0.9 -0.5]]
    """
    low, high = (bound - p.zero for bound in code_range(bits, symmetric))
    scale, divided = p.grid.scale, w / p.stretch
    rounded = jnp.round(w / (scale * p.stretch))
    inside = (low <= rounded) & (rounded <= high)
    by_s2 = -grad * inside * divided
    by_s1 = grad * (scale * jnp.clip(rounded, low, high) - inside * divided)
    summed = by_s1.sum() if jnp.ndim(scale) == 0 else by_s1.sum(tuple(range(1, w.ndim)), keepdims=True)
    return Gradients(summed, by_s2, by_s2.sum(tuple(range(1, w.ndim)), keepdims=True))
