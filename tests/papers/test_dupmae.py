"""DupMAE: golden vectors, masks, losses, representations, fine-tuning, data, presets."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from quire.common.claims import run
from quire.common.errors import DatasetCorrupt, DatasetUnavailable
from quire.common.layers.bert import BertConfig
from quire.common.testing import assert_close, assert_degenerate, assert_dtypes, assert_gradients
from quire.common.train.recipe import Recipe
from quire.dupmae import (
    PRESETS,
    DupMAE,
    DupMAERetriever,
    Masked,
    Passages,
    Texts,
    bm25_scores,
    bow_loss,
    bow_targets,
    concatenated,
    contrastive_loss,
    distillation,
    dupmae_loss,
    evaluate_retrieval,
    framed,
    info_nce,
    initial_dupmae,
    key_value_stream,
    load_dupmae,
    masked_batch,
    mlm_loss,
    ot_max_pool,
    paper,
    query_stream,
    sample_decoder_visibility,
    score,
    score_on_queries_words,
    tf_idf_scores,
)
from quire.dupmae.evaluation import bag_recall, frequent_words, of_documents, ranked_words
from quire.dupmae.experiment import fine_tuned, run_all
from quire.dupmae.random_model import authors_weights
from quire.dupmae.retriever import encode, represent
from quire.dupmae.sources import open_corpus
from quire.dupmae.training import Arm, build, pretraining_loss

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def vectors(golden):
    return golden("dupmae")


def golden_config(vectors) -> BertConfig:
    vocab, dim, heads, depth, ffn, longest = map(int, vectors["config"])
    types = len(vectors["param/lm.bert.embeddings.token_type_embeddings.weight"])
    return BertConfig(vocab, dim, depth, heads, ffn, longest, types)


def golden_model(vectors) -> DupMAE:
    """The authors' weights in a model of the sizes of the file, in the precision that is on."""
    state = {name: np.asarray(x, float if jax.config.jax_enable_x64 else np.float32) for name, x in vectors.case("param").items()}
    return load_dupmae(nnx.eval_shape(lambda: DupMAE(golden_config(vectors), rngs=nnx.Rngs(0))), state)


def golden_batch(vectors) -> Masked:
    x = vectors.case("in")
    names = ("encoder_input_ids", "encoder_labels", "decoder_input_ids", "decoder_labels")
    tokens, labels, decoder_tokens, decoder_labels = (jnp.asarray(x[name], jnp.int32) for name in names)
    mask, visible = (jnp.asarray(x[name] == 1) for name in ("attention_mask", "decoder_visible"))
    return Masked(tokens, mask, labels, decoder_tokens, decoder_labels, visible, jnp.asarray(x["bow_weight"], float))


PRECISIONS = pytest.mark.parametrize(("x64", "tolerance"), [(True, 1e-8), (False, 5e-4)], ids=["float64", "float32"])


@PRECISIONS
def test_golden_pretraining(vectors, x64, tolerance):
    with jax.enable_x64(x64):
        model, batch = golden_model(vectors), golden_batch(vectors)
        weight = float(vectors["in/bow_loss_weight"])

        @nnx.jit
        def everything(model, batch):
            hidden = model.encoder(batch.tokens, batch.mask)
            logits = model.head(hidden, model.words)
            embeddings, cls = model.encoder.embeddings, hidden[:, 0]
            total, parts = dupmae_loss(model, batch, bow_weight=weight)
            chunked, _ = dupmae_loss(model, batch, bow_weight=weight, chunk=4)
            pooled = ot_max_pool(logits, batch.mask)
            return {
                "hidden_last": hidden,
                "logits": logits,
                "encoder_mlm_loss": parts["mlm"],
                "decoder_query": query_stream(embeddings, cls, batch.tokens.shape[1]),
                "decoder_kv": key_value_stream(embeddings, cls, batch.decoder_tokens),
                "decoder_hidden": model.decoder(embeddings, cls, batch.decoder_tokens, batch.visible),
                "decoder_loss": parts["decoding"],
                "ot_embedding": pooled,
                "bow_loss": bow_loss(pooled, batch.bow),
                "total": jnp.stack([total, chunked]),
                "retromae_v1_total": dupmae_loss(model, batch, bow_weight=0.0, queries="retromae")[0],
            }

        found = everything(model, batch)
        expected = vectors.case("out")
        assert found.keys() == expected.keys()
        for name, value in found.items():
            assert_close(value, np.stack(2 * [expected[name]]) if name == "total" else expected[name], tolerance)


