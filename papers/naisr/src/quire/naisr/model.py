"""NAISR: a template's signed distance at displaced points, the displacement a sum over covariates. Section 3."""

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from quire.common.checks import check_at_least, floating
from quire.common.fields.siren_stack import SirenStack, init_siren_stack
from quire.naisr.covariates import covariate_array
from quire.naisr.deformation import displacements, displacements_at, template_sdf

Covariates = Mapping[str, Any] | Array | np.ndarray
"""Numbers by name, or an array with one for each name along the last axis."""


class NAISR(nnx.Module):
    """`Phi(p) = T(p + sum_i d_i(p, c_i, z))`.

    Shapes lie along leading axes: points `[..., P, dim]`, covariates `[...]` each, codes `[..., latent]`.

    Args:
        dim: of space.
        covariate_names: one network each.
        hidden, layers: width, and sine layers after the first.
        latent: numbers in a code.
        omega: frequency of the sines.
        noise: standard deviation of what stands in for a covariate of zero in training.
        rngs: for the first weights.

    Raises:
        ValueError: for sizes below 1, or names that are missing or double.

    >>> model = NAISR(2, ("arms", "legs"), 8, 2, 3, rngs=nnx.Rngs(0))
    >>> p, z = jnp.zeros((5, 2)), jnp.ones(3)
    >>> moved = model.displacement(p, {"arms": 0.5, "legs": 0.0}, z)
    >>> {name: (d.shape, bool((d == 0).all())) for name, d in moved.items()}
    {'arms': ((5, 2), False), 'legs': ((5, 2), True)}

    References:
        Section 3.2; `DeepNAIGSR` of the authors' code (a25caaa), whose layer norms are declared and never applied.
    """

    def __init__(
        self,
        dim: int,
        covariate_names: Sequence[str],
        hidden: int = 256,
        layers: int = 6,
        latent: int = 256,
        *,
        omega: float = 30.0,
        noise: float = 1e-3,
        rngs: nnx.Rngs,
    ):
        for name, size in {"dim": dim, "layers": layers, "latent": latent}.items():
            check_at_least(name, size)
        self.names = tuple(covariate_names)
        if not self.names or len(set(self.names)) < len(self.names):
            raise ValueError(f"covariate_names is {self.names}; it needs at least one name, and each once")
        skip, count, inputs = layers // 2, len(self.names), dim + 1 + latent
        nets = init_siren_stack(rngs.params(), inputs, dim, hidden, layers, count=count, omega=omega, skip=skip, skip_dim=dim)
        template = init_siren_stack(rngs.params(), dim, 1, hidden, layers, omega=omega, input_layer=False)
        self.nets, self.template = SirenStack(nets), SirenStack(template)
        self.dim, self.latent, self.omega, self.noise = dim, latent, omega, noise

    def displacement(self, p: Array, c: Covariates, z: Array) -> dict[str, Array]:
        """`d_i(p)` of each covariate, by name.

        Raises:
            ValueError: naming a covariate that is missing, unknown, misshapen or not finite; for shapes that do not fit.
        """
        found = displacements(self.nets.layers, *self._checked(p, c, z), omega=self.omega)
        return dict(zip(self.names, found, strict=True))

    def total_displacement(self, p: Array, c: Covariates, z: Array) -> Array:
        """`d(p) = sum_i d_i(p)`. Errors as for `displacement`."""
        return reduce(add, self.displacement(p, c, z).values())

    def sdf(self, p: Array, c: Covariates, z: Array) -> Array:
        """Signed distance of a subject's shape at its covariates. Errors as for `displacement`."""
        return self.fields(*self._checked(p, c, z))[0]

    def evolve(self, p: Array, name: str, value: Any, z: Array) -> Array:
        """`T(p + d_i(p))`: the shape as one covariate alone makes it.

        Args:
            p, z: as for `sdf`.
            name: of the covariate.
            value: what it is, for each shape.

        Raises:
            ValueError: for an unknown name, and as for `displacement`.
        """
        if name not in self.names:
            raise ValueError(f"name is {name!r}; the model has {', '.join(self.names)}")
        c = {other: jnp.zeros_like(value, dtype=float) for other in self.names} | {name: value}
        return self.sdf(p, c, z)

    def template_sdf(self, p: Float[Array, "*batch dim"]) -> Float[Array, "*batch"]:
        """Signed distance of the template, which no covariate and no code moves."""
        return template_sdf(self.template.layers, p, omega=self.omega)

    def fields(
        self, p: Float[Array, "*s P dim"], c: Float[Array, "*s N"], z: Float[Array, "*s Z"], zero: Array | None = None
    ) -> tuple[Float[Array, "*s P"], Float[Array, "N *s P dim"]]:
        """Signed distances and displacements of arrays that fit, for the loss.

        Args:
            p, c, z: points, covariates in order, codes.
            zero: stands in for covariates of zero, `[N, ..., P]`.
        """
        moved = displacements(self.nets.layers, p, c, z, zero, omega=self.omega)
        return self.template_sdf(p + sum(moved)), moved

    def values(self, p: Float[Array, "*s P dim"], c: Float[Array, "*s N"], z: Float[Array, "*s Z"]) -> Float[Array, "*s P"]:
        """Signed distances of arrays that fit."""
        return self.fields(p, c, z)[0]

    def moved_again(
        self, p: Float[Array, "N *s P dim"], c: Float[Array, "*s N"], z: Float[Array, "*s Z"], zero: Array | None = None
    ) -> Float[Array, "N *s P dim"]:
        """`d_i` where `d_i` has moved the points to, for the loss of invertibility."""
        return displacements_at(self.nets.layers, p, c, z, zero, omega=self.omega)

    def zero_noise(self, key: jax.Array, shape: tuple[int, ...]) -> Array:
        """What stands in for covariates of zero in training, `[N, ..., P]`."""
        return self.noise * jax.random.normal(key, shape)

    def _checked(self, p: Any, c: Covariates, z: Any) -> tuple[Array, Array, Array]:
        return check_shapes(p, covariate_array(c, self.names), z, self.dim, self.latent)


def check_shapes(p: Any, c: Any, z: Any, dim: int, latent: int) -> tuple[Array, Array, Array]:
    """Points, covariates and codes in one dtype and with the leading axes of all of them.

    Raises:
        ValueError: for points or codes of another length, or leading axes that do not broadcast.
    """
    p, c, z = floating(p, c, z)
    if p.ndim < 2 or p.shape[-1] != dim or z.ndim < 1 or z.shape[-1] != latent:
        raise ValueError(f"p has shape {p.shape} and z {z.shape}; they need [..., P, {dim}] and [..., {latent}]")
    try:
        lead = jnp.broadcast_shapes(p.shape[:-2], c.shape[:-1], z.shape[:-1])
    except ValueError:
        raise ValueError(
            f"p has shape {p.shape}, c {c.shape} and z {z.shape}; leading axes of all three must broadcast"
        ) from None
    return (
        jnp.broadcast_to(p, (*lead, *p.shape[-2:])),
        jnp.broadcast_to(c, (*lead, c.shape[-1])),
        jnp.broadcast_to(z, (*lead, z.shape[-1])),
    )
