"""The manipulations: each condition changes one factor of a network that learns two features."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from quire.representation_bias.features import FeatureSpec

Absent = Literal["masked", "constant"]


@dataclass(frozen=True)
class Condition:
    """What a perceptron learns, and how.

    Attributes:
        specs: the features.
        phases: loss weights of the features, one row for each of several equally long parts of the training.
        prevalence: fraction of the examples that each feature matters in.
        absent: in the others it is `"masked"` out of the loss, or `"constant"`: the bits that it depends on are zero.
        adam: Adam, rather than SGD with momentum.
        decay: weight decay, decoupled: with Adam this is AdamW.
        dropout: rate in all hidden layers.
        depth: hidden layers, at most those of the preset; as many by default.
        width: share of the preset's width.

    Raises:
        ValueError: for phases or prevalences that are not one number a feature, numbers out of range, or an unknown `absent`.
    """

    specs: tuple[FeatureSpec, ...]
    phases: tuple[tuple[float, ...], ...] = ()
    prevalence: tuple[float, ...] = ()
    absent: Absent = "masked"
    adam: bool = False
    decay: float = 0.0
    dropout: float = 0.0
    depth: int | None = None
    width: float = 1.0

    def __post_init__(self):
        count = len(self.specs)
        if any(len(row) != count or min(row) < 0 for row in self.phases):
            raise ValueError(f"phases is {self.phases}; each needs a weight of at least 0 for each of {count} features")
        if self.prevalence and (len(self.prevalence) != count or not all(0 < p <= 1 for p in self.prevalence)):
            raise ValueError(f"prevalence is {self.prevalence}; it needs a number in (0, 1] for each of {count} features")
        if self.absent not in ("masked", "constant"):
            raise ValueError(f"absent is {self.absent!r}; it must be 'masked' or 'constant'")
        if not (0 <= self.dropout < 1 and self.decay >= 0 and 0 < self.width <= 1):
            raise ValueError(
                f"dropout is {self.dropout}, decay {self.decay}, width {self.width}; they lie in [0, 1), from 0 on, and in (0, 1]"
            )


EASY, HARD = FeatureSpec("copy", (0,)), FeatureSpec("xor2", (1, 2))
PARITY4, OTHER_XOR = FeatureSpec("parity", (3, 4, 5, 6)), FeatureSpec("xor2", (7, 8))
PARITY3, THIRD_XOR = FeatureSpec("parity", (9, 10, 11)), FeatureSpec("xor2", (9, 10))
SUM_MOD_4 = FeatureSpec("sum_mod_4", (12, 13, 14, 15))
BOTH = (EASY, HARD)

CONDITIONS: Mapping[str, Condition] = {
    "joint": Condition(BOTH),
    "copy, parity4": Condition((EASY, PARITY4)),
    "easy first": Condition(BOTH, phases=((1, 0), (1, 1))),
    "hard first": Condition(BOTH, phases=((0, 1), (1, 1))),
    "easy alone": Condition(BOTH, phases=((1, 0),)),
    "hard alone": Condition(BOTH, phases=((0, 1),)),
    "rare": Condition((HARD, OTHER_XOR), prevalence=(1, 0.3)),
}
"""Complexity, learning order and prevalence, by name; the features of a condition share no bit."""

VARIANTS: Mapping[str, Condition] = {
    "joint": Condition(BOTH),
    "equally frequent": Condition((HARD, OTHER_XOR)),
    "copy, parity3": Condition((EASY, PARITY3)),
    "xor2, parity4": Condition((HARD, PARITY4)),
    "copy, three xor2": Condition((EASY, HARD, OTHER_XOR, THIRD_XOR)),
    "parity4, sum mod 4": Condition((PARITY4, SUM_MOD_4)),
    "easy, hard, both": Condition(BOTH, phases=((1, 0), (0, 1), (1, 1))),
    "rare, constant": Condition((HARD, OTHER_XOR), prevalence=(1, 0.3), absent="constant"),
    "one layer": Condition(BOTH, depth=1),
    "half the width": Condition(BOTH, width=0.5),
    "weight decay": Condition(BOTH, decay=1e-3),
    "dropout 0.3": Condition(BOTH, dropout=0.3),
    "dropout 0.5": Condition(BOTH, dropout=0.5),
    "Adam": Condition(BOTH, adam=True),
    "AdamW": Condition(BOTH, adam=True, decay=0.1),
    "Adam, dropout 0.5": Condition(BOTH, adam=True, dropout=0.5),
}
"""Further features and schedules, networks and optimisers, all with fewer and smaller steps."""
