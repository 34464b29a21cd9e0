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


def choose(by_level: Mapping[int, Task], config: Recognition) -> tuple[int, float]:
    """Level and kernel width by the accuracy on the validation part of one task."""
    held = {level: task.validation() for level, task in by_level.items()}
    settings = list(product(held, config.widths))
    if len(settings) == 1:
        return settings[0]
    return best(settings, lambda one: held[one[0]].accuracy(partial(svm, width=one[1], penalty=config.penalty)))


def of_transform(data: ImageData, name: str, config: Recognition, keys: jax.Array) -> tuple[int, list[float], list[float]]:
    """The level that is chosen, and by seed the accuracies on test images and those of the majority class."""
    by_level = {
        level: draw_tasks(data, at_level(name, level), config, config.num_train, keys)
        for level in (config.levels[-1:] if name in WHOLE else config.levels)
    }
    level, width = choose({level: drawn[0] for level, drawn in by_level.items()}, config)
    predict = partial(svm, width=width, penalty=config.penalty)
    return level, [task.accuracy(predict) for task in by_level[level]], [task.majority for task in by_level[level]]


@shared
def transform_study(preset: Preset, keys: jax.Array) -> dict:
    """Accuracies on test images, `[seeds, scripts, transforms]`; settings are chosen once for each script, with the first seed.

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
