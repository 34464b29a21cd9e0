"""Presets: images, backbones, sizes of the vectors, training. A preset changes sizes, never the code path."""

from dataclasses import dataclass
from typing import Literal

from quire.bt2.head import check_sizes
from quire.bt2.orthogonal_linear import Parametrisation
from quire.common.train.recipe import Recipe

ImageSet = Literal["digits", "cifar10-subset", "cifar100"]


@dataclass(frozen=True)
class Backbone:
    """From images to features; the defaults are the paper's ResNet-50.

    Attributes:
        channels: of the stages of a patch network; none for a residual network.
        patch: side of the squares of its first stage.
        plain: ReLUs and no normalisation; with a patch as large as the image, a perceptron.
        rectified: whether the features go through ReLUs, as the authors' do (`last_nonlin`). Few of them do without: dead ones
            are missed.
        in_channels: of the images.
        depths, width: blocks of each stage of the residual network, and width of the first.
    """

    channels: tuple[int, ...] = ()
    patch: int = 4
    plain: bool = False
    rectified: bool = True
    in_channels: int = 3
    depths: tuple[int, ...] = (3, 4, 6, 3)
    width: int = 64


RESNET50 = Backbone()
"""The authors' network on CIFAR-100."""


CIFAR100_RECIPE = Recipe(
    steps=100 * (50_000 // 128), batch_size=128, learning_rate=1e-3, optimiser="adam", warmup=0.05, weight_decay=2**-15
)
"""The authors': 100 epochs, the rate rising in the first five."""


@dataclass(frozen=True)
class Preset:
    """Everything the claims need to know; the defaults are the paper's on CIFAR-100.

    Attributes:
        image_set, num_train: data; training images where the set leaves a choice.
        num_gallery: test images in the gallery, the others being queries; half of them for 0.
        old_classes: the old model is trained on so many classes, the first.
        old_backbone, new_backbone, next_backbone: of the old model, of the new ones, and of the update after that.
        old_dim, new_dim, extra: d_o, d and a, the sizes of the old vector, of the new one, and of what is added to it.
        scale: C, the length of the new part.
        other_scales: shown beside it.
        lambdas: weights of three of the four losses, see `bt2_loss`.
        alpha: weight of the influence loss in BCT.
        normalize: whether the old and the independent model are trained with vectors of length 1 (`norm_feature`). Vectors as
            they come give prototypes that are longer, and of unequal lengths.
        parametrisation: of the orthonormal matrices.
        training: recipe of every model.
        one_by_one: train the models one after the other instead of side by side.

    Raises:
        ValueError: unless `1 <= extra <= old_dim <= extra + new_dim`.
    """

    image_set: ImageSet = "cifar100"
    num_train: int = 0
    num_gallery: int = 0
    old_classes: int = 50
    old_backbone: Backbone = RESNET50
    new_backbone: Backbone = RESNET50
    next_backbone: Backbone = RESNET50
    old_dim: int = 128
    new_dim: int = 128
    extra: int = 32
    scale: float = 2.0
    other_scales: tuple[float, ...] = ()
    lambdas: tuple[float, float, float] = (1.0, 10.0, 5.0)
    alpha: float = 10.0
    normalize: bool = True
    parametrisation: Parametrisation = "expm"
    training: Recipe = CIFAR100_RECIPE
    one_by_one: bool = True

    def __post_init__(self):
        check_sizes(self.new_dim, self.old_dim, self.extra)


QUICK = Preset(
    image_set="digits",
    num_train=900,
    num_gallery=450,
    old_classes=5,
    old_backbone=Backbone((24,), patch=8, plain=True, rectified=False, in_channels=1),
    new_backbone=Backbone((64,), patch=8, plain=True, rectified=False, in_channels=1),
    next_backbone=Backbone((128,), patch=8, plain=True, rectified=False, in_channels=1),
    old_dim=16,
    new_dim=16,
    extra=4,
    other_scales=(0.5, 1.0, 4.0),
    normalize=False,
    parametrisation="cayley",
    training=Recipe(steps=420, batch_size=64, learning_rate=2e-3, schedule="constant", optimiser="adam"),
    one_by_one=False,
)
"""A laptop, less than a minute: perceptrons on scikit-learn's digits."""

STANDARD = Preset(
    image_set="cifar10-subset",
    old_classes=5,
    old_backbone=Backbone((32, 64)),
    new_backbone=Backbone((64, 128, 256)),
    next_backbone=Backbone((96, 192, 384)),
    old_dim=64,
    new_dim=64,
    extra=16,
    other_scales=(0.5, 1.0, 4.0),
    normalize=False,
    training=Recipe(steps=4000, batch_size=128, learning_rate=1e-3, optimiser="adam", warmup=0.05, weight_decay=2**-15),
    one_by_one=False,
)
"""One GPU, minutes: patch networks on 10,000 images of CIFAR-10."""

PRESETS = {"quick": QUICK, "standard": STANDARD, "paper": Preset()}
"""The last is the paper's: ResNet-50 on CIFAR-100, 50 classes and then 100."""
