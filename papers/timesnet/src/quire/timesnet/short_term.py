"""Short-term forecasting (section 4.2): the M4 competition, by sMAPE, MASE and OWA against Naive2."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array

from quire.common.checks import check_at_least
from quire.common.data.m4 import Group, ShortSeries, generated_short_series, m4
from quire.common.data.source import Source, open_or
from quire.common.losses.forecast import smape_loss
from quire.common.metrics.forecast import naive2, owa, repeat_last, smape
from quire.common.random import generator
from quire.timesnet.comparison import Comparison
from quire.timesnet.config import ShortTerm
from quire.timesnet.forecasting import config_for
from quire.timesnet.models import Forecaster
from quire.timesnet.training import Runs, predict, train


def open_group(group: Group, *, fallback: bool = False) -> Source[ShortSeries]:
    """A group of M4, or with `fallback` generated series where it is not on this machine."""
    return open_or(lambda: m4(group), generated_short_series if fallback else None, instead_of="M4")


def draw_cuts(series: ShortSeries, rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Random series, and for each a random point within its last `history * horizon` steps, counted from the end: at least one
    step lies on either side.

    Raises:
        ValueError: if there is no series, or one has a single step.
    """
    check_at_least("number of series", len(series.insamples))
    check_at_least("steps of a series", min(map(len, series.insamples)), 2)
    row = rng.integers(0, len(series.insamples), shape)
    lengths = np.array([len(x) for x in series.insamples])
    return row, rng.integers(1, np.minimum(lengths[row], int(series.history * series.horizon) + 1))


Draws = Array | np.ndarray


def cut_batch(horizon: int, data: tuple[Draws, Draws, Draws], step: Array | int) -> tuple[Array, Array, Array]:
    """The batch of a step.

    Args:
        horizon: steps after a cut.
        data: known parts aligned at their ends `[n, longest]`; for every step, series and cuts `[steps, b]` from `draw_cuts`.
        step: number of the batch.

    Returns:
        The `2 * horizon` steps before the cut (zeros before the beginning), the `horizon` steps after it, and which of these are
        known.
    """
    values, rows, cuts = data
    row, cut = rows[step], values.shape[1] - cuts[step]
    index = cut[:, None] + jnp.arange(-2 * horizon, horizon)[None]
    known = (index >= 0) & (index < values.shape[1])
    window = jnp.where(known, values[row[:, None], jnp.clip(index, 0, values.shape[1] - 1)], 0)
    return window[:, : 2 * horizon], window[:, 2 * horizon :], known[:, 2 * horizon :].astype(window.dtype)


def cut_loss(model: nnx.Module, batch: tuple[Array, Array, Array], key: jax.Array) -> Array:
    """sMAPE of the known steps after the cut."""
    x, target, mask = batch
    return smape_loss(model(x[..., None], None, key)[..., 0], target, mask)


def train_short_term(series: ShortSeries, task: ShortTerm, keys: jax.Array) -> Runs:
    """One forecaster per key; every series is scaled by its own mean, which sMAPE does not see."""
    horizon = series.horizon
    config = config_for(task.model, seq_len=2 * horizon, pred_len=horizon, channels=1)
    values = (series.padded() / _levels(series)).astype(np.float32)
    shape = task.training.steps, task.training.batch_size
    drawn = [draw_cuts(series, generator(key), shape) for key in keys]
    rows, cuts = (np.stack(part) for part in zip(*drawn, strict=True))
    data = np.broadcast_to(values, (len(keys), *values.shape)), rows, cuts

    def validate(graph, epochs, run):
        # the last horizon of the known part, which training windows also see: M4 has no other validation data
        known, target = _last_windows(series, before=horizon)
        outputs = predict((graph, epochs), (known,), len(known))[..., 0]
        return smape(outputs, np.broadcast_to(target, outputs.shape)).mean(axis=(1, 2))

    batch_at = partial(cut_batch, horizon)
    return train(lambda rngs: Forecaster(config, rngs=rngs), cut_loss, batch_at, data, task.training, keys, validate)


def _levels(series: ShortSeries) -> np.ndarray:
    """Mean size of every series, by which it is scaled, `[n, 1]`; 1 for one that is 0."""
    return np.array([[np.abs(x).mean() or 1.0] for x in series.insamples])


def _last_windows(series: ShortSeries, *, before: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The `2 * horizon` steps before the last `before` ones of every series `[n, 2 h, 1]`, and these; each series by its mean."""
    padded = series.padded() / _levels(series)
    end = padded.shape[1] - before
    window = np.pad(padded, ((0, 0), (2 * series.horizon, 0)))[:, end : end + 2 * series.horizon]
    return window[..., None].astype(np.float32), padded[:, end:].astype(np.float32)


def compare_short_term(task: ShortTerm, keys: jax.Array, *, fallback: bool = False) -> dict[str, Any]:
    """Scores averaged over groups, weighted by their numbers of series.

    Returns:
        `owa`, `smape`, `mase` by method `[seeds]`; `shown`, series of the first group `[seeds, series, steps]`; `data` and
        `stand_in_for`.
    """
    found = Comparison()
    for group in task.groups:
        source = open_group(group, fallback=fallback)
        series = source.value
        runs = train_short_term(series, task, keys)
        outputs = predict(runs, _last_windows(series)[:1], 64)[..., 0] * _levels(series)
        naive = {
            "repeat last season": [repeat_last(x, series.horizon, min(series.frequency, len(x))) for x in series.insamples],
            "Naive2": [naive2(x, series.horizon, series.frequency) for x in series.insamples],
        }
        rows = {"TimesNet": [_evaluate(series, output) for output in outputs]}
        rows |= {name: [_evaluate(series, np.stack(values))] * len(keys) for name, values in naive.items()}
        scores = {metric: {m: [row[metric] for row in of_method] for m, of_method in rows.items()} for metric in METRICS}
        forecasts = {"TimesNet": outputs} | {name: np.broadcast_to(np.stack(v), outputs.shape) for name, v in naive.items()}
        count = len(series.insamples)
        shown = {"shown": _shown(series, forecasts, len(keys))}
        found.add(source, f"{series.name}, {count} series", scores, shown, weight=count)
    return found.result()


METRICS = ("owa", "smape", "mase")


def _evaluate(series: ShortSeries, forecasts: np.ndarray) -> dict[str, float]:
    return owa(series.insamples, forecasts, series.targets, series.frequency)


def _shown(series: ShortSeries, forecasts: dict[str, np.ndarray], seeds: int) -> dict[str, np.ndarray]:
    some = np.linspace(0, len(series.insamples) - 1, 3).astype(int)
    known = np.stack([np.pad(series.insamples[i], (2 * series.horizon, 0))[-2 * series.horizon :] for i in some])
    fixed = {"known": known, "target": series.targets[some]}
    return {name: np.broadcast_to(x, (seeds, *x.shape)) for name, x in fixed.items()} | {
        name: values[:, some] for name, values in forecasts.items()
    }
