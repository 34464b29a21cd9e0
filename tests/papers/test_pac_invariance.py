"""PAC invariance: golden parity, structural equations, gaps, subsets, learners, bounds, presets, degenerate inputs, errors."""

from itertools import chain as joined
from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import f as f_distribution
from scipy.stats import ttest_ind

from quire.common.claims import run
from quire.common.testing import (
    assert_close,
    assert_degenerate,
    assert_dtypes,
    assert_gradients,
    assert_jit_consistent,
    assert_matches_float64,
    assert_vmap_consistent,
)
from quire.pac_invariance import (
    PRESETS,
    Bound,
    InterventionFamily,
    LinearSEM,
    Moments,
    Risk,
    Sweep,
    all_subsets,
    as_coefficients,
    cancelling,
    chain,
    collider,
    empirical,
    environment_gaps,
    erm,
    fork,
    from_masks,
    gap,
    group_dro,
    icp,
    irm_linear,
    irm_start,
    mix,
    nearest_nodes,
    optimal_predictor,
    orthonormal_mixing,
    orthonormal_rows,
    pac_bound_finite,
    pac_bound_vc,
    paper,
    pooled,
    random_sem,
    risk,
    search_subsets,
    second_moments,
    selection,
    split,
    vc_bound,
    violation_curve,
    violation_rate,
    worst_risk,
)
from quire.pac_invariance.benchmark import gathered_gaps, masked_gaps
from quire.pac_invariance.bound_study import bound_counts, interventions_needed
from quire.pac_invariance.claims import crossing
from quire.pac_invariance.identities import change_spectrum
from quire.pac_invariance.problems import random_problems
from quire.pac_invariance.risk_study import fit_all
from quire.pac_invariance.violation import violation_curves
from quire.pac_invariance.violation_study import unfaithful_problems

KEY = jax.random.key(0)
SEM = random_sem(KEY, 6)
FAMILY = InterventionFamily(tuple(nearest_nodes(SEM, 3).tolist()))


def environments(n, stream=1, family=FAMILY, sem=SEM):
    """Moments of n interventions."""
    return split(family.draw(sem, jax.random.key(stream), n).second_moments(), sem.target)


# --- Golden vectors ---


def golden_moments(g):
    """Covariances in the order of the golden coefficients."""
    order = g["x_index"]
    cov = jnp.asarray(g["cov_env"])
    target = int(g["target"])
    found = split(cov, target)
    assert sorted(order.tolist()) == np.delete(np.arange(cov.shape[-1]), target).tolist()
    rank = np.argsort(np.argsort(order))
    return Moments(found.xx[..., rank[:, None], rank], found.xy[..., rank], found.yy)


def test_golden_covariances_and_parents(golden):
    g = golden("pac_invariance")
    with jax.enable_x64():
        assert_close(second_moments(g["A_env"], g["noise_env"]), g["cov_env"], 1e-8)
        sem = LinearSEM(g["A"], g["noise_var"], int(g["target"]))
        assert sem.parents.tolist() == sorted(g["parents"].tolist())
        assert_close(sem.cov(), g["cov_env"][0], 1e-8)  # the first environment is without intervention


def test_golden_predictors(golden):
    g = golden("pac_invariance")
    with jax.enable_x64():
        moments = golden_moments(g)
        assert_close(optimal_predictor(moments), g["ols_env"], 1e-8)
        assert_close(optimal_predictor(moments, g["phi"]), g["phi_w_env"], 1e-8)
        assert_close(optimal_predictor(mix(moments, g["G"])), g["indirect_ols_env"], 1e-8)


