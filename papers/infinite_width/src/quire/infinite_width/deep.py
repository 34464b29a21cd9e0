"""Infinite-width limits of deep networks under muP: by the Tensor-Program calculus, and, where linear, as a small network."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from quire.common.mup.mlp import Nonlinearity
from quire.common.mup.tensor_program import TensorProgram, Vector


class DeepLimit(NamedTuple):
    """Outputs before each step, and at test inputs after the last."""

    trajectory: Float[Array, " steps"]
    test: Float[Array, " tests"]


def deep_limit(
    program: TensorProgram,
    X: Float[Array, "steps d"],
    y: Float[Array, " steps"],
    X_test: Float[Array, "tests d"],
    *,
    depth: int,
    eta: float,
    phi: Nonlinearity,
    readout: bool = True,
) -> DeepLimit:
    """Single-example SGD on `(f - y)^2 / 2` for `depth` hidden layers, every vector replaced by its limit.

    A trained matrix is its start and a sum of outer products, so `W_t x = W_0 x - eta sum_s chi_s dh_s E[Z^{x_s} Z^x]`.

    Args:
        program: a fresh one; its number of samples sets the accuracy where phi is not linear.
        X, y: the example of every step.
        X_test: where to evaluate at the end.
        depth: number of hidden layers.
        eta: learning rate.
        phi: nonlinearity.
        readout: whether the readout starts at N(0, 1) (times 1/n) or at 0.

    Raises:
        ValueError: if `depth` is below 1 or X and y differ in length.
    """
    if depth < 1:
        raise ValueError(f"depth is {depth}; a network needs at least 1 hidden layer")
    if X.shape[0] != y.shape[0]:
        raise ValueError(f"X has {X.shape[0]} examples and y {y.shape[0]}; every step needs one of each")
    net = _Network(program, X.shape[1], depth, phi, readout)
    outputs = []
    for x, target in zip(X, y, strict=True):
        hidden, features = net.forward(x)
        f = program.moment(net.v, features[-1])
        net.update(x, hidden, features, eta * (f - target))
        outputs.append(f)
    return DeepLimit(jnp.stack(outputs), jnp.stack([program.moment(net.v, net.forward(x)[1][-1]) for x in X_test]))


class _Network:
    """The program's vectors and matrices that make up the network, and the outer products added by training."""

    def __init__(self, program: TensorProgram, dim: int, depth: int, phi: Nonlinearity, readout: bool):
        self.program, self.phi = program, phi
        self.u = [program.gaussian() for _ in range(dim)]
        self.v = program.gaussian() if readout else program.constant(0.0)
        self.W = [program.matrix() for _ in range(depth - 1)]
        self.updates: list[list[tuple[Array, Vector, Vector]]] = [[] for _ in self.W]  # (rate, dh, x): W -= rate dh x^T / n

    def forward(self, x: Float[Array, " d"]) -> tuple[list[Vector], list[Vector]]:
        hidden = [self.program.combine(list(x), self.u)]
        features = [self.program.nonlin(self.phi, hidden[0])]
        for layer in range(len(self.W)):
            hidden.append(self._apply(layer, features[-1]))
            features.append(self.program.nonlin(self.phi, hidden[-1]))
        return hidden, features

    def _apply(self, layer: int, x: Vector, *, transpose: bool = False) -> Vector:
        start = self.program.matmul(self.W[layer], x, transpose=transpose)
        outer = [(rate, *((b, a) if transpose else (a, b))) for rate, a, b in self.updates[layer]]
        coefficients = [-rate * self.program.moment(right, x) for rate, _, right in outer]
        return self.program.combine([1.0, *coefficients], [start, *(left for _, left, _ in outer)])

    def update(self, x: Float[Array, " d"], hidden: list[Vector], features: list[Vector], rate: Array) -> None:
        """One step for all weights from the old values; derivatives are scaled by n to stay of order one."""
        back, new = self.v, []
        for layer in range(len(hidden) - 1, -1, -1):
            back = self.program.nonlin(lambda d, h: d * jax.jvp(self.phi, (h,), (jnp.ones_like(h),))[1], back, hidden[layer])
            if layer:
                new.append((layer - 1, (rate, back, features[layer - 1])))
                back = self._apply(layer - 1, back, transpose=True)
        self.u = [self.program.combine([1.0, -rate * x[i]], [u, back]) for i, u in enumerate(self.u)]
        self.v = self.program.combine([1.0, -rate], [self.v, features[-1]])
        for layer, outer in new:
            self.updates[layer].append(outer)


def deep_linear_limit(
    X: Float[Array, "steps d"],
    y: Float[Array, " steps"],
    X_test: Float[Array, "tests d"],
    *,
    depth: int,
    eta: float,
    readout: bool = True,
) -> DeepLimit:
    """The limit for a linear network of any depth, exact: samples are matched in their moments, so there is no sampling error.

    Raises:
        ValueError: as for `deep_limit`.
    """
    gaussians = X.shape[1] + 1 + 2 * max(depth - 1, 0) * (len(X) + len(X_test)) * (X.shape[1] + 1)
    program = TensorProgram(jax.random.key(0), gaussians + 8)
    return deep_limit(program, X, y, X_test, depth=depth, eta=eta, phi=lambda h: h, readout=readout)


def chain_limit(
    X: Float[Array, "steps d"], y: Float[Array, " steps"], X_test: Float[Array, "tests d"], eta: float | Float[Array, ""]
) -> DeepLimit:
    """Two hidden linear layers: the limit is ordinary SGD on a small deterministic network.

    The Gaussians form d + 1 chains of T + 1 vectors. W_0 has ones on the diagonal of a chain and on its superdiagonal (the chains
    that start from the columns of U) or subdiagonal (the one that starts from the readout).

    Raises:
        ValueError: if X and y differ in length.
    """
    (steps, dim), length = X.shape, X.shape[0] + 1
    if steps != y.shape[0]:
        raise ValueError(f"X has {steps} examples and y {y.shape[0]}; every step needs one of each")
    identity, above = jnp.eye(length), jnp.eye(length, k=1)
    W = jax.scipy.linalg.block_diag(*[identity + above] * dim, identity + above.T)
    starts = jnp.arange(dim + 1) * length
    U = jnp.zeros((len(W), dim)).at[starts[:dim], jnp.arange(dim)].set(1)
    v = jnp.zeros(len(W)).at[starts[dim]].set(1)

    def step(state, example):
        U, W, v = state
        x, target = example
        h1 = U @ x
        h2 = W @ h1
        f = v @ h2
        rate = eta * (f - target)
        new = U - rate * jnp.outer(W.T @ v, x), W - rate * jnp.outer(v, h1), v - rate * h2
        return new, f

    (U, W, v), outputs = jax.lax.scan(step, (U, W, v), (X, y))
    return DeepLimit(outputs, X_test @ (U.T @ (W.T @ v)))
