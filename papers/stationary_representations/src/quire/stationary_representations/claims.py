"""The paper's claims, measured."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from quire.common.claims import Measurement, above, all_of, beats, below, every_seed, on_average
from quire.common.claims.identity import identity
from quire.common.random import generator
from quire.common.testing import max_relative_error
from quire.stationary_representations import brute_force, figures
from quire.stationary_representations.alignment import hoc_loss
from quire.stationary_representations.compatibility import average_accuracy, average_compatibility, inequalities, within_segments
from quire.stationary_representations.config import Preset
from quire.stationary_representations.lifelong import METHODS, lifelong_runs
from quire.stationary_representations.paper import paper
from quire.stationary_representations.simplex import simplex, structured_simplex_logits
from quire.stationary_representations.stationarity import networks_apart

# --- The classifier ---


@paper.claim(
    "C1",
    says="Any two vectors of the d-Simplex have the cosine -1 / (K - 1)",
    source="section 3",
    metric="largest deviation of a cosine, float64",
    holds=all_of(
        below(1e-6),
        below(1e-6, of="deviation, float32"),
        below(1e-9, of="structured logits"),
        below(1e-5, of="structured logits, float32"),
    ),
    exact=True,
)
def simplex_geometry(preset: Preset, key: jax.Array) -> Measurement:
    """Beside the cosines, the logits without a product against those with one."""
    found = {
        dtype: [_geometry(count, dtype, generator(key)) for count in preset.simplex_sizes] for dtype in ("float64", "float32")
    }
    (deviation, logits), (single, single_logits) = (np.max(values, axis=0) for values in found.values())
    return Measurement(
        float(deviation),
        f"K = {', '.join(map(str, preset.simplex_sizes))}",
        extras={
            "deviation, float32": float(single),
            "structured logits": float(logits),
            "structured logits, float32": float(single_logits),
        },
    )


def _geometry(count: int, dtype: str, draw: np.random.Generator) -> tuple[float, float]:
    """Largest deviation of a cosine, and relative error of the structured logits of a few features."""
    rows = simplex(count).astype(dtype)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    cosines = unit @ unit.T
    z = draw.standard_normal((4, count - 1)).astype(dtype)
    with jax.enable_x64(dtype == "float64"):
        structured = np.asarray(structured_simplex_logits(jnp.asarray(z), count))
    off = cosines[~np.eye(count, dtype=bool)]
    return float(np.abs(off + 1 / (count - 1)).max()), max_relative_error(structured, z.astype(float) @ simplex(count).T)


# --- Stationarity ---


@paper.claim(
    "C2",
    says="Networks trained apart on one fixed simplex share the directions of their features; with classifiers that learn, none",
    source="section 3",
    metric="cosine of two networks' means of a class",
    seeds=4,
    holds=all_of(
        on_average(above(0.9)),
        on_average(above(0.8, of="search, fixed")),
        on_average(below(0.3, of="|cosine|, learnable")),
        on_average(below(0.25, of="search, learnable")),
    ),
    trivial="two classes",
)
def stationarity(preset: Preset, key: jax.Array) -> Measurement:
    """Means over the pairs that a network is in. Search takes a network's queries to another one's gallery."""
    run = networks_apart(preset, key)
    fixed, learnable = (run["pairs"][kind] for kind in ("fixed", "learnable"))
    return Measurement(
        float(fixed["cosine"]),
        run["data"],
        baselines={"learnable": float(learnable["cosine"]), "two classes": float(fixed["other class"])},
        extras={
            "|cosine|, learnable": float(learnable["|cosine|"]),
            "search, fixed": float(fixed["search"]),
            "search, learnable": float(learnable["search"]),
            "own gallery, fixed": float(fixed["own"]),
            "own gallery, learnable": float(learnable["own"]),
            "chance": float(run["chance"]),
        },
        stand_in_for=run["stand_in_for"],
        figure=figures.class_cosines({kind: run["pairs"][kind]["table"] for kind in ("fixed", "learnable")}),
    )


# --- Lifelong learning with replacements ---


def _summaries(preset: Preset, key: jax.Array) -> tuple[dict[str, Any], dict[str, dict[str, float]]]:
    """The run, and what each method's matrix comes to."""
    run = lifelong_runs(preset, key)
    run["matrix"] = {name: run["matrix"][name] for name in METHODS}  # a tree of arrays comes back in alphabetical order
    found = {}
    for name, matrix in run["matrix"].items():
        within = within_segments(len(matrix), run["replace_at"])
        across = np.tril(~within, -1)
        found[name] = {
            "segment": float(matrix[within].mean()),
            "across": float(matrix[across].mean()),
            "old model": float(np.broadcast_to(np.diagonal(matrix), matrix.shape)[across].mean()),
            "own": float(np.diagonal(matrix).mean()),
            "AC": average_compatibility(matrix),
            "AA": average_accuracy(matrix),
        }
    return run, found


