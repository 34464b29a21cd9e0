"""What `quire bench equiangular_basis` times: the gradient of the hinge by slices, and from the whole Gram matrix."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from quire.common.bench import Benchmark, Case
from quire.equiangular_basis.generate import random_unit_vectors
from quire.equiangular_basis.hinge import hinge
from quire.equiangular_basis.paper import paper

DIM, SLICE, THRESHOLD = 100, 128, 0.1


def sliced(vectors: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """The gradient in closed form; no array is larger than a slice of the Gram matrix."""
    return hinge(vectors, THRESHOLD, slice_size=SLICE).gradient


def differentiated(vectors: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """The loss as it is written, differentiated."""

    def loss(vectors):
        cosines = jnp.abs(vectors @ vectors.T) - jnp.eye(len(vectors))
        return jnp.sum(jax.nn.relu(cosines - THRESHOLD))

    return jax.grad(loss)(vectors)


def cases(n: int, key: jax.Array) -> dict[str, Case]:
    """Both on the same n random unit vectors; each needs at least two products with the Gram matrix."""
    vectors = random_unit_vectors(key, n, DIM)
    flops = 4.0 * n * n * DIM
    return {"sliced": Case(sliced, (vectors,), flops), "differentiated": Case(differentiated, (vectors,), flops)}


paper.benchmark = Benchmark(
    f"Gradient of the hinge, d = {DIM}, slices of {SLICE}", size="vectors n", sizes=(512, 1024, 2048, 4096), cases=cases
)
