"""What `quire bench unsupervised_pretraining` times: posterior means through r factors, and through the covariance of x."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from quire.common.bench import Benchmark, Case
from quire.unsupervised_pretraining.factor_model import FactorModel
from quire.unsupervised_pretraining.paper import paper

N, R = 256, 8


def by_covariance(b: Float[Array, "d r"], x: Float[Array, "n d"]) -> Float[Array, "n r"]:
    """`B^T (B B^T + I)^-1 x`, a system of d equations."""
    return jnp.linalg.solve(FactorModel(b).covariance, x.T).T @ b


def cases(d: int, key: jax.Array) -> dict[str, Case]:
    """Both for the same inputs: `(I + B^T B)^-1 B^T x` costs d r a row, slope 1; the naive form d^3 for a model, slope 2 to 3."""
    b = jax.random.normal(key, (d, R))
    x = jax.random.normal(jax.random.fold_in(key, 1), (N, d))
    through_factors = Case(lambda b, x: FactorModel(b).features(x), (b, x))
    return {"through the factors": through_factors, "through the covariance": Case(by_covariance, (b, x))}


paper.benchmark = Benchmark("Posterior means of 8 factors", size="dimension d", sizes=(128, 256, 512, 1024, 2048), cases=cases)
