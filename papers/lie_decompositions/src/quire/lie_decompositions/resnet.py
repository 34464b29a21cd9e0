"""The network of the paper: lift, residual blocks on the group, a last convolution, the largest values, a classifier."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Num

from quire.common.checks import check_at_least
from quire.common.layers.norms import layer_norm
from quire.lie_decompositions.groups import SL, Angles, MatrixGroup, Samples
from quire.lie_decompositions.initial import linear
from quire.lie_decompositions.kernels import PAPER_KERNEL, KernelConfig
from quire.lie_decompositions.layers import GroupConv, LiftConv, global_pool, max_pool

EPS = 1e-5


class PathSamples(NamedTuple):
    """Samples of a forward pass: those that lift and blocks live on, and those of the last convolution's output."""

    first: Samples
    last: Samples


@dataclass(frozen=True)
class NetworkConfig:
    """A network and how its samples are drawn; the defaults are the paper's.

    Attributes:
        group: of matrices.
        num_samples: elements of every layer.
        dims: channels of the lift, and of every block.
        size: taps of all kernels along an axis.
        in_channels, num_classes: of images and labels.
        hidden: width of the classifier.
        dropout: share of the classifier's hidden values that are dropped.
        variance, angles: of the draws, see `MatrixGroup.sample_pair`.
        kernel: networks of the kernels.

    Raises:
        ValueError: for a number out of range.
    """

    group: MatrixGroup = field(default_factory=SL)
    num_samples: int = 10
    dims: tuple[int, ...] = (40, 40)
    size: int = 5
    in_channels: int = 1
    num_classes: int = 10
    hidden: int = 256
    dropout: float = 0.3
    variance: float = 0.1
    angles: Angles = "equidistant"
    kernel: KernelConfig = PAPER_KERNEL

    def __post_init__(self):
        for name in ("num_samples", "in_channels", "num_classes", "hidden"):
            check_at_least(name, getattr(self, name))
        check_at_least("size", self.size, 2)
        if len(self.dims) < 2 or min(self.dims) < 1:
            raise ValueError(f"dims is {self.dims}; it must hold the channels of the lift and of at least one block")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; it must lie in [0, 1)")

    def draw(self, key: jax.Array) -> PathSamples:
        """New samples for a forward pass."""

        def draw(key):
            return self.group.sample_pair(key, self.num_samples, variance=self.variance, angles=self.angles)

        return PathSamples(*map(draw, jax.random.split(key)))


class Block(nnx.Module):
    """`gelu(gelu(norm(conv(gelu(norm(conv x))))) + x)`, both convolutions from the block's samples to the same samples.

    Where the channels differ the shortcut is a linear map of them.
    """

    def __init__(self, config: NetworkConfig, in_channels: int, out_channels: int, *, rngs: nnx.Rngs):
        options = _options(config, padded=True)
        self.conv1 = GroupConv(config.group, in_channels, out_channels, config.size, **options, rngs=rngs)
        self.conv2 = GroupConv(config.group, out_channels, out_channels, config.size, **options, rngs=rngs)
        self.shortcut = None if in_channels == out_channels else linear(in_channels, out_channels, use_bias=False, rngs=rngs)

    def __call__(self, x: Num[Array | np.ndarray, "batch h w in j"], samples: Samples) -> Float[Array, "batch h w out j"]:
        y = norm_act(self.conv1(x, samples.g, samples.g_inv))
        y = norm_act(self.conv2(y, samples.g, samples.g_inv))
        x = x if self.shortcut is None else jnp.moveaxis(self.shortcut(jnp.moveaxis(x, 3, -1)), -1, 3)
        return gelu(y + x)


