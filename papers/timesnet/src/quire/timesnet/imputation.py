"""Imputation (section 4.3): entries missing at random, and gaps in periodic series where folding reaches other cycles."""

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Real

from quire.common.checks import at_least_float32, check_at_least
from quire.common.data.time_series import Series, windows
from quire.common.random import generator
from quire.common.train.batches import stacked_batch
from quire.timesnet.comparison import Comparison
from quire.timesnet.config import Gaps, Imputation
from quire.timesnet.forecasting import VALIDATION_WINDOWS, config_for, open_series, spaced, window_at, window_data
from quire.timesnet.models import Imputer
from quire.timesnet.training import Runs, predict, train

Values = Array | np.ndarray


def masked_mse(output: Values, target: Values, mask: Values) -> Array:
    """Mean squared error over the entries that are missing (`mask` 0); 0 if none is. What was observed may be anything.

    Raises:
        ValueError: if the shapes differ.
    """
    if not output.shape == target.shape == mask.shape:
        raise ValueError(f"output, target, mask have shapes {output.shape}, {target.shape}, {mask.shape}; they must be the same")
    output, target = at_least_float32(output, target)
    missing = jnp.asarray(mask) == 0
    return jnp.sum(jnp.where(missing, output - target, 0) ** 2) / jnp.maximum(jnp.sum(missing), 1)


def interpolate(x: Float[np.ndarray, "*batch t"], mask: Real[np.ndarray, "*batch t"]) -> Float[np.ndarray, "*batch t"]:
    """Straight lines between observed entries, the nearest one beyond the ends; 0 where nothing was observed.

    Raises:
        ValueError: if the shapes differ, or there is no step.

    >>> interpolate(np.array([9.0, 1.0, 9.0, 3.0, 9.0]), np.array([0, 1, 0, 1, 0])).tolist()
    [1.0, 1.0, 2.0, 3.0, 3.0]
    """
    x = _values(x, mask)
    t = np.arange(x.shape[-1])
    seen = mask > 0
    before = np.maximum.accumulate(np.where(seen, t, -1), axis=-1)
    after = np.flip(np.minimum.accumulate(np.flip(np.where(seen, t, len(t)), -1), axis=-1), -1)
    left = np.where(before >= 0, before, after % len(t))
    right = np.where(after < len(t), after, left)
    a, b = np.take_along_axis(x, left, -1), np.take_along_axis(x, right, -1)
    share = (t - left) / np.maximum(right - left, 1)
    return np.where(seen.any(-1, keepdims=True), a + share * (b - a), 0)


