"""Whether task vectors act each in its own place: how often a second one changes what the model says where the first is at home."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from quire.atlas.composition import combine
from quire.common.arrays import AnyArray


def disentanglement_error(
    predict: Callable[[Mapping[str, Any], Any], Array],
    tvs: Mapping[str, Any],
    data: tuple[Any, Any],
    alphas: Float[AnyArray, "n 2"],
) -> Float[Array, " n"]:
    """`xi(a1, a2) = sum_t E_{x in D_t} [f(x; a_t tau_t) != f(x; a1 tau1 + a2 tau2)]` (Ortiz-Jimenez et al. 2023, eq. 5).

    Args:
        predict: classes `[m]` of inputs, for parameters moved by `deltas`, by block; the linearised model fits as well.
        tvs: two task vectors, `[2, ...]` by block.
        data: inputs of the two tasks.
        alphas: pairs of coefficients.

    Returns:
        Errors between 0 and 2.

    Raises:
        ValueError: if there are not two task vectors, or alphas are no pairs.
    """
    counts = {x.shape[0] for x in tvs.values()}
    if counts != {2} or alphas.ndim != 2 or alphas.shape[1] != 2:
        raise ValueError(f"tvs holds {sorted(counts)} vectors and alphas has shape {alphas.shape}; it needs two, and pairs [n, 2]")

    def error(pair):
        both = combine(tvs, pair)
        alone = [combine(tvs, pair * jnp.eye(2, dtype=pair.dtype)[task]) for task in range(2)]
        return sum(jnp.mean(predict(one, x) != predict(both, x)) for one, x in zip(alone, data, strict=True))

    return jax.lax.map(error, jnp.asarray(alphas))