def test_golden_bag_of_words(vectors):
    batch = golden_batch(vectors)
    found = bow_targets(batch.decoder_tokens, batch.mask.sum(1), batch.bow.shape[1])
    assert_close(found, batch.bow, 1e-6)


@PRECISIONS
def test_golden_representation(vectors, x64, tolerance):
    with jax.enable_x64(x64):
        cls, pooled = (jnp.asarray(x, float) for x in (vectors["out/hidden_last"][:, 0], vectors["out/ot_embedding"]))
        expected, vocab = vectors.case("rep"), pooled.shape[1]
        of = represent(cls, pooled, jnp.asarray(expected["W_cls"], float), int(expected["N"]))
        assert_close(of.dense, expected["cls_reduced"], tolerance)
        np.testing.assert_array_equal(of.words.index, expected["ot_top_idx"])
        assert_close(of.words.dense(vocab), expected["ot_sparse"], tolerance)
        for found in (score(of, of), score(of, of, vocab=vocab)):
            assert_close(found, expected["score_dense_plus_sparse"], tolerance)
        assert_close(score_on_queries_words(of, of.dense, pooled), expected["score_query_support"], tolerance)


# --- Masks ---


def test_a_place_never_sees_itself_and_always_the_vector():
    words = jnp.array([[-1, 0, 1, 1, 2, 3, -1, -1], [-1, 0, 0, 0, 1, 2, 3, -1]])
    lengths = jnp.array([7, 8])
    visible = np.asarray(jax.jit(lambda k: sample_decoder_visibility(k, words, lengths, 0.4))(KEY))
    for b, row_of_words in enumerate(np.asarray(words)):
        end = int(lengths[b])
        assert not visible[b].diagonal().any()
        assert visible[b, 1:end, 0].all()
        assert visible[b, : end - 1, end - 1].all()
        assert not visible[b, end:].any()
        assert not visible[b, :, end:].any()
        for i in range(end):
            hidden = {j for j in range(end) if not visible[b, i, j]} - {i}
            assert len(hidden) <= max(1, round(0.4 * end))
            for word in {row_of_words[j] for j in hidden}:  # whole words, but for the place itself
                assert {j for j in range(end) if row_of_words[j] == word} - {i} <= hidden
    assert len({row.tobytes() for row in visible[1, :, 1:7] | np.eye(8, dtype=bool)[:, 1:7]}) > 3  # every row draws anew


def test_rows_a_pool_apart_share_their_mask():
    words = jnp.array([[-1, *range(10), -1]])
    visible = np.asarray(sample_decoder_visibility(KEY, words, jnp.array([12]), 0.5, pool=3))[0]
    alike = visible[1] == visible[4]
    assert alike[[0, 2, 3, *range(5, 12)]].all()
    assert not (visible[1] == visible[2])[[0, *range(3, 12)]].all()
    with pytest.raises(ValueError, match="pool is 0"):
        sample_decoder_visibility(KEY, words, jnp.array([12]), 0.5, pool=0)


def texts(words=(6, 3, 1), length=8, vocab=29):
    draw = np.random.default_rng(0)
    return framed([draw.integers(0, vocab - 4, n) for n in words], length)


def test_masked_batch_asks_what_it_hides():
    x = texts((6, 6, 5), 8)
    batch = jax.jit(lambda key, *x: masked_batch(key, *x, vocab=29, encoder_rate=0.5))(KEY, *map(jnp.asarray, x))
    asked = np.asarray(batch.labels) >= 0
    np.testing.assert_array_equal(asked.sum(1), [4, 4, 4])
    np.testing.assert_array_equal(np.asarray(batch.labels)[asked], x.tokens[asked])
    np.testing.assert_array_equal(np.asarray(batch.tokens)[~asked], x.tokens[~asked])
    assert (np.asarray(batch.tokens)[asked] == 3).mean() > 0.4
    np.testing.assert_array_equal(batch.decoder_labels, np.where(x.word_ids >= 0, x.tokens, -100))
    np.testing.assert_array_equal(batch.mask, x.mask)
    np.testing.assert_array_equal(batch.decoder_tokens, x.tokens)


# --- Decoder ---

SMALL = BertConfig(vocab_size=29, dim=8, depth=1, num_heads=2, mlp_dim=12, max_length=8)


