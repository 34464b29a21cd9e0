"""Presets: the sizes of the experiments. A preset changes sizes, never the code path."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Preset:
    """Sizes of the experiments; the defaults are the paper's.

    Attributes:
        num_samples: numbers that a mean is taken of.
        num_trials: means that an error is averaged over.

    Raises:
        ValueError: if a size is not positive.
    """

    num_samples: int = 262_144
    num_trials: int = 1000

    def __post_init__(self):
        if min(self.num_samples, self.num_trials) < 1:
            raise ValueError(f"num_samples is {self.num_samples} and num_trials {self.num_trials}; both must be at least 1")


QUICK = Preset(num_samples=256, num_trials=500)
"""A laptop, a second."""

STANDARD = Preset(num_samples=16_384)
"""One GPU, minutes."""

PRESETS = {"quick": QUICK, "standard": STANDARD, "paper": Preset()}
