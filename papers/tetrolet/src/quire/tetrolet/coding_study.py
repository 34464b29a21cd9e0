"""C5b: numerals by their codes, sparse ones and others, of the low-pass of their tetrolet transform."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any

import jax
import numpy as np
from threadpoolctl import threadpool_limits

from quire.common.claims import shared
from quire.common.metrics.pca import principal_axes
from quire.tetrolet.classifiers import best, forest, mqdf, nearest, svm
from quire.tetrolet.concept_coding import concept_codes, ridge_basis
from quire.tetrolet.config import Preset, Recognition
from quire.tetrolet.neighbour_graph import heat_kernel_graph, laplacian_eigenmap
from quire.tetrolet.numerals import open_numerals
from quire.tetrolet.sparse_discriminant import SparseLDA
from quire.tetrolet.tasks import Task, at_level, draw_tasks

CLASSIFIERS = ("SVM", "random forest", "nearest neighbour", "MQDF")
COMPARED = ("concept coding", "no coding")
"""Codings that all classifiers see."""

Candidates = Iterator[tuple[Any, Task]]
"""Settings of a coding, each with the codes that it gives."""


def concept_candidates(task: Task, config: Recognition) -> Candidates:
    """By ridge and number of entries; graph and responses are those of the training samples once."""
    graph = heat_kernel_graph(task.train, config.neighbours)
    responses = laplacian_eigenmap(graph.weights, config.n_basis).responses
    for alpha in config.alphas:
        basis = ridge_basis(task.train, responses, alpha)
        train, test = (concept_codes(basis, x, config.cards) for x in (task.train, task.test))
        for place, card in enumerate(config.cards):
            yield (alpha, card), task._replace(train=train[:, place], test=test[:, place])


def principal_codes(task: Task, config: Recognition) -> Candidates:
    """By the number of components."""
    axes = principal_axes(task.train, max(config.components))
    train, test = axes.project(task.train), axes.project(task.test)
    for count in config.components:
        yield count, task._replace(train=train[:, :count], test=test[:, :count])


def sparse_principal_codes(task: Task, config: Recognition) -> Candidates:
    """By the penalty on the components; scikit-learn's, in batches."""
    from sklearn.decomposition import MiniBatchSparsePCA

    for penalty in config.sparse_penalties:
        model = MiniBatchSparsePCA(
            config.sparse_components, alpha=penalty, method="cd", max_iter=config.sparse_passes, batch_size=100, random_state=0
        )
        train, test = task.train.astype(float), task.test.astype(float)  # in float32 its solver does not converge
        model.fit(train)
        yield penalty, task._replace(train=model.transform(train), test=model.transform(test))


def discriminant_codes(task: Task, config: Recognition) -> Candidates:
    """By the penalty on the directions, as many as there can be."""
    for ratio in config.sparse_ratios:
        model = SparseLDA(len(np.unique(task.train_labels)) - 1, ratio=ratio).fit(task.train, task.train_labels)
        yield ratio, task._replace(train=model.transform(task.train), test=model.transform(task.test))


def no_codes(task: Task, config: Recognition) -> Candidates:
    """The features as they are."""
    yield None, task


CODES = {
    "concept coding": concept_candidates,
    "PCA": principal_codes,
    "sparse PCA": sparse_principal_codes,
    "sparse LDA": discriminant_codes,
    "no coding": no_codes,
}


def narrowed(config: Recognition, name: str, setting: Any) -> Recognition:
    """The one setting that was chosen, so that no other is fitted again; all cards come with one path."""
    match name:
        case "concept coding":
            return replace(config, alphas=(setting[0],))
        case "sparse PCA":
            return replace(config, sparse_penalties=(setting,))
        case "sparse LDA":
            return replace(config, sparse_ratios=(setting,))
    return config


def choose_coding(task: Task, name: str, config: Recognition) -> tuple[Any, float]:
    """Setting and kernel width by the accuracy on the validation part of one task."""
    candidates = list(CODES[name](task.validation(), config))
    place, width = best(
        product(range(len(candidates)), config.widths),
        lambda chosen: candidates[chosen[0]][1].accuracy(partial(svm, width=chosen[1], penalty=config.penalty)),
    )
    return candidates[place][0], width


def coded(task: Task, name: str, setting: Any, config: Recognition) -> Task:
    """Codes with one setting."""
    return next(codes for found, codes in CODES[name](task, narrowed(config, name, setting)) if found == setting)


def of_coding(drawn: list[Task], name: str, config: Recognition) -> tuple[Any, np.ndarray]:
    """The setting that is chosen, and accuracies `[seeds, classifiers]`; where only one classifier is asked for, `[seeds, 1]`."""
    setting, width = choose_coding(drawn[0], name, config)
    codes = [coded(task, name, setting, config) for task in drawn]
    predictors: list[Callable[..., np.ndarray]] = [partial(svm, width=width, penalty=config.penalty)]
    if name in COMPARED:
        held = codes[0].validation()
        axes = best(config.mqdf_axes, lambda count: held.accuracy(partial(mqdf, axes=count)))
        predictors += [partial(forest, trees=config.trees), nearest, partial(mqdf, axes=axes)]
    return setting, np.array([[task.accuracy(predict) for predict in predictors] for task in codes])


@shared
def coding_study(preset: Preset, keys: jax.Array) -> dict:
    """Accuracies on test images; settings are chosen once for each script, with the first seed.

    Returns:
        `accuracy [seeds, scripts, codings]` of the support vector machine, `classifiers [seeds, scripts, 2, classifiers]` on the
        codings `COMPARED`, `majority [seeds, scripts]`, names of scripts, and what was chosen.
    """
    config = preset.recognition
    sources = open_numerals(config.scripts)
    accuracy = np.zeros((len(keys), len(sources), len(CODES)))
    classifiers, majority = np.zeros((*accuracy.shape[:2], 2, len(CLASSIFIERS))), np.zeros(accuracy.shape[:2])
    chosen = {}
    for column, (script, source) in enumerate(sources.items()):
        with threadpool_limits(1):  # as for `transform_study`
            drawn = draw_tasks(source.value, at_level("tetrolet", config.coding_level), config, config.coding_train, keys)
            majority[:, column] = [task.majority for task in drawn]
            for row, name in enumerate(CODES):
                chosen[script, name], found = of_coding(drawn, name, config)
                accuracy[:, column, row] = found[:, 0]
                if name in COMPARED:
                    classifiers[:, column, COMPARED.index(name)] = found
    return {
        "accuracy": accuracy,
        "classifiers": classifiers,
        "majority": majority,
        "chosen": chosen,
        "scripts": tuple(sources),
        "stand_in_for": next(iter(sources.values())).stand_in_for,
    }
