"""The paper's claims, measured: C1 to C6."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from quire.common.claims import Measurement, above, all_of, at_most, beats, below, every_seed, on_average
from quire.common.claims.identity import identity
from quire.common.layers.class_heads import subspace_logits
from quire.common.manifolds.grassmann import projector
from quire.common.random import generator
from quire.common.testing import max_relative_error
from quire.common.train.rsgd import rsgd
from quire.grassmann_class import brute_force, figures
from quire.grassmann_class.config import Preset
from quire.grassmann_class.descent import head_loss, trajectory
from quire.grassmann_class.experiment import VECTORS, Run, run_all
from quire.grassmann_class.paper import paper
from quire.grassmann_class.race import digits_race, principal_subspace

CLASSES, DIM, K, STEPS, BATCH, GAMMA = 5, 9, 3, 12, 16, 25.0
RATE, MOMENTUM, EVERY = 0.1, 0.9, 5


@paper.claim(
    "C1",
    says="Logits are lengths of projections; a step of Riemannian SGD projects the momentum and follows a geodesic",
    source="equation 3; algorithm 1",
    metric="largest error / largest reference, float64",
    holds=all_of(at_most(1e-9), at_most(1e-3, of="float32"), at_most(1e-5, of="logits in float32")),
    exact=True,
)
def definitions(preset: Preset, key: jax.Array) -> Measurement:
    """Logits, and losses and projectors of a trajectory with momentum, against NumPy, class by class."""
    data = f"{CLASSES} random subspaces of dimension {K} in {DIM}, {STEPS} batches of {BATCH}"
    single = identity(lambda dtype: _logit_error(key, dtype), data).extras["float32"]
    return identity(partial(_trajectory_errors, key), data, extras={"logits in float32": single})


def _problem(key: jax.Array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, classes, subspaces."""
    draw = generator(key)
    bases = np.linalg.qr(draw.standard_normal((CLASSES, DIM, K)))[0]
    return draw.standard_normal((STEPS, BATCH, DIM)), draw.integers(0, CLASSES, (STEPS, BATCH)), bases


def _logit_error(key: jax.Array, dtype: Any) -> float:
    x, _, bases = _problem(key)
    found = _logits(jnp.asarray(x[0], dtype), jnp.asarray(bases, dtype), GAMMA)
    return max_relative_error(found, brute_force.logits(x[0], bases, GAMMA))


def _trajectory_errors(key: jax.Array, dtype: Any) -> list[float]:
    x, labels, bases = _problem(key)

    found = _trajectory(jnp.asarray(bases, dtype), jnp.asarray(x, dtype), jnp.asarray(labels))
    sizes = {"gamma": GAMMA, "rate": RATE, "momentum": MOMENTUM, "reorth_every": EVERY}
    expected = brute_force.trajectory(bases, x, labels, **sizes)
    return [_logit_error(key, dtype), *map(max_relative_error, found, expected)]


_logits = jax.jit(subspace_logits)


@jax.jit
def _trajectory(start, x, labels):
    """Losses and projectors of RSGD."""
    losses, points = trajectory(head_loss, start, rsgd(RATE, MOMENTUM, reorth_every=EVERY), (x, labels))
    return losses, projector(points)


@paper.claim(
    "C2",
    says="Geodesics with a re-orthonormalisation every few steps stay on the manifold",
    source="algorithm 1",
    metric="largest entry of |SᵀS - I| in 200 steps, float32",
    holds=every_seed(below(1e-5)),
    trivial="no constraint",
)
def stays_on_the_manifold(preset: Preset, key: jax.Array) -> Measurement:
    """A head on the pixels of digits, which every machine has. The optimisers' accuracies stand beside, and decide nothing."""
    results, data = digits_race(key)
    accuracy = {f"accuracy, {name}": found["accuracy"] for name, found in results.items()}
    losses = {f"loss, {name}": float(found["loss"][-20:].mean()) for name, found in results.items()}
    off = {name: float(found["off"].max()) for name, found in results.items()}
    return Measurement(
        off["RSGD"],
        data,
        baselines={name: off[name] for name in ("no constraint", "never re-orthonormalised")},
        extras=accuracy | losses,
        figure=figures.drift({name: found["off"] for name, found in results.items()}),
    )


@paper.claim(
    "C3",
    says="Riemannian SGD descends on the manifold",
    source="section 3.3",
    metric="median gap to the principal subspace after 200 steps, 20 starts",
    holds=all_of(every_seed(below(1e-6)), every_seed(at_most(1e-9, of="largest rise of a step"))),
    trivial="random start",
)
def descends(preset: Preset, key: jax.Array) -> Measurement:
    """Minimise `-tr(S^T A S)`, `A = diag(10, ..., 1)`, k = 3, learning rate 0.02, no momentum, float64."""
    gaps = principal_subspace(key)
    last = {name: float(np.median(gap[:, -1])) for name, gap in gaps.items()}
    return Measurement(
        last["RSGD"],
        "A = diag(10, ..., 1), float64",
        baselines={"random start": float(np.median(gaps["RSGD"][:, 0]))}
        | {name: last[name] for name in ("QR retraction", "plain SGD + QR")},
        extras={"largest rise of a step": float(np.diff(gaps["RSGD"], axis=1).max())},
        figure=figures.descent(gaps),
    )


