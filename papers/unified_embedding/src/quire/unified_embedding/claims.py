"""The claims of the paper, in its order."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from quire.common.claims import Measurement, above, all_of, at_least, at_most, below, every_seed, on_average
from quire.common.claims.identity import identity
from quire.common.random import generator
from quire.common.testing import max_relative_error
from quire.unified_embedding import figures
from quire.unified_embedding.collisions import collision_counts, collision_stats
from quire.unified_embedding.config import Identities, Preset
from quire.unified_embedding.gradients import gradient_components, loss_sum
from quire.unified_embedding.hash_kernel import enumerated_moments, kernel_moments, sampled_kernel
from quire.unified_embedding.orthogonality import STARTS, TABLES, angle_runs
from quire.unified_embedding.paper import paper
from quire.unified_embedding.pareto import (
    UNIFIED,
    WHOLE,
    budget,
    census_runs,
    head_runs,
    rating_runs,
    share_name,
    width_runs,
)
from quire.unified_embedding.sources import open_log

# --- Exact statements ---


def random_problem(config: Identities, draw: np.random.Generator) -> dict[str, Any]:
    """A linear model and examples in float64, with features whose weights are orthonormal besides.

    The first two values of the first feature lie in one row, which the first value of the second shares.
    """
    theta = draw.standard_normal((len(config.sizes), config.dim))
    tables = [draw.integers(0, config.rows, size) for size in config.sizes]
    tables[0][1] = tables[1][0] = tables[0][0]
    x = np.stack([draw.integers(0, size, config.examples) for size in config.sizes], axis=1)
    x[:3, 0], x[:3, 1] = (0, 1, 0), 0
    orthonormal = np.linalg.qr(draw.standard_normal((config.dim, config.dim)))[0][: len(config.sizes)]
    table, y = draw.standard_normal((config.rows, config.dim)), draw.integers(0, 2, config.examples)
    return {"table": table, "theta": theta, "orthonormal": orthonormal, "tables": tables, "x": x, "y": y}


@jax.jit
def _parts_and_gradient(table, theta, tables, x, y):
    gradient = jax.grad(lambda e: loss_sum(e, theta, 0.1, tables, x, y))(table)
    return gradient_components(table, theta, 0.1, tables, x, y, 0, 0), gradient


@paper.claim(
    "C1",
    says="A gradient splits into true, intra-feature and inter-feature parts; for orthogonal weights the last is invisible",
    source="section 3, analysis of the gradient",
    metric="largest error / largest gradient, float64",
    holds=all_of(below(1e-10), below(1e-5, of="float32")),
    exact=True,
)
def gradient_splits(preset: Preset, key: jax.Array) -> Measurement:
    """The three parts against the gradient of autodiff, and the inter part seen by orthonormal weights of the features."""
    config = preset.identities
    p = random_problem(config, generator(key))

    def error(dtype: Any) -> dict[str, float]:
        table, theta, orthonormal = (jnp.asarray(p[name], dtype) for name in ("table", "theta", "orthonormal"))
        rest = p["tables"], p["x"], p["y"]
        parts, gradient = _parts_and_gradient(table, theta, *rest)
        true, intra, inter = map(np.asarray, parts)
        unseen = np.asarray(_parts_and_gradient(table, orthonormal, *rest)[0].inter)
        return {
            "sum of the parts": max_relative_error(true + intra + inter, np.asarray(gradient)[p["tables"][0][0]]),
            "inter part, felt": float(abs(np.asarray(orthonormal)[0] @ unseen) / np.linalg.norm(unseen)),
        }

    return identity(error, f"random linear model, {len(config.sizes)} features, {config.examples} examples, {config.rows} rows")


@paper.claim(
    "C2",
    says="An inner product after signed hashing is unbiased, with a variance that falls with the number of rows",
    source="section 3, the hash kernel",
    metric="largest error / largest moment over all hash functions, float64",
    holds=all_of(below(1e-12), at_most(3, of="mean, standard errors off"), at_most(3, of="variance, standard errors off")),
    exact=True,
)
def hash_kernel_moments(preset: Preset, key: jax.Array) -> Measurement:
    """All hash functions of a small problem, and hash functions that are drawn of a larger one."""
    config, draw = preset.identities, generator(key)
    x, y = draw.standard_normal((2, config.enumerated))
    error = max_relative_error(enumerated_moments(x, y, config.buckets), kernel_moments(x, y, config.buckets))
    x, y = draw.standard_normal((2, config.sampled))
    found, right = sampled_kernel(x, y, config.sampled_buckets, config.draws, draw), kernel_moments(x, y, config.sampled_buckets)
    squares = np.square(found - right.mean)
    root = config.draws**0.5
    return Measurement(
        error,
        f"all hashes of {config.enumerated} numbers to {config.buckets} buckets; "
        f"{config.draws} of {config.sampled} numbers to {config.sampled_buckets}",
        extras={
            "mean, standard errors off": float(abs(found.mean() - right.mean) / (found.std() / root)),
            "variance, standard errors off": float(abs(squares.mean() - right.variance) / (squares.std() / root)),
        },
        figure=figures.kernel_histogram(found, right),
    )


# --- Training ---


@paper.claim(
    "C3",
    says="Weights of features that share rows become more orthogonal in training",
    source="section 3",
    metric="mean |cos| of the features' weights after training",
    holds=all_of(every_seed(above(0, of="fall")), on_average(above(0, of="0.7 separate - shared"))),
    trivial="shared table, before training",
    seeds=6,
)
def weights_become_orthogonal(preset: Preset, key: jax.Array) -> Measurement:
    """A linear model on clicks that another drew; tables of equal size, shared or separate, and one without collisions."""
    runs, config = angle_runs(preset, key), preset.orthogonality
    cosine = {name: np.asarray(curve) for name, curve in runs["cosine"].items()}
    start, end = ({table: cosine[STARTS[0], table][i] for table in TABLES} for i in (0, -1))
    extras = {"fall": start["shared"] - end["shared"], "0.7 separate - shared": 0.7 * end["separate"] - end["shared"]}
    for table in TABLES:
        curve = cosine[STARTS[1], table]
        extras |= {f"aligned start, {table}, before": curve[0], f"aligned start, {table}": curve[-1]}
        extras[f"loss, {table}"] = runs["loss"][STARTS[0], table]
    for table in ("shared", "separate"):
        for moment, name in enumerate(("start", "end")):
            for part, label in enumerate(("true", "intra", "inter")):
                extras[f"{label} part felt, {table}, {name}"] = runs["felt"][table][moment, part]
    return Measurement(
        float(end["shared"]),
        f"{config.examples} generated clicks, {config.features} features of {config.values} values, {config.rows} rows",
        baselines={
            "shared table, before training": float(start["shared"]),
            "separate tables": float(end["separate"]),
            "a row for each value": float(end["a row for each"]),
        },
        extras={name: float(x) for name, x in extras.items()},
        figure=figures.angles(config, cosine),
    )


ALLOCATED = ("proportional", "equal", "water-filled")


def leads(auc: dict[tuple[str, float], float], shares: tuple[float, ...]) -> dict[str, float]:
    """How far the unified embedding is ahead of the best tables of the features' own, by budget."""
    return {
        f"lead at {share_name(share)}": float(auc[UNIFIED, share] - max(auc[name, share] for name in ALLOCATED))
        for share in shares
    }


