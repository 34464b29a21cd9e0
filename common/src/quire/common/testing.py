"""Helpers for tests of papers: golden vectors, symmetry, derivatives, jit and vmap, degenerate inputs, dtypes, conditioning."""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.test_util import check_grads
from jaxtyping import config as jaxtyping_config


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
    return float(np.abs(actual - expected).max(initial=0) / max(np.abs(expected).max(initial=0), np.finfo(float).tiny))


def assert_close(actual: Any, expected: Any, tolerance: float) -> None:
    """Every leaf of two pytrees agrees to `tolerance` in `max_relative_error`."""
    jax.tree.map(lambda a, e: _assert_close(a, e, tolerance), actual, expected)


def _assert_close(actual, expected, tolerance):
    error = max_relative_error(actual, expected)
    if not error <= tolerance:
        raise AssertionError(f"max abs error / max abs reference is {error:.3g}, more than {tolerance:.3g}")


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


# --- Inputs at the edge of what a function is defined for ---

DTYPES = ("bool", "uint8", "int32", "bfloat16", "float16")
"""What a caller may pass where float32 is meant; float64 beside it."""


def assert_degenerate(
    function: Callable[..., Any],
    *inputs: Any,
    axes: Sequence[int] = (0,),
    scales: Sequence[float] = (1e-30, 1e6),
    differentiable: bool = True,
    jit: bool = True,
) -> None:
    """`f` has a defined answer where its inputs degenerate: outputs and gradients are finite, or it raises `ValueError`.

    The variants change all floating-point inputs alike: zeros, ones, the first slice along each axis repeated (duplicates, rank
    one), huge and tiny numbers, and no or one entry along each axis (of integer and boolean inputs too). What must stay as it
    is, close over. The inputs as given must not raise.

    Args:
        function: `f(*inputs)`, arrays or pytrees of them.
        inputs: ordinary ones, the smaller the cheaper; integer and boolean arrays keep their values.
        axes: along which slices are repeated and lengths become 0 and 1: the batch, and time or tokens.
        scales: factors on the inputs.
        differentiable: whether gradients by the floating-point inputs are demanded too.
        jit: whether to compile; then variants of one shape share a program. A function that looks at numbers to raise its
            errors is called without, and so is one in NumPy.

    Raises:
        AssertionError: naming the variant.

    >>> assert_degenerate(lambda x: jnp.sqrt(jnp.sum(x**2) + 1e-6), jnp.ones((2, 3)))
    >>> assert_degenerate(jnp.linalg.norm, jnp.ones((2, 3)))
    Traceback (most recent call last):
    AssertionError: zeros: a gradient is not finite
    """
    with _as_users_call():
        run = _value_and_gradient(function, differentiable, jit)
        _assert_finite("the inputs as given", run(*inputs))
        for name, variant in _degenerate(inputs, axes, scales):
            try:
                result = run(*variant)
            except ValueError:
                continue
            except Exception as error:
                raise AssertionError(f"{name}: {type(error).__name__} where a ValueError is due: {error}") from error
            _assert_finite(name, result)


def assert_dtypes(
    function: Callable[..., Any],
    *inputs: Any,
    tolerance: float = 1e-5,
    dtypes: Sequence[str] = DTYPES,
    jit: bool = True,
) -> None:
    """`f` takes what JAX would promote, or refuses it with a `ValueError`; it never truncates and never fails otherwise.

    The answer to inputs of another dtype is that to the same numbers in float32, to the rounding of the dtype. A mixture of
    float16 and float32 is tried where there are several inputs. With `jax_enable_x64` on, float64 inputs give float64.

    Args:
        function: `f(*inputs)`, arrays.
        inputs: floating-point numbers of about 1, some negative; integer and boolean arrays keep their dtypes.
        tolerance: in float32, on `max_relative_error`; it grows with the rounding of the dtype.
        dtypes: to try.
        jit: as for `assert_degenerate`.

    Raises:
        AssertionError: naming the dtype.

    >>> assert_dtypes(lambda x: jnp.mean(x, axis=0), np.array([[0.2], [1.5], [-0.9]]))
    >>> assert_dtypes(lambda x: jnp.cos(x).astype(x.dtype), np.array([0.2, 1.5, -0.9]), dtypes=["int32"])
    Traceback (most recent call last):
    AssertionError: int32: max abs error / max abs reference is 1, more than 1e-05
    """
    single = [np.asarray(x, np.float32) if _is_floating(x) else x for x in inputs]
    function = jax.jit(function) if jit else function
    with _as_users_call():
        for dtype in dtypes:
            _assert_same_answer(dtype, function, _cast_all(single, dtype), single, tolerance)
        if sum(map(_is_floating, single)) > 1:
            mixed = [*_cast_all(single[:1], "float16"), *single[1:]]
            _assert_same_answer("float16 beside float32", function, mixed, single, tolerance)
        with jax.enable_x64():
            _assert_same_answer("float32 in a process with jax_enable_x64", function, single, single, tolerance)
            _assert_same_answer("float64", function, _cast_all(single, "float64"), single, tolerance)


