"""Figures of the claims and of the notebook; matplotlib figures, closed."""

from collections.abc import Mapping, Sequence

import numpy as np

from quire.common import plots
from quire.common.plots import Figure
from quire.relative_representations.stitching import Stitching

RELATIVE, ABSOLUTE, OTHER = "#c0392b", "#2980b9", "#8e44ad"
CLASSES = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf")


def planes(spaces: Mapping[str, np.ndarray], labels: np.ndarray, *, names: Sequence[str] = ()) -> Figure:
    """Points `[n, 2]` of several spaces by title, coloured by class."""
    figure, panels = plots.axes(len(spaces), width=2.9, height=2.9, frame="full")
    for panel, (title, points) in zip(panels[0], spaces.items(), strict=True):
        for each in np.unique(labels):
            own = points[labels == each]
            name = names[each] if len(names) else str(each)
            panel.scatter(*own.T, s=5, lw=0, alpha=0.7, color=CLASSES[each % len(CLASSES)], label=name)
        panel.set(xticks=[], yticks=[])
        panel.set_title(title, fontsize="medium")
    handles, words = panels[0, -1].get_legend_handles_labels()
    figure.legend(handles, words, loc="outside right center", fontsize="small", frameon=False, markerscale=2, title="class")
    return figure


def pairings(found: Mapping[str, Mapping[str, float]]) -> Figure:
    """Mean cosines of the same and of different samples, by kind of encoder and of code."""
    figure, panels = plots.axes(len(found), width=3.6, height=2.9, sharey=True)
    for panel, (title, values) in zip(panels[0], found.items(), strict=True):
        for place, name in enumerate(("absolute", "relative", "centred")):
            panel.bar(place - 0.2, values[name], 0.36, color=RELATIVE, label="same image" if place == 0 else None)
            shuffled = values[f"{name}, shuffled"]
            panel.bar(place + 0.2, shuffled, 0.36, color=plots.GREY, label="different images" if place == 0 else None)
        panel.axhline(0, color="black", lw=0.6)
        panel.set_xticks(range(3), ["latents", "relative", "relative,\ncentred"])
        panel.set_title(title, fontsize="medium")
    panels[0, 0].set_ylabel("mean cosine between two encoders")
    panels[0, -1].legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def stitching(matrices: Mapping[str, np.ndarray]) -> Figure:
    """Stitching matrices side by side, accuracy in every cell."""
    figure, panels = plots.axes(len(matrices), width=2.9, height=2.9, frame="full")
    for panel, (title, matrix) in zip(panels[0], matrices.items(), strict=True):
        panel.imshow(matrix, vmin=0, vmax=1, cmap="viridis")
        for (i, j), value in np.ndenumerate(matrix) if len(matrix) <= 6 else ():
            panel.text(
                j, i, f"{value:.2f}", ha="center", va="center", color="black" if value > 0.6 else "white", fontsize="small"
            )
        ticks = [str(i + 1) for i in range(len(matrix))]
        panel.set_xticks(range(len(matrix)), ticks)
        panel.set_yticks(range(len(matrix)), ticks)
        panel.set_xlabel("encoder")
        panel.set_title(title, fontsize="medium")
    panels[0, 0].set_ylabel("head trained with encoder")
    return figure


def anchors(counts: Sequence[int], found: Sequence[Stitching], policies: Mapping[str, float], ceiling: float) -> Figure:
    """Accuracy against the number of anchors, and by policy at the second number."""
    figure, (panels,) = plots.axes(2, width=3.9, height=3.0)
    panels[0].plot(counts, [x.own for x in found], "o-", color=plots.GREY, label="own encoder")
    panels[0].plot(counts, [x.other for x in found], "o-", color=RELATIVE, label="other encoders")
    panels[0].axhline(ceiling, color=ABSOLUTE, ls="--", lw=1, label="latents, own encoder")
    plots.log_ticks(panels[0], counts)
    panels[0].set(xlabel="anchors, drawn uniformly", ylabel="accuracy")
    panels[0].legend(frameon=False, fontsize="small", loc="lower right")
    panels[1].bar(range(len(policies)), list(policies.values()), color=RELATIVE, alpha=0.7, width=0.6)
    for place, value in enumerate(policies.values()):
        panels[1].text(place, value + 0.01, f"{value:.3f}", ha="center", fontsize="small")
    panels[1].set_xticks(range(len(policies)), list(policies))
    panels[1].set(ylabel="accuracy on other encoders", ylim=(0, 1))
    panels[1].set_title(f"{counts[1]} anchors, chosen four ways", fontsize="medium")
    return figure


def proxy(
    similarity: np.ndarray, accuracy: np.ndarray, snapshots: Sequence[int], rates: Sequence[float], best: tuple[int, int]
) -> Figure:
    """Accuracy of every network and snapshot against its similarity to the best one."""
    figure, ((panel,),) = plots.axes(width=5.2, height=3.4)
    shades = np.linspace(0.85, 0.25, len(snapshots))
    for column, steps in enumerate(snapshots):
        keep = np.array([(row, column) != tuple(best) for row in range(len(rates))])
        panel.scatter(
            similarity[keep, column],
            accuracy[keep, column],
            s=26,
            color=str(shades[column]),
            edgecolor="black",
            lw=0.5,
            label=f"after {steps} steps",
        )
    panel.axhline(accuracy[tuple(best)], color=RELATIVE, ls="--", lw=1, label="the best network itself")
    panel.set(xlabel="centred similarity of codes to the best network", ylabel="test accuracy")
    panel.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def roundings(values: np.ndarray, rounded: Mapping[str, np.ndarray]) -> Figure:
    """Similarities before and after each kind of rounding."""
    figure, ((panel,),) = plots.axes(width=4.6, height=3.0)
    panel.plot(values, values, color=plots.GREY, lw=1, label="not rounded")
    for (name, curve), colour in zip(rounded.items(), (RELATIVE, ABSOLUTE, OTHER), strict=False):
        panel.plot(values, curve, color=colour, lw=1.5, label=name)
    panel.set(xlabel="similarity", ylabel="rounded similarity")
    panel.legend(frameon=False, fontsize="small")
    return figure


def reconstructions(kinds: Mapping[str, Mapping[str, np.ndarray]]) -> Figure:
    """Originals, and what each decoder makes of each encoder's codes, by kind of autoencoder."""
    kind = next(iter(kinds.values()))
    rows = [("test images", kind["originals"])]
    for name, found in kinds.items():
        rows += [
            (f"{name}: own encoder, decoder 1", found["pictures"][0, 0]),
            (f"{name}: encoder 2, decoder 1", found["pictures"][0, 1]),
        ]
    figure, panels = plots.axes(1, len(rows), size=(6.6, 0.95 * len(rows)), frame="none")
    for panel, (title, pictures) in zip(panels[:, 0], rows, strict=True):
        strip = np.concatenate(list(pictures), axis=1)
        panel.imshow(np.clip(strip if strip.shape[-1] == 3 else strip[..., 0], 0, 1), cmap="gray", vmin=0, vmax=1)
        panel.set_title(title, fontsize="small", loc="left", pad=2)
    return figure
