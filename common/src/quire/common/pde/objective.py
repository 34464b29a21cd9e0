"""What a time step minimises: weighted squares of residuals at points, and an energy that is no square.

`E(theta) = sum_blocks w sum_i |r(theta, x_i)|^2 + V(theta)`. Residuals are functions of *one* point, so that the Jacobian of
Gauss-Newton is `vmap` of a small reverse pass.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from quire.common.checks import check_at_least

Params = Any


class Block(NamedTuple):
    """Residuals of one kind.

    Attributes:
        residual: `(params, point) -> [m]`, where `point` is one entry of `points`.
        points: pytree of arrays with a leading axis `[n]`: positions, frozen targets.
        weight: w, applied to each square, one number or one a point; the default 1 / n makes the sum over points a mean.
        parts: names of the block's parts and how many of the m residuals each has, if they are reported apart; what they share
            is then computed once.
    """

    residual: Callable[[Params, Any], Array]
    points: Any
    weight: Float[Array, "*n"] | float | None = None
    parts: dict[str, int] | None = None

    @property
    def num_points(self) -> int:
        """n

        Raises:
            ValueError: if there is none.
        """
        return check_at_least("num_points", jax.tree.leaves(self.points)[0].shape[0])

    def residuals(self, params: Params) -> Float[Array, "n m"]:
        """`sqrt(w) r`, whose squares add up to the block's part of the objective."""
        return self._weigh(jax.vmap(self.residual, (None, 0))(params, self.points))

    def linearised(self, params: Params) -> tuple[Float[Array, "n m"], Float[Array, "n m p"]]:
        """`residuals` and their derivative by the flat parameters, one small reverse pass a point."""
        flat, unravel = ravel_pytree(params)

        def of_point(point):
            def residual(theta):
                value = self.residual(unravel(theta), point)
                return value, value

            return jax.jacrev(residual, has_aux=True)(flat)

        jacobian, values = jax.vmap(of_point)(self.points)
        return self._weigh(values), self._weigh(jacobian)

    def squares(self, name: str, params: Params) -> dict[str, Float[Array, ""]]:
        """The sum of squares by the name of the block, or those of its parts by theirs."""
        found, sizes = self.residuals(params), self.parts or {}
        if not sizes:
            return {name: jnp.sum(found**2)}
        split = jnp.split(found, np.cumsum(list(sizes.values()))[:-1], axis=1)
        return {part: jnp.sum(values**2) for part, values in zip(sizes, split, strict=True)}

    def _weigh(self, values: Float[Array, "n *rest"]) -> Float[Array, "n *rest"]:
        """Times `sqrt(w)` of each point."""
        count = self.num_points
        roots = jnp.sqrt(jnp.asarray(1 / count if self.weight is None else self.weight, values.dtype))
        return values * roots.reshape((-1,) + (1,) * (values.ndim - 1))


class Objective(NamedTuple):
    """Blocks by name, and an energy V that is no sum of squares.

    Attributes:
        blocks: residuals by name.
        energies: `params -> scalar` by name.
        curvatures: blocks that are no part of the objective; their `J^T J` models half the Hessian of the energies.
    """

    blocks: dict[str, Block]
    energies: dict[str, Callable[[Params], Array]] = {}  # noqa: RUF012  (never written)
    curvatures: dict[str, Block] = {}  # noqa: RUF012  (never written)

    def terms(self, params: Params) -> dict[str, Float[Array, ""]]:
        """Every part of the objective by name."""
        found: dict[str, Array] = {}
        for name, block in self.blocks.items():
            found |= block.squares(name, params)
        return found | {name: energy(params) for name, energy in self.energies.items()}

    def __call__(self, params: Params) -> Float[Array, ""]:
        """Their sum."""
        return total_of(self.terms(params))

    def normal_equations(self, params: Params) -> tuple[Float[Array, "p p"], Float[Array, " p"]]:
        """`J^T J` and half the gradient of the whole objective, `J^T r + grad V / 2`.

        The energies enter with their exact gradient and the curvature that is given for them: the model that
        Levenberg-Marquardt minimises is Gauss-Newton's for the squares and linear for the rest where none is.
        """
        size = ravel_pytree(params)[0].size
        parts = [block.linearised(params) for block in self.blocks.values()]
        res, jac = (jnp.concatenate(part) for part in zip(*[(r.reshape(-1), j.reshape(-1, size)) for r, j in parts], strict=True))
        slope, gram = jac.T @ res, jac.T @ jac
        if self.energies:
            grads = jax.grad(lambda p: sum(energy(p) for energy in self.energies.values()))(params)
            slope = slope + ravel_pytree(grads)[0] / 2
        for block in self.curvatures.values():
            jac = block.linearised(params)[1].reshape(-1, size)
            gram = gram + jac.T @ jac
        return gram, slope

    def curvature_slope(self, params: Params, direction: Params) -> Float[Array, " p"]:
        """`J^T r_dd`, where `r_dd` is the second derivative of the residuals along a direction; energies do not enter."""

        def along(residuals):
            def first(params):
                return jax.jvp(residuals, (params,), (direction,))[1]

            return jax.jvp(first, (params,), (direction,))[1]

        total = jnp.zeros_like(ravel_pytree(params)[0])
        for block in self.blocks.values():
            _, pull_back = jax.vjp(block.residuals, params)
            total = total + ravel_pytree(pull_back(along(block.residuals))[0])[0]
        return total


def total_of(terms: dict[str, Array]) -> Array:
    """The sum of the parts of an objective; 0 of none."""
    first, *rest = terms.values() or [jnp.zeros(())]
    return sum(rest, first)
