"""The representation layer: a blackboard without memory, on which sensory input and concepts leave their activation."""

import jax
from jaxtyping import Array, Float, Num

from quire.common.arrays import AnyArray
from quire.common.checks import floating


def activation(q: Num[AnyArray, "*_ r"]) -> Float[Array, "*_ r"]:
    """`gamma = sigmoid(q)`, what the other layers see of the pre-activation q.

    Integers and booleans count as floating-point numbers. The paper leaves the function open.

    >>> activation(jax.numpy.array([0, 0])).tolist()
    [0.5, 0.5]
    """
    (q,) = floating(q)
    return jax.nn.sigmoid(q)


def check_blackboard(q: Num[AnyArray, "*_"], r: int) -> None:
    """A pre-activation is a vector of r numbers.

    Raises:
        ValueError: otherwise. For several blackboards, `jax.vmap` the function.
    """
    if q.shape != (r,):
        raise ValueError(f"q0 has shape {q.shape}; the representation layer needs ({r},), one blackboard at a time")
