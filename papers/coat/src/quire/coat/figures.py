"""Figures of the claims and of the notebook; matplotlib figures, closed."""

from collections.abc import Mapping

import numpy as np

from quire.common import plots
from quire.common.plots import Figure

COLOURS = {
    "float32": "#7f8c8d",
    "BF16": "#7f8c8d",
    "TE-like": "#2980b9",
    "COAT": "#c0392b",
    "without expansion": "#e67e22",
    "per tensor": "#e67e22",
    "per group": "#27ae60",
}


def code_histograms(plain: np.ndarray, expanded: np.ndarray) -> Figure:
    """Which magnitudes E4M3 codes take, before and after expansion; both `[256]`, counts of the bit patterns."""
    figure, panels = plots.axes(2, width=4.2, height=2.8, sharey=True)
    for panel, counts, title in zip(panels[0], (plain, expanded), ("plain", "expanded"), strict=True):
        both = counts[:128] + counts[128:]
        panel.bar(
            np.arange(127), both[:127] / both.sum(), width=1.0, color=COLOURS["COAT" if title == "expanded" else "per tensor"]
        )
        panel.set(title=f"{title}: {np.count_nonzero(both[1:127])} of 126 magnitudes in use", xlabel="magnitude, as bit pattern")
    panels[0, 0].set(ylabel="share of the numbers")
    return figure


def dynamic_ranges(ranges: Mapping[str, tuple[float, float]]) -> Figure:
    """Median dynamic range of a group's codes, in powers of two: plain and expanded, by moment."""
    figure, ((panel,),) = plots.axes(width=4.8, height=2.8)
    places = np.arange(len(ranges))
    plain, expanded = np.array(list(ranges.values())).T
    panel.bar(places - 0.2, plain, 0.38, color=COLOURS["per tensor"], label="plain")
    panel.bar(places + 0.2, expanded, 0.38, color=COLOURS["COAT"], label="expanded")
    plots.level(panel, 17.8, "all that E4M3 holds")
    panel.set(xticks=places, xticklabels=list(ranges), ylabel="log₂ (largest / smallest code)", ylim=(0, 21))
    panel.legend(frameon=False, loc="upper left", ncols=2, fontsize="small")
    return figure


def training(losses: Mapping[str, np.ndarray], uniform: float, bigram: float) -> Figure:
    """Training losses by method, smoothed over ten steps, of one seed; and their distance from float32."""
    figure, ((left, right),) = plots.axes(2, width=4.6, height=3)
    for name, values in losses.items():
        steps, means = plots.smooth(values, 10)
        left.plot(steps, means, color=COLOURS[name], label=name, lw=3 if name == "float32" else 1.2)
        if name != "float32":
            right.plot(steps, 100 * (means / plots.smooth(losses["float32"], 10)[1] - 1), color=COLOURS[name], label=name)
    plots.level(left, uniform, "uniform")
    plots.level(left, bigram, "bigram counts")
    left.set(xlabel="step", ylabel="loss (nats / letter)")
    right.axhline(0, color=plots.GREY, lw=1)
    right.set(xlabel="step", ylabel="loss above float32 (%)", ylim=(-1.5, 1.5))
    for panel in (left, right):
        panel.legend(frameon=False, fontsize="small", loc="lower left")
    return figure


def drift(errors: Mapping[str, np.ndarray]) -> Figure:
    """Mean distance of the parameters from those of float64, step by step."""
    figure, ((panel,),) = plots.axes(width=4.6, height=2.8)
    for name, values in errors.items():
        panel.semilogy(np.arange(1, len(values) + 1), values, "o-", color=COLOURS[name], label=name)
    panel.set(xlabel="step", ylabel="mean |p − p of float64|", xticks=np.arange(1, len(values) + 1))
    panel.legend(frameon=False)
    return figure


def memory(states: Mapping[str, float], activations: Mapping[str, float]) -> Figure:
    """Bytes of optimiser state for each parameter, and of saved activations for each token and channel."""
    figure, panels = plots.axes(2, width=4.6, height=3)
    titles = ("optimiser state (bytes / parameter)", "saved activations of a block\n(bytes / token and channel)")
    for panel, values, title in zip(panels[0], (states, activations), titles, strict=True):
        bars = panel.bar(range(len(values)), list(values.values()), color=[COLOURS.get(n, "#34495e") for n in values])
        panel.bar_label(bars, fmt="%.2f")
        panel.set_xticks(range(len(values)), [name.replace(" ", "\n") for name in values], fontsize="small")
        panel.set(title=title)
    return figure


def granularity(errors: Mapping[str, np.ndarray], freedom: tuple[int, ...]) -> Figure:
    """Error of the half-block by how it is stored, over the degrees of freedom of its inputs."""
    figure, ((panel,),) = plots.axes(width=4.8, height=2.8)
    for name, values in errors.items():
        panel.plot(freedom, values, "o-", color=COLOURS[name], label=name)
    panel.set(xlabel="degrees of freedom (fewer: more outliers)", ylabel="relative error", xticks=freedom)
    panel.legend(frameon=False)
    return figure
