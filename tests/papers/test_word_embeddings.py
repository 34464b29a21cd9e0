"""Word embeddings: the authors' traces, the mathematics as properties, the fast form against the slow one, errors, presets."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quire.common.errors import DatasetUnavailable
from quire.common.losses.classification import smoothed_cross_entropy
from quire.common.testing import assert_close, assert_degenerate, assert_gradients, assert_matches_float64
from quire.common.text.cooccurrence import cooccurrence
from quire.common.text.windows import keep_probability, token_blocks
from quire.word_embeddings import (
    CNN,
    MODELS,
    RCNN,
    Batch,
    CharWordCBOW,
    CharWordConfig,
    NSConfig,
    NSParams,
    RCNNWeights,
    RecurrentNet,
    Schedule,
    Text,
    Vocab,
    analogy,
    block_loss,
    bmes,
    boundary_f1,
    brute_force,
    char_word_text,
    config,
    corpora,
    cosine,
    evaluation,
    experiments,
    fit_char_word,
    fit_glove,
    fit_ns,
    fit_softmax_skipgram,
    glove,
    init_ns,
    init_rcnn,
    key_phrases,
    noise_distribution,
    ns_loss,
    ns_scores,
    paper,
    performance_gain_ratio,
    rcnn_forward,
    read_synonym_questions,
    replay,
    replay_glove,
    segmentation,
    sgns_loss,
    shifted_pmi,
    theory,
    vocabulary,
    word_similarity,
)
from quire.word_embeddings.blocks import NSModel, held_out_losses, plan, window_sum
from quire.word_embeddings.char_word import char_word_loss
from quire.word_embeddings.classifiers import bag_of_words, logistic_accuracy, mean_vectors
from quire.word_embeddings.rcnn import masked_max

PRECISIONS = [pytest.param(jnp.float64, 1e-9, id="float64"), pytest.param(jnp.float32, 5e-6, id="float32")]
TABLES = ("in", "out", "hid")


@pytest.fixture(scope="module")
def vectors(golden):
    return golden("word_embeddings")


@pytest.fixture
def draw():
    return np.random.default_rng(0)


# --- Golden vectors ----------------------------------------------------------------------------------------------------------


def trace(vectors, model):
    """A trainer, its start and its examples, all sizes read from the arrays."""
    start = [vectors[f"{model}_{name}0"] for name in TABLES if f"{model}_{name}0" in vectors]
    examples = [vectors[f"{model}_{name}"] for name in ("target", "context", "negative")]
    hidden = start[2].shape[0] if len(start) > 2 else None
    window = max(1, examples[1].shape[1] // 2)
    return NSConfig(model, start[0].shape[1], window, examples[2].shape[1], hidden, lr=0.05), start, examples


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("model", MODELS)
def test_golden_traces(vectors, model, dtype, tolerance):
    cfg, start, examples = trace(vectors, model)
    with jax.enable_x64(dtype == jnp.float64):
        after = replay(NSParams(*(jnp.asarray(x, dtype) for x in start)), cfg, *examples)
    for name, table, squares in zip(TABLES, after.params, after.squares, strict=True):
        if table is not None:
            assert table.dtype == dtype
            np.testing.assert_allclose(table, vectors[f"{model}_{name}1"], rtol=0, atol=tolerance)
            assert_close(squares, vectors[f"{model}_{name}_acc1"], tolerance)


@pytest.mark.parametrize("model", MODELS)
def test_golden_traces_of_the_definition(vectors, model):
    cfg, start, examples = trace(vectors, model)
    for name, table in zip(TABLES, brute_force.replay(model, start, *examples, cfg.rate), strict=False):
        np.testing.assert_allclose(table.values, vectors[f"{model}_{name}1"], rtol=0, atol=1e-9)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_golden_glove(vectors, dtype, tolerance):
    pairs, keep = vectors["glove_pairs"], vectors["glove_keep"]
    assert_close(glove.subsampled_keep(vectors["glove_counts"]), keep, 1e-12)
    x = vectors["glove_x"] * keep[pairs[:, 0]]
    with jax.enable_x64(dtype == jnp.float64):
        after = replay_glove(jnp.asarray(vectors["glove_w0"], dtype), pairs, jnp.asarray(x, dtype), 2)
    by_hand = brute_force.replay_glove(pairs, x, len(keep), vectors["glove_w0"], 2, 0.05, 100.0, 0.75)
    for found, bound in ((after, tolerance), (by_hand, 1e-9)):
        assert_close(found[0], vectors["glove_w1"], bound)
        assert_close(found[1], vectors["glove_acc1"], bound)
        assert_close(found[2], vectors["glove_cost_epoch2"], 2 * bound)


@pytest.mark.parametrize(("kind", "weighting"), [("uniform", "uniform"), ("inverse", "harmonic")])
def test_golden_counts(vectors, kind, weighting):
    tokens, lengths, window = vectors["cooc_tokens"], vectors["cooc_lengths"], int(vectors["cooc_window"])
    size = len(vectors[f"cooc_{kind}"])
    found = cooccurrence(tokens, lengths, window, vocab_size=size, weighting=weighting).toarray()
    assert_close(found, vectors[f"cooc_{kind}"], 1e-12)
    assert_close(brute_force.cooccurrence(tokens, lengths, window, size, kind == "inverse"), vectors[f"cooc_{kind}"], 1e-12)


def test_golden_theory(vectors):
    k = int(vectors["sgns_k"])
    with jax.enable_x64():
        counts = jnp.asarray(vectors["sgns_counts"])
        pmi = shifted_pmi(counts, k)
        assert_close(pmi, vectors["sgns_shifted_pmi"], 1e-10)
        assert_close(sgns_loss(pmi, counts, k), vectors["sgns_loss_at_optimum"], 1e-10)
        assert_close(sgns_loss(0 * counts, counts, k), vectors["sgns_loss_at_zero"], 1e-10)
        np.testing.assert_allclose(theory.optimise_sgns(counts, k, 300), pmi, atol=1e-2)
        logs = jnp.log(counts)
        assert_close(theory.softmax_skipgram_loss(logs, counts), vectors["softmax_skipgram_min"], 1e-10)
        assert_close(theory.weighted_cross_entropy(counts, logs), vectors["softmax_weighted_entropy"], 1e-10)
        assert jnp.abs(theory.glove_target(counts) - shifted_pmi(counts)).max() < 1e-10


def test_golden_sampling(vectors):
    assert_close(keep_probability(vectors["samp_counts"], float(vectors["samp_t"])), vectors["samp_keep"], 1e-9)
    assert_close(noise_distribution(vectors["samp_counts"]), vectors["samp_noise"], 1e-9)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_golden_rcnn(vectors, dtype, tolerance):
    ids, lengths, labels = (jnp.asarray(vectors[f"rcnn_{name}"]) for name in ("ids", "lengths", "labels"))

    @jax.jit
    def loss(weights, ids, lengths, labels):
        out = rcnn_forward(weights, ids, lengths)
        return smoothed_cross_entropy(out.logits, labels), out

    with jax.enable_x64(dtype == jnp.float64):
        weights = RCNNWeights(*(jnp.asarray(vectors[f"rcnn_{name}"], dtype) for name in RCNNWeights._fields))
        (value, out), gradient = jax.value_and_grad(loss, has_aux=True)(weights, ids, lengths, labels)
    assert_close(out.logits, vectors["rcnn_logits"], tolerance)
    np.testing.assert_array_equal(out.chosen, vectors["rcnn_argmax"])
    assert_close(value, vectors["rcnn_loss"], tolerance)
    for name, found in gradient._asdict().items():
        assert_close(found, vectors[f"rcnn_grad_{name}"], tolerance)


def test_golden_evaluation(vectors):
    emb, pairs = vectors["eval_emb"], vectors["eval_pairs"]
    assert_close(cosine(emb[pairs[:, 0]], emb[pairs[:, 1]]), vectors["eval_cosine"], 1e-9)
    found = word_similarity(emb, pairs, vectors["eval_scores"])
    np.testing.assert_allclose(found, (vectors["eval_pearson"], vectors["eval_spearman"]), atol=1e-9)
    np.testing.assert_array_equal(analogy(emb, vectors["eval_quads"][:, :3]), vectors["eval_3cosadd"])
    assert_close(performance_gain_ratio(vectors["pgr_perf"], vectors["pgr_random"]), vectors["pgr"], 1e-9)


# --- The trainers ------------------------------------------------------------------------------------------------------------

SMALL = {"dim": 3, "window": 2, "negatives": 2}


def small(model, draw, vocab_size=9, scale=1.0):
    """A trainer and random parameters, as NumPy arrays in float64."""
    cfg = NSConfig(model, hidden=4, lr=0.05, **SMALL)
    shapes = NSParams((vocab_size, cfg.dim), cfg.out_shape(vocab_size), cfg.hidden_shape)
    return cfg, NSParams(*(None if shape is None else scale * draw.standard_normal(shape) for shape in shapes))


def examples_of(cfg, draw, count=5, vocab_size=9):
    target, context = draw.integers(0, vocab_size, count), draw.integers(0, vocab_size, (count, cfg.contexts))
    negative = draw.integers(0, vocab_size, (count, cfg.negatives))
    negative = np.where(negative == target[:, None], -1, negative)
    return [x.astype(np.int32) for x in (target, context, negative)]


@pytest.mark.parametrize("model", MODELS)
def test_large_scores_saturate_in_the_replay_as_in_the_definition(model, draw):
    cfg, params = small(model, draw, scale=3.0)
    examples = examples_of(cfg, draw, 8)
    truth = brute_force.replay(model, [x for x in params if x is not None], *examples, cfg.rate)
    with jax.enable_x64():
        after = replay(params, cfg, *examples).params
    for found, table in zip(after, truth, strict=False):
        np.testing.assert_allclose(found, table.values, atol=1e-8)


@pytest.mark.parametrize("model", ["order", "lbl", "nnlm", "cw", "skipgram"])
def test_the_loss_of_one_example_has_the_gradient_of_its_first_update(model, draw):
    """AdaGrad's accumulator after one example holds the squares of the gradient, where no row is updated twice."""
    cfg, params = small(model, draw, scale=0.5)
    target, context, negative = np.array([1]), np.arange(2, 2 + cfg.contexts)[None], np.array([[7, 8]])
    with jax.enable_x64():
        squares = replay(params, cfg, target, context, negative).squares
        arrays = [jnp.asarray(x) for x in (target, context, negative)]
        gradient = jax.grad(lambda p: ns_loss(p, cfg, *arrays))(jax.tree.map(jnp.asarray, params))
    for g, total in zip(gradient, squares, strict=True):
        if g is not None:
            np.testing.assert_allclose(np.square(g) + 1e-8, total, rtol=1e-6, atol=1e-12)


