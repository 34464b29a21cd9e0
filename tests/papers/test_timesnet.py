"""TimesNet: golden vectors of the authors' code, heads, converter, protocols, claims."""

import re
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from quire.common.data.cases import generated_cases
from quire.common.data.m4 import generated_short_series
from quire.common.data.telemetry import generated_telemetry
from quire.common.layers.timesnet import Inception, TimesBlock, fft_periods
from quire.common.losses.forecast import mape_loss, mase_loss, smape_loss
from quire.common.metrics.anomaly import anomaly_threshold, detection, point_adjust
from quire.common.metrics.forecast import mape, mase, smape
from quire.common.testing import assert_close, assert_vmap_consistent, max_relative_error
from quire.timesnet import anomalies, benchmark, classification, forecasting, imputation, short_term
from quire.timesnet.comparison import Comparison
from quire.timesnet.config import PRESETS, QUICK, Size, Training
from quire.timesnet.convert import config_of, load_timesnet, set_inception
from quire.timesnet.models import (
    Classifier,
    Forecaster,
    Imputer,
    Reconstructor,
    TimesNetConfig,
    anomaly_score,
    representation_cka,
)
from quire.timesnet.training import predict, train

KEY = jax.random.key(0)
periods_of = jax.jit(fft_periods, static_argnums=1)


@partial(jax.jit, static_argnums=0)
def run(graph, params, *inputs):
    """One program for all models of one graph."""
    return nnx.merge(graph, params)(*inputs)


WHOLE_MODELS = ("long_term_forecast", "imputation", "anomaly_detection", "classification")


@pytest.fixture(scope="module")
def vectors(golden):
    return golden("timesnet")


def params(case, dtype=np.float32):
    return {name.removeprefix("param/"): x.astype(dtype) for name, x in case.items() if name.startswith("param/")}


def inputs(case, dtype, *names):
    return [jnp.asarray(case[name].astype(dtype)) for name in names]


def count(arrays, pattern):
    return len({match[1] for name in arrays if (match := re.match(pattern, name))})


# --- Golden vectors ---


def golden_periods(vectors, dtype):
    case = vectors.case("fft")
    (x,) = inputs(case, dtype, "x")
    frequency, period, weight = periods_of(x, int(case["k"]))
    amplitude = np.abs(np.fft.rfft(np.asarray(x), axis=1)).mean(axis=(0, 2))
    amplitude[0] = 0
    return {"fft/top_freq": frequency, "fft/period": period, "fft/weight": weight, "fft/amp_mean": amplitude}


def inception_of(arrays, prefix, dtype):
    names = [name for name in arrays if re.fullmatch(re.escape(prefix) + r"kernels\.\d+\.weight", name)]
    sizes = [arrays[name].shape[2:] for name in sorted(names, key=lambda n: int(re.findall(r"\d+", n)[-1]))]
    out, channels = arrays[names[0]].shape[:2]
    layer = Inception(channels, out, sizes, rngs=nnx.Rngs(0))
    set_inception(layer, arrays, prefix.rstrip("."), dtype)
    return layer


def golden_inception(vectors, dtype):
    case = vectors.case("inception_v1")
    x = case["x_nchw"].transpose(0, 2, 3, 1).astype(dtype)
    y = jax.jit(inception_of(params(case, dtype), "", dtype))(x)
    return {"inception_v1/y_nchw": np.asarray(y).transpose(0, 3, 1, 2)}


def golden_block(vectors, dtype):
    case = vectors.case("timesblock")
    weights = params(case, dtype)
    up, down = (inception_of(weights, f"conv.{i}.", dtype) for i in (0, 2))
    hidden, dim = up.biases[0].shape[0], down.biases[0].shape[0]
    block = TimesBlock(dim, hidden, top_k=int(case["k"]), num_kernels=len(up.kernels), rngs=nnx.Rngs(0))
    block.up, block.down = up, down
    (x,) = inputs(case, dtype, "x")
    return {"timesblock/y": jax.jit(block)(x), "timesblock/period": periods_of(x, int(case["k"]))[1]}


