"""How a network is trained, as a configuration: length, schedule, optimiser."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import jax
import optax

from quire.common.checks import check_positive

Schedule = Literal["constant", "cosine", "halve", "linear"]
Optimiser = Literal["adam", "adamw", "amsgrad", "lion", "radam", "sgd"]

OPTIMISERS = {name: getattr(optax, name) for name in ("adam", "adamw", "amsgrad", "lion", "radam", "sgd")}
DECOUPLED = ("adamw", "lion")
"""Optimisers that take the weight decay apart from the gradient."""


@dataclass(frozen=True)
class Recipe:
    """Length, schedule and optimiser of a training run. A paper that needs more fields extends it.

    Attributes:
        steps, batch_size: length.
        learning_rate: its peak.
        schedule: `"cosine"` or `"linear"` to zero, `"halve"` after each epoch, or `"constant"`.
        optimiser: `"adamw"` and `"lion"` decouple the weight decay, the others add it to the gradient.
        epochs: into which the steps are divided.
        warmup: fraction of the steps in which the rate rises from zero to its peak; for `"cosine"` and `"linear"`.
        weight_decay: its coefficient.
        decay_kernels_only: whether all but the kernels of linear maps are spared the decay.
        b1, b2: decays of the moments, b1 being the momentum of SGD; those of optax for None.
        clip: largest norm of a gradient; any for None.
        ema: decay of the average of the parameters that `fit` and `fit_seeds` keep; 0 for none.

    Raises:
        ValueError: for an unknown schedule or optimiser, or a number out of its range.

    >>> rate = Recipe(steps=100, batch_size=8, learning_rate=0.5, warmup=0.1).rate()
    >>> [round(float(rate(step)), 3) for step in (0, 10, 55, 100)]
    [0.0, 0.5, 0.25, 0.0]
    """

    steps: int
    batch_size: int
    learning_rate: float
    schedule: Schedule = "cosine"
    optimiser: Optimiser = "adamw"
    epochs: int = 1
    warmup: float = 0.0
    weight_decay: float = 0.0
    decay_kernels_only: bool = False
    b1: float | None = None
    b2: float | None = None
    clip: float | None = None
    ema: float = 0.0

    def __post_init__(self):
        if self.schedule not in get_args(Schedule):
            raise ValueError(f"schedule is {self.schedule!r}; it must be one of {', '.join(get_args(Schedule))}")
        if self.optimiser not in OPTIMISERS:
            raise ValueError(f"optimiser is {self.optimiser!r}; it must be one of {', '.join(OPTIMISERS)}")
        if self.b2 is not None and self.optimiser == "sgd":
            raise ValueError(f"b2 is {self.b2}; SGD has no second moment")
        if self.warmup and self.schedule not in ("cosine", "linear"):
            raise ValueError(f"warmup is {self.warmup} and schedule {self.schedule!r}; only 'cosine' and 'linear' have a warm-up")
        lengths = {name: getattr(self, name) for name in ("steps", "batch_size", "epochs")}
        if min(lengths.values()) < 1 or self.steps % self.epochs:
            raise ValueError(f"{lengths}: all must be at least 1, and epochs divide steps")
        shares, sizes = ("warmup", "ema", "b1", "b2"), ("learning_rate", "weight_decay")
        for name, high in {**dict.fromkeys(shares, 1), **dict.fromkeys(sizes, float("inf"))}.items():
            if not 0 <= (value := getattr(self, name) or 0) < high:
                raise ValueError(f"{name} is {value}; it must lie in [0, {high})")
        if self.warmup and self._rise() >= self.steps:
            raise ValueError(f"warmup is {self.warmup}; that leaves none of the {self.steps} steps for its fall")
        if self.clip is not None:
            check_positive("clip", self.clip)

    def rate(self) -> optax.Schedule:
        """The learning rate of every step."""
        if self.schedule == "constant":
            return optax.constant_schedule(self.learning_rate)
        if self.schedule == "halve":
            return optax.exponential_decay(self.learning_rate, self.steps // self.epochs, 0.5, staircase=True)
        rise = self._rise()
        if self.schedule == "linear":
            fall = optax.linear_schedule(self.learning_rate, 0.0, self.steps - rise)
            return optax.join_schedules([optax.linear_schedule(0.0, self.learning_rate, rise), fall], [rise]) if rise else fall
        if not rise:
            return optax.cosine_decay_schedule(self.learning_rate, self.steps)
        return optax.warmup_cosine_decay_schedule(0.0, self.learning_rate, rise, self.steps)

    def _rise(self) -> int:
        return max(1, round(self.warmup * self.steps)) if self.warmup else 0

    def transformation(self, *, flat: bool = False) -> optax.GradientTransformation:
        """The optimiser.

        Args:
            flat: keep its moments as one vector: an update is then one kernel to compile instead of one for each parameter.
                For parameters on one device.

        Raises:
            ValueError: if `flat` is asked of a decoupled decay that spares some parameters.
        """
        mask = _are_kernels if self.decay_kernels_only else None
        names = {"b1": "momentum" if self.optimiser == "sgd" else "b1", "b2": "b2"}
        options = {names[name]: value for name in names if (value := getattr(self, name)) is not None}
        parts = [] if self.clip is None else [optax.clip_by_global_norm(self.clip)]
        if self.optimiser in DECOUPLED:
            if flat and mask:
                raise ValueError(f"flat is True; the decay of {self.optimiser} cannot tell kernels in one vector")
            options |= {"weight_decay": self.weight_decay, "mask": mask}
        elif self.weight_decay:
            parts.append(optax.add_decayed_weights(self.weight_decay, mask))
        tx = OPTIMISERS[self.optimiser](self.rate(), **options)
        return optax.chain(*parts, optax.flatten(tx) if flat else tx)


def _are_kernels(params: Any) -> Any:
    return jax.tree.map_with_path(lambda path, _: "kernel" in jax.tree_util.keystr(path), params)
