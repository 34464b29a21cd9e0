"""Figures of the claims and of the notebook; matplotlib figures, closed."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from quire.common import plots
from quire.common.plots import Axes, Figure
from quire.neurbf.kernels import Kernels

METHOD, RIVAL, OTHER = "#c0392b", "#2c6fbb", plots.GREY


def zoo(values: Mapping[str, Float[np.ndarray, " n"]], distance: Float[np.ndarray, " n"]) -> Figure:
    """Profiles of kernels against the distance from the centre, one small panel each."""
    columns = 5
    rows = -(-len(values) // columns)
    figure, panels = plots.axes(columns, rows, width=1.9, height=1.4, sharex=True)
    for axes, (name, y) in zip(panels.flat, values.items(), strict=False):
        axes.plot(distance, y, color=METHOD)
        axes.set_title(name, fontsize=9)
        axes.tick_params(labelsize=7)
        top = float(np.clip(y, None, 4).max())
        axes.set_ylim(np.clip(y.min(), -2, 0) - 0.05 * top, 1.08 * top)
    for axes in list(panels.flat)[len(values) :]:
        axes.set_visible(False)
    figure.supxlabel("distance from the centre", fontsize=9)
    figure.supylabel("response", fontsize=9)
    return figure


def channels(response: Float[np.ndarray, "s s"], waves: Mapping[str, Float[np.ndarray, "s s"]], extent: float) -> Figure:
    """One response over the plane, and sines of it."""
    figure, (panels,) = plots.axes(1 + len(waves), width=1.8, height=2.0, frame="full")
    box = (-extent, extent, -extent, extent)
    shown = {"response φ": response, **waves}
    for i, (axes, (name, values)) in enumerate(zip(panels, shown.items(), strict=True)):
        low = 0 if i == 0 else -1
        image = axes.imshow(values, extent=box, vmin=low, vmax=1, cmap="viridis" if i == 0 else "RdBu_r", origin="lower")
        axes.set_title(name, fontsize=9)
        axes.set(xticks=[], yticks=[])
        figure.colorbar(image, ax=axes, shrink=0.7)
    return figure


def ellipses(axes: Axes, kernels: Kernels, scale: float, *, colour: str = "#ffdd55") -> None:
    """Kernels as ellipses of one standard deviation, in pixels of the image below them.

    Args:
        axes: of an image drawn in the coordinates of the kernels.
        kernels: `a` shapes in two dimensions.
        scale: on the axes of the ellipses.
        colour: of the lines.
    """
    from matplotlib.collections import EllipseCollection

    covariances = np.linalg.inv(np.asarray(kernels.shapes, float))
    lengths, vectors = np.linalg.eigh(covariances)
    widths = 2 * scale * np.sqrt(lengths)
    angles = np.degrees(np.arctan2(vectors[:, 1, 1], vectors[:, 0, 1]))
    centers = np.asarray(kernels.centers)
    axes.add_collection(
        EllipseCollection(
            widths[:, 1],
            widths[:, 0],
            angles,
            units="xy",
            offsets=centers,
            offset_transform=axes.transData,
            facecolors="none",
            edgecolors=colour,
            linewidths=0.9,
        )
    )
    axes.plot(*centers.T, ".", color=colour, ms=2)


def kernels_over(pixels: Float[np.ndarray, "h w 3"], cmax: Float[np.ndarray, "2"], sets: Mapping[str, Kernels | None]) -> Figure:
    """An image, and the kernels of each set over it; half a standard deviation, so that they do not hide each other."""
    figure, (panels,) = plots.axes(len(sets), width=3.0, height=3.2, frame="none")
    x, y = cmax
    for axes, (name, kernels) in zip(panels, sets.items(), strict=True):
        axes.imshow(pixels, extent=(-x, x, y, -y), alpha=1.0 if kernels is None else 0.65)
        axes.set_title(name, fontsize=10)
        if kernels is not None:
            ellipses(axes, kernels, 0.5, colour="#d62728")
        axes.set(xlim=(-x, x), ylim=(y, -y))
    return figure


def pictures(rebuilt: Mapping[str, Float[np.ndarray, "h w 3"]], truth: Float[np.ndarray, "h w 3"]) -> Figure:
    """Images with their PSNR, and below each its error; the truth comes without."""
    columns = len(rebuilt)
    figure, (above, below) = plots.axes(columns, 2, width=1.2, height=1.35, frame="none")
    most = 0.25
    for top, bottom, (name, image) in zip(above, below, rebuilt.items(), strict=True):
        top.imshow(np.clip(image, 0, 1))
        error = np.abs(np.clip(image, 0, 1) - truth).mean(-1)
        if error.max() == 0:
            top.set_title(name, fontsize=7)
            bottom.set_visible(False)
            continue
        wrapped = name.replace(", ", ",\n")
        decibels = -10 * np.log10(np.mean((np.clip(image, 0, 1) - truth) ** 2))
        top.set_title(f"{wrapped}\n{decibels:.1f} dB", fontsize=7)
        shown = bottom.imshow(error, vmin=0, vmax=most, cmap="magma")
    figure.colorbar(shown, ax=list(below), label="|error|, mean\nover channels", shrink=0.8, location="right")
    return figure


def quality_bars(psnr: Mapping[str, Any], names: Sequence[Any], compared: Sequence[str]) -> Figure:
    """PSNR of one seed by picture and method."""
    figure, ((axes,),) = plots.axes(size=(6.4, 3.2))
    width = 0.8 / len(compared)
    colours = [METHOD, RIVAL, OTHER, "#e0a030", "#5fa05f"]
    for i, name in enumerate(compared):
        place = np.arange(len(names)) + (i - (len(compared) - 1) / 2) * width
        bars = axes.bar(place, psnr[name], 0.92 * width, label=name, color=colours[i % len(colours)])
        axes.bar_label(bars, fmt="%.1f", fontsize=8, padding=1)
    axes.set_xticks(range(len(names)), [f"{p.name}, {p.size} x {p.size}" for p in names])
    axes.set(ylabel="PSNR (dB)", ylim=(0, 1.3 * float(np.nanmax([psnr[n] for n in compared]))))
    axes.legend(frameon=False, ncols=len(compared), fontsize=8, loc="upper center")
    return figure


def ranking(psnr: Mapping[str, Float[np.ndarray, " s"]], *, highlighted: Sequence[str], unit: str = "PSNR (dB)") -> Figure:
    """Horizontal bars, best on top, every seed a point; the rivals in blue."""
    order = sorted(psnr, key=lambda name: np.nanmean(psnr[name]))
    figure, ((axes,),) = plots.axes(size=(6.4, 0.42 * len(order) + 0.7))
    for place, name in enumerate(order):
        values = np.asarray(psnr[name], float)
        values = values[np.isfinite(values)]
        colour = METHOD if name in highlighted else RIVAL if "hash" in name or name == "SIREN" else OTHER
        axes.barh(place, values.mean(), color=colour, alpha=0.45, height=0.7)
        axes.plot(values, np.full(len(values), place), "o", color=colour, ms=4)
        axes.annotate(f"{values.mean():.1f}", (values.max(), place), (6, 0), textcoords="offset points", va="center", fontsize=8)
    axes.set_yticks(range(len(order)), order, fontsize=9)
    axes.set(xlabel=unit)
    axes.margins(x=0.08)
    axes.set_xlim(left=0)
    return figure


def distance_bars(mae: Mapping[str, Any], overlap: Mapping[str, Any]) -> Figure:
    """Error near the surface and intersection over union of one seed."""
    names = [name for name in mae if name in overlap]
    figure, ((left, right),) = plots.axes(2, size=(8.4, 2.8), sharey=True)
    place = np.arange(len(names))
    colours = [METHOD if n == "NeuRBF" else RIVAL if "hash" in n else OTHER for n in names]
    for axes, values, label, form in ((left, mae, "mean |error| near the surface", "%.4f"), (right, overlap, "IoU", "%.3f")):
        bars = axes.barh(place, [float(values[n]) for n in names], 0.65, color=colours)
        axes.bar_label(bars, fmt=form, fontsize=8, padding=2)
        axes.set(xlabel=label)
        axes.margins(x=0.2)
    left.set_yticks(place, names, fontsize=9)
    left.invert_yaxis()
    return figure


def slices(truth: Float[np.ndarray, "a a"], found: Mapping[str, Float[np.ndarray, "a a"]]) -> Figure:
    """A slice of signed distances: colour their values, lines the surface, dashed where it should be."""
    figure, (panels,) = plots.axes(1 + len(found), width=2.35, height=2.5, frame="full")
    line = np.linspace(-1, 1, len(truth))
    for axes, (name, values) in zip(panels, {"truth": truth, **found}.items(), strict=True):
        image = axes.imshow(values.T, extent=(-1, 1, -1, 1), origin="lower", cmap="RdBu", vmin=-0.6, vmax=0.6)
        if values.min() < 0 < values.max():
            axes.contour(line, line, values.T, levels=[0], colors="k", linewidths=1.4)
        if name != "truth":
            axes.contour(line, line, truth.T, levels=[0], colors="#2ca02c", linewidths=1, linestyles="--")
        axes.set_title(name, fontsize=9)
        axes.set(xticks=[-1, 0, 1], yticks=[-1, 0, 1])
        axes.tick_params(labelsize=7)
    figure.colorbar(image, ax=list(panels), label="signed distance", shrink=0.8)
    return figure


def precision(phi: Float[np.ndarray, " n"], waves: Mapping[str, Float[np.ndarray, " n"]], frequency: float) -> Figure:
    """The highest channel over a short range of responses, in several precisions."""
    figure, ((axes,),) = plots.axes(size=(6.4, 2.6))
    styles = {"float64": ("0.6", 3.0), "float32": (METHOD, 1.2), "bfloat16": (RIVAL, 1.2)}
    for name, values in waves.items():
        colour, width = styles[name]
        axes.plot(phi, values, color=colour, lw=width, label=name)
    axes.set(xlabel="response φ", ylabel=f"sin({frequency:g} φ)", ylim=(-1.1, 1.5))
    axes.legend(frameon=False, ncols=3, loc="upper right")
    return figure