def golden_m4(vectors, dtype):
    case = vectors.case("m4loss")
    f, y, mask, insample = inputs(case, dtype, "forecast", "target", "mask", "insample")
    frequency = int(case["freq"])
    f64, y64 = np.asarray(case["forecast"]), np.asarray(case["target"])

    @jax.jit
    def losses(f, y, mask, insample):
        return smape_loss(f, y, mask), mape_loss(f, y, mask), mase_loss(insample, f, y, frequency, mask)

    return {
        **dict(zip(("m4loss/smape", "m4loss/mape", "m4loss/mase"), losses(f, y, mask, insample), strict=True)),
        "m4eval/smape2": smape(f64, y64),
        "m4eval/mape": mape(f64, y64),
        "m4eval/mase_series0": mase(case["insample"][0], f64[0], y64[0], frequency),
    }


def golden_anomalies(vectors, dtype):
    case = vectors.case("anomaly")
    threshold = anomaly_threshold(case["train_score"], case["test_score"], float(case["ratio_percent"]))
    flags, truth = case["test_score"] > threshold, case["gt"] > 0
    adjusted = point_adjust(flags, truth)
    return {
        "anomaly/threshold": threshold,
        "anomaly/pred_raw": flags,
        "anomaly/pred_adjusted": adjusted,
        "anomaly/prf_raw": np.array(detection(flags, truth)),
        "anomaly/prf_adjusted": np.array(detection(adjusted, truth)),
    }


masked_mse = jax.jit(imputation.masked_mse)


def golden_models(vectors, dtype):
    def load(kind, case):
        return load_timesnet(kind, params(case, dtype), top_k=int(vectors["fft/k"]), dtype=dtype)

    case, ours = vectors.case("long_term_forecast"), {}
    x, marks = inputs(case, dtype, "x", "x_mark")
    forecast = jax.jit(load(Forecaster, case))
    ours |= {"long_term_forecast/y": forecast(x, marks), "long_term_forecast/y_nomark": forecast(x)}

    case = vectors.case("imputation")
    x, mask, marks = inputs(case, dtype, "x_full", "mask", "x_mark")
    y = jax.jit(load(Imputer, case))(x, mask, marks)
    missing = np.asarray(mask) == 0
    ours |= {
        "imputation/y": y,
        "imputation/masked_mse": masked_mse(y, x, mask),
        "imputation/masked_mae": np.abs(np.asarray(y) - np.asarray(x))[missing].mean(),
    }

    case = vectors.case("anomaly_detection")
    (x,) = inputs(case, dtype, "x")
    y = jax.jit(load(Reconstructor, case))(x)
    ours |= {"anomaly_detection/y": y, "anomaly_detection/score": jax.jit(anomaly_score)(x, y)}

    case = vectors.case("classification")
    x, mask = inputs(case, dtype, "x", "padding_mask")
    return ours | {"classification/y": jax.jit(load(Classifier, case))(x, mask)}


GOLDEN = (golden_periods, golden_inception, golden_block, golden_m4, golden_anomalies, golden_models)
INPUTS = (
    r"fft/[xk]|inception_v1/x_nchw|timesblock/[xk]|m4loss/(forecast|target|mask|insample|freq)"
    r"|anomaly/(train_score|test_score|gt|ratio_percent)|\w+/(x|x_mark|x_full|mask|padding_mask)|\w+/param/.*"
)


@pytest.mark.parametrize(("dtype", "tolerance"), [(jnp.float64, 1e-9), (jnp.float32, 2e-4)], ids=["f64", "f32"])
def test_golden_vectors(vectors, dtype, tolerance):
    """Every array of the file is an input or is compared."""
    ours = {}
    with jax.enable_x64(dtype == jnp.float64):
        for part in GOLDEN:
            ours |= part(vectors, dtype)
    assert ours.keys() == {name for name in vectors.arrays if not re.fullmatch(INPUTS, name)}
    for name, value in ours.items():
        # the authors' table of positions is computed in float32, which whole models in float64 see
        allowed = max(tolerance, 2e-7) if name.split("/")[0] in WHOLE_MODELS else tolerance
        assert max_relative_error(value, vectors[name]) <= allowed, name


# --- Converter ---


