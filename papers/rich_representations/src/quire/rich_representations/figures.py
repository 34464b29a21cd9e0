"""Figures of the claims and of the notebook; matplotlib figures, closed."""

from collections.abc import Mapping, Sequence

import numpy as np

from quire.common import plots
from quire.common.plots import Figure

RED, BLUE, GREEN, GREY = "#c0392b", "#2980b9", "#27ae60", plots.GREY


def bars(
    values: Mapping[str, np.ndarray], colours: Mapping[str, str], *, majority: float | None = None, xlabel: str = ""
) -> Figure:
    """Accuracies `[seeds]` of methods as horizontal bars, a dot for every seed."""
    figure, ((axes,),) = plots.axes(width=6, height=0.34 * len(values) + 0.9)
    names = list(values)[::-1]
    for place, name in enumerate(names):
        numbers, colour = 100 * np.asarray(values[name]), colours.get(name, GREY)
        axes.barh(place, numbers.mean(), color=colour, alpha=0.4)
        axes.plot(numbers, place + np.linspace(-0.2, 0.2, len(numbers)), "o", color=colour, ms=3.5)
        axes.annotate(f"{numbers.mean():.1f}", (101, place), va="center", fontsize=9, annotation_clip=False)
    if majority is not None:
        axes.axvline(100 * majority, color="black", lw=0.8, ls=":")
        axes.annotate("majority class", (100 * majority, len(values) - 0.45), ha="center", va="bottom", fontsize=8)
    axes.set_yticks(range(len(values)), names)
    axes.set(xlabel=xlabel or "accuracy on the new task (%)", xlim=(0, 100))
    return figure


def alike_and_different(source: np.ndarray, new: np.ndarray, cka: np.ndarray) -> Figure:
    """Accuracies `[episodes]` of one seed on both tasks, and the CKA of its episodes, `[episodes, episodes]`."""
    figure, (panels,) = plots.axes(3, width=3, height=2.8)
    for axes, values, title in zip(panels, (source, new), ("source task", "new task, linear probe"), strict=False):
        axes.bar(range(len(values)), 100 * values, color=BLUE, alpha=0.6)
        axes.set(title=title, xlabel="episode", ylabel="accuracy (%)", ylim=(0, 100), xticks=range(len(values)))
    picture = panels[2].imshow(cka, vmin=0, vmax=1, cmap="viridis")
    panels[2].set(title="CKA of the features", xlabel="episode", ylabel="episode", xticks=range(len(cka)), yticks=range(len(cka)))
    figure.colorbar(picture, ax=panels[2], shrink=0.8)
    return figure


def by_parts(counts: Sequence[int], curves: Mapping[str, np.ndarray], levels: Mapping[str, float]) -> Figure:
    """Accuracies `[seeds, counts]` against the number of parts, and levels of single networks."""
    figure, ((axes,),) = plots.axes(width=5.4, height=3.4)
    for (name, values), colour in zip(curves.items(), (RED, BLUE, GREEN), strict=False):
        plots.band(axes, counts, 100 * values, marker="o", color=colour, label=name)
    for (name, value), style in zip(levels.items(), ("--", ":", "-."), strict=False):
        axes.axhline(100 * value, color="black", lw=1, ls=style, label=name)
    axes.set(xlabel="parts n", ylabel="accuracy on the new task (%)", xticks=counts)
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1), fontsize=9)
    return figure


def environments(images: Sequence[np.ndarray], titles: Sequence[str]) -> Figure:
    """Some coloured images `[n, h, w, 2]` of every environment: the channels are red and green."""
    figure, panels = plots.axes(len(images[0]), len(images), width=0.8, height=0.9, frame="none")
    for row, picked, title in zip(panels, images, titles, strict=True):
        for axes, image in zip(row, picked, strict=True):
            shown = np.concatenate([image, np.zeros_like(image[..., :1])], axis=-1)
            axes.imshow(np.where(image.max(-1, keepdims=True) > 0, shown, 0.0))
        row[0].set_title(title, fontsize=9, loc="left")
    return figure


def heads(accuracies: Mapping[str, Mapping[str, np.ndarray]], n: int) -> Figure:
    """Accuracies `[seeds]` outside the training environments by kind of head, a bar for every representation; n parts."""
    figure, ((axes,),) = plots.axes(width=7, height=3.4)
    known = {"ERM": GREY, "wide": BLUE, f"DISTILL{n}": GREEN, f"CAT{n}": RED}
    names = [name for name in known if name in next(iter(accuracies.values()))]
    width = 0.8 / len(names)
    for number, name in enumerate(names):
        colour = known[name]
        means = [100 * np.mean(of[name]) for of in accuracies.values()]
        places = np.arange(len(accuracies)) + (number - (len(names) - 1) / 2) * width
        axes.bar(places, means, width, color=colour, alpha=0.6, label=name)
        for place, of in zip(places, accuracies.values(), strict=True):
            values = 100 * np.asarray(of[name])
            axes.plot(np.full(len(values), place), values, ".", color=colour, ms=4)
    axes.axhline(50, color="black", lw=0.8, ls=":")
    axes.set_xticks(range(len(accuracies)), list(accuracies))
    axes.set(ylabel="accuracy outside (%)", ylim=(0, 100))
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return figure
