"""Block models: description lengths against counting, tables, search, hierarchy, agreement of partitions, errors."""

from math import comb, factorial, log

import jax
import numpy as np
import pytest

from quire.common.graphs.block_hierarchy import Hierarchy, nest, nested_description_length
from quire.common.graphs.block_model import (
    check_graph,
    description_length,
    gamma_prior_weights,
    group_counts,
    log_tables,
    partition_table,
)
from quire.common.graphs.block_search import fit_block_model, relabelled
from quire.common.metrics.clustering import adjusted_rand_index, nmi

KEY = jax.random.key(0)


def random_graph(n=12, seed=0, density=0.5):
    rng = np.random.default_rng(seed)
    a = np.triu(rng.uniform(size=(n, n)) < density, 1).astype(float)
    w = a * rng.exponential(size=(n, n))
    return a + a.T, w + w.T, rng.permutation(np.arange(n) % 3)


def blocks(n=16, groups=2, ratio=10.0, seed=0):
    """Edges everywhere alike, heavier within groups."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % groups
    w = rng.exponential(size=(n, n)) * np.where(labels[:, None] == labels[None], ratio, 1)
    w = np.triu(w * (rng.uniform(size=(n, n)) < 0.8), 1)
    return (w + w.T > 0).astype(float), w + w.T, labels


def length(a, w, labels, groups=None, **options):
    counts = group_counts(a, w, labels, groups)
    return description_length(counts, log_tables(len(a), int(a.sum()) // 2, len(counts.sizes)), **options)


# --- Description lengths ---


def test_number_of_graphs_with_given_counts():
    """One group without degrees: every graph with E edges of N nodes is one of `N^{2E} / (2^E E!)` (ordered ends)."""
    a, w, _ = random_graph()
    n, e = len(a), int(a.sum()) // 2
    terms = length(a, w, np.zeros(n, int))
    expected = 2 * e * log(n) - e * log(2) - log(factorial(e))
    np.testing.assert_allclose(terms.adjacency, expected, rtol=1e-5)
    np.testing.assert_allclose(terms.partition, log(n), rtol=1e-5)
    assert terms.edges == 0 and terms.degrees == 0 and terms.weight_sums == 0
    x = w.sum() / 2
    np.testing.assert_allclose(terms.weights, (e - 1) * log(x) - log(factorial(e - 1)), rtol=1e-4)


def test_terms_by_counting():
    a, w, labels = random_graph()
    n, e, members = len(a), int(a.sum()) // 2, [np.flatnonzero(labels == r) for r in range(3)]
    m = {(r, s): a[np.ix_(members[r], members[s])].sum() / (2 if r == s else 1) for r in range(3) for s in range(r, 3)}
    x = {(r, s): w[np.ix_(members[r], members[s])].sum() / (2 if r == s else 1) for r, s in m}
    with jax.enable_x64():
        plain, corrected = (length(a, w, labels, degree_corrected=model) for model in (False, True))
    ends = [a[rows].sum() for rows in members]
    shared = -sum(log(factorial(int(k))) + (k * log(2) if r == s else 0) for (r, s), k in m.items())
    np.testing.assert_allclose(plain.adjacency, shared + sum(k * log(4) for k in ends), rtol=1e-12)
    degree_part = sum(log(factorial(int(k))) for k in ends) - sum(log(factorial(int(k))) for k in a.sum(1))
    np.testing.assert_allclose(corrected.adjacency, shared + degree_part, rtol=1e-12)
    ways = log(comb(n - 1, 2)) + log(factorial(n)) - 3 * log(factorial(4)) + log(n)
    np.testing.assert_allclose(plain.partition, ways, rtol=1e-12)
    np.testing.assert_allclose(plain.edges, log(comb(6 + e - 1, e)), rtol=1e-12)
    table = partition_table(int(max(ends)), 4)
    degrees = 0.0
    for r, rows in enumerate(members):
        repeated = np.unique(a.sum(1)[rows], return_counts=True)[1]
        degrees += table[int(ends[r]), 4] + log(factorial(4)) - sum(log(factorial(int(k))) for k in repeated)
    np.testing.assert_allclose(corrected.degrees, degrees, rtol=1e-12)
    weights = sum((k - 1) * log(x[p]) - log(factorial(int(k) - 1)) for p, k in m.items() if k > 1)
    np.testing.assert_allclose(plain.weights, weights, rtol=1e-10)
    occupied = sum(k > 0 for k in m.values())
    sums = (occupied - 1) * log(w.sum() / 2) - log(factorial(occupied - 1))
    np.testing.assert_allclose((plain.weight_sums, corrected.weight_sums), sums, rtol=1e-12)


def test_empty_groups_and_other_names_change_nothing():
    a, w, labels = random_graph()
    for model in (False, True):
        one, other = (length(a, w, x, 7, degree_corrected=model).total for x in (labels, 5 - labels))
        np.testing.assert_allclose((one, other), length(a, w, labels, degree_corrected=model).total, rtol=1e-5)
    order = np.random.default_rng(1).permutation(len(a))
    shuffled = length(a[np.ix_(order, order)], w[np.ix_(order, order)], labels[order]).total
    np.testing.assert_allclose(shuffled, length(a, w, labels).total, rtol=1e-5)


def test_without_weights_only_their_terms_vanish():
    a, w, labels = random_graph()
    with_weights, without = length(a, w, labels), length(a, 5 * w, labels, weighted=False)
    assert without.weights == without.weight_sums == 0
    np.testing.assert_array_equal(with_weights[:4], without[:4])


def test_degenerate_graphs_have_finite_lengths():
    """No edge, one edge, one node, every node alone."""
    for a, labels in [
        (np.zeros((3, 3)), np.array([0, 0, 1])),
        (np.eye(3)[[1, 0, 2]] * (np.arange(3) < 2), np.array([0, 1, 2])),
        (np.zeros((1, 1)), np.array([0])),
        (1 - np.eye(4), np.arange(4)),
    ]:
        for model in (False, True):
            assert np.isfinite(np.array(length(a, a, labels, degree_corrected=model))).all()


def test_gamma_prior_is_the_marginal_likelihood():
    """Of one group: the integral of the exponential likelihood over its rate, by quadrature."""
    a = np.eye(3)[[1, 0, 2]] * (np.arange(3) < 2)
    found = gamma_prior_weights(group_counts(a, 0.7 * a, np.zeros(3, int)), shape=2.0, scale=1.5)
    rate = np.linspace(1e-6, 60, 400_001)
    density = rate * np.exp(-0.7 * rate) * 1.5**2 * rate * np.exp(-1.5 * rate)
    np.testing.assert_allclose(found, -log(np.trapezoid(density, rate)), rtol=1e-4)


def test_partitions_of_whole_numbers():
    """Known values, the recursion, and one beyond float64's largest number."""
    table = partition_table(40, 10)
    np.testing.assert_allclose(np.exp(table[[5, 10, 10, 0], [5, 6, 2, 0]]), [7, 35, 6, 1], rtol=1e-12)
    assert table[4, 0] == -np.inf
    q = np.exp(table)
    np.testing.assert_allclose(q[7:, 3], q[7:, 2] + q[4:-3, 3], rtol=1e-12)
    with pytest.raises(ValueError, match="read-only"):
        table[0, 0] = 1.0
    # Hardy and Ramanujan: p(n) ~ exp(pi sqrt(2 n / 3)) / (4 n sqrt(3)).
    large = partition_table(2000, 2000)[2000, 2000]
    np.testing.assert_allclose(large, np.pi * np.sqrt(4000 / 3) - log(8000 * np.sqrt(3)), rtol=1e-3)