@pytest.fixture(scope="module")
def model():
    return initial_dupmae(SMALL, KEY, 0.3)


@pytest.fixture(scope="module")
def batch():
    return jax.jit(lambda key, *x: masked_batch(key, *x, vocab=29))(KEY, *map(jnp.asarray, texts()))


def test_the_decoder_cannot_copy(model, batch):
    """What it says of a place does not depend on the token there, but on the vector and on other tokens."""
    cls = jnp.asarray(np.random.default_rng(1).normal(size=(3, 8)), jnp.float32)
    decode = nnx.jit(lambda model, cls, tokens: model.decoder(model.encoder.embeddings, cls, tokens, batch.visible))
    before = decode(model, cls, batch.decoder_tokens)
    for place in (1, 4):
        after = decode(model, cls, batch.decoder_tokens.at[0, place].add(1))
        np.testing.assert_allclose(after[0, place], before[0, place], atol=1e-6)
        assert not np.allclose(after[0, :7], before[0, :7], atol=1e-4)
    assert not np.isclose(decode(model, cls + 1.0 * jnp.arange(8)[None], batch.decoder_tokens), before, atol=1e-3).any(-1).all()


def test_streams_and_their_errors(model, batch, as_installed):
    embeddings, cls = model.encoder.embeddings, jnp.ones((2, 8))
    np.testing.assert_allclose(
        query_stream(embeddings, cls, 3, "retromae"), 1 + jnp.broadcast_to(embeddings.positions[:3][None], (2, 3, 8)), rtol=1e-6
    )
    normed = query_stream(embeddings, cls, 3)
    np.testing.assert_allclose(normed.mean(-1), 0, atol=1e-5)
    with pytest.raises(ValueError, match="queries is 'bert'"):
        query_stream(embeddings, cls, 3, "bert")
    with pytest.raises(ValueError, match="length is 9"):
        query_stream(embeddings, cls, 9)
    with pytest.raises(ValueError, match=r"visible has shape \(3, 8, 7\)"):
        model.decoder(embeddings, jnp.ones((3, 8)), batch.decoder_tokens, batch.visible[:, :, :7])


# --- Losses ---


def test_bag_of_words_by_hand():
    found = bow_targets(jnp.array([[1, 7, 7, 5, 2, 0], [1, 6, 2, 0, 0, 0]]), jnp.array([5, 3]), 9)
    expected = np.zeros((2, 9))
    expected[0, [7, 5]], expected[1, 6] = 1 / 3, 1
    assert_close(found, expected, 1e-6)
    with pytest.raises(ValueError, match="one ordinary token"):
        bow_targets(jnp.array([[1, 2, 0]]), jnp.array([2]), 9)
    with pytest.raises(ValueError, match="ids"):
        bow_targets(jnp.array([[1, 9, 2]]), jnp.array([3]), 9)
    with jax.debug_nans(False):
        traced = jax.jit(lambda n: bow_targets(jnp.array([[1, 2, 0]]), n, 4))(jnp.array([2]))
        assert np.isnan(traced).all()


def test_pooling_leaves_out_the_first_and_padding(as_installed):
    logits = np.random.default_rng(0).normal(size=(2, 5, 7)).astype(np.float32)
    mask = np.arange(5) < np.array([[3], [5]])
    found = ot_max_pool(jnp.asarray(logits), jnp.asarray(mask))
    np.testing.assert_array_equal(found, [logits[0, 1:3].max(0), logits[1, 1:].max(0)])
    with pytest.raises(ValueError, match="without a token behind the first"):
        ot_max_pool(jnp.asarray(logits), jnp.asarray(np.arange(5) < 1)[None].repeat(2, 0))
    with pytest.raises(ValueError, match="mask has shape"):
        ot_max_pool(jnp.asarray(logits), jnp.asarray(mask[:, :4]))


def test_losses_at_the_edges():
    draw = np.random.default_rng(0)
    mu, y = draw.normal(size=(3, 5)).astype(np.float32), draw.random((3, 5)).astype(np.float32)
    by_hand = -np.mean(np.sum(y * (mu - np.log(np.exp(mu).sum(1, keepdims=True))), 1))
    assert_close(bow_loss(jnp.asarray(mu), jnp.asarray(y)), by_hand, 1e-5)
    assert_degenerate(bow_loss, mu, y, scales=(1e-30, 1e4))
    assert_dtypes(bow_loss, mu, y, dtypes=("int32", "bfloat16"))
    assert_gradients(bow_loss, mu, y, tolerance=1e-5)
    scores = draw.normal(size=(2, 6)).astype(np.float32)
    assert_degenerate(info_nce, scores, axes=(0,))
    assert_gradients(lambda s: info_nce(s, 0.5), scores, tolerance=1e-5)


