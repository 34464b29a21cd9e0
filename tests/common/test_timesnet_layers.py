"""Blocks of TimesNet and what models of series share: periods, folding without folding, windows, averages, DLinear."""

from functools import partial

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
    assert_matches_float64,
    assert_vmap_consistent,
)

KEY = jax.random.key(0)


def normal(seed, shape, dtype=np.float32):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape).astype(dtype))


# What several tests call: compiled once per shape.
periods_of = jax.jit(fft_periods, static_argnums=1)
normalised = jax.jit(normalise_windows)
averaged = jax.jit(moving_average, static_argnums=1)
traced = jax.jit(folded_conv)


@partial(jax.jit, static_argnums=2)
def by_folding(params, x, periods):
    return times_block_by_folding(nnx.merge(GRAPH, params), x, periods)


# --- Conformance: everything that maps [b, t, dim] to [b, t, dim] ---

BLOCKS = {
    "square": lambda: TimesBlock(4, 6, top_k=2, num_kernels=3, rngs=nnx.Rngs(0)),
    "factorised": lambda: TimesBlock(4, 6, top_k=3, num_kernels=4, form="factorised", rngs=nnx.Rngs(0)),
    "one kernel": lambda: TimesBlock(4, 6, top_k=1, num_kernels=1, rngs=nnx.Rngs(0)),
    "along time": lambda: SeriesBlock(4, 6, num_kernels=3, rngs=nnx.Rngs(0)),
}


GRAPH, SQUARE = nnx.split(BLOCKS["square"]())


def with_gradients(graph):
    """`params, x -> (sum of sin y, y), gradients`, as one program."""

    def total(params, x):
        y = nnx.merge(graph, params)(x)
        return jnp.sum(jnp.sin(y)), y

    return jax.jit(jax.value_and_grad(total, argnums=(0, 1), has_aux=True))


@pytest.mark.parametrize("name", BLOCKS)
def test_blocks(name):
    """Shape, dtype and gradients; all samples are treated alike."""
    graph, params = nnx.split(BLOCKS[name]())
    run, x = with_gradients(graph), np.asarray(normal(0, (4, 7, 4)))
    (_, y), gradients = run(params, x)
    assert y.shape == x.shape and y.dtype == x.dtype
    assert all(np.abs(g).max() > 0 for g in jax.tree.leaves(gradients))
    silent = run(params, 0 * x)[1][1]
    assert np.isfinite(silent).all(), "the amplitude of a silent series has a gradient"
    order = np.array([2, 0, 3, 1])
    assert_close(run(params, x[order])[0][1], np.asarray(y)[order], 1e-5)
    if name == "along time":  # the one with code of its own; folding is called step by step where periods are looked at
        assert_close(nnx.merge(graph, params)(jnp.asarray(x)), y, 1e-5)


@pytest.mark.parametrize("name", ["square", "along time"])
def test_blocks_at_the_edge(name):
    block, x = BLOCKS[name](), np.random.default_rng(0).standard_normal((2, 8, 4)).astype(np.float32)
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
    t = np.arange(96)[:, None]
    x = np.sin(2 * np.pi * t / 24) + 0.5 * np.cos(2 * np.pi * t / 8) + 3.0
    frequency, period, weight = periods_of(np.stack([x, x]).astype(np.float32), 2)
    assert frequency.tolist() == [4, 12] and period.tolist() == [24, 8]
    assert_close(weight, np.broadcast_to([48.0, 24.0], (2, 2)), 1e-5)


def test_periods_belong_to_the_batch_and_the_constant_is_none():
    t = np.arange(48)
    loud, soft = 5 * np.sin(2 * np.pi * t / 12), np.sin(2 * np.pi * t / 6)
    x = np.stack([loud, soft])[..., None].astype(np.float32)
    assert periods_of(x, 1)[1].tolist() == [12]
    assert periods_of(x[[1, 1]], 1)[1].tolist() == [6]
    assert periods_of(x + 100, 1)[1].tolist() == [12]


def test_a_constant_has_the_longest_periods():
    frequency, period, weight = periods_of(np.ones((1, 24, 1), np.float32), 3)
    assert frequency.tolist() == [1, 2, 3] and period.tolist() == [24, 12, 8] and not np.asarray(weight).any()
    x = jnp.asarray(np.ones((1, 12, 4), np.float32))
    assert_close(BLOCKS["square"]()(x), by_folding(SQUARE, x, (12, 6)), 1e-5)


@pytest.mark.parametrize(("length", "k"), [(1, 1), (8, 5), (8, 0)])
def test_periods_refuse(as_installed, length, k):
    with pytest.raises(ValueError, match=f"k is {k} for series of {length} steps"):
        fft_periods(np.zeros((1, length, 1)), k)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 200))