# --- Search ---


@pytest.mark.parametrize("model", [False, True])
def test_search_finds_blocks_and_counts_them(model):
    """What the search kept account of, move by move and merge by merge, is what its partitions amount to."""
    a, w, labels = blocks()
    fit = fit_block_model(a, w, KEY, 4, 4, degree_corrected=model)
    assert nmi(labels, fit.labels) == 1 and fit.labels[0] == 0 and fit.degree_corrected == model
    lengths = {count: terms.total for count, (terms, _) in fit.by_groups.items()}
    assert min(lengths, key=lengths.get) == 2 and 1 in lengths and fit.total == min(lengths.values())
    with jax.enable_x64():
        for count, (terms, found) in fit.by_groups.items():
            assert len(set(found)) == count
            np.testing.assert_allclose(terms, length(a, w, found, degree_corrected=model), rtol=1e-9, atol=1e-9)


def test_degree_model_with_the_shorter_length_is_taken():
    a, w, _ = blocks()
    one, other, chosen = (fit_block_model(a, w, KEY, 4, 4, degree_corrected=model) for model in (False, True, None))
    assert chosen.total == min(one.total, other.total)
    assert chosen.degree_corrected == (other.total < one.total)


def test_search_ends_where_no_node_wants_to_move():
    a, w, _ = random_graph(10, 2)
    with jax.enable_x64():
        fit = fit_block_model(a, w, KEY, 3, 3, degree_corrected=True)
        for node in range(len(a)):
            for group in range(fit.labels.max() + 1):
                moved = fit.labels.copy()
                moved[node] = group
                other = length(a, w, np.unique(moved, return_inverse=True)[1], degree_corrected=True).total
                assert other >= fit.total - 1e-6


def test_padding_shares_a_program_and_changes_no_optimum():
    a, w, labels = blocks(14)
    fits = [fit_block_model(a, w, KEY, 4, 4, degree_corrected=False, room=room) for room in (None, (16, 120))]
    np.testing.assert_allclose(fits[0].total, fits[1].total, rtol=1e-10)
    assert nmi(labels, fits[1].labels) == 1


def test_starts_are_taken():
    a, w, labels = blocks()
    fit = fit_block_model(a, w, KEY, 4, 0, degree_corrected=False, starts=[labels])
    assert nmi(labels, fit.labels) == 1


def test_one_group_at_most():
    a, w, _ = blocks()
    assert fit_block_model(a, w, KEY, 1, 1, degree_corrected=False).labels.max() == 0


# --- Hierarchy ---


