"""Figures of the claims and of the notebook; matplotlib figures, closed."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from quire.common import plots
from quire.common.data.meshes import Surface
from quire.common.plots import Axes, Figure
from quire.mosaic_sdf.mosaic import MosaicSDF

if TYPE_CHECKING:
    from mpl_toolkits.mplot3d import Axes3D
else:
    Axes3D = Any

METHOD, RIVAL, OTHER = "#c0392b", "#2c6fbb", plots.GREY
LIGHT = np.array([0.35, -0.5, 0.8])
COLOURS = ("#c0392b", "#2c6fbb", "#2e8b57", "#b8860b")
EDGES = np.array([(a, b) for a in range(8) for b in range(a + 1, 8) if bin(a ^ b).count("1") == 1])
"""Pairs of corners of a cube that differ in one coordinate, corners numbered by their bits."""


# --- Solids in space ---


def draw_surface(
    axes: Axes3D,
    surface: Surface,
    colour: str = "#9db4c8",
    values: np.ndarray | None = None,
    *,
    top: float = 1.0,
    half_width: float = 0.97,
) -> None:
    """A mesh with shaded faces, or faces coloured by a number of every vertex up to `top`; seen from above, without axes."""
    from matplotlib import colormaps, colors
    from mpl_toolkits.mplot3d.art3d import Poly3DCollection

    corners = surface.vertices[surface.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    shade = 0.62 + 0.38 * (normals / np.where(lengths > 0, lengths, 1)) @ (LIGHT / np.linalg.norm(LIGHT))
    if values is None:
        rgb = np.broadcast_to(colors.to_rgb(colour), (len(corners), 3))
    else:
        rgb = colormaps["viridis"](np.clip(values[surface.faces].mean(1) / top, 0, 1))[:, :3]
    axes.add_collection3d(Poly3DCollection(corners, facecolors=np.clip(rgb * shade[:, None], 0, 1), edgecolors="none"))
    frame_box(axes, half_width)


def frame_box(axes: Axes3D, half_width: float = 0.97) -> None:
    """The box in which solids are drawn, seen from above, without axes."""
    limits = (-half_width, half_width)
    axes.set(xlim=limits, ylim=limits, zlim=limits)
    axes.set_box_aspect((1, 1, 1), zoom=1.3)
    axes.view_init(elev=26, azim=-58)
    axes.set_axis_off()


def draw_cubes(axes: Axes3D, m: MosaicSDF, every: int, colour: str = METHOD) -> None:
    """All centres, and the edges of every so many cubes, since those of all hide each other."""
    from mpl_toolkits.mplot3d.art3d import Line3DCollection

    corners = np.array([[(i >> axis & 1) * 2 - 1 for axis in range(3)] for i in range(8)])
    axes.scatter(*np.asarray(m.centers).T, s=5, color=colour, depthshade=False)
    places = np.asarray(m.centers)[::every, None] + np.asarray(m.scales)[::every, None, None] * corners[None]
    axes.add_collection3d(Line3DCollection(places[:, EDGES].reshape(-1, 2, 3), colors=colour, linewidths=0.8, alpha=0.9))


def cubes_over(surfaces: Mapping[str, Surface], mosaics: Mapping[str, MosaicSDF], *, every: int = 6) -> Figure:
    """The centres of a mosaic and some of its cubes around its surface, one panel a shape."""
    figure, (panels,) = plots.axes(len(surfaces), width=2.6, height=2.6, projection="3d")
    for axes, (name, surface) in zip(panels, surfaces.items(), strict=True):
        draw_surface(axes, surface)
        draw_cubes(axes, mosaics[name], every)
        axes.set_title(f"{name}, {len(mosaics[name].centers)} cubes", fontsize=10)
    return figure


def solids(
    surfaces: Mapping[str, Surface], errors: Mapping[str, Float[np.ndarray, " v"]] | None = None, top: float = 0.02
) -> Figure:
    """Meshes beside each other; coloured by the distance of every vertex from the true surface where that is given."""
    figure, (panels,) = plots.axes(len(surfaces), width=1.9, height=2.1, projection="3d")
    for axes, (name, surface) in zip(panels, surfaces.items(), strict=True):
        values = None if errors is None or name not in errors else np.abs(errors[name])
        draw_surface(axes, surface, values=values, top=top)
        axes.set_title(name, fontsize=8)
    if errors:
        colour_bar(figure, list(panels), top, "distance from\nthe true surface")
    return figure


def colour_bar(figure: Figure, panels: Sequence[Axes], top: float, label: str) -> None:
    """Of numbers from 0 to `top`."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    figure.colorbar(ScalarMappable(Normalize(0, top), "viridis"), ax=panels, label=label, shrink=0.7)


