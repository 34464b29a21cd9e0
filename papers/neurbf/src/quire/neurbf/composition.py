"""Multi-frequency radial bases: one response becomes many channels by sines of many frequencies. Section 3.3."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from quire.common.checks import check_at_least, check_positive

Frequencies = Float[Array, " f"] | Float[np.ndarray, " f"]
Mask = Bool[Array, " f"] | Bool[np.ndarray, " f"]
"""One number, and one choice, a channel."""


def log_frequencies(low: float, high: float, count: int) -> Float[np.ndarray, " count"]:
    """Frequencies in geometric progression, both ends included.

    Raises:
        ValueError: unless `0 < low <= high` and count is at least 1.

    >>> log_frequencies(0.125, 8.0, 3).tolist()
    [0.125, 1.0, 8.0]
    """
    check_positive("low", low)
    check_at_least("count", count)
    if not high >= low:
        raise ValueError(f"high is {high}; it must be at least low, {low}")
    return 2.0 ** np.linspace(np.log2(low), np.log2(high), count)


def normalise(phi: Float[Array, "*n k"]) -> Float[Array, "*n k"]:
    """`phi_i / (sum_j phi_j + 1e-8)`, the sum detached: derivatives treat it as a constant.

    >>> normalise(jnp.array([[1.0, 3.0], [0.0, 0.0]])).round(4).tolist()
    [[0.25, 0.75], [0.0, 0.0]]
    """
    return phi / (jax.lax.stop_gradient(phi.sum(-1, keepdims=True)) + 1e-8)


def multi_frequency(
    phi: Float[Array | np.ndarray, "*n k"], frequencies: Frequencies, sine: Mask | None = None
) -> Float[Array, "*n k f"]:
    """`sin(phi nu_c)` for every channel c; without phase, without parameters.

    Args:
        phi: responses.
        frequencies: nu, one a channel.
        sine: channels that take the sine; the others keep `phi` itself. All by default.

    >>> channels = multi_frequency(jnp.array([[0.5]]), jnp.array([1.0, 2.0]), jnp.array([True, False]))
    >>> [f"{value:.3f}" for value in channels.ravel()]
    ['0.479', '0.500']
    """
    last = (1,) * phi.ndim + (-1,)
    plain, frequencies = phi[..., None], jnp.asarray(frequencies, phi.dtype).reshape(last)
    waves = jnp.sin(plain * frequencies)
    return waves if sine is None else jnp.where(jnp.asarray(sine).reshape(last), waves, plain)


def rbf_features(
    weights: Float[Array, "kernels f"],
    index: Int[Array | np.ndarray, "n k"],
    phi: Float[Array | np.ndarray, "n k"],
    frequencies: Frequencies,
    sine: Mask | None = None,
) -> Float[Array, "n f"]:
    """`sum_i w_{i,c} sin(phi_i nu_c)` over the k bases that each point sees. (equation 5)

    Args:
        weights: of all kernels.
        index: kernels that a point sees; rows of `weights`.
        phi: their responses.
        frequencies, sine: as for `multi_frequency`.

    Raises:
        ValueError: if index and phi differ in shape, or weights and frequencies in channels.
    """
    if index.shape != phi.shape or weights.shape[-1] != len(frequencies):
        raise ValueError(
            f"index {index.shape} and phi {phi.shape} need one shape, weights {weights.shape} and frequencies "
            f"{frequencies.shape} as many channels"
        )
    return jnp.einsum("nkf,nkf->nf", weights[index], multi_frequency(phi, frequencies, sine))
