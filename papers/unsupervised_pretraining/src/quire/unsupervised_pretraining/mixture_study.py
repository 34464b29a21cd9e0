"""U5: mixtures, two-phase against classifiers that see labels only."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float
from threadpoolctl import threadpool_limits

from quire.common.arrays import AnyArray
from quire.common.claims import shared
from quire.common.claims.criteria import confidence_interval
from quire.common.random import generator
from quire.common.train.seeds import stack
from quire.unsupervised_pretraining.config import Mixture, Preset
from quire.unsupervised_pretraining.descent import descend
from quire.unsupervised_pretraining.gaussian_mixture import GaussianMixture, em_restarts, em_starts, uniform_mixture
from quire.unsupervised_pretraining.phases import TwoPhase, erm_table
from quire.unsupervised_pretraining.supervised import squared_error

STRENGTHS = (0.01, 0.1, 1.0, 10.0)
"""Inverse penalties of logistic regression; the best one for the test examples is shown."""
RATES = (0.01, 0.1)
"""Learning rates of end-to-end training; the better one for the test examples is shown."""


class MixtureData(NamedTuple):
    """A mixture with its labels: true means `[k, d]`, class of every component `[k]`, unlabelled, labelled and test examples."""

    means: np.ndarray
    classes: np.ndarray
    unlabelled: np.ndarray
    x: np.ndarray
    y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray


def draw_mixture(config: Mixture, separation: float, draw: np.random.Generator) -> MixtureData:
    """Means at equal distances in random directions, components of equal weight, a class for each component."""
    directions = np.linalg.qr(draw.standard_normal((config.d, config.k)))[0].T
    means, classes = separation / 2**0.5 * directions, draw.permutation(config.k)

    def examples(n):
        z = draw.integers(0, config.k, n)
        return (means[z] + draw.standard_normal((n, config.d))).astype(np.float32), classes[z]

    unlabelled, labelled, test = examples(config.m)[0], examples(max(config.ns)), examples(config.tests)
    return MixtureData(means.astype(np.float32), classes, unlabelled, *labelled, *test)


def error(fitted: TwoPhase, x: np.ndarray, y: np.ndarray) -> float:
    """Share of wrong classes."""
    return float(np.mean(np.argmax(np.asarray(fitted.predict(x)), axis=-1) != y))


def centroids(x: np.ndarray, y: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Means `[classes, d]` of the classes, and which classes there are examples of; the others get the mean of all."""
    met = np.bincount(y, minlength=classes) > 0
    return np.stack([x[y == c].mean(0) if met[c] else x.mean(0) for c in range(classes)]), met


def supervised_errors(data: MixtureData, n: int, classes: int) -> dict[str, float]:
    """Errors of classifiers of x from n labelled examples.

    The linear discriminant knows that covariances are unit matrices, which spares it their estimation: the nearest centroid.
    """
    from sklearn.linear_model import LogisticRegression  # a second to import

    x, y = data.x[:n], data.y[:n]
    if len(np.unique(y)) < 2:
        alone = float(np.mean(data.test_y != y[0]))
        return {"linear discriminant": alone, "logistic regression": alone}
    means, met = centroids(x, y, classes)
    distances = ((data.test_x[:, None] - means[None]) ** 2).sum(-1) + np.where(met, 0, np.inf)[None]
    with threadpool_limits(1):  # threads that wait for each other take longer than these small problems do
        logistic = [LogisticRegression(C=c, solver="newton-cholesky").fit(x.astype(float), y) for c in STRENGTHS]
    return {
        "linear discriminant": float(np.mean(distances.argmin(1) != data.test_y)),
        "logistic regression": 1 - max(float(fitted.score(data.test_x, data.test_y)) for fitted in logistic),
    }


def end_to_end_errors(data: MixtureData, n: int) -> np.ndarray:
    """Errors of mixture and table trained together on n labelled examples, from centroids of classes; data are stacked."""
    count, k = data.classes.shape
    onehot = np.eye(k, dtype=np.float32)
    means = np.stack([centroids(data.x[i, :n], data.y[i, :n], k)[0] for i in range(count)])
    start = TwoPhase(GaussianMixture(means, np.zeros((count, k), np.float32)), np.broadcast_to(onehot, (count, k, k)))
    examples = data.x[:, :n], onehot[data.y[:, :n]]
    return np.min([_trained_errors(start, examples, data.test_x, data.test_y, rate) for rate in RATES], axis=0)


