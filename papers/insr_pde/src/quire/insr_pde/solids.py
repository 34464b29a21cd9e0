"""Elastic solids held by a network, and by finite elements with as many floats: a stretch, a collision, a fall.

Both minimise the same energies and are measured with the same points. A network starts from the displacement 0, fitted.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from quire.common.checks import check_at_least
from quire.common.fields.siren import Layers, init_siren
from quire.common.pde.elastic_elements import MeshEquations, located, mesh_samples, nodal_displacement
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
    start, draw = at_rest(run, fit_key, inside), _draw(run, inside)

    def step(motion, load, n, key):
        displacement = displacement_of(run.omega)
        return run.problem.step(displacement, draw, motion, n, key, run.inner, load=load, extrapolate=run.extrapolate)

    return _path(step, start, march_key, _loads(run))


def move_elements(run: SolidRun, mesh: Mesh, starts: Sequence[Float[np.ndarray, "n d"] | None] = (None,)) -> Path:
    """All steps of an experiment on a mesh of the box, from the start that ends lowest.

    Args:
        run: the experiment.
        mesh: of the box.
        starts: None raises the load from 0 in steps; displacements, for a static problem, are solved at full load, in as many
            steps if another start needs them, so that one program serves all.

    Raises:
        ValueError: without a start.
    """
    check_at_least("number of starts", len(starts))
    total, sides = 2 * run.stand_for**run.problem.dim, 2 * run.stand_for ** (run.problem.dim - 1)
    samples = mesh_samples(mesh, total=total, side_total=sides if run.problem.constraint else 0)
    equations, raised = MeshEquations(mesh), _loads(run)
    at_once = np.ones_like(raised) if any(start is None for start in starts) else np.ones(1)

    def step(motion, load, n, key):
        return run.problem.step(
            nodal_displacement, lambda key: samples, motion, n, key, run.elements, load=load, equations=equations
        )

    solve = jax.jit(partial(_path, step, key=jax.random.key(0)))
    rest = np.zeros(mesh.nodes.shape)
    pairs = [(rest, raised) if start is None else (start, at_once) for start in starts]
    paths = [jax.device_get(solve(start, loads=loads)) for start, loads in pairs]
    return min(paths, key=lambda path: np.nan_to_num(path.infos.loss[-1], nan=np.inf))


def _loads(run: SolidRun) -> Float[np.ndarray, " steps"]:
    """Share of the offset in every step."""
    return np.minimum((np.arange(run.steps + run.hold) + 1) / run.steps, 1)


def _path(
    step: Callable[..., tuple[Motion, Info]], start: Any, key: jax.Array, loads: Float[np.ndarray | Array, " steps"]
) -> Path:
    """Steps `(motion, load, n, key)` from rest."""
    loads = jnp.asarray(loads, jax.tree.leaves(start)[0].dtype)

    def loaded(motion, n, key):
        return step(motion, loads[n], n, key)

    _, params, infos = march(loaded, Motion(start, start), key, len(loads), keep=lambda motion: motion.now)
    return Path(params, infos)


def box_of(run: SolidRun, cells: tuple[int, ...], pattern: Pattern = "alternating") -> Mesh:
    """A mesh of the box `[-1, 1]^dim`."""
    ones = jnp.ones(run.problem.dim)
    return box_mesh(cells, -ones, ones, pattern=pattern)


def squeezed(run: SolidRun, x: Float[np.ndarray | Array, "n d"]) -> Float[np.ndarray, "n d"]:
    """The affine stretch that meets the offset and keeps the area: what a person would try first.

    Raises:
        ValueError: if the problem has no offset, or one by which nothing of the length of 2 is left.
    """
    if run.problem.offset is None:
        raise ValueError("offset of the problem is None; a stretch needs one")
    along = run.problem.offset[0]
    if not along > -2:
        raise ValueError(f"offset of the problem is {along} along the first axis; it must be above -2")
    return np.stack([along * (x[:, 0] + 1) / 2, x[:, 1] * (1 / (1 + along / 2) - 1)], axis=1)


def measure(run: SolidRun, x: Float[np.ndarray, "n d"], mesh: Mesh | None = None) -> Callable[[Any], tuple[Array, Array]]:
    """How displacements of a static problem are measured, those of networks and of meshes by the same points.

    Args:
        run: the experiment.
        x: material points to follow.
        mesh: of the nodal values; without it the parameters are a network's.

    Returns:
        `params -> (energy, deformed positions of x)`, one compiled program.
    """
    samples = box_samples(jax.random.key(0), run.problem.dim, MEASURE, rule="gauss", stand_for=run.stand_for)
    sets = [points for points in (samples.elastic, samples.left, samples.right) if points is not None]
    parts = [*(points.at["x"] for points in sets), x]
    displacement = displacement_of(run.omega) if mesh is None else nodal_displacement

    @jax.jit
    def both(params, parts):
        at = [{"x": part} for part in parts] if mesh is None else _located(mesh, parts)
        elastic, left, right = (points._replace(at=one) for points, one in zip(sets, at[:3], strict=True))
        objective = run.problem.objective(displacement, Samples(elastic, elastic, left, right))
        return objective(params), deformed(displacement, params, at[3])

    return lambda params: both(params, parts)


def _located(mesh: Mesh, parts: Sequence[Array]) -> list[dict[str, Any]]:
    """Several sets of points, found on the mesh in one go."""
    found = located(mesh, jnp.concatenate(parts))
    ends = np.cumsum([len(part) for part in parts])[:-1]
    return [dict(zip(found, one, strict=True)) for one in zip(*[jnp.split(value, ends) for value in found.values()], strict=True)]


def grid_points(dim: int, count: int) -> Float[np.ndarray, "n d"]:
    """Points of a regular grid over the box, its boundary included, the last axis fastest."""
    axis = np.linspace(-1.0, 1.0, count)
    return np.stack(np.meshgrid(*[axis] * dim, indexing="ij"), axis=-1).reshape(-1, dim)


def positions(run: SolidRun, path: Any, x: Float[np.ndarray, "n d"], mesh: Mesh | None = None) -> Float[np.ndarray, "steps n d"]:
    """Deformed positions of material points.

    Args:
        run: the experiment.
        path: parameters of a network, or values at the nodes of a mesh, with a leading axis of steps.
        x: the points.
        mesh: see `path`.
    """
    return np.asarray(_positions(run.omega, path, x, mesh))


@partial(jax.jit, static_argnums=0)
def _positions(omega: float, path: Any, x: Float[Array, "n d"], mesh: Mesh | None) -> Float[Array, "steps n d"]:
    displacement, at = (displacement_of(omega), {"x": x}) if mesh is None else (nodal_displacement, located(mesh, x))
    return jax.vmap(lambda params: deformed(displacement, params, at))(path)


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
