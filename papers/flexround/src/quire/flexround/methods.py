"""The rounding methods behind one interface: FlexRound, its low-rank form, AdaRound, AdaQuant, rounding to nearest."""

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Literal

import jax
from jaxtyping import Array

from quire.common.quant.reconstruct import Penalty
from quire.common.quant.uniform import Grid, affine_codes
from quire.flexround import adaround, division
from quire.flexround.adaquant import adaquant, adaquant_codes, adaquant_init
from quire.flexround.low_rank import low_rank, low_rank_codes, low_rank_init

MethodName = Literal["flexround", "low_rank", "adaround", "adaquant", "rtn"]


@dataclass(frozen=True)
class Method:
    """One way to round weights.

    Attributes:
        start: `(w, grid, key) -> params` that round to nearest (AdaRound's soft rounding starts at W).
        weights: `(w, params, bits, symmetric) -> What`, differentiable by the parameters.
        codes: `(w, params, bits, symmetric) -> codes` that are kept; `grid.scale (codes - grid.zero)` are the weights.
        grid: `params -> grid`.
        penalty: added to the error of reconstruction, or None.
    """

    start: Callable[[Array, Grid, jax.Array], Any]
    weights: Callable[..., Array]
    codes: Callable[..., Array]
    grid: Callable[[Any], Grid] = attrgetter("grid")
    penalty: Penalty | None = None

    def kept(self, w: Array, params: Any, bits: int | Array, symmetric: bool = False) -> Array:
        """The weights that are kept."""
        grid = self.grid(params)
        return grid.scale * (self.codes(w, params, bits, symmetric) - grid.zero)


METHODS: dict[MethodName, Method] = {
    "flexround": Method(lambda w, grid, key: division.start_flexround(w, grid), division.flexround, division.flexround_codes),
    "low_rank": Method(low_rank_init, low_rank, low_rank_codes),
    "adaround": Method(
        lambda w, grid, key: adaround.adaround_init(w, grid),
        adaround.adaround_soft,
        adaround.adaround_codes,
        penalty=adaround.adaround_penalty,
    ),
    "adaquant": Method(lambda w, grid, key: adaquant_init(w, grid), adaquant, adaquant_codes),
    "rtn": Method(lambda w, grid, key: grid, division.rtn, affine_codes, grid=lambda grid: grid),
}


def rates(params: Any, rate: float | Array, fixed: tuple[str, ...] = ()) -> Any:
    """The rate of every field of a method's parameters: 0 for those that an ablation keeps fixed.

    Raises:
        ValueError: if a name is no field.

    >>> from quire.flexround.adaround import AdaRoundParams
    >>> rates(AdaRoundParams(1.0, None), 0.1, fixed=("logits",))
    AdaRoundParams(logits=0.0, grid=None)
    """
    if unknown := set(fixed) - set(params._fields):
        raise ValueError(f"fixed names {sorted(unknown)}; the parameters are {params._fields}")
    each = {name: None if part is None else rate * (name not in fixed) for name, part in params._asdict().items()}
    return params._replace(**each)
