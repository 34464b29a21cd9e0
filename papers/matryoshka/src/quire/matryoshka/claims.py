"""The paper's claims, measured: C1 to C7."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from scipy.special import softmax

from quire.common.claims import Measurement, all_of, at_least, at_most, beats, on_average
from quire.common.claims.identity import identity
from quire.common.data.source import DataFields
from quire.common.metrics.cost import macs
from quire.common.random import generator
from quire.common.testing import max_relative_error
from quire.matryoshka import brute_force, figures
from quire.matryoshka.adaptive_retrieval import flops_per_query, nearest, rank_again
from quire.matryoshka.cascade import apply_cascade, fit_cascade, oracle_cascade
from quire.matryoshka.config import Preset
from quire.matryoshka.evaluation import mean_precision
from quire.matryoshka.experiment import Run, head_accuracy, run_all
from quire.matryoshka.head import MatryoshkaHead, cumulative_logits
from quire.matryoshka.loss import matryoshka_ce
from quire.matryoshka.paper import paper

# --- C1, C2: identities ---

SIZES, CLASSES, EXAMPLES = (2, 5, 16), 7, 40


@paper.claim(
    "C1",
    says="MRL applies the loss to every prefix and sums; MRL-E's logits are partial sums of one product; gradients follow",
    source="equation 1; section 3, efficient MRL",
    metric="largest error / largest reference, float64",
    holds=all_of(at_most(1e-9), at_most(1e-5, of="float32")),
    exact=True,
)
def definitions(preset: Preset, key: jax.Array) -> Measurement:
    """Logits, loss and all gradients of both heads against size by size in NumPy."""
    data = f"{EXAMPLES} random embeddings, m = {', '.join(map(str, SIZES))}, {CLASSES} classes"
    return identity(partial(_definition_errors, key), data)


def _definition_errors(key: jax.Array, dtype: Any) -> list[float]:
    draw = generator(key)
    z, labels = draw.standard_normal((EXAMPLES, SIZES[-1])), draw.integers(0, CLASSES, EXAMPLES)
    weights, errors = draw.uniform(0.5, 2, len(SIZES)), []
    for efficient in (False, True):
        head = MatryoshkaHead(SIZES, CLASSES, efficient=efficient, rngs=nnx.Rngs(key))
        graph, params = nnx.split(head)
        params = jax.tree.map(lambda x: x.astype(dtype), params)
        kernels, biases = ([np.asarray(x[...], float) for x in group] for group in (head.kernels, head.biases))
        logits = brute_force.logits(z, kernels, biases, SIZES)
        loss, by_z, by_kernels, by_biases = brute_force.loss_and_gradients(z, labels, kernels, biases, SIZES, weights, 0.1)
        arrays = (jnp.asarray(z, dtype), jnp.asarray(labels), jnp.asarray(weights, dtype))
        found, value, (by_params, z_gradient) = _values(graph, params, *arrays)
        pairs = [(found, logits), (value, loss), (z_gradient, by_z)]
        for ours, theirs in ((by_params.kernels, by_kernels), (by_params.biases, by_biases)):
            pairs += [(ours[i][...], reference) for i, reference in enumerate(theirs)]
        errors += [max_relative_error(ours, reference) for ours, reference in pairs]
    return errors


@partial(jax.jit, static_argnums=0)
def _values(graph, params, z, labels, weights):
    """Logits, loss, gradients by parameters and embeddings."""

    def loss(params, z):
        logits = nnx.merge(graph, params)(z)
        return matryoshka_ce(logits, labels, weights, 0.1), logits

    (value, logits), gradients = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)(params, z)
    return logits, value, gradients


@paper.claim(
    "C2",
    says="All granularities cost at most as much again as the largest classifier alone, MRL-E nothing, and inference nothing",
    source="section 3",
    metric="multiplications of all MRL classifiers / those of the largest",
    holds=all_of(
        at_most(2),
        at_most(1, of="MRL-E, one cumulative product"),
        at_most(1, of="inference at the largest size"),
        at_most(1e-10, of="cumulative product against one product a size"),
    ),
    exact=True,
)
def costs(preset: Preset, key: jax.Array) -> Measurement:
    """Multiplications of the heads of the preset, counted in their traces."""
    sizes = preset.nesting
    z = jax.ShapeDtypeStruct((EXAMPLES, sizes[-1]), jnp.float32)
    heads = {e: MatryoshkaHead(sizes, CLASSES, efficient=e, rngs=nnx.Rngs(key)) for e in (False, True)}
    alone = macs(lambda z: z @ jnp.zeros((sizes[-1], CLASSES)), z)
    draw = generator(key)
    points, kernel, bias = (draw.standard_normal(shape) for shape in (z.shape, (sizes[-1], CLASSES), CLASSES))
    with jax.enable_x64():
        found = jax.jit(partial(cumulative_logits, sizes=sizes))(points, kernel, bias=bias)
    error = max_relative_error(found, brute_force.logits(points, [kernel], [bias], sizes))
    return Measurement(
        macs(heads[False], z) / alone,
        f"m = {', '.join(map(str, sizes))}",
        extras={
            "MRL-E, one cumulative product": macs(heads[True], z) / alone,
            "inference at the largest size": macs(lambda z: heads[False].at(z, sizes[-1]), z) / alone,
            "cumulative product against one product a size": error,
        },
    )


# --- C3, C4, C7: accuracy of every size ---


def _fields(run: Run) -> DataFields:
    """Data, and what it stands in for."""
    sizes = ", ".join(map(str, run.source.value.preset.nesting))
    return run.source.fields(f"m = {sizes}")


@paper.claim(
    "C3",
    seeds=5,
    says="The first m numbers of one MRL embedding are as accurate as an embedding of m numbers trained for itself (FF-m)",
    source="figure 2, table 1",
    metric="accuracy MRL - FF-m of linear classifiers, mean over m",
    unit="points",
    holds=all_of(on_average(at_least(-2)), on_average(at_least(-2.5, of="worst m but the smallest"))),
    trivial="random features, nearest neighbour - FF-m",
    expect="partly",
    because="the smallest prefix, of far fewer numbers than classes, pays for the others, and it counts in the mean; "
    "from the second smallest m on the gap stays within the line",
)
def as_accurate(preset: Preset, key: jax.Array) -> Measurement:
    """Every FF-m starts from the same weights and sees the same batches; the smallest size is part of the mean only."""
    run = run_all(preset, key)
    heads, sizes = head_accuracy(run), run.source.value.preset.nesting
    gap = heads["MRL"] - heads["FF"]
    nearest_gap = 100 * (run.neighbours["MRL"] - run.neighbours["FF"])
    return Measurement(
        float(gap.mean()),
        **_fields(run),
        baselines={
            "random features, nearest neighbour - FF-m": float((100 * run.neighbours["random features"] - heads["FF"]).mean())
        },
        extras={
            "worst m but the smallest": float(gap[1:].min()),
            "smallest m": float(gap[0]),
            "mean without the smallest": float(gap[1:].mean()),
            "nearest neighbour, smallest m": float(nearest_gap[0]),
            "nearest neighbour, mean": float(nearest_gap.mean()),
        },
        series={"MRL - FF-m": (sizes, gap.tolist()), "MRL - FF-m, nearest neighbour": (sizes, nearest_gap.tolist())},
        figure=figures.accuracy_against_dimension(sizes, heads, {n: 100 * x for n, x in run.neighbours.items()}),
    )


@paper.claim(
    "C4",
    seeds=5,
    says="Cutting an embedding that was not trained for it fails at few dimensions: its prefix, random numbers of it, its SVD",
    source="figures 2 and 3",
    metric="accuracy of the nearest neighbour, second smallest m",
    unit="%",
    holds=all_of(
        beats("FF prefix", by=10),
        beats("random features", by=10),
        beats("PCA of FF", by=2),
        beats("PCA of FF, smallest m", by=2, of="MRL, smallest m"),
    ),
    trivial="random features",
)
def cutting_fails(preset: Preset, key: jax.Array) -> Measurement:
    """All are made of the largest FF. The claim is for m well below the number of classes."""
    run = run_all(preset, key)
    accuracy = {name: 100 * values for name, values in run.neighbours.items()}
    methods = ("FF prefix", "random features", "PCA of FF")
    return Measurement(
        float(accuracy["MRL"][1]),
        **_fields(run),
        baselines={name: float(accuracy[name][1]) for name in methods},
        extras={
            "MRL, smallest m": float(accuracy["MRL"][0]),
            **{f"{name}, smallest m": float(accuracy[name][0]) for name in methods},
            "MRL - PCA of FF, third smallest m": float(accuracy["MRL"][2] - accuracy["PCA of FF"][2]),
        },
    )


@paper.claim(
    "C7",
    seeds=5,
    says="MRL-E, one classifier that is sliced, is as accurate as MRL but for the smallest m",
    source="figure 2, table 1",
    metric="largest |accuracy MRL-E - MRL| from the third smallest m on",
    unit="points",
    holds=at_most(3),
    trivial="largest MRL classifier, sliced",
)
def tying_is_cheap(preset: Preset, key: jax.Array) -> Measurement:
    """Beside it the largest classifier of MRL, which was not trained to be sliced."""
    run = run_all(preset, key)
    heads, sizes = head_accuracy(run), run.source.value.preset.nesting
    gap = {name: heads[name] - heads["MRL"] for name in ("MRL-E", "largest MRL classifier, sliced")}
    return Measurement(
        float(abs(gap["MRL-E"][2:]).max()),
        **_fields(run),
        baselines={"largest MRL classifier, sliced": float(abs(gap["largest MRL classifier, sliced"][2:]).max())},
        extras={"MRL-E - MRL, smallest m": float(gap["MRL-E"][0]), "MRL-E - MRL, second smallest m": float(gap["MRL-E"][1])},
        series={"MRL-E - MRL": (sizes, gap["MRL-E"].tolist())},
        figure=figures.gaps(sizes, gap["MRL-E"], "MRL-E against MRL"),
    )


# --- C5: adaptive classification ---


def cascade_split(run: Run, draw: np.random.Generator) -> dict[str, Any]:
    """Thresholds on one half of the test set, everything else on the other.

    Returns:
        `fixed` accuracies of every size, `caps` and `oracle` as (expected dimension, accuracy), `used` shares of the stages; in
        percent.
    """
    sizes = run.source.value.preset.nesting
    probs, truth = softmax(run.logits["MRL"].astype(float), axis=-1), run.queries[1]
    order = draw.permutation(len(truth))
    fit, test = order[: len(order) // 2], order[len(order) // 2 :]
    thresholds = fit_cascade(probs[:, fit], truth[fit])
    probs, truth = probs[:, test], truth[test]
    caps = [apply_cascade(probs, thresholds, sizes, stage) for stage in range(len(sizes))]
    oracle = oracle_cascade(probs, truth, sizes)

    def point(routed):
        return routed.expected_dim, 100 * float(np.mean(routed.predictions == truth))

    return {
        "fixed": 100 * (probs.argmax(-1) == truth).mean(-1),
        "caps": np.array([point(routed) for routed in caps]),
        "oracle": np.array(point(oracle)),
        "used": np.bincount(caps[-1].used, minlength=len(sizes)) / len(truth),
    }


@paper.claim(
    "C5",
    seeds=5,
    says="Adaptive classification needs few dimensions on average for nearly the accuracy of all of them",
    source="section 4.2.1, figure 6",
    metric="accuracy of the cascade, thresholds from the other half of the test set",
    unit="%",
    holds=all_of(
        beats("fixed prefix of the budget"), beats("largest MRL", by=-1.5), at_most(1, of="expected dimension / budget")
    ),
    trivial="fixed prefix of the budget",
)
def adaptive_classification(preset: Preset, key: jax.Array) -> Measurement:
    """Means over random halves of the test set."""
    run = run_all(preset, key)
    preset = run.source.value.preset
    draw = generator(jax.random.fold_in(key, 3))
    splits = [cascade_split(run, draw) for _ in range(preset.cascade_splits)]
    mean = {name: np.mean([split[name] for split in splits], axis=0) for name in splits[0]}
    dimension, accuracy = mean["caps"][-1]
    return Measurement(
        float(accuracy),
        **_fields(run),
        baselines={
            "fixed prefix of the budget": float(mean["fixed"][preset.nesting.index(preset.budget)]),
            "largest MRL": float(mean["fixed"][-1]),
            "largest FF": float(head_accuracy(run)["FF"][-1]),
            "oracle": float(mean["oracle"][1]),
        },
        extras={
            "expected dimension": float(dimension),
            "expected dimension / budget": float(dimension / preset.budget),
            "oracle's expected dimension": float(mean["oracle"][0]),
        },
        figure=figures.cascade(preset.nesting, mean["fixed"], mean["caps"], mean["oracle"], mean["used"]),
    )


# --- C6: adaptive retrieval ---


@paper.claim(
    "C6",
    seeds=5,
    says="A shortlist by few dimensions, ranked again by all, is as good as the whole search at a fraction of its cost",
    source="section 4.3.1, figure 8",
    metric="mAP@10 / that of exact search by all dimensions",
    holds=all_of(at_least(0.99), at_most(0.3, of="operations / those of exact search"), beats("shortlist alone")),
    trivial="shortlist alone",
)
def adaptive_search(preset: Preset, key: jax.Array) -> Measurement:
    """Training images as the database, test images as queries, relevant where the class is the same."""
    run = run_all(preset, key)
    (rows, classes), (points, truth) = run.database, run.queries
    preset = run.source.value.preset
    search, n, k = preset.search, len(rows), preset.search.places
    shortlist = np.asarray(_nearest(points, rows, search.d_s, search.shortlist)[1])
    found = {
        "exact": _nearest(points, rows, search.d_r, k)[1],
        "shortlist alone": shortlist,
        "adaptive": _again(points, rows, shortlist, search.d_r)[1],
    }
    score = {name: mean_precision(lists, classes, truth, k) for name, lists in found.items()}
    exact_flops = flops_per_query(n, search.d_r)
    return Measurement(
        score["adaptive"] / score["exact"],
        **_fields(run),
        baselines={"shortlist alone": score["shortlist alone"] / score["exact"]},
        extras={
            "operations / those of exact search": flops_per_query(n, search.d_s, [search.d_r], [search.shortlist]) / exact_flops,
            "mAP of exact search": score["exact"],
        },
    )


_nearest = jax.jit(nearest, static_argnums=(2, 3))
_again = jax.jit(rank_again, static_argnums=3)
