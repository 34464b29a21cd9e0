"""abc-parametrisations: how weights, initial variances and the learning rate scale with width, and what follows from it.

A network with L hidden layers of width n has weights `W^l = n^{-a_l} w^l`; `w^l` is trained, drawn from `N(0, n^{-2 b_l})`, with
SGD learning rate `eta n^{-c}` (Yang and Hu 2021, Tensor Programs IV).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

Exponent = int | float | Fraction

TOLERANCE = 1e-9
"""Exponents this close are equal: a shift in floating point leaves r = 0 at 1e-16."""

HALF = Fraction(1, 2)


class Classification(NamedTuple):
    """What becomes of training as the width grows. Stable and nontrivial means *either* feature *or* kernel."""

    stable: bool
    nontrivial: bool
    feature: bool
    kernel: bool


@dataclass(frozen=True)
class ABC:
    """Exponents of an abc-parametrisation.

    Attributes:
        a: multipliers, `a_1 .. a_{L+1}`.
        b: initial scales, `b_1 .. b_{L+1}`.
        c: learning rate.

    Raises:
        ValueError: if `a` and `b` differ in length or there is no hidden layer.

    >>> ABC.maximal_update(2).classify()
    Classification(stable=True, nontrivial=True, feature=True, kernel=False)
    >>> ABC.ntk(2).r
    Fraction(1, 2)
    """

    a: tuple[Exponent, ...]
    b: tuple[Exponent, ...]
    c: Exponent

    def __post_init__(self):
        if len(self.a) != len(self.b):
            raise ValueError(f"a has {len(self.a)} exponents and b {len(self.b)}; both need one for each of the L + 1 weights")
        if len(self.a) < 2:
            raise ValueError(f"a and b have length {len(self.a)}; a network with L >= 1 hidden layers has at least 2 weights")

    # --- The named parametrisations ---

    @classmethod
    def standard(cls, depth: int, c: Exponent = 0) -> "ABC":
        """Standard parametrisation (SP): PyTorch's or LeCun's; `c = 1` keeps it stable and puts it in the kernel regime."""
        _check_depth(depth)
        return cls((0,) * (depth + 1), (0,) + (HALF,) * depth, c)

    @classmethod
    def ntk(cls, depth: int) -> "ABC":
        """Neural tangent parametrisation (NTP)."""
        _check_depth(depth)
        return cls((0,) + (HALF,) * depth, (0,) * (depth + 1), 0)

    @classmethod
    def mean_field(cls) -> "ABC":
        """Mean-field parametrisation (MFP), of one hidden layer; the same function as muP there."""
        return cls((0, 1), (0, 0), -1)

    @classmethod
    def maximal_update(cls, depth: int) -> "ABC":
        """muP: every layer learns features."""
        _check_depth(depth)
        return cls((-HALF,) + (0,) * (depth - 1) + (HALF,), (HALF,) * (depth + 1), 0)

    # --- What follows from the exponents ---

    @property
    def depth(self) -> int:
        """Number L of hidden layers."""
        return len(self.a) - 1

    @property
    def r(self) -> Exponent:
        """The last features move by `n^{-r}`.

        `r = min(a_{L+1} + b_{L+1}, 2 a_{L+1} + c) + c - 1 + min_l (2 a_l + [l = 1])`.
        """
        out = min(self.a[-1] + self.b[-1], 2 * self.a[-1] + self.c)
        first, *hidden = self.a[:-1]
        return out + self.c - 1 + min([2 * first + 1, *(2 * a for a in hidden)])

    def classify(self) -> Classification:
        """Whether training is stable and nontrivial, and then on which side of the dynamical dichotomy it is."""
        first, *hidden, out = (a + b for a, b in zip(self.a, self.b, strict=True))
        update, r = 2 * self.a[-1] + self.c, self.r
        stable = (
            _equal(first, 0)
            and all(_equal(h, 0.5) for h in hidden)
            and all(_at_least(value, limit) for value, limit in ((out, 0.5), (r, 0), (update, 1), (out + r, 1)))
        )
        nontrivial = stable and (_equal(out + r, 1) or _equal(update, 1))
        return Classification(stable, nontrivial, nontrivial and _equal(r, 0), nontrivial and not _equal(r, 0))

    def shift(self, theta: Exponent) -> "ABC":
        """The same function at every step of training: `a + theta, b - theta, c - 2 theta`."""
        return ABC(tuple(a + theta for a in self.a), tuple(b - theta for b in self.b), self.c - 2 * theta)

    @classmethod
    def from_exponents(cls, exponents: Sequence[Exponent]) -> "ABC":
        """From the flat list `a_1 .. a_{L+1}, b_1 .. b_{L+1}, c`.

        Raises:
            ValueError: if the length is not odd.
        """
        values = list(exponents)
        if len(values) % 2 == 0:
            raise ValueError(f"exponents has length {len(values)}; it needs L + 1 of a, as many of b, and c")
        half = len(values) // 2
        return cls(tuple(values[:half]), tuple(values[half:-1]), values[-1])


def _check_depth(depth: int) -> None:
    if depth < 1:
        raise ValueError(f"depth is {depth}; a network needs at least 1 hidden layer")


def _equal(x: Exponent, y: Exponent) -> bool:
    return abs(float(x) - float(y)) <= TOLERANCE


def _at_least(x: Exponent, y: Exponent) -> bool:
    return float(x) >= float(y) - TOLERANCE
