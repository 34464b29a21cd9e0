"""How vectors of two models are compared, and the table that says whether a new model is compatible with an old gallery."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Num

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least
from quire.common.retrieval.evaluate import retrieval_metrics

Metrics = dict[str, float]


class Embedded(NamedTuple):
    """Vectors of the queries `[q, dim]` and of the gallery `[n, dim]` by one model."""

    queries: AnyArray
    gallery: AnyArray


class Labels(NamedTuple):
    """Classes of the queries `[q]` and of the gallery `[n]`."""

    queries: AnyArray
    gallery: AnyArray


class Row(NamedTuple):
    """Metrics of a model: its queries in the old gallery, and in its own."""

    cross: Metrics
    own: Metrics

    def is_compatible(self, old: "Row", metric: str = "mAP") -> bool:
        """Whether old vectors serve new queries better than old ones: `M(new, old) > M(old, old)`."""
        return self.cross[metric] > old.own[metric]


def cross_metrics(
    queries: Num[AnyArray, "q d_q"],
    query_labels: Int[AnyArray, " q"],
    gallery: Num[AnyArray, "n d_g"],
    gallery_labels: Int[AnyArray, " n"],
    topk: Sequence[int] = (1, 5),
) -> Metrics:
    """Search of a gallery of another model by cosine of the first `min(d_q, d_g)` numbers of both.

    Raises:
        ValueError: as `retrieval_metrics`.

    >>> cross_metrics(np.array([[1.0, 0.0, 7.0]]), np.array([1]), np.eye(2), np.array([1, 0]), topk=(1,))
    {'top1': 1.0, 'mAP': 1.0}
    """
    size = min(queries.shape[-1], gallery.shape[-1])
    check_at_least("number of shared dimensions", size)
    return retrieval_metrics(queries[:, :size], query_labels, gallery[:, :size], gallery_labels, topk)


def compat_table(
    models: Mapping[str, Embedded], labels: Labels, old: str = "old", topk: Sequence[int] = (1, 5)
) -> dict[str, Row]:
    """Every model's queries in the gallery of the old one, and in its own.

    Args:
        models: vectors by model, the old one among them.
        labels: classes.
        old: name of the old model.
        topk: places, see `retrieval_metrics`.

    Returns:
        A row for each model; both columns are the same for the old one.

    Raises:
        ValueError: if the old model is missing; as `retrieval_metrics`.

    >>> models = {"old": Embedded(np.eye(2), np.eye(2)), "turned": Embedded(np.eye(2)[::-1], np.eye(2)[::-1])}
    >>> table = compat_table(models, Labels(np.array([0, 1]), np.array([0, 1])), topk=(1,))
    >>> table["turned"].cross["top1"], table["turned"].own["top1"], table["turned"].is_compatible(table["old"])
    (0.0, 1.0, False)
    """
    if old not in models:
        raise ValueError(f"models has no {old!r}; it holds {', '.join(models)}")
    own = {name: cross_metrics(x.queries, labels.queries, x.gallery, labels.gallery, topk) for name, x in models.items()}
    gallery = models[old].gallery
    cross = {name: cross_metrics(x.queries, labels.queries, gallery, labels.gallery, topk) for name, x in models.items()}
    return {name: Row(cross[name], own[name]) for name in models}


def random_order(labels: Labels) -> float:
    """Mean share of the gallery that has a query's class: top-1 of a random gallery, and about its mAP.

    >>> random_order(Labels(np.array([0, 0, 1]), np.array([0, 1, 1, 1]))).__round__(4)
    0.4167
    """
    classes, count = np.unique(np.asarray(labels.gallery), return_counts=True)
    share = dict(zip(classes.tolist(), (count / count.sum()).tolist(), strict=True))
    return float(np.mean([share.get(label, 0.0) for label in np.asarray(labels.queries).tolist()]))
