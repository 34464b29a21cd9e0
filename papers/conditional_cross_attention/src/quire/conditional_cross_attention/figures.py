"""Figures of the claims and of the notebook; matplotlib figures, closed."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from quire.common import plots
from quire.common.plots import Figure

COLOURS = {
    "CCA": "#c0392b",
    "own networks": "#34495e",
    "CSN": "#2980b9",
    "ASEN": "#27ae60",
    "unconditioned": "#e67e22",
    "raw pixels": plots.GREY,
}


def _picture(panel: Any, image: np.ndarray) -> None:
    bytes_ = image.dtype == np.uint8
    panel.imshow(image if bytes_ else np.clip(image, 0, 1), interpolation="nearest")


def images_with_values(images: np.ndarray, captions: Sequence[str], columns: int = 6) -> Figure:
    """Images in a grid, each below a caption."""
    rows = -(-len(images) // columns)
    figure, panels = plots.axes(columns, rows, width=1.5, height=1.75, frame="none")
    for panel, image, caption in zip(panels.flat, images, captions, strict=False):
        _picture(panel, image)
        panel.set_title(caption, fontsize="small")
    return figure


def attended(images: np.ndarray, maps: Float[np.ndarray, "n attributes rows columns"], attributes: Sequence[str]) -> Figure:
    """Each image, and what each condition attends to in it: the weight of every patch over the mean of all."""
    figure, panels = plots.axes(1 + len(attributes), len(images), width=1.45, height=1.5, frame="none")
    relative = maps / maps.mean((-2, -1), keepdims=True)
    for row, image, weights in zip(panels, images, relative, strict=True):
        _picture(row[0], image)
        for panel, weight in zip(row[1:], weights, strict=True):
            shown = panel.imshow(weight, cmap="inferno", vmin=0, vmax=relative.max())
    for panel, name in zip(panels[0], ("image", *attributes), strict=True):
        panel.set_title(name, fontsize="medium")
    figure.colorbar(shown, ax=panels, label="weight of a patch / mean", shrink=0.7)
    return figure


def retrieved(query: np.ndarray, found: Mapping[str, tuple[np.ndarray, Sequence[bool]]]) -> Figure:
    """A query, and the images nearest to it in each space, green where they share the value of the attribute."""
    count = max(len(images) for images, _ in found.values())
    figure, panels = plots.axes(1 + count, len(found), width=1.2, height=1.3, frame="full")
    for row, (name, (images, right)) in zip(panels, found.items(), strict=True):
        _picture(row[0], query)
        row[0].set_ylabel(name)
        for panel, image, good in zip(row[1:], images, right, strict=True):
            _picture(panel, image)
            for side in panel.spines.values():
                side.set(color="#1a7f37" if good else "#cf222e", linewidth=2.5)
        for panel in row:
            panel.set(xticks=[], yticks=[])
    panels[0][0].set_title("query", fontsize="medium")
    panels[0][1].set_title("nearest", fontsize="medium", loc="left")
    return figure


def spaces(
    embeddings: Float[np.ndarray, "n attributes dim"], labels: Int[np.ndarray, "n attributes"], attributes: Sequence[str]
) -> Figure:
    """Two principal axes of the space of each attribute (columns), coloured by the values of each attribute (rows)."""
    count = len(attributes)
    figure, panels = plots.axes(count, count, width=1.7, height=1.6, frame="full")
    palette = np.array(["#c0392b", "#2980b9", "#27ae60", "#e67e22", "#8e44ad", "#34495e"])
    for space, name in enumerate(attributes):
        centred = embeddings[:, space] - embeddings[:, space].mean(0)
        plane = centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T
        for row in range(count):
            panel = panels[row, space]
            panel.scatter(*plane.T, s=4, c=palette[labels[:, row] % len(palette)], linewidths=0)
            panel.set(xticks=[], yticks=[])
        panels[0, space].set_title(f"space of {name}", fontsize="medium")
        panels[space, 0].set_ylabel(f"by {name}")
    return figure


def precision_by_attribute(run: Any) -> Figure:
    """Mean average precision of every network by attribute, of one seed; the mean over attributes at the right."""
    values = {"CCA": run.scores["CCA"].average}
    if run.separate:
        values["own networks"] = np.array(run.separate)
    values |= {name: run.scores[name].average for name in COLOURS if name in run.scores and name not in values}
    figure, ((panel,),) = plots.axes(width=7.4, height=3.2)
    width = 0.8 / len(values)
    for i, (name, numbers) in enumerate(values.items()):
        shift = (i - (len(values) - 1) / 2) * width
        panel.bar(np.arange(len(numbers) + 1) + shift, [*numbers, numbers.mean()], width, color=COLOURS[name], label=name)
    panel.set(xticks=range(len(run.attributes) + 1), ylim=(0, 1.02), ylabel="mean average precision")
    panel.set_xticklabels([*run.attributes, "mean"])
    panel.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def probe_matrices(matrices: Mapping[str, Float[np.ndarray, "a a"]], attributes: Sequence[str]) -> Figure:
    """What each space (rows) tells of each attribute (columns), by network."""
    figure, panels = plots.axes(len(matrices), width=2.9, height=3.1, frame="full", sharey=True)
    for panel, (name, matrix) in zip(panels[0], matrices.items(), strict=True):
        shown = panel.imshow(matrix, vmin=0, vmax=1, cmap="viridis")
        for (row, column), value in np.ndenumerate(matrix):
            panel.text(column, row, f"{value:.2f}", ha="center", va="center", color="white" if value < 0.6 else "black")
        panel.set(xticks=range(len(attributes)), yticks=range(len(attributes)), title=name)
        panel.set_xticklabels(attributes, rotation=40, ha="right")
        panel.set_yticklabels([f"space of {attribute}" for attribute in attributes])
    panels[0][0].set_xlabel("attribute that is asked for")
    figure.colorbar(shown, ax=panels, label="accuracy, corrected for chance", shrink=0.8)
    return figure


def losses(curves: Mapping[str, np.ndarray]) -> Figure:
    """Training losses of one seed, smoothed over ten steps."""
    figure, ((panel,),) = plots.axes(width=5.2, height=3)
    for name, values in curves.items():
        panel.plot(*plots.smooth(values, 10), color=COLOURS[name], label=name, lw=1.4)
    panel.set(xlabel="step", ylabel="triplet loss", ylim=(0, None))
    panel.legend(frameon=False, fontsize="small")
    return figure


def masks(values: Float[np.ndarray, "attributes dim"], attributes: Sequence[str]) -> Figure:
    """Masks of CSN, what `relu` leaves of them."""
    figure, ((panel,),) = plots.axes(width=5.6, height=1.9, frame="full")
    shown = panel.imshow(np.maximum(values, 0), cmap="viridis", vmin=0, aspect="auto")
    panel.set(yticks=range(len(attributes)), xlabel="number of the embedding")
    panel.set_yticklabels(attributes)
    figure.colorbar(shown, ax=panel, label="mask")
    return figure
