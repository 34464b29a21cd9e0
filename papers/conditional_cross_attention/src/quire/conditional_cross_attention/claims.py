"""The paper's claims, measured."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from quire.common.claims import Measurement, above, all_of, beats, below, every_seed, on_average
from quire.common.claims.identity import identity
from quire.common.random import generator
from quire.conditional_cross_attention import figures
from quire.conditional_cross_attention.config import Preset
from quire.conditional_cross_attention.experiment import Run, run_all
from quire.conditional_cross_attention.network import CCANet
from quire.conditional_cross_attention.paper import paper
from quire.conditional_cross_attention.parameters import parameter_report

ATTRIBUTES = 4
"""Of the networks of C1 and C4, whose data are of no account."""

# --- One network, one query for each condition ---


@partial(jax.jit, static_argnums=0)
def _two_ways(graph, state, images):
    """Embeddings under all conditions from one cache; by a full pass for each, its query repeated; and the repeated rows."""
    net = nnx.merge(graph, state)
    tokens, conditions = net.encode_tokens(images), net.all_conditions(len(images))
    normed = net.head.token_norm(tokens)
    rows = jnp.stack([net.head.attention.repeated(normed, conditions[:, a]) for a in range(ATTRIBUTES)], axis=1)
    return net.embed_all(images), net.head.embed(rows)[:, :, 0], rows


@paper.claim(
    "C1",
    says="One network serves all attributes: the condition switches the embedding, and costs one query",
    source="section 3",
    metric="largest difference of cached and full embeddings, and of repeated rows, float64",
    holds=all_of(every_seed(below(1e-6)), every_seed(above(1e-3, of="least distance of two conditions"))),
    exact=True,
)
def a_condition_is_a_query(preset: Preset, key: jax.Array) -> Measurement:
    """Random weights, both embeddings of conditions."""
    vit = replace(preset.vit, depth=0)  # of the tokens it only matters that they are there
    kinds = {cond: CCANet(vit, ATTRIBUTES, preset.embed_dim, cond=cond, rngs=nnx.Rngs(key)) for cond in ("table", "mask")}
    images = generator(key).uniform(size=(4, vit.image_size, vit.image_size, vit.channels))
    apart = []

    def errors(dtype) -> dict[str, float]:
        found = {}
        for cond, net in kinds.items():
            graph, state = nnx.split(net)
            state = jax.tree.map(lambda x: jnp.asarray(x, dtype), state)
            cached, full, rows = (np.asarray(x) for x in _two_ways(graph, state, jnp.asarray(images, dtype)))
            found[f"cache, {cond}"] = float(np.abs(cached - full).max())
            found[f"repeated rows, {cond}"] = float(np.ptp(rows, axis=2).max())
            distances = np.linalg.norm(cached[:, :, None] - cached[:, None], axis=-1)
            apart.append(distances[:, ~np.eye(ATTRIBUTES, dtype=bool)].min())
        return found

    measured = identity(errors, f"random weights and images, {ATTRIBUTES} attributes", single=False)
    return replace(measured, extras={**measured.extras, "least distance of two conditions": float(min(apart))})


# --- Spaces ---


def _measured(run: Run, value: float, baselines: dict[str, float], **fields) -> Measurement:
    return Measurement(float(value), run.data, baselines=baselines, stand_in_for=run.stand_in_for, **fields)


def _means(run: Run) -> dict[str, float]:
    """Mean average precision of every network, over attributes."""
    return {name: float(scores.average.mean()) for name, scores in run.scores.items()}


@paper.claim(
    "C2",
    says="Under its condition, an embedding retrieves what one space for all attributes confuses",
    source="abstract, section 4",
    metric="mean average precision over attributes",
    holds=on_average(beats("unconditioned", by=0.15)),
    trivial="raw pixels",
)
def better_than_one_space(preset: Preset, key: jax.Array) -> Measurement:
    """The same trunk, images, steps; without a condition its last block is an ordinary one."""
    run = run_all(preset, key)
    means = _means(run)
    by_attribute = {
        f"{attribute}, {name}": float(x)
        for name, scores in run.scores.items()
        for attribute, x in zip(run.attributes, scores.average, strict=True)
    }
    own = {f"{attribute}, own network, first seed": x for attribute, x in zip(run.attributes, run.separate, strict=False)}
    triplets = {f"triplets in order, {name}": float(scores.triplets) for name, scores in run.scores.items()}
    return _measured(
        run,
        means["CCA"],
        {name: means[name] for name in ("unconditioned", "raw pixels")},
        extras=by_attribute | own | triplets,
        figure=figures.precision_by_attribute(run),
    )


@paper.claim(
    "C3",
    says="Conditional cross-attention is at least as good as earlier conditional networks",
    source="abstract, tables of section 4",
    metric="mean average precision over attributes",
    holds=on_average(beats("CSN", by=-0.01)),
    trivial="raw pixels",
)
def as_good_as_masks(preset: Preset, key: jax.Array) -> Measurement:
    """The same trunk, images, steps; CSN masks one embedding, ASEN (of larger presets) attends to places and channels."""
    run = run_all(preset, key)
    means = _means(run)
    return _measured(
        run,
        means["CCA"],
        {name: means[name] for name in ("CSN", "ASEN", "raw pixels") if name in means},
        figure=figures.losses({name: trained.losses for name, trained in run.trained.items()}),
    )


@paper.claim(
    "C4",
    says="A single network is much smaller than one for each attribute",
    source="abstract",
    metric="parameters / those of one network without conditions",
    holds=all_of(below(1.2), below(1, of="(A - 1) CCA / A networks")),
    exact=True,
    seeds=1,
)
def one_network_is_small(preset: Preset, key: jax.Array) -> Measurement:
    """Counted."""
    report = parameter_report(preset, ATTRIBUTES)
    return Measurement(
        report["CCA"] / report["one network"],
        f"networks of the preset, A = {ATTRIBUTES}",
        extras={"(A - 1) CCA / A networks": (ATTRIBUTES - 1) * report["CCA"] / report["A networks"]}
        | {f"parameters, {name}": count for name, count in report.items()},
    )


@paper.claim(
    "C5",
    says="The spaces are not entangled: that of an attribute tells of this attribute and little of others",
    source="abstract, figures of section 4",
    metric="probe by 10 neighbours, corrected for chance: its own attribute minus the others",
    holds=all_of(every_seed(above(0.1)), every_seed(beats("unconditioned")), every_seed(beats("CSN"))),
    trivial="unconditioned",
)
def spaces_are_apart(preset: Preset, key: jax.Array) -> Measurement:
    """Without conditions there is one space, and the difference is 0 by construction."""
    run = run_all(preset, key)
    separation = {name: float(scores.separation) for name, scores in run.scores.items()}
    off = ~np.eye(len(run.attributes), dtype=bool)
    kinds = {name: scores for name, scores in run.scores.items() if name != "raw pixels"}
    return _measured(
        run,
        separation["CCA"],
        {name: separation[name] for name in kinds if name != "CCA"},
        extras={f"own attribute, {name}": float(np.diag(scores.probe).mean()) for name, scores in kinds.items()}
        | {f"other attributes, {name}": float(scores.probe[off].mean()) for name, scores in kinds.items()}
        | {f"cosine of two conditions, {name}": float(scores.cosine[off].mean()) for name, scores in kinds.items()},
        figure=figures.probe_matrices({name: scores.probe for name, scores in kinds.items()}, run.attributes),
    )
