"""The paper's claims, measured."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from quire.common.claims import Measurement, above, all_of, at_least, at_most, beats, below, every_seed, on_average, shared
from quire.common.claims.identity import identity
from quire.common.random import generator
from quire.equiangular_basis import figures
from quire.equiangular_basis.annealing import annealed_descent
from quire.equiangular_basis.coherence import coherence, welch_bound
from quire.equiangular_basis.config import Preset, Size
from quire.equiangular_basis.generate import normal_rows
from quire.equiangular_basis.head_cost import head_costs
from quire.equiangular_basis.hinge import hinge_descent
from quire.equiangular_basis.paper import paper
from quire.equiangular_basis.training import sweep_runs

# --- Generation ---


@shared
def generated_sets(preset: Preset, keys: jax.Array) -> dict[str, dict[str, np.ndarray]]:
    """Random and annealed sets `[seeds, n, d]` by size, and the hinge's set of the first size."""
    config = preset.generation
    starts = {size: np.stack([normal_rows(key, size.n, size.d) for key in keys]) for size in (*config.sizes, *config.further)}
    first = config.sizes[0]

    def by_hinge(start):
        return hinge_descent(start, config.threshold, lr=config.lr, steps=config.steps).vectors

    return {
        "random": {size.label: start for size, start in starts.items()},
        "hinge": {first.label: np.asarray(jax.vmap(by_hinge)(starts[first]))},
        "annealed": {size.label: np.asarray(_annealed(start, size)) for size, start in starts.items()},
    }


def _annealed(starts: np.ndarray, size: Size) -> jax.Array:
    slice_size = None if size.n <= 1000 else 1000
    return jax.vmap(lambda start: annealed_descent(start, steps=size.steps, slice_size=slice_size).vectors)(starts)


RATIOS = tuple(f"{place} size, coherence / Welch" for place in ("first", "second", "third"))


@paper.claim(
    "C1",
    says="Nearly orthogonal sets of more vectors than dimensions exist, and descent finds them",
    source="section 3.1",
    metric="coherence / Welch's bound, annealed set of the first size",
    holds=all_of(
        *(every_seed(at_least(1, of=of)) for of in RATIOS),
        *(every_seed(at_most(limit, of=of)) for limit, of in zip((1.15, 1.15, 1.3), RATIOS, strict=True)),
        every_seed(at_most(0.27, of="coherence, hinge")),
    ),
    trivial="random",
)
def near_the_bound(preset: Preset, key: jax.Array) -> Measurement:
    """Largest and mean absolute cosine of random, hinge and annealed sets."""
    config = preset.generation
    bound = {size.label: welch_bound(size.n, size.d) for size in (*config.sizes, *config.further)}
    found = {kind: {label: _coherence(x) for label, x in sets.items()} for kind, sets in generated_sets(preset, key).items()}
    first, second, third = (size.label for size in config.sizes)
    ratios = {
        name: found["annealed"][label][0] / bound[label] for name, label in zip(RATIOS, (first, second, third), strict=True)
    }
    cosines = {
        f"{what} |cosine|, {label}, {kind}": values[i]
        for kind, sets in found.items()
        for label, values in sets.items()
        for i, what in enumerate(("largest", "mean"))
    }
    return Measurement(
        ratios[RATIOS[0]],
        f"sets of {', '.join(bound)}",
        baselines={kind: found[kind][first][0] / bound[first] for kind in ("random", "hinge")},
        extras=ratios | {"coherence, hinge": found["hinge"][first][0]} | cosines,
        figure=figures.against_welch(found, bound),
    )


def _coherence(vectors: np.ndarray) -> tuple[float, float]:
    """In float64: next to the bound, rounding must not decide."""
    unit = vectors.astype(float) / np.linalg.norm(vectors.astype(float), axis=1, keepdims=True)
    with jax.enable_x64():
        largest, mean = map(float, coherence(unit, slice_size=None if len(unit) <= 1000 else 1000))
    return largest, mean


@paper.claim(
    "C2",
    says="Slices give the descent that the whole Gram matrix gives",
    source="section 3.1, algorithm 1",
    metric="largest difference of the vectors, float64",
    holds=below(1e-10),
    exact=True,
)
def slices_change_nothing(preset: Preset, key: jax.Array) -> Measurement:
    """The same start; a slice that does not divide the rows. Few steps, since rounding grows at this rate: it oscillates."""
    config, size = preset.generation, preset.generation.sizes[0]
    start = generator(key).standard_normal((size.n, size.d))

    def error(dtype: Any) -> float:
        whole, sliced = (
            hinge_descent(
                jnp.asarray(start, dtype), config.threshold, lr=config.slice_lr, steps=config.slice_steps, slice_size=slice_size
            ).vectors
            for slice_size in (None, config.slice_size)
        )
        return float(jnp.abs(whole - sliced).max())

    return identity(error, f"{size.label}, {config.slice_steps} steps, slices of {config.slice_size} rows")


# --- Classification ---


def _accuracies(preset: Preset, key: jax.Array) -> tuple[dict[str, float], dict[str, Any]]:
    run = sweep_runs(preset, key)
    return {name: float(x) for name, x in run["accuracy"].items()}, run


