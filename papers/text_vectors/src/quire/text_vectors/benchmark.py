"""What `quire bench text_vectors` times: Hamming distances of packed codes, and of bits one by one."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, UInt8

from quire.common.bench import Benchmark, Case
from quire.common.random import generator
from quire.common.retrieval.hamming import hamming, pack_rows
from quire.text_vectors.paper import paper

BITS, QUERIES = 128, 64


def unpacked(queries: UInt8[Array, "q k"], codes: UInt8[Array, "n k"]) -> Int[Array, "q n"]:
    """Every bit compared with every bit."""
    return jnp.sum(queries[:, None] != codes[None], axis=-1, dtype=jnp.int32)


def cases(n: int, key: jax.Array) -> dict[str, Case]:
    """Both on the same codes."""
    bits = generator(key).integers(0, 2, (n + QUERIES, BITS)).astype("uint8")
    packed = pack_rows(bits)
    bare = jnp.asarray(bits)
    return {
        "packed": Case(hamming, (packed[:QUERIES], packed[QUERIES:])),
        "bit by bit": Case(unpacked, (bare[:QUERIES], bare[QUERIES:])),
    }


paper.benchmark = Benchmark(
    f"Hamming distances of {QUERIES} queries, {BITS} bits", size="documents n", sizes=(2048, 4096, 8192, 16384), cases=cases
)