def families(rows: Mapping[str, Sequence[Surface | None]], colours: Sequence[str] = COLOURS) -> Figure:
    """Solids by class, a row each; an empty place where there is no surface."""
    columns = max(len(found) for found in rows.values())
    figure, panels = plots.axes(columns, len(rows), width=1.05, height=1.05, projection="3d")
    for number, (line, (name, found)) in enumerate(zip(panels, rows.items(), strict=True)):
        for axes in line:
            frame_box(axes, 0.78)
        for axes, surface in zip(line, found, strict=False):
            if surface is not None:
                draw_surface(axes, surface, colours[number % len(colours)], half_width=0.78)
        line[0].text2D(-0.02, 0.5, name, transform=line[0].transAxes, rotation=90, va="center", ha="right", fontsize=8)
    return figure


# --- The field in a plane ---


def partition(x: np.ndarray, weights: Float[np.ndarray, "n m"], values: Float[np.ndarray, "n m"], blended: np.ndarray) -> Figure:
    """Along a line: the weights of the grids, what each says, and the blend."""
    figure, (above, below) = plots.axes(1, 2, size=(6.4, 3.6), sharex=True, height_ratios=(1, 1.4))
    for i, colour in zip(range(weights.shape[1]), COLOURS * weights.shape[1], strict=False):
        inside = weights[:, i] > 0
        above[0].plot(x[inside], weights[inside, i], color=colour)
        below[0].plot(x[inside], values[inside, i], color=colour, lw=1.2)
    below[0].plot(x, blended, color="k", lw=2.6, alpha=0.45, label="blend")
    above[0].set(ylabel="weight", ylim=(0, 1.05))
    below[0].set(xlabel="place along a line", ylabel="signed distance")
    below[0].legend(frameon=False, loc="best")
    return figure


def draw_squares(axes: Axes, m: MosaicSDF, axis: int, at: float) -> None:
    """Where cubes cut the plane on which one coordinate has a value."""
    from matplotlib.patches import Rectangle

    for center, scale in zip(np.asarray(m.centers), np.asarray(m.scales), strict=True):
        if abs(center[axis] - at) < scale:
            axes.add_patch(
                Rectangle(np.delete(center, axis) - scale, 2 * scale, 2 * scale, fill=False, lw=0.6, ec=METHOD, alpha=0.8)
            )


def slices(
    truth: Float[np.ndarray, "a a"],
    found: Mapping[str, Float[np.ndarray, "a a"]],
    cubes: Mapping[str, MosaicSDF] | None = None,
    *,
    axis: int = 0,
    at: float = 0.0,
) -> Figure:
    """A slice of signed distances, where the coordinate `axis` is `at`.

    Black is the surface that a field holds, green dashes where it should be, grey where a field is not defined.
    """
    figure, (panels,) = plots.axes(1 + len(found), width=2.5, height=2.7, frame="full")
    line = np.linspace(-1, 1, len(truth))
    for axes, (name, values) in zip(panels, {"truth": truth, **found}.items(), strict=True):
        axes.set_facecolor("0.85")
        image = axes.imshow(values.T, extent=(-1, 1, -1, 1), origin="lower", cmap="RdBu", vmin=-0.4, vmax=0.4)
        if np.nanmin(values) < 0 < np.nanmax(values):
            axes.contour(line, line, values.T, levels=[0], colors="k", linewidths=1.4)
        if name != "truth":
            axes.contour(line, line, truth.T, levels=[0], colors="#2ca02c", linewidths=1, linestyles="--")
        if cubes and name in cubes:
            draw_squares(axes, cubes[name], axis, at)
        axes.set_title(name, fontsize=9)
        axes.set(xticks=[-1, 0, 1], yticks=[-1, 0, 1], xlim=(-1, 1), ylim=(-1, 1))
        axes.tick_params(labelsize=7)
    figure.colorbar(image, ax=list(panels), label="signed distance", shrink=0.8)
    return figure


