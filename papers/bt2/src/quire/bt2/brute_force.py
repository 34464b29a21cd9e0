"""The paper's equations number by number in NumPy and float64, to compare the fast forms with."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

Vector = Sequence[float]


def unit(x: Vector) -> list[float]:
    """`x / |x|`."""
    length = math.sqrt(sum(value * value for value in x))
    return [value / length if length else 0.0 for value in x]


def product(matrix: np.ndarray, x: Vector) -> list[float]:
    """`M x`."""
    return [sum(m * value for m, value in zip(row, x, strict=True)) for row in np.asarray(matrix, float).tolist()]


def cross_entropy(logits: Vector, label: int) -> float:
    """`log sum exp - logit of the class`."""
    return math.log(sum(math.exp(value) for value in logits)) - logits[label]


def embed(
    feature: Vector, state: Mapping[str, np.ndarray], extra: int, scale: float, normalize: bool = True
) -> dict[str, list[float]]:
    """Steps of the head for one feature vector: `logits`, `new_part`, `compat`, `embedding`.

    Args:
        feature: f, `d + d_o` numbers.
        state: weights under the authors' names, the parameters of both bases at zero.
        extra, scale: a and C.
        normalize: whether h is scaled to length 1.
    """
    first, second = (state[f"{name}.parametrizations.weight.0.base"] for name in ("ortholinear_p", "ortholinear_old2"))
    d_new, d_old = len(first), len(second)
    new_part = unit(feature[:d_new]) if normalize else list(feature[:d_new])
    rectified = [max(value, 0.0) for value in feature]
    projected = product(state["fc3.weight"][:, :, 0, 0], rectified)
    old_part = [x + bias for x, bias in zip(projected, state["fc3.bias"].tolist(), strict=True)]
    rotated = unit(old_part[:extra]) + product(first, [scale * value for value in new_part])
    compat = product(second, rotated[:d_old])
    logits = product(state["fc_out.weight"], new_part)
    return {"logits": logits, "new_part": new_part, "compat": compat, "embedding": compat + rotated[d_old:]}


def losses(
    outputs: Sequence[Mapping[str, Vector]], labels: Sequence[int], old: np.ndarray, new: np.ndarray, prototypes: np.ndarray
) -> list[float]:
    """The four losses, not weighted, example by example."""
    rows = []
    for out, label, old_row, new_row in zip(outputs, labels, old.tolist(), new.tolist(), strict=True):
        compat = unit(out["compat"])
        rows.append(
            [
                cross_entropy(out["logits"], label),
                1 - sum(a * b for a, b in zip(unit(out["new_part"]), unit(new_row), strict=True)),
                cross_entropy(product(prototypes, compat), label),
                1 - sum(a * b for a, b in zip(compat, unit(old_row), strict=True)),
            ]
        )
    return np.mean(rows, axis=0).tolist()
