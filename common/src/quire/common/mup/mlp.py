"""Multi-layer perceptrons under any abc-parametrisation.

The powers of the width enter as *arrays* (`Scales`) and weights as standard normals, so that all parametrisations of one width
share one compiled program.
"""

import warnings
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, floating, is_concrete
from quire.common.layers.intermediates import sow
from quire.common.mup.abc import ABC
from quire.common.random import draw_together

Nonlinearity = Callable[[Array], Array]
Weights = tuple[AnyArray, ...]


class Scales(NamedTuple):
    """Powers of the width: `n^{-a_l}`, `n^{-b_l}` (each `[L + 1]`) and `n^{-c}`."""

    multipliers: Float[Array, " layers"]
    initial: Float[Array, " layers"]
    learning_rate: Float[Array, ""]


def scales(abc: ABC, width: int) -> Scales:
    """The powers of `width` that `abc` asks for. A warning names r if it is not stable.

    Raises:
        ValueError: if `width` is below 1.
    """
    if not abc.classify().stable:
        warnings.warn(f"this abc-parametrisation is not stable (r = {float(abc.r):g}): it blows up with width", stacklevel=2)
    return _powers(abc, width)


def _powers(abc: ABC, width: int) -> Scales:
    check_at_least("width", width)
    a, b, c = (jnp.asarray([float(e) for e in exponents]) for exponents in (abc.a, abc.b, [abc.c]))
    n = jnp.asarray(float(width))
    return Scales(n ** (-a), n ** (-b), n ** (-c[0]))


def standard_normals(key: jax.Array, dim: int, width: int, depth: int, out: int = 1) -> Weights:
    """Weights `[dim, n], [n, n] .. [n, out]` of independent N(0, 1), to be multiplied by `Scales.initial`.

    Raises:
        ValueError: if a size is below 1.
    """
    for name, size in (("dim", dim), ("width", width), ("depth", depth), ("out", out)):
        check_at_least(name, size)
    shapes = list(pairwise([dim, *[width] * depth, out]))
    return tuple(draw_together(lambda shape: jax.random.normal(key, shape), shapes))


def padded_normals(rng: np.random.Generator, dim: int, width: int, depth: int, size: int) -> tuple[np.ndarray, ...]:
    """`standard_normals` of a network with one output, drawn on the host, and silent neurons up to `size` in hidden layers.

    A neuron without weights keeps none where `phi(0) = 0`: networks of several widths share one compiled program, each with the
    `Scales` of its own width.

    Args:
        rng: for the weights.
        dim: input features.
        width: neurons that speak.
        depth: hidden layers.
        size: neurons of a hidden layer, the silent ones included.

    Returns:
        Weights `[dim, size], [size, size] .. [size, 1]`, float32.

    Raises:
        ValueError: if a size is below 1, or `size` below `width`.

    >>> [w.shape for w in padded_normals(np.random.default_rng(0), 2, 3, 2, 8)]
    [(2, 8), (8, 8), (8, 1)]
    """
    for name, value in (("dim", dim), ("width", width), ("depth", depth)):
        check_at_least(name, value)
    check_at_least("size", size, width)
    weights = []
    for rows, columns in pairwise([(dim, dim), *[(width, size)] * depth, (1, 1)]):
        drawn = rng.standard_normal((rows[0], columns[0]), np.float32)
        weights.append(np.pad(drawn, [(0, rows[1] - rows[0]), (0, columns[1] - columns[0])]))
    return tuple(weights)


def mlp(
    weights: Weights, multipliers: Float[Array, " layers"], x: Float[Array, "*batch d"], phi: Nonlinearity
) -> tuple[Float[Array, "*batch out"], tuple[Array, ...]]:
    """`f = W^{L+1} phi(h^L)`, `h^{l+1} = W^{l+1} phi(h^l)`, `h^1 = W^1 x` with `W^l = multiplier_l w^l`.

    Returns:
        Output and the pre-activations `h^1 .. h^L`.

    Raises:
        ValueError: if there is not one multiplier for each weight.
    """
    if multipliers.shape != (len(weights),):
        raise ValueError(f"multipliers has shape {multipliers.shape}; {len(weights)} weights need one each")
    hidden: list[Array] = []
    for i, w in enumerate(weights):
        x = multipliers[i] * (x @ jnp.asarray(w))
        if i < len(weights) - 1:
            hidden.append(x)
            x = phi(x)
    return x, tuple(hidden)