def test_every_word_of_a_cbow_context_gets_the_whole_gradient(draw):
    cfg, params = small("cbow", draw, scale=0.5)
    target, context, negative = np.array([1]), np.array([[2, 3, 4, 5]]), np.array([[7, -1]])
    with jax.enable_x64():
        params = jax.tree.map(jnp.asarray, params)
        gradient = jax.grad(lambda p: ns_loss(p, cfg, *map(jnp.asarray, (target, context, negative))))(params).embed
        x = params.embed[2:6].mean(0)
        along = sum((jax.nn.sigmoid(x @ params.out[w]) - y) * params.out[w] for w, y in ((1, 1), (7, 0)))
    np.testing.assert_allclose(np.asarray(gradient)[2:6], np.tile(along, (4, 1)), rtol=1e-9)
    assert not np.asarray(gradient)[[0, 1, 6, 7, 8]].any()


def events_of(blocks, window):
    """Target and context of every centre, word by word; contexts inside the sentence beside them."""
    for tokens, centres, inside in zip(*blocks, strict=True):
        for i in np.flatnonzero(centres):
            around = [i + window + o for o in range(-window, window + 1) if o]
            yield tokens[i + window], tokens[around], inside[around]


@pytest.mark.parametrize("model", MODELS)
def test_blocks_are_windows_one_by_one(model, draw):
    """Values and gradients by all parameters, with words at the ends of sentences and negatives that equal the word."""
    cfg, params = small(model, draw, scale=0.5)
    ids, lengths = draw.integers(1, 9, 14), np.array([6, 1, 7])
    blocks = token_blocks(ids, lengths, 5, halo=cfg.window)
    negatives = np.array([3, 5, 5], np.int32)
    rows = [(t, c, inside) for t, c, inside in events_of(blocks, cfg.window)]
    assert len(rows) == len(ids)
    if model == "skipgram":
        rows = [(t, np.array([word]), None) for t, c, inside in rows for word in c[inside]]
    target, context = np.array([r[0] for r in rows]), np.stack([r[1] for r in rows])
    with jax.enable_x64():
        params = jax.tree.map(jnp.asarray, params)
        one_by_one = replace(cfg, negatives=3)

        def slow(p):
            wrong = jnp.broadcast_to(negatives, (len(target), 3))
            both = ns_loss(p, one_by_one, jnp.asarray(target), jnp.asarray(context), wrong)
            right = ns_loss(p, one_by_one, jnp.asarray(target), jnp.asarray(context), jnp.full_like(wrong, -1))
            return right + (both - right) * cfg.negatives / 3

        expected, slow_gradient = jax.value_and_grad(slow)(params)
        batch = Batch(*map(jnp.asarray, (*blocks, negatives)))
        found, gradient = jax.jit(jax.value_and_grad(lambda p: block_loss(p, cfg, batch)))(params)
    assert_close(found, expected, 1e-10)
    assert_close(gradient, slow_gradient, 1e-9)


