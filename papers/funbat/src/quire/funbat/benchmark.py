"""What `quire bench funbat` times: the posterior of a process by filter and smoother, and by dense regression."""

import jax
import jax.numpy as jnp
import numpy as np

from quire.common.bench import Benchmark, Case
from quire.funbat.exactness import series
from quire.funbat.gaussian_process import chain_posterior, gp_posterior
from quire.funbat.paper import paper

LARGEST_DENSE = 2000


def scan(t, y, noise):
    """One state after the other."""
    return chain_posterior(t, y, noise, jnp.ones(t.shape, bool), 1.0, 0.3, nu=1.5)


def associative_scan(t, y, noise):
    """In logarithmic depth, with more operations: for wide machines."""
    return chain_posterior(t, y, noise, jnp.ones(t.shape, bool), 1.0, 0.3, nu=1.5, parallel=True)


def dense(t, y, noise):
    """All observations at once."""
    return gp_posterior(t, y, noise, t, nu=1.5, variance=1.0, lengthscale=0.3)


def cases(n: int, key: jax.Array) -> dict[str, Case]:
    """All on the same series; slopes of 1 for the scans, up to 3 for dense regression, which is left out where it is large."""
    args = series(n, 1, key, np.float32)
    found = {"scan": Case(scan, args), "associative scan": Case(associative_scan, args)}
    return found | ({"dense": Case(dense, args)} if n <= LARGEST_DENSE else {})


paper.benchmark = Benchmark(
    "Posterior of a Matern 3/2 process", size="coordinates D", sizes=(500, 1000, 2000, 8000, 32_000), cases=cases
)
