"""Mixtures of Gaussians with unit covariance: z is one of k components, `x | z ~ N(u_z, I_d)`; downstream a table of k entries.

Maximum likelihood by expectation-maximisation (Dempster, Laird and Rubin 1977) from several starts, since it has local optima.
Permutations of the components are left open; the table absorbs them.
"""

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Real

from quire.common.arrays import AnyArray
from quire.common.checks import at_least_float32, check_at_least, check_finite
from quire.common.quant.codebooks import kmeans_start


class GaussianMixture(NamedTuple):
    """Means `[k, d]` of the components, and the logits `[k]` of their weights: all free numbers, which gradients may move."""

    means: AnyArray
    logits: AnyArray

    @classmethod
    def fit(
        cls,
        x: Real[AnyArray, "m d"],
        k: int,
        key: jax.Array,
        *,
        restarts: int = 8,
        steps: int = 100,
        learn_weights: bool = False,
    ) -> "GaussianMixture":
        """The most likely of several runs of EM, each started by k-means++.

        Args:
            x: inputs, one a row.
            k: components, 1 to m.
            key: for the starts.
            restarts: runs.
            steps: of each run.
            learn_weights: fit the weights too; they are equal otherwise.

        Raises:
            ValueError: for k outside 1..m, no run, negative steps, or numbers that are not finite.

        >>> x = jnp.array([[0.0], [0.2], [9.0], [9.2]])
        >>> print(jnp.sort(GaussianMixture.fit(x, 2, jax.random.key(0)).means.ravel()).round(3))
        [0.1 9.1]
        """
        (x,) = at_least_float32(x)
        check_at_least("restarts", restarts)
        check_at_least("steps", steps, 0)
        if x.ndim != 2 or not 1 <= k <= len(x):
            raise ValueError(f"k is {k} for x of shape {x.shape}; it needs [m, d] and 1 <= k <= m")
        check_finite("x", x)
        starts = jnp.asarray(em_starts(np.asarray(x), k, key, restarts), x.dtype)
        found, _ = em_restarts(x, starts, steps, learn_weights)
        return found

    @property
    def weights(self) -> Float[Array, " k"]:
        """Probabilities of the components."""
        return jax.nn.softmax(jnp.asarray(self.logits))

    def features(self, x: Real[AnyArray, "n d"]) -> Float[Array, "n k"]:
        """Responsibilities `P(z = k | x)`, in proportion to `pi_k exp(-|x - u_k|^2 / 2)`.

        Raises:
            ValueError: if x has another dimension.
        """
        return jax.nn.softmax(self._log_joint(x)[0], axis=1)

    def logpdf(self, x: Real[AnyArray, "n d"]) -> Float[Array, " n"]:
        """Log density of the mixture."""
        joint, offset = self._log_joint(x)
        return jax.scipy.special.logsumexp(joint, axis=1) + offset

    def _log_joint(self, x) -> tuple[Float[Array, "n k"], Float[Array, " n"]]:
        """`log pi_k p(x | k)` up to the second output, which is the same for all components.

        Squares are taken about the middle of the means, so that those of large offsets do not drown the differences.
        """
        x, means, logits = at_least_float32(x, self.means, self.logits)
        if x.ndim != 2 or x.shape[1] != means.shape[1]:
            raise ValueError(f"x has shape {x.shape}; the mixture needs [n, {means.shape[1]}]")
        origin = means.mean(0, keepdims=True)
        x, means = x - origin, means - origin
        joint = x @ means.T + (jax.nn.log_softmax(logits) - 0.5 * jnp.sum(means**2, axis=1))[None]
        return joint, -0.5 * (jnp.sum(x**2, axis=1) + x.shape[1] * math.log(2 * math.pi))


class Step(NamedTuple):
    """A step of EM: the new mixture, the mean log likelihood before it, and the responsibilities `[n, k]` that it used."""

    mixture: GaussianMixture
    log_likelihood: Array
    responsibilities: Array


def uniform_mixture(means: Real[AnyArray, "k d"]) -> GaussianMixture:
    """Components of equal weight.

    Raises:
        ValueError: without a component.
    """
    (means,) = at_least_float32(means)
    if means.ndim != 2 or not len(means):
        raise ValueError(f"means has shape {means.shape}; a mixture needs [k, d] with at least one component")
    return GaussianMixture(means, jnp.zeros(len(means), means.dtype))


def em_step(mixture: GaussianMixture, x: Real[AnyArray, "n d"], *, learn_weights: bool = False) -> Step:
    """Responsibilities, then means that they weigh.

    A component that no input belongs to takes over one of the inputs that the mixture explains worst.

    Raises:
        ValueError: without an input, or if x has another dimension.
    """
    joint, offset = mixture._log_joint(x)
    (x,) = at_least_float32(x)
    check_at_least("number of rows of x", len(x))
    normaliser = jax.scipy.special.logsumexp(joint, axis=1)
    responsibilities = jnp.exp(joint - normaliser[:, None])
    log_likelihoods = normaliser + offset
    mass = responsibilities.sum(0)
    alive = mass > len(x) * jnp.finfo(mass.dtype).tiny
    worst = jnp.argsort(log_likelihoods)[jnp.minimum(jnp.cumsum(~alive) - 1, len(x) - 1)]
    means = (responsibilities.T @ x) / jnp.where(alive, mass, 1)[:, None]
    means = jnp.where(alive[:, None], means, x[worst])
    # a component counts for one input at least, so that one that was lost can come back
    logits = jnp.log(jnp.maximum(mass, 1)) if learn_weights else mixture.logits
    return Step(GaussianMixture(means, logits), log_likelihoods.mean(), responsibilities)


@partial(jax.jit, static_argnames=("steps", "learn_weights"))
def em(mixture: GaussianMixture, x: Real[AnyArray, "n d"], steps: int, learn_weights: bool = False):
    """Several steps.

    Returns:
        The mixture, and the mean log likelihoods `[steps]` before each step, which never fall with equal weights.
    """

    def step(mixture, _):
        found = em_step(mixture, x, learn_weights=learn_weights)
        return found.mixture, found.log_likelihood

    return jax.lax.scan(step, mixture, None, length=steps)


@partial(jax.jit, static_argnames=("steps", "learn_weights"))
def em_restarts(
    x: Float[Array, "n d"], starts: Float[Array, "restarts k d"], steps: int, learn_weights: bool = False
) -> tuple[GaussianMixture, Float[Array, " restarts"]]:
    """Runs from several starts, side by side: the most likely mixture, and the mean log likelihood of every one."""
    runs = jax.vmap(lambda start: em(uniform_mixture(start), x, steps, learn_weights)[0])(starts)
    likelihoods = jax.vmap(lambda run: run.logpdf(x).mean())(runs)
    best = jnp.argmax(likelihoods)
    return jax.tree.map(lambda leaf: leaf[best], runs), likelihoods


def em_starts(x: Real[np.ndarray, "n d"], k: int, key: jax.Array, restarts: int) -> Real[np.ndarray, "restarts k d"]:
    """Inputs by k-means++, drawn on the host, for every run."""
    return np.stack([kmeans_start(x, k, jax.random.fold_in(key, run)) for run in range(restarts)])
