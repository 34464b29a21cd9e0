"""Methods side by side on several data sets: scores averaged over the sets, and what a claim shows of the first."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from quire.common.checks import check_at_least
from quire.common.data.source import Source

Scores = Mapping[str, Mapping[str, Sequence[float] | np.ndarray]]
"""By metric and method, `[seeds]`."""


class Comparison:
    """Scores of several data sets.

    >>> found = Comparison()
    >>> for name, errors in (("a", [1.0, 2.0]), ("b", [3.0, 6.0])):
    ...     found.add(Source(None), name, {"mse": {"model": errors}}, {"shown": name})
    >>> result = found.result()
    >>> result["mse"]["model"].tolist(), result["shown"], result["data"]
    ([2.0, 4.0], 'a', 'a; b')
    """

    def __init__(self):
        self._names: list[str] = []
        self._stand_ins: set[str] = set()
        self._scores: list[Scores] = []
        self._weights: list[float] = []
        self._first: Mapping[str, Any] = {}

    def add(self, source: Source, name: str, scores: Scores, shown: Mapping[str, Any], *, weight: float = 1.0) -> None:
        """Scores of one set.

        Args:
            source: where the set comes from.
            name: as tables show it.
            scores: of the same metrics and methods as those of the other sets.
            shown: what comes back besides the scores, if this set is the first.
            weight: of the set in the mean.
        """
        self._first = shown if not self._names else self._first
        self._names.append(name)
        self._stand_ins.add(source.stand_in_for)
        self._scores.append(scores)
        self._weights.append(weight)

    def result(self) -> dict[str, Any]:
        """Mean scores by metric and method, what the first set shows, `data` and `stand_in_for`.

        Raises:
            ValueError: if nothing was added.
        """
        check_at_least("number of data sets", len(self._names))
        means = {
            metric: {
                method: np.average([scores[metric][method] for scores in self._scores], axis=0, weights=self._weights)
                for method in methods
            }
            for metric, methods in self._scores[0].items()
        }
        stand_ins = ", ".join(sorted(self._stand_ins - {""}))
        return {**means, **self._first, "data": "; ".join(self._names), "stand_in_for": stand_ins}
