"""Anomaly detection (section 4.5): windows are reconstructed, and large errors are flagged."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from quire.common.checks import check_at_least
from quire.common.data.source import Source, open_or
from quire.common.data.telemetry import Telemetry, anomaly_set, generated_telemetry, spacecraft
from quire.common.metrics.anomaly import anomaly_threshold, detection, point_adjust
from quire.common.random import generator
from quire.timesnet.config import Anomalies
from quire.timesnet.forecasting import config_for
from quire.timesnet.models import Reconstructor
from quire.timesnet.training import Runs, predict, train


def open_telemetry(task: Anomalies, *, fallback: bool = False) -> Source[list[Telemetry]]:
    """Channels or sets of the preset, or with `fallback` generated channels where they are not on this machine."""

    def load() -> list[Telemetry]:
        return [anomaly_set(name) for name in task.sets] if task.sets else spacecraft(task.channels)

    return open_or(load, generated_telemetry if fallback else None, instead_of="MSL and SMAP")


def cut(x: Float[np.ndarray, "t d"], length: int) -> Float[np.ndarray, "n length d"]:
    """Windows side by side; the last one ends where the series ends, and so may overlap the one before.

    Raises:
        ValueError: if the series is shorter than a window, or a window has no step.
    """
    check_at_least("length", length)
    if len(x) < length:
        raise ValueError(f"x has {len(x)} steps; a window has {length}")
    starts = np.minimum(np.arange(0, len(x), length), len(x) - length)
    return x[starts[:, None] + np.arange(length)]


def join(values: Float[np.ndarray, "n length"], total: int) -> Float[np.ndarray, " total"]:
    """Inverse of `cut` for one number a step; steps of two windows take that of the first.

    Raises:
        ValueError: if so many steps are not cut into so many windows.
    """
    length = check_at_least("length", values.shape[1])
    if total < length or -(-total // length) != len(values):
        raise ValueError(f"total is {total}; {len(values)} windows of {length} come of another number of steps")
    whole, rest = divmod(total, length)
    tail = values[whole][-rest:] if rest else values[:0].reshape(-1)
    return np.concatenate([values[:whole].reshape(-1), tail])


def reconstruction_loss(model: nnx.Module, batch: Array, key: jax.Array) -> Array:
    """Mean squared error of the window."""
    return jnp.mean((batch - model(batch, key)) ** 2)


def _same_length(arrays: list[np.ndarray]) -> np.ndarray:
    longest = max(len(a) for a in arrays)
    return np.stack([np.pad(a, ((0, longest - len(a)), *[(0, 0)] * (a.ndim - 1))) for a in arrays])


Scores = tuple[np.ndarray, np.ndarray]
"""Of training and test steps, each `[seeds, steps]`."""


def reconstruct(channels: list[Telemetry], task: Anomalies, keys: jax.Array) -> list[Scores]:
    """Scores of all channels, a model for each and each seed.

    Columns that a channel lacks are constant, so that one program serves channels of any width: a constant is normalised to 0,
    moves no period, and its reconstruction has next to no error.
    """
    width = max(channel.train.shape[1] for channel in channels)
    scaled = [tuple(_widened(part, width) for part in channel.standardised()) for channel in channels]
    pairs = [(c, s) for c in range(len(channels)) for s in range(len(keys))]
    runs = _train_reconstructors(scaled, pairs, task, keys)
    windows = [[cut(part, task.seq_len) for part in channel] for channel in scaled]
    both = [np.concatenate(parts) for parts in windows]
    inputs = _same_length([both[c] for c, _ in pairs])
    error = (predict(runs, (inputs,), 1, own=True) - inputs) ** 2
    scores = []
    for c, (channel, (train_windows, _)) in enumerate(zip(channels, windows, strict=True)):
        own = error[[r for r, pair in enumerate(pairs) if pair[0] == c], ..., : channel.train.shape[1]]
        own = own.mean(-1) if task.column is None else own[..., task.column]
        split = len(train_windows)
        parts = ((own[:, :split], len(channel.train)), (own[:, split : len(both[c])], len(channel.test)))
        first, second = (np.stack([join(seed, total) for seed in part]) for part, total in parts)
        scores.append((first, second))
    return scores


def _widened(x: Float[np.ndarray, "t d"], width: int) -> Float[np.ndarray, "t width"]:
    return np.pad(x, ((0, 0), (0, width - x.shape[1]))).astype(np.float32)


def _train_reconstructors(
    scaled: list[tuple[np.ndarray, ...]], pairs: list[tuple[int, int]], task: Anomalies, keys: jax.Array
) -> Runs:
    """A model for every pair of a channel and a seed, on random windows of the training part."""
    length, training = task.seq_len, task.training
    run_keys = jnp.stack([jax.random.fold_in(keys[s], c) for c, s in pairs])
    padded = _same_length([scaled[c][0] for c, _ in pairs])
    shape = training.steps, training.batch_size
    starts = [
        generator(key).integers(0, len(scaled[c][0]) - length + 1, shape) for key, (c, _) in zip(run_keys, pairs, strict=True)
    ]
    config = config_for(task.model, seq_len=length, channels=padded.shape[2])

    def batch_at(data, step):
        series, starts = data
        return series[starts[step][:, None] + jnp.arange(length)[None]]

    def validate(graph, epochs, run):
        x = cut(scaled[pairs[run][0]][0], length)[::10]
        return np.mean((predict((graph, epochs), (x,), training.batch_size) - x) ** 2, axis=(1, 2, 3))

    data = padded, np.stack(starts)
    return train(lambda rngs: Reconstructor(config, rngs=rngs), reconstruction_loss, batch_at, data, training, run_keys, validate)


def compare_detectors(task: Anomalies, keys: jax.Array, *, fallback: bool = False) -> dict[str, Any]:
    """Detection averaged over channels.

    Returns:
        `auroc` by method, `f1`, `f1_adjusted` of TimesNet, each `[seeds]`; `by_channel` AUROC by channel and method `[seeds]`;
        `shown`, one channel `[seeds, steps]`, and `shown_name`; `data` and `stand_in_for`.
    """
    from sklearn.metrics import roc_auc_score  # a second to import

    source = open_telemetry(task, fallback=fallback)
    channels = source.value
    scores = dict(zip((channel.name for channel in channels), reconstruct(channels, task, keys), strict=True))
    by_channel: dict[str, dict[str, np.ndarray]] = {}
    f1, adjusted = [], []
    for channel in channels:
        train_score, test_score = scores[channel.name]
        naive = naive_scores(channel, task)
        by_channel[channel.name] = {"TimesNet": np.array([roc_auc_score(channel.truth, s) for s in test_score])} | {
            name: np.full(len(keys), roc_auc_score(channel.truth, score)) for name, score in naive.items()
        }
        flags = [b > anomaly_threshold(a, b, task.ratio) for a, b in zip(train_score, test_score, strict=True)]
        f1.append([detection(flag, channel.truth).f1 for flag in flags])
        adjusted.append([detection(point_adjust(flag, channel.truth), channel.truth).f1 for flag in flags])
    methods, middle = next(iter(by_channel.values())), channels[len(channels) // 2]
    steps = sum(len(channel.test) for channel in channels)
    return {
        "auroc": {m: np.mean([values[m] for values in by_channel.values()], axis=0) for m in methods},
        "f1": np.mean(f1, axis=0),
        "f1_adjusted": np.mean(adjusted, axis=0),
        "by_channel": by_channel,
        "shown": _shown(middle, scores[middle.name][1], len(keys)),
        "shown_name": middle.name,
        "data": f"{', '.join(channel.name for channel in channels)}, {steps} test steps",
        "stand_in_for": source.stand_in_for,
    }


def naive_scores(channel: Telemetry, task: Anomalies) -> dict[str, Float[np.ndarray, " t"]]:
    """Scores that learn nothing: distance from the mean of training, and from the mean of the own window."""
    test = channel.standardised()[1]
    windows = cut(test, task.seq_len)
    residual = np.abs(windows - windows.mean(axis=1, keepdims=True))
    picked = (np.abs(test), residual)
    whole, local = (x.mean(-1) if task.column is None else x[..., task.column] for x in picked)
    return {"|z|": whole, "window mean": join(local, len(test))}


def _shown(channel: Telemetry, test_score: np.ndarray, seeds: int) -> dict[str, np.ndarray]:
    fixed = {"value": channel.standardised()[1][:, 0], "truth": channel.truth}
    return {name: np.broadcast_to(x, (seeds, *x.shape)) for name, x in fixed.items()} | {"score": test_score}
