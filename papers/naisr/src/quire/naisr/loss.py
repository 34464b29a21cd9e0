"""The loss: distances, normals and unit slope, with the code and without it; displacements that undo themselves. Section 3.3."""

from functools import reduce
from operator import add
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from quire.common.losses.sdf import SdfTerms, mean_where, sdf_terms

ON_SURFACE, NEAR_SURFACE = 1e-3, 1e-2
"""Distances below which a point counts as one of the surface, and as one where displacements are inverted."""


class LossWeights(NamedTuple):
    """Weights of the terms; they may be arrays, so that one program serves every ablation.

    Attributes:
        surface, normal, off_surface, eikonal: of the terms of a signed distance.
        disentangle: factor on those terms for the code zero; 0 switches them off.
        invertibility: of displacements that stay the same where they lead to.
        code: of the squared length of codes.
    """

    surface: Any = 300.0
    normal: Any = 100.0
    off_surface: Any = 1000.0
    eikonal: Any = 100.0
    disentangle: Any = 1.0
    invertibility: Any = 10.0
    code: Any = 1e-4


PAPER_WEIGHTS = LossWeights()


class ShapeBatch(NamedTuple):
    """Points of several shapes.

    Attributes:
        points: `[B, P, dim]`.
        sdf: their signed distances `[B, P]`.
        normals: unit normals `[B, P, dim]`, read where the distance is below `ON_SURFACE`.
        c: covariates `[B, N]`.
        z: codes `[B, latent]`.
    """

    points: Array
    sdf: Array
    normals: Array
    c: Array
    z: Array


class LossTerms(NamedTuple):
    """Weighted terms; `total` is their sum.

    Attributes:
        shape: terms of the signed distance.
        zero_code: the same with the code zero: what covariates alone explain.
        inverse, inverse_zero_code: `[N]`, of every covariate.
        code: of the codes.
    """

    shape: SdfTerms
    zero_code: SdfTerms
    inverse: Float[Array, " N"]
    inverse_zero_code: Float[Array, " N"]
    code: Float[Array, ""]

    @property
    def total(self) -> Float[Array, ""]:
        """What training minimises."""
        return reduce(add, map(jnp.sum, jax.tree.leaves(self)))


def weighted_sdf_terms(values: Array, slopes: Array, batch: ShapeBatch, weights: LossWeights) -> SdfTerms:
    """The four terms of a signed distance, times their weights."""
    found = sdf_terms(values, slopes, batch.sdf, batch.normals, jnp.abs(batch.sdf) < ON_SURFACE)
    return SdfTerms(*(weight * term for weight, term in zip(weights[:4], found, strict=True)))


def code_term(z: Float[Array, "B Z"], points: int, epoch: Any, weight: Any) -> Float[Array, ""]:
    """`weight min(1, epoch / 100) 10^4 2 / (B P) sum |z|^2 / Z`: a regulariser that grows over the first hundred epochs."""
    return weight * jnp.minimum(1, epoch / 100) * 1e4 * 2 / (len(z) * points) * jnp.sum(z**2) / z.shape[-1]


def naisr_loss(
    model: Any, batch: ShapeBatch, epoch: Any, weights: LossWeights = PAPER_WEIGHTS, key: jax.Array | None = None
) -> LossTerms:
    """All terms for a batch of shapes.

    Args:
        model: `NAISR`.
        batch: points with codes.
        epoch: passes over the training shapes so far, for the weight of the codes.
        weights: of the terms.
        key: for the noise that stands in for covariates of zero; without it they are zero, as after training.

    Returns:
        Weighted terms. Slopes are by the points, through the displacement. Invertibility is
        `mean |d_i(p) - d_i(p + d_i(p))|` over points near the surface and their coordinates.

    Raises:
        ValueError: if the arrays of the batch do not fit each other or the model.
    """
    _check(batch, model)
    z = jnp.stack([batch.z, jnp.zeros_like(batch.z)])  # with the code, and without
    p, c = (jnp.broadcast_to(x[None], (2, *x.shape)) for x in (batch.points, batch.c))
    zeros = (None, None) if key is None else model.zero_noise(key, (2, batch.c.shape[-1], *p.shape[:-1]))
    values, pull_back, moved = jax.vjp(lambda p: model.fields(p, c, z, zeros[0]), p, has_aux=True)
    (slopes,) = pull_back(jnp.ones_like(values))
    again = model.moved_again(p[None] + moved, c, z, zeros[1])
    shape, zero_code = (weighted_sdf_terms(values[i], slopes[i], batch, weights) for i in range(2))
    zero_code = jax.tree.map(lambda term: weights.disentangle * term, zero_code)
    near = jnp.broadcast_to((jnp.abs(batch.sdf) < NEAR_SURFACE)[..., None], batch.points.shape)
    back = jax.vmap(jax.vmap(lambda x: mean_where(jnp.abs(x), near)))(moved - again)  # [N, 2]
    inverse = weights.invertibility * back
    code = code_term(batch.z, batch.points.shape[-2], epoch, weights.code)
    return LossTerms(shape, zero_code, inverse[:, 0], inverse[:, 1], code)


def _check(batch: ShapeBatch, model: Any) -> None:
    lead = batch.points.shape[:-1]
    wanted = ((*lead, model.dim), lead, (*lead, model.dim), (lead[0], len(model.names)), (lead[0], model.latent))
    found = tuple(x.shape for x in batch)
    if len(lead) != 2 or found != wanted:
        needs = f"[B, P, {model.dim}], [B, P], [B, P, {model.dim}], [B, {len(model.names)}] and [B, {model.latent}]"
        raise ValueError(f"batch has points, sdf, normals, c and z of shapes {', '.join(map(str, found))}; they need {needs}")
