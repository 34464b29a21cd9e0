"""What `quire bench insr_pde` times: normal equations and gradient of the Poisson residual, point by point or naively."""

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from quire.common.bench import Benchmark, Case
from quire.common.fields.siren import Layers, init_siren, siren
from quire.common.pde.fluid import Points, pressure_objective, taylor_green
from quire.common.pde.objective import Block, Objective
from quire.common.pde.samplers import sides, uniform
from quire.insr_pde.paper import paper

HIDDEN, HIDDEN_LAYERS = 12, 2
LARGEST_BATCH_JACOBIAN = 256


def poisson(key: jax.Array, n: int) -> tuple[Layers, Objective]:
    """A random pressure network of 361 floats and its Poisson problem on n points."""
    layers = init_siren(key, 2, 1, HIDDEN, HIDDEN_LAYERS)
    low, high = -jnp.ones(2), jnp.ones(2)
    near_x, near_y = (sides(key, max(n // 100, 2), axis, low, high) for axis in (0, 1))
    return layers, pressure_objective(siren, taylor_green, Points(uniform(key, n, low, high), (near_x, near_y)))


def by_hessian(objective: Objective) -> Objective:
    """The same residual with its Laplacian read off the whole Hessian, reverse mode over reverse mode."""
    points, sources = objective.blocks["main"].points

    def residual(params, point):
        x, source = point
        return source - jnp.trace(jax.jacrev(jax.jacrev(lambda y: siren(params, y)[0]))(x)).reshape(1)

    return Objective(objective.blocks | {"main": Block(residual, (points, sources))})


def by_batch(objective: Objective, layers: Layers) -> tuple[jax.Array, jax.Array]:
    """Normal equations with the Jacobian of all residuals as one function of the parameters."""
    theta, unravel = ravel_pytree(layers)

    def residuals(theta):
        return jnp.concatenate([block.residuals(unravel(theta)).reshape(-1) for block in objective.blocks.values()])

    jacobian = jax.jacrev(residuals)(theta)
    return jacobian.T @ jacobian, jacobian.T @ residuals(theta)


def cases(n: int, key: jax.Array) -> dict[str, Case]:
    """Both solvers' hot operation on n points; the Jacobian of the batch only while it fits."""
    layers, objective = poisson(key, n)
    naive = by_hessian(objective)
    timed = {
        "normal equations": Case(objective.normal_equations, (layers,)),
        "normal equations, Hessian": Case(naive.normal_equations, (layers,)),
        "value and gradient": Case(jax.value_and_grad(objective), (layers,)),
        "value and gradient, Hessian": Case(jax.value_and_grad(naive), (layers,)),
    }
    if n <= LARGEST_BATCH_JACOBIAN:
        timed["normal equations, Jacobian of the batch"] = Case(lambda layers: by_batch(objective, layers), (layers,))
    return timed


paper.benchmark = Benchmark(
    "Poisson residual of a sine network", size="points", sizes=(128, 256, 512, 1024, 2048, 4096), cases=cases
)
