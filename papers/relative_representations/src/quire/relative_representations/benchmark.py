"""What `quire bench relative_representations` times: codes by one product or pair by pair, CKA by features or Gram matrices."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from quire.common.bench import Benchmark, Case
from quire.common.metrics.similarity import linear_cka
from quire.common.random import generator
from quire.relative_representations.paper import paper
from quire.relative_representations.projection import relative_projection

DIM, ANCHORS = 64, 300


def pair_by_pair(x: Float[Array, "n dim"], anchors: Float[Array, "m dim"]) -> Float[Array, "n m"]:
    """The cosine as it is written, of every sample with every anchor."""

    def cosine(a, b):
        return jnp.sum(a * b) / (jnp.sqrt(jnp.sum(a**2)) * jnp.sqrt(jnp.sum(b**2)))

    return jax.lax.map(lambda a: jax.vmap(lambda b: cosine(a, b))(anchors), x)


def gram_cka(x: Float[Array, "n p"], y: Float[Array, "n q"]) -> Float[Array, ""]:
    """Linear CKA from `n x n` matrices, as its definition has it."""

    def centred(z):
        gram = z @ z.T
        gram = gram - gram.mean(0, keepdims=True)
        return gram - gram.mean(1, keepdims=True)

    a, b = centred(x), centred(y)
    return jnp.sum(a * b) / jnp.sqrt(jnp.sum(a * a) * jnp.sum(b * b))


def cases(n: int, key: jax.Array) -> dict[str, Case]:
    """All on the same n random latents; the second space of CKA is another draw."""
    draw = generator(key)
    x, y, anchors = (jnp.asarray(draw.standard_normal((rows, DIM)), jnp.float32) for rows in (n, n, ANCHORS))
    product, square = 2.0 * n * DIM * ANCHORS, 2.0 * n * DIM**2
    return {
        "codes, one product": Case(relative_projection, (x, anchors), product),
        "codes, pair by pair": Case(pair_by_pair, (x, anchors), 3 * product),
        "CKA, features": Case(linear_cka, (x, y), 3 * square),
        "CKA, Gram matrices": Case(gram_cka, (x, y), 4.0 * n * n * DIM),
    }


paper.benchmark = Benchmark(
    f"Codes of n latents of {DIM} dimensions, {ANCHORS} anchors; CKA of two spaces",
    size="samples n",
    sizes=(500, 1000, 2000, 4000),
    cases=cases,
)
