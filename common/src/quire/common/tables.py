"""Tables of numbers that depend on a few sizes: computed once, and read-only from then on."""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, TypeVar

import numpy as np

Function = TypeVar("Function", bound=Callable[..., Any])


def cached_table(maxsize: int | None = 128) -> Callable[[Function], Function]:
    """`functools.lru_cache` for functions that return NumPy arrays, which every caller shares: nobody can write to them.

    Args:
        maxsize: results kept; None keeps all.

    Returns:
        A decorator. The function may return an array, or tuples, lists and dictionaries of them.

    >>> @cached_table()
    ... def squares(count: int) -> np.ndarray:
    ...     return np.arange(count) ** 2
    >>> squares(3)[0] = 7
    Traceback (most recent call last):
    ValueError: assignment destination is read-only
    """

    def decorate(function):
        @lru_cache(maxsize)
        @wraps(function)
        def once(*args, **options):
            return _read_only(function(*args, **options))

        return once

    return decorate


def _read_only(result: Any) -> Any:
    if isinstance(result, np.ndarray):
        result.setflags(write=False)
    elif isinstance(result, dict | tuple | list):
        for part in result.values() if isinstance(result, dict) else result:
            _read_only(part)
    return result