def test_total_is_the_weighted_sum_in_any_chunks(model, batch):
    @nnx.jit
    def forms(model, batch):
        def loss(model, chunk):
            return dupmae_loss(model, batch, bow_weight=0.3, decoding_weight=0.7, chunk=chunk)

        (whole, parts), gradient = nnx.value_and_grad(loss, has_aux=True)(model, None)
        (chunked, _), of_chunks = nnx.value_and_grad(loss, has_aux=True)(model, 3)
        return whole, chunked, parts, gradient, of_chunks, mlm_loss(model, batch)

    whole, chunked, parts, gradient, of_chunks, plain = forms(model, batch)
    assert_close(whole, parts["mlm"] + 0.7 * parts["decoding"] + 0.3 * parts["bow"], 1e-6)
    assert_close(chunked, whole, 1e-5)
    assert_close(plain, parts["mlm"], 1e-6)
    for one, other in zip(jax.tree.leaves(gradient), jax.tree.leaves(of_chunks), strict=True):
        np.testing.assert_allclose(one, other, atol=2e-5)
    with pytest.raises(ValueError, match="chunk is 0"):
        dupmae_loss(model, batch, chunk=0)


def test_padding_changes_nothing(model):
    x = texts((3, 2), 5)
    wide = texts((3, 2), 8)
    short, long = (encode(model, *map(jnp.asarray, (t.tokens, t.mask))) for t in (x, wide._replace(tokens=wide.tokens)))
    np.testing.assert_array_equal(wide.tokens[:, :5], x.tokens)
    assert_close(list(long), list(short), 1e-5)


def test_identities_hold():
    assert run(paper, claims=["D1", "D2", "D5"], seeds=1).as_expected


def test_weights_are_read_strictly():
    weights = authors_weights(SMALL, np.random.default_rng(0))
    blank = lambda: nnx.eval_shape(lambda: DupMAE(SMALL, rngs=nnx.Rngs(0)))  # noqa: E731
    words = "lm.bert.embeddings.word_embeddings.weight"
    tied = weights | {"lm.cls.predictions.decoder.weight": weights[words]}
    np.testing.assert_array_equal(load_dupmae(blank(), tied).words, weights[words])
    for state, message in (
        (weights | {"lm.cls.predictions.decoder.weight": weights[words] + 1}, "tied"),
        (weights | {"d_head.bias": np.zeros(1)}, "d_head.bias"),
        ({k: v for k, v in weights.items() if k != "c_head.output.dense.bias"}, "output.dense.bias"),
        (weights | {"c_head.more": np.zeros(1)}, "more"),
    ):
        with pytest.raises(ValueError, match=message):
            load_dupmae(blank(), state)


# --- Search ---


def representations():
    draw = np.random.default_rng(0)
    cls, pooled = (jnp.asarray(draw.normal(size=(2, 3, n)), jnp.float32) for n in (5, 20))
    reduction = jnp.asarray(draw.normal(size=(5, 4)), jnp.float32)
    return [represent(c, mu, reduction, 6) for c, mu in zip(cls, pooled, strict=True)], pooled


def test_scores_are_one_inner_product(as_installed):
    (queries, passages), pooled = representations()
    inner = concatenated(queries, 20) @ concatenated(passages, 20).T
    for found in (score(queries, passages), score(queries, passages, vocab=20)):
        assert_close(found, inner, 1e-5)
    whole = queries.dense @ passages.dense.T + queries.words.dense(20) @ pooled[1].T
    assert_close(score_on_queries_words(queries, passages.dense, pooled[1]), whole, 1e-5)
    with pytest.raises(ValueError, match="n is 21"):
        represent(jnp.ones((1, 5)), pooled[0, :1], jnp.ones((5, 2)), 21)
    with pytest.raises(ValueError, match="reduction has shape"):
        represent(jnp.ones((1, 5)), pooled[0, :1], jnp.ones((4, 2)), 2)


