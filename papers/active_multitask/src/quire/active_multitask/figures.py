"""Figures of the claims and of the notebook; matplotlib figures, closed."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from quire.common import plots
from quire.common.plots import Figure

COLOURS = {"uniform": plots.GREY, "l2": "#2980b9", "l1": "#c0392b"}
LABELS = {"uniform": "uniform (P-MTRL)", "l2": "by nu², shortest (L2-A-MTRL)", "l1": "by |nu|, sparsest (L1-A-MTRL)"}
RED, BLUE, GREEN = "#c0392b", "#2980b9", "#27ae60"


def heads_and_shares(W: np.ndarray, w: np.ndarray, parts: Mapping[str, np.ndarray]) -> Figure:
    """Heads in the plane `[2, tasks]`, the target, and the part of the samples that each source gets by strategy."""
    figure, (panels,) = plots.axes(1 + len(parts), width=2.7, height=2.9)
    limit = 1.15 * max(np.abs(W).max(), np.abs(w).max())
    first, *others = panels
    for t, (x, y) in enumerate(W.T):
        first.annotate("", (x, y), (0, 0), arrowprops={"arrowstyle": "->", "color": plots.GREY})
        first.annotate(str(t), (x, y), fontsize=8, ha="center", va="center", xytext=(1.12 * x, 1.12 * y))
    first.annotate("", tuple(w), (0, 0), arrowprops={"arrowstyle": "->", "color": "black", "lw": 2})
    first.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal", title="heads; target in black")
    for axes, (name, part) in zip(others, parts.items(), strict=True):
        axes.bar(range(len(part)), 100 * part, color=COLOURS[name])
        axes.set(title=LABELS[name], xlabel="source", ylim=(0, 100), xticks=range(len(part)))
        axes.title.set_fontsize(9)
    others[0].set_ylabel("samples (%)")
    return figure


def path(penalties: np.ndarray, nu: np.ndarray, relevant: int, error: np.ndarray, slack: float) -> Figure:
    """Coefficients of the LASSO `[path, tasks]` by penalty, and the misfit against the error of the target's head."""
    figure, ((left, right),) = plots.axes(2, width=4.6)
    for t, curve in enumerate(nu.T):
        style = {"color": RED, "lw": 2} if t < relevant else {"color": plots.GREY, "lw": 0.8}
        left.plot(penalties, curve, label={0: "relevant", relevant: "others"}.get(t), **style)
    left.set(xscale="log", xlabel="penalty", ylabel="coefficient")
    left.legend(frameon=False)
    right.loglog(penalties, np.maximum(error, 1e-6), color=BLUE)
    plots.level(right, slack, "half the standard error of the target's head")
    right.set(xlabel="penalty", ylabel=r"$\|W \nu - w\|$", ylim=(1e-3 * error.max(), 2 * error.max()))
    return figure


def gaps(sizes: Sequence[int], bounds: np.ndarray, free: np.ndarray, family: Sequence[float]) -> Figure:
    """How many times more samples the shortest relevance needs, by the number of sources."""
    figure, ((axes,),) = plots.axes(width=5)
    axes.plot(sizes, bounds, "o-", color=BLUE, label="random heads, ratio of the bounds")
    axes.plot(sizes, free, "s-", color=GREEN, label="random heads, nu free")
    axes.plot(sizes, family, "^-", color=RED, label="lower-bound family, nu free")
    plots.log_ticks(axes, sizes)
    axes.set(xlabel="sources", ylabel="bound with L2 / bound with L1", ylim=(0, None))
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def family(lengths: np.ndarray, curve_lengths: np.ndarray, bounds: np.ndarray, free: np.ndarray, measured: np.ndarray) -> Figure:
    """Ratios on the lower-bound family by the length c of the short sources: both formulas, and measured errors `[seeds, cs]`."""
    figure, ((axes,),) = plots.axes(width=5.4)
    axes.loglog(curve_lengths, bounds, color=BLUE, label="ratio of the bounds")
    axes.loglog(curve_lengths, free, color=RED, label="nu free")
    axes.loglog(lengths, measured.mean(0), "o", color="black", label="measured errors")
    axes.vlines(lengths, measured.min(0), measured.max(0), color="black", lw=1)
    axes.set(xlabel="length c of the short sources", ylabel="L2 / L1")
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def measured_and_predicted(budgets: Sequence[int], study: np.ndarray) -> Figure:
    """Errors `[seeds, budgets, 2, strategies]` by samples: measured as points with bands, predicted as dashed lines."""
    figure, ((axes,),) = plots.axes(width=5.4, height=3.6)
    for place, (name, colour) in enumerate(COLOURS.items()):
        plots.band(axes, budgets, study[:, :, 0, place], marker="o", color=colour, label=LABELS[name])
        axes.plot(budgets, study[:, :, 1, place].mean(0), color="black", lw=1, ls="--")
    axes.plot([], [], color="black", lw=1, ls="--", label=r"$\sigma^2 (d-k)\, \min_\nu \sum_t \nu_t^2 / n_t$")
    plots.log_ticks(axes, budgets)
    axes.set(yscale="log", xlabel="samples of the sources N", ylabel=r"$\|(I-\hat P) B w\|^2$")
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def by_sources(sizes: Sequence[int], sparse: np.ndarray, spread: np.ndarray) -> Figure:
    """Errors `[seeds, sizes, 2, strategies]` by the number of sources, others orthogonal to the target or not."""
    figure, (panels,) = plots.axes(2, width=4.2, sharey=True)
    titles = ("the others say nothing", "the others overlap with the target")
    for axes, study, title in zip(panels, (sparse, spread), titles, strict=True):
        for place, (name, colour) in enumerate(COLOURS.items()):
            plots.band(axes, sizes, study[:, :, 0, place], marker="o", color=colour, label=LABELS[name])
            axes.plot(sizes, study[:, :, 1, place].mean(0), color="black", lw=1, ls="--")
        plots.log_ticks(axes, sizes)
        axes.set(yscale="log", xlabel="sources", title=title)
    panels[0].set_ylabel(r"$\|(I-\hat P) B w\|^2$")
    panels[1].legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def rounds(curves: Mapping[str, np.ndarray], predicted: float) -> Figure:
    """Error by rounds of alternating least squares, from several starts."""
    figure, ((axes,),) = plots.axes(width=5)
    for (name, curve), colour in zip(curves.items(), (RED, BLUE), strict=False):
        axes.plot(curve, "o-", color=colour, label=f"start: {name}")
    plots.level(axes, predicted, "predicted")
    axes.set(yscale="log", xlabel="rounds", ylabel=r"$\|(I-\hat P) B w\|^2$", xticks=range(len(next(iter(curves.values())))))
    axes.legend(frameon=False)
    return figure


