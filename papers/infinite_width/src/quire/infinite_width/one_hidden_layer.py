"""The infinite-width limit of one hidden layer under muP, nonlinear: a deterministic recursion over the law of one neuron."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from quire.common.arrays import AnyArray
from quire.common.mup.mlp import Nonlinearity, check_rate
from quire.infinite_width.deep import check_examples


class NeuronLaw(NamedTuple):
    """The law of a neuron's input weights u and readout v = n V: nodes with weights that sum to one."""

    u: Float[Array, "nodes d"]
    v: Float[Array, " nodes"]
    weights: Float[Array, " nodes"]


def neuron_law(nodes: Float[Array | np.ndarray, "nodes k"], weights: Float[Array | np.ndarray, " nodes"], dim: int) -> NeuronLaw:
    """`u ~ N(0, I_dim)` from the first columns; `v ~ N(0, 1)` from one more column where there is one, else `v = 0`.

    Args:
        nodes, weights: from `gauss_hermite` (dimension at most 3) or `gaussian_particles`.
        dim: of the inputs.

    Raises:
        ValueError: if the nodes have neither `dim` nor `dim + 1` columns, or not one weight each.
    """
    nodes, weights = np.asarray(nodes), np.asarray(weights)
    if nodes.ndim != 2 or weights.shape != nodes.shape[:1]:
        raise ValueError(f"nodes has shape {nodes.shape} and weights {weights.shape}; they need [nodes, k] and [nodes]")
    if nodes.shape[1] not in (dim, dim + 1):
        raise ValueError(f"nodes has {nodes.shape[1]} columns; {dim} inputs need {dim}, or {dim + 1} with a readout")
    v = nodes[:, dim] if nodes.shape[1] > dim else np.zeros_like(weights)
    return NeuronLaw(*map(jnp.asarray, (nodes[:, :dim], v, weights)))


def output(law: NeuronLaw, x: Float[Array, "*batch d"], phi: Nonlinearity) -> Float[Array, "*batch"]:
    """`f(x) = E[v phi(u . x)]`."""
    return phi(x @ law.u.T) @ (law.weights * law.v)


def feature_kernel(law: NeuronLaw, x: Float[Array, "m d"], phi: Nonlinearity) -> Float[Array, "m m"]:
    """`E[phi(u . x) phi(u . x')]`, which stays at its start in the kernel regime and moves under muP."""
    features = phi(x @ law.u.T)
    return (features * law.weights[None, :]) @ features.T


def mup_limit(
    law: NeuronLaw, X: Float[AnyArray, "steps d"], y: Float[AnyArray, " steps"], eta: float | Float[Array, ""], phi: Nonlinearity
) -> tuple[NeuronLaw, Float[Array, " steps"]]:
    """SGD on `(f - y)^2 / 2`, one example a step, in the limit: with `chi = f - y`,

    `v <- v - eta chi phi(u . x)` and `u <- u - eta chi v phi'(u . x) x`, both from the old values.

    Args:
        law: at the start.
        X, y: the example of every step.
        eta: learning rate.
        phi: nonlinearity.

    Returns:
        The law after all steps and the output at each example just before its step.

    Raises:
        ValueError: if X and y differ in length, or `eta` is negative.
    """
    check_examples(X, y)
    check_rate("eta", eta)

    def step(law: NeuronLaw, example: tuple[Array, Array]):
        x, target = example
        features, slopes = jax.jvp(phi, (law.u @ x,), (jnp.ones_like(law.v),))
        f = jnp.sum(law.weights * law.v * features)
        rate = eta * (f - target)
        u = law.u - rate * (law.v * slopes)[:, None] * x[None, :]
        return NeuronLaw(u, law.v - rate * features, law.weights), f

    return jax.lax.scan(step, law, (jnp.asarray(X), jnp.asarray(y)))
