"""Text vectors: golden vectors, paragraph vectors, codes and their retrieval, senses and their rivals, texts, presets."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.special import digamma

from quire.common.claims.left_out import NotTested
from quire.common.data.registry import is_local
from quire.common.data.sense_induction import SenseInstance
from quire.common.errors import DatasetUnavailable
from quire.common.layers.relaxed import relaxed_one_hot
from quire.common.losses.sampled import log_uniform_expected, sampled_softmax_loss
from quire.common.metrics.clustering import adjusted_rand_index
from quire.common.random import generator
from quire.common.retrieval.evaluate import average_precision
from quire.common.testing import (
    assert_close,
    assert_degenerate,
    assert_dtypes,
    assert_gradients,
    assert_jit_consistent,
    assert_vmap_consistent,
)
from quire.text_vectors import (
    MSSG,
    PRESETS,
    AdaGram,
    BinaryPV,
    Codes,
    DisambiguatedSkipgram,
    DSGWeights,
    PVWeights,
    Senses,
    agreement,
    avg_sim,
    benchmark,
    claims,
    code_distances,
    correlations,
    count_loss,
    document_codes,
    document_hidden,
    fine_loss,
    first_component_side,
    fit_documents,
    hyperplane_codes,
    induce_senses,
    infer_codes,
    initial_weights,
    itq_codes,
    local_sim,
    log_stick_breaking,
    ndcg,
    own_classifiers,
    pair_loss,
    paper,
    precision_recall,
    pretraining_loss,
    prune,
    reranked,
    sense_cosines,
    sense_logits,
    sense_priors,
    sense_probabilities,
    sign_codes,
    similarities,
    tie_averaged_precision,
    weighted_sim,
)
from quire.text_vectors.autoencoder import CodeAutoencoder
from quire.text_vectors.code_training import paragraph_vectors
from quire.text_vectors.disambiguated_skipgram import mean_entropy, mixed_sense, prediction_loss
from quire.text_vectors.experiments import leave_one_out, senses_kept
from quire.text_vectors.news_documents import news_documents, open_documents, topic_documents
from quire.text_vectors.pair_training import fit_pairs, topics_of_documents, word_counts_of
from quire.text_vectors.sense_similarity import rated_pairs
from quire.text_vectors.sense_text import UNKNOWN, merge_words, open_text, real_text, topic_of, topic_text
from quire.text_vectors.sense_training import fit_adagram, fit_clusters, fit_senses, occurrence_probabilities, window_data

KEY = jax.random.key(0)
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
        loss, slopes = jax.jit(jax.value_and_grad(pair_loss))(weights, doc, word, context)
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
        loss, slopes = jax.jit(jax.value_and_grad(fine_loss))(weights, center, context, label[:, None], uniform, temperature)
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
        loss, slopes = jax.jit(jax.value_and_grad(pretraining_loss))(weights, center, context, label[:, None])
        assert_close(loss, vectors["pre_loss"], tolerance)
        for field, name in {"ctx_w": "shared_w", "ctx_b": "shared_b", "sense": "sense", "out_w": "out_w"}.items():
            assert_close(getattr(slopes, field), vectors[f"pre_grad_{name}"], tolerance)


@PRECISIONS
def test_golden_sampled_softmax(vectors, x64, tolerance):
    with jax.enable_x64(x64):
        h, out_w, out_b = numbers(vectors, "dsg_hidden", "dsg_out_w", "dsg_out_b")
        label, ids, tries = vectors["dsg_label"], vectors["ss_sampled_ids"], int(vectors["ss_num_tries"])
        assert_close(log_uniform_expected(jnp.asarray(label), tries, len(out_b)), vectors["ss_expected_true"], tolerance)
        assert_close(log_uniform_expected(jnp.asarray(ids), tries, len(out_b)), vectors["ss_expected_sampled"], tolerance)
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
        assert_close(ndcg(-distances, relevant), vectors["ret_ndcg10"], tolerance)


# --- Paragraph vectors ---


def numbers_of(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@pytest.fixture(scope="module")
def pv():
    return PVWeights(numbers_of(4, 6), numbers_of(9, 3, seed=1), numbers_of(9, seed=2), numbers_of(6, 3, seed=3))


DOC, WORD = np.array([0, 2, 2, 3, 1]), np.array([8, 0, 3, 3, 5])


def test_a_bit_is_the_sign_of_its_coordinate(pv):
    z = pv.docs @ pv.proj
    np.testing.assert_array_equal(document_codes(pv), z >= 0)
    np.testing.assert_allclose(document_hidden(pv, DOC, binary=False), z[DOC], rtol=1e-5)
    plain = PVWeights(np.zeros((1, 2)), np.zeros((3, 2)), np.zeros(3))
    assert document_codes(plain).tolist() == [[1, 1]]


@pytest.mark.parametrize("binary", [True, False])
def test_counts_and_pairs_have_one_loss(pv, binary):
    h = (pv.docs @ pv.proj >= 0).astype(float) if binary else pv.docs @ pv.proj
    probs = softmax(h @ pv.out_w.T + pv.out_b)
    expected = -np.log(probs[DOC, WORD]).mean()
    counts = np.zeros((4, 9), np.uint16)
    np.add.at(counts, (DOC, WORD), 1)
    pairs, whole = jax.jit(
        lambda w: (pair_loss(w, DOC, WORD, binary=binary), count_loss(w, np.arange(4), counts, binary=binary))
    )(pv)
    np.testing.assert_allclose(pairs, expected, rtol=1e-5)
    np.testing.assert_allclose(whole, expected, rtol=1e-5)


def test_context_words_are_averaged_behind_the_bits():
    words, docs, context = numbers_of(9, 2), numbers_of(4, 3, seed=1), np.array([[1, 1], [0, 8], [2, 3], [4, 4], [7, 6]])
    weights = PVWeights(docs, numbers_of(9, 5, seed=2), numbers_of(9, seed=3), words=words)
    h = np.concatenate([docs[DOC] >= 0, words[context].mean(1)], axis=1)
    expected = -np.log(softmax(h @ weights.out_w.T + weights.out_b)[np.arange(5), WORD]).mean()
    np.testing.assert_allclose(pair_loss(weights, DOC, WORD, context), expected, rtol=1e-5)
    model = BinaryPV(4, 9, 3, context_dim=2, rngs=nnx.Rngs(0))
    assert [None if x is None else x.shape for x in model.weights] == [(4, 3), (9, 5), (9,), None, (9, 2)]
    np.testing.assert_allclose(model.loss(DOC, WORD, context), pair_loss(model.weights, DOC, WORD, context))


def test_a_saturated_bit_hardly_moves_and_a_rounded_one_does():
    """The slope of the sigmoid stays when the rounding is passed: 1/4 at 0, almost nothing far out."""
    weights = PVWeights(np.array([[0.0], [20.0]]), np.array([[1.0], [0.0]]), np.zeros(2))
    slope = jax.grad(lambda d: pair_loss(weights._replace(docs=d), np.array([0, 1]), np.array([1, 1])))(weights.docs)
    p = np.exp(1) / (np.exp(1) + 1)
    np.testing.assert_allclose(slope[:, 0], [p / 4 / 2, 0], atol=1e-7)


def test_paragraph_vectors_at_the_edges(pv):
    assert pair_loss(pv, DOC[:0], WORD[:0]) == 0
    assert count_loss(pv, DOC[:1], np.zeros((1, 9))) == 0

    def loss(docs, out_w, binary=True):
        weights = PVWeights(docs, out_w, jnp.zeros(9, docs.dtype))
        return count_loss(weights, np.arange(len(docs)), np.ones((len(docs), 9), int), binary=binary)

    tables = numbers_of(4, 3), numbers_of(9, 3, seed=1)
    assert_degenerate(loss, *tables, axes=())
    assert_dtypes(loss, *tables)
    assert_gradients(lambda *tables: loss(*tables, binary=False), *tables)
    assert_jit_consistent(document_codes, pv)


def test_start_of_a_model():
    counts = np.array([90, 0, 9])
    model = BinaryPV(500, 3, 40, real_dim=100, word_counts=counts, rngs=nnx.Rngs(0))
    np.testing.assert_allclose(model.out_b[...], np.log(np.array([91, 1, 10]) / 102), rtol=1e-5)
    spread = [float(np.std(x)) for x in (model.docs[...], model.out_w[...], model.proj[...])]
    np.testing.assert_allclose(spread, [0.1, 0.01, 0.3], rtol=0.2)
    assert model.codes().shape == (500, 40)
    assert np.abs(np.mean(model.codes()) - 0.5) < 0.05


def test_new_documents_are_fitted_alone():
    """Only their own words count: not the other new documents, not the training documents, and nothing else moves."""
    weights = PVWeights(numbers_of(4, 3), 3 * numbers_of(9, 3, seed=1), numbers_of(9, seed=2))
    counts = np.random.default_rng(0).poisson(2.0, (5, 9))
    start = 0.1 * numbers_of(5, 3, seed=5)
    found = fit_documents(weights, counts, start, steps=40)
    rest = fit_documents(weights._replace(docs=np.zeros((1, 3), np.float32)), counts[:2], start[:2], steps=40)
    np.testing.assert_allclose(found[:2], rest, rtol=1e-4, atol=1e-5)
    losses = [count_loss(weights._replace(docs=x), np.arange(5), counts) for x in (start, found)]
    assert losses[1] < losses[0]
    drawn = (0.1 * generator(KEY).standard_normal((5, 3))).astype(np.float32)
    refitted = document_codes(weights._replace(docs=fit_documents(weights, counts, drawn, steps=40)))
    np.testing.assert_array_equal(infer_codes(weights, counts, KEY, steps=40), refitted)


def test_codes_of_pairs_find_topics():
    """Both models of pairs learn codes that know the topic; places that are left out teach nothing."""
    config = replace(PRESETS["quick"].senses, topics=3, num_docs=30, pseudo_words=2)
    text = topic_text(config, KEY)
    topic = topics_of_documents(text, topic_of(text.written, config))
    counts = word_counts_of(text)
    assert counts.sum() == len(text.places) == 30 * 40
    chosen = text.document < 24
    for context_dim in (0, 4):
        model = fit_pairs(text, chosen, 8, KEY, context_dim=context_dim, steps=150, batch_size=128)
        assert leave_one_out(np.asarray(model.codes())[:24], topic[:24]).mean() > 0.6
    start = BinaryPV(30, text.vocab, 8, context_dim=4, rngs=nnx.Rngs(KEY))
    np.testing.assert_array_equal(model.docs[...][24:], start.docs[...][24:])


def test_kinds_trained_by_one_program_do_not_see_each_other():
    config = Codes(num_classes=2, vocab=9, bits=3, batch_size=4, epochs=3)
    counts, keys = np.random.default_rng(0).poisson(1.0, (8, 9)).astype(np.uint16), jax.random.split(KEY, 2)
    binary, real = paragraph_vectors(counts, config, keys, binary=(True, False))
    (alone,) = paragraph_vectors(counts, config, keys, binary=(False,))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), real, alone)
    assert binary.docs.shape == (2, 8, 3)
    assert np.abs(binary.docs - real.docs).max() > 1e-3
    assert np.abs(real.docs[0] - real.docs[1]).max() > 1e-3


def test_autoencoder_sees_words_and_predicts_them():
    model = CodeAutoencoder(9, 5, 4, rngs=nnx.Rngs(0))
    features, counts = numbers_of(3, 9), np.random.default_rng(1).poisson(1.0, (3, 9))
    bits = 1 / (1 + np.exp(-(np.tanh(features @ model.first[...]) @ model.second[...]))) >= 0.5
    np.testing.assert_array_equal(model.codes(features), bits)
    expected = -(np.log(softmax(bits @ np.asarray(model.out[...]))) * counts).sum() / counts.sum()
    np.testing.assert_allclose(model.loss(features, counts), expected, rtol=1e-5)
    assert np.abs(jax.grad(lambda x: model.loss(x, jnp.asarray(counts)))(jnp.asarray(features))).min() > 0


# --- Retrieval ---


def test_ties_are_averaged_over_their_orders():
    draw = np.random.default_rng(0)
    distances, relevant = draw.integers(0, 3, (4, 6)), draw.random((4, 6)) < 0.4
    relevant[3] = False
    expected = []
    for row, good in zip(distances, relevant, strict=True):
        orders = [np.lexsort((draw.random(6), row)) for _ in range(20000)]
        hits = good[np.array(orders)]
        places = np.cumsum(hits, axis=1) / np.arange(1, 7)
        expected.append((places * hits).sum(1).mean() / max(1, good.sum()))
    found = tie_averaged_precision(distances, relevant)
    np.testing.assert_allclose(found, expected, atol=0.01)
    assert found[3] == 0
    strict = np.argsort(draw.random((4, 6)), axis=1)
    np.testing.assert_allclose(
        tie_averaged_precision(strict, relevant), average_precision(jnp.asarray(-strict, float), jnp.asarray(relevant)), rtol=1e-5
    )
    np.testing.assert_allclose(tie_averaged_precision(np.zeros((1, 5), int), np.ones((1, 5), bool)), 1)
    large = np.random.default_rng(1).integers(0, 33, (2, 3000))
    shifted = tie_averaged_precision(large + 7, large % 2 == 0)
    np.testing.assert_allclose(tie_averaged_precision(large, large % 2 == 0), shifted, rtol=1e-12)


def test_hamming_distance_of_any_number_of_bits():
    bits = np.random.default_rng(0).integers(0, 2, (7, 37)).astype(np.uint8)
    np.testing.assert_array_equal(code_distances(bits[:3], bits), (bits[:3, None] != bits[None]).sum(-1))


def test_ndcg_takes_integers():
    scores, relevant = np.array([[3, 2, 1, 0]]), np.array([[False, True, True, False]])
    expected = (1 / np.log2(3) + 1 / np.log2(4)) / (1 + 1 / np.log2(3))
    np.testing.assert_allclose(ndcg(scores, relevant, 3), [expected], rtol=1e-6)
    np.testing.assert_allclose(ndcg(scores.astype(float), relevant, 3), [expected], rtol=1e-6)
    assert ndcg(scores, np.zeros((1, 4), bool), 3) == 0


def test_short_list_is_ranked_by_cosine_and_stays_in_front():
    distances = np.array([[2, 0, 1, 1]])
    queries, database = np.array([[1.0, 0.0]]), np.array([[9.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [2.0, 2.0]])
    scores = reranked(distances, queries, database, 3)
    assert np.argsort(-scores[0]).tolist() == [3, 1, 2, 0]
    assert np.argsort(-reranked(distances, queries, database, 4)[0]).tolist() == [0, 3, 1, 2]
    zero = reranked(distances, 0 * queries, database, 2)
    assert np.isfinite(zero).all()


def test_precision_and_recall_of_a_radius():
    distances, relevant = np.array([[0, 2, 2], [1, 0, 2]]), np.array([[True, False, True], [True, True, False]])
    precision, recall = precision_recall(distances, relevant)
    np.testing.assert_allclose(precision, [1, 1, 4 / 6])
    np.testing.assert_allclose(recall, [2 / 4, 3 / 4, 1])


def test_leave_one_out_never_finds_itself():
    codes = np.array([[0, 0], [0, 0], [1, 1]], np.uint8)
    np.testing.assert_allclose(leave_one_out(codes, np.array([0, 0, 1])), [1, 1, 0])
    np.testing.assert_allclose(leave_one_out(codes, np.array([0, 1, 0])), [0.5, 0, 0.75])


def test_codes_without_learning():
    x = np.random.default_rng(0).standard_normal((40, 6))
    assert (hyperplane_codes(x, 50, KEY) == hyperplane_codes(3 * x, 50, KEY)).all()
    angle = (hyperplane_codes(x[:2], 4000, KEY)[0] != hyperplane_codes(x[:2], 4000, KEY)[1]).mean()
    cosine = x[0] @ x[1] / np.linalg.norm(x[0]) / np.linalg.norm(x[1])
    np.testing.assert_allclose(angle, np.arccos(cosine) / np.pi, atol=0.03)
    np.testing.assert_array_equal(sign_codes(x), x > 0)
    ours, shifted = (itq_codes(y, 3, KEY) for y in (x, x + 5))
    assert (ours == shifted).mean() > 0.95
    np.testing.assert_allclose(ours.mean(0), 0.5, atol=0.2)


# --- Senses ---


@pytest.fixture(scope="module")
def senses():
    shapes = ((7, 2, 4), (7, 4), (7,), (7, 4, 2), (7, 2))
    return DSGWeights(*(numbers_of(*shape, seed=i) for i, shape in enumerate(shapes)))


CENTER, CONTEXT = np.array([1, 6, 1], np.int32), np.array([[0, 2, 3], [4, 4, 5], [6, 0, 0]], np.int32)


def test_classifier_of_contexts(senses):
    c = senses.out_w[CONTEXT].mean(1)
    expected = np.einsum("bd,bds->bs", c, senses.ctx_w[CENTER]) + senses.ctx_b[CENTER]
    np.testing.assert_allclose(sense_logits(senses, CENTER, CONTEXT), expected, rtol=1e-5)
    np.testing.assert_allclose(sense_probabilities(senses, CENTER, CONTEXT), softmax(expected), rtol=1e-5)
    model = DisambiguatedSkipgram(senses)
    np.testing.assert_allclose(model.sense_logits(CENTER, CONTEXT), expected, rtol=1e-5)
    shared = senses._replace(ctx_w=senses.ctx_w[0], ctx_b=senses.ctx_b[0])
    copied = own_classifiers(shared)
    np.testing.assert_allclose(sense_logits(copied, CENTER, CONTEXT), sense_logits(shared, CENTER, CONTEXT), rtol=1e-5)


def test_no_gradient_passes_through_the_context(senses):
    """W learns from what it predicts alone: with a fixed mixture its slope is the same."""
    uniform = np.full((3, 2), 0.3, np.float32)
    labels = np.array([[1], [2], [3]])
    probs = relaxed_one_hot(sense_logits(senses, CENTER, CONTEXT), uniform, 0.7)

    def fixed(out_w):
        return prediction_loss(out_w, senses.out_b, mixed_sense(senses, CENTER, probs), labels)

    whole = jax.grad(lambda out_w: fine_loss(senses._replace(out_w=out_w), CENTER, CONTEXT, labels, uniform, 0.7))(senses.out_w)
    np.testing.assert_allclose(whole, jax.grad(fixed)(senses.out_w), rtol=1e-4, atol=1e-6)


def test_unknown_words_are_no_labels_but_stay_in_the_context(senses):
    labels = np.array([[0, 1], [0, 0], [2, 3]])
    h = numbers_of(3, 4)
    probs = softmax(h @ senses.out_w.T + senses.out_b)
    expected = -np.log([probs[0, 1], probs[2, 2], probs[2, 3]]).mean()
    np.testing.assert_allclose(prediction_loss(senses.out_w, senses.out_b, h, labels, UNKNOWN), expected, rtol=1e-5)
    assert prediction_loss(senses.out_w, senses.out_b, h, 0 * labels, UNKNOWN) == 0
    with_padding = sense_logits(senses, CENTER[:1], np.array([[2, 0]]))
    assert np.abs(with_padding - sense_logits(senses, CENTER[:1], np.array([[2, 2]]))).max() > 1e-3


def test_entropy_is_rewarded(senses):
    shared = senses._replace(ctx_w=senses.ctx_w[0], ctx_b=senses.ctx_b[0])
    losses = [float(pretraining_loss(shared, CENTER, CONTEXT, CONTEXT, reward)) for reward in (0.0, 0.1)]
    p = softmax(senses.out_w[CONTEXT].mean(1) @ shared.ctx_w + shared.ctx_b)
    entropy = -(p * np.log(p + 1e-5)).sum(1).mean()
    np.testing.assert_allclose(losses[0] - losses[1], 0.1 * entropy, rtol=1e-4)
    np.testing.assert_allclose(mean_entropy(p), entropy, rtol=1e-5)
    assert mean_entropy(np.zeros((0, 2), np.float32)) == 0
    model = DisambiguatedSkipgram(shared)
    np.testing.assert_allclose(model.pretraining_loss(CENTER, CONTEXT), losses[1], rtol=1e-5)


def test_losses_of_senses_at_the_edges(senses):
    def loss(sense, out_w, ctx_w):
        weights = DSGWeights(sense, out_w, jnp.zeros(7, sense.dtype), ctx_w, jnp.zeros((7, 2), sense.dtype))
        return fine_loss(weights, CENTER, CONTEXT, CONTEXT, jnp.full((3, 2), 0.4, sense.dtype), 0.7)

    tables = senses.sense, senses.out_w, senses.ctx_w
    assert_degenerate(loss, *tables, axes=())
    assert_dtypes(loss, *tables, tolerance=1e-4)
    assert_gradients(
        lambda sense, ctx_w: loss(sense, jnp.asarray(senses.out_w, sense.dtype), ctx_w), tables[0], tables[2], tolerance=1e-5
    )
    model = DisambiguatedSkipgram(senses, UNKNOWN)
    found = model.loss(CENTER, CONTEXT, KEY, 0.5)
    uniform = jax.random.uniform(KEY, (3, 2))
    np.testing.assert_allclose(found, fine_loss(senses, CENTER, CONTEXT, CONTEXT, uniform, 0.5, UNKNOWN), rtol=1e-5)


def test_priors_and_pruning():
    probs, center = np.array([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]]), np.array([2, 2, 0])
    prior = sense_priors(probs, center, 3)
    np.testing.assert_allclose(prior, [[0.2, 0.8], [0.5, 0.5], [0.7, 0.3]])
    assert prune(prior, 0.3).tolist() == [[False, True], [True, True], [True, True]]
    kept = senses_kept({"prior": prior, "kind": np.array([2, 1, 0])}, 0.3)
    assert kept == (1.0, 2.0)


def test_induction_averages_all_words_and_the_word_itself(senses):
    left, right = [np.array([2, 3]), np.array([], int)], [np.array([4]), np.array([], int)]
    found, probs = induce_senses(senses, 1, left, right)
    means = np.stack([senses.out_w[[2, 3, 1, 4]].mean(0), senses.out_w[1]])
    expected = softmax(means @ senses.ctx_w[1] + senses.ctx_b[1])
    np.testing.assert_allclose(probs, expected, rtol=1e-5)
    np.testing.assert_array_equal(found, expected.argmax(1))
    kept = np.ones((7, 2), bool)
    kept[1, 0] = False
    pruned = induce_senses(senses, 1, left, right, kept)[1]
    np.testing.assert_allclose(pruned, expected * [0, 1], rtol=1e-5)
    assert induce_senses(senses, 1, [], [])[1].shape == (0, 2)


def test_similarities_by_hand():
    sense = np.array([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [-1.0, 0.0]], [[0.0, 0.0], [0.0, 2.0]]])
    prior = np.array([[0.75, 0.25], [0.96, 0.04], [0.5, 0.5]])
    a, b = np.array([0]), np.array([1])
    probs = np.array([[0.4, 0.6]]), np.array([[0.1, 0.9]])
    found = similarities(sense, prior, 0.05, a, b, probs)
    s = np.array([[1.0, 0.0], [0.5, 0.5]])
    means = np.array([[0.75, 0.25]]), np.array([[0.92, 0.0]])
    cosine = (means[0] * means[1]).sum() / np.linalg.norm(means[0]) / np.linalg.norm(means[1])
    expected = {
        "one vector": (1 + cosine) / 2,
        "avgSim": s[:, 0].mean(),
        "avgSimP": (0.75 * s[0, 0] + 0.25 * s[1, 0]) * 0.96,
        "avgSimC": (probs[0][0] @ s @ probs[1][0]),
        "localSim": s[1, 1],
    }
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], [value], rtol=1e-5, err_msg=name)
    assert np.isfinite(sense_cosines(sense[2:], sense[:1])).all()
    with jax.debug_nans(False):
        assert np.isnan(similarities(sense, prior, 0.99, a, b)["avgSim"]).all()
    assert_dtypes(lambda x, p: weighted_sim(sense_cosines(x, x), p, p), numbers_of(2, 3, 4), numbers_of(2, 3))
    assert_degenerate(lambda x: sense_cosines(x, x), numbers_of(2, 3, 4))
    assert_vmap_consistent(lambda x: sense_cosines(x[None], x[None]), numbers_of(2, 3, 4))


def test_correlation_with_ratings():
    pairs = [("a", "b", 3.0), ("a", "c", 1.0), ("b", "c", 2.0), ("a", "z", 9.0)]
    first, second, ratings = rated_pairs(pairs, {"a": 0, "b": 1, "c": 2})
    assert (first.tolist(), second.tolist(), ratings.tolist()) == ([0, 0, 1], [1, 2, 2], [3, 1, 2])
    assert correlations({"same": ratings, "reversed": -ratings}, ratings) == {"same": 100.0, "reversed": -100.0}
    with jax.debug_nans(False):
        assert np.isnan(correlations({"flat": np.ones(3)}, ratings)["flat"])
    assert [len(x) for x in rated_pairs(pairs, {})] == [0, 0, 0]


# --- Rivals ---


def test_mssg_chooses_by_cosine_and_its_clusters_grow():
    model = MSSG(7, 4, 2, UNKNOWN, rngs=nnx.Rngs(0))
    model.out_w[...], model.sums[...] = jnp.asarray(numbers_of(7, 4)), jnp.asarray(numbers_of(7, 2, 4, seed=1))
    sums = np.array(model.sums[...])
    c = np.asarray(model.out_w[...])[CONTEXT].mean(1)
    unit = sums / np.linalg.norm(sums, axis=-1, keepdims=True)
    expected = np.einsum("bsd,bd->bs", unit[CENTER], c).argmax(1)
    chosen, _ = model.choose(CENTER, CONTEXT)
    np.testing.assert_array_equal(chosen, expected)
    h = np.asarray(model.sense[...])[CENTER, expected]
    loss = model.loss(CENTER, CONTEXT)
    np.testing.assert_allclose(loss, prediction_loss(model.out_w[...], model.out_b[...], h, CONTEXT, UNKNOWN), rtol=1e-5)
    np.add.at(sums, (CENTER, expected), c)
    np.testing.assert_allclose(model.sums[...], sums, rtol=1e-5)


def test_adagram_weighs_prior_and_words():
    counts = np.array([5.0, 3.0, 0.0])
    v = digamma(1 + counts) - digamma(1.1 + counts + [3, 0, 0])
    left = digamma(0.1 + np.array([3, 0, 0])) - digamma(1.1 + counts + [3, 0, 0])
    expected = v + np.array([0, left[0], left[0] + left[1]])
    np.testing.assert_allclose(log_stick_breaking(jnp.asarray(counts), 0.1), expected, rtol=1e-4)
    assert_dtypes(lambda n: log_stick_breaking(n**2, 0.1), numbers_of(3), tolerance=1e-3)
    model = AdaGram(np.full(7, 10), 4, 2, unknown=UNKNOWN, rngs=nnx.Rngs(0))
    model.out_w[...], model.counts[...] = jnp.asarray(numbers_of(7, 4)), jnp.asarray(np.tile([8.0, 2.0], (7, 1)))
    model.sense[...] = jnp.asarray(numbers_of(7, 2, 4, seed=1))
    log_p = np.log(softmax(np.asarray(model.sense[...])[CENTER] @ np.asarray(model.out_w[...]).T))
    likelihood = np.array([[sum(log_p[i, s, w] for w in CONTEXT[i] if w) for s in range(2)] for i in range(3)])
    z = softmax(likelihood + np.asarray(log_stick_breaking(jnp.array([8.0, 2.0]), 0.1)))
    np.testing.assert_allclose(model.posterior(CENTER, CONTEXT), z, rtol=1e-4)
    np.testing.assert_allclose(model.loss(CENTER, CONTEXT), -(z * likelihood).sum() / (CONTEXT != 0).sum(), rtol=1e-4)
    moved = np.tile([8.0, 2.0], (7, 1))
    np.add.at(moved, CENTER, 0.02 * (10 * z - [8, 2]))
    np.testing.assert_allclose(model.counts[...], moved, rtol=1e-4)


def test_two_clusters_without_a_model():
    context = np.array([[1, 2, 0], [3, 4, 4], [2, 2, 1], [4, 3, 3]])
    for rare in (False, True):
        sides = first_component_side(context, 5, 0, rare=rare)
        assert adjusted_rand_index(np.array([0, 1, 0, 1]), sides) == 1
    assert first_component_side(context[:1], 5).tolist() == [0]
    assert first_component_side(np.tile(context[:1], (3, 1)), 5).tolist() == [0, 0, 0]


TINY = replace(
    PRESETS["quick"].senses, topics=4, pseudo_words=3, num_docs=60, dim=6, batch_size=64, shared_steps=20, own_steps=30, window=3
)


def test_training_learns_every_seed_its_own_text():
    keys = jax.random.split(KEY, 2)
    texts = [open_text(TINY, key) for key in keys]
    weights = fit_senses(texts, TINY, keys)
    assert weights.ctx_w.shape == (2, texts[0].vocab, 6, 3)
    probs = occurrence_probabilities(weights, texts, TINY)
    for p, text in zip(probs, texts, strict=True):
        assert p.shape == (len(text.places), 3)
        np.testing.assert_allclose(p.sum(1), 1, rtol=1e-5)
    assert np.abs(weights.sense[0] - weights.sense[1]).max() > 0.01
    for found in (fit_clusters(texts, TINY, keys), fit_adagram(texts, TINY, keys)):
        assert [x.shape for x in found] == [(len(text.places),) for text in texts]
        assert all(set(np.unique(x)) <= {0, 1, 2} for x in found)


def test_temperature_falls_over_a_third_of_the_steps():
    temperature = window_data([topic_text(TINY, KEY)], TINY, [KEY], 30)[2][0]
    np.testing.assert_allclose(temperature[:10], np.linspace(1, 0.5, 10))
    np.testing.assert_allclose(temperature[10:], 0.5)


# --- Texts ---


def test_generated_text_is_as_described():
    config = replace(PRESETS["quick"].senses, num_docs=400)
    text = topic_text(config, KEY)
    assert len(text.places) == 400 * 40
    assert text.vocab == 181
    topic = topic_of(text.written, config)
    main = topics_of_documents(text, topic)
    np.testing.assert_allclose((topic == main[text.document]).mean(), 0.8 + 0.2 / 10, atol=0.02)
    rank = (text.written - 1) % config.topic_words
    np.testing.assert_allclose((rank < 2).mean(), (2 / 18) ** (1 / 1.5), atol=0.02)
    center, context = text.windows(config.window)
    pseudo = np.unique(center[text.origin >= 0])
    assert len(pseudo) == 20
    for word in pseudo:
        first, second = (np.unique(text.written[(center == word) & (text.origin == i)]) for i in (0, 1))
        assert len(first) == len(second) == 1
        assert topic_of(first, config) != topic_of(second, config)
        assert (first[0] - 1) % 18 < 2
        assert 5 <= (second[0] - 1) % 18 < 12
    assert (context[0][: config.window] == UNKNOWN).all()
    assert (context[39][config.window :] == UNKNOWN).all()


def test_documents_are_kept_apart():
    text = merge_words("", [np.array([1, 2]), np.array([3])], [(1, 3)], 4, 2)
    assert text.tokens.tolist() == [0, 0, 1, 2, 0, 0, 1, 0, 0]
    assert text.document.tolist() == [0, 0, 1]
    assert text.windows(2)[1].tolist() == [[0, 0, 2, 0], [0, 1, 0, 0], [0, 0, 0, 0]]


def words_of_letters(count):
    letters = "bcdfghjklm"
    return ["".join(letters[int(d)] for d in f"{i:03d}") for i in range(count)]


def test_real_text_merges_words_of_middling_rank():
    vocabulary = words_of_letters(950)
    text = "\n".join(" ".join(["The", *vocabulary[: 950 - i]]) for i in range(0, 950, 5))
    config = replace(PRESETS["standard"].real_senses, vocab=940, pseudo_words=4)
    found = real_text(text, config, KEY)
    assert found.vocab == 940
    assert "the" not in found.words
    pseudo = np.unique(found.tokens[found.places][found.origin >= 0])
    assert len(pseudo) == 4
    assert not set(pseudo.tolist()) & set(found.words.values())
    assert len(found.words) == 939 - 8
    assert all(150 <= w <= 900 for w in np.unique(found.written[found.origin >= 0]))
    with pytest.raises(ValueError, match="at least 900"):
        real_text("a few words", config, KEY)


def test_annotated_senses_are_compared_word_by_word():
    """A classifier that knows which words go with which sense agrees with the annotators; one of a single sense has 0."""
    words = {"bank": 1, "river": 2, "money": 3, "see": 4}
    weights = DSGWeights(
        np.zeros((5, 2, 2)),
        np.array([[0, 0], [0, 0], [1, 0], [0, 1], [0, 0]], float),
        np.zeros(5),
        np.zeros((5, 2, 2)),
        np.zeros((5, 2)),
    )
    weights.ctx_w[1] = np.eye(2)
    instances = [
        SenseInstance("bank.n", left, "of it", sense)
        for left, sense in (("The river", "a"), ("MONEY", "b"), ("a river", "a"), ("money 5", "b"), ("nothing known", "b"))
    ]
    found = agreement(
        weights, [*instances, SenseInstance("see.v", "river", "", "x"), SenseInstance("go.v", "money", "", "x")], words
    )
    assert found == {"model": 1.0, "principal component": 1.0, "words": 2.0}
    one_sense = weights._replace(ctx_w=np.zeros((5, 2, 2)))
    assert agreement(one_sense, instances, words)["model"] == 0


def test_news_and_what_stands_in(monkeypatch, tmp_path):
    config = Codes(class_step=3, num_classes=2, first_rank=10, vocab=50, max_tokens=20, bits=8, ngrams=2)
    monkeypatch.setenv("QUIRE_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    source = open_documents(config, KEY)
    assert "20 Newsgroups" in source.stand_in_for
    assert source.name == "2 generated topics"
    for counts, labels in (source.value.train, source.value.test, source.value.other):
        assert counts.sum(1).tolist() == [20] * len(labels)
    assert not set(source.value.other[1]) & set(source.value.train[1])
    folder = tmp_path / "20newsgroups-sub"
    folder.mkdir()
    again = topic_documents(config, KEY)
    np.testing.assert_array_equal(again.train[0], source.value.train[0])


def test_missing_text_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setenv("QUIRE_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(DatasetUnavailable, match="text8"):
        open_text(PRESETS["paper"].real_senses, KEY)
    (tmp_path / "text8").mkdir()
    (tmp_path / "text8" / "text8").write_text(" ".join(words_of_letters(950) * 2), encoding="utf-8")
    text = open_text(replace(PRESETS["paper"].real_senses, pseudo_words=2), KEY)
    assert text.name.startswith("text8, 950 words")
    assert text.document.max() == 1
    monkeypatch.undo()
    with pytest.raises(NotTested, match="standard"):
        claims.agrees_with_people(PRESETS["quick"], KEY)


@pytest.mark.skipif(not is_local("20newsgroups-sub"), reason="20newsgroups-sub is not here")
def test_news_documents():
    found = news_documents(PRESETS["quick"].codes)
    assert (len(found.train[1]), len(found.test[1]), len(found.other[1])) == (1500, 900, 900)
    assert len(found.words) == 1500
    assert found.train[0].sum(1).max() <= 60
    assert not set(found.other[1].tolist()) & set(found.train[1].tolist())


# --- Errors, presets, benchmark ---

PLAIN = PVWeights(np.zeros((2, 3)), np.zeros((4, 3)), np.zeros(4))
TABLES = DSGWeights(np.zeros((4, 2, 3)), np.zeros((4, 3)), np.zeros(4), np.zeros((4, 3, 2)), np.zeros((4, 2)))
ID, PAIR = np.array([0]), np.zeros((1, 2), int)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: document_hidden(PLAIN, np.array([2])), "doc runs from 2"),
        (lambda: pair_loss(PLAIN, ID, np.array([4])), "word runs from 4"),
        (lambda: pair_loss(PLAIN, ID, ID, PAIR), "context is given"),
        (lambda: pair_loss(PLAIN._replace(words=np.zeros((4, 2))), ID, ID), "context is absent"),
        (lambda: pair_loss(PLAIN._replace(words=np.zeros((4, 2))), ID, ID, PAIR + 4), "context runs from 4"),
        (lambda: BinaryPV(2, 3, 0, rngs=nnx.Rngs(0)), "bits is 0"),
        (lambda: BinaryPV(0, 3, 2, rngs=nnx.Rngs(0)), "n_docs is 0"),
        (lambda: BinaryPV(2, 3, 2, context_dim=-1, rngs=nnx.Rngs(0)), "context_dim is -1"),
        (lambda: BinaryPV(2, 3, 2, real_dim=0, rngs=nnx.Rngs(0)), "real_dim is 0"),
        (lambda: CodeAutoencoder(3, 0, 2, rngs=nnx.Rngs(0)), "size of a layer is 0"),
        (lambda: fit_documents(PLAIN, np.zeros((2, 5)), np.zeros((2, 3))), "counts has shape"),
        (lambda: infer_codes(PLAIN, np.zeros((2, 4)), KEY, steps=0), "steps is 0"),
        (lambda: fit_pairs(topic_text(TINY, KEY), np.zeros(2400, bool), 4, KEY), "number of chosen places is 0"),
        (lambda: hyperplane_codes(np.ones((2, 2)), 0, KEY), "bits is 0"),
        (lambda: itq_codes(np.ones((2, 2)), 3, KEY), "bits is 3"),
        (lambda: code_distances(np.zeros((1, 2), int), np.zeros((1, 3), int)), "queries have 2 bits"),
        (lambda: tie_averaged_precision(np.zeros((1, 2)), np.ones((1, 2), bool)), "integers from 0"),
        (lambda: tie_averaged_precision(np.array([[-1, 0]]), np.ones((1, 2), bool)), "integers from 0"),
        (lambda: tie_averaged_precision(np.zeros((1, 2), int), np.ones((1, 3), bool)), "distances have shape"),
        (lambda: tie_averaged_precision(np.zeros((1, 0), int), np.ones((1, 0), bool)), "n at least 1"),
        (lambda: precision_recall(np.zeros((1, 2), int), np.ones((1, 3), bool)), "distances have shape"),
        (lambda: ndcg(np.zeros((1, 2)), np.ones((1, 2), bool), 3), "k is 3"),
        (lambda: reranked(np.zeros((1, 2), int), np.ones((1, 2)), np.ones((2, 2)), 3), "shortlist is 3"),
        (lambda: sense_logits(TABLES, np.array([4]), PAIR), "center runs from 4"),
        (lambda: sense_logits(TABLES, ID, PAIR - 1), "context runs from -1"),
        (lambda: sense_logits(TABLES, ID, PAIR[:, :0]), "number of context words is 0"),
        (lambda: fine_loss(TABLES, ID, PAIR, PAIR, np.full((1, 2), 0.5), 0.0), "temperature is 0"),
        (lambda: fine_loss(TABLES, ID, PAIR, PAIR + 9, np.full((1, 2), 0.5), 1.0), "labels runs from 9"),
        (lambda: initial_weights(4, 3, 1, KEY), "senses is 1"),
        (lambda: own_classifiers(TABLES), "ctx_w has shape"),
        (lambda: induce_senses(TABLES._replace(ctx_w=np.zeros((3, 2))), 0, [], []), "ctx_w has shape"),
        (lambda: induce_senses(TABLES, 4, [], []), "word runs from 4"),
        (lambda: induce_senses(TABLES, 0, [ID], []), "left has 1"),
        (lambda: induce_senses(TABLES, 0, [ID + 4], [ID]), "left and right runs"),
        (lambda: sense_priors(np.ones((2, 2)), ID, 3), "probs has 2 rows"),
        (lambda: sense_priors(np.ones((1, 2)), ID + 3, 3), "center runs from 3"),
        (lambda: prune(np.ones((1, 2)), 1.5), "threshold is 1.5"),
        (lambda: similarities(TABLES.sense, np.ones((4, 2)), 0.1, ID, ID + 4), "b runs from 4"),
        (lambda: MSSG(4, 0, 2, rngs=nnx.Rngs(0)), "dim is 0"),
        (lambda: AdaGram(np.ones(4, int), 2, 0, rngs=nnx.Rngs(0)), "senses is 0"),
        (lambda: AdaGram(np.ones(4, int), 2, 2, alpha=0.0, rngs=nnx.Rngs(0)), "alpha is 0"),
        (lambda: first_component_side(PAIR + 3, 3), "context runs from 3"),
        (lambda: agreement(TABLES, [SenseInstance("go.v", "to it", "", "x")], {}), "words has none"),
        (lambda: open_text(replace(TINY, text="novels"), KEY), "text is 'novels'"),
        (lambda: news_documents(Codes(class_step=12, num_classes=3)), "num_classes is 3"),
        (lambda: Codes(class_step=1), "class_step is 1"),
        (lambda: Codes(bits=0), "bits is 0"),
        (lambda: Senses(senses=1), "senses is 1"),
    ],
)
def test_wrong_arguments(call, message, as_installed):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_traced(name):
    """Losses with their gradients, at full size; nothing is run."""
    preset = PRESETS[name]
    codes, number = preset.codes, jax.ShapeDtypeStruct

    def table(*shape):
        return number(shape, jnp.float32)

    counts, docs = number((codes.batch_size, codes.vocab), jnp.uint16), number((codes.batch_size,), jnp.int32)
    for r in (None, codes.real_dim):
        proj = None if r is None else table(r, codes.bits)
        weights = PVWeights(table(2400, r or codes.bits), table(codes.vocab, codes.bits), table(codes.vocab), proj)
        assert jax.eval_shape(jax.grad(count_loss), weights, docs, counts) == weights
    for config in filter(None, (preset.senses, preset.real_senses)):
        v, d, s = config.vocab, config.dim, config.senses
        shared = DSGWeights(table(v, s, d), table(v, d), table(v), table(d, s), table(s))
        own = jax.eval_shape(own_classifiers, shared)
        context, center = number((config.batch_size, 2 * config.window), jnp.int32), number((config.batch_size,), jnp.int32)
        assert jax.eval_shape(jax.grad(fine_loss), own, center, context, context, table(config.batch_size, s), 0.5) == own
        assert jax.eval_shape(pretraining_loss, shared, center, context, context).shape == ()


def test_benchmark_compares_the_same_numbers():
    both = paper.benchmark.cases(64, KEY)
    fast, naive = (case.function(*case.args) for case in both.values())
    np.testing.assert_array_equal(fast, naive)
    assert benchmark.BITS % 8 == 0
