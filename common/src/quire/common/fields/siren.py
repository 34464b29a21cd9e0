"""SIREN: a multilayer perceptron with sines, whose derivatives of every order are again such networks."""

import itertools
import math

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from quire.common.random import draw_together

Layers = list[tuple[Array, Array]]
"""Weights `[in, out]` and biases `[out]` of every layer, the linear output layer last."""


def siren(layers: Layers, x: Float[Array, "*batch d"], *, omega: float = 30.0) -> Float[Array, "*batch m"]:
    """A sine network: `h_0 = x`, `h_(l+1) = sin(omega (h_l W_l + b_l))`, and a linear output layer.

    Args:
        layers: weights and biases, from `init_siren`.
        x: points `[..., d]`.
        omega: frequency of every sine.

    Returns:
        Values `[..., m]`.

    Raises:
        ValueError: if there are no layers, or the points do not have the dimension of the first.

    References:
        Sitzmann et al., *Implicit Neural Representations with Periodic Activation Functions*, 2020, arXiv 2006.09661, eq. 6.
    """
    if not layers:
        raise ValueError("layers is empty; a network has at least its output layer")
    dim = layers[0][0].shape[0]
    if not x.ndim or x.shape[-1] != dim:
        raise ValueError(f"x has shape {x.shape}; this field lives in dimension {dim}")
    for weight, bias in layers[:-1]:
        x = jnp.sin(omega * (x @ weight + bias.reshape((1,) * (x.ndim - 1) + (-1,))))
    weight, bias = layers[-1]
    return x @ weight + bias.reshape((1,) * (x.ndim - 1) + (-1,))


def init_siren(
    key: jax.Array,
    in_dim: int,
    out_dim: int,
    hidden: int,
    num_hidden_layers: int,
    *,
    omega: float = 30.0,
    dtype: jnp.dtype | None = None,
) -> Layers:
    """Layers of a new sine network with `num_hidden_layers + 1` sines and `num_hidden_layers + 2` matrices.

    Weights are uniform in `+-1 / fan_in` in the first layer and in `+-sqrt(6 / fan_in) / omega` in all others, the output
    included; biases are uniform in `+-1 / sqrt(fan_in)`.

    Args:
        key: for the draws.
        in_dim, out_dim: dimension of space and of the values.
        hidden: width.
        num_hidden_layers: layers between the first and the output layer.
        omega: frequency of the sines.
        dtype: of the weights; JAX's default float if left out.

    Raises:
        ValueError: if a size is not positive, or `omega` is not.

    >>> sum(p.size for layer in init_siren(jax.random.key(0), 1, 1, 20, 2) for p in layer)
    901
    """
    sizes = {"in_dim": in_dim, "out_dim": out_dim, "hidden": hidden, "num_hidden_layers": num_hidden_layers + 1, "omega": omega}
    if bad := [name for name, size in sizes.items() if not size > 0]:
        given = {"num_hidden_layers": num_hidden_layers}.get(bad[0], sizes[bad[0]])
        raise ValueError(f"{bad[0]} is {given}; it must be {'at least 0' if bad[0] == 'num_hidden_layers' else 'positive'}")
    widths = [in_dim, *[hidden] * (num_hidden_layers + 1), out_dim]
    shapes = [shape for fan_in, fan_out in itertools.pairwise(widths) for shape in ((fan_in, fan_out), (fan_out,))]
    drawn = draw_together(lambda shape: jax.random.uniform(key, shape, dtype or float, -1, 1), shapes)
    layers = []
    for place, (weight, bias) in enumerate(zip(drawn[::2], drawn[1::2], strict=True)):
        fan_in = weight.shape[0]
        bound = math.sqrt(6 / fan_in) / omega if place else 1 / fan_in
        layers.append((bound * weight, fan_in**-0.5 * bias))
    return layers


class Siren(nnx.Module):
    """A sine network that holds its layers; see `siren` and `init_siren`.

    >>> Siren(2, 1, hidden=16, num_hidden_layers=1, rngs=nnx.Rngs(0))(jnp.zeros((5, 2))).shape
    (5, 1)
    """

    def __init__(self, in_dim: int, out_dim: int, hidden: int, num_hidden_layers: int, *, omega: float = 30.0, rngs: nnx.Rngs):
        layers = init_siren(rngs.params(), in_dim, out_dim, hidden, num_hidden_layers, omega=omega)
        self.weights = nnx.List([nnx.Param(weight) for weight, _ in layers])
        self.biases = nnx.List([nnx.Param(bias) for _, bias in layers])
        self.omega = omega

    @property
    def layers(self) -> Layers:
        """Weights and biases, for the pure functions."""
        return [(weight[...], bias[...]) for weight, bias in zip(self.weights, self.biases, strict=True)]

    def __call__(self, x: Float[Array, "*batch d"]) -> Float[Array, "*batch m"]:
        return siren(self.layers, x, omega=self.omega)
