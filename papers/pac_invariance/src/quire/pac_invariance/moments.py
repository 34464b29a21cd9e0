"""What a linear predictor needs to know of an environment: second moments of covariates and target."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Real

from quire.common.arrays import AnyArray
from quire.common.checks import at_least_float32
from quire.common.random import generator


class Moments(NamedTuple):
    """Second moments, with any leading axes; usually one, of environments.

    Attributes:
        xx: `E x x^T`, `[*batch, d, d]`.
        xy: `E x y`, `[*batch, d]`.
        yy: `E y^2`, `[*batch]`.
    """

    xx: Float[Array, "*batch d d"]
    xy: Float[Array, "*batch d"]
    yy: Float[Array, "*batch"]


def split(cov: Real[AnyArray, "*batch p p"], target: int) -> Moments:
    """Second moments of all nodes, taken apart into covariates and target.

    Raises:
        ValueError: if they are not square, there is no covariate, or the target is not a node.

    >>> parts = split(np.array([[1.0, 2.0], [2.0, 5.0]]), 1)
    >>> parts.xx.tolist(), parts.xy.tolist(), parts.yy.tolist()
    ([[1.0]], [2.0], 5.0)
    """
    (cov,) = at_least_float32(cov)
    if cov.ndim < 2 or cov.shape[-1] != cov.shape[-2] or cov.shape[-1] < 2:
        raise ValueError(f"cov has shape {cov.shape}; it needs [..., p, p] with p at least 2")
    if not 0 <= target < cov.shape[-1]:
        raise ValueError(f"target is {target}; it must lie between 0 and {cov.shape[-1] - 1}")
    others = np.delete(np.arange(cov.shape[-1]), target)
    return Moments(cov[..., others[:, None], others], cov[..., others, target], cov[..., target, target])


def empirical(samples: Real[AnyArray, "*batch n p"], target: int) -> Moments:
    """Second moments of samples, not centred: in expectation those of their environments.

    Raises:
        ValueError: if there is no sample, or as for `split`.

    >>> empirical(np.array([[1.0, 2.0], [-1.0, 0.0]]), 1).xy.tolist()
    [1.0]
    """
    (samples,) = at_least_float32(samples)
    if samples.ndim < 2 or samples.shape[-2] < 1:
        raise ValueError(f"samples has shape {samples.shape}; it needs [..., n, p] with n at least 1")
    return split(jnp.swapaxes(samples, -1, -2) @ samples / samples.shape[-2], target)


def pooled(moments: Moments) -> Moments:
    """Their mean over the environments, the last of the leading axes: what one sees who does not tell environments apart.

    Raises:
        ValueError: without an environment.
    """
    check_environments(moments)
    return Moments(moments.xx.mean(-3), moments.xy.mean(-2), moments.yy.mean(-1))


def mix(moments: Moments, G: Real[AnyArray, "q d"]) -> Moments:
    """Moments of `x = G z`, of those of z: the latent nodes are seen through a linear map. Representations are mixed likewise.

    Args:
        moments: of z.
        G: the map, or a representation of it.

    Raises:
        ValueError: if the sizes do not fit.

    >>> latent = Moments(jnp.eye(2)[None], jnp.ones((1, 2)), jnp.ones(1))
    >>> mix(latent, np.array([[1.0, 1.0]])).xx.tolist()
    [[[2.0]]]
    """
    G, xx = at_least_float32(G, moments.xx)
    if G.ndim != 2 or G.shape[1] != xx.shape[-1]:
        raise ValueError(f"G has shape {G.shape}; it needs [q, {xx.shape[-1]}], a column for each covariate")
    return Moments(G @ xx @ G.T, jnp.einsum("qd,...d->...q", G, moments.xy), moments.yy)


def orthonormal_mixing(key: jax.Array, q: int, d: int) -> Float[np.ndarray, "q d"]:
    """A random map of d latent nodes to q observed numbers with orthonormal columns.

    Raises:
        ValueError: if q is below d: the map would lose something.

    >>> G = orthonormal_mixing(jax.random.key(0), 4, 2)
    >>> bool(np.allclose(G.T @ G, np.eye(2)))
    True
    """
    if q < d or d < 1:
        raise ValueError(f"q is {q} and d is {d}; q must be at least d, and d at least 1")
    return np.linalg.qr(generator(key).standard_normal((q, d)))[0]


def check_environments(moments: Moments) -> None:
    """There is an axis of environments, and it is not empty.

    Raises:
        ValueError: otherwise.
    """
    if moments.yy.ndim < 1 or moments.yy.shape[-1] < 1:
        raise ValueError(f"moments have leading axes {moments.yy.shape}; they need an axis of environments with at least one")
