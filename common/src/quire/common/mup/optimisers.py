"""muP for any model: optimisers that know which axes of a parameter grow with width, and a readout with its multiplier.

The practical form, relative to a model of a *base width*: build the model at that width once for its shapes, scale the readout
by base width / width, and let the optimiser scale each parameter's learning rate. One tuned at the base width then stays good.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Float

from quire.common.checks import check_at_least
from quire.common.mup.mlp import check_rate

Shapes = Mapping[str, tuple[int, ...]]
"""Shapes of a base model's parameters, by their path."""


def width_shapes(model: nnx.Module | Any) -> Shapes:
    """Shapes of the parameters of a model (or of a pytree of arrays), to compare wider models with."""
    params = nnx.state(model, nnx.Param) if isinstance(model, nnx.Module) else model
    return {_name(path): tuple(leaf.shape) for path, leaf in jax.tree_util.tree_leaves_with_path(params)}


def _name(path: tuple[Any, ...]) -> str:
    """`['layers'][0]['kernel']`, whether the leaf is an array, as `nnx.Optimizer` hands it on, or an `nnx.Param` around one."""
    if path and getattr(path[-1], "name", None) == "value":
        path = path[:-1]
    return jax.tree_util.keystr(path)


def _growth(name: str, shape: tuple[int, ...], base: Shapes) -> tuple[float, ...]:
    """Width over base width along each axis that grew."""
    if name not in base:
        raise ValueError(f"parameter {name} is not in the base model, which has {sorted(base)}")
    if len(shape) != len(base[name]):
        raise ValueError(f"parameter {name} has shape {shape}, {base[name]} in the base model; they need as many axes")
    growth = tuple(wide / narrow for wide, narrow in zip(shape, base[name], strict=True) if wide != narrow)
    if len(growth) > 2:
        raise ValueError(f"parameter {name} has shape {shape}, {base[name]} in the base model; at most 2 axes may grow")
    return growth


def sgd_factor(growth: tuple[float, ...]) -> float:
    """Vectors (input weights, biases, readout): the growth; matrices: fan-out growth over fan-in growth, 1 when square."""
    if len(growth) == 2:
        return growth[1] / growth[0]
    return growth[0] if growth else 1.0


def adam_factor(growth: tuple[float, ...]) -> float:
    """Matrices: one over the fan-in growth; everything else 1."""
    return 1 / growth[0] if len(growth) == 2 else 1.0


def scale_by_width(base: Shapes, factor: Callable[[tuple[float, ...]], float]) -> optax.GradientTransformation:
    """Multiplies every update by `factor(growth)`, growth being width / base width along the axes (fan-in first) that grew.

    Args:
        base: `width_shapes` of the model at its base width.
        factor: `sgd_factor`, `adam_factor` or your own.

    Raises:
        ValueError: at the first update, for a parameter that the base model lacks or whose axes do not match.
    """

    def scaled(path, update):
        return update * factor(_growth(_name(path), update.shape, base))

    return optax.stateless(lambda updates, params=None: jax.tree_util.tree_map_with_path(scaled, updates))


def mup_sgd(
    learning_rate: optax.ScalarOrSchedule | Array, base: Shapes, *, momentum: float | None = None
) -> optax.GradientTransformation:
    """SGD under muP: learning rate times width / base width for vectors, unchanged for square matrices.

    Args:
        learning_rate: tuned at the base width.
        base: `width_shapes` of the base model.
        momentum: of `optax.sgd`.

    Raises:
        ValueError: if the learning rate is negative.

    >>> shapes = width_shapes({"w": jnp.zeros((4, 8)), "b": jnp.zeros(8)})
    >>> tx = mup_sgd(1.0, shapes)
    >>> wide = {"w": jnp.ones((4, 16)), "b": jnp.ones(16)}
    >>> float(tx.update(wide, tx.init(wide))[0]["b"][0])
    -2.0
    """
    _check_schedule(learning_rate)
    return optax.chain(optax.sgd(learning_rate, momentum), scale_by_width(base, sgd_factor))


def mup_adam(learning_rate: optax.ScalarOrSchedule | Array, base: Shapes, **adam: Any) -> optax.GradientTransformation:
    """Adam under muP: learning rate over fan-in growth for matrices, unchanged for vectors.

    Args:
        learning_rate: tuned at the base width.
        base: `width_shapes` of the base model.
        adam: further arguments of `optax.adam`.

    Raises:
        ValueError: if the learning rate is negative.
    """
    _check_schedule(learning_rate)
    return optax.chain(optax.adam(learning_rate, **adam), scale_by_width(base, adam_factor))


def _check_schedule(learning_rate: optax.ScalarOrSchedule | Array) -> None:
    if not callable(learning_rate):
        check_rate("learning_rate", learning_rate)


class Readout(nnx.Module):
    """The last layer under muP: `y = (base width / width) x W + b`, with an initial W that does not shrink with width.

    Args:
        width: input features.
        out: outputs.
        base_width: input features of the base model.
        kernel_init: zero by default, so that the function starts at its limit for every width.
        use_bias: whether there is a bias.
        rngs: for the kernel.

    Raises:
        ValueError: if a size is below 1.
    """

    def __init__(
        self,
        width: int,
        out: int,
        *,
        base_width: int,
        kernel_init: Callable = nnx.initializers.zeros,
        use_bias: bool = True,
        rngs: nnx.Rngs,
    ):
        for name, size in (("width", width), ("out", out), ("base_width", base_width)):
            check_at_least(name, size)
        self.kernel = nnx.Param(kernel_init(rngs.params(), (width, out), jnp.float32))
        self.bias = nnx.Param(jnp.zeros(out)) if use_bias else None
        self.multiplier = base_width / width

    def __call__(self, x: Float[Array, "*batch d"]) -> Float[Array, "*batch out"]:
        y = self.multiplier * (x @ self.kernel[...])
        return y if self.bias is None else y + self.bias[...].reshape((1,) * (y.ndim - 1) + (-1,))


def readout(linear: nnx.Linear, base_width: int) -> Readout:
    """Turns the last `nnx.Linear` of an existing model into a muP readout: `model.head = readout(model.head, base_width)`.

    Its kernel, drawn with variance 1 / fan-in, is enlarged to the variance it has at the base width. Give the module whose
    shapes you take with `width_shapes` the same readout.

    Raises:
        ValueError: if `base_width` is below 1.
    """
    check_at_least("base_width", base_width)
    width, out = linear.kernel.shape
    kernel = linear.kernel[...] * (width / base_width) ** 0.5
    new = Readout(
        width, out, base_width=base_width, kernel_init=lambda *_: kernel, use_bias=linear.bias is not None, rngs=nnx.Rngs(0)
    )
    if linear.bias is not None:
        new.bias = nnx.Param(linear.bias[...])
    return new
