"""The definition in NumPy, as slowly as it reads: a message for every entry, posteriors by dense Gaussian processes."""

from functools import reduce

import numpy as np
from jaxtyping import Array

from quire.funbat.entries import Entries
from quire.funbat.gaussian_process import matern_kernel
from quire.funbat.model import INITIAL_MESSAGE, Gaussian, Hyper, Messages, Model, State


def reference_epochs(entries: Entries, state: State, hyper: Hyper, model: Model, epochs: int) -> State:
    """What `run_epochs` computes, message by message.

    The first messages to a row share its shift equally. Only the sums of messages matter, so that any split will do.

    Args:
        entries, state, hyper, model, epochs: as of `run_epochs`; float64, mode after mode, with the Gaussian processes.
    """
    shares = [_shared(state.messages[mode], entries.indices[:, mode]) for mode in range(len(state.functions))]
    whole = None
    if state.core_messages is not None:
        one_row = Messages(state.core_messages.precision[None], state.core_messages.shift[None])
        whole = _shared(one_row, np.zeros(len(entries.values), int))
    for _ in range(epochs):
        for mode in range(len(shares)):
            state = _functions(entries, state, shares, mode, hyper, model)
        if whole is not None:
            state = _core(entries, state, whole, hyper)
        state = _noise(entries, state, hyper)
    return state


def _shared(messages: Messages, rows: np.ndarray | Array) -> list[tuple[np.ndarray, np.ndarray]]:
    counts, size = np.bincount(rows, minlength=len(messages.shift)), messages.shift.shape[-1]
    return [(INITIAL_MESSAGE * np.eye(size), messages.shift[row] / counts[row]) for row in rows]


def _product(state: State, modes: list[int], place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """E[z] and E[z z^T] at one entry."""
    means = [np.asarray(state.functions[m].mean[place[m]]) for m in modes]
    seconds = [np.asarray(state.functions[m].covariance[place[m]]) + np.outer(u, u) for m, u in zip(modes, means, strict=True)]
    combine = np.multiply if state.core is None else np.kron
    return reduce(combine, means), reduce(combine, seconds)


def _functions(entries, state, shares, mode, hyper, model):
    modes = list(range(len(state.functions)))
    others = [m for m in modes if m != mode]
    rank, t = model.rank, entries.coordinates[mode].astype(float)
    unfolded = np.eye(rank)
    if state.core is not None:
        unfolded = np.moveaxis(np.asarray(state.core.mean).reshape((rank,) * len(modes)), mode, 0).reshape(rank, -1)
    precision, shift = np.zeros((len(t), rank, rank)), np.zeros((len(t), rank))
    for n, (place, y) in enumerate(zip(entries.indices, entries.values, strict=True)):
        z, zz = _product(state, others, place)
        new = state.noise_precision * unfolded @ zz @ unfolded.T, state.noise_precision * unfolded @ z * y
        shares[mode][n] = tuple(
            hyper.damping * old + (1 - hyper.damping) * x for old, x in zip(shares[mode][n], new, strict=True)
        )
        precision[place[mode]] += shares[mode][n][0]
        shift[place[mode]] += shares[mode][n][1]
    seen = np.unique(entries.indices[:, mode])
    noise = [np.linalg.inv(precision[j] + np.eye(rank) / hyper.extra_variance) for j in seen]
    observed = np.concatenate([v @ shift[j] for v, j in zip(noise, seen, strict=True)])
    posterior = _regression(t, seen, observed, noise, model.nu, hyper.variances[mode], hyper.lengthscales[mode])
    functions = (*state.functions[:mode], posterior, *state.functions[mode + 1 :])
    return state._replace(functions=functions)


def _regression(t, seen, observed, noise, nu, variance, lengthscale) -> Gaussian:
    rank = len(noise[0])
    kernel = np.kron(np.asarray(matern_kernel(nu, variance, lengthscale, t[:, None] - t)), np.eye(rank))
    chosen = (seen[:, None] * rank + np.arange(rank)).ravel()
    total = kernel[np.ix_(chosen, chosen)]
    for i, v in enumerate(noise):
        total[i * rank : (i + 1) * rank, i * rank : (i + 1) * rank] += v
    gain = kernel[:, chosen] @ np.linalg.inv(total)
    covariance = (kernel - gain @ kernel[chosen]).reshape(len(t), rank, len(t), rank)
    return Gaussian((gain @ observed).reshape(len(t), rank), covariance[np.arange(len(t)), :, np.arange(len(t))])


def _core(entries, state, whole, hyper):
    modes = list(range(len(state.functions)))
    for n, (place, y) in enumerate(zip(entries.indices, entries.values, strict=True)):
        z, zz = _product(state, modes, place)
        new = state.noise_precision * zz, state.noise_precision * z * y
        whole[n] = tuple(hyper.damping_core * old + (1 - hyper.damping_core) * x for old, x in zip(whole[n], new, strict=True))
    precision = sum(message[0] for message in whole) + hyper.core_prior_precision * np.eye(len(z))
    covariance = np.linalg.inv(precision)
    return state._replace(core=Gaussian(covariance @ sum(message[1] for message in whole), covariance))


def _noise(entries, state, hyper):
    modes, misfit = list(range(len(state.functions))), 0.0
    for place, y in zip(entries.indices, entries.values, strict=True):
        z, zz = _product(state, modes, place)
        g = np.ones(len(z)) if state.core is None else state.core.mean
        misfit += y**2 / 2 - y * g @ z + g @ zz @ g / 2
    misfit = hyper.damping_noise * state.misfit + (1 - hyper.damping_noise) * misfit
    tau = (hyper.a0 + 1.5 * len(entries.values) - len(entries.values)) / (hyper.b0 + misfit)
    return state._replace(misfit=misfit, noise_precision=tau)
