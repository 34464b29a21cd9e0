"""Figures of the claims and of the notebook; matplotlib figures, closed."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Float

from quire.common import plots
from quire.common.plots import Axes, Figure
from quire.next_vit.config import NextViTConfig
from quire.next_vit.cost import costs

COLOURS = {
    "stem": "#95a5a6",
    "NCB": "#2980b9",
    "NTB": "#c0392b",
    "head": "#95a5a6",
    "hybrid": "#c0392b",
    "convolution only": "#2980b9",
}


def architecture(config: NextViTConfig, size: tuple[int, int] = (224, 224)) -> Figure:
    """Channels and resolution from block to block: heights are channels, the red part those that attention makes."""
    parts = costs(config, size)
    blocks, stem = config.blocks, parts[: len(config.stem)]
    figure, ((panel,),) = plots.axes(size=(11, 3.6))
    for place, part in enumerate(stem):
        panel.bar(place, part.channels, 0.8, color=COLOURS["stem"])
    for place, plan in enumerate(blocks, start=len(stem)):
        panel.bar(place, plan.after, 0.8, color=COLOURS["NCB"])
        panel.bar(place, plan.attention_dim, 0.8, color=COLOURS["NTB"])
    top = max(plan.after for plan in blocks)
    edges = [-1, len(stem) - 1, *(len(stem) + end for end in config.stage_ends)]
    for number, (left, right) in enumerate(pairwise(edges)):
        side = parts[right].side
        name = f"stage {number}" if number else "stem"
        panel.text((left + right + 1) / 2, 1.16 * top, f"{name}\n{side[0]} × {side[1]}", ha="center", va="top", fontsize="small")
        if number:
            panel.axvline(left + 0.5, color=plots.GREY, lw=0.8, ls=":")
    for kind, label in (
        ("stem", "3 × 3 convolution"),
        ("NCB", "grouped convolution (NCB, c_c of NTB)"),
        ("NTB", "attention (c_t of NTB)"),
    ):
        panel.bar(0, 0, color=COLOURS[kind], label=label)
    panel.set(ylabel="channels", xlabel="layer", ylim=(0, 1.2 * top), xlim=(-0.7, edges[-1] + 0.7))
    panel.legend(frameon=False, loc="upper left", bbox_to_anchor=(0.0, 0.84), fontsize="small")
    return figure


def block_flow(channels: int = 256, attention: int = 192) -> Figure:
    """The two blocks as drawings: boxes are operations, and the numbers beside the arrows are channels."""
    figure, panels = plots.axes(2, size=(9.6, 5.2), frame="none", width_ratios=(1, 1.6))
    ncb, ntb = panels[0]
    ncb.set(title="NCB, next convolution block", xlim=(-1.4, 1.6), ylim=(-0.4, 8.6))
    _chain(ncb, 0, [(8, "patch embedding", "NCB"), (6, "MHCA\n3 × 3 in groups, 1 × 1", "NCB"), (3, "BN, MLP", "stem")])
    _residual(ncb, 0, ((7.1, 4.8), (4.4, 1.9)))
    _arrow(ncb, (0, 2.5), (0, 0.2), f"{channels}")
    ntb.set(title="NTB, next transformer block", xlim=(-1.6, 4.6), ylim=(-0.4, 8.6))
    _chain(ntb, 0, [(8, "patch embedding", "NCB"), (6, "BN, E-MHSA", "NTB")])
    _residual(ntb, 0, ((7.1, 4.8),), name=f"{attention}")
    _chain(ntb, 3, [(5.6, "patch embedding", "NCB"), (4.1, "MHCA", "NCB")], first=False)
    _residual(ntb, 3, ((5.0, 3.1),), name=f"{channels - attention}")
    _arrow(ntb, (0.1, 4.7), (2.1, 5.6), "")
    _box(ntb, (1.5, 2.6), "concatenate", "stem")
    _arrow(ntb, (0, 4.7), (1.2, 2.95), f"{attention}")
    _arrow(ntb, (3, 3.0), (2.4, 2.75), "")
    _box(ntb, (1.5, 1.2), "BN, MLP", "stem")
    _arrow(ntb, (1.5, 2.2), (1.5, 1.6), "")
    _residual(ntb, 1.5, ((2.0, 0.35),))
    _arrow(ntb, (1.5, 0.8), (1.5, -0.3), f"{channels}")
    return figure


def _box(axes: Axes, place: tuple[float, float], text: str, kind: str) -> None:
    style = {"boxstyle": "round,pad=0.45", "facecolor": "white", "edgecolor": COLOURS[kind], "linewidth": 1.8}
    axes.text(*place, text, ha="center", va="center", fontsize="small", bbox=style, zorder=3)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], name: str, *, curve: float = 0.0) -> None:
    style = {"arrowstyle": "-|>", "color": "0.3", "connectionstyle": f"arc3,rad={curve}", "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", end, start, arrowprops=style, zorder=1)
    middle = ((start[0] + end[0]) / 2 + 0.12, (start[1] + end[1]) / 2)
    axes.text(*middle, name, fontsize="small", color="0.3", va="center")


def _chain(axes: Axes, x: float, boxes: Sequence[tuple[float, str, str]], *, first: bool = True) -> None:
    if first:
        _arrow(axes, (x, boxes[0][0] + 0.8), (x, boxes[0][0] + 0.4), "")
    for place, (y, text, kind) in enumerate(boxes):
        _box(axes, (x, y), text, kind)
        if place:
            _arrow(axes, (x, boxes[place - 1][0] - 0.4), (x, y + 0.45), "")


def _residual(axes: Axes, x: float, spans: Sequence[tuple[float, float]], *, name: str = "") -> None:
    """Shortcuts around a branch, from the height where they leave to that where they are added."""
    for top, bottom in spans:
        _arrow(axes, (x, top), (x + 0.12, bottom), "", curve=-0.9)
        axes.text(x, bottom, "+", ha="center", va="center", fontsize="large", zorder=3)
    if name:
        axes.text(x - 0.15, spans[0][1], name, ha="right", va="center", fontsize="small", color="0.3")


def costs_by_stage(config: NextViTConfig) -> Figure:
    """Share of every stage in parameters and multiplications, by the kind of its blocks."""
    parts, stem = costs(config), len(config.stem)
    ends = [stem + end for end in config.stage_ends]
    names = ["stem", *(f"stage {n + 1}" for n in range(len(ends))), "head"]
    where = np.searchsorted([stem - 1, *ends, len(parts) - 1], np.arange(len(parts)))
    figure, panels = plots.axes(2, width=4.6, height=2.9)
    for panel, field, unit in zip(panels[0], ("params", "macs"), ("million parameters", "billion multiplications"), strict=True):
        scale, bottom = 1e6 if field == "params" else 1e9, np.zeros(len(names))
        for kind in ("stem", "NCB", "NTB", "head"):
            values = np.array([getattr(part, field) * part.name.startswith(kind) for part in parts]) / scale
            height = np.bincount(where, values, len(names))
            label = kind if kind in ("NCB", "NTB") else None
            panel.bar(names, height, 0.7, bottom, color=COLOURS[kind], label=label)
            bottom += height
        panel.set(ylabel=unit)
        panel.tick_params(axis="x", labelsize="small")
    panels[0, 0].legend(frameon=False, loc="upper left")
    return figure


def attention_cost(ratios: Sequence[int], products: Sequence[int], seconds: Sequence[float], side: int, channels: int) -> Figure:
    """Products and time of one layer against its reduction, as shares of the layer without."""
    figure, ((panel,),) = plots.axes(width=4.8, height=3.1, grid=True)
    scores = [1 / ratio**2 for ratio in ratios]
    panel.plot(ratios, scores, "--", color=plots.GREY, label="scores and sums: 1 / R²")
    panel.plot(ratios, np.array(products) / products[0], "o-", color=COLOURS["NCB"], label="all products of the layer")
    panel.plot(ratios, np.array(seconds) / seconds[0], "s-", color=COLOURS["NTB"], label="time on this machine")
    panel.set_yscale("log")
    plots.log_ticks(panel, ratios, base=2)
    panel.set(xlabel="reduction ratio R", ylabel="share of R = 1", title=f"{side} × {side} tokens, {channels} channels")
    panel.legend(frameon=False, fontsize="small")
    return figure


def accuracy_bars(values: Mapping[str, Sequence[float]], trivial: float) -> Figure:
    """Test accuracy of every network, a point for every seed."""
    figure, ((panel,),) = plots.axes(size=(1.5 * len(values) + 1.2, 3.2))
    plots.seed_bars(panel, {name.replace(" ", "\n"): np.asarray(v) for name, v in values.items()}, _broken_colours(values))
    plots.level(panel, trivial, "logistic regression")
    lowest = min(trivial, *(min(v) for v in values.values()))
    panel.set(ylabel="test accuracy (%)", ylim=(lowest - 0.2 * (100 - lowest) - 0.5, 100.2))
    return figure


def _broken_colours(values: Mapping[str, object]) -> dict[str, str]:
    return {name.replace(" ", "\n"): COLOURS[name] for name in values if name in COLOURS}


def feature_maps(image: Float[np.ndarray, "h w c"], maps: Sequence[Float[np.ndarray, "h w c"]], *, columns: int = 6) -> Figure:
    """An image, and the channels of every stage that vary most over it."""
    figure, panels = plots.axes(columns + 1, len(maps), width=1.15, height=1.2, frame="none")
    for row, (axes, stage) in enumerate(zip(panels, maps, strict=True)):
        axes[0].imshow(image.squeeze(), cmap="grey")
        axes[0].set_visible(row == 0)
        order = np.argsort(-stage.std((0, 1)))[:columns]
        for panel, channel in zip(axes[1:], order, strict=True):
            panel.imshow(stage[..., channel], cmap="magma")
            panel.set_title(f"channel {channel}", fontsize="x-small")
        h, w, _ = stage.shape
        axes[1].set_ylabel(f"stage {row + 1}\n{h} × {w}", fontsize="small")
    return figure


def attention_map(image: Float[np.ndarray, "h w c"], weights: Float[np.ndarray, "heads n m"], side: tuple[int, int]) -> Figure:
    """How much every token asks of each key, averaged over tokens, head by head, beside the image."""
    figure, panels = plots.axes(1 + len(weights), width=1.6, height=1.8, frame="none")
    panels[0, 0].imshow(image.squeeze(), cmap="grey")
    panels[0, 0].set_title("image", fontsize="small")
    for head, (panel, each) in enumerate(zip(panels[0, 1:], weights, strict=True)):
        panel.imshow(each.mean(0).reshape(side), cmap="magma")
        panel.set_title(f"head {head + 1}", fontsize="small")
    return figure
