"""What fixed features give to another task: a linear probe, neighbours, few examples."""

import numpy as np
from jaxtyping import Integer, Real

from quire.common.metrics.probe import knn_predict, ridge_probe
from quire.common.metrics.variability import directions

Train = tuple[Real[np.ndarray, "n dim"], Integer[np.ndarray, " n"]]
Test = tuple[Real[np.ndarray, "m dim"], Integer[np.ndarray, " m"]]


def transfer_accuracy(train: Train, test: Test, *, shots: int, many: int = 100, neighbours: int = 10) -> dict[str, float]:
    """Accuracies of features of unit length, by how they are used.

    Args:
        train: features and classes to learn from.
        test: those to predict.
        shots: examples of each class for `few shots`.
        many, neighbours: examples of each class for `neighbours`, and how many of them vote.

    Returns:
        `linear probe` (ridge, `|w|^2` penalised by 1, standardised features); `few shots`, the nearest of a few examples; and
        `neighbours`.

    Raises:
        ValueError: if a feature is not finite; see `ridge_probe` and `knn_predict`.
    """
    (x, y), (z, truth) = ((directions(features), classes) for features, classes in (train, test))
    if not (np.isfinite(x).all() and np.isfinite(z).all()):
        raise ValueError("train or test has features that are NaN or infinite; no probe can say what they are worth")
    classes = int(max(y.max(initial=0), truth.max(initial=0))) + 1

    def vote(examples, k):
        chosen = np.concatenate([np.flatnonzero(y == c)[:examples] for c in range(classes)])
        return knn_predict(z, x[chosen], y[chosen], k=min(k, len(chosen)), num_classes=classes)

    found = {
        "linear probe": ridge_probe(x, y, z, ridge=1 / max(1, len(x))),
        "few shots": vote(shots, 1),
        "neighbours": vote(many, neighbours),
    }
    return {name: float(np.mean(np.asarray(predicted) == truth)) for name, predicted in found.items()}