def test_hinge_loss_ranks_the_right_word_above_the_drawn_ones(draw):
    cfg, params = small("cw", draw, scale=0.5)
    cfg = replace(cfg, loss="hinge")
    target, context, negative = map(jnp.asarray, examples_of(cfg, draw))
    params = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), params)
    scores = np.asarray(ns_scores(params, cfg, context, jnp.concatenate([target[:, None], jnp.maximum(negative, 0)], 1)))
    margins = np.maximum(0, 1 - scores[:, :1] + scores[:, 1:])[np.asarray(negative) >= 0].sum()
    np.testing.assert_allclose(ns_loss(params, cfg, target, context, negative), margins, rtol=1e-5)
    blocks = token_blocks(np.array([1, 2, 3]), None, 3, halo=2)
    batch = Batch(*map(jnp.asarray, (*blocks, np.array([4], np.int32))))
    assert float(block_loss(params, cfg, batch)) > 0


def test_window_sums_stay_exact_at_large_offsets(draw):
    assert_matches_float64(lambda x: window_sum(x, 2), 1e3 + draw.standard_normal((1, 132, 2)))


@pytest.mark.parametrize("model", ["cbow", "cw"])
def test_training_is_finite_for_the_smallest_texts(model):
    """One word, and words that equal every negative."""
    cfg = NSConfig(model, subsample=0, **SMALL)
    for ids in ([1], [1, 1, 1, 1]):
        text = Text(np.array(ids), np.array([len(ids)]), np.array([1, len(ids)]))
        fitted = fit_ns([jax.random.key(0)], cfg, text, Schedule(2, block=2, blocks=1, shared=2, held_out=0.0))
        assert np.isfinite(fitted.params.embed).all()
        with pytest.raises(ValueError, match="held_out is 0"):
            held_out_losses(fitted, cfg)


