"""Figures of the claims and of the notebook; matplotlib figures, closed."""

from collections.abc import Mapping, Sequence

import numpy as np

from quire.common import plots
from quire.common.plots import Figure
from quire.unified_embedding.config import Orthogonality
from quire.unified_embedding.hash_kernel import Moments

COLOURS = {
    "unified": "#c0392b",
    "proportional": "#2980b9",
    "equal": "#8e44ad",
    "water-filled": "#27ae60",
    "shared": "#c0392b",
    "separate": "#2980b9",
    "a row for each": "#2c3e50",
    "a row for each value": "#2c3e50",
    "hashing": "#c0392b",
    "multi-hash": "#2980b9",
    "quotient-remainder": "#e67e22",
    "ROBE-Z": "#27ae60",
    "hash embedding": "#8e44ad",
    "product codes": "#7f6000",
}


def kernel_histogram(found: np.ndarray, right: Moments) -> Figure:
    """Inner products after hashing, and the normal density of the expected mean and variance."""
    figure, ((panel,),) = plots.axes(width=5.2)
    panel.hist(found, 50, density=True, color=plots.GREY, alpha=0.5, label="hash functions drawn")
    x = np.linspace(found.min(), found.max(), 200)
    density = np.exp(-((x - right.mean) ** 2) / (2 * right.variance)) / np.sqrt(2 * np.pi * right.variance)
    panel.plot(x, density, color=COLOURS["unified"], label="normal, expected mean and variance")
    panel.axvline(right.mean, color="black", lw=1, ls="--", label="inner product without hashing")
    panel.set(xlabel="⟨φ(x), φ(y)⟩", ylabel="density")
    panel.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def angles(config: Orthogonality, cosine: Mapping[tuple[str, str], np.ndarray]) -> Figure:
    """Mean |cos| of the features' weights during training, one seed, from both starts."""
    starts = list(dict.fromkeys(start for start, _ in cosine))
    figure, panels = plots.axes(len(starts), width=4.2, sharey=True)
    for panel, start in zip(panels[0], starts, strict=True):
        for (of, table), curve in cosine.items():
            if of == start:
                steps = np.linspace(0, config.training.steps, len(curve))
                panel.plot(
                    steps,
                    curve,
                    color=COLOURS[table],
                    label={"shared": "shared table", "separate": "separate tables"}.get(table, table),
                )
        panel.set(xlabel="step", title=f"{start} start", ylim=(0, None))
        panel.axhline(np.sqrt(2 / (np.pi * config.dim)), color=plots.GREY, ls=":", lw=1, label="random directions")
    panels[0, 0].set_ylabel("mean |cos| between features")
    panels[0, -1].legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def components(norms: Mapping[str, np.ndarray], felt: Mapping[str, np.ndarray]) -> Figure:
    """Parts of the gradient of a row, at the start and the end of training: norms, and what the feature's weights feel of them.

    Args:
        norms, felt: `[2, 3]` by table: start and end; true, intra and inter part.
    """
    figure, panels = plots.axes(2, width=4.6, height=3.0, sharey=True)
    parts = {"true": "#2c3e50", "intra-feature": "#e67e22", "inter-feature": "#c0392b"}
    for panel, values, title in (
        (panels[0, 0], norms, "norm of the part"),
        (panels[0, 1], felt, "felt by the feature's weights"),
    ):
        groups = [(table, moment) for table in values for moment in (0, 1)]
        for i, (part, colour) in enumerate(parts.items()):
            heights = [values[table][moment, i] for table, moment in groups]
            panel.bar(np.arange(len(groups)) + 0.27 * (i - 1), heights, 0.25, color=colour, label=part)
        panel.set_xticks(
            range(len(groups)), [f"{table}\n{('start', 'end')[moment]}" for table, moment in groups], fontsize="small"
        )
        panel.set_title(title, fontsize="medium")
    panels[0, 0].set_ylabel("mean over values")
    panels[0, 1].legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def tables(shares: Sequence[float], auc: Mapping[tuple[str, float], float], rates: Mapping[str, float]) -> Figure:
    """AUC of one seed against the size of the table, and what needs no table."""
    figure, ((panel,),) = plots.axes(width=5.4, height=3.6)
    for name in dict.fromkeys(name for name, _ in auc):
        points = [(share, x) for (of, share), x in auc.items() if of == name]
        if len(points) > 1:
            panel.plot(*zip(*points, strict=True), "o-", color=COLOURS[name], label=name)
    levels(panel, auc, rates)
    plots.log_ticks(panel, shares)
    panel.set(xlabel="rows of the table / number of values", ylabel="test AUC")
    panel.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def levels(panel, auc: Mapping[tuple[str, float], float], rates: Mapping[str, float]) -> None:
    """Lines of what has no budget: rates, and the table without collisions."""
    styles = iter(("--", ":", "-."))
    for name, value in rates.items():
        panel.axhline(value, color=plots.GREY, ls=next(styles), lw=1.2, label=name)
    for (name, share), value in auc.items():
        if share == 1:
            panel.axhline(value, color="black", ls="-", lw=0.8, label=name)


def pareto(curves: Mapping[tuple[str, bool], Mapping[float, float]], auc, rates: Mapping[str, float]) -> Figure:
    """AUC of all schemes against the size of the table: multiplexed solid, with a region for each feature dashed.

    Args:
        curves: AUC by share, by name and whether multiplexed.
        auc, rates: as for `tables`.
    """
    figure, panels = plots.axes(2, width=4.4, height=3.8, sharey=True)
    for (name, together), points in curves.items():
        style = {"color": COLOURS[name], "ls": "-" if together else "--", "marker": "o" if together else "s", "ms": 4}
        panels[0, 0 if together else 1].plot(list(points), list(points.values()), label=name, **style)
    for panel, title in zip(panels[0], ("multiplexed: one region for all", "a region for each feature"), strict=True):
        levels(panel, auc, rates)
        plots.log_ticks(panel, sorted({share for points in curves.values() for share in points}))
        panel.set(xlabel="rows of the table / number of values")
        panel.set_title(title, fontsize="medium")
    panels[0, 0].set_ylabel("test AUC, one seed")
    panels[0, 1].legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def collisions(counts: Mapping[str, np.ndarray], expected: Mapping[str, float]) -> Figure:
    """Pairs in a row, counted over hash functions, and expected; relative to the expectation."""
    figure, panels = plots.axes(len(counts), width=2.9, height=2.8)
    for panel, (name, numbers) in zip(panels[0], counts.items(), strict=True):
        panel.hist(numbers, 20, color=plots.GREY, alpha=0.6)
        panel.axvline(expected[name], color=COLOURS["unified"], label="expected")
        panel.axvline(numbers.mean(), color="black", ls="--", label="mean of the counts")
        panel.set(xlabel="colliding pairs")
        panel.set_title(name, fontsize="medium")
        panel.locator_params(axis="x", nbins=4)
    panels[0, 0].set_ylabel("hash functions")
    panels[0, -1].legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def growing(values: Mapping[str, np.ndarray]) -> Figure:
    """AUC of examples with values that came late, every seed a point."""
    figure, ((panel,),) = plots.axes(width=7.0, height=3.0)
    plots.seed_bars(panel, values, COLOURS)
    lowest = min(np.min(x) for x in values.values())
    panel.set(ylabel="test AUC, late values", ylim=(max(0.5, lowest - 0.05), None))
    return figure
