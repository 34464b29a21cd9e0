"""What `quire bench muvera` times: documents encoded by segment sums, and by comparing every token with every cluster."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from quire.common.bench import Benchmark, Case
from quire.common.random import generator
from quire.muvera.encoding import FDEConfig, FDEParams, document_fde, sample_fde_params
from quire.muvera.partition import gray_bits, gray_rank, simhash_bits
from quire.muvera.token_collections import unit

CONFIG = FDEConfig(64, repetitions=10, simhash_bits=6, proj_dim=8)
TOKENS = 96


def compared_with_every_cluster(params: FDEParams, tokens: Float[Array, "n m d"]) -> Float[Array, "n dim"]:
    """The encoding as the definition reads: means by one-hot products, stand-ins by Hamming distances to all B clusters."""
    k = params.directions.shape[-1]
    codes = gray_bits(jnp.arange(2**k), k)

    def of_document(tokens):
        def repetition(draws):
            directions, inner = draws
            bits, projected = simhash_bits(tokens, directions), tokens @ inner
            member = jax.nn.one_hot(gray_rank(bits), 2**k, axis=0)
            sizes = member.sum(1, keepdims=True)
            distance = jnp.sum(bits[None] != codes[:, None], axis=-1)
            return jnp.where(sizes > 0, member @ projected / jnp.maximum(sizes, 1), projected[distance.argmin(1)])

        return jax.lax.map(repetition, (params.directions, params.inner)).reshape(-1)

    return jax.lax.map(of_document, tokens)


def cases(n: int, key: jax.Array) -> dict[str, Case]:
    """n documents of `TOKENS` random unit tokens."""
    tokens = jnp.asarray(unit(generator(key).standard_normal((n, TOKENS, CONFIG.dim))), jnp.float32)
    params = sample_fde_params(key, CONFIG)
    return {
        "segment sums": Case(document_fde, (params, tokens), flops(n)),
        "every cluster": Case(compared_with_every_cluster, (params, tokens), flops(n)),
    }


def flops(n: int) -> float:
    """Operations of the projections, which both forms share: `2 n m d R (k + p)`."""
    return 2.0 * n * TOKENS * CONFIG.dim * CONFIG.repetitions * (CONFIG.simhash_bits + (CONFIG.proj_dim or 0))


benchmark = Benchmark(
    f"Document encoding, {TOKENS} tokens, {CONFIG.label}", size="documents n", sizes=(32, 64, 128, 256, 512, 1024), cases=cases
)
