"""The parametrisation by the Lie algebra, which does not reach the whole group: what the paper replaces."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Real

from quire.common.checks import floating


def lie_log(a: Real[Array | np.ndarray, "*batch 2 2"]) -> Float[Array, "*batch 2 2"]:
    """The real logarithm of 2 x 2 matrices of positive determinant, NaN where there is none.

    With `A = m 1 + D`, `tr D = 0`, `D^2 = q 1`: where q < 0 the logarithm is a turn, where q >= 0 and m > 0 it is a stretch or
    a shear, and where q >= 0 and m < 0 the eigenvalues are negative and no real matrix has A as its exponential. (Multiples of
    -1 have one, and have one here.)

    Args:
        a: `[..., 2, 2]`.

    Raises:
        ValueError: if the matrices are not 2 x 2.

    >>> print(lie_log(jnp.array([[1.0, 2.0], [0.0, 1.0]]))[0], lie_log(jnp.diag(jnp.array([-2.0, -0.5])))[0])
    [0. 2.] [nan nan]
    """
    (a,) = floating(a)
    if a.ndim < 2 or a.shape[-2:] != (2, 2):
        raise ValueError(f"a has shape {a.shape}; it must be [..., 2, 2]")
    a = a.astype(jnp.promote_types(a.dtype, jnp.float32))
    mean = (a[..., 0, 0] + a[..., 1, 1]) / 2
    identity = jnp.broadcast_to(jnp.eye(2, dtype=a.dtype), a.shape)
    rest = a - mean[..., None, None] * identity
    square = rest[..., 0, 0] ** 2 + rest[..., 0, 1] * rest[..., 1, 0]
    determinant = mean**2 - square
    turns = square < 0
    root = jnp.sqrt(jnp.abs(jnp.where(square == 0, 1, square)))
    positive = jnp.where(mean > 0, mean, 1)
    stretch = jnp.where(square == 0, 1 / positive, jnp.arctanh(jnp.where(turns, 0, root) / jnp.maximum(positive, root)) / root)
    slope = jnp.where(turns, jnp.arctan2(root, mean) / root, stretch)
    log = jnp.log(jnp.where(determinant > 0, determinant, 1))[..., None, None] / 2 * identity + slope[..., None, None] * rest
    half_turn = jnp.array([[0.0, -jnp.pi], [jnp.pi, 0.0]], a.dtype)
    scalar = jnp.all(rest == 0, (-1, -2)) & (mean < 0)
    log = jnp.where(scalar[..., None, None], log + jnp.broadcast_to(half_turn, a.shape), log)
    exists = (determinant > 0) & (turns | (mean > 0) | scalar)
    return jnp.where(exists[..., None, None], log, jnp.nan)


def has_log(a: Real[Array | np.ndarray, "*batch 2 2"]) -> Array:
    """Whether a 2 x 2 matrix is the exponential of a real one.

    >>> has_log(jnp.stack([jnp.eye(2), -jnp.eye(2)])).tolist()  # a half turn
    [True, True]
    """
    return ~jnp.isnan(lie_log(a)).any((-1, -2))
