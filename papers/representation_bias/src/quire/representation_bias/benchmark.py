"""What `quire bench representation_bias` times: R2 of all features by matrix products, and by a regression for every unit."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from quire.common.bench import Benchmark, Case
from quire.representation_bias.paper import paper
from quire.representation_bias.variance import unit_variance_explained

UNITS, FEATURES = 64, 4


def by_regressions(
    rep_fit: Float[Array, "n d"], feat_fit: Float[Array, "n m"], rep_test: Float[Array, "n d"], feat_test: Float[Array, "n m"]
) -> Float[Array, "m d"]:
    """The definition: a line is fitted for every feature and unit, and its residuals are squared."""

    def one(f, y, f_test, y_test):
        f, f_test, y, y_test = f - f.mean(), f_test - f.mean(), y - y.mean(), y_test - y.mean()
        slope = jnp.sum(f * y) / jnp.sum(f * f)
        return 1 - jnp.sum((y_test - slope * f_test) ** 2) / jnp.sum(y_test**2)

    by_unit = jax.vmap(one, (None, 1, None, 1))
    return jax.vmap(by_unit, (1, None, 1, None))(feat_fit, rep_fit, feat_test, rep_test)


def cases(n: int, key: jax.Array) -> dict[str, Case]:
    """Both for 4 features and 64 units; the work grows with the examples, slopes of 1."""
    f = jax.random.bernoulli(key, 0.5, (2, n, FEATURES)).astype(jnp.float32)
    rep = jax.random.normal(jax.random.fold_in(key, 1), (2, n, UNITS)) + f.sum(2, keepdims=True)
    args = rep[0], f[0], rep[1], f[1]
    return {"matrix products": Case(unit_variance_explained, args), "a regression a unit": Case(by_regressions, args)}


paper.benchmark = Benchmark("R2 of 4 features in 64 units", size="examples n", sizes=(4096, 16_384, 65_536), cases=cases)
