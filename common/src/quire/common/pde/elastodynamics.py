"""Elastic solids in time: implicit Euler as a minimisation, for any discretisation of the displacement.

With deformed positions `q = x + d(x)`, deformation gradient `F = I + grad d` and its singular values `s_k`, velocities
`v = (q - q_n) / dt` and `v_n = (q_n - q_(n-1)) / dt`, a time step minimises the sum over points, each with its weight, of

    arap         r_arap sum_k (s_k - 1)^2
    volume       r_volume (prod_k s_k - 1)^2
    kinematics   r_kinematic |v - v_n|^2
    external     -dt v . f, in the first steps
    constraint_left, constraint_right   r_constraint |d|^2 and r_constraint |d - offset|^2, at points of two sides
    collision    contact energy, see `quire.common.pde.contact`.

The sums are sums, not means: the number of points, or their weights, set the balance between the inside and the sides.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from quire.common.fields.operators import value_and_jacobian
from quire.common.fields.siren import Layers, siren
from quire.common.pde.contact import Obstacle, Sphere
from quire.common.pde.elasticity import arap_residual, volume_residual
from quire.common.pde.minimise import Info, Solver
from quire.common.pde.normal_equations import DENSE, Equations
from quire.common.pde.objective import Block, Objective, Params
from quire.common.pde.stepping import advance, warm_starts

Point = dict[str, Array]
"""A material point: its position `x` at rest `[d]`, and what a discretisation needs to know about it."""

Displacement = Callable[[Params, Point], tuple[Array, Array]]
"""`(params, point) -> (d [dim], grad d [dim, dim])`."""


class Points(NamedTuple):
    """Points with weights.

    Attributes:
        at: pytree of arrays with a leading axis `[n]`, `x` among them.
        weight: of each in a sum over points; 1 by default.
    """

    at: dict[str, Any]
    weight: Float[Array, "*n"] | float = 1.0


class Samples(NamedTuple):
    """Where the energies are summed.

    Attributes:
        elastic: for the energies of F.
        mass: for kinematics, external force and contact.
        left, right: of the two fixed sides; None where a side is free.
    """

    elastic: Points
    mass: Points
    left: Points | None = None
    right: Points | None = None


Draw = Callable[[jax.Array], Samples]
"""`key -> samples`."""


def network_displacement(layers: Layers, point: Point, *, omega: float = 30.0) -> tuple[Float[Array, " d"], Float[Array, "d d"]]:
    """The displacement that a sine network of a frequency holds."""
    return value_and_jacobian(partial(siren, layers, omega=omega), point["x"])


class Motion(NamedTuple):
    """State of a solid between time steps: the displacement now and one step before (equal when at rest)."""

    now: Params
    before: Params


@dataclass(frozen=True)
class Elastodynamics:
    """An elastic solid; terms whose ratio is None are left out, `kinematic=None` makes the problem static.

    Attributes:
        dim: 2 or 3.
        arap, volume, kinematic, constraint: the ratios r.
        dt: length of a time step.
        force: external force `[dim]`, and `force_steps`, the number of time steps in which it acts.
        offset: displacement of the right side `[dim]`.
        obstacle: what the solid runs into.
        signed: charge for mirrored elements; the authors do not.
    """

    dim: int
    arap: float | None = 1.0
    volume: float | None = 1e3
    kinematic: float | None = None
    constraint: float | None = None
    dt: float = 0.1
    force: tuple[float, ...] | None = None
    force_steps: int = 0
    offset: tuple[float, ...] | None = None
    obstacle: Obstacle | None = None
    signed: bool = False

    def __post_init__(self):
        if self.dim not in (2, 3):
            raise ValueError(f"dim is {self.dim}; it must be 2 or 3")
        if not self.dt > 0:
            raise ValueError(f"dt is {self.dt}; it must be positive")
        for name in ("arap", "volume", "kinematic", "constraint"):
            ratio = getattr(self, name)
            if ratio is not None and not ratio > 0:
                raise ValueError(f"{name} is {ratio}; it must be positive, or None to leave the term out")
        if self.force_steps < 0:
            raise ValueError(f"force_steps is {self.force_steps}; it must be at least 0")
        centre = self.obstacle.centre if isinstance(self.obstacle, Sphere) else None
        for name, vector in (("force", self.force), ("offset", self.offset), ("obstacle.centre", centre)):
            if vector is not None and len(vector) != self.dim:
                raise ValueError(f"{name} has {len(vector)} components; it needs dim = {self.dim}")

    def objective(
        self,
        displacement: Displacement,
        samples: Samples,
        motion: Motion | None = None,
        step: Int[Array, ""] | int = 0,
        *,
        load: Float[Array, ""] | float = 1.0,
    ) -> Objective:
        """What a time step minimises.

        Args:
            displacement: how parameters and a point give a displacement and its gradient.
            samples: points.
            motion: parameters of the last two time steps; not needed by a static problem.
            step: n, from time n to n + 1; the force acts while `n < force_steps`.
            load: share of the offset; a static problem is solved by raising it to 1 in steps.

        Raises:
            ValueError: if a dynamic problem gets no motion, or a constrained one no points of a side.
        """
        blocks = self._elastic_blocks(displacement, samples.elastic)
        if self.constraint is not None:
            blocks |= self._constraint_blocks(displacement, samples, self.constraint, load)
        if self.kinematic is None:
            if self.force is not None or self.obstacle is not None:
                raise ValueError("force and obstacle act along a velocity; give kinematic, or leave them out")
            return Objective(blocks)
        if motion is None:
            raise ValueError("motion is None; kinematics needs the displacements of the last two time steps")
        mass = samples.mass
        earlier = jax.vmap(lambda at: (displacement(motion.now, at)[0], displacement(motion.before, at)[0]))(mass.at)
        moving = Points({**mass.at, "now": earlier[0], "before": earlier[1]}, mass.weight)
        blocks["kinematics"] = _block(
            lambda p, at: displacement(p, at)[0] - 2 * at["now"] + at["before"], moving, self.kinematic / self.dt**2
        )
        energies, curvatures = {}, {}
        if self.force is not None:
            acts = jnp.where(step < self.force_steps, 1.0, 0.0)
            energies["external"] = partial(_total, lambda p, at: acts * self._work(displacement, p, at), moving)
        if self.obstacle is not None:
            contact, curvature = self.obstacle.energy, self.obstacle.curvature
            energies["collision"] = partial(
                _total, lambda p, at: contact(_position(displacement, p, at), at["x"] + at["now"]), moving
            )
            curvatures["collision"] = _block(lambda p, at: curvature(_position(displacement, p, at)), moving, 1.0)
        return Objective(blocks, energies, curvatures)

    def _elastic_blocks(self, displacement: Displacement, points: Points) -> dict[str, Block]:
        """One block: both energies take the same F."""
        given = {"arap": self.arap, "volume": self.volume}
        residuals, lengths = {"arap": arap_residual, "volume": volume_residual}, {"arap": self.dim**2, "volume": 1}
        roots = {name: ratio**0.5 for name, ratio in given.items() if ratio is not None}

        def of_point(params, at):
            F = _deformation_gradient(displacement, params, at)
            parts = [root * residuals[name](F, signed=self.signed).reshape(-1) for name, root in roots.items()]
            return jnp.concatenate(parts)

        return {"elastic": _block(of_point, points, 1.0, {name: lengths[name] for name in roots})} if roots else {}

    def _constraint_blocks(
        self, displacement: Displacement, samples: Samples, ratio: float, load: Float[Array, ""] | float
    ) -> dict[str, Block]:
        """One block for the sides that have points, each of which counts in its own part."""
        sides = {name: points for name, points in (("left", samples.left), ("right", samples.right)) if points is not None}
        if not sides:
            raise ValueError("samples have no points of a side; a constraint needs those of left, right or both")
        if "right" in sides and self.offset is None:
            raise ValueError("samples have points of the right side, but there is no offset for it; give one")
        counts = [len(points.at["x"]) for points in sides.values()]
        at = jax.tree.map(lambda *parts: jnp.concatenate(parts), *[points.at for points in sides.values()])
        weights = [jnp.broadcast_to(points.weight, (n,)) for points, n in zip(sides.values(), counts, strict=True)]
        own = jnp.asarray(np.repeat(np.eye(len(sides)), counts, axis=0), at["x"].dtype)
        targets = [load * jnp.asarray(self.offset if name == "right" else (0.0,) * self.dim, own.dtype) for name in sides]

        def of_point(params, at):
            d = displacement(params, at)[0]
            return jnp.concatenate([at["own"][place] * (d - target) for place, target in enumerate(targets)])

        parts = {f"constraint_{name}": self.dim for name in sides}
        return {"constraint": _block(of_point, Points({**at, "own": own}, jnp.concatenate(weights)), ratio, parts)}

    def step(
        self,
        displacement: Displacement,
        draw: Draw,
        motion: Motion,
        n: Int[Array, ""] | int,
        key: jax.Array,
        solvers: Sequence[Solver] | Solver,
        *,
        load: Float[Array, ""] | float = 1.0,
        extrapolate: bool = False,
        equations: Equations = DENSE,
    ) -> tuple[Motion, Info]:
        """One time step of a moving solid, or one load step of a static one, from the displacement of the step before.

        Args:
            displacement: see `objective`.
            draw: `key -> Samples`; called for every step of Adam and once by Levenberg-Marquardt.
            motion: the last two time steps.
            n: number of the time step.
            key: for the points.
            solvers, equations: as for `minimise`.
            load: see `objective`.
            extrapolate: offer `2 theta_n - theta_(n-1)` as a warm start.

        Returns:
            The motion one step later, and how the minimisation went.
        """
        starts = warm_starts(*motion, extrapolate=extrapolate)

        def posed(key):
            return self.objective(displacement, draw(key), motion, n, load=load)

        params, info = advance(posed, starts, key, solvers, equations=equations)
        return Motion(params, motion.now), info

    def _work(self, displacement, params, at):
        force = jnp.asarray(self.force, at["now"].dtype)
        return -jnp.vdot(displacement(params, at)[0] - at["now"], force)


def deformed(displacement: Displacement, params: Params, at: dict[str, Any]) -> Float[Array, "n d"]:
    """Deformed positions `q = x + d(x)` of many points.

    Args:
        displacement: see `Elastodynamics.objective`.
        params: of the displacement.
        at: the points, as in `Points`.
    """
    return jax.vmap(partial(_position, displacement, params))(at)


def penetration(obstacle: Obstacle, q: Float[Array, "n d"]) -> Float[Array, ""]:
    """The largest depth of points inside an obstacle; 0 if none is."""
    return jnp.max(jax.vmap(obstacle.depth)(q))


def _position(displacement, params, at):
    return at["x"] + displacement(params, at)[0]


def _deformation_gradient(displacement, params, at):
    slopes = displacement(params, at)[1]
    return jnp.eye(slopes.shape[0], dtype=slopes.dtype) + slopes


def _block(residual, points: Points, ratio: float, parts: dict[str, int] | None = None) -> Block:
    return Block(lambda params, at: residual(params, at).reshape(-1), points.at, ratio * points.weight, parts)


def _total(density, points: Points, params):
    values = jax.vmap(partial(density, params))(points.at)
    return jnp.sum(values * points.weight)
