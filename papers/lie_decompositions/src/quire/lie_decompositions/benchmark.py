"""What `quire bench lie_decompositions` times: the sum over samples as one convolution on packed channels, and term by term."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from quire.common.bench import Benchmark, Case
from quire.common.layers.convolution import conv_nd
from quire.common.random import generator
from quire.lie_decompositions.layers import group_conv
from quire.lie_decompositions.paper import paper

CHANNELS, SIDE, SIZE, BATCH = 4, 16, 5, 4


def term_by_term(
    x: Float[Array, "batch h w in i"], kernel: Float[Array, "size size in i out j"]
) -> Float[Array, "batch h2 w2 out j"]:
    """One convolution for every pair of samples."""
    outputs = []
    for j in range(kernel.shape[-1]):
        terms = [conv_nd(x[..., i], kernel[:, :, :, i, :, j], padding="VALID") for i in range(kernel.shape[3])]
        outputs.append(sum(terms))
    return jnp.stack(outputs, -1)


def cases(count: int, key: jax.Array) -> dict[str, Case]:
    """Both on so many samples of the group, of input and of output."""
    draw = generator(key)
    x = jnp.asarray(draw.standard_normal((BATCH, SIDE, SIDE, CHANNELS, count)), jnp.float32)
    kernel = jnp.asarray(draw.standard_normal((SIZE, SIZE, CHANNELS, count, CHANNELS, count)), jnp.float32)
    return {"packed": Case(group_conv, (x, kernel)), "term by term": Case(term_by_term, (x, kernel))}


paper.benchmark = Benchmark("Group convolution", size="samples J", sizes=(2, 4, 8, 12), cases=cases)
