"""Presets: sizes of the experiments. A preset changes sizes, never the code path."""

from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

from quire.common.checks import check_at_least

Schedule = Literal["constant", "cosine", "steps"]


@dataclass(frozen=True)
class Descent:
    """SGD with momentum, tried at every pair of a rate and a weight decay.

    Attributes:
        steps, batch_size: length.
        rates: learning rates at the start.
        decays: weight decays, added to the gradient.
        schedule: of the rate: `"constant"`, `"cosine"` to zero, or `"steps"`, a tenth after 8, 16 and 24 of 28 parts of the way.
        momentum: in [0, 1).
        nesterov: whether the momentum looks ahead.

    Raises:
        ValueError: for another schedule, or a number out of its range.

    >>> Descent(28, 4, schedule="steps").factors()[[0, 8, 27]].round(4).tolist()
    [1.0, 0.10000000149011612, 0.0010000000474974513]
    """

    steps: int
    batch_size: int
    rates: tuple[float, ...] = (0.1,)
    decays: tuple[float, ...] = (5e-4,)
    schedule: Schedule = "constant"
    momentum: float = 0.9
    nesterov: bool = False

    def __post_init__(self):
        if self.schedule not in get_args(Schedule):
            raise ValueError(f"schedule is {self.schedule!r}; it must be one of {', '.join(get_args(Schedule))}")
        check_at_least("steps", self.steps)
        check_at_least("batch_size", self.batch_size)
        if not self.rates or min(self.rates) <= 0:
            raise ValueError(f"rates is {self.rates}; it needs at least one, all positive")
        if not self.decays or min(self.decays) < 0:
            raise ValueError(f"decays is {self.decays}; it needs at least one, none negative")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum is {self.momentum}; it must lie in [0, 1)")

    @property
    def grid(self) -> list[tuple[float, float]]:
        """All pairs of a rate and a decay."""
        return [(rate, decay) for rate in self.rates for decay in self.decays]

    @property
    def optimiser(self) -> tuple[float, bool]:
        """Momentum, and whether it is Nesterov's."""
        return self.momentum, self.nesterov

    def factors(self) -> np.ndarray:
        """Rate of every step over the first one, float32 `[steps]`."""
        done = np.arange(self.steps)
        factors = {
            "constant": np.ones(self.steps),
            "cosine": (1 + np.cos(np.pi * done / self.steps)) / 2,
            "steps": 0.1 ** np.searchsorted([8, 16, 24], 28 * done / self.steps, side="right"),
        }
        return factors[self.schedule].astype(np.float32)


@dataclass(frozen=True)
class Transfer:
    """R2 to R5, R7, R8: half of the classes are the source task, the others the new one.

    Attributes:
        image_set: `"digits"`, `"mnist-t10k"`, `"cifar10-subset"` or `"cifar100"`.
        backbone: `"perceptron"`, `"resnet18"` or `"resnet50"`.
        width: of the networks that are trained often.
        parts: n of CATn; the rival of equal size is so many times wider.
        episodes: networks with their own seeds, a multiple of `parts`.
        source: how all networks are trained on the source task.
        high_rates: learning rates of the episodes that give snapshots; validation on the new task chooses.
        labels, validation: images of a new class to learn from, and to choose by.
        probe: of linear probes with batch norm.
        plain_probe: of linear probes without it, which take longer.
        fine_tuning: of whole networks on the new task.
        short_probe: of the head after fine-tuned parts are joined.
        distillation: of a student into which CATn goes.
        temperatures: of it.
    """

    image_set: str = "digits"
    backbone: str = "perceptron"
    width: int = 16
    parts: int = 5
    episodes: int = 10
    source: Descent = field(default_factory=lambda: Descent(400, 64))
    high_rates: tuple[float, ...] = (0.1, 0.15, 0.2)
    labels: int = 25
    validation: int = 20
    probe: Descent = field(default_factory=lambda: Descent(280, 32, (0.1,), (1e-3, 1e-2, 1e-1), "steps", nesterov=True))
    plain_probe: Descent = field(default_factory=lambda: Descent(600, 32, (0.1,), (1e-3, 1e-2, 1e-1), nesterov=True))
    fine_tuning: Descent = field(default_factory=lambda: Descent(200, 32, (0.005, 0.01, 0.05), (0.0, 5e-4), "cosine"))
    short_probe: Descent = field(default_factory=lambda: Descent(8, 32, (0.001,), (0.0,)))
    distillation: Descent = field(default_factory=lambda: Descent(2000, 64, (0.005,), (5e-4,)))
    temperatures: tuple[float, ...] = (2.0, 10.0)

    def __post_init__(self):
        for name in ("width", "parts", "labels", "validation"):
            check_at_least(name, getattr(self, name))
        if self.episodes < 2 or self.episodes % self.parts or self.episodes % 2:
            raise ValueError(f"episodes is {self.episodes}; it must be a positive multiple of parts, {self.parts}, and of 2")
        if self.source.steps % self.parts:
            raise ValueError(f"source has {self.source.steps} steps; a multiple of parts, {self.parts}, gives its snapshots")
        for name in ("high_rates", "temperatures"):
            if not getattr(self, name) or min(getattr(self, name)) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it needs at least one, all positive")


