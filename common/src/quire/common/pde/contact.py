"""Obstacles: how deep a point is inside, and the contact energy of an implicit Euler step.

The energy is minus the work of a contact force f along the step, `-dt v . f(q) = -(q - q_n) . f(q)`, and the force is not
frozen: the gradient flows through both factors, so that half of it pulls towards where the point was.
"""

from dataclasses import dataclass

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

LAYER = 0.02
"""Half the thickness, in radii, of the layer over which the curvature smooths the jump of a sphere's force."""


@dataclass(frozen=True)
class Plane:
    """The half space below `height` in the last coordinate, `f = stiffness (height - q_last) e_last` inside.

    The energy `stiffness (q - q_n) (q - height)` of the last coordinates is convex.

    Attributes:
        height: of the plane.
        stiffness: of the contact.
    """

    height: float
    stiffness: float

    def __post_init__(self):
        _check_stiffness(self.stiffness)

    def depth(self, q: Float[Array, " d"]) -> Float[Array, ""]:
        """How far a point is below the plane; 0 above.

        >>> print(Plane(-2.0, 1.0).depth(jnp.array([0.0, -2.5])))
        0.5
        """
        return jnp.maximum(self.height - q[-1], 0)

    def energy(self, q: Float[Array, " d"], earlier: Float[Array, " d"]) -> Float[Array, ""]:
        """`-stiffness (q - q_n)_last (height - q_last)` inside, with `earlier` = q_n; 0 above."""
        gap = self.height - q[-1]
        return jnp.where(gap > 0, -self.stiffness * (q[-1] - earlier[-1]) * gap, 0)

    def curvature(self, q: Float[Array, " d"]) -> Float[Array, " m"]:
        """A vector whose Jacobian J gives half the Hessian of the energy, `J^T J`: `sqrt(stiffness) q_last` inside."""
        inside = self.height > q[-1]
        return jnp.where(inside, self.stiffness**0.5 * q[-1:], 0)


@dataclass(frozen=True)
class Sphere:
    """A ball (a disc in two dimensions), `f = stiffness (q - centre)` inside.

    The force grows with the distance from the *centre* and jumps at the surface, as in the authors' code. The energy
    `-stiffness (q - q_n) . (q - centre)` is concave inside and jumps at the surface, up for a point that enters: a barrier.

    Attributes:
        centre, radius: of the ball.
        stiffness: of the contact.
    """

    centre: tuple[float, ...]
    radius: float
    stiffness: float

    def __post_init__(self):
        _check_stiffness(self.stiffness)
        if not self.radius > 0:
            raise ValueError(f"radius is {self.radius}; it must be positive")

    def depth(self, q: Float[Array, " d"]) -> Float[Array, ""]:
        """How far a point is below the surface; 0 outside.

        >>> print(Sphere((0.0, -2.0), 1.0, 1.0).depth(jnp.array([0.0, -1.25])))
        0.25
        """
        return jnp.maximum(self.radius - optax.safe_norm(q - jnp.asarray(self.centre, q.dtype), 0.0), 0)

    def energy(self, q: Float[Array, " d"], earlier: Float[Array, " d"]) -> Float[Array, ""]:
        """`-stiffness (q - q_n) . (q - centre)` inside, with `earlier` = q_n; 0 outside."""
        arm = q - jnp.asarray(self.centre, q.dtype)
        inside = jnp.sum(arm**2) < self.radius**2
        return jnp.where(inside, -self.stiffness * jnp.vdot(q - earlier, arm), 0)

    def curvature(self, q: Float[Array, " d"]) -> Float[Array, " m"]:
        """A vector whose Jacobian J bounds the step of Gauss-Newton by `J^T J`.

        Inside, `sqrt(stiffness) q`: half the Hessian of the energy with the sign turned. In a layer of `LAYER radius` on
        both sides of the surface, `sqrt(stiffness / LAYER) |q - centre|` as well: as if the force rose to its jump within the
        layer. Without it a step ignores the barrier, is refused for the points that it carries inside, and the damping grows.
        """
        arm = q - jnp.asarray(self.centre, q.dtype)
        distance = optax.safe_norm(arm, 0.0)  # at the centre, too, there is a derivative: 0
        inside, near = distance < self.radius, jnp.abs(distance - self.radius) < LAYER * self.radius
        across = jnp.where(near, (self.stiffness / LAYER) ** 0.5 * distance, 0)
        return jnp.append(jnp.where(inside, self.stiffness**0.5 * q, 0), across)


Obstacle = Plane | Sphere


def _check_stiffness(stiffness: float) -> None:
    if not stiffness > 0:
        raise ValueError(f"stiffness is {stiffness}; it must be positive")
