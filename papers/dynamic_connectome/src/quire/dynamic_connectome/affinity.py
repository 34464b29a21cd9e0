"""Differential affinity: when do two neurons rise together, or fall together?

The rate of change of neuron i is `g_i = df_i/dt`. Where `g_i` and `g_j` have one sign, their affinity is a mean of `|g_i|` and
`|g_j|`; elsewhere it is 0. So it is instantaneous, symmetric and not negative, and blind to levels. That much is the paper's;
which mean is this package's choice: the geometric one, or the smaller of the two.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Real, ScalarLike

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, check_positive, floating

Kind = Literal["geomean", "min"]
LEAST_FRAMES = 3
"""Central differences need a neighbour on both sides."""


def rates(traces: Real[AnyArray, "*neurons frames"], dt: ScalarLike = 1.0) -> Float[Array, "*neurons frames"]:
    """Rates of change by central differences, one-sided at both ends.

    Args:
        traces: activity.
        dt: seconds from frame to frame.

    Raises:
        ValueError: for fewer than 3 frames, or a `dt` that is not positive.

    >>> rates(jnp.array([0.0, 1.0, 4.0, 9.0]), 0.5).tolist()
    [2.0, 4.0, 8.0, 10.0]
    """
    check_positive("dt", dt)
    (traces,) = floating(traces)
    if not traces.ndim or traces.shape[-1] < LEAST_FRAMES:
        raise ValueError(f"traces has shape {traces.shape}; it needs at least {LEAST_FRAMES} frames")
    return jnp.asarray(jnp.gradient(traces, axis=-1)) / jnp.asarray(dt, traces.dtype)


def standardised(g: Real[AnyArray, "*neurons frames"]) -> Float[Array, "*neurons frames"]:
    """Rates over their standard deviation in time, so that amplitudes do not decide; those of a constant neuron are 0.

    >>> [f"{x:.2f}" for x in standardised(jnp.array([[0.5, 1.5], [2.0, 2.0]])).ravel().tolist()]
    ['1.00', '3.00', '0.00', '0.00']
    """
    (g,) = floating(g)
    # The result does not depend on this scale, but then the variance of tiny or huge numbers can be represented.
    largest = jax.lax.stop_gradient(jnp.abs(g).max(-1, keepdims=True, initial=0))
    g = g / jnp.where(largest > 0, largest, 1)
    variance = jnp.var(g, axis=-1, keepdims=True)
    varies = variance > jnp.finfo(g.dtype).eps ** 2
    return jnp.where(varies, g / jnp.sqrt(jnp.where(varies, variance, 1)), 0)


def together(
    g_i: Real[AnyArray, "*pairs frames"], g_j: Real[AnyArray, "*pairs frames"], kind: Kind = "geomean"
) -> Float[Array, "*pairs frames"]:
    """Affinity from two rates: 0 unless both have the same sign.

    - geomean: `sqrt(|g_i| |g_j|)`;
    - min: `min(|g_i|, |g_j|)`.

    Raises:
        ValueError: for another kind.

    >>> g = jnp.array([4.0, -4.0, 4.0])
    >>> together(g, jnp.array([1.0, -1.0, -1.0])).tolist(), together(g, jnp.array([1.0, -1.0, -1.0]), "min").tolist()
    ([2.0, 2.0, 0.0], [1.0, 1.0, 0.0])
    """
    g_i, g_j = floating(g_i, g_j)
    if kind == "geomean":
        return jax.nn.relu(_signed_root(g_i) * _signed_root(g_j))
    if kind == "min":
        up, down = (jnp.minimum(jax.nn.relu(s * g_i), jax.nn.relu(s * g_j)) for s in (1, -1))
        return up + down
    raise ValueError(f"kind is {kind!r}; it must be geomean or min")


def _signed_root(g: Array) -> Array:
    size = jnp.abs(g)
    moving = size > jnp.finfo(g.dtype).tiny
    return jnp.where(moving, jnp.sign(g), 0) * jnp.sqrt(jnp.where(moving, size, 1))


def differential_affinity(
    traces: Real[AnyArray, "neurons frames"], dt: ScalarLike = 1.0, kind: Kind = "geomean"
) -> Float[Array, "neurons neurons frames"]:
    """Affinity of every two neurons at every frame, from unscaled rates.

    Args:
        traces: activity.
        dt: seconds from frame to frame.
        kind: `geomean` or `min`, see `together`.

    Raises:
        ValueError: for fewer than 3 frames, a `dt` that is not positive, or another kind.

    >>> a = differential_affinity(jnp.array([[0.0, 1.0, 2.0], [0.0, 4.0, 8.0], [2.0, 1.0, 0.0]]))
    >>> a[0, 1].tolist(), a[0, 2].tolist()
    ([2.0, 2.0, 2.0], [0.0, 0.0, 0.0])
    """
    if np.ndim(traces) != 2:
        raise ValueError(f"traces has shape {np.shape(traces)}; it must be [neurons, frames]")
    g = rates(traces, dt)
    shape = (len(g), *g.shape)
    return together(jnp.broadcast_to(g[:, None], shape), jnp.broadcast_to(g[None], shape), kind)


def pairs(neurons: int) -> tuple[np.ndarray, np.ndarray]:
    """First and second neuron of every pair `i < j`, row by row.

    >>> [p.tolist() for p in pairs(3)]
    [[0, 0, 1], [1, 2, 2]]
    """
    return np.triu_indices(check_at_least("neurons", neurons), 1)


@dataclass(frozen=True)
class AffinityTensor:
    """Time by animal by pair.

    Attributes:
        x: float32 `[frames, animals, pairs]`; 0 where a pair was not observed.
        mask: bool `[animals, pairs]`, where both neurons were observed.
        names: of the neurons; `pairs(len(names))` are the pairs.
    """

    x: Float[np.ndarray, "frames animals pairs"]
    mask: Bool[np.ndarray, "animals pairs"]
    names: tuple[str, ...]


def affinity_tensor(
    traces: Sequence[Real[AnyArray, "_ frames"]],
    names: Sequence[Sequence[str]],
    *,
    dt: float = 1.0,
    kind: Kind = "geomean",
    sigma: float = 2.0,
    pool: int = 1,
    normalise: bool = True,
    least_animals: int | None = None,
) -> AffinityTensor:
    """The tensor that is factored, animal by animal.

    Traces are smoothed, rates standardised for each neuron, affinities averaged over windows, and each animal's slice is divided
    by its Frobenius norm once, so that neither a neuron nor an animal dominates. That changes the scales of factors, not where
    they vanish.

    Args:
        traces: of each animal; a neuron with NaN counts as missing.
        names: of the neurons of each animal.
        dt: seconds from frame to frame.
        kind: see `together`.
        sigma: of the Gaussian that smooths, in frames; 0 for none.
        pool: frames in a window; a rest at the end is left out.
        normalise: whether slices get norm 1.
        least_animals: keep the neurons that at least so many animals have; all of them by default.

    Raises:
        ValueError: for no animal, frames or names that do not fit, a name twice, no neuron left, or fewer frames than a window.
    """
    found = _columns(traces, names)
    least = len(found) if least_animals is None else check_at_least("least_animals", least_animals)
    counts = {name: sum(name in animal for animal in found) for name in sorted(set().union(*found))}
    kept = tuple(name for name, count in counts.items() if count >= least)
    if len(kept) < 2:
        raise ValueError(f"least_animals is {least}; only {len(kept)} neurons are in so many animals, and a pair needs 2")
    frames = np.shape(traces[0])[-1]
    if not 1 <= pool <= frames:
        raise ValueError(f"pool is {pool}; it must lie between 1 and the number of frames, {frames}")
    slices, mask = [], []
    for animal in found:
        full = np.stack([animal.get(name, np.zeros(frames)) for name in kept])
        seen = np.array([name in animal for name in kept])
        slice_ = _slice(jnp.asarray(smoothed(full, sigma), jnp.float32), dt, kind=kind, pool=pool)
        first, second = pairs(len(kept))
        slice_ = np.where(seen[first] & seen[second], np.asarray(slice_), 0)
        size = np.linalg.norm(slice_)
        slices.append(slice_ / size if normalise and size > 0 else slice_)
        mask.append(seen[first] & seen[second])
    return AffinityTensor(np.stack(slices, axis=1), np.stack(mask), kept)


def _slice(traces, dt, *, kind, pool):
    """Affinities `[windows, pairs]` of one animal."""
    g = standardised(rates(traces, dt))
    first, second = pairs(len(g))
    a = together(g[first], g[second], kind)
    windows = a.shape[1] // pool
    return a[:, : windows * pool].reshape(len(a), windows, pool).mean(-1).T


def _columns(traces, names) -> list[dict[str, np.ndarray]]:
    """Trace by name of each animal, neurons with NaN left out."""
    if not len(traces) or len(traces) != len(names):
        raise ValueError(
            f"there are {len(traces)} animals with traces and {len(names)} with names; both need to be as many, >= 1"
        )
    frames, found = np.shape(traces[0])[-1:], []
    for index, (rows, labels) in enumerate(zip(traces, names, strict=True)):
        rows, labels = np.asarray(rows, np.float32), list(labels)
        if rows.ndim != 2 or len(rows) != len(labels) or rows.shape[1:] != frames or frames[0] < LEAST_FRAMES:
            raise ValueError(
                f"animal {index} has traces {rows.shape} and {len(labels)} names; it needs [names, frames], the same frames for "
                f"all animals, at least {LEAST_FRAMES}; see resampled"
            )
        if len(set(labels)) < len(labels):
            raise ValueError(f"names of animal {index} hold a name twice; every neuron needs its own")
        if np.isinf(rows).any():
            raise ValueError(f"traces of animal {index} hold an infinite number; missing neurons are NaN")
        found.append({name: row for name, row in zip(labels, rows, strict=True) if not np.isnan(row).any()})
    return found


def smoothed(rows: Real[np.ndarray, "neurons frames"], sigma: float) -> Real[np.ndarray, "neurons frames"]:
    """Traces after a Gaussian filter of that width in frames; 0 leaves them as they are.

    Raises:
        ValueError: if the width is negative.
    """
    from scipy.ndimage import gaussian_filter1d

    if sigma < 0:
        raise ValueError(f"sigma is {sigma}; it must not be negative")
    return gaussian_filter1d(rows.astype(float), sigma, axis=-1, mode="nearest") if sigma else rows


def resampled(
    traces: Real[AnyArray, "neurons _"], seconds: Real[AnyArray, " _"], frames: int
) -> Float[np.ndarray, "neurons frames"]:
    """Traces on a regular grid of so many frames from the first to the last time, by linear interpolation.

    Args:
        traces: activity.
        seconds: when each frame was taken, ascending.
        frames: of the grid, at least 3.

    Raises:
        ValueError: if times do not fit the traces, do not ascend, or the grid is too short.

    >>> resampled(np.array([[0.0, 2.0, 6.0]]), np.array([0.0, 1.0, 3.0]), 4).tolist()
    [[0.0, 2.0, 4.0, 6.0]]
    """
    traces, seconds = np.asarray(traces, float), np.asarray(seconds, float)
    check_at_least("frames", frames, LEAST_FRAMES)
    if traces.ndim != 2 or seconds.shape != traces.shape[1:] or len(seconds) < 2 or not (np.diff(seconds) > 0).all():
        raise ValueError(f"seconds has shape {seconds.shape}; traces {traces.shape} need one ascending time for each frame")
    grid = np.linspace(seconds[0], seconds[-1], frames)
    return np.stack([np.interp(grid, seconds, row) for row in traces]) if len(traces) else np.zeros((0, frames))
