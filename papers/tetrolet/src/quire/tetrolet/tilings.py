"""The 117 ways to cut a block of 4 x 4 pixels into four tetrominoes, and the tables that a transform reads.

A cell is a pixel of the block, numbered by rows, 0 to 15. A tiling gives every cell the label of its set, 0 to 3.
"""

from collections.abc import Iterator
from itertools import combinations, permutations
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from quire.common.arrays import AnyArray
from quire.common.tables import cached_table

SQUARE = (0, 0, 1, 1, 0, 0, 1, 1, 2, 2, 3, 3, 2, 2, 3, 3)
"""The tiling of the Haar wavelet: sets at the top left, top right, bottom left, bottom right."""

HAAR = 0.5 * np.array([[1, 1, 1, 1], [1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]])
"""W: the mean of four pixels (times two) and three details; symmetric, and its own inverse."""
HAAR.setflags(write=False)

Labels = Int[np.ndarray, "tilings 16"]


def _is_connected(cells: tuple[int, ...]) -> bool:
    reached, frontier = {cells[0]}, [cells[0]]
    while frontier:
        row, column = divmod(frontier.pop(), 4)
        around = ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1))
        near = {4 * i + j for i, j in around if 0 <= i < 4 and 0 <= j < 4} & set(cells) - reached
        reached |= near
        frontier += near
    return len(reached) == len(cells)


@cached_table()
def tetromino_tilings() -> Labels:
    """All tilings as restricted-growth strings: sets are numbered in the order in which their first cells come.

    Returns:
        int8 `[117, 16]`: the four squares first, the others in lexicographic order.

    >>> tetromino_tilings()[:2].tolist()
    [[0, 0, 1, 1, 0, 0, 1, 1, 2, 2, 3, 3, 2, 2, 3, 3], [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3]]
    """
    pieces = [cells for cells in combinations(range(16), 4) if _is_connected(cells)]

    def fill(string: tuple[int, ...], label: int) -> Iterator[tuple[int, ...]]:
        if label == 4:
            yield string
            return
        first = string.index(-1)
        for cells in pieces:
            if cells[0] == first and all(string[cell] < 0 for cell in cells):
                yield from fill(tuple(label if cell in cells else old for cell, old in enumerate(string)), label + 1)

    found = sorted(fill((-1,) * 16, 0), key=lambda string: (string != SQUARE, string))
    return np.array(found, np.int8)


def set_labels(tilings: Labels) -> Labels:
    """The same sets under the labels that agree with those of the squares in most cells, so that the low-pass is an image.

    Of labels that agree equally, the lexicographically smallest permutation is taken.

    >>> set_labels(tetromino_tilings()[1:2])[0].reshape(4, 4).tolist()
    [[0, 0, 0, 0], [1, 1, 1, 1], [2, 2, 2, 2], [3, 3, 3, 3]]
    """
    orders = np.array(list(permutations(range(4))), np.int8)
    agreement = (orders[:, tilings] == np.array(SQUARE)).sum(axis=-1)
    return orders[agreement.argmax(axis=0)[:, None], tilings]


def symmetry_classes(tilings: Labels) -> Int[np.ndarray, " tilings"]:
    """Number of the class of every tiling: two are of one class if a rotation or a reflection of the block maps them.

    >>> int(symmetry_classes(tetromino_tilings()).max()) + 1
    22
    """
    grid = np.arange(16).reshape(4, 4)
    moves = [np.rot90(form, turns).ravel() for form in (grid, grid.T) for turns in range(4)]

    def canonical(tiling: np.ndarray) -> tuple[int, ...]:
        return min(_growth_string(tiling[move]) for move in moves)

    found = [canonical(tiling) for tiling in tilings]
    numbers = {form: number for number, form in enumerate(dict.fromkeys(found))}
    return np.array([numbers[form] for form in found])


def _growth_string(tiling: np.ndarray) -> tuple[int, ...]:
    names: dict[int, int] = {}
    return tuple(names.setdefault(int(label), len(names)) for label in tiling)


class Tilings(NamedTuple):
    """What a transform may choose among.

    Attributes:
        order: cells of every tiling, set after set, each in the order of the scan.
        place: where each cell stands in that order.
        details: the three details of every different set, as a map from the 16 cells.
        has: 1 where a tiling has a set, else 0.
    """

    order: Int[AnyArray, "tilings 16"]
    place: Int[AnyArray, "tilings 16"]
    details: Float[AnyArray, "3 sets 16"]
    has: Float[AnyArray, "tilings sets"]


def tilings_of(labels: Labels, *, scan: Literal["rows", "columns"] = "rows") -> Tilings:
    """Tables of given tilings; the sets need not be tetrominoes.

    Args:
        labels: 0 to 3, each of them four times in a row.
        scan: the order of the four pixels of a set. Krommweh scans columns.

    Raises:
        ValueError: for other labels or another scan.

    >>> tilings_of(set_labels(tetromino_tilings())).details.shape  # a set is shared by several tilings
    (3, 89, 16)
    """
    labels = np.asarray(labels)
    if labels.ndim != 2 or labels.shape[1] != 16 or not (np.sort(labels, axis=1) == np.repeat(range(4), 4)).all():
        raise ValueError(f"labels has shape {labels.shape}; it needs [tilings, 16], with each of 0, 1, 2, 3 four times in a row")
    if scan not in ("rows", "columns"):
        raise ValueError(f"scan is {scan!r}; it must be rows or columns")
    rank = np.arange(16).reshape(4, 4)
    rank = (rank if scan == "rows" else rank.T).ravel()
    order = np.argsort(16 * labels.astype(int) + rank, axis=1)
    different, sets = np.unique(order.reshape(-1, 4), axis=0, return_inverse=True)
    details = np.zeros((3, len(different), 16))
    for pixel in range(4):
        details[:, np.arange(len(different)), different[:, pixel]] = HAAR[1:, pixel, None]
    has = np.zeros((len(labels), len(different)))
    np.put_along_axis(has, sets.reshape(-1, 4), 1, axis=1)
    return Tilings(order, np.argsort(order, axis=1), details, has)


@cached_table()
def tetrominoes() -> Tilings:
    """Tables of all 117 tilings, scanned by rows."""
    return tilings_of(set_labels(tetromino_tilings()))


@cached_table()
def squares() -> Tilings:
    """The one tiling of the Haar wavelet."""
    return tilings_of(np.array([SQUARE]))
