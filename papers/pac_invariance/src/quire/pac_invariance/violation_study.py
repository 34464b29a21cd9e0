"""P2, P3, P4, P7, P8: violation rates of the worst representation that is invariant in training, over random models."""

from dataclasses import replace

import jax
import numpy as np

from quire.common.claims import shared
from quire.pac_invariance.config import Preset, Sweep
from quire.pac_invariance.graphs import cancelling, random_sem
from quire.pac_invariance.interventions import InterventionFamily
from quire.pac_invariance.moments import orthonormal_mixing, pooled
from quire.pac_invariance.problems import Placement, Problem, after, draw_moments, first, mix_each, random_problems
from quire.pac_invariance.subsets import all_subsets, search_subsets
from quire.pac_invariance.violation import ViolationCurve, violation_curves

AT, LARGE = (8,), 32
"""Training interventions and nodes of P4."""


def curves(problems: list[Problem], config: Sweep, counts: tuple[int, ...], stream: int = 0) -> dict[str, np.ndarray]:
    """Violation curves of all problems, `[problems, counts]`."""
    drawn = draw_moments(problems, stream, max(counts) + config.num_test)
    subsets = all_subsets(drawn.xy.shape[-1], config.max_size)
    return _as_dict(violation_curves(first(drawn, max(counts)), after(drawn, max(counts)), subsets, counts, config.eps))


def _as_dict(found: ViolationCurve) -> dict[str, np.ndarray]:
    return {name: np.asarray(part) for name, part in found._asdict().items()}


def _by_seed(found: dict[str, np.ndarray], seeds: int) -> dict[str, np.ndarray]:
    """Means over the models of every seed, `[seeds, counts]`."""
    return {name: part.reshape(seeds, -1, part.shape[-1]).mean(1) for name, part in found.items()}


def _problems(keys, config: Sweep, p: int, in_degree: int, num_sites: int, placement: Placement) -> list[Problem]:
    draw = (config.num_sems, p, in_degree, num_sites, config.strength, placement)
    return [problem for key in keys for problem in random_problems(key, *draw)]


@shared
def by_dimension(preset: Preset, keys: jax.Array) -> dict[str, np.ndarray]:
    """P2, P3: violation curves for every number of nodes, `[seeds, dims, counts]`; beside the first, P7's.

    `mixed`: the first number of nodes again, fresh interventions, seen through a random map with orthonormal columns;
    representations are subsets after a left inverse of it, not the one of smallest norm. `again`: fresh interventions, not mixed.
    `coordinates`: mixed, representations are subsets of what is seen.
    """
    config, seeds = preset.sweep, len(keys)
    with jax.enable_x64():
        problems = [_problems(keys, config, p, config.in_degree, config.num_sites, "nearest") for p in config.dims]
        found = [_by_seed(curves(each, config, config.counts), seeds) for each in problems]
        again = _by_seed(curves(problems[0], config, config.counts, stream=1), seeds)
        mixed = {name: _by_seed(part, seeds) for name, part in _mixed_curves(problems[0], config).items()}
    return {name: np.stack([each[name] for each in found], 1) for name in found[0]} | {
        "again": again["worst"],
        "mixed": mixed["mixed"]["worst"],
        "coordinates": mixed["coordinates"]["worst"],
        "coordinates, invariant": mixed["coordinates"]["invariant"],
    }


def _mixed_curves(problems: list[Problem], config: Sweep) -> dict[str, dict[str, np.ndarray]]:
    train, d = max(config.counts), len(problems[0].sem.covariates)
    seen = mix_each(draw_moments(problems, 2, train + config.num_test), maps := _maps(problems, 2 * d, d))
    noise = np.random.default_rng(0).standard_normal(maps.swapaxes(1, 2).shape)
    left = maps.swapaxes(1, 2) + noise - noise @ maps @ maps.swapaxes(1, 2)  # any left inverse will do
    found = {}
    for name, moments in (("mixed", mix_each(seen, left)), ("coordinates", seen)):
        subsets = all_subsets(moments.xy.shape[-1], config.max_size)
        found[name] = _as_dict(violation_curves(first(moments, train), after(moments, train), subsets, config.counts, config.eps))
    return found


def _maps(problems: list[Problem], q: int, d: int) -> np.ndarray:
    return np.stack([orthonormal_mixing(jax.random.fold_in(problem.key, 3), q, d) for problem in problems])


@shared
def by_family(preset: Preset, keys: jax.Array) -> dict[str, np.ndarray]:
    """P4: violation after 8 interventions by number of sites, at random and next to the target, and by in-degree."""
    config, p = preset.sweep, LARGE
    settings: dict[str, list[tuple[int, int, Placement]]] = {
        "sites": [(config.in_degree, count, "random") for count in config.sites]
    }
    settings |= {"sites next to the target": [(config.in_degree, count, "nearest") for count in config.sites]}
    settings |= {"in-degree": [(degree, config.num_sites, "random") for degree in config.in_degrees]}
    known, found = {}, {}
    with jax.enable_x64():
        for one in sorted({one for several in settings.values() for one in several}):  # a setting may occur twice
            few = replace(config, num_sems=config.num_family_sems, num_test=config.num_test // 2)
            known[one] = _by_seed(curves(_problems(keys, few, p, *one), few, AT), len(keys))
    for name, several in settings.items():
        for part in ("worst", "random", "invariant"):
            found[f"{name}, {part}"] = np.concatenate([known[one][part] for one in several], 1)
    return found


_search = jax.jit(jax.vmap(search_subsets, in_axes=(0, None)))


def unfaithful_problems(key: jax.Array, config: Sweep) -> list[Problem]:
    """Models with a cause of the target that does not correlate with it; the mediator and a child are intervened on."""
    found = []
    for one in jax.random.split(jax.random.fold_in(key, 8), config.num_sems):
        tries = (random_sem(jax.random.fold_in(one, number), config.dims[0], config.in_degree) for number in range(100))
        sem = cancelling(next(sem for sem in tries if sem.target >= 2))
        family = InterventionFamily((1, int(sem.children[0])), config.strength, config.strength)
        found.append(Problem(sem, family, one))
    return found


def unfaithful_study(key: jax.Array, config: Sweep, threshold: float = 0.05) -> dict[str, np.ndarray]:
    """P8: violation curves of unfaithful models, and the risk of the best invariant subset, with and without screening.

    Screening leaves out covariates whose correlation with the target, in the model without interventions, is below the threshold.
    """
    problems = unfaithful_problems(key, config)
    with jax.enable_x64():
        found = {name: part.mean(0) for name, part in curves(problems, config, config.counts).items()}
        train = draw_moments(problems, 0, max(config.counts))
        subsets = all_subsets(train.xy.shape[-1], config.max_size)
        search = _search(train, subsets)
        cov = np.stack([np.asarray(problem.sem.cov()) for problem in problems])
        seen = np.stack([np.abs(c[problem.sem.target, problem.sem.covariates]) for c, problem in zip(cov, problems, strict=True)])
        kept = ((seen >= threshold)[:, np.maximum(subsets, 0)] | (subsets < 0)).all(-1)
        risks, invariant = np.asarray(search.pooled_risk), np.asarray(search.gradient_gap) <= config.eps
        variance = np.asarray(pooled(train).yy)
    for name, allowed in (("all subsets", invariant), ("screened", invariant & kept)):
        best = np.where(allowed, risks, np.inf).min(1)
        found[f"risk, {name}"] = np.where(np.isinf(best), variance, best) / variance
    found["correlation"] = seen.min(1)
    return found