def test_retriever_learns_from_groups(model):
    with pytest.raises(ValueError, match="top_n is 30"):
        DupMAERetriever(model, jnp.ones((8, 2)), 30)
    with pytest.raises(ValueError, match="reduction has shape"):
        DupMAERetriever(model, jnp.ones((7, 2)), 5)
    retriever = DupMAERetriever(model, jnp.eye(8)[:, :3], 5)
    queries, passages = texts((3, 2), 8), texts((6, 5, 4, 3), 8)
    teacher = jnp.array([[1.0, 0.0], [0.5, 2.0]])

    @nnx.jit
    def step(retriever, teacher, *sides):
        plain = contrastive_loss(retriever, *sides)
        scores = retriever.score(retriever.encode(*sides[:2]), retriever.encode(*sides[2:]))
        taught, gradient = nnx.value_and_grad(lambda r: contrastive_loss(r, *sides, teacher=teacher))(retriever)
        return plain, taught, scores, gradient

    sides = [jnp.asarray(x) for t in (queries, passages) for x in (t.tokens, t.mask)]
    plain, taught, scores, gradient = step(retriever, teacher, *sides)
    log_p = np.asarray(jax.nn.log_softmax(scores))
    assert_close(plain, -(log_p[0, 0] + log_p[1, 2]) / 2, 1e-5)
    assert_close(taught - plain, distillation(scores, teacher), 1e-4)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(gradient))
    assert np.abs(nnx.state(gradient)["reduction"][...]).max() > 0


def test_contrastive_errors():
    assert (
        float(distillation(jnp.array([[2.0, 1.0, 5.0, 5.0], [0.0, 0.0, 1.0, 3.0]]), jnp.array([[1.0, 0.0], [0.0, 2.0]]))) < 1e-6
    )
    with pytest.raises(ValueError, match="group of passages"):
        info_nce(jnp.zeros((2, 3)))
    with pytest.raises(ValueError, match="temperature"):
        info_nce(jnp.zeros((2, 4)), 0.0)
    with pytest.raises(ValueError, match="teacher has shape"):
        distillation(jnp.zeros((2, 4)), jnp.zeros((2, 3)))


def test_bm25_by_hand():
    documents = ["a a b", "b c", "c"]
    found = bm25_scores(["a b z", ""], documents)
    mean, idf = 2.0, lambda n: np.log(1 + (3 - n + 0.5) / (n + 0.5))
    weight = lambda f, length: f * 2.2 / (f + 1.2 * (0.25 + 0.75 * length / mean))  # noqa: E731
    expected = [[idf(1) * weight(2, 3) + idf(2) * weight(1, 3), idf(2) * weight(1, 2), 0], [0, 0, 0]]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_allclose(np.diagonal(tf_idf_scores(documents, documents)), 1)
    with pytest.raises(ValueError, match="number of documents"):
        bm25_scores(["a"], [])


def test_evaluation():
    x = texts((4, 2), 8)._replace(tokens=np.array([[1, 5, 6, 5, 7, 2, 0, 0], [1, 9, 9, 2, 0, 0, 0, 0]]))
    np.testing.assert_allclose(bag_recall(np.array([[5, 6], [8, 9]]), x), [2 / 3, 1])
    np.testing.assert_allclose(bag_recall(frequent_words(x, 2), x), [1 / 3, 1])
    np.testing.assert_array_equal(ranked_words(jnp.array([9.0, 9, 9, 9, 1, 3, 2]), 2), [5, 6])
    documents = of_documents(jnp.array([[1.0, 4.0, 2.0]]), np.array([0, 0, 2]), 4)
    assert documents[0, 0] == 4
    assert documents[0, 2] == 2
    assert documents[0, 1] < -1e30
    with jax.debug_nans(False):
        assert np.isnan(evaluate_retrieval(jnp.array([[np.nan, 1.0]]), jnp.array([[True, False]]), 1)["mrr@1"])


# --- Texts and presets ---

TINY = replace(
    PRESETS["quick"].fallback,
    encoder=BertConfig(vocab_size=64, dim=8, depth=1, num_heads=2, mlp_dim=8, max_length=12),
    passages=Passages(run=14, words=10, query=(8, 12), starts=(0, 4), held_out=12),
    training=Recipe(steps=2, batch_size=4, learning_rate=1e-3),
    fine_tuning=Recipe(steps=2, batch_size=4, learning_rate=1e-3),
    top_n=6,
    bag=8,
    reduced=4,
    retromae=True,
)


