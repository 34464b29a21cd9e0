"""FunBaT: golden vectors, messages, prediction between coordinates, grids, degenerate inputs, errors, presets."""

from dataclasses import replace
from functools import partial

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
from quire.funbat.completion import draw_sample, of_seed, run_together
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


# --- Messages and moments ---


def random_gaussian(rng, *shape):
    roots = rng.normal(size=(*shape, shape[-1]))
    return Gaussian(rng.normal(size=shape), 0.3 * roots @ np.swapaxes(roots, -1, -2) + 0.1 * np.eye(shape[-1]))


def small_state(kind, dims=(3, 4, 2), rank=2, n=12, seed=0):
    """Entries, and a state with random posteriors and empty messages."""
    rng = np.random.default_rng(seed)
    indices = np.stack([rng.integers(0, d, n) for d in dims], axis=1)
    entries = on_grid(indices, rng.normal(size=n), [np.sort(rng.uniform(size=d)) for d in dims])
    state = initial_state(entries, Model(rank, kind), KEY)
    core = None if kind == "cp" else random_gaussian(rng, rank ** len(dims))
    functions = tuple(random_gaussian(rng, d, rank) for d in dims)
    return entries, state._replace(functions=functions, core=core, noise_precision=np.float64(2.5))


def weighted_second(state, place):
    """E[z] and E[z z^T] of all modes at one place, by their definition."""
    combine = np.multiply if state.core is None else np.kron
    first, second = np.ones(1), np.ones((1, 1))
    for f, i in zip(state.functions, place, strict=True):
        first = combine(first, f.mean[i])
        second = combine(second, f.covariance[i] + np.outer(f.mean[i], f.mean[i]))
    return first, second


@pytest.mark.parametrize("kind", ["cp", "tucker"])
def test_moments_of_values(kind):
    """Mean and variance of `g^T z` under independent q's, the core's own variance apart."""
    with jax.enable_x64():
        entries, state = small_state(kind)
        rows = at_entries([Gaussian(*map(jnp.asarray, f)) for f in state.functions], entries.indices)
        mean, variance = value_moments(rows, state.core)
        total = predictive(state.functions, state.core, 2.5, entries.indices)[1]
        for n, place in enumerate(entries.indices):
            z, zz = weighted_second(state, place)
            g = np.ones(len(z)) if state.core is None else state.core.mean
            np.testing.assert_allclose((mean[n], variance[n]), (g @ z, g @ zz @ g - (g @ z) ** 2), rtol=1e-9)
            extra = 0.0 if state.core is None else np.sum(state.core.covariance * zz)
            np.testing.assert_allclose(total[n], variance[n] + extra + 1 / 2.5, rtol=1e-9)


@pytest.mark.parametrize("kind", ["cp", "tucker"])
def test_conditional_moments_belong_to_their_mode(kind):
    """A value is linear in every mode's functions; without variance its weights are known exactly."""
    with jax.enable_x64():
        entries, state = small_state(kind)
        sure = [Gaussian(jnp.asarray(f.mean), 0 * jnp.asarray(f.covariance)) for f in state.functions]
        rows = at_entries(sure, entries.indices)
        core = None if kind == "cp" else jnp.asarray(state.core.mean).reshape(2, 2, 2)
        each = [row.mean for row in rows]
        value = jnp.prod(jnp.stack(each), 0).sum(-1) if core is None else tucker_score(core, *each)
        for mode, row in enumerate(rows):
            c, cc = conditional_moments(rows, state.core, mode)
            np.testing.assert_allclose(jnp.sum(c * row.mean, -1), value, rtol=1e-9)
            np.testing.assert_allclose(cc, c[:, :, None] * c[:, None], rtol=1e-9, atol=1e-12)


