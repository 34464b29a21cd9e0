"""Lines along which a field in the plane takes a value, by contourpy, and lines of evenly spaced points."""

import numpy as np
from jaxtyping import Float


def contour(
    values: Float[np.ndarray, "n m"], axes: tuple[Float[np.ndarray, " n"], Float[np.ndarray, " m"]], level: float = 0.0
) -> list[Float[np.ndarray, "_ 2"]]:
    """The lines where a field on a grid takes a value, by marching squares.

    Args:
        values: at `(axes[0][i], axes[1][j])`.
        axes: coordinates of rows and columns, ascending.
        level: the value.

    Returns:
        Lines `[k, 2]`, the longest first; closed ones end where they start. None if the field does not cross the level.

    Raises:
        ValueError: for shapes that do not fit, or values that are not finite.

    >>> x = np.linspace(-1, 1, 101)
    >>> (circle,) = contour(x[:, None] ** 2 + x[None] ** 2 - 0.25, (x, x))
    >>> bool(np.allclose(np.linalg.norm(circle, axis=1), 0.5, atol=1e-3)), bool((circle[0] == circle[-1]).all())
    (True, True)
    """
    from contourpy import contour_generator

    values, (rows, columns) = np.asarray(values, float), axes
    if values.ndim != 2 or values.shape != (len(rows), len(columns)) or min(values.shape) < 2:
        raise ValueError(
            f"values has shape {values.shape} and axes {len(rows)} and {len(columns)} numbers; they agree, 2 or more"
        )
    if not np.isfinite(values).all():
        raise ValueError("values has numbers that are not finite")
    lines = contour_generator(rows, columns, values.T).lines(level)
    return sorted((np.asarray(line) for line in lines), key=lambda line: -line_length(line))


def line_length(line: Float[np.ndarray, "k 2"]) -> float:
    """Length of a line of points.

    >>> line_length(np.array([[0.0, 0.0], [3.0, 4.0], [3.0, 5.0]]))
    6.0
    """
    return float(np.linalg.norm(np.diff(line, axis=0), axis=1).sum())


def evenly_spaced(lines: list[Float[np.ndarray, "_ 2"]], count: int) -> Float[np.ndarray, "count 2"]:
    """So many points at equal distances along several lines; NaN if there is no line of positive length.

    Args:
        lines: each `[k, 2]`.
        count: points on all of them together, so that clouds of different contours have one size.

    Raises:
        ValueError: for fewer than one point.

    >>> evenly_spaced([np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([[0.0, 5.0], [1.0, 5.0]])], 4).tolist()
    [[0.25, 0.0], [0.75, 0.0], [0.25, 5.0], [0.75, 5.0]]
    """
    if count < 1:
        raise ValueError(f"count is {count}; it must be at least 1")
    if not sum(map(line_length, lines)) > 0:
        return np.full((count, 2), np.nan)
    starts, ends = np.concatenate([line[:-1] for line in lines]), np.concatenate([line[1:] for line in lines])
    lengths = np.linalg.norm(ends - starts, axis=1)
    reached = np.cumsum(lengths)
    where = (np.arange(count) + 0.5) / count * reached[-1]
    piece = np.minimum(np.searchsorted(reached, where, side="right"), len(lengths) - 1)
    share = 1 - (reached[piece] - where) / np.where(lengths[piece] > 0, lengths[piece], 1)
    return starts[piece] + share[:, None] * (ends[piece] - starts[piece])
