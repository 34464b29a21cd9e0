"""How a model is quantised: method, width, grid, and the steps of its reconstruction."""

from dataclasses import dataclass
from typing import Any

from quire.flexround.methods import METHODS, MethodName


@dataclass(frozen=True)
class Scheme:
    """How weights are quantised, and how their rounding is learned.

    Attributes:
        method: see `METHODS`.
        bits: of a weight, 2 to 8.
        per_channel: a scale for each output channel rather than one for each weight tensor.
        symmetric: signed codes without zero point.
        clip_search: start from the best range rather than from the whole one.
        steps, batch_size, rate: of Adam on each block; `rate` falls to zero as a cosine.
        fixed: parameters that are not learned: `("log_s1",)` is the ablation with a fixed grid.
        input_prob: probability with which a number of a block's input is that of the full-precision model, anew in every step
            (QDrop); 0 for never.

    Raises:
        ValueError: for an unknown method or a number out of range.
    """

    method: MethodName = "flexround"
    bits: int = 4
    per_channel: bool = False
    symmetric: bool = False
    clip_search: bool = True
    steps: int = 5000
    batch_size: int = 64
    rate: float = 2e-3
    fixed: tuple[str, ...] = ()
    input_prob: float = 0.0

    def __post_init__(self):
        if self.method not in METHODS:
            raise ValueError(f"method is {self.method!r}; it must be one of {', '.join(METHODS)}")
        if not 2 <= self.bits <= 8:
            raise ValueError(f"bits is {self.bits}; it must lie between 2 and 8")
        if min(self.steps, self.batch_size) < 1 or not self.rate >= 0 or not 0 <= self.input_prob < 1:
            raise ValueError(
                f"steps, batch_size, rate and input_prob are {self.steps}, {self.batch_size}, {self.rate}, {self.input_prob}; "
                "they need at least 1, at least 1, at least 0, and [0, 1)"
            )

    def grid_options(self) -> dict[str, Any]:
        """Arguments of `initial_grid`."""
        return {name: getattr(self, name) for name in ("bits", "per_channel", "symmetric", "clip_search")}
