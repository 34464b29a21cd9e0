"""What word vectors and recurrent networks are trained with: sampled losses, AdaGrad, blocks of text, the recurrent scan."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from quire.common.data.labelled_texts import film_sentences, newsgroups
from quire.common.data.treebanks import read_tagged_sentences, tagged_sentences
from quire.common.errors import DatasetCorrupt
from quire.common.layers.recurrent import scan_rnn
from quire.common.losses.sampled import negative_sampling_loss, saturated_slope
from quire.common.testing import assert_degenerate, assert_dtypes, assert_gradients
from quire.common.text.evaluation import synonym_choice
from quire.common.text.windows import keep_probability, token_blocks
from quire.common.train.adagrad import adagrad, delayed_adagrad


def numbers(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


# --- losses.sampled ---


def test_negative_sampling_is_binary_cross_entropy():
    positive, negative, weight = numbers(3), 2 * numbers(3, 4), np.abs(numbers(3, 4))
    sigmoid = lambda x: 1 / (1 + np.exp(-x.astype(float)))  # noqa: E731
    expected = -np.log(sigmoid(positive)) - (weight * np.log(sigmoid(-negative))).sum(1)
    given = [jnp.asarray(x) for x in (positive, negative, weight)]
    np.testing.assert_allclose(negative_sampling_loss(*given), expected, rtol=1e-5)
    np.testing.assert_allclose(negative_sampling_loss(*given[:2], 0.0), -np.log(sigmoid(positive)), rtol=1e-5)
    assert_gradients(lambda p, n: negative_sampling_loss(p, n, 0.5).sum(), positive, negative)


def test_saturation_changes_slopes_beyond_the_limit_and_no_value():
    score = jnp.array([-7.0, -5.0, 5.0, 7.0])
    value = lambda s, limit: negative_sampling_loss(s, s[:, None], saturation=limit).sum()  # noqa: E731
    np.testing.assert_allclose(value(score, 6.0), value(score, None), rtol=1e-6)
    plain, saturated = jax.grad(value)(score, None), jax.grad(value)(score, 6.0)
    np.testing.assert_allclose(saturated[1:3], plain[1:3], rtol=1e-5)
    np.testing.assert_array_equal(saturated[::3], [-1, 1])
    np.testing.assert_array_equal(saturated_slope(score)[::3], [1, 0])


def test_sampled_loss_at_the_edges(as_installed):
    def loss(positive, negative):
        return negative_sampling_loss(positive, negative, saturation=6.0)

    assert_degenerate(loss, numbers(3), numbers(3, 2), axes=(0,))
    assert_dtypes(loss, numbers(3), numbers(3, 2))
    with pytest.raises(ValueError, match=r"negative has shape \(2, 4\)"):
        negative_sampling_loss(numbers(3), numbers(2, 4))
    with pytest.raises(ValueError, match=r"weight has shape \(4,\)"):
        negative_sampling_loss(numbers(3), numbers(3, 4), numbers(4))
    with pytest.raises(ValueError, match=r"weight has shape \(2, 4\)"):
        negative_sampling_loss(numbers(3), numbers(3, 4), numbers(2, 4))
    with pytest.raises(ValueError, match="saturation is 0"):
        negative_sampling_loss(numbers(3), numbers(3, 4), saturation=0.0)


# --- train.adagrad ---


def run(tx, gradients):
    params, state = {"w": jnp.zeros(2)}, tx.init({"w": jnp.zeros(2)})
    for g in gradients:
        move, state = tx.update({"w": jnp.asarray(g)}, state)
        params = optax.apply_updates(params, move)
    return np.asarray(params["w"]), np.asarray(state.total["w"])


def test_adagrad_divides_by_the_gradient_that_it_has_just_added():
    gradients = [np.array([3.0, 0.0]), np.array([4.0, 1e-3])]
    params, total = run(adagrad(0.1, start=0.0 + 1e-8), gradients)
    np.testing.assert_allclose(params, [-0.1 - 0.1 * 4 / 5, -0.1 * 1e-3 / np.sqrt(1e-6 + 1e-8)], rtol=1e-5)
    np.testing.assert_allclose(total, [25 + 1e-8, 1e-6 + 1e-8], rtol=1e-5)


def test_delayed_adagrad_divides_by_the_steps_before():
    params, total = run(delayed_adagrad(0.5), [np.array([2.0, 0.0]), np.array([2.0, 1.0])])
    np.testing.assert_allclose(params, [-1 - 1 / np.sqrt(2), -0.5], rtol=1e-6)
    np.testing.assert_allclose(total, [3, 1.25])


@pytest.mark.parametrize("make", [adagrad, delayed_adagrad])
def test_rules_keep_narrow_parameters_and_wide_accumulators(make):
    tx = make(0.1)
    gradient = jnp.full(2, 1e-4, jnp.float16)
    move, state = tx.update(gradient, tx.init(gradient))
    assert move.dtype == jnp.float16 and state.total.dtype == jnp.float32
    assert np.isfinite(move).all() and (move < 0).all()
    with jax.enable_x64():
        assert tx.init(jnp.zeros(2)).total.dtype == jnp.float64
    assert tx.update({}, tx.init({}))[0] == {}
    for wrong in ({"learning_rate": 0.0}, {"learning_rate": 0.1, "start": 0.0}):
        with pytest.raises(ValueError, match="must be positive"):
            make(**wrong)


# --- layers.recurrent ---


def cell(state, x):
    state = jnp.tanh(0.5 * state + x)
    return state, state


def test_a_recurrent_scan_is_a_loop_that_leaves_padding_out():
    x, lengths = numbers(3, 5, 2), np.array([5, 3, 0])
    mask = np.arange(5) < lengths[:, None]
    for reverse in (False, True):
        last, outputs = scan_rnn(cell, jnp.ones((3, 2)), jnp.asarray(x), jnp.asarray(mask), reverse=reverse)
        for row, length in enumerate(lengths):
            state = np.ones(2)
            for t in reversed(range(length)) if reverse else range(length):
                state = np.tanh(0.5 * state + x[row, t])
                np.testing.assert_allclose(outputs[row, t], state, rtol=1e-5)
            np.testing.assert_allclose(last[row], state, rtol=1e-5)


def test_recurrent_states_may_be_trees_and_inputs_of_length_zero():
    def step(state, x):
        return {"h": state["h"] + x["a"], "n": state["n"] + 1}, None

    initial = {"h": jnp.zeros((2, 3)), "n": jnp.zeros(2, int)}
    mask = jnp.array([[True, True], [True, False]])
    last, _ = scan_rnn(step, initial, {"a": jnp.ones((2, 2, 3))}, mask)
    assert last["n"].tolist() == [2, 1]
    last, _ = scan_rnn(step, initial, {"a": jnp.ones((2, 0, 3))})
    assert last["n"].tolist() == [0, 0]
    with pytest.raises(ValueError, match=r"mask has shape \(2, 2\)"):
        scan_rnn(step, initial, {"a": jnp.ones((2, 3, 3))}, mask)
    with pytest.raises(ValueError, match="leading axes"):
        scan_rnn(step, initial, {"a": jnp.ones((2, 3, 3)), "b": jnp.ones((3, 2))})


# --- text ---


@pytest.mark.parametrize(("size", "halo"), [(1, 0), (3, 2), (4, 1), (50, 3)])
def test_every_word_is_a_centre_once_with_its_window(size, halo):
    lengths, ids = np.array([3, 0, 5, 1]), np.arange(1, 10)
    blocks = token_blocks(ids, lengths, size, halo=halo, padding=0)
    assert blocks.tokens.shape[1] == size + 2 * halo and blocks.centres.shape[1] == size
    assert (blocks.inside == (blocks.tokens > 0)).all()
    sentence = {w: s for s in ([1, 2, 3], [4, 5, 6, 7, 8], [9]) for w in s}
    seen = []
    for tokens, centres in zip(blocks.tokens, blocks.centres, strict=True):
        for i in np.flatnonzero(centres):
            word = tokens[i + halo]
            seen.append(int(word))
            window = [word + o if word + o in sentence[word] else 0 for o in range(-halo, halo + 1)]
            assert tokens[i : i + 2 * halo + 1].tolist() == window
    assert seen == ids.tolist()


def test_blocks_and_thinning_refuse():
    for lengths, size, halo, words in (
        ([2], 1, 0, "the text has 3 words"), ([3], 0, 0, "size is 0"), ([3], 1, -1, "halo is -1"), ([-1, 4], 1, 0, "lengths sum"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            token_blocks(np.array([1, 2, 3]), np.array(lengths), size, halo=halo)
    with pytest.raises(ValueError, match="at least 1"):
        token_blocks(np.zeros(0, int), None, 1)
    with pytest.raises(ValueError, match="neither can be negative"):
        keep_probability(np.array([1, -1]), 0.1)


def test_synonyms_by_cosine():
    index = {"a": 0, "b": 1, "c": 2, "d": 3}
    vectors = np.array([[1.0, 0.0], [2.0, 0.1], [0.0, 1.0], [4.0, 0.2]])
    questions = [("a", ["c", "b"], 1), ("a", ["c", "b"], 0), ("a", ["x", "b"], 1)]
    assert synonym_choice(vectors, index, questions) == (0.5, 2)
    assert synonym_choice(vectors, index, [("a", ["b", "d"], 0)]).value == 0, "a tie is no answer"
    for wrong, words in (
        ([("x", ["a", "b"], 0)], "none of 1 questions"), ([], "none of 0"), ([("a", ["b"], 0)], "two options"),
        ([("a", ["b", "c"], 2)], "number of the right one"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            synonym_choice(vectors, index, wrong)
    with pytest.raises(ValueError, match="not finite"):
        synonym_choice(vectors * np.nan, index, questions)


# --- data ---


@pytest.mark.parametrize("text", ["Dogs NOUN\n", "a\tb\tc\n", "\tNOUN\n", ""])
def test_damaged_treebanks_are_named(text, as_installed):
    with pytest.raises(DatasetCorrupt):
        read_tagged_sentences(text)
    with pytest.raises(ValueError, match="language is 'latin'"):
        tagged_sentences("latin", "dev")


@pytest.mark.parametrize(
    ("load", "sizes", "classes"), [(newsgroups, (5000, 3000), 20), (film_sentences, (8544, 2210), 5)], ids=["news", "films"]
)
def test_real_labelled_texts(quire_data, load, sizes, classes):
    found = load()
    assert (len(found.train.texts), len(found.test.texts)) == sizes
    assert set(found.train.labels) == set(found.test.labels) == set(range(classes)) and len(found.classes) == classes
    assert all(found.test.texts)


def test_real_treebanks(quire_data):
    english, chinese = tagged_sentences("english", "dev"), tagged_sentences("chinese", "test")
    assert (len(english), len(chinese)) == (2001, 500)
    assert sum(map(len, chinese)) == 12012
    assert chinese[0][0][1].isupper()


def test_a_state_begins_in_the_type_that_the_cell_gives(as_installed):
    def add(state, x):
        return state + x, state

    last, outputs = scan_rnn(add, jnp.zeros(2, int), jnp.full((2, 3), 0.5))
    assert last.tolist() == [1.5, 1.5] and outputs[0].tolist() == [0, 0.5, 1]
    with jax.enable_x64():
        assert scan_rnn(add, jnp.zeros(2, jnp.float32), np.ones((2, 3)))[0].dtype == np.float64
    with pytest.raises(ValueError, match="needs 2 rows"):
        scan_rnn(add, jnp.zeros(1), jnp.ones((2, 3)))
