"""Task negation: a domain is to be unlearned, by its own task vector, while the plain images are kept (section 5.2)."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from quire.atlas.composition import combine
from quire.atlas.config import Preset
from quire.atlas.learning import block_or_vector, coefficients, learn, negation_score
from quire.atlas.library import PLAIN, family_of, moved_logits, parts_of
from quire.atlas.runs import Run, at, chosen, over_runs, random_indices
from quire.common.claims import shared
from quire.common.losses.classification import smoothed_cross_entropy

FACTORS = -np.linspace(0, 3, 31, dtype=np.float32)
"""Factors that task arithmetic tries."""


@shared
def negation_study(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """Test accuracies on the target and on the control, `[seeds, domains]`, of what validation chose.

    Returns:
        For each of `block`, `global`, `arithmetic` and `zero-shot`: accuracy on the target, and as `... control` on plain images.
    """
    network, constants = parts_of(preset, keys, preset.domains, (*preset.domains, PLAIN))
    logits, domains = moved_logits(network), len(preset.domains)
    measure = _measures(logits)
    constants["batches"] = _batches(preset, keys)
    pairs = [(seed, domain) for seed in range(len(keys)) for domain in range(domains)]
    runs = [
        {"seed": s, "domain": d, "rate": rate, "tied": tied}
        for tied in (False, True) for s, d in pairs for rate in preset.negation.rates
    ]  # fmt: skip
    factors = _by_factor(preset, measure, constants, pairs)
    found = {"zero-shot": factors[:, :2], "arithmetic": factors[:, 2:]}
    best = chosen(_learned(preset, logits, measure, constants, runs), 2, len(pairs), -1)["test"]
    found |= {"block": best[0], "global": best[1]}
    shape = len(keys), domains
    return {name: x[:, 0].reshape(shape) for name, x in found.items()} | {
        f"{name} control": x[:, 1].reshape(shape) for name, x in found.items()
    }


def _batches(preset: Preset, keys: jax.Array) -> np.ndarray:
    """Validation images of every step, for target and control `[seeds, steps, 2, share]`."""
    search, count = preset.negation, len(family_of(preset).validation.labels)
    shape = (search.steps, 2, search.batch_size)
    return np.stack([random_indices(jax.random.fold_in(key, 40), shape, count) for key in keys])


def _measures(logits):
    """Accuracies on the target and on the control, as one array."""

    def measure(base, head, deltas, c, part, domain):
        both, labels = jnp.concatenate([c[part][domain], c[part][-1]]), c[f"{part}_labels"]
        found = logits(base, head, deltas, both).argmax(1).reshape(2, -1)
        return jnp.mean(found == jnp.broadcast_to(labels, found.shape), axis=1)

    return measure


def _given(run: Run, c: dict) -> tuple[Any, Any, Any]:
    """Base, head, and the one task vector of the domain."""
    vector = jax.tree.map(lambda x: x[run["seed"], run["domain"]][None], c["tvs"])
    return at(c["base"], run["seed"]), at(c["head"], run["seed"]), vector


def _by_factor(preset: Preset, measure, constants: dict, pairs: list[tuple[int, int]]) -> np.ndarray:
    """Before any edit, and with the best of the factors that keep the control on the validation images, `[pairs, 4]`."""

    def run(run, c):
        base, head, vector = _given(run, c)
        edited = lambda part, f: measure(base, head, combine(vector, f[None]), c, part, run["domain"])  # noqa: E731
        before = edited("validation", jnp.zeros(()))
        scores = jax.lax.map(lambda f: negation_score(*edited("validation", f), before[1]), jnp.asarray(FACTORS))
        return jnp.concatenate([edited("test", jnp.zeros(())), edited("test", jnp.asarray(FACTORS)[scores.argmax()])])

    return over_runs(run, [{"seed": s, "domain": d} for s, d in pairs], constants, preset.at_once)


def _learned(preset: Preset, logits, measure, constants: dict, runs: list[Run]):
    """Coefficients that raise the loss on the target and lower it on the control."""

    def run(run, c):
        base, head, vector = _given(run, c)

        def loss(coef, indices):
            deltas, labels = combine(vector, coefficients(coef, run["tied"])), c["validation_labels"]
            both = jnp.concatenate([c["validation"][run["domain"], indices[0]], c["validation"][-1, indices[1]]])
            scores = logits(base, head, deltas, both).reshape(2, len(indices[0]), -1)
            target, control = (smoothed_cross_entropy(s, labels[i]) for s, i in zip(scores, indices, strict=True))
            return control - target

        def accuracies(coef, part):
            return measure(base, head, combine(vector, coefficients(coef, run["tied"])), c, part, run["domain"])

        start = block_or_vector(1, len(vector))
        before = accuracies(start, "validation")[1]
        learned = learn(
            loss,
            start,
            c["batches"][run["seed"]],
            lr=run["rate"],
            epochs=preset.negation.epochs,
            select=lambda coef: negation_score(*accuracies(coef, "validation"), before),
        )
        return learned, accuracies(learned.value, "test")

    return over_runs(run, runs, constants, preset.at_once)