class Classifier(nnx.Module):
    """Linear map, layer norm, GELU, dropout, linear map."""

    def __init__(self, in_features: int, config: NetworkConfig, *, rngs: nnx.Rngs):
        self.first = linear(in_features, config.hidden, use_bias=False, rngs=rngs)
        self.scale, self.shift = nnx.Param(jnp.ones(config.hidden)), nnx.Param(jnp.zeros(config.hidden))
        self.last = linear(config.hidden, config.num_classes, rngs=rngs)
        self.rate = config.dropout

    def __call__(
        self, x: Float[Array | np.ndarray, "batch features"], key: jax.Array | None = None
    ) -> Float[Array, "batch classes"]:
        """Class scores; values are dropped where a key is given."""
        x = gelu(layer_norm(self.first(jnp.asarray(x)), -1, self.scale[...], self.shift[...], eps=EPS))
        if key is not None and self.rate:
            x = jnp.where(jax.random.bernoulli(key, 1 - self.rate, x.shape), x / (1 - self.rate), 0)
        return self.last(x)


class GResNet(nnx.Module):
    """The residual network on the group.

    Args:
        config: sizes, group, draws.
        rngs: for the initial weights.

    >>> net = GResNet(NetworkConfig(num_samples=3, dims=(4, 4), kernel=KernelConfig(hidden=8)), rngs=nnx.Rngs(0))
    >>> net(jnp.zeros((2, 20, 20, 1)), key=jax.random.key(0)).shape
    (2, 10)
    """

    def __init__(self, config: NetworkConfig = NetworkConfig(), *, rngs: nnx.Rngs):
        options = _options(config, padded=False)
        self.stem = LiftConv(config.group, config.in_channels, config.dims[0], config.size, **options, rngs=rngs)
        pairs = zip(config.dims[:-1], config.dims[1:], strict=True)
        self.blocks = nnx.List([Block(config, a, b, rngs=rngs) for a, b in pairs])
        self.last = GroupConv(config.group, config.dims[-1], config.dims[-1], config.size, **options, rngs=rngs)
        self.classifier = Classifier(config.dims[-1], config, rngs=rngs)
        self.config = config

    def features(self, x: Num[Array | np.ndarray, "batch h w c"], samples: PathSamples) -> Float[Array, "batch h2 w2 channels j"]:
        """The function on the group that the classifier takes the largest values of."""
        first, last = samples
        y = norm_act(self.stem(x, first.g_inv))
        for block in self.blocks:
            y = gelu(max_pool(norm(block(y, first))))
        return norm_act(self.last(y, first.g, last.g_inv))

    def __call__(
        self,
        x: Num[Array | np.ndarray, "batch h w c"],
        samples: PathSamples | None = None,
        *,
        key: jax.Array | None = None,
        train: bool = False,
    ) -> Float[Array, "batch classes"]:
        """Class scores.

        Args:
            x: images `[batch, h, w, c]`.
            samples: of the group; drawn by the key if left out, in evaluation too.
            key: for samples, and for dropout while training.
            train: whether to drop values.

        Raises:
            ValueError: without samples and key, or for training with dropout without key.
        """
        dropping = train and self.config.dropout > 0
        if key is None:
            if samples is None or dropping:
                raise ValueError("key is None; samples to draw and dropout need one")
            return self.classifier(global_pool(self.features(x, samples)))
        if samples is None:
            samples = self.config.draw(jax.random.fold_in(key, 0))
        drop_key = jax.random.fold_in(key, 1) if dropping else None
        return self.classifier(global_pool(self.features(x, samples)), drop_key)


def norm(x: Float[Array | np.ndarray, "batch *rest"]) -> Float[Array, "batch *rest"]:
    """Layer norm of every example over the plane, channels and samples, without scale and shift."""
    return layer_norm(jnp.asarray(x), tuple(range(1, x.ndim)), eps=EPS)


def gelu(x: Array) -> Array:
    """The exact GELU."""
    return jax.nn.gelu(x, approximate=False)


def norm_act(x: Array) -> Array:
    """Layer norm, then GELU."""
    return gelu(norm(x))


def _options(config: NetworkConfig, *, padded: bool) -> dict[str, Any]:
    padding = ((config.size // 2,) * 2,) * 2 if padded else "VALID"
    return {"padding": padding, "use_bias": False, "config": config.kernel}
