"""Figures of the claims and of the notebook; matplotlib figures, closed."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from quire.common import plots
from quire.common.plots import Figure

METHOD, RIVAL, OTHER = "#c0392b", "#2c6fbb", plots.GREY
NAMES = {"hash": "hash grid", "mlp": "perceptron", "vm": "planes and lines", "voxel": "voxels"}


def psnr_tables(kinds: Sequence[str], staged: Mapping[Any, float], alone: Mapping[Any, float]) -> Figure:
    """PSNR of every student against its teacher: as the paper does it, and the gain over pixels alone."""
    figure, ((left, right),) = plots.axes(2, width=4.2, height=3.4, frame="full")
    tables = {
        "PSNR against the teacher (dB)": staged,
        "gain over pixels alone (dB)": {p: staged[p] - alone[p] for p in staged},
    }
    for axes, (title, values), colours in zip((left, right), tables.items(), ("viridis", "Reds"), strict=True):
        table = np.full((len(kinds), len(kinds)), np.nan)
        for (a, b), value in values.items():
            table[kinds.index(a), kinds.index(b)] = value
        image = axes.imshow(table, cmap=colours)
        middle = (np.nanmin(table) + np.nanmax(table)) / 2
        for row, column in zip(*np.nonzero(np.isfinite(table)), strict=True):
            dark = (table[row, column] < middle) == (colours == "viridis")
            shade = "white" if dark else "black"
            axes.text(column, row, f"{table[row, column]:.1f}", ha="center", va="center", color=shade, fontsize=10)
        names = [NAMES[kind].replace(" and ", "\nand ") for kind in kinds]
        axes.set_xticks(range(len(kinds)), names, fontsize=8)
        axes.set_yticks(range(len(kinds)), names, fontsize=8)
        axes.set(xlabel="student", ylabel="teacher")
        axes.set_title(title, fontsize=10)
        figure.colorbar(image, ax=axes, shrink=0.8)
    return figure


def pair_pictures(truth: np.ndarray, shown: Mapping[tuple[str, str], np.ndarray], kinds: Sequence[str]) -> Figure:
    """One test view: the photograph, every teacher (first column) and its students; PSNR against the teacher below."""
    figure, panels = plots.axes(len(kinds) + 1, len(kinds), width=1.5, height=1.7, frame="none")
    for row, teacher in enumerate(kinds):
        own = shown[teacher, teacher]
        panels[row, 0].imshow(np.clip(own, 0, 1))
        panels[row, 0].set_title(f"teacher: {NAMES[teacher]}\n{_decibels(own, truth):.1f} dB to photograph", fontsize=7)
        for column, student in enumerate(kinds, start=1):
            axes = panels[row, column]
            if student == teacher:
                axes.imshow(truth)
                axes.set_title("photograph", fontsize=7, color=OTHER)
                continue
            image = shown[teacher, student]
            axes.imshow(np.clip(image, 0, 1))
            axes.set_title(f"as {NAMES[student]}\n{_decibels(image, own):.1f} dB to teacher", fontsize=7)
    return figure


def _decibels(a: np.ndarray, b: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((a - b) ** 2)))


def images(shown: Mapping[str, np.ndarray], *, width: float = 2.0, label: str | None = None) -> Figure:
    """Pictures side by side: colours `[h, w, 3]` as they are, numbers `[h, w]` on one scale with a bar."""
    figure, (panels,) = plots.axes(len(shown), width=width, height=width + 0.35, frame="none")
    flat = [a for a in shown.values() if a.ndim == 2]
    top = max((float(np.nanmax(a)) for a in flat), default=1.0)
    last = None
    for axes, (name, image) in zip(panels, shown.items(), strict=True):
        if image.ndim == 2:
            last = axes.imshow(image, vmin=0, vmax=top, cmap="magma")
        else:
            axes.imshow(np.clip(image, 0, 1))
        axes.set_title(name, fontsize=8)
    if last is not None:
        figure.colorbar(last, ax=list(panels), label=label, shrink=0.8)
    return figure


def weights_of_terms(weights: Float[np.ndarray, "steps terms"], names: Sequence[str], stages: tuple[int, int]) -> Figure:
    """The weight of every term along training, each over its largest, and where the stages begin."""
    figure, ((axes,),) = plots.axes(size=(6.4, 2.6))
    used = [i for i in range(len(names)) if weights[:, i].any()]
    for place, i in enumerate(used):
        axes.fill_between(
            np.arange(len(weights)),
            place,
            place + 0.85 * weights[:, i] / weights[:, i].max(),
            step="post",
            color=METHOD,
            alpha=0.55,
        )
    for stage, step in enumerate(stages, start=2):
        axes.axvline(step, color=OTHER, lw=1, ls="--")
        axes.annotate(f"stage {stage}", (step, len(used)), (3, 0), textcoords="offset points", fontsize=8, va="top")
    axes.set_yticks(np.arange(len(used)) + 0.4, [names[i] for i in used], fontsize=9)
    axes.set(xlabel="step", xlim=(0, len(weights)), ylim=(0, len(used) + 0.1))
    return figure


def courses_of_training(scratch: Sequence[tuple[int, float]], distilled: Sequence[tuple[int, float]], teacher: float) -> Figure:
    """PSNR against photographs along training."""
    figure, ((axes,),) = plots.axes(width=5)
    axes.plot(*zip(*scratch, strict=True), "o-", color=RIVAL, label="trained from scratch")
    axes.plot(*zip(*distilled, strict=True), "o-", color=METHOD, label="distilled from the hash grid")
    plots.level(axes, teacher, "teacher")
    plots.level(axes, teacher - 1, "teacher less 1 dB", ls=":")
    axes.set(xlabel="step", ylabel="PSNR against photographs (dB)")
    axes.legend(frameon=False, loc="lower right")
    return figure


def course_bars(found: Mapping[str, Sequence[float]], pairs: Sequence[str]) -> Figure:
    """PSNR of students against teachers by course and pair, of one seed."""
    figure, ((axes,),) = plots.axes(size=(5.6, 3.0))
    width = 0.8 / len(found)
    for i, ((name, values), colour) in enumerate(zip(found.items(), (METHOD, "#e0a030", RIVAL), strict=False)):
        place = np.arange(len(pairs)) + (i - (len(found) - 1) / 2) * width
        axes.bar_label(axes.bar(place, values, 0.92 * width, label=name, color=colour), fmt="%.1f", fontsize=8, padding=1)
    axes.set_xticks(range(len(pairs)), pairs)
    axes.set(ylabel="PSNR against the teacher (dB)", ylim=(0, 1.3 * max(map(max, found.values()))))
    axes.legend(frameon=False, ncols=len(found), fontsize=8, loc="upper center")
    return figure


def gradients(found: Mapping[str, np.ndarray]) -> Figure:
    """Lengths of the gradients along training."""
    figure, ((axes,),) = plots.axes(width=5, height=2.8)
    names = {"staged": "clipped log-density", "raw density": "density itself"}
    for (name, values), colour in zip(found.items(), (METHOD, RIVAL), strict=True):
        axes.plot(values, color=colour, lw=1, label=names[name])
    axes.set(xlabel="step", ylabel="length of the gradient", yscale="log")
    axes.legend(frameon=False)
    return figure


def orbit(places: np.ndarray, given: np.ndarray) -> Figure:
    """Elevation and azimuth of random cameras and of those of the photographs."""
    figure, ((axes,),) = plots.axes(size=(5.6, 2.6))
    for name, xyz, colour, size in (("random", places, METHOD, 3), ("photographs", given, RIVAL, 5)):
        level = np.hypot(xyz[:, 0], xyz[:, 1])
        azimuth, elevation = np.degrees(np.arctan2(xyz[:, 1], xyz[:, 0])), np.degrees(np.arctan2(xyz[:, 2], level))
        axes.plot(azimuth, elevation, "o", ms=size, color=colour, alpha=0.6, label=name)
    axes.set(xlabel="azimuth (degrees)", ylabel="elevation (degrees)", xlim=(-180, 180))
    axes.legend(frameon=True, fontsize=8, loc="upper right")
    return figure
