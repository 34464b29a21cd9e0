"""The authors' networks as flat vectors: `W_0, b_0, W_1, b_1, ...`, weights `[out, in]` as PyTorch has them."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from quire.common.fields.siren import Layers


def layers_from_flat(flat: Any, *, in_dim: int, out_dim: int, hidden: int, num_hidden_layers: int, dtype: Any = None) -> Layers:
    """Layers of a network from its flat parameters.

    Args:
        flat: `[p]`.
        in_dim, out_dim, hidden, num_hidden_layers: as for `init_siren`; the authors' `arch` is `[hidden, num_hidden_layers]`.
        dtype: of the layers; that of `flat` if left out.

    Raises:
        ValueError: if there are more or fewer parameters than the layers need.

    >>> layers = layers_from_flat(np.arange(13.0), in_dim=2, out_dim=1, hidden=3, num_hidden_layers=0)
    >>> layers[0][0].tolist()
    [[0.0, 2.0, 4.0], [1.0, 3.0, 5.0]]
    """
    widths = [in_dim, *[hidden] * (num_hidden_layers + 1), out_dim]
    needed = sum((fan_in + 1) * fan_out for fan_in, fan_out in itertools.pairwise(widths))
    flat = np.asarray(flat)
    if flat.shape != (needed,):
        raise ValueError(f"flat has shape {flat.shape}; widths {widths} need ({needed},)")
    layers, place = [], 0
    for fan_in, fan_out in itertools.pairwise(widths):
        weight = flat[place : place + fan_in * fan_out].reshape(fan_out, fan_in).T
        place += fan_in * fan_out
        layers.append((jnp.asarray(weight, dtype), jnp.asarray(flat[place : place + fan_out], dtype)))
        place += fan_out
    return layers


def flat_from_layers(layers: Layers) -> jax.Array:
    """The flat parameters of layers, in the authors' order; gradients by the layers are flattened alike."""
    return jnp.concatenate([part for weight, bias in layers for part in (weight.T.reshape(-1), bias)])