def test_training_lowers_the_loss_and_keeps_seeds_texts_and_shares_apart():
    key = jax.random.key(3)
    grammar = corpora.class_grammar(jax.random.key(0), 3000, classes=3, words=2)
    cfg = NSConfig("cbow", subsample=0, lr=0.1, dim=4, window=2)
    schedule = Schedule(60, block=16, blocks=4, shared=8, snapshots=2)
    fitted = fit_ns([key, key, jax.random.key(4)], cfg, grammar.text, schedule, shares=[1.0, 0.1, 1.0])
    assert fitted.params.embed.shape == (3, 2, 7, 4)
    assert (fitted.losses[:, -10:].mean(1) < 0.9 * fitted.losses[:, 0]).all()
    unseen = held_out_losses(fitted, cfg)
    assert unseen.shape == (2,) and unseen[1] < np.log(2) * 6, "better than scores of zero"
    assert len({float(x) for x in fitted.losses[:, -1]}) == 3
    again = fit_ns([key], cfg, grammar.text, schedule)
    np.testing.assert_allclose(again.losses[0], fitted.losses[0], rtol=1e-4)


def test_a_small_share_sees_the_first_blocks_only():
    text = Text(np.arange(1, 101), np.array([100]), np.ones(101, int))
    cfg = NSConfig("cbow", subsample=0, **SMALL)
    schedule = Schedule(10, block=10, blocks=2, shared=4, held_out=0.2)
    chosen, held = plan(jax.random.key(0), cfg, text, schedule, share=0.25)
    assert set(np.unique(chosen.order)) == {0, 1}
    assert held.tokens[:, 2:-2].min() == 81, "the last fifth is held out"
    batch = chosen.batch(3)
    np.testing.assert_array_equal(batch.tokens, chosen.blocks.tokens[chosen.order[3]])


# --- Vocabulary --------------------------------------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=2, max_size=8).filter(lambda c: sum(c[1:]) > 0))
def test_negatives_follow_the_noise_distribution_and_are_never_the_padding(counts):
    counts = np.array(counts)
    drawn = vocabulary.draw_negatives(np.random.default_rng(0), counts, (4000,))
    assert drawn.min() >= 1
    noise = noise_distribution(counts)
    expected = noise[1:] + noise[0] / (len(counts) - 1)
    np.testing.assert_allclose(np.bincount(drawn, minlength=len(counts))[1:] / 4000, expected, atol=0.04)


def test_thinning_keeps_sentences_and_the_expected_share(draw):
    ids, lengths = np.array([1, 2, 1, 2, 1, 1], np.int32), np.array([3, 0, 3])
    kept, left = vocabulary.thinned(draw, ids, lengths, np.array([1.0, 0.0, 1.0]))
    assert kept.tolist() == [2, 2]
    assert left.tolist() == [1, 0, 1]
    many = np.ones(20_000, int)
    assert abs(len(vocabulary.thinned(draw, many, np.array([20_000]), np.array([1, 0.3]))[0]) / 20_000 - 0.3) < 0.02


# --- GloVe and theory --------------------------------------------------------------------------------------------------------


def test_the_optimum_of_sgns_is_a_minimum_and_free_scores_find_it(draw):
    counts = jnp.asarray(draw.integers(1, 30, (5, 5)).astype(np.float32))
    with jax.enable_x64():
        counts = counts.astype(float)
        gradient = jax.grad(sgns_loss)(shifted_pmi(counts, 4), counts, 4)
        assert jnp.abs(gradient).max() < 1e-9 * counts.sum()
        assert_gradients(lambda s: sgns_loss(s, jnp.asarray(np.asarray(counts)), 4.0), draw.standard_normal((5, 5)))


