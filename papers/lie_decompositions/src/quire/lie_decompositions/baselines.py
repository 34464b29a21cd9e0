"""What the network on the group is compared with: an ordinary one of the same design, and the nearest training image."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Num

from quire.common.checks import check_at_least
from quire.common.data.images import ImageSplit
from quire.common.layers.convolution import Conv
from quire.common.metrics.probe import knn_predict
from quire.lie_decompositions.layers import global_pool, max_pool
from quire.lie_decompositions.resnet import Classifier, NetworkConfig, gelu, norm, norm_act


@dataclass(frozen=True)
class CNNConfig:
    """An ordinary network; sizes that it shares with the other are those of `like`.

    Attributes:
        width: channels of all layers.
        like: the network that it is compared with.

    Raises:
        ValueError: for a width below 1.
    """

    width: int
    like: NetworkConfig

    def __post_init__(self):
        check_at_least("width", self.width)


class CNN(nnx.Module):
    """The design of `GResNet` without a group: the kernels are parameters.

    Args:
        config: sizes.
        rngs: for the initial weights.
    """

    def __init__(self, config: CNNConfig, *, rngs: nnx.Rngs):
        like, width, size = config.like, config.width, config.like.size
        padded = ((size // 2,) * 2,) * 2

        def conv(channels, padding):
            return Conv(channels, width, size, padding=padding, use_bias=False, rngs=rngs)

        self.stem = conv(like.in_channels, "VALID")
        self.blocks = nnx.List([nnx.List([conv(width, padded), conv(width, padded)]) for _ in like.dims[1:]])
        self.last = conv(width, "VALID")
        self.classifier = Classifier(width, like, rngs=rngs)

    def __call__(
        self, x: Num[Array | np.ndarray, "batch h w c"], *, key: jax.Array | None = None, train: bool = False
    ) -> Float[Array, "batch classes"]:
        """Class scores."""
        y = norm_act(self.stem(x))
        for first, second in self.blocks:
            y = gelu(norm_act(second(norm_act(first(y)))) + y)
            y = gelu(max_pool(norm(y)[..., None])[..., 0])
        return self.classifier(global_pool(norm_act(self.last(y))[..., None]), key if train else None)


def nearest_image(train: ImageSplit, test: ImageSplit) -> float:
    """Accuracy in per cent of the class of the nearest training image, pixel by pixel."""
    rows = [jnp.asarray(part.images.reshape(len(part), -1)) for part in (test, train)]
    found = knn_predict(*rows, jnp.asarray(train.labels), num_classes=int(train.labels.max()) + 1)
    return 100 * float(np.mean(np.asarray(found) == test.labels))
