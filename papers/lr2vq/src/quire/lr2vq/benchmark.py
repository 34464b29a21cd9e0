"""What `quire bench lr2vq` times: weights from a codebook as `(C D)[a]`, and as `C[a] D`, which forms a product for every row."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from quire.common.bench import Benchmark, Case
from quire.lr2vq.low_rank import restored
from quire.lr2vq.paper import paper

M, D, K = 16, 4, 256


def by_rows(codebook: Float[Array, "k d"], codes: Int[Array, " n"], basis: Float[Array, "d m"]) -> Float[Array, "n m"]:
    """Codewords first, then the map."""
    return codebook[codes] @ basis


def cases(n: int, key: jax.Array) -> dict[str, Case]:
    """Both with gradients by codebook and map: in them the sums over rows of one code are the cost. Slopes of 1."""
    codebook = jax.random.normal(key, (K, D))
    basis = jax.random.normal(jax.random.fold_in(key, 1), (D, M))
    codes = jax.random.randint(jax.random.fold_in(key, 2), (n,), 0, K)

    def gradients(function):
        return lambda c, b, a: jax.grad(lambda c, b: jnp.sum(jnp.tanh(function(c, a, b))), (0, 1))(c, b)

    args = codebook, basis, codes
    return {"map the codewords": Case(gradients(restored), args), "map the rows": Case(gradients(by_rows), args)}


paper.benchmark = Benchmark("Weights from a codebook, with gradients", size="rows n", sizes=(4096, 16_384, 65_536), cases=cases)
