"""What groups of like neurons gain in squared error of the weights, against one codebook and against groups that were drawn."""

import jax
import numpy as np
from flax import nnx
from jaxtyping import Float

from quire.common.random import generator
from quire.jlcm.assignment import best_of_codebooks, nearest_assignment
from quire.jlcm.grouping import Groups, group_neurons, neuron_stats, random_groups
from quire.jlcm.networks import hidden_units, kernels

VARIANTS = ("single", "S", "M", "M random", "any codebook")


def rows_of_unequal_scale(key: jax.Array, rows: int = 18, size: int = 30, scales: int = 3) -> Float[np.ndarray, "rows size"]:
    """Normal weights whose rows have one of a few scales, a factor 4 apart, in mixed order."""
    rng = generator(key)
    scale = 0.25 * 4.0 ** rng.permutation(np.arange(rows) % scales)
    return scale[:, None] * rng.standard_normal((rows, size))


def grouped_errors(weights: np.ndarray, bits: int, g: int, rng: np.random.Generator) -> tuple[dict[str, float], Groups]:
    """Squared errors of a layer by variant, and its groups.

    Args:
        weights: `[out, in]`.
        bits: of a code.
        g: groups.
        rng: of the groups that are drawn.
    """
    groups = group_neurons(neuron_stats(weights), g)
    drawn = random_groups(groups.sizes, rng)
    ordered = weights[groups.perm]
    found = {
        "single": (ordered, nearest_assignment(ordered, bits)),
        "S": (ordered, nearest_assignment(ordered, bits, "scales", groups.sizes)),
        "M": (ordered, nearest_assignment(ordered, bits, "codebooks", groups.sizes)),
        "M random": (weights[drawn.perm], nearest_assignment(weights[drawn.perm], bits, "codebooks", groups.sizes)),
    }
    errors = {name: float(((w - np.asarray(t.dequantize())) ** 2).sum()) for name, (w, t) in found.items()}
    best, _ = best_of_codebooks(ordered, found["M"][1])
    return errors | {"any codebook": float(((ordered - best) ** 2).sum())}, groups


def relative_errors(model: nnx.Module, bits: int, g: int, key: jax.Array) -> dict[str, float]:
    """Squared errors of all weights of a model by variant, relative to the weights; what cannot be re-ordered has one codebook.

    Args:
        model: of a kind that `hidden_units` knows.
        bits, g: of a code; groups of a layer.
        key: of the groups that are drawn.
    """
    rng, hidden = generator(key), {units.kernel for units in hidden_units(model)}
    total, energy = dict.fromkeys(VARIANTS, 0.0), 0.0
    for name, weights in kernels(nnx.state(model)).items():
        w = np.asarray(weights)
        errors, _ = grouped_errors(w, bits, g if name in hidden else 1, rng)
        for variant in VARIANTS:
            total[variant] += errors["single"] if name not in hidden else errors[variant]
        energy += float((w**2).sum())
    return {variant: error / energy for variant, error in total.items()}
