"""Whether task vectors act each in its own place: how often a second one changes predictions where the first is at home."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from quire.atlas.composition import combine
from quire.atlas.config import Preset
from quire.atlas.library import family_of, library, linear_library, moved_logits
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
        raise ValueError(
            f"tvs holds {sorted(counts)} vectors and alphas has shape {alphas.shape}; it needs two, and pairs [n, 2]"
        )

    def error(pair):
        both = combine(tvs, pair)
        alone = [combine(tvs, pair * jnp.eye(2, dtype=pair.dtype)[task]) for task in range(2)]
        return sum(jnp.mean(predict(one, x) != predict(both, x)) for one, x in zip(alone, data, strict=True))

    return jax.lax.map(error, jnp.asarray(alphas))


GRID = np.linspace(-1, 2, 10, dtype=np.float32)
"""Coefficients of each of two vectors."""


def disentanglement_maps(preset: Preset, key: jax.Array, names: tuple[str, str], images: int = 100) -> dict[str, np.ndarray]:
    """Errors over `GRID x GRID` of two tasks of addition, for the network and for its linearisation.

    Args:
        preset: sizes.
        key: of a seed of the library.
        names: domains.
        images: test images of each.
    """
    found, family = library(preset, key), family_of(preset)
    tasks, inputs = np.array([preset.domains.index(name) for name in names]), family.test.images[family.places(*names), :images]
    alphas = np.stack(np.meshgrid(GRID, GRID, indexing="ij"), -1).reshape(-1, 2)
    maps = {}
    for name, tvs in (("network", found["tvs"]), ("linearised", linear_library(preset, key)["tvs"])):
        logits = moved_logits(found["network"], linear=name == "linearised")

        def errors(tvs, inputs, base, head, logits=logits):
            predict = lambda deltas, x: logits(base, head, deltas, x).argmax(1)  # noqa: E731
            return disentanglement_error(predict, tvs, (inputs[0], inputs[1]), alphas)

        two = jax.tree.map(lambda x: x[tasks], tvs)
        maps[name] = np.asarray(jax.jit(errors)(two, inputs, found["base"], found["head"])).reshape(len(GRID), -1)
    return maps