def test_nested_lengths_by_counting():
    """A level above: multisets of edges between the groups of groups, its partition, and its weights."""
    a, w, labels = random_graph()
    with jax.enable_x64():
        terms = length(a, w, labels)
        lowest = float(terms.total - terms.edges)
        found = nested_description_length(a, w, [labels, np.array([0, 0, 1]), np.array([0, 0])])
    np.testing.assert_allclose(found[0], lowest, rtol=1e-12)
    up = np.array([0, 0, 1])[labels]
    e = {(r, s): a[np.ix_(up == r, up == s)].sum() / (2 if r == s else 1) for r, s in ((0, 0), (0, 1), (1, 1))}
    x = {(r, s): w[np.ix_(up == r, up == s)].sum() / (2 if r == s else 1) for r, s in e}
    cells = {(0, 0): 3, (0, 1): 2, (1, 1): 1}  # two groups below in the first, one in the second
    expected = sum(log(comb(cells[p] + int(k) - 1, int(k))) for p, k in e.items())
    expected += log(comb(2, 1)) + log(factorial(3)) - log(2) + log(3)
    expected += sum((cells[p] - 1) * log(x[p]) - log(factorial(cells[p] - 1)) for p in cells)  # all pairs have edges here
    np.testing.assert_allclose(found[1], expected, rtol=1e-10)


def test_nesting_ends_in_one_group():
    a, w, labels = blocks(24, 3)
    fit = fit_block_model(a, w, KEY, 6, 4, degree_corrected=False)
    found = nest(fit, a, w)
    assert len(set(found.labels(len(found.levels) - 1))) == 1
    with jax.enable_x64():
        np.testing.assert_allclose(found.lengths, nested_description_length(a, w, found.levels), rtol=1e-9)
    np.testing.assert_allclose(found.total, sum(found.lengths))
    assert nmi(labels, found.labels(0)) > 0.7


# --- Agreement of partitions ---


def test_nmi_by_its_definition():
    a, b = np.array([0, 0, 0, 1, 1, 2]), np.array([1, 1, 0, 0, 0, 0])
    joint = np.array([[np.mean((a == i) & (b == j)) for j in range(2)] for i in range(3)])
    pa, pb = joint.sum(1), joint.sum(0)
    mutual = sum(p * log(p / (pa[i] * pb[j])) for (i, j), p in np.ndenumerate(joint) if p)
    entropy = [-np.sum(p * np.log(p)) for p in (pa, pb)]
    np.testing.assert_allclose(nmi(a, b), mutual / np.mean(entropy), rtol=1e-9)
    assert nmi([0, 0], [1, 1]) == 1 and nmi([0, 1], [1, 1]) == 0


def test_rand_index_of_chance_and_equality():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 3, (2, 3000))
    assert abs(adjusted_rand_index(a, b)) < 0.01 and adjusted_rand_index(a, 2 - a) == 1


@pytest.mark.parametrize("call", [lambda: nmi([0, 1], [0]), lambda: nmi([], []), lambda: adjusted_rand_index([], [1])])
def test_labels_are_checked(call):
    with pytest.raises(ValueError, match="a has shape"):
        call()


def test_labels_by_first_occurrence():
    assert relabelled(np.array([4, 1, 4, 0])).tolist() == [0, 1, 0, 2]
    assert Hierarchy((np.array([1, 0]), np.array([0, 0])), (1.0, 0.0)).labels(1).tolist() == [0, 0]


A, W, LABELS = random_graph(6)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: check_graph(A + np.eye(6), W), "simple graph"),
        (lambda: check_graph(A * 2, W), "simple graph"),
        (lambda: check_graph(A, 0 * W), "positive on every edge"),
        (lambda: check_graph(A, W * np.nan), "positive on every edge"),
        (lambda: check_graph(A[:3], W), "a has shape"),
        (lambda: group_counts(A, W, LABELS, 2), "labels runs from 0 to 2"),
        (lambda: group_counts(A, W, LABELS[:4]), "labels has 4 numbers"),
        (lambda: description_length(group_counts(A, W, LABELS), log_tables(3, 2, 3)), "tables hold"),
        (lambda: gamma_prior_weights(group_counts(A, W, LABELS), shape=0.0), "shape is 0.0"),
        (lambda: partition_table(-1, 2), "max_total is -1"),
        (lambda: fit_block_model(A, W, KEY, 0), "groups is 0"),
        (lambda: fit_block_model(A, W, KEY, 2, 0), "restarts is 0"),
        (lambda: fit_block_model(A, W, KEY, 2, room=(5, 99)), "room is"),
        (lambda: fit_block_model(A, W, KEY, 2, starts=[np.array([0, 1])]), "a start has 2 labels"),
        (lambda: fit_block_model(A, W, KEY, 2, starts=[LABELS]), "starts runs from 0 to 2"),
        (lambda: nested_description_length(A, W, []), "levels is empty"),
        (lambda: nested_description_length(A, W, [LABELS, np.array([0])]), "a level has 1 labels"),
    ],
)
def test_errors(call, words):
    with pytest.raises(ValueError, match=words):
        call()
