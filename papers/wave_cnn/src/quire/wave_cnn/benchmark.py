"""What `quire bench wave_cnn` times: a layer with one-way filters in common, with one dense kernel, and pass by pass."""

import math

import jax
import jax.numpy as jnp

from quire.common.bench import Benchmark, Case
from quire.common.layers.convolution import conv_nd
from quire.common.random import generator
from quire.wave_cnn.one_way_conv import factor_shapes, per_kernel_conv, shared_conv
from quire.wave_cnn.one_way_kernels import cp_kernel
from quire.wave_cnn.paper import paper

CHANNELS, TAPS = 8, 3


def cases(side: int, key: jax.Array) -> dict[str, Case]:
    """All on the same image of `side` cubed places."""
    draw = generator(key)
    size = (TAPS,) * 3

    def normal(*shape):
        return jnp.asarray(draw.normal(size=shape), jnp.float32)

    x = normal(1, side, side, side, CHANNELS)
    one_way = [normal(*shape) for shape in factor_shapes(CHANNELS, CHANNELS, size, 1, "per_kernel")]
    common = [normal(*shape) for shape in factor_shapes(CHANNELS, CHANNELS, size, CHANNELS, "shared")]
    places = side**3
    dense = 2.0 * places * CHANNELS**2 * math.prod(size)
    return {
        "shared chain": Case(shared_conv, (x, common), 2.0 * places * CHANNELS * (2 * CHANNELS + 1) * TAPS),
        "per kernel, dense kernel": Case(lambda x, f: per_kernel_conv(x, f, evaluate="dense"), (x, one_way), dense),
        "per kernel, passes": Case(
            lambda x, f: per_kernel_conv(x, f, evaluate="sequential"), (x, one_way), 2.0 * places * CHANNELS**2 * sum(size)
        ),
        "dense, XLA": Case(lambda x, k: conv_nd(x, k, impl="xla"), (x, cp_kernel(one_way)), dense),
    }


paper.benchmark = Benchmark(
    f"One layer, {CHANNELS} channels, {TAPS}^3 taps", size="side of the cube of places", sizes=(8, 12, 16, 24), cases=cases
)
