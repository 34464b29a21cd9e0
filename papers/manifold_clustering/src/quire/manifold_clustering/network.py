"""The network: backbone, pre-feature, and two heads side by side, whose outputs have unit length."""

from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from quire.common.checks import check_at_least
from quire.common.layers.norms import BatchNorm
from quire.common.layers.resnet import resnet18
from quire.manifold_clustering.objectives import unit

Backbone = Literal["none", "resnet18"]
Inputs = Float[Array, "n ..."]


class PreFeature(nnx.Module):
    """Linear, batch norm, ReLU, linear, ReLU: what both heads see.

    Args:
        features: of the backbone.
        hidden: width.
        norm: with batch norm, or plain.
        rngs: for the weights.
    """

    def __init__(self, features: int, hidden: int, *, norm: bool, rngs: nnx.Rngs):
        self.first, self.second = (nnx.Linear(width, hidden, rngs=rngs) for width in (features, hidden))
        self.norm = BatchNorm(hidden) if norm else None

    def __call__(self, x: Float[Array, "n features"]) -> Float[Array, "n hidden"]:
        """What the heads see."""
        x = self.first(x)
        return jax.nn.relu(self.second(jax.nn.relu(x if self.norm is None else self.norm(x))))


class MLCNet(nnx.Module):
    """Features Z and the cluster head's C, rows of unit length.

    Args:
        backbone: `"resnet18"` for images `[n, h, w, c]`, or `"none"`: inputs are flattened.
        in_features: numbers of an input; channels of the images of a ResNet.
        hidden: width of the pre-feature.
        dim: of Z and C.
        norm: batch norm in the pre-feature.
        rngs: for the weights.

    Raises:
        ValueError: for a size below 1 or another backbone.

    >>> Z, C = MLCNet("none", 64, 16, 8, rngs=nnx.Rngs(0))(jnp.ones((2, 8, 8, 1)))
    >>> Z.shape, C.shape
    ((2, 8), (2, 8))
    """

    def __init__(self, backbone: Backbone, in_features: int, hidden: int, dim: int, *, norm: bool = True, rngs: nnx.Rngs):
        for name, value in (("in_features", in_features), ("hidden", hidden), ("dim", dim)):
            check_at_least(name, value)
        if backbone not in ("none", "resnet18"):
            raise ValueError(f"backbone is {backbone!r}; it must be none or resnet18")
        images = backbone == "resnet18"
        self.backbone = resnet18(stem="cifar", in_channels=in_features, rngs=rngs) if images else None
        self.pre_feature = PreFeature(512 if images else in_features, hidden, norm=norm, rngs=rngs)
        self.feature_head = nnx.Linear(hidden, dim, rngs=rngs)
        self.cluster_head = nnx.Linear(hidden, dim, rngs=rngs)

    def trunk(self, x: Inputs) -> Float[Array, "n hidden"]:
        """What the heads see."""
        return self.pre_feature(x.reshape(len(x), -1) if self.backbone is None else self.backbone(x))

    def __call__(self, x: Inputs) -> tuple[Float[Array, "n d"], Float[Array, "n d"]]:
        """Z and C."""
        h = self.trunk(x)
        return unit(self.feature_head(h)), unit(self.cluster_head(h))


def copy_feature_head(params: Any) -> Any:
    """The parameters of an `MLCNet` with those of the feature head in the cluster head too: Gamma then starts as `P(Z Z^T)`.

    Args:
        params: state of the network, of one or of several seeds.

    Raises:
        ValueError: if it has not both heads, of one shape.

    >>> net = MLCNet("none", 4, 8, 3, rngs=nnx.Rngs(0))
    >>> nnx.update(net, copy_feature_head(nnx.state(net)))
    >>> Z, C = net(jnp.ones((1, 4)))
    >>> bool((Z == C).all())
    True
    """
    shapes = [jax.tree.map(jnp.shape, nnx.to_pure_dict(params).get(name)) for name in ("feature_head", "cluster_head")]
    if shapes[0] is None or shapes[0] != shapes[1]:
        raise ValueError(f"params has heads of shapes {shapes}; they must be the same")
    flat = dict(nnx.to_flat_state(params))
    heads = {("cluster_head", *path[1:]): value for path, value in flat.items() if path[0] == "feature_head"}
    return nnx.from_flat_state(flat | heads)
