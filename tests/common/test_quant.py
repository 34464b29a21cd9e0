"""Quantisation: grids, eight-bit floats, codebooks, packed codes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quire.common.quant import codebooks, fp8, packing, uniform


@pytest.fixture
def rng():
    return np.random.default_rng(0)


class TestUniform:
    def test_gradients_pass_straight_through_inside_the_closed_range(self):
        bounds = jnp.array([-2.0, -1.0, 0.3, 1.0, 2.0])
        slopes = jax.vmap(jax.grad(lambda x: uniform.clip_ste(uniform.round_ste(x), -1.0, 1.0)))(bounds)
        assert slopes.tolist() == [0, 1, 1, 1, 0]

    def test_nan_stays_nan(self):
        with jax.debug_nans(False):
            assert jnp.isnan(uniform.clip_ste(jnp.array([jnp.nan]), 0.0, 1.0)).all()

    @pytest.mark.parametrize("symmetric", [False, True])
    def test_rounds_to_the_nearest_point_of_the_grid(self, rng, symmetric):
        w = jnp.asarray(rng.normal(size=(6, 5)), jnp.float32)
        grid = uniform.min_max_grid(jnp.float32(w.min()), jnp.float32(w.max()), 3, symmetric)
        low, high = uniform.code_range(3, symmetric)
        points = float(grid.scale) * (np.arange(low, high + 1) - float(grid.zero))
        nearest = points[np.abs(np.asarray(w)[..., None] - points).argmin(-1)]
        np.testing.assert_allclose(uniform.affine_quantize(w, grid, 3, symmetric), nearest, rtol=1e-6, atol=1e-7)

    @pytest.mark.parametrize("symmetric", [False, True])
    @pytest.mark.parametrize("sign", [1, -1, 0])
    def test_search_finds_the_best_range_by_enumeration(self, rng, symmetric, sign):
        w = rng.standard_t(3, size=40)
        w = jnp.asarray(sign * np.abs(w) if sign else w, jnp.float32)
        found = uniform.search_range(w, 2, symmetric=symmetric, num=10)
        best, error = None, np.inf
        low, high = min(w.min(), 0), max(w.max(), 0)
        for i in range(1, 11):
            for zero in range(1 if symmetric or sign else 4):
                top, width = max(-low, high) * i / 10, (high - low) * i / 10
                if symmetric:
                    ends = (-top, top)
                elif sign:
                    ends = (0.0, top) if sign > 0 else (-top, 0.0)
                else:
                    ends = (-zero * width / 3, width - zero * width / 3)
                grid = uniform.min_max_grid(*map(jnp.float32, ends), 2, symmetric)
                score = float(jnp.mean(jnp.abs(w - uniform.affine_quantize(w, grid, 2, symmetric)) ** 2.4))
                if score < error - 1e-9:
                    best, error = grid, score
        np.testing.assert_allclose(found, best, rtol=1e-5)

    def test_channels_are_searched_alone(self, rng):
        w = jnp.asarray(rng.normal(size=(3, 8)) * np.array([[1], [10], [100]]), jnp.float32)
        together = uniform.search_range(w, 2, per_channel=True, num=10)
        alone = [uniform.search_range(row, 2, num=10) for row in w]
        assert together.scale.shape == (3, 1)
        np.testing.assert_allclose(together.scale[:, 0], [one.scale for one in alone], rtol=1e-6)

    def test_zeros_have_a_scale(self):
        grid = uniform.search_range(jnp.zeros((2, 3)), 4, num=3)
        assert float(grid.scale) > 0
        assert not uniform.affine_quantize(jnp.zeros((2, 3)), grid, 4).any()

    def test_refuses(self):
        with pytest.raises(ValueError, match="bits is 0"):
            uniform.code_range(0)
        with pytest.raises(ValueError, match="bits is 9"):
            uniform.search_range(jnp.ones((2, 2)), 9)
        with pytest.raises(ValueError, match="shape"):
            uniform.search_range(jnp.ones((0, 2)), 4)


class TestFP8:
    @pytest.mark.parametrize("format", ["e4m3", "e5m2"])
    def test_every_finite_code_survives_and_the_rest_saturates(self, format):
        dtype = fp8.fp8_dtype(format)
        codes = np.arange(256, dtype=np.uint8).view(dtype)
        values = codes.astype(np.float32)
        finite = np.isfinite(values)
        assert (
            np.asarray(fp8.fp8_cast(jnp.asarray(values[finite]), format)).view(np.uint8) == codes[finite].view(np.uint8)
        ).all()
        largest = fp8.fp8_max(format)
        over = fp8.fp8_cast(jnp.array([1.5 * largest, -1e30, jnp.inf]), format).astype(jnp.float32)
        assert over.tolist() == [largest, -largest, largest]

    @settings(max_examples=10, deadline=None)
    @given(st.integers(0, 2**31), st.sampled_from([1e-20, 1.0, 1e20]))
    def test_group_error_is_bounded(self, seed, size):
        x = (np.random.default_rng(seed).normal(size=(3, 10)) * size).astype(np.float32)
        q = fp8.quantize_groups(jnp.asarray(x), 4, eps=0.0)
        assert q.codes.shape == x.shape and q.scale.shape == (3, 3)
        largest = np.repeat(np.asarray(q.scale), 4, axis=1)[:, :10] * 448
        error = np.abs(np.asarray(fp8.dequantize_groups(q, 4)) - x)
        assert (error <= np.maximum(np.abs(x) * 2**-4, largest * 2**-9 / 448) * 1.001).all()

    def test_zero_group_and_partial_group(self):
        x = jnp.array([0.0, 0.0, 5.0])
        np.testing.assert_allclose(fp8.dequantize_groups(fp8.quantize_groups(x, 2), 2), x, rtol=1e-6)
        assert fp8.dequantize_groups(fp8.quantize_groups(jnp.zeros((0, 3)), 2), 2).shape == (0, 3)

    def test_refuses(self, as_installed):
        with pytest.raises(ValueError, match="e3m4"):
            fp8.fp8_max("e3m4")
        with pytest.raises(ValueError, match="group is 0"):
            fp8.quantize_groups(jnp.ones(4), 0)


class TestPacking:
    @settings(max_examples=20, deadline=None)
    @given(st.integers(1, 16), st.integers(0, 40), st.integers(0, 2**31))
    def test_round_trip(self, bits, count, seed):
        codes = np.random.default_rng(seed).integers(0, 2**bits, count)
        words = packing.pack_bits(codes, bits)
        assert len(words) == -(-bits * count // 32)
        assert packing.unpack_bits(words, bits, count).tolist() == codes.tolist()

    def test_refuses(self, as_installed):
        with pytest.raises(ValueError, match="codes run from 0 to 4"):
            packing.pack_bits(np.array([0, 4]), 2)
        with pytest.raises(ValueError, match="dtype"):
            packing.pack_bits(np.array([0.5]), 2)
        with pytest.raises(ValueError, match="count 9"):
            packing.unpack_bits(jnp.zeros(1, jnp.uint32), 4, 9)


class TestCodebooks:
    def test_assign_matches_distances_far_from_the_origin(self, rng):
        x = jnp.asarray(rng.normal(size=(50, 3)) + 1000, jnp.float32)
        centres = x[:7]
        expected = ((np.asarray(x, float)[:, None] - np.asarray(centres, float)) ** 2).sum(-1).argmin(1)
        assert codebooks.assign(x, centres).tolist() == expected.tolist()
        assert codebooks.assign(x, centres, block=8).tolist() == expected.tolist()

    def test_lloyd_ends_at_means_and_beats_its_start(self, rng):
        x = jnp.asarray(rng.normal(size=(60, 2)), jnp.float32)
        found = codebooks.kmeans(x, 4, start=x[:4], iters=30)
        means = [x[found.labels == c].mean(0) for c in range(4)]
        np.testing.assert_allclose(found.centres, means, rtol=1e-4, atol=1e-5)
        assert found.inertia < codebooks.kmeans(x, 4, start=x[:4], iters=0).inertia

    def test_weights_count_rows(self):
        x = jnp.array([[0.0], [1.0], [10.0]])
        found = codebooks.kmeans(x, 2, start=x[1:], iters=5, weights=jnp.array([3.0, 1.0, 1.0]))
        np.testing.assert_allclose(found.centres, [[0.25], [10.0]], rtol=1e-6)

    def test_empty_cluster_is_filled(self):
        x = jnp.array([[0.0], [0.0], [0.0], [9.0]])
        found = codebooks.kmeans(x, 2, start=jnp.zeros((2, 1)), iters=3)
        assert float(found.inertia) == 0

    def test_start_avoids_repeated_rows(self):
        x = np.array([[0.0]] * 20 + [[1.0], [2.0]])
        assert set(codebooks.kmeans_start(x, 3, jax.random.key(0)).ravel()) == {0.0, 1.0, 2.0}

    def test_product_quantiser_is_exact_when_every_part_is_a_centre(self, rng):
        x = jnp.asarray(rng.normal(size=(8, 6)), jnp.float32)
        codebook = codebooks.product_fit(x, 2, 8, key=jax.random.key(0), iters=1)
        codes = codebooks.product_encode(codebook, x)
        np.testing.assert_allclose(codebooks.product_decode(codebook, codes), x, rtol=1e-5, atol=1e-6)
        queries = jnp.asarray(rng.normal(size=(3, 6)), jnp.float32)
        np.testing.assert_allclose(codebooks.product_score(codebook, codes, queries), queries @ x.T, rtol=1e-4, atol=1e-5)

    def test_what_is_nan_has_no_nearest_centre(self, as_installed):
        x = jnp.ones((3, 4))
        book = codebooks.product_fit(x, 2, 1, key=jax.random.key(0), iters=1)
        with jax.debug_nans(False):
            bad = x.at[0, 0].set(jnp.nan)
        for call in (
            lambda: codebooks.assign(bad, x),
            lambda: codebooks.product_encode(book, bad),
            lambda: codebooks.product_fit(bad, 2, 1, key=jax.random.key(0)),
        ):
            with pytest.raises(ValueError, match="x has 1 numbers that are not finite"):
                call()
        with pytest.raises(ValueError, match="centres has 1 numbers"):
            codebooks.assign(x, bad)

    def test_refuses(self):
        x = jnp.ones((3, 4))
        with pytest.raises(ValueError, match="k is 4"):
            codebooks.kmeans(x, 4, start=x)
        with pytest.raises(ValueError, match="either key or start"):
            codebooks.kmeans(x, 2)
        with pytest.raises(ValueError, match="not finite"), jax.debug_nans(False):
            codebooks.kmeans(x.at[0, 0].set(jnp.nan), 1, key=jax.random.key(0))
        with pytest.raises(ValueError, match="all zero"):
            codebooks.kmeans(x, 1, start=x[:1], weights=jnp.zeros(3))
        with pytest.raises(ValueError, match="group_dim is 3"):
            codebooks.product_fit(x, 3, 2, key=jax.random.key(0))


@pytest.mark.parametrize("dtype", ["uint8", "int32", "bool", "bfloat16"])
def test_codebooks_of_whole_numbers(dtype, as_installed):
    x = jnp.asarray(np.array([[0], [1], [200], [201]]) > 100 if dtype == "bool" else [[0], [1], [200], [201]], dtype)
    wide, key = x.astype(jnp.float32), jax.random.key(0)
    for options in ({"key": key}, {"start": x[1:3]}, {"key": key, "weights": np.array([0.2, 0.5, 0.5, 0.5])}):
        found, expected = (codebooks.kmeans(rows, 2, **options) for rows in (x, wide))
        np.testing.assert_allclose(found.centres.astype(float), expected.centres, rtol=1e-2)
    codes = codebooks.product_encode(codebooks.product_fit(x, 1, 2, key=key), x)[:, 0]
    assert codes[1] == codes[0] != codes[2]


def test_codes_that_do_not_exist_are_refused(as_installed):
    book, queries = codebooks.ProductCodebook(jnp.ones((2, 3, 1))), jnp.ones((1, 2))
    for codes, message in (
        (np.array([[0, 3]]), "codes runs"),
        (np.array([[-1, 0]]), "codes runs"),
        (np.array([[0]]), "codes has shape"),
    ):
        with pytest.raises(ValueError, match=message):
            codebooks.product_decode(book, codes)
        with pytest.raises(ValueError, match=message):
            codebooks.product_score(book, codes, queries)


def test_groups_are_read_as_they_were_written(as_installed):
    q = fp8.quantize_groups(jnp.ones((1, 4)), 2)
    for group in (0, 4):
        with pytest.raises(ValueError, match=f"group is {group}"):
            fp8.dequantize_groups(q, group)


def test_ranges_of_whole_numbers_are_searched(as_installed):
    w = np.array([[-3, 1, 4, 7]])
    np.testing.assert_array_equal(uniform.search_range(w, 4).scale, uniform.search_range(w.astype(np.float32), 4).scale)
