"""Conditional expectation propagation: messages, filter and smoother mode by mode, then core, then noise (algorithm 1)."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import cho_factor, cho_solve
from jaxtyping import Array, Bool, Float, Int, Real, ScalarLike

from quire.common.tensors.state_space import kalman_filter, matern_sde, rts_smoother, smoothed_values
from quire.funbat.entries import Entries
from quire.funbat.model import Gaussian, Hyper, Messages, Model, State
from quire.funbat.moments import at_entries, conditional_moments, product_moments, value_moments


@partial(jax.jit, static_argnames="model")
def run_epochs(entries: Entries, state: State, hyper: Hyper, epochs: int | Int[Array, ""], *, model: Model) -> State:
    """Inference for some epochs; one program serves any number of them.

    Args:
        entries: from `entries_at` or `on_grid`.
        state: from `initial_state`, or from here.
        hyper: kernels, damping, priors.
        epochs: how many.
        model: what is compiled.
    """
    hyper = jax.tree.map(lambda x: jnp.asarray(x, entries.values.dtype), hyper)
    entries = jax.tree.map(jnp.asarray, entries)
    return jax.lax.fori_loop(0, epochs, lambda _, s: epoch(entries, s, hyper, model), jax.tree.map(jnp.asarray, state))


def epoch(entries: Entries, state: State, hyper: Hyper, model: Model) -> State:
    """Every mode's functions, the core, the noise."""
    before = state
    for mode in range(len(state.functions)):
        state = update_functions(entries, before if model.joint else state, state, mode, hyper, model)
    if state.core is not None:
        state = update_core(entries, state, hyper)
    return update_noise(entries, state, hyper)


def damped(
    damping: ScalarLike, old: Real[Array | np.ndarray, "*shape"], new: Real[Array | np.ndarray, "*shape"]
) -> Float[Array | np.ndarray, "*shape"]:
    """`rho old + (1 - rho) new`."""
    return damping * old + (1 - damping) * new


def observed(entries: Entries, mode: int) -> Bool[Array, " coordinates"]:
    """Which coordinates of a mode have an entry."""
    return jnp.zeros(len(entries.coordinates[mode]), bool).at[entries.indices[:, mode]].set(True)


def update_functions(entries: Entries, source: State, state: State, mode: int, hyper: Hyper, model: Model) -> State:
    """New messages to one mode, `Lambda = E[tau] E[c c^T]` and `eta = E[tau] E[c] y`, and its new posterior.

    Args:
        entries: all of them.
        source: whose posteriors the messages are computed from.
        state: to be changed.
        mode: which one.
        hyper, model: numbers and structure.
    """
    c, cc = conditional_moments(at_entries(source.functions, entries.indices), source.core, mode)
    size = len(entries.coordinates[mode])

    def to_rows(x):
        return source.noise_precision * jax.ops.segment_sum(x, entries.indices[:, mode], size)

    old, new = state.messages[mode], Messages(to_rows(cc), to_rows(c * entries.values[:, None]))
    messages = Messages(*(damped(hyper.damping, *pair) for pair in zip(old, new, strict=True)))
    posterior = function_posterior(entries, messages, mode, hyper, model)
    return state._replace(messages=_with(state.messages, mode, messages), functions=_with(state.functions, mode, posterior))


def _with(items: tuple, place: int, item) -> tuple:
    return (*items[:place], item, *items[place + 1 :])


def pseudo_observations(messages: Messages, extra_variance: float | Float[Array, ""]) -> Gaussian:
    """What the messages say about each coordinate: `V = (sum Lambda + I / v)^{-1}`, `m = V sum eta`."""
    identity = jnp.eye(messages.shift.shape[-1], dtype=messages.shift.dtype)
    covariance = inverse(messages.precision + (identity / extra_variance)[None])
    return Gaussian((covariance @ messages.shift[..., None])[..., 0], covariance)


def function_posterior(entries: Entries, messages: Messages, mode: int, hyper: Hyper, model: Model) -> Gaussian:
    """q of a mode's functions: the pseudo-observations, filtered and smoothed along the coordinates."""
    seen = pseudo_observations(messages, hyper.extra_variance)
    kernel = hyper.variances[mode], hyper.lengthscales[mode]
    return smoothed(entries.coordinates[mode], seen, observed(entries, mode), kernel, model)


def smoothed(
    t: Float[Array | np.ndarray, " n"],
    seen: Gaussian,
    has_entry: Bool[Array, " n"],
    kernel: tuple[ScalarLike, ScalarLike],
    model: Model,
) -> Gaussian:
    """q of functions at coordinates of which some were seen: the observations themselves if nothing is smooth.

    Args:
        t: coordinates, ascending.
        seen: pseudo-observations; any numbers where there is no entry.
        has_entry: where there is one.
        kernel: variance and lengthscale.
        model: smoothness, rank, whether there are processes.
    """
    if not model.smooth:
        return seen
    sde = matern_sde(model.nu, *kernel, model.rank)
    filtered = kalman_filter(t, *seen, sde, has_entry, parallel=model.parallel)
    return Gaussian(*smoothed_values(*rts_smoother(t, filtered, sde, parallel=model.parallel), sde))


def update_core(entries: Entries, state: State, hyper: Hyper) -> State:
    """Messages to the core, `E[tau] E[z z^T]` and `E[tau] E[z] y`, summed over the entries, and its posterior.

    Second moments of all modes would be `R^2K` numbers for each entry; those of the last mode are contracted with the others'
    by one matrix product.
    """
    rows = at_entries(state.functions, entries.indices)
    first, _ = product_moments(rows, state.core)
    _, second = product_moments(rows[:-1], state.core)
    _, last = product_moments(rows[-1:], state.core)
    size = first.shape[-1]
    precision = jnp.einsum("nab,ncd->acbd", second, last).reshape(size, size)
    new = Messages(state.noise_precision * precision, state.noise_precision * (entries.values @ first))
    assert state.core_messages is not None  # there is a core
    messages = Messages(*(damped(hyper.damping_core, *pair) for pair in zip(state.core_messages, new, strict=True)))
    prior = hyper.core_prior_precision * jnp.eye(size, dtype=precision.dtype)
    covariance = inverse(messages.precision + prior)
    return state._replace(core_messages=messages, core=Gaussian(covariance @ messages.shift, covariance))


def update_noise(entries: Entries, state: State, hyper: Hyper) -> State:
    """`b = sum E[(y - f)^2] / 2` and `E[tau] = (a0 + N / 2) / (b0 + b)`; squares, so that b cannot become negative."""
    mean, variance = value_moments(at_entries(state.functions, entries.indices), state.core)
    new = 0.5 * jnp.sum((entries.values - mean) ** 2 + variance)
    misfit = damped(hyper.damping_noise, state.misfit, new)
    return state._replace(misfit=misfit, noise_precision=(hyper.a0 + 0.5 * len(entries.values)) / (hyper.b0 + misfit))


def inverse(a: Float[Array | np.ndarray, "*batch n n"]) -> Float[Array, "*batch n n"]:
    """Inverse of positive definite matrices."""
    return cho_solve(cho_factor(a), jnp.broadcast_to(jnp.eye(a.shape[-1], dtype=a.dtype), a.shape))
