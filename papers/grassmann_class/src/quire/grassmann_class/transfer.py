"""What fixed features give to another task: a linear probe, neighbours, few examples."""

import numpy as np
from jaxtyping import Integer, Real

from quire.common.metrics.probe import knn_predict, ridge_probe

Samples = tuple[Real[np.ndarray, "n dim"], Integer[np.ndarray, " n"]]


def transfer_accuracy(train: Samples, test: Samples, *, shots: int, neighbours: int = 10) -> dict[str, float]:
    """Accuracies of features of unit length, by how they are used.

    Args:
        train: features and classes to learn from.
        test: those to predict.
        shots: examples of each class for the vote by few.
        neighbours: that vote.

    Returns:
        `linear probe` (ridge, `|w|^2` penalised by 1, standardised features), `neighbours`, and `few shots`: the nearest of
        `shots` examples of each class.
    """
    (x, y), (z, truth) = ((_unit(features), classes) for features, classes in (train, test))
    classes = int(max(y.max(), truth.max())) + 1
    few = np.concatenate([np.flatnonzero(y == c)[:shots] for c in range(classes)])
    found = {
        "linear probe": ridge_probe(x, y, z, ridge=1 / len(x)),
        "neighbours": knn_predict(z, x, y, k=min(neighbours, len(x)), num_classes=classes),
        "few shots": knn_predict(z, x[few], y[few], num_classes=classes),
    }
    return {name: float(np.mean(np.asarray(predicted) == truth)) for name, predicted in found.items()}


def _unit(features: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.where(length == 0, 1, length)