def test_core_update_has_a_prior():
    """`V_G = (rho old + (1 - rho) E[tau] sum E[z z^T] + lambda I)^{-1}`, and its mean."""
    with jax.enable_x64():
        entries, state = small_state("tucker")
        hyper = Hyper((1.0,) * 3, (1.0,) * 3, damping_core=0.25, core_prior_precision=3.0)
        found = update_core(entries, jax.tree.map(jnp.asarray, state), hyper)
        parts = [weighted_second(state, place) for place in entries.indices]
        precision = 0.25 * state.core_messages.precision + 0.75 * 2.5 * sum(zz for _, zz in parts)
        pull = sum(y * z for y, (z, _) in zip(entries.values, parts, strict=True))
        shift = 0.25 * state.core_messages.shift + 0.75 * 2.5 * pull
        assert_close(found.core_messages.precision, precision, 1e-12)
        covariance = np.linalg.inv(precision + 3 * np.eye(8))
        assert_close(tuple(found.core), (covariance @ shift, covariance), 1e-9)


def test_noise_update_by_its_definition():
    with jax.enable_x64():
        entries, state = small_state("cp")
        hyper = Hyper((1.0,) * 3, (1.0,) * 3, damping_noise=0.25, a0=2.0, b0=3.0)
        b = 0.0
        for y, place in zip(entries.values, entries.indices, strict=True):
            z, zz = weighted_second(state, place)
            b += y**2 / 2 - y * z.sum() + zz.sum() / 2
        found = update_noise(entries, jax.tree.map(jnp.asarray, state), hyper)
        np.testing.assert_allclose(found.misfit, 0.25 * len(entries.values) + 0.75 * b, rtol=1e-12)
        np.testing.assert_allclose(found.noise_precision, (2 + len(entries.values) / 2) / (3 + found.misfit), rtol=1e-12)


@pytest.mark.parametrize("joint", [False, True])
def test_joint_epochs_take_all_messages_first(joint):
    """Without processes, so that a posterior is what its messages say."""
    with jax.enable_x64():
        entries, state = small_state("cp", dims=(3, 4))
        model = Model(2, "cp", smooth=False, joint=joint)
        hyper = Hyper((1.0,) * 2, (1.0,) * 2, 0.3, extra_variance=2.0)
        found = run_epochs(entries, state, hyper, 1, model=model)
        source = (state if joint else found).functions[0]
        precision = 0.3 * state.messages[1].precision.copy()
        for place in entries.indices:
            u = np.asarray(source.mean[place[0]])
            precision[place[1]] += 0.7 * 2.5 * (np.asarray(source.covariance[place[0]]) + np.outer(u, u))
        assert_close(found.messages[1].precision, precision, 1e-12)
        assert_close(found.functions[1].covariance, np.linalg.inv(precision + np.eye(2) / 2), 1e-9)


def test_first_state():
    """Positive means, small variance, one message for each entry; another key, another start."""
    entries, _ = small_state("tucker")
    state = initial_state(entries, Model(2, "tucker"), KEY, variance=0.2)
    for mode, (f, messages) in enumerate(zip(state.functions, state.messages, strict=True)):
        assert (f.mean > 0).all() and (f.mean < 1).all()
        np.testing.assert_allclose(f.covariance, np.broadcast_to(0.2 * np.eye(2), f.covariance.shape), rtol=1e-6)
        counts = np.bincount(entries.indices[:, mode], minlength=len(f.mean))
        np.testing.assert_allclose(messages.precision, 1e-3 * counts[:, None, None] * np.eye(2)[None], rtol=1e-6)
        assert (messages.shift <= 1e-3 * counts[:, None]).all() and messages.shift.sum() > 0
    np.testing.assert_allclose(state.core_messages.precision, 12e-3 * np.eye(8), rtol=1e-6)
    assert state.misfit == 12 and state.noise_precision == 1
    other = initial_state(entries, Model(2, "tucker"), jax.random.key(1))
    assert not np.allclose(other.core.mean, state.core.mean)


# --- Between coordinates ---