def test_sizes_are_read_from_the_arrays(vectors):
    case = vectors.case("long_term_forecast")
    config = config_of(Forecaster, params(case), top_k=int(vectors["fft/k"]))
    assert (config.seq_len, config.pred_len, config.channels) == (case["x"].shape[1], case["y"].shape[1], case["x"].shape[2])
    assert config.num_layers == count(case, r"param/model\.(\d+)\.") and config.form == "square"


@pytest.mark.parametrize("form", ["square", "factorised"])
def test_converter_takes_both_inceptions(form):
    config = TimesNetConfig(8, 2, pred_len=4, dim=4, hidden_dim=3, num_layers=2, top_k=2, num_kernels=4, form=form, dropout=0.0)
    model = Forecaster(config, rngs=nnx.Rngs(0))
    backbone = model.backbone
    arrays = {
        "enc_embedding.value_embedding.tokenConv.weight": np.asarray(backbone.embedding.value[...]).transpose(2, 1, 0),
        "layer_norm.weight": np.asarray(backbone.norm.scale[...]),
        "layer_norm.bias": np.asarray(backbone.norm.bias[...]),
        "predict_linear.weight": np.asarray(model.extend.kernel[...]).T,
        "predict_linear.bias": np.asarray(model.extend.bias[...]),
        "projection.weight": np.asarray(model.project.kernel[...]).T,
        "projection.bias": np.asarray(model.project.bias[...]),
    }
    for layer, block in enumerate(backbone.blocks):
        for place, part in ((0, block.up), (2, block.down)):
            for i, (kernel, bias) in enumerate(zip(part.kernels, part.biases, strict=True)):
                arrays[f"model.{layer}.conv.{place}.kernels.{i}.weight"] = np.asarray(kernel[...]).transpose(3, 2, 0, 1)
                arrays[f"model.{layer}.conv.{place}.kernels.{i}.bias"] = np.asarray(bias[...])
    loaded = load_timesnet(Forecaster, arrays, top_k=2)
    x = np.random.default_rng(0).standard_normal((2, 8, 2)).astype(np.float32)
    assert_close(run(*nnx.split(loaded), x), run(*nnx.split(model), x), 1e-6)


def test_converter_errors(as_installed, vectors):
    arrays = params(vectors.case("imputation"))
    with pytest.raises(ValueError, match=r"nothing for predict_linear\.weight"):
        load_timesnet(Forecaster, arrays, top_k=2)
    with pytest.raises(ValueError, match=r"missing: layer_norm\.bias"):
        load_timesnet(Imputer, {n: x for n, x in arrays.items() if n != "layer_norm.bias"}, top_k=2)
    with pytest.raises(ValueError, match=r"layer_norm\.weight is \(3,\), not "):
        load_timesnet(Imputer, {**arrays, "layer_norm.weight": np.ones(3)}, top_k=2)
    with pytest.raises(ValueError, match="is it a TimesNet"):
        load_timesnet(Imputer, {n: x for n, x in arrays.items() if "kernels" not in n}, top_k=2)


# --- Models ---

SMALL = TimesNetConfig(8, 2, dim=4, hidden_dim=3, num_layers=2, top_k=2, num_kernels=2, mark_dim=3, dropout=0.5)
X, MARKS = np.random.default_rng(0).standard_normal((3, 8, 2)).astype(np.float32), np.ones((3, 8, 3), np.float32)


def test_forecasts_follow_level_and_scale():
    forecaster = nnx.split(Forecaster(replace(SMALL, pred_len=5), rngs=nnx.Rngs(0)))
    y, scaled = (np.asarray(run(*forecaster, x, MARKS)) for x in (X, 100 * X + 7))
    assert y.shape == (3, 5, 2)
    assert_close(scaled, 100 * y + 7, 1e-3)
    assert (y != np.asarray(run(*forecaster, X, MARKS, KEY))).any(), "a key turns dropout on"


def test_imputation_never_sees_what_is_missing():
    imputer = nnx.split(Imputer(replace(SMALL, num_layers=1), rngs=nnx.Rngs(0)))
    mask = (np.random.default_rng(1).random(X.shape) < 0.5).astype(np.float32)
    mask[0, :, 0] = 0
    out, other = (run(*imputer, x, mask, MARKS) for x in (X, np.where(mask > 0, X, np.float32(1e3))))
    assert np.isfinite(out).all(), "a channel without any observation"
    assert_close(other, out, 1e-6)


