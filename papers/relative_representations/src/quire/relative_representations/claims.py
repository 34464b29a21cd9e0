"""The paper's claims, measured: C1 to C7."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from quire.common.claims import Measurement, above, all_of, at_least, at_most, beats, below
from quire.common.claims.identity import identity
from quire.common.metrics.rank_correlation import spearman
from quire.common.random import generator
from quire.common.testing import max_relative_error
from quire.relative_representations import figures
from quire.relative_representations.autoencoder import autoencoder_runs
from quire.relative_representations.config import Images, Preset
from quire.relative_representations.paper import paper
from quire.relative_representations.projection import relative_projection
from quire.relative_representations.stitched_graphs import graph_runs
from quire.relative_representations.stitched_images import ALIGNMENTS, POLICIES, image_runs, paired_cosines
from quire.relative_representations.stitching import summarise

# --- C1: an identity ---

SAMPLES, ANCHORS, DIM = 40, 15, 8


@paper.claim(
    "C1",
    says="Relative codes do not change when the latent space is rotated, reflected or scaled",
    source="section 3",
    metric="largest change / largest cosine, float64",
    holds=all_of(below(1e-12), below(1e-5, of="float32"), above(0.01, of="after a translation")),
    exact=True,
)
def invariance(preset: Preset, key: jax.Array) -> Measurement:
    """A random rotation, a reflection, and a scale for every vector. A translation does change the codes."""
    draw = generator(key)
    x, anchors = draw.standard_normal((SAMPLES, DIM)), draw.standard_normal((ANCHORS, DIM))
    turn = np.linalg.qr(draw.standard_normal((DIM, DIM)))[0]
    mirror = turn * np.where(np.arange(DIM) == 0, -1, 1)
    scales = draw.uniform(0.1, 10, SAMPLES)[:, None]
    moves = [lambda z, q=q: z @ q for q in (turn, mirror)]
    before = relative_projection(x.astype(np.float32), anchors.astype(np.float32))
    moved = relative_projection((x + 1).astype(np.float32), (anchors + 1).astype(np.float32))
    return identity(
        partial(_changes, x, anchors, scales, moves),
        f"{SAMPLES} random vectors and {ANCHORS} anchors of {DIM} dimensions",
        extras={"after a translation": max_relative_error(moved, before)},
    )


def _changes(x, anchors, scales, moves, dtype: Any) -> list[float]:
    def codes(x, anchors):
        return relative_projection(jnp.asarray(x, dtype), jnp.asarray(anchors, dtype))

    before = codes(x, anchors)
    return [max_relative_error(codes(move(scales * x), 3 * move(anchors)), before) for move in moves]


# --- C2 to C4, C6: encoders of images ---


def _sizes(config: Images) -> str:
    return f"{config.num_encoders} encoders, {max(config.anchor_counts)} anchors"


@paper.claim(
    "C2",
    says="Latent spaces of different trainings differ by about an isometry: relative codes of a sample agree, latents do not",
    source="sections 1 and 3, figure 1",
    metric="mean cosine of the relative codes of the same image in two encoders",
    holds=all_of(
        above(0.8),
        below(0.3, of="latents"),
        beats("relative codes of different images", by=0.2),
        above(0.6, of="autoencoders, centred"),
    ),
    trivial="relative codes of different images",
)
def same_angles(preset: Preset, key: jax.Array) -> Measurement:
    """Classifiers, all pairs; and two autoencoders, whose codes are alike for any two images until their mean is taken off."""
    run, autoencoders = image_runs(preset, key), autoencoder_runs(preset, key)
    found = paired_cosines(key, run["anchors"], run["test"])
    other = paired_cosines(key, autoencoders["anchors"], autoencoders["test"])
    return Measurement(
        found["relative"],
        **run["source"].fields(_sizes(run["source"].value.config)),
        baselines={"relative codes of different images": found["relative, shuffled"], "latents": found["absolute"]},
        extras={
            "centred": found["centred"],
            "centred, different images": found["centred, shuffled"],
            **{f"autoencoders, {name}": value for name, value in other.items()},
        },
        figure=figures.pairings({"classifiers": found, "autoencoders": other}),
    )


@paper.claim(
    "C3",
    says="A head that was trained on one encoder's relative codes works on another's, a head on latents does not",
    source="section 5",
    metric="accuracy of heads on other encoders, mean over pairs",
    holds=all_of(at_least(0.8), at_least(0.9, of="other encoders / own encoder"), at_most(0.25, of="latents, heads swapped")),
    trivial="most frequent class",
)
def zero_shot_stitching(preset: Preset, key: jax.Array) -> Measurement:
    """Beside it maps between latent spaces that were fitted on the same anchors, for every pair anew."""
    run = image_runs(preset, key)
    relative, absolute = (run[name] for name in (_all_anchors(run), "absolute"))
    found = summarise(relative)
    aligned = {f"latents, {kind} map": summarise(run[kind]).other for kind in ALIGNMENTS}
    return Measurement(
        found.other,
        **run["source"].fields(_sizes(run["source"].value.config)),
        baselines={
            "most frequent class": float(run["majority"]),
            "latents, heads swapped": summarise(absolute).other,
            **aligned,
        },
        extras={
            "own encoder": found.own,
            "other encoders / own encoder": found.other / found.own,
            "worst pair": found.worst,
            "latents, own encoder": summarise(absolute).own,
        },
        figure=figures.stitching({"relative codes": relative, "latents": absolute, "latents, rotated": run["orthogonal"]}),
    )


def _all_anchors(run: dict[str, Any]) -> str:
    return f"relative, {max(run['source'].value.config.anchor_counts)}"


@paper.claim(
    "C4",
    says="Relative codes cost little accuracy",
    source="section 4.3",
    metric="accuracy of a head on its own encoder's relative codes",
    holds=beats("latents", by=-0.03),
    trivial="most frequent class",
)
def little_is_lost(preset: Preset, key: jax.Array) -> Measurement:
    """Against the heads with which the encoders were trained."""
    run = image_runs(preset, key)
    return Measurement(
        summarise(run[_all_anchors(run)]).own,
        **run["source"].fields(_sizes(run["source"].value.config)),
        baselines={"most frequent class": float(run["majority"]), "latents": summarise(run["absolute"]).own},
    )


# --- C5: graphs ---


@paper.claim(
    "C5",
    says="Graph networks of different seeds are stitched by relative codes",
    source="section 5, with the networks of section 4.2",
    metric="accuracy of heads on other networks, mean over pairs",
    holds=beats("latents, heads swapped", by=0.2),
    trivial="most frequent class",
)
def stitched_graph_networks(preset: Preset, key: jax.Array) -> Measurement:
    """Heads on relative codes and networks were trained on the same few nodes."""
    run = graph_runs(preset, key)
    relative, absolute = summarise(run["relative"]), summarise(run["absolute"])
    config = run["source"].value.config
    return Measurement(
        relative.other,
        **run["source"].fields(f"{config.stitched} networks, {config.anchors} anchors"),
        baselines={"most frequent class": float(run["majority"]), "latents, heads swapped": absolute.other},
        extras={"own network": relative.own, "latents, own network": absolute.own, "worst pair": relative.worst},
        figure=figures.stitching({"relative codes": run["relative"], "latents": run["absolute"]}),
    )


# --- C6: anchors ---


@paper.claim(
    "C6",
    says="More anchors help, then less and less",
    source="appendix, on the number of anchors",
    metric="accuracy of heads on other encoders, most anchors",
    holds=all_of(above(0, of="some anchors - few"), beats("some anchors", by=-0.01)),
    trivial="most frequent class",
)
def more_anchors(preset: Preset, key: jax.Array) -> Measurement:
    """The fewer anchors are among the more; and four ways to choose the second number of them."""
    run = image_runs(preset, key)
    counts = run["source"].value.config.anchor_counts
    few, some, most = (summarise(run[f"relative, {m}"]) for m in counts)
    policies = {policy: summarise(run[f"relative, {policy}"]).other for policy in POLICIES[1:]}
    return Measurement(
        most.other,
        **run["source"].fields(f"{', '.join(map(str, counts))} anchors"),
        baselines={"most frequent class": float(run["majority"]), "few anchors": few.other},
        extras={"some anchors": some.other, "some anchors - few": some.other - few.other}
        | {f"some anchors, {policy}": value for policy, value in policies.items()},
        series={
            "other encoders": (counts, [x.other for x in (few, some, most)]),
            "own encoder": (counts, [x.own for x in (few, some, most)]),
        },
        figure=figures.anchors(counts, [few, some, most], {"uniform": some.other} | policies, summarise(run["absolute"]).own),
    )


# --- C7: similarity as a proxy ---


@paper.claim(
    "C7",
    says="How similar a network's codes are to those of a good reference tells how accurate it is",
    source="section 4.2",
    metric="Spearman correlation of centred similarity to the best network and test accuracy",
    holds=above(0.3),
    trivial="similarity of different nodes",
)
def similarity_is_a_proxy(preset: Preset, key: jax.Array) -> Measurement:
    """Much of it is training time, which moves both: see the correlation of steps alone, and that of final networks alone."""
    run = graph_runs(preset, key)
    config, test, best = run["source"].value.config, run["test"], tuple(run["best"])
    others = np.ones(test.shape, bool)
    others[best] = False
    steps = np.broadcast_to(config.snapshots, test.shape)
    final = others & (steps == config.snapshots[-1])

    def correlation(x, which=others):
        return spearman(x[which], test[which])

    return Measurement(
        correlation(run["centred"]),
        **run["source"].fields(f"{others.sum()} networks and snapshots beside the best"),
        baselines={"similarity of different nodes": correlation(run["shuffled"]), "training steps alone": correlation(steps)},
        extras={
            "not centred": correlation(run["raw"]),
            "final networks alone": correlation(run["centred"], final),
            "number of final networks": float(final.sum()),
        },
        figure=figures.proxy(run["centred"], test, config.snapshots, config.rates, best),
    )