# --- C4, C5, C6: one run ---

SEEDS = 12
"""The subspaces' lead over lines is about what one seed differs from another: fewer seeds would leave the order to chance."""


def _named(run: Run) -> tuple[dict[str, str], str, str]:
    """Names of all methods, and those of the smallest and the largest subspaces, as they stand beside a value."""
    ks = run.source.value.preset.ks
    return {name: name for name in (*VECTORS, *(f"k = {k}" for k in ks))}, f"k = {ks[0]}", f"k = {ks[-1]}"


def _beside(values: dict[str, np.ndarray], run: Run) -> tuple[float, dict[str, float]]:
    """The number of the largest subspaces, and those of all others; the smallest are called `smallest k`."""
    _, smallest, largest = _named(run)
    others = {"smallest k" if name == smallest else name: float(x) for name, x in values.items() if name != largest}
    return float(values[largest]), others


@paper.claim(
    "C4",
    seeds=SEEDS,
    says="Subspaces classify better than lines, and as well as class vectors of the same scale",
    source="table 1, k = 1 to 16",
    metric="test accuracy of the largest k",
    holds=all_of(on_average(beats("smallest k")), on_average(beats("cosine softmax", by=-0.01))),
    trivial="majority class",
)
def subspaces_over_lines(preset: Preset, key: jax.Array) -> Measurement:
    """Bodies by Adam, subspaces by RSGD, one cosine schedule; the same batches and the same initial encoder for all."""
    run = run_all(preset, key)
    value, others = _beside(run.accuracy, run)
    return Measurement(
        value,
        **run.source.fields(),
        baselines={"majority class": float(run.majority)} | others,
        extras={f"last loss, {name}": float(losses[-20:].mean()) for name, losses in run.losses.items()},
        figure=figures.losses({name: run.losses[name] for name in _named(run)[0]}),
    )


@paper.claim(
    "C4b",
    seeds=SEEDS,
    says="Class subspaces are more accurate than class vectors (ResNet-50-D on ImageNet: 79.26 against 78.05)",
    source="table 1",
    metric="test accuracy of the largest k",
    holds=on_average(beats("softmax")),
    trivial="majority class",
    expect="not reproduced",
    because="logits of normalised features are bounded by gamma, and such heads learn more slowly; in a short training of a "
    "small network the linear softmax, unbounded, is ahead of the cosine softmax and of the subspaces alike",
)
def subspaces_over_vectors(preset: Preset, key: jax.Array) -> Measurement:
    """The run of C4."""
    run = run_all(preset, key)
    value, others = _beside(run.accuracy, run)
    return Measurement(value, **run.source.fields(), baselines={"majority class": float(run.majority)} | others)


@paper.claim(
    "C5",
    seeds=SEEDS,
    says="Features vary more within a class where its subspace is larger",
    source="section 4.2, table 4",
    metric="mean angle to the class mean, largest k",
    unit="rad",
    holds=all_of(on_average(above(0, of="largest k - smallest k")), on_average(above(0, of="smallest k - cosine softmax"))),
    trivial="untrained",
)
def varies_within_classes(preset: Preset, key: jax.Array) -> Measurement:
    """Test features of the run of C4."""
    run = run_all(preset, key)
    value, others = _beside(run.angle, run)
    return Measurement(
        value,
        **run.source.fields(),
        baselines=others,
        extras={
            "largest k - smallest k": value - others["smallest k"],
            "smallest k - cosine softmax": others["smallest k"] - others["cosine softmax"],
        },
    )


@paper.claim(
    "C6",
    seeds=SEEDS,
    says="Features learnt with class subspaces transfer better than those of class vectors",
    source="section 4.2, table 5",
    metric="accuracy of a linear probe for quarter turns, largest k",
    holds=beats("softmax"),
    trivial="raw pixels",
    expect="not reproduced",
    because="a network that tells digits apart has learnt to overlook much of how they are turned, whichever head trained it: "
    "the pixels themselves are far ahead, and the heads differ by no more than seeds do",
)
def transfers(preset: Preset, key: jax.Array) -> Measurement:
    """A ridge probe on frozen features of unit length of images that were turned; the encoders of C4."""
    run = run_all(preset, key)
    value, others = _beside(run.transfer["linear probe"], run)
    more = {
        f"{use}, {name}": float(x) for use, found in run.transfer.items() if use != "linear probe" for name, x in found.items()
    }
    return Measurement(value, **run.source.fields(), baselines=others, extras=more)
