"""Graphs of triples, and ranks that leave out what is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quire.common.errors import DatasetCorrupt
from quire.common.graphs.triples import known_mask, load_triples, number_triples, read_triples, with_inverses
from quire.common.metrics.ranking import filtered_ranks, hits, mrr
from quire.common.testing import assert_dtypes


def test_ids_follow_names_over_all_parts():
    graph = number_triples([("b", "r", "a")], [("c", "q", "a")], [("a", "r", "d")])
    assert graph.entities == ("a", "b", "c", "d") and graph.relations == ("q", "r")
    assert graph.train.tolist() == [[1, 1, 0]] and graph.test.tolist() == [[0, 1, 3]] and len(graph.all) == 3
    assert (graph.num_entities, graph.num_relations) == (4, 2)


@pytest.mark.parametrize(("name", "sizes"), [("nations", (1592, 199, 201, 14, 55)), ("umls", (5216, 652, 661, 135, 46))])
def test_benchmarks_have_their_published_sizes(name, sizes):
    graph = load_triples(name)
    assert (len(graph.train), len(graph.valid), len(graph.test), graph.num_entities, graph.num_relations) == sizes


def test_files_that_are_no_triples_are_refused():
    for text in ("", "a\tb\n", "a\t\tb\n", "a\tb\tc\td\n"):
        with pytest.raises(DatasetCorrupt, match="triple"):
            read_triples(text)
    with pytest.raises(ValueError, match="name is"):
        load_triples("freebase")


def test_a_query_for_a_subject_is_one_for_the_object_of_the_inverse():
    triples = np.array([[0, 0, 1], [2, 0, 1], [2, 1, 0]])
    both = with_inverses(triples, 2)
    assert known_mask(both, np.array([[1, 2]]), 3).tolist() == [[True, False, True]]
    with pytest.raises(ValueError, match="relations"):
        with_inverses(triples, 1)
    with pytest.raises(ValueError, match="entities"):
        known_mask(triples, np.array([[0, 0]]), 1)


def test_filtered_ranks_drop_known_rivals_and_share_ties():
    scores = jnp.array([[5.0, 4.0, 3.0, 2.0], [1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 1.0, 2.0]])
    known = jnp.array([[True, False, True, False], [False, True, False, False], [False] * 4])
    with jax.debug_nans(False):
        ranks = filtered_ranks(scores.at[2, 1].set(jnp.nan), jnp.array([2, 1, 0]), known)
        assert ranks[:2].tolist() == [2.0, 2.5] and jnp.isnan(ranks[2]) and jnp.isnan(hits(ranks, 2))
    assert filtered_ranks(scores[:1], jnp.array([2])).tolist() == [3.0]
    assert float(mrr(ranks[:2])) == pytest.approx(0.45) and float(hits(ranks[:2], 2)) == 0.5


def test_random_scores_rank_in_the_middle():
    constant = filtered_ranks(jnp.zeros((1, 101)), jnp.array([7]))
    assert constant.tolist() == [51.0]


def test_ranks_refuse_what_does_not_fit():
    scores = jnp.ones((2, 3))
    for call in (
        lambda: filtered_ranks(scores, jnp.array([0])),
        lambda: filtered_ranks(scores, jnp.array([0, 3])),
        lambda: filtered_ranks(scores, jnp.array([0, 1]), jnp.ones((2, 3))),
        lambda: mrr(jnp.ones(0)),
        lambda: hits(jnp.ones(2), 0),
    ):
        with pytest.raises(ValueError, match=r"scores|target|ranks|k is"):
            call()
    assert_dtypes(lambda s: filtered_ranks(s, jnp.array([0, 1])), scores)


def test_half_precision_counts_far_ranks(as_installed):
    scores = jnp.asarray(np.linspace(2, -2, 1000)[None], jnp.float32)
    near = jnp.concatenate([jnp.full((1, 700), 2), scores[:, :1] * 0], axis=1).astype(jnp.bfloat16)
    assert filtered_ranks(near, jnp.array([700])).tolist() == [701]


def test_unknown_subjects_are_refused():
    triples = np.array([[0, 0, 0]])
    for queries in ([[7, 0]], [[-1, 0]]):
        with pytest.raises(ValueError, match="subjects runs"):
            known_mask(triples, np.array(queries), 2)
    with pytest.raises(ValueError, match="entities runs"):
        known_mask(np.array([[5, 0, 0]]), np.zeros((0, 2), int), 2)


def test_ranks_count_from_one(as_installed):
    for call in (mrr, lambda ranks: hits(ranks, 1)):
        with pytest.raises(ValueError, match="ranks fall to 0"):
            call(jnp.array([2, 0]))
