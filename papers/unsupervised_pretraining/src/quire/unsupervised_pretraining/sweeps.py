"""Sweeps over factor models: every method on growing samples, for many problems side by side.

Problems are drawn on the host in float64. A smaller d, r, m or n costs no other program: x is padded with coordinates of zero,
loadings with columns of zero, labelled data with rows of zero, and none of that changes an estimate. Samples and sizes follow
each other in loops: two batches of decompositions at once can lock up XLA's pool of threads on a processor.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from threadpoolctl import threadpool_limits

from quire.unsupervised_pretraining.factor_model import FactorModel, leading_eigenpairs
from quire.unsupervised_pretraining.phases import erm_linear, excess_risk_linear
from quire.unsupervised_pretraining.supervised import PENALTIES, ridge_path


class Problem(NamedTuple):
    """A truth: loadings B `[d, r]`, and of the labels `y = factors^T z + own^T mu + nu`, where mu is the noise of x itself."""

    loadings: np.ndarray
    factors: np.ndarray
    own: np.ndarray
    noise: float

    @property
    def covariance(self) -> np.ndarray:
        """Of x."""
        return self.loadings @ self.loadings.T + np.eye(len(self.loadings))

    @property
    def best(self) -> np.ndarray:
        """Coefficients of the best predictor, `Cov(x)^-1 Cov(x, y)`."""
        return np.linalg.solve(self.covariance, self.loadings @ self.factors + self.own)

    def draw(self, n: int, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """n labelled examples: `[n, d]`, `[n]`."""
        z, mu = draw.standard_normal((n, self.loadings.shape[1])), draw.standard_normal((n, len(self.loadings)))
        y = z @ self.factors + mu @ self.own + self.noise * draw.standard_normal(n)
        return z @ self.loadings.T + mu, y


def factor_problem(d: int, r: int, noise: float, draw: np.random.Generator, *, strength: float = 1.0) -> Problem:
    """Normal loadings of standard deviation `strength`; y depends on all factors, by weights of total length `sqrt(r)`."""
    weights = draw.standard_normal(r)
    weights *= r**0.5 / np.linalg.norm(weights)
    return Problem(strength * draw.standard_normal((d, r)), weights, np.zeros(d), noise)


def silent_factor(d: int, r: int, noise: float, draw: np.random.Generator) -> Problem:
    """y depends on a factor that has no loadings: nothing can be predicted of it."""
    loadings = draw.standard_normal((d, r))
    loadings[:, -1] = 0
    return Problem(loadings, np.eye(r)[-1], np.zeros(d), noise)


def silent_coordinate(d: int, r: int, noise: float, draw: np.random.Generator) -> Problem:
    """y depends on a coordinate of x that no factor loads on: labels can teach it, pretraining cannot."""
    loadings = draw.standard_normal((d, r))
    loadings[-1] = 0
    return Problem(loadings, np.zeros(r), np.eye(d)[-1], noise)


class Sample(NamedTuple):
    """What the estimators see of one problem, and what they are judged by, padded.

    Second moments of the first m unlabelled inputs `[ms, d, d]`, labelled examples `[n, d]` and `[n]`, true loadings, best
    coefficients, covariance of x, and the number of factors that is fitted.
    """

    moments: np.ndarray
    x: np.ndarray
    y: np.ndarray
    loadings: np.ndarray
    best: np.ndarray
    covariance: np.ndarray
    rank: int


def draw_sample(
    problem: Problem,
    ms: Sequence[int],
    n: int,
    draw: np.random.Generator,
    *,
    d: int | None = None,
    r: int | None = None,
    rank: int | None = None,
) -> Sample:
    """Data of a problem, padded to d coordinates and r factors; fitted are `rank` factors, as many as there are by default."""
    own, factors = problem.loadings.shape
    more = (d or own) - own
    unlabelled, _ = problem.draw(max(ms), draw)
    x, y = problem.draw(n, draw)
    covariance = np.eye(own + more)
    covariance[:own, :own] = problem.covariance
    return Sample(
        np.stack([np.pad(unlabelled[:m].T @ unlabelled[:m] / m, (0, more)) for m in ms]),
        np.pad(x, ((0, 0), (0, more))),
        y,
        np.pad(problem.loadings, ((0, more), (0, (r or factors) - factors))),
        np.pad(problem.best, (0, more)),
        covariance,
        rank or factors,
    )


@partial(jax.jit, static_argnames=("ns", "r"))
def excess_risks(samples: Sample, ns: tuple[int, ...], r: int) -> dict[str, Float[Array, "samples *sizes"]]:
    """Exact excess risks of every method on every sample.

    Args:
        samples: stacked, a leading axis on every leaf.
        ns: how many of the labelled examples are used.
        r: width of the padded loadings.

    Returns:
        `two-phase` `[samples, ms, ns]`; `true model` (only the head is learned), `least squares` and `ridge` `[samples, ns]`;
        `nothing learned` `[samples]`.
    """
    return jax.lax.map(lambda sample: _of_sample(sample, ns, r), samples)


def _of_sample(sample: Sample, ns: tuple[int, ...], r: int) -> dict[str, Array]:
    used = jnp.arange(len(sample.y))[None] < jnp.asarray(ns)[:, None]
    excess = partial(excess_risk_linear, c_star=sample.best, sigma=sample.covariance)

    def with_head(model: FactorModel, kept) -> Array:
        # features are linear in x: padding with zero rows leaves the head as it is
        head = erm_linear(model.features(sample.x) * kept[:, None], sample.y * kept)
        return excess(model.coefficients(head))

    def pretrained(s) -> Array:
        values, vectors = leading_eigenpairs(s, r)
        scale = jnp.sqrt(jnp.maximum(values - 1, 0)) * (jnp.arange(r) < sample.rank)
        model = FactorModel(vectors * scale[None])
        return jax.lax.map(lambda kept: with_head(model, kept), used)

    def from_labels(kept) -> tuple[Array, Array]:
        coefficients, errors = ridge_path(sample.x * kept[:, None], sample.y * kept, jnp.asarray(PENALTIES))
        return excess(coefficients[0]), excess(coefficients[jnp.argmin(errors)])

    least_squares, ridge = jax.lax.map(from_labels, used)
    return {
        "two-phase": jax.lax.map(pretrained, sample.moments),
        "true model": jax.lax.map(lambda kept: with_head(FactorModel(sample.loadings), kept), used),
        "least squares": least_squares,
        "ridge": ridge,
        "nothing learned": excess(jnp.zeros_like(sample.best)),
    }


def sweep(
    problems: Sequence[Callable[[np.random.Generator], Problem]],
    draw: np.random.Generator,
    *,
    ms: tuple[int, ...],
    ns: tuple[int, ...],
    draws: int,
    ranks: Sequence[int | None] | None = None,
) -> dict[str, Float[np.ndarray, "problems draws *sizes"]]:
    """Excess risks of every method, for several kinds of problems.

    Args:
        problems: each draws a problem; of any d and r.
        draw: for problems and data.
        ms, ns: sizes of the samples without and with labels.
        draws: of every kind.
        ranks: factors to fit for each kind; as many as there are by default.

    Returns:
        As `excess_risks`, with leading axes of problems and draws.
    """
    drawn = [[kind(draw) for _ in range(draws)] for kind in problems]
    d, r = (max(each[0].loadings.shape[axis] for each in drawn) for axis in (0, 1))
    ranks = [None] * len(drawn) if ranks is None else ranks
    r = max(r, *(rank or 0 for rank in ranks))
    with threadpool_limits(1):  # threads that wait for each other take longer than these small products do
        samples = [
            draw_sample(problem, ms, max(ns), draw, d=d, r=r, rank=rank)
            for each, rank in zip(drawn, ranks, strict=True)
            for problem in each
        ]
    with jax.enable_x64():
        found = excess_risks(Sample(*map(np.stack, zip(*samples, strict=True))), ns, r)
        return {name: np.asarray(risks).reshape(len(drawn), draws, *risks.shape[1:]) for name, risks in found.items()}
