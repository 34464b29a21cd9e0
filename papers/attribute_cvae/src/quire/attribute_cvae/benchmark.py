"""What `quire bench attribute_cvae` times: the decoder's transposed convolution by phases, and with zeros between the pixels."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from quire.attribute_cvae.networks import TransposedConv
from quire.attribute_cvae.paper import paper
from quire.common.bench import Benchmark, Case
from quire.common.layers.convolution import conv_nd

IMAGES, CHANNELS = 8, 32


def with_zeros(x: Float[Array, "n h w c"], kernel: Float[Array, "4 4 c d"]) -> Float[Array, "n h2 w2 d"]:
    """Three zeros for every pixel, then an ordinary convolution: of sixteen products, twelve are with zeros."""
    n, h, w, c = x.shape
    spread = jnp.zeros((n, h, 2, w, 2, c), x.dtype).at[:, :, 0, :, 0].set(x).reshape(n, 2 * h, 2 * w, c)
    return conv_nd(spread, kernel[::-1, ::-1], padding=((2, 1), (2, 1)))


def cases(side: int, key: jax.Array) -> dict[str, Case]:
    """Both with gradients by image and kernel. Slopes of 2 in the side: the work is in proportion to the pixels."""
    layer = TransposedConv(CHANNELS, CHANNELS, rngs=nnx.Rngs(0))
    graph, state = nnx.split(layer)
    x = jax.random.normal(key, (IMAGES, side, side, CHANNELS))

    def gradients(function):
        return lambda state, x: jax.grad(lambda state, x: jnp.sum(jnp.tanh(function(state, x))), (0, 1))(state, x)

    args = state, x
    return {
        "by phases": Case(gradients(lambda state, x: nnx.merge(graph, state)(x)), args),
        "zeros between pixels": Case(gradients(lambda state, x: with_zeros(x, state["kernel"][...])), args),
    }


paper.benchmark = Benchmark("Transposed convolution of 4 x 4, with gradients", size="side", sizes=(16, 32, 64), cases=cases)