@paper.claim(
    "C3",
    says="Aligned at higher order, fixed simplex representations stay compatible under fine-tuning, better than replay alone",
    source="tables 1 and 2",
    metric="search accuracy, new queries in older galleries, no replacement between",
    holds=all_of(
        on_average(beats("simplex-only", by=0.05)),
        on_average(beats("ER", by=0.03)),
        on_average(beats("AC, simplex-only", of="AC, HOC")),
        on_average(beats("AC, ER", of="AC, simplex-only")),
        on_average(above(0, of="AA, HOC - ER")),
    ),
    trivial="raw-pixel templates",
)
def compatible_within_segments(preset: Preset, key: jax.Array) -> Measurement:
    """Classes that no model has learned are searched. Raw pixels are compatible with themselves for ever."""
    run, found = _summaries(preset, key)
    others = [name for name in found if name != "HOC"]
    return Measurement(
        found["HOC"]["segment"],
        run["data"],
        baselines={name: found[name]["segment"] for name in others} | {"raw-pixel templates": float(run["pixels"])},
        extras={f"{what}, {name}": found[name][what] for what in ("AC", "AA", "own") for name in found}
        | {"AA, HOC - ER": found["HOC"]["AA"] - found["ER"]["AA"], "chance": float(run["chance"])},
        stand_in_for=run["stand_in_for"],
        figure=figures.matrices(run["matrix"], run["replace_at"]),
    )


@paper.claim(
    "C3b",
    says="They stay compatible when a better model from elsewhere takes over",
    source="tables 1 and 2",
    metric="search accuracy, new queries in galleries from before a replacement",
    holds=on_average(beats("old model")),
    trivial="chance",
    expect="not reproduced",
    because=(
        "The replacing model has learned other classes from other images. The shared classifier fixes where those go; where the "
        "features of classes that neither model has learned lie between its vectors is each small network's own affair, and the "
        "contrastive term ties later models to the new one alone."
    ),
)
def compatible_across_replacements(preset: Preset, key: jax.Array) -> Measurement:
    """The same runs. The line is the empirical criterion: to do better than the old model with its own queries."""
    run, found = _summaries(preset, key)
    others = [name for name in found if name != "HOC"]
    return Measurement(
        found["HOC"]["across"],
        run["data"],
        baselines={"old model": found["HOC"]["old model"], "chance": float(run["chance"])}
        | {name: found[name]["across"] for name in others},
        extras={"raw-pixel templates": float(run["pixels"])},
        stand_in_for=run["stand_in_for"],
    )


# --- The definition ---


@paper.claim(
    "C4",
    says="Both inequalities of compatibility hold at the class vectors, and approximately for features trained towards them",
    source="section 3, theorem on compatibility",
    metric="smaller share of pairs that satisfy an inequality, trained networks",
    seeds=4,
    holds=all_of(
        every_seed(below(1e-12, of="violation, class vectors")),
        every_seed(above(0.1, of="violation, turned class vectors")),
        on_average(beats("learnable", by=0.05)),
    ),
    trivial="fixed, turned at random",
)
def both_inequalities(preset: Preset, key: jax.Array) -> Measurement:
    """Class vectors as the features of two models, one copy turned for the control; then the networks of C2, new against old."""
    run = networks_apart(preset, key)
    fixed, learnable = (run["pairs"][kind] for kind in ("fixed", "learnable"))
    exact, turned = class_vector_violations(preset.stationarity.architecture.num_slots, generator(key))
    by_kind = {kind: {which: float(of[which]) for which in ("same", "different")} for kind, of in run["pairs"].items()}
    return Measurement(
        float(fixed["smaller"]),
        run["data"],
        baselines={"learnable": float(learnable["smaller"]), "fixed, turned at random": float(fixed["rotated"])},
        extras={"violation, class vectors": exact, "violation, turned class vectors": turned}
        | {f"{which} class, {kind}": share for kind, both in by_kind.items() for which, share in both.items()},
        stand_in_for=run["stand_in_for"],
        figure=figures.shares(by_kind),
    )


def class_vector_violations(num_classes: int, draw: np.random.Generator) -> tuple[float, float]:
    """Largest violation by features at the class vectors: of another length, and turned by a random orthogonal map.

    >>> exact, turned = class_vector_violations(4, np.random.default_rng(0))
    >>> exact < 1e-12, turned > 0.1
    (True, True)
    """
    old, labels = simplex(num_classes), np.arange(num_classes)
    turn = np.linalg.qr(draw.standard_normal((num_classes - 1,) * 2))[0]
    exact, turned = (inequalities(new, old, old, labels, labels).violation for new in (3 * old, old @ turn))
    return exact, turned


# --- The contrastive term ---


@paper.claim(
    "C5",
    says="Entries of the same class are multiplied by zero, and each stays in the sum as exp(0): they are not left out",
    source="authors' code, contrastive term",
    metric="largest error against the sums written out, float64",
    holds=all_of(below(1e-9), below(1e-5, of="float32"), every_seed(above(0, of="code form - exact form"))),
    exact=True,
)
def mask_detail(preset: Preset, key: jax.Array) -> Measurement:
    """Random features; the form that keeps the sample's own entry in the sum stands beside."""
    draw = generator(key)
    new, old, labels = draw.standard_normal((24, 7)), draw.standard_normal((24, 7)), draw.integers(0, 4, 24)
    expected = {mask: brute_force.hoc_loss(new, old, labels, 10.0, mask) for mask in ("zero", "out", "own")}

    def error(dtype: Any) -> list[float]:
        arrays = jnp.asarray(new, dtype), jnp.asarray(old, dtype), labels
        forms = ((False, "zero"), (True, "out"))
        return [max_relative_error(hoc_loss(*arrays, exact=exact), expected[mask]) for exact, mask in forms]

    extras = {"code form": expected["zero"], "exact form": expected["out"], "exact form with the own entry": expected["own"]}
    extras["code form - exact form"] = expected["zero"] - expected["out"]
    return identity(error, "24 random features of 4 classes, mu = 10", extras=extras)
