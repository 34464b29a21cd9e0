"""The network: a backbone, a linear map without bias where its width is not that of the features, and a classifier."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Num

from quire.common.layers.initialisers import he_normal, normal
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
    >>> network.features(jnp.ones((2, 8, 8, 1))).shape, network(jnp.ones((2, 8, 8, 1))).shape
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
        z = self.backbone((images - jnp.float32(self.mean)) / self.std)
        return z if self.projection is None else self.projection(z)

    def __call__(self, images: Num[Array, "batch h w c"]) -> Float[Array, "batch classes"]:
        """Logits of images."""
        return self.head(self.features(images))


def torch_normal(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
    """Normal weights with the variance of PyTorch's default, `1 / (3 fan_in)`, the last axis being the outputs."""
    return normal((3 * math.prod(shape[:-1])) ** -0.5)(key, shape, dtype)


def switchable_network(sizes: Architecture, mean: float, std: float, *, rngs: nnx.Rngs) -> Network:
    """A network for the experiments: its classifier has a row for every slot, and learns unless the simplex is taken instead.

    Args:
        sizes: of the network, `d = K - 1`.
        mean, std: of the pixels.
        rngs: for the initial weights.
    """
    head, pixels = ExpandingHead(sizes.dim, sizes.num_slots, rngs=rngs), {"mean": mean, "std": std}
    if not sizes.channels:
        return Network(resnet18(in_channels=sizes.in_channels, rngs=rngs), 512, sizes.dim, head, **pixels, rngs=rngs)
    backbone = PatchNet(
        sizes.channels,
        sizes.dim,
        patch=sizes.patch,
        in_channels=sizes.in_channels,
        act=jax.nn.relu,
        kernel_init=torch_normal if sizes.small_start else he_normal,
        rngs=rngs,
    )
    return Network(backbone, sizes.dim, sizes.dim, head, **pixels, rngs=rngs)
