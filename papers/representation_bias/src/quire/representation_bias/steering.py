"""Steering: how far a representation must be pushed along a feature's direction until the network's output for it flips."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Real

from quire.common.arrays import AnyArray
from quire.common.checks import at_least_float32, is_concrete


class Readout(NamedTuple):
    """A linear output `w . phi + b` of a feature with two classes, positive for class 1.

    Attributes:
        weights: w.
        bias: b.
    """

    weights: Real[AnyArray, " d"]
    bias: Real[AnyArray, ""] | float


def steering_direction(rep: Real[AnyArray, "n d"], feature: Real[AnyArray, " n"] | Bool[AnyArray, " n"]) -> Float[Array, " d"]:
    """`delta_f = mean(phi | f = 1) - mean(phi | f = 0)`.

    Args:
        rep: representations, one example a row.
        feature: 0 or 1.

    Raises:
        ValueError: if the lengths differ, or (of arrays that hold numbers) a label is neither 0 nor 1, or one of them is missing.

    >>> steering_direction(np.array([[0.0, 1.0], [2.0, 1.0]]), np.array([0, 1])).tolist()
    [2.0, 0.0]
    """
    if rep.ndim != 2 or feature.shape != rep.shape[:1]:
        raise ValueError(f"rep has shape {rep.shape} and feature {feature.shape}; they need [n, d] and [n]")
    if is_concrete(feature) and set(np.unique(np.asarray(feature))) != {0, 1}:
        raise ValueError(
            f"feature holds {sorted(set(np.asarray(feature).tolist()))[:5]}; it must hold both 0 and 1, nothing else"
        )
    return _direction(rep, feature)


@jax.jit
def _direction(rep, feature):
    (rep,) = at_least_float32(rep)
    ones = feature.astype(rep.dtype)
    shares = ones / jnp.maximum(ones.sum(), 1) - (1 - ones) / jnp.maximum((1 - ones).sum(), 1)
    return shares @ rep


def flip_scale(readout: Readout, rep: Real[AnyArray, "n d"], delta: Real[AnyArray, " d"]) -> Float[Array, " n"]:
    """The c of every example that takes the output to its line, `(phi + c delta) . w + b = 0`; a hair more flips it.

    Args:
        readout: of the feature.
        rep: representations.
        delta: direction of the push.

    Returns:
        Infinite, of arrays that are traced, where the push does not move the output.

    Raises:
        ValueError: if sizes differ, or (of arrays that hold numbers) the push does not move the output.

    >>> flip_scale(Readout(np.array([1.0, 0.0]), -1.0), np.array([[3.0, 7.0]]), np.array([2.0, 5.0])).tolist()
    [-1.0]
    """
    sizes = np.shape(readout.weights), rep.shape, delta.shape
    if rep.ndim != 2 or sizes[0] != rep.shape[1:] or sizes[2] != rep.shape[1:] or np.shape(readout.bias):
        raise ValueError(
            f"readout, rep, delta have shapes {sizes}, bias {np.shape(readout.bias)}; they need [d], [n, d], [d], []"
        )
    scale, slope = _flip_scale(readout, rep, delta)
    if is_concrete(slope) and not float(slope):
        raise ValueError("delta is orthogonal to the weights of the readout; no push along it flips the output")
    return scale


@jax.jit
def _flip_scale(readout, rep, delta):
    weights, bias, rep, delta = at_least_float32(readout.weights, readout.bias, rep, delta)
    slope = delta @ weights
    safe = jnp.where(slope == 0, 1, slope)
    return jnp.where(slope == 0, jnp.inf, -(rep @ weights + bias) / safe), slope


def flip_strength(readout: Readout, rep: Real[AnyArray, "n d"], delta: Real[AnyArray, " d"]) -> Float[Array, ""]:
    """Median length of the push that flips the output, `median |c| |delta|`.

    Args, Raises: as for `flip_scale`; without an example.
    """
    if not len(rep):
        raise ValueError("rep has no rows; a median needs at least one")
    scale = flip_scale(readout, rep, delta)
    return _median_length(scale, delta)


@jax.jit
def _median_length(scale, delta):
    return jnp.median(jnp.abs(scale)) * jnp.linalg.norm(at_least_float32(delta)[0])


def off_target_flips(
    target: Readout, other: Readout, rep: Real[AnyArray, "n d"], delta: Real[AnyArray, " d"]
) -> Float[Array, ""]:
    """Share of the examples whose other output has changed its sign where the target's flips.

    Args:
        target, other: readouts of two features.
        rep: representations.
        delta: direction of the push, that of the target's feature.

    Raises:
        ValueError: as `flip_strength`.
    """
    if not len(rep):
        raise ValueError("rep has no rows; a share needs at least one")
    scale = flip_scale(target, rep, delta)
    return _share_flipped(other, rep, delta, scale)


@jax.jit
def _share_flipped(other, rep, delta, scale):
    weights, bias, rep, delta = at_least_float32(other.weights, other.bias, rep, delta)
    before = rep @ weights + bias
    after = before + scale * (delta @ weights)
    return jnp.mean((before > 0) != (after > 0))