def test_golden_subsets(golden):
    g = golden("pac_invariance")
    with jax.enable_x64():
        moments, masks = golden_moments(g), g["subset_mask"][:, g["x_index"]]
        found = search_subsets(moments, from_masks(masks))
        for name, values in (("grad_gap", "gradient_gap"), ("coef_gap", "coefficient_gap"), ("worst_risk", "worst_risk")):
            assert_close(getattr(found, values), g[f"subset_{name}"], 1e-8)
        for row in (0, len(masks) // 2, len(masks) - 1):  # the general form, one representation at a time
            phi = np.eye(masks.shape[1])[masks[row]]
            w = optimal_predictor(pooled(moments), phi)
            scale = g["subset_grad_gap"].max()
            assert abs(gap(moments, phi) - g["subset_grad_gap"][row]) < 1e-8 * scale
            assert abs(gap(moments, phi, kind="coefficient") - g["subset_coef_gap"][row]) < 1e-8
            assert abs(worst_risk(mix(moments, phi), w) / g["subset_worst_risk"][row] - 1) < 1e-8
        parents = np.isin(g["x_index"], g["parents"])
        row = int(np.flatnonzero((masks == parents).all(1))[0])
        assert found.gradient_gap[row] < 1e-10 > found.coefficient_gap[row]


def test_golden_bound(golden):
    g = golden("pac_invariance")
    violation, delta, size = g["bound_eps_delta_H"]
    assert pac_bound_finite(int(size), violation, delta) == g["bound_m"]


# --- Models and interventions ---


def test_moments_are_those_of_samples():
    drawn = InterventionFamily((0, 3), mean_shift=2.0).draw(chain(4), KEY, 3)
    seen = drawn.sample(jax.random.key(1), 200_000)
    expected = np.asarray(drawn.second_moments())
    np.testing.assert_allclose(np.einsum("enp,enq->epq", seen, seen) / seen.shape[1], expected, rtol=0.05, atol=0.05)
    assert_close(empirical(seen, 1).xx, split(np.einsum("enp,enq->epq", seen, seen) / seen.shape[1], 1).xx, 1e-5)
    assert SEM.sample(KEY, 7).shape == (7, 6)


def test_only_what_is_below_the_diagonal_is_read():
    A = np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32)
    assert_close(second_moments(A, np.ones(4)), second_moments(np.tril(A, -1), np.ones(4)), 1e-6)
    B = np.linalg.inv(np.eye(4) - np.tril(A, -1))
    assert_close(
        second_moments(A, np.ones(4), np.arange(4.0)), B @ (np.eye(4) + np.outer(np.arange(4), np.arange(4))) @ B.T, 1e-5
    )


@pytest.mark.parametrize("in_degree", [1, 2, 4])
def test_random_models_keep_their_bounds(in_degree):
    for seed in range(5):
        sem = random_sem(jax.random.key(seed), 9, in_degree)
        assert (sem.A != 0).sum(1).tolist() == [min(i, in_degree) for i in range(9)]
        assert sem.parents.size and sem.children.size
        np.testing.assert_allclose(np.diag(sem.cov()), np.ones(9), atol=1e-5)
        assert nearest_nodes(sem, 1)[0] in sem.children and len(set(nearest_nodes(sem, 8))) == 8


def test_interventions_change_their_sites_and_nothing_else():
    for kind in ("scale", "shift", "hard"):
        sem = random_sem(jax.random.key(3), 6)
        sites = np.delete(np.arange(6), sem.target)[[1, 3]]
        family = InterventionFamily(tuple(sites), kind=kind, mean_shift=1.0)
        drawn, others = family.draw(sem, KEY, 20), np.delete(np.arange(6), sites)
        assert (drawn.A[:, others] == sem.A[others]).all() and (drawn.noise_var[:, others] == sem.noise_var[others]).all()
        assert not drawn.shift[:, others].any() and drawn.shift[:, sites].all()
        assert ((drawn.A != 0) <= (sem.A != 0)).all()
        assert (kind == "hard") == (not drawn.A[:, sites].any())
        edges = 0 if kind == "hard" else (sem.A[sites] != 0).sum()
        assert family.num_parameters(sem) == edges + 4


