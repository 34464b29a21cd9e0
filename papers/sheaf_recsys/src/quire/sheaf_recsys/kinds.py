"""Restriction maps of different kinds and stalks of different dimensions, trained side by side."""

from typing import Any

import jax

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
) -> dict[str, dict[str, Any]]:
    """What `recommend` returns for every kind, a run for each seed.

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

        lists = [setting] * len(keys), keys, [steps] * len(keys)
        results[label(kind, d)] = recommend(data, build, *lists, batch_size=batch_size)
    return results
