"""What a model or a function costs: parameters, multiplications, bytes that are held."""

import math
from collections.abc import Callable
from typing import Any

import jax
from flax import nnx


def count_params(model: nnx.Module) -> int:
    """Number of trained numbers of a module, arrays or shapes (`nnx.eval_shape`) alike.

    >>> count_params(nnx.Linear(3, 2, rngs=nnx.Rngs(0)))
    8
    """
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))


def tree_bytes(tree: Any) -> int:
    """Bytes held by the arrays of a pytree, counted by their dtypes; an array that stands in it twice counts once.

    >>> import numpy as np
    >>> tree_bytes({"a": np.zeros(3, np.float32), "b": np.zeros((2, 2), np.int8)})
    16
    """
    leaves = {id(leaf): leaf for leaf in jax.tree.leaves(tree) if hasattr(leaf, "dtype")}
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in leaves.values())


def macs(function: Callable[..., Any], *args: Any) -> int:
    """Multiply-accumulate operations of the matrix products and convolutions that a function runs, by tracing it.

    Loops count as often as they run (`scan`); a `while` whose length the trace does not know is an error, and of the branches
    of a condition the dearest counts.

    Args:
        function: traceable.
        args: arrays, or `jax.ShapeDtypeStruct`s: nothing is computed.

    Raises:
        ValueError: for a `while` loop around products.

    >>> import jax.numpy as jnp
    >>> macs(lambda a, b: a @ b, jnp.zeros((2, 3)), jnp.zeros((3, 4)))
    24
    """
    return _macs_of(jax.make_jaxpr(function)(*args).jaxpr)


def _macs_of(jaxpr: Any) -> int:
    return sum(_macs_of_equation(equation) for equation in jaxpr.eqns)


def _macs_of_equation(equation: Any) -> int:
    name, params = equation.primitive.name, equation.params
    output = math.prod(equation.outvars[0].aval.shape) if equation.outvars else 0
    if name == "dot_general":
        (contracted, _), _ = params["dimension_numbers"]
        return output * math.prod(equation.invars[0].aval.shape[axis] for axis in contracted)
    if name == "conv_general_dilated":
        kernel, layout = equation.invars[1].aval.shape, params["dimension_numbers"].rhs_spec
        return output * math.prod(kernel[axis] for axis in layout[1:])  # inputs of a group times the window
    if name == "channels_last_convolution":  # of `common.layers.lowerings`
        return output * math.prod(equation.invars[1].aval.shape[:-1])
    inner = [_macs_of(part) for value in params.values() for part in _jaxprs(value)]
    if name == "scan":
        return params["length"] * sum(inner)
    if name == "while" and sum(inner):
        raise ValueError("function has a while loop around products; its length is not known before it runs")
    return max(inner, default=0) if name == "cond" else sum(inner)


def _jaxprs(value: Any) -> list[Any]:
    parts = value if isinstance(value, tuple | list) else [value]
    return [getattr(part, "jaxpr", part) for part in parts if hasattr(part, "jaxpr") or hasattr(part, "eqns")]
