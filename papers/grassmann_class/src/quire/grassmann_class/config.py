"""Presets: data, encoder, subspace dimensions, training, transfer. A preset changes sizes, never the code path."""

from dataclasses import dataclass, replace
from typing import Literal

import optax

from quire.common.checks import check_at_least, check_positive
from quire.common.train.recipe import Recipe

ImageSet = Literal["digits", "mnist-t10k", "cifar10-subset", "imagenet-1k"]


@dataclass(frozen=True)
class Training(Recipe):
    """Recipe of a training run; the recipe's own fields are those of everything but the subspaces.

    Attributes:
        lr_factor: learning rate of the subspaces / that of the rest; the schedule is one.
        subspace_momentum: of the subspaces.
        reorth_every: steps between re-orthonormalisations.
        label_smoothing: s.
        layerwise: LAMB, which scales every layer's step of AdamW by a trust ratio; `optimiser` has to be `"adamw"`.

    Raises:
        ValueError: as `Recipe`; for a moving average, which takes bases off the manifold; for numbers out of range.
    """

    lr_factor: float = 1.0
    subspace_momentum: float = 0.9
    reorth_every: int = 5
    label_smoothing: float = 0.0
    layerwise: bool = False

    def __post_init__(self):
        super().__post_init__()
        check_positive("lr_factor", self.lr_factor)
        check_at_least("reorth_every", self.reorth_every)
        if self.ema:
            raise ValueError(f"ema is {self.ema}; an average of orthonormal bases is none, so it must be 0")
        if self.layerwise and self.optimiser != "adamw":
            raise ValueError(f"optimiser is {self.optimiser!r}; LAMB (layerwise) is made of 'adamw'")

    def base(self) -> optax.GradientTransformation:
        """The optimiser of everything but the subspaces, without clipping."""
        if not self.layerwise:
            return replace(self, clip=None).transformation(flat=not self.decay_kernels_only)
        moments = {name: value for name in ("b1", "b2") if (value := getattr(self, name)) is not None}
        return optax.lamb(self.rate(), weight_decay=self.weight_decay, **moments)


@dataclass(frozen=True)
class Preset:
    """Everything the claims need to know.

    Attributes:
        image_set, num_train: data; training images, where the set is cut anew.
        channels: of the stages of a patch network; none for a ResNet-50, as in the paper.
        patch, in_channels: side of the squares of its first stage; channels of the images.
        dim: d, of the features.
        ks: dimensions k of the class subspaces that are compared, increasing.
        gamma: the largest logit, and the scale of the cosine softmax.
        training: recipe.
        probe_train, probe_test: images that are rotated for the transfer probe.
        shots: of each rotation, for the probe by few examples.
        eval_batch: images at once.
        image_size: side in pixels of streamed images.
        fallback: what runs where the data are not on this machine, or None.

    Raises:
        ValueError: for sizes that do not fit together.
    """

    image_set: ImageSet
    channels: tuple[int, ...]
    dim: int
    ks: tuple[int, ...]
    training: Training
    num_train: int = 0
    patch: int = 4
    in_channels: int = 3
    gamma: float = 25.0
    probe_train: int = 2000
    probe_test: int = 1000
    shots: int = 10
    eval_batch: int = 1000
    image_size: int = 0
    fallback: "Preset | None" = None

    def __post_init__(self):
        check_positive("gamma", self.gamma)
        if len(self.ks) < 2 or list(self.ks) != sorted(set(self.ks)) or not 1 <= self.ks[0] <= self.ks[-1] <= self.dim:
            raise ValueError(f"ks is {self.ks}; it needs at least two dimensions that increase, between 1 and dim, {self.dim}")
        if not self.channels and self.dim != 2048:
            raise ValueError(f"dim is {self.dim}; a ResNet-50 (no channels) has features of 2048 numbers")
        if min(self.probe_train, self.probe_test, self.shots, self.eval_batch) < 1:
            raise ValueError("probe_train, probe_test, shots and eval_batch must be at least 1")


DIGITS = Preset(
    image_set="digits",
    num_train=1200,
    channels=(16, 32),
    patch=2,
    in_channels=1,
    dim=32,
    ks=(1, 3),
    training=Training(steps=250, batch_size=64, learning_rate=1e-2, optimiser="adam", lr_factor=10.0),
    probe_train=800,
    probe_test=400,
    eval_batch=400,
)
"""Needs no file: what runs at `quick` without the MNIST images."""

QUICK = Preset(
    image_set="mnist-t10k",
    num_train=6000,
    channels=(16, 32, 32),
    in_channels=1,
    dim=32,
    ks=(1, 3),
    training=Training(steps=250, batch_size=64, learning_rate=1e-2, optimiser="adam", lr_factor=10.0),
    fallback=DIGITS,
)
"""A laptop, less than a minute."""

STANDARD = Preset(
    image_set="cifar10-subset",
    channels=(64, 128, 256),
    dim=128,
    ks=(1, 2, 4, 8, 12),
    training=Training(steps=4000, batch_size=128, learning_rate=1e-3, weight_decay=0.05, warmup=0.05, lr_factor=100.0),
    probe_train=8000,
    probe_test=2000,
    shots=20,
)
"""One GPU, minutes: CIFAR-10 and a network on patches, five dimensions of subspaces."""

RESNET50 = Training(
    steps=100 * 1_281_167 // 256,
    batch_size=256,
    learning_rate=0.1,
    optimiser="sgd",
    b1=0.9,
    weight_decay=1e-4,
)
"""ResNet-50, SGD, 100 epochs: section 4.1."""

RECIPES = {
    "ResNet-50, SGD": RESNET50,
    "ResNet-50, LAMB (RSB-A3)": Training(
        steps=100 * 1_281_167 // 2048,
        batch_size=2048,
        learning_rate=0.008,
        optimiser="adamw",
        layerwise=True,
        weight_decay=0.02,
        warmup=0.05,
        lr_factor=0.3 / 0.008,
        reorth_every=1,
    ),
    "Swin-T, AdamW": Training(
        steps=300 * 1_281_167 // 1024,
        batch_size=1024,
        learning_rate=0.001,
        optimiser="adamw",
        weight_decay=0.05,
        decay_kernels_only=True,
        warmup=20 / 300,
        clip=5.0,
        lr_factor=0.1 / 0.001,
        reorth_every=1,
        label_smoothing=0.1,
    ),
}
"""The paper's pairs of a base optimiser and RSGD; for other encoders than the preset's, bring your own."""

PAPER = Preset(
    image_set="imagenet-1k",
    channels=(),
    dim=2048,
    ks=(1, 4, 8, 16, 32),
    training=RESNET50,
    probe_train=10_000,
    probe_test=5000,
    eval_batch=100,
    image_size=224,
)
"""The paper's: ResNet-50 on ImageNet-1K, 100 epochs, five dimensions of subspaces. The authors' network is ResNet-50-D."""

PRESETS = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