def _values(x: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The series in floating point, for differences of bytes wrap around."""
    if x.shape != mask.shape or not x.shape or not x.shape[-1]:
        raise ValueError(f"x has shape {x.shape} and mask {mask.shape}; they must be the same, of one step or more")
    return x if np.issubdtype(x.dtype, np.floating) else x.astype(float)


# --- Entries missing at random ---


def imputation_loss(rate: float, model: nnx.Module, batch: tuple[Array, Array], key: jax.Array) -> Array:
    """`masked_mse` of a fresh mask: every entry is missing with probability `rate`."""
    values, marks = batch
    mask = jax.random.bernoulli(jax.random.fold_in(key, 0), 1 - rate, values.shape).astype(values.dtype)
    return masked_mse(model(values, mask, marks, jax.random.fold_in(key, 1)), values, mask)


def compare_imputers(task: Imputation, keys: jax.Array, *, fallback: bool = False) -> dict[str, Any]:
    """Error on missing entries of test windows, averaged over series and rates.

    Returns:
        `mse` by method `[seeds]`; `shown`, a window of the first setting `[seeds, steps]` (one channel): truth, mask and
        imputations by method; `data` and `stand_in_for`.
    """
    found = Comparison()
    for name in task.series:
        source = open_series(name, fallback=fallback)
        for rate in task.rates:
            truth, mask, imputed = impute_all(source.value, task, rate, keys)
            errors = {method: [float(masked_mse(v, truth, mask)) for v in values] for method, values in imputed.items()}
            setting = f"{source.name}, {100 * rate:g} % missing, {len(truth)} windows of {task.seq_len}"
            found.add(source, setting, {"mse": errors}, {"shown": _shown(truth, mask, imputed, len(keys))})
    return found.result()


def _shown(truth: np.ndarray, mask: np.ndarray, imputed: dict[str, np.ndarray], seeds: int) -> dict[str, np.ndarray]:
    """The first channel of the window in the middle, with a leading axis of seeds."""
    middle, fixed = len(truth) // 2, {"truth": truth, "mask": mask}
    return {name: np.broadcast_to(x[middle, :, 0], (seeds, x.shape[1])) for name, x in fixed.items()} | {
        name: x[:, middle, :, 0] for name, x in imputed.items()
    }


def impute_all(series: Series, task: Imputation, rate: float, keys: jax.Array):
    """Test windows, their mask, and imputations `[seeds, windows, steps, channels]` by method."""
    _, validation_end, end = series.ends
    x, mask, marks = masked_windows(series, task.seq_len, rate, validation_end, end, task.num_windows, seed=0)
    trained = {
        name: predict(train_imputer(series, task, rate, keys, folded=folded), (x, mask, marks), task.training.batch_size)
        for name, folded in (("TimesNet", True), ("1-D blocks", False))
    }
    first = np.moveaxis(x, 1, 2), np.moveaxis(mask, 1, 2)
    naive = {"linear interpolation": interpolate(*first), "window mean": observed_mean(*first)}
    everywhere = {name: np.broadcast_to(np.moveaxis(v, 1, 2), (len(keys), *x.shape)) for name, v in naive.items()}
    return x, mask, trained | everywhere


def masked_windows(
    series: Series, seq_len: int, rate: float, first: int, last: int, count: int | None, *, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Windows between two steps, a mask in which each entry is missing with probability `rate`, and calendar features."""
    starts = spaced(first, last - seq_len, count)
    x, marks = (windows(np.asarray(a, np.float32), starts, seq_len) for a in (series.standardised(), series.marks))
    mask = (np.random.default_rng(seed).random(x.shape) >= rate).astype(np.float32)
    return x, mask, marks


def train_imputer(series: Series, task: Imputation, rate: float, keys: jax.Array, *, folded: bool = True) -> Runs:
    """One imputer per key on the training part of a series."""
    values = series.standardised().astype(np.float32)
    train_end, validation_end, _ = series.ends
    data = window_data(values, series.marks, train_end, task.seq_len, task.training, keys)
    held = masked_windows(series, task.seq_len, rate, train_end, validation_end, VALIDATION_WINDOWS, seed=1)
    shape = {"seq_len": task.seq_len, "channels": values.shape[1], "mark_dim": series.marks.shape[1]}
    config = config_for(task.model, **shape, folded=folded)

    def validate(graph, epochs, run):
        outputs = predict((graph, epochs), held, task.training.batch_size)
        return np.array([float(masked_mse(out, held[0], held[1])) for out in outputs])

    loss, batch_at = partial(imputation_loss, rate), partial(window_at, task.seq_len)
    return train(lambda rngs: Imputer(config, rngs=rngs), loss, batch_at, data, task.training, keys, validate)


def observed_mean(x: Float[np.ndarray, "*batch t"], mask: Real[np.ndarray, "*batch t"]) -> Float[np.ndarray, "*batch t"]:
    """Mean of what was observed, on every step; 0 where nothing was.

    Raises:
        ValueError: if the shapes differ, or there is no step.

    >>> observed_mean(np.array([9.0, 1.0, 3.0]), np.array([0, 1, 1])).tolist()
    [2.0, 2.0, 2.0]
    """
    x, seen = _values(x, mask), mask > 0
    observed = np.where(seen, x, 0).sum(-1, keepdims=True)
    return np.broadcast_to(observed / np.maximum(seen.sum(-1, keepdims=True, dtype=x.dtype), 1), x.shape)


# --- Gaps in periodic series ---

CHANNELS, HARMONICS, NOISE = 2, 6, 0.2


def draw_gaps(task: Gaps, rng: np.random.Generator, count: int) -> tuple[Float[np.ndarray, "n t c"], Float[np.ndarray, "n t c"]]:
    """Periodic series with gaps: a random pattern of 6 harmonics for each sample and channel, repeated, plus noise.

    Harmonic h has normal coefficients of size `1 / sqrt(h)`, the fundamental 1.5 times as much; noise has size 0.2. The gaps
    lie one in each equal part of the window.

    Returns:
        Series and mask, 0 in the gaps, float32.

    Raises:
        ValueError: for a size below 1, or gaps that do not fit into the window.
    """
    for name in ("seq_len", "period", "num_gaps", "gap"):
        check_at_least(name, getattr(task, name))
    part = task.seq_len // task.num_gaps
    if part < task.gap:
        raise ValueError(f"gap is {task.gap}; {task.num_gaps} gaps in {task.seq_len} steps have at most {part}")
    h = np.arange(1, HARMONICS + 1)
    size = np.where(h == 1, 1.5, 1.0) / np.sqrt(h)
    phase = 2 * np.pi * np.arange(task.seq_len)[:, None] * h / task.period
    waves = np.concatenate([np.sin(phase), np.cos(phase)], axis=1)
    coefficients = np.tile(size, 2)[:, None] * rng.standard_normal((count, 2 * HARMONICS, CHANNELS))
    x = waves @ coefficients + NOISE * rng.standard_normal((count, task.seq_len, CHANNELS))
    first = rng.integers(0, part - task.gap + 1, (count, 1, CHANNELS, task.num_gaps)) + part * np.arange(task.num_gaps)
    step = np.arange(task.seq_len)[:, None, None] - first
    mask = 1 - np.any((step >= 0) & (step < task.gap), axis=-1)
    return x.astype(np.float32), mask.astype(np.float32)


def gap_loss(model: nnx.Module, batch: tuple[Array, Array], key: jax.Array) -> Array:
    """`masked_mse` on the gaps."""
    x, mask = batch
    return masked_mse(model(x, mask, None, key), x, mask)


def train_on_gaps(task: Gaps, keys: jax.Array, *, folded: bool = True, top_k: int | None = None) -> Runs:
    """An imputer per key on fresh series, with folding or without, with k of the preset or another."""
    size = replace(task.model, top_k=top_k or task.model.top_k)
    config = config_for(size, seq_len=task.seq_len, channels=CHANNELS, folded=folded)

    steps, batch_size = task.training.steps, task.training.batch_size
    drawn = [draw_gaps(task, generator(key), steps * batch_size) for key in keys]
    data = tuple(
        np.stack(part).reshape(len(keys), steps, batch_size, task.seq_len, CHANNELS) for part in zip(*drawn, strict=True)
    )

    return train(lambda rngs: Imputer(config, rngs=rngs), gap_loss, stacked_batch, data, task.training, keys)


def compare_on_gaps(task: Gaps, keys: jax.Array) -> dict[str, Any]:
    """Error on the gaps of test series.

    Returns:
        `mse` by method `[seeds]`; `shown`, one test series as in `compare_imputers`.
    """
    x, mask = draw_gaps(task, np.random.default_rng(0), task.num_windows)
    first = np.moveaxis(x, 1, 2), np.moveaxis(mask, 1, 2)
    runs = {"TimesNet": train_on_gaps(task, keys), "1-D blocks": train_on_gaps(task, keys, folded=False)}
    if task.fewer_periods:
        runs[f"TimesNet, k = {task.fewer_periods}"] = train_on_gaps(task, keys, top_k=task.fewer_periods)
    imputed = {name: predict(run, (x, mask), task.training.batch_size) for name, run in runs.items()}
    fixed = {"linear interpolation": interpolate(*first), "zero": np.zeros_like(first[0])}
    imputed |= {name: np.broadcast_to(np.moveaxis(v, 1, 2), (len(keys), *x.shape)) for name, v in fixed.items()}
    mse = {name: np.array([float(masked_mse(v, x, mask)) for v in values]) for name, values in imputed.items()}
    shown = {name: np.broadcast_to(a[0, :, 0], (len(keys), x.shape[1])) for name, a in (("truth", x), ("mask", mask))}
    return {"mse": mse, "shown": shown | {name: values[:, 0, :, 0] for name, values in imputed.items()}}
