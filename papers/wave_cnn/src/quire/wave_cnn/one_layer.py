"""What C6 measures: one layer by the clock and by its multiplications, in the forms that compute the same."""

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from quire.common.layers.convolution import conv_nd
from quire.common.random import generator
from quire.wave_cnn.config import OneLayer
from quire.wave_cnn.one_way_conv import factor_shapes, per_kernel_conv, shared_conv


class LayerCost(NamedTuple):
    """Milliseconds of a call (least and median of several), multiplications of a call, and numbers that are trained."""

    fastest: float
    median: float
    macs: int
    params: int


def layers(config: OneLayer, key: jax.Array) -> dict[str, tuple[Callable[..., Array | np.ndarray], tuple]]:
    """Functions and arguments by name, on the same input: dense kernels by XLA and as columns, and both one-way forms."""
    draw = generator(key)
    channels, size = config.channels, (config.taps,) * 3

    def normal(*shape):
        return jnp.asarray(draw.normal(size=shape), jnp.float32)

    x = normal(config.batch, *(config.side,) * 3, channels)
    kernel = normal(*size, channels, channels)
    per_kernel = [normal(*shape) for shape in factor_shapes(channels, channels, size, 1, "per_kernel")]
    shared = [normal(*shape) for shape in factor_shapes(channels, channels, size, config.rank, "shared")]
    forms: dict[str, tuple[Callable[..., Array | np.ndarray], tuple]] = {
        "dense, XLA": (lambda x, k: conv_nd(x, k, impl="xla"), (x, kernel)),
        "dense, columns": (lambda x, k: conv_nd(x, k, impl="im2col"), (x, kernel)),
        "per kernel, dense kernel": (lambda x, *f: per_kernel_conv(x, f, evaluate="dense", impl="xla"), (x, *per_kernel)),
        "shared chain": (lambda x, *f: shared_conv(x, f), (x, *shared)),
    }
    return forms


def layer_costs(config: OneLayer, key: jax.Array) -> dict[str, LayerCost]:
    """Every form, called by turns, so that a machine that is busy for a while is so for all of them."""
    forms = layers(config, key)
    compiled = {name: jax.jit(function).lower(*args).compile() for name, (function, args) in forms.items()}
    times = {name: [] for name in forms}
    for _ in range(config.repeats + 1):
        for name, (_, args) in forms.items():
            start = time.perf_counter()
            jax.block_until_ready(compiled[name](*args))
            times[name].append(1e3 * (time.perf_counter() - start))
    numbers = multiplications(config)
    return {
        name: LayerCost(min(times[name][1:]), statistics.median(times[name][1:]), numbers[name], sum(map(np.size, args[1:])))
        for name, (_, args) in forms.items()
    }


def multiplications(config: OneLayer) -> dict[str, int]:
    """Of one call: `Co Ci prod(k)` at each place for a dense kernel, which per kernel takes `Co Ci (k^2 + k^3)` more to make, and
    `R (Ci k + k + Co k)` for the shared chain.

    >>> found = multiplications(OneLayer(16, 5, 16, 2, 16))
    >>> print(f"{found['dense, XLA'] / found['shared chain']:.1f}")
    12.1
    """
    places, pairs, k = config.batch * config.side**3, config.channels**2, config.taps
    dense = places * pairs * k**3
    return {
        "dense, XLA": dense,
        "dense, columns": dense,
        "per kernel, dense kernel": dense + pairs * (k**2 + k**3),
        "shared chain": places * config.rank * k * (2 * config.channels + 1),
    }
