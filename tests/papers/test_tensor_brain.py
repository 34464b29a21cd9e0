"""The tensor brain: golden parity, the decoder, memories, priors, tensor models, worlds, presets."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from quire.common.metrics.ranking import filtered_ranks, mrr
from quire.common.tensors.multilinear import tucker_score
from quire.common.testing import assert_close, assert_degenerate, assert_dtypes, cast
from quire.tensor_brain import (
    DecoderWeights,
    EpisodicMemory,
    Index,
    KGModel,
    MemoryWeights,
    SemanticDecoder,
    SemanticMemory,
    TensorBrain,
    answer,
    beam,
    complex_score,
    cue,
    distmult_score,
    divergence,
    episodic_score,
    greedy,
    index_logits,
    joint,
    log_joint,
    log_posterior,
    log_prob,
    log_probs,
    lookup_table,
    marginalise_time,
    mixture,
    perceive,
    posterior,
    predicate_marginal,
    product_of_marginals,
    relation,
    remember,
    replay,
    replay_counts,
    rescal_score,
    sample,
    step_logits,
    transe_score,
    write,
)

PRECISIONS = pytest.mark.parametrize(
    ("dtype", "tolerance"), [(jnp.float64, 1e-10), (jnp.float32, 1e-5)], ids=["float64", "float32"]
)


def weights_of(w):
    memory = MemoryWeights(w["V"], w["Uh"], w["v0"], w["B"])
    return DecoderWeights(Index(w["A"], w["a0"]), Index(w["P"], w["p0"]), memory)


def perceptions(golden):
    return sorted({name.split("/")[0] for name in golden.arrays if name.startswith("perc")}, key=lambda name: int(name[4:]))


# --- Golden vectors ---


@PRECISIONS
def test_golden_perception(golden, dtype, tolerance):
    with jax.enable_x64():
        vectors = golden("tensor_brain")
        w = cast(vectors.case("w"), dtype)
        weights, joint_of = weights_of(w), jax.jit(joint)
        u = jnp.asarray(vectors["u"], dtype)
        for i, name in enumerate(perceptions(vectors)):
            case = vectors.case(name)
            q = perceive(w["W"], w["w0"], u[i])
            assert_close(q, case["q"], tolerance)
            assert_close(jax.nn.softmax(index_logits(weights.entities, q)), case["P_s"], tolerance)
            assert_close(joint_of(weights, q), case["joint_sop"], tolerance)
        s, o, p = vectors["train/triple_sop"].tolist()
        q = perceive(w["W"], w["w0"], u[0])
        assert_close(-log_prob(weights, q, s, p, o), vectors["train/nll_perc0"], tolerance)


@PRECISIONS
def test_golden_memories(golden, dtype, tolerance):
    with jax.enable_x64():
        vectors = golden("tensor_brain")
        w = cast(vectors.case("w"), dtype)
        weights, joint_of = weights_of(w), jax.jit(joint)
        views = [perceive(w["W"], w["w0"], u) for u in jnp.asarray(vectors["u"], dtype)]
        assert_close(jax.jit(jax.vmap(lambda a: joint(weights, a)))(w["T"]), vectors["epis/joint_tsop"], tolerance)
        found = jax.jit(mixture)(weights, w["T"], jnp.asarray(vectors["epis/weights"], dtype))
        assert_close(found, vectors["epis/mixture_sop"], tolerance)
        episodes = EpisodicMemory(w["T"].shape[1], w["T"])
        t = episodes.write(views[0])
        assert t == len(w["T"])
        assert_close(joint_of(weights, episodes.recall(t)), vectors["epis/oneshot_joint"], tolerance)
        assert_close(cue(w["T"], views[1]), vectors["epis/P_t_given_cue"], tolerance)
        semantic = joint_of(weights, w["abar"])
        assert_close(semantic, vectors["sem/joint_sop"], tolerance)
        seen = joint_of(weights, views[0])
        assert_close(posterior(seen, semantic), vectors["bayes/posterior_sop"], tolerance)
        in_logs = log_posterior(jnp.log(seen), jnp.log(semantic))
        assert_close(jnp.exp(in_logs), vectors["bayes/posterior_sop"], tolerance)


@PRECISIONS
def test_golden_scores(golden, dtype, tolerance):
    with jax.enable_x64():
        vectors = golden("tensor_brain")
        w = cast(vectors.case("w"), dtype)
        s, p, o, t = vectors["idx/spot"].T
        a_s, a_p, a_o, a_t = w["A"][s], w["P"][p], w["A"][o], w["T"][t]
        found = {
            "rescal": rescal_score(a_s, w["R"][p], a_o),
            "distmult": distmult_score(a_s, a_p, a_o),
            "complex": complex_score(a_s, a_p, a_o),
            "tucker": tucker_score(w["C"], a_s, a_p, a_o),
            "transe": transe_score(a_s, a_p, a_o),
            "cp_episodic": episodic_score(a_s, a_p, a_o, a_t),
            "cp_semantic_sum_t": episodic_score(a_s, a_p, a_o, jnp.broadcast_to(marginalise_time(w["T"]), a_s.shape)),
        }
        assert_close(found, {name: vectors[f"score/{name}"] for name in found}, tolerance)


@PRECISIONS
def test_golden_ranks(golden, dtype, tolerance):
    with jax.enable_x64():
        vectors = golden("tensor_brain")
        scores, target, known = (jnp.asarray(vectors[f"rank/{name}"]) for name in ("scores", "true", "known"))
        ranks = filtered_ranks(scores.astype(dtype), target, known)
        np.testing.assert_array_equal(ranks, vectors["rank/filtered_rank"])
        assert_close(mrr(ranks), vectors["rank/mrr"], tolerance)
