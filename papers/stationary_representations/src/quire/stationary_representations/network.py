"""The network: a backbone, a linear map without bias where its width is not that of the features, and a classifier."""

from collections.abc import Callable
from typing import Any

import jax
from flax import nnx
from jaxtyping import Array, Float, Num

from quire.common.layers.patch_net import PatchNet
from quire.common.layers.resnet import resnet18
from quire.stationary_representations.config import Architecture
from quire.stationary_representations.expanding_head import ExpandingHead

Backbone = Callable[[Array], Array]


class Network(nnx.Module):
    """Images to features z, which are searched, and to logits, which are trained.

    Args:
        backbone: images to vectors.
        width: of these vectors.
        dim: d, of the features; the linear map is left out where it equals the width.
        head: features to logits.
        mean, std: of the pixels, taken out first.
        rngs: for the linear map.

    >>> from quire.stationary_representations.simplex import SimplexHead
    >>> backbone = PatchNet((4,), 8, rngs=nnx.Rngs(0))
    >>> network = Network(backbone, 8, 15, SimplexHead(16), rngs=nnx.Rngs(0))
    >>> network.features(jax.numpy.ones((2, 8, 8, 1))).shape, network(jax.numpy.ones((2, 8, 8, 1))).shape
    ((2, 15), (2, 16))
    """

    def __init__(
        self,
        backbone: Backbone,
        width: int,
        dim: int,
        head: Callable[..., Array],
        *,
        mean: float = 0.0,
        std: float = 1.0,
        rngs: nnx.Rngs,
    ):
        self.backbone, self.head, self.mean, self.std = backbone, head, mean, std
        self.projection = None if width == dim else nnx.Linear(width, dim, use_bias=False, rngs=rngs)

    def features(self, images: Num[Array, "batch h w c"]) -> Float[Array, "batch dim"]:
        """Features of images, bytes or floats."""
        z = self.backbone((images - jax.numpy.float32(self.mean)) / self.std)
        return z if self.projection is None else self.projection(z)

    def __call__(self, images: Num[Array, "batch h w c"]) -> Float[Array, "batch classes"]:
        """Logits of images."""
        return self.head(self.features(images))


def switchable_network(sizes: Architecture, mean: float, std: float, *, rngs: nnx.Rngs) -> Network:
    """A network for the experiments: its classifier has a row for each of K slots, and learns unless the simplex is taken instead.

    Args:
        sizes: of the network, `d = K - 1`.
        mean, std: of the pixels.
        rngs: for the initial weights.
    """
    head = ExpandingHead(sizes.dim, sizes.num_slots, rngs=rngs)
    if sizes.channels:
        options: dict[str, Any] = {"patch": sizes.patch, "in_channels": sizes.in_channels}
        return Network(
            PatchNet(sizes.channels, sizes.dim, **options, rngs=rngs), sizes.dim, sizes.dim, head, mean=mean, std=std, rngs=rngs
        )
    return Network(resnet18(in_channels=sizes.in_channels, rngs=rngs), 512, sizes.dim, head, mean=mean, std=std, rngs=rngs)
