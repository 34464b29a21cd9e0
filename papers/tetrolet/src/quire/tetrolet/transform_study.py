"""C4 and C5: numerals by what different transforms keep of them, with one classifier for all."""

from collections.abc import Mapping
from functools import partial
from itertools import product

import jax
import numpy as np
from threadpoolctl import threadpool_limits

from quire.common.claims import shared
from quire.common.data.images import ImageData
from quire.tetrolet.classifiers import best, svm
from quire.tetrolet.config import Preset, Recognition
from quire.tetrolet.numerals import open_numerals
from quire.tetrolet.tasks import TRANSFORMS, WHOLE, Task, at_level, draw_tasks

CHOOSING = 2
"""Seeds whose validation parts choose; the settings are those of all seeds."""


def choose(by_level: Mapping[int, list[Task]], config: Recognition) -> tuple[int, float]:
    """Level and kernel width by the mean accuracy on the validation parts of tasks."""
    held = {level: [task.validation() for task in drawn[:CHOOSING]] for level, drawn in by_level.items()}

    def accuracy(setting: tuple[int, float]) -> float:
        level, width = setting
        return float(np.mean([task.accuracy(partial(svm, width=width, penalty=config.penalty)) for task in held[level]]))

    settings = list(product(held, config.widths))
    return best(settings, accuracy) if len(settings) > 1 else settings[0]


def of_transform(data: ImageData, name: str, config: Recognition, keys: jax.Array) -> tuple[int, list[float], list[float]]:
    """The level that is chosen, and by seed the accuracies on test images and those of the majority class."""
    by_level = {
        level: draw_tasks(data, at_level(name, level), config, config.num_train, keys)
        for level in (config.levels[-1:] if name in WHOLE else config.levels)
    }
    level, width = choose(by_level, config)
    predict = partial(svm, width=width, penalty=config.penalty)
    return level, [task.accuracy(predict) for task in by_level[level]], [task.majority for task in by_level[level]]


@shared
def transform_study(preset: Preset, keys: jax.Array) -> dict:
    """Accuracies on test images, `[seeds, scripts, transforms]`; settings are chosen for each script, the same for all seeds.

    Returns:
        `accuracy`, `majority [seeds, scripts]`, `level [seeds, scripts, transforms]`, and the names of scripts and sets.
    """
    config = preset.recognition
    sources = open_numerals(config.scripts)
    shape = len(keys), len(sources), len(TRANSFORMS)
    accuracy, levels, majority = np.zeros(shape), np.zeros(shape), np.zeros(shape[:2])
    for column, source in enumerate(sources.values()):
        for row, name in enumerate(TRANSFORMS):
            with threadpool_limits(1):  # threads that wait for each other take several times as long as these small problems
                found = of_transform(source.value, name, config, keys)
            levels[:, column, row], accuracy[:, column, row], majority[:, column] = found
    return {
        "accuracy": accuracy,
        "level": levels,
        "majority": majority,
        "scripts": tuple(sources),
        "stand_in_for": next(iter(sources.values())).stand_in_for,
    }
