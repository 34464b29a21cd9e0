"""Helpers for tests of papers: golden vectors, symmetry, derivatives, jit and vmap."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.test_util import check_grads


class Golden:
    """Golden vectors of one paper: the arrays of an `.npz` file, by name.

    Args:
        file: the file; read without pickle.
    """

    def __init__(self, file: Path | str):
        with np.load(file, allow_pickle=False) as arrays:
            self.arrays = {name: arrays[name] for name in arrays.files}

    def __getitem__(self, name: str) -> np.ndarray:
        return self.arrays[name]

    def __contains__(self, name: str) -> bool:
        return name in self.arrays

    def case(self, prefix: str) -> dict[str, np.ndarray]:
        """Arrays below `prefix/`, by the rest of their names."""
        return {name[len(prefix) + 1 :]: x for name, x in self.arrays.items() if name.startswith(prefix + "/")}


def max_relative_error(actual: Any, expected: Any) -> float:
    """`max |actual - expected| / max |expected|`, the measure of the golden comparisons.

    Raises:
        AssertionError: if the shapes differ.
    """
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    assert actual.shape == expected.shape, f"shapes differ: {actual.shape} and {expected.shape}"
    return float(np.abs(actual - expected).max() / max(np.abs(expected).max(), np.finfo(float).tiny))


def assert_close(actual: Any, expected: Any, tolerance: float) -> None:
    """Every leaf of two pytrees agrees to `tolerance` in `max_relative_error`."""
    jax.tree.map(lambda a, e: _assert_close(a, e, tolerance), actual, expected)


def _assert_close(actual, expected, tolerance):
    error = max_relative_error(actual, expected)
    assert error <= tolerance, f"max abs error / max abs reference is {error:.3g}, more than {tolerance:.3g}"


def assert_equivariant(
    function: Callable[..., Any],
    *inputs: Any,
    elements: Iterable[Any],
    act_in: Callable[[Any, Any], Any],
    act_out: Callable[[Any, Any], Any] = lambda g, y: y,
    tolerance: float,
) -> None:
    """`f(g x) = g f(x)` for the given group elements; the default output action makes it invariance.

    Args:
        function: `f(*inputs)`.
        inputs: where to test.
        elements: group elements, of any kind the actions understand.
        act_in: `(g, x)`, applied to each input.
        act_out: `(g, f(x))`.
        tolerance: bound on `max_relative_error`.
    """
    expected = function(*inputs)
    for g in elements:
        assert_close(function(*(act_in(g, x) for x in inputs)), act_out(g, expected), tolerance)


def assert_gradients(function: Callable[..., Any], *inputs: Any, order: int = 1, tolerance: float = 1e-6) -> None:
    """Reverse-mode derivatives agree with finite differences, in float64."""
    with jax.enable_x64():
        inputs = jax.tree.map(lambda x: jnp.asarray(np.asarray(x, np.float64)), inputs)
        check_grads(jax.jit(function), inputs, order=order, modes=["rev"], atol=tolerance, rtol=tolerance)


def assert_jit_consistent(function: Callable[..., Any], *inputs: Any, tolerance: float = 1e-5) -> None:
    """`jit(f)` gives what `f` gives."""
    assert_close(jax.jit(function)(*inputs), function(*inputs), tolerance)


def assert_vmap_consistent(function: Callable[..., Any], *inputs: Any, tolerance: float = 1e-5) -> None:
    """`vmap(f)` over the leading axis gives what a loop gives."""
    size = jax.tree.leaves(inputs)[0].shape[0]
    one_by_one = [function(*jax.tree.map(lambda x, i=i: x[i], inputs)) for i in range(size)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *one_by_one)
    assert_close(jax.vmap(function)(*inputs), stacked, tolerance)


def cast(arrays: Mapping[str, np.ndarray], dtype: Any) -> dict[str, jax.Array]:
    """The floating-point arrays of a golden case as JAX arrays of `dtype`; others keep theirs."""
    return {n: jnp.asarray(x, dtype) if np.issubdtype(x.dtype, np.floating) else jnp.asarray(x) for n, x in arrays.items()}
