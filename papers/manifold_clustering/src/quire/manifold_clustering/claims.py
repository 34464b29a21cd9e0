"""The claims of the paper, in its order: C1 to C6."""

from typing import Any

import jax
import numpy as np

from quire.common.claims import Measurement, above, all_of, at_least, at_most, beats, below, every_seed, on_average
from quire.common.random import generator
from quire.manifold_clustering import figures
from quire.manifold_clustering.config import Preset
from quire.manifold_clustering.objectives import unit
from quire.manifold_clustering.paper import paper
from quire.manifold_clustering.rates import coding_rate, coding_rate_ds
from quire.manifold_clustering.sinkhorn import entropy, marginal_errors, sinkhorn
from quire.manifold_clustering.studies import curves_study, images_study, imbalanced_study

N, D, EPS_SQUARED = 24, 8, 0.1
"""Points, features and distortion of C1 and C2."""
ETAS = (0.1, 0.175, 0.3, 1.0, 3.0)


def mixed_permutations(draw: np.random.Generator, n: int, count: int = 6) -> np.ndarray:
    """A doubly stochastic matrix: permutations of n points in random shares (Birkhoff).

    >>> gamma = mixed_permutations(np.random.default_rng(0), 3)
    >>> bool(np.allclose(gamma.sum(0), 1) and np.allclose(gamma.sum(1), 1) and gamma.min() >= 0)
    True
    """
    shares = draw.dirichlet(np.ones(count))
    return np.einsum("s,sij->ij", shares, np.stack([np.eye(n)[draw.permutation(n)] for _ in shares]))


@jax.jit
def _objectives(Z: jax.Array, gammas: jax.Array) -> jax.Array:
    """R - R_c of points for every Gamma."""
    return jax.lax.map(lambda gamma: coding_rate(Z, EPS_SQUARED) - coding_rate_ds(Z, gamma, EPS_SQUARED), gammas)


_layer = jax.jit(sinkhorn)


@paper.claim(
    "C1",
    says="The objective is convex in the memberships, so its best ones are permutations: each point a cluster of its own",
    source="section 3, on the need for an entropy",
    metric="largest f(mix) - mix of f over random segments, nats, float64",
    holds=all_of(
        below(1e-9), above(0, of="f(identity) - f(uniform)"), at_least(-1e-9, of="f(identity) - best of the memberships drawn")
    ),
    exact=True,
)
def convex_in_memberships(preset: Preset, key: jax.Array) -> Measurement:
    """f = R - R_c for random unit rows, between two mixtures of permutations, at a random share."""
    draw = generator(key)
    z = draw.standard_normal((N, D))
    first, second = (np.stack([mixed_permutations(draw, N) for _ in range(preset.draws)]) for _ in range(2))
    t = draw.uniform(size=preset.draws)
    middle = (1 - t)[:, None, None] * first + t[:, None, None] * second
    with jax.enable_x64():
        points = unit(z / np.linalg.norm(z, axis=1, keepdims=True))
        ends = np.stack([np.eye(N), np.full((N, N), 1 / N)])
        values = np.asarray(_objectives(points, np.concatenate([first, second, middle, ends])))
    f0, f1, between, (identity, uniform) = np.split(values, [len(t), 2 * len(t), 3 * len(t)])
    return Measurement(
        float(np.max(between - (1 - t) * f0 - t * f1)),
        f"{preset.draws} segments, {N} random points in R^{D}",
        extras={
            "f(identity) - f(uniform)": float(identity - uniform),
            "f(identity) - best of the memberships drawn": float(identity - values[: 3 * len(t)].max()),
        },
    )


