"""Text vectors: golden vectors, codes and their retrieval, senses, sampled softmax, data, presets."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quire.common.retrieval.evaluate import average_precision
from quire.common.testing import assert_close
from quire.text_vectors.code_retrieval import code_distances, ndcg
from quire.text_vectors.disambiguated_skipgram import (
    DSGWeights,
    fine_loss,
    mean_entropy,
    mixed_sense,
    pretraining_loss,
    relaxed_one_hot,
    sense_logits,
)
from quire.text_vectors.paragraph_vectors import PVWeights, document_hidden, pair_loss
from quire.text_vectors.sampled_softmax import expected_count, sampled_softmax_loss
from quire.text_vectors.sense_similarity import avg_sim, local_sim, sense_cosines, weighted_sim
from quire.text_vectors.senses import adjusted_rand_index, induce_senses, prune, sense_probabilities

PRECISIONS = pytest.mark.parametrize(("x64", "tolerance"), [(True, 1e-10), (False, 1e-4)], ids=["float64", "float32"])


@pytest.fixture(scope="module")
def vectors(golden):
    return golden("text_vectors")


def numbers(vectors, *names):
    """Arrays by name in the default precision."""
    return [jnp.asarray(x, float if np.issubdtype(x.dtype, np.floating) else None) for x in map(vectors.__getitem__, names)]


def dsg(vectors, shared=False):
    names = ("pre_shared_w", "pre_shared_b") if shared else ("dsg_ctx_w", "dsg_ctx_b")
    return DSGWeights(*numbers(vectors, "dsg_sense", "dsg_out_w", "dsg_out_b", *names))


# --- Golden vectors ---


@PRECISIONS
@pytest.mark.parametrize("kind", ["dbow", "realbin", "dm"])
def test_golden_paragraph_vectors(vectors, kind, x64, tolerance):
    fields = {"docs": "doc_emb", "out_w": "out_w", "out_b": "out_b", "proj": "proj", "words": "word_emb"}
    names = {field: f"{kind}_{name}" for field, name in fields.items() if f"{kind}_{name}" in vectors}
    with jax.enable_x64(x64):
        weights = PVWeights(**dict(zip(names, numbers(vectors, *names.values()), strict=True)))
        doc, word = vectors["pv_doc"], vectors["pv_word"]
        context = vectors["pv_context"] if kind == "dm" else None
        np.testing.assert_array_equal(document_hidden(weights, doc), vectors[f"{kind}_bits"])
        loss, slopes = jax.value_and_grad(lambda w: pair_loss(w, doc, word, context))(weights)
        assert_close(loss, vectors[f"{kind}_loss"], tolerance)
        for field, name in names.items():
            assert_close(getattr(slopes, field), vectors[name.replace(f"{kind}_", f"{kind}_grad_", 1)], tolerance)


@PRECISIONS
def test_golden_disambiguated_skipgram(vectors, x64, tolerance):
    with jax.enable_x64(x64):
        weights = dsg(vectors)
        center, context, label = (vectors[f"dsg_{name}"] for name in ("center", "context", "label"))
        uniform, temperature = numbers(vectors, "dsg_uniform", "dsg_temperature")
        logits = sense_logits(weights, center, context)
        relaxed = relaxed_one_hot(logits, uniform, temperature)
        assert_close(logits, vectors["dsg_sense_logits"], tolerance)
        assert_close(sense_probabilities(weights, center, context), vectors["dsg_sense_probs"], tolerance)
        assert_close(relaxed, vectors["dsg_relaxed"], tolerance)
        assert_close(mixed_sense(weights, center, relaxed), vectors["dsg_hidden"], tolerance)
        loss, slopes = jax.value_and_grad(fine_loss)(weights, center, context, label[:, None], uniform, temperature)
        assert_close(loss, vectors["dsg_loss"], tolerance)
        for field, slope in zip(weights._fields, slopes, strict=True):
            assert_close(slope, vectors[f"dsg_grad_{field}"], tolerance)


@PRECISIONS
def test_golden_pretraining(vectors, x64, tolerance):
    with jax.enable_x64(x64):
        weights = dsg(vectors, shared=True)
        center, context, label = (vectors[f"dsg_{name}"] for name in ("center", "context", "label"))
        probs = sense_probabilities(weights, center, context)
        assert_close(probs, vectors["pre_probs"], tolerance)
        assert_close(mean_entropy(probs), vectors["pre_entropy"], tolerance)
        loss, slopes = jax.value_and_grad(pretraining_loss)(weights, center, context, label[:, None])
        assert_close(loss, vectors["pre_loss"], tolerance)
        for field, name in {"ctx_w": "shared_w", "ctx_b": "shared_b", "sense": "sense", "out_w": "out_w"}.items():
            assert_close(getattr(slopes, field), vectors[f"pre_grad_{name}"], tolerance)


@PRECISIONS
def test_golden_sampled_softmax(vectors, x64, tolerance):
    with jax.enable_x64(x64):
        h, out_w, out_b = numbers(vectors, "dsg_hidden", "dsg_out_w", "dsg_out_b")
        label, ids, tries = vectors["dsg_label"], vectors["ss_sampled_ids"], int(vectors["ss_num_tries"])
        assert_close(expected_count(jnp.asarray(label), tries, len(out_b)), vectors["ss_expected_true"], tolerance)
        assert_close(expected_count(jnp.asarray(ids), tries, len(out_b)), vectors["ss_expected_sampled"], tolerance)
        assert_close(sampled_softmax_loss(h, out_w, out_b, label, ids, tries), vectors["ss_loss"], tolerance)


@PRECISIONS
def test_golden_similarities(vectors, x64, tolerance):
    with jax.enable_x64(x64):
        sense, prior, probs = numbers(vectors, "dsg_sense", "prior", "sim_context_probs")
        a, b = vectors["sim_pairs"].T
        kept = jnp.asarray(prune(vectors["prior"]))
        scores, pruned = sense_cosines(sense[a], sense[b]), jnp.where(kept, prior, 0)
        assert_close(avg_sim(scores, kept[a], kept[b]), vectors["sim_avgsim"], tolerance)
        assert_close(weighted_sim(scores, pruned[a], pruned[b]), vectors["sim_avgsimp"], tolerance)
        assert_close(weighted_sim(scores, probs[:, 0], probs[:, 1]), vectors["sim_avgsimc"], tolerance)
        assert_close(local_sim(scores, probs[:, 0], probs[:, 1]), vectors["sim_localsim"], tolerance)


@PRECISIONS
def test_golden_induction(vectors, x64, tolerance):
    with jax.enable_x64(x64):
        word = int(vectors["wsi_word"])
        found, probs = induce_senses(dsg(vectors), word, [vectors["wsi_left"]], [vectors["wsi_right"]])
        assert_close(probs[0], vectors["wsi_probs"], tolerance)
        assert found[0] == vectors["wsi_probs"].argmax()
    assert_close(adjusted_rand_index(vectors["ari_gold"], vectors["ari_pred"]), vectors["ari"], 1e-12)


@PRECISIONS
def test_golden_retrieval(vectors, x64, tolerance):
    with jax.enable_x64(x64):
        distances = code_distances(vectors["ret_query"], vectors["ret_codes"])
        np.testing.assert_array_equal(distances, vectors["ret_hamming"])
        np.testing.assert_array_equal(np.argsort(distances, axis=1, kind="stable"), vectors["ret_rank"])
        relevant = vectors["ret_query_labels"][:, None] == vectors["ret_labels"][None]
        precision = average_precision(jnp.asarray(-distances, float), jnp.asarray(relevant))
        assert_close(precision, vectors["ret_ap"], tolerance)
        assert_close(precision.mean(), vectors["ret_map"], tolerance)
        assert_close(ndcg(-distances.astype(float), relevant), vectors["ret_ndcg10"], tolerance)