def test_new_coordinates_have_the_posterior_of_dense_regression():
    """A small inference; then its messages as observations, some coordinates without an entry."""
    with jax.enable_x64():
        entries, state = small_state("cp", dims=(6, 5), n=9)
        entries = entries._replace(indices=np.where(entries.indices == 2, 1, entries.indices))
        model, hyper = Model(2, "cp", 1.5), Hyper((0.3, 0.5), (1.5, 0.7), 0.2, 0.2)
        state = run_epochs(entries, initial_state(entries, model, KEY), hyper, 3, model=model)
        t_new = np.array([0.9, -0.4, entries.coordinates[1][3], 0.9, 1.7])
        found = functions_at(entries, state, hyper, model, 1, t_new)
        seen = np.unique(entries.indices[:, 1])
        assert 2 not in seen
        noise = np.linalg.inv(np.asarray(state.messages[1].precision) + np.eye(2))
        y = np.einsum("nij,nj->ni", noise, np.asarray(state.messages[1].shift))
        t = entries.coordinates[1][seen]
        dense = gp_posterior(t, y[seen], noise[seen], t_new, nu=1.5, variance=0.7, lengthscale=0.5)
        assert_close(tuple(found), dense[:2], 1e-8)
        known = functions_at(entries, state, hyper, model, 1, entries.coordinates[1])
        assert_close(tuple(known), tuple(state.functions[1]), 1e-9)
        coords = np.stack([t_new, t_new[::-1]], axis=1)
        first = functions_at(entries, state, hyper, model, 0, coords[:, 0])
        second = functions_at(entries, state, hyper, model, 1, coords[:, 1])
        places = np.stack([np.arange(5)] * 2, axis=1)
        assert_close(
            predict_at(entries, state, hyper, model, coords),
            predictive((first, second), None, state.noise_precision, places),
            1e-9,
        )


def test_grids_know_nothing_between_coordinates():
    entries, state = small_state("cp", dims=(4, 3))
    hyper, model = Hyper((1.0,) * 2, (1.0,) * 2, extra_variance=0.5), Model(2, "cp", smooth=False)
    state = run_epochs(entries, initial_state(entries, model, KEY), hyper, 2, model=model)
    found = functions_at(entries, state, hyper, model, 0, np.array([0.123, 7.0]))
    np.testing.assert_array_equal(found.mean, 0)
    np.testing.assert_allclose(found.covariance, np.broadcast_to(0.5 * np.eye(2), (2, 2, 2)))
    assert_close(functions_at(entries, state, hyper, model, 0, entries.coordinates[0]).mean, state.functions[0].mean, 1e-5)


@pytest.mark.parametrize("nu", [0.5, 1.5])
def test_authors_merge_is_exact_at_the_ends_and_too_sure_inside(nu):
    rng = np.random.default_rng(0)
    t, new = np.sort(rng.uniform(size=7)), np.array([-0.3, 0.0, 1.4])
    new[1] = (t[3] + t[4]) / 2
    with jax.enable_x64():
        q = random_gaussian(rng, 7, 2)
        sde = matern_sde(nu, 1.3, 0.4, 2)
        smoothed = rts_smoother(t, kalman_filter(t, *q, sde), sde)
        merged = authors_merge(jnp.asarray(t), *smoothed, sde, np.concatenate([new, t[2:3]]))
        mean, covariance, _ = gp_posterior(t, *q, new, nu=nu, variance=1.3, lengthscale=0.4)
        for i in (0, 2):
            assert_close((merged.mean[i], merged.covariance[i]), (mean[i], covariance[i]), 1e-9)
        assert np.linalg.eigvalsh(covariance[1] - merged.covariance[1]).min() > 0
        own = smoothed_values(*smoothed, sde)
        assert_close((merged.mean[3], merged.covariance[3]), (own[0][2], own[1][2]), 1e-12)


def test_kernels_are_scikit_learn_s():
    from sklearn.gaussian_process.kernels import Matern

    r = np.linspace(0, 3, 7)
    for nu in (0.5, 1.5, 2.5):
        expected = 1.7 * Matern(0.6, nu=nu)(r[:, None], np.zeros((1, 1)))[:, 0]
        np.testing.assert_allclose(matern_kernel(nu, 1.7, 0.6, -r), expected, rtol=1e-5)
    with pytest.raises(ValueError, match=r"nu is 0\.7"):
        matern_kernel(0.7, 1.0, 1.0, r)


# --- The whole ---


