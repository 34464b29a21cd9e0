"""Pictures of the claims, each from the numbers of its measurement."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from quire.common.layers.polynomials import num_monomials

COLOURS = {"low rank": "C0", "degree 0": "C7", "dense exact": "C3", "streamed exact": "C1"}


def truncation_figure(errors: np.ndarray, bounds: np.ndarray, leading: np.ndarray, radius: float) -> Figure:
    """Output error, guaranteed bound and leading Taylor remainder against the degree."""
    figure, axes = _panel()
    degrees = np.arange(len(errors))
    axes.semilogy(degrees, errors, "o-", color="C0", label="measured output error")
    axes.semilogy(degrees, leading, "--", color="C7", label=r"$e(0)\,R^g/(g+1)!$: leading Taylor remainder")
    finite = np.isfinite(bounds)
    axes.semilogy(degrees[finite], bounds[finite], "s-", color="C3", ms=4, label=r"guarantee $2ε/(1-ε)\,\max|V_1V_2|$")
    axes.set(xlabel="degree g", ylabel="largest output error", title=f"Faster than any geometric series (R = {radius:.2f})")
    axes.legend()
    return figure


def scaling_figure(
    series: Mapping[str, tuple], slopes: Mapping[str, float], ylabel: str, crossing: float | None = None
) -> Figure:
    """Cost against tokens, log-log, with fitted slopes and, where the lines meet, the crossover."""
    figure, axes = _panel()
    for name, (n, cost) in series.items():
        axes.loglog(n, cost, "o-", ms=4, color=COLOURS[name], label=f"{name}: slope {slopes[name]:.2f}")
    if crossing is not None:
        for name in ("low rank", "dense exact"):  # each line back to where they meet
            n, cost = series[name]
            reach = np.array([crossing, n[0]])
            middle = np.exp(np.mean(np.log(n))), np.exp(np.mean(np.log(cost)))
            axes.loglog(reach, middle[1] * (reach / middle[0]) ** slopes[name], "--", lw=0.8, color=COLOURS[name])
        axes.axvline(crossing, color="k", lw=0.8, ls=":")
        axes.annotate(f" crossover\n n ≈ {crossing:.0f}", (crossing, 0.97), xycoords=("data", "axes fraction"), va="top")
    axes.set(xlabel="tokens n", ylabel=ylabel, title="Order-3 attention")
    axes.legend()
    return figure


def transition_figure(bounds, degrees: Mapping[int, np.ndarray], budget: int, ceiling: int, dim: int) -> Figure:
    """Degree needed against the bound on the entries, for each order, and the rank that it costs."""
    figure, axes = _panel()
    for i, (order, needed) in enumerate(degrees.items()):
        shown = np.where(needed <= ceiling, needed, np.nan)
        axes.step(bounds, shown, where="mid", color=f"C{i}", label=f"order {order}")
    axes.axhline(budget, color="k", lw=0.8, ls=":")
    axes.annotate(
        f"budget g = {budget}, r = {num_monomials(dim, budget):,}", (bounds[0], budget), (0, 3), textcoords="offset points"
    )
    axes.set(
        xlabel="B: entries are ±B", ylabel="even Taylor degree g needed", title="Larger entries, and higher orders, cost rank"
    )
    ticks = [g for g in (4, 10, 20, 30, 40, 50) if g <= ceiling]
    ranks = axes.secondary_yaxis("right")
    ranks.set_yticks(ticks, [f"{num_monomials(dim, g):,}" for g in ticks])
    ranks.set_ylabel("rank r = C(d + g, g)")
    axes.legend(loc="upper left")
    return figure


def learning_figure(
    steps: Sequence[int], accuracy: Mapping[str, np.ndarray], majority: float, parameters: Mapping[str, int]
) -> Figure:
    """Test accuracy against steps: mean over seeds as a line, every seed inside the band."""
    figure, axes = _panel()
    for i, name in enumerate(("tensor", "matrix", "wide matrix")):
        curves = np.asarray(accuracy[name])
        axes.plot(steps, curves.mean(0), color=f"C{i}", label=f"{name} ({parameters[name]} parameters)")
        axes.fill_between(steps, curves.min(0), curves.max(0), color=f"C{i}", alpha=0.2, lw=0)
    axes.axhline(majority, color="k", lw=0.8, ls=":", label="majority class")
    axes.set(
        xlabel="training steps",
        ylabel="test accuracy",
        ylim=(majority - 0.03, 1.01),
        title="Match3: pairs learn it in fewer steps",
    )
    axes.legend(loc="center right", fontsize="small")
    return figure


def _panel():
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