@paper.claim(
    "C2",
    says="The Sinkhorn layer gives a doubly stochastic matrix, and eta tunes its sparsity",
    source="section 3, equation for P_(Omega, eta)",
    metric="largest error of a row or column sum at convergence, float64",
    holds=all_of(below(1e-6), above(0, of="least rise of the entropy with eta")),
    exact=True,
)
def doubly_stochastic(preset: Preset, key: jax.Array) -> Measurement:
    """Affinities of random unit rows, eta from nearly a permutation to nearly uniform; the five half-iterations of CPP beside."""
    draw = generator(key)
    with jax.enable_x64():
        C = unit(draw.standard_normal((N, D)))
        A = C @ C.T
        gammas = [_layer(A, eta) for eta in np.array(ETAS)]
        errors = [float(max(marginal_errors(g))) for g in gammas]
        entropies = np.array([float(entropy(g)) for g in gammas])
        rows, columns = (float(x) for x in marginal_errors(sinkhorn(A, 0.175, 5)))
    return Measurement(
        float(np.max(errors)),
        f"{N} random points in R^{D}, eta from {ETAS[0]} to {ETAS[-1]}",
        extras={
            "least rise of the entropy with eta": float(np.diff(entropies).min()),
            "rows after 5 half-iterations": rows,
            "columns after 5 half-iterations": columns,
        },
        series={"entropy": (ETAS, entropies)},
        figure=figures.sparsity(ETAS, entropies, float(np.log(N))),
    )


def _changes(study: dict[str, Any]) -> dict[str, float]:
    """What stage 2 does to both rates: during training, and of the points themselves."""
    found = {f"{name} falls by": 1 - float(study[name][-1] / study[name][0]) for name in ("R", "R_c")}
    return found | {"R moves by": abs(found["R falls by"])}


@paper.claim(
    "C3",
    says="MLC linearises manifolds: clusters get simpler, features stay diverse, and the clusters are those of the curves",
    source="figure 1",
    metric="accuracy after both stages",
    holds=all_of(
        on_average(above(0.10, of="R_c falls by")),
        below(0.05, of="R moves by"),
        on_average(at_most(0.0, of="rise of the class rank")),
        above(0.0, of="rank of all features - d / 2"),
        on_average(above(0.10, of="TCR - k-means on inputs")),
        on_average(above(0.10, of="MLC - k-means on inputs")),
    ),
    trivial="one cluster",
)
def linearises_curves(preset: Preset, key: jax.Array) -> Measurement:
    """Three closed curves on the sphere in ten dimensions."""
    study = curves_study(preset, key)
    before, after = map(float, study["acc"])
    shape = study["geometry"]
    baselines = {name: float(values[0]) for name, values in study["baselines"].items()}
    kmeans = baselines["k-means on inputs"]
    return Measurement(
        after,
        study["name"],
        baselines=baselines | {"TCR": before},
        extras=_changes(study)
        | {
            "rise of the class rank": float(np.diff(shape["class rank"])[0]),
            "rank of all features": float(shape["rank"][1]),
            "rank of all features - d / 2": float(shape["rank"][1] - preset.curves.dim / 2),
            "TCR - k-means on inputs": before - kmeans,
            "MLC - k-means on inputs": after - kmeans,
            "MLC - TCR": after - before,
        }
        | {
            f"{name}, {stage}": float(shape[name][i])
            for name in ("class rank", "cosine")
            for i, stage in enumerate(("TCR", "MLC"))
        },
        figure=figures.curves_and_features(study["points"], study["features"], study["labels"]),
    )


@paper.claim(
    "C4",
    says="Stage 2 lowers the rate of the clusters and keeps that of all features",
    source="figure on the rates during training, CIFAR-10",
    metric="share of R_c that stage 2 removes",
    holds=all_of(on_average(above(0.10)), below(0.10, of="R falls by")),
    trivial="stage 1 gone on",
)
def clusters_shrink(preset: Preset, key: jax.Array) -> Measurement:
    """The curves of C3; beside it as many more steps of stage 1, on the same points."""
    study = curves_study(preset, key)
    start, trained, longer = study["rates"]
    found = _changes(study)
    return Measurement(
        found["R_c falls by"],
        study["name"],
        baselines={"stage 1 gone on": float(1 - longer[1] / start[1])},
        extras=found
        | {
            "R_c of the points falls by": float(1 - trained[1] / start[1]),
            "R of the points falls by": float(1 - trained[0] / start[0]),
        },
        series={name: (np.arange(1, len(study[name]) + 1), study[name]) for name in ("R", "R_c")},
    )


