"""Pictures of the claims, each from the numbers of its measurement, and of the ideas behind them."""

from collections.abc import Mapping, Sequence

import numpy as np

from quire.common import plots
from quire.common.layers.polynomials import exp_polynomial, num_monomials
from quire.common.plots import Figure
from quire.tensor_attention.approximation import entry_error

COLOURS = {"low rank": "C0", "degree 0": "C7", "dense exact": "C3", "streamed exact": "C1"}


def attention_figure(matrix: np.ndarray, cube: np.ndarray, query: int) -> Figure:
    """Weights of order 2 `[n, n]`, where a query owns a row, beside those of order 3 `[n, n, n]`, where it owns a square."""
    figure, ((row, middle, square),) = plots.axes(3, size=(9.6, 3.4), width_ratios=(1, 1.25, 1), frame="full")
    row.imshow(matrix, cmap="Blues", vmin=0)
    row.axhspan(query - 0.5, query + 0.5, fill=False, ec="C3", lw=2)
    row.set(xlabel="token j", ylabel="query i", title="Order 2: a row of tokens")
    middle.remove()
    _cube(figure.add_subplot(middle.get_subplotspec(), projection="3d"), cube, query)
    square.imshow(cube[query], cmap="Blues", vmin=0)
    square.spines[:].set(color="C3", lw=2)
    square.set(xlabel="token $j_2$", ylabel="token $j_1$", title=f"Order 3, query {query}: all pairs")
    for axes in (row, square):
        axes.locator_params(integer=True)
    return figure


def _cube(axes, cube: np.ndarray, query: int) -> None:
    """One square of weights per query, one behind the other, drawn from back to front."""
    from matplotlib import colormaps

    n = len(cube)
    across, up = np.meshgrid(np.arange(n + 1), np.arange(n + 1))
    shades = colormaps["Blues"](cube / cube.max())
    for i in reversed(range(n)):
        edge = {"edgecolor": "C3", "linewidth": 0.8} if i == query else {"edgecolor": "0.7", "linewidth": 0.3}
        axes.plot_surface(across, np.full_like(across, i), up, facecolors=shades[i], shade=False, zorder=n - i, **edge)
        axes.text(n + 0.5, i, n + 0.5, str(i), color="C3" if i == query else "k", ha="left", va="top")
    axes.text(n + 1.5, n / 2, n + 2.2, "query i", ha="left", va="top")
    axes.text(n / 2, -0.5, n + 1, "$j_2$", ha="center", va="top")
    axes.text(-0.5, 0, n / 2, "$j_1$", ha="right")
    axes.invert_zaxis()
    axes.view_init(elev=22, azim=-52)
    axes.set_box_aspect((1, 2.2, 1), zoom=1.25)
    axes.set_axis_off()
    axes.computed_zorder = False
    axes.set_title("Order 3: a square for each query", y=0.96)


def polynomial_figure(radius: float, degrees: Sequence[int], radii: Sequence[float]) -> Figure:
    """Taylor polynomials beside `exp` on `[-radius, radius]`, and the relative error of both kinds against the degree."""
    figure, ((curves, errors),) = plots.axes(2, size=(9, 3.6), grid=True)
    x = np.linspace(-radius, radius, 200)
    curves.plot(x, np.exp(x), color="0.75", lw=5, label="exp")
    for degree in degrees:
        curves.plot(x, np.polynomial.Polynomial(exp_polynomial(degree))(x), label=f"Taylor, g = {degree}")
    curves.axhline(0, color="k", lw=0.6)
    curves.set(xlabel="score x", title=f"exp and its Taylor polynomials on ±{radius:g}")
    all_degrees = np.arange(25)
    for i, r in enumerate(radii):
        for kind, style in (("taylor", "-"), ("chebyshev", "--")):
            eps = [entry_error(exp_polynomial(g, r, kind), r) for g in all_degrees]
            errors.semilogy(all_degrees, eps, style, color=f"C{i}", label=f"{kind.capitalize()}, R = {r:g}")
    errors.axhline(1, color="k", lw=0.8, ls=":")
    errors.annotate("ε = 1", (24, 1), (0, -3), textcoords="offset points", ha="right", va="top", fontsize="small")
    errors.set(xlabel="degree g", title=r"relative error $ε$ of one entry of A", ylim=(1e-10, 1e11))
    curves.legend()
    errors.legend(fontsize="small", ncols=2, loc="upper right")
    return figure


