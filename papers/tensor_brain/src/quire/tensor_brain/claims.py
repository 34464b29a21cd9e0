"""The claims of the paper, in its order."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from quire.common.claims import Measurement, above, all_of, at_least, at_most, beats, below, every_seed
from quire.common.claims.identity import identity
from quire.common.random import generator
from quire.common.testing import max_relative_error
from quire.tensor_brain import figures
from quire.tensor_brain.config import Identities, Preset
from quire.tensor_brain.consolidation import marginalise_time
from quire.tensor_brain.decoder import DecoderWeights, joint, log_probs
from quire.tensor_brain.index_layer import Index
from quire.tensor_brain.link_prediction import link_prediction_runs
from quire.tensor_brain.memories import EpisodicMemory, perceive
from quire.tensor_brain.paper import paper
from quire.tensor_brain.scenes import PRIORS, replay_runs, scene_runs
from quire.tensor_brain.tensor_models import episodic_score
from quire.tensor_brain.tiny_world import VARIANTS, tiny_runs
from quire.tensor_brain.working_memory import MemoryWeights

# --- The decoder ---

_joint, _log_probs = jax.jit(joint), jax.jit(log_probs)


def random_weights(config: Identities, draw: np.random.Generator) -> DecoderWeights:
    """Normal numbers in float64, on the host."""
    n_e, n_p, r, r_h = config.num_entities, config.num_predicates, config.r, config.r_h
    shapes = [(n_e, r), (n_e,), (n_p, r), (n_p,), (r_h, r), (r_h, r_h), (r_h,), (r, r_h)]
    A, a0, P, p0, *memory = (draw.standard_normal(shape) for shape in shapes)
    return DecoderWeights(Index(A, a0), Index(P, p0), MemoryWeights(*memory))


@paper.claim(
    "C1",
    says="The decoder defines a distribution over triples, and one exposure is enough to recall what was perceived",
    source="sections 3 and 4",
    metric="largest error, float64",
    holds=all_of(below(1e-9), below(1e-5, of="float32")),
    exact=True,
)
def a_distribution_over_triples(preset: Preset, key: jax.Array) -> Measurement:
    """The sum over all triples, three decisions against the joint distribution, an episode against the perception it was."""
    config, draw = preset.identities, generator(key)
    weights, W, w0, u = random_weights(config, draw), *map(draw.standard_normal, ((config.r, config.r_u), config.r, config.r_u))
    ids = np.indices((config.num_entities, config.num_predicates, config.num_entities)).reshape(3, -1).T

    def error(dtype: Any) -> dict[str, float]:
        w, *rest = jax.tree.map(lambda x: jnp.asarray(x, dtype), (weights, W, w0, u))
        q0 = perceive(*rest)
        whole = _joint(w, q0)
        chain = _log_probs(w, jnp.tile(q0[None], (len(ids), 1)), ids)
        s, p, o = ids.T
        episodes = EpisodicMemory(config.r)
        recalled = _joint(w, episodes.recall(episodes.write(q0)))
        return {
            "sum of all probabilities": abs(float(whole.sum()) - 1),
            "three decisions": max_relative_error(jnp.exp(chain), whole[s, o, p]),
            "recall after one exposure": max_relative_error(recalled, whole),
        }

    return identity(error, f"random weights, {config.num_entities} entities, {config.num_predicates} predicates")


@paper.claim(
    "C2",
    says="Semantic memory is episodic memory with time marginalised",
    source="section 4, CP form",
    metric="largest error / largest score, float64",
    holds=all_of(below(1e-10), below(1e-5, of="float32")),
    exact=True,
)
def semantic_is_marginalised_episodic(preset: Preset, key: jax.Array) -> Measurement:
    """Scores of all triples at all times, summed over the times, against the scores with the sum of the time factors."""
    config, draw = preset.identities, generator(key)
    sizes = (config.num_entities, config.num_predicates, config.num_entities, config.num_times)
    factors = [draw.standard_normal((size, config.r)) for size in sizes]

    def error(dtype: Any) -> float:
        rows = [jnp.asarray(x, dtype)[np.indices(sizes)[i]] for i, x in enumerate(factors)]
        each, time = episodic_score(*rows), marginalise_time(jnp.asarray(factors[3], dtype))
        return max_relative_error(episodic_score(*rows[:3], jnp.broadcast_to(time, rows[0].shape))[..., 0], each.sum(-1))

    return identity(error, f"random CP tensor {' x '.join(map(str, sizes))}, rank {config.r}")


# --- Semantic memory ---


@paper.claim(
    "C3",
    says="A tensor model as semantic memory generalises to triples that it was not shown",
    source="section 5",
    metric="filtered MRR of ComplEx on Kinship",
    holds=all_of(
        every_seed(at_least(0.72)),
        every_seed(beats("DistMult, Kinship", by=0.05)),
        every_seed(at_least(0.8, of="DistMult, UMLS")),
        every_seed(at_least(0.8, of="ComplEx, UMLS")),
        every_seed(at_least(0.65, of="DistMult, Nations")),
        every_seed(at_least(0.65, of="ComplEx, Nations")),
        every_seed(beats("frequency, UMLS", of="DistMult, UMLS")),
        every_seed(beats("frequency, Nations", of="ComplEx, Nations")),
    ),
    trivial="frequency, Kinship",
)
def generalises(preset: Preset, key: jax.Array) -> Measurement:
    """Object and subject queries of the test part; what is known from any part is no rival."""
    runs = link_prediction_runs(preset, key)
    titles = {"nations": "Nations", "kinship": "Kinship", "umls": "UMLS"}
    methods = {"distmult": "DistMult", "complex": "ComplEx", "frequency": "frequency"}
    numbers = {
        f"{title}, {titles[graph]}": {name: float(x) for name, x in runs[graph][method].items()}
        for graph in preset.links.graphs
        for method, title in methods.items()
    }
    reciprocal = {name: metrics["MRR"] for name, metrics in numbers.items()}
    beside = ("DistMult, Kinship", "frequency, Kinship")
    found = {f"Hits@{k} of {name}": metrics[f"Hits@{k}"] for name, metrics in numbers.items() for k in (1, 3, 10)}
    return Measurement(
        reciprocal["ComplEx, Kinship"],
        "; ".join(runs[graph]["name"] for graph in preset.links.graphs),
        baselines={name: reciprocal[name] for name in beside},
        extras={name: x for name, x in reciprocal.items() if name not in (*beside, "ComplEx, Kinship")} | found,
        figure=figures.reciprocal_ranks(reciprocal),
    )


# --- Perception with a prior ---

LEVELS = ("low", "middle", "high")


@paper.claim(
    "C4",
    says="Semantic memory as a prior helps perception under noise",
    source="section 4, the Bayesian brain",
    metric="negative log-probability of what is there, most noise",
    unit="nats",
    holds=all_of(
        *(every_seed(at_least(0.1, of=f"gain, {level} noise")) for level in LEVELS),
        *(every_seed(above(0, of=f"gain over the marginal, {level} noise")) for level in LEVELS),
        every_seed(at_least(0.03, of="gain of accuracy, high noise")),
    ),
    trivial="predicate marginal",
)
def prior_helps(preset: Preset, key: jax.Array) -> Measurement:
    """Known facts, seen through noise; the joint distribution over all triples, exactly. Held-out facts beside them."""
    runs = scene_runs(preset, key)
    noises = preset.scenes.noises
    nll, accuracy = (dict(zip(PRIORS, np.asarray(runs[name], float), strict=True)) for name in ("nll", "accuracy"))
    alone, semantic, marginal = (nll[name] for name in PRIORS[:3])
    places = dict(zip(LEVELS, (0, len(noises) // 2, len(noises) - 1), strict=True))
    extras = {}
    for level, i in places.items():
        extras[f"gain, {level} noise"] = alone[i] - semantic[i]
        extras[f"gain over the marginal, {level} noise"] = marginal[i] - semantic[i]
        extras[f"gain of accuracy, {level} noise"] = accuracy["semantic memory"][i] - accuracy["perception alone"][i]
        extras |= {f"accuracy, {name}, {level} noise": accuracy[name][i] for name in PRIORS}
    extras |= {f"held-out facts, {name}, middle noise": nll[name][-1] for name in PRIORS}
    return Measurement(
        semantic[places["high"]],
        f"{preset.scenes.facts} known facts of {runs['data']}, drawn features",
        baselines={name: nll[name][places["high"]] for name in PRIORS if name != "semantic memory"},
        extras=extras,
        stand_in_for=runs["stand_in_for"],
        figure=figures.against_noise(noises, nll, accuracy),
    )


# --- Consolidation ---


@paper.claim(
    "C5",
    says="Replay of episodes consolidates them into semantic memory",
    source="section 4",
    metric="KL divergence of semantic memory from the mixture of episodes",
    unit="nats",
    holds=every_seed(at_most(0.5, of="share of the marginals' divergence")),
    trivial="product of marginals",
)
def replay_consolidates(preset: Preset, key: jax.Array) -> Measurement:
    """The brains of C4 go on: scenes become episodes, episodes are decoded, and what comes is learned without a time."""
    runs, config = replay_runs(preset, key), preset.scenes
    kl = {name: float(x) for name, x in runs["kl"].items()}
    return Measurement(
        kl["semantic"],
        f"{config.episodes} scenes of {runs['data']}, {config.replayed} replayed triples",
        baselines={"product of marginals": kl["marginals"], "only abar trained": kl["abar alone"]},
        extras={
            "share of the marginals' divergence": kl["semantic"] / kl["marginals"],
            "scenes that a second look recalls": float(runs["cued"]),
        },
        stand_in_for=runs["stand_in_for"],
        figure=figures.divergence_bars(kl),
    )


# --- Working memory ---


@paper.claim(
    "C6",
    says="Working memory matters for the predicate",
    source="section 3",
    metric="negative log-probability of the predicate",
    unit="nats",
    holds=every_seed(below(0.5, of="share of the loss without working memory")),
    trivial="every predicate alike",
)
def working_memory_matters(preset: Preset, key: jax.Array) -> Measurement:
    """A table of predicates at random, which no sum of a subject's and an object's evidence can hold."""
    runs, config = tiny_runs(preset, key), preset.tiny
    full, *others = (float(runs["loss"][name]) for name in VARIANTS)
    return Measurement(
        full,
        f"{config.num_entities} entities, {config.num_predicates} predicates at random for all pairs, r = {config.r}",
        baselines=dict(zip(VARIANTS[1:], others, strict=True)) | {"every predicate alike": float(np.log(config.num_predicates))},
        extras={"share of the loss without working memory": full / others[0]},
        figure=figures.learning_curves(runs["curves"]),
    )
