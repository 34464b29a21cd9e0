"""What `quire bench dynamic_connectome` times: a sweep of the factorisation, with and without Khatri-Rao products in memory."""

import math
from functools import reduce

import jax
import jax.numpy as jnp

from quire.common.bench import Benchmark, Case
from quire.common.random import generator
from quire.common.tensors.multilinear import khatri_rao, unfold
from quire.common.tensors.nonnegative import hals_sweep
from quire.dynamic_connectome.paper import paper

FRAMES, ANIMALS, RANK = 400, 7, 8


def unfolded_sweep(x, factors):
    """The same sweep by its textbook form: unfoldings and Khatri-Rao products, one column after the other."""
    factors = list(factors)
    for mode, factor in enumerate(factors):
        others = [f for m, f in enumerate(factors) if m != mode]
        product, gram = unfold(x, mode) @ khatri_rao(others), reduce(jnp.multiply, [f.T @ f for f in others])
        for r in range(factor.shape[1]):
            step = (product[:, r] - factor @ gram[:, r]) / jnp.maximum(gram[r, r], 1e-12)
            factor = factor.at[:, r].set(jnp.maximum(factor[:, r] + step, 0))
        factors[mode] = factor
    return factors


def cases(n: int, key: jax.Array) -> dict[str, Case]:
    """Both on n pairs of neurons, in time and in the number of animals as in the recordings of seven worms; slopes of 1."""
    draw = generator(key)
    shape = (FRAMES, ANIMALS, n)
    x = jnp.asarray(draw.uniform(size=shape), jnp.float32)
    factors = tuple(jnp.asarray(draw.uniform(size=(size, RANK)), jnp.float32) for size in shape)
    flops = 3 * 2.0 * RANK * math.prod(shape)
    return {"einsum": Case(hals_sweep, (x, factors), flops), "unfolded": Case(unfolded_sweep, (x, factors), flops)}


paper.benchmark = Benchmark(
    f"One HALS sweep, {FRAMES} frames, {ANIMALS} animals, R = {RANK}", size="pairs P", sizes=(190, 780, 3160, 9870), cases=cases
)
