"""Where solvers of small dense systems run best."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Literal

import jax
from threadpoolctl import threadpool_limits

Precision = Literal["float32", "float64"]


@contextmanager
def working_precision(precision: Precision = "float64") -> Generator[None]:
    """Run in this precision, and with one LAPACK thread.

    The factorisations of Levenberg-Marquardt are too small for several threads, whose waiting takes the cores from XLA: on two
    busy cores 40 steps of advection take 4 seconds with one LAPACK thread and 30 to 50 with two.

    Raises:
        ValueError: for another precision.

    >>> with working_precision("float64"):
    ...     print(jax.numpy.zeros(1).dtype)
    float64
    """
    if precision not in ("float32", "float64"):
        raise ValueError(f"precision is {precision!r}; choose from float32, float64")
    with jax.enable_x64(precision == "float64"), threadpool_limits(1, user_api="blas"):
        yield