def curve_entries(n=120, seed=0):
    x = np.random.default_rng(seed).uniform(size=(n, 2))
    return x, np.sin(6 * x[:, 0]) * np.exp(-x[:, 1])


def estimator(**changes):
    settings = {"nu": 1.5, "lengthscales": 0.3, "damping": 0.1, "damping_noise": 0.2} | changes
    return FunBaT(1, "cp", **settings)


def test_fit_and_predict_between_the_entries():
    x, y = curve_entries()
    new, truth = curve_entries(seed=1)
    model = estimator(standardise=False)
    mean, variance = model.fit(x, y, 60, KEY).predict(new)
    assert np.sqrt(np.mean((mean - truth) ** 2)) < 0.15 * truth.std()
    assert np.mean(np.abs(mean - truth) < 2 * np.sqrt(variance)) > 0.9
    u, spread = model.functions(0, np.linspace(0, 1, 9))
    assert abs(np.corrcoef(u[:, 0], np.sin(6 * np.linspace(0, 1, 9)))[0, 1]) > 0.98
    assert (spread > 0).all()
    shuffled = np.random.default_rng(2).permutation(len(new))
    assert_close(model.predict(new[shuffled])[0], mean[shuffled], 1e-5)
    far = model.predict(np.array([[50.0, -50.0]]))  # the prior: nothing is known there
    np.testing.assert_allclose(far[0], 0, atol=1e-3)
    assert far[1] > 0.9


def test_units_of_the_values():
    x, y = curve_entries()
    new = x[:7] + 0.01
    one, other = (estimator().fit(x, values, 20, KEY).predict(new) for values in (y, 30 * y + 200))
    assert_close(other[0], 30 * one[0] + 200, 1e-4)
    assert_close(other[1], 900 * one[1], 1e-3)


@pytest.mark.parametrize(
    "change",
    [
        lambda x, y: (x, np.full_like(y, 7.0)),
        lambda x, y: (x, 0 * y),
        lambda x, y: (0 * x, y),
        lambda x, y: (x, 1e6 * y),
        lambda x, y: (np.repeat(x[:1], len(x), 0), y),
        lambda x, y: (np.round(x), y),
    ],
    ids=["constant", "zeros", "one place", "large", "one entry repeated", "few places"],
)
def test_degenerate_entries_have_an_answer(change):
    x, y = change(*curve_entries(30))
    mean, variance = FunBaT(1, "cp", smooth=False).fit(x, y, 5, KEY).predict(np.concatenate([x[:3], x[:3] + 5]))
    assert np.isfinite(mean).all() and np.isfinite(variance).all() and (variance >= 0).all()
    if change(*curve_entries(30))[1].std() == 0:
        assert abs(mean[0] - y[0]) < 1e-3


def test_inference_does_not_collapse():
    """Sparse entries, small values: the predictions are not those of the fixed point at 0."""
    x, y = curve_entries(40)
    mean, _ = estimator(standardise=False).fit(x, y, 40, KEY).predict(x)
    assert np.std(mean) > 0.5 * y.std()


def test_numbers_that_diverge_are_an_error():
    model = FunBaT(1, "cp", smooth=False, standardise=False)
    with jax.debug_nans(False), pytest.raises(TrainingDiverged):
        model.fit(*((lambda x, y: (x, 1e30 * y))(*curve_entries(20))), 8, KEY)
    with pytest.raises(ValueError, match="call fit first"):
        model.predict(np.zeros((1, 2)))


def test_entries_and_their_dtypes(as_installed):
    x = np.array([[2.0, 1.0], [0.5, 1.0], [2.0, 3.0], [2.0, 1.0]])
    found = entries_at(x, np.array([1, 2, 3, 4]))
    assert found.indices.tolist() == [[1, 0], [0, 0], [1, 1], [1, 0]]
    assert [t.tolist() for t in found.coordinates] == [[0.5, 2.0], [1.0, 3.0]]
    assert found.values.dtype == found.coordinates[0].dtype == np.float32
    for dtype in ("uint8", "int32", "bool", jnp.bfloat16, np.float16):
        assert entries_at(x.astype(dtype), np.ones(4, dtype)).values.dtype == np.float32
    with jax.enable_x64():
        assert entries_at(x, np.arange(4)).values.dtype == np.float64
        assert entries_at(x, np.ones(4, np.float32)).coordinates[0].dtype == np.float32


