"""Presets: sizes of the experiments. A preset changes sizes, never the code path."""

from dataclasses import dataclass, field, replace
from typing import Literal

import jax
import optax
from flax import nnx

from quire.common.checks import check_at_least, check_positive
from quire.common.layers.patch_net import PatchNet
from quire.common.layers.resnet import ResNet
from quire.g_simclr.augment import Augmentation
from quire.g_simclr.autoencoder import MOMENTUM, DenoisingAutoencoder
from quire.g_simclr.classifier import Classifier
from quire.g_simclr.simclr import SimCLR, cosine_restarts


@dataclass(frozen=True)
class Network:
    """Encoder and head.

    Attributes:
        encoder: patches and matrix products, or a residual network of one block a stage.
        channels: of the stages; of a residual network they double from the first on.
        patch: side of the first patches.
        head: widths of the projection head.
    """

    encoder: Literal["patches", "resnet"] = "patches"
    channels: tuple[int, ...] = (64, 128, 128)
    patch: int = 4
    head: tuple[int, ...] = (128, 64, 50)

    def _encoder(self, rngs: nnx.Rngs) -> nnx.Module:
        if self.encoder == "patches":
            return PatchNet(self.channels, self.channels[-1], patch=self.patch, in_channels=3, act=jax.nn.relu, rngs=rngs)
        return ResNet((1,) * len(self.channels), width=self.channels[0], stem="cifar", rngs=rngs)

    def build(self, rngs: nnx.Rngs) -> SimCLR:
        """A model with weights drawn anew."""
        return SimCLR(self._encoder(rngs), self.channels[-1], self.head, rngs=rngs)

    def classifier(self, num_classes: int, rngs: nnx.Rngs) -> Classifier:
        """The encoder below a softmax layer."""
        return Classifier(self._encoder(rngs), self.channels[-1], num_classes, rngs=rngs)

    @property
    def one_by_one(self) -> bool:
        """Whether models train one after the other: convolutions side by side would become slow grouped ones."""
        return self.encoder != "patches"


@dataclass(frozen=True)
class Coder:
    """The autoencoder and its training.

    Attributes:
        widths, momentum: see `DenoisingAutoencoder`. Keras's momentum is made for many epochs.
        epochs, batch_size, learning_rate: see `train_autoencoder`.
        starts, iterations: of k-means.
    """

    widths: tuple[int, ...] = (32, 64, 128)
    momentum: float = MOMENTUM
    epochs: int = 100
    batch_size: int = 64
    learning_rate: float = 1e-3
    starts: int = 10
    iterations: int = 100

    def build(self, rngs: nnx.Rngs) -> DenoisingAutoencoder:
        """An autoencoder with weights drawn anew."""
        return DenoisingAutoencoder(self.widths, momentum=self.momentum, rngs=rngs)


@dataclass(frozen=True)
class Training:
    """Length and optimiser; the rate follows `cosine_restarts`. The defaults are the authors': SGD without momentum or decay.

    Attributes:
        steps, batch_size: length.
        learning_rate: the peak.
        first_period: steps until the first restart.
        optimiser: Adam gets further in a few hundred steps.
    """

    steps: int
    batch_size: int
    learning_rate: float = 0.1
    first_period: int = 1000
    optimiser: Literal["sgd", "adam"] = "sgd"

    def transformation(self) -> optax.GradientTransformation:
        """The optimiser."""
        rate = cosine_restarts(self.learning_rate, self.first_period)
        return optax.sgd(rate) if self.optimiser == "sgd" else optax.adam(rate)


@dataclass(frozen=True)
class Preset:
    """Sizes of all experiments.

    Attributes:
        image_set: what is learned from.
        side: of the images, to which they are averaged.
        num_coded: images that the autoencoder learns from and that are clustered (C1, C5).
        num_train: images that SimCLR learns from, clustered on their own, and that probes are fitted on.
        num_oracle: C2, images.
        num_test: images that probes are judged by.
        coder: the autoencoder and k-means.
        network: encoder and head.
        training: of SimCLR; its batch size is the number of clusters.
        oracle: C2, training in batches of as many rows as there are classes.
        views, temperature: of SimCLR.
        probe_epochs, tuning_epochs: at most, and of each part of the fine-tuning.
        pixel_side: to which images are averaged before their pixels are clustered.
    """

    image_set: Literal["cifar10-subset", "cifar10"] = "cifar10-subset"
    side: int = 16
    num_coded: int = 5000
    num_train: int = 3000
    num_oracle: int = 2000
    num_test: int = 2000
    coder: Coder = field(default_factory=lambda: Coder((16, 32, 64), momentum=0.1, epochs=1, starts=2, iterations=30))
    network: Network = field(default_factory=Network)
    training: Training = field(default_factory=lambda: Training(200, 64, 3e-3, 200, "adam"))
    oracle: Training = field(default_factory=lambda: Training(400, 10, 1e-3, 400, "adam"))
    views: Augmentation = field(default_factory=lambda: Augmentation(smallest_area=0.5))
    temperature: float = 0.1
    probe_epochs: int = 100
    tuning_epochs: int = 35
    pixel_side: int = 8

    def __post_init__(self):
        sizes = ("side", "num_coded", "num_train", "num_oracle", "num_test", "probe_epochs", "tuning_epochs", "pixel_side")
        for name in sizes:
            check_at_least(name, getattr(self, name))
        check_positive("temperature", self.temperature)


QUICK = Preset()
"""A laptop, a minute: 5000 images of 16 x 16. Views are crops too: without them, a few hundred steps teach next to nothing."""

STANDARD = Preset(
    side=32,
    num_coded=10_000,
    num_train=10_000,
    num_oracle=10_000,
    coder=Coder(epochs=20),
    network=Network("resnet", (64, 128, 256), head=(256, 128, 50)),
    training=Training(5000, 64),
    oracle=Training(5000, 10),
    views=Augmentation(),
    pixel_side=32,
)
"""One GPU, minutes: 10,000 images of 32 x 32, the authors' autoencoder and head."""

PAPER = replace(
    STANDARD,
    image_set="cifar10",
    num_coded=50_000,
    num_train=50_000,
    num_oracle=50_000,
    num_test=10_000,
    coder=Coder(),
    training=Training(15 * (50_000 // 64), 64),
    oracle=Training(15 * (50_000 // 10), 10),
)
"""CIFAR-10, 15 epochs."""

PRESETS = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