def estimated(errors: Mapping[str, np.ndarray]) -> Figure:
    """Errors `[seeds]` by how the relevance came about."""
    figure, ((axes,),) = plots.axes(width=8.4)
    plots.seed_bars(axes, {name.replace(", ", ",\n"): value for name, value in errors.items()}, _bar_colours(errors, ", ", ",\n"))
    axes.set(ylabel=r"$\|(I-\hat P) B w\|^2$")
    return figure


def costs(means: Mapping[str, float], counts: Mapping[str, float], fixed: np.ndarray) -> Figure:
    """Money for one bound by strategy, and with a fixed price for every source that is sampled."""
    figure, ((left, right),) = plots.axes(2, width=4.4)
    colours = (GREEN, RED, BLUE, plots.GREY)
    left.bar([name.replace(" (", "\n(") for name in means], list(means.values()), color=colours)
    left.set(ylabel="money for a bound of 1")
    left.tick_params(axis="x", labelsize=8)
    for (name, value), colour in zip(means.items(), colours, strict=True):
        right.plot(fixed, value + fixed * counts[name], color=colour, label=name)
    right.set(xlabel="fixed price of a source", ylabel="money", ylim=(0, None))
    right.legend(frameon=False, fontsize=8)
    return figure


def corrupted(images: np.ndarray, names: Sequence[str]) -> Figure:
    """One row of images `[corruptions, columns, h, w]` for every corruption."""
    rows, columns = images.shape[:2]
    figure, panels = plots.axes(columns, rows, width=0.75, height=0.75, frame="none")
    for row, name in zip(range(rows), names, strict=True):
        for column in range(columns):
            panels[row, column].imshow(images[row, column], cmap="gray", vmin=0, vmax=1)
        panels[row, 0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
    return figure


def image_errors(linear: Mapping[str, np.ndarray], network: Mapping[str, np.ndarray]) -> Figure:
    """Test errors `[seeds]` by strategy, for both representations."""
    figure, (panels,) = plots.axes(2, width=4.6, sharey=True)
    for axes, values, title in zip(panels, (linear, network), ("linear", "network"), strict=True):
        plots.seed_bars(
            axes,
            {name.replace(" ", "\n"): 100 * np.asarray(value) for name, value in values.items()},
            _bar_colours(values, " ", "\n"),
        )
        axes.set(title=f"{title} representation")
    panels[0].set_ylabel("test error of the target (%)")
    return figure


def relevance_map(nu: Mapping[str, np.ndarray], corruptions: Sequence[str], target: tuple[int, int]) -> Figure:
    """nu of the sources `[corruptions, digits]` by strategy, NaN at the target."""
    figure, (panels,) = plots.axes(len(nu), width=4.2, height=2.6, frame="full")
    for axes, (name, table) in zip(panels, nu.items(), strict=True):
        limit = np.nanmax(np.abs(table))
        axes.imshow(table, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
        axes.plot(target[1], target[0], "k*", ms=9)
        axes.set(xticks=range(table.shape[1]), yticks=range(len(corruptions)), xlabel="digit", title=LABELS[name])
        axes.set_yticklabels(corruptions if axes is panels[0] else [])
        axes.title.set_fontsize(9)
    return figure


def _bar_colours(names: Iterable[str], old: str, new: str) -> dict[str, str]:
    """Colours of bars whose names begin with that of a strategy."""
    return {name.replace(old, new): COLOURS[name[:2].lower()] for name in names if name[:2].lower() in COLOURS}