@jax.jit
def _trained_errors(start: TwoPhase, examples, x, y, rate) -> Float[Array, " data"]:
    def of_data(start, examples, x, y):
        fitted, _ = descend(squared_error, start, examples, rate, steps=200)
        return jnp.mean(jnp.argmax(fitted.predict(x), axis=1) != y)

    return jax.vmap(of_data)(start, examples, x, y)


def pretrain(data: MixtureData, config: Mixture, keys: list[jax.Array]) -> GaussianMixture:
    """Phase 1 of all data sets side by side; data and models are stacked."""
    starts = [em_starts(x, config.k, key, config.restarts) for x, key in zip(data.unlabelled, keys, strict=True)]
    return jax.vmap(lambda x, starts: em_restarts(x, starts, config.steps)[0])(data.unlabelled, np.stack(starts))


def _truth(data: MixtureData) -> TwoPhase:
    return TwoPhase(uniform_mixture(data.means), np.eye(len(data.classes))[data.classes])


@jax.jit
def two_phase_errors(models: GaussianMixture, data: MixtureData, used: Bool[AnyArray, "ns n"]) -> Float[Array, "data ns"]:
    """Errors with a table learned from the labelled examples that are used; models and data are stacked."""

    def of_data(model, data):
        onehot = jnp.eye(len(data.classes), dtype=data.x.dtype)[data.y]
        known, unknown = model.features(data.x), model.features(data.test_x)

        def at(kept):
            # rows of zeros add nothing to the weighted sums
            table = erm_table(known * kept[:, None], onehot * kept[:, None])
            return jnp.mean(jnp.argmax(unknown @ table, axis=1) != data.test_y)

        return jax.vmap(at)(used)

    return jax.vmap(of_data)(models, data)


@shared
def mixture_study(preset: Preset, keys: jax.Array) -> dict[str, np.ndarray]:
    """Errors `[seeds, separations, ns]`; `[seeds, separations]` of what is known at `few` only or needs no labels."""
    config = preset.mixture
    draws = [generator(key) for key in keys]
    data = [draw_mixture(config, separation, draw) for draw in draws for separation in config.separations]
    stacked = stack(data)
    models = pretrain(stacked, config, [jax.random.fold_in(key, i) for key in keys for i in range(len(config.separations))])
    truth = GaussianMixture(stacked.means, np.zeros(stacked.classes.shape, np.float32))
    used = np.arange(max(config.ns))[None] < np.array(config.ns)[:, None]
    from_labels = [[supervised_errors(one, n, config.k) for n in config.ns] for one in data]
    found = {
        "two-phase": np.asarray(two_phase_errors(models, stacked, used)),
        "true mixture": np.asarray(two_phase_errors(truth, stacked, used)),
        **{name: np.array([[at[name] for at in curve] for curve in from_labels]) for name in from_labels[0][0]},
        "end to end": end_to_end_errors(stacked, config.few),
        "Bayes": np.array([error(_truth(one), one.test_x, one.test_y) for one in data]),
        "majority class": np.array([1 - np.bincount(one.test_y).max() / len(one.test_y) for one in data]),
    }
    found = {name: value.reshape(len(keys), len(config.separations), *value.shape[1:]) for name, value in found.items()}
    return found | _against_best(found, config.ns.index(config.few))


def _against_best(found: dict[str, np.ndarray], few: int) -> dict[str, np.ndarray]:
    """`[seeds, separations]`: errors of the supervised classifier that is best on average, and what two-phase gains on it.

    The gain is that of every seed, and the lower end of its interval over seeds, the same for all of them.
    """
    rivals = np.stack([found["linear discriminant"][..., few], found["logistic regression"][..., few], found["end to end"]])
    best = rivals.mean(1).argmin(0)
    supervised = np.take_along_axis(rivals, best[None, None], axis=0)[0]
    gain = supervised - found["two-phase"][..., few]
    lower = [confidence_interval(of)[1][0] for of in gain.T]
    return {"supervised": supervised, "gain, lower end": np.broadcast_to(lower, gain.shape)}