def test_classification_ignores_padding():
    model = Classifier(replace(SMALL, num_layers=1, mark_dim=0, num_classes=3), rngs=nnx.Rngs(0))
    mask = np.ones((3, 8), np.float32)
    mask[:, 6:] = 0

    @jax.jit
    @partial(jax.value_and_grad, has_aux=True)
    def score(mask, x):
        y = model(x, mask)
        return y.sum(), y

    (_, y), gradient = score(mask, X)
    assert y.shape == (3, 3) and np.isfinite(gradient).all()


def test_a_sample_of_its_own_has_its_own_periods():
    model = Reconstructor(replace(SMALL, mark_dim=0), rngs=nnx.Rngs(0))
    assert_vmap_consistent(jax.jit(lambda x: model(x[None])[0]), X, tolerance=1e-4)


@pytest.mark.parametrize("num_layers", [1, 2])
def test_similarity_of_layers(num_layers):
    graph, params = nnx.split(Reconstructor(replace(SMALL, mark_dim=0, num_layers=num_layers), rngs=nnx.Rngs(0)))
    similarity = float(jax.jit(lambda params, x: representation_cka(nnx.merge(graph, params), x))(params, X))
    assert 0 < similarity <= 1 and (num_layers > 1 or similarity < 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seq_len": 1}, "seq_len is 1"),
        ({"pred_len": -1}, "pred_len -1"),
        ({"top_k": 5}, "top_k is 5; 8 steps"),
        ({"dim": 0}, "dim is 0"),
        ({"num_layers": 0}, "num_layers is 0"),
        ({"mark_dim": -1}, "mark_dim is -1; it must be at least 0"),
        ({"num_kernels": 0}, "num_kernels is 0"),
        ({"form": "round"}, "form is 'round'"),
        ({"dropout": 1.0}, "dropout is 1.0"),
    ],
)
def test_impossible_sizes(as_installed, change, message):
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **change)


def test_wrong_inputs(as_installed):
    with pytest.raises(ValueError, match="pred_len is 0"):
        Forecaster(SMALL, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="num_classes is 0"):
        Classifier(SMALL, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="dim is 5"):
        Reconstructor(replace(SMALL, dim=5), rngs=nnx.Rngs(0))(X)
    with pytest.raises(ValueError, match="reads 8"):
        Forecaster(replace(SMALL, pred_len=2), rngs=nnx.Rngs(0))(X[:, 1:])
    with pytest.raises(ValueError, match=r"mask has shape \(3, 8\)"):
        Imputer(SMALL, rngs=nnx.Rngs(0))(X, X[..., 0])
    with pytest.raises(ValueError, match=r"a mask \(3, 8\)"):
        Classifier(replace(SMALL, num_classes=2), rngs=nnx.Rngs(0))(X, np.ones((3, 7), np.float32))


# --- Protocols ---


def test_interpolation():
    x, mask = np.array([[0.0, 5, 9, 2], [1, 2, 3, 4]]), np.array([[1.0, 0, 0, 1], [0, 0, 0, 0]])
    assert_close(imputation.interpolate(x, mask), [[0, 2 / 3, 4 / 3, 2], [0, 0, 0, 0]], 1e-12)
    full = np.random.default_rng(0).random((3, 20))
    seen = np.random.default_rng(1).random((3, 20)) < 0.6
    expected = [np.interp(np.arange(20), np.flatnonzero(s), row[s]) for row, s in zip(full, seen, strict=True)]
    assert_close(imputation.interpolate(full, seen.astype(float)), expected, 1e-12)


def test_gaps_lie_apart(as_installed):
    task = QUICK.gaps
    x, mask = imputation.draw_gaps(task, np.random.default_rng(0), 8)
    assert ((1 - mask).sum(axis=1) == task.num_gaps * task.gap).all()
    lag = x[:, task.period :] - x[:, : -task.period]
    assert float(lag.std()) < 0.5 < float(x.std()), "the pattern repeats up to noise"
    for change, message in (({"gap": 100}, "gap is 100"), ({"num_gaps": 0}, "num_gaps is 0"), ({"period": -1}, "period is -1")):
        with pytest.raises(ValueError, match=message):
            imputation.draw_gaps(replace(task, **change), np.random.default_rng(0), 1)