def test_glove_fits_logarithms_of_counts(draw):
    counts = np.exp(np.add.outer(draw.normal(0, 1, 12), draw.normal(0, 1, 12)) + 2)
    vectors, costs = fit_glove(jax.random.key(0), counts, 3, steps=200, batch=144)
    assert vectors.shape == (12, 3)
    assert costs[-1] < 0.02 * costs[0]
    with pytest.raises(ValueError, match="no positive entry"):
        fit_glove(jax.random.key(0), np.zeros((3, 3)), 2, steps=1)


def test_softmax_skipgram_reaches_the_entropy_of_the_counts(draw):
    counts = np.exp(2 * draw.standard_normal((6, 6))).astype(np.float32)
    _, losses = fit_softmax_skipgram(jax.random.key(0), counts, 6, steps=400)
    p = counts / counts.sum(1, keepdims=True)
    entropy = -(counts * np.log(p)).sum() / counts.sum()
    assert losses[0] > entropy + 0.3
    assert entropy - 1e-5 < losses[-1] < entropy + 0.01


# --- Characters and words ----------------------------------------------------------------------------------------------------


def test_joint_contexts_leave_the_own_word_out_and_count_a_word_once():
    sentences = [["ab", "c", "ab"]]
    chars, words = Vocab.build([list("abcab")]), Vocab.build(sentences)
    text = char_word_text(sentences, chars, words, CharWordConfig(char_window=3, word_window=1))
    a, b, c = (chars.index[x] for x in "abc")
    ab, lone = words.index["ab"], words.index["c"]
    assert text.char_target.tolist() == [a, b, c, a, b]
    assert text.char_context[2].tolist() == [-1, a, b, a, b, -1]
    assert sorted(text.char_words[2][text.char_words[2] >= 0]) == [ab, ab], "two words, each once"
    assert sorted(text.char_words[0][text.char_words[0] >= 0]) == sorted([lone, ab])
    assert text.word_context.tolist() == [[-1, lone], [ab, ab], [lone, -1]]
    assert text.spelling[ab].tolist() == [a, b]


def test_joint_contexts_are_the_means_of_their_definition(draw):
    model = CharWordCBOW(jax.random.key(0), 5, 4, 3)
    in_c, in_w = np.asarray(model.in_c[...]), np.asarray(model.in_w[...])
    found = model.char_context(jnp.array([[1, -1]]), jnp.array([[2, 3]]))
    np.testing.assert_allclose(found[0], (in_c[1] + in_w[2] + in_w[3]) / 3, rtol=1e-6)
    found = model.word_context(jnp.array([[2, -1]]), jnp.array([[[1, 4], [-1, -1]]]))
    np.testing.assert_allclose(found[0], (in_w[2] + (in_c[1] + in_c[4]) / 2) / 2, rtol=1e-6)
    np.testing.assert_array_equal(model.word_context(jnp.array([[-1]]), jnp.full((1, 1, 2), -1)), np.zeros((1, 3)))


def test_characters_alone_learn_nothing_of_words():
    sentences = [["ab", "c"], ["c", "ab"]] * 4
    chars, words = Vocab.build([list("".join(s)) for s in sentences]), Vocab.build(sentences)
    cfg = CharWordConfig(dim=3, steps=5, batch=4, shared=3)
    joint, alone = (
        fit_char_word([jax.random.key(0)], c, char_word_text(sentences, chars, words, c))
        for c in (cfg, replace(cfg, with_words=False))
    )
    start = CharWordCBOW(jax.random.fold_in(jax.random.key(0), 0), len(chars), len(words), 3)
    assert joint.in_c.shape == (1, len(chars), 3)
    assert np.abs(joint.out_w[...]).max() > 0
    assert np.abs(alone.out_w[...]).max() == 0
    assert np.isfinite(char_word_loss(start, example_batch(), 1.0, True))


def example_batch():
    ones = jnp.ones(2, int)
    return {
        "char_target": ones, "char_context": ones[:, None], "char_words": ones[:, None], "char_negatives": ones,
        "word_target": ones, "word_context": ones[:, None], "spelling": ones[:, None, None], "word_negatives": 0 * ones,
    }  # fmt: skip