@paper.claim(
    "C4",
    says="At an equal number of parameters, one table for all features beats a table for each",
    source="section 5, Pareto fronts on public data",
    metric="test AUC at the middle budget",
    holds=every_seed(above(0, of="smallest lead")),
    trivial="rate of the largest feature",
)
def multiplexing_pays(preset: Preset, key: jax.Array) -> Measurement:
    """Hashing in one table against hashing in a table for each feature, whichever of three sizes of these is best in the test."""
    runs, census, config = rating_runs(preset, key), census_runs(preset, key), preset.clicks
    auc, heads = {name: float(x) for name, x in runs["auc"].items()}, head_runs(preset, key)
    ahead = leads(auc, config.shares)
    one, two = (float(runs["rates"][name]) for name in ("one", "two"))
    middle = config.middle
    extras = {"smallest lead": min(ahead.values())} | ahead
    extras |= {f"AUC, {name}, {share_name(share)}": x for (name, share), x in auc.items()}
    extras |= {f"log loss, {name}, {share_name(share)}": float(x) for (name, share), x in runs["log_loss"].items()}
    extras |= {f"late values, {name}": float(x) for name, x in runs["growing"].items()}
    extras |= {f"DCN-v2, {name}": float(x) for name, x in heads.items()}
    extras |= {f"Adult, AUC, {name}, {share_name(share)}": float(x) for (name, share), x in census["auc"].items()}
    extras |= {f"Adult, {name}": x for name, x in leads(census["auc"], preset.census.shares).items()}
    extras |= {f"mean |cos|, {name}, {share_name(share)}": float(x) for (name, share), x in runs["cosine"].items()}
    return Measurement(
        auc[UNIFIED, middle],
        runs["name"],
        baselines={name: auc[name, middle] for name in ALLOCATED}
        | {WHOLE: auc[WHOLE, 1.0], "rate of the largest feature": one, "rates of the two largest features": two},
        extras=extras,
        stand_in_for=runs["stand_in_for"],
        figure=figures.tables(config.shares, auc, {runs["rate_names"][name]: x for name, x in runs["rates"].items()}),
    )