def test_every_period_fits_the_canvas(length):
    periods = [length // f for f in range(1, length // 2 + 1)]
    assert max(-(-length // p) * p for p in periods) == canvas_length(length) < 2 * length


# --- Folding ---


@pytest.mark.parametrize(("length", "period"), [(2, 1), (12, 4), (13, 4), (5, 9)])
def test_unfold_inverts_fold(length, period):
    x = np.arange(2.0 * length, dtype=np.float32).reshape(1, length, 2)
    folded, back = jax.jit(lambda x: (fold(x, period), unfold(fold(x, period), length)))(x)
    assert folded.shape[2] == period and (np.asarray(back) == x).all()
    assert np.asarray(folded).sum() == x.sum()


def test_fold_refuses(as_installed):
    with pytest.raises(ValueError, match="period is 0"):
        fold(np.zeros((1, 4, 1)), 0)
    with pytest.raises(ValueError, match="length is 1; it must be at least 2"):
        canvas_length(1)
    x, kernel, bias = (np.zeros(shape, np.float32) for shape in ((1, 6, 2), (3, 3, 2, 1), (1,)))
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
        unfold(np.zeros((1, 2, 3, 1)), 7)


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (11, 11)])
def test_folded_conv_is_the_convolution_of_the_map(size):
    length, canvas = 20, canvas_length(20)
    periods = sorted({length // f for f in range(1, length // 2 + 1)})
    mapped = jax.jit(lambda x, *weights: [unfold(conv2d(fold(x, p), *weights), length) for p in periods])
    with jax.enable_x64():
        x, kernel, bias = (normal(k, s, np.float64) for k, s in enumerate(((2, length, 3), (*size, 3, 2), (2,))))
        padded = np.pad(x, ((0, 0), (0, canvas - length), (0, 0)))
        for period, expected in zip(periods, mapped(x, kernel, bias), strict=True):
            assert_close(np.asarray(traced(padded, kernel, bias, period))[:, :length], expected, 1e-13)


@pytest.mark.parametrize("period", [3, 7])
def test_derivatives_of_folded_conv_are_those_of_the_map(period):
    """Of the first 17 of 20 steps, as if the others had not been asked for."""
    with jax.enable_x64():
        x, kernel, bias, dy = (normal(k, s, np.float64) for k, s in enumerate(((2, 20, 3), (3, 5, 3, 2), (2,), (2, 17, 2))))
        padded = np.pad(x, ((0, 0), (0, canvas_length(20) - 20), (0, 0)))
        first, second = (
            jax.jit(jax.grad(lambda *a, f=f: jnp.sum(dy * f(*a)), (0, 1, 2)))(start, kernel, bias)
            for start, f in (
                (padded, lambda *a: folded_conv(*a, period, steps=17)),
                (x, lambda x, *weights: unfold(conv2d(fold(x, period), *weights), 17)),
            )
        )
        assert_close((np.asarray(first[0])[:, :20], *first[1:]), second, 1e-13)


def test_one_program_serves_all_periods():
    traces = []

    @jax.jit
    def run(params, x):
        traces.append(1)
        return nnx.merge(GRAPH, params)(x)

    seen = set()
    for seed in range(4):
        x = normal(seed, (2, 24, 4))
        periods = tuple(int(p) for p in periods_of(x, 2)[1])
        seen.add(periods)
        if seed < 2:
            assert_close(run(SQUARE, x), by_folding(SQUARE, x, periods), 1e-5)
    assert len(seen) > 1 and len(traces) == 1


@jax.jit
def shifted(x, weights, steps):
    return shift(x, steps), jax.grad(lambda x: jnp.sum(weights * shift(x, steps)))(x)


@settings(max_examples=25, deadline=None)
@given(st.integers(-12, 12))
def test_shift(steps):
    x, weights = (v.astype(np.float32).reshape(1, 8, 1) for v in (np.arange(1, 9), np.arange(8) ** 2))
    expected = [x[0, t + steps, 0] if 0 <= t + steps < 8 else 0 for t in range(8)]
    out, grad = shifted(x, weights, steps)
    assert out[0, :, 0].tolist() == [float(v) for v in expected]
    assert grad[0, :, 0].tolist() == [float((t - steps) ** 2) if 0 <= t - steps < 8 else 0.0 for t in range(8)]


def test_gradients_of_the_block():
    """Along a random direction the gradient is what a central difference finds."""
    with jax.enable_x64():
        at = jax.tree.map(lambda v: np.asarray(v, np.float64), (SQUARE, normal(0, (2, 9, 4))))
        rng = np.random.default_rng(1)
        along = jax.tree.map(lambda v: rng.standard_normal(v.shape), at)
        run = with_gradients(GRAPH)
        slope = sum(jax.tree.leaves(jax.tree.map(lambda g, v: np.sum(np.asarray(g) * v), run(*at)[1], along)))
        after, before = (float(run(*jax.tree.map(lambda v, d, h=h: v + h * d, at, along))[0][0]) for h in (1e-6, -1e-6))
    assert_close((after - before) / 2e-6, slope, 1e-5)


# --- Inception ---


@pytest.mark.parametrize(("num_kernels", "form"), [(1, "square"), (4, "square"), (5, "factorised")])
def test_merged_kernel_is_the_inception(num_kernels, form):
    with jax.enable_x64():
        sizes = inception_sizes(num_kernels, form)
        kernels = [normal(i, (*s, 2, 3), np.float64) for i, s in enumerate(sizes)]
        biases = [normal(10 + i, (3,), np.float64) for i in range(len(sizes))]
        both = jax.jit(lambda x, k, b: (conv2d(x, merge_kernels(k), sum(b) / len(b)), inception(x, k, b)))
        assert_close(*both(normal(0, (2, 4, 5, 2), np.float64), kernels, biases), 1e-13)


def test_inception_sizes_and_errors(as_installed):
    assert inception_sizes(6)[-1] == (11, 11)
    assert inception_sizes(6, "factorised") == [(1, 3), (3, 1), (1, 5), (5, 1), (1, 7), (7, 1), (1, 1)]
    with pytest.raises(ValueError, match="num_kernels is 0"):
        inception_sizes(0)
    with pytest.raises(ValueError, match="form is 'round'"):
        inception_sizes(2, "round")
    with pytest.raises(ValueError, match="sides must be odd"):
        merge_kernels([np.zeros((2, 3, 1, 1))])
    layer = Inception(3, 4, [(1, 1), (3, 3)], rngs=nnx.Rngs(0))
    assert jax.eval_shape(layer, np.zeros((1, 5, 6, 3), np.float32)).shape == (1, 5, 6, 4)


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
        x, kernel, bias = (normal(i, s, np.float64) for i, s in enumerate(((2, length, 3), (width, 3, 2), (2,))))
        assert_close(jax.jit(series_conv)(x, kernel, bias), traced(x, np.asarray(kernel)[None], bias, length), 1e-13)
    with pytest.raises(ValueError, match="width 2"):
        series_conv(np.zeros((1, 4, 3), np.float32), np.zeros((2, 3, 2), np.float32), np.zeros(2, np.float32))


def test_periods_are_sown():
    seen = jax.eval_shape(lambda params, x: capture(nnx.merge(GRAPH, params), x)[1], SQUARE, normal(0, (2, 24, 4)))
    assert seen["period"][0].shape == (2,) and seen["weight"][0].shape == (2, 2)


# --- Windows, positions, averages ---


@settings(max_examples=20, deadline=None)
@given(st.floats(-100, 100), st.floats(0.1, 50))
def test_windows_forget_level_and_scale(level, size):
    with jax.enable_x64():
        x = size * np.random.default_rng(0).standard_normal((2, 10, 3)) + level
        scaled, scale = normalised(x)
        assert_close(scale.undo(scaled), x, 1e-12)
        scaled = np.asarray(scaled)
        assert np.abs(scaled.mean(axis=1)).max() < 1e-9 and np.abs(scaled.std(axis=1) - 1).max() < 2e-2


@jax.jit
def first_gradient(x, mask):
    return jax.grad(lambda x: normalise_windows(x, mask)[0][0, 0, 0])(x)


MASK = np.array([[[1.0], [0.0], [1.0]]], np.float32)


def test_masked_windows():
    x = np.array([[[1.0], [0.0], [3.0]]], np.float32)
    scaled, scale = normalised(x, MASK)
    assert_close(scale.mean, np.full((1, 1, 1), 2.0), 1e-6)
    assert_close(scaled, np.array([[[-1.0], [0.0], [1.0]]]), 1e-4)
    assert_close(normalised(x), normalised(x, np.ones_like(MASK)), 1e-6)
    empty, scale = normalised(0 * x, 0 * MASK)
    assert not empty.any() and scale.mean.item() == 0, "nothing was observed"
    assert np.isfinite(first_gradient(x, 0 * MASK)).all()


def test_what_was_not_observed_does_not_count(as_installed):
    x = np.array([[[1.0], [np.nan], [3.0]]], np.float32)
    with jax.debug_nans(False):
        (scaled, scale), gradient = normalised(x, MASK), first_gradient(x, MASK)
    assert_close(scale.mean, np.full((1, 1, 1), 2.0), 1e-6)
    assert_close(scaled, np.array([[[-1.0], [0.0], [1.0]]]), 1e-4)
    assert np.isfinite(gradient).all()
    with pytest.raises(ValueError, match=r"observed has shape \(1, 1, 1\)"):
        normalise_windows(x, MASK[:, :1])


def test_a_large_level_costs_no_digits():
    noise = np.random.default_rng(0).standard_normal((1, 336, 1))
    assert_matches_float64(lambda x: moving_average(x, 25), 1e6 + noise)
    x = (1e6 + noise).astype(np.float32)
    with jax.enable_x64():
        exact = np.asarray(averaged(x.astype(np.float64), 25))
    assert np.abs(np.asarray(averaged(x, 25), float) - exact).max() <= np.spacing(np.float32(1e6))
    assert_matches_float64(lambda x: normalise_windows(x)[0], 1e6 + noise)
    assert not np.asarray(normalised(np.full((1, 336, 1), 1234567.0, np.float32))[0]).any(), "a constant has no shape"


@pytest.mark.parametrize("broken", [0, 50])
def test_a_missing_value_spoils_its_neighbours_only(broken):
    x = np.arange(100, dtype=np.float32).reshape(1, 100, 1)
    x[0, broken] = np.nan
    with jax.debug_nans(False):
        spoilt = averaged(x, 9)
    assert np.isnan(spoilt).sum() == (9 if broken else 5)


def test_circular_conv_meets_its_ends(as_installed):
    x = np.arange(5, dtype=np.float32).reshape(1, 5, 1)
    kernel = np.array([1, 10, 100], np.float32).reshape(3, 1, 1)
    run = jax.jit(circular_conv)
    assert run(x, kernel)[0, :, 0].tolist() == [104.0, 210.0, 321.0, 432.0, 43.0]
    assert_equivariant(
        lambda x: run(x, kernel),
        x,
        elements=[1, 3],
        act_in=lambda g, x: np.roll(x, g, 1),
        act_out=lambda g, y: np.roll(y, g, 1),
        tolerance=1e-6,
    )
    with pytest.raises(ValueError, match="width 2"):
        circular_conv(x, kernel[:2])
    with pytest.raises(ValueError, match="kernel reads 1 channels and x has 2"):
        circular_conv(np.zeros((1, 5, 2), np.float32), kernel)


def test_moving_average_and_dlinear(as_installed):
    x = np.random.default_rng(0).standard_normal((2, 9, 1)).astype(np.float32)
    padded = np.pad(x[..., 0], ((0, 0), (2, 2)), mode="edge")
    expected = np.stack([padded[:, i : i + 5].mean(axis=1) for i in range(9)], axis=1)
    assert_close(np.asarray(averaged(x, 5))[..., 0], expected, 1e-5)
    with pytest.raises(ValueError, match="width is 4"):
        moving_average(x, 4)
    model = DLinear(9, 4, width=3, rngs=nnx.Rngs(0))
    run = jax.jit(lambda x: model(x))
    y, none, twice = (np.asarray(run(scale * x)) for scale in (1, 0, 2))
    assert y.shape == (2, 4, 1)
    assert_close(y - none, (twice - none) / 2, 1e-5)
    assert_vmap_consistent(jax.jit(lambda x: model(x[None])[0]), x)
    with pytest.raises(ValueError, match="reads 9"):
        model(x[:, 1:])


def test_embedding(as_installed):
    embedding = SeriesEmbedding(2, 4, mark_dim=3, dropout=0.5, rngs=nnx.Rngs(0))
    x, marks = np.zeros((1, 5, 2), np.float32), np.ones((1, 5, 3), np.float32)
    run = jax.jit(lambda *args: embedding(*args))
    plain, marked, dropped, again = (np.asarray(run(*args)) for args in ((x,), (x, marks), (x, marks, KEY), (x, marks, KEY)))
    assert_close(plain[0], sinusoidal_positions(5, 4), 1e-6)
    assert np.abs(marked - plain).min() > 0
    assert 0 < (dropped == 0).mean() < 1 and (dropped == again).all()
    with pytest.raises(ValueError, match="x has 3 channels"):
        embedding(np.zeros((1, 5, 3), np.float32))
    with pytest.raises(ValueError, match=r"needs \(1, 5, 3\)"):
        jax.eval_shape(embedding, x, marks[..., :2])
    with pytest.raises(ValueError, match="dim is 3"):
        sinusoidal_positions(4, 3)


def test_dropout(as_installed):
    x = np.ones(10_000, np.float32)
    out = np.asarray(jax.jit(dropout, static_argnums=1)(x, 0.25, KEY))
    assert abs(out.mean() - 1) < 0.02
    assert_close(np.unique(out), [0, 4 / 3], 1e-6)
    assert dropout(x, 0.25, None) is x and dropout(x, 0.0, KEY) is x
    with pytest.raises(ValueError, match="rate is 1"):
        dropout(x, 1.0, KEY)
