"""Figures of the claims and of the notebook; matplotlib figures, closed."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from quire.common import plots
from quire.common.claims.measurement import log_log_slope
from quire.common.plots import Figure

COLOURS = {
    "FunBaT": "#c0392b",
    "discrete Bayes": "#2980b9",
    "ALS": "#16a085",
    "GP": "#8e44ad",
    "cell + year": "#e67e22",
    "mean": plots.GREY,
}


def smoothing_times(times: Mapping[str, tuple[Any, Any]]) -> Figure:
    """Milliseconds of a posterior against the number of coordinates."""
    figure, ((panel,),) = plots.axes(width=5.2, height=3.2)
    names = {"scan": ("filter and smoother", COLOURS["FunBaT"]), "dense": ("dense regression", COLOURS["discrete Bayes"])}
    for name, (sizes, seconds) in times.items():
        label, colour = names[name]
        slope = log_log_slope(sizes, seconds)
        panel.loglog(sizes, 1e3 * np.asarray(seconds), "o-", color=colour, label=f"{label}, slope {slope:.2f}")
    plots.log_ticks(panel, sorted({n for sizes, _ in times.values() for n in sizes}))
    panel.set(xlabel="coordinates", ylabel="least time (ms)")
    panel.legend(frameon=False, fontsize="small")
    return figure


def posterior(t: np.ndarray, mean: np.ndarray, std: np.ndarray, seen: tuple[np.ndarray, np.ndarray], truth: np.ndarray) -> Figure:
    """A function, its observations, and the mean with two standard deviations."""
    figure, ((panel,),) = plots.axes(width=6, height=3)
    panel.fill_between(
        t, mean - 2 * std, mean + 2 * std, color=COLOURS["FunBaT"], alpha=0.2, lw=0, label="± 2 standard deviations"
    )
    panel.plot(t, mean, color=COLOURS["FunBaT"], label="posterior mean")
    panel.plot(t, truth, color="black", ls="--", lw=1, label="truth")
    panel.plot(*seen, "o", color="black", ms=3.5, label="observed")
    panel.set(xlabel="coordinate t", ylabel="u(t)")
    panel.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def curves(run: Mapping[str, Any]) -> Figure:
    """Truth and what both arms found, scaled to it, for the two modes."""
    coordinates, functions = run["problem"].split.coordinates, run["problem"].functions
    figure, panels = plots.axes(2, width=4.4, height=3)
    for mode, panel in enumerate(panels[0]):
        t, truth = coordinates[mode], functions[mode]
        for arm, style in (("discrete Bayes", {"marker": "o", "ls": "", "ms": 3}), ("FunBaT", {"lw": 2})):
            q = run["states"][arm].functions[mode]
            mean = np.asarray(q.mean)[:, 0]
            scale = mean @ truth / (mean @ mean)
            panel.plot(t, scale * mean, color=COLOURS[arm], label=arm, **style)
            if arm == "FunBaT":
                std = abs(scale) * np.sqrt(np.asarray(q.covariance)[:, 0, 0])
                panel.fill_between(t, scale * mean - 2 * std, scale * mean + 2 * std, color=COLOURS[arm], alpha=0.2, lw=0)
        panel.plot(t, truth, color="black", ls="--", lw=1, label="truth")
        reach = 1.6 * np.abs(truth).max()
        panel.set(xlabel=f"coordinate of mode {mode + 1}", ylabel=f"$u_{mode + 1}$, scaled to the truth", ylim=(-reach, reach))
    panels[0][1].legend(frameon=False, fontsize="small", loc="upper right")
    return figure


def errors_by_arm(errors: Mapping[str, float]) -> Figure:
    """Test errors of one seed, without the arm that knows nothing."""
    shown = {arm: errors[arm] for arm in COLOURS if arm != "mean" and arm in errors}
    figure, ((panel,),) = plots.axes(width=5.2, height=3)
    _bars(panel, shown)
    panel.set(ylabel="test RMSE (°F)")
    panel.tick_params(axis="x", labelsize="small")
    return figure


def calibration(run: Mapping[str, Any]) -> Figure:
    """Promised and actual coverage; widths beside."""
    figure, ((left, right),) = plots.axes(2, width=3.6, height=3.2)
    promised = np.linspace(0.05, 0.99, 30)
    quantiles = np.array([_two_sided(p) for p in promised])
    widths = {}
    for arm in ("FunBaT", "discrete Bayes", "mean"):
        std = run["std"][arm]
        z = np.abs(run["mean"][arm] - run["test"].values) / std
        style = {"ls": ":", "lw": 3} if arm == "discrete Bayes" else {"lw": 1.5}  # two arms may lie on each other
        left.plot(promised, [(z <= q).mean() for q in quantiles], color=COLOURS[arm], label=arm, **style)
        widths[arm] = 3.92 * float(np.mean(std))
    left.plot([0, 1], [0, 1], color="black", ls="--", lw=1)
    left.set(xlabel="promised coverage", ylabel="share of test entries inside", aspect="equal")
    left.legend(frameon=False, fontsize="small")
    _bars(right, widths)
    right.set(ylabel="width of a 95 % interval (°F)")
    right.tick_params(axis="x", labelsize="small", rotation=15)
    return figure


def _bars(panel: plots.Axes, values: Mapping[str, float]) -> None:
    """A bar for each arm, with its number."""
    bars = panel.bar(list(values), list(values.values()), color=[COLOURS[arm] for arm in values], alpha=0.6, width=0.7)
    panel.bar_label(bars, fmt="%.3g", fontsize="small", padding=2)


def _two_sided(p: float) -> float:
    """Quantile of |N(0, 1)|."""
    from scipy.special import ndtri

    return float(ndtri(0.5 + p / 2))


def factors(names: tuple[str, ...], coordinates: list[np.ndarray], means: list[np.ndarray], stds: list[np.ndarray]) -> Figure:
    """Functions of every mode with two standard deviations."""
    figure, panels = plots.axes(len(names), width=3.6, height=2.8)
    for panel, name, t, mean, std in zip(panels[0], names, coordinates, means, stds, strict=True):
        for r, colour in zip(range(mean.shape[1]), ("#c0392b", "#2980b9", "#16a085", "#8e44ad"), strict=False):
            panel.plot(t, mean[:, r], color=colour, label=f"r = {r + 1}")
            panel.fill_between(t, mean[:, r] - 2 * std[:, r], mean[:, r] + 2 * std[:, r], color=colour, alpha=0.2, lw=0)
        panel.set(xlabel=name, ylabel="function")
    panels[0][0].legend(frameon=False, fontsize="small")
    return figure
