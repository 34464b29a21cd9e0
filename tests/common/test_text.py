"""Words: vocabularies, windows, analogies and similarities; few-shot classes and tasks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quire.common.data.few_shot import by_class, digits_few_shot, draw_tasks, omniglot_alphabets, omniglot_small, with_rotations
from quire.common.data.text import language_reference
from quire.common.data.word_questions import read_analogies, read_similarities, word_analogies, word_similarity
from quire.common.errors import DatasetCorrupt
from quire.common.text.evaluation import analogy_accuracy, normalised, similarity_correlation
from quire.common.text.windows import draw_events, negative_cumulative, subsampled, vocabulary


def test_vocabulary_drops_rare_words():
    found = vocabulary(["b", "a", "a", "c", "a", "b"], 2)
    assert found.words == ("a", "b")
    np.testing.assert_array_equal(found.tokens, [1, 0, 0, 0, 1])
    for size in (1, 4):
        with pytest.raises(ValueError, match=f"size is {size}"):
            vocabulary(["b", "a", "a", "c", "a", "b"], size)


def test_subsampling_thins_frequent_words_only():
    counts = np.array([90_000, 9_990, 10])
    tokens = np.repeat(np.arange(3), counts)
    kept = np.bincount(subsampled(tokens, counts, 0.01), minlength=3) / counts
    expected = np.sqrt(0.01 / (counts / counts.sum())) + 0.01 / (counts / counts.sum())
    np.testing.assert_allclose(kept, np.minimum(expected, 1), atol=0.02)
    np.testing.assert_array_equal(subsampled(tokens, counts, 0), tokens)
    with pytest.raises(ValueError, match="threshold is -1"):
        subsampled(tokens, counts, -1)


def test_events_are_windows():
    tokens, window = jnp.arange(50, dtype=jnp.int32), 3
    cumulative = jnp.asarray(negative_cumulative(np.ones(50)), jnp.float32)
    events = draw_events(jax.random.key(0), tokens, cumulative, shape=(200, 4), window=window, negatives=5)
    assert events.context.shape == (200, 4, 6) and events.targets.shape == (200, 4, 6)
    centre, context = np.asarray(events.targets[..., :1]), np.asarray(events.context)
    distance = np.abs(context - centre)
    present = context < 50
    assert (distance[present] >= 1).all() and (distance[present] <= window).all()
    assert set(present.sum(-1).ravel()) == {2, 4, 6}  # windows shrink symmetrically
    negatives = np.asarray(events.targets[..., 1:])
    assert not (negatives == centre).any() and (negatives == 50).any()
    again = draw_events(jax.random.key(0), tokens, cumulative, shape=(200, 4), window=window, negatives=5)
    np.testing.assert_array_equal(again.context, events.context)
    with pytest.raises(ValueError, match="tokens has 6 words; a window of 3 needs at least 7"):
        draw_events(jax.random.key(0), tokens[:6], cumulative, shape=(1,), window=3, negatives=1)


def test_negatives_follow_the_power():
    np.testing.assert_allclose(np.diff(negative_cumulative(np.array([16, 1])), prepend=0), [8 / 9, 1 / 9])


def test_analogies_and_similarities():
    words = ["man", "woman", "king", "queen", "tree"]
    index = {word: i for i, word in enumerate(words)}
    vectors = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 1], [0, 1, 1], [-1, -1, 0]], float)
    score = analogy_accuracy(vectors, index, [("man", "woman", "king", "queen"), ("man", "woman", "king", "unknown")])
    assert score == (1.0, 1)
    assert analogy_accuracy(vectors, index, []) == (0.0, 0)
    pairs = [("man", "king", 9.0), ("man", "woman", 5.0), ("man", "tree", 1.0), ("man", "unknown", 3.0)]
    assert similarity_correlation(vectors, index, pairs) == (pytest.approx(1.0), 3)
    with pytest.raises(ValueError, match="1 of 4 pairs"):
        similarity_correlation(vectors, {"man": 0, "king": 2}, pairs)
    np.testing.assert_array_equal(normalised(np.zeros((1, 2))), np.zeros((1, 2)))
    np.testing.assert_allclose(normalised(np.array([[3e-30, 4e-30], [3e30, 4e30]], np.float32)), [[0.6, 0.8]] * 2, rtol=1e-6)


def test_vectors_that_know_nothing_score_nothing(as_installed):
    index, question = {word: i for i, word in enumerate("abcd")}, ("b", "c", "d", "a")
    assert analogy_accuracy(np.ones((5, 2)), index, [question]).value == 0, "a word among equals is no answer"
    for call, message in (
        (lambda: analogy_accuracy(np.full((5, 2), np.nan), index, [question]), "10 numbers that are not finite"),
        (lambda: analogy_accuracy(np.ones((3, 2)), index, [question]), "index runs from 0 to 3"),
        (lambda: analogy_accuracy(np.ones((5, 2)), index, [question[:3]] * 4), "a question has four words"),
        (lambda: analogy_accuracy(np.ones((5, 2)), index, [question], batch=-1), "batch is -1"),
        (
            lambda: similarity_correlation(np.ones((5, 2)), index, [("a", "b", 1.0), ("a", "c", 2.0), ("a", "d", 3.0)]),
            "all equal",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_event_errors(as_installed):
    cumulative = jnp.linspace(0.1, 1, 10)
    for tokens, options, message in (
        (jnp.zeros(9), {"window": 1, "negatives": 1}, "tokens has dtype float32"),
        (jnp.zeros(9, jnp.int32), {"window": 0, "negatives": 1}, "window is 0"),
        (jnp.zeros(9, jnp.int32), {"window": 1, "negatives": -1}, "negatives is -1"),
    ):
        with pytest.raises(ValueError, match=message):
            draw_events.__wrapped__(jax.random.key(0), tokens, cumulative, shape=(2,), **options)
    for counts in ([0, 0], [1, -1], [1, np.nan]):
        with pytest.raises(ValueError, match="at least one of them positive"):
            negative_cumulative(np.array(counts))
    with pytest.raises(ValueError, match="tokens runs from -1"):
        subsampled(np.array([-1]), np.array([3, 1]), 0.1)


def test_language_reference_is_at_hand():
    train, test = language_reference()
    assert len(train) > 3 * len(test) > 10_000


def test_question_files():
    text = ": capitals\nAthens Greece Oslo Norway\n: gram1\na b c d\n"
    assert read_analogies(text) == {"capitals": [("athens", "greece", "oslo", "norway")], "gram1": [("a", "b", "c", "d")]}
    for damaged, message in ((": capitals\na b c\n", "line 2 "), ("a b c d\n", "line 1 "), ("", "no question")):
        with pytest.raises(DatasetCorrupt, match=message):
            read_analogies(damaged)
    assert read_similarities("Tiger\tcat 7.35\n\n") == [("tiger", "cat", 7.35)]
    for damaged, message in (("tiger cat\n", "line 1 "), ("tiger cat much\n", "line 1 "), ("\n", "no pair")):
        with pytest.raises(DatasetCorrupt, match=message):
            read_similarities(damaged)


def test_real_questions(quire_data):
    assert sum(map(len, word_analogies().values())) == 19_544
    assert len(word_similarity()) == 353 and word_similarity("RG-65")[0][2] > 0


def test_an_unknown_list(as_installed):
    with pytest.raises(ValueError, match="name is 'WS-9'"):
        word_similarity("WS-9")


def test_digits_as_few_shot_classes():
    data = digits_few_shot()
    assert data.train.shape[0] == 20 and data.train.shape[2:] == (8, 8)
    np.testing.assert_array_equal(data.train[5], np.rot90(data.train[0], 1, (1, 2)))
    assert data.test_groups.shape == (1, 5) and data.test_support.shape == data.test_query.shape
    with pytest.raises(ValueError, match="train_classes is 10"):
        digits_few_shot(10)


def test_omniglot(quire_data):
    data = omniglot_small()
    assert data.train.shape == (968, 20, 28, 28) and data.test_groups.shape == (20, 20)
    assert data.train.min() >= 0 and data.train.max() <= 1 and data.train.mean() < 0.2
    images, labels = omniglot_alphabets()
    assert images.shape == (4840, 28, 28) and set(labels) == set(range(8))


def test_tasks_are_of_different_classes_and_images():
    groups = jnp.arange(12, dtype=jnp.int32).reshape(2, 6)
    tasks = draw_tasks(jax.random.key(0), groups, batch=300, images=4, ways=5, shots=2, queries=2)
    classes = np.asarray(tasks.classes)
    assert all(len(set(row)) == 5 and len({c // 6 for c in row}) == 1 for row in classes)
    drawn = np.concatenate([tasks.support, tasks.query], -1)
    assert (np.sort(drawn, -1) == np.arange(4)).all()
    assert abs(np.bincount(classes.ravel(), minlength=12) / 125 - 1).max() < 0.35
    with pytest.raises(ValueError, match="ways is 7"):
        draw_tasks(jax.random.key(0), groups, batch=1, images=4, ways=7)
    with pytest.raises(ValueError, match="shots \\+ queries is 2"):
        draw_tasks(jax.random.key(0), groups, batch=1, images=1)


def test_classes_are_cut_to_one_size():
    images = np.arange(5, dtype=np.float32)[:, None, None] * np.ones((5, 2, 2), np.float32)
    stacked = by_class(images, np.array([0, 1, 0, 1, 1]))
    np.testing.assert_array_equal(stacked[..., 0, 0], [[0, 2], [1, 3]])
    assert with_rotations(stacked).shape == (8, 2, 2, 2)