def test_segmentation_scores(draw):
    truth = [bmes(["ab", "c", "def"]), bmes(["a"])]
    assert boundary_f1(truth, truth) == 1
    assert boundary_f1(["SSSSSS", "S"], truth) == pytest.approx(2 * 2 / (5 + 2))
    assert boundary_f1(["BMMMME", "S"], truth) == 0
    windows = segmentation.char_windows([np.array([3, 4])], 1)
    assert windows.tolist() == [[0, 3, 4], [3, 4, 0]]
    vectors = draw.standard_normal((1, 6, 4))
    ids = draw.integers(1, 6, (64, 1)).astype(np.int32)
    tags = (ids[:, 0] % 4).astype(np.int32)
    found = segmentation.train_taggers([jax.random.key(0)], vectors, (ids, tags), ids, hidden=8, steps=300, batch=32, lr=1e-2)
    assert np.mean(found[0] == tags) == 1


# --- Documents ---------------------------------------------------------------------------------------------------------------

SIZES = {"embed_dim": 3, "context_dim": 2, "hidden": 4}


def test_padding_changes_nothing_in_any_network():
    ids, lengths = jnp.array([[1, 2, 3, 0], [4, 0, 0, 0]]), jnp.array([3, 1])
    key = jax.random.key(0)
    networks = [RCNN(init_rcnn(key, 6, 2, **SIZES)), CNN(key, 6, 2, embed_dim=3, hidden=4), RecurrentNet(key, 6, 2)]
    for network in networks:
        padded = jnp.where(ids == 0, 5, ids)
        np.testing.assert_array_equal(network(padded, lengths), network(ids, lengths))
        np.testing.assert_allclose(network(ids[:1, :3], lengths[:1]), network(ids, lengths)[:1], rtol=1e-5)


def test_rcnn_read_backwards_exchanges_its_sides():
    weights = init_rcnn(jax.random.key(1), 6, 2, **SIZES)
    left, middle, right = np.split(weights.w2, [2, 5], axis=1)
    turned = weights._replace(
        wl=weights.wr, wsl=weights.wsr, wr=weights.wl, wsr=weights.wsl, cl0=weights.cr0, cr0=weights.cl0,
        w2=np.concatenate([right, middle, left], axis=1),
    )  # fmt: skip
    ids, lengths = jnp.array([[1, 2, 3, 4]]), jnp.array([4])
    forward, backward = rcnn_forward(weights, ids, lengths), rcnn_forward(turned, ids[:, ::-1], lengths)
    np.testing.assert_allclose(forward.logits, backward.logits, rtol=1e-5)
    np.testing.assert_array_equal(forward.chosen, 3 - backward.chosen)


def test_the_cnn_is_its_definition():
    network = CNN(jax.random.key(0), 6, 2, embed_dim=2, hidden=3)
    words = np.pad(np.asarray(network.emb[...])[[1, 2, 3]], ((1, 1), (0, 0)))
    filtered = [np.asarray(network.filters[...]) @ words[i : i + 3].reshape(-1) for i in range(3)]
    expected = np.asarray(network.w4[...]) @ np.maximum(np.max(filtered, axis=0), 0)
    np.testing.assert_allclose(network(jnp.array([[1, 2, 3]]), jnp.array([3]))[0], expected, rtol=1e-5)


def test_a_text_without_words_pools_to_zero():
    value, _ = masked_max(jnp.ones((1, 3, 2)), jnp.zeros((1, 3), bool))
    np.testing.assert_array_equal(value, [[0, 0]])
    weights = init_rcnn(jax.random.key(1), 6, 2, **SIZES)
    assert_degenerate(lambda w: rcnn_forward(w, jnp.array([[1, 2]]), jnp.array([0])).logits, weights, axes=(), scales=())


def test_markers_stand_in_the_order_of_their_class_at_the_distance_asked_for():
    found = corpora.marker_order(jax.random.key(0), 200, length=12, gap=(2, 5))
    first, second = ((found.ids == word).argmax(1) for word in (1, 2))
    np.testing.assert_array_equal(first < second, found.labels == 0)
    assert set(np.abs(first - second)) == {2, 3, 4, 5}
    assert ((found.ids == 1).sum(1) == 1).all()


def test_bags_and_means():
    ids, lengths = np.array([[1, 2, 0], [2, 1, 0]]), np.array([2, 2])
    words = bag_of_words(ids, lengths, 3, bigrams=False).toarray()
    np.testing.assert_allclose(words, [[0, 0.5**0.5, 0.5**0.5]] * 2)
    pairs = bag_of_words(ids, lengths, 3).toarray()
    assert (pairs[0] != pairs[1]).any(), "pairs know the order"
    assert logistic_accuracy(pairs[[0, 1] * 5], [0, 1] * 5, pairs, [0, 1], strength=100.0) == 1
    np.testing.assert_allclose(mean_vectors(np.eye(3), ids, lengths), [[0, 0.5, 0.5]] * 2)


# --- Evaluation --------------------------------------------------------------------------------------------------------------


