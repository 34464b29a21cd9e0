"""Predictions with their variance: at the coordinates of the entries, and anywhere else (section 4.3).

A new coordinate enters the chain as a state that nothing observes; filter and smoother then give its exact posterior.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Real

from quire.common.arrays import AnyArray
from quire.common.checks import check_ids
from quire.funbat.cep import pseudo_observations, smoothed
from quire.funbat.entries import Entries, real_numbers
from quire.funbat.model import Gaussian, Hyper, Model, State
from quire.funbat.moments import Functions, at_entries, core_variance, value_moments


@jax.jit
def predictive(
    functions: Functions, core: Gaussian | None, noise_precision: Float[AnyArray, ""], indices: Int[AnyArray, "entries modes"]
) -> tuple[Float[Array, " entries"], Float[Array, " entries"]]:
    """Mean and variance of entries, noise included: `g^T Cov(z) g + tr(V_G E[z z^T]) + 1 / E[tau]`.

    Args:
        functions: q at some coordinates of each mode.
        core: q(vec G), or None for CP.
        noise_precision: E[tau].
        indices: of the entries among those coordinates.
    """
    rows = at_entries([Gaussian(*map(jnp.asarray, f)) for f in functions], indices)
    mean, variance = value_moments(rows, core)
    if core is not None:
        variance = variance + core_variance(rows, core)
    return mean, variance + 1 / noise_precision


def predict_at(
    entries: Entries, state: State, hyper: Hyper, model: Model, coords: Real[AnyArray, "new modes"]
) -> tuple[Float[Array, " new"], Float[Array, " new"]]:
    """Mean and variance of entries at any coordinates.

    Args:
        entries, state, hyper, model: of the inference.
        coords: of the new entries.

    Raises:
        ValueError: if there is not one finite coordinate for each mode.
    """
    coords = real_numbers("coords", coords, entries.values.dtype)
    modes = len(entries.coordinates)
    if coords.ndim != 2 or coords.shape[1] != modes:
        raise ValueError(f"coords has shape {coords.shape}; the entries need [new, {modes}]")
    axes = [np.unique(column, return_inverse=True) for column in coords.T]
    functions = [functions_at(entries, state, hyper, model, mode, t) for mode, (t, _) in enumerate(axes)]
    indices = np.stack([place.reshape(-1) for _, place in axes], axis=1).astype(np.int32)
    return predictive(functions, state.core, state.noise_precision, indices)


def functions_at(entries: Entries, state: State, hyper: Hyper, model: Model, mode: int, t: Real[AnyArray, " new"]) -> Gaussian:
    """q of a mode's functions at any coordinates, in any order.

    Without the Gaussian processes, a coordinate without an entry keeps the factor `N(0, v I)`: nothing is known of it.

    Args:
        entries, state, hyper, model: of the inference.
        mode: from 0.
        t: coordinates.

    Raises:
        ValueError: for a mode that there is not, or coordinates that are no row of finite numbers.
    """
    check_ids("mode", np.asarray(mode), len(entries.coordinates))
    known = np.asarray(entries.coordinates[mode])
    t = real_numbers("t", t, known.dtype)
    if t.ndim != 1:
        raise ValueError(f"t has shape {t.shape}; it needs one axis")
    grid = np.union1d(known, t)
    places = np.searchsorted(grid, known), np.searchsorted(grid, t)
    kernel = hyper.variances[mode], hyper.lengthscales[mode]
    has_entry = np.isin(np.arange(len(known)), np.asarray(entries.indices)[:, mode])
    return _inserted(grid, places, state.messages[mode], has_entry, kernel, hyper.extra_variance, model=model)


@partial(jax.jit, static_argnames="model")
def _inserted(grid, places, messages, has_entry, kernel, extra_variance, *, model):
    kernel, extra_variance = jax.tree.map(lambda x: jnp.asarray(x, grid.dtype), (kernel, extra_variance))
    old, new = places
    seen = pseudo_observations(messages, extra_variance)
    prior = extra_variance * jnp.eye(model.rank, dtype=grid.dtype)
    mean = jnp.zeros((len(grid), model.rank), grid.dtype).at[old].set(seen.mean)
    covariance = jnp.broadcast_to(prior, (len(grid), *prior.shape)).at[old].set(seen.covariance)
    q = smoothed(grid, Gaussian(mean, covariance), jnp.zeros(len(grid), bool).at[old].set(has_entry), kernel, model)
    return Gaussian(q.mean[new], q.covariance[new])