@pytest.mark.parametrize("kind", ["gradient", "coefficient", "risk"])
def test_parents_are_invariant_unless_the_target_itself_is_intervened_on(kind):
    phi = selection(np.flatnonzero(np.isin(SEM.covariates, SEM.parents)), 5)
    assert gap(environments(12), phi, kind=kind) < 1e-5
    assert gap(environments(12), np.eye(5), kind=kind) > 0.01
    touched = InterventionFamily((SEM.target,), allow_target=True)
    moments = environments(12, family=touched)
    assert gap(moments, phi, kind="coefficient") > 0.1


def test_small_graphs():
    assert [sem.parents.tolist() for sem in (chain(5), fork(4), collider(4))] == [[1], [0], []]
    moved = InterventionFamily((2, 3)).draw(fork(4), KEY, 8)
    moments = split(moved.second_moments(), 1)
    assert gap(moments, selection(np.array([0]), 3)) < 1e-5 < 0.1 < gap(moments, selection(np.array([1]), 3))


def test_paths_cancel_until_someone_intervenes():
    for problem in unfaithful_problems(KEY, Sweep(num_sems=2)):
        sem = problem.sem
        assert 0 in sem.parents and abs(sem.cov()[0, sem.target]) < 1e-6
        assert np.abs(problem.environments(0, 5).second_moments()[:, 0, sem.target]).min() > 1e-4


def test_changes_span_few_directions():
    for p in (6, 12):
        values, rank = change_spectrum(KEY, p, 2)
        assert rank <= 6 and values[rank - 1] > 1e-4 and (rank == len(values) or values[rank] < 1e-5)


# --- Gaps and subsets ---


def test_risk_gap_is_the_excess_risk_and_gradients_are_gradients():
    moments, phi = environments(5), orthonormal_rows(np.random.default_rng(0).normal(size=(2, 5)))
    w = jnp.array([0.3, -0.7])
    seen = mix(moments, phi)
    excess = risk(seen, w) - risk(seen, optimal_predictor(seen))
    assert_close(environment_gaps(moments, phi, w, "risk"), excess, 1e-4)
    slopes = jax.vmap(lambda one: jax.grad(lambda w: risk(Moments(*one), w))(w))(seen)
    assert_close(environment_gaps(moments, phi, w), jnp.linalg.norm(slopes, axis=1) / 2, 1e-5)
    samples = FAMILY.draw(SEM, KEY, 2).sample(KEY, 50)
    direct = ((samples[..., SEM.target] - samples[..., SEM.covariates] @ np.arange(5)) ** 2).mean(1)
    assert_close(risk(empirical(samples, SEM.target), np.arange(5.0)), direct, 1e-5)


def test_gaps_do_not_depend_on_the_basis_of_orthonormal_rows():
    moments, phi = environments(5), orthonormal_rows(np.random.default_rng(0).normal(size=(2, 5)))
    turn = np.array([[0.6, 0.8], [-0.8, 0.6]])
    for kind in ("gradient", "coefficient", "risk"):
        assert_close(gap(moments, turn @ phi, kind=kind), gap(moments, phi, kind=kind), 1e-4)
    np.testing.assert_allclose(phi @ phi.T, np.eye(2), atol=1e-6)


def test_duplicate_rows_are_one_representation():
    moments, once = environments(5), np.eye(5)[:1]
    twice = np.concatenate([once, once])
    assert_close(optimal_predictor(moments, twice) @ twice, optimal_predictor(moments, once) @ once, 1e-5)


