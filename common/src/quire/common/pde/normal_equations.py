"""The normal equations of Gauss-Newton, `J^T J delta = -grad / 2`: how they are held, and how they are solved with damping."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from quire.common.pde.objective import Objective, Params

Solve = Callable[[Float[Array, " p"]], Float[Array, " p"]]
"""`right -> x` of `(J^T J + ...) x = right`."""


@runtime_checkable
class Equations(Protocol):
    """How Levenberg-Marquardt holds its normal equations: a pytree with half the gradient, `slope [p]`, and `J^T J` somehow."""

    def zeros(self, theta: Float[Array, " p"]) -> Any:
        """What `assemble` returns, all zero."""

    def assemble(self, objective: Objective, params: Params) -> Any:
        """The normal equations at some parameters."""

    def solver(self, system: Any, lam: Float[Array, ""]) -> Solve:
        """Solves with `J^T J + lam mean(diag J^T J) I`; NaN where that is not positive definite."""


class DenseSystem(NamedTuple):
    """`J^T J [p, p]`, and half the gradient `[p]`."""

    gram: Float[Array, "p p"]
    slope: Float[Array, " p"]


class Dense:
    """Normal equations of fields whose parameters matter everywhere, as those of networks do: one matrix, one Cholesky factor."""

    def zeros(self, theta: Float[Array, " p"]) -> DenseSystem:
        return DenseSystem(jnp.zeros((theta.size, theta.size), theta.dtype), jnp.zeros_like(theta))

    def assemble(self, objective: Objective, params: Params) -> DenseSystem:
        return DenseSystem(*objective.normal_equations(params))

    def solver(self, system: DenseSystem, lam: Float[Array, ""]) -> Solve:
        gram = system.gram
        damping = lam * jnp.mean(jnp.diagonal(gram))
        factor = jax.scipy.linalg.cho_factor(gram + damping * jnp.eye(len(gram), dtype=gram.dtype))
        return lambda right: jax.scipy.linalg.cho_solve(factor, right)


DENSE = Dense()
