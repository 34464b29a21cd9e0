"""Figures of the claims and of the notebook; matplotlib figures, closed."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from quire.common import plots
from quire.common.plots import Figure

METHOD, RIVAL, OTHER = "#c0392b", "#2c6fbb", plots.GREY


def pictures(rows: Mapping[str, Mapping[str, np.ndarray]], *, width: float = 1.8, below: Mapping | None = None) -> Figure:
    """Named rows of named pictures: colours `[h, w, 3]` as they are, numbers `[h, w]` on one scale with a bar.

    Args:
        rows: `{row: {title: picture}}`.
        width: of one picture in inches.
        below: title of the bar by row.
    """
    columns = max(map(len, rows.values()))
    first = next(iter(next(iter(rows.values())).values()))
    height = width * first.shape[0] / first.shape[1] + 0.35
    figure, panels = plots.axes(columns, len(rows), width=width, height=height, frame="none")
    for line, (row, shown) in zip(panels, rows.items(), strict=True):
        top = max((float(np.nanmax(a)) for a in shown.values() if a.ndim == 2), default=1.0)
        last = None
        for axes, (name, image) in zip(line, shown.items(), strict=False):
            if image.ndim == 2:
                last = axes.imshow(image, vmin=0, vmax=top, cmap="magma", interpolation="nearest")
            else:
                axes.imshow(np.clip(image, 0, 1), interpolation="nearest")
            axes.set_title(name, fontsize=8)
        for axes in line[len(shown) :]:
            axes.set_visible(False)
        line[0].set_ylabel(row, fontsize=9)
        if last is not None:
            bar = figure.colorbar(last, ax=list(line), shrink=0.85, pad=0.01)
            bar.set_label((below or {}).get(row, ""), fontsize=8)
            bar.ax.tick_params(labelsize=7)
    return figure


def error(found: Float[np.ndarray, "h w c"], truth: Float[np.ndarray, "h w c"]) -> Float[np.ndarray, "h w"]:
    """Root mean squared difference of the colours of every pixel."""
    return np.sqrt(((np.clip(found, 0, 1) - truth) ** 2).mean(-1))


def gains(found: Mapping[str, Sequence[float]], *, unit: str = "dB") -> Figure:
    """One dot a seed: how much S3IM changes the quality, by experiment."""
    figure, ((axes,),) = plots.axes(size=(5.6, 0.8 + 0.5 * len(found)))
    names = list(found)
    for place, name in enumerate(names):
        values = np.asarray(found[name], float)
        axes.plot(values, np.full(len(values), place), "o", color=METHOD, alpha=0.6)
        axes.plot(values.mean(), place, "|", ms=18, mew=2, color="black")
    axes.axvline(0, color=OTHER, lw=1)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel=f"PSNR with S3IM minus PSNR without ({unit})", ylim=(len(names) - 0.5, -0.5))
    return figure


def qualities(found: Mapping[str, tuple[float, float]], trivial: Sequence[str] = ()) -> Figure:
    """PSNR and SSIM of one seed side by side."""
    figure, ((left, right),) = plots.axes(2, size=(7.2, 0.9 + 0.38 * len(found)), sharey=True)
    names = list(found)
    for axes, column, label, digits in ((left, 0, "test PSNR (dB)", "%.1f"), (right, 1, "test SSIM", "%.3f")):
        values = [found[name][column] for name in names]
        colours = [OTHER if n in trivial else METHOD if "S3IM" in n else RIVAL for n in names]
        axes.bar_label(axes.barh(names, values, color=colours), fmt=digits, fontsize=8, padding=2)
        axes.set(xlabel=label, xlim=(0, 1.18 * max(values)))
    left.invert_yaxis()
    return figure


def spread(found: Mapping[str, np.ndarray], marks: Mapping[str, float]) -> Figure:
    """Histograms of the loss over random orders, and vertical lines."""
    figure, ((axes,),) = plots.axes(size=(5.6, 2.8))
    together = np.concatenate(list(found.values()))
    bins = np.linspace(together.min(), together.max(), 30)
    for (name, values), colour in zip(found.items(), (METHOD, RIVAL), strict=False):
        axes.hist(values, bins, alpha=0.5, color=colour, label=name)
    for (name, value), style in zip(marks.items(), ("--", ":"), strict=False):
        axes.axvline(value, color="black", lw=1, ls=style, label=name)
    axes.set(xlabel="loss", ylabel="keys", ylim=(0, 1.4 * axes.get_ylim()[1]))
    axes.legend(frameon=False, fontsize=8)
    return figure


def times(found: Mapping[str, float]) -> Figure:
    """Core-milliseconds of parts of a step, on a logarithmic axis."""
    figure, ((axes,),) = plots.axes(size=(5.6, 0.8 + 0.4 * len(found)))
    colours = [METHOD if "S3IM" in name else RIVAL for name in found]
    axes.bar_label(axes.barh(list(found), list(found.values()), color=colours), fmt="%.1f", fontsize=8, padding=2)
    axes.set(xlabel="core-milliseconds", xscale="log", xlim=(None, 3 * max(found.values())))
    axes.invert_yaxis()
    return figure
