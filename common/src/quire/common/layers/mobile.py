"""Blocks of mobile networks: squeeze-and-excitation (Hu et al. 2018) and inverted residuals (Sandler et al. 2018)."""

from collections.abc import Callable

import jax
from flax import nnx
from jaxtyping import Array, Float, Num

from quire.common.checks import check_at_least
from quire.common.layers.convolution import Conv, Layer

NormAct = Callable[[int, bool], Layer]
"""Makes the normaliser of so many channels, with an activation behind it or without."""


class SqueezeExcite(nnx.Module):
    """Channels scaled by what their means over space ask for: `x sigmoid(W2 act(W1 mean(x)))`.

    Args:
        features: channels.
        squeezed: channels between the two maps.
        act: the activation between them.
        rngs: for the initial weights.

    Raises:
        ValueError: if features or squeezed is not positive.

    >>> SqueezeExcite(8, 2, rngs=nnx.Rngs(0))(jax.numpy.ones((2, 5, 5, 8))).shape
    (2, 5, 5, 8)
    """

    def __init__(self, features: int, squeezed: int, *, act: Layer = jax.nn.silu, rngs: nnx.Rngs):
        check_at_least("squeezed", squeezed)
        self.squeeze = Conv(features, squeezed, 1, rngs=rngs)
        self.excite = Conv(squeezed, features, 1, rngs=rngs)
        self.act = act

    def __call__(self, x: Num[Array, "batch h w c"]) -> Float[Array, "batch h w c"]:
        """The same shape; the factors lie between 0 and 1."""
        pooled = x.mean((1, 2), keepdims=True)
        return x * jax.nn.sigmoid(self.excite(self.act(self.squeeze(pooled))))


class InvertedResidual(nnx.Module):
    """Widen, convolve every channel by itself, narrow: `x + project(gate(depthwise(expand(x))))`.

    The sum is there where the shape stays. The narrow end has a normaliser but no activation.

    Args:
        before, after: channels in and out.
        expansion: how many times as wide it is inside; 1 leaves the first map out, as MobileNetV2 does in its first block.
        kernel_size, stride: of the depthwise convolution.
        norm: makes a normaliser from its number of channels, with an activation (True) or without (False).
        squeeze: share of `before` that squeeze-and-excitation narrows to, at least one channel; 0 for none.
        rngs: for the initial weights.

    Raises:
        ValueError: if a size is not positive or squeeze is negative.

    >>> def norm(features, active):
    ...     return jax.nn.relu6 if active else (lambda x: x)
    >>> InvertedResidual(4, 6, 3, stride=2, norm=norm, squeeze=0.25, rngs=nnx.Rngs(0))(jax.numpy.ones((2, 8, 8, 4))).shape
    (2, 4, 4, 6)
    """

    def __init__(
        self,
        before: int,
        after: int,
        expansion: int,
        *,
        norm: NormAct,
        kernel_size: int = 3,
        stride: int = 1,
        squeeze: float = 0.0,
        rngs: nnx.Rngs,
    ):
        check_at_least("expansion", expansion)
        if squeeze < 0:
            raise ValueError(f"squeeze is {squeeze}; it must be at least 0")
        inner = before * expansion
        self.expand = Conv(before, inner, 1, use_bias=False, rngs=rngs) if expansion > 1 else None
        self.expand_norm = norm(inner, True) if expansion > 1 else None
        self.depthwise = Conv(inner, inner, kernel_size, stride=stride, groups=inner, use_bias=False, rngs=rngs)
        self.depthwise_norm = norm(inner, True)
        self.gate = SqueezeExcite(inner, max(1, int(squeeze * before)), rngs=rngs) if squeeze else None
        self.project = Conv(inner, after, 1, use_bias=False, rngs=rngs)
        self.project_norm = norm(after, False)
        self.is_residual = stride == 1 and before == after

    def __call__(self, x: Num[Array, "batch h w c"]) -> Float[Array, "batch h_out w_out c_out"]:
        """Channels `after`, the image smaller by the stride."""
        inner = (self.expand, self.expand_norm, self.depthwise, self.depthwise_norm, self.gate)
        h = x
        for layer in (*inner, self.project, self.project_norm):
            h = h if layer is None else layer(h)
        return x + h if self.is_residual else h
