"""The conditional log-likelihood of images, estimated from draws: by the prior, or by importance sampling."""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Real

from quire.attribute_cvae.cvae import CVAE
from quire.attribute_cvae.gaussians import at_noise, log_density
from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least

Method = Literal["importance", "prior"]


def log_weights(
    model: CVAE,
    y: Real[AnyArray, "n *shape"],
    x: Real[AnyArray, "n a"],
    eps: Real[AnyArray, "draws n d"],
    method: Method = "importance",
) -> Float[Array, "draws n"]:
    """Logarithms of what the estimate of `p(y | x)` averages (Sohn et al. 2015, section on the evaluation).

    By the prior `p(y | x, z)` for z of `p(z | x)`; by importance sampling `p(y | x, z) p(z | x) / q(z | x, y)` for z of q.

    Args:
        model, y, x: images and attributes.
        eps: standard normal numbers of every draw; one draw is decoded after the other.
        method: which.

    Raises:
        ValueError: for another method, and for arrays that do not fit the model or each other.
    """
    if method not in ("importance", "prior"):
        raise ValueError(f"method is {method!r}; it must be importance or prior")
    if np.ndim(eps) != 3 or np.shape(eps)[1:] != (len(x), model.z_dim):
        raise ValueError(f"eps has shape {np.shape(eps)}; it needs draws of {(len(x), model.z_dim)}")
    p = model.prior(x)
    q = model.recognise(y, x) if method == "importance" else p

    def weight(eps):
        z = at_noise(q, eps)
        ratio = log_density(z, p) - log_density(z, q) if method == "importance" else 0.0
        return model.likelihood.log_prob(y, model.decode(z, x)) + ratio

    return jax.lax.map(weight, jnp.asarray(eps))


def log_mean(weights: Float[AnyArray, "draws n"]) -> Float[Array, " n"]:
    """Logarithm of the mean over draws of what these are the logarithms of.

    Raises:
        ValueError: without a draw.

    >>> print(log_mean(np.log([[1.0], [3.0]]))[0].round(4) == np.log(2).round(4))
    True
    """
    check_at_least("number of draws", len(weights))
    return jax.nn.logsumexp(jnp.asarray(weights), axis=0) - jnp.log(len(weights))


def conditional_log_likelihood(
    model: CVAE,
    y: Real[AnyArray, "n *shape"],
    x: Real[AnyArray, "n a"],
    key: jax.Array,
    n: int,
    method: Method = "importance",
) -> Float[Array, " n_images"]:
    """`log p(y | x)` of every image in nats, from n draws; on average a lower bound, and tighter the more draws.

    Args:
        model, y, x, method: as for `log_weights`.
        key: of the draws.
        n: how many.

    Raises:
        ValueError: without a draw, and as `log_weights`.
    """
    check_at_least("n", n)
    return log_mean(log_weights(model, y, x, jax.random.normal(key, (n, len(x), model.z_dim)), method))
