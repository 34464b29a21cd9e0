"""R8: few-shot tasks of the new classes, on the features that the transfer study has extracted."""

import jax
import numpy as np

from quire.common.claims import shared
from quire.rich_representations.config import Preset
from quire.rich_representations.few_shot import Head, few_shot_accuracy, few_shot_episodes
from quire.rich_representations.tasks import load_tasks
from quire.rich_representations.transfer_study import transfer_study

HEADS: tuple[Head, ...] = ("linear", "cosine")


@shared
def few_shot_study(preset: Preset, keys: jax.Array) -> dict:
    """Mean accuracies `[seeds]` by method and head; all methods of a seed solve the same tasks.

    The mean over two models of a method counts, where there are two.
    """
    config, n = preset.few_shot, preset.transfer.parts
    labels = load_tasks(preset.transfer.image_set).new.labels
    methods = ("single", f"CAT{n}", "wide", "wide & deep", f"DISTILL{n}, tau = {preset.transfer.temperatures[-1]:g}")
    found = {head: {name: [] for name in methods} for head in HEADS}
    for key in keys:
        features = transfer_study(preset, key)["features"]
        drawn = few_shot_episodes(
            jax.random.fold_in(key, 3), labels, tasks=config.tasks, ways=config.ways, shots=config.shots, queries=config.queries
        )
        for head in HEADS:
            for name, values in found[head].items():
                each = [
                    few_shot_accuracy(x, drawn, jax.random.fold_in(key, 4), head=head, steps=config.steps).mean()
                    for x in features[name][:2]
                ]
                values.append(np.mean(each))
    return jax.tree.map(np.array, found, is_leaf=lambda x: isinstance(x, list))
