"""The denoising autoencoder whose latent codes are clustered."""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from quire.common.checks import is_concrete
from quire.common.layers.convolution import Conv
from quire.common.layers.norms import BatchNorm
from quire.common.random import generator

EPS = 1e-3
"""Of batch normalisation, as in Keras."""
MOMENTUM = 0.01
"""Share of a batch in the running statistics; Keras counts it from the other side, 0.99."""
DEEP_WIDTHS, DEEP_KERNEL = (64, 128, 256, 512, 1024), 5
"""The variant for images of 224 x 224."""


def glorot_uniform(key: jax.Array, shape: Sequence[int], dtype=jnp.float32) -> Array:
    """Keras's default for kernels `[*size, in, out]`: uniform in `± sqrt(6 / (fan_in + fan_out))`, drawn on the host."""
    if not is_concrete(key):  # where only shapes are asked for
        return nnx.initializers.glorot_uniform()(key, shape, dtype)
    bound = (6 / (np.prod(shape[:-2]) * (shape[-2] + shape[-1]))) ** 0.5
    return jnp.asarray(generator(key).uniform(-bound, bound, shape), dtype)


class Stage(nnx.Module):
    """A convolution, batch normalisation and a ReLU."""

    def __init__(self, before: int, after: int, kernel: int, momentum: float, *, rngs: nnx.Rngs):
        self.conv = Conv(before, after, kernel, kernel_init=glorot_uniform, rngs=rngs)
        self.norm = BatchNorm(after, eps=EPS, momentum=momentum)

    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n h w d"]:
        return jax.nn.relu(self.norm(self.conv(x)))


