"""Figures of the claims and of the notebook; matplotlib figures, closed."""

from collections.abc import Mapping, Sequence

import numpy as np

from quire.common import plots
from quire.common.plots import Figure

COLOURS = {
    "before training": "#7f8c8d",
    "after training": "#c0392b",
    "recomputed": "#2c3e50",
    "cached": "#c0392b",
    "identity": "#2980b9",
    "random": "#e67e22",
    "heads reversed": "#27ae60",
    "KV + G": "#c0392b",
    "KV": "#e67e22",
    "G": "#27ae60",
    "none": "#7f8c8d",
    "SDPA, KV": "#2980b9",
}


def tensors_of_prompts(before: np.ndarray, after: np.ndarray, head: int = 0, layer: int = 0) -> Figure:
    """One head's G of two prompts and their difference, before and after training; both `[depth, prompts, heads, d, d]`."""
    figure, panels = plots.axes(3, 2, width=2.9, height=2.5, frame="full")
    for row, (name, G) in zip(panels, (("before training", before), ("after training", after)), strict=True):
        first, second = G[layer, 0, head], G[layer, 1, head]
        limit = np.abs([first, second]).max()
        shown = {"prompt 1": first, "prompt 2": second, "difference": second - first}
        for panel, (title, T) in zip(row, shown.items(), strict=True):
            image = panel.imshow(T, cmap="RdBu_r", vmin=-limit, vmax=limit)
            panel.set(title=f"{name}: {title}", xticks=[], yticks=[])
            panel.title.set_fontsize("small")
        figure.colorbar(image, ax=list(row), shrink=0.8, label="entry of G")
    return figure


def training(losses: np.ndarray, levels: Mapping[str, float]) -> Figure:
    """Training loss of every seed `[seeds, steps]`, smoothed over twenty steps, and what counts of letters reach."""
    figure, ((panel,),) = plots.axes(width=5.2, height=3)
    for seed, values in enumerate(losses):
        panel.plot(
            *plots.smooth(values, 20), lw=1.2, color=COLOURS["after training"], alpha=1 - 0.25 * seed, label=f"seed {seed}"
        )
    for name, value in levels.items():
        plots.level(panel, value, name)
    panel.set(xlabel="step", ylabel="loss (nats / letter)", ylim=(1.8, 4.2))
    panel.legend(frameon=False, fontsize="small")
    return figure


def spread(before: np.ndarray, after: np.ndarray) -> Figure:
    """How far G lies from its mean over prompts, relative to that mean, by layer; both `[depth]`."""
    figure, ((panel,),) = plots.axes(width=4.6, height=2.8)
    places = np.arange(len(before))
    for shift, name, values in ((-0.2, "before training", before), (0.2, "after training", after)):
        bars = panel.bar(places + shift, values, 0.38, color=COLOURS[name], label=name)
        panel.bar_label(bars, fmt="%.2f", fontsize="small")
    panel.set(xticks=places, xticklabels=[f"layer {i + 1}" for i in places], ylabel="relative spread of G over prompts")
    panel.set_ylim(0, 1.25 * max(before.max(), after.max()))
    panel.legend(frameon=False, fontsize="small")
    return figure


def substituted(losses: Mapping[str, float], levels: Mapping[str, float]) -> Figure:
    """Held-out loss by the tensor that is used in every prompt, and what counts of letters reach."""
    figure, ((panel,),) = plots.axes(width=6, height=3)
    bars = panel.bar(range(len(losses)), list(losses.values()), color=[COLOURS[name] for name in losses], width=0.65)
    panel.bar_label(bars, fmt="%.3f", fontsize="small")
    for name, value in levels.items():
        plots.level(panel, value, name)
    low = min(losses.values())
    panel.set_ylim(0.8 * low, 1.1 * max(*losses.values(), *levels.values()))
    panel.set_xlim(-0.6, len(losses) + 0.1)  # room for the names of the levels
    panel.set_xticks(range(len(losses)), [f"G {name}" for name in losses], fontsize="small")
    panel.set(ylabel="held-out loss (nats / letter)")
    return figure


def work(macs: Mapping[str, float], seconds: Mapping[str, float], steps: int) -> Figure:
    """Multiply-accumulates of one decoding step, and the time that a generation took, by what is cached."""
    figure, ((left, right),) = plots.axes(2, width=4.8, height=3)
    for panel, values, label in (
        (left, {name: value / 1e6 for name, value in macs.items()}, "multiply-accumulates\nof a step (millions)"),
        (right, seconds, f"{steps} tokens (seconds)"),
    ):
        bars = panel.bar(range(len(values)), list(values.values()), color=[COLOURS[name] for name in values])
        panel.bar_label(bars, fmt="%.3g", fontsize="small")
        panel.set_yscale("log")
        panel.set_ylim(min(values.values()) / 3, 4 * max(values.values()))
        panel.minorticks_off()
        panel.set_xticks(range(len(values)), list(values), fontsize="small")
        panel.set(ylabel=label, xlabel="what is cached")
    return figure


def leak(changes: Sequence[float]) -> Figure:
    """Largest change of the logits at every position but the last when the last token changes."""
    figure, ((panel,),) = plots.axes(width=5, height=2.6)
    panel.bar(1 + np.arange(len(changes)), changes, color=COLOURS["after training"])
    panel.set(xlabel="position", ylabel="largest change of a logit")
    return figure
