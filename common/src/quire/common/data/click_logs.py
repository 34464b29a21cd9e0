"""Logs of categorical features with a label of two classes: what models of click-through rates learn from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class ClickLog:
    """Examples of one token a feature.

    Attributes:
        name: as tables show it.
        features: names.
        sizes: number of values of each feature.
        tokens: int32 `[n, features]`, each feature counted from 0.
        label: float32 `[n]`, 0 or 1.
    """

    name: str
    features: tuple[str, ...]
    sizes: tuple[int, ...]
    tokens: np.ndarray
    label: np.ndarray

    @property
    def values(self) -> np.ndarray:
        """Tokens counted through all features: int32 `[n, features]`, below the sum of `sizes`."""
        return self.tokens + np.cumsum([0, *self.sizes[:-1]], dtype=np.int32)

    def take(self, count: int) -> "ClickLog":
        """The first examples, with the vocabulary of all."""
        return replace(self, tokens=self.tokens[:count], label=self.label[:count])


def click_log(name: str, columns: Mapping[str, Sequence | np.ndarray], label: Sequence | np.ndarray) -> ClickLog:
    """A log of columns, whose values are counted in their order.

    Args:
        name: of the set.
        columns: integers or strings `[n]`, by feature. A missing value is a value of its own.
        label: booleans `[n]`, or zeros and ones.

    Raises:
        ValueError: without a feature or an example, if lengths differ, or for other labels.

    >>> log = click_log("two clicks", {"city": ["Rome", "Oslo", "Rome"], "hour": [7, 7, 9]}, [1, 0, 1])
    >>> log.sizes, log.tokens.tolist(), log.values.tolist()
    ((2, 2), [[1, 0], [0, 0], [1, 1]], [[1, 2], [0, 2], [1, 3]])
    """
    label, arrays = np.asarray(label), {feature: np.asarray(column) for feature, column in columns.items()}
    if not arrays or label.ndim != 1 or not label.size:
        raise ValueError(f"there are {len(arrays)} features, and label has shape {label.shape}; at least one of each is needed")
    if wrong := {feature: column.shape for feature, column in arrays.items() if column.shape != label.shape}:
        raise ValueError(f"columns have shapes {wrong}; with labels {label.shape} each needs {label.shape}")
    if not np.isin(label, (0, 1)).all():
        raise ValueError(f"label runs from {label.min()} to {label.max()}; it must be 0 or 1")
    counted = [np.unique(column, return_inverse=True) for column in arrays.values()]
    tokens = np.stack([inverse.reshape(-1) for _, inverse in counted], axis=1).astype(np.int32)
    return ClickLog(name, tuple(arrays), tuple(len(values) for values, _ in counted), tokens, label.astype(np.float32))


def generated_clicks(
    sizes: Sequence[int] = (900, 1600, 60, 2, 20, 700, 200, 24),
    count: int = 100_000,
    *,
    zipf: float = 1.0,
    scatter: float = 0.7,
    pairs: float = 0.3,
    dim: int = 4,
    seed: int = 0,
) -> ClickLog:
    """Clicks drawn from a logistic model, of values with Zipf's frequencies.

    Each value has a normal effect, and a vector; the log-odds are the sum of the effects and of the inner products of all pairs
    of vectors.

    Args:
        sizes: of the vocabularies.
        count: of examples.
        zipf: exponent of the frequencies, 0 for equal ones.
        scatter: standard deviation of the effects.
        pairs: standard deviation of the interaction of a pair.
        dim: of the vectors.
        seed: of the generator.

    Raises:
        ValueError: for a size below 1, or a negative number.

    >>> log = generated_clicks((5, 3), 4)
    >>> log.sizes, log.tokens.shape, log.label.dtype.name
    ((5, 3), (4, 2), 'float32')
    """
    if not sizes or min(*sizes, count, dim) < 1:
        raise ValueError(f"sizes is {tuple(sizes)}, count {count}, dim {dim}; all must be at least 1")
    if not min(zipf, scatter, pairs) >= 0:
        raise ValueError(f"zipf is {zipf}, scatter {scatter}, pairs {pairs}; none can be negative")
    rng = np.random.default_rng(seed)
    logits, total, squares, tokens = np.zeros(count), 0.0, 0.0, []
    for size in sizes:
        weights = np.arange(1, size + 1.0) ** -zipf
        tokens.append(rng.permutation(size)[rng.choice(size, count, p=weights / weights.sum())])
        effect, vector = scatter * rng.standard_normal(size), (pairs / dim**0.5) ** 0.5 * rng.standard_normal((size, dim))
        logits += effect[tokens[-1]]
        total, squares = total + vector[tokens[-1]], squares + np.square(vector).sum(1)[tokens[-1]]
    logits += (np.square(total).sum(1) - squares) / 2
    label = rng.random(count) < 1 / (1 + np.exp(-logits))
    features = tuple(f"feature {i}" for i in range(len(sizes)))
    name = f"generated clicks, {len(sizes)} features with {sum(sizes)} values, {count} examples"
    return ClickLog(name, features, tuple(map(int, sizes)), np.stack(tokens, 1).astype(np.int32), label.astype(np.float32))
