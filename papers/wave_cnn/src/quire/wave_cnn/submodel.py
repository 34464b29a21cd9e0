"""The zone of interest on its own: finite elements inside, displacements on its rim given, from the truth or from a network."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Real, ScalarLike

from quire.common.arrays import AnyArray
from quire.common.pde.newmark import Boundary, Motion
from quire.wave_cnn.wave_fe import WaveFE


def submodel_solve(
    fe: WaveFE,
    boundary_history: Real[AnyArray, "times b"],
    dt: ScalarLike,
    u0: Real[AnyArray, " n"] | None = None,
    v0: Real[AnyArray, " n"] | None = None,
    a0: Real[AnyArray, " n"] | None = None,
) -> Motion:
    """The motion of a zone whose rim moves as given.

    Average acceleration is unforgiving: where the given history is rough in time, accelerations at the rim oscillate.

    Args:
        fe: the zone, in its own coordinates; its edge condition is not used.
        boundary_history: displacement of its `edge_nodes()` at every time, the start included.
        dt: length of a step.
        u0, v0: at the start; at rest by default.
        a0: acceleration at the start. By default that of the zone's free nodes while the rim is not accelerated.

    Returns:
        Displacements and velocities of all nodes, `[times, n]`.

    Raises:
        ValueError: if the history has not one column for each node of the rim, and as `newmark`.

    >>> zone = WaveFE(3, 3)
    >>> submodel_solve(zone, np.zeros((5, 12)), 0.1).displacement.shape
    (5, 16)
    """
    rim, count = fe.edge_nodes(), fe.shape[0] * fe.shape[1]
    if np.ndim(boundary_history) != 2 or np.shape(boundary_history)[1] != rim.size or len(boundary_history) < 2:
        raise ValueError(f"boundary_history has shape {np.shape(boundary_history)}; it needs [at least 2 times, {rim.size}]")
    dtype = jnp.result_type(float)
    rest = jnp.zeros(count, dtype)
    u0, v0 = (rest if x is None else x for x in (u0, v0))
    return fe.newmark(u0, v0, dt, len(boundary_history) - 1, Boundary(rim, boundary_history), a0=a0)
