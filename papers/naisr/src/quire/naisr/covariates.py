"""Covariates by name: checked, and in the order of a model."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from quire.common.checks import floating, is_concrete

FARTHEST = 1.5
"""Covariates are scaled to about -1..1; what lies farther out than this is extrapolated, with a warning."""


def covariate_array(c: Mapping[str, Any] | Array | np.ndarray, names: Sequence[str]) -> Float[Array, "*batch n"]:
    """Covariates in the order of `names` along the last axis.

    Args:
        c: numbers or arrays of one shape by name, or an array `[..., n]` that is in order already.
        names: of the model's covariates.

    Raises:
        ValueError: naming the covariate that is missing, unknown, of another shape than the first, or not finite.

    >>> covariate_array({"weight": 0.5, "age": -1.0}, ("age", "weight")).tolist()
    [-1.0, 0.5]
    """
    if isinstance(c, Mapping):
        if missing := [name for name in names if name not in c]:
            raise ValueError(f"c has no covariate {missing[0]!r}; it needs {', '.join(names)}")
        if unknown := [name for name in c if name not in names]:
            raise ValueError(f"c has an unknown covariate {unknown[0]!r}; the model has {', '.join(names)}")
        values = floating(*(c[name] for name in names))
        for name, value in zip(names, values, strict=True):
            if value.shape != values[0].shape:
                raise ValueError(f"covariate {name!r} has shape {value.shape} and {names[0]!r} {values[0].shape}; all need one")
        c = jnp.stack(values, axis=-1)
    (c,) = floating(c)
    if c.ndim < 1 or c.shape[-1] != len(names):
        raise ValueError(f"c has shape {c.shape}; it needs one number for each of {', '.join(names)} along its last axis")
    if is_concrete(c):
        _check_range(np.asarray(c, float).reshape(-1, len(names)), names)
    return c


def _check_range(c: np.ndarray, names: Sequence[str]) -> None:
    for name, values in zip(names, c.T, strict=True):
        if not np.isfinite(values).all():
            raise ValueError(f"covariate {name!r} has numbers that are not finite")
        if np.abs(values).max(initial=0) > FARTHEST:
            warnings.warn(f"covariate {name!r} reaches {np.abs(values).max():g}; covariates are scaled to -1..1", stacklevel=4)
