"""Initial weights: all of them out of two draws, since every shape that JAX draws is a program to compile."""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from quire.common.random import draw_together
from quire.pldr_llm.config import PLDRConfig

Path = tuple[Any, ...]
Sizes = tuple[tuple[tuple[int, ...], float], ...]
"""Shapes, and a factor for each."""


def initial_weights(shapes: nnx.State, cfg: PLDRConfig, key: jax.Array) -> nnx.State:
    """Weights as the authors' code begins with them.

    Linear maps are Xavier-uniform, their biases zero; `W`, `a` and `pw` are Xavier-normal over `[heads, d, d]` taken as one
    tensor, of variance `2 / (d d + heads d)`; `b` and `ba` are zero, embeddings `N(0, 1)`, norms the identity.

    Args:
        shapes: the variables of a decoder, abstract.
        cfg: its sizes.
        key: for the draws.
    """
    flat = dict(nnx.to_flat_state(shapes))
    bounds = {path: b for path, x in flat.items() if (b := _bound(path, x.shape, cfg)) is not None}
    stds = {path: s for path, x in flat.items() if (s := _std(path, cfg)) is not None}
    sizes = (tuple((flat[path].shape, factor) for path, factor in factors.items()) for factors in (bounds, stds))
    drawn = dict(zip((*bounds, *stds), _draws(key, *sizes), strict=True))
    rest = {path: jnp.asarray((np.ones if path[-1] == "scale" else np.zeros)(x.shape, x.dtype)) for path, x in flat.items()}
    return nnx.from_flat_state({path: x.replace((rest | drawn)[path]) for path, x in flat.items()})


@partial(jax.jit, static_argnames=("uniform", "normal"))
def _draws(key: jax.Array, uniform: Sizes, normal: Sizes) -> list[jax.Array]:
    """Uniform arrays within `± factor`, then normal ones of standard deviation `factor`."""
    uniform_key, normal_key = jax.random.split(key)
    parts = draw_together(lambda shape: jax.random.uniform(uniform_key, shape, jnp.float32, -1), [shape for shape, _ in uniform])
    parts += draw_together(lambda shape: jax.random.normal(normal_key, shape, jnp.float32), [shape for shape, _ in normal])
    return [factor * part for part, (_, factor) in zip(parts, uniform + normal, strict=True)]


def _bound(path: Path, shape: tuple[int, ...], cfg: PLDRConfig) -> float | None:
    """Half the width of a uniform distribution."""
    if "value" in path and cfg.value_init == "torch":
        return cfg.dim**-0.5
    return math.sqrt(6 / sum(shape[-2:])) if path[-1] == "kernel" else None


def _std(path: Path, cfg: PLDRConfig) -> float | None:
    if path[-1] in ("W", "a", "pw"):
        return math.sqrt(2 / (cfg.head_dim**2 + cfg.num_heads * cfg.head_dim))
    return 1.0 if path[-1] == "embedding" else None
