"""C4 and C5: numerals by what different transforms keep of them, with one classifier for all."""

from collections.abc import Mapping
from functools import partial
from itertools import product

import jax
import numpy as np
from threadpoolctl import threadpool_limits

from quire.common.claims import shared
from quire.tetrolet.classifiers import best, svm
from quire.tetrolet.config import Preset, Recognition
from quire.tetrolet.numerals import open_numerals
from quire.tetrolet.tasks import TRANSFORMS, WHOLE, Task, draw_tasks


def choose(by_level: Mapping[int, list[Task]], config: Recognition) -> tuple[int, float]:
    """Level and kernel width by the mean accuracy on the validation parts of tasks."""
    held = {level: [task.validation() for task in drawn] for level, drawn in by_level.items()}

    def accuracy(setting: tuple[int, float]) -> float:
        level, width = setting
        return float(np.mean([task.accuracy(partial(svm, width=width, penalty=config.penalty)) for task in held[level]]))

    settings = list(product(held, config.widths))
    return best(settings, accuracy) if len(settings) > 1 else settings[0]


@shared
@threadpool_limits.wrap(1)  # threads that wait for each other take several times the processor time of these small problems
def transform_study(preset: Preset, keys: jax.Array) -> dict:
    """Accuracies on test images, `[seeds, scripts, transforms]`; settings are chosen for each script, for all seeds together.

    Returns:
        `accuracy`, `majority [seeds, scripts]`, `level [seeds, scripts, transforms]`, and the names of scripts and sets.
    """
    config = preset.recognition
    sources = open_numerals(config.scripts)
    shape = len(keys), len(sources), len(TRANSFORMS)
    accuracy, levels, majority = np.zeros(shape), np.zeros(shape), np.zeros(shape[:2])
    for column, source in enumerate(sources.values()):
        for row, (name, transform) in enumerate(TRANSFORMS.items()):
            by_level = {
                level: draw_tasks(source.value, partial(transform, level=level), config, config.num_train, keys)
                for level in (config.levels[-1:] if name in WHOLE else config.levels)
            }
            level, width = choose(by_level, config)
            levels[:, column, row] = level
            predict = partial(svm, width=width, penalty=config.penalty)
            accuracy[:, column, row] = [task.accuracy(predict) for task in by_level[level]]
            majority[:, column] = [task.majority for task in by_level[level]]
    return {
        "accuracy": accuracy,
        "level": levels,
        "majority": majority,
        "scripts": tuple(sources),
        "stand_in_for": next(iter(sources.values())).stand_in_for,
    }