def _by_dimension(accuracy: dict[str, float], kind: str) -> list[str]:
    """Names of the heads of a kind, d rising."""
    return sorted((name for name in accuracy if name.startswith(kind)), key=lambda name: int(name.split("= ")[1]))


def _side_scores(run: dict[str, Any]) -> dict[str, float]:
    """Retrieval and transfer of every head, where they were measured."""
    numbers = {f"{what}, {name}": float(x) for what in ("retrieval", "transfer") for name, x in run[what].items()}
    return {name: x for name, x in numbers.items() if np.isfinite(x)}


@paper.claim(
    "C3",
    says="With one recipe, fixed equiangular vectors come as far as a head that learns",
    source="table 2",
    metric="test accuracy",
    holds=all_of(on_average(beats("cosine FC", by=-0.01)), on_average(beats("FC", by=-0.02))),
    trivial="majority class",
)
def as_good_as_a_learned_head(preset: Preset, key: jax.Array) -> Measurement:
    """The widest set. The cosine FC has the same geometry, and learns its vectors: the honest control."""
    accuracy, run = _accuracies(preset, key)
    names = _by_dimension(accuracy, "EBV")
    return Measurement(
        accuracy[names[-1]],
        run["data"],
        baselines={"FC": accuracy["FC"], "cosine FC": accuracy["cosine FC"], "majority class": float(run["majority"])},
        extras=_side_scores(run),
        stand_in_for=run["stand_in_for"],
        figure=figures.losses({name: run["losses"][name] for name in ("FC", "cosine FC", *names)}),
    )


@paper.claim(
    "C3b",
    says="With one recipe, fixed equiangular vectors are better than a linear head",
    source="table 2",
    metric="test accuracy",
    holds=on_average(beats("FC")),
    trivial="majority class",
    expect="not reproduced",
    because=(
        "At this scale the linear head is ahead. Heads of normalised features, the one that learns its vectors included, learn "
        "more slowly under the shared recipe, and with so few classes symmetry between them has little to give."
    ),
)
def better_than_a_linear_head(preset: Preset, key: jax.Array) -> Measurement:
    """The same runs, without any allowance: the direction of the paper on ImageNet."""
    accuracy, run = _accuracies(preset, key)
    return Measurement(
        accuracy[_by_dimension(accuracy, "EBV")[-1]],
        run["data"],
        baselines={"FC": accuracy["FC"], "majority class": float(run["majority"])},
        stand_in_for=run["stand_in_for"],
    )


@paper.claim(
    "C4",
    says="Accuracy rises with the dimension, then saturates",
    source="section 4.4",
    metric="test accuracy, middle d",
    holds=all_of(
        on_average(above(0.03, of="middle - low d")),
        on_average(below(0.03, of="high - middle d")),
        on_average(above(-0.03, of="high - middle d")),
    ),
    trivial="random vectors, middle d",
)
def saturates(preset: Preset, key: jax.Array) -> Measurement:
    """The same runs; random fixed vectors of the low and middle d beside."""
    accuracy, run = _accuracies(preset, key)
    names = _by_dimension(accuracy, "EBV")
    low, middle, high = (accuracy[name] for name in (names[0], names[len(names) // 2], names[-1]))
    random = [accuracy[name] for name in _by_dimension(accuracy, "random")]
    others = {"low d": low, "high d": high, "random vectors, middle d": random[-1], "random vectors, low d": random[0]}
    return Measurement(
        middle,
        run["data"],
        baselines=others | {name: x for name, x in accuracy.items() if name.startswith("simplex")},
        extras={"middle - low d": middle - low, "high - middle d": high - middle, "EBV - random, low d": low - random[0]},
        stand_in_for=run["stand_in_for"],
        figure=figures.dimensions(accuracy),
    )


# --- Many classes ---


@paper.claim(
    "C5",
    says="Many classes are affordable: the head has nothing to learn",
    source="section 3.3",
    metric="least time of a step of the head",
    unit="ms",
    holds=all_of(
        every_seed(beats("FC", lower_is_better=True)),
        every_seed(at_most(0, of="trainable bytes, EBV")),
        every_seed(at_least(1, of="trainable bytes, FC / 12 N d")),
    ),
    trivial="FC",
    timed=True,
)
def many_classes(preset: Preset, key: jax.Array) -> Measurement:
    """Loss and gradient by the features; the linear head has its own gradient and a step of SGD with momentum besides."""
    config = preset.cost
    costs = head_costs(config, key)
    return Measurement(
        costs["EBV"].milliseconds,
        f"{config.classes} classes, d = {config.dim}, batches of {config.batch}",
        baselines={"FC": costs["FC"].milliseconds},
        extras={f"trainable bytes, {name}": cost.trainable_bytes for name, cost in costs.items()}
        | {"trainable bytes, FC / 12 N d": costs["FC"].trainable_bytes / (12 * config.classes * config.dim)}
        | {"bytes of the vectors": costs["EBV"].vector_bytes},
        figure=figures.head_memory(config.dim, config.classes),
    )