def assert_matches_float64(
    function: Callable[..., Any], *inputs: Any, rtol: float = 1e-3, differentiable: bool = True, jit: bool = True
) -> None:
    """What `f` computes in float32 is what it computes in float64, gradients by the floating-point inputs included.

    Args:
        function: `f(*inputs)`, arrays; in the dtype of its inputs.
        inputs: where rounding hurts: large offsets, near duplicates, correlations near 1. They are rounded to float32 first.
        rtol: bound on `max_relative_error`.
        differentiable, jit: as for `assert_degenerate`.

    >>> assert_matches_float64(lambda x: jnp.var(x), np.array([1.0, 2.0, 4.0]))
    >>> assert_matches_float64(  # doctest: +ELLIPSIS
    ...     lambda x: jnp.mean(x**2) - jnp.mean(x) ** 2, 1e4 + np.array([1.0, 2.0, 4.0])
    ... )
    Traceback (most recent call last):
    AssertionError: float32 differs from float64: max abs error / max abs reference is ..., more than 0.001
    """
    single = [np.asarray(x, np.float32) if _is_floating(x) else x for x in inputs]
    with _as_users_call():
        actual = _value_and_gradient(function, differentiable, jit)(*single)
        with jax.enable_x64():
            expected = _value_and_gradient(function, differentiable, jit)(*_cast_all(single, "float64"))
    try:
        assert_close(actual, expected, rtol)
    except AssertionError as error:
        raise AssertionError(f"float32 differs from float64: {error}") from error


@contextmanager
def _as_users_call() -> Generator[None]:
    """Without the checks that only tests have: those of shapes and dtypes, and the one that stops at any NaN inside."""
    before = jaxtyping_config.jaxtyping_disable
    jaxtyping_config.update("jaxtyping_disable", True)
    try:
        with jax.debug_nans(False):
            yield
    finally:
        jaxtyping_config.update("jaxtyping_disable", before)


def _is_floating(x: Any) -> bool:
    return jnp.issubdtype(jnp.result_type(x), jnp.floating)


def _value_and_gradient(function, differentiable: bool, jit: bool):
    """`inputs -> (outputs, gradients)`; the gradients are those of a sum with unequal weights, so that no symmetry hides them."""

    def run(*inputs):
        leaves, tree = jax.tree.flatten(inputs)
        moving = [i for i, x in enumerate(leaves) if _is_floating(x)]

        def total(values):
            now = list(leaves)
            for i, value in zip(moving, values, strict=True):
                now[i] = value
            out = function(*jax.tree.unflatten(tree, now))
            floats = [jnp.asarray(y).ravel() for y in jax.tree.leaves(out) if _is_floating(y)]
            return sum((jnp.sum(y * jnp.cos(jnp.arange(y.size, dtype=y.dtype))) for y in floats), 0.0), out

        if not differentiable:
            return function(*inputs), ()
        gradient, out = jax.grad(total, has_aux=True)([jnp.asarray(leaves[i]) for i in moving])
        return out, gradient

    if jit:
        return jax.jit(run)

    def look_first(*inputs):
        function(*inputs)  # gradients are traced, and what is traced cannot be looked at to raise an error
        return run(*inputs)

    return look_first


def _assert_finite(name: str, result: tuple[Any, Any]) -> None:
    for what, tree in zip(("an output", "a gradient"), result, strict=True):
        for x in jax.tree.leaves(tree):
            if not np.isfinite(np.asarray(x, np.float64)).all():
                raise AssertionError(f"{name}: {what} is not finite")


def _degenerate(inputs: tuple, axes: Sequence[int], scales: Sequence[float]) -> Iterator[tuple[str, tuple]]:
    """Names and inputs of the variants."""

    def floats(change):
        return jax.tree.map(lambda x: change(np.asarray(x)) if _is_floating(x) else x, inputs)

    def along(axis, count):
        return jax.tree.map(lambda x: np.asarray(x).take(range(count), axis) if np.ndim(x) > axis else x, inputs)

    yield "zeros", floats(np.zeros_like)
    yield "ones", floats(np.ones_like)
    for scale in scales:
        yield f"numbers times {scale:g}", floats(lambda x, s=scale: x * x.dtype.type(s))
    for axis in axes:
        repeated = floats(lambda x, a=axis: np.broadcast_to(x.take([0], a), x.shape).copy() if x.ndim > a and x.size else x)
        yield f"the first slice along axis {axis} repeated", repeated
        for count in (0, 1):
            yield f"length {count} along axis {axis}", along(axis, count)


def _cast_all(inputs: Sequence[Any], dtype: str) -> list[Any]:
    """Floating-point inputs as `dtype`: whole numbers of about 3 times the size for integers, the sign for booleans."""
    kind = np.dtype(jnp.dtype(dtype))
    if kind.kind == "b":
        return [x > 0 if _is_floating(x) else x for x in inputs]
    if kind.kind in "iu":
        whole = [np.abs(np.round(3 * x)) if kind.kind == "u" else np.round(3 * x) for x in inputs if _is_floating(x)]
        return [whole.pop(0).astype(kind) if _is_floating(x) else x for x in inputs]
    return [x.astype(kind) if _is_floating(x) else x for x in inputs]


def _assert_same_answer(name: str, function, inputs: Sequence[Any], given: Sequence[Any], tolerance: float) -> None:
    """The function of the inputs is that of the same numbers in float32, in the dtype that is due, or a `ValueError`."""
    arrays = [jnp.asarray(x) for x in inputs]
    try:
        actual = function(*arrays)
    except ValueError:
        return
    except Exception as error:
        raise AssertionError(f"{name}: {type(error).__name__} where an answer or a ValueError is due: {error}") from error
    expected = function(*(x.astype(jnp.float32) if _is_floating(g) else x for x, g in zip(arrays, given, strict=True)))
    rounding = max([float(jnp.finfo(x.dtype).eps) for x in arrays if _is_floating(x)], default=0.0)
    try:
        assert_close(actual, expected, max(tolerance, 8 * rounding))
    except AssertionError as error:
        raise AssertionError(f"{name}: {error}") from error
    if name == "float64":
        dtypes = {x.dtype for x in map(jnp.asarray, jax.tree.leaves(actual)) if _is_floating(x)}
        assert dtypes <= {np.dtype(np.float64)}, f"{name}: the answer has dtypes {sorted(map(str, dtypes))}"