def squared_error(f: Array, y: Array) -> Array:
    """`(f - y)^2 / 2`, summed over outputs."""
    return jnp.sum((f - y) ** 2) / 2


def train_abc(
    normals: Weights,
    scale: Scales,
    X: Float[AnyArray, "steps d"],
    y: Float[AnyArray, "steps out"],
    eta: float | Float[Array, ""],
    phi: Nonlinearity,
    *,
    loss: Callable[[Array, Array], Array] = squared_error,
    centred: bool = False,
) -> tuple[Weights, Weights, Float[Array, "steps out"]]:
    """SGD with one example a step: `w^l <- w^l - eta n^{-c} dloss/dw^l`.

    Args:
        normals: see `standard_normals`.
        scale: see `scales`.
        X, y: the example of every step.
        eta: learning rate at width 1.
        phi: nonlinearity.
        loss: `loss(f, y) -> scalar`.
        centred: train `f - f_0`, whose limit does not depend on the random initial function.

    Returns:
        Initial weights, trained weights, and the output at each example just before its step.

    Raises:
        ValueError: if X and y differ in length, y is not `[steps, out]`, or `eta` is negative.
    """
    if X.shape[0] != y.shape[0]:
        raise ValueError(f"X has {X.shape[0]} examples and y {y.shape[0]}; every step needs one of each")
    if y.shape[1:] != normals[-1].shape[1:]:
        raise ValueError(f"y has shape {y.shape}; it needs [steps, {normals[-1].shape[1]}], the outputs of the network")
    check_rate("eta", eta)
    X, y = floating(X, y)
    initial = tuple(s * w for s, w in zip(scale.initial, normals, strict=True))

    def step(weights: Weights, example: tuple[Array, Array]):
        x, target = example
        offset = mlp(initial, scale.multipliers, x, phi)[0] if centred else 0.0

        def objective(weights):
            f = mlp(weights, scale.multipliers, x, phi)[0] - offset
            return loss(f, target), f

        gradients, f = jax.grad(objective, has_aux=True)(weights)
        stepped = (w - eta * scale.learning_rate * g for w, g in zip(weights, gradients, strict=True))
        return tuple(new.astype(w.dtype) for new, w in zip(stepped, weights, strict=True)), f

    trained, outputs = jax.lax.scan(step, initial, (X, y))
    return initial, trained, outputs


class ABCMLP(nnx.Module):
    """An MLP under an abc-parametrisation; sows its pre-activations as `h1, h2, ...`.

    Args:
        dim: input features.
        width: n, of every hidden layer.
        out: outputs.
        abc: exponents; their number gives the depth. A warning names r if they are not stable.
        phi: nonlinearity.
        rngs: for the weights.
    """

    def __init__(self, dim: int, width: int, out: int, abc: ABC, *, phi: Nonlinearity = jnp.tanh, rngs: nnx.Rngs):
        scale = scales(abc, width)
        normals = standard_normals(rngs.params(), dim, width, abc.depth, out)
        self.weights = nnx.List([nnx.Param(s * w) for s, w in zip(scale.initial, normals, strict=True)])
        self.abc, self.width, self.phi = abc, width, phi

    def learning_rate(self, eta: float) -> float:
        """`eta n^{-c}`.

        Raises:
            ValueError: if `eta` is negative.
        """
        check_rate("eta", eta)
        return eta * float(self.width) ** -float(self.abc.c)

    def __call__(self, x: Float[Array, "*batch d"]) -> Float[Array, "*batch out"]:
        weights = tuple(w[...] for w in self.weights)
        f, hidden = mlp(weights, _powers(self.abc, self.width).multipliers, x, self.phi)
        for i, h in enumerate(hidden, 1):
            sow(self, f"h{i}", h)
        return f


def check_rate(name: str, rate: float | Array) -> None:
    """A learning rate is not negative, and a number; a traced one passes.

    >>> check_rate("eta", -0.1)
    Traceback (most recent call last):
    ValueError: eta is -0.1; a learning rate is a number that is not negative
    """
    if is_concrete(rate) and not np.asarray(rate) >= 0:
        raise ValueError(f"{name} is {rate}; a learning rate is a number that is not negative")