BAD = [
    (lambda: Model(0), "rank is 0"),
    (lambda: Model(1, "parafac"), "kind is 'parafac'"),
    (lambda: Model(1, nu=1.0), "nu is 1.0"),
    (lambda: FunBaT(1, damping=1.0), "damping is 1.0"),
    (lambda: FunBaT(1, damping_core=-0.1), "damping_core is -0.1"),
    (lambda: FunBaT(1, extra_variance=0.0), "extra_variance is 0.0"),
    (lambda: FunBaT(1, core_prior_precision=-1.0), "core_prior_precision is -1.0"),
    (lambda: FunBaT(1, lengthscales=0.0).fit(*curve_entries(9), 1, KEY), "lengthscales is 0.0"),
    (lambda: FunBaT(1, variances=(1.0, -1.0)).fit(*curve_entries(9), 1, KEY), "variances is -1.0"),
    (lambda: FunBaT(1, lengthscales=(1.0,) * 3).fit(*curve_entries(9), 1, KEY), "lengthscales are 3 numbers"),
    (lambda: FunBaT(1, initial_variance=0.0).fit(*curve_entries(9), 1, KEY), "variance is 0.0"),
    (lambda: FunBaT(1).fit(*curve_entries(9), 0, KEY), "epochs is 0"),
    (lambda: FunBaT(1).functions(0, np.zeros(1)), "call fit first"),
    (lambda: entries_at(np.zeros((3, 1)), np.zeros(3)), "2 modes or more"),
    (lambda: entries_at(np.zeros((3, 2)), np.zeros(4)), r"values \(4,\)"),
    (lambda: entries_at(np.zeros((0, 2)), np.zeros(0)), "number of entries is 0"),
    (lambda: entries_at(np.array([[0.0, np.nan]]), np.ones(1)), "1 numbers that are not finite"),
    (lambda: entries_at(np.zeros((1, 2)), np.array([np.inf])), "values holds 1"),
    (lambda: entries_at(np.zeros((1, 2)), np.array([1j])), "values has dtype complex128"),
    (lambda: entries_at(np.zeros((1, 2)), np.array(["a"])), "values has dtype"),
    (lambda: on_grid(np.array([[0, 2]]), np.ones(1), [np.zeros(1), np.arange(2.0)]), "indices of mode 1"),
    (lambda: on_grid(np.array([[0, 0]]), np.ones(1), [np.zeros(1), np.zeros(2)]), "coordinates of mode 1 do not ascend"),
    (lambda: on_grid(np.array([[0]]), np.ones(1), [np.zeros(1), np.zeros(1)]), "indices has shape"),
    (lambda: from_authors_core(np.zeros(6), 2), "a power of the rank"),
    (lambda: from_authors_core(np.zeros((8, 4)), 2), "a power of the rank"),
    (lambda: tucker_als(np.zeros((2, 2), int), np.ones(2), (1, 1), 1, 0.0, key=KEY), "ridge is 0.0"),
    (lambda: tucker_als(np.zeros((2, 2), int), np.ones(2), (1,), 1, 1.0, key=KEY), "dims"),
    (lambda: open_problem(replace(PRESETS["quick"].curves, data_set="weather")), "data_set is 'weather'"),
]


@pytest.mark.parametrize(("call", "message"), BAD, ids=[message for _, message in BAD])
def test_wrong_arguments(call, message, as_installed):
    with pytest.raises(ValueError, match=message):
        call()


