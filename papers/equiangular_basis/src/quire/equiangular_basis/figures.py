"""Figures of the claims and of the notebook; matplotlib figures, closed."""

from collections.abc import Mapping

import numpy as np

from quire.common import plots
from quire.common.plots import Figure

COLOURS = {
    "random": "#e67e22",
    "hinge": "#2980b9",
    "annealed": "#c0392b",
    "EBV": "#c0392b",
    "FC": "#34495e",
    "cosine FC": "#27ae60",
    "simplex": "#8e44ad",
}


def lines_in_space(sets: Mapping[str, np.ndarray]) -> Figure:
    """Vectors `[n, 3]` by name as lines through the origin, on the unit sphere; the closest pair in colour."""
    figure, panels = plots.axes(len(sets), width=2.9, height=3.0, projection="3d")
    for panel, (name, vectors) in zip(panels[0], sets.items(), strict=True):
        cosines = np.abs(vectors @ vectors.T) - np.eye(len(vectors))
        worst = np.unravel_index(cosines.argmax(), cosines.shape)
        for i, (x, y, z) in enumerate(vectors):
            colour, width = (COLOURS["annealed"], 3.0) if i in worst else (plots.GREY, 1.6)
            panel.plot([-x, x], [-y, y], [-z, z], color=colour, lw=width)
        angles = np.linspace(0, 2 * np.pi, 60)
        panel.plot(np.cos(angles), np.sin(angles), 0 * angles, color=plots.GREY, lw=0.6, alpha=0.5)
        degrees = np.degrees(np.arccos(min(1.0, cosines.max())))
        panel.set_title(f"{name}\nclosest lines: {degrees:.1f}°", fontsize="medium")
        panel.set(xlim=(-0.75, 0.75), ylim=(-0.75, 0.75), zlim=(-0.75, 0.75))
        panel.set_box_aspect((1, 1, 1))
        panel.set_axis_off()
    return figure


def gram_matrices(sets: Mapping[str, np.ndarray]) -> Figure:
    """Absolute cosines `[n, n]` of unit vectors by name, the diagonal left out."""
    figure, panels = plots.axes(len(sets), width=2.9, height=3.0, frame="none")
    for panel, (name, vectors) in zip(panels[0], sets.items(), strict=True):
        cosines = np.abs(vectors @ vectors.T)
        np.fill_diagonal(cosines, np.nan)
        image = panel.imshow(cosines, vmin=0, vmax=0.8, cmap="magma")
        panel.set_title(f"{name}\nlargest {np.nanmax(cosines):.3f}", fontsize="medium")
    figure.colorbar(image, ax=panels, label="|cosine|", shrink=0.8)
    return figure


def against_welch(found: Mapping[str, Mapping[str, tuple[float, float]]], bound: Mapping[str, float]) -> Figure:
    """Largest (bar) and mean (dot) absolute cosine by generator and size; Welch's bound as a line."""
    figure, ((panel,),) = plots.axes(width=2.2 + 1.6 * len(bound), height=3.2)
    for kind, shift in (("random", -0.27), ("hinge", 0.0), ("annealed", 0.27)):
        sets = found[kind]
        places = [i + shift for i, label in enumerate(bound) if label in sets]
        largest, mean = np.array([sets[label] for label in bound if label in sets]).T
        panel.bar(places, largest, 0.24, color=COLOURS[kind], alpha=0.75, label=f"{kind}, largest")
        panel.plot(places, mean, "o", color="black", ms=4)
    panel.plot([], [], "o", color="black", ms=4, label="mean of the set")
    for i, value in enumerate(bound.values()):
        panel.hlines(value, i - 0.42, i + 0.42, color="black", ls="--", lw=1.2, label="Welch's bound" if i == 0 else None)
    panel.set(xticks=range(len(bound)), xticklabels=list(bound), ylabel="|cosine| of a pair")
    panel.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def descents(traces: Mapping[str, np.ndarray], bound: float) -> Figure:
    """Coherence step by step."""
    figure, ((panel,),) = plots.axes(width=5.2, height=3)
    for (name, values), colour in zip(traces.items(), ("#2980b9", "#16a085", "#c0392b", "#8e44ad"), strict=False):
        panel.plot(np.arange(1, len(values) + 1), values, color=colour, label=name, lw=1.3)
    panel.axhline(bound, color="black", ls="--", lw=1, label="Welch's bound")
    panel.set(xscale="log", xlabel="step", ylabel="coherence")
    panel.legend(frameon=False, fontsize="small")
    return figure


def losses(curves: Mapping[str, np.ndarray]) -> Figure:
    """Training losses of one seed, smoothed over twenty steps."""
    figure, ((panel,),) = plots.axes(width=5.2, height=3)
    shades = iter(("#f1948a", "#e74c3c", "#922b21"))
    for name, values in curves.items():
        colour = COLOURS.get(name) or next(shades, plots.GREY)
        panel.plot(*plots.smooth(values, 20), color=colour, label=name, lw=1.4)
    panel.set(xlabel="step", ylabel="smoothed cross-entropy (nats)")
    panel.legend(frameon=False, fontsize="small")
    return figure


def dimensions(accuracy: Mapping[str, float]) -> Figure:
    """Accuracy of one seed against d, by kind of fixed vectors; the heads that learn as levels."""
    figure, ((panel,),) = plots.axes(width=5.6, height=3.2)
    ticks = []
    for kind in ("EBV", "random", "simplex"):
        points = sorted((int(name.split("= ")[1]), x) for name, x in accuracy.items() if name.startswith(kind))
        if points:
            panel.plot(*zip(*points, strict=True), "o-", color=COLOURS[kind], label=kind)
            ticks += [d for d, _ in points]
    for name, style in (("FC", "--"), ("cosine FC", ":")):
        panel.axhline(accuracy[name], color=COLOURS[name], ls=style, lw=1.3, label=f"{name}, learns")
    plots.log_ticks(panel, sorted(set(ticks)))
    panel.set(xlabel="dimension d of the class vectors", ylabel="test accuracy")
    panel.legend(frameon=False, fontsize="small", loc="lower right")
    return figure


def head_memory(dim: int, marked: int) -> Figure:
    """Megabytes of a head in training against the number of classes."""
    figure, ((panel,),) = plots.axes(width=5.2, height=3.2)
    classes = np.logspace(3, 6, 30)
    for name, copies in (("linear head: weights, gradient, momentum", 3), ("EBV: the vectors", 1)):
        panel.loglog(classes, copies * 4 * dim * classes / 1e6, color=COLOURS["FC" if copies == 3 else "EBV"], label=name)
    panel.axvline(marked, color=plots.GREY, ls="--", lw=1)
    panel.annotate("measured", (marked, 0.02), xycoords=("data", "axes fraction"), xytext=(3, 0), textcoords="offset points")
    panel.set(xlabel="classes", ylabel=f"memory (MB), float32, d = {dim}")
    panel.legend(frameon=False, fontsize="small", loc="lower right", bbox_to_anchor=(1, 0.1))
    return figure
