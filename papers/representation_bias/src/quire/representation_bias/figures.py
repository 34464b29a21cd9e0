"""Figures of the claims and of the notebook; matplotlib figures, closed."""

from collections.abc import Mapping, Sequence

import numpy as np

from quire.common import plots
from quire.common.plots import Figure

EASY, HARD, GREY = "#2980b9", "#c0392b", plots.GREY
COLOURS = {"easy": EASY, "hard": HARD}


def over_training(steps: np.ndarray, panels: Mapping[str, np.ndarray], names: Sequence[str] = ("copy", "xor2")) -> Figure:
    """Explained variance `[seeds, times, 2]` in units of the final variance, a panel for each way to train."""
    figure, (axes,) = plots.axes(len(panels), width=3.1, height=2.9, sharey=True)
    for panel, (title, curves) in zip(axes, panels.items(), strict=True):
        for i, (name, colour) in enumerate(zip(names, (EASY, HARD), strict=True)):
            plots.band(panel, steps, curves[:, :, i], color=colour, label=name)
        panel.set(title=title, xlabel="step")
    axes[0].set(ylabel="variance explained / final variance", ylim=(0, None))
    axes[0].legend(frameon=False)
    return figure


def paired(rows: Mapping[str, tuple[np.ndarray, tuple[str, str]]]) -> Figure:
    """R2 `[seeds, 2]` of two features by condition; the names of the features with the values."""
    figure, ((axes,),) = plots.axes(size=(6.4, 0.8 + 0.45 * len(rows)))
    for place, (values, names) in enumerate(rows.values()):
        for i, colour in enumerate((EASY, HARD)):
            height = -place + 0.17 - 0.34 * i
            axes.barh(height, values[:, i].mean(), 0.3, color=colour, alpha=0.4)
            axes.plot(values[:, i], np.full(len(values), height), "o", color=colour, ms=3)
            axes.annotate(names[i], (values[:, i].max(), height), (5, 0), textcoords="offset points", va="center", fontsize=7)
    axes.set_yticks(-np.arange(len(rows)), list(rows))
    axes.set(xlabel="R2 in the last layer", xlim=(min(0, *(v.min() for v, _ in rows.values())), None))
    return figure


def gaps(values: Mapping[str, np.ndarray]) -> Figure:
    """Gaps of R2 `[seeds]` by network."""
    figure, ((axes,),) = plots.axes(size=(6, 0.8 + 0.3 * len(values)))
    for place, numbers in enumerate(values.values()):
        axes.barh(-place, numbers.mean(), 0.6, color=GREY, alpha=0.4)
        axes.plot(numbers, np.full(len(numbers), -place), "o", color=GREY, ms=4)
    axes.axvline(0, color="black", lw=0.8)
    axes.set_yticks(-np.arange(len(values)), list(values))
    axes.set_xlabel("R2 of copy minus R2 of xor2")
    return figure


def units(shares: np.ndarray, content: np.ndarray, decoded: np.ndarray, ks: Sequence[int]) -> Figure:
    """Units, components and decoding.

    Args:
        shares: R2 of the easy and the hard feature by unit, `[2, d]`.
        content: R2 of both by principal component, `[2, k]`.
        decoded: R2 with which both are decoded from the first components, `[ks, 2]`.
        ks: numbers of components.
    """
    figure, ((left, middle, right),) = plots.axes(3, width=3.3)
    for i, (name, colour) in enumerate(COLOURS.items()):
        left.plot(np.sort(shares[i])[::-1], color=colour, label=name)
        middle.bar(np.arange(1, content.shape[1] + 1) + 0.4 * i - 0.2, content[i], 0.4, color=colour)
        right.plot(ks, decoded[:, i], "o-", color=colour)
    left.set(xlabel="unit, by rank", ylabel="R2 within the unit", ylim=(0, 1))
    left.legend(frameon=False)
    middle.set(xlabel="principal component", ylabel="R2 within the component", ylim=(0, 1))
    right.set(xlabel="components k", ylabel="R2 of the feature from k components", ylim=(None, 1.05), xticks=ks)
    return figure


def plane(projected: np.ndarray, labels: np.ndarray) -> Figure:
    """First two principal components `[n, 2]`, coloured by each feature `[n, 2]`."""
    figure, (axes,) = plots.axes(2, width=3.4, height=3.1, frame="full")
    for panel, values, name in zip(axes, labels.T, ("easy: copy", "hard: xor2"), strict=True):
        for value, colour in ((0, GREY), (1, HARD if "hard" in name else EASY)):
            panel.scatter(*projected[values == value].T, s=5, color=colour, label=f"{value}", alpha=0.6)
        panel.set(title=name, xlabel="component 1")
        panel.legend(frameon=False, markerscale=3)
    axes[0].set_ylabel("component 2")
    return figure


def similarities(matrix: np.ndarray, kinds: Sequence[str], seeds: int) -> Figure:
    """RSA of all pairs of networks, `[kinds x seeds, kinds x seeds]`."""
    figure, ((axes,),) = plots.axes(width=5, height=4.2, frame="full")
    image = axes.imshow(matrix, cmap="viridis", vmin=0, vmax=1)
    middles = seeds * (np.arange(len(kinds)) + 0.5) - 0.5
    axes.set_xticks(middles, kinds)
    axes.set_yticks(middles, kinds)
    for edge in seeds * np.arange(1, len(kinds)) - 0.5:
        axes.axhline(edge, color="white", lw=1)
        axes.axvline(edge, color="white", lw=1)
    figure.colorbar(image, ax=axes, label="Spearman's correlation")
    return figure


def places(reads: Mapping[str, np.ndarray], untrained: np.ndarray) -> Figure:
    """R2 by place in the output `[m]`, by where the network is read; and before training, in the last of these."""
    figure, ((axes,),) = plots.axes(width=6)
    x = np.arange(1, len(untrained) + 1)
    for name, shares in reads.items():
        colour, style = HARD if name.startswith("slots") else EASY, "o-" if name.endswith(list(reads)[-1][-1]) else "o--"
        axes.plot(x, shares, style, color=colour, label=name)
    axes.plot(x, untrained, "o:", color=GREY, label=f"{list(reads)[-1]}, untrained")
    axes.set(xlabel="place in the output", ylabel="R2", xticks=x, ylim=(min(0, untrained.min()), None))
    axes.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def stages(shares: Mapping[str, np.ndarray]) -> Figure:
    """R2 of colour and shape `[seeds, stages, 2]`, stage by stage, a panel for each kind of network."""
    figure, (axes,) = plots.axes(len(shares), width=3.4, height=3, sharey=True)
    for panel, (kind, values) in zip(axes, shares.items(), strict=True):
        x = np.arange(1, values.shape[1] + 1)
        for i, (name, colour) in enumerate((("colour", EASY), ("shape", HARD))):
            plots.band(panel, x, values[:, :, i], color=colour, marker="o", label=name)
        panel.set(title=kind, xlabel="stage", xticks=x, ylim=(0, None))
    axes[0].set_ylabel("R2")
    axes[0].legend(frameon=False)
    return figure


def pictures(images: np.ndarray, labels: np.ndarray) -> Figure:
    """Some images with their colour and shape."""
    figure, (panels,) = plots.axes(len(images), width=1.25, height=1.5, frame="none")
    for panel, image, (colour, shape) in zip(panels, images, labels, strict=True):
        panel.imshow(np.clip(image, 0, 1))
        panel.set_title(f"colour {colour}\nshape {shape}", fontsize=7)
    return figure
