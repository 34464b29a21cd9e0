"""Definitions written out in plain Python and NumPy: what the fast forms are compared with."""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from quire.common.mup.abc import Exponent


def classify(a: Sequence[Exponent], b: Sequence[Exponent], c: Exponent) -> tuple[Exponent, bool, bool, bool, bool]:
    """r, stable, nontrivial, feature, kernel, by following the powers of the width through one SGD step.

    A coordinate of size `n^-e` has exponent e. A sum of n independent terms gains `n^(1/2)`, one of n aligned terms gains n.
    """
    depth, half = len(a) - 1, Fraction(1, 2)
    # Forward, at the start: h^1 sums few inputs, h^l sums n independent terms, f likewise.
    sizes = [a[0] + b[0]] + [a[i] + b[i] - half for i in range(1, depth)]
    f_start = a[depth] + b[depth] - half
    # Backward: the readout as it starts, or as one update of size n^-(2a + c) leaves it, whichever is larger.
    readout = min(a[depth] + b[depth], 2 * a[depth] + c)
    # An update of layer l moves h^l by n^-c n^-2a dh (x . x'), where x . x' has size n for hidden inputs.
    moves = [c + 2 * a[i] + readout - (0 if i == 0 else 1) for i in range(depth)]
    r = min(moves)
    # The function moves through the readout's update (n aligned terms), and through moved features.
    by_readout = c + 2 * a[depth] - 1
    by_features = a[depth] + b[depth] + r - 1
    stable = all(size == 0 for size in sizes) and f_start >= 0 and r >= 0 and by_readout >= 0 and by_features >= 0
    nontrivial = stable and (by_readout == 0 or by_features == 0)
    return r, stable, nontrivial, nontrivial and r == 0, nontrivial and r > 0


def one_hidden_layer(u, v, weights, X, y, eta, X_test) -> np.ndarray:
    """tanh networks' limit, node by node: test outputs after SGD on `(f - y)^2 / 2`."""
    u, v = np.array(u, float), np.array(v, float)
    for x, target in zip(X, y, strict=True):
        f = 0.0
        for j in range(len(v)):
            f += weights[j] * v[j] * np.tanh(u[j] @ x)
        for j in range(len(v)):
            t = np.tanh(u[j] @ x)
            old = v[j]
            v[j] -= eta * (f - target) * t
            u[j] -= eta * (f - target) * old * (1 - t**2) * x
    return np.array([sum(w * vj * np.tanh(uj @ x) for w, vj, uj in zip(weights, v, u, strict=True)) for x in X_test])