@paper.claim(
    "C5",
    says="Stage 2 clusters images better than the features it starts from, and better than k-means on pixels",
    source="table 1",
    metric="accuracy of spectral clustering on Gamma",
    holds=all_of(every_seed(beats("TCR")), on_average(beats("k-means on inputs"))),
    trivial="one cluster",
)
def clusters_images(preset: Preset, key: jax.Array) -> Measurement:
    """Images without labels; the rivals start from the same features of stage 1, supervised MCR2 sees the classes."""
    study = images_study(preset, key)
    accuracy = {name: float(values[0]) for name, values in study["scores"].items()}
    return Measurement(
        accuracy["MLC"],
        study["name"],
        baselines={name: value for name, value in accuracy.items() if name != "MLC"},
        extras={f"NMI, {name}": float(values[1]) for name, values in study["scores"].items()}
        | {f"{name} after stage 2": float(values[1]) for name, values in study["geometry"].items()}
        | {f"{name} after stage 1": float(values[0]) for name, values in study["geometry"].items()}
        | _changes(study)
        | {"connected parts of Gamma": float(study["components"][1])},
        stand_in_for="CIFAR-10, -20, -100 and TinyImageNet" if preset.images.points == "digits" else "",
    )


@paper.claim(
    "C5b",
    says="Subspace clustering works better on the features of MLC than on those of TCR",
    source="table 2",
    metric="accuracy of EnSC on Z_MLC",
    holds=on_average(beats("EnSC on Z_TCR")),
    trivial="one cluster",
    expect="not reproduced",
    because="digits are few and simple: both features do about as well, within the spread of the seeds, for the weights of the "
    "residual that were tried; the paper's gain is on CIFAR-10",
)
def better_subspaces(preset: Preset, key: jax.Array) -> Measurement:
    """The features of C5, clustered by the elastic net; orthogonal matching pursuit beside it."""
    study = images_study(preset, key)
    accuracy = {name: float(values[0]) for name, values in study["scores"].items()}
    return Measurement(
        accuracy["EnSC on Z_MLC"],
        study["name"],
        baselines={name: accuracy[name] for name in ("one cluster", "EnSC on Z_TCR", "SSC-OMP on Z_TCR", "SSC-OMP on Z_MLC")},
    )


@paper.claim(
    "C6",
    says="Where classes are unequal, MLC loses less than NMCE, whose clusters are few and of equal weight",
    source="table 3, Imb-CIFAR-10",
    metric="accuracy lost without half of the odd classes",
    holds=on_average(at_most(0.0, of="loss of MLC - loss of NMCE - 1 s.e.")),
    trivial="one cluster",
)
def unequal_classes(preset: Preset, key: jax.Array) -> Measurement:
    """C5 again on fewer images. One standard error is that of the difference of the losses over the seeds."""
    study, few = images_study(preset, key), imbalanced_study(preset, key)
    loss = {name: float(study["scores"][name][0] - few["scores"][name][0]) for name in few["scores"]}
    return Measurement(
        loss["MLC"],
        few["name"],
        baselines={name: value for name, value in loss.items() if name != "MLC"},
        extras={f"accuracy, {name}": float(values[0]) for name, values in few["scores"].items()}
        | {"loss of MLC - loss of NMCE - 1 s.e.": loss["MLC"] - loss["NMCE"] - few["standard error"]},
        stand_in_for="Imb-CIFAR-10" if preset.images.points == "digits" else "",
    )
