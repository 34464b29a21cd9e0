"""Figures of the claims and of the notebook; matplotlib figures, closed."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

COLOURS = ["#c0392b", "#34495e", "#2980b9", "#95a5a6", "#e67e22"]


def _axes(columns: int = 1, *, width: float = 4.4, height: float = 3.2):
    figure = Figure(figsize=(width * columns, height), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, columns))
    for each in axes:
        each.spines[["top", "right"]].set_visible(False)
    return figure, axes


def costs(
    degrees: Sequence[int], flops: Mapping[str, Sequence[float]], timed: Sequence[int], times: Mapping[str, Sequence[float]]
) -> Figure:
    """Operations and times against the degree, log-log."""
    figure, (left, right) = _axes(2)
    for (name, values), colour in zip(flops.items(), COLOURS[1:] + COLOURS[:1], strict=False):
        left.loglog(degrees, values, "o-", color=colour, label=name)
    for (name, values), colour in zip(times.items(), (COLOURS[0], COLOURS[2], COLOURS[1]), strict=True):
        right.loglog(timed[: len(values)], 1e3 * np.array(values), "o-", color=colour, label=name)
    for each, ticks, label in ((left, degrees, "operations"), (right, timed, "time (ms)")):
        each.set_xticks(ticks, [str(t) for t in ticks])
        each.minorticks_off()
        each.set(xlabel="degree L", ylabel=label)
        each.legend(frameon=False, fontsize="small")
    return figure


def fields(values: Mapping[str, np.ndarray]) -> Figure:
    """Functions on the sphere `[polar angle, azimuth]` as maps, a panel each."""
    figure = Figure(figsize=(3.3 * len(values), 2.2), layout="constrained")
    for axes, (name, f) in zip(np.atleast_1d(figure.subplots(1, len(values))), values.items(), strict=True):
        limit = np.abs(f).max()
        axes.imshow(f, cmap="RdBu_r", vmin=-limit, vmax=limit, extent=(0, 360, 180, 0), aspect="auto")
        axes.set(title=name, xlabel="azimuth (°)", xticks=[0, 180, 360], yticks=[0, 90, 180])
    figure.axes[0].set_ylabel("polar angle (°)")
    return figure


def matrices(values: Mapping[str, np.ndarray]) -> Figure:
    """Magnitudes of arrays as images, a panel each."""
    figure = Figure(figsize=(3.3 * len(values), 3.0), layout="constrained")
    for axes, (name, a) in zip(np.atleast_1d(figure.subplots(1, len(values))), values.items(), strict=True):
        half = a.shape[0] // 2
        image = axes.imshow(np.abs(a), cmap="magma", extent=(-half - 0.5, half + 0.5, half + 0.5, -half - 0.5))
        axes.set(title=name, xlabel="v (azimuth)", ylabel="u (polar angle)")
        figure.colorbar(image, ax=axes, shrink=0.8)
    return figure


def force_fields(found: Mapping[str, Any]) -> Figure:
    """Training losses of both products, and predicted against true forces of the Gaunt force field."""
    figure, (left, right) = _axes(2)
    for (tp, name), colour in zip((("gaunt", "Gaunt product"), ("cg", "symmetric contraction")), COLOURS, strict=False):
        losses = np.asarray(found[tp]["losses"])
        smooth = np.convolve(losses, np.ones(10) / 10, "valid")
        left.semilogy(np.arange(len(smooth)) + 10, smooth, color=colour, label=name)
    left.set(xlabel="step", ylabel="training loss")
    left.legend(frameon=False)
    true, predicted = np.asarray(found["forces"]).ravel(), np.asarray(found["gaunt"]["predicted"]).ravel()
    limit = np.percentile(np.abs(true), 99.5)
    right.plot(true, predicted, ".", ms=2, color=COLOURS[0], alpha=0.4, rasterized=True)
    right.plot([-limit, limit], [-limit, limit], color=COLOURS[3], lw=1)
    right.set(xlabel="force (eV/Å)", ylabel="predicted (eV/Å)", xlim=(-limit, limit), ylim=(-limit, limit))
    return figure


def training_curves(curves: Mapping[str, np.ndarray]) -> Figure:
    """Smoothed training losses."""
    figure, (axes,) = _axes()
    for (name, losses), colour in zip(curves.items(), COLOURS, strict=False):
        smooth = np.convolve(np.asarray(losses), np.ones(15) / 15, "valid")
        axes.plot(np.arange(len(smooth)) + 15, smooth, color=colour, label=name)
    axes.set(xlabel="step", ylabel="training loss")
    axes.legend(frameon=False)
    return figure
