"""The paper's claims, measured."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from quire.common.claims import Measurement, above, all_of, at_least, beats, below, every_seed, on_average
from quire.common.claims.identity import identity
from quire.common.random import generator
from quire.hydra import figures
from quire.hydra.brute_force import supervised_contrast
from quire.hydra.config import Preset
from quire.hydra.discovery import discoveries
from quire.hydra.gates import OpenGate
from quire.hydra.loss import pair_loss
from quire.hydra.methods import COMPARED
from quire.hydra.paper import paper
from quire.hydra.relations import agreement, class_relations
from quire.hydra.training import sweep_runs

PAPERS, OPEN, SUPCON = COMPARED


@paper.claim(
    "C1",
    says="With open gates and identical pairs the method is supervised contrastive learning",
    source="the loss of the method",
    metric="largest relative difference of the loss from a loop over pairs, float64",
    holds=all_of(below(1e-10), below(1e-5, of="float32")),
    exact=True,
)
def is_supervised_contrast(preset: Preset, key: jax.Array) -> Measurement:
    """Random embeddings; samples as positives of their own, as in the authors' code, and without."""
    draw = generator(key)
    z, y = draw.standard_normal((24, 8)), draw.permutation(np.repeat(np.arange(4, dtype=np.int32), 6))

    def error(dtype: Any) -> dict[str, float]:
        found = {}
        for exclude_self in (False, True):
            gate = OpenGate(z.shape[1])(y).astype(dtype)
            loss = pair_loss(jnp.asarray(z, dtype), gate, y, y, exclude_self=exclude_self)
            expected = supervised_contrast(z, y, 0.1, exclude_self=exclude_self)
            found["without self" if exclude_self else "with self"] = abs(float(loss) / expected - 1)
        return found

    return identity(error, "24 random vectors of 8 numbers, 4 classes")


@paper.claim(
    "C2",
    says="There is a sub-space in which the two classes of an arbitrary pair agree and differ from the others",
    source="abstract, motivating experiment",
    metric="AUC of gated cosines on test images, mean over pairs",
    holds=all_of(
        on_average(beats("ungated", by=0.05)),
        every_seed(at_least(0.8, of="share of pairs that gain")),
        on_average(below(0.03, of="permuted - ungated")),
        on_average(above(0.85, of="planted coordinates, AUC of the gate")),
    ),
    trivial="permuted gate",
)
def a_subspace_exists(preset: Preset, key: jax.Array) -> Measurement:
    """Frozen embeddings of the supervised contrastive network, one gate for each pair; planted sub-spaces beside."""
    found, run = discoveries(preset, key), sweep_runs(preset, key)
    gated, ungated, permuted = (found[kind] for kind in ("gated", "ungated", "permuted"))
    names = [" - ".join(run["classes"][c] for c in pair) for pair in found["pairs"].tolist()]
    return Measurement(
        float(gated.mean()),
        f"{run['data']}; planted Gaussian mixtures",
        baselines={"ungated": float(ungated.mean()), "permuted gate": float(permuted.mean())},
        extras={
            "share of pairs that gain": float(np.mean(gated > ungated)),
            "permuted - ungated": float((permuted - ungated).mean()),
            "planted coordinates, AUC of the gate": float(found["planted"].mean()),
            "planted coordinates, least AUC": float(found["planted"].min()),
        },
        stand_in_for=run["stand_in_for"],
        figure=figures.subspaces(
            {"gated": gated, "ungated": ungated, "permuted": permuted},
            names,
            found["planted gates"][0],
            found["planted shared"][0],
        ),
    )


@paper.claim(
    "C3",
    says="The gates are what makes arbitrary pairs learnable",
    source="abstract",
    metric="accuracy of nearest neighbours",
    holds=all_of(on_average(beats(OPEN, by=0.04)), every_seed(above(0, of="loss, open - gate"))),
    trivial="raw pixels",
)
def gates_make_pairs_learnable(preset: Preset, key: jax.Array) -> Measurement:
    """Without gates all classes are asked to coincide. The same start, images and pairs for every method."""
    run = sweep_runs(preset, key)
    accuracy, loss = ({name: float(x) for name, x in run[kind].items()} for kind in ("accuracy", "loss"))
    sides = {f"{kind}, {name}": float(x) for kind in ("probe", "transfer") for name, x in run[kind].items()}
    beside = {f"{kind}, {name}": x for name, numbers in run["beside"].items() for kind, x in numbers.items()}
    more = {name: x for name, x in (sides | beside).items() if np.isfinite(x)}
    return Measurement(
        accuracy[PAPERS],
        run["data"],
        baselines={name: accuracy[name] for name in (OPEN, SUPCON, "untrained")} | {"raw pixels": float(run["pixels"])},
        extras={"loss, open - gate": loss[OPEN] - loss[PAPERS]} | {f"loss, {name}": x for name, x in loss.items()} | more,
        stand_in_for=run["stand_in_for"],
        figure=figures.curves(run["curve"]),
    )


@paper.claim(
    "C4",
    says="Gated training does not collapse to a few dimensions",
    source="abstract",
    metric="effective rank of the embeddings of test images",
    holds=all_of(every_seed(above(2)), every_seed(above(2, of=f"rank of h, {PAPERS}"))),
    trivial="untrained",
)
def no_collapse(preset: Preset, key: jax.Array) -> Measurement:
    """A low bar, with the ranks of all methods beside it: see what the others reach before crediting the gates."""
    run = sweep_runs(preset, key)
    rank = {name: float(x) for name, x in run["rank z"].items()}
    directions = {name: (np.arange(1, len(x) + 1), x) for name, x in run["spectrum"].items()}
    return Measurement(
        rank[PAPERS],
        run["data"],
        baselines={name: rank[name] for name in (OPEN, SUPCON, "untrained")},
        extras={f"rank of h, {name}": float(x) for name, x in run["rank h"].items()},
        series={f"log singular values, {name}": curve for name, curve in directions.items()},
        stand_in_for=run["stand_in_for"],
        figure=figures.spectra(run["spectrum"], rank),
    )


@paper.claim(
    "C5",
    says="The gates discover which classes are related",
    source="abstract",
    metric="Spearman's rho over pairs of classes, gates against class means of a network without gates",
    holds=all_of(every_seed(above(0.5)), every_seed(below(0.01, of="p by permuted classes"))),
    trivial="raw pixels",
)
def discovers_relations(preset: Preset, key: jax.Array) -> Measurement:
    """Cosines of centred single-class gates. Mean images, which know nothing of a network, stand beside them."""
    run = sweep_runs(preset, key)
    matrices = {
        title: np.asarray(class_relations(jnp.asarray(run[kind], jnp.float32)))
        for title, kind in (("gates", "gates"), ("class means of h, no gates", "means"), ("mean images", "pixel means"))
    }
    gates, means, images = matrices.values()
    draw = generator(jax.random.fold_in(key, 7))
    rho, p = agreement(gates, means, draw)
    by_pixels, _ = agreement(images, means, draw)
    return Measurement(
        rho,
        run["data"],
        baselines={"raw pixels": by_pixels},
        extras={"p by permuted classes": p},
        stand_in_for=run["stand_in_for"],
        figure=figures.relations(matrices, run["classes"]),
    )
