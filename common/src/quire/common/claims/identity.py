"""Identities: claims that hold up to rounding, measured in float64 and, beside it, in float32."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from quire.common.claims.measurement import Measurement

Errors = float | Sequence[float] | Mapping[str, float]
"""One error, several, or several by name."""


def identity(error: Callable[[Any], Errors], data: str, *, single: bool = True, **fields: Any) -> Measurement:
    """Measure how far an identity is from holding: the largest error in float64 is the value, that in float32 an extra.

    The precision of JAX is set around each call: 64-bit numbers on or off, and matrix products in full precision, which
    accelerators do not take by themselves. An error that is not a number stays the largest, and the claim fails.

    Args:
        error: `error(dtype)`, relative errors of the operation computed in `jnp.float64` or `jnp.float32`.
        data: what it was measured on.
        single: whether float32 is measured too, as the extra `float32`.
        fields: further fields of `Measurement`. Errors with names become extras, those of float64.

    Returns:
        The measurement, for a claim with `exact=True` and `holds=all_of(below(1e-9), below(1e-5, of="float32"))`.

    Raises:
        ValueError: if there is no error.

    >>> third = lambda dtype: abs(float(jnp.asarray(1, dtype) / 3) - 1 / 3)
    >>> measured = identity(third, "one third")
    >>> measured.value < 1e-15, 1e-9 < measured.extras["float32"] < 1e-7
    (True, True)
    """
    double = _in_precision(error, jnp.float64)
    extras = {name: float(value) for name, value in double.items()} if isinstance(double, Mapping) else {}
    if single:
        extras["float32"] = _largest(_in_precision(error, jnp.float32))
    return Measurement(_largest(double), data, extras=extras | fields.pop("extras", {}), **fields)


def _in_precision(error: Callable[[Any], Errors], dtype: Any) -> Errors:
    with jax.enable_x64(dtype == jnp.float64), jax.default_matmul_precision("highest"):
        return error(dtype)


def _largest(errors: Errors) -> float:
    numbers = np.asarray(list(errors.values()) if isinstance(errors, Mapping) else errors, float)
    if numbers.size == 0:
        raise ValueError("error(dtype) gave no error; an identity needs at least one")
    return float(numbers.max())  # NaN if any is, unlike Python's max
