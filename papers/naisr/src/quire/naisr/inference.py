"""Codes of new shapes, with their covariates known or not, and the same subject at other covariates. Sections 3.4 and 4.4."""

from collections.abc import Hashable, Mapping
from functools import reduce
from operator import add
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from quire.common.checks import floating
from quire.common.train import auto_decoder
from quire.naisr.covariates import covariate_array
from quire.naisr.loss import ON_SURFACE, PAPER_WEIGHTS, LossWeights, ShapeBatch, mean_where, naisr_loss, weighted_sdf_terms

CODE_PENALTY = 1e-4
"""Weight of the mean squared entry of a code when covariates are known; the authors' code."""
STRONGER_CODE_TERM = 10.0
"""Factor on the weight of codes when covariates are not known."""


class Observed(NamedTuple):
    """Points of T shapes.

    Attributes:
        points: `[T, P, dim]`.
        sdf: signed distances `[T, P]`.
        normals: unit normals `[T, P, dim]`, or None: then distances alone are fitted, which is cheaper.
    """

    points: Array | np.ndarray
    sdf: Array | np.ndarray
    normals: Array | np.ndarray | None = None


class Fitted(NamedTuple):
    """Codes `[T, latent]`, covariates `[T, N]`, and the losses, summed over shapes, before each step."""

    z: Array
    c: Array
    losses: Array


def fit_code(
    model: Any, observed: Observed, c: Any, *, steps: int = 800, rate: float = 5e-4, weights: LossWeights = PAPER_WEIGHTS
) -> Fitted:
    """Codes of shapes with known covariates, from zero, by Adam with everything else as it is.

    Args:
        model: `NAISR`, `BlackBox` or `OneDeformation`.
        observed: the shapes.
        c: covariates `[T]` each by name, or `[T, N]`.
        steps, rate: of Adam; the rate falls to a tenth half way.
        weights: of the terms.

    Raises:
        ValueError: for covariates as in `NAISR.sdf`, or shapes that do not fit.
    """
    observed, c = _checked(model, observed, c)

    def loss(z):
        return jnp.sum(jax.vmap(lambda o, c, z: _known_loss(model, o, c, z, weights))(observed, c, z))

    start = jnp.zeros((len(c), model.latent), c.dtype)
    z, losses = auto_decoder.fit_code(loss, start, steps, optax.adam(_halfway(rate, steps)))
    return Fitted(z, c, losses)


def infer(
    model: Any,
    observed: Observed,
    key: jax.Array,
    *,
    spread: float = 0.1,
    steps: int = 800,
    rate: float = 5e-4,
    c_rate: float | None = None,
    weights: LossWeights = PAPER_WEIGHTS,
) -> Fitted:
    """Codes and covariates of shapes whose covariates are not known: codes by Adam, covariates, through tanh, by SGD.

    Args:
        model: `NAISR`; without normals also another one.
        observed: the shapes.
        key: for where codes and covariates start.
        spread: standard deviation of that start.
        steps, rate: of both; the rate falls to a tenth half way.
        c_rate: of covariates, if another.
        weights: of the terms; that of the codes counts ten times.

    Raises:
        ValueError: for shapes that do not fit.
    """
    n_shapes, n = len(observed.points), len(model.names)
    observed, _ = _checked(model, observed, jnp.zeros((n_shapes, n)))
    draw = spread * jax.random.normal(key, (n_shapes, model.latent + n), observed.points.dtype)
    start = {"z": draw[:, n:], "u": draw[:, :n]}
    weights = weights._replace(code=STRONGER_CODE_TERM * weights.code)

    def loss(code):
        return jnp.sum(jax.vmap(lambda o, u, z: _unknown_loss(model, o, jnp.tanh(u), z, weights))(observed, code["u"], code["z"]))

    c_rate = rate if c_rate is None else c_rate
    rates: dict[Hashable, optax.GradientTransformation]
    rates = {"z": optax.adam(_halfway(rate, steps)), "u": optax.sgd(_halfway(c_rate, steps))}
    code, losses = auto_decoder.fit_code(loss, start, steps, optax.partition(rates, {"z": "z", "u": "u"}))
    return Fitted(code["z"], jnp.tanh(code["u"]), losses)


def transfer(model: Any, fitted: Fitted, new_c: Any, observed_c: Any | None = None) -> tuple[Array, Array]:
    """Codes and covariates of the same subjects at other covariates.

    Args:
        model: that the codes belong to.
        fitted: from `fit_code`, or from `infer`.
        new_c: covariates to be predicted for, `[T]` each by name or `[T, N]`.
        observed_c: the subjects' covariates when they were observed, if those of `fitted` are inferred: then the *difference* to
            the new ones is added to what was inferred.

    Returns:
        `(z, c)` for `model.sdf(p, c, z)`.

    Raises:
        ValueError: for covariates as in `NAISR.sdf`.
    """
    new = covariate_array(new_c, model.names)
    return fitted.z, new if observed_c is None else fitted.c + (new - covariate_array(observed_c, model.names))


def _known_loss(model: Any, observed: Observed, c: Array, z: Array, weights: LossWeights) -> Float[Array, ""]:
    return _distance_terms(model, observed, c, z, weights) + CODE_PENALTY * jnp.mean(z**2)


def _unknown_loss(model: Any, observed: Observed, c: Array, z: Array, weights: LossWeights) -> Float[Array, ""]:
    """All terms of training, the code's at its full weight; without normals those of distances and code."""
    points, sdf, normals = observed
    if normals is not None:
        batch = ShapeBatch(*(jnp.asarray(x)[None] for x in (points, sdf, normals, c, z)))
        return naisr_loss(model, batch, 100, weights).total
    return _distance_terms(model, observed, c, z, weights) + weights.code * jnp.mean(z**2)


def _distance_terms(model: Any, observed: Observed, c: Array, z: Array, weights: LossWeights) -> Float[Array, ""]:
    """Terms of one shape's signed distance; without normals only the distances on and off the surface."""
    points, sdf, normals = observed
    if normals is None:
        error, surface = jnp.abs(model.values(points, c, z) - sdf), jnp.abs(sdf) < ON_SURFACE
        return weights.surface * mean_where(error, surface) + weights.off_surface * mean_where(error, ~surface)
    values, pull_back = jax.vjp(lambda p: model.values(p, c, z), points)
    batch = ShapeBatch(*map(jnp.asarray, (points, sdf, normals, c, z)))
    return reduce(add, weighted_sdf_terms(values, *pull_back(jnp.ones_like(values)), batch, weights))


def _halfway(rate: float, steps: int) -> optax.Schedule:
    return optax.piecewise_constant_schedule(rate, {steps // 2: 0.1})


def _checked(model: Any, observed: Observed, c: Mapping[str, Any] | Array) -> tuple[Observed, Array]:
    points, sdf, c = floating(observed.points, observed.sdf, covariate_array(c, model.names))
    lead, normals = points.shape[:-1], observed.normals
    shapes = {"sdf": (sdf.shape, lead), "c": (c.shape, (lead[0], len(model.names)))}
    if normals is not None:
        normals = jnp.asarray(normals, points.dtype)
        shapes["normals"] = (normals.shape, points.shape)
    if len(lead) != 2 or points.shape[-1] != model.dim or any(found != wanted for found, wanted in shapes.values()):
        found = ", ".join(f"{name} {shape}" for name, (shape, _) in shapes.items())
        raise ValueError(
            f"points has shape {points.shape}, {found}; they need [T, P, {model.dim}], one distance a point and c a shape"
        )
    return Observed(points, sdf, normals), c