def test_missing_words_have_cosine_zero():
    vectors = np.array([[1.0, 0.0], [1.0, 0.1], [-1.0, 0.0]])
    pairs, scores = np.array([[0, 1], [0, -1], [0, 2]]), np.array([2.0, 1.0, 0.0])
    found = word_similarity(vectors, pairs, scores)
    assert found.spearman == 1
    assert found.pearson == pytest.approx(1, abs=1e-4)
    assert np.isnan(word_similarity(vectors, pairs, np.ones(3)).pearson)


def test_synonym_questions(draw):
    pairs = [("big", "large", 9.0), ("car", "auto", 8.0), ("sun", "moss", 0.1)]
    words = ["big", "large", "car", "auto", "sun", "moss", "tree"]
    questions = evaluation.synonym_stand_in(pairs, words, draw, count=2)
    assert [(q, options[answer]) for q, options, answer in questions] == [("big", "large"), ("car", "auto")]
    assert all(len(set(options)) == 4 and q not in options for q, options, _ in questions)
    assert read_synonym_questions("a b c\n\nd e f\n")[1] == ("d", ("e", "f"), 0)


def test_windows_of_a_tagger_are_filled_with_zeros():
    found = evaluation.window_features(np.array([[1.0], [2.0]]), [np.array([0, 1]), np.array([-1])])
    np.testing.assert_array_equal(found, [[0, 1, 2], [1, 2, 0], [0, 0, 0]])


def test_neighbours_of_random_vectors_share_a_class_by_chance(draw):
    classes = np.concatenate([[-1], np.repeat(np.arange(20), 10)])
    share = np.mean([corpora.class_neighbours(draw.standard_normal((201, 4)), classes) for _ in range(20)])
    assert share == pytest.approx(9 / 199, abs=0.02)
    assert corpora.class_neighbours(np.eye(20)[classes], classes) == 1
    assert np.isnan(corpora.class_neighbours(np.full((201, 4), np.nan), classes))


# --- Errors ------------------------------------------------------------------------------------------------------------------

TWO = np.array([[0, 1]])
KEY = jax.random.key(0)
CBOW, PARAMS = NSConfig("cbow", **SMALL), init_ns(KEY, NSConfig("cbow", **SMALL), 9)
TEXT = Text(np.array([1, 2]), np.array([2]), np.array([1, 1, 1]))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: NSConfig("glove"), "model is 'glove'"),
        (lambda: NSConfig(window=0), "window is 0"),
        (lambda: NSConfig(negatives=0), "negatives is 0"),
        (lambda: NSConfig(lr=0.0), "lr is 0.0"),
        (lambda: NSConfig(subsample=-1.0), "subsample is -1.0"),
        (lambda: Schedule(10, snapshots=3), "divide 10 steps"),
        (lambda: init_ns(KEY, CBOW, 1), "vocab_size is 1"),
        (lambda: Vocab.build([["a"]], 2), "at least 1 must occur 2 times"),
        (lambda: Vocab.build([["a"]]).encode([]), "sentences is empty"),
        (lambda: noise_distribution(np.array([1, -1])), "counts is"),
        (lambda: vocabulary.thinned(np.random.default_rng(0), np.array([5]), np.array([1]), np.ones(2)), "ids runs from 5"),
        (lambda: replay(PARAMS, CBOW, np.array([9]), np.zeros((1, 4), int), TWO), "target runs from 9 to 9"),
        (lambda: replay(PARAMS, CBOW, np.array([1]), np.zeros((1, 3), int), TWO), r"cbow needs \[n\], \[n, 4\]"),
        (lambda: ns_loss(PARAMS, CBOW, np.array([1]), np.zeros((1, 4), int), np.array([[-2]])), "negative . 1 runs from -1"),
        (lambda: ns_scores(PARAMS, CBOW, jnp.zeros((1, 4), int), jnp.array([[9]])), "candidates runs from 9"),
        (lambda: fit_ns([KEY], replace(CBOW, subsample=0), TEXT, Schedule(1), shares=[0.0]), "blocks to train on is 0"),
        (lambda: replay_glove(np.ones((4, 2)), TWO, np.array([0.0]), 1), "positive counts"),
        (lambda: replay_glove(np.ones((4, 2)), np.array([[0, 2]]), np.array([1.0]), 1), "pairs runs from 0 to 2"),
        (lambda: replay_glove(np.ones((3, 2)), TWO, np.array([1.0]), 1), "table has 3 rows"),
        (lambda: shifted_pmi(jnp.ones((2, 2)), 0), "k is 0"),
        (lambda: fit_softmax_skipgram(KEY, np.zeros((2, 2)), 2, steps=1), "counts sum to 0"),
        (lambda: rcnn_forward(init_rcnn(KEY, 6, 2, **SIZES), jnp.array([[6]]), jnp.array([1])), "ids runs from 6"),
        (lambda: rcnn_forward(init_rcnn(KEY, 6, 2, **SIZES), jnp.array([[1]]), jnp.array([0])), "lengths run from 0"),
        (lambda: init_rcnn(KEY, 6, 2, start="zero"), "start is 'zero'"),
        (lambda: CNN(KEY, 6, 2, window=2), "window is 2"),
        (lambda: key_phrases(np.array([3]), 3), "chosen runs from 3"),
        (lambda: corpora.marker_order(KEY, 5, length=4, gap=(2, 4)), "gap is"),
        (lambda: corpora.class_grammar(KEY, 0), "tokens is 0"),
        (lambda: word_similarity(np.eye(2), np.array([[0, -1], [1, -1]]), np.array([1.0, 2.0])), "0 pairs have both"),
        (lambda: analogy(np.eye(3), np.array([[0, 1, 2]])), "number of words is 3"),
        (lambda: performance_gain_ratio(np.ones((2, 3)), np.ones(2)), "performance has shape"),
        (lambda: read_synonym_questions("a b\n"), "question"),
        (lambda: evaluation.synonym_stand_in([], list("abcdef"), np.random.default_rng(0)), "none of 0 pairs"),
        (lambda: boundary_f1(["SS"], ["S"]), "equal lengths"),
        (lambda: bmes(["a", ""]), "none may be empty"),
        (lambda: CharWordConfig(dim=0), "dim is 0"),
    ],
)
def test_what_is_refused(call, words, as_installed):
    with pytest.raises(ValueError, match=words):
        call()


