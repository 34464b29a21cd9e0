"""The paper's equations term by term in NumPy and float64, to compare the fast forms with."""

from collections.abc import Mapping, Sequence

import numpy as np


def forward(weights: Mapping[str, np.ndarray], cell: np.ndarray | Sequence[int]) -> tuple[float, np.ndarray]:
    """Value and last hidden activation of one cell, with weights by the authors' names."""
    h = np.concatenate([weights[f"embeddings.{mode}.weight"][i] for mode, i in enumerate(cell)])
    layer = 0
    while f"fc_layers.{layer}.weight" in weights:
        h = np.maximum(weights[f"fc_layers.{layer}.weight"] @ h + weights[f"fc_layers.{layer}.bias"], 0)
        layer += 1
    return float(weights["output_layer.weight"][0] @ h + weights["output_layer.bias"][0]), h


def cell_importance(train: np.ndarray, validation: np.ndarray) -> np.ndarray:
    """Every pair of a training and a validation cell at every epoch, of gradients `[epochs, cells, width]`."""
    pairs = [[sum(float(g @ z) for z in others) for g in cells] for cells, others in zip(train, validation, strict=True)]
    return np.sum(pairs, axis=0)


def entity_importance(indices: np.ndarray, scores: np.ndarray, dims: Sequence[int]) -> list[np.ndarray]:
    """The cells of every entity, looked for one by one."""
    found = []
    for mode, size in enumerate(dims):
        sums = [sum(abs(score) for cell, score in zip(indices, scores, strict=True) if cell[mode] == j) for j in range(size)]
        found.append(np.array(sums) / np.sum(np.abs(scores)))
    return found
