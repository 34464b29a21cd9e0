"""Figures of the claims and of the notebook; matplotlib figures, closed."""

from collections.abc import Mapping, Sequence

import numpy as np

from quire.common import plots
from quire.common.plots import Figure
from quire.hydra.relations import nearest_classes

COLOURS = {
    "arbitrary + gate": "#c0392b",
    "arbitrary + open": "#e67e22",
    "identical + open": "#2980b9",
    "distinct + gate": "#16a085",
    "SimCLR": "#27ae60",
    "cross-entropy": "#34495e",
    "untrained": plots.GREY,
    "gated": "#c0392b",
    "permuted": "#e67e22",
    "ungated": "#2980b9",
}


def subspaces(scores: Mapping[str, np.ndarray], pairs: Sequence[str], gate: np.ndarray, shared: np.ndarray) -> Figure:
    """AUC of every pair, whole space, its gate and the gate permuted; beside it a gate where the sub-space was planted.

    Args:
        scores: AUCs `[pairs]` by kind.
        pairs: names.
        gate, shared: of one planted pair `[dim]`.
    """
    figure, ((left, right),) = plots.axes(2, width=5.2, height=3.6)
    order = np.argsort(scores["gated"])
    for kind, marker in (("ungated", "o"), ("permuted", "x"), ("gated", "D")):
        left.plot(scores[kind][order], np.arange(len(order)), marker, color=COLOURS[kind], label=kind, ms=6)
    left.axvline(0.5, color=plots.GREY, ls="--", lw=1)
    left.set(yticks=range(len(order)), yticklabels=[pairs[k] for k in order], xlabel="AUC: the pair against other classes")
    left.legend(frameon=False, fontsize="small", loc="upper center", ncols=3, bbox_to_anchor=(0.5, 1.14))
    order = np.argsort(-gate, kind="stable")
    colours = np.where(shared[order], COLOURS["gated"], "#bdc3c7")
    right.bar(np.arange(len(gate)), gate[order], color=colours, width=0.85)
    for name, colour in (("the pair shares it", COLOURS["gated"]), ("it does not", "#bdc3c7")):
        right.bar([0], [0], color=colour, label=name)
    right.set(xlabel="coordinate, by its gate", ylabel="learned gate, planted sub-space", ylim=(0, 1.05))
    right.legend(frameon=False, fontsize="small")
    return figure


def curves(losses: Mapping[str, np.ndarray]) -> Figure:
    """Contrastive losses of one seed, smoothed over ten steps."""
    figure, ((panel,),) = plots.axes(width=5.4, height=3.2)
    for name, values in losses.items():
        panel.plot(*plots.smooth(values, 10), color=COLOURS[name], label=name, lw=1.4)
    panel.set(xlabel="step", ylabel="contrastive loss (nats)")
    panel.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def spectra(log_values: Mapping[str, np.ndarray], ranks: Mapping[str, float]) -> Figure:
    """Log singular values of centred embeddings, largest first, and the effective rank in the legend."""
    figure, ((panel,),) = plots.axes(width=5.4, height=3.2)
    for name, values in log_values.items():
        seen = values[values > values.max() - 8]  # layer norm leaves one direction with nothing but rounding
        label = f"{name} (effective rank {ranks[name]:.1f})"
        panel.plot(np.arange(1, len(seen) + 1), seen, "o-", ms=3, color=COLOURS[name], label=label, lw=1.2)
    panel.set(xlabel="direction", ylabel="log singular value of z (nats)")
    panel.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def relations(matrices: Mapping[str, np.ndarray], names: Sequence[str], marked: int = 5) -> Figure:
    """Relations between classes `[k, k]` by where they were read off, the strongest pairs outlined."""
    side = 1.4 + 0.24 * len(names)
    figure, panels = plots.axes(len(matrices), width=side, height=side + 0.3, frame="full", sharey=True)
    for panel, (title, values) in zip(panels[0], matrices.items(), strict=True):
        shown = np.where(np.eye(len(values), dtype=bool), np.nan, values)
        image = panel.imshow(shown, cmap="RdBu_r", vmin=-1, vmax=1)
        panel.set_title(title, fontsize="medium")
        ticks = range(len(names))
        panel.set_xticks(ticks, names, rotation=90, fontsize="small")
        panel.set_yticks(ticks, names, fontsize="small")
        for i, j in nearest_classes(values, marked) if np.isfinite(values).all() else ():
            panel.plot([i, j], [j, i], "s", mfc="none", mec="black", ms=9)
    figure.colorbar(image, ax=panels, label="cosine of centred vectors", shrink=0.7)
    return figure


def gates(single: np.ndarray, openness: np.ndarray, names: Sequence[str]) -> Figure:
    """Gates of single classes `[k, dim]`, and the share of coordinates that every pair has open."""
    height = 1.2 + 0.24 * len(names)
    figure, ((left, right),) = plots.axes(2, size=(9.4, height), frame="full", width_ratios=(1.9, 1))
    image = left.imshow(single, aspect="auto", cmap="viridis", vmin=0, vmax=1)
    left.set_yticks(range(len(names)), names, fontsize="small")
    left.set(xlabel="coordinate of z")
    figure.colorbar(image, ax=left, label="gate of a class")
    image = right.imshow(openness, cmap="magma")
    right.set_xticks(range(len(names)), names, rotation=90, fontsize="small")
    right.set_yticks(range(len(names)), names, fontsize="small")
    figure.colorbar(image, ax=right, label="open share of a pair")
    return figure


def views(images: np.ndarray, changed: Sequence[np.ndarray]) -> Figure:
    """Images in the first row, views of them below."""
    figure, panels = plots.axes(len(images), 1 + len(changed), width=0.95, height=0.95, frame="none")
    low, high = images.min(), images.max()
    for row, pictures in zip(panels, (images, *changed), strict=True):
        for panel, picture in zip(row, pictures, strict=True):
            panel.imshow(np.clip((picture - low) / (high - low), 0, 1).squeeze(), cmap="gray")
    return figure