# --- Presets and claims ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", paper.presets.values(), ids=paper.presets)
def test_programs_of_every_preset_fit_together(preset):
    c = preset.english
    for model in MODELS:
        cfg = NSConfig(model, c.dim, c.window, c.negatives, lr=c.lr)
        params = jax.eval_shape(lambda x: x, init_ns(KEY, cfg, 500))
        width, blocks = c.schedule.block + 2 * c.window, c.schedule.blocks
        kinds = ((blocks, width), int), ((blocks, c.schedule.block), bool), ((blocks, width), bool), ((c.cw_shared,), int)
        batch = Batch(*(jax.ShapeDtypeStruct(*kind) for kind in kinds))
        gradient = jax.eval_shape(jax.grad(lambda p, b, cfg=cfg: block_loss(p, cfg, b)), params, batch)
        assert jax.tree.map(lambda x: x.shape, gradient) == jax.tree.map(lambda x: x.shape, params)
    m = preset.markers
    network = RCNN(init_rcnn(KEY, 3 + m.fillers, 2, embed_dim=m.embed_dim, context_dim=m.context_dim, hidden=m.hidden))
    ids = jax.ShapeDtypeStruct((m.batch, m.length), jnp.int32)
    assert jax.eval_shape(lambda i, n: network(i, n), ids, jax.ShapeDtypeStruct((m.batch,), jnp.int32)).shape == (m.batch, 2)
    assert m.gap[1] < m.length


@pytest.mark.parametrize("name", ["C5b", "C6"])
def test_costly_claims_are_not_tested_at_quick(name):
    with pytest.raises(DatasetUnavailable, match=r"left out of this preset.*--preset standard"):
        paper.claims[name](paper.presets["quick"], KEY)


def test_missing_data(monkeypatch, tmp_path):
    monkeypatch.setenv("QUIRE_DATA", str(tmp_path))
    corpora.english.cache_clear()
    corpora.wikipedia.cache_clear()
    source = corpora.open_text("english", 10)
    assert source.stand_in_for == corpora.PAPER_TEXT
    assert source.name.startswith("generated")
    with pytest.raises(DatasetUnavailable):
        corpora.open_text("text8", 10)


def test_joint_vectors_end_to_end_on_a_tiny_preset(monkeypatch, as_installed):
    """The experiment of C6, on sentences of two characters a word."""
    sentences = [((a, "X"), (b, "X")) for a in ("ab", "c") for b in ("de", "f")] * 4
    monkeypatch.setattr(experiments, "tagged_sentences", lambda language, split: sentences)
    tiny = config.ChineseConfig(CharWordConfig(dim=4, steps=5, batch=8, shared=4), hidden=8, steps=60)
    scores = experiments.segmentation_scores(tiny, [KEY])
    assert set(scores) == {"joint", "characters alone", "random vectors", "boundary everywhere"}
    assert scores["boundary everywhere"][0] == pytest.approx(2 * 16 / (16 + 16 + 16), abs=0.01)
    assert all(0 <= float(x[0]) <= 1 for x in scores.values())


def test_the_model_holder_keeps_what_it_is_given():
    model = NSModel(PARAMS)
    assert model.params.hidden is None
    np.testing.assert_array_equal(model.params.embed, PARAMS.embed)
