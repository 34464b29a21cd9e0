"""The primitives of the search space: 4 operations of two maps, 8 of one, and 12 moments that are broadcast back."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from quire.common.layers.norms import moments
from quire.evonorm.layers import split_groups

BINARY = ("add", "mul", "div", "max")
UNARY = ("neg", "sigmoid", "tanh", "exp", "log", "abs", "square", "sqrt")
MOMENTS = tuple(f"{moment}_{over}" for over in ("bwh", "wh", "whc", "whg") for moment in ("mean", "rms", "std"))
PRIMITIVES = (*BINARY, *UNARY, *MOMENTS)
"""Names, in the order of their indices in the code of a graph."""
SAMPLE_PRIMITIVES = tuple(name for name in PRIMITIVES if not name.endswith("_bwh"))
"""Those that keep samples apart: the search for S layers."""
COMMUTATIVE = ("add", "mul", "max")

Maps = Float[Array, "batch *space channels"]

_OF_TWO: dict[str, Callable[[Array, Array], Array]] = {
    "add": jnp.add,
    "mul": jnp.multiply,
    "div": jnp.divide,
    "max": jnp.maximum,
}
_OF_ONE: dict[str, Callable[[Array], Array]] = {
    "neg": jnp.negative,
    "sigmoid": jax.nn.sigmoid,
    "tanh": jnp.tanh,
    "exp": jnp.exp,
    "log": lambda x: jnp.sign(x) * jnp.log(jnp.abs(x)),
    "abs": jnp.abs,
    "square": jnp.square,
    "sqrt": lambda x: jnp.sign(x) * jnp.sqrt(jnp.abs(x)),
}


def apply_primitive(name: str, x: Maps, y: Maps, *, groups: int, eps: float = 1e-5) -> Maps:
    """One primitive; all answers have the shape of x.

    `log x = sign(x) ln|x|` and `sqrt x = sign(x) sqrt|x|`. Moments are `mean(x)`, `rms = sqrt(mean(x^2) + eps)` and
    `std = sqrt(var(x) + eps)` over batch and space (`bwh`), space (`wh`), space and channels (`whc`), space and a group (`whg`).
    What is not defined, such as `log 0`, is NaN, also in derivatives: a search must see it and reject the layer.

    Args:
        name: one of `PRIMITIVES`.
        x, y: `[batch, *space, channels]`; y is ignored by primitives of one map.
        groups: of `whg`.
        eps: inside of square roots of moments.

    Raises:
        ValueError: if `whg` is asked for groups that do not divide the channels.

    >>> x = jnp.array([[[-4.0], [2.0]]])
    >>> print(apply_primitive("sqrt", x, x, groups=1).ravel().round(3), apply_primitive("mean_wh", x, x, groups=1).ravel())
    [-2.     1.414] [-1. -1.]
    """
    if name in BINARY:
        return _OF_TWO[name](x, y)
    if name in UNARY:
        return _OF_ONE[name](x)
    moment, over = name.split("_")
    maps = split_groups(x, groups) if over == "whg" else x
    space = tuple(range(1, x.ndim - 1))
    axes = {"bwh": (0, *space), "wh": space, "whc": (*space, x.ndim - 1), "whg": (*space, x.ndim)}[over]
    return jnp.broadcast_to(_moment(moment, maps, axes, eps), maps.shape).reshape(x.shape)


def _moment(moment, x, axes, eps):
    if moment == "mean":
        return x.mean(axes, keepdims=True)
    square = jnp.mean(x**2, axes, keepdims=True) if moment == "rms" else moments(x, axes)[2]
    return jnp.sqrt(square + eps)
