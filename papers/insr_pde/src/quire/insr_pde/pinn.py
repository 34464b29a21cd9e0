"""The physics-informed network that the paper compares with: one sine network over space and time, all times at once."""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float

from quire.common.checks import check_at_least
from quire.common.fields.operators import value_and_jacobian
from quire.common.pde.advection import Network
from quire.common.pde.objective import Block, Objective


def pinn_objective(
    field: Network,
    inside: Float[Array, "n 2"],
    start: Float[Array, "m 1"],
    ends: Float[Array, "b 2"],
    initial: Callable[[Array], Array],
    *,
    velocity: float,
    initial_weight: float = 100.0,
) -> Objective:
    """`main = mean (u_t + a u_x)^2`, `initial = w mean (u(x, 0) - u_0(x))^2`, `boundary = mean u^2` at both ends.

    Args:
        field: network of `(x, t)`.
        inside: points of space and time.
        start: points of space at time 0.
        ends: points of both ends and all times.
        initial: `u_0`.
        velocity: a.
        initial_weight: w.

    Raises:
        ValueError: without a point in one of the three sets.
    """
    for name, points in (("inside", inside), ("start", start), ("ends", ends)):
        check_at_least(f"number of points of {name}", len(points))

    def transport(params, point):
        _, slope = value_and_jacobian(lambda y: field(params, y), point)
        return slope[:, 1] + velocity * slope[:, 0]

    def miss(params, point):
        x, value = point
        return field(params, jnp.append(x, 0)) - value

    blocks = {
        "main": Block(transport, inside),
        "initial": Block(miss, (start, initial(start)), initial_weight / len(start)),
        "boundary": Block(field, ends),
    }
    return Objective(blocks)
