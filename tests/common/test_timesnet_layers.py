"""Blocks of TimesNet and what models of series share: periods, folding without folding, windows, averages, DLinear."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from quire.common.layers.dlinear import DLinear
from quire.common.layers.dropout import dropout
from quire.common.layers.intermediates import capture
from quire.common.layers.series import (
    SeriesEmbedding,
    circular_conv,
    moving_average,
    normalise_windows,
    sinusoidal_positions,
)
from quire.common.layers.timesnet import (
    Inception,
    SeriesBlock,
    TimesBlock,
    canvas_length,
    conv2d,
    fft_periods,
    fold,
    folded_conv,
    inception,
    inception_sizes,
    merge_kernels,
    series_conv,
    shift,
    times_block_by_folding,
    unfold,
)
from quire.common.testing import (
    assert_close,
    assert_degenerate,
    assert_dtypes,
    assert_equivariant,
    assert_gradients,
    assert_matches_float64,
    assert_vmap_consistent,
)

KEY = jax.random.key(0)


def normal(seed, shape, dtype=jnp.float32):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), dtype)


# --- Conformance: everything that maps [b, t, dim] to [b, t, dim] ---

BLOCKS = {
    "square": lambda: TimesBlock(4, 6, top_k=2, num_kernels=3, rngs=nnx.Rngs(0)),
    "factorised": lambda: TimesBlock(4, 6, top_k=3, num_kernels=4, form="factorised", rngs=nnx.Rngs(0)),
    "one kernel": lambda: TimesBlock(4, 6, top_k=1, num_kernels=1, rngs=nnx.Rngs(0)),
    "along time": lambda: SeriesBlock(4, 6, num_kernels=3, rngs=nnx.Rngs(0)),
}


@pytest.fixture(params=BLOCKS, scope="module")
def block(request):
    return BLOCKS[request.param]()


def test_blocks_keep_shape_and_dtype(block):
    graph, params = nnx.split(block)
    run = jax.jit(lambda params, x: nnx.merge(graph, params)(x))
    for length in (7, 24):
        x = normal(0, (3, length, 4))
        assert run(params, x).shape == x.shape and run(params, x).dtype == x.dtype
    assert_close(run(params, x), block(x), 1e-5)


def test_blocks_are_differentiable(block):
    graph, params = nnx.split(block)
    x = normal(0, (2, 9, 4))
    gradient = jax.jit(jax.grad(lambda p, x: jnp.sum(nnx.merge(graph, p)(x) ** 2), argnums=(0, 1)))
    assert all(np.abs(g).max() > 0 for g in jax.tree.leaves(gradient(params, x)))
    assert np.isfinite(gradient(params, 0 * x)[1]).all(), "the amplitude of a silent series has a gradient"


def test_blocks_treat_all_samples_alike(block):
    assert_equivariant(
        jax.jit(block),
        normal(0, (4, 7, 4)),
        elements=[np.array([2, 0, 3, 1])],
        act_in=lambda g, x: x[g],
        act_out=lambda g, y: y[g],
        tolerance=1e-5,
    )


def test_blocks_at_the_edge(block):
    x = np.random.default_rng(0).standard_normal((2, 8, 4)).astype(np.float32)
    assert_degenerate(block, x, scales=(1e-12, 1e6))
    assert_dtypes(block, x, dtypes=["bfloat16"])


# --- Conformance of what acts on a series; a new one adds one line ---

KERNEL = np.random.default_rng(1).standard_normal((3, 2, 2)).astype(np.float32)
SERIES = {
    "normalise_windows": normalise_windows,
    "moving_average": lambda x: moving_average(x, 3),
    "circular_conv": lambda x: circular_conv(x, KERNEL),
    "series_conv": lambda x: series_conv(x, KERNEL, KERNEL[0, 0]),
    "fft_periods": lambda x: fft_periods(x, 1)[1:],
    "DLinear": DLinear(6, 2, width=3, rngs=nnx.Rngs(0)),
    "SeriesEmbedding": SeriesEmbedding(2, 4, rngs=nnx.Rngs(0)),
}


@pytest.mark.parametrize("name", SERIES)
def test_series_at_the_edge(name):
    x = np.random.default_rng(0).standard_normal((2, 6, 2)).astype(np.float32)
    assert_degenerate(SERIES[name], x, axes=(0, 1))
    assert_dtypes(SERIES[name], x, dtypes=["bool", "uint8", "bfloat16"])


# --- Periods ---


def test_periods_of_sinusoids():
    t = jnp.arange(96.0)[:, None]
    x = jnp.sin(2 * jnp.pi * t / 24) + 0.5 * jnp.cos(2 * jnp.pi * t / 8) + 3.0
    frequency, period, weight = fft_periods(jnp.broadcast_to(x, (2, 96, 1)), 2)
    assert frequency.tolist() == [4, 12] and period.tolist() == [24, 8]
    assert_close(weight, np.broadcast_to([48.0, 24.0], (2, 2)), 1e-5)


def test_periods_belong_to_the_batch_and_the_constant_is_none():
    t = jnp.arange(48.0)
    loud, soft = 5 * jnp.sin(2 * jnp.pi * t / 12), jnp.sin(2 * jnp.pi * t / 6)
    x = jnp.stack([loud, soft])[..., None]
    assert fft_periods(x, 1)[1].tolist() == [12]
    assert fft_periods(x[1:], 1)[1].tolist() == [6]
    assert fft_periods(x + 100, 1)[1].tolist() == [12]


def test_a_constant_has_the_longest_periods():
    frequency, period, weight = fft_periods(jnp.ones((1, 24, 1)), 3)
    assert frequency.tolist() == [1, 2, 3] and period.tolist() == [24, 12, 8] and not np.asarray(weight).any()
    block, x = BLOCKS["square"](), jnp.ones((1, 12, 4))
    assert_close(block(x), times_block_by_folding(block, x, [12, 6]), 1e-5)


@pytest.mark.parametrize(("length", "k"), [(1, 1), (8, 5), (8, 0)])
def test_periods_refuse(as_installed, length, k):
    with pytest.raises(ValueError, match=f"k is {k} for series of {length} steps"):
        fft_periods(jnp.zeros((1, length, 1)), k)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 200))
def test_every_period_fits_the_canvas(length):
    periods = [length // f for f in range(1, length // 2 + 1)]
    assert max(-(-length // p) * p for p in periods) == canvas_length(length) < 2 * length


# --- Folding ---


@pytest.mark.parametrize(("length", "period"), [(2, 1), (12, 4), (13, 4), (5, 9)])
def test_unfold_inverts_fold(length, period):
    x = jnp.arange(2.0 * length).reshape(1, length, 2)
    folded = fold(x, period)
    assert folded.shape[2] == period and (unfold(folded, length) == x).all()
    assert float(folded.sum()) == float(x.sum())


def test_fold_refuses(as_installed):
    with pytest.raises(ValueError, match="period is 0"):
        fold(jnp.zeros((1, 4, 1)), 0)
    with pytest.raises(ValueError, match="length is 1; it must be at least 2"):
        canvas_length(1)
    x, kernel, bias = jnp.zeros((1, 6, 2)), jnp.zeros((3, 3, 2, 1)), jnp.zeros(1)
    for call, message in (
        (lambda: folded_conv(x, kernel, bias, 0), "period is 0"),
        (lambda: folded_conv(x, kernel, bias, 2, steps=7), "steps is 7; it must lie between 0 and the 6 steps of x"),
        (lambda: folded_conv(x, kernel[:2], bias, 2), "two odd sides"),
        (lambda: folded_conv(x[..., :1], kernel, bias, 2), "then the 1 channels of x"),
        (lambda: merge_kernels([]), "number of kernels is 0"),
        (lambda: TimesBlock(4, 6, top_k=-1, rngs=nnx.Rngs(0)), "top_k is -1"),
        (lambda: TimesBlock(0, 6, rngs=nnx.Rngs(0)), "in_features is 0"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(ValueError, match="holds 6 steps"):
        unfold(jnp.zeros((1, 2, 3, 1)), 7)


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (11, 11)])
def test_folded_conv_is_the_convolution_of_the_map(size):
    length, canvas = 20, canvas_length(20)
    traced, mapped = (
        jax.jit(folded_conv),
        jax.jit(lambda x, *weights, p: unfold(conv2d(fold(x, p), *weights), length), static_argnames="p"),
    )
    with jax.enable_x64():
        x, kernel, bias = (normal(k, s, jnp.float64) for k, s in enumerate(((2, length, 3), (*size, 3, 2), (2,))))
        for period in sorted({length // f for f in range(1, length // 2 + 1)}):
            padded = jnp.pad(x, ((0, 0), (0, canvas - length), (0, 0)))
            assert_close(traced(padded, kernel, bias, period)[:, :length], mapped(x, kernel, bias, p=period), 1e-13)


@pytest.mark.parametrize("period", [3, 7])
def test_derivatives_of_folded_conv_are_those_of_the_map(period):
    """Of the first 17 of 20 steps, as if the others had not been asked for."""
    with jax.enable_x64():
        x, kernel, bias, dy = (normal(k, s, jnp.float64) for k, s in enumerate(((2, 20, 3), (3, 5, 3, 2), (2,), (2, 17, 2))))
        padded = jnp.pad(x, ((0, 0), (0, canvas_length(20) - 20), (0, 0)))
        first, second = (
            jax.jit(jax.grad(lambda *a, f=f: jnp.sum(dy * f(*a)), (0, 1, 2)))(start, kernel, bias)
            for start, f in (
                (padded, lambda *a: folded_conv(*a, period, steps=17)),
                (x, lambda x, *weights: unfold(conv2d(fold(x, period), *weights), 17)),
            )
        )
        assert_close((first[0][:, :20], *first[1:]), second, 1e-13)


def test_one_program_serves_all_periods():
    block = BLOCKS["square"]()
    graph, params = nnx.split(block)
    traces = []

    @jax.jit
    def run(params, x):
        traces.append(1)
        return nnx.merge(graph, params)(x)

    seen = set()
    for seed in range(4):
        x = normal(seed, (2, 24, 4))
        periods = tuple(int(p) for p in fft_periods(x, 2)[1])
        seen.add(periods)
        if seed < 2:
            assert_close(run(params, x), times_block_by_folding(block, x, periods), 1e-5)
    assert len(seen) > 1 and len(traces) == 1


@settings(max_examples=25, deadline=None)
@given(st.integers(-12, 12))
def test_shift(steps):
    x = jnp.arange(1.0, 9.0).reshape(1, 8, 1)
    expected = [x[0, t + steps, 0] if 0 <= t + steps < 8 else 0 for t in range(8)]
    assert shift(x, steps)[0, :, 0].tolist() == [float(v) for v in expected]
    weights = jnp.arange(8.0).reshape(1, 8, 1) ** 2
    grad = jax.grad(lambda x: jnp.sum(weights * shift(x, steps)))(x)
    assert grad[0, :, 0].tolist() == [float((t - steps) ** 2) if 0 <= t - steps < 8 else 0.0 for t in range(8)]


def test_gradients_of_the_block():
    block = BLOCKS["square"]()
    with jax.enable_x64():
        graph, params = nnx.split(block)
        x = normal(0, (2, 9, 4), jnp.float64)
        assert_gradients(lambda p, x: jnp.sum(jnp.sin(nnx.merge(graph, p)(x))), params, x, tolerance=1e-5)


# --- Inception ---


@pytest.mark.parametrize(("num_kernels", "form"), [(1, "square"), (4, "square"), (5, "factorised")])
def test_merged_kernel_is_the_inception(num_kernels, form):
    with jax.enable_x64():
        sizes = inception_sizes(num_kernels, form)
        kernels = [normal(i, (*s, 2, 3), jnp.float64) for i, s in enumerate(sizes)]
        biases = [normal(10 + i, (3,), jnp.float64) for i in range(len(sizes))]
        x = normal(0, (2, 4, 5, 2), jnp.float64)
        assert_close(conv2d(x, merge_kernels(kernels), sum(biases) / len(biases)), inception(x, kernels, biases), 1e-13)


def test_inception_sizes_and_errors(as_installed):
    assert inception_sizes(6)[-1] == (11, 11)
    assert inception_sizes(6, "factorised") == [(1, 3), (3, 1), (1, 5), (5, 1), (1, 7), (7, 1), (1, 1)]
    with pytest.raises(ValueError, match="num_kernels is 0"):
        inception_sizes(0)
    with pytest.raises(ValueError, match="form is 'round'"):
        inception_sizes(2, "round")
    with pytest.raises(ValueError, match="sides must be odd"):
        merge_kernels([jnp.zeros((2, 3, 1, 1))])
    layer = Inception(3, 4, [(1, 1), (3, 3)], rngs=nnx.Rngs(0))
    assert layer(jnp.zeros((1, 5, 6, 3))).shape == (1, 5, 6, 4)


@pytest.mark.parametrize("form", ["square", "factorised"])
def test_kernels_start_independent_and_by_their_fan_out(form):
    sizes = inception_sizes(4, form)
    layer = Inception(24, 40, sizes, rngs=nnx.Rngs(0))
    kernels = [np.asarray(kernel[...]) for kernel in layer.kernels]
    for kernel, (rows, cols) in zip(kernels, sizes, strict=True):
        assert kernel.shape == (rows, cols, 24, 40)
        np.testing.assert_allclose(kernel.std(), (2 / (rows * cols * 40)) ** 0.5, rtol=0.1)
    flat = np.concatenate([kernel.reshape(-1)[:960] / kernel.std() for kernel in kernels]).reshape(len(kernels), -1)
    assert np.abs(np.corrcoef(flat) - np.eye(len(kernels))).max() < 0.15


def test_the_ablation_has_as_many_weights():
    folded, plain = (
        sum(p.size for p in jax.tree.leaves(nnx.state(BLOCKS[name](), nnx.Param))) for name in ("square", "along time")
    )
    assert folded == plain


@pytest.mark.parametrize(("length", "width"), [(5, 1), (9, 25), (32, 9)])
def test_series_conv_is_the_map_of_one_row(as_installed, length, width):
    with jax.enable_x64():
        x, kernel, bias = (normal(i, s, jnp.float64) for i, s in enumerate(((2, length, 3), (width, 3, 2), (2,))))
        assert_close(series_conv(x, kernel, bias), folded_conv(x, kernel[None], bias, length), 1e-13)
        with pytest.raises(ValueError, match="width 2"):
            series_conv(x, kernel[:1].repeat(2, axis=0), bias)


def test_periods_are_sown():
    seen = capture(BLOCKS["square"](), normal(0, (2, 24, 4)))[1]
    assert seen["period"][0].shape == (2,) and seen["weight"][0].shape == (2, 2)


# --- Windows, positions, averages ---


@settings(max_examples=20, deadline=None)
@given(st.floats(-100, 100), st.floats(0.1, 50))
def test_windows_forget_level_and_scale(level, size):
    with jax.enable_x64():
        x = normal(0, (2, 10, 3), jnp.float64)
        scaled, scale = normalise_windows(size * x + level)
        assert_close(scale.undo(scaled), size * x + level, 1e-12)
        assert np.abs(scaled.mean(axis=1)).max() < 1e-9 and np.abs(scaled.std(axis=1) - 1).max() < 2e-2


def test_masked_windows():
    x = jnp.array([[[1.0], [0.0], [3.0]]])
    mask = jnp.array([[[1.0], [0.0], [1.0]]])
    scaled, scale = normalise_windows(x, mask)
    assert_close(scale.mean, np.full((1, 1, 1), 2.0), 1e-6)
    assert_close(scaled, np.array([[[-1.0], [0.0], [1.0]]]), 1e-4)
    whole, same = normalise_windows(x), normalise_windows(x, jnp.ones_like(mask))
    assert_close(whole, same, 1e-6)
    empty, scale = normalise_windows(jnp.zeros_like(x), jnp.zeros_like(mask))
    assert not empty.any() and float(scale.mean.sum()) == 0, "nothing was observed"
    grad = jax.grad(lambda x: jnp.sum(normalise_windows(x, mask * 0)[0]))(x)
    assert np.isfinite(grad).all()


def test_what_was_not_observed_does_not_count(as_installed):
    mask = jnp.array([[[1.0], [0.0], [1.0]]])
    with jax.debug_nans(False):
        x = jnp.array([[[1.0], [jnp.nan], [3.0]]])
        (scaled, scale), gradient = (normalise_windows(x, mask), jax.grad(lambda x: normalise_windows(x, mask)[0][0, 0, 0])(x))
    assert_close(scale.mean, np.full((1, 1, 1), 2.0), 1e-6)
    assert_close(scaled, np.array([[[-1.0], [0.0], [1.0]]]), 1e-4)
    assert np.isfinite(gradient).all()
    with pytest.raises(ValueError, match=r"observed has shape \(1, 1, 1\)"):
        normalise_windows(x, mask[:, :1])


def test_a_large_level_costs_no_digits():
    noise = np.random.default_rng(0).standard_normal((1, 336, 1))
    assert_matches_float64(lambda x: moving_average(x, 25), 1e6 + noise)
    x = (1e6 + noise).astype(np.float32)
    with jax.enable_x64():
        exact = np.asarray(moving_average(jnp.asarray(x, jnp.float64), 25))
    assert np.abs(np.asarray(moving_average(jnp.asarray(x), 25), float) - exact).max() <= np.spacing(np.float32(1e6))
    assert_matches_float64(lambda x: normalise_windows(x)[0], 1e6 + noise)
    assert not np.asarray(normalise_windows(jnp.full((1, 336, 1), 1234567.0))[0]).any(), "a constant has no shape"


@pytest.mark.parametrize("broken", [0, 50])
def test_a_missing_value_spoils_its_neighbours_only(broken):
    with jax.debug_nans(False):
        averaged = moving_average(jnp.arange(100.0).reshape(1, 100, 1).at[0, broken].set(jnp.nan), 9)
    assert np.isnan(averaged).sum() == (9 if broken else 5)


def test_circular_conv_meets_its_ends(as_installed):
    x = jnp.arange(5.0).reshape(1, 5, 1)
    kernel = jnp.array([1.0, 10.0, 100.0]).reshape(3, 1, 1)
    assert circular_conv(x, kernel)[0, :, 0].tolist() == [104.0, 210.0, 321.0, 432.0, 43.0]
    assert_equivariant(
        lambda x: circular_conv(x, kernel),
        x,
        elements=[1, 3],
        act_in=lambda g, x: jnp.roll(x, g, 1),
        act_out=lambda g, y: jnp.roll(y, g, 1),
        tolerance=1e-6,
    )
    with pytest.raises(ValueError, match="width 2"):
        circular_conv(x, kernel[:2])
    with pytest.raises(ValueError, match="kernel reads 1 channels and x has 2"):
        circular_conv(jnp.zeros((1, 5, 2)), kernel)


def test_moving_average_and_dlinear(as_installed):
    x = normal(0, (2, 9, 1))
    padded = np.pad(np.asarray(x)[..., 0], ((0, 0), (2, 2)), mode="edge")
    expected = np.stack([padded[:, i : i + 5].mean(axis=1) for i in range(9)], axis=1)
    assert_close(moving_average(x, 5)[..., 0], expected, 1e-5)
    with pytest.raises(ValueError, match="width is 4"):
        moving_average(x, 4)
    model = DLinear(9, 4, width=3, rngs=nnx.Rngs(0))
    assert model(x).shape == (2, 4, 1)
    assert_close(model(x + 0) - model(0 * x), (model(2 * x) - model(0 * x)) / 2, 1e-5)
    assert_vmap_consistent(lambda x: model(x[None])[0], x)
    with pytest.raises(ValueError, match="reads 9"):
        model(x[:, 1:])


def test_embedding(as_installed):
    embedding = SeriesEmbedding(2, 4, mark_dim=3, dropout=0.5, rngs=nnx.Rngs(0))
    x, marks = jnp.zeros((1, 5, 2)), jnp.ones((1, 5, 3))
    assert_close(embedding(x)[0], sinusoidal_positions(5, 4), 1e-6)
    assert float(jnp.abs(embedding(x, marks) - embedding(x)).min()) > 0
    dropped = embedding(x, marks, KEY)
    assert 0 < float((dropped == 0).mean()) < 1 and (dropped == embedding(x, marks, KEY)).all()
    with pytest.raises(ValueError, match="x has 3 channels"):
        embedding(jnp.zeros((1, 5, 3)))
    with pytest.raises(ValueError, match=r"needs \(1, 5, 3\)"):
        embedding(x, jnp.ones((1, 5, 2)))
    with pytest.raises(ValueError, match="dim is 3"):
        sinusoidal_positions(4, 3)


def test_dropout(as_installed):
    x = jnp.ones(10_000)
    out = dropout(x, 0.25, KEY)
    assert abs(float(out.mean()) - 1) < 0.02
    assert_close(np.unique(np.asarray(out)), [0, 4 / 3], 1e-6)
    assert dropout(x, 0.25, None) is x and dropout(x, 0.0, KEY) is x
    with pytest.raises(ValueError, match="rate is 1"):
        dropout(x, 1.0, KEY)
