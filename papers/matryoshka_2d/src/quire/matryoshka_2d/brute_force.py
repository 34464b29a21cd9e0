"""The losses as their formulas read, pair by pair in NumPy: slow, and hard to get wrong."""

from collections.abc import Sequence

import numpy as np


def ranking(values: list[float], labels: np.ndarray) -> float:
    """`log(1 + sum exp(v_i - v_j))` over all i, j where the label of i is lower."""
    n = range(len(values))
    return float(np.log(1 + sum(np.exp(values[i] - values[j]) for i in n for j in n if labels[i] < labels[j])))


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Of two vectors."""
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def cosent(z: np.ndarray, labels: np.ndarray, scale: float) -> float:
    """Ranking of the cosines of rows 2 i and 2 i + 1."""
    return ranking([scale * cosine(z[2 * i], z[2 * i + 1]) for i in range(len(labels))], labels)


def angle(z: np.ndarray, labels: np.ndarray, scale: float) -> float:
    """Ranking of the quotients of rows as complex vectors, halves being real and imaginary parts."""
    half = z.shape[1] // 2
    values = []
    for i in range(len(labels)):
        first, second = (row[:half] + 1j * row[half:] for row in z[2 * i : 2 * i + 2])
        lengths = [np.sqrt(np.sum(np.abs(x) ** 2)) for x in (first, second)]
        quotient = first * second.conj() / lengths[1] ** 2 / (lengths[0] / lengths[1])
        values.append(scale * abs(quotient.real.sum() + quotient.imag.sum()))
    return ranking(values, labels)


def in_batch(z: np.ndarray, labels: np.ndarray, scale: float) -> float:
    """Every row of a pair with label 1 looks for its partner among all other rows."""
    total = 0.0
    for i in range(len(z)):
        scores = {j: scale * cosine(z[i], z[j]) for j in range(len(z)) if j != i}
        if labels[i // 2] == 1:
            partner = i + 1 if i % 2 == 0 else i - 1
            total -= scores[partner] - np.log(sum(np.exp(s) for s in scores.values()))
    return total / len(z)


def triplet_contrastive(z: np.ndarray, scale: float) -> float:
    """Every text looks for what follows from it among all that follows or contradicts."""
    texts, others = z[0::3], [*z[1::3], *z[2::3]]
    scores = [[scale * cosine(text, other) for other in others] for text in texts]
    return float(np.mean([np.log(np.sum(np.exp(row))) - row[i] for i, row in enumerate(scores)]))


def kl(teacher: np.ndarray, student: np.ndarray, tau: float) -> float:
    """Mean over rows of the divergence of two distributions over coordinates."""
    p, q = (np.exp(x / tau) / np.exp(x / tau).sum(axis=1, keepdims=True) for x in (teacher, student))
    return float(np.mean([np.sum(a * np.log(a / b)) for a, b in zip(p, q, strict=True)]))


def pair_loss(z: np.ndarray, labels: np.ndarray) -> float:
    """CoSENT at scale 20 and angle at scale 1."""
    return cosent(z, labels, 20.0) + angle(z, labels, 1.0)


def tdmse(
    layers: np.ndarray, labels: np.ndarray, n: int, k: int, tau: float, *, first_release: bool = False
) -> tuple[float, float, float]:
    """KL times its temperature, loss of whole embeddings, loss of prefixes, of `pair_loss`."""
    last, drawn, share = layers[-1], layers[n], 1 if first_release else n
    pull = tau * (tau if first_release else 1) * kl(last, drawn, tau)
    full = pair_loss(last, labels) + pair_loss(drawn, labels) / share + pull
    return pull, full, pair_loss(last[:, :k], labels) + pair_loss(drawn[:, :k], labels) / share


def adaptive_layer(layers: np.ndarray, labels: np.ndarray, chosen: Sequence[int], sizes: Sequence[int], tau: float) -> float:
    """The form of sentence-transformers with CoSENT."""

    def nested(z):
        return sum(cosent(z[:, :k], labels, 20.0) for k in sizes)

    shallow = sum(nested(layers[n]) / n / len(chosen) + tau * kl(layers[-1], layers[n], tau) for n in chosen)
    return nested(layers[-1]) + shallow


def compressed_gram(x: np.ndarray, k: int) -> np.ndarray:
    """`C C^T` of the compression, by the eigenvectors of `A A^T` instead of singular vectors."""
    scores = np.exp(x.T @ x / np.sqrt(x.shape[1]))
    a = scores / scores.sum(axis=1, keepdims=True)
    values, vectors = np.linalg.eigh(a @ a.T)
    top = vectors[:, ::-1][:, :k]
    return x @ top @ np.diag(values[::-1][:k]) @ top.T @ x.T
