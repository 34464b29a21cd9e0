"""Binary codes and sparse vectors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quire.common.retrieval.hamming import hamming, itq, pack_rows
from quire.common.retrieval.sparse import Entries, sparse_dense_dot, sparse_dot, top_entries

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("bits", [1, 31, 32, 33, 70])
def test_packed_distances_are_counts_of_unequal_bits(bits):
    a, b = RNG.integers(0, 2, (3, bits)), RNG.integers(0, 2, (11, bits))
    expected = (a[:, None] != b[None]).sum(-1)
    for block in (4, 4096):
        np.testing.assert_array_equal(hamming(pack_rows(a), pack_rows(b), block=block), expected)
    np.testing.assert_array_equal(pack_rows(a.astype(bool)), pack_rows(a))


def test_no_rows_are_no_distances():
    codes = pack_rows(RNG.integers(0, 2, (3, 8)))
    assert hamming(codes[:0], codes).shape == (0, 3) and hamming(codes, codes[:0]).shape == (3, 0)


def test_codes_that_do_not_fit_are_refused():
    codes = pack_rows(np.ones((2, 40), int))
    for call in (
        lambda: pack_rows(np.ones((2, 3))),
        lambda: pack_rows(np.ones((2, 0), int)),
        lambda: hamming(codes, codes[:, :1]),
        lambda: hamming(codes.astype(jnp.int32), codes),
        lambda: hamming(codes, codes, block=0),
        lambda: itq(jnp.ones((5, 3)), 4, jax.random.key(0)),
        lambda: itq(jnp.ones((5, 3)), 2, jax.random.key(0), iters=-1),
    ):
        with pytest.raises(ValueError, match=r"bits|queries|block|iters"):
            call()


def test_turning_loses_less_than_principal_components_do():
    x = RNG.normal(size=(300, 6)) @ RNG.normal(size=(6, 6)) + 5

    def loss(iters):
        mean, turned = itq(jnp.asarray(x), 4, jax.random.key(1), iters=iters)
        np.testing.assert_allclose(turned.T @ turned, np.eye(4), atol=1e-4)
        projected = (x - np.asarray(mean)) @ turned
        return float(jnp.mean((projected - jnp.sign(projected)) ** 2))

    losses = [loss(iters) for iters in (0, 3, 50)]
    assert losses[0] > losses[1] >= losses[2]


def test_sparse_products_are_those_of_dense_vectors():
    x, y = RNG.normal(size=(4, 9)), RNG.normal(size=(4, 9))
    a, b = top_entries(jnp.asarray(x), 3), top_entries(jnp.asarray(y), 5)
    assert (np.diff(a.value) <= 0).all()
    np.testing.assert_allclose(sparse_dot(a, b), (a.dense(9) * b.dense(9)).sum(-1), rtol=1e-5)
    np.testing.assert_allclose(sparse_dense_dot(a, y), a.dense(9) @ y.T, rtol=1e-5, atol=1e-6)
    every = sparse_dot(Entries(a.index[:, None], a.value[:, None]), b)
    np.testing.assert_allclose(every, a.dense(9) @ b.dense(9).T, rtol=1e-5, atol=1e-6)
    for call in (lambda: top_entries(jnp.ones(3), 4), lambda: a.dense(2), lambda: sparse_dense_dot(a, y[:, :2])):
        with pytest.raises(ValueError, match=r"n is|index"):
            call()


def test_codes_of_half_precision_and_of_nan(as_installed):
    x = jnp.asarray(np.random.default_rng(0).normal(size=(9, 4)), jnp.bfloat16)
    assert itq(x, 2, jax.random.key(0))[1].dtype == np.float32
    with pytest.raises(ValueError, match="numbers that are not finite"):
        itq(np.full((9, 4), np.nan, np.float32), 2, jax.random.key(0))
