"""The informative condition: does matching what is observed force a matching representation, up to what the head can absorb?

`min_T TV(p_(T phi)(x, z), p_(phi*)(x, z)) <= kappa TV(p_phi(x, s), p_(phi*)(x, s))`

For given phi both sides are computed here: T in closed form for each model, the distances from samples of the truth. The largest
quotient over candidates is a lower bound of kappa.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.optimize import linear_sum_assignment

from quire.common.checks import check_at_least
from quire.common.manifolds.orthogonal import procrustes
from quire.unsupervised_pretraining.contrastive import Encoder, Pairs, pair_logits
from quire.unsupervised_pretraining.distances import total_variation
from quire.unsupervised_pretraining.factor_model import FactorModel
from quire.unsupervised_pretraining.gaussian_mixture import GaussianMixture


class Gap(NamedTuple):
    """Total variation of (x, z) after the best T, and that of what is observed."""

    latent: Array
    observed: Array

    @property
    def ratio(self) -> Float[Array, ""]:
        """How much kappa must be at least, for this candidate; 0 where both distances are zero."""
        return jnp.where(self.latent == 0, 0, self.latent / self.observed)


def kappa_hat(gaps: Sequence[Gap]) -> float:
    """The largest quotient.

    Raises:
        ValueError: without a gap.

    >>> kappa_hat([Gap(jnp.asarray(0.5), jnp.asarray(0.25)), Gap(jnp.asarray(0.1), jnp.asarray(0.1))])
    2.0
    """
    check_at_least("number of gaps", len(gaps))
    return float(np.max([np.asarray(gap.ratio) for gap in gaps]))  # NaN stays the largest


def factor_gap(candidate: FactorModel, truth: FactorModel, draw: np.random.Generator, samples: int = 20_000) -> Gap:
    """Factor models; T is the rotation that brings the loadings nearest, hence `E |B z - B* z|^2`, which decides the distance.

    Raises:
        ValueError: if the models have not the same shape.
    """
    _check_shapes(candidate.loadings, truth.loadings)
    b_star = jnp.asarray(truth.loadings)
    b = jnp.asarray(candidate.loadings)
    b = b @ procrustes(b, b_star)
    z = jnp.asarray(draw.standard_normal((samples, b.shape[1])), b.dtype)
    noise = jnp.asarray(draw.standard_normal((samples, b.shape[0])), b.dtype)
    off = z @ (b_star - b).T
    # log p(x | z) of candidate minus truth, where x - B* z is the noise
    shift = -jnp.sum(off * noise, axis=1) - 0.5 * jnp.sum(off**2, axis=1)
    x = z @ b_star.T + noise
    return Gap(total_variation(jnp.zeros_like(shift), shift), total_variation(truth.logpdf(x), candidate.logpdf(x)))


def mixture_gap(candidate: GaussianMixture, truth: GaussianMixture, draw: np.random.Generator, samples: int = 20_000) -> Gap:
    """Mixtures; T is the permutation that brings the means nearest in sum of squares.

    Raises:
        ValueError: if the models have not the same shape.
    """
    _check_shapes(candidate.means, truth.means)
    means, other = np.asarray(truth.means), np.asarray(candidate.means)
    _, order = linear_sum_assignment(((means[:, None] - other[None]) ** 2).sum(-1))
    weights = [np.asarray(mixture.weights, float) for mixture in (truth, candidate)]
    labels = draw.choice(len(means), samples, p=weights[0] / weights[0].sum())
    noise = draw.standard_normal((samples, means.shape[1]))
    off = (means - other[order])[labels]
    shift = -np.sum(off * noise, axis=1) - 0.5 * np.sum(off**2, axis=1)
    shift += np.log(weights[1][order] / weights[0])[labels]
    x = jnp.asarray(means[labels] + noise, means.dtype)
    return Gap(total_variation(jnp.zeros(samples), jnp.asarray(shift)), total_variation(truth.logpdf(x), candidate.logpdf(x)))


def contrastive_gap(candidate: Encoder, truth: Encoder, draw: np.random.Generator, samples: int = 20_000) -> Gap:
    """Encoders; T is orthogonal, and the latent is `z ~ N(f(x), I)`: a z that x determined would have distance 0 or 1.

    Raises:
        ValueError: if the encoders take or give another number of features.
    """
    x, partner = draw.standard_normal((2, samples, truth.weights[0].shape[1]))
    f, f_star = candidate(x), truth(x)
    _check_shapes(f, f_star)
    off = f @ procrustes(f, f_star) - f_star
    noise = jnp.asarray(draw.standard_normal(off.shape), off.dtype)
    shift = jnp.sum(off * noise, axis=1) - 0.5 * jnp.sum(off**2, axis=1)
    pairs = Pairs(x, partner, np.zeros(samples))
    p, p_star = (1 / (1 + jnp.exp(-pair_logits(encoder, pairs))) for encoder in (candidate, truth))
    return Gap(total_variation(jnp.zeros_like(shift), shift), jnp.mean(jnp.abs(p - p_star)))


def _check_shapes(one, other) -> None:
    if jnp.shape(one) != jnp.shape(other):
        raise ValueError(f"candidate and truth have shapes {jnp.shape(one)} and {jnp.shape(other)}; they need the same")