def test_windows_of_anomalies_cover_the_series(as_installed):
    x = np.arange(25.0)[:, None]
    windows = anomalies.cut(x, 10)
    assert windows[:, 0, 0].tolist() == [0, 10, 15]
    assert anomalies.join(windows[..., 0], 25).tolist() == x[:, 0].tolist()
    assert anomalies.join(anomalies.cut(x[:20], 10)[..., 0], 20).tolist() == x[:20, 0].tolist()
    for call, message in (
        (lambda: anomalies.cut(x[:5], 10), "x has 5 steps"),
        (lambda: anomalies.cut(x, 0), "length is 0"),
        (lambda: anomaly_score(np.zeros((2, 5, 3)), np.zeros((2, 1, 3))), r"reconstruction \(2, 1, 3\)"),
        (lambda: forecasting.spaced(5, 4, None), "last is 4; it must be at least 5"),
        (lambda: forecasting.spaced(0, 4, 0), "count is 0"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_what_was_observed_does_not_count_as_an_error(as_installed):
    target, mask = np.array([[np.nan, 3.0], [2.0, 5.0]], np.float32), np.array([[1, 0], [1, 0]])
    with jax.debug_nans(False):
        assert float(masked_mse(np.ones((2, 2)), target, mask)) == 10
    assert float(masked_mse(mask, mask, np.ones((2, 2)))) == 0
    with pytest.raises(ValueError, match="output, target, mask have shapes"):
        imputation.masked_mse(target, target, mask[0])


def test_cuts_of_short_series():
    series = generated_short_series(5)
    series = replace(series, insamples=tuple(np.arange(1.0, n + 1) for n in (3, 60, 700, 700, 700)))
    data = series.padded().astype(np.float32), *short_term.draw_cuts(series, np.random.default_rng(0), (2, 64))
    x, target, mask = map(np.asarray, jax.jit(short_term.cut_batch, static_argnums=0)(series.horizon, data, 1))
    assert x.shape == (64, 96) and target.shape == mask.shape == (64, 48)
    joined = np.concatenate([x, np.where(mask > 0, target, 0)], axis=1)
    steps = np.diff(joined, axis=1)[(joined[:, 1:] > 0) & (joined[:, :-1] > 0)]
    assert (steps == 1).all(), "windows are pieces of the series"
    assert (x[:, -1] > 0).all() and (mask[:, 0] > 0).all(), "something lies on each side of a cut"


def test_predictions_in_batches():
    graph, states = train_two(replace(SMALL, mark_dim=0, num_layers=1, dropout=0.0))
    inputs = np.random.default_rng(0).standard_normal((7, 8, 2)).astype(np.float32)
    out = predict((graph, states), (inputs,), 3)
    assert out.shape == (2, 7, 8, 2)
    second = jax.tree.map(lambda x: np.asarray(x)[1], states)
    assert_close(out[1, 3:6], run(graph, second, inputs[3:6]), 1e-5)
    assert_close(out[1, 6:], run(graph, second, inputs[6:]), 1e-5)
    own = predict((graph, states), (np.stack([inputs, 2 * inputs]),), 3, own=True)
    assert_close(own[0], out[0], 1e-6)
    assert_close(own[1], 2 * out[1], 1e-2)


TWO_STEPS = Training(4, 2, 1e-2)


def train_two(config, training=TWO_STEPS, validate=None):
    return train(
        lambda rngs: Reconstructor(config, rngs=rngs),
        anomalies.reconstruction_loss,
        lambda data, step: data[step],
        np.random.default_rng(0).standard_normal((2, 4, 2, 8, 2)).astype(np.float32),
        training,
        jax.random.split(KEY, 2),
        validate,
    )


def test_epochs_are_chosen_by_validation(as_installed):
    config = replace(SMALL, mark_dim=0, num_layers=1)
    losses, seen = np.array([[1.0, 0.0], [0.0, 1.0]]), []

    def validate(graph, epochs, run):
        seen.append((run, np.asarray(epochs["project"]["bias"][...])))
        return losses[run]

    training = Training(4, 2, 1e-2, "halve", epochs=2)
    _, kept = train_two(config, training, validate)
    bias = np.asarray(kept["project"]["bias"][...])
    for run, (number, epochs) in enumerate(seen):
        best = losses[run].argmin()
        assert number == run and (bias[run] == epochs[best]).all() and (bias[run] != epochs[1 - best]).any()
    assert len(seen) == 2 and (seen[0][1] != seen[1][1]).any()
    with pytest.raises(ValueError, match="early stopping needs validate"):
        train_two(config, training)


def test_scores_of_bytes_and_of_other_shapes(as_installed):
    x, mask = np.array([200, 7, 100], np.uint8), np.array([1, 0, 3])
    assert imputation.interpolate(x, mask).tolist() == [200, 150, 100]
    assert imputation.observed_mean(x, mask).tolist() == [150, 150, 150]
    assert float(imputation.masked_mse(x, x[::-1], np.zeros(3))) == pytest.approx(20000 / 3)
    for form in (imputation.interpolate, imputation.observed_mean):
        with pytest.raises(ValueError, match=r"x has shape \(3,\) and mask \(1,\)"):
            form(x, mask[:1])
        with pytest.raises(ValueError, match="of one step or more"):
            form(x[:0], mask[:0])


@pytest.mark.parametrize(
    ("message", "call"),
    [
        ("total is 4; 2 windows of 5", lambda: anomalies.join(np.zeros((2, 5)), 4)),
        ("total is 5; 2 windows of 5", lambda: anomalies.join(np.zeros((2, 5)), 5)),
        ("total is 11; 2 windows of 5", lambda: anomalies.join(np.zeros((2, 5)), 11)),
        (r"inputs hold \[3, 4\] examples", lambda: predict((None, None), (np.zeros((3, 2)), np.zeros((4, 2))), 2)),
        ("number of data sets is 0", lambda: Comparison().result()),
        (r"rates is \(0.5, 1.0\)", lambda: replace(QUICK.imputation, rates=(0.5, 1.0))),
        ("batch is 0", lambda: replace(QUICK.classification, batch=0)),
        ("column is -1", lambda: replace(QUICK.anomalies, column=-1)),
        ("ratio is nan", lambda: replace(QUICK.anomalies, ratio=float("nan"))),
        ("steps of a series is 1", lambda: short_term.draw_cuts(one_step_series(), np.random.default_rng(0), (2,))),
    ],
)
def test_what_protocols_refuse(as_installed, message, call):
    with pytest.raises(ValueError, match=message):
        call()


def one_step_series():
    series = generated_short_series()
    return replace(series, insamples=[series.insamples[0], series.insamples[1][:1]])


# --- Claims ---

_TINY = Size(dim=4, hidden_dim=4, num_layers=1, top_k=2, num_kernels=1, dropout=0.0)
_SHORT = Training(2, 2, 1e-3, epochs=2)
TINY = replace(
    QUICK,
    draws=5,
    forecasting=replace(
        QUICK.forecasting, seq_len=24, horizons=(24,), model=_TINY, training=_SHORT, linear=_SHORT, num_windows=5
    ),
    imputation=replace(QUICK.imputation, seq_len=24, model=_TINY, training=_SHORT, num_windows=5),
    gaps=replace(QUICK.gaps, seq_len=24, period=8, gap=3, model=_TINY, training=replace(_SHORT, epochs=1), num_windows=5),
    short_term=replace(QUICK.short_term, model=_TINY, training=_SHORT),
    classification=replace(QUICK.classification, model=_TINY, training=replace(_SHORT, optimiser="radam")),
    anomalies=replace(QUICK.anomalies, seq_len=25, model=_TINY, training=_SHORT),
)


def test_scores_that_learn_nothing():
    channel = generated_telemetry(1, length=800, num_columns=3)[0]
    for column in (0, None):
        scores = anomalies.naive_scores(channel, replace(TINY.anomalies, column=column))
        assert all(score.shape == channel.truth.shape for score in scores.values())


def test_channels_of_all_widths_share_one_model_size(monkeypatch):
    """Columns that a channel lacks change neither the length of its scores nor the number that enters them."""
    narrow, wide = (generated_telemetry(1, length=600, num_columns=n)[0] for n in (2, 4))
    trained, runs = anomalies._train_reconstructors, []

    def train_once(*args):  # the column is chosen after training
        runs.append(runs[0] if runs else trained(*args))
        return runs[-1]

    monkeypatch.setattr(anomalies, "_train_reconstructors", train_once)
    for column in (0, None):
        scores = anomalies.reconstruct([narrow, wide], replace(TINY.anomalies, column=column), jnp.stack([KEY]))
        for channel, (first, second) in zip((narrow, wide), scores, strict=True):
            assert first.shape == (1, len(channel.train)) and second.shape == (1, len(channel.test))
            assert np.isfinite(first).all() and (second > 0).any()


def test_epochs_of_a_classifier_are_chosen_on_held_out_cases(as_installed, monkeypatch):
    seen = []
    monkeypatch.setattr(classification, "train", lambda *args: seen.append(args[3][0][2].shape) or args[-1])
    cases = generated_cases()
    count = len(cases.train_labels)
    classification.train_classifier(cases, TINY.classification, jnp.stack([KEY]))
    classification.train_classifier(cases, replace(TINY.classification, training=TWO_STEPS), jnp.stack([KEY]))
    assert seen == [(1, count - -(-count // 5)), (1, count)]


def test_the_mean_of_what_was_observed():
    x, mask = np.array([[9.0, 1.0, 3.0], [5.0, 5.0, 5.0]]), np.array([[0, 1, 1], [0, 0, 0]])
    assert imputation.observed_mean(x, mask).tolist() == [[2.0, 2.0, 2.0], [0.0, 0.0, 0.0]]


def test_presets_differ_in_size_only():
    assert set(PRESETS) == {"quick", "standard", "paper"}
    assert len({type(preset) for preset in PRESETS.values()}) == 1
    for preset in PRESETS.values():
        for task in (
            preset.forecasting,
            preset.imputation,
            preset.gaps,
            preset.short_term,
            preset.classification,
            preset.anomalies,
        ):
            assert task.training.steps % task.training.epochs == 0
    assert PRESETS["paper"].forecasting.horizons == (96, 192, 336, 720)


@pytest.mark.parametrize("name", ["standard", "paper"])
def test_models_of_larger_presets_fit_together(name):
    """Traced, not run: the losses of a forecaster at the farthest horizon and of a classifier, at the sizes of the preset."""
    task = PRESETS[name].forecasting
    length, batch = task.seq_len + max(task.horizons), task.training.batch_size
    config = forecasting.config_for(task.model, seq_len=task.seq_len, pred_len=max(task.horizons), channels=7, mark_dim=4)
    forecaster = nnx.eval_shape(lambda: Forecaster(config, rngs=nnx.Rngs(0)))
    values, marks = (jax.ShapeDtypeStruct((batch, length, n), np.float32) for n in (7, 4))
    assert (
        nnx.eval_shape(lambda m, *data: forecasting.forecast_loss(task.seq_len, m, data, KEY), forecaster, values, marks).shape
        == ()
    )
    config = forecasting.config_for(PRESETS[name].classification.model, seq_len=29, channels=12, num_classes=9)
    classifier = nnx.eval_shape(lambda: Classifier(config, rngs=nnx.Rngs(0)))
    data = (jax.ShapeDtypeStruct(*of) for of in (((4, 29, 12), np.float32), ((4, 29), np.float32), ((4,), np.int32)))
    assert nnx.eval_shape(lambda m, *data: classification.class_loss(m, data, KEY), classifier, *data).shape == ()


def test_benchmark_forms_agree(monkeypatch):
    for name in ("TOP_K", "NUM_KERNELS"):
        monkeypatch.setattr(benchmark, name, 2)
    forms = [jax.jit(case.function)(*case.args) for case in benchmark.cases(24, KEY).values()]
    for other in forms[1:]:
        assert_close(other, forms[0], 1e-4)
