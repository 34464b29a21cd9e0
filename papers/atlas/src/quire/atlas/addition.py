"""Task addition: one model for all domains, by composing their task vectors (section 5.1)."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from quire.atlas.block_budget import random_blocks, select_blocks, select_task_vectors
from quire.atlas.composition import combine
from quire.atlas.config import Preset
from quire.atlas.learning import block_or_vector, coefficients, learn
from quire.atlas.library import family_of, linear_library, moved_logits, parts_of
from quire.atlas.objectives import lp_penalty
from quire.atlas.runs import Run, at, chosen, over_runs, random_indices, shaped
from quire.common.claims import shared
from quire.common.losses.classification import smoothed_cross_entropy
from quire.common.train.seeds import stack

ALPHAS = np.linspace(0, 1, 21, dtype=np.float32)
"""Factors that task arithmetic tries."""
PENALTY = 0.02
"""Weight of the L1 penalty where it is shown."""


@shared
def addition_study(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """Mean test accuracies over the domains `[seeds]`.

    Returns:
        `zero-shot`, `arithmetic` with its `alpha`, and `by alpha [seeds, alphas]`; `block` and `global` with their coefficients
        `[seeds, T, J]` and `[seeds, T]`; `variants [seeds, 5]`, see `VARIANTS`, and their coefficients; what is left of the
        vectors by the derivatives, `kept`; the same in linear models as `linear arithmetic` and `linear block`.
    """
    network, constants = parts_of(preset, keys, preset.domains, preset.domains)
    found = _by_factor(preset, moved_logits(network), constants, len(keys))
    constants["batches"] = _batches(preset, keys)
    count, columns = len(preset.domains), len(constants["tvs"])
    grads = _derivatives(preset, moved_logits(network), constants, len(keys))
    kept = [_kept(preset, grads[seed], key) for seed, key in enumerate(keys)]
    forms = [_rate_runs(preset, len(keys), (count, columns), tied=tied) for tied in (False, True)]
    learned = _learned(preset, moved_logits(network), constants, forms[0] + forms[1] + _variant_runs(preset, kept))
    ends = 0, len(forms[0]), 2 * len(forms[0]), None
    block, glob, variants = (jax.tree.map(lambda x, a=a, b=b: x[a:b], learned) for a, b in pairwise(ends))
    found |= _named("block", chosen(block, len(keys), -1), "block") | _named("global", chosen(glob, len(keys), -1), "vector")
    variants = shaped(variants, len(keys), len(VARIANTS))
    found |= {"variants": variants[1], "variant coef": variants[0].value["block"]}
    found["kept"] = np.stack([k["by derivative"] for k in kept])
    return found | _linear(preset, network, constants, keys)


VARIANTS = ("all", "by derivative", "at random", "whole vectors", "L1 penalty")
"""All vectors of every block, a budget of them chosen in three ways, and all with a penalty; at the middle one of the rates."""


def _linear(preset: Preset, network: Any, constants: dict, keys: jax.Array) -> dict[str, Any]:
    """Linear task arithmetic and linear block-wise coefficients."""
    logits = moved_logits(network, linear=True)
    constants = constants | {"tvs": stack([linear_library(preset, key)["tvs"] for key in keys])}
    found = _by_factor(preset, logits, constants, len(keys))
    shape = len(preset.domains), len(constants["tvs"])
    block = chosen(_learned(preset, logits, constants, _rate_runs(preset, len(keys), shape)), len(keys), -1)
    linear = {"linear arithmetic": found["arithmetic"], "linear by alpha": found["by alpha"]}
    return linear | _named("linear block", block, "block")


def _named(name: str, best: dict[str, Any], form: str) -> dict[str, Any]:
    return {name: best["test"], f"{name} coef": best["value"][form], f"{name} rate": best["rate"]}


def _batches(preset: Preset, keys: jax.Array) -> np.ndarray:
    """Validation images of every step `[seeds, steps, domains, share]`: coefficients are learned on them."""
    search, count = preset.addition, len(family_of(preset).validation.labels)
    shape = (search.steps, len(preset.domains), search.batch_size)
    return np.stack([random_indices(jax.random.fold_in(key, 30), shape, count) for key in keys])


def _rate_runs(preset: Preset, seeds: int, shape: tuple[int, int], *, tied: bool = False) -> list[Run]:
    everything = np.ones(shape, np.float32)
    return [
        {"seed": s, "kept": everything, "rate": rate, "penalty": 0.0, "tied": tied}
        for s in range(seeds)
        for rate in preset.addition.rates
    ]


def _variant_runs(preset: Preset, kept: list[dict[str, np.ndarray]]) -> list[Run]:
    rates = preset.addition.rates
    return [
        {
            "seed": seed,
            "kept": of_seed.get(name, np.ones_like(of_seed["at random"])).astype(np.float32),
            "rate": rates[len(rates) // 2],
            "tied": False,
            "penalty": PENALTY if name == "L1 penalty" else 0.0,
        }
        for seed, of_seed in enumerate(kept)
        for name in VARIANTS
    ]


def _kept(preset: Preset, grads: np.ndarray, key: jax.Array) -> dict[str, np.ndarray]:
    budget = preset.budget
    return {
        "by derivative": select_blocks(grads, budget),
        "at random": random_blocks(jax.random.fold_in(key, 31), grads.shape, budget),
        "whole vectors": select_task_vectors(grads, budget),
    }


def _loss(logits: Callable, base: Any, head: Any, deltas: Any, c: dict, indices: jax.Array) -> jax.Array:
    """Summed over the domains, each with as many images."""
    batch = jax.vmap(lambda x, i: x[i])(c["validation"], indices)
    scores = logits(base, head, deltas, batch.reshape(-1, *batch.shape[2:]))
    return len(indices) * smoothed_cross_entropy(scores, c["validation_labels"][indices].reshape(-1))


def _accuracy(logits: Callable, base: Any, head: Any, deltas: Any, c: dict, part: str) -> jax.Array:
    """Mean over the domains."""
    right = lambda x: jnp.mean(logits(base, head, deltas, x).argmax(1) == c[f"{part}_labels"])  # noqa: E731
    return jnp.mean(jax.lax.map(right, c[part]))


def _by_factor(preset: Preset, logits: Callable, constants: dict, seeds: int) -> dict[str, np.ndarray]:
    """Task arithmetic: one factor for all vectors, chosen by validation."""

    def run(run, c):
        base, head, tvs = (at(c[name], run["seed"]) for name in ("base", "head", "tvs"))
        deltas = combine(tvs, jnp.broadcast_to(run["alpha"], len(preset.domains)))
        return tuple(_accuracy(logits, base, head, deltas, c, part) for part in ("validation", "test"))

    runs = [{"seed": s, "alpha": alpha} for s in range(seeds) for alpha in ALPHAS]
    validation, test = shaped(over_runs(run, runs, constants, preset.at_once), seeds, -1)
    best = validation.argmax(axis=1)
    return {
        "zero-shot": test[:, 0], "arithmetic": test[np.arange(seeds), best], "alpha": ALPHAS[best], "by alpha": test,
    }  # fmt: skip


def _derivatives(preset: Preset, logits: Callable, constants: dict, seeds: int) -> np.ndarray:
    """Of the loss by block-wise coefficients at zero, `[seeds, T, J]`, on the first batch of every seed."""

    def run(run, c):
        base, head, tvs = (at(c[name], run["seed"]) for name in ("base", "head", "tvs"))
        zeros = jnp.zeros((len(preset.domains), len(tvs)))
        return jax.grad(lambda coef: _loss(logits, base, head, combine(tvs, coef), c, c["batches"][run["seed"], 0]))(zeros)

    return over_runs(run, [{"seed": s} for s in range(seeds)], constants, preset.at_once)


def _learned(preset: Preset, logits: Callable, constants: dict, runs: list[Run]):
    """Coefficients of either form, learned on the validation images of all domains, and mean test accuracies."""
    columns = len(constants["tvs"])

    def run(run, c):
        base, head, tvs = (at(c[name], run["seed"]) for name in ("base", "head", "tvs"))
        mask = dict(zip(sorted(tvs), run["kept"].T, strict=True))
        tvs = {name: x * mask[name].reshape(-1, *[1] * (x.ndim - 1)) for name, x in tvs.items()}

        def deltas(both):
            return combine(tvs, coefficients(both, run["tied"]))

        def loss(both, indices):
            penalty = run["penalty"] * lp_penalty(coefficients(both, run["tied"]), 1.0, gamma=1.0)
            return _loss(logits, base, head, deltas(both), c, indices) + penalty

        learned = learn(
            loss,
            block_or_vector(len(preset.domains), columns),
            c["batches"][run["seed"]],
            lr=run["rate"],
            epochs=preset.addition.epochs,
            select=lambda both: _accuracy(logits, base, head, deltas(both), c, "validation"),
        )
        return learned, _accuracy(logits, base, head, deltas(learned.value), c, "test")

    return over_runs(run, runs, constants, preset.at_once)
