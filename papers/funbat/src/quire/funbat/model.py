"""The model: what latent functions and core are, and how messages are passed (sections 3 and 4)."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, check_positive
from quire.common.random import generator
from quire.common.tensors.state_space import ORDERS
from quire.funbat.entries import Entries

Kind = Literal["tucker", "cp"]


@dataclass(frozen=True)
class Model:
    """What is fixed when a program is compiled.

    Attributes:
        rank: R, functions of each mode.
        kind: `tucker` has a core `[R, ..., R]`, `cp` sums the products of the functions.
        nu: smoothness of the Matern kernel, 1/2, 3/2 or 5/2.
        smooth: False leaves the Gaussian processes out: every coordinate then has a vector of its own, as in a Bayesian
            decomposition of a grid.
        joint: all modes' messages from the last epoch's posteriors, then all smoothers; else mode after mode.
        parallel: filters and smoothers by an associative scan, for wide machines.

    Raises:
        ValueError: for a rank below 1, another kind or smoothness.
    """

    rank: int
    kind: Kind = "tucker"
    nu: float = 0.5
    smooth: bool = True
    joint: bool = False
    parallel: bool = False

    def __post_init__(self) -> None:
        check_at_least("rank", self.rank)
        if self.kind not in ("tucker", "cp"):
            raise ValueError(f"kind is {self.kind!r}; it must be 'tucker' or 'cp'")
        if self.nu not in ORDERS:
            raise ValueError(f"nu is {self.nu}; it must be one of {list(ORDERS)}")


class Hyper(NamedTuple):
    """Numbers that one compiled program takes as arguments.

    Attributes:
        lengthscales, variances: of each mode's kernel, positive.
        damping, damping_noise, damping_core: share of the old message that an update keeps, from 0 to below 1.
        extra_variance: v of the factor N(0, v I) that every coordinate with an entry has, positive.
        a0, b0: shape and rate of the Gamma prior of the noise's precision, positive.
        core_prior_precision: of the core's prior N(0, I / precision); 0, as in the authors' code, is none.
    """

    lengthscales: tuple[float, ...]
    variances: tuple[float, ...]
    damping: float = 0.9
    damping_noise: float = 0.9
    damping_core: float = 0.95
    extra_variance: float = 1.0
    a0: float = 1.0
    b0: float = 1.0
    core_prior_precision: float = 0.0

    def checked(self, modes: int) -> "Hyper":
        """Itself.

        Raises:
            ValueError: naming what is out of its range, or that there is not one kernel for each mode.
        """
        for name in ("lengthscales", "variances"):
            numbers = getattr(self, name)
            if len(numbers) != modes:
                raise ValueError(f"{name} are {len(numbers)} numbers; the entries have {modes} modes")
            for number in numbers:
                check_positive(name, number)
        for name in ("damping", "damping_noise", "damping_core"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must lie between 0 and 1, 1 excluded")
        for name in ("extra_variance", "a0", "b0"):
            check_positive(name, getattr(self, name))
        if not self.core_prior_precision >= 0:
            raise ValueError(f"core_prior_precision is {self.core_prior_precision}; it cannot be negative")
        return self


class Gaussian(NamedTuple):
    """q of vectors, one a row: of the functions at every coordinate, or of the core."""

    mean: Float[AnyArray, "*rows size"]
    covariance: Float[AnyArray, "*rows size size"]


class Messages(NamedTuple):
    """Damped messages in natural parameters, summed over the entries of each row.

    The sum over entries of damped messages obeys the recursion of a single one, so that no array holds a message for each entry.
    """

    precision: Float[AnyArray, "*rows size size"]
    shift: Float[AnyArray, "*rows size"]


class State(NamedTuple):
    """Where inference stands.

    Attributes:
        functions: q(u_k) at the coordinates of each mode.
        core: q(vec G), the last mode's index fastest; None for `cp`.
        noise_precision: E[tau].
        messages: to the functions of each mode.
        core_messages: to the core; None for `cp`.
        misfit: sum of the messages b_n to the noise.
    """

    functions: tuple[Gaussian, ...]
    core: Gaussian | None
    noise_precision: Float[AnyArray, ""]
    messages: tuple[Messages, ...]
    core_messages: Messages | None
    misfit: Float[AnyArray, ""]


INITIAL_MESSAGE = 1e-3
"""Precision of every entry's first message, and size of its random shift."""


def initial_state(entries: Entries, model: Model, key: jax.Array, *, variance: float = 0.1) -> State:
    """Where inference starts: means uniform in (0, 1), which keeps it away from the fixed point at 0; nearly flat messages.

    Args:
        entries: their places and their number; the values do not matter.
        model: rank and kind.
        key: of the draws.
        variance: of q at every coordinate. Small: with 1, sparse entries let a CP decomposition collapse to 0.

    Raises:
        ValueError: for a variance that is not positive.
    """
    check_positive("variance", variance)
    draw, rank, (n, modes) = generator(key), model.rank, entries.indices.shape
    functions = tuple(_start(draw, (len(t), rank), variance) for t in entries.coordinates)
    messages = tuple(
        _first_messages(draw, np.asarray(entries.indices)[:, mode], len(t), rank) for mode, t in enumerate(entries.coordinates)
    )
    core = core_messages = None
    if model.kind == "tucker":
        core = _start(draw, (rank**modes,), variance)
        first = _first_messages(draw, np.zeros(n, int), 1, rank**modes)
        core_messages = Messages(first.precision[0], first.shift[0])
    state = State(functions, core, np.ones(()), messages, core_messages, np.full((), float(n)))
    return jax.tree.map(lambda x: np.asarray(x, entries.values.dtype), state)


def _start(draw: np.random.Generator, shape: tuple[int, ...], variance: float) -> Gaussian:
    covariance = np.broadcast_to(variance * np.eye(shape[-1]), (*shape, shape[-1]))
    return Gaussian(draw.uniform(size=shape), covariance)


def _first_messages(draw: np.random.Generator, rows: np.ndarray, num_rows: int, size: int) -> Messages:
    """Every entry sends a precision of `INITIAL_MESSAGE` and a random shift of that size to its row."""
    shift = np.zeros((num_rows, size))
    np.add.at(shift, rows, draw.uniform(size=(len(rows), size)))
    counts = np.bincount(rows, minlength=num_rows)
    return Messages(INITIAL_MESSAGE * counts[:, None, None] * np.eye(size)[None], INITIAL_MESSAGE * shift)
