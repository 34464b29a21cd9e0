"""What `quire bench timesnet` times: a block and its gradient on periods that are numbers of the computation, beside convolutions
of the folded maps, whose program belongs to one tuple of periods, merged and one kernel after the other."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array

from quire.common.bench import Benchmark, Case
from quire.common.layers.timesnet import TimesBlock, fft_periods, fold, inception, times_block_by_folding, unfold
from quire.timesnet.paper import paper

BATCH, DIM, HIDDEN, TOP_K, NUM_KERNELS = 16, 16, 16, 3, 3


def kernel_by_kernel(block: TimesBlock, x: Array, periods: tuple[int, ...]) -> Array:
    """The block as published code has it: fold, one convolution for each kernel, unfold, for each period."""
    up, down = (([k[...] for k in layer.kernels], [b[...] for b in layer.biases]) for layer in (block.up, block.down))
    weights = jax.nn.softmax(fft_periods(x, block.top_k)[2], axis=1)
    branches = []
    for period in periods:
        hidden = jax.nn.gelu(inception(fold(x, period), *up), approximate=False)
        branches.append(unfold(inception(hidden, *down), x.shape[1]))
    return x + jnp.einsum("kbtd,bk->btd", jnp.stack(branches), weights)


def cases(length: int, key: jax.Array) -> dict[str, Case]:
    """Gradients of one block on 16 series of `length` steps."""
    block = TimesBlock(DIM, HIDDEN, top_k=TOP_K, num_kernels=NUM_KERNELS, rngs=nnx.Rngs(key))
    graph, params = nnx.split(block)
    x = jax.random.normal(key, (BATCH, length, DIM))
    periods = tuple(int(p) for p in fft_periods(x, TOP_K)[1])

    def gradient(forward):
        return jax.grad(lambda params, x: jnp.mean(forward(nnx.merge(graph, params), x) ** 2), argnums=(0, 1))

    forms = {
        "any periods, no folding": lambda block, x: block(x),
        "fixed periods, merged kernel": lambda block, x: times_block_by_folding(block, x, periods),
        "fixed periods, kernel by kernel": lambda block, x: kernel_by_kernel(block, x, periods),
    }
    return {name: Case(gradient(forward), (params, x)) for name, forward in forms.items()}


paper.benchmark = Benchmark(
    "One TimesNet block and its gradient", size="steps of the series", sizes=(48, 96, 192, 384, 768), cases=cases
)
