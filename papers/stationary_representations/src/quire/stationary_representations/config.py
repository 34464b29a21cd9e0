"""Presets: networks, images, tasks, replacements. A preset changes sizes, never the code path."""

from dataclasses import dataclass, replace
from typing import Literal

import optax

from quire.common.train.recipe import Recipe

ImageSet = Literal["digits", "mnist-t10k", "cifar100"]


@dataclass(frozen=True)
class Architecture:
    """A network.

    Attributes:
        num_slots: K, rows of the classifier, those for classes to come included; features have `d = K - 1` numbers.
        channels: of the stages of a patch network; none for a ResNet-18, as in the paper.
        patch: side of the squares of its first stage.
        in_channels: of the images.
        small_start: initial weights of the patch network with PyTorch's variance, `1 / (3 fan_in)`, instead of He's `2 / fan_in`.

    Raises:
        ValueError: for fewer than two slots.
    """

    num_slots: int = 1024
    channels: tuple[int, ...] = ()
    patch: int = 4
    in_channels: int = 3
    small_start: bool = False

    def __post_init__(self):
        if self.num_slots < 2:
            raise ValueError(f"num_slots is {self.num_slots}; a simplex has at least 2 vectors")

    @property
    def dim(self) -> int:
        """d."""
        return self.num_slots - 1


@dataclass(frozen=True)
class Training(Recipe):
    """Recipe of one stage of training.

    Attributes:
        final_rate: learning rate at the end of a cosine schedule.
    """

    final_rate: float = 0.0

    def rate(self) -> optax.Schedule:
        """The learning rate of every step."""
        if self.schedule != "cosine" or not self.final_rate:
            return super().rate()
        return optax.cosine_decay_schedule(self.learning_rate, self.steps, self.final_rate / self.learning_rate)


@dataclass(frozen=True)
class Stationarity:
    """Networks that were trained apart (C2, C4).

    Attributes:
        image_set, num_train: data; training images where the set leaves a choice.
        architecture, training: see there.
        networks: how many with each kind of classifier, at least two.
        queries, gallery: test images whose pairs are looked at one by one.
        one_by_one: train the networks one after the other.
        fallback: what runs where the data are not on this machine, or None.

    Raises:
        ValueError: for fewer than two networks.
    """

    image_set: ImageSet
    architecture: Architecture
    training: Training
    num_train: int = 6000
    networks: int = 4
    queries: int = 400
    gallery: int = 800
    one_by_one: bool = False
    fallback: "Stationarity | None" = None

    def __post_init__(self):
        if self.networks < 2:
            raise ValueError(f"networks is {self.networks}; a pair needs 2")


@dataclass(frozen=True)
class Replacement:
    """A better model, trained elsewhere, takes the place of the current one.

    Attributes:
        before: the task, from 0, before which it does.
        classes: that it was trained on, the first ones of the other set.
        stages: of its training, each as long as that of a task.
    """

    before: int
    classes: int
    stages: int


@dataclass(frozen=True)
class Scenario:
    """Tasks, memory and replacements (C3); the defaults are the paper's with 7 tasks.

    Attributes:
        image_set: where the tasks come from.
        architecture: one for all models.
        training: of a task.
        initial, increment: classes of the first task and of every other.
        per_class: training images of a class.
        memory: images of a class that are kept.
        rehearsal: share of them in a batch, from the second task on.
        replacements: in the order of their tasks.
        gallery_per_class, queries_per_class: images of every held-out class to search among and to search with.
        lam, mu: of the combined loss.
        one_by_one: train the networks one after the other.
        fallback: what runs where the data are not on this machine, or None.

    Raises:
        ValueError: for replacements out of order, or before the first task.
    """

    image_set: ImageSet
    architecture: Architecture
    training: Training
    replacements: tuple[Replacement, ...]
    initial: int = 10
    increment: int = 15
    per_class: int = 300
    memory: int = 20
    rehearsal: float = 0.5
    gallery_per_class: int = 1000
    queries_per_class: int = 5000
    lam: float = 0.1
    mu: float = 10.0
    one_by_one: bool = False
    fallback: "Scenario | None" = None

    def __post_init__(self):
        before = self.replace_at
        if list(before) != sorted(set(before)) or (before and before[0] < 1):
            raise ValueError(f"replacements come before the tasks {before}; they must ascend, from task 1 on")

    @property
    def replace_at(self) -> tuple[int, ...]:
        """Tasks before which the model is replaced."""
        return tuple(each.before for each in self.replacements)


