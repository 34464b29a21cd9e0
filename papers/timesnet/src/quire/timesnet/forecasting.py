"""Long-term forecasting (section 4.1): TimesNet, its ablation without folding, DLinear, and forecasts that know nothing."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from quire.common.checks import check_at_least
from quire.common.data.source import Source, open_or
from quire.common.data.time_series import Series, SeriesName, generated_series, long_series, windows
from quire.common.layers.dlinear import DLinear
from quire.common.metrics.forecast import mae, mse, repeat_last
from quire.common.random import generator
from quire.timesnet.comparison import Comparison
from quire.timesnet.config import Forecasting, Size, Training
from quire.timesnet.models import Forecaster, TimesNetConfig
from quire.timesnet.training import Runs, predict, train

VALIDATION_WINDOWS = 512
SHOWN = 3
"""Test windows whose forecasts come back for pictures."""


def open_series(name: SeriesName, *, fallback: bool = False) -> Source[Series]:
    """A long series, or with `fallback` a generated one where it is not on this machine."""
    return open_or(lambda: long_series(name), generated_series if fallback else None, instead_of=name)


def config_for(size: Size, **task: Any) -> TimesNetConfig:
    """Size of the preset and what the task adds."""
    return TimesNetConfig(**vars(size), **task)


def window_at(length: int, data: dict[str, Any], step: jax.Array) -> tuple[jax.Array, jax.Array]:
    """`BatchAt` of windows: values and calendar features of `length` steps from each of `starts[step]` on."""
    index = data["starts"][step][:, None] + jnp.arange(length)[None]
    return data["values"][index], data["marks"][index]


def window_data(values: np.ndarray, marks: np.ndarray, last: int, length: int, training: Training, keys: jax.Array) -> Any:
    """Data of `window_at`: random windows that end before `last`, other ones for each key."""
    shape = training.steps, training.batch_size
    starts = np.stack([generator(key).integers(0, last - length + 1, shape) for key in keys])
    same = [np.broadcast_to(x.astype(np.float32), (len(keys), *x.shape)) for x in (values, marks)]
    return {"values": same[0], "marks": same[1], "starts": starts}


def spaced(first: int, last: int, count: int | None) -> np.ndarray:
    """Whole numbers from `first` to `last`, all of them or `count` equally spaced.

    Raises:
        ValueError: if there are none, or the count is below 1.
    """
    check_at_least("last", last, first)
    check_at_least("count", 1 if count is None else count)
    count = last - first + 1 if count is None else min(count, last - first + 1)
    return np.linspace(first, last, count).astype(int)


def forecast_loss(seq_len: int, model: nnx.Module, batch: tuple[jax.Array, jax.Array], key: jax.Array) -> jax.Array:
    """Mean squared error of the forecast from the first `seq_len` steps of windows."""
    values, marks = batch
    return jnp.mean((model(values[:, :seq_len], marks[:, :seq_len], key) - values[:, seq_len:]) ** 2)


def train_forecaster(build, series: Series, task: Forecasting, horizon: int, training: Training, keys: jax.Array) -> Runs:
    """One forecaster per key, by `build(rngs)`, on the training part of a series."""
    values, length = series.standardised().astype(np.float32), task.seq_len + horizon
    end, validation_end, _ = series.ends
    starts = spaced(end - task.seq_len, validation_end - length, VALIDATION_WINDOWS)
    known, target = _split(series, values, starts, task.seq_len, length)

    def validate(graph, epochs, run):
        outputs = predict((graph, epochs), known, training.batch_size)
        return np.mean((outputs - target) ** 2, axis=(1, 2, 3))

    data = window_data(values, series.marks, end, length, training, keys)
    loss = partial(forecast_loss, task.seq_len)
    return train(build, loss, partial(window_at, length), data, training, keys, validate)


def _split(series: Series, values: np.ndarray, starts: np.ndarray, seq_len: int, length: int):
    """`(windows, marks)` that a model reads, and what follows."""
    whole = windows(values, starts, length)
    marks = windows(series.marks.astype(np.float32), starts, seq_len)
    return (whole[:, :seq_len], marks), whole[:, seq_len:]


def compare_forecasters(task: Forecasting, keys: jax.Array, *, fallback: bool = False) -> dict[str, Any]:
    """Test errors of all forecasters, averaged over series and horizons.

    Returns:
        `mse` and `mae`, each by method `[seeds]`; `shown`, windows of the first setting `[seeds, windows, steps]` (one channel):
        what was read, what came, and the forecasts by method; `data` and `stand_in_for`.
    """
    found = Comparison()
    for name in task.series:
        source = open_series(name, fallback=fallback)
        for horizon in task.horizons:
            known, target, forecasts = forecast_all(source.value, task, horizon, keys)
            scores = {
                metric: {method: [error(v, target) for v in values] for method, values in forecasts.items()}
                for metric, error in (("mse", mse), ("mae", mae))
            }
            setting = f"{source.name} {task.seq_len}→{horizon}, {len(target)} test windows"
            found.add(source, setting, scores, {"shown": _shown(known[0], target, forecasts, len(keys))})
    return found.result()


def forecast_all(series: Series, task: Forecasting, horizon: int, keys: jax.Array):
    """What the models read, what came, and the forecasts `[seeds, windows, horizon, channels]` by method."""
    channels, mark_dim = series.values.shape[1], series.marks.shape[1]
    shape = {"seq_len": task.seq_len, "pred_len": horizon, "channels": channels, "mark_dim": mark_dim}
    builders = {
        "TimesNet": (lambda rngs: Forecaster(config_for(task.model, **shape), rngs=rngs), task.training),
        "1-D blocks": (lambda rngs: Forecaster(config_for(task.model, **shape, folded=False), rngs=rngs), task.training),
        "DLinear": (lambda rngs: DLinear(task.seq_len, horizon, rngs=rngs), task.linear),
    }
    values, (_, start, end) = series.standardised().astype(np.float32), series.ends
    starts = spaced(start, end - horizon, task.num_windows) - task.seq_len
    known, target = _split(series, values, starts, task.seq_len, task.seq_len + horizon)
    forecasts = {
        name: predict(train_forecaster(build, series, task, horizon, training, keys), known, training.batch_size)
        for name, (build, training) in builders.items()
    }
    past = np.moveaxis(known[0], 1, 2)
    naive = {
        "repeat last day": repeat_last(past, horizon, min(24, task.seq_len)),
        "repeat last": repeat_last(past, horizon),
        "window mean": np.broadcast_to(past.mean(axis=2, keepdims=True), (*past.shape[:2], horizon)),
    }
    forecasts |= {name: np.moveaxis(np.broadcast_to(x, (len(keys), *x.shape)), 2, 3) for name, x in naive.items()}
    return known, target, forecasts


def _shown(known: np.ndarray, target: np.ndarray, forecasts: dict[str, np.ndarray], seeds: int) -> dict[str, np.ndarray]:
    """Some windows of the first channel, with a leading axis of seeds."""
    some = np.linspace(0, len(target) - 1, SHOWN).astype(int)
    fixed = {"known": known[some][..., 0], "target": target[some][..., 0]}
    return {name: np.broadcast_to(x, (seeds, *x.shape)) for name, x in fixed.items()} | {
        name: values[:, some][..., 0] for name, values in forecasts.items()
    }
