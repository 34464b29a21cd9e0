"""What `quire bench jlcm` times: a linear map from codes, by selections, by a gather, and from dense weights."""

import jax
import jax.numpy as jnp
import numpy as np

from quire.common.bench import Benchmark, Case
from quire.common.random import generator
from quire.jlcm.codebook_tensor import select
from quire.jlcm.paper import paper

SIZE, BATCH = 4, 8


def by_selections(codes, codebooks, x):
    """A linear map from codes: the chain of selections that `CodebookTensor.dequantize` is."""
    return x @ select(codes, codebooks).T


def by_gather(codes, codebooks, x):
    """The same by a look-up of every code."""
    return x @ jnp.take_along_axis(codebooks, codes, axis=1).T


def dense(weights, x):
    """The map in float32."""
    return x @ weights.T


def cases(n: int, key: jax.Array) -> dict[str, Case]:
    """A map of n x n weights of two bits, one codebook, `BATCH` inputs: slopes of 2, as for the dense map."""
    rng = generator(key)
    codes = rng.integers(0, SIZE, (n, n)).astype(np.int32)
    books = np.broadcast_to(np.sort(rng.standard_normal(SIZE)).astype(np.float32), (n, SIZE))
    x = rng.standard_normal((BATCH, n)).astype(np.float32)
    codes, books, x = map(jnp.asarray, (codes, books, x))
    weights = jnp.take_along_axis(books, codes, axis=1)
    return {
        "selections": Case(by_selections, (codes, books, x)),
        "gather": Case(by_gather, (codes, books, x)),
        "dense float32": Case(dense, (weights, x)),
    }


paper.benchmark = Benchmark(
    "A linear map from codes of two bits", size="inputs and outputs n", sizes=(256, 512, 1024, 2048), cases=cases
)
