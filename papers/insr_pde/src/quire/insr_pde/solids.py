"""Elastic solids held by a network, and by finite elements with as many floats: a stretch, a collision, a fall.

Both minimise the same energies and are measured with the same points. A network starts from the displacement 0, fitted.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from quire.common.fields.siren import Layers, init_siren
from quire.common.pde.elastic_elements import SparseLevenbergMarquardt, located, mesh_samples, nodal_displacement
from quire.common.pde.elastodynamics import Displacement, Motion, Samples, deformed, network_displacement
from quire.common.pde.finite_elements import Mesh, Pattern, box_mesh
from quire.common.pde.minimise import Info, minimise
from quire.common.pde.objective import Block, Objective
from quire.common.pde.solid_samples import body_samples, box_samples
from quire.common.pde.stepping import march
from quire.insr_pde.solids_config import SolidRun

MEASURE = 80
"""Gauss points along an axis with which energies are compared."""


class Path(NamedTuple):
    """A solid step by step.

    Attributes:
        params: of the displacement, leading axis `[steps + 1]`, at rest first.
        infos: how the steps went, leading axis `[steps]`.
    """

    params: Any
    infos: Info


def displacement_of(omega: float) -> Displacement:
    """The displacement that a sine network of a frequency holds."""

    return partial(network_displacement, omega=omega)


def at_rest(run: SolidRun, key: jax.Array, inside: Float[Array, "n d"] | None = None) -> Layers:
    """A network fitted to the displacement 0.

    Args:
        run: which network and solvers.
        key: for weights and points.
        inside: points of a body; without them the solid is the box.
    """
    dim = run.problem.dim
    net_key, solve_key = jax.random.split(key)
    displacement = displacement_of(run.omega)

    def draw(key):
        at = _draw(run, inside)(key).mass.at if inside is not None or run.rule == "random" else _spread(run, key)
        return Objective({"main": Block(lambda p, at: displacement(p, at)[0], at)})

    layers = init_siren(net_key, dim, dim, run.hidden, run.num_hidden_layers, omega=run.omega)
    return minimise(draw, layers, solve_key, run.fit)[0]


def move(run: SolidRun, key: jax.Array, inside: Float[Array, "n d"] | None = None) -> Path:
    """All steps of an experiment on a network; traceable, and float64 where JAX is.

    A static problem raises its load in equal steps.

    Args:
        run: the experiment.
        key: for weights and points.
        inside: points of a body; without them the solid is the box.
    """
    fit_key, march_key = jax.random.split(key)
    start = at_rest(run, fit_key, inside)
    displacement, draw = displacement_of(run.omega), _draw(run, inside)

    def step(motion, n, key):
        load = jnp.minimum((n + 1) / run.steps, 1)
        return run.problem.step(displacement, draw, motion, n, key, run.inner, load=load, extrapolate=run.extrapolate)

    steps = run.steps + run.hold
    _, params, infos = march(step, Motion(start, start), march_key, steps, keep=lambda motion: motion.now)
    return Path(params, infos)


def move_elements(run: SolidRun, mesh: Mesh, starts: Sequence[Float[Array, "n d"] | None] = (None,)) -> Path:
    """All steps of an experiment on a mesh of the box, from the start that ends lowest.

    Args:
        run: the experiment.
        mesh: of the box.
        starts: None raises the load from 0 in steps; displacements, for a static problem, are solved at full load.
    """
    total, sides = 2 * run.stand_for**run.problem.dim, 2 * run.stand_for ** (run.problem.dim - 1)
    samples = mesh_samples(mesh, total=total, side_total=sides if run.problem.constraint else 0)
    solve = SparseLevenbergMarquardt(
        lambda motion, n, load: run.problem.objective(nodal_displacement, samples, motion, n, load=load), run.elements
    )

    def path_from(start):
        now = before = jnp.zeros_like(mesh.nodes) if start is None else start
        kept, infos = [now], []
        for n in range(run.steps + run.hold if start is None else 1):
            load = 1.0 if start is not None else min((n + 1) / run.steps, 1)
            new, info = solve(now, Motion(now, before), n, load)
            now, before = new, now
            kept.append(now)
            infos.append(info)
        return Path(jnp.stack(kept), jax.tree.map(lambda *leaves: jnp.stack(leaves), *infos))

    return min((path_from(start) for start in starts), key=lambda path: float(path.infos.loss[-1]))


def box_of(run: SolidRun, cells: tuple[int, ...], pattern: Pattern = "alternating") -> Mesh:
    """A mesh of the box `[-1, 1]^dim`."""
    ones = jnp.ones(run.problem.dim)
    return box_mesh(cells, -ones, ones, pattern=pattern)


def squeezed(run: SolidRun, x: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """The affine stretch that meets the offset and keeps the area: what a person would try first.

    Raises:
        ValueError: if the problem has no offset.
    """
    if run.problem.offset is None:
        raise ValueError("offset of the problem is None; a stretch needs one")
    along = run.problem.offset[0]
    return jnp.stack([along * (x[:, 0] + 1) / 2, x[:, 1] * (1 / (1 + along / 2) - 1)], axis=1)


def static_energy(run: SolidRun, displacement: Displacement, params: Any, samples: Samples) -> float:
    """Energy of a static problem, with the points given."""
    return float(jax.jit(lambda params: run.problem.objective(displacement, samples)(params))(params))


def measuring_points(run: SolidRun, mesh: Mesh | None = None) -> Samples:
    """Gauss points with which every method is measured; on a mesh they know their elements."""
    samples = box_samples(jax.random.key(0), run.problem.dim, MEASURE, rule="gauss", stand_for=run.stand_for)
    if mesh is None:
        return samples
    inside = samples.elastic._replace(at=located(mesh, samples.elastic.at["x"]))
    left, right = (side and side._replace(at=located(mesh, side.at["x"])) for side in (samples.left, samples.right))
    return Samples(inside, inside, left, right)


def grid_points(dim: int, count: int) -> Float[Array, "n d"]:
    """Points of a regular grid over the box, its boundary included, the last axis fastest."""
    axis = jnp.linspace(-1.0, 1.0, count)
    return jnp.stack(jnp.meshgrid(*[axis] * dim, indexing="ij"), axis=-1).reshape(-1, dim)


def positions(run: SolidRun, params: Any, x: Float[Array, "n d"], mesh: Mesh | None = None) -> Float[np.ndarray, "n d"]:
    """Deformed positions of material points, of a network or on a mesh."""
    return np.asarray(_positions(run.omega, params, x, mesh))


@partial(jax.jit, static_argnums=0)
def _positions(omega: float, params: Any, x: Float[Array, "n d"], mesh: Mesh | None) -> Float[Array, "n d"]:
    if mesh is None:
        return deformed(displacement_of(omega), params, {"x": x})
    return deformed(nodal_displacement, params, located(mesh, x))


def _draw(run: SolidRun, inside: Float[Array, "n d"] | None):
    dim = run.problem.dim
    if inside is not None:
        return partial(body_samples, inside=inside, count=run.resolution**dim, total=2.0 * run.stand_for**dim)
    return partial(
        box_samples,
        dim=dim,
        resolution=run.resolution,
        rule=run.rule,
        stand_for=run.stand_for,
        sides=run.problem.constraint is not None,
    )


def _spread(run: SolidRun, key: jax.Array) -> dict[str, Array]:
    """Points for the fit: new ones in every step, whatever the rule of the time steps."""
    return box_samples(key, run.problem.dim, run.resolution, rule="stratified", sides=False).mass.at
