"""The paper's equations term by term in NumPy and float64, to compare the fast forms with."""

import numpy as np


def logits(x: np.ndarray, subspaces: np.ndarray, gamma: float) -> np.ndarray:
    """`[n, classes]`, one feature and one class at a time."""
    return np.array([[gamma * np.linalg.norm(s.T @ (row / np.linalg.norm(row))) for s in subspaces] for row in x])


def loss_and_gradient(x: np.ndarray, labels: np.ndarray, subspaces: np.ndarray, gamma: float) -> tuple[float, np.ndarray]:
    """Mean cross-entropy, and its Euclidean gradient `[classes, d, k]`: `dlogit / dS = gamma^2 x x^T S / logit` for unit x."""
    scores, loss, gradient = logits(x, subspaces, gamma), 0.0, np.zeros_like(subspaces)
    for row, score, label in zip(x, scores, labels, strict=True):
        exps = np.exp(score - score.max())
        probs = exps / exps.sum()
        loss -= np.log(probs[label]) / len(x)
        unit = row / np.linalg.norm(row)
        for c, s in enumerate(subspaces):
            weight = (probs[c] - (c == label)) / len(x)
            gradient[c] += weight * gamma**2 * np.outer(unit, unit @ s) / score[c]
    return loss, gradient


def step(basis: np.ndarray, direction: np.ndarray, rate: float) -> np.ndarray:
    """Along the geodesic against a direction, by the singular value decomposition."""
    tangent = direction - basis @ (basis.T @ direction)
    left, s, right = np.linalg.svd(tangent, full_matrices=False)
    return (basis @ right.T @ np.diag(np.cos(-rate * s)) + left @ np.diag(np.sin(-rate * s))) @ right


def trajectory(
    subspaces: np.ndarray, x: np.ndarray, labels: np.ndarray, *, gamma: float, rate: float, momentum: float, reorth_every: int
) -> tuple[np.ndarray, np.ndarray]:
    """Losses before, and projectors `[classes, d, d]` after each of the steps of RSGD."""
    subspaces, buffer, losses, projectors = subspaces.copy(), None, [], []
    for number, (features, classes) in enumerate(zip(x, labels, strict=True)):
        loss, gradient = loss_and_gradient(features, classes, subspaces, gamma)
        buffer = gradient if buffer is None else momentum * buffer + gradient
        for c, direction in enumerate(buffer):
            subspaces[c] = step(subspaces[c], direction, rate)
            if number % reorth_every == 0:
                q, r = np.linalg.qr(subspaces[c])
                subspaces[c] = q * np.sign(np.diag(r))
        losses.append(loss)
        projectors.append([s @ s.T for s in subspaces])
    return np.array(losses), np.array(projectors)