def test_subsets_are_all_and_their_search_is_the_definition():
    rows = [tuple(row[row >= 0].tolist()) for row in all_subsets(5, 3)]
    assert rows == list(joined.from_iterable(combinations(range(5), size) for size in (1, 2, 3)))
    moments = environments(7)
    found = search_subsets(moments, all_subsets(5, 3))
    for number in (0, 7, 20):
        phi = np.eye(5)[list(rows[number])]
        w = optimal_predictor(pooled(moments), phi)
        assert_close(found.w[number, : len(w)], w, 1e-4)
        assert_close(as_coefficients(found.w[number], all_subsets(5, 3)[number], 5), w @ phi, 1e-4)
        for kind in ("gradient", "coefficient", "risk"):
            assert abs(getattr(found, f"{kind}_gap")[number] - gap(moments, phi, kind=kind)) < 1e-4
        assert_close(found.worst_risk[number], worst_risk(mix(moments, phi), w), 1e-4)
        assert_close(found.pooled_risk[number], risk(mix(moments, phi), w).mean(), 1e-4)
    assert found.best(-1.0) == jnp.argmin(found.gradient_gap) and found.best(1e9) == jnp.argmin(found.pooled_risk)


def test_the_curve_is_the_worst_of_what_survives_training():
    train, test, subsets, eps = environments(8), environments(30, 2), all_subsets(5, 2), 0.15
    found = violation_curve(train, test, subsets, (1, 4, 8), eps)
    for place, m in enumerate((1, 4, 8)):
        part = jax.tree.map(lambda x, m=m: x[:m], train)
        worst, kept = 0.0, 0
        for row in subsets:
            phi = selection(row, 5)
            w = optimal_predictor(pooled(part), phi)
            if environment_gaps(part, phi, w).max() <= eps:
                kept += 1
                worst = max(worst, float(violation_rate(test, phi, w, eps)))
        np.testing.assert_allclose([found.worst[place], found.invariant[place]], [worst, kept / len(subsets)], atol=1e-6)
    several = violation_curves(*(jax.tree.map(lambda x: x[None], part) for part in (train, test)), subsets, (1, 4, 8), eps)
    assert_close(several.worst[0], found.worst, 1e-6)
    fixed = violation_curve(train, test, subsets, (8,), eps, jnp.zeros((15, 2)))
    lengths = jnp.linalg.norm(jnp.where(subsets >= 0, test.xy[:, subsets], 0), axis=-1)
    np.testing.assert_allclose(fixed.random[0], (lengths > eps).mean(), atol=1e-6)


def test_what_is_no_number_is_no_invariance():
    with jax.debug_nans(False):
        broken = jax.tree.map(lambda x: x * jnp.nan, environments(3))
        assert violation_rate(broken, np.eye(5), np.ones(5), 0.1) == 1
        found = violation_curve(broken, broken, all_subsets(5, 1), (1, 3), 0.1)
    assert not found.invariant.any() and (found.random == 1).all()
    assert crossing((1, 2), np.array([0.5, np.nan])) == np.inf


def test_mixing_changes_no_gap_and_any_left_inverse_will_do():
    moments, G = environments(5), orthonormal_mixing(KEY, 9, 5)
    noise = np.random.default_rng(0).normal(size=(5, 9))
    left = G.T + noise @ (np.eye(9) - G @ G.T)
    phi = np.eye(5)[:2]
    assert_close(gap(mix(moments, G), phi @ left), gap(moments, phi), 1e-4)
    assert_close(optimal_predictor(mix(moments, G)) @ G, optimal_predictor(moments), 1e-4)


def test_masked_and_gathered_gaps_agree():
    moments, subsets = environments(6), all_subsets(5, 2)
    assert_close(gathered_gaps(moments, jnp.asarray(subsets)), masked_gaps(moments, jnp.asarray(subsets)), 1e-4)


# --- Learners ---


def test_group_dro_has_the_smallest_worst_risk():
    moments = environments(6, family=InterventionFamily(FAMILY.sites, 2.0, 1.0))
    found = float(worst_risk(moments, group_dro(moments, steps=1000)))
    reference = minimize(
        lambda z: z[-1],
        np.append(np.asarray(erm(moments)), 10.0),
        constraints=[{"type": "ineq", "fun": lambda z: z[-1] - np.asarray(risk_numpy(moments, z[:-1]))}],
        method="SLSQP",
    )
    assert found <= float(worst_risk(moments, erm(moments))) + 1e-6
    assert found <= 1.02 * reference.x[-1]


