"""Restriction maps of different kinds and stalks of different dimensions, trained side by side."""

import jax
import numpy as np

from quire.common.graphs.sheaves import MapKind
from quire.sheaf_recsys.experiments import Recommendation, recommend
from quire.sheaf_recsys.models import StalkSheafRec
from quire.sheaf_recsys.training import Setting


def label(kind: MapKind, d: int) -> str:
    """Name of a kind with its stalk dimension, as tables show it."""
    return kind if kind == "scalar" else f"{kind} d={d}"


def compare_kinds(
    data: Recommendation,
    kinds: tuple[tuple[MapKind, int], ...],
    setting: Setting,
    keys: list[jax.Array],
    *,
    dim: int,
    num_layers: int,
    steps: int,
    batch_size: int,
) -> dict[str, dict[str, np.ndarray]]:
    """Test and validation F1@10 of every kind, `[seeds]`.

    Args:
        data: interactions.
        kinds: kinds of maps with their stalk dimensions.
        setting: of all of them.
        keys: one per seed.
        dim: numbers per node, stalk and channels together.
        num_layers, steps, batch_size: as for the recommenders.
    """
    results = {}
    for kind, d in kinds:

        def build(rngs, kind=kind, d=d):
            return StalkSheafRec(data.num_nodes, dim, num_layers, kind=kind, d=d, rngs=rngs)

        run = recommend(data, build, [setting] * len(keys), keys, [steps] * len(keys), batch_size=batch_size)
        results[label(kind, d)] = {"test": run["test"]["f1@10"], "validation": run["validation"]}
    return results
