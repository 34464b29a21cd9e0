"""Group convolution on samples: lifting, convolution, projection. Channels last, `[batch, h, w, channels, samples]`.

A function on the affine group is held as its values on finitely many elements g_j, everywhere in the plane:
`(k * f)(x, h) = int int f(x~, h~) k(h^-1 (x~ - x), h^-1 h~) |det h~|^-1 dx~ dmu(h~)`. The inner integral is an ordinary
convolution, the outer one a sum over samples, and both together are one convolution on packed channels.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Num

from quire.common.checks import check_at_least
from quire.common.layers.convolution import Padding, conv_nd
from quire.lie_decompositions.groups import MatrixGroup
from quire.lie_decompositions.kernels import (
    PAPER_KERNEL,
    KernelConfig,
    KernelNetwork,
    mask,
    relative_coordinates,
    relative_positions,
)

Network = Callable[[Array], Array]
"""From coordinates `[..., d]` to entries of a kernel `[..., out * in]`, the channels of the output slowest."""


def lift_kernel(
    network: Network, group: MatrixGroup, g_inv: Float[Array | np.ndarray, "j 2 2"], size: int, in_channels: int
) -> Float[Array, "size size in out j"]:
    """`K_j(p) = |det g_j^-1| mask(g_j^-1 p) network(g_j^-1 p)`, the factor where the group has determinants.

    Args:
        network: from positions.
        group: that of the samples.
        g_inv: inverse samples.
        size: taps along an axis, at least 2.
        in_channels: divides the outputs of the network.

    Raises:
        ValueError: for a size below 2: the single tap is at 0, which no element moves.
    """
    check_at_least("size", size, 2)
    position = relative_positions(g_inv, size)
    values = network(position) * mask(group, position)[..., None]
    if not group.unimodular:
        values = values * _determinants(g_inv)[:, None, None, None]
    kernel = values.reshape(*values.shape[:-1], -1, in_channels)
    return kernel.transpose(1, 2, 4, 3, 0)


def group_kernel(
    network: Network,
    group: MatrixGroup,
    g_inv: Float[Array | np.ndarray, "j 2 2"],
    g_tilde: Float[Array | np.ndarray, "i 2 2"],
    size: int,
    in_channels: int,
    *,
    circular: bool = False,
    compat: bool = False,
) -> Float[Array, "size size in i out j"]:
    """`K_ji(p) = |det g~_i|^-1 k(g_j^-1 p, xi^-1(g_j^-1 g~_i))`, k the network times its mask.

    Args:
        network: from positions and coordinates of the group.
        group: that of the samples.
        g_inv: inverses of the samples of the output.
        g_tilde: samples of the input.
        size: taps along an axis.
        in_channels: divides the outputs of the network.
        circular: give the network cosine and sine of the angle.
        compat: divide by `|det g~_j|` along the output instead, as the authors' code; needs as many samples on both sides.

    Raises:
        ValueError: if `compat` is asked for with other numbers of samples.
    """
    position = relative_positions(g_inv, size)[:, None]
    relative = relative_coordinates(group, g_inv, g_tilde)[:, :, None, None]
    shape = (len(g_inv), len(g_tilde), size, size)
    position, relative = (jnp.broadcast_to(x, (*shape, x.shape[-1])) for x in (position, relative))
    bounded = mask(group, jnp.concatenate([position, relative], -1))
    seen = _unrolled(group, relative) if circular else relative
    values = network(jnp.concatenate([position, seen], -1)) * bounded[..., None]
    if not group.unimodular:
        values = values / _along(_determinants(g_tilde), shape[:2], compat)
    kernel = values.reshape(*shape, -1, in_channels)
    return kernel.transpose(2, 3, 5, 1, 4, 0)


def project_kernel(
    network: Network, group: MatrixGroup, g_tilde_inv: Float[Array | np.ndarray, "i 2 2"], size: int, in_channels: int
) -> Float[Array, "size size in i out"]:
    """`K_i(p) = |det g~_i|^-1 mask(g~_i^-1 p) network(g~_i^-1 p)`: from the group back to the plane.

    Args:
        network: from positions.
        group: that of the samples.
        g_tilde_inv: inverses of the samples of the input.
        size: taps along an axis.
        in_channels: divides the outputs of the network.
    """
    position = relative_positions(g_tilde_inv, size)
    values = network(position) * mask(group, position)[..., None]
    if not group.unimodular:
        values = values * _determinants(g_tilde_inv)[:, None, None, None]
    kernel = values.reshape(*values.shape[:-1], -1, in_channels)
    return kernel.transpose(1, 2, 4, 0, 3)


def lift(
    x: Num[Array | np.ndarray, "batch h w in"],
    kernel: Float[Array | np.ndarray, "size size in out j"],
    padding: Padding = "VALID",
) -> Float[Array, "batch h2 w2 out j"]:
    """From the plane to the group: one convolution for each sample."""
    flat = jnp.asarray(kernel).reshape(*kernel.shape[:3], -1)
    return _split(conv_nd(jnp.asarray(x), flat, padding=padding), kernel.shape[3:])


def group_conv(
    x: Num[Array | np.ndarray, "batch h w in i"],
    kernel: Float[Array | np.ndarray, "size size in i out j"],
    padding: Padding = "VALID",
) -> Float[Array, "batch h2 w2 out j"]:
    """From samples to samples, as one convolution on packed channels.

    Raises:
        ValueError: if x has other channels or samples than the kernel.
    """
    packed = _packed(x, kernel)
    flat = jnp.asarray(kernel).reshape(*kernel.shape[:2], packed.shape[-1], -1)
    return _split(conv_nd(packed, flat, padding=padding), kernel.shape[4:])


def project(
    x: Num[Array | np.ndarray, "batch h w in i"],
    kernel: Float[Array | np.ndarray, "size size in i out"],
    padding: Padding = "VALID",
) -> Float[Array, "batch h2 w2 out"]:
    """From samples to the plane.

    Raises:
        ValueError: if x has other channels or samples than the kernel.
    """
    packed = _packed(x, kernel)
    flat = jnp.asarray(kernel).reshape(*kernel.shape[:2], packed.shape[-1], -1)
    return conv_nd(packed, flat, padding=padding)


def global_pool(x: Num[Array | np.ndarray, "batch h w channels samples"], how: str = "max") -> Num[Array, "batch channels"]:
    """Largest value or mean over the plane and the samples.

    Raises:
        ValueError: for another word than `"max"` and `"mean"`.
    """
    if how not in ("max", "mean"):
        raise ValueError(f"how is {how!r}; it must be 'max' or 'mean'")
    if how == "mean":
        return jnp.mean(x, axis=(1, 2, 4))
    rows = jnp.moveaxis(jnp.asarray(x), 3, 1).reshape(x.shape[0], x.shape[3], -1)
    return jnp.take_along_axis(rows, rows.argmax(-1)[..., None], -1)[..., 0]


def max_pool(
    x: Num[Array | np.ndarray, "batch h w channels samples"], size: int = 2
) -> Num[Array, "batch h2 w2 channels samples"]:
    """Largest value of every window of the plane, sample by sample; rows and columns that fill no window are cut off.

    Raises:
        ValueError: if the plane is smaller than a window.
    """
    h, w = x.shape[1] // size, x.shape[2] // size
    if min(h, w) < 1:
        raise ValueError(f"x has shape {x.shape}; pooling needs at least {size} rows and columns")
    cut = x[:, : h * size, : w * size]
    return _largest(_largest(cut, 1, size), 2, size)


class _OnPlane(nnx.Module):
    """A layer whose kernel is a network of positions alone: to the group, and back from it."""

    def __init__(
        self,
        group: MatrixGroup,
        in_channels: int,
        out_channels: int,
        size: int = 5,
        *,
        padding: Padding = "VALID",
        use_bias: bool = True,
        config: KernelConfig = PAPER_KERNEL,
        rngs: nnx.Rngs,
    ):
        check_at_least("size", size, 2)
        self.network = _network(2, in_channels, out_channels, size, config, rngs)
        self.bias = nnx.Param(jnp.zeros(out_channels)) if use_bias else None
        self.group, self.in_channels, self.size, self.padding = group, in_channels, size, padding


class LiftConv(_OnPlane):
    """`lift` with a network for its kernel.

    Args:
        group: of the samples.
        in_channels, out_channels: of images and of functions on the group.
        size: taps along an axis.
        padding: of the convolution.
        use_bias: add a bias to every output channel, zero at first.
        config: of the network.
        rngs: for the initial weights.

    Raises:
        ValueError: for a size below 2, or channels below 1.
    """

    def kernel(self, g_inv: Float[Array | np.ndarray, "j 2 2"]) -> Float[Array, "size size in out j"]:
        """See `lift_kernel`."""
        return lift_kernel(self.network, self.group, g_inv, self.size, self.in_channels)

    def __call__(
        self, x: Num[Array | np.ndarray, "batch h w in"], g_inv: Float[Array | np.ndarray, "j 2 2"]
    ) -> Float[Array, "batch h2 w2 out j"]:
        """Images to functions on the samples whose inverses are given."""
        return _with_bias(lift(x, self.kernel(g_inv), self.padding), self.bias)


class GroupConv(nnx.Module):
    """`group_conv` with a network for its kernel.

    Args:
        group, in_channels, out_channels, size, padding, use_bias, config, rngs: as for `LiftConv`; the size may be 1.
        compat: see `group_kernel`.

    Raises:
        ValueError: for sizes or channels below 1.
    """

    def __init__(
        self,
        group: MatrixGroup,
        in_channels: int,
        out_channels: int,
        size: int = 5,
        *,
        padding: Padding = "VALID",
        use_bias: bool = True,
        config: KernelConfig = PAPER_KERNEL,
        compat: bool = False,
        rngs: nnx.Rngs,
    ):
        dim = 2 + group.dim + config.circular
        self.network = _network(dim, in_channels, out_channels, check_at_least("size", size), config, rngs)
        self.bias = nnx.Param(jnp.zeros(out_channels)) if use_bias else None
        self.group, self.in_channels, self.size, self.padding, self.compat = group, in_channels, size, padding, compat

    def kernel(
        self, g_tilde: Float[Array | np.ndarray, "i 2 2"], g_inv: Float[Array | np.ndarray, "j 2 2"]
    ) -> Float[Array, "size size in i out j"]:
        """See `group_kernel`."""
        options = {"circular": self.network.config.circular, "compat": self.compat}
        return group_kernel(self.network, self.group, g_inv, g_tilde, self.size, self.in_channels, **options)

    def __call__(
        self,
        x: Num[Array | np.ndarray, "batch h w in i"],
        g_tilde: Float[Array | np.ndarray, "i 2 2"],
        g_inv: Float[Array | np.ndarray, "j 2 2"],
        weights: Float[Array | np.ndarray, " i"] | None = None,
    ) -> Float[Array, "batch h2 w2 out j"]:
        """From functions on the samples `g_tilde` to functions on those whose inverses are given.

        With weights, of `sample_pair`, the sum over input samples is a mean that estimates the Haar integral.
        """
        kernel = self.kernel(g_tilde, g_inv)
        if weights is not None:
            kernel = kernel * (weights / len(weights)).astype(kernel.dtype).reshape(1, 1, 1, -1, 1, 1)
        return _with_bias(group_conv(x, kernel, self.padding), self.bias)


class GroupProject(_OnPlane):
    """`project` with a network for its kernel.

    Args:
        group, in_channels, out_channels, size, padding, use_bias, config, rngs: as for `LiftConv`.

    Raises:
        ValueError: for a size below 2, or channels below 1.
    """

    def __call__(
        self, x: Num[Array | np.ndarray, "batch h w in i"], g_tilde_inv: Float[Array | np.ndarray, "i 2 2"]
    ) -> Float[Array, "batch h2 w2 out"]:
        """From functions on the samples whose inverses are given to images."""
        y = project(x, project_kernel(self.network, self.group, g_tilde_inv, self.size, self.in_channels), self.padding)
        return y if self.bias is None else y + self.bias[...].reshape(1, 1, 1, -1)


def _network(dim, in_channels, out_channels, size, config, rngs):
    check_at_least("in_channels", in_channels), check_at_least("out_channels", out_channels)
    return KernelNetwork(dim, in_channels * out_channels, in_channels * size**2, config, rngs=rngs)


def _with_bias(y, bias):
    return y if bias is None else y + bias[...].reshape(1, 1, 1, -1, 1)


def _determinants(g):
    return jnp.abs(g[:, 0, 0] * g[:, 1, 1] - g[:, 0, 1] * g[:, 1, 0])


def _along(determinants, shape, compat):
    """Determinants of the input's samples as `[j, i, 1, 1, 1]`, or along the output's."""
    if compat and shape[0] != shape[1]:
        raise ValueError(f"compat is True for {shape[1]} samples in and {shape[0]} out; it needs as many on both sides")
    along = determinants[:, None] if compat else determinants[None]
    return jnp.broadcast_to(along, shape)[..., None, None, None]


def _unrolled(group, relative):
    """Coordinates with the angle of the plane replaced by cosine and sine, these last."""
    place = group.angle_place
    others = jnp.concatenate([relative[..., :place], relative[..., place + 1 :]], -1)
    angle = relative[..., place : place + 1]
    return jnp.concatenate([others, jnp.cos(angle), jnp.sin(angle)], -1)


def _largest(x, axis, size):
    """Largest value of every `size` along an axis, by comparisons: its derivative takes the place that they chose.

    That of `max` compares values with the result; where a compiler computes both anew and rounds differently, none is equal.
    """
    first, *others = (jax.lax.slice_in_dim(x, i, x.shape[axis], size, axis) for i in range(size))
    for other in others:
        first = jnp.where((first >= other) | jnp.isnan(first), first, other)
    return first


def _packed(x, kernel):
    if x.ndim != 5 or x.shape[3:] != kernel.shape[2:4]:
        raise ValueError(
            f"x has shape {x.shape}; it must be [batch, h, w, {kernel.shape[2]} channels, {kernel.shape[3]} samples]"
        )
    return jax.lax.collapse(jnp.asarray(x), 3, 5)


def _split(y, shape):
    return y.reshape(*y.shape[:-1], *shape)
