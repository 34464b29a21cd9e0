"""Pictures of the claims and of the notebook; matplotlib figures, closed."""

from collections.abc import Mapping, Sequence

import numpy as np

from quire.common import plots
from quire.common.plots import Figure

COLOURS = {"softmax": "C7", "cosine softmax": "C1", "untrained": "0.7", "raw pixels": "0.4"}
"""Of what is no subspace; every k is blue, the darker the larger."""


def _colour(name: str, ks: Sequence[str]) -> object:
    if name in COLOURS:
        return COLOURS[name]
    shade = 0.45 + 0.4 * ks.index(name) / max(1, len(ks) - 1)
    return (0.75 - 0.75 * shade, 0.85 - 0.55 * shade, 1.0 - 0.25 * shade)


def geodesic(path: np.ndarray, start: np.ndarray, tangent: np.ndarray) -> Figure:
    """Lines of R^3 as points of a sphere: a start, a velocity, and the geodesic `[n, 3]`."""
    figure, ((axes,),) = plots.axes(size=(4.2, 4.2), projection="3d", frame="full")
    u, v = np.mgrid[0 : 2 * np.pi : 25j, 0 : np.pi : 13j]
    sphere = np.cos(u) * np.sin(v), np.sin(u) * np.sin(v), np.cos(v)
    axes.plot_wireframe(*sphere, color="0.8", lw=0.5)
    axes.plot(*path.T, color="C0", lw=2.5, label="geodesic exp(S, t G)")
    axes.plot(*start, "o", color="C0", ms=7, label="start S")
    arrow = np.stack([start, start + 0.8 * tangent / np.linalg.norm(tangent)])
    axes.plot(*arrow.T, color="C3", lw=2, label="tangent G")
    axes.set(xlim=(-1, 1), ylim=(-1, 1), zlim=(-1, 1))
    axes.set_box_aspect((1, 1, 1), zoom=1.2)
    axes.set_axis_off()
    axes.view_init(22, 40)
    axes.legend(fontsize="small", loc="lower center", ncols=3, bbox_to_anchor=(0.5, -0.04))
    return figure


def drift(off: Mapping[str, np.ndarray]) -> Figure:
    """Distance from orthonormal against the step, by optimiser."""
    figure, ((axes,),) = plots.axes(width=6, height=3.6, grid=True)
    styles = {"RSGD": "C0", "never re-orthonormalised": "C1", "no constraint": "C3"}
    for name, colour in styles.items():
        axes.semilogy(np.arange(1, len(off[name]) + 1), off[name], color=colour, lw=1.3, label=name)
    axes.set(xlabel="step", ylabel=r"largest entry of $|S^\top S - I|$", title="Drift from the manifold, float32")
    axes.legend(fontsize="small", loc="center right")
    return figure


def descent(gaps: Mapping[str, np.ndarray]) -> Figure:
    """Gap to the solution `[starts, steps]` against the step, median and range over starts."""
    figure, ((axes,),) = plots.axes(width=6, height=3.6, grid=True)
    styles = {"plain SGD + QR": ("C3", "-", 1.5), "QR retraction": ("C1", "-", 3.0), "RSGD": ("C0", "--", 1.5)}
    for name, (colour, dashes, width) in styles.items():
        values = np.maximum(gaps[name], 1e-15)
        steps = np.arange(values.shape[1])
        axes.semilogy(steps, np.median(values, axis=0), color=colour, ls=dashes, lw=width, label=name)
        axes.fill_between(steps, values.min(0), values.max(0), color=colour, alpha=0.12, lw=0)
    axes.set(xlabel="step", ylabel="gap to the eigen-solution", title="Principal subspace, 20 random starts")
    axes.legend(fontsize="small")
    return figure


def by_method(panels: Mapping[str, Mapping[str, np.ndarray]], levels: Mapping[str, Mapping[str, float]] | None = None) -> Figure:
    """One panel for each quantity: every seed of every method as a point, the mean as a line.

    Args:
        panels: numbers `[seeds]` by method, by the label of the axis.
        levels: horizontal lines by name, by panel.
    """
    count = max(map(len, panels.values()))
    figure, (row,) = plots.axes(len(panels), width=max(3.6, 0.72 * count), height=3.6, grid=True)
    for axes, (label, values) in zip(row, panels.items(), strict=True):
        ks = [name for name in values if name.startswith("k = ")]
        for place, (name, numbers) in enumerate(values.items()):
            colour = _colour(name, ks)
            axes.plot(place + np.linspace(-0.15, 0.15, len(numbers)), numbers, "o", color=colour, ms=5)
            axes.hlines(numbers.mean(), place - 0.3, place + 0.3, color=colour, lw=2.5)
        for name, value in (levels or {}).get(label, {}).items():
            plots.level(axes, value, name)
        axes.set_xticks(range(len(values)), [name.replace(" ", "\n", 1) if name not in ks else name for name in values])
        axes.tick_params(axis="x", labelsize="small")
        axes.set(ylabel=label)
        axes.margins(x=0.08, y=0.12)
    return figure


def losses(curves: Mapping[str, np.ndarray], window: int = 10) -> Figure:
    """Training losses `[steps]` by method, each a moving mean."""
    figure, ((axes,),) = plots.axes(width=6, height=3.6, grid=True)
    ks = [name for name in curves if name.startswith("k = ")]
    for name, values in curves.items():
        axes.semilogy(*plots.smooth(values, window), color=_colour(name, ks), lw=1.6, label=name)
    axes.set(xlabel="step", ylabel=f"cross-entropy, mean of {window} steps", title="Training loss by head, one seed")
    axes.set_yticks([0.2, 0.5, 1, 2, 5], ["0.2", "0.5", "1", "2", "5"])
    axes.minorticks_off()
    axes.legend(fontsize="small")
    return figure


def angles_between(angles: np.ndarray, title: str) -> Figure:
    """Degrees `[classes, classes]` between class subspaces."""
    figure, ((axes,),) = plots.axes(size=(5.2, 4.4), frame="full")
    shown = np.where(np.eye(len(angles), dtype=bool), np.nan, angles)
    image = axes.imshow(shown, cmap="viridis")
    if len(angles) <= 12:
        middle = (np.nanmin(shown) + np.nanmax(shown)) / 2
        for (i, j), value in np.ndenumerate(shown):
            if i != j:
                axes.text(j, i, f"{value:.0f}", ha="center", va="center", fontsize=7.5, color="w" if value < middle else "k")
        axes.set(xticks=range(len(angles)), yticks=range(len(angles)))
    axes.set(xlabel="class", ylabel="class", title=title)
    figure.colorbar(image, label="degrees", shrink=0.85)
    return figure