def risk_numpy(moments, b):
    xx, xy, yy = (np.asarray(part, float) for part in moments)
    return yy - 2 * xy @ b + np.einsum("d,edf,f->e", b, xx, b)


def test_irm_trades_risk_for_invariance():
    moments, start = environments(8), irm_start(KEY, 2, 5)
    gaps, risks = [], []
    for lam in (0.0, 100.0):
        learned = irm_linear(moments, start, lam=lam, steps=200)
        np.testing.assert_allclose(learned.phi @ learned.phi.T, np.eye(2), atol=1e-5)
        gaps.append(float(gap(moments, learned.phi)))
        risks.append(float(risk(moments, learned.coefficients).mean()))
    assert gaps[1] < 0.7 * gaps[0] and risks[0] < risks[1]
    assert risks[0] < 1.05 * float(risk(moments, erm(moments)).mean())


def test_icp_is_the_two_tests_and_finds_causes():
    sem = chain(4)
    samples = InterventionFamily((0, 1, 3), 1.0, 1.5).draw(sem, KEY, 5).sample(KEY, 400)
    x, y, subsets = samples[..., sem.covariates], samples[..., sem.target], all_subsets(3, 3)
    found = icp(x, y, subsets)
    assert found.causes.tolist() == [False, True, False]
    chosen = x[..., [0]] - x[..., [0]].mean((0, 1))
    r = (y - y.mean()) - chosen @ np.linalg.lstsq(chosen.reshape(-1, 1), (y - y.mean()).ravel(), rcond=None)[0]
    p = []
    for e in range(5):
        rest = np.delete(r, e, 0).ravel()
        ratio = r[e].var(ddof=1) / rest.var(ddof=1)
        law = f_distribution(399, len(rest) - 1)
        p += [ttest_ind(r[e], rest, equal_var=False).pvalue, 2 * min(law.cdf(ratio), law.sf(ratio))]
    assert 0 < 10 * min(p) < 1
    np.testing.assert_allclose(found.p_values[0], 10 * min(p), rtol=1e-6)


def test_icp_names_no_cause_where_nothing_was_moved():
    samples = np.stack([chain(4).sample(jax.random.key(seed), 300) for seed in range(3)])
    assert not icp(samples[..., [0, 1, 3]], samples[..., 2], all_subsets(3, 2)).causes.any()


# --- Bounds ---


def test_bounds_grow_as_they_should():
    assert pac_bound_finite(1, 0.1, 0.05) == 30 and pac_bound_finite(31, 0.05, 0.05) == 129
    assert vc_bound(6, 2) == 8008 and pac_bound_vc(10, 0.1, 0.05) > pac_bound_vc(5, 0.1, 0.05)
    counts = bound_counts(Bound())
    assert counts[-1] == 65 and counts[:7] == (1, 2, 4, 8, 16, 32, 64)
    worst = np.array([[0.5, 0.2, 0.0], [0.5, 0.0, 0.0]])
    assert interventions_needed(worst, (1, 2, 4), 0.1, 0.05) == 4 and interventions_needed(worst, (1, 2, 4), 0.1, 0.5) == 2
    assert interventions_needed(worst + 1, (1, 2, 4), 0.1, 0.05) == np.inf


def test_crossings_are_read_between_counts():
    np.testing.assert_allclose(crossing((1, 2, 4, 8), np.array([0.9, 0.2, 0.1, 0.0])), 4.0)
    assert crossing((1, 2), np.array([0.05, 0.0])) == 1 and crossing((1, 2), np.array([0.5, 0.3])) == np.inf
    assert crossing((1, 2, 4), np.array([0.0, 0.3, 0.0])) > 2  # the last time counts


# --- Conformance ---

MOMENTS = tuple(np.asarray(part) for part in environments(3))


