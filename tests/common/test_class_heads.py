"""Heads with class vectors, and what representations share: similarity, neighbours, effective rank."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from quire.common.layers.class_heads import FixedHead, cosine_logits, simplex_vectors, subspace_logits
from quire.common.manifolds.grassmann import random_subspaces
from quire.common.metrics.similarity import counterpart_mrr, neighbour_jaccard, rbf_cka
from quire.common.metrics.spectrum import effective_rank, log_singular_values
from quire.common.metrics.variability import intra_class_angle
from quire.common.testing import assert_degenerate, assert_dtypes, assert_gradients

RNG = np.random.default_rng(0)


def normal(*shape):
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


@pytest.mark.parametrize("n", [2, 3, 17])
def test_simplex_has_one_angle(n):
    vectors = simplex_vectors(n)
    assert vectors.shape == (n, n - 1)
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(n) * (1 + 1 / (n - 1)) - 1 / (n - 1), atol=1e-12)
    np.testing.assert_allclose(vectors.sum(0), 0, atol=1e-12)


W = normal(5, 4)
HEADS = {
    "fixed": FixedHead(np.asarray(W)),
    "fixed, cosine": FixedHead(W, 16.0),
    "simplex": FixedHead(simplex_vectors(5), 16.0),
    "cosine": lambda z: cosine_logits(z, W, 16.0),
    "subspaces": lambda z: subspace_logits(z, random_subspaces(jax.random.key(0), (5, 4, 2)), 16.0),
}


@pytest.mark.parametrize("name", HEADS)
def test_every_head(name):
    """Scores of every class, linear or bounded, the same in batches and alone, with gradients where features vanish."""
    head, z = HEADS[name], normal(3, 4)
    scores = head(z)
    assert scores.shape == (3, 5)
    np.testing.assert_allclose(head(z[:1]), scores[:1], rtol=1e-5)
    expected = scores if name != "fixed" else 3 * scores
    np.testing.assert_allclose(head(3 * z), expected, rtol=1e-5)
    if name != "fixed":
        assert float(jnp.abs(scores).max()) <= 16 + 1e-4
    assert head(z.astype(jnp.bfloat16)).dtype in (jnp.bfloat16, jnp.float32)
    assert np.isfinite(jax.grad(lambda z: head(z).sum())(jnp.zeros_like(z))).all()


def test_fixed_vectors_never_learn(as_installed):
    head = HEADS["fixed, cosine"]
    assert not jax.tree.leaves(nnx.state(head, nnx.Param))
    _, state = nnx.split(head)
    gradient = nnx.grad(lambda h: h(normal(2, 4)).sum(), argnums=nnx.DiffState(0, nnx.Variable))(head)
    assert all(not leaf.any() for leaf in jax.tree.leaves(gradient)) and jax.tree.leaves(state)
    for call, message in ((lambda: FixedHead(np.ones(3)), "weights"), (lambda: simplex_vectors(1), "n is 1")):
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(ValueError, match="of the same dimension"):
        cosine_logits(normal(2, 3), W)


def test_logits_of_subspaces(as_installed):
    """Lengths of projections: the whole space is certain, lines are absolute cosines, no basis is preferred."""
    z, bases = normal(3, 4), random_subspaces(jax.random.key(1), (5, 4, 2))
    unit = z / jnp.linalg.norm(z, axis=1, keepdims=True)
    expected = [[7 * np.linalg.norm(s.T @ x) for s in bases] for x in unit]
    np.testing.assert_allclose(subspace_logits(z, bases, 7.0), expected, rtol=1e-5)
    turn = jnp.linalg.qr(normal(2, 2))[0]
    np.testing.assert_allclose(subspace_logits(z, bases @ turn, 7.0), expected, rtol=1e-5)
    np.testing.assert_allclose(subspace_logits(z, jnp.eye(4)[None], 7.0), np.full((3, 1), 7.0), rtol=1e-5)
    lines = bases[..., :1]
    np.testing.assert_allclose(subspace_logits(z, lines), jnp.abs(cosine_logits(z, lines[..., 0])), rtol=1e-4)
    padded = jnp.pad(lines, ((0, 0), (0, 0), (0, 1)))
    np.testing.assert_allclose(subspace_logits(z, padded), subspace_logits(z, lines), rtol=1e-4)
    np.testing.assert_allclose(subspace_logits(z[:, None], bases, 7.0)[:, 0], expected, rtol=1e-5)
    for x, s in ((normal(2, 3), bases), (z, bases[0])):
        with pytest.raises(ValueError, match="z has dimension"):
            subspace_logits(x, s)


def test_edges_of_subspaces():
    z, bases = normal(3, 4), random_subspaces(jax.random.key(1), (5, 4, 2))
    assert_degenerate(lambda z: subspace_logits(z, bases, 7.0), z)
    assert_degenerate(lambda s: subspace_logits(jnp.eye(4)[:1], s, 7.0), bases)
    assert_dtypes(lambda z: subspace_logits(z, bases, 7.0), z)
    assert_gradients(lambda z, s: subspace_logits(z, s, 7.0), z, bases)
    with jax.debug_nans(False):
        assert np.isnan(subspace_logits(z.at[0, 1].set(jnp.nan), bases)).any(1).tolist() == [True, False, False]


def test_angles_within_classes(as_installed):
    rng, classes = np.random.default_rng(1), np.array([4, 4, 7])
    features = rng.normal(size=(3, 6))
    u = features / np.linalg.norm(features, axis=1, keepdims=True)
    half = np.arccos(u[0] @ u[1]) / 2  # two directions lie at half their angle from their mean
    np.testing.assert_allclose(intra_class_angle(features * [[2.0], [9.0], [1.0]], classes), 2 * half / 3, rtol=1e-9)
    close = np.array([[1.0, 1e-9], [1.0, -1e-9]])
    np.testing.assert_allclose(intra_class_angle(close, np.zeros(2, int)), 1e-9, rtol=1e-6)
    assert intra_class_angle(np.zeros((2, 3)), np.zeros(2, int)) == np.pi / 2
    assert intra_class_angle(np.array([[1.0], [-1.0]]), np.zeros(2, int)) == np.pi / 2
    assert np.isnan(intra_class_angle(np.array([[np.nan], [1.0]]), np.zeros(2, int)))
    for shape, labels in (((0, 2), []), ((2, 2), [1])):
        with pytest.raises(ValueError, match="shapes"):
            intra_class_angle(np.zeros(shape), np.array(labels, int))


def test_kernel_alignment_does_not_change_under_turns_and_scales(as_installed):
    x, y = normal(12, 3), normal(12, 5)
    turn = jnp.asarray(np.linalg.qr(RNG.normal(size=(3, 3)))[0], jnp.float32)
    np.testing.assert_allclose(rbf_cka(x, 7 * x @ turn), 1, rtol=1e-4)
    np.testing.assert_allclose(rbf_cka(x, y), rbf_cka(y, x), rtol=1e-4)
    assert 0 <= float(rbf_cka(x, y)) < 0.9
    assert np.isfinite(rbf_cka(x, jnp.ones((12, 2))))
    with pytest.raises(ValueError, match="they need"):
        rbf_cka(x, y[:11])


def test_neighbours_and_counterparts_by_loops():
    x, w = np.asarray(normal(9, 4)), np.asarray(normal(9, 4))
    cosines = [(a / np.linalg.norm(a, axis=1, keepdims=True)) @ (x / np.linalg.norm(x, axis=1, keepdims=True)).T for a in (w, x)]
    sets = [[set(np.argsort(-row)[:3]) for row in c] for c in cosines]
    jaccard = np.mean([len(a & b) / len(a | b) for a, b in zip(*sets, strict=True)])
    np.testing.assert_allclose(neighbour_jaccard(jnp.asarray(w), jnp.asarray(x), 3), jaccard, rtol=1e-6)
    ranks = np.array([(row >= row[i]).sum() for i, row in enumerate(cosines[0])])
    np.testing.assert_allclose(counterpart_mrr(jnp.asarray(w), jnp.asarray(x)), np.mean(1 / ranks), rtol=1e-6)
    np.testing.assert_allclose(counterpart_mrr(jnp.asarray(w), jnp.asarray(x), 2), np.mean((1 / ranks) * (ranks <= 2)), rtol=1e-6)
    assert counterpart_mrr(jnp.ones((4, 2)), jnp.ones((4, 2))) == 0.25  # equals rank before it
    with pytest.raises(ValueError, match="k is 0"):
        counterpart_mrr(jnp.asarray(x), jnp.asarray(x), 0)


def test_effective_rank_of_known_spectra(as_installed):
    axes = np.linalg.qr(RNG.normal(size=(8, 8)))[0][:, :3]
    rows = jnp.asarray(np.concatenate([axes.T, -axes.T]), jnp.float32)
    np.testing.assert_allclose(effective_rank(rows), 3, rtol=1e-4)
    np.testing.assert_allclose(effective_rank(rows * 5 + 2), 3, rtol=1e-4)
    assert effective_rank(jnp.ones((5, 3))) == 0
    with jax.enable_x64():
        z = jnp.asarray(RNG.normal(size=(9, 3)))
        expected = 0.5 * np.log(np.linalg.eigvalsh(np.cov(np.asarray(z).T) * 8)[::-1])
        np.testing.assert_allclose(log_singular_values(z), expected, rtol=1e-9)
    for rows in (jnp.ones((0, 3)), jnp.ones(3)):
        with pytest.raises(ValueError, match="rows"):
            effective_rank(rows)


def test_ranks_of_nan_are_nan_and_of_equal_rows_zero(as_installed):
    with jax.debug_nans(False):
        assert jnp.isnan(effective_rank(jnp.array([[jnp.nan, 1.0], [2.0, 3.0]])))
    assert effective_rank(jnp.full((5, 3), 1 / 3)) == 0
    z = normal(6, 3)
    np.testing.assert_allclose(effective_rank(jnp.asarray(z, jnp.bfloat16)), effective_rank(z), rtol=0.05)
    assert effective_rank(z > 0) > 1


def test_counterparts_need_each_other(as_installed):
    z = normal(4, 3)
    with jax.debug_nans(False):
        bad = jnp.asarray(z).at[0, 0].set(jnp.nan)
    for function in (lambda a, b: neighbour_jaccard(a, b, 2), counterpart_mrr):
        with pytest.raises(ValueError, match="row by row"):
            function(z, z[:1])
        with pytest.raises(ValueError, match="database has 1 numbers that are not finite"):
            function(z, bad)


def test_heads_name_what_does_not_fit(as_installed):
    for call in (lambda: FixedHead(np.eye(4))(jnp.ones((2, 3))), lambda: cosine_logits(jnp.ones((2, 4)), jnp.ones(4))):
        with pytest.raises(ValueError, match="z has shape"):
            call()
