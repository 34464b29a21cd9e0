"""Figures of the claims and of the notebook; matplotlib figures, closed."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from quire.common import plots
from quire.common.fields.contours import contour
from quire.common.plots import Axes, Figure

COLOURS = {"NAISR": "#c0392b", "A-SDF": "#2471a3", "DeepSDF": "#b9770e", "truth": plots.GREY}
COVARIATE_COLOURS = {"arms": "#6c3483", "legs": "#117864"}
FILL = "#d5d8dc"


def _fill(panel: Axes, outline: np.ndarray) -> None:
    panel.fill(*outline.T, color=FILL, lw=0)


def _lines(panel: Axes, values: np.ndarray, axis: np.ndarray, **style: Any) -> None:
    for line in contour(values, (axis, axis)):
        panel.plot(*line.T, **style)


def _square(panel: Axes) -> None:
    panel.set(xlim=(-1, 1), ylim=(-1, 1), aspect="equal", xticks=[], yticks=[])


def starmen(outlines: np.ndarray, covariates: np.ndarray) -> Figure:
    """Visits (rows) of subjects (columns), `[subjects, visits, v, 2]`, with their covariates."""
    columns, rows = outlines.shape[:2]
    figure, panels = plots.axes(columns, rows, width=1.8, height=1.9, frame="none")
    for i, j in np.ndindex(rows, columns):
        _fill(panels[i, j], outlines[j, i])
        _square(panels[i, j])
        arms, legs = covariates[j, i].round(1) + 0.0
        panels[i, j].set_title(f"arms {arms:+.1f}, legs {legs:+.1f}", fontsize="small")
        panels[i, 0].set_ylabel(f"visit {i + 1}")
    return figure


def contours(outlines: np.ndarray, fields: Mapping[str, np.ndarray], most: int = 6) -> Figure:
    """Test shapes (columns) and methods (rows): the true shape filled, zero contours of fields `[T, G, G]` as lines."""
    count = min(most, len(outlines))
    figure, panels = plots.axes(count, len(fields), width=1.45, height=1.5, frame="none")
    for row, (name, values) in zip(panels, fields.items(), strict=True):
        axis = np.linspace(-1, 1, values.shape[-1])
        for each, outline, field in zip(row, outlines, values, strict=False):
            _fill(each, outline)
            _lines(each, field, axis, color=COLOURS.get(name, "black"), lw=1.5)
            _square(each)
        row[0].set_ylabel(name)
    return figure


def share_bars(shares: Mapping[str, float]) -> Figure:
    """One seed: where the area lies that a covariate changes, by method and covariate."""
    figure, ((panel,),) = plots.axes(width=5.4, height=3)
    names = ("NAISR", "A-SDF", "truth")
    for shift, covariate in ((-0.2, "arms"), (0.2, "legs")):
        bars = panel.bar(
            np.arange(3) + shift,
            [shares[f"{name}, {covariate}"] for name in names],
            width=0.38,
            color=COVARIATE_COLOURS[covariate],
            label=f"{covariate} varied",
        )
        panel.bar_label(bars, fmt="%.2f", fontsize="small")
    plots.level(panel, shares["evenly spread"], "evenly spread")
    panel.set(
        xticks=range(3), xticklabels=names, ylabel="share of changed area\namong the legs", ylim=(0, 1.35), xlim=(-0.6, 3.2)
    )
    panel.set_yticks(np.linspace(0, 1, 6))
    panel.legend(frameon=False, fontsize="small", loc="upper left", ncols=2)
    return figure


def covariate_grid(fields: np.ndarray, arms: Sequence[float], legs: Sequence[float], template: np.ndarray) -> Figure:
    """Zero contours of `[arms, legs, G, G]`: arms from row to row, legs from column to column, the template dotted."""
    figure, panels = plots.axes(len(legs), len(arms), width=1.5, height=1.6, frame="none")
    axis = np.linspace(-1, 1, fields.shape[-1])
    for row, values, c1 in zip(panels, fields, arms, strict=True):
        for each, field, c2 in zip(row, values, legs, strict=True):
            _lines(each, template, axis, color=plots.GREY, lw=0.8, ls=":")
            _lines(each, field, axis, color=COLOURS["NAISR"], lw=1.6)
            _square(each)
            if c1 == arms[0]:
                each.set_title(f"legs {c2:+.1f}", fontsize="small")
        row[0].set_ylabel(f"arms {c1:+.1f}")
    return figure


def displacement_arrows(points: np.ndarray, moved: Mapping[str, np.ndarray], titles: Mapping[str, str]) -> Figure:
    """Displacements `[k, 2]` by covariate at points `[k, 2]` of the template's contour.

    Arrows show where the surface goes, which is against the displacement: the template is asked at `p + d(p)`.
    """
    figure, (panels,) = plots.axes(len(moved), width=3.4, height=3.5, frame="none")
    for each, (name, d) in zip(panels, moved.items(), strict=True):
        each.plot(*np.concatenate([points, points[:1]]).T, ".", color=plots.GREY, ms=2)
        each.quiver(
            *points.T, *-d.T, color=COVARIATE_COLOURS.get(name, "black"), angles="xy", scale_units="xy", scale=1, width=0.006
        )
        each.set_title(titles[name], fontsize="medium")
        _square(each)
    return figure


def area_curves(values: Sequence[float], areas: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray]) -> Figure:
    """Area against each covariate alone, and the true one of the average starman dashed."""
    figure, (panels,) = plots.axes(len(areas), width=3.4, height=2.9, sharey=True)
    for each, (name, area) in zip(panels, areas.items(), strict=True):
        each.plot(values, area, "o-", color=COVARIATE_COLOURS.get(name, "black"), ms=3, label="NAISR, code zero")
        each.plot(values, truth[name], "--", color=plots.GREY, label="truth, average starman")
        each.set(xlabel=f"{name}, the other covariate 0")
        each.legend(frameon=False, fontsize="small")
    panels[0].set_ylabel("area (the square has 4)")
    return figure


def losses(curves: np.ndarray, every: int = 10) -> Figure:
    """Training losses `[seeds, steps]`, smoothed."""
    figure, ((panel,),) = plots.axes(width=4.6, height=2.8)
    smooth = [plots.smooth(curve, every) for curve in curves]
    plots.band(panel, smooth[0][0], np.stack([y for _, y in smooth]), color=COLOURS["NAISR"])
    panel.set(xlabel="step", ylabel=f"loss, mean of {every} steps", yscale="log")
    return figure