def test_moments_of_nodes_conform():
    A, noise = np.tril(np.random.default_rng(0).normal(size=(2, 3, 3)), -1).astype(np.float32), np.ones((2, 3), np.float32)
    assert_degenerate(second_moments, A, noise, scales=(1e-30, 1e3))
    assert_dtypes(second_moments, A, noise)
    assert_jit_consistent(second_moments, A, noise)
    assert_vmap_consistent(second_moments, A, noise)
    assert_gradients(second_moments, A[0], noise[0])


def test_gaps_conform():
    phi, w = np.eye(5, dtype=np.float32)[:2], np.array([0.5, -0.2], np.float32)
    for kind in ("gradient", "coefficient", "risk"):
        function = lambda *m, kind=kind: environment_gaps(Moments(*m), phi, w, kind)  # noqa: E731
        assert_degenerate(function, *MOMENTS, scales=(1e-10, 1e6))
        assert_jit_consistent(function, *MOMENTS)
    assert_dtypes(
        lambda xx, xy: environment_gaps(Moments(xx, xy, jnp.asarray(MOMENTS[2])), phi, w),
        *MOMENTS[:2],
        dtypes=("int32", "bfloat16"),
    )
    assert_gradients(lambda w: environment_gaps(Moments(*map(jnp.asarray, MOMENTS)), phi, w, "risk"), w)
    assert_matches_float64(lambda *m: optimal_predictor(Moments(*m)), *MOMENTS)


def test_search_conforms():
    function = lambda *m: search_subsets(Moments(*m), all_subsets(5, 2))  # noqa: E731
    assert_degenerate(function, *MOMENTS, scales=(1e-10, 1e6), differentiable=False)
    assert_jit_consistent(function, *MOMENTS)
    stacked = tuple(np.stack([part, 2 * part]) for part in MOMENTS)
    assert_vmap_consistent(function, *stacked)


# --- Presets and claims ---


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_programs_of_every_preset_fit_together(preset):
    config = preset.sweep

    def moments(models, n, d):
        shapes = ((models, n, *rest) for rest in ((d, d), (d,), ()))
        return jax.eval_shape(lambda: Moments(*(jnp.zeros(shape) for shape in shapes)))

    for p in (config.dims[0], config.dims[-1]):
        subsets = jax.eval_shape(lambda p=p: jnp.asarray(all_subsets(p - 1, config.max_size), jnp.int32))
        train, test = moments(2, max(config.counts), p - 1), moments(2, config.num_test, p - 1)
        found = jax.eval_shape(lambda *args: violation_curves(*args, config.counts, config.eps), train, test, subsets)
        assert found.worst.shape == (2, len(config.counts))
    d = preset.risk.num_nodes - 1
    one = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), moments(1, preset.risk.num_train, d))
    start, parents = (jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((preset.risk.rank, d), (d,)))
    learned = jax.eval_shape(lambda *args: fit_all(*args, preset.risk), one, start, parents)
    assert {b.shape for b in learned.values()} == {(d,)}
    assert len(random_problems(KEY, 2, preset.bound.num_nodes, 2, 2, 1.0, "random")) == 2


def test_the_identities_hold():
    assert run(paper, claims=["P1"], seeds=1).as_expected


# --- Errors ---


