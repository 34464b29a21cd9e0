"""C4 and C5: numerals by what different transforms keep of them, with one classifier for all."""

from functools import partial
from itertools import product

import jax
import numpy as np

from quire.common.claims import shared
from quire.tetrolet.classifiers import best, svm
from quire.tetrolet.config import Preset, Recognition
from quire.tetrolet.numerals import open_numerals
from quire.tetrolet.tasks import TRANSFORMS, Task, draw_task


def choose(task: Task, name: str, config: Recognition) -> tuple[int, float]:
    """Level and kernel width by the accuracy on the validation part of one task."""
    levels = config.levels[:1] if name == "pixels" else config.levels  # pixels have none
    seen = {level: task.seen_by(lambda x, level=level: TRANSFORMS[name](x, level)).validation() for level in levels}
    return best(
        product(seen, config.widths),
        lambda setting: seen[setting[0]].accuracy(partial(svm, width=setting[1], penalty=config.penalty)),
    )


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
        tasks = [draw_task(source.value, config, key) for key in keys]
        majority[:, column] = [task.majority for task in tasks]
        for row, (name, transform) in enumerate(TRANSFORMS.items()):
            level, width = choose(tasks[0], name, config)
            levels[:, column, row] = level
            for seed, task in enumerate(tasks):
                seen = task.seen_by(lambda x, level=level, transform=transform: transform(x, level))
                accuracy[seed, column, row] = seen.accuracy(partial(svm, width=width, penalty=config.penalty))
    return {
        "accuracy": accuracy,
        "level": levels,
        "majority": majority,
        "scripts": tuple(sources),
        "stand_in_for": next(iter(sources.values())).stand_in_for,
    }
