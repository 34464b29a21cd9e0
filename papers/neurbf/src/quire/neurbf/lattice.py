"""Bases on a regular lattice: what the adaptive ones are compared with."""

import itertools

import numpy as np
from jaxtyping import Float, Int

from quire.common.checks import check_at_least
from quire.neurbf.adaptive import kernels
from quire.neurbf.kernels import Kernels, check_kind


def lattice_side(count: int, dim: int) -> int:
    """Nodes an axis of the largest lattice with at most `count` of them.

    >>> lattice_side(189, 2), lattice_side(27, 3)
    (13, 3)
    """
    check_at_least("count", count, 2**dim)
    side = 2
    while (side + 1) ** dim <= count:
        side += 1
    return side


def regular_lattice(count: int, cmax: Float[np.ndarray, " d"], kind: str) -> Kernels:
    """Kernels at the nodes of a lattice that includes the corners of `[-cmax, cmax]`, the last axis fastest.

    A full shape is `diag(1 / (spacing / 2)^2)`; a hat of `nlin` ends at the next node.

    Args:
        count: how many at most.
        cmax: half the extent an axis.
        kind: of the kernels.

    Raises:
        ValueError: for fewer kernels than corners, or an unknown kind.
    """
    name, shape = check_kind(kind)
    cmax = np.asarray(cmax, float)
    side = lattice_side(count, len(cmax))
    centers = np.array(list(itertools.product(*[np.linspace(-c, c, side) for c in cmax])))
    spacing = 2 * cmax / (side - 1)
    scale = 1 / spacing if name == "nlin" else 1 / (spacing / 2) ** 2
    one = {"s": scale.mean(keepdims=True), "d": scale}.get(shape, np.diag(scale))
    return kernels(kind, centers, np.broadcast_to(one, (len(centers), *one.shape)))


def cell_corners(x: Float[np.ndarray, "n d"], side: int, cmax: Float[np.ndarray, " d"]) -> Int[np.ndarray, "n corners"]:
    """The `2^d` nodes of a lattice around every point, as rows of its centres.

    >>> cell_corners(np.array([[0.9, -1.0]]), 3, np.ones(2)).tolist()
    [[3, 4, 6, 7]]
    """
    dim = x.shape[1]
    cell = np.floor((np.asarray(x, float) / cmax + 1) / 2 * (side - 1)).astype(int).clip(0, side - 2)
    strides = side ** np.arange(dim - 1, -1, -1)
    steps = np.array(list(itertools.product((0, 1), repeat=dim)))
    return ((cell[:, None] + steps) * strides).sum(-1).astype(np.int32)