def test_errors(as_installed):
    moments, subsets = environments(3), all_subsets(5, 2)
    none = jax.tree.map(lambda x: x[:0], moments)
    ones = np.ones((2, 2))
    for match, call in (
        ("A has shape .* they need", lambda: second_moments(ones, np.ones(3))),
        ("zero on and above its diagonal", lambda: LinearSEM(ones, np.ones(2), 0)),
        ("noise_var is .* 2 positive variances", lambda: LinearSEM(0 * ones, np.array([1.0, 0.0]), 0)),
        ("target is 2; it must lie between 0 and 1", lambda: LinearSEM(0 * ones, np.ones(2), 2)),
        ("p is 2; it must be at least 3", lambda: random_sem(KEY, 2)),
        ("in_degree is 0", lambda: random_sem(KEY, 5, 0)),
        ("n is 0", lambda: SEM.sample(KEY, 0)),
        ("n is 0", lambda: FAMILY.draw(SEM, KEY, 0)),
        ("sites is .*; it needs at least one node", lambda: InterventionFamily(())),
        ("sites is .*each once", lambda: InterventionFamily((1, 1))),
        ("kind is 'soft'", lambda: InterventionFamily((1,), kind="soft")),  # ty: ignore[invalid-argument-type]  # the error
        ("noise_scale is -1", lambda: InterventionFamily((1,), noise_scale=-1)),
        ("model has nodes 0 to 5", lambda: InterventionFamily((6,)).draw(SEM, KEY, 1)),
        ("with the target", lambda: InterventionFamily((SEM.target,)).draw(SEM, KEY, 1)),
        ("count is 6; 5 nodes", lambda: nearest_nodes(SEM, 6)),
        ("two nodes must come before", lambda: cancelling(chain(3))),
        ("cov has shape", lambda: split(np.ones((2, 3)), 0)),
        ("target is 2", lambda: split(ones, 2)),
        ("samples has shape", lambda: empirical(np.ones((0, 3)), 0)),
        ("G has shape .* needs .*, 5", lambda: mix(moments, np.ones((2, 3)))),
        ("q is 2 and d is 3", lambda: orthonormal_mixing(KEY, 2, 3)),
        ("axis of environments", lambda: pooled(none)),
        ("axis of environments", lambda: gap(none, np.eye(5))),
        ("axis of environments", lambda: search_subsets(none, subsets)),
        ("axis of environments", lambda: group_dro(none)),
        ("axis of environments", lambda: violation_rate(none, np.eye(5), np.ones(5), 0.1)),
        ("kind is 'norm'", lambda: environment_gaps(moments, np.eye(5), np.ones(5), "norm")),
        ("w has shape .*; phi makes 5", lambda: environment_gaps(moments, np.eye(5), np.ones(4))),
        ("k at most d", lambda: orthonormal_rows(np.ones((3, 2)))),
        ("max_size is 6", lambda: all_subsets(5, 6)),
        ("masks has shape", lambda: from_masks(np.zeros((2, 3), bool))),
        ("subsets has shape", lambda: search_subsets(moments, -np.ones((1, 2), int))),
        ("between 0 and 5", lambda: search_subsets(moments, np.array([[5]]))),
        ("counts is", lambda: violation_curve(moments, moments, subsets, (4,), 0.1)),
        ("steps is 0", lambda: irm_linear(moments, irm_start(KEY, 2, 5), steps=0)),
        ("rate is 0", lambda: group_dro(moments, rate=0.0)),
        ("k is 6", lambda: irm_start(KEY, 6, 5)),
        ("x has shape", lambda: icp(np.ones((1, 5, 2)), np.ones((1, 5)), all_subsets(2, 1))),
        ("alpha is 1", lambda: icp(np.ones((2, 5, 2)), np.ones((2, 5)), all_subsets(2, 1), alpha=1.0)),
        (
            "x has 1 numbers that are not finite",
            lambda: icp(np.full((2, 2, 1), [[[np.nan], [1]], [[1], [1]]]), np.ones((2, 2)), ONE),
        ),
        ("num_hypotheses is 0", lambda: pac_bound_finite(0, 0.1, 0.1)),
        ("violation is 1", lambda: pac_bound_finite(3, 1.0, 0.1)),
        ("delta is 0", lambda: pac_bound_vc(3, 0.1, 0.0)),
        ("num_sites is 0", lambda: vc_bound(3, 0)),
        ("dims is", lambda: Sweep(dims=(32, 8))),
        ("counts is", lambda: Sweep(counts=(1, 2))),
        ("steps is 0", lambda: Risk(steps=0)),
        ("repetitions is 0", lambda: Bound(repetitions=0)),
    ):
        with pytest.raises(ValueError, match=match):
            call()


ONE = all_subsets(1, 1)
