"""What `quire bench naisr` times: displacements by stacked networks, and covariate by covariate, point by point."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from quire.common.bench import Benchmark, Case
from quire.common.fields.siren import Layers
from quire.naisr.deformation import displacement, displacements
from quire.naisr.model import NAISR
from quire.naisr.paper import paper

COVARIATES, HIDDEN, LAYERS, LATENT = 4, 64, 3, 64


def one_by_one(nets: Layers, p: Float[Array, "P 3"], c: Float[Array, " N"], z: Float[Array, " Z"]) -> Float[Array, "N P 3"]:
    """A loop over covariates, the code repeated at every point and multiplied there."""
    found = []
    for i in range(len(c)):
        net = jax.tree.map(lambda x, i=i: x[i], nets)
        found.append(jax.vmap(lambda point, net=net, i=i: displacement(net, point[None], c[i : i + 1], z)[0])(p))
    return jnp.stack(found)


def cases(n: int, key: jax.Array) -> dict[str, Case]:
    """Both on the same n points."""
    names = [f"c{i}" for i in range(COVARIATES)]
    nets = NAISR(3, names, HIDDEN, LAYERS, LATENT, rngs=nnx.Rngs(key)).nets.layers
    keys = jax.random.split(key, 3)
    arguments = (
        nets,
        jax.random.uniform(keys[0], (n, 3), minval=-1),
        jax.random.uniform(keys[1], (COVARIATES,), minval=-1),
        jax.random.normal(keys[2], (LATENT,)),
    )
    flops = 4.0 * n * COVARIATES * LAYERS * HIDDEN**2
    return {"stacked networks": Case(displacements, arguments, flops), "one by one": Case(one_by_one, arguments, flops)}


paper.benchmark = Benchmark(
    f"Displacements of {COVARIATES} covariates, width {HIDDEN}", size="points", sizes=(1024, 4096, 16_384), cases=cases
)
