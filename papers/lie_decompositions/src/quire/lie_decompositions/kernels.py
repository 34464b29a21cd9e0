"""Kernels as networks on coordinates: where they are evaluated, the networks, and the masks that bound them."""

import itertools
import math
from dataclasses import dataclass
from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from quire.common.checks import check_at_least, check_positive
from quire.common.fields.siren import Layers, siren
from quire.common.roots import length
from quire.lie_decompositions.groups import MatrixGroup
from quire.lie_decompositions.initial import uniform

KernelKind = Literal["siren", "wire"]


@dataclass(frozen=True)
class KernelConfig:
    """Networks that kernels are made of; the defaults are the paper's.

    Attributes:
        kind: `"siren"` (sines) or `"wire"` (Gabor wavelets).
        hidden: width.
        depth: hidden layers after the first.
        omega: frequency of all layers.
        width_scale: of the envelopes of wavelets, their inverse width.
        circular: give the network cosine and sine of a planar angle instead of the angle, which jumps at the identity.

    Raises:
        ValueError: for an unknown kind or a number out of range.
    """

    kind: KernelKind = "siren"
    hidden: int = 60
    depth: int = 2
    omega: float = 10.0
    width_scale: float = 1.0
    circular: bool = False

    def __post_init__(self):
        if self.kind not in get_args(KernelKind):
            raise ValueError(f"kind is {self.kind!r}; it must be one of {', '.join(get_args(KernelKind))}")
        check_at_least("hidden", self.hidden)
        check_at_least("depth", self.depth, 0)
        check_positive("omega", self.omega)
        check_positive("width_scale", self.width_scale)


PAPER_KERNEL = KernelConfig()
"""What the paper takes."""


def kernel_grid(size: int) -> Float[np.ndarray, "size size 2"]:
    """Positions (x, y) of the taps of a kernel, by row and column: `(2 i + 1) / k - 1` along each axis.

    >>> kernel_grid(2)[0, 1].tolist()
    [0.5, -0.5]

    Raises:
        ValueError: for a size below 1.
    """
    line = (2 * np.arange(check_at_least("size", size)) + 1) / size - 1
    return np.stack(np.meshgrid(line, line), -1)


def wire(layers: Layers, x: Float[Array | np.ndarray, "*batch d"], *, omega: float, scale: float) -> Float[Array, "*batch m"]:
    """A network of Gabor wavelets: `h_(l+1) = cos(omega u) exp(-(scale u)^2)`, `u = h_l W_l + b_l`, and a linear output layer.

    The real part of the wavelets of Saragadam et al., *WIRE*, 2023, with real weights.

    Raises:
        ValueError: if there are no layers.
    """
    if not layers:
        raise ValueError("layers is empty; a network has at least its output layer")
    x = jnp.asarray(x)
    for weight, bias in layers[:-1]:
        u = x @ weight + bias.reshape((1,) * (x.ndim - 1) + (-1,))
        x = jnp.cos(omega * u) * jnp.exp(-((scale * u) ** 2))
    weight, bias = layers[-1]
    return x @ weight + bias.reshape((1,) * (x.ndim - 1) + (-1,))


class KernelNetwork(nnx.Module):
    """A network from coordinates to the entries of a kernel.

    Weights start uniform in `+-1 / fan_in` in the first layer, `+-sqrt(6 / fan_in) / omega` in hidden ones, and in the output
    `+-sqrt(6 / hidden) / sqrt(fan)`, where `fan` counts what a convolution with the kernel sums up. Biases start at 0, but those
    of the first layer, uniform in `+-1 / sqrt(fan_in)`.

    Args:
        in_dim: coordinates.
        out_dim: entries.
        fan: input channels times taps.
        config: kind and sizes.
        rngs: for the initial weights.

    Raises:
        ValueError: for sizes that are not positive.
    """

    def __init__(self, in_dim: int, out_dim: int, fan: int, config: KernelConfig = PAPER_KERNEL, *, rngs: nnx.Rngs):
        for name, value in (("in_dim", in_dim), ("out_dim", out_dim), ("fan", fan)):
            check_at_least(name, value)
        widths = [in_dim, *[config.hidden] * (config.depth + 1), out_dim]
        hidden = math.sqrt(6 / config.hidden)
        bounds = [1 / in_dim, *[hidden / config.omega] * config.depth, hidden / math.sqrt(fan)]
        shapes = itertools.pairwise(widths)
        weights = [uniform(bound)(rngs.params(), shape) for bound, shape in zip(bounds, shapes, strict=True)]
        biases = [uniform(1 / math.sqrt(in_dim))(rngs.params(), (config.hidden,)), *map(np.zeros, widths[2:])]
        self.weights = nnx.List([nnx.Param(w) for w in weights])
        self.biases = nnx.List([nnx.Param(jnp.asarray(b, jnp.float32)) for b in biases])
        self.config = config

    def __call__(self, coordinates: Float[Array | np.ndarray, "*batch d"]) -> Float[Array, "*batch m"]:
        """Entries at coordinates."""
        layers = [(w[...], b[...]) for w, b in zip(self.weights, self.biases, strict=True)]
        coordinates = jnp.asarray(coordinates, layers[0][0].dtype)
        if self.config.kind == "wire":
            return wire(layers, coordinates, omega=self.config.omega, scale=self.config.width_scale)
        return siren(layers, coordinates, omega=self.config.omega)


def mask(group: MatrixGroup, coordinates: Float[Array | np.ndarray, "*batch d"]) -> Float[Array, "*batch"]:
    """Where a kernel lives: `sigmoid(2 (1 - |c|))` of all coordinates, or 1 where the first two lie in the unit disc.

    Args:
        group: says which.
        coordinates: positions (x, y), then coordinates of the group if there are any.

    >>> print(mask(MatrixGroup(), jnp.array([[0.6, 0.8], [0.7, 0.8]])))
    [1. 0.]
    """
    if not group.soft_mask:
        return (jnp.sum(coordinates[..., :2] ** 2, -1) <= 1).astype(coordinates.dtype)
    return jax.nn.sigmoid(2 * (1 - length(coordinates)))


def relative_positions(g_inv: Float[Array | np.ndarray, "j 2 2"], size: int) -> Float[Array, "j size size 2"]:
    """Taps of a kernel as every element sees them, `g_j^-1 p`."""
    g_inv = jnp.asarray(g_inv)
    return jnp.einsum("jab,hwb->jhwa", g_inv, jnp.asarray(kernel_grid(size), g_inv.dtype), precision="highest")


def relative_coordinates(
    group: MatrixGroup, g_inv: Float[Array | np.ndarray, "j 2 2"], g_tilde: Float[Array | np.ndarray, "i 2 2"]
) -> Float[Array, "j i dim"]:
    """Global coordinates of `g_j^-1 g~_i`, all pairs."""
    return group.xi_inv(jnp.matmul(g_inv[:, None], g_tilde[None], precision="highest"))
