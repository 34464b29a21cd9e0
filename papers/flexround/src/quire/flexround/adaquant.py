"""AdaQuant: a learned number is added to every weight before it is rounded (Hubara et al. 2021); the scale is learned too.

`What = s clip(round((W + V) / s), -z, 2^b - 1 - z)`. The derivative by V does not depend on W: the addition that
FlexRound's division is compared with.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from quire.common.quant.uniform import Grid, affine_codes, affine_quantize
from quire.flexround.division import AnyWeight, Weight


class AdaQuantParams(NamedTuple):
    """Logarithm of the scale, what is added to the weights (in their shape), and the fixed zero point."""

    log_scale: Array
    offset: Array
    zero: Array

    @property
    def grid(self) -> Grid:
        """Scale and zero point."""
        return Grid(jnp.exp(self.log_scale), jax.lax.stop_gradient(self.zero))


def adaquant_init(w: AnyWeight, grid: Grid) -> AdaQuantParams:
    """Rounding to nearest."""
    return AdaQuantParams(jnp.log(grid.scale), jnp.zeros_like(w), grid.zero)


def adaquant(w: AnyWeight, p: AdaQuantParams, bits: int | Array, symmetric: bool = False) -> Weight:
    """`s clip(round((W + V) / s), -z, 2^b - 1 - z)` with straight-through derivatives.

    >>> w = jnp.array([[0.2, 0.8]])
    >>> p = adaquant_init(w, Grid(jnp.float32(0.5), jnp.float32(0)))
    >>> print(adaquant(w, p, 2), adaquant(w, p._replace(offset=jnp.array([[0.1, 0.0]])), 2))
    [[0. 1.]] [[0.5 1. ]]
    """
    return affine_quantize(w + p.offset, p.grid, bits, symmetric)


def adaquant_codes(w: AnyWeight, p: AdaQuantParams, bits: int | Array, symmetric: bool = False) -> Weight:
    """The codes of `adaquant`, whole numbers as floats."""
    return affine_codes(w + p.offset, p.grid, bits, symmetric)
