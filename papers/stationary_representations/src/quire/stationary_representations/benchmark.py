"""What `quire bench stationary_representations` times: logits of the simplex by their structure, and by the product with W."""

import jax
import jax.numpy as jnp
import numpy as np

from quire.common.bench import Benchmark, Case
from quire.common.random import generator
from quire.stationary_representations.paper import paper
from quire.stationary_representations.simplex import simplex, structured_simplex_logits

BATCH = 128


def cases(num_classes: int, key: jax.Array) -> dict[str, Case]:
    """Both on the same features: a few operations a logit, against 2 (K - 1) of them."""
    z = jnp.asarray(generator(key).standard_normal((BATCH, num_classes - 1)), jnp.float32)
    rows = jnp.asarray(simplex(num_classes), np.float32)
    return {
        "structured": Case(lambda z: structured_simplex_logits(z, num_classes), (z,), 4.0 * BATCH * num_classes),
        "product": Case(lambda z, rows: z @ rows.T, (z, rows), 2.0 * BATCH * num_classes * (num_classes - 1)),
    }


paper.benchmark = Benchmark(
    f"Logits of the fixed classifier, batches of {BATCH}", size="classes K", sizes=(256, 512, 1024, 2048, 4096), cases=cases
)
