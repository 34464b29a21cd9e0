"""The definitions, size by size in NumPy: what the fast forms are compared with."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Integer


def logits(
    z: Float[np.ndarray, "n dim"],
    kernels: Sequence[Float[np.ndarray, "_ classes"]],
    biases: Sequence[Float[np.ndarray, " classes"]],
    nesting: Sequence[int],
) -> Float[np.ndarray, "sizes n classes"]:
    """Every size by itself; a single kernel and bias are sliced and shared (MRL-E)."""
    return np.stack([z[:, :m] @ _of_size(kernels, g)[:m] + _of_size(biases, g) for g, m in enumerate(nesting)])


def loss_and_gradients(
    z: Float[np.ndarray, "n dim"],
    labels: Integer[np.ndarray, " n"],
    kernels: Sequence[Float[np.ndarray, "_ classes"]],
    biases: Sequence[Float[np.ndarray, " classes"]],
    nesting: Sequence[int],
    weights: Sequence[float] | Float[np.ndarray, " sizes"],
    smoothing: float,
) -> tuple[float, np.ndarray, list[np.ndarray], list[np.ndarray]]:
    """The sum over sizes of the weighted cross-entropy, and its derivatives by `z`, kernels and biases, written out."""
    total, by_z = 0.0, np.zeros_like(z)
    by_kernels, by_biases = [np.zeros_like(k) for k in kernels], [np.zeros_like(b) for b in biases]
    for g, (m, scores) in enumerate(zip(nesting, logits(z, kernels, biases, nesting), strict=True)):
        log_probs = scores - scores.max(1, keepdims=True)
        log_probs = log_probs - np.log(np.exp(log_probs).sum(1, keepdims=True))
        targets = np.full_like(scores, smoothing / scores.shape[1])
        targets[np.arange(len(z)), labels] += 1 - smoothing
        total += weights[g] * -np.mean((targets * log_probs).sum(1))
        by_scores = weights[g] * (np.exp(log_probs) - targets) / len(z)
        by_z[:, :m] += by_scores @ _of_size(kernels, g)[:m].T
        _of_size(by_kernels, g)[:m] += z[:, :m].T @ by_scores
        _of_size(by_biases, g)[:] += by_scores.sum(0)
    return total, by_z, by_kernels, by_biases


def _of_size(parts: Sequence[np.ndarray], g: int) -> np.ndarray:
    return parts[min(g, len(parts) - 1)]
