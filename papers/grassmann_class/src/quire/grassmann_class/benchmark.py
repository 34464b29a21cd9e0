"""What `quire bench grassmann_class` times: a step of RSGD for all classes, by Gram matrices and by decompositions of d x k."""

import jax

from quire.common.bench import Benchmark, Case
from quire.common.manifolds.grassmann import (
    cholesky_retract,
    exp,
    exp_by_gram,
    project_tangent,
    qr_retract,
    random_subspaces,
)
from quire.grassmann_class.paper import paper

DIM, K, RATE = 256, 8, 0.1


def cases(n: int, key: jax.Array) -> dict[str, Case]:
    """Projection, geodesic and re-orthonormalisation of n subspaces."""
    bases = random_subspaces(key, (n, DIM, K))
    gradient = jax.random.normal(jax.random.fold_in(key, 1), bases.shape)

    def by_gram(bases, gradient):
        return cholesky_retract(exp_by_gram(bases, -project_tangent(bases, gradient), RATE))

    def by_decomposition(bases, gradient):
        return qr_retract(exp(bases, -project_tangent(bases, gradient), RATE))

    # products of d x k with k x k: two of the projection, the Gram matrix, S V, G V, the way back; Cholesky's Gram and solve
    flops = 2.0 * n * DIM * K * K * 8
    return {
        "Gram matrix, Cholesky": Case(by_gram, (bases, gradient), flops=flops),
        "SVD, QR": Case(by_decomposition, (bases, gradient), flops=flops),
    }


paper.benchmark = Benchmark(
    f"A step of Riemannian SGD, subspaces of {K} in {DIM} dimensions", size="classes n", sizes=(64, 128, 256, 512), cases=cases
)