@dataclass(frozen=True)
class FewShotTasks:
    """R8: tasks of the new classes, on the features of the transfer study.

    Attributes:
        tasks: for each seed.
        ways, shots, queries: classes of a task, and examples of each to learn from and to be asked.
        steps: of a head.
    """

    tasks: int = 100
    ways: int = 5
    shots: int = 5
    queries: int = 15
    steps: int = 100

    def __post_init__(self):
        for name in ("tasks", "ways", "shots", "queries", "steps"):
            check_at_least(name, getattr(self, name))


@dataclass(frozen=True)
class Shift:
    """R6: coloured images, odd against even.

    Attributes:
        image_set: `"digits"` or `"mnist-t10k"`, images of one channel.
        width, parts: of a network, and of CATn.
        agreements: of colour and label in the training environments.
        outside: the same where the networks are tested.
        noise: how often the figure does not say the label.
        examples, held: of a training environment, to train on and for IID validation.
        outside_held: for OOD validation; all other images are for the test.
        training, distillation: of the networks and of the student.
        temperature: of the distillation.
        lams, decays: settings of the heads.
        steps: of the heads.
    """

    image_set: str = "digits"
    width: int = 16
    parts: int = 5
    agreements: tuple[float, ...] = (0.9, 0.8)
    outside: float = 0.1
    noise: float = 0.1
    examples: int = 500
    held: int = 100
    outside_held: int = 200
    training: Descent = field(default_factory=lambda: Descent(400, 64))
    distillation: Descent = field(default_factory=lambda: Descent(2000, 64, (0.005,)))
    temperature: float = 10.0
    lams: tuple[float, ...] = (1.0, 10.0, 100.0, 1000.0)
    decays: tuple[float, ...] = (1e-3, 1e-2)
    steps: int = 300

    def __post_init__(self):
        for name in ("width", "parts", "examples", "held", "outside_held", "steps"):
            check_at_least(name, getattr(self, name))
        if not self.agreements or not self.lams or not self.decays:
            raise ValueError("agreements, lams or decays is empty; each needs at least one number")


@dataclass(frozen=True)
class Preset:
    """Sizes of all experiments."""

    transfer: Transfer = field(default_factory=Transfer)
    few_shot: FewShotTasks = field(default_factory=FewShotTasks)
    shift: Shift = field(default_factory=Shift)


QUICK = Preset()
"""A laptop, seconds: scikit-learn's digits, perceptrons of two layers of 16."""

STANDARD = Preset(
    Transfer(
        "mnist-t10k",
        width=32,
        source=Descent(2000, 128),
        probe=Descent(1400, 64, (0.1,), (1e-4, 1e-3, 1e-2, 1e-1), "steps", nesterov=True),
        plain_probe=Descent(3000, 64, (0.1,), (1e-4, 1e-3, 1e-2, 1e-1), nesterov=True),
        fine_tuning=Descent(1000, 64, (0.005, 0.01, 0.05), (0.0, 1e-5, 1e-4, 5e-4), "cosine"),
        distillation=Descent(8000, 128, (0.005,)),
    ),
    FewShotTasks(600),
    Shift("mnist-t10k", width=32, examples=2000, held=300, outside_held=600, training=Descent(2000, 128)),
)
"""One GPU, minutes: MNIST."""

PAPER = Preset(
    Transfer(
        "cifar100",
        backbone="resnet50",
        width=64,
        episodes=10,
        source=Descent(20_000, 128, (0.1,), (5e-4,), "cosine"),
        labels=400,
        validation=50,
        probe=Descent(28 * 79, 256, (0.01,), (1e-4, 5e-4, 1e-3, 5e-3, 1e-2, 5e-2), "steps", nesterov=True),
        plain_probe=Descent(28 * 79, 256, (0.01,), (1e-4, 5e-4, 1e-3, 5e-3, 1e-2, 5e-2), "steps", nesterov=True),
        fine_tuning=Descent(4000, 128, (0.005, 0.01, 0.05), (0.0, 1e-5, 1e-4, 5e-4), "cosine"),
        short_probe=Descent(2 * 79, 256, (0.001,), (0.0,)),
        distillation=Descent(40_000, 128, (0.02,), (5e-4,), "cosine"),
    ),
    FewShotTasks(600),
    Shift("mnist-t10k", width=256, examples=2000, held=300, outside_held=600, training=Descent(5000, 128)),
)
"""ResNet-50 on half of the classes of CIFAR-100, in place of ImageNet; grids and schedules of the authors."""

PRESETS = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
