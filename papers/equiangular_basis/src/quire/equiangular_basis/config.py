"""Presets: sets to generate, networks to train, classes of a head. A preset changes sizes, never the code path."""

from dataclasses import dataclass, replace
from typing import Literal

from quire.common.train.recipe import Recipe

ImageSet = Literal["prototypes", "digits", "mnist-t10k", "cifar10", "imagenet-1k"]


@dataclass(frozen=True)
class Size:
    """A set to generate: n vectors of `R^d`, by so many steps of each stage of the annealing."""

    n: int
    d: int
    steps: int

    @property
    def label(self) -> str:
        """As tables show it."""
        return f"N = {self.n}, d = {self.d}"


@dataclass(frozen=True)
class Generation:
    """C1 and C2.

    Attributes:
        sizes: the three sets that are judged.
        further: sets that are shown beside them.
        threshold, lr, steps: of the hinge on the first size.
        slice_size, slice_lr, slice_steps: of C2, on the first size.
    """

    sizes: tuple[Size, Size, Size] = (Size(24, 12, 600), Size(100, 50, 300), Size(200, 50, 300))
    further: tuple[Size, ...] = ()
    threshold: float = 0.25
    lr: float = 0.005
    steps: int = 300
    slice_size: int = 7
    slice_lr: float = 0.02
    slice_steps: int = 40


@dataclass(frozen=True)
class Sweep:
    """One network under one recipe with many heads.

    Attributes:
        image_set, num_train, num_classes: data; training images where the set leaves a choice; classes of generated prototypes.
        channels, patch, in_channels: of the patch network; no channels for a ResNet-50, as in the paper.
        image_size: side of crops of photographs, in pixels.
        dim: of the features, which narrower heads use in part.
        training: recipe.
        smoothing, tau: of the loss, and temperature of all heads but the FC.
        ebv_dims: d of optimised vectors: low, middle, high.
        random_dims: d of random vectors.
        simplex: whether the simplex of d = classes - 1 takes part.
        ebv_steps: of each stage of the annealing.
        fallback: what runs where the data are not on this machine, or None.
    """

    image_set: ImageSet
    dim: int
    training: Recipe
    ebv_dims: tuple[int, ...]
    random_dims: tuple[int, ...]
    channels: tuple[int, ...] = ()
    patch: int = 4
    in_channels: int = 1
    image_size: int = 28
    num_train: int = 6000
    num_classes: int = 10
    smoothing: float = 0.1
    tau: float = 0.07
    simplex: bool = True
    ebv_steps: int = 300
    fallback: "Sweep | None" = None

    def __post_init__(self):
        widest = max(self.dim, *self.ebv_dims, *self.random_dims)
        if widest > self.dim or min(*self.ebv_dims, *self.random_dims) < 2:
            dims = f"ebv_dims {self.ebv_dims}, random_dims {self.random_dims}"
            raise ValueError(f"dim is {self.dim}, {dims}; every d lies between 2 and dim")


@dataclass(frozen=True)
class HeadCost:
    """C5: a head of so many classes on a batch of features."""

    classes: int = 20_000
    dim: int = 128
    batch: int = 64
    timings: int = 7


@dataclass(frozen=True)
class Preset:
    """Everything the claims need to know."""

    generation: Generation
    sweep: Sweep
    many: Sweep
    cost: HeadCost


_ADAM = Recipe(steps=250, batch_size=64, learning_rate=1e-2, optimiser="adam")

_MNIST = Sweep("mnist-t10k", 32, _ADAM, (5, 10, 32), (5, 10), channels=(16, 32, 32))

DIGITS = replace(_MNIST, image_set="digits", training=replace(_ADAM, steps=150), patch=2, num_train=1437)
"""Needs no file: what runs at `quick` without the MNIST images."""

_MANY = Sweep(
    "prototypes",
    32,
    replace(_ADAM, steps=200, batch_size=256),
    (32,),
    (32,),
    channels=(256,),
    patch=8,
    num_train=20,
    num_classes=300,
    simplex=False,
    ebv_steps=100,
)

QUICK = Preset(Generation(), replace(_MNIST, fallback=DIGITS), _MANY, HeadCost())
"""A laptop, less than a minute: 24 patch networks on MNIST at once."""

STANDARD = Preset(
    Generation(sizes=(Size(24, 12, 600), Size(100, 50, 600), Size(200, 50, 600)), further=(Size(1000, 100, 300),)),
    Sweep(
        "cifar10",
        64,
        Recipe(steps=10_000, batch_size=256, learning_rate=3e-3, optimiser="adamw", warmup=0.05, weight_decay=0.05),
        (5, 10, 64),
        (5, 10),
        channels=(64, 128, 256),
        in_channels=3,
        image_size=32,
    ),
    replace(_MANY, dim=128, ebv_dims=(128,), random_dims=(128,), channels=(1024,), num_classes=5000),
    HeadCost(100_000, 512, 256),
)
"""One GPU, minutes: CIFAR-10."""

_IMAGENET_STEPS = 105 * (1_281_167 // 1024)

PAPER = Preset(
    Generation(
        sizes=(Size(24, 12, 600), Size(100, 50, 600), Size(200, 50, 600)),
        further=(Size(1000, 100, 600), Size(1000, 500, 600), Size(100_000, 1000, 300)),
    ),
    Sweep(
        "imagenet-1k",
        2000,
        Recipe(_IMAGENET_STEPS, 1024, 0.5, optimiser="sgd", b1=0.9, warmup=5 / 105, weight_decay=2e-5),
        (100, 200, 300, 400, 500, 1000, 2000),
        (100, 200),
        in_channels=3,
        image_size=224,
    ),
    replace(_MANY, dim=1000, ebv_dims=(1000,), random_dims=(1000,), channels=(4096,), num_classes=100_000),
    HeadCost(100_000, 1000, 1024),
)
"""The paper's: ResNet-50 on ImageNet-1K for 105 epochs, d from 100 to 2000; 100000 classes."""

PRESETS = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