@paper.claim(
    "C5",
    says="Several lookups make single features wider without another table",
    source="section 4, multi-size embeddings",
    metric="test AUC with two rows for some features",
    holds=all_of(
        every_seed(at_least(0, of="gain over one row each")), every_seed(at_most(0, of="difference in table parameters"))
    ),
    trivial="rate of the largest feature",
)
def several_lookups(preset: Preset, key: jax.Array) -> Measurement:
    """The table of the middle budget, read once, twice for some features, twice for all."""
    runs, ratings, config = width_runs(preset, key), rating_runs(preset, key), preset.clicks
    some, every = float(runs["two for some"]), float(runs["two for all"])
    one = float(ratings["auc"][UNIFIED, config.middle])
    parameters = runs["table"]
    return Measurement(
        some,
        ratings["name"],
        baselines={
            "one row for each": one,
            "two rows for each": every,
            "rate of the largest feature": float(ratings["rates"]["one"]),
        },
        extras={
            "gain over one row each": some - one,
            "difference in table parameters": float(max(parameters.values()) - min(parameters.values())),
            "table parameters": float(parameters["two for some"]),
        }
        | {f"parameters of the first layer, {name}": float(x) for name, x in runs["first_layer"].items()},
        stand_in_for=ratings["stand_in_for"],
    )


@paper.claim(
    "C6",
    says="Sharing a table makes fewer values of one feature collide than tables of its own, C(V, 2) / M pairs in all",
    source="section 3, parameter efficiency",
    metric="mean count of pairs, standard errors from the expectation",
    holds=all_of(
        at_most(3), at_most(3, of="within features, standard errors off"), at_most(3, of="separate, standard errors off")
    ),
    exact=True,
)
def collisions_as_expected(preset: Preset, key: jax.Array) -> Measurement:
    """Hash functions of splitmix64 with random salts, for the vocabularies of the ratings."""
    source = open_log(preset.clicks.data)
    sizes, rows = source.value.sizes, budget(source.value, preset.clicks.middle)
    counts = collision_counts(sizes, rows, preset.identities.collision_draws, generator(key))
    expected = collision_stats(sizes, rows)

    def off(name):
        spread = counts[name].std() / len(counts[name]) ** 0.5
        return float(abs(counts[name].mean() - expected[name]) / max(spread, np.finfo(float).tiny))

    return Measurement(
        off("all pairs, shared"),
        f"vocabularies of {source.name}, {rows} rows",
        extras={
            "within features, standard errors off": off("within features, shared"),
            "separate, standard errors off": off("within features, separate"),
        }
        | {f"counted: {name}": float(x.mean()) for name, x in counts.items()}
        | {f"expected: {name}": x for name, x in expected.items()},
        figure=figures.collisions(counts, expected),
    )