def max_pool(x: Float[Array, "n h w c"]) -> Float[Array, "n h2 w2 c"]:
    """The largest of 2 x 2 numbers; sides are even."""
    n, height, width, channels = x.shape
    return x.reshape(n, height // 2, 2, width // 2, 2, channels).max((2, 4))


def upsample(x: Float[Array, "n h w c"]) -> Float[Array, "n h2 w2 c"]:
    """Every number four times, as 2 x 2: the nearest neighbour."""
    n, height, width, channels = x.shape
    wide = jnp.broadcast_to(x[:, :, None, :, None], (n, height, 2, width, 2, channels))
    return wide.reshape(n, 2 * height, 2 * width, channels)


class DenoisingAutoencoder(nnx.Module):
    """Convolutions and poolings down, convolutions and nearest-neighbour upsampling up, a sigmoid at the end.

    Args:
        widths: channels of the stages of the encoder; the decoder mirrors them. The defaults are those for CIFAR-10.
        noise: standard deviation of what is added to the input while training.
        kernel: side of the convolutions of the stages.
        in_channels: of the images.
        momentum: of the running statistics, see `BatchNorm`.
        rngs: for the initial weights.

    Raises:
        ValueError: without stages, for a size below 1 or a negative noise; when called, for images of other channels or whose
            sides the poolings do not divide.

    >>> dae = DenoisingAutoencoder((4, 8), rngs=nnx.Rngs(0))
    >>> x = jnp.ones((2, 8, 8, 3))
    >>> dae(x).shape, dae.retrieval(x).shape, dae.encode(x).shape
    ((2, 8, 8, 3), (2, 2, 2, 8), (2, 8))
    """

    def __init__(
        self,
        widths: Sequence[int] = (32, 64, 128),
        noise: float = 1e-2,
        *,
        kernel: int = 3,
        in_channels: int = 3,
        momentum: float = MOMENTUM,
        rngs: nnx.Rngs,
    ):
        if not widths or min(*widths, kernel, in_channels) < 1 or not 0 <= noise < np.inf:
            raise ValueError(
                f"widths is {tuple(widths)}, kernel {kernel}, in_channels {in_channels}, noise {noise}; there must be a stage, "
                "sizes must be at least 1 and noise finite and not negative"
            )
        self.noise = noise
        make = lambda pair: Stage(*pair, kernel, momentum, rngs=rngs)  # noqa: E731
        self.encoder = nnx.List([make(pair) for pair in pairwise((in_channels, *widths))])
        self.decoder = nnx.List([make(pair) for pair in pairwise((widths[-1], *widths[::-1]))])
        self.out = Conv(widths[0], in_channels, kernel, kernel_init=glorot_uniform, rngs=rngs)

    def retrieval(self, x: Float[Array, "n h w c"]) -> Float[Array, "n h2 w2 d"]:
        """The last map of the encoder, which the authors call by this name."""
        side = 2 ** len(self.encoder)
        channels = self.out.kernel.shape[-1]
        if x.ndim != 4 or x.shape[-1] != channels or x.shape[1] % side or x.shape[2] % side:
            raise ValueError(f"x has shape {x.shape}; it needs [n, h, w, {channels}] with sides that {side} divides")
        for stage in self.encoder:
            x = max_pool(stage(x))
        return x

    def encode(self, x: Float[Array, "n h w c"]) -> Float[Array, "n d"]:
        """The latent code: the mean of the retrieval map over space."""
        return self.retrieval(x).mean((1, 2))

    def __call__(self, x: Float[Array, "n h w c"], draws: Float[Array, "n h w c"] | None = None) -> Float[Array, "n h w c"]:
        """The reconstruction.

        Args:
            x: images in `[0, 1]`.
            draws: standard normal numbers of the noise, or None for none, as after training.
        """
        h = self.retrieval(x if draws is None else x + self.noise * draws)
        for stage in self.decoder:
            h = stage(upsample(h))
        return jax.nn.sigmoid(self.out(h))


def from_arrays(arrays: Mapping[str, np.ndarray], prefix: str = "dae") -> DenoisingAutoencoder:
    """A trained autoencoder out of arrays by name, in evaluation mode; depth and widths are those of the arrays.

    Args:
        arrays: for every stage i, of the encoder and then of the decoder, `{prefix}_{i}_{w,b,gamma,beta,mean,var}`, kernels
            `[h, w, in, out]`; and `{prefix}_out_{w,b}`.
        prefix: of the names.

    Raises:
        ValueError: if stages or arrays are missing.
    """
    found = {int(match[1]) for name in arrays if (match := re.fullmatch(rf"{prefix}_(\d+)_w", name))}
    stages = sorted(found)
    if not stages or len(stages) % 2 or stages != list(range(len(stages))):
        raise ValueError(f"arrays has the stages {stages}; it needs 0, 1, ..., as many of the decoder as of the encoder")
    first = arrays[f"{prefix}_0_w"]
    widths = [arrays[f"{prefix}_{i}_w"].shape[-1] for i in range(len(stages) // 2)]
    model = DenoisingAutoencoder(widths, kernel=len(first), in_channels=first.shape[2], rngs=nnx.Rngs(0))
    for i, stage in enumerate([*model.encoder, *model.decoder]):
        targets = {"w": stage.conv.kernel, "b": stage.conv.bias, "gamma": stage.norm.scale, "beta": stage.norm.shift}
        for part, variable in (targets | {"mean": stage.norm.mean, "var": stage.norm.var}).items():
            _set(variable, arrays, f"{prefix}_{i}_{part}")
    _set(model.out.kernel, arrays, f"{prefix}_out_w")
    _set(model.out.bias, arrays, f"{prefix}_out_b")
    model.eval()
    return model


def _set(variable: nnx.Variable | None, arrays: Mapping[str, np.ndarray], name: str) -> None:
    assert variable is not None  # all convolutions have a bias, all norms a scale and a shift
    found = np.shape(arrays[name]) if name in arrays else None
    if found != variable.shape:
        raise ValueError(f"arrays has {name} of shape {found}; it needs {variable.shape}")
    variable.set_value(jnp.asarray(arrays[name]))