def test_wrong_places_of_predictions(as_installed):
    model = FunBaT(1, "cp", smooth=False).fit(*curve_entries(30), 5, KEY)
    for call, message in (
        (lambda: model.predict(np.zeros((2, 3))), r"coords has shape \(2, 3\)"),
        (lambda: model.predict(np.full((1, 2), np.nan)), "not finite"),
        (lambda: model.functions(2, np.zeros(1)), "mode runs from 2"),
        (lambda: model.functions(0, np.zeros((1, 1))), r"t has shape \(1, 1\)"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_regression_at_the_edges():
    def posterior(y, noise):
        noise = noise[:, None] * noise[:, :, None] + jnp.eye(1)[None]
        t = jnp.linspace(0.0, 1.0, len(y))
        return gp_posterior(t, y, noise, t, nu=1.5, variance=1.0, lengthscale=0.5)[:2]

    y = np.random.default_rng(0).normal(size=(4, 1)).astype(np.float32)
    assert_degenerate(posterior, y, y, scales=(1e-30, 1e3))
    assert_dtypes(posterior, y, y, tolerance=1e-4)


# --- What it is compared with ---


def test_tucker_als_finds_a_tensor_of_its_ranks():
    rng = np.random.default_rng(0)
    factors, core = [rng.normal(size=(d, 2)) for d in (5, 6, 4)], rng.normal(size=(2, 2, 2))
    x = np.einsum("abc,ia,jb,kc->ijk", core, *factors)
    seen = rng.uniform(size=x.shape) < 0.8
    found, rows = tucker_als(np.argwhere(seen), x[seen], x.shape, 2, 1e-4, key=KEY, sweeps=150)
    rest = np.argwhere(~seen)
    values = tucker_score(found, *(f[rest[:, m]] for m, f in enumerate(rows)))
    assert np.sqrt(np.mean((values - x[~seen]) ** 2)) < 0.05 * x.std()


def test_additive_effects_are_ridge_regression():
    rng = np.random.default_rng(0)
    indices = rng.integers(0, 3, (40, 3))
    y = rng.normal(size=40)
    cell, year = 3 * indices[:, 0] + indices[:, 1], indices[:, 2]
    design = np.hstack([np.eye(9)[cell], np.eye(3)[year]])
    effects = np.linalg.solve(design.T @ design + 0.5 * np.eye(12), design.T @ (y - y.mean()))
    np.testing.assert_allclose(additive_effects(indices, y, indices, 0.5), y.mean() + design @ effects, atol=1e-6)


def test_process_over_coordinates(monkeypatch):
    monkeypatch.setattr("quire.funbat.baselines.LENGTHSCALES", (2.0,))
    monkeypatch.setattr("quire.funbat.baselines.NOISES", (0.1,))
    rng = np.random.default_rng(0)
    t = tuple(np.sort(rng.uniform(size=5)) for _ in range(2))
    indices, test, y = rng.integers(0, 5, (12, 2)), rng.integers(0, 5, (6, 2)), rng.normal(size=12)

    def kernel(a, b):
        return np.prod([np.exp(-np.abs(x[a[:, m], None] - x[b[:, m]]) / 0.6) for m, x in enumerate(t)], axis=0)

    found = process_over_coordinates(t, indices, y, test, nu=0.5, lengthscale=0.3, most=99, key=KEY)
    expected = kernel(test, indices) @ np.linalg.solve(kernel(indices, indices) + 0.1 * np.eye(12), y)
    np.testing.assert_allclose(found, expected, atol=1e-4)


# --- Data and presets ---


def test_seeds_side_by_side_are_seeds_alone():
    """Coordinates that only other seeds use do not change what a seed finds."""
    problem = open_problem(replace(PRESETS["quick"].curves, data_set="generated curves", num_entries=20)).value
    keys = jnp.stack([jax.random.key(seed) for seed in range(2)])
    sample = draw_sample(problem, keys)
    assert not np.array_equal(sample.entries.indices[0], sample.entries.indices[1])
    np.testing.assert_allclose(sample.entries.values.std(1), 1, rtol=1e-5)
    model, hyper = Model(1, "cp", 0.5), problem.completion.inference.hyper(2)
    starts = [initial_state(of_seed(sample.entries, seed), model, KEY) for seed in range(2)]
    both = jax.tree.map(lambda *x: np.stack(x), *starts)
    states = run_together(sample.entries, both, hyper, 4, model=model)
    used = [np.unique(column) for column in sample.entries.indices[1].T]
    narrow = entries_at(
        np.stack([t[i] for t, i in zip(sample.entries.coordinates, sample.entries.indices[1].T, strict=True)], axis=1),
        sample.entries.values[1],
    )
    start = starts[1]._replace(
        functions=tuple(Gaussian(*(x[u] for x in f)) for f, u in zip(starts[1].functions, used, strict=True)),
        messages=tuple(Messages(*(x[u] for x in f)) for f, u in zip(starts[1].messages, used, strict=True)),
    )
    alone = run_epochs(narrow, start, hyper, 4, model=model)
    for mode, u in enumerate(used):
        assert_close(alone.functions[mode].mean, states.functions[mode].mean[1][u], 1e-4)
    assert_close(alone.noise_precision, states.noise_precision[1], 1e-4)


def test_data_and_what_stands_in(monkeypatch, tmp_path, as_installed):
    monkeypatch.setenv("QUIRE_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for completion in (PRESETS["standard"].temperatures, *PRESETS["standard"].further, PRESETS["paper"].curves):
        with pytest.raises(DatasetUnavailable, match="us-temp"):
            open_problem(completion)
    found = open_problem(PRESETS["quick"].temperatures)
    assert "generated" in found.name and found.stand_in_for == "us temperatures"
    found = open_problem(PRESETS["quick"].curves)
    assert "generated" in found.name and found.stand_in_for == "simulated curves"
    first, second = found.value.functions
    train = found.value.split.train
    np.testing.assert_allclose(train.values, first[train.indices[:, 0]] * second[train.indices[:, 1]])
    assert generated_temperatures(train=50, test=20).train.dims == (15, 95, 267)


DIMS = {"simulated curves": (90, 90), "us temperatures": (15, 95, 267), "beijing pm2.5": (428, 501, 1461)}


@pytest.mark.parametrize("name", PRESETS)
def test_presets_trace(name):
    """Inference and prediction of every completion, by shapes alone."""
    preset = PRESETS[name]
    for completion in (preset.curves, preset.temperatures, *preset.further):
        dims, inference = DIMS[completion.data_set], completion.inference
        coordinates = [np.linspace(0, 1, d) for d in dims]
        entries = on_grid(np.zeros((3, len(dims)), int), np.zeros(3), coordinates)
        state = initial_state(entries, inference.model(), KEY)
        hyper = inference.hyper(len(dims)).checked(len(dims))
        for smooth in (True, False):
            infer = partial(run_epochs, hyper=hyper, epochs=2, model=inference.model(smooth=smooth))
            found = jax.eval_shape(infer, entries, state)
            assert jax.tree.map(lambda x: x.shape, found) == jax.tree.map(lambda x: x.shape, state)
        mean, variance = jax.eval_shape(predictive, found.functions, found.core, found.noise_precision, entries.indices)
        assert mean.shape == variance.shape == (3,)


def test_reference_is_what_the_golden_vectors_say(vectors):
    """The message-by-message definition agrees with the authors' classes too."""
    case = vectors.case("cep_tucker_m32")
    with jax.enable_x64():
        entries, state, hyper, rank = start_of(case, np.float64)
        found = reference_epochs(entries, state, hyper, Model(rank, "tucker", 1.5), 1)
        assert_close(found.noise_precision, case["ep1_E_tau"], 1e-6)
        assert_close(found.core.mean, from_authors_core(case["ep1_gamma_m"], rank), 1e-6)
        assert_close(found.functions[0].mean, case["ep1_U_m0"], 1e-6)


def test_core_variance_of_one_mode_at_a_time():
    """`tr(V_G E[z z^T])` with the last mode apart is that of all modes at once."""
    with jax.enable_x64():
        entries, state = small_state("tucker", dims=(2, 2, 3))
        rows = at_entries([Gaussian(*map(jnp.asarray, f)) for f in state.functions], entries.indices)
        expected = [np.sum(state.core.covariance * weighted_second(state, place)[1]) for place in entries.indices]
        np.testing.assert_allclose(core_variance(rows, state.core), expected, rtol=1e-9)