def test_the_whole_experiment_on_generated_texts():
    run = run_all(TINY, KEY)
    assert list(run.search) == ["DupMAE", "MLM", "RetroMAE"]
    assert all(np.isfinite(x).all() for x in (*run.search.values(), *run.recall.values(), *run.losses.values()))
    assert run.lexical["BM25"][0] > 0.3
    stages = fine_tuned(run, KEY)
    assert len(stages) == 6
    queries, passages = run.corpus.queries, run.corpus.passages
    np.testing.assert_array_equal(queries.tokens[:, 1:3], passages.tokens[:, 9:11])  # two words are shared
    assert run.corpus.train.tokens.shape == (2 * 5 * 12, 12)


def test_texts_are_framed():
    x = framed([np.array([0, 1, 2, 3]), np.array([5])], 5)
    np.testing.assert_array_equal(x.tokens, [[1, 4, 5, 6, 2], [1, 9, 2, 0, 0]])
    np.testing.assert_array_equal(x.word_ids, [[-1, 0, 1, 2, -1], [-1, 0, -1, -1, -1]])
    np.testing.assert_array_equal(x.lengths, [5, 3])
    for rows, length in (([], 5), ([np.array([], int)], 5), ([np.array([1])], 2)):
        with pytest.raises(ValueError, match="at least"):
            framed(rows, length)


def test_missing_texts(tmp_path, monkeypatch):
    monkeypatch.setenv("QUIRE_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    source = open_corpus(PRESETS["quick"])
    assert source.name.startswith("generated")
    assert source.stand_in_for
    with pytest.raises(DatasetUnavailable, match="dupmae-tokens"):
        open_corpus(PRESETS["paper"])
    with pytest.raises(DatasetUnavailable, match="bert-base-uncased"):
        build(PRESETS["paper"], KEY)


def test_prepared_tokens(tmp_path, monkeypatch):
    monkeypatch.setenv("QUIRE_DATA", str(tmp_path))
    folder = tmp_path / "dupmae-tokens"
    folder.mkdir()
    for name, words in (
        ("train", (5, 4)),
        ("queries", (2,)),
        ("passages", (6, 3, 2)),
        ("train-queries", (2,)),
        ("train-passages", (3, 1)),
    ):
        x = texts(words)
        np.save(folder / f"{name}.tokens.npy", x.tokens)
        np.save(folder / f"{name}.word_ids.npy", x.word_ids)
    np.save(folder / "judgements.npy", np.array([[0, 2]]))
    preset = replace(TINY, texts="prepared")
    corpus = open_corpus(preset).value
    assert corpus.relevant.tolist() == [[False, False, True]]
    np.testing.assert_array_equal(corpus.train.lengths, [7, 6])
    assert corpus.written(corpus.queries)[0] == " ".join(map(str, corpus.queries.tokens[0, 1:3]))
    np.save(folder / "judgements.npy", np.array([[0, 3]]))
    with pytest.raises(DatasetCorrupt, match="pairs inside"):
        open_corpus(preset)
    np.save(folder / "train.tokens.npy", np.array([[1, 64, 2]]))
    with pytest.raises(DatasetCorrupt, match="dupmae-tokens/train"):
        open_corpus(preset)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_traced(name):
    preset = PRESETS[name]
    size = preset.training.batch_size, preset.encoder.max_length
    ids, lengths = jax.ShapeDtypeStruct(size, jnp.int32), jax.ShapeDtypeStruct(size[:1], jnp.int32)
    model = nnx.eval_shape(lambda: DupMAE(preset.encoder, rngs=nnx.Rngs(0)))
    step = pretraining_loss(preset, "dupmae")
    batch = (Texts(ids, ids, lengths), Arm(1.0, preset.bow_weight))
    loss = nnx.eval_shape(lambda model, *texts: step(model, (Texts(*texts), batch[1]), KEY), model, *batch[0])
    assert loss.shape == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"texts": "mails"}, "texts is 'mails'"),
        ({"decoder_rate": 1.0}, "decoder_rate 1.0"),
        ({"mask_id": 64}, "mask_id is 64"),
        ({"top_n": 65}, "top_n is 65"),
        ({"bag": 0}, "bag is 0"),
        ({"passages": Passages(run=40, words=24, held_out=3)}, "max_length is 12"),
    ],
)
def test_presets_that_do_not_fit(change, message, as_installed):
    with pytest.raises(ValueError, match=message):
        open_corpus(replace(TINY, fallback=None, **change))
    with pytest.raises(ValueError, match="inside a run"):
        Passages(run=20)
