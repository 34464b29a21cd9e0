"""Weights as rows of short vectors, and soft k-means over them: round trips, orders by hand, limits, and at the edge."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quire.common.quant.codebooks import assign, kmeans
from quire.common.quant.soft_kmeans import dkm, soft_assign
from quire.common.quant.subvectors import from_subvectors, to_subvectors
from quire.common.testing import assert_degenerate, assert_dtypes, assert_gradients, assert_vmap_consistent

RNG = np.random.default_rng(0)
X, CENTRES = RNG.normal(size=(7, 3)), RNG.normal(size=(4, 3))


@pytest.mark.parametrize(
    "shape, m", [((4, 6), 3), ((4, 6), 24), ((2, 4, 3, 3), 9), ((2, 4, 3, 3), 18), ((2, 4, 3, 3), 4), ((2, 4, 5), 2)]
)
@pytest.mark.parametrize("order", ["auto", "kernels", "channels"])
def test_rows_go_back_to_their_weights(shape, m, order):
    w = RNG.normal(size=shape).astype(np.float32)
    rows = to_subvectors(w, m, order)
    assert rows.shape == (w.size // m, m)
    np.testing.assert_array_equal(from_subvectors(rows, shape, order), w)


def test_orders_by_hand():
    w = RNG.normal(size=(2, 3, 2, 2)).astype(np.float32)
    np.testing.assert_array_equal(to_subvectors(w, 4)[1], w[0, 1].ravel())  # the second kernel
    np.testing.assert_array_equal(to_subvectors(w, 3)[1], w[0, :, 0, 1])  # the channels of the second place
    np.testing.assert_array_equal(to_subvectors(w[:, :, 0, 0], 3), w[:, :, 0, 0])


def test_padding_is_cut_off_again():
    w = RNG.normal(size=(3, 5)).astype(np.float32)
    rows = to_subvectors(w, 4, pad=True)
    assert rows.shape == (4, 4) and rows[-1, -1] == 0
    np.testing.assert_array_equal(from_subvectors(rows, w.shape), w)


def test_a_cold_soft_assignment_is_lloyd():
    x, centres = jnp.asarray(X, jnp.float32), jnp.asarray(CENTRES, jnp.float32)
    assert (soft_assign(x, centres, 1e-3).argmax(1) == assign(x, centres)).all()
    start = x[jnp.array([0, 3])]
    np.testing.assert_allclose(dkm(x, start, 1e-3, 4).centres, kmeans(x, 2, start=start, iters=4).centres, atol=1e-4)


def test_attention_sums_to_one_and_one_step_is_a_weighted_mean():
    with jax.enable_x64():
        x, centres = jnp.asarray(X), jnp.asarray(CENTRES)
        attention = soft_assign(x, centres, 0.7)
        np.testing.assert_allclose(attention.sum(1), 1, rtol=1e-12)
        logits = -np.linalg.norm(X[:, None] - CENTRES, axis=-1) / 0.7
        np.testing.assert_allclose(attention, np.exp(logits) / np.exp(logits).sum(1, keepdims=True), rtol=1e-9)
        means = (np.asarray(attention).T @ X) / np.asarray(attention).sum(0)[:, None]
        np.testing.assert_allclose(dkm(x, centres, 0.7, 1).centres, means, rtol=1e-9)
        assert_gradients(lambda x, c: dkm(x, c, 0.7, 2).rows.sum(), x, centres)


def test_degenerate_inputs_dtypes_and_vmap():
    x, centres = np.asarray(X, np.float32), np.asarray(CENTRES, np.float32)
    assert_degenerate(lambda x, c: dkm(x, c, 0.5, 2).rows, x, centres)
    assert_dtypes(lambda x, c: dkm(x, c, 0.5, 2).rows, x, centres)
    assert_vmap_consistent(lambda x, c: dkm(x, c, 0.5, 2).rows, np.stack([x, x + 1]), np.stack([centres, centres]))
    assert_dtypes(lambda w: to_subvectors(w, 3), x)


def test_errors(as_installed):
    w = jnp.zeros((4, 6))
    for match, call in (
        ("m is 5; it must divide the 24 weights", lambda: to_subvectors(w, 5)),
        ("m is 0", lambda: to_subvectors(w, 0)),
        ("order is 'rows'", lambda: to_subvectors(w, 3, "rows")),
        ("they need output and input", lambda: to_subvectors(w[0], 3)),
        ("have other rows", lambda: from_subvectors(jnp.zeros((3, 3)), (4, 6))),
        ("tau is 0", lambda: soft_assign(w, w, 0.0)),
        ("k at least 1", lambda: soft_assign(w, w[:0], 1.0)),
        ("iters is -1", lambda: dkm(w, w, 1.0, -1)),
    ):
        with pytest.raises((ValueError, TypeError), match=match):
            call()


def test_a_row_that_is_nan_moves_no_centre_unseen():
    with jax.debug_nans(False):
        found = dkm(jnp.array([[0.0], [jnp.nan]]), jnp.array([[0.0], [1.0]]), 0.1)
    assert np.isnan(found.centres).all() and np.isnan(found.rows).all()


def test_the_temperature_follows_the_rows():
    with jax.enable_x64():
        assert dkm(jnp.zeros((2, 1), jnp.float32), jnp.ones((1, 1), jnp.float32), np.float64(0.1)).centres.dtype == np.float32
