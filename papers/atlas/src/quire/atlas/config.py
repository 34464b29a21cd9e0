"""Presets: backbones, domains, lengths of training. A preset changes sizes, never the code path."""

from dataclasses import dataclass, field
from typing import Literal

from quire.common.checks import check_at_least
from quire.common.train.recipe import Recipe

ImageSet = Literal["digits", "mnist-t10k", "cifar10-subset", "cifar10"]


@dataclass(frozen=True)
class MLP:
    """A perceptron.

    Attributes:
        hidden: widths of the layers before the head.
    """

    hidden: tuple[int, ...] = (128, 128)


@dataclass(frozen=True)
class ViT:
    """A vision transformer; the defaults are ViT-B.

    Attributes:
        dim, depth, num_heads: of the blocks.
        patch: side of a patch.
    """

    dim: int = 768
    depth: int = 12
    num_heads: int = 12
    patch: int = 4


@dataclass(frozen=True)
class Search:
    """Training of coefficients or of what rivals them.

    Attributes:
        steps, batch_size: length; images of every data set in a batch.
        epochs: how often a validation score decides what is kept.
        rates: learning rates of coefficients.
        weight_rates: learning rates of weights, and of coordinates that weights follow one to one.
    """

    steps: int = 200
    batch_size: int = 25
    epochs: int = 10
    rates: tuple[float, ...] = (5e-2, 1e-1, 2e-1)
    weight_rates: tuple[float, ...] = (1e-3, 3e-3, 1e-2)

    def __post_init__(self):
        for name in ("steps", "batch_size", "epochs"):
            check_at_least(name, getattr(self, name))
        if self.steps % self.epochs:
            raise ValueError(f"steps is {self.steps} and epochs {self.epochs}; epochs must divide steps")


@dataclass(frozen=True)
class Preset:
    """Sizes of all experiments.

    Attributes:
        image_set, num_validation: images, and how many training images validate.
        backbone: the network.
        domains: tasks of addition and negation.
        angles: degrees of the pool that is related to the few-shot target.
        target: degrees of the few-shot target.
        distractors: domains in the related pool that are not.
        pretraining, mixed_steps: of the base model: steps on plain images, then on all domains together.
        finetuning: of every task vector.
        addition, negation, few_shot, parts_search, test_time: how coefficients are learned.
        shots: images a class.
        smallest_crop, flip: augmentation of few-shot images.
        rank: of LoRA.
        parts: numbers K of parts of a block.
        fractions: shares of the target's training images.
        budget: task vectors that are kept of every block.
        noise: standard deviation of what is added to strongly augmented images.
        threshold: confidence from which an image counts without labels.
        at_once: models that train side by side.
    """

    image_set: ImageSet = "digits"
    num_validation: int = 300
    backbone: MLP | ViT = field(default_factory=MLP)
    domains: tuple[str, ...] = ("rot90", "invert", "transpose", "shift", "flip")
    angles: tuple[int, ...] = (10, 20, 45, 60)
    target: int = 30
    distractors: tuple[str, ...] = ("invert", "flip")
    pretraining: Recipe = field(default_factory=lambda: Recipe(300, 64, 3e-3))
    mixed_steps: int = 25
    finetuning: Recipe = field(default_factory=lambda: Recipe(150, 64, 1e-3))
    addition: Search = field(default_factory=Search)
    negation: Search = field(default_factory=lambda: Search(100, 50, 20, (5e-3, 1e-2)))
    few_shot: Search = field(default_factory=lambda: Search(100, 20))
    parts_search: Search = field(default_factory=lambda: Search(80, 32, rates=(5e-2,)))
    test_time: Search = field(default_factory=lambda: Search(100, 64, rates=(2e-2,)))
    shots: tuple[int, ...] = (1, 2, 4)
    smallest_crop: float = 0.8
    flip: bool = False
    rank: int = 2
    parts: tuple[int, ...] = (1, 5, 20)
    fractions: tuple[float, ...] = (0.01, 0.1, 1.0)
    budget: int = 2
    noise: float = 0.2
    threshold: float = 0.9
    at_once: int = 128

    def __post_init__(self):
        for name in ("num_validation", "mixed_steps", "rank", "budget", "at_once"):
            check_at_least(name, getattr(self, name))
        if not set(self.distractors) <= set(self.domains):
            raise ValueError(f"distractors is {self.distractors}; they must be among the domains {self.domains}")
        if not all(0 < share <= 1 for share in self.fractions):
            raise ValueError(f"fractions is {self.fractions}; they must lie in (0, 1]")

    @property
    def pool(self) -> tuple[str, ...]:
        """Domains of the related pool."""
        return tuple(f"{angle} degrees" for angle in self.angles) + self.distractors

    @property
    def target_name(self) -> str:
        """Domain of the few-shot target."""
        return f"{self.target} degrees"

    @property
    def tasks(self) -> tuple[str, ...]:
        """All domains that are fine-tuned on: those of addition, the related angles, the target."""
        return self.domains + tuple(f"{angle} degrees" for angle in self.angles) + (self.target_name,)


QUICK = Preset()
"""A laptop, seconds: scikit-learn's digits and a perceptron."""

STANDARD = Preset(
    "mnist-t10k",
    num_validation=1000,
    backbone=ViT(96, 4, 4, patch=7),
    pretraining=Recipe(1000, 128, 1e-3),
    finetuning=Recipe(400, 128, 5e-4),
    at_once=30,
    rank=4,
)
"""One GPU, minutes: MNIST images and a small transformer."""

PAPER = Preset(
    "cifar10",
    num_validation=5000,
    backbone=ViT(),
    domains=("rot90", "invert", "transpose", "shift", "flip", "rot180", "rot270", "upside down"),
    pretraining=Recipe(40_000, 128, 3e-4),
    mixed_steps=500,
    finetuning=Recipe(4000, 128, 1e-5),
    addition=Search(780, 16, 20, (1e-3, 1e-2, 1e-1)),
    negation=Search(780, 64, 20, (1e-3, 5e-3, 1e-2)),
    few_shot=Search(100, 128, 10, (1e-2, 1e-1), (1e-5, 1e-4, 1e-3)),
    parts_search=Search(400, 128, 10, (1e-1,)),
    test_time=Search(780, 128, 20, (1e-3,)),
    shots=(1, 2, 4, 8, 16),
    smallest_crop=0.5,
    flip=True,
    rank=16,
    fractions=(0.01, 0.05, 0.1, 0.25, 1.0),
    at_once=1,
)
"""ViT-B and eight domains, on CIFAR-10 in place of CLIP's weights and the paper's eight and 22 image sets."""

PRESETS = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
