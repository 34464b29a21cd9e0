"""Figures of the claims and of the notebook; matplotlib figures, closed."""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np

from quire.common import plots
from quire.common.plots import Figure

COLOURS = {"DAIN": "#c0392b", "no augmentation": "#34495e", "duplicates": "#2980b9", "random values": "#8e44ad"}


def first_order(influence: np.ndarray, decrease: np.ndarray, rate: float) -> Figure:
    """What a step on each cell took off the validation error, against its influence; the line of slope 2 x rate."""
    figure, ((panel,),) = plots.axes(width=5)
    panel.plot(influence, 1e3 * decrease, ".", color=COLOURS["DAIN"], label="a training cell")
    ends = np.array([influence.min(), influence.max()])
    panel.plot(ends, 2e3 * rate * ends, "--", color=plots.GREY, lw=1, label="first order")
    panel.axvline(0, color=plots.GREY, lw=0.6)
    panel.set(xlabel="influence I(x) of the cell", ylabel="decrease of the validation\nsquared error (1/1000)")
    panel.legend(frameon=False)
    return figure


def entities(indices: np.ndarray, importance: Sequence[np.ndarray], names: Sequence[str]) -> Figure:
    """Importance of every entity against the number of its training cells, mode by mode, on logarithmic axes."""
    figure, panels = plots.axes(len(importance), width=3.1, height=3)
    for mode, (panel, values, name) in enumerate(zip(panels[0], importance, names, strict=True)):
        count = np.bincount(indices[:, mode], minlength=len(values))
        seen = (count > 0) & (values > 0)
        panel.loglog(count[seen], values[seen], ".", color=COLOURS["DAIN"], ms=4, alpha=0.5)
        ends = np.array([count[seen].min(), count[seen].max()])
        panel.loglog(ends, ends / count.sum(), "--", color=plots.GREY, lw=1)
        plots.log_ticks(panel, _round_numbers(*ends))
        panel.set(xlabel="training cells of the entity", title=name)
    panels[0, 0].set_ylabel("probability of being drawn")
    return figure


def _round_numbers(low: float, high: float) -> list[float]:
    """1, 2, 5, 10, ... between two numbers; powers of ten only where these are many."""
    numbers = [lead * 10.0**power for power in range(-3, 9) for lead in (1, 2, 5) if low <= lead * 10.0**power <= high]
    return numbers if len(numbers) < 6 else [x for x in numbers if f"{x:e}".startswith("1.0")]


def learning_curves(curves: Mapping[str, np.ndarray]) -> Figure:
    """Validation RMSE epoch by epoch, `[seeds, epochs]` by arm."""
    figure, ((panel,),) = plots.axes(width=5.4, height=3.3)
    for name in ("no augmentation", "duplicates", "random values", "DAIN"):
        values = np.atleast_2d(curves[name])
        plots.band(panel, np.arange(1, values.shape[1] + 1), values, color=COLOURS[name], label=name, lw=1.6)
    low = min(values.min() for values in curves.values())
    panel.set(xlabel="epoch", ylabel="validation RMSE", ylim=(low - 0.02, low + 0.35))
    panel.locator_params(axis="x", integer=True)
    panel.legend(frameon=False)
    return figure


def arms(errors: Mapping[str, np.ndarray], mean: float) -> Figure:
    """Test RMSE by arm: bars for means, points for seeds; the mean value as a level."""
    figure, ((panel,),) = plots.axes(width=9, height=3.4)
    plots.seed_bars(panel, {textwrap.fill(name, 11, break_long_words=False): x for name, x in errors.items()}, COLOURS)
    numbers = np.concatenate([np.atleast_1d(x) for x in errors.values()])
    panel.set(ylabel="test RMSE", ylim=(numbers.min() - 0.03, max(numbers.max(), mean) + 0.03))
    plots.level(panel, mean, "mean value for every cell")
    panel.tick_params(axis="x", labelsize="small")
    return figure


def wrong_cells(scores: np.ndarray, wrong: np.ndarray, auc: Mapping[str, float]) -> Figure:
    """Importances of right and wrong cells, and how well some scores tell them apart."""
    figure, ((left, right),) = plots.axes(2, width=4.2, height=3)
    bins = np.linspace(*np.quantile(scores, (0.01, 0.99)), 41)
    for kind, colour, name in ((~wrong, COLOURS["no augmentation"], "right"), (wrong, COLOURS["DAIN"], "wrong")):
        left.hist(scores[kind], bins, density=True, histtype="step", lw=1.6, color=colour, label=name)
    left.set(xlabel="influence I(x)", ylabel="density of cells", yticks=[])
    left.legend(frameon=False, title="value")
    right.barh(list(auc), list(auc.values()), color=COLOURS["duplicates"], alpha=0.6)
    right.axvline(0.5, color=plots.GREY, ls="--", lw=1)
    right.invert_yaxis()
    right.set(xlabel="AUC of finding wrong cells\n(dashed: chance)", xlim=(0.3, 1))
    return figure


def scaling(cells: Sequence[int], seconds: Sequence[float], streamed: Sequence[int], stored: Sequence[int]) -> Figure:
    """Time of an epoch and bytes for influence, against the number of training cells."""
    figure, ((left, right),) = plots.axes(2, width=3.8, height=3)
    left.plot(cells, 1e3 * np.asarray(seconds), "o-", color=COLOURS["DAIN"], label="measured")
    left.plot(cells, 1e3 * seconds[0] * np.asarray(cells) / cells[0], "--", color=plots.GREY, lw=1, label="in proportion")
    left.set(ylabel="time of an epoch (ms)", yscale="log")
    ticks = _round_numbers(500 * min(seconds), 2000 * max(seconds))
    left.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    left.yaxis.minorticks_off()
    right.plot(cells, np.asarray(stored) / 1e6, "o-", color=COLOURS["duplicates"], label="gradients of 20 epochs stored")
    right.plot(cells, np.asarray(streamed) / 1e6, "o-", color=COLOURS["DAIN"], label="streamed")
    right.set(ylabel="memory for influence (MB)", yscale="log")
    for panel in (left, right):
        plots.log_ticks(panel, cells)
        panel.set_xticklabels([f"{n / 1000:.0f}k" for n in cells])
        panel.set_xlabel("training cells")
        panel.legend(frameon=False, fontsize="small")
    return figure