# --- Numbers ---


def bars(values: Mapping[str, Mapping[str, Any]], label: str, *, own: Sequence[str], form: str = "%.4f") -> Figure:
    """Horizontal bars, best on top, every seed a point, one panel a shape; `own` in red."""
    columns = len(values)
    most = max(len(numbers) for numbers in values.values())
    figure, (panels,) = plots.axes(columns, size=(4.6 * columns, 0.36 * most + 0.8))
    for axes, (shape, numbers) in zip(panels, values.items(), strict=True):
        order = sorted(numbers, key=lambda name: -float(np.nanmean(numbers[name])))
        for place, name in enumerate(order):
            points = np.atleast_1d(np.asarray(numbers[name], float))
            colour = METHOD if name in own else OTHER
            axes.barh(place, np.nanmean(points), color=colour, alpha=0.45, height=0.7)
            axes.plot(points, np.full(len(points), place), "o", color=colour, ms=3.5)
            axes.annotate(
                form % np.nanmean(points), (np.nanmax(points), place), (6, 0), textcoords="offset points", va="center", fontsize=8
            )
        axes.set_yticks(range(len(order)), order, fontsize=8)
        axes.set(xlabel=label, title=shape)
        axes.margins(x=0.2)
        axes.set_xlim(left=0)
    return figure


def against_time(curves: Mapping[str, Mapping[str, tuple[Sequence[float], Sequence[float]]]]) -> Figure:
    """Error against core-seconds, one panel a shape; `(seconds, errors)` by field."""
    figure, (panels,) = plots.axes(len(curves), width=4.2, height=3.0)
    for axes, (shape, lines) in zip(panels, curves.items(), strict=True):
        for (name, (seconds, error)), colour in zip(lines.items(), (METHOD, RIVAL), strict=False):
            axes.plot(seconds, error, "o-", color=colour, label=name, ms=5)
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
        axes.set(xlabel="core-seconds, without compilation", ylabel="mean |error|", title=shape)
        axes.legend(frameon=False, fontsize=8)
    return figure


def convergence(steps: Sequence[int], error: Mapping[str, Sequence[float]]) -> Figure:
    """Error of every solver against its steps, with slopes of the first and the second order."""
    figure, ((axes,),) = plots.axes(size=(5.2, 3.2))
    for (name, values), colour in zip(error.items(), COLOURS, strict=False):
        axes.loglog(steps, values, "o-", color=colour, label=name)
    first, last = np.asarray(steps, float)[[0, -1]]
    for order, name in ((1, "euler"), (2, "heun"), (3, "midpoint")):
        start = 1.6 * error[name][0]
        axes.loglog([first, last], [start, start * (first / last) ** order], ":", color="0.6")
        axes.annotate(f"order {order}", (last, start * (first / last) ** order), (4, 0), textcoords="offset points", fontsize=8)
    plots.log_ticks(axes, list(steps), base=2)
    axes.set(xlabel="steps", ylabel="largest error")
    axes.margins(x=0.15)
    axes.legend(frameon=False)
    return figure


def two_metrics(metrics: dict[str, Mapping[str, Any]], names: Mapping[str, str], *, own: Sequence[str]) -> Figure:
    """Bars of several metrics over the same sets, a panel each; every seed a point."""
    figure, (panels,) = plots.axes(len(names), size=(2.7 * len(names) + 1.2, 0.36 * len(metrics) + 0.9), sharey=True)
    for axes, (metric, label) in zip(panels, names.items(), strict=True):
        for place, (name, numbers) in enumerate(reversed(metrics.items())):
            points = np.atleast_1d(np.asarray(numbers[metric], float))
            points = points[np.isfinite(points)]
            colour = METHOD if name in own else OTHER
            axes.barh(place, points.mean(), color=colour, alpha=0.45, height=0.7)
            axes.plot(points, np.full(len(points), place), "o", color=colour, ms=3.5)
        axes.set_yticks(range(len(metrics)), list(reversed(metrics)), fontsize=8)
        axes.set(xlabel=label)
        axes.set_xlim(left=0)
    return figure
