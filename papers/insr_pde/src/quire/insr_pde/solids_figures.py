"""Figures of deformed solids; matplotlib figures, closed."""

from collections.abc import Mapping, Sequence

import numpy as np

from quire.common import plots
from quire.common.pde.contact import Plane, Sphere
from quire.common.plots import Figure
from quire.insr_pde.figures import COLOURS

SOLID_COLOURS = {"INSR": COLOURS["INSR"], "FEM": "#2471a3", "fine FEM": "#2c3e50", "rest": "#bdc3c7"}


def _net(axes, q: np.ndarray, colour: str, every: int) -> None:
    """A square's material lines, `q [n^2, 2]` on a regular grid of n points; the boundary is drawn thicker."""
    n = round(len(q) ** 0.5)
    lines = q.reshape(n, n, 2)
    for k in range(0, n, every):
        width = 1.4 if k in (0, n - 1) else 0.5
        axes.plot(*lines[k].T, color=colour, lw=width)
        axes.plot(*lines[:, k].T, color=colour, lw=width)


def deformed_squares(
    panels: Mapping[str, np.ndarray],
    obstacle: Plane | Sphere | None = None,
    *,
    every: int = 5,
    width: float = 3.2,
    height: float = 3.0,
) -> Figure:
    """Deformed squares as nets, a panel each.

    Args:
        panels: positions `[n^2, 2]` of a regular grid by title; the title's first word picks the colour.
        obstacle: drawn where it is.
        every: material lines between two that are drawn.
        width, height: of a panel, inches.
    """
    figure, (axes,) = plots.axes(len(panels), width=width, height=height, sharex=True, sharey=True)
    for each, (title, q) in zip(axes, panels.items(), strict=True):
        if isinstance(obstacle, Sphere):
            angle = np.linspace(0, 2 * np.pi, 200)
            centre = np.array(obstacle.centre)
            each.fill(*(centre[:, None] + obstacle.radius * np.stack([np.cos(angle), np.sin(angle)])), color="#d5d8dc")
        elif obstacle is not None:
            each.axhspan(obstacle.height - 0.3, obstacle.height, color="#d5d8dc")
        _net(each, q, SOLID_COLOURS.get(title.split(",")[0], "#34495e"), every)
        each.set_aspect("equal")
        each.set_title(title, fontsize="medium")
    low = min(q[:, 1].min() for q in panels.values()) - 0.15
    high = max(q[:, 1].max() for q in panels.values()) + 0.15
    axes[0].set_ylim(low, high)
    return figure


def energies(curves: Mapping[str, np.ndarray], levels: Mapping[str, float], ylabel: str = "energy") -> Figure:
    """Energies iteration by iteration, and levels to compare with."""
    figure, ((axes,),) = plots.axes(width=5.5, height=3.2)
    for name, values in curves.items():
        axes.semilogy(np.arange(1, len(values) + 1), values, color=SOLID_COLOURS.get(name.split(",")[0]), lw=1.6, label=name)
    for (name, level), style in zip(levels.items(), ("--", ":", "-."), strict=False):
        axes.axhline(level, color=SOLID_COLOURS.get(name, "#7f8c8d"), ls=style, lw=1.2, label=name)
    axes.set(xlabel="iteration", ylabel=ylabel)
    axes.legend(frameon=False, fontsize="small")
    return figure


def penetrations(depths: Mapping[str, Sequence[float]], dt: float) -> Figure:
    """Depth of the deepest point over time, method by method."""
    figure, ((axes,),) = plots.axes(width=4.8, height=3.2)
    for name, values in depths.items():
        axes.plot(dt * np.arange(len(values)), values, "o-", color=SOLID_COLOURS.get(name, "#7f8c8d"), lw=1.6, label=name)
    axes.set(xlabel="time", ylabel="deepest point")
    axes.legend(frameon=False, fontsize="small")
    return figure


def falling_body(frames: Mapping[str, np.ndarray], faces: np.ndarray, height: float) -> Figure:
    """A deforming surface seen from the side, a panel for each time.

    Args:
        frames: vertices `[n, 3]` by title.
        faces: triangles `[f, 3]`.
        height: of the plane below.
    """
    figure, (panels,) = plots.axes(len(frames), width=3.0, height=3.4, projection="3d")
    stacked = np.concatenate(list(frames.values()))
    low, high = stacked.min(axis=0) - 0.1, stacked.max(axis=0) + 0.1
    low[2] = min(low[2], height - 0.1)
    for axes, (title, vertices) in zip(panels, frames.items(), strict=True):
        axes.plot_trisurf(*vertices.T, triangles=faces, color="#e6b0aa", edgecolor="#922b21", linewidth=0.15, shade=True)
        corners = np.array([[low[0], low[1]], [high[0], low[1]], [high[0], high[1]], [low[0], high[1]]])
        axes.plot_trisurf(*corners.T, np.full(4, height), triangles=[[0, 1, 2], [0, 2, 3]], color="#d5d8dc", alpha=0.5)
        axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), zlim=(low[2], high[2]), title=title, xticks=[], yticks=[])
        axes.set_box_aspect(high - low)
        axes.view_init(8, -70)
    return figure
