"""M7 and M8: which source tasks to sample for one digit under one corruption, with a linear and with a trained representation."""

from functools import cache

import jax
import numpy as np

from quire.active_multitask.active import Estimate, Learner, linear_learner, run_amtrl
from quire.active_multitask.allocation import STRATEGIES
from quire.active_multitask.config import Images, Preset
from quire.active_multitask.image_tasks import CLASSES, CORRUPTIONS, Examples, ImageTasks, image_tasks
from quire.active_multitask.multitask import Moments
from quire.active_multitask.network import features, network_learner
from quire.common.claims import shared
from quire.common.random import generator

open_tasks = cache(image_tasks)

ALONE, MAJORITY = "target alone", "always no"


def linear_images(tasks: ImageTasks, sources: int, k: int) -> Learner:
    """`linear_learner` for `Examples`."""
    learner = linear_learner(k, rounds=8)

    def learn(data: Examples, target: Examples) -> Estimate:
        own: Moments = target.moments(tasks.inputs, 1)[0]
        return learner(data.moments(tasks.inputs, sources), own)

    return learn


def target_tasks(count: int, rng: np.random.Generator) -> list[int]:
    """Targets of a seed: the corruptions in turn, the digit drawn."""
    return [CLASSES * (i % len(CORRUPTIONS)) + int(rng.integers(CLASSES)) for i in range(count)]


def by_strategy(tasks: ImageTasks, target: int, config: Images, key: jax.Array, network: bool) -> dict[str, float]:
    """Test errors of one target by strategy, all from the same target samples and warm start.

    Args:
        tasks: of the image set.
        target: number of the task.
        config: sizes.
        key: of samples and initial weights.
        network: whether the representation is a network.

    Returns:
        Errors, beside them those without sources and without anything, and how many sources the LASSO chose.
    """
    from sklearn.linear_model import RidgeCV  # a second to import

    sources, corruption, found = tasks.sources(target), target // CLASSES, {}
    for strategy in STRATEGIES:
        rng = generator(key)
        own = tasks.draw(rng, np.array([target]), np.array([config.n_target]))
        learner = (
            network_learner(tasks.images, len(sources), config.network, key)
            if network
            else linear_images(tasks, len(sources), config.k)
        )
        sampler = lambda n, rng=rng: tasks.draw(rng, sources, n)  # noqa: E731
        run = run_amtrl(sampler, own, learner, config.budget, strategy, tasks=len(sources), n_min=config.n_min)
        head, model = np.asarray(run.estimate.target.w), run.estimate.model
        phi = features(model, tasks.test[corruption]) if network else tasks.test_inputs[corruption] @ np.asarray(model)
        found[strategy] = tasks.error(target, np.asarray(phi) @ head)
        found[f"sources of {strategy}"] = float((np.asarray(run.nu) != 0).sum())
        found[f"most samples, {strategy}"] = float(run.counts.max())
    alone = RidgeCV(np.logspace(-1, 4, 11)).fit(tasks.inputs[own.place], own.y)
    return found | {
        ALONE: tasks.error(target, alone.predict(tasks.test_inputs[corruption])),
        MAJORITY: tasks.majority_error(target),
    }


def _over_seeds(preset: Preset, keys: jax.Array, targets: int, network: bool) -> dict:
    config, tasks, rows = preset.images, open_tasks(preset.images.image_set), []
    for key in keys:
        chosen = target_tasks(targets, generator(key))
        runs = [by_strategy(tasks, t, config, jax.random.fold_in(key, number), network) for number, t in enumerate(chosen)]
        rows.append({name: np.mean([run[name] for run in runs]) for name in runs[0]})
    return {name: np.array([row[name] for row in rows]) for name in rows[0]} | {"name": tasks.name}


@shared
def linear_image_study(preset: Preset, keys: jax.Array) -> dict:
    """Means over the targets of `by_strategy`, each `[seeds]`."""
    return _over_seeds(preset, keys, preset.images.targets, False)


@shared
def network_image_study(preset: Preset, keys: jax.Array) -> dict:
    """The same with a network."""
    return _over_seeds(preset, keys, preset.images.network_targets, True)
