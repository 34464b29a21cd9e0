"""The paper's sums written out in NumPy and float64, to compare the fast forms with."""

import numpy as np


def hoc_loss(new: np.ndarray, old: np.ndarray, labels: np.ndarray, mu: float, mask: str = "zero") -> float:
    """The contrastive term, sample by sample.

    Args:
        new, old: features `[n, d]`, of any length.
        labels: `[n]`.
        mu: inverse temperature.
        mask: what becomes of entries of the same class: `"zero"` (each adds `exp(0)`), `"out"` (none is in the sum), or
            `"own"` (the sample's own alone is in the sum).
    """
    new, old = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (np.asarray(new, float), np.asarray(old, float)))
    losses = []
    for n in range(len(labels)):
        total = 0.0
        for m in range(len(labels)):
            score = mu * float(old[n] @ new[m])
            if labels[n] != labels[m] or (mask == "own" and n == m):
                total += np.exp(score)
            elif mask == "zero":
                total += 1.0
        losses.append(np.log(total) - mu * float(old[n] @ new[n]))
    return float(np.mean(losses))
