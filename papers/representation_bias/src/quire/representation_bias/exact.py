"""A representation whose shares are known: independent features along orthogonal directions."""

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from quire.common.checks import check_at_least


class OrthogonalCode(NamedTuple):
    """All combinations of m features of -1 or 1, each once.

    Attributes:
        states: of the features, `[2^m, m]`.
        rep: `phi = sum_f a_f s_f v_f`.
        directions: the orthonormal `v_f`, `[m, dim]`.
        shares: `a_f^2 / sum a^2`, what each feature explains.
    """

    states: Float[np.ndarray, "n m"]
    rep: Float[np.ndarray, "n dim"]
    directions: Float[np.ndarray, "m dim"]
    shares: Float[np.ndarray, " m"]


def orthogonal_code(amplitudes: Sequence[float] | np.ndarray, dim: int, draw: np.random.Generator) -> OrthogonalCode:
    """Features along random orthonormal directions.

    Args:
        amplitudes: `a_f`.
        dim: units, at least as many as features.
        draw: for the directions.

    Raises:
        ValueError: without a feature, or for fewer units than features.

    >>> orthogonal_code([3.0, 1.0], 5, np.random.default_rng(0)).shares.tolist()
    [0.9, 0.1]
    """
    a = np.asarray(amplitudes, float)
    check_at_least("number of amplitudes", a.size)
    check_at_least("dim", dim, a.size)
    states = np.array(list(product((-1.0, 1.0), repeat=a.size)))
    directions = np.linalg.qr(draw.standard_normal((dim, a.size)))[0].T
    return OrthogonalCode(states, states * a @ directions, directions, a**2 / np.sum(a**2))
