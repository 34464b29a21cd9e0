"""Figures of the claims and of the notebook; matplotlib figures, closed."""

from collections.abc import Mapping, Sequence

import numpy as np

from quire.common import plots
from quire.common.plots import Figure

COLOURS = {
    "exact": "#2c3e50",
    "INSR": "#c0392b",
    "PINN": "#8e44ad",
    "central midpoint": "#2471a3",
    "upwind midpoint": "#117a65",
    "upwind, CFL sub-steps": "#7fb3a6",
    "semi-Lagrangian linear": "#d68910",
    "semi-Lagrangian bilinear": "#d68910",
    "semi-Lagrangian cubic": "#95a5a6",
}


def advection(
    test: np.ndarray, nodes: np.ndarray, insr: np.ndarray, grids: Mapping[str, np.ndarray], exact: np.ndarray, initial: np.ndarray
) -> Figure:
    """Profiles at the end, and a close look at the peak."""
    figure, ((left, right),) = plots.axes(2, width=4.8)
    left.plot(test, initial, color="#bdc3c7", lw=1.2, label="start")
    for each in (left, right):
        each.plot(test, exact, color=COLOURS["exact"], lw=2.5, alpha=0.4, label="exact")
        for name, values in grids.items():
            each.plot(nodes, values, color=COLOURS[name], lw=1.3, label=name)
        each.plot(test, insr, color=COLOURS["INSR"], lw=1.6, ls="--", label="INSR")
        each.set_xlabel("x")
    centre = test[np.argmax(exact)]
    left.set(ylabel="u", xlim=(-2, max(0.0, centre + 0.6)), ylim=(-0.05, 1.05))
    right.set(xlim=(centre - 0.1, centre + 0.1), ylim=(0.6, 1.02), xticks=centre + np.array([-0.1, 0, 0.1]), title="the peak")
    left.legend(frameon=False, fontsize="x-small", loc="upper left")
    return figure


def errors(panels: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """One panel per quantity: every seed of every method as a point, on a logarithmic axis."""
    figure, (axes,) = plots.axes(len(panels), width=4.2, height=3.4)
    for each, (title, methods) in zip(axes, panels.items(), strict=True):
        for place, (name, values) in enumerate(methods.items()):
            shown = np.maximum(np.atleast_1d(values), 1e-16)
            each.semilogy(np.full(len(shown), place), shown, "o", color=COLOURS.get(name, "#34495e"), ms=6, alpha=0.8)
        each.set_xticks(range(len(methods)), list(methods), rotation=35, ha="right", fontsize="small")
        each.set_title(title, fontsize="medium")
        each.grid(axis="y", alpha=0.3)
    return figure


def energy_and_error(energies: Mapping[str, np.ndarray], errors: Mapping[str, np.ndarray], dt: float) -> Figure:
    """Kinetic energy and squared error over time, method by method; several seeds `[seeds, steps + 1]` or one `[steps + 1]`."""
    figure, ((left, right),) = plots.axes(2, width=4.6)
    for each, curves, scale in ((left, energies, 100), (right, errors, 1)):
        for name, values in curves.items():
            for place, curve in enumerate(np.atleast_2d(values)):
                time = dt * np.arange(len(curve))
                label = None if place else name
                each.plot(time, scale * curve, color=COLOURS[name], lw=1.6, alpha=0.85, label=label)
        each.set_xlabel("time")
    left.axhline(0, color="#7f8c8d", lw=0.8)
    left.set_ylabel("change of kinetic energy (%)")
    right.set(ylabel="mean square error of the velocity", yscale="log")
    left.legend(frameon=False, fontsize="small")
    return figure


def speeds(fields: Mapping[str, np.ndarray], *, limit: float | None = None, extent: tuple[float, ...] = (-1, 1, -1, 1)) -> Figure:
    """Magnitude of velocities `[n^2, 2]` on square grids, side by side, one colour scale."""
    sizes = {name: np.linalg.norm(values, axis=-1) for name, values in fields.items()}
    figure, (axes,) = plots.axes(len(fields), width=3.1, height=3.0, frame="full")
    limit = limit or max(size.max() for size in sizes.values())
    for each, (name, size) in zip(axes, sizes.items(), strict=True):
        n = round(len(size) ** 0.5)
        image = each.imshow(size.reshape(n, n).T, origin="lower", extent=extent, vmin=0, vmax=limit, cmap="viridis")
        each.set_title(name, fontsize="medium")
        each.set(xticks=extent[:2], yticks=extent[2:])
    figure.colorbar(image, ax=list(axes), shrink=0.8, label="|u|")
    return figure


def solver_curves(curves: Mapping[str, np.ndarray], ylabel: str = "objective") -> Figure:
    """Objectives iteration by iteration, of solvers that follow one another."""
    figure, ((axes,),) = plots.axes(width=5.5)
    done = 0
    for name, values in curves.items():
        axes.semilogy(np.arange(done, done + len(values)) + 1, values, lw=1.6, label=name)
        done += len(values)
    axes.set(xlabel="iteration", ylabel=ylabel)
    axes.legend(frameon=False, fontsize="small")
    return figure
