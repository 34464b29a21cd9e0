"""Sine networks whose input comes in parts and may enter again, alone or as a stack of networks of one shape."""

import math
from collections.abc import Sequence
from functools import reduce
from operator import add
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from quire.common.checks import check_at_least, check_positive
from quire.common.fields.sine import sine
from quire.common.fields.siren import Layers
from quire.common.random import generator


def sine_features(
    layers: Layers, parts: Sequence[Array], *, omega: float = 30.0, skip: int | None = None
) -> Float[Array, "*batch h"]:
    """What the last sine layer says; the output layer is left to the caller.

    The input is the concatenation of its parts, none of which is repeated to the shape of the others: a code that many points
    share meets its weights once. With a skip, the first part stands before the output of that layer.

    Args:
        layers: weights `[in, out]` and biases `[out]`, the output layer last.
        parts: of the input, `[..., d_i]`; they broadcast.
        omega: frequency of every sine.
        skip: sine layer after which the first part enters again; its weights have so many columns fewer.

    Raises:
        ValueError: without a sine layer, for parts that do not fit the first weights, or a skip with no sine layer after it.

    >>> from quire.common.fields.siren import init_siren, siren
    >>> layers = init_siren(jax.random.key(0), 3, 1, 8, 1)
    >>> x = jnp.array([[0.1, -0.2, 0.3], [0.4, 0.5, -0.6]])
    >>> weight, bias = layers[-1]
    >>> found = sine_features(layers, (x[:, :2], x[:, 2:])) @ weight + bias[None]
    >>> bool(jnp.allclose(found, siren(layers, x), atol=1e-6))
    True
    """
    if len(layers) < 2:
        raise ValueError(f"layers has {len(layers)} entries; it needs a sine layer and the output layer")
    if skip is not None and not 0 <= skip < len(layers) - 2:
        raise ValueError(f"skip is {skip}; with {len(layers) - 1} sine layers it must lie in 0..{len(layers) - 3}")
    widths, (first, bias) = [part.shape[-1] for part in parts], layers[0]
    if sum(widths) != first.shape[0]:
        raise ValueError(f"parts have {widths} numbers, {sum(widths)} together; the first layer takes {first.shape[0]}")
    rows = jnp.split(first, np.cumsum(widths)[:-1].tolist())
    x = _sine(reduce(add, [part @ weight for part, weight in zip(parts, rows, strict=True)]), bias, omega)
    for place, (weight, bias) in enumerate(layers[1:-1]):
        split = widths[0] if place == skip else 0
        again = parts[0] @ weight[:split] if split else 0
        x = _sine(again + x @ weight[split:], bias, omega)
    return x


def _sine(x: Array, bias: Array, omega: float) -> Array:
    return sine(omega * (x + bias.reshape((1,) * (x.ndim - 1) + (-1,))))


def init_siren_stack(
    key: jax.Array,
    in_dim: int,
    out_dim: int,
    hidden: int,
    num_hidden_layers: int,
    *,
    count: int | None = None,
    skip: int | None = None,
    skip_dim: int = 0,
    omega: float = 30.0,
    input_layer: bool = True,
    dtype: Any = None,
) -> Layers:
    """Layers of new sine networks with `num_hidden_layers + 1` sines, drawn on the host.

    Weights of sine layers are uniform in `+-sqrt(6 / fan_in) / omega`, those of the first in `+-1 / fan_in`; output weights and
    all biases in `+-1 / sqrt(fan_in)`.

    Args:
        key: for the draws.
        in_dim, out_dim: numbers in and out.
        hidden: width.
        num_hidden_layers: sine layers after the first.
        count: networks; their arrays gain a leading axis. One network without it if None.
        skip: sine layer that is `skip_dim` narrower, since so many numbers of the input stand before its output.
        skip_dim: how many.
        omega: frequency of the sines.
        input_layer: whether the first layer is drawn as one that meets coordinates; otherwise as all others.
        dtype: of the weights; JAX's default float if left out.

    Raises:
        ValueError: for a size that is not positive, or a skip that leaves its layer without columns or has none after it.

    >>> layers = init_siren_stack(jax.random.key(0), 5, 2, 8, 2, count=3, skip=1, skip_dim=2)
    >>> [weight.shape for weight, _ in layers]
    [(3, 5, 8), (3, 8, 6), (3, 8, 8), (3, 8, 2)]
    """
    for name, size in {"in_dim": in_dim, "out_dim": out_dim, "hidden": hidden, "count": 1 if count is None else count}.items():
        check_at_least(name, size)
    check_at_least("num_hidden_layers", num_hidden_layers, 0)
    check_positive("omega", omega)
    if skip is not None and not (0 <= skip < num_hidden_layers and 0 < skip_dim < hidden):
        raise ValueError(
            f"skip is {skip} and skip_dim {skip_dim}; with {num_hidden_layers} hidden layers of width {hidden} they must lie in "
            f"0..{num_hidden_layers - 1} and 1..{hidden - 1}"
        )
    lead = () if count is None else (count,)
    widths = [in_dim, *[hidden] * (num_hidden_layers + 1), out_dim]
    outs = [width - skip_dim if place == skip else width for place, width in enumerate(widths[1:])]
    draw, layers = generator(key), []
    for place, (fan_in, out) in enumerate(zip(widths[:-1], outs, strict=True)):
        bound = math.sqrt(6 / fan_in) / omega
        if place == num_hidden_layers + 1:
            bound = fan_in**-0.5
        elif place == 0 and input_layer:
            bound = 1 / fan_in
        weight, bias = draw.uniform(-bound, bound, (*lead, fan_in, out)), draw.uniform(-1, 1, (*lead, out)) / fan_in**0.5
        layers.append((jnp.asarray(weight, dtype or float), jnp.asarray(bias, dtype or float)))
    return layers


class SirenStack(nnx.Module):
    """A holder of layers, as parameters.

    Args:
        layers: from `init_siren_stack`, say.

    >>> stack = SirenStack(init_siren_stack(jax.random.key(0), 3, 1, 8, 1, count=2))
    >>> stack.layers[0][0].shape
    (2, 3, 8)
    """

    def __init__(self, layers: Layers):
        self.weights = nnx.List([nnx.Param(weight) for weight, _ in layers])
        self.biases = nnx.List([nnx.Param(bias) for _, bias in layers])

    @property
    def layers(self) -> Layers:
        """Weights and biases, for the pure functions."""
        return [(weight[...], bias[...]) for weight, bias in zip(self.weights, self.biases, strict=True)]
