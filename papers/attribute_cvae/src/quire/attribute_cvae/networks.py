"""Encoders and decoders of images: perceptrons, and convolutions that halve and double the sides."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from quire.common.checks import check_at_least
from quire.common.layers.convolution import Conv, conv_nd
from quire.common.layers.initialisers import he_normal

Activation = Callable[[Array], Array]


@dataclass(frozen=True)
class Architecture:
    """Sizes of the three networks.

    Attributes:
        kind: of what reads and draws images: `"mlp"` or `"conv"`.
        widths: of their hidden layers; of convolutions, channels, each of which halves the sides of the image.
        prior: hidden layers of the network that gives the prior.
        activation: of all three, a leaky ReLU by default.

    Raises:
        ValueError: for another kind, or a width below 1; convolutions need at least one.
    """

    kind: Literal["mlp", "conv"] = "mlp"
    widths: tuple[int, ...] = (128, 128)
    prior: tuple[int, ...] = (64, 64)
    activation: Activation = field(default_factory=lambda: jax.nn.leaky_relu)

    def __post_init__(self):
        if self.kind not in ("mlp", "conv"):
            raise ValueError(f"kind is {self.kind!r}; it must be mlp or conv")
        for name in ("widths", "prior"):
            for width in getattr(self, name):
                check_at_least(name, width)
        if self.kind == "conv" and not self.widths:
            raise ValueError("widths is empty; convolutions need at least one")


PERCEPTRONS = Architecture()


class Perceptron(nnx.Module):
    """Linear layers with an activation between them.

    Args:
        widths: of the input, the hidden layers and the output.
        activation: between layers.
        rngs: for the initial weights, He's normal.
    """

    def __init__(self, widths: Sequence[int], activation: Activation, *, rngs: nnx.Rngs):
        self.layers = nnx.List([nnx.Linear(a, b, kernel_init=he_normal, rngs=rngs) for a, b in pairwise(widths)])
        self.activation = activation

    def __call__(self, x: Float[Array, "n a"]) -> Float[Array, "n b"]:
        """The output of the last layer, without an activation."""
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        return self.layers[-1](x)


class TransposedConv(nnx.Module):
    """A convolution that doubles the sides: the transpose of one with a kernel of 4, a stride of 2 and a padding of 1.

    Every pixel of the input becomes four, and each of the four sees 2 x 2 pixels. So one convolution with 2 x 2 taps and four
    times the channels does it, without the zeros that are put between pixels otherwise.

    Args:
        in_features, out_features: channels.
        rngs: for the initial weights `[4, 4, in, out]`, He's normal for the four taps that an output sees.

    >>> TransposedConv(3, 5, rngs=nnx.Rngs(0))(jnp.ones((1, 4, 6, 3))).shape
    (1, 8, 12, 5)
    """

    def __init__(self, in_features: int, out_features: int, *, rngs: nnx.Rngs):
        check_at_least("in_features", in_features)
        check_at_least("out_features", out_features)
        kernel = he_normal(rngs.params(), (2, 2, in_features, 4 * out_features), jnp.float32)
        self.kernel = nnx.Param(_interleave(kernel.reshape(2, 2, in_features, 2, 2, out_features)))
        self.bias = nnx.Param(jnp.zeros(out_features))

    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n h2 w2 d"]:
        """`y[2i + p] = sum_t kernel[3 - p - 2 t] x[i - 1 + p + t]` along both axes, `p` and `t` in 0, 1."""
        n, h, w, _ = x.shape
        taps = _by_phase(self.kernel[...])  # [2 taps, 2 taps, in, 2 phases, 2 phases, out]
        out = taps.shape[-1]
        seen = conv_nd(x, taps.reshape(2, 2, -1, 4 * out), padding=((1, 1), (1, 1))).reshape(n, h + 1, w + 1, 2, 2, out)
        rows = jnp.stack([seen[:, :h, :, 0], seen[:, 1:, :, 1]], axis=2)  # [n, h, phase, w + 1, 2, out]
        both = jnp.stack([rows[:, :, :, :w, 0], rows[:, :, :, 1:, 1]], axis=4)
        return both.reshape(n, 2 * h, 2 * w, out) + self.bias[...][None, None, None]


def _by_phase(kernel: Float[Array, "4 4 a b"]) -> Float[Array, "2 2 a 2 2 b"]:
    """Taps of every phase: `3 - p - 2 t` is the place of tap t of phase p in the kernel."""
    a, b = kernel.shape[2:]
    turned = kernel[::-1, ::-1].reshape(2, 2, 2, 2, a, b)  # place 2 t + p in the turned kernel: [t, p, t, p, in, out]
    return turned.transpose(0, 2, 4, 1, 3, 5)


def _interleave(taps: Float[Array, "2 2 a 2 2 b"]) -> Float[Array, "4 4 a b"]:
    """The kernel of which `_by_phase` makes these taps."""
    a, b = taps.shape[2], taps.shape[5]
    return taps.transpose(0, 3, 1, 4, 2, 5).reshape(4, 4, a, b)[::-1, ::-1]


class ConvTrunk(nnx.Module):
    """Convolutions of 4 x 4 with a stride of 2, group norm after all but the first.

    Args:
        channels: of the image and after every convolution.
        activation: after each.
        rngs: for the initial weights.
    """

    def __init__(self, channels: Sequence[int], activation: Activation, *, rngs: nnx.Rngs):
        around = ((1, 1), (1, 1))
        self.convs = nnx.List([Conv(a, b, 4, stride=2, padding=around, rngs=rngs) for a, b in pairwise(channels)])
        self.norms = nnx.List([nnx.GroupNorm(c, num_groups=groups_of(c), rngs=rngs) for c in channels[2:]])
        self.activation = activation

    def __call__(self, y: Float[Array, "n h w c"]) -> Float[Array, "n h2 w2 d"]:
        """Sides shrink by 2 to the number of convolutions."""
        y = self.activation(self.convs[0](y))
        for conv, norm in zip(self.convs[1:], self.norms, strict=True):
            y = self.activation(norm(conv(y)))
        return y


def groups_of(channels: int) -> int:
    """Largest number of groups up to 8 that divides the channels."""
    return max(g for g in range(1, 9) if channels % g == 0)


class Encoder(nnx.Module):
    """Image and attributes to `outputs` numbers.

    Args:
        image_shape: `(h, w, c)` for convolutions, any for a perceptron.
        n_attr: attributes, none for 0. Convolutions see the image alone; attributes enter beside their features.
        outputs: numbers a row.
        architecture: sizes.
        rngs: for the initial weights.

    Raises:
        ValueError: if convolutions cannot halve the sides so often.
    """

    def __init__(self, image_shape: Sequence[int], n_attr: int, outputs: int, architecture: Architecture, *, rngs: nnx.Rngs):
        act, widths = architecture.activation, architecture.widths
        if architecture.kind == "conv":
            h, w = halved(image_shape, len(widths))
            self.trunk = ConvTrunk((image_shape[-1], *widths), act, rngs=rngs)
            self.head = Perceptron((h * w * widths[-1] + n_attr, outputs), act, rngs=rngs)
        else:
            self.trunk = None
            self.head = Perceptron((math.prod(image_shape) + n_attr, *widths, outputs), act, rngs=rngs)

    def __call__(self, y: Float[Array, "n *shape"], x: Float[Array, "n a"]) -> Float[Array, "n outputs"]:
        """Features of the image beside the attributes, mapped."""
        features = y if self.trunk is None else self.trunk(y)
        return self.head(jnp.concatenate([features.reshape(len(y), math.prod(features.shape[1:])), x], axis=-1))


class Decoder(nnx.Module):
    """Numbers to logits of an image.

    Args:
        inputs: numbers a row.
        image_shape: of the image.
        architecture: sizes, used from the last to the first.
        rngs: for the initial weights.

    Raises:
        ValueError: as for `Encoder`.
    """

    def __init__(self, inputs: int, image_shape: Sequence[int], architecture: Architecture, *, rngs: nnx.Rngs):
        act, widths = architecture.activation, architecture.widths[::-1]
        self.image_shape, self.activation = tuple(image_shape), act
        if architecture.kind == "conv":
            self.small = (*halved(image_shape, len(widths)), widths[0])
            channels = (*widths, image_shape[-1])
            self.head = Perceptron((inputs, math.prod(self.small)), act, rngs=rngs)
            self.convs = nnx.List([TransposedConv(a, b, rngs=rngs) for a, b in pairwise(channels)])
            self.norms = nnx.List([nnx.GroupNorm(c, num_groups=groups_of(c), rngs=rngs) for c in widths])
        else:
            self.small, self.convs, self.norms = None, nnx.List([]), nnx.List([])
            self.head = Perceptron((inputs, *widths, math.prod(image_shape)), act, rngs=rngs)

    def __call__(self, inputs: Float[Array, "n k"]) -> Float[Array, "n *shape"]:
        """Logits of every pixel."""
        h = self.head(inputs)
        if self.small is not None:
            h = h.reshape(len(inputs), *self.small)
            for norm, conv in zip(self.norms, self.convs, strict=True):
                h = conv(self.activation(norm(h)))
        return h.reshape(len(inputs), *self.image_shape)


def halved(image_shape: Sequence[int], times: int) -> tuple[int, int]:
    """Sides of an image `(h, w, c)` after so many halvings.

    Raises:
        ValueError: unless the shape has three sizes and both sides can be halved so often.
    """
    if len(image_shape) != 3 or any(side % 2**times for side in image_shape[:2]):
        raise ValueError(
            f"image_shape is {tuple(image_shape)}; {times} convolutions need (h, w, c), h and w multiples of {2**times}"
        )
    h, w, _ = image_shape
    return h >> times, w >> times
