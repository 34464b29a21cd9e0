"""aTLAS x K: coefficients for random parts of every block, and how many of them the data can feed (section 5.5)."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from quire.atlas.composition import combine_partitioned, random_masks
from quire.atlas.config import Preset
from quire.atlas.few_shot import pools
from quire.atlas.learning import learn
from quire.atlas.library import moved_logits, parts_of
from quire.atlas.runs import Run, at, chosen, epochs_of, over_runs
from quire.common.claims import shared
from quire.common.losses.classification import smoothed_cross_entropy
from quire.common.random import generator
from quire.common.train.seeds import stack

MATRICES = "matrices only"


@shared
def partition_study(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """Test accuracies on the first domain, composed of the vectors of all other ones, by shares of its training images.

    Returns:
        `accuracy [seeds, K, fractions]`; `matrices [seeds, fractions]`, the largest K without biases, as in the authors' code;
        `zero-shot [seeds]`; `parameters`, numbers of coefficients by K, that are learned.
    """
    pool = pools(preset)[1]
    network, constants = parts_of(preset, keys, pool.tasks, (pool.target,))
    cases = [(parts, False) for parts in preset.parts] + [(preset.parts[-1], True)]
    bases = [at(constants["base"], seed) for seed in range(len(keys))]
    constants["masks"] = stack([stack(_masks(cases, key, base)) for key, base in zip(keys, bases, strict=True)])
    constants["batches"] = _batches(preset, keys, len(constants["train_labels"]))
    rates, fractions = preset.parts_search.rates, len(preset.fractions)
    runs = [
        {"seed": s, "case": k, "share": f, "rate": rate}
        for s in range(len(keys)) for k in range(len(cases)) for f in range(fractions) for rate in rates
    ]  # fmt: skip
    shape = (len(pool.tasks), len(constants["tvs"]), max(preset.parts))
    best = chosen(_learned(preset, network, constants, runs, shape), len(keys), len(cases), fractions, -1)
    accuracy, zero_shot = best["test"][..., 0], best["test"][:, 0, 0, 1]
    parameters = {parts: shape[0] * shape[1] * parts for parts in preset.parts}
    return {"accuracy": accuracy[:, :-1], "matrices": accuracy[:, -1], "zero-shot": zero_shot, "parameters": parameters}


def _masks(cases: list[tuple[int, bool]], key: jax.Array, base: Any) -> list[dict[str, np.ndarray]]:
    """Every case draws anew; numbers of parts below the largest leave the other coefficients without a use."""
    keys = [jax.random.fold_in(key, 60 + number) for number in range(len(cases))]
    return [random_masks(k, base, parts, matrices_only=only) for k, (parts, only) in zip(keys, cases, strict=True)]


def _batches(preset: Preset, keys: jax.Array, count: int) -> np.ndarray:
    """Indices of training images `[seeds, fractions, steps, batch]`; a smaller share repeats its images."""
    search, found = preset.parts_search, []
    for key in keys:
        order = generator(jax.random.fold_in(key, 61)).permutation(count).astype(np.int32)
        for number, share in enumerate(preset.fractions):
            subset = order[: max(1, round(share * count))]
            own = jax.random.fold_in(key, 62 + number)
            found.append(subset[epochs_of([own], len(subset), search.batch_size, search.steps)[0]])
    return np.stack(found).reshape(len(keys), len(preset.fractions), search.steps, search.batch_size)


def _learned(preset: Preset, network: Any, constants: dict, runs: list[Run], shape: tuple[int, int, int]):
    """Coefficients `[T, J, K]`, the best epoch by the target's validation images; test accuracies of them, and of none."""
    logits = moved_logits(network)

    def run(run, c):
        base, head, tvs = (at(c[name], run["seed"]) for name in ("base", "head", "tvs"))
        masks = at(c["masks"], run["seed"], run["case"])

        def accuracy(coef, part):
            scores = logits(base, head, combine_partitioned(tvs, coef, masks), c[part][0])
            return jnp.mean(scores.argmax(1) == c[f"{part}_labels"])

        def loss(coef, indices):
            scores = logits(base, head, combine_partitioned(tvs, coef, masks), c["train"][0, indices])
            return smoothed_cross_entropy(scores, c["train_labels"][indices])

        learned = learn(
            loss,
            jnp.zeros(shape),
            c["batches"][run["seed"], run["share"]],
            lr=run["rate"],
            epochs=preset.parts_search.epochs,
            select=lambda coef: accuracy(coef, "validation"),
        )
        return learned, jnp.stack([accuracy(learned.value, "test"), accuracy(jnp.zeros(shape), "test")])

    return over_runs(run, runs, constants, preset.at_once)
