"""Restriction maps of different kinds and stalks of different dimensions, trained side by side."""

import time
from typing import Any

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
) -> dict[str, dict[str, Any]]:
    """Test and validation F1@10 of every kind, `[seeds]`, and seconds per step after compilation.

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

        def run(lengths, build=build):
            return recommend(data, build, [setting] * len(keys), keys, lengths, batch_size=batch_size)

        result = run([steps] * len(keys))
        lengths = [steps] + [1] * (len(keys) - 1)  # of the longest run as before: nothing is compiled again
        start = time.perf_counter()
        run(lengths)
        seconds = (time.perf_counter() - start) / sum(lengths)
        results[label(kind, d)] = {
            "test": result["test"]["f1@10"],
            "validation": result["validation"],
            "seconds": seconds,
        }
    return results


def kinds_differ(scores: dict[str, np.ndarray]) -> float:
    """p-value of a one-way analysis of variance: do the kinds differ by more than their seeds do?"""
    from scipy import stats  # a second to import

    return float(stats.f_oneway(*scores.values()).pvalue)