@dataclass(frozen=True)
class Preset:
    """Everything the claims need to know.

    Attributes:
        simplex_sizes: numbers of classes whose vectors are checked.
        stationarity, scenario: see there.
    """

    stationarity: Stationarity
    scenario: Scenario
    simplex_sizes: tuple[int, ...] = (3, 4, 5, 9, 33, 64, 100, 257, 1024)


_SMALL = Architecture(32, (16, 32, 32, 64), in_channels=1, small_start=True)
_ADAM = Training(steps=200, batch_size=128, learning_rate=2e-3, schedule="constant", optimiser="adam")

_NETWORKS = Stationarity("mnist-t10k", _SMALL, _ADAM)

_TASKS = Scenario(
    "mnist-t10k",
    replace(_SMALL, num_slots=64, small_start=False),
    replace(_ADAM, steps=150, batch_size=64, learning_rate=1e-3),
    (Replacement(before=2, classes=20, stages=3),),
    initial=8,
    increment=4,
    gallery_per_class=100,
    queries_per_class=50,
)

DIGITS = Preset(
    replace(_NETWORKS, image_set="digits", architecture=replace(_SMALL, patch=2), num_train=1200, queries=200, gallery=300),
    replace(
        _TASKS,
        image_set="digits",
        architecture=replace(_TASKS.architecture, patch=2),
        per_class=100,
        gallery_per_class=80,
        queries_per_class=40,
    ),
)
"""Needs no file: what runs at `quick` without the MNIST images."""

QUICK = Preset(
    replace(_NETWORKS, fallback=DIGITS.stationarity),
    replace(_TASKS, fallback=DIGITS.scenario),
)
"""A laptop, less than a minute: MNIST and its rotations, patch networks."""

_WIDE = Architecture(128, (64, 128, 128, 256), in_channels=1)

STANDARD = Preset(
    replace(_NETWORKS, architecture=_WIDE, training=replace(_ADAM, steps=1000)),
    replace(
        _TASKS,
        architecture=_WIDE,
        training=replace(_TASKS.training, steps=600),
        replacements=(Replacement(before=2, classes=12, stages=4), Replacement(before=4, classes=20, stages=8)),
        increment=2,
    ),
)
"""One GPU, minutes: wider networks, seven tasks and two replacements, as in the paper, on rotations of MNIST."""

_RESNET = Architecture()
_SGD = Training(
    steps=70 * 15 * 300 // 64,
    batch_size=128,
    learning_rate=1e-3,
    optimiser="sgd",
    b1=0.9,
    weight_decay=5e-4,
    decay_kernels_only=True,
    final_rate=1e-5,
)

PAPER = Preset(
    Stationarity("cifar100", _RESNET, replace(_SGD, steps=70 * 50_000 // 128), queries=2000, gallery=4000, one_by_one=True),
    Scenario(
        "cifar100",
        _RESNET,
        _SGD,
        (Replacement(before=2, classes=300, stages=20), Replacement(before=4, classes=600, stages=40)),
        one_by_one=True,
    ),
)
"""The paper's: ResNet-18 on CIFAR-100 in 7 tasks, replaced by models trained on ImageNet32, searched on CIFAR-10.

Task lengths are 70 passes over the 4500 new images of a task, 64 in a batch.
"""

PRESETS = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
