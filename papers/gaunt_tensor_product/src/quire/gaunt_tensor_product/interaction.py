"""Equivariant feature interaction: the product of a feature with itself, channel by channel ("Selfmix", section 3.3)."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from quire.common.checks import check_at_least
from quire.common.equivariant.irreps import lmax_of
from quire.common.equivariant.sphere_grid import PRECISION
from quire.gaunt_tensor_product.initial import normal_weights
from quire.gaunt_tensor_product.tensor_product import Method, gaunt_tensor_product


def mix_channels(x: Float[Array, "*batch channels m"], kernel: Float[Array, "channels out"]) -> Float[Array, "*batch out m"]:
    """A linear map of channels, the same for all orders."""
    if x.shape[-1] == 1:  # an axis of one order would cost the product its fast form
        return jnp.matmul(x[..., 0], kernel, precision=PRECISION)[..., None]
    return jnp.einsum("...cm,cd->...dm", x, kernel, precision=PRECISION)


class DegreeLinear(nnx.Module):
    """Linear map of channels, its own for every degree: what an equivariant linear layer is. No bias.

    Args:
        lmax: highest degree.
        channels_in, channels_out: channels.
        rngs: for the weights, normal with variance `1 / channels_in`.

    Raises:
        ValueError: for a negative degree or no channels.
    """

    def __init__(self, lmax: int, channels_in: int, channels_out: int, *, rngs: nnx.Rngs):
        for name, size, least in (("lmax", lmax, 0), ("channels_in", channels_in, 1), ("channels_out", channels_out, 1)):
            check_at_least(name, size, least)
        self.kernel = normal_weights(rngs, (lmax + 1, channels_in, channels_out), channels_in)

    def __call__(self, x: Float[Array, "*batch channels n"]) -> Float[Array, "*batch out n"]:
        """`x [..., channels_in, (lmax + 1)^2]` to `[..., channels_out, (lmax + 1)^2]`.

        Raises:
            ValueError: if x has another number of channels or another degree.
        """
        kernel = self.kernel[...]
        if x.ndim < 2 or x.shape[-2] != kernel.shape[1] or lmax_of(x) != len(kernel) - 1:
            raise ValueError(
                f"x has shape {x.shape}; this map reads {kernel.shape[1]} channels of "
                f"(lmax + 1)^2 = {len(kernel) ** 2} coefficients"
            )
        return jnp.concatenate([mix_channels(x[..., l * l : (l + 1) ** 2], kernel[l]) for l in range(len(kernel))], axis=-1)


class Selfmix(nnx.Module):
    """`x + W3 ((W1 x) o (W2 x))`, the products channel-wise and up to the degree of x.

    The weights per degree of the weighted Gaunt product are those of the three linear maps.

    Args:
        lmax: highest degree.
        channels: channels.
        method: evaluator of the product.
        rngs: for the weights.
    """

    def __init__(self, lmax: int, channels: int, *, method: Method = "auto", rngs: nnx.Rngs):
        self.left, self.right, self.out = (DegreeLinear(lmax, channels, channels, rngs=rngs) for _ in range(3))
        self.lmax, self.method = lmax, method

    def __call__(self, x: Float[Array, "*batch channels n"]) -> Float[Array, "*batch channels n"]:
        """`[..., channels, (lmax + 1)^2]` to the same shape."""
        return x + self.out(gaunt_tensor_product(self.left(x), self.right(x), self.lmax, self.method))
