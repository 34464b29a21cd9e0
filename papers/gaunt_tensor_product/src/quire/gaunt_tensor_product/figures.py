"""Figures of the claims and of the notebook; matplotlib figures, closed."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from quire.common import plots
from quire.common.plots import Figure

COLOURS = ["#c0392b", "#34495e", "#2980b9", "#95a5a6", "#e67e22"]


def costs(
    degrees: Sequence[int], flops: Mapping[str, Sequence[float]], timed: Sequence[int], times: Mapping[str, Sequence[float]]
) -> Figure:
    """Operations and times against the degree, log-log."""
    figure, ((left, right),) = plots.axes(2)
    for (name, values), colour in zip(flops.items(), COLOURS[1:] + COLOURS[:1], strict=False):
        left.loglog(degrees, values, "o-", color=colour, label=name)
    for (name, values), colour in zip(times.items(), (COLOURS[0], COLOURS[2], COLOURS[1]), strict=True):
        right.loglog(timed[: len(values)], 1e3 * np.array(values), "o-", color=colour, label=name)
    for each, ticks, label in ((left, degrees, "operations"), (right, timed, "time (ms)")):
        plots.log_ticks(each, ticks)
        each.set(xlabel="degree L", ylabel=label)
        each.legend(frameon=False, fontsize="small")
    return figure


def fields(values: Mapping[str, np.ndarray]) -> Figure:
    """Functions on the sphere `[polar angle, azimuth]` as maps, a panel each."""
    figure, (panels,) = plots.axes(len(values), width=3.3, height=2.2, frame="full")
    for axes, (name, f) in zip(panels, values.items(), strict=True):
        limit = np.abs(f).max()
        axes.imshow(f, cmap="RdBu_r", vmin=-limit, vmax=limit, extent=(0, 360, 180, 0), aspect="auto")
        axes.set(title=name, xlabel="azimuth (°)", xticks=[0, 180, 360], yticks=[0, 90, 180])
    panels[0].set_ylabel("polar angle (°)")
    return figure


def matrices(values: Mapping[str, np.ndarray]) -> Figure:
    """Magnitudes of arrays as images, a panel each."""
    figure, (panels,) = plots.axes(len(values), width=3.3, height=3.0, frame="full")
    for axes, (name, a) in zip(panels, values.items(), strict=True):
        half = a.shape[0] // 2
        image = axes.imshow(np.abs(a), cmap="magma", extent=(-half - 0.5, half + 0.5, half + 0.5, -half - 0.5))
        axes.set(title=name, xlabel="v (azimuth)", ylabel="u (polar angle)")
        figure.colorbar(image, ax=axes, shrink=0.8)
    return figure


def force_fields(found: Mapping[str, Any]) -> Figure:
    """Training losses of both products, and predicted against true forces of the Gaunt force field."""
    figure, ((left, right),) = plots.axes(2)
    for (tp, name), colour in zip((("gaunt", "Gaunt product"), ("cg", "symmetric contraction")), COLOURS, strict=False):
        left.semilogy(*plots.smooth(found[tp]["losses"], 10), color=colour, label=name)
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
    figure, ((axes,),) = plots.axes()
    for (name, losses), colour in zip(curves.items(), COLOURS, strict=False):
        axes.plot(*plots.smooth(losses, 15), color=colour, label=name)
    axes.set(xlabel="step", ylabel="training loss")
    axes.legend(frameon=False)
    return figure
