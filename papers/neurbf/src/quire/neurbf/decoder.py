"""The decoder: three linear layers, the first of which adds sines of itself. Section 3.4 and the authors' code."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float


class Layer(NamedTuple):
    """Weights `[inputs, outputs]` and biases `[outputs]`."""

    weight: Array
    bias: Array


def decode(
    layers: list[Layer],
    features: Float[Array, "n m"],
    frequencies: Float[Array, " h"] | Float[np.ndarray, " h"],
    sine: Bool[Array, ""] | Bool[np.ndarray, ""] | bool = True,
) -> Float[Array, "n out"]:
    """`h + sin(h mu)` after the first layer, ReLU after the second, the third linear.

    Args:
        layers: three of them.
        features: inputs.
        frequencies: mu, one a hidden unit.
        sine: whether the first layer adds the sine; ReLU otherwise, as in an ordinary perceptron. May be traced.

    Raises:
        ValueError: if there are not three layers, or not one frequency a unit.

    >>> one = Layer(jnp.ones((1, 1)), jnp.zeros(1))
    >>> print(f"{decode([one] * 3, jnp.array([[0.5]]), jnp.array([10.0])).item():.4f} = {0.5 + float(jnp.sin(5)):.4f} or 0")
    0.0000 = -0.4589 or 0
    """
    if len(layers) != 3 or layers[0].weight.shape[-1] != len(frequencies):
        raise ValueError(f"there are {len(layers)} layers and {len(frequencies)} frequencies; it takes 3, and one a hidden unit")
    first, second, last = layers
    hidden = _linear(features, first)
    waves = hidden + jnp.sin(hidden * jnp.asarray(frequencies, hidden.dtype)[None])
    hidden = jnp.where(sine, waves, jax.nn.relu(hidden))
    return _linear(jax.nn.relu(_linear(hidden, second)), last)


def _linear(x: Array, layer: Layer) -> Array:
    return x @ layer.weight + layer.bias[None]


def scaled_as_torch(drawn: list[Array]) -> list[Array]:
    """Weights and biases, uniform in -1..1, scaled to `+-1 / sqrt(inputs)` as PyTorch draws linear layers."""
    return [x / weight.shape[0] ** 0.5 for weight, bias in zip(drawn[::2], drawn[1::2], strict=True) for x in (weight, bias)]


def as_layers(values: list[Array]) -> list[Layer]:
    """Weights and biases in turn as layers."""
    return [Layer(weight, bias) for weight, bias in zip(values[::2], values[1::2], strict=True)]