def unit_figure(weights: np.ndarray, tokens: Sequence[int], modulus: int, queries: Sequence[int]) -> Figure:
    """Attention of the Match3 unit over all pairs `[n, n + 1, n + 1]`, for some queries; the null token comes last."""
    figure, (panels,) = plots.axes(len(queries), width=4, height=4, frame="full")
    names = [*map(str, tokens), "null"]
    for axes, i in zip(panels, queries, strict=True):
        image = axes.imshow(weights[i], cmap="Blues", vmin=0, vmax=1)
        axes.set_xticks(range(len(names)), names, fontsize="small")
        axes.set_yticks(range(len(names)), names, fontsize="small")
        share = weights[i, :-1, :-1].sum()
        axes.set(xlabel="second token", ylabel="first token", title=f"query {tokens[i]}: output {share:.2f}")
    figure.colorbar(image, ax=list(panels), label="attention weight", shrink=0.8)
    figure.suptitle(f"Which pairs make the sum a multiple of {modulus}?")
    return figure


def truncation_figure(errors: np.ndarray, bounds: np.ndarray, leading: np.ndarray, radius: float) -> Figure:
    """Output error, guaranteed bound and leading Taylor remainder against the degree."""
    figure, ((axes,),) = plots.axes(width=6, height=4, grid=True)
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
    figure, ((axes,),) = plots.axes(width=6, height=4, grid=True)
    for name, (n, cost) in series.items():
        axes.loglog(n, cost, "o-", ms=4, color=COLOURS[name], label=f"{name}: slope {slopes[name]:.2f}")
    if crossing is not None:
        for name in ("low rank", "dense exact"):  # each line back to where they meet
            n, cost = series[name]
            reach = np.array([crossing, n[0]])
            middle = np.exp(np.mean(np.log(n))), np.exp(np.mean(np.log(cost)))
            axes.loglog(reach, middle[1] * (reach / middle[0]) ** slopes[name], "--", lw=0.8, color=COLOURS[name])
        axes.axvline(crossing, color="k", lw=0.8, ls=":")
        axes.annotate(
            f" fitted lines\n meet at n ≈ {crossing:.0f}", (crossing, 0.97), xycoords=("data", "axes fraction"), va="top"
        )
    axes.set(xlabel="tokens n", ylabel=ylabel, title="Order-3 attention")
    axes.legend()
    return figure


def transition_figure(bounds, degrees: Mapping[int, np.ndarray], budget: int, ceiling: int, dim: int) -> Figure:
    """Degree needed against the bound on the entries, for each order, the rank that it costs, and where the budget ends."""
    figure, ((axes,),) = plots.axes(width=6, height=4, grid=True)
    for i, (order, needed) in enumerate(degrees.items()):
        shown = np.where(needed <= ceiling, needed, np.nan)
        axes.step(bounds, shown, where="mid", color=f"C{i}", label=f"order {order}")
        within = needed <= budget
        if within.any() and not within.all():
            limit = bounds[within].max()
            axes.vlines(limit, 0, budget, color=f"C{i}", lw=1.2, ls="--")
            axes.plot(limit, budget, "o", color=f"C{i}")
            axes.annotate(
                f"B* = {limit:.2f}", (limit, 0), (-3, 4), textcoords="offset points", rotation=90, ha="right", color=f"C{i}"
            )
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
    figure, ((axes,),) = plots.axes(width=6, height=4, grid=True)
    for i, name in enumerate(("tensor", "matrix", "wide matrix")):
        curves = np.asarray(accuracy[name])
        plots.band(axes, steps, curves, color=f"C{i}")
        label = f"{name}\n({parameters[name]} parameters)"
        end = steps[-1], curves[:, -1].mean()
        axes.annotate(label, end, (5, 0), textcoords="offset points", va="center", color=f"C{i}", fontsize="small")
    plots.level(axes, majority, "majority class")
    axes.set(
        xlabel="training steps",
        ylabel="test accuracy",
        ylim=(majority - 0.03, 1.01),
        title="Match3: pairs learn it in fewer steps",
    )
    return figure
