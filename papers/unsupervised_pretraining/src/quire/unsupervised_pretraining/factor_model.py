"""The factor model `x = B z + mu` with `z ~ N(0, I_r)` and `mu ~ N(0, I_d)`; downstream `y = beta^T z + nu`.

The noise is known to have unit variance, so the maximum likelihood is in closed form, and what the features are is settled: the
posterior mean, which shrinks each factor by its own signal-to-noise ratio. Rotations of z stay open; a linear head absorbs them.
"""

import math
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Real

from quire.common.arrays import AnyArray
from quire.common.checks import at_least_float32, check_finite


class FactorModel(NamedTuple):
    """Loadings B `[d, r]`."""

    loadings: AnyArray

    @classmethod
    def fit(cls, x: Real[AnyArray, "m d"], r: int) -> "FactorModel":
        """Maximum likelihood: with eigenpairs `(l_i, u_i)` of `S = X^T X / m`, the columns `sqrt(max(l_i - 1, 0)) u_i`.

        The mean is known to be zero: centre x if it is not.

        Args:
            x: inputs, one a row.
            r: number of factors, 1 to d.

        Raises:
            ValueError: without an input, for r outside 1..d, or numbers that are not finite.

        >>> found = FactorModel.fit(jnp.array([[2.0, 0.0], [-2.0, 0.0]]), 1)
        >>> [f"{abs(value):.3f}" for value in found.loadings.ravel().tolist()]
        ['1.732', '0.000']
        """
        (x,) = at_least_float32(x)
        if x.ndim != 2 or not len(x):
            raise ValueError(f"x has shape {x.shape}; it needs [m, d] with at least one row")
        return cls.from_second_moments(x.T @ x / len(x), r)

    @classmethod
    def from_second_moments(cls, s: Real[AnyArray, "d d"], r: int) -> "FactorModel":
        """As `fit`, from `S = X^T X / m`, which is all that the likelihood depends on."""
        values, vectors = leading_eigenpairs(s, r)
        # the unit noise is part of every eigenvalue; below 1 there is no evidence of a factor
        return cls(vectors * jnp.sqrt(jnp.maximum(values - 1, 0))[None])

    @property
    def covariance(self) -> Float[Array, "d d"]:
        """`B B^T + I`, of x."""
        b = jnp.asarray(self.loadings)
        return b @ b.T + jnp.eye(len(b), dtype=b.dtype)

    def features(self, x: Real[AnyArray, "n d"]) -> Float[Array, "n r"]:
        """Posterior means `E[z | x] = (I + B^T B)^-1 B^T x`.

        Raises:
            ValueError: if x has another dimension.
        """
        x, _ = self._matching(x)
        return x @ self.coefficients(jnp.eye(self.loadings.shape[1], dtype=x.dtype))

    def coefficients(self, head: Real[AnyArray, "r *outputs"]) -> Float[Array, "d *outputs"]:
        """The linear predictor in x-space that a head on the features amounts to: `c = B (I + B^T B)^-1 beta`.

        With the true B and beta it is the best predictor, and `beta^T (I + B^T B)^-1 beta` the risk that it has without nu.
        """
        head, b = at_least_float32(head, self.loadings)
        return b @ jnp.linalg.solve(_precision(b), head)

    def logpdf(self, x: Real[AnyArray, "n d"]) -> Float[Array, " n"]:
        """Log density of N(0, B B^T + I), by `x^T (B B^T + I)^-1 x = |x - B z|^2 + |z|^2` at the posterior mean z."""
        x, b = self._matching(x)
        z = self.features(x)
        squares = jnp.sum((x - z @ b.T) ** 2, axis=1) + jnp.sum(z**2, axis=1)
        return -0.5 * (squares + _log_det(b) + b.shape[0] * math.log(2 * math.pi))

    def nll(self, s: Real[AnyArray, "d d"]) -> Float[Array, ""]:
        """Mean negative log likelihood of inputs whose second moments are S: `(log det C + tr C^-1 S + d log 2 pi) / 2`."""
        s, b = at_least_float32(s, self.loadings)
        explained = jnp.trace(jnp.linalg.solve(_precision(b), b.T @ s @ b))
        return 0.5 * (_log_det(b) + jnp.trace(s) - explained + b.shape[0] * math.log(2 * math.pi))

    def _matching(self, x) -> tuple[Array, Array]:
        x, b = at_least_float32(x, self.loadings)
        if x.ndim != 2 or x.shape[1] != b.shape[0]:
            raise ValueError(f"x has shape {x.shape}; the model needs [n, {b.shape[0]}]")
        return x, b


def leading_eigenpairs(s: Real[AnyArray, "d d"], r: int) -> tuple[Float[Array, " r"], Float[Array, "d r"]]:
    """The r largest eigenvalues of a symmetric matrix, falling, and their eigenvectors as columns.

    Raises:
        ValueError: unless s is square, finite, and r lies in 1..d.
    """
    (s,) = at_least_float32(s)
    if s.ndim != 2 or s.shape[0] != s.shape[1] or not 1 <= r <= len(s):
        raise ValueError(f"r is {r} for second moments of shape {s.shape}; they must be square, and r between 1 and d")
    check_finite("the second moments of x", s)
    values, vectors = jnp.linalg.eigh(s)
    return values[::-1][:r], vectors[:, ::-1][:, :r]


def _precision(b: Float[Array, "d r"]) -> Float[Array, "r r"]:
    """`I + B^T B`, of z given x."""
    return jnp.eye(b.shape[1], dtype=b.dtype) + b.T @ b


def _log_det(b: Float[Array, "d r"]) -> Float[Array, ""]:
    return jnp.linalg.slogdet(_precision(b))[1]
