"""Orthonormal filter banks as matrices: wavelets of Haar and Daubechies, and the slantlet (Selesnick 1999)."""

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Real

from quire.common.checks import at_least_float32, check_at_least
from quire.common.tables import cached_table

_ROOT = math.sqrt(3)
FILTERS = {
    "haar": np.array([1, 1]) / math.sqrt(2),
    "daubechies": np.array([1 + _ROOT, 3 + _ROOT, 3 - _ROOT, 1 - _ROOT]) / (4 * math.sqrt(2)),
}
"""Low-pass filters; Daubechies's has two vanishing moments."""


def _check_length(n: int, levels: int) -> None:
    check_at_least("levels", levels)
    if n < 1 or n % 2**levels:
        raise ValueError(f"n is {n}; with {levels} levels it must be a multiple of {2**levels}")


def _shifted(filter: Float[np.ndarray, " taps"], n: int, step: int) -> Float[np.ndarray, "rows n"]:
    """The filter at 0, step, 2 step, ... on a circle of n places; a longer one goes round."""
    rows = np.zeros((n // step, n))
    for number, row in enumerate(rows):
        np.add.at(row, (number * step + np.arange(len(filter))) % n, filter)
    return rows


@cached_table()
def wavelet_matrix(n: int, levels: int, name: str = "haar") -> Float[np.ndarray, "n n"]:
    """The periodic wavelet transform: rows of the low-pass, then details from the coarsest level on.

    Args:
        n: length of the signals, a multiple of `2^levels`.
        levels: how often the low-pass is split.
        name: of the filter, `"haar"` or `"daubechies"`.

    Raises:
        ValueError: for sizes that do not fit, or a filter that there is not.

    >>> np.allclose(wavelet_matrix(8, 2, "daubechies") @ wavelet_matrix(8, 2, "daubechies").T, np.eye(8))
    True
    """
    _check_length(n, levels)
    if name not in FILTERS:
        raise ValueError(f"name is {name!r}; it must be one of {', '.join(FILTERS)}")
    low = FILTERS[name]
    high = low[::-1] * (-1.0) ** np.arange(len(low))
    matrix, details = np.eye(n), []
    for _ in range(levels):
        details.append(_shifted(high, len(matrix), 2) @ matrix)
        matrix = _shifted(low, len(matrix), 2) @ matrix
    return np.concatenate([matrix, *reversed(details)])


@cached_table()
def slantlet_matrix(n: int, levels: int) -> Float[np.ndarray, "n n"]:
    """The slantlet transform: piecewise linear filters, two vanishing moments on supports shorter than those of wavelets.

    Rows: the low-pass h_l and f_l, a row every `2^l` places, then for each scale i = l - 1 to 1 the filter g_i and its reverse,
    a row every `2^(i+1)` places.

    Args:
        n: length of the signals, a multiple of `2^levels`.
        levels: l.

    Raises:
        ValueError: for sizes that do not fit.

    >>> np.allclose(slantlet_matrix(32, 3) @ slantlet_matrix(32, 3).T, np.eye(32))
    True
    """
    _check_length(n, levels)
    rows = [_shifted(filter, n, 2**levels) for filter in _coarsest(2**levels)]
    for scale in range(levels - 1, 0, -1):
        g = _slant(2**scale)
        rows += [_shifted(filter, n, 2 ** (scale + 1)) for filter in (g, g[::-1])]
    return np.concatenate(rows)


def _lines(m: int, *pieces: tuple[float, float]) -> Float[np.ndarray, " _"]:
    """Two pieces `offset + slope t`, t = 0 to m - 1."""
    return np.concatenate([offset + slope * np.arange(m) for offset, slope in pieces])


def _slant(m: int) -> Float[np.ndarray, " _"]:
    """g_i, with m = 2^i."""
    s1 = 6 * math.sqrt(m / ((m**2 - 1) * (4 * m**2 - 1)))
    t1 = 2 * math.sqrt(3 / (m * (m**2 - 1)))
    s0 = -s1 * (m - 1) / 2
    t0 = ((m + 1) * s1 / 3 - m * t1) * (m - 1) / (2 * m)
    return _lines(m, ((s0 + t0) / 2, (s1 + t1) / 2), ((s0 - t0) / 2, (s1 - t1) / 2))


def _coarsest(m: int) -> tuple[Float[np.ndarray, " _"], Float[np.ndarray, " _"]]:
    """h_l and f_l, with m = 2^l."""
    u, v, q = 1 / math.sqrt(m), math.sqrt((2 * m**2 + 1) / 3), math.sqrt(3 / (m * (m**2 - 1))) / m
    h = _lines(m, (u * (v + 1) / (2 * m), u / m), (u * (2 * m - v - 1) / (2 * m), -u / m))
    a, b = q * (v - m), -q * (v + m)
    return h, _lines(m, (a * (v + 1) / 2, a), (b * (v + 1 - 2 * m) / 2, b))


def separable(matrix: Float[np.ndarray, "rows n"], x: Real[Array | np.ndarray, "*batch n n"]) -> Float[Array, "*batch rows rows"]:
    """`A X A^T`: the transform along columns and rows.

    Raises:
        ValueError: if the images are not `n` by `n`.

    >>> separable(wavelet_matrix(4, 2), np.ones((4, 4)))[0, 0].round(4).item()
    4.0
    """
    if x.ndim < 2 or x.shape[-2:] != matrix.shape[1:] * 2:
        raise ValueError(
            f"x has shape {x.shape}; a matrix of {matrix.shape} needs images [..., {matrix.shape[1]}, {matrix.shape[1]}]"
        )
    (x,) = at_least_float32(x)
    a = jnp.asarray(matrix, x.dtype)
    return jnp.matmul(jnp.matmul(a, x, precision="highest"), a.T, precision="highest")
