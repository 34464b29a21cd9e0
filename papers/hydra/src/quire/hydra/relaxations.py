"""From logits to gates in `[0, 1]`: the sigmoid, and two that draw noise so that gates end near 0 or 1."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from quire.common.checks import check_positive

SIGMA = 0.5
"""Standard deviation of the noise of a stochastic gate."""


def gumbel_gate(
    logits: Float[Array, "*shape"], key: jax.Array | None, *, tau: float = 1.0, hard: bool = False
) -> Float[Array, "*shape"]:
    """`sigmoid((logits + Gumbel noise) / tau)`.

    Args:
        logits: of the gates.
        key: of the noise; None for none, as in evaluation.
        tau: temperature.
        hard: round to 0 or 1, with the derivative of the soft gate.

    Raises:
        ValueError: for a temperature that is not positive.

    >>> print(gumbel_gate(jnp.array([-2.0, 0.5]), None, hard=True))
    [0. 1.]
    """
    check_positive("tau", tau)
    noise = 0.0 if key is None else jax.random.gumbel(key, logits.shape, logits.dtype)
    soft = jax.nn.sigmoid((logits + noise) / tau)
    return soft + jax.lax.stop_gradient(jnp.round(soft) - soft) if hard else soft


def stochastic_gate(mean: Float[Array, "*shape"], key: jax.Array | None, *, sigma: float = SIGMA) -> Float[Array, "*shape"]:
    """`clip(mean + sigma N(0, 1) + 1/2, 0, 1)`: gates that are exactly closed or open with positive probability.

    Args:
        mean: what a network predicts.
        key: of the noise; None for none, as in evaluation.
        sigma: standard deviation of the noise.

    Raises:
        ValueError: for a sigma that is not positive.

    >>> print(stochastic_gate(jnp.array([-1.0, 0.25, 3.0]), None))
    [0.   0.75 1.  ]
    """
    check_positive("sigma", sigma)
    noise = 0.0 if key is None else sigma * jax.random.normal(key, mean.shape, mean.dtype)
    return jnp.clip(mean + noise + 0.5, 0, 1)


def open_probability(mean: Float[Array, "*shape"], *, sigma: float = SIGMA) -> Float[Array, "*shape"]:
    """`Phi((mean + 1/2) / sigma)`: how likely a stochastic gate is not closed. Its sum is a smooth count of open gates.

    >>> print(open_probability(jnp.array([-0.5])))
    [0.5]
    """
    check_positive("sigma", sigma)
    return jax.scipy.stats.norm.cdf((mean + 0.5) / sigma)
