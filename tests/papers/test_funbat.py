"""FunBaT: golden vectors, messages, prediction between coordinates, grids, degenerate inputs, errors, presets."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quire.common.errors import DatasetUnavailable
from quire.common.tensors.multilinear import tucker_score
from quire.common.tensors.state_space import kalman_filter, matern_sde, rts_smoother, smoothed_values
from quire.common.testing import assert_close, assert_degenerate, assert_dtypes, cast
from quire.common.train.finite import TrainingDiverged
from quire.funbat import (
    PRESETS,
    FunBaT,
    Gaussian,
    Hyper,
    Messages,
    Model,
    State,
    authors_merge,
    chain_posterior,
    entries_at,
    from_authors_core,
    functions_at,
    generated_temperatures,
    gp_posterior,
    initial_state,
    matern_kernel,
    on_grid,
    predict_at,
    predictive,
    run_epochs,
    tucker_als,
)
from quire.funbat.baselines import additive_effects, process_over_coordinates
from quire.funbat.brute_force import reference_epochs
from quire.funbat.cep import update_core, update_noise
from quire.funbat.completion import draw_sample, run_together
from quire.funbat.model import INITIAL_MESSAGE
from quire.funbat.moments import at_entries, conditional_moments, core_variance, value_moments
from quire.funbat.sources import open_problem

KEY = jax.random.key(0)
NU = {"m12": 0.5, "m32": 1.5}


@pytest.fixture(scope="module")
def vectors(golden):
    return golden("funbat")


def cases(vectors, start):
    return sorted({name.split("/")[0] for name in vectors.arrays if name.startswith(start)})


# --- Golden vectors ---


@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize("name", NU)
def test_golden_regression(vectors, name, parallel):
    """Filter, smoother, new coordinates and density against the authors' chain and dense regression."""
    with jax.enable_x64():
        x = vectors.case(name)
        t, y, noise, new = x["t"], x["y"], x["R"], x["t_star"]
        sde = matern_sde(NU[name], float(x["variance"]), float(x["lengthscale"]), y.shape[1])
        assert_close((sde.drift, sde.stationary), (x["F"], x["Pinf"]), 1e-6)  # the authors' are rounded to float32
        filtered = kalman_filter(t, y, noise, sde, parallel=parallel)
        smoothed = rts_smoother(t, filtered, sde, parallel=parallel)
        assert_close((filtered.mean, filtered.covariance), (x["filter_m"], x["filter_P"]), 1e-6)
        assert_close(smoothed, (x["smooth_m"], x["smooth_P"]), 1e-6)
        assert_close(filtered.log_marginal, x["log_marginal"], 1e-7)
        dense = gp_posterior(t, y, noise, new, nu=NU[name], variance=x["variance"], lengthscale=x["lengthscale"])
        expected = x["exact_gp_mean_star"], x["exact_gp_cov_star"], x["log_marginal"]
        assert_close(dense, expected, 1e-7)
        grid, seen = np.sort(np.concatenate([t, new])), np.isin(np.sort(np.concatenate([t, new])), t)
        filled = np.zeros((len(grid), *y.shape[1:])), np.broadcast_to(np.eye(y.shape[1]), (len(grid), *noise.shape[1:])).copy()
        filled[0][seen], filled[1][seen] = y, noise
        settings = {"variance": x["variance"], "lengthscale": x["lengthscale"], "nu": NU[name], "parallel": parallel}
        found = chain_posterior(grid, *filled, seen, **settings)
        place = np.searchsorted(grid, new)
        assert_close((found[0][place], found[1][place], found[2]), expected, 1e-7)
        merged = authors_merge(jnp.asarray(t), *smoothed, sde, new)
        for i, where in ((1, "mid"), (2, "end")):
            assert_close(merged.mean[i], x[f"authors_merge_{where}_mean"], 1e-6)
            assert_close(merged.covariance[i], x[f"authors_merge_{where}_cov"], 1e-6)


def start_of(case, dtype):
    """Entries, first state, numbers and model of a case of the authors'."""
    x = cast(case, dtype)
    modes, n = case["ind"].shape[1], len(case["y"])
    rank, v, a0, b0, rho, rho_noise, rho_core = (float(h) for h in case["hyper"])
    rank = int(rank)
    entries = on_grid(case["ind"], x["y"], [x[f"coords{k}"] for k in range(modes)])
    functions, messages = [], []
    for k in range(modes):
        size = len(case[f"coords{k}"])
        shift = np.zeros((size, rank))
        np.add.at(shift, case["ind"][:, k], case[f"init_msg_U_eta{k}"])
        counts = np.bincount(case["ind"][:, k], minlength=size)
        eye = np.broadcast_to(np.eye(rank), (size, rank, rank))
        functions.append(Gaussian(case[f"init_U_m{k}"], case["init_U_v_scale"] * eye))
        messages.append(Messages(INITIAL_MESSAGE * counts[:, None, None] * eye, shift))
    core = core_messages = None
    if "init_gamma_m" in case:
        size = rank**modes
        core = Gaussian(from_authors_core(case["init_gamma_m"], rank), np.eye(size))
        shift = from_authors_core(case["init_msg_gamma_eta"].sum(0), rank)
        core_messages = Messages(n * INITIAL_MESSAGE * np.eye(size), shift)
    state = State(tuple(functions), core, np.ones(()), tuple(messages), core_messages, np.full((), float(n)))
    state = jax.tree.map(lambda a: np.asarray(a, dtype), state)
    kernels = (tuple(case["lengthscales"].tolist()), tuple(case["variances"].tolist()))
    return entries, state, Hyper(*kernels, rho, rho_noise, rho_core, v, a0, b0), rank


@pytest.mark.parametrize(
    ("name", "x64"), [("cep_cp_m12", True), ("cep_tucker_m12", True), ("cep_tucker_m32", True), ("cep_tucker_m32", False)]
)
def test_golden_epochs(vectors, name, x64):
    case, tolerance = vectors.case(name), 1e-6 if x64 else 2e-2
    with jax.enable_x64(x64):
        entries, state, hyper, rank = start_of(case, np.float64 if x64 else np.float32)
        model = Model(rank, name.split("_")[1], NU[name.split("_")[2]])
        done = 0
        for count in sorted({int(key.split("_")[0][2:]) for key in case if key.startswith("ep")}):
            state = run_epochs(entries, state, hyper, count - done, model=model)
            done = count
            for k, f in enumerate(state.functions):
                assert_close(tuple(f), (case[f"ep{count}_U_m{k}"], case[f"ep{count}_U_v{k}"]), tolerance)
            if state.core is not None:
                expected = (case[f"ep{count}_gamma_m"], case[f"ep{count}_gamma_v"])
                assert_close(tuple(state.core), tuple(from_authors_core(a, rank) for a in expected), tolerance)
            assert_close(state.noise_precision, case[f"ep{count}_E_tau"], tolerance)
            found, _ = value_moments(at_entries(state.functions, entries.indices), state.core)
            assert_close(found, case[f"ep{count}_pred"], tolerance)
            mean, _ = predictive(state.functions, state.core, state.noise_precision, entries.indices)
            assert_close(mean, found, 1e-12 if x64 else 1e-6)
